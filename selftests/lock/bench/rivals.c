// SPDX-License-Identifier: GPL-2.0
/* The locks of rivals.h, as simple as they can be. */
#include <linux/interval_tree_generic.h>
#include <linux/sched.h>

#include "rivals.h"

void global_init(struct global_lock *lock)
{
	mutex_init(&lock->mutex);
	lock->owner = NULL;
	lock->depth = 0;
}

void global_get(struct global_lock *lock)
{
	if (READ_ONCE(lock->owner) != current) {
		mutex_lock(&lock->mutex);
		WRITE_ONCE(lock->owner, current);
	}
	lock->depth++;
}

void global_put(struct global_lock *lock)
{
	if (--lock->depth)
		return;
	WRITE_ONCE(lock->owner, NULL);
	mutex_unlock(&lock->mutex);
}

#define START(range)	((range)->start)
#define LAST(range)	((range)->last)
INTERVAL_TREE_DEFINE(struct interval_range, rb, unsigned long, subtree_last,
		     START, LAST, static, ranges)

#define for_each_overlapping(r, lock, start, last)			\
	for (r = ranges_iter_first(&(lock)->ranges, start, last); r;	\
	     r = ranges_iter_next(r, start, last))

void interval_init(struct interval_lock *lock)
{
	spin_lock_init(&lock->lock);
	lock->ranges = RB_ROOT_CACHED;
}

void interval_get(struct interval_lock *lock, struct interval_range *range,
		  unsigned long start, unsigned long last)
{
	struct interval_range *other;

	range->start = start;
	range->last = last;
	range->task = current;
	range->blockers = 0;

	spin_lock(&lock->lock);
	for_each_overlapping(other, lock, start, last)
		range->blockers++;
	ranges_insert(range, &lock->ranges);
	while (range->blockers) {
		__set_current_state(TASK_UNINTERRUPTIBLE);
		spin_unlock(&lock->lock);
		schedule();
		spin_lock(&lock->lock);
	}
	spin_unlock(&lock->lock);
}

void interval_put(struct interval_lock *lock, struct interval_range *range)
{
	struct interval_range *other;

	spin_lock(&lock->lock);
	ranges_remove(range, &lock->ranges);
	/* All of them came later, because this one waited for those before. */
	for_each_overlapping(other, lock, range->start, range->last)
		if (!--other->blockers)
			wake_up_process(other->task);
	spin_unlock(&lock->lock);
}
