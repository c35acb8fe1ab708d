#include "measure.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/placement.h"
#include "workloads/ageing.h"
#include "workloads/workload.h"

/* The record that a stop reported by the pool completes: one measurement a process. */
static struct result *stopping_result;
static void (*stopping_emit)(const struct result *result);

int measure_fail(struct measurement *measurement, enum cell_status status, const char *format, ...)
{
	struct record *record = &measurement->result->record;
	va_list arguments;

	if (record->status != CELL_OK) /* the first failure is the one to report */
		return -ECANCELED;
	record->status = status;
	va_start(arguments, format);
	vsnprintf(record->reason, sizeof(record->reason), format, arguments);
	va_end(arguments);
	return -ECANCELED;
}

/* The pool found its own structures corrupt: this cell ends here. */
static void stop_measurement(void *arg, const struct pool_stop *stop)
{
	struct record *record = &stopping_result->record;

	(void)arg;
	record->status = CELL_CORRUPT;
	snprintf(record->reason, sizeof(record->reason),
		 "stop 0x%X (0x%llX, 0x%llX, 0x%llX, 0x%llX): %s", stop->code,
		 (unsigned long long)stop->arguments[0], (unsigned long long)stop->arguments[1],
		 (unsigned long long)stop->arguments[2], (unsigned long long)stop->arguments[3],
		 stop->text);
	stopping_emit(stopping_result);
	_exit(1);
}

int measure_trace(const struct measure_spec *spec, struct trace **out, char *why, size_t why_bytes)
{
	struct ageing_options age;
	int error;

	if (spec->pass != PASS_AGEING)
		return workload_trace(spec->cell.workload, spec->cell.threads, spec->events,
				      spec->seed, out, why, why_bytes);
	error = ageing_parse(spec->age, &age, why, why_bytes);
	return error ? error
		     : ageing_trace(spec->cell.workload, spec->cell.threads, spec->events,
				    spec->seed, &age, out, why, why_bytes);
}

/*
 * For a measurement by hand, which brings no image: the trace is generated here, and what that leaves in the
 * process's own heap is the glibc backend's to reuse. The runner always brings one.
 */
static int generate_image(const struct measure_spec *spec, char *why, size_t why_bytes)
{
	struct trace *trace = NULL;
	int error = measure_trace(spec, &trace, why, why_bytes);
	int fd;

	if (error)
		return error;
	fd = trace_image_write(trace);
	trace_destroy(trace);
	if (fd < 0)
		snprintf(why, why_bytes, "cannot lay out the trace: %s", strerror(-fd));
	return fd;
}

static int open_trace(struct measurement *m)
{
	const struct measure_spec *spec = m->spec;
	char why[512] = "";
	int fd = spec->trace_fd;
	int error;

	if (fd < 0)
		fd = generate_image(spec, why, sizeof(why));
	if (fd < 0)
		return measure_fail(m, fd == -ERANGE ? CELL_SKIPPED : CELL_CRASHED, "trace: %s",
				    why);
	error = trace_image_map(fd, &m->image);
	if (fd != spec->trace_fd)
		close(fd);
	if (error)
		return measure_fail(m, CELL_CRASHED, "cannot map the trace: %s", strerror(-error));
	m->result->record.trace_checksum = m->image.trace.checksum;
	return 0;
}

static enum page_backing backing_of(const char *name)
{
	for (int i = 0; i < PAGE_BACKINGS; i++)
		if (strcmp(name, page_backing_names[i]) == 0)
			return (enum page_backing)i;
	return PAGE_BACKING_BASE;
}

static int open_pages(struct measurement *m)
{
	const struct measure_spec *spec = m->spec;
	char why[512] = "";

	for (int type = 0; type < POOL_TYPES; type++) {
		const struct page_source_config config = {
			.type = (enum pool_type)type,
			.page_size = spec->cell.page_size ? spec->cell.page_size : POOL_OS_PAGE,
			.backing = backing_of(spec->cell.backing),
			.limit_bytes = spec->limit_bytes[type],
			.node = spec->node,
			.paging_file = spec->paging_file && type == POOL_PAGED,
			.paged_resident_bytes = spec->paged_resident_bytes,
		};
		int error = page_source_create(&config, &m->pages[type], why, sizeof(why));

		if (error)
			return measure_fail(m, error == -ENODEV ? CELL_SKIPPED : CELL_CRASHED,
					    "page source: %s", why);
	}
	return 0;
}

static void describe_caveats(const struct pool_backend *ops, char *text, size_t bytes)
{
	static const struct {
		uint32_t cap;
		const char *text;
	} missing[] = {
		{ POOL_CAP_PAGE_RULES, "no page rules" },
		{ POOL_CAP_RESIDENT, "nonpaged blocks not kept resident" },
		{ POOL_CAP_TAGS, "keeps no tags" },
		{ POOL_CAP_TRIM, "cannot give memory back on request" },
	};
	size_t used = 0;

	text[0] = '\0';
	if (ops->caps & POOL_CAP_FLOOR)
		return;
	for (size_t i = 0; i < sizeof(missing) / sizeof(*missing) && used < bytes; i++)
		if (!(ops->caps & missing[i].cap))
			used += (size_t)snprintf(text + used, bytes - used, "%s%s",
						 used ? "; " : "", missing[i].text);
	if ((ops->caps & POOL_CAP_GLOBAL_LOCK) && used < bytes)
		snprintf(text + used, bytes - used, "%sone lock by design", used ? "; " : "");
}

static int open_pool(struct measurement *m)
{
	const struct measure_spec *spec = m->spec;
	struct record *record = &m->result->record;
	struct pool_config config = {
		.page_size = spec->cell.page_size ? spec->cell.page_size : POOL_OS_PAGE,
		.processors = spec->cell.threads,
		.pages = { m->pages[POOL_NONPAGED], m->pages[POOL_PAGED] },
		.seed = spec->seed,
		.stop = stop_measurement,
	};
	char why[512] = "";
	int error = backend_open(spec->cell.backend, &m->backend, why, sizeof(why));

	if (error)
		return measure_fail(m, CELL_SKIPPED, "%s", why);
	snprintf(record->display_name, sizeof(record->display_name), "%s", m->backend->name);
	snprintf(record->proof, sizeof(record->proof), "%s", m->backend->proof);
	describe_caveats(m->backend->ops, record->caveats, sizeof(record->caveats));
	error = backend_create_pool(m->backend, &config, &m->pool, why, sizeof(why));
	if (error)
		return measure_fail(m, error == -ENOMEM ? CELL_EXHAUSTED : CELL_SKIPPED,
				    "create: %s", why[0] ? why : strerror(-error));
	m->replay.ops = m->backend->ops;
	m->replay.pool = m->pool;
	return 0;
}

/*
 * "none", or "3,0,1": without the help of hwloc, whose topology would churn the heap under test. False: a policy, or
 * anything else that placement has to judge.
 */
static bool parse_processors(const char *bind, unsigned threads, unsigned *processors)
{
	if (strcmp(bind, "none") == 0) {
		for (unsigned t = 0; t < threads; t++)
			processors[t] = PLACEMENT_UNBOUND;
		return true;
	}
	for (unsigned t = 0; t < threads; t++) {
		char *end;

		if (*bind < '0' || *bind > '9')
			return false;
		processors[t] = (unsigned)strtoul(bind, &end, 10);
		if (*end != (t + 1 < threads ? ',' : '\0'))
			return false;
		bind = end + 1;
	}
	return true;
}

static int place_threads(struct measurement *m)
{
	const struct measure_spec *spec = m->spec;
	struct placement *placement = NULL;
	char why[256] = "";
	int error;

	m->processors = calloc(spec->cell.threads, sizeof(*m->processors));
	if (!m->processors)
		return measure_fail(m, CELL_CRASHED, "out of memory");
	if (!parse_processors(spec->bind, spec->cell.threads, m->processors)) {
		error = placement_create(&placement, why, sizeof(why));
		if (!error)
			error = placement_order(placement, spec->bind, spec->cell.threads,
						m->processors, why, sizeof(why));
		placement_destroy(placement);
		if (error)
			return measure_fail(m, CELL_SKIPPED, "%s", why);
	}
	m->result->record.bound = m->processors[0] != PLACEMENT_UNBOUND;
	return 0;
}

static int bind_thread(unsigned processor)
{
	cpu_set_t set;

	if (processor == PLACEMENT_UNBOUND)
		return 0;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int measure_thread_enter(struct measurement *m, unsigned thread)
{
	int error = bind_thread(m->processors[thread]);

	if (error)
		return measure_fail(m, CELL_UNTRUSTED, "cannot bind thread %u to processor %u: %s",
				    thread, m->processors[thread], strerror(-error));
	if (m->backend->ops->thread_enter)
		error = m->backend->ops->thread_enter(m->pool, thread);
	if (error)
		return measure_fail(m, CELL_EXHAUSTED, "thread_enter(%u): %s", thread,
				    strerror(-error));
	return 0;
}

void measure_thread_exit(struct measurement *m)
{
	if (m->backend->ops->thread_exit)
		m->backend->ops->thread_exit(m->pool);
}

static void keep_counter(void *arg, const char *name, const char *help, uint64_t value)
{
	struct record *record = arg;

	(void)help;
	if (record->counters == RECORD_COUNTERS)
		return;
	snprintf(record->counter[record->counters].name,
		 sizeof(record->counter[record->counters].name), "%s", name);
	record->counter[record->counters++].value = value;
}

/* Every pass replays the prologue, its laps, those it discards among them, and the epilogue. */
static uint64_t operations_total(const struct measurement *m)
{
	const struct trace *trace = &m->image.trace;
	const unsigned discarded = m->spec->pass == PASS_MEMORY ? 0 : m->spec->warmup_laps;

	return replay_operations(trace, TRACE_PROLOGUE) +
	       (m->spec->laps + discarded) * replay_operations(trace, TRACE_BODY) +
	       replay_operations(trace, TRACE_EPILOGUE);
}

static int run_pass(struct measurement *m)
{
	static int (*const passes[PASSES])(struct measurement *) = { pass_throughput, pass_latency,
								     pass_memory, pass_ageing };
	int error = passes[m->spec->pass](m);

	if (error)
		return error;
	m->result->record.operations_total = operations_total(m);
	backend_counters(m->backend->ops, m->pool, m->pages, keep_counter, &m->result->record);
	return 0;
}

void measurement_close(struct measurement *m)
{
	/* A pool that failed may be in any state; the process ends anyway. */
	if (m->pool && m->result->record.status == CELL_OK)
		m->backend->ops->destroy(m->pool);
	replay_destroy(&m->replay);
	if (m->result->record.status == CELL_OK) {
		backend_close(m->backend);
		for (int type = 0; type < POOL_TYPES; type++)
			page_source_destroy(m->pages[type]);
	}
	resident_close(&m->resident);
	free(m->processors);
	trace_image_unmap(&m->image);
}

/* Until the backend is open and says its own: "nt-pool" of "nt-pool:depth=4", "mine" of "./mine.so". */
static void name_backend(const char *spec, char *name, size_t bytes)
{
	const size_t length = strcspn(spec, ":");
	const char *slash = memrchr(spec, '/', length);
	const char *start = slash ? slash + 1 : spec;
	const char *suffix = memmem(start, length - (size_t)(start - spec), ".so", 3);
	const size_t end = suffix ? (size_t)(suffix - spec) : length;

	snprintf(name, bytes, "%.*s", (int)(end - (size_t)(start - spec)), start);
}

void measure_record_init(const struct measure_spec *spec, struct result *result)
{
	struct record *record = &result->record;

	result_clear(result);
	record->started_unix_seconds = (double)clock_read_ns(CLOCK_REALTIME) * 1e-9;
	record->cell = spec->cell;
	record->pass = spec->pass;
	record->repetition = spec->repetition;
	record->order = spec->order;
	record->seed = spec->seed;
	name_backend(spec->cell.backend, record->display_name, sizeof(record->display_name));
}

static void record_end(struct measurement *m)
{
	struct record *record = &m->result->record;

	record->wall_seconds = (double)clock_read_ns(CLOCK_REALTIME) * 1e-9 -
			       record->started_unix_seconds;
	if (m->backend && (m->backend->ops->caps & POOL_CAP_NATIVE) && m->pages[POOL_NONPAGED]) {
		struct page_source_stats stats;

		page_source_stats(m->pages[POOL_NONPAGED], &stats);
		record->nonpaged_locked = stats.locked;
	}
	if (record->status == CELL_OK)
		return;
	for (int i = 0; i < METRIC_COUNT; i++)
		record->metrics[i] = NAN;
}

static int read_baseline(struct measurement *m)
{
	struct resident_sample sample;
	int error = resident_open(&m->resident);

	if (!error)
		error = resident_read(&m->resident, &sample);
	if (error)
		return measure_fail(m, CELL_UNTRUSTED,
				    "cannot read /proc/self/smaps_rollup: %s; is /proc mounted?",
				    strerror(-error));
	error = mappings_read(&m->harness, false);
	if (error)
		return measure_fail(m, CELL_UNTRUSTED, "cannot read /proc/self/maps: %s",
				    strerror(-error));
	m->baseline_bytes = sample.resident_bytes;
	m->result->record.harness_bytes = (double)sample.resident_bytes;
	return 0;
}

double measure_resident_bytes(const struct measurement *m)
{
	struct resident_sample sample;

	if (resident_read(&m->resident, &sample) != 0)
		return NAN;
	return fmax((double)sample.resident_bytes - (double)m->baseline_bytes, 0);
}

int measurement_open(struct measurement *m, const struct measure_spec *spec, struct result *result,
		     void (*emit)(const struct result *result))
{
	int error;

	*m = (struct measurement){ .spec = spec, .result = result, .resident.fd = -1 };
	measure_record_init(spec, result);
	stopping_result = result;
	stopping_emit = emit;
	/* Huge pages only where the cell asks for them, whatever the machine's default. */
	prctl(PR_SET_THP_DISABLE, backing_of(spec->cell.backing) != PAGE_BACKING_THP, 0, 0, 0);
	error = open_trace(m);
	if (!error)
		error = place_threads(m);
	if (!error && replay_create(&m->image.trace, NULL, NULL, spec->touch, &m->replay))
		error = measure_fail(m, CELL_CRASHED, "out of memory for the harness's tables");
	if (!error)
		error = open_pages(m);
	if (error)
		return error;
	error = read_baseline(m);
	return error ? error : open_pool(m);
}

int measure(const struct measure_spec *spec, struct result *result,
	    void (*emit)(const struct result *result))
{
	struct measurement m;
	int error = measurement_open(&m, spec, result, emit);

	if (!error)
		error = run_pass(&m);
	record_end(&m);
	measurement_close(&m);
	return error || result->record.status != CELL_OK;
}
