# SPDX-License-Identifier: GPL-2.0
"""
study_log - the raw logs of the comparative study: what was measured, a file for
each (question, system, point)

	log = study_log.Log("q5", "tree", {"vcpus": 8, "latency_us": 1000},
	                    where="emulated", command="make study")
	while log.repeats < wanted:
	    log.add(throughput=(rate, "faults/s"))

A log is results/study/raw/QUESTION/SYSTEM/POINT.json.  It is written anew, as a
whole, after each repeat.  So a study that was interrupted goes on where it
stopped, and a reader never sees half a file.
"""

import functools
import json
import os
import platform
import subprocess
import tempfile
import time

REPO = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
RAW = os.path.join(REPO, "results", "study", "raw")

# Where a figure is from: what it can be compared with depends on that.
PLACES = ("native", "emulated", "icount", "xen", "simulated")


def machine():
    """This machine, in a line."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    return "%s, %d CPUs" % (model, os.cpu_count())


@functools.lru_cache()
def commit():
    """The commit that is checked out; with "+" if files were changed since."""
    ran = subprocess.run(["git", "-C", REPO, "describe", "--always",
                          "--abbrev=12", "--exclude=*", "--dirty=+"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True)
    return ran.stdout.strip() or "unknown"


class Log:
    """The raw log of one point of one system."""

    def __init__(self, question, system, point, where, command,
                 kernel="", seed=0):
        assert where in PLACES, where
        name = ",".join("%s=%s" % item for item in point.items())
        self.path = os.path.join(RAW, question, system, name + ".json")
        try:
            with open(self.path) as file:
                self.content = json.load(file)
        except FileNotFoundError:
            self.content = {
                "question": question, "system": system, "point": point,
                "where": where, "command": command, "kernel": kernel,
                "machine": machine(), "seed": seed, "commit": commit(),
                "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "measures": {}}

    @property
    def repeats(self):
        """How many repeats all measures have."""
        return min((len(m.get("values", m.get("histograms")))
                    for m in self.content["measures"].values()), default=0)

    def add(self, **measures):
        """
        One repeat.  Each measure is (value, unit); a value that is a list is a
        histogram: [upper edge, count] for each bucket.
        """
        for name, (value, unit) in measures.items():
            kind = "histograms" if isinstance(value, list) else "values"
            measure = self.content["measures"].setdefault(
                name, {"unit": unit, kind: []})
            assert measure["unit"] == unit, name
            measure[kind].append(value)
        # The repeats may be of different commits.
        known = self.content["commit"].split(", ")
        self.content["commit"] = ", ".join(dict.fromkeys([*known, commit()]))
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with tempfile.NamedTemporaryFile(
                "w", dir=os.path.dirname(self.path), prefix=".",
                delete=False) as file:
            json.dump(self.content, file, indent=1)
            file.write("\n")
        os.replace(file.name, self.path)


def read_all():
    """The content of every raw log."""
    logs = []
    for folder, _, names in sorted(os.walk(RAW)):
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                with open(os.path.join(folder, name)) as file:
                    logs.append(json.load(file))
    return logs
