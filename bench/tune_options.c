/* The options of a tuning: tune's own, and those of a plan that make sense for it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/option_text.h"
#include "bench/tune.h"

const struct tune_aspect_info tune_aspect_table[TUNE_ASPECTS] = {
	[TUNE_SPEED] = { "speed", PASS_THROUGHPUT, "faster", "slower", "time an operation" },
	[TUNE_MEMORY] = { "memory", PASS_MEMORY, "less memory", "more memory", "peak resident" },
	[TUNE_LATENCY] = { "latency", PASS_LATENCY, "less", "more", "p99 of alloc and free" },
};

static const struct {
	const char *name;
	double weights[TUNE_ASPECTS];
} goals[] = {
	{ "speed", { 1, 0, 0 } },
	{ "memory", { 0, 1, 0 } },
	{ "latency", { 0, 0, 1 } },
	{ "balanced", { 1, 1, 0 } },
};

#define SETTER(name) \
	static int name(struct tune_options *options, const char *value, char *why, \
			size_t why_bytes)

SETTER(set_backend)
{
	if (strlen(value) >= sizeof(options->backend))
		return option_refuse(why, why_bytes, "backend", value, "a shorter name");
	snprintf(options->backend, sizeof(options->backend), "%s", value);
	return 0;
}

SETTER(set_vary)
{
	if (options->varies == TUNE_VARIES_MAX || strlen(value) >= sizeof(options->vary[0]))
		return option_refuse(why, why_bytes, "vary", value, "fewer and shorter options");
	snprintf(options->vary[options->varies++], sizeof(options->vary[0]), "%s", value);
	return 0;
}

static int take_weights(struct tune_options *options, const double *weights, const char *text)
{
	double sum = 0;

	for (int i = 0; i < TUNE_ASPECTS; i++)
		sum += weights[i];
	if (!(sum > 0))
		return -EINVAL;
	for (int i = 0; i < TUNE_ASPECTS; i++)
		options->weights[i] = weights[i] / sum;
	snprintf(options->goal, sizeof(options->goal), "%s", text);
	return 0;
}

SETTER(set_goal)
{
	for (size_t i = 0; i < sizeof(goals) / sizeof(*goals); i++)
		if (strcmp(value, goals[i].name) == 0)
			return take_weights(options, goals[i].weights, value);
	return option_refuse(why, why_bytes, "goal", value,
			     "speed, memory, balanced or latency; --weights mixes them");
}

/* "speed=1,memory=0.5": an aspect that is not named has none. */
SETTER(set_weights)
{
	double weights[TUNE_ASPECTS] = { 0 };
	char copy[128], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", value);
	while ((word = strsep(&rest, ","))) {
		char *equals = strchr(word, '=');
		int i = 0;

		if (equals)
			*equals = '\0';
		while (i < TUNE_ASPECTS && strcmp(word, tune_aspect_table[i].name) != 0)
			i++;
		if (!equals || i == TUNE_ASPECTS ||
		    option_number(equals + 1, 0, 1e6, &weights[i]) != 0)
			return option_refuse(why, why_bytes, "weights", value,
					     "a list such as speed=1,memory=0.5,latency=0");
	}
	if (strlen(value) >= sizeof(copy) || take_weights(options, weights, value) != 0)
		return option_refuse(why, why_bytes, "weights", value, "one weight above 0");
	return 0;
}

SETTER(set_budget)
{
	if (option_seconds(value, &options->budget_seconds) != 0)
		return option_refuse(why, why_bytes, "budget", value,
				     "a time, as 60s, 5m or 1h; 0: none");
	return 0;
}

SETTER(set_threshold)
{
	double threshold;

	if (option_percent(value, 1000, &threshold) != 0 || !(threshold > 0))
		return option_refuse(why, why_bytes, "threshold", value,
				     "a percentage above 0, as 2%");
	options->threshold = threshold;
	return 0;
}

SETTER(set_alpha)
{
	double alpha;

	if (option_number(value, 0, 0.5, &alpha) != 0 || !(alpha > 0))
		return option_refuse(why, why_bytes, "alpha", value,
				     "a probability above 0, up to 0.5");
	options->alpha = alpha;
	return 0;
}

static int set_count(const char *option, const char *value, double low, double high, unsigned *out,
		     char *why, size_t why_bytes)
{
	char wants[64];
	double number;

	if (option_number(value, low, high, &number) != 0 || floor(number) != number) {
		snprintf(wants, sizeof(wants), "a whole number from %.0f to %.0f", low, high);
		return option_refuse(why, why_bytes, option, value, wants);
	}
	*out = (unsigned)number;
	return 0;
}

SETTER(set_blocks)
{
	return set_count("blocks", value, 2, RACE_BLOCKS_MAX, &options->blocks, why, why_bytes);
}

SETTER(set_confirm_pairs)
{
	return set_count("confirm-pairs", value, 0, TUNE_PAIRS_MAX, &options->pairs, why,
			 why_bytes);
}

SETTER(set_statistic)
{
	options->statistic_asked = true;
	if (option_statistic(value, &options->statistic) != 0)
		return option_refuse(why, why_bytes, "statistic", value, OPTION_STATISTICS);
	return 0;
}

const struct tune_option tune_option_table[] = {
	{ "backend", "SPEC", "the backend; alternatives of an option as slub:order=1|3",
	  set_backend },
	{ "vary", "KEY=LIST",
	  "another option to vary, KEY=V1,V2...; 'pages': each of the backend's page options "
	  "around its default",
	  set_vary },
	{ "goal", "NAME", "speed (default), memory, balanced (both alike) or latency", set_goal },
	{ "weights", "LIST", "instead of a goal: speed=1,memory=0.5,latency=0", set_weights },
	{ "budget", "TIME", "stop after so long, as 60s or 5m (120s); 0: none", set_budget },
	{ "threshold", "PERCENT", "smallest difference that matters (2%)", set_threshold },
	{ "alpha", "P", "chance of a wrong answer, at most (0.05)", set_alpha },
	{ "blocks", "N", "most samples of a setting (60)", set_blocks },
	{ "confirm-pairs", "N", "fresh pairs of answer and baseline at the end (12)",
	  set_confirm_pairs },
	{ "statistic", "NAME",
	  "of a process's laps: median, mean, q1 or min (min; mean with --paging)", set_statistic },
	{ NULL, NULL, NULL, NULL },
};

/* The goal says which passes are run, the race how often; the backend is tune's own option. It does not wait. */
bool tune_takes(const char *plan_option)
{
	return strcmp(plan_option, "backend") != 0 && strcmp(plan_option, "repetitions") != 0 &&
	       strcmp(plan_option, "passes") != 0 && strcmp(plan_option, "quiet-wait") != 0;
}

int tune_set(struct tune_options *options, const char *name, const char *value, char *why,
	     size_t why_bytes)
{
	for (const struct tune_option *option = tune_option_table; option->name; option++) {
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

static int default_backings(struct plan_options *plan)
{
	for (int i = 0; i < PAGE_BACKINGS; i++) {
		free(plan->backings[i]);
		plan->backings[i] = strdup(page_backing_names[i]);
		if (!plan->backings[i])
			return -ENOMEM;
	}
	return 0;
}

int tune_options_init(struct tune_options *options)
{
	size_t count = 0;
	char why[128];
	int error;

	memset(options, 0, sizeof(*options));
	options->threshold = 0.02;
	options->alpha = 0.05;
	options->budget_seconds = 120;
	options->blocks = 60;
	options->pairs = 12;
	options->statistic = METRIC_ns_per_op_min;
	error = plan_options_init(&options->plan);
	if (!error)
		error = default_backings(&options->plan);
	if (!error) /* kept in every record: it tells a tuning from a run */
		error = tune_set(options, "goal", goals[0].name, why, sizeof(why));
	for (size_t size = POOL_OS_PAGE; size <= (size_t)2 << 20; size *= 2)
		options->plan.page_sizes[count++] = size;
	/* many short processes are worth more than few long ones, as in ab; a pool of some megabytes all the same */
	options->plan.prototype.events = 100000;
	options->plan.prototype.laps = 12;
	options->plan.prototype.checkpoints = 50;
	return error;
}

void tune_options_release(struct tune_options *options)
{
	plan_options_release(&options->plan);
	run_plan_release(&options->record);
}
