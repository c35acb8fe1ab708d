/*
 * poolbench: a benchmark and stress harness for pool allocators. This file finds the subcommand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/options.h"
#include "bench/cmd.h"

/*
 * Some malloc libraries (Debian's jemalloc) have thread-local data that a late dlopen finds no room for unless
 * the loader was told to keep some when the process started.
 */
#define STATIC_TLS "glibc.rtld.optional_static_tls=16384"

struct command {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "run", "measure backends under workloads, with plots and a report", cmd_run },
	{ "ab", "is B slower than A? A verdict from interleaved pairs", cmd_ab },
	{ "compare", "two stored runs of one machine, by ratios to a reference", cmd_compare },
	{ "tune", "which page size, backing and page options a workload wants", cmd_tune },
	{ "track", "the history of many runs: regressions, change points, figures", cmd_track },
	{ "report", "make the figures and report.html of runs again", cmd_report },
	{ "list", "backends, workloads, metrics and figures, with their options", cmd_list },
	{ "trace", "import recordings, look into trace files", cmd_trace },
	{ "stress", "break backends, and say which rule they broke", cmd_stress },
	{ "gbench", "Google Benchmark's own command line over the same cells", cmd_gbench },
	{ "measure", "one measurement in this process, for debuggers and profilers", cmd_measure },
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

static void usage(FILE *stream)
{
	fprintf(stream, "usage: poolbench COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(stream,
		"\nExamples:\n"
		"  poolbench run --quick\n"
		"  poolbench run --backend nt-pool,jemalloc --workload irp-storm --threads 1,2\n"
		"  poolbench run --backend ./mine.so,glibc --workload trace:disk-io\n"
		"  poolbench list nt-pool\n"
		"\n`poolbench COMMAND --help` says more. Exit codes: 0 good; 1 a cell failed; "
		"2 usage; 3 something needed is missing; 4 inconclusive.\n");
}

/* Starts this program again with room for late thread-local data, once. */
static void ensure_static_tls(char **argv)
{
	const char *old = getenv("GLIBC_TUNABLES");
	char *value = NULL;

	if (old && strstr(old, "glibc.rtld.optional_static_tls="))
		return;
	if (asprintf(&value, "%s%s%s", old ? old : "", old && *old ? ":" : "", STATIC_TLS) < 0)
		return;
	setenv("GLIBC_TUNABLES", value, 1);
	free(value);
	execv("/proc/self/exe", argv); /* where it fails, only those libraries are SKIPPED */
}

static int unknown_command(const char *name)
{
	const char *names[COMMANDS];
	const char *near;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	near = name_suggest(name, names, COMMANDS);
	fprintf(stderr, "poolbench: no command '%s'", name);
	if (near)
		fprintf(stderr, ": did you mean '%s'?", near);
	fprintf(stderr, "\n`poolbench --help` lists them.\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("poolbench %s\n", POOLBENCH_VERSION);
		return EXIT_GOOD;
	}
	ensure_static_tls(argv);
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return unknown_command(argv[1]);
}
