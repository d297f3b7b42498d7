// SPDX-License-Identifier: GPL-2.0
/*
 * The memory ordering of p2m_rangelock.c, for Spin
 *
 * Run it with ./run.  Each scenario, chosen with -D, is for the litmus test of
 * that name in ../litmus, with whole gets and puts around it.  CREATION,
 * NO_CYCLE, WAITERS and GETS have no litmus test.  A p2m_...() here stands for
 * the function of that name there.
 *
 * The machine.  A location keeps all stores that were ever made to it, in their
 * order.  A task has a view: for each location, the oldest store that it may
 * still read.
 *
 *  - A read may return any store that is not older than the view, and moves the
 *    view there.  So a task may be late, but never goes back at one location.
 *  - A store becomes the newest.
 *  - A read-modify-write reads the newest store, and makes the next.
 *  - A release attaches the task's view to the store.  A read-modify-write
 *    hands on what was attached to the store before it.
 *  - An acquire takes over the view that is attached to the store it read.
 *  - A read without acquire only remembers that view.  A barrier takes it over
 *    later.  Before that, only a read obeys it whose address comes from such a
 *    read.
 *  - A full barrier also takes over the view that the full barriers before it,
 *    of all tasks, have left behind, and leaves its own.  This view is attached
 *    to all later stores of the task.
 *  - The barriers before and after a read-modify-write are steps of their own.
 *    Others may see its store before the second one.
 *  - A spinlock is an acquire and a release.
 *
 * So a task may read an old value after a new one of another location, and read
 * an old value after its own store.  Two tasks may see the stores of two others
 * in different orders.  Only what is listed here prevents this.
 *
 * What is checked.  No task is ever stuck (an invalid end state), and the named
 * assertions hold:
 *
 *  not_exclusive	a task that has got a node is alone in it
 *  stale_data		it sees what all those before it have written
 *  half_made		a table of nodes that can be found is complete
 *  unseen_cycle	if tasks wait for each other, the last of them finds out
 *  false_cycle		no task finds a cycle that was never there
 *
 * A mutant, chosen with -D too, makes one access weaker, or swaps two.  Each
 * must be caught.  There are two barriers for which a weaker one would do.
 * With it, an ENOUGH_..., the assertions still hold:
 *
 *  ENOUGH_DRAIN_ACQUIRE	the barrier at the end of p2m_drain() may be like
 *				the one in p2m_claimed(): it only has to take
 *				over what the reads before it have seen
 *  ENOUGH_MAKE_RELEASE		the cmpxchg() in p2m_make_below() may be a
 *				release: each TAKE has a barrier of its own
 *
 * What is not modelled:
 *
 *  - A store that other tasks see before an earlier read of its task is done.
 *    In the lock there is a release or a control dependency between the two,
 *    wherever this matters.
 *  - Stores to one location in another order than they were made.  This loses
 *    nothing: either one task stores to a location, or all change it by
 *    read-modify-writes.  (The mutants ..._BY_STORE are exceptions.)
 *  - The protocol, beyond what a scenario needs: that is p2m_rangelock.pml.
 */

/* How an access is ordered. */
#define RELAXED		0
#define DEPENDENT	1	/* a read, by an address read before */
#define ACQUIRE		2
#define RELEASE		3
#define FULL		4	/* a read-modify-write with two barriers */

/* Locations.  Those that no scenario uses together share a number. */
#define DATA		0	/* what the lock protects */
#define CHUNK		1	/* owner: p2m_take(), p2m_release() */
#define WIDE		2	/* owner of the node above: p2m_claimed() */
#define CLAIMS		3	/* p2m_get_slow(), p2m_get_quick() */
#define PASSED		4	/* WIDE's passes: p2m_pass(), p2m_drain() */
#define OTHER		5	/* owner of another chunk: p2m_find() */
#define PARENT		6	/* of CHUNK: p2m_raise(), p2m_claimed() */
#define BELOW		7	/* of all: p2m_raise(), p2m_lookup_node(); or of
				   WIDE: p2m_make_below(), p2m_find() */
#define TABLE		8	/* what p2m_table_alloc() writes */
#define LAST_WAIT	0	/* p2m_waits() */
#define NODE(t)		(t)	/* owner of the node that task t gets first */
#define WAITING(t)	(3 + (t)) /* t's number: p2m_waits(), p2m_follow() */

#if defined(GROWTH) || defined(CREATION)
#define LOCATIONS	9
#elif defined(CYCLE) || defined(NO_CYCLE)
#define LOCATIONS	7
#else
#define LOCATIONS	6
#endif

/* The others are only about who gets in, not about what it sees there. */
#if !defined(DEKKER) && !defined(SHORTCUT) && !defined(PASSES) && \
    !defined(GROWTH) && !defined(CREATION)
#define WITH_DATA
#endif

#define TASKS		3
#ifdef WAITERS
#define STORES		9
#else
#define STORES		5	/* with the first, which was always there */
#endif

/* The owner word: a task, and a flag. */
#define WAITER		1
#define WORD(t)		((t) << 1)
#define OWNER(word)	((word) >> 1)

/* IF(MUTANT_..., a, b) is a if the mutant is chosen, and b if not. */
#define CHOSEN_1	0,
#define SECOND(a, b, ...)	b
#define SECOND_OF(...)	SECOND(__VA_ARGS__)
#define PASTE_IF(m, a, b)	SECOND_OF(CHOSEN_##m a, b, 0)
#define IF(m, a, b)	PASTE_IF(m, a, b)

typedef view { byte oldest[LOCATIONS] };
typedef store { byte value; view seen };
typedef location { byte newest; store made[STORES] };
typedef task { view sees; view pending; view fenced };
typedef spinlock { bool held; view seen };

location mem[LOCATIONS];
task tasks[TASKS + 1];
view all_barriers;
spinlock locks[TASKS + 1];

/* Only for the checks. */
byte inside;			/* tasks that use DATA */
byte written;			/* the newest DATA */
bool asleep;			/* the waiter in WAITERS */
hidden byte not_exclusive, stale_data, half_made, unseen_cycle, false_cycle;
hidden byte k;

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
/* The machine                                                          */
/* -------------------------------------------------------------------- */

#define ME		tasks[me]

#define NEWEST(l)	mem[l].made[mem[l].newest].value

#define NEWER(a, b)	((a) > (b) -> (a) : (b))

inline join(to, from)
{
	for (k : 0 .. LOCATIONS - 1) {
		to.oldest[k] = NEWER(to.oldest[k], from.oldest[k])
	}
}

inline join_if(so, to, from)
{
	if
	:: so -> join(to, from)
	:: else
	fi
}

inline read(l, result, how)
{
	atomic {
		at = ME.sees.oldest[l];
		if
		:: how == DEPENDENT -> at = NEWER(at, ME.pending.oldest[l])
		:: else
		fi;
		do
		:: at < mem[l].newest -> at++
		:: break
		od;
		if
		:: at < mem[l].newest -> sight(late)
		:: else
		fi;
		d_step {
			result = mem[l].made[at].value;
			ME.sees.oldest[l] = at;
			join(ME.pending, mem[l].made[at].seen);
			join_if(how == ACQUIRE, ME.sees, mem[l].made[at].seen);
			at = 0
		}
	}
}

/* The second half of a store, or of a read-modify-write */
inline make(l, word, how)
{
	mem[l].made[at + 1].value = word;
	mem[l].newest = at + 1;
	ME.sees.oldest[l] = at + 1;
	join(mem[l].made[at + 1].seen, ME.fenced);
	join_if(how == RELEASE, mem[l].made[at + 1].seen, ME.sees)
}

inline write(l, word, how)
{
	d_step { at = mem[l].newest; make(l, word, how); at = 0 }
}

inline acquire_barrier()
{
	join(ME.sees, ME.pending)
}

inline full_barrier()
{
	for (k : 0 .. LOCATIONS - 1) {
		ME.sees.oldest[k] = NEWER(ME.sees.oldest[k],
			NEWER(ME.pending.oldest[k], all_barriers.oldest[k]));
		all_barriers.oldest[k] = ME.sees.oldest[k];
		ME.fenced.oldest[k] = ME.sees.oldest[k]
	}
}

inline barrier_if(so)
{
	d_step {
		if
		:: so -> full_barrier()
		:: else
		fi
	}
}

/* A read-modify-write, when the newest store is so, without barriers */
inline change(l, so, word, how)
{
	atomic {
		so -> d_step {
			at = mem[l].newest;
			join(ME.pending, mem[l].made[at].seen);
			join_if(how == ACQUIRE, ME.sees, mem[l].made[at].seen);
			join_if(IF(MUTANT_NO_SEQUENCE, false, true),
				mem[l].made[at + 1].seen, mem[l].made[at].seen);
			make(l, word, how);
			at = 0
		}
	}
}

/*
 * The same with them.  They are steps of their own: another task may see the
 * store before the second one.
 */
inline change_fully(l, so, word, how)
{
	barrier_if(how == FULL);
	change(l, so, word, how);
	barrier_if(how == FULL)
}

inline lock(s)
{
	atomic { !s.held -> d_step { join(ME.sees, s.seen); s.held = true } }
}

inline unlock(s)
{
	d_step { join(s.seen, ME.sees); s.held = false }
}

/* -------------------------------------------------------------------- */
/* What all scenarios have in common                                    */
/* -------------------------------------------------------------------- */

inline enter()
{
	d_step { assert(!inside || not_exclusive); inside++ }
}

inline leave()
{
	d_step { inside--; r = 0 }
}

inline use()
{
	enter();
#ifdef WITH_DATA
	read(DATA, r, RELAXED);
	assert(r == written || stale_data);
	write(DATA, r + 1, RELAXED);
	written = r + 1;
#endif
	leave()
}

/* p2m_take(), when it succeeds */
inline take(l, how)
{
	change_fully(l, OWNER(NEWEST(l)) == 0, NEWEST(l) + WORD(me), how)
}

/* When the scenario begins, @t has @l. */
#define HAS(t, l)	mem[l].made[0].value = WORD(t)

/* -------------------------------------------------------------------- */
/* CYCLE, NO_CYCLE: who waits                                           */
/* -------------------------------------------------------------------- */

#if defined(CYCLE) || defined(NO_CYCLE)

/* Each task wants the node that the next one has, in a ring of two or three. */
#ifdef OF_THREE
#define RING		3
#else
#define RING		2
#endif
#define NEXT(t)		((t) % RING + 1)

inline draw_number()
{
	barrier_if(IF(MUTANT_NUMBER_RELAXED, false, true));
	atomic {
		number = NEWEST(LAST_WAIT) + 1;
		change(LAST_WAIT, true, number, RELAXED)
	}
	barrier_if(IF(MUTANT_NUMBER_RELAXED, false, true))
}

/* p2m_waits() */
inline enlist()
{
#ifdef MUTANT_NUMBER_FIRST
	draw_number();
#endif
	lock(locks[me]);
#ifndef MUTANT_NUMBER_FIRST
	draw_number();
#endif
	write(WAITING(me), number, RELAXED);
	unlock(locks[me])
}

/* p2m_follow() */
inline follow()		/* -> owner: me if there is a cycle */
{
	read(NODE(NEXT(me)), r, RELAXED);
	owner = OWNER(r);
	do
	:: owner == 0 || owner == me -> break
	:: else ->
		last = owner;
		lock(locks[last]);
		read(WAITING(last), r, RELAXED);
		owner = 0;
		if
		:: r && r < number ->
			read(NODE(NEXT(last)), r, RELAXED);
			owner = OWNER(r)
		:: else
		fi;
		unlock(locks[last])
	od;
	r = 0
}

proctype waits(byte me)
{
	byte at, r, number, owner, last;

#ifdef CYCLE
	/* p2m_take(); its barriers are not needed for this. */
	change(NODE(me), true, WORD(me), RELAXED);
	enlist();
	if
	:: number == RING ->
		follow();
		assert(owner == me || unseen_cycle);
		sight(cycle)
	:: else
	fi
#else
	/* It has its node; one gives that up, and so there is no cycle. */
	if
	:: me == RING -> change(NODE(me), true, 0, RELEASE)
	:: else
	fi;
	enlist();
	follow();
	assert(owner != me || false_cycle)
#endif
}

init {
	atomic {
#ifdef NO_CYCLE
		HAS(1, NODE(1));
		HAS(2, NODE(2));
		HAS(3, NODE(3));
#endif
		run waits(1);
		run waits(2);
#ifdef OF_THREE
		run waits(3)
#endif
	}
}

/* -------------------------------------------------------------------- */
/* WAITERS: the queue                                                   */
/* -------------------------------------------------------------------- */

#elif defined(WAITERS)

/* p2m_release() of CHUNK when somebody may wait */
#define QUEUES		locks[0]
inline release()
{
	if
#ifdef MUTANT_PUT_BY_STORE
	:: NEWEST(CHUNK) == WORD(me) -> write(CHUNK, 0, RELEASE)
#else
	:: change(CHUNK, NEWEST(CHUNK) == WORD(me), 0, RELEASE)
#endif
	:: NEWEST(CHUNK) != WORD(me) ->
		/* p2m_release_slow(), p2m_kick() */
		lock(QUEUES);
		change(CHUNK, true, NEWEST(CHUNK) & WAITER,
		       IF(MUTANT_SLOW_PUT_RELAXED, RELAXED, RELEASE));
		asleep = false;
		unlock(QUEUES)
	fi
}

/* p2m_wait_own() */
proctype waiter(byte me)
{
	byte at, r;

	lock(QUEUES);
#ifdef MUTANT_LOOK_FIRST
	read(CHUNK, r, RELAXED);
#endif
	/*
	 * p2m_enqueue() needs no barrier: it then looks at the word that it has
	 * just changed, and so cannot see an older value of it.
	 */
#ifdef MUTANT_BIT_BY_STORE
	read(CHUNK, r, RELAXED);
	write(CHUNK, r | WAITER, RELAXED);
#else
	change_fully(CHUNK, true, NEWEST(CHUNK) | WAITER, RELAXED);
#endif
#ifdef MUTANT_LOOK_FIRST
	if
	:: OWNER(r) -> goto block
	:: else
	fi;
#endif
look:
	read(CHUNK, r, RELAXED);
	if
	:: !OWNER(r) ->
		/* p2m_take(); no barrier if it fails */
		if
		:: barrier_if(true)
		:: OWNER(NEWEST(CHUNK)) != 0 -> goto block
		fi;
		if
		:: change(CHUNK, OWNER(NEWEST(CHUNK)) == 0,
			  NEWEST(CHUNK) + WORD(me), RELAXED);
			barrier_if(true);
			goto got
		:: OWNER(NEWEST(CHUNK)) != 0
		fi
	:: else
	fi;
block:
	/* p2m_block() */
	asleep = true;
	sight(sleep);
	unlock(QUEUES);
	!asleep;
	lock(QUEUES);
	goto look;
got:
	/* p2m_dequeue() */
	change(CHUNK, true, WORD(OWNER(NEWEST(CHUNK))), RELAXED);
	unlock(QUEUES);
	use();
	release()
}

/* A task that has CHUNK puts it. */
proctype putter(byte me)
{
	byte at, r;

	use();
	release()
}

/* p2m_own(), by a task that meets no owner */
proctype barger(byte me)
{
	byte at, r;

	take(CHUNK, FULL);
	use();
	release()
}

init {
	atomic {
		HAS(1, CHUNK);
		run putter(1);
		run waiter(2);
		run barger(3)
	}
}

/* -------------------------------------------------------------------- */
/* The others: getting and putting                                      */
/* -------------------------------------------------------------------- */

#else

/* p2m_release() when nobody waits */
inline put(l)
{
	change(l, true, 0, IF(MUTANT_PUT_RELAXED, RELAXED, RELEASE))
}

/* p2m_get_quick(), p2m_release() */
proctype narrow_quickly(byte me)
{
	byte at, r;

#ifdef MUTANT_CLAIMS_FIRST
	read(CLAIMS, r, ACQUIRE);
#endif
	take(CHUNK, IF(MUTANT_NARROW_TAKE_ACQUIRE, ACQUIRE, FULL));
#ifndef MUTANT_CLAIMS_FIRST
	read(CLAIMS, r, IF(MUTANT_CLAIMS_RELAXED, RELAXED, ACQUIRE));
#endif
	if
	:: !r -> use()
	:: else -> sight(back_off)
	fi;
	put(CHUNK)
}

/* What a task reads in a table that it has found */
inline look_inside()
{
	read(TABLE, r, IF(MUTANT_NO_DEPENDENCY, RELAXED, DEPENDENT));
	assert(r || half_made)
}

/* p2m_claimed() without its barrier */
inline check()
{
#ifdef GROWTH
	read(PARENT, r, RELAXED);
	if
	:: r ->
		look_inside();
		read(WIDE, r, DEPENDENT)
	:: else -> sight(old_parent)
	fi
#else
	read(WIDE, r, RELAXED)
#endif
}

/* p2m_attempt(), without its first look; p2m_release() */
proctype narrow_slowly(byte me)
{
	byte at, r;

#ifdef CREATION
	/* p2m_lookup_node() */
	read(BELOW, r, RELAXED);
	if
	:: r -> look_inside()
	:: else -> goto out
	fi;
#endif
#ifdef MUTANT_CHECK_FIRST
	check();
#endif
	take(CHUNK, IF(MUTANT_NARROW_TAKE_ACQUIRE, ACQUIRE, FULL));
#ifndef MUTANT_CHECK_FIRST
	check();
#endif
	if
	:: !r ->
#ifndef MUTANT_CHECK_NO_ACQUIRE
		atomic { acquire_barrier() };
#endif
		use()
	:: else -> sight(back_off)
	fi;
	put(CHUNK);
out:	skip
}

/* p2m_pass(), by a task that has OTHER until it has counted */
proctype narrow_passing(byte me)
{
	byte at, r;

#ifdef MUTANT_COUNT_FIRST
	change(PASSED, true, NEWEST(PASSED) + 1, RELAXED);
#endif
	take(CHUNK, IF(MUTANT_NARROW_TAKE_ACQUIRE, ACQUIRE, FULL));
	read(WIDE, r, RELAXED);
#ifdef MUTANT_PASS_LATE
	put(OTHER);
#endif
	if
#ifndef MUTANT_COUNT_FIRST
	:: r ->
		change(PASSED, true, NEWEST(PASSED) + 1, RELAXED);
		sight(pass)
#endif
	:: else
	fi;
	enter();
#ifndef MUTANT_PASS_LATE
	put(OTHER);
#endif
	leave();
	put(CHUNK)
}

/* p2m_put_node() of WIDE */
inline put_wide()
{
	put(WIDE);
	change(CLAIMS, true, NEWEST(CLAIMS) - 1,
	       IF(MUTANT_UNCLAIM_RELAXED, RELAXED, RELEASE))
}

/* p2m_find() of one node, and p2m_wait_idle() */
inline find_idle(l)
{
	do
	:: read(l, r, RELAXED);
	   if
	   :: !r -> break
	   :: else -> sight(wait)
	   fi
	od
}

/* p2m_get_slow(), p2m_own(), p2m_drain(), and p2m_put_node() */
proctype wide(byte me)
{
	byte at, r, passes, first = CHUNK;
#ifdef MUTANT_BELOW_BEFORE_TAKE
	byte below;

	read(BELOW, below, RELAXED);
#endif

#ifdef PASSES
	/* The order of the two matters only if both may have an owner. */
	if
	:: first = OTHER
	:: first = CHUNK
	fi;
#endif

#ifdef GROWTH
	/* p2m_lookup_node() */
	read(BELOW, r, RELAXED);
	if
	:: r -> look_inside()
	:: else -> goto out
	fi;
#endif
#ifndef MUTANT_CLAIM_LATE
	change(CLAIMS, true, NEWEST(CLAIMS) + 1, RELAXED);
#endif
	take(WIDE, IF(MUTANT_WIDE_TAKE_ACQUIRE, ACQUIRE, FULL));
#ifdef MUTANT_CLAIM_LATE
	change(CLAIMS, true, NEWEST(CLAIMS) + 1, RELAXED);
#endif
	do
	:: read(PASSED, passes, IF(MUTANT_DRAIN_RELAXED, RELAXED, ACQUIRE));
#ifdef CREATION
#ifndef MUTANT_BELOW_BEFORE_TAKE
	   read(BELOW, r, RELAXED);
#else
	   r = below;
#endif
	   if
	   :: r ->
		look_inside();
		find_idle(CHUNK)
	   :: else -> sight(none_below)
	   fi;
#else
	   find_idle(first);
	   find_idle(CHUNK + OTHER - first);
#endif
#if defined(ENOUGH_DRAIN_ACQUIRE)
	   atomic { acquire_barrier() };
#elif !defined(MUTANT_DRAIN_NO_BARRIER)
	   barrier_if(true);
#endif
	   read(PASSED, r, RELAXED);
	   if
	   :: r == passes -> break
	   :: else -> sight(again)
	   fi
	od;
	use();
	put_wide();
out:	skip
}

/* A task that has got CHUNK, or WIDE, puts it. */
proctype narrow_put(byte me)
{
	byte at, r;

	use();
	put(CHUNK)
}

proctype wide_put(byte me)
{
	byte at, r;

	use();
	put_wide()
}

/* p2m_dequeue() of a task that had set HANDOFF */
proctype count_down(byte me)
{
	byte at;

	change(CLAIMS, true, NEWEST(CLAIMS) - 1, RELAXED)
}

/* p2m_make_below(), when it succeeds */
proctype make_below(byte me)
{
	byte at;

	write(TABLE, 1, RELAXED);
#if defined(MUTANT_MAKE_RELAXED)
	change(BELOW, true, 1, RELAXED)
#elif defined(ENOUGH_MAKE_RELEASE)
	change(BELOW, true, 1, RELEASE)
#else
	change_fully(BELOW, true, 1, FULL)
#endif
}

/* p2m_raise() */
proctype raise(byte me)
{
	byte at;

	write(TABLE, 1, RELAXED);
#ifdef MUTANT_BELOW_FIRST
	write(BELOW, 1, RELEASE);
#endif
	write(PARENT, 1, IF(MUTANT_PARENT_RELAXED, RELAXED, RELEASE));
#ifndef MUTANT_BELOW_FIRST
	write(BELOW, 1, IF(MUTANT_BELOW_RELAXED, RELAXED, RELEASE));
#endif
}

init {
	atomic {
#ifdef DEKKER
		run narrow_slowly(1);
		run wide(2)
#endif
#ifdef SHORTCUT
		run narrow_quickly(1);
		run wide(2)
#endif
#ifdef NARROW_TO_WIDE
		HAS(1, CHUNK);
		run narrow_put(1);
		run wide(2)
#endif
#ifdef WIDE_TO_NARROW
		HAS(1, WIDE);
		mem[CLAIMS].made[0].value = 1;
		run wide_put(1);
		run narrow_quickly(2)
#endif
#ifdef WIDE_TO_NARROW_CHAIN
		HAS(1, WIDE);
		mem[CLAIMS].made[0].value = 2;
		run wide_put(1);
		run count_down(2);
		run narrow_quickly(3)
#endif
#ifdef PASSES
		HAS(1, OTHER);
		run narrow_passing(1);
		run wide(2)
#endif
#ifdef GROWTH
		run narrow_slowly(1);
		run wide(2);
		run raise(3)
#endif
#ifdef CREATION
		run make_below(1);
		run narrow_slowly(2);
		run wide(3)
#endif
#ifdef GETS
		run narrow_quickly(1);
		run narrow_slowly(2);
		run wide(3)
#endif
#ifdef CHECK_SLOW
		HAS(1, WIDE);
		mem[CLAIMS].made[0].value = 1;
		run wide_put(1);
		run narrow_slowly(2)
#endif
	}
}

#endif
