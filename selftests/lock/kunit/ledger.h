/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A ledger of the memory that the lock allocates and frees.  It uses the
 * kernel's tracepoints, and shows that nothing is left in the end.
 */
#ifndef _P2M_LEDGER_H
#define _P2M_LEDGER_H

#include <kunit/test.h>

/* Keep the ledger from here on, until the test is over. */
void ledger_open(struct kunit *test);

/* How many objects were allocated since then and not freed */
unsigned int ledger_objects(void);

#endif /* _P2M_LEDGER_H */
