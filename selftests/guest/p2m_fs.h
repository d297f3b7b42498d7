/* SPDX-License-Identifier: GPL-2.0 */
/* For tests of the file system: a mount, and a guest in it */
#ifndef _P2M_FS_TEST_H
#define _P2M_FS_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "p2m_guest.h"
#include "kselftest_harness.h"

#define NR_FRAMES	(P2M_CHUNK + 64)
#define SIZE		(NR_FRAMES * P2M_PAGE_SIZE)
#define TYPE_RAM_RW	1

/* Access mode 3: for control, see open(2) */
#define O_CONTROL	(O_RDWR | O_WRONLY)

FIXTURE(fs)
{
	char dir[32];
	char path[64];
	struct p2m_mem mem;
};

static inline int mount_at(const char *dir, const char *options)
{
	return mount("none", dir, "p2m", 0, options) ? -errno : 0;
}

/* Open a file of some size, and map it. */
static inline void mem_of_file(struct p2m_mem *mem, const char *path, u64 nr)
{
	mem->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	TEST_ASSERT(mem->fd >= 0, "open %s", path);
	TEST_ASSERT(!ftruncate(mem->fd, nr * P2M_PAGE_SIZE), "ftruncate");
	mem->hva = p2m_map(mem->fd, 0, nr);
	mem->nr = nr;
	mem->tag = 1;
}

FIXTURE_SETUP(fs)
{
	strcpy(self->dir, "/tmp/p2m.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	sprintf(self->path, "%s/vm", self->dir);
	ASSERT_EQ(0, mount_at(self->dir, ""));
	mem_of_file(&self->mem, self->path, NR_FRAMES);
}

FIXTURE_TEARDOWN(fs)
{
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	p2m_mem_close(&self->mem);
	EXPECT_EQ(0, umount(self->dir));
	rmdir(self->dir);
	EXPECT_TRUE(p2m_all_freed());
	EXPECT_TRUE(p2m_module_unused());
}

/* Nominate and evict the last frame, with a pager that says nothing. */
static inline void evict_last(int control, char *to)
{
	struct p2m_pager_attach attach = {
		.size = sizeof(attach), .policy = P2M_PAGER_SIGBUS,
	};
	struct p2m_page page = {
		.size = sizeof(page), .gfn = NR_FRAMES - 1, .addr = (u64)to,
	};
	int ret = p2m_call(control, P2M_PAGER_ATTACH, &attach);

	TEST_ASSERT(!ret, "P2M_PAGER_ATTACH: %d", ret);
	TEST_ASSERT(p2m_move(control, P2M_NOMINATE, NR_FRAMES - 1, 1).done == 1,
		    "P2M_NOMINATE");
	ret = p2m_call(control, P2M_EVICT, &page);
	TEST_ASSERT(!ret, "P2M_EVICT: %d", ret);
}

#endif /* _P2M_FS_TEST_H */
