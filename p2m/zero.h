/* SPDX-License-Identifier: GPL-2.0 */
/* What a read of a frame that has nothing finds */
#ifndef _P2M_ZERO_H
#define _P2M_ZERO_H

#include "p2m/guest.h"

void p2m_zero_free(struct p2m_guest *guest);
bool p2m_zero_map(struct p2m_guest *guest, unsigned long gfn, bool huge,
		  struct page **page);
void p2m_zero_forget(struct p2m_guest *guest, unsigned long gfn);
void p2m_zero_forget_chunk(struct p2m_guest *guest, unsigned long gfn);
void p2m_zero_unmap(struct p2m_guest *guest, unsigned long gfn,
		    struct p2m_entry was);

#endif /* _P2M_ZERO_H */
