// SPDX-License-Identifier: GPL-2.0
/* /dev/p2m: each open is a guest without a name. uapi/p2m.h is the manual. */

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "calls.h"
#include "compat.h"
#include "debugfs.h"
#include "fault.h"
#include "fs.h"
#include "page.h"
#include "pager.h"
#include "sharing.h"
#include "store.h"

static int p2m_open(struct inode *inode, struct file *file)
{
	struct p2m_guest *guest = p2m_fs_unnamed();

	if (IS_ERR(guest))
		return PTR_ERR(guest);
	file->private_data = guest;
	/* The guest's mappings are those of this file. */
	file->f_mapping = guest->inode->i_mapping;
	return 0;
}

/* A process closes a descriptor, maybe because it dies. */
static int p2m_flush(struct file *file, fl_owner_t id)
{
	p2m_pager_flush(file->private_data, id);
	return 0;
}

static int p2m_release(struct inode *inode, struct file *file)
{
	struct p2m_guest *guest = file->private_data;

	iput(guest->inode);
	return 0;
}

/* A guest is as large as what is mapped of it. */
static int p2m_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct p2m_guest *guest = file->private_data;
	int err = p2m_mmap(guest, vma);

	if (err)
		return err;
	/* Frames past the end do not exist, so mremap() may not reach them. */
	vm_flags_set(vma, VM_DONTEXPAND);
	p2m_guest_grow(guest, vma->vm_pgoff + vma_pages(vma));
	return 0;
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

static loff_t p2m_llseek(struct file *file, loff_t pos, int whence)
{
	struct p2m_guest *guest = file->private_data;
	loff_t end = (loff_t)atomic_long_read(&guest->gfns) << PAGE_SHIFT;

	return generic_file_llseek_size(file, pos, whence, MAX_LFS_FILESIZE,
					end);
}

static const struct file_operations p2m_fops = {
	.owner = THIS_MODULE,
	.open = p2m_open,
	.flush = p2m_flush,
	.read = p2m_read,
	.poll = p2m_poll,
	.release = p2m_release,
	.mmap = p2m_dev_mmap,
	/* So that chunks can be mapped as 2 MB. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = p2m_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = p2m_llseek,
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

	p2m_sharing_init();
	err = p2m_fs_init();
	if (err)
		return err;
	p2m_debugfs_init();
	err = misc_register(&p2m_misc);
	if (err)
		goto out_debugfs;
	err = p2m_fs_register();
	if (err)
		goto out_misc;
	return 0;

out_misc:
	misc_deregister(&p2m_misc);
out_debugfs:
	p2m_debugfs_exit();
	p2m_fs_exit();
	return err;
}
module_init(p2m_init);

static void __exit p2m_exit(void)
{
	p2m_fs_unregister();
	misc_deregister(&p2m_misc);
	p2m_debugfs_exit();
	p2m_fs_exit();
	WARN_ON(p2m_pages_total() || p2m_stores_total());
	/* Tables are freed by RCU. */
	rcu_barrier();
}
module_exit(p2m_exit);

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_DESCRIPTION("Guest memory with a gfn->pfn map that can be worked on");
MODULE_LICENSE("GPL");
