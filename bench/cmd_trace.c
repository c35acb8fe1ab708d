/* poolbench trace: import recordings, show what trace files hold. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "workloads/formats/format.h"
#include "workloads/trace.h"

#define PATH_BYTES 4096
#define TAGS_SHOWN 20u
#define AGES       4

/* ---- import ---- */

struct import_arguments {
	const char *format, *input, *output, *origin;
};

static const struct argp_option import_options[] = {
	{ "format", 'f', "NAME", 0,
	  "the recording's format; found out by its first lines if not given", 0 },
	{ "output", 'o', "FILE", 0, "the trace file to write (.pbt)", 0 },
	{ "origin", 'O', "TEXT", 0, "one line that says what was recorded, where and how", 0 },
	{ 0 },
};

static error_t parse_import(int key, char *text, struct argp_state *state)
{
	struct import_arguments *arguments = state->input;

	switch (key) {
	case 'f':
		arguments->format = text;
		return 0;
	case 'o':
		arguments->output = text;
		return 0;
	case 'O':
		arguments->origin = text;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->input)
			argp_error(state, "one recording at a time");
		arguments->input = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->input || !arguments->output)
			argp_error(state, "a recording and -o FILE are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The formats belong into the help, and come from their table. */
static char *import_help(int key, const char *text, void *input)
{
	char *help = NULL;
	size_t bytes;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&help, &bytes);
	if (!out)
		return (char *)text;
	fputs("Formats:\n", out);
	for (size_t i = 0; trace_formats[i]; i++)
		fprintf(out, "  %-12s %s\n", trace_formats[i]->name, trace_formats[i]->summary);
	fputs(text, out);
	fclose(out);
	return help;
}

static const struct argp import_argp = {
	import_options,
	parse_import,
	"RECORDING -o FILE",
	"Makes a trace file of a recording, plain or compressed by zstd; - is standard input."
	"\v\nExamples:\n"
	"  perf record -m 4096 -a -o kmem.data \\\n"
	"    -e kmem:kmalloc,kmem:kfree,kmem:kmem_cache_alloc,kmem:kmem_cache_free -- COMMAND\n"
	"  perf script -i kmem.data -F cpu,time,event,trace |\n"
	"    poolbench trace import - -o command.pbt --origin 'COMMAND, Linux 6.18, 8 processors'\n"
	"  poolbench run --workload trace:command.pbt\n"
	"  poolbench trace import --format csapp amptjp-bal.rep -o amptjp.pbt",
	NULL,
	import_help,
	NULL,
};

static void print_losses(FILE *out, const struct trace_losses *losses)
{
	fprintf(out,
		"losses: %" PRIu64 " frees of NULL, %" PRIu64 " frees of what is older than the "
		"recording,\n        %" PRIu64 " frees that were not seen (implied), %" PRIu64
		" events lost by the recorder, %" PRIu64 " malformed lines\n",
		losses->null_frees, losses->unknown_frees, losses->implied_frees,
		losses->lost_events, losses->malformed_lines);
}

static int trace_import_main(int argc, char **argv)
{
	struct import_arguments arguments = { 0 };
	struct trace *trace = NULL;
	struct trace_summary summary;
	char why[512] = "";
	int ret;

	if (argp_parse(&import_argp, argc, argv, 0, NULL, &arguments))
		return EXIT_USAGE;
	ret = trace_import(arguments.input, arguments.format, arguments.origin, &trace, why,
			   sizeof(why));
	if (!ret)
		ret = trace_write(trace, arguments.output, why, sizeof(why));
	if (ret) {
		fprintf(stderr, "poolbench trace import: %s\n", why);
		trace_destroy(trace);
		return exit_code_of(ret);
	}
	trace_summarise(trace, &summary);
	fprintf(stderr, "%s: %" PRIu64 " allocations, %" PRIu64 " frees, %u processors, %u tags\n",
		arguments.output, summary.allocs, summary.frees, trace->processors, trace->tags);
	print_losses(stderr, &trace->losses);
	trace_destroy(trace);
	return EXIT_GOOD;
}

/* ---- info: what one pass in real order tells beyond trace_summarise ---- */

struct tag_row {
	unsigned tag; /* index */
	uint64_t allocs, bytes, live_blocks, live_bytes, live_bytes_peak;
	uint32_t bytes_min, bytes_max;
};

struct slot_row {
	uint64_t filled_at; /* allocations before it */
};

struct info {
	const struct trace *trace;
	struct trace_summary summary;
	struct tag_row *rows;
	struct slot_row *slots;
	uint64_t sizes[33]; /* allocations by size: [i] of up to 2^i bytes */
	uint64_t ages[AGES]; /* frees by age: allocations since theirs */
	uint64_t touched;
	uint64_t drained; /* frees after the recording's end, by the body's drain */
	uint64_t allocs;
	bool at_end;
};

static const uint64_t age_limits[AGES] = { 16, 256, 4096, UINT64_MAX };
static const char *const age_names[AGES] = { "under_16", "under_256", "under_4096", "longer" };

static void info_alloc(struct info *info, const struct trace_event *event)
{
	struct tag_row *row = &info->rows[event->tag];
	unsigned size = 0;

	while (((uint64_t)1 << size) < event->bytes)
		size++;
	info->sizes[size]++;
	info->touched += event->touch;
	info->slots[event->slot].filled_at = info->allocs++;
	if (!row->allocs++ || event->bytes < row->bytes_min)
		row->bytes_min = event->bytes;
	if (event->bytes > row->bytes_max)
		row->bytes_max = event->bytes;
	row->bytes += event->bytes;
	row->live_blocks++;
	row->live_bytes += event->bytes;
	if (row->live_bytes > row->live_bytes_peak)
		row->live_bytes_peak = row->live_bytes;
}

static void info_free(struct info *info, const struct trace_event *event)
{
	const uint64_t age = info->allocs - info->slots[event->slot].filled_at;
	struct tag_row *row = &info->rows[event->tag];
	unsigned i = 0;

	row->live_blocks--;
	row->live_bytes -= event->bytes;
	if (info->at_end) {
		info->drained++;
		return;
	}
	while (age >= age_limits[i])
		i++;
	info->ages[i]++;
}

static int info_visit(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *event)
{
	struct info *info = arg;

	(void)processor;
	if (event->kind == TRACE_ALLOC)
		info_alloc(info, event);
	else if (event->kind == TRACE_FREE)
		info_free(info, event);
	if (phase == TRACE_EPILOGUE ||
	    (event->kind == TRACE_MARK && info->trace->recorded &&
	     !strcmp(info->trace->mark_names[event->slot], RECORDING_END_MARK)))
		info->at_end = true;
	return 0;
}

static int row_compare(const void *left, const void *right)
{
	const struct tag_row *a = left, *b = right;

	if (a->allocs != b->allocs)
		return a->allocs > b->allocs ? -1 : 1;
	return a->tag < b->tag ? -1 : a->tag > b->tag;
}

static int info_gather(struct info *info, const struct trace *trace)
{
	*info = (struct info){ .trace = trace };
	info->rows = calloc(trace->tags + 1u, sizeof(*info->rows));
	info->slots = calloc(trace->slots + 1u, sizeof(*info->slots));
	if (!info->rows || !info->slots)
		return -ENOMEM;
	for (unsigned i = 0; i < trace->tags; i++)
		info->rows[i].tag = i;
	trace_summarise(trace, &info->summary);
	trace_walk(trace, info_visit, info);
	qsort(info->rows, trace->tags, sizeof(*info->rows), row_compare);
	return 0;
}

static void info_release(struct info *info)
{
	free(info->rows);
	free(info->slots);
}

/* Frees that were really seen: not those that an importer implied, nor the drain at a recording's end. */
static uint64_t frees_seen(const struct info *info)
{
	return info->summary.frees - info->drained - info->trace->losses.implied_frees;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0.0;
}

static void tag_text(uint32_t tag, char text[5])
{
	for (int i = 0; i < 4; i++) {
		const uint8_t c = (uint8_t)(tag >> 8 * i);

		text[i] = c >= 0x20 && c <= 0x7e ? (char)c : '.';
	}
	text[4] = '\0';
}

/* ---- info for people ---- */

static void print_tags(const struct info *info)
{
	const struct trace *trace = info->trace;
	char text[5];

	printf("\n  tag   allocations  share   mean B    min B    max B  peak live B  name\n");
	for (unsigned i = 0; i < trace->tags && i < TAGS_SHOWN; i++) {
		const struct tag_row *row = &info->rows[i];

		tag_text(trace->tag_table[row->tag].tag, text);
		printf("  %s %12" PRIu64 " %5.1f%% %8.0f %8u %8u %12" PRIu64 "  %s\n", text,
		       row->allocs, 100 * share(row->allocs, info->summary.allocs),
		       share(row->bytes, row->allocs), row->bytes_min, row->bytes_max,
		       row->live_bytes_peak, trace->tag_table[row->tag].name);
	}
	if (trace->tags > TAGS_SHOWN)
		printf("  and %u more\n", trace->tags - TAGS_SHOWN);
}

static void print_distributions(const struct info *info)
{
	const uint64_t aged = info->summary.frees - info->drained;

	printf("sizes:");
	for (unsigned i = 0; i <= 32; i++)
		if (info->sizes[i])
			printf("  <=%" PRIu64 ": %.1f%%", (uint64_t)1 << i,
			       100 * share(info->sizes[i], info->summary.allocs));
	printf("\nlifetimes (in allocations):  <16: %.1f%%  <256: %.1f%%  <4096: %.1f%%  longer: "
	       "%.1f%%\n",
	       100 * share(info->ages[0], aged), 100 * share(info->ages[1], aged),
	       100 * share(info->ages[2], aged), 100 * share(info->ages[3], aged));
}

static void print_info(const char *path, const struct info *info)
{
	const struct trace_summary *summary = &info->summary;
	const struct trace *trace = info->trace;

	printf("%s: %s\n", path, trace->origin);
	printf("%s, seed %" PRIu64 ", checksum %016" PRIx64 "\n",
	       trace->recorded ? "recorded" : "generated", trace->seed, trace->checksum);
	printf("%u processors, %u slots, %u tags; events: %" PRIu64 " prologue, %" PRIu64
	       " body, %" PRIu64 " epilogue\n",
	       trace->processors, trace->slots, trace->tags,
	       trace_phase_events(trace, TRACE_PROLOGUE), trace_phase_events(trace, TRACE_BODY),
	       trace_phase_events(trace, TRACE_EPILOGUE));
	printf("%" PRIu64 " allocations (%" PRIu64 " nonpaged, %" PRIu64 " paged), %" PRIu64
	       " frees\n",
	       summary->allocs, summary->allocs_of_type[POOL_NONPAGED],
	       summary->allocs_of_type[POOL_PAGED], summary->frees);
	printf("mean %.1f bytes, largest %u; %.1f %% of the bytes touched at birth\n",
	       share(summary->bytes_allocated, summary->allocs), summary->bytes_max,
	       100 * share(info->touched, summary->bytes_allocated));
	printf("freed on another processor: %.1f %% of %" PRIu64 " frees seen; allocated at "
	       "DISPATCH_LEVEL: %.1f %%\n",
	       100 * share(summary->remote_frees, frees_seen(info)), frees_seen(info),
	       100 * share(summary->allocs_at_dispatch, summary->allocs));
	printf("live at most: %" PRIu64 " blocks, %" PRIu64 " bytes; %" PRIu64
	       " bytes at the body's start\n",
	       summary->live_blocks_peak, summary->live_bytes_peak, summary->live_bytes_body);
	if (trace->recorded)
		print_losses(stdout, &trace->losses);
	print_distributions(info);
	print_tags(info);
}

/* ---- info for programs ---- */

static json_t *json_u64(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* A string that JSON can hold, whatever bytes it has. */
static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	size_t bytes = strlen(text);
	char *ascii;

	if (string)
		return string;
	ascii = strdup(text);
	if (!ascii)
		return NULL;
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)ascii[i] > 0x7e)
			ascii[i] = '?';
	string = json_string(ascii);
	free(ascii);
	return string;
}

static json_t *json_tags(const struct info *info)
{
	json_t *tags = json_array();
	char text[5];

	for (unsigned i = 0; i < info->trace->tags; i++) {
		const struct tag_row *row = &info->rows[i];
		const struct trace_tag *tag = &info->trace->tag_table[row->tag];

		tag_text(tag->tag, text);
		json_array_append_new(tags, json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:o}", "tag",
						      text, "name", json_text(tag->name), "allocs",
						      json_u64(row->allocs), "bytes_allocated",
						      json_u64(row->bytes), "bytes_min",
						      (json_int_t)row->bytes_min, "bytes_max",
						      (json_int_t)row->bytes_max, "live_bytes_peak",
						      json_u64(row->live_bytes_peak)));
	}
	return tags;
}

static json_t *json_losses(const struct trace_losses *losses)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "null_frees", json_u64(losses->null_frees),
			 "unknown_frees", json_u64(losses->unknown_frees), "implied_frees",
			 json_u64(losses->implied_frees), "lost_events",
			 json_u64(losses->lost_events), "malformed_lines",
			 json_u64(losses->malformed_lines));
}

static json_t *json_distributions(const struct info *info)
{
	json_t *sizes = json_object(), *ages = json_object();
	char key[32];

	for (unsigned i = 0; i <= 32; i++) {
		if (!info->sizes[i])
			continue;
		snprintf(key, sizeof(key), "up_to_%" PRIu64, (uint64_t)1 << i);
		json_object_set_new(sizes, key, json_u64(info->sizes[i]));
	}
	for (unsigned i = 0; i < AGES; i++)
		json_object_set_new(ages, age_names[i], json_u64(info->ages[i]));
	return json_pack("{s:o, s:o}", "allocs_by_bytes", sizes, "frees_by_age_in_allocs", ages);
}

static json_t *json_info(const char *path, const struct info *info)
{
	const struct trace_summary *summary = &info->summary;
	const struct trace *trace = info->trace;
	json_t *object, *more;
	char checksum[17];

	snprintf(checksum, sizeof(checksum), "%016" PRIx64, trace->checksum);
	object = json_pack("{s:o, s:o, s:b, s:o, s:s, s:I, s:I, s:[ooo]}", "path", json_text(path),
			   "origin", json_text(trace->origin), "recorded", trace->recorded, "seed",
			   json_u64(trace->seed), "checksum", checksum, "processors",
			   (json_int_t)trace->processors, "slots", (json_int_t)trace->slots,
			   "events_by_phase", json_u64(trace_phase_events(trace, TRACE_PROLOGUE)),
			   json_u64(trace_phase_events(trace, TRACE_BODY)),
			   json_u64(trace_phase_events(trace, TRACE_EPILOGUE)));
	more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "allocs",
			 json_u64(summary->allocs), "allocs_paged",
			 json_u64(summary->allocs_of_type[POOL_PAGED]), "frees",
			 json_u64(summary->frees), "frees_seen", json_u64(frees_seen(info)),
			 "remote_frees", json_u64(summary->remote_frees), "allocs_at_dispatch",
			 json_u64(summary->allocs_at_dispatch), "bytes_allocated",
			 json_u64(summary->bytes_allocated), "bytes_touched",
			 json_u64(info->touched), "bytes_max", (json_int_t)summary->bytes_max,
			 "live_bytes_peak", json_u64(summary->live_bytes_peak), "live_blocks_peak",
			 json_u64(summary->live_blocks_peak), "live_bytes_body",
			 json_u64(summary->live_bytes_body));
	json_object_update(object, more);
	json_decref(more);
	more = json_distributions(info);
	json_object_update(object, more);
	json_decref(more);
	json_object_set_new(object, "losses", json_losses(&trace->losses));
	json_object_set_new(object, "tags", json_tags(info));
	return object;
}

/* ---- info ---- */

struct info_arguments {
	bool json;
	char **files;
	unsigned count;
};

static const struct argp_option info_options[] = {
	{ "json", 'j', NULL, 0, "one JSON document, with all tags, for programs", 0 },
	{ 0 },
};

static error_t parse_info(int key, char *text, struct argp_state *state)
{
	struct info_arguments *arguments = state->input;

	(void)text;
	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->files = state->argv + state->next;
		arguments->count = (unsigned)(state->argc - state->next);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which trace file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp info_argp = {
	info_options,
	parse_info,
	"FILE...",
	"Shows what trace files hold. A FILE may be the name of a recording that comes with "
	"poolbench."
	"\vExamples:\n"
	"  poolbench trace info disk-io\n"
	"  poolbench trace info --json mine.pbt | jq '.traces[0].losses'",
	NULL,
	NULL,
	NULL,
};

static int info_one(const char *name, json_t *array)
{
	struct trace *trace = NULL;
	char path[PATH_BYTES], why[512] = "";
	struct info info = { 0 };
	int ret = trace_locate(name, path, sizeof(path), why, sizeof(why));

	if (!ret)
		ret = trace_read(path, &trace, why, sizeof(why));
	if (!ret) {
		ret = info_gather(&info, trace);
		snprintf(why, sizeof(why), "out of memory");
	}
	if (ret)
		fprintf(stderr, "poolbench trace info: %s\n", why);
	else if (array)
		json_array_append_new(array, json_info(path, &info));
	else
		print_info(path, &info);
	info_release(&info);
	trace_destroy(trace);
	return ret;
}

static int trace_info_main(int argc, char **argv)
{
	struct info_arguments arguments = { 0 };
	json_t *array = NULL, *document;
	int ret = 0;

	if (argp_parse(&info_argp, argc, argv, 0, NULL, &arguments))
		return EXIT_USAGE;
	if (arguments.json)
		array = json_array();
	for (unsigned i = 0; i < arguments.count; i++) {
		const int one = info_one(arguments.files[i], array);

		if (!ret)
			ret = one;
		if (!array && i + 1 < arguments.count)
			putchar('\n');
	}
	if (array) {
		document = json_pack("{s:o}", "traces", array);
		json_dumpf(document, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(document);
	}
	return exit_code_of(ret);
}

/* ---- the command ---- */

static const char usage[] =
	"Usage: poolbench trace import [--format NAME] [--origin TEXT] RECORDING -o FILE\n"
	"       poolbench trace info [--json] FILE...\n"
	"\n"
	"Traces say what was allocated and freed, by which processor, in what order.\n"
	"  import   makes a trace file of a recording of a real system\n"
	"  info     shows what trace files hold\n"
	"\n"
	"Examples:\n"
	"  poolbench trace info disk-io\n"
	"  poolbench trace import kmem.txt.zst -o mine.pbt\n"
	"  poolbench trace import --help\n";

int cmd_trace(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
		char *as;
	} commands[] = {
		{ "import", trace_import_main, "poolbench trace import" },
		{ "info", trace_info_main, "poolbench trace info" },
	};
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-?")) {
		fputs(usage, stdout);
		return EXIT_GOOD;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(name, commands[i].name))
			continue;
		argp_err_exit_status = EXIT_USAGE;
		argv[1] = commands[i].as;
		return commands[i].main(argc - 1, argv + 1);
	}
	fprintf(stderr, "poolbench trace: %s%s%s\n%s", *name ? "no command '" : "import or info?",
		name, *name ? "'" : "", usage);
	return EXIT_USAGE;
}
