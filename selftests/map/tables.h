/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map under test gets its tables from here.  Tables are counted, so that a
 * lost one is found.  A table can be refused.
 */
#ifndef _P2M_TABLES_H
#define _P2M_TABLES_H

#include <linux/gfp.h>

/* How many tables there are, after RCU has freed those that wait for it */
long tables_in_use(void);

/* Refuse the nth table from now on, or none if 0. */
void tables_refuse(int nth);

unsigned long tables_alloc(gfp_t gfp);
void tables_free(unsigned long table);
void tables_free_page(struct page *page);

#endif /* _P2M_TABLES_H */
