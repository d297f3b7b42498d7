/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints of p2m_rangelock.ko. */
#ifndef _P2M_TRACE_LOCK_H
#include <linux/version.h>

/*
 * For perf lock contention; modules may use these tracepoints since 6.12.
 * They are the kernel's, so include this once before CREATE_TRACE_POINTS.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <trace/events/lock.h>
#define p2m_contention_begin(lock)	trace_contention_begin(lock, LCB_F_MUTEX)
#define p2m_contention_end(lock)	trace_contention_end(lock, 0)
#else
#define p2m_contention_begin(lock)	do { } while (0)
#define p2m_contention_end(lock)	do { } while (0)
#endif
#endif

#undef TRACE_SYSTEM
#define TRACE_SYSTEM p2m_rangelock

#if !defined(_P2M_TRACE_LOCK_H) || defined(TRACE_HEADER_MULTI_READ)
#define _P2M_TRACE_LOCK_H

#include <linux/tracepoint.h>

struct p2m_rangelock;

TRACE_EVENT(p2m_get,
	TP_PROTO(struct p2m_rangelock *lock, unsigned long gfn,
		 unsigned long nr, unsigned long ip, int err),
	TP_ARGS(lock, gfn, nr, ip, err),
	TP_STRUCT__entry(
		__field(void *, lock)
		__field(unsigned long, gfn)
		__field(unsigned long, nr)
		__field(unsigned long, ip)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->lock = lock;
		__entry->gfn = gfn;
		__entry->nr = nr;
		__entry->ip = ip;
		__entry->err = err;
	),
	TP_printk("lock=%p gfn=0x%lx nr=0x%lx from=%pS err=%d", __entry->lock,
		  __entry->gfn, __entry->nr, (void *)__entry->ip, __entry->err)
);

TRACE_EVENT(p2m_put,
	TP_PROTO(struct p2m_rangelock *lock, unsigned long gfn,
		 unsigned long nr, unsigned long ip),
	TP_ARGS(lock, gfn, nr, ip),
	TP_STRUCT__entry(
		__field(void *, lock)
		__field(unsigned long, gfn)
		__field(unsigned long, nr)
		__field(unsigned long, ip)
	),
	TP_fast_assign(
		__entry->lock = lock;
		__entry->gfn = gfn;
		__entry->nr = nr;
		__entry->ip = ip;
	),
	TP_printk("lock=%p gfn=0x%lx nr=0x%lx from=%pS", __entry->lock,
		  __entry->gfn, __entry->nr, (void *)__entry->ip)
);

/* A get sleeps: the node that it waits for, and whose that is. */
TRACE_EVENT(p2m_wait_begin,
	TP_PROTO(unsigned long gfn, unsigned long nr, pid_t owner,
		 unsigned long ip),
	TP_ARGS(gfn, nr, owner, ip),
	TP_STRUCT__entry(
		__field(unsigned long, gfn)
		__field(unsigned long, nr)
		__field(pid_t, owner)
		__field(unsigned long, ip)
	),
	TP_fast_assign(
		__entry->gfn = gfn;
		__entry->nr = nr;
		__entry->owner = owner;
		__entry->ip = ip;
	),
	TP_printk("gfn=0x%lx nr=0x%lx owner=%d from=%pS", __entry->gfn,
		  __entry->nr, __entry->owner, (void *)__entry->ip)
);

/* It runs again, and will look. */
TRACE_EVENT(p2m_wait_end,
	TP_PROTO(unsigned long gfn, unsigned long nr, unsigned long ip),
	TP_ARGS(gfn, nr, ip),
	TP_STRUCT__entry(
		__field(unsigned long, gfn)
		__field(unsigned long, nr)
		__field(unsigned long, ip)
	),
	TP_fast_assign(
		__entry->gfn = gfn;
		__entry->nr = nr;
		__entry->ip = ip;
	),
	TP_printk("gfn=0x%lx nr=0x%lx from=%pS", __entry->gfn, __entry->nr,
		  (void *)__entry->ip)
);

/* A get is refused: so many tasks would wait for each other. */
TRACE_EVENT(p2m_deadlock,
	TP_PROTO(unsigned long gfn, unsigned long nr, unsigned int tasks,
		 unsigned long ip),
	TP_ARGS(gfn, nr, tasks, ip),
	TP_STRUCT__entry(
		__field(unsigned long, gfn)
		__field(unsigned long, nr)
		__field(unsigned int, tasks)
		__field(unsigned long, ip)
	),
	TP_fast_assign(
		__entry->gfn = gfn;
		__entry->nr = nr;
		__entry->tasks = tasks;
		__entry->ip = ip;
	),
	TP_printk("gfn=0x%lx nr=0x%lx tasks=%u from=%pS", __entry->gfn,
		  __entry->nr, __entry->tasks, (void *)__entry->ip)
);

#endif /* _P2M_TRACE_LOCK_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE p2m/trace_lock
#include <trace/define_trace.h>
