/* SPDX-License-Identifier: GPL-2.0 */
/*
 * policy.h: what every rival of the tree has in common
 *
 * A rival is a module that exports the functions of p2m_rangelock.ko, and is
 * loaded in its place.  The caller, kvm_p2m.ko, is the same binary.  So struct
 * p2m_rangelock is the same as well, and a rival keeps its own state where the
 * tree keeps its highest node: one cache line.
 *
 * A rival defines struct policy and the six functions below, and then says
 * POLICY_FITS.  Each range is whole chunks, as the callers expect.
 *
 * No rival looks for cycles of waiting tasks: -EDEADLK is never returned.
 * kvm_p2m.ko never waits in such a cycle, except for bugs.
 *
 * There is no debugfs file and there are no tracepoints.  What a get waits is
 * measured outside, for all in the same way.
 */
#ifndef _POLICY_H
#define _POLICY_H

#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "p2m_rangelock.h"

struct policy;

/* No get is under way. */
static void policy_init(struct policy *policy);
static void policy_destroy(struct policy *policy);
static bool policy_is_held(struct policy *policy);

/*
 * Get the frames from @first to @last; both are in the range of a gfn.  Gets
 * that wait, or are interrupted, are counted in @stats.
 * Return: 0, -EBUSY, -EINTR, -ENOMEM, -EOVERFLOW
 */
static int policy_get(struct policy *policy, unsigned long first,
		      unsigned long last, enum p2m_wait wait,
		      atomic_long_t *stats);
/* Return: false, and nothing is changed, if the current task has no such get. */
static bool policy_put(struct policy *policy, unsigned long first,
		       unsigned long last);
static bool policy_held(struct policy *policy, unsigned long first,
			unsigned long last);

#define POLICY_FITS							\
	static_assert(sizeof(struct policy) <= sizeof(struct p2m_node),	\
		      "a kernel whose locks have debugging is not for this")

#define POLICY_LAST	((1UL << P2M_GFN_BITS) - 1)
#define POLICY_CHUNK	(1UL << P2M_CHUNK_ORDER)

static inline struct policy *policy_of(struct p2m_rangelock *lock)
{
	return (struct policy *)&lock->all;
}

/* Is there such a range? */
static inline bool policy_valid(unsigned long gfn, unsigned long nr)
{
	return nr - 1 <= ~gfn && gfn + nr - 1 <= POLICY_LAST;
}

/* The whole chunks around a range: their first and last frame */
static inline unsigned long policy_first(unsigned long gfn)
{
	return round_down(gfn, POLICY_CHUNK);
}

static inline unsigned long policy_last(unsigned long gfn, unsigned long nr)
{
	return (gfn + nr - 1) | (POLICY_CHUNK - 1);
}

/* ---- The functions of p2m_rangelock.ko: see p2m_rangelock.c ------- */

static __always_inline int policy_get_range(struct p2m_rangelock *lock,
					    unsigned long gfn,
					    unsigned long nr,
					    enum p2m_wait wait)
{
	if (unlikely(!policy_valid(gfn, nr)))
		return -EINVAL;
	/* As the tree does, and a mutex */
	if (wait != P2M_TRY && unlikely(need_resched()))
		cond_resched();
	return policy_get(policy_of(lock), policy_first(gfn),
			  policy_last(gfn, nr), wait,
			  lock->stats);
}

static __always_inline void policy_put_range(struct p2m_rangelock *lock,
					     unsigned long gfn,
					     unsigned long nr)
{
	if (WARN_ON_ONCE(!policy_valid(gfn, nr)))
		return;
	WARN_ONCE(!policy_put(policy_of(lock), policy_first(gfn),
			      policy_last(gfn, nr)),
		  "p2m_rangelock: put of %s by a task that does not hold it, at %pS\n",
		  lock->name, (void *)_RET_IP_);
}

int get_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		  unsigned long nr, enum p2m_wait wait, unsigned int subclass)
{
	return policy_get_range(lock, gfn, nr, wait);
}
EXPORT_SYMBOL_GPL(get_p2m_range);

void put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		   unsigned long nr)
{
	policy_put_range(lock, gfn, nr);
}
EXPORT_SYMBOL_GPL(put_p2m_range);

int get_p2m_hold(struct p2m_rangelock_hold *hold, struct p2m_rangelock *lock,
		 unsigned long gfn, unsigned int order, enum p2m_wait wait)
{
	*hold = (struct p2m_rangelock_hold){
		.lock = lock, .gfn = gfn, .nr = p2m_nr(order) };
	return policy_get_range(lock, gfn, hold->nr, wait);
}
EXPORT_SYMBOL_GPL(get_p2m_hold);

void put_p2m_hold(struct p2m_rangelock_hold *hold)
{
	policy_put_range(hold->lock, hold->gfn, hold->nr);
}
EXPORT_SYMBOL_GPL(put_p2m_hold);

/*
 * How many frames the first @max_nodes nodes of a tree would hold.  So a caller
 * that works in steps makes the same steps under each policy.
 */
static unsigned long policy_part(unsigned long gfn, unsigned long nr,
				 unsigned int max_nodes)
{
	unsigned long chunk = gfn >> P2M_CHUNK_ORDER;
	unsigned long end = ((gfn + nr - 1) >> P2M_CHUNK_ORDER) + 1;
	unsigned int bits;

	while (chunk < end && max_nodes--) {
		bits = __fls(end - chunk);
		if (chunk)
			bits = min_t(unsigned int, bits, __ffs(chunk));
		chunk += 1UL << rounddown(bits, P2M_FANOUT_BITS);
	}
	return min(nr, (chunk << P2M_CHUNK_ORDER) - gfn);
}

long get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
		  unsigned long nr, unsigned int max_nodes, enum p2m_wait wait,
		  unsigned int subclass)
{
	int err;

	if (!max_nodes || !policy_valid(gfn, nr))
		return -EINVAL;
	nr = policy_part(gfn, nr, max_nodes);
	err = policy_get_range(lock, gfn, nr, wait);
	return err ?: nr;
}
EXPORT_SYMBOL_GPL(get_p2m_step);

int get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
		unsigned int subclass)
{
	return policy_get_range(lock, 0, POLICY_LAST + 1, wait);
}
EXPORT_SYMBOL_GPL(get_p2m_all);

void put_p2m_all(struct p2m_rangelock *lock)
{
	policy_put_range(lock, 0, POLICY_LAST + 1);
}
EXPORT_SYMBOL_GPL(put_p2m_all);

bool p2m_held(struct p2m_rangelock *lock, unsigned long gfn, unsigned int order)
{
	unsigned long nr = p2m_nr(order);

	return policy_valid(gfn, nr) &&
	       policy_held(policy_of(lock), policy_first(gfn),
			   policy_last(gfn, nr));
}
EXPORT_SYMBOL_GPL(p2m_held);

void __p2m_rangelock_init(struct p2m_rangelock *lock, const char *name,
			  const char *class, struct lock_class_key *key)
{
	*lock = (struct p2m_rangelock){ .name = name };
	INIT_LIST_HEAD(&lock->link);
	policy_init(policy_of(lock));
}
EXPORT_SYMBOL_GPL(__p2m_rangelock_init);

void p2m_rangelock_destroy(struct p2m_rangelock *lock)
{
	if (!lock->name)
		return;
	if (WARN(policy_is_held(policy_of(lock)),
		 "p2m_rangelock: %s destroyed while it is held\n", lock->name))
		return;
	policy_destroy(policy_of(lock));
	lock->name = NULL;
}
EXPORT_SYMBOL_GPL(p2m_rangelock_destroy);

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_LICENSE("GPL");

#endif /* _POLICY_H */
