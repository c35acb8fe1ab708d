#include "record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const pass_names[PASSES + 1] = { "throughput", "latency", "memory", "ageing", NULL };

const char *const cell_status_names[CELL_STATUSES + 1] = { "OK",        "SKIPPED", "EXHAUSTED",
							   "CRASHED",   "TIMEOUT", "CORRUPT",
							   "UNTRUSTED", NULL };

const struct metric_info metric_table[METRIC_COUNT] = {
#define M(name, pass, better, unit, help) { #name, PASS_##pass, BETTER_##better, unit, help },
	METRICS(M)
#undef M
};

bool cell_same(const struct cell *a, const struct cell *b)
{
	return a->threads == b->threads && a->page_size == b->page_size &&
	       !strcmp(a->backend, b->backend) && !strcmp(a->workload, b->workload) &&
	       !strcmp(a->backing, b->backing);
}

size_t cell_name(const struct cell *cell, char *name, size_t bytes)
{
	static const char *const suffixes[] = { "", "K", "M", "G" };
	size_t size = cell->page_size, unit = 0;

	while (size && size % 1024 == 0 && unit < 3) {
		size /= 1024;
		unit++;
	}
	return (size_t)snprintf(name, bytes, "%s/%s/threads:%u/page:%zu%s/backing:%s",
				cell->backend, cell->workload, cell->threads, size, suffixes[unit],
				cell->backing);
}

void record_clear(struct record *record)
{
	memset(record, 0, sizeof(*record));
	record->nonpaged_locked = -1;
	record->harness_bytes = NAN;
	for (int i = 0; i < METRIC_COUNT; i++)
		record->metrics[i] = NAN;
}

void result_clear(struct result *result)
{
	memset(result, 0, sizeof(*result));
	record_clear(&result->record);
}

void result_release(struct result *result)
{
	free(result->memory);
	free(result->latency);
	free(result->tags);
	free(result->lap_ns_per_op);
	free(result->free_ranges);
	free(result->tag_live);
	for (size_t i = 0; i < result->heap_maps; i++) {
		free(result->heap_map[i].tags);
		free(result->heap_map[i].cells);
	}
	free(result->heap_map);
	free(result->ageing);
	result_clear(result);
}
