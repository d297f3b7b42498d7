/* SPDX-License-Identifier: GPL-2.0 */
/*
 * readers: a tree whose chunks have many readers
 *
 * What one side of the argument of 2011 asked for: a lookup takes its chunk for
 * read, so that the entry stays as it is while the caller acts on it.  A change
 * takes the chunk for write.  This has what the first question needs: holds of
 * chunks of one small guest.  A hold of more would need a word for all, which
 * each lookup reads; it is there, and is always 0.
 */
#ifndef _READERS_H
#define _READERS_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/rwsem.h>

#define READERS_CHUNKS	512

struct readers_node {
	struct rw_semaphore	lock;
} ____cacheline_aligned;

struct readers_tree {
	struct readers_node	*table;
	atomic_t		claims;
};

int readers_init(struct readers_tree *tree);
void readers_destroy(struct readers_tree *tree);

static inline struct readers_node *readers_node(struct readers_tree *tree,
						unsigned long gfn)
{
	return &READ_ONCE(tree->table)[(gfn >> 9) % READERS_CHUNKS];
}

void readers_lookup_begin(struct readers_tree *tree, unsigned long gfn);
void readers_lookup_end(struct readers_tree *tree, unsigned long gfn);
void readers_change_begin(struct readers_tree *tree, unsigned long gfn);
void readers_change_end(struct readers_tree *tree, unsigned long gfn);

#endif /* _READERS_H */
