// SPDX-License-Identifier: GPL-2.0
/*
 * Poisoned pages: pages in which the hardware has found a memory error.
 *
 *	                touch, shatter
 *	 (has a page) -----------------> broken
 *
 * The memory manager marks the page (PageHWPoison).  For a page of ours it does
 * no more: the page is on no list of pages to reclaim and has no mapping, so
 * the memory manager cannot tell which processes map it.  So we look at the
 * mark before we read or map a page.
 *
 * A touch makes the frame broken: it has no page any more.  This touch and each
 * later one raise SIGBUS with BUS_MCEERR_AR.  For a touch by the guest KVM
 * raises it, and the VMM gives the guest a machine check.  Other frames go on;
 * if they shared the page, until they are touched.  A page of 2 MB is
 * shattered, so 511 frames of the chunk keep their contents.  If that fails
 * because somebody references the page, the frame keeps it, and the next touch
 * finds the mark again.
 *
 * A service passes over a poisoned page as if it were busy. p2m_page_copy()
 * reports an error also if only the copying finds it.
 *
 * NOBODY GETS THE PAGE AGAIN.  The page allocator keeps a poisoned page of 4
 * KB.  But it would give out a page of 2 MB again, with its poisoned part.  So
 * the reference to that part is never dropped: see p2m_pages_free().
 */

#include <linux/mm.h>

#include "huge.h"
#include "page.h"
#include "poison.h"
#include "sharing.h"

/* A frame loses its page, which is its own or a shared one. */
static void p2m_break_page(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	/* As p2m_take() does, but whoever references the page. */
	if (p2m_is_ram(entry))
		p2m_change_type(guest, gfn, p2m_taken);
	p2m_unmap(guest, gfn, 1);
	p2m_set_broken(guest, gfn);
	p2m_type_ops[p2m_entry_type(entry)].drop(guest, entry);
}

/* Some part of the large page of a chunk is poisoned. */
static void p2m_break_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);

	if (!p2m_shatter(guest, gfn))
		return;
	/* At least nobody maps all of it at once. */
	if (p2m_entry_order(p2m_get_entry(&guest->map, gfn)) &&
	    !p2m_huge_split(guest, gfn))
		p2m_unmap(guest, first, P2M_CHUNK_GFNS);
}

/**
 * p2m_check_poison() - can a frame be touched, or is it lost?
 * @guest: the guest
 * @gfn: the frame
 *
 * If its page is poisoned, the frame becomes broken, if possible.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EHWPOISON if the frame is broken, or its page is poisoned.
 */
int p2m_check_poison(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page_of(entry, gfn);

	if (p2m_entry_type(entry) == p2m_broken)
		return -EHWPOISON;
	if (!page || !p2m_page_is_poisoned(page))
		return 0;
	if (PageCompound(page))
		p2m_break_chunk(guest, gfn);
	else
		p2m_break_page(guest, gfn);
	return -EHWPOISON;
}

/**
 * p2m_check_poison_2m() - before a chunk is mapped as 2 MB
 * @guest: the guest
 * @gfn: a frame of the chunk; its page is not poisoned
 *
 * If another part of its large page is poisoned, the chunk has 512 entries
 * afterwards.  This looks at each part, so a touch that maps 4 KB does not call
 * it.
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_check_poison_2m(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (p2m_entry_order(entry) &&
	    p2m_pages_poisoned(p2m_entry_page(entry), P2M_2M))
		p2m_break_chunk(guest, gfn);
}
