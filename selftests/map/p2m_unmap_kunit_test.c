// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of p2m_unmap() against the touches that it must stop.  When it
 * returns, nobody maps the frames, and nobody is about to.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

/* The order of events after the call, one letter for each */
static char story[16];

static void tell(char what)
{
	size_t end = strlen(story);

	if (end < sizeof(story) - 1)
		story[end] = what;
}

/* Called before a page is locked, if not NULL */
static void (*before_lock)(void);

static void test_lock_page(struct page *page)
{
	if (before_lock)
		before_lock();
	lock_page(page);
}

static void test_barrier(void)
{
	tell('b');
	/* This is the barrier itself. */
	smp_mb();
}

#undef smp_mb
/* These report to the story. */
#define smp_mb()		test_barrier()
#define folio_wait_locked(folio) (tell('w'), folio_wait_locked(folio))
#define folio_mapped(folio)	(tell('m'), folio_mapped(folio))
/* There is no VMM here. */
#define unmap_mapping_range(mapping, start, len, even) \
	((void)(mapping), tell('z'))
#define lock_page(page)		test_lock_page(page)
#include "p2m/page.c"
#include "p2m/fault.c"

#define GFN	3

/* The services are not part of this. */
#define GUEST struct p2m_guest *guest
#define GUEST_GFN GUEST, unsigned long gfn

int p2m_check_poison(GUEST_GFN) { return 0; }
int p2m_dirty_mark(GUEST_GFN) { return 0; }
int p2m_huge_populate(GUEST_GFN, struct vm_fault *vmf) { return 0; }
int p2m_huge_split(GUEST_GFN) { return 0; }
int p2m_pager_ask(GUEST_GFN, bool write) { return 0; }
int p2m_pager_wait(GUEST_GFN, unsigned int state) { return 0; }
int p2m_paging_populate(GUEST_GFN, struct vm_fault *vmf) { return 0; }
int p2m_pod_make_room(GUEST) { return 0; }
void p2m_pod_make_room_for(GUEST_GFN) { }
bool p2m_pod_refused(GUEST_GFN) { return false; }
int p2m_pod_populate(GUEST_GFN, bool huge, struct vm_fault *vmf) { return 0; }
int p2m_unshare(GUEST_GFN, struct vm_fault *vmf) { return 0; }
void p2m_check_poison_2m(GUEST_GFN) { }
void p2m_shared_drop(GUEST, struct p2m_entry entry) { }

bool p2m_pager_is_there(GUEST) { return false; }
bool p2m_zero_map(GUEST_GFN, bool huge, struct page **page) { return false; }
void p2m_zero_unmap(GUEST_GFN, struct p2m_entry was) { }
void p2m_zero_forget(GUEST_GFN) { }
const char *p2m_shared_check(GUEST_GFN, struct p2m_entry entry) { return NULL; }

/**
 * struct unmapping - a frame that is unmapped and touched
 * @guest: its guest, as far as p2m_unmap() and p2m_page_mkwrite() look at it
 * @inode: the guest's inode
 * @page: the frame's page
 * @unmapped: p2m_unmap() has returned
 */
struct unmapping {
	struct p2m_guest	guest;
	struct inode		inode;
	struct page		*page;
	struct completion	unmapped;
};

static int unmap_test_init(struct kunit *test)
{
	struct unmapping *u = kunit_kzalloc(test, sizeof(*u), GFP_KERNEL);

	if (!u)
		return -ENOMEM;
	u->page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, u->page);
	p2m_rangelock_init(&u->guest.lock, "unmap test");
	KUNIT_ASSERT_EQ(test, p2m_map_init(&u->guest.map, &u->guest.lock), 0);
	KUNIT_ASSERT_EQ(test, get_p2m_gfn(&u->guest.lock, GFN), 0);
	KUNIT_ASSERT_EQ(test,
			p2m_set_entry(&u->guest.map, GFN, P2M_4K,
				      p2m_make_entry(p2m_ram_rw, u->page)),
			0);
	put_p2m_gfn(&u->guest.lock, GFN);
	u->guest.inode = &u->inode;
	init_completion(&u->unmapped);
	memset(story, 0, sizeof(story));
	before_lock = NULL;
	test->priv = u;
	return 0;
}

static void drop_page(struct p2m_entry entry, void *arg)
{
}

static void unmap_test_exit(struct kunit *test)
{
	struct unmapping *u = test->priv;

	if (!u)
		return;
	p2m_map_destroy(&u->guest.map, drop_page, NULL);
	p2m_rangelock_destroy(&u->guest.lock);
	__free_page(u->page);
}

static int unmap_frame(void *arg)
{
	struct unmapping *u = arg;

	if (!get_p2m_gfn(&u->guest.lock, GFN)) {
		memset(story, 0, sizeof(story));
		p2m_unmap(&u->guest, GFN, 1);
		put_p2m_gfn(&u->guest.lock, GFN);
	}
	/* When the test goes on, no thread must need this code any more. */
	kthread_complete_and_exit(&u->unmapped, 0);
}

static void unmap_in_a_thread(struct kunit *test)
{
	struct task_struct *task = kthread_run(unmap_frame, test->priv,
					       "p2m_unmap");

	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
}

/*
 * A fault has the page's lock until the page is mapped.  The entry was changed
 * before.  p2m_unmap() must make a full barrier, then wait for the page's lock,
 * and only then look whether the page is mapped.
 */
static void who_is_about_to_map_is_waited_for(struct kunit *test)
{
	struct unmapping *u = test->priv;

	lock_page(u->page);
	unmap_in_a_thread(test);
	KUNIT_EXPECT_FALSE(test, wait_for_completion_timeout(&u->unmapped,
							     HZ / 20));
	KUNIT_EXPECT_STREQ(test, story, "bw");
	atomic_inc(&u->page->_mapcount);
	unlock_page(u->page);
	wait_for_completion(&u->unmapped);
	KUNIT_EXPECT_STREQ(test, story, "bwmz");
	atomic_dec(&u->page->_mapcount);
}

static void what_nobody_maps_is_not_zapped(struct kunit *test)
{
	struct unmapping *u = test->priv;

	unmap_in_a_thread(test);
	wait_for_completion(&u->unmapped);
	KUNIT_EXPECT_STREQ(test, story, "bwm");
}

static struct unmapping *taken;

/*
 * Like a service that takes the page of the frame away.  The page's lock does
 * not show that.
 */
static void take(void)
{
	before_lock = NULL;
	if (!get_p2m_gfn(&taken->guest.lock, GFN)) {
		p2m_change_type(&taken->guest, GFN, p2m_shared);
		put_p2m_gfn(&taken->guest.lock, GFN);
	}
	memset(story, 0, sizeof(story));
}

static vm_fault_t touch_to_write(struct unmapping *u)
{
	struct vm_area_struct vma = { .vm_private_data = &u->guest };
	struct vm_fault vmf = { .vma = &vma, .page = u->page, .pgoff = GFN };

	return p2m_page_mkwrite(&vmf);
}

static void a_write_is_allowed_with_the_page_locked(struct kunit *test)
{
	struct unmapping *u = test->priv;

	KUNIT_EXPECT_EQ(test, touch_to_write(u), VM_FAULT_LOCKED);
	KUNIT_EXPECT_STREQ(test, story, "b");
	unlock_page(u->page);
}

/*
 * The other side of the barrier: the page is locked first, and then the entry
 * is looked at.
 */
static void
a_write_is_not_allowed_if_it_was_taken_before_it_was_locked(struct kunit *test)
{
	taken = test->priv;
	before_lock = take;
	KUNIT_EXPECT_EQ(test, touch_to_write(taken), VM_FAULT_NOPAGE);
	KUNIT_EXPECT_FALSE(test, PageLocked(taken->page));
	KUNIT_EXPECT_STREQ(test, story, "bb");
}

static struct kunit_case p2m_unmap_cases[] = {
	KUNIT_CASE(who_is_about_to_map_is_waited_for),
	KUNIT_CASE(what_nobody_maps_is_not_zapped),
	KUNIT_CASE(a_write_is_allowed_with_the_page_locked),
	KUNIT_CASE(a_write_is_not_allowed_if_it_was_taken_before_it_was_locked),
	{}
};

static struct kunit_suite p2m_unmap_suite = {
	.name = "p2m_unmap",
	.init = unmap_test_init,
	.exit = unmap_test_exit,
	.test_cases = p2m_unmap_cases,
};

kunit_test_suite(p2m_unmap_suite);
