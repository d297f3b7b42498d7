// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of /dev/p2m stays right while it is paged out and in.  Meanwhile vCPUs
 * touch it, or the VMM, or the kernel for a process; or somebody holds a page.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* One chunk, and a part of a second */
#define NR_FRAMES	(P2M_CHUNK + 64)
/* A race must see at least: passes of every vCPU, frames moved each way */
#define PASSES		p2m_rounds(3)
#define MOVED		p2m_rounds(4 * NR_FRAMES)
#define RACES		p2m_rounds(100)
/* Indices of types in struct p2m_audit */
#define TYPE_RAM_RW	1
#define TYPE_PAGED	5

/* Work that a test repeats in a thread, besides paging */
struct background {
	struct p2m_mem *mem;
	pthread_t thread;
	u64 writer;
	u64 passes;
	bool stop;
};

static void background_start(struct background *b, struct p2m_mem *mem,
			     u64 writer, void *(*work)(void *arg))
{
	*b = (struct background){ .mem = mem, .writer = writer };
	TEST_ASSERT(!pthread_create(&b->thread, NULL, work, b),
		    "pthread_create");
}

static void background_stop(struct background *b)
{
	__atomic_store_n(&b->stop, true, __ATOMIC_RELEASE);
	pthread_join(b->thread, NULL);
}

static bool background_goes_on(struct background *b)
{
	return !__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE);
}

/* The VMM does the same as p2m_guest_worker(). */
static void *write_through_mapping(void *arg)
{
	struct background *b = arg;
	u64 gfn;

	while (background_goes_on(b)) {
		for (gfn = 0; gfn < b->mem->nr; gfn++) {
			u64 *word = p2m_word(b->mem->hva, gfn, b->writer);
			u64 is = READ_ONCE(*word);
			u64 want = p2m_value(b->mem->tag, gfn, b->writer,
						  b->passes);

			TEST_ASSERT(is == want, "frame %#lx is %#lx, not %#lx",
				    gfn, is, want);
			WRITE_ONCE(*word, p2m_value(b->mem->tag, gfn, b->writer,
						    b->passes + 1));
		}
		__atomic_add_fetch(&b->passes, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The kernel does it.  Like DMA, it holds the page while it copies. */
static void *write_through_pinned_pages(void *arg)
{
	struct background *b = arg;
	u64 gfn, is, next, want;
	ssize_t n;

	while (background_goes_on(b)) {
		for (gfn = 0; gfn < b->mem->nr; gfn++) {
			struct iovec there = {
				p2m_word(b->mem->hva, gfn, b->writer),
				sizeof(is),
			};
			struct iovec in = { &is, sizeof(is) };
			struct iovec out = { &next, sizeof(next) };

			want = p2m_value(b->mem->tag, gfn, b->writer,
					 b->passes);
			next = p2m_value(b->mem->tag, gfn, b->writer,
					 b->passes + 1);
			n = process_vm_readv(getpid(), &in, 1, &there, 1, 0);
			TEST_ASSERT(n == sizeof(is), "process_vm_readv: %zd",
				    n);
			TEST_ASSERT(is == want, "frame %#lx is %#lx, not %#lx",
				    gfn, is, want);
			n = process_vm_writev(getpid(), &out, 1, &there, 1, 0);
			TEST_ASSERT(n == sizeof(is), "process_vm_writev: %zd",
				    n);
		}
		__atomic_add_fetch(&b->passes, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

FIXTURE(paging)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_SETUP(paging)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
}

FIXTURE_TEARDOWN(paging)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/*
 * Page everything out until every vCPU has done its passes and enough frames
 * have moved both ways.  If that never happens, the harness's timeout ends it.
 */
static void page_out_while_running(struct p2m_vm *vm, u64 passes,
				   u64 moved)
{
	int fd = vm->mem->fd;
	struct p2m_stats stats;

	p2m_vm_start(vm);
	do {
		p2m_move_all(fd, P2M_PAGE_OUT);
		stats = p2m_stats(fd);
	} while (p2m_vm_passes(vm) < passes || stats.paged_out < moved ||
		 stats.paged_in < moved);
	p2m_vm_stop(vm);
}

static void survive_rounds(struct __test_metadata *_metadata,
			   struct p2m_mem *mem, struct p2m_vm *vm, int vcpus)
{
	struct p2m_stats stats;

	p2m_vm_create(vm, mem, vcpus, p2m_guest_worker);
	page_out_while_running(vm, PASSES, MOVED);

	stats = p2m_stats(mem->fd);
	EXPECT_EQ(stats.zeroed, NR_FRAMES);
	EXPECT_EQ(stats.zeroed, stats.resident + stats.paged);
	EXPECT_EQ(stats.paged_out - stats.paged_in, stats.paged);

	/* All frames go out and come back: for the host, then for the guest. */
	p2m_move_all(mem->fd, P2M_PAGE_OUT);
	ASSERT_EQ(0, p2m_stats(mem->fd).resident);
	ASSERT_EQ(0, p2m_vm_wrong_words(vm));
	ASSERT_EQ(NR_FRAMES, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	p2m_vm_run_passes(vm, 1);
	ASSERT_EQ(0, p2m_vm_wrong_words(vm));
}

TEST_F_TIMEOUT(paging, memory_survives_rounds_with_one_vcpu, 60)
{
	survive_rounds(_metadata, &self->mem, &self->vm, 1);
}

TEST_F_TIMEOUT(paging, memory_survives_rounds_with_two_vcpus, 60)
{
	survive_rounds(_metadata, &self->mem, &self->vm, 2);
}

TEST_F_TIMEOUT(paging, memory_survives_rounds_with_four_vcpus, 60)
{
	survive_rounds(_metadata, &self->mem, &self->vm, 4);
}

static void guest_reads_all(u64 tag, u64 id, u64 nr)
{
	u64 *words = (u64 *)P2M_GPA;
	u64 i;

	for (;;) {
		for (i = 0; i < nr * P2M_WORDS; i += 64) {
			u64 is = READ_ONCE(words[i]);

			GUEST_ASSERT_4(!is, i / P2M_WORDS, 1, is, 0);
		}
		GUEST_SYNC(0);
	}
}

TEST_F(paging, an_untouched_frame_reads_zero_and_is_populated_by_a_write)
{
	struct p2m_stats stats;

	p2m_vm_create(&self->vm, &self->mem, 1, guest_reads_all);
	stats = p2m_stats(self->mem.fd);
	ASSERT_EQ(0, stats.resident);
	ASSERT_EQ(0, stats.zeroed);
	ASSERT_EQ(0, stats.faults);

	p2m_vm_run_passes(&self->vm, 1);

	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(0, stats.resident);
	EXPECT_EQ(0, stats.zeroed);
	EXPECT_GE(stats.faults, NR_FRAMES);

	p2m_mem_populate(&self->mem, 0, NR_FRAMES);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(NR_FRAMES, stats.resident);
	EXPECT_EQ(NR_FRAMES, stats.zeroed);
	EXPECT_EQ(0, stats.paged);
	EXPECT_EQ(0, stats.paged_out);
	EXPECT_EQ(0, stats.paged_in);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(NR_FRAMES, p2m_stats(self->mem.fd).zeroed);
}

TEST_F(paging, zero_pages_come_back_zero)
{
	p2m_mem_populate(&self->mem, 0, 64);
	ASSERT_EQ(64, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	ASSERT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 64));
	EXPECT_EQ(64, p2m_stats(self->mem.fd).paged_in);
	EXPECT_EQ(64, p2m_stats(self->mem.fd).zeroed);
}

TEST_F(paging, the_vmm_reads_back_what_it_wrote)
{
	struct p2m_stats stats;
	int round;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	for (round = 1; round <= 3; round++) {
		ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
		stats = p2m_stats(self->mem.fd);
		ASSERT_EQ(0, stats.resident);
		ASSERT_EQ(NR_FRAMES, stats.paged);
		ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
		stats = p2m_stats(self->mem.fd);
		ASSERT_EQ(NR_FRAMES, stats.resident);
		ASSERT_EQ(0, stats.paged);
		ASSERT_EQ(round * NR_FRAMES, stats.paged_out);
		ASSERT_EQ(round * NR_FRAMES, stats.paged_in);
	}
}

TEST_F(paging, page_in_brings_back_all_without_a_touch)
{
	struct p2m_stats before, after;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	before = p2m_stats(self->mem.fd);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_IN));
	after = p2m_stats(self->mem.fd);
	EXPECT_EQ(before.faults, after.faults);
	EXPECT_EQ(NR_FRAMES, after.resident);
	EXPECT_EQ(0, after.paged);
	EXPECT_EQ(NR_FRAMES, after.paged_in);
	EXPECT_EQ(0, p2m_move_all(self->mem.fd, P2M_PAGE_IN));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

/*
 * The host gives the store so much more memory, and not much after that: each
 * CPU counts its own part by itself, up to a limit.
 */
static void limit_store(u64 pages)
{
	u64 committed = p2m_get("/proc/meminfo", "Committed_AS:");

	p2m_put("/proc/sys/vm/overcommit_kbytes", "%lu", committed + pages * 4);
	p2m_put("/proc/sys/vm/overcommit_memory", "2");
}

TEST(a_full_store_is_enomem_and_leaves_nothing_half_done)
{
	u64 nr = 12 * P2M_CHUNK;
	struct p2m_range range = { .size = sizeof(range) };
	struct p2m_audit audit;
	struct p2m_mem mem;
	int err;

	p2m_mem_open(&mem, nr);
	p2m_mem_fill(&mem, 0, nr);
	limit_store(1000);
	do {
		range.gfn = range.next;
		range.nr = nr - range.gfn;
		err = p2m_call(mem.fd, P2M_PAGE_OUT, &range);
	} while (!err && range.next < nr);
	p2m_put("/proc/sys/vm/overcommit_memory", "0");
	EXPECT_EQ(-ENOMEM, err);

	audit = p2m_audit(mem.fd);
	TH_LOG("%llu paged out", audit.types[TYPE_PAGED]);
	EXPECT_LT(0, audit.types[TYPE_PAGED]);
	EXPECT_EQ(nr, audit.types[TYPE_PAGED] + audit.types[TYPE_RAM_RW]);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, nr));
	EXPECT_EQ(nr, p2m_move_all(mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, nr));
	p2m_mem_close(&mem);
}

/* Add 1 to its word of frame 0 many times, and check that nobody else did. */
static void guest_counts_on_one_page(u64 tag, u64 id, u64 nr)
{
	u64 *word = (u64 *)P2M_GPA + id;
	u64 want = 0;
	int i;

	for (;;) {
		for (i = 0; i < 10000; i++) {
			u64 is = READ_ONCE(*word);

			GUEST_ASSERT_4(is == want, 0, want, is, want);
			WRITE_ONCE(*word, ++want);
		}
		GUEST_SYNC(want);
	}
}

TEST_F_TIMEOUT(paging, evicting_races_with_writing_the_same_page, 60)
{
	u64 evicted = 0, calls = 0, id;
	struct p2m_stats stats;

	p2m_vm_create(&self->vm, &self->mem, 2, guest_counts_on_one_page);
	p2m_vm_start(&self->vm);
	while (evicted < RACES || p2m_vm_passes(&self->vm) < PASSES) {
		evicted += p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, 1).done;
		calls++;
	}
	p2m_vm_stop(&self->vm);
	stats = p2m_stats(self->mem.fd);
	TH_LOG("%lu calls: %lu evicted, %llu busy; %llu faults, %llu retried",
	       calls, evicted, stats.busy, stats.faults, stats.retries);

	for (id = 0; id < 2; id++)
		EXPECT_EQ(self->vm.vcpu[id].passes * 10000,
			  p2m_page(&self->mem, 0)[id]);
	EXPECT_EQ(evicted, stats.paged_out);
}

TEST_F_TIMEOUT(paging, the_vmm_may_write_beside_the_vcpus, 60)
{
	struct background vmm;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	background_start(&vmm, &self->mem, 2, write_through_mapping);
	page_out_while_running(&self->vm, PASSES, MOVED);
	background_stop(&vmm);
	EXPECT_GT(vmm.passes, 0);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	EXPECT_EQ(0, p2m_wrong_words(&self->mem, 2, vmm.passes));
}

TEST_F_TIMEOUT(paging, the_kernel_may_write_to_pages_it_pinned, 60)
{
	struct background kernel;

	p2m_vm_create(&self->vm, &self->mem, 1, p2m_guest_worker);
	background_start(&kernel, &self->mem, 2, write_through_pinned_pages);
	page_out_while_running(&self->vm, PASSES, MOVED);
	background_stop(&kernel);
	EXPECT_GT(kernel.passes, 0);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	EXPECT_EQ(0, p2m_wrong_words(&self->mem, 2, kernel.passes));
}

TEST_F_TIMEOUT(paging, paging_in_may_race_with_paging_out, 60)
{
	struct p2m_stats stats;
	pid_t pid;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	pid = p2m_fork();
	if (!pid) {
		for (;;)
			p2m_move_all(self->mem.fd, P2M_PAGE_IN);
	}
	page_out_while_running(&self->vm, PASSES, MOVED);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(NR_FRAMES, stats.resident + stats.paged);
	EXPECT_EQ(stats.paged_out - stats.paged_in, stats.paged);
}

/*
 * The library's slot 0 (the guest's code, stacks and page tables) moves to
 * /dev/p2m too.  So when KVM walks the guest's page tables, they may be gone.
 */
TEST_F_TIMEOUT(paging, code_stacks_and_page_tables_may_go_too, 60)
{
	struct userspace_mem_region *slot0;
	struct p2m_mem rest;
	void *copy;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	slot0 = memslot2region(self->vm.kvm, 0);
	p2m_mem_open(&rest, slot0->mmap_size / P2M_PAGE_SIZE);
	copy = malloc(slot0->mmap_size);
	ASSERT_NE(NULL, copy);
	memcpy(copy, slot0->host_mem, slot0->mmap_size);
	ASSERT_EQ(slot0->host_mem,
		  mmap(slot0->host_mem, slot0->mmap_size,
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, rest.fd,
		       0));
	memcpy(slot0->host_mem, copy, slot0->mmap_size);
	free(copy);

	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < PASSES ||
	       p2m_stats(rest.fd).paged_in < 100) {
		p2m_move_all(rest.fd, P2M_PAGE_OUT);
		p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
		p2m_let_run();
	}
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&rest);
}

TEST_F(paging, a_held_page_is_busy_and_goes_after_release)
{
	u64 held[] = { 3, 5, P2M_CHUNK + 1 };
	struct p2m_stats stats;
	struct p2m_range range;
	u64 words[P2M_WORDS];
	int pipes[2];
	size_t i;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < ARRAY_SIZE(held); i++)
		p2m_mem_hold(pipes[1], &self->mem, held[i]);

	range = p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, range.next);
	EXPECT_EQ(NR_FRAMES - ARRAY_SIZE(held), range.done);
	EXPECT_EQ(ARRAY_SIZE(held), range.busy);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(ARRAY_SIZE(held), stats.resident);
	EXPECT_EQ(NR_FRAMES - ARRAY_SIZE(held), stats.paged);
	EXPECT_EQ(ARRAY_SIZE(held), stats.busy);
	EXPECT_EQ(NR_FRAMES - ARRAY_SIZE(held), stats.paged_out);

	/* It is still the same page: its holder sees our write. */
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, held[0], 1));
	p2m_page(&self->mem, held[0])[0] ^= 1;
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
		EXPECT_EQ(0, memcmp(words, p2m_page(&self->mem, held[i]),
				    sizeof(words)));
	}

	/* The pipe is read, so nobody holds the pages any more. */
	range = p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, NR_FRAMES);
	EXPECT_EQ(ARRAY_SIZE(held), range.done);
	EXPECT_EQ(0, range.busy);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(0, stats.resident);
	EXPECT_EQ(ARRAY_SIZE(held), stats.busy);
	p2m_page(&self->mem, held[0])[0] ^= 1;
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(paging, a_held_page_stays_right_after_its_guest_is_gone)
{
	u64 want[P2M_WORDS], words[P2M_WORDS];
	struct p2m_mem other;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_fill(&self->mem, 0, 8);
	memcpy(want, p2m_page(&self->mem, 7), sizeof(want));
	p2m_mem_hold(pipes[1], &self->mem, 7);
	p2m_mem_close(&self->mem);

	/* A guest that gets memory now must not get that page. */
	p2m_mem_open(&other, NR_FRAMES);
	p2m_mem_fill(&other, 0, NR_FRAMES);
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(0, memcmp(words, want, sizeof(words)));
	p2m_mem_close(&other);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_HARNESS_MAIN
