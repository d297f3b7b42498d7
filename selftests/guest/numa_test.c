// SPDX-License-Identifier: GPL-2.0
/*
 * Machines with more than one node: a page comes from where mbind(2) says, as
 * QEMU's host-nodes= and policy= ask, and what goes and comes back, or changes
 * its size, stays on its node.  And prealloc=on: MADV_POPULATE_WRITE.
 *
 * All CPUs are near node 0, so what nobody cares for comes from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define CHUNKS		4
#define NR_FRAMES	(CHUNKS * P2M_CHUNK)
#define CHUNK_SIZE	(P2M_CHUNK * P2M_PAGE_SIZE)
/* So many frames where one would do */
#define SOME		64
#define VMSTAT		"/proc/vmstat"
#define BALANCING	"/proc/sys/kernel/numa_balancing"
#define CONSOLE_LEVEL	8	/* of syslog(2) */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

/* ---- Policies and nodes ----------------------------------------------- */

static void set_policy(void *at, u64 nr, int mode, unsigned long nodes,
		       unsigned int flags)
{
	long ret = syscall(SYS_mbind, at, nr * P2M_PAGE_SIZE, mode,
			   nodes ? &nodes : NULL, nodes ? 8 * sizeof(nodes) : 0,
			   flags);

	TEST_ASSERT(!ret, "mbind: %s", strerror(errno));
}

/* As QEMU does it */
static void bind_to(void *at, u64 nr, int mode, unsigned long nodes)
{
	set_policy(at, nr, mode, nodes, MPOL_MF_STRICT | MPOL_MF_MOVE);
}

/* What was mapped before stays where it is. */
static void rebind_to(void *at, u64 nr, int mode, unsigned long nodes)
{
	set_policy(at, nr, mode, nodes, 0);
}

static void task_wants(int mode, unsigned long nodes)
{
	long ret = syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL,
			   nodes ? 8 * sizeof(nodes) : 0);

	TEST_ASSERT(!ret, "set_mempolicy: %s", strerror(errno));
}

/* The node of a frame's page.  This is a touch, if it has none. */
static int node_of(struct p2m_mem *mem, u64 gfn)
{
	int node = -1;
	long ret = syscall(SYS_get_mempolicy, &node, NULL, 0,
			   p2m_page(mem, gfn), MPOL_F_NODE | MPOL_F_ADDR);

	TEST_ASSERT(!ret, "get_mempolicy: %s", strerror(errno));
	return node;
}

/* How many of these frames are on node 1? */
static u64 far_frames(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	u64 i, far = 0;

	for (i = gfn; i < gfn + nr; i++)
		far += node_of(mem, i) == 1;
	return far;
}

static bool two_nodes(void)
{
	return !access("/sys/devices/system/node/node1", F_OK);
}

/* ---- Two doors -------------------------------------------------------- */

FIXTURE(numa)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	char dir[32];
};

FIXTURE_VARIANT(numa)
{
	bool file;
};

FIXTURE_VARIANT_ADD(numa, device)
{
	.file = false,
};

FIXTURE_VARIANT_ADD(numa, file)
{
	.file = true,
};

static int file_in(const char *dir, u64 nr)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	TEST_ASSERT(fd >= 0, "open in %s", dir);
	TEST_ASSERT(!ftruncate(fd, nr * P2M_PAGE_SIZE), "ftruncate");
	return fd;
}

FIXTURE_SETUP(numa)
{
	if (!two_nodes())
		SKIP(return, "one node: boot with numa=fake=2");
	ASSERT_TRUE(p2m_all_freed());
	if (variant->file) {
		strcpy(self->dir, "/tmp/p2m.XXXXXX");
		ASSERT_NE(NULL, mkdtemp(self->dir));
		ASSERT_EQ(0, mount("none", self->dir, "p2m", 0, ""));
		self->mem.fd = file_in(self->dir, NR_FRAMES);
	} else {
		self->mem.fd = p2m_open();
	}
	self->mem.nr = NR_FRAMES;
	self->mem.tag = 1;
}

FIXTURE_TEARDOWN(numa)
{
	if (!self->mem.fd)
		return;
	task_wants(MPOL_DEFAULT, 0);
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	if (variant->file) {
		EXPECT_EQ(0, umount(self->dir));
		rmdir(self->dir);
	}
	EXPECT_TRUE(p2m_all_freed());
}

/* Map all of the guest, for pages of 4 KB. */
static struct p2m_mem *small(struct p2m_mem *mem)
{
	mem->hva = p2m_map(mem->fd, 0, mem->nr);
	return mem;
}

/* For pages of 2 MB */
static struct p2m_mem *huge(struct p2m_mem *mem)
{
	mem->hva = p2m_map_huge(mem->fd, 0, mem->nr);
	return mem;
}

/* ---- A touch ---------------------------------------------------------- */

TEST_F(numa, a_page_comes_from_the_node_that_its_mapping_is_bound_to)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(p2m_page(mem, SOME), SOME, MPOL_BIND, 2);
	bind_to(p2m_page(mem, 2 * SOME), SOME, MPOL_PREFERRED, 2);
	p2m_mem_fill(mem, 0, 4 * SOME);
	EXPECT_EQ(0, far_frames(mem, 0, SOME));
	EXPECT_EQ(2 * SOME, far_frames(mem, SOME, 2 * SOME));
	EXPECT_EQ(0, far_frames(mem, 3 * SOME, SOME));
	EXPECT_EQ(4 * SOME, p2m_stats(mem->fd).resident);
}

TEST_F(numa, a_page_of_2_mb_does_too)
{
	struct p2m_mem *mem = huge(&self->mem);

	bind_to(p2m_page(mem, P2M_CHUNK), 2 * P2M_CHUNK, MPOL_BIND, 2);
	p2m_mem_fill(mem, 5, 1);
	p2m_mem_fill(mem, P2M_CHUNK + 5, 1);
	p2m_mem_fill(mem, 2 * P2M_CHUNK + 5, 1);
	EXPECT_EQ(3 * P2M_CHUNK, p2m_stats(mem->fd).resident);
	EXPECT_EQ(0, far_frames(mem, 0, P2M_CHUNK));
	EXPECT_EQ(2 * P2M_CHUNK, far_frames(mem, P2M_CHUNK, 2 * P2M_CHUNK));
}

TEST_F(numa, interleaved_pages_are_spread)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_INTERLEAVE, 3);
	p2m_mem_fill(mem, 0, SOME);
	EXPECT_EQ(SOME / 2, far_frames(mem, 0, SOME));
	EXPECT_NE(node_of(mem, 0), node_of(mem, 1));
}

TEST_F(numa, interleaved_pages_of_2_mb_are_spread)
{
	struct p2m_mem *mem = huge(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_INTERLEAVE, 3);
	p2m_mem_fill(mem, 0, NR_FRAMES);
	EXPECT_EQ(CHUNKS, p2m_stats(mem->fd).faults);
	EXPECT_EQ(NR_FRAMES / 2, far_frames(mem, 0, NR_FRAMES));
	EXPECT_NE(node_of(mem, 0), node_of(mem, P2M_CHUNK));
}

TEST_F(numa, without_a_policy_of_the_mapping_the_tasks_counts)
{
	struct p2m_mem *mem = small(&self->mem);

	task_wants(MPOL_BIND, 2);
	p2m_mem_fill(mem, 0, SOME);
	bind_to(p2m_page(mem, SOME), SOME, MPOL_BIND, 1);
	p2m_mem_fill(mem, SOME, SOME);
	EXPECT_EQ(SOME, far_frames(mem, 0, SOME));
	EXPECT_EQ(0, far_frames(mem, SOME, SOME));
}

TEST_F(numa, the_guests_touches_count_as_the_mappings)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	p2m_vm_create(&self->vm, mem, 2, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	EXPECT_EQ(NR_FRAMES, far_frames(mem, 0, NR_FRAMES));
}

TEST_F(numa, what_is_populated_on_demand_is_where_the_mapping_says)
{
	struct p2m_mem *mem = huge(&self->mem);
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	ASSERT_EQ(0, p2m_call(mem->fd, P2M_POD_SET, &pod));
	p2m_mem_fill(mem, 0, 1);
	EXPECT_EQ(P2M_CHUNK, p2m_stats(mem->fd).pod_populated);
	EXPECT_EQ(P2M_CHUNK, far_frames(mem, 0, P2M_CHUNK));
	madvise(mem->hva, CHUNK_SIZE * CHUNKS, MADV_NOHUGEPAGE);
	p2m_mem_fill(mem, P2M_CHUNK, SOME);
	EXPECT_EQ(P2M_CHUNK + SOME, p2m_stats(mem->fd).pod_populated);
	EXPECT_EQ(SOME, far_frames(mem, P2M_CHUNK, SOME));
}

/* Share two frames that are equal. */
static void share(struct p2m_mem *mem)
{
	struct p2m_scan scan = { .size = sizeof(scan), .nr = 2 };
	int i, ret;

	memset(mem->hva, 7, 2 * P2M_PAGE_SIZE);
	for (i = 0; i < 4 && !p2m_stats(mem->fd).shared; i++) {
		ret = p2m_call(mem->fd, P2M_SHARE_SCAN, &scan);
		TEST_ASSERT(!ret, "P2M_SHARE_SCAN: %s", strerror(-ret));
	}
	TEST_ASSERT(p2m_stats(mem->fd).shared == 2, "two frames are shared");
}

TEST_F(numa, a_shared_frame_that_is_written_gets_a_page_where_it_is_to_be)
{
	struct p2m_mem *mem = small(&self->mem);

	share(mem);
	rebind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	EXPECT_EQ(0, far_frames(mem, 0, 2));
	WRITE_ONCE(*p2m_page(mem, 1), 1);
	EXPECT_EQ(1, p2m_stats(mem->fd).unshared);
	EXPECT_EQ(0, node_of(mem, 0));
	EXPECT_EQ(1, node_of(mem, 1));
}

TEST_F(numa, a_frame_that_is_unshared_stays_on_its_node)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	share(mem);
	ASSERT_EQ(2, p2m_move(mem->fd, P2M_UNSHARE, 0, 2).done);
	EXPECT_EQ(2, far_frames(mem, 0, 2));
}

/* All nodes for the mapping are full: the kernel looks for a task to kill. */
static void fill_node(bool file, const char *dir)
{
	u64 kb = p2m_get("/sys/devices/system/node/node1/meminfo",
			 "Node 1 MemTotal: ");
	struct p2m_mem mem = { .nr = kb / 4 / P2M_CHUNK * P2M_CHUNK };
	u64 gfn;

	p2m_put("/proc/self/oom_score_adj", "1000");
	mem.fd = file ? file_in(dir, mem.nr) : p2m_open();
	huge(&mem);
	bind_to(mem.hva, mem.nr, MPOL_BIND, 2);
	for (gfn = 0; gfn < mem.nr; gfn++)
		WRITE_ONCE(*p2m_page(&mem, gfn), 1);
	_exit(1);
}

TEST_F_TIMEOUT(numa, a_touch_when_its_node_is_full_is_an_out_of_memory_event,
	       120)
{
	u64 before = p2m_get(VMSTAT, "oom_kill ");
	pid_t pid;

	small(&self->mem);
	/* Hide the kernel's report: its stack trace looks like a failure. */
	klogctl(CONSOLE_LEVEL, NULL, 1);
	pid = p2m_fork();
	if (!pid)
		fill_node(variant->file, self->dir);
	EXPECT_EQ(-SIGKILL, p2m_wait(pid));
	klogctl(CONSOLE_LEVEL, NULL, 5);
	EXPECT_EQ(before + 1, p2m_get(VMSTAT, "oom_kill "));
}

/* ---- Paging ----------------------------------------------------------- */

/* Frames on node 1, and a caller that wants node 0 */
static void far_and_out(struct p2m_mem *mem, u64 nr)
{
	u64 out;

	bind_to(mem->hva, mem->nr, MPOL_BIND, 2);
	p2m_mem_fill(mem, 0, nr);
	out = p2m_move(mem->fd, P2M_PAGE_OUT, 0, nr).done;
	TEST_ASSERT(out == nr, "%lu of %lu frames are out", out, nr);
	rebind_to(mem->hva, mem->nr, MPOL_DEFAULT, 0);
	task_wants(MPOL_BIND, 1);
}

TEST_F(numa, what_is_paged_in_returns_to_its_node)
{
	struct p2m_mem *mem = small(&self->mem);

	far_and_out(mem, SOME);
	ASSERT_EQ(SOME, p2m_move(mem->fd, P2M_PAGE_IN, 0, SOME).done);
	EXPECT_EQ(SOME, far_frames(mem, 0, SOME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, SOME));
}

TEST_F(numa, what_is_touched_returns_to_its_node)
{
	struct p2m_mem *mem = small(&self->mem);

	far_and_out(mem, SOME);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, SOME));
	EXPECT_EQ(SOME, far_frames(mem, 0, SOME));
}

TEST_F(numa, what_is_touched_comes_to_where_the_mapping_is_bound)
{
	struct p2m_mem *mem = small(&self->mem);

	far_and_out(mem, SOME);
	rebind_to(mem->hva, NR_FRAMES, MPOL_BIND, 1);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, SOME));
	EXPECT_EQ(0, far_frames(mem, 0, SOME));
}

TEST_F(numa, what_is_written_to_the_file_returns_to_its_node)
{
	struct p2m_mem *mem = small(&self->mem);

	far_and_out(mem, 2);
	if (variant->file)
		ASSERT_EQ(1, pwrite(mem->fd, "x", 1, P2M_PAGE_SIZE));
	EXPECT_EQ(2, far_frames(mem, 0, 2));
}

TEST_F(numa, what_a_pager_brings_returns_to_its_node)
{
	struct p2m_pager_attach attach = {
		.size = sizeof(attach), .policy = P2M_PAGER_STORE,
	};
	struct p2m_pager_detach detach = { .size = sizeof(detach) };
	struct p2m_mem *mem = small(&self->mem);
	char page[P2M_PAGE_SIZE];
	struct p2m_page arg = { .size = sizeof(arg), .addr = (u64)page };

	bind_to(mem->hva, mem->nr, MPOL_BIND, 2);
	p2m_mem_fill(mem, 0, 1);
	ASSERT_EQ(0, p2m_call(mem->fd, P2M_PAGER_ATTACH, &attach));
	ASSERT_EQ(1, p2m_move(mem->fd, P2M_NOMINATE, 0, 1).done);
	ASSERT_EQ(0, p2m_call(mem->fd, P2M_EVICT, &arg));
	arg.flags = P2M_PREP_RESUME;
	ASSERT_EQ(0, p2m_call(mem->fd, P2M_PREP, &arg));
	EXPECT_EQ(1, node_of(mem, 0));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, 1));
	ASSERT_EQ(0, p2m_call(mem->fd, P2M_PAGER_DETACH, &detach));
}

/* ---- 2 MB ------------------------------------------------------------- */

TEST_F(numa, a_chunk_that_is_shattered_stays_on_its_node)
{
	struct p2m_mem *mem = huge(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	p2m_mem_fill(mem, 0, P2M_CHUNK);
	rebind_to(mem->hva, NR_FRAMES, MPOL_DEFAULT, 0);
	ASSERT_EQ(1, p2m_move(mem->fd, P2M_PAGE_OUT, 7, 1).done);
	EXPECT_EQ(1, p2m_stats(mem->fd).shattered);
	EXPECT_EQ(P2M_CHUNK, far_frames(mem, 0, P2M_CHUNK));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, P2M_CHUNK));
}

TEST_F(numa, a_chunk_that_is_collapsed_is_where_most_of_it_was)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(p2m_page(mem, 100), NR_FRAMES - 100, MPOL_BIND, 2);
	p2m_mem_fill(mem, 0, P2M_CHUNK);
	ASSERT_EQ(P2M_CHUNK - 100, far_frames(mem, 0, P2M_CHUNK));
	rebind_to(mem->hva, NR_FRAMES, MPOL_DEFAULT, 0);
	ASSERT_EQ(P2M_CHUNK,
		  p2m_move(mem->fd, P2M_COLLAPSE, 0, P2M_CHUNK).done);
	EXPECT_EQ(P2M_CHUNK, far_frames(mem, 0, P2M_CHUNK));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, P2M_CHUNK));
}

/* ---- The kernel moves pages to who uses them --------------------------- */

TEST_F_TIMEOUT(numa, the_kernels_balancing_leaves_the_guest_alone, 60)
{
	struct p2m_mem *mem = huge(&self->mem);
	u64 hints;

	/* A kernel without it leaves everything alone. */
	if (access(BALANCING, W_OK))
		return;
	bind_to(mem->hva, NR_FRAMES / 2, MPOL_BIND, 2);
	/* One chunk has a page of 2 MB. */
	WRITE_ONCE(*p2m_page(mem, 0), 0);
	madvise(mem->hva, CHUNK_SIZE * CHUNKS, MADV_NOHUGEPAGE);
	p2m_vm_create(&self->vm, mem, 2, p2m_guest_worker);
	p2m_put(BALANCING, "1");
	hints = p2m_get(VMSTAT, "numa_hint_faults ");
	p2m_vm_start(&self->vm);
	while (p2m_get(VMSTAT, "numa_hint_faults ") < hints + 100)
		usleep(100000);
	p2m_vm_stop(&self->vm);
	p2m_put(BALANCING, "0");
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	EXPECT_EQ(NR_FRAMES / 2, far_frames(mem, 0, NR_FRAMES));
}

/* ---- prealloc=on ------------------------------------------------------ */

static int populate(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	return madvise(p2m_page(mem, gfn), nr * P2M_PAGE_SIZE,
		       MADV_POPULATE_WRITE) ? -errno : 0;
}

TEST_F(numa, madvise_populates_everything)
{
	struct p2m_mem *mem = small(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	ASSERT_EQ(0, populate(mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).faults);
	EXPECT_EQ(NR_FRAMES, far_frames(mem, 0, NR_FRAMES));
}

TEST_F(numa, madvise_populates_everything_by_2_mb)
{
	struct p2m_mem *mem = huge(&self->mem);

	bind_to(mem->hva, NR_FRAMES, MPOL_BIND, 2);
	ASSERT_EQ(0, populate(mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
	EXPECT_EQ(CHUNKS, p2m_stats(mem->fd).faults);
	EXPECT_EQ(NR_FRAMES, far_frames(mem, 0, NR_FRAMES));
}

/* What was read before has only zeros. */
TEST_F(numa, madvise_populates_what_was_read)
{
	struct p2m_mem *mem = small(&self->mem);

	EXPECT_EQ(0, p2m_mem_nonzero_pages(mem, 0, SOME));
	ASSERT_EQ(0, populate(mem, 0, SOME));
	EXPECT_EQ(SOME, p2m_stats(mem->fd).resident);
}

static void *populate_quarter(void *arg)
{
	struct p2m_mem part = *(struct p2m_mem *)arg;

	TEST_ASSERT(!populate(&part, 0, NR_FRAMES / 4), "populate");
	return NULL;
}

/* prealloc-threads=4 */
TEST_F(numa, threads_populate_everything)
{
	struct p2m_mem *mem = small(&self->mem), part[4];
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++) {
		part[i] = *mem;
		part[i].hva += i * (NR_FRAMES / 4) * P2M_PAGE_SIZE;
		pthread_create(&thread[i], NULL, populate_quarter, &part[i]);
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
}

/* reserve=, and programs that do not map */
TEST_F(numa, fallocate_gives_pages_where_the_task_wants_them)
{
	struct p2m_mem *mem = small(&self->mem);

	if (!variant->file)
		return;
	task_wants(MPOL_BIND, 2);
	ASSERT_EQ(0, fallocate(mem->fd, 0, 0, NR_FRAMES * P2M_PAGE_SIZE));
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
	EXPECT_EQ(NR_FRAMES, far_frames(mem, 0, NR_FRAMES));
}

/* Another process sees how far it is, and ends it. */
TEST_F(numa, populating_can_be_watched_and_killed)
{
	u64 frames = 64 * P2M_CHUNK, seen = 0, now, grew = 0;
	struct p2m_mem *mem = &self->mem;
	pid_t pid;

	mem->nr = frames;
	if (variant->file)
		ASSERT_EQ(0, ftruncate(mem->fd, frames * P2M_PAGE_SIZE));
	small(mem);
	pid = p2m_fork();
	if (!pid) {
		populate(mem, 0, frames);
		_exit(1);
	}
	while (grew < 3 && p2m_is_alive(pid)) {
		now = p2m_stats(mem->fd).resident;
		grew += now > seen;
		seen = now;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_EQ(3, grew);
	EXPECT_LT(p2m_stats(mem->fd).resident, frames);
}

TEST_HARNESS_MAIN
