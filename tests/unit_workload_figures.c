/* The figures that real systems showed, and what the generators make of them; and that docs/ tell the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workload_census.h"
#include "workloads/workload.h"

#define EVENTS 262144u

/* A published mean of bytes, and how near the generator's must come, per cent. */
static const struct {
	const char *spec, *tag;
	bool live; /* the mean of what is live, not of what is allocated */
	uint32_t bytes, within;
} means[] = {
	{ "irp-storm", "Io  ", false, 723, 8 },       { "registry-churn", "CM25", true, 4476, 2 },
	{ "section-mapping", "MmSt", true, 897, 10 }, { "section-mapping", "MmCa", true, 321, 15 },
	{ "object-churn", "IoNm", false, 326, 5 },
};

static void mean_bytes_are_the_published_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++) {
		const struct tag_census census = tag_census_of(means[i].spec, means[i].tag, 2,
							       EVENTS);
		const uint64_t mean = means[i].live ? census.live_bytes_start / census.live_start
						    : census.bytes / census.allocs;

		if (mean < means[i].bytes * (100 - means[i].within) / 100 ||
		    mean > means[i].bytes * (100 + means[i].within) / 100)
			fail_msg("'%s': mean %llu bytes, published %u", means[i].tag,
				 (unsigned long long)mean, means[i].bytes);
	}
}

/* Seeds are alike: no published mean hangs on seed 1. */
static void means_hold_for_other_seeds(void **state)
{
	uint64_t sum = 0;

	(void)state;
	for (uint64_t seed = 2; seed <= 5; seed++) {
		struct trace *trace = trace_of("section-mapping", 2, 1000, seed);
		struct tag_census census;

		census_take_tag(trace, "MmSt", &census);
		sum += census.live_bytes_start / census.live_start;
		trace_destroy(trace);
	}
	assert_in_range(sum / 4, 897 * 85 / 100, 897 * 115 / 100);
}

/* Whether the open file has this line. */
static bool has_line(FILE *file, const char *wanted)
{
	char line[1024];

	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, wanted) == 0)
			return true;
	}
	return false;
}

/* A workload's page has a row for each option: name, default, unit, help. */
static void pages_have_the_options(void **state)
{
	(void)state;
	for (const struct workload *const *w = workloads; *w; w++) {
		char text[1024];
		FILE *file;

		snprintf(text, sizeof(text), DOCS_DIRECTORY "/%s.md", (*w)->name);
		file = fopen(text, "r");
		if (!file)
			fail_msg("%s is missing", text);
		for (const struct option_def *option = (*w)->options; option->name; option++) {
			snprintf(text, sizeof(text), "| `%s` | %s | %s | %s |", option->name,
				 option->default_text, option->unit, option->help);
			if (!has_line(file, text))
				fail_msg("docs/%s.md lacks the line\n%s", (*w)->name, text);
		}
		fclose(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mean_bytes_are_the_published_ones),
		cmocka_unit_test(means_hold_for_other_seeds),
		cmocka_unit_test(pages_have_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
