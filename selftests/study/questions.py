# SPDX-License-Identifier: GPL-2.0
"""
questions - the eight questions: of each its figures, its plots, its tables

A function a question, from figures.Data to a Section.  The sentences are in
text/.  Where nothing was measured there are no plots, and the tables say so.
"""

import figures
import svg

LABELS = {
    "tree": "the tree", "global": "one lock", "rwlock": "one rwlock",
    "interval": "interval tree", "readers": "tree with readers",
    "grain4k": "4 KB", "grain1g": "1 GB", "prealloc": "made before",
    "p2m": "/dev/p2m", "uffd": "userfaultfd", "ksm": "KSM",
    "kvmlog": "KVM's dirty log", "balloon": "virtio-balloon", "zram": "zram",
    "xen": "Xen",
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


# ---- 1: readers ------------------------------------------------------

UPDATES = (0, 1, 10, 100)


def q1(data):
    """Exclusive, or many readers?"""
    section = Section("q1")
    systems = ("tree", "readers", "rwlock", "global")

    def get(system, measure, lookers, updates):
        return data.get("q1", system, measure, lookers=lookers,
                        updates_per_1000=updates)

    for kind in ("", "hot_"):
        for updates in UPDATES:
            tree = get("tree", kind + "lookups", 2, updates)
            for other in systems[1:]:
                section.figure(
                    "%stree_over_%s_%d" % (kind, other, updates),
                    figures.over(tree, get(other, kind + "lookups", 2,
                                           updates)))
        for system in systems:
            section.figure("%stwo_over_one_%s" % (kind, system), figures.over(
                get(system, kind + "lookups", 2, 0),
                get(system, kind + "lookups", 1, 0)))
            section.figure("%slookup_ns_%s" % (kind, system),
                           data.get("q1", system, kind + "lookup_ns"))
    for kind, title in (("", "Two CPUs look up frames of all the guest"),
                        ("hot_", "Two CPUs look up frames of the same 2 MB")):
        section.bars(
            "q1-%slookups" % kind.replace("_", "-"), title,
            svg.Axis("million lookups a second, both together"),
            [(updates_name(updates), [
                (s, label(s), get(s, kind + "lookups", 2, updates))
                for s in systems]) for updates in UPDATES])
        section.table(
            ["same 2 MB" if kind else "all of the guest", "one lookup, ns",
             "1 CPU, no updates, M/s", "2 CPUs, no updates, M/s",
             "2 CPUs, 100 updates, M/s", "updates then, thousand/s"],
            [[label(s), data.get("q1", s, kind + "lookup_ns"),
              get(s, kind + "lookups", 1, 0), get(s, kind + "lookups", 2, 0),
              get(s, kind + "lookups", 2, 100),
              get(s, kind + "updates", 2, 100)] for s in systems])
    return section


def updates_name(updates):
    """So many updates, in words."""
    return ("%d update%s per 1,000 lookups" % (updates, "s" * (updates > 1))
            if updates else "no updates")


# ---- 2: foreign mappings ---------------------------------------------

HOLDERS = {"none": "nobody has it mapped", "foreign": "mapped, by a reference",
           "held": "mapped, by a hold"}


def q2(data):
    """Do references have to stand in for locks?"""
    section = Section("q2")

    def get(system, measure, holder):
        return data.get("q2", system, measure, holder=holder)

    for system in ("tree", "global"):
        for measure, name in (("throughput", ""), ("paged_out", "_paged_out")):
            none = get(system, measure, "none")
            for holder in ("foreign", "held"):
                section.figure(
                    "%s_%s_over_none%s" % (system, holder, name),
                    figures.over(get(system, measure, holder), none))
        section.figure("%s_refused" % system,
                       get(system, "refused", "foreign"))
    for measure, title, unit in (
            ("throughput", "The guest's own faults, while a frame is mapped",
             "faults/s"),
            ("paged_out", "Page-out of other frames meanwhile", "pages/s")):
        section.bars("q2-" + measure, title, svg.Axis(unit), [
            (text, [(s, label(s), get(s, measure, holder))
                    for s in ("tree", "global")])
            for holder, text in HOLDERS.items()])
    section.table(
        ["the frame", "policy", "faults/s", "page-out of others, pages/s",
         "pages refused"],
        [[text, label(s), get(s, "throughput", holder),
          get(s, "paged_out", holder), get(s, "refused", holder)]
         for holder, text in HOLDERS.items() for s in ("tree", "global")])
    return section


# ---- 3: the grain ----------------------------------------------------

GRAINS = {"grain4k": "4 KB", "tree": "2 MB", "grain1g": "1 GB",
          "global": "whole guest"}
PATTERNS = {"same2m": "both in the same 2 MB", "disjoint2m": "each in its own",
            "random": "anywhere in 1 GB"}


def q3(data):
    """Is 2 MB the right grain?"""
    section = Section("q3")

    def get(system, pattern, hold=100):
        return data.get("q3", system, "throughput", pattern=pattern,
                        hold_us=hold)

    def cost(system, measure):
        return data.get("q3", system, measure)

    for grain in ("grain4k", "grain1g", "global"):
        for pattern in PATTERNS:
            section.figure("tree_over_%s_%s" % (grain, pattern), figures.over(
                get("tree", pattern), get(grain, pattern)))
    for measure in ("pair_ns", "get2m_ns", "bytes_per_gb"):
        section.figure(measure + "_4k_over_tree", figures.over(
            cost("grain4k", measure), cost("tree", measure)))
    section.figure("bytes_per_gb", cost("tree", "bytes_per_gb"))
    section.bars("q3-throughput", "Two tasks, each holds for 100 µs",
                 svg.Axis("thousand holds a second, both together"), [
                     (text, [(s, grain, scaled(get(s, pattern), 1e-3,
                                               "thousand/s"))
                             for s, grain in GRAINS.items()])
                     for pattern, text in PATTERNS.items()])
    section.bars("q3-cost", "Get and put of 2 MB, with no other task",
                 svg.Axis("ns"), [
                     ("", [(s, grain, cost(s, "get2m_ns"))
                           for s, grain in GRAINS.items()])])
    section.table(
        ["grain", *("%s, holds/s" % t for t in PATTERNS.values()),
         "one frame, ns", "2 MB, ns", "bytes a GB"],
        [[grain, *(get(s, p) for p in PATTERNS), cost(s, "pair_ns"),
          cost(s, "get2m_ns"), cost(s, "bytes_per_gb")]
         for s, grain in GRAINS.items()])
    return section


# ---- 4: memory and time ----------------------------------------------

SIZES = (1, 16, 64, 1024, 16384)


def size_name(gigabytes):
    """64 GB, 16 TB"""
    return ("%d GB" % gigabytes if gigabytes < 1024 else
            "%d TB" % (gigabytes // 1024))


def q4(data):
    """Is the structure affordable?"""
    section = Section("q4")

    def get(system, measure, size, fill):
        return data.get("q4", system, measure, size_gb=size, fill=fill)

    for size in (64, 16384):
        for fill in ("dense", "sparse"):
            name = "%s_%d" % (fill, size)
            bytes_ = get("tree", "bytes", size, fill)
            section.figure("mib_" + name, scaled(bytes_, 2 ** -20, "MiB"))
            section.figure("guest_over_lock_" + name, bytes_ and
                           figures.Figure([size * 2 ** 30 / b for b in
                                           bytes_.values], "ratio",
                                          bytes_.logs))
            section.figure("all_us_" + name, get("tree", "all_us", size, fill))
            section.figure("prealloc_over_tree_" + name, figures.over(
                get("prealloc", "bytes", size, fill), bytes_))
    section.figure("first_ns", get("tree", "first_get_ns", 64, "sparse"))
    section.figure("first_made_ns",
                   get("prealloc", "first_get_ns", 64, "sparse"))
    section.figure("again_ns", get("tree", "again_ns", 64, "sparse"))
    section.figure("made_us", get("prealloc", "made_us", 64, "sparse"))
    for name, title, unit, measure, factor in (
            ("q4-memory", "Memory of the lock", "MiB", "bytes", 2 ** -20),
            ("q4-all", "Get and put of all of a guest", "µs", "all_us", 1)):
        section.lines(
            name, title,
            svg.Axis("guest", log=True,
                     ticks=[(s, "" if s == 16 else size_name(s))
                                   for s in SIZES]),
            svg.Axis(unit, log=True),
            [(s, "%s%s" % (fill, "" if s == "tree" else ", made before"),
              [(size, scaled(get(s, measure, size, fill), factor, unit))
               for size in SIZES], {"dash": fill == "sparse"})
             for s in ("tree", "prealloc")[:1 if measure == "all_us" else 2]
             for fill in ("dense", "sparse")])
    section.table(
        ["guest", "chunks", "memory, MiB", "made before, MiB",
         "making, µs", "first get, ns", "first, made before, ns", "again, ns",
         "all, µs"],
        [[size_name(size), fill,
          *(scaled(get(s, "bytes", size, fill), 2 ** -20, "MiB")
            for s in ("tree", "prealloc")),
          get("prealloc", "made_us", size, fill),
          *(get(s, "first_get_ns", size, fill) for s in ("tree", "prealloc")),
          get("tree", "again_ns", size, fill),
          get("tree", "all_us", size, fill)]
         for fill in ("dense", "sparse") for size in SIZES
         if any(get(s, "bytes", size, fill) for s in ("tree", "prealloc"))])
    return section


# ---- 5: one lock -----------------------------------------------------

POLICIES = ("tree", "interval", "rwlock", "global")
VCPUS = (1, 2, 4, 8)
LATENCIES = {0: "none", 100: "0.1 ms", 1000: "1 ms", 10000: "10 ms"}


class Faults:
    """The figures of question 5."""

    def __init__(self, data):
        self.data = data

    def __call__(self, system, vcpus, latency=1000, load="none",
                 measure="throughput"):
        return self.data.get("q5", system, measure, vcpus=vcpus,
                             latency_us=latency, load=load)

    def loaded(self):
        """The most vCPUs that were measured with load."""
        return next((n for n in reversed(VCPUS)
                     if self("tree", n, 1000, "all", "wait_p99")), 8)


def q5(data):
    """What does one global lock cost?"""
    section = Section("q5")
    get = Faults(data)
    _q5_figures(section, get)
    _q5_throughput(section, get)
    section.words("interval", "And a lock that knows ranges?")
    _q5_waits(section, data, get)
    section.words("simulation", "Beyond two CPUs: a simulation")
    _q5_simulated(section, data, get)
    return section


def _q5_figures(section, get):
    for other in POLICIES[1:]:
        for n in VCPUS:
            for latency, name in ((0, "0"), (100, "100us"), (1000, "1ms"),
                                  (10000, "10ms")):
                ratio = figures.over(get("tree", n, latency),
                                     get(other, n, latency))
                section.figure("tree_over_%s_%dvcpu_%s" % (other, n, name),
                               ratio)
        section.figure("tree_over_%s_1vcpu" % other, figures.over(
            get("tree", 1), get(other, 1)))
        n = get.loaded()
        section.figure("p99_%s_over_tree" % other, figures.over(
            get(other, n, 1000, "all", "wait_p99"),
            get("tree", n, 1000, "all", "wait_p99"), least=1))
    for system in POLICIES:
        section.figure(system + "_8_over_1", figures.over(
            get(system, 8), get(system, 1)))


def _vcpu_axis():
    return svg.Axis("vCPUs of the guest", ticks=VCPUS)


def headline(data):
    """The picture of the first page."""
    section = Section("q5")
    get = Faults(data)
    section.lines(
        "headline", "Frames brought back from a store with a latency of 1 ms",
        _vcpu_axis(), svg.Axis("faults served a second"),
        [(s, label(s), [(n, get(s, n)) for n in VCPUS], {})
         for s in ("tree", "global")])
    return section.parts


def _q5_throughput(section, get):
    section.lines(
        "q5-vcpus", "Faults from a store of 1 ms, by vCPUs", _vcpu_axis(),
        svg.Axis("faults served a second"),
        [(s, label(s), [(n, get(s, n)) for n in VCPUS], {})
         for s in POLICIES])
    section.table(
        ["store", "policy", *("%d vCPU%s, faults/s" % (n, "s" * (n > 1))
                              for n in VCPUS)],
        [[text, label(s), *(get(s, n, latency) for n in VCPUS)]
         for latency, text in LATENCIES.items() for s in POLICIES])
    section.bars(
        "q5-latency", "8 vCPUs: throughput over one lock's",
        svg.Axis("times the throughput of one lock"),
        [("store of %s" % text if latency else "store without latency",
          [(s, label(s), figures.over(get(s, 8, latency),
                                      get("global", 8, latency)))
           for s in POLICIES[:3]]) for latency, text in LATENCIES.items()])


def _q5_waits(section, data, get):
    vcpus = get.loaded()
    series, made_of = [], []
    for system in POLICIES:
        histogram, log = data.histogram("q5", system, "wait", vcpus=vcpus,
                                        latency_us=1000, load="all")
        if histogram:
            series.append(svg.Series(system, label(system),
                                     figures.distribution(histogram)))
            made_of.append(figures.Figure([1, 1, 1], "", [log]))
    if series:
        section.parts.append(Plot("q5-waits", svg.cumulative(
            "Waits under page-out, sharing scan and log-dirty, %d vCPUs"
            % vcpus, svg.Axis("wait of a narrow get, µs", log=True), series),
            made_of, "All repeats together"))
    section.table(
        ["others at work", "policy", "p50 wait, µs", "p99, µs", "most, µs",
         "faults/s"],
        [[text, label(s), *(get(s, vcpus, 1000, load, "wait_" + part)
                            for part in ("p50", "p99", "max")),
          get(s, vcpus, 1000, load)]
         for load, text in (("none", "none"), ("all", "all three"))
         for s in POLICIES])


# ---- 5: beyond two cores, simulated ----------------------------------

MANY = tuple(2 ** i for i in range(11))


def _q5_simulated(section, data, get):
    def sim(system, vcpus, load="none", measure="throughput"):
        return data.get("simulated", system, measure, guest="16tb",
                        vcpus=vcpus, load=load)

    def check(system, vcpus, latency):
        return data.get("simulated", system, "throughput", guest="measured",
                        vcpus=vcpus, latency_us=latency)

    _q5_costs(section, check, sim)
    _q5_errors(section, get, check)
    for other in POLICIES[1:]:
        for n in (64, 1024):
            section.figure("simulated_tree_over_%s_%d" % (other, n),
                           figures.over(sim("tree", n), sim(other, n)))
    for load, name, title in (
            ("none", "q5-simulated", "Simulated: a CPU for each vCPU"),
            ("dirty", "q5-simulated-dirty",
             "Simulated: 16 TB, with log-dirty rounds")):
        section.lines(
            name, title,
            svg.Axis("vCPUs", log=True, ticks=[m for m in MANY
                                               if m.bit_length() % 2]),
            svg.Axis("faults served a second", log=True),
            [(s, label(s), [(n, sim(s, n, load)) for n in MANY], {"dash": True})
             for s in POLICIES])
    section.table(
        ["simulated, 16 TB, faults/s", "1 vCPU",
         *("%s vCPUs" % svg.short(n) for n in (8, 64, 1024))],
        [[label(s), *(sim(s, n) for n in (1, 8, 64, 1024))]
         for s in POLICIES])
    section.table(
        ["simulated waits of 1,024 vCPUs, µs", "p99", "longest",
         "p99, with log-dirty", "longest, with log-dirty"],
        [[label(s), *(sim(s, 1024, load, measure)
                      for load in ("none", "dirty")
                      for measure in ("wait_p99", "wait_max"))]
         for s in POLICIES])


COSTS = {"outside_us": "work outside, µs", "short_holds": "short holds",
         "short_hold_us": "each, µs", "hold_us": "long hold, µs",
         "work_us": "of that work, µs", 
         "handoff_us": "until a woken task goes on, µs"}


def _q5_costs(section, check, sim):
    """What went into the simulation."""
    rows, made_of = [], []
    for system in POLICIES:
        found = [check(system, 2, 1000), sim(system, 1024)]
        if all(found):
            costs, native = (f.logs[0]["costs"] for f in found)
            rows.append([label(system), *(svg.number(costs[c]) for c in COSTS),
                         svg.number(1e3 * native["pair_us"])])
            made_of += found
    if rows:
        section.table(["costs of a fault, 1 ms", *COSTS.values(),
                       "get + put, natively, ns"], rows, made_of=made_of,
                      note="Means, from the raw logs of q5 and q6")


def _q5_errors(section, get, check):
    """How far the simulation is from what was measured, point by point."""
    errors = {(s, latency, n): _error(get(s, n, latency),
                                      check(s, n, latency))
              for s in POLICIES for latency in LATENCIES for n in VCPUS}
    ahead = [e for (_, _, n), e in errors.items() if e and n > 2]
    section.figure("simulation_error", _median_error(ahead))
    section.figure("simulation_error_most", max(
        (_size(e) for e in ahead), key=lambda e: e.value, default=None))
    section.table(
        ["simulated against measured", "store",
         *("%d vCPU%s" % (n, "s" * (n > 1)) for n in VCPUS)],
        [[label(s), LATENCIES[latency],
          *(e and "%+.1f %%" % (100 * e.value) for e in (
              errors[s, latency, n] for n in VCPUS))]
         for s in POLICIES for latency in LATENCIES])


def _error(measured, simulated):
    """How far the simulation is off, over what was measured."""
    if not measured or not simulated:
        return None
    return figures.Figure([s / measured.value - 1 for s in simulated.values],
                          "ratio", measured.logs + simulated.logs)


def _size(error):
    return figures.Figure([abs(v) for v in error.values], "ratio", error.logs)


def _median_error(errors):
    """Of many points: the median, without signs."""
    if len(errors) < figures.REPEATS:
        return None
    return figures.Figure([_size(e).value for e in errors], "ratio",
                          [log for e in errors for log in e.logs])


# ---- 6: ranges from outside ------------------------------------------

FRAMES = (1, 512, 513, 262144, 262145, 1000000)


def q6(data):
    """What do unaligned ranges cost?"""
    section = Section("q6")

    def get(system, frames, aligned, measure="pair_ns"):
        return data.get("q6", system, measure, frames=frames, aligned=aligned)

    for n in FRAMES:
        section.figure("unaligned_over_aligned_%d" % n, figures.over(
            get("tree", n, "no"), get("tree", n, "yes")))
        section.figure("nodes_%d" % n, get("tree", n, "no", "nodes"))
        section.figure("tree_over_interval_%d" % n, figures.over(
            get("tree", n, "no"), get("interval", n, "no")))
        section.figure("pair_ns_%d" % n, get("tree", n, "no"))
    section.figure("pair_ns_1_aligned", get("tree", 1, "yes"))
    section.figure("interval_ns_1", get("interval", 1, "yes"))
    section.bars(
        "q6-cost", "Get and put of a range, with no other task",
        svg.Axis("ns", log=True),
        [("%s frame%s" % ("{:,}".format(n), "s" * (n > 1)),
          [("tree", "the tree, aligned", get("tree", n, "yes")),
           ("tree", "the tree, not aligned", get("tree", n, "no")),
           ("interval", label("interval"), get("interval", n, "no")),
           ("global", label("global"), get("global", n, "no"))])
         for n in FRAMES])
    section.table(
        ["frames", "aligned, ns", "nodes", "not aligned, ns", "nodes",
         "interval tree, ns", "one lock, ns"],
        [["{:,}".format(n), get("tree", n, "yes"),
          get("tree", n, "yes", "nodes"), get("tree", n, "no"),
          get("tree", n, "no", "nodes"), get("interval", n, "no"),
          get("global", n, "no")] for n in FRAMES])
    return section


# ---- 7: what a user would pick instead --------------------------------

JOBS = {"fault": ("first touch", "uffd"), "pageio": ("out and in", "uffd"),
        "share": ("merge and break", "ksm"),
        "dirty": ("a round of log-dirty", "kvmlog"),
        "return": ("give back and touch again", "balloon")}


def q7(data):
    """What would a user pick instead?"""
    section = Section("q7")

    def cost(system, job):
        return data.get("q7", system, "instructions", job=job)

    def faults(system, vcpus):
        return data.get("q7", system, "throughput", job="pagefaults",
                        vcpus=vcpus)

    rivals = [s for s in data.systems("q7") if s != "p2m"]
    groups = []
    for job, (text, first) in JOBS.items():
        there = [s for s in rivals if cost(s, job)]
        section.figure("p2m_over_%s_%s" % (first, job), figures.over(
            cost("p2m", job), cost(first, job)))
        groups.append((text, [(s, label(s), cost(s, job)) for s in (
            "p2m", *sorted(there, key=lambda s: (s != first, s)))]))
    for n in VCPUS:
        section.figure("faults_p2m_over_uffd_%dvcpu" % n, figures.over(
            faults("p2m", n), faults("uffd", n)))
    section.figure("zram_pageio_p2m_over", figures.over(
        cost("p2m", "pageio"), cost("zram", "pageio")))
    section.bars("q7-instructions", "Executed instructions a page of 4 KB",
                 svg.Axis("thousand instructions: guest, VMM and kernel"),
                 [(text, [(s, name, scaled(f, 1e-3, "thousand"))
                          for s, name, f in rows]) for text, rows in groups])
    section.lines("q7-faults", "Faults from a store of 1 ms", _vcpu_axis(),
                  svg.Axis("faults served a second"),
                  [(s, label(s), [(n, faults(s, n)) for n in VCPUS], {})
                   for s in ("p2m", "uffd")])
    section.table(["job", "who", "instructions a page",
                   "/dev/p2m's over these"],
                  [[text, name, f, figures.over(rows[0][2], f)
                    if s != "p2m" else ""]
                   for text, rows in groups for s, name, f in rows])
    section.table(["a store of 1 ms", *("%d vCPU%s, faults/s" % (
        n, "s" * (n > 1)) for n in VCPUS)],
                  [[label(s), *(faults(s, n) for n in VCPUS)]
                   for s in ("p2m", "uffd")])
    return section


# ---- 8: real Xen -----------------------------------------------------

XEN_JOBS = {"evict": "page out", "populate": "page in",
            "limit": "page in at the limit", "logdirty": "log-dirty"}
XEN_VCPUS = (1, 2, 4)
LOCK = {"acquisitions": "gets", "hold": "hold, ns", "held": "held, % of time",
        "blocked": "blocked, % of gets", "block": "wait, ns a get"}


def q8(data):
    """Real Xen."""
    section = Section("q8")

    def get(system, measure, job, vcpus, **more):
        return data.get("q8", system, measure, job=job, vcpus=vcpus, **more)

    _q8_figures(section, get)
    section.lines("q8-populate", "Pages that come in when they are touched",
                  svg.Axis("vCPUs of the guest", ticks=XEN_VCPUS),
                  svg.Axis("pages a second"),
                  [(s, label(s), [(n, get(s, "rate", "populate", n))
                                  for n in XEN_VCPUS], {})
                   for s in ("p2m", "xen")])
    section.bars("q8-rates", "A guest with one vCPU",
                 svg.Axis("pages a second"),
                 [(text, [(s, label(s), get(s, "rate", job, 1))
                          for s in ("p2m", "xen")])
                  for job, text in XEN_JOBS.items()])
    _q8_jobs(section, get)
    section.words("beside", "What Xen shows and the rivals do not")
    _q8_locks(section, get)
    return section


def _q8_figures(section, get):
    for job in XEN_JOBS:
        for n in XEN_VCPUS:
            xen = get("xen", "rate", job, n)
            section.figure("%s_rate_%d" % (job, n), xen)
            section.figure("%s_p2m_over_xen_%d" % (job, n), figures.over(
                get("p2m", "rate", job, n), xen))
            for what in LOCK:
                section.figure("%s_lock_%s_%d" % (job, what, n),
                               get("xen", "p2m_" + what, job, n))
    for system in ("xen", "p2m"):
        section.figure(system + "_populate_4_over_1", figures.over(
            get(system, "rate", "populate", 4),
            get(system, "rate", "populate", 1)))
        section.figure(system + "_boot_ms",
                       get(system, "boot", "pod_boot", 1, pod="yes"))
    section.figure("boot_pod_over_all", figures.over(
        get("xen", "boot", "pod_boot", 1, pod="yes"),
        get("xen", "boot", "pod_boot", 1, pod="no")))
    section.figure("round_p2m_over_xen", figures.over(
        get("p2m", "round", "logdirty", 1), get("xen", "round", "logdirty", 1)))


def _q8_jobs(section, get):
    section.table(
        ["job", "vCPUs", "Xen, pages/s", "/dev/p2m, pages/s",
         "Xen: p99 of a touch, µs", "/dev/p2m: p99, µs"],
        [[text, str(n), get("xen", "rate", job, n), get("p2m", "rate", job, n),
          get("xen", "touch_p99", job, n), get("p2m", "touch_p99", job, n)]
         for job, text in XEN_JOBS.items() for n in XEN_VCPUS])
    section.table(
        ["instructions a page", "Xen: dom0", "Xen: guest and Xen", "/dev/p2m"],
        [[text, *(get(s, measure, job, 1, clock="instructions")
                  for s, measure in (("xen", "dom0_page"),
                                     ("xen", "guest_page"),
                                     ("p2m", "dom0_page")))]
         for job, text in XEN_JOBS.items()])
    section.table(
        ["one vCPU", "Xen", "Xen, all before", "/dev/p2m"],
        [["boot, on demand, ms", get("xen", "boot", "pod_boot", 1, pod="yes"),
          get("xen", "boot", "pod_boot", 1, pod="no"),
          get("p2m", "boot", "pod_boot", 1, pod="yes")],
         ["log-dirty on, ms", get("xen", "enable", "logdirty", 1), "",
          get("p2m", "enable", "logdirty", 1)],
         ["a round of log-dirty, ms", get("xen", "round", "logdirty", 1), "",
          get("p2m", "round", "logdirty", 1)],
         ["a round, nothing written, ms",
          get("xen", "idle_round", "logdirty", 1), "",
          get("p2m", "idle_round", "logdirty", 1)]])


def _q8_locks(section, get):
    """What xenlockprof says."""
    section.table(
        ["Xen's p2m lock, held to write", "vCPUs", *LOCK.values()],
        [[text, str(n), *(get("xen", "p2m_" + what, job, n) for what in LOCK)]
         for job, text in XEN_JOBS.items() for n in XEN_VCPUS])


ALL = (q1, q2, q3, q4, q5, q6, q7, q8)
