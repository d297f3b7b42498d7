// SPDX-License-Identifier: GPL-2.0
/*
 * Sharing: frames, of one or many guests, that have one page, which nobody may
 * write.
 *
 *	           nominate             share(handle, handle)
 *	 ram_rw --------------> shared -----------------------> shared
 *	   ^                    by one                          by many
 *	   |                       |                               |
 *	   |  unshare: in place    |                               |
 *	   '-----------------------'                               |
 *	   ^  unshare: a copy of its own                           |
 *	   '-------------------------------------------------------'
 *
 * The states and the words are Xen's.  From nomination on, the contents do not
 * change until the last sharer has the page for itself again.  The handle names
 * these contents in this frame; it is checked again when the frames are held.
 * A write, by the guest, the VMM or the kernel, unshares first: see
 * p2m_page_mkwrite().  To share changes only the client's entry.  So it holds
 * the source and the client, and never other sharers.
 *
 * A SHARED PAGE has a struct p2m_shared, which is found by the page, or by its
 * contents in a table.  The page has one reference, for all its sharers.  Which
 * lock guards what:
 *
 *	that an entry is of type shared	its frame's range lock
 *	that a page may be written	its one sharer's frame, and the bucket
 *	how many sharers there are	the bucket
 *
 * So while a frame of type shared is held, its page and contents stay.
 */

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "huge.h"
#include "page.h"
#include "pod.h"
#include "sharing.h"
#include "trace.h"
#include "walk.h"

/* Sharers that a page can have */
#define P2M_MAX_SHARERS		(1U << 16)
/* Pages with the same hash that are compared before giving up */
#define P2M_MAX_COMPARES	8
#define P2M_BUCKET_BITS		10

/**
 * struct p2m_shared - a page that is shared, or nominated
 * @node: in its bucket, by @hash; if the page can have no more sharers, it is
 * not there
 * @domain: the domain of all its sharers
 * @hash: of the contents, in that domain
 * @handle: names this nomination
 * @page: the page; its private data points here
 * @nr: how many sharers it has
 */
struct p2m_shared {
	struct rb_node	node;
	struct p2m_domain *domain;
	u64		hash;
	u64		handle;
	struct page	*page;
	unsigned int	nr;
};

/**
 * struct p2m_bucket - shared pages, by contents
 * @lock: guards @pages, and p2m_shared.nr of each with such a hash
 * @pages: struct p2m_shared that can have more sharers, by hash
 */
struct p2m_bucket {
	spinlock_t	lock;	/* the innermost of all */
	struct rb_root	pages;
} ____cacheline_aligned_in_smp;

static struct p2m_bucket p2m_buckets[1 << P2M_BUCKET_BITS];

/* ---- Contents ----------------------------------------------------- */

/* Have two pages the same contents?  False if one is poisoned. */
static bool p2m_pages_equal(struct page *page1, struct page *page2)
{
	void *addr1, *addr2;
	bool equal;

	if (p2m_page_is_poisoned(page1) || p2m_page_is_poisoned(page2))
		return false;
	addr1 = kmap_local_page(page1);
	addr2 = kmap_local_page(page2);
	equal = !memcmp(addr1, addr2, PAGE_SIZE);
	kunmap_local(addr2);
	kunmap_local(addr1);
	return equal;
}

/* ---- The table ---------------------------------------------------- */

/**
 * p2m_sharing_init() - make an empty table
 *
 * Context: module init.
 */
void p2m_sharing_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p2m_buckets); i++)
		spin_lock_init(&p2m_buckets[i].lock);
}

static struct p2m_bucket *p2m_bucket(u64 hash)
{
	return &p2m_buckets[hash >> (64 - P2M_BUCKET_BITS)];
}

static int p2m_shared_cmp_hash(const void *key, const struct rb_node *node)
{
	u64 want = *(const u64 *)key;
	u64 hash = rb_entry(node, struct p2m_shared, node)->hash;

	return want < hash ? -1 : want > hash;
}

static bool p2m_shared_less(struct rb_node *a, const struct rb_node *b)
{
	return p2m_shared_cmp_hash(&rb_entry(a, struct p2m_shared, node)->hash,
				   b) < 0;
}

/* The frame is held, and of type shared. */
static struct p2m_shared *p2m_shared_of(struct page *page)
{
	return (struct p2m_shared *)page_private(page);
}

static bool p2m_shared_is_full(struct p2m_shared *shared)
{
	return shared->nr >= P2M_MAX_SHARERS;
}

/*
 * The bucket is locked, and @shared is not full.  If it is full after this, it
 * leaves the table, so that a frame that looks for a page does not meet it: a
 * guest with many equal pages has many full ones.
 */
static void p2m_shared_add(struct p2m_bucket *bucket, struct p2m_shared *shared,
			   struct p2m_guest *guest)
{
	shared->nr++;
	atomic_long_inc(&guest->sharers);
	if (p2m_shared_is_full(shared)) {
		rb_erase(&shared->node, &bucket->pages);
		RB_CLEAR_NODE(&shared->node);
	}
}

/* The bucket is locked, and @shared has no sharer. */
static void p2m_shared_remove(struct p2m_bucket *bucket,
			      struct p2m_shared *shared)
{
	rb_erase(&shared->node, &bucket->pages);
	set_page_private(shared->page, 0);
}

/*
 * A frame has another page now, or none.  With the last sharer the page goes.
 */
static void p2m_shared_leave(struct p2m_guest *guest, struct p2m_shared *shared)
{
	struct p2m_bucket *bucket = p2m_bucket(shared->hash);
	struct page *page = shared->page;
	bool last;

	atomic_long_dec(&guest->sharers);
	spin_lock(&bucket->lock);
	if (p2m_shared_is_full(shared))
		rb_add(&shared->node, &bucket->pages, p2m_shared_less);
	last = !--shared->nr;
	if (last)
		p2m_shared_remove(bucket, shared);
	spin_unlock(&bucket->lock);

	if (last) {
		kfree(shared);
		p2m_pages_free(page, P2M_4K);
	}
}

/* p2m_type_ops.drop; also called when only the entry goes. */
void p2m_shared_drop(struct p2m_guest *guest, struct p2m_entry entry)
{
	p2m_shared_leave(guest, p2m_shared_of(p2m_entry_page(entry)));
}

/*
 * Nobody maps the page.  If the frame is the only sharer, and nobody else
 * references the page, the frame has it for itself from now on.
 */
static bool p2m_shared_take(struct p2m_guest *guest, struct p2m_shared *shared)
{
	struct p2m_bucket *bucket = p2m_bucket(shared->hash);
	bool alone;

	spin_lock(&bucket->lock);
	/*
	 * A task that references the page may have got it from another guest,
	 * which shared it once.  It must not see what this guest writes.
	 */
	alone = shared->nr == 1 && page_count(shared->page) == 1;
	if (alone)
		p2m_shared_remove(bucket, shared);
	spin_unlock(&bucket->lock);
	if (!alone)
		return false;
	atomic_long_dec(&guest->sharers);
	kfree(shared);
	return true;
}

/* May frames of this domain join?  The bucket is locked. */
static bool p2m_shared_is_open(struct p2m_shared *shared,
			       struct p2m_domain *domain)
{
	return shared->domain == domain && !p2m_page_is_poisoned(shared->page);
}

/* Find the page of a domain with these contents.  The bucket is locked. */
static struct p2m_shared *p2m_shared_find(struct p2m_bucket *bucket,
					  struct p2m_domain *domain, u64 hash,
					  struct page *page)
{
	unsigned int compares = 0;
	struct p2m_shared *shared;
	struct rb_node *node;

	rb_for_each(node, &hash, &bucket->pages, p2m_shared_cmp_hash) {
		shared = rb_entry(node, struct p2m_shared, node);
		if (!p2m_shared_is_open(shared, domain))
			continue;
		if (p2m_pages_equal(shared->page, page))
			return shared;
		if (++compares == P2M_MAX_COMPARES)
			break;
	}
	return NULL;
}

/**
 * p2m_shared_known() - is there a shared page with this hash that takes
 * sharers?
 * @domain: its domain
 * @hash: of the contents
 *
 * Context: process context; the result may be out of date.
 * Return: whether there is.
 */
bool p2m_shared_known(struct p2m_domain *domain, u64 hash)
{
	struct p2m_bucket *bucket = p2m_bucket(hash);
	struct p2m_shared *shared;
	struct rb_node *node;
	bool known = false;

	spin_lock(&bucket->lock);
	rb_for_each(node, &hash, &bucket->pages, p2m_shared_cmp_hash) {
		shared = rb_entry(node, struct p2m_shared, node);
		known = p2m_shared_is_open(shared, domain);
		if (known)
			break;
	}
	spin_unlock(&bucket->lock);
	return known;
}

/* ---- Nominate ----------------------------------------------------- */

/*
 * A random number: with numbers in a row, a guest could count the nominations
 * of guests of other domains.  There are too few handles for two to be equal.
 */
static u64 p2m_new_handle(void)
{
	u64 handle;

	do
		handle = get_random_u64();
	while (!handle);
	return handle;
}

/**
 * p2m_share_taken() - make a page that is taken a shared page with one sharer
 * @guest: the guest
 * @gfn: the frame, of type taken
 * @hash: of its contents
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn is of type shared; -ENOMEM.
 */
int p2m_share_taken(struct p2m_guest *guest, unsigned long gfn, u64 hash)
{
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
	struct p2m_bucket *bucket = p2m_bucket(hash);
	struct p2m_shared *shared;

	shared = kzalloc(sizeof(*shared), P2M_GFP_KERNEL);
	if (!shared)
		return -ENOMEM;
	shared->domain = guest->domain;
	shared->hash = hash;
	shared->handle = p2m_new_handle();
	shared->page = page;

	p2m_change_type(guest, gfn, p2m_shared);
	spin_lock(&bucket->lock);
	set_page_private(page, (unsigned long)shared);
	rb_add(&shared->node, &bucket->pages, p2m_shared_less);
	p2m_shared_add(bucket, shared, guest);
	spin_unlock(&bucket->lock);
	return 0;
}

/* Nominate a frame with a page of its own, of 4 KB. */
static int p2m_share_take(struct p2m_guest *guest, unsigned long gfn)
{
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
	int err;

	if (!p2m_pick(guest, gfn) || !p2m_take(guest, gfn, 1)) {
		p2m_count_event(guest, busy);
		return -EBUSY;
	}
	err = p2m_share_taken(guest, gfn, p2m_domain_hash(guest->domain, page));
	p2m_give_back(guest, gfn, 1);
	return err;
}

/**
 * p2m_share_nominate_held() - nominate a frame
 * @guest: the guest
 * @gfn: the frame
 * @hash: the hash that its contents must have; 0 for any
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0, and @gfn is of type shared, maybe as before; -ENOENT if it has no
 * page that can be nominated, or other contents; -EPERM if the guest is never
 * shared; -EBUSY if somebody else has the page; -ENOMEM.
 */
int p2m_share_nominate_held(struct p2m_guest *guest, unsigned long gfn,
			    u64 hash)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page_of(entry, gfn);
	int err;

	if (p2m_entry_type(entry) == p2m_shared)
		return hash && p2m_shared_of(page)->hash != hash ? -ENOENT : 0;
	if (guest->domain->number == P2M_DOMAIN_NEVER)
		return -EPERM;
	if (!p2m_is_ram(entry) || p2m_page_is_poisoned(page) ||
	    (hash && p2m_domain_hash(guest->domain, page) != hash))
		return -ENOENT;
	err = p2m_shatter(guest, gfn);
	if (err)
		return err;
	/* Broken, if its part of the large page was poisoned. */
	if (!p2m_is_ram(p2m_get_entry(&guest->map, gfn)))
		return -ENOENT;
	return p2m_share_take(guest, gfn);
}

/* P2M_SHARE_NOMINATE */
int p2m_share_nominate(struct p2m_guest *guest, struct p2m_share_nominate *arg)
{
	long end = p2m_range_end(guest, arg->gfn, 1);
	struct p2m_hold hold;
	struct page *page;
	int err;

	if (end < 0)
		return end;
	err = p2m_hold_there(&hold, guest, arg->gfn);
	if (err)
		return err;
	err = p2m_share_nominate_held(guest, arg->gfn, 0);
	if (!err) {
		page = p2m_entry_page(p2m_get_entry(&guest->map, arg->gfn));
		arg->handle = p2m_shared_of(page)->handle;
	}
	p2m_unhold(&hold);
	return err;
}

/* ---- Share -------------------------------------------------------- */

/* Give a frame, which is taken, shared or a hole, this shared page. */
static void p2m_give_shared(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_shared *shared)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);

	entry = p2m_retype_entry(entry, p2m_shared);
	p2m_change_entry(guest, gfn, p2m_repage_entry(entry, shared->page));
	p2m_count_event(guest, merged);
	trace_p2m_share(guest->id, gfn, 0);
}

/**
 * p2m_share_join() - give a frame the shared page with the same contents; free
 * its own
 * @guest: the guest
 * @gfn: the frame, of type taken
 * @hash: of its contents
 *
 * Context: process context, holding @gfn.
 * Return: 0, and @gfn is of type shared; -ENOENT if there is no such shared
 * page.
 */
int p2m_share_join(struct p2m_guest *guest, unsigned long gfn, u64 hash)
{
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
	struct p2m_bucket *bucket = p2m_bucket(hash);
	struct p2m_shared *shared;

	spin_lock(&bucket->lock);
	shared = p2m_shared_find(bucket, guest->domain, hash, page);
	if (shared)
		p2m_shared_add(bucket, shared, guest);
	spin_unlock(&bucket->lock);
	if (!shared)
		return -ENOENT;
	/* The frame is a sharer now, so the page stays. */
	p2m_give_shared(guest, gfn, shared);
	p2m_pages_free(page, P2M_4K);
	return 0;
}

/**
 * p2m_share_give() - give a frame that has nothing a shared page
 * @guest: the guest
 * @gfn: the frame, where nobody reads zeros; its chunk has no large page
 * @page: the page of a frame of type shared that the caller holds, of a guest
 * in the same domain
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -EMLINK if the page can have no more sharers, or is poisoned;
 * -ENOSPC if the pool of populate-on-demand is empty; -ENOMEM.
 */
int p2m_share_give(struct p2m_guest *guest, unsigned long gfn,
		   struct page *page)
{
	struct p2m_shared *shared = p2m_shared_of(page);
	struct p2m_bucket *bucket = p2m_bucket(shared->hash);
	bool pool = gfn < guest->pool.gfns;
	struct p2m_entry entry;
	int err;

	err = p2m_huge_split(guest, gfn);
	if (err)
		return err;
	/* Make its table, if there is none. */
	entry = p2m_get_entry(&guest->map, gfn);
	err = p2m_set_entry(&guest->map, gfn, P2M_4K, entry);
	if (err)
		return err;
	if (pool && !p2m_pool_take(&guest->pool, 1))
		return -ENOSPC;
	spin_lock(&bucket->lock);
	if (p2m_shared_is_full(shared) || p2m_page_is_poisoned(page))
		err = -EMLINK;
	else
		p2m_shared_add(bucket, shared, guest);
	spin_unlock(&bucket->lock);
	if (err) {
		if (pool)
			p2m_pool_give(&guest->pool, 1);
		return err;
	}
	if (guest->log_dirty)
		p2m_change_entry(guest, gfn, p2m_dirty_entry(entry));
	p2m_give_shared(guest, gfn, shared);
	return 0;
}

/* Find what a handle of a frame, which is held, names; if it still does. */
static struct p2m_shared *p2m_shared_by_handle(struct p2m_guest *guest,
					       unsigned long gfn, u64 handle)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct p2m_shared *shared;

	if (p2m_entry_type(entry) != p2m_shared)
		return ERR_PTR(-ESTALE);
	shared = p2m_shared_of(p2m_entry_page(entry));
	return shared->handle == handle ? shared : ERR_PTR(-ESTALE);
}

/* Holding the frames of both. */
static int p2m_share_held(struct p2m_guest *source, struct p2m_guest *client,
			  struct p2m_share *arg)
{
	struct p2m_shared *from, *to;
	struct p2m_bucket *bucket;
	bool full;

	if (source->domain != client->domain)
		return -EXDEV;
	to = p2m_shared_by_handle(source, arg->source_gfn, arg->source_handle);
	if (IS_ERR(to))
		return PTR_ERR(to);
	from = p2m_shared_by_handle(client, arg->client_gfn,
				    arg->client_handle);
	if (IS_ERR(from))
		return PTR_ERR(from);
	if (from == to)
		return 0;
	/* Both frames are held and shared, so neither page changes. */
	if (p2m_page_is_poisoned(from->page) || p2m_page_is_poisoned(to->page))
		return -EHWPOISON;
	if (!p2m_pages_equal(from->page, to->page))
		return -EILSEQ;

	bucket = p2m_bucket(to->hash);
	spin_lock(&bucket->lock);
	full = p2m_shared_is_full(to);
	if (!full)
		p2m_shared_add(bucket, to, client);
	spin_unlock(&bucket->lock);
	if (full)
		return -EMLINK;
	/* The frame is held, so no touch maps it before it has its new page. */
	p2m_unmap(client, arg->client_gfn, 1);
	p2m_give_shared(client, arg->client_gfn, to);
	p2m_shared_leave(client, from);
	return 0;
}

/* P2M_SHARE: @client is the guest of @arg->client_fd, maybe the same */
int p2m_share(struct p2m_guest *source, struct p2m_guest *client,
	      struct p2m_share *arg)
{
	struct mem_cgroup *old;
	long end;
	int err;

	end = p2m_range_end(source, arg->source_gfn, 1);
	if (end > 0)
		end = p2m_range_end(client, arg->client_gfn, 1);
	if (end < 0)
		return end;
	if (source == client && arg->source_gfn == arg->client_gfn)
		return -EINVAL;
	if (!p2m_has_chunk(source, arg->source_gfn) ||
	    !p2m_has_chunk(client, arg->client_gfn))
		return -ESTALE;
	err = get_p2m_two(&source->lock, arg->source_gfn, &client->lock,
			  arg->client_gfn, 0, P2M_WAIT_KILLABLE);
	if (err)
		return err;
	old = set_active_memcg(client->memcg);
	err = p2m_share_held(source, client, arg);
	set_active_memcg(old);
	put_p2m_two(&source->lock, arg->source_gfn, &client->lock,
		    arg->client_gfn, 0);
	return err;
}

/* ---- Unshare ------------------------------------------------------ */

/* Give a frame of type shared, which is unmapped, a page of its own. */
static int p2m_unshare_unmapped(struct p2m_guest *guest, unsigned long gfn,
				struct vm_fault *vmf)
{
	struct page *page = p2m_entry_page(p2m_get_entry(&guest->map, gfn));
	struct p2m_shared *shared = p2m_shared_of(page);
	struct page *copy;
	int err;

	if (p2m_shared_take(guest, shared)) {
		p2m_set_ram(guest, gfn, page);
	} else {
		/* The page may be where another guest wants it. */
		copy = p2m_page_alloc(0, vmf, vmf ? NUMA_NO_NODE :
						    page_to_nid(page));
		if (!copy)
			return -ENOMEM;
		err = p2m_page_copy(copy, page);
		if (err) {
			p2m_pages_free(copy, P2M_4K);
			return err;
		}
		__SetPageUptodate(copy);
		p2m_set_ram(guest, gfn, copy);
		p2m_shared_leave(guest, shared);
	}
	p2m_count_event(guest, unshared);
	return 0;
}

/**
 * p2m_unshare() - give a shared frame a page of its own
 * @guest: the guest
 * @gfn: the frame, of type shared
 * @vmf: the touch, or NULL
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -ENOMEM, or -EHWPOISON if the page is poisoned: then it stays
 * shared.
 */
int p2m_unshare(struct p2m_guest *guest, unsigned long gfn,
		struct vm_fault *vmf)
{
	int err;

	/* The frame is held, so no touch maps it before it has its new page. */
	p2m_unmap(guest, gfn, 1);
	err = p2m_unshare_unmapped(guest, gfn, vmf);
	trace_p2m_unshare(guest->id, gfn, err);
	return err;
}

/* Unshare a frame of a batch; all shared frames of it are unmapped. */
static int p2m_unshare_frame(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry)
{
	int err;

	if (p2m_entry_type(entry) != p2m_shared)
		return 0;
	err = p2m_unshare_unmapped(guest, gfn, NULL);
	trace_p2m_unshare(guest->id, gfn, err);
	if (err == -EHWPOISON)
		return 0;
	return err ?: 1;
}

/* Unshare the frames of a batch, which is held. */
static int p2m_unshare_batch(struct p2m_guest *guest, unsigned long gfn,
			     unsigned long nr, struct p2m_range *range)
{
	unsigned long end = gfn + nr, first = end, i = gfn;
	struct p2m_entry entry;

	p2m_for_each_entry(&guest->map, i, entry, end)
		if (p2m_entry_type(entry) == p2m_shared)
			first = min(first, i);
	if (first < end)
		p2m_unmap(guest, first, end - first);
	return p2m_for_frames(guest, gfn, nr, range, p2m_unshare_frame);
}

/* P2M_UNSHARE */
int p2m_unshare_range(struct p2m_guest *guest, struct p2m_range *range)
{
	return p2m_for_range(guest, range, P2M_BATCH, p2m_unshare_batch);
}

/* ---- Audit -------------------------------------------------------- */

/* p2m_type_ops.check: the page is shared, and in the frame's domain. */
const char *p2m_shared_check(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_entry entry)
{
	struct page *page = p2m_entry_page(entry);
	struct p2m_shared *shared = p2m_shared_of(page);
	struct p2m_bucket *bucket;
	bool right;

	if (!shared || shared->page != page || shared->domain != guest->domain)
		return "has a page that is not shared, or not in its domain";
	bucket = p2m_bucket(shared->hash);
	spin_lock(&bucket->lock);
	right = shared->nr && shared->nr <= P2M_MAX_SHARERS &&
		RB_EMPTY_NODE(&shared->node) == p2m_shared_is_full(shared);
	spin_unlock(&bucket->lock);
	return right ? NULL : "has a page with too few or too many sharers";
}
