/* SPDX-License-Identifier: GPL-2.0 */
/* Sharing: frames that have one page, which none may write */
#ifndef _P2M_SHARING_H
#define _P2M_SHARING_H

#include "p2m/compat.h"
#include "p2m/domain.h"
#include "p2m/page.h"

void p2m_sharing_init(void);
void p2m_shared_drop(struct p2m_guest *guest, struct page *page);
void p2m_shared_quit(struct p2m_guest *guest, unsigned long gfn,
		     struct page *page);
int p2m_share_nominate(struct p2m_guest *guest, struct p2m_nominate *arg);
int p2m_share(struct p2m_guest *source, struct p2m_guest *client,
	      struct p2m_share *arg);
int p2m_unshare(struct p2m_guest *guest, unsigned long gfn);
int p2m_unshare_range(struct p2m_guest *guest, struct p2m_range *range);
unsigned long p2m_shared_audit(struct p2m_guest *guest);
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
