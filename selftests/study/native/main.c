// SPDX-License-Identifier: GPL-2.0
/*
 * main: measure the lock that is loaded as p2m_rangelock.ko
 *
 * native/inside loads a policy and then this, for one question of the study.
 * Loading takes as long as one repeat does.  The results are in the log: see
 * window.h.
 */
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "window.h"

static char *question = "";
module_param(question, charp, 0444);
MODULE_PARM_DESC(question, "q1, q3, q4 or q6");

static char *system = "tree";
module_param(system, charp, 0444);
MODULE_PARM_DESC(system, "what is measured, as the study calls it");

static const struct {
	const char	*name;
	int		(*ask)(const char *system);
} questions[] = {
	{ "q1", study_lookups },
	{ "q3", study_grains },
	{ "q4", study_sizes },
	{ "q6", study_ranges },
};

static int __init study_init(void)
{
	int err = -EINVAL, stopped;
	unsigned int i;

	if (num_online_cpus() < STUDY_WORKERS)
		return -ENODEV;
	pr_info("study: begin %s %s\n", question, system);
	if (!study_windows_start())
		for (i = 0; i < ARRAY_SIZE(questions); i++)
			if (!strcmp(question, questions[i].name))
				err = questions[i].ask(system);
	stopped = study_windows_stop();
	if (!err)
		err = stopped;
	if (!err)
		pr_info("study: end %s %s\n", question, system);
	return err;
}
module_init(study_init);

static void __exit study_exit(void)
{
}
module_exit(study_exit);

MODULE_DESCRIPTION("Measures p2m_rangelock and its rivals");
MODULE_LICENSE("GPL");
