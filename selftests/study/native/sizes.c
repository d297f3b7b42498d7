// SPDX-License-Identifier: GPL-2.0
/*
 * sizes: is the tree affordable for a large guest, and for a sparse one?
 *
 * A guest's chunks are got for the first time (first_get_ns each), and again
 * (again_ns); then all of the guest is got (all_us), which looks at every chunk
 * of every GB in which one was ever got.  A dense guest has all of its chunks; a
 * sparse one has one a GB.
 *
 *	tree		nodes are made by the first get
 *	prealloc	the same, but all nodes of the guest were made before
 *			(made_us)
 *
 * Nodes come in tables of 512, for 1 GB.  So to get one chunk of each GB is to
 * make all nodes.
 */
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "window.h"

#define STEP		STUDY_GB
/* Small guests are measured more often: at least so many chunks in all. */
#define ENOUGH		(16 * 512)
#define ALL_TRIES	5
/* A table is as large as a block of so many pages. */
#define ORDER		3

static struct p2m_rangelock lock;

/* Get and put every @step-th frame below @gfns.  Return: ns, or an error. */
static s64 get_each(unsigned long gfns, unsigned long step)
{
	unsigned long gfn;
	u64 begin = ktime_get_ns();
	int err;

	for (gfn = 0; gfn < gfns; gfn += step) {
		err = get_p2m_gfn(&lock, gfn);
		if (err)
			return err;
		put_p2m_gfn(&lock, gfn);
	}
	return ktime_get_ns() - begin;
}

static int measure_all(const char *point)
{
	unsigned int i;
	u64 begin;
	int err;

	for (i = 0; i < ALL_TRIES; i++) {
		begin = ktime_get_ns();
		err = get_p2m_all(&lock, P2M_WAIT, 0);
		if (err)
			return err;
		put_p2m_all(&lock);
		study_say(point, "all_us", 1, ktime_get_ns() - begin);
	}
	return 0;
}

/* The steps of one guest, in order; an error ends them. */
static int measure_guest(const char *point, bool prealloc, unsigned long gfns,
			 unsigned long step)
{
	u64 chunks = gfns / step;
	s64 made = 0, first, again;
	unsigned long pages;
	int err;

	err = study_count_pages();
	if (err)
		return err;
	if (prealloc)
		made = get_each(gfns, STEP);
	first = made < 0 ? made : get_each(gfns, step);
	again = first < 0 ? first : get_each(gfns, step);
	pages = study_pages();
	if (again < 0)
		return again;

	study_say_value(point, "bytes", pages * PAGE_SIZE);
	if (prealloc)
		study_say(point, "made_us", 1, made);
	study_say(point, "first_get_ns", chunks, first);
	study_say(point, "again_ns", chunks, again);
	return measure_all(point);
}

static int measure_size(bool prealloc, unsigned long gb, bool dense)
{
	unsigned long gfns = gb * STUDY_GB;
	unsigned long step = dense ? STUDY_CHUNK : STUDY_GB;
	unsigned long done = 0;
	char point[STUDY_POINT];
	int err = 0;

	snprintf(point, sizeof(point), "size_gb=%lu,fill=%s", gb,
		 dense ? "dense" : "sparse");
	while (!err && done < ENOUGH) {
		p2m_rangelock_init(&lock, "study");
		err = measure_guest(point, prealloc, gfns, step);
		p2m_rangelock_destroy(&lock);
		/* One table of 512 was made for each GB. */
		done += gb * 512;
		cond_resched();
	}
	return err;
}

/*
 * The machine below gives user-mode Linux a page when that is first written to,
 * which takes longer than a get.  So write to all pages that are free.
 */
static void warm_up(void)
{
	struct page *page, *next;
	LIST_HEAD(pages);

	while ((page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NORETRY |
				   __GFP_NOWARN, ORDER))) {
		list_add(&page->lru, &pages);
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &pages, lru)
		__free_pages(page, ORDER);
}

int study_sizes(const char *system)
{
	static const unsigned int sizes_gb[] = { 1, 16, 64, 1024, 16384 };
	bool prealloc = !strcmp(system, "prealloc");
	unsigned int i;
	int err = 0;

	warm_up();
	for (i = 0; !err && i < 2 * ARRAY_SIZE(sizes_gb); i++)
		err = measure_size(prealloc, sizes_gb[i / 2], i % 2);
	return err;
}
