// SPDX-License-Identifier: GPL-2.0
/*
 * The gfn->pfn map: tables in EPT's format, see map.h.  This file knows nothing
 * of address spaces, files, or the meaning of types.
 */

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>

#include "map.h"

const u64 p2m_type_access[] = {
#define P2M_TYPE(name, rwx) [p2m_##name] = (rwx),
	P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
};

static unsigned int p2m_index(unsigned long gfn, unsigned int level)
{
	return (gfn >> (level * P2M_TABLE_BITS)) & (P2M_TABLE_ENTRIES - 1);
}

/* Does an entry above level 0 point to a table? */
static bool p2m_is_table(u64 entry)
{
	return entry && !(entry & P2M_PS);
}

static u64 *p2m_table_of(u64 entry)
{
	return phys_to_virt(entry & P2M_PFN_MASK);
}

static u64 p2m_table_entry(u64 *table)
{
	return virt_to_phys(table) | P2M_RWX;
}

static u64 *p2m_table_alloc(void)
{
	return (u64 *)get_zeroed_page(P2M_GFP_KERNEL);
}

static void p2m_table_free_rcu(struct rcu_head *head)
{
	__free_page(container_of(head, struct page, rcu_head));
}

/* Free a table that is no longer in the map. */
static void p2m_table_free(u64 *table)
{
	call_rcu(&virt_to_page(table)->rcu_head, p2m_table_free_rcu);
}

/*
 * Find the entry of @gfn at @level, and its place.  If there is a leaf or
 * nothing at a higher level, find that.  Under RCU, or holding @gfn.  The entry
 * is read once: a table may have appeared since where there was nothing.
 */
static u64 p2m_find_entry(struct p2m_map *map, unsigned long gfn,
			  unsigned int level, u64 **slot)
{
	unsigned int at = P2M_TABLE_LEVELS - 1;
	u64 *table = map->top;
	u64 entry;

	for (;;) {
		*slot = &table[p2m_index(gfn, at)];
		/*
		 * An address dependency; pairs with the store of a table there.
		 */
		entry = READ_ONCE(**slot);
		if (at == level || !p2m_is_table(entry))
			return entry;
		table = p2m_table_of(entry);
		at--;
	}
}

/* The place at @level; makes the tables that are missing. Or NULL. */
static u64 *p2m_make_slot(struct p2m_map *map, unsigned long gfn,
			  unsigned int level)
{
	unsigned int at = P2M_TABLE_LEVELS - 1;
	u64 *slot = &map->top[p2m_index(gfn, at)];
	u64 *table;
	u64 entry;

	while (at > level) {
		entry = READ_ONCE(*slot);
		if (!entry) {
			table = p2m_table_alloc();
			if (!table)
				return NULL;
			/*
			 * Full barrier: the table is zeroed before it is
			 * visible.  The holder of another chunk may add it at
			 * the same time.
			 */
			entry = cmpxchg64(slot, 0, p2m_table_entry(table));
			if (entry)
				free_page((unsigned long)table);
			else
				entry = p2m_table_entry(table);
		}
		/* An entry of 2 MB: it has to be split first. */
		if (WARN_ON_ONCE(!p2m_is_table(entry)))
			return NULL;
		at--;
		slot = &p2m_table_of(entry)[p2m_index(gfn, at)];
	}
	return slot;
}

/* Count a leaf as there (@sign 1) or gone (-1). */
static void p2m_count_leaf(struct p2m_map *map, u64 leaf, long sign)
{
	struct p2m_entry entry = { leaf };

	this_cpu_add(map->counts->nr[p2m_entry_type(entry)],
		     sign * (1L << p2m_entry_order(entry)));
}

/* Note in a page which frame has it. */
static void p2m_set_owner(struct p2m_map *map, unsigned long gfn,
			  struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);

	if (page && p2m_is_ram(entry) && !PageTail(page))
		set_page_private(page, p2m_page_owner(map, gfn));
}

/**
 * p2m_map_init() - make an empty map
 * @map: the map
 * @lock: what guards its entries
 *
 * Context: process context; may sleep.
 * Return: 0 or -ENOMEM.
 */
int p2m_map_init(struct p2m_map *map, struct p2m_rangelock *lock)
{
	map->lock = lock;
	map->id = 0;
	map->counts = alloc_percpu_gfp(struct p2m_type_counts,
				       GFP_KERNEL_ACCOUNT);
	if (!map->counts)
		return -ENOMEM;
	map->top = p2m_table_alloc();
	if (!map->top) {
		free_percpu(map->counts);
		return -ENOMEM;
	}
	return 0;
}

static void p2m_table_destroy(u64 *table, unsigned int level,
			      void (*drop)(struct p2m_entry entry, void *arg),
			      void *arg)
{
	unsigned int i;

	for (i = 0; i < P2M_TABLE_ENTRIES; i++) {
		if (!table[i])
			continue;
		if (level && p2m_is_table(table[i]))
			p2m_table_destroy(p2m_table_of(table[i]), level - 1,
					  drop, arg);
		else
			drop((struct p2m_entry){ table[i] }, arg);
	}
	free_page((unsigned long)table);
	cond_resched();
}

/**
 * p2m_map_destroy() - free the tables of a map that nobody uses
 * @map: the map
 * @drop: called for each entry that is not empty
 * @arg: passed to @drop
 *
 * Context: process context; may sleep.
 */
void p2m_map_destroy(struct p2m_map *map,
		     void (*drop)(struct p2m_entry entry, void *arg), void *arg)
{
	p2m_table_destroy(map->top, P2M_TABLE_LEVELS - 1, drop, arg);
	map->top = NULL;
	free_percpu(map->counts);
}

/**
 * p2m_lookup() - what the map says of a frame at this instant
 * @map: the map
 * @gfn: the frame, below P2M_MAX_GFNS
 *
 * Takes no lock.  The entry is whole, but may have changed when this returns.
 * To act on it, hold @gfn and use p2m_get_entry().
 *
 * Context: any.
 * Return: the entry that covers @gfn; an empty one (mmio_dm) if there is none.
 */
struct p2m_entry p2m_lookup(struct p2m_map *map, unsigned long gfn)
{
	u64 val, *slot;

	rcu_read_lock();
	val = p2m_find_entry(map, gfn, 0, &slot);
	rcu_read_unlock();
	return (struct p2m_entry){ val };
}

/**
 * p2m_get_entry() - what the map says of a frame that the caller holds
 * @map: the map
 * @gfn: the frame, below P2M_MAX_GFNS
 *
 * Context: holding @gfn.
 * Return: the entry that covers @gfn.  It stays until the caller changes it or
 * puts @gfn.
 */
struct p2m_entry p2m_get_entry(struct p2m_map *map, unsigned long gfn)
{
	u64 *slot;

	lockdep_assert_p2m_held(map->lock, gfn, 0);
	return (struct p2m_entry){ p2m_find_entry(map, gfn, 0, &slot) };
}

/* A table is no longer in its place of level 1. */
static void p2m_drop_table(struct p2m_map *map, u64 *table)
{
	unsigned int i;

	for (i = 0; i < P2M_TABLE_ENTRIES; i++)
		p2m_count_leaf(map, table[i], -1);
	p2m_table_free(table);
}

/**
 * p2m_set_entry() - change the entry of frames that the caller holds
 * @map: the map
 * @gfn: the first frame, below P2M_MAX_GFNS, aligned to @order
 * @order: P2M_4K or P2M_2M
 * @entry: the new entry
 *
 * An entry of 2 MB may replace 512 entries of 4 KB; the caller looks after
 * their pages.  For the other way see p2m_split_entry().
 *
 * Context: process context, holding [@gfn, @gfn + 2^@order); may sleep if @gfn
 * has no entry of this order.
 * Return: 0; -ENOMEM if a table was needed, which is only if @gfn had no entry
 * of this order.
 */
int p2m_set_entry(struct p2m_map *map, unsigned long gfn, unsigned int order,
		  struct p2m_entry entry)
{
	u64 *slot, old;

	lockdep_assert_p2m_held(map->lock, gfn, order);
	/* An entry of 2 MB with nothing in it is 0. */
	if (order)
		entry.val = entry.val & ~P2M_PS ? entry.val | P2M_PS : 0;
	slot = p2m_make_slot(map, gfn, order / P2M_TABLE_BITS);
	if (!slot)
		return -ENOMEM;
	old = *slot;
	p2m_set_owner(map, gfn, entry);
	/* The contents of the page come before the entry, for p2m_lookup(). */
	smp_store_release(slot, entry.val);
	p2m_count_leaf(map, entry.val, 1);
	if (order && p2m_is_table(old))
		p2m_drop_table(map, p2m_table_of(old));
	else
		p2m_count_leaf(map, old, -1);
	return 0;
}

/**
 * p2m_split_entry() - make 512 entries of one of 2 MB
 * @map: the map
 * @gfn: a frame, below P2M_MAX_GFNS; if its entry is not of 2 MB, nothing is
 * done
 *
 * The new entries have the type and dirtiness of the old one, and its parts in
 * order.  The caller looks after the references to these.
 *
 * Context: process context, holding @gfn's chunk; may sleep.
 * Return: 0 or -ENOMEM.
 */
int p2m_split_entry(struct p2m_map *map, unsigned long gfn)
{
	u64 entry, *slot, *table;
	unsigned int i;

	lockdep_assert_p2m_held(map->lock, gfn, 0);
	entry = p2m_find_entry(map, gfn, 1, &slot);
	if (!(entry & P2M_PS))
		return 0;
	table = p2m_table_alloc();
	if (!table)
		return -ENOMEM;

	entry &= ~P2M_PS;
	for (i = 0; i < P2M_TABLE_ENTRIES; i++) {
		table[i] = entry;
		if (entry & P2M_RWX)
			entry += 1ULL << P2M_PFN_SHIFT;
	}
	/* The entries come before the pointer to them; see p2m_find_entry(). */
	smp_store_release(slot, p2m_table_entry(table));
	return 0;
}

/**
 * p2m_next_chunk() - pass over chunks that have no entries
 * @map: the map
 * @gfn: where to start
 * @end: where to stop, at most P2M_MAX_GFNS
 *
 * Context: any; the result may be out of date.
 * Return: @gfn if its chunk has entries; else the first frame of the next chunk
 * that has some; else @end.
 */
unsigned long p2m_next_chunk(struct p2m_map *map, unsigned long gfn,
			     unsigned long end)
{
	unsigned int level;
	u64 *table, entry;

	while (gfn < end) {
		table = map->top;
		for (level = P2M_TABLE_LEVELS - 1; level; level--) {
			entry = READ_ONCE(table[p2m_index(gfn, level)]);
			if (!entry)
				break;
			if (level == 1)
				return gfn;
			/* These stay while the guest lives. */
			table = p2m_table_of(entry);
		}
		gfn = round_down(gfn, 1UL << (level * P2M_TABLE_BITS)) +
		      (1UL << (level * P2M_TABLE_BITS));
	}
	return end;
}

/**
 * p2m_percpu_sum() - add up a counter of which each CPU has a part
 * @counter: the counter
 *
 * Context: any.
 * Return: the sum; a part may be negative, and so may a sum that others change.
 */
long p2m_percpu_sum(long __percpu *counter)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}

/**
 * p2m_map_count() - how many frames are of a type
 * @map: the map
 * @type: the type, but not mmio_dm
 *
 * Context: any.  Exact while the caller holds all of the guest.
 * Return: the number of frames.
 */
unsigned long p2m_map_count(struct p2m_map *map, enum p2m_type type)
{
	return max(p2m_percpu_sum(&map->counts->nr[type]), 0L);
}
