// SPDX-License-Identifier: GPL-2.0
/*
 * torture: many tasks get and put ranges of a few locks at random
 *
 * The script run loads this in user-mode Linux, with more tasks than CPUs and
 * more CPUs than the machine has, so that a task can stop anywhere.  Loading
 * takes as long as the test does.  The result is in the kernel's log, in KTAP.
 *
 * Each task holds up to HOLDS ranges at a time, and gets and puts them in
 * random order.  They are of any size, aligned or not, within and around what
 * the task holds already, and in several guests at once.  The task waits in all
 * ways, and signals interrupt it.  What is checked:
 *
 *  exclusion	A few clusters of chunks have stamps.  A task that gets a chunk
 *		must find its stamp blank.  It writes its name there, and must
 *		find that unchanged later.
 *  recursion	The lock must tell a task that it holds what it holds, and
 *		nothing else.  No get of a part of that may fail.
 *  errors	A get may fail only as documented, and then holds nothing new.
 *  progress	No task may wait for longer than any holder holds.
 *  nothing left	In the end everything must be free.
 *  coverage	Each kind of detour that the lock counts must have been taken,
 *		if the test had ten seconds.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "p2m_rangelock.h"

static unsigned int seconds = 10;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long to go on");

static unsigned int threads = 8;
module_param(threads, uint, 0444);
MODULE_PARM_DESC(threads, "how many tasks");

static unsigned int stall = 20;
module_param(stall, uint, 0444);
MODULE_PARM_DESC(stall,
		 "seconds without progress of a task that are a failure");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "of the random choices");

static bool busted;
module_param(busted, bool, 0444);
MODULE_PARM_DESC(busted, "the lock has a defect: stop as soon as it is found");

#define GUESTS		3
#define HOLDS		12
#define SLOTS		16	/* stamped chunks in a cluster */

/* The first chunk of each cluster, around the borders of nodes of each level */
static const unsigned long clusters[] = {
	0,
	BIT(9) - SLOTS / 2,
	BIT(18) - SLOTS / 2,
	BIT(18) + 3 * BIT(9),
	BIT(27) - SLOTS / 2,
	BIT(36) + 5 * BIT(18) + 7,
	BIT(P2M_GFN_BITS - P2M_CHUNK_ORDER) - SLOTS,
};

#define STAMPS		(ARRAY_SIZE(clusters) * SLOTS)

/* What can happen to a get, for the statistics */
#define TORTURE_EVENTS(x)						\
	x(got) x(within) x(widened) x(several_guests) x(stepped)	\
	x(busy) x(deadlock) x(deadlock_with_empty_hands)		\
	x(interrupted) x(invalid) x(no_memory)

enum torture_event {
#define EVENT(name) EV_##name,
	TORTURE_EVENTS(EVENT)
#undef EVENT
	NR_EVENTS
};

static const char *const event_names[] = {
#define EVENT(name) #name,
	TORTURE_EVENTS(EVENT)
#undef EVENT
};

static const char *const stat_names[] = {
#define P2M_STAT(name) #name,
	P2M_RANGELOCK_STATS(P2M_STAT)
#undef P2M_STAT
};

/* The checks: each is one line of the result. */
enum torture_check {
	EXCLUSION, RECURSION, ERRORS, PROGRESS, NOTHING_LEFT, COVERAGE,
	NR_CHECKS
};

static const char *const check_names[] = {
	[EXCLUSION]	= "exclusion",
	[RECURSION]	= "recursion",
	[ERRORS]	= "errors",
	[PROGRESS]	= "progress",
	[NOTHING_LEFT]	= "nothing left",
	[COVERAGE]	= "coverage",
};

/**
 * struct stamp - the owner of a chunk, written by the tasks themselves
 * @owner: the task that has it
 * @begun: how often it was got when nobody had it
 * @ended: how often it was put for good
 */
struct stamp {
	struct torturer	*owner;
	unsigned long	begun;
	unsigned long	ended;
};

struct guest {
	struct p2m_rangelock	lock;
	struct stamp		stamps[STAMPS];
};

/**
 * struct hold - the ranges of one get
 * @kind: the function that got them
 * @guest: the guest
 * @gfn: first frame
 * @nr: number of frames
 * @guest2: HOLD_TWO: the other guest
 * @gfn2: HOLD_TWO: first frame there
 */
struct hold {
	enum { HOLD_RANGE, HOLD_STEP, HOLD_ALL, HOLD_TWO } kind;
	unsigned int	guest;
	unsigned long	gfn;
	unsigned long	nr;
	unsigned int	guest2;
	unsigned long	gfn2;
};

/**
 * struct torturer - one task
 * @task: the task
 * @rnd: its source of random numbers
 * @holds: its gets that it has not put
 * @nr_holds: how many these are
 * @mine: how many times it holds each stamped chunk
 * @in_guest: how many holds it has in each guest
 * @subclass: the subclass of each guest, for lockdep
 * @top: the highest of these
 * @waiting: the get that it does now
 * @wait: how it waits there
 * @doing: what it is doing, for reports
 * @since: jiffies when it began that
 * @events: how often each event happened
 */
struct torturer {
	struct task_struct	*task;
	struct rnd_state	rnd;
	struct hold		holds[HOLDS];
	unsigned int		nr_holds;
	unsigned int		mine[GUESTS][STAMPS];
	unsigned int		in_guest[GUESTS];
	unsigned int		subclass[GUESTS];
	unsigned int		top;
	struct hold		waiting;
	enum p2m_wait		wait;
	const char		*doing;
	unsigned long		since;
	unsigned long		events[NR_EVENTS];
};

static struct guest *guests;
static struct torturer *torturers;
static atomic_t running;
static atomic_t failures[NR_CHECKS];
static bool enough;

/* Count a failure, and print the first few. */
#define fail(check, fmt, ...)						\
do {									\
	if (atomic_inc_return(&failures[check]) <= 3)			\
		pr_info("    # %s: " fmt "\n", check_names[check],	\
			##__VA_ARGS__);					\
	if (busted)							\
		WRITE_ONCE(enough, true);				\
} while (0)

static u32 rnd(struct torturer *t, u32 below)
{
	return prandom_u32_state(&t->rnd) % below;
}

static bool one_in(struct torturer *t, u32 n)
{
	return !rnd(t, n);
}

static void begin(struct torturer *t, const char *doing)
{
	WRITE_ONCE(t->since, jiffies);
	WRITE_ONCE(t->doing, doing);
}

/* ------------------------------------------------------------------ */
/* Stamps                                                              */
/* ------------------------------------------------------------------ */

/* The gfn of a stamped chunk */
static unsigned long stamp_gfn(unsigned int i)
{
	return (clusters[i / SLOTS] + i % SLOTS) << P2M_CHUNK_ORDER;
}

static bool stamp_in(unsigned int i, unsigned long gfn, unsigned long nr)
{
	unsigned long chunk = stamp_gfn(i) >> P2M_CHUNK_ORDER;

	return chunk >= gfn >> P2M_CHUNK_ORDER &&
	       chunk <= (gfn + nr - 1) >> P2M_CHUNK_ORDER;
}

/* The lock and the test must agree on what this task holds of a range. */
static void check_held(struct torturer *t, unsigned int g, unsigned long gfn,
		       unsigned long nr)
{
	struct guest *guest = &guests[g];
	unsigned int i;

	for (i = 0; i < STAMPS; i++) {
		if (!stamp_in(i, gfn, nr))
			continue;
		if (t->mine[g][i] && READ_ONCE(guest->stamps[i].owner) != t)
			fail(EXCLUSION,
			     "guest %u gfn %#lx was taken from its holder",
			     g, stamp_gfn(i));
		if (p2m_held(&guest->lock, stamp_gfn(i), P2M_CHUNK_ORDER) !=
		    !!t->mine[g][i])
			fail(RECURSION, "guest %u gfn %#lx is got %u times, p2m_held() is mistaken",
			     g, stamp_gfn(i), t->mine[g][i]);
	}
}

static void stamp(struct torturer *t, unsigned int g, unsigned long gfn,
		  unsigned long nr)
{
	struct stamp *s = guests[g].stamps;
	unsigned int i;

	for (i = 0; i < STAMPS; i++, s++) {
		if (!stamp_in(i, gfn, nr) || t->mine[g][i]++)
			continue;
		if (READ_ONCE(s->owner) || s->begun != s->ended)
			fail(EXCLUSION,
			     "guest %u gfn %#lx was got by two tasks",
			     g, stamp_gfn(i));
		WRITE_ONCE(s->owner, t);
		s->begun++;
	}
}

static void unstamp(struct torturer *t, unsigned int g, unsigned long gfn,
		    unsigned long nr)
{
	struct stamp *s = guests[g].stamps;
	unsigned int i;

	for (i = 0; i < STAMPS; i++, s++) {
		if (!stamp_in(i, gfn, nr) || --t->mine[g][i])
			continue;
		s->ended++;
		if (s->begun != s->ended)
			fail(EXCLUSION,
			     "guest %u gfn %#lx was got while it was held",
			     g, stamp_gfn(i));
		WRITE_ONCE(s->owner, NULL);
	}
}

/* ------------------------------------------------------------------ */
/* Holds                                                               */
/* ------------------------------------------------------------------ */

static void describe(const char *what, const struct hold *h)
{
	static const char *const kinds[] = {
		[HOLD_RANGE] = "range", [HOLD_STEP] = "step",
		[HOLD_ALL] = "all", [HOLD_TWO] = "two",
	};

	pr_info("    #   %s %s: guest %u [%#lx, +%#lx)\n", what, kinds[h->kind],
		h->guest, h->gfn, h->nr);
	if (h->kind == HOLD_TWO)
		pr_info("    #     and guest %u [%#lx, +%#lx)\n", h->guest2,
			h->gfn2, h->nr);
}

static void for_ranges(struct torturer *t, const struct hold *h,
		       void (*f)(struct torturer *t, unsigned int g,
				 unsigned long gfn, unsigned long nr))
{
	f(t, h->guest, h->gfn, h->nr);
	if (h->kind == HOLD_TWO)
		f(t, h->guest2, h->gfn2, h->nr);
}

static void put(struct torturer *t, unsigned int i)
{
	struct hold h = t->holds[i];
	struct p2m_rangelock *lock = &guests[h.guest].lock;

	t->holds[i] = t->holds[--t->nr_holds];
	begin(t, "put");
	for_ranges(t, &h, check_held);
	for_ranges(t, &h, unstamp);
	switch (h.kind) {
	case HOLD_RANGE:
	case HOLD_STEP:
		put_p2m_range(lock, h.gfn, h.nr);
		break;
	case HOLD_ALL:
		put_p2m_all(lock);
		break;
	case HOLD_TWO:
		put_p2m_two(lock, h.gfn, &guests[h.guest2].lock, h.gfn2,
			    ilog2(h.nr));
		t->in_guest[h.guest2]--;
		break;
	}
	for_ranges(t, &h, check_held);
	t->in_guest[h.guest]--;
	if (!t->nr_holds)
		t->top = 0;
}

/* Does the task hold all of a range by a single get? */
static bool within(struct torturer *t, const struct hold *h)
{
	const struct hold *o;
	unsigned int i;

	if (h->kind == HOLD_TWO)
		return false;
	for (i = 0; i < t->nr_holds; i++) {
		o = &t->holds[i];
		if (o->guest != h->guest)
			continue;
		if (o->kind == HOLD_ALL ||
		    (h->kind != HOLD_ALL && o->gfn <= h->gfn &&
		     h->gfn + h->nr <= o->gfn + o->nr))
			return true;
	}
	return false;
}

/* The subclass of a guest, for lockdep: it rises while others are held. */
static unsigned int subclass(struct torturer *t, unsigned int g)
{
	unsigned int i;

	for (i = 0; i < GUESTS; i++)
		if (i != g && t->in_guest[i] && t->subclass[i] == t->top)
			return t->top + 1;
	return t->top;
}

static int call(struct torturer *t, struct hold *h, unsigned int sub)
{
	struct p2m_rangelock *lock = &guests[h->guest].lock;
	bool atomic = t->wait == P2M_TRY && one_in(t, 2);
	long ret = 0;

	if (atomic)
		preempt_disable();
	switch (h->kind) {
	case HOLD_RANGE:
		ret = get_p2m_range(lock, h->gfn, h->nr, t->wait, sub);
		break;
	case HOLD_STEP:
		ret = get_p2m_step(lock, h->gfn, h->nr, 1 + rnd(t, 8), t->wait,
				   0);
		if (ret < 0)
			break;
		if (!ret || ret > h->nr ||
		    (ret < h->nr &&
		     ((h->gfn + ret) & (BIT(P2M_CHUNK_ORDER) - 1))))
			fail(ERRORS, "get_p2m_step() of %#lx frames got %#lx",
			     h->nr, ret);
		h->nr = ret;
		ret = 0;
		break;
	case HOLD_ALL:
		ret = get_p2m_all(lock, t->wait, sub);
		break;
	case HOLD_TWO:
		ret = get_p2m_two(lock, h->gfn, &guests[h->guest2].lock,
				  h->gfn2, ilog2(h->nr), P2M_WAIT);
		break;
	}
	if (atomic)
		preempt_enable();
	return ret;
}

/* Does the get take a single node of the tree? */
static bool one_node(const struct hold *h)
{
	unsigned int order;

	if (h->kind != HOLD_RANGE)
		return h->kind == HOLD_ALL;
	for (order = P2M_CHUNK_ORDER; order < P2M_GFN_BITS; order += 9)
		if (h->nr == BIT(order) && !(h->gfn & (h->nr - 1)))
			return true;
	return h->gfn >> P2M_CHUNK_ORDER ==
	       (h->gfn + h->nr - 1) >> P2M_CHUNK_ORDER;
}

static void check_error(struct torturer *t, const struct hold *h, int err)
{
	bool valid = h->gfn + h->nr <= BIT(P2M_GFN_BITS) &&
		     (h->kind != HOLD_TWO ||
		      h->gfn2 + h->nr <= BIT(P2M_GFN_BITS));
	bool ok = false;

	switch (err) {
	case -EBUSY:
		t->events[EV_busy]++;
		ok = t->wait == P2M_TRY;
		break;
	case -EDEADLK:
		t->events[EV_deadlock]++;
		t->events[EV_deadlock_with_empty_hands] += !t->nr_holds;
		/* A task that holds nothing is in nobody's way. */
		ok = t->wait != P2M_TRY && (t->nr_holds || !one_node(h));
		break;
	case -EINTR:
		t->events[EV_interrupted]++;
		ok = (t->wait == P2M_WAIT_KILLABLE ||
		      t->wait == P2M_WAIT_INTERRUPTIBLE) &&
		     signal_pending(current);
		break;
	case -EINVAL:
		t->events[EV_invalid]++;
		ok = !valid;
		break;
	case -ENOMEM:
		t->events[EV_no_memory]++;
		ok = t->wait == P2M_TRY;
		break;
	}
	if (!ok) {
		fail(ERRORS, "%d from a get with enum p2m_wait %d, %u held",
		     err, t->wait, t->nr_holds);
		describe("failed", h);
	}
	if (err != -ENOMEM && valid && within(t, h)) {
		fail(RECURSION,
		     "%d from a get of what is held already, enum p2m_wait %d",
		     err, t->wait);
		describe("failed", h);
	}
}

static void take(struct torturer *t, struct hold *h)
{
	bool inside = within(t, h);
	unsigned int sub = subclass(t, h->guest);
	int err;

	/* Lockdep has eight subclasses.  Calls without one use the lowest. */
	if (sub >= MAX_LOCKDEP_SUBCLASSES ||
	    (h->kind == HOLD_STEP && sub) ||
	    (h->kind == HOLD_TWO && t->nr_holds))
		return;

	t->waiting = *h;
	begin(t, "get");
	err = call(t, h, sub);
	begin(t, "got");
	/* If some of the guest is held, even a failed get sets the subclass. */
	if (!err || t->in_guest[h->guest]) {
		t->top = sub;
		t->subclass[h->guest] = sub;
	}
	if (err) {
		check_error(t, h, err);
		if (err != -EINVAL)
			for_ranges(t, h, check_held);
		return;
	}

	if (h->gfn + h->nr > BIT(P2M_GFN_BITS))
		fail(ERRORS, "a get beyond the last frame did not fail");
	for_ranges(t, h, stamp);
	for_ranges(t, h, check_held);
	t->events[EV_got]++;
	t->events[EV_within] += inside;
	t->events[EV_stepped] += h->kind == HOLD_STEP;
	t->in_guest[h->guest]++;
	if (h->kind == HOLD_TWO) {
		t->in_guest[h->guest2]++;
		if (h->guest != h->guest2) {
			/* The lock at the higher address is the second. */
			t->subclass[max(h->guest, h->guest2)] = 1;
			t->subclass[min(h->guest, h->guest2)] = 0;
			t->top = 1;
		}
	}
	t->events[EV_several_guests] += t->top > 0;
	t->holds[t->nr_holds++] = *h;
}

/* ------------------------------------------------------------------ */
/* Random choices                                                      */
/* ------------------------------------------------------------------ */

static unsigned long some_gfn(struct torturer *t)
{
	/* Mostly where other tasks are */
	unsigned int cluster = rnd(t, one_in(t, 4) ? ARRAY_SIZE(clusters) : 2);

	return ((clusters[cluster] + rnd(t, SLOTS)) << P2M_CHUNK_ORDER) +
	       rnd(t, BIT(P2M_CHUNK_ORDER));
}

/* Any order up to the largest, larger ones less often. */
static unsigned int some_order(struct torturer *t)
{
	switch (rnd(t, 8)) {
	case 0:
		return 10 + rnd(t, 18);
	case 1:
		return one_in(t, 4) ? rnd(t, P2M_GFN_BITS + 1) : 18;
	default:
		return rnd(t, 10);
	}
}

static void some_range(struct torturer *t, struct hold *h)
{
	unsigned int order = some_order(t);

	h->gfn = some_gfn(t);
	h->nr = BIT(order);
	/* A large range that is not aligned has a long cover. */
	if (order >= 28 || (order >= 18 && !one_in(t, 64)) || one_in(t, 2))
		h->gfn &= ~(h->nr - 1);
	else if (one_in(t, 4))
		h->nr = 1 + rnd(t, SLOTS << P2M_CHUNK_ORDER);
}

/* A part of a hold */
static void some_part(struct torturer *t, const struct hold *of, struct hold *h)
{
	unsigned long skip;

	if (of->kind == HOLD_ALL) {
		some_range(t, h);
		if (h->gfn + h->nr > BIT(P2M_GFN_BITS))
			h->nr = 1;
		return;
	}
	*h = *of;
	h->kind = HOLD_RANGE;
	if (one_in(t, 3))
		return;
	skip = rnd(t, min(h->nr, (unsigned long)SLOTS << P2M_CHUNK_ORDER));
	h->gfn += skip;
	h->nr -= skip;
	if (one_in(t, 2))
		h->nr = 1 + rnd(t, min(h->nr, (unsigned long)SLOTS <<
					      P2M_CHUNK_ORDER));
}

/* More than a hold */
static void some_more(struct torturer *t, const struct hold *of, struct hold *h)
{
	static const unsigned int orders[] = { 18, 18, 18, 27, 13, 36 };

	t->events[EV_widened]++;
	*h = *of;
	h->kind = HOLD_RANGE;
	h->nr = BIT(orders[rnd(t, ARRAY_SIZE(orders))]);
	if (h->nr < of->nr || one_in(t, 8))
		h->kind = HOLD_ALL;
	h->gfn &= ~(h->nr - 1);
}

static void get_something(struct torturer *t)
{
	static const enum p2m_wait waits[] = {
		P2M_WAIT, P2M_WAIT, P2M_WAIT, P2M_WAIT_KILLABLE,
		P2M_WAIT_INTERRUPTIBLE, P2M_WAIT_INTERRUPTIBLE,
		P2M_TRY, P2M_TRY,
	};
	struct hold h = { .kind = HOLD_RANGE }, *of;

	t->wait = waits[rnd(t, ARRAY_SIZE(waits))];
	h.guest = one_in(t, 4) ? rnd(t, GUESTS) : 0;
	if (t->nr_holds && !one_in(t, 2)) {
		of = &t->holds[rnd(t, t->nr_holds)];
		if (!one_in(t, 4))
			h.guest = of->guest;
		if (one_in(t, 4))
			some_more(t, of, &h);
		else if (one_in(t, 2))
			some_part(t, of, &h);
		else
			some_range(t, &h);
		h.guest2 = 0;
	} else if (one_in(t, 16)) {
		t->wait = P2M_WAIT;
		h.kind = HOLD_TWO;
		h.guest2 = rnd(t, GUESTS);
		h.gfn = some_gfn(t);
		h.gfn2 = some_gfn(t);
		h.nr = BIT(rnd(t, 12));
	} else {
		some_range(t, &h);
		if (one_in(t, 16))
			h.kind = HOLD_STEP;
		else if (one_in(t, 32))
			h.kind = HOLD_ALL;
	}
	if (h.kind == HOLD_ALL) {
		h.gfn = 0;
		h.nr = BIT(P2M_GFN_BITS);
	}
	take(t, &h);
}

static void put_everything(struct torturer *t)
{
	while (t->nr_holds)
		put(t, rnd(t, t->nr_holds));
}

static void dawdle(struct torturer *t)
{
	begin(t, "dawdle");
	switch (rnd(t, 2048)) {
	case 0:
		schedule_timeout_uninterruptible(1);
		break;
	case 1 ... 63:
		udelay(rnd(t, 20));
		break;
	case 64 ... 127:
		schedule();
		break;
	}
	cond_resched();
}

static int torture(void *arg)
{
	struct torturer *t = arg;
	unsigned long deadlocks;

	allow_signal(SIGUSR1);
	allow_signal(SIGKILL);
	while (!READ_ONCE(enough)) {
		deadlocks = t->events[EV_deadlock];
		if (t->nr_holds == HOLDS || (t->nr_holds && one_in(t, 2)))
			put(t, rnd(t, t->nr_holds));
		else
			get_something(t);
		/* A refused task must give way, or it meets the same again. */
		if (t->events[EV_deadlock] != deadlocks || one_in(t, 32))
			put_everything(t);
		if (signal_pending(current) && one_in(t, 4))
			flush_signals(current);
		dawdle(t);
	}
	put_everything(t);
	begin(t, "end");
	atomic_dec(&running);

	/* Signals must not end the task here. */
	while (!kthread_should_stop()) {
		flush_signals(current);
		schedule_timeout_interruptible(HZ / 10);
	}
	return 0;
}

/* ------------------------------------------------------------------ */
/* The whole test                                                      */
/* ------------------------------------------------------------------ */

static void report_stall(struct torturer *stalled)
{
	struct torturer *t;
	unsigned int i;

	fail(PROGRESS, "task %d did not get on for %u s",
	     stalled->task->pid,
	     jiffies_to_msecs(jiffies - stalled->since) / 1000);
	for (t = torturers; t < torturers + threads; t++) {
		pr_info("    # task %d: %s for %u ms\n", t->task->pid, t->doing,
			jiffies_to_msecs(jiffies - READ_ONCE(t->since)));
		if (!strcmp(t->doing, "get"))
			describe("wants", &t->waiting);
		for (i = 0; i < t->nr_holds; i++)
			describe("holds", &t->holds[i]);
	}
}

/* A task that has done nothing for too long, or NULL */
static struct torturer *find_stalled(void)
{
	struct torturer *t;

	for (t = torturers; t < torturers + threads; t++)
		if (time_after(jiffies, READ_ONCE(t->since) + stall * HZ) &&
		    strcmp(READ_ONCE(t->doing), "end"))
			return t;
	return NULL;
}

/* Send signals and look for stalls, until time is up. */
static bool watch(void)
{
	unsigned long end = jiffies + seconds * HZ;
	struct torturer *t;
	unsigned int i = 0;

	while (atomic_read(&running)) {
		schedule_timeout_uninterruptible(1);
		t = &torturers[i++ % threads];
		send_sig(i % 3 ? SIGUSR1 : SIGKILL, t->task, 1);
		if (time_after(jiffies, end))
			WRITE_ONCE(enough, true);
		t = find_stalled();
		if (t) {
			WRITE_ONCE(enough, true);
			report_stall(t);
			return false;
		}
	}
	return true;
}

/* Everything must be free, and every detour must have been taken. */
static void check_end(void)
{
	unsigned long n[P2M_NR_STATS] = {};
	struct p2m_rangelock *lock;
	unsigned int g, i;

	for (g = 0; g < GUESTS; g++) {
		lock = &guests[g].lock;
		if (get_p2m_all(lock, P2M_TRY, 0))
			fail(NOTHING_LEFT, "some of guest %u is still held", g);
		else
			put_p2m_all(lock);
		for (i = 0; i < P2M_NR_STATS; i++)
			n[i] += p2m_rangelock_stat(lock, i);
	}
	for (i = 0; i < P2M_NR_STATS; i++) {
		pr_info("    # lock: %s %lu\n", stat_names[i], n[i]);
		if (!n[i] && !busted && seconds >= 10)
			fail(COVERAGE, "no %s", stat_names[i]);
	}
}

static void report(unsigned long began)
{
	unsigned long n;
	unsigned int i, j;

	for (i = 0; i < NR_EVENTS; i++) {
		for (n = 0, j = 0; j < threads; j++)
			n += torturers[j].events[i];
		pr_info("    # gets: %s %lu\n", event_names[i], n);
	}
	pr_info("    # %u tasks, %u CPUs, %u ms\n", threads, num_online_cpus(),
		jiffies_to_msecs(jiffies - began));
	for (i = 0; i < NR_CHECKS; i++)
		pr_info("    %s %u %s\n",
			atomic_read(&failures[i]) ? "not ok" : "ok",
			i + 1, check_names[i]);
}

static void report_whole(void)
{
	bool failed = false;
	unsigned int i;

	for (i = 0; i < NR_CHECKS; i++)
		failed |= atomic_read(&failures[i]);
	pr_info("%s 1 torture\n", failed ? "not ok" : "ok");
}

static void clean_up(void)
{
	unsigned int g;

	for (g = 0; guests && g < GUESTS; g++)
		p2m_rangelock_destroy(&guests[g].lock);
	kvfree(torturers);
	kvfree(guests);
}

static int __init torture_init(void)
{
	unsigned long began = jiffies;
	struct torturer *t;
	unsigned int g;

	guests = kvcalloc(GUESTS, sizeof(*guests), GFP_KERNEL);
	torturers = kvcalloc(threads, sizeof(*torturers), GFP_KERNEL);
	if (!guests || !torturers || !threads)
		goto no_memory;
	for (g = 0; g < GUESTS; g++)
		p2m_rangelock_init(&guests[g].lock, "torture");
	pr_info("KTAP version 1\n1..1\n");
	pr_info("    KTAP version 1\n");
	pr_info("    # Subtest: torture\n");
	pr_info("    1..%u\n", NR_CHECKS);

	for (t = torturers; t < torturers + threads; t++) {
		prandom_seed_state(&t->rnd,
				   ((u64)seed << 32) + (t - torturers));
		begin(t, "start");
		t->task = kthread_create(torture, t, "torture/%td",
					 t - torturers);
		if (IS_ERR(t->task)) {
			while (t-- > torturers)
				kthread_stop(t->task);
			goto no_memory;
		}
	}
	atomic_set(&running, threads);
	for (t = torturers; t < torturers + threads; t++)
		wake_up_process(t->task);

	if (!watch()) {
		/* The task that hangs needs all of this for ever. */
		__module_get(THIS_MODULE);
		report(began);
		report_whole();
		return 0;
	}
	for (t = torturers; t < torturers + threads; t++)
		kthread_stop(t->task);
	check_end();
	report(began);
	clean_up();
	report_whole();
	return 0;

no_memory:
	clean_up();
	return -ENOMEM;
}
module_init(torture_init);

static void __exit torture_exit(void)
{
}
module_exit(torture_exit);

MODULE_DESCRIPTION("Torture test of p2m_rangelock");
MODULE_LICENSE("GPL");
