#!/usr/bin/env bash
# The command line as a person meets it: what is said and which code comes back, for bad input, broken backends,
# killed runs and full disks. usage: cli.sh POOLBENCH BROKEN_PLUGINS_DIRECTORY
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 broken=$2
# Small runs: what is tested is the machinery.
small=(--repetitions 2 --events 4000 --laps 3 --no-plots --timeout 60)

# count PATTERN FILE
count() {
	grep -Ec -- "$1" "$2"
}

same() {
	checks=$((checks + 1))
	[ "$1" = "$2" ] || fail "$3: $1 is not $2"
}

# ---- words ----
expect 2 "did you mean 'run'" "$poolbench" rum
expect 2 "did you mean 'nt-pool'" "$poolbench" run --backend nt-poll
expect 2 "did you mean 'irp-storm'" "$poolbench" run --workload irp-strom
expect 2 "option" "$poolbench" run --workload irp-storm:depht=3
expect 2 "option" "$poolbench" run --backend nt-pool:lookasside=off
expect 2 "powers of two" "$poolbench" run --page-size 5000
expect 2 "powers of two" "$poolbench" run --page-size 4G
expect 2 "numbers of threads" "$poolbench" run --threads 0
expect 2 "numbers of threads" "$poolbench" run --threads two
expect 2 "base or thp or hugetlb" "$poolbench" run --backing huge
expect 2 "2\^64" "$poolbench" run --seed minus
expect 2 "list" "$poolbench" run --backend ,
expect 2 "trace or none" "$poolbench" run --touch some
expect 2 "throughput or latency" "$poolbench" run --passes speed
expect 2 "2 to 500 laps" "$poolbench" run --age 0
expect 2 "2 to 500 laps" "$poolbench" run --age young
expect 2 "did you mean 'survivors'" "$poolbench" run --age 4:survivers=0.1
expect 2 "wants off" "$poolbench" run --heap-map all --backend nt-pool
expect 2 "1 to 50" "$poolbench" run --heap-map at:51 --checkpoints 50 --backend nt-pool
expect 2 "10 to 100000" "$poolbench" run --checkpoints 3
expect 2 "percentage" "$poolbench" run --quiet-wait some
expect 0 "backends" "$poolbench" --help
expect 0 "lookaside" "$poolbench" list nt-pool
expect 2 "did you mean" "$poolbench" list nt-pol
expect 0 '"kind": "workload"' "$poolbench" list workloads --json

# ---- what is missing ----
expect 3 "libnothere" "$poolbench" run --backend malloc:libnothere.so.9
expect 3 "no_symbol" "$poolbench" run --backend "$broken/no_symbol.so"
expect 3 "(abi|ABI)" "$poolbench" run --backend "$broken/wrong_abi.so"
expect 3 "nowhere" "$poolbench" run --backend ./nowhere.so
expect 3 "nowhere" "$poolbench" run --workload trace:nowhere.pbt
head -c 3000 /dev/urandom >noise.pbt
"$poolbench" run --backend nt-pool --workload trace:noise.pbt "${small[@]}" >out 2>&1 &&
	fail "noise was taken for a trace"
grep -Eq "noise.pbt" out || fail "the damaged trace is not named"

# ---- a backend that fails costs only its cell ----
expect 1 "CRASHED" "$poolbench" run --backend "nt-pool,$broken/segfaults.so,$broken/hangs.so" \
	--workload irp-storm "${small[@]}" --passes throughput --timeout 2 --out broken-run
expect 0 '"status": ?"CRASHED".*SIGSEGV.*my free list looks odd' grep CRASHED broken-run/records.jsonl
expect 0 '"status": ?"TIMEOUT".*--timeout' grep TIMEOUT broken-run/records.jsonl
same "$(grep '"nt-pool"' broken-run/records.jsonl | count '"status": ?"OK"' -)" 2 "sound cells beside broken ones"
same "$(count 'NaN|Infinity|inf,' broken-run/run.json)" 0 "NaN in run.json"
expect 1 "CORRUPT.*parts do not add up" "$poolbench" run --backend "$broken/walk_forgets.so" \
	--workload irp-storm "${small[@]}" --passes memory --out forgetful-run
expect 1 "EXHAUSTED" "$poolbench" run --backend nt-pool --workload irp-storm "${small[@]}" \
	--nonpaged-limit 64K --out exhausted-run
expect 0 'returned NULL|create' grep EXHAUSTED exhausted-run/records.jsonl

# ---- waiting for quiet cores: one record a repetition, whatever was set aside ----
expect 0 "waited [0-9.]+ s for cores that no neighbour shared" "$poolbench" run --backend nt-pool --workload irp-storm \
	--threads 1,2 "${small[@]}" --repetitions 5 --passes throughput --quiet-wait 100% --out quiet-run
same "$(count '"repetition": ?[0-4],' quiet-run/records.jsonl)" 20 "records of a run that waits"
same "$(wc -l <quiet-run/records.jsonl)" 20 "records of a run that waits"
# With one and with two threads, the first three say what quiet is.
same "$(count '"quiet_limit": ?0\.' quiet-run/records.jsonl)" 14 "processes that waited for quiet cores"
expect 0 "quiet-wait" cat quiet-run/run.plan.json

# ---- a run's directory ----
expect 1 "not empty" "$poolbench" run --backend nt-pool --workload irp-storm "${small[@]}" --out broken-run
expect 1 "/proc/none" "$poolbench" run --backend nt-pool --workload irp-storm "${small[@]}" --out /proc/none
expect 0 "irp-storm" "$poolbench" run --backend nt-pool,glibc --workload irp-storm "${small[@]}" --out whole-run
same "$(wc -l <whole-run/records.jsonl)" 12 "records of a whole run"
same "$(count '"quiet_limit": ?[0-9]' whole-run/records.jsonl)" 0 "processes that waited though nobody asked for it"
python=$(command -v python3) && expect 0 "" "$python" -c '
import json, sys
run = json.load(open("whole-run/run.json"))
assert {b["run_type"] for b in run["benchmarks"]} == {"iteration"}
for line in open("whole-run/records.jsonl"):
    json.loads(line)
environment = json.load(open("whole-run/environment.json"))
assert environment["before"] and environment["after"]
'

# ---- what a design counts of itself ----
expect 0 "no run under results/runs" "$poolbench" list nt-pool --counters
expect 0 "lookaside_hits +[a-z]" "$poolbench" list nt-pool --counters
expect 0 "pages_taken +[a-z]" "$poolbench" list backends tlsf --counters
expect 0 "irp-storm: throughput pass, median of 2 repetitions" "$poolbench" list nt-pool --counters whole-run
expect 0 "fast_allocs +[0-9]+ +0\.[0-9]+ .*lookaside list" "$poolbench" list nt-pool --counters whole-run
expect 3 "whole-run has no counters of slub" "$poolbench" list slub --counters whole-run
expect 3 "null counts nothing" "$poolbench" list null --counters whole-run
expect 3 "nowhere" "$poolbench" list nt-pool --counters nowhere
expect 2 "did you mean 'nt-pool'" "$poolbench" list nt-pol --counters
expect 2 "of which backend" "$poolbench" list --counters
expect 2 "did you mean|nothing is named" "$poolbench" list backends nt-pool whole-run
[ -n "$python" ] && expect 0 "" "$python" -c '
import json, subprocess, sys
def ask(*words):
    return json.loads(subprocess.run([sys.argv[1], "list", *words, "--counters", "--json"],
                                     check=True, stdout=subprocess.PIPE).stdout)
names = ask("nt-pool")
assert names["run"] is None and names["cells"] == []
page = ask("nt-pool", "whole-run")
assert page["run"] == "whole-run" and page["counters"] == names["counters"]
(cell,) = page["cells"]
counted = {c["name"]: c for c in cell["counters"]}
assert set(counted) == {c["name"] for c in names["counters"]}
records = [r for r in map(json.loads, open("whole-run/records.jsonl"))
           if r["backend"] == "nt-pool" and r["pass"] == "throughput"]
assert cell["repetitions"] == len(records) == 2
for name, value in counted.items():
    assert value["help"]
    assert value["events"] == sum(r["counters"][name] for r in records) / 2, name
# Every operation of the process is in the account: what lists and descriptors served is what was asked for.
for r in records:
    c = r["counters"]
    served = c["fast_allocs"] + c["descriptor_allocs"] + c["big_allocs"]
    assert served * 2 == r["operations_total"] > r["operations"], (served, r["operations_total"])
' "$poolbench"
# The newest run is found by itself.
mkdir -p results/runs && cp -r whole-run results/runs/20300101T000000Z-aaaaaa
expect 0 "20300101T000000Z" "$poolbench" list nt-pool --counters
rm -r results

# ---- kill -9 in mid-run, then --resume ----
"$poolbench" run --backend nt-pool,glibc --workload irp-storm,registry-churn --repetitions 6 \
	--events 40000 --no-plots --out killed-run >out 2>&1 &
pid=$!
for _ in $(seq 200); do
	[ "$(wc -l 2>/dev/null <killed-run/records.jsonl || echo 0)" -ge 5 ] && break
	sleep 0.05
done
kill -9 "$pid"
wait "$pid" 2>/dev/null
kept=$(wc -l <killed-run/records.jsonl)
checks=$((checks + 1))
[ "$kept" -ge 5 ] || fail "only $kept records survived the kill"
head -n "$kept" killed-run/records.jsonl >before-resume
expect 0 "irp-storm" "$poolbench" run --resume killed-run --no-plots
same "$(head -n "$kept" killed-run/records.jsonl | cmp -s - before-resume && echo kept)" kept "records before the kill"
# 6 cells (floor, nt-pool, glibc x 2): 6 throughput, 2 latency, 1 memory each
same "$(wc -l <killed-run/records.jsonl)" 54 "records after the resume"
expect 0 "irp-storm" "$poolbench" run --resume killed-run --no-plots
same "$(wc -l <killed-run/records.jsonl)" 54 "records after resuming a finished run"
expect 3 "nowhere" "$poolbench" run --resume nowhere

# ---- a full disk ----
if [ "$(id -u)" -eq 0 ] && mkdir small-disk && mount -t tmpfs -o size=256k none small-disk 2>/dev/null; then
	head -c 200000 /dev/zero >small-disk/filler
	expect 1 "(space|ENOSPC)" "$poolbench" run --backend nt-pool,glibc --workload irp-storm \
		--repetitions 40 --events 4000 --laps 3 --no-plots --out small-disk/run
	checks=$((checks + 1))
	tail -n 1 small-disk/run/records.jsonl | tail -c 2 | grep -q '}' || fail "a half-written record on the full disk"
	umount small-disk
else
	echo "skipped: a full disk (cannot mount a small tmpfs)"
fi

# ---- every option changes what it says ----
checksum() {
	"$poolbench" measure "$1" 2>/dev/null | grep -o '"trace_checksum": *"[^"]*"'
}
one=$(checksum '{"backend":"null","workload":"irp-storm","seed":"1","events":4000}')
two=$(checksum '{"backend":"null","workload":"irp-storm","seed":"2","events":4000}')
again=$(checksum '{"backend":"null","workload":"irp-storm","seed":"1","events":4000}')
same "$one" "$again" "the same seed, the same trace"
checks=$((checks + 1))
[ -n "$one" ] && [ "$one" != "$two" ] || fail "--seed does not change the trace"

# ---- one processor; unbound; more threads than processors ----
expect 0 "irp-storm" taskset -c 0 "$poolbench" run --backend nt-pool --workload irp-storm --threads 2 "${small[@]}"
expect 0 "irp-storm" "$poolbench" run --backend nt-pool --workload irp-storm --threads 4 --bind none "${small[@]}"
expect 2 "no processor 4000" "$poolbench" run --backend nt-pool --workload irp-storm --bind 4000 "${small[@]}"
expect 2 "compact" "$poolbench" run --backend nt-pool --workload irp-storm --bind close "${small[@]}"

# ---- huge pages that are not there ----
if [ "$(cat /proc/sys/vm/nr_hugepages 2>/dev/null || echo 1)" -eq 0 ]; then
	expect 0 "SKIPPED|irp-storm" "$poolbench" run --backend nt-pool --workload irp-storm --backing hugetlb "${small[@]}" --out huge-run
	expect 0 "nr_hugepages" grep SKIPPED huge-run/records.jsonl
fi

# ---- the harness's own memory does not grow with repetitions ----
expect 0 "" "$poolbench" run --backend nt-pool --workload irp-storm --events 4000 --laps 3 --no-plots \
	--repetitions 30 --passes throughput --out long-run
checks=$((checks + 1))
awk 'match($0, /"harness_bytes": *[0-9.e+]+/) {
	v = substr($0, RSTART, RLENGTH); sub(/.*: */, "", v); v += 0
	if (/"backend": *"nt-pool"/) { n++; if (n <= 5 && v > early) early = v; if (n > 25 && v > late) late = v }
} END { exit !(n == 30 && late <= early * 1.05) }' long-run/records.jsonl ||
	fail "the harness of the last repetitions holds more than that of the first"

expectations_end
