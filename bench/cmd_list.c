/* poolbench list: what there is, with its typed options. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "allocators/registry.h"
#include "bench/cmd.h"
#include "bench/list_counters.h"
#include "plots/figures.h"
#include "results/record.h"
#include "results/record_json.h"
#include "workloads/workload.h"

struct list_arguments {
	const char *what, *name;
	const char *directory; /* of a run, for --counters */
	bool json, counters;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct list_arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'c':
		arguments->counters = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->what)
			arguments->what = text;
		else if (!arguments->name)
			arguments->name = text;
		else if (!arguments->directory && strcmp(arguments->what, "backends") == 0)
			arguments->directory = text;
		else
			argp_error(state, "one name at a time: '%s' is too much", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option list_options[] = {
	{ "counters", 'c', NULL, 0,
	  "What BACKEND counts of itself, in the run DIR or the newest under results/runs", 0 },
	{ "json", 'j', NULL, 0, "One JSON document on stdout", 0 },
	{ 0 },
};

static const struct argp list_argp = {
	.options = list_options,
	.parser = parse_option,
	.args_doc = "[backends|workloads|metrics|figures] [NAME]\nBACKEND --counters [DIR]",
	.doc = "What poolbench has.\vExamples:\n"
	       "  poolbench list\n"
	       "  poolbench list backends nt-pool\n"
	       "  poolbench list irp-storm\n"
	       "  poolbench list metrics --json\n"
	       "  poolbench list nt-pool --counters\n"
	       "  poolbench list slub:sheaf=0 --counters results/runs/LAST",
};

/* ---- one entry ---- */

static void print_options(const struct option_def *table)
{
	for (; table && table->name; table++) {
		char range[64] = "";

		if (table->type == OPTION_TYPE_UINT || table->type == OPTION_TYPE_SIZE ||
		    table->type == OPTION_TYPE_REAL)
			snprintf(range, sizeof(range), " (%.6g to %.6g)", table->min, table->max);
		printf("    %-18s default %-10s %s, %s%s\n", table->name,
		       table->default_text[0] ? table->default_text : "''", table->help,
		       table->unit, range);
		for (int i = 0; table->names && table->names[i]; i++)
			printf("%s%s",
			       i ? " | " : "                       one of: ", table->names[i]);
		if (table->names)
			printf("\n");
	}
}

static json_t *options_json(const struct option_def *table)
{
	json_t *array = json_array();

	for (; table && table->name; table++)
		json_array_append_new(array,
				      json_pack("{ss ss ss ss so so}", "name", table->name,
						"default", table->default_text, "unit", table->unit,
						"help", table->help, "min", json_finite(table->min),
						"max", json_finite(table->max)));
	return array;
}

static void print_caps(uint32_t caps)
{
	static const char *const names[] = {
		"native: every byte from its page sources",
		"page rules",
		"nonpaged stays resident",
		"one lock by design",
		"tags",
		"trim",
		"walk",
		"check",
		"counters",
		"floor",
	};

	printf("    promises:");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (caps & (1u << i))
			printf(" [%s]", names[i]);
	printf("\n");
}

struct listing {
	bool json;
	json_t *document;
	const char *name; /* only this one, in full; NULL: all, a line each */
	unsigned shown;
};

static bool wanted(const struct listing *listing, const char *name)
{
	return !listing->name || strcmp(listing->name, name) == 0;
}

static void add_entry(struct listing *listing, const char *kind, const char *name,
		      const char *summary, const struct option_def *options, json_t *more)
{
	listing->shown++;
	if (listing->json) {
		json_t *entry = json_pack("{ss ss ss so}", "kind", kind, "name", name, "summary",
					  summary, "options", options_json(options));

		if (more)
			json_object_update(entry, more);
		json_array_append_new(listing->document, entry);
	} else {
		printf("  %-18s %s\n", name, summary);
		if (listing->name)
			print_options(options);
	}
	json_decref(more);
}

/* ---- the kinds ---- */

static void list_builtin(struct listing *listing, const struct pool_backend *backend)
{
	add_entry(listing, "backend", backend->name, backend->summary, backend->options,
		  json_pack("{si}", "caps", (int)backend->caps));
	if (listing->name && !listing->json)
		print_caps(backend->caps);
}

static void list_library(struct listing *listing, const struct known_library *library)
{
	struct backend *backend = NULL;
	char why[512] = "", summary[700];
	const int error = backend_open(library->name, &backend, why, sizeof(why));

	if (error)
		snprintf(summary, sizeof(summary), "%s [missing: apt-get install %s]",
			 library->summary, library->package);
	else
		snprintf(summary, sizeof(summary), "%s [%s]", library->summary, backend->proof);
	add_entry(listing, "library", library->name, summary, error ? NULL : backend->ops->options,
		  json_pack("{sb ss}", "present", !error, "package",
			    library->package ? library->package : ""));
	backend_close(backend);
}

static void list_backends(struct listing *listing)
{
	for (int i = 0; builtin_backends[i]; i++)
		if (wanted(listing, builtin_backends[i]->name))
			list_builtin(listing, builtin_backends[i]);
	for (int i = 0; known_libraries[i].name; i++)
		if (wanted(listing, known_libraries[i].name))
			list_library(listing, &known_libraries[i]);
}

static void list_table(struct listing *listing, const char *class,
		       const struct workload *const *table)
{
	for (int i = 0; table[i]; i++)
		if (wanted(listing, table[i]->name))
			add_entry(listing, "workload", table[i]->name, table[i]->summary,
				  table[i]->options, json_pack("{ss}", "class", class));
}

static void list_workloads(struct listing *listing)
{
	list_table(listing, "driver", workloads);
	if (!listing->json && !listing->name)
		printf("\n  The literature's patterns, which run when they are named "
		       "(docs/literature.md):\n");
	list_table(listing, "literature", literature_workloads);
}

static void list_metrics(struct listing *listing)
{
	static const char *const better[] = { "neither", "higher", "lower" };

	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *metric = &metric_table[i];
		char summary[256];

		if (!wanted(listing, metric->name))
			continue;
		snprintf(summary, sizeof(summary), "%-9s %s (%s)", metric->unit, metric->help,
			 pass_names[metric->pass]);
		add_entry(listing, "metric", metric->name, listing->json ? metric->help : summary,
			  NULL,
			  json_pack("{ss ss ss}", "unit", metric->unit, "pass",
				    pass_names[metric->pass], "better", better[metric->better]));
	}
}

static void list_figures(struct listing *listing)
{
	for (const struct figure *figure = figure_table; figure->name; figure++)
		if (wanted(listing, figure->name))
			add_entry(listing, "figure", figure->name, figure->summary, NULL, NULL);
}

static const struct {
	const char *name, *title;
	void (*list)(struct listing *listing);
} kinds[] = {
	{ "backends", "Backends", list_backends },
	{ "workloads", "Workloads (and trace:FILE)", list_workloads },
	{ "metrics", "Metrics", list_metrics },
	{ "figures", "Figures", list_figures },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static void list_kinds(struct listing *listing, const char *only)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (only && strcmp(only, kinds[i].name) != 0)
			continue;
		if (!listing->json && !listing->name)
			printf("%s%s\n", i && !only ? "\n" : "", kinds[i].title);
		kinds[i].list(listing);
	}
}

static int unknown_name(const char *name)
{
	const char *names[512];
	size_t count = 0;
	const char *near;

	for (size_t i = 0; i < KINDS; i++)
		names[count++] = kinds[i].name;
	for (int i = 0; builtin_backends[i]; i++)
		names[count++] = builtin_backends[i]->name;
	for (int i = 0; known_libraries[i].name; i++)
		names[count++] = known_libraries[i].name;
	for (int i = 0; workloads[i]; i++)
		names[count++] = workloads[i]->name;
	for (int i = 0; literature_workloads[i]; i++)
		names[count++] = literature_workloads[i]->name;
	for (int i = 0; i < METRIC_COUNT; i++)
		names[count++] = metric_table[i].name;
	near = name_suggest(name, names, count);
	fprintf(stderr, "poolbench list: nothing is named '%s'", name);
	if (near)
		fprintf(stderr, ": did you mean '%s'?", near);
	fprintf(stderr, "\n`poolbench list` shows everything.\n");
	return EXIT_USAGE;
}

static bool is_kind(const char *word)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(word, kinds[i].name) == 0)
			return true;
	return false;
}

/* BACKEND [DIR], or "backends" in front of it. */
static int cmd_counters(const struct list_arguments *arguments)
{
	const bool led = arguments->what && strcmp(arguments->what, "backends") == 0;
	const char *spec = led ? arguments->name : arguments->what;
	const char *directory = led ? arguments->directory : arguments->name;

	if (spec)
		return list_counters(spec, directory, arguments->json);
	fprintf(stderr, "poolbench list --counters: of which backend? `poolbench list backends` "
			"shows them\n");
	return EXIT_USAGE;
}

int cmd_list(int argc, char **argv)
{
	struct list_arguments arguments = { 0 };
	struct listing listing = { 0 };

	argp_parse(&list_argp, argc, argv, 0, NULL, &arguments);
	if (arguments.counters)
		return cmd_counters(&arguments);
	if (arguments.directory)
		return unknown_name(arguments.directory);
	if (arguments.what && !is_kind(arguments.what)) {
		if (arguments.name)
			return unknown_name(arguments.what);
		arguments.name = arguments.what;
		arguments.what = NULL;
	}
	listing.json = arguments.json;
	listing.name = arguments.name;
	listing.document = json_array();
	list_kinds(&listing, arguments.what);
	if (listing.name && listing.shown == 0) {
		json_decref(listing.document);
		return unknown_name(listing.name);
	}
	if (listing.json) {
		json_dumpf(listing.document, stdout, JSON_INDENT(2));
		printf("\n");
	}
	json_decref(listing.document);
	return EXIT_GOOD;
}
