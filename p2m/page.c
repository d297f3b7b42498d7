// SPDX-License-Identifier: GPL-2.0
/* The pages of guests. */

#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/percpu_counter.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "page.h"

/* Kept apart from the guests' own counters, so as to find what they lose. */
static struct percpu_counter p2m_total_pages;

/**
 * p2m_pages_init() - what is needed before there is a page
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int p2m_pages_init(void)
{
	return percpu_counter_init(&p2m_total_pages, 0, GFP_KERNEL);
}

/**
 * p2m_pages_exit() - undo p2m_pages_init()
 *
 * Context: module exit; there is no page.
 */
void p2m_pages_exit(void)
{
	WARN_ON(percpu_counter_sum(&p2m_total_pages));
	percpu_counter_destroy(&p2m_total_pages);
}

/**
 * p2m_pages_total() - pages that belong to maps
 *
 * Context: any.
 * Return: how many; a page that is part of a foreign mapping as well counts again
 * for that.
 */
u64 p2m_pages_total(void)
{
	return percpu_counter_sum(&p2m_total_pages);
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
