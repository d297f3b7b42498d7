// SPDX-License-Identifier: GPL-2.0
/*
 * Paging: frames go to the store, and come back when they are touched.
 *
 *	           take               evict
 *	 ram_rw ----------> taken -----------> paged
 *	   ^  ^               |                  |
 *	   |  '---------------'                  |
 *	   |   somebody else has the page,       |
 *	   |   or the store is full              |
 *	   '-------------------------------------'
 *	                  populate
 *
 * The words are Xen's, but for take (page.c), which Xen calls nominate.  The
 * store (store.c) is in the kernel, so no other program is needed.  A batch of
 * frames is taken and evicted under one hold.  A touch of one of these frames
 * waits until the batch is done, and then brings the frame back.
 */

#include "huge.h"
#include "page.h"
#include "paging.h"
#include "store.h"
#include "trace.h"
#include "walk.h"

/* ---- In ----------------------------------------------------------- */

/**
 * p2m_paging_populate() - bring a frame back from the store
 * @guest: the guest
 * @gfn: the frame, of type paged or paging_in
 * @vmf: the touch, or NULL
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn is ram_rw or logdirty; -ENOMEM if there is no page; -EIO
 * if the store cannot be read, or does not have the contents.  After an error
 * @gfn is as before.
 */
int p2m_paging_populate(struct p2m_guest *guest, unsigned long gfn,
			struct vm_fault *vmf)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page;
	int err;

	if (!p2m_entry_in_store(entry))
		return -EIO;
	page = p2m_page_alloc(0, vmf, p2m_entry_node(entry));
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
	p2m_set_ram(guest, gfn, page);
	p2m_store_free(guest, gfn);
	p2m_count_event(guest, paged_in);
out:
	trace_p2m_populate(guest->id, gfn, err);
	return err;
}

static int p2m_page_in_frame(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry)
{
	if (p2m_entry_type(entry) != p2m_paged || !p2m_entry_in_store(entry))
		return 0;
	return p2m_paging_populate(guest, gfn, NULL) ?: 1;
}

/* Bring back the frames of a batch that are in the store. */
static int p2m_page_in_batch(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long nr, struct p2m_range *range)
{
	return p2m_for_frames(guest, gfn, nr, range, p2m_page_in_frame);
}

/* ---- Out ---------------------------------------------------------- */

/**
 * p2m_paging_take() - take the pages of a batch that can be paged out
 * @guest: the guest
 * @gfn: the first frame
 * @nr: how many, of one chunk
 * @range: stop when @done and the frames that are taken make @max
 *
 * A frame that is p2m_is_ram() after this has a page that could not be taken.
 *
 * Context: process context, holding the frames; may sleep.
 * Return: how many frames were looked at; -ENOMEM.
 */
long p2m_paging_take(struct p2m_guest *guest, unsigned long gfn,
		     unsigned long nr, const struct p2m_range *range)
{
	unsigned long i, picked = 0;
	int err;

	err = p2m_shatter(guest, gfn);
	if (err)
		return err == -EBUSY ? nr : err;
	for (i = 0; i < nr; i++) {
		if (range->max && range->done + picked == range->max)
			break;
		picked += p2m_pick(guest, gfn + i);
	}
	p2m_take(guest, gfn, i);
	return i;
}

/**
 * p2m_paging_count() - count a frame as moved, or as busy
 * @guest: the guest
 * @range: gets the count
 * @err: 0 if the page was taken; -EBUSY if it could not be
 *
 * Context: process context.
 */
void p2m_paging_count(struct p2m_guest *guest, struct p2m_range *range,
		      int err)
{
	range->done += !err;
	range->busy += !!err;
	if (err)
		p2m_count_event(guest, busy);
}

/*
 * Move a frame, which is taken, to the store.  Returns -EBUSY if its page is
 * poisoned, and -ENOMEM if the store is full.  After an error the frame is
 * still taken.
 */
static int p2m_evict(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page(entry);
	int err;

	err = p2m_store_write(guest, gfn, page);
	if (err == -EHWPOISON)
		err = -EBUSY;
	trace_p2m_evict(guest->id, gfn, err);
	if (err)
		return err;
	p2m_change_entry(guest, gfn, p2m_paged_entry(entry, P2M_STORED));
	p2m_pages_free(page, P2M_4K);
	p2m_count_event(guest, paged_out);
	return 0;
}

/* Page out the frames of a batch, which is held, as far as possible. */
static int p2m_page_out_batch(struct p2m_guest *guest, unsigned long gfn,
			      unsigned long nr, struct p2m_range *range)
{
	long looked = p2m_paging_take(guest, gfn, nr, range);
	unsigned long end = gfn + looked;
	struct p2m_entry entry;
	int err = 0;

	if (looked < 0)
		return looked;
	for (; gfn < end; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_taken)
			err = p2m_evict(guest, gfn);
		else if (p2m_is_ram(entry))
			err = -EBUSY;
		else
			continue;
		if (err && err != -EBUSY)
			break;
		p2m_give_back(guest, gfn, 1);
		p2m_paging_count(guest, range, err);
		err = 0;
	}
	p2m_give_back(guest, gfn, end - gfn);
	range->next = gfn;
	return err;
}

/* P2M_PAGE_OUT */
int p2m_page_out(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_BATCH, p2m_page_out_batch);
}

/* P2M_PAGE_IN */
int p2m_page_in(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_BATCH, p2m_page_in_batch);
}
