# SPDX-License-Identifier: GPL-2.0
"""What a kernel's messages say: of a host VM, or of a guest."""

import re

# A line in which a kernel complains.
COMPLAINT = re.compile(
    r"^(\[.*?\] )?WARNING: |BUG: |BUG at |INFO: (possible|suspicious|task|rcu|trying)"
    r"|KASAN|KCSAN|UBSAN|\bOops\b|general protection|suspicious RCU"
    r"|blocked for more than|(soft|hard) lockup|hard LOCKUP|detected stall"
    r"|self-detected|Call Trace:|Kernel panic|refcount_t: |kmemleak: "
    r"|unable to handle|list_(add|del) corruption|Bad page (state|map)"
    r"|ODEBUG: |DEBUG_LOCKS_WARN_ON|unreferenced object|leaked pages")

# In a trace: an interrupt's handler, and the flags of what it interrupted.
INTERRUPTED = re.compile(
    r"\basm_(?:sysvec_\w+|common_interrupt)\+0x\w+/0x\w+\n"
    r".*RIP: .*\n(?:.*Code: .*\n)?.*EFLAGS: ([0-9a-f]+)")
INTERRUPTS_ON = 1 << 9


def interrupted_with_interrupts_off(text):
    """
    Whether a trace shows that a kernel took an interrupt while it had them off.
    No CPU does this, but QEMU's emulation of SVM: Documentation/results/emulator.md.
    """
    return any(not int(flags, 16) & INTERRUPTS_ON for flags in INTERRUPTED.findall(text))
