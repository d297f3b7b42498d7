# SPDX-License-Identifier: GPL-2.0
"""
texts - the sentences of the report, in text/NAME.md, with the figures put in

A text has parts, each below a line "## NAME".  In a part,

	{q5.tree_over_global_8vcpu_1ms}		is the median of a figure
	{q5.tree_over_global_8vcpu_1ms:spread}	the same, with the quartiles
	{q2.tree_held_over_none:percent}	as a percentage

	% if q5.tree_over_global_8vcpu_1ms >= 7 and q5.tree_over_global_1vcpu < 1
	% elif ...
	% else
	% end		choose between sentences.  A condition compares figures
			with numbers or with figures; "not NAME" holds if it
			was not measured.

So a sentence cannot say what the figures do not.  A figure that is missing is
"not measured".  If a condition needs one, none of its sentences is said, and
Texts.missing has the name.
"""

import os
import re

from svg import number

FOLDER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "text")

PLACE = re.compile(r"\{([a-z][\w.]*)(?::(\w+))?\}")
TERM = re.compile(r"([a-z][\w.]*) (>=|<=|>|<) (\S+)$")
COMPARE = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
           ">": lambda a, b: a > b, "<": lambda a, b: a < b}


class Missing(Exception):
    """A figure was not measured."""


class BadText(Exception):
    """A text is not as it should be."""


def spread(figure):
    """The median, and the quartiles as people write them."""
    low, high = number(figure.low), number(figure.high)
    around = "±0" if low == high else "%s to %s" % (low, high)
    return "%s (%s)" % (number(figure.value), around)


FORMS = {
    None: lambda f: number(f.value),
    "spread": spread,
    "percent": lambda f: "%.0f %%" % (100 * f.value),
    "unit": lambda f: "%s %s" % (number(f.value), f.unit),
}


class Texts:
    """The texts, filled in with figures: a dict, None for what is missing."""

    def __init__(self, figures, folder=FOLDER):
        self.figures = figures
        self.folder = folder
        self.missing = []

    def parts(self, name):
        """The parts of text/NAME.md: {name of the part: text}."""
        found, part = {}, None
        with open(os.path.join(self.folder, name + ".md")) as file:
            for line in file:
                self.check(line)
                if line.startswith("## "):
                    part = found.setdefault(line[3:].strip(), [])
                elif part is not None:
                    part.append(line)
        self.missing = []
        return {part: self.fill(lines) for part, lines in found.items()}

    def check(self, line):
        """All figures that a line names exist, even if it is not chosen."""
        names = [found[1] for found in PLACE.finditer(line)]
        if line.startswith("% "):
            names += re.findall(r"[a-z]\w*\.\w+", line)
        for name in names:
            if name not in self.figures:
                raise BadText("there is no figure " + name)

    def fill(self, lines):
        """Choose the sentences of a part, and put the figures in."""
        text = "".join(self.chosen(lines))
        text = PLACE.sub(self.put, text)
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def put(self, found):
        """What stands for a placeholder."""
        if found[2] not in FORMS:
            raise BadText("no such form: " + found[0])
        try:
            return FORMS[found[2]](self.figure(found[1]))
        except Missing:
            return "(not measured)"

    def figure(self, name):
        """A figure, or Missing."""
        if self.figures[name] is None:
            if name not in self.missing:
                self.missing.append(name)
            raise Missing(name)
        return self.figures[name]

    def chosen(self, lines):
        """The lines whose conditions hold."""
        # None: in no block; True: this branch; False: not this one; "done":
        # another branch was the one.
        state = None
        for line in lines:
            if not line.startswith("% "):
                if state in (None, True):
                    yield line
                continue
            word, _, condition = line[2:].strip().partition(" ")
            if (word == "if") != (state is None):
                raise BadText("%s in a wrong place: %s" % (word, line))
            if word == "end":
                state = None
            elif state in (True, "done"):
                state = "done"
            elif word == "else":
                state = True
            else:
                state = self.decide(condition)
        if state is not None:
            raise BadText("an if without an end")

    def decide(self, condition):
        """Does it hold?  "done" if it cannot be known."""
        try:
            return all([self.term(t) for t in condition.split(" and ")])
        except Missing:
            return "done"

    def term(self, term):
        """Does one comparison hold?"""
        if term.startswith("not "):
            return self.figures[term[4:]] is None
        found = TERM.match(term.strip())
        if not found:
            raise BadText("cannot read the condition: " + term)
        try:
            right = float(found[3])
        except ValueError:
            right = self.figure(found[3]).value
        return COMPARE[found[2]](self.figure(found[1]).value, right)
