// SPDX-License-Identifier: GPL-2.0
/* One guest: its size and its counters. */

#include <linux/percpu.h>

#include "guest.h"

/**
 * p2m_guest_grow() - make frames below @gfns exist
 * @guest: the guest
 * @gfns: its size, unless it is larger already
 *
 * Context: any.
 */
void p2m_guest_grow(struct p2m_guest *guest, unsigned long gfns)
{
	long old = atomic_long_read(&guest->gfns);

	while (old < (long)gfns &&
	       !atomic_long_try_cmpxchg(&guest->gfns, &old, gfns))
		;
}

/**
 * p2m_guest_stats() - add up a guest's counters
 * @guest: the guest
 * @stats: gets the sums; its @size and @flags stay
 *
 * Context: any.
 */
void p2m_guest_stats(struct p2m_guest *guest, struct p2m_stats *stats)
{
	struct p2m_counters sum = {};
	enum p2m_type type;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct p2m_counters *c = per_cpu_ptr(guest->counters, cpu);

#define P2M_COUNTER(name) sum.name += READ_ONCE(c->name);
		P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
	}
#define P2M_COUNTER(name) stats->name = sum.name;
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER

	stats->paged = p2m_map_count(&guest->map, p2m_paged) +
		       p2m_map_count(&guest->map, p2m_paging_in);
	stats->shared = p2m_map_count(&guest->map, p2m_shared);
	stats->resident = 0;
	for (type = 0; type < P2M_NR_TYPES; type++)
		if (p2m_type_access[type])
			stats->resident += p2m_map_count(&guest->map, type);
	stats->lock_waits = p2m_rangelock_stat(&guest->lock, P2M_STAT_waits);
	stats->lock_deadlocks = p2m_rangelock_stat(&guest->lock,
						   P2M_STAT_deadlocks);
}
