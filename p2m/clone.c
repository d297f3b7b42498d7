// SPDX-License-Identifier: GPL-2.0
/*
 * Clones: a guest, the client, gets the frames of another, the source.  From
 * then on both share their pages, until one of them writes.
 *
 *	 source:  ram_rw --> shared	a page that can be nominated
 *		  paged ---> shared	it comes back first
 *	 client:  any type -> shared
 *		  any type -> (nothing), pod	if the source has nothing there
 *
 * A page that somebody else references cannot be shared, nor one that has as
 * many sharers as it can have: the client gets a copy of it.
 *
 * A chunk of each guest is held at a time.  The guests may run meanwhile.  Each
 * frame of the client has the contents that the source's had at some instant,
 * if no device writes to it; for a clone at one instant, stop the source.
 */

#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "clone.h"
#include "discard.h"
#include "domain.h"
#include "fault.h"
#include "huge.h"
#include "page.h"
#include "pager.h"
#include "sharing.h"
#include "walk.h"
#include "zero.h"

/* Bring back what the store or a pager has; -EAGAIN if that was asked. */
static int p2m_clone_populate(struct p2m_cloning *c)
{
	unsigned long gfn = c->from, end = c->from + c->nr;
	struct p2m_entry entry;
	int err = 0;

	p2m_for_each_entry(&c->source->map, gfn, entry, end) {
		switch (p2m_entry_type(entry)) {
		case p2m_paged:
		case p2m_paging_in:
		case p2m_prepped:
			err = p2m_touch_page(c->source, gfn, false);
			break;
		default:
			break;
		}
		if (err) {
			c->wait = gfn;
			return err == -EBUSY ? -EAGAIN : err;
		}
	}
	return 0;
}

/* Nominate what is taken, and give the rest back. */
static int p2m_clone_share_taken(struct p2m_cloning *c)
{
	unsigned long gfn = c->from, end = c->from + c->nr;
	struct p2m_domain *domain = c->source->domain;
	struct p2m_entry entry;
	struct page *page;
	int err = 0;

	for (; !err && gfn < end; gfn++) {
		entry = p2m_get_entry(&c->source->map, gfn);
		if (p2m_entry_type(entry) != p2m_taken)
			continue;
		page = p2m_entry_page(entry);
		if (!p2m_page_is_poisoned(page))
			err = p2m_share_taken(c->source, gfn,
					      p2m_domain_hash(domain, page));
		cond_resched();
	}
	p2m_give_back(c->source, c->from, c->nr);
	return err;
}

/* Make the source's pages such that can be shared, as far as possible. */
static int p2m_clone_nominate(struct p2m_cloning *c)
{
	unsigned long i, picked = 0;
	int err;

	err = p2m_clone_populate(c);
	if (err)
		return err;
	err = p2m_shatter(c->source, c->from);
	if (err)
		return err == -EBUSY ? 0 : err;
	for (i = 0; i < c->nr; i++)
		picked += p2m_pick(c->source, c->from + i);
	if (!picked)
		return 0;
	p2m_take(c->source, c->from, c->nr);
	return p2m_clone_share_taken(c);
}

static int p2m_clone_copy(struct p2m_cloning *c, unsigned long i,
			  struct page *from)
{
	struct p2m_entry entry;
	int err;

	err = p2m_touch_page(c->client, c->to + i, true);
	if (err)
		return err == -EHWPOISON ? -EIO : err;
	/* While we copy, a write of the source is a fault, and waits. */
	if (p2m_is_ram(p2m_get_entry(&c->source->map, c->from + i)))
		p2m_change_type(c->source, c->from + i, p2m_taken);
	p2m_unmap(c->source, c->from + i, 1);
	entry = p2m_get_entry(&c->client->map, c->to + i);
	err = p2m_page_copy(p2m_entry_page_of(entry, c->to + i), from);
	p2m_give_back(c->source, c->from + i, 1);
	return err == -EHWPOISON ? -EIO : err;
}

/* Give a frame of the client the page of the source's. */
static int p2m_clone_frame(struct p2m_cloning *c, unsigned long i, bool copy)
{
	struct p2m_entry entry = p2m_get_entry(&c->source->map, c->from + i);
	struct page *page = p2m_entry_page_of(entry, c->from + i);
	int err = -EMLINK;

	switch (p2m_entry_type(entry)) {
	case p2m_mmio_dm:
	case p2m_pod:
		return 0;
	case p2m_broken:
		return -EIO;
	case p2m_shared:
		if (!copy)
			err = p2m_share_give(c->client, c->to + i, page);
		break;
	default:
		break;
	}
	return err == -EMLINK ? p2m_clone_copy(c, i, page) : err;
}

/* The frames of both are held. */
static int p2m_clone_held(struct p2m_cloning *c)
{
	struct mem_cgroup *old = set_active_memcg(c->source->memcg);
	unsigned long busy, i;
	int err;

	err = c->source->domain == c->client->domain ? p2m_clone_nominate(c) :
						       -EXDEV;
	set_active_memcg(c->client->memcg);
	if (!err) {
		p2m_discard_held(c->client, c->to, c->nr, &busy);
		p2m_zero_forget_chunk(c->client, c->to);
		/* What is busy has a part of a large page, and keeps it. */
		for (i = 0; !err && i < c->nr; i++)
			err = p2m_clone_frame(c, i, busy);
	}
	set_active_memcg(old);
	return err;
}

static int p2m_clone_part(struct p2m_cloning *c)
{
	int err;

	err = get_p2m_two(&c->source->lock, c->from, &c->client->lock, c->to, 0,
			  P2M_WAIT_KILLABLE);
	if (err)
		return err;
	err = p2m_clone_held(c);
	put_p2m_two(&c->source->lock, c->from, &c->client->lock, c->to, 0);
	return err;
}

/* How many frames can be passed over, because neither guest has anything? */
static unsigned long p2m_clone_nothing(struct p2m_cloning *c, unsigned long nr)
{
	unsigned long next;

	next = p2m_next_chunk(&c->source->map, c->from, c->from + nr);
	nr = next - c->from;
	next = p2m_next_chunk(&c->client->map, c->to, c->to + nr);
	return next - c->to;
}

static unsigned long p2m_left_of_chunk(unsigned long gfn)
{
	return P2M_CHUNK_GFNS - gfn % P2M_CHUNK_GFNS;
}

/**
 * p2m_clone() - give frames of one guest to another
 * @c: has the two guests, which may be one if the ranges do not overlap; and
 * how much is done, for a call that goes on after -EAGAIN
 * @source_gfn: the first frame of @c->source, which has the frames
 * @client_gfn: the first frame of @c->client, which gets them
 * @nr: how many; both guests have so many
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EXDEV if the two are in different domains; -EAGAIN if a pager was
 * asked for the frame @c->wait of the source; -EIO if a frame of the source is
 * broken; -ENOSPC if the pool of the client is empty; -EINTR on a fatal signal;
 * -ENOMEM.  After an error some frames are cloned, and some of the client's may
 * be gone.
 */
int p2m_clone(struct p2m_cloning *c, unsigned long source_gfn,
	      unsigned long client_gfn, unsigned long nr)
{
	int err = 0;

	while (!err && c->done < nr) {
		cond_resched();
		/* There is nothing to go on from after another signal. */
		if (fatal_signal_pending(current))
			return -EINTR;
		c->from = source_gfn + c->done;
		c->to = client_gfn + c->done;
		c->done += p2m_clone_nothing(c, min(nr - c->done, 1UL << 27));
		if (c->done == nr || c->from != source_gfn + c->done)
			continue;
		c->nr = min3(nr - c->done, p2m_left_of_chunk(c->from),
			     p2m_left_of_chunk(c->to));
		err = p2m_clone_part(c);
		if (!err)
			c->done += c->nr;
	}
	return err;
}
