// SPDX-License-Identifier: GPL-2.0
/* Small KVM guests whose memory is /dev/p2m: see p2m_guest.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "p2m_guest.h"

#define P2M_DEVICE		"/dev/p2m"
#define P2M_TOTALS		"/sys/kernel/debug/p2m/totals"
#define P2M_REFCNT		"/sys/module/kvm_p2m/refcnt"
#define SETTLE_SECONDS		10

/* Before main(), because a test in the harness cannot skip the program. */
static void __attribute__((constructor)) need_devices(void)
{
	static const char * const need[] = {
		P2M_DEVICE, KVM_DEV_PATH, P2M_TOTALS,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(need); i++) {
		if (access(need[i], R_OK)) {
			ksft_print_header();
			ksft_exit_skip("no %s: load kvm_p2m.ko and KVM, and be root\n",
				       need[i]);
		}
	}
}

int p2m_open(void)
{
	int fd = open(P2M_DEVICE, O_RDWR | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "open %s", P2M_DEVICE);
	return fd;
}

/* The memory gets pages of 2 MB where it can. */
void *p2m_map_huge(int fd, u64 gfn, u64 nr)
{
	void *hva = mmap(NULL, nr * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, gfn * P2M_PAGE_SIZE);

	TEST_ASSERT(hva != MAP_FAILED, "mmap of %s, frame %#lx, %#lx frames",
		    P2M_DEVICE, gfn, nr);
	return hva;
}

/* Each frame that is touched gets a page of 4 KB, and no other frame does. */
void *p2m_map(int fd, u64 gfn, u64 nr)
{
	void *hva = p2m_map_huge(fd, gfn, nr);

	/* A kernel without larger pages does not know this advice. */
	TEST_ASSERT(!madvise(hva, nr * P2M_PAGE_SIZE, MADV_NOHUGEPAGE) ||
		    errno == EINVAL, "MADV_NOHUGEPAGE");
	return hva;
}

/* 0 or -errno */
int p2m_call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

struct p2m_info p2m_info(int fd)
{
	struct p2m_info info = { .size = sizeof(info) };
	int ret = p2m_call(fd, P2M_GET_INFO, &info);

	TEST_ASSERT(!ret, "P2M_GET_INFO: %s", strerror(-ret));
	return info;
}

struct p2m_stats p2m_stats(int fd)
{
	struct p2m_stats stats = { .size = sizeof(stats) };
	int ret = p2m_call(fd, P2M_GET_STATS, &stats);

	TEST_ASSERT(!ret, "P2M_GET_STATS: %s", strerror(-ret));
	return stats;
}

/* One call of P2M_PAGE_OUT or P2M_PAGE_IN, which must succeed */
struct p2m_range p2m_move(int fd, unsigned long cmd, u64 gfn, u64 nr)
{
	struct p2m_range range = {
		.size = sizeof(range),
		.gfn = gfn,
		.nr = nr,
	};
	int ret = p2m_call(fd, cmd, &range);

	TEST_ASSERT(!ret, "page %s [%#lx, +%#lx): %s",
		    cmd == P2M_PAGE_OUT ? "out" : "in", gfn, nr,
		    strerror(-ret));
	TEST_ASSERT(range.next > gfn && range.next <= gfn + nr,
		    "page %s [%#lx, +%#lx): next is %#llx",
		    cmd == P2M_PAGE_OUT ? "out" : "in", gfn, nr, range.next);
	TEST_ASSERT(range.done + range.busy <= range.next - gfn,
		    "%#llx done and %#llx busy of %#llx looked at",
		    range.done, range.busy, range.next - gfn);
	return range;
}

/* Move all of a guest, in as many calls as it takes.  Return: frames moved. */
u64 p2m_move_all(int fd, unsigned long cmd)
{
	u64 end = p2m_info(fd).gfns;
	u64 gfn, done = 0;

	for (gfn = 0; gfn < end; ) {
		struct p2m_range range = p2m_move(fd, cmd, gfn, end - gfn);

		done += range.done;
		gfn = range.next;
	}
	return done;
}

/* Bytes that are free on this machine, to see how much a call takes */
u64 p2m_mem_free(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	u64 kb = 0;

	TEST_ASSERT(file, "open meminfo");
	while (!kb && fgets(line, sizeof(line), file))
		sscanf(line, "MemFree: %lu kB", &kb);
	fclose(file);
	TEST_ASSERT(kb, "meminfo does not say what is free");
	return kb << 10;
}

/* P2M_DIRTY_START or P2M_DIRTY_STOP; 0 or -errno */
int p2m_log_dirty(int fd, unsigned long cmd)
{
	struct p2m_dirty_switch arg = { .size = sizeof(arg) };

	return p2m_call(fd, cmd, &arg);
}

/* The argument of P2M_DIRTY_GET */
struct p2m_dirty p2m_dirty_arg(u64 gfn, u64 nr, void *bitmap, u32 flags)
{
	return (struct p2m_dirty){
		.size = sizeof(struct p2m_dirty),
		.flags = flags,
		.gfn = gfn,
		.nr = nr,
		.bitmap = (u64)bitmap,
	};
}

void p2m_populate_on_demand(struct p2m_mem *mem, u64 target)
{
	struct p2m_pod arg = { .size = sizeof(arg), .target = target };
	int ret = p2m_call(mem->fd, P2M_POD_SET, &arg);

	TEST_ASSERT(!ret, "P2M_POD_SET: %s", strerror(-ret));
}

/* Return: frames that went back to the pool */
u64 p2m_sweep(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	struct p2m_range range = {
		.size = sizeof(range),
		.gfn = gfn,
		.nr = nr,
	};
	int ret = p2m_call(mem->fd, P2M_POD_SWEEP, &range);

	TEST_ASSERT(!ret, "P2M_POD_SWEEP: %s", strerror(-ret));
	return range.done;
}

/* 0 or -errno: see P2M_SHARE_DOMAIN */
int p2m_set_domain(int fd, u64 domain)
{
	struct p2m_share_domain arg = { .size = sizeof(arg), .domain = domain };

	return p2m_call(fd, P2M_SHARE_DOMAIN, &arg);
}

struct p2m_totals p2m_totals(void)
{
	FILE *file = fopen(P2M_TOTALS, "r");
	struct p2m_totals totals;
	int got;

	TEST_ASSERT(file, "open %s", P2M_TOTALS);
	got = fscanf(file, "guests %lu pages %lu store %lu", &totals.guests,
		     &totals.pages, &totals.store);
	fclose(file);
	TEST_ASSERT(got == 3, "%s is not what it was", P2M_TOTALS);
	return totals;
}

static bool totals_are_zero(bool say)
{
	struct p2m_totals left = p2m_totals();

	if (say)
		fprintf(stderr, "# left: %lu guests, %lu pages, %lu stored\n",
			left.guests, left.pages, left.store);
	return !left.guests && !left.pages && !left.store;
}

static bool refcnt_is_zero(bool say)
{
	FILE *file = fopen(P2M_REFCNT, "r");
	unsigned long refs;
	int got;

	TEST_ASSERT(file, "open %s", P2M_REFCNT);
	got = fscanf(file, "%lu", &refs);
	fclose(file);
	TEST_ASSERT(got == 1, "%s is not a number", P2M_REFCNT);
	if (say)
		fprintf(stderr, "# %lu users of the module left\n", refs);
	return !refs;
}

static bool settles(bool (*settled)(bool say))
{
	int i;

	/*
	 * A killed process may drop its last references only after its parent
	 * has waited for it.
	 */
	for (i = 0; i < SETTLE_SECONDS * 100; i++) {
		if (settled(false))
			return true;
		usleep(10000);
	}
	return settled(true);
}

bool p2m_all_freed(void)
{
	return settles(totals_are_zero);
}

bool p2m_module_unused(void)
{
	return settles(refcnt_is_zero);
}

static void mem_open(struct p2m_mem *mem, u64 nr,
		     void *(*map)(int fd, u64 gfn, u64 nr))
{
	mem->fd = p2m_open();
	mem->nr = nr;
	mem->hva = map(mem->fd, 0, nr);
	mem->tag = p2m_info(mem->fd).guest % 251 + 1;
}

void p2m_mem_open(struct p2m_mem *mem, u64 nr)
{
	mem_open(mem, nr, p2m_map);
}

void p2m_mem_open_huge(struct p2m_mem *mem, u64 nr)
{
	mem_open(mem, nr, p2m_map_huge);
}

/* The kernel's records of a guest must agree, or the test fails. */
struct p2m_audit p2m_audit(int fd)
{
	struct p2m_audit audit = { .size = sizeof(audit) };
	int ret = p2m_call(fd, P2M_AUDIT, &audit);

	TEST_ASSERT(!ret, "P2M_AUDIT: %s", strerror(-ret));
	TEST_ASSERT(!audit.errors,
		    "P2M_AUDIT: %llu errors; see the kernel's log",
		    audit.errors);
	return audit;
}

/* Close the rest: a test may have closed or unmapped a part. */
void p2m_mem_close(struct p2m_mem *mem)
{
	if (mem->fd > 0)
		p2m_audit(mem->fd);
	if (mem->hva)
		TEST_ASSERT(!munmap(mem->hva, mem->nr * P2M_PAGE_SIZE),
			    "munmap");
	if (mem->fd > 0)
		TEST_ASSERT(!close(mem->fd), "close");
	mem->hva = NULL;
	mem->fd = -1;
}

/* The value that p2m_mem_fill() writes: different for each word, never 0 */
static u64 fill_word(struct p2m_mem *mem, u64 gfn, u64 word)
{
	u64 x = mem->tag << 48 | gfn << 9 | word;

	return (x + 1) * 0x9e3779b97f4a7c15UL;
}

void p2m_mem_fill(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	u64 end = gfn + nr, word;

	for (; gfn < end; gfn++) {
		for (word = 0; word < P2M_WORDS; word++)
			p2m_page(mem, gfn)[word] = fill_word(mem, gfn, word);
	}
}

/* A write that changes nothing gives a frame a page.  A read does not. */
void p2m_mem_populate(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	u64 end = gfn + nr;

	for (; gfn < end; gfn++)
		__atomic_fetch_or(p2m_page(mem, gfn), 0, __ATOMIC_RELAXED);
}

static sigjmp_buf refused;

static void on_sigbus(int sig)
{
	siglongjmp(refused, 1);
}

bool p2m_write_refused(u64 *word, const u64 *value)
{
	struct sigaction action = { .sa_handler = on_sigbus }, old;
	bool raised;

	sigaction(SIGBUS, &action, &old);
	raised = sigsetjmp(refused, 1);
	if (raised)
		;
	else if (value)
		WRITE_ONCE(*word, *value);
	else
		__atomic_fetch_or(word, 0, __ATOMIC_RELAXED);
	sigaction(SIGBUS, &old, NULL);
	return raised;
}

/* Put a page into a pipe by reference.  The pipe then holds the page. */
void p2m_mem_hold(int pipe, struct p2m_mem *mem, u64 gfn)
{
	struct iovec iov = { p2m_page(mem, gfn), P2M_PAGE_SIZE };
	ssize_t n = vmsplice(pipe, &iov, 1, 0);

	TEST_ASSERT(n == P2M_PAGE_SIZE, "vmsplice: %zd", n);
}

u64 p2m_mem_wrong_pages(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	u64 end = gfn + nr, wrong = 0, word;

	for (; gfn < end; gfn++) {
		u64 *page = p2m_page(mem, gfn);

		for (word = 0; word < P2M_WORDS; word++) {
			u64 want = fill_word(mem, gfn, word);
			u64 is = READ_ONCE(page[word]);

			if (is == want)
				continue;
			if (!wrong++)
				fprintf(stderr, "# frame %#lx word %lu is %#lx, not %#lx\n",
					gfn, word, is, want);
			break;
		}
	}
	return wrong;
}

u64 p2m_mem_nonzero_pages(struct p2m_mem *mem, u64 gfn, u64 nr)
{
	u64 end = gfn + nr, nonzero = 0, word;

	for (; gfn < end; gfn++) {
		u64 *page = p2m_page(mem, gfn), bits = 0;

		for (word = 0; word < P2M_WORDS; word++)
			bits |= page[word];
		nonzero += !!bits;
	}
	return nonzero;
}

/*
 * Every vCPU writes its word in every page, again and again.  Before each
 * write it checks that the word still has the value of the pass before.  The
 * vCPUs start at different frames.
 */
void p2m_guest_worker(u64 tag, u64 writer, u64 nr)
{
	u64 first = writer * nr / P2M_MAX_VCPUS;
	u64 pass, i;

	for (pass = 1; ; pass++) {
		for (i = 0; i < nr; i++) {
			u64 gfn = (first + i) % nr;
			u64 *word = p2m_word((void *)P2M_GPA, gfn, writer);
			u64 want = p2m_value(tag, gfn, writer, pass - 1);
			u64 is = READ_ONCE(*word);

			GUEST_ASSERT_4(is == want, gfn, pass, is, want);
			WRITE_ONCE(*word, p2m_value(tag, gfn, writer, pass));
		}
		GUEST_SYNC(pass);
	}
}

void p2m_vm_create(struct p2m_vm *vm, struct p2m_mem *mem, int nr_vcpus,
		   void *code)
{
	struct kvm_vcpu *vcpus[P2M_MAX_VCPUS];
	int i;

	TEST_ASSERT(nr_vcpus <= P2M_MAX_VCPUS, "too many vCPUs");
	memset(vm, 0, sizeof(*vm));
	vm->mem = mem;
	vm->nr_vcpus = nr_vcpus;
	vm->kvm = __vm_create_with_vcpus(VM_MODE_DEFAULT, nr_vcpus, mem->nr,
					 code, vcpus);
	vm_set_user_memory_region(vm->kvm, P2M_SLOT, 0, P2M_GPA,
				  mem->nr * P2M_PAGE_SIZE, mem->hva);
	virt_map(vm->kvm, P2M_GPA, P2M_GPA, mem->nr);

	for (i = 0; i < nr_vcpus; i++) {
		struct kvm_regs regs;

		vm->vcpu[i].vm = vm;
		vm->vcpu[i].vcpu = vcpus[i];
		/*
		 * A function starts with its stack 8 bytes off alignment.
		 * The library of 6.1 does not do that.
		 */
		vcpu_regs_get(vcpus[i], &regs);
		if (!(regs.rsp % 16))
			regs.rsp -= 8;
		vcpu_regs_set(vcpus[i], &regs);
		vcpu_args_set(vcpus[i], 3, mem->tag, (u64)i, mem->nr);
	}
}

static void *run_vcpu(void *arg)
{
	struct p2m_vcpu *v = arg;
	struct ucall uc;

	while (!__atomic_load_n(&v->vm->stop, __ATOMIC_ACQUIRE)) {
		vcpu_run(v->vcpu);
		switch (get_ucall(v->vcpu, &uc)) {
		case UCALL_SYNC:
			__atomic_add_fetch(&v->passes, 1, __ATOMIC_RELEASE);
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT_4(uc, "frame %#lx, pass %lu: is %#lx, not %#lx");
		default:
			TEST_FAIL("vCPU %u ended by %s", v->vcpu->id,
				  exit_reason_str(v->vcpu->run->exit_reason));
		}
	}
	return NULL;
}

void p2m_vm_start(struct p2m_vm *vm)
{
	int i;

	TEST_ASSERT(!vm->stop, "to be stopped before it is started");
	for (i = 0; i < vm->nr_vcpus; i++)
		TEST_ASSERT(!pthread_create(&vm->vcpu[i].thread, NULL,
					    run_vcpu, &vm->vcpu[i]),
			    "pthread_create");
	vm->running = true;
}

/* Afterwards, every vCPU is at the end of a pass. */
void p2m_vm_stop(struct p2m_vm *vm)
{
	int i;

	if (!vm->running)
		return;
	__atomic_store_n(&vm->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < vm->nr_vcpus; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
	vm->running = false;
	vm->stop = false;
}

void p2m_vm_destroy(struct p2m_vm *vm)
{
	if (!vm->kvm)
		return;
	p2m_vm_stop(vm);
	kvm_vm_free(vm->kvm);
	vm->kvm = NULL;
}

/* Passes that every vCPU has done */
u64 p2m_vm_passes(struct p2m_vm *vm)
{
	u64 least = ~0UL;
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		u64 passes = __atomic_load_n(&vm->vcpu[i].passes,
						  __ATOMIC_ACQUIRE);

		if (passes < least)
			least = passes;
	}
	return least;
}

void p2m_vm_run_passes(struct p2m_vm *vm, u64 passes)
{
	u64 target = p2m_vm_passes(vm) + passes;

	p2m_vm_start(vm);
	while (p2m_vm_passes(vm) < target)
		usleep(1000);
	p2m_vm_stop(vm);
}

/* How many words of one writer differ from the values of that pass */
u64 p2m_wrong_words(struct p2m_mem *mem, u64 writer, u64 pass)
{
	u64 gfn, wrong = 0;

	for (gfn = 0; gfn < mem->nr; gfn++) {
		u64 is = READ_ONCE(*p2m_word(mem->hva, gfn, writer));
		u64 want = p2m_value(mem->tag, gfn, writer, pass);

		if (is != want && !wrong++)
			fprintf(stderr, "# frame %#lx writer %lu: %#lx, not %#lx\n",
				gfn, writer, is, want);
	}
	return wrong;
}

/* The same for all words of p2m_guest_worker(), with the guest stopped */
u64 p2m_vm_wrong_words(struct p2m_vm *vm)
{
	u64 wrong = 0;
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		wrong += p2m_wrong_words(vm->mem, i, vm->vcpu[i].passes);
	return wrong;
}

pid_t p2m_fork(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

bool p2m_is_alive(pid_t pid)
{
	return !waitpid(pid, NULL, WNOHANG);
}

/* Return: the exit code, or minus the signal that killed the process */
int p2m_wait(pid_t pid)
{
	int status;

	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Take a descriptor from another process, as p2mctl takes one from a VMM. */
int p2m_take_fd(pid_t pid, int fd)
{
	int pidfd, ret;

	pidfd = syscall(SYS_pidfd_open, pid, 0);
	TEST_ASSERT(pidfd >= 0, "pidfd_open of %d", pid);
	ret = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	TEST_ASSERT(ret >= 0, "pidfd_getfd of %d in %d", fd, pid);
	close(pidfd);
	return ret;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "open %s", path);
	return fd;
}

void p2m_put(const char *path, const char *format, ...)
{
	int fd = open_file(path, O_WRONLY), n;
	char text[64];
	va_list args;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	TEST_ASSERT(write(fd, text, n) == n, "write %s to %s", text, path);
	close(fd);
}

u64 p2m_get(const char *path, const char *key)
{
	int fd = open_file(path, O_RDONLY);
	char text[1 << 15], *at = text;
	size_t len = 0;
	ssize_t n;

	/* A file of /proc comes in parts. */
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	TEST_ASSERT(!n && len, "read %s", path);
	close(fd);
	text[len] = 0;
	if (key) {
		at = strstr(text, key);
		TEST_ASSERT(at, "no %s in %s", key, path);
		at += strlen(key);
	}
	return strtoul(at, NULL, 0);
}

bool p2m_cgroup_create(const char *path)
{
	const char *controllers = P2M_CGROUPS "cgroup.subtree_control";

	if (access(controllers, W_OK))
		return false;
	p2m_put(controllers, "+memory");
	TEST_ASSERT(!mkdir(path, 0755) || errno == EEXIST, "mkdir %s", path);
	return true;
}

#undef kill
int p2m_kill(pid_t pid, int sig)
{
	/* Only the harness ends a process group. */
	if (pid < 0 && sig == SIGKILL) {
		fflush(stdout);
		if (system(P2M_SCRIPTS "/vm-evidence 2>&1 | sed 's/^/# /'"))
			fprintf(stderr, "# no vm-evidence\n");
	}
	return kill(pid, sig);
}
