// SPDX-License-Identifier: GPL-2.0
/*
 * The host swaps out frames that guests have paged out.  A touch that has to
 * read one back delays nobody else in the VMM.  With KVM's asynchronous page
 * faults, it does not delay the vCPU either.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/swap.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define CGROUP		P2M_CGROUPS "p2m-swap"
#define TRACING		"/sys/kernel/tracing/"
#define SWAP		"/dev/zram0"
#define NR_FRAMES	P2M_CHUNK

FIXTURE(swap)
{
	struct p2m_mem mem;
	bool on;
};

/* Swap to zram: it is memory, but the kernel has to read pages from it. */
static bool have_swap(void)
{
	if (system("modprobe -q zram"))
		return false;
	(void)swapoff(SWAP);	/* in case a test failed before */
	p2m_put("/sys/block/zram0/reset", "1");
	p2m_put("/sys/block/zram0/disksize", "64M");
	return !system("mkswap " SWAP " >/dev/null") && !swapon(SWAP, 0);
}

static u64 swapped(void)
{
	return p2m_get(CGROUP "/memory.swap.current", NULL) / P2M_PAGE_SIZE;
}

/* The host swaps out all that is charged to the cgroup, except pages in use. */
static void swap_out(void)
{
	int fd = open(CGROUP "/memory.reclaim", O_WRONLY | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "memory.reclaim");
	while (swapped() < NR_FRAMES * 9 / 10)
		TEST_ASSERT(write(fd, "1M", 2) == 2 || errno == EAGAIN,
			    "reclaim");
	close(fd);
}

FIXTURE_SETUP(swap)
{
	if (!p2m_cgroup_create(CGROUP))
		SKIP(return, "no cgroups");
	if (!have_swap())
		SKIP(return, "no zram");
	self->on = true;
	ASSERT_TRUE(p2m_all_freed());
	p2m_put(CGROUP "/cgroup.procs", "0");
	p2m_mem_open(&self->mem, NR_FRAMES);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	swap_out();
	p2m_put(TRACING "trace", "\n");
}

FIXTURE_TEARDOWN(swap)
{
	if (!self->on)
		return;
	p2m_put(TRACING "events/enable", "0");
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
	p2m_put(P2M_CGROUPS "cgroup.procs", "0");
	EXPECT_EQ(0, rmdir(CGROUP));
	EXPECT_EQ(0, swapoff(SWAP));
}

/* How many lines of the trace contain this text */
static u64 traced(const char *what)
{
	FILE *file = fopen(TRACING "trace", "r");
	char line[512];
	u64 lines = 0;

	TEST_ASSERT(file, "trace");
	while (fgets(line, sizeof(line), file))
		lines += !!strstr(line, what);
	fclose(file);
	return lines;
}

/* Touch frames until one comes from swap: the host chose which are there. */
static u64 touch_one_in_swap(struct p2m_mem *mem)
{
	u64 gfn, before = swapped();

	for (gfn = 0; gfn < mem->nr; gfn++) {
		p2m_put(TRACING "trace", "\n");
		TEST_ASSERT(!p2m_mem_wrong_pages(mem, gfn, 1), "frame %lu",
			    gfn);
		if (swapped() < before)
			break;
	}
	return gfn;
}

TEST_F(swap, a_touch_reads_without_mmap_lock)
{
	char retry[64], done[64];
	u64 gfn;

	p2m_put(TRACING "events/kvm_p2m/p2m_fault/enable", "1");
	gfn = touch_one_in_swap(&self->mem);
	ASSERT_LT(gfn, NR_FRAMES);
	/* First VM_FAULT_RETRY, which drops mmap_lock; then VM_FAULT_LOCKED. */
	snprintf(retry, sizeof(retry), "gfn=0x%lx type=paged result=0x400",
		 gfn);
	snprintf(done, sizeof(done), "gfn=0x%lx type=ram_rw result=0x200", gfn);
	EXPECT_EQ(1, traced(retry));
	EXPECT_EQ(1, traced(done));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

/*
 * The guest can be interrupted: only then does KVM let it run on, or halt it,
 * while its page is read.
 */
static void guest_touches(u64 tag, u64 writer, u64 nr)
{
	u64 gfn, sum = 0;

	asm volatile("sti");
	for (gfn = 0; gfn < nr; gfn++)
		sum += READ_ONCE(*(u64 *)(P2M_GPA + gfn * P2M_PAGE_SIZE));
	for (;;)
		GUEST_SYNC(sum);
}

TEST_F_TIMEOUT(swap, a_vcpus_touch_is_an_asynchronous_page_fault, 60)
{
	struct p2m_vm vm;

	p2m_put(TRACING "events/kvm/kvm_async_pf_completed/enable", "1");
	p2m_vm_create(&vm, &self->mem, 1, guest_touches);
	p2m_vm_run_passes(&vm, 1);
	EXPECT_GT(traced("kvm_async_pf_completed"), NR_FRAMES / 10);
	TH_LOG("%lu asynchronous page faults",
	       traced("kvm_async_pf_completed"));
	p2m_vm_destroy(&vm);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

static u64 major_faults(void)
{
	struct rusage usage;

	TEST_ASSERT(!getrusage(RUSAGE_THREAD, &usage), "getrusage");
	return usage.ru_majflt;
}

TEST_F(swap, what_comes_from_the_store_is_a_major_fault)
{
	u64 before = major_faults();
	u64 events = p2m_get("/proc/vmstat", "pgmajfault ");

	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, major_faults() - before);
	EXPECT_LE(NR_FRAMES, p2m_get("/proc/vmstat", "pgmajfault ") - events);
	/* It is the same if nothing has to be read from swap. */
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	before = major_faults();
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, major_faults() - before);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, major_faults() - before);
}

TEST_HARNESS_MAIN
