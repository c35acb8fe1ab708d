/* A tuning's figures and page, from a run's files: names that would break a script or a page, settings that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots/report.h"
#include "plots_markup.h"
#include "plots_sample.h"

static char run[256];

static json_t *ratio(double value)
{
	return json_pack("{si sf sf sf sf}", "pairs", 20, "ratio", value, "low", value - 0.01,
			 "high", value + 0.01, "level", 0.95);
}

static json_t *condition(double speed, double bytes)
{
	return json_pack("{s{so so} s{sf sf sn sf sf sf}}", "over_baseline", "speed", ratio(speed),
			 "memory", ratio(1.1), "metrics", "resident_bytes_peak", bytes,
			 "alloc_ns_p99", 80.0, "dtlb_misses_per_op", "page_faults", 12.0,
			 "internal_fragmentation", 0.1, "external_fragmentation", bytes / 1e9);
}

/* Three page sizes on base, faster the larger; the same on hugetlb, which could not be had. */
static json_t *settings(void)
{
	json_t *list = json_array();

	for (int i = 0; i < 6; i++) {
		const int measured = i < 3;
		char name[64];

		snprintf(name, sizeof(name), "%dK pages", 4 << (2 * (i % 3)));
		json_array_append_new(
			list,
			json_pack("{ss ss sI ss ss ss ss si so}", "name", name, "backend",
				  HOSTILE_BACKEND, "page_size", (json_int_t)4096 << (2 * (i % 3)),
				  "backing", measured ? "base" : "hugetlb", "status",
				  measured ? "OK" : "SKIPPED", "standing",
				  i == 1     ? "answer"
				  : measured ? "worse"
					     : "SKIPPED",
				  "reason", "<no> huge pages", "blocks", 20, "conditions",
				  measured
					  ? json_pack("[o]", condition(1 - 0.05 * i, 3e6 * (i + 1)))
					  : json_array()));
	}
	return list;
}

static int set_up(void **state)
{
	char path[300];
	json_t *tune;
	int error;

	(void)state;
	if (sample_run(SAMPLE_HOSTILE, run, sizeof(run)))
		return -1;
	tune = json_pack("{si ss ss si s{si sf ss ss} s[ss] s[{ss si}] so}", "schema", 1, "verdict",
			 "SETTLED", "backend", HOSTILE_BACKEND, "baseline", 0, "answer", "setting",
			 1, "confidence", 0.97, "options", "--backend '<b>'", "command",
			 "poolbench run '<b>'", "words", "first <line>", "Use 16K \"pages\"",
			 "conditions", "workload", HOSTILE_WORKLOAD, "threads", 2, "settings",
			 settings());
	snprintf(path, sizeof(path), "%s/tune.json", run);
	error = tune ? json_dump_file(tune, path, 0) : -1;
	json_decref(tune);
	return error;
}

static int tear_down(void **state)
{
	(void)state;
	sample_remove(run);
	return 0;
}

static void the_page_gives_the_answer(void **state)
{
	const char *dir = run;
	char path[300], why[600] = "";
	char *page;

	(void)state;
	assert_int_equal(report_make(&dir, 1, NULL, why, sizeof(why)), 0);
	snprintf(path, sizeof(path), "%s/report.html", run);
	page = sample_read(path, NULL);
	assert_non_null(page);
	if (!markup_balanced(page, 1, why, sizeof(why)))
		fail_msg("%s", why);
	assert_non_null(strstr(page, "The answer: SETTLED"));
	assert_non_null(strstr(page, "<b>Use 16K &quot;pages&quot;</b>"));
	assert_non_null(strstr(page, "first &lt;line&gt;"));
	assert_non_null(strstr(page, "poolbench run &#39;&lt;b&gt;&#39;"));
	assert_null(strstr(page, "<script"));
	assert_non_null(strstr(page, "<pre><code>poolbench tune"));
	/* its own figures alone; another run keeps its own */
	assert_non_null(strstr(page, "id=\"figure-pages\""));
	assert_non_null(strstr(page, "id=\"figure-front\""));
	assert_null(strstr(page, "id=\"figure-throughput\""));
	free(page);
}

static char *picture(const char *name)
{
	char path[600], why[200] = "";
	char *svg = NULL;
	struct model *model;
	const char *dir = run;

	assert_int_equal(model_load(&dir, 1, &model, why, sizeof(why)), 0);
	for (size_t p = 0; p < model->panels && !svg; p++) {
		if (strcmp(model->panel[p].workload, HOSTILE_WORKLOAD) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/plots/%s-%s.svg", run, name, model->panel[p].slug);
		svg = sample_read(path, NULL);
	}
	model_free(model);
	assert_non_null(svg);
	if (!markup_balanced(svg, 0, why, sizeof(why)))
		fail_msg("%s: %s", name, why);
	return svg;
}

static void the_maps_show_every_setting(void **state)
{
	char *svg = picture("pages");

	(void)state;
	assert_non_null(strstr(svg, "64K"));
	assert_non_null(strstr(svg, "hugetlb"));
	assert_non_null(strstr(svg, "SKIPPED"));
	assert_non_null(strstr(svg, "+5.3"));
	/* what is the same everywhere, and what nobody counted, is a sentence */
	assert_non_null(strstr(svg, "page faults, timed region: 12"));
	assert_non_null(strstr(svg, "dTLB misses an operation: not counted"));
	free(svg);
}

static void the_front_names_the_answer(void **state)
{
	char *svg = picture("front");

	(void)state;
	assert_non_null(strstr(svg, "16K (answer)"));
	assert_non_null(strstr(svg, "4K (baseline)"));
	assert_null(strstr(svg, ">thp<"));
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_gives_the_answer),
		cmocka_unit_test(the_maps_show_every_setting),
		cmocka_unit_test(the_front_names_the_answer),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
