# SPDX-License-Identifier: GPL-2.0
"""
question5 - what one global lock costs: measured, and simulated beyond that
"""

import figures
import svg
from sections import Plot, Section, label, scaled

POLICIES = ("tree", "interval", "rwlock", "global")
VCPUS = (1, 2, 4, 8)
LATENCIES = {0: "none", 100: "0.1 ms", 1000: "1 ms", 10000: "10 ms"}


class Faults:
    """The figures of question 5."""

    def __init__(self, data, question="q5"):
        self.data = data
        self.question = question

    def __call__(self, system, vcpus, latency=1000, load="none",
                 measure="throughput"):
        return self.data.get(self.question, system, measure, vcpus=vcpus,
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
    section.words("smp", "On two CPUs, in real time")
    _q5_smp(section, Faults(data, "q5_smp"))
    section.words("simulation", "With more CPUs: a simulation")
    _q5_simulated(section, data)
    return section


def _q5_figures(section, get):
    most = get.loaded()

    def loaded(system, measure):
        return get(system, most, 1000, "all", measure)

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
        section.figure("p99_%s_over_tree" % other, figures.over(
            loaded(other, "wait_p99"), loaded("tree", "wait_p99"), least=1))
    section.figure("touch_p99_global_over_tree", figures.over(
        loaded("global", "touch_p99"), loaded("tree", "touch_p99")))
    for system in POLICIES:
        section.figure("p99_%s_us" % system, loaded(system, "wait_p99"))
        for name, measure in (("p99", "wait_p99"), ("longest", "wait_max"),
                              ("touch_p99", "touch_p99")):
            section.figure("%s_%s_ms" % (name, system), scaled(
                loaded(system, measure), 1e-3, "ms"))
        section.figure(system + "_8_over_1", figures.over(
            get(system, 8), get(system, 1)))


def vcpu_axis():
    """An axis of vCPUs, as they were measured."""
    return svg.Axis("vCPUs of the guest", ticks=VCPUS)


def headline(data):
    """The picture of the first page."""
    section = Section("q5")
    get = Faults(data)
    section.lines(
        "headline", "Frames brought back from a store with a latency of 1 ms",
        vcpu_axis(), svg.Axis("faults served a second"),
        [(s, label(s), [(n, get(s, n)) for n in VCPUS], {})
         for s in ("tree", "global")])
    return section.parts


def _q5_throughput(section, get):
    section.lines(
        "q5-vcpus", "Faults from a store of 1 ms, by vCPUs", vcpu_axis(),
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
         "touch by the guest, p99, µs"],
        [[text, label(s), *(get(s, vcpus, 1000, load, measure) for measure in (
            "wait_p50", "wait_p99", "wait_max", "touch_p99"))]
         for load, text in (("none", "none"), ("all", "all three"))
         for s in POLICIES])
    section.table(
        ["all at work", "faults/s", "pages out/s", "rounds of log-dirty/s",
         "longest wide hold, µs", "CPUs busy"],
        [[label(s), *(get(s, vcpus, 1000, "all", measure) for measure in (
            "throughput", "paged_out", "log_dirty", "wide_hold_max", "busy"))]
         for s in POLICIES])


def _q5_smp(section, get):
    """The same on two CPUs."""
    # With one vCPU and no store the policies cannot differ: this is noise.
    control = sorted((f for f in (get(s, 1, 0) for s in POLICIES) if f),
                     key=lambda f: f.value)
    section.figure("smp_noise", figures.over(control[-1], control[0])
                   if control else None)
    section.figure("smp_tree_over_interval_8vcpu_1ms", figures.over(
        get("tree", 8), get("interval", 8)))
    section.figure("smp_touch_p99_global_over_tree", figures.over(
        get("global", 8, 1000, "all", "touch_p99"),
        get("tree", 8, 1000, "all", "touch_p99")))
    section.figure("smp_tree_over_global_8vcpu_1ms", figures.over(
        get("tree", 8), get("global", 8)))
    section.figure("smp_tree_over_global_1vcpu", figures.over(
        get("tree", 1), get("global", 1)))
    section.figure("smp_p99_global_over_tree", figures.over(
        get("global", 8, 1000, "all", "wait_p99"),
        get("tree", 8, 1000, "all", "wait_p99"), least=1))
    section.table(
        ["store, two CPUs", "policy", *("%d vCPU%s, faults/s" % (
            n, "s" * (n > 1)) for n in VCPUS), "p99 wait, all three, µs"],
        [[text, label(s), *(get(s, n, latency) for n in VCPUS),
          get(s, 8, 1000, "all", "wait_p99") if latency == 1000 else ""]
         for latency, text in LATENCIES.items() for s in POLICIES])


# ---- Simulated -------------------------------------------------------

MANY = tuple(2 ** i for i in range(11))


def _q5_simulated(section, data):
    def sim(system, vcpus, load="none", measure="throughput"):
        return data.get("simulated", system, measure, guest="16tb",
                        vcpus=vcpus, load=load)

    def check(question, system, vcpus, latency):
        return data.get("simulated", system, "throughput", guest=question,
                        vcpus=vcpus, latency_us=latency)

    _q5_costs(section, check, sim)
    _q5_errors(section, data, check)
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
        found = [check("q5", system, 2, 1000), sim(system, 1024)]
        if all(found):
            costs, native = (f.logs[0]["costs"] for f in found)
            rows.append([label(system), *(svg.number(costs[c]) for c in COSTS),
                         svg.number(1e3 * native["pair_us"])])
            made_of += found
    if rows:
        section.table(["costs of a fault, 1 ms", *COSTS.values(),
                       "get + put, natively, ns"], rows, made_of=made_of,
                      note="Means, from the raw logs of q5 and q6")


def _q5_errors(section, data, check):
    """How far the simulation is from what was measured, point by point."""
    for question, text, name in (
            ("q5", "off by, one CPU", "simulation_error"),
            ("q5_smp", "off by, two CPUs", "simulation_smp_error")):
        get = Faults(data, question)
        errors = {(s, latency, n): _error(get(s, n, latency),
                                          check(question, s, n, latency))
                  for s in POLICIES for latency in LATENCIES for n in VCPUS}
        known = [e for e in errors.values() if e]
        ahead = [e for (_, _, n), e in errors.items() if e and n > 2]
        section.figure(name, _median_error(ahead))
        section.figure(name + "_most", max(
            (_size(e) for e in ahead), key=lambda e: e.value, default=None))
        section.table(
            [text, "store", *("%d vCPU%s" % (n, "s" * (n > 1))
                              for n in VCPUS)],
            [[label(s), LATENCIES[latency],
              *(_percent(errors[s, latency, n]) for n in VCPUS)]
             for s in POLICIES for latency in LATENCIES], made_of=known,
            note="Simulated less measured, over measured; medians")


def _error(measured, simulated):
    """How far the simulation is off, over what was measured."""
    if not measured or not simulated:
        return None
    return figures.Figure([s / measured.value - 1 for s in simulated.values],
                          "ratio", measured.logs + simulated.logs)


def _percent(error):
    return error and "%+.1f %%" % (round(100 * error.value, 1) or 0)


def _size(error):
    return figures.Figure([abs(v) for v in error.values], "ratio", error.logs)


def _median_error(errors):
    """Of many points: the median, without signs."""
    if len(errors) < figures.REPEATS:
        return None
    return figures.Figure([_size(e).value for e in errors], "ratio",
                          [log for e in errors for log in e.logs])
