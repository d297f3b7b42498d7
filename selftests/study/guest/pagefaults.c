// SPDX-License-Identifier: GPL-2.0
/*
 * vCPUs of one guest touch memory that is paged out: how many pages a second,
 * and who waits how long.
 *
 *	pagefaults POINT...
 *
 * A POINT is KEY=VALUE[,KEY=VALUE]...:
 *
 *	vcpus=N			so many touch, each in chunks of its own
 *	latency_us=N		a read from the store takes so long
 *	memory=p2m|uffd		of /dev/p2m; or of a pager on userfaultfd
 *	load=none|out|all	page-out of what was touched runs against them;
 *				and so do a sharing scan and rounds of log-dirty
 *	holder=none|foreign|held  64 frames in the second chunk of the first
 *				vCPU are mapped by foreign mapping, or held, for
 *				all of the time
 *	dirty=no|yes		rounds of log-dirty, without the rest of load=all
 *	rt=no|yes		all these threads are of SCHED_RR.  For one CPU: there
 *				an rwsem lets other tasks spin, for a tick, while
 *				its owner is to be woken; but not these.
 *	ms=N			measure so long; or until a vCPU has no more pages
 *
 * kvm_p2m.ko must have the probe (probe.c).  All memory is filled, and paged out
 * before each point.  With load=none a vCPU touches each of its pages once.
 * Otherwise it goes round in a few chunks, a batch of each in turn, and each
 * batch that it has left is paged out: so as much goes out as comes in.
 * For each point this prints lines that the script run reads:
 *
 *	study: point POINT
 *	study: value NAME NUMBER
 *	study: times NAME EDGE:COUNT ...	(so many below EDGE ns)
 *	study: end
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "p2m_guest.h"

#define PROBE		"/sys/kernel/debug/p2m_study/"
#define LATENCY		"/sys/module/kvm_p2m/parameters/study_latency_us"

/* 80 MB; the last chunks are never touched with load, and stay. */
#define NR_CHUNKS	40UL
#define NR_FRAMES	(NR_CHUNKS * P2M_CHUNK)
#define NR_STAY		8UL
/* Frames that P2M_PAGE_OUT holds at a time */
#define BATCH		64UL
/* With load, a vCPU goes round in so many chunks. */
#define RING		4UL
/* Where the foreign mapping is, or the hold that stands: a chunk begins there */
#define HELD_GFN	P2M_CHUNK
#define HELD_NR		64UL

#define MS		1000UL
#define SECOND		1000000000UL

/* ------------------------------------------------------------------ */
/* A point                                                             */
/* ------------------------------------------------------------------ */

enum load { LOAD_NONE, LOAD_OUT, LOAD_ALL };
enum holder { HOLDER_NONE, HOLDER_FOREIGN, HOLDER_HELD };

struct point {
	u64 vcpus;
	u64 latency_us;
	u64 ms;
	int uffd;
	int load;
	int holder;
	int dirty;
	int rt;
};

/* The place of a word in a list of words that ends with NULL */
static int word_of(const char *word, const char * const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(word, words[i]))
			return i;
	TEST_FAIL("what is %s?", word);
	return -1;
}

static void point_set(struct point *point, const char *key, const char *value)
{
	static const char * const loads[] = { "none", "out", "all", NULL };
	static const char * const holders[] = {
		"none", "foreign", "held", NULL };
	static const char * const memories[] = { "p2m", "uffd", NULL };
	static const char * const no_yes[] = { "no", "yes", NULL };

	if (!strcmp(key, "vcpus"))
		point->vcpus = atoi(value);
	else if (!strcmp(key, "latency_us"))
		point->latency_us = atoi(value);
	else if (!strcmp(key, "ms"))
		point->ms = atoi(value);
	else if (!strcmp(key, "memory"))
		point->uffd = word_of(value, memories);
	else if (!strcmp(key, "load"))
		point->load = word_of(value, loads);
	else if (!strcmp(key, "holder"))
		point->holder = word_of(value, holders);
	else if (!strcmp(key, "dirty"))
		point->dirty = word_of(value, no_yes);
	else if (!strcmp(key, "rt"))
		point->rt = word_of(value, no_yes);
	else
		TEST_FAIL("what is %s=%s?", key, value);
}

static struct point point_of(const char *words)
{
	struct point point = { .vcpus = 1, .ms = 3000 };
	char text[256], *word, *value, *rest = text;

	TEST_ASSERT(strlen(words) < sizeof(text), "a long point: %s", words);
	strcpy(text, words);
	while ((word = strsep(&rest, ","))) {
		value = strchr(word, '=');
		TEST_ASSERT(value, "%s has no value", word);
		*value++ = 0;
		point_set(&point, word, value);
	}
	TEST_ASSERT(point.vcpus >= 1 && point.vcpus <= P2M_MAX_VCPUS,
		    "%lu vCPUs", point.vcpus);
	TEST_ASSERT(!point.uffd || (!point.load && !point.holder &&
				    !point.dirty),
		    "userfaultfd has no load");
	return point;
}

static void set_priority(pthread_t thread, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	TEST_ASSERT(!pthread_setschedparam(thread, SCHED_RR, &param),
		    "SCHED_RR");
}

static void create_thread(pthread_t *thread, void *(*run)(void *arg), void *arg,
			  bool rt)
{
	TEST_ASSERT(!pthread_create(thread, NULL, run, arg), "pthread_create");
	if (rt)
		set_priority(*thread, 1);
}

/* The main thread must be able to say when the time is over. */
static void set_main_priority(bool rt)
{
	if (!rt)
		return;
	p2m_put("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	set_priority(pthread_self(), 2);
}

static u64 now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * SECOND + at.tv_nsec;
}

/* ------------------------------------------------------------------ */
/* The guest                                                           */
/* ------------------------------------------------------------------ */

/* As in probe.c: 16 buckets to each power of two */
#define BITS		4
#define PARTS		(1UL << BITS)
#define BUCKETS		((40 - BITS + 1) * PARTS)

/*
 * What a vCPU does, and has done.  Times are in ticks of the time-stamp counter.
 * Guest and VMM share it.
 */
struct lane {
	/* set by the VMM */
	u64 first;
	u64 nr;
	u64 loop;
	/* set by the guest */
	u64 touched;
	u64 max;
	u32 count[BUCKETS];
} __aligned(4096);

static struct shared {
	struct lane lane[P2M_MAX_VCPUS];
	u64 stop;
} shared;

static u64 ticks(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (u64)high << 32 | low;
}

static void lane_count(struct lane *lane, u64 time)
{
	u64 shift = time < PARTS ? 0 : 63 - __builtin_clzl(time) - BITS;
	u64 bucket = shift * PARTS + (time >> shift);

	lane->count[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	if (time > lane->max)
		lane->max = time;
}

static u64 bucket_edge(u64 bucket)
{
	u64 shift = bucket < PARTS ? 0 : bucket / PARTS - 1;

	return (bucket - shift * PARTS + 1) << shift;
}

/*
 * The n-th page of a lane: without a loop, one after the other; else a batch of
 * each of its chunks in turn.
 */
static inline u64 lane_page(bool loop, u64 n)
{
	u64 batch = n / BATCH;

	if (!loop)
		return n;
	return batch % RING * P2M_CHUNK +
	       batch / RING % (P2M_CHUNK / BATCH) * BATCH + n % BATCH;
}

/* Write to one page after the other. */
static void guest_touch(u64 tag, u64 vcpu, u64 nr)
{
	struct lane *lane = &shared.lane[vcpu];
	u64 at, start;

	for (;;) {
		at = 0;
		while (!READ_ONCE(shared.stop)) {
			u64 gfn = lane->first + lane_page(lane->loop, at);

			start = ticks();
			WRITE_ONCE(*((u64 *)(P2M_GPA + gfn * P2M_PAGE_SIZE) + 1),
				   start);
			lane_count(lane, ticks() - start);
			WRITE_ONCE(lane->touched, lane->touched + 1);
			if (++at < lane->nr)
				continue;
			if (!lane->loop)
				break;
			at = 0;
		}
		GUEST_SYNC(0);
	}
}

/* ------------------------------------------------------------------ */
/* A pager on userfaultfd                                              */
/* ------------------------------------------------------------------ */

#define NR_HANDLERS	8

static struct pager {
	int fd;
	char *hva;
	char *store;
	u64 latency_us;
} pager;

static void pager_sleep(void)
{
	u64 us = READ_ONCE(pager.latency_us);
	struct timespec time = { us / 1000000, us % 1000000 * 1000 };

	if (us)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Answers a touch with a copy of the page's place in the store. */
static void *pager_run(void *unused)
{
	struct uffdio_copy copy;
	struct uffd_msg msg;

	/* Do not sleep longer than asked for. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	for (;;) {
		TEST_ASSERT(read(pager.fd, &msg, sizeof(msg)) == sizeof(msg) &&
			    msg.event == UFFD_EVENT_PAGEFAULT,
			    "read of userfaultfd");
		pager_sleep();
		copy = (struct uffdio_copy) {
			.dst = msg.arg.pagefault.address & ~(P2M_PAGE_SIZE - 1),
			.len = P2M_PAGE_SIZE,
		};
		copy.src = (u64)pager.store + copy.dst - (u64)pager.hva;
		TEST_ASSERT(!ioctl(pager.fd, UFFDIO_COPY, &copy),
			    "UFFDIO_COPY");
	}
	return NULL;
}

static void *map_anonymous(u64 bytes)
{
	void *hva = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	TEST_ASSERT(hva != MAP_FAILED, "mmap");
	TEST_ASSERT(!madvise(hva, bytes, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	return hva;
}

/* It and its threads live until the program ends. */
static void pager_open(struct p2m_mem *mem, bool rt)
{
	u64 bytes = NR_FRAMES * P2M_PAGE_SIZE;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range;
	pthread_t thread;
	int i;

	pager.hva = map_anonymous(bytes);
	pager.store = map_anonymous(bytes);
	memset(pager.store, 1, bytes);
	pager.fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	TEST_ASSERT(pager.fd >= 0 && !ioctl(pager.fd, UFFDIO_API, &api),
		    "userfaultfd");
	range = (struct uffdio_register) {
		.range = { (u64)pager.hva, bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	TEST_ASSERT(!ioctl(pager.fd, UFFDIO_REGISTER, &range),
		    "UFFDIO_REGISTER");
	for (i = 0; i < NR_HANDLERS; i++)
		create_thread(&thread, pager_run, NULL, rt);
	*mem = (struct p2m_mem){ .fd = -1, .hva = pager.hva, .nr = NR_FRAMES };
}

/* ------------------------------------------------------------------ */
/* Memory and vCPUs                                                    */
/* ------------------------------------------------------------------ */

/**
 * struct machine - a guest, its memory, and threads against it
 * @mem: the memory
 * @vm: the guest
 * @shared: the guest's "shared"
 * @point: what is measured now
 * @vcpus: the threads of its vCPUs
 * @ready: the vCPUs and the main thread start together
 * @done: a vCPU has no more pages
 * @foreign: the descriptor of the foreign mapping, or -1
 * @stop: tells the threads of the load to end
 * @out: pages that page-out has moved
 * @rounds: of log-dirty
 * @mapped_calls: page-outs of the mapped frames that returned
 * @mapped_refused: pages that the last of these left where they were
 */
struct machine {
	struct p2m_mem mem;
	struct p2m_vm vm;
	struct shared *shared;
	struct point point;
	pthread_t vcpus[P2M_MAX_VCPUS];
	pthread_barrier_t ready;
	sem_t done;
	int foreign;
	bool stop;
	u64 out;
	u64 rounds;
	u64 mapped_calls;
	u64 mapped_refused;
};

/* A vCPU's thread.  The probe knows it by its name. */
static void *vcpu_thread(void *arg)
{
	struct p2m_vcpu *vcpu = arg;
	struct machine *machine = container_of(vcpu->vm, struct machine, vm);
	struct ucall uc;

	prctl(PR_SET_NAME, "vcpu");
	pthread_barrier_wait(&machine->ready);
	vcpu_run(vcpu->vcpu);
	TEST_ASSERT(get_ucall(vcpu->vcpu, &uc) == UCALL_SYNC,
		    "a vCPU ended by %s",
		    exit_reason_str(vcpu->vcpu->run->exit_reason));
	sem_post(&machine->done);
	return NULL;
}

/* No two pages are equal, and none is zero. */
static void machine_fill(struct machine *machine)
{
	u64 gfn;

	for (gfn = 0; gfn < NR_FRAMES; gfn++)
		*p2m_page(&machine->mem, gfn) = gfn + 1;
}

static void machine_open(struct machine *machine)
{
	if (machine->point.uffd) {
		pager_open(&machine->mem, machine->point.rt);
	} else {
		p2m_mem_open(&machine->mem, NR_FRAMES);
		machine_fill(machine);
	}
	p2m_vm_create(&machine->vm, &machine->mem, P2M_MAX_VCPUS, guest_touch);
	machine->shared = addr_gva2hva(machine->vm.kvm, (vm_vaddr_t)&shared);
	machine->foreign = -1;
}

static void machine_close(struct machine *machine)
{
	if (!machine->vm.kvm)
		return;
	p2m_vm_destroy(&machine->vm);
	p2m_mem_close(&machine->mem);
}

/* Page out all; and page in again what is to stay. */
static void machine_page_out(struct machine *machine)
{
	u64 stay = NR_FRAMES - NR_STAY * P2M_CHUNK;

	if (machine->point.uffd) {
		/* What the guest wrote is lost.  Nobody looks. */
		TEST_ASSERT(!madvise(machine->mem.hva,
				     NR_FRAMES * P2M_PAGE_SIZE, MADV_DONTNEED),
			    "MADV_DONTNEED");
		return;
	}
	p2m_move_all(machine->mem.fd, P2M_PAGE_OUT);
	TEST_ASSERT(p2m_stats(machine->mem.fd).paged == NR_FRAMES,
		    "%llu pages are out", p2m_stats(machine->mem.fd).paged);
	if (machine->point.load == LOAD_ALL)
		p2m_move(machine->mem.fd, P2M_PAGE_IN, stay,
			 NR_STAY * P2M_CHUNK);
}

static void machine_set_lanes(struct machine *machine)
{
	struct point *point = &machine->point;
	bool loop = point->load || point->holder || point->dirty;
	u64 i, nr = loop ? RING * P2M_CHUNK :
			   NR_CHUNKS / point->vcpus * P2M_CHUNK;

	memset(machine->shared, 0, sizeof(shared));
	for (i = 0; i < point->vcpus; i++) {
		machine->shared->lane[i].first = i * nr;
		machine->shared->lane[i].nr = nr;
		machine->shared->lane[i].loop = loop;
	}
}

static u64 lane_touched(struct machine *machine, u64 vcpu)
{
	return READ_ONCE(machine->shared->lane[vcpu].touched);
}

/* ------------------------------------------------------------------ */
/* Load                                                                */
/* ------------------------------------------------------------------ */

static bool load_goes_on(struct machine *machine)
{
	return !__atomic_load_n(&machine->stop, __ATOMIC_ACQUIRE);
}

/* Call for a range, and return what was done; no matter what became of it. */
static struct p2m_range load_call(struct machine *machine, unsigned long cmd,
				  u64 gfn, u64 nr)
{
	struct p2m_range range = {
		.size = sizeof(range), .gfn = gfn, .nr = nr };

	if (p2m_call(machine->mem.fd, cmd, &range))
		return (struct p2m_range){};
	return range;
}

/* Page out the batches that a vCPU has left, in the order in which it did. */
static void load_out_lane(struct machine *machine, u64 vcpu, u64 *batch)
{
	u64 gfn, done;

	for (; *batch < lane_touched(machine, vcpu) / BATCH; ++*batch) {
		gfn = machine->shared->lane[vcpu].first +
		      lane_page(true, *batch * BATCH);
		/*
		 * Another thread does these: who asks for a held range waits as
		 * long.
		 */
		if (machine->point.load == LOAD_OUT && gfn >= HELD_GFN &&
		    gfn < HELD_GFN + P2M_CHUNK)
			continue;
		done = load_call(machine, P2M_PAGE_OUT, gfn, BATCH).done;
		__atomic_add_fetch(&machine->out, done, __ATOMIC_RELAXED);
	}
}

static void *load_out(void *arg)
{
	struct machine *machine = arg;
	u64 batch[P2M_MAX_VCPUS] = {};
	u64 i;

	while (load_goes_on(machine)) {
		for (i = 0; i < machine->point.vcpus; i++)
			load_out_lane(machine, i, &batch[i]);
		usleep(5 * MS);
	}
	return NULL;
}

/* A scan as slow as KSM's: a chunk every 20 ms, of which a third has pages */
static void *load_scan(void *arg)
{
	struct machine *machine = arg;
	u64 gfn;

	for (gfn = 0; load_goes_on(machine);
	     gfn = (gfn + P2M_CHUNK) % NR_FRAMES) {
		struct p2m_scan scan = {
			.size = sizeof(scan), .gfn = gfn, .nr = P2M_CHUNK };

		p2m_call(machine->mem.fd, P2M_SHARE_SCAN, &scan);
		usleep(20 * MS);
	}
	return NULL;
}

/* A second of log-dirty: a round every 100 ms */
static void load_dirty_second(struct machine *machine, void *bitmap)
{
	int i;

	p2m_log_dirty(machine->mem.fd, P2M_DIRTY_START);
	for (i = 0; i < 10 && load_goes_on(machine); i++) {
		struct p2m_dirty dirty = p2m_dirty_arg(0, NR_FRAMES, bitmap,
						       P2M_DIRTY_CLEAN);

		usleep(100 * MS);
		if (!p2m_call(machine->mem.fd, P2M_DIRTY_GET, &dirty))
			__atomic_add_fetch(&machine->rounds, 1,
					   __ATOMIC_RELAXED);
	}
	p2m_log_dirty(machine->mem.fd, P2M_DIRTY_STOP);
}

static void *load_dirty(void *arg)
{
	static char bitmap[NR_FRAMES / 8];
	struct machine *machine = arg;

	while (load_goes_on(machine))
		load_dirty_second(machine, bitmap);
	return NULL;
}

/* Page out the frames that are mapped or held, or try to. */
static void *load_out_mapped(void *arg)
{
	struct machine *machine = arg;
	struct p2m_range range;

	while (load_goes_on(machine)) {
		range = load_call(machine, P2M_PAGE_OUT, HELD_GFN, HELD_NR);
		__atomic_store_n(&machine->mapped_refused, range.busy,
				 __ATOMIC_RELAXED);
		__atomic_add_fetch(&machine->mapped_calls, 1, __ATOMIC_RELAXED);
		usleep(10 * MS);
	}
	return NULL;
}

/**
 * struct loader - a thread of the load
 * @on: whether it belongs to this point
 * @run: what it does
 * @thread: the thread
 */
struct loader {
	bool on;
	void *(*run)(void *machine);
	pthread_t thread;
};

static void load_start(struct machine *machine, struct loader *load, int nr)
{
	machine->stop = false;
	machine->out = 0;
	machine->rounds = 0;
	machine->mapped_calls = 0;
	machine->mapped_refused = 0;
	for (; nr--; load++)
		if (load->on)
			create_thread(&load->thread, load->run, machine,
				      machine->point.rt);
}

static void load_stop(struct machine *machine, struct loader *load, int nr)
{
	__atomic_store_n(&machine->stop, true, __ATOMIC_RELEASE);
	for (; nr--; load++)
		if (load->on)
			pthread_join(load->thread, NULL);
}

/* ------------------------------------------------------------------ */
/* What holds frames for all of the time                               */
/* ------------------------------------------------------------------ */

static void holder_start(struct machine *machine)
{
	struct p2m_foreign foreign = {
		.size = sizeof(foreign), .gfn = HELD_GFN, .nr = HELD_NR };
	void *hva;

	if (machine->point.holder == HOLDER_HELD)
		p2m_put(PROBE "hold", "%d %lu %lu", machine->mem.fd, HELD_GFN,
			HELD_NR);
	if (machine->point.holder != HOLDER_FOREIGN)
		return;
	TEST_ASSERT(!p2m_call(machine->mem.fd, P2M_FOREIGN_MAP, &foreign),
		    "P2M_FOREIGN_MAP");
	machine->foreign = foreign.fd;
	hva = p2m_map(foreign.fd, 0, HELD_NR);
	READ_ONCE(*(char *)hva);
	/* The descriptor is enough to keep the pages. */
	munmap(hva, HELD_NR * P2M_PAGE_SIZE);
}

static void holder_stop(struct machine *machine)
{
	if (machine->point.holder == HOLDER_HELD)
		p2m_put(PROBE "hold", "-1 0 0");
	if (machine->foreign >= 0)
		close(machine->foreign);
	machine->foreign = -1;
}

/* ------------------------------------------------------------------ */
/* Measuring                                                           */
/* ------------------------------------------------------------------ */

/* What is read at the begin and at the end of the time that is measured */
struct reading {
	u64 time;
	u64 ticks;
	u64 touched;
	u64 paged_in;
	u64 retries;
	u64 out;
	u64 rounds;
	u64 mapped_calls;
	u64 idle;
};

/* How long all CPUs together were idle so far, in units of 10 ms */
static u64 cpu_idle(void)
{
	FILE *file = fopen("/proc/stat", "r");
	u64 idle, waits;

	TEST_ASSERT(file && fscanf(file, "cpu %*u %*u %*u %lu %lu", &idle,
				   &waits) == 2, "/proc/stat");
	fclose(file);
	return idle + waits;
}

static void read_all(struct machine *machine, struct reading *reading)
{
	struct p2m_stats stats = {};
	u64 i;

	*reading = (struct reading){ .time = now(), .ticks = ticks() };
	for (i = 0; i < machine->point.vcpus; i++)
		reading->touched += lane_touched(machine, i);
	if (machine->mem.fd >= 0)
		stats = p2m_stats(machine->mem.fd);
	reading->paged_in = stats.paged_in;
	reading->retries = stats.retries;
	reading->out = READ_ONCE(machine->out);
	reading->rounds = READ_ONCE(machine->rounds);
	reading->mapped_calls = READ_ONCE(machine->mapped_calls);
	reading->idle = cpu_idle();
}

static void reset_times(struct machine *machine)
{
	u64 i;

	p2m_put(PROBE "reset", "1");
	for (i = 0; i < machine->point.vcpus; i++) {
		memset(machine->shared->lane[i].count, 0,
		       sizeof(machine->shared->lane[i].count));
		machine->shared->lane[i].max = 0;
	}
}

/* The probe's times, as "study: times" lines */
static void print_probe_times(void)
{
	FILE *file = fopen(PROBE "histograms", "r");
	char name[32], last[32] = "", edge[32];
	u64 count;

	TEST_ASSERT(file, "open " PROBE "histograms");
	while (fscanf(file, "%31s %31s %lu", name, edge, &count) == 3) {
		if (strcmp(name, last))
			printf("%sstudy: times %s", *last ? "\n" : "", name);
		printf(" %s:%lu", edge, count);
		strcpy(last, name);
	}
	printf("\n");
	fclose(file);
}

/* The guest's times, in ns */
static void print_touch_times(struct machine *machine, double tick_ns)
{
	u64 bucket, count, i, max = 0;

	printf("study: times touch");
	for (bucket = 0; bucket < BUCKETS; bucket++) {
		count = 0;
		for (i = 0; i < machine->point.vcpus; i++)
			count += machine->shared->lane[i].count[bucket];
		if (count)
			printf(" %.0f:%lu", bucket_edge(bucket) * tick_ns,
			       count);
	}
	for (i = 0; i < machine->point.vcpus; i++)
		if (machine->shared->lane[i].max > max)
			max = machine->shared->lane[i].max;
	printf(" max:%.0f\n", max * tick_ns);
}

static void print_values(struct machine *machine, struct reading *from,
			 struct reading *to)
{
	double seconds = (double)(to->time - from->time) / SECOND;

	printf("study: value seconds %.4f\n", seconds);
	printf("study: value touched %lu\n", to->touched - from->touched);
	printf("study: value paged_in %lu\n", to->paged_in - from->paged_in);
	printf("study: value retries %lu\n", to->retries - from->retries);
	printf("study: value out %lu\n", to->out - from->out);
	printf("study: value rounds %lu\n", to->rounds - from->rounds);
	printf("study: value mapped_calls %lu\n",
	       to->mapped_calls - from->mapped_calls);
	printf("study: value mapped_refused %lu\n",
	       READ_ONCE(machine->mapped_refused));
	printf("study: value cpus_busy %.3f\n",
	       sysconf(_SC_NPROCESSORS_ONLN) -
	       (to->idle - from->idle) / 100. / seconds);
}

static void wait_until_done(struct machine *machine)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += machine->point.ms % 1000 * 1000000;
	end.tv_sec += machine->point.ms / 1000 + end.tv_nsec / SECOND;
	end.tv_nsec %= SECOND;
	sem_timedwait(&machine->done, &end);
}

/* The vCPUs run, and so does the load.  Measure and print. */
static void measure(struct machine *machine)
{
	struct reading from, to;

	/* Without load, nothing has to get going. */
	if (machine->shared->lane[0].loop)
		usleep(1000 * MS);
	reset_times(machine);
	read_all(machine, &from);
	wait_until_done(machine);
	read_all(machine, &to);
	print_probe_times();
	print_touch_times(machine, (double)(to.time - from.time) /
				   (to.ticks - from.ticks));
	print_values(machine, &from, &to);
}

static void vcpus_start(struct machine *machine)
{
	u64 i, nr = machine->point.vcpus;

	TEST_ASSERT(!pthread_barrier_init(&machine->ready, NULL, nr + 1) &&
		    !sem_init(&machine->done, 0, 0), "init");
	for (i = 0; i < nr; i++)
		create_thread(&machine->vcpus[i], vcpu_thread,
			      &machine->vm.vcpu[i], machine->point.rt);
	/* Let them all get there. */
	usleep(50 * MS);
	pthread_barrier_wait(&machine->ready);
}

static void vcpus_stop(struct machine *machine)
{
	u64 i;

	WRITE_ONCE(machine->shared->stop, 1);
	for (i = 0; i < machine->point.vcpus; i++)
		pthread_join(machine->vcpus[i], NULL);
	pthread_barrier_destroy(&machine->ready);
	sem_destroy(&machine->done);
}

static void set_latency(struct point *point, u64 us)
{
	if (point->uffd)
		WRITE_ONCE(pager.latency_us, us);
	else
		p2m_put(LATENCY, "%lu", us);
}

static void run_point(struct machine *machine)
{
	struct point *point = &machine->point;
	struct loader load[] = {
		{ point->load, load_out },
		{ point->load == LOAD_ALL, load_scan },
		{ point->load == LOAD_ALL || point->dirty, load_dirty },
		/* Also without a holder, to compare */
		{ point->load == LOAD_OUT, load_out_mapped },
	};

	machine_page_out(machine);
	machine_set_lanes(machine);
	holder_start(machine);
	set_latency(point, point->latency_us);

	vcpus_start(machine);
	load_start(machine, load, ARRAY_SIZE(load));
	measure(machine);
	holder_stop(machine);
	load_stop(machine, load, ARRAY_SIZE(load));
	vcpus_stop(machine);
	set_latency(point, 0);
}

int main(int argc, char **argv)
{
	static struct machine machines[2];
	struct machine *machine;
	struct point point;
	int i;

	for (i = 1; i < argc; i++) {
		printf("study: point %s\n", argv[i]);
		point = point_of(argv[i]);
		machine = &machines[point.uffd];
		machine->point = point;
		set_main_priority(point.rt);
		if (!machine->vm.kvm)
			machine_open(machine);
		run_point(machine);
		printf("study: end\n");
		fflush(stdout);
	}
	machine_close(&machines[0]);
	return 0;
}
