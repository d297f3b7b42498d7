/* SPDX-License-Identifier: GPL-2.0 */
/* 2 MB: a chunk with one page */
#ifndef _P2M_HUGE_H
#define _P2M_HUGE_H

#include "p2m/guest.h"

int p2m_huge_populate(struct p2m_guest *guest, unsigned long gfn,
		      struct vm_fault *vmf);
int p2m_huge_split(struct p2m_guest *guest, unsigned long gfn);
void p2m_huge_merge(struct p2m_guest *guest, unsigned long gfn);
bool p2m_huge_is_there(struct p2m_guest *guest, unsigned long gfn);
int p2m_shatter(struct p2m_guest *guest, unsigned long gfn);
int p2m_collapse(struct p2m_guest *guest, struct p2m_range *range);

#endif /* _P2M_HUGE_H */
