#!/usr/bin/env bash
# `track export` from outside, and its documents before the parsers of others: libxml2 for JUnit, Prometheus' own
# OpenMetrics parser where Python has it. usage: export.sh EXPORT_TOOL
tool=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
# shellcheck source=tests/junit_check.sh
. "$here/junit_check.sh"
export TMPDIR=$scratch

command -v xmllint >/dev/null || { echo "xmllint is missing: apt-get install libxml2-utils"; exit 77; }
python=
for candidate in /usr/bin/python3 python3; do
	"$candidate" -c 'import prometheus_client.openmetrics.parser' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || echo "not compared with Prometheus' own parser: apt-get install python3-prometheus-client"

# Every label and value as Prometheus' parser sees it must be what the run says.
openmetrics_official() {
	"$python" - "$1" <<'PY'
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(open(sys.argv[1], encoding="utf-8").read()))
assert all(f.type == "gauge" for f in families)
assert any(f.name == "poolbench_pass_ok" for f in families)
for f in families:
    for s in f.samples:
        assert s.value == s.value and abs(s.value) != float("inf"), s
print(len(families), "families")
PY
}

for kind in whole hostile failed; do
	run=$("$tool" sample "$kind") || fail "no sample"
	mv "$run" "$kind"
	expect 0 "" "$tool" --format junit -o "$kind.xml" "$kind"
	checks=$((checks + 1))
	junit_check "$kind.xml" >out || fail "JUnit of $kind"
	expect 0 "" "$tool" -F openmetrics -o "$kind.prom" "$kind"
	checks=$((checks + 1))
	[ -z "$python" ] || openmetrics_official "$kind.prom" >out 2>&1 || fail "OpenMetrics of $kind"
done
# what must be refused is refused: else the checks above say nothing
checks=$((checks + 3))
sed 's/tests="[0-9]*"/tests="1"/' whole.xml >wrong.xml
junit_check wrong.xml >/dev/null && fail "wrong totals were taken"
sed 's/<testcase /<testcase id="x" /' whole.xml >wrong.xml
junit_check wrong.xml >/dev/null && fail "a strange attribute was taken"
sed 's/&lt;/</' hostile.xml >wrong.xml
junit_check wrong.xml >/dev/null && fail "bad XML was taken"

# a cell of each kind of failure, and no number for any of them
expect 0 'type="CORRUPT" message="two live blocks overlap"' grep '<failure' whole.xml
expect 0 'type="CRASHED" message="SIGSEGV at event 90412 &lt;address' grep '<error' whole.xml
expect 0 'libmimalloc' grep '<skipped' whole.xml
expect 1 "" grep 'system-out' failed.xml

# ---- words ----
expect 2 "did you mean 'junit'" "$tool" --format junti whole
expect 2 "which --format" "$tool" whole
expect 2 "which run" "$tool" --format bmf
expect 2 "one run at a time" "$tool" --format bmf whole failed
expect 3 "nowhere" "$tool" --format bmf nowhere
expect 0 "custom-smaller +github" "$tool" --help
expect 1 "no pass is whole" "$tool" --format bmf -o none.json failed
[ -e none.json ] && fail "an empty document was written"
expect 1 "cannot write into" "$tool" --format bmf -o nowhere/bmf.json whole
expect 0 "[0-9]+ cells failed or were skipped" "$tool" --format bmf -o bmf.json whole
expect 0 '"latency"' "$tool" --format bmf -o - whole
[ "$(ls -A | grep -c tmp$)" -eq 0 ] || fail "temporary files were left"

expectations_end
