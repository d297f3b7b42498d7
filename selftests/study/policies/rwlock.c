// SPDX-License-Identifier: GPL-2.0
/*
 * rwlock: one lock a guest for many readers or one writer
 *
 * Xen's p2m lock is one since 4.5, and KVM's mmu_lock since 5.12.  Those spin.
 * Holders here may sleep, so this is an rwsem, which spins as long as the writer
 * runs.  All gets write: the callers change what they hold.  Nobody in
 * kvm_p2m.ko reads: its lookups need no lock at all.  The first question of the
 * study has readers.
 */
#include <linux/rwsem.h>
#include <linux/sched.h>

#include "p2m_rangelock.h"

#define whole_lock		struct rw_semaphore
#define whole_init		init_rwsem
#define whole_try		down_write_trylock
#define whole_unlock		up_write

static __always_inline int whole_wait(struct rw_semaphore *lock,
				      enum p2m_wait wait)
{
	if (wait == P2M_WAIT) {
		down_write(lock);
		return 0;
	}
	/* The kernel has no form that any signal interrupts. */
	return down_write_killable(lock);
}

#include "whole.h"

MODULE_DESCRIPTION("One rwsem a guest");
