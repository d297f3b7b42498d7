// SPDX-License-Identifier: GPL-2.0
/*
 * A guest as a file: its bytes are the guest's memory.
 *
 * A descriptor for reading and writing lets its owner do what it could do to
 * the memory that it maps: read, write, punch holes; and make the file longer,
 * or share it with nobody any more.  All else needs a descriptor for control,
 * which is opened for nothing else: see p2m_file_open().
 *
 * The inode's lock keeps the size.  It is taken before mmap_lock, as in other
 * file systems, so no fault takes it.
 */

#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "calls.h"
#include "clone.h"
#include "compat.h"
#include "discard.h"
#include "domain.h"
#include "fault.h"
#include "fs.h"
#include "page.h"
#include "pager.h"
#include "pod.h"
#include "store.h"
#include "walk.h"

static struct p2m_guest *p2m_file_guest(struct file *file)
{
	return file->private_data;
}

static bool p2m_is_hole(struct p2m_entry entry)
{
	return p2m_type_is_hole(p2m_entry_type(entry));
}

/* ---- Read --------------------------------------------------------- */

/**
 * struct p2m_contents - what a frame has
 * @page: a page with the contents, referenced; NULL if they are zeros
 * @copy: the page is a copy from the store
 */
struct p2m_contents {
	struct page	*page;
	bool		copy;
};

static void p2m_contents_put(struct p2m_contents *c)
{
	if (c->copy)
		p2m_pages_free(c->page, P2M_4K);
	else if (c->page)
		put_page(c->page);
}

/* The store has the contents of the frame, and goes on having them. */
static int p2m_contents_copy(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_contents *c)
{
	int err;

	c->page = p2m_page_alloc(0, NULL, NUMA_NO_NODE);
	if (!c->page)
		return -ENOMEM;
	c->copy = true;
	err = p2m_store_read(guest, gfn, c->page);
	if (err)
		return err == -ENOMEM ? err : -EIO;
	/* A pipe may get the page itself. */
	__SetPageUptodate(c->page);
	return 0;
}

/* The frame is held.  Returns -EAGAIN if a pager was asked for it. */
static int p2m_contents_held(struct p2m_guest *guest, unsigned long gfn,
			     struct p2m_contents *c)
{
	struct p2m_entry entry = p2m_get_entry(&guest->map, gfn);
	struct page *page = p2m_entry_page_of(entry, gfn);
	int err;

	if (page) {
		if (p2m_page_is_poisoned(page))
			return -EIO;
		get_page(page);
		c->page = page;
		return 0;
	}
	if (p2m_entry_with_pager(entry)) {
		err = p2m_pager_ask(guest, gfn, false);
		if (err != -ENOTCONN)
			return err;
	}
	if (p2m_entry_in_store(entry))
		return p2m_contents_copy(guest, gfn, c);
	return p2m_is_hole(entry) ? 0 : -EIO;
}

/* Get the contents of a frame, which changes nothing, unless a pager has it. */
static int p2m_contents_get(struct p2m_guest *guest, unsigned long gfn,
			    struct p2m_contents *c)
{
	struct p2m_hold hold;
	int err;

	do {
		*c = (struct p2m_contents){};
		err = p2m_hold_there(&hold, guest, gfn);
		if (err)
			return err == -ENOENT ? 0 : err;
		err = p2m_contents_held(guest, gfn, c);
		p2m_unhold(&hold);
		if (err == -EAGAIN)
			err = p2m_pager_wait(guest, gfn, TASK_INTERRUPTIBLE) ?:
			      -EAGAIN;
	} while (err == -EAGAIN);
	if (err)
		p2m_contents_put(c);
	return err;
}

/* Read a part of a frame. */
static ssize_t p2m_read_frame(struct p2m_guest *guest, loff_t pos, size_t count,
			      struct iov_iter *to)
{
	struct p2m_contents c;
	size_t done;
	int err;

	err = p2m_contents_get(guest, pos >> PAGE_SHIFT, &c);
	if (err)
		return err;
	if (c.page)
		done = copy_page_to_iter(c.page, offset_in_page(pos), count,
					 to);
	else
		done = iov_iter_zero(count, to);
	p2m_contents_put(&c);
	return done ?: -EFAULT;
}

typedef ssize_t (*p2m_part_fn)(struct p2m_guest *guest, loff_t pos,
			       size_t count, struct iov_iter *iter);

/* Go through the parts of frames of [pos, end). */
static ssize_t p2m_file_parts(struct kiocb *iocb, loff_t end,
			      struct iov_iter *iter, p2m_part_fn part)
{
	struct p2m_guest *guest = p2m_file_guest(iocb->ki_filp);
	loff_t start = iocb->ki_pos;
	ssize_t done = 0;
	size_t count;

	while (iov_iter_count(iter) && iocb->ki_pos < end) {
		count = min_t(loff_t, end - iocb->ki_pos,
			      PAGE_SIZE - offset_in_page(iocb->ki_pos));
		count = min(count, iov_iter_count(iter));
		done = part(guest, iocb->ki_pos, count, iter);
		if (done >= 0 && fatal_signal_pending(current))
			done = -EINTR;
		if (done < 0)
			break;
		iocb->ki_pos += done;
		cond_resched();
	}
	return iocb->ki_pos > start ? iocb->ki_pos - start : min(done, 0L);
}

static ssize_t p2m_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret;

	ret = p2m_file_parts(iocb, i_size_read(inode), to, p2m_read_frame);
	return ret == -EINTR ? -ERESTARTSYS : ret;
}

/* ---- Write -------------------------------------------------------- */

/* Get a reference to the page of a frame, which may be written to. */
static int p2m_writable_held(struct p2m_guest *guest, unsigned long gfn,
			     struct page **page)
{
	int err = p2m_touch_page(guest, gfn, true);

	if (err)
		return err;
	*page = p2m_entry_page_of(p2m_get_entry(&guest->map, gfn), gfn);
	/* Log-dirty sees the reference: see dirty.c. */
	get_page(*page);
	return 0;
}

/* Returns -EAGAIN if a pager was asked for the frame. */
static int p2m_writable_get(struct p2m_guest *guest, unsigned long gfn,
			    struct page **page)
{
	struct p2m_hold hold;
	int err;

	do {
		err = p2m_hold(&hold, guest, gfn, 1);
		if (err)
			return err;
		err = p2m_writable_held(guest, gfn, page);
		p2m_unhold(&hold);
		if (err == -EBUSY)
			return -EAGAIN;
	} while (err == -ENOSPC && !(err = p2m_pod_make_room(guest)));
	return err == -EHWPOISON ? -EIO : err;
}

/* Write a part of a frame. */
static ssize_t p2m_write_frame(struct p2m_guest *guest, loff_t pos,
			       size_t count, struct iov_iter *from)
{
	struct page *page;
	size_t done;
	int err;

	err = p2m_writable_get(guest, pos >> PAGE_SHIFT, &page);
	if (err)
		return err;
	done = copy_page_from_iter(page, offset_in_page(pos), count, from);
	put_page(page);
	return done ?: -EFAULT;
}

/* The inode is locked. */
static ssize_t p2m_write_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t size, end;
	ssize_t ret;

	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		return ret;
	size = i_size_read(inode);
	end = iocb->ki_pos + ret;
	ret = end > size ? p2m_fs_resize(inode, end) : 0;
	ret = ret ?: file_modified(iocb->ki_filp);
	if (!ret)
		ret = p2m_file_parts(iocb, end, from, p2m_write_frame);
	if (ret > 0)
		size = max_t(loff_t, size, round_up(iocb->ki_pos, PAGE_SIZE));
	p2m_fs_undo_grow(inode, size);
	return ret;
}

/*
 * A pager is not waited for with the inode locked: others who want that lock
 * cannot be killed, and some of them have locked the directory.
 */
static ssize_t p2m_file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret, done = 0;
	size_t count;

	do {
		/* The buffer may be a guest's memory, too. */
		count = iov_iter_count(from);
		if (count && fault_in_iov_iter_readable(from, count) == count)
			return done ?: -EFAULT;
		inode_lock(inode);
		ret = p2m_write_locked(iocb, from);
		inode_unlock(inode);
		if (ret == -EAGAIN)
			ret = p2m_pager_wait(inode->i_private,
					     iocb->ki_pos >> PAGE_SHIFT,
					     TASK_INTERRUPTIBLE);
		else if (ret > 0)
			done += ret;
		else
			break;
	} while (ret >= 0 && iov_iter_count(from));
	if (ret == -EINTR)
		ret = -ERESTARTSYS;
	return done ?: ret;
}

/* ---- Holes -------------------------------------------------------- */

/* The next frame from @gfn that is a hole, or is none; or @end; or -errno. */
static long p2m_find_frame(struct p2m_guest *guest, unsigned long gfn,
			   unsigned long end, bool hole)
{
	unsigned long next = gfn;
	struct p2m_entry entry;
	int err;

	while (gfn < end) {
		err = p2m_find_chunk(guest, &next, end);
		if (err)
			return err;
		if (next > gfn && hole)
			return gfn;
		if (next == end)
			return end;
		entry = p2m_lookup(&guest->map, next);
		if (p2m_is_hole(entry) == hole)
			return next;
		next = min(end, p2m_entry_end(next, entry));
		gfn = next;
	}
	return end;
}

static loff_t p2m_file_seek_data(struct file *file, loff_t pos, bool hole)
{
	loff_t size = i_size_read(file_inode(file)), found;
	long gfn;

	if (pos < 0 || pos >= size)
		return -ENXIO;
	gfn = p2m_find_frame(p2m_file_guest(file), pos >> PAGE_SHIFT,
			     size >> PAGE_SHIFT, hole);
	if (gfn < 0)
		return gfn;
	found = max(pos, (loff_t)gfn << PAGE_SHIFT);
	if (!hole && found >= size)
		return -ENXIO;
	return vfs_setpos(file, found, file_inode(file)->i_sb->s_maxbytes);
}

static loff_t p2m_file_llseek(struct file *file, loff_t pos, int whence)
{
	switch (whence) {
	case SEEK_DATA:
	case SEEK_HOLE:
		return p2m_file_seek_data(file, pos, whence == SEEK_HOLE);
	default:
		return generic_file_llseek(file, pos, whence);
	}
}

/*
 * Write zeros to a part of a frame, if it has anything.  Returns -EAGAIN if its
 * pager was asked for it; then @wait is the frame.
 */
static int p2m_zero_part(struct p2m_guest *guest, loff_t pos, loff_t end,
			 unsigned long *wait)
{
	unsigned long gfn = pos >> PAGE_SHIFT;
	struct page *page;
	int err;

	if (pos == end || !p2m_has_chunk(guest, gfn) ||
	    p2m_is_hole(p2m_lookup(&guest->map, gfn)))
		return 0;
	*wait = gfn;
	err = p2m_writable_get(guest, gfn, &page);
	if (err)
		return err;
	memzero_page(page, offset_in_page(pos), end - pos);
	put_page(page);
	return 0;
}

/* Punch a hole into [pos, end), which is below the end of the file. */
static int p2m_punch(struct p2m_guest *guest, loff_t pos, loff_t end,
		     unsigned long *wait)
{
	loff_t first = round_up(pos, PAGE_SIZE);
	loff_t last = round_down(end, PAGE_SIZE);
	int err;

	if (pos >= end)
		return 0;
	if (first > last)
		return p2m_zero_part(guest, pos, end, wait);
	err = p2m_zero_part(guest, pos, first, wait);
	err = err ?: p2m_zero_part(guest, last, end, wait);
	if (err || first == last)
		return err;
	return p2m_discard_frames(guest, first >> PAGE_SHIFT,
				  last >> PAGE_SHIFT);
}

static int p2m_allocate(struct inode *inode, loff_t pos, loff_t end, bool grow)
{
	loff_t size = round_up(end, PAGE_SIZE);
	int err = 0;

	if (grow && size > i_size_read(inode))
		err = p2m_fs_resize(inode, size);
	if (err)
		return err;
	size = min(size, i_size_read(inode));
	return p2m_populate(inode->i_private, pos >> PAGE_SHIFT,
			    size >> PAGE_SHIFT);
}

/* The inode is locked. */
static int p2m_fallocate_locked(struct file *file, int mode, loff_t pos,
				loff_t end, unsigned long *wait)
{
	struct inode *inode = file_inode(file);
	int err = file_modified(file);

	if (err)
		return err;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		return p2m_punch(inode->i_private, pos,
				 min(end, i_size_read(inode)), wait);
	return p2m_allocate(inode, pos, end, !(mode & FALLOC_FL_KEEP_SIZE));
}

static long p2m_file_fallocate(struct file *file, int mode, loff_t pos,
			       loff_t len)
{
	struct inode *inode = file_inode(file);
	unsigned long wait;
	int err;

	if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	do {
		err = down_write_killable(&inode->i_rwsem);
		if (err)
			return err;
		err = p2m_fallocate_locked(file, mode, pos, pos + len, &wait);
		inode_unlock(inode);
		if (err == -EAGAIN)
			err = p2m_pager_wait(inode->i_private, wait,
					     TASK_INTERRUPTIBLE) ?: -EAGAIN;
	} while (err == -EAGAIN);
	/* What was done need not be done again. */
	return err == -EINTR ? -ERESTARTSYS : err;
}

/* ---- Clones --------------------------------------------------------- */

/*
 * Both inodes are locked.  Returns -EAGAIN if a pager was asked for the frame
 * c->wait.
 */
static loff_t p2m_remap_locked(struct file *in, loff_t pos_in, struct file *out,
			       loff_t pos_out, loff_t len, unsigned int flags,
			       struct p2m_cloning *c)
{
	struct inode *inode = file_inode(out);
	int err;

	err = generic_remap_file_range_prep(in, pos_in, out, pos_out, &len,
					    flags);
	if (err || !len)
		return err;
	err = p2m_domain_join(c->client, c->source);
	if (err)
		return err;
	if (pos_out + len > i_size_read(inode)) {
		err = p2m_fs_resize(inode, pos_out + len);
		if (err)
			return err;
	}
	err = p2m_clone(c, pos_in >> PAGE_SHIFT, pos_out >> PAGE_SHIFT,
			len >> PAGE_SHIFT);
	return err ?: len;
}

static loff_t p2m_file_remap(struct file *in, loff_t pos_in, struct file *out,
			     loff_t pos_out, loff_t len, unsigned int flags)
{
	struct p2m_cloning c = {
		.source = p2m_file_guest(in),
		.client = p2m_file_guest(out),
	};
	loff_t ret;

	if (flags & ~REMAP_FILE_ADVISORY)
		return -EINVAL;
	/* The source's pages will be read-only, and may be made from 2 MB. */
	if (!(in->f_mode & FMODE_WRITE) &&
	    !inode_owner_or_capable(p2m_file_idmap(in), file_inode(in)))
		return -EPERM;
	do {
		lock_two_nondirectories(file_inode(in), file_inode(out));
		ret = p2m_remap_locked(in, pos_in, out, pos_out, len, flags,
				       &c);
		unlock_two_nondirectories(file_inode(in), file_inode(out));
		if (ret == -EAGAIN)
			ret = p2m_pager_wait(c.source, c.wait, TASK_KILLABLE) ?:
			      -EAGAIN;
	} while (ret == -EAGAIN);
	return ret;
}

/* ---- The descriptor ----------------------------------------------- */

static int p2m_file_flush(struct file *file, fl_owner_t id)
{
	p2m_pager_flush(p2m_file_guest(file), id);
	return 0;
}

static ssize_t p2m_control_read(struct file *file, char __user *buf,
				size_t count, loff_t *pos)
{
	return p2m_pager_read(p2m_file_guest(file), buf, count,
			      file->f_flags & O_NONBLOCK);
}

static __poll_t p2m_control_poll(struct file *file, poll_table *wait)
{
	return p2m_pager_poll(p2m_file_guest(file), file, wait);
}

static const struct file_operations p2m_control_fops = {
	.owner = THIS_MODULE,
	.flush = p2m_file_flush,
	.read = p2m_control_read,
	.poll = p2m_control_poll,
	.unlocked_ioctl = p2m_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/*
 * An open for control.  Access mode 3 asks for the permission to read and to
 * write, and gives neither; open(2) has it for devices that have nothing but
 * ioctls.  The caller also has to be the owner, or capable.  Events are read
 * from it.
 */
static int p2m_control_open(struct inode *inode, struct file *file)
{
	if (!inode_owner_or_capable(p2m_file_idmap(file), inode))
		return -EPERM;
	/* Neither reads nor writes, so nobody has looked. */
	if (__mnt_is_readonly(file->f_path.mnt))
		return -EROFS;
	file->private_data = inode->i_private;
	/* Of the same module, to which the file has a reference. */
	file->f_op = &p2m_control_fops;
	file->f_mode |= FMODE_READ;
	/* As for any file that is only read; the last close takes it back. */
	i_readcount_inc(inode);
	return stream_open(inode, file);
}

static int p2m_file_open(struct inode *inode, struct file *file)
{
	if ((file->f_flags & O_ACCMODE) == O_ACCMODE)
		return p2m_control_open(inode, file);
	file->private_data = inode->i_private;
	return generic_file_open(inode, file);
}

static int p2m_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	file_accessed(file);
	return p2m_mmap(p2m_file_guest(file), vma);
}

const struct file_operations p2m_file_fops = {
	.owner = THIS_MODULE,
	.open = p2m_file_open,
	.flush = p2m_file_flush,
	.read_iter = p2m_file_read_iter,
	.write_iter = p2m_file_write_iter,
	.splice_read = p2m_splice_read,
	.splice_write = iter_file_splice_write,
	.llseek = p2m_file_llseek,
	.fallocate = p2m_file_fallocate,
	.remap_file_range = p2m_file_remap,
	.fsync = noop_fsync,
	.mmap = p2m_file_mmap,
	/* So that chunks can be mapped as 2 MB. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = p2m_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
