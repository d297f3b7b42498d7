# SPDX-License-Identifier: GPL-2.0
"""How a kernel's log complains.

scripts/vm searches each line of the host VM's console for VM, debian_guest
each line of a guest's, and scripts/uml each line of user-mode Linux' log for
UML.
"""

import re

_BOTH = (
    r"^(\[.*?\] )?WARNING: ", "BUG: ", "BUG at ",
    "INFO: (possible|suspicious|task|rcu|trying)", "suspicious RCU",
    r"\bOops\b", "general protection", "Kernel panic", "Call Trace:",
    "blocked for more than", "detected stall", "self-detected",
    "refcount_t: ", "list_(add|del) corruption", "Bad page (state|map)",
    "ODEBUG: ", "DEBUG_LOCKS_WARN_ON")

# vm-init writes "leaked pages".
VM = re.compile("|".join(_BOTH + (
    "KASAN", "KCSAN", "UBSAN", "(soft|hard) lockup", "hard LOCKUP",
    "unable to handle", "kmemleak: (?!Kernel memory leak detector)",
    "unreferenced object", "leaked pages")))

UML = re.compile("|".join(_BOTH + (
    "KASAN: ", "UBSAN: ", "lockup", "Segfault with no mm")))

# Bits of /proc/sys/kernel/tainted.  They are set even if the log has lost the
# complaint.
_TAINTS = {5: "bad page", 7: "died", 9: "warned", 14: "soft lockup"}


def taints(value):
    """The names of the bits that are set in value."""
    return [name for bit, name in _TAINTS.items() if value >> bit & 1]


# In a trace: an interrupt's handler, and the flags of what it interrupted.
_INTERRUPTED = re.compile(
    r"\basm_(?:sysvec_\w+|common_interrupt)\+0x\w+/0x\w+\n"
    r".*RIP: .*\n(?:.*Code: .*\n)?.*EFLAGS: ([0-9a-f]+)")
_INTERRUPTS_ON = 1 << 9


def interrupted_with_interrupts_off(text):
    """
    Whether a trace shows that a kernel took an interrupt while it had them off.
    No CPU does this, but QEMU does: see Documentation/results/emulator.md.
    """
    return any(not int(flags, 16) & _INTERRUPTS_ON
               for flags in _INTERRUPTED.findall(text))
