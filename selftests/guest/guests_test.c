// SPDX-License-Identifier: GPL-2.0
/*
 * Several guests, mappings, descriptors and processes at once.  Each guest has
 * its own memory, and the memory stays as long as any process can reach it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	P2M_CHUNK
#define MAX_GUESTS	4
#define P2M_AUDIT_ALL	"/sys/kernel/debug/p2m/audit"

FIXTURE(guests)
{
	struct p2m_mem mem[MAX_GUESTS];
	struct p2m_vm vm[MAX_GUESTS];
};

FIXTURE_SETUP(guests)
{
	ASSERT_TRUE(p2m_all_freed());
}

FIXTURE_TEARDOWN(guests)
{
	int i;

	for (i = 0; i < MAX_GUESTS; i++) {
		p2m_vm_destroy(&self->vm[i]);
		p2m_mem_close(&self->mem[i]);
	}
	EXPECT_TRUE(p2m_all_freed());
}

/* Page a running guest out until it has done its passes and moved enough. */
static void *page_out_one(void *arg)
{
	struct p2m_vm *vm = arg;
	int fd = vm->mem->fd;
	struct p2m_stats stats;

	do {
		p2m_move_all(fd, P2M_PAGE_OUT);
		stats = p2m_stats(fd);
	} while (p2m_vm_passes(vm) < p2m_rounds(2) ||
		 stats.paged_in < p2m_rounds(2 * vm->mem->nr));
	return NULL;
}

static void page_out_at_once(struct __test_metadata *_metadata,
			     struct p2m_mem *mem, struct p2m_vm *vm, int n)
{
	pthread_t thread[MAX_GUESTS];
	int i;

	for (i = 0; i < n; i++) {
		p2m_mem_open(&mem[i], NR_FRAMES);
		p2m_vm_create(&vm[i], &mem[i], 1, p2m_guest_worker);
	}
	for (i = 0; i < n; i++) {
		p2m_vm_start(&vm[i]);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, page_out_one,
					    &vm[i]));
	}
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < n; i++) {
		p2m_vm_stop(&vm[i]);
		EXPECT_EQ(0, p2m_vm_wrong_words(&vm[i]));
		EXPECT_EQ(NR_FRAMES, p2m_stats(mem[i].fd).zeroed);
	}
}

TEST_F_TIMEOUT(guests, two_in_one_process_are_paged_out_at_once, 60)
{
	page_out_at_once(_metadata, self->mem, self->vm, 2);
}

TEST_F_TIMEOUT(guests, four_in_one_process_are_paged_out_at_once, 60)
{
	page_out_at_once(_metadata, self->mem, self->vm, 4);
}

static void be_a_guest(struct p2m_mem *mem, struct p2m_vm *vm)
{
	p2m_mem_open(mem, NR_FRAMES);
	p2m_vm_create(vm, mem, 1, p2m_guest_worker);
	p2m_vm_start(vm);
	page_out_one(vm);
	p2m_vm_stop(vm);
	_exit(p2m_vm_wrong_words(vm) ? 1 : 0);
}

static void page_out_apart(struct __test_metadata *_metadata,
			   struct p2m_mem *mem, struct p2m_vm *vm, int n)
{
	pid_t pid[MAX_GUESTS];
	int i;

	for (i = 0; i < n; i++) {
		pid[i] = p2m_fork();
		if (!pid[i])
			be_a_guest(&mem[i], &vm[i]);
	}
	for (i = 0; i < n; i++)
		EXPECT_EQ(0, p2m_wait(pid[i]));
}

TEST_F_TIMEOUT(guests, two_in_two_processes_are_paged_out_at_once, 60)
{
	page_out_apart(_metadata, self->mem, self->vm, 2);
}

TEST_F_TIMEOUT(guests, four_in_four_processes_are_paged_out_at_once, 60)
{
	page_out_apart(_metadata, self->mem, self->vm, 4);
}

TEST_F(guests, the_same_frame_of_two_guests_is_two_pages)
{
	struct p2m_mem *a = &self->mem[0], *b = &self->mem[1];

	p2m_mem_open(a, NR_FRAMES);
	p2m_mem_open(b, NR_FRAMES);
	p2m_mem_fill(a, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(a->fd, P2M_PAGE_OUT));
	ASSERT_EQ(0, p2m_mem_nonzero_pages(b, 0, NR_FRAMES));
	p2m_mem_fill(b, 0, NR_FRAMES);
	ASSERT_EQ(NR_FRAMES, p2m_move_all(b->fd, P2M_PAGE_OUT));
	ASSERT_EQ(0, p2m_mem_wrong_pages(a, 0, NR_FRAMES));
	ASSERT_EQ(NR_FRAMES, p2m_stats(b->fd).paged);
	ASSERT_EQ(0, p2m_mem_wrong_pages(b, 0, NR_FRAMES));
}

TEST_F(guests, a_new_guest_sees_nothing_of_a_freed_one)
{
	struct p2m_mem *old = &self->mem[0], *new = &self->mem[1];
	int round;

	for (round = 0; round < 3; round++) {
		p2m_mem_open(old, NR_FRAMES);
		p2m_mem_fill(old, 0, NR_FRAMES);
		ASSERT_EQ(NR_FRAMES / 2,
			  p2m_move(old->fd, P2M_PAGE_OUT, 0,
				   NR_FRAMES / 2).done);
		p2m_mem_close(old);
		ASSERT_TRUE(p2m_all_freed());

		p2m_mem_open(new, NR_FRAMES);
		ASSERT_EQ(0, p2m_mem_nonzero_pages(new, 0, NR_FRAMES));
		p2m_mem_populate(new, 0, NR_FRAMES);
		ASSERT_EQ(0, p2m_mem_nonzero_pages(new, 0, NR_FRAMES));
		ASSERT_EQ(NR_FRAMES, p2m_move_all(new->fd, P2M_PAGE_OUT));
		ASSERT_EQ(0, p2m_mem_nonzero_pages(new, 0, NR_FRAMES));
		p2m_mem_close(new);
	}
}

TEST_F(guests, a_mapping_outlives_its_descriptor)
{
	struct p2m_mem *mem = &self->mem[0];

	p2m_mem_open(mem, NR_FRAMES);
	p2m_mem_fill(mem, 0, NR_FRAMES / 2);
	ASSERT_EQ(NR_FRAMES / 2, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	ASSERT_EQ(0, close(mem->fd));
	mem->fd = -1;
	ASSERT_EQ(1, p2m_totals().guests);
	ASSERT_EQ(NR_FRAMES / 2, p2m_totals().store);

	/* The mapping gets pages back from the store, and new ones. */
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES / 2));
	p2m_mem_fill(mem, NR_FRAMES / 2, NR_FRAMES / 2);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
}

TEST_F(guests, a_descriptor_outlives_its_mapping)
{
	struct p2m_mem *mem = &self->mem[0];

	p2m_mem_open(mem, NR_FRAMES);
	p2m_mem_fill(mem, 0, NR_FRAMES);
	ASSERT_EQ(0, munmap(mem->hva, NR_FRAMES * P2M_PAGE_SIZE));
	mem->hva = NULL;
	ASSERT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
	ASSERT_EQ(NR_FRAMES, p2m_info(mem->fd).gfns);
	ASSERT_EQ(NR_FRAMES / 2,
		  p2m_move(mem->fd, P2M_PAGE_OUT, 0, NR_FRAMES / 2).done);
	mem->hva = p2m_map(mem->fd, 0, NR_FRAMES);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));
}

TEST_F(guests, unmapping_moving_and_dropping_pages_loses_nothing)
{
	const size_t len = NR_FRAMES * P2M_PAGE_SIZE;
	struct p2m_mem *mem = &self->mem[0];
	void *place;

	p2m_mem_open(mem, NR_FRAMES);
	p2m_mem_fill(mem, 0, NR_FRAMES);
	ASSERT_EQ(0, madvise(mem->hva, 64 * P2M_PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(NR_FRAMES, p2m_stats(mem->fd).resident);
	ASSERT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));

	place = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	ASSERT_EQ(place, mremap(mem->hva, len, len,
				MREMAP_MAYMOVE | MREMAP_FIXED, place));
	mem->hva = place;
	ASSERT_EQ(NR_FRAMES, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	ASSERT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));

	ASSERT_EQ(0, munmap(p2m_page(mem, 8), 8 * P2M_PAGE_SIZE));
	ASSERT_EQ(NR_FRAMES, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	ASSERT_EQ(p2m_page(mem, 8),
		  mmap(p2m_page(mem, 8), 8 * P2M_PAGE_SIZE,
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mem->fd,
		       8 * P2M_PAGE_SIZE));
	ASSERT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));
}

TEST_F(guests, two_mappings_of_a_frame_agree)
{
	struct p2m_mem *mem = &self->mem[0];
	u64 *alias;
	int round;

	p2m_mem_open(mem, NR_FRAMES);
	alias = p2m_map(mem->fd, 100, 2);
	for (round = 1; round <= 20; round++) {
		WRITE_ONCE(alias[0], round);
		ASSERT_EQ(round, READ_ONCE(p2m_page(mem, 100)[0]));
		/* It goes out only if no mapping has it any more. */
		ASSERT_EQ(1, p2m_move_all(mem->fd, P2M_PAGE_OUT));
		WRITE_ONCE(p2m_page(mem, 100)[0], round + 1000);
		ASSERT_EQ(round + 1000, READ_ONCE(alias[0]));
		ASSERT_EQ(1, p2m_move_all(mem->fd, P2M_PAGE_OUT));
	}
	munmap(alias, 2 * P2M_PAGE_SIZE);
}

TEST_F(guests, a_forked_child_shares_the_memory)
{
	struct p2m_mem *mem = &self->mem[0];
	pid_t pid;

	p2m_mem_open(mem, NR_FRAMES);
	p2m_mem_fill(mem, 0, NR_FRAMES / 2);
	pid = p2m_fork();
	if (!pid) {
		if (p2m_mem_wrong_pages(mem, 0, NR_FRAMES / 2))
			_exit(1);
		p2m_mem_fill(mem, NR_FRAMES / 2, NR_FRAMES / 2);
		if (p2m_move_all(mem->fd, P2M_PAGE_OUT) != NR_FRAMES)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(NR_FRAMES, p2m_stats(mem->fd).paged);
	EXPECT_EQ(0, p2m_mem_wrong_pages(mem, 0, NR_FRAMES));
}

TEST_F_TIMEOUT(guests, a_child_writes_beside_the_vcpus_and_the_pager, 60)
{
	struct p2m_mem *mem = &self->mem[0];
	struct p2m_vm *vm = &self->vm[0];
	const u64 writer = 2, passes = 5;
	pid_t pid;

	p2m_mem_open(mem, NR_FRAMES);
	p2m_vm_create(vm, mem, 2, p2m_guest_worker);
	pid = p2m_fork();
	if (!pid) {
		u64 pass, gfn;

		for (pass = 1; pass <= passes; pass++) {
			if (p2m_wrong_words(mem, writer, pass - 1))
				_exit(1);
			for (gfn = 0; gfn < mem->nr; gfn++)
				WRITE_ONCE(*p2m_word(mem->hva, gfn, writer),
					   p2m_value(mem->tag, gfn, writer,
						     pass));
		}
		_exit(0);
	}
	p2m_vm_start(vm);
	page_out_one(vm);
	ASSERT_EQ(0, p2m_wait(pid));
	p2m_vm_stop(vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(vm));
	EXPECT_EQ(0, p2m_wrong_words(mem, writer, passes));
}

/* Messages between a VMM and the test */
struct talk {
	int fd;
	bool stop;
};

TEST_F_TIMEOUT(guests, another_process_takes_the_descriptor_and_pages, 60)
{
	struct p2m_mem *mem = &self->mem[0];
	struct p2m_vm *vm = &self->vm[0];
	struct p2m_stats stats;
	struct talk *talk;
	pid_t pid;
	int fd;

	talk = mmap(NULL, P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, talk);
	pid = p2m_fork();
	if (!pid) {
		p2m_mem_open(mem, NR_FRAMES);
		p2m_vm_create(vm, mem, 2, p2m_guest_worker);
		p2m_vm_start(vm);
		__atomic_store_n(&talk->fd, mem->fd, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&talk->stop, __ATOMIC_ACQUIRE) ||
		       p2m_vm_passes(vm) < p2m_rounds(2))
			usleep(1000);
		p2m_vm_stop(vm);
		_exit(p2m_vm_wrong_words(vm) ? 1 : 0);
	}
	while (!__atomic_load_n(&talk->fd, __ATOMIC_ACQUIRE)) {
		ASSERT_TRUE(p2m_is_alive(pid));
		usleep(1000);
	}
	fd = p2m_take_fd(pid, talk->fd);
	do {
		p2m_move_all(fd, P2M_PAGE_OUT);
		stats = p2m_stats(fd);
	} while (stats.paged_in < 2 * NR_FRAMES);
	__atomic_store_n(&talk->stop, true, __ATOMIC_RELEASE);
	EXPECT_EQ(0, p2m_wait(pid));

	/* The guest now belongs to this process alone, with all its pages. */
	stats = p2m_stats(fd);
	EXPECT_EQ(NR_FRAMES, stats.resident + stats.paged);
	EXPECT_EQ(1, p2m_totals().guests);
	p2m_move_all(fd, P2M_PAGE_OUT);
	EXPECT_EQ(NR_FRAMES, p2m_stats(fd).paged);
	close(fd);
	munmap(talk, P2M_PAGE_SIZE);
}

/* Audit all guests: each of @mem must be listed.  Return: the errors */
static u64 audit_all(struct p2m_mem *mem, int n)
{
	FILE *file = fopen(P2M_AUDIT_ALL, "r");
	u64 id, seen = 0, errors = ~0UL;
	char line[512];
	int i;

	TEST_ASSERT(file, "open %s", P2M_AUDIT_ALL);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "errors %lu", &errors) == 1 ||
		    sscanf(line, "guest=%lu ", &id) != 1)
			continue;
		for (i = 0; i < n; i++)
			seen += id == p2m_info(mem[i].fd).guest;
	}
	fclose(file);
	TEST_ASSERT(seen == n, "%lu of %d guests in %s", seen, n,
		    P2M_AUDIT_ALL);
	return errors;
}

TEST_F_TIMEOUT(guests, audits_find_nothing_while_guests_run_and_are_paged, 60)
{
	struct p2m_audit audit;
	int i, rounds;
	u64 frames;

	for (i = 0; i < 2; i++) {
		p2m_mem_open_huge(&self->mem[i], NR_FRAMES);
		p2m_vm_create(&self->vm[i], &self->mem[i], 1, p2m_guest_worker);
		p2m_vm_start(&self->vm[i]);
	}
	for (rounds = 0; rounds < 10; rounds++) {
		for (i = 0; i < 2; i++) {
			p2m_move(self->mem[i].fd, P2M_PAGE_OUT,
				 rounds * 50, 50);
			p2m_move(self->mem[i].fd, P2M_COLLAPSE, 0, NR_FRAMES);
			audit = p2m_audit(self->mem[i].fd);
			frames = audit.pages;
			EXPECT_GE(NR_FRAMES, frames);
		}
		EXPECT_EQ(0, audit_all(self->mem, 2));
	}
	for (i = 0; i < 2; i++) {
		p2m_vm_stop(&self->vm[i]);
		EXPECT_EQ(0, p2m_vm_wrong_words(&self->vm[i]));
	}
}

TEST_HARNESS_MAIN
