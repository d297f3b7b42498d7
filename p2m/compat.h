/* SPDX-License-Identifier: GPL-2.0 */
/* The differences between the kernels that this is built for */
#ifndef _P2M_COMPAT_H
#define _P2M_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>

/* How a mount maps owners */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
typedef struct mnt_idmap p2m_idmap_t;
#define p2m_nop_idmap		(&nop_mnt_idmap)
#define p2m_file_idmap(file)	file_mnt_idmap(file)
#else
typedef struct user_namespace p2m_idmap_t;
#define p2m_nop_idmap		(&init_user_ns)
#define p2m_file_idmap(file)	file_mnt_user_ns(file)
#endif

/* It was changed now. */
static inline void p2m_inode_touch(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#else
	inode->i_mtime = current_time(inode);
	inode->i_atime = inode->i_mtime;
	inode->i_ctime = inode->i_mtime;
#endif
}

static inline void p2m_fillattr(p2m_idmap_t *idmap, u32 mask,
				struct inode *inode, struct kstat *stat)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define p2m_splice_read		copy_splice_read
#else
#define p2m_splice_read		generic_file_splice_read
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/*
 * Some kernels, for example 6.12's stable ones, map 2 MB only below the end of
 * a file.  Newer kernels would then map all of a large page also where it is
 * split, which must not be.  So there the end is 0, and all mappings are 4 KB.
 */
static inline void p2m_set_end(struct inode *inode)
{
	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0))
		i_size_write(inode, MAX_LFS_FILESIZE);
}

/*
 * New kernels have no page_mapcount(), old ones do not export folio_mapcount().
 */
static inline int p2m_page_mapcount(struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return folio_mapcount(page_folio(page));
#else
	return page_mapcount(page);
#endif
}

/* Flags of shmem_file_setup(). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define P2M_SHMEM_FLAGS	mk_vma_flags(VMA_NORESERVE_BIT)
#else
#define P2M_SHMEM_FLAGS	VM_NORESERVE
#endif

/* Drop the lock that a fault came in with, before it returns VM_FAULT_RETRY. */
static inline void p2m_release_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

#endif /* _P2M_COMPAT_H */
