// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of guests; and how to take one.
 *
 * A PAGE belongs to the map: one reference for each entry, from when it is set until
 * it is cleared; but one for all that share it (sharing.c).  The processor's tables
 * hold references of their own; KVM's nested tables hold none.
 *
 * TO TAKE a page is to see to it that nobody else can reach it: to store its contents
 * elsewhere, to share it, to copy it, or to free it.  The caller holds the frames.
 *
 *	p2m_pick()	makes a frame's entry "taken": no fault that comes now maps
 *			the page, and none that has found it makes it writable
 *	p2m_take()	for all that was picked of a batch: waits for the faults that
 *			have found the pages, by their page locks; zaps; and gives
 *			back the pages that somebody else still references
 *
 * After that no reference can come: not from the map, whose entry says so, nor from
 * page tables, which were zapped.  (A lockless walker that saw the old page table
 * entry looks again after it has raised the count, and drops it.)  The caller makes
 * of each entry that is "taken" what it wants, or gives it back.  None is left when
 * the hold ends.
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
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "page.h"

/* Kept apart from the guests' own counters, so as to find what they lose. */
static DEFINE_PER_CPU(long, p2m_total_pages);

/**
 * p2m_pages_total() - pages that belong to maps
 *
 * Context: any.
 * Return: how many; a page that is part of a foreign mapping as well counts again
 * for that.
 */
u64 p2m_pages_total(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(p2m_total_pages, cpu);
	return sum;
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
		this_cpu_inc(p2m_total_pages);
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
	this_cpu_add(p2m_total_pages, P2M_CHUNK_GFNS);
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
	this_cpu_inc(p2m_total_pages);
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
	this_cpu_sub(p2m_total_pages, 1L << order);
	if (!PageCompound(page) || !p2m_pages_poisoned(page, order))
		put_page(page);
}

/**
 * p2m_page_copy() - copy a page of 4 KB, or a part of one, that may be poisoned
 * @to: where to
 * @from: where from
 *
 * Context: process context, holding no page lock; may sleep.
 * Return: 0; -EHWPOISON if @from is poisoned, and what is in @to does not count.
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
	/* Nobody may have told the memory manager so far. */
	if (IS_ENABLED(CONFIG_MEMORY_FAILURE))
		memory_failure(page_to_pfn(from), 0);
	return -EHWPOISON;
}

/**
 * p2m_pages_poisoned() - is any of the pages of an entry poisoned?
 * @page: the first one
 * @order: of the entry
 *
 * Context: any.
 * Return: whether there is one.
 */
bool p2m_pages_poisoned(struct page *page, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++)
		if (p2m_page_is_poisoned(page + i))
			return true;
	return false;
}

/*
 * Unmap frames from every VMM, and through the notifiers from KVM.  A touch from now
 * on is a fault.  Costs KVM its mmu_lock, so do many at once.
 */
static void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr)
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

/*
 * Is it of no use to take the page of an entry?  Somebody besides the map and page
 * tables has a reference, or it is poisoned; a large one is to be shattered then.
 */
static bool p2m_page_is_busy(struct page *page)
{
	if (PageCompound(page))
		return folio_maybe_dma_pinned(page_folio(page));
	return page_count(page) > 1 + p2m_page_mapcount(page) ||
	       p2m_page_is_poisoned(page);
}

/**
 * p2m_pick() - let a frame's page be taken by the next p2m_take()
 * @guest: the guest
 * @gfn: the frame
 *
 * If its entry is of 2 MB, all of it is picked.
 *
 * Context: process context, holding @gfn.
 * Return: was it done?  If not, it has no page of its own; or somebody references
 * that, or it is poisoned.
 */
bool p2m_pick(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (!p2m_is_ram(entry) && p2m_entry_type(entry) != p2m_paging_out)
		return false;
	if (p2m_page_is_busy(p2m_entry_page(entry)))
		return false;
	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, p2m_taken));
	return true;
}

/**
 * p2m_take() - take the pages of those frames that were picked
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 *
 * What of them is of type taken after that nobody maps or references, but the map.
 * The others are as they were before they were picked.
 *
 * Context: process context, holding the frames; may sleep.
 * Return: how many frames are taken.
 */
unsigned long p2m_take(struct p2m_guest *guest, unsigned long gfn,
		       unsigned long nr)
{
	unsigned long end = gfn + nr, first = end, last = gfn, taken = 0, i = gfn;
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
 * p2m_give_back() - undo p2m_pick(), and p2m_take()
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 *
 * Frames of type taken have their pages for themselves again.
 *
 * Context: process context, holding the frames.
 */
void p2m_give_back(struct p2m_guest *guest, unsigned long gfn, unsigned long nr)
{
	unsigned long end = gfn + nr;
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, gfn, entry, end)
		if (p2m_entry_type(entry) == p2m_taken)
			p2m_make_ram(guest, gfn);
}

/**
 * p2m_set_ram() - a frame has this page for itself from now on
 * @guest: the guest
 * @gfn: the frame, which has an entry of the order of the page
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

/* p2m_type_ops: a page that is one entry's */
void p2m_page_drop(struct p2m_guest *guest, struct p2m_entry entry)
{
	p2m_pages_free(p2m_entry_page(entry), p2m_entry_order(entry));
}

/* p2m_type_ops: a page must be this frame's, or from it on, and no other's. */
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

/* p2m_type_ops: no frame is taken when all of the guest is held. */
const char *p2m_taken_check(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry)
{
	return "was taken, and not given back";
}

/**
 * p2m_set_broken() - the contents of a frame are lost
 * @guest: the guest
 * @gfn: the frame, which has an entry of 4 KB.  Its page is the caller's now.
 *
 * Context: process context, holding @gfn.
 */
void p2m_set_broken(struct p2m_guest *guest, unsigned long gfn)
{
	p2m_change_type(guest, gfn, p2m_broken);
	p2m_count_event(guest, broken);
}
