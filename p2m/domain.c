// SPDX-License-Identifier: GPL-2.0
/*
 * Sharing domains: which guests may share pages with each other.
 *
 * Each guest is in one domain; at first in a domain of its own.  What sharing.c
 * and sharing_scan.c remember of contents is of no use in another domain: each
 * domain has its own seed for hashes and its own candidates, and only guests of
 * its domain find a shared page.  So what a guest learns about its own pages
 * says nothing about guests of other domains.
 *
 * A guest changes its domain while all of it is held, and only when it has no
 * shared frame.  So a task that holds a frame knows that the domain stays, and
 * all sharers of a page are in one domain.
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

/* Guards the list of domains with a number, and p2m_guest.domain */
static DEFINE_MUTEX(p2m_domains_lock);
static LIST_HEAD(p2m_domains);

/* Does each guest that asks for this number get a new domain? */
static bool p2m_domain_is_single(u64 number)
{
	return number == P2M_DOMAIN_ALONE || number == P2M_DOMAIN_NEVER;
}

/**
 * p2m_domain_hash() - hash the contents of a page, which may be changing
 * @domain: the domain of the page's guest
 * @page: the page, not poisoned
 *
 * Context: any.
 * Return: the hash, which differs from domain to domain.
 */
u64 p2m_domain_hash(struct p2m_domain *domain, struct page *page)
{
	void *addr = kmap_local_page(page);
	u64 hash = xxh64(addr, PAGE_SIZE, domain->seed);

	kunmap_local(addr);
	return hash;
}

static struct p2m_domain *p2m_domain_new(u64 number)
{
	struct p2m_domain *domain;

	domain = kzalloc(sizeof(*domain), GFP_KERNEL_ACCOUNT);
	if (!domain)
		return NULL;
	domain->number = number;
	get_random_bytes(&domain->seed, sizeof(domain->seed));
	domain->zero_hash = p2m_domain_hash(domain, ZERO_PAGE(0));
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
 * p2m_domain_get() - get the domain with a number, or a new one
 * @number: the number.  For P2M_DOMAIN_ALONE or P2M_DOMAIN_NEVER the domain is
 * always new.
 *
 * Context: process context; may sleep.
 * Return: the domain, with a reference for p2m_domain_put(); or NULL without
 * memory.
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
 * p2m_domain_enter() - put a new guest into its first domain
 * @guest: the guest
 * @number: the domain's number, as for p2m_domain_get()
 *
 * Context: process context; may sleep.
 * Return: 0; for p2m_domain_leave(); -ENOMEM.
 */
int p2m_domain_enter(struct p2m_guest *guest, u64 number)
{
	guest->domain = p2m_domain_get(number);
	if (!guest->domain)
		return -ENOMEM;
	mutex_lock(&p2m_domains_lock);
	guest->domain->guests++;
	mutex_unlock(&p2m_domains_lock);
	return 0;
}

/**
 * p2m_domain_leave() - a guest ends
 * @guest: the guest, which has no shared page any more
 *
 * Context: process context; may sleep.
 */
void p2m_domain_leave(struct p2m_guest *guest)
{
	mutex_lock(&p2m_domains_lock);
	guest->domain->guests--;
	mutex_unlock(&p2m_domains_lock);
	p2m_domain_put(guest->domain);
}

/* All of @guest is held.  @domain gets the old domain. */
static void p2m_domain_swap(struct p2m_guest *guest, struct p2m_domain **domain)
{
	mutex_lock(&p2m_domains_lock);
	guest->domain->guests--;
	(*domain)->guests++;
	swap(guest->domain, *domain);
	mutex_unlock(&p2m_domains_lock);
}

/**
 * p2m_domain_of() - get the domain that a guest is in now
 * @guest: the guest; need not be held
 *
 * Context: process context; may sleep.
 * Return: the domain, with a reference for p2m_domain_put().
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
 * p2m_domain_number() - the number of the domain that a guest is in now
 * @guest: the guest; need not be held
 *
 * Context: process context; may sleep.
 * Return: the number, as in P2M_SHARE_DOMAIN.
 */
u64 p2m_domain_number(struct p2m_guest *guest)
{
	struct p2m_domain *domain = p2m_domain_of(guest);
	u64 number = domain->number;

	p2m_domain_put(domain);
	return number;
}

/*
 * May the caller move a guest from one domain to another?  Everybody may share
 * less; but a guest that is never shared stays so.
 */
static bool p2m_domain_may_change(u64 from, u64 to)
{
	if (to == P2M_DOMAIN_NEVER ||
	    (to == P2M_DOMAIN_ALONE && from != P2M_DOMAIN_NEVER))
		return true;
	return capable(CAP_SYS_ADMIN);
}

/* All of @guest is held.  @domain gets the old domain, if that changes. */
static int p2m_domain_change(struct p2m_guest *guest,
			     struct p2m_domain **domain)
{
	u64 from = guest->domain->number, to = (*domain)->number;

	/* A clone and its source are in one domain, which has no number. */
	if (from == to && (from != P2M_DOMAIN_ALONE ||
			   READ_ONCE(guest->domain->guests) == 1))
		return 0;
	if (!p2m_domain_may_change(from, to))
		return -EPERM;
	if (p2m_map_count(&guest->map, p2m_shared))
		return -EBUSY;
	p2m_domain_swap(guest, domain);
	return 0;
}

/*
 * All of @guest is held.  @domain gets the old domain, if that changes.  Who
 * comes into a domain learns what others there have.
 */
static int p2m_domain_move(struct p2m_guest *guest, struct p2m_domain **domain)
{
	if (guest->domain->number == P2M_DOMAIN_NEVER ||
	    (*domain)->number == P2M_DOMAIN_NEVER)
		return -EPERM;
	if (guest->domain == *domain)
		return 0;
	if (((*domain)->number != P2M_DOMAIN_ALONE ||
	     READ_ONCE((*domain)->guests) > 1) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (p2m_map_count(&guest->map, p2m_shared))
		return -EXDEV;
	p2m_domain_swap(guest, domain);
	return 0;
}

/**
 * p2m_domain_join() - put a guest into the domain of another
 * @guest: the guest
 * @with: the other guest
 *
 * The caller may read one guest and write it to the other.  So it may join them
 * if the other is alone.
 *
 * Context: process context, holding nothing; may sleep.
 * Return: 0; -EPERM if one of them is never shared, or the caller is no
 * administrator and @with is not alone; -EXDEV if @guest has shared frames of
 * another domain; -EINTR on a fatal signal; -ENOMEM.
 */
int p2m_domain_join(struct p2m_guest *guest, struct p2m_guest *with)
{
	struct p2m_domain *domain = p2m_domain_of(with);
	struct p2m_hold hold;
	int err;

	err = p2m_hold_wait(&hold, guest, 0, 0, P2M_WAIT_KILLABLE);
	if (!err) {
		err = p2m_domain_move(guest, &domain);
		p2m_unhold(&hold);
	}
	p2m_domain_put(domain);
	return err;
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
