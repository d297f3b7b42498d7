/* SPDX-License-Identifier: GPL-2.0 */
/* For tests of the tools: run a program, and a process that runs guests */
#ifndef _P2M_TOOLS_H
#define _P2M_TOOLS_H

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

#include "p2m_guest.h"

/* The Makefile sets P2M_TOOLS, the directory of the tools. */
#define P2MCTL		P2M_TOOLS "/p2mctl "
#define P2MTOP		P2M_TOOLS "/p2mtop "
#define PAGER		P2M_TOOLS "/p2mpager "

/* In frames.  In each guest every other frame is zero; half are written to. */
#define SIZE		256
#define ZERO		(SIZE / 2)
#define WRITTEN		(SIZE / 2)
#define MAX_GUESTS	2

/* Exit codes of the programs */
#define REFUSED		1
#define USAGE		2
#define NO_PROCESS	4
#define NO_GUEST	5
#define NO_PERMISSION	6
#define SEVERAL		8

static char said[1 << 18];

/* Run a shell command; @said is what it prints.  Return: its exit code */
static inline int run(const char *format, ...)
{
	char command[1024];
	size_t len;
	va_list ap;
	FILE *pipe;
	int status;

	va_start(ap, format);
	vsnprintf(command, sizeof(command) - 8, format, ap);
	va_end(ap);
	strcat(command, " 2>&1");
	fflush(stdout);
	pipe = popen(command, "r");
	TEST_ASSERT(pipe, "popen");
	len = fread(said, 1, sizeof(said) - 1, pipe);
	said[len] = 0;
	status = pclose(pipe);
	TEST_ASSERT(WIFEXITED(status), "%s was killed", command);
	return WEXITSTATUS(status);
}

/* The number that follows a text in @said, or -1 */
static inline long number_after(const char *text)
{
	const char *at = strstr(said, text);

	return at ? strtol(at + strlen(text), NULL, 10) : -1;
}

#define EXPECT_SAID(text)						\
	EXPECT_NE(NULL, strstr(said, text))				\
		TH_LOG("not \"%s\" but: %s", text, said)

static inline void guest_write(u64 tag, u64 vcpu, u64 nr)
{
	u64 pass, gfn;

	for (pass = 1; ; pass++) {
		for (gfn = 0; gfn < WRITTEN; gfn++)
			WRITE_ONCE(((u64 *)(P2M_GPA +
					    gfn * P2M_PAGE_SIZE))[1], pass);
		GUEST_SYNC(pass);
	}
}

/* Open and map the file, and keep so many descriptors of it. */
static inline void open_file(struct p2m_mem *mem, const char *path,
			     int descriptors)
{
	mem->fd = open(path, O_RDWR | O_CREAT, 0600);
	TEST_ASSERT(mem->fd >= 0, "open %s", path);
	TEST_ASSERT(!ftruncate(mem->fd, SIZE * P2M_PAGE_SIZE), "ftruncate");
	mem->hva = p2m_map(mem->fd, 0, SIZE);
	mem->nr = SIZE;
	mem->tag = 1;
	if (!descriptors)
		close(mem->fd);
	while (--descriptors > 0)
		TEST_ASSERT(dup(mem->fd) >= 0, "dup");
}

/*
 * What memory a VMM has: that of @nr guests of /dev/p2m; or the file @path, of
 * which it keeps @descriptors
 */
struct memory {
	int nr;
	const char *path;
	int descriptors;
};

/*
 * The VMM fills the memory of its guests, all with the same contents, and
 * answers with a byte.  Then, for each byte that it gets, it lets the guests
 * write, and answers.
 */
static inline void be_vmm(const struct memory *memory, int in, int out)
{
	struct p2m_mem mem[MAX_GUESTS];
	struct p2m_vm vm[MAX_GUESTS];
	int nr = memory->nr;
	char byte;
	u64 gfn;
	int i;

	for (i = 0; i < nr; i++) {
		if (memory->path)
			open_file(&mem[i], memory->path, memory->descriptors);
		else
			p2m_mem_open(&mem[i], SIZE);
		for (gfn = 0; gfn < SIZE; gfn++)
			memset(p2m_page(&mem[i], gfn),
			       gfn % 2 ? 0 : 'a' + gfn / 2 % 26, P2M_PAGE_SIZE);
		for (gfn = 0; gfn < SIZE; gfn += 2)
			*p2m_page(&mem[i], gfn) = gfn;
		p2m_vm_create(&vm[i], &mem[i], 1, guest_write);
	}
	while (write(out, "", 1) == 1 && read(in, &byte, 1) == 1) {
		for (i = 0; i < nr; i++)
			vcpu_run(vm[i].vcpu[0].vcpu);
	}
	_exit(0);
}

/* A VMM, as the test sees it */
struct vmm {
	pid_t pid;
	int to;
	int from;
};

/* Wait until the VMM has answered. */
static inline void wait_for_vmm(struct vmm *vmm)
{
	char byte;

	TEST_ASSERT(read(vmm->from, &byte, 1) == 1, "the VMM has gone");
}

static inline void start_vmm_on(struct vmm *vmm, const struct memory *memory)
{
	int to[2], from[2];

	TEST_ASSERT(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "pipe2");
	vmm->pid = p2m_fork();
	if (!vmm->pid) {
		close(to[1]);
		close(from[0]);
		be_vmm(memory, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	vmm->to = to[1];
	vmm->from = from[0];
	wait_for_vmm(vmm);
}

static inline void start_vmm(struct vmm *vmm, int nr)
{
	struct memory memory = { .nr = nr };

	start_vmm_on(vmm, &memory);
}

static inline void let_write(struct vmm *vmm)
{
	TEST_ASSERT(write(vmm->to, "", 1) == 1, "the VMM has gone");
	wait_for_vmm(vmm);
}

/* The VMM powers off. */
static inline int end_vmm(struct vmm *vmm)
{
	int code;

	close(vmm->to);
	code = p2m_wait(vmm->pid);
	close(vmm->from);
	return code;
}

#endif /* _P2M_TOOLS_H */
