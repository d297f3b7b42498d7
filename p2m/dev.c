// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/p2m: open, mmap, ioctl.  uapi/p2m.h is the manual.
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "audit.h"
#include "compat.h"
#include "debugfs.h"
#include "dirty.h"
#include "domain.h"
#include "fault.h"
#include "foreign.h"
#include "guests.h"
#include "huge.h"
#include "page.h"
#include "pager.h"
#include "paging.h"
#include "pod.h"
#include "sharing.h"
#include "sharing_scan.h"
#include "store.h"

static const struct file_operations p2m_fops;

static int p2m_open(struct inode *inode, struct file *file)
{
	struct p2m_guest *guest = p2m_guest_create();

	if (IS_ERR(guest))
		return PTR_ERR(guest);
	file->private_data = guest;
	/* Mappings of this file, and of no other, are the guest's. */
	file->f_mapping = guest->inode->i_mapping;
	return 0;
}

/* A process closes one of its descriptors, maybe by dying. */
static int p2m_flush(struct file *file, fl_owner_t id)
{
	p2m_pager_flush(file->private_data, id);
	return 0;
}

static int p2m_release(struct inode *inode, struct file *file)
{
	p2m_guest_put(file->private_data);
	return 0;
}

static int p2m_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct p2m_guest *guest = file->private_data;
	unsigned long end;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (check_add_overflow(vma->vm_pgoff, vma_pages(vma), &end) ||
	    end > P2M_MAX_GFNS)
		return -EOVERFLOW;

	/* Frames past the end do not exist, so mremap() may not reach them. */
	vm_flags_set(vma, VM_DONTEXPAND);
	vma->vm_private_data = guest;
	vma->vm_ops = &p2m_vm_ops;
	p2m_guest_grow(guest, end);
	return 0;
}

/* ------------------------------------------------------------------ */
/* The calls                                                           */
/* ------------------------------------------------------------------ */

/* Every argument begins with these two. */
struct p2m_arg {
	__u32 size;
	__u32 flags;
};

static int p2m_get_info(struct p2m_guest *guest, void *arg)
{
	struct p2m_info *info = arg;

	info->features = P2M_FEATURE_PAGING | P2M_FEATURE_HUGE |
			 P2M_FEATURE_DIRTY | P2M_FEATURE_FOREIGN | P2M_FEATURE_POD |
			 P2M_FEATURE_AUDIT | P2M_FEATURE_PAGER | P2M_FEATURE_SHARING |
			 P2M_FEATURE_DOMAIN;
	info->guest = guest->id;
	info->gfns = atomic_long_read(&guest->gfns);
	info->domain = p2m_domain_number(guest);
	return 0;
}

static int p2m_get_stats(struct p2m_guest *guest, void *arg)
{
	p2m_guest_stats(guest, arg);
	return 0;
}

static int p2m_ioctl_audit(struct p2m_guest *guest, void *arg)
{
	return p2m_audit(guest, arg);
}

static int p2m_ioctl_page_out(struct p2m_guest *guest, void *arg)
{
	return p2m_page_out(guest, arg);
}

static int p2m_ioctl_page_in(struct p2m_guest *guest, void *arg)
{
	return p2m_page_in(guest, arg);
}

static int p2m_ioctl_collapse(struct p2m_guest *guest, void *arg)
{
	return p2m_collapse(guest, arg);
}

static int p2m_ioctl_share_nominate(struct p2m_guest *guest, void *arg)
{
	return p2m_share_nominate(guest, arg);
}

static int p2m_ioctl_share(struct p2m_guest *guest, void *arg)
{
	struct p2m_share *share = arg;
	struct file *client;
	int err = -EINVAL;

	if (share->reserved)
		return -EINVAL;
	client = fget(share->client_fd);
	if (!client)
		return -EBADF;
	if (client->f_op == &p2m_fops)
		err = p2m_share(guest, client->private_data, share);
	fput(client);
	return err;
}

static int p2m_ioctl_unshare(struct p2m_guest *guest, void *arg)
{
	return p2m_unshare_range(guest, arg);
}

static int p2m_ioctl_share_scan(struct p2m_guest *guest, void *arg)
{
	return p2m_share_scan(guest, arg);
}

static int p2m_ioctl_share_domain(struct p2m_guest *guest, void *arg)
{
	return p2m_domain_set(guest, arg);
}

static int p2m_ioctl_dirty_start(struct p2m_guest *guest, void *arg)
{
	return p2m_dirty_start(guest);
}

static int p2m_ioctl_dirty_stop(struct p2m_guest *guest, void *arg)
{
	return p2m_dirty_stop(guest);
}

struct p2m_dirty_call {
	struct p2m_dirty	arg;
	struct p2m_dirty_result	result;
};

static int p2m_ioctl_dirty_get(struct p2m_guest *guest, void *arg)
{
	struct p2m_dirty_call *call = arg;

	return p2m_dirty_get(guest, &call->arg, &call->result);
}

static void p2m_ioctl_dirty_got(struct p2m_guest *guest, void *arg, bool told)
{
	struct p2m_dirty_call *call = arg;

	p2m_dirty_got(guest, &call->arg, &call->result, told);
}

struct p2m_foreign_call {
	struct p2m_foreign	arg;
	struct file		*file;
};

static int p2m_ioctl_foreign_map(struct p2m_guest *guest, void *arg)
{
	struct p2m_foreign_call *call = arg;

	return p2m_foreign_map(guest, &call->arg, &call->file);
}

static void p2m_ioctl_foreign_mapped(struct p2m_guest *guest, void *arg,
				     bool told)
{
	struct p2m_foreign_call *call = arg;

	p2m_foreign_mapped(&call->arg, call->file, told);
}

static int p2m_ioctl_pod_set(struct p2m_guest *guest, void *arg)
{
	return p2m_pod_set(guest, arg);
}

static int p2m_ioctl_pod_get(struct p2m_guest *guest, void *arg)
{
	return p2m_pod_get(guest, arg);
}

static int p2m_ioctl_pod_sweep(struct p2m_guest *guest, void *arg)
{
	return p2m_pod_sweep(guest, arg);
}

static int p2m_ioctl_pager_attach(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_attach(guest, arg);
}

static int p2m_ioctl_pager_detach(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_detach(guest);
}

static int p2m_ioctl_nominate(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_nominate(guest, arg);
}

static int p2m_ioctl_evict(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_evict(guest, arg);
}

static int p2m_ioctl_prep(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_prep(guest, arg);
}

static int p2m_ioctl_resume(struct p2m_guest *guest, void *arg)
{
	return p2m_pager_resume(guest, arg);
}

/*
 * The calls: what each takes, how much of that the first published version had,
 * and what does it; which flags it knows; and, for those that must know whether
 * the results got to the caller, what to do then.
 */
static const struct p2m_call {
	unsigned int	cmd;
	unsigned int	size;
	unsigned int	first_size;
	int		(*fn)(struct p2m_guest *guest, void *arg);
	unsigned int	flags;
	void		(*end)(struct p2m_guest *guest, void *arg, bool told);
} p2m_calls[] = {
	{ P2M_GET_INFO, sizeof(struct p2m_info), 32, p2m_get_info },
	{ P2M_GET_STATS, sizeof(struct p2m_stats), 88, p2m_get_stats },
	{ P2M_AUDIT, sizeof(struct p2m_audit), 152, p2m_ioctl_audit },
	{ P2M_PAGE_OUT, sizeof(struct p2m_range), 56, p2m_ioctl_page_out },
	{ P2M_PAGE_IN, sizeof(struct p2m_range), 56, p2m_ioctl_page_in },
	{ P2M_COLLAPSE, sizeof(struct p2m_range), 56, p2m_ioctl_collapse },
	{ P2M_SHARE_NOMINATE, sizeof(struct p2m_nominate), 24,
	  p2m_ioctl_share_nominate },
	{ P2M_SHARE, sizeof(struct p2m_share), 48, p2m_ioctl_share },
	{ P2M_UNSHARE, sizeof(struct p2m_range), 56, p2m_ioctl_unshare },
	{ P2M_SHARE_SCAN, sizeof(struct p2m_scan), 72, p2m_ioctl_share_scan },
	{ P2M_SHARE_DOMAIN, sizeof(struct p2m_share_domain), 16,
	  p2m_ioctl_share_domain },
	{ P2M_DIRTY_START, sizeof(struct p2m_dirty_switch), 8,
	  p2m_ioctl_dirty_start },
	{ P2M_DIRTY_STOP, sizeof(struct p2m_dirty_switch), 8,
	  p2m_ioctl_dirty_stop },
	{ P2M_DIRTY_GET, sizeof(struct p2m_dirty), 56, p2m_ioctl_dirty_get,
	  P2M_DIRTY_CLEAN, p2m_ioctl_dirty_got },
	{ P2M_FOREIGN_MAP, sizeof(struct p2m_foreign), 32,
	  p2m_ioctl_foreign_map, P2M_FOREIGN_READONLY,
	  p2m_ioctl_foreign_mapped },
	{ P2M_POD_SET, sizeof(struct p2m_pod), 40, p2m_ioctl_pod_set },
	{ P2M_POD_GET, sizeof(struct p2m_pod), 40, p2m_ioctl_pod_get },
	{ P2M_POD_SWEEP, sizeof(struct p2m_range), 56, p2m_ioctl_pod_sweep },
	{ P2M_PAGER_ATTACH, sizeof(struct p2m_pager_attach), 16,
	  p2m_ioctl_pager_attach },
	{ P2M_PAGER_DETACH, sizeof(struct p2m_pager_detach), 8,
	  p2m_ioctl_pager_detach },
	{ P2M_NOMINATE, sizeof(struct p2m_range), 56, p2m_ioctl_nominate },
	{ P2M_EVICT, sizeof(struct p2m_page), 24, p2m_ioctl_evict },
	{ P2M_PREP, sizeof(struct p2m_page), 24, p2m_ioctl_prep,
	  P2M_PREP_RESUME | P2M_PREP_LOST },
	{ P2M_RESUME, sizeof(struct p2m_range), 56, p2m_ioctl_resume },
};

union p2m_any_arg {
	struct p2m_arg arg;
	struct p2m_info info;
	struct p2m_stats stats;
	struct p2m_audit audit;
	struct p2m_range range;
	struct p2m_dirty_call dirty;
	struct p2m_foreign_call foreign;
	struct p2m_pod pod;
	struct p2m_pager_attach pager_attach;
	struct p2m_pager_detach pager_detach;
	struct p2m_page page;
	struct p2m_nominate nominate;
	struct p2m_share share;
	struct p2m_scan scan;
	struct p2m_share_domain share_domain;
};

static const struct p2m_call *p2m_find_call(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p2m_calls); i++)
		if (p2m_calls[i].cmd == cmd)
			return &p2m_calls[i];
	return NULL;
}

/*
 * Copy in an argument of @usize bytes and check what all have in common.  It is
 * copied out once before anything is done, so that a call that cannot return
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

static long p2m_ioctl(struct file *file, unsigned int cmd, unsigned long argp)
{
	const struct p2m_call *call = p2m_find_call(cmd);
	void __user *uarg = (void __user *)argp;
	union p2m_any_arg arg = {};
	u32 usize;
	int err;

	if (!call)
		return -ENOTTY;
	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	err = p2m_copy_arg(call, &arg, uarg, usize);
	if (err)
		return err;
	arg.arg.size = usize;
	err = call->fn(file->private_data, &arg);
	if (err)
		return err;
	if (copy_to_user(uarg, &arg, min(usize, call->size)))
		err = -EFAULT;
	if (call->end)
		call->end(file->private_data, &arg, !err);
	return err;
}

static ssize_t p2m_read(struct file *file, char __user *buf, size_t count,
			loff_t *pos)
{
	return p2m_pager_read(file->private_data, buf, count,
			      file->f_flags & O_NONBLOCK);
}

static __poll_t p2m_poll(struct file *file, poll_table *wait)
{
	return p2m_pager_poll(file->private_data, file, wait);
}

static const struct file_operations p2m_fops = {
	.owner = THIS_MODULE,
	.open = p2m_open,
	.flush = p2m_flush,
	.read = p2m_read,
	.poll = p2m_poll,
	.release = p2m_release,
	.mmap = p2m_mmap,
	/* So that what is 2 MB can be mapped so. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = p2m_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice p2m_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "p2m",
	.fops = &p2m_fops,
	.mode = 0660,
};

static int __init p2m_init(void)
{
	int err;

	err = p2m_pages_init();
	if (err)
		return err;
	err = p2m_stores_init();
	if (err)
		goto out_pages;
	p2m_sharing_init();
	p2m_debugfs_init();
	err = misc_register(&p2m_misc);
	if (err)
		goto out_stores;
	return 0;

out_stores:
	p2m_debugfs_exit();
	p2m_stores_exit();
out_pages:
	p2m_pages_exit();
	return err;
}
module_init(p2m_init);

static void __exit p2m_exit(void)
{
	misc_deregister(&p2m_misc);
	p2m_debugfs_exit();
	p2m_stores_exit();
	p2m_pages_exit();
	/* Tables are freed by RCU. */
	rcu_barrier();
}
module_exit(p2m_exit);

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_DESCRIPTION("Guest memory with a gfn->pfn map that can be worked on");
MODULE_LICENSE("GPL");
