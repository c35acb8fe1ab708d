/* The figures: every one is drawn from a run's files, whatever the names in it; and what is said when not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots/csv.h"
#include "plots/figures.h"
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

static struct picture *draw(const char *run_dir, const char *const *only, size_t *count)
{
	char why[600] = "", plots[300];
	struct model *model;
	struct picture *pictures;
	int err;

	assert_int_equal(model_load(&run_dir, 1, &model, why, sizeof(why)), 0);
	snprintf(plots, sizeof(plots), "%s/plots", run_dir);
	err = figures_draw(model, plots, only, &pictures, count, why, sizeof(why));
	if (err)
		print_error("%s\n", why);
	assert_int_equal(err, 0);
	model_free(model);
	return pictures;
}

static char *picture_text(const char *run_dir, const char *stem, const char *type, size_t *bytes)
{
	char path[600];
	char *text;

	snprintf(path, sizeof(path), "%s/plots/%s.%s", run_dir, stem, type);
	text = sample_read(path, bytes);
	if (!text)
		print_error("%s is not there\n", path);
	assert_non_null(text);
	return text;
}

static uint32_t big_endian(const char *bytes)
{
	const unsigned char *b = (const unsigned char *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void check_picture(const char *run_dir, const struct picture *picture)
{
	char why[200] = "";
	size_t bytes;
	char *svg = picture_text(run_dir, picture->stem, "svg", NULL);

	if (!markup_balanced(svg, 0, why, sizeof(why)))
		fail_msg("%s.svg: %s", picture->stem, why);
	assert_non_null(strstr(svg, "<svg"));
	assert_non_null(strstr(svg, "<path"));
	free(svg);
	char *png = picture_text(run_dir, picture->stem, "png", &bytes);
	assert_true(bytes > 5000);
	assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
	assert_int_equal(big_endian(png + 16), 2 * picture->width);
	assert_int_equal(big_endian(png + 20), 2 * picture->height);
	assert_memory_equal(png + bytes - 8, "IEND", 4);
	free(png);
}

static size_t pictures_of(const struct picture *pictures, size_t count, const struct figure *figure)
{
	size_t of_it = 0;

	for (size_t i = 0; i < count; i++)
		of_it += pictures[i].figure == figure;
	return of_it;
}

static void test_every_figure_is_drawn(void **state)
{
	size_t count, figures = 0;
	struct picture *pictures = draw(whole, NULL, &count);

	(void)state;
	for (const struct figure *figure = figure_table; figure->name; figure++, figures++) {
		const size_t of_it = pictures_of(pictures, count, figure);

		if (figure->flags & (FIGURE_COMPARISON | FIGURE_TUNE)) /* not of a plain run */
			assert_int_equal(of_it, 0);
		else
			assert_int_equal(of_it, figure->flags & FIGURE_EACH_PANEL ? 5 : 1);
	}
	assert_true(figures >= 14);
	for (size_t i = 0; i < count; i++)
		check_picture(whole, &pictures[i]);
	free(pictures);
}

/* Every backend is named, every failure is said, in the pictures where it matters. */
static void test_nobody_is_silently_absent(void **state)
{
	static const char *const names[] = { "nt-pool",  "segment-heap", "slub",    "magazine",
					     "tlsf",     "buddy",        "glibc",   "jemalloc",
					     "mimalloc", "CRASHED",      "SKIPPED", "UNTRUSTED",
					     "TIMEOUT" };
	static const char *const only[] = { "throughput", "scaling", "tradeoff", NULL };
	size_t count;

	(void)state;
	free(draw(whole, only, &count));
	assert_int_equal(count, 3);
	for (size_t f = 0; f < 3; f++) {
		char *svg = picture_text(whole, only[f], "svg", NULL);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (!strstr(svg, names[i]))
				fail_msg("%s.svg does not say %s", only[f], names[i]);
		}
		free(svg);
	}
	static const char *const memory[] = { "memory", NULL };
	free(draw(whole, memory, &count));
	char *svg = picture_text(whole, "memory-irp-storm-depth-256-remote-0-4", "svg", NULL);
	assert_non_null(strstr(svg, "CRASHED"));
	free(svg);
	/* and in those about fragmentation */
	static const char *const heap[] = { "waste-time", "heap-map", "heap-strip", "footprint",
					    NULL };
	free(draw(whole, heap, &count));
	assert_int_equal(count, 3 * 5 + 1);
	for (size_t f = 0; f < 4; f++) {
		char stem[96];
		snprintf(stem, sizeof(stem), "%s%s", heap[f],
			 f < 3 ? "-irp-storm-depth-256-remote-0-4" : "");
		svg = picture_text(whole, stem, "svg", NULL);
		if (!strstr(svg, "CRASHED") || !strstr(svg, "tlsf"))
			fail_msg("%s.svg does not say that tlsf crashed", stem);
		free(svg);
	}
}

static void test_hostile_names(void **state)
{
	size_t count;
	struct picture *pictures = draw(hostile, NULL, &count);

	(void)state;
	assert_true(count >= 9);
	for (size_t i = 0; i < count; i++) {
		check_picture(hostile, &pictures[i]);
		for (const char *c = pictures[i].stem; *c; c++)
			assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz0123456789-", *c));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(pictures[i].stem, pictures[k].stem);
	}
	free(pictures);
	char *svg = picture_text(hostile, "throughput", "svg", NULL);
	assert_non_null(strstr(svg, "`false`@x{^2}"));
	assert_null(strstr(svg, "<script"));
	/* two configurations of one backend are told apart by name */
	assert_non_null(strstr(svg, "slub:order=3"));
	free(svg);
}

static void test_nothing_but_failures(void **state)
{
	size_t count;
	struct picture *pictures = draw(failed, NULL, &count);

	(void)state;
	assert_int_equal(count, 0);
	free(pictures);
}

static void test_without_gnuplot(void **state)
{
	char *path = strdup(getenv("PATH")), why[600] = "", records[300];
	const char *dir = hostile;
	size_t before, after;

	(void)state;
	snprintf(records, sizeof(records), "%s/records.jsonl", hostile);
	char *old = sample_read(records, &before);
	setenv("PATH", "/nonexistent", 1);
	int err = figures_make(&dir, 1, NULL, NULL, why, sizeof(why));
	setenv("PATH", path, 1);
	free(path);
	assert_int_equal(err, -ENOENT);
	assert_non_null(strstr(why, "gnuplot-nox"));
	char *now = sample_read(records, &after);
	assert_int_equal(before, after);
	assert_memory_equal(old, now, before);
	free(old);
	free(now);
}

static void test_errors_name_the_thing(void **state)
{
	static const char *const unknown[] = { "throughput", "piechart", NULL };
	const char *dir = whole, *nowhere = "/nonexistent/run";
	char why[600] = "";

	(void)state;
	assert_int_equal(figures_make(&dir, 1, NULL, unknown, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "piechart"));
	assert_non_null(strstr(why, "tradeoff"));
	assert_int_equal(figures_make(&nowhere, 1, NULL, NULL, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/run"));
	setenv("POOLBENCH_PLOTS", "/nonexistent/plots", 1);
	assert_int_equal(figures_make(&dir, 1, NULL, NULL, why, sizeof(why)), -EIO);
	unsetenv("POOLBENCH_PLOTS");
	assert_non_null(strstr(why, "/nonexistent/plots"));
}

/* ---- looks ---- */

static void test_looks_are_told_apart(void **state)
{
	static const char *const names[] = { "null",     "nt-pool",  "segment-heap", "slub",
					     "magazine", "vmem",     "tlsf",         "buddy",
					     "glibc",    "mimalloc", "jemalloc",     "tcmalloc",
					     "tbbmalloc" };
	const size_t known = sizeof(names) / sizeof(names[0]);
	const struct style *all[25];

	(void)state;
	for (size_t i = 0; i < 25; i++) {
		all[i] = i < known ? style_of_known(names[i])
				   : style_of_stranger((unsigned)(i - known));
		assert_non_null(all[i]);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(all[i]->rgb, all[k]->rgb);
	}
	assert_null(style_of_known("somebody-else"));
}

static void test_colours_stay(void **state)
{
	const char *dirs[2] = { hostile, whole };
	struct model *one, *two;
	char why[600];
	size_t seen = 0;

	(void)state;
	assert_int_equal(model_load(&dirs[1], 1, &one, why, sizeof(why)), 0);
	assert_int_equal(model_load(dirs, 2, &two, why, sizeof(why)), 0);
	for (size_t i = 0; i < one->series_count; i++) {
		for (size_t k = 0; k < two->series_count; k++) {
			if (strcmp(one->series[i].base, two->series[k].base) != 0)
				continue;
			assert_int_equal(one->series[i].style.rgb, two->series[k].style.rgb);
			seen++;
		}
	}
	assert_true(seen > 10);
	model_free(one);
	model_free(two);
}

/* ---- series files ---- */

static void test_csv(void **state)
{
	char path[300];
	struct csv *csv;

	(void)state;
	snprintf(path, sizeof(path), "%s/test.csv", whole);
	FILE *file = fopen(path, "w");
	fputs("name,ns,note\n\"a,b\"\"c\",1.5,\nplain,,x\r\ntoo few\nd,2e3,end\ntorn,4,ha", file);
	fclose(file);
	assert_int_equal(csv_open(path, &csv), 0);
	assert_int_equal(csv_column(csv, "note"), 2);
	assert_int_equal(csv_column(csv, "nothing"), -1);
	assert_true(csv_next(csv));
	assert_string_equal(csv_field(csv, 0), "a,b\"c");
	assert_true(csv_number(csv, 1) == 1.5);
	assert_true(csv_next(csv));
	assert_true(csv_number(csv, 1) != csv_number(csv, 1));
	assert_string_equal(csv_field(csv, 2), "x");
	assert_true(csv_next(csv));
	assert_true(csv_number(csv, 1) == 2000);
	assert_string_equal(csv_field(csv, -1), "");
	assert_false(csv_next(csv));
	csv_close(csv);
	assert_int_equal(csv_open("/nonexistent", &csv), -ENOENT);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_figure_is_drawn),
		cmocka_unit_test(test_nobody_is_silently_absent),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_nothing_but_failures),
		cmocka_unit_test(test_without_gnuplot),
		cmocka_unit_test(test_errors_name_the_thing),
		cmocka_unit_test(test_looks_are_told_apart),
		cmocka_unit_test(test_colours_stay),
		cmocka_unit_test(test_csv),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
