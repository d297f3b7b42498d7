// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that look at all of a guest, or hold all of it.  They must not miss
 * frames that come meanwhile, they can be killed, and they must take no memory
 * for frames that are not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* Calls on so many take a while, but one P2M_DIRTY_GET can look at all. */
#define CHUNKS		1024
#define FRAMES		(CHUNKS * P2M_CHUNK)

/* ------------------------------------------------------------------ */
/* Frames that are not there                                           */
/* ------------------------------------------------------------------ */

/*
 * Ask in each of 8,192 GB.  Nothing is there, and a node of the range lock
 * would take 4 KB.
 */
TEST(to_ask_about_frames_that_are_not_there_takes_no_memory)
{
	struct p2m_pager_attach attach = {
		.size = sizeof(attach), .policy = P2M_PAGER_SIGBUS,
	};
	int fd = p2m_open();
	char *last = p2m_map(fd, P2M_MAX_GFNS - 1, 1);
	u64 before, gb;
	u8 bits;

	ASSERT_EQ(0, p2m_log_dirty(fd, P2M_DIRTY_START));
	ASSERT_EQ(0, p2m_call(fd, P2M_PAGER_ATTACH, &attach));
	before = p2m_mem_free();
	for (gb = 1; gb <= 8192; gb++) {
		struct p2m_dirty dirty = {
			.size = sizeof(dirty), .flags = P2M_DIRTY_CLEAN,
			.gfn = (gb << 18) + 77, .nr = 1, .bitmap = (u64)&bits,
		};
		struct p2m_share_nominate nominate = {
			.size = sizeof(nominate), .gfn = dirty.gfn,
		};
		struct p2m_range range = {
			.size = sizeof(range), .gfn = dirty.gfn, .nr = 1,
		};
		struct p2m_share share = {
			.size = sizeof(share), .client_fd = fd,
			.source_gfn = dirty.gfn, .client_gfn = dirty.gfn + 1,
		};
		struct p2m_page page = {
			.size = sizeof(page), .gfn = dirty.gfn,
			.addr = (u64)&bits,
		};

		bits = 0xff;
		ASSERT_EQ(0, p2m_call(fd, P2M_DIRTY_GET, &dirty));
		ASSERT_EQ(0, bits);
		ASSERT_EQ(dirty.gfn + 1, dirty.next);
		ASSERT_EQ(0, dirty.dirty);
		ASSERT_EQ(-ENOENT, p2m_call(fd, P2M_SHARE_NOMINATE, &nominate));
		ASSERT_EQ(-ESTALE, p2m_call(fd, P2M_SHARE, &share));
		ASSERT_EQ(-ENOENT, p2m_call(fd, P2M_EVICT, &page));
		ASSERT_EQ(0, p2m_call(fd, P2M_PAGE_OUT, &range));
		ASSERT_EQ(0, p2m_call(fd, P2M_PAGE_IN, &range));
		ASSERT_EQ(0, p2m_call(fd, P2M_UNSHARE, &range));
		ASSERT_EQ(0, p2m_call(fd, P2M_POD_SWEEP, &range));
	}
	EXPECT_GT(p2m_mem_free() + (8UL << 20), before);
	munmap(last, P2M_PAGE_SIZE);
	close(fd);
	EXPECT_TRUE(p2m_all_freed());
}

TEST(a_start_takes_no_memory_for_what_waits_for_its_page)
{
	const u64 nr = 64UL << 18;	/* 64 GB: 128 MB of tables, if split */
	struct p2m_mem mem;
	u64 before;

	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open_huge(&mem, nr);
	p2m_populate_on_demand(&mem, 4 * P2M_CHUNK);
	before = p2m_mem_free();
	ASSERT_EQ(0, p2m_log_dirty(mem.fd, P2M_DIRTY_START));
	EXPECT_GT(p2m_mem_free() + (32UL << 20), before);

	/* While log-dirty is on, a touch gets 4 KB; afterwards 2 MB again. */
	WRITE_ONCE(*p2m_page(&mem, 7), 7);
	EXPECT_EQ(1, p2m_stats(mem.fd).resident);
	ASSERT_EQ(0, p2m_log_dirty(mem.fd, P2M_DIRTY_STOP));
	EXPECT_GT(p2m_mem_free() + (32UL << 20), before);
	WRITE_ONCE(*p2m_page(&mem, nr - 1), 8);
	EXPECT_EQ(1 + P2M_CHUNK, p2m_stats(mem.fd).resident);
	p2m_mem_close(&mem);
	EXPECT_TRUE(p2m_all_freed());
}

/* ------------------------------------------------------------------ */
/* While somebody holds all of it                                      */
/* ------------------------------------------------------------------ */

/* Each chunk has one page.  An audit of so many chunks takes a while. */
static void sparse_open(struct p2m_mem *mem, u64 chunks)
{
	u64 i;

	p2m_mem_open(mem, chunks * P2M_CHUNK);
	for (i = 0; i < chunks; i++)
		WRITE_ONCE(*p2m_page(mem, i * P2M_CHUNK), 1);
}

/* A call in a thread of its own */
struct call {
	int fd;
	unsigned long cmd;
	void *arg;
	int cpu;		/* where the thread runs, or -1 */
	int ret;
	bool made;
	bool done;
	pthread_t thread;
};

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "affinity");
}

static void *makes_call(void *arg)
{
	struct call *call = arg;

	if (call->cpu >= 0)
		pin_to(call->cpu);
	__atomic_store_n(&call->made, true, __ATOMIC_RELEASE);
	call->ret = p2m_call(call->fd, call->cmd, call->arg);
	__atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_set(bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void make_call(struct call *call)
{
	call->made = false;
	call->done = false;
	TEST_ASSERT(!pthread_create(&call->thread, NULL, makes_call, call),
		    "thread");
	while (!is_set(&call->made))
		usleep(100);
}

static int end_call(struct call *call)
{
	pthread_join(call->thread, NULL);
	return call->ret;
}

/*
 * Make a call while an audit holds all of the guest.  Return: true if the call
 * waits for the audit.  False if the audit was too quick or too slow; then both
 * have ended.
 */
static bool make_call_in_audit(struct call *audit, struct call *call)
{
	u64 waits = p2m_stats(call->fd).lock_waits;

	make_call(audit);
	usleep(2000);
	make_call(call);
	while (!is_set(&call->done) && !is_set(&audit->done)) {
		if (p2m_stats(call->fd).lock_waits > waits)
			return true;
		usleep(100);
	}
	end_call(audit);
	end_call(call);
	return false;
}

/* A thread that lets no other thread run on a CPU */
struct hog {
	int cpu;
	bool runs;
	bool stop;
	pthread_t thread;
};

static void *hogs(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct hog *hog = arg;

	pin_to(hog->cpu);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_FIFO, &param), "SCHED_FIFO");
	__atomic_store_n(&hog->runs, true, __ATOMIC_RELEASE);
	while (!is_set(&hog->stop))
		;
	return NULL;
}

static void hog_start(struct hog *hog)
{
	hog->runs = false;
	hog->stop = false;
	TEST_ASSERT(!pthread_create(&hog->thread, NULL, hogs, hog), "thread");
	while (!is_set(&hog->runs))
		usleep(100);
}

static void hog_stop(struct hog *hog)
{
	__atomic_store_n(&hog->stop, true, __ATOMIC_RELEASE);
	pthread_join(hog->thread, NULL);
}

/* The first two CPUs that we may use */
static void two_cpus(int *one, int *two)
{
	cpu_set_t set;
	int cpu;

	*one = *two = -1;
	TEST_ASSERT(!sched_getaffinity(0, sizeof(set), &set), "affinity");
	for (cpu = 0; cpu < CPU_SETSIZE && *two < 0; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		*(*one < 0 ? one : two) = cpu;
	}
}

/* How many frames are of type logdirty */
static u64 logdirty(int fd)
{
	return p2m_audit(fd).types[2];
}

static int write_ends(u64 *where)
{
	pid_t pid = p2m_fork();

	if (!pid) {
		alarm(10);
		WRITE_ONCE(*where, 1);
		_exit(0);
	}
	return p2m_wait(pid);
}

FIXTURE(held)
{
	struct p2m_mem mem;
};

FIXTURE_SETUP(held)
{
	ASSERT_TRUE(p2m_all_freed());
}

FIXTURE_TEARDOWN(held)
{
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/*
 * The stop waits for an audit.  When the audit has ended, the stop is kept from
 * running until the guest has grown and a new frame was read.  The stop must
 * hold for that frame too.
 */
TEST_F_TIMEOUT(held, a_stop_is_for_frames_that_came_while_it_waited, 60)
{
	struct p2m_audit result = { .size = sizeof(result) };
	struct p2m_dirty_switch off = { .size = sizeof(off) };
	struct call audit = { .cmd = P2M_AUDIT, .arg = &result };
	struct call stop = { .cmd = P2M_DIRTY_STOP, .arg = &off };
	bool late = false;
	struct hog hog;
	u64 nr, *more;
	int tries;

	two_cpus(&audit.cpu, &stop.cpu);
	if (stop.cpu < 0)
		SKIP(return, "one CPU cannot be kept busy beside another");
	pin_to(audit.cpu);
	hog.cpu = stop.cpu;
	sparse_open(&self->mem, 512);
	nr = self->mem.nr;
	audit.fd = self->mem.fd;
	stop.fd = self->mem.fd;

	for (tries = 0; tries < 20 && !late; tries++) {
		ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
		if (!make_call_in_audit(&audit, &stop))
			continue;
		hog_start(&hog);
		ASSERT_EQ(0, end_call(&audit));
		more = p2m_map(self->mem.fd, nr++, 1);
		EXPECT_EQ(0, READ_ONCE(*more));
		late = !is_set(&stop.done);
		hog_stop(&hog);
		ASSERT_EQ(0, end_call(&stop));
		EXPECT_EQ(0, logdirty(self->mem.fd));
		EXPECT_EQ(0, write_ends(more));
		munmap(more, P2M_PAGE_SIZE);
	}
	TH_LOG("after %d tries", tries);
	EXPECT_TRUE(late);
}

/* A bitmap that can be taken away just when the kernel writes to it */
struct bitmap {
	void *page;
	int uffd;
};

static void bitmap_open(struct bitmap *bitmap)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	bitmap->page = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	TEST_ASSERT(bitmap->page != MAP_FAILED, "mmap");
	bitmap->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(bitmap->uffd >= 0, "userfaultfd");
	TEST_ASSERT(!ioctl(bitmap->uffd, UFFDIO_API, &api), "UFFDIO_API");
	reg.range.start = (u64)bitmap->page;
	reg.range.len = P2M_PAGE_SIZE;
	TEST_ASSERT(!ioctl(bitmap->uffd, UFFDIO_REGISTER, &reg),
		    "UFFDIO_REGISTER");
}

/* From now on a write to it waits. */
static void bitmap_stall(struct bitmap *bitmap)
{
	TEST_ASSERT(!madvise(bitmap->page, P2M_PAGE_SIZE, MADV_DONTNEED),
		    "MADV_DONTNEED");
}

static bool bitmap_is_waited_for(struct bitmap *bitmap)
{
	struct pollfd poll_uffd = { .fd = bitmap->uffd, .events = POLLIN };

	return poll(&poll_uffd, 1, 20000) == 1;
}

static void bitmap_take_away(struct bitmap *bitmap)
{
	struct uffdio_range range = { (u64)bitmap->page, P2M_PAGE_SIZE };

	munmap(bitmap->page, P2M_PAGE_SIZE);
	TEST_ASSERT(!ioctl(bitmap->uffd, UFFDIO_WAKE, &range), "UFFDIO_WAKE");
	close(bitmap->uffd);
}

/*
 * The call has made the frames clean, and cannot say so.  Meanwhile a sweep has
 * made one entry of 512.  The frames must be dirty again.
 */
TEST_F_TIMEOUT(held, what_was_swept_before_a_failed_delivery_is_dirty_again, 60)
{
	struct p2m_audit result = { .size = sizeof(result) };
	struct call audit = { .cmd = P2M_AUDIT, .arg = &result, .cpu = -1 };
	struct call call = { .cmd = P2M_DIRTY_GET, .cpu = -1 };
	struct p2m_dirty arg;
	unsigned char is[P2M_CHUNK / 8];
	struct bitmap bitmap;
	bool waits = false;
	int tries;

	sparse_open(&self->mem, 256);
	p2m_populate_on_demand(&self->mem, self->mem.nr);
	audit.fd = self->mem.fd;
	call.fd = self->mem.fd;
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (tries = 0; tries < 20 && !waits; tries++) {
		/* The first chunk is all zero again, with dirty frames. */
		WRITE_ONCE(*p2m_page(&self->mem, 0), 0);
		WRITE_ONCE(*p2m_page(&self->mem, 5), 5);
		WRITE_ONCE(*p2m_page(&self->mem, 5), 0);
		bitmap_open(&bitmap);
		arg = p2m_dirty_arg(0, P2M_CHUNK, bitmap.page, P2M_DIRTY_CLEAN);
		call.arg = &arg;
		waits = make_call_in_audit(&audit, &call);
		if (!waits) {
			bitmap_take_away(&bitmap);
			continue;
		}
		bitmap_stall(&bitmap);
		ASSERT_EQ(0, end_call(&audit));
		ASSERT_TRUE(bitmap_is_waited_for(&bitmap));
		EXPECT_EQ(2, p2m_sweep(&self->mem, 0, P2M_CHUNK));
		bitmap_take_away(&bitmap);
		ASSERT_EQ(-EFAULT, end_call(&call));
	}
	TH_LOG("after %d tries", tries);
	ASSERT_TRUE(waits);
	arg = p2m_dirty_arg(0, P2M_CHUNK, is, 0);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
	EXPECT_TRUE(p2m_has_bit(is, 0) && p2m_has_bit(is, 5));
	EXPECT_EQ(2, arg.dirty);
}

/* ------------------------------------------------------------------ */
/* Killed in the middle                                                */
/* ------------------------------------------------------------------ */

/* Arguments of a call by a process that is killed; all processes see them */
struct victim {
	bool done;
	union {
		struct p2m_audit audit;
		struct p2m_dirty_switch turn;
		struct p2m_dirty dirty;
	};
	unsigned char bitmap[FRAMES / 8];
};

FIXTURE(killed)
{
	struct p2m_mem mem;
	struct victim *victim;
};

FIXTURE_SETUP(killed)
{
	ASSERT_TRUE(p2m_all_freed());
	sparse_open(&self->mem, CHUNKS);
	self->victim = mmap(NULL, sizeof(*self->victim), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->victim);
}

FIXTURE_TEARDOWN(killed)
{
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
	munmap(self->victim, sizeof(*self->victim));
}

#define TRIES	20

/* Does a process hold any part of a guest? */
static bool holds(pid_t pid)
{
	FILE *file = fopen("/sys/kernel/debug/p2m_rangelock/held", "r");
	char line[256], want[32];
	bool found = false;

	TEST_ASSERT(file, "open what is held");
	snprintf(want, sizeof(want), "/%d for ", pid);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, " held by ") && strstr(line, want);
	fclose(file);
	return found;
}

/* Kill a process that makes a call, some time after it holds the guest. */
static void kill_in_call(int fd, unsigned long cmd, struct victim *victim,
			 int try)
{
	pid_t pid;

	victim->done = false;
	pid = p2m_fork();
	if (!pid) {
		p2m_call(fd, cmd, &victim->audit);
		__atomic_store_n(&victim->done, true, __ATOMIC_RELEASE);
		_exit(0);
	}
	while (!holds(pid) && !is_set(&victim->done))
		;
	usleep(try * 3000);
	TEST_ASSERT(!kill(pid, SIGKILL), "kill");
	p2m_wait(pid);
}

/* Bytes that are mapped by 2 MB, in all of this process */
static u64 mapped_huge(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	u64 kb, sum = 0;
	char line[256];

	TEST_ASSERT(file, "open smaps");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "FilePmdMapped: %lu kB", &kb) == 1)
			sum += kb << 10;
	fclose(file);
	return sum;
}

static void touch_chunks(struct p2m_mem *mem)
{
	u64 gfn;

	for (gfn = 0; gfn < mem->nr; gfn += P2M_CHUNK)
		WRITE_ONCE(*p2m_page(mem, gfn), 2);
}

/* How many frames are dirty?  Only the first frame of each chunk has a page. */
static u64 dirty(int fd, unsigned char *bitmap)
{
	struct p2m_dirty arg = p2m_dirty_arg(0, FRAMES, bitmap, 0);
	int ret = p2m_call(fd, P2M_DIRTY_GET, &arg);
	u64 gfn, n = 0;

	TEST_ASSERT(!ret, "P2M_DIRTY_GET: %s", strerror(-ret));
	for (gfn = 0; gfn < FRAMES; gfn += P2M_CHUNK)
		n += p2m_has_bit(bitmap, gfn);
	TEST_ASSERT(n == arg.dirty, "%lu of %llu", n, arg.dirty);
	return n;
}

TEST_F_TIMEOUT(killed, an_audit_ends, 60)
{
	struct victim *victim = self->victim;
	int try, cut = 0;

	for (try = 0; try < TRIES && !cut; try++) {
		victim->audit = (struct p2m_audit){
			.size = sizeof(victim->audit),
		};
		kill_in_call(self->mem.fd, P2M_AUDIT, victim, 0);
		/* An audit that was cut short reports nothing. */
		cut += !victim->audit.pages;
		EXPECT_TRUE(!victim->audit.pages ||
			    victim->audit.pages == CHUNKS);
	}
	EXPECT_LT(0, cut);
}

TEST_F_TIMEOUT(killed, a_start_is_undone, 60)
{
	struct victim *victim = self->victim;
	int try, cut = 0, ret;

	for (try = 0; try < TRIES / 2 || (try < TRIES && !cut); try++) {
		victim->turn = (struct p2m_dirty_switch){ .size = 8 };
		kill_in_call(self->mem.fd, P2M_DIRTY_START, victim, try);
		ret = p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP);
		ASSERT_TRUE(!ret || ret == -ENODATA);
		cut += ret == -ENODATA;
		touch_chunks(&self->mem);
		EXPECT_EQ(0, p2m_stats(self->mem.fd).dirtied);
	}
	TH_LOG("%d of %d", cut, try);
	EXPECT_LT(0, cut);
	EXPECT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	EXPECT_EQ(0, dirty(self->mem.fd, victim->bitmap));
}

TEST_F_TIMEOUT(killed, a_start_leaves_pages_of_2m_as_they_were, 60)
{
	struct victim *victim = self->victim;
	const u64 nr = 128 * P2M_CHUNK;
	struct p2m_mem mem;
	int try, cut = 0;
	u64 mapped;

	p2m_mem_open_huge(&mem, nr);
	for (u64 gfn = 0; gfn < nr; gfn += P2M_CHUNK)
		WRITE_ONCE(*p2m_page(&mem, gfn), 1);
	ASSERT_EQ(nr, p2m_stats(mem.fd).resident);
	/* All of it, except on kernels where all mappings are 4 KB. */
	mapped = mapped_huge();
	for (try = 0; try < TRIES && !cut; try++) {
		victim->turn = (struct p2m_dirty_switch){ .size = 8 };
		kill_in_call(mem.fd, P2M_DIRTY_START, victim, 0);
		cut += p2m_log_dirty(mem.fd, P2M_DIRTY_STOP) == -ENODATA;
	}
	EXPECT_LT(0, cut);
	munmap(mem.hva, nr * P2M_PAGE_SIZE);
	mem.hva = p2m_map_huge(mem.fd, 0, nr);
	for (u64 gfn = 0; gfn < nr; gfn += P2M_CHUNK)
		EXPECT_EQ(1, READ_ONCE(*p2m_page(&mem, gfn)));
	EXPECT_EQ(mapped, mapped_huge());
	p2m_mem_close(&mem);
}

TEST_F_TIMEOUT(killed, a_stop_is_made_and_the_next_start_finds_nothing_dirty,
	       60)
{
	struct victim *victim = self->victim;
	struct p2m_mem half = { .hva = self->mem.hva, .nr = FRAMES / 2 };
	u64 dirtied, left = 0;
	int try;

	for (try = 0; try < TRIES && !left; try++) {
		ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
		touch_chunks(&half);
		dirtied = p2m_stats(self->mem.fd).dirtied;
		victim->turn = (struct p2m_dirty_switch){ .size = 8 };
		kill_in_call(self->mem.fd, P2M_DIRTY_STOP, victim, 0);
		EXPECT_EQ(-ENODATA,
			  p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
		/* Frames that the stop did not reach can be written to too. */
		left = logdirty(self->mem.fd);
		touch_chunks(&self->mem);
		EXPECT_EQ(0, logdirty(self->mem.fd));
		EXPECT_EQ(dirtied, p2m_stats(self->mem.fd).dirtied);
	}
	TH_LOG("%lu frames were left", left);
	EXPECT_LT(0, left);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	EXPECT_EQ(0, dirty(self->mem.fd, victim->bitmap));
	touch_chunks(&self->mem);
	EXPECT_EQ(CHUNKS, dirty(self->mem.fd, victim->bitmap));
}

TEST_F_TIMEOUT(killed, a_clean_loses_nothing, 60)
{
	struct victim *victim = self->victim;
	int try, cut = 0;
	bool told;

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (try = 0; try < TRIES / 2 || (try < TRIES && !cut); try++) {
		touch_chunks(&self->mem);
		victim->dirty = p2m_dirty_arg(0, FRAMES, victim->bitmap,
					      P2M_DIRTY_CLEAN);
		kill_in_call(self->mem.fd, P2M_DIRTY_GET, victim, try);
		told = victim->dirty.dirty;
		EXPECT_EQ(told ? 0 : CHUNKS,
			  dirty(self->mem.fd, victim->bitmap));
		cut += !told;
	}
	TH_LOG("%d of %d", cut, try);
	EXPECT_LT(0, cut);
}

TEST_HARNESS_MAIN
