/* SPDX-License-Identifier: GPL-2.0 */
/* Sharing: frames that have one page, which none may write */
#ifndef _P2M_SHARING_H
#define _P2M_SHARING_H

#include "p2m/domain.h"

void p2m_sharing_init(void);
void p2m_shared_drop(struct p2m_guest *guest, struct p2m_entry entry);
int p2m_share_nominate(struct p2m_guest *guest, struct p2m_share_nominate *arg);
int p2m_share(struct p2m_guest *source, struct p2m_guest *client,
	      struct p2m_share *arg);
int p2m_unshare(struct p2m_guest *guest, unsigned long gfn,
		struct vm_fault *vmf);
int p2m_unshare_range(struct p2m_guest *guest, struct p2m_range *range);
const char *p2m_shared_check(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry);
bool p2m_shared_known(struct p2m_domain *domain, u64 hash);
int p2m_share_nominate_held(struct p2m_guest *guest, unsigned long gfn,
			    u64 hash);
int p2m_share_taken(struct p2m_guest *guest, unsigned long gfn, u64 hash);
int p2m_share_give(struct p2m_guest *guest, unsigned long gfn,
		   struct page *page);
int p2m_share_join(struct p2m_guest *guest, unsigned long gfn, u64 hash);

#endif /* _P2M_SHARING_H */
