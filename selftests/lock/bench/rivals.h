/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two locks that p2m_rangelock is compared with, and nothing else is: one that
 * guards all of a guest, as Xen has it, and one that keeps the ranges in an
 * interval tree, as has been proposed for Linux.
 */
#ifndef _RIVALS_H
#define _RIVALS_H

#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

/**
 * struct global_lock - one recursive lock for everything
 * @mutex: held while @depth is not 0
 * @owner: who holds it
 * @depth: how many times
 *
 * What Xen's gfn_lock() comes to, with a mutex since the holder may sleep.
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
 * After the range_lock posted for Linux in 2013 and 2017 (Kara, Bueso), without
 * readers: a get counts what overlaps, adds itself and waits until all of that
 * has gone.  That one turned interrupts off; user-mode Linux takes half a
 * microsecond for it, which is no fault of the lock, so this one does not.
 */
struct interval_lock {
	spinlock_t		lock;	/* of @ranges */
	struct rb_root_cached	ranges;
};

/**
 * struct interval_range - one range, of the caller's
 * @rb: in the tree
 * @start: first frame
 * @last: last frame
 * @subtree_last: highest @last in this part of the tree
 * @task: who waits for it or holds it
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
