// SPDX-License-Identifier: GPL-2.0
/*
 * Bad input fails as the manual in p2m/uapi/p2m.h promises: with the errnos it
 * lists, in the order it lists them, and nothing is changed or written.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	64UL
#define NR_OUT		32UL	/* frames that are in the store */

/* Sizes as first published.  They stay when the structures grow. */
#define INFO_SIZE_1	32
#define STATS_SIZE_1	88
#define RANGE_SIZE_1	56
#define NOMINATE_SIZE_1	24
#define SHARE_SIZE_1	48
#define SCAN_SIZE_1	72
#define DOMAIN_SIZE_1	16
#define SWITCH_SIZE_1	8
#define DIRTY_SIZE_1	56
#define FOREIGN_SIZE_1	32
#define POD_SIZE_1	40
#define AUDIT_SIZE_1	152
#define PAGE_SIZE_1	24
#define ATTACH_SIZE_1	16
#define DETACH_SIZE_1	8

/* Any call's structure, and room for one from the future */
union call {
	struct {
		u32 size;
		u32 flags;
	};
	struct p2m_range range;
	struct p2m_share_nominate nominate;
	struct p2m_share share;
	struct p2m_scan scan;
	struct p2m_share_domain domain;
	struct p2m_dirty dirty;
	struct p2m_foreign foreign;
	struct p2m_pod pod;
	struct p2m_page page;
	struct p2m_pager_attach attach;
	unsigned char bytes[P2M_PAGE_SIZE];
};

/* P2M_DIRTY_GET puts its bits here. */
static u64 bitmap[NR_FRAMES / 64];

FIXTURE(abi)
{
	struct p2m_mem mem;
	char *pages;	/* two, the second not accessible */
};

FIXTURE_VARIANT(abi)
{
	unsigned long cmd;
	u32 first_size;		/* of the first published version */
	u32 size;		/* of this version */
	u32 flags;		/* that it knows */
	unsigned long before;	/* a call after which this one succeeds */
};

FIXTURE_VARIANT_ADD(abi, get_info)
{
	.cmd = P2M_GET_INFO,
	.first_size = INFO_SIZE_1,
	.size = sizeof(struct p2m_info),
};

FIXTURE_VARIANT_ADD(abi, get_stats)
{
	.cmd = P2M_GET_STATS,
	.first_size = STATS_SIZE_1,
	.size = sizeof(struct p2m_stats),
};

FIXTURE_VARIANT_ADD(abi, audit)
{
	.cmd = P2M_AUDIT,
	.first_size = AUDIT_SIZE_1,
	.size = sizeof(struct p2m_audit),
};

FIXTURE_VARIANT_ADD(abi, page_out)
{
	.cmd = P2M_PAGE_OUT,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, collapse)
{
	.cmd = P2M_COLLAPSE,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, pager_attach)
{
	.cmd = P2M_PAGER_ATTACH,
	.first_size = ATTACH_SIZE_1,
	.size = sizeof(struct p2m_pager_attach),
};

FIXTURE_VARIANT_ADD(abi, pager_detach)
{
	.cmd = P2M_PAGER_DETACH,
	.first_size = DETACH_SIZE_1,
	.size = sizeof(struct p2m_pager_detach),
};

FIXTURE_VARIANT_ADD(abi, nominate)
{
	.cmd = P2M_NOMINATE,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, evict)
{
	.cmd = P2M_EVICT,
	.first_size = PAGE_SIZE_1,
	.size = sizeof(struct p2m_page),
};

FIXTURE_VARIANT_ADD(abi, prep)
{
	.cmd = P2M_PREP,
	.first_size = PAGE_SIZE_1,
	.size = sizeof(struct p2m_page),
	.flags = P2M_PREP_RESUME | P2M_PREP_LOST,
};

FIXTURE_VARIANT_ADD(abi, resume)
{
	.cmd = P2M_RESUME,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, page_in)
{
	.cmd = P2M_PAGE_IN,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, dirty_start)
{
	.cmd = P2M_DIRTY_START,
	.first_size = SWITCH_SIZE_1,
	.size = sizeof(struct p2m_dirty_switch),
	.before = P2M_DIRTY_STOP,
};

FIXTURE_VARIANT_ADD(abi, dirty_stop)
{
	.cmd = P2M_DIRTY_STOP,
	.first_size = SWITCH_SIZE_1,
	.size = sizeof(struct p2m_dirty_switch),
	.before = P2M_DIRTY_START,
};

FIXTURE_VARIANT_ADD(abi, dirty_get)
{
	.cmd = P2M_DIRTY_GET,
	.first_size = DIRTY_SIZE_1,
	.size = sizeof(struct p2m_dirty),
	.flags = P2M_DIRTY_CLEAN,
	.before = P2M_DIRTY_START,
};

FIXTURE_VARIANT_ADD(abi, foreign_map)
{
	.cmd = P2M_FOREIGN_MAP,
	.first_size = FOREIGN_SIZE_1,
	.size = sizeof(struct p2m_foreign),
	.flags = P2M_FOREIGN_READONLY,
};

FIXTURE_VARIANT_ADD(abi, share_nominate)
{
	.cmd = P2M_SHARE_NOMINATE,
	.first_size = NOMINATE_SIZE_1,
	.size = sizeof(struct p2m_share_nominate),
};

FIXTURE_VARIANT_ADD(abi, share)
{
	.cmd = P2M_SHARE,
	.first_size = SHARE_SIZE_1,
	.size = sizeof(struct p2m_share),
};

FIXTURE_VARIANT_ADD(abi, unshare)
{
	.cmd = P2M_UNSHARE,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

FIXTURE_VARIANT_ADD(abi, share_scan)
{
	.cmd = P2M_SHARE_SCAN,
	.first_size = SCAN_SIZE_1,
	.size = sizeof(struct p2m_scan),
};

FIXTURE_VARIANT_ADD(abi, share_domain)
{
	.cmd = P2M_SHARE_DOMAIN,
	.first_size = DOMAIN_SIZE_1,
	.size = sizeof(struct p2m_share_domain),
};

FIXTURE_VARIANT_ADD(abi, pod_set)
{
	.cmd = P2M_POD_SET,
	.first_size = POD_SIZE_1,
	.size = sizeof(struct p2m_pod),
};

FIXTURE_VARIANT_ADD(abi, pod_get)
{
	.cmd = P2M_POD_GET,
	.first_size = POD_SIZE_1,
	.size = sizeof(struct p2m_pod),
};

FIXTURE_VARIANT_ADD(abi, pod_sweep)
{
	.cmd = P2M_POD_SWEEP,
	.first_size = RANGE_SIZE_1,
	.size = sizeof(struct p2m_range),
};

/* Half of the frames are in the store, so a move in either direction shows. */
static void half_out(struct p2m_mem *mem)
{
	p2m_mem_open(mem, NR_FRAMES);
	p2m_mem_fill(mem, 0, NR_FRAMES);
	TEST_ASSERT(p2m_move(mem->fd, P2M_PAGE_OUT, 0, NR_OUT).done == NR_OUT,
		    "half of the frames go out");
}

/* Afterwards a good call succeeds, even if there was one before. */
static void make_ready(int fd, unsigned long before)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };
	int ret = before ? p2m_call(fd, before, &arg) : 0;

	TEST_ASSERT(!ret || ret == -EALREADY || ret == -ENODATA,
		    "to make it ready: %s", strerror(-ret));
}

FIXTURE_SETUP(abi)
{
	ASSERT_TRUE(p2m_all_freed());
	half_out(&self->mem);
	make_ready(self->mem.fd, variant->before);
	self->pages = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->pages);
	ASSERT_EQ(0, mprotect(self->pages + P2M_PAGE_SIZE, P2M_PAGE_SIZE,
			      PROT_NONE));
}

FIXTURE_TEARDOWN(abi)
{
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	p2m_mem_close(&self->mem);
	munmap(self->pages, 2 * P2M_PAGE_SIZE);
	EXPECT_TRUE(p2m_all_freed());
}

/*
 * A call that would succeed, and would move all frames that it can.  The fields
 * that the kernel writes hold a pattern, to see whether they are written.
 */
static void good_call(union call *call, unsigned long cmd, u32 size)
{
	static char contents[P2M_PAGE_SIZE];

	memset(call, 0, sizeof(*call));
	if (cmd == P2M_GET_INFO) {
		memset(call->bytes, 0x5a, INFO_SIZE_1);
	} else if (cmd == P2M_GET_STATS) {
		memset(call->bytes, 0x5a, STATS_SIZE_1);
	} else if (cmd == P2M_AUDIT) {
		memset(call->bytes, 0x5a, AUDIT_SIZE_1);
	} else if (cmd == P2M_DIRTY_GET) {
		memset(call->bytes, 0x5a, DIRTY_SIZE_1);
		call->dirty.gfn = 0;
		call->dirty.nr = NR_FRAMES;
		call->dirty.bitmap = (u64)bitmap;
	} else if (cmd == P2M_FOREIGN_MAP) {
		memset(call->bytes, 0x5a, FOREIGN_SIZE_1);
		call->foreign.gfn = 0;
		call->foreign.nr = NR_FRAMES;
		call->foreign.reserved = 0;
	} else if (cmd == P2M_SHARE_NOMINATE) {
		memset(call->bytes, 0x5a, NOMINATE_SIZE_1);
		call->nominate.gfn = NR_OUT;
	} else if (cmd == P2M_SHARE) {
		/* This alone gives EBADF.  A good one is in sharing_test. */
		memset(call->bytes, 0x5a, SHARE_SIZE_1);
		call->share.client_fd = -1;
		call->share.reserved = 0;
	} else if (cmd == P2M_SHARE_SCAN) {
		memset(call->bytes, 0x5a, SCAN_SIZE_1);
		call->scan.gfn = 0;
		call->scan.nr = NR_FRAMES;
		call->scan.max = 0;
	} else if (cmd == P2M_SHARE_DOMAIN) {
		call->domain.domain = 5;
	} else if (cmd == P2M_POD_SET || cmd == P2M_POD_GET) {
		memset(call->bytes, 0x5a, POD_SIZE_1);
		call->pod.target = NR_FRAMES;
	} else if (cmd == P2M_PAGER_ATTACH) {
		call->attach.policy = P2M_PAGER_SIGBUS;
	} else if (cmd == P2M_EVICT || cmd == P2M_PREP) {
		call->page.gfn = NR_OUT;
		call->page.addr = (u64)contents;
	} else if (cmd != P2M_PAGER_DETACH && cmd != P2M_DIRTY_START &&
		   cmd != P2M_DIRTY_STOP) {
		memset(call->bytes, 0x5a, RANGE_SIZE_1);
		call->range.gfn = 0;
		call->range.nr = NR_FRAMES;
		call->range.max = 0;
	}
	call->size = size;
	call->flags = 0;
}

static void must(int fd, unsigned long cmd, u32 size)
{
	union call call;
	int ret;

	good_call(&call, cmd, size);
	ret = p2m_call(fd, cmd, &call);
	TEST_ASSERT(!ret, "call %#lx: %s", cmd, strerror(-ret));
}

/* Prepare the guest so that a good call succeeds. */
static void before_call(int fd, unsigned long cmd)
{
	switch (cmd) {
	case P2M_PAGER_DETACH:
	case P2M_NOMINATE:
	case P2M_EVICT:
	case P2M_PREP:
	case P2M_RESUME:
		must(fd, P2M_PAGER_ATTACH, ATTACH_SIZE_1);
	}
	if (cmd == P2M_EVICT || cmd == P2M_PREP)
		must(fd, P2M_NOMINATE, RANGE_SIZE_1);
	if (cmd == P2M_PREP)
		must(fd, P2M_EVICT, PAGE_SIZE_1);
}

/* Undo a good call, and before_call(). */
static void after_call(int fd, unsigned long cmd)
{
	if (cmd == P2M_EVICT)
		must(fd, P2M_PREP, PAGE_SIZE_1);
	switch (cmd) {
	case P2M_PAGER_ATTACH:
	case P2M_NOMINATE:
	case P2M_EVICT:
	case P2M_PREP:
	case P2M_RESUME:
		must(fd, P2M_PAGER_DETACH, DETACH_SIZE_1);
	}
}

struct snapshot {
	struct p2m_stats stats;
	struct p2m_info info;
};

static void take(struct snapshot *snap, int fd)
{
	snap->stats = p2m_stats(fd);
	snap->info = p2m_info(fd);
}

static void expect_refusal(struct __test_metadata *_metadata, int line, int fd,
			   unsigned long cmd, union call *call, int error)
{
	union call copy = *call;
	struct snapshot before, after;

	take(&before, fd);
	EXPECT_EQ(-error, p2m_call(fd, cmd, call))
		TH_LOG("asked at line %d", line);
	take(&after, fd);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)))
		TH_LOG("the guest changed, asked at line %d", line);
	EXPECT_EQ(0, memcmp(&copy, call, sizeof(copy)))
		TH_LOG("the structure was written, asked at line %d", line);
}

#define EXPECT_REFUSAL(fd, cmd, call, error) \
	expect_refusal(_metadata, __LINE__, fd, cmd, call, error)

static void expect_efault(struct __test_metadata *_metadata, int line, int fd,
			  unsigned long cmd, void *where)
{
	struct snapshot before, after;

	take(&before, fd);
	EXPECT_EQ(-EFAULT, p2m_call(fd, cmd, where))
		TH_LOG("asked at line %d", line);
	take(&after, fd);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)))
		TH_LOG("the guest changed, asked at line %d", line);
}

#define EXPECT_EFAULT(fd, cmd, where) \
	expect_efault(_metadata, __LINE__, fd, cmd, where)

TEST_F(abi, a_structure_that_cannot_be_read_is_efault)
{
	char *hole = self->pages + P2M_PAGE_SIZE;
	union call call;
	int fd = self->mem.fd;

	EXPECT_EFAULT(fd, variant->cmd, NULL);
	EXPECT_EFAULT(fd, variant->cmd, hole);
	EXPECT_EFAULT(fd, variant->cmd, (void *)-P2M_PAGE_SIZE);

	/* All but its last byte is there; only its size; half of its size. */
	good_call(&call, variant->cmd, variant->first_size);
	memcpy(hole - (variant->first_size - 1), &call,
	       variant->first_size - 1);
	EXPECT_EFAULT(fd, variant->cmd, hole - (variant->first_size - 1));
	memcpy(hole - 4, &call, 4);
	EXPECT_EFAULT(fd, variant->cmd, hole - 4);
	EXPECT_EFAULT(fd, variant->cmd, hole - 2);

	/* The tail of a structure from the future is missing. */
	call.size = variant->first_size + 1;
	memcpy(hole - variant->first_size, &call, variant->first_size);
	EXPECT_EFAULT(fd, variant->cmd, hole - variant->first_size);
}

TEST_F(abi, a_structure_that_cannot_be_written_is_efault)
{
	union call *call = (union call *)self->pages;
	union call copy;

	good_call(call, variant->cmd, variant->first_size);
	copy = *call;
	ASSERT_EQ(0, mprotect(self->pages, P2M_PAGE_SIZE, PROT_READ));
	EXPECT_EFAULT(self->mem.fd, variant->cmd, call);
	EXPECT_EQ(0, memcmp(&copy, call, sizeof(copy)));
}

TEST_F(abi, a_size_too_small_or_over_a_page_is_einval)
{
	const u32 sizes[] = {
		0, 1, 4, 8, variant->first_size - 1, P2M_PAGE_SIZE + 1,
		2 * P2M_PAGE_SIZE, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	union call call;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i] >= variant->first_size &&
		    sizes[i] <= P2M_PAGE_SIZE)
			continue;
		good_call(&call, variant->cmd, sizes[i]);
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, EINVAL);
	}
}

TEST_F(abi, an_unknown_flag_is_einval)
{
	union call call;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (variant->flags >> bit & 1)
			continue;
		good_call(&call, variant->cmd, variant->first_size);
		call.flags = 1U << bit;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, EINVAL);
	}
}

TEST_F(abi, a_larger_structure_with_news_in_it_is_e2big)
{
	const u32 sizes[] = {
		variant->size + 1, variant->size + 8,
		variant->size + 13, P2M_PAGE_SIZE,
	};
	union call call;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		good_call(&call, variant->cmd, sizes[i]);
		call.bytes[sizes[i] - 1] = 1;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, E2BIG);
		good_call(&call, variant->cmd, sizes[i]);
		call.bytes[variant->size] = 0x80;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, E2BIG);
		/* The size is checked before the flags. */
		call.flags = ~0U;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, E2BIG);
	}
}

TEST_F(abi, a_larger_structure_without_news_is_fine)
{
	const u32 sizes[] = {
		variant->first_size, variant->first_size + 1,
		variant->first_size + 8, P2M_PAGE_SIZE,
	};
	union call call;
	size_t i, byte;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		good_call(&call, variant->cmd, sizes[i]);
		memset(call.bytes + sizes[i], 0xaa, sizeof(call) - sizes[i]);
		make_ready(self->mem.fd, variant->before);
		before_call(self->mem.fd, variant->cmd);
		ASSERT_EQ(variant->cmd == P2M_SHARE ? -EBADF : 0,
			  p2m_call(self->mem.fd, variant->cmd, &call));
		after_call(self->mem.fd, variant->cmd);
		if (variant->cmd == P2M_FOREIGN_MAP)
			EXPECT_EQ(0, close(call.foreign.fd));
		EXPECT_EQ(sizes[i], call.size);
		EXPECT_EQ(0, call.flags);
		for (byte = variant->first_size; byte < sizes[i]; byte++)
			ASSERT_EQ(0, call.bytes[byte]);
		for (; byte < sizeof(call); byte++)
			ASSERT_EQ(0xaa, call.bytes[byte]);
	}
}

FIXTURE(range)
{
	struct p2m_mem mem;
};

FIXTURE_VARIANT(range)
{
	unsigned long cmd;
};

FIXTURE_VARIANT_ADD(range, page_out)
{
	.cmd = P2M_PAGE_OUT,
};

FIXTURE_VARIANT_ADD(range, page_in)
{
	.cmd = P2M_PAGE_IN,
};

FIXTURE_VARIANT_ADD(range, pod_sweep)
{
	.cmd = P2M_POD_SWEEP,
};

FIXTURE_SETUP(range)
{
	ASSERT_TRUE(p2m_all_freed());
	half_out(&self->mem);
}

FIXTURE_TEARDOWN(range)
{
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(range, no_frames_or_frames_that_cannot_be_are_einval)
{
	static const struct {
		u64 gfn, nr;
	} bad[] = {
		{ 0, 0 },
		{ NR_FRAMES - 1, 0 },
		{ NR_FRAMES, 0 },
		{ ~0ULL, 0 },
		{ ~0ULL, 1 },
		{ ~0ULL, 2 },
		{ 1, ~0ULL },
		{ 0, ~0ULL },
		{ 1ULL << 63, 1ULL << 63 },
		{ 0, P2M_MAX_GFNS + 1 },
		{ 1, P2M_MAX_GFNS },
		{ P2M_MAX_GFNS - 1, 2 },
		{ P2M_MAX_GFNS, 1 },
	};
	union call call;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		good_call(&call, variant->cmd, RANGE_SIZE_1);
		call.range.gfn = bad[i].gfn;
		call.range.nr = bad[i].nr;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, EINVAL);
	}
}

TEST_F(range, a_frame_past_the_end_is_erange)
{
	static const u64 gfns[] = {
		NR_FRAMES, NR_FRAMES + 1, 1UL << 20, P2M_MAX_GFNS - 1,
	};
	union call call;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gfns); i++) {
		good_call(&call, variant->cmd, RANGE_SIZE_1);
		call.range.gfn = gfns[i];
		call.range.nr = 1;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, ERANGE);
		/* The size is checked first, then the flags, then the range. */
		call.flags = 1;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, EINVAL);
		call.size = RANGE_SIZE_1 + 1;
		call.bytes[RANGE_SIZE_1] = 1;
		EXPECT_REFUSAL(self->mem.fd, variant->cmd, &call, E2BIG);
	}
}

TEST_F(range, a_guest_without_a_mapping_has_no_frames)
{
	union call call;
	int fd = p2m_open();

	ASSERT_EQ(0, p2m_info(fd).gfns);
	good_call(&call, variant->cmd, RANGE_SIZE_1);
	EXPECT_REFUSAL(fd, variant->cmd, &call, ERANGE);
	close(fd);
}

FIXTURE(device)
{
	struct p2m_mem mem;
};

FIXTURE_SETUP(device)
{
	ASSERT_TRUE(p2m_all_freed());
	half_out(&self->mem);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(device, a_call_that_is_not_there_is_enotty)
{
	static const unsigned long cmds[] = {
		_IO(P2M_IOC, 0x0f), _IO(P2M_IOC, 0x7f), _IO(P2M_IOC, 0xff),
		_IO(P2M_IOC + 1, 0x00), _IO(0, 0x11), 0, ~0UL, TCGETS,
		_IOR(P2M_IOC, 0x00, struct p2m_info),
		_IOW(P2M_IOC, 0x10, struct p2m_range),
		_IOWR(P2M_IOC, 0x11, struct p2m_range),
	};
	union call call;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		good_call(&call, P2M_PAGE_OUT, RANGE_SIZE_1);
		EXPECT_REFUSAL(self->mem.fd, cmds[i], &call, ENOTTY);
		EXPECT_EQ(-ENOTTY, p2m_call(self->mem.fd, cmds[i], NULL));
	}
}

TEST_F(device, mmap_refuses_what_it_cannot_map)
{
	static const struct {
		u64 gfn, nr;
		int flags, error;
	} bad[] = {
		{ 0, 1, MAP_PRIVATE, EINVAL },
		{ NR_FRAMES, 1, MAP_PRIVATE, EINVAL },
		{ P2M_MAX_GFNS, 1, MAP_PRIVATE, EINVAL },
		{ P2M_MAX_GFNS, 1, MAP_SHARED, EOVERFLOW },
		{ P2M_MAX_GFNS - 1, 2, MAP_SHARED, EOVERFLOW },
		{ P2M_MAX_GFNS - 8, 64, MAP_SHARED, EOVERFLOW },
		{ P2M_MAX_GFNS << 3, 1, MAP_SHARED, EOVERFLOW },
		{ (1UL << 52) - 1, 1, MAP_SHARED, EOVERFLOW },
		{ (1UL << 52) - 1, 2, MAP_SHARED, EOVERFLOW },
	};
	static const int prots[] = {
		PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
	};
	size_t i, p;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (p = 0; p < ARRAY_SIZE(prots); p++) {
			struct snapshot before, after;

			take(&before, self->mem.fd);
			EXPECT_EQ(MAP_FAILED,
				  mmap(NULL, bad[i].nr * P2M_PAGE_SIZE,
				       prots[p], bad[i].flags, self->mem.fd,
				       bad[i].gfn * P2M_PAGE_SIZE));
			EXPECT_EQ(bad[i].error, errno)
				TH_LOG("mmap of frame %#lx, %#lx frames",
				       bad[i].gfn, bad[i].nr);
			take(&after, self->mem.fd);
			EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
		}
	}
}

TEST_F(device, the_furthest_mapping_so_far_is_the_end)
{
	static const struct {
		u64 gfn, nr, end;
	} maps[] = {
		{ 0, 1, NR_FRAMES },
		{ NR_FRAMES, 1, NR_FRAMES + 1 },
		{ 1000, 24, 1024 },
		{ 3, 7, 1024 },
		{ P2M_MAX_GFNS - 5, 5, P2M_MAX_GFNS },
		{ 9, 9, P2M_MAX_GFNS },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		void *hva = p2m_map(self->mem.fd, maps[i].gfn, maps[i].nr);

		EXPECT_EQ(maps[i].end, p2m_info(self->mem.fd).gfns);
		munmap(hva, maps[i].nr * P2M_PAGE_SIZE);
		EXPECT_EQ(maps[i].end, p2m_info(self->mem.fd).gfns);
	}
}

TEST_F(device, mremap_does_not_reach_past_the_end)
{
	char *hva = p2m_map(self->mem.fd, NR_FRAMES - 1, 1);
	char *grown = mremap(hva, P2M_PAGE_SIZE, 4 * P2M_PAGE_SIZE,
			     MREMAP_MAYMOVE);
	struct p2m_stats stats;
	u64 more;
	pid_t pid;

	if (grown == MAP_FAILED) {
		munmap(hva, P2M_PAGE_SIZE);
		return;
	}
	pid = p2m_fork();
	if (!pid) {
		WRITE_ONCE(grown[3 * P2M_PAGE_SIZE], 1);
		_exit(0);
	}
	/* Either there is no such frame, or the guest has grown. */
	more = p2m_wait(pid) == -SIGBUS ? 0 : 1;
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(NR_FRAMES + more, stats.resident + stats.paged);
	EXPECT_EQ(NR_FRAMES + 3 * more, p2m_info(self->mem.fd).gfns);
	munmap(grown, 4 * P2M_PAGE_SIZE);
}

TEST_F(device, a_new_guest_is_empty_and_has_a_number_of_its_own)
{
	struct p2m_stats none = { .size = sizeof(none) }, stats;
	struct p2m_info info;
	int fd = p2m_open();

	info = p2m_info(fd);
	EXPECT_EQ(0, info.gfns);
	EXPECT_EQ(P2M_FEATURE_PAGING, info.features & P2M_FEATURE_PAGING);
	EXPECT_NE(p2m_info(self->mem.fd).guest, info.guest);
	stats = p2m_stats(fd);
	EXPECT_EQ(0, memcmp(&none, &stats, sizeof(none)));
	close(fd);
}

TEST_HARNESS_MAIN
