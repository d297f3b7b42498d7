/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stage for tests of p2m_rangelock: there are a few guests, and a few actors
 * (tasks) that get and put ranges of them when told to:
 *
 *	DOES(test, A, act_get(CHUNK(0)), 0);
 *	SLEEPS(test, B, act_get(GB(0)));
 *	DOES(test, A, act_put(CHUNK(0)), 0);
 *	ENDS(test, B, 0);
 *
 * A test that fails half way leaves no actor asleep: when it is over, actors
 * put all that they hold.
 */
#ifndef _P2M_STAGE_H
#define _P2M_STAGE_H

#include <kunit/test.h>

#include "p2m_rangelock.h"

/*
 * An actor that takes longer than this does not do it at all.  The unit is a
 * turn of 10 ms.  If the machine is stopped for some seconds, only one turn is
 * lost.
 */
#ifndef PATIENCE
#define PATIENCE	1000
#endif

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

/* The same range in another guest than the first */
static inline struct range of(unsigned int guest, struct range range)
{
	range.guest = guest;
	return range;
}

struct stage;

/**
 * struct act - something that an actor does
 * @fn: does it, and returns the result
 * @range: the range to do it with
 * @other: another range to do it with
 * @wait: how to get it
 * @times: how often
 * @ms: how long to keep it, in milliseconds
 */
struct act {
	long		(*fn)(struct stage *stage, const struct act *act);
	struct range	range;
	struct range	other;
	enum p2m_wait	wait;
	unsigned long	times;
	unsigned int	ms;
};

/**
 * struct actor - a task that acts
 * @stage: the stage
 * @task: its task
 * @act: what it does, or did last
 * @busy: it still does @act
 * @waits: how many gets of all guests had waited when it began @act
 * @result: the result of @act
 * @go: there is a new @act, or it must leave
 * @done: it has done @act, or has started and waits for its first act
 * @gone: it has left
 * @leave: tells it to put everything and exit
 * @holds: ranges that it got by act_get() and has not put
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

/* A few frames have stamps: owners write their name, and look for another. */
#define NR_STAMPS	5

/**
 * struct stage - guests and actors
 * @guest: the guests' locks
 * @actor: the actors
 * @curtain: ends act_stream()
 * @unchecked: lockdep is off, because the test does something wrong
 * @stamp: the owner of each stamped frame of each guest
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
 * The actors and the test run on one CPU, so no two of them act at the same
 * time.  Let them use all CPUs, so that they race.
 */
void stage_spread(struct kunit *test);

/* Let this actor use the last CPU, and no other. */
void stage_apart(struct kunit *test, enum who who);

/* Let the streams end. */
void stage_curtain(struct kunit *test);

/* The lock of a guest */
struct p2m_rangelock *stage_lock(struct kunit *test, unsigned int guest);

/* A counter of the first guest's lock */
unsigned long stage_stat(struct kunit *test, enum p2m_rangelock_stat stat);

/* The current task gets or puts a range of any kind. */
int __must_check range_get(struct stage *stage, struct range range,
			   enum p2m_wait wait);
void range_put(struct stage *stage, struct range range);

/* Acts.  act_put() puts a range that an act_get() or act_try() has got. */
struct act act_get(struct range range);
struct act act_get_killable(struct range range);
struct act act_get_interruptible(struct range range);
struct act act_try(struct range range);
struct act act_put(struct range range);

/*
 * Put the one and try to get the other.  This is so quick that no task that was
 * woken by the put has run meanwhile on the same CPU.
 */
struct act act_swap(struct range range, struct range other);

/* Is the range free?  Returns 0 or -EBUSY, and keeps nothing. */
struct act act_look(struct range range);

/*
 * Get, stamp, unstamp and put, so many times.  Returns -EUCLEAN if it found
 * another owner, or the error of the get.
 */
struct act act_stamp(struct range range, unsigned long times);

/* The same until the curtain falls. */
struct act act_stream(struct range range);

/* Get the one, then the other, and put them, so many times. */
struct act act_nest(struct range range, struct range other,
		    unsigned long times);

/* Try to get it, and put it if that worked, so many times. */
struct act act_pester(struct range range, unsigned long times);

/* The same, but every try must work. */
struct act act_insist(struct range range, unsigned long times);

/* Get two chunks of two guests by get_p2m_two() and put them, so many times. */
struct act act_two(struct range range, struct range other, unsigned long times);

/* Get the one and put it after a moment, then the other, so many times. */
struct act act_turns(struct range range, struct range other,
		     unsigned long times);

/* The same once, and sleep for so long while holding either. */
struct act act_turns_slowly(struct range range, struct range other,
			    unsigned int ms);

/* Get it, keep it for so many microseconds, and put it. */
struct act act_linger(struct range range, unsigned long us);

/* Sleep elsewhere for a while, then get. */
struct act act_get_late(struct range range);

void actor_begin(struct kunit *test, enum who who, struct act act);

/* Is the actor asleep in a queue?  Waits until that is clear. */
bool actor_asleep(struct kunit *test, enum who who);

/* The result of the act, or -ETIMEDOUT if it does not end */
long actor_end(struct kunit *test, enum who who);
bool actor_busy(struct kunit *test, enum who who);
void actor_signal(struct kunit *test, enum who who, int sig);

/* Wake the actor for nothing. */
void actor_wake(struct kunit *test, enum who who);

/* How often the actor has gone to sleep so far */
unsigned long actor_sleeps(struct kunit *test, enum who who);
long actor_do(struct kunit *test, enum who who, struct act act);

/* The actor does it at once, with this result. */
#define DOES(test, who, act, want)					\
	KUNIT_ASSERT_EQ(test, actor_do(test, who, act), (long)(want))

/* The actor begins it, and falls asleep in a queue. */
#define SLEEPS(test, who, act)						\
do {									\
	actor_begin(test, who, act);					\
	KUNIT_ASSERT_TRUE(test, actor_asleep(test, who));		\
} while (0)

/* The actor is still asleep. */
#define STILL_SLEEPS(test, who)						\
	KUNIT_ASSERT_TRUE(test, actor_asleep(test, who))

/* The act that the actor began ends, with this result. */
#define ENDS(test, who, want)						\
	KUNIT_ASSERT_EQ(test, actor_end(test, who), (long)(want))

#endif /* _P2M_STAGE_H */
