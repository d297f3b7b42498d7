// SPDX-License-Identifier: GPL-2.0
/*
 * The study's probe in kvm_p2m.ko: a store with a latency, and the time of every
 * get and every hold.
 *
 * It is one object more, in a copy of the module.  The linker sends the calls
 * of some functions to __wrap_NAME here, and calls of __real_NAME to NAME: see
 * Kbuild.  So the product's code is what it always is, and the probe is the
 * same for every policy that is loaded as p2m_rangelock.ko.
 *
 *	/sys/module/kvm_p2m/parameters/study_latency_us
 *		a read from the store sleeps so long, while its frame is held
 *	/sys/kernel/debug/p2m_study/
 *		histograms	the times, as "WHAT EDGE COUNT" lines: so many
 *				were below EDGE ns, and not below the last EDGE;
 *				and "WHAT max NS"
 *		reset		a write forgets them
 *		hold		a write of "FD GFN NR" makes a thread hold these
 *				frames of the guest that is open as FD; a write
 *				of "-1 0 0" ends that
 */

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "p2m_rangelock.h"
#include "p2m/debugfs.h"
#include "p2m/store.h"

#define WRAPPED(name) extern typeof(name) __real_##name, __wrap_##name

WRAPPED(p2m_debugfs_init);
WRAPPED(p2m_debugfs_exit);
WRAPPED(p2m_store_read);
WRAPPED(p2m_store_is_slow);
WRAPPED(get_p2m_hold);
WRAPPED(put_p2m_hold);
WRAPPED(get_p2m_range);
WRAPPED(put_p2m_range);
WRAPPED(get_p2m_step);
WRAPPED(get_p2m_all);
WRAPPED(put_p2m_all);

static unsigned int study_latency_us;
module_param(study_latency_us, uint, 0644);
MODULE_PARM_DESC(study_latency_us, "what a read from the store takes more");

static struct dentry *study_debugfs;

/* ---- Histograms --------------------------------------------------- */

/* What is counted apart.  A narrow range is within one chunk. */
enum study_who {
	STUDY_VCPU,	/* narrow, by a thread that is called "vcpu" */
	STUDY_OTHER,	/* narrow, by another task */
	STUDY_WIDE,
	STUDY_NR_WHO
};

enum study_what {
	STUDY_WAIT,	/* from the call to the return of a get that succeeds */
	STUDY_HOLD,	/* from a task's first get to its last put */
	STUDY_NR_WHAT
};

static const char * const study_names[STUDY_NR_WHAT][STUDY_NR_WHO] = {
	[STUDY_WAIT] = { "wait", "wait_other", "wait_wide" },
	[STUDY_HOLD] = { "hold", "hold_other", "hold_wide" },
};

/* Buckets: 16 to each power of two, up to 2^37 ns, which is two minutes */
#define STUDY_BITS	4
#define STUDY_PARTS	(1U << STUDY_BITS)
#define STUDY_BUCKETS	((37 - STUDY_BITS + 1) * STUDY_PARTS)

/**
 * struct study_times - times that were measured on one CPU
 * @count: how many are in each bucket
 * @max: the longest, in ns
 */
struct study_times {
	u32 count[STUDY_BUCKETS];
	u64 max;
};

static struct study_times __percpu *study_times[STUDY_NR_WHAT][STUDY_NR_WHO];

static unsigned int study_bucket(u64 ns)
{
	unsigned int shift = ns < STUDY_PARTS ? 0 : fls64(ns) - 1 - STUDY_BITS;
	unsigned int bucket = shift * STUDY_PARTS + (ns >> shift);

	return min_t(unsigned int, bucket, STUDY_BUCKETS - 1);
}

/* All times in the bucket are below this. */
static u64 study_edge(unsigned int bucket)
{
	unsigned int shift = bucket < STUDY_PARTS ?
			     0 : bucket / STUDY_PARTS - 1;

	return (u64)(bucket - shift * STUDY_PARTS + 1) << shift;
}

static void study_count(enum study_what what, enum study_who who, u64 since)
{
	u64 ns = ktime_get_ns() - since;
	struct study_times *times;

	if (!study_times[what][who])
		return;
	times = get_cpu_ptr(study_times[what][who]);
	times->count[study_bucket(ns)]++;
	times->max = max(times->max, ns);
	put_cpu_ptr(study_times[what][who]);
}

static void study_show(struct seq_file *m, enum study_what what,
		       enum study_who who)
{
	const char *name = study_names[what][who];
	struct study_times *times;
	unsigned int bucket;
	u64 count, max = 0;
	int cpu;

	for (bucket = 0; bucket < STUDY_BUCKETS; bucket++) {
		count = 0;
		for_each_possible_cpu(cpu) {
			times = per_cpu_ptr(study_times[what][who], cpu);
			count += READ_ONCE(times->count[bucket]);
			max = max(max, READ_ONCE(times->max));
		}
		if (count)
			seq_printf(m, "%s %llu %llu\n", name,
				   study_edge(bucket), count);
	}
	seq_printf(m, "%s max %llu\n", name, max);
}

static int histograms_show(struct seq_file *m, void *unused)
{
	int what, who;

	for (what = 0; what < STUDY_NR_WHAT; what++)
		for (who = 0; who < STUDY_NR_WHO; who++)
			study_show(m, what, who);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(histograms);

/* If tasks count meanwhile, a few of their times may stay, or be lost. */
static ssize_t reset_write(struct file *file, const char __user *buf,
			   size_t len, loff_t *pos)
{
	int what, who, cpu;

	for (what = 0; what < STUDY_NR_WHAT; what++)
		for (who = 0; who < STUDY_NR_WHO; who++)
			for_each_possible_cpu(cpu)
				memset(per_cpu_ptr(study_times[what][who], cpu),
				       0, sizeof(struct study_times));
	return len;
}

static const struct file_operations reset_fops = {
	.owner = THIS_MODULE,
	.write = reset_write,
};

/* ---- Who holds since when ----------------------------------------- */

/**
 * struct study_holder - a task that holds something
 * @task: the task; NULL if this one is free
 * @depth: gets less puts
 * @since: when the first of these gets returned, in ns
 * @who: of the first get
 */
struct study_holder {
	struct task_struct *task;
	unsigned int depth;
	u64 since;
	enum study_who who;
} ____cacheline_aligned;

/* Many more than tasks that ever hold at a time */
#define STUDY_HOLDERS	256
static struct study_holder study_holders[STUDY_HOLDERS];

/* Find the current task's, or make it the current task's. */
static struct study_holder *study_holder(struct task_struct *find)
{
	unsigned int first = hash_ptr(current, ilog2(STUDY_HOLDERS)), i;
	struct study_holder *holder;

	for (i = 0; i < STUDY_HOLDERS; i++) {
		holder = &study_holders[(first + i) % STUDY_HOLDERS];
		if (READ_ONCE(holder->task) == find &&
		    (find || !cmpxchg(&holder->task, NULL, current)))
			return holder;
	}
	return NULL;
}

static void study_got(enum study_who who)
{
	struct study_holder *holder = study_holder(current);

	if (!holder) {
		holder = study_holder(NULL);
		if (WARN_ON_ONCE(!holder))
			return;
		holder->who = who;
		holder->since = ktime_get_ns();
	}
	holder->depth++;
}

static void study_put(void)
{
	struct study_holder *holder = study_holder(current);

	if (WARN_ON_ONCE(!holder) || --holder->depth)
		return;
	study_count(STUDY_HOLD, holder->who, holder->since);
	/* Whoever takes it next sees that depth is 0. */
	smp_store_release(&holder->task, NULL);
}

static enum study_who study_who(unsigned long gfn, unsigned long nr)
{
	if (gfn % P2M_CHUNK_GFNS + nr > P2M_CHUNK_GFNS)
		return STUDY_WIDE;
	return strcmp(current->comm, "vcpu") ? STUDY_OTHER : STUDY_VCPU;
}

/*
 * An attempt that fails is not counted.  A task that cannot wait where it made
 * the attempt makes another get where it can, and that one is counted.
 */
static void study_get_done(long err, enum study_who who, u64 since)
{
	if (err < 0)
		return;
	study_count(STUDY_WAIT, who, since);
	study_got(who);
}

/* ---- What the module calls instead -------------------------------- */

int __wrap_get_p2m_hold(struct p2m_rangelock_hold *hold,
			struct p2m_rangelock *lock, unsigned long gfn,
			unsigned int order, enum p2m_wait wait)
{
	u64 since = ktime_get_ns();
	int err = __real_get_p2m_hold(hold, lock, gfn, order, wait);

	study_get_done(err, study_who(gfn, p2m_nr(order)), since);
	return err;
}

void __wrap_put_p2m_hold(struct p2m_rangelock_hold *hold)
{
	study_put();
	__real_put_p2m_hold(hold);
}

int __wrap_get_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
			 unsigned long nr, enum p2m_wait wait,
			 unsigned int subclass)
{
	u64 since = ktime_get_ns();
	int err = __real_get_p2m_range(lock, gfn, nr, wait, subclass);

	study_get_done(err, study_who(gfn, nr), since);
	return err;
}

void __wrap_put_p2m_range(struct p2m_rangelock *lock, unsigned long gfn,
			  unsigned long nr)
{
	study_put();
	__real_put_p2m_range(lock, gfn, nr);
}

long __wrap_get_p2m_step(struct p2m_rangelock *lock, unsigned long gfn,
			 unsigned long nr, unsigned int max_nodes,
			 enum p2m_wait wait, unsigned int subclass)
{
	u64 since = ktime_get_ns();
	long got = __real_get_p2m_step(lock, gfn, nr, max_nodes, wait,
				       subclass);

	study_get_done(got, study_who(gfn, nr), since);
	return got;
}

int __wrap_get_p2m_all(struct p2m_rangelock *lock, enum p2m_wait wait,
		       unsigned int subclass)
{
	u64 since = ktime_get_ns();
	int err = __real_get_p2m_all(lock, wait, subclass);

	study_get_done(err, STUDY_WIDE, since);
	return err;
}

void __wrap_put_p2m_all(struct p2m_rangelock *lock)
{
	study_put();
	__real_put_p2m_all(lock);
}

int __wrap_p2m_store_read(struct p2m_guest *guest, unsigned long gfn,
			  struct page *page)
{
	unsigned int us = READ_ONCE(study_latency_us);

	/* By a high-resolution timer, without slack */
	if (us)
		usleep_range(us, us);
	return __real_p2m_store_read(guest, gfn, page);
}

/* So a fault drops mmap_lock before it reads. */
bool __wrap_p2m_store_is_slow(struct p2m_guest *guest, unsigned long gfn)
{
	return READ_ONCE(study_latency_us) ||
	       __real_p2m_store_is_slow(guest, gfn);
}

/* ---- A hold that stands ------------------------------------------- */

/**
 * struct study_stand - frames that a thread holds for as long as it is told to
 * @file: the guest's file
 * @gfn: the first frame
 * @nr: how many
 * @err: of the get
 * @got: the get has returned
 */
struct study_stand {
	struct file *file;
	unsigned long gfn;
	unsigned long nr;
	int err;
	struct completion got;
};

static DEFINE_MUTEX(study_stand_mutex);
static struct study_stand study_stand;
static struct task_struct *study_stand_thread;

static int study_stand_run(void *arg)
{
	struct study_stand *stand = arg;
	struct p2m_guest *guest = stand->file->private_data;

	stand->err = __real_get_p2m_range(&guest->lock, stand->gfn, stand->nr,
					  P2M_WAIT, 0);
	complete(&stand->got);
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	if (!stand->err)
		__real_put_p2m_range(&guest->lock, stand->gfn, stand->nr);
	return 0;
}

static void study_stand_end(void)
{
	if (!study_stand_thread)
		return;
	kthread_stop(study_stand_thread);
	put_task_struct(study_stand_thread);
	study_stand_thread = NULL;
	fput(study_stand.file);
}

static int study_stand_start(int fd, unsigned long gfn, unsigned long nr)
{
	struct task_struct *thread;
	struct file *file = fget(fd);

	if (!file)
		return -EBADF;
	if (file->f_op->owner != THIS_MODULE) {
		fput(file);
		return -EINVAL;
	}
	study_stand = (struct study_stand){
		.file = file, .gfn = gfn, .nr = nr };
	init_completion(&study_stand.got);
	thread = kthread_create(study_stand_run, &study_stand, "p2m_stand");
	if (IS_ERR(thread)) {
		fput(file);
		return PTR_ERR(thread);
	}
	study_stand_thread = get_task_struct(thread);
	wake_up_process(thread);
	wait_for_completion(&study_stand.got);
	return study_stand.err;
}

static ssize_t hold_write(struct file *file, const char __user *buf,
			  size_t len, loff_t *pos)
{
	unsigned long gfn, nr;
	char text[64] = "";
	int fd, err = 0;

	if (copy_from_user(text, buf, min(len, sizeof(text) - 1)))
		return -EFAULT;
	if (sscanf(text, "%d %lu %lu", &fd, &gfn, &nr) != 3)
		return -EINVAL;
	mutex_lock(&study_stand_mutex);
	study_stand_end();
	if (fd >= 0)
		err = study_stand_start(fd, gfn, nr);
	mutex_unlock(&study_stand_mutex);
	return err ?: len;
}

static const struct file_operations hold_fops = {
	.owner = THIS_MODULE,
	.write = hold_write,
};

/* ---- Beginning and end -------------------------------------------- */

static void study_free(void)
{
	int what, who;

	for (what = 0; what < STUDY_NR_WHAT; what++) {
		for (who = 0; who < STUDY_NR_WHO; who++) {
			free_percpu(study_times[what][who]);
			study_times[what][who] = NULL;
		}
	}
}

static bool study_alloc(void)
{
	int what, who;

	for (what = 0; what < STUDY_NR_WHAT; what++) {
		for (who = 0; who < STUDY_NR_WHO; who++) {
			study_times[what][who] =
				alloc_percpu(struct study_times);
			if (!study_times[what][who])
				return false;
		}
	}
	return true;
}

/* This cannot fail.  Without memory there are no files, which users notice. */
void __wrap_p2m_debugfs_init(void)
{
	__real_p2m_debugfs_init();
	if (!study_alloc()) {
		study_free();
		return;
	}
	study_debugfs = debugfs_create_dir("p2m_study", NULL);
	debugfs_create_file("histograms", 0444, study_debugfs, NULL,
			    &histograms_fops);
	debugfs_create_file("reset", 0200, study_debugfs, NULL, &reset_fops);
	debugfs_create_file("hold", 0200, study_debugfs, NULL, &hold_fops);
}

void __wrap_p2m_debugfs_exit(void)
{
	debugfs_remove_recursive(study_debugfs);
	__real_p2m_debugfs_exit();
	study_free();
}
