/* SPDX-License-Identifier: GPL-2.0 */
/* Guests: how they are made, how they end, and the list of them */
#ifndef _P2M_GUESTS_H
#define _P2M_GUESTS_H

#include "p2m/guest.h"

/**
 * struct p2m_totals - what all guests together have; 0 when there are none
 * @guests: guests
 * @pages: pages that belong to maps; one counts again for each foreign mapping
 * that has it
 * @store: frames in stores
 */
struct p2m_totals {
	u64 guests;
	u64 pages;
	u64 store;
};

struct p2m_guest *p2m_guest_create(struct inode *inode, u64 share);
void p2m_guest_destroy(struct p2m_guest *guest);
struct p2m_guest *p2m_guest_find(u64 id);
struct p2m_guest *p2m_guest_next(u64 id);
void p2m_guest_put(struct p2m_guest *guest);
void p2m_guests_totals(struct p2m_totals *totals);

#endif /* _P2M_GUESTS_H */
