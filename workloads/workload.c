#include "workload.h"

#include "activity.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct workload *const workloads[] = {
	&irp_storm, &registry_churn, &section_mapping, &object_churn, &mixed, NULL,
};

#define WORKLOADS_MAX 32
#define NAME_BYTES    64
#define RECORDING     "trace"

static const struct workload *const *const tables[] = { workloads, literature_workloads };
#define TABLES (sizeof(tables) / sizeof(*tables))

static const struct workload *find_workload(const char *name)
{
	for (size_t t = 0; t < TABLES; t++)
		for (const struct workload *const *w = tables[t]; *w; w++)
			if (strcmp((*w)->name, name) == 0)
				return *w;
	return NULL;
}

static void explain_unknown(const char *name, char *why, size_t why_bytes)
{
	const char *names[WORKLOADS_MAX];
	const char *near;
	size_t count = 0;
	int used;

	for (size_t t = 0; t < TABLES; t++)
		for (const struct workload *const *w = tables[t]; *w; w++)
			names[count++] = (*w)->name;
	names[count++] = RECORDING;
	near = name_suggest(name, names, count);
	if (near) {
		snprintf(why, why_bytes, "no workload '%s'; did you mean '%s'?", name, near);
		return;
	}
	used = snprintf(why, why_bytes, "no workload '%s'; there are", name);
	for (size_t i = 0; i < count && used > 0 && (size_t)used < why_bytes; i++)
		used += snprintf(why + used, why_bytes - (size_t)used, "%s %s%s", i ? "," : "",
				 names[i], i + 1 == count ? ":FILE" : "");
}

/* Splits "name:options" at the first colon; `options` is NULL where there is none. */
static int split_spec(const char *spec, char name[NAME_BYTES], const char **options, char *why,
		      size_t why_bytes)
{
	const char *colon = strchr(spec, ':');
	const size_t length = colon ? (size_t)(colon - spec) : strlen(spec);

	if (length == 0 || length >= NAME_BYTES) {
		snprintf(why, why_bytes, "'%.80s' does not begin with a workload's name", spec);
		return -EINVAL;
	}
	memcpy(name, spec, length);
	name[length] = '\0';
	*options = colon ? colon + 1 : NULL;
	return 0;
}

/* The workload that `spec` names and its options, parsed into *values, which the caller frees. */
static int parse_spec(const char *name, const char *options, const struct workload **workload,
		      void **values, char *why, size_t why_bytes)
{
	char error[256];
	int rc;

	*workload = find_workload(name);
	if (!*workload) {
		explain_unknown(name, why, why_bytes);
		return -EINVAL;
	}
	*values = calloc(1, (*workload)->options_bytes);
	if (!*values) {
		snprintf(why, why_bytes, "%s: out of memory", name);
		return -ENOMEM;
	}
	rc = options_parse((*workload)->options, *values, options, error, sizeof(error));
	if (rc) {
		snprintf(why, why_bytes, "%s: %s", name, error);
		free(*values);
		*values = NULL;
	}
	return rc;
}

/* "irp-storm:depth=256,...", every option in it: what the trace says about where it came from. */
static char *canonical_origin(const struct workload *workload, const void *values)
{
	const size_t name_bytes = strlen(workload->name);
	const size_t options_bytes = options_format(workload->options, values, NULL, 0);
	char *origin = malloc(name_bytes + 1 + options_bytes + 1);

	if (!origin)
		return NULL;
	memcpy(origin, workload->name, name_bytes);
	origin[name_bytes] = ':';
	options_format(workload->options, values, origin + name_bytes + 1, options_bytes + 1);
	return origin;
}

static int generate(const struct workload *workload, const struct workload_config *config,
		    struct trace **out, char *why, size_t why_bytes)
{
	struct trace_builder *builder = trace_builder_create(config->processors);
	char *origin = canonical_origin(workload, config->options);
	struct trace *trace = NULL;
	int rc = builder && origin ? 0 : -ENOMEM;

	if (rc == 0)
		rc = workload->generate(config, builder);
	if (rc)
		snprintf(why, why_bytes, "%s: %s", workload->name, strerror(-rc));
	else
		rc = trace_builder_finish(builder, origin, config->seed, &trace, why, why_bytes);
	if (rc == 0 && trace_phase_events(trace, TRACE_BODY) == 0) {
		snprintf(why, why_bytes, "%s: with these options there is nothing to do",
			 workload->name);
		trace_destroy(trace);
		rc = -EINVAL;
	}
	if (rc == 0)
		*out = trace;
	free(origin);
	trace_builder_destroy(builder);
	return rc;
}

static int too_few_processors(const char *name, const struct trace *trace, unsigned processors,
			      char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "%s holds the events of %u processors, %u were asked for", name,
		 trace->processors, processors);
	return -ERANGE;
}

/* The file of "trace:NAME". */
static int locate_recording(const char *name, char *path, char *why, size_t why_bytes)
{
	if (!name || !*name) {
		snprintf(why, why_bytes, "trace: which file? Write trace:FILE");
		return -EINVAL;
	}
	return trace_locate(name, path, PATH_MAX, why, why_bytes);
}

/* A recording, on no more processors than it has. */
static int load_recording(const char *name, unsigned processors, struct trace **out, char *why,
			  size_t why_bytes)
{
	char path[PATH_MAX];
	struct trace *trace;
	int rc = locate_recording(name, path, why, why_bytes);

	if (rc == 0)
		rc = trace_read(path, &trace, why, why_bytes);
	if (rc)
		return rc;
	if (trace->processors == processors) {
		*out = trace;
		return 0;
	}
	if (trace->processors < processors) {
		rc = too_few_processors(name, trace, processors, why, why_bytes);
	} else {
		rc = trace_fold(trace, processors, out);
		if (rc)
			snprintf(why, why_bytes, "%s: cannot fold onto %u processors: %s", name,
				 processors, strerror(-rc));
	}
	trace_destroy(trace);
	return rc;
}

/* Reads the tables in front of the events, no more. */
static int check_recording(const char *name, char *why, size_t why_bytes)
{
	char path[PATH_MAX];
	struct trace_reader *reader;
	int rc = locate_recording(name, path, why, why_bytes);

	if (rc == 0)
		rc = trace_reader_open(path, &reader, why, why_bytes);
	if (rc == 0)
		trace_reader_close(reader);
	return rc;
}

int workload_trace(const char *spec, unsigned processors, uint64_t events, uint64_t seed,
		   struct trace **out, char *why, size_t why_bytes)
{
	struct workload_config config = { .processors = processors,
					  .events = events,
					  .seed = seed };
	char name[NAME_BYTES];
	const struct workload *workload;
	const char *options;
	void *values;
	int rc = split_spec(spec, name, &options, why, why_bytes);

	if (rc)
		return rc;
	if (processors == 0 || processors > TRACE_MAX_PROCESSORS || events == 0) {
		snprintf(why, why_bytes, "%s: needs 1 to %u processors and an event at least", name,
			 TRACE_MAX_PROCESSORS);
		return -EINVAL;
	}
	if (strcmp(name, RECORDING) == 0)
		return load_recording(options, processors, out, why, why_bytes);
	rc = parse_spec(name, options, &workload, &values, why, why_bytes);
	if (rc)
		return rc;
	config.options = values;
	rc = generate(workload, &config, out, why, why_bytes);
	free(values);
	return rc;
}

int workload_check(const char *spec, char *why, size_t why_bytes)
{
	char name[NAME_BYTES];
	const struct workload *workload;
	const char *options;
	void *values;
	int rc = split_spec(spec, name, &options, why, why_bytes);

	if (rc)
		return rc;
	if (strcmp(name, RECORDING) == 0)
		return check_recording(options, why, why_bytes);
	rc = parse_spec(name, options, &workload, &values, why, why_bytes);
	if (rc == 0)
		free(values);
	return rc;
}

int workload_vary(const char *spec,
		  void (*change)(const struct option_def *table, void *values,
				 struct random *random),
		  struct random *random, char *out, size_t out_bytes, char *why, size_t why_bytes)
{
	char name[NAME_BYTES];
	const struct workload *workload;
	const char *options;
	void *values;
	size_t used;
	int rc = split_spec(spec, name, &options, why, why_bytes);

	if (rc)
		return rc;
	used = (size_t)snprintf(out, out_bytes, "%s", spec);
	if (strcmp(name, RECORDING) != 0) {
		rc = parse_spec(name, options, &workload, &values, why, why_bytes);
		if (rc)
			return rc;
		change(workload->options, values, random);
		used = (size_t)snprintf(out, out_bytes, "%s:", name);
		used += options_format(workload->options, values, out + used, out_bytes - used);
		free(values);
	}
	if (used < out_bytes)
		return 0;
	snprintf(why, why_bytes, "%s: its options are too long", name);
	return -ENAMETOOLONG;
}
