// SPDX-License-Identifier: GPL-2.0
/*
 * The map of kvm_p2m.ko, which does not need the rest of it.
 *
 * A change counts entries with this_cpu_add().  On x86 that is an instruction.
 * User-mode Linux turns interrupts off for it, which takes half a microsecond:
 * far longer than the change.  Here no interrupt counts anything, and each task
 * keeps to its CPU.
 */
#include <linux/percpu.h>

#undef this_cpu_add
#define this_cpu_add(pcp, value)	raw_cpu_add(pcp, value)

#include "p2m/map.c"
