/* SPDX-License-Identifier: GPL-2.0 */
/* Foreign mappings */
#ifndef _P2M_FOREIGN_H
#define _P2M_FOREIGN_H

#include <linux/fs.h>

#include "p2m/guest.h"

int p2m_foreign_map(struct p2m_guest *guest, struct p2m_foreign *arg,
		    struct file **file);
void p2m_foreign_mapped(struct p2m_foreign *arg, struct file *file, bool told);

#endif /* _P2M_FOREIGN_H */
