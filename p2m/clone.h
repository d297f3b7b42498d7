/* SPDX-License-Identifier: GPL-2.0 */
/* Clones: a guest gets the frames of another */
#ifndef _P2M_CLONE_H
#define _P2M_CLONE_H

#include "p2m/guest.h"

/**
 * struct p2m_cloning - a clone that is being made
 * @source: the guest that has the frames
 * @client: the guest that gets them
 * @done: how many frames of the range are cloned
 * @from: the first frame of @source that is in work; with the next two it is
 * clone.c's own
 * @to: the first frame of @client
 * @nr: how many, in one chunk of each
 * @wait: the frame of @source for which its pager was asked
 */
struct p2m_cloning {
	struct p2m_guest	*source;
	struct p2m_guest	*client;
	unsigned long		done;
	unsigned long		from;
	unsigned long		to;
	unsigned long		nr;
	unsigned long		wait;
};

int p2m_clone(struct p2m_cloning *c, unsigned long source_gfn,
	      unsigned long client_gfn, unsigned long nr);

#endif /* _P2M_CLONE_H */
