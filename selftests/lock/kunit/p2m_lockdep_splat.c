// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong uses.  Lockdep, or the lock itself, must complain about each of them.
 *
 * Lockdep turns itself off when it has complained, so each boot has one case:
 *
 *	insmod p2m_lockdep_splat.ko case=NAME
 *
 * SPLATS, at the end, lists the names, and the text that must then be in the
 * kernel's log.  The module carries that list, so selftests/lock/kunit/run needs
 * no other:
 *
 *	modinfo -F splat p2m_lockdep_splat.ko
 *
 * A case returns an error if more went wrong than should.
 */

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "p2m_rangelock.h"

/* Two guests of one lockdep class */
static struct p2m_rangelock red, blue;
static DEFINE_MUTEX(a_mutex);
static DEFINE_SPINLOCK(a_spinlock);

static char *name = "";
module_param_named(case, name, charp, 0444);
MODULE_PARM_DESC(case, "what to do wrong");

static ulong sys_exit;
module_param(sys_exit, ulong, 0444);
MODULE_PARM_DESC(sys_exit, "address of lockdep_sys_exit()");

/* No get here has to wait.  They are inline, so that reports name the case. */
static __always_inline void get(struct p2m_rangelock *lock, unsigned long chunk)
{
	WARN_ON(get_p2m(lock, chunk << P2M_CHUNK_ORDER, P2M_CHUNK_ORDER));
}

static __always_inline void put(struct p2m_rangelock *lock, unsigned long chunk)
{
	put_p2m(lock, chunk << P2M_CHUNK_ORDER, P2M_CHUNK_ORDER);
}

static bool held(struct p2m_rangelock *lock, unsigned long chunk)
{
	return p2m_held(lock, chunk << P2M_CHUNK_ORDER, P2M_CHUNK_ORDER);
}

/* Let another task do it, and wait until that task has ended. */
static int by_another_task(int (*what)(void *))
{
	struct task_struct *task = kthread_create(what, NULL, "another");

	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	wake_up_process(task);
	while (READ_ONCE(task->__state) != TASK_DEAD)
		msleep(20);
	put_task_struct(task);
	return 0;
}

/* ---- the order of locks ------------------------------------------------- */

static int inversion_with_mmap_lock(void)
{
	/* This is the mm of insmod. */
	struct mm_struct *mm = current->mm;

	get(&red, 0);
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
	put(&red, 0);

	mmap_read_lock(mm);
	get(&red, 0);
	put(&red, 0);
	mmap_read_unlock(mm);
	return 0;
}

static int inversion_with_a_mutex(void)
{
	mutex_lock(&a_mutex);
	get(&red, 0);
	put(&red, 0);
	mutex_unlock(&a_mutex);

	get(&red, 0);
	mutex_lock(&a_mutex);
	mutex_unlock(&a_mutex);
	put(&red, 0);
	return 0;
}

/* The guest has a place in the order, and not the range. */
static int inversion_with_other_ranges(void)
{
	mutex_lock(&a_mutex);
	get(&red, 0);
	put(&red, 0);
	mutex_unlock(&a_mutex);

	get(&blue, 5);
	mutex_lock(&a_mutex);
	mutex_unlock(&a_mutex);
	put(&blue, 5);
	return 0;
}

static int inversion_with_all(void)
{
	mutex_lock(&a_mutex);
	get(&red, 0);
	put(&red, 0);
	mutex_unlock(&a_mutex);

	WARN_ON(get_p2m_all(&red, P2M_WAIT, 0));
	mutex_lock(&a_mutex);
	mutex_unlock(&a_mutex);
	put_p2m_all(&red);
	return 0;
}

/* A try cannot wait, but other tasks can wait for the range that it got. */
static int inversion_after_a_try(void)
{
	mutex_lock(&a_mutex);
	get(&red, 0);
	put(&red, 0);
	mutex_unlock(&a_mutex);

	WARN_ON(try_get_p2m(&red, 0, 0));
	mutex_lock(&a_mutex);
	mutex_unlock(&a_mutex);
	put_p2m(&red, 0, 0);
	return 0;
}

/* The mutex is inside, so no get may wait under it, not even one for more. */
static int more_under_a_mutex_that_is_inside(void)
{
	get(&red, 0);
	mutex_lock(&a_mutex);
	get(&red, 1);
	put(&red, 1);
	mutex_unlock(&a_mutex);
	put(&red, 0);
	return 0;
}

static int two_guests_without_nested(void)
{
	get(&red, 0);
	get(&blue, 0);
	put(&blue, 0);
	put(&red, 0);
	return 0;
}

static int all_of_two_guests_without_nested(void)
{
	WARN_ON(get_p2m_all(&red, P2M_WAIT, 0));
	WARN_ON(get_p2m_all(&blue, P2M_WAIT, 0));
	put_p2m_all(&blue);
	put_p2m_all(&red);
	return 0;
}

/* ---- leaving with a range ----------------------------------------------- */

/*
 * Other architectures check on the way to user space whether something is held.
 * User-mode Linux does not, but it has the function that they call for that.
 */
static int return_to_user_space_while_holding(void)
{
	void (*leave)(void) = (void (*)(void))sys_exit;

	if (!leave)
		return -EINVAL;
	get(&red, 0);
	leave();
	put(&red, 0);
	return 0;
}

static int get_and_exit(void *unused)
{
	get(&red, 0);
	return 0;
}

static int exit_while_holding(void)
{
	return by_another_task(get_and_exit);
}

/* ---- puts of a range that the task does not hold ------------------------ */

static int put_red(void *unused)
{
	put(&red, 0);
	return 0;
}

static int put_by_another_task(void)
{
	int err;

	get(&red, 0);
	err = by_another_task(put_red);
	if (!held(&red, 0))
		err = -EUCLEAN;
	put(&red, 0);
	return err;
}

static int put_of_nothing(void)
{
	put(&red, 0);
	return try_get_p2m(&red, 0, 0);
}

static int put_once_too_often(void)
{
	get(&red, 0);
	put(&red, 0);
	put(&red, 0);
	return try_get_p2m(&red, 0, 0);
}

/* It must not put the half that is held. */
static int put_of_more_than_is_held(void)
{
	int err;

	get(&red, 0);
	put_p2m_range(&red, 0, 2UL << P2M_CHUNK_ORDER);
	err = held(&red, 0) ? 0 : -EUCLEAN;
	put(&red, 0);
	return err;
}

/* A range that was got as 1 GB is not put as one of its chunks. */
static int put_of_a_part(void)
{
	int err;

	WARN_ON(get_p2m(&red, 0, 18));
	put(&red, 0);
	err = p2m_held(&red, 0, 18) ? 0 : -EUCLEAN;
	put_p2m(&red, 0, 18);
	return err;
}

/* ---- the end of a lock -------------------------------------------------- */

static int destroy_while_held(void)
{
	get(&red, 0);
	p2m_rangelock_destroy(&red);
	put(&red, 0);
	return 0;
}

static int destroy_while_all_is_held(void)
{
	WARN_ON(get_p2m_all(&red, P2M_WAIT, 0));
	p2m_rangelock_destroy(&red);
	put_p2m_all(&red);
	return 0;
}

/* It warns each time, until nothing is held. */
static int destroy_twice_while_held(void)
{
	get(&red, 0);
	p2m_rangelock_destroy(&red);
	p2m_rangelock_destroy(&red);
	put(&red, 0);
	p2m_rangelock_destroy(&red);
	pr_info("destroyed at last\n");
	p2m_rangelock_init(&red, "red again");
	return 0;
}

static int free_while_held(void)
{
	struct p2m_rangelock *short_lived;

	short_lived = kmalloc(sizeof(*short_lived), GFP_KERNEL);
	if (!short_lived)
		return -ENOMEM;
	p2m_rangelock_init(short_lived, "short lived");
	get(short_lived, 0);
	kfree(short_lived);
	return 0;
}

static int init_while_held(void)
{
	get(&red, 0);
	p2m_rangelock_init(&red, "red again");
	return 0;
}

/* ---- waiting where that is not allowed ---------------------------------- */

static int get_with_preemption_disabled(void)
{
	preempt_disable();
	get(&red, 0);
	put(&red, 0);
	preempt_enable();
	return 0;
}

static int get_under_a_spinlock(void)
{
	spin_lock(&a_spinlock);
	get(&red, 0);
	put(&red, 0);
	spin_unlock(&a_spinlock);
	return 0;
}

static int get_of_all_under_a_spinlock(void)
{
	spin_lock(&a_spinlock);
	WARN_ON(get_p2m_all(&red, P2M_WAIT, 0));
	put_p2m_all(&red);
	spin_unlock(&a_spinlock);
	return 0;
}

static int step_under_a_spinlock(void)
{
	spin_lock(&a_spinlock);
	WARN_ON(get_p2m_step(&red, 0, 1, 1, P2M_WAIT_KILLABLE, 0) != 1);
	put_p2m_range(&red, 0, 1);
	spin_unlock(&a_spinlock);
	return 0;
}

static int get_in_an_rcu_read_section(void)
{
	rcu_read_lock();
	get(&red, 0);
	put(&red, 0);
	rcu_read_unlock();
	return 0;
}

static int get_with_interrupts_off(void)
{
	local_irq_disable();
	get(&red, 0);
	put(&red, 0);
	local_irq_enable();
	return 0;
}

static void try_red(struct irq_work *unused)
{
	if (!try_get_p2m(&red, 0, 0))
		put_p2m(&red, 0, 0);
}

/* It would be the get of whatever task was interrupted. */
static int try_in_an_interrupt(void)
{
	struct irq_work work = IRQ_WORK_INIT_HARD(try_red);

	irq_work_queue(&work);
	irq_work_sync(&work);
	return 0;
}

/* ---- assertions --------------------------------------------------------- */

static int assert_what_is_not_held(void)
{
	get(&red, 0);
	lockdep_assert_p2m_held(&red, 0, P2M_CHUNK_ORDER + 1);
	put(&red, 0);
	return 0;
}

static int assert_red(void *unused)
{
	lockdep_assert_p2m_held(&red, 0, 0);
	return 0;
}

static int assert_what_another_task_holds(void)
{
	int err;

	get(&red, 0);
	err = by_another_task(assert_red);
	put(&red, 0);
	return err;
}

/* ---- the list ----------------------------------------------------------- */

#define CIRCULAR	"WARNING: possible circular locking dependency detected"
#define RECURSIVE	"WARNING: possible recursive locking detected"
#define ATOMIC		"BUG: sleeping function called from invalid context"
#define NOT_HOLDER	"p2m_rangelock: put of red"

/* Each has the complaint that must come, and a name that must be in it. */
#define SPLATS(x)							\
	x(inversion_with_mmap_lock, CIRCULAR, "&mm->mmap_lock")		\
	x(inversion_with_a_mutex, CIRCULAR, "a_mutex")			\
	x(inversion_with_other_ranges, CIRCULAR, "a_mutex")		\
	x(inversion_with_all, CIRCULAR, "a_mutex")			\
	x(inversion_after_a_try, CIRCULAR, "a_mutex")			\
	x(more_under_a_mutex_that_is_inside, CIRCULAR, "a_mutex")	\
	x(two_guests_without_nested, RECURSIVE, "(guest)")		\
	x(all_of_two_guests_without_nested, RECURSIVE, "(guest)")	\
	x(return_to_user_space_while_holding,				\
	  "WARNING: lock held when returning to user space!", "(guest)") \
	x(exit_while_holding, "still has locks held!", "get_and_exit")	\
	x(put_by_another_task, NOT_HOLDER, "put_red")			\
	x(put_of_nothing, NOT_HOLDER, "put_of_nothing")			\
	x(put_once_too_often, NOT_HOLDER, "put_once_too_often")		\
	x(put_of_more_than_is_held, NOT_HOLDER, "put_of_more_than_is_held") \
	x(put_of_a_part, NOT_HOLDER, "put_of_a_part")			\
	x(destroy_while_held,						\
	  "red destroyed while [0x0, +0x200) is held", "destroy_while_held") \
	x(destroy_while_all_is_held,					\
	  "red destroyed while [0x0, +0x10000000000000) is held",	\
	  "destroy_while_all_is_held")					\
	x(destroy_twice_while_held,					\
	  "red destroyed while [0x0, +0x200) is held",			\
	  "destroyed at last")						\
	x(free_while_held, "WARNING: held lock freed!", "(short_lived)") \
	x(init_while_held, "WARNING: held lock freed!", "(guest)")	\
	x(get_with_preemption_disabled, ATOMIC, "preempt_count: 1")	\
	x(get_under_a_spinlock, ATOMIC, "a_spinlock")			\
	x(get_of_all_under_a_spinlock, ATOMIC, "a_spinlock")		\
	x(step_under_a_spinlock, ATOMIC, "a_spinlock")			\
	x(get_in_an_rcu_read_section, ATOMIC, "rcu_read_lock")		\
	x(get_with_interrupts_off, ATOMIC, "irqs_disabled(): 1")	\
	x(try_in_an_interrupt, "p2m_rangelock: red used in an interrupt", \
	  "try_red")							\
	x(assert_what_is_not_held, "WARNING: ", "assert_what_is_not_held") \
	x(assert_what_another_task_holds, "WARNING: ", "assert_red")

static const struct {
	const char	*name;
	int		(*function)(void);
} splats[] = {
#define SPLAT(name, text, about) { #name, name },
	SPLATS(SPLAT)
#undef SPLAT
};

#define SPLAT(name, text, about) MODULE_INFO(splat, #name "|" text "|" about);
SPLATS(SPLAT)
#undef SPLAT

/* All locks made here are of one class, named after the argument. */
static void __init make(struct p2m_rangelock *guest, const char *called)
{
	p2m_rangelock_init(guest, called);
}

static int __init splat_init(void)
{
	unsigned int i;

	make(&red, "red");
	make(&blue, "blue");
	for (i = 0; i < ARRAY_SIZE(splats); i++) {
		if (strcmp(name, splats[i].name))
			continue;
		pr_info("p2m_lockdep_splat: %s\n", name);
		return splats[i].function();
	}
	return -EINVAL;
}
module_init(splat_init);

static void __exit splat_exit(void)
{
}
module_exit(splat_exit);

MODULE_AUTHOR("The p2m_rangelock developers");
MODULE_DESCRIPTION("What lockdep must complain of in users of p2m_rangelock");
MODULE_LICENSE("GPL");
