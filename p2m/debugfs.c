// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/p2m:
 *	totals	what all guests together have; all 0 when there are none
 *	guests	a line for each guest: its counters, and its frames by type
 *	audit	audits each guest: a line for each, and the number of errors
 */

#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "audit.h"
#include "debugfs.h"
#include "guests.h"

static struct dentry *p2m_debugfs;

static int totals_show(struct seq_file *m, void *unused)
{
	struct p2m_totals totals;

	p2m_guests_totals(&totals);
	seq_printf(m, "guests %llu\npages %llu\nstore %llu\n", totals.guests,
		   totals.pages, totals.store);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(totals);

static const char * const p2m_type_names[] = {
#define P2M_TYPE(name, access) #name,
	P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
};

static void p2m_show_guest(struct seq_file *m, struct p2m_guest *guest)
{
	struct p2m_stats stats = {};
	enum p2m_type type;

	p2m_guest_stats(guest, &stats);
	seq_printf(m, "guest=%llu gfns=%lu resident=%llu paged=%llu", guest->id,
		   atomic_long_read(&guest->gfns), stats.resident, stats.paged);
#define P2M_COUNTER(name) seq_printf(m, " " #name "=%llu", stats.name);
	P2M_COUNTERS(P2M_COUNTER)
#undef P2M_COUNTER
#define P2M_STAT(name)							\
	seq_printf(m, " lock_" #name "=%lu",				\
		   p2m_rangelock_stat(&guest->lock, P2M_STAT_##name));
	P2M_RANGELOCK_STATS(P2M_STAT)
#undef P2M_STAT
	/* Frames of type mmio_dm are not counted. */
	for (type = p2m_mmio_dm + 1; type < P2M_NR_TYPES; type++)
		seq_printf(m, " type_%s=%lu", p2m_type_names[type],
			   p2m_map_count(&guest->map, type));
	seq_putc(m, '\n');
}

static int guests_show(struct seq_file *m, void *unused)
{
	struct p2m_guest *guest;
	u64 id = 0;

	while ((guest = p2m_guest_next(id))) {
		id = guest->id;
		p2m_show_guest(m, guest);
		p2m_guest_put(guest);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(guests);

static void p2m_show_audit(struct seq_file *m, struct p2m_guest *guest,
			   const struct p2m_audit *audit)
{
	seq_printf(m, "guest=%llu errors=%llu pages=%llu", guest->id,
		   audit->errors, audit->pages);
#define P2M_TYPE(name, access)						\
	seq_printf(m, " " #name "=%llu", audit->types[p2m_##name]);
	P2M_TYPES(P2M_TYPE)
#undef P2M_TYPE
	seq_putc(m, '\n');
}

static int audit_show(struct seq_file *m, void *unused)
{
	struct p2m_audit audit;
	struct p2m_guest *guest;
	u64 errors = 0, id = 0;
	int err = 0;

	while (!err && (guest = p2m_guest_next(id))) {
		id = guest->id;
		err = p2m_audit(guest, &audit);
		if (!err) {
			p2m_show_audit(m, guest, &audit);
			errors += audit.errors;
		}
		p2m_guest_put(guest);
	}
	seq_printf(m, "errors %llu\n", errors);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(audit);

/**
 * p2m_debugfs_init() - make the files, if there is debugfs
 *
 * Context: module init.
 */
void p2m_debugfs_init(void)
{
	p2m_debugfs = debugfs_create_dir("p2m", NULL);
	debugfs_create_file("totals", 0444, p2m_debugfs, NULL, &totals_fops);
	debugfs_create_file("guests", 0444, p2m_debugfs, NULL, &guests_fops);
	debugfs_create_file("audit", 0400, p2m_debugfs, NULL, &audit_fops);
}

/**
 * p2m_debugfs_exit() - remove the files
 *
 * Context: module exit.
 */
void p2m_debugfs_exit(void)
{
	debugfs_remove_recursive(p2m_debugfs);
}
