// SPDX-License-Identifier: GPL-2.0
/* The map of kvm_p2m.ko, which does not need the rest of it. */
#include "p2m/map.c"
