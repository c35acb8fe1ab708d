/* Ageing traces: the contract, repeatability, laps that can be compared, survivors, leaks and their drain. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workloads/ageing.h"
#include "workloads/workload.h"

#define EVENTS 3000
#define LAPS   6

static struct trace *age(const char *spec, unsigned processors, uint64_t seed, const char *text)
{
	struct ageing_options options;
	struct trace *trace = NULL;
	char why[512] = "";

	if (ageing_parse(text, &options, why, sizeof(why)) != 0 ||
	    ageing_trace(spec, processors, EVENTS, seed, &options, &trace, why, sizeof(why)) != 0)
		fail_msg("%s, %s: %s", spec, text, why);
	return trace;
}

struct tally {
	const struct trace *trace;
	int64_t live[LAPS + 1]; /* blocks at the end of each lap; the last: at the end */
	uint64_t allocs[LAPS + 1], bytes[LAPS + 1];
	int64_t now;
	unsigned lap;
};

static int count_event(void *arg, enum trace_phase phase, unsigned processor,
		       const struct trace_event *event)
{
	struct tally *tally = arg;

	(void)processor;
	assert_int_equal(phase, TRACE_BODY);
	if (event->kind == TRACE_ALLOC) {
		tally->now++;
		tally->allocs[tally->lap]++;
		tally->bytes[tally->lap] += event->bytes;
	} else if (event->kind == TRACE_FREE) {
		tally->now--;
	} else if (event->kind == TRACE_MARK) {
		tally->live[tally->lap++] = tally->now;
	}
	return 0;
}

static struct tally count(const struct trace *trace)
{
	struct tally tally = { .trace = trace };

	assert_int_equal(trace_walk(trace, count_event, &tally), 0);
	assert_int_equal(tally.lap, LAPS);
	tally.live[LAPS] = tally.now;
	return tally;
}

static const char *const specs[] = {
	"irp-storm:files=256",
	"registry-churn:keys=256,bins=16",
	"section-mapping:files=256,cached=64",
	"object-churn:population=1024,processes=8",
	"mixed",
	"trace:disk-io",
};

static void every_workload_ages_and_keeps_the_contract(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		for (unsigned processors = 1; processors <= 2; processors++) {
			struct trace *trace = age(specs[i], processors, 7, "6");
			struct tally tally = count(trace);
			char why[512] = "";

			if (trace_validate(trace, why, sizeof(why)) != 0)
				fail_msg("%s: %s", specs[i], why);
			/* The same work first and last, survivors at every lap's end, nothing at the end. */
			assert_true(tally.allocs[0] > 0);
			assert_int_equal(tally.allocs[0], tally.allocs[LAPS - 1]);
			assert_int_equal(tally.bytes[0], tally.bytes[LAPS - 1]);
			for (unsigned lap = 0; lap < LAPS; lap++)
				assert_true(tally.live[lap] > 0);
			assert_int_equal(tally.live[LAPS], 0);
			trace_destroy(trace);
		}
	}
}

static void laps_between_do_other_work(void **state)
{
	struct trace *trace = age(specs[0], 1, 7, "6");
	struct tally tally = count(trace);

	(void)state;
	for (unsigned lap = 1; lap + 1 < LAPS; lap++)
		assert_true(tally.bytes[lap] != tally.bytes[lap - 1]);
	trace_destroy(trace);
}

static void a_seed_repeats(void **state)
{
	struct trace *a = age(specs[0], 2, 7, "6"), *b = age(specs[0], 2, 7, "6");
	struct trace *other = age(specs[0], 2, 8, "6");
	struct trace *options = age(specs[0], 2, 7, "6:survivors=0.1");

	(void)state;
	assert_true(a->checksum == b->checksum);
	assert_true(a->checksum != other->checksum);
	assert_true(a->checksum != options->checksum);
	trace_destroy(a);
	trace_destroy(b);
	trace_destroy(other);
	trace_destroy(options);
}

static void survivors_and_leaks_are_as_many_as_was_said(void **state)
{
	struct trace *none = age(specs[0], 1, 7, "6:survivors=0,leaks=0");
	struct trace *some = age(specs[0], 1, 7, "6:survivors=0.1,keep=1,leaks=0,swing=off");
	struct trace *leaks = age(specs[0], 1, 7, "6:survivors=0,leaks=0.1,drain=3,swing=off");
	struct tally tally = count(none);

	(void)state;
	for (unsigned lap = 0; lap <= LAPS; lap++)
		assert_int_equal(tally.live[lap], 0);
	/* A tenth of the lap's objects, and with keep=1 of that lap's alone. */
	tally = count(some);
	for (unsigned lap = 0; lap < LAPS; lap++) {
		assert_true((double)tally.live[lap] > 0.07 * (double)tally.allocs[lap]);
		assert_true((double)tally.live[lap] < 0.13 * (double)tally.allocs[lap]);
	}
	/* Leaks add up for three laps, and are gone in the fourth, which leaks anew. */
	tally = count(leaks);
	assert_true(tally.live[1] > tally.live[0] && tally.live[2] > tally.live[1]);
	assert_true(tally.live[3] < tally.live[1] && tally.live[5] > tally.live[4]);
	trace_destroy(none);
	trace_destroy(some);
	trace_destroy(leaks);
}

static void laps_end_where_the_marks_are(void **state)
{
	struct trace *trace = age(specs[0], 2, 7, "6");
	uint64_t ends[LAPS];

	(void)state;
	assert_int_equal(ageing_lap_ends(trace, ends, LAPS), LAPS);
	for (unsigned lap = 1; lap < LAPS; lap++)
		assert_true(ends[lap] > ends[lap - 1]);
	assert_true(ends[LAPS - 1] < trace_phase_events(trace, TRACE_BODY));
	trace_destroy(trace);
}

static void bad_words_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "0", "2 to 500 laps" },          { "1", "2 to 500 laps" },
		{ "501", "2 to 500 laps" },        { "-3", "2 to 500 laps" },
		{ "many", "2 to 500 laps" },       { "", "2 to 500 laps" },
		{ "12x", "2 to 500 laps" },        { "12:keep=0", "keep" },
		{ "12:survivors=2", "survivors" }, { "12:survivers=0.1", "survivors" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ageing_options options;
		char why[512] = "";

		assert_int_equal(ageing_parse(cases[i].text, &options, why, sizeof(why)), -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("'%s': '%s' lacks '%s'", cases[i].text, why, cases[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_workload_ages_and_keeps_the_contract),
		cmocka_unit_test(laps_between_do_other_work),
		cmocka_unit_test(a_seed_repeats),
		cmocka_unit_test(survivors_and_leaks_are_as_many_as_was_said),
		cmocka_unit_test(laps_end_where_the_marks_are),
		cmocka_unit_test(bad_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
