// SPDX-License-Identifier: GPL-2.0
/* Ranges from outside: any gfn, any number of frames, worked on in batches. */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "walk.h"

/**
 * p2m_range_end() - check a range that came from outside
 * @guest: the guest
 * @gfn: its first frame
 * @nr: how many
 *
 * Context: any.
 * Return: where it ends, the guest's end at the latest; -EINVAL if @nr is 0 or it
 * ends past P2M_MAX_GFNS; -ERANGE if the guest ends before @gfn.
 */
long p2m_range_end(struct p2m_guest *guest, u64 gfn, u64 nr)
{
	u64 gfns = atomic_long_read(&guest->gfns);

	if (!nr || nr > P2M_MAX_GFNS || gfn > P2M_MAX_GFNS - nr)
		return -EINVAL;
	if (gfn >= gfns)
		return -ERANGE;
	return min(gfn + nr, gfns);
}

/* Frames that are looked through at once for a chunk that has entries: 512 GB */
#define P2M_LOOK	(1UL << 27)

/**
 * p2m_find_chunk() - go on to the next chunk of which the map says something
 * @guest: the guest
 * @gfn: in: where to start; out: there if its chunk has entries; else the first
 * frame after it of a chunk that has; else @end
 * @end: where to stop
 *
 * For whoever goes through a guest: it may have any size, and be empty.  Unlike
 * p2m_next_chunk(), this lets others run, and heeds a fatal signal.
 *
 * Context: process context, holding anything or nothing; may sleep.
 * Return: 0; -EINTR on a fatal signal.
 */
int p2m_find_chunk(struct p2m_guest *guest, unsigned long *gfn,
		   unsigned long end)
{
	unsigned long stop;

	do {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		stop = min(end, round_up(*gfn + 1, P2M_LOOK));
		*gfn = p2m_next_chunk(&guest->map, *gfn, stop);
	} while (*gfn == stop && stop < end);
	return 0;
}

/**
 * p2m_for_range() - work on frames, a batch at a time, holding them
 * @guest: the guest
 * @range: which, and how far it got; uapi/p2m.h has what it means
 * @size: frames in a batch, which is aligned to as many; a power of two, and not
 * more than a chunk
 * @batch: what to do with a batch, or a part of one.  It sets @range->next to the
 * first frame that it did not look at, and may stop short at @range->max.
 *
 * Chunks of which the map says nothing are passed over.  If any of @range was
 * looked at, an error is left for the next call to find.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINVAL, -ERANGE, -EINTR, -ENOMEM, or what @batch returns.
 */
int p2m_for_range(struct p2m_guest *guest, struct p2m_range *range,
		  unsigned int size, p2m_batch_fn batch)
{
	unsigned long nr, gfn;
	struct mem_cgroup *old;
	long end = p2m_range_end(guest, range->gfn, range->nr);
	int err = 0;

	if (end < 0)
		return end;
	range->next = range->gfn;
	range->done = 0;
	range->busy = 0;

	old = set_active_memcg(guest->memcg);
	while (range->next < end && !(range->max && range->done >= range->max)) {
		cond_resched();
		if (signal_pending(current)) {
			err = -EINTR;
			break;
		}
		nr = min_t(unsigned long, end, round_up(range->next + 1, P2M_LOOK));
		gfn = p2m_next_chunk(&guest->map, range->next, nr);
		if (gfn > range->next) {
			range->next = gfn;
			continue;
		}
		nr = min_t(unsigned long, end, round_up(gfn + 1, size)) - gfn;
		err = __get_p2m(&guest->lock, gfn, nr, P2M_WAIT_INTERRUPTIBLE, 0);
		if (err)
			break;
		err = batch(guest, gfn, nr, range);
		put_p2m_range(&guest->lock, gfn, nr);
		if (err)
			break;
	}
	set_active_memcg(old);
	return range->next > range->gfn ? 0 : err;
}
