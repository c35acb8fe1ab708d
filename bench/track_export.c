#include "bench/track_export.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/options.h"
#include "bench/cmd.h"
#include "results/export.h"
#include "results/files.h"

#define FORMATS_MAX 16

struct export_arguments {
	const struct export_format *format;
	const char *directory, *out;
};

static void unknown_format(struct argp_state *state, const char *name)
{
	const char *names[FORMATS_MAX], *near;
	size_t count = 0;

	for (; export_formats[count].name && count < FORMATS_MAX; count++)
		names[count] = export_formats[count].name;
	near = name_suggest(name, names, count);
	if (near)
		argp_error(state, "no format '%s': did you mean '%s'?", name, near);
	argp_error(state, "no format '%s': --help lists them", name);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct export_arguments *arguments = state->input;

	switch (key) {
	case 'F':
		arguments->format = export_find(text);
		if (!arguments->format)
			unknown_format(state, text);
		return 0;
	case 'o':
		arguments->out = text;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "one run at a time: what is '%s'?", text);
		arguments->directory = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->format)
			argp_error(state, "which --format?");
		if (!arguments->directory)
			argp_error(state, "which run? Give its directory");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The formats' table, before what the documentation says at its end. */
char *track_export_help(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t bytes = 0;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&all, &bytes);
	if (!out)
		return (char *)text;
	fputs("Formats of a run:\n", out);
	for (const struct export_format *format = export_formats; format->name; format++)
		fprintf(out, "  %-14s  %s\n", format->name, format->reader);
	fprintf(out, "\n%s", text ? text : "");
	fclose(out);
	return all;
}

/* A reader that looks in at the wrong moment sees the old file or the new one. */
static int write_file(const char *path, const char *text, size_t bytes, char *why, size_t why_bytes)
{
	char *parent = strdup(path), *name = strdup(path);
	const char *directory = parent ? dirname(parent) : NULL;
	int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int error = !directory || !name ? -ENOMEM : 0;

	if (!error && fd < 0)
		error = file_explain(why, why_bytes, errno, "cannot write into %s", directory);
	if (!error)
		error = file_replace(fd, basename(name), directory, text, bytes, why, why_bytes);
	if (fd >= 0)
		close(fd);
	free(parent);
	free(name);
	return error;
}

static int write_out(const struct export_arguments *arguments, const struct export_run *run,
		     char *why, size_t why_bytes)
{
	char *text = NULL;
	size_t bytes = 0;
	int error = export_text(arguments->format, run, &text, &bytes);

	if (error == -ENODATA)
		snprintf(why, why_bytes, "%s holds nothing that %s could say: no pass is whole",
			 arguments->directory, arguments->format->name);
	else if (error)
		snprintf(why, why_bytes, "out of memory");
	else if (arguments->out && strcmp(arguments->out, "-") != 0)
		error = write_file(arguments->out, text, bytes, why, why_bytes);
	else if (fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout) != 0)
		error = file_explain(why, why_bytes, errno, "cannot write to stdout");
	free(text);
	return error;
}

static unsigned count_failed(const struct export_run *run)
{
	unsigned failed = 0;

	for (size_t c = 0; c < run->cell_count; c++)
		failed += run->cells[c].status != CELL_OK;
	return failed;
}

int track_export(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "format", 'F', "NAME", 0, "The format: see below", 0 },
		{ "out", 'o', "FILE", 0, "Into this file, whole or not at all (stdout)", 0 },
		{ 0 },
	};
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "DIR",
		.doc = "Writes a run in the format of another program. A pass of a cell that "
		       "failed has no number in any of them.\v"
		       "Examples:\n"
		       "  poolbench track export --format bmf results/runs/... | bencher run "
		       "--adapter json\n"
		       "  poolbench track export --format junit -o poolbench.xml run\n"
		       "  poolbench track export --format openmetrics -o "
		       "/var/lib/node_exporter/poolbench.prom run\n"
		       "\nExit codes: 0 written; 1 nothing to write, or it cannot be written; 2 "
		       "usage; 3 no such run.",
		.help_filter = track_export_help,
	};
	struct export_arguments arguments = { 0 };
	struct export_run run = { 0 };
	char why[1024] = "";
	unsigned failed;
	int error;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = export_run_read(arguments.directory, &run, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench track export: %s\n", why);
		return exit_code_of(error);
	}
	failed = count_failed(&run);
	error = write_out(&arguments, &run, why, sizeof(why));
	export_run_release(&run);
	if (error)
		fprintf(stderr, "poolbench track export: %s\n", why);
	else if (failed)
		fprintf(stderr,
			"poolbench track export: %u cell%s failed or %s skipped: no numbers of "
			"what failed\n",
			failed, failed == 1 ? "" : "s", failed == 1 ? "was" : "were");
	return error ? EXIT_FAILED : EXIT_GOOD;
}
