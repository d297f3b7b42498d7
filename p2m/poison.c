// SPDX-License-Identifier: GPL-2.0
/*
 * Poisoned pages: the hardware has found a memory error in them.
 *
 *	                touch, shatter
 *	 (has a page) -----------------> broken
 *
 * The memory manager marks the page (PageHWPoison), and for a page of ours does
 * nothing else: it is not on a list of pages to be reclaimed, and has no mapping, so
 * the memory manager cannot tell who maps it.  So each that is about to read a page,
 * or to map it, looks at the mark first.
 *
 * A touch makes the frame broken: it has no page any more, and this touch and each
 * later one raises SIGBUS with BUS_MCEERR_AR; KVM does so for a touch by the guest,
 * and the VMM gives the guest its machine check.  Other frames go on, those that
 * shared the page until they are touched.  A page of 2 MB is shattered, so that 511
 * frames of the chunk keep their contents.  If it cannot be, because somebody has a
 * reference to it, the frame keeps its page, and each touch finds the mark again.
 *
 * A service passes over a poisoned page, as if somebody held it; p2m_page_copy()
 * says so even if the error is found only by copying.
 *
 * NOBODY GETS THE PAGE AGAIN.  The page allocator keeps a poisoned page of 4 KB.  But
 * it would give out a page of 2 MB again, the poisoned part as well: so the reference
 * to that part is never dropped.  See p2m_pages_free().
 */

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "huge.h"
#include "page.h"
#include "poison.h"
#include "sharing.h"

/* A frame with a page of its own, or a shared one, loses it. */
static void p2m_break_page(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	/* As p2m_take() does, but no matter who references it. */
	if (p2m_is_ram(entry))
		p2m_change_type(guest, gfn, p2m_taken);
	p2m_unmap(guest, gfn, 1);
	p2m_set_broken(guest, gfn);
	p2m_type_ops[p2m_entry_type(entry)].drop(guest, entry);
}

/* Some page of a chunk with a large page is poisoned. */
static void p2m_break_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long first = round_down(gfn, P2M_CHUNK_GFNS);

	if (!p2m_shatter(guest, gfn))
		return;
	/* At least let nobody map all of it at once. */
	if (p2m_entry_order(p2m_get_entry(&guest->map, gfn)) &&
	    !p2m_split(guest, gfn))
		p2m_unmap(guest, first, P2M_CHUNK_GFNS);
}

/**
 * p2m_check_poison() - is a frame that is touched to be had?
 * @guest: the guest
 * @gfn: the frame
 *
 * If its page is poisoned, the frame becomes broken, if possible.
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EHWPOISON if it is broken, or its page poisoned.
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
 * p2m_check_poison_2m() - may the chunk of a frame be mapped as 2 MB?
 * @guest: the guest
 * @gfn: the frame, with a page that is not poisoned
 *
 * If another part of the page is poisoned, the frames have different entries then.
 * This looks at each part: so it is not for a touch that maps 4 KB.
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
