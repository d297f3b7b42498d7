/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that this is built for, and nothing else. */
#ifndef _P2M_COMPAT_H
#define _P2M_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

/* For perf lock contention; modules may use these tracepoints since 6.12. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <trace/events/lock.h>
#define p2m_contention_begin(lock)	trace_contention_begin(lock, LCB_F_MUTEX)
#define p2m_contention_end(lock)	trace_contention_end(lock, 0)
#else
#define p2m_contention_begin(lock)	do { } while (0)
#define p2m_contention_end(lock)	do { } while (0)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/* Let go of the lock that a fault came in with, to return VM_FAULT_RETRY. */
static inline void p2m_release_fault_lock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	release_fault_lock(vmf);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

#endif /* _P2M_COMPAT_H */
