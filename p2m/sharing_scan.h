/* SPDX-License-Identifier: GPL-2.0 */
/* The sharing scan */
#ifndef _P2M_SHARING_SCAN_H
#define _P2M_SHARING_SCAN_H

#include "p2m/guest.h"

int p2m_share_scan(struct p2m_guest *guest, struct p2m_scan *scan);

#endif /* _P2M_SHARING_SCAN_H */
