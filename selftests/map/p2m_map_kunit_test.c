// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the map: the name of each is a promise of the map.  One task
 * holds all of the guest, except where a test says otherwise.
 */

#include <kunit/test.h>
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "p2m/map.h"
#include "tables.h"

#define TOP		((1UL << P2M_TABLE_LEVELS * P2M_TABLE_BITS) - 1)
/* Chunks in which tables appear while a reader looks */
#define NR_RACES	1500
#define NR_ROUNDS	1500

/**
 * struct fixture - a map under test
 * @lock: its lock
 * @map: the map
 * @page: the page of its entries, of 2 MB
 */
struct fixture {
	struct p2m_rangelock	lock;
	struct p2m_map		map;
	struct page		*page;
};

static int map_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	KUNIT_EXPECT_EQ(test, tables_in_use(), 0L);
	f->page = alloc_pages(GFP_KERNEL | __GFP_COMP, P2M_2M);
	if (!f->page)
		return -ENOMEM;
	p2m_rangelock_init(&f->lock, "map test");
	test->priv = f;
	return p2m_map_init(&f->map, &f->lock);
}

static void drop_nothing(struct p2m_entry entry, void *arg)
{
}

static void map_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (!f)
		return;
	tables_refuse(0);
	if (f->map.top)
		p2m_map_destroy(&f->map, drop_nothing, NULL);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 0L);
	p2m_rangelock_destroy(&f->lock);
	__free_pages(f->page, P2M_2M);
}

static struct fixture *hold_all(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, get_p2m_all(&f->lock, P2M_WAIT, 0), 0);
	return f;
}

/* All of the guest is held until the end of the block. */
DEFINE_CLASS(held, struct fixture *, put_p2m_all(&_T->lock), hold_all(test),
	     struct kunit *test)

/* The entry of one frame, with its part of the page */
static struct p2m_entry small(struct fixture *f, enum p2m_type type,
			      unsigned long gfn)
{
	return p2m_make_entry(type, f->page + gfn % P2M_CHUNK_GFNS);
}

/* The entry of a chunk */
static struct p2m_entry large(struct fixture *f, enum p2m_type type)
{
	struct p2m_entry entry = p2m_make_entry(type, f->page);

	entry.val |= P2M_PS;
	return entry;
}

/* The entry of a type without a page */
static struct p2m_entry bare(enum p2m_type type)
{
	return p2m_make_entry(type, NULL);
}

static void set(struct kunit *test, unsigned long gfn, unsigned int order,
		struct p2m_entry entry)
{
	struct fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, p2m_set_entry(&f->map, gfn, order, entry), 0);
}

/* Both calls that read an entry must give this one. */
#define EXPECT_ENTRY(test, gfn, want)					\
do {									\
	struct fixture *_f = (test)->priv;				\
	struct p2m_entry _want = (want);				\
									\
	KUNIT_EXPECT_EQ(test, p2m_lookup(&_f->map, gfn).val, _want.val);\
	KUNIT_EXPECT_EQ(test, p2m_get_entry(&_f->map, gfn).val, _want.val);\
} while (0)

#define EXPECT_COUNT(test, type, want)					\
	KUNIT_EXPECT_EQ(test,						\
			p2m_map_count(&((struct fixture *)(test)->priv)->map, \
				      type), (unsigned long)(want))

/* ---- entries ------------------------------------------------------------ */

/* Frames in the first and last places of tables of every level */
static const unsigned long frames[] = {
	0, 1, 511, 512, 1023, (1UL << 18) - 1, 1UL << 18, (1UL << 27) - 1,
	1UL << 27, TOP - 512, TOP,
};

static void in_an_empty_map_there_is_nothing(struct kunit *test)
{
	CLASS(held, f)(test);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(frames); i++)
		EXPECT_ENTRY(test, frames[i], ((struct p2m_entry){ 0 }));
	KUNIT_EXPECT_EQ(test, p2m_next_chunk(&f->map, 0, TOP + 1), TOP + 1);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 1L);
}

static void what_was_set_is_found_and_nothing_beside_it(struct kunit *test)
{
	CLASS(held, f)(test);
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		set(test, frames[i], P2M_4K, small(f, p2m_ram_rw, frames[i]));
		for (j = 0; j < ARRAY_SIZE(frames); j++)
			EXPECT_ENTRY(test, frames[j],
				     j > i ? (struct p2m_entry){ 0 } :
				     small(f, p2m_ram_rw, frames[j]));
	}
	EXPECT_COUNT(test, p2m_ram_rw, ARRAY_SIZE(frames));
}

static void what_is_set_replaces_what_was(struct kunit *test)
{
	CLASS(held, f)(test);
	enum p2m_type type;

	for (type = p2m_ram_rw; type < P2M_NR_TYPES; type++) {
		struct p2m_entry entry = p2m_type_access[type] ?
			small(f, type, 700) : bare(type);

		set(test, 700, P2M_4K, entry);
		EXPECT_ENTRY(test, 700, entry);
		EXPECT_COUNT(test, type, 1);
		EXPECT_COUNT(test, type - 1, 0);
	}
	set(test, 700, P2M_4K, (struct p2m_entry){ 0 });
	EXPECT_ENTRY(test, 700, ((struct p2m_entry){ 0 }));
	EXPECT_COUNT(test, P2M_NR_TYPES - 1, 0);
}

static void a_large_entry_covers_its_chunk_and_no_more(struct kunit *test)
{
	CLASS(held, f)(test);

	set(test, 512, P2M_2M, large(f, p2m_ram_rw));
	EXPECT_ENTRY(test, 511, ((struct p2m_entry){ 0 }));
	EXPECT_ENTRY(test, 512, large(f, p2m_ram_rw));
	EXPECT_ENTRY(test, 1023, large(f, p2m_ram_rw));
	EXPECT_ENTRY(test, 1024, ((struct p2m_entry){ 0 }));
	EXPECT_COUNT(test, p2m_ram_rw, 512);
	KUNIT_EXPECT_PTR_EQ(test, f->page + 5,
			    p2m_entry_page_of(p2m_lookup(&f->map, 517), 517));
	/* There are three tables above it, and none below. */
	KUNIT_EXPECT_EQ(test, tables_in_use(), 3L);
}

/* ---- made smaller, made larger ------------------------------------------ */

static void a_split_keeps_type_dirtiness_and_pages(struct kunit *test)
{
	CLASS(held, f)(test);
	struct p2m_entry want, entry = large(f, p2m_logdirty);
	unsigned long gfn;

	entry.val |= P2M_D;
	set(test, 1024, P2M_2M, entry);
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 1024 + 300), 0);
	for (gfn = 1024; gfn < 1024 + 512; gfn++) {
		want = small(f, p2m_logdirty, gfn);
		want.val |= P2M_D;
		EXPECT_ENTRY(test, gfn, want);
	}
	EXPECT_COUNT(test, p2m_logdirty, 512);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 4L);

	/* A second split of the chunk changes nothing. */
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 1024), 0);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 4L);
}

static void a_split_without_a_page_has_none_after(struct kunit *test)
{
	CLASS(held, f)(test);
	unsigned long gfn;

	set(test, 0, P2M_2M, bare(p2m_pod));
	KUNIT_EXPECT_EQ(test, p2m_entry_order(p2m_lookup(&f->map, 0)), P2M_2M);
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 511), 0);
	for (gfn = 0; gfn < 512; gfn++)
		EXPECT_ENTRY(test, gfn, bare(p2m_pod));
	EXPECT_COUNT(test, p2m_pod, 512);
}

static void a_split_of_nothing_does_nothing(struct kunit *test)
{
	CLASS(held, f)(test);

	KUNIT_EXPECT_EQ(test, p2m_split_entry(&f->map, 5), 0);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 1L);
	set(test, 600, P2M_4K, small(f, p2m_ram_rw, 600));
	KUNIT_EXPECT_EQ(test, p2m_split_entry(&f->map, 5), 0);
	KUNIT_EXPECT_EQ(test, p2m_split_entry(&f->map, 600), 0);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 4L);
}

static void zeros_stay_noted_until_there_is_a_page(struct kunit *test)
{
	CLASS(held, f)(test);
	struct p2m_entry read = { P2M_Z }, pod = bare(p2m_pod);

	pod.val |= P2M_Z;
	set(test, 0, P2M_2M, read);
	KUNIT_EXPECT_EQ(test, p2m_entry_order(p2m_lookup(&f->map, 0)), P2M_2M);
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 0), 0);
	EXPECT_ENTRY(test, 0, read);
	EXPECT_ENTRY(test, 511, read);
	KUNIT_EXPECT_EQ(test, p2m_retype_entry(read, p2m_pod).val, pod.val);
	KUNIT_EXPECT_EQ(test, p2m_retype_entry(pod, p2m_mmio_dm).val, read.val);
	KUNIT_EXPECT_FALSE(test,
			   p2m_retype_entry(read, p2m_ram_rw).val & P2M_Z);
}

static void a_large_entry_replaces_512_and_their_table(struct kunit *test)
{
	CLASS(held, f)(test);
	unsigned long gfn;

	for (gfn = 0; gfn < 300; gfn++)
		set(test, gfn, P2M_4K, small(f, p2m_ram_rw, gfn));
	set(test, 300, P2M_4K, bare(p2m_paged));
	KUNIT_EXPECT_EQ(test, tables_in_use(), 4L);
	set(test, 0, P2M_2M, large(f, p2m_shared));
	KUNIT_EXPECT_EQ(test, tables_in_use(), 3L);
	EXPECT_ENTRY(test, 0, large(f, p2m_shared));
	EXPECT_ENTRY(test, 511, large(f, p2m_shared));
	EXPECT_COUNT(test, p2m_ram_rw, 0);
	EXPECT_COUNT(test, p2m_paged, 0);
	EXPECT_COUNT(test, p2m_shared, 512);

	/* An empty entry may replace them, too. */
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 0), 0);
	set(test, 0, P2M_2M, (struct p2m_entry){ 0 });
	KUNIT_EXPECT_EQ(test, tables_in_use(), 3L);
	EXPECT_COUNT(test, p2m_shared, 0);
	EXPECT_ENTRY(test, 77, ((struct p2m_entry){ 0 }));
}

/* ---- finding one's way -------------------------------------------------- */

static void next_chunk_passes_over_what_is_not_there(struct kunit *test)
{
	CLASS(held, f)(test);
	static const unsigned long chunks[] = {
		512, 1024, 1UL << 18, (1UL << 27) + 512, TOP - 511,
	};
	unsigned long gfn = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		if (i % 2)
			set(test, chunks[i], P2M_2M, large(f, p2m_ram_rw));
		else
			set(test, chunks[i] + 7, P2M_4K,
			    small(f, p2m_ram_rw, 7));
	}
	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		gfn = p2m_next_chunk(&f->map, gfn, TOP + 1);
		KUNIT_EXPECT_EQ(test, gfn, chunks[i]);
		/* From the middle of such a chunk, it returns that frame. */
		gfn += 300;
		KUNIT_EXPECT_EQ(test, p2m_next_chunk(&f->map, gfn, TOP + 1),
				gfn);
		gfn = chunks[i] + 512;
	}
	KUNIT_EXPECT_EQ(test, p2m_next_chunk(&f->map, 0, 512), 512UL);
	KUNIT_EXPECT_EQ(test, p2m_next_chunk(&f->map, 1536, 1UL << 18),
			1UL << 18);
	KUNIT_EXPECT_EQ(test, p2m_next_chunk(&f->map, 9, 9), 9UL);
}

/* ---- without memory ----------------------------------------------------- */

static void without_a_table_it_is_enomem_and_nothing_changed(struct kunit *test)
{
	CLASS(held, f)(test);
	int nth;

	for (nth = 1; nth <= 3; nth++) {
		tables_refuse(nth);
		KUNIT_EXPECT_EQ(test,
				p2m_set_entry(&f->map, TOP - nth * 512, P2M_4K,
					      small(f, p2m_ram_rw, 0)),
				-ENOMEM);
		EXPECT_ENTRY(test, TOP - nth * 512, ((struct p2m_entry){ 0 }));
		EXPECT_COUNT(test, p2m_ram_rw, 0);
		/* Try the next one from the beginning. */
		tables_refuse(0);
		p2m_map_destroy(&f->map, drop_nothing, NULL);
		KUNIT_ASSERT_EQ(test, p2m_map_init(&f->map, &f->lock), 0);
	}

	set(test, 0, P2M_2M, large(f, p2m_ram_rw));
	tables_refuse(1);
	KUNIT_EXPECT_EQ(test, p2m_split_entry(&f->map, 3), -ENOMEM);
	EXPECT_ENTRY(test, 3, large(f, p2m_ram_rw));
	EXPECT_COUNT(test, p2m_ram_rw, 512);

	/* If there is an entry of this order already, no table is needed. */
	tables_refuse(1);
	set(test, 0, P2M_2M, large(f, p2m_logdirty));
	tables_refuse(0);
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 3), 0);
	tables_refuse(1);
	set(test, 3, P2M_4K, small(f, p2m_ram_rw, 3));
}

/* ---- the end ------------------------------------------------------------ */

struct dropped {
	unsigned long small, large, bare, other;
};

static void count_dropped(struct p2m_entry entry, void *arg)
{
	struct dropped *dropped = arg;

	if (p2m_entry_type(entry) == p2m_paged)
		dropped->bare++;
	else if (p2m_entry_type(entry) != p2m_ram_rw)
		dropped->other++;
	else if (p2m_entry_order(entry))
		dropped->large++;
	else
		dropped->small++;
}

static void set_a_few(struct kunit *test)
{
	CLASS(held, f)(test);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(frames); i++)
		set(test, frames[i], P2M_4K, small(f, p2m_ram_rw, frames[i]));
	set(test, 5, P2M_4K, bare(p2m_paged));
	set(test, 1UL << 30, P2M_2M, large(f, p2m_ram_rw));
	set(test, 1UL << 31, P2M_2M, large(f, p2m_ram_rw));
	KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 1UL << 31), 0);
}

static void destroy_drops_each_entry_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dropped dropped = {};

	set_a_few(test);
	p2m_map_destroy(&f->map, count_dropped, &dropped);
	KUNIT_EXPECT_EQ(test, dropped.small, ARRAY_SIZE(frames) + 512);
	KUNIT_EXPECT_EQ(test, dropped.large, 1UL);
	KUNIT_EXPECT_EQ(test, dropped.bare, 1UL);
	KUNIT_EXPECT_EQ(test, dropped.other, 0UL);
	KUNIT_EXPECT_EQ(test, tables_in_use(), 0L);
}

/* ---- at the same time --------------------------------------------------- */

/**
 * struct reader - a task that looks frames up while they change
 * @f: the map in which it looks
 * @gfn: it looks at this frame and a few after it; the writer moves this on
 * @read: how it looks
 * @stop: tells it to end
 * @looks: how often it looked
 * @found: how often there was an entry
 * @wrong: an entry that it saw but that never was set, or 0
 * @done: it has ended
 */
struct reader {
	struct fixture		*f;
	unsigned long		gfn;
	void			(*read)(struct reader *r, unsigned long gfn);
	bool			stop;
	unsigned long		looks;
	unsigned long		found;
	u64			wrong;
	struct completion	done;
};

/* A frame may have no entry, one of its own, or that of its chunk. */
static void check_entry(struct reader *r, unsigned long gfn,
			struct p2m_entry entry)
{
	r->found += !!entry.val;
	if (entry.val && entry.val != small(r->f, p2m_ram_rw, gfn).val &&
	    entry.val != large(r->f, p2m_ram_rw).val)
		WRITE_ONCE(r->wrong, entry.val);
	WRITE_ONCE(r->looks, r->looks + 1);
}

static void read_without_lock(struct reader *r, unsigned long gfn)
{
	gfn += r->looks % 4;
	check_entry(r, gfn, p2m_lookup(&r->f->map, gfn));
}

static void read_holding(struct reader *r, unsigned long gfn)
{
	if (get_p2m(&r->f->lock, gfn, P2M_2M))
		return;
	while (READ_ONCE(r->gfn) == gfn && !READ_ONCE(r->stop))
		check_entry(r, gfn, p2m_get_entry(&r->f->map, gfn));
	put_p2m(&r->f->lock, gfn, P2M_2M);
}

static int read_entries(void *arg)
{
	struct reader *r = arg;

	while (!READ_ONCE(r->stop)) {
		r->read(r, READ_ONCE(r->gfn));
		if (!(r->looks % 1024))
			cond_resched();
	}
	complete(&r->done);
	return 0;
}

static void reader_start(struct kunit *test, struct reader *r,
			 void (*read)(struct reader *r, unsigned long gfn))
{
	struct task_struct *task;

	*r = (struct reader){ .f = test->priv, .read = read };
	init_completion(&r->done);
	task = kthread_run(read_entries, r, "p2m reader");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
}

/* Let it look a few times more, at the frame that is set now. */
static void reader_looks(struct reader *r)
{
	unsigned long looks = READ_ONCE(r->looks) + 6;

	while (READ_ONCE(r->looks) < looks)
		cond_resched();
}

static void reader_stop(struct kunit *test, struct reader *r)
{
	WRITE_ONCE(r->stop, true);
	wait_for_completion(&r->done);
	KUNIT_EXPECT_EQ(test, r->wrong, 0ULL);
}

/*
 * A chunk has nothing, then 512 entries, one, 512 again, nothing.  The reader
 * must never see anything else.
 */
static void a_reader_sees_old_or_new_entries_only(struct kunit *test)
{
	CLASS(held, f)(test);
	static struct reader r;
	unsigned int i;

	reader_start(test, &r, read_without_lock);
	for (i = 0; i < NR_ROUNDS; i++) {
		set(test, i % 4, P2M_4K, small(f, p2m_ram_rw, i % 4));
		set(test, 0, P2M_2M, large(f, p2m_ram_rw));
		KUNIT_ASSERT_EQ(test, p2m_split_entry(&f->map, 0), 0);
		set(test, i % 3, P2M_4K, (struct p2m_entry){ 0 });
		set(test, 0, P2M_2M, (struct p2m_entry){ 0 });
		cond_resched();
	}
	set(test, 0, P2M_2M, large(f, p2m_ram_rw));
	reader_looks(&r);
	reader_stop(test, &r);
	KUNIT_EXPECT_GT(test, r.found, 0UL);
}

/* A table, which may still be empty, takes the place of nothing. */
static void a_reader_never_sees_a_table(struct kunit *test)
{
	CLASS(held, f)(test);
	static struct reader r;
	unsigned long i, gfn;

	reader_start(test, &r, read_without_lock);
	for (i = 0; i < NR_RACES; i++) {
		/* A chunk's first table; for some chunks those above, too. */
		gfn = i * P2M_CHUNK_GFNS * (i % 16 ? 1 : 512);
		WRITE_ONCE(r.gfn, gfn);
		reader_looks(&r);
		set(test, gfn, P2M_4K, small(f, p2m_ram_rw, gfn));
	}
	reader_looks(&r);
	reader_stop(test, &r);
	KUNIT_EXPECT_GT(test, r.found, 0UL);
}

/* A chunk has one holder, but the tables above it are for all. */
static void nor_does_a_holder_whose_neighbour_adds_it(struct kunit *test)
{
	struct fixture *f = test->priv;
	static struct reader r;
	unsigned long i, gfn;

	reader_start(test, &r, read_holding);
	for (i = 1; i < NR_RACES; i++) {
		gfn = i << 18;
		WRITE_ONCE(r.gfn, gfn + P2M_CHUNK_GFNS);
		reader_looks(&r);
		KUNIT_ASSERT_EQ(test, get_p2m_gfn(&f->lock, gfn), 0);
		set(test, gfn, P2M_2M, large(f, p2m_ram_rw));
		put_p2m_gfn(&f->lock, gfn);
	}
	reader_stop(test, &r);
	KUNIT_EXPECT_EQ(test, r.found, 0UL);
}

static struct kunit_case p2m_map_cases[] = {
	KUNIT_CASE(in_an_empty_map_there_is_nothing),
	KUNIT_CASE(what_was_set_is_found_and_nothing_beside_it),
	KUNIT_CASE(what_is_set_replaces_what_was),
	KUNIT_CASE(a_large_entry_covers_its_chunk_and_no_more),
	KUNIT_CASE(a_split_keeps_type_dirtiness_and_pages),
	KUNIT_CASE(a_split_without_a_page_has_none_after),
	KUNIT_CASE(a_split_of_nothing_does_nothing),
	KUNIT_CASE(zeros_stay_noted_until_there_is_a_page),
	KUNIT_CASE(a_large_entry_replaces_512_and_their_table),
	KUNIT_CASE(next_chunk_passes_over_what_is_not_there),
	KUNIT_CASE(without_a_table_it_is_enomem_and_nothing_changed),
	KUNIT_CASE(destroy_drops_each_entry_once),
	KUNIT_CASE(a_reader_sees_old_or_new_entries_only),
	KUNIT_CASE(a_reader_never_sees_a_table),
	KUNIT_CASE(nor_does_a_holder_whose_neighbour_adds_it),
	{}
};

static struct kunit_suite p2m_map_suite = {
	.name = "p2m_map",
	.init = map_test_init,
	.exit = map_test_exit,
	.test_cases = p2m_map_cases,
};

kunit_test_suite(p2m_map_suite);

MODULE_DESCRIPTION("KUnit tests of the gfn->pfn map");
MODULE_LICENSE("GPL");
