/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stage for tests of p2m_rangelock: a few guests, and a few actors (tasks)
 * that get and put ranges of them when they are told to:
 *
 *	DOES(test, A, act_get(CHUNK(0)), 0);
 *	SLEEPS(test, B, act_get(GB(0)));
 *	DOES(test, A, act_put(CHUNK(0)), 0);
 *	ENDS(test, B, 0);
 *
 * A test that fails half way leaves nobody asleep: when it is over, actors put
 * what they hold.
 */
#ifndef _P2M_STAGE_H
#define _P2M_STAGE_H

#include <kunit/test.h>

#include "p2m_rangelock.h"

/*
 * Whoever takes longer than this does not do it at all.  In turns of 10 ms, of
 * which one is lost, and not all, if the machine is stopped for some seconds.
 */
#define PATIENCE	1000

/** enum who - the actors */
enum who { A, B, C, D, NR_ACTORS };

#define NR_GUESTS	3
#define NR_HOLDS	16

/**
 * struct range - frames of a guest
 * @guest: which guest
 * @all: all of it; @gfn and @nr do not count
 * @gfn: first frame
 * @nr: number of frames
 */
struct range {
	unsigned int	guest;
	bool		all;
	unsigned long	gfn;
	unsigned long	nr;
};

#define SPAN(first, frames)						\
	((struct range){ .gfn = (first), .nr = (frames) })
#define FRAME(gfn)		SPAN(gfn, 1)
#define CHUNKS(n, chunks)						\
	SPAN((n) * 1UL << P2M_CHUNK_ORDER, (chunks) * 1UL << P2M_CHUNK_ORDER)
#define CHUNK(n)		CHUNKS(n, 1)
#define GB(n)			SPAN((n) * 1UL << 18, 1UL << 18)
#define ALL			((struct range){ .all = true })
#define TOP			((1UL << P2M_GFN_BITS) - 1)

/* The same range of another guest than the first. */
static inline struct range of(unsigned int guest, struct range range)
{
	range.guest = guest;
	return range;
}

struct stage;

/**
 * struct act - something for an actor to do
 * @fn: how; what it returns is the result
 * @range: with what
 * @other: and with what else
 * @wait: how to get it
 * @times: how often
 */
struct act {
	long		(*fn)(struct stage *stage, const struct act *act);
	struct range	range;
	struct range	other;
	enum p2m_wait	wait;
	unsigned long	times;
};

/**
 * struct actor - a task that acts
 * @stage: where
 * @task: its task
 * @act: what it does, or did last
 * @busy: still at it
 * @waits: gets that had waited, of all guests', when it began
 * @result: and what came of it
 * @go: there is a new @act, or it is time to leave
 * @done: @act is done; or it is there, and waits for the first
 * @gone: it has left
 * @leave: put everything and exit
 * @holds: what it got by act_get() and has not put
 * @nr_holds: how many these are
 */
struct actor {
	struct stage		*stage;
	struct task_struct	*task;
	struct act		act;
	bool			busy;
	unsigned long		waits;
	long			result;
	struct completion	go;
	struct completion	done;
	struct completion	gone;
	bool			leave;
	struct range		holds[NR_HOLDS];
	unsigned int		nr_holds;
};

/* A few frames whose owners write their name there, and look for another's. */
#define NR_STAMPS	5

/**
 * struct stage - guests and actors
 * @guest: the guests' locks
 * @actor: the actors
 * @curtain: ends act_stream()
 * @unchecked: lockdep looks away, since what is done here is wrong
 * @stamp: of each guest's stamped frames, who is there
 */
struct stage {
	struct p2m_rangelock	guest[NR_GUESTS];
	struct actor		actor[NR_ACTORS];
	bool			curtain;
	bool			unchecked;
	struct task_struct	*stamp[NR_GUESTS][NR_STAMPS];
};

int stage_init(struct kunit *test);
void stage_exit(struct kunit *test);

/*
 * Actors, and whoever tells them what to do, are on one CPU, where nothing is
 * done at the same time.  Let them use all CPUs, for the sake of races.
 */
void stage_spread(struct kunit *test);

/* Let the streams end. */
void stage_curtain(struct kunit *test);

/* The lock of a guest. */
struct p2m_rangelock *stage_lock(struct kunit *test, unsigned int guest);

/* What it has counted, in the first guest. */
unsigned long stage_stat(struct kunit *test, enum p2m_rangelock_stat stat);

/* Get and put by the current task, whatever kind of range it is. */
int __must_check range_get(struct stage *stage, struct range range,
			   enum p2m_wait wait);
void range_put(struct stage *stage, struct range range);

/* Acts.  act_get() of anything and act_put() of it go together. */
struct act act_get(struct range range);
struct act act_get_killable(struct range range);
struct act act_get_interruptible(struct range range);
struct act act_try(struct range range);
struct act act_put(struct range range);

/*
 * Put the one and try to get the other, so quickly that nobody who was woken by
 * the put has run by then on the same CPU.
 */
struct act act_swap(struct range range, struct range other);

/* Is the range free?  Returns 0 or -EBUSY; keeps nothing. */
struct act act_look(struct range range);

/*
 * Get, stamp, unstamp and put, so many times; returns -EUCLEAN if there was
 * anybody else, or the get's error.
 */
struct act act_stamp(struct range range, unsigned long times);

/* The same until the curtain falls. */
struct act act_stream(struct range range);

/* Get the one, then the other, and put them, so many times. */
struct act act_nest(struct range range, struct range other, unsigned long times);

/* Try to get and to put it, so many times; whether it works or not. */
struct act act_pester(struct range range, unsigned long times);

/* The same, but it must work. */
struct act act_insist(struct range range, unsigned long times);

/* Get two chunks of two guests by get_p2m_two(), and put them, so many times. */
struct act act_two(struct range range, struct range other, unsigned long times);

/* Sleep elsewhere for a while, then get. */
struct act act_get_late(struct range range);

void actor_begin(struct kunit *test, enum who who, struct act act);

/* Has the actor fallen asleep in a queue?  Waits until that is clear. */
bool actor_asleep(struct kunit *test, enum who who);

/* The result of the act; -ETIMEDOUT if it does not end. */
long actor_end(struct kunit *test, enum who who);
bool actor_busy(struct kunit *test, enum who who);
void actor_signal(struct kunit *test, enum who who, int sig);
long actor_do(struct kunit *test, enum who who, struct act act);

/* The actor does it without ado, with this result. */
#define DOES(test, who, act, want)					\
	KUNIT_ASSERT_EQ(test, actor_do(test, who, act), (long)(want))

/* The actor falls asleep over it. */
#define SLEEPS(test, who, act)						\
do {									\
	actor_begin(test, who, act);					\
	KUNIT_ASSERT_TRUE(test, actor_asleep(test, who));		\
} while (0)

/* The actor is still at it. */
#define STILL_SLEEPS(test, who)						\
	KUNIT_ASSERT_TRUE(test, actor_asleep(test, who))

/* What the actor began now ends, with this result. */
#define ENDS(test, who, want)						\
	KUNIT_ASSERT_EQ(test, actor_end(test, who), (long)(want))

#endif /* _P2M_STAGE_H */
