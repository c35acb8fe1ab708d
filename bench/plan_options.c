/* The options that shape a plan: names, values, defaults. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/option_text.h"
#include "bench/plan.h"
#include "workloads/ageing.h"

/* ---- lists ---- */

static void words_clear(char **list)
{
	for (; *list; list++) {
		free(*list);
		*list = NULL;
	}
}

/* "y=2" after "slub:x=1" belongs to it; "jemalloc" or "tlsf:z=3" starts a new item. */
static bool continues_item(const char *item, const char *previous)
{
	const char *equals = strchr(item, '=');
	const char *colon = strchr(item, ':');

	return previous && equals && (!colon || colon > equals) && strchr(previous, ':');
}

static int words_set(char **list, const char *option, const char *value, char *why,
		     size_t why_bytes)
{
	char *copy = strdup(value), *rest = copy, *item;
	size_t count = 0;
	int error = 0;

	words_clear(list);
	while (copy && !error && (item = strsep(&rest, ","))) {
		if (*item == '\0')
			continue;
		if (continues_item(item, count ? list[count - 1] : NULL)) {
			char *joined = NULL;

			if (asprintf(&joined, "%s,%s", list[count - 1], item) < 0)
				error = -ENOMEM;
			free(list[count - 1]);
			list[count - 1] = error ? NULL : joined;
		} else if (count == PLAN_LIST) {
			error = option_refuse(why, why_bytes, option, value, "at most 64 items");
		} else {
			list[count] = strdup(item);
			error = list[count++] ? 0 : -ENOMEM;
		}
	}
	free(copy);
	if (!copy || error == -ENOMEM) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	if (!error && count == 0)
		return option_refuse(why, why_bytes, option, "''", "a comma-separated list");
	return error;
}

/* Every word of a comma-separated list through `parse`, which returns 0 for what it refuses. */
static int numbers_set(size_t *list, const char *option, const char *value,
		       size_t (*parse)(const char *), const char *wants, char *why,
		       size_t why_bytes)
{
	char *words[PLAN_LIST + 1] = { NULL };
	int error = words_set(words, option, value, why, why_bytes);
	size_t count = 0;

	for (; !error && words[count]; count++) {
		list[count] = parse(words[count]);
		if (list[count] == 0)
			error = option_refuse(why, why_bytes, option, words[count], wants);
	}
	if (!error)
		list[count] = 0;
	words_clear(words);
	return error;
}

static size_t parse_page_size(const char *text)
{
	size_t size;

	if (size_parse(text, &size) != 0 || size < 4096 || size > (size_t)2 << 20 ||
	    (size & (size - 1)))
		return 0;
	return size;
}

static size_t parse_threads(const char *text)
{
	size_t number;

	return size_parse(text, &number) == 0 && number <= 256 ? number : 0;
}

static int set_number(const char *option, const char *value, size_t min, size_t max, size_t *out,
		      char *why, size_t why_bytes)
{
	char wants[80];

	if (size_parse(value, out) == 0 && *out >= min && *out <= max)
		return 0;
	snprintf(wants, sizeof(wants), "a number from %zu to %zu", min, max);
	return option_refuse(why, why_bytes, option, value, wants);
}

static int set_word(const char *option, const char *value, const char *const *names, int *out,
		    char *why, size_t why_bytes)
{
	char wants[160] = "";

	for (int i = 0; names[i]; i++) {
		if (strcmp(value, names[i]) == 0) {
			*out = i;
			return 0;
		}
		snprintf(wants + strlen(wants), sizeof(wants) - strlen(wants), "%s%s",
			 i ? " or " : "", names[i]);
	}
	return option_refuse(why, why_bytes, option, value, wants);
}

/* ---- one function an option ---- */

#define SETTER(name) \
	static int name(struct plan_options *options, const char *value, char *why, \
			size_t why_bytes)

SETTER(set_backend)
{
	return words_set(options->backends, "backend", value, why, why_bytes);
}

SETTER(set_workload)
{
	return words_set(options->workloads, "workload", value, why, why_bytes);
}

SETTER(set_threads)
{
	size_t list[PLAN_LIST + 1];
	int error = numbers_set(list, "threads", value, parse_threads,
				"numbers of threads from 1 to 256", why, why_bytes);

	for (size_t i = 0; !error && i <= PLAN_LIST; i++) {
		options->threads[i] = (unsigned)list[i];
		if (list[i] == 0)
			break;
	}
	return error;
}

SETTER(set_page_size)
{
	return numbers_set(options->page_sizes, "page-size", value, parse_page_size,
			   "powers of two from 4K to 2M", why, why_bytes);
}

SETTER(set_backing)
{
	int ignored, error = words_set(options->backings, "backing", value, why, why_bytes);

	for (char **word = options->backings; !error && *word; word++)
		error = set_word("backing", *word, page_backing_names, &ignored, why, why_bytes);
	return error;
}

SETTER(set_passes)
{
	char *words[PLAN_LIST + 1] = { NULL };
	bool passes[PASSES] = { false };
	int error = words_set(words, "passes", value, why, why_bytes);

	for (char **word = words; !error && *word; word++) {
		int pass = 0;

		error = set_word("passes", *word, pass_names, &pass, why, why_bytes);
		passes[pass] = true;
	}
	words_clear(words);
	if (!error)
		memcpy(options->passes, passes, sizeof(passes));
	return error;
}

SETTER(set_repetitions)
{
	size_t number;
	int error = set_number("repetitions", value, 1, 1000, &number, why, why_bytes);

	if (!error)
		options->repetitions = (unsigned)number;
	return error;
}

SETTER(set_events)
{
	size_t number;
	int error = set_number("events", value, 1000, (size_t)1 << 30, &number, why, why_bytes);

	if (!error)
		options->prototype.events = number;
	return error;
}

SETTER(set_laps)
{
	size_t number;
	int error = set_number("laps", value, 1, 100000, &number, why, why_bytes);

	if (!error)
		options->prototype.laps = (unsigned)number;
	return error;
}

SETTER(set_checkpoints)
{
	size_t number;
	int error = set_number("checkpoints", value, 10, 100000, &number, why, why_bytes);

	if (!error)
		options->prototype.checkpoints = (unsigned)number;
	return error;
}

static int set_text(const char *option, const char *value, char *out, size_t bytes, char *why,
		    size_t why_bytes)
{
	if (strlen(value) >= bytes)
		return option_refuse(why, why_bytes, option, value, "fewer characters");
	memmove(out, value, strlen(value) + 1);
	return 0;
}

SETTER(set_heap_map)
{
	/* held against the number of checkpoints in plan_create */
	return set_text("heap-map", value, options->prototype.heap_map,
			sizeof(options->prototype.heap_map), why, why_bytes);
}

SETTER(set_age)
{
	struct ageing_options age;
	char problem[256];

	if (ageing_parse(value, &age, problem, sizeof(problem)) != 0) {
		snprintf(why, why_bytes, "--age %s: %s", value, problem);
		return -EINVAL;
	}
	options->age = true;
	return set_text("age", value, options->prototype.age, sizeof(options->prototype.age), why,
			why_bytes);
}

SETTER(set_seed)
{
	char *end;

	errno = 0;
	options->prototype.seed = strtoull(value, &end, 0);
	if (errno || end == value || *end || *value == '-')
		return option_refuse(why, why_bytes, "seed", value, "a number from 0 to 2^64-1");
	return 0;
}

SETTER(set_touch)
{
	int touch = 0;
	int error = set_word("touch", value, touch_mode_names, &touch, why, why_bytes);

	if (!error)
		options->prototype.touch = (enum touch_mode)touch;
	return error;
}

SETTER(set_paging)
{
	static const char *const names[] = { "off", "file", NULL };
	int file = 0;
	int error = set_word("paging", value, names, &file, why, why_bytes);

	if (!error)
		options->prototype.paging_file = file;
	return error;
}

static int set_bytes(const char *option, const char *value, size_t *out, char *why,
		     size_t why_bytes)
{
	if (size_parse(value, out) != 0)
		return option_refuse(why, why_bytes, option, value, "a size such as 64M");
	return 0;
}

SETTER(set_paged_resident)
{
	return set_bytes("paged-resident", value, &options->prototype.paged_resident_bytes, why,
			 why_bytes);
}

SETTER(set_nonpaged_limit)
{
	return set_bytes("nonpaged-limit", value, &options->prototype.limit_bytes[POOL_NONPAGED],
			 why, why_bytes);
}

SETTER(set_paged_limit)
{
	return set_bytes("paged-limit", value, &options->prototype.limit_bytes[POOL_PAGED], why,
			 why_bytes);
}

SETTER(set_memory_limit)
{
	return set_bytes("memory-limit", value, &options->memory_limit_bytes, why, why_bytes);
}

SETTER(set_bind)
{
	return set_text("bind", value, options->prototype.bind, sizeof(options->prototype.bind),
			why, why_bytes);
}

SETTER(set_timeout)
{
	size_t number;
	int error = set_number("timeout", value, 1, 86400, &number, why, why_bytes);

	if (!error)
		options->timeout_seconds = (unsigned)number;
	return error;
}

SETTER(set_quiet_wait)
{
	if (option_percent(value, 1000, &options->quiet_wait) != 0)
		return option_refuse(why, why_bytes, "quiet-wait", value,
				     "a percentage, as 100%, or 0");
	return 0;
}

const struct plan_option plan_option_table[] = {
	{ "backend", "LIST", "backends to compare (see `poolbench list backends`)", set_backend },
	{ "workload", "LIST", "workloads, or trace:FILE (see `poolbench list workloads`)",
	  set_workload },
	{ "threads", "LIST", "numbers of threads, each bound to a processor", set_threads },
	{ "page-size", "LIST", "pool page sizes, 4K to 2M", set_page_size },
	{ "backing", "LIST", "what lies under pool pages: base, thp, hugetlb", set_backing },
	{ "passes", "LIST", "throughput, latency, memory, ageing (default: all but ageing)",
	  set_passes },
	{ "repetitions", "N", "fresh processes a cell in the throughput pass", set_repetitions },
	{ "events", "N", "events in a lap of a generated trace, all threads together", set_events },
	{ "laps", "N", "measured laps a process", set_laps },
	{ "checkpoints", "N", "stops of the memory pass", set_checkpoints },
	{ "heap-map", "WHICH",
	  "pictures of the heap: off, a number of them, or at:N,N,... (checkpoints from 1)",
	  set_heap_map },
	{ "age", "LAPS[:OPTIONS]",
	  "the ageing pass too: so many laps; survivors, keep, leaks, drain, swing=off", set_age },
	{ "seed", "N", "of the traces and of the order of measurement", set_seed },
	{ "touch", "MODE", "what an owner writes at birth: trace, none, line, all", set_touch },
	{ "paging", "off|file", "paged pool in a paging file that is really written", set_paging },
	{ "paged-resident", "SIZE", "with --paging file: what stays resident", set_paged_resident },
	{ "nonpaged-limit", "SIZE", "most that the nonpaged pool may commit", set_nonpaged_limit },
	{ "paged-limit", "SIZE", "most that the paged pool may commit", set_paged_limit },
	{ "memory-limit", "SIZE", "resident bytes at which a process is stopped",
	  set_memory_limit },
	{ "bind", "HOW", "threads to processors: compact, scatter, none, or a list 0,2-3",
	  set_bind },
	{ "timeout", "SECONDS", "after which a process is stopped", set_timeout },
	{ "quiet-wait", "PERCENT",
	  "most waiting for cores that no neighbour shares, of the throughput pass's time (run: "
	  "0, none; ab: 100%)",
	  set_quiet_wait },
	{ NULL, NULL, NULL, NULL },
};

int plan_set(struct plan_options *options, struct run_plan *record, const char *name,
	     const char *value, char *why, size_t why_bytes)
{
	const char *names[PLAN_LIST];
	size_t count = 0;
	const char *near;

	for (const struct plan_option *option = plan_option_table; option->name; option++) {
		int error;

		names[count++] = option->name;
		if (strcmp(option->name, name) != 0)
			continue;
		error = option->set(options, value, why, why_bytes);
		if (!error && run_plan_add_option(record, name, value) != 0) {
			snprintf(why, why_bytes, "--%s: the value is too long to keep", name);
			error = -EINVAL;
		}
		return error;
	}
	near = name_suggest(name, names, count);
	snprintf(why, why_bytes, "no option '%s'%s%s%s", name, near ? ": did you mean '" : "",
		 near ? near : "", near ? "'?" : "");
	return -EINVAL;
}

void measure_spec_init(struct measure_spec *spec)
{
	*spec = (struct measure_spec){
		.seed = 1,
		.events = 200000,
		.laps = 20,
		.warmup_laps = 2,
		.checkpoints = 200,
		.heap_map = "8",
		.age = "12",
		.bind = "compact",
		.node = -1,
		.trace_fd = -1,
	};
}

int plan_options_init(struct plan_options *options)
{
	memset(options, 0, sizeof(*options));
	measure_spec_init(&options->prototype);
	for (int pass = 0; pass < PASSES; pass++)
		options->passes[pass] = pass != PASS_AGEING;
	options->threads[0] = 1;
	options->page_sizes[0] = 4096;
	options->backings[0] = strdup("base");
	options->repetitions = 10;
	options->timeout_seconds = 120;
	return options->backings[0] ? 0 : -ENOMEM;
}

void plan_options_release(struct plan_options *options)
{
	words_clear(options->backends);
	words_clear(options->workloads);
	words_clear(options->backings);
}
