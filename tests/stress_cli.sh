#!/usr/bin/env bash
# poolbench stress from outside: exit codes, words, JSON, saved traces that repeat. usage: stress_cli.sh POOLBENCH BROKEN
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1
broken=$2

# ---- a finding, its file, its repetition ----
expect 1 "^  rule      overlap:" "$poolbench" stress --backend "$broken/overlap.so"
trace=$(sed -nE 's/.*--replay (\S+\.pbt).*/\1/p' out)
repeat=$(sed -nE 's/^  repeat    poolbench //p' out)
before=$(sed -nE 's/.*shrunk from ([0-9]+)\).*/\1/p' out)
after=$(sed -nE 's/.* \(([0-9]+) events, shrunk.*/\1/p' out)
checks=$((checks + 1))
[ -n "$after" ] && [ "$((after * 4))" -lt "$before" ] || fail "shrunk from '$before' to '$after' events"
expect 1 "^  rule      overlap:" "$poolbench" stress --replay "$trace"
expect 0 "sound" "$poolbench" stress --replay "$trace" --backend "$broken/sound.so"
# shellcheck disable=SC2086
expect 1 "^  rule      overlap:" "$poolbench" $repeat --no-shrink

# ---- systematic failure names the commit, and its trace repeats ----
expect 1 "^  failing   commit [0-9]+ of the (non)?paged source" \
	"$poolbench" stress --faults systematic --backend "$broken/crashes_at_limit.so"
trace=$(sed -nE 's/.*--replay (\S+\.pbt).*/\1/p' out)
expect 1 "^  rule      crash:" "$poolbench" stress --replay "$trace"

# ---- JSON: one document, words ----
expect 1 '"verdict": "finding"' "$poolbench" stress --json --no-shrink --backend "$broken/scribbles.so"
expect 0 '"verdict": "sound"' "$poolbench" stress --json --rounds 6 --backend "$broken/sound.so"
expect 0 '"schema": "poolbench-stress-1"' "$poolbench" stress --json --rounds 1 --backend "$broken/sound.so"

# ---- the verifier and plans of failure on what is sound ----
expect 0 "sound" "$poolbench" stress --rounds 6 --verify special,tracking,irql,low-resources \
	--backend "$broken/sound.so"
expect 0 "sound" "$poolbench" stress --rounds 6 --faults every=5 --backend "$broken/sound.so"
expect 0 "sound" "$poolbench" stress --rounds 6 --faults probability=0.2,delay=50 --backend "$broken/sound.so"
expect 0 "sound" "$poolbench" stress --rounds 2 --scenario workloads --workload irp-storm:depth=8,files=8 \
	--faults probability=0.2,tag=Irp --backend "$broken/sound.so"
expect 0 "skipped" "$poolbench" stress --scenario shortage --backend glibc

expect 0 "sound" "$poolbench" stress --rounds 6 --verify special-overrun,tracking --backend "$broken/sound.so"
expect 0 "sound" "$poolbench" stress --rounds 6 --verify special-underrun,tracking --backend "$broken/sound.so"

# ---- what was found is kept: by later backends, when it is interrupted, when no file can be written ----
expect 1 "^[^ ]*/sound.so: sound" "$poolbench" stress --no-shrink --rounds 6 \
	--backend "$broken/crashes_in_create.so,$broken/sound.so"
grep -q "^  rule      crash:" out && grep -q "^  where     create" out || fail "a plugin that crashes in create"
expect 1 "note +the trace could not be written" "$poolbench" stress --no-shrink --out nowhere --backend "$broken/overlap.so"
"$poolbench" stress --json --no-shrink --seconds 300 --backend "$broken/overlap.so,$broken/sound.so" >out 2>/dev/null &
sleep 3
kill -INT $!
wait $!
code=$?
checks=$((checks + 1))
[ "$code" -eq 1 ] && grep -q '"rule": "overlap"' out && tail -n 1 out | grep -q "^}" || fail "interrupted, what was found is lost"

# ---- bad input ----
expect 2 "did you mean 'nt-pool'" "$poolbench" stress --backend nt-poo
expect 2 "seed x" "$poolbench" stress --seed x
expect 2 "seed -1" "$poolbench" stress --seed=-1
expect 2 "did you mean 'mix'" "$poolbench" stress --scenario mox
expect 2 "did you mean 'special'" "$poolbench" stress --verify specail
expect 2 "nothing would fail" "$poolbench" stress --faults nth=0
expect 2 "every" "$poolbench" stress --faults evry=3
expect 2 "workload" "$poolbench" stress --workload irp-strom
expect 3 "No such file" "$poolbench" stress --backend ./nowhere.so
expect 3 "No such file" "$poolbench" stress --replay nowhere.pbt
printf "%0200d\n" 0 >text.pbt
expect 2 "not a trace file" "$poolbench" stress --replay text.pbt

cp "$trace" later.pbt && printf '\011' | dd of=later.pbt bs=1 seek=8 conv=notrunc status=none
expect 2 "version 9 of the format; this poolbench knows 1" "$poolbench" stress --replay later.pbt
head -c 100 "$trace" >short.pbt
expect 2 "short.pbt" "$poolbench" stress --replay short.pbt
expect 2 "seed 1e3: wants a number" "$poolbench" stress --seed 1e3
expect 2 "rounds 0" "$poolbench" stress --rounds 0

expectations_end
