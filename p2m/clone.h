/* SPDX-License-Identifier: GPL-2.0 */
/* Clones: a guest gets the frames of another */
#ifndef _P2M_CLONE_H
#define _P2M_CLONE_H

#include "p2m/guest.h"

int p2m_clone(struct p2m_guest *source, unsigned long source_gfn,
	      struct p2m_guest *client, unsigned long client_gfn,
	      unsigned long nr);

#endif /* _P2M_CLONE_H */
