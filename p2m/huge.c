// SPDX-License-Identifier: GPL-2.0
/*
 * 2 MB: a chunk with one page.
 *
 *	            populate                       split
 *	 (nothing) ----------> one entry, one page ------> 512 entries, one page
 *	                           ^   ^    |                  |     |
 *	                           |   '----|------------------'     |
 *	                  collapse |        |      collapse          |
 *	                           |        | shatter                | shatter
 *	                           |        v                        |
 *	                        512 entries, 512 pages <-------------'
 *
 * With one entry, the processor and KVM map the page as 2 MB wherever the
 * mapping's address allows.  Split, they must not: each frame has a type of its
 * own.  It is enough for log-dirty, and copies nothing.  But what goes away or is
 * shared has to be a page of its own: a reference to any part of a large page is
 * one to all of it.  So a page operation shatters it first, which copies.
 *
 * One entry of 2 MB holds one reference of its page, an entry of 4 KB one as well.
 * Of a chunk, either all frames have the parts of one large page, each in its own
 * place, or none has a part of any.
 */

#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "huge.h"
#include "page.h"
#include "walk.h"

/**
 * p2m_huge_populate() - give an empty chunk a zero page of 2 MB
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EEXIST if something of the chunk is there, or not all of it is the
 * guest's; -ENOMEM if there is no such page, which is nothing unusual.
 */
int p2m_huge_populate(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);
	struct page *page;
	int err;

	if (first + P2M_CHUNK_GFNS > atomic_long_read(&guest->gfns) ||
	    p2m_next_chunk(&guest->map, first, first + 1) == first)
		return -EEXIST;
	page = p2m_huge_alloc(__GFP_ZERO);
	if (!page)
		return -ENOMEM;
	err = p2m_set_entry(&guest->map, first, P2M_2M,
			    p2m_make_entry(p2m_ram_rw, page));
	if (err)
		p2m_pages_free(page, P2M_2M);
	return err;
}

/**
 * p2m_split() - make 512 entries of one of 2 MB, if it is one
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * The frames have the same page as before.  Mappings of 2 MB are not undone, nor
 * those that are about to be made: p2m_unmap() the chunk before putting it.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0 or -ENOMEM.
 */
int p2m_split(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page(entry);
	int err;

	if (!p2m_entry_order(entry))
		return 0;
	err = p2m_split_entry(&guest->map, gfn);
	if (!err && page)
		page_ref_add(page, P2M_CHUNK_GFNS - 1);
	return err;
}

/* The page of @gfn, if it is part of a larger one. */
static struct page *p2m_part(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page_of(entry, gfn);

	return page && PageCompound(page) ? page : NULL;
}

/**
 * p2m_merge() - make one entry of 512 of one page, undoing p2m_split()
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * A mapping that has a page table for the chunk keeps it, so that the processor
 * and KVM go on mapping 4 KB there, until it is mapped anew.
 *
 * Context: process context, holding @gfn.
 * Return: was it done?  If not, the frames differ in page, type or dirtiness.
 */
bool p2m_merge(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long i, first = round_down(gfn, P2M_CHUNK_GFNS);
	struct p2m_entry entry = p2m_get_entry(&guest->map, first);
	struct page *page = p2m_entry_page(entry);

	if (!page || !PageHead(page) || p2m_entry_order(entry))
		return false;
	for (i = 1; i < P2M_CHUNK_GFNS; i++)
		if (p2m_get_entry(&guest->map, first + i).val !=
		    entry.val + (i << P2M_PFN_SHIFT))
			return false;
	/* The table above is there, so this cannot fail. */
	p2m_set_entry(&guest->map, first, P2M_2M, entry);
	page_ref_sub(page, P2M_CHUNK_GFNS - 1);
	return true;
}

/**
 * p2m_count_parts() - how many frames of a chunk have a part of a larger page
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Context: holding @gfn.
 * Return: the number of frames.
 */
unsigned int p2m_count_parts(struct p2m_guest *guest, unsigned long gfn)
{
	return p2m_part(guest, gfn) ? P2M_CHUNK_GFNS : 0;
}

/* Change the type of all frames of a chunk that are of type @from. */
static void p2m_change_types(struct p2m_guest *guest, unsigned long first,
			     enum p2m_type from, enum p2m_type to)
{
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS;
	     gfn += 1UL << p2m_entry_order(entry)) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == from)
			p2m_change_entry(guest, gfn, p2m_retype_entry(entry, to));
	}
}

/*
 * Give each frame that has a part of a larger page one of its own, in use again; but
 * where the part is poisoned, none.
 */
static void p2m_copy_parts(struct p2m_guest *guest, unsigned long first,
			   struct list_head *pages)
{
	struct page *old, *new;
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		old = p2m_entry_page(entry);
		if (p2m_entry_type(entry) == p2m_paging_out)
			entry = p2m_retype_entry(entry, p2m_ram_rw);
		new = list_first_entry(pages, struct page, lru);
		if (p2m_page_copy(new, old)) {
			p2m_set_broken(guest, gfn);
		} else {
			list_del(&new->lru);
			__SetPageUptodate(new);
			p2m_change_entry(guest, gfn,
					 p2m_repage_entry(entry, new));
		}
		p2m_pages_free(old, P2M_4K);
		cond_resched();
	}
}

/* Pages for as many frames, on @list; or -ENOMEM, with what there is on it. */
static int p2m_list_alloc(struct list_head *list, unsigned int nr)
{
	struct page *page;

	while (nr--) {
		page = p2m_page_alloc(0);
		if (!page)
			return -ENOMEM;
		list_add(&page->lru, list);
	}
	return 0;
}

static void p2m_list_free(struct list_head *list)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, list, lru) {
		list_del(&page->lru);
		p2m_pages_free(page, P2M_4K);
	}
}

/*
 * Make 512 entries of the chunk, if it is one, and give each a page of @pages; if
 * nobody but the map has a reference to a part of its page.
 */
static int p2m_shatter_to(struct p2m_guest *guest, unsigned long first,
			  struct list_head *pages)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, first);
	int refs = p2m_entry_order(entry) ? 1 : P2M_CHUNK_GFNS;
	int err = -EBUSY;

	/* What is not ram_rw is not written to without a hold. */
	p2m_change_types(guest, first, p2m_ram_rw, p2m_paging_out);
	p2m_unmap(guest, first, P2M_CHUNK_GFNS);
	/* No new references can come: see p2m_evict(). */
	if (page_count(p2m_entry_page(entry)) == refs)
		err = p2m_split(guest, first);
	if (err) {
		p2m_change_types(guest, first, p2m_paging_out, p2m_ram_rw);
		return err;
	}
	p2m_copy_parts(guest, first, pages);
	p2m_count_event(guest, shattered);
	return 0;
}

/**
 * p2m_shatter() - see to it that each frame of a chunk has a page of its own
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Takes as many pages as it gives back, but first.  A frame whose part of the page is
 * poisoned is broken afterwards.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EBUSY if somebody else has a reference to a part of a larger page;
 * -ENOMEM.  After an error all is as before, though no longer mapped.
 */
int p2m_shatter(struct p2m_guest *guest, unsigned long gfn)
{
	struct page *part = p2m_part(guest, gfn);
	LIST_HEAD(pages);
	int err;

	if (!part)
		return 0;
	/* To spare the guest a zap, and us the pages. */
	if (folio_maybe_dma_pinned(page_folio(part)))
		return -EBUSY;
	err = p2m_list_alloc(&pages, P2M_CHUNK_GFNS);
	if (!err)
		err = p2m_shatter_to(guest, round_down(gfn, P2M_CHUNK_GFNS),
				     &pages);
	p2m_list_free(&pages);
	return err;
}

/* ------------------------------------------------------------------ */
/* Collapse                                                            */
/* ------------------------------------------------------------------ */

/* Has each frame of the chunk a page of its own that can be written to? */
static bool p2m_is_full(struct p2m_guest *guest, unsigned long first)
{
	struct p2m_entry entry;
	unsigned long gfn;

	if (p2m_part(guest, first))
		return false;
	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (!p2m_is_ram(entry))
			return false;
	}
	return true;
}

/*
 * Has nobody but the map and page tables a reference to a page of the chunk, and is
 * none poisoned?
 */
static bool p2m_is_free(struct p2m_guest *guest, unsigned long first)
{
	struct page *page;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
		if (page_count(page) > 1 + p2m_page_mapcount(page) ||
		    p2m_page_is_poisoned(page))
			return false;
	}
	return true;
}

/* Copy the pages of a chunk that is not mapped, if they are the map's, and sound. */
static int p2m_copy_chunk(struct p2m_guest *guest, unsigned long first,
			  struct page *large)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < P2M_CHUNK_GFNS; i++) {
		page = p2m_entry_page(p2m_get_entry(&guest->map, first + i));
		if (page_count(page) != 1 || p2m_page_copy(large + i, page))
			return -EBUSY;
		cond_resched();
	}
	return 0;
}

/* Replace the pages of a chunk, which are the map's alone, by their copy. */
static void p2m_replace_chunk(struct p2m_guest *guest, unsigned long first,
			      struct page *large)
{
	struct p2m_entry new = p2m_make_entry(p2m_ram_rw, large);
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		/* Written to is the whole if a part is. */
		new.val |= entry.val & P2M_D;
		p2m_pages_free(p2m_entry_page(entry), P2M_4K);
	}
	/* The table above is there, so this cannot fail. */
	p2m_set_entry(&guest->map, first, P2M_2M, new);
}

static int p2m_collapse_to(struct p2m_guest *guest, unsigned long first,
			   struct page *large)
{
	int err;

	p2m_change_types(guest, first, p2m_ram_rw, p2m_paging_out);
	p2m_unmap(guest, first, P2M_CHUNK_GFNS);
	err = p2m_copy_chunk(guest, first, large);
	if (err) {
		p2m_change_types(guest, first, p2m_paging_out, p2m_ram_rw);
		return err;
	}
	p2m_replace_chunk(guest, first, large);
	p2m_count_event(guest, collapsed);
	return 0;
}

/* Collapse a chunk, which is held and full. */
static int p2m_collapse_chunk(struct p2m_guest *guest, unsigned long first)
{
	struct page *large;
	int err;

	if (!p2m_is_free(guest, first))
		return -EBUSY;
	/* It was asked for: so let there be some effort. */
	large = p2m_huge_alloc(__GFP_DIRECT_RECLAIM | __GFP_NORETRY);
	if (!large)
		return -ENOMEM;
	err = p2m_collapse_to(guest, first, large);
	if (err)
		p2m_pages_free(large, P2M_2M);
	return err;
}

/* Collapse what is held, if that is a chunk. */
static int p2m_collapse_batch(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range)
{
	int err;

	if (guest->log_dirty) {
		range->next = gfn;
		return -EBUSY;
	}
	range->next = gfn + nr;
	if (nr != P2M_CHUNK_GFNS || !p2m_is_full(guest, gfn))
		return 0;
	err = p2m_collapse_chunk(guest, gfn);
	switch (err) {
	case 0:
		range->done += nr;
		return 0;
	case -EBUSY:
		range->busy += nr;
		this_cpu_add(guest->counters->busy, nr);
		return 0;
	default:
		range->next = gfn;
		return err;
	}
}

/**
 * p2m_collapse() - give chunks with 512 pages one page each
 * @guest: the guest
 * @range: which; uapi/p2m.h says what goes in and what comes out
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EBUSY while log-dirty is on; -EINVAL, -ERANGE, -EINTR or -ENOMEM as
 * uapi/p2m.h has it.
 */
int p2m_collapse(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_CHUNK_GFNS, p2m_collapse_batch);
}
