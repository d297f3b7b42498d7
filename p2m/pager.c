// SPDX-License-Identifier: GPL-2.0
/*
 * Paging by a pager: a process that keeps the contents of frames and is asked for
 * them when they are touched.
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
 * The states and the words are Xen's, but that there paging_in goes on until
 * resume, with a page or without.
 *
 * WHAT IS PENDING.  A frame is in the xarray @pending while it is paging_in or
 * prepped.  It is put in and taken out holding the frame, so for who holds it the
 * two agree; it is put in only while there is a pager, which the xarray's lock
 * sees to.  The mark says that read(2) has not returned the event yet.  So there
 * are no more events than frames, and one that cannot be queued leaves the frame
 * as it was.  When the pager goes, what is pending becomes what it was before.
 *
 * WHO WAITS for a frame (in a fault, holding nothing) waits for its type to be
 * neither paging_in nor prepped: p2m_pager_wait() and p2m_pager_done() have the
 * barriers.
 *
 * TO EVICT is to copy the page to the pager without holding the frame, since that
 * touches user memory.  Meanwhile there is a reference to the page, so it is not
 * nominated anew: if the frame is still paging_out when it is held again, then no
 * touch has come between.
 *
 * TO PREP is to copy from the pager without holding the frame.  What is evicted has a
 * number (map.h), never the same twice: if the frame has it still when it is held,
 * then it did not come back meanwhile, written to, and go again.
 *
 * WHO IS THE PAGER?  The process, or rather the table of descriptors, that made
 * P2M_PAGER_ATTACH.  It goes when it closes a descriptor of the guest, and so also
 * when it dies, however it dies.  Each attaching is a session; a call that began in
 * one ends in it, or changes nothing.
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
 * struct p2m_pager - what a guest has for its pager
 * @lock: held to attach and detach; taken before any range
 * @owner: the pager, or NULL; changed with @lock and that of @pending
 * @policy: what becomes of frames when it goes
 * @session: how many have attached so far; changed as @owner is
 * @evictions: how many frames have gone to it, to number them
 * @pending: by gfn, what is paging_in or prepped: the event's flags
 * @next: where to look for an unread event first; guarded by @pending's lock
 * @readers: who waits for events
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

/* The same, but there is one from now on; or NULL. */
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
 * p2m_pager_free() - free what a guest that goes has for its pager
 * @guest: the guest; no descriptor of it is left, and so no pager either
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

/* The pager, if the calling process is it; else NULL. */
static struct p2m_pager *p2m_pager_current(struct p2m_guest *guest)
{
	struct p2m_pager *pager = p2m_pager_of(guest);

	return p2m_pager_is(pager, current->files) ? pager : NULL;
}

/*
 * Is the calling process still the pager that it was in @session?  With the lock of
 * @pager->pending.  Returns 0, -ENOTCONN, or -ESTALE if it went and came again.
 */
static int p2m_pager_still(struct p2m_pager *pager, unsigned long session)
{
	if (!p2m_pager_is(pager, current->files))
		return -ENOTCONN;
	return pager->session == session ? 0 : -ESTALE;
}

/* Change the entry of @gfn, which is held, if this is the session still. */
static int p2m_pager_change(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry, unsigned long session)
{
	struct p2m_pager *pager = guest->pager;
	int err;

	/* Nobody comes or goes between looking and changing. */
	xa_lock(&pager->pending);
	err = p2m_pager_still(pager, session);
	if (!err)
		p2m_change_entry(guest, gfn, entry);
	xa_unlock(&pager->pending);
	return err;
}

/* ---- Waiting for a frame ------------------------------------------ */

/* What a task that waits for a frame waits on: a number that no other frame has. */
static void *p2m_pager_key(struct p2m_guest *guest, unsigned long gfn)
{
	return (void *)p2m_page_owner(&guest->map, gfn);
}

static bool p2m_is_awaited(struct p2m_guest *guest, unsigned long gfn)
{
	enum p2m_type type = p2m_entry_type(p2m_lookup(&guest->map, gfn));

	return type == p2m_paging_in || type == p2m_prepped;
}

/**
 * p2m_pager_wait() - wait until the pager has answered for a frame, or is gone
 * @guest: the guest
 * @gfn: the frame, which the pager was asked for, or has prepped
 * @state: how: TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 *
 * A kernel thread, which nobody can kill, waits for P2M_KERNEL_WAIT at most.
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
	 * In the queue comes before looked up.  The full barrier is in
	 * prepare_to_wait_event(), and pairs with that in p2m_pager_done().
	 */
	ret = ___wait_var_event(key,
				___wait_cond_timeout(!p2m_is_awaited(guest, gfn)),
				state, 0, most, __ret = schedule_timeout(__ret));
	return min(ret, 0L);
}

/* @gfn, which is held, was pending, or may have been, and is not any more. */
static void p2m_pager_done(struct p2m_guest *guest, unsigned long gfn)
{
	xa_erase(&guest->pager->pending, gfn);
	/* The new entry comes before looking for waiters; see p2m_pager_wait(). */
	smp_mb();
	wake_up_var(p2m_pager_key(guest, gfn));
}

/*
 * Put @gfn, which is held, among what is pending, unless it is already.
 * Returns 1 if it is new there, 0 if it was there, what p2m_pager_still() does for
 * @session or, for 0, -ENOTCONN if there is no pager, -ENOMEM.
 */
static int p2m_pager_pend(struct p2m_pager *pager, unsigned long session,
			  unsigned long gfn, u32 flags)
{
	int err, gone;

	xa_lock(&pager->pending);
	/* May let go of the lock to allocate: look at the owner afterwards. */
	err = __xa_insert(&pager->pending, gfn, xa_mk_value(flags), P2M_GFP_KERNEL);
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
 * Context: any; if a frame that is prepped is held, it stays so as long.
 * Return: whether it has.
 */
bool p2m_pager_is_there(struct p2m_guest *guest)
{
	return !p2m_pager_is(p2m_pager_of(guest), NULL);
}

/**
 * p2m_pager_ask() - ask the pager for a frame that it has
 * @guest: the guest
 * @gfn: the frame, of type paged or paging_in
 * @write: it is to be written to
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: -EAGAIN if it has been asked, to be waited for by p2m_pager_wait() without
 * holding @gfn; -ENOTCONN if there is no pager; -ENOMEM.
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
		/* The pager may answer when we have put the frame. */
		xa_set_mark(&pager->pending, gfn, P2M_UNREAD);
		wake_up_interruptible_poll(&pager->readers, EPOLLIN | EPOLLRDNORM);
	}
	return -EAGAIN;
}

/* ---- Coming and going --------------------------------------------- */

/* The pager is gone: @gfn, which was pending, is as before it was asked for. */
static void p2m_pager_forget(struct p2m_guest *guest, unsigned long gfn)
{
	/* It was held before, so nothing is to be allocated for that. */
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
		 * Another thread may have closed the descriptor meanwhile, the last
		 * one that this process has, and so would never close it again.  If
		 * it is there now, then who closes it finds an owner.
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
		} else if (p2m_is_busy(entry)) {
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

/* Check the frame of a call that is for the pager, and takes one; which session? */
static int p2m_pager_check(struct p2m_guest *guest, u64 gfn,
			   unsigned long *session)
{
	struct p2m_pager *pager = p2m_pager_current(guest);
	long end;

	if (!pager)
		return -ENOTCONN;
	/* If it is another one already, this process came again just now. */
	*session = READ_ONCE(pager->session);
	end = p2m_range_end(guest, gfn, 1);
	return end < 0 ? end : 0;
}

/* A nominated frame's page, with a reference; or -errno. */
static struct page *p2m_get_nominated(struct p2m_guest *guest, unsigned long gfn)
{
	struct p2m_entry entry;
	struct p2m_hold hold;
	struct page *page;
	int err;

	/* A hold of nothing would take memory, for frames without number. */
	if (!p2m_has_chunk(guest, gfn))
		return ERR_PTR(-ENOENT);
	err = p2m_hold(&hold, guest, gfn, 1);
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

/* The pager has a copy of @page: is it one still?  Then the frame is the pager's. */
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
	/* The map's and the caller's: no other can come, as after p2m_take(). */
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

/* Copying from a page that nobody can write to: who touches it, denominates it. */
static int p2m_copy_to_pager(u64 addr, struct page *page)
{
	void *from = kmap_local_page(page);
	unsigned long left = copy_to_user(u64_to_user_ptr(addr), from, PAGE_SIZE);

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
	/* The pager's memory may be this very frame: nothing is held. */
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

/* A page with what the pager has at @addr; or -errno. */
static struct page *p2m_copy_from_pager(struct p2m_guest *guest, u64 addr)
{
	struct mem_cgroup *old = set_active_memcg(guest->memcg);
	struct page *page = p2m_page_alloc(0);
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

/* What an entry that the pager had is with this page; or with none, if it is lost. */
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
 * Give @gfn, which is held, this page; or none, if the pager has lost it.  If only
 * it is what it was when the pager was asked for the page: @was.
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
	/* If this fails, the pager is going, and forgets what is pending. */
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
	/* Look before copying: a pager may well try every frame. */
	was = p2m_lookup(&guest->map, arg->gfn);
	err = p2m_prep_check(was);
	if (err)
		return err;
	if (!(arg->flags & P2M_PREP_LOST)) {
		page = p2m_copy_from_pager(guest, arg->addr);
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
	/* What is prepped stays so: a pager that goes has to wait for this hold. */
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

/* The next unread event, in order of gfn and round again; false if there is none. */
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

/* As many events as there are and fit; returns their size, or -EFAULT. */
static ssize_t p2m_pager_copy(struct p2m_pager *pager, char __user *buf,
			      size_t count)
{
	struct p2m_event event;
	size_t done = 0;

	while (done + sizeof(event) <= count && p2m_pager_next(pager, &event)) {
		if (copy_to_user(buf + done, &event, sizeof(event))) {
			/* Unread again, if it has not been answered meanwhile. */
			xa_set_mark(&pager->pending, event.gfn, P2M_UNREAD);
			return done ?: -EFAULT;
		}
		done += sizeof(event);
		cond_resched();
	}
	return done;
}

/**
 * p2m_pager_read() - events for the pager
 * @guest: the guest
 * @buf: where to
 * @count: how large that is
 * @nonblock: if there are none, do not wait
 *
 * Context: process context, holding nothing; may sleep.
 * Return: the size of what was read; -EINVAL, -ENOTCONN, -EAGAIN, -EFAULT as
 * uapi/p2m.h has it; -ERESTARTSYS if a signal came first.
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
					       xa_marked(&pager->pending, P2M_UNREAD));
		if (err)
			return err;
	}
}

/**
 * p2m_pager_poll() - are there events for the pager?
 * @guest: the guest
 * @file: what is polled
 * @wait: the poll
 *
 * Context: process context.
 * Return: EPOLLIN if there are; EPOLLHUP if the calling process is not the pager;
 * EPOLLERR if there is no memory to find out.
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
	return xa_marked(&pager->pending, P2M_UNREAD) ? EPOLLIN | EPOLLRDNORM : 0;
}
