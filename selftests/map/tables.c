// SPDX-License-Identifier: GPL-2.0
/* The map under test, and the source of its tables: see tables.h. */

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "tables.h"

static atomic_long_t in_use;
static int refuse;

long tables_in_use(void)
{
	rcu_barrier();
	return atomic_long_read(&in_use);
}

void tables_refuse(int nth)
{
	refuse = nth;
}

unsigned long tables_alloc(gfp_t gfp)
{
	unsigned long table;

	if (refuse && !--refuse)
		return 0;
	table = get_zeroed_page(gfp);
	if (table)
		atomic_long_inc(&in_use);
	return table;
}

void tables_free(unsigned long table)
{
	atomic_long_dec(&in_use);
	free_page(table);
}

void tables_free_page(struct page *page)
{
	tables_free((unsigned long)page_address(page));
}

#undef get_zeroed_page
#define get_zeroed_page(gfp)	tables_alloc(gfp)
#undef free_page
#define free_page(table)	tables_free(table)
#undef __free_page
#define __free_page(page)	tables_free_page(page)

#include "p2m/map.c"
