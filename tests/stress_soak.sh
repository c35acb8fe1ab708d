#!/usr/bin/env bash
# Every planted bug with many seeds at default settings: found, rightly named, and after how many seconds at most.
# usage: stress_soak.sh POOLBENCH BROKEN [SEEDS [SECONDS [PLUGIN...]]]
#
# One line a bug on stdout. Fails when a bug was missed, got a wrong name or took more than SECONDS (default: 10).
set -u
poolbench=$1
broken=$2
seeds=${3:-20}
most=${4:-10}
shift $(($# < 4 ? $# : 4))
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# Seeds far apart: the rounds of one count upwards from it.
seed_of() { echo $(($1 * 1000003)); }

soak() {
	local plugin=$1 rules=$2 found=0 named=0 longest=0 missed="" i seed rule seconds
	for i in $(seq 1 "$seeds"); do
		seed=$(seed_of "$i")
		"$poolbench" stress --json --no-shrink --out "$work" --seed "$seed" --backend "$broken/$plugin.so" \
			>"$work/out" 2>"$work/err"
		rule=$(sed -nE 's/^ +"rule": "(.*)",?$/\1/p' "$work/out")
		seconds=$(sed -nE 's/^ +"found_seconds": ([0-9.e-]+),?$/\1/p' "$work/out")
		longest=$(awk -v a="$longest" -v b="${seconds:-0}" 'BEGIN { print (a > b ? a : b) }')
		if [ -z "$rule" ]; then
			missed="$missed $seed"
		elif [[ "|$rules|" == *"|$rule|"* ]]; then
			found=$((found + 1))
			named=$((named + 1))
		else
			found=$((found + 1))
			missed="$missed $seed($rule)"
		fi
	done
	printf '%-26s %5d %5d %8.2f%s\n' "$plugin" "$found" "$named" "$longest" "${missed:+  missed:$missed}"
	[ "$named" -eq "$seeds" ] && awk -v a="$longest" -v b="$most" 'BEGIN { exit (a > b) }'
}

printf '%-26s %5s %5s %8s   (%s seeds each)\n' bug found named seconds "$seeds"
mapfile -t planted < <(grep -vE '^(#|$)' "$here/planted_bugs.txt")
for line in "${planted[@]}"; do
	plugin=${line% *}
	[ $# -gt 0 ] && [[ " $* " != *" $plugin "* ]] && continue
	soak "$plugin" "${line##* }" || bad=$((bad + 1))
done
echo "$bad bugs not found by every seed, not rightly named or too late"
[ "$bad" -eq 0 ]
