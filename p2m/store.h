/* SPDX-License-Identifier: GPL-2.0 */
/* The store: the contents of paged frames */
#ifndef _P2M_STORE_H
#define _P2M_STORE_H

#include "p2m/guest.h"

u64 p2m_stores_total(void);
int p2m_store_create(struct p2m_guest *guest);
void p2m_store_destroy(struct p2m_guest *guest);
void p2m_store_drop(struct p2m_guest *guest, struct p2m_entry entry);
const char *p2m_store_check(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry);
int p2m_store_write(struct p2m_guest *guest, unsigned long gfn,
		    struct page *page);
int p2m_store_read(struct p2m_guest *guest, unsigned long gfn,
		   struct page *page);
bool p2m_store_is_slow(struct p2m_guest *guest, unsigned long gfn);
void p2m_store_free(struct p2m_guest *guest, unsigned long gfn);

#endif /* _P2M_STORE_H */
