// SPDX-License-Identifier: GPL-2.0
/*
 * interval: a range lock that is an interval tree under one spinlock
 *
 * It follows the range_lock posted for Linux in 2013 and 2017 (Kara, Bueso),
 * without readers: a get counts the ranges that overlap and came before, adds
 * its own, and sleeps until all of those have gone.  So waiters are served in
 * order of arrival.  Three things are added, since the callers need them:
 *
 *  - A task's own ranges do not block it.
 *  - A task that holds something does not wait behind tasks that wait: one of
 *    them may wait for it.  It goes before all of them.
 *  - A caller gives no memory for its range.  So each lock keeps those that it
 *    has used, and allocates one only if all are in use.
 */
#include <linux/interval_tree_generic.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "policy.h"

/**
 * struct policy_range - one range that is held or waited for
 * @rb: in the tree
 * @first: first frame
 * @last: last frame
 * @subtree_last: highest @last in this part of the tree
 * @task: the task that waits for it or holds it
 * @rank: of two that wait, the one with the lower rank goes first
 * @blockers: overlapping ranges of other tasks that go first
 * @depth: how often it is held; 0 while it is waited for
 * @next: the next that is not in use
 */
struct policy_range {
	struct rb_node		rb;
	unsigned long		first;
	unsigned long		last;
	unsigned long		subtree_last;
	struct task_struct	*task;
	long			rank;
	unsigned int		blockers;
	unsigned int		depth;
	struct policy_range	*next;
};

/**
 * struct policy - all ranges of a guest
 * @lock: held to look at any of it
 * @ranges: the tree, by first frame
 * @unused: ranges that are not in use
 * @last_rank: the rank of the last get; lower ones were before
 * @first_rank: the rank of the last get that went before all others
 */
struct policy {
	spinlock_t		lock;	/* of all below */
	struct rb_root_cached	ranges;
	struct policy_range	*unused;
	long			last_rank;
	long			first_rank;
};

POLICY_FITS;

#define FIRST(range)	((range)->first)
#define LAST(range)	((range)->last)
INTERVAL_TREE_DEFINE(struct policy_range, rb, unsigned long, subtree_last,
		     FIRST, LAST, static, ranges)

#define for_each_overlapping(r, policy, first, last)			\
	for (r = ranges_iter_first(&(policy)->ranges, first, last); r;	\
	     r = ranges_iter_next(r, first, last))

static void policy_init(struct policy *policy)
{
	spin_lock_init(&policy->lock);
	policy->ranges = RB_ROOT_CACHED;
}

static void policy_destroy(struct policy *policy)
{
	struct policy_range *range;

	while ((range = policy->unused)) {
		policy->unused = range->next;
		kfree(range);
	}
}

static bool policy_is_held(struct policy *policy)
{
	return !RB_EMPTY_ROOT(&policy->ranges.rb_root);
}

/* Does the current task hold anything?  Asked only if others wait. */
static bool holds_something(struct policy *policy)
{
	struct policy_range *other;

	for_each_overlapping(other, policy, 0, POLICY_LAST)
		if (other->task == current)
			return true;
	return false;
}

/* How many ranges are in the way of a get; and @own is the same, or NULL. */
static unsigned int count_blockers(struct policy *policy, unsigned long first,
				   unsigned long last, struct policy_range **own,
				   unsigned int *waiting)
{
	unsigned int held = 0;
	struct policy_range *other;

	*own = NULL;
	*waiting = 0;
	for_each_overlapping(other, policy, first, last) {
		if (other->task != current) {
			if (other->depth)
				held++;
			else
				++*waiting;
		} else if (other->first == first && other->last == last) {
			*own = other;
			break;
		}
	}
	return held;
}

/* Go before those that wait. */
static void overtake(struct policy *policy, struct policy_range *range)
{
	struct policy_range *other;

	range->rank = --policy->first_rank;
	for_each_overlapping(other, policy, range->first, range->last)
		if (other->task != current && !other->depth)
			other->blockers++;
}

/* Take a range out of the tree.  Those that it blocked may go on. */
static void drop(struct policy *policy, struct policy_range *range)
{
	struct policy_range *other;

	ranges_remove(range, &policy->ranges);
	for_each_overlapping(other, policy, range->first, range->last) {
		if (other->task == current || other->depth)
			continue;
		if (!range->depth && other->rank < range->rank)
			continue;
		if (!--other->blockers)
			wake_up_process(other->task);
	}
	range->next = policy->unused;
	policy->unused = range;
}

/* Wait until nothing is in the way.  The lock is dropped meanwhile. */
static int wait_for_blockers(struct policy *policy, struct policy_range *range,
			     enum p2m_wait wait)
{
	int err = 0;

	while (range->blockers) {
		if (signal_pending_state(wait, current)) {
			err = -EINTR;
			break;
		}
		set_current_state(wait);
		spin_unlock(&policy->lock);
		schedule();
		spin_lock(&policy->lock);
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/* There is one that is not in use when this has returned true. */
static bool make_range(struct policy *policy, enum p2m_wait wait)
{
	struct policy_range *range;

	spin_unlock(&policy->lock);
	range = kmalloc(sizeof(*range),
			wait == P2M_TRY ? GFP_NOWAIT | __GFP_NOWARN :
					  GFP_KERNEL);
	spin_lock(&policy->lock);
	if (!range)
		return false;
	range->next = policy->unused;
	policy->unused = range;
	return true;
}

static int get_range(struct policy *policy, unsigned long first,
		     unsigned long last, enum p2m_wait wait,
		     atomic_long_t *stats)
{
	unsigned int held, waiting;
	struct policy_range *range, *own;
	bool passes;
	int err;

	held = count_blockers(policy, first, last, &own, &waiting);
	if (own) {
		if (own->depth == UINT_MAX)
			return -EOVERFLOW;
		own->depth++;
		return 0;
	}
	passes = waiting && holds_something(policy);
	if (passes)
		waiting = 0;
	if (wait == P2M_TRY && held + waiting)
		return -EBUSY;

	range = policy->unused;
	policy->unused = range->next;
	range->first = first;
	range->last = last;
	range->task = current;
	range->blockers = held + waiting;
	range->depth = 0;
	if (passes)
		overtake(policy, range);
	else
		range->rank = ++policy->last_rank;
	ranges_insert(range, &policy->ranges);
	if (range->blockers) {
		atomic_long_inc(&stats[P2M_STAT_waits]);
		err = wait_for_blockers(policy, range, wait);
		if (err) {
			atomic_long_inc(&stats[P2M_STAT_interrupted]);
			drop(policy, range);
			return err;
		}
	}
	range->depth = 1;
	return 0;
}

static int policy_get(struct policy *policy, unsigned long first,
		      unsigned long last, enum p2m_wait wait,
		      atomic_long_t *stats)
{
	int err = 0;

	spin_lock(&policy->lock);
	while (!err && unlikely(!policy->unused))
		if (!make_range(policy, wait))
			err = -ENOMEM;
	if (!err)
		err = get_range(policy, first, last, wait, stats);
	spin_unlock(&policy->lock);
	return err;
}

static bool policy_put(struct policy *policy, unsigned long first,
		       unsigned long last)
{
	unsigned int waiting;
	struct policy_range *own;

	spin_lock(&policy->lock);
	count_blockers(policy, first, last, &own, &waiting);
	if (own && !--own->depth) {
		/* As one that is held, it blocked all others. */
		own->depth = 1;
		drop(policy, own);
	}
	spin_unlock(&policy->lock);
	return own;
}

static bool policy_held(struct policy *policy, unsigned long first,
			unsigned long last)
{
	struct policy_range *other;

	spin_lock(&policy->lock);
	/* In ascending order of their first frame */
	for_each_overlapping(other, policy, first, last)
		if (other->task == current && other->first <= first)
			first = max(first, other->last + 1);
	spin_unlock(&policy->lock);
	return first > last;
}

MODULE_DESCRIPTION("An interval tree of ranges under one spinlock");
