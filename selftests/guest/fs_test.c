// SPDX-License-Identifier: GPL-2.0
/*
 * The p2m file system: a file is a guest, and does what programs expect of a
 * file.
 */
#include "p2m_fs.h"

/* ---- Size ----------------------------------------------------------- */

static off_t size_of(int fd)
{
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st), "fstat");
	return st.st_size;
}

TEST_F(fs, the_size_of_the_file_is_that_of_the_guest)
{
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
	EXPECT_EQ(SIZE, lseek(self->mem.fd, 0, SEEK_END));
	EXPECT_EQ(NR_FRAMES, p2m_info(self->mem.fd).gfns);
	ASSERT_EQ(0, ftruncate(self->mem.fd, 2 * SIZE));
	EXPECT_EQ(2 * NR_FRAMES, p2m_info(self->mem.fd).gfns);
}

TEST_F(fs, what_is_in_memory_is_what_du_says)
{
	struct stat st;

	p2m_mem_fill(&self->mem, 0, 100);
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 0, 50);
	ASSERT_EQ(0, fstat(self->mem.fd, &st));
	EXPECT_EQ(100 * P2M_PAGE_SIZE, st.st_blocks * 512);
}

/* Does a touch raise SIGBUS? */
static bool is_bus_error(void *at)
{
	u64 one = 1;

	return p2m_write_refused(at, &one);
}

TEST_F(fs, a_file_that_shrinks_drops_its_frames)
{
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 100, 100);
	ASSERT_EQ(0, ftruncate(self->mem.fd, 150 * P2M_PAGE_SIZE));
	EXPECT_EQ(100, p2m_totals().pages);
	EXPECT_EQ(50, p2m_totals().store);
	EXPECT_TRUE(is_bus_error(self->mem.hva + 150 * P2M_PAGE_SIZE));
	EXPECT_TRUE(is_bus_error(self->mem.hva + 500 * P2M_PAGE_SIZE));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 150));
	/* What comes back is zero. */
	ASSERT_EQ(0, ftruncate(self->mem.fd, SIZE));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 150, NR_FRAMES - 150));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 150));
}

TEST_F(fs, a_file_that_shrinks_shrinks_its_pool)
{
	struct p2m_pod pod = { .size = sizeof(pod), .target = 64 };

	p2m_mem_fill(&self->mem, 0, 64);
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_SET, &pod));
	ASSERT_EQ(NR_FRAMES - 64, pod.entries);
	ASSERT_EQ(0, ftruncate(self->mem.fd, 32 * P2M_PAGE_SIZE));
	ASSERT_EQ(0, p2m_call(self->mem.fd, P2M_POD_GET, &pod));
	EXPECT_EQ(32, pod.populated);
	EXPECT_EQ(0, pod.entries);
	EXPECT_EQ(0, p2m_audit(self->mem.fd).errors);
	ASSERT_EQ(0, ftruncate(self->mem.fd, 0));
	EXPECT_EQ(0, p2m_totals().pages);
}

TEST_F(fs, a_file_may_shrink_while_a_pager_has_its_end)
{
	static char out[P2M_PAGE_SIZE];
	struct p2m_page page = {
		.size = sizeof(page), .gfn = NR_FRAMES - 1, .addr = (u64)out,
	};
	int control = open(self->path, O_CONTROL);
	pid_t pid;

	ASSERT_LE(0, control);
	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	evict_last(control, out);
	pid = p2m_fork();
	if (!pid)
		_exit(*p2m_page(&self->mem, NR_FRAMES - 1) != 0);
	while (!p2m_stats(control).events)
		usleep(1000);
	ASSERT_EQ(0, ftruncate(self->mem.fd, SIZE - P2M_PAGE_SIZE));
	EXPECT_EQ(-SIGBUS, p2m_wait(pid));
	EXPECT_EQ(-ERANGE, p2m_call(control, P2M_PREP, &page));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, NR_FRAMES - 1));
	ASSERT_EQ(0, ftruncate(self->mem.fd, SIZE));
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, NR_FRAMES - 1, 1));
	close(control);
}

TEST_F(fs, what_was_only_read_past_the_end_is_gone)
{
	char word[8] = "written";

	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, NR_FRAMES));
	ASSERT_EQ(0, ftruncate(self->mem.fd, 0));
	EXPECT_TRUE(is_bus_error(p2m_page(&self->mem, 1)));
	ASSERT_EQ(0, ftruncate(self->mem.fd, SIZE));
	ASSERT_EQ(8, pwrite(self->mem.fd, word, 8, 5 * P2M_PAGE_SIZE));
	EXPECT_EQ(0, memcmp(word, p2m_page(&self->mem, 5), 8));
	*p2m_page(&self->mem, 6) = 6;
	EXPECT_EQ(6, *p2m_page(&self->mem, 6));
}

/* A hold there would make a table of the lock, of 32 KB for each GB. */
TEST_F(fs, a_touch_far_past_the_end_is_sigbus_and_takes_no_memory)
{
	u64 before = p2m_mem_free(), gb;
	char *at;

	for (gb = 1; gb <= 1024; gb++) {
		at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			  self->mem.fd, gb << 30);
		ASSERT_NE(MAP_FAILED, at);
		ASSERT_TRUE(is_bus_error(at));
		munmap(at, 4096);
	}
	EXPECT_GT(p2m_mem_free() + (8UL << 20), before);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED,
				   self->mem.fd, 1L << 62));
	EXPECT_EQ(EOVERFLOW, errno);
}

TEST_F(fs, a_page_of_2_mb_is_cut)
{
	char *at;

	ASSERT_EQ(0, ftruncate(self->mem.fd, 2 * P2M_CHUNK * P2M_PAGE_SIZE));
	at = p2m_map_huge(self->mem.fd, 0, 2 * P2M_CHUNK);
	at[0] = 7;
	at[2 * P2M_CHUNK * P2M_PAGE_SIZE - 1] = 7;
	ASSERT_EQ(0, ftruncate(self->mem.fd, 3 * P2M_PAGE_SIZE));
	EXPECT_LE(p2m_totals().pages, 3);
	EXPECT_EQ(7, at[0]);
	EXPECT_TRUE(is_bus_error(at + 3 * P2M_PAGE_SIZE));
	munmap(at, 2 * P2M_CHUNK * P2M_PAGE_SIZE);
}

TEST_F(fs, a_page_of_2_mb_that_somebody_holds_is_not_cut)
{
	struct p2m_mem large;
	int pipes[2];

	mem_of_file(&large, self->path, 2 * P2M_CHUNK);
	munmap(large.hva, large.nr * P2M_PAGE_SIZE);
	large.hva = p2m_map_huge(large.fd, 0, large.nr);
	p2m_mem_fill(&large, 0, P2M_CHUNK);
	ASSERT_EQ(0, pipe(pipes));
	p2m_mem_hold(pipes[1], &large, 9);
	EXPECT_EQ(-1, ftruncate(large.fd, 3 * P2M_PAGE_SIZE));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(2 * P2M_CHUNK * P2M_PAGE_SIZE, size_of(large.fd));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&large, 0, P2M_CHUNK));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(0, ftruncate(large.fd, 3 * P2M_PAGE_SIZE));
	p2m_mem_close(&large);
}

TEST_F(fs, a_size_is_of_whole_frames)
{
	EXPECT_EQ(-1, ftruncate(self->mem.fd, SIZE + 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ftruncate(self->mem.fd, (P2M_MAX_GFNS + 1) << 12));
	EXPECT_EQ(EFBIG, errno);
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
}

/* ---- Contents ------------------------------------------------------- */

TEST_F(fs, to_read_a_hole_allocates_nothing)
{
	char page[P2M_PAGE_SIZE];

	memset(page, 1, sizeof(page));
	ASSERT_EQ(sizeof(page), pread(self->mem.fd, page, sizeof(page), 4096));
	EXPECT_EQ(0, page[0]);
	EXPECT_EQ(0, memcmp(page, page + 1, sizeof(page) - 1));
	EXPECT_EQ(0, p2m_totals().pages);
}

TEST_F(fs, to_read_what_is_paged_out_leaves_it_there)
{
	u64 words[2 * P2M_WORDS];
	u64 first;

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	first = *p2m_page(&self->mem, 1);
	p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	ASSERT_EQ(sizeof(words), pread(self->mem.fd, words, sizeof(words),
				       P2M_PAGE_SIZE));
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(NR_FRAMES, p2m_totals().store);
	EXPECT_EQ(first, *p2m_page(&self->mem, 1));
	EXPECT_EQ(0, memcmp(words, p2m_page(&self->mem, 1), sizeof(words)));
}

TEST_F(fs, what_is_paged_out_can_be_sent)
{
	FILE *copy = tmpfile();
	char is[P2M_PAGE_SIZE];

	ASSERT_NE(NULL, copy);
	p2m_mem_fill(&self->mem, 0, 16);
	ASSERT_EQ(1, p2m_move(self->mem.fd, P2M_PAGE_OUT, 8, 1).done);
	ASSERT_EQ(16 * P2M_PAGE_SIZE, sendfile(fileno(copy), self->mem.fd, NULL,
					       16 * P2M_PAGE_SIZE));
	EXPECT_EQ(1, p2m_stats(self->mem.fd).paged);
	ASSERT_EQ(P2M_PAGE_SIZE, pread(fileno(copy), is, sizeof(is),
				       8 * P2M_PAGE_SIZE));
	EXPECT_EQ(0, memcmp(is, p2m_page(&self->mem, 8), sizeof(is)));
	fclose(copy);
}

TEST_F(fs, what_is_written_is_mapped)
{
	char text[] = "across two frames";
	off_t at = 7 * P2M_PAGE_SIZE - 6;

	p2m_mem_fill(&self->mem, 6, 1);
	p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	ASSERT_EQ(sizeof(text), pwrite(self->mem.fd, text, sizeof(text), at));
	EXPECT_EQ(0, memcmp(text, self->mem.hva + at, sizeof(text)));
	EXPECT_EQ(2, p2m_totals().pages);
}

TEST_F(fs, a_write_past_the_end_makes_the_file_longer)
{
	char page[P2M_PAGE_SIZE] = "the end";

	ASSERT_EQ(sizeof(page), pwrite(self->mem.fd, page, sizeof(page), SIZE));
	EXPECT_EQ(SIZE + sizeof(page), size_of(self->mem.fd));
	EXPECT_EQ(-1, pwrite(self->mem.fd, page, 5, SIZE + sizeof(page)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, pread(self->mem.fd, page, 5, SIZE + sizeof(page)));
}

/* Linux does not lock mappings that cannot grow, as those of /dev/p2m. */
TEST_F(fs, memory_that_is_locked_has_pages)
{
	ASSERT_EQ(0, mlock(self->mem.hva, 16 * P2M_PAGE_SIZE));
	EXPECT_EQ(16, p2m_totals().pages);
}

/* ---- Holes ---------------------------------------------------------- */

static off_t seek(int fd, u64 gfn, int whence)
{
	off_t at = lseek(fd, gfn * P2M_PAGE_SIZE, whence);

	return at < 0 ? -errno : at / P2M_PAGE_SIZE;
}

TEST_F(fs, data_and_holes_are_found)
{
	p2m_mem_fill(&self->mem, 10, 5);
	p2m_mem_fill(&self->mem, P2M_CHUNK + 1, 1);
	p2m_move(self->mem.fd, P2M_PAGE_OUT, 12, 1);
	EXPECT_EQ(10, seek(self->mem.fd, 0, SEEK_DATA));
	EXPECT_EQ(0, seek(self->mem.fd, 0, SEEK_HOLE));
	EXPECT_EQ(15, seek(self->mem.fd, 11, SEEK_HOLE));
	EXPECT_EQ(P2M_CHUNK + 1, seek(self->mem.fd, 15, SEEK_DATA));
	EXPECT_EQ(P2M_CHUNK + 2, seek(self->mem.fd, P2M_CHUNK + 1, SEEK_HOLE));
	EXPECT_EQ(-ENXIO, seek(self->mem.fd, P2M_CHUNK + 2, SEEK_DATA));
	EXPECT_EQ(-ENXIO, seek(self->mem.fd, NR_FRAMES, SEEK_HOLE));
	p2m_mem_fill(&self->mem, NR_FRAMES - 1, 1);
	EXPECT_EQ(NR_FRAMES, seek(self->mem.fd, NR_FRAMES - 1, SEEK_HOLE));
}

static int punch(int fd, off_t at, off_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			 len) ? -errno : 0;
}

TEST_F(fs, a_hole_is_a_discard)
{
	u64 *words = p2m_page(&self->mem, 9);

	p2m_mem_fill(&self->mem, 0, NR_FRAMES);
	memset(words, 0xff, 2 * P2M_PAGE_SIZE);
	/* Half of frame 9, to half of frame 20 */
	ASSERT_EQ(0, punch(self->mem.fd, 9 * 4096 + 2048, 11 * 4096));
	EXPECT_EQ(NR_FRAMES - 10, p2m_totals().pages);
	EXPECT_EQ(~0UL, words[2048 / 8 - 1]);
	EXPECT_EQ(0, words[2048 / 8]);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 10, 10));
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 21, NR_FRAMES - 21));
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
	EXPECT_EQ(0, punch(self->mem.fd, SIZE + 4096, 4096));
	EXPECT_EQ(-EOPNOTSUPP, fallocate(self->mem.fd, FALLOC_FL_ZERO_RANGE, 0,
					 4096) ? -errno : 0);
}

TEST_F(fs, a_write_that_fails_leaves_the_size)
{
	EXPECT_EQ(-1, pwrite(self->mem.fd, (void *)1, 4096, SIZE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
	EXPECT_EQ(-1, pwrite(self->mem.fd, (void *)1, 4096, SIZE + (8 << 20)));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
	EXPECT_EQ(-1, pwrite(self->mem.fd, "a", 1, SIZE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(SIZE, size_of(self->mem.fd));
}

TEST_F(fs, a_write_that_stops_half_way_leaves_no_gap)
{
	char *pages = mmap(NULL, 2 * P2M_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, pages);
	munmap(pages + P2M_PAGE_SIZE, P2M_PAGE_SIZE);
	fcntl(self->mem.fd, F_SETFL, O_APPEND);
	EXPECT_EQ(P2M_PAGE_SIZE, write(self->mem.fd, pages, 2 * P2M_PAGE_SIZE));
	EXPECT_EQ(SIZE + P2M_PAGE_SIZE, size_of(self->mem.fd));
	munmap(pages, P2M_PAGE_SIZE);
}

TEST_F(fs, to_allocate_is_to_populate)
{
	ASSERT_EQ(0, fallocate(self->mem.fd, 0, 0, 100 * P2M_PAGE_SIZE));
	EXPECT_EQ(100, p2m_totals().pages);
	ASSERT_EQ(0, fallocate(self->mem.fd, 0, SIZE, 1));
	EXPECT_EQ(SIZE + P2M_PAGE_SIZE, size_of(self->mem.fd));
	EXPECT_EQ(101, p2m_totals().pages);
	ASSERT_EQ(0, fallocate(self->mem.fd, FALLOC_FL_KEEP_SIZE, SIZE,
			       100 * P2M_PAGE_SIZE));
	EXPECT_EQ(SIZE + P2M_PAGE_SIZE, size_of(self->mem.fd));
}

/* ---- Names ---------------------------------------------------------- */

TEST_F(fs, a_file_lives_without_a_descriptor)
{
	p2m_mem_fill(&self->mem, 0, 10);
	p2m_mem_close(&self->mem);
	EXPECT_EQ(10, p2m_totals().pages);
	mem_of_file(&self->mem, self->path, NR_FRAMES);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 10));
}

TEST_F(fs, a_file_without_a_name_lives_with_its_descriptor)
{
	ASSERT_EQ(0, unlink(self->path));
	p2m_mem_fill(&self->mem, 0, 10);
	EXPECT_EQ(10, p2m_totals().pages);
	p2m_mem_close(&self->mem);
	EXPECT_EQ(0, p2m_totals().pages);
	EXPECT_EQ(0, p2m_totals().guests);
	self->mem.fd = open(self->dir, O_TMPFILE | O_RDWR, 0600);
	ASSERT_LE(0, self->mem.fd);
	ASSERT_EQ(0, ftruncate(self->mem.fd, SIZE));
	self->mem.hva = p2m_map(self->mem.fd, 0, NR_FRAMES);
	self->mem.nr = NR_FRAMES;
	p2m_mem_fill(&self->mem, 0, 10);
	EXPECT_EQ(0, p2m_mem_wrong_pages(&self->mem, 0, 10));
}

TEST_F(fs, directories_are_directories)
{
	char sub[64], file[80], other[80];

	sprintf(sub, "%s/sub", self->dir);
	sprintf(file, "%s/vm", sub);
	sprintf(other, "%s/two", sub);
	ASSERT_EQ(0, mkdir(sub, 0700));
	ASSERT_EQ(0, rename(self->path, file));
	ASSERT_EQ(0, link(file, other));
	EXPECT_EQ(-1, rmdir(sub));
	EXPECT_EQ(ENOTEMPTY, errno);
	EXPECT_EQ(0, unlink(file));
	EXPECT_EQ(0, unlink(other));
	EXPECT_EQ(0, rmdir(sub));
}

TEST_F(fs, is_busy_while_a_file_is_mapped)
{
	close(self->mem.fd);
	EXPECT_EQ(-1, umount(self->dir));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(0, p2m_mem_nonzero_pages(&self->mem, 0, 1));
	self->mem.fd = open(self->path, O_RDWR);
	ASSERT_LE(0, self->mem.fd);
}

/* ---- Options -------------------------------------------------------- */

TEST_F(fs, has_a_size)
{
	struct statfs fs;
	char dir[64], path[80];
	int fd;

	sprintf(dir, "%s", "/tmp/p2m.size.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount_at(dir, "size=1m,mode=0750,uid=3,gid=4"));
	sprintf(path, "%s/vm", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	EXPECT_EQ(0, ftruncate(fd, 1 << 20));
	EXPECT_EQ(-1, ftruncate(fd, (1 << 20) + 4096));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_EQ(0, statfs(dir, &fs));
	EXPECT_EQ(256, fs.f_blocks);
	EXPECT_EQ(0, fs.f_bfree);
	EXPECT_EQ(0, ftruncate(fd, 4096));
	EXPECT_EQ(0, statfs(dir, &fs));
	EXPECT_EQ(255, fs.f_bfree);
	close(fd);
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(0, statfs(dir, &fs));
	EXPECT_EQ(256, fs.f_bfree);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

static int remount(const char *dir, const char *options)
{
	return mount("none", dir, "p2m", MS_REMOUNT, options) ? -errno : 0;
}

TEST_F(fs, may_get_another_size_and_domain)
{
	struct statfs fs;
	int fd;

	/* The file of the test has more. */
	EXPECT_EQ(-EINVAL, remount(self->dir, "size=1m"));
	EXPECT_EQ(-EINVAL, remount(self->dir, "mode=0700"));
	EXPECT_EQ(-EINVAL, remount(self->dir, "uid=7"));
	EXPECT_EQ(0, remount(self->dir, "size=64m,share=never"));
	EXPECT_EQ(0, statfs(self->dir, &fs));
	EXPECT_EQ(64 * P2M_CHUNK / 2, fs.f_blocks);
	fd = open(self->dir, O_TMPFILE | O_RDWR, 0600);
	EXPECT_EQ(P2M_DOMAIN_NEVER, p2m_info(fd).domain);
	EXPECT_EQ(P2M_DOMAIN_ALONE, p2m_info(self->mem.fd).domain);
	close(fd);
	EXPECT_EQ(0, remount(self->dir, "size=0"));
}

TEST_F(fs, refuses_options_that_it_does_not_know)
{
	static const char * const bad[] = {
		"size=big", "size=1mx", "share=some", "mode=9", "nonsense",
		"uid=-1", "size=99999999999999999999", "size=16777216t",
		"size=17179869284g", "size=5b", "size=", "size=k",
		"size=00000000000000000000000000001m",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, mount_at(self->dir, bad[i]))
			TH_LOG("mount with %s", bad[i]);
}

TEST_F(fs, may_have_a_sharing_domain)
{
	char dir[64] = "/tmp/p2m.share.XXXXXX", path[80];
	int fd;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount_at(dir, "share=never"));
	sprintf(path, "%s/vm", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	EXPECT_EQ(P2M_DOMAIN_NEVER, p2m_info(fd).domain);
	close(fd);
	EXPECT_EQ(0, umount(dir));
	ASSERT_EQ(0, mount_at(dir, "share=5"));
	fd = open(path, O_RDWR | O_CREAT, 0600);
	EXPECT_EQ(5, p2m_info(fd).domain);
	close(fd);
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
}

/* ---- A guest runs on it --------------------------------------------- */

TEST_F_TIMEOUT(fs, a_guest_runs_while_it_is_paged, 120)
{
	struct p2m_vm vm;

	p2m_vm_create(&vm, &self->mem, 2, p2m_guest_worker);
	p2m_vm_start(&vm);
	while (p2m_vm_passes(&vm) < p2m_rounds(6))
		p2m_move_all(self->mem.fd, P2M_PAGE_OUT);
	p2m_vm_stop(&vm);
	EXPECT_EQ(0, p2m_vm_wrong_words(&vm));
	p2m_vm_destroy(&vm);
}

TEST_HARNESS_MAIN
