/*
 * Any bytes as what a person types: options of every backend and workload, sizes, workloads' specifications, the
 * options of a run, failure plans, a round kept in a trace's origin, the specification of a measurement.
 * Input: a byte that chooses, then the text.
 */
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "bench/measure.h"
#include "bench/plan.h"
#include "bench/stress.h"
#include "fuzz.h"
#include "workloads/workload.h"

/* What is accepted has one canonical form, which means the same. */
static void parse_table(const struct option_def *table, size_t values_bytes, const char *text)
{
	void *values = calloc(1, values_bytes + 1), *again = calloc(1, values_bytes + 1);
	char why[256] = "", first[8192], second[8192];

	FUZZ_MUST(values && again);
	if (options_parse(table, values, text, why, sizeof(why)) == 0) {
		FUZZ_MUST(options_format(table, values, first, sizeof(first)) < sizeof(first));
		FUZZ_MUST(options_parse(table, again, first, why, sizeof(why)) == 0);
		FUZZ_MUST(options_format(table, again, second, sizeof(second)) < sizeof(second));
		FUZZ_MUST(strcmp(first, second) == 0);
	} else {
		FUZZ_MUST(why[0]);
	}
	free(values);
	free(again);
}

static void parse_tables(unsigned choice, const char *text)
{
	unsigned seen = 0;

	for (size_t i = 0; builtin_backends[i]; i++)
		if (builtin_backends[i]->options && seen++ == choice)
			parse_table(builtin_backends[i]->options,
				    builtin_backends[i]->options_bytes, text);
	for (size_t i = 0; workloads[i]; i++)
		if (workloads[i]->options && seen++ == choice)
			parse_table(workloads[i]->options, workloads[i]->options_bytes, text);
}

static void parse_run(unsigned choice, const char *text)
{
	struct plan_options options;
	struct run_plan record = { 0 };
	unsigned count = 0;
	char why[256] = "";

	while (plan_option_table[count].name)
		count++;
	FUZZ_MUST(plan_options_init(&options) == 0);
	if (plan_set(&options, &record, plan_option_table[choice % count].name, text, why,
		     sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
	plan_options_release(&options);
	run_plan_release(&record);
}

static void parse_stress(const char *text)
{
	struct stress_plan plan = { 0 };
	struct stress_round round;
	char why[256] = "", rule[64], spec[512];

	if (stress_faults_parse(text, &plan, why, sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
	why[0] = '\0';
	if (stress_origin_parse(text, &round, rule, sizeof(rule), spec, sizeof(spec), why,
				sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
}

static void parse_words(const char *text)
{
	struct measure_spec spec;
	size_t value;
	char why[256] = "";

	(void)size_parse(text, &value);
	if (strncmp(text, "trace:", 6) != 0 && workload_check(text, why, sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
	why[0] = '\0';
	if (measure_spec_parse(text, &spec, why, sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text;

	if (bytes == 0)
		return 0;
	text = fuzz_text(data + 1, bytes - 1);
	switch (data[0] % 4) {
	case 0:
		parse_tables(data[0] / 4, text);
		break;
	case 1:
		parse_run(data[0] / 4, text);
		break;
	case 2:
		parse_stress(text);
		break;
	default:
		parse_words(text);
	}
	free(text);
	return 0;
}
