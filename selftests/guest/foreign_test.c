// SPDX-License-Identifier: GPL-2.0
/*
 * Foreign mappings: another process sees a guest's frames, and may write to
 * them.  Meanwhile these frames are busy and no others are, and nothing is left
 * afterwards.  The same holds for frames whose pages the kernel pins.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	(2 * P2M_CHUNK)
#define READONLY	P2M_FOREIGN_READONLY

#ifndef AF_XDP
#define AF_XDP		44
#endif
#ifndef SOL_XDP
#define SOL_XDP		283
#endif

/* linux/io_uring.h cannot be used with the headers that KVM's tests need. */
#define IORING_REGISTER_BUFFERS	0
#define IO_URING_PARAMS_SIZE	120

static struct p2m_foreign foreign_arg(u64 gfn, u64 nr, u32 flags)
{
	return (struct p2m_foreign){
		.size = sizeof(struct p2m_foreign),
		.flags = flags,
		.gfn = gfn,
		.nr = nr,
	};
}

/* Return: a descriptor.  The call must succeed. */
static int foreign(int fd, u64 gfn, u64 nr, u32 flags)
{
	struct p2m_foreign arg;
	int ret;

	/* A vCPU's fault may hold a page of 2 MB. */
	do {
		arg = foreign_arg(gfn, nr, flags);
		ret = p2m_call(fd, P2M_FOREIGN_MAP, &arg);
	} while (ret == -EBUSY);
	TEST_ASSERT(!ret, "P2M_FOREIGN_MAP: %s", strerror(-ret));
	return arg.fd;
}

static u64 *map(int fd, u64 nr, int prot)
{
	void *p = mmap(NULL, nr * P2M_PAGE_SIZE, prot, MAP_SHARED, fd, 0);

	TEST_ASSERT(p != MAP_FAILED, "mmap of a foreign mapping");
	return p;
}

/* Page out all that can go now.  The rest of the guest is out already. */
static struct p2m_range out(int fd)
{
	return p2m_move(fd, P2M_PAGE_OUT, 0, NR_FRAMES);
}

FIXTURE(foreign)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_VARIANT(foreign)
{
	bool huge;
};

FIXTURE_VARIANT_ADD(foreign, pages_of_4k)
{
	.huge = false,
};

FIXTURE_VARIANT_ADD(foreign, pages_of_2m)
{
	.huge = true,
};

FIXTURE_SETUP(foreign)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
	if (variant->huge)
		ASSERT_EQ(0, madvise(self->mem.hva, NR_FRAMES * P2M_PAGE_SIZE,
				     MADV_HUGEPAGE));
}

FIXTURE_TEARDOWN(foreign)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

/* ------------------------------------------------------------------ */
/* Basics                                                              */
/* ------------------------------------------------------------------ */

/* Read word 1 of each frame, and write that plus 1 to word 2. */
static void guest_answers(u64 tag, u64 id, u64 nr)
{
	u64 gfn;

	for (;;) {
		for (gfn = 0; gfn < nr; gfn++) {
			u64 *page = (u64 *)P2M_GPA + gfn * P2M_WORDS;

			WRITE_ONCE(page[2], READ_ONCE(page[1]) + 1);
		}
		GUEST_SYNC(0);
	}
}

TEST_F(foreign, another_process_and_the_guest_see_each_others_writes)
{
	u64 gfn, *there, round;
	int pipes[2], fd;
	char byte;
	pid_t pid;

	p2m_vm_create(&self->vm, &self->mem, 1, guest_answers);
	p2m_vm_run_passes(&self->vm, 1);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pipes));
	pid = p2m_fork();
	if (!pid) {
		/* Take the VMM's descriptor, as p2mctl does. */
		fd = foreign(p2m_take_fd(getppid(), self->mem.fd), 3, 700, 0);
		there = map(fd, 700, PROT_READ | PROT_WRITE);
		for (round = 1; round < 4; round++) {
			for (gfn = 0; gfn < 700; gfn++)
				there[gfn * P2M_WORDS + 1] = round * 1000 + gfn;
			TEST_ASSERT(write(pipes[1], "x", 1) == 1, "write");
			TEST_ASSERT(read(pipes[1], &byte, 1) == 1, "read");
			for (gfn = 0; gfn < 700; gfn++)
				TEST_ASSERT(there[gfn * P2M_WORDS + 2] ==
					    round * 1000 + gfn + 1,
					    "frame %#lx", gfn + 3);
		}
		_exit(0);
	}
	for (round = 1; round < 4; round++) {
		ASSERT_EQ(1, read(pipes[0], &byte, 1));
		/* All frames that can be paged out are, and come back. */
		p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
		p2m_vm_run_passes(&self->vm, 1);
		for (gfn = 0; gfn < NR_FRAMES; gfn++)
			ASSERT_EQ(gfn < 3 || gfn >= 703 ? 0 :
				  round * 1000 + gfn - 3,
				  p2m_page(&self->mem, gfn)[1]);
		ASSERT_EQ(1, write(pipes[0], "x", 1));
	}
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(700, p2m_stats(self->mem.fd).foreign);
	EXPECT_EQ(variant->huge ? 2 : 0, p2m_stats(self->mem.fd).shattered);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(foreign, its_frames_are_busy_and_no_others)
{
	struct p2m_range range;
	u64 *there;
	int fd;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	fd = foreign(self->mem.fd, 5, P2M_CHUNK, 0);
	range = out(self->mem.fd);
	EXPECT_EQ(P2M_CHUNK, range.busy);
	EXPECT_EQ(NR_FRAMES - P2M_CHUNK, range.done);

	/* A mapping keeps them like the descriptor, even if untouched. */
	there = map(fd, P2M_CHUNK, PROT_READ | PROT_WRITE);
	close(fd);
	EXPECT_EQ(P2M_CHUNK, out(self->mem.fd).busy);
	WRITE_ONCE(there[0], there[0]);
	EXPECT_EQ(P2M_CHUNK, out(self->mem.fd).busy);
	EXPECT_EQ(0, memcmp(there, p2m_page(&self->mem, 5),
			    P2M_CHUNK * P2M_PAGE_SIZE));

	/* A part of the mapping keeps all frames. */
	munmap(there, (P2M_CHUNK - 1) * P2M_PAGE_SIZE);
	EXPECT_EQ(P2M_CHUNK, out(self->mem.fd).busy);
	munmap(there + (P2M_CHUNK - 1) * P2M_WORDS, P2M_PAGE_SIZE);
	range = out(self->mem.fd);
	EXPECT_EQ(0, range.busy);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

TEST_F(foreign, paged_and_untouched_frames_are_populated)
{
	u64 *there;
	int fd;

	p2m_mem_fill(&self->mem, 0, 64);
	p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	fd = foreign(self->mem.fd, 32, 64, READONLY);
	there = map(fd, 64, PROT_READ);
	EXPECT_EQ(0, memcmp(there, p2m_page(&self->mem, 32),
			    64 * P2M_PAGE_SIZE));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 64));
	munmap(there, 64 * P2M_PAGE_SIZE);
	close(fd);
}

TEST_F(foreign, readonly_is_readonly_and_sees_writes)
{
	int fd = foreign(self->mem.fd, 0, 4, READONLY);
	char there_path[64];
	u64 *there;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4 * P2M_PAGE_SIZE,
				   PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);
	there = map(fd, 4, PROT_READ);
	EXPECT_EQ(-1, mprotect(there, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	snprintf(there_path, sizeof(there_path), "/proc/self/fd/%d", fd);
	EXPECT_EQ(-1, open(there_path, O_RDWR));

	p2m_mem_fill(&self->mem, 0, 4);
	EXPECT_EQ(0, memcmp(there, self->mem.hva, 4 * P2M_PAGE_SIZE));
	munmap(there, 4 * P2M_PAGE_SIZE);
	close(fd);
}

TEST_F(foreign, two_may_overlap)
{
	int fd1, fd2;
	u64 *there1, *there2;

	fd1 = foreign(self->mem.fd, 0, 100, 0);
	fd2 = foreign(self->mem.fd, 50, 100, READONLY);
	there1 = map(fd1, 100, PROT_READ | PROT_WRITE);
	there2 = map(fd2, 100, PROT_READ);
	WRITE_ONCE(there1[50 * P2M_WORDS], 50);
	EXPECT_EQ(50, there2[0]);
	EXPECT_EQ(50, p2m_page(&self->mem, 50)[0]);
	EXPECT_EQ(150, out(self->mem.fd).busy);
	munmap(there1, 100 * P2M_PAGE_SIZE);
	close(fd1);
	EXPECT_EQ(100, out(self->mem.fd).busy);
	munmap(there2, 100 * P2M_PAGE_SIZE);
	close(fd2);
	EXPECT_EQ(0, out(self->mem.fd).busy);
}

TEST_F(foreign, what_may_be_written_to_stays_dirty)
{
	struct p2m_dirty_switch on = { .size = sizeof(on) };
	unsigned char bitmap[NR_FRAMES / 8];
	int fd, round;
	u64 *there;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_START, &on));
	close(foreign(self->mem.fd, 8, 8, READONLY));
	fd = foreign(self->mem.fd, 16, 8, 0);
	there = map(fd, 8, PROT_READ | PROT_WRITE);
	for (round = 0; round < 4; round++) {
		struct p2m_dirty arg = {
			.size = sizeof(arg), .flags = P2M_DIRTY_CLEAN,
			.nr = NR_FRAMES, .bitmap = (u64)bitmap,
		};

		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		EXPECT_EQ(round < 3 ? 8 : 0, arg.dirty);
		EXPECT_EQ(round < 3 ? 0xff : 0, bitmap[2]);
		EXPECT_EQ(round < 2 ? 8 : 0, arg.busy);
		if (round == 1) {
			WRITE_ONCE(there[0], 1);
			munmap(there, 8 * P2M_PAGE_SIZE);
			close(fd);
		}
	}
}

/* ------------------------------------------------------------------ */
/* Lifetime                                                            */
/* ------------------------------------------------------------------ */

static pid_t map_for_ever(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	int pipes[2], fd;
	u64 *there, i;
	char byte;
	pid_t pid;

	TEST_ASSERT(!pipe(pipes), "pipe");
	pid = p2m_fork();
	if (!pid) {
		fd = foreign(mem->fd, gfn, nr, 0);
		there = map(fd, nr, PROT_READ | PROT_WRITE);
		/* This process keeps nothing else of the guest. */
		munmap(mem->hva, mem->nr * P2M_PAGE_SIZE);
		close(mem->fd);
		close(fd);
		for (i = 0; i < nr; i++)
			there[i * P2M_WORDS + 7] = i;
		TEST_ASSERT(write(pipes[1], "x", 1) == 1, "write");
		for (;;)
			for (i = 0; i < nr; i++)
				TEST_ASSERT(READ_ONCE(there[i * P2M_WORDS + 7])
					    == i, "frame %#lx", gfn + i);
	}
	TEST_ASSERT(read(pipes[0], &byte, 1) == 1, "read");
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

TEST_F_TIMEOUT(foreign, one_that_lives_for_ever_is_in_nobodys_way, 60)
{
	struct p2m_dirty_switch turn = { .size = sizeof(turn) };
	struct p2m_range range;
	pid_t pid;

	pid = map_for_ever(&self->mem, P2M_CHUNK - 8, 16);
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	for (u64 gfn = 0; gfn < 16; gfn++)
		ASSERT_EQ(gfn, p2m_page(&self->mem, P2M_CHUNK - 8 + gfn)[7]);
	p2m_vm_destroy(&self->vm);

	/* Paging of the rest, log-dirty of all, and other mappings go on. */
	p2m_mem_populate(&self->mem, 0, NR_FRAMES);
	range = out(self->mem.fd);
	EXPECT_EQ(16, range.busy);
	EXPECT_EQ(NR_FRAMES - 16, range.done);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_START, &turn));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_STOP, &turn));
	close(foreign(self->mem.fd, 0, NR_FRAMES, 0));
	EXPECT_TRUE(p2m_is_alive(pid));

	/* When its process is killed, the mapping is gone. */
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_EQ(0, out(self->mem.fd).busy);
	EXPECT_EQ(0, p2m_stats(self->mem.fd).resident);
}

TEST_F(foreign, the_guest_may_go_first)
{
	u64 i, want[P2M_WORDS], *there;
	struct p2m_mem other;
	int fd;

	p2m_mem_fill(&self->mem, 0, 16);
	memcpy(want, p2m_page(&self->mem, 3), sizeof(want));
	fd = foreign(self->mem.fd, 0, 16, 0);
	p2m_mem_close(&self->mem);
	EXPECT_EQ(0, p2m_totals().guests);
	EXPECT_EQ(16, p2m_totals().pages);

	/* It can be mapped even now.  Another guest gets other pages. */
	there = map(fd, 16, PROT_READ | PROT_WRITE);
	p2m_mem_open(&other, NR_FRAMES);
	p2m_mem_fill(&other, 0, NR_FRAMES);
	EXPECT_EQ(0, memcmp(there + 3 * P2M_WORDS, want, sizeof(want)));
	for (i = 0; i < 16 * P2M_WORDS; i++)
		there[i] = i;
	EXPECT_EQ(0, p2m_mem_wrong_pages(&other, 0, NR_FRAMES));
	p2m_mem_close(&other);
	close(fd);
	munmap(there, 16 * P2M_PAGE_SIZE);
}

TEST_F_TIMEOUT(foreign, a_guest_may_be_killed_first, 60)
{
	int pipes[2], fd, taken;
	struct p2m_mem mem;
	struct p2m_vm vm;
	u64 *there;
	pid_t pid;

	p2m_mem_close(&self->mem);
	ASSERT_EQ(0, pipe(pipes));
	pid = p2m_fork();
	if (!pid) {
		p2m_mem_open(&mem, NR_FRAMES);
		p2m_vm_create(&vm, &mem, 2, p2m_guest_worker);
		p2m_vm_start(&vm);
		TEST_ASSERT(write(pipes[1], &mem.fd, 4) == 4, "write");
		for (;;)
			pause();
	}
	ASSERT_EQ(4, read(pipes[0], &fd, 4));
	taken = p2m_take_fd(pid, fd);
	fd = foreign(taken, 100, P2M_CHUNK, 0);
	close(taken);
	there = map(fd, P2M_CHUNK, PROT_READ | PROT_WRITE);
	while (!READ_ONCE(*p2m_word(there - 100 * P2M_WORDS, 100, 0)))
		usleep(1000);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_NE(0, READ_ONCE(*p2m_word(there - 100 * P2M_WORDS, 100, 0)));
	memset(there, 1, P2M_CHUNK * P2M_PAGE_SIZE);
	munmap(there, P2M_CHUNK * P2M_PAGE_SIZE);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

/* Map frames, part by part, write to a word of its own in each, and unmap. */
static pid_t map_meanwhile(struct p2m_mem *mem, u64 writer)
{
	u64 gfn, nr, pass, i, *there;
	pid_t pid = p2m_fork();
	int fd;

	for (pass = 1; !pid; pass++) {
		for (gfn = 0; gfn < mem->nr; gfn += nr) {
			nr = mem->nr - gfn < 77 ? mem->nr - gfn : 77;
			fd = foreign(mem->fd, gfn, nr, 0);
			there = map(fd, nr, PROT_READ | PROT_WRITE);
			close(fd);
			for (i = gfn; i < gfn + nr; i++) {
				u64 *word = p2m_word(there - gfn * P2M_WORDS, i,
						     writer);

				TEST_ASSERT(READ_ONCE(*word) ==
					    p2m_value(mem->tag, i, writer,
						      pass - 1),
					    "frame %#lx, pass %lu", i, pass);
				WRITE_ONCE(*word, p2m_value(mem->tag, i, writer,
							    pass));
			}
			munmap(there, nr * P2M_PAGE_SIZE);
		}
	}
	return pid;
}

TEST_F_TIMEOUT(foreign, mapping_races_with_vcpus_paging_and_log_dirty, 60)
{
	struct p2m_dirty_switch turn = { .size = sizeof(turn) };
	pid_t pids[2];
	u64 i;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_start(&self->vm);
	for (i = 0; i < 2; i++)
		pids[i] = map_meanwhile(&self->mem, 2 + i);
	while (p2m_vm_passes(&self->vm) < p2m_rounds(4)) {
		p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_START, &turn));
		p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_STOP, &turn));
	}
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(p2m_is_alive(pids[i]));
		ASSERT_EQ(0, kill(pids[i], SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(pids[i]));
	}
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	EXPECT_LT(0, p2m_stats(self->mem.fd).foreign);
}

/* ------------------------------------------------------------------ */
/* Pins by the kernel                                                  */
/* ------------------------------------------------------------------ */

#define PINNED	32	/* frames */

TEST_F(foreign, spliced_pages_are_busy_until_the_pipe_is_read)
{
	struct iovec iov = { p2m_page(&self->mem, 8), PINNED * P2M_PAGE_SIZE };
	char page[P2M_PAGE_SIZE];
	struct p2m_range range;
	int pipes[2], i;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_LE(iov.iov_len, fcntl(pipes[1], F_SETPIPE_SZ, iov.iov_len));
	ASSERT_EQ(iov.iov_len, vmsplice(pipes[1], &iov, 1, 0));
	range = out(self->mem.fd);
	/* A reference to a part of a large page holds all of it. */
	EXPECT_EQ(variant->huge ? P2M_CHUNK : PINNED, range.busy);
	EXPECT_EQ(NR_FRAMES, range.busy + range.done);
	for (i = 0; i < PINNED; i++) {
		ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], page, P2M_PAGE_SIZE));
		EXPECT_EQ(0, memcmp(page, p2m_page(&self->mem, 8 + i),
				    P2M_PAGE_SIZE));
	}
	EXPECT_EQ(0, out(self->mem.fd).busy);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	close(pipes[0]);
	close(pipes[1]);
}

/* An AF_XDP socket pins its memory for writing and for long (FOLL_LONGTERM). */
static int pin_by_socket(void *where, u64 nr)
{
	struct xdp_umem_reg reg = {
		.addr = (u64)where,
		.len = nr * P2M_PAGE_SIZE,
		.chunk_size = P2M_PAGE_SIZE,
	};
	int fd = socket(AF_XDP, SOCK_RAW, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg))) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

/*
 * Newer kernels do not pin pages for long if their mapping has ->page_mkwrite,
 * which is called at the first write to a page.  Our mappings have it, and so
 * has that of a perf event's buffer.  Try whether this kernel pins the buffer.
 */
static bool kernel_pins_for_long(void)
{
	struct perf_event_attr attr = {
		.size = PERF_ATTR_SIZE_VER0,
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
	};
	int event = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), fd;
	void *pages;

	TEST_ASSERT(event >= 0, "perf_event_open");
	pages = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED, event, 0);
	TEST_ASSERT(pages != MAP_FAILED, "mmap of a perf event");
	/* Only the first page can be written to. */
	fd = pin_by_socket(pages, 1);
	TEST_ASSERT(fd >= 0 || fd == -EFAULT, "perf's page: %s", strerror(-fd));
	if (fd >= 0)
		close(fd);
	munmap(pages, 2 * P2M_PAGE_SIZE);
	close(event);
	return fd >= 0;
}

TEST_F(foreign, pages_pinned_for_long_are_busy_where_the_kernel_pins_them)
{
	struct p2m_range range;
	int fd, i;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	fd = pin_by_socket(p2m_page(&self->mem, 8), PINNED);
	if (fd == -EAFNOSUPPORT)
		SKIP(return, "the kernel has no AF_XDP");
	if (!kernel_pins_for_long()) {
		EXPECT_EQ(-EFAULT, fd);
		EXPECT_EQ(0, out(self->mem.fd).busy);
		return;
	}
	ASSERT_LE(0, fd);
	range = out(self->mem.fd);
	EXPECT_EQ(variant->huge ? P2M_CHUNK : PINNED, range.busy);
	EXPECT_EQ(NR_FRAMES, range.busy + range.done);
	close(fd);
	/* The kernel frees the socket's memory some time after close(). */
	for (i = 0; i < 1000 && out(self->mem.fd).busy; i++)
		usleep(10000);
	EXPECT_EQ(0, out(self->mem.fd).busy);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

/* Older kernels refuse a file's pages as fixed buffers; newer ones may pin. */
TEST_F(foreign, fixed_buffers_of_io_uring_are_busy_or_refused)
{
	struct iovec iov = { self->mem.hva, 16 * P2M_PAGE_SIZE };
	u64 params[IO_URING_PARAMS_SIZE / 8] = {};
	int fd, ret;

	p2m_mem_fill(&self->mem, 0, 32);
	fd = syscall(SYS_io_uring_setup, 4, params);
	if (fd < 0)
		SKIP(return, "the kernel has no io_uring");
	ret = syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov,
		      1);
	if (ret < 0) {
		EXPECT_EQ(kernel_pins_for_long() ? EOPNOTSUPP : EFAULT, errno);
		EXPECT_EQ(0, out(self->mem.fd).busy);
	} else {
		EXPECT_TRUE(kernel_pins_for_long());
		EXPECT_LE(16, out(self->mem.fd).busy);
	}
	close(fd);
}

/* ------------------------------------------------------------------ */
/* Bad input                                                           */
/* ------------------------------------------------------------------ */

TEST_F(foreign, bad_ranges_change_nothing)
{
	static const struct {
		u64 gfn, nr;
		int error;
	} bad[] = {
		{ 0, 0, EINVAL }, { 0, P2M_FOREIGN_MAX + 1, EINVAL },
		{ 0, ~0ULL, EINVAL }, { ~0ULL, 1, EINVAL },
		{ 2, ~0ULL, EINVAL },
		{ P2M_MAX_GFNS, 1, EINVAL }, { P2M_MAX_GFNS - 1, 2, EINVAL },
		{ NR_FRAMES, 1, ERANGE }, { NR_FRAMES - 1, 2, ERANGE },
		{ 0, NR_FRAMES + 1, ERANGE }, { P2M_MAX_GFNS - 1, 1, ERANGE },
		{ NR_FRAMES, P2M_FOREIGN_MAX, ERANGE },
	};
	struct p2m_foreign arg, before;
	struct p2m_stats none, stats;
	int i, fd = dup(0);

	close(fd);
	none = p2m_stats(self->mem.fd);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		arg = foreign_arg(bad[i].gfn, bad[i].nr, i & 1);
		before = arg;
		EXPECT_EQ(-bad[i].error,
			  p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &arg))
			TH_LOG("bad range %d", i);
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg)));
	}
	arg = foreign_arg(0, 1, 0);
	arg.reserved = 1;
	EXPECT_EQ(-EINVAL, p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &arg));
	arg = foreign_arg(0, 1, 2);
	EXPECT_EQ(-EINVAL, p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &arg));
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(0, memcmp(&none, &stats, sizeof(stats)));
	EXPECT_EQ(-1, fcntl(fd, F_GETFD));
}

TEST(a_referenced_page_of_2m_is_ebusy)
{
	struct p2m_mem mem;
	struct iovec iov;
	struct p2m_foreign arg = foreign_arg(P2M_CHUNK - 1, 2, 0);
	int pipes[2];

	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&mem, NR_FRAMES);
	ASSERT_EQ(0, madvise(mem.hva, NR_FRAMES * P2M_PAGE_SIZE,
			     MADV_HUGEPAGE));
	iov = (struct iovec){ mem.hva, P2M_PAGE_SIZE };
	p2m_mem_fill(&mem, 0, NR_FRAMES);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(P2M_PAGE_SIZE, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(-EBUSY, p2m_call(mem.fd, P2M_FOREIGN_MAP, &arg));
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(0, p2m_call(mem.fd, P2M_FOREIGN_MAP, &arg));
	EXPECT_EQ(NR_FRAMES + 2, p2m_totals().pages);
	close(arg.fd);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, NR_FRAMES));
	p2m_mem_close(&mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(foreign, no_descriptor_left_is_emfile_and_nothing_is_held)
{
	struct p2m_foreign arg = foreign_arg(0, 16, 0);
	struct rlimit old, few = {};

	p2m_mem_fill(&self->mem, 0, 16);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few.rlim_max = old.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	EXPECT_EQ(-EMFILE, p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &arg));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(0, out(self->mem.fd).busy);
}

TEST_F(foreign, mmap_refuses_what_is_not_there)
{
	static const struct {
		u64 first, nr;
		int flags;
	} bad[] = {
		{ 0, 5, MAP_SHARED }, { 4, 1, MAP_SHARED },
		{ 3, 2, MAP_SHARED },
		{ (1UL << 51) - 1, 2, MAP_SHARED }, { 0, 4, MAP_PRIVATE },
	};
	int i, fd = foreign(self->mem.fd, 0, 4, 0);
	u64 *there;

	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, bad[i].nr * P2M_PAGE_SIZE,
					   PROT_READ, bad[i].flags, fd,
					   bad[i].first * P2M_PAGE_SIZE));
		EXPECT_EQ(EINVAL, errno) TH_LOG("bad mmap %d", i);
	}
	there = map(fd, 4, PROT_READ | PROT_WRITE);
	EXPECT_EQ(MAP_FAILED, mremap(there, 4 * P2M_PAGE_SIZE,
				     5 * P2M_PAGE_SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	munmap(there, 4 * P2M_PAGE_SIZE);
	/* The descriptor is not a guest, and takes no calls. */
	EXPECT_EQ(-ENOTTY, p2m_call(fd, P2M_GET_INFO,
				    &(struct p2m_info){ .size = 32 }));
	close(fd);
}

TEST_HARNESS_MAIN
