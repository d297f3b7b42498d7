// SPDX-License-Identifier: GPL-2.0
/* Guests: how they are made, how they end, and the list of all of them. */

#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "domain.h"
#include "guests.h"
#include "page.h"
#include "pager.h"
#include "pod.h"
#include "store.h"

#define P2M_FS_MAGIC	0x70326d21	/* "p2m!" */

static DEFINE_MUTEX(p2m_guests_lock);
static LIST_HEAD(p2m_guests);
static u64 p2m_last_id;

/*
 * Every guest needs an address space of its own, so that one guest can be
 * zapped without the others.  An address space needs an inode, and an inode a
 * file system.  That is mounted while there is a guest; and while it is
 * mounted, the module cannot be unloaded.
 */
static struct vfsmount *p2m_mnt;
static int p2m_mnt_count;

static int p2m_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, P2M_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type p2m_fs_type = {
	.name = "p2m",
	.owner = THIS_MODULE,
	.init_fs_context = p2m_fs_init_context,
	.kill_sb = kill_anon_super,
};

static struct inode *p2m_inode_new(void)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&p2m_fs_type, &p2m_mnt, &p2m_mnt_count);
	if (err)
		return ERR_PTR(err);
	inode = alloc_anon_inode(p2m_mnt->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&p2m_mnt, &p2m_mnt_count);
	else
		p2m_set_end(inode);
	return inode;
}

static void p2m_inode_put(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&p2m_mnt, &p2m_mnt_count);
}

/**
 * p2m_guest_create() - make an empty guest
 *
 * It is charged to the calling process's memory cgroup.
 *
 * Context: process context; may sleep.
 * Return: the guest; ERR_PTR(-ENOMEM) or another error of p2m_store_create().
 */
struct p2m_guest *p2m_guest_create(void)
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
	guest->inode = p2m_inode_new();
	if (IS_ERR(guest->inode)) {
		err = PTR_ERR(guest->inode);
		goto out_map;
	}
	err = p2m_store_create(guest);
	if (err)
		goto out_inode;
	guest->domain = p2m_domain_get(P2M_DOMAIN_ALONE);
	if (!guest->domain) {
		err = -ENOMEM;
		goto out_store;
	}
	guest->memcg = get_mem_cgroup_from_mm(current->mm);

	refcount_set(&guest->ref, 1);

	mutex_lock(&p2m_guests_lock);
	guest->id = ++p2m_last_id;
	snprintf(guest->name, sizeof(guest->name), "p2m/%llu", guest->id);
	guest->map.id = guest->id;
	list_add_tail(&guest->link, &p2m_guests);
	mutex_unlock(&p2m_guests_lock);
	return guest;

out_store:
	p2m_store_destroy(guest);
out_inode:
	p2m_inode_put(guest->inode);
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
 * p2m_guest_put() - drop a reference to a guest
 * @guest: the guest
 *
 * With the last reference it is freed, and all that it has.  No file and no
 * mapping refers to it then.
 *
 * Context: process context, holding nothing of the guest; may sleep.
 */
void p2m_guest_put(struct p2m_guest *guest)
{
	if (!refcount_dec_and_mutex_lock(&guest->ref, &p2m_guests_lock))
		return;
	list_del(&guest->link);
	mutex_unlock(&p2m_guests_lock);

	mem_cgroup_put(guest->memcg);
	p2m_pager_free(guest);
	p2m_store_destroy(guest);
	p2m_inode_put(guest->inode);
	p2m_map_destroy(&guest->map, p2m_drop_entry, guest);
	/* Until now it had shared pages. */
	p2m_domain_put(guest->domain);
	free_percpu(guest->counters);
	p2m_rangelock_destroy(&guest->lock);
	kfree(guest);
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
	struct p2m_guest *guest, *found = NULL;

	mutex_lock(&p2m_guests_lock);
	/* The list is in the order of making. */
	list_for_each_entry(guest, &p2m_guests, link) {
		if (guest->id > id) {
			/* The last put takes it off under this lock. */
			refcount_inc(&guest->ref);
			found = guest;
			break;
		}
	}
	mutex_unlock(&p2m_guests_lock);
	return found;
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
