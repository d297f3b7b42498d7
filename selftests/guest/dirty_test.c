// SPDX-License-Identifier: GPL-2.0
/*
 * The guest, the VMM or the kernel writes to frames.  Log-dirty must find them
 * all, the same set of pages as KVM's own dirty log finds on the same guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	(2 * P2M_CHUNK)
#define BYTES		(NR_FRAMES / 8)
#define ROUNDS		p2m_rounds(6)
#define PASSES		p2m_rounds(4)
#define MAX_FRAMES	(1UL << 20)	/* in a call */

static void set(unsigned char *bitmap, u64 i)
{
	bitmap[i / 8] |= 1 << i % 8;
}

static u64 count(const unsigned char *bitmap)
{
	u64 i, n = 0;

	for (i = 0; i < NR_FRAMES; i++)
		n += p2m_has_bit(bitmap, i);
	return n;
}

/* Return: how many frames differ.  Prints the first one. */
static u64 differ(const unsigned char *is, const unsigned char *want)
{
	u64 i, n = 0;

	for (i = 0; i < NR_FRAMES; i++) {
		if (p2m_has_bit(is, i) == p2m_has_bit(want, i))
			continue;
		if (!n++)
			fprintf(stderr, "# frame %#lx is %s\n", i,
				p2m_has_bit(is, i) ? "dirty" : "clean");
	}
	return n;
}

/* Get the bits of all of the guest, which must succeed. */
static struct p2m_dirty get(int fd, unsigned char *bitmap, u32 flags)
{
	struct p2m_dirty arg = p2m_dirty_arg(0, NR_FRAMES, bitmap, flags);
	int ret = p2m_call(fd, P2M_DIRTY_GET, &arg);

	TEST_ASSERT(!ret, "P2M_DIRTY_GET: %s", strerror(-ret));
	TEST_ASSERT(arg.next == NR_FRAMES, "next is %#llx", arg.next);
	TEST_ASSERT(arg.dirty == count(bitmap), "%llu dirty, but %lu bits",
		    arg.dirty, count(bitmap));
	TEST_ASSERT(arg.busy <= arg.dirty, "%llu busy", arg.busy);
	return arg;
}

FIXTURE(dirty)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_VARIANT(dirty)
{
	bool huge;
};

FIXTURE_VARIANT_ADD(dirty, pages_of_4k)
{
	.huge = false,
};

FIXTURE_VARIANT_ADD(dirty, pages_of_2m)
{
	.huge = true,
};

FIXTURE_SETUP(dirty)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
	if (variant->huge)
		ASSERT_EQ(0, madvise(self->mem.hva, NR_FRAMES * P2M_PAGE_SIZE,
				     MADV_HUGEPAGE));
}

FIXTURE_TEARDOWN(dirty)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

static void touch_all(struct p2m_mem *mem)
{
	u64 gfn;

	for (gfn = 0; gfn < mem->nr; gfn++)
		WRITE_ONCE(*p2m_page(mem, gfn), 0);
}

/* ------------------------------------------------------------------ */
/* Dirty frames                                                        */
/* ------------------------------------------------------------------ */

#define WRITES		40	/* in a pass, some of them to the same frame */

/* Any frame; the same for guest and host */
static u64 scatter(u64 pass, u64 i, u64 nr)
{
	u64 x = (pass << 32 | i) * 0x9e3779b97f4a7c15UL;

	return (x >> 20) % nr;
}

/* A pass writes to some frames, and reads some others. */
static void guest_scatters(u64 tag, u64 id, u64 nr)
{
	u64 pass, i;

	for (pass = 0; ; pass++) {
		for (i = WRITES; i < 3 * WRITES; i++)
			READ_ONCE(*((u64 *)P2M_GPA +
				    scatter(pass, i, nr) * P2M_WORDS));
		for (i = 0; i < WRITES; i++)
			WRITE_ONCE(*((u64 *)P2M_GPA +
				     scatter(pass, i, nr) * P2M_WORDS), pass);
		GUEST_SYNC(pass);
	}
}

static void scattered(unsigned char *bitmap, u64 pass)
{
	u64 i;

	memset(bitmap, 0, BYTES);
	for (i = 0; i < WRITES; i++)
		set(bitmap, scatter(pass, i, NR_FRAMES));
}

static void log_by_kvm(struct p2m_vm *vm)
{
	vm_set_user_memory_region(vm->kvm, P2M_SLOT, KVM_MEM_LOG_DIRTY_PAGES,
				  P2M_GPA, NR_FRAMES * P2M_PAGE_SIZE,
				  vm->mem->hva);
}

TEST_F_TIMEOUT(dirty, the_same_pages_as_by_kvms_own_log, 60)
{
	unsigned char ours[BYTES], kvms[BYTES], want[BYTES];
	u64 round;

	touch_all(&self->mem);
	p2m_vm_create(&self->vm, &self->mem, 1, guest_scatters);
	log_by_kvm(&self->vm);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	kvm_vm_get_dirty_log(self->vm.kvm, P2M_SLOT, kvms);
	get(self->mem.fd, ours, 0);
	EXPECT_EQ(0, count(ours));

	for (round = 0; round < ROUNDS; round++) {
		p2m_vm_start(&self->vm);
		while (p2m_vm_passes(&self->vm) <= round)
			usleep(100);
		p2m_vm_stop(&self->vm);
		/* The guest may have got further. */
		memset(want, 0, BYTES);
		kvm_vm_get_dirty_log(self->vm.kvm, P2M_SLOT, kvms);
		get(self->mem.fd, ours, P2M_DIRTY_CLEAN);
		EXPECT_EQ(0, differ(ours, kvms));
		EXPECT_LT(0, count(ours));
		if (p2m_vm_passes(&self->vm) == round + 1) {
			scattered(want, round);
			EXPECT_EQ(0, differ(ours, want));
		} else {
			round = p2m_vm_passes(&self->vm) - 1;
		}
		get(self->mem.fd, ours, 0);
		EXPECT_EQ(0, count(ours));
	}
}

/* The VMM writes the same: pass 0 by its mapping, pass 1 by the kernel. */
static void vmm_scatters(struct p2m_mem *mem, u64 pass)
{
	u64 i, word = pass;

	for (i = 0; i < WRITES; i++) {
		u64 *to = p2m_page(mem, scatter(pass, i, NR_FRAMES));
		struct iovec from = { &word, 8 }, there = { to, 8 };

		if (!pass)
			WRITE_ONCE(*to, pass);
		else
			TEST_ASSERT(process_vm_writev(getpid(), &from, 1,
						      &there, 1, 0) == 8,
				    "process_vm_writev");
	}
}

TEST_F(dirty, what_the_vmm_or_the_kernel_writes_is_dirty)
{
	unsigned char is[BYTES], want[BYTES];
	u64 pass;

	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (pass = 0; pass < 2; pass++) {
		vmm_scatters(&self->mem, pass);
		scattered(want, pass);
		get(self->mem.fd, is, 0);
		EXPECT_EQ(0, differ(is, want));
		get(self->mem.fd, is, P2M_DIRTY_CLEAN);
		EXPECT_EQ(0, differ(is, want));
		get(self->mem.fd, is, 0);
		EXPECT_EQ(0, count(is));
	}
}

static void guest_reads(u64 tag, u64 id, u64 nr)
{
	u64 gfn;

	for (;;) {
		for (gfn = 0; gfn < nr; gfn++)
			READ_ONCE(*((u64 *)P2M_GPA + gfn * P2M_WORDS));
		GUEST_SYNC(0);
	}
}

TEST_F(dirty, reads_do_not_dirty)
{
	u64 gfn, word;
	unsigned char is[BYTES];

	touch_all(&self->mem);
	p2m_vm_create(&self->vm, &self->mem, 1, guest_reads);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	for (gfn = 0; gfn < NR_FRAMES; gfn++) {
		struct iovec to = { &word, 8 };
		struct iovec there = { p2m_page(&self->mem, gfn), 8 };

		ASSERT_EQ(8, process_vm_readv(getpid(), &to, 1, &there, 1, 0));
	}
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, count(is));
	EXPECT_EQ(0, p2m_stats(self->mem.fd).dirtied);
}

TEST_F(dirty, a_first_touch_gets_4k_and_is_dirty_if_it_writes)
{
	unsigned char is[BYTES], want[BYTES] = {};

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	READ_ONCE(*p2m_page(&self->mem, 7));
	WRITE_ONCE(*p2m_page(&self->mem, 8), 8);
	READ_ONCE(*p2m_page(&self->mem, P2M_CHUNK + 9));
	WRITE_ONCE(*p2m_page(&self->mem, P2M_CHUNK + 9), 9);
	EXPECT_EQ(2, p2m_stats(self->mem.fd).resident);
	EXPECT_EQ(2, p2m_stats(self->mem.fd).dirtied);
	set(want, 8);
	set(want, P2M_CHUNK + 9);
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, differ(is, want));
}

TEST_F(dirty, what_was_written_before_the_start_is_clean)
{
	unsigned char is[BYTES];

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, count(is));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	/* Writes before a stop are not known after the next start either. */
	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, count(is));
}

TEST_F(dirty, paging_out_and_in_keeps_dirty_and_clean)
{
	unsigned char is[BYTES], want[BYTES];
	u64 gfn;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	scattered(want, 1);
	for (gfn = 0; gfn < NR_FRAMES; gfn++)
		if (p2m_has_bit(want, gfn))
			p2m_mem_fill(&self->mem, gfn, 1);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, differ(is, want));

	/* Half of it comes back by a call, half by a read. */
	p2m_move(self->mem.fd, P2M_PAGE_IN, 0, NR_FRAMES / 2);
	ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, differ(is, want));

	/* A frame that is made clean in the store comes back clean. */
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	get(self->mem.fd, is, P2M_DIRTY_CLEAN);
	EXPECT_EQ(0, differ(is, want));
	ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, count(is));

	/* If it comes back for a write, it is dirty. */
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	vmm_scatters(&self->mem, 1);
	get(self->mem.fd, is, 0);
	EXPECT_EQ(0, differ(is, want));
}

/* ------------------------------------------------------------------ */
/* Any range                                                           */
/* ------------------------------------------------------------------ */

static const struct {
	u64 gfn, nr;
} parts[] = {
	{ 0, 1 }, { 0, NR_FRAMES }, { 1, 1 }, { 7, 9 }, { 63, 65 },
	{ 5, NR_FRAMES - 5 }, { P2M_CHUNK - 1, 2 }, { P2M_CHUNK, P2M_CHUNK },
	{ P2M_CHUNK - 3, P2M_CHUNK }, { NR_FRAMES - 1, 1 },
	{ NR_FRAMES - 1, 100 }, { 3, MAX_FRAMES },
};

TEST_F(dirty, any_range_gives_its_bits_and_touches_no_other_byte)
{
	unsigned char is[BYTES + 1];
	struct p2m_dirty arg;
	unsigned char want[BYTES];
	u64 p, i, n, end;

	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	vmm_scatters(&self->mem, 0);
	scattered(want, 0);
	set(want, NR_FRAMES - 1);
	touch_all(&(struct p2m_mem){
		.hva = (char *)p2m_page(&self->mem, NR_FRAMES - 1), .nr = 1 });

	for (p = 0; p < ARRAY_SIZE(parts); p++) {
		memset(is, 0xaa, sizeof(is));
		arg = p2m_dirty_arg(parts[p].gfn, parts[p].nr, is, 0);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		end = parts[p].gfn + parts[p].nr;
		if (end > NR_FRAMES)
			end = NR_FRAMES;
		EXPECT_EQ(end, arg.next);
		for (i = n = 0; i < end - parts[p].gfn; i++) {
			ASSERT_EQ(p2m_has_bit(want, parts[p].gfn + i),
				  p2m_has_bit(is, i));
			n += p2m_has_bit(is, i);
		}
		EXPECT_EQ(n, arg.dirty);
		EXPECT_EQ(0, arg.busy);
		for (; i % 8; i++)
			EXPECT_FALSE(p2m_has_bit(is, i));
		for (i /= 8; i < sizeof(is); i++)
			ASSERT_EQ(0xaa, is[i]);
	}
}

TEST_F(dirty, only_the_range_is_made_clean)
{
	struct p2m_dirty arg;
	unsigned char is[BYTES];
	u64 p, end;

	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (p = 0; p < ARRAY_SIZE(parts); p++) {
		touch_all(&self->mem);
		arg = p2m_dirty_arg(parts[p].gfn, parts[p].nr, is,
				    P2M_DIRTY_CLEAN);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		end = arg.next;
		EXPECT_EQ(end - parts[p].gfn, arg.dirty);
		get(self->mem.fd, is, 0);
		EXPECT_EQ(NR_FRAMES - arg.dirty, count(is));
		EXPECT_FALSE(p2m_has_bit(is, parts[p].gfn));
		EXPECT_FALSE(p2m_has_bit(is, end - 1));
	}
}

TEST_F(dirty, a_long_range_is_done_in_parts)
{
	u64 nr = 2 * MAX_FRAMES + 77, gfn, n = 0;
	unsigned char *bitmap = calloc(1, nr / 8 + 1);
	struct p2m_dirty arg;
	char *hva = p2m_map(self->mem.fd, 0, nr);

	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (gfn = 0; gfn < nr; gfn += 100003)
		WRITE_ONCE(hva[gfn * P2M_PAGE_SIZE], 1);
	for (gfn = 13; gfn < nr; gfn = arg.next, n++) {
		arg = p2m_dirty_arg(gfn, nr - gfn, bitmap + (gfn - 13) / 8,
				    P2M_DIRTY_CLEAN);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		ASSERT_EQ(gfn + MAX_FRAMES < nr ? gfn + MAX_FRAMES : nr,
			  arg.next);
	}
	EXPECT_EQ(3, n);
	for (gfn = 13; gfn < nr; gfn++)
		ASSERT_EQ(!(gfn % 100003), p2m_has_bit(bitmap, gfn - 13));
	munmap(hva, nr * P2M_PAGE_SIZE);
	free(bitmap);
}

TEST_F(dirty, a_guest_may_be_sparse)
{
	char *hva = p2m_map(self->mem.fd, P2M_MAX_GFNS - 2, 2);
	unsigned char is = 0xaa;
	struct p2m_dirty arg;

	WRITE_ONCE(hva[0], 1);
	WRITE_ONCE(hva[P2M_PAGE_SIZE], 1);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	WRITE_ONCE(hva[P2M_PAGE_SIZE], 2);
	arg = p2m_dirty_arg(P2M_MAX_GFNS - 3, 3, &is, P2M_DIRTY_CLEAN);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
	EXPECT_EQ(P2M_MAX_GFNS, arg.next);
	EXPECT_EQ(4, is);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
	munmap(hva, 2 * P2M_PAGE_SIZE);
}

/* ------------------------------------------------------------------ */
/* Frames whose pages somebody references                              */
/* ------------------------------------------------------------------ */

TEST_F(dirty, a_referenced_page_stays_dirty_until_it_is_released)
{
	struct iovec iov = { p2m_page(&self->mem, 5), P2M_PAGE_SIZE };
	char page[P2M_PAGE_SIZE];
	unsigned char is[BYTES];
	int pipes[2];
	u64 round;

	touch_all(&self->mem);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	WRITE_ONCE(*p2m_page(&self->mem, 5), 5);
	WRITE_ONCE(*p2m_page(&self->mem, P2M_CHUNK), 5);
	ASSERT_EQ(P2M_PAGE_SIZE, vmsplice(pipes[1], &iov, 1, 0));
	for (round = 0; round < 3; round++) {
		EXPECT_EQ(1, get(self->mem.fd, is, P2M_DIRTY_CLEAN).busy);
		EXPECT_TRUE(p2m_has_bit(is, 5));
		EXPECT_EQ(round ? 1 : 2, count(is));
	}
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], page, P2M_PAGE_SIZE));
	/* It may have been written to until now, so it is dirty once more. */
	EXPECT_EQ(0, get(self->mem.fd, is, P2M_DIRTY_CLEAN).busy);
	EXPECT_EQ(1, count(is));
	get(self->mem.fd, is, P2M_DIRTY_CLEAN);
	EXPECT_EQ(0, count(is));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(dirty, what_is_referenced_at_the_start_is_dirty)
{
	struct iovec iov = { p2m_page(&self->mem, 5), P2M_PAGE_SIZE };
	unsigned char is[BYTES];
	int pipes[2];

	touch_all(&self->mem);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(P2M_PAGE_SIZE, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	/* A reference to a part of a large page holds all of it. */
	EXPECT_EQ(variant->huge ? P2M_CHUNK : 1,
		  get(self->mem.fd, is, 0).dirty);
	EXPECT_TRUE(p2m_has_bit(is, 5));
	close(pipes[0]);
	close(pipes[1]);
	get(self->mem.fd, is, P2M_DIRTY_CLEAN);
	EXPECT_EQ(0, get(self->mem.fd, is, 0).dirty);
}

/* ------------------------------------------------------------------ */
/* 2 MB                                                                */
/* ------------------------------------------------------------------ */

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

TEST(pages_of_2m_are_mapped_so_again_after_the_stop)
{
	struct p2m_mem mem;
	u64 bytes = NR_FRAMES * P2M_PAGE_SIZE;
	struct p2m_range range;

	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&mem, NR_FRAMES);
	ASSERT_EQ(0, madvise(mem.hva, NR_FRAMES * P2M_PAGE_SIZE,
			     MADV_HUGEPAGE));
	p2m_mem_fill(&mem, 0, NR_FRAMES);
	ASSERT_EQ(bytes, mapped_huge());
	ASSERT_EQ(0, p2m_log_dirty(mem.fd, P2M_DIRTY_START));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, NR_FRAMES));
	p2m_mem_fill(&mem, 3, 70);
	EXPECT_EQ(0, mapped_huge());
	/* Another mapping does not bring them back either. */
	munmap(mem.hva, bytes);
	mem.hva = p2m_map_huge(mem.fd, 0, NR_FRAMES);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, NR_FRAMES));
	p2m_mem_fill(&mem, 3, 70);
	EXPECT_EQ(0, mapped_huge());
	range = (struct p2m_range){ .size = sizeof(range), .nr = NR_FRAMES };
	EXPECT_EQ(-EBUSY, p2m_call(mem.fd, P2M_COLLAPSE, &range));

	ASSERT_EQ(0, p2m_log_dirty(mem.fd, P2M_DIRTY_STOP));
	munmap(mem.hva, bytes);
	mem.hva = p2m_map_huge(mem.fd, 0, NR_FRAMES);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, NR_FRAMES));
	EXPECT_EQ(bytes, mapped_huge());
	EXPECT_EQ(0, p2m_stats(mem.fd).shattered);
	EXPECT_EQ(NR_FRAMES, p2m_move_all(mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, NR_FRAMES));
	p2m_mem_close(&mem);
	EXPECT_TRUE(p2m_all_freed());
}

/* ------------------------------------------------------------------ */
/* Populate on demand                                                  */
/* ------------------------------------------------------------------ */

TEST_F(dirty, a_swept_chunk_is_dirty_and_clean_frame_by_frame)
{
	struct p2m_dirty arg;
	unsigned char is[BYTES];
	int turns;

	p2m_populate_on_demand(&self->mem, NR_FRAMES);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	for (turns = 0; turns < 2; turns++) {
		touch_all(&self->mem);
		ASSERT_EQ(NR_FRAMES, p2m_sweep(&self->mem, 0, NR_FRAMES));
		EXPECT_EQ(NR_FRAMES, get(self->mem.fd, is, 0).dirty);
		arg = p2m_dirty_arg(100, 100, is, P2M_DIRTY_CLEAN);
		ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		EXPECT_EQ(100, arg.dirty);
		EXPECT_EQ(NR_FRAMES - 100, get(self->mem.fd, is, 0).dirty);
		EXPECT_TRUE(p2m_has_bit(is, 99) && p2m_has_bit(is, 200));
		EXPECT_FALSE(p2m_has_bit(is, 100) || p2m_has_bit(is, 199));
		get(self->mem.fd, is, P2M_DIRTY_CLEAN);
		EXPECT_EQ(0, get(self->mem.fd, is, 0).dirty);
	}

	/* An entry that was split for that is whole again after the stop. */
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
	WRITE_ONCE(*p2m_page(&self->mem, 7), 7);
	EXPECT_EQ(variant->huge ? P2M_CHUNK : 1,
		  p2m_stats(self->mem.fd).resident);
}

/* ------------------------------------------------------------------ */
/* Races                                                               */
/* ------------------------------------------------------------------ */

static void copy_dirty(struct p2m_mem *mem, const unsigned char *bitmap,
		       char *shadow)
{
	u64 gfn;

	for (gfn = 0; gfn < NR_FRAMES; gfn++)
		if (p2m_has_bit(bitmap, gfn))
			memcpy(shadow + gfn * P2M_PAGE_SIZE,
			       p2m_page(mem, gfn), P2M_PAGE_SIZE);
}

/* Return: how many frames differ from their copies */
static u64 wrong_copies(struct p2m_mem *mem, char *shadow)
{
	u64 gfn, wrong = 0;

	for (gfn = 0; gfn < NR_FRAMES; gfn++)
		wrong += !!memcmp(shadow + gfn * P2M_PAGE_SIZE,
				  p2m_page(mem, gfn), P2M_PAGE_SIZE);
	return wrong;
}

static pid_t page_out_meanwhile(int fd)
{
	pid_t pid = p2m_fork();

	while (!pid) {
		p2m_move_all(fd, P2M_PAGE_OUT);
		p2m_let_run();
	}
	return pid;
}

/*
 * Do as a migration does: copy everything, then copy dirty frames again and
 * again, the last time with the guest stopped.  Then the copy must be exact.
 */
static void migrate(struct __test_metadata *_metadata, struct p2m_mem *mem,
		    struct p2m_vm *vm, int vcpus, bool paging)
{
	char *shadow = malloc(NR_FRAMES * P2M_PAGE_SIZE);
	u64 rounds = 0, copied = 0;
	unsigned char bitmap[BYTES];
	pid_t pid = 0;

	touch_all(mem);
	p2m_vm_create(vm, mem, vcpus, p2m_guest_worker);
	if (paging)
		pid = page_out_meanwhile(mem->fd);
	p2m_vm_start(vm);
	ASSERT_EQ(0, p2m_log_dirty(mem->fd, P2M_DIRTY_START));
	memset(bitmap, 0xff, sizeof(bitmap));
	copy_dirty(mem, bitmap, shadow);
	for (; rounds < 2 * ROUNDS || p2m_vm_passes(vm) < PASSES; rounds++) {
		copied += get(mem->fd, bitmap, P2M_DIRTY_CLEAN).dirty;
		copy_dirty(mem, bitmap, shadow);
		/* In half of the rounds, give the guest time to write. */
		if (rounds % 2)
			usleep(5000);
	}
	p2m_vm_stop(vm);
	get(mem->fd, bitmap, P2M_DIRTY_CLEAN);
	copy_dirty(mem, bitmap, shadow);
	TH_LOG("%lu rounds, %lu frames copied, %lu at last", rounds, copied,
	       count(bitmap));
	EXPECT_EQ(0, wrong_copies(mem, shadow));
	if (paging) {
		kill(pid, SIGKILL);
		p2m_wait(pid);
	}
	EXPECT_EQ(0, p2m_vm_wrong_words(vm));
	free(shadow);
}

TEST_F_TIMEOUT(dirty, a_migration_loses_no_write, 60)
{
	migrate(_metadata, &self->mem, &self->vm, 2, false);
}

TEST_F_TIMEOUT(dirty, a_migration_loses_no_write_with_paging, 60)
{
	migrate(_metadata, &self->mem, &self->vm, 2, true);
}

/* Start, get and stop, like users that know nothing of each other. */
static pid_t turn_meanwhile(int fd)
{
	pid_t pid = p2m_fork();
	unsigned char bitmap[BYTES];

	while (!pid) {
		struct p2m_dirty arg = p2m_dirty_arg(3, NR_FRAMES, bitmap,
						     P2M_DIRTY_CLEAN);
		int ret = p2m_log_dirty(fd, P2M_DIRTY_START);

		TEST_ASSERT(!ret || ret == -EALREADY, "start: %d", ret);
		ret = p2m_call(fd, P2M_DIRTY_GET, &arg);
		TEST_ASSERT(!ret || ret == -ENODATA, "get: %d", ret);
		ret = p2m_log_dirty(fd, P2M_DIRTY_STOP);
		TEST_ASSERT(!ret || ret == -ENODATA, "stop: %d", ret);
		p2m_let_run();
	}
	return pid;
}

TEST_F_TIMEOUT(dirty, starts_and_stops_race_with_vcpus_and_paging, 60)
{
	pid_t pids[3];
	int i;

	touch_all(&self->mem);
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	for (i = 0; i < 2; i++)
		pids[i] = turn_meanwhile(self->mem.fd);
	pids[2] = page_out_meanwhile(self->mem.fd);
	p2m_vm_start(&self->vm);
	while (p2m_vm_passes(&self->vm) < PASSES)
		usleep(1000);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, kill(pids[i], SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(pids[i]));
	}
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

TEST_F_TIMEOUT(dirty, the_vmm_may_be_killed_in_a_round, 60)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	unsigned char bitmap[BYTES];
	int round;
	pid_t pid;

	for (round = 0; round < 4; round++) {
		pid = p2m_fork();
		if (!pid) {
			p2m_mem_open(&mem, NR_FRAMES);
			touch_all(&mem);
			p2m_vm_create(&vm, &mem, 2, p2m_guest_worker);
			p2m_vm_start(&vm);
			TEST_ASSERT(!p2m_log_dirty(mem.fd, P2M_DIRTY_START),
				    "start");
			for (;;)
				get(mem.fd, bitmap, P2M_DIRTY_CLEAN);
		}
		usleep(200000 + round * 123457);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-SIGKILL, p2m_wait(pid));
	}
	p2m_mem_close(&self->mem);
}

/* ------------------------------------------------------------------ */
/* Bad input                                                           */
/* ------------------------------------------------------------------ */

TEST_F(dirty, a_second_start_is_ealready)
{
	unsigned char is[BYTES];

	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	touch_all(&self->mem);
	EXPECT_EQ(-EALREADY, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	EXPECT_EQ(NR_FRAMES, get(self->mem.fd, is, 0).dirty);
}

TEST_F(dirty, while_it_is_off_there_is_enodata)
{
	struct p2m_dirty arg, before;
	unsigned char is[BYTES];
	int i;

	for (i = 0; i < 2; i++) {
		memset(is, 0xaa, sizeof(is));
		arg = p2m_dirty_arg(0, NR_FRAMES, is, i ? P2M_DIRTY_CLEAN : 0);
		before = arg;
		EXPECT_EQ(-ENODATA,
			  p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
		EXPECT_EQ(-ENODATA,
			  p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg)));
		EXPECT_EQ(0xaa, is[0]);
		ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
		ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_STOP));
	}
}

TEST_F(dirty, a_bad_range_is_einval_or_erange)
{
	static const struct {
		u64 gfn, nr;
		int error;
	} bad[] = {
		{ 0, 0, EINVAL }, { NR_FRAMES, 0, EINVAL },
		{ ~0ULL, 1, EINVAL }, { 1, ~0ULL, EINVAL },
		{ 1, P2M_MAX_GFNS, EINVAL }, { P2M_MAX_GFNS, 1, EINVAL },
		{ NR_FRAMES, 1, ERANGE }, { P2M_MAX_GFNS - 1, 1, ERANGE },
	};
	struct p2m_dirty arg;
	unsigned char is[BYTES] = {};
	int i, on;

	for (on = 0; on < 2; on++) {
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			arg = p2m_dirty_arg(bad[i].gfn, bad[i].nr, is, 0);
			EXPECT_EQ(-bad[i].error,
				  p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		}
		p2m_log_dirty(self->mem.fd, P2M_DIRTY_START);
	}
}

TEST_F(dirty, a_bitmap_that_cannot_be_written_loses_nothing)
{
	char *pages = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *hole = pages + P2M_PAGE_SIZE;
	void *bad[] = {
		NULL, hole, hole - 1, hole - BYTES + 1, (void *)-P2M_PAGE_SIZE,
		(void *)(1UL << 63), pages,
	};
	struct p2m_dirty arg, before;
	unsigned char is[BYTES];
	int i;

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, mprotect(hole, P2M_PAGE_SIZE, PROT_NONE));
	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	touch_all(&self->mem);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bad[i] == pages)
			mprotect(pages, P2M_PAGE_SIZE, PROT_READ);
		arg = p2m_dirty_arg(0, NR_FRAMES, bad[i], P2M_DIRTY_CLEAN);
		before = arg;
		EXPECT_EQ(-EFAULT, p2m_call(self->mem.fd, P2M_DIRTY_GET, &arg));
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg)));
	}
	EXPECT_EQ(NR_FRAMES, get(self->mem.fd, is, 0).dirty);
	munmap(pages, 2 * P2M_PAGE_SIZE);
}

/* A page that comes and goes */
struct flicker {
	void *page;
	bool stop;
};

static void *flickers(void *arg)
{
	struct flicker *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		mprotect(f->page, P2M_PAGE_SIZE, PROT_NONE);
		mprotect(f->page, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE);
		/* About as long as a call takes */
		usleep(1000);
	}
	return NULL;
}

/*
 * In turns, the bitmap and the structure are on a page that comes and goes.  A
 * call may fail at any point.  The first call that succeeds must find all
 * frames that were written to.
 */
TEST_F_TIMEOUT(dirty, a_result_that_cannot_be_delivered_loses_nothing, 60)
{
	struct flicker f = {
		.page = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	};
	u64 round, failed = 0, ok = 0;
	struct p2m_dirty arg, *there = f.page;
	unsigned char is[BYTES], want[BYTES];
	pthread_t thread;
	int ret;

	touch_all(&self->mem);
	ASSERT_EQ(0, p2m_log_dirty(self->mem.fd, P2M_DIRTY_START));
	TEST_ASSERT(!pthread_create(&thread, NULL, flickers, &f), "thread");
	for (round = 0; round < 60 || !failed || !ok; round++) {
		bool bitmap = round & 1;

		vmm_scatters(&self->mem, 0);
		arg = p2m_dirty_arg(0, NR_FRAMES, bitmap ? f.page : is,
				    P2M_DIRTY_CLEAN);
		do {
			struct iovec from = { &arg, sizeof(arg) };
			struct iovec to = { there, sizeof(arg) };

			/* This may fail, but it raises no signal. */
			if (!bitmap && process_vm_writev(getpid(), &from, 1,
							 &to, 1, 0) < 0)
				ret = -EFAULT;
			else
				ret = p2m_call(self->mem.fd, P2M_DIRTY_GET,
					       bitmap ? &arg : there);
			ASSERT_TRUE(!ret || ret == -EFAULT);
			failed += !!ret;
			ok += !ret;
		} while (ret);
		if (!bitmap) {
			scattered(want, 0);
			EXPECT_EQ(0, differ(is, want));
		} else {
			EXPECT_NE(0, arg.dirty);
		}
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	TH_LOG("%lu delivered, %lu not", ok, failed);
	munmap(f.page, P2M_PAGE_SIZE);
}

TEST_HARNESS_MAIN
