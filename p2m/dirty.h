/* SPDX-License-Identifier: GPL-2.0 */
/* Log-dirty */
#ifndef _P2M_DIRTY_H
#define _P2M_DIRTY_H

#include "p2m/guest.h"

struct p2m_dirty_result {
	unsigned long *bitmap;
};

int p2m_dirty_start(struct p2m_guest *guest);
int p2m_dirty_stop(struct p2m_guest *guest);
int p2m_dirty_mark(struct p2m_guest *guest, unsigned long gfn);
int p2m_dirty_get(struct p2m_guest *guest, struct p2m_dirty *arg,
		  struct p2m_dirty_result *result);
void p2m_dirty_got(struct p2m_guest *guest, struct p2m_dirty *arg,
		   struct p2m_dirty_result *result, bool told);

#endif /* _P2M_DIRTY_H */
