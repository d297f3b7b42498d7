// SPDX-License-Identifier: GPL-2.0
/*
 * The sharing scan: find equal pages of a domain, and share them.
 *
 *	              hash seen nowhere
 *	 ram_rw  --------------------------> ram_rw, a candidate
 *	   |                                     |
 *	   | a shared page has this hash         | a second page has its hash:
 *	   | (or it is a zero page)              | nominate the candidate
 *	   |                                     v
 *	   '------------ compare --------->   shared
 *
 * As KSM does, a scan compares a page with pages that are shared already, which
 * do not change.  If none is equal, it remembers the page as a candidate in a
 * table of the domain.  A candidate is a hint: it may be out of date,
 * overwritten, or of a guest that is gone or has left the domain.  The first
 * zero page is nominated at once, because there will be more.
 *
 * A batch of frames is held while the scan looks at it.  If some frames of it
 * may be shared, they are unmapped in one go.  A candidate is nominated while
 * nothing else is held; then the batch is held again.  So there is never more
 * than one range held, and guests need no order.
 */

#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "guests.h"
#include "huge.h"
#include "page.h"
#include "sharing.h"
#include "sharing_scan.h"
#include "walk.h"

/* Places for a hash, in a set */
#define P2M_SEEN_WAYS		4
/* Sets for each frame: with fewer, a set gets full and loses a candidate */
#define P2M_SEEN_PER_FRAME	8
/* At most so many sets: 3 MB, enough for 512 MB of pages without an equal */
#define P2M_SEEN_MAX_BITS	15

/**
 * struct p2m_candidate - where a page with certain contents was seen
 * @guest: number of the guest
 * @gfn: the frame
 */
struct p2m_candidate {
	u64		guest;
	unsigned long	gfn;
};

/**
 * struct p2m_seen - a place in a domain's table of candidates
 * @hash: of the contents
 * @at: where they were; guest 0 if the place is empty
 *
 * A scan makes the table, and the table stays.  In a set, the newest comes
 * first.
 */
struct p2m_seen {
	u64			hash;
	struct p2m_candidate	at;
};

/**
 * struct p2m_scan_batch - a batch of frames
 * @guest: the guest
 * @domain: its domain when the scan looked at it
 * @gfn: the first frame
 * @nr: how many
 * @known: a bit for each frame for which there seems to be a shared page
 * @found: a bit for each frame for which there is a candidate
 * @zero: a bit for each frame in @known that is zero
 * @hash: of the contents of each frame in @known or @found
 * @candidate: for each frame in @found
 */
struct p2m_scan_batch {
	struct p2m_guest	*guest;
	struct p2m_domain	*domain;
	unsigned long		gfn;
	unsigned long		nr;
	u64			known;
	u64			found;
	u64			zero;
	u64			hash[P2M_BATCH];
	struct p2m_candidate	candidate[P2M_BATCH];
};

/* ---- Candidates --------------------------------------------------- */

/*
 * Make the table large enough for as many frames as a guest has.  A new table
 * is empty.
 */
static int p2m_seen_reserve(struct p2m_domain *domain, unsigned long gfns)
{
	unsigned int bits = min(order_base_2(gfns * P2M_SEEN_PER_FRAME),
				P2M_SEEN_MAX_BITS);
	struct p2m_seen *seen;

	if (READ_ONCE(domain->seen_bits) >= bits)
		return 0;
	/* Charged to a guest, which must not be killed for it. */
	seen = kvzalloc((sizeof(*seen) * P2M_SEEN_WAYS) << bits,
			GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN);
	if (!seen)
		return -ENOMEM;
	spin_lock(&domain->seen_lock);
	if (domain->seen_bits < bits) {
		swap(domain->seen, seen);
		WRITE_ONCE(domain->seen_bits, bits);
	}
	spin_unlock(&domain->seen_lock);
	kvfree(seen);
	return 0;
}

/* p2m_seen_before() for a set; the table is locked. */
static bool p2m_seen_in(struct p2m_seen *set, u64 hash,
			const struct p2m_candidate *here,
			struct p2m_candidate *where, bool force)
{
	bool before = false;
	unsigned int i;

	/* If the hash is in no other place, the last one is overwritten. */
	for (i = 0; i < P2M_SEEN_WAYS - 1; i++)
		if (set[i].at.guest && set[i].hash == hash)
			break;
	if (set[i].at.guest && set[i].hash == hash) {
		*where = set[i].at;
		before = !force && (where->guest != here->guest ||
				    where->gfn != here->gfn);
	}
	if (!before) {
		memmove(set + 1, set, i * sizeof(*set));
		set[0] = (struct p2m_seen){ .hash = hash, .at = *here };
	}
	return before;
}

/*
 * Was this hash seen elsewhere, and where?  If not, remember that it is @here.
 * With @force remember that even if it was.
 */
static bool p2m_seen_before(struct p2m_domain *domain, u64 hash,
			    const struct p2m_candidate *here,
			    struct p2m_candidate *where, bool force)
{
	bool before = false;
	unsigned long set;

	spin_lock(&domain->seen_lock);
	/*
	 * There is no table if the guest has joined this domain during the
	 * call.
	 */
	if (domain->seen) {
		set = hash_64(hash, domain->seen_bits) * P2M_SEEN_WAYS;
		before = p2m_seen_in(domain->seen + set, hash, here, where,
				     force);
	}
	spin_unlock(&domain->seen_lock);
	return before;
}

/*
 * Nominate a candidate, if it still has these contents and its guest is still
 * in the domain.  Returns -ENOENT or -EBUSY if that fails.
 */
static int p2m_scan_nominate(const struct p2m_candidate *candidate,
			     struct p2m_domain *domain, u64 hash)
{
	struct p2m_guest *guest = p2m_guest_find(candidate->guest);
	struct p2m_hold hold;
	int err;

	if (!guest)
		return -ENOENT;
	err = p2m_hold(&hold, guest, candidate->gfn, 1);
	if (!err) {
		err = guest->domain != domain ? -ENOENT :
		      p2m_share_nominate_held(guest, candidate->gfn, hash);
		p2m_unhold(&hold);
	}
	p2m_guest_put(guest);
	return err;
}

/*
 * Nominate the candidates that were found for a batch; nothing is held.  If
 * that succeeds, the frame's bit is set in @known.
 */
static int p2m_scan_nominate_found(struct p2m_scan_batch *batch)
{
	struct p2m_candidate here = { .guest = batch->guest->id }, *candidate;
	struct p2m_domain *domain = batch->domain;
	unsigned int i;
	int err;

	for (i = 0; i < batch->nr; i++) {
		if (!(batch->found & BIT_ULL(i)))
			continue;
		candidate = &batch->candidate[i];
		err = p2m_shared_known(domain, batch->hash[i]) ? 0 :
		      p2m_scan_nominate(candidate, domain, batch->hash[i]);
		if (!err) {
			batch->known |= BIT_ULL(i);
		} else if (err == -ENOENT || err == -EBUSY) {
			here.gfn = batch->gfn + i;
			p2m_seen_before(domain, batch->hash[i], &here,
					candidate, true);
		} else {
			return err;
		}
	}
	return 0;
}

/* ---- A batch ------------------------------------------------------ */

/* Look at a frame of a batch, which is held. */
static void p2m_scan_look_at(struct p2m_scan_batch *batch, unsigned int i)
{
	struct p2m_candidate here = { batch->guest->id, batch->gfn + i };
	struct p2m_entry entry = p2m_get_entry(&batch->guest->map, here.gfn);
	struct page *page = p2m_entry_page_of(entry, here.gfn);

	if (!p2m_is_ram(entry) || p2m_page_is_poisoned(page))
		return;
	if (p2m_page_is_zero(page)) {
		batch->hash[i] = batch->domain->zero_hash;
		batch->zero |= BIT_ULL(i);
		batch->known |= BIT_ULL(i);
		return;
	}
	batch->hash[i] = p2m_domain_hash(batch->domain, page);
	if (p2m_shared_known(batch->domain, batch->hash[i]))
		batch->known |= BIT_ULL(i);
	else if (p2m_seen_before(batch->domain, batch->hash[i], &here,
				 &batch->candidate[i], false))
		batch->found |= BIT_ULL(i);
}

/* Look at a batch, which is held, until @max frames of it may be merged. */
static void p2m_scan_look(struct p2m_scan_batch *batch, u64 max)
{
	unsigned int i;

	batch->known = 0;
	batch->found = 0;
	batch->zero = 0;
	for (i = 0; i < batch->nr; i++) {
		if (hweight64(batch->known | batch->found) == max)
			break;
		p2m_scan_look_at(batch, i);
	}
	batch->nr = i;
}

/* Count frames that cannot be merged, because somebody has their page. */
static void p2m_scan_busy(struct p2m_scan_batch *batch, struct p2m_scan *scan,
			  unsigned long nr)
{
	this_cpu_add(batch->guest->counters->busy, nr);
	scan->busy += nr;
}

/* Take the pages of the frames in @bits that still have one. How many? */
static unsigned long p2m_scan_take(struct p2m_scan_batch *batch, u64 bits,
				   struct p2m_scan *scan)
{
	unsigned long picked = 0, wanted = 0, taken;
	struct p2m_guest *guest = batch->guest;
	unsigned int i;

	for (i = 0; i < batch->nr; i++) {
		if (!(bits & BIT_ULL(i)) ||
		    !p2m_is_ram(p2m_get_entry(&guest->map, batch->gfn + i)))
			continue;
		wanted++;
		picked += p2m_pick(guest, batch->gfn + i);
	}
	taken = picked ? p2m_take(guest, batch->gfn, batch->nr) : 0;
	p2m_scan_busy(batch, scan, wanted - taken);
	return taken;
}

/* Merge a frame that is taken.  Returns 0, -ENOENT or -ENOMEM. */
static int p2m_scan_merge_frame(struct p2m_scan_batch *batch, unsigned int i,
				struct p2m_scan *scan)
{
	struct p2m_guest *guest = batch->guest;
	unsigned long gfn = batch->gfn + i;
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
	bool zero = batch->zero & BIT_ULL(i);
	int err;

	err = p2m_share_join(guest, gfn, batch->hash[i]);
	if (!err) {
		scan->done++;
		scan->zero += zero;
	} else if (err == -ENOENT && zero && p2m_page_is_zero(page)) {
		/* Other zero pages will be merged with this one. */
		err = p2m_share_taken(guest, gfn, batch->hash[i]);
	}
	return err;
}

/* Merge the frames in @bits of a batch, which is held, with shared pages. */
static int p2m_scan_merge_known(struct p2m_scan_batch *batch, u64 bits,
				struct p2m_scan *scan)
{
	struct p2m_guest *guest = batch->guest;
	struct p2m_entry entry;
	unsigned int i;
	int err;

	if (!bits)
		return 0;
	err = p2m_shatter(guest, batch->gfn);
	if (err == -EBUSY) {
		scan->busy += hweight64(bits);
		return 0;
	}
	if (err || !p2m_scan_take(batch, bits, scan))
		return err;
	for (i = 0; i < batch->nr; i++) {
		entry = p2m_get_entry(&guest->map, batch->gfn + i);
		if (p2m_entry_type(entry) != p2m_taken)
			continue;
		err = p2m_scan_merge_frame(batch, i, scan);
		if (err && err != -ENOENT)
			break;
		err = 0;
	}
	p2m_give_back(guest, batch->gfn, batch->nr);
	return err;
}

/* Merge the frames of a batch that have candidates; nothing is held. */
static int p2m_scan_merge_found(struct p2m_scan_batch *batch,
				struct p2m_scan *scan)
{
	struct p2m_hold hold;
	int err;

	batch->known = 0;
	err = p2m_scan_nominate_found(batch);
	if (err || !batch->known)
		return err;
	err = p2m_hold(&hold, batch->guest, batch->gfn, batch->nr);
	if (err)
		return err;
	/*
	 * If the guest has left the domain, what was found there does not
	 * count.
	 */
	if (batch->guest->domain == batch->domain)
		err = p2m_scan_merge_known(batch, batch->known, scan);
	p2m_unhold(&hold);
	return err;
}

/* Look at a batch, which is held, and merge what has a shared page. */
static int p2m_scan_held(struct p2m_scan_batch *batch, struct p2m_scan *scan)
{
	if (batch->domain->number == P2M_DOMAIN_NEVER)
		return -EPERM;
	p2m_scan_look(batch, scan->max ? scan->max - scan->done : U64_MAX);
	return p2m_scan_merge_known(batch, batch->known, scan);
}

/* Scan a batch; or only its beginning, because of @scan->max. */
static int p2m_scan_batch(struct p2m_scan_batch *batch, struct p2m_scan *scan)
{
	struct p2m_hold hold;
	int err;

	err = p2m_hold(&hold, batch->guest, batch->gfn, batch->nr);
	if (err)
		return err;
	/* The domain must stay, even if the guest leaves it. */
	batch->domain = batch->guest->domain;
	refcount_inc(&batch->domain->ref);
	err = p2m_scan_held(batch, scan);
	p2m_unhold(&hold);
	if (!err && batch->found)
		err = p2m_scan_merge_found(batch, scan);
	p2m_domain_put(batch->domain);
	return err;
}

/* Scan [scan->next, end). */
static int p2m_scan_range(struct p2m_scan_batch *batch, struct p2m_scan *scan,
			  unsigned long end)
{
	long nr;
	int err;

	while (scan->next < end && !(scan->max && scan->done == scan->max)) {
		nr = p2m_find_batch(batch->guest, &scan->next, end, P2M_BATCH);
		if (nr <= 0)
			return nr;
		batch->gfn = scan->next;
		batch->nr = nr;
		err = p2m_scan_batch(batch, scan);
		if (err)
			return err;
		scan->looked += batch->nr;
		scan->next += batch->nr;
	}
	return 0;
}

/* May the guest be scanned?  Then allocate what a scan needs. */
static int p2m_scan_prepare(struct p2m_guest *guest)
{
	struct p2m_domain *domain = p2m_domain_of(guest);
	int err;

	if (domain->number == P2M_DOMAIN_NEVER)
		err = -EPERM;
	else
		err = p2m_seen_reserve(domain, atomic_long_read(&guest->gfns));
	p2m_domain_put(domain);
	return err;
}

/* P2M_SHARE_SCAN */
int p2m_share_scan(struct p2m_guest *guest, struct p2m_scan *scan)
{
	long end = p2m_range_end(guest, scan->gfn, scan->nr);
	struct p2m_scan_batch *batch;
	struct mem_cgroup *old;
	int err;

	if (end < 0)
		return end;
	batch = kmalloc(sizeof(*batch), GFP_KERNEL_ACCOUNT);
	if (!batch)
		return -ENOMEM;

	batch->guest = guest;
	scan->next = scan->gfn;
	scan->done = 0;
	scan->zero = 0;
	scan->busy = 0;
	scan->looked = 0;
	old = set_active_memcg(guest->memcg);
	err = p2m_scan_prepare(guest);
	set_active_memcg(old);
	if (!err)
		err = p2m_scan_range(batch, scan, end);
	kfree(batch);
	return scan->next > scan->gfn || scan->done ? 0 : err;
}
