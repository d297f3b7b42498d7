// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of memory of /dev/p2m for a KVM guest, compared with the means that
 * Linux has for the same purpose.  scripts/bench-guest runs this program, and
 * makes figures from its output.
 *
 *	bench REPEATS
 *
 * Run it where an instruction takes a nanosecond (scripts/vm --icount).  The
 * time-stamp counter then counts all instructions of the one CPU: those of the
 * guest, of the VMM and its threads, and of kernel threads.  It needs zram as
 * swap.
 *
 * Every repeat does every case, one after the other.  Each case has memory and
 * a guest of its own, and prints
 *
 *	bench: CASE PAGES INSTRUCTIONS
 */
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "p2m_guest.h"

/* 16 MB */
#define NR_FRAMES	4096UL
#define NR_BYTES	(NR_FRAMES * P2M_PAGE_SIZE)
#define SIZE_2M		(P2M_CHUNK * P2M_PAGE_SIZE)
/* Frames that the pager takes away at a time, as many as P2M_PAGE_OUT does */
#define BATCH		64UL

/* ------------------------------------------------------------------ */
/* Time                                                                */
/* ------------------------------------------------------------------ */

static u64 now(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (u64)high << 32 | low;
}

static void report(const char *name, u64 pages, u64 instructions)
{
	printf("bench: %s %lu %lu\n", name, pages, instructions);
}

/* The clock must count instructions.  A few interrupts may come between. */
static void check_clock(void)
{
	u64 loops = 10000000, start = now(), ticks;

	asm volatile("1: dec %0\n\tjnz 1b" : "+r"(loops) :: "cc");
	ticks = now() - start;
	TEST_ASSERT(ticks > 20000000 && ticks < 20400000,
		    "20 million instructions took %lu ticks: run this by scripts/bench-guest",
		    ticks);
}

/* ------------------------------------------------------------------ */
/* The guest                                                           */
/* ------------------------------------------------------------------ */

/* Write to every page. */
static void guest_touch(u64 tag, u64 vcpu, u64 nr)
{
	u64 i;

	for (;;) {
		for (i = 0; i < nr; i++)
			WRITE_ONCE(*(u64 *)(P2M_GPA + i * P2M_PAGE_SIZE), i);
		GUEST_SYNC(0);
	}
}

/* Run one pass of it.  Return: the cost */
static u64 run_pass(struct p2m_vm *vm)
{
	struct ucall uc;
	u64 start = now();

	vcpu_run(vm->vcpu[0].vcpu);
	start = now() - start;
	TEST_ASSERT(get_ucall(vm->vcpu[0].vcpu, &uc) == UCALL_SYNC,
		    "the guest ended by %s",
		    exit_reason_str(vm->vcpu[0].vcpu->run->exit_reason));
	return start;
}

/* ------------------------------------------------------------------ */
/* Kinds of memory                                                     */
/* ------------------------------------------------------------------ */

static void *map_anonymous(u64 bytes)
{
	void *hva = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(hva != MAP_FAILED, "mmap");
	return hva;
}

static void advise(void *hva, u64 bytes, int advice)
{
	TEST_ASSERT(!madvise(hva, bytes, advice), "madvise %d", advice);
}

static void open_p2m(struct p2m_mem *mem)
{
	p2m_mem_open(mem, NR_FRAMES);
}

static void open_p2m_huge(struct p2m_mem *mem)
{
	*mem = (struct p2m_mem){ .fd = p2m_open(), .nr = NR_FRAMES };
	mem->hva = p2m_map_huge(mem->fd, 0, NR_FRAMES);
	TEST_ASSERT(!((unsigned long)mem->hva % SIZE_2M),
		    "not aligned to 2 MB");
}

static void open_shmem(struct p2m_mem *mem)
{
	int fd = syscall(SYS_memfd_create, "bench", 0);

	TEST_ASSERT(fd >= 0 && !ftruncate(fd, NR_BYTES), "memfd");
	*mem = (struct p2m_mem){ .fd = -1, .nr = NR_FRAMES };
	mem->hva = mmap(NULL, NR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			0);
	TEST_ASSERT(mem->hva != MAP_FAILED, "mmap");
	close(fd);
	advise(mem->hva, NR_BYTES, MADV_NOHUGEPAGE);
}

static void open_anonymous(struct p2m_mem *mem)
{
	*mem = (struct p2m_mem){ .fd = -1, .nr = NR_FRAMES };
	mem->hva = map_anonymous(NR_BYTES);
	advise(mem->hva, NR_BYTES, MADV_NOHUGEPAGE);
}

static void open_thp(struct p2m_mem *mem)
{
	unsigned long start, map;

	*mem = (struct p2m_mem){ .fd = -1, .nr = NR_FRAMES };
	map = (unsigned long)map_anonymous(NR_BYTES + SIZE_2M);
	start = (map + SIZE_2M - 1) & ~(SIZE_2M - 1);
	if (start > map)
		munmap((void *)map, start - map);
	if (start < map + SIZE_2M)
		munmap((void *)(start + NR_BYTES), map + SIZE_2M - start);
	mem->hva = (void *)start;
	advise(mem->hva, NR_BYTES, MADV_HUGEPAGE);
}

/* ------------------------------------------------------------------ */
/* A pager on userfaultfd                                              */
/* ------------------------------------------------------------------ */

/*
 * One thread that answers a touch with a copy of the page's place in @store.
 * There is one more page past the memory, which @mem->nr leaves out.  The
 * thread ends after it has answered for that page.
 */
struct pager {
	struct p2m_mem mem;
	pthread_t thread;
	int uffd;
	char *store;
	bool stop;
};

static void *run_pager(void *arg)
{
	struct pager *pager = arg;
	struct uffdio_copy copy;
	struct uffd_msg msg;

	while (!__atomic_load_n(&pager->stop, __ATOMIC_ACQUIRE)) {
		TEST_ASSERT(read(pager->uffd, &msg,
				 sizeof(msg)) == sizeof(msg) &&
			    msg.event == UFFD_EVENT_PAGEFAULT,
			    "read of userfaultfd");
		copy = (struct uffdio_copy) {
			.dst = msg.arg.pagefault.address & ~(P2M_PAGE_SIZE - 1),
			.len = P2M_PAGE_SIZE,
		};
		copy.src = (unsigned long)pager->store + copy.dst -
			   (unsigned long)pager->mem.hva;
		TEST_ASSERT(!ioctl(pager->uffd, UFFDIO_COPY, &copy),
			    "UFFDIO_COPY");
	}
	return NULL;
}

static void pager_open(struct pager *pager)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range;

	*pager = (struct pager){ .mem = { .fd = -1, .nr = NR_FRAMES } };
	pager->mem.hva = map_anonymous(NR_BYTES + P2M_PAGE_SIZE);
	pager->store = map_anonymous(NR_BYTES + P2M_PAGE_SIZE);
	advise(pager->mem.hva, NR_BYTES + P2M_PAGE_SIZE, MADV_NOHUGEPAGE);
	/* Its own faults must not make it slower. */
	memset(pager->store, 1, NR_BYTES + P2M_PAGE_SIZE);

	pager->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(pager->uffd >= 0 && !ioctl(pager->uffd, UFFDIO_API, &api),
		    "userfaultfd");
	range = (struct uffdio_register) {
		.range = { (unsigned long)pager->mem.hva,
			   NR_BYTES + P2M_PAGE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	TEST_ASSERT(!ioctl(pager->uffd, UFFDIO_REGISTER, &range),
		    "UFFDIO_REGISTER");
	TEST_ASSERT(!pthread_create(&pager->thread, NULL, run_pager, pager),
		    "pthread_create");
}

static void pager_close(struct pager *pager)
{
	/* The thread may be in read(), so touch the page past the memory. */
	__atomic_store_n(&pager->stop, true, __ATOMIC_RELEASE);
	READ_ONCE(pager->mem.hva[NR_BYTES]);
	pthread_join(pager->thread, NULL);
	close(pager->uffd);
	munmap(pager->store, NR_BYTES + P2M_PAGE_SIZE);
	munmap(pager->mem.hva, NR_BYTES + P2M_PAGE_SIZE);
}

/* The memcpy() of KVM's selftests is for guests, and copies by bytes. */
static void copy_pages(void *to, const void *from, u64 nr)
{
	struct line {
		u64 word[8];
	} *t = to;
	const struct line *f = from;
	u64 i;

	for (i = 0; i < nr * P2M_PAGE_SIZE / sizeof(*t); i++)
		t[i] = f[i];
}

/* This ignores a guest that writes meanwhile.  Otherwise it would cost more. */
static void pager_page_out(struct pager *pager)
{
	u64 gfn;

	for (gfn = 0; gfn < NR_FRAMES; gfn += BATCH) {
		void *from = pager->mem.hva + gfn * P2M_PAGE_SIZE;

		copy_pages(pager->store + gfn * P2M_PAGE_SIZE, from, BATCH);
		advise(from, BATCH * P2M_PAGE_SIZE, MADV_DONTNEED);
	}
}

/* ------------------------------------------------------------------ */
/* The first touch                                                     */
/* ------------------------------------------------------------------ */

static void measure_touch(const char *name, struct p2m_mem *mem)
{
	struct p2m_vm vm;

	p2m_vm_create(&vm, mem, 1, guest_touch);
	report(name, NR_FRAMES, run_pass(&vm));
	p2m_vm_destroy(&vm);
}

static void bench_fault(const char *name, void (*open)(struct p2m_mem *mem))
{
	struct p2m_mem mem;

	open(&mem);
	measure_touch(name, &mem);
	p2m_mem_close(&mem);
}

static void bench_fault_uffd(const char *name)
{
	struct pager pager;

	pager_open(&pager);
	measure_touch(name, &pager.mem);
	pager_close(&pager);
}

/* ------------------------------------------------------------------ */
/* Out and back                                                        */
/* ------------------------------------------------------------------ */

static u64 random_word(void)
{
	static u64 state = 88172645463325252UL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/*
 * Fill memory with contents that cannot be compressed, or that can be to about
 * a third, as most memory can.  No page is zero, and no two are equal.
 */
static void fill(struct p2m_mem *mem, bool compressible)
{
	u64 *word = (u64 *)mem->hva;
	u64 i;

	for (i = 0; i < NR_BYTES / sizeof(u64); i++)
		word[i] = compressible && i % 4 ? i / 64 % 16 : random_word();
}

static u64 sum(struct p2m_mem *mem)
{
	u64 *word = (u64 *)mem->hva;
	u64 i, sum = 0;

	for (i = 0; i < NR_BYTES / sizeof(u64); i++)
		sum = sum * 3 + word[i];
	return sum;
}

/* Pages of a private mapping that are in swap */
static u64 count_swapped(struct p2m_mem *mem)
{
	static u64 entries[NR_FRAMES];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 i, swapped = 0;

	TEST_ASSERT(pread(fd, entries, sizeof(entries),
			  (unsigned long)mem->hva / P2M_PAGE_SIZE *
			  sizeof(u64)) == sizeof(entries),
		    "read /proc/self/pagemap");
	close(fd);
	for (i = 0; i < NR_FRAMES; i++)
		swapped += entries[i] >> 62 & 1;
	return swapped;
}

static void report_pageio(const char *kind, bool compressible, u64 pages,
			  u64 out, u64 in)
{
	const char *what = compressible ? "" : "_random";
	char name[64];

	snprintf(name, sizeof(name), "pageout_%s%s", kind, what);
	report(name, pages, out);
	snprintf(name, sizeof(name), "pagein_%s%s", kind, what);
	report(name, pages, in);
}

static void bench_pageio_p2m(bool compressible)
{
	struct p2m_range range = { .size = sizeof(range), .nr = NR_FRAMES };
	struct p2m_mem mem;
	struct p2m_vm vm;
	u64 out, in, is;

	p2m_mem_open(&mem, NR_FRAMES);
	fill(&mem, compressible);
	p2m_vm_create(&vm, &mem, 1, guest_touch);
	run_pass(&vm);
	is = sum(&mem);

	out = now();
	TEST_ASSERT(!p2m_call(mem.fd, P2M_PAGE_OUT, &range), "P2M_PAGE_OUT");
	out = now() - out;
	TEST_ASSERT(range.done == NR_FRAMES, "%llu pages went out", range.done);
	in = run_pass(&vm);
	TEST_ASSERT(sum(&mem) == is, "other contents came back");

	report_pageio("p2m", compressible, NR_FRAMES, out, in);
	p2m_vm_destroy(&vm);
	p2m_mem_close(&mem);
}

static void bench_pageio_zram(bool compressible)
{
	u64 out, in, is, swapped;
	struct p2m_mem mem;
	struct p2m_vm vm;

	open_anonymous(&mem);
	fill(&mem, compressible);
	p2m_vm_create(&vm, &mem, 1, guest_touch);
	run_pass(&vm);
	is = sum(&mem);

	/* Pages that the guest has touched go only at the second call. */
	advise(mem.hva, NR_BYTES, MADV_PAGEOUT);
	out = now();
	advise(mem.hva, NR_BYTES, MADV_PAGEOUT);
	out = now() - out;
	swapped = count_swapped(&mem);
	TEST_ASSERT(swapped > NR_FRAMES * 9 / 10, "%lu pages went out",
		    swapped);
	in = run_pass(&vm);
	TEST_ASSERT(sum(&mem) == is, "other contents came back");

	report_pageio("zram", compressible, swapped, out, in);
	p2m_vm_destroy(&vm);
	p2m_mem_close(&mem);
}

static void bench_pageio_uffd(bool compressible)
{
	struct pager pager;
	struct p2m_vm vm;
	u64 out, in, is;

	pager_open(&pager);
	fill(&pager.mem, compressible);
	p2m_vm_create(&vm, &pager.mem, 1, guest_touch);
	run_pass(&vm);
	is = sum(&pager.mem);

	out = now();
	pager_page_out(&pager);
	out = now() - out;
	in = run_pass(&vm);
	TEST_ASSERT(sum(&pager.mem) == is, "other contents came back");

	report_pageio("uffd", compressible, NR_FRAMES, out, in);
	p2m_vm_destroy(&vm);
	pager_close(&pager);
}

/* ------------------------------------------------------------------ */
/* Which pages were written to                                         */
/* ------------------------------------------------------------------ */

static u64 bitmap[NR_FRAMES / 64];

/*
 * A round asks, starts again, and lets the guest write to every page.  The
 * first two rounds do not count, because everything costs more the first time.
 */
static void measure_dirty(const char *name, struct p2m_vm *vm,
			  void (*ask)(struct p2m_vm *vm))
{
	u64 i, start;

	for (i = 0; i < 3; i++) {
		start = now();
		ask(vm);
		run_pass(vm);
		start = now() - start;
	}
	report(name, NR_FRAMES, start);
	memset(bitmap, 0, sizeof(bitmap));
	ask(vm);
	for (i = 0; i < NR_FRAMES / 64; i++)
		TEST_ASSERT(!~bitmap[i], "%s: %#lx at %lu", name, bitmap[i],
			    i * 64);
}

/* One call gets the bitmap and protects the pages: this is the cheapest way. */
static void ask_kvm(struct p2m_vm *vm)
{
	kvm_vm_get_dirty_log(vm->kvm, P2M_SLOT, bitmap);
}

static void ask_p2m(struct p2m_vm *vm)
{
	struct p2m_dirty dirty = {
		.size = sizeof(dirty),
		.flags = P2M_DIRTY_CLEAN,
		.nr = NR_FRAMES,
		.bitmap = (unsigned long)bitmap,
	};

	TEST_ASSERT(!p2m_call(vm->mem->fd, P2M_DIRTY_GET, &dirty) &&
		    dirty.next == NR_FRAMES && !dirty.busy, "P2M_DIRTY_GET");
}

static void bench_dirty_p2m(void)
{
	struct p2m_dirty_switch on = { .size = sizeof(on) };
	struct p2m_mem mem;
	struct p2m_vm vm;

	open_p2m(&mem);
	p2m_vm_create(&vm, &mem, 1, guest_touch);
	run_pass(&vm);
	TEST_ASSERT(!p2m_call(mem.fd, P2M_DIRTY_START, &on), "P2M_DIRTY_START");
	measure_dirty("dirty_p2m", &vm, ask_p2m);
	p2m_vm_destroy(&vm);
	p2m_mem_close(&mem);
}

static void bench_dirty_kvm(void)
{
	struct p2m_mem mem;
	struct p2m_vm vm;

	open_shmem(&mem);
	p2m_vm_create(&vm, &mem, 1, guest_touch);
	run_pass(&vm);
	vm_set_user_memory_region(vm.kvm, P2M_SLOT, KVM_MEM_LOG_DIRTY_PAGES,
				  P2M_GPA, NR_BYTES, mem.hva);
	measure_dirty("dirty_kvm", &vm, ask_kvm);
	p2m_vm_destroy(&vm);
	p2m_mem_close(&mem);
}

/* ------------------------------------------------------------------ */
/* Equal pages                                                         */
/* ------------------------------------------------------------------ */

/* Two guests with the same contents in their memory */
struct twins {
	struct p2m_mem mem[2];
	struct p2m_vm vm[2];
	u64 sum;
};

static void twins_open(struct twins *twins, void (*open)(struct p2m_mem *mem))
{
	int i;

	for (i = 0; i < 2; i++)
		open(&twins->mem[i]);
	fill(&twins->mem[0], true);
	copy_pages(twins->mem[1].hva, twins->mem[0].hva, NR_FRAMES);
	for (i = 0; i < 2; i++) {
		p2m_vm_create(&twins->vm[i], &twins->mem[i], 1, guest_touch);
		run_pass(&twins->vm[i]);
	}
	twins->sum = sum(&twins->mem[0]);
}

static void twins_close(struct twins *twins)
{
	int i;

	for (i = 0; i < 2; i++) {
		p2m_vm_destroy(&twins->vm[i]);
		p2m_mem_close(&twins->mem[i]);
	}
}

/* One guest writes the same words to all its pages, to end the sharing. */
static u64 break_sharing(struct twins *twins)
{
	u64 took = run_pass(&twins->vm[0]);
	int i;

	for (i = 0; i < 2; i++)
		TEST_ASSERT(sum(&twins->mem[i]) == twins->sum,
			    "other contents after sharing");
	return took;
}

static void ksm_set(const char *file, u64 value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	f = fopen(path, "w");
	TEST_ASSERT(f && fprintf(f, "%lu", value) > 0 && !fclose(f), "%s",
		    path);
}

static u64 ksm_get(const char *file)
{
	char path[64];
	u64 value;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	f = fopen(path, "r");
	TEST_ASSERT(f && fscanf(f, "%lu", &value) == 1, "%s", path);
	fclose(f);
	return value;
}

/* KSM makes no pause, so that the CPU does only the measured work. */
static void bench_share_ksm(void)
{
	struct twins twins;
	u64 start;
	int i;

	twins_open(&twins, open_anonymous);
	ksm_set("sleep_millisecs", 0);
	ksm_set("pages_to_scan", NR_FRAMES / 8);
	for (i = 0; i < 2; i++)
		advise(twins.mem[i].hva, NR_BYTES, MADV_MERGEABLE);
	start = now();
	ksm_set("run", 1);
	while (ksm_get("pages_sharing") < NR_FRAMES)
		usleep(1000);
	ksm_set("run", 0);
	report("merge_ksm", NR_FRAMES, now() - start);
	report("break_ksm", NR_FRAMES, break_sharing(&twins));
	ksm_set("run", 2);
	twins_close(&twins);
}

/* Scan each guest once, in as many calls as it takes. */
static u64 scan(struct twins *twins)
{
	u64 start = now();
	int i;

	for (i = 0; i < 2; i++) {
		struct p2m_scan scan = { .size = sizeof(scan) };

		while (scan.next < NR_FRAMES) {
			scan.gfn = scan.next;
			scan.nr = NR_FRAMES - scan.gfn;
			TEST_ASSERT(!p2m_call(twins->mem[i].fd, P2M_SHARE_SCAN,
					      &scan), "P2M_SHARE_SCAN");
		}
	}
	return now() - start;
}

static void bench_share_p2m(void)
{
	struct twins twins;
	u64 took;

	twins_open(&twins, open_p2m);
	TEST_ASSERT(!p2m_set_domain(twins.mem[0].fd, 1) &&
		    !p2m_set_domain(twins.mem[1].fd, 1), "P2M_SHARE_DOMAIN");
	took = scan(&twins);
	TEST_ASSERT(p2m_stats(twins.mem[0].fd).merged +
		    p2m_stats(twins.mem[1].fd).merged == NR_FRAMES,
		    "not all was merged");
	report("merge_p2m", NR_FRAMES, took);
	report("break_p2m", NR_FRAMES, break_sharing(&twins));
	TEST_ASSERT(p2m_stats(twins.mem[0].fd).unshared == NR_FRAMES,
		    "not all was unshared");
	twins_close(&twins);
}

static void repeat(void)
{
	bench_fault("fault_p2m", open_p2m);
	bench_fault("fault_shmem", open_shmem);
	bench_fault("fault_anonymous", open_anonymous);
	bench_fault_uffd("fault_uffd");
	bench_fault("fault2m_p2m", open_p2m_huge);
	bench_fault("fault2m_thp", open_thp);
	bench_pageio_p2m(true);
	bench_pageio_zram(true);
	bench_pageio_uffd(true);
	bench_pageio_p2m(false);
	bench_pageio_zram(false);
	bench_dirty_p2m();
	bench_dirty_kvm();
	bench_share_p2m();
	bench_share_ksm();
}

int main(int argc, char **argv)
{
	int i, repeats = argc == 2 ? atoi(argv[1]) : 0;

	if (repeats < 1) {
		fprintf(stderr, "usage: %s REPEATS\n", argv[0]);
		return 2;
	}
	check_clock();
	for (i = 0; i < repeats; i++) {
		repeat();
		fflush(stdout);
	}
	return 0;
}
