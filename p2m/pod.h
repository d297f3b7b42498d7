/* SPDX-License-Identifier: GPL-2.0 */
/* Populate on demand */
#ifndef _P2M_POD_H
#define _P2M_POD_H

#include "p2m/guest.h"

void p2m_pool_init(struct p2m_pool *pool);
bool p2m_pool_take(struct p2m_pool *pool, long nr);
void p2m_pool_give(struct p2m_pool *pool, long nr);
unsigned int p2m_pod_audit(struct p2m_guest *guest);
int p2m_pod_populate(struct p2m_guest *guest, unsigned long gfn, bool huge,
		     struct vm_fault *vmf);
int p2m_pod_make_room(struct p2m_guest *guest);
void p2m_pod_make_room_for(struct p2m_guest *guest, unsigned long gfn);
bool p2m_pod_refused(struct p2m_guest *guest, unsigned long gfn);
int p2m_pod_set(struct p2m_guest *guest, struct p2m_pod *arg);
void p2m_pod_get(struct p2m_guest *guest, struct p2m_pod *arg);
int p2m_pod_sweep(struct p2m_guest *guest, struct p2m_range *range);

#endif /* _P2M_POD_H */
