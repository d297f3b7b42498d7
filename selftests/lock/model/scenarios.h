/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The scenarios of p2m_rangelock.pml: what the three tasks get, and in which
 * order; how many -EDEADLK there may be in all; and how the tasks wait, if not
 * by WAIT.
 */

#ifdef NARROW_WIDE	/* task 1 passes task 2's claim where that has looked */
#define T1 B, A, END, END
#define T2 W1, END, END, END
#define T3 A, END, END, END
#define DEADLOCKS 0
#endif

#ifdef WIDE_WIDE	/* a narrow get queues between two wide ones */
#define T1 W1, END, END, END
#define T2 A, END, END, END
#define T3 W1, END, END, END
#define DEADLOCKS 0
#endif

#ifdef GLOBAL		/* global over narrow and wide; one of them passes */
#define T1 A, C, END, END
#define T2 ALL, END, END, END
#define T3 W2, END, END, END
#define DEADLOCKS 0
#endif

#ifdef LEVELS		/* wide over narrow, global over wide; one passes all */
#define T1 W1, END, END, END
#define T2 ALL, END, END, END
#define T3 W2, A, END, END
#define DEADLOCKS 0
#endif

#ifdef ABBA		/* a cycle of two, with a wide get around it */
#define T1 A, B, END, END
#define T2 B, A, END, END
#define T3 W1, END, END, END
#define DEADLOCKS 1
#endif

#ifdef WIDENING		/* two holders widen to the same node */
#define T1 A, W1, END, END
#define T2 B, W1, END, END
#define T3 A_OR_C, END, END, END
#define DEADLOCKS 1
#endif

#ifdef RING		/* a cycle of three */
#define T1 A, B, END, END
#define T2 B, C, END, END
#define T3 C, A, END, END
#define DEADLOCKS 1
#endif

#ifdef GIVE_WAY		/* task 2 may meet task 1 widening */
#define T1 A, W1, END, END
#define T2 W1, END, END, END
#define T3 A_OR_W1, END, END, END
#define DEADLOCKS 1
#endif

#ifdef GIVE_NO_WAY	/* the cycle goes through a drain from above */
#define T1 A, ALL, END, END
#define T2 C, W1, END, END
#define T3 ALL, END, END, END
#define DEADLOCKS 1
#endif

#ifdef RECURSION	/* get a part, and the same again; put in any order */
#define T1 W1, A, W1, END
#define T2 A, END, END, END
#define T3 ALL, END, END, END
#define DEADLOCKS 0
#endif

#ifdef BELOW_OWN	/* get below own; a wide get backs off in between */
#define T1 ALL, A, END, END
#define T2 W1, END, END, END
#define T3 A, END, END, END
#define DEADLOCKS 0
#endif

#ifdef BELOW_HANDOFF	/* task 1 has the node above a reserved one */
#define T1 A, PUT, W1, A
#define T2 A, END, END, END
#define T3 A, END, END, END
#define DEADLOCKS 0
#endif

#ifdef TRIES
#define T1 ALL, A, END, END
#define T2 W1, END, END, END
#define T3 A, B, END, END
#define MODES TRY, TRY, TRY
#define DEADLOCKS 0
#endif

#ifdef TRY_ALL		/* a claim of ALL that goes, then one of W1 */
#define T1 A, B, END, END
#define T2 W1, END, END, END
#define T3 ALL, END, END, END
#define MODES WAIT, WAIT, TRY
#define DEADLOCKS 0
#endif

#ifdef INTERRUPTED	/* by a signal, while draining or in any queue */
#define T1 A, B, END, END
#define T2 W1, END, END, END
#define T3 B, END, END, END
#define MODES INTERRUPTIBLE, INTERRUPTIBLE, WAIT
#define DEADLOCKS 0
#endif

#ifdef NARROW_LOOPS	/* loops at both chunks below task 2's node */
#define T1 A, LOOP, END, END
#define T2 W1, END, END, END
#define T3 B, LOOP, END, END
#define DEADLOCKS 0
#endif

#ifdef WIDE_LOOPS	/* a loop at the node above task 2's chunk */
#define T1 W1, LOOP, END, END
#define T2 A, END, END, END
#define T3 END, END, END, END
#define DEADLOCKS 0
#endif

#ifdef SAME_LOOPS	/* loops at task 2's own chunk */
#define T1 A, LOOP, END, END
#define T2 A, END, END, END
#define T3 A, END, END, END
#define DEADLOCKS 0
#endif

#ifdef NEIGHBOUR_LOOPS	/* task 2 waits below W1, and so does its neighbour */
#define T1 W1, LOOP, END, END
#define T2 A, END, END, END
#define T3 B, LOOP, END, END
#define DEADLOCKS 0
#endif

#ifdef TWO_GUESTS	/* a cycle of two over two guests, and a wide get */
#define T1 A, X, END, END
#define T2 X, A, END, END
#define T3 W1, END, END, END
#define DEADLOCKS 1
#endif

#ifdef RING_OF_GUESTS	/* a cycle of three over two guests */
#define T1 A, X, END, END
#define T2 X, B, END, END
#define T3 B, A, END, END
#define DEADLOCKS 1
#endif

#ifdef ASK		/* task 1 closes a cycle out of which task 2 may pass */
#define T1 A, X, END, END
#define T2 C, X, D, END
#define T3 ALL, END, END, END
#define DEADLOCKS 0
#endif

#ifndef MODES
#define MODES WAIT, WAIT, WAIT
#endif
