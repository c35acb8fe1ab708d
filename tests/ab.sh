#!/usr/bin/env bash
# poolbench ab and compare as a person or a CI meets them. usage: ab.sh POOLBENCH BROKEN_PLUGINS_DIRECTORY
# No absolute time is a condition: what is known is that a backend is itself, and that work was planted.
poolbench=$1 broken=$2
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
# shellcheck source=tests/junit_check.sh
. "$here/junit_check.sh"
small=(--workload irp-storm --events 10000 --laps 8 --passes throughput --no-plots)

# junit FILE: good by its schema, where there is a parser for it.
junit() {
	checks=$((checks + 1))
	command -v xmllint >/dev/null || return 0
	junit_check "$1" >out || fail "JUnit: $1"
}

# ---- words ----
expect 2 "skipped, error or failure" "$poolbench" ab nt-pool glibc --junit-inconclusive maybe
expect 2 "which two" "$poolbench" ab nt-pool
expect 2 "not more" "$poolbench" ab nt-pool glibc null
expect 2 "did you mean 'nt-pool'" "$poolbench" ab nt-poll glibc
expect 2 "did you mean 'irp-storm'" "$poolbench" ab nt-pool glibc --workload irp-strom
expect 2 "percentage" "$poolbench" ab nt-pool glibc --threshold some
expect 2 "6 to 999" "$poolbench" ab nt-pool glibc --pairs 2
expect 2 "median or q1" "$poolbench" ab nt-pool glibc --statistic mode
expect 2 "percentage" "$poolbench" ab nt-pool glibc --quiet-wait some
expect 2 "footprint" "$poolbench" ab nt-pool glibc --gate speed
expect 2 "only base" "$poolbench" ab nt-pool glibc --backing thp
expect 3 "nowhere" "$poolbench" ab ./nowhere.so glibc
expect 3 "not a|cannot|no" "$poolbench" ab --resume nothing-here

# ---- a great difference is a regression one way and an improvement the other ----
expect 1 "REGRESSION" "$poolbench" ab null glibc "${small[@]}" --out worse --markdown worse.md \
	--junit worse.xml
junit worse.xml
expect 0 '<failure type="REGRESSION" message="B/A [0-9.]+' cat worse.xml
expect 0 'classname="irp-storm, 1 thread, .* name="time"' cat worse.xml
expect 1 "cannot write nowhere/x.xml" "$poolbench" ab --resume worse --junit nowhere/x.xml
expect 0 '"verdict": "REGRESSION"' cat worse/ab.json
expect 0 'A against A' cat worse.md
expect 0 'planted \+3.0 %' cat worse.md
expect 0 '\*\*REGRESSION\*\*' cat worse.md
expect 0 '^"null/irp-storm.*,time,confirm,19,' cat worse/pairs.csv
expect 0 '"verdict": "IMPROVEMENT"' "$poolbench" ab glibc null "${small[@]}" --json


# ---- its figures and page, made from the directory alone ----
expect 0 'worse/report.html' "$poolbench" report worse
expect 0 'REGRESSION: B is glibc, A is null' cat worse/plots/data/ab-ratios.gp
expect 0 '^40 ' cat worse/plots/data/ab-pairs.dat
for figure in ab-ratios ab-pairs; do
	[ -s "worse/plots/$figure.svg" ] && [ -s "worse/plots/$figure.png" ] || fail "no figure $figure"
done
[ -e worse/plots/throughput.svg ] && fail "a slowed process was ranked"
expect 0 '<h1>Is B slower than A' cat worse/report.html

# ---- A against itself is no regression; on a busy machine it may stay open ----
expect '0|4' "EQUIVALENT|INCONCLUSIVE" "$poolbench" ab nt-pool nt-pool "${small[@]}" --out same
grep -q "REGRESSION" out && fail "A against A is a regression"
expect '0|125' "" "$poolbench" ab nt-pool nt-pool "${small[@]}" --max-pairs 20 --bisect
expect 1 "REGRESSION" "$poolbench" ab null glibc "${small[@]}" --bisect

# ---- footprints: a pool that caches more is told from the same pool ----
expect '0|4' 'footprint.*EQUIVALENT' "$poolbench" ab nt-pool nt-pool --workload irp-storm --events 10000 \
	--passes memory

# ---- a process waits for a core to itself as long as it is told to, and no longer; the record says so ----
waited() { # FROM TO SPEC: whole milliseconds
	local ns
	checks=$((checks + 1))
	ns=$("$poolbench" measure "$3" | grep -oE '"quiet_wait_ns": ?[0-9]+' | grep -oE '[0-9]+$')
	[ "${ns:-0}" -ge $(($1 * 1000000)) ] && [ "${ns:-0}" -le $(($2 * 1000000)) ] ||
		fail "waited ${ns:-nothing} ns, not $1 to $2 ms: $3"
}
cell='"backend": "null", "workload": "irp-storm", "events": 2000, "laps": 2'
waited 300 5000 "{$cell, \"quiet_sharing\": 0.001, \"quiet_wait_seconds\": 0.3}"
waited 0 290 "{$cell, \"quiet_sharing\": 1000, \"quiet_wait_seconds\": 0.3}"
waited 0 290 "{$cell}"
[ "$(nproc)" -lt 2 ] ||
	waited 300 5000 "{$cell, \"threads\": 2, \"quiet_sharing\": 0.001, \"quiet_wait_seconds\": 0.3}"
few=("${small[@]}" --pairs 6 --max-pairs 6 --confirm-pairs 6)
expect '0|1|4' 'waited [0-9.]+ s for a core to itself .[0-9]+ measured again.; [0-9]+ of [0-9]+ shared' "$poolbench" ab null null "${few[@]}" \
	--out waits
expect 0 '"canary_sharing": ?0?[0-9.]+, ?"canary_sharing_after": ?[0-9.]+' cat waits/records.jsonl
expect 0 '"disturbed_processes": [0-9]' cat waits/ab.json
"$poolbench" ab null null "${few[@]}" --quiet-wait 0 >out 2>&1
grep -q "for a core to itself" out && fail "waiting that was switched off is told of"

# ---- a side that fails ----
expect 1 "segfaults.so: CRASHED" "$poolbench" ab nt-pool "$broken/segfaults.so" "${small[@]}" --junit crash.xml
junit crash.xml
expect 0 '<error type="UNKNOWN" message=".*segfaults.so: CRASHED' cat crash.xml
expect 4 "UNKNOWN" "$poolbench" ab "$broken/segfaults.so" nt-pool "${small[@]}"
expect 125 "UNKNOWN" "$poolbench" ab "$broken/segfaults.so" nt-pool "${small[@]}" --bisect

# ---- killed, and gone on with: nothing that was finished is measured again ----
"$poolbench" ab null glibc "${small[@]}" --out killed >out 2>&1 &
victim=$!
for _ in $(seq 200); do
	[ -s killed/records.jsonl ] && [ "$(wc -l <killed/records.jsonl)" -ge 12 ] && break
	sleep 0.05
done
kill -9 $victim
wait $victim 2>/dev/null
before=$(head -n 12 killed/records.jsonl | sha256sum)
expect 2 "not made by this command" "$poolbench" ab --resume "$(
	"$poolbench" run --backend null --workload irp-storm --passes throughput --repetitions 1 --events 4000 \
		--laps 3 --no-plots --out plain >/dev/null 2>&1
	echo plain
)"
expect 1 "REGRESSION" "$poolbench" ab --resume killed
[ "$before" = "$(head -n 12 killed/records.jsonl | sha256sum)" ] || fail "records changed in resuming"
[ -z "$(sed -E 's/.*"backend": ?"([^"]*)".*"repetition": ?([0-9]+),.*/\1 \2/' killed/records.jsonl | sort | uniq -d)" ] ||
	fail "a process was measured twice"
first=$(sed -n 's/.*"verdict": "\(.*\)".*/\1/p' killed/ab.json | head -n 1)
expect 1 "^0 processes|0 processes" "$poolbench" ab --resume killed
[ "$first" = "$(sed -n 's/.*"verdict": "\(.*\)".*/\1/p' killed/ab.json | head -n 1)" ] || fail "another verdict"

# ---- a slow-down planted into B itself: found, and named by its size ----
expect 1 "REGRESSION" "$poolbench" ab nt-pool nt-pool "${small[@]}" --slow-b 60% --out slowed
expect 0 '"backend": ?"nt-pool \(slowed\)"' cat slowed/records.jsonl
self=("${small[@]}" --sessions 50 --pairs 8 --max-pairs 8 --confirm-pairs 6 --out self-test)
expect '0' "interleaved \| 1 " "$poolbench" ab --self-test nt-pool "${self[@]}" --recorded 20 --real 0
processes=$(wc -l <self-test/recorded/records.jsonl)
expect '0' "rehearsed \| at most 1 %" "$poolbench" ab --self-test nt-pool "${self[@]}" --recorded 20 --real 0
[ "$(wc -l <self-test/recorded/records.jsonl)" -eq "$processes" ] && [ "$processes" -ge 85 ] ||
	fail "the self-test did not go on where it was"
expect 2 "other options" "$poolbench" ab --self-test nt-pool "${self[@]}" --recorded 21 --real 0
expect '0' "false alarms, real sessions \| at most 1 % \| [01] of 1" "$poolbench" ab --self-test nt-pool "${self[@]}" \
	--recorded 20 --real 1
expect 2 "20 to 900" "$poolbench" ab --self-test nt-pool --recorded 3
expect 2 "one backend" "$poolbench" ab --self-test nt-pool glibc

# ---- two stored runs ----
stored=(--workload irp-storm --passes throughput --laps 8 --no-plots)
for run in base new; do
	"$poolbench" run --backend nt-pool "${stored[@]}" --events 10000 --repetitions 8 --out "$run" >out 2>&1 ||
		fail "run $run"
done
"$poolbench" run --backend nt-pool "${stored[@]}" --events 4000 --repetitions 2 --out short >out 2>&1
expect 2 "which two runs" "$poolbench" compare base
expect 3 "nowhere" "$poolbench" compare base nowhere
expect 2 "comparison already" "$poolbench" compare base worse
expect '0|1|4' "NEW over BASE" "$poolbench" compare base new
expect 0 "EQUIVALENT" "$poolbench" compare base base --threshold 500
expect 2 "events: 10000 / 4000" "$poolbench" compare base short
expect 2 "trace of irp-storm" "$poolbench" compare base short
expect '0|1|4' "in spite of" "$poolbench" compare base short --force
# a cell that BASE lacks; damaged and missing files; what is in use
"$poolbench" run --backend nt-pool,tlsf "${stored[@]}" --events 10000 --repetitions 8 --out wider >out 2>&1
expect '1|4' "nothing to compare with|UNKNOWN" "$poolbench" compare base wider
"$poolbench" compare base wider --json >wider.json 2>/dev/null
expect 0 '"UNKNOWN"' grep -A12 '"backend": "tlsf"' wider.json
cp -r base damaged
sed -i '3s/./x/' damaged/records.jsonl
expect 1 "records.jsonl.*line 3|line 3" "$poolbench" compare damaged base
cp -r base planless && rm planless/run.plan.json
expect 3 "run.plan.json" "$poolbench" compare planless base
cp -r worse no-plan && printf '{' >no-plan/run.plan.json
expect 2 "run.plan.json" "$poolbench" ab --resume no-plan
expect 1 "holds something|not empty|exists" "$poolbench" ab null glibc "${small[@]}" --out base
flock worse/lock sleep 5 &
sleep 0.5
expect 1 "another poolbench" "$poolbench" ab --resume worse
kill $! 2>/dev/null
wait $! 2>/dev/null
sed -i 's/"machine_fingerprint": "[^"]*"/"machine_fingerprint": "0123456789abcdef"/' new/environment.json
expect 2 "fingerprint.*0123456789abcdef" "$poolbench" compare base new
expect 4 "UNKNOWN" "$poolbench" compare base base --reference glibc --junit unknown.xml
junit unknown.xml
expect 0 '<skipped message=' cat unknown.xml
expect 4 "UNKNOWN" "$poolbench" compare base base --reference glibc --junit unknown.xml --junit-inconclusive error
junit unknown.xml
expect 0 '<error type="UNKNOWN"' cat unknown.xml
expect 2 "skipped, error or failure" "$poolbench" compare base new --junit-inconclusive what
expect 1 "cannot write nowhere/x" "$poolbench" compare base base --threshold 500 --junit nowhere/x.xml
# the same run with every time of the backend doubled: only the ratio to the floor can tell
sed -E '/"backend": ?"nt-pool"/s/("ns_per_op_q1": ?)([0-9])/\19\2/' base/records.jsonl >doubled.jsonl
cp -r base doubled
mv doubled.jsonl doubled/records.jsonl
expect 1 '"verdict": "REGRESSION"' "$poolbench" compare base doubled --json --junit doubled.xml
junit doubled.xml
expect 0 '<failure type="REGRESSION" message="NEW/BASE' cat doubled.xml
expect 0 '"verdict": "IMPROVEMENT"' "$poolbench" compare doubled base --json

expectations_end
