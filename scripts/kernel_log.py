# SPDX-License-Identifier: GPL-2.0
"""A line in which a kernel complains: of a host VM, or of a guest."""

import re

COMPLAINT = re.compile(
    r"^(\[.*?\] )?WARNING: |BUG: |BUG at |INFO: (possible|suspicious|task|rcu|trying)"
    r"|KASAN|KCSAN|UBSAN|\bOops\b|general protection|suspicious RCU"
    r"|blocked for more than|(soft|hard) lockup|hard LOCKUP|detected stall"
    r"|self-detected|Call Trace:|Kernel panic|refcount_t: |kmemleak: "
    r"|unable to handle|list_(add|del) corruption|Bad page (state|map)"
    r"|ODEBUG: |DEBUG_LOCKS_WARN_ON|unreferenced object|leaked pages")
