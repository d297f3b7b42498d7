/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One guest: its map, its lock, its pages, its store, its lifetime.
 *
 * ORDER OF LOCKS, outermost first:
 *
 *	mmap_lock of a VMM	(a fault comes in with it)
 *	the guest's range lock	(p2m_rangelock)
 *	the lock of a guest page
 *	i_mmap_rwsem of the guest's mapping, page table locks, KVM's mmu_lock
 *
 * So no user memory is touched while holding a range: that could fault.
 *
 * A PAGE belongs to the map: one reference, from when its entry is set until it
 * is cleared.  The processor's tables hold references of their own; KVM's
 * nested tables hold none.  To take a page away: change the entry, so that no
 * new fault finds it; wait for faults that have found it already, by its page
 * lock; zap; and only if the map's reference is then the last, take it.
 *
 * THE CHARGE for pages, tables, store and lock goes to the memory cgroup of the
 * process that opened the guest, whoever makes it grow: the ways in (a fault, an
 * ioctl) make that cgroup the active one.
 */
#ifndef _P2M_GUEST_H
#define _P2M_GUEST_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/percpu.h>

#include "p2m_rangelock.h"
#include "p2m/map.h"
#include "p2m/uapi/p2m.h"

/* What is counted for a guest; p2m_stats in uapi/p2m.h says what each is. */
#define P2M_COUNTERS(x)							\
	x(faults) x(retries) x(zeroed) x(paged_out) x(paged_in) x(busy)

/** struct p2m_counters - one CPU's share of a guest's counters */
struct p2m_counters {
#define P2M_COUNTER(name) u64 name;
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
};

#define p2m_count_event(guest, name)	this_cpu_inc((guest)->counters->name)

/**
 * struct p2m_guest - one guest
 * @lock: guards the entries of @map
 * @map: gfn->pfn
 * @gfns: the guest's size; only grows
 * @inode: its address space is what maps the guest, and is zapped
 * @store: a shmem file; the contents of gfn, if paged, are its page gfn
 * @memcg: who is charged
 * @counters: per CPU
 * @id: its number
 * @link: in the list of all guests
 */
struct p2m_guest {
	struct p2m_rangelock		lock;
	struct p2m_map			map;
	atomic_long_t			gfns;
	struct inode			*inode;
	struct file			*store;
	struct mem_cgroup		*memcg;
	struct p2m_counters __percpu	*counters;
	u64				id;
	struct list_head		link;
};

/**
 * struct p2m_totals - what all guests together have; 0 when there are none
 * @guests: guests
 * @pages: pages that belong to maps
 * @store: frames in stores
 */
struct p2m_totals {
	u64 guests;
	u64 pages;
	u64 store;
};

/* guest.c */
int p2m_guests_init(void);
void p2m_guests_exit(void);
struct p2m_guest *p2m_guest_create(void);
void p2m_guest_destroy(struct p2m_guest *guest);
void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns);
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats);
void p2m_guests_totals(struct p2m_totals *totals);
void p2m_guests_for_each(void (*fn)(struct p2m_guest *guest, void *arg),
			 void *arg);
struct page *p2m_page_alloc(gfp_t gfp);
void p2m_page_free(struct page *page);
void p2m_store_account(long frames);
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);

/* fault.c */
extern const struct vm_operations_struct p2m_vm_ops;

/* paging.c */
int p2m_paging_populate(struct p2m_guest *guest, unsigned long gfn);
int p2m_page_out(struct p2m_guest *guest, struct p2m_range *range);
int p2m_page_in(struct p2m_guest *guest, struct p2m_range *range);

/* debugfs.c */
void p2m_debugfs_init(void);
void p2m_debugfs_exit(void);

#endif /* _P2M_GUEST_H */
