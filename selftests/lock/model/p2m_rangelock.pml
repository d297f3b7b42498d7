// SPDX-License-Identifier: GPL-2.0
/*
 * The protocol of p2m_rangelock.c, for Spin
 *
 * Run it with ./run.  A p2m_...() here stands for the function of that name
 * there.  One step here is one access to memory that other tasks touch too.
 *
 * There are three tasks, a tree of two levels below all, and a chunk of another
 * guest:
 *
 *		     ALL
 *		   /     \
 *		 W1       W2
 *		/  \     /  \
 *	       A    B   C    D		X
 *
 * A scenario, chosen with -D, says what each task gets, and in which order.  A
 * task that has got everything, or was refused something, puts all that it
 * holds, in any order.
 *
 * What is checked.  No task is ever stuck (an invalid end state), and the named
 * assertions hold:
 *
 *  not_exclusive	when a get returns, no other task holds an overlapping
 *			node
 *  not_got		when a get returns 0, the task has the node
 *  left_behind		after an error nothing more is held than before; when
 *			all tasks are done, all owner words are 0
 *  false_deadlock	-EDEADLK is returned only if there was a moment when
 *			each task of the cycle waited, with reason, for a node
 *			that the next one had and could not give
 *  too_many_deadlocks	a cycle of two or three gives one -EDEADLK, not more
 *  refused_with_empty_hands	a task that holds nothing gets no -EDEADLK
 *  waits_below_own	below the task's own node a get neither fails nor
 *			sleeps, except for a task between TAKE and BACK OFF
 *  spins_for_sleeper	nor does it spin there, except for such a task
 *  gives_way_forever	a task that gives way makes progress
 *
 * LTL checks, with weak fairness, that the gets of some tasks return, although
 * other tasks get and put for ever.
 *
 * A mutant, chosen with -D too, takes one step of the protocol away, or puts
 * back a mistake that was in the code once.  Each must be caught.
 *
 * What is not modelled:
 *
 *  - Growth of the tree, and creation of its nodes.
 *  - Memory that is weaker than sequentially consistent: see weak.pml.  Here,
 *    for the places where the code has a full barrier, there are mutants that
 *    swap the accesses.
 *  - How long a spin takes.  A turn that fails leaves no trace, so one turn,
 *    made at any time, stands for all of them.
 *  - The steps inside p2m_find() for a task that waits, and p2m_own_above().
 *    Each is one step here: nobody changes meanwhile what the task owns.
 *  - Overflow of the depth and of the passes.
 *
 * One thing is not promised, because weak fairness alone does not give it.  One
 * other task gets and puts the same chunk for ever, and another task the node
 * above.  Then a get may never be served: each time that the one is free, the
 * other may have been taken just before.  It would take luck to keep that up.
 */

#define TASKS		3
#define STEPS		4

/* Nodes.  The order is that of a heap.  X is a chunk of another guest. */
#define ALL		0
#define W1		1
#define W2		2
#define A		3
#define B		4
#define C		5
#define D		6
#define X		7
#define NODES		8
#define NONE		8

#define PARENT(n)	((n) == ALL || (n) == X -> NONE : ((n) - 1) / 2)
#define LEVEL(n) \
	((n) == ALL -> 2 : ((n) <= W2 -> 1 : ((n) <= X -> 0 : 3)))
#define LEVEL_NONE	3
#define FIRST_CHUNK(n)	((n) == W1 || (n) == ALL -> A : ((n) == W2 -> C : (n)))

/* In a task's script, besides nodes: a choice, or an end. */
#define A_OR_C		9
#define A_OR_W1		10
#define PUT		13	/* put everything, go on */
#define END		14	/* put everything, stop */
#define LOOP		15	/* put everything, begin again */

/* How a task waits. */
#define WAIT		0
#define TRY		1
#define INTERRUPTIBLE	2

/* Errors. */
#define EDEADLK		1
#define EBUSY		2
#define EINTR		3
#define EAGAIN		4

#include "scenarios.h"

/* The owner word, as in the code: a task, and two flags. */
#define WAITERS		1
#define HANDOFF		2
#define FLAGS		3
#define WORD(t)		((t) << 2)
#define OWNER(n)	(word[n] >> 2)

/* p2m_match(), for the current task. */
#define MINE(n)		(OWNER(n) == me)
#define OTHERS(n)	(OWNER(n) != 0 && OWNER(n) != me)

/* struct p2m_node, and as much of struct p2m_get as other tasks look at. */
byte word[NODES];
byte depth[NODES];
byte passes[A];
byte claims;
byte want[TASKS + 1];
byte on[TASKS + 1] = NONE;
byte ticket[TASKS + 1];
byte pass_from[TASKS + 1];
bool looked[TASKS + 1];

/* p2m_waiting: the order in which the tasks there began to wait; or 0. */
byte wait[TASKS + 1];
byte verdict;

/* Task states. */
bool asleep[TASKS + 1];
byte script[TASKS * STEPS] = { T1, T2, T3 };
byte mode[TASKS] = { MODES };

/* Only for the checks. */
bool taking[TASKS + 1];		/* between TAKE and BACK OFF */
byte deadlocks;
byte done;

/* Each guest's @queues.  Where it must be fair, the first to come has it. */
#define GUEST		(want[me] == X)
#ifdef FAIR
chan queues[2] = [TASKS] of { byte };
inline queues_lock()	{ queues[GUEST] ! me; queues[GUEST] ? [eval(me)] }
inline queues_unlock()	{ queues[GUEST] ? _ }
#else
byte queues[2];
inline queues_lock()	{ atomic { queues[GUEST] == 0 -> queues[GUEST] = me } }
inline queues_unlock()	{ queues[GUEST] = 0 }
#endif

/*
 * These are always false.  Spin prints the text of an assertion that failed, so
 * they stand there as its name.
 */
hidden byte not_exclusive, not_got, left_behind, false_deadlock;
hidden byte too_many_deadlocks, refused_with_empty_hands;
hidden byte waits_below_own, spins_for_sleeper;
hidden byte gives_way_forever;

/* Print the purpose of a scenario when it first happens. */
c_decl {
	\#include <stdio.h>
	static void saw(const char *what, int *before)
	{
		if (!(*before)++)
			printf("saw %s\n", what);
	}
};
#define sight(what)	c_code { static int before; saw(#what, &before); }

/* -------------------------------------------------------------------- */
/* Looking                                                              */
/* -------------------------------------------------------------------- */

#define BELOW(t, n) \
	(((n) == ALL && (OWNER(W1) == (t) || OWNER(W2) == (t) || \
	  OWNER(A) == (t) || OWNER(B) == (t) || OWNER(C) == (t) || \
	  OWNER(D) == (t))) || \
	 ((n) == W1 && (OWNER(A) == (t) || OWNER(B) == (t))) || \
	 ((n) == W2 && (OWNER(C) == (t) || OWNER(D) == (t))))

#define OWN_ABOVE(n) \
	((n) != ALL && (n) != X && (MINE(ALL) || MINE(PARENT(n))))

#define DRAINING(g)	(on[g] != NONE && LEVEL(want[g]) > LEVEL(on[g]))
#define GOING_BELOW(g)	(on[g] != NONE && LEVEL(want[g]) < LEVEL(on[g]))
#define MAY_LOOK(g)	(GOING_BELOW(g) && !looked[g])
#define MAY_PASS(g)	(GOING_BELOW(g) && pass_from[g] <= LEVEL(on[g]))

/* p2m_has_turn(): no task in n's queue is before g. */
#define BARS(t, g, n)	(on[t] == (n) && ticket[t] < ticket[g])
#define HAS_TURN(g, n) \
	(ticket[g] && !BARS(1, g, n) && !BARS(2, g, n) && !BARS(3, g, n))

/* The node is free, but another task has waited for it for long enough. */
#ifdef MUTANT_HANDOFF_BELOW_OWN
#define RESERVED(n) \
	(((word[n] & HANDOFF) || (gave_way && n == want[me])) && \
	 !HAS_TURN(me, n))
#else
#define RESERVED(n) \
	(((word[n] & HANDOFF) || (gave_way && n == want[me])) && \
	 !OWN_ABOVE(n) && !HAS_TURN(me, n))
#endif
#define p2m_heed(n)	(OTHERS(n) || (OWNER(n) == 0 && RESERVED(n)))

inline p2m_claimed(n)		/* -> above */
{
	above = NONE;
	up = PARENT(n);
	do
	:: LEVEL(up) >= pass_from[me] -> break
	:: else ->
		d_step {
			if
			:: p2m_heed(up) -> above = up; up = NONE
			:: else -> up = PARENT(up)
			fi
		}
	od;
	up = 0
}

/* -------------------------------------------------------------------- */
/* Queues                                                               */
/* -------------------------------------------------------------------- */

/* Nobody is before t in n's queue who wants to own n, or wants the same. */
#ifdef WAKE_ONE
#define STOPS(u, t, n)	BARS(u, t, n)
#else
#define STOPS(u, t, n) \
	(BARS(u, t, n) && (want[u] == (n) || want[u] == want[t]))
#endif
#define TURN(t, n) \
	(on[t] == (n) && !STOPS(1, t, n) && !STOPS(2, t, n) && !STOPS(3, t, n))

/* With the lock. */
inline p2m_kick(n)
{
	wakes = wakes | (TURN(1, n) * 2 + TURN(2, n) * 4 + TURN(3, n) * 8)
}

inline p2m_unlock()
{
	queues_unlock();
	if
	:: wakes ->
		d_step {
			if
			:: wakes & 2 -> asleep[1] = false
			:: else
			fi;
			if
			:: wakes & 4 -> asleep[2] = false
			:: else
			fi;
			if
			:: wakes & 8 -> asleep[3] = false
			:: else
			fi;
			wakes = 0
		}
	:: else
	fi
}

/* Tickets are kept small: only their order matters. */
inline p2m_enqueue(n)
{
	d_step {
		if
		:: ticket[me] == 0 ->
			ticket[me] = 1 + (ticket[1] != 0) + (ticket[2] != 0) +
				     (ticket[3] != 0)
		:: else
		fi;
		on[me] = n;
		looked[me] = false;
		word[n] = word[n] | WAITERS
	}
}

inline drop_ticket()
{
	if
	:: ticket[me] ->
		if
		:: ticket[1] > ticket[me] -> ticket[1]--
		:: else
		fi;
		if
		:: ticket[2] > ticket[me] -> ticket[2]--
		:: else
		fi;
		if
		:: ticket[3] > ticket[me] -> ticket[3]--
		:: else
		fi;
		ticket[me] = 0
	:: else
	fi
}

inline p2m_dequeue()
{
	d_step {
		now = on[me];
		on[me] = NONE;
		if
		:: hurried ->
			word[now] = word[now] & ~HANDOFF;
			claims = claims - (LEVEL(now) != 0)
		:: else
		fi;
		hurried = false;
		if
		:: on[1] != now && on[2] != now && on[3] != now ->
			word[now] = word[now] & ~WAITERS
		:: else
		fi;
		if
#ifndef MUTANT_NO_KICK
		:: OWNER(now) == 0 -> p2m_kick(now)
#endif
		:: else
		fi;
		now = 0
	}
}

inline p2m_release_locked(n)
{
	d_step { word[n] = word[n] & FLAGS; taking[me] = false; p2m_kick(n) }
}

inline p2m_release(n)
{
	if
#ifdef MUTANT_DEAF_PUT
	:: d_step { word[n] = 0; taking[me] = false }
#else
	:: d_step { word[n] == WORD(me) -> word[n] = 0; taking[me] = false }
	:: word[n] != WORD(me) ->
		queues_lock();
		p2m_release_locked(n);
		p2m_unlock()
#endif
	fi
}

/* -------------------------------------------------------------------- */
/* Deadlock                                                             */
/* -------------------------------------------------------------------- */

/*
 * Does the task wait as it should: to own a node; to see one free, below its
 * claim; or to go below one, below which it owns nothing?
 */
#define WAITS_WITH_REASON(t) \
	(on[t] == want[t] || \
	 (LEVEL(on[t]) < LEVEL(want[t]) && OWNER(want[t]) == (t)) || \
	 (LEVEL(on[t]) > LEVEL(want[t]) && !BELOW(t, on[t])))
#define HAS_FOR_GOOD(t, n) \
	(OWNER(n) == (t) && !taking[t] && \
	 (depth[n] != 0 || (want[t] == (n) && DRAINING(t))))

/* Is there a real cycle at this moment?  Only within d_step. */
inline is_deadlock()		/* -> real */
{
	who = me;
	hops = TASKS + 1;
	real = true;
	do
	:: hops == 0 || on[who] == NONE || OWNER(on[who]) == 0 ||
	   !(who == me || wait[who]) || !WAITS_WITH_REASON(who) ||
	   !HAS_FOR_GOOD(OWNER(on[who]), on[who]) ->
		real = false;
		break
	:: else ->
		who = OWNER(on[who]);
		hops--;
		if
		:: who == me -> break
		:: else
		fi
	od;
	who = 0;
	hops = 0
}

#ifdef MUTANT_BELIEVE_ALL
#define BELIEVED(t)	(wait[t] != 0)
#else
#define BELIEVED(t)	(wait[t] != 0 && wait[t] < wait[me])
#endif

inline p2m_follow()		/* -> closes, closed_by, asker, asker_on */
{
	d_step {
		closed_by = on[me];
		asker = (MAY_LOOK(me) -> me : 0);
		asker_on = on[me];
		who = OWNER(on[me]);
		hops = TASKS
	}
	do
	:: who == 0 -> closes = false; break
	:: who == me -> closes = true; break
	:: else ->
		d_step {
			if
			:: hops == 0 || !BELIEVED(who) || MAY_PASS(who) ->
				who = 0
			:: else ->
				if
				:: !asker && MAY_LOOK(who) ->
					asker = who;
					asker_on = on[who]
				:: else
				fi;
				closed_by = on[who];
				who = OWNER(closed_by);
				hops--
			fi
		}
	od;
	who = 0;
	hops = 0
}

/* p2m_waits() and p2m_waits_no_more().  Only the order matters. */
inline enlist()
{
	wait[me] = 1 + (wait[1] != 0) + (wait[2] != 0) + (wait[3] != 0)
}

#define CLOSE_UP(t) \
	if \
	:: wait[t] > wait[me] -> wait[t]-- \
	:: else \
	fi

inline delist()
{
	if
	:: wait[me] ->
		CLOSE_UP(1);
		CLOSE_UP(2);
		CLOSE_UP(3);
		wait[me] = 0
	:: else
	fi
}

/* Tell the asker whether it may PASS. */
inline p2m_answer()
{
	if
	:: asker != me -> sight(answer)
	:: else
	fi;
	owns = BELOW(asker, asker_on);
	d_step {
		if
#ifdef MUTANT_ANY_WAIT
		:: wait[asker] ->
#else
		:: wait[asker] && wait[asker] <= wait[me] ->
#endif
			looked[asker] = true;
			if
#ifndef MUTANT_NO_PASS
			:: owns ->
				pass_from[asker] = LEVEL(on[asker]);
				asleep[asker] = false
#endif
			:: else
			fi
		:: else
		fi;
		owns = false
	}
}

/* -> err: 0 to sleep, EAGAIN, or EDEADLK: then it waits no more */
inline p2m_judge()
{
	if
	:: asker -> p2m_answer(); err = EAGAIN
	:: else ->
#ifndef MUTANT_NO_VERDICT
		atomic { verdict == 0 -> verdict = me }
		p2m_follow();
#endif
		d_step {
			if
			:: closes ->
				assert((!asker && real) || false_deadlock);
				err = EDEADLK;
				delist()
			:: else
			fi;
			verdict = 0
		}
	fi
}

/* -------------------------------------------------------------------- */
/* Getting one node                                                     */
/* -------------------------------------------------------------------- */

inline p2m_pass(n)
{
	sight(pass);
	up = PARENT(n);
	do
	:: up == NONE -> break
	:: else ->
		if
#ifndef MUTANT_UNCOUNTED
		:: OTHERS(up) -> passes[up]++
#endif
		:: else
		fi;
		up = PARENT(up)
	od;
	up = 0
}

/*
 * One step: if the compare-and-exchange succeeds, the read before it does not
 * matter.
 */
inline p2m_take()		/* -> blocker */
{
	d_step {
		if
		:: OWNER(want[me]) != 0 || RESERVED(want[me]) ->
			blocker = want[me]
		:: else ->
			word[want[me]] = word[want[me]] | WORD(me);
			taking[me] = true;
			blocker = NONE
		fi
	}
}

inline p2m_attempt(locked)	/* -> blocker */
{
#ifdef MUTANT_NO_BACKOFF
	if
	:: MINE(want[me]) -> blocker = NONE
	:: else ->
#endif
	p2m_claimed(want[me]);
	if
	:: above != NONE -> blocker = above
	:: else ->
		p2m_take()
	fi;
#ifdef MUTANT_NO_BACKOFF
	fi;
#endif
	if
	:: blocker == NONE ->
#ifdef MUTANT_REORDER_NARROW
		if
		:: LEVEL(want[me]) == 0
		:: else -> p2m_claimed(want[me])
		fi;
#else
		p2m_claimed(want[me]);
#endif
		if
		:: above == NONE ->
			taking[me] = false;
			if
			:: pass_from[me] != LEVEL_NONE -> p2m_pass(want[me])
			:: else
			fi
		:: else ->
			sight(backoff);
			blocker = above;
#ifndef MUTANT_NO_BACKOFF
			if
			:: locked -> p2m_release_locked(want[me])
			:: else -> p2m_release(want[me])
			fi
#endif
		fi
	:: else
	fi;
	above = 0
}

#ifdef MUTANT_TRANSIENT_BETWEEN
#define BACKOFF_ONLY	(blocker == want[me] && OWN_ABOVE(blocker))
#else
#define BACKOFF_ONLY	(OWN_ABOVE(blocker))
#endif

/* Another task is about to give it back, or it can be taken. */
#define SOON_FREE(n) \
	((OWNER(n) == 0 && !RESERVED(n)) || (OTHERS(n) && taking[OWNER(n)]))

inline p2m_spin()		/* -> blocker */
{
	do
	:: p2m_attempt(false);
		if
		:: blocker == NONE -> break
		:: else ->
			if
			:: BACKOFF_ONLY ->
				assert(SOON_FREE(blocker) || spins_for_sleeper);
				if
				:: !OTHERS(blocker)
				:: OTHERS(blocker) && taking[OWNER(blocker)] ->
					preempted = true;
					break
				fi
			:: else -> break
			fi
		fi
	od
}

/* Drops the lock and takes it again. */
inline p2m_block()		/* -> err */
{
	if
	:: signalled -> signal = true
	:: true
	fi;
	d_step {
		assert(!OWN_ABOVE(want[me]) || !OTHERS(on[me]) ||
		       taking[OWNER(on[me])] || waits_below_own);
		if
		:: signal -> err = EINTR
		:: else -> asleep[me] = true
		fi
	}
	if
	:: err == 0 ->
#ifdef MUTANT_FOLLOW_FIRST
		p2m_follow();
		d_step { enlist(); is_deadlock() }
		p2m_unlock();
#else
		d_step { enlist(); is_deadlock() }
		p2m_unlock();
		p2m_follow();
#endif
#ifdef MUTANT_NO_DEADLOCK
		closes = false;
#endif
		if
		:: closes -> p2m_judge()
		:: else
		fi;
		if
		:: err != 0
		:: err == 0 && !asleep[me] -> slept = true
		:: d_step {
			err == 0 && signalled && asleep[me] ->
			signal = true;
			slept = true
		   }
		fi;
		d_step {
			asleep[me] = false;
			delist();
			if
			:: err == EAGAIN -> err = 0
			:: else
			fi
		}
		d_step {
			closes = false;
			asker = 0;
			asker_on = 0;
			real = false
		}
		queues_lock()
	:: else
	fi
}

inline p2m_wait_own()		/* -> err */
{
	queues_lock();
	do
	:: p2m_attempt(true);
		if
		:: blocker == NONE -> break
		:: blocker != NONE && blocker != on[me] ->
			if
			:: on[me] != NONE -> p2m_dequeue()
			:: else
			fi;
			p2m_enqueue(blocker);
#ifdef MUTANT_NO_LOOK_AGAIN
			p2m_block();
			if
			:: err -> break
			:: else
			fi
#endif
		:: blocker != NONE && blocker == on[me] ->
			if
#ifndef MUTANT_NO_HANDOFF
			:: slept && HAS_TURN(me, blocker) ->
				d_step {
					sight(handoff);
					claims = claims +
					       (!hurried && LEVEL(blocker) != 0);
					hurried = true;
					word[blocker] = word[blocker] | HANDOFF
				}
#endif
			:: else
			fi;
			p2m_block();
			if
			:: err -> break
			:: else
			fi
		fi
	od;
	if
	:: on[me] != NONE -> p2m_dequeue()
	:: else
	fi;
	p2m_unlock();
	slept = false
}

/* Spin until the node is free, or stop spinning at any time. */
inline p2m_wait_idle()		/* -> err */
{
	if
	:: !OTHERS(busy)
	:: d_step { OTHERS(busy) ->
			assert(!OWN_ABOVE(want[me]) || taking[OWNER(busy)] ||
			       spins_for_sleeper) };
		if
		:: !OTHERS(busy)
		:: OTHERS(busy) && mode[me - 1] == TRY -> err = EBUSY
		:: mode[me - 1] != TRY ->
			queues_lock();
			p2m_enqueue(busy);
#ifdef MUTANT_NO_LOOK_AGAIN
			p2m_block();
#endif
			do
			:: err != 0 -> break
			:: err == 0 ->
				if
				:: !OTHERS(busy) -> break
				:: else -> p2m_block()
				fi
			od;
			p2m_dequeue();
			p2m_unlock();
			slept = false
		fi
	fi
}

/* The order of p2m_find(): a node, then those below, but none before @from. */
#define LOOK_FIRST	(want[me] == ALL -> PARENT(from) : from)
#define LOOK_NEXT \
	(look == W1 || look == W2 -> \
	 (FIRST_CHUNK(look) > from -> FIRST_CHUNK(look) : from) : \
	 (look == A || look == C -> look + 1 : \
	  (look == B && want[me] == ALL -> W2 : NONE)))

inline p2m_find()		/* -> busy */
{
	look = LOOK_FIRST;
	busy = NONE;
	do
	:: look == NONE -> break
	:: else ->
		d_step {
			if
			:: OTHERS(look) -> busy = look; look = NONE
			:: else -> look = LOOK_NEXT
			fi
		}
	od;
	look = 0
}

inline p2m_drain()		/* -> err */
{
	do
	:: seen = passes[want[me]];
		from = FIRST_CHUNK(want[me]);
		do
		:: p2m_find();
			if
			:: busy == NONE -> break
			:: else ->
				p2m_wait_idle();
				if
				:: err -> break
				:: else -> from = FIRST_CHUNK(busy)
				fi
			fi
		od;
		if
		:: err -> break
		:: else ->
			if
#ifdef MUTANT_NO_RECHECK
			:: true -> break
#else
			:: passes[want[me]] == seen -> break
			:: else -> sight(recheck)
#endif
			fi
		fi
	od;
	seen = 0;
	busy = 0;
	from = 0
}

inline p2m_give_way()
{
	sight(give_way);
	queues_lock();
	d_step { drop_ticket(); closed_by = 0 }
#ifndef MUTANT_NO_HAND_OVER
	gave_way = true;
#endif
	p2m_release_locked(want[me]);
	p2m_unlock()
}

#ifdef MUTANT_GIVE_WAY_EVER
#define MUST_GIVE_WAY	(closed_by == want[me])
#else
#define MUST_GIVE_WAY	(closed_by == want[me] && !BELOW(me, want[me]))
#endif

inline p2m_get_slow()		/* -> err */
{
#ifndef MUTANT_UNSEEN
	if
	:: LEVEL(want[me]) != 0 -> claims++
	:: else
	fi;
#endif
	p2m_spin();
	if
	:: blocker != NONE && mode[me - 1] == TRY ->
		assert(!OWN_ABOVE(want[me]) || preempted || waits_below_own);
		err = EBUSY
	:: blocker != NONE && mode[me - 1] != TRY ->
		p2m_wait_own()
	:: else
	fi;
	do
	:: err || LEVEL(want[me]) == 0 -> break
#ifdef MUTANT_REORDER_WIDE
	:: !err && LEVEL(want[me]) != 0 && stale -> break
	:: !err && LEVEL(want[me]) != 0 && !stale ->
#else
	:: !err && LEVEL(want[me]) != 0 ->
#endif
		p2m_drain();
		if
		:: !err -> break
		:: else
		fi;
		if
		:: err == EDEADLK && MUST_GIVE_WAY ->
			gave++;
			assert(gave <= 4 || gives_way_forever);
			p2m_give_way();
			err = 0;
			p2m_wait_own()
		:: else -> p2m_release(want[me])
		fi
	od;
	if
#ifndef MUTANT_UNSEEN
	:: err && LEVEL(want[me]) != 0 -> claims--
#endif
	:: else
	fi;
	blocker = 0
}

/* No other task's get of an overlapping node has returned. */
#define HELD_BY_OTHER(n)	(OTHERS(n) && depth[n] != 0)
#define EXCLUSIVE(n) \
	(!HELD_BY_OTHER(n) && \
	 (!(n == W1 || n == ALL) || \
	  (!HELD_BY_OTHER(A) && !HELD_BY_OTHER(B))) && \
	 (!(n == W2 || n == ALL) || \
	  (!HELD_BY_OTHER(C) && !HELD_BY_OTHER(D))) && \
	 (!(n == ALL) || (!HELD_BY_OTHER(W1) && !HELD_BY_OTHER(W2))) && \
	 (n == ALL || n == X || !HELD_BY_OTHER(ALL)) && \
	 (!(n == A || n == B) || !HELD_BY_OTHER(W1)) && \
	 (!(n == C || n == D) || !HELD_BY_OTHER(W2)))

inline p2m_get_node()		/* -> err */
{
	if
	:: MINE(want[me]) -> depth[want[me]]++
	:: else ->
		if
		:: mode[me - 1] == INTERRUPTIBLE -> signalled = true
		:: true
		fi;
		/* All below an own node is the task's, whoever claims above. */
		pass_from[me] = (!OWN_ABOVE(want[me]) -> LEVEL_NONE :
				 (MINE(ALL) -> LEVEL(ALL) : LEVEL(W1)));
#ifdef MUTANT_REORDER_WIDE
		/* The drain looks before TAKE. */
		d_step {
			stale = (want[me] == W1 && !OTHERS(A) && !OTHERS(B)) ||
				(want[me] == W2 && !OTHERS(C) && !OTHERS(D)) ||
				(want[me] == ALL &&
				 !OTHERS(W1) && !OTHERS(W2) &&
				 !OTHERS(A) && !OTHERS(B) &&
				 !OTHERS(C) && !OTHERS(D))
		}
#endif
#ifdef MUTANT_REORDER_NARROW
		/* It reads @claims before TAKE. */
		narrow = (claims == 0 || want[me] == X);
#endif
		if
		:: LEVEL(want[me]) == 0 ->
			d_step {
				taken = (word[want[me]] == 0);
				if
				:: taken ->
					word[want[me]] = WORD(me);
					taking[me] = true
				:: else
				fi
			}
			if
#ifdef MUTANT_REORDER_NARROW
			:: taken && narrow -> taking[me] = false
			:: taken && !narrow ->
#else
			:: d_step { taken && (claims == 0 || want[me] == X) ->
				taking[me] = false }
			:: taken && claims != 0 && want[me] != X ->
#endif
				taken = false;
#ifndef MUTANT_NO_BACKOFF
				p2m_release(want[me])
#endif
			:: !taken
			fi
		:: else
		fi;
		if
		:: !taken -> p2m_get_slow()
		:: else
		fi;
		d_step {
			assert((on[me] == NONE && !taking[me]) || left_behind);
			if
			:: err == 0 ->
				assert(MINE(want[me]) || not_got);
				depth[want[me]] = 1;
				assert(EXCLUSIVE(want[me]) || not_exclusive)
			:: else ->
				assert(!MINE(want[me]) || left_behind);
				assert(err != EDEADLK || MINE(ALL) ||
				       BELOW(me, ALL) || MINE(X) ||
				       refused_with_empty_hands)
			fi;
			closed_by = 0;
			gave = 0;
			drop_ticket();
			taken = false;
			gave_way = false;
			preempted = false;
			signal = false;
			signalled = false;
			looked[me] = false;
			pass_from[me] = 0
		}
	fi
}

inline p2m_put_node()
{
	depth[want[me]]--;
	if
	:: depth[want[me]] == 0 ->
		p2m_release(want[me]);
		if
#ifndef MUTANT_UNSEEN
		:: LEVEL(want[me]) != 0 -> claims--
#endif
		:: else
		fi
	:: else
	fi
}

/* -------------------------------------------------------------------- */
/* Tasks                                                                */
/* -------------------------------------------------------------------- */

#define HOLD(n)	(MINE(n) && depth[n] != 0)

proctype task(byte me)
{
	byte step, op, err, above, up, blocker, now, look, busy, from, seen;
	byte closed_by, gave, who, hops, asker, asker_on, wakes;
	bool taken, slept, closes, signal, signalled, owns, real, hurried;
	bool gave_way;
	bool preempted;		/* spinning for a task that does not run */
#ifdef MUTANT_REORDER_NARROW
	bool narrow;
#endif
#ifdef MUTANT_REORDER_WIDE
	bool stale;
#endif

	do
	:: true ->
		op = script[(me - 1) * STEPS + step];
		if
		:: op < PUT ->
			if
			:: op < NODES -> want[me] = op
			:: op == A_OR_C || op == A_OR_W1 -> want[me] = A
			:: op == A_OR_C -> want[me] = C
			:: op == A_OR_W1 -> want[me] = W1
			fi;
			op = 0;
			step++;
			p2m_get_node()
		:: else
		fi;
		if
		:: op >= PUT || err ->
			do
			:: atomic {
				if
				:: HOLD(ALL) -> want[me] = ALL
				:: HOLD(W1) -> want[me] = W1
				:: HOLD(W2) -> want[me] = W2
				:: HOLD(A) -> want[me] = A
				:: HOLD(B) -> want[me] = B
				:: HOLD(C) -> want[me] = C
				:: HOLD(D) -> want[me] = D
				:: HOLD(X) -> want[me] = X
				:: else -> want[me] = 0; break
				fi
			   };
				p2m_put_node()
			od;
			if
			:: op == PUT && !err -> step++
			:: op == LOOP ->
				step = 0
			:: else -> break
			fi;
			err = 0
		:: else
		fi;
		op = 0
	od;

	step = 0;
	d_step {
		if
		:: err == EDEADLK -> deadlocks++; sight(deadlock)
		:: err == EBUSY -> sight(busy)
		:: err == EINTR -> sight(interrupt)
		:: else
		fi;
		done = done | (1 << me);
		op = 0;
		err = 0;
		if
		:: done == 14 ->
			assert((word[ALL] == 0 && word[W1] == 0 &&
				word[W2] == 0 && word[A] == 0 &&
				word[B] == 0 && word[C] == 0 &&
				word[D] == 0 && word[X] == 0) || left_behind);
			assert(deadlocks <= DEADLOCKS || too_many_deadlocks)
		:: else
		fi
	}
}

init {
	atomic {
		run task(1);
		run task(2);
		run task(3)
	}
}

#ifdef FAIR
ltl served { <> ((done & FAIR) == FAIR) }
#endif
