// SPDX-License-Identifier: GPL-2.0
/* Windows: see window.h. */
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/tracepoint.h>

#include "window.h"

static unsigned int windows = 5;
module_param(windows, uint, 0444);
MODULE_PARM_DESC(windows, "of each job");

/* A CPU that did nothing for this part of a window was away. */
#define AWAY_PART	10
#define MAX_TRIES	100

static struct study_worker workers[STUDY_WORKERS];
static atomic_t arrived;

static void measure(struct study_worker *w)
{
	const struct study_job *job = w->job;
	u64 end, now, then;
	unsigned int i;

	job->run(w);		/* warm */
	for (i = 0; i < STUDY_MEASURES; i++)
		w->count[i] = 0;
	w->away = 0;

	atomic_inc(&arrived);
	while (atomic_read(&arrived) < job->workers)
		if (need_resched())
			schedule();

	w->begin = ktime_get_ns();
	end = w->begin + job->us * NSEC_PER_USEC;
	now = w->begin;
	do {
		job->run(w);
		then = now;
		now = ktime_get_ns();
		w->away = max(w->away, now - then);
	} while (now < end && !w->errors);
	w->ns = now - w->begin;
}

/* A kthread ends when it is told to. */
static void wait_for_stop(void)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
}

static int work(void *arg)
{
	struct study_worker *w = arg;

	for (;;) {
		wait_for_completion(&w->start);
		if (!w->job)
			break;
		measure(w);
		complete(&w->done);
	}
	wait_for_stop();
	return 0;
}

int study_windows_start(void)
{
	struct study_worker *w;
	unsigned int i;

	for (i = 0; i < STUDY_WORKERS; i++) {
		w = &workers[i];
		w->cpu = i;
		init_completion(&w->start);
		init_completion(&w->done);
		w->task = kthread_create_on_cpu(work, w, i, "study/%u");
		if (IS_ERR(w->task))
			return PTR_ERR(w->task);
		wake_up_process(w->task);
	}
	return 0;
}

/* Return: 0; -EIO if a get failed. */
int study_windows_stop(void)
{
	struct study_worker *w;
	int err = 0;

	for (w = workers; w < workers + STUDY_WORKERS; w++) {
		if (IS_ERR_OR_NULL(w->task))
			continue;
		w->job = NULL;
		complete(&w->start);
		kthread_stop(w->task);
		if (w->errors)
			err = -EIO;
	}
	return err;
}

/* Return: false if a CPU was away meanwhile. */
static bool run(const struct study_job *job)
{
	u64 limit = job->us * NSEC_PER_USEC / AWAY_PART;
	bool away = false;
	unsigned int i;

	atomic_set(&arrived, 0);
	for (i = 0; i < job->workers; i++) {
		workers[i].job = job;
		complete(&workers[i].start);
	}
	for (i = 0; i < job->workers; i++) {
		wait_for_completion(&workers[i].done);
		away |= !job->waits && workers[i].away > limit;
	}
	/* Both must have run at the same time. */
	if (job->workers == 2)
		away |= abs_diff(workers[0].begin, workers[1].begin) > limit;
	return !away;
}

static void say(const struct study_job *job, bool disturbed)
{
	const char *mark = disturbed ? " disturbed" : "";
	struct study_worker *w = workers;
	unsigned int i;

	for (i = 0; i < STUDY_MEASURES && job->measures[i]; i++) {
		if (job->workers == 1)
			pr_info("study: %s %s %llu %llu%s\n", job->point,
				job->measures[i], w->count[i], w->ns, mark);
		else
			pr_info("study: %s %s %llu %llu %llu %llu%s\n",
				job->point, job->measures[i], w->count[i],
				w->ns, w[1].count[i], w[1].ns, mark);
	}
}

void study_windows(const struct study_job *jobs, unsigned int nr)
{
	unsigned int n, i, tries;
	const struct study_job *job;
	bool good;

	for (n = 0; n < windows; n++)
		for (i = 0; i < nr; i++) {
			job = &jobs[(i + n) % nr];
			for (tries = 0; tries < MAX_TRIES; tries++) {
				good = run(job);
				if (good)
					break;
			}
			say(job, !good);
		}
}

struct study_job *study_add(struct study_jobs *jobs, const char *point, ...)
{
	struct study_job *job;
	va_list args;

	if (WARN_ON_ONCE(jobs->nr == ARRAY_SIZE(jobs->job)))
		jobs->nr--;
	job = &jobs->job[jobs->nr++];
	va_start(args, point);
	vsnprintf(job->point, sizeof(job->point), point, args);
	va_end(args);
	job->batch = 256;
	job->workers = 1;
	job->us = 1000;
	return job;
}

void study_say(const char *point, const char *measure, u64 count, u64 ns)
{
	pr_info("study: %s %s %llu %llu\n", point, measure, count, ns);
}

void study_say_value(const char *point, const char *measure, u64 value)
{
	pr_info("study: %s %s %llu\n", point, measure, value);
}

/* ---- Memory ------------------------------------------------------- */

static unsigned long pages_given;
static struct task_struct *page_taker;
static struct tracepoint *page_tracepoint;

static void count_pages(void *data, struct page *page, unsigned int order,
			gfp_t gfp, int migratetype)
{
	if (page && current == page_taker)
		pages_given += 1UL << order;
}

static void find_page_tracepoint(struct tracepoint *tp, void *data)
{
	if (!strcmp(tp->name, "mm_page_alloc"))
		page_tracepoint = tp;
}

int study_count_pages(void)
{
	for_each_kernel_tracepoint(find_page_tracepoint, NULL);
	if (!page_tracepoint)
		return -ENOENT;
	pages_given = 0;
	page_taker = current;
	return tracepoint_probe_register(page_tracepoint, count_pages, NULL);
}

unsigned long study_pages(void)
{
	tracepoint_probe_unregister(page_tracepoint, count_pages, NULL);
	tracepoint_synchronize_unregister();
	return pages_given;
}
