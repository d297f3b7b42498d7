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
 *    whole chunk.  Tasks in different chunks never wait for each other.  As long
 *    as no task waits or gets a larger node, neither writes a cache line that
 *    the other one reads.
 *  - Any range.  Large aligned ranges are held by nodes of the tree (1 GB,
 *    512 GB, ...), not chunk by chunk.  Other ranges are held as their
 *    canonical cover: the fewest nodes that make them up, taken in ascending
 *    order.
 *  - Recursive.  A holder may get any range that overlaps the ranges that it
 *    holds, and may put them in any order.  A put undoes its own get and
 *    nothing else.  A get of a part of a held node waits for no other holder.
 *  - No silent deadlock.  If the wait of a get would close a cycle of waiting
 *    tasks, over any number of guests, the get gives back all that it has taken
 *    and returns -EDEADLK.  A wait behind a wide get counts as a wait for it.
 *    A task that holds nothing is never refused a range that is one node (all
 *    of a chunk or less, of 1 GB, ...), or the whole guest by get_p2m_all().
 *  - Fair.  Waiters are served in order of arrival, except for the short spin
 *    of a running task.  A wide get is not starved by narrow ones or the other
 *    way round, unless the luck of the scheduler starves it.  If a wide get and
 *    a task that already holds something below its node wait for each other, the
 *    task may take more there: the wide get has to wait for that task anyway.
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
#include <linux/minmax.h>
#include <linux/rbtree_types.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#ifndef CONFIG_64BIT
#error "p2m_rangelock: a gfn has up to 52 bits: this needs a 64-bit kernel"
#endif

/** P2M_CHUNK_ORDER - log2 of the frames in a chunk, the unit of exclusion */
#define P2M_CHUNK_ORDER		9
/** P2M_GFN_BITS - a gfn is below 2^P2M_GFN_BITS: 64 bits of guest address */
#define P2M_GFN_BITS		52
#define P2M_FANOUT_BITS		9
/** P2M_FANOUT - nodes in a table, which is allocated at once */
#define P2M_FANOUT		(1UL << P2M_FANOUT_BITS)

/**
 * enum p2m_wait - what a get does when somebody else holds the range
 * @P2M_TRY: return -EBUSY; never sleep
 * @P2M_WAIT: sleep until the range is free
 * @P2M_WAIT_KILLABLE: sleep, but return -EINTR on a fatal signal
 * @P2M_WAIT_INTERRUPTIBLE: sleep, but return -EINTR on any signal
 */
enum p2m_wait {
	P2M_TRY			= TASK_RUNNING,
	P2M_WAIT		= TASK_UNINTERRUPTIBLE,
	P2M_WAIT_KILLABLE	= TASK_KILLABLE,
	P2M_WAIT_INTERRUPTIBLE	= TASK_INTERRUPTIBLE,
};

/**
 * struct p2m_node - the lock of one aligned range: a chunk, 1 GB, ..., all
 * @owner: the task that has the node, and the P2M_* flag bits; 0 when idle
 * @depth: gets by @owner after its first; changed by @owner alone
 * @passes: how often a task took something below while this was claimed
 * @waiters: the gets that wait for @owner to go, in order of arrival
 * @parent: the node around this one
 * @below: a table of 512 nodes; in the low bits 9 * their level; 0 if none
 * @gfn: the first frame
 * @ip: the code that got it
 * @since: jiffies when it was got
 * @level: order = P2M_CHUNK_ORDER + 9 * @level
 * @spinning: a task spins for it
 *
 * One node fills one cache line, so that neighbours do not share any.
 */
struct p2m_node {
	atomic_long_t		owner;
	unsigned int		depth;
	atomic_t		passes;
	struct rb_root		waiters;
	struct p2m_node		*parent;
	unsigned long		below;
	unsigned long		gfn;
	unsigned long		ip;
	u32			since;
	u8			level;
	u8			spinning;
} ____cacheline_aligned;

/*
 * How a get may not go straight through: it slept, was refused with -EDEADLK,
 * was ended by a signal, met another task's claim above, or went past it.
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
 * struct p2m_rangelock - the lock of one guest's p2m
 * @all: the node above every other, which get_p2m_all() takes
 * @claims: why a get of a chunk must look at the nodes above: gets of these
 * nodes, from the first try to the put, and HANDOFFs there
 * @name: for reports
 * @link: in the list of all locks, for debugfs
 * @queues: the lock of the queues of all nodes; also held to make the tree higher
 * @last_ticket: of the last get that had to wait
 * @stats: only of gets that do not go straight through
 * @dep_map: for lockdep
 */
struct p2m_rangelock {
	struct p2m_node			all;
	atomic_t			claims;
	const char			*name;
	struct list_head		link;
	raw_spinlock_t			queues ____cacheline_aligned_in_smp;
	u64				last_ticket;
	atomic_long_t			stats[P2M_NR_STATS];
	struct lockdep_map		dep_map;
};

/**
 * struct p2m_rangelock_hold - a range that is held: see get_p2m_hold()
 * @node: the chunk, if it is only one that was there already; or NULL
 * @lock: without @node: the guest's lock
 * @gfn: without @node: the first frame
 * @nr: without @node: how many
 * @err: of CLASS(p2m_hold, name)(lock, gfn, order, wait): 0 if the range is
 * held until @name goes out of scope; or the error of get_p2m_hold()
 */
struct p2m_rangelock_hold {
	struct p2m_node		*node;
	struct p2m_rangelock	*lock;
	unsigned long		gfn;
	unsigned long		nr;
	int			err;
};

void __p2m_rangelock_init(struct p2m_rangelock *lock, const char *name,
			  const char *class, struct lock_class_key *key);
void p2m_rangelock_destroy(struct p2m_rangelock *lock);

/**
 * p2m_rangelock_init() - make a lock with nothing held
 * @lock: the lock
 * @name: the name of @lock in its own reports, not NULL; must outlive @lock
 *
 * All locks initialised at one place in the source are one class for lockdep.
 * Until p2m_rangelock_destroy() the lock is in a list of all locks.
 *
 * Context: process context; may sleep.
 */
#define p2m_rangelock_init(lock, name)					\
	__p2m_rangelock_init(lock, name, #lock, ({			\
		static struct lock_class_key __key;			\
									\
		&__key;							\
	}))

int __must_check get_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
			       unsigned long nr, enum p2m_wait wait,
			       unsigned int subclass);
long __must_check get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
			       unsigned long nr, unsigned int max_nodes,
			       enum p2m_wait wait, unsigned int subclass);
void put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		   unsigned long nr);

int __must_check get_p2m_hold(struct p2m_rangelock_hold *hold,
			      struct p2m_rangelock *lock, unsigned long gfn,
			      unsigned int order, enum p2m_wait wait);
void put_p2m_hold(struct p2m_rangelock_hold *hold);

#ifdef DEFINE_CLASS	/* <linux/cleanup.h>, since 6.5 */
DEFINE_CLASS(p2m_hold, struct p2m_rangelock_hold,
	     _T.err ? (void)0 : put_p2m_hold(&_T),
	     ({
		struct p2m_rangelock_hold hold;

		hold.err = get_p2m_hold(&hold, lock, gfn, order, wait);
		hold;
	     }), struct p2m_rangelock *lock, unsigned long gfn,
	     unsigned int order, enum p2m_wait wait)
#endif

int __must_check get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
			     unsigned int subclass);
void put_p2m_all(struct p2m_rangelock *lock);

bool p2m_held(struct p2m_rangelock *lock, unsigned long gfn,
	      unsigned int order);

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
 * -EOVERFLOW if the caller has got the same range 2^32 times.
 * After an error nothing more is held than before.
 */
static inline int __must_check get_p2m(struct p2m_rangelock *lock,
				       unsigned long gfn, unsigned int order)
{
	return get_p2m_range(lock, gfn, p2m_nr(order), P2M_WAIT, 0);
}

/**
 * try_get_p2m() - get_p2m() that does not wait
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 *
 * Context: a task's; may be atomic, but not in an interrupt, nor with interrupts
 * or bottom halves off, nor under a lock that an interrupt takes.  If nobody has
 * got anything in that GB before, -ENOMEM is likely, and certain on PREEMPT_RT.
 * Return: as get_p2m() but never -EDEADLK; -EBUSY if another task holds some
 * of the range, waits for it, or is trying to get it at this instant: of two
 * calls that overlap, both may fail.
 */
static inline int __must_check try_get_p2m(struct p2m_rangelock *lock,
					   unsigned long gfn,
					   unsigned int order)
{
	return get_p2m_range(lock, gfn, p2m_nr(order), P2M_TRY, 0);
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
	return get_p2m_range(lock, gfn, p2m_nr(order), P2M_WAIT, subclass);
}

/**
 * put_p2m() - undo one get_p2m() of the same range
 * @lock: the guest's lock
 * @gfn: as given to the get
 * @order: as given to the get
 *
 * Context: as put_p2m_range().
 */
static inline void put_p2m(struct p2m_rangelock *lock, unsigned long gfn,
			   unsigned int order)
{
	put_p2m_range(lock, gfn, p2m_nr(order));
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
	return get_p2m_range(lock, gfn, 1, P2M_WAIT, 0);
}

/**
 * put_p2m_gfn() - undo one get_p2m_gfn()
 * @lock: the guest's lock
 * @gfn: as given to the get
 *
 * Context: as put_p2m_range().
 */
static inline void put_p2m_gfn(struct p2m_rangelock *lock, unsigned long gfn)
{
	put_p2m_range(lock, gfn, 1);
}

/**
 * get_p2m_two() - get ranges of two guests, or two ranges of one
 * @lock1: one guest's lock
 * @gfn1: first frame there
 * @lock2: another guest's lock, or the same
 * @gfn2: first frame there
 * @order: log2 of the number of frames, in both
 * @wait: what to do when another task holds some of it
 *
 * Two tasks that name the guests in different order do not deadlock.  For two
 * ranges of one guest this holds up to P2M_CHUNK_ORDER; above, see -EDEADLK.
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: as get_p2m_range().
 */
static inline int __must_check get_p2m_two(struct p2m_rangelock *lock1,
					   unsigned long gfn1,
					   struct p2m_rangelock *lock2,
					   unsigned long gfn2,
					   unsigned int order,
					   enum p2m_wait wait)
{
	unsigned long nr = p2m_nr(order);
	int err;

	/* By guest, and within one guest by frame. */
	if (lock1 > lock2 || (lock1 == lock2 && gfn1 > gfn2)) {
		swap(lock1, lock2);
		swap(gfn1, gfn2);
	}
	err = get_p2m_range(lock1, gfn1, nr, wait, 0);
	if (err)
		return err;
	err = get_p2m_range(lock2, gfn2, nr, wait, lock1 != lock2);
	if (err)
		put_p2m_range(lock1, gfn1, nr);
	return err;
}

/**
 * put_p2m_two() - undo one get_p2m_two()
 * @lock1: as given to the get
 * @gfn1: as given to the get
 * @lock2: as given to the get
 * @gfn2: as given to the get
 * @order: as given to the get
 *
 * Context: as put_p2m_range().
 */
static inline void put_p2m_two(struct p2m_rangelock *lock1, unsigned long gfn1,
			       struct p2m_rangelock *lock2, unsigned long gfn2,
			       unsigned int order)
{
	put_p2m_range(lock1, gfn1, p2m_nr(order));
	put_p2m_range(lock2, gfn2, p2m_nr(order));
}

/**
 * p2m_rangelock_stat() - how often a get could not go straight through
 * @lock: the guest's lock
 * @stat: in which way
 *
 * Context: any.
 * Return: how often since the lock was initialised.
 */
static inline unsigned long p2m_rangelock_stat(struct p2m_rangelock *lock,
					       enum p2m_rangelock_stat stat)
{
	return atomic_long_read(&lock->stats[stat]);
}

/**
 * lockdep_assert_p2m_held() - say that the code below needs the range held
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 */
#define lockdep_assert_p2m_held(lock, gfn, order)			\
	lockdep_assert_once(p2m_held(lock, gfn, order))

#endif /* _P2M_RANGELOCK_H */
