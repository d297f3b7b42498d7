/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map under test takes its tables from here: they are counted, so that a
 * lost one is found, and can be refused.
 */
#ifndef _P2M_TABLES_H
#define _P2M_TABLES_H

#include <linux/gfp.h>

/* Tables that there are, after all that was to be freed by RCU has been. */
long tables_in_use(void);

/* Refuse the nth table from now on; 0 for none. */
void tables_refuse(int nth);

unsigned long tables_alloc(gfp_t gfp);
void tables_free(unsigned long table);
void tables_free_page(struct page *page);

#endif /* _P2M_TABLES_H */
