/* SPDX-License-Identifier: GPL-2.0 */
/*
 * p2m_rangelock: exclusive locks on ranges of a guest's frames
 *
 * A guest's gfn->pfn map (the p2m) is read, thought about, and then changed.
 * Between the reading and the changing nobody else may change it.  A
 * p2m_rangelock gives a task that right over a range of guest frames, and
 * leaves the rest of the guest to other tasks:
 *
 *	err = get_p2m(&guest->lock, gfn, order);
 *	if (err)
 *		return err;
 *	entry = p2m_get_entry(&guest->map, gfn);
 *	...
 *	err = p2m_set_entry(&guest->map, gfn, order, changed);
 *	put_p2m(&guest->lock, gfn, order);
 *	return err;
 *
 * The promises:
 *
 *  - Exclusive.  Until the matching put, no other task's get of an overlapping
 *    range returns.  The unit is the chunk, 2 MB: a smaller range holds its
 *    whole chunk.  Tasks in different chunks never wait for each other, and
 *    neither writes a cache line that the other one reads.
 *  - Any range.  Large aligned ranges are held by nodes of the tree (1 GB,
 *    512 GB, ...), not chunk by chunk.  Other ranges are held as their
 *    canonical cover: the fewest nodes that make them up, taken in ascending
 *    order.
 *  - Recursive.  A holder may get any range that overlaps the ranges that it
 *    holds, and may put them in any order.  A put undoes its own get and
 *    nothing else.
 *  - No silent deadlock.  If the wait of a get would close a cycle of waiting
 *    tasks, over any number of guests, the get gives back all that it has taken
 *    and returns -EDEADLK.  A wait behind a wide get counts as a wait for it.
 *    A task that holds nothing is never refused an aligned range or the whole
 *    guest.
 *  - Fair.  Waiters are served in order of arrival, except for the short spin
 *    of a running task.  A wide get is not starved by narrow ones or the other
 *    way round.  If a wide get waits for a node, a task that already holds
 *    something under this node may go on taking more there: the wide get has to
 *    wait for that task anyway.
 *  - No known maximum.  The tree grows with the frames that are used.
 *
 * A task must not make a get while it holds something that a present holder may
 * wait for: lockdep checks this.  A holder must not return to user space.  It
 * must not touch user memory either: the fault might want the same range.
 */
#ifndef _P2M_RANGELOCK_H
#define _P2M_RANGELOCK_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/** P2M_CHUNK_ORDER - log2 of the frames in a chunk, the unit of exclusion */
#define P2M_CHUNK_ORDER		9
/** P2M_GFN_BITS - a gfn is below 2^P2M_GFN_BITS: 64 bits of guest address */
#define P2M_GFN_BITS		52

/**
 * enum p2m_wait - what a get does when somebody else holds the range
 * @P2M_TRY: return -EBUSY; never sleep
 * @P2M_WAIT: sleep until the range is free
 * @P2M_WAIT_KILLABLE: sleep, but return -EINTR on a fatal signal
 * @P2M_WAIT_INTERRUPTIBLE: sleep, but return -EINTR on any signal
 */
enum p2m_wait {
	P2M_TRY,
	P2M_WAIT,
	P2M_WAIT_KILLABLE,
	P2M_WAIT_INTERRUPTIBLE,
};

/**
 * struct p2m_node - the lock of one aligned range: a chunk, 1 GB, ..., all
 * @owner: the task that has the node, and the P2M_* flag bits; 0 when idle
 * @depth: gets by @owner that have not been put; touched by @owner alone
 * @passes: how often a task took something below while this was claimed
 * @waiters: the gets that wait for @owner to go, in order of arrival
 * @parent: the node around this one
 * @gfn: the first frame
 * @ip: the code that got it
 * @since: jiffies when it was got
 * @level: order = P2M_CHUNK_ORDER + 9 * @level
 * @drained: @owner is alone below; set and cleared by @owner
 *
 * One node fills one cache line, so that neighbours do not share any.
 */
struct p2m_node {
	atomic_long_t		owner;
	unsigned int		depth;
	atomic_t		passes;
	struct hlist_head	waiters;
	struct p2m_node		*parent;
	unsigned long		gfn;
	unsigned long		ip;
	unsigned long		since;
	u8			level;
	bool			drained;
} ____cacheline_aligned;

struct p2m_table;

/*
 * How often a get could not go straight through, by kind:
 *	waits		slept
 *	deadlocks	was refused with -EDEADLK
 *	interrupted	was ended by a signal
 *	backoffs	took a node, and gave it back for the claim above it
 *	passes		took a node past the claim of a waiting wide get
 */
#define P2M_RANGELOCK_STATS(x)						\
	x(waits) x(deadlocks) x(interrupted) x(backoffs) x(passes)

/** enum p2m_rangelock_stat - one of P2M_RANGELOCK_STATS */
enum p2m_rangelock_stat {
#define P2M_STAT(name) P2M_STAT_##name,
	P2M_RANGELOCK_STATS(P2M_STAT)
#undef P2M_STAT
	P2M_NR_STATS
};

/**
 * struct p2m_rangelock_stats - one CPU's share of the counters
 * @count: each of P2M_RANGELOCK_STATS
 */
struct p2m_rangelock_stats {
	unsigned long	count[P2M_NR_STATS];
};

/**
 * struct p2m_rangelock - the lock of one guest's p2m
 * @all: the node above every other, which get_p2m_all() takes
 * @root: the table of the highest level there is so far
 * @grow: held to put a new table above @root
 * @stats: each CPU's counters; only for gets that do not go straight through
 * @name: for reports
 * @link: in the list of all locks, for debugfs
 * @dep_map: for lockdep
 */
struct p2m_rangelock {
	struct p2m_node			all;
	struct p2m_table		*root;
	raw_spinlock_t			grow;
	struct p2m_rangelock_stats __percpu *stats;
	const char			*name;
	struct list_head		link;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	struct lockdep_map		dep_map;
#endif
};

int __must_check __p2m_rangelock_init(struct p2m_rangelock *lock,
				      const char *name, const char *class,
				      struct lock_class_key *key);
void p2m_rangelock_destroy(struct p2m_rangelock *lock);
unsigned long p2m_rangelock_stat(struct p2m_rangelock *lock,
				 enum p2m_rangelock_stat stat);

/**
 * p2m_rangelock_init() - make a lock with nothing held
 * @lock: the lock
 * @name: the name of @lock in its own reports; must outlive @lock
 *
 * All locks initialised at one place in the source are one class for lockdep.
 * Until p2m_rangelock_destroy() the lock is in a list of all locks.
 *
 * Context: process context; may sleep.
 * Return: 0; or -ENOMEM, and then there is no lock.
 */
#define p2m_rangelock_init(lock, name)					\
	__p2m_rangelock_init(lock, name, #lock, ({			\
		static struct lock_class_key __key;			\
									\
		&__key;							\
	}))

int __must_check __get_p2m(struct p2m_rangelock *lock, unsigned long gfn,
			   unsigned long nr, enum p2m_wait wait,
			   unsigned int subclass);
void put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		   unsigned long nr);

int __must_check __get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
			       unsigned int subclass);
void put_p2m_all(struct p2m_rangelock *lock);

long __must_check get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
			       unsigned long nr, unsigned int max_nodes,
			       enum p2m_wait wait);

int __must_check get_p2m_two(struct p2m_rangelock *lock1, unsigned long gfn1,
			     struct p2m_rangelock *lock2, unsigned long gfn2,
			     unsigned int order);
void put_p2m_two(struct p2m_rangelock *lock1, unsigned long gfn1,
		 struct p2m_rangelock *lock2, unsigned long gfn2,
		 unsigned int order);

bool p2m_held(struct p2m_rangelock *lock, unsigned long gfn,
	      unsigned int order);
bool p2m_held_all(struct p2m_rangelock *lock);

/* Frames in a range of this order; 0 if too many: no get accepts that. */
static inline unsigned long p2m_nr(unsigned int order)
{
	return order <= P2M_GFN_BITS ? 1UL << order : 0;
}

/**
 * get_p2m() - get exclusive access to [gfn, gfn + 2^order) of a guest's p2m
 * @lock: the guest's lock
 * @gfn: first frame; need not be aligned to @order
 * @order: log2 of the number of frames
 *
 * Follows the get_p2m() proposed on xen-devel in October 2011, and Xen's
 * gfn_lock(p2m, gfn, order), which ignores its last two arguments.
 *
 * Context: process context; may sleep.
 * Return: 0, and the range is held until put_p2m() of the same @gfn and @order;
 * -EDEADLK if waiting would close a cycle of waiting tasks;
 * -ENOMEM if the tree could not grow;
 * -EINVAL if the range is past 2^P2M_GFN_BITS;
 * -EOVERFLOW if the caller has got the same range 2^32 - 1 times.
 * After an error nothing more is held than before.
 */
static inline int __must_check get_p2m(struct p2m_rangelock *lock,
				       unsigned long gfn, unsigned int order)
{
	return __get_p2m(lock, gfn, p2m_nr(order), P2M_WAIT, 0);
}

/**
 * get_p2m_killable() - get_p2m() that a fatal signal ends
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 *
 * Context: process context; may sleep.
 * Return: as get_p2m(); -EINTR on a fatal signal.
 */
static inline int __must_check get_p2m_killable(struct p2m_rangelock *lock,
						unsigned long gfn,
						unsigned int order)
{
	return __get_p2m(lock, gfn, p2m_nr(order), P2M_WAIT_KILLABLE, 0);
}

/**
 * get_p2m_interruptible() - get_p2m() that any signal ends
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 *
 * Context: process context; may sleep.
 * Return: as get_p2m(); -EINTR on a signal.
 */
static inline int __must_check
get_p2m_interruptible(struct p2m_rangelock *lock, unsigned long gfn,
		      unsigned int order)
{
	return __get_p2m(lock, gfn, p2m_nr(order), P2M_WAIT_INTERRUPTIBLE, 0);
}

/**
 * try_get_p2m() - get_p2m() that does not wait
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 *
 * Context: a task's; may be atomic, but not in an interrupt.
 * PREEMPT_RT has no memory for an atomic caller: there it gets -ENOMEM if
 * nobody has got anything in that place before.
 * Return: as get_p2m() but never -EDEADLK; -EBUSY if another task holds some
 * of the range, waits for it, or is trying to get it at this instant: of two
 * calls that overlap, both may fail.
 */
static inline int __must_check try_get_p2m(struct p2m_rangelock *lock,
					   unsigned long gfn,
					   unsigned int order)
{
	return __get_p2m(lock, gfn, p2m_nr(order), P2M_TRY, 0);
}

/**
 * get_p2m_nested() - get_p2m() while holding frames of another guest
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 * @subclass: 1 for the second guest, and so on, as for mutex_lock_nested()
 *
 * The caller must keep to an order among guests; get_p2m_two() has one.
 *
 * Context: process context; may sleep.
 * Return: as get_p2m().
 */
static inline int __must_check get_p2m_nested(struct p2m_rangelock *lock,
					      unsigned long gfn,
					      unsigned int order,
					      unsigned int subclass)
{
	return __get_p2m(lock, gfn, p2m_nr(order), P2M_WAIT, subclass);
}

/**
 * put_p2m() - undo one get_p2m() of the same range
 * @lock: the guest's lock
 * @gfn: as given to the get
 * @order: as given to the get
 *
 * A put of a range that the caller does not hold warns, and changes nothing.
 *
 * Context: the task that got it; may be atomic but not in an interrupt.
 */
static inline void put_p2m(struct p2m_rangelock *lock, unsigned long gfn,
			   unsigned int order)
{
	put_p2m_range(lock, gfn, p2m_nr(order));
}

/**
 * get_p2m_range() - get exclusive access to [gfn, gfn + nr)
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 *
 * All or nothing.  If a part of a long range at a time is enough, see
 * get_p2m_step().
 *
 * Context: process context; may sleep.
 * Return: as get_p2m(); -EINVAL also if @nr is 0.
 */
static inline int __must_check get_p2m_range(struct p2m_rangelock *lock,
					     unsigned long gfn,
					     unsigned long nr)
{
	return __get_p2m(lock, gfn, nr, P2M_WAIT, 0);
}

/**
 * get_p2m_range_interruptible() - get_p2m_range() that any signal ends
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 *
 * Context: process context; may sleep.
 * Return: as get_p2m_range(); -EINTR on a signal.
 */
static inline int __must_check
get_p2m_range_interruptible(struct p2m_rangelock *lock, unsigned long gfn,
			    unsigned long nr)
{
	return __get_p2m(lock, gfn, nr, P2M_WAIT_INTERRUPTIBLE, 0);
}

/**
 * get_p2m_range_killable() - get_p2m_range() that a fatal signal ends
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 *
 * Context: process context; may sleep.
 * Return: as get_p2m_range(); -EINTR on a fatal signal.
 */
static inline int __must_check
get_p2m_range_killable(struct p2m_rangelock *lock, unsigned long gfn,
		       unsigned long nr)
{
	return __get_p2m(lock, gfn, nr, P2M_WAIT_KILLABLE, 0);
}

/**
 * get_p2m_gfn() - get exclusive access to one frame (and its chunk)
 * @lock: the guest's lock
 * @gfn: the frame
 *
 * Context: process context; may sleep.
 * Return: as get_p2m().
 */
static inline int __must_check get_p2m_gfn(struct p2m_rangelock *lock,
					   unsigned long gfn)
{
	return __get_p2m(lock, gfn, 1, P2M_WAIT, 0);
}

/**
 * put_p2m_gfn() - undo one get_p2m_gfn()
 * @lock: the guest's lock
 * @gfn: as given to the get
 *
 * Context: as put_p2m().
 */
static inline void put_p2m_gfn(struct p2m_rangelock *lock, unsigned long gfn)
{
	put_p2m_range(lock, gfn, 1);
}

/**
 * get_p2m_all() - get exclusive access to the whole guest
 * @lock: the guest's lock
 *
 * Costs one look at each chunk that was ever got, and nothing for others.
 *
 * Context: process context; may sleep.
 * Return: 0, -EDEADLK or -EOVERFLOW, as get_p2m().
 */
static inline int __must_check get_p2m_all(struct p2m_rangelock *lock)
{
	return __get_p2m_all(lock, P2M_WAIT, 0);
}

/**
 * get_p2m_all_interruptible() - get_p2m_all() that any signal ends
 * @lock: the guest's lock
 *
 * Context: process context; may sleep.
 * Return: as get_p2m_all(); -EINTR on a signal.
 */
static inline int __must_check
get_p2m_all_interruptible(struct p2m_rangelock *lock)
{
	return __get_p2m_all(lock, P2M_WAIT_INTERRUPTIBLE, 0);
}

/**
 * lockdep_assert_p2m_held() - say that the code below needs the range held
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 */
#ifdef CONFIG_LOCKDEP
#define lockdep_assert_p2m_held(lock, gfn, order)			\
	WARN_ON_ONCE(debug_locks && !p2m_held(lock, gfn, order))
#else
#define lockdep_assert_p2m_held(lock, gfn, order)			\
	do { (void)(lock); (void)(gfn); (void)(order); } while (0)
#endif

#endif /* _P2M_RANGELOCK_H */
