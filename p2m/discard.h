/* SPDX-License-Identifier: GPL-2.0 */
/* Discard: nobody needs the contents of frames any more */
#ifndef _P2M_DISCARD_H
#define _P2M_DISCARD_H

#include "p2m/guest.h"

unsigned long p2m_discard_held(struct p2m_guest *guest, unsigned long gfn,
			       unsigned long nr, unsigned long *busy);
int p2m_discard_frames(struct p2m_guest *guest, unsigned long gfn,
		       unsigned long end);
int p2m_discard_end(struct p2m_guest *guest, unsigned long gfns);
int p2m_discard_new_end(struct p2m_guest *guest, unsigned long gfns);
int p2m_discard(struct p2m_guest *guest, struct p2m_range *range);

#endif /* _P2M_DISCARD_H */
