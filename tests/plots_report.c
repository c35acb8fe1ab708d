/* The page: well-formed, self-contained, complete, and safe whatever the names in a run are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "plots/html.h"
#include "plots/report.h"
#include "plots/table.h"
#include "plots_markup.h"
#include "plots_sample.h"

static char whole[256], hostile[256], failed[256];

static int set_up(void **state)
{
	(void)state;
	return sample_run(SAMPLE_WHOLE, whole, sizeof(whole)) ||
	       sample_run(SAMPLE_HOSTILE, hostile, sizeof(hostile)) ||
	       sample_run(SAMPLE_FAILED, failed, sizeof(failed));
}

static int tear_down(void **state)
{
	(void)state;
	sample_remove(whole);
	sample_remove(hostile);
	sample_remove(failed);
	return 0;
}

static char *page_of(const char *const *dirs, size_t n, const char *out)
{
	char why[600] = "", path[600];
	int err = report_make(dirs, n, out, why, sizeof(why));

	if (err)
		print_error("%s\n", why);
	assert_int_equal(err, 0);
	report_path(dirs, out, path, sizeof(path));
	char *page = sample_read(path, NULL);
	assert_non_null(page);
	return page;
}

static size_t occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

/* Nothing is loaded from anywhere: a src is data, a href is in the page. */
static void check_self_contained(const char *page)
{
	static const char *const attributes[] = { " src=\"", " href=\"", "url(",
						  "@import", "<script",  "<link",
						  "<iframe", " srcset=", " action=" };
	static const char *const allowed[] = { "data:image/svg+xml;base64,", "#" };

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		for (const char *at = strstr(page, attributes[i]); at;
		     at = strstr(at + 1, attributes[i])) {
			const char *value = at + strlen(attributes[i]);
			if (i > 1 || strncmp(value, allowed[i], strlen(allowed[i])) != 0)
				fail_msg("the page needs %.60s", at);
		}
	}
}

static void check_page(const char *page)
{
	static const char *const sections[] = { "summary", "figures",   "tables",
						"machine", "reproduce", "glossary" };
	char why[200] = "";

	if (!markup_balanced(page, 1, why, sizeof(why)))
		fail_msg("the page is not well-formed: %s", why);
	check_self_contained(page);
	for (size_t i = 0, last = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		char id[64];
		snprintf(id, sizeof(id), "<section id=\"%s\"", sections[i]);
		const char *at = strstr(page, id);
		assert_non_null(at);
		/* the summary first, then the rest in this order */
		assert_true((size_t)(at - page) > last);
		last = (size_t)(at - page);
	}
	assert_int_equal(occurrences(page, "<img "), occurrences(page, "<img alt=\""));
	assert_int_equal(occurrences(page, "alt=\"\""), 0);
	assert_non_null(strstr(page, "@media print"));
	assert_non_null(strstr(page, "name=\"viewport\""));
}

static void test_whole_run(void **state)
{
	const char *dir = whole;
	char *page = page_of(&dir, 1, NULL);

	(void)state;
	check_page(page);
	for (const struct figure *figure = figure_table; figure->name; figure++) {
		char id[64];
		snprintf(id, sizeof(id), "id=\"figure-%s\"", figure->name);
		assert_int_equal(strstr(page, id) != NULL,
				 !(figure->flags & (FIGURE_COMPARISON | FIGURE_TUNE)));
	}
	assert_int_equal(occurrences(page, "<img "), 14 + 4 * 5 + 4);
	for (int status = CELL_SKIPPED; status < CELL_STATUSES; status++)
		assert_non_null(strstr(page, cell_status_names[status]));
	/* reasons a person can act on, escaped; caveats; noise; the seed */
	assert_non_null(strstr(page, "SIGSEGV at event 90412 &lt;address 0x18&gt;"));
	assert_non_null(strstr(page, "apt-get install libmimalloc2.0"));
	assert_non_null(strstr(page, "residency of nonpaged blocks is not promised"));
	assert_non_null(strstr(page, "A noisy machine."));
	assert_non_null(strstr(page, "--seed 1"));
	assert_non_null(strstr(page, "Example CPU &lt;2.6 GHz&gt;"));
	assert_non_null(strstr(page, "lookaside_hits"));
	for (size_t m = 0; m < METRIC_COUNT; m++)
		assert_non_null(strstr(page, metric_table[m].name));
	free(page);
}

static void test_hostile_names(void **state)
{
	const char *dir = hostile;
	char *page = page_of(&dir, 1, NULL);

	(void)state;
	check_page(page);
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<b>plugin"));
	assert_non_null(
		strstr(page, "it&#39;s_a &quot;bad&quot; &lt;b&gt;plugin&lt;/b&gt;`false`@x{^2}"));
	free(page);
}

static void test_nothing_but_failures(void **state)
{
	const char *dir = failed;
	char *page = page_of(&dir, 1, NULL);

	(void)state;
	check_page(page);
	assert_non_null(strstr(page, "No cell has numbers to draw."));
	assert_non_null(strstr(page, "8 of 8 cells have no full result."));
	free(page);
}

static void test_runs_side_by_side(void **state)
{
	const char *dirs[2] = { whole, hostile };
	char out[600], plots[600];
	struct stat info;

	(void)state;
	snprintf(out, sizeof(out), "%s/both.html", hostile);
	char *page = page_of(dirs, 2, out);
	check_page(page);
	assert_non_null(strstr(page, "slub [1]"));
	assert_non_null(strstr(page, "slub [2]"));
	free(page);
	snprintf(plots, sizeof(plots), "%s/both-plots/throughput.png", hostile);
	assert_int_equal(stat(plots, &info), 0);
}

static void test_without_gnuplot(void **state)
{
	const char *dir = failed;
	char why[600] = "", path[600], *old_path = strdup(getenv("PATH"));
	char *page;
	int err;

	(void)state;
	dir = hostile;
	setenv("PATH", "/nonexistent", 1);
	err = report_make(&dir, 1, NULL, why, sizeof(why));
	setenv("PATH", old_path, 1);
	free(old_path);
	assert_int_equal(err, -ENOENT);
	report_path(&dir, NULL, path, sizeof(path));
	page = sample_read(path, NULL);
	check_page(page);
	assert_non_null(strstr(page, "apt-get install gnuplot-nox"));
	assert_non_null(strstr(page, "All numbers"));
	free(page);
}

static void test_table(void **state)
{
	char *text = NULL, why[600] = "";
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	assert_int_equal(summary_table_print(out, whole, why, sizeof(why)), 0);
	fclose(out);
	assert_non_null(strstr(text, "irp-storm:depth=256,remote=0.4, 2 threads"));
	assert_non_null(strstr(text, "CRASHED: SIGSEGV"));
	assert_int_equal(occurrences(text, "mimalloc "), 5);
	free(text);

	out = open_memstream(&text, &bytes);
	assert_int_equal(summary_json_print(out, whole, why, sizeof(why)), 0);
	fclose(out);
	json_t *document = json_loads(text, 0, NULL);
	assert_non_null(document);
	assert_int_equal(json_array_size(json_object_get(document, "cells")), 100);
	json_decref(document);
	free(text);
	assert_int_equal(summary_table_print(stderr, "/nonexistent/run", why, sizeof(why)),
			 -ENOENT);
}

static void test_escaping(void **state)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	html(out, "<b title=\"%s\">%u %% %zu %.2f</b>", "a<b>&\"'\x01\xff\xc3\xa9\xed\xa0\x80", 7u,
	     (size_t)8, 1.5);
	fclose(out);
	assert_string_equal(text, "<b title=\"a&lt;b&gt;&amp;&quot;&#39; \xef\xbf\xbd\xc3\xa9"
				  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\">7 % 8 1.50</b>");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_run),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_nothing_but_failures),
		cmocka_unit_test(test_runs_side_by_side),
		cmocka_unit_test(test_without_gnuplot),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_escaping),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
