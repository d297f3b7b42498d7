/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Guest memory whose gfn->pfn map (the p2m) can be worked on while the guest
 * runs: /dev/p2m, and the p2m file system.
 *
 * This manual has a chapter for each service: THE DEVICE, THE FILE SYSTEM,
 * PAGING, THE PAGER, SHARING, POPULATE ON DEMAND, LOG-DIRTY, FOREIGN MAPPINGS.
 * In a chapter the calls and their errors come first, then the structures and
 * flags, and then the ioctl numbers.
 *
 * THE DEVICE
 *
 *   Every open() of /dev/p2m makes one guest, empty at first.  The file is the
 *   guest: it lives until the last descriptor and the last mapping are gone,
 *   and then every page of it is freed.
 *
 *   mmap() at byte offset (gfn << 12) maps guest frames.  It must be
 *   MAP_SHARED.  Nothing is allocated until a frame is touched; a frame
 *   touched for the first time is zero.  The guest's size, in frames, is the
 *   end of the furthest mapping made so far.  A frame at or past it does not
 *   exist.  KVM needs no special mapping: pass the address to
 *   KVM_SET_USER_MEMORY_REGION, or give QEMU
 *
 *     -machine memory-backend=ram -object \
 *     memory-backend-file,id=ram,mem-path=/dev/p2m,share=on,align=2M,size=512M
 *
 *   A touch of an empty chunk of 2 MB gives it a page of 2 MB, if
 *     - the mapping's address and offset agree modulo 2 MB,
 *     - the mapping has all of the chunk, and so has the guest, and
 *     - such a page is available.
 *   For KVM to map it as 2 MB, gfn and address must agree too: with QEMU, use
 *   align=2M.  Mappings with MADV_NOHUGEPAGE get pages of 4 KB.  Paging out a
 *   frame of a page of 2 MB makes it 512 pages.  A page of 2 MB is busy as a
 *   whole if somebody holds a reference to any part of it.
 *
 *   On a machine with more than one NUMA node, the policy of the mapping says
 *   from which node a touch takes a page: mbind(2).  QEMU sets it, for example
 *   with host-nodes=1,policy=bind.  If the mapping has no policy, that of the
 *   task counts: set_mempolicy(2), numactl(8).  A frame keeps its node if its
 *   contents go and come back, or if its page is made larger or smaller:
 *     - what is paged in comes back to its old node; but if a mapping with a
 *       policy is touched, it comes to where that says,
 *     - 512 pages that are made of one of 2 MB stay on its node, and
 *     - a page of 2 MB is on the node that most of its 512 pages were on.  If
 *       that node has no such page, the 512 pages stay.
 *   If a node is full, what comes back or is made 512 pages may go to another.
 *   A shared page is on one node, for all its frames.  Neither mbind(2) with
 *   MPOL_MF_MOVE nor the kernel's NUMA balancing moves the pages.
 *
 *   To allocate all memory before the guest runs (QEMU: prealloc=on), use
 *   madvise(2) with MADV_POPULATE_WRITE, in as many threads as you like.  A
 *   fatal signal ends it.  P2M_GET_STATS (@resident) says how far it is.
 *
 *   mmap() fails with
 *     EINVAL     MAP_PRIVATE was asked for
 *     EOVERFLOW  the mapping would end past frame P2M_MAX_GFNS
 *
 *   A touch of a mapped frame that cannot be given a page raises SIGBUS (KVM
 *   reports -EFAULT from KVM_RUN) if
 *     - the contents cannot be read back from the store,
 *     - a pager had the contents, and is gone, or
 *     - the guest is populated on demand, and its pool is empty: see
 *       P2M_POD_SET.
 *   If no page can be allocated, it is an out-of-memory event (VM_FAULT_OOM),
 *   also if only the nodes of the mapping are full.
 *
 *   When the hardware has found a memory error in a page, the frames that have
 *   this page are lost.  A touch of such a frame raises SIGBUS with
 *   BUS_MCEERR_AR, in KVM_RUN too, as for other memory: QEMU then gives the
 *   guest a machine check.  From the first touch on the frame has no page and
 *   is of type broken, for as long as the guest lives.  If a page of 2 MB has
 *   an error, it is made 512 pages, and the frame with the error is broken.  If
 *   somebody holds a reference to it, it stays one page, mapped as 4 KB.  The
 *   calls pass over a frame whose page has an error; calls with @busy may count
 *   it there.  The page is never used again.  A page of 2 MB that had an error
 *   is lost to the host as a whole.
 *
 *   THE CALLS
 *
 *   All calls are ioctls on a descriptor of the guest.  A VMM may give the
 *   descriptor that it maps the memory with to others, for example to a
 *   vhost-user back end.  So this descriptor allows only P2M_GET_INFO,
 *   P2M_GET_STATS and P2M_SHARE_DOMAIN.  Any other call needs
 *     - a descriptor for control: see THE FILE SYSTEM, or
 *     - CAP_SYS_ADMIN in the initial user namespace.  Such a process takes the
 *       VMM's descriptor with pidfd_getfd(2).
 *
 *   Each call takes a structure that begins with its own size (sizeof), as the
 *   caller knows it.  A caller older than the kernel passes less and is given
 *   less.  A newer caller may pass more, if the part that the kernel does not
 *   know is zero.  Reserved fields must be zero.  A call that fails has changed
 *   nothing, unless its text below says so, and has not written to the
 *   structure.  ENOMEM can also mean that the memory cgroup of the guest is at
 *   its limit: no call makes the kernel kill a process for memory.
 *
 *   Common to all:
 *     ENOTTY     no such call
 *     EPERM      the descriptor is not for control, nor has the caller
 *                CAP_SYS_ADMIN
 *     EFAULT     the structure cannot be read or written
 *     EINVAL     size is less than the first published version's, or more than
 *                a page; flags has an unknown bit; a reserved field is not 0
 *     E2BIG      size is more than the kernel knows, and the part that it does
 *                not know is not all zero
 *
 *   Errors are checked in the order of this manual: first size, then flags and
 *   reserved fields, then the range.
 *
 *   P2M_GET_INFO (struct p2m_info)
 *     What this kernel can do and how large the guest is.
 *
 *   P2M_GET_STATS (struct p2m_stats)
 *     The guest's counters.  They are not all read at one instant.
 *
 *   P2M_AUDIT (struct p2m_audit)
 *     Hold all of the guest, and check that everything the kernel knows of it
 *     agrees: the counts by type, and the references to pages; that no frame
 *     has the page of another; that the store has the frames that are paged,
 *     and nothing else.  Each disagreement is counted in @errors, and the first
 *     of each kind is in the kernel's log.  It is a bug of the kernel: please
 *     report it.
 *       EINTR      a signal came before all of the guest was held, or a fatal
 *                  signal before all was looked at
 */
#ifndef _UAPI_P2M_H
#define _UAPI_P2M_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The size travels in the structure, so the numbers do not encode one. */
#define P2M_IOC			0xb2

/** P2M_MAX_GFNS - frames that a guest can have: what four EPT levels map */
#define P2M_MAX_GFNS		(1ULL << 36)

/* Bits of p2m_info.features: calls, or chapters of the manual */
#define P2M_FEATURE_PAGING	(1ULL << 0)	/* P2M_PAGE_OUT, P2M_PAGE_IN */
#define P2M_FEATURE_HUGE	(1ULL << 1)	/* 2 MB, P2M_COLLAPSE */
#define P2M_FEATURE_AUDIT	(1ULL << 2)	/* P2M_AUDIT */
#define P2M_FEATURE_PAGER	(1ULL << 3)	/* THE PAGER */
#define P2M_FEATURE_SHARING	(1ULL << 4)	/* SHARING, without domains */
#define P2M_FEATURE_POD		(1ULL << 5)	/* POPULATE ON DEMAND */
#define P2M_FEATURE_DIRTY	(1ULL << 6)	/* LOG-DIRTY */
#define P2M_FEATURE_FOREIGN	(1ULL << 7)	/* FOREIGN MAPPINGS */
#define P2M_FEATURE_DOMAIN	(1ULL << 8)	/* P2M_SHARE_DOMAIN */
#define P2M_FEATURE_DISCARD	(1ULL << 9)	/* P2M_DISCARD */

/**
 * struct p2m_info - what this kernel can do, and how large the guest is
 * @size: in: sizeof(struct p2m_info)
 * @flags: in: must be 0
 * @features: out: P2M_FEATURE_* bits
 * @guest: out: the guest's number, unique while the module is loaded
 * @gfns: out: the guest's size in frames
 * @domain: out: its sharing domain; see P2M_SHARE_DOMAIN
 */
struct p2m_info {
	__u32 size;
	__u32 flags;
	__u64 features;
	__u64 guest;
	__u64 gfns;
	__u64 domain;
};

/**
 * struct p2m_stats - one guest's counters
 * @size: in: sizeof(struct p2m_stats)
 * @flags: in: must be 0
 * @resident: out: frames that have a page now
 * @paged: out: frames whose contents are in the store now, or with the pager
 * @faults: out: touches that reached the device
 * @zeroed: out: frames given their first, zero page
 * @paged_out: out: frames moved to the store, or to the pager, so far
 * @paged_in: out: frames brought back so far
 * @busy: out: frames that could not be moved because somebody held them
 * @retries: out: touches that had to wait for a holder of the range
 * @lock_waits: out: gets of the range lock that had to sleep
 * @lock_deadlocks: out: gets of the range lock refused with -EDEADLK
 * @shattered: out: chunks of 2 MB whose page was replaced by 512
 * @collapsed: out: chunks of 2 MB whose 512 pages were replaced by one
 * @merged: out: frames that were given a page that other frames have too
 * @unshared: out: shared frames that were given a page of their own again
 * @pod_populated: out: frames populated from the pool; not in @zeroed
 * @pod_swept: out: zero pages of frames that went back to the pool
 * @pod_exhausted: out: touches refused because the pool was empty
 * @dirtied: out: clean frames that were found written to
 * @events: out: events for the pager
 * @foreign: out: frames for which foreign mappings were made
 * @shared: out: frames that have a page now that other frames may have too
 * @pod_looked: out: chunks of 2 MB that touches looked into for zero pages
 * @broken: out: frames lost to memory errors
 * @discarded: out: frames whose page or stored contents were discarded
 */
struct p2m_stats {
	__u32 size;
	__u32 flags;
	__u64 resident;
	__u64 paged;
	__u64 faults;
	__u64 zeroed;
	__u64 paged_out;
	__u64 paged_in;
	__u64 busy;
	__u64 retries;
	__u64 lock_waits;
	__u64 lock_deadlocks;
	__u64 shattered;
	__u64 collapsed;
	__u64 merged;
	__u64 unshared;
	__u64 pod_populated;
	__u64 pod_swept;
	__u64 pod_exhausted;
	__u64 dirtied;
	__u64 events;
	__u64 foreign;
	__u64 shared;
	__u64 pod_looked;
	__u64 broken;
	__u64 discarded;
};

/** P2M_AUDIT_TYPES - types that p2m_audit has room for */
#define P2M_AUDIT_TYPES		16

/**
 * struct p2m_audit - what an audit found
 * @size: in: sizeof(struct p2m_audit)
 * @flags: in: must be 0
 * @errors: out: how many things do not agree; any number but 0 is a bug
 * @pages: out: frames that have a page
 * @types: out: frames by type: nothing there, ram_rw, logdirty, shared,
 * paging_out, paged, paging_in, pod, prepped, broken, taken (see p2m/map.h)
 */
struct p2m_audit {
	__u32 size;
	__u32 flags;
	__u64 errors;
	__u64 pages;
	__u64 types[P2M_AUDIT_TYPES];
};

#define P2M_GET_INFO		_IO(P2M_IOC, 0x00)
#define P2M_GET_STATS		_IO(P2M_IOC, 0x01)
#define P2M_AUDIT		_IO(P2M_IOC, 0x02)

/*
 * THE FILE SYSTEM
 *
 *     mount -t p2m none /run/p2m -o size=64g,mode=0770,gid=kvm
 *
 *   A regular file is a guest.  It has a size, a name, an owner and a mode, and
 *   it lives as long as it has a name, a descriptor or a mapping.  So a guest
 *   can outlive its VMM.  There are directories, hard links, and files without
 *   a name (O_TMPFILE).  QEMU makes such a file if mem-path is a directory:
 *
 *     -machine memory-backend=ram -object \
 *     memory-backend-file,id=ram,mem-path=/run/p2m,share=on,align=2M,size=512M
 *
 *   Options of the mount:
 *     size=N     all files together may be so long, in bytes (k, m, g, t);
 *                without it there is no limit.  A file that would be too long
 *                is refused at once, and not when its guest touches memory
 *     mode=, uid=, gid=    of the root directory
 *     share=     the sharing domain of new guests: alone (the default), never,
 *                or a number; see P2M_SHARE_DOMAIN
 *   A mount can get another size and share by mount -o remount: EINVAL if its
 *   files have more, or for other options.
 *   umount fails with EBUSY while a file is open or mapped.
 *
 *   ftruncate(2), truncate(2)
 *     Make the guest larger or smaller.  Frames past the new end are discarded,
 *     and a touch of them raises SIGBUS.  A foreign mapping keeps its pages.  If
 *     a pager has some of these frames, it is not asked, and who waits for it
 *     gets SIGBUS.  A call that fails has not changed the size; but frames past
 *     the new end may have been discarded.
 *     EINVAL     the size is not a multiple of 4096
 *     EPERM      it is smaller, and the caller is not the owner of the file, nor
 *                has CAP_FOWNER: who only has a descriptor may not take memory
 *                from the VMM
 *     EFBIG      it is more than P2M_MAX_GFNS frames
 *     ENOSPC     the mount's size does not allow it
 *     EBUSY      the new end is in a page of 2 MB that somebody references
 *     EINTR      a signal came first that kills
 *     ENOMEM     no memory to make 512 pages of the one that the new end is in
 *
 *   fallocate(2)
 *     Without a mode: give pages to the frames that have none, and make the
 *     file longer if needed (not with FALLOC_FL_KEEP_SIZE).
 *     No mapping is touched, so the policy of the task says from which node.
 *     With FALLOC_FL_PUNCH_HOLE: P2M_DISCARD of the whole frames, and zeros for
 *     parts of frames.  A balloon, free page reporting and virtio-mem do this.
 *     EOPNOTSUPP another mode
 *     ENOSPC     as for ftruncate; or the pool of populate-on-demand is empty
 *     EINTR      a signal came first (for a hole: one that kills); what was done
 *                need not be done again
 *     After an error the file may be longer than before.
 *     ENOMEM     no memory
 *
 *   read(2), write(2), and all that is made of them
 *     To read frames that have nothing gives zeros, and allocates nothing.  To
 *     read what is in the store leaves it there; what a pager has it is asked
 *     for.  A signal that does not kill starts the call again (SA_RESTART).  A
 *     write past the end makes the file longer; its end must then be a multiple
 *     of 4096 (EINVAL).  What is not written does not make it longer.
 *     EIO        the contents are lost, or cannot be read
 *
 *   lseek(2)
 *     SEEK_DATA and SEEK_HOLE know frames that have nothing, or wait to be
 *     populated on demand, as holes.
 *
 *   ioctl(2) with FICLONE or FICLONERANGE; cp --reflink=always
 *     The other guest gets these frames, and both share the pages until one of
 *     them writes.  What is in the store comes back first.  A page of 2 MB is
 *     made 512 pages.  A page that somebody else references, or that has too
 *     many sharers, is copied.  The guests may run; for a clone of one instant,
 *     stop them.  The clone comes into the sharing domain of its source; if that
 *     is P2M_DOMAIN_ALONE, the two are then alone together.  After an error some
 *     frames are cloned, and some of the other guest's may be gone.
 *     EXDEV      the clone has frames that it shares in another domain; or the
 *                files are not in the same mount
 *     EPERM      one of them is P2M_DOMAIN_NEVER; or the source is in a domain
 *                with others, the clone is not, and the caller has no
 *                CAP_SYS_ADMIN; or the source's descriptor is not for writing,
 *                and the caller does not own the source, nor has CAP_FOWNER.
 *                (copy_file_range(2), so also a plain cp, then copies)
 *     EIO        a frame of the source is broken
 *     EINVAL     the range is not of whole frames
 *     EINTR      a signal came that kills
 *     ENOSPC, ENOMEM           as above
 *
 *   mmap(2)
 *     As for the device, but the size stays: a touch past the end raises
 *     SIGBUS.
 *     EINVAL     MAP_PRIVATE was asked for.  Its copies would be pages that the
 *                map does not know
 *     EOVERFLOW  the end is past P2M_MAX_GFNS
 *     To read a frame that has nothing, here as through the device, maps a page
 *     of zeros, until somebody writes to the frame.  So MAP_POPULATE, and
 *     mlock(2) of what was read before, give no pages: use fallocate(2),
 *     MADV_POPULATE_WRITE, or QEMU's prealloc=on.  A device for which such a
 *     page was pinned for long, and only for reading (VFIO with a read-only
 *     mapping, vhost-vdpa), goes on reading zeros after that: let the guest, or
 *     fallocate(2), give it pages first.  A page of zeros counts in the RSS of
 *     the process.
 *
 *   stat(2)
 *     The blocks are what the guest has in memory: pages and stored contents.
 *
 *   FOR CONTROL
 *     open(2) with access mode 3 (O_WRONLY | O_RDWR) gives a descriptor for all
 *     calls, and for the pager's read(2) and poll(2).  It cannot map the guest.
 *     The caller needs the permissions to read and to write, and must be the
 *     file's owner or have CAP_FOWNER (EPERM).  The mount may not be read-only
 *     (EROFS).  /proc/PID/fd/N can be opened
 *     so, too, also if the file has no name.
 */

/*
 * PAGING
 *
 *   P2M_PAGE_OUT (struct p2m_range)
 *     Move frames of [gfn, gfn + nr) into the store, and free their pages.
 *     The guest may run meanwhile; a frame that it touches comes back.  Any
 *     gfn and nr will do, aligned or not.  Frames that have no page (never
 *     touched, or out already) are passed over.  Pages that somebody else
 *     holds a reference to (a device that does I/O, a pinned buffer) are
 *     passed over too, and counted in @busy.
 *     (Kernels since 6.5 refuse to pin the pages for long, with EFAULT: there
 *     they cannot be fixed buffers of io_uring, or memory for a device that
 *     VFIO assigns.)
 *
 *   P2M_PAGE_IN (struct p2m_range)
 *     Bring back the frames of [gfn, gfn + nr) that are in the store.
 *     @busy stays 0.
 *
 *   P2M_COLLAPSE (struct p2m_range)
 *     Each whole chunk of 2 MB in [gfn, gfn + nr) that has 512 pages gets one
 *     page instead.  Chunks with anything other than 512 writable pages are
 *     passed over.  @max and @done count frames, though a chunk is done as a
 *     whole or not at all.  @busy counts the frames of chunks of which somebody
 *     holds a page.  ENOMEM means that there is no page of 2 MB.  If the chunk
 *     was mapped by 4 KB, its page tables stay with the process, and Linux does
 *     not map 2 MB over them.  For the guest to use the page as 2 MB, map the
 *     chunk anew, by munmap() and mmap() with MAP_FIXED.
 *
 *   P2M_DISCARD (struct p2m_range)
 *     The contents of [gfn, gfn + nr) are not needed: free their pages, and
 *     what the store has of them.  The next touch finds a zero page.  A frame
 *     that is populated on demand gives its page back to the pool.  Log-dirty
 *     reports a frame that was discarded.  A broken frame is as new.  If the
 *     pager has the contents, P2M_PREP will say ENOENT; tasks that wait for it
 *     find a zero page.  Who references a page keeps it, with its contents:
 *     foreign mappings, and devices that do I/O.
 *     To discard a part of a page of 2 MB makes it 512 pages.  If somebody
 *     references it, or there is no memory, the frames are filled with zeros
 *     instead, and counted in @busy.  @done counts frames that had something.
 *
 *   Every call that takes a struct p2m_range stops early when @max frames have
 *   been moved (if @max is not 0), at the guest's end, at a signal, and at an
 *   error.  If it has looked at anything before that, it succeeds.  Then @next
 *   is the first frame that it has not looked at, from which to go on, and
 *   @done and @busy count what it found before @next.  An error that stopped
 *   the call comes back from the next call.
 *     EINVAL     nr is 0, or gfn + nr overflows or is past P2M_MAX_GFNS
 *     ERANGE     gfn is at or past the guest's end
 *     EINTR      a signal came first
 *     ENOMEM     no memory for the store (out), or for the guest (in, collapse,
 *                unshare; to sweep a part of 2 MB)
 *     EIO        the store could not be read
 *     EBUSY      P2M_COLLAPSE: log-dirty is on
 */

/**
 * struct p2m_range - frames to work on, and how far the call got
 * @size: in: sizeof(struct p2m_range)
 * @flags: in: must be 0
 * @gfn: in: first frame
 * @nr: in: how many frames, at least 1
 * @max: in: stop when this many have been moved; 0 for no limit
 * @next: out: the first frame that was not looked at
 * @done: out: frames moved
 * @busy: out: frames that somebody holds, left where they were
 */
struct p2m_range {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 nr;
	__u64 max;
	__u64 next;
	__u64 done;
	__u64 busy;
};

#define P2M_PAGE_OUT		_IO(P2M_IOC, 0x10)
#define P2M_PAGE_IN		_IO(P2M_IOC, 0x11)
#define P2M_COLLAPSE		_IO(P2M_IOC, 0x12)
#define P2M_DISCARD		_IO(P2M_IOC, 0x13)

/*
 * THE PAGER
 *
 *   A process that has a descriptor of the guest can be its pager.  The pager
 *   keeps the contents of frames, wherever it likes, and gives them back when
 *   it is asked.  A reader who knows userfaultfd(2) finds the same parts here:
 *   an event for a frame that is touched; read(2), poll(2) and epoll(7); a call
 *   that fills the frame and wakes the tasks that wait for it.  But the pager
 *   reads the file of the guest itself, and frames go out through it as well.
 *   In short:
 *
 *     fd = pidfd_getfd(pidfd of the VMM, number of the descriptor there)
 *     P2M_PAGER_ATTACH
 *     P2M_NOMINATE a range; P2M_EVICT each frame of it     to make memory free
 *     poll, read events; P2M_PREP each, with P2M_PREP_RESUME       for ever
 *
 *   P2M_PAGE_OUT and P2M_PAGE_IN mean the kernel's store, with a pager or
 *   without: P2M_PAGE_IN passes over frames that only the pager has.
 *
 *   Until the pager answers, each task that touched the frame waits: a vCPU in
 *   KVM_RUN, a thread of the VMM, the kernel on behalf of a task.  All of these
 *   can be killed.  A vCPU whose guest can do something else meanwhile does
 *   that for a tenth of a second (KVM's asynchronous page faults).  Then KVM's
 *   worker, which cannot be killed, gives up, and the vCPU itself waits.  A
 *   pager that touches the guest's frames may wait for itself.
 *
 *   The pager is a process, that is, the threads that share a table of
 *   descriptors.  It goes
 *     - by P2M_PAGER_DETACH,
 *     - when it closes any descriptor of the guest, in any way (a duplicate,
 *       close(2), execve(2)), and
 *     - when it dies.
 *   (A child that it forked may close its own descriptors.)  Then nobody waits
 *   any more.  Frames that the pager has, and was asked for, are again as if it
 *   had not been asked.  Frames that were prepped are resumed.  A touch of a
 *   frame that the pager had depends on the policy under which the frame was
 *   evicted:
 *     P2M_PAGER_SIGBUS  it raises SIGBUS, and KVM_RUN reports -EFAULT
 *     P2M_PAGER_STORE   the frame comes back from the kernel's store, which got
 *                       a copy at P2M_EVICT.  So nothing is lost, and memory is
 *                       saved only if the host swaps the store.
 *   A new pager may attach.  It has the frames that the last one had, and is
 *   asked for them; a touch that failed can be made again.  If the new pager
 *   does not have a frame, it says so with P2M_PREP_LOST.
 *
 *   P2M_PAGER_ATTACH (struct p2m_pager_attach)
 *     The calling process is the guest's pager from now on.
 *     EINVAL     there is no such policy
 *     EBUSY      there is a pager, maybe the calling process
 *     EINTR      a fatal signal came first
 *     EBADF      another thread closed the descriptor meanwhile
 *     ENOMEM     no memory
 *
 *   The calls below are for the pager.  They have these errors in common, after
 *   those that are common to all calls:
 *     ENOTCONN   the calling process is not the guest's pager, or no longer is
 *     ESTALE     it went meanwhile, and came again (P2M_EVICT, P2M_PREP)
 *     EINVAL     the range or the frame is past P2M_MAX_GFNS, or nr is 0
 *     ERANGE     gfn is at or past the guest's end
 *     EINTR      a signal came first
 *     ENOMEM     no memory
 *
 *   P2M_PAGER_DETACH (struct p2m_pager_detach)
 *     The calling process is no longer the pager.
 *
 *   P2M_NOMINATE (struct p2m_range)
 *     Make frames of [gfn, gfn + nr) ready to be evicted.  Each keeps its page
 *     until then, and a touch takes the nomination back.  Frames that have no
 *     page are passed over.  Frames whose page somebody holds are counted in
 *     @busy.  A frame that is already nominated is nominated anew, and counted
 *     in @done.  A page of 2 MB is made 512 pages first.  The call stops early
 *     and goes on as P2M_PAGE_OUT does.
 *
 *   P2M_EVICT (struct p2m_page)
 *     Copy the contents of a nominated frame to @addr, and free its page.  If
 *     @addr is in a shared mapping of a file, a pager that is killed at this
 *     moment loses nothing.
 *     ENOENT     the frame is not nominated, or no longer is: it was touched
 *     EBUSY      somebody holds its page for the moment, maybe another
 *                P2M_EVICT
 *     EHWPOISON  there is a memory error in its page
 *     EFAULT     @addr cannot be written to; the frame is still nominated
 *
 *   P2M_PREP (struct p2m_page)
 *     Give a frame that the pager has a page with the contents of @addr,
 *     whether there was an event for it or not.  With P2M_PREP_RESUME, that is
 *     all.  Without it, the frame waits for P2M_RESUME, and so does each task
 *     that touches it.
 *     With P2M_PREP_LOST, @addr is ignored: the pager does not have the frame.
 *     If the store has it, it comes from there; otherwise touches raise SIGBUS.
 *     EINVAL     both flags
 *     EEXIST     the frame has a page: it was prepped already, or never evicted
 *     ENOENT     the frame is not one that the pager has
 *     ESTALE     the frame came back meanwhile, by another P2M_PREP, and was
 *                evicted again: the contents read at @addr may be old
 *     EFAULT     @addr cannot be read
 *
 *   P2M_RESUME (struct p2m_range)
 *     Let tasks touch the frames of [gfn, gfn + nr) that were prepped, and wake
 *     the tasks that wait for them.  Other frames are passed over.  @done
 *     counts the frames; @busy stays 0.  The call stops early and goes on as
 *     P2M_PAGE_OUT does.
 *
 *   read(2)
 *     As many events (struct p2m_event) as there are and fit, at least one.  A
 *     frame has one event until it is resumed, however often it is touched, and
 *     the event is read once.
 *     EINVAL     there is no room for one
 *     ENOTCONN   the calling process is not the guest's pager, or no longer is
 *     EAGAIN     there is none, and the file is O_NONBLOCK (the VMM has the
 *                same file, but has no use for the flag)
 *     EFAULT     the buffer cannot be written to; no event is lost
 *     EINTR      a signal came first
 *
 *   poll(2), select(2), epoll(7)
 *     POLLIN when there are events; POLLHUP when the calling process is not the
 *     pager.  For epoll, attach first.
 */

/* p2m_pager_attach.policy: when the pager is gone, touches of its frames */
#define P2M_PAGER_SIGBUS	1	/* raise SIGBUS */
#define P2M_PAGER_STORE		2	/* find the store's copy */

/**
 * struct p2m_pager_attach - become a guest's pager
 * @size: in: sizeof(struct p2m_pager_attach)
 * @flags: in: must be 0
 * @policy: in: P2M_PAGER_SIGBUS or P2M_PAGER_STORE
 * @reserved: in: must be 0
 */
struct p2m_pager_attach {
	__u32 size;
	__u32 flags;
	__u32 policy;
	__u32 reserved;
};

/**
 * struct p2m_pager_detach - stop being a guest's pager
 * @size: in: sizeof(struct p2m_pager_detach)
 * @flags: in: must be 0
 */
struct p2m_pager_detach {
	__u32 size;
	__u32 flags;
};

/* p2m_page.flags of P2M_PREP, at most one */
#define P2M_PREP_RESUME		(1U << 0)	/* and resume it at once */
#define P2M_PREP_LOST		(1U << 1)	/* the pager no longer has it */

/**
 * struct p2m_page - one frame, and one page of the caller
 * @size: in: sizeof(struct p2m_page)
 * @flags: in: P2M_PREP_* for P2M_PREP, 0 for P2M_EVICT
 * @gfn: in: the frame
 * @addr: in: the address of 4096 bytes, not necessarily aligned
 */
struct p2m_page {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 addr;
};

/* p2m_event.kind */
#define P2M_EVENT_POPULATE	1	/* a frame of the pager was touched */

/* p2m_event.flags */
#define P2M_EVENT_WRITE		(1U << 0)	/* the touch is a write */

/**
 * struct p2m_event - what the pager reads
 * @kind: P2M_EVENT_POPULATE
 * @flags: P2M_EVENT_* bits; more may come
 * @gfn: the frame
 * @reserved: 0
 */
struct p2m_event {
	__u32 kind;
	__u32 flags;
	__u64 gfn;
	__u64 reserved[2];
};

#define P2M_PAGER_ATTACH	_IO(P2M_IOC, 0x20)
#define P2M_PAGER_DETACH	_IO(P2M_IOC, 0x21)
#define P2M_NOMINATE		_IO(P2M_IOC, 0x22)
#define P2M_EVICT		_IO(P2M_IOC, 0x23)
#define P2M_PREP		_IO(P2M_IOC, 0x24)
#define P2M_RESUME		_IO(P2M_IOC, 0x25)

/*
 * SHARING
 *
 *   Frames of one or many guests that have the same contents can have the same
 *   page.  Then none of them may write to it: a write by the guest, by the VMM
 *   or by the kernel for either first gives the frame a page of its own.  (If
 *   there is no memory for it, that touch is an out-of-memory event and the
 *   frame stays shared.)  A task that got the page by reading (direct I/O out
 *   of it) still sees the old contents.  Shared frames are not paged out:
 *   P2M_PAGE_OUT passes over them.
 *
 *   A guest can tell a shared frame from another by the time that a write to it
 *   takes, and a VMM can tell by the results of the calls below.  So a guest
 *   shares only with guests of its own domain: put guests into one domain only
 *   if they may know of each other's contents.  The results of the calls on a
 *   guest do not depend on guests in other domains, whatever these have or do.
 *   Every guest begins alone, and shares with itself.
 *
 *   P2M_SHARE_DOMAIN (struct p2m_share_domain)
 *     Put the guest into @domain:
 *       P2M_DOMAIN_ALONE  it shares with itself
 *       P2M_DOMAIN_NEVER  nothing of the guest is shared, or looked at for
 *                         that, no matter which process calls
 *       another number    it shares with all guests in the domain of that
 *                         number
 *     (madvise(2) with MADV_UNMERGEABLE, and QEMU's mem-merge=off, do not reach
 *     a device: Linux passes over shared mappings.  Call this instead.)
 *     P2M_GET_INFO returns the domain.  A domain comes with its first guest and
 *     goes with the last one.
 *       EPERM      the descriptor is neither for writing nor for control; or
 *                  the caller does not have CAP_SYS_ADMIN in the initial user
 *                  namespace.  Three changes do not need it: to
 *                  P2M_DOMAIN_NEVER; to P2M_DOMAIN_ALONE, if the guest is not
 *                  P2M_DOMAIN_NEVER; to the domain that it is already in (but a
 *                  clone and its source can be parted by P2M_DOMAIN_ALONE).
 *       EBUSY      the guest has shared frames: P2M_UNSHARE them first.  If a
 *                  scan of it, or of its domain, is under way, there may be new
 *                  ones.
 *       EINTR      a signal came first
 *       ENOMEM     no memory
 *
 *   P2M_SHARE_NOMINATE (struct p2m_share_nominate)
 *     Make a frame's page one that can be shared, and return its handle in
 *     @handle.  The handle names these contents in this frame.  After a write
 *     there it names nothing any more, and no other nomination gets the same
 *     handle.  A frame that is shared already has a handle, which is returned.
 *       EINVAL     gfn is not below P2M_MAX_GFNS
 *       ERANGE     gfn is at or past the guest's end
 *       EPERM      the guest is P2M_DOMAIN_NEVER
 *       ENOENT     the frame has no page, or one that cannot be shared
 *       EBUSY      somebody else holds the page
 *       EINTR      a signal came first
 *       ENOMEM     no memory
 *
 *   P2M_SHARE (struct p2m_share)
 *     Give frame @client_gfn of the client guest the page of frame @source_gfn
 *     of this guest.  @client_fd is the client's descriptor; the client may be
 *     this guest.  Both frames were nominated, and the handles name their
 *     contents.  The client's own page is freed if nobody else shares it, and
 *     @client_handle names nothing any more: from now on the handle of both
 *     frames is @source_handle.  If they already have the same page, the call
 *     succeeds.
 *       EINVAL     reserved is not 0; client_fd is not a descriptor of
 *                  /dev/p2m; a gfn is not below P2M_MAX_GFNS; source and
 *                  client are one frame
 *       EBADF      client_fd is not a descriptor
 *       ERANGE     a gfn is at or past its guest's end
 *       EXDEV      the guests are not in one domain
 *       ESTALE     a handle does not name the present contents of its frame
 *       EHWPOISON  there is a memory error in one of the pages
 *       EILSEQ     the contents differ
 *       EMLINK     the source's page has as many sharers as it can have (65536)
 *       ENOMEM     no memory
 *
 *   P2M_UNSHARE (struct p2m_range)
 *     Give each shared frame of [gfn, gfn + nr) a page of its own.
 *     @busy stays 0.
 *
 *   P2M_SHARE_SCAN (struct p2m_scan)
 *     Look for frames of [gfn, gfn + nr) that have the same contents as another
 *     frame, and make them share.  The other frame may be in any guest of the
 *     domain, if that guest was scanned.  The first scan of a guest finds what
 *     it has in common with the frames seen before it; a zero page is shared
 *     with the others at once.  A chunk of 2 MB with one page is made 512 pages
 *     if anything in it can be merged.  Frames that have no page, or are shared
 *     already, are passed over.
 *     The scan stops early when @max frames have been merged (if @max is not
 *     0), at the guest's end, at a signal, and at an error.  If it has looked
 *     at or merged anything before that, it succeeds: @next is the frame from
 *     which to go on, and the other results count what was done before.  An
 *     error that stopped the call comes back from the next call.
 *       EINVAL     nr is 0, or gfn + nr overflows or is past P2M_MAX_GFNS
 *       ERANGE     gfn is at or past the guest's end
 *       EPERM      the guest is P2M_DOMAIN_NEVER
 *       EINTR      a signal came first
 *       ENOMEM     no memory
 */

/* p2m_share_domain.domain: guests of one number share, except for these */
#define P2M_DOMAIN_ALONE	0ULL		/* with itself; the default */
#define P2M_DOMAIN_NEVER	(~0ULL)		/* not at all */

/**
 * struct p2m_share_domain - which guests a guest may share with
 * @size: in: sizeof(struct p2m_share_domain)
 * @flags: in: must be 0
 * @domain: in: the number of a domain
 */
struct p2m_share_domain {
	__u32 size;
	__u32 flags;
	__u64 domain;
};

/**
 * struct p2m_share_nominate - a frame that is to be shared
 * @size: in: sizeof(struct p2m_share_nominate)
 * @flags: in: must be 0
 * @gfn: in: the frame
 * @handle: out: names its contents; never 0
 */
struct p2m_share_nominate {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 handle;
};

/**
 * struct p2m_share - two frames that are to have one page
 * @size: in: sizeof(struct p2m_share)
 * @flags: in: must be 0
 * @source_gfn: in: the frame of this guest, whose page it will be
 * @source_handle: in: its handle
 * @client_fd: in: descriptor of the other guest
 * @reserved: in: must be 0
 * @client_gfn: in: the frame of that guest
 * @client_handle: in: its handle
 */
struct p2m_share {
	__u32 size;
	__u32 flags;
	__u64 source_gfn;
	__u64 source_handle;
	__s32 client_fd;
	__u32 reserved;
	__u64 client_gfn;
	__u64 client_handle;
};

/**
 * struct p2m_scan - frames to look at, and to share if they are equal
 * @size: in: sizeof(struct p2m_scan)
 * @flags: in: must be 0
 * @gfn: in: first frame
 * @nr: in: how many frames, at least 1
 * @max: in: stop when this many have been merged; 0 for no limit
 * @next: out: the first frame that was not looked at
 * @done: out: frames that have the page of another now instead of their own
 * @zero: out: how many of @done were zero pages
 * @busy: out: frames that somebody holds, left as they were
 * @looked: out: frames looked at, except for empty chunks
 */
struct p2m_scan {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 nr;
	__u64 max;
	__u64 next;
	__u64 done;
	__u64 zero;
	__u64 busy;
	__u64 looked;
};

#define P2M_SHARE_NOMINATE	_IO(P2M_IOC, 0x30)
#define P2M_SHARE		_IO(P2M_IOC, 0x31)
#define P2M_UNSHARE		_IO(P2M_IOC, 0x32)
#define P2M_SHARE_SCAN		_IO(P2M_IOC, 0x33)
#define P2M_SHARE_DOMAIN	_IO(P2M_IOC, 0x34)

/*
 * POPULATE ON DEMAND
 *
 *   P2M_POD_SET (struct p2m_pod)
 *     Populate the guest on demand, from a pool, so that it can have fewer
 *     pages than frames.  From this call on, each frame that the guest has at
 *     the call is either populated or waits for its page (type pod): at most
 *     @target of them are ever populated.  The call can be made again at any
 *     time, with another target, or after the guest has grown: until then new
 *     frames do not take from the pool.  The structure comes back as from
 *     P2M_POD_GET.
 *
 *     Every frame that is not of type pod is populated, also a frame that was
 *     touched before the first call, is shared, or is in the store.  It stays
 *     populated until a sweep gives its page back.  Paging it out or in takes
 *     nothing from the pool and gives nothing back, so a frame can always come
 *     back.  If the target is less than the number of populated frames, nothing
 *     is taken away: no new frame is populated until sweeps have given back
 *     enough.  With a target as large as the guest, all frames can be
 *     populated.
 *
 *     An empty chunk of 2 MB gets a page of 2 MB, as THE DEVICE says, if the
 *     pool has that much.  Otherwise it gets single pages.
 *
 *     If the pool is empty, a touch of a frame of type pod looks for zero pages
 *     in the guest (in up to 1 GB of it; the next touch goes on from there),
 *     gives them back to the pool, and goes on.  If it finds none, it is
 *     refused: SIGBUS, or -EFAULT from KVM_RUN.  The frame stays as it was.
 *     When the target was raised, or a sweep found something, run the vCPU
 *     again: it repeats its touch.
 *     If all of the guest was looked at twice in a row and nothing was found,
 *     touches are refused without a look for 20 ms; after one more such look
 *     for 40 ms, and so on up to a second.  P2M_POD_SET ends that at once, and
 *     so does anything that comes into the pool.  So a VMM that has zero pages,
 *     and is in a hurry, calls P2M_POD_SWEEP.
 *     (Stock QEMU does none of this: it reports the error and stops the guest
 *     for good, so look at @populated in time.)
 *     There is one exception.  KVM hides the error of a vCPU that it can let
 *     wait for a page (asynchronous page faults: with KVM's own interrupt
 *     controller, when the guest can take interrupts).  Such a vCPU touches its
 *     frame again and again, until a signal ends KVM_RUN, or there is a page:
 *     see @exhausted.
 *
 *     Populate on demand costs 8 bytes for each chunk of 2 MB of the guest.
 *       EINVAL     target is more than P2M_MAX_GFNS
 *       ERANGE     the guest has no frames yet
 *       EINTR      a signal came first
 *       ENOMEM     no memory
 *
 *   P2M_POD_GET (struct p2m_pod)
 *     The state of the pool.  If P2M_POD_SET was never called, all is 0.  Not
 *     all is read at one instant, so while the guest runs it may not add up.
 *
 *   P2M_POD_SWEEP (struct p2m_range)
 *     Give the pages of [gfn, gfn + nr) that are all zero back to the pool.
 *     Their frames are of type pod again, and read zero as before.  The guest
 *     may run meanwhile, and write to them.  A page of 2 MB goes back whole if
 *     all of it is zero.  If 64 of its frames are zero, in the range that was
 *     asked for, it is made 512 pages first.  These are passed over: pages that
 *     are not zero; frames that are shared, in the store, or on their way
 *     there; frames that do not take from the pool.  Zero pages that somebody
 *     holds a reference to are counted in @busy.
 */

/**
 * struct p2m_pod - how many pages a guest may have, and has
 * @size: in: sizeof(struct p2m_pod)
 * @flags: in: must be 0
 * @target: set: in, get: out: frames that may be populated
 * @populated: out: frames that are populated
 * @entries: out: frames that wait for their page (type pod)
 * @exhausted: out: touches refused so far because the pool was empty
 */
struct p2m_pod {
	__u32 size;
	__u32 flags;
	__u64 target;
	__u64 populated;
	__u64 entries;
	__u64 exhausted;
};

#define P2M_POD_SET		_IO(P2M_IOC, 0x40)
#define P2M_POD_GET		_IO(P2M_IOC, 0x41)
#define P2M_POD_SWEEP		_IO(P2M_IOC, 0x42)

/*
 * LOG-DIRTY
 *
 *   P2M_DIRTY_START (struct p2m_dirty_switch)
 *     From now on remember which frames are written to, by the guest, the VMM,
 *     or the kernel for either of them.  This lasts until P2M_DIRTY_STOP, no
 *     matter which process started it.  At first every frame is clean, except
 *     for frames whose pages somebody references (see P2M_DIRTY_GET).  A frame
 *     first touched from now on is clean if it was read.  Pages stay where they
 *     are, but chunks that were mapped as 2 MB are mapped as 4 KB, and no new
 *     pages of 2 MB are made.  Frames that wait for their page (type pod) stay
 *     as they are, and cost nothing.
 *       EALREADY  it is on
 *       ENOMEM    no memory for page tables; nothing was started
 *       EINTR     a signal came before all of the guest was held, or a fatal
 *                 signal before all was done; nothing was started
 *
 *   P2M_DIRTY_GET (struct p2m_dirty)
 *     Report which frames of [gfn, gfn + nr) were written to.  @bitmap is an
 *     address: bit i % 8 of byte i / 8 there is set if frame gfn + i was
 *     written to.  Any gfn and nr will do.  A call looks at 2^20 frames at
 *     most: @next is the first frame that it did not look at.  So it writes
 *     (@next - gfn + 7) / 8 bytes, with 0 in the bits that are left over, and
 *     nothing after them; (nr + 7) / 8 is always enough.  To go on, add
 *     (@next - gfn) / 8 to the address: if there is more to come, it is a whole
 *     number.  @dirty is the number of bits that were set.
 *
 *     With P2M_DIRTY_CLEAN the reported frames are clean from then on: a later
 *     call reports the writes after that.  No write is lost between two calls.
 *     But a task that references a page, through GUP (a pinned buffer, I/O
 *     under way) or a foreign mapping, may write to it unseen.  Such frames,
 *     once written to, stay dirty until the first P2M_DIRTY_CLEAN after the
 *     reference is gone; if the page is one of 2 MB, all frames of the chunk
 *     do.  @busy is the number of reported frames that stay dirty for this
 *     reason.
 *
 *     A dirty frame stays dirty when it goes to the store and comes back.  If
 *     one call is for all of the guest, all of it is looked at, and made clean,
 *     at one instant.
 *
 *     A call may report more frames than were written to: after a write that
 *     KVM announces but then does not do; and after a read that had to wait for
 *     a holder of the frame, because Linux asks for such a read as a write.
 *       EINVAL, ERANGE  as for P2M_PAGE_OUT
 *       ENODATA   log-dirty is off
 *       ENOMEM    no memory for the bitmap
 *       EFAULT    @bitmap cannot be written to.  No frame was made clean, but
 *                 some of the bitmap may have been written.
 *       EINTR     a signal came before the range was held, or a fatal signal
 *                 before all was done.  No frame was made clean.
 *
 *   P2M_DIRTY_STOP (struct p2m_dirty_switch)
 *     Stop remembering, and forget.  Pages of 2 MB that were there at the start
 *     are 2 MB again, unless something else has broken them up.  But memory
 *     that the VMM has mapped stays mapped as 4 KB until it is unmapped and
 *     mapped anew (munmap, mmap).
 *       ENODATA   it is off
 *       EINTR     a signal came before all of the guest was held.  If a fatal
 *                 signal comes later, log-dirty is off, but some pages of
 *                 2 MB may not be 2 MB again until the next stop.
 */

/**
 * struct p2m_dirty_switch - log-dirty on or off
 * @size: in: sizeof(struct p2m_dirty_switch)
 * @flags: in: must be 0
 */
struct p2m_dirty_switch {
	__u32 size;
	__u32 flags;
};

/* Bits of p2m_dirty.flags */
#define P2M_DIRTY_CLEAN		(1U << 0)	/* clean the reported frames */

/**
 * struct p2m_dirty - which frames were written to
 * @size: in: sizeof(struct p2m_dirty)
 * @flags: in: 0 or P2M_DIRTY_CLEAN
 * @gfn: in: first frame
 * @nr: in: how many frames, at least 1
 * @bitmap: in: address of (@nr + 7) / 8 bytes
 * @next: out: the first frame that was not looked at
 * @dirty: out: frames that were written to
 * @busy: out: how many of @dirty stay dirty because somebody references them
 */
struct p2m_dirty {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 nr;
	__u64 bitmap;
	__u64 next;
	__u64 dirty;
	__u64 busy;
};

#define P2M_DIRTY_START		_IO(P2M_IOC, 0x50)
#define P2M_DIRTY_STOP		_IO(P2M_IOC, 0x51)
#define P2M_DIRTY_GET		_IO(P2M_IOC, 0x52)

/*
 * FOREIGN MAPPINGS
 *
 *   P2M_FOREIGN_MAP (struct p2m_foreign)
 *     @fd becomes a descriptor (O_CLOEXEC) that any process may mmap(), to see
 *     the pages of frames [gfn, gfn + nr) as the guest sees them and, without
 *     P2M_FOREIGN_READONLY, to write to them.  Frames that have no page are
 *     given one, as if they had been touched.  Pages of 2 MB are made 512.
 *     Shared frames are unshared.  With log-dirty on, frames that can be
 *     written to are dirty.
 *
 *     The pages are those that the frames have now.  They stay as long as the
 *     descriptor, or a mapping of it, is there: nobody can page out or share
 *     these frames, and P2M_PAGE_OUT counts them as @busy.  Everything else
 *     goes on.  The guest may go away first; the pages go with the last
 *     mapping.
 *
 *     mmap() of it must be MAP_SHARED; offset 0 is frame gfn.  It fails with
 *       EINVAL    MAP_PRIVATE, or the mapping would end past frame gfn + nr
 *       EACCES    PROT_WRITE, with P2M_FOREIGN_READONLY; from mprotect() too
 *
 *     The call fails with these errors.  Then no descriptor was made, but
 *     frames may have been given pages:
 *       EINVAL    nr is 0 or more than P2M_FOREIGN_MAX, or gfn + nr overflows
 *                 or is past P2M_MAX_GFNS
 *       ERANGE    gfn + nr is past the guest's end
 *       EMFILE, ENFILE  no more descriptors
 *       ENOMEM    no memory
 *       ENOSPC    the guest is populated on demand, its pool is empty, and no
 *                 zero pages were found: see P2M_POD_SET
 *       EIO       the store could not be read
 *       EHWPOISON  there is a memory error in the page of a frame
 *       EBUSY     somebody references a page of 2 MB, or the pager was asked
 *                 for a page and has not answered: try again
 *       EINTR     a signal came before all had pages
 */

/** P2M_FOREIGN_MAX - frames in a foreign mapping, at most: 256 MB */
#define P2M_FOREIGN_MAX		(1U << 16)

/* Bits of p2m_foreign.flags */
#define P2M_FOREIGN_READONLY	(1U << 0)	/* not to be written to */

/**
 * struct p2m_foreign - frames for another process to map
 * @size: in: sizeof(struct p2m_foreign)
 * @flags: in: 0 or P2M_FOREIGN_READONLY
 * @gfn: in: first frame
 * @nr: in: how many frames, at least 1 and at most P2M_FOREIGN_MAX
 * @fd: out: the descriptor
 * @reserved: in: must be 0
 */
struct p2m_foreign {
	__u32 size;
	__u32 flags;
	__u64 gfn;
	__u64 nr;
	__s32 fd;
	__u32 reserved;
};

#define P2M_FOREIGN_MAP		_IO(P2M_IOC, 0x60)

#endif /* _UAPI_P2M_H */
