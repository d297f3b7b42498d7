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
 */

#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "guest.h"

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
 * The frames have the same page as before.  Mappings of 2 MB are not undone: zap
 * the chunk if its frames are to differ.
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

/* How many frames from @first have a part of a larger page. */
static unsigned int p2m_count_parts(struct p2m_guest *guest, unsigned long first)
{
	unsigned int i, nr = 0;

	for (i = 0; i < P2M_CHUNK_GFNS; i++)
		nr += !!p2m_part(guest, first + i);
	return nr;
}

/* Change all parts of a larger page that are of type @from. */
static void p2m_change_parts(struct p2m_guest *guest, unsigned long first,
			     enum p2m_type from, enum p2m_type to)
{
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS;
	     gfn += 1UL << p2m_entry_order(entry)) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == from && p2m_part(guest, gfn))
			p2m_change_entry(guest, gfn, p2m_retype_entry(entry, to));
	}
}

/* Give each frame that has a part of a larger page one of its own, in use again. */
static void p2m_copy_parts(struct p2m_guest *guest, unsigned long first,
			   struct list_head *pages)
{
	struct page *old, *new;
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		old = p2m_part(guest, gfn);
		if (!old)
			continue;
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_paging_out)
			entry = p2m_retype_entry(entry, p2m_ram_rw);
		new = list_first_entry(pages, struct page, lru);
		list_del(&new->lru);
		copy_highpage(new, old);
		__SetPageUptodate(new);
		p2m_change_entry(guest, gfn, p2m_repage_entry(entry, new));
		p2m_pages_free(old, P2M_4K);
		cond_resched();
	}
}

/* Pages for as many frames, on @list; or -ENOMEM, with what there is on it. */
static int p2m_list_alloc(struct list_head *list, unsigned int nr)
{
	struct page *page;

	while (nr--) {
		page = p2m_page_alloc(GFP_HIGHUSER | __GFP_NOWARN);
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
 * Make 512 entries of the chunk, if it is one, and give each part a page of
 * @pages; if nobody but the map has a reference to a part.
 */
static int p2m_shatter_to(struct p2m_guest *guest, unsigned long first,
			  unsigned int nr, struct list_head *pages)
{
	bool whole = p2m_entry_order(p2m_get_entry(&guest->map, first));
	struct page *page;
	unsigned long gfn;
	int err;

	for (gfn = first; !(page = p2m_part(guest, gfn)); gfn++)
		;
	/* What is not ram_rw is not written to without a hold. */
	p2m_change_parts(guest, first, p2m_ram_rw, p2m_paging_out);
	p2m_unmap(guest, first, P2M_CHUNK_GFNS);
	err = page_count(page) == (whole ? 1 : nr) ? p2m_split(guest, first) : -EBUSY;
	if (err)
		p2m_change_parts(guest, first, p2m_paging_out, p2m_ram_rw);
	else
		p2m_copy_parts(guest, first, pages);
	if (!err)
		p2m_count_event(guest, shattered);
	return err;
}

/**
 * p2m_shatter() - see to it that each frame of a chunk has a page of its own
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EBUSY if somebody else has a reference to a part of a larger page;
 * -ENOMEM.
 */
int p2m_shatter(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);
	unsigned int nr = p2m_count_parts(guest, first);
	LIST_HEAD(pages);
	int err;

	if (!nr)
		return 0;
	err = p2m_list_alloc(&pages, nr);
	if (!err)
		err = p2m_shatter_to(guest, first, nr, &pages);
	p2m_list_free(&pages);
	return err;
}

/* ------------------------------------------------------------------ */
/* Collapse                                                            */
/* ------------------------------------------------------------------ */

/*
 * Are all frames of the chunk ram_rw, and do none of their pages have references
 * but the map's and those of page tables?
 */
static bool p2m_may_collapse(struct p2m_guest *guest, unsigned long first)
{
	struct p2m_entry entry;
	struct page *page;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		page = p2m_entry_page(entry);
		if (p2m_entry_order(entry) ||
		    p2m_entry_type(entry) != p2m_ram_rw || PageCompound(page) ||
		    page_count(page) > 1 + page_mapcount(page))
			return false;
	}
	return true;
}

static int p2m_collapse_to(struct p2m_guest *guest, unsigned long first,
			   struct page *large)
{
	struct page *page;
	unsigned int i;
	int err = 0;

	for (i = 0; i < P2M_CHUNK_GFNS; i++)
		p2m_change_type(guest, first + i, p2m_paging_out);
	p2m_unmap(guest, first, P2M_CHUNK_GFNS);
	for (i = 0; i < P2M_CHUNK_GFNS && !err; i++) {
		page = p2m_entry_page(p2m_get_entry(&guest->map, first + i));
		if (page_count(page) == 1)
			copy_highpage(large + i, page);
		else
			err = -EBUSY;
		cond_resched();
	}
	if (err) {
		for (i = 0; i < P2M_CHUNK_GFNS; i++)
			p2m_change_type(guest, first + i, p2m_ram_rw);
		return err;
	}
	for (i = 0; i < P2M_CHUNK_GFNS; i++)
		p2m_pages_free(p2m_entry_page(p2m_get_entry(&guest->map, first + i)),
			       P2M_4K);
	/* The table above is there, so this cannot fail. */
	p2m_set_entry(&guest->map, first, P2M_2M,
		      p2m_make_entry(p2m_ram_rw, large));
	p2m_count_event(guest, collapsed);
	return 0;
}

/* Collapse a chunk, which is held. */
static int p2m_collapse_chunk(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range)
{
	struct page *large;
	int err;

	if (nr == P2M_CHUNK_GFNS && p2m_may_collapse(guest, gfn)) {
		large = p2m_huge_alloc(0);
		if (!large)
			return -ENOMEM;
		err = p2m_collapse_to(guest, gfn, large);
		if (err)
			p2m_pages_free(large, P2M_2M);
		range->done += err ? 0 : nr;
		range->busy += err ? nr : 0;
	}
	range->next = gfn + nr;
	return 0;
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
	return p2m_for_range(guest, range, P2M_CHUNK_GFNS, p2m_collapse_chunk);
}
