// SPDX-License-Identifier: GPL-2.0
/*
 * All uses that p2m_rangelock allows.  Lockdep must not complain about them.
 *
 * p2m_lockdep_splat.c has the uses about which lockdep must complain.
 */

#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>

#include "stage.h"

static int quiet_init(struct kunit *test)
{
	/* After its first complaint, lockdep makes no others. */
	if (!debug_locks) {
		kunit_err(test, "lockdep is off already\n");
		return -EINVAL;
	}
	return stage_init(test);
}

static void quiet_exit(struct kunit *test)
{
	/* Actors leave, and lockdep checks whether they hold something. */
	stage_exit(test);
	KUNIT_EXPECT_TRUE_MSG(test, debug_locks, "lockdep has complained");
	KUNIT_EXPECT_FALSE_MSG(test, test_taint(TAINT_WARN),
			       "the kernel has warned");
}

static void get(struct kunit *test, struct range range)
{
	KUNIT_ASSERT_EQ(test, 0, range_get(test->priv, range, P2M_WAIT));
}

static void put(struct kunit *test, struct range range)
{
	range_put(test->priv, range);
}

/* Does lockdep know that some of the guest is held? */
static bool known_held(struct kunit *test, unsigned int guest)
{
	return lockdep_is_held(stage_lock(test, guest));
}

static void lockdep_knows_when_something_is_held(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
	get(test, CHUNK(0));
	KUNIT_EXPECT_TRUE(test, known_held(test, 0));
	KUNIT_EXPECT_FALSE(test, known_held(test, 1));
	get(test, CHUNK(7));
	get(test, GB(0));
	put(test, CHUNK(0));
	put(test, GB(0));
	KUNIT_EXPECT_TRUE(test, known_held(test, 0));
	put(test, CHUNK(7));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));

	get(test, ALL);
	get(test, CHUNK(0));
	put(test, ALL);
	KUNIT_EXPECT_TRUE(test, known_held(test, 0));
	put(test, CHUNK(0));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
}

static void a_get_that_fails_is_not_held(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	KUNIT_EXPECT_EQ(test, -EBUSY, range_get(test->priv, CHUNK(3), P2M_TRY));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
	KUNIT_EXPECT_EQ(test, -EBUSY,
			range_get(test->priv, CHUNKS(0, 9), P2M_TRY));
	KUNIT_EXPECT_EQ(test, -EBUSY, range_get(test->priv, ALL, P2M_TRY));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
	/* A range that was held before still is. */
	get(test, CHUNK(5));
	KUNIT_EXPECT_EQ(test, -EBUSY,
			range_get(test->priv, CHUNKS(0, 9), P2M_TRY));
	KUNIT_EXPECT_TRUE(test, known_held(test, 0));
	put(test, CHUNK(5));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
}

static void recursion_in_any_order(struct kunit *test)
{
	static const struct range ranges[] = {
		FRAME(5), CHUNKS(0, 2), GB(0), ALL,
	};
	unsigned int in, out, i;

	/* Two bits of @in, at 2 * i, say which range is the i-th. */
	for (in = 0; in < 256; in++) {
		for (out = 0; out < 4; out++) {
			for (i = 0; i < 4; i++)
				get(test, ranges[in >> 2 * i & 3]);
			/* Begin at each of them, and go forwards or back. */
			for (i = 0; i < 4; i++)
				put(test,
				    ranges[in >> 2 * ((in & 1 ? i : 3 - i) +
						      out) % 8 & 3]);
			KUNIT_ASSERT_FALSE(test, known_held(test, 0));
		}
	}
}

static void a_thousand_chunks_at_once(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		get(test, CHUNK(3 * i));
	/*
	 * 7 and 1000 have no common factor, so each is put once, and not in
	 * order.
	 */
	for (i = 0; i < 1000; i++)
		put(test, CHUNK(3 * (7 * i % 1000)));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));

	get(test, CHUNKS(1, 1000));
	put(test, CHUNKS(1, 1000));
	KUNIT_EXPECT_FALSE(test, known_held(test, 0));
}

static void all_over_narrow(struct kunit *test)
{
	get(test, CHUNK(0));
	get(test, CHUNK(600));
	get(test, ALL);
	put(test, CHUNK(0));
	put(test, CHUNK(600));
	put(test, ALL);
}

static void two_guests_by_get_p2m_two(struct kunit *test)
{
	DOES(test, A, act_two(of(0, CHUNK(0)), of(1, CHUNK(0)), 1), 0);
	DOES(test, A, act_two(of(1, CHUNK(0)), of(0, CHUNK(0)), 1), 0);
	DOES(test, B, act_two(of(1, CHUNK(0)), of(0, CHUNK(0)), 1), 0);
	DOES(test, B, act_two(of(1, CHUNK(3)), of(1, CHUNK(0)), 1), 0);
	DOES(test, B, act_two(of(1, CHUNK(3)), of(1, CHUNK(3)), 1), 0);
}

static void two_guests_nested(struct kunit *test)
{
	struct p2m_rangelock *red = stage_lock(test, 0);
	struct p2m_rangelock *green = stage_lock(test, 1);

	KUNIT_ASSERT_EQ(test, 0, get_p2m(red, 0, 9));
	KUNIT_ASSERT_EQ(test, 0, get_p2m_nested(green, 0, 9, 1));
	KUNIT_ASSERT_EQ(test, 0, get_p2m_nested(green, 1 << 9, 9, 1));
	put_p2m(red, 0, 9);
	put_p2m(green, 0, 9);
	put_p2m(green, 1 << 9, 9);
}

static void one_guest_after_the_other(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 2 * NR_GUESTS; i++) {
		KUNIT_ASSERT_EQ(test, 0,
				get_p2m(stage_lock(test, i % NR_GUESTS), 0, 9));
		put_p2m(stage_lock(test, i % NR_GUESTS), 0, 9);
	}
}

static void interrupted_and_refused_gets(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, B, act_get_killable(CHUNKS(1, 4)));
	actor_signal(test, B, SIGKILL);
	ENDS(test, B, -EINTR);
	SLEEPS(test, B, act_get_interruptible(ALL));
	actor_signal(test, B, SIGUSR1);
	ENDS(test, B, -EINTR);
	DOES(test, B, act_get(CHUNK(5)), 0);
	SLEEPS(test, B, act_get(CHUNK(3)));
	DOES(test, A, act_get(CHUNKS(4, 2)), -EDEADLK);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, B, 0);
}

static void a_mutex_inside(struct kunit *test)
{
	static DEFINE_MUTEX(inside);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		get(test, CHUNK(i));
		mutex_lock(&inside);
		mutex_unlock(&inside);
		put(test, CHUNK(i));
	}
}

static void a_mutex_outside(struct kunit *test)
{
	static DEFINE_MUTEX(outside);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		mutex_lock(&outside);
		get(test, CHUNK(i));
		get(test, GB(0));
		mutex_unlock(&outside);
		put(test, CHUNK(i));
		put(test, GB(0));
	}
}

/* A task can get its range again, even if it got another lock meanwhile. */
static void recursion_under_a_mutex_that_is_inside(struct kunit *test)
{
	static DEFINE_MUTEX(inside);
	static const struct { struct range range, part; } cases[] = {
		{ CHUNK(0), CHUNK(0) },
		{ CHUNKS(0, 3), CHUNKS(1, 2) },
		{ GB(0), CHUNK(0) },
		{ GB(0), CHUNKS(100, 30) },
		{ ALL, CHUNK(0) },
		{ ALL, GB(0) },
		{ ALL, ALL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		get(test, cases[i].range);
		mutex_lock(&inside);
		get(test, cases[i].part);
		mutex_unlock(&inside);
		put(test, cases[i].range);
		KUNIT_EXPECT_TRUE(test, known_held(test, 0));
		put(test, cases[i].part);
		KUNIT_EXPECT_FALSE(test, known_held(test, 0));
	}
}

/* A try does not wait, so it cannot be part of a deadlock. */
static void a_try_against_the_order(struct kunit *test)
{
	static DEFINE_MUTEX(inside);

	get(test, CHUNK(0));
	mutex_lock(&inside);
	mutex_unlock(&inside);
	put(test, CHUNK(0));

	mutex_lock(&inside);
	KUNIT_ASSERT_EQ(test, 0, range_get(test->priv, CHUNK(0), P2M_TRY));
	put(test, CHUNK(0));
	mutex_unlock(&inside);
}

static void assertions_that_hold(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	get(test, CHUNKS(0, 2));
	lockdep_assert_p2m_held(lock, 0, 0);
	lockdep_assert_p2m_held(lock, 511, 1);
	lockdep_assert_p2m_held(lock, 0, 10);
	put(test, CHUNKS(0, 2));
	get(test, GB(5));
	lockdep_assert_p2m_held(lock, 5 << 18, 0);
	lockdep_assert_p2m_held(lock, 5 << 18, 18);
	put(test, GB(5));
	get(test, ALL);
	lockdep_assert_p2m_held(lock, TOP, 0);
	lockdep_assert_p2m_held(lock, 0, P2M_GFN_BITS);
	put(test, ALL);
}

static struct kunit_case p2m_lockdep_cases[] = {
	KUNIT_CASE(lockdep_knows_when_something_is_held),
	KUNIT_CASE(a_get_that_fails_is_not_held),
	KUNIT_CASE(recursion_in_any_order),
	KUNIT_CASE(a_thousand_chunks_at_once),
	KUNIT_CASE(all_over_narrow),
	KUNIT_CASE(two_guests_by_get_p2m_two),
	KUNIT_CASE(two_guests_nested),
	KUNIT_CASE(one_guest_after_the_other),
	KUNIT_CASE(interrupted_and_refused_gets),
	KUNIT_CASE(a_mutex_inside),
	KUNIT_CASE(a_mutex_outside),
	KUNIT_CASE(recursion_under_a_mutex_that_is_inside),
	KUNIT_CASE(a_try_against_the_order),
	KUNIT_CASE(assertions_that_hold),
	{}
};

static struct kunit_suite p2m_lockdep_suite = {
	.name = "p2m_lockdep",
	.init = quiet_init,
	.exit = quiet_exit,
	.test_cases = p2m_lockdep_cases,
};

kunit_test_suite(p2m_lockdep_suite);
