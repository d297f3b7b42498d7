/* SPDX-License-Identifier: GPL-2.0 */
/* Touches of guest frames */
#ifndef _P2M_FAULT_H
#define _P2M_FAULT_H

#include <linux/mm.h>

#include "p2m/guest.h"

/**
 * struct p2m_type_ops - what there is to do with frames of a type, which are held
 * @populate: see to it that a frame that is touched (P2M_TOUCH_*) has a page; or
 * NULL if it has one, or cannot have
 * @write: see to it that it can be written to; or NULL if there is nothing to do
 * @drop: the guest goes: free what the entry has; or NULL if that is nothing
 * @check: what of it is wrong, for p2m_audit(), or NULL; or NULL if all is right
 */
struct p2m_type_ops {
	int (*populate)(struct p2m_guest *guest, unsigned long gfn,
			unsigned int touch);
	int (*write)(struct p2m_guest *guest, unsigned long gfn);
	void (*drop)(struct p2m_guest *guest, struct p2m_entry entry);
	const char *(*check)(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry);
};

extern const struct p2m_type_ops p2m_type_ops[P2M_NR_TYPES];
extern const struct vm_operations_struct p2m_vm_ops;

int p2m_touch_page(struct p2m_guest *guest, unsigned long gfn, bool write);

#endif /* _P2M_FAULT_H */
