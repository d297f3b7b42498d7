// SPDX-License-Identifier: GPL-2.0
/*
 * ranges: what do ranges cost that nobody has aligned?
 *
 * One task gets and puts a range of any number of frames.  It starts at 1 GB, or
 * in the middle of a GB and of a chunk.  Nobody holds anything else, but all
 * chunks around were got before.  "nodes" is how many nodes of the tree make up
 * the range.
 */
#include <linux/sched.h>
#include <linux/string.h>

#include "window.h"

#define GFNS		(16 * STUDY_GB)
#define ALIGNED		(4 * STUDY_GB)
#define UNALIGNED	(ALIGNED + STUDY_GB / 2 + 77)

static struct p2m_rangelock lock;
static struct study_jobs jobs;

static void pairs(struct study_worker *w)
{
	unsigned long gfn = w->job->gfn[0], nr = w->job->arg;
	unsigned int n;

	for (n = 0; n < w->job->batch; n++) {
		if (get_p2m_range(&lock, gfn, nr, P2M_WAIT, 0)) {
			w->errors++;
			return;
		}
		put_p2m_range(&lock, gfn, nr);
	}
	w->count[0] += w->job->batch;
}

/* In steps of one node.  Return: how many, or an error. */
static int count_nodes(unsigned long gfn, unsigned long nr)
{
	int nodes = 0;
	long got;

	for (; nr; gfn += got, nr -= got, nodes++) {
		got = get_p2m_step(&lock, gfn, nr, 1, P2M_WAIT, 0);
		if (got < 0)
			return got;
		put_p2m_range(&lock, gfn, got);
	}
	return nodes;
}

static int add_range(unsigned long gfn, unsigned long nr, bool tree)
{
	struct study_job *job = study_add(&jobs, "frames=%lu,aligned=%s", nr,
					  gfn == ALIGNED ? "yes" : "no");
	int nodes = tree ? count_nodes(gfn, nr) : 0;

	if (nodes < 0)
		return nodes;
	if (tree)
		study_say_value(job->point, "nodes", nodes);
	job->measures[0] = "pair_ns";
	job->run = pairs;
	job->batch = nodes > 100 ? 1 : 16;
	job->gfn[0] = gfn;
	job->arg = nr;
	return 0;
}

int study_ranges(const char *system)
{
	static const unsigned int frames[] = { 1, 512, 513, 262144, 262145,
					       1000000 };
	bool tree = !strcmp(system, "tree");
	unsigned long gfn;
	unsigned int i;
	int err = 0;

	p2m_rangelock_init(&lock, "study");
	for (gfn = 0; !err && gfn < GFNS; gfn += STUDY_CHUNK) {
		err = get_p2m_gfn(&lock, gfn);
		if (!err)
			put_p2m_gfn(&lock, gfn);
	}
	for (i = 0; !err && i < ARRAY_SIZE(frames); i++) {
		err = add_range(ALIGNED, frames[i], tree);
		if (!err)
			err = add_range(UNALIGNED, frames[i], tree);
	}
	if (!err)
		study_windows(jobs.job, jobs.nr);
	p2m_rangelock_destroy(&lock);
	return err;
}
