// SPDX-License-Identifier: GPL-2.0
/*
 * Discard: nobody needs the contents of frames any more.
 *
 *	 any type ----> (nothing)
 *	          ----> pod		if the frame takes from the pool, which
 *					gets the page back
 *
 * The next touch finds a zero page.  So for log-dirty a discard is a write.
 *
 * Others may reference the page: a foreign mapping, or a device that does I/O.
 * They keep it, with its contents, and the frame gets another page when it is
 * touched.  That is so for a hole in any file.
 *
 * A part of a page of 2 MB cannot be freed.  So if less than its chunk is
 * discarded, the page is made 512 pages first.  If that is not possible, since
 * somebody references it, the frames are filled with zeros, and keep their
 * memory.
 */

#include <linux/highmem.h>

#include "dirty.h"
#include "discard.h"
#include "huge.h"
#include "page.h"
#include "pager.h"
#include "pod.h"
#include "store.h"
#include "walk.h"
#include "zero.h"

static bool p2m_discard_is_past_end(struct p2m_guest *guest, unsigned long gfn)
{
	return gfn >= atomic_long_read(&guest->gfns);
}

/* Has an entry something to discard?  Past the end of the guest, anything. */
static bool p2m_discard_is_due(struct p2m_guest *guest, unsigned long gfn,
			       struct p2m_entry entry)
{
	return !p2m_type_is_hole(p2m_entry_type(entry)) ||
	       (entry.val && p2m_discard_is_past_end(guest, gfn));
}

/*
 * Nobody maps the page of an entry, and no fault is about to.  Free what the
 * entry has.
 */
static void p2m_discard_entry(struct p2m_guest *guest, unsigned long gfn,
			      struct p2m_entry entry)
{
	const struct p2m_type_ops *ops = &p2m_type_ops[p2m_entry_type(entry)];
	/* Changes only while all is held. */
	bool pool = gfn < guest->pool.gfns;
	struct p2m_entry new;

	new = p2m_clean_entry(p2m_retype_entry(entry, pool ? p2m_pod :
							     p2m_mmio_dm));
	new.val &= ~P2M_Z;
	if (guest->log_dirty && !p2m_discard_is_past_end(guest, gfn))
		new = p2m_dirty_entry(new);
	p2m_change_entry(guest, gfn, new);

	/* The store stays when a frame goes, other than when its guest does. */
	if (p2m_entry_in_store(entry))
		p2m_store_free(guest, gfn);
	else if (ops->drop)
		ops->drop(guest, entry);
	if (pool)
		p2m_pool_give(&guest->pool, 1L << p2m_entry_order(entry));
	/* Past the end zeros may be mapped. */
	p2m_zero_unmap(guest, gfn, entry);
	/* Tasks may wait for its pager. */
	p2m_pager_cancel(guest, gfn);
}

/* No fault maps the pages of [gfn, end), in one chunk, from now on. */
static void p2m_discard_unmap(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long end)
{
	unsigned long first = gfn;
	struct p2m_entry entry;

	/* A shared page is never made writable without a hold. */
	p2m_for_each_entry(&guest->map, gfn, entry, end)
		if (p2m_entry_page(entry) &&
		    p2m_entry_type(entry) != p2m_shared)
			p2m_change_type(guest, gfn, p2m_taken);
	p2m_unmap(guest, first, end - first);
}

/*
 * The frames of [gfn, end) have parts of a large page, which has to stay: fill
 * these with zeros.
 */
static void p2m_discard_zero(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long end)
{
	struct p2m_entry entry;
	struct page *page;

	for (; gfn < end; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		page = p2m_entry_page_of(entry, gfn);
		if (p2m_page_is_poisoned(page))
			continue;
		clear_highpage(page);
		/* Cannot fail: while log-dirty is on, the entry is split. */
		p2m_dirty_mark(guest, gfn);
	}
}

/* Is it all of a chunk, and do all of its frames take from the pool, or none? */
static bool p2m_discard_is_whole(struct p2m_guest *guest, unsigned long gfn,
				 unsigned long nr)
{
	unsigned long pool = guest->pool.gfns;

	return nr == P2M_CHUNK_GFNS && (pool <= gfn || pool >= gfn + nr);
}

/**
 * p2m_discard_held() - discard frames
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 * @busy: gets the number of frames that were filled with zeros, and keep their
 * memory
 *
 * Context: process context, holding the frames; may sleep.
 * Return: how many frames had something that is free now.
 */
unsigned long p2m_discard_held(struct p2m_guest *guest, unsigned long gfn,
			       unsigned long nr, unsigned long *busy)
{
	unsigned long first = gfn, end = gfn + nr, done = 0;
	struct p2m_entry entry;

	*busy = 0;
	if (!p2m_discard_is_whole(guest, gfn, nr) && p2m_shatter(guest, gfn)) {
		p2m_discard_zero(guest, gfn, end);
		*busy = nr;
		return 0;
	}
	p2m_discard_unmap(guest, gfn, end);
	p2m_for_each_entry(&guest->map, gfn, entry, end) {
		if (!p2m_discard_is_due(guest, gfn, entry))
			continue;
		p2m_discard_entry(guest, gfn, entry);
		if (!p2m_type_is_hole(p2m_entry_type(entry)))
			done += 1UL << p2m_entry_order(entry);
	}
	this_cpu_add(guest->counters->discarded, done);
	/* If all of the chunk is gone, so is its table. */
	p2m_huge_merge(guest, first);
	return done;
}

static int p2m_discard_batch(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long nr, struct p2m_range *range)
{
	unsigned long busy;

	if (range->max)
		nr = min_t(u64, nr, range->max - range->done);
	range->done += p2m_discard_held(guest, gfn, nr, &busy);
	range->busy += busy;
	range->next = gfn + nr;
	this_cpu_add(guest->counters->busy, busy);
	return 0;
}

/* P2M_DISCARD */
int p2m_discard(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_CHUNK_GFNS, p2m_discard_batch);
}

/* Discard [gfn, end).  With @zeros, nobody goes on reading zeros there. */
static int p2m_discard_walk(struct p2m_guest *guest, unsigned long gfn,
			    unsigned long end, bool zeros)
{
	unsigned long next, busy;
	struct p2m_hold hold;
	int err;

	while (!(err = p2m_find_chunk(guest, &gfn, end)) && gfn < end) {
		next = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
		err = p2m_hold_wait(&hold, guest, gfn, next - gfn,
				    P2M_WAIT_KILLABLE);
		if (err)
			break;
		p2m_discard_held(guest, gfn, next - gfn, &busy);
		if (zeros)
			p2m_zero_forget_chunk(guest, gfn);
		p2m_unhold(&hold);
		this_cpu_add(guest->counters->busy, busy);
		gfn = next;
	}
	return err;
}

/**
 * p2m_discard_frames() - discard [gfn, end), as P2M_DISCARD does
 * @guest: the guest
 * @gfn: the first frame
 * @end: the end
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINTR on a fatal signal; -ENOMEM.
 */
int p2m_discard_frames(struct p2m_guest *guest, unsigned long gfn,
		       unsigned long end)
{
	return p2m_discard_walk(guest, gfn, end, false);
}

/* ---- The end of a guest ------------------------------------------- */

/*
 * Make 512 entries of the chunk that the new end cuts, and 512 pages of one,
 * so that a part of it can go.
 */
static int p2m_end_cut(struct p2m_guest *guest, unsigned long gfns)
{
	if (IS_ALIGNED(gfns, P2M_CHUNK_GFNS))
		return 0;
	return p2m_shatter(guest, gfns) ?: p2m_huge_split(guest, gfns);
}

/* Take the frames from @gfns on out of the guest, all of which is held. */
static int p2m_end_held(struct p2m_guest *guest, unsigned long gfns)
{
	struct p2m_pool *pool = &guest->pool;
	unsigned long gfn = gfns, next, busy;
	int err = p2m_end_cut(guest, gfns);

	if (err)
		return err;
	/* No touch makes anything there from now on. */
	atomic_long_set(&guest->gfns, gfns);
	WRITE_ONCE(pool->gfns, min(pool->gfns, gfns));
	while ((gfn = p2m_next_chunk(&guest->map, gfn, P2M_MAX_GFNS)) <
	       P2M_MAX_GFNS) {
		next = round_up(gfn + 1, P2M_CHUNK_GFNS);
		/* Once for the chunk, not for each frame of it. */
		p2m_zero_forget_chunk(guest, gfn);
		p2m_discard_held(guest, gfn, next - gfn, &busy);
		gfn = next;
		cond_resched();
	}
	atomic_long_set(&pool->populated,
			pool->gfns - p2m_map_count(&guest->map, p2m_pod));
	return 0;
}

static int p2m_end_at(struct p2m_guest *guest, unsigned long gfns,
		      enum p2m_wait wait)
{
	struct p2m_hold hold;
	int err;

	err = p2m_hold_wait(&hold, guest, 0, 0, wait);
	if (err)
		return err;
	err = p2m_end_held(guest, gfns);
	p2m_unhold(&hold);
	return err;
}

/**
 * p2m_discard_end() - make a guest smaller
 * @guest: the guest
 * @gfns: its new size in frames, not more than it has
 *
 * Most of it is discarded a chunk at a time, and only the rest while all is
 * held.  Nobody else changes the size meanwhile.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINTR on a fatal signal; -EBUSY if the new end is in a page of
 * 2 MB that somebody references; -ENOMEM.  After an error the guest has its
 * size, but chunks past the new end may have been discarded.
 */
int p2m_discard_end(struct p2m_guest *guest, unsigned long gfns)
{
	unsigned long old = atomic_long_read(&guest->gfns);
	int err;

	err = p2m_discard_walk(guest, round_up(gfns, P2M_CHUNK_GFNS),
			       round_up(old, P2M_CHUNK_GFNS), true);
	return err ?: p2m_end_at(guest, gfns, P2M_WAIT_KILLABLE);
}

/**
 * p2m_discard_new_end() - take back that a guest was made larger
 * @guest: the guest
 * @gfns: its size before, in frames
 *
 * There is little past that.
 *
 * Context: process context, holding nothing; may sleep; no signal ends it.
 * Return: 0; -EBUSY or -ENOMEM, as for p2m_discard_end().
 */
int p2m_discard_new_end(struct p2m_guest *guest, unsigned long gfns)
{
	return p2m_end_at(guest, gfns, P2M_WAIT);
}
