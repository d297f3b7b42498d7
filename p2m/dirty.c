// SPDX-License-Identifier: GPL-2.0
/*
 * Log-dirty: which frames were written since somebody last looked.
 *
 *	            START                      write
 *	 ram_rw ------------> logdirty ----------------------> ram_rw, D
 *	  ^  ^                 |    ^                           |    |
 *	  |  '-----------------'    '---------------------------'    |
 *	  |         STOP                    GET with CLEAN           |
 *	  '----------------------------------------------------------'
 *	                            STOP
 *
 * The state is Xen's.  A frame is dirty if its entry has D; nothing else
 * remembers it.  D stays in the entry whatever else happens to the frame.  So a
 * dirty page that is paged out stays dirty, and comes back dirty.  While
 * log-dirty is on, a frame is mapped writable only if it is ram_rw with D.
 *
 * START, STOP and CLEAN of everything hold all of the guest; CLEAN of a part
 * holds that part.  A task that is about to write meanwhile has the page
 * locked, so p2m_unmap() waits for it and zaps.  It faults again, for the next
 * round.
 *
 * A task that references a page, by GUP or a foreign mapping, may write to it
 * without a fault.  So if a page that was zapped has more references than the
 * map's, START makes it dirty and CLEAN leaves it dirty.  That reports too
 * much, but never too little.
 *
 * While log-dirty is on, no entry of 2 MB has a page.  START splits them, which
 * copies nothing.  STOP merges those that still have one page.  An entry of 2
 * MB without a page (pod) stays as it is: all of it is dirty, or all is clean.
 *
 * Log-dirty is on or off for the guest, whatever the types of frames: if it is
 * off, a frame that is still logdirty becomes ram_rw when it is written.  So
 * START and STOP, which go through all of the guest, may end early on a fatal
 * signal: then log-dirty is off, and the next START makes everything clean.
 */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dirty.h"
#include "huge.h"
#include "page.h"
#include "walk.h"

/* Frames that one call looks at, at most: a bitmap of 128 KB */
#define P2M_DIRTY_FRAMES	(1UL << 20)

/* Frames per unmapping: enough to make a zap worth it */
#define P2M_DIRTY_UNMAP		(1UL << 18)

/**
 * struct p2m_round - a look at the frames of a range, which is held
 * @guest: the guest
 * @gfn: the first frame
 * @end: the end
 * @base: the frame of the first bit of @bitmap
 * @bitmap: a bit for each dirty frame; NULL stands for all frames
 * @dirty: how many were dirty
 * @busy: how many stay dirty, because somebody references the page
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

/* Is the round about this frame? */
static bool p2m_round_has(struct p2m_round *round, unsigned long gfn)
{
	return !round->bitmap || test_bit(gfn - round->base, round->bitmap);
}

/*
 * Find the dirty frames.  If the round is to @clean, and only a part of an
 * entry of 2 MB is in the range, split it.  Returns 0, -ENOMEM or -EINTR.
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
			err = p2m_huge_split(guest, gfn);
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

/* From now on a frame becomes writable only by a fault that marks it dirty. */
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
 * A frame whose page somebody references is dirty again.  The frames are held
 * and not mapped, so there should be no reference but the map's.
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
 * Unmap the frames.  If the page of their chunk is a large one, unmap all of
 * the chunk: a process that maps any part of it has a reference to all of it.
 */
static int p2m_round_unmap(struct p2m_round *round)
{
	struct p2m_guest *guest = round->guest;
	unsigned long gfn = round->gfn, end = round->end, next;
	int err;

	if (p2m_huge_is_there(guest, gfn))
		gfn = round_down(gfn, P2M_CHUNK_GFNS);
	if (p2m_huge_is_there(guest, end - 1))
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

/* Make the frames of the round clean, unless somebody references their page. */
static int p2m_round_clean(struct p2m_round *round)
{
	int err;

	err = p2m_round_protect(round);
	err = err ?: p2m_round_unmap(round);
	return err ?: p2m_round_restore(round);
}

/* ---- On and off --------------------------------------------------- */

/*
 * Split all entries of 2 MB with a page, because log-dirty counts frames.
 * After an error @end is where this stopped.
 */
static int p2m_split_all(struct p2m_guest *guest, unsigned long *end)
{
	unsigned long gfn = 0;
	int err;

	p2m_for_each_chunk(guest, gfn, *end, err) {
		if (!p2m_entry_page(p2m_get_entry(&guest->map, gfn)))
			continue;
		err = p2m_huge_split(guest, gfn);
		if (err)
			break;
	}
	if (err)
		*end = gfn;
	return err;
}

/* Log-dirty is off: make the chunk clean, and one entry if possible. */
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
	p2m_huge_merge(guest, end - 1);
}

/* Undo p2m_split_all() up to @end. */
static void p2m_unsplit_all(struct p2m_guest *guest, unsigned long end)
{
	unsigned long gfn = 0;

	while ((gfn = p2m_next_chunk(&guest->map, gfn, end)) < end) {
		if (p2m_huge_is_there(guest, gfn))
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
	/* Read while all is held, so nothing is added after it. */
	round.end = atomic_long_read(&guest->gfns);
	err = p2m_split_all(guest, &round.end);
	if (!err) {
		/* Before the entries change: see p2m_may_write(). */
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
 * p2m_dirty_mark() - a frame is about to be written
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
		/* Left by a START or STOP that a signal ended. */
		if (p2m_entry_type(entry) == p2m_logdirty)
			p2m_change_type(guest, gfn, p2m_ram_rw);
		return 0;
	}
	if (p2m_ram_type(guest, entry) == p2m_ram_rw)
		return 0;
	err = p2m_huge_split(guest, gfn);
	if (err)
		return err;
	entry = p2m_retype_entry(p2m_get_entry(&guest->map, gfn), p2m_ram_rw);
	p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
	p2m_count_event(guest, dirtied);
	return 0;
}

/* ---- The bitmap --------------------------------------------------- */

static bool p2m_round_is_all(struct p2m_guest *guest, struct p2m_round *round)
{
	return !round->gfn && round->end == atomic_long_read(&guest->gfns);
}

/* Make a frame, which is held, dirty again. */
static void p2m_redirty_frame(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	unsigned long gfns = atomic_long_read(&guest->gfns);

	/* The guest may have got smaller. */
	if (p2m_entry_dirty(entry) || gfn >= gfns)
		return;
	/* The chunk had been discarded: all of it is dirty. */
	if (!p2m_has_chunk(guest, gfn) &&
	    round_up(gfn + 1, P2M_CHUNK_GFNS) <= gfns) {
		p2m_set_entry(&guest->map, round_down(gfn, P2M_CHUNK_GFNS),
			      P2M_2M, p2m_dirty_entry(entry));
		return;
	}
	/*
	 * Without memory to split, all of it is dirty: too much, but not too
	 * little.
	 */
	if (!p2m_huge_split(guest, gfn))
		entry = p2m_get_entry(&guest->map, gfn);
	if (p2m_entry_type(entry) == p2m_logdirty)
		entry = p2m_retype_entry(entry, p2m_ram_rw);
	p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
}

/*
 * Make those frames of [gfn, end), which is held, dirty again that have a bit
 * in @bitmap.  Its first bit is frame @base.
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

/* Do a round of frames that are held; after an error nothing has changed. */
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
 * Leave chunks without entries at both ends out of the round.  If all chunks
 * are such, @round->gfn is @round->end.  Entries that come there meanwhile are
 * for the next round; by then the lock has nodes for them.
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

/* Hold the range of the round, without such chunks, and do the round. */
static int p2m_dirty_hold_round(struct p2m_round *round, bool clean)
{
	bool all = p2m_round_is_all(round->guest, round);
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
 * The caller was not told that these frames were dirty: make them dirty again,
 * a chunk at a time.  The get cannot fail: the chunk has its node, and we hold
 * nothing.
 */
static void p2m_dirty_again(struct p2m_guest *guest, unsigned long base,
			    unsigned long nr, unsigned long *bitmap)
{
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	unsigned long gfn, next, end = base + nr;

	for (gfn = base; gfn < end; gfn = next) {
		next = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
		if (find_next_bit(bitmap, next - base, gfn - base) ==
		    next - base)
			continue;
		if (WARN_ON_ONCE(get_p2m_range(&guest->lock, gfn, next - gfn,
					       P2M_WAIT, 0)))
			continue;
		p2m_redirty(guest, gfn, next, base, bitmap);
		put_p2m_range(&guest->lock, gfn, next - gfn);
	}
	set_active_memcg(old);
}

/**
 * p2m_dirty_get() - the first half of P2M_DIRTY_GET
 * @guest: the guest
 * @arg: the argument of the call
 * @result: out: for p2m_dirty_got(), which the caller calls next
 *
 * The bits are collected while the range is held, and copied to the user
 * afterwards.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0, or an error in the manual of the call.
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

	/* Find a bad address now, and not after the frames were cleaned. */
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
 * p2m_dirty_got() - the second half of P2M_DIRTY_GET
 * @guest: the guest
 * @arg: as from p2m_dirty_get()
 * @result: as from p2m_dirty_get()
 * @told: whether the caller has the bitmap; if not, what was cleaned is dirty
 * again
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
