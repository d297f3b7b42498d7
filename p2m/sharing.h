/* SPDX-License-Identifier: GPL-2.0 */
/* What sharing.c, scan.c and domain.c have for each other. */
#ifndef _P2M_SHARING_H
#define _P2M_SHARING_H

#include "compat.h"
#include "guest.h"

/**
 * struct p2m_candidate - where a page with certain contents was seen
 * @guest: number of the guest
 * @gfn: the frame
 */
struct p2m_candidate {
	u64		guest;
	unsigned long	gfn;
};

/**
 * struct p2m_domain - guests that may share
 * @number: what P2M_SHARE_DOMAIN calls it
 * @seed: of the hashes of contents
 * @zero_hash: what p2m_hash_page() says of a zero page
 * @seen: candidates of scans; or NULL
 * @seen_bits: there are 2 to this many sets of them
 * @seen_lock: guards these two
 * @link: in the list of domains, if others can find it there
 * @ref: of its guests, and of whoever got hold of it otherwise
 */
struct p2m_domain {
	u64			number;
	u64			seed;
	u64			zero_hash;
	struct p2m_seen		*seen;
	unsigned int		seen_bits;
	spinlock_t		seen_lock;	/* the innermost of all */
	struct list_head	link;
	refcount_t		ref;
};

struct p2m_domain *p2m_domain_of(struct p2m_guest *guest);

u64 p2m_hash_page(struct p2m_domain *domain, struct page *page);
bool p2m_shared_known(struct p2m_domain *domain, u64 hash);
int p2m_nominate_unmapped(struct p2m_guest *guest, unsigned long gfn, u64 hash);
int p2m_nominate_to_share(struct p2m_guest *guest, unsigned long gfn, u64 hash);
int p2m_join_unmapped(struct p2m_guest *guest, unsigned long gfn, u64 hash);

/* Does somebody hold the page, besides the map and page tables? */
static inline bool p2m_page_is_busy(struct page *page)
{
	return page_count(page) > 1 + p2m_page_mapcount(page);
}

/* A frame that was, or was to be, shared has this page for itself. */
static inline void p2m_make_own(struct p2m_guest *guest, unsigned long gfn,
				struct page *page)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	entry = p2m_retype_entry(entry, p2m_ram_type(guest, entry));
	entry = p2m_repage_entry(entry, page);
	p2m_change_entry(guest, gfn, entry);
}

#endif /* _P2M_SHARING_H */
