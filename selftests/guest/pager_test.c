// SPDX-License-Identifier: GPL-2.0
/*
 * A process pages a guest.  The promises of p2m/uapi/p2m.h, under THE PAGER,
 * must hold for pagers that work well, and for those that are slow, wrong or
 * dead.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	(P2M_CHUNK + 64)
#define NR_OUT		16UL	/* frames evicted in tests that need few */
#define NR_BUSY		64UL	/* frames that vCPUs and pager always want */
#define PASSES		p2m_rounds(3)
#define MOVED		p2m_rounds(3 * NR_BUSY)
#define A_WHILE		50000	/* us: a thread that takes longer is waiting */

/* ------------------------------------------------------------------ */
/* The calls                                                           */
/* ------------------------------------------------------------------ */

static int attach(int fd, u32 policy)
{
	struct p2m_pager_attach arg = {
		.size = sizeof(arg), .policy = policy,
	};

	return p2m_call(fd, P2M_PAGER_ATTACH, &arg);
}

static int detach(int fd)
{
	struct p2m_pager_detach arg = { .size = sizeof(arg) };

	return p2m_call(fd, P2M_PAGER_DETACH, &arg);
}

static int evict(int fd, u64 gfn, void *to)
{
	struct p2m_page arg = {
		.size = sizeof(arg), .gfn = gfn, .addr = (u64)to,
	};

	return p2m_call(fd, P2M_EVICT, &arg);
}

static int prep(int fd, u64 gfn, void *from, u32 flags)
{
	struct p2m_page arg = {
		.size = sizeof(arg), .flags = flags, .gfn = gfn,
		.addr = (u64)from,
	};

	return p2m_call(fd, P2M_PREP, &arg);
}

static int range_call(int fd, unsigned long cmd, u64 gfn, u64 nr)
{
	struct p2m_range arg = { .size = sizeof(arg), .gfn = gfn, .nr = nr };

	return p2m_call(fd, cmd, &arg);
}

/* Read up to @max events into @events.  Return: how many, or -errno */
static int events(int fd, struct p2m_event *events, int max)
{
	ssize_t n;

	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	n = read(fd, events, max * sizeof(*events));
	return n < 0 ? -errno : n / (ssize_t)sizeof(*events);
}

static short polled(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	TEST_ASSERT(poll(&p, 1, timeout) >= 0, "poll");
	return p.revents;
}

static u64 paged(int fd)
{
	return p2m_stats(fd).paged;
}

/* Nominate and evict frames [gfn, gfn + nr).  Nobody else wants them. */
static void evict_all(int fd, u64 gfn, u64 nr, char *to)
{
	struct p2m_range range = p2m_move(fd, P2M_NOMINATE, gfn, nr);
	u64 i;
	int ret;

	TEST_ASSERT(range.done == nr && !range.busy,
		    "nominated %llu, %llu busy", range.done, range.busy);
	for (i = 0; i < nr; i++) {
		ret = evict(fd, gfn + i, to + i * P2M_PAGE_SIZE);
		TEST_ASSERT(!ret, "evict %#lx: %s", gfn + i, strerror(-ret));
	}
}

/* ------------------------------------------------------------------ */
/* Touches                                                             */
/* ------------------------------------------------------------------ */

/* A thread that touches a frame once and says when it is through */
struct touch {
	pthread_t thread;
	u64 *word;
	bool write;
	bool done;
};

static void *do_touch(void *arg)
{
	struct touch *touch = arg;

	if (touch->write)
		WRITE_ONCE(*touch->word, 0x77);
	else
		READ_ONCE(*touch->word);
	__atomic_store_n(&touch->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void touch_start(struct touch *touch, struct p2m_mem *mem, u64 gfn,
			bool write)
{
	*touch = (struct touch){ .word = p2m_page(mem, gfn), .write = write };
	TEST_ASSERT(!pthread_create(&touch->thread, NULL, do_touch, touch),
		    "pthread_create");
}

static bool touch_waits(struct touch *touch)
{
	usleep(A_WHILE);
	return !__atomic_load_n(&touch->done, __ATOMIC_ACQUIRE);
}

static void touch_end(struct touch *touch)
{
	pthread_join(touch->thread, NULL);
}

/* Wait until the guest has asked for this many frames in all. */
static void wait_for_events(int fd, u64 nr)
{
	while (p2m_stats(fd).events < nr)
		usleep(1000);
}

/* Read in another process.  Return: -SIGBUS, or 0 if the page is right. */
static int read_in_child(struct p2m_mem *mem, u64 gfn)
{
	pid_t pid = p2m_fork();

	if (!pid)
		_exit(!!p2m_mem_wrong_pages(mem, gfn, 1));
	return p2m_wait(pid);
}

/* ------------------------------------------------------------------ */
/* Calls that stop halfway                                             */
/* ------------------------------------------------------------------ */

/* A P2M_PREP or P2M_EVICT that stops halfway, where its memory is missing */
struct stall {
	pthread_t thread;
	unsigned long cmd;
	struct p2m_page arg;
	int fd;
	int ret;
	int uffd;
	char *memory;	/* two pages; the second one is missing */
	char rest[P2M_PAGE_SIZE];
};

static void *do_stall(void *arg)
{
	struct stall *stall = arg;

	stall->ret = p2m_call(stall->fd, stall->cmd, &stall->arg);
	return NULL;
}

/* The second page of @memory is missing until stall_end() gives it. */
static void stall_memory(struct stall *stall)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range.len = P2M_PAGE_SIZE,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	stall->memory = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(stall->memory != MAP_FAILED, "mmap");
	stall->memory[0] = 0;
	stall->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(stall->uffd >= 0, "userfaultfd");
	TEST_ASSERT(!ioctl(stall->uffd, UFFDIO_API, &api), "UFFDIO_API");
	reg.range.start = (u64)stall->memory + P2M_PAGE_SIZE;
	TEST_ASSERT(!ioctl(stall->uffd, UFFDIO_REGISTER, &reg),
		    "UFFDIO_REGISTER");
}

/* Return when half of the page has been copied.  A P2M_PREP reads @page. */
static void stall_start(struct stall *stall, int fd, unsigned long cmd, u64 gfn,
			void *page, u32 flags)
{
	struct pollfd p = { .events = POLLIN };
	struct uffd_msg msg;

	stall_memory(stall);
	memcpy(stall->memory + P2M_PAGE_SIZE / 2, page, P2M_PAGE_SIZE / 2);
	memcpy(stall->rest, page + P2M_PAGE_SIZE / 2, P2M_PAGE_SIZE / 2);
	stall->fd = fd;
	stall->cmd = cmd;
	stall->arg = (struct p2m_page){
		.size = sizeof(stall->arg), .flags = flags, .gfn = gfn,
		.addr = (u64)stall->memory + P2M_PAGE_SIZE / 2,
	};
	TEST_ASSERT(!pthread_create(&stall->thread, NULL, do_stall, stall),
		    "pthread_create");
	p.fd = stall->uffd;
	TEST_ASSERT(poll(&p, 1, 10000) == 1, "the call does not get there");
	TEST_ASSERT(read(stall->uffd, &msg, sizeof(msg)) == sizeof(msg),
		    "read");
}

/* Let the call go on.  Return: its result */
static int stall_end(struct stall *stall)
{
	struct uffdio_copy copy = {
		.dst = (u64)stall->memory + P2M_PAGE_SIZE,
		.src = (u64)stall->rest,
		.len = P2M_PAGE_SIZE,
	};

	TEST_ASSERT(!ioctl(stall->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	pthread_join(stall->thread, NULL);
	close(stall->uffd);
	munmap(stall->memory, 2 * P2M_PAGE_SIZE);
	return stall->ret;
}

/* ------------------------------------------------------------------ */
/* Pagers                                                              */
/* ------------------------------------------------------------------ */

/* A pager in a process of its own that stores to a file */
struct pager {
	pid_t pid;
	struct pager_state *state;	/* shared with it */
};

struct pager_state {
	bool attached;
	bool deaf;	/* it reads events, and does not answer */
	u64 got;	/* events */
	u64 evicted;
};

static void pager_answer(int fd, char *file, struct pager_state *state,
			 bool races)
{
	struct p2m_event event[8];
	int i, n, ret;

	n = events(fd, event, ARRAY_SIZE(event));
	TEST_ASSERT(n > 0 || n == -EAGAIN, "read: %s", strerror(-n));
	for (i = 0; i < n; i++) {
		__atomic_add_fetch(&state->got, 1, __ATOMIC_RELEASE);
		if (READ_ONCE(state->deaf))
			continue;
		ret = prep(fd, event[i].gfn,
			   file + event[i].gfn * P2M_PAGE_SIZE,
			   P2M_PREP_RESUME);
		TEST_ASSERT(!ret ||
			    (races && (ret == -EEXIST || ret == -ENOENT)),
			    "prep %#llx: %s", event[i].gfn, strerror(-ret));
	}
}

/* Evict straight into the file, so that no kill can lose a page. */
static void pager_evict(int fd, char *file, struct pager_state *state, u64 gfn,
			u64 nr)
{
	int ret;

	p2m_move(fd, P2M_NOMINATE, gfn, nr);
	for (; nr--; gfn++) {
		ret = evict(fd, gfn, file + gfn * P2M_PAGE_SIZE);
		if (ret == -ENOENT || ret == -EBUSY)
			continue;
		TEST_ASSERT(!ret, "evict %#lx: %s", gfn, strerror(-ret));
		__atomic_add_fetch(&state->evicted, 1, __ATOMIC_RELEASE);
	}
}

/* Evict [0, nr) in parts, again and again for ever, and answer in between. */
static void be_a_pager(int fd, int memfd, struct pager_state *state, u32 policy,
		       u64 nr, bool races)
{
	u64 part = 32, gfn = 0;
	char *file = mmap(NULL, NR_BUSY * P2M_PAGE_SIZE,
			  PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	int ret = attach(fd, policy);

	TEST_ASSERT(file != MAP_FAILED, "mmap of the pager's file");
	TEST_ASSERT(!ret, "attach: %s", strerror(-ret));
	__atomic_store_n(&state->attached, true, __ATOMIC_RELEASE);
	for (;;) {
		if (nr) {
			pager_evict(fd, file, state, gfn, part);
			gfn = gfn + 2 * part > nr ? 0 : gfn + part;
		}
		while (polled(fd, nr ? 0 : -1) & POLLIN) {
			pager_answer(fd, file, state, races);
			/*
			 * A vCPU that waited must get its page before that is
			 * evicted again, or no vCPU makes progress.
			 */
			usleep(READ_ONCE(state->deaf) ? 0 : 1000);
		}
	}
}

static void pager_start(struct pager *pager, int fd, int file, u32 policy,
			u64 nr, bool races)
{
	memset(pager->state, 0, sizeof(*pager->state));
	pager->pid = p2m_fork();
	if (!pager->pid)
		be_a_pager(fd, file, pager->state, policy, nr, races);
	while (!__atomic_load_n(&pager->state->attached, __ATOMIC_ACQUIRE)) {
		TEST_ASSERT(p2m_is_alive(pager->pid), "the pager lives");
		usleep(1000);
	}
}

static void pager_kill(struct pager *pager)
{
	TEST_ASSERT(p2m_is_alive(pager->pid), "the pager lives");
	TEST_ASSERT(!kill(pager->pid, SIGKILL), "kill");
	TEST_ASSERT(p2m_wait(pager->pid) == -SIGKILL, "the pager was killed");
}

/* ------------------------------------------------------------------ */
/* One process is VMM and pager                                        */
/* ------------------------------------------------------------------ */

FIXTURE(self)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	char *pages;	/* NR_OUT, then one that cannot be accessed */
	int fd;
};

FIXTURE_SETUP(self)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
	self->fd = self->mem.fd;
	self->pages = mmap(NULL, (NR_OUT + 1) * P2M_PAGE_SIZE,
			   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(MAP_FAILED, self->pages);
	ASSERT_EQ(0, mprotect(self->pages + NR_OUT * P2M_PAGE_SIZE,
			      P2M_PAGE_SIZE, PROT_NONE));
	ASSERT_EQ(0, attach(self->fd, P2M_PAGER_SIGBUS));
	p2m_mem_fill(&self->mem, 0, NR_OUT);
}

FIXTURE_TEARDOWN(self)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	munmap(self->pages, (NR_OUT + 1) * P2M_PAGE_SIZE);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(self, an_evicted_frame_is_asked_for_and_comes_back)
{
	struct p2m_event event[2];
	struct p2m_stats stats;
	struct touch touch;
	u64 i;

	evict_all(self->fd, 0, NR_OUT, self->pages);
	stats = p2m_stats(self->fd);
	EXPECT_EQ(0, stats.resident);
	EXPECT_EQ(NR_OUT, stats.paged);
	EXPECT_EQ(NR_OUT, stats.paged_out);
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(0, p2m_totals().store);
	EXPECT_EQ(0, stats.events);
	EXPECT_EQ(-EAGAIN, events(self->fd, event, 2));

	touch_start(&touch, &self->mem, 3, false);
	EXPECT_EQ(POLLIN, polled(self->fd, -1));
	EXPECT_TRUE(touch_waits(&touch));
	ASSERT_EQ(1, events(self->fd, event, 2));
	EXPECT_EQ(P2M_EVENT_POPULATE, event[0].kind);
	EXPECT_EQ(3, event[0].gfn);
	EXPECT_EQ(0, event[0].flags);
	EXPECT_EQ(0, event[0].reserved[0] | event[0].reserved[1]);
	EXPECT_EQ(0, polled(self->fd, 0));
	ASSERT_EQ(0, prep(self->fd, 3, self->pages + 3 * P2M_PAGE_SIZE,
			  P2M_PREP_RESUME));
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 3, 1));

	/* The others come though nobody asked. */
	for (i = 0; i < NR_OUT; i++)
		if (i != 3)
			ASSERT_EQ(0, prep(self->fd, i,
					  self->pages + i * P2M_PAGE_SIZE,
					  P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_OUT));
	stats = p2m_stats(self->fd);
	EXPECT_EQ(1, stats.events);
	EXPECT_EQ(0, stats.paged);
	EXPECT_EQ(NR_OUT, stats.paged_in);
}

TEST_F(self, prep_and_resume_are_two_steps)
{
	struct p2m_event event;
	struct touch touch;

	evict_all(self->fd, 0, NR_OUT, self->pages);
	touch_start(&touch, &self->mem, 5, false);
	wait_for_events(self->fd, 1);
	ASSERT_EQ(0, prep(self->fd, 5, self->pages + 5 * P2M_PAGE_SIZE, 0));
	ASSERT_EQ(0, prep(self->fd, 6, self->pages + 6 * P2M_PAGE_SIZE, 0));
	/* An event that was answered cannot be read any more. */
	EXPECT_EQ(-EAGAIN, events(self->fd, &event, 1));
	EXPECT_TRUE(touch_waits(&touch));
	EXPECT_EQ(2, p2m_move(self->fd, P2M_RESUME, 0, NR_FRAMES).done);
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 5, 2));
	EXPECT_EQ(1, p2m_stats(self->fd).events);
	EXPECT_EQ(0, p2m_move(self->fd, P2M_RESUME, 0, NR_FRAMES).done);
}

TEST_F(self, what_was_prepped_waits_for_resume_without_an_event)
{
	struct p2m_event event;
	struct touch touch;

	evict_all(self->fd, 0, NR_OUT, self->pages);
	ASSERT_EQ(0, prep(self->fd, 1, self->pages + P2M_PAGE_SIZE, 0));
	touch_start(&touch, &self->mem, 1, false);
	EXPECT_TRUE(touch_waits(&touch));
	EXPECT_EQ(-EAGAIN, events(self->fd, &event, 1));
	EXPECT_EQ(1, p2m_move(self->fd, P2M_RESUME, 1, 1).done);
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 1, 1));
}

TEST_F(self, a_touch_takes_a_nomination_back)
{
	struct p2m_range range;

	range = p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT);
	EXPECT_EQ(NR_OUT, range.done);
	EXPECT_EQ(NR_OUT, p2m_stats(self->fd).resident);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 2, 1));	/* reads */
	WRITE_ONCE(*p2m_page(&self->mem, 3), 1);
	EXPECT_EQ(-ENOENT, evict(self->fd, 2, self->pages));
	EXPECT_EQ(-ENOENT, evict(self->fd, 3, self->pages));
	EXPECT_EQ(0, evict(self->fd, 4, self->pages));
	EXPECT_EQ(-ENOENT, evict(self->fd, 4, self->pages));
	EXPECT_EQ(1, paged(self->fd));
	/* Frames still nominated are nominated again, and touched ones too. */
	EXPECT_EQ(NR_OUT - 1, p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT).done);
	EXPECT_EQ(0, evict(self->fd, 2, self->pages));
}

TEST_F(self, nominate_stops_at_max_and_passes_over_what_has_no_page)
{
	struct p2m_range range = {
		.size = sizeof(range), .nr = NR_FRAMES, .max = 5,
	};

	ASSERT_EQ(0, p2m_call(self->fd, P2M_NOMINATE, &range));
	EXPECT_EQ(5, range.done);
	EXPECT_EQ(5, range.next);
	range = p2m_move(self->fd, P2M_NOMINATE, 0, NR_FRAMES);
	EXPECT_EQ(NR_OUT, range.done);
	EXPECT_EQ(NR_FRAMES, range.next);
}

TEST_F(self, a_held_page_is_not_nominated)
{
	struct iovec iov = { p2m_page(&self->mem, 7), P2M_PAGE_SIZE };
	struct p2m_range range;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(P2M_PAGE_SIZE, vmsplice(pipes[1], &iov, 1, 0));
	range = p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT);
	EXPECT_EQ(NR_OUT - 1, range.done);
	EXPECT_EQ(1, range.busy);
	EXPECT_EQ(-ENOENT, evict(self->fd, 7, self->pages));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(NR_OUT, p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT).done);
}

TEST_F(self, evicting_to_where_nothing_can_be_written_changes_nothing)
{
	char *hole = self->pages + NR_OUT * P2M_PAGE_SIZE;

	p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT);
	EXPECT_EQ(-EFAULT, evict(self->fd, 0, hole));
	EXPECT_EQ(-EFAULT, evict(self->fd, 0, hole - P2M_PAGE_SIZE + 1));
	EXPECT_EQ(-EFAULT, evict(self->fd, 0, NULL));
	EXPECT_EQ(-EFAULT, evict(self->fd, 0, (void *)-P2M_PAGE_SIZE));
	EXPECT_EQ(0, paged(self->fd));
	EXPECT_EQ(0, evict(self->fd, 0, hole - P2M_PAGE_SIZE));
	EXPECT_EQ(1, paged(self->fd));
}

TEST_F(self, a_frame_is_not_evicted_into_itself)
{
	p2m_move(self->fd, P2M_NOMINATE, 0, NR_OUT);
	EXPECT_EQ(-ENOENT, evict(self->fd, 0, p2m_page(&self->mem, 0)));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_OUT));
	/* It may be evicted into another frame. */
	p2m_move(self->fd, P2M_NOMINATE, 0, 1);
	EXPECT_EQ(0, evict(self->fd, 0, p2m_page(&self->mem, 1)));
	EXPECT_EQ(0, prep(self->fd, 0, p2m_page(&self->mem, 1),
			  P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
}

TEST_F(self, a_wrong_answer_or_a_second_one_changes_nothing)
{
	char *hole = self->pages + NR_OUT * P2M_PAGE_SIZE, *page = self->pages;
	struct p2m_stats before, after;
	u32 flags;

	/*
	 * Frames 0 and 1 are with the pager, 2 is prepped, 3 is in the store,
	 * and the last was never touched.
	 */
	evict_all(self->fd, 0, 3, page);
	ASSERT_EQ(0, prep(self->fd, 2, page + 2 * P2M_PAGE_SIZE, 0));
	p2m_move(self->fd, P2M_PAGE_OUT, 3, 1);
	before = p2m_stats(self->fd);
	for (flags = 0; flags <= P2M_PREP_LOST; flags++) {
		EXPECT_EQ(-EEXIST, prep(self->fd, 2, page, flags));
		EXPECT_EQ(-ENOENT, prep(self->fd, 3, page, flags));
		EXPECT_EQ(-EEXIST, prep(self->fd, 4, page, flags));
		EXPECT_EQ(-ENOENT, prep(self->fd, NR_FRAMES - 1, page, flags));
		EXPECT_EQ(-ERANGE, prep(self->fd, NR_FRAMES, page, flags));
		EXPECT_EQ(-EINVAL, prep(self->fd, P2M_MAX_GFNS, page, flags));
		EXPECT_EQ(-EINVAL, prep(self->fd, ~0ULL, page, flags));
	}
	EXPECT_EQ(-EINVAL, prep(self->fd, 0, page,
				P2M_PREP_LOST | P2M_PREP_RESUME));
	EXPECT_EQ(-EFAULT, prep(self->fd, 0, hole, P2M_PREP_RESUME));
	EXPECT_EQ(-EFAULT, prep(self->fd, 0, hole - P2M_PAGE_SIZE + 1, 0));
	EXPECT_EQ(-EFAULT, prep(self->fd, 0, NULL, P2M_PREP_RESUME));
	after = p2m_stats(self->fd);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	ASSERT_EQ(0, prep(self->fd, 0, page, P2M_PREP_RESUME));
	EXPECT_EQ(-EEXIST, prep(self->fd, 0, page, P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 3, NR_OUT - 3));
}

TEST_F(self, a_discard_lets_who_waits_go_on_with_zeros)
{
	struct touch touch;

	evict_all(self->fd, 0, 2, self->pages);
	touch_start(&touch, &self->mem, 0, false);
	wait_for_events(self->fd, 1);
	EXPECT_TRUE(touch_waits(&touch));
	EXPECT_EQ(0, range_call(self->fd, P2M_DISCARD, 0, 2));
	touch_end(&touch);
	EXPECT_EQ(0, paged(self->fd));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 2));
	EXPECT_EQ(-ENOENT, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 2));
}

TEST_F(self, what_was_prepped_can_be_discarded)
{
	evict_all(self->fd, 0, 1, self->pages);
	EXPECT_EQ(0, prep(self->fd, 0, self->pages, 0));
	EXPECT_EQ(0, range_call(self->fd, P2M_DISCARD, 0, 1));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 1));
	EXPECT_EQ(NR_OUT - 1, p2m_totals().pages);
}

TEST_F(self, what_is_nominated_can_be_discarded)
{
	ASSERT_EQ(1, p2m_move(self->fd, P2M_NOMINATE, 0, 1).done);
	EXPECT_EQ(0, range_call(self->fd, P2M_DISCARD, 0, 1));
	EXPECT_EQ(-ENOENT, evict(self->fd, 0, self->pages));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 1));
	EXPECT_EQ(NR_OUT - 1, p2m_totals().pages);
}

TEST_F(self, many_events_are_read_at_once_each_once)
{
	struct p2m_event event[NR_OUT + 1];
	struct touch touch[NR_OUT];
	u64 seen = 0;
	u64 i;

	evict_all(self->fd, 0, NR_OUT, self->pages);
	for (i = 0; i < NR_OUT; i++)
		touch_start(&touch[i], &self->mem, i, i % 2);
	wait_for_events(self->fd, NR_OUT);

	ASSERT_EQ(3, events(self->fd, event, 3));
	ASSERT_EQ(NR_OUT - 3, events(self->fd, event + 3, NR_OUT - 2));
	EXPECT_EQ(-EAGAIN, events(self->fd, event + NR_OUT, 1));
	for (i = 0; i < NR_OUT; i++) {
		seen |= 1UL << event[i].gfn;
		EXPECT_EQ(event[i].gfn % 2 ? P2M_EVENT_WRITE : 0,
			  event[i].flags);
		ASSERT_EQ(0, prep(self->fd, event[i].gfn, self->pages +
				  event[i].gfn * P2M_PAGE_SIZE, 0));
	}
	EXPECT_EQ((1UL << NR_OUT) - 1, seen);
	EXPECT_EQ(NR_OUT, p2m_move(self->fd, P2M_RESUME, 0, NR_OUT).done);
	for (i = 0; i < NR_OUT; i++)
		touch_end(&touch[i]);
	for (i = 0; i < NR_OUT; i += 2)
		EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, i, 1));
	for (i = 1; i < NR_OUT; i += 2)
		EXPECT_EQ(0x77, *p2m_page(&self->mem, i));
}

TEST_F(self, a_buffer_that_cannot_be_written_to_loses_no_event)
{
	char *hole = self->pages + NR_OUT * P2M_PAGE_SIZE;
	struct p2m_event event, *last = (struct p2m_event *)hole - 1;
	struct touch touch[2];
	u64 i;

	EXPECT_EQ(-EINVAL, events(self->fd, &event, 0));
	fcntl(self->fd, F_SETFL, O_RDWR);
	EXPECT_EQ(-1, read(self->fd, &event, sizeof(event) - 1));
	EXPECT_EQ(EINVAL, errno);

	evict_all(self->fd, 0, 2, self->pages);
	for (i = 0; i < 2; i++)
		touch_start(&touch[i], &self->mem, i, false);
	wait_for_events(self->fd, 2);
	EXPECT_EQ(-EFAULT, events(self->fd, NULL, 1));
	EXPECT_EQ(-EFAULT, events(self->fd, (void *)hole, 1));
	ASSERT_EQ(1, events(self->fd, last, 2));
	ASSERT_EQ(1, events(self->fd, &event, 1));
	EXPECT_EQ(1, event.gfn + last->gfn);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, prep(self->fd, i, self->pages + i * P2M_PAGE_SIZE,
				  P2M_PREP_RESUME));
		touch_end(&touch[i]);
	}
}

static void nothing(int sig)
{
}

TEST_F(self, a_signal_ends_a_read)
{
	struct sigaction action = { .sa_handler = nothing };
	struct itimerval soon = { .it_value.tv_usec = A_WHILE };
	struct p2m_event event;

	fcntl(self->fd, F_SETFL, O_RDWR);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
	EXPECT_EQ(-1, read(self->fd, &event, sizeof(event)));
	EXPECT_EQ(EINTR, errno);
}

static void *detach_later(void *arg)
{
	usleep(A_WHILE);
	TEST_ASSERT(!detach((long)arg), "detach");
	return NULL;
}

TEST_F(self, a_read_and_a_poll_end_when_the_pager_goes)
{
	struct p2m_event event;
	pthread_t thread;

	fcntl(self->fd, F_SETFL, O_RDWR);
	pthread_create(&thread, NULL, detach_later, (void *)(long)self->fd);
	EXPECT_EQ(-1, read(self->fd, &event, sizeof(event)));
	EXPECT_EQ(ENOTCONN, errno);
	pthread_join(thread, NULL);

	ASSERT_EQ(0, attach(self->fd, P2M_PAGER_SIGBUS));
	EXPECT_EQ(0, polled(self->fd, 0));
	pthread_create(&thread, NULL, detach_later, (void *)(long)self->fd);
	EXPECT_EQ(POLLHUP, polled(self->fd, -1));
	pthread_join(thread, NULL);
}

/* Each call, by a process that is not the pager */
static void expect_not_the_pager(struct __test_metadata *_metadata, int fd)
{
	char page[P2M_PAGE_SIZE];
	struct p2m_event event;

	EXPECT_EQ(-ENOTCONN, detach(fd));
	EXPECT_EQ(-ENOTCONN, range_call(fd, P2M_NOMINATE, 0, NR_OUT));
	EXPECT_EQ(-ENOTCONN, range_call(fd, P2M_RESUME, 0, 0));
	EXPECT_EQ(-ENOTCONN, evict(fd, 0, page));
	EXPECT_EQ(-ENOTCONN, prep(fd, ~0ULL, page, 0));
	EXPECT_EQ(-ENOTCONN, events(fd, &event, 1));
	EXPECT_EQ(POLLHUP, polled(fd, 0));
}

TEST_F(self, only_the_pager_may)
{
	pid_t pid;
	int copy;

	/* A child of the pager is not the pager. */
	pid = p2m_fork();
	if (!pid) {
		expect_not_the_pager(_metadata, self->fd);
		EXPECT_EQ(-EBUSY, attach(self->fd, P2M_PAGER_STORE));
		_exit(!_metadata->passed);
	}
	ASSERT_EQ(0, p2m_wait(pid));
	/* The child ended, and so closed its descriptor: the pager stays. */
	EXPECT_EQ(-EBUSY, attach(self->fd, P2M_PAGER_SIGBUS));
	EXPECT_EQ(0, polled(self->fd, 0));
	/* A pager that has detached is not the pager any more. */
	EXPECT_EQ(0, detach(self->fd));
	expect_not_the_pager(_metadata, self->fd);
	/* A pager that has closed a duplicate is not, either. */
	ASSERT_EQ(0, attach(self->fd, P2M_PAGER_STORE));
	copy = dup(self->fd);
	EXPECT_EQ(0, polled(copy, 0));
	close(copy);
	expect_not_the_pager(_metadata, self->fd);
}

TEST_F(self, bad_input_has_the_errno_of_the_manual)
{
	static const struct {
		u64 gfn, nr;
		int error;
	} bad[] = {
		{ 0, 0, EINVAL },
		{ 0, P2M_MAX_GFNS + 1, EINVAL },
		{ P2M_MAX_GFNS, 1, EINVAL },
		{ ~0ULL, 2, EINVAL },
		{ NR_FRAMES, 1, ERANGE },
	};
	struct p2m_pager_attach arg = { .size = sizeof(arg), };
	struct p2m_stats before = p2m_stats(self->fd), after;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-bad[i].error, range_call(self->fd, P2M_NOMINATE,
						    bad[i].gfn, bad[i].nr));
		EXPECT_EQ(-bad[i].error, range_call(self->fd, P2M_RESUME,
						    bad[i].gfn, bad[i].nr));
		if (bad[i].nr != 1)
			continue;
		EXPECT_EQ(-bad[i].error, evict(self->fd, bad[i].gfn,
					       self->pages));
	}
	EXPECT_EQ(-ENOENT, evict(self->fd, 0, self->pages));
	EXPECT_EQ(-ENOENT, evict(self->fd, NR_FRAMES - 1, self->pages));

	EXPECT_EQ(-EINVAL, p2m_call(self->fd, P2M_PAGER_ATTACH, &arg));
	arg.policy = P2M_PAGER_STORE + 1;
	EXPECT_EQ(-EINVAL, p2m_call(self->fd, P2M_PAGER_ATTACH, &arg));
	arg.policy = P2M_PAGER_STORE;
	arg.reserved = 1;
	EXPECT_EQ(-EINVAL, p2m_call(self->fd, P2M_PAGER_ATTACH, &arg));
	arg.reserved = 0;
	EXPECT_EQ(-EBUSY, p2m_call(self->fd, P2M_PAGER_ATTACH, &arg));
	after = p2m_stats(self->fd);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
}

TEST_F(self, the_store_goes_on_beside_the_pager)
{
	evict_all(self->fd, 0, 4, self->pages);
	/* A nominated frame may go to the store instead. */
	p2m_move(self->fd, P2M_NOMINATE, 4, 4);
	EXPECT_EQ(NR_OUT - 4, p2m_move(self->fd, P2M_PAGE_OUT, 0, NR_OUT).done);
	EXPECT_EQ(-ENOENT, evict(self->fd, 4, self->pages));
	EXPECT_EQ(NR_OUT, paged(self->fd));
	EXPECT_EQ(NR_OUT - 4, p2m_totals().store);
	/* Frames that the pager has do not come from the store. */
	EXPECT_EQ(NR_OUT - 4, p2m_move(self->fd, P2M_PAGE_IN, 0, NR_OUT).done);
	EXPECT_EQ(4, paged(self->fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 4, NR_OUT - 4));
	EXPECT_EQ(0, p2m_stats(self->fd).events);
}

TEST_F(self, a_part_of_2_mb_is_made_a_page_first)
{
	struct p2m_mem mem = { .nr = 2 * P2M_CHUNK };

	mem.fd = p2m_open();
	mem.hva = p2m_map_huge(mem.fd, 0, mem.nr);
	p2m_mem_fill(&mem, 0, mem.nr);
	ASSERT_EQ(0, attach(mem.fd, P2M_PAGER_SIGBUS));
	evict_all(mem.fd, P2M_CHUNK - 2, 4, self->pages);
	EXPECT_EQ(mem.nr - 4, p2m_stats(mem.fd).resident);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, P2M_CHUNK - 2));
	EXPECT_EQ(0, prep(mem.fd, P2M_CHUNK, self->pages + 2 * P2M_PAGE_SIZE,
			  P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, P2M_CHUNK, 1));
	p2m_mem_close(&mem);
}

TEST_F(self, what_is_lost_is_sigbus_and_what_is_stored_is_not)
{
	struct touch touch;

	evict_all(self->fd, 0, 2, self->pages);
	ASSERT_EQ(0, detach(self->fd));
	ASSERT_EQ(0, attach(self->fd, P2M_PAGER_STORE));
	evict_all(self->fd, 2, 2, self->pages);
	EXPECT_EQ(2, p2m_totals().store);

	ASSERT_EQ(0, prep(self->fd, 0, NULL, P2M_PREP_LOST));
	EXPECT_EQ(-ENOENT, prep(self->fd, 0, self->pages, 0));
	EXPECT_EQ(-SIGBUS, read_in_child(&self->mem, 0));
	EXPECT_EQ(-SIGBUS, read_in_child(&self->mem, 0));

	/* Lost after it was asked for: the thread gets the store's copy. */
	touch_start(&touch, &self->mem, 2, false);
	wait_for_events(self->fd, 1);
	ASSERT_EQ(0, prep(self->fd, 2, NULL, P2M_PREP_LOST));
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 2, 1));
	/* A page from the pager makes the store's copy obsolete. */
	ASSERT_EQ(0, prep(self->fd, 3, self->pages + P2M_PAGE_SIZE,
			  P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 3, 1));
	EXPECT_EQ(0, p2m_totals().store);
}

TEST_F(self, a_prep_that_was_overtaken_changes_nothing)
{
	struct stall stall;
	u32 flags;

	for (flags = 0; flags <= P2M_PREP_RESUME; flags++) {
		evict_all(self->fd, 0, 1, self->pages);
		stall_start(&stall, self->fd, P2M_PREP, 0, self->pages, flags);
		ASSERT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
		WRITE_ONCE(*p2m_page(&self->mem, 0), 0x77 + flags);
		evict_all(self->fd, 0, 1, self->pages);
		EXPECT_EQ(-ESTALE, stall_end(&stall));
		EXPECT_EQ(1, paged(self->fd));
		EXPECT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
		EXPECT_EQ(0x77 + flags, *p2m_page(&self->mem, 0));
	}
}

TEST_F(self, a_prep_is_not_overtaken_by_a_touch_or_a_round_of_log_dirty)
{
	struct p2m_dirty_switch on = { .size = sizeof(on) };
	struct p2m_dirty get = {
		.size = sizeof(get), .flags = P2M_DIRTY_CLEAN, .nr = NR_OUT,
	};
	struct touch touch;
	struct stall stall;
	u64 bitmap = 0;

	get.bitmap = (u64)&bitmap;
	ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_START, &on));
	p2m_mem_fill(&self->mem, 0, 1);
	evict_all(self->fd, 0, 1, self->pages);
	stall_start(&stall, self->fd, P2M_PREP, 0, self->pages,
		    P2M_PREP_RESUME);
	ASSERT_EQ(0, p2m_call(self->fd, P2M_DIRTY_GET, &get));
	EXPECT_EQ(1, bitmap);
	touch_start(&touch, &self->mem, 0, false);
	wait_for_events(self->fd, 1);
	EXPECT_EQ(0, stall_end(&stall));
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
}

TEST_F(self, an_evict_that_was_overtaken_changes_nothing)
{
	struct p2m_range range;
	struct stall stall;

	p2m_move(self->fd, P2M_NOMINATE, 0, 1);
	stall_start(&stall, self->fd, P2M_EVICT, 0, self->pages, 0);
	WRITE_ONCE(*p2m_page(&self->mem, 0), 0x77);
	/* The call still holds a reference, so the page cannot be nominated. */
	range = p2m_move(self->fd, P2M_NOMINATE, 0, 1);
	EXPECT_EQ(0, range.done);
	EXPECT_EQ(1, range.busy);
	EXPECT_EQ(-ENOENT, evict(self->fd, 0, self->pages));
	EXPECT_EQ(-ENOENT, stall_end(&stall));
	EXPECT_EQ(0, paged(self->fd));
	EXPECT_EQ(0x77, *p2m_page(&self->mem, 0));

	/* An untouched page cannot, either; this ends its nomination. */
	p2m_move(self->fd, P2M_NOMINATE, 1, 1);
	stall_start(&stall, self->fd, P2M_EVICT, 1, self->pages, 0);
	EXPECT_EQ(-EBUSY, evict(self->fd, 1, self->pages));
	EXPECT_EQ(1, p2m_move(self->fd, P2M_NOMINATE, 1, 1).busy);
	EXPECT_EQ(-ENOENT, stall_end(&stall));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 1, NR_OUT - 1));
}

/* Another process is the pager from now on, and does nothing. */
static pid_t attach_another(int fd)
{
	pid_t pid = p2m_fork();

	if (!pid) {
		TEST_ASSERT(!attach(fd, P2M_PAGER_SIGBUS), "attach");
		raise(SIGSTOP);
		_exit(0);
	}
	TEST_ASSERT(waitpid(pid, NULL, WUNTRACED) == pid, "waitpid");
	return pid;
}

TEST_F(self, what_a_pager_began_before_it_went_changes_nothing)
{
	struct stall in, out;
	pid_t other;
	int round;

	evict_all(self->fd, 0, 1, self->pages);
	for (round = 0; round < 3; round++) {
		p2m_move(self->fd, P2M_NOMINATE, 1, 1);
		stall_start(&in, self->fd, P2M_PREP, 0, self->pages,
			    P2M_PREP_RESUME);
		stall_start(&out, self->fd, P2M_EVICT, 1, self->pages, 0);
		ASSERT_EQ(0, detach(self->fd));
		/* Then nobody is the pager, or another process, or it again. */
		if (round == 1)
			other = attach_another(self->fd);
		if (round == 2)
			ASSERT_EQ(0, attach(self->fd, P2M_PAGER_SIGBUS));
		EXPECT_EQ(round < 2 ? -ENOTCONN : -ESTALE, stall_end(&in));
		EXPECT_EQ(round < 2 ? -ENOTCONN : -ESTALE, stall_end(&out));
		EXPECT_EQ(1, paged(self->fd));
		EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 1, NR_OUT - 1));
		if (round == 1) {
			ASSERT_EQ(0, kill(other, SIGKILL));
			ASSERT_EQ(-SIGKILL, p2m_wait(other));
		}
		if (round < 2)
			ASSERT_EQ(0, attach(self->fd, P2M_PAGER_SIGBUS));
	}
	EXPECT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
}

/* Add 1 to its word of frame 0, 1000 times a pass. */
static void guest_counts_on_one_page(u64 tag, u64 id, u64 nr)
{
	u64 *word = (u64 *)P2M_GPA + id;
	u64 want = 0;
	int i;

	for (;;) {
		for (i = 0; i < 1000; i++) {
			u64 is = READ_ONCE(*word);

			GUEST_ASSERT_4(is == want, 0, want, is, want);
			WRITE_ONCE(*word, ++want);
		}
		GUEST_SYNC(want);
	}
}

TEST_F_TIMEOUT(self, two_vcpus_on_one_frame_are_one_event, 60)
{
	struct p2m_event event[2];
	u64 passes;

	memset(p2m_page(&self->mem, 0), 0, P2M_PAGE_SIZE);
	p2m_vm_create(&self->vm, &self->mem, 2, guest_counts_on_one_page);
	evict_all(self->fd, 0, 1, self->pages);
	p2m_vm_start(&self->vm);
	EXPECT_EQ(POLLIN, polled(self->fd, -1));
	usleep(A_WHILE);
	EXPECT_EQ(1, events(self->fd, event, 2));
	usleep(A_WHILE);
	EXPECT_EQ(-EAGAIN, events(self->fd, event, 2));
	EXPECT_EQ(0, p2m_vm_passes(&self->vm));
	EXPECT_EQ(1, p2m_stats(self->fd).events);
	ASSERT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
	while (p2m_vm_passes(&self->vm) < PASSES)
		usleep(1000);
	p2m_vm_stop(&self->vm);
	passes = self->vm.vcpu[0].passes;
	EXPECT_EQ(passes * 1000, *p2m_page(&self->mem, 0));
	EXPECT_EQ(1, p2m_stats(self->fd).events);
}

static void guest_writes_one_page(u64 tag, u64 id, u64 nr)
{
	for (;;) {
		WRITE_ONCE(*(u64 *)P2M_GPA, 0x77);
		GUEST_SYNC(0);
	}
}

TEST_F_TIMEOUT(self, a_vcpus_write_is_an_event_that_says_so, 60)
{
	struct p2m_event event;

	p2m_vm_create(&self->vm, &self->mem, 1, guest_writes_one_page);
	evict_all(self->fd, 0, 1, self->pages);
	p2m_vm_start(&self->vm);
	EXPECT_EQ(POLLIN, polled(self->fd, -1));
	ASSERT_EQ(1, events(self->fd, &event, 1));
	EXPECT_EQ(0, event.gfn);
	EXPECT_EQ(P2M_EVENT_WRITE, event.flags);
	ASSERT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0x77, *p2m_page(&self->mem, 0));
}

TEST_F(self, a_signal_is_handled_while_a_thread_waits)
{
	struct sigaction action = { .sa_handler = nothing };
	struct touch touch;
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	evict_all(self->fd, 0, 1, self->pages);
	touch_start(&touch, &self->mem, 0, false);
	wait_for_events(self->fd, 1);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, pthread_kill(touch.thread, SIGUSR1));
		usleep(1000);
	}
	EXPECT_TRUE(touch_waits(&touch));
	EXPECT_EQ(1, p2m_stats(self->fd).events);
	ASSERT_EQ(0, prep(self->fd, 0, self->pages, P2M_PREP_RESUME));
	touch_end(&touch);
}

TEST_F(self, who_waits_can_be_killed_and_others_go_on)
{
	struct p2m_event event;
	pid_t pid;

	evict_all(self->fd, 0, 1, self->pages);
	pid = p2m_fork();
	if (!pid) {
		/* The kernel touches for the child: write() copies the word. */
		int pipes[2];

		TEST_ASSERT(!pipe(pipes), "pipe");
		TEST_ASSERT(write(pipes[1], p2m_page(&self->mem, 0), 8) == 8,
			    "write");
		_exit(0);
	}
	wait_for_events(self->fd, 1);
	usleep(A_WHILE);
	EXPECT_TRUE(p2m_is_alive(pid));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 1, NR_OUT - 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-SIGKILL, p2m_wait(pid));
	/* Its event stays, because the frame has not come. */
	EXPECT_EQ(1, events(self->fd, &event, 1));
}

/* ------------------------------------------------------------------ */
/* The pager is a process of its own                                   */
/* ------------------------------------------------------------------ */

FIXTURE(pager)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	struct pager pager;
	int file;
};

FIXTURE_VARIANT(pager)
{
	u32 policy;
};

FIXTURE_VARIANT_ADD(pager, sigbus)
{
	.policy = P2M_PAGER_SIGBUS,
};

FIXTURE_VARIANT_ADD(pager, store)
{
	.policy = P2M_PAGER_STORE,
};

FIXTURE_SETUP(pager)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_BUSY);
	self->file = memfd_create("pager", 0);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, NR_BUSY * P2M_PAGE_SIZE));
	self->pager.state = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->pager.state);
}

FIXTURE_TEARDOWN(pager)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	close(self->file);
	munmap(self->pager.state, P2M_PAGE_SIZE);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

/* While the pager evicts, run until enough frames have gone both ways. */
static void run_with_pager(struct p2m_vm *vm, struct pager *pager)
{
	int fd = vm->mem->fd;
	struct p2m_stats stats;

	p2m_vm_start(vm);
	do {
		usleep(1000);
		TEST_ASSERT(p2m_is_alive(pager->pid), "the pager lives");
		stats = p2m_stats(fd);
	} while (p2m_vm_passes(vm) < PASSES || stats.paged_out < MOVED ||
		 stats.paged_in < MOVED);
	p2m_vm_stop(vm);
}

TEST_F_TIMEOUT(pager, memory_survives_with_two_vcpus, 120)
{
	struct p2m_stats stats;

	pager_start(&self->pager, self->mem.fd, self->file, variant->policy,
		    NR_BUSY, false);
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	run_with_pager(&self->vm, &self->pager);
	/* The host reads while the pager goes on. */
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	stats = p2m_stats(self->mem.fd);
	TH_LOG("%llu evicted, %llu events, %llu faults", stats.paged_out,
	       stats.events, stats.faults);
	pager_kill(&self->pager);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(NR_BUSY, stats.zeroed);
	EXPECT_EQ(NR_BUSY, stats.resident + stats.paged);
	EXPECT_EQ(stats.paged_out - stats.paged_in, stats.paged);
	EXPECT_EQ(variant->policy == P2M_PAGER_STORE ? stats.paged : 0,
		  p2m_totals().store);
}

TEST_F_TIMEOUT(pager, memory_survives_beside_the_kernels_store, 120)
{
	pid_t other;

	pager_start(&self->pager, self->mem.fd, self->file, variant->policy,
		    NR_BUSY, true);
	other = p2m_fork();
	if (!other) {
		for (;;) {
			p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
			usleep(3000);
			p2m_move_all(self->mem.fd, P2M_PAGE_IN);
			usleep(3000);
		}
	}
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	run_with_pager(&self->vm, &self->pager);
	ASSERT_EQ(0, kill(other, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(other));
	EXPECT_GT(self->pager.state->evicted, 0);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	pager_kill(&self->pager);
}

/* Run a vCPU until its memory is not there.  Return: the errno. */
static void *run_until_error(void *arg)
{
	struct p2m_vcpu *v = arg;
	struct ucall uc;

	while (!__vcpu_run(v->vcpu)) {
		TEST_ASSERT(get_ucall(v->vcpu, &uc) == UCALL_SYNC, "a sync");
		__atomic_add_fetch(&v->passes, 1, __ATOMIC_RELEASE);
		if (__atomic_load_n(&v->vm->stop, __ATOMIC_ACQUIRE))
			return NULL;
	}
	return (void *)(long)errno;
}

TEST_F_TIMEOUT(pager, killed_mid_populate_frees_who_waits, 120)
{
	bool store = variant->policy == P2M_PAGER_STORE;
	struct p2m_stats stats;
	pthread_t vcpu[2];
	void *error;
	u64 passes;
	int i;

	pager_start(&self->pager, self->mem.fd, self->file, variant->policy,
		    NR_BUSY, false);
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&vcpu[i], NULL, run_until_error,
					    &self->vm.vcpu[i]));
	while (p2m_stats(self->mem.fd).paged_in < NR_BUSY)
		usleep(1000);
	/* From now on the pager reads events, and does not answer. */
	WRITE_ONCE(self->pager.state->deaf, true);
	usleep(A_WHILE);
	do {
		usleep(A_WHILE);
		passes = p2m_vm_passes(&self->vm);
		usleep(A_WHILE);
	} while (passes != p2m_vm_passes(&self->vm));
	pager_kill(&self->pager);

	if (store) {
		/* All frames come back for any thread that wants them. */
		while (p2m_vm_passes(&self->vm) < passes + PASSES)
			usleep(1000);
		self->vm.stop = true;
	}
	for (i = 0; i < 2; i++) {
		pthread_join(vcpu[i], &error);
		EXPECT_EQ(store ? 0 : EFAULT, (long)error);
	}
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(NR_BUSY, stats.resident + stats.paged);
	EXPECT_EQ(store ? stats.paged : 0, p2m_totals().store);
	if (store)
		EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));

	/* A new pager goes on from there, and so do the vCPUs. */
	pager_start(&self->pager, self->mem.fd, self->file, variant->policy,
		    NR_BUSY, false);
	self->vm.stop = false;
	passes = p2m_vm_passes(&self->vm);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&vcpu[i], NULL, run_until_error,
					    &self->vm.vcpu[i]));
	while (p2m_vm_passes(&self->vm) < passes + PASSES)
		usleep(1000);
	__atomic_store_n(&self->vm.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		pthread_join(vcpu[i], &error);
		EXPECT_EQ(0, (long)error);
	}
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	pager_kill(&self->pager);
}

TEST_F_TIMEOUT(pager, prepped_and_asked_for_when_it_dies, 60)
{
	bool store = variant->policy == P2M_PAGER_STORE;
	char page[2 * P2M_PAGE_SIZE];
	int fd = self->mem.fd;
	struct touch touch;
	pid_t first, second;

	p2m_mem_fill(&self->mem, 0, 4);
	first = p2m_fork();
	if (!first) {
		TEST_ASSERT(!attach(fd, variant->policy), "attach");
		evict_all(fd, 0, 2, page);
		TEST_ASSERT(!prep(fd, 0, page, 0), "prep");
		polled(fd, -1);
		raise(SIGKILL);
	}
	while (p2m_stats(fd).paged_in < 1)
		usleep(1000);
	touch_start(&touch, &self->mem, 0, false);
	second = p2m_fork();
	if (!second)
		_exit(!!p2m_mem_wrong_pages(&self->mem, 1, 1));
	EXPECT_EQ(-SIGKILL, p2m_wait(first));
	touch_end(&touch);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
	EXPECT_EQ(store ? 0 : -SIGBUS, p2m_wait(second));
	EXPECT_EQ(store ? 0 : 1, paged(fd));
	EXPECT_EQ(0, p2m_totals().store);
}

TEST_F_TIMEOUT(pager, detaching_again_and_again_loses_nothing, 120)
{
	bool store = variant->policy == P2M_PAGER_STORE;
	pthread_t vcpu[2];
	void *error;
	int i, round;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	for (round = 0; round < 6; round++) {
		pager_start(&self->pager, self->mem.fd, self->file,
			    variant->policy, NR_BUSY, false);
		self->vm.stop = false;
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&vcpu[i], NULL,
						    run_until_error,
						    &self->vm.vcpu[i]));
		/* Kill it at a different moment in every round. */
		usleep(A_WHILE + round * 7300);
		pager_kill(&self->pager);
		__atomic_store_n(&self->vm.stop, true, __ATOMIC_RELEASE);
		for (i = 0; i < 2; i++) {
			pthread_join(vcpu[i], &error);
			if (store)
				EXPECT_EQ(0, (long)error);
		}
	}
	EXPECT_GT(p2m_stats(self->mem.fd).paged_out, 0);
	self->vm.stop = false;
	/* The last pager only answers. */
	pager_start(&self->pager, self->mem.fd, self->file, variant->policy, 0,
		    false);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	pager_kill(&self->pager);
}

/* The VMM of the next test */
static void be_a_vmm(int *fd, int vcpus)
{
	struct p2m_mem mem;
	struct p2m_vm vm;

	p2m_mem_open(&mem, NR_BUSY);
	p2m_mem_populate(&mem, 0, NR_BUSY);
	p2m_vm_create(&vm, &mem, vcpus, p2m_guest_worker);
	__atomic_store_n(fd, mem.fd, __ATOMIC_RELEASE);
	/* A frame that the guest touches before it is evicted stays. */
	while (p2m_stats(mem.fd).paged < NR_BUSY)
		usleep(1000);
	p2m_vm_start(&vm);
	for (;;)
		pause();
}

TEST(a_vmm_that_waits_for_its_pager_can_be_killed)
{
	char *pages = malloc(NR_BUSY * P2M_PAGE_SIZE);
	int *fd = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int mine;
	pid_t vmm;

	ASSERT_TRUE(p2m_all_freed());
	vmm = p2m_fork();
	if (!vmm)
		be_a_vmm(fd, 2);
	while (!__atomic_load_n(fd, __ATOMIC_ACQUIRE)) {
		ASSERT_TRUE(p2m_is_alive(vmm));
		usleep(1000);
	}
	mine = p2m_take_fd(vmm, *fd);
	ASSERT_EQ(0, attach(mine, P2M_PAGER_SIGBUS));
	evict_all(mine, 0, NR_BUSY, pages);
	wait_for_events(mine, 2);
	usleep(A_WHILE);
	ASSERT_TRUE(p2m_is_alive(vmm));
	ASSERT_EQ(0, kill(vmm, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(vmm));
	close(mine);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
	munmap(fd, P2M_PAGE_SIZE);
	free(pages);
}

/* Messages between the processes of the tests below */
struct stopped {
	int fd;		/* of the VMM */
	u64 passes;	/* of its guest */
	bool evicted;
	bool reset;	/* the VMM must reset its vCPUs */
};

/* p2m_guest_worker() on a vCPU that can take interrupts, so KVM halts it. */
static void guest_halts_for_pages(u64 tag, u64 writer, u64 nr)
{
	asm volatile("sti");
	p2m_guest_worker(tag, writer, nr);
}

/* After a signal, reset the vCPU as QEMU does: KVM waits for its workers. */
static void *run_and_reset(void *arg)
{
	struct p2m_vcpu *v = arg;

	for (;;) {
		if (!__vcpu_run(v->vcpu)) {
			__atomic_add_fetch(&v->passes, 1, __ATOMIC_RELEASE);
			continue;
		}
		TEST_ASSERT(errno == EINTR, "KVM_RUN");
		vcpu_set_msr(v->vcpu, MSR_KVM_ASYNC_PF_EN, 0);
	}
	return NULL;
}

static void be_a_vmm_that_halts(struct stopped *shared)
{
	struct sigaction action = { .sa_handler = nothing };
	struct p2m_mem mem;
	struct p2m_vm vm;
	int i;

	p2m_mem_open(&mem, NR_BUSY);
	p2m_mem_populate(&mem, 0, NR_BUSY);
	p2m_vm_create(&vm, &mem, P2M_MAX_VCPUS, guest_halts_for_pages);
	__atomic_store_n(&shared->fd, mem.fd, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&shared->evicted, __ATOMIC_ACQUIRE))
		usleep(1000);
	TEST_ASSERT(!sigaction(SIGUSR1, &action, NULL), "sigaction");
	for (i = 0; i < P2M_MAX_VCPUS; i++)
		TEST_ASSERT(!pthread_create(&vm.vcpu[i].thread, NULL,
					    run_and_reset, &vm.vcpu[i]),
			    "pthread_create");
	while (!__atomic_load_n(&shared->reset, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&shared->passes, p2m_vm_passes(&vm),
				 __ATOMIC_RELEASE);
		usleep(1000);
	}
	for (i = 0; i < P2M_MAX_VCPUS; i++)
		pthread_kill(vm.vcpu[i].thread, SIGUSR1);
	for (;;)
		pause();
}

/* Evict everything, and stop.  When continued, answer. */
static void be_a_pager_that_stops(int fd, struct stopped *shared)
{
	char pages[NR_BUSY * P2M_PAGE_SIZE];
	struct pager_state state = {};

	TEST_ASSERT(!attach(fd, P2M_PAGER_SIGBUS), "attach");
	evict_all(fd, 0, NR_BUSY, pages);
	__atomic_store_n(&shared->evicted, true, __ATOMIC_RELEASE);
	raise(SIGSTOP);
	for (;;) {
		polled(fd, -1);
		pager_answer(fd, pages, &state, false);
	}
}

FIXTURE(stopped)
{
	struct stopped *shared;
	pid_t vmm, pager;
	int fd;
};

/* The pager has stopped, and all vCPUs wait for it. */
FIXTURE_SETUP(stopped)
{
	ASSERT_TRUE(p2m_all_freed());
	self->shared = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	self->vmm = p2m_fork();
	if (!self->vmm)
		be_a_vmm_that_halts(self->shared);
	while (!__atomic_load_n(&self->shared->fd, __ATOMIC_ACQUIRE)) {
		ASSERT_TRUE(p2m_is_alive(self->vmm));
		usleep(1000);
	}
	self->fd = p2m_take_fd(self->vmm, self->shared->fd);
	self->pager = p2m_fork();
	if (!self->pager)
		be_a_pager_that_stops(self->fd, self->shared);
	ASSERT_EQ(self->pager, waitpid(self->pager, NULL, WUNTRACED));
	wait_for_events(self->fd, P2M_MAX_VCPUS);
	/* Wait longer than KVM's worker does in place of a vCPU. */
	usleep(10 * A_WHILE);
}

FIXTURE_TEARDOWN(stopped)
{
	kill(self->pager, SIGKILL);
	EXPECT_EQ(-SIGKILL, p2m_wait(self->pager));
	if (self->vmm) {
		kill(self->vmm, SIGKILL);
		EXPECT_EQ(-SIGKILL, p2m_wait(self->vmm));
	}
	close(self->fd);
	munmap(self->shared, P2M_PAGE_SIZE);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

TEST_F(stopped, a_vmm_whose_pager_is_stopped_can_be_killed)
{
	int i;

	__atomic_store_n(&self->shared->reset, true, __ATOMIC_RELEASE);
	usleep(A_WHILE);
	ASSERT_EQ(0, kill(self->vmm, SIGKILL));
	for (i = 0; i < 5000 && p2m_is_alive(self->vmm); i++)
		usleep(1000);
	EXPECT_GT(5000, i);
	/* p2m_is_alive() reaped it, or the teardown does after its pager. */
	if (i < 5000)
		self->vmm = 0;
}

TEST_F_TIMEOUT(stopped, a_pager_that_was_stopped_goes_on_and_so_does_the_guest,
	       60)
{
	EXPECT_EQ(P2M_MAX_VCPUS, p2m_stats(self->fd).events);
	EXPECT_EQ(0, __atomic_load_n(&self->shared->passes, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, kill(self->pager, SIGCONT));
	while (__atomic_load_n(&self->shared->passes, __ATOMIC_ACQUIRE) <
	       PASSES) {
		ASSERT_TRUE(p2m_is_alive(self->vmm));
		usleep(1000);
	}
}

TEST_HARNESS_MAIN
