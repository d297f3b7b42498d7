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
 * was only read can be mapped as 2 MB when it is written.
 */

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "page.h"
#include "walk.h"
#include "zero.h"

/*
 * References to one page.  This leaves room for those that tasks take which do
 * not look.
 */
#define P2M_ZERO_REFS	(1 << 30)

static struct page *p2m_zero_4k;
static struct page *p2m_zero_2m;
static DEFINE_MUTEX(p2m_zero_lock);	/* of p2m_zero_2m */

/**
 * p2m_zero_init() - make the page of 4 KB
 *
 * Context: module init.
 * Return: 0 or -ENOMEM.
 */
int p2m_zero_init(void)
{
	p2m_zero_4k = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
	if (!p2m_zero_4k)
		return -ENOMEM;
	SetPageUptodate(p2m_zero_4k);
	return 0;
}

/**
 * p2m_zero_exit() - free both
 *
 * Context: module exit; there are no guests.
 */
void p2m_zero_exit(void)
{
	put_page(p2m_zero_4k);
	if (p2m_zero_2m)
		put_page(p2m_zero_2m);
}

/* The page of 2 MB, which the first user makes; or NULL. */
static struct page *p2m_zero_huge(void)
{
	struct folio *folio;

	/* Pairs with smp_store_release(). */
	if (smp_load_acquire(&p2m_zero_2m))
		return p2m_zero_2m;
	mutex_lock(&p2m_zero_lock);
	if (!p2m_zero_2m) {
		folio = folio_alloc((GFP_TRANSHUGE_LIGHT & ~__GFP_MOVABLE) |
				    __GFP_ZERO, P2M_2M);
		if (folio) {
			folio_mark_uptodate(folio);
			folio->index = 0;
			smp_store_release(&p2m_zero_2m, folio_page(folio, 0));
		}
	}
	mutex_unlock(&p2m_zero_lock);
	return p2m_zero_2m;
}

static bool p2m_zero_usable(struct page *page, unsigned int order)
{
	return page && page_count(page) < P2M_ZERO_REFS &&
	       !p2m_pages_poisoned(page, order);
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
	struct page *zero;

	huge = huge && p2m_zero_is_chunk(guest, gfn);
	zero = huge ? p2m_zero_huge() : p2m_zero_4k;
	if (!p2m_zero_usable(zero, huge ? P2M_2M : P2M_4K) ||
	    p2m_zero_note(guest, gfn, entry))
		return false;
	*page = huge ? zero + gfn % P2M_CHUNK_GFNS : zero;
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
	folio_wait_locked(page_folio(p2m_zero_4k));
	if (p2m_zero_2m)
		folio_wait_locked(page_folio(p2m_zero_2m));
	p2m_zap(guest, round_down(gfn, 1UL << order), 1UL << order);
}

/**
 * p2m_zero_unmap() - nobody goes on reading zeros
 * @guest: the guest
 * @gfn: the frame; what was set for it, has its order now
 * @was: the entry that it had before
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_zero_unmap(struct p2m_guest *guest, unsigned long gfn,
		    struct p2m_entry was)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (was.val & P2M_Z)
		p2m_zero_zap(guest, gfn, p2m_entry_order(entry));
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
