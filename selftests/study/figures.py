# SPDX-License-Identifier: GPL-2.0
"""
figures - from raw logs to figures: the median and the quartiles of the repeats

	data = figures.Data(study_log.read_all())
	a = data.get("q5", "tree", "throughput", vcpus=8, latency_us=1000)
	b = data.get("q5", "global", "throughput", vcpus=8, latency_us=1000)
	a.over(b)

A figure knows the logs that it is from: their commands, and the place where
they were made.  A figure with fewer than REPEATS repeats is None, as is one
that was not measured; whoever shows it says so.
"""

import statistics

REPEATS = 3

PLACES = {
    "native": "user-mode Linux, native speed",
    "emulated": "real KVM guests in the emulated host",
    "icount": "an emulated host whose clock counts instructions",
    "xen": "real Xen in the emulator",
    "simulated": "simulated",
}


class Figure:
    """The values of all repeats of one thing that was measured."""

    def __init__(self, values, unit, logs):
        self.values = values
        self.unit = unit
        self.logs = logs
        self.low, self.value, self.high = statistics.quantiles(
            values, n=4, method="inclusive")

    @property
    def n(self):
        """How many repeats there are."""
        return len(self.values)

    @property
    def spread(self):
        """How far the quartiles are apart."""
        return self.high - self.low

    @property
    def point(self):
        """For a plot."""
        return self.low, self.value, self.high

    def over(self, other, least=0, unit="ratio"):
        """
        The ratio to another figure, taken within each repeat.  Where the other
        one is below @least, @least is taken: the ratio is at least this.
        """
        if not other:
            return None
        pairs = [(a, max(b, least)) for a, b in zip(self.values, other.values)]
        if len(pairs) < REPEATS or not all(b for _, b in pairs):
            return None
        return Figure([a / b for a, b in pairs], unit, self.logs + other.logs)

    def times(self, factor, unit):
        """The same in another unit."""
        return Figure([v * factor for v in self.values], unit, self.logs)


def over(a, b, least=0):
    """a over b, or None if one of them is."""
    return a.over(b, least) if a and b else None


def commands(figures):
    """The commands that reproduce these figures, each once."""
    return list(dict.fromkeys(log["command"] for f in figures if f
                              for log in f.logs))


def places(figures):
    """The places that these figures are from, each once."""
    found = {log["where"] for f in figures if f for log in f.logs}
    return [p for p in PLACES if p in found]


class Data:
    """All raw logs, to be asked for figures.  It remembers what was used."""

    def __init__(self, logs):
        self.logs = logs
        self.used = set()
        self.by_system = {}
        for log in logs:
            key = log["question"], log["system"]
            self.by_system.setdefault(key, []).append(log)

    def find(self, question, system, measure, **point):
        """
        The log of a point that has the measure, or None.  Of many such points,
        the one of which the fewest keys are not named here.  A point must not
        have a key that is None.
        """
        found = None
        for log in self.by_system.get((question, system), []):
            has = {k: str(v) for k, v in log["point"].items()}
            if measure in log["measures"] and all(
                    has.get(k) == (v if v is None else str(v))
                    for k, v in point.items()):
                if not found or len(has) < len(found["point"]):
                    found = log
        return found

    def get(self, question, system, measure, **point):
        """A figure; None if it has not been measured often enough."""
        log = self.find(question, system, measure, **point)
        if not log:
            return None
        self.used.add((question, system, measure))
        values = log["measures"][measure].get("values", [])
        if len(values) < REPEATS:
            return None
        return Figure(values, log["measures"][measure]["unit"], [log])

    def histogram(self, question, system, measure, **point):
        """All repeats together: [(upper edge, count)], and the log."""
        log = self.find(question, system, measure, **point)
        if not log:
            return None, None
        self.used.add((question, system, measure))
        repeats = log["measures"][measure].get("histograms", [])
        if len(repeats) < REPEATS:
            return None, None
        return together(repeats), log

    def values(self, question, system, key):
        """The values of a key of the points of a system, sorted."""
        found = {log["point"][key]
                 for log in self.by_system.get((question, system), [])
                 if key in log["point"]}
        return sorted(found, key=lambda v: (isinstance(v, str), v))

    def systems(self, question):
        """The systems that a question has logs of."""
        return sorted({s for q, s in self.by_system if q == question})

    def unused(self):
        """What is in the logs, and nobody asked for."""
        return sorted({(log["question"], log["system"], measure)
                       for log in self.logs for measure in log["measures"]}
                      - self.used)


def together(histograms):
    """One histogram of many, with their edges in ascending order."""
    counts = {}
    for histogram in histograms:
        for edge, count in histogram:
            counts[edge] = counts.get(edge, 0) + count
    return sorted(counts.items())


def distribution(histogram):
    """[(upper edge, share of all that is no larger)]"""
    total = sum(count for _, count in histogram)
    points, seen = [], 0
    for edge, count in histogram:
        seen += count
        if total:
            points.append((edge, seen / total))
    return points
