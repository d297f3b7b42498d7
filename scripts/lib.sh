# SPDX-License-Identifier: GPL-2.0
# lib.sh - what the shell scripts here have in common; source it:
#
#	. "$(dirname "$0")/lib.sh"
#
# It turns on `set -euo pipefail` and defines
#
#	REPO	this tree
#	CACHE	where everything that was fetched or built is kept, outside the tree.
#		It can be deleted at any time; scripts/setup fills it again.
#	  CACHE/stock	Debian's kernel, unpacked, not installed: vmlinuz, release,
#			build (its headers), lib/modules/RELEASE
#	  CACHE/source	the same kernel's unpacked source, `make headers` done
#	  CACHE/busybox	a static busybox, for the initramfs
#	  CACHE/build	modules and tests, built outside the tree
#
# and the functions below.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/p2m_rangelock
PATH=$PATH:/usr/sbin:/sbin		# a plain user's has no depmod

# say MESSAGE... - progress, on stderr: stdout is for results
say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# die MESSAGE... - fail, saying what to do about it
die()
{
	say "$*"
	exit 1
}

# need_setup - fail unless scripts/setup has filled the cache
need_setup()
{
	local part

	for part in stock/vmlinuz source/usr/include busybox; do
		[ -e "$CACHE/$part" ] ||
			die "$CACHE/$part is missing: run scripts/setup"
	done
}

# build_dir [KIND] - the directory for what is built from this tree, and from no
# other that may use the same cache; or for one kind of it
build_dir()
{
	printf '%s/build/%s%s\n' "$CACHE" \
		"$(printf %s "$REPO" | sha256sum | cut -c1-12)" "${1:+/$1}"
}

# ktap - of a kernel's log, what KUnit says, below one test of ours; where one
# fails, with what it says of it and when
ktap()
{
	awk '{ sub(/\r/, ""); line = $0; sub(/^\[ *[0-9.]+\] /, "") }
		/ (ASSERTION|EXPECTATION) FAILED at / { failed = 1; print "    # " line; fflush(); next }
		/^ *((not )?ok [0-9]|1\.\.[0-9]|KTAP version|# )/ { failed = 0; print "    " $0 }
		failed { print "    # " line }
		{ fflush() }'
}
