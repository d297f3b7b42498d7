/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gfn->pfn map of one guest.
 *
 * The tables are those of EPT: four levels of 512 entries, eight bytes each.
 * A leaf entry:
 *
 *	 63 62   56 55  52 51              12 11  9 8  7  6  3 2 1 0
 *	+--+-------+------+------------------+-----+--+--+----+-+-+-+
 *	| 0|   0   | type |       pfn        |  0  |A |PS| 0  |X|W|R|
 *	+--+-------+------+------------------+-----+--+--+----+-+-+-+
 *
 * R, W, X: what the guest may do, which follows from the type.  A and PS are as
 * EPT has them, and not used yet.  The type is where hardware ignores it.  An
 * entry of 0 has type mmio_dm: nothing there.
 *
 * A table of the lowest level maps 512 frames, one chunk of the range lock.  So
 * whoever holds a frame has its whole table to itself.  Tables above are only
 * ever added to while the guest lives.
 */
#ifndef _P2M_MAP_H
#define _P2M_MAP_H

#include <linux/mm.h>
#include <linux/types.h>

#include "p2m_rangelock.h"

#define P2M_R			0x1ULL
#define P2M_W			0x2ULL
#define P2M_X			0x4ULL
#define P2M_RWX			(P2M_R | P2M_W | P2M_X)
#define P2M_PFN_SHIFT		12
#define P2M_PFN_MASK		0x000ffffffffff000ULL
#define P2M_TYPE_SHIFT		52
#define P2M_TYPE_MASK		(0xfULL << P2M_TYPE_SHIFT)

#define P2M_TABLE_BITS		9
#define P2M_TABLE_ENTRIES	(1 << P2M_TABLE_BITS)
#define P2M_TABLE_LEVELS	4

/* Types, named after Xen's: name, and what the guest may do */
#define P2M_TYPES(x)							\
	x(mmio_dm,	0)		/* nothing there */		\
	x(ram_rw,	P2M_RWX)	/* a page */			\
	x(paging_out,	P2M_RWX)	/* nominated: a page, on its way out */ \
	x(paged,	0)		/* in the store */

/** enum p2m_type - what a gfn is */
enum p2m_type {
#define P2M_TYPE(name, access) p2m_##name,
	P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
};

/**
 * struct p2m_entry - what the map says of one gfn
 * @val: as in the table
 */
struct p2m_entry {
	u64 val;
};

/**
 * struct p2m_map - the map of one guest
 * @top: the table of the highest level
 * @lock: guards the entries
 */
struct p2m_map {
	u64			*top;
	struct p2m_rangelock	*lock;
};

static inline enum p2m_type p2m_entry_type(struct p2m_entry entry)
{
	return (entry.val & P2M_TYPE_MASK) >> P2M_TYPE_SHIFT;
}

/* The page of an entry that has one, else NULL. */
static inline struct page *p2m_entry_page(struct p2m_entry entry)
{
	if (!(entry.val & P2M_RWX))
		return NULL;
	return pfn_to_page((entry.val & P2M_PFN_MASK) >> P2M_PFN_SHIFT);
}

struct p2m_entry p2m_make_entry(enum p2m_type type, struct page *page);

int p2m_map_init(struct p2m_map *map, struct p2m_rangelock *lock);
void p2m_map_destroy(struct p2m_map *map,
		     void (*drop)(struct p2m_entry entry, void *arg), void *arg);

struct p2m_entry p2m_lookup(struct p2m_map *map, unsigned long gfn);
struct p2m_entry p2m_get_entry(struct p2m_map *map, unsigned long gfn);
int p2m_set_entry(struct p2m_map *map, unsigned long gfn,
		  struct p2m_entry entry);
unsigned long p2m_next_table(struct p2m_map *map, unsigned long gfn,
			     unsigned long end);

#endif /* _P2M_MAP_H */
