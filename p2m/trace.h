/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints of kvm_p2m.ko. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_p2m

#if !defined(_P2M_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _P2M_TRACE_H

#include <linux/mm_types.h>
#include <linux/tracepoint.h>

#include "p2m/map.h"

DECLARE_EVENT_CLASS(p2m_gfn,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err),
	TP_STRUCT__entry(
		__field(u64, guest)
		__field(unsigned long, gfn)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->guest = guest;
		__entry->gfn = gfn;
		__entry->err = err;
	),
	TP_printk("guest=%llu gfn=0x%lx err=%d", __entry->guest, __entry->gfn,
		  __entry->err)
);

/* A page was moved to the store, or could not be. */
DEFINE_EVENT(p2m_gfn, p2m_evict,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err));

/* A page was brought back from the store, or could not be. */
DEFINE_EVENT(p2m_gfn, p2m_populate,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err));

/* A frame was given a page that others have too. */
DEFINE_EVENT(p2m_gfn, p2m_share,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err));

/* A shared frame was given a page of its own, or could not be. */
DEFINE_EVENT(p2m_gfn, p2m_unshare,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err));

/* The pager was asked for a frame; to be written to if @err is 1. */
DEFINE_EVENT(p2m_gfn, p2m_event,
	TP_PROTO(u64 guest, unsigned long gfn, int err),
	TP_ARGS(guest, gfn, err));

#undef P2M_TYPE_ENUM
#define P2M_TYPE_ENUM(name, access) TRACE_DEFINE_ENUM(p2m_##name);
P2M_TYPES(P2M_TYPE_ENUM)
TRACE_DEFINE_ENUM(P2M_NR_TYPES);

#undef P2M_TYPE_SYMBOL
#define P2M_TYPE_SYMBOL(name, access) , { p2m_##name, #name }

/* A touch: what was there (enum p2m_type), and what the processor was told. */
TRACE_EVENT(p2m_fault,
	TP_PROTO(u64 guest, unsigned long gfn, unsigned int type,
		 vm_fault_t result),
	TP_ARGS(guest, gfn, type, result),
	TP_STRUCT__entry(
		__field(u64, guest)
		__field(unsigned long, gfn)
		__field(unsigned int, type)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->guest = guest;
		__entry->gfn = gfn;
		__entry->type = type;
		__entry->result = (__force unsigned int)result;
	),
	TP_printk("guest=%llu gfn=0x%lx type=%s result=0x%x", __entry->guest,
		  __entry->gfn,
		  __print_symbolic(__entry->type,
				   { P2M_NR_TYPES, "?" }
				   P2M_TYPES(P2M_TYPE_SYMBOL)),
		  __entry->result)
);

#endif /* _P2M_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH p2m
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
