#include "run_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "record_json.h"

#define PLAN_SCHEMA 1

int run_plan_add_option(struct run_plan *plan, const char *name, const char *value)
{
	struct run_option *options;

	if (strlen(name) >= sizeof(options->name) || strlen(value) >= sizeof(options->value))
		return -ENAMETOOLONG;
	options = reallocarray(plan->options, plan->option_count + 1, sizeof(*options));
	if (!options)
		return -ENOMEM;
	plan->options = options;
	strcpy(options[plan->option_count].name, name);
	strcpy(options[plan->option_count].value, value);
	plan->option_count++;
	return 0;
}

int run_plan_add_cell(struct run_plan *plan, const struct cell *cell)
{
	struct cell *cells = reallocarray(plan->cells, plan->cell_count + 1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	plan->cells = cells;
	cells[plan->cell_count++] = *cell;
	return 0;
}

const char *run_plan_option(const struct run_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->option_count; i++) {
		if (!strcmp(plan->options[i].name, name))
			return plan->options[i].value;
	}
	return NULL;
}

void run_plan_release(struct run_plan *plan)
{
	free(plan->options);
	free(plan->cells);
	memset(plan, 0, sizeof(*plan));
}

char *run_plan_to_json(const struct run_plan *plan)
{
	json_t *root = json_object(), *options = json_object(), *cells = json_array();
	json_t *passes = json_array();
	char seed[24], *text = NULL;
	int error = 0;

	snprintf(seed, sizeof(seed), "%" PRIu64, plan->seed);
	for (size_t i = 0; i < plan->option_count; i++)
		error |= json_object_set_new(options, plan->options[i].name,
					     json_text(plan->options[i].value));
	for (int i = 0; i < PASSES; i++) {
		if (plan->passes & 1u << i)
			error |= json_array_append_new(passes, json_string(pass_names[i]));
	}
	for (size_t i = 0; i < plan->cell_count; i++) {
		const struct cell *cell = &plan->cells[i];

		error |= json_array_append_new(
			cells, json_pack("{so si sI ss so}", "workload", json_text(cell->workload),
					 "threads", (int)cell->threads, "page_size",
					 (json_int_t)cell->page_size, "backing", cell->backing,
					 "backend", json_text(cell->backend)));
	}
	error |= json_object_set_new(root, "schema", json_integer(PLAN_SCHEMA));
	error |= json_object_set_new(root, "seed", json_string(seed));
	error |= json_object_set_new(root, "repetitions", json_integer(plan->repetitions));
	error |= json_object_set_new(root, "passes", passes);
	error |= json_object_set_new(root, "options", options);
	error |= json_object_set_new(root, "cells", cells);
	if (!error)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}

static int read_options(const json_t *options, struct run_plan *plan)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)options, name, value)
	{
		int error;

		if (!json_is_string(value))
			return -EINVAL;
		error = run_plan_add_option(plan, name, json_string_value(value));
		if (error)
			return error;
	}
	return 0;
}

static int read_cell(json_t *object, struct run_plan *plan)
{
	const char *backend, *workload, *backing;
	json_int_t threads, page_size;
	struct cell cell = { 0 };

	if (json_unpack(object, "{ss ss ss sI sI}", "backend", &backend, "workload", &workload,
			"backing", &backing, "threads", &threads, "page_size", &page_size) ||
	    threads < 0 || threads > UINT_MAX || page_size < 0 ||
	    strlen(backend) >= sizeof(cell.backend) || strlen(workload) >= sizeof(cell.workload) ||
	    strlen(backing) >= sizeof(cell.backing))
		return -EINVAL;
	strcpy(cell.backend, backend);
	strcpy(cell.workload, workload);
	strcpy(cell.backing, backing);
	cell.threads = (unsigned)threads;
	cell.page_size = (size_t)page_size;
	return run_plan_add_cell(plan, &cell);
}

static int read_passes(const json_t *passes, struct run_plan *plan)
{
	for (size_t i = 0; i < json_array_size(passes); i++) {
		const char *name = json_string_value(json_array_get(passes, i));
		int pass = 0;

		while (pass < PASSES && name && strcmp(name, pass_names[pass]))
			pass++;
		if (!name || pass == PASSES)
			return -EINVAL;
		plan->passes |= 1u << pass;
	}
	return 0;
}

static int read_plan(json_t *root, struct run_plan *plan)
{
	json_t *passes, *options, *cells;
	json_int_t repetitions;
	const char *seed;
	char *end;
	int error;

	if (json_unpack(root, "{ss sI so so so}", "seed", &seed, "repetitions", &repetitions,
			"passes", &passes, "options", &options, "cells", &cells) ||
	    repetitions < 0 || repetitions > UINT_MAX || !json_is_array(passes) ||
	    !json_is_object(options) || !json_is_array(cells))
		return -EINVAL;
	errno = 0;
	plan->seed = strtoull(seed, &end, 10);
	if (errno || *end || *seed < '0' || *seed > '9')
		return -EINVAL;
	plan->repetitions = (unsigned)repetitions;
	error = read_passes(passes, plan);
	if (!error)
		error = read_options(options, plan);
	for (size_t i = 0; !error && i < json_array_size(cells); i++)
		error = read_cell(json_array_get(cells, i), plan);
	return error;
}

int run_plan_from_json(const char *text, size_t length, struct run_plan *out, char *why,
		       size_t why_bytes)
{
	struct run_plan plan = { 0 };
	json_error_t json_error;
	json_t *root = json_loadb(text, length, 0, &json_error);
	json_int_t schema = json_integer_value(json_object_get(root, "schema"));
	int error;

	if (!root) {
		snprintf(why, why_bytes, "the plan is not JSON: line %d: %s", json_error.line,
			 json_error.text);
		return -EINVAL;
	}
	error = schema == PLAN_SCHEMA ? read_plan(root, &plan) : -EPROTONOSUPPORT;
	json_decref(root);
	if (!error) {
		*out = plan;
		return 0;
	}
	run_plan_release(&plan);
	snprintf(why, why_bytes, "%s",
		 error == -ENOMEM            ? "no memory for the plan"
		 : error == -EPROTONOSUPPORT ? "the plan was written by another version"
					     : "the plan lacks a key or one is malformed");
	return error;
}

int run_plan_read(const char *directory, struct run_plan *out, char *why, size_t why_bytes)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	char *text, reason[256];
	size_t bytes;

	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open %s", directory);
	error = file_read_all(fd, "run.plan.json", directory, &text, &bytes, why, why_bytes);
	close(fd);
	if (error)
		return error;
	error = run_plan_from_json(text, bytes, out, reason, sizeof(reason));
	free(text);
	if (error)
		snprintf(why, why_bytes, "%s/run.plan.json: %s", directory, reason);
	return error;
}
