// SPDX-License-Identifier: GPL-2.0
/*
 * Log-dirty: which frames were written to since somebody last looked.
 *
 *	            START                      write
 *	 ram_rw ------------> logdirty ----------------------> ram_rw, D
 *	  ^  ^                 |    ^                           |    |
 *	  |  '-----------------'    '---------------------------'    |
 *	  |         STOP                    GET with CLEAN           |
 *	  '----------------------------------------------------------'
 *	                            STOP
 *
 * The state is Xen's.  A frame is dirty if its entry has D, and nothing else
 * remembers: D stays in the entry whatever else becomes of the frame, so a page
 * that is paged out dirty is dirty, and comes back so.  While log-dirty is on, a
 * frame is mapped writable only if it is ram_rw with D.
 *
 * START, STOP and CLEAN of everything are under get_p2m_all(), CLEAN of a part
 * holds that part.  Who is about to write meanwhile is found by his page lock
 * and zapped, as p2m_unmap() has it, and faults again, for the next round.
 *
 * Who references a page, by GUP or a foreign mapping, may write to it and never
 * fault.  So a page with more references than the map's, after it was zapped, is
 * dirty at START, and stays dirty at CLEAN: too much is reported, but not too
 * little.
 *
 * There are no entries of 2 MB with a page while log-dirty is on.  START splits
 * them, which copies nothing, and STOP merges what is one page still.  What waits
 * for its page, by 2 MB, stays as it is: all of it is dirty, or all is clean.
 *
 * Log-dirty is on or off, whatever type a frame is: one that is logdirty while it
 * is off is ram_rw as soon as it is written to.  So a START and a STOP, which go
 * through all of the guest, can be cut short by a signal that kills: then there is
 * no log-dirty, and the next START makes everything clean.
 */

#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dirty.h"
#include "huge.h"
#include "page.h"
#include "pod.h"
#include "walk.h"

/* Frames that a call looks at, at most: a bitmap of 128 KB */
#define P2M_DIRTY_FRAMES	(1UL << 20)

/* Frames that are unmapped at once: so many that a zap of them is worth it. */
#define P2M_DIRTY_UNMAP		(1UL << 18)

/**
 * struct p2m_round - a look at the frames of a range, which is held
 * @guest: the guest
 * @gfn: the first frame
 * @end: where it ends
 * @base: the frame of the first bit of @bitmap
 * @bitmap: a bit for each that was dirty, or NULL for every one there is
 * @dirty: how many were dirty
 * @busy: how many stay so, because somebody references the page
 */
struct p2m_round {
	struct p2m_guest	*guest;
	unsigned long		gfn;
	unsigned long		end;
	unsigned long		base;
	unsigned long		*bitmap;
	u64			dirty;
	u64			busy;
};

/* Is this one of those that the round is about? */
static bool p2m_round_has(struct p2m_round *round, unsigned long gfn)
{
	return !round->bitmap || test_bit(gfn - round->base, round->bitmap);
}

/*
 * Find the dirty ones.  If they are to be @clean, and an entry of 2 MB has others
 * as well, it is split.  Returns 0, -ENOMEM or -EINTR.
 */
static int p2m_round_look(struct p2m_round *round, bool clean)
{
	struct p2m_guest *guest = round->guest;
	unsigned long nr, gfn = round->gfn;
	struct p2m_entry entry;
	int err;

	p2m_for_each_there(guest, gfn, entry, round->end, err) {
		if (!p2m_entry_dirty(entry))
			continue;
		nr = min(round->end, p2m_entry_end(gfn, entry)) - gfn;
		if (clean && nr < 1UL << p2m_entry_order(entry)) {
			err = p2m_split(guest, gfn);
			if (err)
				return err;
			entry = p2m_get_entry(&guest->map, gfn);
			nr = 1;
		}
		bitmap_set(round->bitmap, gfn - round->base, nr);
		round->dirty += nr;
	}
	return err;
}

/* From now on nobody makes them writable without being heard of. */
static int p2m_round_protect(struct p2m_round *round)
{
	struct p2m_guest *guest = round->guest;
	unsigned long gfn = round->gfn;
	struct p2m_entry entry;
	int err;

	p2m_for_each_there(guest, gfn, entry, round->end, err) {
		if (!p2m_round_has(round, gfn))
			continue;
		entry = p2m_clean_entry(entry);
		if (p2m_entry_type(entry) == p2m_ram_rw)
			entry = p2m_retype_entry(entry, p2m_logdirty);
		p2m_change_entry(guest, gfn, entry);
	}
	return err;
}

/*
 * The frames whose pages somebody references are dirty again.  None is mapped,
 * and all are held, so the references that should be there are the map's.
 */
static int p2m_round_restore(struct p2m_round *round)
{
	struct p2m_guest *guest = round->guest;
	unsigned long gfn = round->gfn;
	struct p2m_entry entry;
	int err;

	p2m_for_each_there(guest, gfn, entry, round->end, err) {
		if (p2m_entry_type(entry) != p2m_logdirty ||
		    !p2m_round_has(round, gfn) || p2m_page_is_last(entry))
			continue;
		entry = p2m_retype_entry(entry, p2m_ram_rw);
		p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
		round->busy++;
	}
	return err;
}

/*
 * Unmap them; and the rest of their chunk as well, if its page is a large one: a
 * process that maps a part of it has a reference to all of it.
 */
static int p2m_round_unmap(struct p2m_round *round)
{
	struct p2m_guest *guest = round->guest;
	unsigned long gfn = round->gfn, end = round->end, next;
	int err;

	if (p2m_is_large(guest, gfn))
		gfn = round_down(gfn, P2M_CHUNK_GFNS);
	if (p2m_is_large(guest, end - 1))
		end = round_up(end, P2M_CHUNK_GFNS);
	for (; gfn < end; gfn = next) {
		err = p2m_find_chunk(guest, &gfn, end);
		if (err || gfn == end)
			return err;
		next = min(end, round_up(gfn + 1, P2M_DIRTY_UNMAP));
		p2m_unmap(guest, gfn, next - gfn);
	}
	return 0;
}

/* Make clean what the round is about, but for what somebody references. */
static int p2m_round_clean(struct p2m_round *round)
{
	int err;

	err = p2m_round_protect(round);
	err = err ?: p2m_round_unmap(round);
	return err ?: p2m_round_restore(round);
}

/* ---- On and off --------------------------------------------------- */

/*
 * Log-dirty wants to hear of each frame that has a page.  After an error @end is
 * where it came to.
 */
static int p2m_split_all(struct p2m_guest *guest, unsigned long *end)
{
	unsigned long gfn = 0;
	int err;

	p2m_for_each_chunk(guest, gfn, *end, err) {
		if (!p2m_entry_page(p2m_get_entry(&guest->map, gfn)))
			continue;
		err = p2m_split(guest, gfn);
		if (err)
			break;
	}
	if (err)
		*end = gfn;
	return err;
}

/* Log-dirty is off, also for the chunk of @gfn: it may be one entry again. */
static void p2m_forget_chunk(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long end = gfn + P2M_CHUNK_GFNS;
	struct p2m_entry entry, old;

	p2m_for_each_entry(&guest->map, gfn, old, end) {
		entry = p2m_clean_entry(old);
		if (p2m_entry_type(entry) == p2m_logdirty)
			entry = p2m_retype_entry(entry, p2m_ram_rw);
		p2m_change_entry(guest, gfn, entry);
	}
	p2m_merge(guest, end - 1);
	p2m_pod_merge(guest, end - 1);
}

/* Undo p2m_split_all(), which came to @end. */
static void p2m_unsplit_all(struct p2m_guest *guest, unsigned long end)
{
	unsigned long gfn = 0;

	while ((gfn = p2m_next_chunk(&guest->map, gfn, end)) < end) {
		if (p2m_is_large(guest, gfn))
			p2m_forget_chunk(guest, gfn);
		gfn += P2M_CHUNK_GFNS;
		cond_resched();
	}
}

/* P2M_DIRTY_START.  After an error log-dirty is off, as before. */
int p2m_dirty_start(struct p2m_guest *guest)
{
	struct p2m_round round = { .guest = guest };
	struct p2m_hold hold;
	int err;

	err = p2m_hold_all(&hold, guest);
	if (err)
		return err;
	if (guest->log_dirty) {
		err = -EALREADY;
		goto out;
	}
	/* Read here: nothing comes to be while all is held. */
	round.end = atomic_long_read(&guest->gfns);
	err = p2m_split_all(guest, &round.end);
	if (!err) {
		/* Before the entries: see p2m_may_write(). */
		WRITE_ONCE(guest->log_dirty, true);
		err = p2m_round_clean(&round);
	}
	if (err) {
		WRITE_ONCE(guest->log_dirty, false);
		p2m_unsplit_all(guest, round.end);
	}
out:
	p2m_unhold(&hold);
	return err;
}

/* P2M_DIRTY_STOP.  What is mapped stays mapped as it is. */
int p2m_dirty_stop(struct p2m_guest *guest)
{
	unsigned long gfn = 0;
	struct p2m_hold hold;
	int err;

	err = p2m_hold_all(&hold, guest);
	if (err)
		return err;
	if (!guest->log_dirty) {
		err = -ENODATA;
		goto out;
	}
	WRITE_ONCE(guest->log_dirty, false);
	p2m_for_each_chunk(guest, gfn, P2M_MAX_GFNS, err)
		p2m_forget_chunk(guest, gfn);
out:
	p2m_unhold(&hold);
	return err;
}

/* ---- A write ------------------------------------------------------ */

/**
 * p2m_dirty_mark() - a frame is going to be written to
 * @guest: the guest
 * @gfn: the frame, ram_rw or logdirty
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn may be mapped writable; -ENOMEM.
 */
int p2m_dirty_mark(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	int err;

	if (!guest->log_dirty) {
		/* A STOP or START that was killed has left it so. */
		if (p2m_entry_type(entry) == p2m_logdirty)
			p2m_change_type(guest, gfn, p2m_ram_rw);
		return 0;
	}
	if (p2m_ram_type(guest, entry) == p2m_ram_rw)
		return 0;
	err = p2m_split(guest, gfn);
	if (err)
		return err;
	entry = p2m_retype_entry(p2m_get_entry(&guest->map, gfn), p2m_ram_rw);
	p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
	p2m_count_event(guest, dirtied);
	return 0;
}

/* ---- The bitmap --------------------------------------------------- */

static bool p2m_is_all(struct p2m_guest *guest, struct p2m_round *round)
{
	return !round->gfn && round->end == atomic_long_read(&guest->gfns);
}

/* A frame, which is held, was written to. */
static void p2m_redirty_frame(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (!entry.val || p2m_entry_dirty(entry))
		return;
	/* Without memory to split it, all of it was: too much, but not too little. */
	if (!p2m_split(guest, gfn))
		entry = p2m_get_entry(&guest->map, gfn);
	if (p2m_entry_type(entry) == p2m_logdirty)
		entry = p2m_retype_entry(entry, p2m_ram_rw);
	p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
}

/*
 * Those of [gfn, end), which are held, that have a bit in @bitmap, which begins with
 * frame @base, were written to.
 */
static void p2m_redirty(struct p2m_guest *guest, unsigned long gfn,
			unsigned long end, unsigned long base,
			unsigned long *bitmap)
{
	unsigned long bit = gfn - base;

	if (!guest->log_dirty)
		return;
	for_each_set_bit_from(bit, bitmap, end - base) {
		p2m_redirty_frame(guest, base + bit);
		cond_resched();
	}
}

/* Look at what is held and, if @clean, make it clean; or change nothing. */
static int p2m_dirty_round(struct p2m_round *round, bool clean)
{
	struct p2m_guest *guest = round->guest;
	int err;

	if (!guest->log_dirty)
		return -ENODATA;
	err = p2m_round_look(round, clean);
	if (err || !clean || !round->dirty)
		return err;
	err = p2m_round_clean(round);
	if (err)
		p2m_redirty(guest, round->gfn, round->end, round->base,
			    round->bitmap);
	return err;
}

/*
 * Leave out of the round what the map has nothing of at its two ends.  If it has
 * nothing at all, @round->gfn is @round->end.  What comes there meanwhile is for
 * the next round, and what the lock has for it is then there.
 */
static int p2m_round_trim(struct p2m_round *round)
{
	unsigned long gfn = round->gfn, end = round->end;
	int err;

	round->gfn = end;
	p2m_for_each_chunk(round->guest, gfn, end, err) {
		if (round->gfn == end)
			round->gfn = gfn;
		round->end = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
	}
	return err;
}

/* The same, holding it. */
static int p2m_dirty_hold_round(struct p2m_round *round, bool clean)
{
	bool all = p2m_is_all(round->guest, round);
	struct p2m_hold hold;
	int err;

	err = all ? 0 : p2m_round_trim(round);
	if (err || round->gfn == round->end)
		return err;
	err = all ? p2m_hold_all(&hold, round->guest) :
		    p2m_hold(&hold, round->guest, round->gfn,
			     round->end - round->gfn);
	if (err)
		return err;
	err = p2m_dirty_round(round, clean);
	p2m_unhold(&hold);
	return err;
}

/*
 * Somebody was to be told that these were dirty, and was not.  A chunk at a time,
 * which is got without fail: its lock is there, and the caller holds nothing.
 */
static void p2m_dirty_again(struct p2m_guest *guest, unsigned long base,
			    unsigned long nr, unsigned long *bitmap)
{
	unsigned long gfn, next, end = base + nr;

	for (gfn = base; gfn < end; gfn = next) {
		next = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
		if (find_next_bit(bitmap, next - base, gfn - base) ==
		    next - base)
			continue;
		if (WARN_ON_ONCE(get_p2m_range(&guest->lock, gfn, next - gfn)))
			continue;
		p2m_redirty(guest, gfn, next, base, bitmap);
		put_p2m_range(&guest->lock, gfn, next - gfn);
	}
}

/**
 * p2m_dirty_get() - say which frames were written to
 * @guest: the guest
 * @arg: which, and where to; uapi/p2m.h has what it means
 * @result: what p2m_dirty_got() needs
 *
 * No user memory is touched while holding anything: the bits are collected here,
 * and handed out afterwards.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINVAL, -ERANGE, -ENODATA, -ENOMEM, -EFAULT or -EINTR as
 * uapi/p2m.h has it.
 */
int p2m_dirty_get(struct p2m_guest *guest, struct p2m_dirty *arg,
		  struct p2m_dirty_result *result)
{
	void __user *to = u64_to_user_ptr(arg->bitmap);
	struct p2m_round round = {
		.guest = guest, .gfn = arg->gfn, .base = arg->gfn,
	};
	bool clean = arg->flags & P2M_DIRTY_CLEAN;
	long end = p2m_range_end(guest, arg->gfn, arg->nr);
	unsigned long nr;
	int err;

	if (end < 0)
		return end;
	if (!READ_ONCE(guest->log_dirty))
		return -ENODATA;
	nr = min_t(unsigned long, end - arg->gfn, P2M_DIRTY_FRAMES);
	round.end = arg->gfn + nr;
	round.bitmap = kvcalloc(BITS_TO_LONGS(nr), sizeof(long),
				GFP_KERNEL_ACCOUNT);
	if (!round.bitmap)
		return -ENOMEM;

	/* Better find out now than with the bits taken out of the map. */
	err = clear_user(to, DIV_ROUND_UP(nr, 8)) ? -EFAULT :
	      p2m_dirty_hold_round(&round, clean);
	*result = (struct p2m_dirty_result){ .bitmap = round.bitmap };
	arg->next = arg->gfn + nr;
	arg->dirty = round.dirty;
	arg->busy = round.busy;
	if (!err && copy_to_user(to, round.bitmap, DIV_ROUND_UP(nr, 8)))
		err = -EFAULT;
	else if (!err)
		return 0;
	p2m_dirty_got(guest, arg, result, false);
	return err;
}

/**
 * p2m_dirty_got() - the end of a p2m_dirty_get()
 * @guest: the guest
 * @arg: as from p2m_dirty_get()
 * @result: as from p2m_dirty_get()
 * @told: the caller has the bitmap, and knows it.  If not, what was made clean is
 * dirty again.
 *
 * Context: process context, holding nothing; may sleep.
 */
void p2m_dirty_got(struct p2m_guest *guest, struct p2m_dirty *arg,
		   struct p2m_dirty_result *result, bool told)
{
	if (!told && arg->flags & P2M_DIRTY_CLEAN)
		p2m_dirty_again(guest, arg->gfn, arg->next - arg->gfn,
				result->bitmap);
	kvfree(result->bitmap);
}
