/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One guest: its map, its lock, its pages, its store, its lifetime.
 *
 * ORDER OF LOCKS, outermost first:
 *
 *	mmap_lock of a VMM	(a fault comes in with it)
 *	p2m_pool.looking	(a task that looks for zero pages)
 *	the guest's range lock	(p2m_rangelock)
 *	the lock of a guest page
 *	i_mmap_rwsem of the guest's mapping, page table locks, KVM's mmu_lock
 *
 * So no user memory is touched while holding a range: that could fault.
 *
 * THE CALLS, which uapi/p2m.h is the manual of, each have a function whose comment is
 * the name of its command.  It is called holding nothing, and may sleep.
 *
 * THE CHARGE for pages, tables, store and lock goes to the memory cgroup of the
 * process that opened the guest, whoever makes it grow: a fault and p2m_hold() make
 * that cgroup the active one.
 */
#ifndef _P2M_GUEST_H
#define _P2M_GUEST_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>

#include "p2m_rangelock.h"
#include "p2m/map.h"
#include "p2m/uapi/p2m.h"

/* What is counted for a guest; p2m_stats in uapi/p2m.h says what each is. */
#define P2M_COUNTERS(x)							\
	x(faults) x(retries) x(zeroed) x(paged_out) x(paged_in) x(busy) \
	x(shattered) x(collapsed) x(merged) x(unshared) \
	x(pod_populated) x(pod_swept) x(pod_exhausted) x(dirtied) x(events) \
	x(foreign) x(pod_looked) x(broken)

/** struct p2m_counters - one CPU's share of a guest's counters */
struct p2m_counters {
#define P2M_COUNTER(name) u64 name;
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
};

#define p2m_count_event(guest, name)	this_cpu_inc((guest)->counters->name)

/* Touches, at a time, whose refusal p2m_pool remembers until they come again */
#define P2M_POD_REFUSED	16

/**
 * struct p2m_pool - how many pages a guest may have, and has; see pod.c
 * @gfns: frames below take from the pool; changes only while all is held
 * @target: how many of these may be populated; changes only while all is held
 * @populated: how many are
 * @given: goes up whenever something comes into the pool
 * @looking: held by who looks for zero pages because the pool is empty; taken
 * with nothing of the range lock held.  It guards the fields below
 * @hand: where to look next
 * @known: what @given was when the last look ended
 * @passed: frames looked at since then, or since all had been
 * @fruitless: how often all were looked at, in a row, and nothing came of it
 * @again: when, in jiffies, to look again
 * @refused: touches that are to be refused when they come again; not guarded
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
 * @gfns: the guest's size; only grows
 * @log_dirty: is dirty.c remembering writes; changes while all is held
 * @inode: its address space is what maps the guest, and is zapped
 * @store: a shmem file; the contents of gfn, if in the store, are its page gfn
 * @pager: what there is for a pager process; NULL until there is the first
 * @memcg: who is charged
 * @pool: what it is populated from on demand
 * @domain: of guests that it may share with; changes while all is held, and no frame is
 * shared
 * @sharers: frames of it that sharing.c has as sharers
 * @counters: per CPU
 * @id: its number
 * @name: what @lock's reports call it: "p2m/" and the number
 * @link: in the list of all guests
 * @ref: of the file, and of whoever found this in the list
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
	struct p2m_counters __percpu	*counters;
	u64				id;
	char				name[24];
	struct list_head		link;
	refcount_t			ref;
};

/**
 * struct p2m_type_ops - what there is to do with frames of a type, which are held
 * @populate: see to it that a frame that is touched (P2M_TOUCH_*) has a page; or
 * NULL if it has one, or cannot have
 * @write: see to it that it can be written to; or NULL if there is nothing to do
 * @drop: the guest goes: free what the entry has; or NULL if that is nothing
 * @check: what of it is wrong, for p2m_audit(), or NULL; or NULL if all is right
 */
struct p2m_type_ops {
	int (*populate)(struct p2m_guest *guest, unsigned long gfn,
			unsigned int touch);
	int (*write)(struct p2m_guest *guest, unsigned long gfn);
	void (*drop)(struct p2m_guest *guest, struct p2m_entry entry);
	const char *(*check)(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry);
};

extern const struct p2m_type_ops p2m_type_ops[P2M_NR_TYPES];

void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns);
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats);

#endif /* _P2M_GUEST_H */
