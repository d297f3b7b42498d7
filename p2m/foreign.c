// SPDX-License-Identifier: GPL-2.0
/*
 * Foreign mappings: frames of a guest that another process maps.
 *
 *	 any -- populate, make writable --> ram_rw -- FOREIGN_MAP --> ram_rw,
 *	                                      ^                       held
 *	                                      |                         |
 *	                                      '-------------------------'
 *	                                      last descriptor, last mapping
 *
 * "Held" is not a state of the map.  P2M_FOREIGN_MAP takes a reference to each
 * page while it holds the chunk; then the hold ends.  The reference alone makes
 * paging and sharing say that the frame is busy, and makes log-dirty keep it
 * dirty: these are their rules for any page that somebody references.  So a
 * foreign mapping that lives for ever blocks nobody.  It does not know the
 * guest or its lock: the guest may go, and the pages stay until the last
 * mapping goes.
 */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "fault.h"
#include "foreign.h"
#include "huge.h"
#include "page.h"
#include "pod.h"
#include "walk.h"

/**
 * struct p2m_foreign_pages - the pages of a descriptor
 * @nr: how many
 * @page: each with a reference
 */
struct p2m_foreign_pages {
	unsigned long	nr;
	struct page	*page[];
};

static void p2m_foreign_free(struct p2m_foreign_pages *pages)
{
	unsigned long i;

	for (i = 0; i < pages->nr; i++) {
		p2m_pages_free(pages->page[i], P2M_4K);
		cond_resched();
	}
	kvfree(pages);
}

/* ---- The descriptor ----------------------------------------------- */

static vm_fault_t p2m_foreign_fault(struct vm_fault *vmf)
{
	struct p2m_foreign_pages *pages = vmf->vma->vm_private_data;

	/* Past the end, where only mremap() can get to. */
	if (vmf->pgoff >= pages->nr)
		return VM_FAULT_SIGBUS;
	vmf->page = pages->page[vmf->pgoff];
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct p2m_foreign_vm_ops = {
	.fault = p2m_foreign_fault,
};

/* If this is to be read-only, so is the file; the memory manager sees to it. */
static int p2m_foreign_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct p2m_foreign_pages *pages = file->private_data;
	unsigned long end;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (check_add_overflow(vma->vm_pgoff, vma_pages(vma), &end) ||
	    end > pages->nr)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND);
	vma->vm_private_data = pages;
	vma->vm_ops = &p2m_foreign_vm_ops;
	return 0;
}

static int p2m_foreign_release(struct inode *inode, struct file *file)
{
	p2m_foreign_free(file->private_data);
	return 0;
}

static const struct file_operations p2m_foreign_fops = {
	.owner = THIS_MODULE,
	.mmap = p2m_foreign_mmap,
	.release = p2m_foreign_release,
	.llseek = noop_llseek,
};

/* ---- The call ----------------------------------------------------- */

/* Make it writable?  A shared page has other sharers and may be replaced. */
static bool p2m_foreign_write(struct p2m_guest *guest, unsigned long gfn,
			      bool write)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	return write || p2m_entry_type(entry) == p2m_shared;
}

/* Take the pages of [gfn, end), in one chunk, which is held. */
static int p2m_foreign_take(struct p2m_guest *guest, unsigned long gfn,
			    unsigned long end, bool write,
			    struct p2m_foreign_pages *pages)
{
	struct page *page;
	int err;

	err = p2m_shatter(guest, gfn);
	for (; !err && gfn < end; gfn++) {
		err = p2m_touch_page(guest, gfn,
				     p2m_foreign_write(guest, gfn, write));
		if (err)
			break;
		page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
		p2m_page_hold(page);
		pages->page[pages->nr++] = page;
	}
	return err;
}

/* Take the pages of [gfn, end), holding a chunk at a time. */
static int p2m_foreign_take_all(struct p2m_guest *guest, unsigned long gfn,
				unsigned long end, bool write,
				struct p2m_foreign_pages *pages)
{
	unsigned long first = gfn, nr;
	struct p2m_hold hold;
	int err = 0;

	while (!err && gfn < end) {
		cond_resched();
		nr = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS)) - gfn;
		err = signal_pending(current) ? -EINTR :
		      p2m_hold(&hold, guest, gfn, nr);
		if (err)
			break;
		err = p2m_foreign_take(guest, gfn, gfn + nr, write, pages);
		p2m_unhold(&hold);
		/* Look for zero pages, as a touch does. */
		if (err == -ENOSPC)
			err = p2m_pod_make_room(guest);
		gfn = first + pages->nr;
	}
	this_cpu_add(guest->counters->foreign, pages->nr);
	return err;
}

static int p2m_foreign_range(struct p2m_guest *guest, struct p2m_foreign *arg)
{
	long end = p2m_range_end(guest, arg->gfn, arg->nr);

	if (arg->reserved || arg->nr > P2M_FOREIGN_MAX)
		return -EINVAL;
	if (end < 0)
		return end;
	return end == arg->gfn + arg->nr ? 0 : -ERANGE;
}

/**
 * p2m_foreign_map() - the first half of P2M_FOREIGN_MAP: make the descriptor
 * @guest: the guest
 * @arg: the argument of the call
 * @file: out: for p2m_foreign_mapped(), which the caller calls next
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0, or an error in the manual of the call.
 */
int p2m_foreign_map(struct p2m_guest *guest, struct p2m_foreign *arg,
		    struct file **file)
{
	bool write = !(arg->flags & P2M_FOREIGN_READONLY);
	struct p2m_foreign_pages *pages;
	int err;

	err = p2m_foreign_range(guest, arg);
	if (err)
		return err;
	/* Charged to the caller: it is not the guest's. */
	pages = kvzalloc(struct_size(pages, page, arg->nr), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	err = p2m_foreign_take_all(guest, arg->gfn, arg->gfn + arg->nr, write,
				   pages);
	if (err)
		goto out_pages;
	err = get_unused_fd_flags(O_CLOEXEC);
	if (err < 0)
		goto out_pages;
	arg->fd = err;
	*file = anon_inode_getfile("p2m-foreign", &p2m_foreign_fops, pages,
				   write ? O_RDWR : O_RDONLY);
	if (!IS_ERR(*file))
		return 0;
	err = PTR_ERR(*file);
	put_unused_fd(arg->fd);
out_pages:
	p2m_foreign_free(pages);
	return err;
}

/**
 * p2m_foreign_mapped() - the second half of P2M_FOREIGN_MAP
 * @arg: as from p2m_foreign_map()
 * @file: as from p2m_foreign_map()
 * @told: whether the caller knows the descriptor; if not, it is closed
 *
 * Context: process context, holding nothing; may sleep.
 */
void p2m_foreign_mapped(struct p2m_foreign *arg, struct file *file, bool told)
{
	if (told) {
		fd_install(arg->fd, file);
	} else {
		put_unused_fd(arg->fd);
		fput(file);
	}
}
