// SPDX-License-Identifier: GPL-2.0
/*
 * guest: process 1 of the guest that is measured, under Xen and under KVM
 *
 * It fills MIB of memory, from "mib=MIB" on the kernel's command line, and
 * prints "@ready".  Then it reads lines from the console:
 *
 *   touch THREADS	the threads write to each page once, each in its own
 *			part of the memory; how long each write takes is counted
 *   off		power off
 *
 * What it prints begins with "@", since the kernel prints to the console too:
 *
 *   @ready MIB UPTIME_US	the memory is filled
 *   @bucket EDGE_NS COUNT	so many writes took less than EDGE_NS, and not
 *				less than the edge before; an empty bucket is
 *				not printed
 *   @touched PAGES WRONG NS	after the buckets: pages, how many of them did
 *				not hold what they should, and the time it took
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE_SIZE	4096
#define WORDS		(PAGE_SIZE / sizeof(unsigned long))
#define MAX_THREADS	16
/* Buckets of ticks: eight for each power of two */
#define PER_POWER	8
#define NR_BUCKETS	(48 * PER_POWER)

struct worker {
	pthread_t thread;
	int cpu;
	size_t first, nr;		/* its pages */
	size_t wrong;
	unsigned long buckets[NR_BUCKETS];
};

static unsigned long (*memory)[WORDS];
static size_t nr_pages;
static unsigned long round_nr;		/* how often each page was written */
static pthread_barrier_t start;

static unsigned long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static size_t bucket_of(unsigned long ticks)
{
	size_t power, bucket;

	if (ticks < PER_POWER)
		return ticks;
	power = 63 - __builtin_clzl(ticks);
	bucket = (power - 2) * PER_POWER +
		 (ticks >> (power - 3)) % PER_POWER;
	return bucket < NR_BUCKETS ? bucket : NR_BUCKETS - 1;
}

/* The first number of ticks that is above the bucket */
static unsigned long edge_of(size_t bucket)
{
	size_t power = bucket / PER_POWER + 2;

	if (bucket < PER_POWER)
		return bucket + 1;
	return (PER_POWER + bucket % PER_POWER + 1) << (power - 3);
}

/*
 * A page holds its number in the first word, and how often it was written to in
 * the second: so the pages differ, and a page that was lost is noticed.
 */
static void *touch_part(void *data)
{
	struct worker *worker = data;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(worker->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	pthread_barrier_wait(&start);
	for (size_t i = worker->first; i < worker->first + worker->nr; i++) {
		unsigned long *page = memory[i];
		unsigned long ticks = __rdtsc();

		__atomic_add_fetch(&page[1], 1, __ATOMIC_RELAXED);
		ticks = __rdtsc() - ticks;
		worker->buckets[bucket_of(ticks)]++;
		if (page[0] != i || page[1] != round_nr)
			worker->wrong++;
	}
	return NULL;
}

static void print_buckets(struct worker *workers, int nr, double ns_per_tick)
{
	for (size_t bucket = 0; bucket < NR_BUCKETS; bucket++) {
		unsigned long count = 0;

		for (int i = 0; i < nr; i++)
			count += workers[i].buckets[bucket];
		if (count)
			printf("@bucket %.0f %lu\n",
			       edge_of(bucket) * ns_per_tick, count);
	}
}

static void touch(int nr)
{
	static struct worker workers[MAX_THREADS];
	unsigned long ns, ticks;
	size_t wrong = 0;

	memset(workers, 0, sizeof(workers));
	round_nr++;
	pthread_barrier_init(&start, NULL, nr + 1);
	for (int i = 0; i < nr; i++) {
		workers[i].cpu = i;
		workers[i].first = nr_pages * i / nr;
		workers[i].nr = nr_pages * (i + 1) / nr - workers[i].first;
		pthread_create(&workers[i].thread, NULL, touch_part,
			       &workers[i]);
	}
	ns = now_ns();
	ticks = __rdtsc();
	pthread_barrier_wait(&start);
	for (int i = 0; i < nr; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	ns = now_ns() - ns;
	ticks = __rdtsc() - ticks;
	pthread_barrier_destroy(&start);
	print_buckets(workers, nr, (double)ns / ticks);
	printf("@touched %zu %zu %lu\n", nr_pages, wrong, ns);
}

static void fill(size_t mib)
{
	size_t size = mib << 20;

	nr_pages = size / PAGE_SIZE;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		printf("@failed to get %zu MiB\n", mib);
		return;
	}
	for (size_t i = 0; i < nr_pages; i++)
		memory[i][0] = i;
}

/* The number after @name on the kernel's command line */
static size_t option(const char *name)
{
	char line[2048] = " ", *found;
	int fd = open("/proc/cmdline", O_RDONLY);

	if (fd < 0 || read(fd, line + 1, sizeof(line) - 2) < 0)
		return 0;
	close(fd);
	found = strstr(line, name);
	return found ? strtoul(found + strlen(name), NULL, 0) : 0;
}

/* Lines come and go as they are. */
static void raw_console(void)
{
	struct termios mode;

	tcgetattr(0, &mode);
	mode.c_lflag &= ~(ECHO | ICANON);
	mode.c_oflag &= ~OPOST;
	tcsetattr(0, TCSANOW, &mode);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

int main(void)
{
	struct timespec uptime;
	char line[80];
	size_t mib;
	int nr;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	raw_console();
	mib = option(" mib=");
	fill(mib);
	clock_gettime(CLOCK_BOOTTIME, &uptime);
	printf("\n@ready %zu %ld\n", mib,
	       uptime.tv_sec * 1000000 + uptime.tv_nsec / 1000);
	for (;;) {
		if (!fgets(line, sizeof(line), stdin)) {
			perror("console");
			clearerr(stdin);
			sleep(1);
			continue;
		}
		if (sscanf(line, "touch %d", &nr) == 1 &&
		    nr > 0 && nr <= MAX_THREADS)
			touch(nr);
		else if (!strncmp(line, "off", 3))
			break;
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
