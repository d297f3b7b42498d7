// SPDX-License-Identifier: GPL-2.0
/*
 * The audit: does all that is known of a guest agree?
 *
 * All of the guest is held meanwhile, so that what is found stays so.  It looks
 * at each entry, at the page of each entry, and at each page of the store:
 *
 *  - there are as many frames of each type as were counted
 *  - an entry allows what its type does, and is the guest's
 *  - a page has at least the references that its entries have
 *  - a chunk has a large page as a whole, each part in its place, or not at all
 *  - a page that is not shared says that it is this frame's: see p2m_page_owner().
 *    So it can be in no other, of this guest or another
 *  - what is in the store according to the map is there, and nothing else is
 *  - the account of populate-on-demand agrees with the map: see p2m_pod_audit()
 *  - the shared frames are the sharers of their pages: see p2m_shared_audit()
 *
 * What is to be checked for a type is in p2m_audit_type().
 */

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>

#include "audit.h"
#include "page.h"
#include "pod.h"
#include "sharing.h"
#include "walk.h"

/* What may be wrong, as in "frame 0x2f ..." */
#define P2M_AUDIT_ERRORS(x)						\
	x(no_type,	"is of a type that there is not")		\
	x(past_end,	"is past the end of the guest")			\
	x(access,	"may do what its type may not, or not what it may") \
	x(references,	"has a page with too few references")		\
	x(order,	"is one of 2 MB, and its page is not")		\
	x(split,	"is one of 2 MB with a page, and log-dirty is on") \
	x(parts,	"has part of a large page out of its place")	\
	x(owner,	"has a page that is another's")			\
	x(not_stored,	"is to be in the store, and is not")		\
	x(stored,	"is in the store, and should not be")

enum p2m_audit_error {
#define P2M_AUDIT_ERROR(name, text) P2M_AUDIT_##name,
	P2M_AUDIT_ERRORS(P2M_AUDIT_ERROR)
#undef P2M_AUDIT_ERROR
};

static const char * const p2m_audit_texts[] = {
#define P2M_AUDIT_ERROR(name, text) [P2M_AUDIT_##name] = (text),
	P2M_AUDIT_ERRORS(P2M_AUDIT_ERROR)
#undef P2M_AUDIT_ERROR
};

/**
 * struct p2m_auditor - an audit under way
 * @guest: of whom
 * @audit: what it has found so far
 * @told: kinds of errors that were told already
 */
struct p2m_auditor {
	struct p2m_guest	*guest;
	struct p2m_audit	*audit;
	unsigned long		told;
};

static void p2m_audit_error(struct p2m_auditor *a, unsigned long gfn,
			    enum p2m_audit_error error)
{
	a->audit->errors++;
	if (!__test_and_set_bit(error, &a->told))
		pr_warn_ratelimited("p2m: guest %llu: frame %#lx %s\n",
				    a->guest->id, gfn, p2m_audit_texts[error]);
}

/* ------------------------------------------------------------------ */
/* Entries                                                             */
/* ------------------------------------------------------------------ */

/* A page that is of this frame, or from it on, and of no other. */
static void p2m_audit_owner(struct p2m_auditor *a, unsigned long gfn,
			    struct page *page)
{
	struct page *head = compound_head(page);

	if (page_private(head) !=
	    p2m_page_owner(&a->guest->map, gfn - (page - head)))
		p2m_audit_error(a, gfn, P2M_AUDIT_owner);
}

static void p2m_audit_stored(struct p2m_auditor *a, unsigned long gfn)
{
	if (!xa_load(&a->guest->store->f_mapping->i_pages, gfn))
		p2m_audit_error(a, gfn, P2M_AUDIT_not_stored);
}

static void p2m_audit_page(struct p2m_auditor *a, unsigned long gfn,
			   struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);

	a->audit->pages += 1UL << p2m_entry_order(entry);
	if (page_count(page) < 1)
		p2m_audit_error(a, gfn, P2M_AUDIT_references);
	if (p2m_entry_order(entry) &&
	    (PageTail(page) || folio_order(page_folio(page)) != P2M_2M))
		p2m_audit_error(a, gfn, P2M_AUDIT_order);
	if (p2m_entry_order(entry) && a->guest->log_dirty)
		p2m_audit_error(a, gfn, P2M_AUDIT_split);
}

/* What there is to be said of one type: see also p2m_audit_page(). */
static void p2m_audit_type(struct p2m_auditor *a, unsigned long gfn,
			   struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);

	switch (p2m_entry_type(entry)) {
	case p2m_ram_rw:
	case p2m_logdirty:
		if (page)
			p2m_audit_owner(a, gfn, page);
		break;
	default:
		break;
	}
	if (p2m_entry_in_store(entry))
		p2m_audit_stored(a, gfn);
}

static void p2m_audit_entry(struct p2m_auditor *a, unsigned long gfn,
			    struct p2m_entry entry)
{
	unsigned long nr = 1UL << p2m_entry_order(entry);
	enum p2m_type type = p2m_entry_type(entry);

	a->audit->types[type] += nr;
	if (gfn + nr > atomic_long_read(&a->guest->gfns))
		p2m_audit_error(a, gfn, P2M_AUDIT_past_end);
	if (type >= P2M_NR_TYPES) {
		p2m_audit_error(a, gfn, P2M_AUDIT_no_type);
		return;
	}
	if ((entry.val & P2M_RWX) != p2m_type_access(type))
		p2m_audit_error(a, gfn, P2M_AUDIT_access);
	if (p2m_entry_page(entry))
		p2m_audit_page(a, gfn, entry);
	p2m_audit_type(a, gfn, entry);
}

/* ------------------------------------------------------------------ */
/* Chunks                                                              */
/* ------------------------------------------------------------------ */

/* A chunk of 512 entries: do they have a large page, and is it all there? */
static void p2m_audit_parts(struct p2m_auditor *a, unsigned long first)
{
	struct page *page, *head = NULL;
	unsigned long gfn, nr = 0;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		page = p2m_entry_page(p2m_get_entry(&a->guest->map, gfn));
		if (!page || !PageCompound(page))
			continue;
		if (!nr++)
			head = compound_head(page);
		if (page != head + (gfn - first))
			p2m_audit_error(a, gfn, P2M_AUDIT_parts);
	}
	if (nr && nr != P2M_CHUNK_GFNS)
		p2m_audit_error(a, first, P2M_AUDIT_parts);
	if (nr && page_count(head) < nr)
		p2m_audit_error(a, first, P2M_AUDIT_references);
}

static void p2m_audit_chunk(struct p2m_auditor *a, unsigned long first)
{
	struct p2m_entry entry;
	unsigned long gfn;

	entry = p2m_get_entry(&a->guest->map, first);
	if (p2m_entry_order(entry)) {
		p2m_audit_entry(a, first, entry);
		return;
	}
	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		entry = p2m_get_entry(&a->guest->map, gfn);
		if (entry.val)
			p2m_audit_entry(a, gfn, entry);
	}
	p2m_audit_parts(a, first);
}

static int p2m_audit_map(struct p2m_auditor *a)
{
	unsigned long gfn = 0;
	int err;

	p2m_for_each_chunk(a->guest, gfn, P2M_MAX_GFNS, err)
		p2m_audit_chunk(a, gfn);
	return err;
}

/* ------------------------------------------------------------------ */
/* The whole                                                           */
/* ------------------------------------------------------------------ */

static void p2m_audit_counts(struct p2m_auditor *a)
{
	u64 *types = a->audit->types;
	unsigned long counted;
	enum p2m_type type;

	types[p2m_mmio_dm] = atomic_long_read(&a->guest->gfns);
	for (type = p2m_mmio_dm + 1; type < P2M_NR_TYPES; type++) {
		types[p2m_mmio_dm] -= types[type];
		counted = p2m_map_count(&a->guest->map, type);
		if (counted == types[type])
			continue;
		a->audit->errors++;
		pr_warn_ratelimited("p2m: guest %llu: %llu frames of type %u are counted as %lu\n",
				    a->guest->id, types[type], type, counted);
	}
}

/* Is each page of the store what the map thinks is there? */
static int p2m_audit_store(struct p2m_auditor *a)
{
	struct xarray *pages = &a->guest->store->f_mapping->i_pages;
	unsigned long gfn;
	void *page;

	xa_for_each(pages, gfn, page) {
		/* If shmem has larger pages than it was asked for, never mind. */
		if (!xa_get_order(pages, gfn) &&
		    !p2m_entry_in_store(p2m_get_entry(&a->guest->map, gfn)))
			p2m_audit_error(a, gfn, P2M_AUDIT_stored);
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static void p2m_audit_pool(struct p2m_auditor *a)
{
	unsigned int errors = p2m_pod_audit(a->guest);

	a->audit->errors += errors;
	if (errors)
		pr_warn_ratelimited("p2m: guest %llu: the pool of populate-on-demand does not agree with the map\n",
				    a->guest->id);
}

static void p2m_audit_sharing(struct p2m_auditor *a)
{
	unsigned long errors = p2m_shared_audit(a->guest);

	a->audit->errors += errors;
	if (errors)
		pr_warn_ratelimited("p2m: guest %llu: the sharers of shared pages do not agree with the map\n",
				    a->guest->id);
}

/**
 * p2m_audit() - see whether all that is known of a guest agrees
 * @guest: the guest
 * @audit: what came of it; @size and @flags are left alone
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0, with errors or not; -EINTR if a signal came before the guest was
 * held, or a fatal one later.
 */
int p2m_audit(struct p2m_guest *guest, struct p2m_audit *audit)
{
	struct p2m_auditor a = { .guest = guest, .audit = audit };
	struct p2m_hold hold;
	int err;

	BUILD_BUG_ON(P2M_NR_TYPES > P2M_AUDIT_TYPES);
	audit->errors = 0;
	audit->pages = 0;
	memset(audit->types, 0, sizeof(audit->types));

	err = p2m_hold_all(&hold, guest);
	if (err)
		return err;
	err = p2m_audit_map(&a);
	err = err ?: p2m_audit_store(&a);
	if (!err) {
		p2m_audit_counts(&a);
		p2m_audit_pool(&a);
		p2m_audit_sharing(&a);
	}
	p2m_unhold(&hold);
	return err;
}
