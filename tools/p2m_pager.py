# SPDX-License-Identifier: GPL-2.0
"""The pager's calls of p2m/uapi/p2m.h, on a p2m.Guest.

    pager = p2m_pager.Pager(guest, p2m_pager.STORE)
    for gfn, write in pager.events():
        pager.prep(gfn, address, p2m_pager.RESUME)

If the kernel refuses a call, it raises an OSError with the manual's errno.
"""

import fcntl
import os
import struct

P2M_PAGER_ATTACH = 0xB220
P2M_PAGER_DETACH = 0xB221
P2M_NOMINATE = 0xB222
P2M_EVICT = 0xB223
P2M_PREP = 0xB224
P2M_RESUME = 0xB225

SIGBUS, STORE = 1, 2                    # policies
RESUME, LOST = 1, 2                     # flags of P2M_PREP
WRITE = 1                               # flag of an event
EVENT = struct.Struct("=IIQQQ")
AT_ONCE = 64                            # events in one read


def _ioctl(fd, command, data):
    """Go on after a signal: Python does that for a read, but not for this."""
    while True:
        try:
            return fcntl.ioctl(fd, command, data)
        except InterruptedError:
            pass


class Pager:
    """This process as the pager of a guest, until it closes it or detaches."""

    def __init__(self, guest, policy):
        self.guest = guest
        self.fd = guest.fd
        _ioctl(self.fd, P2M_PAGER_ATTACH,
               struct.pack("=IIII", 16, 0, policy, 0))

    def detach(self):
        _ioctl(self.fd, P2M_PAGER_DETACH, struct.pack("=II", 8, 0))

    def _range(self, command, gfn, nr, most):
        data = bytearray(
            struct.pack("=IIQQQQQQ", 56, 0, gfn, nr, most, 0, 0, 0))
        _ioctl(self.fd, command, data)
        return struct.unpack("=IIQQQQQQ", data)[5:]

    def nominate(self, gfn, nr, most=0):
        """Returns (next, done, busy)."""
        return self._range(P2M_NOMINATE, gfn, nr, most)

    def resume(self, gfn, nr, most=0):
        return self._range(P2M_RESUME, gfn, nr, most)

    def evict(self, gfn, address):
        _ioctl(self.fd, P2M_EVICT, struct.pack("=IIQQ", 24, 0, gfn, address))

    def prep(self, gfn, address, flags=0):
        _ioctl(self.fd, P2M_PREP, struct.pack("=IIQQ", 24, flags, gfn, address))

    def events(self):
        """New events, as (gfn, is it a write); waits if there is none."""
        data = os.read(self.fd, AT_ONCE * EVENT.size)
        return [(gfn, bool(flags & WRITE))
                for _, flags, gfn, _, _ in EVENT.iter_unpack(data)]
