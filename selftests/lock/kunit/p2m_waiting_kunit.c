// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of p2m_rangelock, about tasks that wait for each other: deadlock,
 * wide against narrow, fairness, two guests.  The name of each is a promise of
 * the lock.
 *
 * stage.h has the actors A to D.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "stage.h"

/* ---- deadlock ----------------------------------------------------------- */

static void two_tasks_on_two_chunks_is_a_deadlock(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_get(CHUNK(1)), 0);
	SLEEPS(test, A, act_get(CHUNK(1)));
	DOES(test, B, act_get(CHUNK(0)), -EDEADLK);
	STILL_SLEEPS(test, A);
	/* B does not wait any more, so this is a chain that ends there. */
	SLEEPS(test, D, act_get(CHUNK(0)));
	/* B still holds what it held before. */
	DOES(test, C, act_try(CHUNK(1)), -EBUSY);
	DOES(test, B, act_put(CHUNK(1)), 0);
	ENDS(test, A, 0);
	KUNIT_EXPECT_EQ(test, 1UL, stage_stat(test, P2M_STAT_deadlocks));
}

static void three_tasks_on_three_guests_is_a_deadlock(struct kunit *test)
{
	/* Lockdep would complain, too. */
	((struct stage *)test->priv)->unchecked = true;
	DOES(test, A, act_get(of(0, CHUNK(0))), 0);
	DOES(test, B, act_get(of(1, GB(0))), 0);
	DOES(test, C, act_get(of(2, ALL)), 0);
	SLEEPS(test, A, act_get(of(1, CHUNK(7))));
	SLEEPS(test, B, act_get(of(2, FRAME(TOP))));
	DOES(test, C, act_get(of(0, ALL)), -EDEADLK);
	STILL_SLEEPS(test, A);
	STILL_SLEEPS(test, B);
	DOES(test, C, act_put(of(2, ALL)), 0);
	ENDS(test, B, 0);
	STILL_SLEEPS(test, A);
	DOES(test, B, act_put(of(1, GB(0))), 0);
	ENDS(test, A, 0);
}

static void of_two_holders_that_widen_one_gets_edeadlk(struct kunit *test)
{
	static const struct range wide[] = { GB(0), SPAN(0, 1UL << 27), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		DOES(test, A, act_get(CHUNK(0)), 0);
		DOES(test, B, act_get(CHUNK(1)), 0);
		SLEEPS(test, A, act_get(wide[i]));
		DOES(test, B, act_get(wide[i]), -EDEADLK);
		STILL_SLEEPS(test, A);
		DOES(test, B, act_put(CHUNK(1)), 0);
		ENDS(test, A, 0);
		DOES(test, B, act_try(CHUNK(1)), -EBUSY);
		DOES(test, A, act_put(wide[i]), 0);
		DOES(test, B, act_look(CHUNK(1)), 0);
		DOES(test, B, act_look(CHUNK(0)), -EBUSY);
		DOES(test, A, act_put(CHUNK(0)), 0);
		DOES(test, B, act_look(wide[i]), 0);
	}
}

/* The same, but both start at once.  Exactly one of them is refused. */
static void widening_in_a_race_has_one_loser(struct kunit *test)
{
	const struct range chunk[] = { CHUNK(0), CHUNK(1) };
	unsigned int round, loser, polls;

	stage_spread(test);
	for (round = 0; round < 50; round++) {
		DOES(test, A, act_get(chunk[A]), 0);
		DOES(test, B, act_get(chunk[B]), 0);
		actor_begin(test, A, act_get(GB(0)));
		actor_begin(test, B, act_get(GB(0)));
		for (polls = 0; polls < 100000; polls++) {
			if (!actor_busy(test, A) || !actor_busy(test, B))
				break;
			usleep_range(20, 50);
		}
		loser = actor_busy(test, A) ? B : A;
		ENDS(test, loser, -EDEADLK);
		STILL_SLEEPS(test, !loser);
		DOES(test, loser, act_put(chunk[loser]), 0);
		ENDS(test, !loser, 0);
		DOES(test, !loser, act_put(GB(0)), 0);
		DOES(test, !loser, act_put(chunk[!loser]), 0);
	}
	KUNIT_EXPECT_EQ(test, 50UL, stage_stat(test, P2M_STAT_deadlocks));
}

/* The same with two guests, which have no queue in common */
static void a_race_over_two_guests_has_one_loser(struct kunit *test)
{
	const struct range range[] = { CHUNK(0), of(1, CHUNK(0)) };
	unsigned int round, loser, polls;

	/* Lockdep would complain, too. */
	((struct stage *)test->priv)->unchecked = true;
	stage_spread(test);
	for (round = 0; round < 50; round++) {
		DOES(test, A, act_get(range[A]), 0);
		DOES(test, B, act_get(range[B]), 0);
		actor_begin(test, A, act_get(range[B]));
		actor_begin(test, B, act_get(range[A]));
		for (polls = 0; polls < 100000; polls++) {
			if (!actor_busy(test, A) || !actor_busy(test, B))
				break;
			usleep_range(20, 50);
		}
		loser = actor_busy(test, A) ? B : A;
		ENDS(test, loser, -EDEADLK);
		DOES(test, loser, act_put(range[loser]), 0);
		ENDS(test, !loser, 0);
		DOES(test, !loser, act_put(range[loser]), 0);
		DOES(test, !loser, act_put(range[!loser]), 0);
	}
}

static void a_refused_get_gives_back_what_it_had_taken(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(1)), 0);
	DOES(test, B, act_get(CHUNK(5)), 0);
	SLEEPS(test, B, act_get(CHUNK(1)));
	/* Chunks 3 and 4 are free.  Chunk 5 would close the cycle. */
	DOES(test, A, act_get(CHUNKS(3, 3)), -EDEADLK);
	DOES(test, C, act_look(CHUNKS(3, 2)), 0);
	DOES(test, C, act_look(CHUNK(1)), -EBUSY);
	/* So would a get of all, and it must leave no claim. */
	DOES(test, A, act_get(ALL), -EDEADLK);
	DOES(test, C, act_look(CHUNK(3)), 0);
	DOES(test, A, act_put(CHUNK(1)), 0);
	ENDS(test, B, 0);
}

static void wide_against_wide_is_a_deadlock(struct kunit *test)
{
	DOES(test, A, act_get(GB(0)), 0);
	DOES(test, B, act_get(GB(1)), 0);
	SLEEPS(test, B, act_get(ALL));
	DOES(test, A, act_get(CHUNK(600)), -EDEADLK);
	/* A may get more below B's claim: B waits for A anyway. */
	DOES(test, A, act_get(CHUNK(2000)), 0);
	DOES(test, A, act_put(GB(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(CHUNK(2000)), 0);
	ENDS(test, B, 0);
}

/* C's claim is in A's way, and A is in C's.  But C can give up its claim. */
static void who_holds_nothing_gives_way(struct kunit *test)
{
	static const struct range wide[] = { GB(0), SPAN(0, 1UL << 27), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		DOES(test, B, act_get(CHUNK(0)), 0);
		DOES(test, A, act_get(CHUNK(5)), 0);
		SLEEPS(test, C, act_get(wide[i]));
		SLEEPS(test, A, act_get(wide[i]));
		DOES(test, B, act_put(CHUNK(0)), 0);
		ENDS(test, A, 0);
		STILL_SLEEPS(test, C);
		DOES(test, A, act_put(wide[i]), 0);
		STILL_SLEEPS(test, C);
		DOES(test, A, act_put(CHUNK(5)), 0);
		ENDS(test, C, 0);
		DOES(test, C, act_put(wide[i]), 0);
	}
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_deadlocks));
}

static void who_holds_something_is_refused(struct kunit *test)
{
	DOES(test, B, act_get(CHUNK(0)), 0);
	DOES(test, A, act_get(CHUNK(5)), 0);
	DOES(test, C, act_get(CHUNK(9)), 0);
	SLEEPS(test, A, act_get(CHUNK(9)));
	SLEEPS(test, C, act_get(GB(0)));
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, C, -EDEADLK);
	STILL_SLEEPS(test, A);
	DOES(test, C, act_put(CHUNK(9)), 0);
	ENDS(test, A, 0);
}

/* B waits for A's claim, and then A's drain comes to what B holds. */
static void a_claimer_that_holds_something_below_is_refused(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, D, act_get(CHUNK(1)), 0);
	DOES(test, B, act_get(CHUNK(2)), 0);
	SLEEPS(test, A, act_get(GB(0)));
	SLEEPS(test, B, act_get(GB(0)));
	DOES(test, D, act_put(CHUNK(1)), 0);
	ENDS(test, A, -EDEADLK);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
}

/* The cycle is closed in another place than C's claim, so that is no way out. */
static void who_holds_something_elsewhere_is_refused(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(5)), 0);
	DOES(test, C, act_get(CHUNK(600)), 0);
	SLEEPS(test, A, act_get(CHUNK(600)));
	DOES(test, C, act_get(GB(0)), -EDEADLK);
	STILL_SLEEPS(test, A);
	DOES(test, B, act_look(CHUNK(6)), 0);
	DOES(test, C, act_put(CHUNK(600)), 0);
	ENDS(test, A, 0);
}

/*
 * A and B wait below each other's claims: A below D's, whose drain waits for B;
 * B below C's, whose drain then waits for A.  Neither A nor B owns anything
 * there, so C, which closes the cycle and owns nothing else, gives way.
 */
static void of_two_claims_in_a_cycle_one_gives_way(struct kunit *test)
{
	struct stage *stage = test->priv;

	KUNIT_ASSERT_EQ(test, 0, range_get(stage, CHUNK(0), P2M_WAIT));
	DOES(test, A, act_get(CHUNK(1)), 0);
	DOES(test, B, act_get(CHUNK(600)), 0);
	SLEEPS(test, D, act_get(GB(1)));
	SLEEPS(test, A, act_get(CHUNK(601)));
	SLEEPS(test, C, act_get(GB(0)));
	SLEEPS(test, B, act_get(CHUNK(5)));
	/* Now C's drain goes on, from this task's chunk to that of A. */
	range_put(stage, CHUNK(0));
	ENDS(test, B, 0);
	STILL_SLEEPS(test, A);
	STILL_SLEEPS(test, C);
	STILL_SLEEPS(test, D);
	DOES(test, B, act_put(CHUNK(5)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(CHUNK(600)), 0);
	ENDS(test, D, 0);
	STILL_SLEEPS(test, A);
	DOES(test, D, act_put(GB(1)), 0);
	ENDS(test, A, 0);
	DOES(test, A, act_put(CHUNK(601)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(1)), 0);
	ENDS(test, C, 0);
	DOES(test, C, act_put(GB(0)), 0);
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_deadlocks));
}

static void a_chain_of_waits_is_no_deadlock(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_get(CHUNK(1)), 0);
	DOES(test, C, act_get(CHUNK(2)), 0);
	SLEEPS(test, D, act_get(CHUNK(2)));
	SLEEPS(test, C, act_get(CHUNK(1)));
	SLEEPS(test, B, act_get(CHUNK(0)));
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(1)), 0);
	ENDS(test, C, 0);
	DOES(test, C, act_put(CHUNK(2)), 0);
	ENDS(test, D, 0);
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_deadlocks));
}

/*
 * C owns something below its claim, so cannot give way.  It closes a cycle with
 * A, which finds that it may pass.  C must wait for that, even if A has not run
 * yet.
 */
static void
a_cycle_with_a_holder_that_may_pass_is_no_deadlock(struct kunit *test)
{
	DOES(test, B, act_get(CHUNK(0)), 0);
	DOES(test, A, act_get(CHUNK(5)), 0);
	DOES(test, C, act_get(CHUNK(9)), 0);
	SLEEPS(test, C, act_get(GB(0)));
	SLEEPS(test, A, act_get(CHUNK(7)));
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, A, 0);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(5)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(7)), 0);
	ENDS(test, C, 0);
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_deadlocks));
}

/*
 * A waits to go below D's claim, where it owns nothing: B finds that out.  Then
 * A waits to go below C's, where it does own something.
 */
static void
who_was_asked_at_one_claim_is_asked_at_another(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(600)), 0);
	DOES(test, B, act_get(CHUNK(0)), 0);
	DOES(test, C, act_get(CHUNK(9000)), 0);
	SLEEPS(test, D, act_get_killable(GB(0)));
	SLEEPS(test, A, act_get(CHUNK(5)));
	DOES(test, B, act_get(CHUNK(600)), -EDEADLK);
	SLEEPS(test, C, act_get(ALL));
	actor_signal(test, D, SIGKILL);
	ENDS(test, D, -EINTR);
	STILL_SLEEPS(test, A);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, A, 0);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(5)), 0);
	DOES(test, A, act_put(CHUNK(600)), 0);
	ENDS(test, C, 0);
}

/* A is woken again and again, while it and B find that they cannot go on. */
static void
of_two_that_are_woken_for_nothing_one_is_refused(struct kunit *test)
{
	const struct range chunk[] = { CHUNK(0), CHUNK(1) };
	unsigned int round, loser, polls;

	stage_spread(test);
	for (round = 0; round < 50; round++) {
		DOES(test, A, act_get(chunk[A]), 0);
		DOES(test, B, act_get(chunk[B]), 0);
		SLEEPS(test, A, act_get(chunk[B]));
		actor_begin(test, B, act_get(chunk[A]));
		for (polls = 0; polls < 100000; polls++) {
			if (!actor_busy(test, A) || !actor_busy(test, B))
				break;
			actor_wake(test, A);
			usleep_range(20, 50);
		}
		loser = actor_busy(test, A) ? B : A;
		ENDS(test, loser, -EDEADLK);
		STILL_SLEEPS(test, !loser);
		DOES(test, loser, act_put(chunk[loser]), 0);
		ENDS(test, !loser, 0);
		DOES(test, !loser, act_put(chunk[loser]), 0);
		DOES(test, !loser, act_put(chunk[!loser]), 0);
	}
	KUNIT_EXPECT_EQ(test, 50UL, stage_stat(test, P2M_STAT_deadlocks));
}

/* Only A holds two at a time, so whoever waits for A does not hold any. */
static void who_keeps_an_order_is_never_refused(struct kunit *test)
{
	stage_spread(test);
	actor_begin(test, A, act_nest(CHUNK(1), CHUNK(0), 1000));
	actor_begin(test, B, act_turns(CHUNK(0), CHUNK(1), 1000));
	actor_begin(test, C, act_turns(CHUNK(0), CHUNK(1), 1000));
	actor_begin(test, D, act_turns(CHUNK(0), CHUNK(1), 1000));
	ENDS(test, A, 0);
	ENDS(test, B, 0);
	ENDS(test, C, 0);
	ENDS(test, D, 0);
}

/*
 * While A looks, B puts what A waits for, and D gets it.  A cycle that is put
 * together of what was seen at different moments was never there.
 */
static void what_changes_during_the_look_is_no_deadlock(struct kunit *test)
{
	stage_apart(test, A);
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_get(CHUNK(1)), 0);
	actor_begin(test, A, act_get(CHUNK(1)));
	msleep(50);
	DOES(test, B, act_put(CHUNK(1)), 0);
	actor_begin(test, D, act_turns_slowly(CHUNK(1), CHUNK(0), 350));
	actor_begin(test, B, act_get(CHUNK(0)));
	ENDS(test, A, 0);
	DOES(test, A, act_put(CHUNK(1)), 0);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, D, 0);
}

/* C is asked whether it owns something below A's claim, and leaves meanwhile. */
static void an_answer_is_for_one_wait_only(struct kunit *test)
{
	long result;

	stage_apart(test, A);
	DOES(test, B, act_get(of(1, ALL)), 0);
	DOES(test, C, act_get(CHUNK(5)), 0);
	DOES(test, D, act_get(CHUNK(0)), 0);
	SLEEPS(test, A, act_get(GB(0)));
	SLEEPS(test, C, act_get_interruptible(CHUNK(6)));
	/* Now A waits for C, and so closes a cycle. */
	DOES(test, D, act_put(CHUNK(0)), 0);
	msleep(50);
	if (actor_busy(test, C))
		actor_signal(test, C, SIGUSR1);
	result = actor_end(test, C);
	KUNIT_EXPECT_TRUE(test, !result || result == -EINTR);
	actor_begin(test, C, act_get(of(1, CHUNK(0))));
	msleep(400);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(of(1, ALL)), 0);
	ENDS(test, C, 0);
	DOES(test, C, act_put(CHUNK(5)), 0);
	if (!result)
		DOES(test, C, act_put(CHUNK(6)), 0);
	ENDS(test, A, 0);
}

/* ---- wide against narrow ------------------------------------------------ */

static void a_wide_get_waits_for_every_holder(struct kunit *test)
{
	static const struct range wide[] = { GB(0), SPAN(0, 1UL << 27), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		DOES(test, A, act_get(CHUNK(0)), 0);
		DOES(test, A, act_get(CHUNK(511)), 0);
		DOES(test, B, act_get(CHUNK(7)), 0);
		SLEEPS(test, C, act_get(wide[i]));
		DOES(test, A, act_put(CHUNK(0)), 0);
		STILL_SLEEPS(test, C);
		DOES(test, B, act_put(CHUNK(7)), 0);
		STILL_SLEEPS(test, C);
		/* No new holder comes in meanwhile. */
		DOES(test, B, act_try(CHUNK(7)), -EBUSY);
		DOES(test, A, act_put(CHUNK(511)), 0);
		ENDS(test, C, 0);
		DOES(test, C, act_put(wide[i]), 0);
	}
}

static void a_wide_get_waits_wherever_it_is(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3 * 512 + 1)), 0);
	DOES(test, B, act_get(CHUNK(3 * 512 + 5)), 0);
	SLEEPS(test, C, act_get(GB(3)));
	DOES(test, A, act_put(CHUNK(3 * 512 + 1)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(CHUNK(3 * 512 + 5)), 0);
	ENDS(test, C, 0);
}

static void a_holder_may_take_more_while_a_wide_get_waits(struct kunit *test)
{
	static const struct range wide[] = { GB(0), SPAN(0, 1UL << 27), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		DOES(test, A, act_get(CHUNK(1)), 0);
		SLEEPS(test, C, act_get(wide[i]));
		DOES(test, A, act_get(CHUNK(2)), 0);
		DOES(test, A, act_get(CHUNKS(2, 3)), 0);
		/* Other tasks may not. */
		DOES(test, B, act_try(CHUNK(9)), -EBUSY);
		DOES(test, A, act_put(CHUNK(1)), 0);
		DOES(test, A, act_put(CHUNK(2)), 0);
		STILL_SLEEPS(test, C);
		DOES(test, A, act_put(CHUNKS(2, 3)), 0);
		ENDS(test, C, 0);
		DOES(test, C, act_put(wide[i]), 0);
		KUNIT_EXPECT_LT(test, 3UL * i,
				stage_stat(test, P2M_STAT_passes));
	}
}

/* C looks at chunk 0, then sleeps for chunk 1.  Then A takes chunk 0. */
static void the_drain_looks_again_after_a_pass(struct kunit *test)
{
	static const struct range wide[] = { GB(0), SPAN(0, 1UL << 27), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wide); i++) {
		DOES(test, A, act_get(CHUNK(1)), 0);
		SLEEPS(test, C, act_get(wide[i]));
		DOES(test, A, act_get(CHUNK(0)), 0);
		DOES(test, A, act_put(CHUNK(1)), 0);
		STILL_SLEEPS(test, C);
		DOES(test, A, act_put(CHUNK(0)), 0);
		ENDS(test, C, 0);
		DOES(test, C, act_put(wide[i]), 0);
	}
}

static void a_drain_woken_for_nothing_goes_on_waiting(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, C, act_get(GB(0)));
	actor_wake(test, C);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, C, 0);
}

/* C waits for A anyway.  So A does not even have to wait until C knows. */
static void a_wide_holder_goes_on_under_a_claim(struct kunit *test)
{
	DOES(test, A, act_get(GB(0)), 0);
	SLEEPS(test, C, act_get(ALL));
	DOES(test, A, act_try(CHUNK(3)), 0);
	DOES(test, A, act_try(CHUNK(600)), -EBUSY);
	DOES(test, A, act_put(GB(0)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, C, 0);
}

static void a_holder_outside_does_not_pass(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(1)), 0);
	DOES(test, B, act_get(CHUNK(600)), 0);
	SLEEPS(test, C, act_get(GB(0)));
	SLEEPS(test, B, act_get(CHUNK(2)));
	DOES(test, A, act_put(CHUNK(1)), 0);
	ENDS(test, C, 0);
	STILL_SLEEPS(test, B);
	DOES(test, C, act_put(GB(0)), 0);
	ENDS(test, B, 0);
}

static void a_holder_passes_claims_above_each_other(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, D, act_get(CHUNK(5000)), 0);
	SLEEPS(test, C, act_get(ALL));
	/* D holds a part of all, so may claim 1 GB.  A holds part of that. */
	SLEEPS(test, D, act_get(GB(0)));
	DOES(test, A, act_get(CHUNK(1)), 0);
	DOES(test, A, act_put(CHUNK(1)), 0);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, D, 0);
	DOES(test, D, act_put(GB(0)), 0);
	STILL_SLEEPS(test, C);
	DOES(test, D, act_put(CHUNK(5000)), 0);
	ENDS(test, C, 0);
}

/* A has passed C's claim, and sleeps.  Then D makes a claim below that. */
static void a_holder_passes_a_claim_made_while_it_slept(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_get(CHUNK(1)), 0);
	DOES(test, D, act_get(CHUNK(5000)), 0);
	SLEEPS(test, C, act_get(ALL));
	SLEEPS(test, A, act_get(CHUNK(1)));
	SLEEPS(test, D, act_get(GB(0)));
	DOES(test, B, act_put(CHUNK(1)), 0);
	ENDS(test, A, 0);
	DOES(test, A, act_put(CHUNK(1)), 0);
	STILL_SLEEPS(test, D);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, D, 0);
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_deadlocks));
}

static void a_wide_holder_may_narrow(struct kunit *test)
{
	DOES(test, A, act_get(ALL), 0);
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(CHUNK(0)));
	SLEEPS(test, C, act_get(CHUNK(1)));
	DOES(test, A, act_put(ALL), 0);
	ENDS(test, C, 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
}

/* ---- fair --------------------------------------------------------------- */

static void waiters_are_served_in_order(struct kunit *test)
{
	static const struct range ranges[] = { CHUNK(0), GB(0), ALL };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		DOES(test, A, act_get(ranges[i]), 0);
		SLEEPS(test, C, act_get(ranges[i]));
		SLEEPS(test, D, act_get(ranges[i]));
		SLEEPS(test, B, act_get(ranges[i]));
		DOES(test, A, act_put(ranges[i]), 0);
		ENDS(test, C, 0);
		STILL_SLEEPS(test, D);
		STILL_SLEEPS(test, B);
		DOES(test, C, act_put(ranges[i]), 0);
		ENDS(test, D, 0);
		STILL_SLEEPS(test, B);
		DOES(test, D, act_put(ranges[i]), 0);
		ENDS(test, B, 0);
		DOES(test, B, act_put(ranges[i]), 0);
	}
}

/*
 * The same if they wait for a node above.  C came later than B, but is quicker.
 * B must still get it first.
 */
static void waiters_go_below_in_order(struct kunit *test)
{
	static const struct { struct range above, below; } cases[] = {
		{ GB(0), CHUNK(0) },
		{ ALL, CHUNK(0) },
		{ ALL, GB(0) },
	};
	struct stage *stage = test->priv;
	unsigned int i;

	sched_set_fifo(stage->actor[C].task);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		DOES(test, A, act_get(cases[i].above), 0);
		SLEEPS(test, B, act_get(cases[i].below));
		SLEEPS(test, C, act_get(cases[i].below));
		DOES(test, A, act_put(cases[i].above), 0);
		ENDS(test, B, 0);
		STILL_SLEEPS(test, C);
		DOES(test, B, act_put(cases[i].below), 0);
		ENDS(test, C, 0);
		DOES(test, C, act_put(cases[i].below), 0);
	}
}

/* On one CPU, B is woken, but A takes the range again before B has run. */
static void who_was_woken_in_vain_is_next(struct kunit *test)
{
	static const struct { struct range taken, wanted; } cases[] = {
		{ CHUNK(0), CHUNK(0) },
		{ GB(0), GB(0) },
		{ ALL, ALL },
		{ GB(0), CHUNK(0) },
		{ ALL, CHUNK(0) },
		{ ALL, GB(0) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		DOES(test, A, act_get(cases[i].taken), 0);
		SLEEPS(test, B, act_get(cases[i].wanted));
		DOES(test, A, act_swap(cases[i].taken, cases[i].taken), 0);
		STILL_SLEEPS(test, B);
		DOES(test, A, act_swap(cases[i].taken, cases[i].taken), -EBUSY);
		ENDS(test, B, 0);
		DOES(test, B, act_put(cases[i].wanted), 0);
	}
}

/* D is another that was woken in vain.  When it leaves, B must still be next. */
static void a_neighbour_that_leaves_takes_nobodys_turn(struct kunit *test)
{
	static const struct { struct range taken, wanted, other; } cases[] = {
		{ GB(0), CHUNK(0), CHUNK(1) },
		{ ALL, CHUNK(0), CHUNK(600) },
		{ ALL, GB(0), GB(1) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		DOES(test, A, act_get(cases[i].taken), 0);
		SLEEPS(test, B, act_get(cases[i].wanted));
		SLEEPS(test, D, act_get_interruptible(cases[i].other));
		DOES(test, A, act_swap(cases[i].taken, cases[i].taken), 0);
		STILL_SLEEPS(test, B);
		STILL_SLEEPS(test, D);
		actor_signal(test, D, SIGUSR1);
		ENDS(test, D, -EINTR);
		DOES(test, A, act_swap(cases[i].taken, cases[i].taken), -EBUSY);
		ENDS(test, B, 0);
		DOES(test, B, act_put(cases[i].wanted), 0);
	}
}

/* B is next in line for the chunk, but A has it as a part of its 1 GB. */
static void who_holds_a_range_is_not_held_up_within_it(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(CHUNK(0)));
	DOES(test, A, act_swap(CHUNK(0), CHUNK(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_get(GB(0)), 0);
	DOES(test, A, act_swap(CHUNK(0), CHUNK(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(GB(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
}

/* C was in that queue before B, but B has waited for longer. */
static void who_is_sent_to_another_queue_keeps_its_place(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(CHUNK(0)));
	DOES(test, A, act_get(GB(0)), 0);
	SLEEPS(test, C, act_get(CHUNK(0)));
	DOES(test, A, act_put(CHUNK(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(GB(0)), 0);
	ENDS(test, B, 0);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, C, 0);
}

/* C wants the same as B, and then D wants what both are a part of. */
static void a_put_wakes_only_who_can_go_on(struct kunit *test)
{
	unsigned long b, c, d;

	DOES(test, A, act_get(GB(0)), 0);
	SLEEPS(test, B, act_get(CHUNK(0)));
	SLEEPS(test, C, act_get(CHUNK(0)));
	b = actor_sleeps(test, B);
	c = actor_sleeps(test, C);
	DOES(test, A, act_swap(GB(0), GB(0)), 0);
	STILL_SLEEPS(test, B);
	STILL_SLEEPS(test, C);
	KUNIT_EXPECT_NE(test, b, actor_sleeps(test, B));
	KUNIT_EXPECT_EQ(test, c, actor_sleeps(test, C));
	DOES(test, A, act_put(GB(0)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(0)), 0);
	ENDS(test, C, 0);
	DOES(test, C, act_put(CHUNK(0)), 0);

	/* Behind one who wants all of it, nobody can go on. */
	DOES(test, A, act_get(GB(0)), 0);
	SLEEPS(test, B, act_get(GB(0)));
	SLEEPS(test, D, act_get(CHUNK(1)));
	b = actor_sleeps(test, B);
	d = actor_sleeps(test, D);
	DOES(test, A, act_swap(GB(0), GB(0)), 0);
	STILL_SLEEPS(test, B);
	STILL_SLEEPS(test, D);
	KUNIT_EXPECT_NE(test, b, actor_sleeps(test, B));
	KUNIT_EXPECT_EQ(test, d, actor_sleeps(test, D));
	DOES(test, A, act_put(GB(0)), 0);
	ENDS(test, B, 0);
}

/*
 * The same, but each time B has to wait for another node.  In that way it can
 * be overtaken at most once for each level of the tree.
 */
static void who_is_sent_from_queue_to_queue_gets_its_turn(struct kunit *test)
{
	static const struct { struct range taken[2], wanted; } cases[] = {
		{ { CHUNK(0), GB(0) }, CHUNK(0) },
		{ { GB(0), CHUNK(0) }, CHUNK(0) },
		{ { GB(0), ALL }, GB(0) },
		{ { ALL, GB(0) }, GB(0) },
		{ { ALL, GB(0) }, CHUNK(0) },
	};
	unsigned int i, turn;
	struct range from, to;
	long err;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		DOES(test, A, act_get(cases[i].taken[0]), 0);
		SLEEPS(test, B, act_get(cases[i].wanted));
		for (turn = 0; turn < 3; turn++) {
			from = cases[i].taken[turn & 1];
			to = cases[i].taken[!(turn & 1)];
			err = actor_do(test, A, act_swap(from, to));
			if (err)
				break;
			STILL_SLEEPS(test, B);
		}
		KUNIT_ASSERT_EQ(test, err, (long)-EBUSY);
		ENDS(test, B, 0);
		DOES(test, B, act_put(cases[i].wanted), 0);
	}
}

/* A claim is enough: a task that comes later does not get in first. */
static void who_has_claimed_a_range_is_next(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(GB(0)));
	DOES(test, A, act_swap(CHUNK(0), CHUNK(0)), -EBUSY);
	ENDS(test, B, 0);
}

/* A puts it at the moment when B goes to sleep, or some time before or after. */
static void who_begins_to_wait_during_a_put_is_woken(struct kunit *test)
{
	unsigned int us;

	stage_spread(test);
	for (us = 0; us < 400; us += 2) {
		actor_begin(test, A, act_linger(CHUNK(0), us));
		actor_begin(test, B, act_linger(CHUNK(0), 0));
		ENDS(test, A, 0);
		ENDS(test, B, 0);
	}
}

/* While two streams run, C must get its range, again and again. */
static void expect_not_starved(struct kunit *test, struct range stream1,
			       struct range stream2, struct range wanted)
{
	unsigned int i;

	stage_spread(test);
	actor_begin(test, A, act_stream(stream1));
	actor_begin(test, B, act_stream(stream2));
	for (i = 0; i < 25; i++)
		DOES(test, C, act_stamp(wanted, 1), 0);
	KUNIT_EXPECT_TRUE(test, actor_busy(test, A));
	KUNIT_EXPECT_TRUE(test, actor_busy(test, B));
	stage_curtain(test);
	ENDS(test, A, 0);
	ENDS(test, B, 0);
}

static void two_narrow_streams_do_not_starve_a_wide_get(struct kunit *test)
{
	expect_not_starved(test, CHUNK(0), CHUNK(1), GB(0));
}

static void two_narrow_streams_do_not_starve_a_get_of_all(struct kunit *test)
{
	expect_not_starved(test, CHUNK(0), CHUNK(600), ALL);
}

static void two_streams_do_not_starve_a_get_of_many_chunks(struct kunit *test)
{
	expect_not_starved(test, CHUNKS(0, 2), CHUNKS(1, 2), CHUNKS(0, 600));
}

static void two_wide_streams_do_not_starve_a_narrow_get(struct kunit *test)
{
	expect_not_starved(test, GB(0), GB(0), CHUNK(0));
}

static void two_streams_of_all_do_not_starve_a_narrow_get(struct kunit *test)
{
	expect_not_starved(test, ALL, ALL, CHUNK(0));
}

static void
a_wide_and_a_narrow_stream_do_not_starve_a_narrow_get(struct kunit *test)
{
	expect_not_starved(test, CHUNK(0), GB(0), CHUNK(0));
}

static void streams_above_do_not_starve_a_get_between(struct kunit *test)
{
	expect_not_starved(test, ALL, GB(0), GB(0));
}

static void two_streams_do_not_starve_a_third_on_one_chunk(struct kunit *test)
{
	expect_not_starved(test, CHUNK(0), CHUNK(0), CHUNK(0));
}

/* ---- two guests --------------------------------------------------------- */

static void two_guests_in_opposite_orders_never_deadlock(struct kunit *test)
{
	struct range here = of(0, CHUNK(3)), there = of(1, CHUNK(8));

	stage_spread(test);
	actor_begin(test, A, act_two(here, there, 5000));
	actor_begin(test, B, act_two(there, here, 5000));
	ENDS(test, A, 0);
	ENDS(test, B, 0);
}

static void
two_ranges_of_a_guest_in_opposite_orders_never_deadlock(struct kunit *test)
{
	stage_spread(test);
	actor_begin(test, A, act_two(CHUNK(3), CHUNK(8), 5000));
	actor_begin(test, B, act_two(CHUNK(8), CHUNK(3), 5000));
	/* The same range twice is recursion. */
	actor_begin(test, C, act_two(CHUNK(8), CHUNK(8), 5000));
	ENDS(test, A, 0);
	ENDS(test, B, 0);
	ENDS(test, C, 0);
}

static void two_is_both_or_none(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	KUNIT_EXPECT_EQ(test, -EINVAL,
			get_p2m_two(lock, 0, stage_lock(test, 1), TOP + 1, 0, P2M_WAIT));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			get_p2m_two(stage_lock(test, 1), TOP + 1, lock, 0, 0, P2M_WAIT));
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m_two(lock, 0, lock, TOP + 1, 0, P2M_WAIT));
	DOES(test, A, act_look(of(0, ALL)), 0);
	DOES(test, A, act_look(of(1, ALL)), 0);
}

static struct kunit_case p2m_waiting_cases[] = {
	KUNIT_CASE(two_tasks_on_two_chunks_is_a_deadlock),
	KUNIT_CASE(three_tasks_on_three_guests_is_a_deadlock),
	KUNIT_CASE(of_two_holders_that_widen_one_gets_edeadlk),
	KUNIT_CASE(widening_in_a_race_has_one_loser),
	KUNIT_CASE(a_race_over_two_guests_has_one_loser),
	KUNIT_CASE(a_refused_get_gives_back_what_it_had_taken),
	KUNIT_CASE(wide_against_wide_is_a_deadlock),
	KUNIT_CASE(who_holds_nothing_gives_way),
	KUNIT_CASE(who_holds_something_is_refused),
	KUNIT_CASE(a_claimer_that_holds_something_below_is_refused),
	KUNIT_CASE(who_holds_something_elsewhere_is_refused),
	KUNIT_CASE(of_two_claims_in_a_cycle_one_gives_way),
	KUNIT_CASE(a_chain_of_waits_is_no_deadlock),
	KUNIT_CASE(a_cycle_with_a_holder_that_may_pass_is_no_deadlock),
	KUNIT_CASE(who_was_asked_at_one_claim_is_asked_at_another),
	KUNIT_CASE(of_two_that_are_woken_for_nothing_one_is_refused),
	KUNIT_CASE(who_keeps_an_order_is_never_refused),
	KUNIT_CASE(what_changes_during_the_look_is_no_deadlock),
	KUNIT_CASE(an_answer_is_for_one_wait_only),
	KUNIT_CASE(a_wide_get_waits_for_every_holder),
	KUNIT_CASE(a_wide_get_waits_wherever_it_is),
	KUNIT_CASE(a_holder_may_take_more_while_a_wide_get_waits),
	KUNIT_CASE(the_drain_looks_again_after_a_pass),
	KUNIT_CASE(a_drain_woken_for_nothing_goes_on_waiting),
	KUNIT_CASE(a_wide_holder_goes_on_under_a_claim),
	KUNIT_CASE(a_holder_outside_does_not_pass),
	KUNIT_CASE(a_holder_passes_claims_above_each_other),
	KUNIT_CASE(a_holder_passes_a_claim_made_while_it_slept),
	KUNIT_CASE(a_wide_holder_may_narrow),
	KUNIT_CASE(waiters_are_served_in_order),
	KUNIT_CASE(waiters_go_below_in_order),
	KUNIT_CASE(who_was_woken_in_vain_is_next),
	KUNIT_CASE(a_neighbour_that_leaves_takes_nobodys_turn),
	KUNIT_CASE(who_holds_a_range_is_not_held_up_within_it),
	KUNIT_CASE(who_is_sent_to_another_queue_keeps_its_place),
	KUNIT_CASE(a_put_wakes_only_who_can_go_on),
	KUNIT_CASE(who_is_sent_from_queue_to_queue_gets_its_turn),
	KUNIT_CASE(who_has_claimed_a_range_is_next),
	KUNIT_CASE(who_begins_to_wait_during_a_put_is_woken),
	KUNIT_CASE(two_narrow_streams_do_not_starve_a_wide_get),
	KUNIT_CASE(two_narrow_streams_do_not_starve_a_get_of_all),
	KUNIT_CASE(two_streams_do_not_starve_a_get_of_many_chunks),
	KUNIT_CASE(two_wide_streams_do_not_starve_a_narrow_get),
	KUNIT_CASE(two_streams_of_all_do_not_starve_a_narrow_get),
	KUNIT_CASE(a_wide_and_a_narrow_stream_do_not_starve_a_narrow_get),
	KUNIT_CASE(streams_above_do_not_starve_a_get_between),
	KUNIT_CASE(two_streams_do_not_starve_a_third_on_one_chunk),
	KUNIT_CASE(two_guests_in_opposite_orders_never_deadlock),
	KUNIT_CASE(two_ranges_of_a_guest_in_opposite_orders_never_deadlock),
	KUNIT_CASE(two_is_both_or_none),
	{}
};

static struct kunit_suite p2m_waiting_suite = {
	.name = "p2m_waiting",
	.init = stage_init,
	.exit = stage_exit,
	.test_cases = p2m_waiting_cases,
};

kunit_test_suite(p2m_waiting_suite);
