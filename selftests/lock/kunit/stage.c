// SPDX-License-Identifier: GPL-2.0
/* The stage: see stage.h. */

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "stage.h"

/* ---- getting and putting ------------------------------------------------ */

int range_get(struct stage *stage, struct range range, enum p2m_wait wait)
{
	struct p2m_rangelock *lock = &stage->guest[range.guest];

	/* A task that holds ranges of two guests here does so on purpose. */
	if (range.all)
		return get_p2m_all(lock, wait, range.guest);
	return get_p2m_range(lock, range.gfn, range.nr, wait, range.guest);
}

void range_put(struct stage *stage, struct range range)
{
	struct p2m_rangelock *lock = &stage->guest[range.guest];

	if (range.all)
		put_p2m_all(lock);
	else
		put_p2m_range(lock, range.gfn, range.nr);
}

static bool same(struct range a, struct range b)
{
	return a.guest == b.guest && a.all == b.all && a.gfn == b.gfn &&
	       a.nr == b.nr;
}

static struct actor *me(struct stage *stage)
{
	unsigned int i;

	for (i = 0; i < NR_ACTORS; i++)
		if (stage->actor[i].task == current)
			return &stage->actor[i];
	return NULL;
}

static long do_get(struct stage *stage, const struct act *act)
{
	struct actor *actor = me(stage);
	int err;

	if (actor->nr_holds == NR_HOLDS)
		return -ENOSPC;
	err = range_get(stage, act->range, act->wait);
	if (!err)
		actor->holds[actor->nr_holds++] = act->range;
	return err;
}

static struct range *hold_of(struct actor *actor, struct range range)
{
	unsigned int i;

	for (i = 0; i < actor->nr_holds; i++)
		if (same(actor->holds[i], range))
			return &actor->holds[i];
	return NULL;
}

static long do_put(struct stage *stage, const struct act *act)
{
	struct actor *actor = me(stage);
	struct range *hold = hold_of(actor, act->range);

	if (!hold)
		return -ENOENT;
	range_put(stage, act->range);
	*hold = actor->holds[--actor->nr_holds];
	return 0;
}

static long do_swap(struct stage *stage, const struct act *act)
{
	struct actor *actor = me(stage);
	struct range *hold = hold_of(actor, act->range);
	int err;

	if (!hold)
		return -ENOENT;
	preempt_disable();
	range_put(stage, act->range);
	err = range_get(stage, act->other, P2M_TRY);
	preempt_enable();
	*hold = err ? actor->holds[--actor->nr_holds] : act->other;
	return err;
}

static long do_look(struct stage *stage, const struct act *act)
{
	int err = range_get(stage, act->range, P2M_TRY);

	if (!err)
		range_put(stage, act->range);
	return err;
}

static long do_get_late(struct stage *stage, const struct act *act)
{
	msleep(20);
	return do_get(stage, act);
}

static const unsigned long stamped[NR_STAMPS] = {
	0, 1UL << 9, 600UL << 9, 1UL << 30, TOP,
};

static long do_stamp(struct stage *stage, const struct act *act)
{
	struct range range = act->range;
	struct task_struct **stamp;
	unsigned long n;
	unsigned int i;
	int err = 0;

	for (n = 0; n < act->times && !READ_ONCE(stage->curtain); n++) {
		err = range_get(stage, range, act->wait);
		if (err)
			break;
		for (i = 0; i < NR_STAMPS; i++) {
			if (!range.all && stamped[i] - range.gfn >= range.nr)
				continue;
			stamp = &stage->stamp[range.guest][i];
			if (cmpxchg(stamp, NULL, current))
				err = -EUCLEAN;
			cpu_relax();
			if (cmpxchg(stamp, current, NULL) != current)
				err = -EUCLEAN;
		}
		range_put(stage, range);
		if (err)
			break;
	}
	return err;
}

static long do_nest(struct stage *stage, const struct act *act)
{
	unsigned long n;
	int err = 0;

	for (n = 0; n < act->times && !err; n++) {
		err = range_get(stage, act->range, P2M_WAIT);
		if (err)
			break;
		err = range_get(stage, act->other, P2M_WAIT);
		if (!err)
			range_put(stage, act->other);
		range_put(stage, act->range);
	}
	return err;
}

#define MOMENT	50	/* microseconds */

static long do_turns(struct stage *stage, const struct act *act)
{
	unsigned long n;
	int err = 0;

	for (n = 0; n < 2 * act->times && !err; n++) {
		struct range range = n & 1 ? act->other : act->range;

		err = range_get(stage, range, P2M_WAIT);
		if (err)
			break;
		if (act->ms)
			msleep(act->ms);
		else
			udelay(MOMENT);
		range_put(stage, range);
	}
	return err;
}

static long do_linger(struct stage *stage, const struct act *act)
{
	int err = range_get(stage, act->range, P2M_WAIT);

	if (err)
		return err;
	udelay(act->times);
	range_put(stage, act->range);
	return 0;
}

static long do_pester(struct stage *stage, const struct act *act)
{
	unsigned long n;

	for (n = 0; n < act->times; n++)
		if (!range_get(stage, act->range, P2M_TRY))
			range_put(stage, act->range);
	return 0;
}

static long do_insist(struct stage *stage, const struct act *act)
{
	unsigned long n;
	int err = 0;

	for (n = 0; n < act->times && !err; n++) {
		err = range_get(stage, act->range, P2M_TRY);
		if (!err)
			range_put(stage, act->range);
	}
	return err;
}

static long do_two(struct stage *stage, const struct act *act)
{
	struct p2m_rangelock *lock1 = &stage->guest[act->range.guest];
	struct p2m_rangelock *lock2 = &stage->guest[act->other.guest];
	unsigned long gfn1 = act->range.gfn, gfn2 = act->other.gfn;
	unsigned int order = ilog2(act->range.nr);
	unsigned long n;
	int err = 0;

	for (n = 0; n < act->times && !err; n++) {
		err = get_p2m_two(lock1, gfn1, lock2, gfn2, order, P2M_WAIT);
		if (err)
			break;
		if (!p2m_held(lock1, gfn1, order) ||
		    !p2m_held(lock2, gfn2, order))
			err = -EUCLEAN;
		put_p2m_two(lock1, gfn1, lock2, gfn2, order);
	}
	return err;
}

struct act act_get(struct range range)
{
	return (struct act){ .fn = do_get, .range = range, .wait = P2M_WAIT };
}

struct act act_get_killable(struct range range)
{
	return (struct act){ .fn = do_get, .range = range,
			     .wait = P2M_WAIT_KILLABLE };
}

struct act act_get_interruptible(struct range range)
{
	return (struct act){ .fn = do_get, .range = range,
			     .wait = P2M_WAIT_INTERRUPTIBLE };
}

struct act act_get_late(struct range range)
{
	return (struct act){ .fn = do_get_late, .range = range,
			     .wait = P2M_WAIT };
}

struct act act_try(struct range range)
{
	return (struct act){ .fn = do_get, .range = range, .wait = P2M_TRY };
}

struct act act_put(struct range range)
{
	return (struct act){ .fn = do_put, .range = range };
}

struct act act_swap(struct range range, struct range other)
{
	return (struct act){ .fn = do_swap, .range = range, .other = other };
}

struct act act_look(struct range range)
{
	return (struct act){ .fn = do_look, .range = range };
}

struct act act_stamp(struct range range, unsigned long times)
{
	return (struct act){ .fn = do_stamp, .range = range, .wait = P2M_WAIT,
			     .times = times };
}

struct act act_stream(struct range range)
{
	return act_stamp(range, ULONG_MAX);
}

struct act act_nest(struct range range, struct range other, unsigned long times)
{
	return (struct act){ .fn = do_nest, .range = range, .other = other,
			     .times = times };
}

struct act act_turns(struct range range, struct range other,
		     unsigned long times)
{
	return (struct act){ .fn = do_turns, .range = range, .other = other,
			     .times = times };
}

struct act act_turns_slowly(struct range range, struct range other,
			    unsigned int ms)
{
	return (struct act){ .fn = do_turns, .range = range, .other = other,
			     .times = 1, .ms = ms };
}

struct act act_linger(struct range range, unsigned long us)
{
	return (struct act){ .fn = do_linger, .range = range, .times = us };
}

struct act act_pester(struct range range, unsigned long times)
{
	return (struct act){ .fn = do_pester, .range = range, .times = times };
}

struct act act_insist(struct range range, unsigned long times)
{
	return (struct act){ .fn = do_insist, .range = range, .times = times };
}

struct act act_two(struct range range, struct range other, unsigned long times)
{
	return (struct act){ .fn = do_two, .range = range, .other = other,
			     .times = times };
}

/* ---- actors ------------------------------------------------------------- */

static int actor_main(void *data)
{
	struct actor *actor = data;

	set_cpus_allowed_ptr(current, cpumask_of(0));
	allow_signal(SIGKILL);
	allow_signal(SIGUSR1);
	complete(&actor->done);
	for (;;) {
		wait_for_completion(&actor->go);
		if (actor->leave)
			break;
		if (actor->stage->unchecked)
			lockdep_off();
		actor->result = actor->act.fn(actor->stage, &actor->act);
		if (actor->stage->unchecked)
			lockdep_on();
		flush_signals(current);
		WRITE_ONCE(actor->busy, false);
		complete(&actor->done);
	}
	if (actor->stage->unchecked)
		lockdep_off();
	while (actor->nr_holds)
		range_put(actor->stage, actor->holds[--actor->nr_holds]);
	if (actor->stage->unchecked)
		lockdep_on();
	kthread_complete_and_exit(&actor->gone, 0);
}

static struct actor *actor_of(struct kunit *test, enum who who)
{
	struct stage *stage = test->priv;

	return &stage->actor[who];
}

/* How many gets have waited so far */
static unsigned long waits(struct stage *stage)
{
	unsigned long n = 0;
	unsigned int i;

	for (i = 0; i < NR_GUESTS; i++)
		n += p2m_rangelock_stat(&stage->guest[i], P2M_STAT_waits);
	return n;
}

static bool patiently(struct completion *completion)
{
	unsigned int n;

	for (n = 0; n < PATIENCE; n++)
		if (wait_for_completion_timeout(completion, HZ / 100))
			return true;
	return false;
}

void actor_begin(struct kunit *test, enum who who, struct act act)
{
	struct actor *actor = actor_of(test, who);

	KUNIT_ASSERT_FALSE(test, actor->busy);
	actor->act = act;
	actor->waits = waits(actor->stage);
	actor->busy = true;
	complete(&actor->go);
}

/*
 * A task also sleeps for other reasons, for example before it reaches the lock.
 * So the lock must have counted a wait since the act began.
 */
static bool sleeping(struct actor *actor)
{
	return READ_ONCE(actor->task->__state) & TASK_NORMAL &&
	       waits(actor->stage) != actor->waits;
}

bool actor_asleep(struct kunit *test, enum who who)
{
	struct actor *actor = actor_of(test, who);
	unsigned long switches;
	bool slept;
	int n;

	/* It must be in one and the same sleep at two moments. */
	for (n = 0; n < 10 * PATIENCE && READ_ONCE(actor->busy); n++) {
		switches = READ_ONCE(actor->task->nvcsw);
		slept = sleeping(actor);
		usleep_range(500, 1000);
		if (slept && sleeping(actor) && READ_ONCE(actor->busy) &&
		    READ_ONCE(actor->task->nvcsw) == switches)
			return true;
	}
	return false;
}

long actor_end(struct kunit *test, enum who who)
{
	struct actor *actor = actor_of(test, who);

	if (!patiently(&actor->done))
		return -ETIMEDOUT;
	return actor->result;
}

bool actor_busy(struct kunit *test, enum who who)
{
	return READ_ONCE(actor_of(test, who)->busy);
}

void actor_signal(struct kunit *test, enum who who, int sig)
{
	send_sig(sig, actor_of(test, who)->task, 1);
}

void actor_wake(struct kunit *test, enum who who)
{
	wake_up_process(actor_of(test, who)->task);
}

unsigned long actor_sleeps(struct kunit *test, enum who who)
{
	return READ_ONCE(actor_of(test, who)->task->nvcsw);
}

long actor_do(struct kunit *test, enum who who, struct act act)
{
	actor_begin(test, who, act);
	return actor_end(test, who);
}

/* ---- beginning and end -------------------------------------------------- */

static void stage_free(struct stage *stage)
{
	unsigned int i;

	for (i = 0; i < NR_GUESTS; i++)
		p2m_rangelock_destroy(&stage->guest[i]);
	kfree(stage);
}

struct p2m_rangelock *stage_lock(struct kunit *test, unsigned int guest)
{
	struct stage *stage = test->priv;

	return &stage->guest[guest];
}

void stage_spread(struct kunit *test)
{
	struct stage *stage = test->priv;
	unsigned int i;

	set_cpus_allowed_ptr(current, cpu_online_mask);
	for (i = 0; i < NR_ACTORS; i++)
		set_cpus_allowed_ptr(stage->actor[i].task, cpu_online_mask);
}

void stage_apart(struct kunit *test, enum who who)
{
	set_cpus_allowed_ptr(actor_of(test, who)->task,
			     cpumask_of(cpumask_last(cpu_online_mask)));
}

void stage_curtain(struct kunit *test)
{
	struct stage *stage = test->priv;

	WRITE_ONCE(stage->curtain, true);
}

unsigned long stage_stat(struct kunit *test, enum p2m_rangelock_stat stat)
{
	return p2m_rangelock_stat(stage_lock(test, 0), stat);
}

int stage_init(struct kunit *test)
{
	static const char * const names[NR_GUESTS] = { "red", "green", "blue" };
	struct task_struct *task;
	struct actor *actor;
	struct stage *stage;
	unsigned int i;

	stage = kzalloc(sizeof(*stage), GFP_KERNEL);
	if (!stage)
		return -ENOMEM;
	for (i = 0; i < NR_GUESTS; i++)
		p2m_rangelock_init(&stage->guest[i], names[i]);
	test->priv = stage;
	set_cpus_allowed_ptr(current, cpumask_of(0));
	for (i = 0; i < NR_ACTORS; i++) {
		actor = &stage->actor[i];
		actor->stage = stage;
		init_completion(&actor->go);
		init_completion(&actor->done);
		init_completion(&actor->gone);
		task = kthread_create(actor_main, actor, "p2m-%c", 'A' + i);
		if (IS_ERR(task))
			return PTR_ERR(task);
		actor->task = get_task_struct(task);
		wake_up_process(task);
		/* Until it is ready it sleeps, for locks and for its CPU. */
		if (!patiently(&actor->done))
			return -ETIMEDOUT;
	}
	return 0;
}

/* Let all actors leave.  Return: false if an actor is stuck */
static bool actors_leave(struct stage *stage)
{
	struct actor *actor;
	bool all = true;
	unsigned int i;

	WRITE_ONCE(stage->curtain, true);
	for (i = 0; i < NR_ACTORS; i++) {
		stage->actor[i].leave = true;
		complete(&stage->actor[i].go);
	}
	for (i = 0; i < NR_ACTORS; i++) {
		actor = &stage->actor[i];
		if (!actor->task)
			continue;
		if (!patiently(&actor->gone))
			all = false;
		put_task_struct(actor->task);
	}
	return all;
}

void stage_exit(struct kunit *test)
{
	struct stage *stage = test->priv;
	unsigned int i;

	if (!stage)
		return;
	if (!actors_leave(stage)) {
		/* The actor still needs its code and its stage. */
		__module_get(THIS_MODULE);
		KUNIT_FAIL(test, "an actor is stuck");
		return;
	}
	for (i = 0; i < NR_GUESTS; i++) {
		KUNIT_EXPECT_EQ(test, 0, range_get(stage, of(i, ALL), P2M_TRY));
		if (p2m_held(&stage->guest[i], 0, P2M_GFN_BITS))
			put_p2m_all(&stage->guest[i]);
	}
	stage_free(stage);
}

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_DESCRIPTION("KUnit tests of p2m_rangelock");
MODULE_LICENSE("GPL");
