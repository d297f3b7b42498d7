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

#define TABLE		STUDY_GB
/* Many small guests are measured together: the clock has steps of 256 ns. */
#define GUESTS		64
#define ROUNDS		5
#define LARGE_GB	1024	/* one round of these is enough */
/* A table is as large as a block of so many pages. */
#define ORDER		3

static struct p2m_rangelock locks[GUESTS];

/**
 * struct size - guests of one size
 * @guests: how many are measured together
 * @gfns: frames of each
 * @step: frames from one chunk that is got to the next
 */
struct size {
	unsigned int	guests;
	unsigned long	gfns;
	unsigned long	step;
};

/*
 * In each guest, get and put every @step-th frame from @first on.  Return: ns, or
 * an error.
 */
static s64 get_each(const struct size *size, unsigned long first,
		    unsigned long step)
{
	struct p2m_rangelock *lock;
	u64 begin = ktime_get_ns();
	unsigned long gfn;
	int err;

	for (lock = locks; lock < locks + size->guests; lock++)
		for (gfn = first; gfn < size->gfns; gfn += step) {
			err = get_p2m_gfn(lock, gfn);
			if (err)
				return err;
			put_p2m_gfn(lock, gfn);
		}
	return ktime_get_ns() - begin;
}

static s64 get_all(const struct size *size)
{
	struct p2m_rangelock *lock;
	u64 begin = ktime_get_ns();
	int err;

	for (lock = locks; lock < locks + size->guests; lock++) {
		err = get_p2m_all(lock, P2M_WAIT, 0);
		if (err)
			return err;
		put_p2m_all(lock);
	}
	return ktime_get_ns() - begin;
}

static int measure_guests(const char *point, bool prealloc,
			  const struct size *size)
{
	u64 chunks = size->guests * (size->gfns / size->step);
	s64 made = 0, first, again, all = 0;
	unsigned long pages;
	unsigned int i;
	int err;

	err = study_count_pages();
	if (err)
		return err;
	/* By other chunks than those that are got afterwards */
	if (prealloc)
		made = get_each(size, TABLE - STUDY_CHUNK, TABLE);
	first = made < 0 ? made : get_each(size, 0, size->step);
	again = first < 0 ? first : get_each(size, 0, size->step);
	/* This sleeps, after which the caches are cold. */
	pages = study_pages();
	if (again < 0)
		return again;

	study_say_value(point, "bytes", pages * PAGE_SIZE / size->guests);
	if (prealloc)
		study_say(point, "made_us", size->guests, made);
	study_say(point, "first_get_ns", chunks, first);
	study_say(point, "again_ns", chunks, again);
	for (i = 0; all >= 0 && i < ROUNDS; i++) {
		all = get_all(size);
		study_say(point, "all_us", size->guests, all);
	}
	return min(all, 0);
}

static int measure_size(bool prealloc, unsigned long gb, bool dense)
{
	struct size size = {
		.guests = gb < GUESTS ? GUESTS / gb : 1,
		.gfns = gb * STUDY_GB,
		.step = dense ? STUDY_CHUNK : STUDY_GB,
	};
	unsigned int round, i;
	char point[STUDY_POINT];
	int err = 0;

	snprintf(point, sizeof(point), "size_gb=%lu,fill=%s", gb,
		 dense ? "dense" : "sparse");
	for (round = 0; !err && round < (gb < LARGE_GB ? ROUNDS : 1); round++) {
		for (i = 0; i < size.guests; i++)
			p2m_rangelock_init(&locks[i], "study");
		err = measure_guests(point, prealloc, &size);
		for (i = 0; i < size.guests; i++)
			p2m_rangelock_destroy(&locks[i]);
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
