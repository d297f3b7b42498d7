/* SPDX-License-Identifier: GPL-2.0 */
/* Which guests may share */
#ifndef _P2M_DOMAIN_H
#define _P2M_DOMAIN_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>

#include "p2m/guest.h"

/**
 * struct p2m_domain - guests that may share
 * @number: its number in P2M_SHARE_DOMAIN
 * @seed: of the hashes of contents
 * @zero_hash: the p2m_domain_hash() of a zero page
 * @seen: candidates of scans; or NULL
 * @seen_bits: log2 of the number of sets of these
 * @seen_lock: guards @seen and @seen_bits
 * @link: in the list of domains with a number
 * @guests: how many guests are in it; guarded by domain.c's lock
 * @ref: held by its guests, and by tasks that use it
 */
struct p2m_domain {
	u64			number;
	u64			seed;
	u64			zero_hash;
	struct p2m_seen		*seen;
	unsigned int		seen_bits;
	spinlock_t		seen_lock;	/* the innermost of all */
	struct list_head	link;
	unsigned long		guests;
	refcount_t		ref;
};

struct p2m_domain *p2m_domain_of(struct p2m_guest *guest);
u64 p2m_domain_hash(struct p2m_domain *domain, struct page *page);
struct p2m_domain *p2m_domain_get(u64 number);
void p2m_domain_put(struct p2m_domain *domain);
int p2m_domain_enter(struct p2m_guest *guest, u64 number);
void p2m_domain_leave(struct p2m_guest *guest);
u64 p2m_domain_number(struct p2m_guest *guest);
int p2m_domain_join(struct p2m_guest *guest, struct p2m_guest *with);
int p2m_domain_set(struct p2m_guest *guest, struct p2m_share_domain *arg);

#endif /* _P2M_DOMAIN_H */
