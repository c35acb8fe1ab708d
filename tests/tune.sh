#!/usr/bin/env bash
# poolbench tune as a person or a script meets it: words, exit codes, resuming. usage: tune.sh POOLBENCH PLANTED_PLUGIN
# No absolute time is a condition: the slopes are planted, and steep.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 valley=$2
small=(--workload irp-storm --events 4000 --laps 6 --alpha 0.3 --no-plots)
steep="$valley:base=200,slope=60"
quick=(--backend "$steep" "${small[@]}" --page-size 16K,64K,256K --backing base --threshold 20 --confirm-pairs 2)

# ---- bad input, in words ----
expect 2 "which backend" "$poolbench" tune --workload irp-storm
expect 2 "which workload" "$poolbench" tune --backend slub
expect 2 "did you mean 'slub'" "$poolbench" tune --backend slab --workload irp-storm
expect 2 "did you mean 'irp-storm'" "$poolbench" tune --backend slub --workload irp-strom
expect 2 "powers of two" "$poolbench" tune --backend slub --workload irp-storm --page-size 5000
expect 2 "powers of two from 4K" "$poolbench" tune --backend slub --workload irp-storm --page-size 2K,4K
expect 2 "powers of two.*2M" "$poolbench" tune --backend slub --workload irp-storm --page-size 4M
expect 2 "base or thp or hugetlb" "$poolbench" tune --backend slub --workload irp-storm --backing huge
expect 2 "only setting.*nothing to choose" "$poolbench" tune --backend slub --workload irp-storm \
	--page-size 4K --backing base
expect 2 "only setting" "$poolbench" tune --backend slub --workload irp-storm --page-size 4K,4K --backing base
expect 2 "malloc library.*no pool page" "$poolbench" tune --backend glibc --workload irp-storm
expect 2 "speed, memory, balanced or latency" "$poolbench" tune --goal fast
expect 2 "one weight above 0" "$poolbench" tune --weights speed=0
expect 2 "speed=1,memory" "$poolbench" tune --weights spead=1
expect 2 "as 60s, 5m" "$poolbench" tune --budget soon
expect 2 "2 to 200" "$poolbench" tune --blocks 1
expect 2 "percentage" "$poolbench" tune --threshold 0
expect 2 "median or q1" "$poolbench" tune --statistic mode
expect 2 "wants an option with its values" "$poolbench" tune --backend slub --workload irp-storm --vary order=
expect 2 "order is given twice" "$poolbench" tune --backend 'slub:order=1|3' --workload irp-storm --vary order=2
expect 2 "did you mean 'order'" "$poolbench" tune --backend slub --workload irp-storm --vary oder=1,3
expect 2 "order" "$poolbench" tune --backend slub --workload irp-storm --vary order=1,99
expect 2 "no option that concerns its pages" "$poolbench" tune --backend null --workload irp-storm --vary pages
expect 2 "what is 'slub'" "$poolbench" tune slub
expect 3 "nowhere" "$poolbench" tune --backend ./nowhere.so --workload irp-storm
expect 3 "nothing-here" "$poolbench" tune --resume nothing-here

# ---- the bottom of a steep valley: settled, in words, as JSON, as options that run takes ----
expect 0 "^Use 64K pages on base: .* faster" "$poolbench" tune "${quick[@]}" --out steep
grep -q "Settled: at least" out || fail "it does not say how sure it is"
grep -q "of the full grid's time" out || fail "it does not say what it took"
grep -Eq "next page size, 256K, is .* slower" out || fail "it does not say what lies beyond"
expect 0 '"verdict": "SETTLED"' cat steep/tune.json
expect 0 '"options": "--backend .*valley.so:base=200,slope=60 --page-size 64K --backing base"' cat steep/tune.json
command=$(sed -n 's/^ *"command": "poolbench \(.*\)",\{0,1\}$/\1/p' steep/tune.json)
# shellcheck disable=SC2086
expect 0 "64|valley" "$poolbench" $command --repetitions 1 --no-plots --out again
expect 0 '"page_size": ?65536,"backing": ?"base"' cat again/records.jsonl
"$poolbench" tune "${quick[@]}" --json >json 2>err || fail "--json"
[ "$(head -c 1 json)" = "{" ] && [ "$(tail -n 1 json)" = "}" ] || fail "--json is not one document"

# ---- as good above the bottom: the smallest of them ----
expect 0 "^Use 64K pages on base" "$poolbench" tune --backend "$steep,flat=on" "${small[@]}" --threshold 20 \
	--page-size 16K,64K,256K --backing base --confirm-pairs 2 --blocks 100 --budget 0
grep -q "As good, but not cheaper: 256K" out || fail "it does not name the equals"

# ---- memory: eight pages for nothing, so that the smallest is the leanest; weights that say the same ----
lean=(--backend "$valley:base=20,slope=0,waste=64" "${small[@]}" --page-size 4K,64K,256K --backing base --confirm-pairs 2)
expect 0 "^Keep 4K pages on base" "$poolbench" tune "${lean[@]}" --goal memory
expect 0 "goal: speed=1,memory=1" "$poolbench" tune "${lean[@]}" --weights speed=1,memory=1 --threshold 50

# ---- options of the backend: alternatives in the spec, and --vary ----
expect 0 "^Use 64K pages on base, base=200," "$poolbench" tune --backend "$valley:base=2000|200,slope=60" "${small[@]}" \
	--page-size 16K,64K --backing base --threshold 20 --confirm-pairs 0
expect 0 "^Use 64K pages on base, slope=60,base=200" "$poolbench" tune --backend "$valley:slope=60" --vary base=2000,200 \
	"${small[@]}" --page-size 16K,64K --backing base --threshold 20 --confirm-pairs 0
expect '0|4' "best=16384" "$poolbench" tune --backend "$steep" --vary pages "${small[@]}" --page-size 16K,64K \
	--backing base --threshold 20 --blocks 4 --confirm-pairs 0

# ---- several conditions: one answer, and what each alone would take ----
expect 0 "object-churn, 1 thread: .* faster" "$poolbench" tune "${quick[@]}" --workload irp-storm,object-churn

# ---- what cannot be had is SKIPPED with the remedy, never replaced ----
if [ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages /sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages |
	tr -d '\n')" = 00 ]; then
	expect 3 "No answer" "$poolbench" tune --backend slub "${small[@]}" --backing hugetlb
	grep -q "sysctl vm.nr_hugepages" out || fail "no remedy"
	expect 0 "SKIPPED, 3 settings: .*sysctl" "$poolbench" tune "${quick[@]}" --backing base,hugetlb --out skips
	grep -Eq "64K pages on hugetlb +SKIPPED" out || fail "the table does not show what was skipped"
	expect 0 '"status": "SKIPPED"' cat skips/tune.json
	! grep '"backing": *"hugetlb"' skips/records.jsonl | grep -q '"status": *"OK"' || fail "hugetlb was replaced"
fi

# ---- what fails: the others decide, and where nothing is left there is no answer ----
expect 0 "CRASHED, 3 settings: killed by SIGABRT" "$poolbench" tune --backend "$steep,fails=off|on" "${small[@]}" \
	--page-size 16K,64K,256K --backing base --threshold 20 --confirm-pairs 2
grep -q "^Use 64K pages on base, .*fails=off" out || fail "a setting that failed spoils the others"
expect 1 "No answer.*" "$poolbench" tune --backend "$steep,fails=on" "${small[@]}" --page-size 16K,64K --backing base

# ---- too little to say anything, and too little to settle it ----
expect 4 "Nothing can be said: --budget 0.01s" "$poolbench" tune "${quick[@]}" --budget 0.01s
expect 4 "Not settled" "$poolbench" tune "${quick[@]}" --blocks 2 --out short
expect 0 '"verdict": "INCONCLUSIVE"' cat short/tune.json

# ---- a paging file smaller than the pool: faults are real, and counted ----
if touch /var/tmp/poolbench-test.$$ 2>/dev/null && rm /var/tmp/poolbench-test.$$; then
	# A small pool of a design that keeps its headers elsewhere: each checkpoint's walk reads back what it looks at.
	expect '0|4|3' "" "$poolbench" tune --backend slub --workload registry-churn:keys=1024,cached=256,handles=100,bins=128 \
		--events 20000 --laps 1000 --no-plots --page-size 4K,64K --backing base --paging file --paged-resident 256K \
		--blocks 2 --confirm-pairs 0 --out paging
	grep -q "SKIPPED" out || grep -Eq '"(page|major)_faults": *[1-9]' paging/records.jsonl ||
		fail "nothing was paged" # soft or hard: a fast process may be done before the disk has its pages
fi

# ---- killed, and gone on with: nothing that was finished is measured again ----
"$poolbench" tune "${quick[@]}" --page-size 4K,16K,64K,256K --out killed >out 2>&1 &
victim=$!
for _ in $(seq 400); do
	[ -s killed/records.jsonl ] && [ "$(wc -l <killed/records.jsonl)" -ge 10 ] && break
	sleep 0.02
done
kill -9 $victim
wait $victim 2>/dev/null
before=$(head -n 10 killed/records.jsonl | sha256sum)
expect 0 "^Use 64K" "$poolbench" tune --resume killed --no-plots
[ "$before" = "$(head -n 10 killed/records.jsonl | sha256sum)" ] || fail "records changed in resuming"
lines=$(wc -l <killed/records.jsonl)
expect 0 ", 0 processes in" "$poolbench" tune --resume killed --no-plots
[ "$lines" -eq "$(wc -l <killed/records.jsonl)" ] || fail "a process was measured twice"
expect 2 "not made by this command" "$poolbench" tune --resume again
expect 2 "option" "$poolbench" run --resume killed

# ---- the page ----
expect 0 "report" "$poolbench" report killed
expect 0 "The answer: SETTLED" cat killed/report.html
[ -s killed/plots/pages-irp-storm.svg ] && [ -s killed/plots/front-irp-storm.png ] || fail "figures are missing"
[ ! -e killed/plots/throughput.svg ] || fail "a tuning is drawn as a comparison"
grep -q "64K (answer)" killed/plots/front-irp-storm.svg || fail "the front does not name the answer"

expectations_end
