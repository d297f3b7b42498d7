/* SPDX-License-Identifier: GPL-2.0 */
/*
 * whole.h: one lock for all of a guest, which its holder may get again
 *
 * Which frames a caller names does not matter: as Xen's gfn_lock(p2m, gfn,
 * order), which ignores its last two arguments.  The includer defines
 *
 *	whole_lock			the type of the lock below
 *	whole_init(lock)
 *	whole_try(lock)			true if it is locked now
 *	whole_wait(lock, wait)		0 or an error
 *	whole_unlock(lock)
 */
#include "policy.h"

/**
 * struct policy - one lock for everything
 * @lock: the lock
 * @depth: gets by @owner; changed by @owner alone
 * @owner: the task that holds @lock, or NULL
 */
struct policy {
	whole_lock		lock;
	unsigned int		depth;
	struct task_struct	*owner;
};

POLICY_FITS;

static void policy_init(struct policy *policy)
{
	whole_init(&policy->lock);
}

static void policy_destroy(struct policy *policy)
{
}

static bool policy_is_held(struct policy *policy)
{
	return READ_ONCE(policy->owner);
}

static __always_inline int policy_get(struct policy *policy,
				      unsigned long first, unsigned long last,
				      enum p2m_wait wait, atomic_long_t *stats)
{
	int err;

	/* Only the current task can have written its own name there. */
	if (READ_ONCE(policy->owner) == current) {
		if (policy->depth == UINT_MAX)
			return -EOVERFLOW;
		policy->depth++;
		return 0;
	}
	if (unlikely(!whole_try(&policy->lock))) {
		if (wait == P2M_TRY)
			return -EBUSY;
		atomic_long_inc(&stats[P2M_STAT_waits]);
		err = whole_wait(&policy->lock, wait);
		if (err) {
			atomic_long_inc(&stats[P2M_STAT_interrupted]);
			return err;
		}
	}
	WRITE_ONCE(policy->owner, current);
	policy->depth = 1;
	return 0;
}

static __always_inline bool policy_put(struct policy *policy,
				       unsigned long first, unsigned long last)
{
	if (unlikely(READ_ONCE(policy->owner) != current))
		return false;
	if (--policy->depth)
		return true;
	WRITE_ONCE(policy->owner, NULL);
	whole_unlock(&policy->lock);
	return true;
}

static bool policy_held(struct policy *policy, unsigned long first,
			unsigned long last)
{
	return READ_ONCE(policy->owner) == current;
}
