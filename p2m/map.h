/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gfn->pfn map of one guest.
 *
 * The tables are those of EPT: four levels of 512 entries, eight bytes each.  A
 * leaf of level 0 maps a frame.  A leaf of level 1 maps 2 MB:
 *
 *	 63 58 57 56 55  52 51              12 11 10 9 8  7  6  3 2 1 0
 *	+-----+--+--+------+------------------+--+--+-+-+--+----+-+-+-+
 *	|node |G |S | type |       pfn        |0 |Z |D|0|PS| 0  |X|W|R|
 *	+-----+--+--+------+------------------+--+--+-+-+--+----+-+-+-+
 *
 * R, W, X: what the guest may do; this follows from the type.  PS: the entry
 * maps 2 MB.  D: the frame was written since log-dirty last looked, whatever
 * its type is now.  Z: the frame has nothing, and zeros may be mapped there:
 * see zero.c.  S, G: the store, the pager, or both have the contents of a frame
 * of type paged or paging_in; if none has, they are lost.  These types have no
 * page.  If the pager has the contents, the place of the pfn has the number of
 * the eviction.  "node" is then the node that the frame was on, plus 1; 0 if
 * that is not known, or does not fit.  Hardware ignores the bits of the type.
 * An entry of 0 has type mmio_dm: nothing there.
 *
 * A table of level 0 maps one chunk of the range lock.  So a task that holds a
 * frame has its whole table for itself, and the entry of level 1 that points to
 * the table.  It may replace 512 entries by one, or one by 512.  A replaced
 * table is freed by RCU, because of lookups that do not hold.  Tables above
 * level 0 are only added while the guest lives.
 */
#ifndef _P2M_MAP_H
#define _P2M_MAP_H

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "p2m_rangelock.h"

#define P2M_R			0x1ULL
#define P2M_W			0x2ULL
#define P2M_X			0x4ULL
#define P2M_RWX			(P2M_R | P2M_W | P2M_X)
#define P2M_PS			0x80ULL
#define P2M_D			0x200ULL
#define P2M_Z			0x400ULL
#define P2M_PFN_SHIFT		12
#define P2M_PFN_MASK		0x000ffffffffff000ULL
#define P2M_TYPE_SHIFT		52
#define P2M_TYPE_MASK		(0xfULL << P2M_TYPE_SHIFT)
#define P2M_STORED		(1ULL << 56)
#define P2M_PAGER		(1ULL << 57)
#define P2M_WHERE		(P2M_STORED | P2M_PAGER)
#define P2M_NODE_SHIFT		58
#define P2M_NODE_MASK		(0x3fULL << P2M_NODE_SHIFT)

/*
 * How to allocate memory that is charged to a guest: as hard as possible
 * without killing for it.  Then a call returns ENOMEM; for a touch see
 * p2m_fault_oom().
 */
#define P2M_GFP_HARD		(__GFP_RETRY_MAYFAIL | __GFP_NOWARN)
#define P2M_GFP_KERNEL		(GFP_KERNEL_ACCOUNT | P2M_GFP_HARD)
#define P2M_GFP_PAGE		(GFP_HIGHUSER | __GFP_ACCOUNT | P2M_GFP_HARD)

#define P2M_TABLE_BITS		9
#define P2M_TABLE_ENTRIES	(1 << P2M_TABLE_BITS)
#define P2M_TABLE_LEVELS	4

#define P2M_CHUNK_GFNS		(1UL << P2M_CHUNK_ORDER)

/* Orders of a leaf */
#define P2M_4K			0
#define P2M_2M			P2M_TABLE_BITS

/* Types, named after Xen's: name, and what the guest may do */
#define P2M_TYPES(x)							\
	x(mmio_dm,	0)		/* nothing there */		\
	x(ram_rw,	P2M_RWX)	/* a page */			\
	x(logdirty,	P2M_R | P2M_X)	/* a page; writes are reported */ \
	x(shared,	P2M_R | P2M_X)	/* a page, maybe others' too */ \
	x(paging_out,	P2M_RWX)	/* a page, nominated */ \
	x(paged,	0)		/* in the store, or with the pager */ \
	x(paging_in,	0)		/* the pager has been asked for it */ \
	x(pod,		0)		/* to be populated on demand */	\
	x(prepped,	P2M_RWX)	/* a page, not resumed yet */ \
	x(broken,	0)		/* lost: its page was poisoned */ \
	x(taken,	P2M_RWX)	/* a page, taken: see page.c */

/** enum p2m_type - what a gfn is */
enum p2m_type {
#define P2M_TYPE(name, access) p2m_##name,
	P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
	P2M_NR_TYPES
};

/**
 * struct p2m_entry - what the map says of one gfn, or of 2 MB of them
 * @val: the value in the table
 */
struct p2m_entry {
	u64 val;
};

/**
 * struct p2m_type_counts - one CPU's share of the number of gfns of each type
 * @nr: by type; mmio_dm is not counted
 */
struct p2m_type_counts {
	long nr[P2M_NR_TYPES];
};

/**
 * struct p2m_map - the map of one guest
 * @top: the table of the highest level
 * @lock: guards the entries
 * @counts: per CPU
 * @id: tells it from other maps
 */
struct p2m_map {
	u64				*top;
	struct p2m_rangelock		*lock;
	struct p2m_type_counts __percpu	*counts;
	u64				id;
};

static inline enum p2m_type p2m_entry_type(struct p2m_entry entry)
{
	return (entry.val & P2M_TYPE_MASK) >> P2M_TYPE_SHIFT;
}

static inline unsigned int p2m_entry_order(struct p2m_entry entry)
{
	return entry.val & P2M_PS ? P2M_2M : P2M_4K;
}

static inline bool p2m_entry_dirty(struct p2m_entry entry)
{
	return entry.val & P2M_D;
}

static inline struct p2m_entry p2m_dirty_entry(struct p2m_entry entry)
{
	return (struct p2m_entry){ entry.val | P2M_D };
}

static inline struct p2m_entry p2m_clean_entry(struct p2m_entry entry)
{
	return (struct p2m_entry){ entry.val & ~P2M_D };
}

/* A frame of this type has nothing, and may get a page. */
static inline bool p2m_type_is_hole(enum p2m_type type)
{
	return type == p2m_mmio_dm || type == p2m_pod;
}

/* What the guest may do: bits of P2M_RWX; 0 if the type has no page */
extern const u64 p2m_type_access[];

/* An entry of 4 KB; @page is NULL for a type that has no page. */
static inline struct p2m_entry p2m_make_entry(enum p2m_type type,
					      struct page *page)
{
	struct p2m_entry entry = {
		.val = ((u64)type << P2M_TYPE_SHIFT) | p2m_type_access[type],
	};

	if (page)
		entry.val |= (u64)page_to_pfn(page) << P2M_PFN_SHIFT;
	return entry;
}

/*
 * The entry with another type, and the same order and dirtiness.  Its page
 * stays if the new type has one.  Where its contents are, and the number, stay
 * if the new type has them elsewhere.  Z stays if the new type has nothing.
 */
static inline struct p2m_entry p2m_retype_entry(struct p2m_entry entry,
						enum p2m_type type)
{
	struct p2m_entry new = p2m_make_entry(type, NULL);

	new.val |= entry.val & (P2M_PS | P2M_D);
	if (new.val & P2M_RWX)
		new.val |= entry.val & P2M_PFN_MASK;
	else if (type == p2m_paged || type == p2m_paging_in)
		new.val |= entry.val &
			   (P2M_WHERE | P2M_PFN_MASK | P2M_NODE_MASK);
	else if (p2m_type_is_hole(type))
		new.val |= entry.val & P2M_Z;
	return new;
}

/* The entry with another page of its order. */
static inline struct p2m_entry p2m_repage_entry(struct p2m_entry entry,
						struct page *page)
{
	struct p2m_entry new = p2m_make_entry(p2m_entry_type(entry), page);

	new.val |= entry.val & (P2M_PS | P2M_D);
	return new;
}

/* The first frame that the entry of @gfn does not cover. */
static inline unsigned long p2m_entry_end(unsigned long gfn,
					  struct p2m_entry entry)
{
	return round_down(gfn, 1UL << p2m_entry_order(entry)) +
	       (1UL << p2m_entry_order(entry));
}

static inline bool p2m_entry_in_store(struct p2m_entry entry)
{
	return entry.val & P2M_STORED;
}

static inline bool p2m_entry_with_pager(struct p2m_entry entry)
{
	return entry.val & P2M_PAGER;
}

/*
 * The number of the eviction of a paged or paging_in entry: its bits 0 to 39.
 */
static inline u64 p2m_entry_number(struct p2m_entry entry)
{
	return (entry.val & P2M_PFN_MASK) >> P2M_PFN_SHIFT;
}

/* The entry with this number, if it had 0. */
static inline struct p2m_entry p2m_number_entry(struct p2m_entry entry,
						u64 number)
{
	return (struct p2m_entry){
		entry.val | ((number << P2M_PFN_SHIFT) & P2M_PFN_MASK)
	};
}

/* The page of an entry, the first one if it is 2 MB; or NULL. */
static inline struct page *p2m_entry_page(struct p2m_entry entry)
{
	if (!(entry.val & P2M_RWX))
		return NULL;
	return pfn_to_page((entry.val & P2M_PFN_MASK) >> P2M_PFN_SHIFT);
}

/* The page of @gfn, which this entry covers; or NULL. */
static inline struct page *p2m_entry_page_of(struct p2m_entry entry,
					     unsigned long gfn)
{
	struct page *page = p2m_entry_page(entry);

	if (page && p2m_entry_order(entry))
		page += gfn & (P2M_TABLE_ENTRIES - 1);
	return page;
}

/* The node that the frame is on, or was on; NUMA_NO_NODE if not known. */
static inline int p2m_entry_node(struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);
	int node = (entry.val & P2M_NODE_MASK) >> P2M_NODE_SHIFT;

	return page ? page_to_nid(page) : node ? node - 1 : NUMA_NO_NODE;
}

/*
 * The entry when its contents are elsewhere: @where has bits of P2M_WHERE; 0
 * means that they are lost.  It is as dirty as before, and knows its node.
 */
static inline struct p2m_entry p2m_paged_entry(struct p2m_entry entry,
					       u64 where)
{
	struct p2m_entry new = p2m_make_entry(p2m_paged, NULL);
	u64 node = p2m_entry_node(entry) + 1;

	new.val |= (entry.val & P2M_D) | where;
	if (node <= P2M_NODE_MASK >> P2M_NODE_SHIFT)
		new.val |= node << P2M_NODE_SHIFT;
	return new;
}

/*
 * A frame, or a chunk, has this page for itself, and may be touched.  The page
 * says whose it is, for p2m_audit().
 */
static inline bool p2m_type_is_ram(enum p2m_type type)
{
	return type == p2m_ram_rw || type == p2m_logdirty;
}

static inline bool p2m_is_ram(struct p2m_entry entry)
{
	return p2m_type_is_ram(p2m_entry_type(entry));
}

/* The value of page_private(); for a large page that of its first part. */
static inline unsigned long p2m_page_owner(struct p2m_map *map,
					   unsigned long gfn)
{
	return map->id << (P2M_TABLE_LEVELS * P2M_TABLE_BITS) | gfn;
}

int p2m_map_init(struct p2m_map *map, struct p2m_rangelock *lock);
void p2m_map_destroy(struct p2m_map *map,
		     void (*drop)(struct p2m_entry entry, void *arg),
		     void *arg);

struct p2m_entry p2m_lookup(struct p2m_map *map, unsigned long gfn);
struct p2m_entry p2m_get_entry(struct p2m_map *map, unsigned long gfn);
int p2m_set_entry(struct p2m_map *map, unsigned long gfn, unsigned int order,
		  struct p2m_entry entry);
int p2m_split_entry(struct p2m_map *map, unsigned long gfn);
unsigned long p2m_next_chunk(struct p2m_map *map, unsigned long gfn,
			     unsigned long end);
long p2m_percpu_sum(long __percpu *counter);
unsigned long p2m_map_count(struct p2m_map *map, enum p2m_type type);

/*
 * Go through the entries of [@gfn, @end), which are held.  Each comes once,
 * with its first frame that is not before @gfn.
 */
#define p2m_for_each_entry(map, gfn, entry, end)			\
	for (; (gfn) < (end) && ((entry) = p2m_get_entry(map, gfn), true); \
	     (gfn) = p2m_entry_end(gfn, entry))

#endif /* _P2M_MAP_H */
