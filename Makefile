# SPDX-License-Identifier: GPL-2.0
# For people; `make help` is the manual.  The kernel's build reads Kbuild.

# The kernel to build for: the running one if it has headers; else the one with
# the newest headers under /lib/modules; else scripts/setup fetches headers.
find_kdir = $(patsubst %/Makefile,%,$(firstword \
	$(wildcard /lib/modules/$(shell uname -r)/build/Makefile) \
	$(shell ls -d /lib/modules/*/build/Makefile 2>/dev/null | sort -rV)))
KDIR ?= $(find_kdir)
PREFIX ?= /usr/local
INSTALL_MOD_PATH ?= $(DESTDIR)
export INSTALL_MOD_PATH
TOOLS = $(DESTDIR)$(PREFIX)/lib/p2m_rangelock
# systemd and udev look in /usr/local/lib and /usr/lib.
SYSTEM = $(DESTDIR)$(PREFIX)/lib

all: modules

help:
	@sed -n 's/^#| \{0,1\}//p' $(CURDIR)/Makefile

#| p2m_rangelock: KVM guests whose memory can be paged out and back while they
#| run, under a tree of exclusive range locks.  README.md says what it is for.
#|
#| To look at it.  Each of these can be the first command on a fresh Debian 12;
#| all that is missing is fetched first (packages through sudo), once.
#|
#|   make demo         a Debian guest on /dev/p2m in stock QEMU is paged out and
#|                     back while it checks its memory: in an emulated host, so
#|                     nothing of this machine is touched; 3 minutes or less
#|   make demo-host    the same on this machine's own KVM; loads the modules
#|                     for that time, after asking
#|   make check        every test: lint; the lock's model; the lock in user-mode
#|                     Linux, under lockdep and KASAN, and under torture; and
#|                     real guests in the emulated host, on Debian's kernel and
#|                     on a debug kernel; some 35 minutes on two cores, once all
#|                     is built
#|   make check-long   longer tests: the stress and a search for leaks on the
#|                     debug kernel; the guests' tests and the stress on the
#|                     newest kernel of backports; the stress on the newest
#|                     QEMU; and guests here without this project
#|   make torture      torture the lock for SECONDS=600, say
#|   make mutants      break the lock in many ways, one at a time, and check that
#|                     the test that is named for each of them notices
#|   make stress       every service at once on two running guests, for
#|                     SECONDS=600, say
#|   make bench-boot   the cost of a boot on /dev/p2m, compared with memfd
#|   make bench-lock   the cost of the lock, compared with a mutex and others
#|   make bench-guest  the cost of /dev/p2m for a guest, in instructions: first
#|                     touch, paging, sharing, log-dirty; compared with shmem,
#|                     THP, userfaultfd, zram, KSM and KVM's dirty log
#|   make bench        every benchmark; figures are kept in results/
#|   make study        the comparative study: the tree of locks against one lock
#|                     for a guest, and against others; up to 90 minutes, and
#|                     writes results/study/report.html and Documentation/study.md
#|   make study-xen    its part on real Xen, which is built for it
#|                     RESUME=1 goes on with a study that was interrupted
#|
#| To use it.
#|
#|   make              build p2m_rangelock.ko and kvm_p2m.ko, here
#|   make install      as root: install both modules; p2mctl, p2mtop and
#|                     p2mpager in PREFIX/sbin; the manuals; and for systemd
#|                     in PREFIX/lib: kvm_p2m.ko is loaded at every start, group
#|                     kvm may use /dev/p2m, and run-p2m.mount can be enabled
#|   make modules_install   as root: the modules alone
#|   make clean        remove what was built
#|
#|   then, as root:    modprobe kvm_p2m
#|   and for QEMU:     -object memory-backend-file,id=ram,mem-path=/dev/p2m,share=on,align=2M,size=512M
#|                     -machine memory-backend=ram
#|
#| Settings, after the target:
#|
#|   KDIR=DIR     build for the kernel whose headers or build tree is DIR;
#|                default: the running kernel's, else the newest under
#|                /lib/modules, else Debian's, which setup then installs
#|   V=1  W=1  C=1     the kernel build's: commands, more warnings, sparse
#|   REPEATS=N    repeats of the study (5)
#|   PREFIX=DIR   where the tools go (/usr/local);  DESTDIR=DIR  for packagers
#|
#| For work on it.
#|
#|   scripts/vm --shell       a prompt in the emulated host, modules loaded
#|   scripts/vm -- COMMAND    run one command there; see scripts/vm --help
#|   scripts/uml [COMMAND]    one command in user-mode Linux
#|   scripts/check [SUITE...] parts of make check: lint model lock map torture
#|                            guest qemu stress guest-debug stress-debug
#|   selftests/guest/run PROGRAM    one test program of selftests/guest
#|
#| All that was fetched and built is kept in ~/.cache/p2m_rangelock (or under
#| $XDG_CACHE_HOME), which can be deleted at any time.

setup:
	@scripts/setup

modules modules_install:
ifeq ($(KDIR),)
	@scripts/setup
	@$(MAKE) --no-print-directory $@ \
		KDIR="$$(bash -c '. scripts/lib.sh && echo $$CACHE/stock/build')"
else
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(key),,CONFIG_MODULE_SIG_ALL=) $@
endif

# Headers alone do not have the key that the kernel signs its modules with, nor
# the files without which its modules_install does not run depmod.
key = $(wildcard $(KDIR)/certs/signing_key.pem)
release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h)

install: modules_install
	$(if $(INSTALL_MOD_PATH),,depmod $(release))
	install -d $(TOOLS) $(DESTDIR)$(PREFIX)/sbin \
		$(DESTDIR)$(PREFIX)/include/linux \
		$(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 tools/p2mctl tools/p2mtop tools/p2mpager $(TOOLS)
	install -m 644 tools/p2m.py tools/p2m_pager.py $(TOOLS)
	for t in p2mctl p2mtop p2mpager; do \
		ln -sf ../lib/p2m_rangelock/$$t \
			$(DESTDIR)$(PREFIX)/sbin/$$t || exit; \
	done
	install -m 644 tools/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 p2m/uapi/p2m.h $(DESTDIR)$(PREFIX)/include/linux
	install -d $(SYSTEM)/systemd/system $(SYSTEM)/modules-load.d \
		$(SYSTEM)/udev/rules.d
	install -m 644 tools/system/run-p2m.mount $(SYSTEM)/systemd/system
	install -m 644 tools/system/kvm_p2m.conf $(SYSTEM)/modules-load.d
	install -m 644 tools/system/60-p2m.rules $(SYSTEM)/udev/rules.d

demo demo-host bench-boot bench-guest: setup
	@scripts/$@

check: setup uml debug-kernel
	@scripts/check

check-long: setup debug-kernel
	@scripts/get-kernel backports >/dev/null
	@scripts/check --long

bench-lock: setup
	@scripts/uml-setup plain preempt
	@scripts/bench-lock

study: setup uml-plain
	@selftests/study/run $(study_options)

study-xen: setup
	@selftests/study/xen/setup
	@selftests/study/run --only xen $(study_options)

study_options = $(if $(RESUME),--resume) $(if $(REPEATS),--repeats $(REPEATS))

SECONDS ?= 180
torture: setup uml-plain
	@selftests/lock/torture/run --seconds $(SECONDS)

mutants: setup
	@scripts/uml-setup plain lockdep
	@selftests/lock/mutants/run

stress: setup
	@selftests/stress/run $(SECONDS)

uml:
	@scripts/uml-setup

uml-plain:
	@scripts/uml-setup plain

debug-kernel:
	@scripts/debug-kernel >/dev/null

# After setup, even with -j.
uml uml-plain debug-kernel: setup

bench: bench-boot bench-guest bench-lock

# The files built here, and those that the scripts built in the cache.
clean:
	@$(if $(KDIR),$(MAKE) -s -C $(KDIR) M=$(CURDIR) clean)
	@bash -c '. scripts/lib.sh && rm -rf "$$(build_dir)"'

.PHONY: all help setup modules modules_install install demo demo-host check \
	check-long bench bench-boot bench-guest bench-lock study study-xen \
	torture mutants stress uml uml-plain debug-kernel clean
