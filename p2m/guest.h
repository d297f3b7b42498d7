/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One guest: its map, its lock, its pages, its store, its lifetime.
 *
 * ORDER OF LOCKS, outermost first:
 *
 *	mmap_lock of a VMM	(a fault comes in with it)
 *	who looks for zero pages (p2m_pool.looking)
 *	the guest's range lock	(p2m_rangelock)
 *	the lock of a guest page
 *	i_mmap_rwsem of the guest's mapping, page table locks, KVM's mmu_lock
 *
 * So no user memory is touched while holding a range: that could fault.
 *
 * A PAGE belongs to the map: one reference for each entry, from when it is set until
 * it is cleared; but one for all that share it (sharing.c). The processor's tables
 * hold references of their own; KVM's nested tables hold none. To take a page away:
 * change the entry to a type that is not ram_rw, so that no new fault finds it, and
 * none that has found it makes it writable; wait for faults that have found it
 * already, by its page lock; zap (the two are p2m_unmap()); and only if the map's
 * references are then the last, take it.
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
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/poll.h>
#include <linux/refcount.h>

#include "p2m_rangelock.h"
#include "p2m/map.h"
#include "p2m/uapi/p2m.h"

/*
 * Frames per zap; a compromise between KVM's mmu_lock and a vCPU's wait.  No more
 * than there are bits in a u64.
 */
#define P2M_BATCH	64

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
 * struct p2m_totals - what all guests together have; 0 when there are none
 * @guests: guests
 * @pages: pages that belong to maps; one that is part of a foreign mapping as well
 * counts again for that
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
struct p2m_guest *p2m_guest_find(u64 id);
struct p2m_guest *p2m_guest_next(u64 id);
void p2m_guest_put(struct p2m_guest *guest);
void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns);
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats);
void p2m_guests_totals(struct p2m_totals *totals);
void p2m_guests_for_each(void (*fn)(struct p2m_guest *guest, void *arg),
			 void *arg);
struct page *p2m_page_alloc(gfp_t gfp);
struct page *p2m_huge_alloc(gfp_t gfp);
void p2m_page_hold(struct page *page);
bool p2m_page_is_zero(struct page *page);
void p2m_pages_free(struct page *page, unsigned int order);
void p2m_store_account(long frames);
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);
void p2m_unmap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);

/* Change the entry of a frame that has one of this order: cannot fail. */
static inline void p2m_change_entry(struct p2m_guest *guest, unsigned long gfn,
				    struct p2m_entry entry)
{
	p2m_set_entry(&guest->map, gfn, p2m_entry_order(entry), entry);
}

/* The same page, if the type has one, but of another type. */
static inline void p2m_change_type(struct p2m_guest *guest, unsigned long gfn,
				   enum p2m_type type)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, type));
}

/* Does the map say anything of the chunk of a frame?  At a glance, without a hold. */
static inline bool p2m_has_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	return p2m_next_chunk(&guest->map, gfn, gfn + 1) == gfn;
}

/*
 * The type of a page that is the frame's own: so a page gets that is put back, or
 * into an entry that had none, and is not being written to.  See dirty.c.
 */
static inline enum p2m_type p2m_ram_type(struct p2m_guest *guest,
					 struct p2m_entry entry)
{
	return guest->log_dirty && !p2m_entry_dirty(entry) ? p2m_logdirty :
							     p2m_ram_rw;
}

/* Is that the type it has? */
static inline bool p2m_is_ram(struct p2m_entry entry)
{
	return p2m_entry_type(entry) == p2m_ram_rw ||
	       p2m_entry_type(entry) == p2m_logdirty;
}

/* Has somebody found a memory error in it?  Of a large page, in this part? */
static inline bool p2m_page_is_poisoned(struct page *page)
{
	return PageHWPoison(page);
}

/* range.c */
typedef int (*p2m_batch_fn)(struct p2m_guest *guest, unsigned long gfn,
			    unsigned long nr, struct p2m_range *range);
long p2m_range_end(struct p2m_guest *guest, u64 gfn, u64 nr);
int p2m_find_chunk(struct p2m_guest *guest, unsigned long *gfn,
		   unsigned long end);
int p2m_for_range(struct p2m_guest *guest, struct p2m_range *range,
		  unsigned int size, p2m_batch_fn batch);

/* huge.c */
int p2m_huge_populate(struct p2m_guest *guest, unsigned long gfn);
int p2m_split(struct p2m_guest *guest, unsigned long gfn);
bool p2m_merge(struct p2m_guest *guest, unsigned long gfn);
unsigned int p2m_count_parts(struct p2m_guest *guest, unsigned long gfn);
int p2m_shatter(struct p2m_guest *guest, unsigned long gfn);
int p2m_collapse(struct p2m_guest *guest, struct p2m_range *range);

/* fault.c */
extern const struct vm_operations_struct p2m_vm_ops;
int p2m_touch_page(struct p2m_guest *guest, unsigned long gfn, bool write);

/* paging.c */
int p2m_paging_populate(struct p2m_guest *guest, unsigned long gfn);
int p2m_page_out(struct p2m_guest *guest, struct p2m_range *range);
int p2m_page_in(struct p2m_guest *guest, struct p2m_range *range);
int p2m_nominate(struct p2m_guest *guest, unsigned long gfn, unsigned long nr,
		 struct p2m_range *range, unsigned long *end, u64 *busy);
int p2m_store_write(struct p2m_guest *guest, unsigned long gfn,
		    struct page *page);
bool p2m_store_is_slow(struct p2m_guest *guest, unsigned long gfn);
void p2m_store_free(struct p2m_guest *guest, unsigned long gfn);

/* poison.c */
int p2m_page_copy(struct page *to, struct page *from);
bool p2m_pages_poisoned(struct page *page, unsigned int order);
void p2m_set_broken(struct p2m_guest *guest, unsigned long gfn);
int p2m_check_poison(struct p2m_guest *guest, unsigned long gfn);
void p2m_check_poison_2m(struct p2m_guest *guest, unsigned long gfn);

/* pager.c */
int p2m_pager_attach(struct p2m_guest *guest, struct p2m_pager_attach *arg);
int p2m_pager_detach(struct p2m_guest *guest);
void p2m_pager_flush(struct p2m_guest *guest, fl_owner_t id);
void p2m_pager_free(struct p2m_guest *guest);
int p2m_pager_nominate(struct p2m_guest *guest, struct p2m_range *range);
int p2m_pager_evict(struct p2m_guest *guest, struct p2m_page *arg);
int p2m_pager_prep(struct p2m_guest *guest, struct p2m_page *arg);
int p2m_pager_resume(struct p2m_guest *guest, struct p2m_range *range);
ssize_t p2m_pager_read(struct p2m_guest *guest, char __user *buf, size_t count,
		       bool nonblock);
__poll_t p2m_pager_poll(struct p2m_guest *guest, struct file *file,
			poll_table *wait);
int p2m_pager_populate(struct p2m_guest *guest, unsigned long gfn, bool write);
int p2m_pager_wait(struct p2m_guest *guest, unsigned long gfn,
		   unsigned int state);

/* sharing.c, scan.c */
void p2m_sharing_init(void);
void p2m_shared_drop(struct p2m_guest *guest, struct page *page);
void p2m_shared_quit(struct p2m_guest *guest, unsigned long gfn,
		     struct page *page);
int p2m_share_nominate(struct p2m_guest *guest, struct p2m_nominate *arg);
int p2m_share(struct p2m_guest *source, struct p2m_guest *client,
	      struct p2m_share *arg);
int p2m_unshare(struct p2m_guest *guest, unsigned long gfn);
int p2m_unshare_range(struct p2m_guest *guest, struct p2m_range *range);
unsigned long p2m_shared_audit(struct p2m_guest *guest);
int p2m_share_scan(struct p2m_guest *guest, struct p2m_scan *scan);

/* domain.c */
struct p2m_domain *p2m_domain_get(u64 number);
void p2m_domain_put(struct p2m_domain *domain);
u64 p2m_domain_number(struct p2m_guest *guest);
int p2m_domain_set(struct p2m_guest *guest, struct p2m_share_domain *arg);

/* dirty.c */
struct p2m_dirty_result {
	unsigned long *bitmap;
};

int p2m_dirty_start(struct p2m_guest *guest);
int p2m_dirty_stop(struct p2m_guest *guest);
int p2m_dirty_mark(struct p2m_guest *guest, unsigned long gfn);
int p2m_dirty_get(struct p2m_guest *guest, struct p2m_dirty *arg,
		  struct p2m_dirty_result *result);
void p2m_dirty_got(struct p2m_guest *guest, struct p2m_dirty *arg,
		   struct p2m_dirty_result *result, bool told);

/* foreign.c */
int p2m_foreign_map(struct p2m_guest *guest, struct p2m_foreign *arg,
		    struct file **file);
void p2m_foreign_mapped(struct p2m_foreign *arg, struct file *file, bool told);

/* pod.c */
void p2m_pool_init(struct p2m_pool *pool);
unsigned int p2m_pod_audit(struct p2m_guest *guest);
int p2m_pod_populate(struct p2m_guest *guest, unsigned long gfn, bool huge);
void p2m_pod_merge(struct p2m_guest *guest, unsigned long gfn);
int p2m_pod_make_room(struct p2m_guest *guest);
void p2m_pod_make_room_for(struct p2m_guest *guest, unsigned long gfn);
bool p2m_pod_refused(struct p2m_guest *guest, unsigned long gfn);
int p2m_pod_set(struct p2m_guest *guest, struct p2m_pod *arg);
int p2m_pod_get(struct p2m_guest *guest, struct p2m_pod *arg);
int p2m_pod_sweep(struct p2m_guest *guest, struct p2m_range *range);

/* audit.c */
int p2m_audit(struct p2m_guest *guest, struct p2m_audit *audit);

/* debugfs.c */
void p2m_debugfs_init(void);
void p2m_debugfs_exit(void);

#endif /* _P2M_GUEST_H */
