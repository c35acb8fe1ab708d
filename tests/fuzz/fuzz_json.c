/*
 * Any bytes as each JSON document that is read: a record, a result, a plan. What is accepted is written and read again,
 * and comes to the same text.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "results/record_json.h"
#include "results/run_plan.h"

static void read_record(const char *text, size_t bytes)
{
	struct record record, again;
	char why[256] = "", *first, *second;

	if (record_from_json(text, bytes, &record, why, sizeof(why)) != 0) {
		FUZZ_MUST(why[0]);
		return;
	}
	first = record_to_json(&record);
	FUZZ_MUST(first && record_from_json(first, strlen(first), &again, why, sizeof(why)) == 0);
	second = record_to_json(&again);
	FUZZ_MUST(second && strcmp(first, second) == 0);
	free(first);
	free(second);
}

static void read_result(const char *text, size_t bytes)
{
	struct result result, again;
	char why[256] = "", *first, *second;

	if (result_from_json(text, bytes, &result, why, sizeof(why)) != 0) {
		FUZZ_MUST(why[0]);
		return;
	}
	first = result_to_json(&result);
	FUZZ_MUST(first && result_from_json(first, strlen(first), &again, why, sizeof(why)) == 0);
	second = result_to_json(&again);
	FUZZ_MUST(second && strcmp(first, second) == 0);
	result_release(&result);
	result_release(&again);
	free(first);
	free(second);
}

static void read_plan(const char *text, size_t bytes)
{
	struct run_plan plan, again;
	char why[256] = "", *first, *second;

	if (run_plan_from_json(text, bytes, &plan, why, sizeof(why)) != 0) {
		FUZZ_MUST(why[0]);
		return;
	}
	first = run_plan_to_json(&plan);
	FUZZ_MUST(first && run_plan_from_json(first, strlen(first), &again, why, sizeof(why)) == 0);
	second = run_plan_to_json(&again);
	FUZZ_MUST(second && strcmp(first, second) == 0);
	run_plan_release(&plan);
	run_plan_release(&again);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char *text = fuzz_text(data, bytes);

	read_record(text, bytes);
	read_result(text, bytes);
	read_plan(text, bytes);
	free(text);
	return 0;
}
