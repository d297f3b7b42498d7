// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the audit: a guest is damaged on purpose.  The audit must find
 * the damage, and must find none in a good guest.  The guest here has only the
 * parts that an audit looks at.
 */

#include <kunit/test.h>
#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/shmem_fs.h>

#include "p2m/audit.c"
#include "p2m/store.c"
#include "p2m/walk.c"

#define NR_PAGES	4

/* This guest has no accounts of the services. */
unsigned int p2m_pod_audit(struct p2m_guest *guest)
{
	return 0;
}

/**
 * struct patient - a guest that is audited
 * @guest: the guest
 * @small: pages for frames
 * @large: a page for a chunk
 * @audit: the result of the last audit
 */
struct patient {
	struct p2m_guest	guest;
	struct page		*small[NR_PAGES];
	struct page		*large;
	struct p2m_audit	audit;
};

static int audit_test_init(struct kunit *test)
{
	struct patient *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);
	unsigned int i;

	if (!p)
		return -ENOMEM;
	for (i = 0; i < NR_PAGES; i++) {
		p->small[i] = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p->small[i]);
	}
	p->large = alloc_pages(GFP_KERNEL | __GFP_COMP, P2M_2M);
	KUNIT_ASSERT_NOT_NULL(test, p->large);
	p->guest.store = shmem_file_setup("store", P2M_MAX_GFNS << PAGE_SHIFT,
					  mk_vma_flags(VMA_NORESERVE_BIT));
	KUNIT_ASSERT_FALSE(test, IS_ERR(p->guest.store));
	p2m_rangelock_init(&p->guest.lock, "audit test");
	KUNIT_ASSERT_EQ(test, p2m_map_init(&p->guest.map, &p->guest.lock), 0);
	p->guest.id = 7;
	p->guest.map.id = 7;
	atomic_long_set(&p->guest.gfns, 4 * P2M_CHUNK_GFNS);
	test->priv = p;
	return 0;
}

static void drop_nothing(struct p2m_entry entry, void *arg)
{
}

static void audit_test_exit(struct kunit *test)
{
	struct patient *p = test->priv;
	unsigned int i;

	if (!p)
		return;
	p2m_map_destroy(&p->guest.map, drop_nothing, NULL);
	p2m_rangelock_destroy(&p->guest.lock);
	fput(p->guest.store);
	__free_pages(p->large, P2M_2M);
	for (i = 0; i < NR_PAGES; i++)
		__free_page(p->small[i]);
}

static struct patient *hold_patient(struct kunit *test)
{
	struct patient *p = test->priv;

	KUNIT_ASSERT_EQ(test, get_p2m_all(&p->guest.lock, P2M_WAIT, 0), 0);
	return p;
}

DEFINE_CLASS(patient, struct patient *, put_p2m_all(&_T->guest.lock),
	     hold_patient(test), struct kunit *test)

static void set(struct kunit *test, unsigned long gfn, unsigned int order,
		struct p2m_entry entry)
{
	struct patient *p = test->priv;

	KUNIT_ASSERT_EQ(test, p2m_set_entry(&p->guest.map, gfn, order, entry),
			0);
}

/* The entry of a frame whose contents must be in the store */
static struct p2m_entry paged(void)
{
	return p2m_paged_entry((struct p2m_entry){ 0 }, P2M_STORED);
}

/* Put a page into the store, as paging does. */
static void store(struct kunit *test, unsigned long gfn)
{
	struct patient *p = test->priv;
	struct page *page;

	page = shmem_read_mapping_page(p->guest.store->f_mapping, gfn);
	KUNIT_ASSERT_FALSE(test, IS_ERR(page));
	set_page_dirty(page);
	put_page(page);
}

#define EXPECT_ERRORS(test, want)					\
do {									\
	struct patient *_p = (test)->priv;				\
									\
	KUNIT_ASSERT_EQ(test, p2m_audit(&_p->guest, &_p->audit), 0);	\
	KUNIT_EXPECT_EQ(test, _p->audit.errors, (u64)(want));		\
} while (0)

/* ---- in order ----------------------------------------------------------- */

/* One of each: pages, a large page, a split one, and frames without a page. */
static void a_guest_in_order_has_no_errors(struct kunit *test)
{
	CLASS(patient, p)(test);

	EXPECT_ERRORS(test, 0);
	KUNIT_EXPECT_EQ(test, p->audit.types[p2m_mmio_dm],
			4ULL * P2M_CHUNK_GFNS);
	KUNIT_EXPECT_EQ(test, p->audit.pages, 0ULL);

	set(test, 3, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	set(test, 4, P2M_4K, p2m_make_entry(p2m_logdirty, p->small[1]));
	/* Two frames may share a page. */
	get_page(p->small[2]);
	set(test, 5, P2M_4K, p2m_make_entry(p2m_shared, p->small[2]));
	set(test, 6, P2M_4K, p2m_make_entry(p2m_shared, p->small[2]));
	atomic_long_set(&p->guest.sharers, 2);
	set(test, 7, P2M_4K, paged());
	store(test, 7);
	set(test, 512, P2M_2M, p2m_make_entry(p2m_ram_rw, p->large));
	set(test, 1024, P2M_2M, p2m_make_entry(p2m_pod, NULL));
	EXPECT_ERRORS(test, 0);
	KUNIT_EXPECT_EQ(test, p->audit.pages, 4ULL + 512);
	KUNIT_EXPECT_EQ(test, p->audit.types[p2m_ram_rw], 1ULL + 512);
	KUNIT_EXPECT_EQ(test, p->audit.types[p2m_shared], 2ULL);
	KUNIT_EXPECT_EQ(test, p->audit.types[p2m_paged], 1ULL);
	KUNIT_EXPECT_EQ(test, p->audit.types[p2m_pod], 512ULL);
	put_page(p->small[2]);

	KUNIT_ASSERT_EQ(test, p2m_split_entry(&p->guest.map, 512), 0);
	page_ref_add(p->large, P2M_CHUNK_GFNS - 1);
	EXPECT_ERRORS(test, 0);
	/* Frames of a large page may be of different types. */
	set(test, 600, P2M_4K, p2m_make_entry(p2m_logdirty, p->large + 88));
	EXPECT_ERRORS(test, 0);
	page_ref_sub(p->large, P2M_CHUNK_GFNS - 1);
}

/* ---- out of order ------------------------------------------------------- */

static void a_page_in_two_frames_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	get_page(p->small[0]);
	set(test, 3, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 0);
	set(test, 900, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 1);
	put_page(p->small[0]);
}

static void a_page_of_another_guest_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 3, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	p->guest.map.id = 8;
	EXPECT_ERRORS(test, 1);
}

static void a_page_with_too_few_references_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	/* Each of 512 entries must have a reference. */
	set(test, 512, P2M_2M, p2m_make_entry(p2m_ram_rw, p->large));
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&p->guest.map, 512), 0);
	EXPECT_ERRORS(test, 1);
	page_ref_add(p->large, P2M_CHUNK_GFNS - 2);
	EXPECT_ERRORS(test, 1);
	page_ref_add(p->large, 1);
	EXPECT_ERRORS(test, 0);
	page_ref_sub(p->large, P2M_CHUNK_GFNS - 1);
}

static void a_large_page_in_pieces_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 512, P2M_2M, p2m_make_entry(p2m_ram_rw, p->large));
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&p->guest.map, 512), 0);
	page_ref_add(p->large, P2M_CHUNK_GFNS - 1);
	/*
	 * One part of the page is missing, then it is there.  Then another part
	 * is in its place.
	 */
	set(test, 700, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 1);
	set(test, 700, P2M_4K, p2m_make_entry(p2m_ram_rw, p->large + 188));
	EXPECT_ERRORS(test, 0);
	set(test, 700, P2M_4K, p2m_make_entry(p2m_logdirty, p->large + 5));
	EXPECT_ERRORS(test, 2);
	page_ref_sub(p->large, P2M_CHUNK_GFNS - 1);
}

static void a_small_page_for_a_chunk_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 512, P2M_2M, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 1);
}

static void what_the_store_lacks_or_has_too_much_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 7, P2M_4K, paged());
	EXPECT_ERRORS(test, 1);
	store(test, 7);
	EXPECT_ERRORS(test, 0);
	store(test, 8);
	store(test, 2000);
	EXPECT_ERRORS(test, 2);
	set(test, 7, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 3);
}

static void a_wrong_count_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 3, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	this_cpu_inc(p->guest.map.counts->nr[p2m_ram_rw]);
	EXPECT_ERRORS(test, 1);
	this_cpu_inc(p->guest.map.counts->nr[p2m_pod]);
	EXPECT_ERRORS(test, 2);
}

static void sharers_that_are_not_frames_are_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 3, P2M_4K, p2m_make_entry(p2m_shared, p->small[0]));
	EXPECT_ERRORS(test, 1);
	atomic_long_set(&p->guest.sharers, 1);
	EXPECT_ERRORS(test, 0);
}

static void a_frame_that_was_not_given_back_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	set(test, 3, P2M_4K, p2m_make_entry(p2m_taken, p->small[0]));
	EXPECT_ERRORS(test, 1);
}

static void rights_that_the_type_has_not_are_found(struct kunit *test)
{
	CLASS(patient, p)(test);
	struct p2m_entry entry = p2m_make_entry(p2m_logdirty, p->small[0]);

	entry.val |= P2M_W;
	set(test, 3, P2M_4K, entry);
	EXPECT_ERRORS(test, 1);
}

static void what_is_past_the_end_is_found(struct kunit *test)
{
	CLASS(patient, p)(test);

	atomic_long_set(&p->guest.gfns, 512);
	set(test, 511, P2M_4K, p2m_make_entry(p2m_ram_rw, p->small[0]));
	EXPECT_ERRORS(test, 0);
	set(test, 512, P2M_4K, p2m_make_entry(p2m_pod, NULL));
	EXPECT_ERRORS(test, 1);
}

static struct kunit_case p2m_audit_cases[] = {
	KUNIT_CASE(a_guest_in_order_has_no_errors),
	KUNIT_CASE(a_page_in_two_frames_is_found),
	KUNIT_CASE(a_page_of_another_guest_is_found),
	KUNIT_CASE(a_page_with_too_few_references_is_found),
	KUNIT_CASE(a_large_page_in_pieces_is_found),
	KUNIT_CASE(a_small_page_for_a_chunk_is_found),
	KUNIT_CASE(what_the_store_lacks_or_has_too_much_is_found),
	KUNIT_CASE(a_wrong_count_is_found),
	KUNIT_CASE(sharers_that_are_not_frames_are_found),
	KUNIT_CASE(a_frame_that_was_not_given_back_is_found),
	KUNIT_CASE(rights_that_the_type_has_not_are_found),
	KUNIT_CASE(what_is_past_the_end_is_found),
	{}
};

static struct kunit_suite p2m_audit_suite = {
	.name = "p2m_audit",
	.init = audit_test_init,
	.exit = audit_test_exit,
	.test_cases = p2m_audit_cases,
};

kunit_test_suite(p2m_audit_suite);
