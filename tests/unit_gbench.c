/*
 * The C bindings of Google Benchmark, from C: what is registered is what runs and what is reported.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bench/gbench.h"

/* ---- what the reporter saw ---- */

#define SEEN 64

struct seen {
	unsigned contexts, results, finishes;
	int refuse;
	struct gbench_context context;
	char version[32];
	struct gbench_result result[SEEN];
	char name[SEEN][96], family[SEEN][64], aggregate_name[SEEN][16], label[SEEN][32],
		error[SEEN][96];
	char counter_name[SEEN][8][32];
	double counter[SEEN][8];
	unsigned counter_flags[SEEN][8];
};

static struct seen seen;

static int see_context(void *arg, const struct gbench_context *context)
{
	struct seen *to = arg;

	to->contexts++;
	to->context = *context;
	snprintf(to->version, sizeof(to->version), "%s", context->library_version);
	return to->refuse;
}

static void see_result(void *arg, const struct gbench_result *result)
{
	struct seen *to = arg;
	unsigned i = to->results++;

	assert_true(i < SEEN);
	to->result[i] = *result;
	snprintf(to->name[i], sizeof(to->name[i]), "%s", result->name);
	snprintf(to->family[i], sizeof(to->family[i]), "%s", result->family);
	snprintf(to->aggregate_name[i], sizeof(to->aggregate_name[i]), "%s",
		 result->aggregate_name);
	snprintf(to->label[i], sizeof(to->label[i]), "%s", result->label);
	snprintf(to->error[i], sizeof(to->error[i]), "%s", result->error);
	assert_true(result->counter_count <= 8);
	for (size_t c = 0; c < result->counter_count; c++) {
		snprintf(to->counter_name[i][c], sizeof(to->counter_name[i][c]), "%s",
			 result->counters[c].name);
		to->counter[i][c] = result->counters[c].value;
		to->counter_flags[i][c] = result->counters[c].flags;
	}
}

static void see_finish(void *arg)
{
	((struct seen *)arg)->finishes++;
}

static const struct gbench_reporter reporter = { see_context, see_result, see_finish, &seen };

/* Runs everything registered into `seen`, and forgets the families. */
static size_t run_all(void)
{
	const struct gbench_outputs outputs = { .reporter = &reporter };
	size_t matched = 0;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(gbench_run(".", &outputs, &matched), 0);
	gbench_clear();
	return matched;
}

static double counter_of(unsigned result, const char *name)
{
	for (size_t c = 0; c < seen.result[result].counter_count; c++)
		if (!strcmp(seen.counter_name[result][c], name))
			return seen.counter[result][c];
	fail_msg("%s has no counter %s", seen.name[result], name);
	return NAN;
}

static void work(void)
{
	for (volatile unsigned i = 0; i < 50; i++)
		;
}

/* ---- loops ---- */

struct counts {
	atomic_uint_fast64_t iterations, calls, setups, teardowns;
	atomic_uint running;
	int64_t batch;
};

static void count_singly(struct gbench_state *state, void *arg)
{
	struct counts *counts = arg;

	while (gbench_keep_running(state)) {
		work();
		counts->iterations++;
	}
	assert_false(gbench_keep_running(state));
	assert_int_equal(gbench_iterations_done(state), gbench_max_iterations(state));
	counts->calls++;
}

static void count_in_batches(struct gbench_state *state, void *arg)
{
	struct counts *counts = arg;

	while (gbench_keep_running_batch(state, counts->batch)) {
		counts->iterations += (uint64_t)counts->batch;
		counts->calls++;
	}
}

static void fixed_iterations_are_exact(void **state)
{
	struct counts counts = { 0 };
	struct gbench *family = gbench_register("single", count_singly, &counts);

	(void)state;
	assert_non_null(family);
	assert_int_equal(gbench_iterations(family, 12345), 0);
	assert_int_equal(run_all(), 1);
	assert_int_equal(counts.iterations, 12345);
	assert_int_equal(counts.calls, 1);
	assert_int_equal(seen.results, 1);
	assert_int_equal(seen.result[0].iterations, 12345);
	assert_string_equal(seen.name[0], "single/iterations:12345");
	assert_string_equal(seen.family[0], "single");
	assert_false(seen.result[0].failed);
	assert_true(seen.result[0].real_seconds > 0);
	assert_true(fabs(seen.result[0].real_time * 12345 / 1e9 / seen.result[0].real_seconds - 1) <
		    1e-9);
}

static void batches_are_exact_when_they_divide(void **state)
{
	struct counts counts = { .batch = 100 };
	struct counts uneven = { .batch = 7 };

	(void)state;
	assert_int_equal(
		gbench_iterations(gbench_register("even", count_in_batches, &counts), 1000), 0);
	assert_int_equal(
		gbench_iterations(gbench_register("uneven", count_in_batches, &uneven), 1000), 0);
	assert_int_equal(run_all(), 2);
	assert_int_equal(counts.calls, 10);
	assert_int_equal(seen.result[0].iterations, 1000);
	/* Rounded up to whole batches, and counted so. */
	assert_int_equal(uneven.calls, 143);
	assert_int_equal(uneven.iterations, 1001);
	assert_int_equal(seen.result[1].iterations, 1001);
}

static void a_minimal_time_is_reached(void **state)
{
	struct counts counts = { 0 };
	struct gbench *family = gbench_register("timed", count_singly, &counts);

	(void)state;
	assert_int_equal(gbench_clock(family, GBENCH_REAL_TIME), 0);
	assert_int_equal(gbench_min_time(family, 0.02), 0);
	assert_int_equal(gbench_min_warmup_time(family, 0.005), 0);
	assert_int_equal(run_all(), 1);
	assert_true(seen.result[0].real_seconds >= 0.02);
	assert_true(counts.iterations >= (uint64_t)seen.result[0].iterations);
}

static void repetitions_give_aggregates(void **state)
{
	struct counts counts = { 0 };
	struct gbench *family = gbench_register("again", count_singly, &counts);
	unsigned aggregates = 0, ratios = 0;

	(void)state;
	assert_int_equal(gbench_iterations(family, 100), 0);
	assert_int_equal(gbench_repetitions(family, 3), 0);
	assert_int_equal(gbench_unit(family, GBENCH_MICROSECOND), 0);
	assert_int_equal(run_all(), 1);
	assert_int_equal(counts.iterations, 300);
	for (unsigned i = 0; i < seen.results; i++) {
		assert_int_equal(seen.result[i].unit, GBENCH_MICROSECOND);
		assert_int_equal(seen.result[i].repetitions, 3);
		if (!seen.result[i].aggregate) {
			assert_int_equal(seen.result[i].repetition, (int64_t)i);
			continue;
		}
		aggregates++;
		assert_int_equal(seen.result[i].repetition, -1);
		assert_non_null(strstr(seen.name[i], seen.aggregate_name[i]));
		ratios += seen.result[i].percentage;
		if (seen.result[i].percentage)
			assert_true(seen.result[i].real_time >= 0 && seen.result[i].real_time < 2);
	}
	assert_true(aggregates >= 3);
	assert_true(ratios <= 1);
	assert_int_equal(seen.results, 3 + aggregates);

	family = gbench_register("only aggregates", count_singly, &counts);
	assert_int_equal(gbench_iterations(family, 10), 0);
	assert_int_equal(gbench_repetitions(family, 2), 0);
	assert_int_equal(gbench_report_aggregates_only(family, true), 0);
	run_all();
	assert_true(seen.results > 0);
	for (unsigned i = 0; i < seen.results; i++)
		assert_true(seen.result[i].aggregate);
}

/* ---- arguments ---- */

static atomic_uint argument_runs;
static int64_t argument_sum;

static void read_arguments(struct gbench_state *state, void *arg)
{
	(void)arg;
	while (gbench_keep_running(state))
		work();
	argument_runs++;
	for (size_t i = 0; i < gbench_arg_count(state); i++)
		argument_sum += gbench_arg(state, i);
	assert_int_equal(gbench_arg(state, 99), 0);
}

static void arguments_arrive(void **state)
{
	static const int64_t first[] = { 3, 40 }, second[] = { 500, 6000 };
	static const char *const names[] = { "small", "large" };
	struct gbench *family = gbench_register("pair", read_arguments, NULL);

	(void)state;
	argument_runs = 0;
	argument_sum = 0;
	assert_int_equal(gbench_arg_names(family, names, 2), -EINVAL);
	assert_int_equal(gbench_args(family, first, 2), 0);
	assert_int_equal(gbench_args(family, second, 2), 0);
	assert_int_equal(gbench_args(family, first, 1), -EINVAL);
	assert_int_equal(gbench_range(family, 1, 8, 2), -EINVAL);
	assert_int_equal(gbench_arg_names(family, names, 1), -EINVAL);
	assert_int_equal(gbench_arg_names(family, names, 2), 0);
	gbench_iterations(family, 1);
	family = gbench_register("range", read_arguments, NULL);
	assert_int_equal(gbench_range(family, 8, 64, 2), 0);
	gbench_iterations(family, 1);
	family = gbench_register("dense", read_arguments, NULL);
	assert_int_equal(gbench_dense_range(family, 10, 30, 10), 0);
	gbench_iterations(family, 1);
	assert_int_equal(run_all(), 2 + 4 + 3);
	assert_int_equal(argument_runs, 9);
	assert_int_equal(argument_sum, 6543 + (8 + 16 + 32 + 64) + (10 + 20 + 30));
	assert_string_equal(seen.name[0], "pair/small:3/large:40/iterations:1");
	assert_string_equal(seen.name[2], "range/8/iterations:1");
	assert_string_equal(seen.name[8], "dense/30/iterations:1");
}

/* ---- threads and counters ---- */

static void use_threads(struct gbench_state *state, void *arg)
{
	struct counts *counts = arg;
	int index = gbench_thread_index(state);

	assert_in_range(index, 0, gbench_thread_count(state) - 1);
	counts->running++;
	while (gbench_keep_running(state)) {
		/* The barrier: in the loop, every thread of the run has arrived. */
		assert_int_equal(counts->running, gbench_thread_count(state));
		work();
	}
	counts->calls |= 1u << (8 * gbench_thread_count(state) + index);
	assert_int_equal(gbench_set_counter(state, "sum", 1 + index, GBENCH_COUNTER_PLAIN), 0);
	assert_int_equal(gbench_set_counter(state, "mean", 1 + index, GBENCH_COUNTER_AVG_THREADS),
			 0);
	assert_int_equal(gbench_set_label(state, "threaded"), 0);
}

static void reset_running(const struct gbench_state *state, void *arg)
{
	(void)state;
	((struct counts *)arg)->running = 0;
}

static void threads_run_together_and_counters_are_summed(void **state)
{
	struct counts counts = { 0 };
	struct gbench *family = gbench_register("threads", use_threads, &counts);

	(void)state;
	assert_int_equal(gbench_threads(family, 1), 0);
	assert_int_equal(gbench_threads(family, 3), 0);
	assert_int_equal(gbench_threads(family, 0), -EINVAL);
	assert_int_equal(gbench_iterations(family, 50), 0);
	assert_int_equal(gbench_clock(family, GBENCH_REAL_TIME), 0);
	assert_int_equal(gbench_setup_teardown(family, reset_running, NULL), 0);
	assert_int_equal(run_all(), 2);
	assert_int_equal(counts.calls, 1u << 8 | 7u << 24);
	assert_int_equal(seen.result[0].threads, 1);
	assert_int_equal(seen.result[0].iterations, 50);
	assert_int_equal(seen.result[1].threads, 3);
	assert_int_equal(seen.result[1].iterations, 150);
	assert_string_equal(seen.name[1], "threads/iterations:50/real_time/threads:3");
	assert_string_equal(seen.label[1], "threaded");
	assert_true(counter_of(0, "sum") == 1);
	assert_true(counter_of(1, "sum") == 6);
	assert_true(counter_of(1, "mean") == 2);
}

static void set_counters(struct gbench_state *state, void *arg)
{
	(void)arg;
	while (gbench_keep_running(state))
		assert_int_equal(gbench_set_iteration_time(state, 0.5), 0);
	gbench_set_counter(state, "plain", 42, 0);
	gbench_set_counter(state, "rate", 20, GBENCH_COUNTER_RATE);
	gbench_set_counter(state, "period", 20, GBENCH_COUNTER_RATE | GBENCH_COUNTER_INVERT);
	gbench_set_counter(state, "each", 20, GBENCH_COUNTER_AVG_ITERATIONS);
	gbench_set_counter(state, "all", 20,
			   GBENCH_COUNTER_ITERATION_INVARIANT | GBENCH_COUNTER_1024);
	assert_int_equal(gbench_set_counter(state, NULL, 1, 0), -EINVAL);
	assert_int_equal(gbench_set_counter(state, "flags", 1, 1u << 20), -EINVAL);
	assert_int_equal(gbench_set_bytes_processed(state, 2048), 0);
	assert_int_equal(gbench_set_items_processed(state, 30), 0);
	assert_int_equal(gbench_set_iteration_time(state, -1), -EINVAL);
}

/* Manual time makes every figure exact: 4 iterations of half a second. */
static void manual_time_and_counter_flags(void **state)
{
	struct gbench *family = gbench_register("manual", set_counters, NULL);

	(void)state;
	assert_int_equal(gbench_clock(family, GBENCH_MANUAL_TIME), 0);
	assert_int_equal(gbench_clock(family, GBENCH_REAL_TIME), -EBUSY);
	assert_int_equal(gbench_unit(family, GBENCH_MILLISECOND), 0);
	assert_int_equal(gbench_iterations(family, 4), 0);
	assert_int_equal(run_all(), 1);
	assert_true(seen.result[0].real_seconds == 2);
	assert_true(seen.result[0].real_time == 500);
	assert_int_equal(seen.result[0].counter_count, 7);
	assert_true(counter_of(0, "plain") == 42);
	assert_true(counter_of(0, "rate") == 10);
	assert_true(counter_of(0, "period") == 0.1);
	assert_true(counter_of(0, "each") == 5);
	assert_true(counter_of(0, "all") == 80);
	assert_true(counter_of(0, "bytes_per_second") == 1024);
	assert_true(counter_of(0, "items_per_second") == 15);
	/* By name: all, bytes_per_second, each, ... */
	assert_string_equal(seen.counter_name[0][0], "all");
	assert_int_equal(seen.counter_flags[0][0],
			 GBENCH_COUNTER_ITERATION_INVARIANT | GBENCH_COUNTER_1024);
	assert_string_equal(seen.counter_name[0][4], "period");
	assert_int_equal(seen.counter_flags[0][4], GBENCH_COUNTER_RATE | GBENCH_COUNTER_INVERT);
}

static void pause_and_resume(struct gbench_state *state, void *arg)
{
	bool paused_only = *(bool *)arg;

	assert_int_equal(gbench_pause_timing(state), -EINVAL);
	while (gbench_keep_running(state)) {
		assert_int_equal(gbench_resume_timing(state), -EINVAL);
		assert_int_equal(gbench_pause_timing(state), 0);
		assert_int_equal(gbench_pause_timing(state), -EINVAL);
		usleep(2000);
		/* Else the loop resumes by itself: the library would abort. */
		if (!paused_only)
			assert_int_equal(gbench_resume_timing(state), 0);
	}
	assert_int_equal(gbench_resume_timing(state), -EINVAL);
}

static void paused_time_is_not_counted(void **state)
{
	bool paused_only[] = { false, true };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct gbench *family = gbench_register("paused", pause_and_resume,
							&paused_only[i]);

		gbench_clock(family, GBENCH_REAL_TIME);
		gbench_iterations(family, 10);
		run_all();
		assert_false(seen.result[0].failed);
		/* 20 ms were slept; all of them while paused. */
		assert_true(seen.result[0].real_seconds < 0.01);
	}
}

static void spend_manual_time(struct gbench_state *state, void *arg)
{
	(void)arg;
	while (gbench_keep_running(state))
		gbench_set_iteration_time(state, 0.25);
}

/* Libraries before 1.9.0 report the mean of the threads, later ones their sum. */
static void seconds_are_the_mean_of_the_threads(void **state)
{
	struct gbench *family = gbench_register("mean", spend_manual_time, NULL);

	(void)state;
	gbench_clock(family, GBENCH_MANUAL_TIME);
	gbench_threads(family, 4);
	gbench_iterations(family, 8);
	run_all();
	assert_true(seen.result[0].real_seconds == 2);
	assert_int_equal(seen.result[0].iterations, 32);
}

static void process_time_is_measured(void **state)
{
	struct counts counts = { 0 };
	struct gbench *family = gbench_register("process", count_singly, &counts);

	(void)state;
	assert_int_equal(gbench_clock(family, GBENCH_PROCESS_CPU_TIME), 0);
	gbench_iterations(family, 10);
	family = gbench_register("both", count_singly, &counts);
	assert_int_equal(gbench_clock(family, GBENCH_PROCESS_CPU_AND_REAL_TIME), 0);
	gbench_iterations(family, 10);
	run_all();
	assert_string_equal(seen.name[0], "process/iterations:10/process_time");
	assert_string_equal(seen.name[1], "both/iterations:10/process_time/real_time");
}

/* ---- set-up and tear-down ---- */

static void set_up(const struct gbench_state *state, void *arg)
{
	struct counts *counts = arg;

	assert_int_equal(counts->setups, counts->teardowns);
	assert_int_equal(gbench_arg(state, 0), 5);
	assert_int_equal(gbench_thread_count(state), 2);
	counts->setups++;
}

static void tear_down(const struct gbench_state *state, void *arg)
{
	struct counts *counts = arg;

	assert_int_equal(gbench_arg(state, 0), 5);
	assert_int_equal(counts->calls, 2 * counts->setups);
	counts->teardowns++;
}

static void set_up_and_tear_down_once_a_run(void **state)
{
	static const int64_t five = 5;
	struct counts counts[3] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct gbench *family = gbench_register("fixture", count_singly, &counts[i]);

		assert_int_equal(gbench_args(family, &five, 1), 0);
		assert_int_equal(gbench_threads(family, 2), 0);
		assert_int_equal(gbench_iterations(family, 7), 0);
		assert_int_equal(gbench_repetitions(family, (int)i + 1), 0);
		assert_int_equal(gbench_setup_teardown(family, set_up, tear_down), 0);
		assert_int_equal(gbench_setup_teardown(family, set_up, tear_down), -EBUSY);
	}
	assert_int_equal(run_all(), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(counts[i].setups, i + 1);
		assert_int_equal(counts[i].teardowns, i + 1);
	}
}

/* ---- errors ---- */

static void fail_before(struct gbench_state *state, void *arg)
{
	(void)arg;
	gbench_skip_with_error(state, "no such library");
	assert_true(gbench_failed(state));
	assert_false(gbench_keep_running(state));
}

static void fail_within(struct gbench_state *state, void *arg)
{
	(void)arg;
	while (gbench_keep_running(state)) {
		if (gbench_thread_index(state) == 1) {
			gbench_skip_with_error(state, "out of pool");
			assert_int_equal(gbench_pause_timing(state), -EINVAL);
			break;
		}
		work();
	}
}

static void never_loop(struct gbench_state *state, void *arg)
{
	(void)state;
	(void)arg;
}

static void leave_early(struct gbench_state *state, void *arg)
{
	(void)arg;
	if (gbench_keep_running(state))
		gbench_pause_timing(state);
}

static void failures_are_reported_as_such(void **state)
{
	static const gbench_function failing[] = { fail_before, fail_within, never_loop,
						   leave_early };
	static const char *const messages[] = { "no such library", "out of pool", "returned before",
						"returned before" };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct gbench *family = gbench_register("failing", failing[i], NULL);

		gbench_threads(family, 2);
		gbench_iterations(family, 100);
		run_all();
		assert_int_equal(seen.results, 1);
		assert_true(seen.result[0].failed);
		assert_non_null(strstr(seen.error[0], messages[i]));
	}
}

static void misuse_is_refused_not_fatal(void **state)
{
	struct gbench *family;

	(void)state;
	errno = 0;
	assert_null(gbench_register(NULL, never_loop, NULL));
	assert_int_equal(errno, EINVAL);
	assert_null(gbench_register("", never_loop, NULL));
	assert_null(gbench_register("name", NULL, NULL));
	family = gbench_register("misused", never_loop, NULL);
	assert_int_equal(gbench_args(family, NULL, 1), -EINVAL);
	assert_int_equal(gbench_range(family, 9, 8, 2), -EINVAL);
	assert_int_equal(gbench_range(family, 1, 8, 1), -EINVAL);
	assert_int_equal(gbench_dense_range(family, 1, 8, 0), -EINVAL);
	assert_int_equal(gbench_iterations(family, 0), -EINVAL);
	assert_int_equal(gbench_min_time(family, 0), -EINVAL);
	assert_int_equal(gbench_min_time(family, NAN), -EINVAL);
	assert_int_equal(gbench_min_warmup_time(family, 1), -EINVAL);
	assert_int_equal(gbench_repetitions(family, 0), -EINVAL);
	assert_int_equal(gbench_unit(family, (enum gbench_unit)9), -EINVAL);
	assert_int_equal(gbench_clock(family, (enum gbench_clock)9), -EINVAL);
	assert_int_equal(gbench_iterations(family, 5), 0);
	assert_int_equal(gbench_min_time(family, 1), -EBUSY);
	gbench_clear();
}

/* ---- reports ---- */

static void a_reporter_sees_the_context_and_may_refuse(void **state)
{
	const struct gbench_outputs outputs = { .reporter = &reporter };
	struct counts counts = { 0 };

	(void)state;
	gbench_iterations(gbench_register("context", count_singly, &counts), 3);
	memset(&seen, 0, sizeof(seen));
	seen.refuse = 1;
	assert_int_equal(gbench_run(NULL, &outputs, NULL), 0);
	assert_int_equal(counts.calls, 0);
	assert_int_equal(seen.results, 0);
	run_all();
	assert_int_equal(counts.calls, 1);
	assert_int_equal(seen.contexts, 1);
	assert_int_equal(seen.finishes, 1);
	assert_true(seen.context.processors >= 1);
	assert_true(seen.context.name_width >= strlen("context/iterations:3"));
	assert_string_equal(seen.version, gbench_version());
	assert_true(strlen(gbench_version()) >= 3);
}

static void a_filter_selects(void **state)
{
	const struct gbench_outputs outputs = { .reporter = &reporter };
	struct counts counts = { 0 };
	size_t matched = 0;

	(void)state;
	gbench_iterations(gbench_register("alpha", count_singly, &counts), 1);
	gbench_iterations(gbench_register("beta", count_singly, &counts), 1);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(gbench_run("^beta", &outputs, &matched), 0);
	assert_int_equal(matched, 1);
	assert_string_equal(seen.family[0], "beta");
	assert_int_equal(gbench_run("gamma", &outputs, &matched), 0);
	assert_int_equal(matched, 0);
	gbench_clear();
}

static void json_and_c_reporters_agree(void **state)
{
	char path[] = "/tmp/poolbench-gbench-XXXXXX";
	int file = mkstemp(path);
	struct gbench_outputs outputs = { .json_path = path, .reporter = &reporter };
	json_t *json, *runs, *run;
	json_error_t error;

	(void)state;
	assert_true(file >= 0);
	close(file);
	assert_int_equal(gbench_add_context("seed", "42"), 0);
	assert_int_equal(gbench_add_context("seed", "43"), -EEXIST);
	assert_int_equal(gbench_add_context(NULL, "x"), -EINVAL);
	gbench_iterations(gbench_register("json", set_counters, NULL), 4);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(gbench_run(NULL, &outputs, NULL), 0);
	json = json_load_file(path, 0, &error);
	assert_non_null(json);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "context"), "seed")), "42");
	runs = json_object_get(json, "benchmarks");
	assert_int_equal(json_array_size(runs), 1);
	run = json_array_get(runs, 0);
	assert_string_equal(json_string_value(json_object_get(run, "name")), seen.name[0]);
	assert_int_equal(json_integer_value(json_object_get(run, "iterations")), 4);
	assert_true(json_number_value(json_object_get(run, "plain")) == counter_of(0, "plain"));
	json_decref(json);
	unlink(path);

	outputs.json_path = "/nowhere/at/all.json";
	assert_int_equal(gbench_run(NULL, &outputs, NULL), -ENOENT);
	outputs.json_path = "/dev/full";
	assert_int_equal(gbench_run(NULL, &outputs, NULL), -EIO);
	gbench_shutdown();
	/* After a shutdown all is as new. */
	assert_int_equal(gbench_add_context("seed", "44"), 0);
	gbench_shutdown();
}

/* Standard output of `body`, into `text`. */
static void capture(void (*body)(void), char *text, size_t bytes)
{
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t got;

	assert_non_null(file);
	assert_true(saved >= 0);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	body();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	got = fread(text, 1, bytes - 1, file);
	text[got] = 0;
	fclose(file);
}

static void run_on_console(void)
{
	const struct gbench_outputs outputs = { .console = true, .reporter = &reporter };

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(gbench_run(NULL, &outputs, NULL), 0);
}

static void pass_through(void)
{
	char program[] = "poolbench", filter[] = "--benchmark_filter=seen",
	     format[] = "--benchmark_format=json";
	char *argv[] = { program, filter, format, NULL };

	assert_int_equal(gbench_main(3, argv), 0);
	/* Again: 1.7.1 would use freed memory if left to itself. */
	assert_int_equal(gbench_run(NULL, NULL, NULL), 0);
}

static void the_console_and_the_pass_through(void **state)
{
	char program[] = "poolbench", unknown[] = "--benchmark_flux=1";
	char *argv[] = { program, unknown, NULL };
	struct counts counts = { 0 };
	char text[16384];

	(void)state;
	gbench_iterations(gbench_register("seen", count_singly, &counts), 2);
	gbench_iterations(gbench_register("unseen, by the filter", never_loop, NULL), 2);
	assert_int_equal(gbench_run("^seen", NULL, NULL), 0);
	capture(run_on_console, text, sizeof(text));
	assert_non_null(strstr(text, "seen/iterations:2"));
	assert_int_equal(seen.results, 2);
	capture(pass_through, text, sizeof(text));
	assert_non_null(strstr(text, "seen/iterations:2"));
	assert_int_equal(gbench_main(2, argv), 1);
	gbench_shutdown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_iterations_are_exact),
		cmocka_unit_test(batches_are_exact_when_they_divide),
		cmocka_unit_test(a_minimal_time_is_reached),
		cmocka_unit_test(repetitions_give_aggregates),
		cmocka_unit_test(arguments_arrive),
		cmocka_unit_test(threads_run_together_and_counters_are_summed),
		cmocka_unit_test(manual_time_and_counter_flags),
		cmocka_unit_test(paused_time_is_not_counted),
		cmocka_unit_test(seconds_are_the_mean_of_the_threads),
		cmocka_unit_test(process_time_is_measured),
		cmocka_unit_test(set_up_and_tear_down_once_a_run),
		cmocka_unit_test(failures_are_reported_as_such),
		cmocka_unit_test(misuse_is_refused_not_fatal),
		cmocka_unit_test(a_reporter_sees_the_context_and_may_refuse),
		cmocka_unit_test(a_filter_selects),
		cmocka_unit_test(json_and_c_reporters_agree),
		cmocka_unit_test(the_console_and_the_pass_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
