/* SPDX-License-Identifier: GPL-2.0 */
/* The differences between the kernels that this is built for */
#ifndef _P2M_COMPAT_H
#define _P2M_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/version.h>

/* How a mount maps owners */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define p2m_idmap		mnt_idmap
#define p2m_nop_idmap		(&nop_mnt_idmap)
#define p2m_file_idmap(file)	file_mnt_idmap(file)
#else
#define p2m_idmap		user_namespace
#define p2m_nop_idmap		(&init_user_ns)
#define p2m_file_idmap(file)	file_mnt_user_ns(file)
#endif

/* Its contents changed now. */
static inline void p2m_inode_modified(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
#else
	inode->i_mtime = current_time(inode);
	inode->i_ctime = inode->i_mtime;
#endif
}

/* It is made now. */
static inline void p2m_inode_made(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#else
	p2m_inode_modified(inode);
	inode->i_atime = inode->i_mtime;
#endif
}

static inline void p2m_fillattr(struct p2m_idmap *idmap, u32 mask,
				struct inode *inode, struct kstat *stat)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

/* Names that stay until they are removed */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define p2m_d_persist(dentry, inode)	d_make_persistent(dentry, inode)
#define p2m_kill_litter(sb)		kill_anon_super(sb)
#else
static inline void p2m_d_persist(struct dentry *dentry, struct inode *inode)
{
	d_instantiate(dentry, inode);
	/* The name keeps the inode. */
	dget(dentry);
}

#define p2m_kill_litter(sb)		kill_litter_super(sb)
#endif

/* The last arguments of the operation create */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#define P2M_CREATE_MODE			umode_t mode
#else
#define P2M_CREATE_MODE			umode_t mode, bool excl
#endif

/* What the operation mkdir returns */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define p2m_mkdir_result		struct dentry *
#define P2M_MKDIR_RESULT(err)		ERR_PTR(err)
#else
#define p2m_mkdir_result		int
#define P2M_MKDIR_RESULT(err)		(err)
#endif

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
 * Map one frame of a chunk that has a large page and 512 entries.  These may
 * differ, so what is beside it must not be mapped with it.
 *
 * Old kernels map 2 MB where there is no page table, and else 4 KB: so make
 * one, and let the kernel map the page.  New kernels map all of the large page
 * in any case.  So the frame is mapped here, and only for reading; a write to
 * it is another fault.
 *
 * Return: 0 for the kernel to map the page, or the result of the fault.
 */
static inline vm_fault_t p2m_map_part(struct vm_fault *vmf, struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	vm_fault_t ret;

	/* Who takes the page waits for this lock, and then unmaps it. */
	lock_page(page);
	ret = vmf_insert_page_mkwrite(vmf, page, false);
	unlock_page(page);
	return ret;
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error Linux 6.13 and 6.14 have no way to map a part of a large page
#else
	if (apply_to_page_range(vmf->vma->vm_mm, vmf->address & PAGE_MASK,
				PAGE_SIZE, NULL, NULL))
		return VM_FAULT_OOM;
	return 0;
#endif
}

/* Will a fault that is allowed to write make no more than its frame writable? */
static inline bool p2m_writes_one(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	/* Yes if the frame is mapped already. */
	return vmf->pte;
#else
	return !pmd_none(READ_ONCE(*vmf->pmd));
#endif
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

/*
 * Allocate by the policy of a mapping, or else of the task: 2 MB first on the
 * node that is preferred, and only there if there is no effort to be made.
 */
static inline struct folio *p2m_vma_alloc_folio(gfp_t gfp, unsigned int order,
						struct vm_area_struct *vma,
						unsigned long address)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	return vma_alloc_folio(gfp, order, vma, address);
#else
	return vma_alloc_folio(gfp, order, vma, address, order > 0);
#endif
}

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
