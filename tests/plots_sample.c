#include "plots_sample.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "results/run_dir.h"

#define MIB 1048576.0

struct sample_backend {
	const char *spec, *name;
	double mops, ratio;
	int native;
};

static const struct sample_backend whole_backends[] = {
	{ "null", "null", 210, 1, 1 },
	{ "nt-pool", "nt-pool", 62, 1.21, 1 },
	{ "segment-heap", "segment-heap", 55, 1.12, 1 },
	{ "slub", "slub", 96, 1.35, 1 },
	{ "magazine", "magazine", 104, 1.48, 1 },
	{ "tlsf", "tlsf", 48, 1.09, 1 },
	{ "buddy", "buddy", 44, 1.62, 1 },
	{ "glibc", "glibc", 58, 1.25, 0 },
	{ "jemalloc", "jemalloc", 88, 1.31, 0 },
	{ "mimalloc", "mimalloc", 120, 1.28, 0 },
};
static const char *const whole_workloads[] = { "irp-storm:depth=256,remote=0.4", "registry-churn",
					       "section-mapping", "object-churn",
					       "trace:/data/kmem_boot.pbt" };

static const struct sample_backend hostile_backends[] = {
	{ "null:scratch=4M", "null", 210, 1, 1 },
	{ HOSTILE_BACKEND, HOSTILE_NAME, 70, 1.5, 1 },
	{ "slub", "slub", 96, 1.35, 1 },
	{ "slub:order=3", "slub", 91, 1.25, 1 },
};
static const char *const hostile_workloads[] = { HOSTILE_WORKLOAD, "irp-storm",
						 "irp-storm:depth=1" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A number in [-1, 1) that depends on its arguments alone. */
static double wobble(unsigned a, unsigned b, unsigned c)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u + c * 0x94d049bb133111ebu +
		     1;

	x ^= x >> 31;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 29;
	x *= 0xd6e8feb86659fd93u;
	return (double)(x >> 11) / 4503599627370496.0 - 1;
}

static void fill_latency(struct result *result, double ns)
{
	enum { BINS = 90 };
	double *metrics = result->record.metrics;

	result->latency = calloc(2 * BINS, sizeof(*result->latency));
	for (unsigned op = 0; op < 2 && result->latency; op++) {
		double median = op ? ns * 0.7 : ns, low = median / 4;
		uint64_t left = 400000;
		for (unsigned i = 0; i < BINS && left; i++) {
			double high = low * 1.12, x = high / median;
			double beyond = 0.985 / (1 + pow(x, 8)) + 0.015 / (1 + pow(x / 20, 1.8));
			uint64_t stay = i + 1 < BINS ? (uint64_t)(400000 * beyond) : 0;
			if (stay < left)
				result->latency[result->latency_bins++] =
					(struct latency_bin){ .op = op ? 'f' : 'a',
							      .low_ns = low,
							      .high_ns = high,
							      .count = left - stay };
			left = stay < left ? stay : left;
			low = high;
		}
		metrics[op ? METRIC_free_ns_p50 : METRIC_alloc_ns_p50] = median;
		metrics[op ? METRIC_free_ns_p99 : METRIC_alloc_ns_p99] = median * 9;
		metrics[op ? METRIC_free_ns_p99_9 : METRIC_alloc_ns_p99_9] = median * 70;
		metrics[op ? METRIC_free_ns_max : METRIC_alloc_ns_max] = low;
	}
}

static void fill_memory(struct result *result, const struct sample_backend *backend, double ratio,
			unsigned w)
{
	enum { POINTS = 200 };
	double *metrics = result->record.metrics, high = 0, live_peak = 48 * MIB;

	result->memory = calloc(POINTS, sizeof(*result->memory));
	for (unsigned i = 0; i < POINTS && result->memory; i++) {
		double phase = i / (POINTS - 1.0);
		double shape = phase < 0.93
				       ? fmin(1, phase * 5) * (0.75 + 0.25 * sin(phase * 30 + w))
				       : 0.7 * fmax(0, 1 - (phase - 0.93) / 0.06);
		double live = live_peak * shape, waste;
		struct memory_point *p = &result->memory[result->memory_points++];
		high = fmax(high * 0.995, live * ratio);
		p->event = (uint64_t)(4e6 * phase);
		p->lap = phase < 0.93 ? 0 : 1; /* the drain */
		p->live_bytes = (uint64_t)live;
		p->live_blocks = p->live_bytes / 200;
		p->block_bytes = (uint64_t)(live * 1.04);
		p->resident_bytes = fmax(live * 1.05, high);
		p->committed_bytes = backend->native ? p->resident_bytes * 1.03 : NAN;
		waste = p->committed_bytes - live;
		p->header_bytes = waste * 0.1;
		p->rounding_bytes = waste * 0.2;
		p->cached_bytes = waste * 0.2;
		p->free_bytes = waste * 0.3;
		p->free_page_bytes = waste * 0.12;
		p->metadata_bytes = waste * 0.08;
		p->largest_free_bytes = p->unusable_free_index = NAN;
	}
	metrics[METRIC_live_bytes_peak] = live_peak;
	metrics[METRIC_resident_bytes_peak] = live_peak * ratio;
	metrics[METRIC_footprint_ratio] = ratio;
	metrics[METRIC_internal_fragmentation] = 0.04;
	metrics[METRIC_external_fragmentation] = backend->native ? 1 - 1.04 / (ratio * 1.03) : NAN;
}

/* Free ranges that grow with the pool, tags that share what is live, and pictures of half-filled pages. */
static void fill_heap(struct result *result, const struct sample_backend *backend, unsigned w)
{
	static const char *const tags[] = { "Irp ", "Mm`$", "<b>&", "" };
	const size_t points = result->memory_points;

	result->free_ranges = calloc(points, sizeof(*result->free_ranges));
	result->tag_live = calloc(4 * points, sizeof(*result->tag_live));
	result->heap_map = calloc(4, sizeof(*result->heap_map));
	if (!result->free_ranges || !result->tag_live || !result->heap_map)
		return;
	for (size_t i = 0; i < points; i++) {
		const struct memory_point *point = &result->memory[i];
		struct free_ranges *ranges = &result->free_ranges[i];
		ranges->event = point->event;
		ranges->lap = point->lap;
		for (int bin = 0; backend->native && bin < 16; bin++) {
			ranges->count[bin] = (uint64_t)(16 - bin) * 40;
			ranges->bytes[bin] = ranges->count[bin] * (16ull << bin);
		}
		for (unsigned t = 0; t < 4; t++) {
			struct tag_live *row = &result->tag_live[result->tag_live_rows++];
			row->event = point->event;
			strcpy(row->tag, tags[t]);
			row->live_bytes = point->live_bytes / 4;
		}
	}
	result->free_range_points = backend->native ? points : 0;
	for (unsigned i = 0; i < 4; i++) {
		struct heap_map *map = &result->heap_map[result->heap_maps++];
		map->event = result->memory[points / 4 * i].event;
		map->lap = i < 3 ? 0 : 1;
		map->snapshot = i;
		map->pool = backend->native ? 'N' : 'M';
		map->offset_bytes = backend->native ? 0 : 0x7f0000000000;
		map->cell_bytes = 4096;
		map->tags = strdup("Irp Mm`$<b>&");
		map->cells = strdup(w % 2 ? "#8A400b20C300-40=100~12H3.5000A2" : "A900a30B20-9+4");
	}
}

/* Twelve laps of ten checkpoints, and one behind them; the pool keeps a little more in each. */
static void fill_ageing(struct result *result, const struct sample_backend *backend, double ratio)
{
	enum { LAPS = 12, PARTS = 10 };
	double *metrics = result->record.metrics;

	result->ageing = calloc(LAPS * PARTS + 1, sizeof(*result->ageing));
	for (unsigned i = 0; result->ageing && i <= LAPS * PARTS; i++) {
		struct memory_point *p = &result->ageing[result->ageing_points++];
		double live = i == LAPS * PARTS ? 0 : 8 * MIB * (1 - fabs((i % PARTS) / 5.0 - 1));
		double waste = 8 * MIB * (ratio - 1) * (1 + 0.05 * i / PARTS);
		p->event = i * 10000;
		p->lap = i / PARTS;
		p->live_bytes = (uint64_t)live;
		p->resident_bytes = live + waste;
		p->committed_bytes = backend->native ? live + waste : NAN;
		p->header_bytes = p->rounding_bytes = p->cached_bytes =
			(p->committed_bytes - live) / 6;
		p->free_bytes = p->free_page_bytes = p->metadata_bytes = p->header_bytes;
	}
	metrics[METRIC_ageing_laps] = LAPS;
	metrics[METRIC_ageing_footprint_last] = ratio * 1.3;
}

static void fill_throughput(struct record *record, double mops)
{
	double *metrics = record->metrics;

	metrics[METRIC_ops_per_second] = mops * 1e6;
	metrics[METRIC_ns_per_op] = record->cell.threads * 1000 / mops;
	metrics[METRIC_canary_arithmetic_ns] = 100 + 2 * wobble(record->order, 1, 1);
	metrics[METRIC_canary_memory_ns] = 300 + 60 * wobble(record->order, 2, 2);
	record->counters = 2;
	strcpy(record->counter[0].name, "lookaside_hits");
	record->counter[0].value = 123456;
	strcpy(record->counter[1].name, "splits");
	record->counter[1].value = record->order;
}

/* Some cells of the whole sample fail, one in each way; all of the failed one do. */
static void fill_status(enum sample kind, struct record *record, unsigned b, unsigned w)
{
	static const struct {
		unsigned backend, workload, threads;
		enum cell_status status;
		const char *reason;
	} failures[] = {
		{ 6, 2, 1, CELL_EXHAUSTED,
		  "the nonpaged pool's limit of 64 MiB was reached; raise --nonpaged" },
		{ 5, 0, 2, CELL_CRASHED, "SIGSEGV at event 90412 <address 0x18>" },
		{ 9, 4, 2, CELL_SKIPPED,
		  "libmimalloc.so.2 is not installed: apt-get install libmimalloc2.0" },
		{ 7, 1, 2, CELL_UNTRUSTED, "canary_memory_ns rose by 31 % while it ran" },
		{ 4, 3, 2, CELL_TIMEOUT, "no end after 60 s" },
		{ 2, 3, 1, CELL_CORRUPT, "two live blocks overlap" },
	};

	for (size_t i = 0; i < COUNT(failures); i++) {
		if (kind == SAMPLE_FAILED ||
		    (kind == SAMPLE_WHOLE && failures[i].backend == b &&
		     failures[i].workload == w && failures[i].threads == record->cell.threads)) {
			record->status = failures[i].status;
			snprintf(record->reason, sizeof(record->reason), "%s", failures[i].reason);
		}
	}
}

static void fill(struct result *result, enum sample kind, const struct sample_backend *backend,
		 unsigned b, const char *workload, unsigned w, unsigned threads, enum pass pass,
		 unsigned repetition)
{
	struct record *record = &result->record;
	double speed = backend->mops * (1 + 0.25 * wobble(b, w, 0)) *
		       (threads == 1 ? 1 : 1.5 + 0.4 * wobble(b, w, 1));
	double ratio = backend->native && b == 0 ? 1
						 : backend->ratio * (1 + 0.08 * wobble(b, w, 2));

	record->cell.threads = threads;
	record->cell.page_size = 65536;
	record->pass = pass;
	record->repetition = repetition;
	record->seed = 1;
	record->operations = 4000000;
	record->bound = 1;
	snprintf(record->cell.backend, sizeof(record->cell.backend), "%s", backend->spec);
	snprintf(record->cell.workload, sizeof(record->cell.workload), "%s", workload);
	snprintf(record->cell.backing, sizeof(record->cell.backing), "base");
	snprintf(record->display_name, sizeof(record->display_name), "%s", backend->name);
	snprintf(record->proof, sizeof(record->proof), "built-in");
	if (!backend->native)
		snprintf(record->caveats, sizeof(record->caveats),
			 "residency of nonpaged blocks is not promised");
	fill_status(kind, record, b, w);
	if (record->status != CELL_OK)
		return;
	if (pass == PASS_THROUGHPUT)
		fill_throughput(record,
				speed * (1 + 0.04 * wobble(b * 10 + w, threads, repetition + 9)));
	else if (pass == PASS_LATENCY)
		fill_latency(result, threads * 1000 / speed);
	else if (pass == PASS_AGEING)
		fill_ageing(result, backend, ratio);
	else
		fill_memory(result, backend, ratio, w);
	if (pass == PASS_MEMORY && result->memory)
		fill_heap(result, backend, w);
}

static int write_cells(enum sample kind, struct run_dir *run, char *why, size_t why_bytes)
{
	int hostile = kind == SAMPLE_HOSTILE;
	const struct sample_backend *backends = hostile ? hostile_backends : whole_backends;
	const char *const *workloads = hostile ? hostile_workloads : whole_workloads;
	unsigned backend_count = hostile ? COUNT(hostile_backends) : COUNT(whole_backends);
	unsigned workload_count = hostile ? COUNT(hostile_workloads) : COUNT(whole_workloads),
		 order = 0;
	static const unsigned repetitions[PASSES] = { 6, 1, 1, 1 };
	int err = 0;

	if (kind == SAMPLE_FAILED)
		backend_count = workload_count = 2;
	for (unsigned b = 0; b < backend_count; b++) {
		for (unsigned w = 0; w < workload_count; w++) {
			for (unsigned n = 0; n < 2 * (6 + 1 + 1 + 1) && !err; n++) {
				enum pass pass = n / 2 < 6   ? PASS_THROUGHPUT
						 : n / 2 < 7 ? PASS_LATENCY
						 : n / 2 < 8 ? PASS_MEMORY
							     : PASS_AGEING;
				struct result result;
				result_clear(&result);
				result.record.order = order++;
				fill(&result, kind, &backends[b], b, workloads[w], w, 1 + n % 2,
				     pass, n / 2 % repetitions[pass]);
				err = run_dir_append(run, &result, why, why_bytes);
				result_release(&result);
			}
		}
	}
	return err;
}

int sample_run(enum sample kind, char *path, size_t bytes)
{
	static const char environment[] =
		"{\"cpu_model\": \"Example CPU <2.6 GHz>\", \"hypervisor\": null, \"kernel\": "
		"\"6.1.0\","
		" \"memory\": {\"total_bytes\": 25769803776}, \"load_before\": [0.1, 0.2, 0.3]}\n";
	const char *temporary = getenv("TMPDIR");
	char why[512] = "";
	struct run_plan plan = { .seed = 1, .repetitions = 6, .passes = 15 };
	struct run_dir *run;
	int err;

	snprintf(path, bytes, "%s/poolbench-plots-XXXXXX",
		 temporary && *temporary ? temporary : "/tmp");
	if (!mkdtemp(path)) {
		perror(path);
		return -1;
	}
	err = run_plan_add_option(&plan, "workload",
				  kind == SAMPLE_HOSTILE ? HOSTILE_WORKLOAD : "irp-storm");
	if (!err)
		err = run_dir_create(NULL, path, &plan, &run, why, sizeof(why));
	if (!err) {
		err = write_cells(kind, run, why, sizeof(why));
		if (!err)
			err = run_dir_write(run, "environment.json", environment,
					    sizeof(environment) - 1, why, sizeof(why));
		run_dir_close(run);
	}
	run_plan_release(&plan);
	if (err)
		fprintf(stderr, "%s: %s\n", path, why);
	return err ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	(void)type;
	(void)walk;
	return remove(path);
}

void sample_remove(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

char *sample_read(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "re"), *out;
	char *text = NULL, buffer[4096];
	size_t size = 0, n;

	if (!file)
		return NULL;
	out = open_memstream(&text, &size);
	while (out && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, n, out);
	fclose(file);
	if (out)
		fclose(out);
	if (bytes)
		*bytes = size;
	return text;
}
