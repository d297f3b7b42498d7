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
 * frame of the client has the contents that the source's had at some instant;
 * for a clone at one instant, stop the source.
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

/**
 * struct p2m_cloning - a part of a chunk that is cloned
 * @source: the guest that has the frames
 * @client: the guest that gets them
 * @from: the first frame of @source
 * @to: the first frame of @client
 * @nr: how many
 * @wait: the frame of @source for which its pager was asked
 */
struct p2m_cloning {
	struct p2m_guest	*source;
	struct p2m_guest	*client;
	unsigned long		from;
	unsigned long		to;
	unsigned long		nr;
	unsigned long		wait;
};

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
		return err;
	entry = p2m_get_entry(&c->client->map, c->to + i);
	err = p2m_page_copy(p2m_entry_page_of(entry, c->to + i), from);
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
			  P2M_WAIT_INTERRUPTIBLE);
	if (err)
		return err;
	err = p2m_clone_held(c);
	put_p2m_two(&c->source->lock, c->from, &c->client->lock, c->to, 0);
	if (err == -EAGAIN)
		err = p2m_pager_wait(c->source, c->wait, TASK_INTERRUPTIBLE) ?:
		      -EAGAIN;
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
 * @source: the guest that has them
 * @source_gfn: its first frame
 * @client: the guest that gets them; maybe the same, if the ranges do not
 * overlap
 * @client_gfn: its first frame
 * @nr: how many; both guests have so many
 *
 * The client comes into the source's sharing domain.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EPERM if @source is never shared; -EXDEV if @client has frames
 * that it shares in another domain; -EIO if a frame of @source is broken;
 * -ENOSPC if the pool of @client is empty; -EINTR on a signal; -ENOMEM.  After
 * an error some frames are cloned.
 */
int p2m_clone(struct p2m_guest *source, unsigned long source_gfn,
	      struct p2m_guest *client, unsigned long client_gfn,
	      unsigned long nr)
{
	struct p2m_cloning c = { .source = source, .client = client };
	unsigned long done = 0;
	int err;

	err = p2m_domain_join(client, source);
	while (!err && done < nr) {
		cond_resched();
		if (signal_pending(current))
			return -EINTR;
		c.from = source_gfn + done;
		c.to = client_gfn + done;
		done += p2m_clone_nothing(&c, min(nr - done, 1UL << 27));
		if (done == nr || c.from != source_gfn + done)
			continue;
		c.nr = min3(nr - done, p2m_left_of_chunk(c.from),
			    p2m_left_of_chunk(c.to));
		err = p2m_clone_part(&c);
		if (!err)
			done += c.nr;
		else if (err == -EAGAIN)
			err = 0;
	}
	return err;
}
