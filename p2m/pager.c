// SPDX-License-Identifier: GPL-2.0
/*
 * Paging by a pager: a process that keeps the contents of frames, and is asked
 * for them when they are touched.
 *
 *	         nominate               evict
 *	 ram_rw ----------> paging_out --------> paged <-------------.
 *	  ^  ^                  |                 | |  the pager goes |
 *	  |  '------------------'                 | | populate        |
 *	  |       touched                         | v                 |
 *	  |                                       | paging_in --------'
 *	  |                                       |    |
 *	  |     resume, or the pager goes         v    v  prep
 *	  '------------------------------------- prepped
 *
 * The states and the words are Xen's; but in Xen a frame is paging_in until
 * resume, with a page or without.
 *
 * WHAT IS PENDING.  A frame is in the xarray @pending while it is paging_in or
 * prepped.  It is put in and taken out while it is held, so a task that holds
 * it finds that the two agree.  It is put in only while there is a pager; the
 * xarray's lock ensures that.  The mark P2M_UNREAD says that read(2) has not
 * returned the event yet.  So there are no more events than frames, and if one
 * cannot be queued, the frame is as it was.  When the pager goes, each pending
 * frame becomes what it was before.
 *
 * TO WAIT for a frame, a fault that holds nothing waits until the type is
 * neither paging_in nor prepped. p2m_pager_wait() and p2m_pager_done() have the
 * barriers.
 *
 * TO EVICT, the page is copied to the pager.  That touches user memory, so the
 * frame is not held.  Meanwhile we have a reference to the page, so it cannot
 * be nominated anew.  If the frame is still paging_out when it is held again,
 * no touch has come between.
 *
 * TO PREP, a page is copied from the pager, while the frame is not held.  Each
 * eviction has a number of its own (map.h).  If the entry still has that number
 * when the frame is held, the frame has not come back meanwhile, was not
 * written, and was not evicted again.
 *
 * THE PAGER is the process, or rather the table of descriptors, that called
 * P2M_PAGER_ATTACH.  It goes when it closes a descriptor of the guest; so also
 * when it dies, however it dies.  Each attaching begins a session.  A call that
 * began in one session ends in it, or changes nothing.
 */

#include <linux/fdtable.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait_bit.h>
#include <linux/xarray.h>

#include "page.h"
#include "pager.h"
#include "paging.h"
#include "store.h"
#include "trace.h"
#include "walk.h"

/* How long a kernel thread waits for the pager at a time */
#define P2M_KERNEL_WAIT	(HZ / 10)

/* The event has not been read. */
#define P2M_UNREAD	XA_MARK_0

/**
 * struct p2m_pager - the state of a guest's pager
 * @lock: held to attach and detach; taken before any range
 * @owner: the pager, or NULL; changes with @lock and the lock of @pending held
 * @policy: what happens to frames when the pager goes
 * @session: how many pagers have attached so far; changes as @owner does
 * @evictions: how many frames have gone to pagers; gives each eviction its
 * number
 * @pending: by gfn, the flags of the event of each frame that is paging_in or
 * prepped
 * @next: where to look first for an unread event; guarded by the lock of
 * @pending
 * @readers: tasks that wait for events
 */
struct p2m_pager {
	struct mutex		lock;	/* of who is the pager */
	fl_owner_t		owner;
	u32			policy;
	unsigned long		session;
	atomic_long_t		evictions;
	struct xarray		pending;
	unsigned long		next;
	wait_queue_head_t	readers;
};

/* ---- Who it is ---------------------------------------------------- */

static struct p2m_pager *p2m_pager_of(struct p2m_guest *guest)
{
	/* Pairs with cmpxchg() in p2m_pager_make(). */
	return smp_load_acquire(&guest->pager);
}

/* Make one if there is none; or NULL. */
static struct p2m_pager *p2m_pager_make(struct p2m_guest *guest)
{
	struct p2m_pager *pager = p2m_pager_of(guest), *other;

	if (pager)
		return pager;
	pager = kzalloc(sizeof(*pager), GFP_KERNEL_ACCOUNT);
	if (!pager)
		return NULL;
	mutex_init(&pager->lock);
	xa_init_flags(&pager->pending, XA_FLAGS_ACCOUNT);
	init_waitqueue_head(&pager->readers);
	other = cmpxchg(&guest->pager, NULL, pager);
	if (!other)
		return pager;
	kfree(pager);
	return other;
}

/**
 * p2m_pager_free() - free the state of the pager
 * @guest: the guest, which goes; no process has a descriptor of it, so there is
 * no pager
 *
 * Context: process context.
 */
void p2m_pager_free(struct p2m_guest *guest)
{
	struct p2m_pager *pager = guest->pager;

	if (!pager)
		return;
	WARN_ON_ONCE(!xa_empty(&pager->pending));
	xa_destroy(&pager->pending);
	kfree(pager);
}

static bool p2m_pager_is(struct p2m_pager *pager, fl_owner_t id)
{
	return pager && READ_ONCE(pager->owner) == id;
}

/* The pager if it is the calling process; else NULL. */
static struct p2m_pager *p2m_pager_current(struct p2m_guest *guest)
{
	struct p2m_pager *pager = p2m_pager_of(guest);

	return p2m_pager_is(pager, current->files) ? pager : NULL;
}

/*
 * Is the calling process still the pager, and this the same session?  The
 * caller has the lock of @pager->pending.  Returns 0, -ENOTCONN, or -ESTALE for
 * another session.
 */
static int p2m_pager_still(struct p2m_pager *pager, unsigned long session)
{
	if (!p2m_pager_is(pager, current->files))
		return -ENOTCONN;
	return pager->session == session ? 0 : -ESTALE;
}

/* Change the entry of @gfn, which is held, if the session is still the same. */
static int p2m_pager_change(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry, unsigned long session)
{
	struct p2m_pager *pager = guest->pager;
	int err;

	/* No pager comes or goes between the look and the change. */
	xa_lock(&pager->pending);
	err = p2m_pager_still(pager, session);
	if (!err)
		p2m_change_entry(guest, gfn, entry);
	xa_unlock(&pager->pending);
	return err;
}

/* ---- Waiting for a frame ------------------------------------------ */

/* The address that tasks wait on for a frame: no other frame has it. */
static void *p2m_pager_key(struct p2m_guest *guest, unsigned long gfn)
{
	return (void *)p2m_page_owner(&guest->map, gfn);
}

static bool p2m_awaited(struct p2m_guest *guest, unsigned long gfn)
{
	enum p2m_type type = p2m_entry_type(p2m_lookup(&guest->map, gfn));

	return type == p2m_paging_in || type == p2m_prepped;
}

/**
 * p2m_pager_wait() - wait until the pager has answered for a frame, or is gone
 * @guest: the guest
 * @gfn: the frame, which is paging_in or prepped
 * @state: TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 *
 * A kernel thread cannot be killed, so it waits for P2M_KERNEL_WAIT at most.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -ERESTARTSYS if a signal came first.
 */
int p2m_pager_wait(struct p2m_guest *guest, unsigned long gfn,
		   unsigned int state)
{
	void *key = p2m_pager_key(guest, gfn);
	long most = current->flags & PF_KTHREAD ? P2M_KERNEL_WAIT :
						  MAX_SCHEDULE_TIMEOUT;
	long ret;

	/*
	 * Enter the queue first, then look up.  The full barrier is in
	 * prepare_to_wait_event(), and pairs with the one in p2m_pager_done().
	 */
	ret = ___wait_var_event(key,
				___wait_cond_timeout(!p2m_awaited(guest, gfn)),
				state, 0, most, __ret = schedule_timeout(__ret));
	return min(ret, 0L);
}

/* @gfn, which is held, may have been pending, and is so no longer. */
static void p2m_pager_done(struct p2m_guest *guest, unsigned long gfn)
{
	xa_erase(&guest->pager->pending, gfn);
	/*
	 * Change the entry first, then look for waiters: see p2m_pager_wait().
	 */
	smp_mb();
	wake_up_var(p2m_pager_key(guest, gfn));
}

/**
 * p2m_pager_cancel() - nobody has to answer for a frame any more
 * @guest: the guest
 * @gfn: the frame, which is neither paging_in nor prepped, but may have been
 *
 * Context: process context, holding @gfn.
 */
void p2m_pager_cancel(struct p2m_guest *guest, unsigned long gfn)
{
	if (p2m_pager_of(guest))
		p2m_pager_done(guest, gfn);
}

/*
 * Make @gfn, which is held, pending, in this @session, or in any if that is 0.
 * Returns 1; 0 if it is pending already; -ENOTCONN if there is no pager;
 * -ESTALE for another session; -ENOMEM.
 */
static int p2m_pager_pend(struct p2m_pager *pager, unsigned long session,
			  unsigned long gfn, u32 flags)
{
	int err, gone;

	xa_lock(&pager->pending);
	/* This may drop the lock to allocate, so look at the owner after it. */
	err = __xa_insert(&pager->pending, gfn, xa_mk_value(flags),
			  P2M_GFP_KERNEL);
	if (session)
		gone = p2m_pager_still(pager, session);
	else
		gone = pager->owner ? 0 : -ENOTCONN;
	if (gone) {
		if (!err)
			__xa_erase(&pager->pending, gfn);
		err = gone;
	}
	xa_unlock(&pager->pending);
	if (!err)
		return 1;
	return err == -EBUSY ? 0 : err;
}

/* ---- A touch ------------------------------------------------------ */

/**
 * p2m_pager_is_there() - has a guest a pager?
 * @guest: the guest
 *
 * Context: any.  It may go at any time; then it wakes the tasks that wait for
 * its frames.  While the caller holds a pending frame, no other pager comes.
 * Return: whether it has.
 */
bool p2m_pager_is_there(struct p2m_guest *guest)
{
	struct p2m_pager *pager = p2m_pager_of(guest);

	return pager && READ_ONCE(pager->owner);
}

/**
 * p2m_pager_ask() - ask the pager for a frame that it has
 * @guest: the guest
 * @gfn: the frame, of type paged or paging_in
 * @write: whether the frame will be written
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: -EAGAIN if the pager was asked: put @gfn and p2m_pager_wait();
 * -ENOTCONN if there is no pager; -ENOMEM.
 */
int p2m_pager_ask(struct p2m_guest *guest, unsigned long gfn, bool write)
{
	struct p2m_pager *pager = p2m_pager_of(guest);
	int err;

	if (!pager)
		return -ENOTCONN;
	err = p2m_pager_pend(pager, 0, gfn, write ? P2M_EVENT_WRITE : 0);
	if (err < 0)
		return err;
	if (err) {
		p2m_change_type(guest, gfn, p2m_paging_in);
		p2m_count_event(guest, events);
		trace_p2m_event(guest->id, gfn, write);
		/* The pager can answer when we have put the frame. */
		xa_set_mark(&pager->pending, gfn, P2M_UNREAD);
		wake_up_interruptible_poll(&pager->readers,
					   EPOLLIN | EPOLLRDNORM);
	}
	return -EAGAIN;
}

/* ---- Coming and going --------------------------------------------- */

/* The pager is gone: a pending frame becomes what it was before. */
static void p2m_pager_forget(struct p2m_guest *guest, unsigned long gfn)
{
	/* The frame was held before, so the lock has its node. */
	if (WARN_ON_ONCE(get_p2m_gfn(&guest->lock, gfn)))
		return;
	switch (p2m_entry_type(p2m_get_entry(&guest->map, gfn))) {
	case p2m_paging_in:
		p2m_change_type(guest, gfn, p2m_paged);
		break;
	case p2m_prepped:
		p2m_make_ram(guest, gfn);
		break;
	default:
		break;
	}
	p2m_pager_done(guest, gfn);
	put_p2m_gfn(&guest->lock, gfn);
}

/* With @pager->lock. */
static void p2m_pager_drop(struct p2m_guest *guest, struct p2m_pager *pager)
{
	unsigned long gfn;
	void *flags;

	xa_lock(&pager->pending);
	WRITE_ONCE(pager->owner, NULL);
	xa_unlock(&pager->pending);
	/* From here on nothing is put there. */
	xa_for_each(&pager->pending, gfn, flags)
		p2m_pager_forget(guest, gfn);
	wake_up_all(&pager->readers);
}

static int p2m_pager_leave(struct p2m_guest *guest, fl_owner_t id)
{
	struct p2m_pager *pager = p2m_pager_of(guest);
	int err = -ENOTCONN;

	if (!p2m_pager_is(pager, id))
		return -ENOTCONN;
	mutex_lock(&pager->lock);
	if (p2m_pager_is(pager, id)) {
		p2m_pager_drop(guest, pager);
		err = 0;
	}
	mutex_unlock(&pager->lock);
	return err;
}

/**
 * p2m_pager_flush() - a process closes a descriptor of the guest
 * @guest: the guest
 * @id: its table of descriptors
 *
 * Context: process context, holding nothing; may sleep.
 */
void p2m_pager_flush(struct p2m_guest *guest, fl_owner_t id)
{
	p2m_pager_leave(guest, id);
}

/* P2M_PAGER_DETACH */
int p2m_pager_detach(struct p2m_guest *guest)
{
	return p2m_pager_leave(guest, current->files);
}

static int p2m_is_file_of(const void *guest, struct file *file, unsigned int fd)
{
	return file->private_data == guest;
}

/* P2M_PAGER_ATTACH */
int p2m_pager_attach(struct p2m_guest *guest, struct p2m_pager_attach *arg)
{
	struct p2m_pager *pager;
	int err = 0;

	if (arg->reserved || (arg->policy != P2M_PAGER_SIGBUS &&
			      arg->policy != P2M_PAGER_STORE))
		return -EINVAL;
	pager = p2m_pager_make(guest);
	if (!pager)
		return -ENOMEM;
	if (mutex_lock_killable(&pager->lock))
		return -EINTR;
	if (pager->owner) {
		err = -EBUSY;
	} else {
		pager->policy = arg->policy;
		xa_lock(&pager->pending);
		WRITE_ONCE(pager->session, pager->session + 1);
		WRITE_ONCE(pager->owner, current->files);
		xa_unlock(&pager->pending);
		/*
		 * Another thread may have closed the descriptor meanwhile.  If
		 * it was the last one of this process, no close would ever end
		 * the session.  If there is one now, a later close finds the
		 * owner.
		 */
		if (!iterate_fd(current->files, 0, p2m_is_file_of, guest)) {
			p2m_pager_drop(guest, pager);
			err = -EBADF;
		}
	}
	mutex_unlock(&pager->lock);
	return err;
}

/* ---- Out ---------------------------------------------------------- */

static int p2m_pager_nominate_batch(struct p2m_guest *guest, unsigned long gfn,
				    unsigned long nr, struct p2m_range *range)
{
	struct p2m_entry entry;
	unsigned long end;
	long looked;

	if (!p2m_pager_current(guest))
		return -ENOTCONN;
	looked = p2m_paging_take(guest, gfn, nr, range);
	if (looked < 0)
		return looked;
	for (end = gfn + looked; gfn < end; gfn++) {
		entry = p2m_get_entry(&guest->map, gfn);
		if (p2m_entry_type(entry) == p2m_taken) {
			p2m_change_type(guest, gfn, p2m_paging_out);
			p2m_paging_count(guest, range, 0);
		} else if (p2m_is_ram(entry)) {
			p2m_paging_count(guest, range, -EBUSY);
		}
	}
	range->next = end;
	return 0;
}

/* P2M_NOMINATE */
int p2m_pager_nominate(struct p2m_guest *guest, struct p2m_range *range)
{
	if (!p2m_pager_current(guest))
		return -ENOTCONN;
	return p2m_for_range(guest, range, P2M_BATCH, p2m_pager_nominate_batch);
}

/* Check the caller and the frame of a call for the pager; get the session. */
static int p2m_pager_check(struct p2m_guest *guest, u64 gfn,
			   unsigned long *session)
{
	struct p2m_pager *pager = p2m_pager_current(guest);
	long end;

	if (!pager)
		return -ENOTCONN;
	/*
	 * If it is a new session already, this process has just attached again.
	 */
	*session = READ_ONCE(pager->session);
	end = p2m_range_end(guest, gfn, 1);
	return end < 0 ? end : 0;
}

/* Get a reference to the page of a nominated frame; or -errno. */
static struct page *p2m_get_nominated(struct p2m_guest *guest,
				      unsigned long gfn)
{
	struct p2m_entry entry;
	struct p2m_hold hold;
	struct page *page;
	int err;

	err = p2m_hold_there(&hold, guest, gfn);
	if (err)
		return ERR_PTR(err);
	entry = p2m_get_entry(&guest->map, gfn);
	page = p2m_entry_page(entry);
	if (p2m_entry_type(entry) != p2m_paging_out)
		page = ERR_PTR(-ENOENT);
	else if (page_count(page) != 1)
		page = ERR_PTR(-EBUSY);
	else if (p2m_page_is_poisoned(page))
		page = ERR_PTR(-EHWPOISON);
	else
		get_page(page);
	p2m_unhold(&hold);
	return page;
}

/* The pager has a copy of @page.  If it is still true, the frame is its now. */
static int p2m_evict_nominated(struct p2m_guest *guest, unsigned long gfn,
			       struct page *page, unsigned long session)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct p2m_pager *pager = guest->pager;
	u64 where = P2M_PAGER;
	int err;

	if (p2m_entry_type(entry) != p2m_paging_out ||
	    p2m_entry_page(entry) != page)
		return -ENOENT;
	/*
	 * The map's and the caller's; no other can come, as after p2m_take().
	 */
	if (page_count(page) != 2)
		return -EBUSY;
	if (READ_ONCE(pager->policy) == P2M_PAGER_STORE) {
		err = p2m_store_write(guest, gfn, page);
		if (err)
			return err;
		where |= P2M_STORED;
	}
	entry = p2m_number_entry(p2m_paged_entry(entry, where),
				 atomic_long_inc_return(&pager->evictions));
	err = p2m_pager_change(guest, gfn, entry, session);
	if (err) {
		if (where & P2M_STORED)
			p2m_store_free(guest, gfn);
		return err;
	}
	p2m_pages_free(page, P2M_4K);
	p2m_count_event(guest, paged_out);
	return 0;
}

/* Nobody can write to the page: a touch of the frame denominates it first. */
static int p2m_copy_to_pager(u64 addr, struct page *page)
{
	void *from = kmap_local_page(page);
	unsigned long left;

	left = copy_to_user(u64_to_user_ptr(addr), from, PAGE_SIZE);
	kunmap_local(from);
	return left ? -EFAULT : 0;
}

/* P2M_EVICT */
int p2m_pager_evict(struct p2m_guest *guest, struct p2m_page *arg)
{
	struct p2m_hold hold;
	unsigned long session;
	struct page *page;
	int err;

	err = p2m_pager_check(guest, arg->gfn, &session);
	if (err)
		return err;
	page = p2m_get_nominated(guest, arg->gfn);
	if (IS_ERR(page))
		return PTR_ERR(page);
	/* Hold nothing: the pager's memory may be this very frame. */
	err = p2m_copy_to_pager(arg->addr, page);
	if (err)
		goto out;
	err = p2m_hold(&hold, guest, arg->gfn, 1);
	if (err)
		goto out;
	err = p2m_evict_nominated(guest, arg->gfn, page, session);
	p2m_unhold(&hold);
out:
	put_page(page);
	trace_p2m_evict(guest->id, arg->gfn, err);
	return err;
}

/* ---- In ----------------------------------------------------------- */

/* Get a page of a node with the pager's data at @addr; or -errno. */
static struct page *p2m_copy_from_pager(struct p2m_guest *guest, u64 addr,
					int node)
{
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	struct page *page = p2m_page_alloc(0, NULL, node);
	unsigned long left;
	void *to;

	set_active_memcg(old);
	if (!page)
		return ERR_PTR(-ENOMEM);
	to = kmap_local_page(page);
	left = copy_from_user(to, u64_to_user_ptr(addr), PAGE_SIZE);
	kunmap_local(to);
	if (left) {
		p2m_pages_free(page, P2M_4K);
		return ERR_PTR(-EFAULT);
	}
	__SetPageUptodate(page);
	return page;
}

/* May the pager give this frame a page? */
static int p2m_prep_check(struct p2m_entry entry)
{
	if (p2m_entry_page(entry))
		return -EEXIST;
	return p2m_entry_with_pager(entry) ? 0 : -ENOENT;
}

/* The new entry of a frame that the pager had; without @page it is lost. */
static struct p2m_entry p2m_prep_entry(struct p2m_guest *guest,
				       struct p2m_entry entry,
				       struct page *page, bool resume)
{
	if (!page)
		return p2m_paged_entry(entry, entry.val & P2M_STORED);
	entry = p2m_retype_entry(entry, resume ? p2m_ram_type(guest, entry) :
						 p2m_prepped);
	return p2m_repage_entry(entry, page);
}

/*
 * Give this page to @gfn, which is held; or no page, if the pager has lost it.
 * @was is the entry before the copy: the frame must not have been evicted again
 * since.
 */
static int p2m_prep(struct p2m_guest *guest, unsigned long gfn,
		    struct page *page, u32 flags, struct p2m_entry was,
		    unsigned long session)
{
	bool resume = flags & (P2M_PREP_RESUME | P2M_PREP_LOST);
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct p2m_pager *pager = guest->pager;
	int err = p2m_prep_check(entry);

	if (!err && p2m_entry_number(entry) != p2m_entry_number(was))
		err = -ESTALE;
	if (err)
		return err;
	if (!resume) {
		err = p2m_pager_pend(pager, session, gfn, 0);
		if (err < 0)
			return err;
		xa_clear_mark(&pager->pending, gfn, P2M_UNREAD);
	}
	/*
	 * If this fails, the pager is going, and makes the frame what it was.
	 */
	err = p2m_pager_change(guest, gfn,
			       p2m_prep_entry(guest, entry, page, resume),
			       session);
	if (err)
		return err;
	if (page && p2m_entry_in_store(entry))
		p2m_store_free(guest, gfn);
	if (page)
		p2m_count_event(guest, paged_in);
	if (resume)
		p2m_pager_done(guest, gfn);
	return 0;
}

/* P2M_PREP */
int p2m_pager_prep(struct p2m_guest *guest, struct p2m_page *arg)
{
	struct page *page = NULL;
	struct p2m_hold hold;
	unsigned long session;
	struct p2m_entry was;
	int err;

	if (arg->flags & P2M_PREP_LOST && arg->flags & P2M_PREP_RESUME)
		return -EINVAL;
	err = p2m_pager_check(guest, arg->gfn, &session);
	if (err)
		return err;
	/* Look before copying: a pager may try every frame. */
	was = p2m_lookup(&guest->map, arg->gfn);
	err = p2m_prep_check(was);
	if (err)
		return err;
	if (!(arg->flags & P2M_PREP_LOST)) {
		page = p2m_copy_from_pager(guest, arg->addr,
					   p2m_entry_node(was));
		if (IS_ERR(page))
			return PTR_ERR(page);
	}
	err = p2m_hold(&hold, guest, arg->gfn, 1);
	if (!err) {
		err = p2m_prep(guest, arg->gfn, page, arg->flags, was, session);
		p2m_unhold(&hold);
	}
	if (err && page)
		p2m_pages_free(page, P2M_4K);
	trace_p2m_populate(guest->id, arg->gfn, err);
	return err;
}

static int p2m_pager_resume_frame(struct p2m_guest *guest, unsigned long gfn,
				  struct p2m_entry entry)
{
	if (p2m_entry_type(entry) != p2m_prepped)
		return 0;
	p2m_make_ram(guest, gfn);
	p2m_pager_done(guest, gfn);
	return 1;
}

static int p2m_pager_resume_batch(struct p2m_guest *guest, unsigned long gfn,
				  unsigned long nr, struct p2m_range *range)
{
	/*
	 * Prepped frames stay prepped: a pager that goes waits for this hold.
	 */
	if (!p2m_pager_current(guest))
		return -ENOTCONN;
	return p2m_for_frames(guest, gfn, nr, range, p2m_pager_resume_frame);
}

/* P2M_RESUME */
int p2m_pager_resume(struct p2m_guest *guest, struct p2m_range *range)
{
	if (!p2m_pager_current(guest))
		return -ENOTCONN;
	return p2m_for_range(guest, range, P2M_BATCH, p2m_pager_resume_batch);
}

/* ---- Events ------------------------------------------------------- */

static bool p2m_pager_unread(struct p2m_pager *pager)
{
	return xa_marked(&pager->pending, P2M_UNREAD);
}

/* Get the next unread event, by gfn, then from 0 again; or false. */
static bool p2m_pager_next(struct p2m_pager *pager, struct p2m_event *event)
{
	unsigned long gfn;
	void *flags;

	xa_lock(&pager->pending);
	gfn = pager->next;
	flags = xa_find(&pager->pending, &gfn, ULONG_MAX, P2M_UNREAD);
	if (!flags) {
		gfn = 0;
		flags = xa_find(&pager->pending, &gfn, ULONG_MAX, P2M_UNREAD);
	}
	if (flags) {
		__xa_clear_mark(&pager->pending, gfn, P2M_UNREAD);
		pager->next = gfn + 1;
		*event = (struct p2m_event){
			.kind = P2M_EVENT_POPULATE,
			.flags = xa_to_value(flags),
			.gfn = gfn,
		};
	}
	xa_unlock(&pager->pending);
	return flags;
}

/* Copy all events that fit.  Returns their size, or -EFAULT. */
static ssize_t p2m_pager_copy(struct p2m_pager *pager, char __user *buf,
			      size_t count)
{
	struct p2m_event event;
	size_t done = 0;

	while (done + sizeof(event) <= count && p2m_pager_next(pager, &event)) {
		if (copy_to_user(buf + done, &event, sizeof(event))) {
			/*
			 * It is unread again, unless it was answered meanwhile.
			 */
			xa_set_mark(&pager->pending, event.gfn, P2M_UNREAD);
			return done ?: -EFAULT;
		}
		done += sizeof(event);
		cond_resched();
	}
	return done;
}

/**
 * p2m_pager_read() - read(2): events for the pager
 * @guest: the guest
 * @buf: where to
 * @count: its size
 * @nonblock: do not wait for events
 *
 * Context: process context, holding nothing; may sleep.
 * Return: the size of the events; -EINVAL, -ENOTCONN, -EAGAIN or -EFAULT as in
 * the manual; -ERESTARTSYS if a signal came first.
 */
ssize_t p2m_pager_read(struct p2m_guest *guest, char __user *buf, size_t count,
		       bool nonblock)
{
	fl_owner_t id = current->files;
	struct p2m_pager *pager;
	ssize_t done;
	int err;

	if (count < sizeof(struct p2m_event))
		return -EINVAL;
	for (;;) {
		pager = p2m_pager_current(guest);
		if (!pager)
			return -ENOTCONN;
		done = p2m_pager_copy(pager, buf, count);
		if (done)
			return done;
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(pager->readers,
					       !p2m_pager_is(pager, id) ||
					       p2m_pager_unread(pager));
		if (err)
			return err;
	}
}

/**
 * p2m_pager_poll() - poll(2): are there events for the pager?
 * @guest: the guest
 * @file: the file that is polled
 * @wait: the poll
 *
 * Context: process context.
 * Return: EPOLLIN if there are; EPOLLHUP if the calling process is not the
 * pager; EPOLLERR without memory to find out.
 */
__poll_t p2m_pager_poll(struct p2m_guest *guest, struct file *file,
			poll_table *wait)
{
	struct p2m_pager *pager = p2m_pager_make(guest);

	if (!pager)
		return EPOLLERR;
	poll_wait(file, &pager->readers, wait);
	if (!p2m_pager_is(pager, current->files))
		return EPOLLHUP;
	return p2m_pager_unread(pager) ? EPOLLIN | EPOLLRDNORM : 0;
}
