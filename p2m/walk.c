// SPDX-License-Identifier: GPL-2.0
/*
 * Frames that are held, while the guest's cgroup is charged for what the work
 * takes; and ranges from outside (any gfn, any number of frames), which are
 * worked on in batches.
 */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "walk.h"

/**
 * p2m_hold_wait() - hold frames, and charge the guest's cgroup from now on
 * @hold: for p2m_unhold()
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many; 0 for all of the guest
 * @wait: what to do when another task holds some of it
 *
 * What the lock takes is charged to this cgroup as well.
 *
 * Context: process context; may sleep.
 * Return: 0; or an error of get_p2m_range().
 */
int p2m_hold_wait(struct p2m_hold *hold, struct p2m_guest *guest,
		  unsigned long gfn, unsigned long nr, enum p2m_wait wait)
{
	int err;

	*hold = (struct p2m_hold){
		.guest = guest, .gfn = gfn, .nr = nr,
		.charged = set_active_memcg(guest->memcg),
	};
	if (nr)
		err = get_p2m_range(&guest->lock, gfn, nr, wait, 0);
	else
		err = get_p2m_all(&guest->lock, wait, 0);
	if (err)
		set_active_memcg(hold->charged);
	return err;
}

/**
 * p2m_hold_there() - p2m_hold() for one frame, if its chunk has entries
 * @hold: for p2m_unhold()
 * @guest: the guest
 * @gfn: the frame
 *
 * To hold frames without entries would cost memory, for any number of them.
 *
 * Context: process context; may sleep.
 * Return: as p2m_hold(); -ENOENT if the chunk has no entries.
 */
int p2m_hold_there(struct p2m_hold *hold, struct p2m_guest *guest,
		   unsigned long gfn)
{
	return p2m_has_chunk(guest, gfn) ? p2m_hold(hold, guest, gfn, 1) :
					   -ENOENT;
}

/**
 * p2m_unhold() - undo p2m_hold(), p2m_hold_all() or p2m_hold_wait()
 * @hold: the hold
 *
 * Context: the task that holds.
 */
void p2m_unhold(struct p2m_hold *hold)
{
	if (hold->nr)
		put_p2m_range(&hold->guest->lock, hold->gfn, hold->nr);
	else
		put_p2m_all(&hold->guest->lock);
	set_active_memcg(hold->charged);
}

/**
 * p2m_range_end() - check a range that came from outside
 * @guest: the guest
 * @gfn: its first frame
 * @nr: how many
 *
 * Context: any.
 * Return: the end of the range, at most the guest's; -EINVAL if @nr is 0 or the
 * range passes P2M_MAX_GFNS; -ERANGE if the guest ends before @gfn.
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

/* Frames that are searched at once for a chunk with entries: 512 GB */
#define P2M_LOOK	(1UL << 27)

/**
 * p2m_find_chunk() - go on to the next chunk that has entries
 * @guest: the guest
 * @gfn: in: where to start; out: the same if its chunk has entries; else the
 * first frame of the next chunk that has some; else @end
 * @end: where to stop
 *
 * A guest may have any size, and be empty.  So unlike p2m_next_chunk() this
 * lets other tasks run, and ends on a fatal signal.
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
 * p2m_find_there() - go on to the next entry of a chunk that has entries
 * @guest: the guest
 * @gfn: in: where to start; out: the first frame of @entry that is not before
 * that
 * @entry: out: its entry
 * @end: where to stop
 * @err: out: 0; -EINTR on a fatal signal
 *
 * Context: process context, holding the frames; may sleep.
 * Return: whether there is one before @end.
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
 * p2m_find_batch() - go on to the next batch of a chunk that has entries
 * @guest: the guest
 * @gfn: in: where to start; out: the first frame of the batch, or @end
 * @end: where to stop
 * @size: a batch ends at a multiple of this; a power of two, at most a chunk
 *
 * Context: process context, holding nothing; may sleep.
 * Return: how many frames the batch has; 0 at the end; -EINTR on a signal.
 */
long p2m_find_batch(struct p2m_guest *guest, u64 *gfn, unsigned long end,
		    unsigned int size)
{
	unsigned long next = *gfn;
	int err;

	err = signal_pending(current) ? -EINTR :
	      p2m_find_chunk(guest, &next, end);
	*gfn = next;
	if (err)
		return err;
	return min_t(unsigned long, end, round_up(next + 1, size)) - next;
}

/* Hold the batch of @nr frames at @range->next, and work on it. */
static int p2m_walk_batch(struct p2m_guest *guest, unsigned long nr,
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
 * @range: gets @next and @done, and stops at @max
 * @frame: what to do with a frame; returns 1 if it did something, 0 if there
 * was nothing to do, or -errno, which stops the walk before this frame
 *
 * Context: process context, holding the frames; may sleep.
 * Return: 0, or the error of @frame.
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
 * p2m_for_range() - work on the frames of a range, a batch at a time, holding
 * the batch
 * @guest: the guest
 * @range: the range, and what was done: see uapi/p2m.h
 * @size: a batch ends at a multiple of this; a power of two, at most a chunk
 * @batch: what to do with a batch.  It sets @range->next to the first frame
 * that it did not look at; it may stop before the batch's end because of
 * @range->max.
 *
 * Chunks without entries are passed over.  If some of the range was looked at,
 * an error is left for the next call to find.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINVAL, -ERANGE, -EINTR, -ENOMEM, or the error of @batch.
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
			err = p2m_walk_batch(guest, nr, range, batch);
	}
	return range->next > range->gfn ? 0 : err;
}
