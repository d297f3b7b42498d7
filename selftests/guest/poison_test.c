// SPDX-License-Identifier: GPL-2.0
/*
 * A page of a guest has a memory error.  The frame that has the page is lost,
 * its guest is told so, and nobody else notices.
 *
 * A test poisons a page by madvise(MADV_HWPOISON) or, if there is
 * hwpoison-inject, by its pfn.  The second takes no reference to the page, like
 * a real memory error.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif
#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR	4
#endif

#define NR_FRAMES	(2 * P2M_CHUNK)
#define BAD		5UL		/* the frame that is poisoned */
#define TYPE_BROKEN	9		/* in p2m_audit.types */
#define CORRUPT_PFN	"/sys/kernel/debug/hwpoison/corrupt-pfn"

/* Bits of /proc/kpageflags */
#define KPF_BUDDY	10
#define KPF_COMPOUND_TAIL 16
#define KPF_HWPOISON	19

/* Where to go on after a SIGBUS, and its siginfo */
static __thread sigjmp_buf back;
static __thread bool catching;
static __thread siginfo_t caught_info;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (!READ_ONCE(catching))
		_exit(128 + sig);
	WRITE_ONCE(catching, false);
	caught_info = *info;
	siglongjmp(back, 1);
}

static void catch_sigbus(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	TEST_ASSERT(!sigaction(SIGBUS, &action, NULL), "sigaction");
}

/* Touch a byte.  Return: 0, or the code of the SIGBUS */
static int touch(char *byte, bool write)
{
	WRITE_ONCE(catching, true);
	if (sigsetjmp(back, 1)) {
		TEST_ASSERT(caught_info.si_code != BUS_MCEERR_AR ||
			    caught_info.si_addr_lsb == 12,
			    "more than a page is said to be lost");
		return caught_info.si_code;
	}
	if (write)
		WRITE_ONCE(*byte, 1);
	else
		READ_ONCE(*byte);
	WRITE_ONCE(catching, false);
	return 0;
}

static int touch_frame(void *hva, u64 gfn, bool write)
{
	return touch((char *)hva + gfn * P2M_PAGE_SIZE, write);
}

static u64 read_u64(const char *path, u64 index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	u64 value;

	TEST_ASSERT(fd >= 0, "open %s", path);
	TEST_ASSERT(pread(fd, &value, 8, index * 8) == 8, "read %s", path);
	close(fd);
	return value;
}

/* The pfn of the page that is mapped at an address */
static u64 pfn_of(void *hva)
{
	u64 entry;

	TEST_ASSERT(!touch(hva, false), "touch");
	entry = read_u64("/proc/self/pagemap", (u64)hva / P2M_PAGE_SIZE);
	TEST_ASSERT(entry >> 63, "no page");
	return entry & ((1UL << 55) - 1);
}

static bool page_flag(u64 pfn, int bit)
{
	return read_u64("/proc/kpageflags", pfn) >> bit & 1;
}

static bool can_corrupt_pfn(void)
{
	if (access(CORRUPT_PFN, W_OK))
		(void)!system("modprobe -q hwpoison_inject");
	return !access(CORRUPT_PFN, W_OK);
}

/* Give this page a memory error, without a reference to the page. */
static void corrupt(u64 pfn)
{
	int fd = open(CORRUPT_PFN, O_WRONLY | O_CLOEXEC);
	char text[32];
	int n = snprintf(text, sizeof(text), "%#lx", pfn);

	TEST_ASSERT(fd >= 0, "open %s", CORRUPT_PFN);
	/* It fails with EBUSY where the memory manager can do no more. */
	TEST_ASSERT(write(fd, text, n) == n || errno == EBUSY, "write");
	close(fd);
	TEST_ASSERT(page_flag(pfn, KPF_HWPOISON), "pfn %#lx is not poisoned",
		    pfn);
}

static u64 pfn_of_frame(void *hva, u64 gfn)
{
	return pfn_of((char *)hva + gfn * P2M_PAGE_SIZE);
}

static u64 broken(int fd)
{
	return p2m_audit(fd).types[TYPE_BROKEN];
}

FIXTURE(poison)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	void *other;		/* a second mapping of all of it */
};

FIXTURE_VARIANT(poison)
{
	void (*open)(struct p2m_mem *mem, u64 nr);
	void *(*map)(int fd, u64 gfn, u64 nr);
};

FIXTURE_VARIANT_ADD(poison, small)
{
	.open = p2m_mem_open,
	.map = p2m_map,
};

FIXTURE_VARIANT_ADD(poison, huge)
{
	.open = p2m_mem_open_huge,
	.map = p2m_map_huge,
};

FIXTURE_SETUP(poison)
{
	ASSERT_TRUE(p2m_all_freed());
	catch_sigbus();
	variant->open(&self->mem, NR_FRAMES);
	self->other = variant->map(self->mem.fd, 0, NR_FRAMES);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
}

FIXTURE_TEARDOWN(poison)
{
	p2m_vm_destroy(&self->vm);
	munmap(self->other, NR_FRAMES * P2M_PAGE_SIZE);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/* How many frames, except @gfn, are not as they were? */
static u64 wrong_but(struct p2m_mem *mem, u64 gfn)
{
	return p2m_mem_wrong_pages(mem, 0, gfn) +
	       p2m_mem_wrong_pages(mem, gfn + 1, mem->nr - gfn - 1);
}

TEST_F(poison, a_touch_through_another_mapping_is_a_machine_check)
{
	/* This keeps a reference, and fails because it can do nothing else. */
	madvise(p2m_page(&self->mem, BAD), P2M_PAGE_SIZE, MADV_HWPOISON);
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, false));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, true));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, false));
	EXPECT_EQ(1, broken(self->mem.fd));
	EXPECT_EQ(1, p2m_stats(self->mem.fd).broken);
	EXPECT_EQ(NR_FRAMES - 1, p2m_stats(self->mem.fd).resident);
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
	EXPECT_EQ(0, p2m_move_all(self->mem.fd, P2M_PAGE_IN));
}

TEST_F(poison, an_error_found_by_the_hardware_is_found_by_a_touch)
{
	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	/* Other frames of a page of 2 MB may be touched first. */
	EXPECT_EQ(0, touch_frame(self->other, BAD + 1, false));
	/* First a read, because a write faults even where all is mapped. */
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, false));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, true));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, true));
	EXPECT_EQ(1, broken(self->mem.fd));
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
}

TEST_F(poison, a_write_to_what_is_mapped_for_reading_finds_it)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_START, &arg));
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, true));
	/*
	 * Linux holds a page of 2 MB while it asks whether a write is allowed.
	 * So the frame may be broken only now.
	 */
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, true));
	EXPECT_EQ(1, broken(self->mem.fd));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_STOP, &arg));
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
}

/* Nobody touches the bad page, and the guest goes. */
TEST_F(poison, the_page_is_not_given_out_again)
{
	u64 pfn;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	pfn = pfn_of_frame(self->mem.hva, BAD);
	corrupt(pfn);
	munmap(self->other, NR_FRAMES * P2M_PAGE_SIZE);
	p2m_mem_close(&self->mem);
	ASSERT_TRUE(p2m_all_freed());
	EXPECT_TRUE(page_flag(pfn, KPF_HWPOISON));
	EXPECT_FALSE(page_flag(pfn, KPF_BUDDY));
	if (variant->open == p2m_mem_open_huge)
		EXPECT_TRUE(page_flag(pfn, KPF_COMPOUND_TAIL));
	self->other = NULL;
}

/* ------------------------------------------------------------------ */
/* Services                                                            */
/* ------------------------------------------------------------------ */

TEST_F(poison, page_out_passes_over_it)
{
	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	EXPECT_EQ(NR_FRAMES - 1, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(NR_FRAMES - 1, p2m_totals().store);
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, false));
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
	EXPECT_EQ(1, broken(self->mem.fd));
}

TEST_F(poison, the_pager_is_not_given_it)
{
	struct p2m_pager_attach attach = {
		.size = sizeof(attach),
		.policy = P2M_PAGER_STORE,
	};
	char page[P2M_PAGE_SIZE];
	struct p2m_page arg = {
		.size = sizeof(arg),
		.gfn = BAD,
		.addr = (u64)page,
	};
	u64 pfn, bad = BAD + P2M_CHUNK;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_PAGER_ATTACH, &attach));
	/* One frame is poisoned before it is nominated, one after. */
	corrupt(pfn_of_frame(self->mem.hva, bad));
	EXPECT_EQ(7, p2m_move(self->mem.fd, P2M_NOMINATE, bad - 4, 8).done);
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, 1);
	pfn = pfn_of_frame(self->mem.hva, BAD);
	ASSERT_EQ(1, p2m_move(self->mem.fd, P2M_NOMINATE, BAD, 1).done);
	corrupt(pfn);
	EXPECT_EQ(-EHWPOISON, p2m_call(self->mem.fd, P2M_EVICT, &arg));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, false));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, bad, false));
	EXPECT_EQ(2, broken(self->mem.fd));
}

static u64 nominate(int fd, u64 gfn)
{
	struct p2m_share_nominate arg = { .size = sizeof(arg), .gfn = gfn };
	int err = p2m_call(fd, P2M_SHARE_NOMINATE, &arg);

	TEST_ASSERT(!err, "P2M_SHARE_NOMINATE of %#lx: %s", gfn,
		    strerror(-err));
	return arg.handle;
}

static int share(int fd, u64 gfn1, u64 handle1, u64 gfn2, u64 handle2)
{
	struct p2m_share arg = {
		.size = sizeof(arg),
		.source_gfn = gfn1,
		.source_handle = handle1,
		.client_fd = fd,
		.client_gfn = gfn2,
		.client_handle = handle2,
	};

	return p2m_call(fd, P2M_SHARE, &arg);
}

TEST_F(poison, it_cannot_be_shared)
{
	struct p2m_share_nominate arg = { .size = sizeof(arg), .gfn = BAD };
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };
	u64 handle1, handle2, pfn;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	memset(p2m_page(&self->mem, BAD), 0, 2 * P2M_PAGE_SIZE);
	memset(p2m_page(&self->mem, 7), 0, P2M_PAGE_SIZE);
	pfn = pfn_of_frame(self->mem.hva, BAD);
	corrupt(pfn);
	EXPECT_EQ(-ENOENT, p2m_call(self->mem.fd, P2M_SHARE_NOMINATE, &arg));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_SHARE_SCAN, &scan));
	EXPECT_EQ(1, scan.done);
	EXPECT_EQ(NR_FRAMES, scan.looked);

	memcpy(p2m_page(&self->mem, 20), p2m_page(&self->mem, 21),
	       P2M_PAGE_SIZE);
	handle1 = nominate(self->mem.fd, 20);
	handle2 = nominate(self->mem.fd, 21);
	corrupt(pfn_of_frame(self->mem.hva, 21));
	EXPECT_EQ(-EHWPOISON, share(self->mem.fd, 20, handle1, 21, handle2));
	EXPECT_EQ(-EHWPOISON, share(self->mem.fd, 21, handle2, 20, handle1));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, false));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, 21, false));
	EXPECT_EQ(2, broken(self->mem.fd));
}

TEST_F(poison, all_that_share_it_lose_it_when_they_touch_it)
{
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };
	u64 gfn;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	/* Scans remember, so use contents that no test had before. */
	for (gfn = 10; gfn < 13; gfn++)
		memcpy(p2m_page(&self->mem, gfn), p2m_page(&self->mem, 14),
		       P2M_PAGE_SIZE);
	p2m_page(&self->mem, 14)[0]++;
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_SHARE_SCAN, &scan));
	ASSERT_EQ(2, scan.done);
	ASSERT_EQ(3, p2m_audit(self->mem.fd).types[3]);
	corrupt(pfn_of_frame(self->mem.hva, 11));

	EXPECT_EQ(0, p2m_move(self->mem.fd, P2M_UNSHARE, 0, NR_FRAMES).done);
	/* One more frame with these contents shares with no other. */
	p2m_page(&self->mem, 14)[0]--;
	memcpy(p2m_page(&self->mem, 13), p2m_page(&self->mem, 14),
	       P2M_PAGE_SIZE);
	p2m_page(&self->mem, 14)[0]++;
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_SHARE_SCAN, &scan));
	EXPECT_EQ(0, scan.done);
	EXPECT_EQ(0, touch_frame(self->mem.hva, 13, true));

	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, 10, true));
	EXPECT_EQ(1, broken(self->mem.fd));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, 11, false));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, 12, true));
	EXPECT_EQ(3, broken(self->mem.fd));
	EXPECT_EQ(0, p2m_audit(self->mem.fd).types[3]);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 15, NR_FRAMES - 15));
}

TEST_F(poison, a_sweep_does_not_take_it_for_zero)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	memset(p2m_page(&self->mem, 0), 0, P2M_CHUNK * P2M_PAGE_SIZE);
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	EXPECT_EQ(P2M_CHUNK - 1,
		  p2m_move(self->mem.fd, P2M_POD_SWEEP, 0, P2M_CHUNK).done);
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->mem.hva, BAD, false));
	EXPECT_EQ(1, broken(self->mem.fd));
	/* The rest of the chunk is pod, and can be touched. */
	EXPECT_EQ(0, touch_frame(self->mem.hva, BAD + 1, true));
}

TEST_F(poison, a_chunk_with_it_is_not_collapsed)
{
	/* A chunk that has one page already is passed over. */
	u64 each = variant->open == p2m_mem_open_huge ? 0 : P2M_CHUNK;
	struct p2m_range range;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	range = p2m_move(self->mem.fd, P2M_COLLAPSE, 0, NR_FRAMES);
	EXPECT_EQ(each, range.busy);
	EXPECT_EQ(each, range.done);
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(self->other, BAD, false));
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
}

static int foreign_map(int fd, u64 gfn, u64 nr)
{
	struct p2m_foreign arg = {
		.size = sizeof(arg),
		.gfn = gfn,
		.nr = nr,
	};
	int err = p2m_call(fd, P2M_FOREIGN_MAP, &arg);

	return err ?: arg.fd;
}

TEST_F(poison, a_foreign_mapping_is_not_made_of_it)
{
	void *there;
	int fd;

	if (!can_corrupt_pfn())
		SKIP(return, "no hwpoison-inject");
	/* A foreign mapping that is there still has the page. */
	fd = foreign_map(self->mem.fd, BAD, 2);
	ASSERT_GT(fd, 0);
	there = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, there);
	corrupt(pfn_of_frame(self->mem.hva, BAD));
	EXPECT_EQ(BUS_MCEERR_AR, touch_frame(there, 0, false));
	EXPECT_EQ(0, touch_frame(there, 1, false));
	EXPECT_EQ(-EHWPOISON, foreign_map(self->mem.fd, BAD - 1, 4));
	EXPECT_EQ(1, broken(self->mem.fd));
	EXPECT_EQ(0, munmap(there, 2 * P2M_PAGE_SIZE));
	EXPECT_EQ(0, close(fd));
}

/* ------------------------------------------------------------------ */
/* KVM                                                                 */
/* ------------------------------------------------------------------ */

static void guest_reads_the_bad_frame(u64 tag, u64 id, u64 nr)
{
	GUEST_SYNC(READ_ONCE(*((u64 *)P2M_GPA + (BAD + 1) * P2M_WORDS)));
	GUEST_SYNC(READ_ONCE(*((u64 *)P2M_GPA + BAD * P2M_WORDS)));
}

/* Run a vCPU until it is out.  Return: 0, or the code of the SIGBUS */
static int run(struct kvm_vcpu *vcpu)
{
	WRITE_ONCE(catching, true);
	if (sigsetjmp(back, 1))
		return caught_info.si_code;
	vcpu_run(vcpu);
	WRITE_ONCE(catching, false);
	return 0;
}

/* The VMM sees the touch twice, and the same for any kind of memory. */
static void run_into_it(struct __test_metadata *_metadata, struct p2m_vm *vm)
{
	struct kvm_vcpu *vcpu = vm->vcpu[0].vcpu;
	int i;

	ASSERT_EQ(0, run(vcpu));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(BUS_MCEERR_AR, run(vcpu));
		EXPECT_EQ(12, caught_info.si_addr_lsb);
		EXPECT_EQ((void *)p2m_page(vm->mem, BAD), caught_info.si_addr);
	}
}

/* The memory manager cannot unmap the page, so unmap it here. */
static void map_anew(struct p2m_mem *mem)
{
	TEST_ASSERT(mmap(mem->hva, mem->nr * P2M_PAGE_SIZE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 mem->fd, 0) == mem->hva, "mmap");
}

TEST_F(poison, kvm_tells_the_vmm_of_a_touch_by_the_guest)
{
	p2m_vm_create(&self->vm, &self->mem, 1, guest_reads_the_bad_frame);
	madvise(p2m_page(&self->mem, BAD), P2M_PAGE_SIZE, MADV_HWPOISON);
	map_anew(&self->mem);
	run_into_it(_metadata, &self->vm);
	EXPECT_EQ(1, broken(self->mem.fd));
	EXPECT_EQ(0, wrong_but(&self->mem, BAD));
}

/* If the process maps the page, newer kernels send it a signal at once. */
static void poison_mapped(void *page)
{
	WRITE_ONCE(catching, true);
	if (!sigsetjmp(back, 1))
		TEST_ASSERT(!madvise(page, P2M_PAGE_SIZE, MADV_HWPOISON),
			    "madvise");
	WRITE_ONCE(catching, false);
}

TEST_F(poison, kvm_does_the_same_with_a_memfd)
{
	struct p2m_mem mem = { .nr = NR_FRAMES };
	int fd = memfd_create("p2m-poison", MFD_CLOEXEC);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, NR_FRAMES * P2M_PAGE_SIZE));
	mem.hva = mmap(NULL, NR_FRAMES * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem.hva);
	p2m_mem_fill(&mem, 0, NR_FRAMES);
	p2m_vm_create(&self->vm, &mem, 1, guest_reads_the_bad_frame);
	poison_mapped(p2m_page(&mem, BAD));
	run_into_it(_metadata, &self->vm);
	p2m_vm_destroy(&self->vm);
	munmap(mem.hva, NR_FRAMES * P2M_PAGE_SIZE);
	close(fd);
}

TEST_HARNESS_MAIN
