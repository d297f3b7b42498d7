# SPDX-License-Identifier: GPL-2.0
"""The ioctls of p2m/uapi/p2m.h, and the way to another process's guest.

    for guest in p2m.guests_of(pid):
        print(guest.stats()["resident"])

Imports little on purpose: Python starts slowly where the CPU is emulated.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct

DEVICE = "/dev/p2m"
FRAME = 4096

P2M_GET_INFO = 0xB200
P2M_GET_STATS = 0xB201
P2M_PAGE_OUT = 0xB210
P2M_PAGE_IN = 0xB211

INFO = ("features", "guest", "gfns")
STATS = ("resident", "paged", "faults", "zeroed", "paged_out", "paged_in",
         "busy", "retries", "lock_waits", "lock_deadlocks")
RANGE = ("gfn", "nr", "max", "next", "done", "busy")

SYS_PIDFD_OPEN = 434
SYS_PIDFD_GETFD = 438


class Error(Exception):
    """What went wrong, in words for a person.  Its class says with what code to exit."""
    code = 1


class NoModule(Error):
    code = 3


class NoProcess(Error):
    code = 4


class NoGuest(Error):
    code = 5


class NoPermission(Error):
    code = 6


class OldKernel(Error):
    code = 7


class ManyGuests(Error):
    code = 8


def mib(frames):
    return frames * FRAME / (1 << 20)


def _syscall(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(number, *map(ctypes.c_long, args))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Guest:
    """One guest, through a descriptor of its open file.  Close it: the guest lives until then."""

    def __init__(self, pid, fd):
        self.pid = pid
        self.fd = fd
        try:
            self.number = self.info()["guest"]
        except OSError:
            self.close()
            raise

    def close(self):
        os.close(self.fd)

    def _call(self, command, fields, **values):
        layout = "=II%dQ" % len(fields)
        data = bytearray(struct.pack(layout, struct.calcsize(layout), 0,
                                     *(values.get(field, 0) for field in fields)))
        fcntl.ioctl(self.fd, command, data)
        return dict(zip(fields, struct.unpack(layout, data)[2:]))

    def info(self):
        return self._call(P2M_GET_INFO, INFO)

    def stats(self):
        return self._call(P2M_GET_STATS, STATS)

    def page(self, command, limit, step=2048):
        """Page out or in until limit frames (0: all) are moved; yields (done, busy) on the way."""
        end = self.info()["gfns"]
        gfn = done = busy = 0
        while gfn < end and (not limit or done < limit):
            most = min(step, limit - done) if limit else step
            part = self._call(command, RANGE, gfn=gfn, nr=end - gfn, max=most)
            if part["next"] <= gfn:
                raise Error("the kernel looked at no frame from %d on, and gave no error" % gfn)
            gfn = part["next"]
            done += part["done"]
            busy += part["busy"]
            yield done, busy


def device_number():
    try:
        device = os.stat(DEVICE)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise NoPermission("%s: %s" % (DEVICE, error.strerror)) from None
        raise NoModule("there is no %s: load p2m_rangelock.ko, then kvm_p2m.ko" % DEVICE) from None
    if not stat.S_ISCHR(device.st_mode):
        raise NoModule("%s is not a device: load kvm_p2m.ko, and remove that file" % DEVICE)
    return device.st_rdev


def _descriptors(pid, device):
    """The descriptors of a process that are open files of the device."""
    folder = "/proc/%d/fd" % pid
    found = []
    for name in os.listdir(folder):
        try:
            file = os.stat("%s/%s" % (folder, name))
        except OSError:
            continue            # closed meanwhile, or not to be reached: not the device
        if stat.S_ISCHR(file.st_mode) and file.st_rdev == device:
            found.append(int(name))
    return sorted(found)


def _take(pid, number):
    try:
        pidfd = _syscall(SYS_PIDFD_OPEN, pid, 0)
        try:
            return _syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        finally:
            os.close(pidfd)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise OldKernel("this kernel has no pidfd_getfd(2): Linux 5.6 or later is needed") from None
        raise


def guests_of(pid):
    """All guests of a process, in the order of their numbers; at least one, or an Error."""
    device = device_number()
    guests = {}
    try:
        for number in _descriptors(pid, device):
            guest = Guest(pid, _take(pid, number))
            if guest.number in guests:
                guest.close()   # a duplicate descriptor
            else:
                guests[guest.number] = guest
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise NoProcess("there is no process %d" % pid) from None
        if error.errno in (errno.EPERM, errno.EACCES):
            raise NoPermission("no permission for process %d: to page its guest you must be allowed to "
                               "trace it (ptrace); be its user, or root" % pid) from None
        raise
    if not guests:
        raise NoGuest("process %d has no guest on %s" % (pid, DEVICE))
    return [guests[number] for number in sorted(guests)]


def guest_of(pid, number=None):
    """The one guest of a process, or the one with that number."""
    guests = guests_of(pid)
    if number is None and len(guests) > 1:
        for guest in guests:
            guest.close()
        raise ManyGuests("process %d has several guests: choose one with --guest (%s)" %
                         (pid, ", ".join(str(guest.number) for guest in guests)))
    chosen = None
    for guest in guests:
        if number in (None, guest.number):
            chosen = guest
        else:
            guest.close()
    if chosen is None:
        raise NoGuest("process %d has no guest %d, but %s" %
                      (pid, number, ", ".join(str(guest.number) for guest in guests)))
    return chosen


def all_guests():
    """All guests of all other processes, and how many processes could not be looked into."""
    device_number()
    found, hidden = [], 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                found += guests_of(int(name))
            except (NoProcess, NoGuest):
                continue        # gone meanwhile, or not a guest's
            except NoPermission:
                hidden += 1
    return sorted(found, key=lambda guest: (guest.pid, guest.number)), hidden


def command_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except OSError:
        return "?"
