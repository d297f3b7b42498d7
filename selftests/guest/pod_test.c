// SPDX-License-Identifier: GPL-2.0
/*
 * Populate on demand: a guest has as many pages as it was given, and not one
 * more.  If a page is refused, the guest can have it later.  Pages that it does
 * not use go back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* Two chunks, and a part of a third */
#define NR_FRAMES	(2 * P2M_CHUNK + 64)
/* A page of 2 MB with so many zero frames is worth splitting: see the manual */
#define WORTH		64
#define PASSES		p2m_rounds(3)

static struct p2m_pod pod_set(int fd, u64 target)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = target };
	int ret = p2m_call(fd, P2M_POD_SET, &pod);

	TEST_ASSERT(!ret, "P2M_POD_SET %lu: %s", target, strerror(-ret));
	TEST_ASSERT(pod.target == target, "the target is %llu", pod.target);
	return pod;
}

static struct p2m_pod pod_get(int fd)
{
	struct p2m_pod pod = { .size = sizeof(pod) };
	int ret = p2m_call(fd, P2M_POD_GET, &pod);

	TEST_ASSERT(!ret, "P2M_POD_GET: %s", strerror(-ret));
	return pod;
}

static struct p2m_range pod_sweep(int fd, u64 gfn, u64 nr, u64 max)
{
	struct p2m_range range = {
		.size = sizeof(range), .gfn = gfn, .nr = nr, .max = max,
	};
	int ret = p2m_call(fd, P2M_POD_SWEEP, &range);

	TEST_ASSERT(!ret, "P2M_POD_SWEEP: %s", strerror(-ret));
	TEST_ASSERT(range.next > gfn && range.next <= gfn + nr,
		    "next is %llu", range.next);
	return range;
}

static u64 pod_sweep_all(int fd)
{
	u64 end = p2m_info(fd).gfns, gfn, done = 0;
	struct p2m_range range;

	for (gfn = 0; gfn < end; gfn = range.next) {
		range = pod_sweep(fd, gfn, end - gfn, 0);
		done += range.done;
	}
	return done;
}

FIXTURE(pod)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	int fd;
};

FIXTURE_SETUP(pod)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
	self->fd = self->mem.fd;
}

/* After any test, each frame is populated, or waits for its page. */
FIXTURE_TEARDOWN(pod)
{
	struct p2m_stats stats;
	struct p2m_pod pod;

	p2m_vm_destroy(&self->vm);
	if (self->mem.fd > 0) {
		pod = pod_get(self->fd);
		stats = p2m_stats(self->fd);
		EXPECT_EQ(pod.populated, stats.resident + stats.paged);
		EXPECT_EQ(NR_FRAMES, pod.populated + pod.entries);
		EXPECT_EQ(pod.exhausted, stats.pod_exhausted);
	}
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/* The same memory, with pages of 2 MB where possible */
static void use_huge_pages(struct p2m_mem *mem)
{
	munmap(mem->hva, mem->nr * P2M_PAGE_SIZE);
	mem->hva = p2m_map_huge(mem->fd, 0, mem->nr);
}

#define EXPECT_POD(fd, want_populated, want_exhausted) do { \
	struct p2m_pod _pod = pod_get(fd); \
	EXPECT_EQ(want_populated, _pod.populated); \
	EXPECT_EQ(NR_FRAMES - (want_populated), _pod.entries); \
	EXPECT_EQ(want_exhausted, _pod.exhausted); \
} while (0)

/* KVM touches a frame more than once before it is refused. */
#define EXPECT_REFUSED_BY_KVM(fd, want_populated, vm) do { \
	struct p2m_pod _before = pod_get(fd); \
	EXPECT_EQ(-EFAULT, run(vm)); \
	EXPECT_LT(_before.exhausted, pod_get(fd).exhausted); \
	EXPECT_POD(fd, want_populated, pod_get(fd).exhausted); \
} while (0)

/* ------------------------------------------------------------------ */
/* The VMM's own touches                                               */
/* ------------------------------------------------------------------ */

/*
 * Write the frame's number plus one, if @write is set, or nothing new.
 *
 * Return: whether the touch was refused
 */
static bool touch(struct p2m_mem *mem, u64 gfn, bool write)
{
	u64 value = gfn + 1;

	return p2m_write_refused(p2m_page(mem, gfn), write ? &value : NULL);
}

/* Return: how many of @nr touches were refused */
static u64 touch_range(struct p2m_mem *mem, u64 gfn, u64 nr, bool write)
{
	u64 end = gfn + nr, count = 0;

	for (; gfn < end; gfn++)
		count += touch(mem, gfn, write);
	return count;
}

TEST_F(pod, nothing_is_there_until_it_is_touched)
{
	struct p2m_pod pod = pod_get(self->fd);

	EXPECT_EQ(0, pod.target);
	EXPECT_EQ(0, pod.populated);
	EXPECT_EQ(0, pod.entries);
	pod = pod_set(self->fd, 100);
	EXPECT_EQ(0, pod.populated);
	EXPECT_EQ(NR_FRAMES, pod.entries);
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_TRUE(p2m_info(self->fd).features & P2M_FEATURE_POD);

	EXPECT_FALSE(touch(&self->mem, 700, false));
	EXPECT_FALSE(touch(&self->mem, NR_FRAMES - 1, true));
	EXPECT_POD(self->fd, 2, 0);
	EXPECT_EQ(2, p2m_totals().pages);
	EXPECT_EQ(2, p2m_stats(self->fd).pod_populated);
	EXPECT_EQ(0, p2m_stats(self->fd).zeroed);
}

TEST_F(pod, what_was_touched_before_counts)
{
	struct p2m_pod pod;

	p2m_mem_fill(&self->mem, 500, 20);
	pod = pod_set(self->fd, 30);
	EXPECT_EQ(20, pod.populated);
	EXPECT_EQ(NR_FRAMES - 20, pod.entries);
	EXPECT_EQ(10, touch_range(&self->mem, 0, 20, true));
	EXPECT_POD(self->fd, 30, 10);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 500, 20));
	EXPECT_EQ(10, p2m_stats(self->fd).pod_populated);
}

TEST_F(pod, the_vmm_gets_sigbus_and_goes_on_when_there_is_more)
{
	struct iovec there = { p2m_page(&self->mem, 11), 8 };
	struct iovec here = { &there, 8 };
	u64 word = 0;

	here.iov_base = &word;
	pod_set(self->fd, 10);
	EXPECT_EQ(0, touch_range(&self->mem, 0, 10, true));
	EXPECT_TRUE(touch(&self->mem, 10, false));
	EXPECT_TRUE(touch(&self->mem, 10, true));
	EXPECT_POD(self->fd, 10, 2);
	EXPECT_EQ(-1, process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* A read needs no page. */
	EXPECT_EQ(0, *p2m_page(&self->mem, 10));
	EXPECT_POD(self->fd, 10, 3);

	pod_set(self->fd, 12);
	EXPECT_FALSE(touch(&self->mem, 10, true));
	EXPECT_EQ(8, process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(11, *p2m_page(&self->mem, 10));
	EXPECT_EQ(0, touch_range(&self->mem, 0, 10, false));
	EXPECT_POD(self->fd, 12, 3);
}

TEST_F(pod, a_lower_target_takes_nothing_away)
{
	pod_set(self->fd, 100);
	EXPECT_EQ(0, touch_range(&self->mem, 0, 60, true));
	EXPECT_EQ(0, touch_range(&self->mem, 60, 40, false));
	pod_set(self->fd, 50);
	EXPECT_POD(self->fd, 100, 0);
	EXPECT_EQ(0, touch_range(&self->mem, 0, 60, true));

	/* 40 zero pages are found.  That is not enough, so the touch fails. */
	EXPECT_TRUE(touch(&self->mem, 200, true));
	EXPECT_POD(self->fd, 60, 1);
	EXPECT_EQ(40, p2m_stats(self->fd).pod_swept);

	/* Ten more reach the target, and one more is there for the touch. */
	memset(p2m_page(&self->mem, 0), 0, 10 * P2M_PAGE_SIZE);
	EXPECT_TRUE(touch(&self->mem, 200, true));
	EXPECT_POD(self->fd, 50, 2);
	memset(p2m_page(&self->mem, 10), 0, P2M_PAGE_SIZE);
	EXPECT_FALSE(touch(&self->mem, 200, true));
	EXPECT_POD(self->fd, 50, 2);

	pod_set(self->fd, 0);
	EXPECT_TRUE(touch(&self->mem, 201, true));
	pod_set(self->fd, P2M_MAX_GFNS);
	EXPECT_EQ(0, touch_range(&self->mem, 0, NR_FRAMES, false));
	EXPECT_POD(self->fd, NR_FRAMES, 3);
	for (u64 gfn = 11; gfn < 60; gfn++)
		ASSERT_EQ(gfn + 1, *p2m_page(&self->mem, gfn));
}

TEST_F(pod, frames_mapped_later_take_nothing_until_told_to)
{
	u64 nr = 3 * P2M_CHUNK - NR_FRAMES;
	struct p2m_mem more = { .nr = nr };
	struct p2m_pod pod;

	pod_set(self->fd, 4);
	EXPECT_EQ(0, touch_range(&self->mem, NR_FRAMES - 4, 4, true));
	more.hva = p2m_map(self->fd, NR_FRAMES, nr);
	EXPECT_EQ(0, touch_range(&more, 0, 8, true));
	EXPECT_POD(self->fd, 4, 0);
	EXPECT_EQ(nr, pod_sweep(self->fd, NR_FRAMES, nr, 0).next - NR_FRAMES);

	pod = pod_set(self->fd, 12);
	EXPECT_EQ(12, pod.populated);
	EXPECT_EQ(3 * P2M_CHUNK - 12, pod.entries);
	EXPECT_TRUE(touch(&more, 8, true));
	memset(more.hva, 0, 8 * P2M_PAGE_SIZE);
	EXPECT_EQ(8, pod_sweep_all(self->fd));
	EXPECT_EQ(4, pod_get(self->fd).populated);
	munmap(more.hva, nr * P2M_PAGE_SIZE);
	p2m_mem_close(&self->mem);
}

/* ------------------------------------------------------------------ */
/* 2 MB                                                                */
/* ------------------------------------------------------------------ */

TEST_F(pod, pages_are_2m_first_and_4k_when_the_pool_is_low)
{
	use_huge_pages(&self->mem);
	pod_set(self->fd, P2M_CHUNK + 10);
	EXPECT_FALSE(touch(&self->mem, 3, true));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
	EXPECT_EQ(0, touch_range(&self->mem, 0, P2M_CHUNK, true));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);

	EXPECT_EQ(0, touch_range(&self->mem, P2M_CHUNK + 7, 10, true));
	EXPECT_POD(self->fd, P2M_CHUNK + 10, 0);
	EXPECT_TRUE(touch(&self->mem, P2M_CHUNK, true));
	EXPECT_POD(self->fd, P2M_CHUNK + 10, 1);

	/* The chunk has pages of 4 KB now, even if the pool has enough. */
	pod_set(self->fd, NR_FRAMES);
	EXPECT_FALSE(touch(&self->mem, P2M_CHUNK, true));
	EXPECT_POD(self->fd, P2M_CHUNK + 11, 1);
	EXPECT_EQ(P2M_CHUNK + 11, p2m_totals().pages);
}

TEST_F(pod, what_may_not_be_2m_is_4k)
{
	pod_set(self->fd, NR_FRAMES);
	EXPECT_FALSE(touch(&self->mem, 0, true));
	EXPECT_POD(self->fd, 1, 0);
	use_huge_pages(&self->mem);
	EXPECT_FALSE(touch(&self->mem, NR_FRAMES - 1, true));
	EXPECT_FALSE(touch(&self->mem, 1, true));
	EXPECT_POD(self->fd, 3, 0);
	EXPECT_FALSE(touch(&self->mem, P2M_CHUNK, false));
	EXPECT_POD(self->fd, 3 + P2M_CHUNK, 0);
}

TEST_F(pod, a_zero_page_of_2m_goes_back_whole_and_comes_back_whole)
{
	struct p2m_range range;

	use_huge_pages(&self->mem);
	pod_set(self->fd, 2 * P2M_CHUNK);
	EXPECT_FALSE(touch(&self->mem, 0, true));
	EXPECT_FALSE(touch(&self->mem, P2M_CHUNK, false));
	EXPECT_POD(self->fd, 2 * P2M_CHUNK, 0);
	*p2m_page(&self->mem, 0) = 0;

	range = pod_sweep(self->fd, 0, NR_FRAMES, P2M_CHUNK);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(P2M_CHUNK, range.next);
	range = pod_sweep(self->fd, range.next, NR_FRAMES - range.next, 0);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_POD(self->fd, 0, 0);
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(0, p2m_stats(self->fd).shattered);

	EXPECT_FALSE(touch(&self->mem, 5, false));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
}

TEST_F(pod, a_page_of_2m_is_shattered_only_if_that_is_worth_it)
{
	struct p2m_range range;

	use_huge_pages(&self->mem);
	pod_set(self->fd, 2 * P2M_CHUNK);
	p2m_mem_fill(&self->mem, 0, P2M_CHUNK - WORTH + 1);
	EXPECT_EQ(0, pod_sweep_all(self->fd));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
	EXPECT_EQ(0, p2m_stats(self->fd).shattered);

	memset(p2m_page(&self->mem, 7), 0, P2M_PAGE_SIZE);
	EXPECT_EQ(0, pod_sweep(self->fd, 8, P2M_CHUNK - 8, 0).done);
	range = pod_sweep(self->fd, 0, NR_FRAMES, 10);
	EXPECT_EQ(10, range.done);
	EXPECT_EQ(WORTH - 10, pod_sweep_all(self->fd));
	EXPECT_EQ(1, p2m_stats(self->fd).shattered);
	EXPECT_POD(self->fd, P2M_CHUNK - WORTH, 0);
	EXPECT_EQ(P2M_CHUNK - WORTH, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 7));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 8, P2M_CHUNK - WORTH - 7));

	/* If all of the chunk goes, it can have a page of 2 MB again. */
	memset(self->mem.hva, 0, P2M_CHUNK * P2M_PAGE_SIZE);
	pod_sweep_all(self->fd);
	EXPECT_POD(self->fd, 0, 0);
	EXPECT_FALSE(touch(&self->mem, 100, true));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
}

TEST_F(pod, a_last_resort_shatters_for_a_single_page)
{
	use_huge_pages(&self->mem);
	pod_set(self->fd, P2M_CHUNK);
	p2m_mem_fill(&self->mem, 0, P2M_CHUNK - 1);
	EXPECT_FALSE(touch(&self->mem, P2M_CHUNK + 1, true));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
	EXPECT_EQ(1, p2m_stats(self->fd).pod_swept);
	EXPECT_TRUE(touch(&self->mem, P2M_CHUNK + 2, true));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, P2M_CHUNK - 1));
}

/* ------------------------------------------------------------------ */
/* Sweeps                                                              */
/* ------------------------------------------------------------------ */

TEST_F(pod, a_sweep_takes_zero_pages_of_any_range_and_no_others)
{
	struct p2m_range range;

	pod_set(self->fd, NR_FRAMES);
	EXPECT_EQ(0, touch_range(&self->mem, 0, NR_FRAMES, false));
	p2m_mem_fill(&self->mem, 10, 10);
	/* Only the last word of this page is not zero. */
	p2m_page(&self->mem, 9)[P2M_WORDS - 1] = 1;

	range = pod_sweep(self->fd, 5, 20, 0);
	EXPECT_EQ(25, range.next);
	EXPECT_EQ(9, range.done);
	EXPECT_POD(self->fd, NR_FRAMES - 9, 0);
	range = pod_sweep(self->fd, 0, NR_FRAMES, 3);
	EXPECT_EQ(3, range.done);
	EXPECT_EQ(3, range.next);
	EXPECT_EQ(NR_FRAMES - 11 - 9 - 3, pod_sweep_all(self->fd));
	EXPECT_POD(self->fd, 11, 0);
	EXPECT_EQ(11, p2m_totals().pages);
	EXPECT_EQ(NR_FRAMES - 11, p2m_stats(self->fd).pod_swept);
	EXPECT_EQ(0, pod_sweep_all(self->fd));

	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 10, 10));
	EXPECT_EQ(1, p2m_page(&self->mem, 9)[P2M_WORDS - 1]);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 20, NR_FRAMES - 20));
	EXPECT_POD(self->fd, 11, 0);
}

static void held_pages_are_busy(struct __test_metadata *_metadata,
				struct p2m_mem *mem, u64 busy)
{
	u64 words[P2M_WORDS];
	struct p2m_range range;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	pod_set(mem->fd, P2M_CHUNK);
	EXPECT_EQ(0, touch_range(mem, 0, P2M_CHUNK, false));
	p2m_mem_hold(pipes[1], mem, 3);
	range = pod_sweep(mem->fd, 0, NR_FRAMES, 0);
	EXPECT_EQ(busy, range.busy);
	EXPECT_EQ(P2M_CHUNK - busy, range.done);
	EXPECT_EQ(busy, p2m_stats(mem->fd).busy);
	EXPECT_POD(mem->fd, busy, 0);

	/* It is still the same page. */
	*p2m_page(mem, 3) = 77;
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(77, words[0]);
	*p2m_page(mem, 3) = 0;
	EXPECT_EQ(busy, pod_sweep_all(mem->fd));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(pod, a_held_page_is_busy)
{
	held_pages_are_busy(_metadata, &self->mem, 1);
}

TEST_F(pod, a_held_part_makes_all_of_2m_busy)
{
	use_huge_pages(&self->mem);
	held_pages_are_busy(_metadata, &self->mem, P2M_CHUNK);
}

TEST_F(pod, a_held_page_is_not_for_a_touch_that_looks_for_one)
{
	u64 words[P2M_WORDS];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	pod_set(self->fd, 2);
	EXPECT_EQ(0, touch_range(&self->mem, 0, 2, false));
	p2m_mem_hold(pipes[1], &self->mem, 0);
	p2m_mem_hold(pipes[1], &self->mem, 1);
	EXPECT_TRUE(touch(&self->mem, 2, true));
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_FALSE(touch(&self->mem, 2, true));
	EXPECT_TRUE(touch(&self->mem, 3, true));
	EXPECT_POD(self->fd, 2, 2);
	close(pipes[0]);
	close(pipes[1]);
}

/* A touch looks for a zero page in so many chunks: see the manual. */
#define LOOK	512

TEST_F(pod, a_touch_looks_into_so_much_and_the_next_goes_on_from_there)
{
	u64 chunks = LOOK + 10, i;
	struct p2m_mem large;

	p2m_mem_close(&self->mem);
	p2m_mem_open(&large, (chunks + 1) * P2M_CHUNK);
	pod_set(large.fd, chunks);
	for (i = 0; i < chunks; i++)
		EXPECT_FALSE(touch(&large, i * P2M_CHUNK, i < LOOK));
	EXPECT_TRUE(touch(&large, chunks * P2M_CHUNK, true));
	EXPECT_EQ(0, p2m_stats(large.fd).pod_swept);
	EXPECT_FALSE(touch(&large, chunks * P2M_CHUNK, true));
	EXPECT_EQ(1, p2m_stats(large.fd).pod_swept);
	EXPECT_EQ(chunks, pod_get(large.fd).populated);
	p2m_mem_close(&large);
}

/* So many looks that find nothing are made without a wait: see the manual. */
#define LOOKS_AT_ONCE	2
#define TOUCHES		200

TEST_F(pod, touches_when_there_is_nothing_to_be_had_cost_a_few_looks_in_all)
{
	u64 gfn, looked, ms;
	struct timespec start;

	pod_set(self->fd, 2);
	EXPECT_FALSE(touch(&self->mem, 0, true));
	EXPECT_FALSE(touch(&self->mem, P2M_CHUNK, true));
	clock_gettime(CLOCK_MONOTONIC, &start);
	EXPECT_EQ(TOUCHES, touch_range(&self->mem, 1, TOUCHES, true));
	ms = timespec_to_ns(timespec_elapsed(start)) / 1000000;
	EXPECT_POD(self->fd, 2, TOUCHES);
	/* A look is three chunks.  Later looks are at least 20 ms apart. */
	looked = p2m_stats(self->fd).pod_looked;
	TH_LOG("%u touches looked into %lu chunks in %lu ms", TOUCHES, looked,
	       ms);
	EXPECT_LE(3, looked);
	EXPECT_GE(3 * (LOOKS_AT_ONCE + ms / 20), looked);

	/* A page that comes into the pool ends the wait at once. */
	*p2m_page(&self->mem, 0) = 0;
	EXPECT_EQ(1, pod_sweep_all(self->fd));
	EXPECT_FALSE(touch(&self->mem, 1, true));
	*p2m_page(&self->mem, 1) = 0;
	EXPECT_FALSE(touch(&self->mem, 2, true));
	/* Time ends it too: then a touch finds a zero page by itself. */
	for (gfn = 3; gfn < 13; gfn++)
		EXPECT_TRUE(touch(&self->mem, gfn, true));
	*p2m_page(&self->mem, 2) = 0;
	usleep(1100000);
	EXPECT_FALSE(touch(&self->mem, 3, true));
}

/* A thread that counts how often it can map while a touch looks */
struct mapper {
	int fd;
	bool stop;
	u64 mapped;
};

static void *map_and_unmap(void *arg)
{
	struct mapper *m = arg;
	void *there;
	u64 looked;

	while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		looked = p2m_stats(m->fd).pod_looked;
		there = mmap(NULL, P2M_PAGE_SIZE, PROT_READ,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(there != MAP_FAILED, "mmap");
		munmap(there, P2M_PAGE_SIZE);
		/* The look had begun before, and still goes on. */
		m->mapped += looked && p2m_stats(m->fd).pod_looked < LOOK;
	}
	return NULL;
}

TEST_F(pod, a_look_lets_other_threads_map_and_unmap)
{
	struct mapper mapper = {};
	struct p2m_mem large;
	pthread_t thread;
	u64 i;

	p2m_mem_close(&self->mem);
	p2m_mem_open(&large, (LOOK + 1) * P2M_CHUNK);
	pod_set(large.fd, LOOK);
	for (i = 0; i < LOOK; i++)
		EXPECT_FALSE(touch(&large, i * P2M_CHUNK, true));
	mapper.fd = large.fd;
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_and_unmap, &mapper));
	EXPECT_TRUE(touch(&large, LOOK * P2M_CHUNK, true));
	__atomic_store_n(&mapper.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TH_LOG("mapped %lu times meanwhile", mapper.mapped);
	EXPECT_EQ(LOOK, p2m_stats(large.fd).pod_looked);
	EXPECT_LE(3, mapper.mapped);
	p2m_mem_close(&large);
}

TEST_F(pod, no_pool_no_sweep)
{
	EXPECT_EQ(0, touch_range(&self->mem, 0, 8, false));
	EXPECT_EQ(0, pod_sweep_all(self->fd));
	EXPECT_EQ(8, p2m_stats(self->fd).resident);
	pod_set(self->fd, 0);
	EXPECT_EQ(8, pod_sweep_all(self->fd));
}

/* ------------------------------------------------------------------ */
/* Guests                                                              */
/* ------------------------------------------------------------------ */

/* Return: 0 at the guest's GUEST_SYNC, or -errno of KVM_RUN */
static int run(struct p2m_vm *vm)
{
	struct kvm_vcpu *vcpu = vm->vcpu[0].vcpu;
	struct ucall uc;

	if (_vcpu_run(vcpu))
		return -errno;
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return 0;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT_4(uc, "frame %#lx, pass %lu: is %#lx, not %#lx");
	default:
		TEST_FAIL("the vCPU ended by %s",
			  exit_reason_str(vcpu->run->exit_reason));
	}
	return 0;
}

static void limited_by_the_target(struct __test_metadata *_metadata,
				  struct p2m_mem *mem, struct p2m_vm *vm,
				  const u64 *targets, size_t nr)
{
	u64 exhausted;
	size_t i;

	p2m_vm_create(vm, mem, 1, p2m_guest_worker);
	for (i = 0; i < nr; i++) {
		pod_set(mem->fd, targets[i]);
		EXPECT_REFUSED_BY_KVM(mem->fd, targets[i], vm);
		/* Asking again gives the same answer. */
		EXPECT_REFUSED_BY_KVM(mem->fd, targets[i], vm);
	}
	exhausted = pod_get(mem->fd).exhausted;
	pod_set(mem->fd, NR_FRAMES);
	ASSERT_EQ(0, run(vm));
	EXPECT_POD(mem->fd, NR_FRAMES, exhausted);
	vm->vcpu[0].passes = 1;
	EXPECT_EQ(0, p2m_vm_wrong_words(vm));
	p2m_vm_run_passes(vm, 1);
	EXPECT_EQ(0, p2m_vm_wrong_words(vm));
}

TEST_F(pod, a_guest_is_refused_at_its_limit_and_goes_on_above_it)
{
	static const u64 targets[] = { 0, 1, 300, P2M_CHUNK, NR_FRAMES - 1 };

	limited_by_the_target(_metadata, &self->mem, &self->vm, targets,
			      ARRAY_SIZE(targets));
}

TEST_F(pod, so_is_one_with_2m_pages)
{
	static const u64 targets[] = {
		0, P2M_CHUNK, P2M_CHUNK + 10, 2 * P2M_CHUNK, NR_FRAMES - 1,
	};

	use_huge_pages(&self->mem);
	limited_by_the_target(_metadata, &self->mem, &self->vm, targets,
			      ARRAY_SIZE(targets));
}

/* Like p2m_guest_worker(), but every other pass makes its words zero. */
static void guest_writes_and_clears(u64 tag, u64 writer, u64 nr)
{
	u64 first = writer * nr / P2M_MAX_VCPUS;
	u64 pass, i;

	for (pass = 1; ; pass++) {
		for (i = 0; i < nr; i++) {
			u64 gfn = (first + i) % nr;
			u64 *word = p2m_word((void *)P2M_GPA, gfn, writer);
			u64 was = pass % 2 ? 0 : pass - 1;
			u64 now = pass % 2 ? pass : 0;
			u64 want = p2m_value(tag, gfn, writer, was);
			u64 is = READ_ONCE(*word);

			GUEST_ASSERT_4(is == want, gfn, pass, is, want);
			WRITE_ONCE(*word, p2m_value(tag, gfn, writer, now));
		}
		GUEST_SYNC(pass);
	}
}

static void sweep_while_running(struct __test_metadata *_metadata,
				struct p2m_mem *mem, struct p2m_vm *vm,
				int vcpus)
{
	u64 swept = 0, i, passes;

	pod_set(mem->fd, NR_FRAMES);
	p2m_vm_create(vm, mem, vcpus, guest_writes_and_clears);
	p2m_vm_start(vm);
	while (p2m_vm_passes(vm) < 4 * PASSES || swept < NR_FRAMES)
		swept += pod_sweep_all(mem->fd);
	p2m_vm_stop(vm);
	EXPECT_EQ(swept, p2m_stats(mem->fd).pod_swept);
	EXPECT_EQ(0, pod_get(mem->fd).exhausted);
	for (i = 0; i < vcpus; i++) {
		passes = vm->vcpu[i].passes;
		EXPECT_EQ(0, p2m_wrong_words(mem, i, passes % 2 ? passes : 0));
	}
}

TEST_F_TIMEOUT(pod, sweeps_lose_nothing_of_a_vcpu_that_writes, 60)
{
	sweep_while_running(_metadata, &self->mem, &self->vm, 1);
}

TEST_F_TIMEOUT(pod, sweeps_lose_nothing_of_four_vcpus_that_write, 60)
{
	sweep_while_running(_metadata, &self->mem, &self->vm, 4);
}

TEST_F_TIMEOUT(pod, sweeps_lose_nothing_in_2m_pages, 60)
{
	use_huge_pages(&self->mem);
	sweep_while_running(_metadata, &self->mem, &self->vm, 2);
}

/* Each vCPU writes to its own frames, and writes zeros to all others. */
#define OWN_FRAMES	16

static void guest_zeroes_much_and_writes_little(u64 tag, u64 writer, u64 nr)
{
	u64 pass, i, gfn, is, want, *word;

	for (pass = 1; ; pass++) {
		for (i = 0; i < OWN_FRAMES; i++) {
			gfn = writer * OWN_FRAMES + i;
			word = p2m_word((void *)P2M_GPA, gfn, writer);
			want = p2m_value(tag, gfn, writer, pass - 1);
			is = READ_ONCE(*word);
			GUEST_ASSERT_4(is == want, gfn, pass, is, want);
			WRITE_ONCE(*word, p2m_value(tag, gfn, writer, pass));
		}
		for (gfn = P2M_MAX_VCPUS * OWN_FRAMES; gfn < nr; gfn++) {
			word = p2m_word((void *)P2M_GPA, gfn, writer);
			is = __atomic_fetch_or(word, 0, __ATOMIC_RELAXED);
			GUEST_ASSERT_4(!is, gfn, pass, is, 0);
		}
		GUEST_SYNC(pass);
	}
}

/* There are enough zero pages, so no touch is ever refused. */
static void zero_pages_are_found(struct __test_metadata *_metadata,
				 struct p2m_mem *mem, struct p2m_vm *vm,
				 int vcpus, u64 target)
{
	u64 i, gfn, wrong = 0;

	pod_set(mem->fd, target);
	p2m_vm_create(vm, mem, vcpus, guest_zeroes_much_and_writes_little);
	p2m_vm_run_passes(vm, PASSES);
	EXPECT_EQ(0, pod_get(mem->fd).exhausted);
	EXPECT_GE(target, pod_get(mem->fd).populated);
	EXPECT_GE(p2m_stats(mem->fd).pod_swept, PASSES * (NR_FRAMES - target));
	for (i = 0; i < vcpus; i++)
		for (gfn = i * OWN_FRAMES; gfn < (i + 1) * OWN_FRAMES; gfn++)
			wrong += *p2m_word(mem->hva, gfn, i) !=
				 p2m_value(mem->tag, gfn, i,
					   vm->vcpu[i].passes);
	EXPECT_EQ(0, wrong);
}

TEST_F_TIMEOUT(pod, a_vcpu_finds_zero_pages_by_itself, 60)
{
	zero_pages_are_found(_metadata, &self->mem, &self->vm, 1, 128);
}

TEST_F_TIMEOUT(pod, four_vcpus_that_look_at_once_find_them_too, 60)
{
	zero_pages_are_found(_metadata, &self->mem, &self->vm, 4, 128);
}

TEST_F_TIMEOUT(pod, so_they_do_in_2m_pages, 60)
{
	use_huge_pages(&self->mem);
	zero_pages_are_found(_metadata, &self->mem, &self->vm, 4,
			     P2M_CHUNK + 128);
}

TEST_F_TIMEOUT(pod, the_target_may_change_while_vcpus_run, 60)
{
	u64 target = NR_FRAMES;

	pod_set(self->fd, target);
	p2m_vm_create(&self->vm, &self->mem, 4,
		      guest_zeroes_much_and_writes_little);
	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < PASSES) {
		target = target > 300 ? target - 100 : NR_FRAMES;
		pod_set(self->fd, target);
		usleep(1000);
	}
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, pod_get(self->fd).exhausted);
}

TEST_F_TIMEOUT(pod, a_guest_that_runs_may_be_given_a_pool, 60)
{
	p2m_vm_create(&self->vm, &self->mem, 4, p2m_guest_worker);
	p2m_vm_start(&self->vm);
	while (p2m_stats(self->fd).resident < 100)
		usleep(100);
	EXPECT_LE(100, pod_set(self->fd, NR_FRAMES).populated);
	while (p2m_vm_passes(&self->vm) < PASSES)
		usleep(1000);
	p2m_vm_stop(&self->vm);
	EXPECT_POD(self->fd, NR_FRAMES, 0);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

TEST_F_TIMEOUT(pod, paging_and_sweeps_may_race_on_the_same_frames, 60)
{
	u64 out = 0, swept = 0, i, passes;

	pod_set(self->fd, NR_FRAMES);
	p2m_vm_create(&self->vm, &self->mem, 2, guest_writes_and_clears);
	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < 2 * PASSES || swept < NR_FRAMES ||
	       out < NR_FRAMES) {
		out += p2m_move(self->fd, P2M_PAGE_OUT, 0, NR_FRAMES).done;
		p2m_move(self->fd, P2M_PAGE_IN, 0, P2M_CHUNK);
		swept += pod_sweep_all(self->fd);
		p2m_let_run();
	}
	p2m_vm_stop(&self->vm);
	for (i = 0; i < 2; i++) {
		passes = self->vm.vcpu[i].passes;
		EXPECT_EQ(0, p2m_wrong_words(&self->mem, i,
					     passes % 2 ? passes : 0));
	}
}

TEST_F(pod, what_is_paged_out_can_come_back_whatever_the_pool_has)
{
	pod_set(self->fd, 100);
	p2m_mem_fill(&self->mem, 0, 90);
	EXPECT_EQ(0, touch_range(&self->mem, 90, 10, false));
	EXPECT_EQ(100, p2m_move(self->fd, P2M_PAGE_OUT, 0, NR_FRAMES).done);
	EXPECT_POD(self->fd, 100, 0);
	EXPECT_EQ(0, p2m_totals().pages);
	/* A sweep does not look for zero pages in the store. */
	EXPECT_EQ(0, pod_sweep_all(self->fd));
	EXPECT_TRUE(touch(&self->mem, 100, true));
	pod_set(self->fd, 0);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 90));
	EXPECT_EQ(0, touch_range(&self->mem, 90, 10, false));
	EXPECT_POD(self->fd, 100, 1);
	EXPECT_EQ(10, pod_sweep_all(self->fd));
	EXPECT_POD(self->fd, 90, 1);
}

/* Return: the descriptor, or -errno */
static int foreign_map(int fd, u64 gfn, u64 nr)
{
	struct p2m_foreign foreign = {
		.size = sizeof(foreign), .gfn = gfn, .nr = nr,
	};
	int ret = p2m_call(fd, P2M_FOREIGN_MAP, &foreign);

	return ret ?: foreign.fd;
}

TEST_F(pod, foreign_mappings_take_from_the_pool_as_touches_do)
{
	int one, two;

	pod_set(self->fd, 4);
	EXPECT_EQ(0, touch_range(&self->mem, 0, 2, false));
	one = foreign_map(self->fd, 10, 2);
	ASSERT_LE(0, one);
	EXPECT_POD(self->fd, 4, 0);

	/* In two chunks.  The second one gets a page only after a look. */
	two = foreign_map(self->fd, P2M_CHUNK - 1, 2);
	ASSERT_LE(0, two);
	EXPECT_POD(self->fd, 4, 0);
	EXPECT_EQ(2, p2m_stats(self->fd).pod_swept);
	EXPECT_EQ(-ENOSPC, foreign_map(self->fd, 30, 1));
	EXPECT_POD(self->fd, 4, 1);

	close(one);
	one = foreign_map(self->fd, 30, 1);
	ASSERT_LE(0, one);
	EXPECT_POD(self->fd, 3, 1);
	close(one);
	close(two);
}

/* Return: how many frames are dirty.  Makes them clean. */
static u64 dirty_frames(int fd)
{
	u64 bits[NR_FRAMES / 64] = {};
	struct p2m_dirty dirty = {
		.size = sizeof(dirty), .flags = P2M_DIRTY_CLEAN,
		.nr = NR_FRAMES, .bitmap = (uintptr_t)bits,
	};
	int ret = p2m_call(fd, P2M_DIRTY_GET, &dirty);
	u64 count = 0, i;

	TEST_ASSERT(!ret, "P2M_DIRTY_GET: %s", strerror(-ret));
	for (i = 0; i < NR_FRAMES; i++)
		count += bits[i / 64] >> i % 64 & 1;
	return count;
}

TEST_F(pod, what_was_dirty_is_so_after_a_sweep_and_reading_is_no_writing)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };

	use_huge_pages(&self->mem);
	pod_set(self->fd, NR_FRAMES);
	EXPECT_FALSE(touch(&self->mem, 0, true));
	ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_START, &arg));
	EXPECT_EQ(0, dirty_frames(self->fd));
	memset(p2m_page(&self->mem, 0), 0, 3 * P2M_PAGE_SIZE);
	EXPECT_EQ(P2M_CHUNK, pod_sweep_all(self->fd));
	EXPECT_POD(self->fd, 0, 0);
	EXPECT_EQ(3, dirty_frames(self->fd));
	EXPECT_EQ(0, dirty_frames(self->fd));

	/* Populated one by one, or log-dirty could not tell them apart. */
	EXPECT_EQ(0, touch_range(&self->mem, 0, 8, false));
	EXPECT_POD(self->fd, 8, 0);
	EXPECT_EQ(8, dirty_frames(self->fd));
	EXPECT_EQ(0, touch_range(&self->mem, 6, 4, true));
	EXPECT_POD(self->fd, 10, 0);
	EXPECT_EQ(4, dirty_frames(self->fd));
	EXPECT_EQ(6, pod_sweep_all(self->fd));
	ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_STOP, &arg));
	memset(p2m_page(&self->mem, 6), 0, 4 * P2M_PAGE_SIZE);
	EXPECT_EQ(4, pod_sweep_all(self->fd));
	EXPECT_FALSE(touch(&self->mem, 0, false));
	EXPECT_POD(self->fd, P2M_CHUNK, 0);
}

TEST_F_TIMEOUT(pod, log_dirty_and_sweeps_may_race_on_the_same_frames, 60)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };
	u64 swept = 0, i, passes;

	pod_set(self->fd, NR_FRAMES);
	p2m_vm_create(&self->vm, &self->mem, 2, guest_writes_and_clears);
	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < 2 * PASSES || swept < NR_FRAMES) {
		ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_START, &arg));
		swept += pod_sweep_all(self->fd);
		dirty_frames(self->fd);
		swept += pod_sweep_all(self->fd);
		ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_STOP, &arg));
	}
	p2m_vm_stop(&self->vm);
	for (i = 0; i < 2; i++) {
		passes = self->vm.vcpu[i].passes;
		EXPECT_EQ(0, p2m_wrong_words(&self->mem, i,
					     passes % 2 ? passes : 0));
	}
}

static void guest_with_interrupts_on(u64 tag, u64 writer, u64 nr)
{
	asm volatile("sti");
	p2m_guest_worker(tag, writer, nr);
}

TEST_F_TIMEOUT(pod, a_vcpu_that_kvm_lets_wait_goes_on_when_there_is_more, 60)
{
	pod_set(self->fd, 100);
	p2m_vm_create(&self->vm, &self->mem, 1, guest_with_interrupts_on);
	p2m_vm_start(&self->vm);
	while (pod_get(self->fd).exhausted < 10)
		usleep(1000);
	EXPECT_EQ(100, pod_get(self->fd).populated);
	EXPECT_EQ(0, p2m_vm_passes(&self->vm));
	pod_set(self->fd, NR_FRAMES);
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(1, p2m_vm_passes(&self->vm));
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

/* ------------------------------------------------------------------ */
/* Lifetime, and calls that are refused                                */
/* ------------------------------------------------------------------ */

TEST_F_TIMEOUT(pod, a_killed_vmm_leaves_nothing, 60)
{
	bool huge;
	pid_t pid;

	p2m_mem_close(&self->mem);
	for (huge = false; ; huge = true) {
		pid = p2m_fork();
		if (!pid) {
			p2m_mem_open(&self->mem, NR_FRAMES);
			if (huge)
				use_huge_pages(&self->mem);
			pod_set(self->mem.fd, 128);
			p2m_vm_create(&self->vm, &self->mem, 4,
				      guest_zeroes_much_and_writes_little);
			p2m_vm_start(&self->vm);
			for (;;)
				pod_sweep_all(self->mem.fd);
		}
		while (p2m_totals().pages < 64)
			usleep(1000);
		usleep(200000);
		ASSERT_TRUE(p2m_is_alive(pid));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(pid));
		ASSERT_TRUE(p2m_all_freed());
		if (huge)
			break;
	}
}

struct snapshot {
	struct p2m_pod pod;
	struct p2m_stats stats;
	struct p2m_info info;
};

static struct snapshot take(int fd)
{
	struct snapshot snap;

	memset(&snap, 0, sizeof(snap));
	snap.pod = pod_get(fd);
	snap.stats = p2m_stats(fd);
	snap.info = p2m_info(fd);
	return snap;
}

static void expect_refusal(struct __test_metadata *_metadata, int fd,
			   unsigned long cmd, void *arg, size_t size, int error)
{
	struct snapshot before = take(fd), after;
	char copy[64];

	memcpy(copy, arg, size);
	EXPECT_EQ(-error, p2m_call(fd, cmd, arg));
	EXPECT_EQ(0, memcmp(copy, arg, size));
	after = take(fd);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

TEST_F(pod, what_cannot_be_a_target_is_einval)
{
	static const u64 bad[] = { P2M_MAX_GFNS + 1, 1UL << 63, ~0UL };
	struct p2m_pod pod = { .size = sizeof(pod) };
	bool set;
	size_t i;

	for (set = false; ; set = true) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			pod.target = bad[i];
			expect_refusal(_metadata, self->fd, P2M_POD_SET, &pod,
				       sizeof(pod), EINVAL);
		}
		if (set)
			break;
		pod_set(self->fd, 5);
		EXPECT_EQ(5, touch_range(&self->mem, 0, 10, true));
	}
}

TEST_F(pod, a_guest_without_frames_is_erange)
{
	struct p2m_range range = { .size = sizeof(range), .nr = 1 };
	struct p2m_pod pod = { .size = sizeof(pod), .target = 1 };
	int fd = p2m_open();

	expect_refusal(_metadata, fd, P2M_POD_SET, &pod, sizeof(pod), ERANGE);
	expect_refusal(_metadata, fd, P2M_POD_SWEEP, &range, sizeof(range),
		       ERANGE);
	close(fd);
	pod_set(self->fd, 1);
	range.gfn = NR_FRAMES;
	expect_refusal(_metadata, self->fd, P2M_POD_SWEEP, &range,
		       sizeof(range), ERANGE);
	range.gfn = 0;
	range.nr = 0;
	expect_refusal(_metadata, self->fd, P2M_POD_SWEEP, &range,
		       sizeof(range), EINVAL);
}

static void on_alarm(int sig)
{
}

TEST_F_TIMEOUT(pod, a_signal_while_a_large_guest_is_set_changes_nothing, 60)
{
	struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct sigaction act = { .sa_handler = on_alarm };
	struct p2m_pod pod = { .size = sizeof(pod), .target = 900 };
	u64 end = 1UL << 29;

	pod_set(self->fd, 100);
	EXPECT_EQ(0, touch_range(&self->mem, NR_FRAMES - 10, 10, true));
	munmap(p2m_map(self->fd, end - 1, 1), P2M_PAGE_SIZE);

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
	expect_refusal(_metadata, self->fd, P2M_POD_SET, &pod, sizeof(pod),
		       EINTR);
	EXPECT_EQ(90, NR_FRAMES - 10 -
		      touch_range(&self->mem, 0, NR_FRAMES - 10, true));
	EXPECT_POD(self->fd, 100, NR_FRAMES - 100);
}

TEST_HARNESS_MAIN
