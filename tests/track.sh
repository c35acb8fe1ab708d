#!/usr/bin/env bash
# poolbench track as a person or a CI meets it. usage: track.sh POOLBENCH TRACK_SAMPLE
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 sample=$2
unset POOLBENCH_STORE

track() { "$poolbench" track "$@"; }
commit_of() { printf 'commit-%s' "$1" | sha1sum | cut -c 1-40; }

# ---- words ----
expect 2 "usage: poolbench track" track
expect 0 "Examples:" track --help
for part in add check list plot export accept pin forget; do
	expect 0 "Examples:" track "$part" --help
	grep -q -- "--store=FILE" out || fail "track $part --help does not show --store"
done
expect 2 "did you mean 'check'" track chek
expect 2 "which run" track add
expect 2 "which run" track check
expect 2 "did you mean 'series'" track list serie
expect 2 "did you mean 'time'" track check r --gate tiem
expect 2 "did you mean 'footprint'" track plot --series footprnt
expect 2 "wants csv|csv, json" track export --format xml
expect 2 "reason is missing" track forget last
expect 2 "did you mean 'time'" track accept last --reason x --series tme
expect 2 "above 0" track check r --threshold none
expect 0 "Formats of a run" track export --help
expect 2 "is of a run: which" track export --format junit
expect 3 "nothing-here" track export --format junit nothing-here
expect 2 "did you mean 'junit'" track export --format junti nothing-here
expect 3 "no history results/history.db yet" track list
expect 3 "no history" track check nothing
expect 3 "cannot open the run|No such file" track add nothing --branch main
[ -e results/history.db ] && fail "a run that is not there made a history"

# ---- a history of thirty runs: +3 % from the 16th on, a bad 8th, a bigger footprint from the 25th on ----
for i in $(seq 30); do
	time=1 footprint=1
	[ "$i" -ge 16 ] && time=1.04
	[ "$i" -eq 8 ] && time=1.5
	[ "$i" -ge 25 ] && footprint=1.1
	"$sample" "r$i" "seed=$i" "day=$i" "time=$time" "footprint=$footprint" || fail "run $i"
	expect 0 "r$i added as" track add "r$i" --branch main --commit "$(commit_of "$i")"
done
expect 0 "r7 is there already" track add r7 --branch main
expect 0 '"result": "present"' track add r7 --branch other --json
mv r7 moved
expect 0 "moved is there already" track add moved --branch main
[ "$(track list --json | grep -c '"run":')" -eq 30 ] || fail "not thirty runs"
expect 2 "ratios are to 'null'" track add r1 --branch main --reference glibc
expect 0 "^ +30 runs, [0-9]+ series +nt-pool, irp-storm, 1 thread, 4K pages" track list cells
expect 0 "00112233445566aa +30 runs +Sample <processor>" track list machines
expect 0 "^time +nt-pool, irp-storm" track list series
grep -Eq "^ +\+[34]\.[0-9] % since 2026-10-07" out || fail "no change point at the 16th run"
expect 0 "" track list decisions

# ---- check ----
"$sample" new seed=99 day=31 time=1.04 footprint=1.1
expect 1 "^REGRESSION" track check new
grep -Eq "\+[34]\.[0-9] % since 2026-10-07 14:13, commit $(commit_of 16 | cut -c 1-10)" out || fail "not since the 16th run"
expect 1 '"verdict": "REGRESSION"' track check new --json
python3 -m json.tool out >/dev/null 2>&1 || ! command -v python3 >/dev/null || fail "check --json is no JSON"
"$sample" slow seed=98 day=31 time=1.5
expect 1 "time +1\.[0-9]+ .*REGRESSION" track check slow --gate time
"$sample" again seed=97 day=31.5 time=1
expect '0|4' "time .*INCONCLUSIVE: not confirmed by the second run, which is at (0.9|1.0)" track check slow --gate time --confirm again
"$sample" slow2 seed=96 day=31.5 time=1.5
expect 1 '"confirmed_by": "2026' track check slow --gate time --confirm slow2 --json
expect 2 "confirms nothing" track check slow --confirm slow
run8=$(track list --json | sed -n 's/.*"run": "\(.*\)",/\1/p' | sed -n 8p)
expect 0 "forgotten.*$run8" track forget "$run8" --reason "a backup ran"
expect 0 "forgotten$" track list
expect 0 "accepted" track accept "$(commit_of 16)" --workload irp-storm --backend nt-pool --series time \
	--reason "checks headers now"
expect 2 "did you mean 'irp-storm'" track accept last --workload irp-strom --reason x
expect 2 "no run 'zzz'" track accept zzz --reason x
expect 2 "may be any of" track accept 2026 --reason x
expect 0 "time +[01]\.[0-9]+ .* EQUIVALENT" track check new --gate time
expect 1 "^REGRESSION" track check new --gate footprint
expect 0 "accepted" track accept "$(commit_of 25)" --series footprint --reason "larger caches"
expect 0 "^EQUIVALENT" track check new
expect 0 "larger caches" track list decisions
expect 0 "taken back: 1" track accept --undo "$(commit_of 25)" --series footprint --reason "not after all"
expect 3 "no 'accept' of run" track accept --undo "$(commit_of 25)" --series footprint --reason again
expect 0 "taken back .*: not after all" track list decisions
expect 1 "^REGRESSION" track check new
expect 0 "pinned" track pin last --reason "release 1"
expect 0 "pinned run .*EQUIVALENT" track check new
expect 0 '"baseline": "pinned"' track check new --json
expect 0 "taken back" track pin --undo last --reason "1.1 is out"
# a run that was added is not compared with itself; what came later is not looked at
expect '0|4' "against 9 runs" track check r10

# ---- machines, traces, options, cells: never mixed ----
"$sample" foreign seed=1 day=32 machine=ffeeddccbbaa9988
expect 4 "never mixed" track check foreign
grep -q "00112233445566aa  Sample" out || fail "the known machine is not named"
expect 0 "added" track add foreign --branch main
expect 0 "ffeeddccbbaa9988 +1 runs" track list machines
expect 0 "against 30 runs" track check new --gate time
expect 2 "which machine" track list series
expect 2 "which machine" track forget last --reason x
expect 0 "forgotten.*-[0-9a-f]{8}" track forget last --machine ffee --reason x
expect 0 "taken back: 1" track forget --undo last --machine ffee --reason x
expect 0 "1 runs" track list series --machine ffee
"$sample" traced seed=1 day=32 trace=0x99
expect 4 "UNKNOWN: the history has this cell only on another trace" track check traced
"$sample" shorter seed=1 day=32 events=100
expect 4 "UNKNOWN: the history has this cell only with other options" track check shorter
"$sample" plugin seed=3 day=32 time=1.04 footprint=1.1 plugin=/one/mine.so
expect 4 "no run of the history has this cell" track check plugin --gate time
"$sample" crash seed=3 day=32 time=1.04 footprint=1.1 crash=1
expect 1 "this run's cell is CRASHED: signal 11" track check crash --gate time
grep -q "^FAILED" out || fail "a failed cell does not end with FAILED"
"$sample" large seed=4 day=33 cells=2
expect 0 "added" track add large --branch main
"$sample" small seed=5 day=34 time=1.04
expect '0|4' "cells of the history's last run are not in this one" track check small --gate time

# ---- branches and git ----
expect 2 "has no branch 'topic'" track check new --branch topic
expect 0 "added" track add traced --branch topic
expect 2 "which branch" track check new
expect 0 "EQUIVALENT" track check new --branch main --gate time
mkdir checkout && cd checkout || exit 1
git init -q -b main . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one
cp -r ../new mine
expect 0 "branch main, commit $(git rev-parse HEAD | cut -c 1-10)," "$poolbench" track add mine --store own.db
expect 0 "against 30 runs of branch main" "$poolbench" track check ../new --store ../results/history.db --gate time
git checkout -q --detach
cp -r ../slow other
expect 2 "on no branch" "$poolbench" track add other --store own.db
expect 0 "branch main," "$poolbench" track add other --store own.db --branch main
cd .. || exit 1

# ---- export ----
expect 0 "^run,machine,branch,commit,started_unix_seconds,backend" track export
grep -Eq ",nt-pool,irp-storm,1,4096,base,[0-9a-f]{16},0x0000000000001234,time,x,OK,8,[0-9.]+,[0-9.]+,[0-9.]+,[0-9.]+,1,$" out ||
	fail "no line of the forgotten run"
expect 0 '"samples": \[' track export --format json
python3 -m json.tool out >/dev/null 2>&1 || ! command -v python3 >/dev/null || fail "export is no JSON"
expect 0 "<testsuites" track export --format junit r1
expect 0 "" track export --out history.csv --branch topic
[ "$(wc -l <history.csv)" -gt 1 ] || fail "an empty history.csv"
expect 1 "cannot write" track export --out /nowhere/history.csv
[ ! -w /dev/full ] || expect 1 "cannot write.*(space|device)" track export --out /dev/full

# ---- pictures ----
expect 0 "results/track/track.html" track plot --branch main --machine 0011
for kind in svg png; do
	[ "$(find results/track -maxdepth 1 -name "track-*-nt-pool-irp-storm*.$kind" | wc -l)" -ge 1 ] ||
		fail "no $kind of a cell"
done
grep -q "checks headers now" results/track/track.html || fail "the page does not show the reason"
grep -q "Sample &lt;processor&gt; &amp; co" results/track/track.html || fail "the page does not escape"
grep -q "data:image/svg+xml;base64" results/track/track.html || fail "the page has no picture in it"
grep -q "$(commit_of 16 | cut -c 1-7)" results/track/data/track-*-nt-pool-irp-storm-1-thread*.gp ||
	fail "the figure does not name the commit of the change"
expect 3 "gnuplot is not installed" env PATH=/nowhere "$poolbench" track plot --branch main --machine 0011 --out bare
[ -s bare/track.html ] || fail "no page without gnuplot"
expect 1 "nothing to draw" track plot --branch main --machine 0011 --backend nobody

# ---- bad stores ----
head -c 100000 /dev/urandom >noise.db
expect 1 "no SQLite database" track list --store noise.db
expect 2 "is a directory" track list --store results
cp results/history.db damaged.db
printf 'damage' | dd of=damaged.db bs=1 seek=4096 conv=notrunc 2>/dev/null
dd if=/dev/urandom of=damaged.db bs=4096 seek=2 count=20 conv=notrunc 2>/dev/null
expect 1 "damaged|never writes" track export --store damaged.db
expect 3 "cannot reach|without PostgreSQL" track list --store "postgresql://ann:secret@127.0.0.1:9/x"
grep -q secret out && fail "a password was shown"
expect '2|3' "no address|without PostgreSQL" track list --store "postgresql://[h/x"
as_nobody=()
[ "$(id -u)" -ne 0 ] || as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir locked && cp results/history.db locked/ && chmod 444 locked/history.db && chmod 555 locked && chmod 755 .
if "${as_nobody[@]}" test -r locked/history.db; then
	expect 0 "records" "${as_nobody[@]}" "$poolbench" track list --store locked/history.db
	expect 1 "read-only" "${as_nobody[@]}" "$poolbench" track forget "$run8" --reason x --store locked/history.db
	chmod 755 . && expect 1 "you may write to" "${as_nobody[@]}" "$poolbench" track add r1 --branch main \
		--store locked/new.db
fi
chmod 755 locked
if [ "$(id -u)" -eq 0 ] && mkdir small-disk && mount -t tmpfs -o size=300k none small-disk 2>/dev/null; then
	expect 0 "added" track add r1 --branch main --store small-disk/history.db
	head -c 400000 /dev/zero >small-disk/filler 2>/dev/null
	expect 1 "no space" track add large --branch main --store small-disk/history.db
	rm small-disk/filler
	[ "$(track list --json --store small-disk/history.db | grep -c '"run":')" -eq 1 ] || fail "half a run on a full disk"
	expect 0 "added" track add r2 --branch main --store small-disk/history.db
	umount small-disk
else
	echo "skipped: a full disk (cannot mount a small tmpfs)"
fi

expectations_end
