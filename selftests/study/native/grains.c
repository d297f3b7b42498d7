// SPDX-License-Identifier: GPL-2.0
/*
 * grains: is 2 MB the right unit?
 *
 * Two tasks get one frame each of a guest of 4 GB, hold it, and put it.
 *
 *	same2m		different frames of the same 2 MB
 *	disjoint2m	frames of different 2 MB of the same 1 GB
 *	random		any frames
 *
 * To hold for 1 us is to be busy, for 100 us is to sleep, as for a page that is
 * read.  Then the cost of the calls on one CPU: of one frame, and of 2 MB; and
 * the memory that the lock takes when each frame was got, over 4 (a GB).
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "window.h"

#define GFNS		(4 * STUDY_GB)
#define FIRST		(STUDY_GB + 8 * STUDY_CHUNK)
#define SLEEP_US	100

static struct p2m_rangelock lock;
static struct study_jobs jobs;
static u32 place[STUDY_WORKERS];

static const char * const patterns[] = { "same2m", "disjoint2m", "random" };
static const unsigned int holds_us[] = { 1, SLEEP_US };

/* Hold what was got. */
static void hold(unsigned int us)
{
	ktime_t time = us * NSEC_PER_USEC;
	u64 end;

	if (us >= SLEEP_US) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule_hrtimeout(&time, HRTIMER_MODE_REL);
		return;
	}
	end = ktime_get_ns() + us * NSEC_PER_USEC;
	while (ktime_get_ns() < end)
		cpu_relax();
}

static void get_and_hold(struct study_worker *w)
{
	unsigned long gfn = w->job->gfn[w->cpu];
	unsigned int n;

	for (n = 0; n < w->job->batch; n++) {
		if (!gfn) {
			place[w->cpu] = study_next(place[w->cpu]);
			gfn = place[w->cpu] % GFNS;
		}
		if (get_p2m_gfn(&lock, gfn)) {
			w->errors++;
			return;
		}
		hold(w->job->arg);
		put_p2m_gfn(&lock, gfn);
		w->count[0]++;
		gfn = w->job->gfn[w->cpu];
	}
}

static void pairs(struct study_worker *w)
{
	unsigned int n;

	for (n = 0; n < w->job->batch; n++) {
		if (get_p2m(&lock, FIRST, w->job->arg)) {
			w->errors++;
			return;
		}
		put_p2m(&lock, FIRST, w->job->arg);
	}
	w->count[0] += w->job->batch;
}

static void add_pattern(unsigned int pattern, unsigned int us)
{
	struct study_job *job = study_add(&jobs, "pattern=%s,hold_us=%u",
					  patterns[pattern], us);

	job->measures[0] = "throughput";
	job->run = get_and_hold;
	job->batch = us == SLEEP_US ? 1 : 16;
	job->workers = 2;
	job->waits = true;
	job->us = us == SLEEP_US ? 30000 : 2000;
	job->arg = us;
	if (pattern == 2)
		return;
	job->gfn[0] = FIRST;
	job->gfn[1] = FIRST + (pattern ? 100 * STUDY_CHUNK : STUDY_CHUNK / 2);
}

static void add_pairs(const char *measure, unsigned int order)
{
	struct study_job *job = study_add(&jobs, "*");

	job->measures[0] = measure;
	job->run = pairs;
	job->batch = 64;
	job->arg = order;
}

/* Each frame is got once, so that no node has to be made while measuring. */
static int touch(void)
{
	unsigned long gfn;
	int err;

	for (gfn = 0; gfn < GFNS; gfn++) {
		err = get_p2m_gfn(&lock, gfn);
		if (err)
			return err;
		put_p2m_gfn(&lock, gfn);
	}
	return 0;
}

int study_grains(const char *system)
{
	unsigned int pattern, i;
	int err;

	for (i = 0; i < STUDY_WORKERS; i++)
		place[i] = 2463534242U + i;
	p2m_rangelock_init(&lock, "study");
	err = study_count_pages();
	if (err)
		goto out;
	err = touch();
	study_say_value("*", "bytes_per_gb",
			study_pages() * PAGE_SIZE / (GFNS / STUDY_GB));
	if (err)
		goto out;

	for (pattern = 0; pattern < ARRAY_SIZE(patterns); pattern++)
		for (i = 0; i < ARRAY_SIZE(holds_us); i++)
			add_pattern(pattern, holds_us[i]);
	add_pairs("pair_ns", 0);
	add_pairs("get2m_ns", 9);
	study_windows(jobs.job, jobs.nr);
out:
	p2m_rangelock_destroy(&lock);
	return err;
}
