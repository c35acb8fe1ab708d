/* Medians of the backends' counters. */
#include "counter_summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

static bool has_counters(const struct record *record)
{
	return record->status == CELL_OK && record->counters > 0;
}

static const struct record_counter *counter_find(const struct record *record, const char *name)
{
	for (unsigned i = 0; i < record->counters; i++)
		if (strcmp(record->counter[i].name, name) == 0)
			return &record->counter[i];
	return NULL;
}

static bool is_maximum(const char *name)
{
	const size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, "_max") == 0;
}

static double operations_of(const struct record *record)
{
	return record->operations_total ? (double)record->operations_total : NAN;
}

/* ---- medians ---- */

/* The records that a summary is made of, with room for a value of each. */
struct sample {
	const struct record **records;
	double *values;
	size_t count;
};

static double sample_median(const struct sample *sample)
{
	return sorted_median(sample->values, sort_finite(sample->values, sample->count));
}

static double median_events(const struct sample *sample, const char *name, bool per_operation)
{
	for (size_t i = 0; i < sample->count; i++) {
		const struct record *record = sample->records[i];
		const struct record_counter *counter = counter_find(record, name);

		sample->values[i] = counter ? (double)counter->value : NAN;
		if (per_operation)
			sample->values[i] /= operations_of(record);
	}
	return sample_median(sample);
}

static void summary_fill(struct counter_summary *summary, const struct sample *sample)
{
	const struct record *first = sample->records[0];

	memcpy(summary->display_name, first->display_name, sizeof(summary->display_name));
	summary->repetitions = (unsigned)sample->count;
	for (size_t i = 0; i < sample->count; i++)
		sample->values[i] = operations_of(sample->records[i]);
	summary->operations = sample_median(sample);
	for (unsigned c = 0; c < first->counters; c++) {
		struct counter_median *median = &summary->counter[summary->count++];

		memcpy(median->name, first->counter[c].name, sizeof(median->name));
		median->events = median_events(sample, median->name, false);
		median->per_operation = is_maximum(median->name)
						? NAN
						: median_events(sample, median->name, true);
	}
}

/* ---- cells ---- */

/* Those of the cell's first pass that has any. */
static void sample_collect(struct sample *sample, const struct record *records, size_t count,
			   struct counter_summary *summary)
{
	sample->count = 0;
	for (unsigned pass = 0; pass < PASSES && sample->count == 0; pass++) {
		summary->pass = (enum pass)pass;
		for (size_t i = 0; i < count; i++)
			if (has_counters(&records[i]) && records[i].pass == summary->pass &&
			    cell_same(&records[i].cell, &summary->cell))
				sample->records[sample->count++] = &records[i];
	}
}

const struct counter_summary *counter_summary_find(const struct counter_summary *summaries,
						   size_t count, const struct cell *cell)
{
	for (size_t i = 0; i < count; i++)
		if (cell_same(&summaries[i].cell, cell))
			return &summaries[i];
	return NULL;
}

const struct counter_median *counter_median_find(const struct counter_summary *summary,
						 const char *name)
{
	for (unsigned i = 0; i < summary->count; i++)
		if (strcmp(summary->counter[i].name, name) == 0)
			return &summary->counter[i];
	return NULL;
}

/* A summary a cell, with nothing but the cell; NULL for want of memory. */
static struct counter_summary *cells_collect(const struct record *records, size_t count,
					     size_t *cells)
{
	struct counter_summary *list = NULL;

	*cells = 0;
	for (size_t i = 0; i < count; i++) {
		struct counter_summary *larger;

		if (!has_counters(&records[i]) ||
		    counter_summary_find(list, *cells, &records[i].cell))
			continue;
		larger = reallocarray(list, *cells + 1, sizeof(*list));
		if (!larger) {
			free(list);
			return NULL;
		}
		list = larger;
		memset(&list[*cells], 0, sizeof(*list));
		list[(*cells)++].cell = records[i].cell;
	}
	return list ? list : malloc(1);
}

int counters_summarise(const struct record *records, size_t count,
		       struct counter_summary **summaries, size_t *summary_count)
{
	struct sample sample = {
		.records = calloc(count + 1, sizeof(*sample.records)),
		.values = calloc(count + 1, sizeof(*sample.values)),
	};
	size_t cells = 0;
	struct counter_summary *list = cells_collect(records, count, &cells);
	int error = sample.records && sample.values && list ? 0 : -ENOMEM;

	for (size_t i = 0; i < cells && !error; i++) {
		sample_collect(&sample, records, count, &list[i]);
		summary_fill(&list[i], &sample);
	}
	free(sample.records);
	free(sample.values);
	if (error || cells == 0) {
		free(list);
		list = NULL;
	}
	*summaries = list;
	*summary_count = error ? 0 : cells;
	return error;
}
