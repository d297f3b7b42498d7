# SPDX-License-Identifier: GPL-2.0
"""Runs the guest that scripts/guest-image builds, on QEMU, and listens to it.

    with DebianGuest(image, P2M, workload_mib=300) as guest:
        guest.wait(lambda: guest.ready, 120)
        guest.finish()
        guest.wait_exit(60)

QEMU is the stock one, or P2M_VMM in the environment.
"""

import json
import os
import select
import socket
import subprocess
import time

from kernel_log import VM, interrupted_with_interrupts_off

VMM = os.environ.get("P2M_VMM", "qemu-system-x86_64")
SIZE_MIB = 512

# QEMU's object for the guest's memory
P2M = ("memory-backend-file,id=ram,mem-path=/dev/p2m,share=on,align=2M,"
       "size=%dM" % SIZE_MIB)
MEMFD = "memory-backend-memfd,id=ram,share=on,size=%dM" % SIZE_MIB


class Failed(Exception):
    """How the guest or its QEMU failed, in words for a person."""


class Workload:
    """The workload of a guest, through the guest's second serial port.

    hears is what the port's lines are read from, and tells what is written to
    it.
    """

    def __init__(self):
        self.booted = ""        # the name and version that the guest gives
        self.ready = False      # the workload's memory is filled
        self.checked = 0        # pages that the workload checked
        self.wrong = 0          # pages that it found wrong
        self.marked = False     # it has read "mark"
        self.churned = False    # it has done "churn"
        self.passes = 0         # that each of its threads has ended since then
        self.verified_mib = 0   # the last check of everything
        self.verdict = ""
        self.file_sum = ""      # the SHA-1 of a file of a virtiofs
        self.complaints = []    # the workload's lines about wrong pages
        self.hears = self.tells = None
        self._rest = b""

    def listen(self, seconds):
        """Wait for so long at most, and take in what the guest says.

        False if its QEMU has closed the line.
        """
        if not select.select([self.hears], [], [], seconds)[0]:
            return True
        data = os.read(self.hears.fileno(), 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode("ascii", "replace").strip())
        return bool(data)

    def _take(self, line):
        word, _, rest = line.partition(" ")
        if word == "booted":
            self.booted = rest
        elif word == "ready":
            self.ready = True
        elif word == "status":
            self.checked, self.wrong, self.passes = map(int, rest.split())
        elif word == "file":
            self.file_sum = rest.split()[0]
        elif word == "marked":
            self.marked = True
            self.passes = 0
        elif word == "churned":
            self.churned = True
        elif word == "verified":
            self.verified_mib = int(rest.split()[0])
        elif word == "VERDICT":
            self.verdict = rest
        elif line:
            self.complaints.append(line)

    def wait(self, condition, seconds, meanwhile=lambda: None,
             otherwise="the guest did not get there"):
        """Listen until condition() holds."""
        end = time.monotonic() + seconds
        while not condition():
            if not self.listen(0.2):
                self.wait_end()
                raise Failed("QEMU ended before its time" +
                             self.last_words())
            if time.monotonic() > end:
                raise Failed("%s in %d s: %s%s" % (
                    otherwise, seconds, self.progress(), self.last_words()))
            meanwhile()

    def progress(self):
        """How far the guest is."""
        return "it has %s, %sfilled its memory, checked %d pages" % (
            "booted" if self.booted else "not booted",
            "" if self.ready else "not ", self.checked)

    def last_words(self):
        """What else there is to say of a guest that failed."""
        return ""

    def wait_end(self):
        """Its QEMU has closed the line: wait until it has ended."""

    def gone_over(self):
        """Return a condition to wait for.

        It holds when the workload has gone over all its memory from now on.
        """
        self.marked = False
        self._tell(b"mark\n")
        # At the mark, each thread may have been in the middle of a pass.
        return lambda: self.marked and self.passes >= 2

    def diverge(self):
        """Tell the workload to rewrite the pages that all guests have, too."""
        self._tell(b"diverge\n")

    def rest(self):
        """Tell the workload's threads to do nothing."""
        self._tell(b"rest\n")

    def work(self):
        """End rest()."""
        self._tell(b"work\n")

    def churn(self, mib):
        """Tell the workload to use and free memory; a condition to wait for."""
        self.churned = False
        self._tell(b"churn %d\n" % mib)
        return lambda: self.churned

    def finish(self):
        """Tell the workload to check everything, and to give its verdict.

        The guest then powers off.
        """
        self._tell(b"finish\n")

    def _tell(self, line):
        self.tells.write(line)
        self.tells.flush()


class DebianGuest(Workload):
    """A guest in its QEMU.

    words is more for the kernel's command line, and options more for QEMU's.
    """

    def __init__(self, image, memory, workload_mib, vcpus=2, equal_mib=0,
                 paused=False, size=None, words="", options=()):
        super().__init__()
        self._console = os.memfd_create("console")
        self._errors = os.memfd_create("errors")
        self._monitor, monitor = socket.socketpair()
        self.command = [
            VMM, "-accel", "kvm", "-cpu", "host",
            "-smp", "%d" % vcpus, "-m", size or "%dM" % SIZE_MIB,
            "-object", memory, "-machine", "pc,memory-backend=ram",
            "-kernel", image + "/vmlinuz", "-initrd", image + "/initrd",
            "-append", "console=ttyS0 quiet panic=-1"
            " P2M_MIB=%d P2M_EQUAL=%d %s" % (workload_mib, equal_mib, words),
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", "file:/proc/self/fd/%d" % self._console,
            "-serial", "stdio",
            "-chardev", "socket,id=qmp,fd=%d" % monitor.fileno(),
            "-mon", "chardev=qmp,mode=control", *options]
        if paused:
            self.command.append("-S")
        self._qemu = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, pass_fds=[self._console, monitor.fileno()])
        monitor.close()
        self._qmp_lines = self._monitor.makefile("r")
        self.pid = self._qemu.pid
        self.hears, self.tells = self._qemu.stdout, self._qemu.stdin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._qemu.poll() is None:
            self._qemu.kill()
            self._qemu.wait()
        self._qmp_lines.close()
        self._monitor.close()
        os.close(self._console)
        os.close(self._errors)

    def qmp(self, command, arguments=None):
        """Give QEMU's monitor a command; what it returns.  Skips events."""
        self._monitor.settimeout(30)
        request = {"execute": command, "arguments": arguments or {}}
        for asked in ({"execute": "qmp_capabilities"}, request):
            self._monitor.sendall(json.dumps(asked).encode() + b"\n")
            for line in self._qmp_lines:
                answer = json.loads(line)
                if "return" in answer:
                    break
                if "error" in answer and asked is request:
                    raise Failed("QEMU refuses %s: %s" %
                                 (command, answer["error"]["desc"]))
                if "error" in answer:
                    break       # the capabilities were agreed on before
            else:
                raise Failed("QEMU's monitor is gone" + self.last_words())
        return answer["return"]

    def progress(self):
        """How far the guest is, and what it had to do that with."""
        with open("/proc/%d/stat" % self.pid) as file:
            stat = file.read().rpartition(")")[2].split()
        seconds = [int(stat[n]) / os.sysconf("SC_CLK_TCK")
                   for n in (40, 11, 12)]
        return ("%s; its QEMU used the CPU for %.0f s in the guest, %.0f s as"
                " a user, %.0f s in the kernel" % (
                    super().progress(), *seconds))

    def wait_end(self):
        self._qemu.wait()

    def wait_exit(self, seconds):
        end = time.monotonic() + seconds
        while self.listen(max(0, end - time.monotonic())):
            if time.monotonic() > end:
                raise Failed("the guest did not power off in %d s%s" %
                             (seconds, self.last_words()))
        code = self._qemu.wait()
        if code:
            raise Failed("QEMU's exit code is %d%s" %
                         (code, self.last_words()))

    def last_words(self):
        """
        QEMU's exit code, if it ended, and its last lines and the console's.  If
        the guest's kernel complained, they begin shortly before the complaint.
        """
        code = self._qemu.poll()
        text = "" if code is None else " (exit code %d)" % code
        for name, file in (("QEMU said", self._errors),
                           ("the guest's console", self._console)):
            content = os.pread(file, os.fstat(file).st_size, 0)
            lines = content.decode("utf-8", "replace").splitlines()
            tail = len(lines) - 15
            first = next((n - 10 for n, line in enumerate(lines)
                          if VM.search(line)), tail)
            lines = lines[max(min(first, tail), 0):]
            if lines:
                text += "\n%s:\n  %s" % (name, "\n  ".join(lines))
        if interrupted_with_interrupts_off(text):
            text += ("\nthe emulator interrupted this guest while it had "
                     "interrupts off: Documentation/results/emulator.md")
        return text
