// SPDX-License-Identifier: GPL-2.0
/*
 * Another process runs guests.  p2mctl, p2mtop and pager must work on them as
 * their manuals say.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2m_tools.h"
#include "kselftest_harness.h"

static bool has_feature(u64 feature)
{
	int fd = p2m_open();
	bool has = p2m_info(fd).features & feature;

	close(fd);
	return has;
}

FIXTURE(tools)
{
	struct vmm vmm;
};

FIXTURE_SETUP(tools)
{
	ASSERT_TRUE(p2m_all_freed());
	start_vmm(&self->vmm, 1);
}

FIXTURE_TEARDOWN(tools)
{
	EXPECT_EQ(0, end_vmm(&self->vmm));
	EXPECT_TRUE(p2m_all_freed());
}

/* ------------------------------------------------------------------ */
/* p2mctl                                                              */
/* ------------------------------------------------------------------ */

TEST_F(tools, list_and_stat_show_the_guest)
{
	EXPECT_EQ(0, run(P2MCTL "list"));
	EXPECT_SAID("tools_test");
	EXPECT_EQ(0, run(P2MCTL "stat %d", self->vmm.pid));
	EXPECT_EQ(SIZE, number_after("gfns"));
	EXPECT_EQ(SIZE, number_after("resident"));
	EXPECT_EQ(0, number_after("merged"));
	EXPECT_EQ(0, run(P2MCTL "stat --json | /usr/bin/python3 -m json.tool"));
	EXPECT_EQ(self->vmm.pid, number_after("\"pid\": "));
	EXPECT_EQ(SIZE, number_after("\"resident\": "));
}

TEST_F(tools, page_out_and_page_in_move_as_many_as_they_say)
{
	EXPECT_EQ(0, run(P2MCTL "page-out %d --pages 100", self->vmm.pid));
	EXPECT_SAID("100 pages out (0.4 MiB), 0 busy");
	EXPECT_EQ(0, run(P2MCTL "page-out %d --percent 50", self->vmm.pid));
	EXPECT_SAID("78 pages out");
	EXPECT_EQ(0, run(P2MCTL "page-in %d --json", self->vmm.pid));
	EXPECT_EQ(178, number_after("\"done\": "));
}

/* Each of these starts a program, which is slow. */
TEST_F_TIMEOUT(tools, wrong_usage_is_told_and_changes_nothing, 120)
{
	static const char * const wrong[] = {
		"paint", "list 1", "page-out", "page-out 1 2", "discard 1",
		"mount --size big",
		"page-out 1 --pages", "page-out 1 --pages x",
		"page-out 1 --pages 0",
		"page-out 1 --pages 1 --percent 1", "page-out 1 --percent 101",
		"page-out 1 --scan", "page-out 1 --json=1", "stat --guest 1",
		"share --rate 1", "pod", "dirty 1 --start --stop",
		"dirty 1 --rounds 0", "dirty 1 --interval 1", "map 1",
		"map 1 --gfn 0x", "audit --colour",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(USAGE, run(P2MCTL "%s", wrong[i]))
			TH_LOG("p2mctl %s", wrong[i]);
		EXPECT_SAID("Try p2mctl --help.");
	}
	EXPECT_EQ(USAGE, run(P2MTOP "--once --csv"));
	EXPECT_EQ(USAGE, run(P2MTOP "</dev/null"));
	EXPECT_EQ(0, run(P2MCTL "stat %d", self->vmm.pid));
	EXPECT_EQ(0, number_after("paged_out"));
}

TEST_F(tools, what_is_not_there_has_exit_codes_of_its_own)
{
	EXPECT_EQ(NO_PROCESS, run(P2MCTL "page-out 999999999"));
	EXPECT_EQ(NO_GUEST, run(P2MCTL "page-out %d", getpid()));
	EXPECT_EQ(NO_GUEST, run(P2MCTL "page-out %d --guest 999999",
				self->vmm.pid));
	EXPECT_EQ(NO_PROCESS, run(P2MCTL "page-out no-domain"));
	EXPECT_SAID("there is no libvirt domain no-domain that runs");
	EXPECT_EQ(NO_PROCESS, run(P2MCTL "page-out ./no-file"));
	EXPECT_EQ(NO_GUEST, run(P2MCTL "page-out /dev/p2m"));
	EXPECT_EQ(1, p2m_totals().guests);
}

TEST_F_TIMEOUT(tools, of_several_guests_one_must_be_chosen, 120)
{
	struct vmm other;
	long guest;

	start_vmm(&other, 2);
	EXPECT_EQ(SEVERAL, run(P2MCTL "page-out %d", other.pid));
	guest = number_after("--guest (");
	ASSERT_LT(0, guest);
	EXPECT_EQ(0, run(P2MCTL "page-out %d --guest %ld", other.pid, guest));
	EXPECT_EQ(0, run(P2MCTL "stat %d --guest %ld", other.pid, guest));
	EXPECT_EQ(SIZE, number_after("paged_out"));
	EXPECT_EQ(0, run(P2MCTL "stat %d --guest %ld", other.pid, guest + 1));
	EXPECT_EQ(0, number_after("paged_out"));
	EXPECT_EQ(0, end_vmm(&other));
}

TEST_F(tools, audit_counts_the_frames_and_finds_no_errors)
{
	if (!has_feature(P2M_FEATURE_AUDIT))
		SKIP(return, "no audit");
	EXPECT_EQ(0, run(P2MCTL "page-out %d --pages 100", self->vmm.pid));
	EXPECT_EQ(0, run(P2MCTL "audit %d", self->vmm.pid));
	EXPECT_SAID("no errors");
	EXPECT_EQ(SIZE - 100, number_after("ram_rw"));
	EXPECT_EQ(100, number_after("paged"));
}

/* All zero frames get one page.  The other frames are equal in all guests. */
TEST_F_TIMEOUT(tools, a_scan_merges_what_is_equal_and_writes_break_it, 120)
{
	struct vmm other;

	if (!has_feature(P2M_FEATURE_SHARING) ||
	    !has_feature(P2M_FEATURE_AUDIT))
		SKIP(return, "no sharing");
	start_vmm(&other, 2);
	EXPECT_EQ(0, run(P2MCTL "share --domain 3"));
	EXPECT_EQ(0, run(P2MCTL "share --scan --json"));
	EXPECT_EQ(3 * SIZE, number_after("\"looked\": "));
	/* The first one is not merged: the others are merged with it. */
	EXPECT_EQ(3 * ZERO - 1, number_after("\"zero\": "));
	EXPECT_EQ(0, run(P2MCTL "share %d", self->vmm.pid));
	EXPECT_EQ(SIZE, number_after("): "));
	let_write(&self->vmm);
	EXPECT_EQ(0, run(P2MCTL "share %d", self->vmm.pid));
	EXPECT_EQ(SIZE - WRITTEN, number_after("): "));
	EXPECT_EQ(0, end_vmm(&other));
}

TEST_F_TIMEOUT(tools, a_guest_shares_with_those_of_its_domain, 120)
{
	if (!has_feature(P2M_FEATURE_DOMAIN))
		SKIP(return, "no domains");
	EXPECT_EQ(0, run(P2MCTL "share %d", self->vmm.pid));
	EXPECT_SAID("; alone");
	EXPECT_EQ(0, run(P2MCTL "share %d --domain 3", self->vmm.pid));
	EXPECT_SAID("; domain 3");
	EXPECT_EQ(0, run(P2MCTL "share %d --scan", self->vmm.pid));
	EXPECT_EQ(REFUSED, run(P2MCTL "share %d --alone", self->vmm.pid));
	EXPECT_SAID("it has shared frames");
	/* --never unshares first. */
	EXPECT_EQ(0, run(P2MCTL "share %d --never", self->vmm.pid));
	EXPECT_SAID("; never");
	EXPECT_EQ(REFUSED, run(P2MCTL "share %d --scan", self->vmm.pid));
	/* This scans all guests that may be scanned. */
	EXPECT_EQ(0, run(P2MCTL "share --scan"));
	EXPECT_SAID("0 frames looked at");
	EXPECT_EQ(USAGE, run(P2MCTL "share %d --never --alone", self->vmm.pid));
	EXPECT_EQ(USAGE, run(P2MCTL "share --domain 0"));
}

TEST_F_TIMEOUT(tools, a_scan_keeps_to_its_rate, 120)
{
	struct timespec start;

	if (!has_feature(P2M_FEATURE_SHARING))
		SKIP(return, "no sharing");
	clock_gettime(CLOCK_MONOTONIC, &start);
	EXPECT_EQ(0, run(P2MCTL "share %d --scan --rate 64 --progress",
			 self->vmm.pid));
	EXPECT_LE(SIZE / 64, timespec_elapsed(start).tv_sec);
	EXPECT_SAID("128 frames looked at");
	EXPECT_SAID("256 frames looked at");
}

TEST_F(tools, pod_sets_the_pool_and_sweeps_zero_pages)
{
	if (!has_feature(P2M_FEATURE_POD))
		SKIP(return, "no populate-on-demand");
	EXPECT_EQ(0, run(P2MCTL "pod %d --pages %d", self->vmm.pid, SIZE));
	EXPECT_EQ(SIZE, number_after("target"));
	EXPECT_EQ(0, run(P2MCTL "pod %d --sweep", self->vmm.pid));
	EXPECT_SAID("128 zero pages given back (0.5 MiB)");
}

TEST_F_TIMEOUT(tools, dirty_says_what_the_guest_wrote_to, 120)
{
	if (!has_feature(P2M_FEATURE_DIRTY))
		SKIP(return, "no log-dirty");
	EXPECT_EQ(REFUSED, run(P2MCTL "dirty %d", self->vmm.pid));
	EXPECT_SAID("use --start first");
	EXPECT_EQ(0, run(P2MCTL "dirty %d --start", self->vmm.pid));
	EXPECT_EQ(REFUSED, run(P2MCTL "dirty %d --start", self->vmm.pid));
	let_write(&self->vmm);
	EXPECT_EQ(0, run(P2MCTL "dirty %d --ranges --clean", self->vmm.pid));
	EXPECT_SAID("128 frames were written to (0.5 MiB)\n  0x0 128");
	EXPECT_EQ(0, run(P2MCTL "dirty %d", self->vmm.pid));
	EXPECT_SAID("0 frames");
	EXPECT_EQ(0, run(P2MCTL "dirty %d --rounds 2 --interval 0",
			 self->vmm.pid));
	EXPECT_SAID("round   2:        0 frames");
	EXPECT_EQ(0, run(P2MCTL "dirty %d --stop", self->vmm.pid));
}

TEST_F(tools, map_dumps_what_is_there)
{
	if (!has_feature(P2M_FEATURE_FOREIGN))
		SKIP(return, "no foreign mappings");
	EXPECT_EQ(0, run(P2MCTL "map %d --gfn 2", self->vmm.pid));
	EXPECT_SAID("0000002000  02 00 00 00 00 00 00 00  62 62 62 62");
	EXPECT_SAID(" 62  |........bbbbbbbb|");
	EXPECT_SAID("\n*\n0000003000");
	EXPECT_EQ(0, run(P2MCTL "map %d --gfn 0x10 --pages 4 --output /tmp/frames",
			 self->vmm.pid));
	EXPECT_EQ(0, run("wc -c </tmp/frames"));
	EXPECT_SAID("16384");
	EXPECT_EQ(REFUSED, run(P2MCTL "map %d --gfn 0xfff000", self->vmm.pid));
}

TEST_F_TIMEOUT(tools, events_are_printed_as_they_happen, 120)
{
	/* Wait for an event.  The harness ends a test that waits for ever. */
	EXPECT_EQ(0, run(P2MCTL "events %d >/tmp/events & tracer=$!;"
			 " until [ -d /sys/kernel/tracing/instances/p2m-$tracer ];"
			 " do sleep 0.1; done; sleep 1;"
			 P2MCTL "page-out %d --pages 3;"
			 " until grep -q gfn=0x2 /tmp/events; do sleep 0.1; done;"
			 " kill -INT $tracer; wait $tracer; echo exit code $?;"
			 " cat /tmp/events; ls /sys/kernel/tracing/instances",
			 self->vmm.pid, self->vmm.pid));
	EXPECT_SAID("exit code 130");
	EXPECT_SAID("p2m_evict: guest=");
	EXPECT_SAID("gfn=0x2 err=0");
	EXPECT_EQ(NULL, strstr(said, "p2m-"));
}

TEST_F(tools, discard_forgets_what_is_there)
{
	EXPECT_EQ(0, run(P2MCTL "page-out %d --pages 15", self->vmm.pid));
	EXPECT_EQ(0, run(P2MCTL "discard %d --gfn 10 --pages 20",
			 self->vmm.pid));
	EXPECT_SAID("20 pages discarded (0.1 MiB), 0 busy");
	EXPECT_EQ(REFUSED, run(P2MCTL "discard %d --gfn 255 --pages 2",
			       self->vmm.pid));
	EXPECT_SAID("there is no frame 0x100");
	EXPECT_EQ(0, run(P2MCTL "stat %d", self->vmm.pid));
	EXPECT_EQ(20, number_after("discarded"));
	EXPECT_EQ(SIZE - 10 - 20, number_after("resident"));
	EXPECT_EQ(10, number_after("paged"));
}

/* ------------------------------------------------------------------ */
/* pager                                                               */
/* ------------------------------------------------------------------ */

/* The pager's output goes to @file.log. */
static pid_t start_pager(struct vmm *vmm, const char *file)
{
	char command[256];
	pid_t pid;

	/* The output of the pager before */
	run("rm -f %s.log", file);
	pid = p2m_fork();
	if (!pid) {
		snprintf(command, sizeof(command), "exec " PAGER
			 "%d --target 0 --file %s >%s.log 2>&1",
			 vmm->pid, file, file);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

/* Wait until it has said a text.  Return: false if it has ended instead */
static bool pager_says(pid_t pid, const char *file, const char *text)
{
	while (run("grep -q '%s' %s.log", text, file)) {
		if (!p2m_is_alive(pid))
			return false;
		usleep(100000);
	}
	return true;
}

static long resident(struct vmm *vmm)
{
	run(P2MCTL "stat %d", vmm->pid);
	return number_after("resident");
}

FIXTURE(pager_of)
{
	struct vmm vmm;
};

/* /tmp/small has room for a part of the guest. */
FIXTURE_SETUP(pager_of)
{
	ASSERT_TRUE(p2m_all_freed());
	ASSERT_EQ(0, run("mkdir -p /tmp/small;"
			 " mount -t tmpfs -o size=256k p2m /tmp/small"));
	start_vmm(&self->vmm, 1);
}

FIXTURE_TEARDOWN(pager_of)
{
	EXPECT_EQ(0, end_vmm(&self->vmm));
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_EQ(0, run("umount /tmp/small; rm -f /tmp/first* /tmp/second*"));
}

TEST_F_TIMEOUT(pager_of, a_guest_goes_on_when_the_file_is_full, 120)
{
	const char *file = "/tmp/small/frames";
	pid_t pager = start_pager(&self->vmm, file);

	ASSERT_TRUE(pager_says(pager, file, "no room"));
	EXPECT_LT(0, resident(&self->vmm));
	let_write(&self->vmm);
	/* This is longer than the pager rests.  It must say so only once. */
	sleep(3);
	EXPECT_EQ(0, run("grep -c 'no room' %s.log", file));
	EXPECT_EQ(1, atoi(said));
	ASSERT_EQ(0, run("mount -o remount,size=8m /tmp/small"));
	ASSERT_TRUE(pager_says(pager, file, "room again"));
	while (resident(&self->vmm))
		ASSERT_TRUE(p2m_is_alive(pager));
	let_write(&self->vmm);
	ASSERT_EQ(0, kill(pager, SIGTERM));
	EXPECT_EQ(0, p2m_wait(pager));
	EXPECT_EQ(SIZE, resident(&self->vmm));
	if (!has_feature(P2M_FEATURE_FOREIGN))
		return;
	EXPECT_EQ(0, run(P2MCTL "map %d --gfn 2", self->vmm.pid));
	EXPECT_SAID("0000002000  02 00 00 00 00 00 00 00  02 00 00 00");
	EXPECT_SAID("0000002010  62 62 62 62");
}

TEST_F_TIMEOUT(pager_of, only_the_guests_own_file_will_do, 120)
{
	struct vmm other;
	pid_t pager;

	pager = start_pager(&self->vmm, "/tmp/first");
	while (resident(&self->vmm))
		ASSERT_TRUE(p2m_is_alive(pager));
	ASSERT_EQ(0, kill(pager, SIGKILL));
	ASSERT_EQ(-SIGKILL, p2m_wait(pager));

	/*
	 * It refuses another file, again and again; a file that was cut; and
	 * the file of another guest.
	 */
	EXPECT_EQ(REFUSED, run(PAGER "%d --target 0 --file /tmp/second",
			       self->vmm.pid));
	EXPECT_SAID("and not in /tmp/second");
	EXPECT_EQ(REFUSED, run(PAGER "%d --target 0 --file /tmp/second",
			       self->vmm.pid));
	EXPECT_SAID("and not in /tmp/second");
	EXPECT_EQ(0, run("cd /tmp; cp first.guest second.guest;"
			 " head -c 4096 first >second"));
	EXPECT_EQ(REFUSED, run(PAGER "%d --target 0 --file /tmp/second",
			       self->vmm.pid));
	EXPECT_SAID("is shorter than it was");
	start_vmm(&other, 1);
	EXPECT_EQ(REFUSED, run(PAGER "%d --target 0 --file /tmp/first",
			       other.pid));
	EXPECT_SAID("is not of this guest");
	EXPECT_EQ(0, end_vmm(&other));

	/* With its own file it goes on, and nothing was lost. */
	pager = start_pager(&self->vmm, "/tmp/first");
	ASSERT_TRUE(pager_says(pager, "/tmp/first", "paging guest"));
	let_write(&self->vmm);
	ASSERT_EQ(0, kill(pager, SIGTERM));
	EXPECT_EQ(0, p2m_wait(pager));
	EXPECT_EQ(SIZE, resident(&self->vmm));
	if (!has_feature(P2M_FEATURE_FOREIGN))
		return;
	EXPECT_EQ(0, run(P2MCTL "map %d --gfn 4", self->vmm.pid));
	EXPECT_SAID("0000004000  04 00 00 00 00 00 00 00  01 00 00 00");
	EXPECT_SAID("0000004010  63 63 63 63");
}

/* A signal interrupts every other call. */
static const char interrupted_pager[] =
	"import errno, p2m_pager\n"
	"calls = []\n"
	"def ioctl(*args):\n"
	"    calls.append(args)\n"
	"    if len(calls) % 2:\n"
	"        raise OSError(errno.EINTR, \"signal\")\n"
	"p2m_pager.fcntl.ioctl = ioctl\n"
	"class Guest:\n"
	"    fd = 0\n"
	"pager = p2m_pager.Pager(Guest, 1)\n"
	"pager.evict(0, 0)\n"
	"pager.nominate(0, 1)\n"
	"print(len(calls), \"calls\")\n";

TEST(a_call_of_the_pagers_goes_on_after_a_signal)
{
	EXPECT_EQ(0, run("PYTHONPATH=" P2M_TOOLS " /usr/bin/python3 -SBc '%s'",
			 interrupted_pager));
	EXPECT_SAID("6 calls");
}

/* ------------------------------------------------------------------ */
/* p2mtop                                                              */
/* ------------------------------------------------------------------ */

TEST_F(tools, top_once_shows_the_guests)
{
	EXPECT_EQ(0, run(P2MTOP "--once"));
	EXPECT_SAID("1 guests, 1.0 MiB, 1.0 resident, 0.0 paged");
	EXPECT_SAID("tools_test");
	EXPECT_SAID("RANGE WAITED FOR");
}

/* Print a field of all lines of /tmp/top, named by the heading. */
#define FIELD_OF_TOP(field)						\
	"awk -F, 'NR == 1 { for (f = 1; $f != \"" field "\"; f++); }"	\
	" NR > 1 { print $f }' /tmp/top"

TEST_F_TIMEOUT(tools, top_csv_counts_from_its_start, 120)
{
	EXPECT_EQ(0, run(P2MCTL "page-out %d --pages 100", self->vmm.pid));
	EXPECT_EQ(0, run(P2MTOP "--csv --interval 0.2 >/tmp/top & top=$!;"
			 " until [ $(wc -l </tmp/top) -ge 2 ]; do sleep 0.1; done;"
			 P2MCTL "page-out %d;"
			 " until " FIELD_OF_TOP("paged_out") " | grep -x 156;"
			 " do sleep 0.1; done; kill $top; wait $top",
			 self->vmm.pid));
	EXPECT_EQ(0, run(FIELD_OF_TOP("paged")));
	EXPECT_EQ(100, atoi(said));
	EXPECT_EQ(0, run(P2MTOP "--csv --count 2 --interval 0.2 | wc -l"));
	EXPECT_EQ(3, atoi(said));
}

/* Read a terminal until it shows a text, or shows nothing for 20 s. */
static bool terminal_says(int tty, const char *text)
{
	struct pollfd fd = { .fd = tty, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(said) - 1 && poll(&fd, 1, 20000) == 1) {
		n = read(tty, said + len, sizeof(said) - 1 - len);
		if (n <= 0)
			break;
		len += n;
		said[len] = 0;
		if (strstr(said, text))
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(tools, top_is_live_and_obeys_its_keys, 120)
{
	struct winsize size = { .ws_row = 40, .ws_col = 100 };
	int tty, status;
	pid_t top;

	top = forkpty(&tty, NULL, NULL, &size);
	ASSERT_LE(0, top);
	if (!top) {
		execl("/bin/sh", "sh", "-c", "exec " P2MTOP "--interval 0.5",
		      NULL);
		_exit(127);
	}
	EXPECT_TRUE(terminal_says(tty, "every 0.5 s"));
	EXPECT_EQ(0, run(P2MCTL "page-out %d", self->vmm.pid));
	EXPECT_TRUE(terminal_says(tty, "paged_out"));
	EXPECT_EQ(1, write(tty, "r", 1));
	EXPECT_TRUE(terminal_says(tty, "counting from now on"));
	EXPECT_EQ(1, write(tty, "p", 1));
	EXPECT_TRUE(terminal_says(tty, "PAUSED"));
	EXPECT_EQ(NULL, strstr(strstr(said, "EVENT"), "paged_out"));
	EXPECT_EQ(1, write(tty, "q", 1));
	EXPECT_TRUE(terminal_says(tty, "\033[?1049l"));
	EXPECT_EQ(top, waitpid(top, &status, 0));
	EXPECT_EQ(0, status);
	close(tty);
}

TEST_HARNESS_MAIN
