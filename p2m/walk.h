/* SPDX-License-Identifier: GPL-2.0 */
/* Frames that are held, and ranges of them, in batches */
#ifndef _P2M_WALK_H
#define _P2M_WALK_H

#include "p2m/guest.h"

/*
 * Frames per zap: a compromise between KVM's mmu_lock and the time that a vCPU
 * waits.  At most as many as a u64 has bits.
 */
#define P2M_BATCH	64

/**
 * struct p2m_hold - frames that are held, while the guest's cgroup is charged
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many; 0 if it is all of the guest
 * @charged: the cgroup that was charged before
 */
struct p2m_hold {
	struct p2m_guest	*guest;
	unsigned long		gfn;
	unsigned long		nr;
	struct mem_cgroup	*charged;
};

int p2m_hold_there(struct p2m_hold *hold, struct p2m_guest *guest,
		   unsigned long gfn);
int p2m_hold_wait(struct p2m_hold *hold, struct p2m_guest *guest,
		  unsigned long gfn, unsigned long nr, enum p2m_wait wait);
void p2m_unhold(struct p2m_hold *hold);

typedef int (*p2m_batch_fn)(struct p2m_guest *guest, unsigned long gfn,
			    unsigned long nr, struct p2m_range *range);
typedef int (*p2m_frame_fn)(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry);
long p2m_range_end(struct p2m_guest *guest, u64 gfn, u64 nr);
int p2m_find_chunk(struct p2m_guest *guest, unsigned long *gfn,
		   unsigned long end);
bool p2m_find_there(struct p2m_guest *guest, unsigned long *gfn,
		    struct p2m_entry *entry, unsigned long end, int *err);
long p2m_find_batch(struct p2m_guest *guest, u64 *gfn, unsigned long end,
		    unsigned int size);
int p2m_for_frames(struct p2m_guest *guest, unsigned long gfn, unsigned long nr,
		   struct p2m_range *range, p2m_frame_fn frame);
int p2m_for_range(struct p2m_guest *guest, struct p2m_range *range,
		  unsigned int size, p2m_batch_fn batch);

/*
 * Go through the chunks of [@gfn, @end) that have entries.  Afterwards @err is
 * 0, or -EINTR if a fatal signal ended it.
 */
#define p2m_for_each_chunk(guest, gfn, end, err)			\
	for (; !((err) = p2m_find_chunk(guest, &(gfn), end)) && (gfn) < (end); \
	     (gfn) = round_up((gfn) + 1, P2M_CHUNK_GFNS))

/* The same for the entries of these chunks. The frames are held. */
#define p2m_for_each_there(guest, gfn, entry, end, err)			\
	for (; p2m_find_there(guest, &(gfn), &(entry), end, &(err));	\
	     (gfn) = p2m_entry_end(gfn, entry))

/* Has the chunk of a frame entries? At a glance, without a hold. */
static inline bool p2m_has_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	return p2m_next_chunk(&guest->map, gfn, gfn + 1) == gfn;
}

/* Hold frames; -EINTR on a signal. */
static inline int p2m_hold(struct p2m_hold *hold, struct p2m_guest *guest,
			   unsigned long gfn, unsigned long nr)
{
	if (WARN_ON_ONCE(!nr))
		return -EINVAL;
	return p2m_hold_wait(hold, guest, gfn, nr, P2M_WAIT_INTERRUPTIBLE);
}

/* The same for all of the guest. */
static inline int p2m_hold_all(struct p2m_hold *hold, struct p2m_guest *guest)
{
	return p2m_hold_wait(hold, guest, 0, 0, P2M_WAIT_INTERRUPTIBLE);
}

#endif /* _P2M_WALK_H */
