# What the shell tests share: sourced first, it moves to a scratch directory that goes with the script.
# `expect` and `fail` count; a script ends with `expectations_end`.
# shellcheck shell=bash
set -uo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failures=0 checks=0

# fail WORDS...: with what the last expect printed.
fail() {
	printf 'FAILED: %s\n' "$*"
	[ -s out ] && sed 's/^/    /' out | head -n 30
	failures=$((failures + 1))
}

# expect CODE PATTERN COMMAND...: the exit code (a pattern), and a pattern (extended) in what it prints.
expect() {
	local code=$1 pattern=$2 got
	shift 2
	checks=$((checks + 1))
	"$@" >out 2>&1
	got=$?
	[[ "$got" =~ ^($code)$ ]] || { fail "exit code $got, not $code: $*"; return 1; }
	[ -z "$pattern" ] || grep -Eq -- "$pattern" out || { fail "no /$pattern/ from: $*"; return 1; }
}

expectations_end() {
	printf '%d checks, %d failures\n' "$checks" "$failures"
	[ "$failures" -eq 0 ]
}
