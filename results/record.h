/*
 * The record: one cell, one repetition, one pass; and the list of all metrics, which is the one source of
 * record fields, JSON keys, CSV columns and the table in docs/metrics.md.
 */
#ifndef POOLBENCH_RECORD_H
#define POOLBENCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_SCHEMA 1

enum pass { PASS_THROUGHPUT, PASS_LATENCY, PASS_MEMORY, PASS_AGEING, PASSES };
extern const char *const pass_names[PASSES + 1]; /* "throughput", ..., "ageing", NULL */

/* clang-format off */
enum cell_status {
	CELL_OK,
	CELL_SKIPPED,   /* could not be measured here: reason says why and what would allow it */
	CELL_EXHAUSTED, /* the pool, or the machine's memory, ran out */
	CELL_CRASHED,
	CELL_TIMEOUT,
	CELL_CORRUPT,   /* the backend broke its contract or reported corruption */
	CELL_UNTRUSTED, /* measured, but something says that the number is not to be believed */
	CELL_STATUSES
};
/* clang-format on */
extern const char *const cell_status_names[CELL_STATUSES + 1]; /* "OK", "SKIPPED", ..., NULL */

enum metric_better { BETTER_NONE, BETTER_HIGHER, BETTER_LOWER };

/* clang-format off */
/*
 * M(name, pass, better, unit, help). The unit is in the name where it has one. A value that could not be
 * measured is NaN in memory and null in every file.
 */
#define METRICS(M) \
	M(ops_per_second, THROUGHPUT, HIGHER, "1/s", "allocs and frees a second, all threads, wall time; median lap") \
	M(ns_per_op, THROUGHPUT, LOWER, "ns", "threads x wall time / operations; median lap of the process") \
	M(ns_per_op_min, THROUGHPUT, LOWER, "ns", "the fastest lap's") \
	M(ns_per_op_q1, THROUGHPUT, LOWER, "ns", "the lower quartile of the laps") \
	M(ns_per_op_mean, THROUGHPUT, LOWER, "ns", "the mean of the laps: rare slow laps count by their length") \
	M(net_ns_per_op, THROUGHPUT, LOWER, "ns", "ns_per_op less the floor's median in the same run") \
	M(instructions_per_op, THROUGHPUT, LOWER, "1", "user-mode instructions an operation") \
	M(cycles_per_op, THROUGHPUT, LOWER, "1", "user-mode cycles an operation") \
	M(l1d_misses_per_op, THROUGHPUT, LOWER, "1", "first-level data cache read misses an operation") \
	M(dtlb_misses_per_op, THROUGHPUT, LOWER, "1", "data TLB read misses an operation") \
	M(page_faults, THROUGHPUT, LOWER, "1", "minor and major faults in the timed region") \
	M(major_faults, THROUGHPUT, LOWER, "1", "faults that read from the paging file, in the timed region") \
	M(commits, THROUGHPUT, LOWER, "1", "commits of pool pages in the timed region; null for malloc libraries") \
	M(canary_arithmetic_ns, THROUGHPUT, NONE, "ns", "a fixed arithmetic loop: shows a noisy neighbour") \
	M(canary_memory_ns, THROUGHPUT, NONE, "ns", "a fixed memory walk: shows a noisy neighbour") \
	M(canary_sharing, THROUGHPUT, NONE, "ratio", "independent additions over dependent steps, just before the laps: shows a busy sibling thread") \
	M(canary_sharing_after, THROUGHPUT, NONE, "ratio", "the same just after the last lap") \
	M(quiet_limit, THROUGHPUT, NONE, "ratio", "canary_sharing up to which cores counted as quiet; null: the process waited for nothing") \
	M(quiet_wait_ns, THROUGHPUT, NONE, "ns", "waited for a core whose other hardware thread is idle") \
	M(failed_allocs, THROUGHPUT, LOWER, "1", "allocations that returned NULL") \
	M(alloc_ns_p50, LATENCY, LOWER, "ns", "median time of an alloc, the clock's cost subtracted") \
	M(alloc_ns_p90, LATENCY, LOWER, "ns", "90th percentile") \
	M(alloc_ns_p99, LATENCY, LOWER, "ns", "99th percentile") \
	M(alloc_ns_p99_9, LATENCY, LOWER, "ns", "99.9th percentile") \
	M(alloc_ns_p99_99, LATENCY, LOWER, "ns", "99.99th percentile") \
	M(alloc_ns_max, LATENCY, LOWER, "ns", "the slowest alloc") \
	M(free_ns_p50, LATENCY, LOWER, "ns", "median time of a free, the clock's cost subtracted") \
	M(free_ns_p90, LATENCY, LOWER, "ns", "90th percentile") \
	M(free_ns_p99, LATENCY, LOWER, "ns", "99th percentile") \
	M(free_ns_p99_9, LATENCY, LOWER, "ns", "99.9th percentile") \
	M(free_ns_p99_99, LATENCY, LOWER, "ns", "99.99th percentile") \
	M(free_ns_max, LATENCY, LOWER, "ns", "the slowest free") \
	M(clock_ns, LATENCY, NONE, "ns", "what a pair of time stamps costs: subtracted from every sample") \
	M(live_bytes_peak, MEMORY, NONE, "bytes", "most that callers held: requested bytes") \
	M(block_bytes_peak, MEMORY, LOWER, "bytes", "most that live blocks took, headers and rounding in") \
	M(committed_bytes_peak, MEMORY, LOWER, "bytes", "most taken from the page sources; null for malloc libraries") \
	M(resident_bytes_peak, MEMORY, LOWER, "bytes", "most resident at a checkpoint, by the kernel's word") \
	M(residue_bytes, MEMORY, LOWER, "bytes", "committed after the drain; null for malloc libraries") \
	M(residue_after_trim_bytes, MEMORY, LOWER, "bytes", "committed after the drain and a trim") \
	M(resident_residue_bytes, MEMORY, LOWER, "bytes", "resident after the drain") \
	M(resident_after_trim_bytes, MEMORY, LOWER, "bytes", "resident after the drain and a trim") \
	M(internal_fragmentation, MEMORY, LOWER, "ratio", "1 - live/block, at the peak of live") \
	M(external_fragmentation, MEMORY, LOWER, "ratio", "1 - block/committed, at the peak of live") \
	M(footprint_ratio, MEMORY, LOWER, "ratio", "resident peak / live peak; null below 1 MiB live") \
	M(fragmentation_f1, MEMORY, LOWER, "ratio", "Johnstone and Wilson 1: resident over live, mean over the trace, less 1") \
	M(fragmentation_f2, MEMORY, LOWER, "ratio", "2: resident over live at the peak of live, less 1") \
	M(fragmentation_f3, MEMORY, LOWER, "ratio", "3: peak resident over the live bytes at that point, less 1") \
	M(fragmentation_f4, MEMORY, LOWER, "ratio", "4: peak resident over peak live, less 1") \
	M(unusable_free_index, MEMORY, LOWER, "ratio", "free bytes in runs too short for one OS page, mean over checkpoints") \
	M(unusable_free_index_largest, MEMORY, LOWER, "ratio", "the same for the trace's largest request") \
	M(request_bytes_max, MEMORY, NONE, "bytes", "the trace's largest request") \
	M(header_bytes_per_block, MEMORY, LOWER, "bytes", "header bytes a live block, at the peak of live") \
	M(ageing_laps, AGEING, NONE, "1", "laps of the ageing trace") \
	M(ageing_footprint_first, AGEING, LOWER, "ratio", "resident peak / live peak in the first lap; null below 1 MiB live") \
	M(ageing_footprint_last, AGEING, LOWER, "ratio", "the same in the last lap, which repeats the first one's work") \
	M(ageing_footprint_growth, AGEING, LOWER, "ratio", "last / first: what age alone adds to the footprint") \
	M(ageing_waste_first_bytes, AGEING, LOWER, "bytes", "most that was resident and not live at a checkpoint of the first lap") \
	M(ageing_waste_last_bytes, AGEING, LOWER, "bytes", "the same in the last lap") \
	M(ageing_pinned_ratio, AGEING, LOWER, "ratio", "resident / live when the last lap's own work is drained and survivors are left; null below 1 MiB live") \
	M(ageing_residue_bytes, AGEING, LOWER, "bytes", "resident when the survivors are gone too")

/* clang-format on */
enum metric {
#define M(name, pass, better, unit, help) METRIC_##name,
	METRICS(M)
#undef M
		METRIC_COUNT
};

struct metric_info {
	const char *name;
	enum pass pass;
	enum metric_better better;
	const char *unit, *help;
};
extern const struct metric_info metric_table[METRIC_COUNT];

/* One point of the experiment. Plain data, compared by cell_same; a name for people by cell_name. */
struct cell {
	char backend[512]; /* full spec, options included */
	char workload[512]; /* full spec */
	unsigned threads;
	size_t page_size;
	char backing[8]; /* "base", "thp", "hugetlb" */
};

bool cell_same(const struct cell *a, const struct cell *b);

/*
 * "slub/irp-storm/threads:2/page:4K/backing:base", the name in run.json; the page size in the largest unit
 * that is exact. Bytes needed without the NUL, as snprintf.
 */
size_t cell_name(const struct cell *cell, char *name, size_t bytes);

#define RECORD_COUNTERS 48

struct record_counter {
	char name[40];
	uint64_t value;
};

struct record {
	struct cell cell;
	enum pass pass;
	unsigned repetition; /* 0 .. repetitions-1 */
	unsigned order; /* when it ran: the n-th process of the run */
	enum cell_status status;
	char reason[512]; /* empty when OK */
	char display_name[96]; /* the backend's name in figures */
	char proof[512]; /* what really ran */
	char caveats[256]; /* what this backend does not promise, "; " between; empty if nothing */
	uint64_t seed;
	uint64_t trace_checksum;
	uint64_t operations; /* in the timed region, all threads */
	uint64_t operations_total; /* since the pool was made: what its counters cover */
	double started_unix_seconds, wall_seconds;
	double harness_bytes; /* the harness's own resident memory in that process, before the pool */
	int bound; /* 1: threads bound to processors; 0: not */
	int nonpaged_locked; /* 1 locked, 0 only faulted in, -1 not applicable */
	double metrics[METRIC_COUNT];
	unsigned counters; /* the backend's own, used entries */
	struct record_counter counter[RECORD_COUNTERS];
};

/* All metrics NaN, everything else zero or empty. */
void record_clear(struct record *record);

/* ---- series that go with a record into the CSV files ---- */

struct memory_point {
	uint64_t event; /* allocs and frees done so far */
	uint32_t lap; /* 0: prologue and first lap ... */
	uint64_t live_bytes, live_blocks, block_bytes;
	double committed_bytes; /* NaN where it cannot be counted */
	double resident_bytes;
	/* the causes of waste, from walk; NaN where the backend has no walk. Sum of all + live = committed */
	double header_bytes, rounding_bytes, cached_bytes, free_bytes, free_page_bytes,
		metadata_bytes;
	double largest_free_bytes;
	/* free bytes in ranges too short for an OS page, and for the trace's largest request, over all free */
	double unusable_free_index, unusable_free_index_largest;
};

/*
 * Free ranges by size at a checkpoint, as the pool itself keeps them. Bin i holds those of 2^(i + 4) bytes and
 * more, below 2^(i + 5); the first takes smaller ones too, the last all that are larger.
 */
#define FREE_BINS 28

struct free_ranges {
	uint64_t event;
	uint32_t lap;
	uint64_t count[FREE_BINS], bytes[FREE_BINS];
};

/* What callers hold under one tag at a checkpoint; the tags that never matter are one, with an empty name. */
struct tag_live {
	uint64_t event;
	uint32_t lap;
	char tag[5];
	uint64_t live_bytes, live_blocks;
};

/* A picture of the pool's memory at a checkpoint: a stretch of one pool type, cell by cell (bench/heap_map.h). */
struct heap_map {
	uint64_t event;
	uint32_t lap, snapshot; /* the n-th picture of this process, from 0 */
	char pool; /* 'N', 'P'; 'M': a malloc library's mappings, where both live */
	uint64_t
		offset_bytes; /* of the stretch: from the page source's base, or from the lowest mapping */
	uint64_t cell_bytes;
	char *tags; /* four characters each: the tags that the letters stand for */
	char *cells; /* one symbol a cell, each followed by how often it is repeated where that is not once */
};

struct latency_bin {
	char op; /* 'a' alloc, 'f' free */
	double low_ns, high_ns;
	uint64_t count;
};

struct tag_total {
	char tag[5];
	char name[64];
	char pool; /* 'N' or 'P' */
	uint64_t allocs, frees, live_peak_blocks, live_peak_bytes, bytes_allocated;
};

/* A record with its series, as a measuring process hands it over. Whoever fills it frees it. */
struct result {
	struct record record;
	struct memory_point *memory;
	size_t memory_points;
	struct latency_bin *latency;
	size_t latency_bins;
	struct tag_total *tags;
	size_t tag_totals;
	double *lap_ns_per_op; /* every measured lap */
	size_t laps;
	struct free_ranges *free_ranges;
	size_t free_range_points;
	struct tag_live *tag_live;
	size_t tag_live_rows;
	struct heap_map *heap_map; /* its strings are owned, too */
	size_t heap_maps;
	struct memory_point *ageing; /* the ageing pass's checkpoints */
	size_t ageing_points;
};

void result_clear(struct result *result); /* zero, record cleared */
void result_release(struct result *result); /* frees the series */

#endif
