// SPDX-License-Identifier: GPL-2.0
/* Guests: how they are made, how they end, and the list of all of them. */

#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "domain.h"
#include "guests.h"
#include "page.h"
#include "pager.h"
#include "pod.h"
#include "store.h"
#include "zero.h"

static DEFINE_MUTEX(p2m_guests_lock);
static LIST_HEAD(p2m_guests);
static u64 p2m_last_id;

/**
 * p2m_guest_create() - make an empty guest
 * @inode: its inode; its address space is the guest's, so that one guest can be
 * zapped without the others
 * @share: its sharing domain, as in P2M_SHARE_DOMAIN
 *
 * It is charged to the calling process's memory cgroup.
 *
 * Context: process context; may sleep.
 * Return: the guest; ERR_PTR(-ENOMEM) or another error of p2m_store_create().
 */
struct p2m_guest *p2m_guest_create(struct inode *inode, u64 share)
{
	struct p2m_guest *guest;
	int err = -ENOMEM;

	guest = kzalloc(sizeof(*guest), GFP_KERNEL_ACCOUNT);
	if (!guest)
		return ERR_PTR(-ENOMEM);

	p2m_rangelock_init(&guest->lock, guest->name);
	p2m_pool_init(&guest->pool);
	guest->counters = alloc_percpu_gfp(struct p2m_counters,
					   GFP_KERNEL_ACCOUNT);
	if (!guest->counters)
		goto out_lock;
	if (p2m_map_init(&guest->map, &guest->lock))
		goto out_counters;
	guest->inode = inode;
	err = p2m_store_create(guest);
	if (err)
		goto out_map;
	err = p2m_domain_enter(guest, share);
	if (err)
		goto out_store;
	guest->memcg = get_mem_cgroup_from_mm(current->mm);

	mutex_lock(&p2m_guests_lock);
	guest->id = ++p2m_last_id;
	snprintf(guest->name, sizeof(guest->name), "p2m/%llu", guest->id);
	guest->map.id = guest->id;
	list_add_tail(&guest->link, &p2m_guests);
	mutex_unlock(&p2m_guests_lock);
	return guest;

out_store:
	p2m_store_destroy(guest);
out_map:
	p2m_map_destroy(&guest->map, NULL, NULL);
out_counters:
	free_percpu(guest->counters);
out_lock:
	p2m_rangelock_destroy(&guest->lock);
	kfree(guest);
	return ERR_PTR(err);
}

static void p2m_drop_entry(struct p2m_entry entry, void *guest)
{
	const struct p2m_type_ops *ops = &p2m_type_ops[p2m_entry_type(entry)];

	if (ops->drop)
		ops->drop(guest, entry);
}

/**
 * p2m_guest_destroy() - free a guest, and all that it has
 * @guest: the guest, whose inode goes: no file and no mapping refers to it
 *
 * Context: process context, holding nothing of the guest; may sleep.
 */
void p2m_guest_destroy(struct p2m_guest *guest)
{
	mutex_lock(&p2m_guests_lock);
	list_del(&guest->link);
	mutex_unlock(&p2m_guests_lock);

	mem_cgroup_put(guest->memcg);
	p2m_pager_free(guest);
	p2m_store_destroy(guest);
	p2m_map_destroy(&guest->map, p2m_drop_entry, guest);
	p2m_zero_free(guest);
	/* Until now it had shared pages. */
	p2m_domain_leave(guest);
	free_percpu(guest->counters);
	p2m_rangelock_destroy(&guest->lock);
	kfree(guest);
}

/**
 * p2m_guest_put() - drop a reference of p2m_guest_next() or p2m_guest_find()
 * @guest: the guest
 *
 * Context: process context, holding nothing of the guest; may sleep.
 */
void p2m_guest_put(struct p2m_guest *guest)
{
	struct super_block *sb = guest->inode->i_sb;

	iput(guest->inode);
	deactivate_super(sb);
}

/*
 * Find the next guest after number @id whose file system is mounted, and keep
 * that mounted.  @going: the guest itself goes.  Returns it or NULL.
 */
static struct p2m_guest *p2m_guest_grab(u64 *id, struct super_block **sb,
					bool *going)
{
	struct p2m_guest *guest, *found = NULL;

	mutex_lock(&p2m_guests_lock);
	/* The list is in the order of making. */
	list_for_each_entry(guest, &p2m_guests, link) {
		*sb = guest->inode->i_sb;
		if (guest->id > *id && atomic_inc_not_zero(&(*sb)->s_active)) {
			*id = guest->id;
			*going = !igrab(guest->inode);
			found = guest;
			break;
		}
	}
	mutex_unlock(&p2m_guests_lock);
	return found;
}

/**
 * p2m_guest_next() - find the guest with the next number
 * @id: a number; 0 for the first guest
 *
 * For a walk through all guests that holds up none of them.
 *
 * Context: process context; may sleep.
 * Return: the guest, with a reference for p2m_guest_put(); or NULL.
 */
struct p2m_guest *p2m_guest_next(u64 id)
{
	struct p2m_guest *guest;
	struct super_block *sb;
	bool going;

	while ((guest = p2m_guest_grab(&id, &sb, &going)) && going)
		deactivate_super(sb);
	return guest;
}

/**
 * p2m_guest_find() - find the guest with this number
 * @id: the number, not 0
 *
 * Context: process context; may sleep.
 * Return: the guest, with a reference for p2m_guest_put(); or NULL.
 */
struct p2m_guest *p2m_guest_find(u64 id)
{
	struct p2m_guest *guest = p2m_guest_next(id - 1);

	if (!guest || guest->id == id)
		return guest;
	p2m_guest_put(guest);
	return NULL;
}

/**
 * p2m_guests_totals() - add up what all guests have
 * @totals: gets the sums
 *
 * Context: process context; may sleep.
 */
void p2m_guests_totals(struct p2m_totals *totals)
{
	struct p2m_guest *guest;

	totals->guests = 0;
	mutex_lock(&p2m_guests_lock);
	list_for_each_entry(guest, &p2m_guests, link)
		totals->guests++;
	mutex_unlock(&p2m_guests_lock);
	totals->pages = p2m_pages_total();
	totals->store = p2m_stores_total();
}
