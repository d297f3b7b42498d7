// SPDX-License-Identifier: GPL-2.0
/*
 * Frames share a page.  Any guest writes, and sharing, writing, paging and
 * dying come together in any way.  Each guest must see its own writes, and
 * nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

/* One chunk, and a part of a second */
#define NR_FRAMES	(P2M_CHUNK + 64)
#define NR_VCPUS	2
/* Passes after which guests write something else, so pages are equal again */
#define PASSES_ALIKE	4
/* The domain of all guests here, except in the tests of domains */
#define DOMAIN		7
/* The least that a race must see */
#define PASSES		p2m_rounds(12)
#define RACES		p2m_rounds(200)

static int nominate(int fd, u64 gfn, u64 *handle)
{
	struct p2m_share_nominate arg = { .size = sizeof(arg), .gfn = gfn };
	int err = p2m_call(fd, P2M_SHARE_NOMINATE, &arg);

	*handle = err ? 0 : arg.handle;
	return err;
}

static struct p2m_scan scan_range(int fd, u64 gfn, u64 nr, u64 max)
{
	struct p2m_scan arg = {
		.size = sizeof(arg),
		.gfn = gfn,
		.nr = nr,
		.max = max,
	};
	int err = p2m_call(fd, P2M_SHARE_SCAN, &arg);

	TEST_ASSERT(!err, "the scan of [%#lx, +%#lx): %s", gfn, nr,
		    strerror(-err));
	TEST_ASSERT(arg.next > gfn && arg.next <= gfn + nr,
		    "the scan of [%#lx, +%#lx): next is %#llx", gfn, nr,
		    arg.next);
	TEST_ASSERT(arg.zero <= arg.done &&
		    arg.done + arg.busy <= arg.looked &&
		    arg.looked <= arg.next - gfn, "it does not add up");
	TEST_ASSERT(!max || arg.done <= max, "more than max");
	return arg;
}

/* Scan all of a guest.  Return: frames merged */
static u64 scan_all(int fd)
{
	return scan_range(fd, 0, p2m_info(fd).gfns, 0).done;
}

static int unshare_range(int fd, u64 gfn, u64 nr, u64 max, u64 *done)
{
	struct p2m_range range = {
		.size = sizeof(range),
		.gfn = gfn,
		.nr = nr,
		.max = max,
	};
	int err = p2m_call(fd, P2M_UNSHARE, &range);

	*done = err ? 0 : range.done;
	return err;
}

FIXTURE(sharing)
{
	struct p2m_mem a;
	struct p2m_mem b;
	struct p2m_vm vm_a;
	struct p2m_vm vm_b;
};

FIXTURE_SETUP(sharing)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->a, NR_FRAMES);
	p2m_mem_open(&self->b, NR_FRAMES);
	ASSERT_EQ(0, p2m_set_domain(self->a.fd, DOMAIN));
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, DOMAIN));
	/* p2m_mem_fill() fills the same frame of both guests alike. */
	self->b.tag = self->a.tag;
}

FIXTURE_TEARDOWN(sharing)
{
	p2m_vm_destroy(&self->vm_a);
	p2m_vm_destroy(&self->vm_b);
	p2m_mem_close(&self->a);
	p2m_mem_close(&self->b);
	EXPECT_TRUE(p2m_all_freed());
}

/* Nominate a frame of each.  Return: the argument of a call that shares them */
static struct p2m_share share_arg(struct p2m_mem *a, u64 a_gfn,
				  struct p2m_mem *b, u64 b_gfn)
{
	struct p2m_share arg = {
		.size = sizeof(arg),
		.source_gfn = a_gfn,
		.client_fd = b->fd,
		.client_gfn = b_gfn,
	};

	TEST_ASSERT(!nominate(a->fd, a_gfn, (u64 *)&arg.source_handle),
		    "nominate %#lx of the source", a_gfn);
	TEST_ASSERT(!nominate(b->fd, b_gfn, (u64 *)&arg.client_handle),
		    "nominate %#lx of the client", b_gfn);
	return arg;
}

static void share_two(struct p2m_mem *a, u64 a_gfn, struct p2m_mem *b,
		      u64 b_gfn)
{
	struct p2m_share arg = share_arg(a, a_gfn, b, b_gfn);
	int err = p2m_call(a->fd, P2M_SHARE, &arg);

	TEST_ASSERT(!err, "P2M_SHARE: %s", strerror(-err));
}

/* Fill the same frames of both guests, and let them share. */
static void share_frames(struct p2m_mem *a, struct p2m_mem *b, u64 gfn, u64 nr)
{
	p2m_mem_fill(a, gfn, nr);
	p2m_mem_fill(b, gfn, nr);
	for (; nr; gfn++, nr--)
		share_two(a, gfn, b, gfn);
}

/* ------------------------------------------------------------------ */
/* Basics                                                              */
/* ------------------------------------------------------------------ */

static void guest_reads(u64 tag, u64 id, u64 nr)
{
	u64 sum = 0, i;

	for (;;) {
		for (i = 0; i < nr * P2M_WORDS; i += P2M_WORDS / 4)
			sum += READ_ONCE(((u64 *)P2M_GPA)[i]);
		GUEST_SYNC(sum);
	}
}

/* Add 1 to a word of its own in every frame. */
static void guest_adds(u64 tag, u64 id, u64 nr)
{
	u64 *words = (u64 *)P2M_GPA;
	u64 i;

	for (;;) {
		for (i = 0; i < nr; i++)
			words[i * P2M_WORDS + id]++;
		GUEST_SYNC(0);
	}
}

/* Undo guest_adds().  Return: pages that are wrong then */
static u64 take_off(struct p2m_mem *mem, u64 id, u64 passes)
{
	u64 gfn;

	for (gfn = 0; gfn < mem->nr; gfn++)
		p2m_page(mem, gfn)[id] -= passes;
	return p2m_mem_wrong_pages(mem, 0, mem->nr);
}

TEST_F(sharing, two_guests_share_until_one_writes)
{
	u64 pages, shared;

	share_frames(&self->a, &self->b, 0, NR_FRAMES);
	pages = p2m_totals().pages;
	EXPECT_EQ(NR_FRAMES, pages);
	EXPECT_EQ(NR_FRAMES, p2m_stats(self->b.fd).merged);
	EXPECT_EQ(0, p2m_stats(self->a.fd).merged);

	/* Both read, and still share. */
	p2m_vm_create(&self->vm_a, &self->a, 1, guest_reads);
	p2m_vm_create(&self->vm_b, &self->b, 1, guest_adds);
	p2m_vm_run_passes(&self->vm_a, 2);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, NR_FRAMES));
	EXPECT_EQ(pages, p2m_totals().pages);
	EXPECT_EQ(0, p2m_stats(self->a.fd).unshared);

	/* One writes, and the other one does not see it. */
	p2m_vm_run_passes(&self->vm_b, 1);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, p2m_stats(self->b.fd).unshared);
	EXPECT_EQ(2 * NR_FRAMES, p2m_totals().pages);
	shared = p2m_stats(self->a.fd).unshared;
	EXPECT_EQ(0, shared);
	EXPECT_EQ(0, take_off(&self->b, 0, self->vm_b.vcpu[0].passes));
}

TEST_F(sharing, the_last_sharer_keeps_the_page)
{
	share_frames(&self->a, &self->b, 0, 8);
	p2m_mem_close(&self->b);
	EXPECT_EQ(8, p2m_totals().pages);
	p2m_page(&self->a, 3)[7]++;
	EXPECT_EQ(8, p2m_totals().pages);
	EXPECT_EQ(1, p2m_stats(self->a.fd).unshared);
	p2m_page(&self->a, 3)[7]--;
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 8));
}

TEST_F(sharing, the_source_may_go_and_the_client_keeps_the_page)
{
	share_frames(&self->a, &self->b, 0, 8);
	p2m_mem_close(&self->a);
	EXPECT_EQ(8, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 8));
	p2m_mem_fill(&self->b, 0, 8);
	EXPECT_EQ(8, p2m_totals().pages);
}

TEST_F(sharing, the_vmm_and_the_kernel_may_write_too)
{
	u64 word = 0x1234, gfn;
	struct iovec in = { &word, sizeof(word) }, there;
	u64 fill[P2M_WORDS];

	share_frames(&self->a, &self->b, 0, 4);
	memcpy(fill, p2m_page(&self->a, 0), sizeof(fill));

	/* By the mapping; by the kernel, with a pin; by a copy to the user. */
	p2m_page(&self->b, 0)[5] = word;
	there = (struct iovec){ &p2m_page(&self->b, 1)[5], sizeof(word) };
	ASSERT_EQ(sizeof(word),
		  process_vm_writev(getpid(), &in, 1, &there, 1, 0));
	ASSERT_EQ(0, clock_gettime(CLOCK_MONOTONIC,
				   (void *)p2m_page(&self->b, 2)));
	p2m_page(&self->a, 3)[5] = word;

	for (gfn = 0; gfn < 3; gfn++)
		EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, gfn, 1));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 3, 1));
	EXPECT_EQ(word, p2m_page(&self->b, 0)[5]);
	EXPECT_EQ(word, p2m_page(&self->b, 1)[5]);
	EXPECT_EQ(word, p2m_page(&self->a, 3)[5]);
	EXPECT_EQ(8, p2m_totals().pages);
	/* The whole page was copied, not only the word. */
	EXPECT_EQ(0, memcmp(p2m_page(&self->b, 0), fill, 5 * sizeof(u64)));
	EXPECT_EQ(0, memcmp(p2m_page(&self->b, 0) + 6, fill + 6,
			    sizeof(fill) - 6 * sizeof(u64)));
}

TEST_F(sharing, one_guest_may_share_with_itself)
{
	memcpy(p2m_page(&self->a, 1), "same", 5);
	memcpy(p2m_page(&self->a, P2M_CHUNK + 1), "same", 5);
	memcpy(p2m_page(&self->a, 2), "same", 5);
	share_two(&self->a, 1, &self->a, P2M_CHUNK + 1);
	share_two(&self->a, P2M_CHUNK + 1, &self->a, 2);
	EXPECT_EQ(1, p2m_totals().pages);
	p2m_page(&self->a, 1)[0] = 1;
	EXPECT_EQ(0, strcmp("same", (char *)p2m_page(&self->a, P2M_CHUNK + 1)));
	EXPECT_EQ(0, strcmp("same", (char *)p2m_page(&self->a, 2)));
	EXPECT_EQ(2, p2m_totals().pages);
}

/* The same as two_guests_share_until_one_writes, on pages of 2 MB */
TEST_F(sharing, parts_of_2_mb_can_be_shared)
{
	u64 *a = p2m_map_huge(self->a.fd, 2 * P2M_CHUNK, 2 * P2M_CHUNK);
	u64 *b = p2m_map_huge(self->b.fd, 2 * P2M_CHUNK, 2 * P2M_CHUNK);
	struct p2m_share arg;
	u64 i;

	for (i = 0; i < 2 * P2M_CHUNK; i++) {
		a[i * P2M_WORDS] = i + 1;
		b[i * P2M_WORDS] = i + 1;
	}
	arg = share_arg(&self->a, 2 * P2M_CHUNK + 7,
			&self->b, 2 * P2M_CHUNK + 7);
	EXPECT_EQ(1, p2m_stats(self->a.fd).shattered);
	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_SHARE, &arg));
	EXPECT_EQ(4 * P2M_CHUNK - 1, p2m_totals().pages);

	scan_range(self->a.fd, 2 * P2M_CHUNK, 2 * P2M_CHUNK, 0);
	EXPECT_EQ(2 * P2M_CHUNK - 1,
		  scan_range(self->b.fd, 2 * P2M_CHUNK, 2 * P2M_CHUNK, 0).done);
	EXPECT_EQ(2 * P2M_CHUNK, p2m_totals().pages);
	for (i = 0; i < 2 * P2M_CHUNK; i++)
		b[i * P2M_WORDS]++;
	for (i = 0; i < 2 * P2M_CHUNK; i++) {
		ASSERT_EQ(i + 1, a[i * P2M_WORDS]);
		ASSERT_EQ(i + 2, b[i * P2M_WORDS]);
	}
	munmap(a, 2 * P2M_CHUNK * P2M_PAGE_SIZE);
	munmap(b, 2 * P2M_CHUNK * P2M_PAGE_SIZE);
}

TEST_F(sharing, shared_frames_are_not_paged_out)
{
	struct p2m_range range;

	share_frames(&self->a, &self->b, 0, 8);
	p2m_mem_fill(&self->a, 8, 8);
	range = p2m_move(self->a.fd, P2M_PAGE_OUT, 0, 16);
	EXPECT_EQ(8, range.done);
	EXPECT_EQ(0, range.busy);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 16));

	/* Frames with a page of their own are. */
	p2m_mem_fill(&self->a, 0, 8);
	EXPECT_EQ(16, p2m_move(self->a.fd, P2M_PAGE_OUT, 0, 16).done);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 16));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 8));
}

/* ------------------------------------------------------------------ */
/* Handles                                                             */
/* ------------------------------------------------------------------ */

TEST_F(sharing, a_handle_is_of_one_nomination)
{
	u64 first, again, other;

	p2m_mem_fill(&self->a, 0, 2);
	ASSERT_EQ(0, nominate(self->a.fd, 0, &first));
	EXPECT_NE(0, first);
	ASSERT_EQ(0, nominate(self->a.fd, 0, &again));
	EXPECT_EQ(first, again);
	ASSERT_EQ(0, nominate(self->a.fd, 1, &other));
	EXPECT_NE(first, other);

	/* A read keeps the handle.  A write ends it, even of the same words. */
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 2));
	ASSERT_EQ(0, nominate(self->a.fd, 0, &again));
	EXPECT_EQ(first, again);
	p2m_mem_fill(&self->a, 0, 1);
	ASSERT_EQ(0, nominate(self->a.fd, 0, &again));
	EXPECT_NE(first, again);
	EXPECT_NE(other, again);
	EXPECT_EQ(2, p2m_totals().pages);
}

TEST_F(sharing, sharers_have_one_handle)
{
	u64 a, b;

	share_frames(&self->a, &self->b, 0, 1);
	ASSERT_EQ(0, nominate(self->a.fd, 0, &a));
	ASSERT_EQ(0, nominate(self->b.fd, 0, &b));
	EXPECT_EQ(a, b);

	/* Sharing frames that share already is no error, and does nothing. */
	share_two(&self->a, 0, &self->b, 0);
	share_two(&self->b, 0, &self->a, 0);
	EXPECT_EQ(1, p2m_totals().pages);
	EXPECT_EQ(1, p2m_stats(self->b.fd).merged);
	EXPECT_EQ(0, p2m_stats(self->a.fd).merged);
}

/* A refusal changes nothing: not the counters, not a byte, not a page. */
static void expect_refused(struct __test_metadata *_metadata, int line,
			   struct _test_data_sharing *self, int error,
			   unsigned long cmd, void *arg)
{
	struct p2m_stats before[2] = {
		p2m_stats(self->a.fd), p2m_stats(self->b.fd),
	};
	struct p2m_totals totals = p2m_totals(), after_totals;
	struct p2m_stats after[2];

	EXPECT_EQ(-error, p2m_call(self->a.fd, cmd, arg))
		TH_LOG("asked at line %d", line);
	after[0] = p2m_stats(self->a.fd);
	after[1] = p2m_stats(self->b.fd);
	after_totals = p2m_totals();
	/* Only the count of busy frames may change. */
	if (error == EBUSY)
		before[0].busy = after[0].busy;
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)))
		TH_LOG("a guest changed, asked at line %d", line);
	EXPECT_EQ(0, memcmp(&totals, &after_totals, sizeof(totals)))
		TH_LOG("the totals changed, asked at line %d", line);
}

#define EXPECT_REFUSED(error, cmd, arg) \
	expect_refused(_metadata, __LINE__, self, error, cmd, arg)

TEST_F(sharing, a_stale_handle_is_estale)
{
	struct p2m_share good, arg;

	p2m_mem_fill(&self->a, 0, 3);
	p2m_mem_fill(&self->b, 0, 3);
	good = share_arg(&self->a, 0, &self->b, 0);

	/* A handle never given, one of the other guest or frame, or none */
	arg = good;
	arg.source_handle += 1000;
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);
	arg = good;
	arg.client_handle = good.source_handle;
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);
	arg = good;
	arg.source_gfn = 1;
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);
	arg = good;
	arg.client_gfn = 1;
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);
	arg = good;
	arg.client_handle = 0;
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);

	/* The client was written to, and nominated again. */
	p2m_mem_fill(&self->b, 0, 1);
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &good);
	arg = share_arg(&self->a, 0, &self->b, 0);
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &good);
	EXPECT_EQ(good.source_handle, arg.source_handle);
	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_SHARE, &arg));
	/* The client has the source's handle now. */
	EXPECT_REFUSED(ESTALE, P2M_SHARE, &arg);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 3));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 3));
}

TEST_F(sharing, other_contents_are_eilseq)
{
	struct p2m_share arg;

	p2m_mem_fill(&self->a, 0, 2);
	p2m_mem_fill(&self->b, 0, 2);
	p2m_page(&self->b, 1)[P2M_WORDS - 1] ^= 1UL << 63;
	arg = share_arg(&self->a, 1, &self->b, 1);
	EXPECT_REFUSED(EILSEQ, P2M_SHARE, &arg);
	arg = share_arg(&self->a, 0, &self->b, 1);
	EXPECT_REFUSED(EILSEQ, P2M_SHARE, &arg);
	p2m_page(&self->b, 1)[P2M_WORDS - 1] ^= 1UL << 63;
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 2));
	share_two(&self->a, 1, &self->b, 1);
}

TEST_F(sharing, a_client_that_is_no_guest_is_refused)
{
	struct p2m_share good, arg;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	p2m_mem_fill(&self->a, 0, 1);
	p2m_mem_fill(&self->b, 0, 1);
	good = share_arg(&self->a, 0, &self->b, 0);

	arg = good;
	arg.client_fd = -1;
	EXPECT_REFUSED(EBADF, P2M_SHARE, &arg);
	arg.client_fd = 0x7fffffff;
	EXPECT_REFUSED(EBADF, P2M_SHARE, &arg);
	arg.client_fd = null;
	EXPECT_REFUSED(EINVAL, P2M_SHARE, &arg);
	arg.client_fd = open("/dev/p2m", O_PATH | O_CLOEXEC);
	EXPECT_REFUSED(EBADF, P2M_SHARE, &arg);
	close(arg.client_fd);
	EXPECT_REFUSED(EBADF, P2M_SHARE, &arg);
	close(null);

	arg = good;
	arg.reserved = 1;
	EXPECT_REFUSED(EINVAL, P2M_SHARE, &arg);

	/* One frame cannot share with itself. */
	arg = good;
	arg.client_fd = self->a.fd;
	arg.client_handle = good.source_handle;
	EXPECT_REFUSED(EINVAL, P2M_SHARE, &arg);

	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_SHARE, &good));
}

TEST_F(sharing, frames_that_do_not_exist_are_refused)
{
	static const struct {
		u64 gfn;
		int error;
	} bad[] = {
		{ NR_FRAMES, ERANGE }, { 1UL << 30, ERANGE },
		{ P2M_MAX_GFNS - 1, ERANGE }, { P2M_MAX_GFNS, EINVAL },
		{ ~0UL, EINVAL },
	};
	struct p2m_share_nominate nom = { .size = sizeof(nom) };
	struct p2m_share good, arg;
	size_t i;

	p2m_mem_fill(&self->a, NR_FRAMES - 1, 1);
	p2m_mem_fill(&self->b, NR_FRAMES - 1, 1);
	good = share_arg(&self->a, NR_FRAMES - 1, &self->b, NR_FRAMES - 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		nom.gfn = bad[i].gfn;
		EXPECT_REFUSED(bad[i].error, P2M_SHARE_NOMINATE, &nom);
		arg = good;
		arg.source_gfn = bad[i].gfn;
		EXPECT_REFUSED(bad[i].error, P2M_SHARE, &arg);
		arg = good;
		arg.client_gfn = bad[i].gfn;
		EXPECT_REFUSED(bad[i].error, P2M_SHARE, &arg);
	}
	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_SHARE, &good));
}

TEST_F(sharing, a_frame_without_a_page_is_enoent)
{
	struct p2m_share_nominate nom = { .size = sizeof(nom) };

	p2m_mem_fill(&self->a, 1, 1);
	EXPECT_REFUSED(ENOENT, P2M_SHARE_NOMINATE, &nom);
	nom.gfn = P2M_CHUNK;
	EXPECT_REFUSED(ENOENT, P2M_SHARE_NOMINATE, &nom);
	nom.gfn = 1;
	ASSERT_EQ(1, p2m_move(self->a.fd, P2M_PAGE_OUT, 1, 1).done);
	EXPECT_REFUSED(ENOENT, P2M_SHARE_NOMINATE, &nom);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 1, 1));
	EXPECT_EQ(0, p2m_call(self->a.fd, P2M_SHARE_NOMINATE, &nom));
}

/* ------------------------------------------------------------------ */
/* Held pages                                                          */
/* ------------------------------------------------------------------ */

TEST_F(sharing, a_held_page_is_ebusy_until_released)
{
	struct p2m_share_nominate nom = { .size = sizeof(nom), .gfn = 5 };
	u64 words[P2M_WORDS];
	struct p2m_scan got;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_fill(&self->b, 0, 8);
	p2m_mem_hold(pipes[1], &self->a, 5);
	EXPECT_REFUSED(EBUSY, P2M_SHARE_NOMINATE, &nom);
	p2m_mem_hold(pipes[1], &self->b, 6);

	/* A scan passes over a held page, as a client and as a candidate. */
	EXPECT_EQ(0, scan_all(self->a.fd));
	got = scan_range(self->b.fd, 0, NR_FRAMES, 0);
	EXPECT_EQ(6, got.done);
	EXPECT_EQ(1, got.busy);

	/* It is still the same page. */
	p2m_page(&self->a, 5)[0] ^= 1;
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(0, memcmp(words, p2m_page(&self->a, 5), sizeof(words)));
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	p2m_page(&self->a, 5)[0] ^= 1;
	share_two(&self->a, 5, &self->b, 5);
	share_two(&self->a, 6, &self->b, 6);
	EXPECT_EQ(8, p2m_totals().pages);
	close(pipes[0]);
	close(pipes[1]);
}

/*
 * A pipe holds a shared page that it got from one guest.  That guest writes,
 * and gets a copy.  The other guest, now the last sharer, writes too.  The
 * holder must not see that.
 */
TEST_F(sharing, who_holds_a_shared_page_sees_nothing_of_the_other_guest)
{
	u64 want[P2M_WORDS], words[P2M_WORDS];
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	share_frames(&self->a, &self->b, 0, 1);
	memcpy(want, p2m_page(&self->b, 0), sizeof(want));
	p2m_mem_hold(pipes[1], &self->b, 0);
	p2m_page(&self->b, 0)[0] = 0xb;
	p2m_page(&self->a, 0)[0] = 0xa;
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(0, memcmp(words, want, sizeof(words)));
	EXPECT_EQ(0xb, p2m_page(&self->b, 0)[0]);
	EXPECT_EQ(0xa, p2m_page(&self->a, 0)[0]);
	EXPECT_EQ(2, p2m_totals().pages);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(sharing, a_foreign_mapping_keeps_a_frame_from_being_shared)
{
	struct p2m_share_nominate nom = { .size = sizeof(nom), .gfn = 1 };
	struct p2m_foreign foreign = { .size = sizeof(foreign), .nr = 4 };
	u64 *there;

	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_fill(&self->b, 0, 8);
	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_FOREIGN_MAP, &foreign));
	EXPECT_REFUSED(EBUSY, P2M_SHARE_NOMINATE, &nom);
	scan_all(self->b.fd);
	EXPECT_EQ(4, scan_range(self->a.fd, 0, 8, 0).done);
	close(foreign.fd);
	EXPECT_EQ(4, scan_range(self->a.fd, 0, 8, 0).done);

	/* Shared frames get their own pages before a mapping, even to read. */
	foreign.flags = P2M_FOREIGN_READONLY;
	foreign.gfn = 4;
	ASSERT_EQ(0, p2m_call(self->a.fd, P2M_FOREIGN_MAP, &foreign));
	EXPECT_EQ(4, p2m_stats(self->a.fd).unshared);
	there = mmap(NULL, 4 * P2M_PAGE_SIZE, PROT_READ, MAP_SHARED,
		     foreign.fd, 0);
	ASSERT_NE(MAP_FAILED, there);
	p2m_page(&self->a, 4)[0]++;
	EXPECT_EQ(p2m_page(&self->a, 4)[0], there[0]);
	p2m_page(&self->a, 4)[0]--;
	munmap(there, 4 * P2M_PAGE_SIZE);
	close(foreign.fd);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 8));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 8));
}

/* ------------------------------------------------------------------ */
/* Unshare                                                             */
/* ------------------------------------------------------------------ */

TEST_F(sharing, unshare_gives_each_frame_its_own_page)
{
	u64 done, handle;

	share_frames(&self->a, &self->b, P2M_CHUNK - 8, 16);
	EXPECT_EQ(16, p2m_totals().pages);
	ASSERT_EQ(0, unshare_range(self->b.fd, 0, NR_FRAMES, 3, &done));
	EXPECT_EQ(3, done);
	EXPECT_EQ(19, p2m_totals().pages);
	ASSERT_EQ(0, unshare_range(self->b.fd, 0, NR_FRAMES, 0, &done));
	EXPECT_EQ(13, done);
	EXPECT_EQ(32, p2m_totals().pages);
	ASSERT_EQ(0, unshare_range(self->b.fd, 0, NR_FRAMES, 0, &done));
	EXPECT_EQ(0, done);

	/* The source's frames are still nominated, and keep their pages. */
	ASSERT_EQ(0, unshare_range(self->a.fd, P2M_CHUNK, 4, 0, &done));
	EXPECT_EQ(4, done);
	EXPECT_EQ(32, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, P2M_CHUNK - 8, 16));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, P2M_CHUNK - 8, 16));
	ASSERT_EQ(0, nominate(self->b.fd, P2M_CHUNK, &handle));

	EXPECT_EQ(-EINVAL, unshare_range(self->a.fd, 0, 0, 0, &done));
	EXPECT_EQ(-ERANGE, unshare_range(self->a.fd, NR_FRAMES, 1, 0, &done));
}

static u64 read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	u64 number;

	TEST_ASSERT(file && fscanf(file, "%lu", &number) == 1, "read %s", path);
	fclose(file);
	return number;
}

static void write_number(const char *path, u64 number)
{
	FILE *file = fopen(path, "w");

	TEST_ASSERT(file && fprintf(file, "%lu", number) > 0 && !fclose(file),
		    "write %s", path);
}

/* The guest's memory cgroup has too little room for unsharing, then enough. */
static int unshare_with_little_memory(struct p2m_mem *other)
{
	struct p2m_mem own;
	u64 done, so_far;
	int err;

	write_number("/sys/fs/cgroup/p2m_sharing_test/cgroup.procs", 0);
	p2m_mem_open(&own, NR_FRAMES);
	if (p2m_set_domain(own.fd, DOMAIN))
		return 6;
	/* The guest stays charged there, but this process does not. */
	write_number("/sys/fs/cgroup/cgroup.procs", 0);
	own.tag = other->tag;
	p2m_mem_fill(&own, 0, NR_FRAMES);
	scan_all(other->fd);
	if (scan_all(own.fd) != NR_FRAMES)
		return 1;
	write_number("/sys/fs/cgroup/p2m_sharing_test/memory.max",
		     read_number("/sys/fs/cgroup/p2m_sharing_test/memory.current") +
		     (1 << 20));

	/* Unsharing goes as far as there is room, and loses nothing. */
	for (so_far = 0, err = 0; !err; so_far += done)
		err = unshare_range(own.fd, so_far, NR_FRAMES - so_far, 0,
				    &done);
	if (err != -ENOMEM || p2m_stats(own.fd).unshared != so_far)
		return 2;

	write_number("/sys/fs/cgroup/p2m_sharing_test/memory.max", 1UL << 40);
	if (p2m_mem_wrong_pages(&own, 0, NR_FRAMES))
		return 3;
	if (unshare_range(own.fd, so_far, NR_FRAMES - so_far, 0, &done) ||
	    so_far + done != NR_FRAMES)
		return 4;
	if (p2m_mem_wrong_pages(&own, 0, NR_FRAMES))
		return 5;
	p2m_mem_close(&own);
	return 0;
}

TEST_F(sharing, unsharing_without_memory_is_enomem_and_leaves_it_shared)
{
	int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY);
	pid_t pid;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(7, write(fd, "+memory", 7));
	close(fd);
	ASSERT_EQ(0, mkdir("/sys/fs/cgroup/p2m_sharing_test", 0755));
	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	pid = p2m_fork();
	if (!pid)
		_exit(unshare_with_little_memory(&self->a));
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(0, rmdir("/sys/fs/cgroup/p2m_sharing_test"));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, NR_FRAMES));
}

/* Return: bits of frames [0, 64) that are dirty.  Makes them clean. */
static u64 dirty_frames(int fd)
{
	u64 bits = 0;
	struct p2m_dirty arg = {
		.size = sizeof(arg),
		.flags = P2M_DIRTY_CLEAN,
		.nr = 64,
		.bitmap = (u64)&bits,
	};

	TEST_ASSERT(!p2m_call(fd, P2M_DIRTY_GET, &arg), "P2M_DIRTY_GET");
	return bits;
}

TEST_F(sharing, what_is_written_to_is_dirty_shared_or_not)
{
	struct p2m_dirty_switch on = { .size = sizeof(on) };
	u64 done;

	p2m_mem_fill(&self->a, 0, 64);
	p2m_mem_fill(&self->b, 0, 64);
	ASSERT_EQ(0, p2m_call(self->b.fd, P2M_DIRTY_START, &on));
	p2m_mem_fill(&self->b, 0, 1);
	scan_all(self->a.fd);
	EXPECT_EQ(64, scan_all(self->b.fd));
	/* The frame that was dirty before it was shared still is. */
	EXPECT_EQ(1, dirty_frames(self->b.fd));
	EXPECT_EQ(0, dirty_frames(self->b.fd));
	/* A frame does not become dirty because it gets its own page. */
	ASSERT_EQ(0, unshare_range(self->b.fd, 1, 1, 0, &done));
	EXPECT_EQ(0, dirty_frames(self->b.fd));
	p2m_mem_fill(&self->b, 1, 3);
	EXPECT_EQ(14, dirty_frames(self->b.fd));
	p2m_mem_fill(&self->b, 1, 1);
	EXPECT_EQ(2, dirty_frames(self->b.fd));
	/* A write by the source makes none of the client's frames dirty. */
	p2m_mem_fill(&self->a, 0, 64);
	EXPECT_EQ(0, dirty_frames(self->b.fd));
	ASSERT_EQ(0, p2m_call(self->b.fd, P2M_DIRTY_STOP, &on));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 64));
}

/* ------------------------------------------------------------------ */
/* Scan                                                                */
/* ------------------------------------------------------------------ */

TEST_F(sharing, a_scan_shares_all_zero_pages)
{
	struct p2m_scan got;
	u64 gfn;

	p2m_mem_populate(&self->a, 0, NR_FRAMES);
	p2m_mem_populate(&self->b, 0, NR_FRAMES);
	got = scan_range(self->a.fd, 0, NR_FRAMES, 0);
	/* All frames are merged with the first one. */
	EXPECT_EQ(NR_FRAMES - 1, got.done);
	EXPECT_EQ(NR_FRAMES - 1, got.zero);
	EXPECT_EQ(NR_FRAMES, got.looked);
	EXPECT_EQ(NR_FRAMES, got.next);
	EXPECT_EQ(NR_FRAMES + 1, p2m_totals().pages);
	EXPECT_EQ(NR_FRAMES, scan_all(self->b.fd));
	EXPECT_EQ(1, p2m_totals().pages);
	EXPECT_EQ(0, scan_all(self->a.fd));

	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->a, 0, NR_FRAMES));
	for (gfn = 0; gfn < 10; gfn++)
		p2m_page(&self->a, gfn)[0] = gfn + 1;
	EXPECT_EQ(11, p2m_totals().pages);
	EXPECT_EQ(10, p2m_mem_nonzero_pages(&self->a, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->b, 0, NR_FRAMES));
}

TEST_F(sharing, a_scan_finds_equal_pages_of_two_guests)
{
	struct p2m_scan got;

	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	p2m_mem_fill(&self->b, 0, NR_FRAMES);
	EXPECT_EQ(0, scan_all(self->a.fd));
	got = scan_range(self->b.fd, 0, NR_FRAMES, 0);
	EXPECT_EQ(NR_FRAMES, got.done);
	EXPECT_EQ(0, got.zero);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);

	p2m_vm_create(&self->vm_a, &self->a, 1, guest_adds);
	p2m_vm_create(&self->vm_b, &self->b, 1, guest_reads);
	p2m_vm_run_passes(&self->vm_b, 1);
	p2m_vm_run_passes(&self->vm_a, 1);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, NR_FRAMES));
	EXPECT_EQ(0, take_off(&self->a, 0, self->vm_a.vcpu[0].passes));
}

TEST_F(sharing, a_scan_finds_equal_pages_of_one_guest)
{
	u64 gfn;

	for (gfn = 0; gfn < 100; gfn++)
		p2m_page(&self->a, gfn)[9] = gfn % 10 + 1;
	EXPECT_EQ(90, scan_all(self->a.fd));
	EXPECT_EQ(10, p2m_totals().pages);
	for (gfn = 0; gfn < 100; gfn++)
		ASSERT_EQ(gfn % 10 + 1, p2m_page(&self->a, gfn)[9]);
}

TEST_F(sharing, a_scan_stops_at_max_and_goes_on)
{
	struct p2m_scan got;
	u64 gfn = 0, done = 0;

	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	p2m_mem_fill(&self->b, 0, NR_FRAMES);
	EXPECT_EQ(0, scan_all(self->a.fd));
	while (gfn < NR_FRAMES) {
		got = scan_range(self->b.fd, gfn, NR_FRAMES - gfn, 7);
		EXPECT_TRUE(got.done == 7 || got.next == NR_FRAMES);
		gfn = got.next;
		done += got.done;
	}
	EXPECT_EQ(NR_FRAMES, done);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, NR_FRAMES));
}

TEST_F(sharing, a_scan_takes_any_range)
{
	struct p2m_scan bad = { .size = sizeof(bad) }, got;
	void *far;

	/* Most of the range has no frames at all. */
	far = p2m_map(self->a.fd, P2M_MAX_GFNS - 3, 3);
	*(u64 *)far = 1;
	got = scan_range(self->a.fd, 1, P2M_MAX_GFNS - 1, 0);
	EXPECT_EQ(P2M_MAX_GFNS, got.next);
	EXPECT_EQ(0, got.done);
	munmap(far, 3 * P2M_PAGE_SIZE);

	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	p2m_mem_fill(&self->b, 0, NR_FRAMES);
	scan_all(self->a.fd);
	EXPECT_EQ(3, scan_range(self->b.fd, P2M_CHUNK - 1, 3, 0).done);
	EXPECT_EQ(1, scan_range(self->b.fd, NR_FRAMES - 1, 100, 0).done);
	EXPECT_EQ(NR_FRAMES - 4, scan_all(self->b.fd));

	bad.nr = 0;
	EXPECT_EQ(-EINVAL, p2m_call(self->b.fd, P2M_SHARE_SCAN, &bad));
	bad.gfn = NR_FRAMES;
	bad.nr = 1;
	EXPECT_EQ(-ERANGE, p2m_call(self->b.fd, P2M_SHARE_SCAN, &bad));
	bad.gfn = ~0UL;
	EXPECT_EQ(-EINVAL, p2m_call(self->b.fd, P2M_SHARE_SCAN, &bad));
}

TEST_F(sharing, a_candidate_that_changed_or_went_is_no_harm)
{
	struct p2m_mem gone;

	p2m_mem_fill(&self->a, 0, 64);
	p2m_mem_fill(&self->b, 0, 64);
	p2m_mem_open(&gone, NR_FRAMES);
	ASSERT_EQ(0, p2m_set_domain(gone.fd, DOMAIN));
	gone.tag = self->a.tag;
	p2m_mem_fill(&gone, 0, 64);
	EXPECT_EQ(0, scan_all(gone.fd));
	p2m_mem_close(&gone);

	/* The candidate's guest is gone; it was written to; it is stored. */
	EXPECT_EQ(0, scan_all(self->a.fd));
	self->a.tag++;
	p2m_mem_fill(&self->a, 0, 64);
	EXPECT_EQ(0, scan_all(self->b.fd));
	self->a.tag--;
	p2m_mem_fill(&self->a, 0, 64);
	EXPECT_EQ(64, p2m_move(self->b.fd, P2M_PAGE_OUT, 0, 64).done);
	EXPECT_EQ(0, scan_all(self->a.fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 64));
	EXPECT_EQ(64, scan_all(self->b.fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 64));
}

/* ------------------------------------------------------------------ */
/* Domains                                                             */
/* ------------------------------------------------------------------ */

FIXTURE(domains)
{
	struct p2m_mem a;
	struct p2m_mem b;
};

/* The same as the fixture sharing, but no domain is set. */
FIXTURE_SETUP(domains)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->a, NR_FRAMES);
	p2m_mem_open(&self->b, NR_FRAMES);
	self->b.tag = self->a.tag;
}

FIXTURE_TEARDOWN(domains)
{
	p2m_mem_close(&self->a);
	p2m_mem_close(&self->b);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F(domains, a_guest_that_nobody_said_may_share_learns_nothing_of_others)
{
	struct p2m_scan got;

	p2m_mem_fill(&self->a, 0, 16);
	p2m_mem_fill(&self->b, 0, 8);
	p2m_mem_populate(&self->b, 8, 8);
	EXPECT_EQ(0, scan_all(self->a.fd));
	p2m_mem_populate(&self->a, 16, 16);
	/* Its own zero pages become one, and it learns of no others. */
	EXPECT_EQ(15, scan_all(self->a.fd));
	got = scan_range(self->b.fd, 0, 16, 0);
	EXPECT_EQ(7, got.done);
	EXPECT_EQ(7, got.zero);
	EXPECT_EQ(0, got.busy);
}

TEST_F(domains, guests_of_one_domain_share_and_no_others)
{
	struct p2m_mem c;

	p2m_mem_open(&c, NR_FRAMES);
	c.tag = self->a.tag;
	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_fill(&self->b, 0, 8);
	p2m_mem_fill(&c, 0, 8);
	EXPECT_EQ(P2M_DOMAIN_ALONE, p2m_info(c.fd).domain);
	ASSERT_EQ(0, p2m_set_domain(self->a.fd, 1));
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, 2));
	ASSERT_EQ(0, p2m_set_domain(c.fd, 1));
	EXPECT_EQ(1, p2m_info(c.fd).domain);
	EXPECT_EQ(0, scan_all(self->a.fd));
	EXPECT_EQ(0, scan_all(self->b.fd));
	EXPECT_EQ(8, scan_all(c.fd));
	EXPECT_EQ(0, scan_all(self->b.fd));
	EXPECT_EQ(16, p2m_totals().pages);

	/* Pages that a scan saw in the old domain are no use in the new. */
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, 1));
	EXPECT_EQ(8, scan_all(self->b.fd));
	EXPECT_EQ(8, p2m_totals().pages);
	p2m_mem_close(&c);
}

/* A frame is a candidate only while its guest is in the domain. */
TEST_F(domains, who_has_left_a_domain_is_not_found_there)
{
	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_fill(&self->b, 0, 8);
	ASSERT_EQ(0, p2m_set_domain(self->a.fd, 1));
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, 1));
	EXPECT_EQ(0, scan_all(self->a.fd));
	ASSERT_EQ(0, p2m_set_domain(self->a.fd, 2));
	EXPECT_EQ(0, scan_all(self->b.fd));
	/* No frame of the guest that left was even nominated. */
	EXPECT_EQ(0, p2m_audit(self->a.fd).types[3]);
	ASSERT_EQ(0, p2m_set_domain(self->a.fd, 1));
	EXPECT_EQ(8, scan_all(self->a.fd));
}

TEST_F(domains, to_share_across_domains_is_exdev)
{
	struct p2m_share arg;

	p2m_mem_fill(&self->a, 0, 1);
	p2m_mem_fill(&self->b, 0, 1);
	arg = share_arg(&self->a, 0, &self->b, 0);
	EXPECT_EQ(-EXDEV, p2m_call(self->a.fd, P2M_SHARE, &arg));
	/* The error does not even tell whether the handles are right. */
	arg.client_handle++;
	EXPECT_EQ(-EXDEV, p2m_call(self->a.fd, P2M_SHARE, &arg));
	EXPECT_EQ(2, p2m_totals().pages);
}

TEST_F(domains, a_guest_with_shared_frames_stays_where_it_is)
{
	u64 done;

	ASSERT_EQ(0, p2m_set_domain(self->a.fd, 1));
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, 1));
	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_fill(&self->b, 0, 8);
	EXPECT_EQ(0, scan_all(self->a.fd));
	EXPECT_EQ(8, scan_all(self->b.fd));
	EXPECT_EQ(-EBUSY, p2m_set_domain(self->a.fd, 2));
	EXPECT_EQ(-EBUSY, p2m_set_domain(self->a.fd, P2M_DOMAIN_ALONE));
	EXPECT_EQ(-EBUSY, p2m_set_domain(self->a.fd, P2M_DOMAIN_NEVER));
	EXPECT_EQ(0, p2m_set_domain(self->a.fd, 1));
	EXPECT_EQ(1, p2m_info(self->a.fd).domain);
	ASSERT_EQ(0, unshare_range(self->a.fd, 0, NR_FRAMES, 0, &done));
	EXPECT_EQ(0, p2m_set_domain(self->a.fd, P2M_DOMAIN_ALONE));
	EXPECT_EQ(0, scan_all(self->a.fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 8));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 8));
}

TEST_F(domains, a_guest_that_says_no_is_not_looked_at)
{
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };
	u64 handle;

	ASSERT_EQ(0, p2m_set_domain(self->a.fd, P2M_DOMAIN_NEVER));
	p2m_mem_fill(&self->a, 0, 8);
	p2m_mem_populate(&self->a, 8, 8);
	EXPECT_EQ(-EPERM, p2m_call(self->a.fd, P2M_SHARE_SCAN, &scan));
	EXPECT_EQ(-EPERM, nominate(self->a.fd, 0, &handle));
	EXPECT_EQ(P2M_DOMAIN_NEVER, p2m_info(self->a.fd).domain);
	EXPECT_EQ(16, p2m_totals().pages);
	/* Two guests that say no are not a domain. */
	ASSERT_EQ(0, p2m_set_domain(self->b.fd, P2M_DOMAIN_NEVER));
	EXPECT_EQ(-EPERM, p2m_call(self->b.fd, P2M_SHARE_SCAN, &scan));
}

/* A user that is not root has both descriptors, and sets domains. */
static int set_domains_as_a_user(int a, int b)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		return 1;
	if (p2m_set_domain(a, 1) != -EPERM || p2m_set_domain(b, 2) != -EPERM)
		return 2;
	/* It may set the domain that it has, and one that shares less. */
	if (p2m_set_domain(a, P2M_DOMAIN_ALONE) || p2m_set_domain(b, 1))
		return 3;
	if (p2m_set_domain(b, P2M_DOMAIN_ALONE) ||
	    p2m_set_domain(b, 1) != -EPERM)
		return 4;
	if (p2m_set_domain(a, P2M_DOMAIN_NEVER) ||
	    p2m_set_domain(a, P2M_DOMAIN_NEVER))
		return 5;
	/* It cannot take a no back. */
	if (p2m_set_domain(a, P2M_DOMAIN_ALONE) != -EPERM)
		return 6;
	return 0;
}

TEST_F(domains, to_share_more_is_for_the_administrator)
{
	pid_t pid;

	ASSERT_EQ(0, p2m_set_domain(self->b.fd, 1));
	pid = p2m_fork();
	if (!pid)
		_exit(set_domains_as_a_user(self->a.fd, self->b.fd));
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(P2M_DOMAIN_NEVER, p2m_info(self->a.fd).domain);
	EXPECT_EQ(P2M_DOMAIN_ALONE, p2m_info(self->b.fd).domain);
	EXPECT_EQ(0, p2m_set_domain(self->a.fd, 1));
}

TEST_F_TIMEOUT(domains, a_guest_may_change_while_it_is_scanned, 60)
{
	pid_t pid;
	u64 done;
	int i;

	p2m_mem_fill(&self->a, 0, 64);
	p2m_mem_fill(&self->b, 0, 64);
	pid = p2m_fork();
	if (!pid) {
		for (;;) {
			scan_all(self->a.fd);
			scan_all(self->b.fd);
		}
	}
	for (i = 0; i < RACES; i++) {
		p2m_set_domain(self->a.fd, 1 + i % 2);
		p2m_set_domain(self->b.fd, 1 + i / 2 % 2);
		p2m_audit(self->a.fd);
		p2m_audit(self->b.fd);
		unshare_range(self->a.fd, 0, NR_FRAMES, 0, &done);
		unshare_range(self->b.fd, 0, NR_FRAMES, 0, &done);
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, 64));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->b, 0, 64));
}

/* The most sharers that a page can have: see the manual */
#define MAX_SHARERS	65536UL

TEST_F_TIMEOUT(domains, what_is_more_than_a_page_may_have_has_another, 120)
{
	struct p2m_mem large;
	u64 gfn;

	p2m_mem_open_huge(&large, MAX_SHARERS + P2M_CHUNK);
	for (gfn = 0; gfn < large.nr; gfn += P2M_CHUNK)
		p2m_mem_populate(&large, gfn, 1);
	EXPECT_EQ(large.nr, p2m_totals().pages);
	EXPECT_EQ(large.nr - 2, scan_all(large.fd));
	EXPECT_EQ(2, p2m_totals().pages);
	/* Each page loses one sharer, and then gets it back. */
	p2m_page(&large, 0)[0] = 1;
	p2m_page(&large, large.nr - 1)[0] = 1;
	EXPECT_EQ(4, p2m_totals().pages);
	p2m_audit(large.fd);
	p2m_page(&large, 0)[0] = 0;
	p2m_page(&large, large.nr - 1)[0] = 0;
	EXPECT_EQ(2, scan_all(large.fd));
	EXPECT_EQ(2, p2m_totals().pages);
	p2m_mem_close(&large);
}

/* ------------------------------------------------------------------ */
/* Races                                                               */
/* ------------------------------------------------------------------ */

/* The value of a vCPU's word, in every page, after so many passes */
static inline u64 alike(u64 pass)
{
	return pass / PASSES_ALIKE % 3;
}

/*
 * For some passes every page is equal to every other, in both guests.  Each
 * vCPU must find its own word as it left it.
 */
static void guest_writes_alike(u64 tag, u64 id, u64 nr)
{
	u64 *words = (u64 *)P2M_GPA;
	u64 pass, gfn, is;

	for (pass = 1; ; pass++) {
		for (gfn = 0; gfn < nr; gfn++) {
			is = READ_ONCE(words[gfn * P2M_WORDS + id]);
			GUEST_ASSERT_4(is == alike(pass - 1), gfn, pass, is,
				       alike(pass - 1));
			if (is != alike(pass))
				WRITE_ONCE(words[gfn * P2M_WORDS + id],
					   alike(pass));
		}
		GUEST_SYNC(pass);
	}
}

/* Return: how many words are wrong, with the guest stopped */
static u64 words_not_alike(struct p2m_vm *vm)
{
	u64 gfn, wrong = 0;
	int id;

	for (id = 0; id < vm->nr_vcpus; id++)
		for (gfn = 0; gfn < vm->mem->nr; gfn++)
			wrong += p2m_page(vm->mem, gfn)[id] !=
				 alike(vm->vcpu[id].passes);
	return wrong;
}

/* Do @work on the memory of both guests while both run and write. */
static void storm(struct __test_metadata *_metadata,
		  struct _test_data_sharing *self,
		  void (*work)(struct p2m_mem *mem))
{
	struct p2m_stats a, b;

	p2m_vm_create(&self->vm_a, &self->a, NR_VCPUS, guest_writes_alike);
	p2m_vm_create(&self->vm_b, &self->b, NR_VCPUS, guest_writes_alike);
	p2m_vm_start(&self->vm_a);
	p2m_vm_start(&self->vm_b);
	do {
		work(&self->a);
		work(&self->b);
		p2m_audit(self->a.fd);
		a = p2m_stats(self->a.fd);
		b = p2m_stats(self->b.fd);
	} while (p2m_vm_passes(&self->vm_a) < PASSES ||
		 p2m_vm_passes(&self->vm_b) < PASSES ||
		 a.unshared < NR_FRAMES || b.unshared < NR_FRAMES);
	p2m_vm_stop(&self->vm_a);
	p2m_vm_stop(&self->vm_b);
	TH_LOG("merged %llu and %llu, unshared %llu and %llu, busy %llu and %llu",
	       a.merged, b.merged, a.unshared, b.unshared, a.busy, b.busy);
	EXPECT_EQ(0, words_not_alike(&self->vm_a));
	EXPECT_EQ(0, words_not_alike(&self->vm_b));
	EXPECT_LE(p2m_totals().pages, 2 * NR_FRAMES);
}

static void work_scan(struct p2m_mem *mem)
{
	scan_all(mem->fd);
}

TEST_F_TIMEOUT(sharing, vcpus_may_write_while_a_scan_runs, 90)
{
	storm(_metadata, self, work_scan);
}

static void work_scan_and_page(struct p2m_mem *mem)
{
	scan_all(mem->fd);
	p2m_move(mem->fd, P2M_PAGE_OUT, 0, NR_FRAMES / 2);
	scan_range(mem->fd, 0, NR_FRAMES / 4, 0);
	p2m_move(mem->fd, P2M_PAGE_IN, 0, NR_FRAMES / 3);
}

TEST_F_TIMEOUT(sharing, paging_may_race_with_sharing, 90)
{
	storm(_metadata, self, work_scan_and_page);
}

static void work_scan_and_unshare(struct p2m_mem *mem)
{
	u64 done;

	scan_all(mem->fd);
	TEST_ASSERT(!unshare_range(mem->fd, NR_FRAMES / 3, NR_FRAMES / 3, 0,
				   &done), "unshare");
}

TEST_F_TIMEOUT(sharing, two_scans_and_unsharing_may_race, 90)
{
	pid_t pid = p2m_fork();

	if (!pid) {
		for (;;) {
			scan_all(self->b.fd);
			scan_all(self->a.fd);
		}
	}
	storm(_metadata, self, work_scan_and_unshare);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pid));
}

/* A thread that writes to frame 0 of its memory when told */
struct writer {
	struct p2m_mem *mem;
	pthread_barrier_t *barrier;
	u64 value;
};

static void *write_when_told(void *arg)
{
	struct writer *w = arg;
	u64 i;

	for (i = 1; i <= RACES; i++) {
		pthread_barrier_wait(w->barrier);
		WRITE_ONCE(p2m_page(w->mem, 0)[1], w->value + i);
		pthread_barrier_wait(w->barrier);
	}
	return NULL;
}

TEST_F_TIMEOUT(sharing, two_sharers_may_write_at_once, 60)
{
	struct writer a = { .mem = &self->a, .value = 0xa000 };
	struct writer b = { .mem = &self->b, .value = 0xb000 };
	pthread_barrier_t barrier;
	pthread_t threads[2];
	u64 i;

	pthread_barrier_init(&barrier, NULL, 3);
	a.barrier = &barrier;
	b.barrier = &barrier;
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, write_when_told, &a));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, write_when_told, &b));
	for (i = 1; i <= RACES; i++) {
		p2m_mem_fill(&self->a, 0, 1);
		p2m_mem_fill(&self->b, 0, 1);
		share_two(&self->a, 0, &self->b, 0);
		EXPECT_EQ(1, p2m_totals().pages);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		EXPECT_EQ(2, p2m_totals().pages);
		EXPECT_EQ(0xa000 + i, p2m_page(&self->a, 0)[1]);
		EXPECT_EQ(0xb000 + i, p2m_page(&self->b, 0)[1]);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pthread_barrier_destroy(&barrier);
}

/* Two processes nominate and share the same frames, in opposite directions. */
TEST_F_TIMEOUT(sharing, shares_may_cross, 60)
{
	struct p2m_share arg = { .size = sizeof(arg) };
	u64 good[2] = { }, tries;
	int *told;
	pid_t pid;

	told = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, told);
	memset(p2m_page(&self->a, 0), 1, P2M_PAGE_SIZE);
	memset(p2m_page(&self->b, 0), 1, P2M_PAGE_SIZE);
	pid = p2m_fork();
	for (tries = 0; tries < 10 * RACES; tries++) {
		struct p2m_mem *from = pid ? &self->a : &self->b;
		struct p2m_mem *to = pid ? &self->b : &self->a;
		int err;

		arg.client_fd = to->fd;
		err = nominate(from->fd, 0, (u64 *)&arg.source_handle);
		err = err ?: nominate(to->fd, 0, (u64 *)&arg.client_handle);
		err = err ?: p2m_call(from->fd, P2M_SHARE, &arg);
		/* The other process has written since, or is just about to. */
		ASSERT_TRUE(!err || err == -ESTALE || err == -EBUSY);
		good[!!pid] += !err;
		/* A write of the same contents ends the sharing. */
		memset(p2m_page(pid ? from : to, 0), 1, 8);
	}
	*told |= !good[!!pid];
	if (!pid)
		_exit(0);
	ASSERT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(0, *told);
	EXPECT_LE(p2m_totals().pages, 2);
	for (tries = 0; tries < P2M_WORDS; tries++) {
		ASSERT_EQ(0x0101010101010101UL, p2m_page(&self->a, 0)[tries]);
		ASSERT_EQ(0x0101010101010101UL, p2m_page(&self->b, 0)[tries]);
	}
	munmap(told, P2M_PAGE_SIZE);
}

/* ------------------------------------------------------------------ */
/* Death                                                               */
/* ------------------------------------------------------------------ */

/* A process with a guest of its own, whose frames are equal to @mem's */
static pid_t fork_a_guest(struct p2m_mem *mem, int *ready)
{
	pid_t pid = p2m_fork();
	struct p2m_mem own;
	struct p2m_vm vm;
	char byte = 0;

	if (pid)
		return pid;
	p2m_mem_open(&own, NR_FRAMES);
	TEST_ASSERT(!p2m_set_domain(own.fd, DOMAIN), "P2M_SHARE_DOMAIN");
	own.tag = mem->tag;
	p2m_mem_fill(&own, 0, NR_FRAMES);
	scan_all(own.fd);
	p2m_vm_create(&vm, &own, NR_VCPUS, guest_adds);
	p2m_vm_start(&vm);
	TEST_ASSERT(write(ready[1], &byte, 1) == 1, "write");
	for (;;)
		scan_all(own.fd);
}

TEST_F_TIMEOUT(sharing, kill_9_of_one_sharer_leaves_the_other, 60)
{
	struct p2m_stats stats;
	int ready[2], round;
	char byte;
	pid_t pid;

	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	p2m_vm_create(&self->vm_a, &self->a, 1, guest_reads);
	p2m_vm_start(&self->vm_a);
	for (round = 0; round < 5; round++) {
		scan_all(self->a.fd);
		ASSERT_EQ(0, pipe(ready));
		pid = fork_a_guest(&self->a, ready);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		usleep(20000 * round);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(pid));
		close(ready[0]);
		close(ready[1]);
		EXPECT_EQ(0, p2m_mem_wrong_pages(&self->a, 0, NR_FRAMES));
	}
	p2m_vm_stop(&self->vm_a);
	stats = p2m_stats(self->a.fd);
	EXPECT_EQ(NR_FRAMES, stats.resident);
	p2m_mem_fill(&self->a, 0, NR_FRAMES);
	p2m_mem_close(&self->b);
	while (p2m_totals().guests > 1)
		usleep(1000);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
}

TEST_HARNESS_MAIN
