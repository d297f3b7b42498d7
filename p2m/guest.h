/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One guest: its map, its lock, its pages, its store, its counters.
 *
 * ORDER OF LOCKS, outermost first:
 *
 *	the locks of the inodes of guests	(a call on a file has them)
 *	mmap_lock of a VMM	(a fault comes in with it)
 *	p2m_pool.looking	(a task that looks for zero pages)
 *	the guest's range lock	(p2m_rangelock)
 *	the lock of a guest page
 *	i_mmap_rwsem of the guest's mapping, page table locks, KVM's mmu_lock
 *
 * So a task that holds a range touches no user memory: that could fault.  And
 * nobody waits for a pager with an inode locked: see file.c.
 *
 * THE CALLS are described in uapi/p2m.h.  A function that does a call has the
 * name of the command as its comment.  The caller holds nothing, and it may
 * sleep.
 *
 * THE CHARGE for pages, tables, store and lock goes to the memory cgroup of the
 * process that made the guest, whatever makes it grow.  A fault and
 * p2m_hold() make that cgroup the active one.
 */
#ifndef _P2M_GUEST_H
#define _P2M_GUEST_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/percpu.h>

#include "p2m_rangelock.h"
#include "p2m/map.h"
#include "p2m/uapi/p2m.h"

/* The counters of a guest; for their meaning see p2m_stats in uapi/p2m.h. */
#define P2M_COUNTERS(x)							\
	x(faults) x(retries) x(zeroed) x(paged_out) x(paged_in) x(busy) \
	x(shattered) x(collapsed) x(merged) x(unshared) \
	x(pod_populated) x(pod_swept) x(pod_exhausted) x(dirtied) x(events) \
	x(foreign) x(pod_looked) x(broken) x(discarded)

/** struct p2m_counters - one CPU's share of a guest's counters */
struct p2m_counters {
#define P2M_COUNTER(name) u64 name;
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
};

#define p2m_count_event(guest, name)	this_cpu_inc((guest)->counters->name)

/* Refused touches that p2m_pool remembers at a time */
#define P2M_POD_REFUSED	16

/**
 * struct p2m_pool - how many pages a guest may have, and has; see pod.c
 * @gfns: frames below this take from the pool; changes only while all is held
 * @target: how many of them may be populated; changes only while all is held
 * @populated: how many are
 * @given: goes up whenever something comes into the pool
 * @looking: held by a task that looks for zero pages because the pool is empty.
 * The task takes it while it holds nothing of the range lock.  It guards the
 * fields below
 * @hand: where to look next
 * @known: the value of @given when the last look ended
 * @passed: frames that were looked at since then, or since all had been
 * @fruitless: how often in a row a look at all frames found nothing
 * @again: when, in jiffies, to look again
 * @refused: touches to refuse when they are made again; not guarded
 */
struct p2m_pool {
	unsigned long	gfns;
	atomic_long_t	target;
	atomic_long_t	populated;
	atomic_long_t	given;
	struct mutex	looking;	/* see above */
	unsigned long	hand;
	long		known;
	unsigned long	passed;
	unsigned int	fruitless;
	unsigned long	again;
	unsigned long	refused[P2M_POD_REFUSED];
};

/**
 * struct p2m_guest - one guest
 * @lock: guards the entries of @map
 * @map: gfn->pfn
 * @gfns: the guest's size; shrinks only while all is held
 * @log_dirty: whether log-dirty is on; changes while all is held
 * @inode: the guest lives as long as this; its address space maps the guest,
 * and is what is zapped
 * @store: a shmem file; if the contents of gfn are in the store, they are page
 * gfn
 * @pager: the state of a pager process; NULL until the first one attaches
 * @memcg: the cgroup that is charged
 * @pool: for populate-on-demand
 * @domain: the guests that it may share with; changes while all is held and no
 * frame is shared
 * @sharers: how many of its frames sharing.c counts as sharers
 * @zero_4k: a page of zeros, for reads of frames that have nothing; or NULL
 * @zero_2m: another, of 2 MB; see zero.c
 * @counters: per CPU
 * @id: its number
 * @name: its name in @lock's reports: "p2m/" and the number
 * @link: in the list of all guests
 */
struct p2m_guest {
	struct p2m_rangelock		lock;
	struct p2m_map			map;
	atomic_long_t			gfns;
	bool				log_dirty;
	struct inode			*inode;
	struct file			*store;
	struct p2m_pager		*pager;
	struct mem_cgroup		*memcg;
	struct p2m_pool			pool;
	struct p2m_domain		*domain;
	atomic_long_t			sharers;
	struct page			*zero_4k;
	struct page			*zero_2m;
	struct p2m_counters __percpu	*counters;
	u64				id;
	char				name[24];
	struct list_head		link;
};

/**
 * struct p2m_type_ops - what a type of entry needs; the frames are held
 * @populate: give a page to a frame that is touched (P2M_TOUCH_*); NULL if it
 * has one, or cannot have one.  @vmf is the touch, if it is of a mapping
 * @write: make a frame with a page writable; NULL if there is nothing to do
 * @drop: the guest goes: free what the entry has; NULL if it has nothing
 * @check: for p2m_audit(): return what is wrong with the entry, or NULL; NULL
 * if there is nothing to check
 */
struct p2m_type_ops {
	int (*populate)(struct p2m_guest *guest, unsigned long gfn,
			unsigned int touch, struct vm_fault *vmf);
	int (*write)(struct p2m_guest *guest, unsigned long gfn,
		     struct vm_fault *vmf);
	void (*drop)(struct p2m_guest *guest, struct p2m_entry entry);
	const char *(*check)(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry);
};

extern const struct p2m_type_ops p2m_type_ops[P2M_NR_TYPES];

void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns);
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats);

#endif /* _P2M_GUEST_H */
