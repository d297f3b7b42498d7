// SPDX-License-Identifier: GPL-2.0
/*
 * Populate on demand: a guest with fewer pages than it has frames.
 *
 *	           set               populate: costs the pool a page
 *	 (nothing) ----> pod ------------------------------------------> ram_rw
 *	                  ^  ^                                             |  |
 *	                  |  '--------- sweep: it is all zero -------------'  |
 *	                  |             gives the page back to the pool       |
 *	                  |                                                   |
 *	                  '-- sweep -- logdirty <-----------------------------'
 *
 * The words are Xen's.  The pool is not a list of pages but an account: how
 * many frames may be populated (the target), and how many are.  P2M_POD_SET
 * fixes the frames of the account, [0, gfns).  Each of them is either of type
 * pod or populated.  A populated frame may be shared or in the store: that does
 * not matter to the account.  So only populate, and a clone, take from the pool;
 * only a sweep, and a discard, give back.  At any time populated + entries of
 * type pod = gfns.
 *
 * A chunk that is all pod is one entry of 2 MB, so that it can get a page of 2
 * MB.  If there is no such page, or not enough in the pool, the entry is split.
 *
 * WHEN THE POOL IS EMPTY, a touch looks for zero pages by itself.  In Xen it
 * does so while it holds its frame, and takes locks of other frames inside the
 * PoD lock.  That is right only because all these are one lock.  Here a touch
 * first puts its frame, then holds a chunk at a time, and then starts again.  A
 * task that waits holds nothing of the range lock, so there is no cycle.  And
 * because it waits, it does not miss pages that another task holds, which may
 * be looking as well.
 */

#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "huge.h"
#include "page.h"
#include "pod.h"
#include "walk.h"

/*
 * A sweep makes 512 pages of one of 2 MB only for so many zero frames; for a
 * single one, if a touch would be refused without it.
 */
#define P2M_POD_WORTH	64

/* Chunks in which a touch looks for zero pages */
#define P2M_POD_LOOK	512

/*
 * After so many looks at all of the guest that found nothing, the next look
 * waits; each further one twice as long, up to a limit.  In jiffies.
 */
#define P2M_POD_AT_ONCE		2
#define P2M_POD_PAUSE		(HZ / 50 ?: 1)
#define P2M_POD_PAUSE_MAX	HZ

/* ---- The account -------------------------------------------------- */

/**
 * p2m_pool_init() - make a pool that no frame takes from
 * @pool: the pool
 *
 * Context: any.
 */
void p2m_pool_init(struct p2m_pool *pool)
{
	mutex_init(&pool->looking);
}

/**
 * p2m_pool_take() - take pages for frames, if there are so many
 * @pool: the pool
 * @nr: how many
 *
 * Context: holding frames of the guest.
 * Return: whether there were; for p2m_pool_give().
 */
bool p2m_pool_take(struct p2m_pool *pool, long nr)
{
	/* It changes only while all is held, and we hold something. */
	long target = atomic_long_read(&pool->target);
	long old = atomic_long_read(&pool->populated);

	do {
		if (old + nr > target)
			return false;
	} while (!atomic_long_try_cmpxchg(&pool->populated, &old, old + nr));
	return true;
}

/**
 * p2m_pool_give() - frames have given their pages back
 * @pool: the pool
 * @nr: how many
 *
 * Context: any.
 */
void p2m_pool_give(struct p2m_pool *pool, long nr)
{
	atomic_long_sub(nr, &pool->populated);
	atomic_long_inc(&pool->given);
}

static bool p2m_pool_empty(struct p2m_pool *pool)
{
	return atomic_long_read(&pool->populated) >=
	       atomic_long_read(&pool->target);
}

/**
 * p2m_pod_audit() - does the account agree with the map?
 * @guest: the guest
 *
 * Context: process context, holding all of the guest.
 * Return: how many things are wrong.
 */
unsigned int p2m_pod_audit(struct p2m_guest *guest)
{
	struct p2m_pool *pool = &guest->pool;
	long populated = atomic_long_read(&pool->populated);
	unsigned long entries = p2m_map_count(&guest->map, p2m_pod);
	unsigned int errors = 0;

	errors += populated < 0;
	errors += populated + entries != READ_ONCE(pool->gfns);
	errors += pool->gfns > atomic_long_read(&guest->gfns);
	return errors;
}

/* ---- Populate ----------------------------------------------------- */

/* Give an entry of type pod and this order a zero page. */
static int p2m_pod_put(struct p2m_guest *guest, unsigned long gfn,
		       unsigned int order, struct vm_fault *vmf)
{
	struct page *page;

	if (order)
		page = p2m_huge_alloc(__GFP_ZERO, vmf, NUMA_NO_NODE);
	else
		page = p2m_page_alloc(__GFP_ZERO, vmf, NUMA_NO_NODE);
	if (!page)
		return -ENOMEM;
	if (!order)
		__SetPageUptodate(page);
	p2m_set_ram(guest, gfn, page);
	this_cpu_add(guest->counters->pod_populated, 1UL << order);
	return 0;
}

static int p2m_pod_populate_order(struct p2m_guest *guest, unsigned long gfn,
				  unsigned int order, struct vm_fault *vmf)
{
	int err = 0;

	if (!p2m_pool_take(&guest->pool, 1L << order))
		return -ENOSPC;
	if (!order)
		err = p2m_huge_split(guest, gfn);
	if (!err)
		err = p2m_pod_put(guest, gfn, order, vmf);
	if (err)
		p2m_pool_give(&guest->pool, 1L << order);
	return err;
}

/**
 * p2m_pod_populate() - give a frame of type pod a zero page
 * @guest: the guest
 * @gfn: the frame
 * @huge: the page may be 2 MB
 * @vmf: the touch, or NULL
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn has a page; -ENOSPC if the pool is empty: see
 * p2m_pod_make_room(); -ENOMEM.  After an error @gfn is of type pod.
 */
int p2m_pod_populate(struct p2m_guest *guest, unsigned long gfn, bool huge,
		     struct vm_fault *vmf)
{
	lockdep_assert_p2m_held(&guest->lock, gfn, 0);
	if (huge && p2m_entry_order(p2m_get_entry(&guest->map, gfn)) &&
	    !p2m_pod_populate_order(guest, gfn, P2M_2M, vmf))
		return 0;
	return p2m_pod_populate_order(guest, gfn, P2M_4K, vmf);
}

/* ---- Sweep -------------------------------------------------------- */

/* Has a frame a zero page?  At a glance: the guest may write to it. */
static bool p2m_pod_is_zero(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	return p2m_is_ram(entry) &&
	       p2m_page_is_zero(p2m_entry_page_of(entry, gfn));
}

static unsigned int p2m_pod_count_zero(struct p2m_guest *guest,
				       unsigned long gfn, unsigned long nr)
{
	unsigned long end = gfn + nr;
	unsigned int zero = 0;

	for (; gfn < end; gfn++)
		zero += p2m_pod_is_zero(guest, gfn);
	return zero;
}

/*
 * Give the page of an entry, which is taken, back to the pool if it is zero.
 * Only now nobody can write to it.  Returns how many frames that is.
 */
static unsigned long p2m_pod_give_page(struct p2m_guest *guest,
				       unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	unsigned int i, order = p2m_entry_order(entry);
	struct page *page = p2m_entry_page(entry);

	for (i = 0; i < 1U << order; i++)
		if (!p2m_page_is_zero(page + i))
			return 0;
	p2m_change_entry(guest, gfn, p2m_retype_entry(entry, p2m_pod));
	p2m_pages_free(page, order);
	p2m_pool_give(&guest->pool, 1L << order);
	this_cpu_add(guest->counters->pod_swept, 1UL << order);
	return 1UL << order;
}

/*
 * Give the pages of the @nr frames that were picked back to the pool, if nobody
 * else references them and they are zero.
 */
static void p2m_pod_give_pages(struct p2m_guest *guest, unsigned long gfn,
			       unsigned long end, unsigned long nr,
			       struct p2m_range *range)
{
	unsigned long first = gfn;
	struct p2m_entry entry;

	range->busy += nr - p2m_take(guest, gfn, end - gfn);
	p2m_for_each_entry(&guest->map, gfn, entry, end)
		if (p2m_entry_type(entry) == p2m_taken)
			range->done += p2m_pod_give_page(guest, gfn);
	p2m_give_back(guest, first, end - first);
}

/* Sweep a chunk with one entry and a page of 2 MB, which is zero. */
static void p2m_pod_sweep_large(struct p2m_guest *guest, unsigned long gfn,
				struct p2m_range *range)
{
	if (p2m_pick(guest, gfn))
		p2m_pod_give_pages(guest, gfn, gfn + P2M_CHUNK_GFNS,
				   P2M_CHUNK_GFNS, range);
	else
		range->busy += P2M_CHUNK_GFNS;
}

/* Sweep frames with pages of their own.  Returns where it stopped. */
static unsigned long p2m_pod_sweep_small(struct p2m_guest *guest,
					 unsigned long gfn, unsigned long end,
					 struct p2m_range *range)
{
	unsigned long first = gfn, picked = 0;

	for (; gfn < end; gfn++) {
		if (range->max && range->done + picked == range->max)
			break;
		if (!p2m_pod_is_zero(guest, gfn))
			continue;
		if (p2m_pick(guest, gfn))
			picked++;
		else
			range->busy++;
	}
	p2m_pod_give_pages(guest, first, gfn, picked, range);
	return gfn;
}

/* Make a chunk that is all pod, and all equally dirty, one entry. */
static void p2m_pod_merge(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	if (p2m_entry_type(entry) == p2m_pod)
		p2m_huge_merge(guest, gfn);
}

/*
 * Sweep the part of a chunk, which is held, that takes from the pool.  A page
 * of 2 MB that is not all zero becomes 512 pages if @worth frames of it are
 * zero.
 */
static int p2m_pod_sweep_pages(struct p2m_guest *guest, unsigned long gfn,
			       unsigned long nr, struct p2m_range *range,
			       unsigned int worth)
{
	unsigned int zero = p2m_pod_count_zero(guest, gfn, nr);
	int err = 0;

	range->next = gfn + nr;
	if (!zero)
		return 0;
	if (zero == P2M_CHUNK_GFNS &&
	    p2m_entry_order(p2m_get_entry(&guest->map, gfn)) &&
	    (!range->max || range->max - range->done >= P2M_CHUNK_GFNS)) {
		p2m_pod_sweep_large(guest, gfn, range);
		return 0;
	}
	if (p2m_huge_is_there(guest, gfn)) {
		if (zero < worth)
			return 0;
		err = p2m_shatter(guest, gfn);
	}
	if (err == -EBUSY)
		range->busy += zero;
	else if (err)
		range->next = gfn;
	else
		range->next = p2m_pod_sweep_small(guest, gfn, gfn + nr, range);
	return err == -EBUSY ? 0 : err;
}

static int p2m_pod_sweep_part(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range,
			      unsigned int worth)
{
	int err = p2m_pod_sweep_pages(guest, gfn, nr, range, worth);

	/*
	 * Even if nothing was taken: the frames may be equally dirty only now.
	 */
	p2m_pod_merge(guest, gfn);
	return err;
}

static int p2m_pod_sweep_chunk(struct p2m_guest *guest, unsigned long gfn,
			       unsigned long nr, struct p2m_range *range)
{
	/* Changes only while all is held. */
	unsigned long gfns = guest->pool.gfns;
	unsigned int busy = range->busy;
	int err = 0;

	if (gfn < gfns)
		err = p2m_pod_sweep_part(guest, gfn, min(nr, gfns - gfn), range,
					 P2M_POD_WORTH);
	else
		range->next = gfn + nr;
	this_cpu_add(guest->counters->busy, range->busy - busy);
	return err;
}

/* P2M_POD_SWEEP */
int p2m_pod_sweep(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_CHUNK_GFNS, p2m_pod_sweep_chunk);
}

/* ---- When the pool is empty --------------------------------------- */

/* Has the chunk pages?  At a glance. */
static bool p2m_pod_chunk_has_page(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_lookup(&guest->map, gfn);

	return !p2m_entry_order(entry) || p2m_entry_page(entry);
}

/* Sweep one chunk; here a single zero frame is worth it. */
static int p2m_pod_look_into(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long nr)
{
	struct p2m_range range = {};
	struct p2m_hold hold;
	int err;

	err = p2m_hold_wait(&hold, guest, gfn, nr, P2M_WAIT_KILLABLE);
	if (err)
		return err;
	/* The guest may have got smaller. */
	nr = gfn < guest->pool.gfns ? min(nr, guest->pool.gfns - gfn) : 0;
	/* If there is no memory to shatter this chunk, another may do. */
	if (nr)
		p2m_pod_sweep_part(guest, gfn, nr, &range, 1);
	p2m_unhold(&hold);
	return 0;
}

/*
 * Look for zero pages until there is something in the pool.  Go on where the
 * last look stopped: so this does not meet pages that were populated just now
 * and are about to be written.
 */
static int p2m_pod_look(struct p2m_guest *guest)
{
	struct p2m_pool *pool = &guest->pool;
	unsigned long gfns = READ_ONCE(pool->gfns);
	unsigned int looked = 0;
	unsigned long passed, gfn;
	int err;

	for (passed = 0; passed < gfns; passed += P2M_CHUNK_GFNS) {
		if (!p2m_pool_empty(pool) || looked == P2M_POD_LOOK)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		gfn = pool->hand < gfns ? pool->hand : 0;
		pool->hand = gfn + P2M_CHUNK_GFNS;
		pool->passed += P2M_CHUNK_GFNS;
		if (!p2m_pod_chunk_has_page(guest, gfn))
			continue;
		err = p2m_pod_look_into(guest, gfn,
					min(P2M_CHUNK_GFNS, gfns - gfn));
		if (err)
			return err;
		looked++;
		p2m_count_event(guest, pod_looked);
	}
	return 0;
}

/*
 * A look has ended, and nothing came into the pool meanwhile.  If all of the
 * guest has been looked at by now, looking again at once is of no use.
 */
static void p2m_pod_was_fruitless(struct p2m_pool *pool)
{
	unsigned long pause;

	if (pool->passed < READ_ONCE(pool->gfns))
		return;
	pool->passed = 0;
	pool->fruitless++;
	pause = pool->fruitless < P2M_POD_AT_ONCE ? 0 :
		P2M_POD_PAUSE << min(pool->fruitless - P2M_POD_AT_ONCE, 31U);
	pause = min_t(unsigned long, pause, P2M_POD_PAUSE_MAX);
	/* The present jiffy has begun already. */
	pool->again = jiffies + pause + 1;
}

/*
 * Look, unless that was of no use a moment ago.  There is no room only if
 * nothing came into the pool meanwhile: if something came, another task may
 * have taken it for a page that is still zero.
 */
static int p2m_pod_look_if_useful(struct p2m_guest *guest)
{
	struct p2m_pool *pool = &guest->pool;
	long given = atomic_long_read(&pool->given);
	int err;

	if (given != pool->known) {
		pool->known = given;
		pool->passed = 0;
		pool->fruitless = 0;
	} else if (pool->fruitless >= P2M_POD_AT_ONCE &&
		   time_before(jiffies, pool->again)) {
		return -ENOSPC;
	}
	err = p2m_pod_look(guest);
	if (err || atomic_long_read(&pool->given) != given ||
	    !p2m_pool_empty(pool))
		return err;
	p2m_pod_was_fruitless(pool);
	return -ENOSPC;
}

/* One task looks, and the others wait for what it finds. */
static int p2m_pod_find_room(struct p2m_guest *guest)
{
	struct p2m_pool *pool = &guest->pool;
	int err;

	err = mutex_lock_killable(&pool->looking);
	if (err)
		return err;
	err = p2m_pod_look_if_useful(guest);
	mutex_unlock(&pool->looking);
	return err;
}

/**
 * p2m_pod_make_room() - get something into the pool
 * @guest: the guest
 *
 * When this returns, another task may have taken it: then the caller tries
 * again.
 *
 * Context: process context, holding nothing, but maybe mmap_lock; may sleep.
 * Return: 0; -ENOSPC if the pool is empty and no zero page was found; -EINTR on
 * a fatal signal.
 */
int p2m_pod_make_room(struct p2m_guest *guest)
{
	int err = p2m_pod_find_room(guest);

	if (err == -ENOSPC)
		p2m_count_event(guest, pod_exhausted);
	return err;
}

/* The value that stands for a touch by the current task; never 0. */
static unsigned long p2m_pod_touch(struct p2m_guest *guest, unsigned long gfn)
{
	long given = atomic_long_read(&guest->pool.given);

	return ((unsigned long)current ^ hash_long(gfn, BITS_PER_LONG) ^
		hash_long(~given, BITS_PER_LONG)) | 1;
}

static unsigned long *p2m_pod_slot(struct p2m_guest *guest)
{
	return &guest->pool.refused[hash_ptr(current, ilog2(P2M_POD_REFUSED))];
}

/**
 * p2m_pod_make_room_for() - p2m_pod_make_room() for a touch that will be made
 * again
 * @guest: the guest
 * @gfn: the frame that the current task touched
 *
 * A fault that has dropped mmap_lock cannot be refused.  So if there is no
 * room, the pool remembers it until the fault comes again, for
 * p2m_pod_refused().  If another touch takes its place there, the fault looks
 * for room again.
 *
 * Context: process context, holding nothing; may sleep.
 */
void p2m_pod_make_room_for(struct p2m_guest *guest, unsigned long gfn)
{
	if (p2m_pod_find_room(guest) == -ENOSPC)
		WRITE_ONCE(*p2m_pod_slot(guest), p2m_pod_touch(guest, gfn));
}

/**
 * p2m_pod_refused() - was there no room for this touch when it came before?
 * @guest: the guest
 * @gfn: the frame that the current task touched
 *
 * Context: any.
 * Return: true if p2m_pod_make_room_for() found none, and nothing has come into
 * the pool since.  The pool forgets it then.
 */
bool p2m_pod_refused(struct p2m_guest *guest, unsigned long gfn)
{
	unsigned long touch = p2m_pod_touch(guest, gfn);

	if (cmpxchg(p2m_pod_slot(guest), touch, 0) != touch)
		return false;
	p2m_count_event(guest, pod_exhausted);
	return true;
}

/* ---- Set and get -------------------------------------------------- */

/* Make empty frames of [gfn, end), in one chunk, type pod. */
static int p2m_pod_mark_chunk(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long end)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	int err = 0;

	if (p2m_entry_order(entry) || (end - gfn == P2M_CHUNK_GFNS &&
				       !p2m_has_chunk(guest, gfn))) {
		if (p2m_entry_type(entry) != p2m_mmio_dm)
			return 0;
		return p2m_set_entry(&guest->map, gfn, P2M_2M,
				     p2m_retype_entry(entry, p2m_pod));
	}
	for (; gfn < end && !err; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_mmio_dm)
			err = p2m_set_entry(&guest->map, gfn, P2M_4K,
					    p2m_retype_entry(entry, p2m_pod));
	}
	return err;
}

/* Undo p2m_pod_mark() of frames that are new in the account. */
static void p2m_pod_unmark(struct p2m_guest *guest, unsigned long gfn,
			   unsigned long end)
{
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, gfn, entry, end) {
		/* It has an entry of this order, so this cannot fail. */
		if (p2m_entry_type(entry) == p2m_pod)
			p2m_change_type(guest, gfn, p2m_mmio_dm);
		cond_resched();
	}
}

/* Make empty frames of [start, end) type pod; or change nothing. */
static int p2m_pod_mark(struct p2m_guest *guest, unsigned long start,
			unsigned long end)
{
	unsigned long next, gfn;
	int err;

	for (gfn = start; gfn < end; gfn = next) {
		next = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
		err = signal_pending(current) ? -EINTR :
		      p2m_pod_mark_chunk(guest, gfn, next);
		if (err) {
			p2m_pod_unmark(guest, start, next);
			return err;
		}
		cond_resched();
	}
	/*
	 * The chunk in which the guest ended before; only now, as nothing is
	 * undone.
	 */
	if (start < end)
		p2m_pod_merge(guest, start);
	return 0;
}

/* All is held. */
static int p2m_pod_set_held(struct p2m_guest *guest, struct p2m_pod *arg)
{
	struct p2m_pool *pool = &guest->pool;
	unsigned long gfns = atomic_long_read(&guest->gfns);
	unsigned long pods = p2m_map_count(&guest->map, p2m_pod);
	int err;

	if (!gfns)
		return -ERANGE;
	err = p2m_pod_mark(guest, pool->gfns, gfns);
	if (err)
		return err;
	pods = p2m_map_count(&guest->map, p2m_pod) - pods;
	atomic_long_add(gfns - pool->gfns - pods, &pool->populated);
	WRITE_ONCE(pool->gfns, gfns);
	atomic_long_set(&pool->target, arg->target);
	atomic_long_inc(&pool->given);
	p2m_pod_get(guest, arg);
	return 0;
}

/* P2M_POD_SET */
int p2m_pod_set(struct p2m_guest *guest, struct p2m_pod *arg)
{
	struct p2m_hold hold;
	int err;

	if (arg->target > P2M_MAX_GFNS)
		return -EINVAL;
	err = p2m_hold_all(&hold, guest);
	if (err)
		return err;
	err = p2m_pod_set_held(guest, arg);
	p2m_unhold(&hold);
	return err;
}

/* P2M_POD_GET */
void p2m_pod_get(struct p2m_guest *guest, struct p2m_pod *arg)
{
	struct p2m_pool *pool = &guest->pool;
	struct p2m_stats stats;

	p2m_guest_stats(guest, &stats);
	arg->target = atomic_long_read(&pool->target);
	arg->populated = atomic_long_read(&pool->populated);
	arg->entries = p2m_map_count(&guest->map, p2m_pod);
	arg->exhausted = stats.pod_exhausted;
}
