// SPDX-License-Identifier: GPL-2.0
/*
 * global: one recursive lock a guest, as Xen merged
 *
 * Xen's is a spinlock.  Holders here may sleep, so this is a mutex: a waiter
 * spins as long as the owner runs, and else sleeps.
 */
#include <linux/mutex.h>
#include <linux/sched.h>

#include "p2m_rangelock.h"

#define whole_lock		struct mutex
#define whole_init		mutex_init
#define whole_try		mutex_trylock
#define whole_unlock		mutex_unlock

static __always_inline int whole_wait(struct mutex *lock, enum p2m_wait wait)
{
	switch (wait) {
	case P2M_WAIT_KILLABLE:
		return mutex_lock_killable(lock);
	case P2M_WAIT_INTERRUPTIBLE:
		return mutex_lock_interruptible(lock);
	default:
		mutex_lock(lock);
		return 0;
	}
}

#include "whole.h"

MODULE_DESCRIPTION("One recursive lock a guest");
