#include "summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_LEVEL 0.95

int cell_status_severity(enum cell_status status)
{
	static const int severity[CELL_STATUSES] = {
		[CELL_OK] = 0,      [CELL_SKIPPED] = 1, [CELL_UNTRUSTED] = 2, [CELL_EXHAUSTED] = 3,
		[CELL_TIMEOUT] = 4, [CELL_CRASHED] = 5, [CELL_CORRUPT] = 6,
	};

	return severity[status];
}

bool cell_is_floor(const struct cell *cell)
{
	return !strncmp(cell->backend, "null", 4) &&
	       (cell->backend[4] == '\0' || cell->backend[4] == ':');
}

double metric_ratio(enum metric metric, double numerator, double denominator)
{
	const char *unit = metric_table[metric].unit;
	double least = 1;

	if (!strcmp(unit, "ns"))
		least = 0.1;
	else if (!strcmp(unit, "bytes"))
		least = metric == METRIC_header_bytes_per_block ? 1 : 1 << 20;
	else if (!strcmp(unit, "ratio"))
		least = 0.01;
	if (!isfinite(numerator) || !isfinite(denominator) || denominator < least)
		return NAN;
	return numerator / denominator;
}

static bool counts(const struct record *record, enum metric metric)
{
	return record->status == CELL_OK && record->pass == metric_table[metric].pass &&
	       isfinite(record->metrics[metric]);
}

/* The median floor for a cell; `room` holds a value a record. */
static double floor_of(const struct cell *cell, const struct record *records, size_t count,
		       double *room)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct cell *other = &records[i].cell;

		if (cell_is_floor(other) && counts(&records[i], METRIC_ns_per_op) &&
		    other->threads == cell->threads && !strcmp(other->workload, cell->workload))
			room[n++] = records[i].metrics[METRIC_ns_per_op];
	}
	return sorted_median(room, sort_finite(room, n));
}

int records_fill_net(struct record *records, size_t count)
{
	double *room = malloc((count + 1) * sizeof(*room));

	if (!room)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct record *record = &records[i];

		record->metrics[METRIC_net_ns_per_op] = NAN;
		if (counts(record, METRIC_ns_per_op) && !cell_is_floor(&record->cell))
			record->metrics[METRIC_net_ns_per_op] = record->metrics[METRIC_ns_per_op] -
								floor_of(&record->cell, records,
									 count, room);
	}
	free(room);
	return 0;
}

static void summarise_metric(double *values, size_t count, struct metric_summary *out)
{
	size_t n = sort_finite(values, count);

	out->n = n;
	out->median = sorted_median(values, n);
	out->q1 = sorted_quantile(values, n, 0.25);
	out->q3 = sorted_quantile(values, n, 0.75);
	out->min = n ? values[0] : NAN;
	out->max = n ? values[n - 1] : NAN;
	out->interval = sorted_median_interval(values, n, SUMMARY_LEVEL);
}

static void summary_begin(struct cell_summary *summary, const struct record *record)
{
	memset(summary, 0, sizeof(*summary));
	summary->cell = record->cell;
	for (int pass = 0; pass < PASSES; pass++)
		summary->pass_status[pass] = CELL_SKIPPED;
}

static void summary_add(struct cell_summary *summary, const struct record *record)
{
	enum cell_status *pass_status = &summary->pass_status[record->pass];

	if (!summary->records[record->pass] ||
	    cell_status_severity(record->status) > cell_status_severity(*pass_status))
		*pass_status = record->status;
	if (cell_status_severity(record->status) > cell_status_severity(summary->status)) {
		summary->status = record->status;
		memcpy(summary->reason, record->reason, sizeof(summary->reason));
	}
	if (!*summary->display_name)
		memcpy(summary->display_name, record->display_name, sizeof(summary->display_name));
	if (!*summary->caveats)
		memcpy(summary->caveats, record->caveats, sizeof(summary->caveats));
	if (record->repetition >= summary->repetitions)
		summary->repetitions = record->repetition + 1;
	summary->records[record->pass]++;
	summary->ok[record->pass] += record->status == CELL_OK;
}

/* owner[i]: the summary that record i belongs to. */
static size_t assign_cells(const struct record *records, size_t count, size_t *owner)
{
	size_t cells = 0, *first = owner + count; /* the first record of each cell */

	for (size_t i = 0; i < count; i++) {
		size_t c = 0;

		while (c < cells && !cell_same(&records[first[c]].cell, &records[i].cell))
			c++;
		if (c == cells)
			first[cells++] = i;
		owner[i] = c;
	}
	return cells;
}

int summarise(struct record *records, size_t count, struct cell_summary **cells, size_t *cell_count)
{
	size_t *owner = calloc(2 * count + 1, sizeof(*owner)), total = 0;
	double *room = malloc((count + 1) * sizeof(*room));
	struct cell_summary *list = NULL;
	int error = owner && room ? records_fill_net(records, count) : -ENOMEM;

	if (error)
		goto out;
	total = assign_cells(records, count, owner);
	list = total ? malloc(total * sizeof(*list)) : NULL;
	if (total && !list) {
		error = -ENOMEM;
		goto out;
	}
	for (size_t c = 0; c < total; c++)
		summary_begin(&list[c], &records[owner[count + c]]);
	for (size_t i = 0; i < count; i++)
		summary_add(&list[owner[i]], &records[i]);
	for (size_t c = 0; c < total; c++) {
		for (int m = 0; m < METRIC_COUNT; m++) {
			size_t n = 0;

			for (size_t i = 0; i < count; i++) {
				if (owner[i] == c && counts(&records[i], (enum metric)m))
					room[n++] = records[i].metrics[m];
			}
			summarise_metric(room, n, &list[c].metrics[m]);
		}
		list[c].floor_ns = floor_of(&list[c].cell, records, count, room);
	}
	*cells = list;
	*cell_count = total;
out:
	free(owner);
	free(room);
	return error;
}
