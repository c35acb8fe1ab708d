/* A measurement's specification as one line of JSON: what the runner hands to a fresh process. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"

char *measure_spec_format(const struct measure_spec *spec)
{
	char seed[24];
	json_t *object;
	char *text;

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)spec->seed);
	object = json_pack(
		"{ss ss si sI ss ss si si ss sI si si ss ss sb sI sI sI si ss ss si si sf sf si}",
		"backend", spec->cell.backend, "workload", spec->cell.workload, "threads",
		(int)spec->cell.threads, "page_size", (json_int_t)spec->cell.page_size, "backing",
		spec->cell.backing, "pass", pass_names[spec->pass], "repetition",
		(int)spec->repetition, "order", (int)spec->order, "seed", seed, "events",
		(json_int_t)spec->events, "laps", (int)spec->laps, "warmup_laps",
		(int)spec->warmup_laps, "touch", touch_mode_names[spec->touch], "bind", spec->bind,
		"paging_file", (int)spec->paging_file, "paged_resident_bytes",
		(json_int_t)spec->paged_resident_bytes, "nonpaged_limit_bytes",
		(json_int_t)spec->limit_bytes[POOL_NONPAGED], "paged_limit_bytes",
		(json_int_t)spec->limit_bytes[POOL_PAGED], "checkpoints", (int)spec->checkpoints,
		"heap_map", spec->heap_map, "age", spec->age, "node", spec->node, "slowdown_steps",
		(int)spec->slowdown_steps, "quiet_sharing", spec->quiet_sharing,
		"quiet_wait_seconds", spec->quiet_wait_seconds, "trace_fd", spec->trace_fd);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	return text;
}

static int index_of(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* `text` may be what is there already. */
static void keep_text(char *to, size_t bytes, const char *text)
{
	memmove(to, text, strnlen(text, bytes - 1) + 1);
	to[bytes - 1] = '\0';
}

/* Everything but backend and workload may be left out, so that a person can write one by hand. */
static int unpack(json_t *object, struct measure_spec *spec, char *why, size_t why_bytes)
{
	const char *backend = NULL, *workload = NULL, *backing = "base", *bind = spec->bind;
	const char *pass = pass_names[PASS_THROUGHPUT], *touch = touch_mode_names[TOUCH_TRACE];
	const char *seed = "1", *heap_map = spec->heap_map, *age = spec->age;
	int threads = 1, repetition = 0, order = 0, laps = (int)spec->laps;
	int warmup = (int)spec->warmup_laps, paging = 0, checkpoints = (int)spec->checkpoints;
	int trace_fd = -1, node = -1, slowdown = 0, pass_index, touch_index;
	json_int_t page_size = POOL_OS_PAGE, events = (json_int_t)spec->events, resident = 0;
	json_int_t nonpaged = 0, paged = 0;
	double quiet_sharing = 0, quiet_wait = 0;
	json_error_t error;

	if (json_unpack_ex(
		    object, &error, 0,
		    "{ss ss s?i s?I s?s s?s s?i s?i s?s s?I s?i s?i s?s s?s s?b s?I s?I "
		    "s?I s?i s?s s?s s?i s?i s?i s?F s?F}",
		    "backend", &backend, "workload", &workload, "threads", &threads, "page_size",
		    &page_size, "backing", &backing, "pass", &pass, "repetition", &repetition,
		    "order", &order, "seed", &seed, "events", &events, "laps", &laps, "warmup_laps",
		    &warmup, "touch", &touch, "bind", &bind, "paging_file", &paging,
		    "paged_resident_bytes", &resident, "nonpaged_limit_bytes", &nonpaged,
		    "paged_limit_bytes", &paged, "checkpoints", &checkpoints, "heap_map", &heap_map,
		    "age", &age, "node", &node, "trace_fd", &trace_fd, "slowdown_steps", &slowdown,
		    "quiet_sharing", &quiet_sharing, "quiet_wait_seconds", &quiet_wait) != 0) {
		snprintf(why, why_bytes, "%s", error.text);
		return -EINVAL;
	}
	pass_index = index_of(pass_names, pass);
	touch_index = index_of(touch_mode_names, touch);
	if (pass_index < 0 || touch_index < 0 || threads < 1 || laps < 1 || warmup < 0 ||
	    checkpoints < 1 || slowdown < 0 || !(quiet_sharing >= 0) || !(quiet_wait >= 0) ||
	    page_size < 0 || events < 1) {
		snprintf(why, why_bytes, "a value is out of range (pass '%s', touch '%s')", pass,
			 touch);
		return -EINVAL;
	}
	spec->cell.threads = (unsigned)threads;
	spec->cell.page_size = (size_t)page_size;
	snprintf(spec->cell.backend, sizeof(spec->cell.backend), "%s", backend);
	snprintf(spec->cell.workload, sizeof(spec->cell.workload), "%s", workload);
	snprintf(spec->cell.backing, sizeof(spec->cell.backing), "%s", backing);
	keep_text(spec->bind, sizeof(spec->bind), bind);
	keep_text(spec->heap_map, sizeof(spec->heap_map), heap_map);
	keep_text(spec->age, sizeof(spec->age), age);
	spec->pass = (enum pass)pass_index;
	spec->touch = (enum touch_mode)touch_index;
	spec->repetition = (unsigned)repetition;
	spec->order = (unsigned)order;
	spec->seed = strtoull(seed, NULL, 0);
	spec->events = (uint64_t)events;
	spec->laps = (unsigned)laps;
	spec->warmup_laps = (unsigned)warmup;
	spec->checkpoints = (unsigned)checkpoints;
	spec->paging_file = paging;
	spec->paged_resident_bytes = (size_t)resident;
	spec->limit_bytes[POOL_NONPAGED] = (size_t)nonpaged;
	spec->limit_bytes[POOL_PAGED] = (size_t)paged;
	spec->node = node;
	spec->slowdown_steps = (unsigned)slowdown;
	spec->quiet_sharing = quiet_sharing;
	spec->quiet_wait_seconds = quiet_wait;
	spec->trace_fd = trace_fd;
	return 0;
}

int measure_spec_parse(const char *text, struct measure_spec *spec, char *why, size_t why_bytes)
{
	json_error_t error;
	json_t *object = json_loads(text, 0, &error);
	int status;

	if (!object) {
		snprintf(why, why_bytes, "not JSON: %s", error.text);
		return -EINVAL;
	}
	measure_spec_init(spec);
	status = unpack(object, spec, why, why_bytes);
	json_decref(object);
	return status;
}
