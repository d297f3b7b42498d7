// SPDX-License-Identifier: GPL-2.0
/*
 * Touches of guest frames that no page table maps: by the guest (through KVM),
 * and by the VMM.
 *
 * The page goes to the memory manager locked.  It stays locked until it is
 * mapped, which may be after the range was put.  So p2m_unmap() can wait for a
 * fault that is about to map a page that is being taken.
 */

#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>

#include "compat.h"
#include "dirty.h"
#include "fault.h"
#include "huge.h"
#include "page.h"
#include "pager.h"
#include "paging.h"
#include "pod.h"
#include "poison.h"
#include "sharing.h"
#include "store.h"
#include "walk.h"
#include "zero.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* What a touch is like */
#define P2M_TOUCH_WRITE	(1U << 0)	/* it is going to be written to */
#define P2M_TOUCH_HUGE	(1U << 1)	/* the page may be 2 MB */
#define P2M_TOUCH_QUICK	(1U << 2)	/* do not wait for I/O: -EINPROGRESS */

/*
 * May the page of the chunk be 2 MB?  It can be mapped so only if the mapping
 * has all of the chunk, at an address that is aligned as the chunk is.
 */
static bool p2m_fault_huge(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start = vmf->address & PMD_MASK;

	return IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) &&
	       !(vma->vm_flags & VM_NOHUGEPAGE) && start >= vma->vm_start &&
	       start + PMD_SIZE <= vma->vm_end &&
	       IS_ALIGNED((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff,
			  P2M_CHUNK_GFNS);
}

/* ---- What a touch means ------------------------------------------- */

/* The first touch: a zero page. */
static int p2m_touch_nothing(struct p2m_guest *guest, unsigned long gfn,
			     unsigned int touch, struct vm_fault *vmf)
{
	struct p2m_entry was = p2m_get_entry(&guest->map, gfn), entry;
	struct page *page;
	int err;

	if (touch & P2M_TOUCH_HUGE && !p2m_huge_populate(guest, gfn, vmf)) {
		this_cpu_add(guest->counters->zeroed, P2M_CHUNK_GFNS);
		p2m_zero_unmap(guest, gfn, was);
		return 0;
	}
	/* A chunk with nothing may be one entry, because it is dirty or read. */
	err = p2m_huge_split(guest, gfn);
	if (err)
		return err;
	page = p2m_page_alloc(__GFP_ZERO, vmf, NUMA_NO_NODE);
	if (!page)
		return -ENOMEM;
	__SetPageUptodate(page);
	entry = p2m_get_entry(&guest->map, gfn);
	entry = p2m_retype_entry(entry, p2m_ram_type(guest, entry));
	err = p2m_set_entry(&guest->map, gfn, P2M_4K,
			    p2m_repage_entry(entry, page));
	if (err) {
		p2m_pages_free(page, P2M_4K);
		return err;
	}
	p2m_count_event(guest, zeroed);
	p2m_zero_unmap(guest, gfn, was);
	return 0;
}

static int p2m_touch_pod(struct p2m_guest *guest, unsigned long gfn,
			 unsigned int touch, struct vm_fault *vmf)
{
	struct p2m_entry was = p2m_get_entry(&guest->map, gfn);
	int err = p2m_pod_populate(guest, gfn, touch & P2M_TOUCH_HUGE, vmf);

	if (!err)
		p2m_zero_unmap(guest, gfn, was);
	return err;
}

/* The frame was nominated, and is touched: so it is not evicted. */
static int p2m_touch_nominated(struct p2m_guest *guest, unsigned long gfn,
			       unsigned int touch, struct vm_fault *vmf)
{
	p2m_make_ram(guest, gfn);
	return 0;
}

/* A pager is about to resume the frame.  If it is gone, nobody will. */
static int p2m_touch_prepped(struct p2m_guest *guest, unsigned long gfn,
			     unsigned int touch, struct vm_fault *vmf)
{
	if (p2m_pager_is_there(guest))
		return -EAGAIN;
	p2m_make_ram(guest, gfn);
	return 0;
}

/* The pager or the store has the contents. */
static int p2m_touch_paged(struct p2m_guest *guest, unsigned long gfn,
			   unsigned int touch, struct vm_fault *vmf)
{
	int err;

	if (p2m_entry_with_pager(p2m_get_entry(&guest->map, gfn))) {
		err = p2m_pager_ask(guest, gfn, touch & P2M_TOUCH_WRITE);
		if (err != -ENOTCONN)
			return err;
	}
	if (touch & P2M_TOUCH_QUICK && p2m_store_is_slow(guest, gfn))
		return -EINPROGRESS;
	err = p2m_paging_populate(guest, gfn, vmf);
	if (!err)
		count_vm_event(PGMAJFAULT);
	return err;
}

static int p2m_write_ram(struct p2m_guest *guest, unsigned long gfn,
			 struct vm_fault *vmf)
{
	return p2m_dirty_mark(guest, gfn);
}

static int p2m_write_nominated(struct p2m_guest *guest, unsigned long gfn,
			       struct vm_fault *vmf)
{
	p2m_make_ram(guest, gfn);
	return p2m_dirty_mark(guest, gfn);
}

static int p2m_write_shared(struct p2m_guest *guest, unsigned long gfn,
			    struct vm_fault *vmf)
{
	int err = p2m_unshare(guest, gfn, vmf);

	return err ?: p2m_dirty_mark(guest, gfn);
}

#define ROW(type, populate, write, drop, check)				\
	[p2m_##type] = { populate, write, drop, check }
const struct p2m_type_ops p2m_type_ops[P2M_NR_TYPES] = {
	ROW(mmio_dm, p2m_touch_nothing, NULL, NULL, NULL),
	ROW(ram_rw, NULL, p2m_write_ram, p2m_page_drop, p2m_page_check),
	ROW(logdirty, NULL, p2m_write_ram, p2m_page_drop, p2m_page_check),
	ROW(shared, NULL, p2m_write_shared, p2m_shared_drop, p2m_shared_check),
	ROW(paging_out, p2m_touch_nominated, p2m_write_nominated,
	    p2m_page_drop, NULL),
	ROW(paged, p2m_touch_paged, NULL, p2m_store_drop, p2m_store_check),
	ROW(paging_in, p2m_touch_paged, NULL, p2m_store_drop, p2m_store_check),
	ROW(pod, p2m_touch_pod, NULL, NULL, NULL),
	ROW(prepped, p2m_touch_prepped, NULL, p2m_page_drop, NULL),
	ROW(broken, NULL, NULL, NULL, NULL),
	ROW(taken, NULL, NULL, p2m_page_drop, p2m_taken_check),
};

#undef ROW

static const struct p2m_type_ops *p2m_ops(struct p2m_guest *guest,
					  unsigned long gfn)
{
	return &p2m_type_ops[p2m_entry_type(p2m_get_entry(&guest->map, gfn))];
}

/* Make @gfn, which is held and has a page, writable. */
static int p2m_make_writable(struct p2m_guest *guest, unsigned long gfn,
			     struct vm_fault *vmf)
{
	const struct p2m_type_ops *ops = p2m_ops(guest, gfn);

	return ops->write ? ops->write(guest, gfn, vmf) : 0;
}

/*
 * Make it possible to touch @gfn, which is held.  @vmf is the touch, if it is
 * of a mapping, and mmap_lock is held.
 */
static int p2m_make_touchable(struct p2m_guest *guest, unsigned long gfn,
			      unsigned int touch, struct vm_fault *vmf)
{
	const struct p2m_type_ops *ops = p2m_ops(guest, gfn);
	int err = 0;

	/* A file may end before a mapping of it does. */
	if (gfn >= atomic_long_read(&guest->gfns))
		return -ERANGE;
	/* Log-dirty counts frames. */
	if (guest->log_dirty)
		touch &= ~P2M_TOUCH_HUGE;
	if (ops->populate)
		err = ops->populate(guest, gfn, touch, vmf);
	if (!err)
		err = p2m_check_poison(guest, gfn);
	if (!err && touch & P2M_TOUCH_WRITE)
		err = p2m_make_writable(guest, gfn, vmf);
	return err;
}

/**
 * p2m_touch_page() - give a frame a page of 4 KB, as a touch does
 * @guest: the guest
 * @gfn: the frame
 * @write: whether it will be written
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -ENOMEM; -EIO if the contents cannot be read; -ENOSPC if the pool
 * of populate-on-demand is empty; -EHWPOISON if the frame is broken; -EBUSY if
 * a pager has to be asked.
 */
int p2m_touch_page(struct p2m_guest *guest, unsigned long gfn, bool write)
{
	int err = p2m_make_touchable(guest, gfn, write ? P2M_TOUCH_WRITE : 0,
				     NULL);

	if (err == -EAGAIN)
		return -EBUSY;
	if (!err && !p2m_entry_page(p2m_get_entry(&guest->map, gfn)))
		return -EBUSY;
	return err;
}

/* Populate the frames of [*gfn, end), in one chunk, which is held. */
static int p2m_populate_held(struct p2m_guest *guest, unsigned long *gfn,
			     unsigned long end)
{
	bool whole = IS_ALIGNED(*gfn, P2M_CHUNK_GFNS) &&
		     IS_ALIGNED(end, P2M_CHUNK_GFNS);
	struct p2m_entry entry;
	int err = 0;

	for (; *gfn < end; ++*gfn) {
		entry = p2m_get_entry(&guest->map, *gfn);
		if (p2m_type_is_hole(p2m_entry_type(entry)))
			err = p2m_make_touchable(guest, *gfn,
						 whole ? P2M_TOUCH_HUGE : 0,
						 NULL);
		if (err)
			break;
	}
	return err;
}

/**
 * p2m_populate() - give pages to frames that have nothing
 * @guest: the guest
 * @gfn: the first frame
 * @end: the end
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EINTR on a signal; -ENOMEM; -ENOSPC if the pool of
 * populate-on-demand is empty; -ERANGE past the end of the guest.  After an
 * error some have pages.
 */
int p2m_populate(struct p2m_guest *guest, unsigned long gfn, unsigned long end)
{
	struct p2m_hold hold;
	unsigned long next;
	int err = 0;

	while (!err && gfn < end) {
		cond_resched();
		next = min(end, round_up(gfn + 1, P2M_CHUNK_GFNS));
		err = signal_pending(current) ? -EINTR :
		      p2m_hold(&hold, guest, gfn, next - gfn);
		if (err)
			break;
		err = p2m_populate_held(guest, &gfn, next);
		p2m_unhold(&hold);
		if (err == -ENOSPC)
			err = p2m_pod_make_room(guest);
	}
	return err;
}

/* Is it a part of a large page that has 512 entries? */
static bool p2m_fault_is_part(struct p2m_entry entry, struct page *page)
{
	return PageCompound(page) && !p2m_entry_order(entry);
}

static vm_fault_t p2m_error(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -ENOMEM:
		return VM_FAULT_OOM;
	case -EINTR:
		return VM_FAULT_NOPAGE;	/* the task finds its signal */
	case -EAGAIN:
	case -EINPROGRESS:
		return VM_FAULT_RETRY;	/* after the wait */
	case -EHWPOISON:
		return VM_FAULT_HWPOISON;
	default:
		return VM_FAULT_SIGBUS;
	}
}

static unsigned int p2m_fault_touch(struct vm_fault *vmf)
{
	unsigned int touch = 0;

	if (vmf->flags & FAULT_FLAG_WRITE)
		touch |= P2M_TOUCH_WRITE;
	if (p2m_fault_huge(vmf))
		touch |= P2M_TOUCH_HUGE;
	/* Only once, so that this ends. */
	if (fault_flag_allow_retry_first(vmf->flags))
		touch |= P2M_TOUCH_QUICK;
	return touch;
}

/* A read of a frame that has nothing: is there a page of zeros for it? */
static bool p2m_fault_zero(struct vm_fault *vmf, struct p2m_guest *guest,
			   struct p2m_entry entry, struct page **page)
{
	enum p2m_type type = p2m_entry_type(entry);

	/* mlock(2) asks for pages by reading. */
	if (vmf->flags & FAULT_FLAG_WRITE || !p2m_type_is_hole(type) ||
	    vmf->vma->vm_flags & VM_LOCKED ||
	    vmf->pgoff >= atomic_long_read(&guest->gfns))
		return false;
	return p2m_zero_map(guest, vmf->pgoff,
			    p2m_fault_huge(vmf) &&
			    pmd_none(READ_ONCE(*vmf->pmd)), page);
}

/* Find the page of the frame, which has had one. */
static int p2m_fault_page(struct vm_fault *vmf, struct p2m_guest *guest,
			  struct page **page, vm_fault_t *result)
{
	struct p2m_entry entry;

	/* If there is a page table, 4 KB are mapped. */
	if (pmd_none(READ_ONCE(*vmf->pmd)))
		p2m_check_poison_2m(guest, vmf->pgoff);
	entry = p2m_get_entry(&guest->map, vmf->pgoff);
	*page = p2m_entry_page_of(entry, vmf->pgoff);
	/* It was poisoned just now. */
	if (!*page)
		return -EHWPOISON;
	if (p2m_fault_is_part(entry, *page))
		*result = p2m_map_part(vmf, *page);
	return 0;
}

/* Give the page to the memory manager, locked. */
static int p2m_fault_lock(struct vm_fault *vmf, struct page *page)
{
	get_page(page);
	lock_page(page);
	/* It may have been poisoned while we waited for the lock. */
	if (p2m_page_is_poisoned(page)) {
		unlock_page(page);
		put_page(page);
		return -EHWPOISON;
	}
	vmf->page = page;
	return 0;
}

/*
 * The frame is held.  After 0 the fault returns @result, and the page is locked
 * and in @vmf, unless it is mapped already.
 */
static int p2m_fault_held(struct vm_fault *vmf, struct p2m_guest *guest,
			  vm_fault_t *result)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, vmf->pgoff);
	enum p2m_type type = p2m_entry_type(entry);
	struct page *page = NULL;
	int err = 0;

	*result = 0;
	if (!p2m_fault_zero(vmf, guest, entry, &page))
		err = p2m_make_touchable(guest, vmf->pgoff,
					 p2m_fault_touch(vmf), vmf);
	if (!err && !page)
		err = p2m_fault_page(vmf, guest, &page, result);
	if (!err && !*result) {
		err = p2m_fault_lock(vmf, page);
		*result = VM_FAULT_LOCKED;
	}
	if (!err && type == p2m_paged)
		*result |= VM_FAULT_MAJOR;
	trace_p2m_fault(guest->id, vmf->pgoff, type,
			err ? p2m_error(err) : *result);
	return err;
}

/* What to do for a fault with these flags when mmap_lock is not held */
typedef void (*p2m_later_fn)(struct p2m_guest *guest, unsigned long gfn,
			     unsigned int flags);

/* Drop mmap_lock, do what the touch waits for, and let it be made again. */
static vm_fault_t p2m_fault_later(struct vm_fault *vmf, struct p2m_guest *guest,
				  p2m_later_fn later)
{
	struct file *file;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	/* Without mmap_lock the mapping may go, and the guest with it. */
	file = get_file(vmf->vma->vm_file);
	p2m_release_fault_lock(vmf);
	later(guest, vmf->pgoff, vmf->flags);
	fput(file);
	return VM_FAULT_RETRY;
}

static int p2m_get_later(struct p2m_guest *guest, unsigned long gfn,
			 unsigned int flags)
{
	enum p2m_wait wait = P2M_WAIT;

	if (flags & FAULT_FLAG_INTERRUPTIBLE)
		wait = P2M_WAIT_INTERRUPTIBLE;
	else if (flags & FAULT_FLAG_KILLABLE)
		wait = P2M_WAIT_KILLABLE;
	return get_p2m_range(&guest->lock, gfn, 1, wait, 0);
}

/* Wait for the holder.  After an error the next attempt finds the reason. */
static void p2m_wait_later(struct p2m_guest *guest, unsigned long gfn,
			   unsigned int flags)
{
	if (!p2m_get_later(guest, gfn, flags))
		put_p2m_gfn(&guest->lock, gfn);
}

/* Read contents that take I/O. */
static void p2m_read_later(struct p2m_guest *guest, unsigned long gfn,
			   unsigned int flags)
{
	if (p2m_get_later(guest, gfn, flags))
		return;
	p2m_touch_page(guest, gfn, false);
	put_p2m_gfn(&guest->lock, gfn);
}

static void p2m_make_room_later(struct p2m_guest *guest, unsigned long gfn,
				unsigned int flags)
{
	p2m_pod_make_room_for(guest, gfn);
}

/* The pool is empty.  Nothing is held but mmap_lock. */
static vm_fault_t p2m_fault_no_room(struct vm_fault *vmf,
				    struct p2m_guest *guest)
{
	int err;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		err = p2m_pod_make_room(guest);
		/* If there is room, the touch is made again. */
		return err ? p2m_error(err) : VM_FAULT_NOPAGE;
	}
	if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT) &&
	    p2m_pod_refused(guest, vmf->pgoff))
		return p2m_error(-ENOSPC);
	return p2m_fault_later(vmf, guest, p2m_make_room_later);
}

/* Wait for the pager, in the way that the fault allows. */
static void p2m_pager_later(struct p2m_guest *guest, unsigned long gfn,
			    unsigned int flags)
{
	unsigned int user = FAULT_FLAG_INTERRUPTIBLE | FAULT_FLAG_USER;
	unsigned int state = TASK_UNINTERRUPTIBLE;

	/*
	 * When the kernel itself touches user memory, it goes on after a signal
	 * that does not kill.  Interrupt such a fault once, for callers that
	 * care, but not each time.
	 */
	if ((flags & user) == user ||
	    (flags & FAULT_FLAG_INTERRUPTIBLE && !(flags & FAULT_FLAG_TRIED)))
		state = TASK_INTERRUPTIBLE;
	else if (flags & FAULT_FLAG_KILLABLE)
		state = TASK_KILLABLE;
	p2m_pager_wait(guest, gfn, state);
}

/* Has this memory a user that was not killed? */
static bool p2m_mm_is_used(struct mm_struct *mm)
{
	bool used = true;
#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	used = owner && !(READ_ONCE(owner->signal->flags) & SIGNAL_GROUP_EXIT);
	rcu_read_unlock();
#endif
	return used;
}

/*
 * A kernel thread cannot be killed.  So a pager that does not answer must not
 * block it, nor the tasks that wait for it.  KVM's worker for asynchronous page
 * faults gives up when it tries again after one wait; then its vCPU waits
 * itself.  Other threads that use a VMM's memory (vhost's) go on until the VMM
 * is killed.
 */
static bool p2m_fault_gives_up(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf->vma->vm_mm;

	if (!(current->flags & PF_KTHREAD))
		return false;
	return current->mm == mm ? !p2m_mm_is_used(mm) :
				   vmf->flags & FAULT_FLAG_TRIED;
}

/* The pager was asked for the frame. */
static vm_fault_t p2m_fault_pager(struct vm_fault *vmf, struct p2m_guest *guest)
{
	if (p2m_fault_gives_up(vmf))
		return VM_FAULT_SIGBUS;
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		/* In any case the touch is made again. */
		p2m_pager_wait(guest, vmf->pgoff, TASK_KILLABLE);
		return VM_FAULT_NOPAGE;
	}
	return p2m_fault_later(vmf, guest, p2m_pager_later);
}

static vm_fault_t p2m_touch(struct vm_fault *vmf, struct p2m_guest *guest)
{
	struct p2m_rangelock_hold hold;
	unsigned long gfn = vmf->pgoff;
	vm_fault_t result;
	int err;

	/*
	 * A file may be mapped past its end.  That must not cost memory, as a
	 * hold there would.
	 */
	if (gfn >= atomic_long_read(&guest->gfns))
		return VM_FAULT_SIGBUS;
	err = get_p2m_hold(&hold, &guest->lock, gfn, 0, P2M_TRY);
	if ((err == -EBUSY || err == -ENOMEM) &&
	    fault_flag_allow_retry_first(vmf->flags)) {
		p2m_count_event(guest, retries);
		return p2m_fault_later(vmf, guest, p2m_wait_later);
	}
	/*
	 * Wait here if the fault has waited before, so that this ends.  No
	 * holder waits for mmap_lock: see the order of locks in guest.h.
	 */
	if (err)
		err = get_p2m_hold(&hold, &guest->lock, gfn, 0,
				   P2M_WAIT_KILLABLE);
	if (err)
		return p2m_error(err);

	err = p2m_fault_held(vmf, guest, &result);
	put_p2m_hold(&hold);
	if (err == -ENOSPC)
		return p2m_fault_no_room(vmf, guest);
	if (err == -EAGAIN)
		return p2m_fault_pager(vmf, guest);
	if (err == -EINPROGRESS)
		return p2m_fault_later(vmf, guest, p2m_read_later);
	return err ? p2m_error(err) : result;
}

/*
 * There is no memory for a touch.  Nothing is held but mmap_lock.  A call would
 * return an error.  A touch cannot, so it is an out-of-memory event, as for any
 * memory.  This comes late, because a task that is killed for it may wait for a
 * range that was held.
 */
static vm_fault_t p2m_fault_oom(struct vm_fault *vmf, struct p2m_guest *guest)
{
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	struct folio *page;
	void *room;

	/* As much as the most that a touch needs at once: a table of the lock. */
	room = kmalloc_array(P2M_FANOUT, sizeof(struct p2m_node),
			     GFP_KERNEL_ACCOUNT);
	/* The nodes for the page may be full, and others not. */
	page = p2m_vma_alloc_folio(GFP_HIGHUSER | __GFP_ACCOUNT, P2M_4K,
				   vmf->vma, vmf->address & PAGE_MASK);
	set_active_memcg(old);
	kfree(room);
	if (page)
		folio_put(page);
	/* If there is memory again, the touch is made again. */
	return room && page ? VM_FAULT_NOPAGE : VM_FAULT_OOM;
}

static vm_fault_t p2m_fault(struct vm_fault *vmf)
{
	struct p2m_guest *guest = vmf->vma->vm_private_data;
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	vm_fault_t ret;

	p2m_count_event(guest, faults);
	/* This may drop the guest. */
	ret = p2m_touch(vmf, guest);
	set_active_memcg(old);
	return ret == VM_FAULT_OOM ? p2m_fault_oom(vmf, guest) : ret;
}

/* Does the map allow writes to this page at this instant? */
static bool p2m_may_write(struct vm_fault *vmf, struct p2m_guest *guest)
{
	struct p2m_entry entry = p2m_lookup(&guest->map, vmf->pgoff);
	struct page *page = vmf->page;

	if (p2m_entry_type(entry) != p2m_ram_rw ||
	    p2m_entry_page_of(entry, vmf->pgoff) != page ||
	    p2m_page_is_poisoned(page))
		return false;
	if (!p2m_entry_dirty(entry) && READ_ONCE(guest->log_dirty))
		return false;
	/*
	 * The chunk may have been split after p2m_fault(), which saw one entry.
	 * Then all of the large page would be mapped writable.
	 */
	return p2m_entry_order(entry) || !PageCompound(page) ||
	       p2m_writes_one(vmf);
}

static int p2m_hold_and_make_writable(struct vm_fault *vmf,
				      struct p2m_guest *guest)
{
	unsigned long gfn = vmf->pgoff;
	struct p2m_hold hold;
	int err;

	/* With mmap_lock, which no holder waits for: see guest.h. */
	err = p2m_hold_wait(&hold, guest, gfn, 1, P2M_WAIT_KILLABLE);
	if (err)
		return err;
	err = p2m_check_poison(guest, gfn);
	if (!err)
		err = p2m_make_writable(guest, gfn, vmf);
	/* If zeros were mapped, the touch comes again, and finds a page. */
	p2m_zero_forget(guest, gfn);
	p2m_unhold(&hold);
	return err;
}

/*
 * A write to a page that is mapped, or that p2m_fault() has just found.  Mostly
 * it is allowed, and no hold is needed to know.  A task that takes the page
 * away changes the entry first, and then waits for the page's lock.  We hold
 * that lock from here until the page is mapped.
 */
static vm_fault_t p2m_page_mkwrite(struct vm_fault *vmf)
{
	struct p2m_guest *guest = vmf->vma->vm_private_data;
	struct page *page = vmf->page;
	unsigned int tries;
	int err;

	for (tries = 0; tries < 2; tries++) {
		lock_page(page);
		/*
		 * Lock first, then look up.  Pairs with smp_mb() in
		 * p2m_unmap().
		 */
		smp_mb();
		if (p2m_may_write(vmf, guest))
			return VM_FAULT_LOCKED;
		unlock_page(page);
		if (tries)
			break;
		err = p2m_hold_and_make_writable(vmf, guest);
		if (err == -ENOMEM)
			return p2m_fault_oom(vmf, guest);
		if (err)
			return p2m_error(err);
	}
	/*
	 * The frame has another page, or none, or a part: the touch is made
	 * again.
	 */
	return VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct p2m_vm_ops = {
	.fault = p2m_fault,
	.page_mkwrite = p2m_page_mkwrite,
};

/**
 * p2m_mmap() - let a mapping be of a guest
 * @guest: the guest
 * @vma: the mapping, which keeps the guest by its file
 *
 * Context: mmap(2), with mmap_lock.
 * Return: 0; -EINVAL for MAP_PRIVATE; -EOVERFLOW if the end is past
 * P2M_MAX_GFNS.
 */
int p2m_mmap(struct p2m_guest *guest, struct vm_area_struct *vma)
{
	unsigned long end;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (check_add_overflow(vma->vm_pgoff, vma_pages(vma), &end) ||
	    end > P2M_MAX_GFNS)
		return -EOVERFLOW;
	vma->vm_private_data = guest;
	vma->vm_ops = &p2m_vm_ops;
	return 0;
}
