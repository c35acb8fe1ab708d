#include "launcher.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/placement.h"
#include "bench/trace_image.h"
#include "workloads/random.h"

#define LAYOUT_STREAM 0x4C41594F55540000 /* the seeds of stack offsets */

/* The image of one trace; cells that differ only in the backend share it. */
struct launcher_trace {
	char workload[sizeof(((struct cell *)NULL)->workload)];
	unsigned threads;
	char age[sizeof(((struct measure_spec *)NULL)->age)]; /* empty: as it is */
	int fd; /* or -errno */
	char why[256];
};

struct launcher {
	struct placement *placement;
	struct launcher_trace *traces;
	unsigned trace_count;
	struct child_limits limits;
	struct random layout;
	struct sigaction old_int, old_term;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = signal_number;
}

bool launcher_interrupted(void)
{
	return interrupted != 0;
}

/* ---- traces ---- */

static struct launcher_trace *find_trace(struct launcher *launcher, const struct measure_spec *spec)
{
	const struct cell *cell = &spec->cell;
	const char *age = spec->pass == PASS_AGEING ? spec->age : "";
	struct launcher_trace *trace;
	struct trace *made = NULL;
	int error;

	for (unsigned i = 0; i < launcher->trace_count; i++) {
		trace = &launcher->traces[i];
		if (trace->threads == cell->threads &&
		    strcmp(trace->workload, cell->workload) == 0 && strcmp(trace->age, age) == 0)
			return trace;
	}
	trace = reallocarray(launcher->traces, launcher->trace_count + (size_t)1, sizeof(*trace));
	if (!trace)
		return NULL;
	launcher->traces = trace;
	trace += launcher->trace_count++;
	memset(trace, 0, sizeof(*trace));
	memcpy(trace->workload, cell->workload, sizeof(trace->workload));
	trace->threads = cell->threads;
	snprintf(trace->age, sizeof(trace->age), "%s", age);
	error = measure_trace(spec, &made, trace->why, sizeof(trace->why));
	trace->fd = error ? error : trace_image_write(made);
	if (!error && trace->fd < 0)
		snprintf(trace->why, sizeof(trace->why), "cannot lay out the trace: %s",
			 strerror(-trace->fd));
	trace_destroy(made);
	return trace;
}

/* ---- processes ---- */

/*
 * Turns the policy into numbers here, once, so that a measuring process needs no hwloc, whose topology would
 * churn the heap under test; memory goes to the node of the first thread where there are several.
 */
static int place(const struct launcher *launcher, struct measure_spec *spec, char *why,
		 size_t why_bytes)
{
	unsigned processors[256];
	size_t used = 0;
	int error = placement_order(launcher->placement, spec->bind, spec->cell.threads, processors,
				    why, why_bytes);

	if (error || processors[0] == PLACEMENT_UNBOUND)
		return error;
	if (placement_nodes(launcher->placement) > 1)
		spec->node = placement_node(launcher->placement, processors[0]);
	for (unsigned t = 0; t < spec->cell.threads && used < sizeof(spec->bind); t++)
		used += (size_t)snprintf(spec->bind + used, sizeof(spec->bind) - used, "%s%u",
					 t ? "," : "", processors[t]);
	if (used >= sizeof(spec->bind)) {
		snprintf(why, why_bytes, "too many threads to bind one by one: use --bind none");
		return -EINVAL;
	}
	return 0;
}

void launcher_skip(const struct measure_spec *spec, const char *reason, struct result *result)
{
	measure_record_init(spec, result);
	result->record.status = CELL_SKIPPED;
	snprintf(result->record.reason, sizeof(result->record.reason), "%s", reason);
}

int launcher_measure(struct launcher *launcher, const struct measure_spec *spec,
		     struct result *result)
{
	struct launcher_trace *trace = find_trace(launcher, spec);
	struct measure_spec placed = *spec;
	char why[256];

	if (!trace)
		return -ENOMEM;
	if (trace->fd < 0) {
		launcher_skip(spec, trace->why, result);
		return 0;
	}
	if (place(launcher, &placed, why, sizeof(why)) != 0) {
		launcher_skip(spec, why, result);
		return 0;
	}
	placed.trace_fd = trace->fd;
	launcher->limits.layout = random_next(&launcher->layout);
	return child_measure(&placed, &launcher->limits, &interrupted, result);
}

/* ---- life ---- */

static size_t default_memory_limit(void)
{
	const long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 2 : 0;
}

int launcher_create(const struct measure_spec *prototype, const struct launcher_limits *limits,
		    struct launcher **out, char *why, size_t why_bytes)
{
	const struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	struct launcher *launcher = calloc(1, sizeof(*launcher));
	int error;

	if (!launcher) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	error = placement_create(&launcher->placement, why, why_bytes);
	if (error) {
		free(launcher);
		return error;
	}
	launcher->limits.timeout_seconds = limits->timeout_seconds;
	launcher->limits.memory_bytes = limits->memory_bytes ? limits->memory_bytes
							     : default_memory_limit();
	random_seed(&launcher->layout, prototype->seed ^ LAYOUT_STREAM);
	interrupted = 0;
	sigaction(SIGINT, &action, &launcher->old_int);
	sigaction(SIGTERM, &action, &launcher->old_term);
	*out = launcher;
	return 0;
}

void launcher_destroy(struct launcher *launcher)
{
	if (!launcher)
		return;
	sigaction(SIGINT, &launcher->old_int, NULL);
	sigaction(SIGTERM, &launcher->old_term, NULL);
	for (unsigned i = 0; i < launcher->trace_count; i++)
		if (launcher->traces[i].fd >= 0)
			close(launcher->traces[i].fd);
	free(launcher->traces);
	placement_destroy(launcher->placement);
	free(launcher);
}
