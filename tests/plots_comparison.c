/* The figures and the page of a comparison, from documents that are made up: what a machine seldom shows on demand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plots/figures.h"
#include "plots/report.h"
#include "plots_markup.h"
#include "plots_sample.h"

#define HOSTILE_TITLE "x\\\"y'_z^{2}</style><script>alert(1)</script>, 1 thread"

static char directory[256];

static int set_up(void **state)
{
	(void)state;
	return sample_run(SAMPLE_HOSTILE, directory, sizeof(directory));
}

static int tear_down(void **state)
{
	(void)state;
	sample_remove(directory);
	return 0;
}

static void put_file(const char *name, const char *text)
{
	char path[400];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* A document with one cell of these series, and what was drawn of it. */
static size_t draw(const char *series)
{
	static const char *const runs[1] = { directory };
	struct model *model;
	struct picture *pictures = NULL;
	size_t count = 0;
	char text[4096], plots[300], why[600] = "";

	snprintf(
		text, sizeof(text),
		"{\"schema\":1,\"a\":\"it's a\",\"b\":\"<b>\",\"verdict\":\"REGRESSION\",\"cells\":"
		"[{\"cell\":\"c\",\"title\":\"" HOSTILE_TITLE "\",\"failures\":{},\"series\":[%s]}"
		"]}",
		series);
	put_file("ab.json", text);
	assert_int_equal(model_load(runs, 1, &model, why, sizeof(why)), 0);
	assert_non_null(model->run[0].comparison);
	snprintf(plots, sizeof(plots), "%s/plots", directory);
	if (figures_draw(model, plots, NULL, &pictures, &count, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	for (size_t i = 0; i < count; i++)
		assert_true(pictures[i].figure->flags & FIGURE_COMPARISON);
	free(pictures);
	model_free(model);
	return count;
}

static char *svg_of(const char *figure)
{
	char path[400], *text;

	snprintf(path, sizeof(path), "%s/plots/%s.svg", directory, figure);
	text = sample_read(path, NULL);
	assert_non_null(text);
	return text;
}

#define RATIO(ratio, low, high) \
	"\"b_over_a\":{\"pairs\":20,\"ratio\":" ratio ",\"low\":" low ",\"high\":" high "},"
#define SERIES(name, verdict, gate, rest) \
	"{\"series\":\"" name "\",\"unit\":\"ns/op\",\"verdict\":\"" verdict "\",\"gate\":" gate \
	"," rest "\"threshold\":0.02,\"power\":0.9,\"note\":null}"
#define PAIRS \
	"cell,series,batch,round,a,b,control,slowed\n" \
	"c,time,search,0,10,30,10.1,10.3\nc,time,search,1,10,29,9.9,\nc,time,search,2,,29,9.9,\n" \
	"d,time,search,0,1,1,1,1\nc,footprint,search,0,1,1,1,1\nc,time,confirm,0,10,30,,\n"

/* Rows that all lie beyond the axis made gnuplot crash once. */
static void everything_beyond_the_edge(void **state)
{
	char *svg;

	(void)state;
	put_file("pairs.csv", PAIRS);
	assert_int_equal(draw(SERIES("time", "REGRESSION", "true", RATIO("3.0", "2.9", "3.1"))), 2);
	svg = svg_of("ab-ratios");
	assert_non_null(strstr(svg, "+200.00 % (+190.00 .. +210.00)  REGRESSION"));
	assert_non_null(strstr(svg, "►"));
	assert_null(strstr(svg, "<script"));
	free(svg);
	assert_int_equal(draw(SERIES("time", "IMPROVEMENT", "true", RATIO("0.1", "0.1", "0.2"))),
			 2);
	svg = svg_of("ab-ratios");
	assert_non_null(strstr(svg, "◄"));
	free(svg);
}

static void pairs_are_those_of_the_cell(void **state)
{
	char path[400], *data;

	(void)state;
	put_file("pairs.csv", PAIRS);
	assert_int_equal(draw(SERIES("time", "EQUIVALENT", "true", RATIO("1.0", "0.99", "1.01"))),
			 2);
	snprintf(path, sizeof(path), "%s/plots/data/ab-pairs.dat", directory);
	data = sample_read(path, NULL);
	/* in per cent against A; the pair without A, another cell's and another series' are left out */
	assert_non_null(strstr(data, "1 200 1 3 "));
	assert_non_null(strstr(data, "2 190 -1 NaN "));
	assert_non_null(strstr(data, "3 200 NaN NaN "));
	assert_null(strstr(data, "\n4 "));
	free(data);
}

static void what_is_not_measured_is_said(void **state)
{
	char *svg;

	(void)state;
	put_file("pairs.csv", "cell,series,batch,round,a,b,control,slowed\n");
	assert_int_equal(
		draw(SERIES("time", "UNKNOWN", "true", RATIO("null", "null", "null")) "," SERIES(
			"instructions", "UNKNOWN", "false",
			"\"b_over_a\":{\"pairs\":0,\"ratio\":null},")),
		1);
	svg = svg_of("ab-ratios");
	assert_non_null(strstr(svg, "UNKNOWN"));
	assert_null(strstr(svg, "instructions")); /* neither measured nor gating: no row */
	free(svg);
}

static void the_page_is_the_comparisons(void **state)
{
	static const char *const runs[1] = { directory };
	char why[600] = "", path[400], *page;

	(void)state;
	put_file("pairs.csv", PAIRS);
	draw(SERIES("time", "REGRESSION", "true", RATIO("1.03", "1.02", "1.04")) "," SERIES(
		"footprint", "INCONCLUSIVE", "false", RATIO("1.0", "0.9", "1.1")));
	if (report_make(runs, 1, NULL, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	report_path(runs, NULL, path, sizeof(path));
	page = sample_read(path, NULL);
	assert_non_null(page);
	if (!markup_balanced(page, 1, why, sizeof(why)))
		fail_msg("%s", why);
	assert_non_null(strstr(page, "Is B slower than A?"));
	assert_non_null(strstr(page, "+3.00 %"));
	assert_non_null(strstr(page, "footprint (not gating)"));
	assert_non_null(strstr(page, "id=\"figure-ab-pairs\""));
	assert_null(strstr(page, "id=\"tables\""));
	assert_null(strstr(page, "<script"));
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_beyond_the_edge),
		cmocka_unit_test(pairs_are_those_of_the_cell),
		cmocka_unit_test(what_is_not_measured_is_said),
		cmocka_unit_test(the_page_is_the_comparisons),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
