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
 * address of the mapping allows it.  With 512 they must not, because each frame
 * has a type of its own.  To split is enough for log-dirty, and copies nothing.
 * But a page that goes away or is shared must belong to one frame alone,
 * because a reference to any part of a large page is a reference to all of it.
 * So such work shatters the large page first, which copies it.
 *
 * Each entry has one reference to its page: one entry of 2 MB has one, 512
 * entries of 4 KB have 512.  Either all frames of a chunk have the parts of one
 * large page, each in its place, or no frame has a part of any.
 */

#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "huge.h"
#include "page.h"
#include "walk.h"

/**
 * p2m_huge_populate() - give an empty chunk a zero page of 2 MB
 * @guest: the guest
 * @gfn: a frame of the chunk, of type mmio_dm
 * @vmf: the touch, or NULL
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EEXIST if the chunk has 512 entries, or the guest ends in it;
 * -ENOMEM if there is no such page, which is nothing unusual.
 */
int p2m_huge_populate(struct p2m_guest *guest, unsigned long gfn,
		      struct vm_fault *vmf)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);
	struct page *page;
	int err;

	if (first + P2M_CHUNK_GFNS > atomic_long_read(&guest->gfns) ||
	    (p2m_has_chunk(guest, first) &&
	     !p2m_entry_order(p2m_get_entry(&guest->map, first))))
		return -EEXIST;
	page = p2m_huge_alloc(__GFP_ZERO, vmf, NUMA_NO_NODE);
	if (!page)
		return -ENOMEM;
	err = p2m_set_entry(&guest->map, first, P2M_2M,
			    p2m_make_entry(p2m_ram_rw, page));
	if (err)
		p2m_pages_free(page, P2M_2M);
	return err;
}

/**
 * p2m_huge_split() - make 512 entries of one of 2 MB, if it is one
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * The frames have the same page as before.  Mappings of 2 MB stay, and faults
 * may be about to make some: so p2m_unmap() the chunk before the hold ends.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0 or -ENOMEM.
 */
int p2m_huge_split(struct p2m_guest *guest, unsigned long gfn)
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

/**
 * p2m_huge_merge() - make one entry of 512, if they are as one
 * @guest: the guest
 * @gfn: a frame of the chunk, which has a large page, or is all pod, or has
 * nothing
 *
 * A mapping that has a page table for the chunk keeps it.  So the processor and
 * KVM go on mapping 4 KB there, until the chunk is mapped anew.
 *
 * Context: process context, holding @gfn.
 */
void p2m_huge_merge(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long n, i, first = round_down(gfn, P2M_CHUNK_GFNS);
	struct p2m_entry entry = p2m_get_entry(&guest->map, first);
	enum p2m_type type = p2m_entry_type(entry);
	struct page *page = p2m_entry_page(entry);
	u64 step = page ? 1ULL << P2M_PFN_SHIFT : 0, val, zeros = 0;

	if (p2m_entry_order(entry) || !p2m_has_chunk(guest, first) ||
	    (page ? !PageHead(page) : type != p2m_pod && type != p2m_mmio_dm))
		return;
	/*
	 * The same page, type and dirtiness?  Zeros may be mapped in a part.
	 * If a balloon takes one frame after the other, the first look, at a
	 * neighbour of @gfn, tells that they are not.
	 */
	for (n = 0; n < P2M_CHUNK_GFNS; n++) {
		i = (gfn + P2M_CHUNK_GFNS - 1 + n) % P2M_CHUNK_GFNS;
		val = p2m_get_entry(&guest->map, first + i).val;
		if ((val & ~P2M_Z) != (entry.val & ~P2M_Z) + i * step)
			return;
		zeros |= val & P2M_Z;
	}
	/* Past the end there are none. */
	if (zeros && first + P2M_CHUNK_GFNS > atomic_long_read(&guest->gfns))
		return;
	entry.val |= zeros;
	/* The table above is there, so this cannot fail. */
	p2m_set_entry(&guest->map, first, P2M_2M, entry);
	if (page)
		page_ref_sub(page, P2M_CHUNK_GFNS - 1);
}

/**
 * p2m_huge_is_there() - has a chunk a large page, with one entry or with 512?
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Context: process context, holding @gfn.
 * Return: whether it has.
 */
bool p2m_huge_is_there(struct p2m_guest *guest, unsigned long gfn)
{
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));

	return page && PageCompound(page);
}

/*
 * The chunk is taken.  Give each frame a page of its own instead of its part of
 * the large page; but if the part is poisoned, the frame is broken.
 */
static void p2m_huge_copy_parts(struct p2m_guest *guest, unsigned long first,
				struct list_head *pages)
{
	struct page *old, *new;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		old = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
		new = list_first_entry(pages, struct page, lru);
		if (p2m_page_copy(new, old)) {
			p2m_set_broken(guest, gfn);
		} else {
			list_del(&new->lru);
			__SetPageUptodate(new);
			p2m_set_ram(guest, gfn, new);
		}
		p2m_pages_free(old, P2M_4K);
		cond_resched();
	}
}

/* Allocate pages of a node on @list. After -ENOMEM there are some. */
static int p2m_list_alloc(struct list_head *list, unsigned int nr, int node)
{
	struct page *page;

	while (nr--) {
		page = p2m_page_alloc(0, NULL, node);
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

/* Pick all frames of a chunk, or none. */
static bool p2m_huge_pick(struct p2m_guest *guest, unsigned long first)
{
	unsigned long gfn = first, end = first + P2M_CHUNK_GFNS;
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, gfn, entry, end) {
		if (!p2m_pick(guest, gfn)) {
			p2m_give_back(guest, first, P2M_CHUNK_GFNS);
			return false;
		}
	}
	return true;
}

/* Take all frames of a chunk, which are picked; or give all of them back. */
static int p2m_huge_take(struct p2m_guest *guest, unsigned long first)
{
	if (p2m_take(guest, first, P2M_CHUNK_GFNS) == P2M_CHUNK_GFNS)
		return 0;
	p2m_give_back(guest, first, P2M_CHUNK_GFNS);
	return -EBUSY;
}

/* The chunk is picked, and there is one of @pages for each frame. */
static int p2m_shatter_to(struct p2m_guest *guest, unsigned long first,
			  struct list_head *pages)
{
	int err;

	err = p2m_huge_take(guest, first);
	if (err)
		return err;
	err = p2m_huge_split(guest, first);
	if (err) {
		p2m_give_back(guest, first, P2M_CHUNK_GFNS);
		return err;
	}
	p2m_huge_copy_parts(guest, first, pages);
	p2m_count_event(guest, shattered);
	return 0;
}

/**
 * p2m_shatter() - give each frame of a chunk with a large page a page of its
 * own
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * This needs memory for 512 pages, if possible on the same node, before it frees
 * the large one.  A frame with a poisoned part is broken afterwards.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, also if there is no large page; -EBUSY if somebody else has a
 * reference to a part of it; -ENOMEM.  After an error all is as before, but
 * maybe no longer mapped.
 */
int p2m_shatter(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);
	LIST_HEAD(pages);
	int err;

	if (!p2m_huge_is_there(guest, gfn))
		return 0;
	if (!p2m_huge_pick(guest, first))
		return -EBUSY;
	err = p2m_list_alloc(&pages, P2M_CHUNK_GFNS,
			     p2m_entry_node(p2m_get_entry(&guest->map, gfn)));
	if (err)
		p2m_give_back(guest, first, P2M_CHUNK_GFNS);
	else
		err = p2m_shatter_to(guest, first, &pages);
	p2m_list_free(&pages);
	return err;
}

/* ---- Collapse ----------------------------------------------------- */

/* Has each frame of the chunk a page of its own that can be written to? */
static bool p2m_huge_is_full(struct p2m_guest *guest, unsigned long first)
{
	unsigned long gfn = first, end = first + P2M_CHUNK_GFNS;
	struct p2m_entry entry;

	if (p2m_huge_is_there(guest, first))
		return false;
	p2m_for_each_entry(&guest->map, gfn, entry, end)
		if (!p2m_is_ram(entry))
			return false;
	return true;
}

/* The node that most pages of a full chunk are on, or one if none has most. */
static int p2m_huge_node(struct p2m_guest *guest, unsigned long first)
{
	int is, node = NUMA_NO_NODE;
	unsigned long i, votes = 0;

	/* A vote for another node takes one away; the majority has one left. */
	for (i = 0; i < P2M_CHUNK_GFNS; i++) {
		is = p2m_entry_node(p2m_get_entry(&guest->map, first + i));
		if (!votes)
			node = is;
		votes += is == node ? 1 : -1;
	}
	return node;
}

/* Copy the pages of a chunk, which is taken; -EBUSY if one is poisoned. */
static int p2m_huge_copy(struct p2m_guest *guest, unsigned long first,
			 struct page *large)
{
	struct page *page;
	unsigned int i;

	for (i = 0; i < P2M_CHUNK_GFNS; i++) {
		page = p2m_entry_page(p2m_get_entry(&guest->map, first + i));
		if (p2m_page_copy(large + i, page))
			return -EBUSY;
		cond_resched();
	}
	return 0;
}

/* Replace the pages of a chunk, which is taken, by their copy. */
static void p2m_huge_replace(struct p2m_guest *guest, unsigned long first,
			     struct page *large)
{
	struct p2m_entry new = p2m_make_entry(p2m_ram_rw, large);
	struct p2m_entry entry;
	unsigned long gfn;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		/* If one frame is dirty, the whole chunk is. */
		new.val |= entry.val & P2M_D;
		p2m_pages_free(p2m_entry_page(entry), P2M_4K);
	}
	/* The table above is there, so this cannot fail. */
	p2m_set_entry(&guest->map, first, P2M_2M, new);
}

/* The chunk is picked. */
static int p2m_collapse_to(struct p2m_guest *guest, unsigned long first,
			   struct page *large)
{
	int err;

	err = p2m_huge_take(guest, first);
	if (err)
		return err;
	err = p2m_huge_copy(guest, first, large);
	if (err) {
		p2m_give_back(guest, first, P2M_CHUNK_GFNS);
		return err;
	}
	p2m_huge_replace(guest, first, large);
	p2m_count_event(guest, collapsed);
	return 0;
}

/* Collapse a chunk, which is held and full. */
static int p2m_collapse_chunk(struct p2m_guest *guest, unsigned long first)
{
	struct page *large;
	int err;

	if (!p2m_huge_pick(guest, first))
		return -EBUSY;
	/*
	 * The caller asked for it, so make some effort.  But far memory is not
	 * better for being large.
	 */
	large = p2m_huge_alloc(__GFP_DIRECT_RECLAIM | __GFP_NORETRY |
			       __GFP_THISNODE, NULL,
			       p2m_huge_node(guest, first));
	if (!large) {
		p2m_give_back(guest, first, P2M_CHUNK_GFNS);
		return -ENOMEM;
	}
	err = p2m_collapse_to(guest, first, large);
	if (err)
		p2m_pages_free(large, P2M_2M);
	return err;
}

/* Collapse the frames that are held, if they are a chunk. */
static int p2m_collapse_batch(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range)
{
	int err;

	if (guest->log_dirty) {
		range->next = gfn;
		return -EBUSY;
	}
	range->next = gfn + nr;
	if (nr != P2M_CHUNK_GFNS || !p2m_huge_is_full(guest, gfn))
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

/* P2M_COLLAPSE */
int p2m_collapse(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_CHUNK_GFNS, p2m_collapse_batch);
}
