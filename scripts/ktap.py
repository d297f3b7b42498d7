# SPDX-License-Identifier: GPL-2.0
"""KTAP, read and written by Python scripts."""

import collections
import re

_PLAN = re.compile(r" *1\.\.(\d+)\s*(?:#\s*(SKIP.*))?$", re.I)
_RESULT = re.compile(
    r"(?P<depth> *)(?P<bad>not )?ok\b\s*(?P<number>\d*)\s*-?\s*(?P<name>.*?)\s*"
    r"(?:#\s*(?P<directive>(?:SKIP|TODO)\b.*))?$", re.I)
_TIME = re.compile(r"^\[.*?\] ")

# depth is the indentation.  directive, for example "SKIP no swap", may be None.
Result = collections.namedtuple("Result", "depth ok number name directive")


def parse(line):
    """The result that a line of KTAP has, or None."""
    found = _RESULT.match(line)
    return found and Result(len(found["depth"]), not found["bad"],
                            found["number"], found["name"], found["directive"])


def parse_logged(line):
    """The result that a line of a kernel's log has, or None."""
    found = parse(_TIME.sub("", line))
    return found if found and found.number and found.name else None


class Level:
    """The tests of one stream: of the whole, or of those below one test."""

    def __init__(self):
        self.plan = None
        self.results = 0
        self.bad = 0


class Count:
    """Counts the results in a suite's KTAP."""

    def __init__(self, suite):
        self.suite = suite
        self.passed = 0
        self.failed = []
        self.levels = {}                # by indentation

    def fail(self, name, why):
        self.failed.append(f"{self.suite}: {name}: {why}")

    def line(self, text):
        """Take in one line."""
        plan = _PLAN.match(text)
        found = parse(text)
        if plan:
            depth = len(text) - len(text.lstrip(" "))
            level = self.levels.setdefault(depth, Level())
            level.plan = int(plan[1])
        elif found:
            self.result(found)

    def result(self, result):
        """Take in one result."""
        ok, name = result.ok, result.name
        below = self.close(result.depth, name)
        if result.directive:
            # A test that is skipped may have no tests below it.
            ok = False
            self.fail(name, f"did not run ({result.directive})")
        elif below is None and ok:
            self.passed += 1
        elif ok and not below.results:
            ok = False
            self.fail(name, "no test ran")
        elif not ok and not (below and below.bad):
            self.fail(name, "failed")
        ok = ok and not (below and below.bad)
        level = self.levels.setdefault(result.depth, Level())
        level.results += 1
        level.bad += not ok

    def close(self, depth, name):
        """End the levels below depth, which belonged to the test name."""
        below = None
        for d in sorted(d for d in self.levels if d > depth):
            level = self.levels.pop(d)
            missing = (level.plan or 0) - level.results
            if missing > 0:
                level.bad += 1
                self.fail(name, f"{missing} of its {level.plan} tests missing")
            below = below or level
        return below

    def end(self, code):
        """The suite has ended."""
        total = self.close(-1, "all")
        if not total or not total.results:
            self.fail("all", "no test ran")
        if code and not (code == 1 and self.failed):
            self.fail("all", f"the suite ended with exit code {code}")


class Report:
    """Writes the results of so many tests."""

    def __init__(self, tests):
        self.number = 0
        self.failed = 0
        print("KTAP version 1\n1..%d" % tests, flush=True)

    def test(self, ok, name, words=""):
        """One result, after words as comments."""
        self.number += 1
        self.failed += not ok
        for line in words.splitlines():
            print("# %s" % line)
        print("%sok %d %s" % ("" if ok else "not ", self.number, name),
              flush=True)
