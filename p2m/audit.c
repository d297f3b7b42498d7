// SPDX-License-Identifier: GPL-2.0
/*
 * The audit: does all that is known of a guest agree?
 *
 * The audit holds all of the guest, so what it finds stays so.  It looks at
 * each entry, at the page of each entry, and at each page of the store:
 *
 * - there are as many frames of each type as were counted
 * - an entry allows what its type allows, and is below the guest's end
 * - a page has at least the references that its entries have
 * - a chunk has all of a large page, each part in its place, or no part
 * - the entry passes the check of its type: see p2m_type_ops
 * - the store has what the entries say, and nothing else
 * - the account of populate-on-demand agrees with the map: see p2m_pod_audit()
 * - there are as many sharers as shared frames
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
#include "walk.h"

/**
 * struct p2m_auditor - an audit under way
 * @guest: the guest
 * @audit: what was found so far
 * @told: errors that were reported, up to a NULL
 */
struct p2m_auditor {
	struct p2m_guest	*guest;
	struct p2m_audit	*audit;
	const char		*told[16];
};

/* Was this error reported before?  If not, it is now. */
static bool p2m_audit_told(struct p2m_auditor *a, const char *what)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(a->told) && a->told[i]; i++)
		if (a->told[i] == what)
			return true;
	if (i < ARRAY_SIZE(a->told))
		a->told[i] = what;
	return false;
}

/* Count an error. Each kind of error is reported once. */
static void p2m_audit_error(struct p2m_auditor *a, unsigned long gfn,
			    const char *what)
{
	a->audit->errors++;
	if (!p2m_audit_told(a, what))
		pr_warn_ratelimited("p2m: guest %llu: frame %#lx %s\n",
				    a->guest->id, gfn, what);
}

/* ---- Entries ------------------------------------------------------ */

static void p2m_audit_page(struct p2m_auditor *a, unsigned long gfn,
			   struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);

	a->audit->pages += 1UL << p2m_entry_order(entry);
	if (page_count(page) < 1)
		p2m_audit_error(a, gfn, "has a page with too few references");
	if (p2m_entry_order(entry) &&
	    (PageTail(page) || folio_order(page_folio(page)) != P2M_2M))
		p2m_audit_error(a, gfn, "is one of 2 MB, and its page is not");
	if (p2m_entry_order(entry) && a->guest->log_dirty)
		p2m_audit_error(a, gfn, "is 2 MB while log-dirty is on");
}

static void p2m_audit_entry(struct p2m_auditor *a, unsigned long gfn,
			    struct p2m_entry entry)
{
	unsigned long nr = 1UL << p2m_entry_order(entry);
	enum p2m_type type = p2m_entry_type(entry);
	const char *what;

	a->audit->types[type] += nr;
	if (gfn + nr > atomic_long_read(&a->guest->gfns))
		p2m_audit_error(a, gfn, "is past the end of the guest");
	if (type >= P2M_NR_TYPES) {
		p2m_audit_error(a, gfn, "has an unknown type");
		return;
	}
	if ((entry.val & P2M_RWX) != p2m_type_access[type])
		p2m_audit_error(a, gfn, "has other rights than its type");
	if (p2m_entry_page(entry))
		p2m_audit_page(a, gfn, entry);
	if (!p2m_type_ops[type].check)
		return;
	what = p2m_type_ops[type].check(a->guest, gfn, entry);
	if (what)
		p2m_audit_error(a, gfn, what);
}

/* ---- Chunks ------------------------------------------------------- */

/* A chunk with 512 entries: do they have all of a large page, or no part? */
static void p2m_audit_parts(struct p2m_auditor *a, unsigned long first)
{
	static const char what[] = "has a part of a large page out of place";
	struct page *page, *head = NULL;
	unsigned long gfn, nr = 0;

	for (gfn = first; gfn < first + P2M_CHUNK_GFNS; gfn++) {
		page = p2m_entry_page(p2m_get_entry(&a->guest->map, gfn));
		if (!page || !PageCompound(page))
			continue;
		if (!nr++)
			head = compound_head(page);
		if (page != head + (gfn - first))
			p2m_audit_error(a, gfn, what);
	}
	if (nr && nr != P2M_CHUNK_GFNS)
		p2m_audit_error(a, first, what);
	if (nr && page_count(head) < nr)
		p2m_audit_error(a, first, "has a page with too few references");
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

/* ---- The whole ---------------------------------------------------- */

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
		pr_warn_ratelimited("p2m: guest %llu: type %u: %llu frames, counted %lu\n",
				    a->guest->id, type, types[type], counted);
	}
}

/* Does the map know of each page of the store? */
static int p2m_audit_store(struct p2m_auditor *a)
{
	struct xarray *pages = &a->guest->store->f_mapping->i_pages;
	unsigned long gfn;
	void *page;

	xa_for_each(pages, gfn, page) {
		/* Shmem may have a larger page than it was asked for. */
		if (!xa_get_order(pages, gfn) &&
		    !p2m_entry_in_store(p2m_get_entry(&a->guest->map, gfn)))
			p2m_audit_error(a, gfn, "is in the store in vain");
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
		pr_warn_ratelimited("p2m: guest %llu: the pool disagrees with the map\n",
				    a->guest->id);
}

static void p2m_audit_sharing(struct p2m_auditor *a)
{
	if (p2m_map_count(&a->guest->map, p2m_shared) ==
	    atomic_long_read(&a->guest->sharers))
		return;
	a->audit->errors++;
	pr_warn_ratelimited("p2m: guest %llu: more or fewer sharers than frames\n",
			    a->guest->id);
}

/* P2M_AUDIT */
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
