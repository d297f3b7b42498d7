# SPDX-License-Identifier: GPL-2.0
# linux.sh - builds Linux from the newest source; to be sourced after lib.sh
#
# The source is the newest linux-source package in the Debian suites below,
# fetched with a private apt configuration from the mirror that this machine
# itself uses; nothing is installed.  It is kept in CACHE (see lib.sh):
#
#	uml/apt/		apt's lists and state
#	uml/source/VERSION/	the unpacked source
#	uml/lock		held while a source is fetched, or built

LINUX=$CACHE/uml
SUITES="trixie-backports trixie bookworm-backports"

# lock_linux - wait until nobody else fetches a source, or builds one
lock_linux()
{
	mkdir -p "$LINUX/source"
	exec 9>"$LINUX/lock"
	if ! flock -n 9; then
		say "waiting for another one to finish"
		flock 9
	fi
}

# linux_version - print the version of the source in use
linux_version()
{
	cat "$LINUX/source/version"
}

# have_source - whether there is one
have_source()
{
	[ -f "$LINUX/source/version" ] &&
		[ -d "$LINUX/source/$(linux_version)" ]
}

# newest_source - print the PACKAGE and VERSION of the newest source on offer
newest_source()
{
	local names package version best="" best_version=""

	names=$(with_apt apt-cache search --names-only \
		'^linux-source-[0-9.]+$' | cut -d' ' -f1)
	[ -n "$names" ] || die "no linux-source package in $SUITES"
	# shellcheck disable=SC2086  # a word a name
	while read -r package version; do
		if [ -z "$best" ] ||
		   dpkg --compare-versions "$version" gt "$best_version"; then
			best=$package
			best_version=$version
		fi
	done < <(with_apt apt-cache madison $names |
		 awk -F ' *[|] *' '{ sub(/^ */, "", $1); print $1, $2 }')
	echo "$best $best_version"
}

# fetch_source - unpack the newest source; its version is in source/version
fetch_source()
{
	local newest package version tmp=$LINUX/source/tmp

	say "looking for the newest linux-source"
	# shellcheck disable=SC2086  # a word a suite
	use_suites "$LINUX/apt" $SUITES

	newest=$(newest_source)
	read -r package version <<<"$newest"
	if [ ! -d "$LINUX/source/$version" ]; then
		say "fetching $package $version"
		rm -rf "$tmp"
		mkdir -p "$tmp"
		(cd "$tmp" &&
			with_apt apt-get download "$package=$version" >&2) ||
			die "cannot fetch $package: see above"
		dpkg-deb --fsys-tarfile "$tmp/$package"_*.deb |
			tar -xO "./usr/src/$package.tar.xz" |
			tar -xJ -C "$tmp"
		mv "$tmp/$package" "$LINUX/source/$version"
		rm -rf "$tmp"
	fi
	echo "$version" >"$LINUX/source/version.new"
	mv "$LINUX/source/version.new" "$LINUX/source/version"
}

# remove_sources - remove the sources that are not in use
remove_sources()
{
	local path

	for path in "$LINUX"/source/[0-9]*; do
		[ "$path" = "$LINUX/source/$(linux_version)" ] || rm -rf "$path"
	done
}

# options WORD... - kernel options, a word each, as lines of a .config
options()
{
	printf 'CONFIG_%s\n' "$@"
}

# check_config FILE WANTED - fail unless the .config FILE has every line of
# WANTED: kconfig silently drops options that it cannot set
check_config()
{
	local line want missing=""

	while read -r line; do
		want=$line
		[[ $line != *=n ]] || want="# ${line%=n} is not set"
		grep -qxF "$want" "$1" || missing+=" $line"
	done <"$2"
	[ -z "$missing" ] || die "this kernel cannot have:$missing"
}

# make_linux ARGUMENT... - run the kernel's make, for $arch in $out
make_linux()
{
	nice -n 19 make -s -C "$LINUX/source/$(linux_version)" \
		ARCH="$arch" O="$out" "$@" >"$out.log" 2>&1 9>&- || {
		tail -n 30 "$out.log" >&2
		die "this kernel does not build; all of the log is $out.log"
	}
}

# build_linux NAME KEY FINISH - build in $out, for $arch, the configuration on
# stdin.  Options that it does not name are off if they can be.  FINISH is run
# after that, and the key is noted last: so a build that was cut short is not
# taken for a whole one, but continued.  A build with the same key is left
# alone.
build_linux()
{
	[ ! -f "$out/stamp" ] || [ "$(<"$out/stamp")" != "$2" ] || return 0
	say "building Linux $(linux_version), $1: some minutes"
	SECONDS=0
	if [ ! -f "$out/key" ] || [ "$(<"$out/key")" != "$2" ]; then
		rm -rf "$out"
		mkdir -p "$out"
		echo "$2" >"$out/key"
	fi
	cat >"$out/wanted"
	make_linux KCONFIG_ALLCONFIG="$out/wanted" allnoconfig
	check_config "$out/.config" "$out/wanted"
	make_linux -j"$(nproc)" all
	$3
	# Modules need headers, scripts and lists of symbols, not objects.
	find "$out" -path "$out/scripts" -prune -o \
		-name '*.[oa]' -type f -exec rm {} +
	cp "$out/key" "$out/stamp.new"
	mv "$out/stamp.new" "$out/stamp"
	say "built in $((SECONDS / 60)) min $((SECONDS % 60)) s"
}
