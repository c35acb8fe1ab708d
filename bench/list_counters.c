/*
 * The counters of a design. Names and help come from a pool that is made for it; the numbers from the records of a
 * run: medians over repetitions, all events since the pool was made and events an operation.
 */
#include "bench/list_counters.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/pages.h"
#include "allocators/registry.h"
#include "bench/cmd.h"
#include "results/counter_summary.h"
#include "results/record_json.h"
#include "results/run_dir.h"

#define CELLS_ABREAST 3u /* columns of a table: what a terminal of 132 characters holds */

struct definition {
	char name[sizeof(((struct record_counter *)NULL)->name)];
	char help[128];
};

struct page {
	struct backend *backend;
	struct definition definition[RECORD_COUNTERS];
	unsigned definitions;
	char run[4096]; /* empty: none */
	struct counter_summary *cells; /* of this backend */
	size_t count;
};

/* ---- names and help ---- */

static void keep_definition(void *arg, const char *name, const char *help, uint64_t value)
{
	struct page *page = arg;
	struct definition *definition = &page->definition[page->definitions];

	(void)value;
	if (page->definitions == RECORD_COUNTERS)
		return;
	snprintf(definition->name, sizeof(definition->name), "%s", name);
	snprintf(definition->help, sizeof(definition->help), "%s", help);
	page->definitions++;
}

/* Nothing will go wrong in a pool that nobody uses. */
static void stop_here(void *arg, const struct pool_stop *stop)
{
	(void)arg;
	fprintf(stderr, "poolbench list: stop %#x: %s\n", stop->code, stop->text);
	exit(EXIT_FAILED);
}

static int define(struct page *page, char *why, size_t why_bytes)
{
	struct pool_config config = { .page_size = POOL_OS_PAGE,
				      .processors = 1,
				      .stop = stop_here };
	struct pool *pool = NULL;
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES && !error; type++) {
		const struct page_source_config source = { .type = type,
							   .page_size = POOL_OS_PAGE,
							   .node = -1 };

		error = page_source_create(&source, &config.pages[type], why, why_bytes);
	}
	if (!error)
		error = backend_create_pool(page->backend, &config, &pool, why, why_bytes);
	if (!error)
		backend_counters(page->backend->ops, pool, config.pages, keep_definition, page);
	page->backend->ops->destroy(pool);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		page_source_destroy(config.pages[type]);
	return error;
}

static const char *help_of(const struct page *page, const char *name)
{
	for (unsigned i = 0; i < page->definitions; i++)
		if (strcmp(page->definition[i].name, name) == 0)
			return page->definition[i].help;
	return "";
}

/* ---- a run's numbers ---- */

static bool is_wanted(const struct backend *backend, const struct counter_summary *cell)
{
	return strcmp(cell->display_name, backend->name) == 0 &&
	       (!backend->options[0] || strcmp(cell->cell.backend, backend->spec) == 0);
}

static int compare_sizes(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

/* Cells ran in random order. Workloads, then the design's options, pages, threads. */
static int by_cell(const void *left, const void *right)
{
	const struct counter_summary *x = left, *y = right;
	const struct cell *a = &x->cell, *b = &y->cell;
	int order = strcmp(a->workload, b->workload);

	if (!order)
		order = strcmp(a->backend, b->backend);
	if (!order)
		order = compare_sizes(a->page_size, b->page_size);
	if (!order)
		order = strcmp(a->backing, b->backing);
	return order ? order : compare_sizes(a->threads, b->threads);
}

/* Keeps the cells of the backend; how many. */
static size_t keep_wanted(struct page *page)
{
	size_t kept = 0;

	for (size_t i = 0; i < page->count; i++)
		if (is_wanted(page->backend, &page->cells[i]))
			page->cells[kept++] = page->cells[i];
	page->count = kept;
	if (kept)
		qsort(page->cells, kept, sizeof(*page->cells), by_cell);
	return kept;
}

static int run_load(struct page *page, const char *directory, char *why, size_t why_bytes)
{
	struct record *records;
	size_t count;
	int error = records_read(directory, &records, &count, why, why_bytes);

	if (error)
		return error;
	free(page->cells);
	error = counters_summarise(records, count, &page->cells, &page->count);
	free(records);
	if (error) {
		snprintf(why, why_bytes, "%s: out of memory", directory);
		return error;
	}
	snprintf(page->run, sizeof(page->run), "%s", directory);
	if (keep_wanted(page))
		return 0;
	snprintf(why, why_bytes,
		 "%s has no counters of %s: `poolbench run --backend %s` makes a "
		 "run that has",
		 directory, page->backend->spec, page->backend->spec);
	page->run[0] = '\0';
	return -ENOENT;
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int no_dot(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The newest run that has counters of the backend, if there is any: runs are named by their time. */
static void run_find(struct page *page)
{
	struct dirent **entries;
	const int count = scandir(RUN_DIR_ROOT, &entries, no_dot, newest_first);
	bool found = false;

	for (int i = 0; i < count; i++) {
		char directory[sizeof(page->run)], why[512];

		snprintf(directory, sizeof(directory), RUN_DIR_ROOT "/%.255s", entries[i]->d_name);
		found = found || run_load(page, directory, why, sizeof(why)) == 0;
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

/* ---- for people ---- */

static void print_definitions(const struct page *page)
{
	printf("%s counts (no run under " RUN_DIR_ROOT
	       " has its counters: `poolbench run --backend "
	       "%s`)\n",
	       page->backend->name, page->backend->spec);
	for (unsigned i = 0; i < page->definitions; i++)
		printf("  %-24s %s\n", page->definition[i].name, page->definition[i].help);
}

/* What tells cells of one workload and backend apart. */
static void label_of(const struct counter_summary *summary, char *label, size_t bytes)
{
	const struct cell *cell = &summary->cell;
	const char *options = strchr(cell->backend, ':');
	char pages[32] = "own pages"; /* a malloc library's */

	if (cell->page_size)
		snprintf(pages, sizeof(pages), "%zuK %.8s", cell->page_size >> 10, cell->backing);
	snprintf(label, bytes, "%u thread%s, %s%s%.200s", cell->threads,
		 cell->threads == 1 ? "" : "s", pages, options ? " " : "",
		 options ? options + 1 : "");
}

static int column_width(const struct counter_summary *summary)
{
	char label[256];

	label_of(summary, label, sizeof(label));
	return strlen(label) > 22 ? (int)strlen(label) : 22;
}

static void print_cell(const struct counter_median *median, int width)
{
	if (!median)
		printf("  %*s%12s", width - 12, "-", "-");
	else if (isnan(median->per_operation))
		printf("  %*.0f%12s", width - 12, median->events, "-");
	else
		printf("  %*.0f%12.4g", width - 12, median->events, median->per_operation);
}

/* A line for each counter of the first cell; all cells of a backend have the same. */
static void print_table(const struct page *page, const struct counter_summary *const *cells,
			unsigned count)
{
	char label[256];

	printf("\n  %-24s", "");
	for (unsigned i = 0; i < count; i++) {
		label_of(cells[i], label, sizeof(label));
		printf("  %*s", column_width(cells[i]), label);
	}
	printf("\n  %-24s", "counter");
	for (unsigned i = 0; i < count; i++)
		printf("  %*s%12s", column_width(cells[i]) - 12, "events", "per op");
	printf("\n");
	for (unsigned c = 0; c < cells[0]->count; c++) {
		const char *name = cells[0]->counter[c].name;

		printf("  %-24s", name);
		for (unsigned i = 0; i < count; i++)
			print_cell(counter_median_find(cells[i], name), column_width(cells[i]));
		printf("  %s\n", help_of(page, name));
	}
	printf("  %-24s", "(operations)");
	for (unsigned i = 0; i < count; i++)
		printf("  %*.0f%12s", column_width(cells[i]) - 12, cells[i]->operations, "1");
	printf("  allocs and frees since the pool was made\n");
}

static bool same_table(const struct counter_summary *a, const struct counter_summary *b)
{
	return strcmp(a->cell.workload, b->cell.workload) == 0 && a->pass == b->pass;
}

/* A block a workload and pass, in tables of a few cells. */
static void print_run(const struct page *page)
{
	printf("%s in %s\n", page->backend->name, page->run);
	for (size_t first = 0; first < page->count; first++) {
		const struct counter_summary *cells[CELLS_ABREAST], *head = &page->cells[first];
		unsigned abreast = 0;
		bool done = false;

		for (size_t i = 0; i < first; i++)
			done |= same_table(&page->cells[i], head);
		if (done)
			continue;
		printf("\n%s: %s pass, median of %u repetition%s\n", head->cell.workload,
		       pass_names[head->pass], head->repetitions,
		       head->repetitions == 1 ? "" : "s");
		for (size_t i = first; i < page->count; i++) {
			if (!same_table(&page->cells[i], head))
				continue;
			cells[abreast++] = &page->cells[i];
			if (abreast == CELLS_ABREAST) {
				print_table(page, cells, abreast);
				abreast = 0;
			}
		}
		if (abreast)
			print_table(page, cells, abreast);
	}
}

/* ---- for programs ---- */

static json_t *cell_json(const struct page *page, const struct counter_summary *summary)
{
	const struct cell *cell = &summary->cell;
	json_t *counters = json_array();

	for (unsigned c = 0; c < summary->count; c++) {
		const struct counter_median *median = &summary->counter[c];

		json_array_append_new(counters,
				      json_pack("{ss ss so so}", "name", median->name, "help",
						help_of(page, median->name), "events",
						json_finite(median->events), "per_operation",
						json_finite(median->per_operation)));
	}
	return json_pack("{so so si sI so ss si so so}", "backend", json_text(cell->backend),
			 "workload", json_text(cell->workload), "threads", (int)cell->threads,
			 "page_size", (json_int_t)cell->page_size, "backing",
			 json_text(cell->backing), "pass", pass_names[summary->pass], "repetitions",
			 (int)summary->repetitions, "operations", json_finite(summary->operations),
			 "counters", counters);
}

static int print_json(const struct page *page)
{
	json_t *cells = json_array(), *names = json_array(), *document;
	int error;

	for (unsigned i = 0; i < page->definitions; i++)
		json_array_append_new(names, json_pack("{ss ss}", "name", page->definition[i].name,
						       "help", page->definition[i].help));
	for (size_t i = 0; i < page->count; i++)
		json_array_append_new(cells, cell_json(page, &page->cells[i]));
	document = json_pack("{ss so so so}", "backend", page->backend->name, "run",
			     page->run[0] ? json_text(page->run) : json_null(), "counters", names,
			     "cells", cells);
	error = !document || json_dumpf(document, stdout, JSON_INDENT(2)) != 0;
	printf("\n");
	json_decref(document);
	return error ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- the command ---- */

static int complain(const char *why, int error)
{
	fprintf(stderr, "poolbench list: %s\n", why);
	return exit_code_of(error);
}

static int print_page(struct page *page, const char *directory, bool json)
{
	char why[5000] = "";
	int error;

	if (!page->backend->ops->counters) {
		snprintf(why, sizeof(why), "%s counts nothing of its own", page->backend->name);
		return complain(why, -ENOENT);
	}
	error = define(page, why, sizeof(why));
	if (!error && directory)
		error = run_load(page, directory, why, sizeof(why));
	else if (!error)
		run_find(page);
	if (error)
		return complain(why, error);
	if (json)
		return print_json(page);
	if (page->run[0])
		print_run(page);
	else
		print_definitions(page);
	return EXIT_GOOD;
}

int list_counters(const char *spec, const char *directory, bool json)
{
	struct page page = { .backend = NULL };
	char why[1024] = "";
	int error = backend_open(spec, &page.backend, why, sizeof(why)), code;

	if (error)
		return complain(why, error);
	code = print_page(&page, directory, json);
	free(page.cells);
	backend_close(page.backend);
	return code;
}
