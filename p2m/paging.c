// SPDX-License-Identifier: GPL-2.0
/*
 * Paging: frames go to a store and come back when touched.
 *
 *	           nominate                evict
 *	 ram_rw --------------> paging_out -------> paged
 *	   ^  ^                     |                 |
 *	   |  '---------------------'                 |
 *	   |   somebody else holds the page,          |
 *	   |   or the store is full                   |
 *	   '------------------------------------------'
 *	                    populate
 *
 * (logdirty, if log-dirty is on and the frame is clean, is as good as ram_rw.)
 *
 * The states and the words are Xen's.  The store is a shmem file, which the
 * host may swap; so nothing is needed but this module.  All of nominate and
 * evict is under one hold, a batch of frames at a time: what the guest touches
 * of them meanwhile waits until the batch is done, and then comes back.
 */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "huge.h"
#include "page.h"
#include "paging.h"
#include "store.h"
#include "trace.h"
#include "walk.h"

/* ------------------------------------------------------------------ */
/* In                                                                  */
/* ------------------------------------------------------------------ */

/**
 * p2m_paging_populate() - bring a frame back from the store
 * @guest: the guest
 * @gfn: the frame, of type paged
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn is ram_rw or logdirty; -ENOMEM if there is no page to be
 * had; -EIO if the store could not be read, or has it not.  After an error @gfn is
 * as before.
 */
int p2m_paging_populate(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page;
	int err;

	if (!p2m_entry_in_store(entry))
		return -EIO;
	page = p2m_page_alloc(0);
	if (!page) {
		err = -ENOMEM;
		goto out;
	}
	err = p2m_store_read(guest, gfn, page);
	if (err) {
		p2m_pages_free(page, P2M_4K);
		if (err != -ENOMEM)
			err = -EIO;
		goto out;
	}
	__SetPageUptodate(page);
	entry = p2m_retype_entry(entry, p2m_ram_type(guest, entry));
	p2m_change_entry(guest, gfn, p2m_repage_entry(entry, page));
	p2m_store_free(guest, gfn);
	p2m_count_event(guest, paged_in);
out:
	trace_p2m_populate(guest->id, gfn, err);
	return err;
}

/* Bring back what is paged of a batch, which is held. */
static int p2m_page_in_batch(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long nr, struct p2m_range *range)
{
	unsigned long end = gfn + nr;
	struct p2m_entry entry;
	int err;

	for (; gfn < end; gfn++) {
		if (range->max && range->done == range->max)
			break;
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_paged &&
		    p2m_entry_in_store(entry)) {
			err = p2m_paging_populate(guest, gfn);
			if (err) {
				range->next = gfn;
				return err;
			}
			range->done++;
		}
	}
	range->next = gfn;
	return 0;
}

/* ------------------------------------------------------------------ */
/* Out                                                                 */
/* ------------------------------------------------------------------ */

/* Give back what was nominated, unless it was evicted, in [gfn, end). */
static void p2m_denominate(struct p2m_guest *guest, unsigned long gfn,
			   unsigned long end)
{
	struct p2m_entry entry;

	for (; gfn < end; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_paging_out)
			p2m_change_type(guest, gfn, p2m_ram_type(guest, entry));
	}
}

/*
 * Nominate what there is in [gfn, end), a batch: only pages that nobody
 * references but the map, and the page tables that are going to be zapped; those
 * that the pager has nominated as well.  In @busy a bit is set for each frame whose
 * page somebody does, or is poisoned, counted from @gfn.  Returns the end of what was
 * looked at.
 */
static unsigned long p2m_nominate_pages(struct p2m_guest *guest,
					unsigned long gfn, unsigned long end,
					const struct p2m_range *range,
					unsigned long *nominated, u64 *busy)
{
	unsigned long first = gfn;
	struct p2m_entry entry;
	struct page *page;

	*busy = 0;
	for (*nominated = 0; gfn < end; gfn++) {
		if (range->max && range->done + *nominated == range->max)
			break;
		entry = p2m_get_entry(&guest->map, gfn);
		if (!p2m_is_ram(entry) &&
		    p2m_entry_type(entry) != p2m_paging_out)
			continue;
		page = p2m_entry_page(entry);
		if (page_count(page) > 1 + p2m_page_mapcount(page) ||
		    p2m_page_is_poisoned(page)) {
			*busy |= BIT_ULL(gfn - first);
			continue;
		}
		p2m_change_type(guest, gfn, p2m_paging_out);
		++*nominated;
	}
	return gfn;
}

/*
 * Move one nominated, unmapped frame to the store.  Returns -EBUSY, and the
 * frame is what it was, if somebody got hold of the page before it was
 * unmapped, or it is poisoned, and -ENOMEM if the store is full.
 */
static int p2m_evict(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page(entry);
	int err;

	/*
	 * Only the map's reference may be left.  No new one can come: not from
	 * the map, whose entry says so, nor from page tables, which were zapped
	 * (a lockless walker that saw the old entry looks again after it has
	 * raised the count, and drops it).
	 */
	err = page_count(page) == 1 ? p2m_store_write(guest, gfn, page) : -EBUSY;
	if (err == -EHWPOISON)
		err = -EBUSY;
	trace_p2m_evict(guest->id, gfn, err);
	if (err) {
		p2m_change_type(guest, gfn, p2m_ram_type(guest, entry));
		return err;
	}
	p2m_change_entry(guest, gfn, p2m_paged_entry(p2m_get_entry(&guest->map, gfn),
						     P2M_STORED));
	p2m_pages_free(page, P2M_4K);
	p2m_count_event(guest, paged_out);
	return 0;
}

/* How many of a batch have a page that could be nominated? */
static unsigned long p2m_count_ram(struct p2m_guest *guest, unsigned long gfn,
				   unsigned long nr)
{
	unsigned long end = gfn + nr, count = 0;

	for (; gfn < end; gfn++)
		count += p2m_is_ram(p2m_get_entry(&guest->map, gfn));
	return count;
}

/**
 * p2m_nominate() - nominate what can be of a batch, and unmap it
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, at most P2M_BATCH, of one chunk
 * @range: @max and @done are looked at; if not all of the batch could be, @busy
 * and @next are set
 * @end: out: where what was looked at ends
 * @busy: out: a bit for each frame whose page somebody holds, counted from @gfn
 *
 * What is of type paging_out in [@gfn, @end) after that was nominated, but
 * somebody may have got hold of its page before it was unmapped.
 *
 * Context: process context, holding the frames; may sleep.
 * Return: 0; -ENOMEM.
 */
int p2m_nominate(struct p2m_guest *guest, unsigned long gfn, unsigned long nr,
		 struct p2m_range *range, unsigned long *end, u64 *busy)
{
	unsigned long nominated, held;
	int err;

	*busy = 0;
	*end = gfn;
	err = p2m_shatter(guest, gfn);
	if (err == -EBUSY) {
		held = p2m_count_ram(guest, gfn, nr);
		range->busy += held;
		this_cpu_add(guest->counters->busy, held);
		range->next = gfn + nr;
		return 0;
	}
	range->next = gfn;
	if (err)
		return err;
	*end = p2m_nominate_pages(guest, gfn, gfn + nr, range, &nominated, busy);
	range->next = *end;
	if (nominated)
		p2m_unmap(guest, gfn, *end - gfn);
	return 0;
}

/* Page out what can be of a batch, which is held. */
static int p2m_page_out_batch(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range)
{
	struct p2m_entry entry;
	unsigned long end;
	u64 busy;
	int err;

	err = p2m_nominate(guest, gfn, nr, range, &end, &busy);
	if (err)
		return err;

	for (; gfn < end; gfn++, busy >>= 1) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_paging_out)
			err = p2m_evict(guest, gfn);
		else if (busy & 1)
			err = -EBUSY;
		else
			continue;

		if (err && err != -EBUSY) {
			p2m_denominate(guest, gfn, end);
			range->next = gfn;
			return err;
		}
		range->done += !err;
		range->busy += !!err;
		if (err)
			p2m_count_event(guest, busy);
	}
	return 0;
}

/**
 * p2m_page_out() - move frames to the store
 * @guest: the guest
 * @range: which; uapi/p2m.h says what goes in and what comes out
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINVAL, -ERANGE, -EINTR or -ENOMEM as uapi/p2m.h has it.
 */
int p2m_page_out(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_BATCH, p2m_page_out_batch);
}

/**
 * p2m_page_in() - bring frames back from the store
 * @guest: the guest
 * @range: which; uapi/p2m.h says what goes in and what comes out
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINVAL, -ERANGE, -EINTR, -ENOMEM or -EIO as uapi/p2m.h has it.
 */
int p2m_page_in(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_BATCH, p2m_page_in_batch);
}
