// SPDX-License-Identifier: GPL-2.0
/*
 * Any two services work on the same frames at the same time, while vCPUs write
 * to them.  Each pair begins with a chunk that is one page of 2 MB.  Every call
 * must return a result from the manual, the guest must find its words, and the
 * kernel's records of the guest must agree.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* One chunk: all services want the same lock, and collapse finds work. */
#define NR_FRAMES	P2M_CHUNK
#define PAIR_US		150000
/* Frames that the pager takes at a time */
#define PAGED		8

struct service {
	const char *name;
	int (*once)(int fd, u64 gfn, u64 nr);
	int (*before)(int fd);
	int (*after)(int fd);
	/* errnos that it may get because another works on the same frames */
	int errors[4];
};

/* A thread that calls one service until it is told to stop */
struct actor {
	const struct service *service;
	pthread_t thread;
	unsigned int seed;
	u64 calls;
	int wrong;
	int fd;
	bool stop;
};

static int range_call(int fd, unsigned long cmd, u64 gfn, u64 nr)
{
	struct p2m_range range = {
		.size = sizeof(range),
		.gfn = gfn,
		.nr = nr,
	};

	return p2m_call(fd, cmd, &range);
}

static int page_out(int fd, u64 gfn, u64 nr)
{
	return range_call(fd, P2M_PAGE_OUT, gfn, nr);
}

static int page_in(int fd, u64 gfn, u64 nr)
{
	return range_call(fd, P2M_PAGE_IN, gfn, nr);
}

static int collapse(int fd, u64 gfn, u64 nr)
{
	return range_call(fd, P2M_COLLAPSE, 0, NR_FRAMES);
}

static int sweep(int fd, u64 gfn, u64 nr)
{
	return range_call(fd, P2M_POD_SWEEP, gfn, nr);
}

static int set_pool(int fd)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = NR_FRAMES };

	return p2m_call(fd, P2M_POD_SET, &pod);
}

static int scan(int fd, u64 gfn, u64 nr)
{
	struct p2m_scan arg = { .size = sizeof(arg), .gfn = gfn, .nr = nr };

	return p2m_call(fd, P2M_SHARE_SCAN, &arg);
}

/* The frame is shared with itself alone; the guest breaks that by a write. */
static int nominate(int fd, u64 gfn, u64 nr)
{
	struct p2m_share_nominate arg = { .size = sizeof(arg), .gfn = gfn };

	return p2m_call(fd, P2M_SHARE_NOMINATE, &arg);
}

static int unshare_range(int fd, u64 gfn, u64 nr)
{
	return range_call(fd, P2M_UNSHARE, gfn, nr);
}

static int dirty_switch(int fd, unsigned long cmd)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };

	return p2m_call(fd, cmd, &arg);
}

static int log_dirty(int fd, u64 gfn, u64 nr)
{
	u64 bitmap[NR_FRAMES / 64 + 1];
	struct p2m_dirty arg = {
		.size = sizeof(arg), .flags = P2M_DIRTY_CLEAN, .gfn = gfn,
		.nr = nr, .bitmap = (u64)bitmap,
	};
	int ret;

	ret = dirty_switch(fd, P2M_DIRTY_START);
	if (ret)
		return ret;
	ret = p2m_call(fd, P2M_DIRTY_GET, &arg);
	return dirty_switch(fd, P2M_DIRTY_STOP) ?: ret;
}

static int foreign(int fd, u64 gfn, u64 nr)
{
	struct p2m_foreign arg = { .size = sizeof(arg), .gfn = gfn, .nr = nr };
	int ret = p2m_call(fd, P2M_FOREIGN_MAP, &arg);
	void *map;

	if (ret)
		return ret;
	map = mmap(NULL, nr * P2M_PAGE_SIZE, PROT_READ, MAP_SHARED, arg.fd, 0);
	TEST_ASSERT(map != MAP_FAILED, "mmap: %s", strerror(errno));
	READ_ONCE(*(u64 *)map);
	munmap(map, nr * P2M_PAGE_SIZE);
	close(arg.fd);
	return 0;
}

static int attach(int fd)
{
	struct p2m_pager_attach arg = {
		.size = sizeof(arg), .policy = P2M_PAGER_STORE,
	};

	return p2m_call(fd, P2M_PAGER_ATTACH, &arg);
}

static int detach(int fd)
{
	struct p2m_pager_detach arg = { .size = sizeof(arg) };

	return p2m_call(fd, P2M_PAGER_DETACH, &arg);
}

/* Frames that it could evict come back at once, even if nobody asks. */
static int pager(int fd, u64 gfn, u64 nr)
{
	static char contents[PAGED][P2M_PAGE_SIZE];
	struct p2m_page page = { .size = sizeof(page) };
	bool mine[PAGED] = {};
	int ret, i;

	gfn = gfn / PAGED * PAGED;
	ret = range_call(fd, P2M_NOMINATE, gfn, PAGED);
	for (i = 0; i < PAGED && !ret; i++) {
		page.flags = 0;
		page.gfn = gfn + i;
		page.addr = (u64)contents[i];
		ret = p2m_call(fd, P2M_EVICT, &page);
		mine[i] = !ret;
		if (ret == -ENOENT || ret == -EBUSY)
			ret = 0;
	}
	for (i = 0; i < PAGED; i++) {
		if (!mine[i])
			continue;
		page.flags = P2M_PREP_RESUME;
		page.gfn = gfn + i;
		page.addr = (u64)contents[i];
		/* P2M_PAGE_IN may have been quicker, with the store's copy. */
		if (p2m_call(fd, P2M_PREP, &page) == -EFAULT)
			return -EFAULT;
	}
	return ret;
}

static const struct service services[] = {
	{ "page_out", page_out },
	{ "page_in", page_in },
	{ "collapse", collapse, .errors = { EBUSY } },
	{ "pager", pager, attach, detach },
	{ "scan", scan, .errors = { EBUSY } },
	{ "nominate", nominate, .errors = { EBUSY, ENOENT } },
	{ "unshare", unshare_range },
	{ "sweep", sweep, set_pool },
	{ "log_dirty", log_dirty },
	{ "foreign", foreign, .errors = { EBUSY } },
};

static bool allowed(const struct service *service, int error)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(service->errors); i++)
		if (service->errors[i] == error)
			return true;
	return !error;
}

static void *act(void *arg)
{
	struct actor *a = arg;
	u64 gfn, nr;
	int ret;

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		nr = 1 + rand_r(&a->seed) % 64;
		gfn = rand_r(&a->seed) % (NR_FRAMES - nr + 1);
		ret = a->service->once(a->fd, gfn, nr);
		__atomic_add_fetch(&a->calls, 1, __ATOMIC_RELAXED);
		if (!allowed(a->service, -ret) && !a->wrong)
			a->wrong = -ret;
		/* The guest also needs time with its frames. */
		usleep(200);
	}
	return NULL;
}

static u64 calls(struct actor *a)
{
	return __atomic_load_n(&a->calls, __ATOMIC_RELAXED);
}

static void actor_start(struct actor *a, const struct service *service, int fd,
			unsigned int seed)
{
	*a = (struct actor){ .service = service, .fd = fd, .seed = seed };
	if (service->before)
		TEST_ASSERT(!service->before(fd), "%s begins", service->name);
	TEST_ASSERT(!pthread_create(&a->thread, NULL, act, a),
		    "pthread_create");
}

static void actor_stop(struct actor *a)
{
	__atomic_store_n(&a->stop, true, __ATOMIC_RELEASE);
	pthread_join(a->thread, NULL);
	if (a->service->after)
		TEST_ASSERT(!a->service->after(a->fd), "%s ends",
			    a->service->name);
}

FIXTURE(pairs)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_SETUP(pairs)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
	p2m_vm_create(&self->vm, &self->mem, 1, p2m_guest_worker);
	p2m_vm_start(&self->vm);
}

FIXTURE_TEARDOWN(pairs)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/*
 * Make one page of 2 MB of the chunk.  How long a pair takes to undo that, and
 * whether the guest is quick enough to touch all frames again, is up to the
 * machine: so what collapse finds must not depend on it.
 */
static void make_whole(struct p2m_mem *mem)
{
	int ret;

	p2m_mem_populate(mem, 0, NR_FRAMES);
	ret = collapse(mem->fd, 0, NR_FRAMES);
	TEST_ASSERT(!ret, "P2M_COLLAPSE: %s", strerror(-ret));
}

static void race(struct __test_metadata *_metadata, struct p2m_mem *mem,
		 const struct service *one, const struct service *other)
{
	struct actor a, b;

	make_whole(mem);
	actor_start(&a, one, mem->fd, 1);
	actor_start(&b, other, mem->fd, 2);
	/* However slow the machine is, each makes a call beside the other. */
	do
		usleep(PAIR_US);
	while (!calls(&a) || !calls(&b));
	actor_stop(&a);
	actor_stop(&b);
	p2m_audit(mem->fd);
	EXPECT_EQ(0, a.wrong)
		TH_LOG("%s beside %s", one->name, other->name);
	EXPECT_EQ(0, b.wrong)
		TH_LOG("%s beside %s", other->name, one->name);
}

TEST_F(pairs, each_two_services_at_the_same_frames)
{
	size_t i, j, pairs = 0;
	struct p2m_stats stats;
	u64 passes;

	for (i = 0; i < ARRAY_SIZE(services); i++)
		for (j = i + 1; j < ARRAY_SIZE(services); j++, pairs++)
			race(_metadata, &self->mem, &services[i], &services[j]);
	/* The guest still makes progress. */
	passes = p2m_vm_passes(&self->vm);
	while (p2m_vm_passes(&self->vm) < passes + 2)
		usleep(1000);
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	/* Each service did something, and another undid it. */
	stats = p2m_stats(self->mem.fd);
	EXPECT_LT(0, stats.paged_out);
	EXPECT_LT(0, stats.paged_in);
	EXPECT_LT(0, stats.collapsed);
	EXPECT_LT(0, stats.shattered);
	EXPECT_LT(0, stats.unshared);
	EXPECT_LT(0, stats.dirtied);
	EXPECT_LT(0, stats.foreign);
	TH_LOG("%zu pairs, %llu passes of the guest", pairs,
	       (unsigned long long)passes);
}

TEST_HARNESS_MAIN
