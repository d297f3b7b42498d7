# SPDX-License-Identifier: GPL-2.0
"""What the tests of selftests/qemu have in common.

Their own folder, scripts and tools are in sys.path.
"""

import os
import subprocess
import time

from debian_guest import Failed

LIMIT = 300                     # seconds for a boot, or for the last check
MIB = 256                       # frames
DEBUGFS = "/sys/kernel/debug/p2m/"


def expect(true, otherwise):
    if not true:
        raise Failed(otherwise)


def in_mib(frames):
    return "%.1f MiB" % (frames / MIB)


def run(*command):
    """Run a command; the seconds that it took."""
    start = time.monotonic()
    try:
        subprocess.run(command, check=True, timeout=LIMIT,
                       stdout=subprocess.DEVNULL)
    except (subprocess.CalledProcessError,
            subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    return time.monotonic() - start


def wait_for_socket(path, process, name):
    """Wait until a daemon has made its socket."""
    end = time.monotonic() + LIMIT
    while not os.path.exists(path):
        expect(process.poll() is None and time.monotonic() < end,
               name + " did not start")
        time.sleep(0.1)


# ---- The file system ---------------------------------------------------

def totals():
    with open(DEBUGFS + "totals") as file:
        return {name: int(number) for name, number in map(str.split, file)}


def left_behind(folder):
    """Remove all guests of a mount, and unmount it; what is wrong, in words."""
    wrong = []
    with open(DEBUGFS + "audit") as file:
        audit = file.read()
    if not audit.endswith("errors 0\n"):
        wrong.append("the audit finds errors:\n" + audit)
    for where, _, names in os.walk(folder):
        for name in names:
            os.unlink(os.path.join(where, name))
    if any(totals().values()):
        wrong.append("without files there are still: %s" % totals())
    try:
        run("umount", folder)
    except Failed as error:
        wrong.append(str(error))
    with open("/sys/module/kvm_p2m/refcnt") as file:
        users = file.read().strip()
    if users != "0":
        wrong.append("the module has %s users" % users)
    return wrong


# ---- A guest -----------------------------------------------------------

def hear(guest, seconds):
    """Take in what a guest says."""
    end = time.monotonic() + seconds
    guest.wait(lambda: time.monotonic() >= end, seconds + LIMIT)


def wait_ready(guest):
    guest.wait(lambda: guest.booted, LIMIT,
               otherwise="the guest did not boot")
    guest.wait(lambda: guest.ready, LIMIT,
               otherwise="the workload did not begin")


def wait_gone_over(guest):
    """The guest checks each page, and writes to it."""
    guest.wait(guest.gone_over(), LIMIT,
               otherwise="the workload did not go over its memory")


def finish(guest):
    """The guest checks all of its memory; then it powers off."""
    guest.finish()
    guest.wait(lambda: guest.verdict, LIMIT,
               otherwise="the workload gave no verdict")
    expect(guest.verdict == "ok" and not guest.wrong,
           "%d pages are wrong\n%s" % (guest.wrong,
                                       "\n".join(guest.complaints)))
