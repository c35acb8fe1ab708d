/* Reading: every field is checked, as if a stranger had written it. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_internal.h"

#define ALL_TIME    1e18
#define SAMPLES_MAX 100000

struct reading {
	const struct history_filter *filter;
	struct history *history;
	size_t run_room, series_room, point_room, decision_room;
	double first; /* when the oldest run inside the filter started */
	bool outside; /* pinned runs are being read */
	const char *strange;
};

static int word_find(const char *const *words, const char *word)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

static int strange(struct reading *reading, const char *what)
{
	reading->strange = what;
	return -EBADMSG;
}

/* ---- runs ---- */

#define RUN_COLUMNS \
	"r.id, r.machine, r.settings, r.branch, r.commit_id, r.started, r.added, r.records, " \
	"r.digest, " \
	"r.made_with, (SELECT count(*) FROM track_point p WHERE p.run = r.id)"

static bool read_run(const struct store_value *fields, struct history_run *run)
{
	int64_t records, points;

	if (!store_read_text(&fields[0], run->id, sizeof(run->id), false) || !*run->id ||
	    !store_read_text(&fields[1], run->machine, sizeof(run->machine), false) ||
	    !store_read_text(&fields[2], run->settings, sizeof(run->settings), false) ||
	    !store_read_text(&fields[3], run->branch, sizeof(run->branch), false) ||
	    !store_read_text(&fields[4], run->commit, sizeof(run->commit), false) ||
	    !store_read_real(&fields[5], &run->started) || !(fabs(run->started) < 1e11) ||
	    !store_read_real(&fields[6], &run->added) || !(fabs(run->added) < 1e11) ||
	    !store_read_integer(&fields[7], 0, INT64_MAX, &records) ||
	    !store_read_text(&fields[8], run->digest, sizeof(run->digest), false) ||
	    !store_read_text(&fields[9], run->made_with, sizeof(run->made_with), false) ||
	    !store_read_integer(&fields[10], 0, INT64_MAX, &points))
		return false;
	run->records = (uint64_t)records;
	run->points = (size_t)points;
	return true;
}

static int note_run(const struct store_value *fields, unsigned count, void *argument)
{
	struct reading *reading = argument;
	struct history *history = reading->history;
	struct history_run *runs = store_grow(history->runs, history->run_count, &reading->run_room,
					      sizeof(*runs));

	(void)count;
	if (!runs)
		return -ENOMEM;
	history->runs = runs;
	if (!read_run(fields, &runs[history->run_count]))
		return strange(reading, "row in track_run");
	for (size_t i = 0; i < history->run_count && reading->outside; i++)
		if (!strcmp(runs[i].id, runs[history->run_count].id))
			return 0;
	runs[history->run_count].outside = reading->outside;
	if (!reading->outside)
		reading->first = fmin(reading->first, runs[history->run_count].started);
	history->run_count++;
	return 0;
}

static int compare_runs(const void *left, const void *right)
{
	const struct history_run *a = left, *b = right;

	if (a->started < b->started || a->started > b->started)
		return a->started < b->started ? -1 : 1;
	return strcmp(a->id, b->id);
}

#define PINNED "r.id IN (SELECT run FROM track_decision WHERE kind = 'pin' AND withdrawn IS NULL)"

/* The newest first, cut at `last`, then those that are pinned. */
static int read_runs(struct store *store, struct reading *reading, const struct store_message *why)
{
	const struct history_filter *filter = reading->filter;
	struct history *history = reading->history;
	const struct store_value values[] = {
		store_text(filter->machine ? filter->machine : ""),
		store_real(filter->before != 0 ? filter->before : ALL_TIME),
		store_text(filter->branch ? filter->branch : ""),
		store_integer(filter->last ? filter->last : INT64_MAX),
	};
	int error = store_query(store,
				"SELECT " RUN_COLUMNS
				" FROM track_run r WHERE ($1 = '' OR r.machine = "
				"$1) AND r.started < $2 AND ($3 = '' OR r.branch = $3) "
				"ORDER BY r.started DESC, r.id DESC LIMIT $4",
				values, 4, note_run, reading, why);

	reading->outside = true;
	if (!error)
		error = store_query(store,
				    "SELECT " RUN_COLUMNS " FROM track_run r WHERE ($1 = '' OR "
				    "r.machine = $1) AND r.started < $2 AND " PINNED,
				    values, 2, note_run, reading, why);
	if (history->run_count)
		qsort(history->runs, history->run_count, sizeof(*history->runs), compare_runs);
	return error;
}

/* ---- series ---- */

static int note_series(const struct store_value *fields, unsigned count, void *argument)
{
	struct reading *reading = argument;
	struct history *history = reading->history;
	struct history_series *all = store_grow(history->series, history->series_count,
						&reading->series_room, sizeof(*all));
	struct history_series *series;
	int64_t threads, page_size;
	char measure[40];
	int found;

	(void)count;
	if (!all)
		return -ENOMEM;
	history->series = all;
	series = &all[history->series_count];
	if (!store_read_integer(&fields[0], 0, INT64_MAX, &series->id) ||
	    !store_read_text(&fields[1], series->machine, sizeof(series->machine), false) ||
	    !store_read_text(&fields[2], series->settings, sizeof(series->settings), false) ||
	    !store_read_text(&fields[3], series->cell.backend, sizeof(series->cell.backend),
			     false) ||
	    !store_read_text(&fields[4], series->cell.workload, sizeof(series->cell.workload),
			     false) ||
	    !store_read_integer(&fields[5], 0, 1 << 20, &threads) ||
	    !store_read_integer(&fields[6], 0, (int64_t)1 << 40, &page_size) ||
	    !store_read_text(&fields[7], series->cell.backing, sizeof(series->cell.backing),
			     false) ||
	    !store_read_text(&fields[8], series->trace, sizeof(series->trace), false) ||
	    !store_read_text(&fields[9], measure, sizeof(measure), false))
		return strange(reading, "row in track_series");
	found = measure_find(measure);
	if (found < 0)
		return strange(reading, "measure");
	series->measure = (enum measure)found;
	series->cell.threads = (unsigned)threads;
	series->cell.page_size = (size_t)page_size;
	history->series_count++;
	return 0;
}

/* ---- points ---- */

static int read_samples(struct reading *reading, const char *text, struct history_point *point)
{
	json_t *array = json_loads(text, 0, NULL);
	const size_t n = json_array_size(array);
	int error = n == point->n && n <= SAMPLES_MAX ? 0 : strange(reading, "list of values");

	point->samples = error ? NULL : malloc((n + 1) * sizeof(*point->samples));
	if (!error && !point->samples)
		error = -ENOMEM;
	for (size_t i = 0; i < n && !error; i++) {
		point->samples[i] = json_number_value(json_array_get(array, i));
		if (!(point->samples[i] > 0))
			error = strange(reading, "value");
	}
	json_decref(array);
	return error;
}

static bool find_run(const struct history *history, double started, const char *id, size_t *index)
{
	size_t low = 0, high = history->run_count;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (history->runs[middle].started < started)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < history->run_count && !(history->runs[low].started > started); low++)
		if (!strcmp(history->runs[low].id, id)) {
			*index = low;
			return true;
		}
	return false;
}

static bool find_series(const struct history *history, int64_t id, size_t *index)
{
	size_t low = 0, high = history->series_count;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (history->series[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	*index = low;
	return low < history->series_count && history->series[low].id == id;
}

static int note_point(const struct store_value *fields, unsigned count, void *argument)
{
	struct reading *reading = argument;
	struct history *history = reading->history;
	struct history_point *points = store_grow(history->points, history->point_count,
						  &reading->point_room, sizeof(*points));
	struct history_point *point;
	int64_t series, n;
	double started;
	char run[64], status[20];
	int found;

	(void)count;
	if (!points)
		return -ENOMEM;
	history->points = points;
	point = &points[history->point_count];
	if (!store_read_integer(&fields[0], 0, INT64_MAX, &series) ||
	    !store_read_text(&fields[1], run, sizeof(run), false) ||
	    !store_read_real(&fields[2], &started) ||
	    !store_read_text(&fields[3], status, sizeof(status), false) ||
	    !store_read_text(&fields[4], point->reason, sizeof(point->reason), true) ||
	    !store_read_integer(&fields[5], 0, SAMPLES_MAX, &n) ||
	    !store_read_real(&fields[6], &point->value) ||
	    !store_read_real(&fields[7], &point->low) ||
	    !store_read_real(&fields[8], &point->high) ||
	    !store_read_real(&fields[9], &point->absolute) || fields[10].type != STORE_TEXT)
		return strange(reading, "row in track_point");
	found = word_find(cell_status_names, status);
	if (found < 0 || (n > 0) != isfinite(point->value) || (n > 0 && !(point->value > 0)))
		return strange(reading, "point");
	if (!find_run(history, started, run, &point->run) ||
	    !find_series(history, series, &point->series))
		return 0; /* of a run beyond the filter */
	point->status = (enum cell_status)found;
	point->n = (size_t)n;
	history->point_count++;
	return reading->filter->samples && n ? read_samples(reading, fields[10].text, point) : 0;
}

static int read_points(struct store *store, struct reading *reading,
		       const struct store_message *why)
{
	const struct history_filter *filter = reading->filter;
	const struct store_value values[] = {
		store_text(filter->machine ? filter->machine : ""),
		store_text(filter->branch ? filter->branch : ""),
		store_real(reading->first),
		store_text(filter->samples ? "yes" : "no"),
	};
	int error = store_query(
		store,
		"SELECT id, machine, settings, backend, workload, threads, page_size, "
		"backing, trace, measure FROM track_series "
		"WHERE ($1 = '' OR machine = $1) ORDER BY id",
		values, 1, note_series, reading, why);

	if (error)
		return error;
	return store_query(
		store,
		"SELECT p.series, p.run, r.started, p.status, p.reason, p.n, p.value, p.low, "
		"p.high, p.absolute, CASE WHEN $4 = 'yes' THEN p.samples ELSE '' END "
		"FROM track_point p JOIN track_run r ON r.id = p.run "
		"WHERE ($1 = '' OR r.machine = $1) AND ((($2 = '' OR r.branch = $2) "
		"AND r.started >= $3) OR " PINNED ") ORDER BY p.series, r.started, r.id",
		values, 4, note_point, reading, why);
}

/* ---- order: series by cell and measure, those without a point left out ---- */

static int compare_series(const void *left, const void *right)
{
	const struct history_series *a = left, *b = right;
	int order = strcmp(a->machine, b->machine);

	if (!order)
		order = strcmp(a->cell.workload, b->cell.workload);
	if (!order)
		order = strcmp(a->cell.backend, b->cell.backend);
	if (!order)
		order = (a->cell.threads > b->cell.threads) - (a->cell.threads < b->cell.threads);
	if (!order)
		order = (a->cell.page_size > b->cell.page_size) -
			(a->cell.page_size < b->cell.page_size);
	if (!order)
		order = strcmp(a->cell.backing, b->cell.backing);
	if (!order)
		order = strcmp(a->settings, b->settings);
	if (!order)
		order = strcmp(a->trace, b->trace);
	if (!order)
		order = (int)a->measure - (int)b->measure;
	return order ? order : (a->id > b->id) - (a->id < b->id);
}

static int compare_points(const void *left, const void *right)
{
	const struct history_point *a = left, *b = right;

	if (a->series != b->series)
		return a->series < b->series ? -1 : 1;
	return (a->run > b->run) - (a->run < b->run);
}

static int order_series(struct history *history)
{
	struct history_series *by_id = history->series, *ordered;
	bool *used = calloc(history->series_count + 1, sizeof(*used));
	size_t count = 0, *place = calloc(history->series_count + 1, sizeof(*place));

	ordered = calloc(history->series_count + 1, sizeof(*ordered));
	if (!used || !place || !ordered) {
		free(used);
		free(place);
		free(ordered);
		return -ENOMEM;
	}
	for (size_t i = 0; i < history->point_count; i++)
		used[history->points[i].series] = true;
	for (size_t i = 0; i < history->series_count; i++)
		if (used[i])
			ordered[count++] = by_id[i];
	qsort(ordered, count, sizeof(*ordered), compare_series);
	for (size_t i = 0; i < count; i++) {
		size_t old;

		find_series(history, ordered[i].id, &old);
		place[old] = i;
	}
	for (size_t i = 0; i < history->point_count; i++)
		history->points[i].series = place[history->points[i].series];
	history->series = ordered;
	history->series_count = count;
	if (history->point_count)
		qsort(history->points, history->point_count, sizeof(*history->points),
		      compare_points);
	free(by_id);
	free(used);
	free(place);
	return 0;
}

/* ---- decisions ---- */

static int note_decision(const struct store_value *fields, unsigned count, void *argument)
{
	struct reading *reading = argument;
	struct history *history = reading->history;
	struct history_decision *all = store_grow(history->decisions, history->decision_count,
						  &reading->decision_room, sizeof(*all));
	struct history_decision *decision;
	char kind[20];
	int found;

	(void)count;
	if (!all)
		return -ENOMEM;
	history->decisions = all;
	decision = &all[history->decision_count];
	if (!store_read_integer(&fields[0], 0, INT64_MAX, &decision->id) ||
	    !store_read_text(&fields[1], kind, sizeof(kind), false) ||
	    !store_read_text(&fields[2], decision->run, sizeof(decision->run), false) ||
	    !store_read_text(&fields[3], decision->backend, sizeof(decision->backend), false) ||
	    !store_read_text(&fields[4], decision->workload, sizeof(decision->workload), false) ||
	    !store_read_text(&fields[5], decision->measure, sizeof(decision->measure), false) ||
	    !store_read_text(&fields[6], decision->reason, sizeof(decision->reason), false) ||
	    !store_read_text(&fields[7], decision->made_by, sizeof(decision->made_by), false) ||
	    !store_read_real(&fields[8], &decision->made) || !(fabs(decision->made) < 1e11) ||
	    !store_read_real(&fields[9], &decision->withdrawn) ||
	    !store_read_text(&fields[10], decision->withdrawn_reason,
			     sizeof(decision->withdrawn_reason), true))
		return strange(reading, "row in track_decision");
	found = word_find(decision_names, kind);
	if (found < 0)
		return strange(reading, "kind of decision");
	decision->kind = (enum decision_kind)found;
	history->decision_count++;
	return 0;
}

static void mark_forgotten(struct history *history)
{
	for (size_t d = 0; d < history->decision_count; d++) {
		const struct history_decision *decision = &history->decisions[d];

		for (size_t i = 0; i < history->run_count; i++)
			if (decision->kind == DECISION_FORGET && isnan(decision->withdrawn) &&
			    !strcmp(decision->run, history->runs[i].id))
				history->runs[i].forgotten = true;
	}
}

/* ---- all of it, in one transaction ---- */

static int read_work(struct store *store, void *argument, const struct store_message *why)
{
	struct reading *reading = argument;
	int error = read_runs(store, reading, why);

	if (!error && reading->filter->points && reading->history->run_count)
		error = read_points(store, reading, why);
	if (!error)
		error = store_query(
			store,
			"SELECT id, kind, run, backend, workload, measure, reason, made_by, "
			"made, withdrawn, withdrawn_reason FROM track_decision ORDER BY id",
			NULL, 0, note_decision, reading, why);
	if (error == -EBADMSG && reading->strange)
		return store_strange(why, reading->strange);
	if (error == -ENOMEM)
		return store_fail(why, -ENOMEM, "out of memory");
	return error;
}

int store_read(struct store *store, const struct history_filter *filter, struct history *history,
	       char *why, size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct history read = { 0 };
	struct reading reading = { .filter = filter, .history = &read, .first = ALL_TIME };
	int error = store_transaction(store, false, read_work, &reading, &message);

	if (!error)
		error = order_series(&read);
	if (error) {
		history_release(&read);
		return error;
	}
	mark_forgotten(&read);
	*history = read;
	return 0;
}
