/* poolbench track: the history of many runs. This file finds the part that is meant. */
#include <stdio.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/cmd.h"
#include "bench/track.h"

static const struct {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
	char *as;
} parts[] = {
	{ "add", "put a run into the history", track_add, "poolbench track add" },
	{ "check", "is this run slower or larger than its history?", track_check,
	  "poolbench track check" },
	{ "list", "runs, cells, series, machines, decisions", track_list, "poolbench track list" },
	{ "plot", "a figure a cell, with change points and commits", track_plot,
	  "poolbench track plot" },
	{ "export", "the history as CSV or JSON, or a run in a format of others",
	  track_export_history, "poolbench track export" },
	{ "accept", "a change is meant: the baseline starts anew", track_accept,
	  "poolbench track accept" },
	{ "pin", "one run is the baseline", track_pin, "poolbench track pin" },
	{ "forget", "a bad run: kept, and ignored", track_forget, "poolbench track forget" },
};
#define PARTS (sizeof(parts) / sizeof(*parts))

static void usage(FILE *stream)
{
	fprintf(stream, "usage: poolbench track PART [OPTION...]\n\n");
	for (size_t i = 0; i < PARTS; i++)
		fprintf(stream, "  %-8s %s\n", parts[i].name, parts[i].summary);
	fprintf(stream, "\nThe history is an SQLite file (" STORE_DEFAULT
			"), or a PostgreSQL server for a team: "
			"--store postgresql://USER@HOST/DATABASE.\n"
			"\nExamples:\n"
			"  poolbench run --backend nt-pool,glibc --repetitions 20 --out run\n"
			"  poolbench track check run && poolbench track add run\n"
			"  poolbench track plot\n"
			"  poolbench track accept last --workload irp-storm --reason 'checks "
			"headers now, #412'\n"
			"\n`poolbench track PART --help` says more. Exit codes: 0 good; 1 a "
			"regression, or it could "
			"not be stored; 2 usage; 3 something needed is missing; 4 inconclusive.\n");
}

int cmd_track(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *names[PARTS], *near;

	if (!strcmp(name, "--help") || !strcmp(name, "-?")) {
		usage(stdout);
		return EXIT_GOOD;
	}
	for (size_t i = 0; i < PARTS; i++) {
		names[i] = parts[i].name;
		if (strcmp(name, parts[i].name))
			continue;
		argp_err_exit_status = EXIT_USAGE;
		argv[1] = parts[i].as;
		return parts[i].run(argc - 1, argv + 1);
	}
	near = *name ? name_suggest(name, names, PARTS) : NULL;
	if (near)
		fprintf(stderr, "poolbench track: no part '%s': did you mean '%s'?\n", name, near);
	else if (*name)
		fprintf(stderr, "poolbench track: no part '%s'\n", name);
	usage(stderr);
	return EXIT_USAGE;
}
