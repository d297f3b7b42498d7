# SPDX-License-Identifier: GPL-2.0
# ktap.sh - KTAP, written and read by shell scripts
#
# lib.sh sources it, and so do scripts that do not want the `set -e` of lib.sh.

# A regex for a line that has a result
KTAP_RESULT='^ *(not )?ok [0-9]'

# ktap_plan N - begin a stream of N tests
ktap_plan()
{
	echo "KTAP version 1"
	echo "1..$1"
}

# ktap_result NUMBER CODE NAME - the result of one test, which ended with this
# exit code: 0 if it passed, 4 if it was skipped, as in kselftests
ktap_result()
{
	case $2 in
	0)	echo "ok $1 $3" ;;
	4)	echo "ok $1 $3 # SKIP" ;;
	*)	echo "not ok $1 $3" ;;
	esac
}

# ktap_run COMMAND ARGUMENT... - run COMMAND with each ARGUMENT in turn, as a
# stream with a test for each.  A test is named by ARGUMENT, without its
# directory.  Fails if a test fails.
ktap_run()
{
	local command=$1 number=0 failed=0 argument code

	shift
	ktap_plan $#
	for argument; do
		number=$((number + 1))
		code=0
		"$command" "$argument" || code=$?
		ktap_result $number $code "${argument##*/}"
		[ $code = 0 ] || [ $code = 4 ] || failed=1
	done
	return $failed
}

# ktap_of_log [INDENT] - find the KTAP in a kernel's log, and print it behind
# INDENT.  KUnit's words about a failure become comments, with their times.
ktap_of_log()
{
	awk -v indent="${1-}" -v result="$KTAP_RESULT" '
		{ gsub(/\r/, ""); line = $0; sub(/^\[ *[0-9.]+\] /, "") }
		/ (ASSERTION|EXPECTATION) FAILED at / {
			failed = 1
			print indent "# " line
			fflush()
			next
		}
		$0 ~ result || /^ *(1\.\.[0-9]|KTAP version|# )/ {
			failed = 0
			print indent $0
		}
		failed { print indent "# " line }
		{ fflush() }'
}

# ktap_without_plans - take the versions and plans out of KTAP, which then
# becomes part of another stream
ktap_without_plans()
{
	sed '/^ *1\.\.[0-9]/d; /^ *KTAP version/d'
}

# ktap_failed - find in KTAP the names of the tests that failed below another
ktap_failed()
{
	sed -n 's/^ \+not ok [0-9]\+ //p'
}
