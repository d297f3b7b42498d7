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
 *	all              the whole guest; the parent of the root
 *	 |
 *	level 1..5       tables: 1 GB, 512 GB, 256 TB, ...
 *	 |
 *	level 0          chunks, 2 MB, in pages of 64 so that sparse guests pay
 *	                 for what they use
 *
 * Tables and chunks appear when a get first needs them, stay until the lock is
 * destroyed, and are found without any lock.  The tree grows upwards too: a
 * new root is put between the old one and all.  Each node has an owner word.
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
 * PASS   A wide getter may have to wait for a task that itself wants more below
 *        the same node.  That task must not wait for the wide one.  So a getter
 *        that already owns something below a claimed node does not back off,
 *        but goes past, and counts itself in the node's @passes.  It may have
 *        gone where the wide getter has already looked.  Therefore a drain is
 *        done only after a full look during which @passes did not change.  This
 *        is enough: a getter that passes owns something below from before it
 *        passes until after it has counted.  The drain must see that free, and
 *        then (acquire) sees the count as well.
 *
 * Between TAKE and BACK OFF a getter holds a node that it has no right to.  It
 * does not sleep in between, and cannot be preempted, so that a task that meets
 * it there can spin.  (The owner of a node above does spin: the node is its own
 * too.)
 *
 * WAITING
 *
 * Everything about waiting is under one lock, p2m_graph: the queues of all
 * nodes of all guests, which together are the wait-for graph.  A task waits for
 * one node at a time, in that node's queue.  It waits there for one of three
 * reasons:
 *
 *	to own the node            (TAKE found an owner)
 *	to go below the node       (CHECK found an owner)
 *	to see the node free once  (DRAIN found an owner)
 *
 * Queues are in the order in which the gets began to wait.  A get keeps its
 * ticket when it moves from one queue to another, so that backing off does not
 * cost it its place.  When a node becomes free, those at the head are woken:
 * all that only want to see it free, or to go below, each to another node; or
 * one that wants to own it.  They are woken to try again.  The node is not
 * handed over, since a running task makes better use of it meanwhile.  But a
 * get that has slept and is first in line sets HANDOFF, and from then on only
 * the first in line may take that node or go below it.
 *
 * The WAITERS bit in the owner word makes the put look at the queue.  The
 * waiter sets it by a read-modify-write of that word, under p2m_graph, and then
 * looks at the owner again: either it sees the put, or the put sees the bit.
 *
 * DEADLOCK
 *
 * A waiter points at the node that it waits for, and the node at its present
 * owner.  Each task that is about to sleep follows these pointers.  If they
 * lead back to itself, it gets -EDEADLK.  A node's owner can change while
 * somebody waits for it, but only to a running task, which will do the same
 * before it sleeps.  So the last task to sleep in a cycle finds it.  The cycle
 * is real: every other task in it is asleep, and so cannot put what it owns.
 *
 * GIVE WAY: a claim is held while draining, so the claim itself can close a
 * cycle: the drain waits for a task that owns something below, and that task
 * waits for the claimed node.  If the claimer owns nothing else, nobody needs
 * to be refused.  The claimer gives the node up and waits for its turn again,
 * behind that task.  So a task that holds nothing, and gets one node, is never
 * refused.  (A claimer that owns something else might pass the same claim that
 * it gave way to, and find the same cycle again.)
 *
 * CHOICES
 *
 * A node has an owner word of its own, not a struct mutex: CHECK reads it from
 * below, BACK OFF and GIVE WAY hand it on by rules of their own, and HANDOFF
 * keeps out those that go below as well.  In make bench-lock, a get and a put
 * take 1.3 times as long as a mutex's: that is the price of finding the node,
 * twice.
 *
 * Waiting is under one lock for all guests, since a cycle may go through all of
 * them, and its members must stand still while it is followed.  A get that goes
 * straight through never takes this lock.  Any other get first spins while the
 * owner is at work, and only then takes it.
 *
 * might_sleep() is written out, without the call, and CHECK has one barrier for
 * all levels: each was measured, and the commits have the numbers.
 */

#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "p2m_rangelock.h"
#include "p2m/trace_lock.h"

#define CREATE_TRACE_POINTS
#include "p2m/trace_lock.h"

#define P2M_FANOUT_BITS		9
#define P2M_FANOUT		(1UL << P2M_FANOUT_BITS)
#define P2M_CHUNKS_PER_PAGE	(PAGE_SIZE / sizeof(struct p2m_node))
#define P2M_MAX_LEVEL		5	/* covers 2^54 frames */
#define P2M_LEVEL_ALL		(P2M_MAX_LEVEL + 1)
#define P2M_LEVEL_NONE		(P2M_LEVEL_ALL + 1)

/* The low bits of the owner word; a task_struct is aligned to more. */
#define P2M_WAITERS		1L	/* somebody is in the queue */
#define P2M_HANDOFF		2L	/* only the first in line may take it */
#define P2M_FLAGS		(P2M_WAITERS | P2M_HANDOFF)

/* Turns of a spin for an owner that is running: some microseconds. */
#define P2M_SPIN		1000

/**
 * struct p2m_table - a node with others below it
 * @node: its lock
 * @slots: level 1: pages of chunks, as struct p2m_node *; above: tables
 */
struct p2m_table {
	struct p2m_node	node;
	void		*slots[];
};

/**
 * struct p2m_get - one get of one node, while it is under way
 * @task: the task
 * @want: the node to be got
 * @on: the node in whose queue this is, or NULL
 * @link: in @on's queue
 * @hash: in p2m_waiting
 * @ticket: order of arrival; 0 until the first wait
 * @since: jiffies at the first wait
 * @ip: the code that called
 * @state: the task state to sleep in; TASK_RUNNING to not sleep
 * @pass_from: the claim of a node of this level or higher need not be heeded
 * @searched: bit mask of the levels that p2m_search() has looked at
 * @cycle: the deadlock found, for the report
 */
struct p2m_get {
	struct task_struct	*task;
	struct p2m_node		*want;
	struct p2m_node		*on;
	struct hlist_node	link;
	struct hlist_node	hash;
	u64			ticket;
	unsigned long		since;
	unsigned long		ip;
	unsigned int		state;
	u8			pass_from;
	u8			searched;
	struct p2m_cycle	*cycle;
};

/* Queues, tickets, waiting tasks and statistics of all locks. */
static DEFINE_RAW_SPINLOCK(p2m_graph);
static DEFINE_HASHTABLE(p2m_waiting, 6);
static unsigned int p2m_nr_waiting;
static u64 p2m_last_ticket;

static inline struct task_struct *p2m_task(long owner)
{
	return (struct task_struct *)(owner & ~P2M_FLAGS);
}

static inline struct task_struct *p2m_owner(struct p2m_node *node)
{
	return p2m_task(atomic_long_read(&node->owner));
}

static inline struct p2m_table *p2m_to_table(struct p2m_node *node)
{
	return container_of(node, struct p2m_table, node);
}

static struct p2m_rangelock *p2m_lock_of(struct p2m_node *node)
{
	struct p2m_node *up;

	while ((up = READ_ONCE(node->parent)))
		node = up;
	return container_of(node, struct p2m_rangelock, all);
}

static void p2m_count(struct p2m_node *node, enum p2m_rangelock_stat stat)
{
	this_cpu_inc(p2m_lock_of(node)->stats->count[stat]);
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

/* ------------------------------------------------------------------ */
/* The tree                                                            */
/* ------------------------------------------------------------------ */

static void p2m_node_init(struct p2m_node *node, struct p2m_node *parent,
			  unsigned long chunk, unsigned int level)
{
	node->parent = parent;
	node->gfn = chunk << P2M_CHUNK_ORDER;
	node->level = level;
}

static struct p2m_table *p2m_table_alloc(struct p2m_node *parent,
					 unsigned long chunk,
					 unsigned int level, gfp_t gfp)
{
	size_t slots = level > 1 ? P2M_FANOUT :
				   P2M_FANOUT / P2M_CHUNKS_PER_PAGE;
	struct p2m_table *table;

	table = kzalloc(struct_size(table, slots, slots), gfp);
	if (table)
		p2m_node_init(&table->node, parent, chunk, level);
	return table;
}

static struct p2m_node *p2m_chunks_alloc(struct p2m_node *parent,
					 unsigned long chunk, gfp_t gfp)
{
	struct p2m_node *page = (void *)get_zeroed_page(gfp);
	unsigned int i;

	if (page)
		for (i = 0; i < P2M_CHUNKS_PER_PAGE; i++)
			p2m_node_init(&page[i], parent, chunk + i, 0);
	return page;
}

/*
 * Make the tree high enough for @chunk and @level.  The old root gets its new
 * parent before anybody can find that parent.  So CHECK from below sees every
 * task that can claim it.
 */
static struct p2m_table *p2m_grow(struct p2m_rangelock *lock,
				  unsigned long chunk, unsigned int level,
				  gfp_t gfp)
{
	struct p2m_table *root, *new;
	unsigned int want;

	for (;;) {
		root = READ_ONCE(lock->root);
		if (root && root->node.level >= level &&
		    !(chunk >> p2m_shift(root->node.level)))
			return root;

		want = root ? root->node.level + 1 : max(level, 1U);
		new = p2m_table_alloc(&lock->all, 0, want, gfp);
		if (!new)
			return NULL;
		new->slots[0] = root;

		raw_spin_lock(&lock->grow);
		if (lock->root == root) {
			if (root)
				/* Pairs with READ_ONCE() in p2m_claimed(). */
				smp_store_release(&root->node.parent,
						  &new->node);
			/* Pairs with READ_ONCE() in p2m_lookup_node(). */
			smp_store_release(&lock->root, new);
			new = NULL;
		}
		raw_spin_unlock(&lock->grow);
		kfree(new);
	}
}

/* Put @new into an empty slot, unless somebody was quicker. */
static void *p2m_publish(void **slot, void *new)
{
	void *old;

	if (!new)
		return NULL;
	/* Full barrier: the contents of @new come before it. */
	old = cmpxchg(slot, NULL, new);
	return old ?: new;
}

static void *p2m_slot_fill(struct p2m_table *table, void **slot,
			   unsigned long chunk, gfp_t gfp)
{
	unsigned int level = table->node.level - 1;
	void *new, *there;

	chunk &= ~((level ? 1UL << p2m_shift(level) : P2M_CHUNKS_PER_PAGE) - 1);
	if (level)
		new = p2m_table_alloc(&table->node, chunk, level, gfp);
	else
		new = p2m_chunks_alloc(&table->node, chunk, gfp);

	there = p2m_publish(slot, new);
	if (there != new) {
		if (level)
			kfree(new);
		else
			free_page((unsigned long)new);
	}
	return there;
}

static inline void **p2m_slot(struct p2m_table *table, unsigned long chunk)
{
	unsigned int level = table->node.level;

	if (level > 1)
		chunk >>= p2m_shift(level - 1);
	else
		chunk = (chunk & (P2M_FANOUT - 1)) / P2M_CHUNKS_PER_PAGE;
	return &table->slots[chunk & (P2M_FANOUT - 1)];
}

/* The node of @level around @chunk, or NULL if there is none yet. */
static inline struct p2m_node *p2m_lookup_node(struct p2m_rangelock *lock,
					       unsigned long chunk,
					       unsigned int level)
{
	struct p2m_table *table = READ_ONCE(lock->root);
	struct p2m_node *page;
	unsigned int at;

	if (unlikely(!table))
		return NULL;
	/* Only the root's level is read: each below is one less. */
	at = table->node.level;
	if (unlikely(at < level || chunk >> p2m_shift(at)))
		return NULL;

	for (; at > max(level, 1U); at--) {
		table = READ_ONCE(table->slots[(chunk >> p2m_shift(at - 1)) &
					       (P2M_FANOUT - 1)]);
		if (unlikely(!table))
			return NULL;
	}
	if (level)
		return &table->node;

	page = READ_ONCE(table->slots[(chunk & (P2M_FANOUT - 1)) /
				      P2M_CHUNKS_PER_PAGE]);
	if (unlikely(!page))
		return NULL;
	return page + chunk % P2M_CHUNKS_PER_PAGE;
}

/* The same, but make it if it is not there; NULL only without memory. */
static noinline struct p2m_node *p2m_make_node(struct p2m_rangelock *lock,
					       unsigned long chunk,
					       unsigned int level, gfp_t gfp)
{
	struct p2m_table *table = NULL;
	void **slot, *next;

	/* PREEMPT_RT's allocators sleep, whatever @gfp says. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT) || preemptible())
		table = p2m_grow(lock, chunk, level, gfp);
	if (!table)
		return NULL;

	while (table->node.level > level) {
		slot = p2m_slot(table, chunk);
		next = READ_ONCE(*slot);
		if (!next)
			next = p2m_slot_fill(table, slot, chunk, gfp);
		if (!next)
			return NULL;
		if (table->node.level == 1)
			return (struct p2m_node *)next +
			       chunk % P2M_CHUNKS_PER_PAGE;
		table = next;
	}
	return &table->node;
}

static void p2m_table_free(struct p2m_table *table)
{
	unsigned int i;

	if (table->node.level == 1) {
		for (i = 0; i < P2M_FANOUT / P2M_CHUNKS_PER_PAGE; i++)
			free_page((unsigned long)table->slots[i]);
	} else {
		for (i = 0; i < P2M_FANOUT; i++)
			if (table->slots[i])
				p2m_table_free(table->slots[i]);
	}
	kfree(table);
}

/* Does the current task own @node (@mine), or another task (!@mine)? */
static inline bool p2m_match(struct p2m_node *node, bool mine)
{
	struct task_struct *owner = p2m_owner(node);

	return owner && (owner == current) == mine;
}

/* The first node below @table, at or after @chunk, that matches. */
static struct p2m_node *p2m_find_in(struct p2m_table *table,
				    unsigned long chunk, bool mine)
{
	unsigned int shift = p2m_shift(table->node.level - 1);
	unsigned long base = table->node.gfn >> P2M_CHUNK_ORDER;
	struct p2m_node *page, *found;
	struct p2m_table *child;
	unsigned long i;

	i = chunk > base ? (chunk - base) >> shift : 0;

	if (table->node.level == 1) {
		for (; i < P2M_FANOUT;
		     i = round_up(i + 1, P2M_CHUNKS_PER_PAGE)) {
			page = READ_ONCE(table->slots[i / P2M_CHUNKS_PER_PAGE]);
			if (!page)
				continue;
			found = page + i % P2M_CHUNKS_PER_PAGE;
			for (; found < page + P2M_CHUNKS_PER_PAGE; found++)
				if (p2m_match(found, mine))
					return found;
		}
		return NULL;
	}

	for (; i < P2M_FANOUT; i++) {
		child = READ_ONCE(table->slots[i]);
		if (!child)
			continue;
		if (p2m_match(&child->node, mine))
			return &child->node;
		found = p2m_find_in(child, chunk, mine);
		if (found)
			return found;
	}
	return NULL;
}

/* The first node below @top, at or after @chunk, that matches. */
static struct p2m_node *p2m_find(struct p2m_node *top, unsigned long chunk,
				 bool mine)
{
	struct p2m_table *root;

	if (!top->level)
		return NULL;
	if (top->level != P2M_LEVEL_ALL)
		return p2m_find_in(p2m_to_table(top), chunk, mine);

	root = READ_ONCE(container_of(top, struct p2m_rangelock, all)->root);
	if (!root)
		return NULL;
	if (p2m_match(&root->node, mine))
		return &root->node;
	return p2m_find_in(root, chunk, mine);
}

/* ------------------------------------------------------------------ */
/* Queues; all of it under p2m_graph                                    */
/* ------------------------------------------------------------------ */

/* Does @get wait to see a node free, having claimed one above it? */
static bool p2m_draining(struct p2m_get *get)
{
	return get->want->level > get->on->level;
}

/*
 * Is it @get's turn at the node in whose queue it is?  Gets that only want to
 * see the node free do not keep others waiting.
 */
static bool p2m_first_in_line(struct p2m_get *get)
{
	struct p2m_get *other;

	lockdep_assert_held(&p2m_graph);
	hlist_for_each_entry(other, &get->on->waiters, link) {
		if (other == get)
			return true;
		if (p2m_draining(other))
			continue;
		/* Only the first may own @on, or go below to the same @want. */
		if (other->want == get->on || get->want == get->on ||
		    other->want == get->want)
			return false;
	}
	return false;
}

/* @node is free: wake those whose turn it is. */
static void p2m_kick(struct p2m_node *node)
{
	struct p2m_get *get;

	lockdep_assert_held(&p2m_graph);
	hlist_for_each_entry(get, &node->waiters, link)
		if (p2m_draining(get) || p2m_first_in_line(get))
			wake_up_process(get->task);
}

static void p2m_enqueue(struct p2m_get *get, struct p2m_node *node)
{
	struct p2m_get *other, *last = NULL;

	lockdep_assert_held(&p2m_graph);
	if (!get->ticket) {
		get->ticket = ++p2m_last_ticket;
		get->since = jiffies;
		p2m_count(node, P2M_STAT_waits);
	}
	hlist_for_each_entry(other, &node->waiters, link) {
		if (other->ticket > get->ticket)
			break;
		last = other;
	}
	if (last)
		hlist_add_behind(&get->link, &last->link);
	else
		hlist_add_head(&get->link, &node->waiters);
	get->on = node;
	hash_add(p2m_waiting, &get->hash, (unsigned long)get->task);
	p2m_nr_waiting++;

	/*
	 * Full barrier.  Then the caller looks at the owner: see
	 * p2m_release().
	 */
	atomic_long_fetch_or(P2M_WAITERS, &node->owner);
}

static void p2m_dequeue(struct p2m_get *get)
{
	struct p2m_node *node = get->on;
	bool first = !p2m_draining(get) && p2m_first_in_line(get);
	long flags = 0;

	lockdep_assert_held(&p2m_graph);
	hash_del(&get->hash);
	p2m_nr_waiting--;
	hlist_del(&get->link);
	get->on = NULL;

	if (first)
		flags |= P2M_HANDOFF;	/* the next in line sets its own */
	if (hlist_empty(&node->waiters))
		flags |= P2M_WAITERS;
	atomic_long_and(~flags, &node->owner);
	if (!p2m_owner(node))
		p2m_kick(node);
}

static struct p2m_get *p2m_get_of(struct task_struct *task)
{
	struct p2m_get *get;

	lockdep_assert_held(&p2m_graph);
	hash_for_each_possible(p2m_waiting, get, hash, (unsigned long)task)
		if (get->task == task)
			return get;
	return NULL;
}

/* Give up the current task's node, under p2m_graph. */
static void p2m_release_waited(struct p2m_node *node)
{
	lockdep_assert_held(&p2m_graph);
	/* Release: the changes made while holding come before. */
	atomic_long_fetch_and_release(P2M_FLAGS, &node->owner);
	p2m_kick(node);
}

static noinline void p2m_release_slow(struct p2m_node *node)
{
	raw_spin_lock(&p2m_graph);
	p2m_release_waited(node);
	raw_spin_unlock(&p2m_graph);
}

static inline void p2m_release(struct p2m_node *node, struct task_struct *me)
{
	long old = (long)me;

	/* Release, as above.  Fails if WAITERS is set: see p2m_enqueue(). */
	if (unlikely(!atomic_long_try_cmpxchg_release(&node->owner, &old, 0)))
		p2m_release_slow(node);
}

/* ------------------------------------------------------------------ */
/* Deadlock                                                            */
/* ------------------------------------------------------------------ */

#define P2M_CYCLE_MAX	6

/**
 * struct p2m_cycle - tasks that wait for each other, for a report without locks
 * @closed_by: the current task's node that the last one waits for
 * @nr: tasks in the cycle, of which the first P2M_CYCLE_MAX are kept
 * @wait: one task's wait
 * @wait.comm: its name
 * @wait.pid: its number
 * @wait.lock: name of the lock that it waits for
 * @wait.gfn: first frame of the node that it waits for
 * @wait.nr: frames of that node
 * @wait.ip: the code that called
 */
struct p2m_cycle {
	struct p2m_node *closed_by;
	unsigned int nr;
	struct {
		char		comm[TASK_COMM_LEN];
		pid_t		pid;
		const char	*lock;
		unsigned long	gfn;
		unsigned long	nr;
		unsigned long	ip;
	} wait[P2M_CYCLE_MAX];
};

static void p2m_cycle_add(struct p2m_cycle *cycle, struct p2m_get *get)
{
	unsigned int i = cycle->nr++;

	if (i >= P2M_CYCLE_MAX)
		return;
	memcpy(cycle->wait[i].comm, get->task->comm, TASK_COMM_LEN);
	cycle->wait[i].pid = get->task->pid;
	cycle->wait[i].lock = p2m_lock_of(get->on)->name;
	cycle->wait[i].gfn = get->on->gfn;
	cycle->wait[i].nr = p2m_node_nr(get->on);
	cycle->wait[i].ip = get->ip;
}

/* Does @get wait, through any number of tasks, for the current task? */
static bool p2m_closes_cycle(struct p2m_get *get)
{
	struct p2m_cycle *cycle = get->cycle;
	unsigned int n = p2m_nr_waiting;
	struct task_struct *owner;

	lockdep_assert_held(&p2m_graph);
	cycle->nr = 0;
	for (; get && n; n--) {
		p2m_cycle_add(cycle, get);
		owner = p2m_owner(get->on);
		cycle->closed_by = get->on;
		if (owner == current)
			return true;
		if (!owner)
			return false;
		get = p2m_get_of(owner);
	}
	return false;
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
		pr_info("  %s/%d waits for %s [%#lx, +%#lx) at %pS\n",
			cycle->wait[i].comm, cycle->wait[i].pid,
			cycle->wait[i].lock, cycle->wait[i].gfn,
			cycle->wait[i].nr, (void *)cycle->wait[i].ip);
}

/* ------------------------------------------------------------------ */
/* Waiting for one node                                                */
/* ------------------------------------------------------------------ */

/* Does the current task own a node above?  Then @node is its own too. */
static bool p2m_own_above(struct p2m_node *node)
{
	while ((node = READ_ONCE(node->parent)))
		if (p2m_owner(node) == current)
			return true;
	return false;
}

/* Must a getter below @node, whose owner word is @old, wait for it? */
static noinline bool p2m_heed(struct p2m_node *node, long old,
			      struct p2m_get *get)
{
	if (p2m_task(old))
		return p2m_task(old) != current;
	/* It is free, but somebody has waited for long enough. */
	return (old & P2M_HANDOFF) && !p2m_own_above(node) &&
	       !(get && get->on == node && p2m_first_in_line(get));
}

/*
 * CHECK: the nearest node above that must be heeded.  @get is NULL for a get
 * that has not waited: it knows of no claim that it may pass.
 */
static inline struct p2m_node *p2m_claimed(struct p2m_node *node,
					   struct p2m_get *get)
{
	long old;

	/* An address dependency; pairs with the release in p2m_grow(). */
	while ((node = READ_ONCE(node->parent))) {
		if (get && node->level >= get->pass_from)
			break;
		old = atomic_long_read(&node->owner);
		if (unlikely(old) && p2m_heed(node, old, get))
			return node;
	}
	/*
	 * Acquire, for all nodes that were seen free: pairs with p2m_release().
	 * From here on this task sees all changes made while they were held.
	 */
	smp_acquire__after_ctrl_dep();
	return NULL;
}

/* PASS: let the claims above know that they have to look again. */
static void p2m_pass(struct p2m_node *node)
{
	p2m_count(node, P2M_STAT_passes);

	/*
	 * The TAKE before was a full barrier: a drain that has read the new
	 * count finds the node owned.  Pairs with atomic_read_acquire() in
	 * p2m_drain().
	 */
	while ((node = READ_ONCE(node->parent)))
		if (p2m_match(node, false))
			atomic_inc(&node->passes);
}

/* Find out whether @get may pass the claim of @above. */
static void p2m_search(struct p2m_get *get, struct p2m_node *above)
{
	/* If the claimer is known to be alone below, we own nothing there. */
	if (!READ_ONCE(above->drained) && p2m_find(above, 0, true))
		get->pass_from = above->level;
	get->searched |= BIT(above->level);
}

/* TAKE, once. */
static bool p2m_take(struct p2m_get *get)
{
	struct p2m_node *node = get->want;
	long old = atomic_long_read(&node->owner);

	do {
		if (p2m_task(old))
			return false;
		if ((old & P2M_HANDOFF) && p2m_heed(node, old, get))
			return false;
		/* Full barrier: pairs with the TAKE of a claimer above. */
	} while (!atomic_long_try_cmpxchg(&node->owner, &old,
					  (long)current | old));
	return true;
}

/*
 * TAKE and CHECK, once, and BACK OFF if necessary.  Preemption is disabled;
 * p2m_graph is held if @graph.  Returns the node to wait for, or NULL if @get
 * now owns the node that it wants.
 */
static struct p2m_node *p2m_attempt(struct p2m_get *get, bool graph)
{
	struct p2m_node *node = get->want, *above;

	/* This look is not needed, but saves the claimer from meeting us. */
	above = p2m_claimed(node, get);
	if (above)
		return above;
	if (!p2m_take(get))
		return node;

	above = p2m_claimed(node, get);
	if (!above) {
		if (get->pass_from != P2M_LEVEL_NONE)
			p2m_pass(node);
		return NULL;
	}
	p2m_count(node, P2M_STAT_backoffs);
	if (graph)
		p2m_release_waited(node);
	else
		p2m_release(node, current);
	return above;
}

/* Is it still unknown whether the claim of @above may be passed? */
static bool p2m_unsearched(struct p2m_get *get, struct p2m_node *above)
{
	return above != get->want && !(get->searched & BIT(above->level));
}

static inline bool p2m_on_cpu(struct task_struct *task)
{
#ifdef CONFIG_SMP
	return READ_ONCE(task->on_cpu);
#else
	return false;
#endif
}

/* Is it worth spinning for @node: is its owner at work, or just gone? */
static bool p2m_owner_running(struct p2m_node *node)
{
	bool running;
	long old;

	/* A task_struct stays for a grace period after its last release. */
	rcu_read_lock();
	old = atomic_long_read(&node->owner);
	if (p2m_task(old))
		running = p2m_on_cpu(p2m_task(old));
	else
		running = !(old & P2M_HANDOFF);
	rcu_read_unlock();
	return running && !need_resched();
}

/* Try for a short while.  Returns what p2m_attempt() does. */
static struct p2m_node *p2m_spin(struct p2m_get *get)
{
	struct p2m_node *blocker;
	unsigned int n = P2M_SPIN;

	do {
		preempt_disable();
		blocker = p2m_attempt(get, false);
		preempt_enable();
		if (!blocker)
			return NULL;
		if (p2m_unsearched(get, blocker)) {
			p2m_search(get, blocker);
			continue;
		}
		/* Below our own node, the owner is about to back off. */
		if (p2m_own_above(blocker))
			n = P2M_SPIN;
		else if (get->state == TASK_RUNNING ||
			 !p2m_owner_running(blocker))
			break;
		cpu_relax();
	} while (--n);
	return blocker;
}

/* Sleep in the queue that @get is in.  p2m_graph is dropped meanwhile. */
static int p2m_block(struct p2m_get *get)
{
	struct task_struct *owner;

	lockdep_assert_held(&p2m_graph);
	if (signal_pending_state(get->state, current)) {
		p2m_count(get->on, P2M_STAT_interrupted);
		return -EINTR;
	}
	if (p2m_closes_cycle(get))
		return -EDEADLK;
	/* Pairs with wake_up_process() in p2m_kick(), under p2m_graph. */
	set_current_state(get->state);
	owner = p2m_owner(get->on);
	trace_p2m_wait_begin(get->on->gfn, p2m_node_nr(get->on),
			     owner ? owner->pid : 0, get->ip);
	raw_spin_unlock(&p2m_graph);
	p2m_contention_begin(get->on);
	schedule();
	p2m_contention_end(get->on);
	raw_spin_lock(&p2m_graph);
	trace_p2m_wait_end(get->on->gfn, p2m_node_nr(get->on), get->ip);
	return 0;
}

/* TAKE and CHECK, for as long as it takes. */
static int p2m_wait_own(struct p2m_get *get)
{
	struct p2m_node *blocker;
	bool slept = false;
	int err = 0;

	raw_spin_lock(&p2m_graph);
	while ((blocker = p2m_attempt(get, true))) {
		if (p2m_unsearched(get, blocker)) {
			if (get->on)
				p2m_dequeue(get);
			raw_spin_unlock(&p2m_graph);
			p2m_search(get, blocker);
			raw_spin_lock(&p2m_graph);
			continue;
		}
		if (get->on != blocker) {
			if (get->on)
				p2m_dequeue(get);
			p2m_enqueue(get, blocker);
			continue;
		}
		if (slept && p2m_first_in_line(get))
			atomic_long_or(P2M_HANDOFF, &blocker->owner);
		err = p2m_block(get);
		if (err)
			break;
		slept = true;
	}
	if (get->on)
		p2m_dequeue(get);
	raw_spin_unlock(&p2m_graph);
	return err;
}

/* Wait until no other task owns @busy, which is below @get's claim. */
static int p2m_wait_idle(struct p2m_get *get, struct p2m_node *busy)
{
	bool own = p2m_own_above(get->want);
	unsigned int n = P2M_SPIN;
	int err = 0;

	for (;;) {
		if (!p2m_match(busy, false))
			return 0;
		if (!own && (get->state == TASK_RUNNING || !--n ||
			     !p2m_owner_running(busy)))
			break;
		cpu_relax();
	}
	if (get->state == TASK_RUNNING)
		return -EBUSY;

	raw_spin_lock(&p2m_graph);
	p2m_enqueue(get, busy);
	while (!err && p2m_match(busy, false))
		err = p2m_block(get);
	p2m_dequeue(get);
	raw_spin_unlock(&p2m_graph);
	return err;
}

/* DRAIN */
static int p2m_drain(struct p2m_get *get)
{
	struct p2m_node *top = get->want, *busy;
	unsigned long chunk;
	int passes, err;

	do {
		/* Pairs with the full barrier before p2m_pass() counts. */
		passes = atomic_read_acquire(&top->passes);
		chunk = 0;
		while ((busy = p2m_find(top, chunk, false))) {
			err = p2m_wait_idle(get, busy);
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

	WRITE_ONCE(top->drained, true);
	return 0;
}

/* Does the current task own anything of this guest, except @node? */
static bool p2m_own_other(struct p2m_node *node)
{
	struct p2m_node *all = &p2m_lock_of(node)->all, *found;

	if (p2m_own_above(node))
		return true;
	found = p2m_find(all, 0, true);
	if (found == node)
		found = p2m_find(node, 0, true);
	if (!found)
		found = p2m_find(all, (node->gfn + p2m_node_nr(node)) >>
				 P2M_CHUNK_ORDER, true);
	return found && found != node;
}

/*
 * GIVE WAY.  A release alone is not enough: this task is running, and would
 * take the node again before the other task has woken up.
 */
static void p2m_give_way(struct p2m_get *get)
{
	struct p2m_node *node = get->want;

	raw_spin_lock(&p2m_graph);
	get->ticket = 0;
	p2m_enqueue(get, node);
	if (!p2m_first_in_line(get))
		atomic_long_or(P2M_HANDOFF, &node->owner);
	p2m_release_waited(node);
	raw_spin_unlock(&p2m_graph);
}

/* For a get that did not go straight through, or a node with others below. */
static noinline int p2m_get_slow(struct p2m_node *node, bool taken,
				 enum p2m_wait wait, unsigned long ip)
{
	static const unsigned int states[] = {
		[P2M_TRY]		 = TASK_RUNNING,
		[P2M_WAIT]		 = TASK_UNINTERRUPTIBLE,
		[P2M_WAIT_KILLABLE]	 = TASK_KILLABLE,
		[P2M_WAIT_INTERRUPTIBLE] = TASK_INTERRUPTIBLE,
	};
	struct p2m_cycle cycle;
	struct p2m_get get = {
		.task = current,
		.want = node,
		.ip = ip,
		.state = states[wait],
		.pass_from = P2M_LEVEL_NONE,
		.cycle = &cycle,
	};
	int err = 0;

	if (!taken && p2m_spin(&get))
		err = wait == P2M_TRY ? -EBUSY : p2m_wait_own(&get);

	while (!err && node->level) {
		err = p2m_drain(&get);
		if (!err)
			break;
		if (err == -EDEADLK && cycle.closed_by == node &&
		    !p2m_own_other(node)) {
			p2m_give_way(&get);
			err = p2m_wait_own(&get);
		} else {
			p2m_release(node, current);
		}
	}

	if (err == -EDEADLK) {
		p2m_count(node, P2M_STAT_deadlocks);
		trace_p2m_deadlock(node->gfn, p2m_node_nr(node), cycle.nr, ip);
		p2m_report_cycle(&cycle);
	}
	return err;
}

/* ------------------------------------------------------------------ */
/* Lockdep: one lock for a guest, for any number of nodes              */
/* ------------------------------------------------------------------ */

#ifdef CONFIG_DEBUG_LOCK_ALLOC
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
	if (p2m_own_above(node))
		return;		/* cannot wait */
	if (lock_is_held(&lock->dep_map))
		lock_release(&lock->dep_map, ip);
	lock_acquire_exclusive(&lock->dep_map, subclass, wait == P2M_TRY, NULL,
			       ip);
}

/* After a put, or a get that failed: is there anything left? */
static void p2m_dep_put(struct p2m_rangelock *lock, unsigned long ip)
{
	if (p2m_owner(&lock->all) != current &&
	    !p2m_find(&lock->all, 0, true) && lock_is_held(&lock->dep_map))
		lock_release(&lock->dep_map, ip);
}
#else
static inline void p2m_dep_get(struct p2m_rangelock *lock,
			       struct p2m_node *node, enum p2m_wait wait,
			       unsigned int subclass, unsigned long ip) { }
static inline void p2m_dep_put(struct p2m_rangelock *lock, unsigned long ip) { }
#endif

/* ------------------------------------------------------------------ */
/* Getting and putting one node                                         */
/* ------------------------------------------------------------------ */

/*
 * Like might_sleep(), this finds misuse in kernels that look for it, and is a
 * point of preemption.  But only kernels that look for misuse pay for a call.
 */
static __always_inline void p2m_might_sleep(enum p2m_wait wait,
					    struct task_struct *me)
{
	if (wait == P2M_TRY)
		return;
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		might_sleep();
	else if (unlikely(test_tsk_need_resched(me)))
		cond_resched();
}

static __always_inline int p2m_get_node(struct p2m_rangelock *lock,
					struct p2m_node *node,
					enum p2m_wait wait,
					unsigned int subclass,
					unsigned long ip)
{
	struct task_struct *me = current;
	long idle = 0;
	bool taken;
	int err;

	p2m_might_sleep(wait, me);
	if (p2m_owner(node) == me) {
		if (unlikely(node->depth == UINT_MAX))
			return -EOVERFLOW;
		node->depth++;
		return 0;
	}

	p2m_dep_get(lock, node, wait, subclass, ip);

	/* TAKE, CHECK, BACK OFF.  Full barrier: as in p2m_take(). */
	preempt_disable();
	taken = atomic_long_try_cmpxchg(&node->owner, &idle, (long)me);
	if (likely(taken) && unlikely(p2m_claimed(node, NULL))) {
		p2m_count(node, P2M_STAT_backoffs);
		p2m_release(node, me);
		taken = false;
	}
	preempt_enable();

	if (unlikely(!taken || node->level)) {
		err = p2m_get_slow(node, taken, wait, ip);
		if (err) {
			p2m_dep_put(lock, ip);
			return err;
		}
	}
	node->depth = 1;
	node->ip = ip;
	node->since = jiffies;
	return 0;
}

static inline bool p2m_warn_not_held(struct p2m_rangelock *lock,
				     unsigned long ip, bool held)
{
	return WARN_ONCE(!held,
			 "p2m_rangelock: put of %s by a task that does not hold it, at %pS\n",
			 lock->name, (void *)ip);
}

static __always_inline void p2m_put_node(struct p2m_rangelock *lock,
					 struct p2m_node *node,
					 unsigned long ip)
{
	struct task_struct *me = current;

	if (p2m_warn_not_held(lock, ip, node && p2m_owner(node) == me))
		return;
	if (--node->depth)
		return;
	if (node->level)
		WRITE_ONCE(node->drained, false);
	p2m_release(node, me);
	p2m_dep_put(lock, ip);
}

/* ------------------------------------------------------------------ */
/* Getting a range: its canonical cover, in ascending order             */
/* ------------------------------------------------------------------ */

/* The chunks of [gfn, gfn + nr): false if there is no such range. */
static inline bool p2m_chunks(unsigned long gfn, unsigned long nr,
			      unsigned long *first, unsigned long *end)
{
	if (unlikely(gfn >> P2M_GFN_BITS || nr - 1 > ~gfn ||
		     (gfn + nr - 1) >> P2M_GFN_BITS))
		return false;
	*first = gfn >> P2M_CHUNK_ORDER;
	*end = ((gfn + nr - 1) >> P2M_CHUNK_ORDER) + 1;
	return true;
}

/* Level of the largest node that starts at @chunk and ends by @end. */
static inline unsigned int p2m_cover_level(unsigned long chunk,
					   unsigned long end)
{
	unsigned int level = 0;
	unsigned long size;

	while (level < P2M_MAX_LEVEL - 1) {
		size = 1UL << p2m_shift(level + 1);
		if ((chunk & (size - 1)) || end - chunk < size)
			break;
		level++;
	}
	return level;
}

static inline struct p2m_node *p2m_node_at(struct p2m_rangelock *lock,
					   unsigned long chunk,
					   unsigned int level,
					   enum p2m_wait wait)
{
	struct p2m_node *node = p2m_lookup_node(lock, chunk, level);

	if (likely(node))
		return node;
	/* The caller can be told -ENOMEM: no task is killed for memory. */
	return p2m_make_node(lock, chunk, level, __GFP_ACCOUNT | __GFP_NOWARN |
			     (wait == P2M_TRY ?
			      GFP_NOWAIT : GFP_KERNEL | __GFP_RETRY_MAYFAIL));
}

/* Does the current task own every node of the cover of [@chunk, @end)? */
static bool p2m_own_cover(struct p2m_rangelock *lock, unsigned long chunk,
			  unsigned long end)
{
	struct p2m_node *node;
	unsigned int level;

	for (; chunk < end; chunk += 1UL << p2m_shift(level)) {
		level = p2m_cover_level(chunk, end);
		node = p2m_lookup_node(lock, chunk, level);
		if (!node || p2m_owner(node) != current)
			return false;
	}
	return true;
}

static noinline void p2m_put_chunks(struct p2m_rangelock *lock,
				    unsigned long chunk, unsigned long end,
				    unsigned long ip)
{
	unsigned int level;

	for (; chunk < end; chunk += 1UL << p2m_shift(level)) {
		level = p2m_cover_level(chunk, end);
		p2m_put_node(lock, p2m_lookup_node(lock, chunk, level), ip);
	}
}

/*
 * Get the first @max_nodes of the cover of chunks [@first, @end).  Returns how
 * many chunks these cover.  The first nodes of a cover are themselves the cover
 * of their range: so they can be put as a range of their own.
 */
static noinline long p2m_get_chunks(struct p2m_rangelock *lock,
				    unsigned long first, unsigned long end,
				    unsigned long max_nodes,
				    enum p2m_wait wait, unsigned int subclass,
				    unsigned long ip)
{
	unsigned long chunk = first;
	struct p2m_node *node;
	unsigned int level;
	int err;

	for (; chunk < end && max_nodes--; chunk += 1UL << p2m_shift(level)) {
		level = p2m_cover_level(chunk, end);
		node = p2m_node_at(lock, chunk, level, wait);
		err = node ? p2m_get_node(lock, node, wait, subclass, ip) :
			     -ENOMEM;
		if (unlikely(err)) {
			p2m_put_chunks(lock, first, chunk, ip);
			return err;
		}
	}
	return chunk - first;
}

static __always_inline int p2m_get_range(struct p2m_rangelock *lock,
					 unsigned long gfn, unsigned long nr,
					 enum p2m_wait wait,
					 unsigned int subclass,
					 unsigned long ip)
{
	struct p2m_node *node;
	unsigned long first, end;
	int err;

	if (!p2m_chunks(gfn, nr, &first, &end))
		return -EINVAL;

	/* Most often it is one chunk, and that chunk is there. */
	node = end - first == 1 ? p2m_lookup_node(lock, first, 0) : NULL;
	if (likely(node))
		err = p2m_get_node(lock, node, wait, subclass, ip);
	else
		err = min(p2m_get_chunks(lock, first, end, ULONG_MAX, wait,
					 subclass, ip), 0L);
	trace_p2m_get(lock, gfn, nr, ip, err);
	return err;
}

/**
 * __get_p2m() - get exclusive access to [gfn, gfn + nr): all kinds of it
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 * @wait: what to do when another task holds some of it
 * @subclass: for lockdep; more than 0 while holding frames of another guest
 *
 * The functions of p2m_rangelock.h are this one with some arguments filled in.
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: 0; -EINVAL if @nr is 0 or the range is past 2^P2M_GFN_BITS; -ENOMEM;
 * -EDEADLK; -EOVERFLOW; -EBUSY if @wait is P2M_TRY; -EINTR if it is
 * P2M_WAIT_KILLABLE or P2M_WAIT_INTERRUPTIBLE.  After an error nothing more is
 * held than before.
 */
int __get_p2m(struct p2m_rangelock *lock, unsigned long gfn, unsigned long nr,
	      enum p2m_wait wait, unsigned int subclass)
{
	return p2m_get_range(lock, gfn, nr, wait, subclass, _RET_IP_);
}
EXPORT_SYMBOL_GPL(__get_p2m);

/**
 * put_p2m_range() - undo one get of [gfn, gfn + nr)
 * @lock: the guest's lock
 * @gfn: as given to the get
 * @nr: as given to the get
 *
 * A put of a range that the caller does not hold warns, and changes nothing.
 *
 * Context: the task that got it; may be atomic but not in an interrupt.
 */
void put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
		   unsigned long nr)
{
	unsigned long first, end;

	if (WARN_ON_ONCE(!p2m_chunks(gfn, nr, &first, &end)))
		return;
	trace_p2m_put(lock, gfn, nr, _RET_IP_);
	if (likely(end - first == 1)) {
		p2m_put_node(lock, p2m_lookup_node(lock, first, 0), _RET_IP_);
		return;
	}
	if (p2m_warn_not_held(lock, _RET_IP_, p2m_own_cover(lock, first, end)))
		return;
	p2m_put_chunks(lock, first, end, _RET_IP_);
}
EXPORT_SYMBOL_GPL(put_p2m_range);

/**
 * get_p2m_step() - get the first part of a long range
 * @lock: the guest's lock
 * @gfn: first frame
 * @nr: number of frames, at least 1
 * @max_nodes: how many nodes of the tree to take at the most, at least 1
 * @wait: what to do when another task holds some of it
 *
 * The caller works on the part, puts it with put_p2m_range(), and goes on from
 * its end.  So nobody has to wait for all of the range.
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: how many frames, from @gfn on, are now held: @nr, or fewer; an error
 * as for __get_p2m(); -EINVAL also if @max_nodes is 0.
 */
long get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
		  unsigned long nr, unsigned int max_nodes, enum p2m_wait wait)
{
	unsigned long first, end, held;
	long got;

	if (!max_nodes || !p2m_chunks(gfn, nr, &first, &end))
		return -EINVAL;

	got = p2m_get_chunks(lock, first, end, max_nodes, wait, 0, _RET_IP_);
	if (got < 0) {
		trace_p2m_get(lock, gfn, nr, _RET_IP_, got);
		return got;
	}
	held = min(nr, ((first + got) << P2M_CHUNK_ORDER) - gfn);
	trace_p2m_get(lock, gfn, held, _RET_IP_, 0);
	return held;
}
EXPORT_SYMBOL_GPL(get_p2m_step);

/**
 * __get_p2m_all() - get exclusive access to the whole guest: all kinds of it
 * @lock: the guest's lock
 * @wait: what to do when another task holds some of it
 * @subclass: for lockdep; more than 0 while holding frames of another guest
 *
 * Context: process context; may sleep unless @wait is P2M_TRY.
 * Return: as __get_p2m(), but never -EINVAL or -ENOMEM.
 */
int __get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
		  unsigned int subclass)
{
	int err;

	err = p2m_get_node(lock, &lock->all, wait, subclass, _RET_IP_);
	trace_p2m_get(lock, 0, p2m_node_nr(&lock->all), _RET_IP_, err);
	return err;
}
EXPORT_SYMBOL_GPL(__get_p2m_all);

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

/**
 * get_p2m_two() - get ranges of two guests, or two ranges of one
 * @lock1: one guest's lock
 * @gfn1: first frame there
 * @lock2: another guest's lock, or the same
 * @gfn2: first frame there
 * @order: log2 of the number of frames, in both
 *
 * Two tasks that name the guests in different order do not deadlock.
 *
 * Context: process context; may sleep.
 * Return: as __get_p2m() with P2M_WAIT.
 */
int get_p2m_two(struct p2m_rangelock *lock1, unsigned long gfn1,
		struct p2m_rangelock *lock2, unsigned long gfn2,
		unsigned int order)
{
	unsigned long nr = p2m_nr(order);
	int err;

	/* By guest, and within one guest by frame. */
	if (lock1 > lock2 || (lock1 == lock2 && gfn1 > gfn2)) {
		swap(lock1, lock2);
		swap(gfn1, gfn2);
	}
	err = p2m_get_range(lock1, gfn1, nr, P2M_WAIT, 0, _RET_IP_);
	if (err)
		return err;
	err = p2m_get_range(lock2, gfn2, nr, P2M_WAIT, lock1 != lock2,
			    _RET_IP_);
	if (err)
		put_p2m_range(lock1, gfn1, nr);
	return err;
}
EXPORT_SYMBOL_GPL(get_p2m_two);

/**
 * put_p2m_two() - undo one get_p2m_two()
 * @lock1: as given to the get
 * @gfn1: as given to the get
 * @lock2: as given to the get
 * @gfn2: as given to the get
 * @order: as given to the get
 *
 * Context: as put_p2m_range().
 */
void put_p2m_two(struct p2m_rangelock *lock1, unsigned long gfn1,
		 struct p2m_rangelock *lock2, unsigned long gfn2,
		 unsigned int order)
{
	put_p2m_range(lock1, gfn1, p2m_nr(order));
	put_p2m_range(lock2, gfn2, p2m_nr(order));
}
EXPORT_SYMBOL_GPL(put_p2m_two);

/* ------------------------------------------------------------------ */
/* Asking                                                              */
/* ------------------------------------------------------------------ */

/* The lowest node there is around @chunk, not below @level. */
static struct p2m_node *p2m_nearest(struct p2m_rangelock *lock,
				    unsigned long chunk, unsigned int level)
{
	struct p2m_node *node = NULL;

	while (!node && level < P2M_MAX_LEVEL)
		node = p2m_lookup_node(lock, chunk, level++);
	return node ?: &lock->all;
}

/* Does the current task hold all of the node of @level at @chunk? */
static bool p2m_node_held(struct p2m_rangelock *lock, unsigned long chunk,
			  unsigned int level)
{
	struct p2m_node *node = p2m_nearest(lock, chunk, level);
	unsigned long i;

	if (p2m_owner(node) == current || p2m_own_above(node))
		return true;
	if (!level || node->level != level)
		return false;
	for (i = 0; i < P2M_FANOUT; i++)
		if (!p2m_node_held(lock, chunk + (i << p2m_shift(level - 1)),
				   level - 1))
			return false;
	return true;
}

/**
 * p2m_held() - does the current task hold all of [gfn, gfn + 2^order)?
 * @lock: the guest's lock
 * @gfn: first frame
 * @order: log2 of the number of frames
 *
 * For assertions.  It does not matter by which gets the range is held.
 *
 * Context: any task.
 * Return: whether it does.
 */
bool p2m_held(struct p2m_rangelock *lock, unsigned long gfn, unsigned int order)
{
	unsigned long chunk, end;
	unsigned int level;

	if (!p2m_chunks(gfn, p2m_nr(order), &chunk, &end))
		return false;
	for (; chunk < end; chunk += 1UL << p2m_shift(level)) {
		level = p2m_cover_level(chunk, end);
		if (!p2m_node_held(lock, chunk, level))
			return false;
	}
	return true;
}
EXPORT_SYMBOL_GPL(p2m_held);

/**
 * p2m_held_all() - does the current task hold the whole guest?
 * @lock: the guest's lock
 *
 * Context: any task.
 * Return: whether it does, by get_p2m_all().
 */
bool p2m_held_all(struct p2m_rangelock *lock)
{
	return p2m_owner(&lock->all) == current;
}
EXPORT_SYMBOL_GPL(p2m_held_all);

/**
 * p2m_rangelock_stat() - how often a get could not go straight through
 * @lock: the guest's lock
 * @stat: in which way
 *
 * Context: any.
 * Return: how often since the lock was initialised.  Some events that happen
 * meanwhile on other CPUs may be missing.
 */
unsigned long p2m_rangelock_stat(struct p2m_rangelock *lock,
				 enum p2m_rangelock_stat stat)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(lock->stats, cpu)->count[stat]);
	return sum;
}
EXPORT_SYMBOL_GPL(p2m_rangelock_stat);

/* ------------------------------------------------------------------ */
/* /sys/kernel/debug/p2m_rangelock/held: who holds what, who waits      */
/* ------------------------------------------------------------------ */

static DEFINE_MUTEX(p2m_locks_mutex);
static LIST_HEAD(p2m_locks);
static struct dentry *p2m_debugfs;

static void p2m_show_node(struct seq_file *m, struct p2m_rangelock *lock,
			  struct p2m_node *node)
{
	struct task_struct *owner;

	/* As in p2m_owner_running(). */
	rcu_read_lock();
	owner = p2m_owner(node);
	if (owner)
		seq_printf(m, "%s [%#lx, +%#lx) held by %s/%d for %u ms, %u deep, from %pS\n",
			   lock->name, node->gfn, p2m_node_nr(node),
			   owner->comm, owner->pid,
			   jiffies_to_msecs(jiffies - READ_ONCE(node->since)),
			   READ_ONCE(node->depth), (void *)READ_ONCE(node->ip));
	rcu_read_unlock();
}

static void p2m_show_table(struct seq_file *m, struct p2m_rangelock *lock,
			   struct p2m_table *table)
{
	struct p2m_node *page;
	struct p2m_table *child;
	unsigned int i;

	p2m_show_node(m, lock, &table->node);
	for (i = 0; table->node.level > 1 && i < P2M_FANOUT; i++) {
		child = READ_ONCE(table->slots[i]);
		if (child)
			p2m_show_table(m, lock, child);
	}
	for (i = 0; table->node.level == 1 && i < P2M_FANOUT; i++) {
		page = READ_ONCE(table->slots[i / P2M_CHUNKS_PER_PAGE]);
		if (page)
			p2m_show_node(m, lock, page + i % P2M_CHUNKS_PER_PAGE);
	}
	cond_resched();
}

static void p2m_show_waiters(struct seq_file *m)
{
	struct p2m_get *get;
	unsigned int i;

	raw_spin_lock(&p2m_graph);
	hash_for_each(p2m_waiting, i, get, hash)
		seq_printf(m, "%s [%#lx, +%#lx) waited for by %s/%d for %u ms, from %pS\n",
			   p2m_lock_of(get->on)->name, get->on->gfn,
			   p2m_node_nr(get->on), get->task->comm,
			   get->task->pid,
			   jiffies_to_msecs(jiffies - get->since),
			   (void *)get->ip);
	raw_spin_unlock(&p2m_graph);
}

static int held_show(struct seq_file *m, void *unused)
{
	struct p2m_rangelock *lock;
	struct p2m_table *root;

	mutex_lock(&p2m_locks_mutex);
	list_for_each_entry(lock, &p2m_locks, link) {
		p2m_show_node(m, lock, &lock->all);
		root = READ_ONCE(lock->root);
		if (root)
			p2m_show_table(m, lock, root);
	}
	p2m_show_waiters(m);
	mutex_unlock(&p2m_locks_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(held);

/* ------------------------------------------------------------------ */
/* Beginning and end                                                   */
/* ------------------------------------------------------------------ */

int __p2m_rangelock_init(struct p2m_rangelock *lock, const char *name,
			 const char *class, struct lock_class_key *key)
{
	BUILD_BUG_ON(sizeof(struct p2m_node) != SMP_CACHE_BYTES);
	BUILD_BUG_ON(P2M_CHUNKS_PER_PAGE > P2M_FANOUT);

	memset(lock, 0, sizeof(*lock));
	lock->stats = alloc_percpu_gfp(struct p2m_rangelock_stats,
				       GFP_KERNEL_ACCOUNT);
	if (!lock->stats)
		return -ENOMEM;
	p2m_node_init(&lock->all, NULL, 0, P2M_LEVEL_ALL);
	raw_spin_lock_init(&lock->grow);
	lock->name = name;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	debug_check_no_locks_freed((void *)lock, sizeof(*lock));
	lockdep_init_map(&lock->dep_map, class, key, 0);
#endif
	mutex_lock(&p2m_locks_mutex);
	list_add_tail(&lock->link, &p2m_locks);
	mutex_unlock(&p2m_locks_mutex);
	return 0;
}
EXPORT_SYMBOL_GPL(__p2m_rangelock_init);

/**
 * p2m_rangelock_destroy() - free the tree of a lock that nobody holds
 * @lock: the lock
 *
 * The caller makes sure that nobody uses @lock.  If something is still held,
 * this warns and leaks the tree.  A lock that could not be made, or is all
 * zeroes, has nothing to free.
 *
 * Context: process context; may sleep.
 */
void p2m_rangelock_destroy(struct p2m_rangelock *lock)
{
	struct p2m_node *held = &lock->all;

	if (!lock->stats)
		return;
	mutex_lock(&p2m_locks_mutex);
	list_del(&lock->link);
	mutex_unlock(&p2m_locks_mutex);

	if (!p2m_owner(held)) {
		held = p2m_find(&lock->all, 0, true);
		if (!held)
			held = p2m_find(&lock->all, 0, false);
	}
	if (WARN(held, "p2m_rangelock: %s destroyed while [%#lx, +%#lx) is held by %p, from %pS\n",
		 lock->name, held->gfn, p2m_node_nr(held), p2m_owner(held),
		 (void *)held->ip))
		return;
	if (lock->root)
		p2m_table_free(lock->root);
	lock->root = NULL;
	free_percpu(lock->stats);
	lock->stats = NULL;
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
