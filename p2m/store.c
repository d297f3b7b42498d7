// SPDX-License-Identifier: GPL-2.0
/* The store: a shmem file for each guest, with the contents of paged frames. */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>

#include "compat.h"
#include "page.h"
#include "store.h"

/* Kept apart from the guests' own counters, to find what these lose. */
static DEFINE_PER_CPU(long, p2m_total_store);

/**
 * p2m_stores_total() - how many frames are in all stores
 *
 * Context: any.
 * Return: the number.
 */
u64 p2m_stores_total(void)
{
	return p2m_percpu_sum(&p2m_total_store);
}

/**
 * p2m_store_create() - make an empty store for a guest
 * @guest: the guest
 *
 * Context: process context; may sleep.
 * Return: 0, or the error of shmem_file_setup().
 */
int p2m_store_create(struct p2m_guest *guest)
{
	struct file *file = shmem_file_setup("p2m-store",
					     P2M_MAX_GFNS << PAGE_SHIFT,
					     P2M_SHMEM_FLAGS);

	if (IS_ERR(file))
		return PTR_ERR(file);
	guest->store = file;
	return 0;
}

/**
 * p2m_store_destroy() - free a guest's store and all that is in it
 * @guest: the guest, which goes; p2m_store_drop() takes its frames off the
 * total
 *
 * Context: process context; may sleep.
 */
void p2m_store_destroy(struct p2m_guest *guest)
{
	fput(guest->store);
}

/* p2m_type_ops.drop: the contents go with the store. */
void p2m_store_drop(struct p2m_guest *guest, struct p2m_entry entry)
{
	if (p2m_entry_in_store(entry))
		this_cpu_dec(p2m_total_store);
}

/* p2m_type_ops.check: the store has the contents that the entry says it has. */
const char *p2m_store_check(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_entry entry)
{
	return !p2m_entry_in_store(entry) ||
	       xa_load(&guest->store->f_mapping->i_pages, gfn) ?
	       NULL : "is to be in the store, and is not";
}

static struct page *p2m_store_page(struct p2m_guest *guest, unsigned long gfn)
{
	return shmem_read_mapping_page_gfp(guest->store->f_mapping, gfn,
					   GFP_HIGHUSER | P2M_GFP_HARD);
}

/**
 * p2m_store_write() - put a frame's contents into the store
 * @guest: the guest
 * @gfn: the frame
 * @page: its page
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -ENOMEM if the store is full; -EHWPOISON if @page is poisoned.
 */
int p2m_store_write(struct p2m_guest *guest, unsigned long gfn,
		    struct page *page)
{
	struct page *to = p2m_store_page(guest, gfn);
	int err;

	/*
	 * Shmem says ENOSPC if the host does not commit itself to more memory.
	 */
	if (IS_ERR(to))
		return PTR_ERR(to) == -ENOSPC ? -ENOMEM : PTR_ERR(to);
	this_cpu_inc(p2m_total_store);
	err = p2m_page_copy(to, page);
	set_page_dirty(to);
	put_page(to);
	if (err)
		p2m_store_free(guest, gfn);
	return err;
}

/**
 * p2m_store_read() - read a frame's contents from the store
 * @guest: the guest
 * @gfn: the frame
 * @page: where to
 *
 * Context: process context, holding @gfn; may sleep.
 * Return: 0; -ENOMEM; -EHWPOISON if they are poisoned; or another error of
 * shmem.
 */
int p2m_store_read(struct p2m_guest *guest, unsigned long gfn,
		   struct page *page)
{
	struct page *from = p2m_store_page(guest, gfn);
	int err;

	if (IS_ERR(from))
		return PTR_ERR(from);
	err = p2m_page_copy(page, from);
	put_page(from);
	return err;
}

/**
 * p2m_store_is_slow() - does reading a frame's contents take I/O?
 * @guest: the guest
 * @gfn: the frame
 *
 * Context: process context, holding @gfn; the result may be out of date.
 * Return: whether the host has swapped out this page of the store.
 */
bool p2m_store_is_slow(struct p2m_guest *guest, unsigned long gfn)
{
	return xa_is_value(xa_load(&guest->store->f_mapping->i_pages, gfn));
}

/**
 * p2m_store_free() - drop a frame's contents from the store
 * @guest: the guest
 * @gfn: the frame
 *
 * Context: process context, holding @gfn; may sleep.
 */
void p2m_store_free(struct p2m_guest *guest, unsigned long gfn)
{
	loff_t start = (loff_t)gfn << PAGE_SHIFT;

	shmem_truncate_range(file_inode(guest->store), start,
			     start + PAGE_SIZE - 1);
	this_cpu_dec(p2m_total_store);
}
