#!/usr/bin/env bash
# poolbench tune on surfaces whose bottom is known. usage: planted.sh POOLBENCH PLUGIN:slope=N RUNS RIGHT [OPTION...]
# Passes when at least RIGHT of RUNS tunings settle on the planted page size, none settles on another, and all
# together take less than half of the full grid's time. The bottom moves from run to run. OPTIONs go to tune.
set -uo pipefail
poolbench=$1 plugin=$2 runs=$3 wanted=$4
shift 4
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bottoms=(64K 16K 256K 32K)
right=0 wrong=0 open=0

field() { sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([^\",]*\\).*/\\1/p" "$scratch/out" | head -n 1; }

for run in $(seq "$runs"); do
	best=${bottoms[$((run % ${#bottoms[@]}))]}
	"$poolbench" tune --backend "$plugin,best=$best" --workload irp-storm --events 4000 --laps 20 --budget 0 \
		--seed "$run" --no-plots --json --out "$scratch/$run" "$@" >"$scratch/out" 2>"$scratch/err"
	verdict=$(field verdict)
	answer=$(sed -n 's/.*--page-size \([0-9KM]*\) .*/\1/p' "$scratch/out" | head -n 1)
	printf '%2d: planted %4s, %s %s, %s %% sure, %s of %s process seconds\n' "$run" "$best" "$verdict" "$answer" \
		"$(awk "BEGIN { print 100 * $(field confidence) }")" "$(field process_seconds)" "$(field full_grid_seconds)"
	echo "$(field process_seconds) $(field full_grid_seconds)" >>"$scratch/seconds"
	if [ "$verdict" != SETTLED ]; then
		open=$((open + 1))
	elif [ "$answer" = "$best" ]; then
		right=$((right + 1))
	else
		wrong=$((wrong + 1))
	fi
done
awk '{ spent += $1; full += $2 }
	END { printf "%.1f of %.1f process seconds: %.0f %% of the full grid\n", spent, full, 100 * spent / full
	exit !(spent < full / 2) }' "$scratch/seconds"
cheap=$?
printf '%d of %d right, %d wrong, %d not settled; wanted %d right\n' "$right" "$runs" "$wrong" "$open" "$wanted"
[ "$right" -ge "$wanted" ] && [ $((runs - wrong)) -ge "$wanted" ] && [ "$cheap" -eq 0 ]
