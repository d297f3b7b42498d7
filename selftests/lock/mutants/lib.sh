# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# lib.sh - mutants of the lock: each is p2m_rangelock.c with one thing broken
#
# selftests/lock/mutants/run and selftests/lock/torture/run source it, after
# scripts/lib.sh.  It reads the list next to it, whose opening comment says what
# an entry is.

declare -A lines catcher script
mutants=()
survivors=()

# mutant NAME LINES CATCHER SCRIPT - an entry of the list
mutant()
{
	[ -z "${script[$1]:-}" ] || die "there are two mutants $1"
	mutants+=("$1")
	lines[$1]=$2
	catcher[$1]=$3
	script[$1]=$4
}

# survivor NAME LINES SCRIPT - an entry that no test catches
survivor()
{
	[ -z "${script[$1]:-}" ] || die "there are two mutants $1"
	survivors+=("$1")
	lines[$1]=$2
	script[$1]=$3
}

. "$REPO/selftests/lock/mutants/list"

# mutants_of KIND - the names of those that are caught by tests of this kind
mutants_of()
{
	local name

	for name in "${mutants[@]}"; do
		[ "${catcher[$name]%%:*}" != "$1" ] || echo "$name"
	done
}

# mutate NAME FILE - write the mutant to FILE, or say why its script does not
# fit.  Mutants are in one build, so none exports anything; and its tests have an
# init function of their own.  A mutant called "sound" has nothing broken.
mutate()
{
	local changed

	sed "${script[$1]:-}" "$REPO/p2m_rangelock.c" >"$2"
	# grep fails if there is none.
	changed=$(diff "$REPO/p2m_rangelock.c" "$2" | grep -c '^>') || true
	[ "$changed" = "${lines[$1]:-0}" ] || {
		say "mutant $1 does not fit the lock any more: $changed lines, not ${lines[$1]}"
		return 1
	}
	sed -i -E '/^#include "p2m_rangelock.h"/i #include <linux/delay.h>
		/^(EXPORT_SYMBOL_GPL|MODULE_[A-Z]+)\(/d' "$2"
	[ "$3" = kunit ] || sed -i -E '/^module_(init|exit)\(/d
		s/^(static (int __init|void __exit)) /\1 __maybe_unused /' "$2"
}

# build_mutants DIR KIND FLAVOUR NAME... - build each as a module together with
# its tests; DIR gets the sources.  Prints the paths of the modules, a line each.
#
# The tests are compiled once, for the module "sound", and linked to each mutant.
# Those that do not fit are left out.
build_mutants()
{
	local dir=$1 kind=$2 flavour=$3 name tests fit=()
	local folder=$REPO/selftests/lock/kunit

	shift 3
	case $kind in
	torture) tests=torture.o; folder=$REPO/selftests/lock/torture ;;
	splats)	tests=p2m_lockdep_splat.o ;;
	*)	tests="stage.o ledger.o p2m_rangelock_kunit.o p2m_waiting_kunit.o"
		[ "$flavour" != lockdep ] || tests+=" p2m_lockdep_kunit.o" ;;
	esac
	rm -rf "$dir"
	mkdir -p "$dir/p2m" "$dir/$kind"
	cp "$REPO"/p2m_rangelock.h "$dir"
	cp "$REPO"/p2m/*.h "$dir/p2m"
	cp "$folder"/*.[ch] "$dir/$kind"
	for name in sound "$@"; do
		! mutate "$name" "$dir/$kind/${name}_lock.c" "$kind" ||
			fit+=("$name")
	done
	{
		echo "tests := $tests"
		# Most mutants are caught when an actor takes too long.
		echo "CFLAGS_stage.o := -DPATIENCE=200"
		echo "sound-y := sound_lock.o \$(tests)"
		for name in "${fit[@]}"; do
			echo "obj-m += $name.o"
			[ "$name" = sound ] ||
				echo "$name-y := ${name}_lock.o ${name}_tests.o"
		done
		echo "\$(obj)/%_tests.o: \$(addprefix \$(obj)/,\$(tests))"
		# shellcheck disable=SC2016  # make expands them
		printf '\t%s\n' '$(Q)$(LD) $(ld_flags) -r -o $@ $^'
	} >"$dir/$kind/Kbuild"
	"$REPO/scripts/uml-build" --flavour "$flavour" --root "$dir" "$kind"
}
