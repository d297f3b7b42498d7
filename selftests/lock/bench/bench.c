// SPDX-License-Identifier: GPL-2.0
/*
 * bench: the cost of p2m_rangelock, beside other locks
 *
 * scripts/bench-lock loads this in user-mode Linux.  Loading takes as long as
 * the benchmark does.  Then the script makes figures from the kernel's log:
 *
 *	bench: CASE REPEAT PAIRS NS [PAIRS NS] [disturbed]
 *
 * In NS nanoseconds a task on CPU 0 (and one on CPU 1) did PAIRS pairs of get
 * and put.  Every repeat runs all cases in turn, each for a short window, so
 * that anything that happens to the machine happens to all of them.  If the
 * machine took a CPU away for a while, the window is done again.  If that does
 * not help either, it is called disturbed.
 *
 *	bench: wake REPEAT NS
 *
 * A put of all took NS nanoseconds while 256 tasks waited below.
 *
 *	bench: windows N again M
 *	bench: memory PAGES CHUNKS
 *
 * The kernel's page allocator gave PAGES to a lock when CHUNKS were first got.
 */
#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "p2m_rangelock.h"
#include "rivals.h"

static unsigned int repeats = 41;
module_param(repeats, uint, 0444);
MODULE_PARM_DESC(repeats, "how often each case is measured");

#define WINDOW		(1 * NSEC_PER_MSEC)
/* A CPU that did nothing for this long was away. */
#define AWAY		(WINDOW / 10)
#define MAX_TRIES	50

/* In frames. */
#define GB		BIT(18)
#define CHUNK		BIT(P2M_CHUNK_ORDER)

/* Some cases hold so many chunks meanwhile, every other one. */
#define HELD		1000
#define HELD_GFN(i)	(8 * GB + 2 * (i) * CHUNK)
/* Steps of this size visit all of them, in no apparent order. */
#define STRIDE		619

struct bench_case;

/**
 * struct worker - the task on one CPU
 * @task: the task
 * @what: the case that it measures
 * @gfn: the frame that it gets
 * @i: where it is among the HELD chunks
 * @start: completed to let it begin
 * @done: completed when it has ended
 * @pairs: how many pairs it did
 * @begin: when it began
 * @ns: how long it took
 * @away: the longest time between two batches of pairs
 * @errors: gets that failed
 * @word: a word that no other task touches
 */
struct worker {
	struct task_struct	*task;
	const struct bench_case	*what;
	unsigned long		gfn;
	unsigned int		i;
	struct completion	start;
	struct completion	done;
	u64			pairs;
	u64			begin;
	u64			ns;
	u64			away;
	unsigned int		errors;
	atomic_long_t		word ____cacheline_aligned;
} ____cacheline_aligned;

/**
 * struct bench_case - one case that is measured
 * @name: in the log
 * @pairs: does some pairs of get and put
 * @batch: how many pairs it does between two looks at the clock
 * @workers: how many CPUs do it
 * @waits: whether one may have to wait for the other, for any time
 * @gfn: the frame that each of them gets
 * @before: called by each worker first
 * @after: called by each worker last
 */
struct bench_case {
	const char	*name;
	void		(*pairs)(struct worker *w, unsigned int n);
	unsigned int	batch;
	unsigned int	workers;
	bool		waits;
	unsigned long	gfn[4];
	void		(*before)(struct worker *w);
	void		(*after)(struct worker *w);
};

/* Two on each CPU.  Most cases use one, or one on each CPU. */
static struct worker workers[4];
static atomic_t arrived;

static struct p2m_rangelock tree, tree_64g, tree_1t;
#define GUESTS		4
static struct p2m_rangelock guests[GUESTS];
static struct mutex mutexes[GUESTS];
static DEFINE_MUTEX(mutex);
static DECLARE_RWSEM(rwsem);
static DEFINE_SPINLOCK(spinlock);
static struct global_lock global;
static struct interval_lock interval;
static struct interval_range *held;

/* ------------------------------------------------------------------ */
/* Pairs                                                               */
/* ------------------------------------------------------------------ */

#define PAIRS(name, get, put)						\
static void pairs_##name(struct worker *w, unsigned int n)		\
{									\
	while (n--) {							\
		get;							\
		put;							\
	}								\
}

/* If a get can fail, its result is checked, as any caller must do. */
#define PAIRS_ERR(name, get, put)					\
static void pairs_##name(struct worker *w, unsigned int n)		\
{									\
	while (n--) {							\
		if (get) {						\
			w->errors++;					\
			return;						\
		}							\
		put;							\
	}								\
}

PAIRS(mutex, mutex_lock(&mutex), mutex_unlock(&mutex))
PAIRS(rwsem_read, down_read(&rwsem), up_read(&rwsem))
PAIRS(rwsem_write, down_write(&rwsem), up_write(&rwsem))
PAIRS(spinlock, spin_lock(&spinlock), spin_unlock(&spinlock))
PAIRS(global, global_get(&global), global_put(&global))
PAIRS_ERR(tree, get_p2m_gfn(&tree, w->gfn), put_p2m_gfn(&tree, w->gfn))
PAIRS_ERR(1gb, get_p2m(&tree, 0, 18), put_p2m(&tree, 0, 18))
PAIRS_ERR(all_64g, get_p2m_all(&tree_64g, P2M_WAIT, 0), put_p2m_all(&tree_64g))
PAIRS_ERR(all_1t, get_p2m_all(&tree_1t, P2M_WAIT, 0), put_p2m_all(&tree_1t))

/* A get that remembers its node */
static void pairs_hold(struct worker *w, unsigned int n)
{
	struct p2m_rangelock_hold hold;

	while (n--) {
		if (get_p2m_hold(&hold, &tree, w->gfn, 0, P2M_WAIT)) {
			w->errors++;
			return;
		}
		put_p2m_hold(&hold);
	}
}

static struct p2m_rangelock *tree_of(struct worker *w)
{
	return w->gfn ? &tree_1t : &tree;
}

/* A try that fails, since another task claims all */
static void pairs_try(struct worker *w, unsigned int n)
{
	struct p2m_rangelock *lock = tree_of(w);

	while (n--)
		w->errors += try_get_p2m(lock, w->gfn, 0) != -EBUSY;
}

/* Several tasks want the same locks, one after the other. */
static unsigned int next_of_many(struct worker *w)
{
	w->i = (w->i + 1) % GUESTS;
	return w->i;
}

/* What is done under such a lock */
static void do_work(void)
{
	unsigned int i;

	for (i = 0; i < 50; i++)
		cpu_relax();
}

static void put_guest(struct worker *w)
{
	do_work();
	put_p2m_gfn(&guests[w->i], 0);
}

static void unlock_mutex(struct worker *w)
{
	do_work();
	mutex_unlock(&mutexes[w->i]);
}

PAIRS_ERR(guests, get_p2m_gfn(&guests[next_of_many(w)], 0), put_guest(w))
PAIRS(mutexes, mutex_lock(&mutexes[next_of_many(w)]), unlock_mutex(w))

/*
 * Two atomic operations on a word that no other task touches.  With two CPUs,
 * this shows what the machine can give: two CPUs of a shared machine may be one
 * core.
 */
static void pairs_own_word(struct worker *w, unsigned int n)
{
	long old;

	while (n--) {
		old = 0;
		if (!atomic_long_try_cmpxchg(&w->word, &old, 1))
			w->errors++;
		old = 1;
		if (!atomic_long_try_cmpxchg_release(&w->word, &old, 0))
			w->errors++;
	}
}

static void pairs_interval(struct worker *w, unsigned int n)
{
	struct interval_range range;

	while (n--) {
		interval_get(&interval, &range, w->gfn, w->gfn + CHUNK - 1);
		interval_put(&interval, &range);
	}
}

/* The next of the chunks between those that are held */
static unsigned long among_held(struct worker *w)
{
	w->i += STRIDE;
	if (w->i >= HELD)
		w->i -= HELD;
	return HELD_GFN(w->i) + CHUNK;
}

static void pairs_tree_among(struct worker *w, unsigned int n)
{
	unsigned long gfn;

	while (n--) {
		gfn = among_held(w);
		if (get_p2m_gfn(&tree, gfn)) {
			w->errors++;
			return;
		}
		put_p2m_gfn(&tree, gfn);
	}
}

static void pairs_interval_among(struct worker *w, unsigned int n)
{
	struct interval_range range;
	unsigned long gfn;

	while (n--) {
		gfn = among_held(w);
		interval_get(&interval, &range, gfn, gfn + CHUNK - 1);
		interval_put(&interval, &range);
	}
}

/* CPU 0 gets the gigabyte in which CPU 1 gets a chunk. */
static void pairs_wide_narrow(struct worker *w, unsigned int n)
{
	if (w == workers)
		pairs_1gb(w, n);
	else
		pairs_tree(w, n);
}

/* ------------------------------------------------------------------ */
/* Ranges that are held meanwhile                                      */
/* ------------------------------------------------------------------ */

static void get_outer(struct worker *w)
{
	w->errors += get_p2m_gfn(&tree, w->gfn) != 0;
}

static void put_outer(struct worker *w)
{
	put_p2m_gfn(&tree, w->gfn);
}

static void get_outer_global(struct worker *w)
{
	global_get(&global);
}

static void put_outer_global(struct worker *w)
{
	global_put(&global);
}

static void get_many(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < HELD; i++)
		w->errors += get_p2m_gfn(&tree, HELD_GFN(i)) != 0;
}

static void put_many(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < HELD; i++)
		put_p2m_gfn(&tree, HELD_GFN(i));
}

static void get_many_intervals(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < HELD; i++)
		interval_get(&interval, &held[i], HELD_GFN(i),
			     HELD_GFN(i) + CHUNK - 1);
}

static void put_many_intervals(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < HELD; i++)
		interval_put(&interval, &held[i]);
}

/* A kthread ends when it is told to. */
static void wait_for_stop(void)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
}

/* One task holds a chunk, and another one claims all, and waits for it. */
static struct task_struct *holder, *claimer;

static int hold_a_chunk(void *lock)
{
	if (get_p2m_gfn(lock, CHUNK))
		return -EIO;
	wait_for_stop();
	put_p2m_gfn(lock, CHUNK);
	return 0;
}

static int claim_all(void *lock)
{
	if (get_p2m_all(lock, P2M_WAIT, 0))
		return -EIO;
	put_p2m_all(lock);
	wait_for_stop();
	return 0;
}

static void wait_until_busy(struct p2m_rangelock *lock, unsigned long gfn)
{
	while (try_get_p2m(lock, gfn, 0) != -EBUSY) {
		put_p2m(lock, gfn, 0);
		schedule_timeout_uninterruptible(1);
	}
}

static void begin_claim(struct worker *w)
{
	struct p2m_rangelock *lock = tree_of(w);

	holder = kthread_run(hold_a_chunk, lock, "bench/holder");
	wait_until_busy(lock, CHUNK);
	claimer = kthread_run(claim_all, lock, "bench/claimer");
	/* Its claim is seen once a chunk that nobody holds cannot be had. */
	wait_until_busy(lock, 0);
}

static void end_claim(struct worker *w)
{
	w->errors += kthread_stop(holder) != 0;
	w->errors += kthread_stop(claimer) != 0;
}

/* ------------------------------------------------------------------ */
/* A plain loop over as many words as there are chunks                  */
/* ------------------------------------------------------------------ */

/* Each word has a cache line of its own, in pages as they are allocated. */
#define WORDS_PER_PAGE	(PAGE_SIZE / SMP_CACHE_BYTES)

struct words {
	unsigned int	nr_pages;
	void		*pages[];
};

static struct words *words_64g, *words_1t;

static void words_free(struct words *words)
{
	unsigned int i;

	if (!words)
		return;
	for (i = 0; i < words->nr_pages; i++)
		free_page((unsigned long)words->pages[i]);
	kvfree(words);
}

static struct words *words_alloc(unsigned int nr)
{
	unsigned int nr_pages = nr / WORDS_PER_PAGE;
	struct words *words = kvzalloc(struct_size(words, pages, nr_pages),
				       GFP_KERNEL);

	if (!words)
		return NULL;
	for (; words->nr_pages < nr_pages; words->nr_pages++) {
		words->pages[words->nr_pages] =
			(void *)get_zeroed_page(GFP_KERNEL);
		if (!words->pages[words->nr_pages]) {
			words_free(words);
			return NULL;
		}
	}
	return words;
}

static unsigned int words_scan(const struct words *words)
{
	unsigned int i, found = 0;
	void *word;

	for (i = 0; i < words->nr_pages; i++)
		for (word = words->pages[i]; word < words->pages[i] + PAGE_SIZE;
		     word += SMP_CACHE_BYTES)
			if (READ_ONCE(*(unsigned long *)word))
				found++;
	return found;
}

PAIRS(scan_64g, w->errors += words_scan(words_64g), (void)0)
PAIRS(scan_1t, w->errors += words_scan(words_1t), (void)0)

/* ------------------------------------------------------------------ */
/* Cases                                                               */
/* ------------------------------------------------------------------ */

static const struct bench_case cases[] = {
	/* One CPU */
	{ "own_word", pairs_own_word, 256, 1 },
	{ "mutex", pairs_mutex, 256, 1 },
	{ "tree", pairs_tree, 256, 1 },
	{ "hold", pairs_hold, 256, 1 },
	{ "tree_recursive", pairs_tree, 256, 1,
	  .before = get_outer, .after = put_outer },
	{ "rwsem_read", pairs_rwsem_read, 256, 1 },
	{ "rwsem_write", pairs_rwsem_write, 256, 1 },
	{ "spinlock", pairs_spinlock, 256, 1 },
	{ "global", pairs_global, 256, 1 },
	{ "global_recursive", pairs_global, 256, 1,
	  .before = get_outer_global, .after = put_outer_global },
	{ "interval", pairs_interval, 256, 1 },
	{ "interval_1000_held", pairs_interval_among, 256, 1,
	  .before = get_many_intervals, .after = put_many_intervals },
	{ "tree_1000_held", pairs_tree_among, 256, 1,
	  .before = get_many, .after = put_many },
	{ "try_1g", pairs_try, 1, 1, .gfn = { 0 },
	  .before = begin_claim, .after = end_claim },
	{ "try_1t", pairs_try, 1, 1, .gfn = { 1000 * GB },
	  .before = begin_claim, .after = end_claim },
	{ "tree_1gb", pairs_1gb, 16, 1 },
	{ "tree_all_64g", pairs_all_64g, 1, 1 },
	{ "scan_64g", pairs_scan_64g, 1, 1 },
	{ "tree_all_1t", pairs_all_1t, 1, 1 },
	{ "scan_1t", pairs_scan_1t, 1, 1 },

	/* Two */
	{ "own_word_2", pairs_own_word, 256, 2 },
	{ "tree_far_2", pairs_tree, 256, 2, .gfn = { 0, 2 * GB } },
	{ "tree_neighbour_2", pairs_tree, 256, 2,
	  .gfn = { 8 * CHUNK, 9 * CHUNK } },
	{ "tree_same_2", pairs_tree, 64, 2, true },
	{ "tree_wide_narrow_2", pairs_wide_narrow, 8, 2, true },
	{ "mutex_2", pairs_mutex, 64, 2, true },
	{ "rwsem_read_2", pairs_rwsem_read, 256, 2 },
	{ "rwsem_write_2", pairs_rwsem_write, 64, 2, true },
	{ "global_2", pairs_global, 64, 2, true },
	{ "interval_2", pairs_interval, 64, 2, .gfn = { 0, 2 * GB } },

	/* Two on each */
	{ "guests_4", pairs_guests, 64, 4, true },
	{ "mutexes_4", pairs_mutexes, 64, 4, true },
};

/* ------------------------------------------------------------------ */
/* Measuring                                                           */
/* ------------------------------------------------------------------ */

static void measure(struct worker *w)
{
	const struct bench_case *c = w->what;
	u64 now, then;

	if (c->before)
		c->before(w);
	c->pairs(w, 1);		/* warm */
	w->pairs = 0;
	w->away = 0;

	atomic_inc(&arrived);
	/* In a kernel that can be preempted, cond_resched() does nothing. */
	while (atomic_read(&arrived) < c->workers)
		if (need_resched())
			schedule();

	w->begin = ktime_get_ns();
	now = w->begin;
	do {
		c->pairs(w, c->batch);
		w->pairs += c->batch;
		then = now;
		now = ktime_get_ns();
		w->away = max(w->away, now - then);
	} while (now < w->begin + WINDOW);
	w->ns = now - w->begin;

	if (c->after)
		c->after(w);
}

static int work(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		wait_for_completion(&w->start);
		if (!w->what)
			break;
		measure(w);
		complete(&w->done);
	}
	wait_for_stop();
	return 0;
}

/* Run one window of one case.  Return: false if a CPU was away meanwhile */
static bool run(const struct bench_case *c)
{
	bool away = false;
	unsigned int i;

	atomic_set(&arrived, 0);
	for (i = 0; i < c->workers; i++) {
		workers[i].what = c;
		workers[i].gfn = c->gfn[i];
		complete(&workers[i].start);
	}
	for (i = 0; i < c->workers; i++) {
		wait_for_completion(&workers[i].done);
		/* A case that takes long itself looks the same, so skip it. */
		away |= c->batch > 1 && !c->waits && workers[i].away > AWAY;
	}
	/* Both must have run at the same time. */
	if (c->workers == 2)
		away |= abs_diff(workers[0].begin, workers[1].begin) > AWAY;
	return !away;
}

/* ------------------------------------------------------------------ */
/* A put that many wait for                                            */
/* ------------------------------------------------------------------ */

#define WAITERS		256

static int wait_below(void *number)
{
	unsigned long gfn = (unsigned long)number * CHUNK;
	int err = get_p2m_gfn(&tree, gfn);

	if (!err)
		put_p2m_gfn(&tree, gfn);
	wait_for_stop();
	return err;
}

static void measure_wake(unsigned int repeat)
{
	static struct task_struct *tasks[WAITERS];
	unsigned long before = p2m_rangelock_stat(&tree, P2M_STAT_waits);
	unsigned long i;
	u64 ns;

	if (get_p2m_all(&tree, P2M_WAIT, 0))
		return;
	for (i = 0; i < WAITERS; i++)
		tasks[i] = kthread_run(wait_below, (void *)i, "bench/w%lu", i);
	while (p2m_rangelock_stat(&tree, P2M_STAT_waits) < before + WAITERS)
		schedule_timeout_uninterruptible(1);

	/* No other task runs here before it is over. */
	preempt_disable();
	ns = ktime_get_ns();
	put_p2m_all(&tree);
	ns = ktime_get_ns() - ns;
	preempt_enable();

	for (i = 0; i < WAITERS; i++)
		workers[0].errors += kthread_stop(tasks[i]) != 0;
	pr_info("bench: wake %u %llu\n", repeat, ns);
}

static void run_all(void)
{
	unsigned int r, i, n, at, tries, windows = 0, again = 0;
	char line[4 * 42];
	const struct bench_case *c;
	struct worker *w = workers;
	const char *mark;

	for (r = 0; r < repeats; r++) {
		for (i = 0; i < ARRAY_SIZE(cases); i++) {
			c = &cases[(i + r) % ARRAY_SIZE(cases)];
			mark = "";
			for (tries = 1; !run(c); tries++) {
				if (tries == MAX_TRIES) {
					mark = " disturbed";
					break;
				}
				again++;
			}
			windows += tries;
			for (n = 0, at = 0; n < c->workers; n++)
				at += scnprintf(line + at, sizeof(line) - at,
						" %llu %llu", w[n].pairs,
						w[n].ns);
			pr_info("bench: %s %u%s%s\n", c->name, r, line, mark);
		}
		measure_wake(r);
	}
	pr_info("bench: windows %u again %u\n", windows, again);
}

/* ------------------------------------------------------------------ */
/* Memory                                                              */
/* ------------------------------------------------------------------ */

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

/* Get each of @nr chunks once. */
static int fill(struct p2m_rangelock *lock, unsigned long nr)
{
	unsigned long i;
	int err;

	for (i = 0; i < nr; i++) {
		err = get_p2m_gfn(lock, i * CHUNK);
		if (err)
			return err;
		put_p2m_gfn(lock, i * CHUNK);
	}
	return 0;
}

static int fill_and_count(struct p2m_rangelock *lock, unsigned long nr)
{
	int err;

	for_each_kernel_tracepoint(find_page_tracepoint, NULL);
	if (!page_tracepoint)
		return -ENOENT;
	page_taker = current;
	err = tracepoint_probe_register(page_tracepoint, count_pages, NULL);
	if (err)
		return err;
	err = fill(lock, nr);
	tracepoint_probe_unregister(page_tracepoint, count_pages, NULL);
	tracepoint_synchronize_unregister();
	pr_info("bench: memory %lu %lu\n", pages_given, nr);
	return err;
}

/* ------------------------------------------------------------------ */
/* The whole benchmark                                                 */
/* ------------------------------------------------------------------ */

static int prepare(void)
{
	int err;

	words_64g = words_alloc(64 * GB / CHUNK);
	words_1t = words_alloc(1024 * GB / CHUNK);
	held = kvcalloc(HELD, sizeof(*held), GFP_KERNEL);
	if (!words_64g || !words_1t || !held)
		return -ENOMEM;

	err = fill(&tree, 16 * GB / CHUNK);
	if (!err)
		err = fill(&tree_64g, 64 * GB / CHUNK);
	if (!err)
		err = fill_and_count(&tree_1t, 1024 * GB / CHUNK);
	return err;
}

static void stop_worker(struct worker *w)
{
	if (IS_ERR_OR_NULL(w->task))
		return;
	w->what = NULL;
	complete(&w->start);
	kthread_stop(w->task);
}

static int start_worker(struct worker *w, unsigned int cpu)
{
	init_completion(&w->start);
	init_completion(&w->done);
	w->task = kthread_create_on_cpu(work, w, cpu, "bench/%u");
	if (IS_ERR(w->task))
		return PTR_ERR(w->task);
	wake_up_process(w->task);
	return 0;
}

static int __init bench_init(void)
{
	unsigned int i;
	int err;

	global_init(&global);
	interval_init(&interval);
	p2m_rangelock_init(&tree, "bench");
	p2m_rangelock_init(&tree_64g, "bench");
	p2m_rangelock_init(&tree_1t, "bench");
	for (i = 0; i < GUESTS; i++) {
		mutex_init(&mutexes[i]);
		p2m_rangelock_init(&guests[i], "bench");
	}

	err = num_online_cpus() < 2 ? -ENODEV : 0;
	if (!err)
		err = prepare();
	for (i = 0; !err && i < ARRAY_SIZE(workers); i++)
		err = start_worker(&workers[i], i % 2);
	if (!err)
		run_all();
	for (i = 0; i < ARRAY_SIZE(workers); i++) {
		stop_worker(&workers[i]);
		if (!err && workers[i].errors)
			err = -EIO;
	}
	kvfree(held);
	words_free(words_64g);
	words_free(words_1t);
	p2m_rangelock_destroy(&tree);
	p2m_rangelock_destroy(&tree_64g);
	p2m_rangelock_destroy(&tree_1t);
	for (i = 0; i < GUESTS; i++)
		p2m_rangelock_destroy(&guests[i]);
	return err;
}
module_init(bench_init);

static void __exit bench_exit(void)
{
}
module_exit(bench_exit);

MODULE_DESCRIPTION("Benchmark of p2m_rangelock");
MODULE_LICENSE("GPL");
