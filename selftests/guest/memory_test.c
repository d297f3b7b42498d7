// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's memory is charged to the cgroup of the process that opened it, even
 * if another process makes the guest grow.  If that cgroup is at its limit, the
 * services fail with ENOMEM, and no process is killed.
 */
#include <errno.h>
#include <signal.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define CGROUP		P2M_CGROUPS "p2m"
#define NR_FRAMES	(8 * P2M_CHUNK)
#define CONSOLE_LEVEL	8	/* of syslog(2) */
/* More frames than two CPUs keep as stocks of charged pages */
#define SLACK		1024UL
/* The lock needs a table for each GB, of 8 pages at once. */
#define NR_GB		64
#define GB		(512 * P2M_CHUNK)

static u64 killed(void)
{
	return p2m_get(CGROUP "/memory.events", "oom_kill ");
}

FIXTURE(memory)
{
	struct p2m_mem mem;	/* of the guest of a process in the cgroup */
	pid_t vmm;
	int socket;		/* to tell that process what to touch */
};

FIXTURE_VARIANT(memory)
{
	void *(*map)(int fd, u64 gfn, u64 nr);
};

FIXTURE_VARIANT_ADD(memory, small)
{
	.map = p2m_map,
};

FIXTURE_VARIANT_ADD(memory, huge)
{
	.map = p2m_map_huge,
};

#define TOUCH_ALL	'a'
#define TOUCH_GBS	'f'

/* In the cgroup: open a guest, and touch it when told to. */
static void be_vmm(int socket, void *(*map)(int fd, u64 gfn, u64 nr))
{
	struct p2m_mem mem = { .nr = NR_FRAMES, .tag = 1 };
	char word, *gb[NR_GB];
	int i;

	p2m_put(CGROUP "/cgroup.procs", "%d", getpid());
	mem.fd = p2m_open();
	mem.hva = map(mem.fd, 0, NR_FRAMES);
	for (i = 1; i < NR_GB; i++)
		gb[i] = p2m_map(mem.fd, i * GB, 1);
	TEST_ASSERT(write(socket, &mem.fd, sizeof(mem.fd)) > 0, "write");
	while (read(socket, &word, 1) == 1) {
		if (word == TOUCH_ALL)
			p2m_mem_fill(&mem, 0, NR_FRAMES);
		for (i = 1; word == TOUCH_GBS && i < NR_GB; i++)
			*gb[i] = 1;
		TEST_ASSERT(write(socket, &word, 1) == 1, "write");
	}
	_exit(0);
}

FIXTURE_SETUP(memory)
{
	int sockets[2], fd;

	if (!p2m_cgroup_create(CGROUP))
		SKIP(return, "no cgroups");
	ASSERT_TRUE(p2m_all_freed());
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	self->vmm = p2m_fork();
	if (!self->vmm) {
		close(sockets[0]);
		be_vmm(sockets[1], variant->map);
	}
	close(sockets[1]);
	self->socket = sockets[0];
	ASSERT_EQ(sizeof(fd), read(self->socket, &fd, sizeof(fd)));
	self->mem.fd = p2m_take_fd(self->vmm, fd);
	self->mem.nr = NR_FRAMES;
	self->mem.tag = 1;
	self->mem.hva = variant->map(self->mem.fd, 0, NR_FRAMES);
}

FIXTURE_TEARDOWN(memory)
{
	if (!self->vmm)
		return;
	p2m_mem_close(&self->mem);
	kill(self->vmm, SIGKILL);
	p2m_wait(self->vmm);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* The cgroup can get this many bytes more, and then not one page. */
static void set_limit(u64 more)
{
	p2m_put(CGROUP "/memory.max", "%lu",
		p2m_get(CGROUP "/memory.current", NULL) + more);
}

TEST_F(memory, a_touch_by_another_process_is_charged_to_the_guests_own)
{
	u64 before = p2m_get(CGROUP "/memory.current", NULL), after;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	after = p2m_get(CGROUP "/memory.current", NULL);
	/* Each reading has the stocks in it. */
	EXPECT_GT(after - before, (NR_FRAMES - SLACK) * P2M_PAGE_SIZE);
	EXPECT_LT(after - before, (NR_FRAMES + SLACK) * P2M_PAGE_SIZE);
}

/* Call a service at the limit.  Afterwards an audit finds no error. */
static int try(struct p2m_mem *mem, unsigned long cmd, void *arg)
{
	int err = p2m_call(mem->fd, cmd, arg);

	TEST_ASSERT(!err || err == -ENOMEM, "%#lx: %s", cmd, strerror(-err));
	p2m_audit(mem->fd);
	return err;
}

static u64 move_until_full(struct p2m_mem *mem, unsigned long cmd)
{
	struct p2m_range range = { .size = sizeof(range) };
	u64 done = 0;

	for (range.next = 0; range.next < mem->nr; done += range.done) {
		range.gfn = range.next;
		range.nr = mem->nr - range.gfn;
		if (try(mem, cmd, &range))
			break;
	}
	return done;
}

TEST_F_TIMEOUT(memory, page_out_at_the_limit_kills_nobody, 120)
{
	u64 done;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	set_limit(0);
	done = move_until_full(&self->mem, P2M_PAGE_OUT);
	TH_LOG("%lu paged out", done);
	EXPECT_EQ(0, killed());
	ASSERT_TRUE(p2m_is_alive(self->vmm));
	/* Frames that went out can come back: that charges nothing. */
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(0, killed());
}

TEST_F_TIMEOUT(memory, other_services_at_the_limit_kill_nobody, 120)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };
	struct p2m_dirty_switch log = { .size = sizeof(log) };
	struct p2m_scan scan = { .size = sizeof(scan) };
	struct p2m_foreign foreign = {
		.size = sizeof(foreign),
		.gfn = NR_FRAMES / 2,
		.nr = NR_FRAMES / 2,
	};
	u64 half = NR_FRAMES / 2;

	p2m_mem_fill(&self->mem, 0, half);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	memset(p2m_page(&self->mem, 64), 0, 256 * P2M_PAGE_SIZE);
	set_limit(0);
	/* These frames have no pages.  A touch would give each of them one. */
	EXPECT_EQ(-ENOMEM, try(&self->mem, P2M_FOREIGN_MAP, &foreign));
	for (scan.next = 0; scan.next < NR_FRAMES;) {
		scan.gfn = scan.next;
		scan.nr = NR_FRAMES - scan.gfn;
		if (try(&self->mem, P2M_SHARE_SCAN, &scan))
			break;
	}
	move_until_full(&self->mem, P2M_COLLAPSE);
	move_until_full(&self->mem, P2M_POD_SWEEP);
	if (!try(&self->mem, P2M_DIRTY_START, &log))
		ASSERT_EQ(0, try(&self->mem, P2M_DIRTY_STOP, &log));
	move_until_full(&self->mem, P2M_UNSHARE);
	move_until_full(&self->mem, P2M_PAGE_OUT);
	move_until_full(&self->mem, P2M_PAGE_IN);
	EXPECT_EQ(0, killed());
	ASSERT_TRUE(p2m_is_alive(self->vmm));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 64));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 64, 256));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 320, half - 320));
}

/* The process touches what it has no room for.  Is it killed for that? */
static bool is_killed_at(int socket, char word)
{
	u64 before = killed();
	bool dead;

	/* Hide the kernel's report: its stack trace looks like a failure. */
	klogctl(CONSOLE_LEVEL, NULL, 1);
	TEST_ASSERT(write(socket, &word, 1) == 1, "write");
	dead = !read(socket, &word, 1);
	klogctl(CONSOLE_LEVEL, NULL, 5);
	return dead && !before && killed() == 1;
}

/* A touch cannot go on without its page, so memory.max may kill for it. */
TEST_F_TIMEOUT(memory, a_touch_at_the_limit_is_an_out_of_memory_event, 60)
{
	p2m_mem_fill(&self->mem, 0, NR_FRAMES / 2);
	set_limit(0);
	EXPECT_TRUE(is_killed_at(self->socket, TOUCH_ALL));
}

/* In the end there is room for a page, but not for a table of the lock. */
TEST_F_TIMEOUT(memory, a_touch_that_needs_more_than_a_page_is_one_too, 60)
{
	/* For some tables, and for what comes with each; four pages are left. */
	set_limit((8 * NR_GB / 4 + 4) * P2M_PAGE_SIZE);
	EXPECT_TRUE(is_killed_at(self->socket, TOUCH_GBS));
}

TEST_HARNESS_MAIN
