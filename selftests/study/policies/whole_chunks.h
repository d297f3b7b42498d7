/* SPDX-License-Identifier: GPL-2.0 */
/*
 * whole_chunks.h: for kvm_p2m.ko on a lock whose grain is 4 KB
 *
 * The map keeps 2 MB in one table or in one entry, so it needs all of these 2 MB
 * held.  The edited p2m_rangelock.h includes this before its inline functions,
 * but not for the lock itself.
 */
#ifndef P2M_RANGELOCK_ITSELF

#define WHOLE_FIRST(gfn)	((gfn) & ~511UL)
#define WHOLE_NR(gfn, nr)	((((gfn) + (nr) - 1) | 511UL) + 1 -	\
				 WHOLE_FIRST(gfn))

static inline int __must_check
whole_get_range(struct p2m_rangelock *lock, unsigned long gfn, unsigned long nr,
		enum p2m_wait wait, unsigned int subclass)
{
	if (!nr)
		return -EINVAL;
	return get_p2m_range(lock, WHOLE_FIRST(gfn), WHOLE_NR(gfn, nr), wait,
			     subclass);
}

static inline void whole_put_range(struct p2m_rangelock *lock,
				   unsigned long gfn, unsigned long nr)
{
	put_p2m_range(lock, WHOLE_FIRST(gfn), WHOLE_NR(gfn, nr));
}

static inline int __must_check
whole_get_hold(struct p2m_rangelock_hold *hold, struct p2m_rangelock *lock,
	       unsigned long gfn, unsigned int order, enum p2m_wait wait)
{
	return get_p2m_hold(hold, lock, WHOLE_FIRST(gfn), max(order, 9U), wait);
}

#define get_p2m_range	whole_get_range
#define put_p2m_range	whole_put_range
#define get_p2m_hold	whole_get_hold

#endif /* P2M_RANGELOCK_ITSELF */
