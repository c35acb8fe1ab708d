/* The options of a comparison: ab's own, and those of a plan that make sense for it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ab.h"
#include "bench/option_text.h"

const struct ab_series_info ab_series_table[AB_SERIES] = {
	[AB_TIME] = { "time", "ns/op", METRIC_ns_per_op, PASS_THROUGHPUT, true },
	[AB_INSTRUCTIONS] = { "instructions", "/op", METRIC_instructions_per_op, PASS_THROUGHPUT,
			      false },
	[AB_L1D_MISSES] = { "l1d-misses", "/op", METRIC_l1d_misses_per_op, PASS_THROUGHPUT, false },
	[AB_DTLB_MISSES] = { "dtlb-misses", "/op", METRIC_dtlb_misses_per_op, PASS_THROUGHPUT,
			     false },
	[AB_ALLOC_P99] = { "alloc-p99", "ns", METRIC_alloc_ns_p99, PASS_LATENCY, false },
	[AB_FREE_P99] = { "free-p99", "ns", METRIC_free_ns_p99, PASS_LATENCY, false },
	[AB_FOOTPRINT] = { "footprint", "bytes", METRIC_resident_bytes_peak, PASS_MEMORY, true },
};

#define SETTER(name) \
	static int name(struct ab_options *options, const char *value, char *why, size_t why_bytes)

static int set_spec(char *out, size_t bytes, const char *value, char *why, size_t why_bytes)
{
	if (strlen(value) >= bytes)
		return option_refuse(why, why_bytes, "a", value, "a shorter name");
	snprintf(out, bytes, "%s", value);
	return 0;
}

SETTER(set_a)
{
	return set_spec(options->a, sizeof(options->a), value, why, why_bytes);
}

SETTER(set_b)
{
	return set_spec(options->b, sizeof(options->b), value, why, why_bytes);
}

static int set_count(unsigned *out, const char *option, const char *value, char *why,
		     size_t why_bytes)
{
	double number;

	if (option_number(value, 6, AB_BATCH - 1, &number) != 0 || floor(number) != number)
		return option_refuse(why, why_bytes, option, value, "a whole number from 6 to 999");
	*out = (unsigned)number;
	return 0;
}

SETTER(set_pairs)
{
	int error = set_count(&options->pairs, "pairs", value, why, why_bytes);

	if (!error && options->max_pairs < options->pairs)
		options->max_pairs = options->pairs;
	return error;
}

SETTER(set_max_pairs)
{
	int error = set_count(&options->max_pairs, "max-pairs", value, why, why_bytes);

	if (!error && options->pairs > options->max_pairs)
		options->pairs = options->max_pairs;
	return error;
}

SETTER(set_confirm_pairs)
{
	return set_count(&options->rules.confirm_pairs, "confirm-pairs", value, why, why_bytes);
}

SETTER(set_budget)
{
	if (option_seconds(value, &options->budget_seconds) != 0)
		return option_refuse(why, why_bytes, "budget", value,
				     "seconds, as 90 or 90s or 2m");
	return 0;
}

SETTER(set_threshold)
{
	if (option_percent(value, 1000, &options->rules.threshold) != 0 ||
	    !(options->rules.threshold > 0))
		return option_refuse(why, why_bytes, "threshold", value,
				     "a percentage above 0, as 2%");
	return 0;
}

SETTER(set_planted)
{
	if (option_percent(value, 1000, &options->planted) != 0)
		return option_refuse(why, why_bytes, "planted", value, "a percentage, as 3%, or 0");
	return 0;
}

SETTER(set_slow_b)
{
	if (option_percent(value, 1000, &options->slow_b) != 0)
		return option_refuse(why, why_bytes, "slow-b", value, "a percentage, as 3%, or 0");
	return 0;
}

SETTER(set_alpha)
{
	double number;

	if (option_number(value, 0, 0.5, &number) != 0 || !(number > 0))
		return option_refuse(why, why_bytes, "alpha", value,
				     "a probability above 0, up to 0.5");
	options->rules.alpha = number;
	return 0;
}

SETTER(set_statistic)
{
	if (option_statistic(value, &options->statistic) != 0)
		return option_refuse(why, why_bytes, "statistic", value, OPTION_STATISTICS);
	return 0;
}

SETTER(set_gate)
{
	bool gate[AB_SERIES] = { false };
	char copy[256], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", value);
	while ((word = strsep(&rest, ","))) {
		int i = 0;

		while (i < AB_SERIES && strcmp(word, ab_series_table[i].name) != 0)
			i++;
		if (i == AB_SERIES)
			return option_refuse(
				why, why_bytes, "gate", word,
				"a list of time, instructions, l1d-misses, dtlb-misses, "
				"alloc-p99, free-p99, footprint");
		gate[i] = true;
	}
	memcpy(options->gate, gate, sizeof(gate));
	return 0;
}

const struct ab_option ab_option_table[] = {
	{ "a", NULL, NULL, set_a }, /* the arguments, kept as options */
	{ "b", NULL, NULL, set_b },
	{ "pairs", "N", "pairs before the first look (20)", set_pairs },
	{ "max-pairs", "N", "most pairs of the search (60)", set_max_pairs },
	{ "confirm-pairs", "N", "pairs of a confirming batch (20)", set_confirm_pairs },
	{ "budget", "SECONDS", "no look is started after so long (none)", set_budget },
	{ "threshold", "PERCENT", "smallest change that matters (2%)", set_threshold },
	{ "planted", "PERCENT", "the positive control's slow-down (3%); 0: none", set_planted },
	{ "slow-b", "PERCENT", "plant a slow-down into B, to see it found (0)", set_slow_b },
	{ "alpha", "P", "false suspicions of a family, all looks (0.05)", set_alpha },
	{ "statistic", "NAME", "of a process's laps: median, mean, q1 or min (min)",
	  set_statistic },
	{ "gate", "LIST", "series that decide the exit code (time,footprint)", set_gate },
	{ NULL, NULL, NULL, NULL },
};

bool ab_takes(const char *plan_option)
{
	return strcmp(plan_option, "backend") != 0 && strcmp(plan_option, "repetitions") != 0;
}

int ab_set(struct ab_options *options, const char *name, const char *value, char *why,
	   size_t why_bytes)
{
	for (const struct ab_option *option = ab_option_table; option->name; option++) {
		int error;

		if (strcmp(option->name, name) != 0)
			continue;
		error = option->set(options, value, why, why_bytes);
		if (!error && run_plan_add_option(&options->record, name, value) != 0)
			error = option_refuse(why, why_bytes, name, value, "a shorter value");
		return error;
	}
	return plan_set(&options->plan, &options->record, name, value, why, why_bytes);
}

/*
 * The fastest lap, because others on the processor take whole laps (docs/ab.md has the measurement). Laps of about a
 * millisecond: many short processes are worth more than few long ones, because layout and page
 * placement are drawn once a process. Fifty checkpoints are enough for a peak.
 */
int ab_options_init(struct ab_options *options)
{
	memset(options, 0, sizeof(*options));
	verdict_rules_init(&options->rules);
	options->pairs = options->rules.pairs[0];
	options->max_pairs = options->rules.pairs[options->rules.looks - 1];
	options->planted = 0.03;
	options->statistic = METRIC_ns_per_op_min;
	for (int i = 0; i < AB_SERIES; i++)
		options->gate[i] = ab_series_table[i].gate;
	if (plan_options_init(&options->plan) != 0)
		return -ENOMEM;
	options->plan.prototype.events = 50000;
	options->plan.prototype.checkpoints = 50;
	options->plan.quiet_wait = 1;
	return 0;
}

void ab_options_release(struct ab_options *options)
{
	plan_options_release(&options->plan);
	run_plan_release(&options->record);
}
