// SPDX-License-Identifier: GPL-2.0
/*
 * p2m_rangelock: a tree of exclusive locks over a guest's frames
 *
 * THE GUARANTEE
 *
 * Between a get of a range and its put, no other task's get of an overlapping
 * range returns.  p2m_rangelock.h has the other promises.
 *
 * THE TREE
 *
 * A radix tree of 512-way nodes, like the page tables that it shadows:
 *
 *	all              the whole guest
 *	 |
 *	level 4..1       ..., 512 GB, 1 GB
 *	 |
 *	level 0          chunks, 2 MB
 *
 * Nodes come in tables of 512.  A table appears below its parent when a get
 * first needs it, stays until the lock is destroyed, and is found without any
 * lock.  The tree grows upwards too: a new table is put between the highest one
 * and all.  Each node has an owner word.
 *
 * THE PROTOCOL
 *
 * To get a node, a chunk or a table:
 *
 *  TAKE   Set its owner word from nobody to the current task.
 *  CHECK  Look at the owner words of all nodes above.  If no other task owns
 *         any of them, the node is got, except for DRAIN.  Otherwise
 *  BACK OFF: give the node up, and wait until the one above is free.
 *  DRAIN  If the node has others below: look at each of these, and wait for
 *         those that another task owns.
 *
 * CHECK and DRAIN make it Dekker's argument.  A narrow getter writes the lower
 * word and reads the upper one; a wide getter writes the upper and reads the
 * lower; each has a full barrier between.  So at least one of them sees the
 * other.  If the narrow one does, it backs off.  If the wide one does, it
 * waits.  If both do, the wide one soon finds the narrow one gone.  The narrow
 * getter writes nothing that a getter of another chunk reads.
 *
 * For a chunk there is a shortcut: the lock counts in @claims the gets of nodes
 * that have others below, from before their TAKE until after their put.  If
 * that is 0, all nodes above are free.
 *
 * PASS   A wide getter may have to wait for a task that itself wants more below
 *        the same node.  If that task waits for the wide one, neither can go
 *        on.  Then it does not back off, but goes past the claim, and counts
 *        itself in the node's @passes.  A getter below a node of its own
 *        passes each claim above that, without waiting for it first.  It may
 *        have gone where the wide getter has already looked.  Therefore a
 *        drain is done only after a full look during which @passes did not
 *        change.  This is enough: a getter that passes owns something below
 *        from before it passes until after it has counted.  The drain must see
 *        that free, and then (acquire) sees the count as well.
 *
 * Between TAKE and BACK OFF a getter holds a node that it has no right to, but
 * does not sleep.  So the owner of a node above, to which it belongs too, spins
 * if it meets such a getter, and waits only if that one was preempted.
 *
 * WAITING
 *
 * A task waits for one node at a time, in its queue, for one of three reasons:
 *
 *	to own the node            (TAKE found an owner)
 *	to go below the node       (CHECK found an owner)
 *	to see the node free once  (DRAIN found an owner)
 *
 * A queue is in the order of tickets.  A get draws one when it begins to wait,
 * and keeps it when it moves from one queue to another.  So backing off does
 * not cost it its place.
 *
 * When a node becomes free, the first in its queue are woken, up to one that
 * wants to own it.  They try again: the node is not handed over, since a
 * running task makes better use of it meanwhile.  A task that leaves the queue
 * of a free node wakes the next.  So while a node is free, the first in its
 * queue is awake.  But if it has been woken in vain, it sets HANDOFF, and until
 * it has left the queue only the first may take that node or go below it.
 *
 * The WAITERS bit in the owner word makes the put look at the queue.  The
 * waiter sets it by a read-modify-write of that word, and then looks at the
 * owner again: either it sees the put, or the put sees the bit.
 *
 * DEADLOCK
 *
 * A waiter points at the node that it waits for, and the node at its present
 * owner.  A task that is about to sleep draws a number, puts itself where
 * others find it, and follows these pointers, over all guests.  If they lead
 * back to itself, its get is refused with -EDEADLK: see p2m_follow().
 *
 * But there may be a way out.  If a task of the cycle waits to go below a node,
 * and owns something there, it may PASS.  Nobody looks for this before there is
 * a cycle, since it can be a long search.  Then the task that found the cycle
 * looks, and tells the other.
 *
 * GIVE WAY: a claim is held while draining, so the claim itself can close a
 * cycle: the drain waits for a task that owns something below, and that task
 * waits to own the claimed node.  If the claimer closes it, and owns nothing
 * below, it is not refused: it gives the node up and waits for its turn again,
 * behind that task.  So a task that holds nothing, and gets one node, is never
 * refused.  (If it owned something below, the two would give way to each other
 * for ever.)
 *
 * CHOICES
 *
 * A node has an owner word of its own, not a struct mutex: CHECK reads it from
 * below, BACK OFF and GIVE WAY hand it on by rules of their own, and HANDOFF
 * keeps out those that go below as well.
 *
 * Tables stay until the lock is destroyed: 64 bytes for 2 MB are 1/32,768 of a
 * guest.  To free one, no task may be between the lookup and the TAKE of a node
 * there, or sleep in its queue: each get would need a count, or RCU.
 *
 * A get of a free chunk goes straight through: it takes no lock and calls no
 * function.  Any other get first spins while the owner is at work, if no other
 * task does, and only then takes the lock of its guest's queues.
 */

#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "p2m_rangelock.h"
#include "p2m/trace_lock.h"

#define CREATE_TRACE_POINTS
#include "p2m/trace_lock.h"

#define P2M_CHUNK_NR		(1UL << P2M_CHUNK_ORDER)
#define P2M_MAX_LEVEL		4	/* a table of these covers 2^54 frames */
#define P2M_LEVEL_ALL		(P2M_MAX_LEVEL + 1)
#define P2M_LEVEL_NONE		(P2M_LEVEL_ALL + 1)
#define P2M_SHIFT_MASK		63UL	/* in p2m_node.below */

/* The low bits of the owner word; a task_struct is aligned to more. */
#define P2M_WAITERS		1L	/* somebody is in the queue */
#define P2M_HANDOFF		2L	/* only the first in line may take it */
#define P2M_FLAGS		(P2M_WAITERS | P2M_HANDOFF)

#define P2M_LOCKDEP		IS_ENABLED(CONFIG_DEBUG_LOCK_ALLOC)

#define P2M_SPIN_NS		(20 * NSEC_PER_USEC)	/* for a running owner */
#define P2M_WAKE		16			/* waiters woken at once */

/* Tasks to be woken when the lock of the queues is dropped */
struct p2m_wakes {
	unsigned int		nr;
	struct task_struct	*task[P2M_WAKE];
};

/**
 * struct p2m_get - one get of one node, while it is under way
 * @task: the task
 * @lock: the guest's lock
 * @want: the node to be got
 * @own: the highest level of a node above @want that the task owns; 0 if none
 * @on: the node in whose queue this is, or NULL
 * @link: in @on's queue
 * @hash: in p2m_waiting, while the task sleeps
 * @ticket: order of arrival; 0 until the first wait
 * @number: of the present wait: see p2m_follow()
 * @since: jiffies at the first wait
 * @spin_end: when to stop spinning; 0 until the first spin
 * @ip: the code that called
 * @wait: how to wait; a task state
 * @pass_from: the claim of a node of this level or higher need not be heeded
 * @looked: it is known whether the task owns something below @on
 * @slept: this has slept, in whatever queue
 * @hurried: this has set HANDOFF at @on
 * @gave_way: this takes @want only when it is its turn
 * @wakes: other tasks to be woken when the guest's @queues is dropped
 */
struct p2m_get {
	struct task_struct	*task;
	struct p2m_rangelock	*lock;
	struct p2m_node		*want;
	unsigned int		own;
	struct p2m_node		*on;
	struct rb_node		link;
	struct hlist_node	hash;
	u64			ticket;
	u64			number;
	unsigned long		since;
	u64			spin_end;
	unsigned long		ip;
	enum p2m_wait		wait;
	u8			pass_from;
	bool			looked;
	bool			slept;
	bool			hurried;
	bool			gave_way;
	struct p2m_wakes	wakes;
};

static inline struct task_struct *p2m_task(long owner)
{
	return (struct task_struct *)(owner & ~P2M_FLAGS);
}

static inline struct task_struct *p2m_owner(struct p2m_node *node)
{
	return p2m_task(atomic_long_read(&node->owner));
}

static inline bool p2m_on_cpu(struct task_struct *task)
{
#ifdef CONFIG_SMP
	return owner_on_cpu(task);
#else
	return false;
#endif
}

static inline unsigned int p2m_shift(unsigned int level)
{
	return level * P2M_FANOUT_BITS;
}

/* Frames that a node of this level covers. */
static unsigned long p2m_node_nr(const struct p2m_node *node)
{
	if (node->level == P2M_LEVEL_ALL)
		return 1UL << P2M_GFN_BITS;
	return 1UL << (P2M_CHUNK_ORDER + p2m_shift(node->level));
}

/* ---- The tree ----------------------------------------------------- */

static struct p2m_node *p2m_table(unsigned long below)
{
	return (struct p2m_node *)(below & ~P2M_SHIFT_MASK);
}

static unsigned int p2m_table_shift(unsigned long below)
{
	return below & P2M_SHIFT_MASK;
}

/* The node of the table around @chunk. */
static __always_inline struct p2m_node *p2m_slot(unsigned long below,
						 unsigned long chunk)
{
	return p2m_table(below) +
	       (chunk >> p2m_table_shift(below)) % P2M_FANOUT;
}

/* A table of nodes that cover 2^@shift chunks each, as for @below; or 0. */
static unsigned long p2m_table_alloc(struct p2m_node *parent,
				     unsigned int shift, gfp_t gfp)
{
	struct p2m_node *table = kcalloc(P2M_FANOUT, sizeof(*table), gfp);
	unsigned long i;

	if (!table)
		return 0;
	for (i = 0; i < P2M_FANOUT; i++) {
		table[i].parent = parent;
		table[i].gfn = parent->gfn +
			       (i << shift << P2M_CHUNK_ORDER);
		table[i].level = shift / P2M_FANOUT_BITS;
	}
	return (unsigned long)table | shift;
}

/* Free a table, and all below it. */
static void p2m_table_free(unsigned long below)
{
	struct p2m_node *table = p2m_table(below);
	unsigned int i;

	for (i = 0; i < P2M_FANOUT; i++)
		if (table[i].below)
			p2m_table_free(table[i].below);
	kfree(table);
	cond_resched();
}

/* Put @new between all and @old, its highest table so far. */
static void p2m_raise(struct p2m_rangelock *lock, unsigned long old,
		      unsigned long new)
{
	struct p2m_node *table = p2m_table(old);
	unsigned int i;

	raw_spin_lock(&lock->queues);
	if (lock->all.below == old) {
		/*
		 * The old nodes get their new parent before anybody can find
		 * that.  So CHECK from below sees every task that can claim it.
		 */
		p2m_table(new)->below = old;
		for (i = 0; table && i < P2M_FANOUT; i++)
			/* Pairs with READ_ONCE() in p2m_claimed(). */
			smp_store_release(&table[i].parent, p2m_table(new));
		/* Pairs with READ_ONCE() in p2m_lookup_node(). */
		smp_store_release(&lock->all.below, new);
		new = 0;
	}
	raw_spin_unlock(&lock->queues);
	kfree(p2m_table(new));
}

/* Make the tree high enough for @chunk and @level: false without memory. */
static bool p2m_grow(struct p2m_rangelock *lock, unsigned long chunk,
		     unsigned int level, gfp_t gfp)
{
	unsigned int shift = p2m_shift(level);
	unsigned long old, new;

	while (chunk >> shift >> P2M_FANOUT_BITS)
		shift += P2M_FANOUT_BITS;
	while (!(old = READ_ONCE(lock->all.below)) ||
	       p2m_table_shift(old) < shift) {
		new = p2m_table_alloc(&lock->all, old ?
				      p2m_table_shift(old) + P2M_FANOUT_BITS :
				      shift, gfp);
		if (!new)
			return false;
		p2m_raise(lock, old, new);
	}
	return true;
}

/* The node around @chunk just below @node; NULL only without memory. */
static struct p2m_node *p2m_make_below(struct p2m_node *node,
				       unsigned long chunk, gfp_t gfp)
{
	unsigned long below = READ_ONCE(node->below), new;

	if (!below) {
		new = p2m_table_alloc(node, p2m_shift(node->level - 1), gfp);
		if (!new)
			return NULL;
		/* Full barrier: the contents of @new come before it. */
		below = cmpxchg(&node->below, 0, new) ?: new;
		if (below != new)
			kfree(p2m_table(new));
	}
	return p2m_slot(below, chunk);
}

/* The node of @level around @chunk, or NULL if there is none yet. */
static __always_inline struct p2m_node *
p2m_lookup_node(struct p2m_rangelock *lock, unsigned long chunk,
		unsigned int level)
{
	unsigned long below = READ_ONCE(lock->all.below);
	unsigned int shift = p2m_table_shift(below);
	struct p2m_node *node;

	if (unlikely(chunk >> shift >> P2M_FANOUT_BITS))
		return NULL;
	for (;;) {
		if (unlikely(!below))
			return NULL;
		node = p2m_slot(below, chunk);
		if (p2m_table_shift(below) == p2m_shift(level))
			return node;
		below = READ_ONCE(node->below);
	}
}

/* The same, but make it if it is not there; NULL only without memory. */
static struct p2m_node *p2m_make_node(struct p2m_rangelock *lock,
				      unsigned long chunk, unsigned int level,
				      enum p2m_wait wait)
{
	/* The caller can be told -ENOMEM: no task is killed for memory. */
	gfp_t gfp = __GFP_ACCOUNT | __GFP_NOWARN |
		    (wait == P2M_TRY ? GFP_NOWAIT :
				       GFP_KERNEL | __GFP_RETRY_MAYFAIL);
	struct p2m_node *node = p2m_lookup_node(lock, chunk, level);

	if (node)
		return node;
	/* PREEMPT_RT's allocators sleep, whatever @gfp says. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && !preemptible())
		return NULL;
	if (!p2m_grow(lock, chunk, level, gfp))
		return NULL;
	node = &lock->all;
	while (node && node->level != level)
		node = p2m_make_below(node, chunk, gfp);
	return node;
}

/* Does @task own @node; or, if @task is NULL, another than the current one? */
static inline bool p2m_match(struct p2m_node *node, struct task_struct *task)
{
	struct task_struct *owner = p2m_owner(node);

	return owner && (task ? owner == task : owner != current);
}

/* The highest level of a node above that the current task owns; 0 if none. */
static unsigned int p2m_own_above(struct p2m_node *node)
{
	unsigned int level = 0;

	while ((node = READ_ONCE(node->parent)))
		if (p2m_owner(node) == current)
			level = node->level;
	return level;
}

static struct p2m_rangelock *p2m_lock_of(struct p2m_node *node)
{
	while (READ_ONCE(node->parent))
		node = READ_ONCE(node->parent);
	return container_of(node, struct p2m_rangelock, all);
}

/* The first node below @top, at or after @chunk, that matches; may @sleep. */
static struct p2m_node *p2m_find(struct p2m_node *top, unsigned long chunk,
				 struct task_struct *task, bool sleep)
{
	unsigned long below = READ_ONCE(top->below);
	struct p2m_node *node = p2m_table(below), *end = node + P2M_FANOUT;
	unsigned long base = top->gfn >> P2M_CHUNK_ORDER;
	struct p2m_node *found = NULL;

	if (chunk > base)
		node += (chunk - base) >> p2m_table_shift(below);
	for (; below && !found && node < end; node++) {
		if (likely(!(atomic_long_read(&node->owner) |
			     READ_ONCE(node->below))))
			continue;
		found = p2m_match(node, task) ? node :
			p2m_find(node, chunk, task, sleep);
		if (sleep)
			cond_resched();
	}
	return found;
}

/* ---- Queues; all of it under the guest's @queues ------------------ */

/* Drop the lock, then wake. */
static void p2m_unlock(struct p2m_rangelock *lock, struct p2m_wakes *wakes)
	__releases(&lock->queues)
{
	unsigned int i;

	/*
	 * A task_struct stays for a grace period, so until then.  And a free
	 * node may be kept for the first of them.
	 */
	preempt_disable();
	raw_spin_unlock(&lock->queues);
	for (i = 0; i < wakes->nr; i++)
		wake_up_process(wakes->task[i]);
	wakes->nr = 0;
	preempt_enable();
}

static bool p2m_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct p2m_get, link)->ticket <
	       rb_entry(b, struct p2m_get, link)->ticket;
}

/* Is it @get's turn at @node, whether or not it is in the queue there? */
static bool p2m_has_turn(const struct p2m_get *get, struct p2m_node *node)
{
	struct rb_node *first;

	if (!get->ticket)
		return false;
	lockdep_assert_held(&get->lock->queues);
	first = rb_first(&node->waiters);
	return !first ||
	       get->ticket <= rb_entry(first, struct p2m_get, link)->ticket;
}

/* Does a get before @link want the same? */
static bool p2m_wants_the_same(struct rb_node *link)
{
	struct p2m_node *want = rb_entry(link, struct p2m_get, link)->want;

	while ((link = rb_prev(link)))
		if (rb_entry(link, struct p2m_get, link)->want == want)
			return true;
	return false;
}

/*
 * @node is free: of the first waiters, up to one that wants to own it, wake one
 * for each node that they want.  Each leaves the queue, and so wakes the next.
 */
static void p2m_kick(struct p2m_node *node, struct p2m_wakes *wakes)
{
	struct rb_node *link = rb_first(&node->waiters);
	struct p2m_get *get = NULL;
	unsigned int n;

	for (n = 0; link && n < P2M_WAKE; n++, link = rb_next(link)) {
		if (get && get->want == node)
			break;
		get = rb_entry(link, struct p2m_get, link);
		if (p2m_wants_the_same(link))
			continue;
		if (wakes->nr < P2M_WAKE)
			wakes->task[wakes->nr++] = get->task;
		else
			wake_up_process(get->task);
	}
}

static void p2m_enqueue(struct p2m_get *get, struct p2m_node *node)
{
	lockdep_assert_held(&get->lock->queues);
	if (!get->ticket) {
		get->ticket = ++get->lock->last_ticket;
		get->since = jiffies;
	}
	get->on = node;
	get->looked = false;
	rb_add(&get->link, &node->waiters, p2m_less);

	/* The caller then looks at the same word again: see WAITING. */
	atomic_long_or(P2M_WAITERS, &node->owner);
}

/* @get, whose turn it is, is not to be overtaken at its node any more. */
static void p2m_hurry(struct p2m_get *get)
{
	if (!get->hurried && get->on->level)
		atomic_inc(&get->lock->claims);
	get->hurried = true;
	atomic_long_or(P2M_HANDOFF, &get->on->owner);
}

static void p2m_dequeue(struct p2m_get *get)
{
	struct p2m_node *node = get->on;
	long flags = 0;

	lockdep_assert_held(&get->lock->queues);
	rb_erase(&get->link, &node->waiters);
	get->on = NULL;
	if (get->hurried && node->level)
		atomic_dec(&get->lock->claims);
	if (get->hurried)
		flags |= P2M_HANDOFF;
	get->hurried = false;
	if (RB_EMPTY_ROOT(&node->waiters))
		flags |= P2M_WAITERS;
	if (flags)
		atomic_long_and(~flags, &node->owner);
	if (!p2m_owner(node))
		p2m_kick(node, &get->wakes);
}

/* Give up the current task's node. */
static void p2m_release_locked(struct p2m_node *node, struct p2m_wakes *wakes)
{
	/* Release: the changes made while holding come before. */
	atomic_long_fetch_and_release(P2M_FLAGS, &node->owner);
	p2m_kick(node, wakes);
}

static noinline void p2m_release_slow(struct p2m_rangelock *lock,
				      struct p2m_node *node)
{
	struct p2m_wakes wakes;

	wakes.nr = 0;
	raw_spin_lock(&lock->queues);
	p2m_release_locked(node, &wakes);
	p2m_unlock(lock, &wakes);
}

static inline void p2m_release(struct p2m_rangelock *lock,
			       struct p2m_node *node, struct task_struct *me)
{
	long old = (long)me;

	/* Release, as above.  Fails if WAITERS is set: see p2m_enqueue(). */
	if (unlikely(!atomic_long_try_cmpxchg_release(&node->owner, &old, 0)))
		p2m_release_slow(lock, node);
}

/* ---- Who waits: the tasks that sleep, of all guests --------------- */

#define P2M_WAITING_BITS	6

/* Gets whose task sleeps, or is about to. */
static struct p2m_waiting {
	raw_spinlock_t		lock;
	struct hlist_head	gets;
} p2m_waiting[1 << P2M_WAITING_BITS] = {
	[0 ... (1 << P2M_WAITING_BITS) - 1].lock =
		__RAW_SPIN_LOCK_UNLOCKED(p2m_waiting.lock),
};

/* Numbers the entries into p2m_waiting: see p2m_follow(). */
static atomic64_t p2m_last_wait;

static struct p2m_waiting *p2m_bucket(struct task_struct *task)
{
	return &p2m_waiting[hash_ptr(task, P2M_WAITING_BITS)];
}

/* From here on the task neither takes nor gives up anything. */
static void p2m_waits(struct p2m_get *get)
{
	struct p2m_waiting *bucket = p2m_bucket(get->task);

	raw_spin_lock(&bucket->lock);
	/* Full barrier: see p2m_follow(). */
	get->number = atomic64_inc_return(&p2m_last_wait);
	hlist_add_head(&get->hash, &bucket->gets);
	raw_spin_unlock(&bucket->lock);
}

static void p2m_waits_no_more(struct p2m_get *get)
{
	struct p2m_waiting *bucket = p2m_bucket(get->task);

	raw_spin_lock(&bucket->lock);
	hlist_del(&get->hash);
	raw_spin_unlock(&bucket->lock);
}

/* The get of @task, if it waits; it does so until @bucket's lock is dropped. */
static struct p2m_get *p2m_get_of(struct p2m_waiting *bucket,
				  struct task_struct *task)
{
	struct p2m_get *get;

	lockdep_assert_held(&bucket->lock);
	hlist_for_each_entry(get, &bucket->gets, hash)
		if (get->task == task)
			return get;
	return NULL;
}

/* ---- Deadlock ----------------------------------------------------- */

#define P2M_CYCLE_MAX	6
#define P2M_TEXT	160

/* Say what @get waits for.  It is the current task's, or cannot go away. */
static void p2m_describe(struct p2m_get *get, char *text)
{
	scnprintf(text, P2M_TEXT,
		  "%s/%d waits for %s [%#lx, +%#lx) for %u ms, from %pS",
		  get->task->comm, get->task->pid, get->lock->name,
		  get->on->gfn, p2m_node_nr(get->on),
		  jiffies_to_msecs(jiffies - get->since), (void *)get->ip);
}

/**
 * struct p2m_cycle - tasks that wait for each other
 * @closed_by: the current task's node that the last one waits for
 * @asker: a task that wants to go below a node, and may own something there
 * already; or NULL
 * @asker_number: the number of its wait
 * @asker_on: this node
 * @nr: tasks in the cycle
 * @text: on the first of them, for a report
 */
struct p2m_cycle {
	struct p2m_node		*closed_by;
	struct task_struct	*asker;
	u64			asker_number;
	struct p2m_node		*asker_on;
	unsigned int		nr;
	char			text[P2M_CYCLE_MAX][P2M_TEXT];
};

/* One step: @get waits for an owner.  Returns that. */
static struct task_struct *p2m_step(struct p2m_cycle *cycle,
				    struct p2m_get *get, bool describe)
{
	if (!cycle->asker && get->want->level < get->on->level &&
	    !READ_ONCE(get->looked)) {
		cycle->asker = get->task;
		cycle->asker_number = get->number;
		cycle->asker_on = get->on;
	}
	cycle->closed_by = get->on;
	if (describe && cycle->nr < P2M_CYCLE_MAX)
		p2m_describe(get, cycle->text[cycle->nr]);
	cycle->nr++;
	return p2m_owner(get->on);
}

/*
 * Does @get, the wait of the current task, close a cycle?
 *
 * Only a wait with a lower number is believed: that task has waited since
 * before the number of @get was drawn.  A task that waits takes and gives up
 * nothing.  So what this sees of it was true at the moment of the drawing, and
 * all of the cycle was there at that moment.  And if there is a cycle, the wait
 * with the highest number sees it: the numbers are drawn in order, so the
 * others are in p2m_waiting, with all that they own.
 */
static bool p2m_follow(struct p2m_get *get, struct p2m_cycle *cycle,
		       bool describe)
{
	struct task_struct *owner, *mark = NULL;
	struct p2m_waiting *bucket;
	unsigned int limit = 1;
	struct p2m_get *next;

	cycle->nr = 0;
	cycle->closed_by = NULL;
	cycle->asker = NULL;
	owner = p2m_step(cycle, get, describe);
	while (owner && owner != current) {
		/* Brent: do not go round in a cycle of others. */
		if (owner == mark)
			return false;
		if (cycle->nr == limit) {
			mark = owner;
			limit *= 2;
		}
		bucket = p2m_bucket(owner);
		raw_spin_lock(&bucket->lock);
		next = p2m_get_of(bucket, owner);
		owner = NULL;
		/* It need not wait if it may pass, but has not run yet. */
		if (next && next->number < get->number &&
		    READ_ONCE(next->pass_from) > next->on->level)
			owner = p2m_step(cycle, next, describe);
		raw_spin_unlock(&bucket->lock);
	}
	return owner;
}

/* Tell the asker whether it may PASS. */
static void p2m_answer(struct p2m_cycle *cycle)
{
	struct p2m_waiting *bucket = p2m_bucket(cycle->asker);
	struct p2m_get *get;
	bool owns;

	/* A long search, of a tree that may be another guest's. */
	owns = p2m_find(cycle->asker_on, 0, cycle->asker, false);

	raw_spin_lock(&bucket->lock);
	get = p2m_get_of(bucket, cycle->asker);
	/* If it is the same wait, then what it owned has not changed. */
	if (get && get->number == cycle->asker_number) {
		WRITE_ONCE(get->looked, true);
		if (owns) {
			WRITE_ONCE(get->pass_from, get->on->level);
			wake_up_process(get->task);
		}
	}
	raw_spin_unlock(&bucket->lock);
}

/*
 * May the current task sleep?  Returns 0 if so; -EAGAIN if there is something
 * else to try; -EDEADLK if it would sleep for ever: then @get waits no more.
 */
static int p2m_judge(struct p2m_get *get, struct p2m_cycle *cycle)
{
	static DEFINE_RAW_SPINLOCK(verdict);
	bool real;

	/* Other guests' trees stay: see p2m_rangelock_destroy(). */
	rcu_read_lock();
	real = p2m_follow(get, cycle, false);
	if (real && cycle->asker)
		p2m_answer(cycle);
	rcu_read_unlock();
	if (!real)
		return 0;
	if (cycle->asker)
		return -EAGAIN;
	/*
	 * A task that is woken for nothing draws a new number: so two tasks may
	 * have found the same cycle.  Then one of them finds the other gone.
	 */
	raw_spin_lock(&verdict);
	real = p2m_follow(get, cycle, true);
	if (real)
		p2m_waits_no_more(get);
	raw_spin_unlock(&verdict);
	return real ? -EDEADLK : 0;
}

static void p2m_report_cycle(struct p2m_cycle *cycle)
{
	static DEFINE_RATELIMIT_STATE(rs, 5 * HZ, 3);
	unsigned int i;

	if (!__ratelimit(&rs))
		return;
	pr_info("p2m_rangelock: get refused, %u tasks would wait for each other:\n",
		cycle->nr);
	for (i = 0; i < min_t(unsigned int, cycle->nr, P2M_CYCLE_MAX); i++)
		pr_info("  %s\n", cycle->text[i]);
}

/* ---- Waiting for one node ----------------------------------------- */

/* Must @get wait for @node, which it wants or wants to go below? */
static bool p2m_heed(const struct p2m_get *get, struct p2m_node *node)
{
	long old = atomic_long_read(&node->owner);

	if (p2m_task(old))
		return p2m_task(old) != current;
	/* It is free, but somebody has waited for long enough. */
	return ((old & P2M_HANDOFF) || (get->gave_way && node == get->want)) &&
	       get->own <= node->level && !p2m_has_turn(get, node);
}

/* CHECK: the nearest node above that must be heeded, or NULL. */
static struct p2m_node *p2m_claimed(const struct p2m_get *get)
{
	struct p2m_node *node = get->want;

	/* An address dependency; pairs with the release in p2m_raise(). */
	while ((node = READ_ONCE(node->parent)) && node->level < get->pass_from)
		if (p2m_heed(get, node))
			return node;
	/*
	 * Acquire, for all nodes that were seen free: pairs with p2m_release().
	 * From here on this task sees all changes made while they were held.
	 */
	smp_acquire__after_ctrl_dep();
	return NULL;
}

/* PASS: let the claims above know that they have to look again. */
static void p2m_pass(struct p2m_get *get)
{
	struct p2m_node *node = get->want;

	/*
	 * The TAKE before was a full barrier: a drain that has read the new
	 * count finds the node owned.  Pairs with atomic_read_acquire() in
	 * p2m_drain().
	 */
	while ((node = READ_ONCE(node->parent)))
		if (p2m_match(node, NULL)) {
			atomic_inc(&node->passes);
			atomic_long_inc(&get->lock->stats[P2M_STAT_passes]);
		}
}

/* TAKE */
static bool p2m_take(const struct p2m_get *get)
{
	struct p2m_node *node = get->want;
	long old = atomic_long_read(&node->owner);

	do {
		if (p2m_task(old) || p2m_heed(get, node))
			return false;
		/* Full barrier: pairs with the TAKE of a claimer above. */
	} while (!atomic_long_try_cmpxchg(&node->owner, &old,
					  (long)current | old));
	return true;
}

/*
 * TAKE, CHECK, and BACK OFF if necessary, once.  @queues is @locked or not.
 * Returns the node to wait for, or NULL if @get now owns the node that it wants.
 */
static struct p2m_node *p2m_attempt(struct p2m_get *get, bool locked)
{
	/* This look is not needed, but saves the claimer from meeting us. */
	struct p2m_node *above = p2m_claimed(get);

	if (!above) {
		if (!p2m_take(get))
			return get->want;
		above = p2m_claimed(get);
		if (!above && get->pass_from != P2M_LEVEL_NONE)
			p2m_pass(get);
		if (!above)
			return NULL;
		if (locked)
			p2m_release_locked(get->want, &get->wakes);
		else
			p2m_release(get->lock, get->want, current);
	}
	atomic_long_inc(&get->lock->stats[P2M_STAT_backoffs]);
	return above;
}

/* Is @node's owner at work, or just gone? */
static bool p2m_owner_running(struct p2m_node *node)
{
	bool running;
	long old;

	/* A task_struct stays for a grace period after its last release. */
	rcu_read_lock();
	old = atomic_long_read(&node->owner);
	running = p2m_task(old) ? p2m_on_cpu(p2m_task(old)) :
				  !(old & P2M_HANDOFF);
	rcu_read_unlock();
	return running;
}

/* Wait a little without sleeping.  Returns whether @node seems to be free. */
static bool p2m_spin(struct p2m_get *get, struct p2m_node *node)
{
	bool free = false;

	/* Below our own node, the owner is about to back off. */
	if (get->own > node->level) {
		while (p2m_match(node, NULL) && p2m_owner_running(node))
			cpu_relax();
		return !p2m_match(node, NULL);
	}
	/* One task is enough; two do no harm. */
	if (get->wait == P2M_TRY || READ_ONCE(node->spinning))
		return false;
	WRITE_ONCE(node->spinning, 1);
	if (!get->spin_end)
		get->spin_end = ktime_get_mono_fast_ns() + P2M_SPIN_NS;
	while (!free && p2m_owner_running(node) && !need_resched() &&
	       ktime_get_mono_fast_ns() < get->spin_end) {
		cpu_relax();
		free = !p2m_match(node, NULL);
	}
	WRITE_ONCE(node->spinning, 0);
	return free;
}

/*
 * Sleep in the queue that @get is in until somebody wakes this task, or not at
 * all if there is something else to try.  The lock is dropped meanwhile.
 */
static int p2m_block(struct p2m_get *get, struct p2m_cycle *cycle)
	__must_hold(&get->lock->queues)
{
	struct p2m_rangelock *lock = get->lock;
	struct task_struct *owner;
	int err;

	lockdep_assert_held(&lock->queues);
	if (signal_pending_state(get->wait, current)) {
		atomic_long_inc(&lock->stats[P2M_STAT_interrupted]);
		return -EINTR;
	}
	/* Pairs with wake_up_process() of those that have the lock later. */
	set_current_state(get->wait);
	p2m_waits(get);
	owner = p2m_owner(get->on);
	trace_p2m_wait_begin(get->on->gfn, p2m_node_nr(get->on),
			     owner ? owner->pid : 0, get->ip);
	p2m_unlock(lock, &get->wakes);

	err = p2m_judge(get, cycle);
	if (!err) {
		if (!get->slept) {
			atomic_long_inc(&lock->stats[P2M_STAT_waits]);
			lock_contended(&lock->dep_map, get->ip);
		}
		p2m_contention_begin(get->on);
		schedule();
		p2m_contention_end(get->on);
		get->slept = true;
	}
	__set_current_state(TASK_RUNNING);
	if (err != -EDEADLK)
		p2m_waits_no_more(get);

	raw_spin_lock(&lock->queues);
	trace_p2m_wait_end(get->on->gfn, p2m_node_nr(get->on), get->ip);
	return err == -EAGAIN ? 0 : err;
}

/* TAKE and CHECK, for as long as it takes; with @give_way, GIVE WAY before. */
static int p2m_wait_own(struct p2m_get *get, struct p2m_cycle *cycle,
			bool give_way)
{
	struct p2m_node *blocker;
	int err = 0;

	raw_spin_lock(&get->lock->queues);
	if (give_way) {
		/* This task is running, and others have to wake up first. */
		get->gave_way = true;
		get->slept = false;
		get->ticket = 0;
		p2m_release_locked(get->want, &get->wakes);
	}
	while (!err && (blocker = p2m_attempt(get, true))) {
		if (get->on != blocker) {
			if (get->on)
				p2m_dequeue(get);
			p2m_enqueue(get, blocker);
			continue;	/* to look again */
		}
		if (get->slept && p2m_has_turn(get, blocker))
			p2m_hurry(get);
		err = p2m_block(get, cycle);
	}
	if (get->on)
		p2m_dequeue(get);
	p2m_unlock(get->lock, &get->wakes);
	return err;
}

/* Take the node that @get wants, but not yet what is below. */
static int p2m_own(struct p2m_get *get, struct p2m_cycle *cycle)
{
	struct p2m_node *blocker;

	do {
		preempt_disable();
		blocker = p2m_attempt(get, false);
		preempt_enable();
		if (!blocker)
			return 0;
	} while (p2m_spin(get, blocker));
	return get->wait == P2M_TRY ? -EBUSY :
				      p2m_wait_own(get, cycle, false);
}

/* Wait until no other task owns @busy, which is below @get's claim. */
static int p2m_wait_idle(struct p2m_get *get, struct p2m_node *busy,
			 struct p2m_cycle *cycle)
{
	int err = 0;

	if (p2m_spin(get, busy))
		return 0;
	if (get->wait == P2M_TRY)
		return p2m_match(busy, NULL) ? -EBUSY : 0;

	raw_spin_lock(&get->lock->queues);
	p2m_enqueue(get, busy);
	while (!err && p2m_match(busy, NULL))
		err = p2m_block(get, cycle);
	p2m_dequeue(get);
	p2m_unlock(get->lock, &get->wakes);
	return err;
}

/* DRAIN */
static int p2m_drain(struct p2m_get *get, struct p2m_cycle *cycle)
{
	struct p2m_node *top = get->want, *busy;
	unsigned long chunk;
	int passes, err;

	do {
		/* Pairs with the full barrier before p2m_pass() counts. */
		passes = atomic_read_acquire(&top->passes);
		chunk = 0;
		while ((busy = p2m_find(top, chunk, NULL, get->wait != P2M_TRY))) {
			err = p2m_wait_idle(get, busy, cycle);
			if (err)
				return err;
			chunk = busy->gfn >> P2M_CHUNK_ORDER;
		}
		/*
		 * Acquire, for all owner words just seen free: pairs with the
		 * release in p2m_release().  From here on this task sees all
		 * changes made while they were held, also the counts of passes.
		 */
		smp_mb();
	} while (atomic_read(&top->passes) != passes);
	return 0;
}

/* The current task has put, or not got, a node with others below. */
static void p2m_no_claim(struct p2m_rangelock *lock)
{
	/* Release, after that of the node: pairs with p2m_get_quick(). */
	atomic_dec_return_release(&lock->claims);
}

static int p2m_get_slow(struct p2m_rangelock *lock, struct p2m_node *node,
			enum p2m_wait wait, unsigned long ip)
{
	unsigned int own = p2m_own_above(node);
	struct p2m_get get = {
		.task = current,
		.lock = lock,
		.want = node,
		.own = own,
		.ip = ip,
		.wait = wait,
		/* All below an own node is the task's, whoever claims above. */
		.pass_from = own ?: P2M_LEVEL_NONE,
	};
	struct p2m_cycle cycle;
	int err;

	/* Comes before the TAKE, which is a full barrier. */
	if (node->level)
		atomic_inc(&lock->claims);
	err = p2m_own(&get, &cycle);
	while (!err && node->level) {
		err = p2m_drain(&get, &cycle);
		if (!err)
			break;
		if (err == -EDEADLK && cycle.closed_by == node &&
		    !p2m_find(node, 0, current, true))
			err = p2m_wait_own(&get, &cycle, true);
		else
			p2m_release(lock, node, current);
	}
	if (err && node->level)
		p2m_no_claim(lock);

	if (err == -EDEADLK) {
		atomic_long_inc(&lock->stats[P2M_STAT_deadlocks]);
		trace_p2m_deadlock(node->gfn, p2m_node_nr(node), cycle.nr, ip);
		p2m_report_cycle(&cycle);
	}
	if (!err && wait != P2M_TRY)
		lock_acquired(&lock->dep_map, ip);
	return err;
}

/* ---- Lockdep: one lock for a guest, for any number of nodes ------- */

/*
 * For lockdep, a task holds a guest's lock from its first node to its last.
 * A later get that may wait is an acquisition like the first.  It must not
 * happen under a lock that is itself taken while this one is held.  So the get
 * moves the map to the top of the task's stack of held locks.
 */
static void p2m_dep_get(struct p2m_rangelock *lock, struct p2m_node *node,
			enum p2m_wait wait, unsigned int subclass,
			unsigned long ip)
{
	if (!P2M_LOCKDEP || p2m_own_above(node))
		return;		/* it waits for no holder */
	if (lock_is_held(&lock->dep_map))
		lock_release(&lock->dep_map, ip);
	lock_acquire_exclusive(&lock->dep_map, subclass, wait == P2M_TRY, NULL,
			       ip);
}

/* After a put, or a get that failed: is there anything left? */
static void p2m_dep_put(struct p2m_rangelock *lock, unsigned long ip)
{
	if (P2M_LOCKDEP && p2m_owner(&lock->all) != current &&
	    !p2m_find(&lock->all, 0, current, false) &&
	    lock_is_held(&lock->dep_map))
		lock_release(&lock->dep_map, ip);
}

/* ---- Getting and putting one node --------------------------------- */

/* In an interrupt, "the current task" is the one that was interrupted. */
static inline void p2m_check_context(struct p2m_rangelock *lock,
				     unsigned long ip)
{
	if (P2M_LOCKDEP)
		WARN_ONCE(!in_task(), "p2m_rangelock: %s used in an interrupt, at %pS\n",
			  lock->name, (void *)ip);
}

static void p2m_got(struct p2m_node *node, unsigned long ip)
{
	node->ip = ip;
	node->since = jiffies;
}

static int p2m_get_node(struct p2m_rangelock *lock, struct p2m_node *node,
			enum p2m_wait wait, unsigned int subclass,
			unsigned long ip)
{
	int err;

	p2m_check_context(lock, ip);
	if (wait != P2M_TRY) {
		might_sleep();
		cond_resched();
	}
	if (p2m_owner(node) == current) {
		if (node->depth == UINT_MAX)
			return -EOVERFLOW;
		node->depth++;
		return 0;
	}

	p2m_dep_get(lock, node, wait, subclass, ip);
	err = p2m_get_slow(lock, node, wait, ip);
	if (err)
		p2m_dep_put(lock, ip);
	else
		p2m_got(node, ip);
	return err;
}

static bool p2m_warn_not_owned(struct p2m_rangelock *lock,
			       struct p2m_node *node, unsigned long ip)
{
	return WARN_ONCE(!node || p2m_owner(node) != current,
			 "p2m_rangelock: put of %s by a task that does not hold it, at %pS\n",
			 lock->name, (void *)ip);
}

static void p2m_put_node(struct p2m_rangelock *lock, struct p2m_node *node,
			 unsigned long ip)
{
	p2m_check_context(lock, ip);
	if (p2m_warn_not_owned(lock, node, ip))
		return;
	if (node->depth) {
		node->depth--;
		return;
	}
	p2m_release(lock, node, current);
	if (node->level)
		p2m_no_claim(lock);
	p2m_dep_put(lock, ip);
}

/* ---- Getting a range: its canonical cover, in ascending order ----- */

/* The chunks of [gfn, gfn + nr): false if there is no such range. */
static inline bool p2m_chunks(unsigned long gfn, unsigned long nr,
			      unsigned long *first, unsigned long *end)
{
	if (nr - 1 > ~gfn || (gfn + nr - 1) >> P2M_GFN_BITS)
		return false;
	*first = gfn >> P2M_CHUNK_ORDER;
	*end = ((gfn + nr - 1) >> P2M_CHUNK_ORDER) + 1;
	return true;
}

/* Level of the largest node that starts at @chunk and ends by @end. */
static unsigned int p2m_cover_level(unsigned long chunk, unsigned long end)
{
	unsigned long bits = __fls(end - chunk);

	if (chunk)
		bits = min(bits, __ffs(chunk));
	return bits / P2M_FANOUT_BITS;
}

/* The nodes of the cover of chunks [@chunk, @end), by first chunk and level */
#define p2m_for_each_cover(chunk, end, level)				\
	for (; (chunk) < (end) &&					\
	       ((level) = p2m_cover_level(chunk, end), true);		\
	     (chunk) += 1UL << p2m_shift(level))

static void p2m_put_cover(struct p2m_rangelock *lock, unsigned long chunk,
			  unsigned long end, unsigned long ip)
{
	unsigned int level;

	p2m_for_each_cover(chunk, end, level)
		p2m_put_node(lock, p2m_lookup_node(lock, chunk, level), ip);
}

/*
 * Get the first @max_nodes of a range's cover.  Returns how many frames are now
 * held, or -errno.  The first nodes of a cover are themselves the cover of
 * their range: so they can be put as a range of their own.
 */
static noinline long p2m_get_part(struct p2m_rangelock *lock,
				  unsigned long gfn, unsigned long nr,
				  unsigned long max_nodes, enum p2m_wait wait,
				  unsigned int subclass, unsigned long ip)
{
	unsigned long first, chunk, end;
	struct p2m_node *node;
	unsigned int level;
	int err = 0;

	if (!p2m_chunks(gfn, nr, &first, &end))
		return -EINVAL;
	chunk = first;
	p2m_for_each_cover(chunk, end, level) {
		if (!max_nodes--)
			break;
		node = p2m_make_node(lock, chunk, level, wait);
		err = node ? p2m_get_node(lock, node, wait, subclass, ip) :
			     -ENOMEM;
		if (err)
			break;
	}
	if (err)
		p2m_put_cover(lock, first, chunk, ip);
	else
		nr = min(nr, (chunk << P2M_CHUNK_ORDER) - gfn);
	trace_p2m_get(lock, gfn, nr, ip, err);
	return err ?: nr;
}

static noinline void p2m_put_range(struct p2m_rangelock *lock,
				   unsigned long gfn, unsigned long nr,
				   unsigned long ip)
{
	unsigned long first, chunk, end;
	struct p2m_node *node;
	unsigned int level;

	if (WARN_ON_ONCE(!p2m_chunks(gfn, nr, &first, &end)))
		return;
	chunk = first;
	p2m_for_each_cover(chunk, end, level) {
		node = p2m_lookup_node(lock, chunk, level);
		if (p2m_warn_not_owned(lock, node, ip))
			return;
	}
	trace_p2m_put(lock, gfn, nr, ip);
	p2m_put_cover(lock, first, end, ip);
}

/* ---- Straight through: one chunk, which nobody else has ----------- */

/* The chunk of [gfn, gfn + nr), if that is one, and is there. */
static __always_inline struct p2m_node *
p2m_chunk_of(struct p2m_rangelock *lock, unsigned long gfn, unsigned long nr)
{
	if (unlikely(nr - 1 >= P2M_CHUNK_NR - gfn % P2M_CHUNK_NR))
		return NULL;
	/* Past the end of the space nothing was ever made. */
	return p2m_lookup_node(lock, gfn >> P2M_CHUNK_ORDER, 0);
}

/* Called last, so that what goes straight through saves no registers. */
static noinline int p2m_get_slowly(struct p2m_rangelock *lock,
				   unsigned long gfn, unsigned long nr,
				   enum p2m_wait wait, unsigned int subclass,
				   unsigned long ip)
{
	return min(p2m_get_part(lock, gfn, nr, ULONG_MAX, wait, subclass, ip),
		   0L);
}

/* The same, after TAKE: perhaps somebody has a node above. */
static noinline int p2m_get_again(struct p2m_rangelock *lock,
				  unsigned long gfn, unsigned long nr,
				  enum p2m_wait wait, unsigned int subclass,
				  unsigned long ip)
{
	p2m_release(lock, p2m_chunk_of(lock, gfn, nr), current);
	return p2m_get_slowly(lock, gfn, nr, wait, subclass, ip);
}

static __always_inline int p2m_get_quick(struct p2m_rangelock *lock,
					 struct p2m_node *node,
					 unsigned long gfn, unsigned long nr,
					 enum p2m_wait wait,
					 unsigned int subclass)
{
	struct task_struct *me = current;
	long old = 0;

	if (P2M_LOCKDEP || IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) ||
	    trace_p2m_get_enabled() || unlikely(!node) ||
	    (wait != P2M_TRY && unlikely(test_tsk_need_resched(me))))
		goto slowly;
	if (p2m_owner(node) == me && likely(node->depth != UINT_MAX)) {
		node->depth++;
		return 0;
	}
	/* Full barrier: as in p2m_take(). */
	if (unlikely(!atomic_long_try_cmpxchg(&node->owner, &old, (long)me)))
		goto slowly;
	if (unlikely(atomic_read_acquire(&lock->claims)))
		return p2m_get_again(lock, gfn, nr, wait, subclass, _RET_IP_);
	p2m_got(node, _RET_IP_);
	return 0;
slowly:
	return p2m_get_slowly(lock, gfn, nr, wait, subclass, _RET_IP_);
}

/* If this fails, p2m_put_range() has to do it. */
static __always_inline bool p2m_put_quick(struct p2m_node *node)
{
	struct task_struct *me = current;
	long old = (long)me;

	if (P2M_LOCKDEP || trace_p2m_put_enabled() || unlikely(!node))
		return false;
	if (likely(!node->depth))
		/* As in p2m_release().  Fails if it is not the owner's put. */
		return atomic_long_try_cmpxchg_release(&node->owner, &old, 0);
	if (unlikely(p2m_owner(node) != me))
		return false;
	node->depth--;
	return true;
}

/**
 * get_p2m_range() - get exclusive access to [gfn, gfn + nr)
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 * @wait: what to do when another task holds some of it
 * @subclass: for lockdep; more than 0 while holding frames of another guest
 *
 * All or nothing.  The caller that needs only a part at a time of a long range
 * uses get_p2m_step().
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: as get_p2m(); -EINVAL also if @nr is 0; -EBUSY if @wait is P2M_TRY;
 * -EINTR if it is P2M_WAIT_KILLABLE or P2M_WAIT_INTERRUPTIBLE.
 */
int get_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		  unsigned long nr, enum p2m_wait wait, unsigned int subclass)
{
	return p2m_get_quick(lock, p2m_chunk_of(lock, gfn, nr), gfn, nr, wait,
			     subclass);
}
EXPORT_SYMBOL_GPL(get_p2m_range);

/**
 * put_p2m_range() - undo one get of [gfn, gfn + nr)
 * @lock: the guest's lock
 * @gfn: as given to the get
 * @nr: as given to the get
 *
 * A put of a range that the caller does not hold warns, and changes nothing.
 *
 * Context: the task that got it; may be atomic, as for try_get_p2m().
 */
void put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		   unsigned long nr)
{
	if (unlikely(!p2m_put_quick(p2m_chunk_of(lock, gfn, nr))))
		p2m_put_range(lock, gfn, nr, _RET_IP_);
}
EXPORT_SYMBOL_GPL(put_p2m_range);

/**
 * get_p2m_hold() - get_p2m() that remembers where the lock of the range is
 * @hold: for put_p2m_hold(), which so does not have to find it again
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 * @wait: what to do when another task holds some of it
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: as get_p2m_range().
 */
int get_p2m_hold(struct p2m_rangelock_hold *hold, struct p2m_rangelock *lock,
		 unsigned long gfn, unsigned int order, enum p2m_wait wait)
{
	unsigned long nr = p2m_nr(order);
	struct p2m_node *node = p2m_chunk_of(lock, gfn, nr);

	hold->node = node;
	if (unlikely(!node))
		*hold = (struct p2m_rangelock_hold){
			.lock = lock, .gfn = gfn, .nr = nr };
	return p2m_get_quick(lock, node, gfn, nr, wait, 0);
}
EXPORT_SYMBOL_GPL(get_p2m_hold);

/**
 * put_p2m_hold() - undo one get_p2m_hold()
 * @hold: as from the get
 *
 * Context: as put_p2m_range().
 */
void put_p2m_hold(struct p2m_rangelock_hold *hold)
{
	struct p2m_node *node = hold->node;

	if (!node)
		p2m_put_range(hold->lock, hold->gfn, hold->nr, _RET_IP_);
	else if (unlikely(!p2m_put_quick(node)))
		p2m_put_range(p2m_lock_of(node), node->gfn, 1, _RET_IP_);
}
EXPORT_SYMBOL_GPL(put_p2m_hold);

/**
 * get_p2m_step() - get the first part of a long range
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 * @max_nodes: how many nodes of the tree to take at the most, at least 1
 * @wait: what to do when another task holds some of it
 * @subclass: for lockdep; more than 0 while holding frames of another guest
 *
 * The caller works on the part, puts it with put_p2m_range(), and goes on from
 * its end.  So nobody has to wait for all of the range.
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: how many frames, from @gfn on, are now held: @nr, or fewer; an error
 * as of get_p2m_range(); -EINVAL also if @max_nodes is 0.
 */
long get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
		  unsigned long nr, unsigned int max_nodes, enum p2m_wait wait,
		  unsigned int subclass)
{
	if (!max_nodes)
		return -EINVAL;
	return p2m_get_part(lock, gfn, nr, max_nodes, wait, subclass, _RET_IP_);
}
EXPORT_SYMBOL_GPL(get_p2m_step);

/**
 * get_p2m_all() - get exclusive access to the whole guest
 * @lock: the guest's lock
 * @wait: what to do when another task holds some of it
 * @subclass: for lockdep; more than 0 while holding frames of another guest
 *
 * Costs one look at each chunk of each GB in which one was ever got: 2 ms a TB.
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: as get_p2m_range(), but never -EINVAL or -ENOMEM.
 */
int get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
		unsigned int subclass)
{
	int err;

	err = p2m_get_node(lock, &lock->all, wait, subclass, _RET_IP_);
	trace_p2m_get(lock, 0, p2m_node_nr(&lock->all), _RET_IP_, err);
	return err;
}
EXPORT_SYMBOL_GPL(get_p2m_all);

/**
 * put_p2m_all() - undo one get_p2m_all()
 * @lock: the guest's lock
 *
 * Context: as put_p2m_range().
 */
void put_p2m_all(struct p2m_rangelock *lock)
{
	trace_p2m_put(lock, 0, p2m_node_nr(&lock->all), _RET_IP_);
	p2m_put_node(lock, &lock->all, _RET_IP_);
}
EXPORT_SYMBOL_GPL(put_p2m_all);

/* ---- Asking ------------------------------------------------------- */

/* A node around @chunk that the current task owns, or NULL. */
static struct p2m_node *p2m_own_around(struct p2m_rangelock *lock,
				       unsigned long chunk)
{
	struct p2m_node *node;
	unsigned int level;

	for (level = 0; level <= P2M_MAX_LEVEL; level++) {
		node = p2m_lookup_node(lock, chunk, level);
		if (node && p2m_owner(node) == current)
			return node;
	}
	return p2m_owner(&lock->all) == current ? &lock->all : NULL;
}

/**
 * p2m_held() - does the current task hold all of [gfn, gfn + 2^order)?
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames; P2M_GFN_BITS for the whole guest
 *
 * For assertions.  It does not matter by which gets the range is held.
 *
 * Context: any task.
 * Return: whether it does.
 */
bool p2m_held(struct p2m_rangelock *lock, unsigned long gfn, unsigned int order)
{
	unsigned long chunk, end;
	struct p2m_node *node;

	if (!p2m_chunks(gfn, p2m_nr(order), &chunk, &end))
		return false;
	while (chunk < end) {
		node = p2m_own_around(lock, chunk);
		if (!node)
			return false;
		chunk = (node->gfn + p2m_node_nr(node)) >> P2M_CHUNK_ORDER;
	}
	return true;
}
EXPORT_SYMBOL_GPL(p2m_held);

/* ---- /sys/kernel/debug/p2m_rangelock/held: who holds what, who waits  */

static DEFINE_MUTEX(p2m_locks_mutex);
static LIST_HEAD(p2m_locks);
static struct dentry *p2m_debugfs;

static void p2m_show_holders(struct seq_file *m, struct p2m_rangelock *lock,
			     struct p2m_node *node)
{
	struct p2m_node *table = p2m_table(READ_ONCE(node->below));
	struct task_struct *owner;
	unsigned int i;

	/* As in p2m_owner_running(). */
	rcu_read_lock();
	owner = p2m_owner(node);
	if (owner)
		seq_printf(m, "%s [%#lx, +%#lx) held by %s/%d for %u ms, %u deep, from %pS\n",
			   lock->name, node->gfn, p2m_node_nr(node),
			   owner->comm, owner->pid,
			   jiffies_to_msecs((u32)jiffies -
					    READ_ONCE(node->since)),
			   READ_ONCE(node->depth) + 1,
			   (void *)READ_ONCE(node->ip));
	rcu_read_unlock();

	for (i = 0; table && i < P2M_FANOUT; i++)
		p2m_show_holders(m, lock, &table[i]);
	if (node->level)
		cond_resched();
}

/* The @n-th get in @bucket; its lock is not held while it is printed. */
static bool p2m_describe_nth(struct p2m_waiting *bucket, unsigned int n,
			     char *text)
{
	struct p2m_get *get;

	raw_spin_lock(&bucket->lock);
	hlist_for_each_entry(get, &bucket->gets, hash)
		if (!n--)
			break;
	if (get)
		p2m_describe(get, text);
	raw_spin_unlock(&bucket->lock);
	return get;
}

static void p2m_show_waiters(struct seq_file *m, struct p2m_waiting *bucket)
{
	char text[P2M_TEXT];
	unsigned int n;

	for (n = 0; p2m_describe_nth(bucket, n, text); n++)
		seq_printf(m, "%s\n", text);
}

static int held_show(struct seq_file *m, void *unused)
{
	struct p2m_rangelock *lock;
	unsigned int i;

	mutex_lock(&p2m_locks_mutex);
	list_for_each_entry(lock, &p2m_locks, link)
		p2m_show_holders(m, lock, &lock->all);
	mutex_unlock(&p2m_locks_mutex);
	for (i = 0; i < ARRAY_SIZE(p2m_waiting); i++)
		p2m_show_waiters(m, &p2m_waiting[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(held);

/* ---- Beginning and end -------------------------------------------- */

void __p2m_rangelock_init(struct p2m_rangelock *lock, const char *name,
			  const char *class, struct lock_class_key *key)
{
	BUILD_BUG_ON(sizeof(struct p2m_node) != SMP_CACHE_BYTES);

	*lock = (struct p2m_rangelock){
		.all.level = P2M_LEVEL_ALL,
		.name = name,
	};
	raw_spin_lock_init(&lock->queues);
	debug_check_no_locks_freed((void *)lock, sizeof(*lock));
	lockdep_init_map(&lock->dep_map, class, key, 0);
	mutex_lock(&p2m_locks_mutex);
	list_add_tail(&lock->link, &p2m_locks);
	mutex_unlock(&p2m_locks_mutex);
}
EXPORT_SYMBOL_GPL(__p2m_rangelock_init);

/**
 * p2m_rangelock_destroy() - free the tree of a lock that nobody holds
 * @lock: the lock
 *
 * The caller makes sure that nobody uses @lock.  If something is still held,
 * this warns and leaves the tree; another call, when nothing is held any more,
 * frees it.  A lock that is all zeroes has nothing to free.
 *
 * Context: process context; may sleep.
 */
void p2m_rangelock_destroy(struct p2m_rangelock *lock)
{
	struct p2m_node *held = &lock->all;

	if (!lock->name)
		return;
	mutex_lock(&p2m_locks_mutex);
	list_del_init(&lock->link);
	mutex_unlock(&p2m_locks_mutex);

	if (!p2m_owner(held)) {
		held = p2m_find(&lock->all, 0, current, true);
		if (!held)
			held = p2m_find(&lock->all, 0, NULL, true);
	}
	if (WARN(held, "p2m_rangelock: %s destroyed while [%#lx, +%#lx) is held by %p, from %pS\n",
		 lock->name, held->gfn, p2m_node_nr(held), p2m_owner(held),
		 (void *)held->ip))
		return;
	/* A task that has met a waiter here may look: see p2m_judge(). */
	if (lock->last_ticket)
		synchronize_rcu();
	if (lock->all.below)
		p2m_table_free(lock->all.below);
	lock->all.below = 0;
	lock->name = NULL;
}
EXPORT_SYMBOL_GPL(p2m_rangelock_destroy);

static int __init p2m_rangelock_module_init(void)
{
	p2m_debugfs = debugfs_create_dir("p2m_rangelock", NULL);
	debugfs_create_file("held", 0400, p2m_debugfs, NULL, &held_fops);
	return 0;
}
module_init(p2m_rangelock_module_init);

static void __exit p2m_rangelock_module_exit(void)
{
	debugfs_remove_recursive(p2m_debugfs);
}
module_exit(p2m_rangelock_module_exit);

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_DESCRIPTION("Exclusive locks on ranges of a guest's frames");
MODULE_LICENSE("GPL");
