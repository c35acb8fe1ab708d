/* The planted slow-down: the same calls, the promised amount of work, calibration there and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/measure.h"
#include "bench/slowdown.h"

#define PAIRS 5000 /* 10000 events: three chunks, the last one not whole */

struct pool {
	unsigned allocs, frees;
	uint64_t order; /* a hash of the calls in their order */
};

static char block[16];

static void *count_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)type;
	(void)tag;
	pool->allocs++;
	pool->order = pool->order * 31 + bytes;
	return bytes % 7 ? block : NULL; /* some fail, and are counted */
}

static void count_free(struct pool *pool, void *freed, uint32_t tag)
{
	(void)freed;
	(void)tag;
	pool->frees++;
	pool->order = pool->order * 31 + 1;
}

static const struct pool_backend counting = {
	.abi = POOL_ABI,
	.name = "counting",
	.summary = "counts",
	.alloc = count_alloc,
	.free = count_free,
};

static struct trace *make_trace(void)
{
	struct trace_builder *builder = trace_builder_create(1);
	struct trace *trace = NULL;
	char why[256];
	unsigned tag;

	assert_non_null(builder);
	tag = trace_builder_tag(builder, POOL_TAG('S', 'l', 'o', 'w'), "slow");
	trace_builder_phase(builder, TRACE_BODY);
	for (unsigned i = 0; i < PAIRS; i++)
		trace_builder_free(
			builder, 0,
			trace_builder_alloc(builder, 0, POOL_NONPAGED, 16 + i % 500, 0, tag));
	assert_int_equal(trace_builder_finish(builder, "test", 1, &trace, why, sizeof(why)), 0);
	trace_builder_destroy(builder);
	return trace;
}

static uint64_t replay_with(struct trace *trace, uint32_t steps, struct pool *pool)
{
	const struct trace_stream *stream = &trace->streams[0];
	struct replay replay;
	uint64_t failed;

	assert_int_equal(replay_create(trace, &counting, pool, TOUCH_NONE, &replay), 0);
	failed = slowdown_replay(&replay, 0, stream->start[TRACE_BODY], stream->count[TRACE_BODY],
				 steps);
	replay_destroy(&replay);
	return failed;
}

static void the_calls_stay_the_same(void **state)
{
	struct trace *trace = make_trace();
	struct pool plain = { 0, 0, 0 }, slowed = { 0, 0, 0 };
	const uint64_t failed = replay_with(trace, 0, &plain);

	(void)state;
	assert_true(failed > 0);
	assert_int_equal(replay_with(trace, 3, &slowed), failed);
	assert_int_equal(plain.allocs, PAIRS);
	assert_int_equal(slowed.allocs, plain.allocs);
	assert_int_equal(slowed.frees, plain.frees);
	assert_true(slowed.order == plain.order);
	assert_int_equal(slowdown_chunks(trace, TRACE_BODY), 3);
	assert_int_equal(slowdown_chunks(trace, TRACE_EPILOGUE), 0);
	trace_destroy(trace);
}

/* Every step is carried out: the chain's end is that of the recurrence. */
static void every_step_is_done(void **state)
{
	uint64_t value = 12345;

	(void)state;
	for (int i = 0; i < 1000; i++)
		value = value * 0xD1342543DE82EF95u + 0x2545F4914F6CDD1Du;
	assert_true(slowdown_spin(1000, 12345) == value);
	/* and takes time: ten times the steps, several times the time, on any machine */
	assert_true(slowdown_chunk_ns(100000) > 3 * slowdown_chunk_ns(10000));
}

static double counter(const struct record *record, const char *name)
{
	for (unsigned i = 0; i < record->counters; i++)
		if (strcmp(record->counter[i].name, name) == 0)
			return (double)record->counter[i].value;
	return NAN;
}

/* A pilot's steps, planted, are reported as the share that was wanted. */
static void calibration_goes_there_and_back(void **state)
{
	static struct record pilot, slowed;
	const double ns_per_op = 20;
	double steps;

	(void)state;
	record_clear(&pilot);
	record_clear(&slowed);
	assert_true(slowdown_calibrate(&pilot, 0.03) == 0); /* it is no pilot's */
	assert_true(isnan(slowdown_true_share(&pilot, ns_per_op)));
	pilot.metrics[METRIC_ns_per_op_min] = ns_per_op;
	slowdown_report(1, 100, 400000, &pilot);
	assert_true(counter(&pilot, SLOWDOWN_COUNTER_CHUNK) == 4000);
	steps = slowdown_calibrate(&pilot, 0.03);
	assert_true(steps > 1);
	assert_true(fabs(slowdown_calibrate(&pilot, 0.06) / steps - 2) < 1e-9);
	slowdown_report((uint32_t)steps, 100, 400000, &slowed);
	assert_true(counter(&slowed, SLOWDOWN_COUNTER_STEPS) == floor(steps));
	/* both are the fastest of dozens of timings; the machine may still change speed between them */
	assert_true(slowdown_true_share(&slowed, ns_per_op) > 0.015);
	assert_true(slowdown_true_share(&slowed, ns_per_op) < 0.06);
	/* no room for counters is no reason to overrun */
	slowed.counters = RECORD_COUNTERS;
	slowdown_report(5, 100, 400000, &slowed);
	assert_int_equal(slowed.counters, RECORD_COUNTERS);
}

static void a_specification_carries_it(void **state)
{
	struct measure_spec spec, read;
	char *text, why[256];

	(void)state;
	measure_spec_init(&spec);
	assert_int_equal(spec.slowdown_steps, 0);
	strcpy(spec.cell.backend, "null");
	strcpy(spec.cell.workload, "irp-storm");
	strcpy(spec.cell.backing, "base");
	spec.cell.threads = 1;
	spec.slowdown_steps = 1234;
	text = measure_spec_format(&spec);
	assert_non_null(text);
	assert_int_equal(measure_spec_parse(text, &read, why, sizeof(why)), 0);
	assert_int_equal(read.slowdown_steps, 1234);
	free(text);
	assert_int_not_equal(measure_spec_parse("{\"backend\":\"null\",\"workload\":\"irp-storm\","
						"\"slowdown_steps\":-1}",
						&read, why, sizeof(why)),
			     0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_calls_stay_the_same),
		cmocka_unit_test(every_step_is_done),
		cmocka_unit_test(calibration_goes_there_and_back),
		cmocka_unit_test(a_specification_carries_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
