/* SPDX-License-Identifier: GPL-2.0 */
/* Paging: frames go to the store and come back */
#ifndef _P2M_PAGING_H
#define _P2M_PAGING_H

#include "p2m/guest.h"

int p2m_paging_populate(struct p2m_guest *guest, unsigned long gfn,
			struct vm_fault *vmf);
int p2m_page_out(struct p2m_guest *guest, struct p2m_range *range);
int p2m_page_in(struct p2m_guest *guest, struct p2m_range *range);
long p2m_paging_take(struct p2m_guest *guest, unsigned long gfn,
		     unsigned long nr, const struct p2m_range *range);
void p2m_paging_count(struct p2m_guest *guest, struct p2m_range *range,
		      int err);

#endif /* _P2M_PAGING_H */
