// SPDX-License-Identifier: GPL-2.0
/*
 * P2M_PAGE_OUT and P2M_PAGE_IN must work for any range: aligned or not, larger
 * than the guest, with holes, in steps, and cut short by a signal.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <linux/userfaultfd.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* Two chunks, and a part of a third */
#define NR_FRAMES	(2 * P2M_CHUNK + 76)

FIXTURE(range)
{
	struct p2m_mem mem;
};

FIXTURE_SETUP(range)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
}

FIXTURE_TEARDOWN(range)
{
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

static int move_max(int fd, unsigned long cmd, u64 max,
		    struct p2m_range *range)
{
	range->size = sizeof(*range);
	range->max = max;
	return p2m_call(fd, cmd, range);
}

TEST_F(range, unaligned_ranges_move_exactly_their_frames)
{
	static const struct {
		u64 gfn, nr;
	} ranges[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ 7, 13 },
		{ P2M_CHUNK - 1, 1 },
		{ P2M_CHUNK - 1, 2 },
		{ P2M_CHUNK, P2M_CHUNK },
		{ 1, P2M_CHUNK },
		{ P2M_CHUNK / 2, P2M_CHUNK + P2M_CHUNK / 2 + 10 },
		{ 3, NR_FRAMES - 5 },
		{ NR_FRAMES - 1, 1 },
	};
	int fd = self->mem.fd;
	size_t i;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		u64 gfn = ranges[i].gfn, nr = ranges[i].nr;
		u64 end = gfn + nr;
		struct p2m_range r;

		r = p2m_move(fd, P2M_PAGE_OUT, gfn, nr);
		ASSERT_EQ(end, r.next);
		ASSERT_EQ(nr, r.done);
		ASSERT_EQ(0, r.busy);
		ASSERT_EQ(nr, p2m_stats(fd).paged);
		ASSERT_EQ(NR_FRAMES - nr, p2m_stats(fd).resident);

		/* These frames are out, and no others. */
		ASSERT_EQ(0, p2m_move(fd, P2M_PAGE_OUT, gfn, nr).done);
		if (gfn) {
			r = p2m_move(fd, P2M_PAGE_OUT, 0, gfn);
			ASSERT_EQ(gfn, r.done);
		}
		if (end < NR_FRAMES) {
			r = p2m_move(fd, P2M_PAGE_OUT, end, NR_FRAMES - end);
			ASSERT_EQ(NR_FRAMES - end, r.done);
		}

		/* The same for the way back. */
		r = p2m_move(fd, P2M_PAGE_IN, gfn, nr);
		ASSERT_EQ(end, r.next);
		ASSERT_EQ(nr, r.done);
		ASSERT_EQ(0, r.busy);
		ASSERT_EQ(nr, p2m_stats(fd).resident);
		ASSERT_EQ(0, p2m_move(fd, P2M_PAGE_IN, gfn, nr).done);
		ASSERT_EQ(NR_FRAMES - nr, p2m_move_all(fd, P2M_PAGE_IN));
		ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	}
}

TEST_F(range, the_fields_that_go_in_come_back_untouched)
{
	struct p2m_range r = {
		.size = sizeof(r), .gfn = 5, .nr = 20, .max = 7,
		.next = ~0ULL, .done = ~0ULL, .busy = ~0ULL,
	};

	p2m_mem_fill(&self->mem, 0, 64);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_PAGE_OUT, &r));
	EXPECT_EQ(sizeof(r), r.size);
	EXPECT_EQ(0, r.flags);
	EXPECT_EQ(5, r.gfn);
	EXPECT_EQ(20, r.nr);
	EXPECT_EQ(7, r.max);
	EXPECT_EQ(12, r.next);
	EXPECT_EQ(7, r.done);
	EXPECT_EQ(0, r.busy);
}

TEST_F(range, a_range_larger_than_the_guest_stops_at_its_end)
{
	const u64 nr[] = {
		2, NR_FRAMES, P2M_MAX_GFNS - NR_FRAMES + 1,
	};
	int fd = self->mem.fd;
	size_t i;

	p2m_mem_fill(&self->mem, NR_FRAMES - 1, 1);
	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		struct p2m_range r;

		r = p2m_move(fd, P2M_PAGE_OUT, NR_FRAMES - 1, nr[i]);
		EXPECT_EQ(NR_FRAMES, r.next);
		EXPECT_EQ(1, r.done);
		r = p2m_move(fd, P2M_PAGE_IN, NR_FRAMES - 1, nr[i]);
		EXPECT_EQ(NR_FRAMES, r.next);
		EXPECT_EQ(1, r.done);
	}
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, NR_FRAMES - 1, 1));
	EXPECT_EQ(1, p2m_stats(fd).zeroed);
}

TEST_F(range, max_moves_so_many_and_resumed_calls_cover_all)
{
	static const u64 max[] = { 1, 100, P2M_CHUNK, NR_FRAMES - 1 };
	static const unsigned long cmd[] = { P2M_PAGE_OUT, P2M_PAGE_IN };
	size_t i, c;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	for (i = 0; i < ARRAY_SIZE(max); i++) {
		for (c = 0; c < ARRAY_SIZE(cmd); c++) {
			struct p2m_range r = { .next = 0 };
			u64 done = 0;

			while (r.next < NR_FRAMES) {
				u64 want = NR_FRAMES - r.next;

				if (want > max[i])
					want = max[i];
				r.gfn = r.next;
				r.nr = NR_FRAMES - r.gfn;
				ASSERT_EQ(0, move_max(self->mem.fd, cmd[c],
						      max[i], &r));
				ASSERT_EQ(want, r.done);
				ASSERT_EQ(r.gfn + want, r.next);
				done += r.done;
			}
			ASSERT_EQ(NR_FRAMES, done);
		}
		ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	}
}

TEST_F(range, holes_are_passed_over_and_stay_holes)
{
	struct p2m_range r = { .gfn = 0, .nr = NR_FRAMES };
	int fd = self->mem.fd;
	u64 gfn, touched = 0;

	/* Fill every third frame, but leave one chunk empty. */
	for (gfn = 0; gfn < NR_FRAMES; gfn += 3) {
		if (gfn / P2M_CHUNK == 1)
			continue;
		p2m_mem_fill(&self->mem, gfn, 1);
		touched++;
	}

	/* Ten of them go out, frames 0 to 27.  No later one does. */
	ASSERT_EQ(0, move_max(fd, P2M_PAGE_OUT, 10, &r));
	EXPECT_EQ(10, r.done);
	EXPECT_GT(r.next, 27);
	EXPECT_LE(r.next, 30);

	r = p2m_move(fd, P2M_PAGE_OUT, 0, NR_FRAMES);
	EXPECT_EQ(touched - 10, r.done);
	EXPECT_EQ(NR_FRAMES, r.next);
	EXPECT_EQ(touched, p2m_stats(fd).paged);
	EXPECT_EQ(0, p2m_stats(fd).resident);

	r = p2m_move(fd, P2M_PAGE_IN, 0, NR_FRAMES);
	EXPECT_EQ(touched, r.done);
	EXPECT_EQ(touched, p2m_stats(fd).resident);
	EXPECT_EQ(touched, p2m_stats(fd).zeroed);
	for (gfn = 0; gfn < NR_FRAMES; gfn += 3) {
		if (gfn / P2M_CHUNK == 1)
			continue;
		EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, gfn, 1));
	}
}

TEST_F(range, nothing_to_do_is_a_success)
{
	struct p2m_range r;

	r = p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, r.next);
	EXPECT_EQ(0, r.done + r.busy);
	r = p2m_move(self->mem.fd, P2M_PAGE_IN, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, r.next);
	EXPECT_EQ(0, r.done + r.busy);
	EXPECT_EQ(0, p2m_stats(self->mem.fd).zeroed);
}

/* The guest has a page at each end of the space that four EPT levels map. */
TEST_F(range, a_guest_of_all_frames_with_few_pages_is_quickly_done)
{
	struct p2m_mem high = { .fd = self->mem.fd, .nr = 1 };
	struct p2m_range r;

	high.hva = p2m_map(high.fd, P2M_MAX_GFNS - 1, 1);
	EXPECT_EQ(P2M_MAX_GFNS, p2m_info(high.fd).gfns);
	p2m_mem_fill(&self->mem, 0, 1);
	p2m_mem_fill(&high, 0, 1);

	r = p2m_move(high.fd, P2M_PAGE_OUT, P2M_MAX_GFNS - 1, 1);
	EXPECT_EQ(1, r.done);
	EXPECT_EQ(P2M_MAX_GFNS, r.next);
	EXPECT_EQ(1, p2m_move_all(high.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_stats(high.fd).resident);
	EXPECT_EQ(2, p2m_move_all(high.fd, P2M_PAGE_IN));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&high, 0, 1));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
	munmap(high.hva, P2M_PAGE_SIZE);
}

TEST_F(range, the_structure_may_lie_in_the_memory_it_moves)
{
	struct p2m_range *r = (struct p2m_range *)p2m_page(&self->mem, 40);
	struct p2m_range asked = { .size = sizeof(asked), .gfn = 32, .nr = 16 };

	p2m_mem_fill(&self->mem, 0, 64);
	*r = asked;
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_PAGE_OUT, r));
	EXPECT_EQ(48, r->next);
	EXPECT_EQ(16, r->done);

	*r = asked;
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 40, 1);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_PAGE_IN, r));
	EXPECT_EQ(48, r->next);
	EXPECT_EQ(15, r->done);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 40));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 41, 23));
}

static void no_op(int sig)
{
}

static void catch(int sig)
{
	struct sigaction action = { .sa_handler = no_op };

	TEST_ASSERT(!sigaction(sig, &action, NULL), "sigaction");
}

TEST_F_TIMEOUT(range, a_signal_cuts_a_long_call_short_and_it_can_go_on, 60)
{
	struct itimerval every_2ms = { { 0, 2000 }, { 0, 2000 } }, off = {};
	const u64 nr = 8 * P2M_CHUNK;
	u64 cut = 0, eintr = 0;
	struct p2m_mem mem;
	int round;

	p2m_mem_open(&mem, nr);
	p2m_mem_fill(&mem, 0, nr);
	catch(SIGALRM);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &every_2ms, NULL));
	for (round = 0; round < 20 && !cut; round++) {
		unsigned long cmd = round % 2 ? P2M_PAGE_IN : P2M_PAGE_OUT;
		u64 gfn = 0, done = 0;

		while (gfn < nr) {
			struct p2m_range r = {
				.size = sizeof(r), .gfn = gfn, .nr = nr - gfn,
			};
			int ret = p2m_call(mem.fd, cmd, &r);

			if (ret == -EINTR) {
				eintr++;
				continue;
			}
			ASSERT_EQ(0, ret);
			ASSERT_GT(r.next, gfn);
			ASSERT_EQ(r.next - gfn, r.done + r.busy);
			cut += r.next < nr;
			done += r.done;
			gfn = r.next;
		}
		ASSERT_EQ(nr, done);
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &off, NULL));
	TH_LOG("%lu calls cut short, %lu with EINTR, in %d rounds", cut, eintr,
	       round);
	EXPECT_GT(cut, 0);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, nr));
	p2m_mem_close(&mem);
}

/*
 * A signal comes after the call was made, but before it has looked at a frame:
 * the structure is on a page that userfaultfd provides only after the signal.
 */
struct late_page {
	int uffd;
	void *page;
	struct p2m_range range;
	pthread_t caller;
};

static void *signal_then_give(void *arg)
{
	struct late_page *late = arg;
	static char page[P2M_PAGE_SIZE] __aligned(P2M_PAGE_SIZE);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)late->page,
		.src = (uintptr_t)page,
		.len = P2M_PAGE_SIZE,
	};
	struct pollfd poll_uffd = { .fd = late->uffd, .events = POLLIN };
	struct uffd_msg msg;

	*(struct p2m_range *)page = late->range;
	TEST_ASSERT(poll(&poll_uffd, 1, 10000) == 1, "nobody reads the page");
	TEST_ASSERT(read(late->uffd, &msg, sizeof(msg)) == sizeof(msg), "read");
	pthread_kill(late->caller, SIGUSR1);
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	return NULL;
}

static void late_page_open(struct late_page *late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	late->caller = pthread_self();
	late->page = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(late->page != MAP_FAILED, "mmap");
	late->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(late->uffd >= 0, "userfaultfd");
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_API, &api), "UFFDIO_API");
	reg.range.start = (uintptr_t)late->page;
	reg.range.len = P2M_PAGE_SIZE;
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_REGISTER, &reg),
		    "UFFDIO_REGISTER");
}

static void late_page_close(struct late_page *late)
{
	close(late->uffd);
	munmap(late->page, P2M_PAGE_SIZE);
}

TEST_F(range, a_signal_that_comes_first_is_eintr_and_nothing_changes)
{
	static const unsigned long cmd[] = { P2M_PAGE_OUT, P2M_PAGE_IN };
	size_t i;

	catch(SIGUSR1);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	for (i = 0; i < ARRAY_SIZE(cmd); i++) {
		struct late_page late = {
			.range = {
				.size = sizeof(late.range), .nr = NR_FRAMES,
				.next = 1, .done = 2, .busy = 3,
			},
		};
		struct p2m_stats before = p2m_stats(self->mem.fd), after;
		pthread_t thread;

		late_page_open(&late);
		ASSERT_EQ(0, pthread_create(&thread, NULL, signal_then_give,
					    &late));
		ASSERT_EQ(-EINTR, p2m_call(self->mem.fd, cmd[i], late.page));
		pthread_join(thread, NULL);
		after = p2m_stats(self->mem.fd);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
		EXPECT_EQ(0, memcmp(&late.range, late.page,
				    sizeof(late.range)));
		late_page_close(&late);

		/* Without a signal, the call moves all. */
		EXPECT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, cmd[i]));
	}
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

TEST_HARNESS_MAIN
