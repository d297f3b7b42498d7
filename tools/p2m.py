# SPDX-License-Identifier: GPL-2.0
"""The ioctls of p2m/uapi/p2m.h, and access to the guests of other processes.

    for guest in p2m.guests_of(pid):
        print(guest.stats()["resident"])

A guest is a descriptor of /dev/p2m, or a file of a p2m file system.

It imports little on purpose: Python starts slowly in an emulated CPU.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
import time

DEVICE = "/dev/p2m"
FS_TYPE = "p2m"
FS_MAGIC = 0x70326d21
FRAME = 4096

# The access mode for control: see open(2)
O_CONTROL = os.O_RDWR | os.O_WRONLY

# Where libvirt has the number of a domain's process
DOMAIN_PID = "/run/libvirt/qemu/%s.pid"

P2M_GET_INFO = 0xB200
P2M_GET_STATS = 0xB201
P2M_AUDIT = 0xB202
P2M_PAGE_OUT = 0xB210
P2M_PAGE_IN = 0xB211
P2M_COLLAPSE = 0xB212
P2M_DISCARD = 0xB213
P2M_UNSHARE = 0xB232
P2M_SHARE_SCAN = 0xB233
P2M_SHARE_DOMAIN = 0xB234
P2M_POD_SET = 0xB240
P2M_POD_GET = 0xB241
P2M_POD_SWEEP = 0xB242
P2M_DIRTY_START = 0xB250
P2M_DIRTY_STOP = 0xB251
P2M_DIRTY_GET = 0xB252
P2M_FOREIGN_MAP = 0xB260

# Numbers that are no sharing domain
P2M_DOMAIN_ALONE = 0
P2M_DOMAIN_NEVER = (1 << 64) - 1

P2M_DIRTY_CLEAN = 1
P2M_FOREIGN_READONLY = 1
P2M_FOREIGN_MAX = 1 << 16

# Types of frames, in the order of their numbers
TYPES = ("mmio_dm", "ram_rw", "logdirty", "shared", "paging_out", "paged",
         "paging_in", "pod", "prepped", "broken", "taken")

# Fields of the structures, after size and flags; 64 bits each
INFO = ("features", "guest", "gfns", "domain")
STATS = ("resident", "paged", "faults", "zeroed", "paged_out", "paged_in",
         "busy", "retries", "lock_waits", "lock_deadlocks", "shattered",
         "collapsed", "merged", "unshared", "pod_populated", "pod_swept",
         "pod_exhausted", "dirtied", "events", "foreign", "shared",
         "pod_looked", "broken", "discarded")
RANGE = ("gfn", "nr", "max", "next", "done", "busy")
AUDIT = ("errors", "pages", *TYPES,
         *("type%d" % n for n in range(len(TYPES), 16)))
DOMAIN = ("domain",)
SCAN = ("gfn", "nr", "max", "next", "done", "zero", "busy", "looked")
POD = ("target", "populated", "entries", "exhausted")
DIRTY = ("gfn", "nr", "bitmap", "next", "dirty", "busy")
FOREIGN = ("gfn", "nr", "fd")

MS_SAFE = 2 | 4 | 8             # nosuid, nodev, noexec

SYS_PIDFD_OPEN = 434
SYS_PIDFD_GETFD = 438


class Error(Exception):
    """A failure, in words for a person.  Its class has the exit code."""
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


def errno_name(error):
    return errno.errorcode.get(error.errno, "")


def reason_of(error):
    """An OSError in words for a person."""
    if error.errno == errno.ENOTTY:
        return "the loaded kvm_p2m.ko does not know that call"
    if error.filename:
        return "%s: %s" % (error.filename, error.strerror)
    return error.strerror


def mib(frames):
    return frames * FRAME / (1 << 20)


def _libc(function, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, function)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _syscall(number, *args):
    return _libc("syscall", number, *map(ctypes.c_long, args))


class Guest:
    """A guest, through a descriptor of its open file.

    pid is the process that has the guest, or None if no process was looked for
    or found.  path is the guest's file.  Close it: the guest lives until then.
    """

    def __init__(self, pid, fd, path):
        self.pid = pid
        self.fd = fd
        self.path = path
        try:
            self.number = self.info()["guest"]
        except OSError:
            self.close()
            raise

    def close(self):
        os.close(self.fd)

    def call(self, command, fields, flags=0, **values):
        """Do one of the calls; the fields that the kernel returns, by name."""
        layout = "=II%dQ" % len(fields)
        data = bytearray(struct.pack(
            layout, struct.calcsize(layout), flags,
            *(values.get(field, 0) for field in fields)))
        try:
            fcntl.ioctl(self.fd, command, data)
        except PermissionError:
            # These two know other reasons.
            if command in (P2M_SHARE_DOMAIN, P2M_SHARE_SCAN):
                raise
            raise NoPermission("guest %d: only root may control a guest of %s"
                               % (self.number, self.path)) from None
        return dict(zip(fields, struct.unpack(layout, data)[2:]))

    def info(self):
        return self.call(P2M_GET_INFO, INFO)

    def stats(self):
        return self.call(P2M_GET_STATS, STATS)

    def _over(self, end, call, gfn=0):
        """Do call(gfn) from a frame to the end, a part at a time.

        Yields the result of each call.
        """
        while gfn < end:
            part = call(gfn)
            if part["next"] <= gfn:
                raise Error("the kernel looked at no frame from %d on,"
                            " and gave no error" % gfn)
            gfn = part["next"]
            yield part

    def page(self, command, limit, step=2048):
        """Page out or in until limit frames (0: all) are moved.

        Yields (done, busy) on the way.
        """
        end = self.info()["gfns"]
        done = busy = 0

        def call(gfn):
            most = min(step, limit - done) if limit else step
            return self.call(command, RANGE, gfn=gfn, nr=end - gfn, max=most)

        for part in self._over(end, call):
            done += part["done"]
            busy += part["busy"]
            yield done, busy
            if limit and done >= limit:
                break

    def discard(self, gfn, nr, step=2048):
        """Forget what frames contain.

        Yields (done, busy) on the way.
        """
        gfns = self.info()["gfns"]
        if gfn + nr > gfns:
            raise Error("guest %d has %d frames: there is no frame %#x" %
                        (self.number, gfns, max(gfn, gfns)))
        done = busy = 0
        for part in self._over(gfn + nr, lambda first: self.call(
                P2M_DISCARD, RANGE, gfn=first, nr=gfn + nr - first,
                max=step), gfn):
            done += part["done"]
            busy += part["busy"]
            yield done, busy

    def scan(self, step=2048):
        """Merge frames that are equal; yields the result of each part."""
        end = self.info()["gfns"]
        return self._over(end, lambda gfn: self.call(
            P2M_SHARE_SCAN, SCAN, gfn=gfn, nr=min(step, end - gfn)))

    def unshare(self):
        """Give each frame that is shared a page of its own."""
        end = self.info()["gfns"]
        for _ in self._over(end, lambda gfn: self.call(
                P2M_UNSHARE, RANGE, gfn=gfn, nr=end - gfn)):
            pass

    def set_domain(self, domain):
        """Let it share with the guests of that domain only."""
        self.call(P2M_SHARE_DOMAIN, DOMAIN, domain=domain)

    def sweep(self, step=2048):
        """Give zero pages back to the pool of populate-on-demand.

        Yields the result of each part.
        """
        end = self.info()["gfns"]
        return self._over(end, lambda gfn: self.call(
            P2M_POD_SWEEP, RANGE, gfn=gfn, nr=min(step, end - gfn)))

    def audit(self):
        return self.call(P2M_AUDIT, AUDIT)

    def pod(self, target=None):
        """Set the target, in frames, if one is given.

        Returns the state of populate-on-demand after that.
        """
        if target is not None:
            self.call(P2M_POD_SET, POD, target=target)
        return self.call(P2M_POD_GET, POD)

    def dirty_log(self, on):
        self.call(P2M_DIRTY_START if on else P2M_DIRTY_STOP, ())

    def dirty(self, clean):
        """The frames that were written to, as a bitmap, and their number."""
        end = self.info()["gfns"]
        bitmap = bytearray((end + 7) // 8)
        address = ctypes.addressof(
            (ctypes.c_char * len(bitmap)).from_buffer(bitmap))
        parts = list(self._over(end, lambda gfn: self.call(
            P2M_DIRTY_GET, DIRTY, flags=P2M_DIRTY_CLEAN if clean else 0,
            gfn=gfn, nr=end - gfn, bitmap=address + gfn // 8)))
        return bitmap, sum(part["dirty"] for part in parts)

    def map(self, gfn, nr):
        """A descriptor with which frames can be mapped read-only.

        Close it: frames that are mapped are not paged out.
        """
        fd = self.call(P2M_FOREIGN_MAP, FOREIGN, flags=P2M_FOREIGN_READONLY,
                       gfn=gfn, nr=nr)["fd"]
        return fd & 0xffffffff


def device_number():
    try:
        device = os.stat(DEVICE)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise NoPermission("%s: %s" % (DEVICE, error.strerror)) from None
        raise NoModule("there is no %s: load p2m_rangelock.ko, then kvm_p2m.ko"
                       % DEVICE) from None
    if not stat.S_ISCHR(device.st_mode):
        raise NoModule("%s is not a device: load kvm_p2m.ko,"
                       " and remove that file" % DEVICE)
    return device.st_rdev


def _is_on_p2m(fd):
    """Whether a descriptor, O_PATH will do, is on a p2m file system."""
    statfs = ctypes.create_string_buffer(256)
    try:
        _libc("fstatfs", fd, statfs)
    except OSError:
        return False            # as some network file systems
    return ctypes.c_long.from_buffer(statfs).value == FS_MAGIC


def _open_control(path):
    """Open a guest's file for control; None if it is no guest's file.

    Anything else is not opened: that could do something, or wait.  The answer
    does not depend on where, or whether, the file system is mounted.
    """
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # This descriptor goes on meaning the same file.
        if not stat.S_ISREG(os.fstat(file).st_mode) or not _is_on_p2m(file):
            return None
        return os.open("/proc/self/fd/%d" % file, O_CONTROL | os.O_CLOEXEC)
    finally:
        os.close(file)


def _take(pid, number):
    try:
        pidfd = _syscall(SYS_PIDFD_OPEN, pid, 0)
        try:
            return _syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
        finally:
            os.close(pidfd)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise OldKernel("this kernel has no pidfd_getfd(2):"
                            " Linux 5.6 or later is needed") from None
        raise


def _mappings(pid):
    """Names in map_files of the process's shared mappings; root can use it."""
    if os.geteuid():
        return
    with open("/proc/%d/maps" % pid, errors="replace") as maps:
        for line in maps:
            where, flags, _, device = line.split(None, 4)[:4]
            # A file system without a disk has major number 0.
            if flags[3] == "s" and device.startswith("00:"):
                yield "map_files/%x-%x" % tuple(int(address, 16) for address
                                                in where.split("-"))


def _take_all(pid, device):
    """Descriptors of a process's guests, with the paths of their files.

    A guest may come more than once.
    """
    folder = "/proc/%d/" % pid
    names = ["fd/%d" % number for number in
             sorted(map(int, os.listdir(folder + "fd")))]
    for name in (*names, *_mappings(pid)):
        try:
            path = os.readlink(folder + name)
            file = os.stat(folder + name)
        except OSError:
            continue            # closed meanwhile, or not accessible
        fd = None
        if stat.S_ISREG(file.st_mode):
            fd = _open_control(folder + name)
        elif stat.S_ISCHR(file.st_mode) and file.st_rdev == device and \
                name.startswith("fd/"):
            # To open the device would make another guest.
            fd = _take(pid, int(name[3:]))
        if fd is not None:
            yield fd, path


def guests_of(pid):
    """All guests of a process, by number; an Error if there is none."""
    device = device_number()
    guests = {}
    try:
        for fd, path in _take_all(pid, device):
            guest = Guest(pid, fd, path)
            if guest.number in guests:
                guest.close()   # a duplicate descriptor, or a mapping
            else:
                guests[guest.number] = guest
    except OSError as error:
        for guest in guests.values():
            guest.close()
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise NoProcess("there is no process %d" % pid) from None
        if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
            raise NoPermission("no permission for process %d: you must be"
                               " allowed to trace it (ptrace), and own the"
                               " file of its guest; or be root" %
                               pid) from None
        raise
    if not guests:
        raise NoGuest("process %d has no guest" % pid)
    return [guests[number] for number in sorted(guests)]


def guest_at(path):
    """The guest whose file has this path."""
    try:
        fd = _open_control(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NoProcess("there is no file %s" % path) from None
        if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
            raise NoPermission("no permission for %s: own it, or be root" %
                               path) from None
        raise
    if fd is None:
        raise NoGuest("%s is no guest: a guest is a regular file of a p2m file"
                      " system" % path)
    return Guest(None, fd, path)


def pid_of_domain(name):
    """The process of a libvirt domain that runs."""
    path = DOMAIN_PID % name
    try:
        with open(path) as file:
            return int(file.read())
    except FileNotFoundError:
        raise NoProcess("there is no libvirt domain %s that runs: there is no"
                        " %s" % (name, path)) from None
    except PermissionError:
        raise NoPermission("no permission for %s: be root" % path) from None
    except ValueError:
        raise NoProcess("%s has no process number" % path) from None


def _guests_and_name(who):
    """The guests of a process, a path or a domain, and words for who it is."""
    if isinstance(who, int):
        return guests_of(who), "process %d" % who
    if "/" in who:
        return [guest_at(who)], who
    pid = pid_of_domain(who)
    return guests_of(pid), "domain %s, process %d," % (who, pid)


def guests_at(who):
    """All guests of a process, a path or a domain.

    who is the number of a process; else a path, if it has a slash; else the
    name of a libvirt domain.
    """
    return _guests_and_name(who)[0]


def guest_of(who, number=None):
    """The one guest of guests_at(who), or the one with that number."""
    guests, name = _guests_and_name(who)
    numbers = ", ".join(str(guest.number) for guest in guests)
    if number is None and len(guests) > 1:
        for guest in guests:
            guest.close()
        raise ManyGuests("%s has several guests: choose one with --guest (%s)"
                         % (name, numbers))
    chosen = None
    for guest in guests:
        if number in (None, guest.number):
            chosen = guest
        else:
            guest.close()
    if chosen is None:
        raise NoGuest("%s has no guest %d, but %s" % (name, number, numbers))
    return chosen


def _unescaped(text):
    """A path of mountinfo, which has octal numbers for some characters."""
    first, *others = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:]
                           for part in others)


def mount_points():
    """The directories where p2m file systems are mounted."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
        for line in mounts:
            mount, _, system = line.partition(" - ")
            if system.split()[0] == FS_TYPE:
                yield _unescaped(mount.split()[4])


def _named_guests():
    """The guests that have a name in a file system.

    A guest may come more than once.  Also returns how many files we may not
    open.
    """
    found, hidden = [], 0
    for top in mount_points():
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    fd = _open_control(path)
                except FileNotFoundError:
                    continue    # removed meanwhile
                except OSError:
                    hidden += 1
                    continue
                if fd is not None:
                    found.append(Guest(None, fd, path))
    return found, hidden


def all_guests():
    """All guests of all other processes, and then those of none.

    A guest of several processes comes once for each.  Also returns a dictionary
    with how many processes and files we may not look into.
    """
    device_number()
    found, processes = [], 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                found += guests_of(int(name))
            except (NoProcess, NoGuest):
                continue        # it is gone meanwhile, or has no guest
            except NoPermission:
                processes += 1
    found.sort(key=lambda guest: (guest.pid, guest.number))
    numbers = {guest.number for guest in found}
    named, files = _named_guests()
    for guest in sorted(named, key=lambda guest: guest.number):
        if guest.number in numbers:
            guest.close()
        else:
            numbers.add(guest.number)
            found.append(guest)
    return found, {"processes_not_looked_into": processes,
                   "files_not_looked_into": files}


def mount(folder, options):
    """Mount a file system; False if the directory has one already.

    options is a dictionary of its options.  The kernel loads kvm_p2m.ko for
    it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        if os.path.realpath(folder) in mount_points():
            return False
        _libc("mount", b"none", os.fsencode(folder), FS_TYPE.encode(),
              ctypes.c_ulong(MS_SAFE), ",".join(
                  "%s=%s" % option for option in options.items()).encode())
    except PermissionError:
        raise NoPermission("no permission to mount at %s: be root" %
                           folder) from None
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise NoModule("the kernel has no file system p2m: load"
                           " p2m_rangelock.ko, then kvm_p2m.ko") from None
        if error.errno == errno.EINVAL:
            raise Error("the kernel refuses these options: see dmesg") from None
        raise
    return True


def command_of(pid):
    if pid is None:
        return None
    try:
        with open("/proc/%d/comm" % pid) as file:
            return file.read().strip()
    except OSError:
        return "?"


class Trace:
    """The output of kvm_p2m's tracepoints, for one guest or all; for root."""

    INSTANCES = "/sys/kernel/tracing/instances"

    def __init__(self, guest=None):
        self.guest = guest
        self.folder = "%s/p2m-%d" % (self.INSTANCES, os.getpid())

    def __enter__(self):
        try:
            os.mkdir(self.folder)
        except PermissionError:
            raise NoPermission("%s: only root may trace" %
                               self.INSTANCES) from None
        except FileNotFoundError:
            raise Error("there is no %s: mount -t tracefs tracefs"
                        " /sys/kernel/tracing" % self.INSTANCES) from None
        try:
            self._set("events/kvm_p2m/filter",
                      "0" if self.guest is None else
                      "guest == %d" % self.guest)
            self._set("events/kvm_p2m/enable", "1")
            self.pipe = os.open(self.folder + "/trace_pipe",
                                os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            os.rmdir(self.folder)
            raise
        return self

    def __exit__(self, *_):
        os.close(self.pipe)
        self._set("events/kvm_p2m/enable", "0")
        os.rmdir(self.folder)

    def _set(self, name, value):
        with open("%s/%s" % (self.folder, name), "w") as file:
            file.write(value)

    def read(self, seconds):
        """The new text.  If there is none, waits so long, and returns none."""
        try:
            return os.read(self.pipe, 65536).decode()
        except BlockingIOError:
            time.sleep(seconds)
            return ""
