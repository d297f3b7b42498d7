// SPDX-License-Identifier: GPL-2.0
/* p2mctl must find guests in files of a p2m file system. */
#include "p2m_tools.h"
#include "kselftest_harness.h"

#define DIR		"/tmp/p2m"
#define VM		DIR "/vm"

FIXTURE(file)
{
	struct vmm vmm;
};

/* The same guest is found in two descriptors, a mapping and the directory. */
FIXTURE_SETUP(file)
{
	struct memory memory = { .nr = 1, .path = VM, .descriptors = 2 };

	ASSERT_TRUE(p2m_all_freed());
	ASSERT_EQ(0, run("mkdir -p " DIR " && mount -t p2m none " DIR));
	start_vmm_on(&self->vmm, &memory);
}

FIXTURE_TEARDOWN(file)
{
	EXPECT_EQ(0, end_vmm(&self->vmm));
	EXPECT_EQ(0, run("umount " DIR)) TH_LOG("%s", said);
	EXPECT_TRUE(p2m_all_freed());
}

/* How many times @said has a text */
static int times_said(const char *text)
{
	const char *at = said;
	int times = 0;

	while ((at = strstr(at, text))) {
		times++;
		at += strlen(text);
	}
	return times;
}

TEST_F_TIMEOUT(file, is_named_by_its_path_or_by_a_process, 120)
{
	EXPECT_EQ(0, run(P2MCTL "list"));
	EXPECT_EQ(1, times_said(VM)) TH_LOG("%s", said);
	EXPECT_EQ(self->vmm.pid, number_after("FILE\n"));
	EXPECT_EQ(0, run(P2MCTL "page-out " VM " --pages 100"));
	EXPECT_SAID("100 pages out (0.4 MiB), 0 busy");
	EXPECT_EQ(0, run(P2MCTL "page-in %d", self->vmm.pid));
	EXPECT_SAID("100 pages in");
	EXPECT_EQ(0, run(P2MCTL "stat"));
	EXPECT_EQ(1, times_said("guest ")) TH_LOG("%s", said);
	let_write(&self->vmm);
}

TEST_F_TIMEOUT(file, is_found_without_a_name, 120)
{
	ASSERT_EQ(0, unlink(VM));
	EXPECT_EQ(0, run(P2MCTL "page-out %d", self->vmm.pid));
	EXPECT_SAID("256 pages out");
	EXPECT_EQ(0, run(P2MCTL "list"));
	EXPECT_SAID(VM " (deleted)");
	/* Nor is it lost if its file system is nowhere any more. */
	ASSERT_EQ(0, run("umount -l " DIR "; mount -t p2m none " DIR));
	EXPECT_EQ(0, run(P2MCTL "page-in %d", self->vmm.pid));
	EXPECT_SAID("256 pages in");
}

TEST_F_TIMEOUT(file, is_found_if_it_is_only_mapped, 120)
{
	struct memory memory = { .nr = 1, .path = DIR "/mapped" };
	struct vmm other;

	start_vmm_on(&other, &memory);
	EXPECT_EQ(0, run(P2MCTL "page-out %d", other.pid));
	EXPECT_SAID("256 pages out");
	EXPECT_EQ(0, end_vmm(&other));
}

TEST_F_TIMEOUT(file, is_found_without_a_process, 120)
{
	EXPECT_EQ(0, end_vmm(&self->vmm));
	EXPECT_EQ(0, run(P2MCTL "list"));
	EXPECT_NE(NULL, strstr(said, "\n      - ")) TH_LOG("%s", said);
	EXPECT_SAID(VM);
	EXPECT_EQ(0, run(P2MCTL "share --json"));
	EXPECT_SAID("\"pid\": null");
	EXPECT_EQ(0, run(P2MTOP "--once"));
	EXPECT_SAID("      - vm ");
	start_vmm(&self->vmm, 1);
}

TEST_F_TIMEOUT(file, is_named_by_its_libvirt_domain, 120)
{
	ASSERT_EQ(0, run("mkdir -p /run/libvirt/qemu;"
			 " echo -n %d >/run/libvirt/qemu/debian-12.pid",
			 self->vmm.pid));
	EXPECT_EQ(0, run(P2MCTL "page-out debian-12"));
	EXPECT_SAID("256 pages out");
	EXPECT_EQ(NO_GUEST, run(P2MCTL "page-in debian-12 --guest 999999"));
	EXPECT_SAID("domain debian-12");
	EXPECT_EQ(0, run("rm /run/libvirt/qemu/debian-12.pid"));
}

/* Run a copy of p2mctl as another user, who cannot read this tree. */
#define USER_P2MCTL							\
	"setpriv --reuid 1000 --regid 1000 --clear-groups"		\
	" python3 -S /tmp/tools/p2mctl "

TEST_F_TIMEOUT(file, is_for_its_owner, 120)
{
	ASSERT_EQ(0, run("mkdir -p /tmp/tools; chmod 755 /tmp/tools;"
			 " cp " P2M_TOOLS "/p2m* /tmp/tools"));
	EXPECT_EQ(NO_PERMISSION, run(USER_P2MCTL "page-out " VM));
	EXPECT_SAID("own it, or be root");
	EXPECT_EQ(NO_PERMISSION, run(USER_P2MCTL "page-out %d",
				     self->vmm.pid));
	EXPECT_EQ(0, run(USER_P2MCTL "list"));
	EXPECT_SAID("(1 files could not be looked into: not root)");
	ASSERT_EQ(0, chown(VM, 1000, 1000));
	EXPECT_EQ(0, run(USER_P2MCTL "page-out " VM));
	EXPECT_SAID("256 pages out");
}

TEST_F_TIMEOUT(file, system_is_mounted_once, 120)
{
	EXPECT_EQ(0, run(P2MCTL
			 "mount /tmp/a/b --size 1m --mode 1750 --gid 3 --share never"));
	EXPECT_EQ(0, run("stat -c '%%a %%g' /tmp/a/b; grep /tmp/a/b /proc/mounts"));
	EXPECT_SAID("1750 3\n");
	EXPECT_SAID("nosuid,nodev,noexec");
	EXPECT_SAID("size=1024k,share=never");
	EXPECT_EQ(0, run(P2MCTL "mount /tmp/a/b"));
	EXPECT_SAID("already");
	EXPECT_EQ(0, run("umount /tmp/a/b; ! grep /tmp/a/b /proc/mounts"));
}

TEST_HARNESS_MAIN
