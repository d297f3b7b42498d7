/* SPDX-License-Identifier: GPL-2.0 */
/* Touches of guest frames */
#ifndef _P2M_FAULT_H
#define _P2M_FAULT_H

#include <linux/mm.h>

#include "p2m/guest.h"

int p2m_mmap(struct p2m_guest *guest, struct vm_area_struct *vma);
int p2m_populate(struct p2m_guest *guest, unsigned long gfn, unsigned long end);
int p2m_touch_page(struct p2m_guest *guest, unsigned long gfn, bool write);

#endif /* _P2M_FAULT_H */
