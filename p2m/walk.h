/* SPDX-License-Identifier: GPL-2.0 */
/* Ranges of frames, worked on in batches */
#ifndef _P2M_WALK_H
#define _P2M_WALK_H

#include "p2m/guest.h"

/*
 * Frames per zap; a compromise between KVM's mmu_lock and a vCPU's wait.  No more
 * than there are bits in a u64.
 */
#define P2M_BATCH	64

typedef int (*p2m_batch_fn)(struct p2m_guest *guest, unsigned long gfn,
			    unsigned long nr, struct p2m_range *range);
long p2m_range_end(struct p2m_guest *guest, u64 gfn, u64 nr);
int p2m_find_chunk(struct p2m_guest *guest, unsigned long *gfn,
		   unsigned long end);
int p2m_for_range(struct p2m_guest *guest, struct p2m_range *range,
		  unsigned int size, p2m_batch_fn batch);

/* Does the map say anything of the chunk of a frame?  At a glance, without a hold. */
static inline bool p2m_has_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	return p2m_next_chunk(&guest->map, gfn, gfn + 1) == gfn;
}

#endif /* _P2M_WALK_H */
