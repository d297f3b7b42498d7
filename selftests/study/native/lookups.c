// SPDX-License-Identifier: GPL-2.0
/*
 * lookups: exclusive locks and lookups without any, or many readers?
 *
 * One or two tasks look frames up in the map of a guest of 1 GB, as an emulator
 * of instructions does, and now and then change an entry.
 *
 *	tree	the lookup takes no lock (RCU); a change gets its frame
 *	exclusive  both get the frame, in the tree
 *	readers	the lookup takes the frame's chunk for read; a change for write
 *	rwlock	the lookup takes the guest's lock for read; a change for write
 *	global	both take the guest's lock
 *
 * The map and the lookup in it are those of kvm_p2m.ko.  "lookups" are of frames
 * all over the guest.  "hot_lookups" are all of one chunk: page tables and stack
 * of one process are not far from each other.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "p2m/map.h"
#include "readers.h"
#include "window.h"

#define GFNS		STUDY_GB
#define NR_FRAMES	1024	/* that are looked up in turn */
#define NR_PAGES	64	/* that entries may name */

static struct p2m_rangelock lock;
static struct p2m_map map;
static struct readers_tree readers;
static struct page *pages[NR_PAGES];
static u32 frames[STUDY_WORKERS][NR_FRAMES];
static struct study_jobs jobs;

/* What a change does while it holds the frame: read, think, write */
static int change_entry(unsigned long gfn)
{
	struct p2m_entry entry = p2m_get_entry(&map, gfn);
	enum p2m_type type = p2m_entry_type(entry) == p2m_ram_rw ?
			     p2m_logdirty : p2m_ram_rw;

	return p2m_set_entry(&map, gfn, P2M_4K,
			     p2m_make_entry(type, pages[gfn % NR_PAGES]));
}

static int locked_change(unsigned long gfn)
{
	int err = get_p2m_gfn(&lock, gfn);

	if (err)
		return err;
	err = change_entry(gfn);
	put_p2m_gfn(&lock, gfn);
	return err;
}

/* ---- The systems -------------------------------------------------- */

static u64 tree_lookup(unsigned long gfn)
{
	return p2m_lookup(&map, gfn).val;
}

static u64 readers_lookup(unsigned long gfn)
{
	u64 val;

	readers_lookup_begin(&readers, gfn);
	val = p2m_lookup(&map, gfn).val;
	readers_lookup_end(&readers, gfn);
	return val;
}

static int readers_change(unsigned long gfn)
{
	int err;

	readers_change_begin(&readers, gfn);
	err = change_entry(gfn);
	readers_change_end(&readers, gfn);
	return err;
}

static u64 rwlock_lookup(unsigned long gfn)
{
	/* The policy keeps it at the beginning: see whole.h. */
	struct rw_semaphore *sem = (struct rw_semaphore *)&lock.all;
	u64 val;

	down_read(sem);
	val = p2m_lookup(&map, gfn).val;
	up_read(sem);
	return val;
}

/* On the loaded lock: the tree, or one lock */
static u64 locked_lookup(unsigned long gfn)
{
	u64 val;

	if (get_p2m_gfn(&lock, gfn))
		return 0;
	val = p2m_lookup(&map, gfn).val;
	put_p2m_gfn(&lock, gfn);
	return val;
}

/* Every @arg-th operation is a change; none if @arg is 0. */
static __always_inline void mix(struct study_worker *w,
				u64 (*lookup)(unsigned long gfn),
				int (*change)(unsigned long gfn))
{
	unsigned int n, every = w->job->arg, hot = w->job->gfn[0];
	unsigned long gfn;

	for (n = 0; n < w->job->batch; n++) {
		gfn = frames[w->cpu][w->i++ % NR_FRAMES];
		if (hot)
			gfn %= STUDY_CHUNK;
		if (every && w->i % every == 0) {
			w->errors += change(gfn) != 0;
			w->count[1]++;
		} else {
			w->errors += !lookup(gfn);
			w->count[0]++;
		}
	}
}

static void tree_mix(struct study_worker *w)
{
	mix(w, tree_lookup, locked_change);
}

static void readers_mix(struct study_worker *w)
{
	mix(w, readers_lookup, readers_change);
}

static void rwlock_mix(struct study_worker *w)
{
	mix(w, rwlock_lookup, locked_change);
}

static void locked_mix(struct study_worker *w)
{
	mix(w, locked_lookup, locked_change);
}

static const struct {
	const char	*name;
	void		(*mix)(struct study_worker *w);
} systems[] = {
	{ "tree", tree_mix },
	{ "exclusive", locked_mix },
	{ "readers", readers_mix },
	{ "rwlock", rwlock_mix },
	{ "global", locked_mix },
};

/* ---- All of it ---------------------------------------------------- */

static void drop_entry(struct p2m_entry entry, void *unused)
{
}

static int fill(void)
{
	unsigned long gfn;
	u32 x = 2463534242U;
	unsigned int i;
	int err;

	for (i = 0; i < NR_PAGES; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i])
			return -ENOMEM;
	}
	for (gfn = 0; gfn < GFNS; gfn++) {
		err = locked_change(gfn);
		if (err)
			return err;
	}
	for (i = 0; i < STUDY_WORKERS * NR_FRAMES; i++) {
		x = study_next(x);
		frames[i % STUDY_WORKERS][i / STUDY_WORKERS] = x % GFNS;
	}
	return 0;
}

static void empty(void)
{
	unsigned int i;

	p2m_map_destroy(&map, drop_entry, NULL);
	for (i = 0; i < NR_PAGES && pages[i]; i++) {
		set_page_private(pages[i], 0);
		__free_page(pages[i]);
	}
}

static void add_jobs(void (*run)(struct study_worker *w))
{
	static const unsigned int per_1000[] = { 0, 1, 10, 100 };
	unsigned int lookers, i, hot;
	struct study_job *job;

	for (lookers = 1; lookers <= STUDY_WORKERS; lookers++)
		for (i = 0; i < ARRAY_SIZE(per_1000); i++)
			for (hot = 0; hot < 2; hot++) {
				job = study_add(&jobs,
						"lookers=%u,updates_per_1000=%u",
						lookers, per_1000[i]);
				job->measures[0] = hot ? "hot_lookups" :
							 "lookups";
				job->measures[1] = hot ? "hot_updates" :
							 "updates";
				job->run = run;
				job->workers = lookers;
				/* These two wait for nobody who looks. */
				job->waits = lookers > 1 && (per_1000[i] ||
					(run != tree_mix && run != readers_mix));
				job->us = lookers > 1 ? 3000 : 1000;
				job->arg = per_1000[i] ? 1000 / per_1000[i] : 0;
				job->gfn[0] = hot;
			}
}

int study_lookups(const char *system)
{
	unsigned int i;
	int err;

	p2m_rangelock_init(&lock, "study");
	err = p2m_map_init(&map, &lock);
	if (err)
		goto out;
	err = fill();
	if (!err)
		err = readers_init(&readers);
	if (!err) {
		for (i = 0; i < ARRAY_SIZE(systems); i++)
			if (!strcmp(system, systems[i].name))
				add_jobs(systems[i].mix);
		err = jobs.nr ? 0 : -EINVAL;
		study_windows(jobs.job, jobs.nr);
		readers_destroy(&readers);
	}
	empty();
out:
	p2m_rangelock_destroy(&lock);
	return err;
}
