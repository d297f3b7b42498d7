// SPDX-License-Identifier: GPL-2.0
/*
 * dom0: measure Xen's memory services, from the control domain
 *
 *   dom0 CPUS VCPUS,... EVICTED
 *
 * Guests run on the physical CPUs that CPUS names ("1-2").  One guest after the
 * other has so many VCPUS, which touch memory all at once.  guest.c runs in it.  So many pages are
 * EVICTED, and come back when they are touched.
 *
 * The results are lines on standard output:
 *
 *   point KEY=VALUE,...		what is measured
 *   value NAME UNIT VALUE
 *   bucket NAME UNIT EDGE COUNT	of a histogram, the edge is the upper one
 *   end				all of the point is there
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/types.h>
#include <xenctrl.h>
#include <xenstore.h>

#define GUEST_MIB	384	/* of a guest */
#define TOUCHED_MIB	256	/* of that, what the guest fills and touches */
#define POD_MIB		192	/* a guest that populates on demand has this */
#define POD_TOUCHED_MIB	96
#define PAGES(mib)	((mib) << 8)
#define MAX_BUCKETS	512
#define PATIENCE	240	/* seconds */
#define CONFIG		"/tmp/guest.cfg"

#define die(...) do {							\
	fprintf(stderr, __VA_ARGS__);					\
	fprintf(stderr, " (%s)\n", strerror(errno));			\
	exit(1);							\
} while (0)

static struct xc_interface_core *xch;
static struct xs_handle *xs;
static const char *cpus;
static int vcpus;
static unsigned long evicted;

/* The guest */
static __u32 domid;
static int console;
static char heard[4096];
static size_t heard_len;

struct bucket {
	unsigned long edge;		/* ns */
	unsigned long count;
};

/* What the guest says of a touch of its memory */
struct touched {
	struct bucket buckets[MAX_BUCKETS];
	size_t nr_buckets;
	unsigned long pages, wrong, ns;
};

static unsigned long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static void print_value(const char *name, const char *unit, double number)
{
	printf("value %s %s %.6g\n", name, unit, number);
}

static double each(double total, double nr)
{
	return nr > 0 ? total / nr : 0;
}

/* Run a program; its exit code */
static int run_program(const char *program, ...)
{
	char *argv[16] = { (char *)program };
	va_list args;
	int status;
	pid_t pid;

	va_start(args, program);
	for (int i = 1; i < 15; i++) {
		argv[i] = va_arg(args, char *);
		if (!argv[i])
			break;
	}
	va_end(args);
	pid = fork();
	if (!pid) {
		dup2(2, 1);
		execvp(program, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("cannot run %s", program);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static xc_domaininfo_t info(__u32 id)
{
	xc_domaininfo_t info;

	if (xc_domain_getinfolist(xch, id, 1, &info) != 1 || info.domain != id)
		die("domain %u is gone", id);
	return info;
}

/* A node of the guest in xenstore */
static const char *node(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, name);
	return path;
}

/*
 * What a job costs: the time, the processor time of the control domain (with
 * that of the hypervisor for it) and of the guest, and the locks.
 */
struct cost {
	unsigned long ns;
	unsigned long dom0_ns, guest_ns;
};

static struct cost cost_so_far(void)
{
	struct cost cost = {
		.ns = now_ns(),
		.dom0_ns = info(0).cpu_time,
		.guest_ns = info(domid).cpu_time,
	};

	return cost;
}

static struct cost job_start(void)
{
	if (xc_lockprof_reset(xch))
		die("this hypervisor has no lock profile");
	return cost_so_far();
}

static struct cost job_end(struct cost start)
{
	struct cost cost = cost_so_far();

	cost.ns -= start.ns;
	cost.dom0_ns -= start.dom0_ns;
	cost.guest_ns -= start.guest_ns;
	return cost;
}

static void print_cost(struct cost cost, double pages)
{
	print_value("seconds", "s", cost.ns / 1e9);
	print_value("pages", "pages", pages);
	print_value("rate", "pages/s", each(pages, cost.ns / 1e9));
	print_value("dom0_page", "us/page", each(cost.dom0_ns / 1e3, pages));
	print_value("guest_page", "us/page", each(cost.guest_ns / 1e3, pages));
}

static void print_lock(const char *name, const xc_lockprof_data_t *lock,
		       struct cost cost)
{
	char key[64];

#define VALUE(what, unit, number) do {					\
	snprintf(key, sizeof(key), "%s_%s", name, what);		\
	print_value(key, unit, number);					\
} while (0)
	VALUE("acquisitions", "gets", lock->lock_cnt);
	VALUE("hold", "ns/get", each(lock->lock_time, lock->lock_cnt));
	VALUE("held", "%", 100 * each(lock->lock_time, cost.ns));
	VALUE("blocked", "%", 100 * each(lock->block_cnt, lock->lock_cnt));
	VALUE("block", "ns/get", each(lock->block_time, lock->lock_cnt));
#undef VALUE
}

/* The locks as they were when the job ended: those that matter here */
static void print_locks(struct cost cost)
{
	static const struct {
		const char *name, *key;
		bool global;
	} wanted[] = {
		{ "p2m_lock", "p2m", false },
		{ "p2m_read", "p2m_read", false },
		{ "page_alloc_lock", "page_alloc", false },
		{ "heap_lock", "heap", true },
	};
	DECLARE_HYPERCALL_BUFFER(xc_lockprof_data_t, locks);
	__u32 nr = 0;
	unsigned long time;

	if (xc_lockprof_query_number(xch, &nr))
		die("cannot count locks");
	nr += 32;
	locks = xc_hypercall_buffer_alloc(xch, locks, nr * sizeof(*locks));
	if (!locks || xc_lockprof_query(xch, &nr, &time,
					HYPERCALL_BUFFER(locks)))
		die("cannot read the locks");
	for (__u32 i = 0; i < nr; i++)
		for (size_t j = 0; j < sizeof(wanted) / sizeof(*wanted); j++)
			if (!strcmp(locks[i].name, wanted[j].name) &&
			    (wanted[j].global ||
			     (locks[i].type == LOCKPROF_TYPE_PERDOM &&
			      locks[i].idx == (int)domid)))
				print_lock(wanted[j].key, &locks[i], cost);
	xc_hypercall_buffer_free(xch, locks);
}

/*
 * Open the guest's console, a terminal that xenconsoled has made, or makes soon.
 * While the guest starts, xenconsoled may close it and make another one.
 */
static void open_console(void)
{
	unsigned int len;
	char *path;

	if (console >= 0)
		close(console);
	usleep(100000);
	path = xs_read(xs, XBT_NULL, node("console/tty"), &len);
	console = path ? open(path, O_RDWR | O_NOCTTY) : -1;
	free(path);
}

/* The guest's next line that is for us, without its "@" */
static bool guest_line(char *line, size_t size)
{
	struct pollfd fd = { .events = POLLIN };
	unsigned long end = now_ns() + PATIENCE * 1000000000UL;
	ssize_t len;
	char *eol;

	while (now_ns() < end) {
		eol = memchr(heard, '\n', heard_len);
		if (eol) {
			size_t used = eol + 1 - heard;
			bool ours = heard[0] == '@';

			*eol = 0;
			if (ours)
				snprintf(line, size, "%.*s", (int)size - 1,
					 heard + 1);
			else
				fprintf(stderr, "guest: %s\n", heard);
			heard_len -= used;
			memmove(heard, heard + used, heard_len);
			if (ours)
				return true;
			continue;
		}
		if (heard_len == sizeof(heard))
			heard_len = 0;
		fd.fd = console;
		if (console >= 0 && poll(&fd, 1, 1000) <= 0)
			continue;
		len = read(console, heard + heard_len,
			   sizeof(heard) - heard_len);
		if (len > 0)
			heard_len += len;
		else
			open_console();
	}
	return false;
}

static void guest_ready(void)
{
	char line[200];

	if (!guest_line(line, sizeof(line)) || strncmp(line, "ready ", 6))
		die("the guest does not boot");
}

/* Let the guest's vCPUs touch all of its memory */
static struct touched *touch_all(void)
{
	static struct touched touched;
	unsigned long edge, count;
	char line[200];

	memset(&touched, 0, sizeof(touched));
	if (dprintf(console, "touch %d\n", vcpus) < 0)
		die("the guest's console is gone");
	while (guest_line(line, sizeof(line))) {
		if (sscanf(line, "bucket %lu %lu", &edge, &count) == 2) {
			if (touched.nr_buckets == MAX_BUCKETS)
				die("too many buckets");
			touched.buckets[touched.nr_buckets++] =
				(struct bucket){ edge, count };
		} else if (sscanf(line, "touched %lu %lu %lu", &touched.pages,
				  &touched.wrong, &touched.ns) == 3) {
			if (touched.wrong)
				die("%lu pages are wrong", touched.wrong);
			return &touched;
		}
	}
	die("the guest does not answer");
}

/* Of all touches, keep the @nr that took the longest: the others are hits. */
static void keep_slowest(struct touched *touched, unsigned long nr)
{
	for (size_t i = touched->nr_buckets; i--; ) {
		struct bucket *bucket = &touched->buckets[i];

		if (bucket->count > nr)
			bucket->count = nr;
		nr -= bucket->count;
	}
}

static double percentile(const struct touched *touched, double share)
{
	unsigned long all = 0, below = 0;

	for (size_t i = 0; i < touched->nr_buckets; i++)
		all += touched->buckets[i].count;
	for (size_t i = 0; i < touched->nr_buckets; i++) {
		below += touched->buckets[i].count;
		if (below && below >= share * all)
			return touched->buckets[i].edge / 1e3;
	}
	return 0;
}

static void print_touches(const struct touched *touched)
{
	print_value("touch_p50", "us", percentile(touched, 0.5));
	print_value("touch_p99", "us", percentile(touched, 0.99));
	print_value("touch_max", "us", percentile(touched, 1));
	for (size_t i = 0; i < touched->nr_buckets; i++)
		if (touched->buckets[i].count)
			printf("bucket touch us %.3f %lu\n",
			       touched->buckets[i].edge / 1e3,
			       touched->buckets[i].count);
}

static void begin_point(const char *job, const char *more)
{
	printf("point job=%s,vcpus=%d%s\n", job, vcpus, more);
}

static void end_point(void)
{
	printf("end\n");
	fflush(stdout);
}

static void write_config(int mib, int max_mib, int touched_mib)
{
	FILE *file = fopen(CONFIG, "w");

	if (!file)
		die("cannot write " CONFIG);
	fprintf(file, "name = 'guest'\ntype = 'pvh'\n"
		"kernel = '/guest/vmlinux'\nramdisk = '/guest/initrd'\n"
		"cmdline = 'console=hvc0 quiet mitigations=off mib=%d'\n"
		"memory = %d\nmaxmem = %d\nvcpus = %d\ncpus = '%s'\n"
		"tsc_mode = 'native'\n", touched_mib, mib, max_mib, vcpus,
		cpus);
	fclose(file);
}

/* The newest domain */
static __u32 new_domid(void)
{
	xc_domaininfo_t list[16];
	int nr = xc_domain_getinfolist(xch, 1, 16, list);

	if (nr < 1)
		die("there is no guest");
	return list[nr - 1].domain;
}

/* Make a guest that does not run yet. */
static void make_guest(int mib, int max_mib, int touched_mib)
{
	write_config(mib, max_mib, touched_mib);
	if (run_program("xl", "create", "-q", "-p", CONFIG, NULL))
		die("xl cannot make the guest");
	domid = new_domid();
	console = -1;
	heard_len = 0;
}

static void destroy_guest(void)
{
	close(console);
	run_program("xl", "destroy", "guest", NULL);
}

/* Start xenpaging, which does not page out again what comes in. */
static pid_t start_pager(void)
{
	char id[20], kib[20];
	pid_t pid;

	snprintf(id, sizeof(id), "%u", domid);
	snprintf(kib, sizeof(kib), "%d", (GUEST_MIB + 8) << 10);
	/* The ring's page is one of the guest's. */
	if (xc_domain_setmaxmem(xch, domid, (GUEST_MIB + 8) << 10))
		die("cannot raise the guest's limit");
	xs_rm(xs, XBT_NULL, node("memory/target-tot_pages"));
	pid = fork();
	if (!pid) {
		dup2(2, 1);
		setenv("P2M_ONCE", "1", 1);
		execlp("xenpaging", "xenpaging", "-d", id, "-m", kib,
		       "-f", "/tmp/pagefile", NULL);
		_exit(127);
	}
	sleep(2);
	return pid;
}

/* Let it page all in, and end. */
static void stop_pager(pid_t pid)
{
	kill(pid, SIGINT);
	for (int i = 0; i < PATIENCE * 10; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		usleep(100000);
	}
	die("xenpaging does not end");
}

/* Let xenpaging page out. */
static struct cost evict(void)
{
	xc_domaininfo_t before = info(domid);
	unsigned long target = before.tot_pages - evicted;
	struct cost cost;
	char kib[20];

	snprintf(kib, sizeof(kib), "%lu", target * 4);
	cost = job_start();
	xs_write(xs, XBT_NULL, node("memory/target-tot_pages"), kib,
		 strlen(kib));
	while (info(domid).tot_pages > target) {
		if (now_ns() - cost.ns > PATIENCE * 1000000000UL)
			die("xenpaging evicted only %lu pages",
			    (long)before.tot_pages -
			    (long)info(domid).tot_pages);
		usleep(100000);
	}
	return job_end(cost);
}

static void job_evict(void)
{
	struct cost cost = evict();

	begin_point("evict", "");
	print_cost(cost, evicted);
	print_locks(cost);
	end_point();
}

/* The guest touches everything, some of which is paged out. */
static void job_populate(void)
{
	xc_domaininfo_t before = info(domid);
	struct touched *touched;
	unsigned long pages;
	struct cost cost;

	cost = job_start();
	touched = touch_all();
	cost = job_end(cost);
	cost.ns = touched->ns;
	pages = before.paged_pages - info(domid).paged_pages;
	begin_point("populate", "");
	print_cost(cost, pages);
	keep_slowest(touched, pages);
	print_touches(touched);
	print_locks(cost);
	end_point();
}

/*
 * Read the log of dirty pages, and clear it; the number of dirty pages.  The
 * guest is paused, since it may have the only CPU.
 */
static unsigned long clean(unsigned long *ns)
{
	DECLARE_HYPERCALL_BUFFER(unsigned long, bitmap);
	xc_shadow_op_stats_t stats;
	unsigned long dirty = 0;
	size_t words, size;
	xen_pfn_t last;

	if (xc_domain_maximum_gpfn(xch, domid, &last) < 0)
		die("cannot tell the guest's size");
	words = last / 64 + 1;
	size = words * sizeof(*bitmap);
	bitmap = xc_hypercall_buffer_alloc_pages(xch, bitmap, size / 4096 + 1);
	if (!bitmap)
		die("no memory for a bitmap");
	memset(bitmap, 0, size);
	xc_domain_pause(xch, domid);
	*ns = now_ns();
	if (xc_logdirty_control(xch, domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
				HYPERCALL_BUFFER(bitmap), last + 1, 0,
				&stats) < 0)
		die("cannot read the log of dirty pages");
	*ns = now_ns() - *ns;
	xc_domain_unpause(xch, domid);
	for (size_t i = 0; i < words; i++)
		dirty += __builtin_popcountl(bitmap[i]);
	xc_hypercall_buffer_free_pages(xch, bitmap, size / 4096 + 1);
	return dirty;
}

static void job_logdirty(void)
{
	unsigned long dirty, ns, enable_ns, idle_ns;
	struct touched *touched;
	struct cost cost;

	cost = job_start();
	enable_ns = now_ns();
	if (xc_shadow_control(xch, domid,
			      XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0))
		die("cannot log dirty pages");
	enable_ns = now_ns() - enable_ns;
	clean(&ns);
	cost = job_start();
	touched = touch_all();
	dirty = clean(&ns);
	cost = job_end(cost);
	begin_point("logdirty", "");
	print_cost(cost, dirty);
	print_value("enable", "ms", enable_ns / 1e6);
	print_value("round", "ms", ns / 1e6);
	print_value("write_rate", "pages/s", each(dirty, touched->ns / 1e9));
	print_touches(touched);
	print_locks(cost);
	clean(&idle_ns);
	print_value("idle_round", "ms", idle_ns / 1e6);
	end_point();
	xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
}

/* A boot, with memory on demand or without */
static void job_boot(bool pod)
{
	unsigned long total, entries, cached = 0, cached_after = 0;
	unsigned long make_ns = now_ns();
	struct cost cost;

	make_guest(POD_MIB, pod ? GUEST_MIB : POD_MIB, POD_TOUCHED_MIB);
	make_ns = now_ns() - make_ns;
	xc_domain_get_pod_target(xch, domid, &total, &cached, &entries);
	cost = job_start();
	if (xc_domain_unpause(xch, domid))
		die("the guest does not start");
	guest_ready();
	cost = job_end(cost);
	xc_domain_get_pod_target(xch, domid, &total, &cached_after, &entries);
	begin_point("pod_boot", pod ? ",pod=yes" : ",pod=no");
	print_value("make", "ms", make_ns / 1e6);
	print_value("boot", "ms", cost.ns / 1e6);
	print_value("guest", "ms", cost.guest_ns / 1e6);
	print_value("populated", "pages", (double)cached - (double)cached_after);
	print_value("entries", "pages", entries);
	print_locks(cost);
	end_point();
	destroy_guest();
}

/* All jobs, with one guest */
static void measure(void)
{
	pid_t pager;

	make_guest(GUEST_MIB, GUEST_MIB, TOUCHED_MIB);
	if (xc_domain_unpause(xch, domid))
		die("the guest does not start");
	guest_ready();
	touch_all();
	job_logdirty();

	pager = start_pager();
	job_evict();
	job_populate();
	stop_pager(pager);
	destroy_guest();
}

int main(int argc, char **argv)
{
	char *list;

	if (argc != 4)
		die("usage: dom0 CPUS VCPUS,... EVICTED");
	cpus = argv[1];
	evicted = atol(argv[3]);
	xch = xc_interface_open(NULL, NULL, 0);
	xs = xs_open(0);
	if (!xch || !xs)
		die("cannot talk to Xen");

	for (list = strtok(argv[2], ","); list; list = strtok(NULL, ",")) {
		vcpus = atoi(list);
		measure();
	}
	vcpus = 1;
	job_boot(false);
	job_boot(true);
	return 0;
}
