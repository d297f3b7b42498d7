// SPDX-License-Identifier: GPL-2.0
/*
 * Files of a p2m file system that have several users: clones share pages, back
 * ends only map, and who controls has to be the owner.
 */
#include "p2m_fs.h"

/* ---- Clones --------------------------------------------------------- */

/* linux/fs.h and sys/mount.h cannot both be included. */
#define FICLONE		_IOW(0x94, 9, int)

/* A clone of the file, mapped */
static int clone_of(struct p2m_mem *clone, struct p2m_mem *mem,
		    const char *path)
{
	mem_of_file(clone, path, mem->nr);
	clone->tag = mem->tag;
	return ioctl(clone->fd, FICLONE, mem->fd) ? -errno : 0;
}

TEST_F(fs, a_clone_shares_all_pages)
{
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 0, 300);
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 100, 100);
	ASSERT_EQ(0, clone_of(&clone, &self->mem, path));
	EXPECT_EQ(300, p2m_totals().pages);
	EXPECT_EQ(0, p2m_totals().store);
	EXPECT_EQ(300, p2m_stats(clone.fd).shared);
	EXPECT_EQ(0, p2m_audit(clone.fd).errors);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 0, 300));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&clone, 300, NR_FRAMES - 300));
	/* Each goes its own way. */
	*p2m_page(&clone, 5) = 1;
	*p2m_page(&self->mem, 6) = 2;
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 6));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 6, 294));
	p2m_mem_close(&clone);
	unlink(path);
}

TEST_F(fs, a_clone_of_what_somebody_has_is_a_copy)
{
	struct p2m_foreign foreign = {
		.size = sizeof(foreign), .gfn = 3, .nr = 1
	};
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 0, 10);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_FOREIGN_MAP, &foreign));
	ASSERT_EQ(0, clone_of(&clone, &self->mem, path));
	EXPECT_EQ(9, p2m_stats(clone.fd).shared);
	EXPECT_EQ(10, p2m_stats(clone.fd).resident);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 0, 10));
	close(foreign.fd);
	p2m_mem_close(&clone);
	unlink(path);
}

TEST_F(fs, a_clone_replaces_what_was_there)
{
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 10, 10);
	mem_of_file(&clone, path, NR_FRAMES);
	p2m_mem_fill(&clone, 0, NR_FRAMES);
	ASSERT_EQ(0, ioctl(clone.fd, FICLONE, self->mem.fd));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&clone, 0, 10));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 10, 10));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&clone, 20, NR_FRAMES - 20));
	EXPECT_EQ(0, p2m_audit(clone.fd).errors);
	p2m_mem_close(&clone);
	unlink(path);
}

TEST_F(fs, a_clone_is_seen_where_nothing_was_read)
{
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	mem_of_file(&clone, path, NR_FRAMES);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&clone, 0, NR_FRAMES));
	ASSERT_EQ(0, ioctl(clone.fd, FICLONE, self->mem.fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 0, NR_FRAMES));
	p2m_mem_close(&clone);
	unlink(path);
}

TEST_F(fs, a_clone_of_pages_of_2_mb_takes_no_more_memory)
{
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	munmap(self->mem.hva, SIZE);
	self->mem.hva = p2m_map_huge(self->mem.fd, 0, NR_FRAMES);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	ASSERT_EQ(0, clone_of(&clone, &self->mem, path));
	EXPECT_EQ(NR_FRAMES, p2m_totals().pages);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&clone, 0, NR_FRAMES));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES));
	p2m_mem_close(&clone);
	unlink(path);
}

TEST_F(fs, a_guest_that_is_never_shared_is_not_cloned)
{
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 0, 10);
	ASSERT_EQ(0, p2m_set_domain(self->mem.fd, P2M_DOMAIN_NEVER));
	EXPECT_EQ(-EPERM, clone_of(&clone, &self->mem, path));
	p2m_mem_close(&clone);
	unlink(path);
}

static void be_user(int id)
{
	TEST_ASSERT(!setresgid(id, id, id) && !setresuid(id, id, id), "user");
}

static int try_clone(const char *from, const char *to, u64 domain)
{
	int in, out;

	be_user(1000);
	in = open(from, O_RDONLY);
	out = open(to, O_RDWR);
	if (in < 0 || out < 0)
		return 1;
	if (!ioctl(out, FICLONE, in) || errno != EPERM)
		return 2;
	/* To read a guest is not enough to change it. */
	if (p2m_set_domain(in, P2M_DOMAIN_NEVER) != -EPERM)
		return 3;
	return p2m_info(out).domain == domain ? 4 : 0;
}

TEST_F(fs, to_clone_a_guest_is_no_way_into_its_domain)
{
	struct p2m_mem clone;
	char path[80];
	pid_t pid;

	sprintf(path, "%s/clone", self->dir);
	mem_of_file(&clone, path, NR_FRAMES);
	ASSERT_EQ(0, fchown(clone.fd, 1000, 1000));
	ASSERT_EQ(0, fchmod(self->mem.fd, 0644));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	p2m_mem_fill(&self->mem, 0, 10);
	ASSERT_EQ(0, p2m_set_domain(self->mem.fd, 5));
	pid = p2m_fork();
	if (!pid)
		_exit(try_clone(self->path, path, 5));
	EXPECT_EQ(0, p2m_wait(pid));
	/* An administrator may. */
	EXPECT_EQ(0, ioctl(clone.fd, FICLONE, self->mem.fd));
	EXPECT_EQ(5, p2m_info(clone.fd).domain);
	p2m_mem_close(&clone);
	unlink(path);
}

static int try_third(const char *from, const char *to)
{
	int in, out;

	be_user(1000);
	in = open(from, O_RDWR);
	out = open(to, O_RDWR);
	if (in < 0 || out < 0)
		return 1;
	return !ioctl(out, FICLONE, in) || errno != EPERM ? 2 : 0;
}

TEST_F(fs, two_clones_are_not_brought_together_by_a_user)
{
	struct p2m_mem clone, third;
	char path[80], other[80];
	pid_t pid;

	sprintf(path, "%s/clone", self->dir);
	sprintf(other, "%s/third", self->dir);
	ASSERT_EQ(0, chmod(self->dir, 0755));
	ASSERT_EQ(0, fchmod(self->mem.fd, 0666));
	mem_of_file(&third, other, NR_FRAMES);
	ASSERT_EQ(0, fchown(third.fd, 1000, 1000));
	p2m_mem_fill(&self->mem, 0, 10);
	ASSERT_EQ(0, clone_of(&clone, &self->mem, path));
	pid = p2m_fork();
	if (!pid)
		_exit(try_third(self->path, other));
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(0, ioctl(third.fd, FICLONE, self->mem.fd));
	p2m_mem_close(&clone);
	p2m_mem_close(&third);
	unlink(path);
	unlink(other);
}

TEST_F(fs, a_clone_can_leave_its_source)
{
	struct p2m_range range = { .size = sizeof(range), .nr = NR_FRAMES };
	struct p2m_scan scan = { .size = sizeof(scan), .nr = NR_FRAMES };
	struct p2m_mem clone;
	char path[80];

	sprintf(path, "%s/clone", self->dir);
	p2m_mem_fill(&self->mem, 0, 10);
	ASSERT_EQ(0, clone_of(&clone, &self->mem, path));
	EXPECT_EQ(-EBUSY, p2m_set_domain(clone.fd, P2M_DOMAIN_ALONE));
	ASSERT_EQ(0, p2m_call(clone.fd, P2M_UNSHARE, &range));
	ASSERT_EQ(0, p2m_set_domain(clone.fd, P2M_DOMAIN_ALONE));
	ASSERT_EQ(0, p2m_call(clone.fd, P2M_SHARE_SCAN, &scan));
	EXPECT_EQ(0, scan.done);
	p2m_mem_close(&clone);
	unlink(path);
}

/* ---- Who may control ------------------------------------------------ */

/* What a call that does more than map a guest says */
static int controls(int fd)
{
	struct p2m_pager_attach attach = {
		.size = sizeof(attach), .policy = P2M_PAGER_STORE
	};
	struct p2m_pod pod = { .size = sizeof(pod), .target = 1 };
	struct p2m_scan scan = { .size = sizeof(scan), .nr = 1 };
	struct p2m_audit audit = { .size = sizeof(audit) };
	struct p2m_foreign foreign = { .size = sizeof(foreign), .nr = 1 };
	struct p2m_range range = { .size = sizeof(range), .nr = 1 };
	int ret = p2m_call(fd, P2M_PAGER_ATTACH, &attach);

	if (p2m_call(fd, P2M_POD_SET, &pod) != ret ||
	    p2m_call(fd, P2M_SHARE_SCAN, &scan) != ret ||
	    p2m_call(fd, P2M_AUDIT, &audit) != ret ||
	    p2m_call(fd, P2M_FOREIGN_MAP, &foreign) != ret ||
	    p2m_call(fd, P2M_PAGE_OUT, &range) != ret)
		return 1;
	return ret;
}

/* A back end is another user, and was handed the descriptor. */
static int be_back_end(int fd)
{
	struct p2m_stats stats = { .size = sizeof(stats) };
	char name[40];

	be_user(1000);
	if (controls(fd) != -EPERM)
		return 1;
	/* It may use what it has. */
	if (p2m_call(fd, P2M_GET_STATS, &stats))
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	    MAP_FAILED)
		return 3;
	/* It may not take memory from the VMM. */
	if (!ftruncate(fd, 4096) || errno != EPERM)
		return 5;
	/* It cannot open it for more. */
	sprintf(name, "/proc/self/fd/%d", fd);
	if (open(name, O_CONTROL) >= 0 || errno != EACCES)
		return 4;
	return 0;
}

TEST_F(fs, a_back_end_can_only_map)
{
	pid_t pid = p2m_fork();

	if (!pid)
		_exit(be_back_end(self->mem.fd));
	EXPECT_EQ(0, p2m_wait(pid));
}

TEST_F(fs, a_back_end_of_a_file_that_all_may_write_can_only_map)
{
	pid_t pid;
	int fd;

	ASSERT_EQ(0, fchmod(self->mem.fd, 0666));
	pid = p2m_fork();
	if (!pid) {
		be_user(1000);
		fd = open(self->path, O_CONTROL);
		_exit(fd >= 0 || errno != EPERM ||
		      controls(self->mem.fd) != -EPERM);
	}
	EXPECT_EQ(0, p2m_wait(pid));
}

/* The owner is no administrator. */
static int be_owner(const char *path, int mapping)
{
	struct pollfd poll_fd = { .events = POLLIN };
	struct p2m_pager_attach attach = {
		.size = sizeof(attach), .policy = P2M_PAGER_STORE
	};
	struct p2m_event event;
	int fd;

	be_user(1000);
	if (controls(mapping) != -EPERM)
		return 1;
	fd = open(path, O_CONTROL);
	if (fd < 0)
		return 2;
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED)
		return 3;
	if (p2m_move(fd, P2M_PAGE_OUT, 0, NR_FRAMES).done != 1)
		return 4;
	if (p2m_call(fd, P2M_PAGER_ATTACH, &attach))
		return 5;
	poll_fd.fd = fd;
	if (poll(&poll_fd, 1, 0))
		return 6;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (read(fd, &event, sizeof(event)) >= 0 || errno != EAGAIN)
		return 7;
	return 0;
}

TEST_F(fs, the_owner_controls_by_an_open_for_control)
{
	pid_t pid;

	ASSERT_EQ(0, fchown(self->mem.fd, 1000, 1000));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	p2m_mem_fill(&self->mem, 0, 1);
	pid = p2m_fork();
	if (!pid)
		_exit(be_owner(self->path, self->mem.fd));
	EXPECT_EQ(0, p2m_wait(pid));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 1));
}

TEST_F(fs, nobody_controls_through_a_mount_that_is_read_only)
{
	char dir[64] = "/tmp/p2m.ro.XXXXXX", path[80];

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount(self->dir, dir, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
			   NULL));
	sprintf(path, "%s/vm", dir);
	EXPECT_EQ(-1, open(path, O_CONTROL));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

/* Others who want the file can be killed, and its directory is free. */
TEST_F(fs, a_write_that_waits_for_a_pager_is_in_nobodys_way)
{
	static char out[P2M_PAGE_SIZE];
	int control = open(self->path, O_CONTROL), fd;
	pid_t writer, other;
	char path[80];

	ASSERT_LE(0, control);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	evict_last(control, out);
	writer = p2m_fork();
	if (!writer)
		_exit(pwrite(self->mem.fd, out, 1, SIZE - 1) != 1);
	while (!p2m_stats(control).events)
		usleep(1000);
	usleep(100000);
	EXPECT_TRUE(p2m_is_alive(writer));
	other = p2m_fork();
	if (!other)
		_exit(unlink(self->path));
	EXPECT_EQ(0, p2m_wait(other));
	sprintf(path, "%s/another", self->dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(0, fchmod(self->mem.fd, 0600));
	ASSERT_EQ(0, kill(writer, SIGKILL));
	EXPECT_EQ(-SIGKILL, p2m_wait(writer));
	close(control);
}

TEST_HARNESS_MAIN
