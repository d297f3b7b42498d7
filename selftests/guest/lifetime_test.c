// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM is killed, or just ends, or closes the file, while anything else may
 * go on.  When the descriptors and mappings of its guest are gone, nothing may
 * be left of the guest.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	P2M_CHUNK
#define MOVED		p2m_rounds(200)

/* The VMM tells the test its descriptor, and then its progress. */
struct progress {
	int fd;
	bool taken;		/* by the other process, if there is one */
	u64 passes;
	u64 paged_out;
	u64 paged_in;
};

FIXTURE(vmm)
{
	struct progress *progress;
};

/* The state of the guest when the VMM ends */
FIXTURE_VARIANT(vmm)
{
	int vcpus;		/* that run; with 0, there is only memory */
	bool paged_out;		/* all memory is, before the vCPUs start */
	bool own_pager;		/* a thread of the VMM pages out */
	bool other_pager;	/* another process does */
	int rounds;
};

FIXTURE_VARIANT_ADD(vmm, idle)
{
	.rounds = 1,
};

FIXTURE_VARIANT_ADD(vmm, paged_out)
{
	.paged_out = true,
	.rounds = 1,
};

FIXTURE_VARIANT_ADD(vmm, running)
{
	.vcpus = 2,
	.rounds = 2,
};

FIXTURE_VARIANT_ADD(vmm, paging_itself_out)
{
	.vcpus = 2,
	.own_pager = true,
	.rounds = 4,
};

FIXTURE_VARIANT_ADD(vmm, being_paged_out)
{
	.vcpus = 2,
	.other_pager = true,
	.rounds = 4,
};

FIXTURE_VARIANT_ADD(vmm, in_a_storm_of_faults)
{
	.vcpus = 4,
	.paged_out = true,
	.own_pager = true,
	.other_pager = true,
	.rounds = 4,
};

FIXTURE_SETUP(vmm)
{
	ASSERT_TRUE(p2m_all_freed());
	self->progress = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->progress);
}

FIXTURE_TEARDOWN(vmm)
{
	munmap(self->progress, P2M_PAGE_SIZE);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

/* Page out until the descriptor is closed. */
static void *page_out_for_ever(void *arg)
{
	int fd = (long)arg;

	for (;;) {
		struct p2m_range range = {
			.size = sizeof(range), .nr = NR_FRAMES,
		};
		int ret = p2m_call(fd, P2M_PAGE_OUT, &range);

		if (ret == -EBADF)
			return NULL;
		TEST_ASSERT(!ret, "page out: %s", strerror(-ret));
	}
}

static pthread_t start_pager(int fd)
{
	pthread_t thread;

	TEST_ASSERT(!pthread_create(&thread, NULL, page_out_for_ever,
				    (void *)(long)fd), "pthread_create");
	return thread;
}

/* Touch all memory.  vCPUs need zeroes for their first pass. */
static void prepare(struct p2m_mem *mem, bool zero, bool out)
{
	if (zero)
		p2m_mem_populate(mem, 0, mem->nr);
	else
		p2m_mem_fill(mem, 0, mem->nr);
	if (out)
		p2m_move_all(mem->fd, P2M_PAGE_OUT);
}

/* The VMM reports its progress until the test lets it end or kills it. */
static void be_a_vmm(struct progress *progress, int vcpus, bool paged_out,
		     bool own_pager)
{
	struct p2m_stats stats;
	struct p2m_mem mem;
	struct p2m_vm vm;

	p2m_mem_open(&mem, NR_FRAMES);
	prepare(&mem, vcpus, paged_out);
	if (vcpus) {
		p2m_vm_create(&vm, &mem, vcpus, p2m_guest_worker);
		p2m_vm_start(&vm);
	}
	if (own_pager)
		start_pager(mem.fd);
	__atomic_store_n(&progress->fd, mem.fd, __ATOMIC_RELEASE);
	for (;;) {
		stats = p2m_stats(mem.fd);
		WRITE_ONCE(progress->paged_out, stats.paged_out);
		WRITE_ONCE(progress->paged_in, stats.paged_in);
		if (vcpus)
			WRITE_ONCE(progress->passes, p2m_vm_passes(&vm));
		usleep(1000);
	}
}

/* Another process that pages the guest out */
static void be_a_pager(struct progress *progress, pid_t vmm)
{
	long fd = p2m_take_fd(vmm, progress->fd);

	__atomic_store_n(&progress->taken, true, __ATOMIC_RELEASE);
	page_out_for_ever((void *)fd);
}

static bool is_there(struct progress *now, int vcpus, bool paging)
{
	if (!__atomic_load_n(&now->fd, __ATOMIC_ACQUIRE))
		return false;
	if (paging)
		return READ_ONCE(now->paged_in) >= MOVED;
	return !vcpus || READ_ONCE(now->passes) >= 2;
}

TEST_F_TIMEOUT(vmm, killed_leaves_nothing, 60)
{
	bool paging = variant->own_pager || variant->other_pager;
	struct p2m_totals totals;
	pid_t vmm, pager = 0;
	int round;

	for (round = 0; round < variant->rounds; round++) {
		memset(self->progress, 0, sizeof(*self->progress));
		vmm = p2m_fork();
		if (!vmm)
			be_a_vmm(self->progress, variant->vcpus,
				 variant->paged_out, variant->own_pager);
		while (!is_there(self->progress, 0, false)) {
			ASSERT_TRUE(p2m_is_alive(vmm));
			usleep(1000);
		}
		if (variant->other_pager) {
			pager = p2m_fork();
			if (!pager)
				be_a_pager(self->progress, vmm);
			while (!__atomic_load_n(&self->progress->taken,
						__ATOMIC_ACQUIRE)) {
				ASSERT_TRUE(p2m_is_alive(pager));
				usleep(1000);
			}
		}
		while (!is_there(self->progress, variant->vcpus, paging)) {
			ASSERT_TRUE(p2m_is_alive(vmm));
			usleep(1000);
		}
		totals = p2m_totals();
		EXPECT_EQ(1, totals.guests);
		EXPECT_GT(totals.pages + totals.store, 0);

		/* Kill it at a different moment in every round. */
		usleep(round * 3700);
		ASSERT_EQ(0, kill(vmm, SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(vmm));
		if (pager) {
			/* The pager has the guest now, and can go on. */
			EXPECT_EQ(1, p2m_totals().guests);
			ASSERT_TRUE(p2m_is_alive(pager));
			usleep(round * 1300);
			ASSERT_EQ(0, kill(pager, SIGKILL));
			ASSERT_EQ(-SIGKILL, p2m_wait(pager));
		}
		ASSERT_TRUE(p2m_all_freed());
		ASSERT_TRUE(p2m_module_unused());
	}
}

FIXTURE(file)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_SETUP(file)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
}

FIXTURE_TEARDOWN(file)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

TEST_F(file, closed_untouched)
{
	EXPECT_EQ(1, p2m_totals().guests);
	EXPECT_EQ(0, p2m_totals().pages);
}

TEST_F(file, closed_with_pages)
{
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
}

TEST_F(file, closed_with_all_in_the_store)
{
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(NR_FRAMES, p2m_totals().store);
}

/* The store is a file in the kernel.  It must be gone, with its contents. */
TEST_F(file, closed_gives_back_the_store)
{
	u64 before = p2m_get("/proc/meminfo", "Shmem:");

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	EXPECT_GT(p2m_get("/proc/meminfo", "Shmem:"),
		  before + NR_FRAMES / 2 * 4);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_LT(p2m_get("/proc/meminfo", "Shmem:"),
		  before + NR_FRAMES / 2 * 4);
}

TEST_F(file, opened_and_closed_many_times)
{
	int i, fd;

	for (i = 0; i < 200; i++) {
		fd = p2m_open();
		if (i % 2)
			munmap(p2m_map(fd, i, 1), P2M_PAGE_SIZE);
		close(fd);
	}
}

static void close_file(struct p2m_mem *mem)
{
	TEST_ASSERT(!close(mem->fd), "close");
	mem->fd = -1;
}

TEST_F_TIMEOUT(file, closed_while_vcpus_run, 60)
{
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < 1)
		usleep(1000);
	p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	close_file(&self->mem);
	while (p2m_vm_passes(&self->vm) < 3)
		usleep(1000);
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(1, p2m_totals().guests);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

TEST_F_TIMEOUT(file, closed_while_a_thread_pages_out, 60)
{
	u64 passes;
	pthread_t pager;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_start(&self->vm);
	pager = start_pager(self->mem.fd);
	while (p2m_stats(self->mem.fd).paged_in < MOVED)
		usleep(1000);
	close_file(&self->mem);
	pthread_join(pager, NULL);
	passes = p2m_vm_passes(&self->vm);
	while (p2m_vm_passes(&self->vm) < passes + 2)
		usleep(1000);
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

/* A vCPU that runs until its memory is taken away.  Return: the errno. */
static void *run_until_error(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	for (;;) {
		if (!__vcpu_run(vcpu))
			continue;
		if (errno != EINTR)
			return (void *)(long)errno;
	}
}

TEST_F_TIMEOUT(file, unmapped_while_vcpus_run_and_pages_go, 60)
{
	pthread_t vcpu[2], pager;
	void *error;
	int i;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&vcpu[i], NULL, run_until_error,
					    self->vm.vcpu[i].vcpu));
	pager = start_pager(self->mem.fd);
	while (p2m_stats(self->mem.fd).paged_in < MOVED)
		usleep(1000);
	ASSERT_EQ(0, munmap(self->mem.hva, NR_FRAMES * P2M_PAGE_SIZE));
	self->mem.hva = NULL;
	for (i = 0; i < 2; i++) {
		pthread_join(vcpu[i], &error);
		EXPECT_EQ(EFAULT, (long)error);
	}
	close_file(&self->mem);
	pthread_join(pager, NULL);
}

TEST_HARNESS_MAIN
