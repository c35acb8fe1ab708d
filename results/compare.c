#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank_sum.h"

const char *const compare_series_names[COMPARE_SERIES + 1] = { "time", "alloc-p99", "free-p99",
							       "footprint", NULL };

static const struct {
	enum metric metric;
	enum pass pass;
	bool relative; /* to the reference */
} series_of[COMPARE_SERIES] = {
	[COMPARE_TIME] = { METRIC_ns_per_op_q1, PASS_THROUGHPUT, true },
	[COMPARE_ALLOC_P99] = { METRIC_alloc_ns_p99, PASS_LATENCY, true },
	[COMPARE_FREE_P99] = { METRIC_free_ns_p99, PASS_LATENCY, true },
	[COMPARE_FOOTPRINT] = { METRIC_resident_bytes_peak, PASS_MEMORY, false },
};

/* ---- values ---- */

bool compare_is_reference(const struct record *record, const char *reference)
{
	return strcmp(record->cell.backend, reference) == 0;
}

const struct record *compare_reference(const struct record *records, size_t count,
				       const struct record *record, const char *reference)
{
	const struct record *found = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct record *other = &records[i];

		if (!compare_is_reference(other, reference) || other->pass != record->pass ||
		    other->repetition != record->repetition || other->status != CELL_OK ||
		    other->cell.threads != record->cell.threads ||
		    strcmp(other->cell.workload, record->cell.workload) != 0)
			continue;
		if (!found || (other->cell.page_size == record->cell.page_size &&
			       strcmp(other->cell.backing, record->cell.backing) == 0))
			found = other;
	}
	return found;
}

static double value_of(const struct record *records, size_t count, const struct record *record,
		       enum compare_series series, const char *reference)
{
	const enum metric metric = series_of[series].metric;
	const struct record *divisor;

	if (!series_of[series].relative)
		return record->metrics[metric];
	divisor = compare_reference(records, count, record, reference);
	return divisor ? record->metrics[metric] / divisor->metrics[metric] : NAN;
}

static bool same_place(const struct cell *a, const struct cell *b)
{
	return a->threads == b->threads && a->page_size == b->page_size &&
	       strcmp(a->workload, b->workload) == 0 && strcmp(a->backing, b->backing) == 0;
}

/* The same cell, or a plugin of the same name from another place. */
static bool same_cell(const struct record *base, const struct record *new_record)
{
	if (cell_same(&base->cell, &new_record->cell))
		return true;
	return same_place(&base->cell, &new_record->cell) && strchr(base->cell.backend, '/') &&
	       strchr(new_record->cell.backend, '/') &&
	       strcmp(base->display_name, new_record->display_name) == 0;
}

/* The logarithms of a cell's values; `like` is any record of it. */
static size_t collect(const struct record *records, size_t count, const struct record *like,
		      enum compare_series series, const char *reference, double *logs)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		double value;

		if (records[i].pass != series_of[series].pass || records[i].status != CELL_OK ||
		    !same_cell(&records[i], like))
			continue;
		value = value_of(records, count, &records[i], series, reference);
		if (isfinite(value) && value > 0)
			logs[found++] = log(value);
	}
	return found;
}

/* ---- rows ---- */

static bool seen_before(const struct record *records, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (cell_same(&records[i].cell, &records[index].cell))
			return true;
	return false;
}

static int fill_row(const struct record *base, size_t base_count, const struct record *new_records,
		    size_t new_count, const struct record *like, const struct compare_rules *rules,
		    double *logs, struct compare_row *row)
{
	double *const theirs = logs, *const ours = logs + base_count;
	int error;

	row->cell = like->cell;
	row->base_values = collect(base, base_count, like, row->series, rules->reference, theirs);
	row->new_values = collect(new_records, new_count, like, row->series, rules->reference,
				  ours);
	error = rank_sum_test(theirs, row->base_values, ours, row->new_values, &row->p);
	if (!error)
		error = rank_sum_shift(theirs, row->base_values, ours, row->new_values,
				       1 - rules->alpha, &row->ratio, &row->interval);
	row->ratio = exp(row->ratio);
	row->interval.low = exp(row->interval.low);
	row->interval.high = exp(row->interval.high);
	return error;
}

/*
 * Bytes are counted, and hardly vary: where there are too few repetitions for a test, the range of all ratios decides,
 * if it leaves no doubt.
 */
static void judge_range(struct compare_row *row, double limit)
{
	if (row->interval.low >= limit)
		row->verdict = VERDICT_REGRESSION;
	else if (row->interval.high <= 1 / limit)
		row->verdict = VERDICT_IMPROVEMENT;
	else if (row->interval.low > 1 / limit && row->interval.high < limit)
		row->verdict = VERDICT_EQUIVALENT;
	if (row->verdict != VERDICT_INCONCLUSIVE)
		row->note = "too few repetitions for a test: by the range";
}

void compare_judge(struct compare_row *row, bool counted, const struct compare_rules *rules)
{
	const double limit = 1 + rules->threshold;
	const bool testable = row->interval.coverage >= 1 - rules->alpha;

	row->verdict = VERDICT_INCONCLUSIVE;
	if (!row->base_values || !row->new_values) {
		row->verdict = VERDICT_UNKNOWN;
		row->note = row->base_values ? "NEW has no value to compare"
					     : "BASE has no value to compare with";
	} else if (row->p_holm <= rules->alpha && row->ratio >= limit) {
		row->verdict = VERDICT_REGRESSION;
	} else if (row->p_holm <= rules->alpha && row->ratio <= 1 / limit) {
		row->verdict = VERDICT_IMPROVEMENT;
	} else if (testable && row->interval.high < limit && row->interval.low > 1 / limit) {
		row->verdict = VERDICT_EQUIVALENT;
	} else if (!testable && counted) {
		judge_range(row, limit);
	}
}

static int judge_rows(struct compare_row *rows, size_t count, const struct compare_rules *rules)
{
	double *p = calloc(count + 1, sizeof(*p));
	int error = p ? 0 : -ENOMEM;

	/* a family a series: the others stay out as NaN */
	for (int series = 0; series < COMPARE_SERIES && !error; series++) {
		for (size_t i = 0; i < count; i++)
			p[i] = (int)rows[i].series == series ? rows[i].p : NAN;
		error = holm_adjust(p, p, count);
		for (size_t i = 0; i < count && !error; i++) {
			if ((int)rows[i].series != series)
				continue;
			rows[i].p_holm = p[i];
			compare_judge(&rows[i], !series_of[series].relative, rules);
		}
	}
	free(p);
	return error;
}

static bool new_has_series(const struct record *records, size_t count, enum compare_series series)
{
	for (size_t i = 0; i < count; i++)
		if (records[i].pass == series_of[series].pass)
			return true;
	return false;
}

int compare_records(const struct record *base, size_t base_count, const struct record *new_records,
		    size_t new_count, const struct compare_rules *rules, struct compare_row **out,
		    size_t *row_count)
{
	struct compare_row *rows = calloc(new_count * COMPARE_SERIES + 1, sizeof(*rows));
	double *logs = calloc(base_count + new_count + 1, sizeof(*logs));
	size_t count = 0;
	int error = rows && logs ? 0 : -ENOMEM;

	for (size_t i = 0; i < new_count && !error; i++) {
		if (compare_is_reference(&new_records[i], rules->reference) ||
		    seen_before(new_records, i))
			continue;
		for (int series = 0; series < COMPARE_SERIES && !error; series++) {
			if (!new_has_series(new_records, new_count, (enum compare_series)series))
				continue;
			rows[count].series = (enum compare_series)series;
			error = fill_row(base, base_count, new_records, new_count, &new_records[i],
					 rules, logs, &rows[count]);
			count++;
		}
	}
	if (!error)
		error = judge_rows(rows, count, rules);
	free(logs);
	if (error) {
		free(rows);
		return error;
	}
	*out = rows;
	*row_count = count;
	return 0;
}

/* ---- may they be compared? ---- */

struct differences {
	char *text;
	size_t bytes, used;
	unsigned count;
};

__attribute__((format(printf, 2, 3))) static void differ(struct differences *differences,
							 const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(differences->text + differences->used,
			   differences->bytes - differences->used, format, arguments);
	va_end(arguments);
	if (length > 0)
		differences->used += (size_t)length;
	if (differences->used >= differences->bytes)
		differences->used = differences->bytes - 1;
	differences->count++;
}

static const char *text_at(const json_t *environment, const char *part, const char *key)
{
	const json_t *object = part ? json_object_get(environment, part) : environment;
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "unknown";
}

static void compare_environment(const json_t *base, const json_t *new_one,
				struct differences *differences)
{
	static const struct {
		const char *part, *key, *shown;
	} keys[] = { { NULL, "machine_fingerprint", "machine (fingerprint)" },
		     { "build", "sanitizers", "sanitizers" } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *a = text_at(base, keys[i].part, keys[i].key);
		const char *b = text_at(new_one, keys[i].part, keys[i].key);

		if (strcmp(a, b) != 0)
			differ(differences, "  %s: %s / %s\n", keys[i].shown, a, b);
	}
	if (strcmp(text_at(base, NULL, "machine_fingerprint"), "unknown") == 0)
		differ(differences, "  machine: BASE does not say which\n");
}

bool compare_option_matters(const char *name)
{
	static const char *const harmless[] = { "backend", "workload",     "threads", "page-size",
						"backing", "repetitions",  "passes",  "timeout",
						"seed",    "memory-limit", NULL };

	for (int i = 0; harmless[i]; i++)
		if (strcmp(name, harmless[i]) == 0)
			return false;
	return true;
}

static void compare_options(const struct run_plan *base, const struct run_plan *new_one,
			    struct differences *differences)
{
	for (size_t i = 0; i < base->option_count; i++) {
		const struct run_option *option = &base->options[i];
		const char *other = run_plan_option(new_one, option->name);

		if (compare_option_matters(option->name) &&
		    (!other || strcmp(other, option->value) != 0))
			differ(differences, "  --%s: %s / %s\n", option->name, option->value,
			       other ? other : "the default");
	}
	for (size_t i = 0; i < new_one->option_count; i++) {
		const struct run_option *option = &new_one->options[i];

		if (compare_option_matters(option->name) && !run_plan_option(base, option->name))
			differ(differences, "  --%s: the default / %s\n", option->name,
			       option->value);
	}
}

/* The first record of that trace with a checksum. */
static const struct record *find_trace(const struct record *records, size_t count,
				       const struct cell *cell)
{
	for (size_t i = 0; i < count; i++)
		if (records[i].trace_checksum && records[i].cell.threads == cell->threads &&
		    strcmp(records[i].cell.workload, cell->workload) == 0)
			return &records[i];
	return NULL;
}

static void compare_traces(const struct compare_side *base, const struct compare_side *new_side,
			   struct differences *differences)
{
	for (size_t i = 0; i < new_side->count; i++) {
		const struct cell *cell = &new_side->records[i].cell;
		const struct record *ours = find_trace(new_side->records, new_side->count, cell);
		const struct record *theirs;

		if (ours != &new_side->records[i])
			continue; /* each trace once */
		theirs = find_trace(base->records, base->count, cell);
		if (theirs && theirs->trace_checksum != ours->trace_checksum)
			differ(differences,
			       "  trace of %s, %u threads (checksum): 0x%" PRIx64 " / 0x%" PRIx64
			       "\n",
			       cell->workload, cell->threads, theirs->trace_checksum,
			       ours->trace_checksum);
	}
}

unsigned compare_differences(const struct compare_side *base, const struct compare_side *new_side,
			     char *text, size_t bytes)
{
	struct differences differences = { .text = text, .bytes = bytes };

	text[0] = '\0';
	compare_environment(base->environment, new_side->environment, &differences);
	compare_options(base->plan, new_side->plan, &differences);
	compare_traces(base, new_side, &differences);
	return differences.count;
}
