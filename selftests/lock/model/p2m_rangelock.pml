// SPDX-License-Identifier: GPL-2.0
/*
 * The protocol of p2m_rangelock.c, for Spin
 *
 * Run it with ./run.  A p2m_...() here stands for the function of that name
 * there.  One step here is one access to memory that other tasks touch too.
 *
 * There are three tasks, and a tree of two levels below all:
 *
 *		     ALL
 *		   /     \
 *		 W1       W2
 *		/  \     /  \
 *	       A    B   C    D
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
 *  false_deadlock	-EDEADLK is returned only if each task of the cycle
 *			waits, with reason, for a node that the next one has and
 *			cannot give
 *  too_many_deadlocks	a cycle of two or three gives one -EDEADLK, not more
 *  refused_with_empty_hands	a task that holds nothing gets no -EDEADLK
 *  waits_for_nothing	a task that owns something below a claim never waits for
 *			the claim
 *  waits_below_own	below the task's own node a get neither fails nor sleeps
 *  spins_for_sleeper	nor does it spin there, except for the BACK OFF of
 *			another task
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
 *  - Growth of the tree, creation of its nodes, and more than one guest.
 *  - Memory that is weaker than sequentially consistent.  For the places where
 *    the code has a full barrier, there are mutants that swap the accesses.
 *  - How long a spin takes.  A turn that fails leaves no trace, so one turn,
 *    made at any time, stands for all of them.
 *  - The steps inside p2m_find() for the task's own nodes, p2m_own_above() and
 *    p2m_closes_cycle().  Each is one step here.  No other task changes what a
 *    task owns.  A node in the chain has waiters, so its owner cannot give it
 *    up without p2m_graph.
 *  - Overflow of the depth and of the passes.
 *
 * One thing is not promised, because weak fairness alone does not give it.  One
 * other task gets and puts the same chunk for ever, and another task the node
 * above.  Then a get may never be served: each time that the one is free, the
 * other may have been taken just before.  It would take luck to keep that up.
 */

#define TASKS		3
#define STEPS		4

/* Nodes.  The order is that of a heap. */
#define ALL		0
#define W1		1
#define W2		2
#define A		3
#define B		4
#define C		5
#define D		6
#define NODES		7
#define NONE		7

#define PARENT(n)	((n) == ALL -> NONE : ((n) - 1) / 2)
#define LEVEL(n) \
	((n) == ALL -> 2 : ((n) <= W2 -> 1 : ((n) <= D -> 0 : 3)))
#define LEVEL_NONE	3
#define FIRST_CHUNK(n)	((n) == W1 || (n) == ALL -> A : ((n) == W2 -> C : (n)))

/* In a task's script, besides nodes: a choice, or an end. */
#define A_OR_C		8
#define A_OR_W1		9
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
bool drained[A];
byte want[TASKS + 1];
byte on[TASKS + 1] = NONE;
byte ticket[TASKS + 1];

/* Task states. */
bool asleep[TASKS + 1];
byte script[TASKS * STEPS] = { T1, T2, T3 };
byte mode[TASKS] = { MODES };

/* Only for the checks. */
bool taking[TASKS + 1];		/* between TAKE and BACK OFF */
byte deadlocks;
byte done;

/* p2m_graph.  Where it must be fair, the task that came first has it. */
#ifdef FAIR
chan graph = [TASKS] of { byte };
inline graph_lock()	{ graph ! me; graph ? [eval(me)] }
inline graph_unlock()	{ graph ? _ }
#else
byte graph;
inline graph_lock()	{ atomic { graph == 0 -> graph = me } }
inline graph_unlock()	{ graph = 0 }
#endif

/*
 * These are always false.  Spin prints the text of an assertion that failed, so
 * they stand there as its name.
 */
hidden byte not_exclusive, not_got, left_behind, false_deadlock;
hidden byte too_many_deadlocks, refused_with_empty_hands;
hidden byte waits_for_nothing, waits_below_own, spins_for_sleeper;
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
	((n) != ALL && (MINE(ALL) || MINE(PARENT(n))))

/* In the order of a heap, a node above has the smaller number. */
#define DRAINING(g)	(on[g] != NONE && want[g] < on[g])

/* p2m_first_in_line(): no task in g's queue is in the way of g. */
#define BARS(t, g) \
	(on[t] == on[g] && ticket[t] < ticket[g] && !DRAINING(t) && \
	 (want[t] == on[t] || want[g] == on[g] || want[t] == want[g]))
#define FIRST_IN_LINE(g)	(!BARS(1, g) && !BARS(2, g) && !BARS(3, g))

/* The node is free, but another task has waited for it for long enough. */
#ifdef MUTANT_HANDOFF_BELOW_OWN
#define RESERVED(n) \
	((word[n] & HANDOFF) && !(on[me] == (n) && FIRST_IN_LINE(me)))
#else
#define RESERVED(n) \
	((word[n] & HANDOFF) && !OWN_ABOVE(n) && \
	 !(on[me] == (n) && FIRST_IN_LINE(me)))
#endif
#define p2m_heed(n)	(OTHERS(n) || (OWNER(n) == 0 && RESERVED(n)))

inline p2m_claimed(n)		/* -> above */
{
	above = NONE;
	up = PARENT(n);
	do
	:: LEVEL(up) >= pass_from -> break
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

inline p2m_kick(n)
{
	if
	:: on[1] == n && (DRAINING(1) || FIRST_IN_LINE(1)) -> asleep[1] = false
	:: else
	fi;
	if
	:: on[2] == n && (DRAINING(2) || FIRST_IN_LINE(2)) -> asleep[2] = false
	:: else
	fi;
	if
	:: on[3] == n && (DRAINING(3) || FIRST_IN_LINE(3)) -> asleep[3] = false
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
	left = on[me];
	d_step {
		if
		:: !DRAINING(me) && FIRST_IN_LINE(me) ->
			word[left] = word[left] & ~HANDOFF
		:: else
		fi;
		on[me] = NONE;
		if
		:: on[1] != left && on[2] != left && on[3] != left ->
			word[left] = word[left] & ~WAITERS
		:: else
		fi
	}
#ifndef MUTANT_NO_KICK
	d_step {
		if
		:: OWNER(left) == 0 -> p2m_kick(left)
		:: else
		fi;
		left = 0
	}
#endif
}

inline p2m_release_waited(n)
{
	d_step {
		word[n] = word[n] & FLAGS;
		p2m_kick(n);
		taking[me] = false
	}
}

inline p2m_release(n)
{
	if
#ifdef MUTANT_DEAF_PUT
	:: d_step { word[n] = 0; taking[me] = false }
#else
	:: d_step { word[n] == WORD(me) -> word[n] = 0; taking[me] = false }
	:: word[n] != WORD(me) ->
		graph_lock();
		p2m_release_waited(n);
		graph_unlock()
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

/* Only within d_step. */
inline p2m_closes_cycle()	/* -> closes */
{
	closes = false;
#ifndef MUTANT_NO_DEADLOCK
	who = me;
	hops = TASKS;
	do
	:: OWNER(on[who]) == me ->
		closes = true;
		closed_by = on[who];
		break
	:: OWNER(on[who]) == 0 -> break
	:: else ->
		who = OWNER(on[who]);
		hops--;
		if
		:: on[who] == NONE || hops == 0 -> break
		:: else
		fi
	od;

	/* Is the cycle real? */
	if
	:: closes ->
		who = me;
		do
		:: assert((on[who] != NONE && WAITS_WITH_REASON(who)) ||
			  false_deadlock);
		   assert(HAS_FOR_GOOD(OWNER(on[who]), on[who]) ||
			  false_deadlock);
		   who = OWNER(on[who]);
		   if
		   :: who == me -> break
		   :: else
		   fi
		od
	:: else
	fi;
	who = 0;
	hops = 0
#endif
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

#ifdef MUTANT_SEARCHED_LEVEL
#define UNSEARCHED(n)	((n) != want[me] && LEVEL(n) > searched)
#else
#define UNSEARCHED(n)	((n) != want[me] && !(searched & (1 << LEVEL(n))))
#endif

inline p2m_search(n)
{
	d_step {
		if
#ifndef MUTANT_NO_PASS
		:: !drained[n] && BELOW(me, n) -> pass_from = LEVEL(n)
#endif
		:: else
		fi;
#ifdef MUTANT_SEARCHED_LEVEL
		searched = LEVEL(n)
#else
		searched = searched | (1 << LEVEL(n))
#endif
	}
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

inline p2m_attempt(in_graph)	/* -> blocker */
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
#ifdef MUTANT_COUNT_FIRST
		if
		:: pass_from != LEVEL_NONE -> p2m_pass(want[me])
		:: else
		fi;
#endif
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
#ifndef MUTANT_COUNT_FIRST
			:: pass_from != LEVEL_NONE -> p2m_pass(want[me])
#endif
			:: else
			fi
		:: else ->
			sight(backoff);
			blocker = above;
#ifndef MUTANT_NO_BACKOFF
			if
			:: in_graph -> p2m_release_waited(want[me])
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

/* Another task has it in a section without preemption, or it can be taken. */
#define SOON_FREE(n) \
	((OWNER(n) == 0 && !RESERVED(n)) || (OTHERS(n) && taking[OWNER(n)]))

inline p2m_spin()		/* -> blocker */
{
	do
	:: p2m_attempt(false);
		if
		:: blocker == NONE -> break
		:: blocker != NONE && UNSEARCHED(blocker) ->
			p2m_search(blocker)
		:: else ->
			if
			:: BACKOFF_ONLY ->
				assert(SOON_FREE(blocker) || spins_for_sleeper);
				!OTHERS(blocker)
			:: else -> break
			fi
		fi
	od
}

/* This may drop p2m_graph and take it again. */
inline p2m_block()		/* -> err */
{
	if
	:: signalled -> signal = true
	:: true
	fi;
	d_step {
		assert(!OWN_ABOVE(want[me]) || waits_below_own);
		assert(WAITS_WITH_REASON(me) || waits_for_nothing);
		if
		:: signal -> err = EINTR
		:: else ->
			p2m_closes_cycle();
			if
			:: closes -> err = EDEADLK
			:: else ->
				asleep[me] = true;
				graph_unlock()
			fi;
			closes = false
		fi
	}
	if
	:: err == 0 ->
		if
		:: !asleep[me]
		:: d_step {
			signalled && asleep[me] ->
			signal = true;
			asleep[me] = false
		   }
		fi;
		graph_lock()
	:: else
	fi
}

inline p2m_wait_own()		/* -> err */
{
	graph_lock();
	do
	:: p2m_attempt(true);
		if
		:: blocker == NONE -> break
		:: blocker != NONE && UNSEARCHED(blocker) ->
			if
			:: on[me] != NONE -> p2m_dequeue()
			:: else
			fi;
			graph_unlock();
			p2m_search(blocker);
			graph_lock()
		:: else ->
			if
			:: on[me] != blocker ->
				if
				:: on[me] != NONE -> p2m_dequeue()
				:: else
				fi;
				p2m_enqueue(blocker);
#ifdef MUTANT_NO_LOOK_AGAIN
				p2m_block();
				if
				:: err -> break
				:: else -> slept = true
				fi
#endif
			:: else ->
				if
#ifndef MUTANT_NO_HANDOFF
				:: slept && FIRST_IN_LINE(me) ->
					sight(handoff);
					word[blocker] = word[blocker] | HANDOFF
#endif
				:: else
				fi;
				p2m_block();
				if
				:: err -> break
				:: else -> slept = true
				fi
			fi
		fi
	od;
	if
	:: on[me] != NONE -> p2m_dequeue()
	:: else
	fi;
	graph_unlock();
	slept = false
}

/* Spin until the node is free, or stop spinning at any time. */
inline p2m_wait_idle()		/* -> err */
{
	if
	:: !OTHERS(busy)
	:: OTHERS(busy) && OWN_ABOVE(want[me]) ->
		assert(taking[OWNER(busy)] || spins_for_sleeper);
		!OTHERS(busy)
	:: OTHERS(busy) && !OWN_ABOVE(want[me]) ->
		if
		:: mode[me - 1] == TRY -> err = EBUSY
		:: else ->
			graph_lock();
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
			graph_unlock()
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
	if
	:: err == 0 -> drained[want[me]] = true
	:: else
	fi;
	seen = 0;
	busy = 0;
	from = 0
}

inline p2m_give_way()
{
	sight(give_way);
	graph_lock();
	d_step { drop_ticket(); closed_by = 0 }
	p2m_enqueue(want[me]);
	if
#ifndef MUTANT_NO_HAND_OVER
	:: !FIRST_IN_LINE(me) -> word[want[me]] = word[want[me]] | HANDOFF
#endif
	:: else
	fi;
	p2m_release_waited(want[me]);
	graph_unlock()
}

/* Does the task own anything but the node that it wants? */
#define MINE_ELSE(n)	(MINE(n) && want[me] != (n))
#define p2m_own_other() \
	(MINE_ELSE(ALL) || MINE_ELSE(W1) || MINE_ELSE(W2) || MINE_ELSE(A) || \
	 MINE_ELSE(B) || MINE_ELSE(C) || MINE_ELSE(D))

#ifdef MUTANT_GIVE_WAY_ANYHOW
#define MUST_GIVE_WAY	(closed_by == want[me] && !BELOW(me, want[me]))
#else
#define MUST_GIVE_WAY	(closed_by == want[me] && !p2m_own_other())
#endif

inline p2m_get_slow()		/* -> err */
{
	searched = 0;
	if
	:: !taken ->
		p2m_spin();
		if
		:: blocker != NONE && mode[me - 1] == TRY ->
			assert(!OWN_ABOVE(want[me]) || waits_below_own);
			assert(blocker == want[me] || !BELOW(me, blocker) ||
			       waits_for_nothing);
			err = EBUSY
		:: blocker != NONE && mode[me - 1] != TRY ->
			p2m_wait_own()
		:: else
		fi
	:: else
	fi;
	do
	:: err || LEVEL(want[me]) == 0 -> break
#ifdef MUTANT_REORDER_WIDE
	:: !err && LEVEL(want[me]) != 0 && stale ->
		drained[want[me]] = true;
		break
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
	 (!(n != ALL) || !HELD_BY_OTHER(ALL)) && \
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
		pass_from = LEVEL_NONE;
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
		if
		:: LEVEL(want[me]) == 0 -> p2m_claimed(want[me])
		:: else
		fi;
#endif
		d_step {
			taken = (word[want[me]] == 0);
			if
			:: taken -> word[want[me]] = WORD(me); taking[me] = true
			:: else
			fi
		}
		if
		:: taken ->
#ifdef MUTANT_REORDER_NARROW
			if
			:: LEVEL(want[me]) == 0
			:: else -> p2m_claimed(want[me])
			fi;
#else
			p2m_claimed(want[me]);
#endif
			if
			:: above != NONE ->
				sight(backoff);
				taken = false;
#ifndef MUTANT_NO_BACKOFF
				p2m_release(want[me])
#endif
			:: else -> taking[me] = false
			fi;
			above = 0
		:: else
		fi;
		if
		:: !taken || LEVEL(want[me]) != 0 -> p2m_get_slow()
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
				       BELOW(me, ALL) ||
				       refused_with_empty_hands)
			fi;
			closed_by = 0;
			gave = 0;
			drop_ticket();
			taken = false;
			signal = false;
			signalled = false;
			searched = 0;
			pass_from = 0
		}
	fi
}

inline p2m_put_node()
{
	depth[want[me]]--;
	if
	:: depth[want[me]] == 0 ->
		if
#ifndef MUTANT_STALE_DRAINED
		:: LEVEL(want[me]) != 0 -> drained[want[me]] = false
#endif
		:: else
		fi;
		p2m_release(want[me])
	:: else
	fi
}

/* -------------------------------------------------------------------- */
/* Tasks                                                                */
/* -------------------------------------------------------------------- */

#define HOLD(n)	(MINE(n) && depth[n] != 0)

proctype task(byte me)
{
	byte step, op, err, above, up, blocker, left, look, busy, from, seen;
	byte closed_by, gave;
	byte pass_from, searched, who, hops;
	bool taken, slept, closes, signal, signalled;
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
				word[D] == 0 && !drained[ALL] &&
				!drained[W1] && !drained[W2]) || left_behind);
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
