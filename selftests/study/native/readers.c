// SPDX-License-Identifier: GPL-2.0
/* A tree whose chunks have many readers: see readers.h. */
#include <linux/bug.h>
#include <linux/slab.h>

#include "readers.h"

int readers_init(struct readers_tree *tree)
{
	unsigned int i;

	atomic_set(&tree->claims, 0);
	tree->table = kcalloc(READERS_CHUNKS, sizeof(*tree->table), GFP_KERNEL);
	if (!tree->table)
		return -ENOMEM;
	for (i = 0; i < READERS_CHUNKS; i++)
		init_rwsem(&tree->table[i].lock);
	return 0;
}

void readers_destroy(struct readers_tree *tree)
{
	kfree(tree->table);
}

void readers_lookup_begin(struct readers_tree *tree, unsigned long gfn)
{
	down_read(&readers_node(tree, gfn)->lock);
	WARN_ON_ONCE(atomic_read_acquire(&tree->claims));
}

void readers_lookup_end(struct readers_tree *tree, unsigned long gfn)
{
	up_read(&readers_node(tree, gfn)->lock);
}

void readers_change_begin(struct readers_tree *tree, unsigned long gfn)
{
	down_write(&readers_node(tree, gfn)->lock);
	WARN_ON_ONCE(atomic_read_acquire(&tree->claims));
}

void readers_change_end(struct readers_tree *tree, unsigned long gfn)
{
	up_write(&readers_node(tree, gfn)->lock);
}
