// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of 2 MB: which frames get one, how it is mapped, how it is split, and
 * how 512 pages become one again.  Memory must stay right through all of this.
 *
 * KVM's own statistics tell how much is mapped by 2 MB for the guest.  smaps
 * tells it for the VMM.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define CHUNKS		4
#define NR_FRAMES	(CHUNKS * P2M_CHUNK)
#define CHUNK_SIZE	(P2M_CHUNK * P2M_PAGE_SIZE)
/* The least that a race must see */
#define PASSES		p2m_rounds(3)
#define SHATTERED	20

/* How many chunks of the mapping at @hva the processor maps by 2 MB */
static u64 chunks_mapped(void *hva)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start, end, kb = 0;
	bool there = false;
	char line[512];

	TEST_ASSERT(smaps, "open smaps");
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			there = start <= (unsigned long)hva &&
				end > (unsigned long)hva;
		else if (there &&
			 sscanf(line, "FilePmdMapped: %lu kB", &kb) == 1)
			break;
	}
	fclose(smaps);
	return kb * 1024 / CHUNK_SIZE;
}

/* How many chunks KVM maps for the guest by 2 MB */
static u64 chunks_in_kvm(struct p2m_vm *vm)
{
	return vm_get_stat(vm->kvm, "pages_2m");
}

/* Map frames again: the new page tables have seen no page of 4 KB yet. */
static void map_anew(struct p2m_mem *mem)
{
	void *hva;

	TEST_ASSERT(!munmap(mem->hva, mem->nr * P2M_PAGE_SIZE), "munmap");
	hva = mmap(mem->hva, mem->nr * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_FIXED, mem->fd, 0);
	TEST_ASSERT(hva == mem->hva, "mmap of the same again");
}

FIXTURE(huge)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_SETUP(huge)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open_huge(&self->mem, NR_FRAMES);
}

FIXTURE_TEARDOWN(huge)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

/* ---- which frames get 2 MB ---------------------------------------------- */

TEST_F(huge, a_touch_gives_its_chunk_one_page)
{
	struct p2m_stats stats;

	WRITE_ONCE(*p2m_page(&self->mem, P2M_CHUNK + 5), 1);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(P2M_CHUNK, stats.zeroed);
	EXPECT_EQ(P2M_CHUNK, stats.resident);
	EXPECT_EQ(1, stats.faults);
	EXPECT_EQ(1, chunks_mapped(self->mem.hva));

	EXPECT_EQ(1, p2m_mem_nonzero_pages(&self->mem, P2M_CHUNK, P2M_CHUNK));
	EXPECT_EQ(1, p2m_stats(self->mem.fd).faults);
}

TEST_F(huge, what_was_read_first_is_mapped_by_2m_when_written)
{
	EXPECT_EQ(0, READ_ONCE(*p2m_page(&self->mem, 7)));
	EXPECT_EQ(1, chunks_mapped(self->mem.hva));
	WRITE_ONCE(*p2m_page(&self->mem, 8), 1);
	EXPECT_EQ(1, chunks_mapped(self->mem.hva));
	EXPECT_EQ(2, p2m_stats(self->mem.fd).faults);
}

TEST_F(huge, a_chunk_partly_past_the_end_gets_4k)
{
	struct p2m_mem mem;
	void *rest;

	p2m_mem_open_huge(&mem, P2M_CHUNK + 100);
	p2m_mem_fill(&mem, 0, mem.nr);
	EXPECT_EQ(mem.nr, p2m_stats(mem.fd).zeroed);
	EXPECT_EQ(1, chunks_mapped(mem.hva));

	/* The chunk keeps its pages of 4 KB when the guest grows. */
	rest = p2m_map_huge(mem.fd, P2M_CHUNK, 2 * P2M_CHUNK);
	WRITE_ONCE(*(u64 *)(rest + 200 * P2M_PAGE_SIZE), 1);
	EXPECT_EQ(mem.nr + 1, p2m_stats(mem.fd).zeroed);
	WRITE_ONCE(*(u64 *)(rest + CHUNK_SIZE), 1);
	EXPECT_EQ(mem.nr + 1 + P2M_CHUNK, p2m_stats(mem.fd).zeroed);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&mem, 0, mem.nr));
	ASSERT_EQ(0, munmap(rest, 2 * CHUNK_SIZE));
	p2m_mem_close(&mem);
}

TEST_F(huge, a_mapping_with_a_part_of_the_chunk_gets_4k)
{
	void *part = p2m_map_huge(self->mem.fd, 1, P2M_CHUNK - 1);

	WRITE_ONCE(*(u64 *)part, 1);
	EXPECT_EQ(1, p2m_stats(self->mem.fd).zeroed);
	ASSERT_EQ(0, munmap(part, CHUNK_SIZE - P2M_PAGE_SIZE));
}

/* If the address is 4 KB off, no page of 2 MB can be mapped there. */
TEST_F(huge, a_mapping_off_by_a_page_gets_4k)
{
	struct p2m_mem mem = { .fd = p2m_open(), .nr = P2M_CHUNK, .tag = 1 };
	char *space = mmap(NULL, 3 * CHUNK_SIZE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *off;

	ASSERT_NE(MAP_FAILED, space);
	off = (char *)((unsigned long)space / CHUNK_SIZE * CHUNK_SIZE) +
	      CHUNK_SIZE + P2M_PAGE_SIZE;
	mem.hva = mmap(off, CHUNK_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, mem.fd, 0);
	ASSERT_EQ(off, mem.hva);

	p2m_vm_create(&self->vm, &mem, 1, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(0, chunks_in_kvm(&self->vm));
	EXPECT_EQ(0, chunks_mapped(mem.hva));
	EXPECT_EQ(P2M_CHUNK, p2m_stats(mem.fd).zeroed);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&mem);
	ASSERT_EQ(0, munmap(space, 3 * CHUNK_SIZE));
}

/* memory.max leaves too little for 2 MB, and enough for a few pages. */
static int touch_with_little_memory(const char *cgroup)
{
	struct p2m_mem mem;
	char path[128];
	FILE *file;
	u64 used;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	file = fopen(path, "w");
	if (!file || fprintf(file, "0") < 0 || fclose(file))
		return 1;
	p2m_mem_open_huge(&mem, P2M_CHUNK);
	snprintf(path, sizeof(path), "%s/memory.current", cgroup);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &used) != 1 || fclose(file))
		return 2;
	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%lu", used + (1 << 20)) < 0 || fclose(file))
		return 3;

	p2m_mem_fill(&mem, 0, 16);
	if (p2m_stats(mem.fd).zeroed != 16)
		return 4;
	return p2m_mem_wrong_pages(&mem, 0, 16) ? 5 : 0;
}

TEST_F(huge, where_there_is_no_page_of_2m_there_is_one_of_4k)
{
	const char *cgroup = "/sys/fs/cgroup/p2m_huge_test";
	pid_t pid;
	int fd;

	p2m_mem_close(&self->mem);

	fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(7, write(fd, "+memory", 7));
	close(fd);
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	pid = p2m_fork();
	if (!pid)
		_exit(touch_with_little_memory(cgroup));
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_TRUE(p2m_all_freed());
	ASSERT_EQ(0, rmdir(cgroup));
}

/* ---- mappings by KVM ---------------------------------------------------- */

TEST_F_TIMEOUT(huge, kvm_maps_2m_where_frame_and_address_agree, 60)
{
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 2);
	EXPECT_EQ(CHUNKS, chunks_in_kvm(&self->vm));
	EXPECT_EQ(CHUNKS, chunks_mapped(self->mem.hva));
	EXPECT_EQ(NR_FRAMES, p2m_stats(self->mem.fd).zeroed);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

TEST_F_TIMEOUT(huge, kvm_maps_4k_where_they_do_not_agree, 60)
{
	struct p2m_mem off = {
		.fd = self->mem.fd,
		.hva = self->mem.hva + P2M_PAGE_SIZE,
		.nr = P2M_CHUNK,
		.tag = self->mem.tag,
	};

	p2m_vm_create(&self->vm, &off, 1, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 2);
	EXPECT_EQ(0, chunks_in_kvm(&self->vm));
	/* The VMM's mapping still has 2 MB. */
	EXPECT_EQ(2, chunks_mapped(self->mem.hva));
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	p2m_vm_destroy(&self->vm);
}

TEST_F_TIMEOUT(huge, kvm_maps_4k_where_the_vmm_said_nohugepage, 60)
{
	struct p2m_mem mem;

	p2m_mem_open(&mem, P2M_CHUNK);
	p2m_vm_create(&self->vm, &mem, 1, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 2);
	EXPECT_EQ(0, chunks_in_kvm(&self->vm));
	EXPECT_EQ(P2M_CHUNK, p2m_stats(mem.fd).zeroed);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&mem);
}

/* ---- how it is split ---------------------------------------------------- */

TEST_F(huge, paging_out_one_frame_leaves_511_pages)
{
	struct p2m_stats stats;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	EXPECT_EQ(CHUNKS, chunks_mapped(self->mem.hva));
	ASSERT_EQ(1, p2m_move(self->mem.fd, P2M_PAGE_OUT,
			      P2M_CHUNK + 7, 1).done);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(1, stats.shattered);
	EXPECT_EQ(1, stats.paged);
	EXPECT_EQ(NR_FRAMES - 1, stats.resident);
	EXPECT_EQ(CHUNKS - 1, chunks_mapped(self->mem.hva));
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages + p2m_totals().store);

	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(1, stats.paged_in);
	EXPECT_EQ(0, stats.paged);
	EXPECT_EQ(1, stats.shattered);
}

TEST_F(huge, all_of_it_may_be_paged_out_and_comes_back)
{
	struct p2m_stats stats;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(CHUNKS, stats.shattered);
	EXPECT_EQ(0, stats.resident);
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

TEST_F(huge, of_a_chunk_never_written_zeroes_come_back)
{
	p2m_mem_populate(&self->mem, 0, 1);
	ASSERT_EQ(P2M_CHUNK, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, P2M_CHUNK));
}

/* A reference to any part of the page holds all of it. */
TEST_F(huge, a_chunk_is_busy_while_a_part_is_held)
{
	struct p2m_range range;
	struct p2m_stats stats;
	u64 words[P2M_WORDS];
	int pipes[2];

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &self->mem, 9);

	range = p2m_move(self->mem.fd, P2M_PAGE_OUT, 3, 2);
	EXPECT_EQ(0, range.done);
	EXPECT_EQ(2, range.busy);
	EXPECT_EQ(5, range.next);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(2, stats.busy);
	EXPECT_EQ(0, stats.shattered);
	EXPECT_EQ(NR_FRAMES, stats.resident);

	/* It is still the same page: its holder sees our write. */
	p2m_page(&self->mem, 9)[0] ^= 1;
	EXPECT_EQ(CHUNKS, chunks_mapped(self->mem.hva));
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(0, memcmp(words, p2m_page(&self->mem, 9), sizeof(words)));
	p2m_page(&self->mem, 9)[0] ^= 1;

	/* The pipe is read, so nobody holds the page any more. */
	range = p2m_move(self->mem.fd, P2M_PAGE_OUT, 3, 2);
	EXPECT_EQ(2, range.done);
	EXPECT_EQ(0, range.busy);
	EXPECT_EQ(1, p2m_stats(self->mem.fd).shattered);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(huge, what_is_held_does_not_keep_the_rest_from_going)
{
	struct p2m_range range;
	int pipes[2];

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &self->mem, P2M_CHUNK + 9);
	range = p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, range.next);
	EXPECT_EQ(NR_FRAMES - P2M_CHUNK, range.done);
	EXPECT_EQ(P2M_CHUNK, range.busy);
	EXPECT_EQ(P2M_CHUNK, p2m_stats(self->mem.fd).busy);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
}

/* The VMM may change its mapping in any way. */
TEST_F(huge, the_mapping_may_be_cut_protected_moved_and_forked)
{
	struct p2m_mem *mem = &self->mem;
	char *cut = mem->hva + 100 * P2M_PAGE_SIZE;
	void *moved, *again;
	pid_t pid;

	p2m_mem_fill(mem, 0, NR_FRAMES);
	ASSERT_EQ(0, munmap(cut, P2M_PAGE_SIZE));
	ASSERT_EQ(cut, mmap(cut, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, mem->fd,
			    100 * P2M_PAGE_SIZE));
	ASSERT_EQ(0, mprotect(mem->hva + CHUNK_SIZE, 10 * P2M_PAGE_SIZE,
			      PROT_READ));
	ASSERT_EQ(0, madvise(mem->hva + 2 * CHUNK_SIZE, 3 * P2M_PAGE_SIZE,
			     MADV_DONTNEED));
	moved = mmap(NULL, CHUNK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	ASSERT_NE(MAP_FAILED, moved);
	ASSERT_EQ(moved, mremap(mem->hva + 3 * CHUNK_SIZE,
				CHUNK_SIZE, CHUNK_SIZE,
				MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	again = p2m_map_huge(mem->fd, 3 * P2M_CHUNK, P2M_CHUNK);
	ASSERT_EQ(0, memcmp(moved, again, CHUNK_SIZE));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, 3 * P2M_CHUNK));
	ASSERT_EQ(0, mprotect(mem->hva + CHUNK_SIZE, 10 * P2M_PAGE_SIZE,
			      PROT_READ | PROT_WRITE));
	pid = p2m_fork();
	if (!pid) {
		p2m_mem_fill(mem, 0, 3 * P2M_CHUNK);
		_exit(!!p2m_mem_wrong_pages(mem, 0, 3 * P2M_CHUNK));
	}
	ASSERT_EQ(0, p2m_wait(pid));
	ASSERT_EQ(NR_FRAMES, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, 3 * P2M_CHUNK));
	ASSERT_EQ(0, munmap(moved, CHUNK_SIZE));
	ASSERT_EQ(0, munmap(again, CHUNK_SIZE));
}

/* ---- how 512 pages become one ------------------------------------------- */

FIXTURE(small)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
};

FIXTURE_SETUP(small)
{
	ASSERT_TRUE(p2m_all_freed());
	p2m_mem_open(&self->mem, NR_FRAMES);
}

FIXTURE_TEARDOWN(small)
{
	p2m_vm_destroy(&self->vm);
	p2m_mem_close(&self->mem);
	EXPECT_TRUE(p2m_all_freed());
}

TEST_F_TIMEOUT(small, collapse_gives_512_pages_one, 60)
{
	struct p2m_range range;
	struct p2m_stats stats;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	range = p2m_move(self->mem.fd, P2M_COLLAPSE, 0, NR_FRAMES);
	EXPECT_EQ(NR_FRAMES, range.next);
	EXPECT_EQ(NR_FRAMES, range.done);
	EXPECT_EQ(0, range.busy);
	stats = p2m_stats(self->mem.fd);
	EXPECT_EQ(CHUNKS, stats.collapsed);
	EXPECT_EQ(NR_FRAMES, stats.resident);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);

	/* The old mapping's page tables are for 4 KB, and stay. */
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(0, chunks_mapped(self->mem.hva));
	map_anew(&self->mem);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	EXPECT_EQ(CHUNKS, chunks_mapped(self->mem.hva));

	/* Nothing is left to do. */
	EXPECT_EQ(0, p2m_move(self->mem.fd, P2M_COLLAPSE, 0, NR_FRAMES).done);
	EXPECT_EQ(CHUNKS, p2m_stats(self->mem.fd).collapsed);
}

TEST_F_TIMEOUT(small, a_collapsed_guest_mapped_anew_has_2m_in_kvm, 60)
{
	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(0, chunks_in_kvm(&self->vm));
	ASSERT_EQ(NR_FRAMES, p2m_move_all(self->mem.fd, P2M_COLLAPSE));
	map_anew(&self->mem);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(CHUNKS, chunks_in_kvm(&self->vm));
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

TEST_F(small, collapse_passes_over_what_is_not_512_pages)
{
	struct p2m_mem *mem = &self->mem;
	struct p2m_range range;

	/* Chunk 0 lacks a frame, 1 has one paged out, 2 is empty, 3 is full. */
	p2m_mem_fill(mem, 0, P2M_CHUNK - 1);
	p2m_mem_fill(mem, P2M_CHUNK, P2M_CHUNK);
	p2m_mem_fill(mem, 3 * P2M_CHUNK, P2M_CHUNK);
	ASSERT_EQ(1, p2m_move(mem->fd, P2M_PAGE_OUT, P2M_CHUNK + 511, 1).done);
	range = p2m_move(mem->fd, P2M_COLLAPSE, 0, NR_FRAMES - 1);
	EXPECT_EQ(NR_FRAMES - 1, range.next);
	EXPECT_EQ(0, range.done);
	EXPECT_EQ(0, range.busy);
	range = p2m_move(mem->fd, P2M_COLLAPSE, 1, NR_FRAMES - 1);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(1, p2m_stats(mem->fd).collapsed);
	EXPECT_EQ(1, p2m_stats(mem->fd).paged);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, P2M_CHUNK, P2M_CHUNK));
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 3 * P2M_CHUNK, P2M_CHUNK));
}

TEST_F(small, collapse_stops_at_max_frames)
{
	struct p2m_range range = {
		.size = sizeof(range), .nr = NR_FRAMES, .max = P2M_CHUNK + 1,
	};

	/* A chunk is collapsed as a whole or not at all. */
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_COLLAPSE, &range));
	EXPECT_EQ(2 * P2M_CHUNK, range.done);
	EXPECT_EQ(2 * P2M_CHUNK, range.next);
	EXPECT_EQ(2, p2m_stats(self->mem.fd).collapsed);
}

TEST_F(small, a_chunk_of_which_a_page_is_held_is_not_collapsed)
{
	struct p2m_range range;
	u64 words[P2M_WORDS];
	int pipes[2];

	p2m_mem_fill(&self->mem, 0, 2 * P2M_CHUNK);
	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &self->mem, P2M_CHUNK + 9);
	range = p2m_move(self->mem.fd, P2M_COLLAPSE, 0, NR_FRAMES);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(P2M_CHUNK, range.busy);
	EXPECT_EQ(2 * P2M_CHUNK, p2m_totals().pages);

	/* The held page is still the guest's. */
	p2m_page(&self->mem, P2M_CHUNK + 9)[0] ^= 1;
	ASSERT_EQ(P2M_PAGE_SIZE, read(pipes[0], words, sizeof(words)));
	EXPECT_EQ(0, memcmp(words, p2m_page(&self->mem, P2M_CHUNK + 9),
			    sizeof(words)));
	p2m_page(&self->mem, P2M_CHUNK + 9)[0] ^= 1;
	range = p2m_move(self->mem.fd, P2M_COLLAPSE, 0, NR_FRAMES);
	EXPECT_EQ(P2M_CHUNK, range.done);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 2 * P2M_CHUNK));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(small, what_was_collapsed_may_be_shattered_and_collapsed_again)
{
	u64 round;

	p2m_mem_fill(&self->mem, 0, P2M_CHUNK);
	for (round = 1; round <= 3; round++) {
		ASSERT_EQ(P2M_CHUNK, p2m_move_all(self->mem.fd, P2M_COLLAPSE));
		map_anew(&self->mem);
		ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, P2M_CHUNK));
		ASSERT_EQ(64, p2m_move(self->mem.fd, P2M_PAGE_OUT,
				       64, 64).done);
		ASSERT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, P2M_CHUNK));
		EXPECT_EQ(round, p2m_stats(self->mem.fd).shattered);
		EXPECT_EQ(round, p2m_stats(self->mem.fd).collapsed);
	}
}

/* ---- races -------------------------------------------------------------- */

/* One frame of each chunk goes out, chunk after chunk. */
TEST_F_TIMEOUT(huge, vcpus_run_on_while_their_chunks_are_shattered, 60)
{
	u64 gone = 0, chunk;

	p2m_vm_create(&self->vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 1);
	EXPECT_EQ(CHUNKS, chunks_in_kvm(&self->vm));
	p2m_vm_start(&self->vm);
	/* A vCPU that is about to map the page holds it for a moment. */
	for (chunk = 0; chunk < CHUNKS; chunk += gone)
		gone = p2m_move(self->mem.fd, P2M_PAGE_OUT,
				chunk * P2M_CHUNK + 77, 1).done;
	while (p2m_vm_passes(&self->vm) < 1 + PASSES)
		sched_yield();
	p2m_vm_stop(&self->vm);
	EXPECT_EQ(CHUNKS, p2m_stats(self->mem.fd).shattered);
	EXPECT_EQ(CHUNKS, p2m_stats(self->mem.fd).paged_out);
	EXPECT_EQ(0, chunks_in_kvm(&self->vm));
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

/* Hold a frame of the first chunk for an instant, again and again. */
static void *pester(void *arg)
{
	struct p2m_mem *mem = arg;
	u64 gfn = 0, words[4];

	for (;;) {
		struct iovec there = { p2m_page(mem, gfn++ % P2M_CHUNK), 32 };
		struct iovec here = { words, sizeof(words) };

		TEST_ASSERT(process_vm_readv(getpid(), &here, 1, &there, 1,
					     0) == 32, "process_vm_readv");
		pthread_testcancel();
	}
	return NULL;
}

/*
 * All of these meet at the same chunks.  A chunk with all its pages is
 * collapsed, and the next frame that goes out shatters it.
 */
TEST_F_TIMEOUT(huge, writing_paging_collapsing_and_pinning_may_race, 90)
{
	struct p2m_mem *mem = &self->mem;
	struct p2m_stats stats;
	u64 gfn, calls = 0;
	pthread_t thread;
	pid_t in;

	p2m_vm_create(&self->vm, mem, 2, p2m_guest_worker);
	p2m_vm_run_passes(&self->vm, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, pester, mem));
	in = p2m_fork();
	if (!in) {
		for (;;) {
			p2m_move_all(mem->fd, P2M_PAGE_IN);
			p2m_move_all(mem->fd, P2M_COLLAPSE);
		}
	}
	p2m_vm_start(&self->vm);
	do {
		gfn = calls++ * 61 % (NR_FRAMES - 8);
		p2m_move(mem->fd, P2M_PAGE_OUT, gfn, 8);
		stats = p2m_stats(mem->fd);
	} while (p2m_vm_passes(&self->vm) < 1 + PASSES ||
		 stats.shattered < SHATTERED || stats.collapsed < SHATTERED);
	p2m_vm_stop(&self->vm);
	ASSERT_EQ(0, kill(in, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(in));
	ASSERT_EQ(0, pthread_cancel(thread));
	ASSERT_EQ(0, pthread_join(thread, NULL));

	stats = p2m_stats(mem->fd);
	TH_LOG("%lu calls: %llu out, %llu in, %llu busy, %llu shattered, %llu collapsed",
	       calls, stats.paged_out, stats.paged_in, stats.busy,
	       stats.shattered, stats.collapsed);
	EXPECT_EQ(NR_FRAMES, stats.resident + stats.paged);
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages + p2m_totals().store);
	EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm));
}

/* Mappings of one guest, by 2 MB and by 4 KB, show the same memory. */
TEST_F(huge, mappings_of_both_kinds_see_the_same)
{
	struct p2m_mem small = self->mem;

	small.hva = p2m_map(self->mem.fd, 0, NR_FRAMES);
	p2m_mem_fill(&small, 0, P2M_CHUNK);
	p2m_mem_fill(&self->mem, P2M_CHUNK, P2M_CHUNK);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 2 * P2M_CHUNK));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&small, 0, 2 * P2M_CHUNK));
	ASSERT_EQ(2 * P2M_CHUNK, p2m_move_all(self->mem.fd, P2M_PAGE_OUT));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&small, 0, 2 * P2M_CHUNK));
	ASSERT_EQ(2 * P2M_CHUNK, p2m_move_all(self->mem.fd, P2M_COLLAPSE));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 2 * P2M_CHUNK));
	ASSERT_EQ(0, munmap(small.hva, NR_FRAMES * P2M_PAGE_SIZE));
}

/*
 * Only the last frame of each chunk is mapped and dirty.  Return: the least
 * time, of several, to make all frames clean
 */
static u64 time_to_clean(struct p2m_mem *mem)
{
	struct p2m_dirty_switch on = { .size = sizeof(on) };
	u64 bits[NR_FRAMES / 64], ns, least = ~0UL, i, gfn;
	struct p2m_dirty dirty = {
		.size = sizeof(dirty), .flags = P2M_DIRTY_CLEAN,
		.nr = NR_FRAMES, .bitmap = (uintptr_t)bits,
	};
	struct timespec start;

	TEST_ASSERT(!p2m_call(mem->fd, P2M_DIRTY_START, &on),
		    "P2M_DIRTY_START");
	for (i = 0; i < 8; i++) {
		for (gfn = P2M_CHUNK - 1; gfn < NR_FRAMES; gfn += P2M_CHUNK)
			p2m_page(mem, gfn)[0]++;
		clock_gettime(CLOCK_MONOTONIC, &start);
		TEST_ASSERT(!p2m_call(mem->fd, P2M_DIRTY_GET, &dirty),
			    "P2M_DIRTY_GET");
		ns = timespec_to_ns(timespec_elapsed(start));
		least = ns < least ? ns : least;
		TEST_ASSERT(dirty.dirty == CHUNKS, "%llu are dirty",
			    dirty.dirty);
	}
	TEST_ASSERT(!p2m_call(mem->fd, P2M_DIRTY_STOP, &on), "P2M_DIRTY_STOP");
	return least;
}

/* A call looks once at a page of 2 MB, not once for each frame of it. */
TEST_F(huge, to_unmap_a_split_page_costs_no_more_than_512_pages)
{
	struct p2m_mem small;
	u64 split, pages;

	p2m_mem_open(&small, NR_FRAMES);
	p2m_mem_fill(&small, 0, NR_FRAMES);
	pages = time_to_clean(&small);
	p2m_mem_close(&small);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	split = time_to_clean(&self->mem);
	TH_LOG("split pages of 2 MB took %lu us, those of 4 KB %lu us",
	       split / 1000, pages / 1000);
	EXPECT_EQ(0, p2m_stats(self->mem.fd).shattered);
	EXPECT_LE(split, 3 * pages);
}

TEST_F(huge, a_killed_vmm_leaves_nothing)
{
	struct p2m_mem mem;
	pid_t pid;

	p2m_mem_close(&self->mem);
	pid = p2m_fork();
	if (!pid) {
		p2m_mem_open_huge(&mem, NR_FRAMES);
		p2m_mem_fill(&mem, 0, NR_FRAMES);
		p2m_move(mem.fd, P2M_PAGE_OUT, 5, 1);
		kill(getpid(), SIGKILL);
	}
	EXPECT_EQ(-SIGKILL, p2m_wait(pid));
	EXPECT_TRUE(p2m_all_freed());
}

TEST_HARNESS_MAIN
