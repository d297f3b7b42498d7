// SPDX-License-Identifier: GPL-2.0
/*
 * The ledger: see ledger.h.
 *
 * The lock's allocations are charged to the cgroup.  Kernel threads hardly ever
 * make other such allocations.  So each such allocation by a kernel thread is
 * an entry.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>

#include "ledger.h"

#define NR_ENTRIES	1024

static const void **ledger;
static DEFINE_RAW_SPINLOCK(ledger_lock);
static bool overflow;

static bool counts(gfp_t gfp)
{
	return in_task() && (current->flags & PF_KTHREAD) &&
	       (gfp & __GFP_ACCOUNT);
}

static void replace(const void *object, const void *by)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&ledger_lock, flags);
	for (i = 0; ledger && i < NR_ENTRIES; i++) {
		if (ledger[i] != object)
			continue;
		ledger[i] = by;
		break;
	}
	if (i == NR_ENTRIES && !object)
		overflow = true;
	raw_spin_unlock_irqrestore(&ledger_lock, flags);
}

static void on_kmalloc(void *data, unsigned long ip, const void *object,
		       size_t want, size_t got, gfp_t gfp, int node)
{
	if (object && counts(gfp))
		replace(NULL, object);
}

static void on_kfree(void *data, unsigned long ip, const void *object)
{
	if (object)
		replace(object, NULL);
}

static struct probe {
	const char		*name;
	void			*function;
	struct tracepoint	*tracepoint;
} probes[] = {
	{ "kmalloc", on_kmalloc },
	{ "kfree", on_kfree },
};

static void find(struct tracepoint *tracepoint, void *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(probes[i].name, tracepoint->name))
			probes[i].tracepoint = tracepoint;
}

static void ledger_close(void *data)
{
	const void **old = ledger;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		tracepoint_probe_unregister(probes[i].tracepoint,
					    probes[i].function, NULL);
	tracepoint_synchronize_unregister();
	ledger = NULL;
	kvfree(old);
}

void ledger_open(struct kunit *test)
{
	unsigned int i;

	for_each_kernel_tracepoint(find, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		KUNIT_ASSERT_NOT_NULL(test, probes[i].tracepoint);

	overflow = false;
	ledger = kvcalloc(NR_ENTRIES, sizeof(*ledger), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ledger);
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		KUNIT_ASSERT_EQ(test, 0,
				tracepoint_probe_register(probes[i].tracepoint,
							  probes[i].function,
							  NULL));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, ledger_close, NULL));
}

unsigned int ledger_objects(void)
{
	unsigned int i, n = 0;

	if (overflow)
		return UINT_MAX;
	for (i = 0; i < NR_ENTRIES; i++)
		n += !!ledger[i];
	return n;
}
