/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small KVM guests whose memory is /dev/p2m, for the selftests.
 *
 * A test opens memory (struct p2m_mem).  It may put a guest on it (struct
 * p2m_vm), whose vCPUs run a function of the test program, each in a thread of
 * its own.  Meanwhile the test pages the memory out and in:
 *
 *	p2m_mem_open(&mem, 1024);
 *	p2m_vm_create(&vm, &mem, 2, p2m_guest_worker);
 *	p2m_vm_start(&vm);
 *	while (p2m_vm_passes(&vm) < 10)
 *		p2m_move_all(mem.fd, P2M_PAGE_OUT);
 *	p2m_vm_stop(&vm);
 *	ASSERT_EQ(0, p2m_vm_wrong_words(&vm));
 *	p2m_vm_destroy(&vm);
 *	p2m_mem_close(&mem);
 *	EXPECT_TRUE(p2m_all_freed());
 *
 * A helper that fails ends the test program by TEST_ASSERT.  So helpers return
 * only results that a test looks at.
 */
#ifndef P2M_GUEST_H
#define P2M_GUEST_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "p2m.h"

/* The KVM library has an ASSERT_EQ too.  The tests use the harness's. */
#undef ASSERT_EQ

#define P2M_PAGE_SIZE		4096UL
#define P2M_CHUNK		512UL	/* frames under one lock of the tree */
#define P2M_WORDS		(P2M_PAGE_SIZE / sizeof(u64))

/* How many times slower this kernel is than others: P2M_SLOW, from "inside". */
static inline unsigned int p2m_slow(void)
{
	const char *times = getenv("P2M_SLOW");

	return times ? atoi(times) : 1;
}

/* So many rounds of a race, or as many as take about as long; at least one */
static inline u64 p2m_rounds(u64 rounds)
{
	return rounds > p2m_slow() ? rounds / p2m_slow() : 1;
}

/*
 * Let a guest run.  On a slow kernel, its faults take as long as the page-outs
 * that race with them, and it might not get far.  On others, this does nothing.
 */
static inline void p2m_let_run(void)
{
	usleep(5000 * (p2m_slow() - 1));
}

/* The harness ends a test by alarm(). */
#define alarm(seconds)		alarm((seconds) * p2m_slow())

/* Where a guest sees frame 0 of its memory, as physical and virtual address */
#define P2M_GPA			0x10000000UL
#define P2M_SLOT		1

/* The study builds this with more. */
#ifndef P2M_MAX_VCPUS
#define P2M_MAX_VCPUS		4
#endif
#define P2M_MAX_WRITERS		8	/* words of a page that have an owner */

/**
 * struct p2m_mem - a /dev/p2m file and a mapping of it
 * @fd: the file, or -1
 * @hva: the mapping of frames [0, @nr), or NULL
 * @nr: how many frames are mapped
 * @tag: tells the words of this memory from those of another
 */
struct p2m_mem {
	int fd;
	char *hva;
	u64 nr;
	u64 tag;
};

/**
 * struct p2m_vcpu - one vCPU and the thread that runs it
 * @vm: the guest it belongs to
 * @vcpu: the KVM library's vCPU
 * @thread: runs it between p2m_vm_start() and p2m_vm_stop()
 * @passes: GUEST_SYNCs seen so far
 */
struct p2m_vcpu {
	struct p2m_vm *vm;
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	u64 passes;
};

/**
 * struct p2m_vm - a guest on a p2m_mem
 * @kvm: the KVM library's VM, or NULL
 * @mem: its memory, besides the library's slot 0
 * @nr_vcpus: how many of @vcpu are in use
 * @running: the threads were started, and not stopped
 * @stop: tells the threads to end after this pass
 * @vcpu: its vCPUs
 */
struct p2m_vm {
	struct kvm_vm *kvm;
	struct p2m_mem *mem;
	int nr_vcpus;
	bool running;
	bool stop;
	struct p2m_vcpu vcpu[P2M_MAX_VCPUS];
};

/* The device */
int p2m_open(void);
void *p2m_map(int fd, u64 gfn, u64 nr);
void *p2m_map_huge(int fd, u64 gfn, u64 nr);
int p2m_call(int fd, unsigned long cmd, void *arg);
struct p2m_info p2m_info(int fd);
struct p2m_stats p2m_stats(int fd);
struct p2m_audit p2m_audit(int fd);
struct p2m_range p2m_move(int fd, unsigned long cmd, u64 gfn, u64 nr);
u64 p2m_move_all(int fd, unsigned long cmd);
int p2m_set_domain(int fd, u64 domain);
int p2m_log_dirty(int fd, unsigned long cmd);
struct p2m_dirty p2m_dirty_arg(u64 gfn, u64 nr, void *bitmap, u32 flags);
void p2m_populate_on_demand(struct p2m_mem *mem, u64 target);
u64 p2m_sweep(struct p2m_mem *mem, u64 gfn, u64 nr);

/* Is the bit of the i-th frame set, in a bitmap of P2M_DIRTY_GET? */
static inline bool p2m_has_bit(const unsigned char *bitmap, u64 i)
{
	return bitmap[i / 8] >> i % 8 & 1;
}

u64 p2m_mem_free(void);

/* How much the module holds for all guests together */
struct p2m_totals {
	unsigned long guests;
	unsigned long pages;
	unsigned long store;
};

struct p2m_totals p2m_totals(void);

/* True if the module holds nothing, now or within a few seconds */
bool p2m_all_freed(void);
bool p2m_module_unused(void);

/* Memory */
void p2m_mem_open(struct p2m_mem *mem, u64 nr);
void p2m_mem_open_huge(struct p2m_mem *mem, u64 nr);
void p2m_mem_close(struct p2m_mem *mem);
void p2m_mem_fill(struct p2m_mem *mem, u64 gfn, u64 nr);
void p2m_mem_populate(struct p2m_mem *mem, u64 gfn, u64 nr);
void p2m_mem_hold(int pipe, struct p2m_mem *mem, u64 gfn);
u64 p2m_mem_wrong_pages(struct p2m_mem *mem, u64 gfn, u64 nr);
u64 p2m_mem_nonzero_pages(struct p2m_mem *mem, u64 gfn, u64 nr);

/*
 * Write @value to a word, or nothing new if it is NULL.  True if that was
 * refused, by a SIGBUS that we survive.
 */
bool p2m_write_refused(u64 *word, const u64 *value);

static inline u64 *p2m_page(struct p2m_mem *mem, u64 gfn)
{
	return (u64 *)(mem->hva + gfn * P2M_PAGE_SIZE);
}

/*
 * A writer owns one word in every page.  Its value after so many passes is
 * different for each memory, page and writer.  These are inline and make no
 * calls, because guests use them too.
 */
static inline u64 *p2m_word(void *base, u64 gfn, u64 writer)
{
	u64 word = (gfn * P2M_MAX_WRITERS + writer) % P2M_WORDS;

	return (u64 *)base + gfn * P2M_WORDS + word;
}

static inline u64 p2m_value(u64 tag, u64 gfn, u64 writer, u64 pass)
{
	if (!pass)
		return 0;
	return tag << 56 | pass << 32 | gfn << 8 | writer << 4 | 1;
}

/* Guests.  A vCPU calls code(tag, number of the vCPU, number of frames). */
void p2m_guest_worker(u64 tag, u64 writer, u64 nr);
void p2m_vm_create(struct p2m_vm *vm, struct p2m_mem *mem, int nr_vcpus,
		   void *code);
void p2m_vm_start(struct p2m_vm *vm);
void p2m_vm_stop(struct p2m_vm *vm);
void p2m_vm_destroy(struct p2m_vm *vm);
u64 p2m_vm_passes(struct p2m_vm *vm);
void p2m_vm_run_passes(struct p2m_vm *vm, u64 passes);
u64 p2m_vm_wrong_words(struct p2m_vm *vm);
u64 p2m_wrong_words(struct p2m_mem *mem, u64 writer, u64 pass);

/* Processes.  A child of p2m_fork() does not outlive a test that fails. */
pid_t p2m_fork(void);
bool p2m_is_alive(pid_t pid);
int p2m_wait(pid_t pid);
int p2m_take_fd(pid_t pid, int fd);

/* Kernel files: write to one; read a number, after @key if that is not NULL */
void p2m_put(const char *path, const char *format, ...) __printf(2, 3);
u64 p2m_get(const char *path, const char *key);

/* Makes a cgroup that can limit memory.  False if there are no cgroups. */
#define P2M_CGROUPS	"/sys/fs/cgroup/"
bool p2m_cgroup_create(const char *path);

/*
 * The harness, if it is included after this, ends a test that takes too long,
 * and its children, by kill().  First print what they all wait for.
 */
int p2m_kill(pid_t pid, int sig);
#define kill(pid, sig) p2m_kill(pid, sig)

#endif /* P2M_GUEST_H */
