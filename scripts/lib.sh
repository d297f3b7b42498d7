# SPDX-License-Identifier: GPL-2.0
# lib.sh - the common part of the shell scripts; source it:
#
#	. "$(dirname "$0")/lib.sh"
#
# It turns on `set -euo pipefail` and defines
#
#	REPO	this tree
#	NAME	this script's name, for its messages: a script called run has
#		the name of its folder
#	CACHE	the directory, outside the tree, of everything that was fetched
#		or built.  It can be deleted at any time; scripts/setup fills
#		it again.
#	  CACHE/stock	Debian's kernel, unpacked, not installed: vmlinuz,
#			release, build (its headers), lib/modules/RELEASE
#	  CACHE/source	the same kernel's unpacked source, `make headers` done
#	  CACHE/kernels	other kernels, like stock: scripts/get-kernel and
#			debug-kernel
#	  CACHE/busybox	a static busybox, for the initramfs
#	  CACHE/qemu	the QEMU that emulates the host: scripts/get-qemu
#	  CACHE/build	modules and tests, built outside the tree
#
# and the functions below, and those of ktap.sh.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/p2m_rangelock
NAME=${0##*/}
[ "$NAME" != run ] || NAME=$(basename "$(dirname "$(realpath "$0")")")
PATH=$PATH:/usr/sbin:/sbin		# a plain user's PATH has no depmod

. "$REPO/scripts/ktap.sh"

# say MESSAGE... - progress, on stderr: stdout is for results
say()
{
	printf '%s: %s\n' "$NAME" "$*" >&2
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

# kernel_dir KERNEL - the directory of a kernel for scripts/vm.  KERNEL is the
# name of one in the cache, or already the directory.
kernel_dir()
{
	if [ -e "$CACHE/kernels/$1/release" ]; then
		echo "$CACHE/kernels/$1"
	else
		echo "$1"
	fi
}

# kernel_slow DIR - how many times slower programs may be on this kernel
kernel_slow()
{
	cat "$1/slow" 2>/dev/null || echo 1
}

# build_dir [KIND] - the directory for everything that is built from this tree,
# or for one kind of it.  Another tree that uses the same cache has another
# directory.
build_dir()
{
	printf '%s/build/%s%s\n' "$CACHE" \
		"$(printf %s "$REPO" | sha256sum | cut -c1-12)" "${1:+/$1}"
}

# The functions below fetch Debian's packages, and unpack them without
# installing them.  The caller makes $TMP, on CACHE's file system, and removes
# it.

# mirror - the mirror that this machine gets its own release from
mirror()
{
	local codename uri

	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016  # apt expands them
	uri=$(apt-get indextargets \
		--format '$(RELEASE) $(COMPONENT) $(REPO_URI)' |
		awk -v r="$codename" \
			'$1 == r && $2 == "main" && !n++ { print $3 }')
	[ -n "$uri" ] ||
		die "apt's sources name no mirror of Debian's ${codename:-release}"
	echo "$uri"
}

# use_suites DIR SUITE... - from here on, with_apt and its callers work on the
# packages in these suites, as they are now.  apt's lists and state are in DIR.
use_suites()
{
	local dir=$1 uri suite

	shift
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	uri=$(mirror)
	for suite; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
	done >"$dir/sources.list"
	APT_OPTIONS=(
		-o Dir::Etc::SourceList="$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null
		-o Dir::State="$dir/state"
		-o Dir::State::Lists="$dir/state/lists"
		-o Dir::State::Status=/dev/null
		-o Dir::Cache="$dir/cache"
		-o Acquire::Languages=none)
	with_apt apt-get -o APT::Update::Error-Mode=any update >&2 ||
		die "cannot read the lists of $*: see above." \
		    "Is a key missing? apt-get install debian-archive-keyring"
}

# with_apt COMMAND... - run an apt command on the system's own sources; or,
# after use_suites, on those suites, apart from the system's sources
APT_OPTIONS=()
with_apt()
{
	local command=$1

	shift
	"$command" -qq -o APT::Sandbox::User=root "${APT_OPTIONS[@]}" "$@"
}

# fetch PACKAGE[=VERSION] DIR - unpack a Debian package in DIR
fetch()
{
	local dir

	dir=$(mktemp -d "$TMP/deb.XXXXXX")
	(cd "$dir" && with_apt apt-get download "$1" >&2) ||
		die "cannot download $1: if the mirror has a newer one, run: apt-get update && apt-get install linux-headers-amd64 linux-source-6.1"
	mkdir -p "$2"
	dpkg -x "$dir"/*.deb "$2"
	rm -r "$dir"
}

# fetch_kernel RELEASE VERSION DIR - make DIR a kernel for scripts/vm, without
# the headers
fetch_kernel()
{
	fetch "linux-image-$1=$2" "$3/image"
	mkdir "$3/lib"
	mv "$3/image/boot/vmlinuz-$1" "$3/vmlinuz"
	mv "$3/image/lib/modules" "$3/lib/"
	rm -r "$3/image"
	depmod -b "$3" "$1"
	echo "$1" >"$3/release"
}

# publish NEW PATH VERSION - NEW becomes PATH-VERSION, and PATH a link to it,
# each in one step
publish()
{
	mv -T "$1" "$2-$3"
	point "$2" "$3"
}

# point PATH VERSION - make PATH a link to PATH-VERSION
point()
{
	local name=${1##*/}

	[ "$(readlink "$1")" = "$name-$2" ] && return
	ln -s "$name-$2" "$TMP/$name.link"
	mv -T "$TMP/$name.link" "$1"
}
