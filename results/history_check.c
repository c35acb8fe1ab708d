#include "history_check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "rank_sum.h"

#define CONFIRM_ALPHA 0.05 /* one-sided */
#define NOISE_LEAST   1e-4 /* bytes that never varied could vary by as much, for all that is known */

void check_rules_init(struct check_rules *rules)
{
	*rules = (struct check_rules){
		.alpha = 0.01, .threshold = 0.05, .change_threshold = 0.02, .seed = 1
	};
}

/* ---- which series ---- */

static bool same_cell(const struct history_series *a, const struct history_series *b)
{
	return a->measure == b->measure && cell_same(&a->cell, &b->cell);
}

static size_t find_series(const struct history *history, const struct history_series *wanted)
{
	for (size_t i = 0; i < history->series_count; i++) {
		const struct history_series *series = &history->series[i];

		if (same_cell(series, wanted) && !strcmp(series->settings, wanted->settings) &&
		    !strcmp(series->trace, wanted->trace))
			return i;
	}
	return SIZE_MAX;
}

/* Why there is nothing to compare with, where the cell itself is known. */
static void explain_unknown(const struct history *history, struct check_row *row)
{
	for (size_t i = 0; i < history->series_count; i++) {
		const struct history_series *series = &history->series[i];

		if (!same_cell(series, row->series))
			continue;
		snprintf(row->note, sizeof(row->note),
			 "the history has this cell only %s: not comparable, a new series begins",
			 strcmp(series->trace, row->series->trace) != 0 ? "on another trace"
									: "with other options");
		return;
	}
	snprintf(row->note, sizeof(row->note), "no run of the history has this cell");
}

/* ---- one run against the runs of a level ---- */

struct spread {
	double mean, deviation, least, most;
	size_t count;
};

static struct spread spread_of(const double *logs, size_t count)
{
	struct spread spread = { .least = INFINITY, .most = -INFINITY, .count = count };
	double squares = 0;

	for (size_t i = 0; i < count; i++) {
		spread.mean += logs[i] / (double)count;
		spread.least = fmin(spread.least, logs[i]);
		spread.most = fmax(spread.most, logs[i]);
	}
	for (size_t i = 0; i < count; i++)
		squares += (logs[i] - spread.mean) * (logs[i] - spread.mean);
	spread.deviation = count > 1 ? sqrt(squares / (double)(count - 1)) : NAN;
	return spread;
}

/* The standard error of the run's own median, from how its repetitions vary; 0 where they do not say. */
static double own_error(const struct history_point *point)
{
	double *logs = point->samples && point->n > 1 ? malloc(point->n * sizeof(*logs)) : NULL;
	double error;

	if (!logs)
		return 0;
	for (size_t i = 0; i < point->n; i++)
		logs[i] = log(point->samples[i]);
	error = sqrt(M_PI / 2) * spread_of(logs, point->n).deviation / sqrt((double)point->n);
	free(logs);
	return isfinite(error) ? error : 0;
}

static void test_run(struct check_row *row, const struct spread *spread,
		     const struct check_rules *rules)
{
	const unsigned degrees = (unsigned)spread->count - 1;
	const double own = own_error(row->point);
	const double deviation = fmax(fmax(spread->deviation, own), NOISE_LEAST);
	const double error = deviation * sqrt(1 + 1 / (double)spread->count);
	const double shift = log(row->point->value) - spread->mean;
	const double reach = student_quantile(rules->alpha, degrees) * error;

	row->noise = expm1(deviation);
	row->p = student_p(shift / error, degrees);
	row->ratio = exp(shift);
	row->interval = (struct interval){ exp(shift - reach), exp(shift + reach),
					   1 - rules->alpha };
}

static void judge_run(struct check_row *row, const struct spread *spread,
		      const struct check_rules *rules)
{
	const double limit = 1 + rules->threshold;
	const double value = log(row->point->value);

	row->verdict = VERDICT_INCONCLUSIVE;
	if (row->p_holm <= rules->alpha && row->ratio >= limit && value > spread->most)
		row->verdict = VERDICT_REGRESSION;
	else if (row->p_holm <= rules->alpha && row->ratio <= 1 / limit && value < spread->least)
		row->verdict = VERDICT_IMPROVEMENT;
	else if (row->interval.high < limit && row->interval.low > 1 / limit)
		row->verdict = VERDICT_EQUIVALENT;
	else
		snprintf(row->note, sizeof(row->note),
			 "runs of this cell vary by %.1f %%: one run shows changes from about %.0f "
			 "%% on",
			 100 * row->noise,
			 100 * fmax(rules->threshold,
				    sqrt(row->interval.high / row->interval.low) - 1));
}

/* ---- against a pinned run ---- */

static int test_pinned(struct check_row *row, const struct history_point *pinned,
		       const struct check_rules *rules)
{
	const size_t theirs = pinned->n, ours = row->point->n;
	double *logs = calloc(theirs + ours + 1, sizeof(*logs));
	int error = logs ? 0 : -ENOMEM;

	for (size_t i = 0; i < theirs && !error; i++)
		logs[i] = log(pinned->samples[i]);
	for (size_t i = 0; i < ours && !error; i++)
		logs[theirs + i] = log(row->point->samples[i]);
	if (!error)
		error = rank_sum_test(logs, theirs, logs + theirs, ours, &row->p);
	if (!error)
		error = rank_sum_shift(logs, theirs, logs + theirs, ours, 1 - rules->alpha,
				       &row->ratio, &row->interval);
	row->ratio = exp(row->ratio);
	row->interval.low = exp(row->interval.low);
	row->interval.high = exp(row->interval.high);
	free(logs);
	return error;
}

static void judge_pinned(struct check_row *row, size_t pinned_values,
			 const struct check_rules *rules)
{
	const struct compare_rules compare_rules = { .alpha = rules->alpha,
						     .threshold = rules->threshold };
	struct compare_row judged = { .base_values = pinned_values,
				      .new_values = row->point->n,
				      .ratio = row->ratio,
				      .p = row->p,
				      .p_holm = row->p_holm,
				      .interval = row->interval };

	compare_judge(&judged, !measure_table[row->series->measure].relative, &compare_rules);
	row->verdict = judged.verdict;
	if (judged.note)
		snprintf(row->note, sizeof(row->note), "%s", judged.note);
}

/* ---- a row ---- */

struct check {
	const struct history *history;
	const struct check_rules *rules;
	struct check_row *rows;
	struct course *courses; /* one a row; empty where there is no series */
	struct spread *spreads;
	size_t count;
};

/* The runs of the baseline level but this one. */
static struct spread baseline_spread(const struct course *course)
{
	const struct level *level = &course->levels[course->baseline];
	size_t count = level->count;

	if (count && course->points[level->first + count - 1] == SIZE_MAX)
		count--;
	return spread_of(course->logs + level->first, count);
}

static void set_basis(const struct check *check, size_t i)
{
	const struct course *course = &check->courses[i];
	const struct level *level = &course->levels[course->baseline];
	const struct history_point *points = check->history->points;
	struct check_row *row = &check->rows[i];

	if (course->pinned != SIZE_MAX) {
		row->basis = CHECK_PINNED;
		row->runs = 1;
		row->first_run = row->last_run = points[course->pinned].run;
		return;
	}
	row->runs = check->spreads[i].count;
	if (!row->runs)
		return;
	row->basis = CHECK_RUNS;
	row->first_run = points[course->points[level->first]].run;
	row->last_run = points[course->points[level->first + row->runs - 1]].run;
}

/* The level that this run ends, where it is a loss that nobody accepted and the run is nearer to it than to the baseline. */
static void find_change(const struct check *check, size_t i)
{
	const struct course *course = &check->courses[i];
	const struct level *last = &course->levels[course->level_count - 1];
	const struct level *base = &course->levels[course->baseline];
	struct check_row *row = &check->rows[i];
	const double value = log(row->point->value);
	const size_t start = course->points[last->first];

	if (last == base || row->basis != CHECK_RUNS || start == SIZE_MAX)
		return;
	if (course_ratio(course, course->level_count - 1) < 1 + check->rules->change_threshold ||
	    fabs(value - last->centre) > fabs(value - base->centre))
		return;
	row->change_run = check->history->points[start].run;
	row->change_ratio = course_ratio(course, course->level_count - 1);
	row->change_p = last->p;
}

static int test_row(struct check *check, size_t i, double significance)
{
	struct check_row *row = &check->rows[i];
	const size_t series = find_series(check->history, row->series);
	int error;

	row->verdict = VERDICT_UNKNOWN;
	if (series == SIZE_MAX) {
		explain_unknown(check->history, row);
		return 0;
	}
	error = course_make(check->history, series, row->point->value, check->rules, significance,
			    &check->courses[i]);
	if (error)
		return error;
	check->spreads[i] = baseline_spread(&check->courses[i]);
	set_basis(check, i);
	if (!row->point->n) {
		row->failed = row->basis != CHECK_NOTHING && row->point->status != CELL_SKIPPED;
		snprintf(row->note, sizeof(row->note), "this run's cell is %s: %s",
			 cell_status_names[row->point->status], row->point->reason);
		return 0;
	}
	if (row->basis == CHECK_PINNED)
		return test_pinned(row, &check->history->points[check->courses[i].pinned],
				   check->rules);
	if (row->runs >= CHECK_LEAST_RUNS)
		test_run(row, &check->spreads[i], check->rules);
	else if (row->runs)
		row->ratio = exp(log(row->point->value) - check->spreads[i].mean);
	find_change(check, i);
	return 0;
}

static void judge_row(struct check *check, size_t i)
{
	struct check_row *row = &check->rows[i];

	if (!row->point->n || row->basis == CHECK_NOTHING) {
		if (!*row->note)
			snprintf(row->note, sizeof(row->note),
				 "no run since the last accepted change has this cell");
		return;
	}
	if (row->basis == CHECK_PINNED) {
		judge_pinned(row, check->history->points[check->courses[i].pinned].n, check->rules);
	} else if (row->runs < CHECK_LEAST_RUNS) {
		row->verdict = VERDICT_INCONCLUSIVE;
		snprintf(row->note, sizeof(row->note), "%zu run%s of history; a verdict needs %d",
			 row->runs, row->runs == 1 ? "" : "s", CHECK_LEAST_RUNS);
	} else {
		judge_run(row, &check->spreads[i], check->rules);
	}
	if (row->change_run != SIZE_MAX) {
		row->verdict = VERDICT_REGRESSION;
		row->note[0] = '\0';
	}
}

static size_t family_of(const struct history_entry *entry, enum measure measure)
{
	size_t count = 0;

	for (size_t i = 0; i < entry->count; i++)
		count += entry->series[i].measure == measure;
	return count;
}

/* Holm over the cells of each measure. */
static int adjust(const struct check *check, const struct history_entry *entry)
{
	double *p = calloc(check->count + 1, sizeof(*p));
	int error = p ? 0 : -ENOMEM;

	for (int measure = 0; measure < MEASURES_COUNT && !error; measure++) {
		for (size_t i = 0; i < check->count; i++)
			p[i] = (int)entry->series[i].measure == measure ? check->rows[i].p : NAN;
		error = holm_adjust(p, p, check->count);
		for (size_t i = 0; i < check->count && !error; i++)
			if ((int)entry->series[i].measure == measure)
				check->rows[i].p_holm = p[i];
	}
	free(p);
	return error;
}

int history_check(const struct history_entry *entry, const struct history *history,
		  const struct check_rules *rules, struct check_row **rows)
{
	struct check check = { history, rules, NULL, NULL, NULL, entry->count };
	int error;

	check.rows = calloc(entry->count + 1, sizeof(*check.rows));
	check.courses = calloc(entry->count + 1, sizeof(*check.courses));
	check.spreads = calloc(entry->count + 1, sizeof(*check.spreads));
	error = check.rows && check.courses && check.spreads ? 0 : -ENOMEM;
	for (size_t i = 0; i < entry->count && !error; i++) {
		check.rows[i] = (struct check_row){
			.series = &entry->series[i],
			.point = &entry->points[i],
			.first_run = SIZE_MAX,
			.last_run = SIZE_MAX,
			.change_run = SIZE_MAX,
			.ratio = NAN,
			.p = NAN,
			.p_holm = NAN,
			.interval = { NAN, NAN, 0 },
			.noise = NAN,
			.change_ratio = NAN,
			.change_p = NAN,
		};
		error = test_row(&check, i,
				 rules->alpha / (double)family_of(entry, entry->series[i].measure));
	}
	if (!error)
		error = adjust(&check, entry);
	for (size_t i = 0; i < entry->count && !error; i++)
		judge_row(&check, i);
	for (size_t i = 0; check.courses && i < entry->count; i++)
		course_release(&check.courses[i]);
	free(check.courses);
	free(check.spreads);
	if (error) {
		free(check.rows);
		return error;
	}
	*rows = check.rows;
	return 0;
}

/* ---- a second run ---- */

static bool confirms(const struct check_row *row, const struct check_row *second,
		     const struct check_rules *rules)
{
	const double direction = row->verdict == VERDICT_REGRESSION ? 1 : -1;

	return second->p / 2 <= CONFIRM_ALPHA &&
	       direction * log(second->ratio) >= log1p(rules->threshold) / 2;
}

void history_confirm(struct check_row *rows, size_t count, const struct check_row *second,
		     size_t second_count, const struct check_rules *rules)
{
	for (size_t i = 0; i < count; i++) {
		struct check_row *row = &rows[i];
		const struct check_row *found = NULL;

		if ((row->verdict != VERDICT_REGRESSION && row->verdict != VERDICT_IMPROVEMENT) ||
		    row->change_run != SIZE_MAX)
			continue;
		for (size_t j = 0; j < second_count && !found; j++)
			if (same_cell(second[j].series, row->series))
				found = &second[j];
		if (found && confirms(row, found, rules))
			continue;
		row->verdict = VERDICT_INCONCLUSIVE;
		if (found && isfinite(found->ratio))
			snprintf(row->note, sizeof(row->note),
				 "not confirmed by the second run, which is at %.4f", found->ratio);
		else
			snprintf(row->note, sizeof(row->note),
				 "not confirmed: the second run has no such value");
	}
}

size_t history_missing(const struct history_entry *entry, const struct history *history,
		       const struct history_series **first)
{
	size_t missing = 0, last = history->run_count;

	while (last && history->runs[last - 1].outside)
		last--;
	for (size_t i = 0; i < history->point_count; i++) {
		const struct history_point *point = &history->points[i];
		const struct history_series *series = &history->series[point->series];
		bool found = point->run + 1 != last;

		/* a cell once: by its first measure in the run */
		for (size_t j = 0; j < i && !found; j++)
			found = history->points[j].run == point->run &&
				cell_same(&history->series[history->points[j].series].cell,
					  &series->cell);
		for (size_t j = 0; j < entry->count && !found; j++)
			found = cell_same(&entry->series[j].cell, &series->cell);
		if (!found && !missing++)
			*first = series;
	}
	return missing;
}
