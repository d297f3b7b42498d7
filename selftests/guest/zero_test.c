// SPDX-License-Identifier: GPL-2.0
/*
 * To read a frame that has nothing allocates nothing.  To write it later gives
 * it a page that everybody sees.
 */
#include <signal.h>
#include <sys/mman.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	(2 * P2M_CHUNK)
#define TYPE_POD	7

/* Mapped twice: once by 4 KB, and once in pages of 2 MB */
FIXTURE(zero)
{
	struct p2m_mem mem;
	struct p2m_mem large;
};

FIXTURE_SETUP(zero)
{
	p2m_mem_open(&self->mem, NR_FRAMES);
	self->large = self->mem;
	self->large.hva = p2m_map_huge(self->mem.fd, 0, NR_FRAMES);
}

FIXTURE_TEARDOWN(zero)
{
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	munmap(self->large.hva, NR_FRAMES * P2M_PAGE_SIZE);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(zero, to_read_all_allocates_nothing)
{
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->large, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(0, p2m_stats(self->mem.fd).resident);
}

TEST_F(zero, what_is_written_after_a_read_is_seen_by_all)
{
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->large, 0, NR_FRAMES));
	WRITE_ONCE(*p2m_page(&self->mem, 5), 55);
	EXPECT_EQ(55, READ_ONCE(*p2m_page(&self->large, 5)));
	EXPECT_EQ(1, p2m_totals().pages);
	WRITE_ONCE(*p2m_page(&self->large, 6), 66);
	EXPECT_EQ(66, READ_ONCE(*p2m_page(&self->mem, 6)));
	EXPECT_EQ(2, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(2, p2m_mem_nonzero_pages(&self->large, 0, NR_FRAMES));
}

TEST_F(zero, a_chunk_that_was_read_can_get_a_page_of_2_mb)
{
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->large, 0, NR_FRAMES));
	WRITE_ONCE(*p2m_page(&self->large, 7), 1);
	EXPECT_EQ(P2M_CHUNK, p2m_totals().pages);
	EXPECT_EQ(1, p2m_mem_nonzero_pages(&self->large, 0, NR_FRAMES));
}

TEST_F(zero, a_frame_of_the_pool_is_read_without_taking_from_it)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = 1 };

	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 64));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	EXPECT_EQ(0, pod.populated);
	EXPECT_EQ(NR_FRAMES, p2m_audit(self->mem.fd).types[TYPE_POD]);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_totals().pages);
	WRITE_ONCE(*p2m_page(&self->mem, 3), 1);
	EXPECT_EQ(1, READ_ONCE(*p2m_page(&self->large, 3)));
	EXPECT_EQ(1, p2m_totals().pages);
}

TEST_F(zero, what_is_shared_was_written)
{
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };

	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_SHARE_SCAN, &scan));
	EXPECT_EQ(0, scan.done);
	EXPECT_EQ(0, p2m_totals().pages);
}

TEST_F(zero, what_is_populated_after_a_part_was_discarded_is_large)
{
	struct p2m_range range = { .size = sizeof(range), .nr = 100 };

	p2m_mem_fill(&self->large, 0, P2M_CHUNK);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 50, 1));
	range = (struct p2m_range){
		.size = sizeof(range), .gfn = 100, .nr = P2M_CHUNK - 100
	};
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	p2m_mem_populate(&self->large, 7, 1);
	EXPECT_EQ(P2M_CHUNK, p2m_totals().pages);
	*p2m_page(&self->large, 50) = 5;
	EXPECT_EQ(5, *p2m_page(&self->mem, 50));
}

TEST_F(zero, a_read_is_not_dirty)
{
	unsigned char bitmap[NR_FRAMES / 8];
	struct p2m_dirty arg = p2m_dirty_arg(0, NR_FRAMES, bitmap,
					     P2M_DIRTY_CLEAN);

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
	EXPECT_EQ(0, arg.dirty);
	WRITE_ONCE(*p2m_page(&self->mem, 9), 1);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
	EXPECT_EQ(1, arg.dirty);
	EXPECT_TRUE(p2m_has_bit(bitmap, 9));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
}

/* ---- Races ---------------------------------------------------------- */

struct reader {
	struct p2m_mem *mem;
	pthread_t thread;
	bool stop;
};

/* What was seen once is not zero later. */
static void *read_again_and_again(void *arg)
{
	struct reader *reader = arg;
	static bool seen[NR_FRAMES];
	u64 gfn, lost = 0;

	while (!__atomic_load_n(&reader->stop, __ATOMIC_ACQUIRE)) {
		for (gfn = 0; gfn < NR_FRAMES; gfn++) {
			bool there = READ_ONCE(*p2m_page(reader->mem, gfn));

			lost += seen[gfn] && !there;
			seen[gfn] = there;
		}
	}
	return (void *)lost;
}

TEST_F_TIMEOUT(zero, a_read_races_with_the_first_write, 120)
{
	struct reader reader = { .mem = &self->large };
	void *lost;
	u64 gfn;

	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, read_again_and_again,
				    &reader));
	for (gfn = 0; gfn < NR_FRAMES; gfn++) {
		WRITE_ONCE(*p2m_page(&self->mem, gfn), gfn + 1);
		usleep(100);
	}
	/* By now what was written is what all mappings have. */
	for (gfn = 0; gfn < NR_FRAMES; gfn++)
		EXPECT_EQ(gfn + 1, READ_ONCE(*p2m_page(&self->large, gfn)));
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELEASE);
	pthread_join(reader.thread, &lost);
	EXPECT_EQ(0, (u64)lost);
}

TEST_HARNESS_MAIN
