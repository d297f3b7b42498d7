# SPDX-License-Identifier: GPL-2.0
"""
sections - what a section of the report is: named figures, plots, tables, words
"""

import figures
import svg

LABELS = {
    "tree": "the tree", "global": "one lock", "rwlock": "one rwlock",
    "interval": "interval tree", "readers": "tree with readers",
    "exclusive": "tree, lookups lock too",
    "grain4k": "4 KB", "grain1g": "1 GB", "prealloc": "made before",
    "p2m": "/dev/p2m", "uffd": "userfaultfd", "ksm": "KSM",
    "kvmlog": "KVM's dirty log", "balloon": "virtio-balloon", "xen": "Xen",
}


def label(system):
    """What people call a system."""
    return LABELS.get(system, system)


def scaled(figure, factor, unit):
    """The same figure in another unit, if there is one."""
    return figure and figure.times(factor, unit)


class Table:
    """
    A table: its @head, and @rows of texts and figures.  @made_of: the figures
    that it is of, if not these; @note: what it shows, if not their medians.
    """

    def __init__(self, head, rows, made_of=None, note=""):
        self.head = head
        self.rows = rows
        self.made_of = made_of
        self.note = note

    def figures(self):
        """The figures in it."""
        return self.made_of or [
            cell for row in self.rows for cell in row
            if isinstance(cell, figures.Figure)]


class Plot:
    """
    A plot: its @name, its SVG, and the figures that it is made of.  @note: what
    it shows, if not their medians.
    """

    def __init__(self, name, picture, made_of, note=""):
        self.name = name
        self.picture = picture
        self.made_of = made_of
        self.note = note

    def figures(self):
        """The figures in it."""
        return self.made_of


class Words:
    """A part of the question's text, to be shown at this place."""

    def __init__(self, name, title):
        self.name = name
        self.title = title

    def figures(self):
        """The figures in it."""
        return []


class Section:
    """What the report has of one question."""

    def __init__(self, name):
        self.name = name
        self.figures = {}
        self.parts = []

    def figure(self, name, figure):
        """A figure with a name, for the sentences and for study.json."""
        self.figures["%s.%s" % (self.name, name)] = figure

    def words(self, name, title):
        """Add a part of the text, with a title of its own."""
        self.parts.append(Words(name, title))

    def table(self, head, rows, **words):
        """Add a table."""
        self.parts.append(Table(head, rows, **words))

    def bars(self, name, title, axis, groups):
        """
        Add a plot of bars.  @groups: (name, [(system, label, figure)]).  A
        group without figures is left out.
        """
        groups = [g for g in groups if any(figure for *_, figure in g[1])]
        if groups:
            self.parts.append(Plot(name, svg.bars(title, axis, [
                (group, [(system, text, figure.point if figure
                          else "not measured")
                         for system, text, figure in rows])
                for group, rows in groups]),
                [f for _, rows in groups for *_, f in rows if f]))

    def lines(self, name, title, x, y, lines):
        """
        Add a plot of lines.  @lines: (system, label, [(x, figure)], other
        arguments of svg.Series).
        """
        series, made_of = [], []
        for system, text, points, looks in lines:
            points = [(at, figure) for at, figure in points if figure]
            made_of += [figure for _, figure in points]
            series.append(svg.Series(system, text, [
                (at, *figure.point) for at, figure in points], **looks))
        if made_of:
            self.parts.append(
                Plot(name, svg.lines(title, x, y, series), made_of))

    def all_figures(self):
        """Every figure of the section."""
        return [f for f in self.figures.values() if f] + [
            f for part in self.parts for f in part.figures()]
