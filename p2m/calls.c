// SPDX-License-Identifier: GPL-2.0
/* The calls: ioctls on a descriptor of a guest.  uapi/p2m.h is the manual. */

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "calls.h"
#include "dirty.h"
#include "discard.h"
#include "domain.h"
#include "foreign.h"
#include "guests.h"
#include "huge.h"
#include "pager.h"
#include "paging.h"
#include "pod.h"
#include "sharing.h"
#include "sharing_scan.h"

/* Every argument begins with these two. */
struct p2m_arg {
	__u32 size;
	__u32 flags;
};

/* The argument of a call, and what its first half leaves for its second */
union p2m_any_arg {
	struct p2m_arg arg;
	struct p2m_info info;
	struct p2m_stats stats;
	struct p2m_audit audit;
	struct p2m_range range;
	struct {
		struct p2m_dirty dirty;
		struct p2m_dirty_result dirty_result;
	};
	struct {
		struct p2m_foreign foreign;
		struct file *foreign_file;
	};
	struct p2m_pod pod;
	struct p2m_pager_attach attach;
	struct p2m_page page;
	struct p2m_share_nominate nominate;
	struct p2m_share share;
	struct p2m_scan scan;
	struct p2m_share_domain domain;
};

#define P2M_ANY	(FMODE_READ | FMODE_WRITE)

/*
 * The calls: the size of the argument, its size in the first published version,
 * the flags that the call knows, and the modes of a descriptor of which one is
 * enough, without p2m_may_control()
 */
static const struct p2m_call {
	unsigned int	cmd;
	unsigned int	size;
	unsigned int	first_size;
	unsigned int	flags;
	fmode_t		enough;
} p2m_calls[] = {
	{ P2M_GET_INFO, sizeof(struct p2m_info), 32, 0, P2M_ANY },
	{ P2M_GET_STATS, sizeof(struct p2m_stats), 88, 0, P2M_ANY },
	{ P2M_AUDIT, sizeof(struct p2m_audit), 152 },
	{ P2M_PAGE_OUT, sizeof(struct p2m_range), 56 },
	{ P2M_PAGE_IN, sizeof(struct p2m_range), 56 },
	{ P2M_COLLAPSE, sizeof(struct p2m_range), 56 },
	{ P2M_DISCARD, sizeof(struct p2m_range), 56 },
	{ P2M_PAGER_ATTACH, sizeof(struct p2m_pager_attach), 16 },
	{ P2M_PAGER_DETACH, sizeof(struct p2m_pager_detach), 8 },
	{ P2M_NOMINATE, sizeof(struct p2m_range), 56 },
	{ P2M_EVICT, sizeof(struct p2m_page), 24 },
	{ P2M_PREP, sizeof(struct p2m_page), 24,
	  P2M_PREP_RESUME | P2M_PREP_LOST },
	{ P2M_RESUME, sizeof(struct p2m_range), 56 },
	{ P2M_SHARE_NOMINATE, sizeof(struct p2m_share_nominate), 24 },
	{ P2M_SHARE, sizeof(struct p2m_share), 48 },
	{ P2M_UNSHARE, sizeof(struct p2m_range), 56 },
	{ P2M_SHARE_SCAN, sizeof(struct p2m_scan), 72 },
	/* It looks itself at who calls. */
	{ P2M_SHARE_DOMAIN, sizeof(struct p2m_share_domain), 16, 0, FMODE_WRITE },
	{ P2M_POD_SET, sizeof(struct p2m_pod), 40 },
	{ P2M_POD_GET, sizeof(struct p2m_pod), 40 },
	{ P2M_POD_SWEEP, sizeof(struct p2m_range), 56 },
	{ P2M_DIRTY_START, sizeof(struct p2m_dirty_switch), 8 },
	{ P2M_DIRTY_STOP, sizeof(struct p2m_dirty_switch), 8 },
	{ P2M_DIRTY_GET, sizeof(struct p2m_dirty), 56, P2M_DIRTY_CLEAN },
	{ P2M_FOREIGN_MAP, sizeof(struct p2m_foreign), 32,
	  P2M_FOREIGN_READONLY },
};

/*
 * May the caller do more to the guest than map it?  The descriptor that a VMM
 * maps its memory with may be given to others, so it does not count.
 */
static bool p2m_may_control(struct file *file)
{
	return (file->f_flags & O_ACCMODE) == O_ACCMODE ||
	       capable(CAP_SYS_ADMIN);
}

static int p2m_get_info(struct p2m_guest *guest, struct p2m_info *info)
{
	info->features = P2M_FEATURE_PAGING | P2M_FEATURE_HUGE |
			 P2M_FEATURE_DIRTY | P2M_FEATURE_FOREIGN |
			 P2M_FEATURE_POD | P2M_FEATURE_AUDIT |
			 P2M_FEATURE_PAGER | P2M_FEATURE_SHARING |
			 P2M_FEATURE_DOMAIN | P2M_FEATURE_DISCARD;
	info->guest = guest->id;
	info->gfns = atomic_long_read(&guest->gfns);
	info->domain = p2m_domain_number(guest);
	return 0;
}

/* Find the other guest. */
static int p2m_share_fd(struct p2m_guest *guest, struct p2m_share *share)
{
	struct file *client;
	int err = -EINVAL;

	if (share->reserved)
		return -EINVAL;
	client = fget(share->client_fd);
	if (!client)
		return -EBADF;
	if (client->f_op->unlocked_ioctl == p2m_ioctl)
		err = !p2m_may_control(client) ? -EPERM :
		      p2m_share(guest, client->private_data, share);
	fput(client);
	return err;
}

static int p2m_do_call(struct p2m_guest *guest, unsigned int cmd,
		       union p2m_any_arg *arg)
{
	switch (cmd) {
	case P2M_GET_INFO:
		return p2m_get_info(guest, &arg->info);
	case P2M_GET_STATS:
		p2m_guest_stats(guest, &arg->stats);
		return 0;
	case P2M_AUDIT:
		return p2m_audit(guest, &arg->audit);
	case P2M_PAGE_OUT:
		return p2m_page_out(guest, &arg->range);
	case P2M_PAGE_IN:
		return p2m_page_in(guest, &arg->range);
	case P2M_COLLAPSE:
		return p2m_collapse(guest, &arg->range);
	case P2M_DISCARD:
		return p2m_discard(guest, &arg->range);
	case P2M_PAGER_ATTACH:
		return p2m_pager_attach(guest, &arg->attach);
	case P2M_PAGER_DETACH:
		return p2m_pager_detach(guest);
	case P2M_NOMINATE:
		return p2m_pager_nominate(guest, &arg->range);
	case P2M_EVICT:
		return p2m_pager_evict(guest, &arg->page);
	case P2M_PREP:
		return p2m_pager_prep(guest, &arg->page);
	case P2M_RESUME:
		return p2m_pager_resume(guest, &arg->range);
	case P2M_SHARE_NOMINATE:
		return p2m_share_nominate(guest, &arg->nominate);
	case P2M_SHARE:
		return p2m_share_fd(guest, &arg->share);
	case P2M_UNSHARE:
		return p2m_unshare_range(guest, &arg->range);
	case P2M_SHARE_SCAN:
		return p2m_share_scan(guest, &arg->scan);
	case P2M_SHARE_DOMAIN:
		return p2m_domain_set(guest, &arg->domain);
	case P2M_POD_SET:
		return p2m_pod_set(guest, &arg->pod);
	case P2M_POD_GET:
		p2m_pod_get(guest, &arg->pod);
		return 0;
	case P2M_POD_SWEEP:
		return p2m_pod_sweep(guest, &arg->range);
	case P2M_DIRTY_START:
		return p2m_dirty_start(guest);
	case P2M_DIRTY_STOP:
		return p2m_dirty_stop(guest);
	case P2M_DIRTY_GET:
		return p2m_dirty_get(guest, &arg->dirty, &arg->dirty_result);
	case P2M_FOREIGN_MAP:
		return p2m_foreign_map(guest, &arg->foreign,
				       &arg->foreign_file);
	default:
		return -ENOTTY;
	}
}

/* The second half of a call: was its caller told the result? */
static void p2m_end_call(struct p2m_guest *guest, unsigned int cmd,
			 union p2m_any_arg *arg, bool told)
{
	if (cmd == P2M_DIRTY_GET)
		p2m_dirty_got(guest, &arg->dirty, &arg->dirty_result, told);
	else if (cmd == P2M_FOREIGN_MAP)
		p2m_foreign_mapped(&arg->foreign, arg->foreign_file, told);
}

static const struct p2m_call *p2m_find_call(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p2m_calls); i++)
		if (p2m_calls[i].cmd == cmd)
			return &p2m_calls[i];
	return NULL;
}

/*
 * Copy in an argument of @usize bytes, and check what all calls have in common.
 * Copy it out once before anything is done, so that a call that cannot return
 * its results does nothing.
 */
static int p2m_copy_arg(const struct p2m_call *call, union p2m_any_arg *arg,
			void __user *uarg, u32 usize)
{
	int err;

	if (usize < call->first_size || usize > PAGE_SIZE)
		return -EINVAL;
	err = copy_struct_from_user(arg, call->size, uarg, usize);
	if (err)
		return err;
	if (arg->arg.flags & ~call->flags)
		return -EINVAL;
	if (copy_to_user(uarg, arg, min(usize, call->size)))
		return -EFAULT;
	return 0;
}

/**
 * p2m_ioctl() - do a call
 * @file: a descriptor of the guest, which is its private data
 * @cmd: P2M_*
 * @argp: the address of the argument
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0, or an error in the manual of the call.
 */
long p2m_ioctl(struct file *file, unsigned int cmd, unsigned long argp)
{
	const struct p2m_call *call = p2m_find_call(cmd);
	void __user *uarg = (void __user *)argp;
	union p2m_any_arg arg = {};
	u32 usize;
	int err;

	if (!call)
		return -ENOTTY;
	if (!(file->f_mode & call->enough) && !p2m_may_control(file))
		return -EPERM;
	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	err = p2m_copy_arg(call, &arg, uarg, usize);
	if (err)
		return err;
	arg.arg.size = usize;
	err = p2m_do_call(file->private_data, cmd, &arg);
	if (err)
		return err;
	if (copy_to_user(uarg, &arg, min(usize, call->size)))
		err = -EFAULT;
	p2m_end_call(file->private_data, cmd, &arg, !err);
	return err;
}
