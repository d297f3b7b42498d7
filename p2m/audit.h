/* SPDX-License-Identifier: GPL-2.0 */
/* The audit */
#ifndef _P2M_AUDIT_H
#define _P2M_AUDIT_H

#include "p2m/guest.h"

int p2m_audit(struct p2m_guest *guest, struct p2m_audit *audit);

#endif /* _P2M_AUDIT_H */
