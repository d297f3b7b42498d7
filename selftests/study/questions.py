# SPDX-License-Identifier: GPL-2.0
"""
questions - the eight questions: of each its figures, its plots, its tables

A function a question, from figures.Data to a Section.  The sentences are in
text/.  Where nothing was measured there are no plots and no tables.
"""

import figures
import svg
from question5 import VCPUS, q5, vcpu_axis
from sections import Section, label, scaled

# ---- 1: readers ------------------------------------------------------

UPDATES = (0, 1, 10, 100)


def q1(data):
    """Exclusive, or many readers?"""
    section = Section("q1")
    systems = ("tree", "exclusive", "readers", "rwlock", "global")

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
        section.figure(kind + "exclusive_over_readers_0", figures.over(
            get("exclusive", kind + "lookups", 2, 0),
            get("readers", kind + "lookups", 2, 0)))
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
             "1 CPU, no changes, M/s", "2 CPUs, no changes, M/s",
             "2 CPUs, 100 changes in 1,000, M/s", "changes then, thousand/s"],
            [[label(s), data.get("q1", s, kind + "lookup_ns"),
              get(s, kind + "lookups", 1, 0), get(s, kind + "lookups", 2, 0),
              get(s, kind + "lookups", 2, 100),
              get(s, kind + "updates", 2, 100)] for s in systems])
    return section


def updates_name(updates):
    """So many updates, in words."""
    return ("%d change%s in 1,000 operations" % (updates, "s" * (updates > 1))
            if updates else "no changes")


# ---- 2: foreign mappings ---------------------------------------------

HOLDERS = {"none": "nobody has it mapped", "foreign": "mapped, by a reference",
           "held": "mapped, by a hold"}


def q2(data):
    """Do references have to stand in for locks?"""
    section = Section("q2")

    def get(system, measure, holder, **more):
        return data.get("q2", system, measure, holder=holder, **more)

    for system in ("tree", "global"):
        for measure, name in (("throughput", ""), ("paged_out", "_paged_out")):
            none = get(system, measure, "none")
            for holder in ("foreign", "held"):
                section.figure(
                    "%s_%s_over_none%s" % (system, holder, name),
                    figures.over(get(system, measure, holder), none))
        section.figure("%s_refused" % system,
                       get(system, "refused", "foreign"))
        section.figure("%s_held_over_none_log_dirty" % system, figures.over(
            get(system, "throughput", "held", log_dirty="yes"),
            get(system, "throughput", "none", log_dirty="yes")))
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
    section.table(
        ["with log-dirty as well", "policy", "faults/s",
         "page-out of others, pages/s", "rounds of log-dirty/s"],
        [[text, label(s), *(get(s, measure, holder, log_dirty="yes")
                            for measure in ("throughput", "paged_out",
                                            "log_dirty"))]
         for holder, text in HOLDERS.items() for s in ("tree", "global")])
    return section


# ---- 3: the grain ----------------------------------------------------

GRAINS = {"grain4k": "4 KB", "tree": "2 MB", "grain1g": "1 GB",
          "global": "whole guest"}
PATTERNS = {"same2m": "both in the same 2 MB", "disjoint2m": "each in its own",
            "random": "anywhere in 4 GB"}


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
    section.figure("tree_over_grain1g_disjoint2m_1us", figures.over(
        get("tree", "disjoint2m", 1), get("grain1g", "disjoint2m", 1)))
    section.figure("global_over_tree_same2m_1us", figures.over(
        get("global", "same2m", 1), get("tree", "same2m", 1)))
    section.table(
        ["grain, each holds for 1 µs",
         *("%s, thousand holds/s" % t for t in PATTERNS.values())],
        [[grain, *(scaled(get(s, p, 1), 1e-3, "thousand/s")
                   for p in PATTERNS)] for s, grain in GRAINS.items()])
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
        "dirty": ("a round of log-dirty", "kvmlog")}


def q7(data):
    """What would a user pick instead?"""
    section = Section("q7")

    def cost(system, job):
        return data.get("q7", system, "instructions", job=job)

    def faults(system, vcpus):
        return data.get("q7", system, "throughput", job="pagefaults",
                        vcpus=vcpus)

    # The store is a copy today, so a comparison with zram would be none.
    rivals = [s for s in data.systems("q7") if s not in ("p2m", "zram")]
    groups = []
    for job, (text, first) in JOBS.items():
        there = [s for s in rivals if cost(s, job)]
        section.figure("p2m_over_%s_%s" % (first, job), figures.over(
            cost("p2m", job), cost(first, job)))
        groups.append((text, [(s, label(s), cost(s, job)) for s in (
            "p2m", *sorted(there, key=lambda s: (s != first, s)))]))
    back = {s: scaled(data.get("q7", s, "rate", job="return"), 1e-6, "MB/s")
            for s in ("p2m", "balloon")}
    for n in VCPUS:
        section.figure("faults_p2m_over_uffd_%dvcpu" % n, figures.over(
            faults("p2m", n), faults("uffd", n)))
    section.bars("q7-instructions", "Executed instructions a page of 4 KB",
                 svg.Axis("thousand instructions: guest, VMM and kernel"),
                 [(text, [(s, name, scaled(f, 1e-3, "thousand"))
                          for s, name, f in rows]) for text, rows in groups])
    section.lines("q7-faults", "Faults from a store of 1 ms", vcpu_axis(),
                  svg.Axis("faults served a second"),
                  [(s, label(s), [(n, faults(s, n)) for n in VCPUS], {})
                   for s in ("p2m", "uffd")])
    section.table(["job", "who", "instructions a page",
                   "/dev/p2m's over these"],
                  [[text, name, f, figures.over(rows[0][2], f)
                    if s != "p2m" else ""]
                   for text, rows in groups for s, name, f in rows])
    section.table(["memory given back to the host", "MB/s"],
                  [["/dev/p2m: a sweep of zero pages", back["p2m"]],
                   ["virtio-balloon", back["balloon"]]])
    section.table(["a store of 1 ms", *("%d vCPU%s, faults/s" % (
        n, "s" * (n > 1)) for n in VCPUS)],
                  [[label(s), *(faults(s, n) for n in VCPUS)]
                   for s in ("p2m", "uffd")])
    return section


# ---- 8: real Xen -----------------------------------------------------

XEN_VCPUS = (1, 2, 4)
# job: (text, the measure that is its cost in instructions)
XEN_COSTS = {"evict": ("page out, a page", "dom0_page"),
             "populate": ("a touch that pages in", "touch_p50"),
             "logdirty": ("the first write to a clean page", "touch_p50")}
XEN_JOBS = {"evict": "page out", "populate": "page in",
            "logdirty": "log-dirty"}


class Xen:
    """The figures of question 8: of one CPU that counts, or of several."""

    def __init__(self, data):
        self.data = data

    def __call__(self, system, measure, job, vcpus=1, **more):
        """Where the clock is a real one."""
        more.setdefault("clock", None)
        return self.data.get("q8", system, measure, job=job, vcpus=vcpus,
                             **more)

    def counted(self, system, measure, job, **more):
        """Where the clock counts instructions."""
        return self(system, measure, job, clock="instructions", **more)

    def gets(self, job):
        """How often Xen takes its p2m lock to write, for a page."""
        return figures.over(self.counted("xen", "p2m_acquisitions", job),
                            self.counted("xen", "pages", job))


def q8(data):
    """Real Xen."""
    section = Section("q8")
    get = Xen(data)
    for job, (_, measure) in XEN_COSTS.items():
        section.figure(job + "_xen_over_p2m", figures.over(
            *(get.counted(s, measure, job) for s in ("xen", "p2m"))))
        section.figure(job + "_gets", get.gets(job))
        section.figure(job + "_held",
                       get.counted("xen", "p2m_held", job))
        section.figure(job + "_hold", get.counted("xen", "p2m_hold", job))
    section.figure("round_p2m_over_xen", figures.over(
        get.counted("p2m", "round", "logdirty"),
        get.counted("xen", "round", "logdirty")))
    section.figure("boot_pod_over_all", figures.over(
        get.counted("xen", "boot", "pod_boot", pod="yes"),
        get.counted("xen", "boot", "pod_boot", pod="no")))
    section.figure("populate_4_over_1", figures.over(
        get("xen", "rate", "populate", 4), get("xen", "rate", "populate", 1)))
    section.figure("p2m_populate_4_over_1", figures.over(
        get("p2m", "rate", "populate", 4), get("p2m", "rate", "populate", 1)))
    section.figure("populate_blocked_4",
                   get("xen", "p2m_blocked", "populate", 4))
    section.bars("q8-costs", "The same job on Xen and on /dev/p2m, one vCPU",
                 svg.Axis("instructions, of all that takes part", log=True),
                 [(text, [(s, label(s), get.counted(s, measure, job))
                          for s in ("p2m", "xen")])
                  for job, (text, measure) in XEN_COSTS.items()])
    _q8_costs(section, get)
    section.words("locks", "The locks")
    _q8_locks(section, data, get)
    section.words("cpus", "With more CPUs")
    _q8_cpus(section, get)
    section.words("beside", "What Xen shows and the rivals do not")
    return section


def _q8_costs(section, get):
    section.table(
        ["one vCPU, instructions", "Xen", "/dev/p2m", "Xen's over these"],
        [[text, *both, figures.over(*both)] for text, both in (
            (text, [get.counted(s, measure, job) for s in ("xen", "p2m")])
            for text, measure, job in (
                *((text, measure, job)
                  for job, (text, measure) in XEN_COSTS.items()),
                ("log-dirty on", "enable", "logdirty"),
                ("a round, all written", "round", "logdirty"),
                ("a round, nothing written", "idle_round", "logdirty")))])
    million = [scaled(get.counted(s, "boot", "pod_boot", pod=pod), 1e-6,
                      "million") for s, pod in (
                          ("xen", "yes"), ("xen", "no"), ("p2m", "yes"))]
    section.table(
        ["millions of instructions", "Xen, on demand", "Xen, all before",
         "/dev/p2m, on demand"],
        [["boot with 192 MiB of memory", *million]])


# How long question 5 measures a point without latency: guest/run says it too.
MS_AT_ONCE = 200


def _q8_locks(section, data, get):
    """What xenlockprof says, beside the range lock of the same job."""
    rows = [["Xen: " + XEN_JOBS[job], get.gets(job),
             get.counted("xen", "p2m_hold", job),
             get.counted("xen", "p2m_held", job)] for job in XEN_JOBS]
    point = {"vcpus": 1, "latency_us": 0, "load": "none"}
    log = data.find("q5", "tree", "hold", **point)
    faults = data.get("q5", "tree", "throughput", **point)
    if log and faults:
        repeats = log["measures"]["hold"]["histograms"]
        seconds = MS_AT_ONCE / 1e3
        gets = [sum(n for _, n in h) for h in repeats]
        # A bucket is as wide as a 16th of its edge.
        held = [sum(1e3 * edge * 31 / 32 * n for edge, n in h)
                for h in repeats]
        rows.append(["/dev/p2m: page in", figures.Figure(
            [g / (f * seconds) for g, f in zip(gets, faults.values)],
            "gets/page", [log]),
            figures.Figure([h / g for h, g in zip(held, gets)],
                           "instructions/get", [log]),
            figures.Figure([h / 1e7 / seconds for h in held], "%", [log])])
    section.table(["the p2m lock", "gets a page", "hold, instructions",
                   "held, % of the time"], rows)


def _q8_cpus(section, get):
    section.lines("q8-populate", "Pages that come in when they are touched",
                  svg.Axis("vCPUs of the guest", ticks=XEN_VCPUS),
                  svg.Axis("pages a second"),
                  [(s, label(s), [(n, get(s, "rate", "populate", n))
                                  for n in XEN_VCPUS], {})
                   for s in ("p2m", "xen")])
    rows = [[text, str(n), get("xen", "rate", job, n),
             get("p2m", "rate", job, n), get("xen", "p2m_held", job, n),
             get("xen", "p2m_blocked", job, n)]
            for job, text in XEN_JOBS.items() for n in XEN_VCPUS]
    if any(cell for row in rows for cell in row[2:]):
        section.table(
            ["job", "vCPUs", "Xen, pages/s", "/dev/p2m, pages/s",
             "Xen's p2m lock: held, %", "gets that wait, %"], rows)


ALL = (q1, q2, q3, q4, q5, q6, q7, q8)
