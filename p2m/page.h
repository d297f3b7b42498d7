/* SPDX-License-Identifier: GPL-2.0 */
/* The pages of guests, and the entries that have them */
#ifndef _P2M_PAGE_H
#define _P2M_PAGE_H

#include <linux/gfp.h>
#include <linux/mm.h>

#include "p2m/guest.h"

int p2m_pages_init(void);
void p2m_pages_exit(void);
u64 p2m_pages_total(void);
struct page *p2m_page_alloc(gfp_t gfp);
struct page *p2m_huge_alloc(gfp_t gfp);
void p2m_page_hold(struct page *page);
bool p2m_page_is_zero(struct page *page);
void p2m_pages_free(struct page *page, unsigned int order);
int p2m_page_copy(struct page *to, struct page *from);
bool p2m_pages_poisoned(struct page *page, unsigned int order);
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);
void p2m_unmap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);
void p2m_set_broken(struct p2m_guest *guest, unsigned long gfn);

/* Change the entry of a frame that has one of this order: cannot fail. */
static inline void p2m_change_entry(struct p2m_guest *guest, unsigned long gfn,
				    struct p2m_entry entry)
{
	p2m_set_entry(&guest->map, gfn, p2m_entry_order(entry), entry);
}

/* The same page, if the type has one, but of another type. */
static inline void p2m_change_type(struct p2m_guest *guest, unsigned long gfn,
				   enum p2m_type type)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, type));
}

/*
 * The type of a page that is the frame's own: so a page gets that is put back, or
 * into an entry that had none, and is not being written to.  See dirty.c.
 */
static inline enum p2m_type p2m_ram_type(struct p2m_guest *guest,
					 struct p2m_entry entry)
{
	return guest->log_dirty && !p2m_entry_dirty(entry) ? p2m_logdirty :
							     p2m_ram_rw;
}

/* Is that the type it has? */
static inline bool p2m_is_ram(struct p2m_entry entry)
{
	return p2m_entry_type(entry) == p2m_ram_rw ||
	       p2m_entry_type(entry) == p2m_logdirty;
}

/* Has somebody found a memory error in it?  Of a large page, in this part? */
static inline bool p2m_page_is_poisoned(struct page *page)
{
	return PageHWPoison(page);
}

#endif /* _P2M_PAGE_H */
