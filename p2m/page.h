/* SPDX-License-Identifier: GPL-2.0 */
/* The pages of guests, and the entries that have a page */
#ifndef _P2M_PAGE_H
#define _P2M_PAGE_H

#include <linux/gfp.h>
#include <linux/mm.h>

#include "p2m/guest.h"

u64 p2m_pages_total(void);
struct page *p2m_page_alloc(gfp_t gfp, struct vm_fault *vmf, int node);
struct page *p2m_huge_alloc(gfp_t gfp, struct vm_fault *vmf, int node);
void p2m_page_hold(struct page *page);
bool p2m_page_is_zero(struct page *page);
void p2m_pages_free(struct page *page, unsigned int order);
int p2m_page_copy(struct page *to, struct page *from);
bool p2m_pages_poisoned(struct page *page, unsigned int order);
void p2m_zap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);
void p2m_unmap(struct p2m_guest *guest, unsigned long gfn, unsigned long nr);
bool p2m_pick(struct p2m_guest *guest, unsigned long gfn);
unsigned long p2m_take(struct p2m_guest *guest, unsigned long gfn,
		       unsigned long nr);
void p2m_give_back(struct p2m_guest *guest, unsigned long gfn,
		   unsigned long nr);
void p2m_set_ram(struct p2m_guest *guest, unsigned long gfn, struct page *page);
void p2m_page_drop(struct p2m_guest *guest, struct p2m_entry entry);
const char *p2m_page_check(struct p2m_guest *guest, unsigned long gfn,
			   struct p2m_entry entry);
const char *p2m_taken_check(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry);
void p2m_set_broken(struct p2m_guest *guest, unsigned long gfn);

/* Change the entry of a frame that has one of this order. Cannot fail. */
static inline void p2m_change_entry(struct p2m_guest *guest, unsigned long gfn,
				    struct p2m_entry entry)
{
	unsigned int order = p2m_entry_order(entry);

	p2m_set_entry(&guest->map, round_down(gfn, 1UL << order), order, entry);
}

/* Give an entry another type. It keeps its page, if the type has one. */
static inline void p2m_change_type(struct p2m_guest *guest, unsigned long gfn,
				   enum p2m_type type)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, type));
}

/*
 * The type for a page that is returned to its frame, or newly given to it,
 * without being written.  See dirty.c.
 */
static inline enum p2m_type p2m_ram_type(struct p2m_guest *guest,
					 struct p2m_entry entry)
{
	return guest->log_dirty && !p2m_entry_dirty(entry) ? p2m_logdirty :
							     p2m_ram_rw;
}

/* The frame has its page for itself, and can be touched again. */
static inline void p2m_make_ram(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	p2m_change_type(guest, gfn, p2m_ram_type(guest, entry));
}

/* Was a memory error found in this page, or in this part of a large page? */
static inline bool p2m_page_is_poisoned(struct page *page)
{
	return PageHWPoison(page);
}

/*
 * How many references the map has to the page of an entry: 512 if a large page
 * has entries of 4 KB (see huge.c), else 1.
 */
static inline int p2m_page_refs(struct p2m_entry entry)
{
	if (p2m_entry_order(entry) || !PageCompound(p2m_entry_page(entry)))
		return 1;
	return P2M_CHUNK_GFNS;
}

/* The page of an entry is not mapped: is the map's reference the last one? */
static inline bool p2m_page_is_last(struct p2m_entry entry)
{
	return page_count(p2m_entry_page(entry)) == p2m_page_refs(entry);
}

#endif /* _P2M_PAGE_H */
