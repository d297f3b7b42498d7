// SPDX-License-Identifier: GPL-2.0
/*
 * workload: keep memory under checksum, for as long as it is told to.
 *
 *   workload MIB THREADS [EQUAL]
 *
 * It runs in the demo's guest.  It fills MIB of memory with random data.  Only
 * the pages of the first EQUAL MiB get the same contents as in every other such
 * guest.  Then THREADS threads go over the memory without end, each over its
 * own part, and in a new random order every time.  A thread checks that a page
 * is what was last written to it, and writes something new.
 *
 * It reads lines from standard input.  Until a line "diverge", the equal pages
 * are only checked.  From a line "mark" on, it counts anew how often each
 * thread has gone over its part.  At a line "churn MIB" it maps so much other
 * memory, writes to each page of it, and unmaps it.  From a line "rest" to a
 * line "work" the threads do nothing.  At a line "finish" the threads stop,
 * every page is checked once more, and the verdict is given.
 *
 * It prints lines on standard output:
 *
 *   ready MIB                      the memory is filled
 *   status CHECKED WRONG PASSES    once a second: pages checked and found wrong
 *                                  so far, and passes that every thread has
 *                                  ended since the last "mark"
 *   marked                         it has read "mark", and all lines before it
 *   churned MIB                    it has done "churn", and the memory is free
 *   mismatch PAGE WORD WANT GOT    at once, for the first few
 *   verified MIB WRONG             after "finish"
 *   VERDICT ok | VERDICT bad       the last line
 */
#include <errno.h>
#include <linux/types.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE	4096
#define WORDS		(PAGE_SIZE / sizeof(__u64))
#define MIB_PAGES	(1024 * 1024 / PAGE_SIZE)
#define MAX_THREADS	64
#define MAX_REPORTS	20

/* A page must hold the stream that begins with @seed, and adds up to @sum. */
struct record {
	__u64 seed;
	__u64 sum;
};

struct worker {
	pthread_t thread;
	size_t first;		/* its pages: [first, first + nr) */
	size_t nr;
	__u64 random;		/* state of its random numbers */
	__u64 checked;		/* main() reads it meanwhile */
	__u64 passes;
	__u64 marked;		/* passes when main() read "mark" */
};

static __u64 (*memory)[WORDS];
static struct record *records;
static __u64 wrong;
static bool stopping;
static size_t nr_equal;		/* the first pages, which are equal */
static bool diverged;
static bool resting;

static __u64 next_random(__u64 *state)
{
	__u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static __u64 add_up(__u64 sum, __u64 word)
{
	return (sum << 1 | sum >> 63) + word;
}

static void write_page(size_t page, __u64 seed)
{
	struct record *record = &records[page];
	__u64 state = seed, sum = 0;

	for (size_t i = 0; i < WORDS; i++) {
		__u64 word = next_random(&state);

		memory[page][i] = word;
		sum = add_up(sum, word);
	}
	record->seed = seed;
	record->sum = sum;
}

static void report(size_t page, size_t word, __u64 want, __u64 got)
{
	if (__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED) > MAX_REPORTS)
		return;
	printf("mismatch %zu %zu %#llx %#llx\n", page, word,
	       want, got);
}

/* Check words and checksum: a stale page or a stale record does not pass. */
static void check_page(size_t page)
{
	const struct record *record = &records[page];
	__u64 state = record->seed, sum = 0;

	for (size_t i = 0; i < WORDS; i++) {
		__u64 want = next_random(&state);
		__u64 got = __atomic_load_n(&memory[page][i], __ATOMIC_RELAXED);

		if (got != want) {
			report(page, i, want, got);
			return;
		}
		sum = add_up(sum, got);
	}
	if (sum != record->sum)
		report(page, WORDS, record->sum, sum);
}

/* May something new be written to this page? */
static bool to_be_rewritten(size_t page)
{
	return page >= nr_equal || __atomic_load_n(&diverged, __ATOMIC_RELAXED);
}

static size_t gcd(size_t a, size_t b)
{
	while (b) {
		size_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Wait while the threads are to do nothing. */
static void rest(void)
{
	while (__atomic_load_n(&resting, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&stopping, __ATOMIC_RELAXED))
		usleep(100000);
}

/* Go over all pages of a worker, each exactly once, in a random order. */
static void pass(struct worker *worker, bool rewrite)
{
	size_t at = next_random(&worker->random) % worker->nr;
	size_t stride;

	do {
		stride = 1 + next_random(&worker->random) % worker->nr;
	} while (gcd(stride, worker->nr) != 1);

	for (size_t i = 0; i < worker->nr; i++) {
		if (rewrite)
			rest();
		if (rewrite && __atomic_load_n(&stopping, __ATOMIC_RELAXED))
			return;
		check_page(worker->first + at);
		if (rewrite && to_be_rewritten(worker->first + at))
			write_page(worker->first + at,
				   next_random(&worker->random));
		__atomic_add_fetch(&worker->checked, 1, __ATOMIC_RELAXED);
		at = (at + stride) % worker->nr;
	}
	if (rewrite)
		__atomic_add_fetch(&worker->passes, 1, __ATOMIC_RELAXED);
}

static void *fill(void *arg)
{
	struct worker *worker = arg;

	for (size_t i = worker->first; i < worker->first + worker->nr; i++)
		write_page(i, i < nr_equal ?
			   i + 1 : next_random(&worker->random));
	return NULL;
}

static void *run(void *arg)
{
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
		pass(arg, true);
	return NULL;
}

static void *verify(void *arg)
{
	pass(arg, false);
	return NULL;
}

static void start(struct worker *workers, size_t nr, void *(*function)(void *))
{
	for (size_t i = 0; i < nr; i++) {
		int err = pthread_create(&workers[i].thread, NULL, function,
					 &workers[i]);

		if (err) {
			fprintf(stderr, "workload: no thread: %s\n",
				strerror(err));
			exit(1);
		}
	}
}

static void join(struct worker *workers, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		pthread_join(workers[i].thread, NULL);
}

static void print_status(const struct worker *workers, size_t nr)
{
	__u64 checked = 0, passes = ~0ULL;

	for (size_t i = 0; i < nr; i++) {
		__u64 mine = __atomic_load_n(&workers[i].passes,
					     __ATOMIC_RELAXED) -
			     workers[i].marked;

		checked += __atomic_load_n(&workers[i].checked,
					   __ATOMIC_RELAXED);
		if (mine < passes)
			passes = mine;
	}
	printf("status %llu %llu %llu\n", checked,
	       __atomic_load_n(&wrong, __ATOMIC_RELAXED),
	       passes);
}

static void mark(struct worker *workers, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		workers[i].marked = __atomic_load_n(&workers[i].passes,
						    __ATOMIC_RELAXED);
	printf("marked\n");
}

static void *map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("workload: mmap");
		exit(1);
	}
	return at;
}

/* Use memory, and give it back to the kernel. */
static void churn(size_t mib)
{
	size_t size = mib * MIB_PAGES * PAGE_SIZE;
	char *at;

	if (size) {
		at = map(size);
		for (size_t i = 0; i < size; i += PAGE_SIZE)
			__atomic_store_n(&at[i], 1, __ATOMIC_RELAXED);
		munmap(at, size);
	}
	printf("churned %zu\n", mib);
}

/* Do what a line says. */
static void obey(struct worker *workers, size_t nr, const char *line)
{
	if (!strncmp(line, "diverge", 7))
		__atomic_store_n(&diverged, true, __ATOMIC_RELAXED);
	else if (!strncmp(line, "rest", 4))
		__atomic_store_n(&resting, true, __ATOMIC_RELAXED);
	else if (!strncmp(line, "work", 4))
		__atomic_store_n(&resting, false, __ATOMIC_RELAXED);
	else if (!strncmp(line, "mark", 4))
		mark(workers, nr);
	else if (!strncmp(line, "churn ", 6))
		churn(strtoul(line + 6, NULL, 10));
}

/* Report until a line "finish".  Return: false if the input ends before that */
static bool wait_for_finish(struct worker *workers, size_t nr)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	for (;;) {
		int ready = poll(&input, 1, 1000);

		if (ready < 0 && errno != EINTR)
			return false;
		if (ready > 0) {
			if (!fgets(line, sizeof(line), stdin))
				return false;
			if (!strncmp(line, "finish", 6))
				return true;
			obey(workers, nr, line);
		}
		print_status(workers, nr);
	}
}

int main(int argc, char **argv)
{
	struct worker workers[MAX_THREADS] = {};
	size_t mib, pages, nr, equal;
	struct timespec now;
	bool told;

	mib = argc >= 3 ? strtoul(argv[1], NULL, 10) : 0;
	nr = argc >= 3 ? strtoul(argv[2], NULL, 10) : 0;
	equal = argc >= 4 ? strtoul(argv[3], NULL, 10) : 0;
	if (argc > 4 || !mib || !nr || nr > MAX_THREADS || equal > mib) {
		fprintf(stderr, "usage: workload MIB THREADS (1 to %d) [EQUAL]\n",
			MAX_THREADS);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Unbuffered, or poll() would miss a line that came with another. */
	setvbuf(stdin, NULL, _IONBF, 0);

	pages = mib * MIB_PAGES;
	nr_equal = equal * MIB_PAGES;
	memory = map(pages * PAGE_SIZE);
	records = map(pages * sizeof(*records));

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < nr; i++) {
		workers[i].first = pages * i / nr;
		workers[i].nr = pages * (i + 1) / nr - workers[i].first;
		workers[i].random = (now.tv_sec * 1000000007ULL +
				     now.tv_nsec) * (2 * i + 1) | 1;
	}

	start(workers, nr, fill);
	join(workers, nr);
	printf("ready %zu\n", mib);

	start(workers, nr, run);
	told = wait_for_finish(workers, nr);
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
	join(workers, nr);

	start(workers, nr, verify);
	join(workers, nr);
	print_status(workers, nr);
	printf("verified %zu %llu\n", mib, wrong);
	printf("VERDICT %s\n", told && !wrong ? "ok" : "bad");
	return !told || wrong;
}
