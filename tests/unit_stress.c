/* What stress is made of: the shadow, rounds as text, plans of failure, the table of stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench/bugcheck.h"
#include "bench/stress.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define PAGE 4096u

/* ---- the shadow ---- */

static char *const ground = (char *)0x7000000000; /* never touched, only marked */

static void shadow_sees_every_overlap(void **state)
{
	struct shadow *shadow = shadow_create();

	(void)state;
	assert_non_null(shadow);
	assert_int_equal(shadow_add(shadow, ground + 64, 100), 0);
	assert_int_equal(shadow_add(shadow, ground + 64 + 112, 16), 0);
	assert_int_equal(shadow_add(shadow, ground + 160, 8), -EEXIST);
	assert_int_equal(shadow_add(shadow, ground, 65), -EEXIST);
	shadow_remove(shadow, ground + 64, 100);
	assert_false(shadow_has(shadow, ground + 64));
	assert_true(shadow_has(shadow, ground + 176));
	assert_true(shadow_has(shadow, ground + 191));
	assert_false(shadow_has(shadow, ground + 192));
	shadow_destroy(shadow);
}

/* Every length at every place against a map of bytes, over the edges of words. */
static void shadow_agrees_with_a_map(void **state)
{
	struct shadow *shadow = shadow_create();

	(void)state;
	assert_non_null(shadow);
	for (size_t start = 960; start < 1100; start += 16) {
		for (size_t bytes = 1; bytes < 2200; bytes += 13) {
			const size_t first = start, end = start + (bytes + 15) / 16 * 16;

			assert_int_equal(shadow_add(shadow, ground + start, bytes), 0);
			for (size_t at = 0; at < 4096; at += 16)
				assert_int_equal(shadow_has(shadow, ground + at),
						 at >= first && at < end);
			shadow_remove(shadow, ground + start, bytes);
			assert_int_equal(shadow_add(shadow, ground, 4096), 0);
			shadow_remove(shadow, ground, 4096);
		}
	}
	shadow_destroy(shadow);
}

/* Blocks of pages against parts of them, both ways round, and across the end of what one table covers. */
static void shadow_knows_large_blocks(void **state)
{
	struct shadow *shadow = shadow_create();
	char *edge = ground + (1u << 30) - 2 * PAGE;

	(void)state;
	assert_non_null(shadow);
	assert_int_equal(shadow_add(shadow, edge, 4 * PAGE + 100), 0);
	assert_true(shadow_has(shadow, edge + 3 * PAGE));
	assert_true(shadow_has(shadow, edge + 4 * PAGE + 96));
	assert_false(shadow_has(shadow, edge + 4 * PAGE + 112));
	assert_int_equal(shadow_add(shadow, edge + PAGE + 32, 16), -EEXIST);
	shadow_remove(shadow, edge, 4 * PAGE + 100);
	assert_int_equal(shadow_add(shadow, edge + PAGE + 32, 16), 0);
	assert_int_equal(shadow_add(shadow, edge, 4 * PAGE), -EEXIST);
	shadow_destroy(shadow);
}

enum { CLAIMERS = 4, CLAIMS = 20000 };

struct claimer {
	struct shadow *shadow;
	pthread_mutex_t *lock;
	unsigned refused;
};

/* A sound allocator of one place: no claim may ever fail, however threads follow one another. */
static void *claim_in_turn(void *arg)
{
	struct claimer *claimer = arg;

	for (unsigned i = 0; i < CLAIMS; i++) {
		const size_t bytes = i % 3 ? 48 : 2 * PAGE + 16;

		pthread_mutex_lock(claimer->lock);
		claimer->refused += shadow_add(claimer->shadow, ground, bytes) != 0;
		shadow_remove(claimer->shadow, ground, bytes);
		pthread_mutex_unlock(claimer->lock);
	}
	return NULL;
}

static void shadow_has_no_false_alarm(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct shadow *shadow = shadow_create();
	struct claimer claimers[CLAIMERS];
	pthread_t threads[CLAIMERS];

	(void)state;
	for (unsigned i = 0; i < CLAIMERS; i++) {
		claimers[i] = (struct claimer){ shadow, &lock, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, claim_in_turn, &claimers[i]), 0);
	}
	for (unsigned i = 0; i < CLAIMERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(claimers[i].refused, 0);
	}
	shadow_destroy(shadow);
}

/* ---- rounds ---- */

static struct backend *open_backend(const char *spec)
{
	struct backend *backend = NULL;
	char why[256];

	assert_int_equal(backend_open(spec, &backend, why, sizeof(why)), 0);
	return backend;
}

static void same_seed_same_round(void **state)
{
	const struct stress_plan plan = { .threads = 4, .scenarios = UINT32_MAX };
	struct backend *backend = open_backend("nt-pool");

	(void)state;
	for (int scenario = 0; scenario < STRESS_SCENARIOS; scenario++) {
		struct stress_round one, two;
		struct trace *first, *second;
		char why[256];

		stress_round_of(&plan, backend, (enum stress_scenario)scenario, 99, &one);
		stress_round_of(&plan, backend, (enum stress_scenario)scenario, 99, &two);
		assert_memory_equal(&one, &two, sizeof(one));
		assert_int_equal(stress_trace(&one, &first, why, sizeof(why)), 0);
		assert_int_equal(stress_trace(&two, &second, why, sizeof(why)), 0);
		assert_int_equal(first->checksum, second->checksum);
		assert_int_equal(trace_validate(first, why, sizeof(why)), 0);
		trace_destroy(first);
		trace_destroy(second);
	}
	backend_close(backend);
}

static void origin_comes_back(void **state)
{
	struct backend *backend = open_backend("nt-pool");
	struct stress_round round = {
		.backend = backend,
		.scenario = STRESS_FAILURES,
		.seed = 0xFEDCBA9876543210u,
		.page_size = 65536,
		.laps = 3,
		.room_bytes = 123456,
		.faults = { 7, 8, 0.25, 0x1234567890ABCDEFu },
		.fault_types = 2,
		.verify = VERIFIER_TRACKING | VERIFIER_LOW_RESOURCES,
		.low = { 0.5, 9, POOL_TAG('I', 'r', 'p', ' '), 0 },
	};
	struct stress_round back;
	char text[2048], rule[64], spec[512], why[256];

	(void)state;
	assert_in_range(stress_origin_format(&round, "overlap", text, sizeof(text)), 1,
			sizeof(text) - 1);
	assert_int_equal(stress_origin_parse(text, &back, rule, sizeof(rule), spec, sizeof(spec),
					     why, sizeof(why)),
			 0);
	assert_string_equal(rule, "overlap");
	assert_string_equal(spec, "nt-pool");
	assert_int_equal(back.seed, round.seed);
	assert_int_equal(back.scenario, round.scenario);
	assert_int_equal(back.page_size, round.page_size);
	assert_int_equal(back.room_bytes, round.room_bytes);
	assert_int_equal(back.laps, round.laps);
	assert_int_equal(back.fault_types, round.fault_types);
	assert_int_equal(back.verify, round.verify);
	assert_int_equal(back.low.tag, round.low.tag);
	assert_int_equal(back.low.delay, round.low.delay);
	assert_memory_equal(&back.faults, &round.faults, sizeof(round.faults));
	assert_int_equal(stress_origin_parse("irp-storm", &back, rule, sizeof(rule), spec,
					     sizeof(spec), why, sizeof(why)),
			 -ENOENT);
	assert_int_equal(stress_origin_parse("stress:laps=x,backend=y", &back, rule, sizeof(rule),
					     spec, sizeof(spec), why, sizeof(why)),
			 -EINVAL);
	backend_close(backend);
}

static void plans_of_failure(void **state)
{
	struct stress_plan plan = { .threads = 1 };
	char why[256] = "";

	(void)state;
	assert_int_equal(stress_faults_parse("nth=3,probability=0.5", &plan, why, sizeof(why)), 0);
	assert_true(plan.faults_given);
	assert_int_equal(plan.faults.fail_nth, 3);
	assert_true(plan.faults.fail_probability == 0.5);
	assert_int_equal(plan.verify, 0);
	assert_int_equal(stress_faults_parse("probability=0.1,tag=Irp", &plan, why, sizeof(why)),
			 0);
	assert_int_equal(plan.low.tag, POOL_TAG('I', 'r', 'p', ' '));
	assert_int_equal(plan.verify, VERIFIER_LOW_RESOURCES);
	plan = (struct stress_plan){ 0 };
	assert_int_equal(stress_faults_parse("systematic", &plan, why, sizeof(why)), 0);
	assert_true(plan.systematic);
	assert_int_equal(stress_faults_parse("nht=3", &plan, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "nth"));
	plan = (struct stress_plan){ 0 };
	assert_int_equal(stress_faults_parse("nth=0", &plan, why, sizeof(why)), -EINVAL);
	assert_int_equal(stress_faults_parse("tag=toolong", &plan, why, sizeof(why)), -EINVAL);
}

/* Systematic failure promises every workload, and a run of each a few thousand times. */
static void every_workload_is_small(void **state)
{
	struct stress_round round = { .processors = 2, .seed = 3, .events_small = true };
	unsigned count = 0;
	char why[256];

	(void)state;
	for (; (round.workload = stress_workload(count)); count++) {
		struct trace *trace;
		uint64_t events = 0;

		assert_int_equal(stress_trace(&round, &trace, why, sizeof(why)), 0);
		assert_int_equal(trace_validate(trace, why, sizeof(why)), 0);
		for (int phase = 0; phase < TRACE_PHASES; phase++)
			events += trace_phase_events(trace, (enum trace_phase)phase);
		print_message("%s: %llu events\n", round.workload, (unsigned long long)events);
		assert_in_range(events, 200, 20000);
		trace_destroy(trace);
	}
	assert_non_null(workloads[count - 1]);
	assert_null(workloads[count]);
}

/* ---- stops ---- */

static void every_rule_has_its_stop(void **state)
{
	(void)state;
	for (const struct bugcheck_rule *rule = bugcheck_rules; rule->rule; rule++) {
		assert_string_not_equal(bugcheck_name(rule->code), "UNKNOWN_STOP");
		assert_ptr_equal(bugcheck_rule_find(rule->rule), rule);
		assert_in_range(strlen(rule->rule), 1, sizeof(((struct finding *)0)->rule) - 1);
	}
	assert_null(bugcheck_rule_find("nonsense"));
	assert_string_equal(bugcheck_name(0xC2), "BAD_POOL_CALLER");
	assert_string_equal(bugcheck_rule_of(0xC2, 7)->rule, "double-free");
}

/* Whether the text has the rule as a word of its own, between blanks, bars and line ends. */
static bool has_rule(const char *text, const char *rule)
{
	const size_t length = strlen(rule);

	for (const char *at = strstr(text, rule); at; at = strstr(at + 1, rule))
		if (at != text && strchr(" |", at[-1]) && strchr("|\n", at[length]))
			return true;
	return false;
}

/*
 * A rule that nothing breaks may be one that cannot be found broken. (A caller's mistakes are unit_verifier's; poison is
 * an address sanitizer's build's, which has tests of its own.)
 */
static void every_rule_has_a_planted_bug(void **state)
{
	static char planted[16384];
	FILE *file = fopen(PLANTED_BUGS, "re");

	(void)state;
	assert_non_null(file);
	assert_in_range(fread(planted, 1, sizeof(planted) - 1, file), 100, sizeof(planted) - 2);
	fclose(file);
	for (const struct bugcheck_rule *rule = bugcheck_rules;
	     strcmp(rule->rule, "zero-bytes") != 0; rule++)
		if (strcmp(rule->rule, "poison") != 0 && !has_rule(planted, rule->rule))
			fail_msg("no plugin of planted_bugs.txt breaks '%s'", rule->rule);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shadow_sees_every_overlap),
		cmocka_unit_test(shadow_agrees_with_a_map),
		cmocka_unit_test(shadow_knows_large_blocks),
		cmocka_unit_test(shadow_has_no_false_alarm),
		cmocka_unit_test(same_seed_same_round),
		cmocka_unit_test(origin_comes_back),
		cmocka_unit_test(plans_of_failure),
		cmocka_unit_test(every_workload_is_small),
		cmocka_unit_test(every_rule_has_its_stop),
		cmocka_unit_test(every_rule_has_a_planted_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
