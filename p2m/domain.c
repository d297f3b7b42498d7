// SPDX-License-Identifier: GPL-2.0
/*
 * Sharing domains: which guests may have a page together.
 *
 * Each guest is in one, at first in one of its own.  Nothing that sharing.c and
 * scan.c remember of contents is of use in another domain: each has a seed of its
 * own for its hashes, and candidates of its own, and a shared page is found by guests
 * of its own domain only.  So what a guest is told of its own pages says nothing about
 * guests that are not in its domain.
 *
 * A guest changes its domain while all of it is held, and has no shared frame then.
 * So who holds a frame has the domain too, and all sharers of a page are in one.
 */

#include <linux/capability.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "domain.h"
#include "walk.h"

/* The domains that have a number; it guards who is in which as well. */
static DEFINE_MUTEX(p2m_domains_lock);
static LIST_HEAD(p2m_domains);

/* Is there one for each guest that asks for it? */
static bool p2m_domain_is_single(u64 number)
{
	return number == P2M_DOMAIN_ALONE || number == P2M_DOMAIN_NEVER;
}

/**
 * p2m_hash_page() - a hash of what is in a page, which may be changing
 * @domain: that of the page's guest
 * @page: the page, not poisoned
 *
 * Context: any.
 * Return: the hash; another one in every domain.
 */
u64 p2m_hash_page(struct p2m_domain *domain, struct page *page)
{
	void *addr = kmap_local_page(page);
	u64 hash = xxh64(addr, PAGE_SIZE, domain->seed);

	kunmap_local(addr);
	return hash;
}

static struct p2m_domain *p2m_domain_new(u64 number)
{
	struct p2m_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL_ACCOUNT);

	if (!domain)
		return NULL;
	domain->number = number;
	get_random_bytes(&domain->seed, sizeof(domain->seed));
	domain->zero_hash = p2m_hash_page(domain, ZERO_PAGE(0));
	spin_lock_init(&domain->seen_lock);
	INIT_LIST_HEAD(&domain->link);
	refcount_set(&domain->ref, 1);
	return domain;
}

static struct p2m_domain *p2m_domain_find(u64 number)
{
	struct p2m_domain *domain;

	list_for_each_entry(domain, &p2m_domains, link)
		if (domain->number == number)
			return domain;
	return NULL;
}

/**
 * p2m_domain_get() - the domain with a number, or a new one
 * @number: the number; each call for P2M_DOMAIN_ALONE or P2M_DOMAIN_NEVER gives a
 * new one
 *
 * Context: process context; may sleep.
 * Return: the domain, with a reference to be dropped by p2m_domain_put(); or NULL
 * without memory.
 */
struct p2m_domain *p2m_domain_get(u64 number)
{
	struct p2m_domain *domain, *new = p2m_domain_new(number);

	if (!new || p2m_domain_is_single(number))
		return new;
	mutex_lock(&p2m_domains_lock);
	domain = p2m_domain_find(number);
	if (domain)
		refcount_inc(&domain->ref);
	else
		list_add(&new->link, &p2m_domains);
	mutex_unlock(&p2m_domains_lock);
	if (!domain)
		return new;
	kfree(new);
	return domain;
}

/**
 * p2m_domain_put() - drop a reference to a domain
 * @domain: the domain, which goes with the last one
 *
 * Context: process context; may sleep.
 */
void p2m_domain_put(struct p2m_domain *domain)
{
	if (!refcount_dec_and_mutex_lock(&domain->ref, &p2m_domains_lock))
		return;
	list_del(&domain->link);
	mutex_unlock(&p2m_domains_lock);
	kvfree(domain->seen);
	kfree(domain);
}

/**
 * p2m_domain_of() - the domain that a guest is in just now
 * @guest: the guest, of which nothing needs to be held
 *
 * Context: process context; may sleep.
 * Return: the domain, with a reference to be dropped by p2m_domain_put().
 */
struct p2m_domain *p2m_domain_of(struct p2m_guest *guest)
{
	struct p2m_domain *domain;

	mutex_lock(&p2m_domains_lock);
	domain = guest->domain;
	refcount_inc(&domain->ref);
	mutex_unlock(&p2m_domains_lock);
	return domain;
}

/**
 * p2m_domain_number() - the number of the domain that a guest is in just now
 * @guest: the guest
 *
 * Context: process context; may sleep.
 * Return: the number, as P2M_SHARE_DOMAIN takes it.
 */
u64 p2m_domain_number(struct p2m_guest *guest)
{
	u64 number;

	mutex_lock(&p2m_domains_lock);
	number = guest->domain->number;
	mutex_unlock(&p2m_domains_lock);
	return number;
}

/*
 * May the caller have a guest go from one domain to another?  To share less is for
 * everybody, but a guest that is never to be shared stays so.
 */
static bool p2m_domain_may_change(u64 from, u64 to)
{
	if (to == P2M_DOMAIN_NEVER ||
	    (to == P2M_DOMAIN_ALONE && from != P2M_DOMAIN_NEVER))
		return true;
	return capable(CAP_SYS_ADMIN);
}

/* All of @guest is held.  If it changes, @domain becomes the one that it was in. */
static int p2m_domain_change(struct p2m_guest *guest, struct p2m_domain **domain)
{
	u64 from = guest->domain->number, to = (*domain)->number;

	if (from == to)
		return 0;
	if (!p2m_domain_may_change(from, to))
		return -EPERM;
	if (p2m_map_count(&guest->map, p2m_shared))
		return -EBUSY;
	mutex_lock(&p2m_domains_lock);
	swap(guest->domain, *domain);
	mutex_unlock(&p2m_domains_lock);
	return 0;
}

/* P2M_SHARE_DOMAIN */
int p2m_domain_set(struct p2m_guest *guest, struct p2m_share_domain *arg)
{
	struct p2m_domain *domain = p2m_domain_get(arg->domain);
	struct p2m_hold hold;
	int err;

	if (!domain)
		return -ENOMEM;
	err = p2m_hold_all(&hold, guest);
	if (!err) {
		err = p2m_domain_change(guest, &domain);
		p2m_unhold(&hold);
	}
	p2m_domain_put(domain);
	return err;
}
