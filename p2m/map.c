// SPDX-License-Identifier: GPL-2.0
/*
 * The gfn->pfn map: EPT-format tables.  See map.h for the format.  Knows
 * nothing of address spaces, files, or what the types are for.
 */

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/rcupdate.h>

#include "map.h"

/**
 * p2m_make_entry() - an entry of this type
 * @type: the type
 * @page: the page, for a type that has one; else NULL
 *
 * Context: any.
 * Return: the entry.
 */
struct p2m_entry p2m_make_entry(enum p2m_type type, struct page *page)
{
	static const u64 access[] = {
#define P2M_TYPE(name, rwx) [p2m_##name] = (rwx),
		P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
	};
	struct p2m_entry entry = {
		.val = ((u64)type << P2M_TYPE_SHIFT) | access[type],
	};

	if (page)
		entry.val |= (u64)page_to_pfn(page) << P2M_PFN_SHIFT;
	return entry;
}

static unsigned int p2m_index(unsigned long gfn, unsigned int level)
{
	return (gfn >> (level * P2M_TABLE_BITS)) & (P2M_TABLE_ENTRIES - 1);
}

static u64 *p2m_table_of(u64 entry)
{
	return entry ? phys_to_virt(entry & P2M_PFN_MASK) : NULL;
}

static u64 *p2m_table_alloc(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

/* The place of @gfn's entry, or NULL if its table is not there. */
static u64 *p2m_find_slot(struct p2m_map *map, unsigned long gfn)
{
	u64 *table = map->top;
	unsigned int level;

	for (level = P2M_TABLE_LEVELS - 1; level && table; level--)
		table = p2m_table_of(READ_ONCE(table[p2m_index(gfn, level)]));
	return table ? &table[p2m_index(gfn, 0)] : NULL;
}

/* The same, with the tables made that are missing; NULL for want of memory. */
static u64 *p2m_make_slot(struct p2m_map *map, unsigned long gfn)
{
	u64 *table = map->top, *slot, *new, old;
	unsigned int level;

	for (level = P2M_TABLE_LEVELS - 1; level; level--) {
		slot = &table[p2m_index(gfn, level)];
		old = READ_ONCE(*slot);
		if (!old) {
			new = p2m_table_alloc();
			if (!new)
				return NULL;
			/*
			 * Full barrier: the table is empty before it is there.
			 * Another chunk's holder may be adding it as well.
			 */
			old = cmpxchg64(slot, 0, virt_to_phys(new) | P2M_RWX);
			if (!old) {
				table = new;
				continue;
			}
			free_page((unsigned long)new);
		}
		table = p2m_table_of(old);
	}
	return &table[p2m_index(gfn, 0)];
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
	map->top = p2m_table_alloc();
	return map->top ? 0 : -ENOMEM;
}

static void p2m_table_destroy(u64 *table, unsigned int level,
			      void (*drop)(struct p2m_entry entry, void *arg),
			      void *arg)
{
	unsigned int i;

	for (i = 0; i < P2M_TABLE_ENTRIES; i++) {
		if (!table[i])
			continue;
		if (level)
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
}

/**
 * p2m_lookup() - what the map says of @gfn at this instant
 * @map: the map
 * @gfn: the frame, below P2M_MAX_GFNS
 *
 * Takes no lock.  The entry is whole, but may be another one by the time that
 * this returns.  To act on it, hold @gfn and use p2m_get_entry().
 *
 * Context: any.
 * Return: the entry; an empty one (mmio_dm) if there is none.
 */
struct p2m_entry p2m_lookup(struct p2m_map *map, unsigned long gfn)
{
	u64 *slot = p2m_find_slot(map, gfn);

	return (struct p2m_entry){ slot ? READ_ONCE(*slot) : 0 };
}

/**
 * p2m_get_entry() - what the map says of a frame that the caller holds
 * @map: the map
 * @gfn: the frame, below P2M_MAX_GFNS
 *
 * Context: holding @gfn.
 * Return: the entry, which stays until the caller changes it or puts @gfn.
 */
struct p2m_entry p2m_get_entry(struct p2m_map *map, unsigned long gfn)
{
	lockdep_assert_p2m_held(map->lock, gfn, 0);
	return p2m_lookup(map, gfn);
}

/**
 * p2m_set_entry() - change what the map says of a frame that the caller holds
 * @map: the map
 * @gfn: the frame, below P2M_MAX_GFNS
 * @entry: what it is to say
 *
 * Context: process context, holding @gfn; may sleep if @gfn's entry is empty.
 * Return: 0, always if @gfn had an entry; -ENOMEM if a table was needed.
 */
int p2m_set_entry(struct p2m_map *map, unsigned long gfn,
		  struct p2m_entry entry)
{
	u64 *slot;

	lockdep_assert_p2m_held(map->lock, gfn, 0);
	slot = p2m_make_slot(map, gfn);
	if (!slot)
		return -ENOMEM;
	WRITE_ONCE(*slot, entry.val);
	return 0;
}

/**
 * p2m_next_table() - pass over frames that have no table
 * @map: the map
 * @gfn: where to start
 * @end: where to stop, at most P2M_MAX_GFNS
 *
 * Context: any; what is found may be out of date.
 * Return: @gfn if it has a table; else the first frame after it that has; else
 * @end.
 */
unsigned long p2m_next_table(struct p2m_map *map, unsigned long gfn,
			     unsigned long end)
{
	unsigned int level;
	u64 *table;

	while (gfn < end) {
		table = map->top;
		for (level = P2M_TABLE_LEVELS - 1; level; level--) {
			table = p2m_table_of(READ_ONCE(table[p2m_index(gfn, level)]));
			if (!table)
				break;
		}
		if (!level)
			return gfn;
		gfn = round_down(gfn, 1UL << (level * P2M_TABLE_BITS)) +
		      (1UL << (level * P2M_TABLE_BITS));
	}
	return end;
}
