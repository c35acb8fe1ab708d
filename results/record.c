#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const pass_names[PASSES + 1] = { "throughput", "latency", "memory", NULL };

const char *const cell_status_names[CELL_STATUSES + 1] = {
	"OK", "SKIPPED", "EXHAUSTED", "CRASHED", "TIMEOUT", "CORRUPT", "UNTRUSTED", NULL
};

const struct metric_info metric_table[METRIC_COUNT] = {
#define M(name, pass, better, unit, help) { #name, PASS_##pass, BETTER_##better, unit, help },
	METRICS(M)
#undef M
};

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
	result_clear(result);
}
