// SPDX-License-Identifier: GPL-2.0
/*
 * Frames that are worked on: held, with the guest's cgroup charged for what that
 * takes; and ranges from outside, any gfn and any number of frames, in batches.
 */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "walk.h"

static void p2m_hold_begin(struct p2m_hold *hold, struct p2m_guest *guest,
		     unsigned long gfn, unsigned long nr)
{
	*hold = (struct p2m_hold){
		.guest = guest, .gfn = gfn, .nr = nr,
		.charged = set_active_memcg(guest->memcg),
	};
}

/**
 * p2m_hold() - hold frames, and charge the guest's cgroup from now on
 * @hold: for p2m_unhold()
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many
 *
 * Context: process context; may sleep.
 * Return: 0; -EINTR on a signal; or what get_p2m_range_interruptible() returns.
 */
int p2m_hold(struct p2m_hold *hold, struct p2m_guest *guest, unsigned long gfn,
	     unsigned long nr)
{
	int err = get_p2m_range_interruptible(&guest->lock, gfn, nr);

	if (!err)
		p2m_hold_begin(hold, guest, gfn, nr);
	return err;
}

/**
 * p2m_hold_killable() - p2m_hold() that only a fatal signal ends
 * @hold: for p2m_unhold()
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many
 *
 * Context: process context; may sleep.
 * Return: 0; -EINTR on a fatal signal; or what get_p2m_range_killable() returns.
 */
int p2m_hold_killable(struct p2m_hold *hold, struct p2m_guest *guest,
		      unsigned long gfn, unsigned long nr)
{
	int err = get_p2m_range_killable(&guest->lock, gfn, nr);

	if (!err)
		p2m_hold_begin(hold, guest, gfn, nr);
	return err;
}

/**
 * p2m_hold_all() - p2m_hold() for all of a guest
 * @hold: for p2m_unhold()
 * @guest: the guest
 *
 * Context: process context; may sleep.
 * Return: 0; -EINTR on a signal; or what get_p2m_all_interruptible() returns.
 */
int p2m_hold_all(struct p2m_hold *hold, struct p2m_guest *guest)
{
	int err = get_p2m_all_interruptible(&guest->lock);

	if (!err)
		p2m_hold_begin(hold, guest, 0, 0);
	return err;
}

/**
 * p2m_unhold() - undo p2m_hold() or p2m_hold_all()
 * @hold: as from there
 *
 * Context: the task that holds.
 */
void p2m_unhold(struct p2m_hold *hold)
{
	set_active_memcg(hold->charged);
	if (hold->nr)
		put_p2m_range(&hold->guest->lock, hold->gfn, hold->nr);
	else
		put_p2m_all(&hold->guest->lock);
}

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
 * p2m_find_there() - go on to the next entry in a chunk of which the map says something
 * @guest: the guest
 * @gfn: in: where to start; out: the first frame of @entry that is not before that
 * @entry: out: its entry
 * @end: where to stop
 * @err: out: 0; -EINTR on a fatal signal
 *
 * Context: process context, holding the frames; may sleep.
 * Return: is there one before @end?
 */
bool p2m_find_there(struct p2m_guest *guest, unsigned long *gfn,
		    struct p2m_entry *entry, unsigned long end, int *err)
{
	*err = IS_ALIGNED(*gfn, P2M_CHUNK_GFNS) ?
	       p2m_find_chunk(guest, gfn, end) : 0;
	if (*err || *gfn >= end)
		return false;
	*entry = p2m_get_entry(&guest->map, *gfn);
	return true;
}

/**
 * p2m_find_batch() - go on to the next batch of which the map says something
 * @guest: the guest
 * @gfn: in: where to start; out: the first frame of the batch, or @end
 * @end: where to stop
 * @size: frames in a batch, which is aligned to as many; a power of two, and not
 * more than a chunk
 *
 * Context: process context, holding nothing; may sleep.
 * Return: how many frames are in the batch; 0 if there is none; -EINTR on a signal.
 */
long p2m_find_batch(struct p2m_guest *guest, u64 *gfn, unsigned long end,
		    unsigned int size)
{
	unsigned long stop;

	do {
		cond_resched();
		if (signal_pending(current))
			return -EINTR;
		stop = min_t(unsigned long, end, round_up(*gfn + 1, P2M_LOOK));
		*gfn = p2m_next_chunk(&guest->map, *gfn, stop);
	} while (*gfn == stop && stop < end);
	return min_t(unsigned long, end, round_up(*gfn + 1, size)) - *gfn;
}

/* Do what is to be done with the batch of @nr frames at @range->next, held. */
static int p2m_do_batch(struct p2m_guest *guest, unsigned long nr,
			struct p2m_range *range, p2m_batch_fn batch)
{
	struct p2m_hold hold;
	int err;

	err = p2m_hold(&hold, guest, range->next, nr);
	if (err)
		return err;
	err = batch(guest, range->next, nr, range);
	p2m_unhold(&hold);
	return err;
}

/**
 * p2m_for_frames() - work on the frames of a batch, one by one
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many
 * @range: is not to get more than @max of @done; @next is set
 * @frame: what to do with a frame and its entry.  It returns 1 if it did something, 0
 * if there was nothing to do, and -errno, if the frame is to be the next one.
 *
 * Context: process context, holding the frames; may sleep.
 * Return: 0, or what @frame returned.
 */
int p2m_for_frames(struct p2m_guest *guest, unsigned long gfn, unsigned long nr,
		   struct p2m_range *range, p2m_frame_fn frame)
{
	unsigned long end = gfn + nr;
	int ret = 0;

	for (; gfn < end; gfn++) {
		if (range->max && range->done == range->max)
			break;
		ret = frame(guest, gfn, p2m_get_entry(&guest->map, gfn));
		if (ret < 0)
			break;
		range->done += ret;
	}
	range->next = gfn;
	return min(ret, 0);
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
	long end = p2m_range_end(guest, range->gfn, range->nr);
	int err = 0;
	long nr;

	if (end < 0)
		return end;
	range->next = range->gfn;
	range->done = 0;
	range->busy = 0;

	while (!err && range->next < end &&
	       !(range->max && range->done >= range->max)) {
		nr = p2m_find_batch(guest, &range->next, end, size);
		if (nr <= 0)
			err = nr;
		else
			err = p2m_do_batch(guest, nr, range, batch);
	}
	return range->next > range->gfn ? 0 : err;
}
