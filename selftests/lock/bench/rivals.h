/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two locks to compare p2m_rangelock with; they have no other use.  One guards
 * all of a guest, as in Xen.  One keeps the ranges in an interval tree, as was
 * proposed for Linux.
 */
#ifndef _RIVALS_H
#define _RIVALS_H

#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

/**
 * struct global_lock - one recursive lock for everything
 * @mutex: held while @depth is not 0
 * @owner: the task that holds it
 * @depth: how many times
 *
 * This is what Xen's gfn_lock() is in effect.  It has a mutex because the
 * holder may sleep.
 */
struct global_lock {
	struct mutex		mutex;	/* while @depth is not 0 */
	struct task_struct	*owner;
	unsigned int		depth;
};

void global_init(struct global_lock *lock);
void global_get(struct global_lock *lock);
void global_put(struct global_lock *lock);

/**
 * struct interval_lock - all ranges that are held or waited for, in a tree
 * @lock: held to look at the tree
 * @ranges: the tree, by first frame
 *
 * This follows the range_lock posted for Linux in 2013 and 2017 (Kara, Bueso),
 * without readers.  A get counts the ranges that overlap, adds its own range,
 * and waits until all of those have gone.  The original turned interrupts off.
 * That takes half a microsecond in user-mode Linux, which is no fault of the
 * lock, so this one does not do it.
 */
struct interval_lock {
	spinlock_t		lock;	/* of @ranges */
	struct rb_root_cached	ranges;
};

/**
 * struct interval_range - one range, which the caller provides
 * @rb: in the tree
 * @start: first frame
 * @last: last frame
 * @subtree_last: highest @last in this part of the tree
 * @task: the task that waits for it or holds it
 * @blockers: overlapping ranges that came before and are still there
 */
struct interval_range {
	struct rb_node		rb;
	unsigned long		start;
	unsigned long		last;
	unsigned long		subtree_last;
	struct task_struct	*task;
	unsigned int		blockers;
};

void interval_init(struct interval_lock *lock);
void interval_get(struct interval_lock *lock, struct interval_range *range,
		  unsigned long start, unsigned long last);
void interval_put(struct interval_lock *lock, struct interval_range *range);

#endif /* _RIVALS_H */
