// SPDX-License-Identifier: GPL-2.0
/* One guest: its making, its pages, its end; and the list of all of them. */

#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu_counter.h>
#include <linux/pseudo_fs.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "guest.h"

#define P2M_FS_MAGIC	0x70326d21	/* "p2m!" */

static DEFINE_MUTEX(p2m_guests_lock);
static LIST_HEAD(p2m_guests);
static u64 p2m_last_id;

/* Kept apart from the guests' own counters, so as to find what they lose. */
static struct percpu_counter p2m_total_pages;
static struct percpu_counter p2m_total_store;

/*
 * Every guest needs an address space of its own, to be zapped without the
 * others.  That takes an inode, and an inode a file system, which is mounted
 * while there is a guest; being mounted it keeps the module from going.
 */
static struct vfsmount *p2m_mnt;
static int p2m_mnt_count;

static int p2m_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, P2M_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type p2m_fs_type = {
	.name = "p2m",
	.owner = THIS_MODULE,
	.init_fs_context = p2m_fs_init_context,
	.kill_sb = kill_anon_super,
};

static struct inode *p2m_inode_new(void)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&p2m_fs_type, &p2m_mnt, &p2m_mnt_count);
	if (err)
		return ERR_PTR(err);
	inode = alloc_anon_inode(p2m_mnt->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&p2m_mnt, &p2m_mnt_count);
	else
		p2m_set_end(inode);
	return inode;
}

static void p2m_inode_put(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&p2m_mnt, &p2m_mnt_count);
}

/**
 * p2m_guests_init() - what guests need before there is one
 *
 * Context: module init.
 * Return: 0 or -errno.
 */
int p2m_guests_init(void)
{
	int err;

	err = percpu_counter_init(&p2m_total_pages, 0, GFP_KERNEL);
	if (err)
		return err;
	err = percpu_counter_init(&p2m_total_store, 0, GFP_KERNEL);
	if (err)
		percpu_counter_destroy(&p2m_total_pages);
	return err;
}

/**
 * p2m_guests_exit() - undo p2m_guests_init()
 *
 * Context: module exit; there is no guest.
 */
void p2m_guests_exit(void)
{
	WARN_ON(percpu_counter_sum(&p2m_total_store));
	percpu_counter_destroy(&p2m_total_store);
	WARN_ON(percpu_counter_sum(&p2m_total_pages));
	percpu_counter_destroy(&p2m_total_pages);
}

/**
 * p2m_guest_create() - make an empty guest
 *
 * The calling process's memory cgroup will be charged for it.
 *
 * Context: process context; may sleep.
 * Return: the guest, or ERR_PTR(-ENOMEM) or what shmem_file_setup() gives.
 */
struct p2m_guest *p2m_guest_create(void)
{
	struct p2m_guest *guest;
	int err = -ENOMEM;

	guest = kzalloc(sizeof(*guest), GFP_KERNEL_ACCOUNT);
	if (!guest)
		return ERR_PTR(-ENOMEM);

	if (p2m_rangelock_init(&guest->lock, guest->name))
		goto out_guest;
	p2m_pool_init(&guest->pool);
	guest->counters = alloc_percpu_gfp(struct p2m_counters,
					   GFP_KERNEL_ACCOUNT);
	if (!guest->counters)
		goto out_lock;
	if (p2m_map_init(&guest->map, &guest->lock))
		goto out_counters;
	guest->inode = p2m_inode_new();
	if (IS_ERR(guest->inode)) {
		err = PTR_ERR(guest->inode);
		goto out_map;
	}
	guest->store = shmem_file_setup("p2m-store", P2M_MAX_GFNS << PAGE_SHIFT,
					P2M_SHMEM_FLAGS);
	if (IS_ERR(guest->store)) {
		err = PTR_ERR(guest->store);
		goto out_inode;
	}
	guest->domain = p2m_domain_get(P2M_DOMAIN_ALONE);
	if (!guest->domain) {
		err = -ENOMEM;
		goto out_store;
	}
	guest->memcg = get_mem_cgroup_from_mm(current->mm);

	refcount_set(&guest->ref, 1);

	mutex_lock(&p2m_guests_lock);
	guest->id = ++p2m_last_id;
	snprintf(guest->name, sizeof(guest->name), "p2m/%llu", guest->id);
	guest->map.id = guest->id;
	list_add_tail(&guest->link, &p2m_guests);
	mutex_unlock(&p2m_guests_lock);
	return guest;

out_store:
	fput(guest->store);
out_inode:
	p2m_inode_put(guest->inode);
out_map:
	p2m_map_destroy(&guest->map, NULL, NULL);
out_counters:
	free_percpu(guest->counters);
out_lock:
	p2m_rangelock_destroy(&guest->lock);
out_guest:
	kfree(guest);
	return ERR_PTR(err);
}

static void p2m_drop_entry(struct p2m_entry entry, void *arg)
{
	struct page *page = p2m_entry_page(entry);

	if (p2m_entry_type(entry) == p2m_shared)
		p2m_shared_drop(arg, page);
	else if (page)
		p2m_pages_free(page, p2m_entry_order(entry));
	else if (p2m_entry_in_store(entry))
		p2m_store_account(-1);	/* the store goes as a whole */
}

/**
 * p2m_guest_put() - drop a reference to a guest
 * @guest: the guest; with the last reference it is freed, and all that it has.
 * Then no file and no mapping refers to it any more.
 *
 * Context: process context, holding nothing of the guest; may sleep.
 */
void p2m_guest_put(struct p2m_guest *guest)
{
	if (!refcount_dec_and_mutex_lock(&guest->ref, &p2m_guests_lock))
		return;
	list_del(&guest->link);
	mutex_unlock(&p2m_guests_lock);

	mem_cgroup_put(guest->memcg);
	p2m_pager_free(guest);
	fput(guest->store);
	p2m_inode_put(guest->inode);
	p2m_map_destroy(&guest->map, p2m_drop_entry, guest);
	/* Until now there were pages that it shares. */
	p2m_domain_put(guest->domain);
	free_percpu(guest->counters);
	p2m_rangelock_destroy(&guest->lock);
	kfree(guest);
}

/**
 * p2m_guest_find() - the guest with a number
 * @id: the number
 *
 * Context: process context; may sleep.
 * Return: the guest, with a reference to be dropped by p2m_guest_put(); or NULL.
 */
struct p2m_guest *p2m_guest_find(u64 id)
{
	struct p2m_guest *guest, *found = NULL;

	mutex_lock(&p2m_guests_lock);
	list_for_each_entry(guest, &p2m_guests, link) {
		if (guest->id == id) {
			/* The last put takes it off the list under this lock. */
			refcount_inc(&guest->ref);
			found = guest;
			break;
		}
	}
	mutex_unlock(&p2m_guests_lock);
	return found;
}

/**
 * p2m_guest_next() - the guest after a number
 * @id: the number; 0 for the first guest
 *
 * To visit all guests, holding none of them up meanwhile.
 *
 * Context: process context; may sleep.
 * Return: the guest, with a reference to be dropped by p2m_guest_put(); or NULL.
 */
struct p2m_guest *p2m_guest_next(u64 id)
{
	struct p2m_guest *guest, *found = NULL;

	mutex_lock(&p2m_guests_lock);
	/* The list is in the order of making. */
	list_for_each_entry(guest, &p2m_guests, link) {
		if (guest->id > id) {
			refcount_inc(&guest->ref);
			found = guest;
			break;
		}
	}
	mutex_unlock(&p2m_guests_lock);
	return found;
}

/**
 * p2m_guest_grow() - frames below @gfns exist from now on
 * @guest: the guest
 * @gfns: its size, unless it is larger already
 *
 * Context: any.
 */
void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns)
{
	long old = atomic_long_read(&guest->gfns);

	while (old < (long)gfns &&
	       !atomic_long_try_cmpxchg(&guest->gfns, &old, gfns))
		;
}

/**
 * p2m_guest_stats() - add up a guest's counters
 * @guest: the guest
 * @stats: where to; @size and @flags are left alone
 *
 * Context: any.
 */
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats)
{
	struct p2m_counters sum = {};
	enum p2m_type type;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct p2m_counters *c = per_cpu_ptr(guest->counters, cpu);

#define P2M_COUNTER(name) sum.name += READ_ONCE(c->name);
		P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
	}
#define P2M_COUNTER(name) stats->name = sum.name;
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER

	stats->paged = p2m_map_count(&guest->map, p2m_paged) +
		       p2m_map_count(&guest->map, p2m_paging_in);
	stats->shared = p2m_map_count(&guest->map, p2m_shared);
	stats->resident = 0;
	for (type = 0; type < P2M_NR_TYPES; type++)
		if (p2m_type_access(type))
			stats->resident += p2m_map_count(&guest->map, type);
	stats->lock_waits = p2m_rangelock_stat(&guest->lock, P2M_STAT_waits);
	stats->lock_deadlocks = p2m_rangelock_stat(&guest->lock,
						   P2M_STAT_deadlocks);
}

/**
 * p2m_guests_totals() - what all guests together have
 * @totals: where to
 *
 * Context: process context; may sleep.
 */
void p2m_guests_totals(struct p2m_totals *totals)
{
	struct p2m_guest *guest;

	totals->guests = 0;
	mutex_lock(&p2m_guests_lock);
	list_for_each_entry(guest, &p2m_guests, link)
		totals->guests++;
	mutex_unlock(&p2m_guests_lock);
	totals->pages = percpu_counter_sum(&p2m_total_pages);
	totals->store = percpu_counter_sum(&p2m_total_store);
}

/**
 * p2m_guests_for_each() - call @fn for each guest, which stays meanwhile
 * @fn: the function
 * @arg: passed to @fn
 *
 * Context: process context; may sleep.
 */
void p2m_guests_for_each(void (*fn)(struct p2m_guest *guest, void *arg),
			 void *arg)
{
	struct p2m_guest *guest;

	mutex_lock(&p2m_guests_lock);
	list_for_each_entry(guest, &p2m_guests, link)
		fn(guest, arg);
	mutex_unlock(&p2m_guests_lock);
}

/**
 * p2m_page_alloc() - a page for the map
 * @gfp: __GFP_ZERO if it is not going to be filled; else 0
 *
 * Context: process context; may sleep.
 * Return: the page, or NULL.
 */
struct page *p2m_page_alloc(gfp_t gfp)
{
	struct page *page = alloc_page(P2M_GFP_PAGE | gfp);

	if (page)
		percpu_counter_inc(&p2m_total_pages);
	return page;
}

/**
 * p2m_huge_alloc() - a page of 2 MB for the map
 * @gfp: __GFP_ZERO if it is not going to be filled; and how hard to try, which is
 * else not at all
 *
 * Context: process context; may sleep.
 * Return: the page, or NULL, which is nothing unusual.
 */
struct page *p2m_huge_alloc(gfp_t gfp)
{
	struct folio *folio;

	/* The memory manager does not know how to move it. */
	gfp |= (GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) | __GFP_ACCOUNT;
	folio = folio_alloc(gfp, P2M_2M);
	if (!folio)
		return NULL;
	folio_mark_uptodate(folio);
	folio->index = 0;		/* anything, but below the end */
	percpu_counter_add(&p2m_total_pages, P2M_CHUNK_GFNS);
	return folio_page(folio, 0);
}

/**
 * p2m_page_hold() - one more reference to a page of 4 KB, for p2m_pages_free()
 * @page: the page
 *
 * Context: any.
 */
void p2m_page_hold(struct page *page)
{
	percpu_counter_inc(&p2m_total_pages);
	get_page(page);
}

/**
 * p2m_page_is_zero() - are there only zeros in a page?
 * @page: the page
 *
 * Context: any.
 * Return: whether there are; false if it is poisoned.
 */
bool p2m_page_is_zero(struct page *page)
{
	bool zero;
	void *addr;

	if (p2m_page_is_poisoned(page))
		return false;
	addr = kmap_local_page(page);
	zero = !memchr_inv(addr, 0, PAGE_SIZE);
	kunmap_local(addr);
	return zero;
}

/**
 * p2m_pages_free() - drop an entry's reference to its page, or p2m_page_hold()'s
 * @page: the page
 * @order: of the entry
 *
 * If it is poisoned, nobody is given it again: see poison.c.
 *
 * Context: any.
 */
void p2m_pages_free(struct page *page, unsigned int order)
{
	percpu_counter_sub(&p2m_total_pages, 1L << order);
	if (!PageCompound(page) || !p2m_pages_poisoned(page, order))
		put_page(page);
}

/**
 * p2m_store_account() - frames went into a store, or (negative) left it
 * @frames: how many
 *
 * Context: any.
 */
void p2m_store_account(long frames)
{
	percpu_counter_add(&p2m_total_store, frames);
}

/**
 * p2m_zap() - unmap frames from every VMM, and through the notifiers from KVM
 * @guest: the guest
 * @gfn: first frame
 * @nr: how many
 *
 * A touch from now on is a fault.  Costs KVM its mmu_lock, so do many at once.
 *
 * Context: process context; may sleep.
 */
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr)
{
	unmap_mapping_range(guest->inode->i_mapping,
			    (loff_t)gfn << PAGE_SHIFT,
			    (loff_t)nr << PAGE_SHIFT, 1);
}

/**
 * p2m_unmap() - see to it that nobody maps frames, nor is about to
 * @guest: the guest
 * @gfn: first frame
 * @nr: how many
 *
 * The entries must be of no type by which a fault would map them, or make them
 * writable, but still have their pages.
 *
 * Context: process context, holding the frames; may sleep.
 */
void p2m_unmap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr)
{
	struct folio *folio, *last = NULL;
	unsigned long i = gfn, end = gfn + nr;
	struct p2m_entry entry;
	bool mapped = false;
	struct page *page;

	/*
	 * Either we find the page locked, or who locks it after us finds what we
	 * made of the entry.  Pairs with smp_mb() in p2m_page_mkwrite().
	 */
	smp_mb();
	while (i < end) {
		entry = p2m_get_entry(&guest->map, i);
		page = p2m_entry_page(entry);
		folio = page ? page_folio(page) : NULL;
		/* Parts of a large page are side by side: once for all of them. */
		if (folio && folio != last) {
			folio_wait_locked(folio);
			mapped = mapped || folio_mapped(folio);
		}
		last = folio;
		i = p2m_entry_end(i, entry);
		if (IS_ALIGNED(i, P2M_CHUNK_GFNS))
			i = p2m_next_chunk(&guest->map, i, end);
	}
	/*
	 * A zap is dear, even of nothing.  What is not mapped by now is not going
	 * to be: the frames are held, and KVM has only what page tables have.
	 */
	if (mapped)
		p2m_zap(guest, gfn, nr);
}
