# SPDX-License-Identifier: GPL-2.0
"""
svg - small plots, as the text of an SVG

	svg.lines("Faults served", svg.Axis("vCPUs"), svg.Axis("faults/s"),
	          [svg.Series("tree", "tree", [(1, 900, 920, 930), ...])])
	svg.bars("Cost of a get", svg.Axis("ns"),
	         [("2 MB", [("tree", "tree", (19, 20, 21)), ...]), ...])
	svg.cumulative("Waits", svg.Axis("us", log=True), [...])

A point is (x, low, middle, high): the quartiles are its error bar.  A linear
axis begins at 0.  Labels stand beside what they name; there is no legend to
look up.  A system has the same colour and mark in each plot.  The colours are
custom properties, with values for light and for dark, in the SVG itself: so
they follow the reader's choice in a page and in an <img> alike.  They differ in
lightness as well as in hue, for readers who do not see all hues.
"""

import html
import math

WIDTH = 560
SIZE = 14                       # of the text; the plot can be shown at 700 px
HEIGHT = 300                    # of the area of lines

# name: colour on white, colour on black
COLOURS = {
    "ink": ("#1c1c1c", "#ececec"),
    "faint": ("#595959", "#a9a9a9"),
    "grid": ("#dedede", "#3a3a3a"),
    "paper": ("#ffffff", "#161616"),
    "blue": ("#0063a8", "#6cb8f0"),
    "orange": ("#b84a00", "#ff9a5c"),
    "green": ("#00694e", "#3ccb9c"),
    "purple": ("#8e3c8a", "#e7a3df"),
    "ochre": ("#7a6000", "#e0c24a"),
    "grey": ("#4d4d4d", "#bdbdbd"),
}
# system: colour, mark
LOOKS = {
    "tree": ("blue", "circle"), "p2m": ("blue", "circle"),
    "global": ("orange", "square"), "xen": ("orange", "square"),
    "uffd": ("orange", "square"), "readers": ("purple", "diamond"),
    "rwlock": ("green", "triangle"), "interval": ("purple", "diamond"),
    "prealloc": ("green", "triangle"), "grain4k": ("green", "triangle"),
    "grain1g": ("purple", "diamond"), "ksm": ("green", "triangle"),
    "kvmlog": ("purple", "diamond"), "balloon": ("ochre", "cross"),
    "zram": ("grey", "cross"),
}
MARKS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "square": "M-4 -4h8v8h-8z",
    "triangle": "M0 -5.5l5.2 9h-10.4z",
    "diamond": "M0 -5.8l5.8 5.8l-5.8 5.8l-5.8 -5.8z",
    "cross": "M-5 -2h3v-3h4v3h3v4h-3v3h-4v-3h-3z",
}


def _style():
    def properties(column):
        return "".join("--study-%s:%s;" % (name, colours[column])
                       for name, colours in COLOURS.items())

    rules = [
        "svg.study{%s}" % properties(0),
        "@media(prefers-color-scheme:dark){svg.study{%s}}" % properties(1),
        ".study text{font:%dpx system-ui,'Segoe UI','DejaVu Sans',"
        "sans-serif;fill:var(--study-ink)}" % SIZE,
        ".study .title{font-weight:600;font-size:%dpx}" % (SIZE + 1),
        ".study .faint{fill:var(--study-faint)}",
        ".study .end{text-anchor:end}.study .middle{text-anchor:middle}",
        ".study .paper{fill:var(--study-paper)}",
        ".study .grid{stroke:var(--study-grid);stroke-width:1}",
        ".study .axis{stroke:var(--study-faint);stroke-width:1}",
        ".study .line{fill:none;stroke-width:2.2;stroke-linejoin:round}",
        ".study .dash{stroke-dasharray:7 4}",
        ".study .error{stroke-width:1.6;fill:none}",
        ".study .bar-error{stroke:var(--study-ink);stroke-width:1.6;"
        "fill:none}",
        ".study .leader{stroke-width:.8;fill:none}",
    ]
    for name in COLOURS:
        rules.append(".study .f-%s{fill:var(--study-%s)}.study .s-%s"
                     "{stroke:var(--study-%s)}" % (name, name, name, name))
    return "<style>%s</style>" % "".join(rules)


class Axis:
    """
    What an axis shows.  @ticks names the values to be written under it; a log
    axis has powers of ten otherwise, a linear one round numbers from 0.
    """

    def __init__(self, label, log=False, ticks=None, low=None, high=None):
        self.label = label
        self.log = log
        self.ticks = ticks
        self.low = low
        self.high = high

    def fit(self, values):
        """Choose the ends, so that all @values are inside."""
        values = [v for v in values if v is not None] or [1]
        if self.log:
            positive = [v for v in values if v > 0] or [1]
            least, most = min(positive), max(positive)
            if self.low is None:
                self.low = (least if self.ticks else
                            10 ** math.floor(math.log10(least) + 1e-9))
            if self.high is None:
                self.high = (most if self.ticks else
                             10 ** math.ceil(math.log10(most) - 1e-9))
            if self.high <= self.low:
                self.high = self.low * 10
        else:
            self.low = 0
            if self.high is None:
                step = _step(max(values) or 1)
                self.high = step * math.ceil(max(values) / step - 1e-9) or step

    def place(self, value):
        """Where a value is, from 0 to 1."""
        if self.log:
            value = max(value, self.low)
            return (math.log(value / self.low) /
                    math.log(self.high / self.low))
        return value / self.high

    def marks(self):
        """The (value, text) to be written at the axis."""
        if self.ticks:
            return [t if isinstance(t, tuple) else (t, short(t))
                    for t in self.ticks]
        if self.log:
            first = round(math.log10(self.low))
            last = math.floor(math.log10(self.high) + 1e-9)
            by = 1 if last - first < 8 else 2
            return [(10.0 ** e, short(10.0 ** e))
                    for e in range(first, last + 1, by)]
        step = _step(self.high)
        return [(step * i, short(step * i))
                for i in range(int(self.high / step + 1e-9) + 1)]


def _step(most):
    """A round number that divides @most in some five parts."""
    power = 10 ** math.floor(math.log10(most / 5))
    return next(power * m for m in (1, 2, 2.5, 5, 10)
                if power * m >= most / 6)


def short(number):
    """A number for an axis: 20, 0.5, 1,500, 20k, 3M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            unit = 1e3 if letter == "k" else size
            return "%s%s" % (_plain(number / unit), letter)
    return _plain(number)


def _plain(number):
    text = "{:,.6f}".format(number)
    if abs(number) < 0.001 and number:
        text = "%g" % number
    return text.rstrip("0").rstrip(".") if "." in text else text


class Series:
    """A line: the @system, its @label, and the points."""

    def __init__(self, system, label, points, dash=False, marks=True):
        self.system = system
        self.label = label
        self.points = points
        self.dash = dash
        self.marks = marks

    @property
    def colour(self):
        """The name of its colour."""
        return LOOKS.get(self.system, ("grey", "cross"))[0]

    @property
    def mark(self):
        """The path of its mark."""
        return MARKS[LOOKS.get(self.system, ("grey", "cross"))[1]]


class Picture:
    """The elements of an SVG, as they are made."""

    def __init__(self, title, height):
        self.height = height
        self.title = title
        self.elements = []

    def add(self, element, **words):
        """An element: a format, and what goes there."""
        self.elements.append(element.format(**words))

    def text(self, x, y, text, kinds=""):
        """Text, with the names of its styles."""
        self.add('<text x="{x:.1f}" y="{y:.1f}"{kinds}>{text}</text>',
                 x=x, y=y, text=html.escape(text, quote=False),
                 kinds=' class="%s"' % kinds if kinds else "")

    def backed(self, x, y, text, kinds=""):
        """Text that hides the lines behind it."""
        self.add('<rect class="paper" x="{x:.1f}" y="{y:.1f}" '
                 'width="{w:.1f}" height="{h}"/>',
                 x=x - 3, y=y - SIZE + 1, w=width_of(text) + 3, h=SIZE + 4)
        self.text(x, y, text, kinds)

    def line(self, kinds, *points):
        """A line through points."""
        self.add('<path class="{kinds}" fill="none" d="M{path}"/>',
                 kinds=kinds,
                 path="L".join("%.1f %.1f" % point for point in points))

    def mark(self, series, x, y):
        """The mark of a series."""
        self.add('<path class="f-{colour}" transform="translate({x:.1f} '
                 '{y:.1f})" d="{path}"/>',
                 colour=series.colour, x=x, y=y, path=series.mark)

    def __str__(self):
        title = html.escape(self.title)
        return "\n".join([
            '<svg xmlns="http://www.w3.org/2000/svg" class="study" '
            'viewBox="0 0 %d %d" role="img" aria-label="%s">'
            % (WIDTH, self.height, title),
            "<title>%s</title>" % title, _style(),
            '<rect class="paper" width="%d" height="%d"/>'
            % (WIDTH, self.height),
            *self.elements, "</svg>"]) + "\n"


def width_of(text):
    """About how wide a text is; rather more than less."""
    return 0.58 * SIZE * len(text)


class Area:
    """The part of a picture between the axes."""

    def __init__(self, picture, x, y, box):
        self.picture = picture
        self.x, self.y = x, y
        self.left, self.top, self.right, self.bottom = box

    def at(self, x, y):
        """Where a point is."""
        return (self.left + self.x.place(x) * (self.right - self.left),
                self.bottom - self.y.place(y) * (self.bottom - self.top))

    def axes(self):
        """The grid, both axes, and what is written at them."""
        picture = self.picture
        for value, text in self.y.marks():
            _, y = self.at(self.x.low, value)
            picture.line("axis" if value == self.y.low else "grid",
                         (self.left, y), (self.right, y))
            picture.text(self.left - 7, y + 5, text, "faint end")
        for value, text in self.x.marks():
            x, _ = self.at(value, self.y.low)
            picture.line("axis", (x, self.bottom), (x, self.bottom + 5))
            picture.text(x, self.bottom + 20, text, "faint middle")
        picture.text((self.left + self.right) / 2, self.bottom + 41,
                     self.x.label + (", log scale" if self.x.log else ""),
                     "faint middle")

    def draw(self, series):
        """The line of a series, its marks and error bars."""
        colour = series.colour
        places = [self.at(p[0], p[2]) for p in series.points]
        if len(places) > 1:
            self.picture.line("line s-%s%s" % (
                colour, " dash" if series.dash else ""), *places)
        for (x, low, _, high), place in zip(series.points, places):
            ends = [self.at(x, end)[1] for end in (low, high)]
            if abs(ends[0] - ends[1]) >= 1:
                self.error(colour, place[0], *ends)
            if series.marks:
                self.picture.mark(series, *place)

    def error(self, colour, x, low, high):
        """An error bar."""
        kinds = "error s-" + colour
        self.picture.line(kinds, (x, low), (x, high))
        for y in (low, high):
            self.picture.line(kinds, (x - 4, y), (x + 4, y))

    def labels(self, series):
        """The label of each series, right of its last point."""
        gap = SIZE + 3
        ends = sorted(((self.at(s.points[-1][0], s.points[-1][2]), s)
                       for s in series if s.points),
                      key=lambda end: end[0][1])
        places = [end[0][1] for end in ends]
        for i in range(1, len(places)):
            places[i] = max(places[i], places[i - 1] + gap)
        # What the last is too low, all that touch it move up.
        limit = self.bottom + 2
        for i in reversed(range(len(places))):
            places[i] = min(places[i], limit)
            limit = places[i] - gap
        for ((x, y), one), place in zip(ends, places):
            if abs(place - y) > 5 or self.right - x > 8:
                self.picture.line("leader s-" + one.colour, (x + 6, y),
                                  (self.right + 10, place))
            self.picture.text(self.right + 13, place + 5, one.label,
                              "f-" + one.colour)


def _heading(picture, title, unit):
    picture.text(12, 23, title, "title")
    picture.text(12, 44, unit, "faint")


def lines(title, x, y, series):
    """Lines with error bars: the text of the SVG."""
    series = [s for s in series if s.points]
    x.fit([p[0] for s in series for p in s.points])
    y.fit([v for s in series for p in s.points for v in p[1:]])
    left = 20 + max(width_of(text) for _, text in y.marks())
    right = WIDTH - 22 - max([width_of(s.label) for s in series], default=0)
    top = 62
    picture = Picture(title, top + HEIGHT + 52)
    _heading(picture, title, y.label + (", log scale" if y.log else ""))
    area = Area(picture, x, y, (left, top, right, top + HEIGHT))
    area.axes()
    # The first is the one to be seen where lines lie on each other.
    for one in reversed(series):
        area.draw(one)
    area.labels(series)
    return str(picture)


def cumulative(title, x, series, marks=(50, 99)):
    """
    Cumulative distributions: a point of @series is (upper edge, share from 0 to
    1).  Each line has its mark where it passes the shares @marks, in percent.
    """
    curves = []
    for one in series:
        points = [(edge, 100 * share) for edge, share in one.points]
        curves.append(Series(one.system, one.label, [
            (edge, share, share, share) for edge, share in points],
            marks=False))
        curves[-1].passes = [
            next((p for p in points if p[1] >= mark - 1e-9), points[-1])
            for mark in marks]
    y = Axis("of all gets waited no longer", high=100, ticks=[
        (v, "%d%%" % v) for v in (0, 25, 50, 75, 100)])
    x.fit([p[0] for s in curves for p in s.points])
    y.fit([100])
    # All lines end at 100%: the label stands where the line passes 50%, or so.
    top, left, right = 62, 60, WIDTH - 28
    picture = Picture(title, top + HEIGHT + 52)
    _heading(picture, title, "share of gets that waited no longer; marks at "
             + " and ".join("%d %%" % mark for mark in marks))
    area = Area(picture, x, y, (left, top, right, top + HEIGHT))
    area.axes()
    for one in reversed(curves):
        area.draw(one)
    for one in reversed(curves):
        for edge, share in one.passes:
            picture.mark(one, *area.at(edge, share))
    _inner_labels(area, curves)
    return str(picture)


def _inner_labels(area, curves):
    """Labels inside of the area, each beside its own line, none on another."""
    taken = []
    for i, one in enumerate(sorted(curves, key=lambda c: -c.points[-1][0])):
        share = 88 - 17 * i
        point = next((p for p in one.points if p[2] >= share), one.points[-1])
        x, _ = area.at(point[0], share)
        y = area.bottom - share / 100 * (area.bottom - area.top)
        width = width_of(one.label)
        if x + 10 + width > area.right:
            x = area.right - width - 10
        while any(abs(y - other) < SIZE + 3 for other in taken):
            y += SIZE + 3
        taken.append(y)
        area.picture.backed(x + 9, y + 1, one.label, "f-" + one.colour)


BAR, GAP = 20, 14


def bars(title, axis, groups):
    """
    Bars that lie, in groups: each group is (name, [(system, label, point)]), a
    point (low, middle, high), or a text that says why there is no bar.  On a
    log axis, where a bar's length means nothing, there are marks instead.
    """
    axis.fit([v for _, rows in groups for *_, point in rows
              if not isinstance(point, str) for v in point])
    count = sum(len(rows) for _, rows in groups)
    names = sum(1 for name, _ in groups if name)
    height = 62 + count * BAR + len(groups) * GAP + names * (SIZE + 6) + 30
    picture = Picture(title, height)
    _heading(picture, title, axis.label + (", log scale" if axis.log else ""))
    left = 26 + max(width_of(label) for _, rows in groups
                    for _, label, _ in rows)
    right = WIDTH - 84
    area = Area(picture, axis, Axis("", high=1), (left, 62, right,
                                                  height - 34))
    area.y.fit([1])
    for value, text in axis.marks():
        x, _ = area.at(value, 0)
        picture.line("axis" if value == axis.low else "grid", (x, area.top - 4),
                     (x, area.bottom))
        picture.text(x, area.bottom + 18, text, "faint middle")
    y = area.top
    for name, rows in groups:
        if name:
            picture.backed(12, y + SIZE, name)
            y += SIZE + 6
        for system, label, point in rows:
            _bar(area, y, system, label, point)
            y += BAR
        y += GAP
    return str(picture)


def _bar(area, y, system, label, point):
    picture = area.picture
    one = Series(system, label, [])
    middle = y + BAR / 2
    picture.text(area.left - 8, middle + 5, label,
                 "end f-" + one.colour)
    if isinstance(point, str):
        picture.text(area.left + 8, middle + 5, point, "faint")
        return
    low, at, high = (area.at(v, 0)[0] for v in point)
    if area.x.log:
        picture.line("grid", (area.left, middle), (at, middle))
        picture.mark(one, at, middle)
        picture.text(max(at, high) + 10, middle + 5, number(point[1]))
        return
    picture.add('<rect class="f-{colour}" x="{x:.1f}" y="{y:.1f}" '
                'width="{w:.1f}" height="{h}"/>', colour=one.colour,
                x=area.left, y=y + 2, w=max(at - area.left, 1), h=BAR - 4)
    if high - low >= 1:
        picture.line("bar-error", (low, middle), (high, middle))
        for x in (low, high):
            picture.line("bar-error", (x, middle - 4), (x, middle + 4))
    picture.text(max(at, high) + 7, middle + 5, number(point[1]))


def number(value):
    """A number for people: three digits that count, and thousands apart."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = round(value, 2 - math.floor(math.log10(abs(value))))
    if abs(value) < 1e-3:
        return "%.2g" % value
    return "{:,.{}f}".format(rounded, min(digits, 4))
