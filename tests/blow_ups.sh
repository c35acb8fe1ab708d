#!/usr/bin/env bash
# Published blow-ups, measured: every row of the table in docs/blow-ups.md. usage: blow_ups.sh POOLBENCH
# A row passes within 10 % of what was published, or of what its stated cause makes of that. Bytes, not times:
# they repeat within a per cent on any load. Libraries that are not here are left out, and said.
set -uo pipefail
poolbench=$1
libraries=glibc,jemalloc,mimalloc,tcmalloc,tbbmalloc
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0 rows=0 missing=0

# pattern NAME THREADS WORKLOAD [LIBRARIES]: one memory pass of each library.
pattern() {
	"$poolbench" run --backend "${4:-$libraries}" --timeout 900 --workload "$3" --threads "$2" --passes memory \
		--repetitions 1 --checkpoints 100 --laps 12 --no-plots --out "$scratch/$1" \
		>"$scratch/$1.log" 2>&1 || { sed 's/^/    /' "$scratch/$1.log"; failures=$((failures + 1)); }
}

# series NAME BACKEND: "lap live block resident" of each checkpoint.
series() {
	awk -F, -v backend="$2" '
	NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
	{
		gsub(/"[^"]*"/, "q")
		$0 = $0
		if ($1 == backend)
			print $column["lap"], $column["live_bytes"], $column["block_bytes"], \
				$column["resident_bytes"]
	}' "$scratch/$1/memory.csv"
}

# held: resident over live, median over the laps behind the first; live: of the body.
# peaks: most resident over most live. deleted: as held, but at the first checkpoint behind the peak of live
# that has come down to what the body holds.
ratio() {
	series "$1" "$2" | awk -v want="$3" '
	{ lap[NR] = $1; live[NR] = $2; resident[NR] = $4; if ($1 > last) last = $1 }
	END {
		for (i = 1; i <= NR; i++) {
			if (live[i] > most_live) { most_live = live[i]; peak = i }
			if (resident[i] > most) most = resident[i]
			if (lap[i] > 0 && lap[i] < last) { held[++n] = resident[i] / live[i]; body = live[i] }
		}
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && held[j] < held[j - 1]; j--) {
				t = held[j]; held[j] = held[j - 1]; held[j - 1] = t
			}
		if (want == "held" && n) print held[int((n + 1) / 2)]
		if (want == "peaks" && most_live) print most / most_live
		if (want == "deleted")
			for (i = peak; i <= NR; i++)
				if (live[i] < body * 1.005) { print resident[i] / live[i]; exit }
	}'
}

# A counter of the record of a backend.
counter() {
	sed -n "s/.*\"backend\":\"$2\".*\"$3\":\([0-9]*\).*/\1/p" "$scratch/$1/records.jsonl" | head -n 1
}

# row BACKEND PATTERN PUBLISHED OURS [EXPLAINED CAUSE]
row() {
	rows=$((rows + 1))
	if [ -z "$4" ]; then
		missing=$((missing + 1))
		printf '| %s | %s | %s | not here | | |\n' "$1" "$2" "$3"
		return
	fi
	awk -v name="$1" -v pattern="$2" -v published="$3" -v ours="$4" -v explained="${5:-}" \
		-v cause="${6:-}" 'BEGIN {
		off = ours / published - 1
		good = off <= 0.1 && off >= -0.1
		if (!good && explained) {
			rest = ours / explained - 1
			good = rest <= 0.1 && rest >= -0.1
			cause = sprintf("%s: %.3g expected, %+.1f %%", cause, explained, 100 * rest)
		} else
			cause = ""
		printf "| %s | %s | %.3g | %.3f | %+.1f %% | %s%s |\n", name, pattern, published, ours, \
			100 * off, cause, good ? "" : "FAILED"
		exit !good
	}' || failures=$((failures + 1))
}

# below BACKEND PATTERN QUANTITY LIMIT WHY: what the bound is not about must stay well under it.
below() {
	local ours
	ours=$(ratio "$2" "$1" "$3")
	rows=$((rows + 1))
	if [ -z "$ours" ]; then
		missing=$((missing + 1))
	elif awk "BEGIN { exit !($ours < $4) }"; then
		printf '| %s | %s | below %s | %.3f | | %s |\n' "$1" "$2" "$4" "$ours" "$5"
	else
		printf '| %s | %s | below %s | %.3f | | FAILED |\n' "$1" "$2" "$4" "$ours"
		failures=$((failures + 1))
	fi
}

# check BACKEND PATTERN QUANTITY PUBLISHED [EXPLAINED CAUSE]
check() {
	row "$1" "$2" "$4" "$(ratio "$2" "$1" "$3")" "${@:5}"
}

echo '| library | pattern | published | measured | difference | cause |'
echo '|---|---|---|---|---|---|'

# ---- rounding: 1025 bytes, just above a class; and 8 bytes ----
pattern rounding-1025 1 rounding:live=256M,size=1025
check jemalloc rounding-1025 held 1.25
check tcmalloc rounding-1025 held 1.125
check mimalloc rounding-1025 held 1.125 1.249 "four classes a doubling, not eight"
check tbbmalloc rounding-1025 held 1.748
check glibc rounding-1025 held 1.015
pattern rounding-8 1 rounding:live=16M,size=8
check glibc rounding-8 held 4

# ---- deletion: 5 GB less 2 GB stays 5 GB ----
pattern redis-deletion 1 redis-deletion:live=128M,size=248
for library in glibc jemalloc mimalloc tcmalloc tbbmalloc; do
	check "$library" redis-deletion deleted 1.667
done

# ---- eviction: Mesh (PLDI 2019) compacts Redis's heap by 39 %; Redis's test wants active/allocated >= 1.4 ----
pattern redis-eviction 1 redis-eviction:maxmemory=100M jemalloc
check jemalloc redis-eviction held 1.64
active=$(counter redis-eviction jemalloc peak_stats_mapped_bytes)
allocated=$(counter redis-eviction jemalloc peak_stats_allocated_bytes)
row jemalloc "redis-eviction, active/allocated" 1.4 \
	"$([ -n "$active" ] && awk "BEGIN { print $active / $allocated }")"

# ---- pinning: six sizes, one block a page: 6 M over M + 5 / 4096 of each generation ----
pattern pinning 1 pinning:live=64M
check jemalloc pinning held 4.04
check mimalloc pinning held 4.04
check tcmalloc pinning held 4.04
check tbbmalloc pinning held 4.04
below glibc pinning held 2 "joins free neighbours: the bound is of storage that is apart by size"

# ---- robson: 1 + 9/2 for 2^9 sizes; size classes never reuse a hole of another class ----
pattern robson 1 robson:live=64M
check jemalloc robson held 5.5
check mimalloc robson held 5.5
check tcmalloc robson held 5.5
check tbbmalloc robson held 5.5 6.25 "2048 and 4096 take 2688 and 5376, a large block a page more"

pattern robson-best-fit 1 robson:live=32M,policy=best-fit,header=8 glibc
check glibc robson-best-fit held 5.5

# ---- misfit: 0.32 m = 21 times what is live, header in, by best fit with m = 64 ----
pattern misfit 1 misfit:live=8M,header=8 glibc,jemalloc,mimalloc
check glibc misfit held 22.6
below jemalloc misfit held 11 "keeps sizes apart: the program is against best fit"
below mimalloc misfit held 5 "keeps sizes apart: the program is against best fit"

# ---- producer-consumer: a factor of P for private heaps with ownership; a block a page keeps pages in place ----
for threads in 2 4; do
	pattern producer-consumer-$threads $threads producer-consumer:live=128M,pin=4096
	factor=$(awk "BEGIN { print $threads / (1 + ($threads - 1) / 16) }")
	for library in glibc jemalloc mimalloc tbbmalloc; do
		check "$library" producer-consumer-$threads peaks "$factor"
	done
	check tcmalloc producer-consumer-$threads peaks "$factor" 1 "one central heap for all threads"
done

echo
echo "$rows rows, $failures failed, $missing of libraries that are not here"
[ "$failures" = 0 ] || exit 1
[ "$missing" -lt "$rows" ] || exit 77
