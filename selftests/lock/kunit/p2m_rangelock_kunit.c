// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of p2m_rangelock: the name of each is a promise of the lock.
 *
 * The tests here are about ranges that tasks hold, and how they ask for them.
 * Those in p2m_waiting_kunit.c are about tasks that wait for each other.
 * selftests/lock/kunit/run runs both.  stage.h has the actors A to D.
 */

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "ledger.h"
#include "stage.h"

/* ---- the stage itself ---------------------------------------------------- */

/* Otherwise C might be in line before B, although B must get it first. */
static void who_sleeps_elsewhere_is_not_taken_for_a_waiter(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, B, act_get_late(CHUNK(3)));
	KUNIT_ASSERT_EQ(test, 1UL, stage_stat(test, P2M_STAT_waits));
	SLEEPS(test, C, act_get(CHUNK(3)));
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, B, 0);
}

/* ---- exclusive ---------------------------------------------------------- */

static void overlapping_ranges_exclude_each_other(struct kunit *test)
{
	static const struct { struct range first, second; } pairs[] = {
		{ CHUNK(0), CHUNK(0) },		/* a chunk */
		{ FRAME(0), FRAME(511) },	/* neighbours in a chunk */
		{ CHUNK(5), GB(0) },		/* a chunk and its GB */
		{ GB(0), CHUNK(5) },
		{ GB(0), GB(0) },
		{ GB(3), SPAN(0, 1UL << 27) },	/* 512 GB */
		{ SPAN(0, 1UL << 27), GB(3) },
		{ CHUNKS(0, 2), CHUNKS(1, 2) },	/* a chunk in common */
		{ SPAN(511, 2), FRAME(1023) },
		{ ALL, FRAME(TOP) },
		{ FRAME(TOP), ALL },
		{ GB(0), ALL },
		{ ALL, GB(0) },
		{ ALL, ALL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		DOES(test, A, act_get(pairs[i].first), 0);
		SLEEPS(test, B, act_get(pairs[i].second));
		DOES(test, A, act_put(pairs[i].first), 0);
		ENDS(test, B, 0);
		DOES(test, A, act_try(pairs[i].first), -EBUSY);
		DOES(test, B, act_put(pairs[i].second), 0);
	}
}

static void other_ranges_do_not_wait(struct kunit *test)
{
	static const struct { struct range first, second; } pairs[] = {
		{ FRAME(511), FRAME(512) },
		{ CHUNK(511), GB(1) },
		{ GB(1), CHUNK(511) },
		{ GB(0), GB(1) },
		{ CHUNKS(0, 2), CHUNKS(2, 2) },
		{ SPAN(0, 1UL << 27), GB(512) },
		{ ALL, { .guest = 1, .all = true } },
		{ CHUNK(0), { .guest = 1, .nr = 512 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		DOES(test, A, act_get(pairs[i].first), 0);
		DOES(test, B, act_get(pairs[i].second), 0);
		DOES(test, A, act_put(pairs[i].first), 0);
		DOES(test, B, act_put(pairs[i].second), 0);
	}
	KUNIT_EXPECT_EQ(test, stage_stat(test, P2M_STAT_waits), 0UL);
}

/* All kinds of gets race in a small space.  An owner of a frame is alone. */
static void four_tasks_never_meet(struct kunit *test)
{
	stage_spread(test);
	actor_begin(test, A, act_stream(FRAME(0)));
	actor_begin(test, B, act_stream(CHUNKS(0, 700)));
	actor_begin(test, C, act_stream(GB(0)));
	actor_begin(test, D, act_stream(ALL));
	msleep(500);
	stage_curtain(test);
	ENDS(test, A, 0);
	ENDS(test, B, 0);
	ENDS(test, C, 0);
	ENDS(test, D, 0);
}

/* ---- any range ---------------------------------------------------------- */

/* The chunks [first, end) of a range are taken, and those beside are not. */
static void expect_cover(struct kunit *test, unsigned long first,
			 unsigned long end)
{
	if (first)
		DOES(test, B, act_look(CHUNK(first - 1)), 0);
	DOES(test, B, act_look(CHUNK(first)), -EBUSY);
	DOES(test, B, act_look(CHUNK((first + end) / 2)), -EBUSY);
	DOES(test, B, act_look(CHUNK(end - 1)), -EBUSY);
	if (end <= TOP >> P2M_CHUNK_ORDER)
		DOES(test, B, act_look(CHUNK(end)), 0);
}

static void unaligned_ranges_are_held_as_their_chunks(struct kunit *test)
{
	static const struct {
		unsigned long gfn, nr, first, end, nodes;
	} covers[] = {
		{ 0, 1, 0, 1, 1 },
		{ 511, 2, 0, 2, 2 },
		{ 700, 1, 1, 2, 1 },
		{ 1023, 514, 1, 4, 3 },			/* ..|1|2|3|.. */
		{ 511UL << 9, 1024, 511, 513, 2 },	/* over a 1 GB border */
		{ (1UL << 18) - 1, (1UL << 18) + 2, 511, 1025, 3 },
		{ 1UL << 18, 1UL << 19, 512, 1536, 2 },
		{ (1UL << 27) - 1, 2, (1UL << 18) - 1, (1UL << 18) + 1, 2 },
		{ 512, (1UL << 27) - 512, 1, 1UL << 18, 511 + 511 },
		{ TOP, 1, TOP >> 9, (TOP >> 9) + 1, 1 },
		{ TOP - 512, 513, (TOP >> 9) - 1, (TOP >> 9) + 1, 2 },
	};
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned long gfn, left, nodes;
	unsigned int i;
	long part;

	for (i = 0; i < ARRAY_SIZE(covers); i++) {
		KUNIT_ASSERT_EQ(test, 0, get_p2m_range(lock, covers[i].gfn,
						       covers[i].nr, P2M_WAIT, 0));
		expect_cover(test, covers[i].first, covers[i].end);
		put_p2m_range(lock, covers[i].gfn, covers[i].nr);
		DOES(test, B, act_look(SPAN(covers[i].gfn, covers[i].nr)), 0);

		/* It takes no more nodes of the tree than it needs. */
		gfn = covers[i].gfn;
		left = covers[i].nr;
		for (nodes = 0; left; nodes++) {
			part = get_p2m_step(lock, gfn, left, 1, P2M_WAIT, 0);
			KUNIT_ASSERT_GT(test, part, 0L);
			put_p2m_range(lock, gfn, part);
			gfn += part;
			left -= part;
		}
		KUNIT_EXPECT_EQ(test, nodes, covers[i].nodes);
	}
}

static void an_order_need_not_be_aligned_to(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	KUNIT_ASSERT_EQ(test, 0, get_p2m(lock, 512 + 3, 9));
	expect_cover(test, 1, 3);
	put_p2m(lock, 512 + 3, 9);
	KUNIT_ASSERT_EQ(test, 0, get_p2m_gfn(lock, 512 + 3));
	expect_cover(test, 1, 2);
	put_p2m_gfn(lock, 512 + 3);
}

static void impossible_ranges_are_einval(struct kunit *test)
{
	static const struct { unsigned long gfn, nr; } bad[] = {
		{ 0, 0 },
		{ 1, 0 },
		{ TOP, 0 },
		{ 0, TOP + 2 },
		{ TOP, 2 },
		{ TOP + 1, 1 },
		{ ULONG_MAX, 1 },
		{ ULONG_MAX, 2 },
		{ 1, ULONG_MAX },
		{ 2, ULONG_MAX },
		{ 0, ULONG_MAX },
		{ TOP, ULONG_MAX - TOP + 1 },
	};
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    get_p2m_range(lock, bad[i].gfn, bad[i].nr, P2M_WAIT, 0),
				    "[%#lx, +%#lx)", bad[i].gfn, bad[i].nr);
		KUNIT_EXPECT_EQ(test, -EINVAL,
				get_p2m_step(lock, bad[i].gfn, bad[i].nr, 1,
					     P2M_WAIT, 0));
	}
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m(lock, 0, P2M_GFN_BITS + 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m(lock, 1, P2M_GFN_BITS));
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m(lock, 0, 64));
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m(lock, 0, UINT_MAX));
	KUNIT_EXPECT_EQ(test, -EINVAL, get_p2m_gfn(lock, TOP + 1));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			get_p2m_step(lock, 0, 1, 0, P2M_WAIT, 0));
	DOES(test, A, act_look(ALL), 0);
}

static void the_top_and_the_whole_of_the_space_can_be_got(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	KUNIT_ASSERT_EQ(test, 0, get_p2m_gfn(lock, TOP));
	DOES(test, A, act_look(FRAME(TOP - 1)), -EBUSY);
	DOES(test, A, act_look(FRAME(TOP - 512)), 0);
	put_p2m_gfn(lock, TOP);

	KUNIT_ASSERT_EQ(test, 0, get_p2m(lock, 0, P2M_GFN_BITS));
	DOES(test, A, act_look(FRAME(0)), -EBUSY);
	DOES(test, A, act_look(FRAME(TOP)), -EBUSY);
	DOES(test, A, act_look(ALL), -EBUSY);
	put_p2m(lock, 0, P2M_GFN_BITS);
	DOES(test, A, act_look(ALL), 0);
}

static void steps_make_up_a_range(struct kunit *test)
{
	const unsigned long gfn = 1000, nr = 3UL << 18;
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned long at = gfn, end = gfn + nr;
	unsigned int parts = 0;
	long part;

	for (; at < end; at += part, parts++) {
		part = get_p2m_step(lock, at, end - at, 100, P2M_WAIT, 0);
		KUNIT_ASSERT_GT(test, part, 0L);
		KUNIT_ASSERT_LE(test, (unsigned long)part, end - at);
		DOES(test, B, act_look(FRAME(at)), -EBUSY);
		DOES(test, B, act_look(FRAME(at + part - 1)), -EBUSY);
		/* After the rest of the chunk, frames are free. */
		DOES(test, B, act_look(FRAME(round_up(at + part, 512))), 0);
		put_p2m_range(lock, at, part);
		DOES(test, B, act_look(ALL), 0);
	}
	KUNIT_EXPECT_EQ(test, at, end);
	KUNIT_EXPECT_GT(test, parts, 5U);

	/* A range of few nodes is one step. */
	KUNIT_ASSERT_EQ(test, 700L,
			get_p2m_step(lock, 600, 700, 100, P2M_WAIT, 0));
	put_p2m_range(lock, 600, 700);

	/* Steps can be held together, and put in any order. */
	KUNIT_ASSERT_EQ(test, 24L, get_p2m_step(lock, gfn, nr, 1, P2M_WAIT, 0));
	KUNIT_ASSERT_EQ(test, 512L, get_p2m_step(lock, gfn + 24, nr - 24, 1,
						 P2M_WAIT, 0));
	put_p2m_range(lock, gfn, 24);
	DOES(test, B, act_look(FRAME(gfn)), 0);
	DOES(test, B, act_look(FRAME(gfn + 24)), -EBUSY);
	put_p2m_range(lock, gfn + 24, 512);
}

static void a_step_that_fails_holds_nothing(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	DOES(test, A, act_get(CHUNK(2)), 0);
	KUNIT_EXPECT_EQ(test, (long)-EBUSY,
			get_p2m_step(lock, 0, 8 << 9, 8, P2M_TRY, 0));
	DOES(test, B, act_look(CHUNKS(0, 2)), 0);
	/* The chunks before that can be got. */
	KUNIT_ASSERT_EQ(test, 2L << 9,
			get_p2m_step(lock, 0, 8 << 9, 2, P2M_TRY, 0));
	put_p2m_range(lock, 0, 2 << 9);
}

/* ---- recursive ---------------------------------------------------------- */

#define NR_NESTED	4

/* Chunk 0 is in all of these.  Chunks further on are in fewer. */
static const struct range nested[NR_NESTED] = {
	FRAME(5), CHUNKS(0, 2), GB(0), ALL,
};

/* While the ranges of the set are held, another task must not get these. */
static void expect_held(struct kunit *test, unsigned int set)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	static const struct {
		unsigned long chunk;
		unsigned int in;
	} places[] = { { 0, 0xf }, { 1, 0xe }, { 2, 0xc }, { 600, 0x8 } };
	bool held;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		held = set & places[i].in;
		DOES(test, B, act_look(CHUNK(places[i].chunk)),
		     held ? -EBUSY : 0);
		KUNIT_ASSERT_EQ(test, held, p2m_held(lock,
						     places[i].chunk << 9, 9));
	}
}

/* The @n-th order in which to do NR_NESTED things */
static void permute(unsigned int n, unsigned int order[NR_NESTED])
{
	unsigned int i, pick;

	for (i = 0; i < NR_NESTED; i++)
		order[i] = i;
	for (i = 0; i < NR_NESTED; i++) {
		pick = i + n % (NR_NESTED - i);
		n /= NR_NESTED - i;
		swap(order[i], order[pick]);
	}
}

static void gets_nest_in_any_order_and_puts_too(struct kunit *test)
{
	unsigned int in, out, i, set, get[NR_NESTED], put[NR_NESTED];
	struct stage *stage = test->priv;

	for (in = 0; in < 24; in++) {
		permute(in, get);
		for (out = 0; out < 24; out++) {
			permute(out, put);
			for (i = 0, set = 0; i < NR_NESTED; i++) {
				KUNIT_ASSERT_EQ(test, 0,
						range_get(stage, nested[get[i]],
							  P2M_WAIT));
				set |= 1 << get[i];
			}
			for (i = 0; i < NR_NESTED; i++) {
				expect_held(test, set);
				range_put(stage, nested[put[i]]);
				set &= ~(1 << put[i]);
			}
			expect_held(test, 0);
		}
	}
}

static void what_is_held_grows_with_each_get(struct kunit *test)
{
	struct stage *stage = test->priv;
	unsigned int n, i, set, get[NR_NESTED];

	for (n = 0; n < 24; n++) {
		permute(n, get);
		for (i = 0, set = 0; i < NR_NESTED; i++) {
			KUNIT_ASSERT_EQ(test, 0,
					range_get(stage, nested[get[i]],
						  P2M_WAIT));
			set |= 1 << get[i];
			expect_held(test, set);
		}
		for (i = 0; i < NR_NESTED; i++)
			range_put(stage, nested[i]);
	}
}

static void the_same_range_is_held_until_the_last_put(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int i;

	for (i = 0; i < 1000; i++)
		KUNIT_ASSERT_EQ(test, 0, get_p2m(lock, 0, 10));
	for (; i; i--) {
		KUNIT_ASSERT_TRUE(test, p2m_held(lock, 0, 10));
		if (i % 100 == 1)
			DOES(test, B, act_look(CHUNK(1)), -EBUSY);
		put_p2m(lock, 0, 10);
	}
	DOES(test, B, act_look(CHUNKS(0, 2)), 0);
}

static void a_chunk_is_held_until_the_last_put(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		DOES(test, A, act_get(CHUNK(3)), 0);
	for (; i; i--) {
		DOES(test, B, act_look(CHUNK(3)), -EBUSY);
		DOES(test, A, act_put(CHUNK(3)), 0);
	}
	DOES(test, B, act_look(CHUNK(3)), 0);
}

static void overlapping_gets_are_put_one_by_one(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	KUNIT_ASSERT_EQ(test, 0, get_p2m_range(lock, 0, 2 << 9, P2M_WAIT, 0));
	KUNIT_ASSERT_EQ(test, 0, get_p2m_range(lock, 1 << 9, 2 << 9, P2M_WAIT, 0));
	put_p2m_range(lock, 0, 2 << 9);
	DOES(test, B, act_look(CHUNK(0)), 0);
	DOES(test, B, act_look(CHUNK(1)), -EBUSY);
	DOES(test, B, act_look(CHUNK(2)), -EBUSY);
	put_p2m_range(lock, 1 << 9, 2 << 9);
	DOES(test, B, act_look(ALL), 0);
}

static void too_many_gets_are_eoverflow(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	struct p2m_node *chunk;

	KUNIT_ASSERT_EQ(test, 0, get_p2m_all(lock, P2M_WAIT, 0));
	lock->all.depth = UINT_MAX;
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, get_p2m_all(lock, P2M_WAIT, 0));
	KUNIT_EXPECT_EQ(test, UINT_MAX, lock->all.depth);
	lock->all.depth = 0;
	put_p2m_all(lock);

	KUNIT_ASSERT_EQ(test, 0, get_p2m_gfn(lock, 0));
	/* The tree is one table. */
	chunk = (struct p2m_node *)(lock->all.below & PAGE_MASK);
	chunk->depth = UINT_MAX;
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, get_p2m_gfn(lock, 0));
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, try_get_p2m(lock, 0, 0));
	KUNIT_EXPECT_EQ(test, UINT_MAX, chunk->depth);
	chunk->depth = 0;
	put_p2m_gfn(lock, 0);
}

/* The lock warns of this.  Here that is not shown. */
static void a_put_of_what_another_holds_changes_nothing(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	DOES(test, A, act_get(CHUNK(3)), 0);
	kunit_warning_suppress(test)
		range_put(test->priv, CHUNK(3));
	DOES(test, A, act_put(CHUNK(3)), 0);
	DOES(test, B, act_look(CHUNK(3)), -EBUSY);
	kunit_warning_suppress(test)
		range_put(test->priv, CHUNK(3));
	DOES(test, B, act_look(CHUNK(3)), -EBUSY);
	DOES(test, A, act_put(CHUNK(3)), 0);
	DOES(test, B, act_look(CHUNK(3)), 0);
}

static void what_is_held_can_always_be_tried(struct kunit *test)
{
	stage_spread(test);
	DOES(test, A, act_get(ALL), 0);
	actor_begin(test, B, act_pester(GB(0), 20000));
	actor_begin(test, C, act_pester(CHUNK(0), 20000));
	DOES(test, A, act_insist(CHUNK(0), 20000), 0);
	DOES(test, A, act_insist(GB(0), 2000), 0);
	ENDS(test, B, 0);
	ENDS(test, C, 0);
}

static void gets_nest_while_others_want_the_same(struct kunit *test)
{
	actor_begin(test, A, act_stream(CHUNK(0)));
	actor_begin(test, B, act_stream(CHUNK(0)));
	actor_begin(test, C, act_stream(GB(0)));
	DOES(test, D, act_nest(GB(0), CHUNK(0), 100), 0);
	DOES(test, D, act_nest(ALL, GB(0), 100), 0);
	stage_spread(test);
	DOES(test, D, act_nest(GB(0), CHUNK(0), 100), 0);
	DOES(test, D, act_nest(ALL, GB(0), 100), 0);
	stage_curtain(test);
	ENDS(test, A, 0);
	ENDS(test, B, 0);
	ENDS(test, C, 0);
}

/* ---- holds -------------------------------------------------------------- */

static void a_hold_knows_what_to_put(struct kunit *test)
{
	static const struct {
		unsigned long gfn;
		unsigned int order;
		struct range range;
	} cases[] = {
		{ 3 << 9, 9, CHUNK(3) },
		{ (3 << 9) + 5, 0, CHUNK(3) },
		{ 3 << 9, 10, CHUNKS(3, 2) },
		{ 1 << 18, 18, GB(1) },
		{ TOP, 0, FRAME(TOP) },
	};
	struct p2m_rangelock *lock = stage_lock(test, 0);
	struct p2m_rangelock_hold hold, again;
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* First in a new tree, then in one that was used before. */
		for (round = 0; round < 2; round++) {
			KUNIT_ASSERT_EQ(test, 0,
					get_p2m_hold(&hold, lock, cases[i].gfn,
						     cases[i].order, P2M_WAIT));
			KUNIT_ASSERT_EQ(test, 0,
					get_p2m_hold(&again, lock, cases[i].gfn,
						     cases[i].order, P2M_TRY));
			put_p2m_hold(&hold);
			KUNIT_EXPECT_TRUE(test, p2m_held(lock, cases[i].gfn,
							 cases[i].order));
			DOES(test, B, act_look(cases[i].range), -EBUSY);
			put_p2m_hold(&again);
			DOES(test, B, act_look(ALL), 0);
		}
		p2m_rangelock_destroy(lock);
		p2m_rangelock_init(lock, "red again");
	}
	KUNIT_EXPECT_EQ(test, -EINVAL,
			get_p2m_hold(&hold, lock, TOP + 1, 0, P2M_WAIT));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			get_p2m_hold(&hold, lock, 0, P2M_GFN_BITS + 1, P2M_WAIT));
}

static void a_put_of_a_hold_wakes_who_waits(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	struct p2m_rangelock_hold hold;

	DOES(test, A, act_look(CHUNK(3)), 0);
	KUNIT_ASSERT_EQ(test, 0,
			get_p2m_hold(&hold, lock, 3 << 9, 9, P2M_WAIT));
	KUNIT_EXPECT_NOT_NULL(test, hold.node);
	SLEEPS(test, B, act_get(CHUNK(3)));
	put_p2m_hold(&hold);
	ENDS(test, B, 0);
}

#ifdef DEFINE_CLASS
static void a_hold_ends_with_its_scope(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	{
		CLASS(p2m_hold, hold)(lock, 3 << 9, 9, P2M_WAIT);
		KUNIT_EXPECT_EQ(test, 0, hold.err);
		DOES(test, B, act_look(CHUNK(3)), -EBUSY);
	}
	DOES(test, B, act_get(CHUNK(3)), 0);
	{
		CLASS(p2m_hold, hold)(lock, 3 << 9, 9, P2M_TRY);
		KUNIT_EXPECT_EQ(test, -EBUSY, hold.err);
	}
	DOES(test, A, act_look(CHUNK(3)), -EBUSY);
}
#endif

/* ---- ways to wait ------------------------------------------------------- */

static void
a_try_of_what_is_taken_is_ebusy_and_holds_nothing(struct kunit *test)
{
	unsigned long waits = stage_stat(test, P2M_STAT_waits);

	DOES(test, A, act_get(CHUNK(3)), 0);
	DOES(test, B, act_try(CHUNK(3)), -EBUSY);
	DOES(test, B, act_try(CHUNKS(1, 5)), -EBUSY);
	DOES(test, B, act_try(GB(0)), -EBUSY);
	DOES(test, B, act_try(ALL), -EBUSY);
	/* The tries have left no claim either. */
	DOES(test, C, act_get(CHUNKS(0, 3)), 0);
	DOES(test, C, act_get(CHUNK(4)), 0);
	DOES(test, C, act_get(GB(1)), 0);
	KUNIT_EXPECT_EQ(test, waits, stage_stat(test, P2M_STAT_waits));
}

static void a_try_never_sleeps(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	static DEFINE_SPINLOCK(spin);

	DOES(test, A, act_get(CHUNK(3)), 0);
	spin_lock(&spin);
	KUNIT_EXPECT_EQ(test, -EBUSY, try_get_p2m(lock, 3 << 9, 9));
	KUNIT_EXPECT_EQ(test, -EBUSY, try_get_p2m(lock, 0, 18));
	KUNIT_EXPECT_EQ(test, -EBUSY, get_p2m_all(lock, P2M_TRY, 0));
	/* It does not sleep either when the tree has to grow. */
	KUNIT_EXPECT_EQ(test, 0, try_get_p2m(lock, 1UL << 40, 9));
	put_p2m(lock, 1UL << 40, 9);
	spin_unlock(&spin);
}

static void a_try_does_not_pass_who_waits_for_all(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, B, act_get(ALL));
	DOES(test, C, act_try(CHUNK(9)), -EBUSY);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, B, 0);
}

/* B holds a part of a range and waits for the rest.  Then a signal comes. */
static void expect_interrupted(struct kunit *test, struct act get, int sig)
{
	unsigned long before = stage_stat(test, P2M_STAT_interrupted);

	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, B, get);
	DOES(test, C, act_try(CHUNK(1)), -EBUSY);
	actor_signal(test, B, sig);
	ENDS(test, B, -EINTR);
	DOES(test, C, act_look(CHUNKS(0, 3)), 0);
	DOES(test, C, act_look(GB(1)), 0);
	DOES(test, A, act_put(CHUNK(3)), 0);
	DOES(test, C, act_look(ALL), 0);
	KUNIT_EXPECT_EQ(test, before + 1,
			stage_stat(test, P2M_STAT_interrupted));
}

static void a_fatal_signal_ends_a_killable_get(struct kunit *test)
{
	expect_interrupted(test, act_get_killable(CHUNKS(1, 4)), SIGKILL);
	expect_interrupted(test, act_get_killable(GB(0)), SIGKILL);
	expect_interrupted(test, act_get_killable(ALL), SIGKILL);
}

static void any_signal_ends_an_interruptible_get(struct kunit *test)
{
	expect_interrupted(test, act_get_interruptible(CHUNKS(1, 4)), SIGUSR1);
	expect_interrupted(test, act_get_interruptible(GB(0)), SIGUSR1);
	expect_interrupted(test, act_get_interruptible(ALL), SIGKILL);
}

static void other_signals_do_not_end_a_get(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	SLEEPS(test, B, act_get_killable(CHUNK(3)));
	SLEEPS(test, C, act_get(CHUNK(3)));
	actor_signal(test, B, SIGUSR1);
	actor_signal(test, C, SIGUSR1);
	actor_signal(test, C, SIGKILL);
	STILL_SLEEPS(test, B);
	STILL_SLEEPS(test, C);
	/* Nor when they are woken for another reason */
	actor_wake(test, B);
	actor_wake(test, C);
	STILL_SLEEPS(test, B);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(3)), 0);
	ENDS(test, C, 0);
}

static void the_next_in_line_goes_on_when_one_gives_up(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(3)), 0);
	/* B claims 1 GB while it waits, so C waits for B. */
	SLEEPS(test, B, act_get_killable(GB(0)));
	SLEEPS(test, C, act_get(CHUNK(9)));
	actor_signal(test, B, SIGKILL);
	ENDS(test, B, -EINTR);
	ENDS(test, C, 0);
}

/* ---- asking ------------------------------------------------------------- */

static void expect_known(struct kunit *test, struct range range,
			 unsigned long gfn, unsigned int order, bool held)
{
	struct p2m_rangelock *lock = stage_lock(test, range.guest);

	KUNIT_ASSERT_EQ(test, 0, range_get(test->priv, range, P2M_WAIT));
	KUNIT_EXPECT_EQ_MSG(test, held, p2m_held(lock, gfn, order),
			    "[%#lx, +2^%u) in %s", gfn, order, lock->name);
	KUNIT_EXPECT_EQ(test, range.all, p2m_held(lock, 0, P2M_GFN_BITS));
	range_put(test->priv, range);
	KUNIT_EXPECT_FALSE(test, p2m_held(lock, gfn, order));
}

static void held_says_what_is_held(struct kunit *test)
{
	static const struct {
		struct range get;
		unsigned long gfn;
		unsigned int order;
		bool held;
	} cases[] = {
		{ FRAME(5), 5, 0, true },
		{ FRAME(5), 0, 9, true },	/* its chunk */
		{ FRAME(5), 512, 0, false },
		{ FRAME(5), 0, 10, false },
		{ CHUNKS(0, 2), 0, 10, true },
		{ CHUNKS(0, 2), 511, 1, true },
		{ CHUNKS(0, 2), 1023, 1, false },
		{ CHUNKS(0, 2), 0, 18, false },
		{ CHUNKS(0, 512), 0, 18, true },	/* this is 1 GB */
		{ CHUNKS(1, 511), 0, 18, false },
		{ CHUNKS(1, 511), 1 << 9, 9, true },
		{ GB(0), 0, 18, true },
		{ GB(0), 77, 0, true },
		{ GB(0), 511 << 9, 9, true },
		{ GB(0), 1 << 18, 0, false },
		{ GB(0), 0, 19, false },
		{ SPAN(0, 1UL << 27), 0, 27, true },
		{ SPAN(0, 1UL << 27), 5UL << 18, 18, true },
		{ SPAN(0, 1UL << 27), (7UL << 18) + 77, 0, true },
		{ SPAN(0, 1UL << 27), 1UL << 27, 0, false },
		{ SPAN(0, 2UL << 18), 0, 19, true },
		{ FRAME(TOP), TOP, 0, true },
		{ FRAME(TOP), 0, 0, false },
		{ ALL, 0, 0, true },
		{ ALL, TOP, 0, true },
		{ ALL, 0, 18, true },
		{ ALL, 0, P2M_GFN_BITS, true },
		{ ALL, 0, P2M_GFN_BITS + 1, false },
		{ ALL, TOP, 1, false },			/* no such range */
	};
	struct stage *stage = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* First in a new tree, then in one that was used before. */
		p2m_rangelock_destroy(&stage->guest[1]);
		p2m_rangelock_init(&stage->guest[1], "fresh");
		expect_known(test, of(1, cases[i].get), cases[i].gfn,
			     cases[i].order, cases[i].held);
		expect_known(test, cases[i].get, cases[i].gfn,
			     cases[i].order, cases[i].held);
	}
}

static void what_another_holds_is_not_held(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	DOES(test, A, act_get(GB(0)), 0);
	KUNIT_EXPECT_FALSE(test, p2m_held(lock, 0, 0));
	KUNIT_EXPECT_FALSE(test, p2m_held(lock, 0, 18));
	KUNIT_EXPECT_EQ(test, 0, get_p2m(lock, 1 << 18, 18));
	KUNIT_EXPECT_FALSE(test, p2m_held(lock, 0, 19));
	KUNIT_EXPECT_FALSE(test, p2m_held(lock, 0, P2M_GFN_BITS));
	put_p2m(lock, 1 << 18, 18);
}

/* ---- the tree ----------------------------------------------------------- */

static void the_tree_grows_around_what_is_held(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_get(FRAME(TOP)), 0);
	DOES(test, B, act_get(FRAME(1UL << 30)), 0);
	DOES(test, C, act_try(CHUNK(0)), -EBUSY);
	DOES(test, C, act_try(FRAME(TOP)), -EBUSY);
	/* A get of a new node above chunk 0 waits for it. */
	SLEEPS(test, C, act_get(SPAN(0, 1UL << 27)));
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, C, 0);
	DOES(test, A, act_try(CHUNK(0)), -EBUSY);
}

static void the_tree_grows_under_a_claim(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(ALL));
	DOES(test, C, act_try(FRAME(TOP)), -EBUSY);
	SLEEPS(test, C, act_get(FRAME(TOP - 512)));
	/* A passes the claim and gets a frame where there was no tree. */
	DOES(test, A, act_get(FRAME(1UL << 40)), 0);
	DOES(test, A, act_put(CHUNK(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(FRAME(1UL << 40)), 0);
	ENDS(test, B, 0);
	STILL_SLEEPS(test, C);
	DOES(test, B, act_put(ALL), 0);
	ENDS(test, C, 0);
}

static void every_node_finds_what_grew_above_it(struct kunit *test)
{
	static const unsigned long nodes[] = { 0, 1, 255, 511 };
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		DOES(test, A, act_look(CHUNK(nodes[i])), 0);
		DOES(test, B, act_get(GB(0)), 0);
		DOES(test, A, act_look(CHUNK(nodes[i])), -EBUSY);
		DOES(test, B, act_put(GB(0)), 0);
		p2m_rangelock_destroy(lock);
		p2m_rangelock_init(lock, "red again");

		DOES(test, A, act_look(GB(nodes[i])), 0);
		DOES(test, B, act_get(SPAN(0, 1UL << 27)), 0);
		DOES(test, A, act_look(GB(nodes[i])), -EBUSY);
		DOES(test, B, act_put(SPAN(0, 1UL << 27)), 0);
		p2m_rangelock_destroy(lock);
		p2m_rangelock_init(lock, "red again");
	}
}

/* As soon as a task can find a higher node, those below know it. */
static void a_new_higher_node_excludes_what_is_below(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned long low;

	stage_apart(test, A);
	DOES(test, B, act_look(CHUNK(0)), 0);
	low = READ_ONCE(lock->all.below);
	actor_begin(test, A, act_look(FRAME(1UL << 27)));
	while (READ_ONCE(lock->all.below) == low && actor_busy(test, A))
		cond_resched();
	DOES(test, B, act_try(GB(0)), 0);
	DOES(test, C, act_look(CHUNK(0)), -EBUSY);
	DOES(test, B, act_put(GB(0)), 0);
	ENDS(test, A, 0);
}

static void tasks_that_grow_the_tree_at_once_still_exclude(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int round;

	stage_spread(test);
	for (round = 0; round < 100; round++) {
		actor_begin(test, A, act_stamp(CHUNK(0), 3));
		actor_begin(test, B, act_stamp(SPAN(0, 1UL << 27), 3));
		actor_begin(test, C, act_stamp(FRAME(1UL << 30), 3));
		actor_begin(test, D,
			    act_stamp(round & 1 ? ALL : FRAME(TOP), 3));
		ENDS(test, A, 0);
		ENDS(test, B, 0);
		ENDS(test, C, 0);
		ENDS(test, D, 0);
		p2m_rangelock_destroy(lock);
		p2m_rangelock_init(lock, "red again");
	}
}

static void destroy_frees_everything(struct kunit *test)
{
	static const struct range seeds[] = {
		CHUNK(0), CHUNK(64), GB(1), GB(700), FRAME(TOP),
		FRAME(1UL << 30), SPAN(1UL << 36, 1UL << 27), CHUNKS(1000, 600),
	};
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int i;

	ledger_open(test);
	for (i = 0; i < ARRAY_SIZE(seeds); i++)
		DOES(test, i % NR_ACTORS, act_look(seeds[i]), 0);
	KUNIT_EXPECT_GE(test, ledger_objects(), 15U);
	p2m_rangelock_destroy(lock);
	KUNIT_EXPECT_EQ(test, ledger_objects(), 0U);
	p2m_rangelock_init(lock, "red again");
}

static void what_was_never_made_can_be_destroyed(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	struct p2m_rangelock *zeroes;

	zeroes = kunit_kzalloc(test, sizeof(*zeroes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, zeroes);
	p2m_rangelock_destroy(zeroes);

	/* Nor does it matter if it was destroyed before. */
	DOES(test, A, act_look(FRAME(TOP)), 0);
	p2m_rangelock_destroy(lock);
	KUNIT_EXPECT_TRUE(test, list_empty(&lock->link));
	p2m_rangelock_destroy(lock);
	p2m_rangelock_init(lock, "red again");
}

/* The lock warns of this.  Here that is not shown. */
static void a_lock_that_is_held_is_not_destroyed(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	DOES(test, A, act_get(CHUNK(0)), 0);
	kunit_warning_suppress(test)
		p2m_rangelock_destroy(lock);
	KUNIT_ASSERT_NE(test, 0UL, lock->all.below);
	DOES(test, B, act_look(CHUNK(0)), -EBUSY);
	DOES(test, A, act_put(CHUNK(0)), 0);
	p2m_rangelock_destroy(lock);
	KUNIT_EXPECT_EQ(test, 0UL, lock->all.below);
	p2m_rangelock_init(lock, "red again");
}

static void losers_of_a_race_to_grow_leak_nothing(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);
	unsigned int round;

	stage_spread(test);
	ledger_open(test);
	for (round = 0; round < 100; round++) {
		actor_begin(test, A, act_stamp(FRAME(0), 1));
		actor_begin(test, B, act_stamp(FRAME(1UL << 30), 1));
		actor_begin(test, C, act_stamp(FRAME(1UL << 30), 1));
		actor_begin(test, D, act_stamp(FRAME(TOP), 1));
		ENDS(test, A, 0);
		ENDS(test, B, 0);
		ENDS(test, C, 0);
		ENDS(test, D, 0);
		p2m_rangelock_destroy(lock);
		KUNIT_ASSERT_EQ(test, ledger_objects(), 0U);
		p2m_rangelock_init(lock, "red again");
	}
}

static void a_range_costs_what_its_nodes_cost(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	ledger_open(test);
	/* The chunks of 1 GB are made at once. */
	DOES(test, A, act_look(CHUNKS(0, 512 - 1)), 0);
	KUNIT_EXPECT_EQ(test, ledger_objects(), 1U);
	/* The nodes of 512 GB, too. */
	DOES(test, A, act_look(GB(1)), 0);
	KUNIT_EXPECT_EQ(test, ledger_objects(), 2U);
	/* All needs nothing. */
	DOES(test, A, act_look(ALL), 0);
	KUNIT_EXPECT_EQ(test, ledger_objects(), 2U);
	p2m_rangelock_destroy(lock);
	p2m_rangelock_init(lock, "red again");
}

#ifdef CONFIG_FAIL_PAGE_ALLOC
/*
 * Try to get a range in a tree of one table.  The first allocation fails, then
 * the second, and so on, as long as there is one.  The slab allocator makes
 * some allocations that it can do without, so not every failure fails the try.
 */
static void expect_enomem(struct kunit *test, struct range range,
			  unsigned int tables)
{
	struct stage *stage = test->priv;
	struct p2m_rangelock *lock = &stage->guest[0];
	unsigned int nth = 0, refused = 0;
	bool spared;
	int err;

	do {
		KUNIT_ASSERT_EQ(test, 0, range_get(stage, CHUNK(0), P2M_TRY));
		current->fail_nth = ++nth;
		err = range_get(stage, range, P2M_TRY);
		spared = current->fail_nth;
		current->fail_nth = 0;
		if (!err)
			range_put(stage, range);
		else
			refused++;
		KUNIT_EXPECT_TRUE(test, p2m_held(lock, 0, 9));
		range_put(stage, CHUNK(0));

		KUNIT_ASSERT_TRUE(test, !err || (err == -ENOMEM && !spared));
		DOES(test, B, act_look(ALL), 0);
		p2m_rangelock_destroy(lock);
		p2m_rangelock_init(lock, "red again");
	} while (!spared);
	KUNIT_EXPECT_GT(test, nth, tables);
	KUNIT_EXPECT_GT(test, refused, 0U);
}

static void without_memory_it_is_enomem_and_nothing_is_held(struct kunit *test)
{
	ledger_open(test);
	/* This needs four more tables on top, and one at each of four levels. */
	expect_enomem(test, FRAME(TOP), 8);
	/* Chunk 511 is held already when chunk 512 fails. */
	expect_enomem(test, CHUNKS(511, 2), 2);
	/* The nodes of 512 GB, those of the next 512 GB, and those of both. */
	expect_enomem(test, SPAN((1UL << 27) - (4UL << 18), 8UL << 18), 3);
	KUNIT_EXPECT_EQ(test, ledger_objects(), 0U);
}
#endif

/* ---- statistics --------------------------------------------------------- */

static void expect_stats(struct kunit *test, unsigned long waits,
			 unsigned long deadlocks, unsigned long interrupted,
			 unsigned long passes)
{
	KUNIT_EXPECT_EQ(test, waits, stage_stat(test, P2M_STAT_waits));
	KUNIT_EXPECT_EQ(test, deadlocks, stage_stat(test, P2M_STAT_deadlocks));
	KUNIT_EXPECT_EQ(test, interrupted,
			stage_stat(test, P2M_STAT_interrupted));
	KUNIT_EXPECT_EQ(test, passes, stage_stat(test, P2M_STAT_passes));
}

static void
statistics_count_what_did_not_go_straight_through(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, A, act_get(CHUNKS(0, 3)), 0);
	DOES(test, B, act_get(CHUNK(5)), 0);
	expect_stats(test, 0, 0, 0, 0);
	SLEEPS(test, B, act_get_killable(CHUNK(0)));
	expect_stats(test, 1, 0, 0, 0);
	actor_signal(test, B, SIGKILL);
	ENDS(test, B, -EINTR);
	expect_stats(test, 1, 0, 1, 0);
	SLEEPS(test, C, act_get(GB(0)));
	expect_stats(test, 2, 0, 1, 0);
	DOES(test, A, act_get(CHUNK(7)), 0);
	expect_stats(test, 2, 0, 1, 1);
	SLEEPS(test, B, act_get(CHUNK(0)));
	/* B may pass C's claim now, but then A and B wait for each other. */
	SLEEPS(test, A, act_get(CHUNK(5)));
	ENDS(test, B, -EDEADLK);
	expect_stats(test, 4, 1, 1, 1);
}

/* Under a claim, a get takes its chunk, and has to give it back. */
static void a_get_under_a_claim_counts_as_a_back_off(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	DOES(test, B, act_look(CHUNK(1)), 0);
	KUNIT_EXPECT_EQ(test, 0UL, stage_stat(test, P2M_STAT_backoffs));
	DOES(test, A, act_put(CHUNK(0)), 0);
	DOES(test, A, act_get(GB(0)), 0);
	DOES(test, B, act_look(CHUNK(1)), -EBUSY);
	KUNIT_EXPECT_EQ(test, 1UL, stage_stat(test, P2M_STAT_backoffs));
}

static void a_get_that_sleeps_twice_is_one_wait(struct kunit *test)
{
	DOES(test, A, act_get(CHUNK(0)), 0);
	SLEEPS(test, B, act_get(CHUNK(0)));
	DOES(test, A, act_swap(CHUNK(0), CHUNK(0)), 0);
	STILL_SLEEPS(test, B);
	DOES(test, A, act_put(CHUNK(0)), 0);
	ENDS(test, B, 0);
	expect_stats(test, 1, 0, 0, 0);
}

/*
 * No get has to look above its chunk for the sake of others that are over, and
 * no put has to look for waiters that have gone.
 */
static void expect_quick(struct kunit *test)
{
	struct p2m_rangelock *lock = stage_lock(test, 0);

	KUNIT_EXPECT_EQ(test, 0, atomic_read(&lock->claims));
	KUNIT_EXPECT_EQ(test, 0L, atomic_long_read(&lock->all.owner));
}

static void what_is_over_slows_nobody_down(struct kunit *test)
{
	/* A put */
	DOES(test, A, act_get(GB(0)), 0);
	DOES(test, A, act_put(GB(0)), 0);
	expect_quick(test);

	/* Tries, and a get that a signal ends */
	DOES(test, A, act_get(CHUNK(3)), 0);
	DOES(test, B, act_try(GB(0)), -EBUSY);
	DOES(test, B, act_try(ALL), -EBUSY);
	expect_quick(test);
	SLEEPS(test, B, act_get_killable(ALL));
	actor_signal(test, B, SIGKILL);
	ENDS(test, B, -EINTR);
	expect_quick(test);

	/* A get that is refused */
	DOES(test, B, act_get(CHUNK(5)), 0);
	SLEEPS(test, B, act_get(CHUNK(3)));
	DOES(test, A, act_get(ALL), -EDEADLK);
	expect_quick(test);
	DOES(test, A, act_put(CHUNK(3)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(3)), 0);
	DOES(test, B, act_put(CHUNK(5)), 0);

	/* Waiters, woken in vain twice, at a node of their own and above it */
	DOES(test, A, act_get(ALL), 0);
	SLEEPS(test, B, act_get(ALL));
	SLEEPS(test, C, act_get(CHUNK(3)));
	DOES(test, A, act_swap(ALL, ALL), 0);
	STILL_SLEEPS(test, B);
	actor_wake(test, B);
	STILL_SLEEPS(test, B);
	actor_wake(test, C);
	STILL_SLEEPS(test, C);
	DOES(test, A, act_put(ALL), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(ALL), 0);
	ENDS(test, C, 0);
	expect_quick(test);
}

/* ---- debugfs ------------------------------------------------------------- */

/* A kernel thread need not see where debugfs is mounted: so mount it again. */
static struct file *open_held(struct vfsmount *debugfs)
{
	struct path root = { .mnt = debugfs, .dentry = debugfs->mnt_root };

	return file_open_root(&root, "p2m_rangelock/held", O_RDONLY, 0);
}

/* What the file says now */
static const char *text_of_held(struct kunit *test)
{
	struct file_system_type *type = get_fs_type("debugfs");
	struct vfsmount *debugfs = kern_mount(type);
	struct seq_file *m;
	struct file *file;
	char *text = NULL;

	KUNIT_ASSERT_FALSE(test, IS_ERR(debugfs));
	file = open_held(debugfs);
	if (!IS_ERR(file)) {
		/* A read() does the same. */
		m = file->private_data;
		m->size = SZ_64K;
		m->buf = kvzalloc(m->size, GFP_KERNEL);
		if (m->buf && !m->op->show(m, NULL))
			text = kunit_kstrdup(test, m->buf, GFP_KERNEL);
		filp_close(file, NULL);
	}
	flush_delayed_fput();
	kern_unmount(debugfs);
	return text;
}

static void debugfs_says_who_holds_what_and_who_waits(struct kunit *test)
{
	const char *text;

	DOES(test, A, act_get(GB(1)), 0);
	DOES(test, A, act_get(GB(1)), 0);
	DOES(test, D, act_get(of(1, CHUNK(7))), 0);
	SLEEPS(test, B, act_get(CHUNK(600)));
	SLEEPS(test, C, act_get(of(1, CHUNK(7))));
	text = text_of_held(test);
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "red [0x40000, +0x40000) held by p2m-A/"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "green [0xe00, +0x200) held by p2m-D/"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " ms, 2 deep, from "));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " ms, 1 deep, from "));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "p2m-B/"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " waits for red [0x40000, +0x40000) for "));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "p2m-C/"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, " waits for green [0xe00, +0x200) for "));
	DOES(test, A, act_put(GB(1)), 0);
	DOES(test, A, act_put(GB(1)), 0);
	ENDS(test, B, 0);
	DOES(test, B, act_put(CHUNK(600)), 0);
	DOES(test, D, act_put(of(1, CHUNK(7))), 0);
	ENDS(test, C, 0);
	DOES(test, C, act_put(of(1, CHUNK(7))), 0);
	text = text_of_held(test);
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_STREQ(test, text, "");
}

static struct kunit_case p2m_rangelock_cases[] = {
	KUNIT_CASE(who_sleeps_elsewhere_is_not_taken_for_a_waiter),
	KUNIT_CASE(overlapping_ranges_exclude_each_other),
	KUNIT_CASE(other_ranges_do_not_wait),
	KUNIT_CASE(four_tasks_never_meet),
	KUNIT_CASE(unaligned_ranges_are_held_as_their_chunks),
	KUNIT_CASE(an_order_need_not_be_aligned_to),
	KUNIT_CASE(impossible_ranges_are_einval),
	KUNIT_CASE(the_top_and_the_whole_of_the_space_can_be_got),
	KUNIT_CASE(steps_make_up_a_range),
	KUNIT_CASE(a_step_that_fails_holds_nothing),
	KUNIT_CASE(gets_nest_in_any_order_and_puts_too),
	KUNIT_CASE(what_is_held_grows_with_each_get),
	KUNIT_CASE(the_same_range_is_held_until_the_last_put),
	KUNIT_CASE(a_chunk_is_held_until_the_last_put),
	KUNIT_CASE(overlapping_gets_are_put_one_by_one),
	KUNIT_CASE(too_many_gets_are_eoverflow),
	KUNIT_CASE(a_put_of_what_another_holds_changes_nothing),
	KUNIT_CASE(what_is_held_can_always_be_tried),
	KUNIT_CASE(gets_nest_while_others_want_the_same),
	KUNIT_CASE(a_hold_knows_what_to_put),
	KUNIT_CASE(a_put_of_a_hold_wakes_who_waits),
#ifdef DEFINE_CLASS
	KUNIT_CASE(a_hold_ends_with_its_scope),
#endif
	KUNIT_CASE(a_try_of_what_is_taken_is_ebusy_and_holds_nothing),
	KUNIT_CASE(a_try_never_sleeps),
	KUNIT_CASE(a_try_does_not_pass_who_waits_for_all),
	KUNIT_CASE(a_fatal_signal_ends_a_killable_get),
	KUNIT_CASE(any_signal_ends_an_interruptible_get),
	KUNIT_CASE(other_signals_do_not_end_a_get),
	KUNIT_CASE(the_next_in_line_goes_on_when_one_gives_up),
	KUNIT_CASE(held_says_what_is_held),
	KUNIT_CASE(what_another_holds_is_not_held),
	KUNIT_CASE(the_tree_grows_around_what_is_held),
	KUNIT_CASE(the_tree_grows_under_a_claim),
	KUNIT_CASE(every_node_finds_what_grew_above_it),
	KUNIT_CASE(a_new_higher_node_excludes_what_is_below),
	KUNIT_CASE(tasks_that_grow_the_tree_at_once_still_exclude),
	KUNIT_CASE(destroy_frees_everything),
	KUNIT_CASE(what_was_never_made_can_be_destroyed),
	KUNIT_CASE(a_lock_that_is_held_is_not_destroyed),
	KUNIT_CASE(losers_of_a_race_to_grow_leak_nothing),
	KUNIT_CASE(a_range_costs_what_its_nodes_cost),
#ifdef CONFIG_FAIL_PAGE_ALLOC
	KUNIT_CASE(without_memory_it_is_enomem_and_nothing_is_held),
#endif
	KUNIT_CASE(statistics_count_what_did_not_go_straight_through),
	KUNIT_CASE(a_get_under_a_claim_counts_as_a_back_off),
	KUNIT_CASE(a_get_that_sleeps_twice_is_one_wait),
	KUNIT_CASE(what_is_over_slows_nobody_down),
	KUNIT_CASE(debugfs_says_who_holds_what_and_who_waits),
	{}
};

static struct kunit_suite p2m_rangelock_suite = {
	.name = "p2m_rangelock",
	.init = stage_init,
	.exit = stage_exit,
	.test_cases = p2m_rangelock_cases,
};

kunit_test_suite(p2m_rangelock_suite);
