// SPDX-License-Identifier: GPL-2.0
/*
 * What a read of a frame that has nothing finds: a page of zeros, which all
 * guests have.  So to read an empty guest, for example to dump it, allocates
 * nothing.
 *
 *	 (nothing) ----------> (nothing), Z ----------> ram_rw
 *	 pod         read      pod, Z         write
 *
 * The map goes on having nothing there.  Only the bit Z of the entry says that
 * page tables may have the page of zeros for the frame, or for all of the
 * chunk if it is one entry.  Whoever gives the frame a page finds Z, and unmaps
 * the frame: then nobody goes on reading zeros there.
 *
 * There are two such pages: one of 4 KB; and one of 2 MB, so that a chunk that
 * was only read can be mapped as 2 MB when it is written.  Each guest has its
 * own.  A fault that is about to map one has locked it, and whoever unmaps it
 * waits for that: so no guest has to wait for a fault of another.
 */

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "page.h"
#include "walk.h"
#include "zero.h"

/*
 * References to one page.  This leaves room for those that tasks take which do
 * not look.
 */
#define P2M_ZERO_REFS	(1U << 30)

static struct page *p2m_zero_alloc(unsigned int order)
{
	struct folio *folio;

	if (order)
		folio = folio_alloc((GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) |
				    __GFP_ACCOUNT | __GFP_ZERO, order);
	else
		folio = folio_alloc(P2M_GFP_PAGE | __GFP_ZERO, 0);
	if (!folio)
		return NULL;
	folio_mark_uptodate(folio);
	if (order)
		folio->index = 0;	/* any that is below the end */
	return folio_page(folio, 0);
}

/* The guest's page of this order, which the first read makes; or NULL. */
static struct page *p2m_zero_page(struct p2m_guest *guest, unsigned int order)
{
	struct page **slot = order ? &guest->zero_2m : &guest->zero_4k;
	struct page *page = READ_ONCE(*slot), *first;

	if (!page) {
		page = p2m_zero_alloc(order);
		if (!page)
			return NULL;
		/* Another fault may make one, too. */
		first = cmpxchg(slot, NULL, page);
		if (first) {
			put_page(page);
			page = first;
		}
	}
	if ((unsigned int)page_count(page) >= P2M_ZERO_REFS ||
	    p2m_pages_poisoned(page, order))
		return NULL;
	return page;
}

/**
 * p2m_zero_free() - a guest goes: free its pages of zeros
 * @guest: the guest, which nobody maps
 *
 * Context: process context.
 */
void p2m_zero_free(struct p2m_guest *guest)
{
	if (guest->zero_4k)
		put_page(guest->zero_4k);
	if (guest->zero_2m)
		put_page(guest->zero_2m);
}

/* Is the chunk one entry, or none, all of it in the guest? */
static bool p2m_zero_is_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);

	return first + P2M_CHUNK_GFNS <= atomic_long_read(&guest->gfns) &&
	       (!p2m_has_chunk(guest, first) ||
		p2m_entry_order(p2m_get_entry(&guest->map, first)));
}

/* Note that page tables may have the page. */
static int p2m_zero_note(struct p2m_guest *guest, unsigned long gfn,
			 struct p2m_entry entry)
{
	unsigned int order = p2m_zero_is_chunk(guest, gfn) ? P2M_2M : P2M_4K;

	if (entry.val & P2M_Z)
		return 0;
	entry.val |= P2M_Z;
	return p2m_set_entry(&guest->map, round_down(gfn, 1UL << order), order,
			     entry);
}

/**
 * p2m_zero_map() - let a frame that has nothing be read
 * @guest: the guest
 * @gfn: the frame
 * @huge: all of its chunk may be mapped at once
 * @page: gets the page, or its part for @gfn
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: whether there is such a page.  If not, the frame is populated.
 */
bool p2m_zero_map(struct p2m_guest *guest, unsigned long gfn, bool huge,
		  struct page **page)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *zero = NULL;

	if (huge && p2m_zero_is_chunk(guest, gfn))
		zero = p2m_zero_page(guest, P2M_2M);
	if (zero)
		zero += gfn % P2M_CHUNK_GFNS;
	else
		zero = p2m_zero_page(guest, P2M_4K);
	if (!zero || p2m_zero_note(guest, gfn, entry))
		return false;
	*page = zero;
	return true;
}

/*
 * The entries of [gfn, gfn + 2^order) have no Z any more.  A fault that found
 * the old ones may be about to map the page.  It has locked the page: it held
 * the frame until then.
 */
static void p2m_zero_zap(struct p2m_guest *guest, unsigned long gfn,
			 unsigned int order)
{
	struct page *small = READ_ONCE(guest->zero_4k);
	struct page *large = READ_ONCE(guest->zero_2m);

	if (small)
		folio_wait_locked(page_folio(small));
	if (large)
		folio_wait_locked(page_folio(large));
	p2m_zap(guest, round_down(gfn, 1UL << order), 1UL << order);
}

/* Clear Z in all entries of a chunk.  Had one Z? */
static bool p2m_zero_clear(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);
	unsigned long i = first, end = first + P2M_CHUNK_GFNS;
	struct p2m_entry entry;
	bool was = false;

	p2m_for_each_entry(&guest->map, i, entry, end) {
		if (!(entry.val & P2M_Z))
			continue;
		entry.val &= ~P2M_Z;
		p2m_change_entry(guest, i, entry);
		was = true;
	}
	return was;
}

/**
 * p2m_zero_forget_chunk() - nobody goes on reading zeros in a chunk
 * @guest: the guest
 * @gfn: a frame of the chunk
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_zero_forget_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	if (p2m_zero_clear(guest, gfn))
		p2m_zero_zap(guest, gfn, P2M_2M);
}

/**
 * p2m_zero_unmap() - nobody goes on reading zeros
 * @guest: the guest
 * @gfn: the frame, which has another entry now
 * @was: the entry that it had before
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_zero_unmap(struct p2m_guest *guest, unsigned long gfn,
		    struct p2m_entry was)
{
	if (!(was.val & P2M_Z))
		return;
	if (!p2m_entry_order(was)) {
		p2m_zero_zap(guest, gfn, P2M_4K);
		return;
	}
	/* If the chunk was split: once for all frames of it. */
	p2m_zero_clear(guest, gfn);
	p2m_zero_zap(guest, gfn, P2M_2M);
}

/**
 * p2m_zero_forget() - a frame that has nothing is about to be written
 * @guest: the guest
 * @gfn: the frame
 *
 * Its next touch is a fault.
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_zero_forget(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry was = p2m_get_entry(&guest->map, gfn);
	unsigned int order = p2m_entry_order(was);
	unsigned long first = round_down(gfn, 1UL << order);
	struct p2m_entry new = { was.val & ~P2M_Z };

	if (!(was.val & P2M_Z))
		return;
	/* It has an entry of this order, so this cannot fail. */
	p2m_set_entry(&guest->map, first, order, new);
	p2m_zero_zap(guest, gfn, order);
}
