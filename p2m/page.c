// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of guests, and how to take one.
 *
 * A PAGE belongs to the map. Each entry has one reference to its page from when
 * it is set until it is cleared; but a shared page has one for all its sharers
 * (sharing.c). Page tables of processes have references of their own. KVM's
 * nested tables have none.
 *
 * TO TAKE a page means that nobody else can reach it any more: to store its
 * contents elsewhere, to share it, to copy it, or to free it. The caller holds
 * the frames.
 *
 *	p2m_pick()	gives a frame's entry the type "taken".  From now on
 *			no fault maps the page, and none makes it writable.
 *	p2m_take()	does the rest for all picked frames of a batch.  It
 *			waits for faults that have already found a page (they
 *			hold its page lock), zaps the frames once, and gives
 *			back each page that somebody else still references.
 *
 * Then no new reference can come: not from the map, because the entry says
 * "taken", and not from page tables, because the frames were zapped. (A
 * lockless walker that saw the old page table entry raises the count, looks
 * again, and drops it.) The caller changes each "taken" entry into what it
 * wants, or gives it back. When the hold ends, no entry is "taken".
 *
 *	           pick                     take
 *	 ram_rw ----------> taken, mapped ------> taken, the caller's
 *	  ^                       |                        |
 *	  '-----------------------'------------------------'
 *	    give back
 *
 * (logdirty, if log-dirty is on and the frame is clean, is as good as ram_rw.)
 */

#include <linux/highmem.h>
#include <linux/mempolicy.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "page.h"

/* Kept apart from the guests' own counters, to find what these lose. */
static DEFINE_PER_CPU(long, p2m_total_pages);

/**
 * p2m_pages_total() - how many pages belong to maps
 *
 * Context: any.
 * Return: the number; a page counts again for each foreign mapping that has it.
 */
u64 p2m_pages_total(void)
{
	return p2m_percpu_sum(&p2m_total_pages);
}

/*
 * Where a page is to be: what the mapping that is touched asks for (mbind(2));
 * else on the node where the contents were, or on others if that is full; else
 * what the task asks for, or the system.
 */
static struct folio *p2m_folio_alloc(gfp_t gfp, unsigned int order,
				     struct vm_fault *vmf, int node)
{
	bool known = node != NUMA_NO_NODE && node_online(node);

	if (vmf && (!known || vma_policy(vmf->vma)))
		return p2m_vma_alloc_folio(gfp, order, vmf->vma,
					   vmf->address & (PAGE_MASK << order));
	return known ? __folio_alloc_node(gfp, order, node) :
		       folio_alloc(gfp, order);
}

/**
 * p2m_page_alloc() - allocate a page of 4 KB for the map
 * @gfp: __GFP_ZERO for a zero page; 0 if the caller fills it
 * @vmf: the touch that needs it, with mmap_lock; or NULL
 * @node: where the contents were; or NUMA_NO_NODE
 *
 * Context: process context; may sleep.
 * Return: the page, or NULL.
 */
struct page *p2m_page_alloc(gfp_t gfp, struct vm_fault *vmf, int node)
{
	struct folio *folio = p2m_folio_alloc(P2M_GFP_PAGE | gfp, P2M_4K, vmf,
					      node);

	if (!folio)
		return NULL;
	this_cpu_inc(p2m_total_pages);
	return folio_page(folio, 0);
}

/**
 * p2m_huge_alloc() - allocate a page of 2 MB for the map
 * @gfp: __GFP_ZERO for a zero page; flags that say how hard to try (without
 * them: not at all)
 * @vmf: as for p2m_page_alloc(); its mapping has all of the chunk
 * @node: as for p2m_page_alloc()
 *
 * Context: process context; may sleep.
 * Return: the page, or NULL, which is nothing unusual.
 */
struct page *p2m_huge_alloc(gfp_t gfp, struct vm_fault *vmf, int node)
{
	struct folio *folio;

	/* The memory manager does not know how to move it. */
	gfp |= (GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) | __GFP_ACCOUNT;
	folio = p2m_folio_alloc(gfp, P2M_2M, vmf, node);
	if (!folio)
		return NULL;
	folio_mark_uptodate(folio);
	folio->index = 0;		/* any that is below the end */
	this_cpu_add(p2m_total_pages, P2M_CHUNK_GFNS);
	return folio_page(folio, 0);
}

/**
 * p2m_page_hold() - take one more reference to a page of 4 KB
 * @page: the page; p2m_pages_free() drops the reference
 *
 * Context: any.
 */
void p2m_page_hold(struct page *page)
{
	this_cpu_inc(p2m_total_pages);
	get_page(page);
}

/**
 * p2m_page_is_zero() - are there only zeros in a page?
 * @page: the page
 *
 * Context: any.
 * Return: whether there are; false if the page is poisoned.
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
 * p2m_pages_free() - drop a reference that an entry or p2m_page_hold() has
 * @page: the page
 * @order: the order of the entry
 *
 * A poisoned page is never given to anybody again: see poison.c.
 *
 * Context: any.
 */
void p2m_pages_free(struct page *page, unsigned int order)
{
	this_cpu_sub(p2m_total_pages, 1L << order);
	if (!PageCompound(page) || !p2m_pages_poisoned(page, order))
		put_page(page);
}

/**
 * p2m_page_copy() - copy a page, or a part of one, of 4 KB, that may be
 * poisoned
 * @to: where to
 * @from: where from
 *
 * Context: process context, holding no page lock; may sleep.
 * Return: 0; -EHWPOISON if @from is poisoned; then the contents of @to do not
 * count.
 */
int p2m_page_copy(struct page *to, struct page *from)
{
	unsigned long left;
	void *dst, *src;

	if (p2m_page_is_poisoned(from))
		return -EHWPOISON;
	src = kmap_local_page(from);
	dst = kmap_local_page(to);
	left = copy_mc_to_kernel(dst, src, PAGE_SIZE);
	kunmap_local(dst);
	kunmap_local(src);
	if (!left)
		return 0;
	/* Maybe nobody has told the memory manager so far. */
	if (IS_ENABLED(CONFIG_MEMORY_FAILURE))
		memory_failure(page_to_pfn(from), 0);
	return -EHWPOISON;
}

/**
 * p2m_pages_poisoned() - is any page of an entry poisoned?
 * @page: the first one
 * @order: the order of the entry
 *
 * Context: any.
 * Return: whether one is.
 */
bool p2m_pages_poisoned(struct page *page, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++)
		if (p2m_page_is_poisoned(page + i))
			return true;
	return false;
}

/**
 * p2m_zap() - unmap frames from every VMM and, through its notifiers, from KVM
 * @guest: the guest
 * @gfn: first frame
 * @nr: how many
 *
 * The next touch is a fault.  This takes KVM's mmu_lock, so do many at once.
 *
 * Context: process context, holding the frames; may sleep.
 */
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr)
{
	unmap_mapping_range(guest->inode->i_mapping,
			    (loff_t)gfn << PAGE_SHIFT,
			    (loff_t)nr << PAGE_SHIFT, 1);
}

/**
 * p2m_unmap() - after this nobody maps frames, nor is about to map them
 * @guest: the guest
 * @gfn: first frame
 * @nr: how many
 *
 * The caller has changed the entries to types that no fault maps or makes
 * writable.  They still have their pages.
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
	 * Either we find the page locked, or a fault that locks it later sees
	 * the new entry.  Pairs with smp_mb() in p2m_page_mkwrite().
	 */
	smp_mb();
	while (i < end) {
		entry = p2m_get_entry(&guest->map, i);
		page = p2m_entry_page(entry);
		folio = page ? page_folio(page) : NULL;
		/*
		 * Parts of a large page are neighbours: once for all of them.
		 */
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
	 * A zap is expensive even if nothing is mapped.  What is not mapped now
	 * will not be: the frames are held, and KVM maps only what page tables
	 * map.
	 */
	if (mapped)
		p2m_zap(guest, gfn, nr);
}

/*
 * Is there no use in taking this page?  Somebody besides the map and page
 * tables has a reference, or it is poisoned.  (A poisoned part of a large page
 * is left behind when that is shattered.)
 */
static bool p2m_page_is_busy(struct page *page)
{
	if (PageCompound(page))
		return folio_maybe_dma_pinned(page_folio(page));
	return page_count(page) > 1 + p2m_page_mapcount(page) ||
	       p2m_page_is_poisoned(page);
}

/**
 * p2m_pick() - let the next p2m_take() take a frame's page
 * @guest: the guest
 * @gfn: the frame; if its entry is of 2 MB, all of it is picked
 *
 * Context: process context, holding @gfn.
 * Return: true if it is picked; false if the frame has no page of its own, or
 * if that is busy: somebody references it, or it is poisoned, or a large page
 * is pinned.  A busy frame is no longer nominated.
 */
bool p2m_pick(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (!p2m_is_ram(entry) && p2m_entry_type(entry) != p2m_paging_out)
		return false;
	if (p2m_page_is_busy(p2m_entry_page(entry))) {
		p2m_make_ram(guest, gfn);
		return false;
	}
	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, p2m_taken));
	return true;
}

/**
 * p2m_take() - take the pages of the frames that were picked
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 *
 * Nobody but the map has a reference to the page of a frame that is of type
 * taken after this.  Other frames are as they were before they were picked.
 *
 * Context: process context, holding the frames; may sleep.
 * Return: how many frames are taken.
 */
unsigned long p2m_take(struct p2m_guest *guest, unsigned long gfn,
		       unsigned long nr)
{
	unsigned long end = gfn + nr, first = end, last = gfn;
	unsigned long taken = 0, i = gfn;
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, i, entry, end) {
		if (p2m_entry_type(entry) == p2m_taken) {
			first = min(first, i);
			last = p2m_entry_end(i, entry);
		}
	}
	if (first < last)
		p2m_unmap(guest, first, last - first);
	p2m_for_each_entry(&guest->map, first, entry, last) {
		if (p2m_entry_type(entry) != p2m_taken)
			continue;
		if (p2m_page_is_last(entry))
			taken += 1UL << p2m_entry_order(entry);
		else
			p2m_make_ram(guest, first);
	}
	return taken;
}

/**
 * p2m_give_back() - undo p2m_pick() and p2m_take()
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 *
 * Frames of type taken have their pages for themselves again.
 *
 * Context: process context, holding the frames.
 */
void p2m_give_back(struct p2m_guest *guest, unsigned long gfn,
		   unsigned long nr)
{
	unsigned long end = gfn + nr;
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, gfn, entry, end)
		if (p2m_entry_type(entry) == p2m_taken)
			p2m_make_ram(guest, gfn);
}

/**
 * p2m_set_ram() - give a frame a page for itself
 * @guest: the guest
 * @gfn: the frame; its entry has the order of the page
 * @page: the page, with a reference for the map
 *
 * Context: process context, holding @gfn.
 */
void p2m_set_ram(struct p2m_guest *guest, unsigned long gfn, struct page *page)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	entry = p2m_retype_entry(entry, p2m_ram_type(guest, entry));
	p2m_change_entry(guest, gfn, p2m_repage_entry(entry, page));
}

/* p2m_type_ops.drop of an entry with a page of its own */
void p2m_page_drop(struct p2m_guest *guest, struct p2m_entry entry)
{
	p2m_pages_free(p2m_entry_page(entry), p2m_entry_order(entry));
}

/* p2m_type_ops.check: the page is this frame's, and no other frame's. */
const char *p2m_page_check(struct p2m_guest *guest, unsigned long gfn,
			   struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);
	struct page *head;

	if (!page)
		return NULL;
	head = compound_head(page);
	return page_private(head) ==
	       p2m_page_owner(&guest->map, gfn - (page - head)) ?
	       NULL : "has a page that is another's";
}

/* p2m_type_ops.check: when all of the guest is held, no frame is taken. */
const char *p2m_taken_check(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry)
{
	return "was taken, and not given back";
}

/**
 * p2m_set_broken() - the contents of a frame are lost
 * @guest: the guest
 * @gfn: the frame; its entry is of 4 KB, and its page is the caller's now
 *
 * Context: process context, holding @gfn.
 */
void p2m_set_broken(struct p2m_guest *guest, unsigned long gfn)
{
	p2m_change_type(guest, gfn, p2m_broken);
	p2m_count_event(guest, broken);
}
