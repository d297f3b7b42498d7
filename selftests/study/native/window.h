/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Windows: a short time in which a task on CPU 0, or one on CPU 0 and one on
 * CPU 1, does the same thing again and again
 *
 * There are some windows of each job of a question.  The jobs take turns, so
 * that anything that happens to the machine happens to all of them.  If the
 * machine took a CPU away for a while, the window is done again.  If that does
 * not help either, it is called disturbed.  Each window is a line in the log:
 *
 *	study: POINT MEASURE COUNT NS [COUNT NS] [disturbed]
 *
 * In NS nanoseconds the task (and the other one) did something COUNT times.
 */
#ifndef _WINDOW_H
#define _WINDOW_H

#include <linux/bits.h>
#include <linux/cache.h>
#include <linux/completion.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "p2m_rangelock.h"

#define STUDY_WORKERS	2
#define STUDY_MEASURES	2
#define STUDY_POINT	64

/* In frames */
#define STUDY_CHUNK	BIT(9)
#define STUDY_GB	BIT(18)

struct study_job;

/**
 * struct study_worker - the task on one CPU
 * @task: the task
 * @job: what it does
 * @cpu: its CPU, 0 or 1
 * @i: for the job
 * @count: how often it did what the job counts
 * @begin: when it began
 * @ns: how long it took
 * @away: the longest time between two looks at the clock
 * @errors: gets that failed
 * @start: completed to let it begin
 * @done: completed when it has ended
 */
struct study_worker {
	struct task_struct	*task;
	const struct study_job	*job;
	unsigned int		cpu;
	unsigned int		i;
	u64			count[STUDY_MEASURES];
	u64			begin;
	u64			ns;
	u64			away;
	unsigned int		errors;
	struct completion	start;
	struct completion	done;
} ____cacheline_aligned;

/**
 * struct study_job - what is measured
 * @point: of the study, for the log
 * @measures: what is counted, for the log
 * @run: do it @batch times, more or less
 * @batch: how often between two looks at the clock
 * @workers: on how many CPUs
 * @waits: it may wait, so a CPU that does nothing was not taken away
 * @us: length of a window
 * @arg: for @run
 * @gfn: for @run: a frame for each worker
 */
struct study_job {
	char		point[STUDY_POINT];
	const char	*measures[STUDY_MEASURES];
	void		(*run)(struct study_worker *w);
	unsigned int	batch;
	unsigned int	workers;
	bool		waits;
	unsigned int	us;
	unsigned long	arg;
	unsigned long	gfn[STUDY_WORKERS];
};

int study_windows_start(void);
int study_windows_stop(void);
void study_windows(const struct study_job *jobs, unsigned int nr);

/* A list of jobs in the making */
struct study_jobs {
	struct study_job	job[64];
	unsigned int		nr;
};

struct study_job *__printf(2, 3) study_add(struct study_jobs *jobs,
					   const char *point, ...);

/*
 * Lines of the log that are not about a window: something was done @count times
 * in @ns; or a value
 */
void study_say(const char *point, const char *measure, u64 count, u64 ns);
void study_say_value(const char *point, const char *measure, u64 value);

/* Pages that the kernel gave to the current task between the two calls */
int study_count_pages(void);
unsigned long study_pages(void);

/* Numbers in no apparent order, the same ones each time */
static inline u32 study_next(u32 x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

/* The questions: @system is what the loaded lock is called. */
int study_lookups(const char *system);
int study_grains(const char *system);
int study_sizes(const char *system);
int study_ranges(const char *system);

#endif /* _WINDOW_H */
