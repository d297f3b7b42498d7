// SPDX-License-Identifier: GPL-2.0
/*
 * A frame that is discarded is zero when it is touched next, whatever it was,
 * and what it had is free.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* One chunk, and a part of a second */
#define NR_FRAMES	(P2M_CHUNK + 64)
#define TYPE_PAGED	5
#define TYPE_POD	7

static struct p2m_range discard(int fd, u64 gfn, u64 nr)
{
	struct p2m_range range = { .size = sizeof(range), .gfn = gfn, .nr = nr };
	int ret = p2m_call(fd, P2M_DISCARD, &range);

	TEST_ASSERT(!ret, "P2M_DISCARD of [%#lx, +%#lx): %d", gfn, nr, ret);
	return range;
}

/* ---- Frames of 4 KB ------------------------------------------------ */

FIXTURE(frames)
{
	struct p2m_mem mem;
};

FIXTURE_SETUP(frames)
{
	p2m_mem_open(&self->mem, NR_FRAMES);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
}

FIXTURE_TEARDOWN(frames)
{
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(frames, are_free_and_then_zero)
{
	struct p2m_range range = discard(self->mem.fd, 3, P2M_CHUNK);

	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(0, range.busy);
	EXPECT_EQ(3 + P2M_CHUNK, range.next);
	EXPECT_EQ(NR_FRAMES - P2M_CHUNK, p2m_totals().pages);
	EXPECT_EQ(NR_FRAMES - P2M_CHUNK, p2m_stats(self->mem.fd).resident);
	EXPECT_EQ(P2M_CHUNK, p2m_stats(self->mem.fd).discarded);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 3, P2M_CHUNK));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 3));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 3 + P2M_CHUNK,
					 NR_FRAMES - P2M_CHUNK - 3));
}

TEST_F(frames, that_have_nothing_are_passed_over)
{
	discard(self->mem.fd, 0, NR_FRAMES);
	EXPECT_EQ(0, discard(self->mem.fd, 0, NR_FRAMES).done);
	EXPECT_EQ(0, p2m_totals().pages);
}

TEST_F(frames, are_as_many_as_were_asked_for)
{
	struct p2m_range range = {
		.size = sizeof(range), .nr = NR_FRAMES, .max = 5
	};

	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	EXPECT_EQ(5, range.done);
	EXPECT_EQ(5, range.next);
	EXPECT_EQ(NR_FRAMES - 5, p2m_totals().pages);
}

TEST_F(frames, of_the_store_are_free_there)
{
	p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	EXPECT_EQ(NR_FRAMES, p2m_totals().store);
	EXPECT_EQ(100, discard(self->mem.fd, 0, 100).done);
	EXPECT_EQ(NR_FRAMES - 100, p2m_totals().store);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 100));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 100, NR_FRAMES - 100));
}

TEST_F(frames, that_are_shared_leave_the_others)
{
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };

	memset(self->mem.hva, 7, 64 * P2M_PAGE_SIZE);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_SHARE_SCAN, &scan));
	ASSERT_EQ(64, p2m_stats(self->mem.fd).shared);
	EXPECT_EQ(63, discard(self->mem.fd, 0, 63).done);
	EXPECT_EQ(1, p2m_stats(self->mem.fd).shared);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 63));
	EXPECT_EQ(7, self->mem.hva[63 * P2M_PAGE_SIZE]);
}

TEST_F(frames, of_a_foreign_mapping_stay_there)
{
	struct p2m_foreign foreign = {
		.size = sizeof(foreign), .gfn = 9, .nr = 1
	};
	u64 *there, was = *p2m_page(&self->mem, 9);

	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &foreign));
	there = mmap(NULL, P2M_PAGE_SIZE, PROT_READ, MAP_SHARED, foreign.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)there);
	close(foreign.fd);
	EXPECT_EQ(1, discard(self->mem.fd, 9, 1).done);
	EXPECT_EQ(was, *there);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 9, 1));
	EXPECT_EQ(was, *there);
	munmap(there, P2M_PAGE_SIZE);
}

TEST_F(frames, that_somebody_holds_are_free_for_the_guest)
{
	u64 words[P2M_WORDS], was = *p2m_page(&self->mem, 9);
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &self->mem, 9);
	EXPECT_EQ(1, discard(self->mem.fd, 9, 1).done);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 9, 1));
	*p2m_page(&self->mem, 9) = was + 1;
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(was, words[0]);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(frames, give_the_pool_its_pages_back)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };

	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	ASSERT_EQ(NR_FRAMES, pod.populated);
	EXPECT_EQ(NR_FRAMES - 1, discard(self->mem.fd, 1, NR_FRAMES - 1).done);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_GET, &pod));
	EXPECT_EQ(1, pod.populated);
	EXPECT_EQ(NR_FRAMES - 1, pod.entries);
	EXPECT_EQ(NR_FRAMES - 1, p2m_audit(self->mem.fd).types[TYPE_POD]);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 1, NR_FRAMES - 1));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
}

TEST_F(frames, of_a_large_page_that_the_pool_ends_in_are_counted)
{
	struct p2m_range range = { .size = sizeof(range), .nr = 2 * P2M_CHUNK };
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };
	struct p2m_mem all = self->mem;

	/* The pool has 64 frames of the second chunk.  Then the guest grows. */
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	all.nr = 2 * P2M_CHUNK;
	all.hva = p2m_map(self->mem.fd, 0, all.nr);
	p2m_mem_fill(&all, 0, all.nr);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_COLLAPSE, &range));
	ASSERT_EQ(2, p2m_stats(self->mem.fd).collapsed);
	EXPECT_EQ(P2M_CHUNK, discard(self->mem.fd, P2M_CHUNK, P2M_CHUNK).done);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_GET, &pod));
	EXPECT_EQ(P2M_CHUNK, pod.populated);
	EXPECT_EQ(64, pod.entries);
	munmap(all.hva, all.nr * P2M_PAGE_SIZE);
}

/* ---- Log-dirty ------------------------------------------------------ */

/* Which frames are dirty? */
static u64 dirty(int fd, unsigned char *bitmap, u32 flags)
{
	struct p2m_dirty arg = p2m_dirty_arg(0, NR_FRAMES, bitmap, flags);
	int ret = p2m_call(fd, P2M_DIRTY_GET, &arg);

	TEST_ASSERT(!ret, "P2M_DIRTY_GET: %d", ret);
	return arg.dirty;
}

TEST_F(frames, are_dirty)
{
	unsigned char bitmap[NR_FRAMES / 8];

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	discard(self->mem.fd, 8, 2);
	EXPECT_EQ(2, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	EXPECT_EQ(3, bitmap[1]);
	EXPECT_EQ(0, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	/* Nothing was written when they were read. */
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 8, 2));
	EXPECT_EQ(0, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	*p2m_page(&self->mem, 8) = 1;
	EXPECT_EQ(1, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
}

TEST_F(frames, of_a_chunk_are_dirty)
{
	unsigned char bitmap[NR_FRAMES / 8];

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	discard(self->mem.fd, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, dirty(self->mem.fd, bitmap, 0));
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	/* The frame is dirty as the chunk was. */
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 1, 1));
	EXPECT_EQ(NR_FRAMES, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	EXPECT_EQ(0, dirty(self->mem.fd, bitmap, P2M_DIRTY_CLEAN));
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
}

/* ---- Pages of 2 MB -------------------------------------------------- */

FIXTURE(large)
{
	struct p2m_mem mem;
};

FIXTURE_SETUP(large)
{
	p2m_mem_open_huge(&self->mem, 2 * P2M_CHUNK);
	p2m_mem_fill(&self->mem, 0, 2 * P2M_CHUNK);
}

FIXTURE_TEARDOWN(large)
{
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(large, page_goes_as_a_whole)
{
	EXPECT_EQ(P2M_CHUNK, discard(self->mem.fd, 0, P2M_CHUNK).done);
	EXPECT_EQ(P2M_CHUNK, p2m_totals().pages);
	EXPECT_EQ(0, p2m_stats(self->mem.fd).shattered);
	/* Then there may be another. */
	p2m_mem_populate(&self->mem, 0, 1);
	EXPECT_EQ(2 * P2M_CHUNK, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, P2M_CHUNK, P2M_CHUNK));
}

TEST_F(large, page_loses_a_part)
{
	EXPECT_EQ(10, discard(self->mem.fd, 100, 10).done);
	EXPECT_EQ(2 * P2M_CHUNK - 10, p2m_totals().pages);
	EXPECT_EQ(1, p2m_stats(self->mem.fd).shattered);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 100, 10));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 100));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 110, 2 * P2M_CHUNK - 110));
}

TEST_F(large, page_that_somebody_holds_keeps_its_memory_and_is_zero)
{
	struct p2m_range range;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &self->mem, 9);
	range = discard(self->mem.fd, 100, 10);
	EXPECT_EQ(0, range.done);
	EXPECT_EQ(10, range.busy);
	EXPECT_EQ(2 * P2M_CHUNK, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 100, 10));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 100));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 110, 2 * P2M_CHUNK - 110));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(large, page_that_is_all_discarded_by_parts_comes_back_large)
{
	u64 gfn;

	for (gfn = 0; gfn < P2M_CHUNK; gfn += 64)
		discard(self->mem.fd, gfn, 64);
	EXPECT_EQ(P2M_CHUNK, p2m_totals().pages);
	p2m_mem_populate(&self->mem, 0, 1);
	EXPECT_EQ(2 * P2M_CHUNK, p2m_totals().pages);
}

/* ---- Bad input ------------------------------------------------------ */

TEST_F(frames, must_be_there)
{
	struct p2m_range range = { .size = sizeof(range) };

	EXPECT_EQ(-EINVAL, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	range.gfn = P2M_MAX_GFNS;
	range.nr = 1;
	EXPECT_EQ(-EINVAL, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	range.gfn = NR_FRAMES;
	EXPECT_EQ(-ERANGE, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	range.gfn = 0;
	range.flags = 1;
	EXPECT_EQ(-EINVAL, p2m_call(self->mem.fd, P2M_DISCARD, &range));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

/* ---- While a guest runs --------------------------------------------- */

/* A guest writes and checks; frames that it does not use are discarded. */
TEST_F_TIMEOUT(frames, may_be_discarded_while_a_guest_runs, 120)
{
	struct p2m_mem guest = self->mem;
	struct p2m_vm vm;
	u64 rounds;

	guest.nr = 64;
	discard(self->mem.fd, 0, 64);
	p2m_vm_create(&vm, &guest, 2, p2m_guest_worker);
	p2m_vm_start(&vm);
	for (rounds = 0; p2m_vm_passes(&vm) < p2m_rounds(10); rounds++) {
		discard(self->mem.fd, 64, NR_FRAMES - 64);
		p2m_mem_fill(&self->mem, 64, 64);
	}
	p2m_vm_stop(&vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&vm));
	p2m_vm_destroy(&vm);
}

TEST_HARNESS_MAIN
