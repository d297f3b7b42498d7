// SPDX-License-Identifier: GPL-2.0
/*
 * Touches of guest frames that no page table maps: by the guest, through KVM,
 * and by the VMM.
 *
 * The page goes back to the memory manager locked.  It stays so until it is
 * mapped, which is after the range has been put: that is how p2m_page_out()
 * knows that nobody is about to map what it is taking away.
 */

#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "guest.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Somebody holds @gfn, and mmap_lock should not be held while waiting. */
static vm_fault_t p2m_fault_retry(struct vm_fault *vmf, struct p2m_guest *guest)
{
	unsigned long gfn = vmf->pgoff;
	struct file *file;
	enum p2m_wait wait;

	p2m_count_event(guest, retries);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	if (vmf->flags & FAULT_FLAG_INTERRUPTIBLE)
		wait = P2M_WAIT_INTERRUPTIBLE;
	else if (vmf->flags & FAULT_FLAG_KILLABLE)
		wait = P2M_WAIT_KILLABLE;
	else
		wait = P2M_WAIT;

	/* Without mmap_lock the mapping may go, and with it the guest. */
	file = get_file(vmf->vma->vm_file);
	p2m_release_fault_lock(vmf);
	/* An error is for the caller to find: a signal, or the next attempt. */
	if (!__get_p2m(&guest->lock, gfn, 1, wait, 0))
		put_p2m_gfn(&guest->lock, gfn);
	fput(file);
	return VM_FAULT_RETRY;
}

/* The first touch: a zero page. */
static int p2m_populate_zero(struct p2m_guest *guest, unsigned long gfn)
{
	struct page *page;
	int err;

	page = p2m_page_alloc(GFP_HIGHUSER | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	__SetPageUptodate(page);
	err = p2m_set_entry(&guest->map, gfn, p2m_make_entry(p2m_ram_rw, page));
	if (err) {
		p2m_page_free(page);
		return err;
	}
	p2m_count_event(guest, zeroed);
	return 0;
}

/* See to it that @gfn, which is held, has a page. */
static int p2m_populate(struct p2m_guest *guest, unsigned long gfn,
			struct p2m_entry entry)
{
	switch (p2m_entry_type(entry)) {
	case p2m_mmio_dm:
		return p2m_populate_zero(guest, gfn);
	case p2m_paged:
		return p2m_paging_populate(guest, gfn);
	default:
		return 0;
	}
}

static vm_fault_t p2m_fault_held(struct vm_fault *vmf, struct p2m_guest *guest)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, vmf->pgoff);
	vm_fault_t ret = VM_FAULT_LOCKED;
	int err;

	err = p2m_populate(guest, vmf->pgoff, entry);
	if (err) {
		ret = err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	} else {
		vmf->page = p2m_entry_page(p2m_get_entry(&guest->map, vmf->pgoff));
		get_page(vmf->page);
		lock_page(vmf->page);
	}
	trace_p2m_fault(guest->id, vmf->pgoff, p2m_entry_type(entry), ret);
	return ret;
}

static vm_fault_t p2m_touch(struct vm_fault *vmf, struct p2m_guest *guest)
{
	unsigned long gfn = vmf->pgoff;
	vm_fault_t ret;
	int err;

	err = try_get_p2m(&guest->lock, gfn, 0);
	if (err == -EBUSY && fault_flag_allow_retry_first(vmf->flags))
		return p2m_fault_retry(vmf, guest);
	/*
	 * Wait here if it was waited for elsewhere before, so that this ends.
	 * No holder waits for mmap_lock: see the order of locks in guest.h.
	 */
	if (err)
		err = get_p2m_killable(&guest->lock, gfn, 0);
	if (err)
		return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;

	ret = p2m_fault_held(vmf, guest);
	put_p2m_gfn(&guest->lock, gfn);
	return ret;
}

static vm_fault_t p2m_fault(struct vm_fault *vmf)
{
	struct p2m_guest *guest = vmf->vma->vm_private_data;
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	vm_fault_t ret;

	p2m_count_event(guest, faults);
	/* May let go of the guest. */
	ret = p2m_touch(vmf, guest);
	set_active_memcg(old);
	return ret;
}

const struct vm_operations_struct p2m_vm_ops = {
	.fault = p2m_fault,
};
