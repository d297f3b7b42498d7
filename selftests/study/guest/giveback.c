// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to give pages that a guest does not need back to the host:
 * P2M_POD_SWEEP, of pages that are zero.  Prints what the script run reads: see
 * pagefaults.c.
 */
#include <stdio.h>
#include <time.h>

#include "p2m_guest.h"

/* 64 MB */
#define NR_FRAMES	16384UL

static void guest_zero(u64 tag, u64 vcpu, u64 nr)
{
	u64 i;

	for (i = 0; i < nr; i++)
		WRITE_ONCE(*(u64 *)(P2M_GPA + i * P2M_PAGE_SIZE), 0);
	GUEST_SYNC(0);
}

static u64 now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000UL + at.tv_nsec;
}

int main(void)
{
	struct p2m_mem mem;
	struct p2m_vm vm;
	u64 time, pages, before;

	p2m_mem_open(&mem, NR_FRAMES);
	p2m_populate_on_demand(&mem, NR_FRAMES);
	p2m_vm_create(&vm, &mem, 1, guest_zero);
	vcpu_run(vm.vcpu[0].vcpu);

	before = p2m_totals().pages;
	time = now();
	pages = p2m_sweep(&mem, 0, NR_FRAMES);
	time = now() - time;
	TEST_ASSERT(pages == NR_FRAMES, "%lu pages", pages);
	printf("study: point job=return\n");
	printf("study: value pages %lu\n", pages);
	printf("study: value seconds %.9f\n", time / 1e9);
	printf("study: value freed %lu\n",
	       (before - p2m_totals().pages) * P2M_PAGE_SIZE);
	printf("study: end\n");
	p2m_vm_destroy(&vm);
	p2m_mem_close(&mem);
	return 0;
}
