/* Traces: bodies that repeat, slots that cannot deadlock, folding, summaries. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random_trace.h"
#include "workloads/random.h"
#include "workloads/trace.h"

#define TAG POOL_TAG('T', 'e', 's', 't')

/* ---- a replay in miniature: processors take turns at random, waits as trace.h says ---- */

struct player {
	const struct trace *trace;
	const struct trace_event **slots; /* the allocation that fills a slot, or NULL */
	uint64_t *next; /* [processors] */
	uint64_t steps, laps;
};

/* One event of a processor, if it need not wait. */
static bool player_step(struct player *player, unsigned processor)
{
	const struct trace_event *event =
		&player->trace->streams[processor].events[player->next[processor]];

	if (event->kind == TRACE_ALLOC) {
		if (player->slots[event->slot])
			return false;
		player->slots[event->slot] = event;
	} else if (event->kind == TRACE_FREE) {
		const struct trace_event *filled = player->slots[event->slot];

		if (!filled)
			return false;
		assert_int_equal(filled->bytes, event->bytes);
		assert_int_equal(filled->tag, event->tag);
		player->slots[event->slot] = NULL;
	}
	player->next[processor]++;
	player->steps++;
	return true;
}

/* Runs a phase `laps` times without a barrier between laps, in an order drawn from `random`. */
static void play_phase(struct player *player, enum trace_phase phase, unsigned laps,
		       struct random *random)
{
	const struct trace *trace = player->trace;
	unsigned lap[TRACE_MAX_PROCESSORS] = { 0 }, running = trace->processors, stuck = 0;

	for (unsigned p = 0; p < trace->processors; p++) {
		player->next[p] = trace->streams[p].start[phase];
		if (!trace->streams[p].count[phase]) {
			lap[p] = laps;
			running--;
		}
	}
	while (running) {
		/* A greedy burst of one processor finds more trouble than fair turns. */
		const unsigned p = random_below(random, trace->processors);
		const struct trace_stream *stream = &trace->streams[p];
		unsigned burst = 1 + random_below(random, 200);
		bool moved = false;

		while (burst-- && lap[p] < laps && player_step(player, p)) {
			moved = true;
			if (player->next[p] < stream->start[phase] + stream->count[phase])
				continue;
			player->next[p] = stream->start[phase];
			if (++lap[p] == laps)
				running--;
		}
		stuck = moved ? 0 : stuck + 1;
		assert_true(stuck < 1000 * trace->processors);
	}
}

static void play(const struct trace *trace, unsigned laps, uint64_t seed)
{
	struct player player = { .trace = trace };
	struct random random;

	random_seed(&random, seed);
	player.slots = calloc(trace->slots + 1u, sizeof(*player.slots));
	player.next = calloc(trace->processors, sizeof(*player.next));
	assert_non_null(player.slots);
	assert_non_null(player.next);
	play_phase(&player, TRACE_PROLOGUE, 1, &random);
	play_phase(&player, TRACE_BODY, laps, &random);
	play_phase(&player, TRACE_EPILOGUE, 1, &random);
	for (uint32_t s = 0; s < trace->slots; s++)
		assert_null(player.slots[s]);
	free(player.slots);
	free(player.next);
}

static void assert_valid(const struct trace *trace)
{
	char why[200] = "";

	if (trace_validate(trace, why, sizeof(why)))
		fail_msg("%s", why);
}

static void bodies_repeat_in_any_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		const unsigned processors = 1 + (unsigned)(seed % 5);
		struct trace *trace = random_trace(processors, 40, 3000, seed);

		assert_valid(trace);
		for (uint64_t order = 0; order < 4; order++)
			play(trace, 3, seed * 100 + order);
		trace_destroy(trace);
	}
}

static void folded_traces_repeat_too(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct trace *trace = random_trace(5, 30, 2000, seed), *folded = NULL;
		struct trace_summary whole, part;

		trace_summarise(trace, &whole);
		for (unsigned n = 1; n <= 5; n++) {
			assert_int_equal(trace_fold(trace, n, &folded), 0);
			assert_int_equal(folded->processors, n);
			assert_valid(folded);
			play(folded, 2, seed);
			trace_summarise(folded, &part);
			assert_int_equal(part.allocs, whole.allocs);
			assert_int_equal(part.frees, whole.frees);
			assert_int_equal(part.live_bytes_peak, whole.live_bytes_peak);
			if (n == 1)
				assert_int_equal(part.remote_frees, 0);
			else
				assert_true(part.remote_frees <= whole.remote_frees);
			assert_int_equal(folded->checksum == trace->checksum, n == 5);
			trace_destroy(folded);
		}
		assert_int_equal(trace_fold(trace, 6, &folded), -ERANGE);
		assert_int_equal(trace_fold(trace, 0, &folded), -ERANGE);
		trace_destroy(trace);
	}
}

/*
 * Two processors fill what were one slot by "reuse what is free": the second could fill it before the first,
 * which then would wait for a free that only it does. Slots of their own forbid it.
 */
static void fillers_do_not_share_slots(void **state)
{
	struct trace_builder *builder = trace_builder_create(2);
	struct trace *trace = NULL;
	uint32_t a, b;

	(void)state;
	trace_builder_phase(builder, TRACE_BODY);
	trace_builder_tag(builder, TAG, "");
	a = trace_builder_alloc(builder, 0, POOL_NONPAGED, 8, 0, 0);
	trace_builder_free(builder, 0, a);
	b = trace_builder_alloc(builder, 1, POOL_NONPAGED, 8, 0, 0);
	trace_builder_free(builder, 0, b);
	assert_int_equal(trace_builder_finish(builder, "", 0, &trace, NULL, 0), 0);
	assert_valid(trace);
	assert_int_not_equal(trace->streams[0].events[0].slot / 8,
			     trace->streams[1].events[0].slot / 8);
	trace_destroy(trace);
	trace_builder_destroy(builder);
}

/* Replaces objects one by one, the new one before the old one goes: every lap overlaps. */
static void overlapping_replacement_is_settled(void **state)
{
	struct trace_builder *builder = trace_builder_create(1);
	struct trace_summary summary;
	struct trace *trace = NULL;
	uint32_t live[10], fresh;

	(void)state;
	trace_builder_tag(builder, TAG, "");
	for (unsigned i = 0; i < 10; i++)
		live[i] = trace_builder_alloc(builder, 0, POOL_PAGED, 100, 100, 0);
	trace_builder_phase(builder, TRACE_BODY);
	for (unsigned i = 0; i < 40; i++) {
		fresh = trace_builder_alloc(builder, 0, POOL_PAGED, 100, 100, 0);
		trace_builder_free(builder, 0, live[i % 10]);
		live[i % 10] = fresh;
	}
	assert_int_equal(trace_builder_live_blocks(builder), 10);
	assert_int_equal(trace_builder_live_bytes(builder), 1000);
	assert_int_equal(trace_builder_events(builder), 80);
	assert_int_equal(trace_builder_finish(builder, "", 0, &trace, NULL, 0), 0);
	assert_valid(trace);
	play(trace, 5, 1);
	trace_summarise(trace, &summary);
	assert_int_equal(summary.live_bytes_body, 1000);
	assert_int_equal(summary.live_blocks_peak, 11);
	assert_int_equal(trace_phase_events(trace, TRACE_BODY), 80); /* all found a partner */
	assert_int_equal(trace_phase_events(trace, TRACE_EPILOGUE), 10);
	trace_destroy(trace);
	trace_builder_destroy(builder);
}

static void bodies_that_drift_are_refused(void **state)
{
	struct trace_builder *builder = trace_builder_create(1);
	struct trace *trace = NULL;
	char why[200] = "";

	(void)state;
	trace_builder_tag(builder, TAG, "");
	trace_builder_phase(builder, TRACE_BODY);
	for (unsigned i = 0; i < 17; i++)
		trace_builder_alloc(builder, 0, POOL_PAGED, 100, 100, 0);
	assert_int_equal(trace_builder_finish(builder, "", 0, &trace, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "17 objects too many and 0 too few"));
	assert_null(trace);
	trace_builder_destroy(builder);
}

/* What remains of a body that ends unequal is settled, and the workload's own epilogue still adds up. */
static void small_drift_is_settled(void **state)
{
	struct trace_builder *builder = trace_builder_create(2);
	struct trace *trace = NULL;
	uint32_t old, young;

	(void)state;
	trace_builder_tag(builder, TAG, "");
	old = trace_builder_alloc(builder, 0, POOL_PAGED, 100, 0, 0);
	trace_builder_phase(builder, TRACE_BODY);
	young = trace_builder_alloc(builder, 1, POOL_PAGED, 100, 0, 0);
	trace_builder_alloc(builder, 1, POOL_PAGED, 50, 0, 0);
	trace_builder_free(builder, 1, old);
	trace_builder_phase(builder, TRACE_EPILOGUE);
	trace_builder_free(builder, 0, young);
	assert_int_equal(trace_builder_finish(builder, "", 0, &trace, NULL, 0), 0);
	assert_valid(trace);
	play(trace, 4, 9);
	/* 3 of its own, two frees, one allocation; then the free of what stands in for `young` */
	assert_int_equal(trace_phase_events(trace, TRACE_BODY), 6);
	assert_int_equal(trace_phase_events(trace, TRACE_EPILOGUE), 1);
	assert_int_equal(trace->streams[0].count[TRACE_EPILOGUE], 1);
	trace_destroy(trace);
	trace_builder_destroy(builder);
}

static void summaries_count(void **state)
{
	struct trace_builder *builder = trace_builder_create(2);
	struct trace_summary summary;
	struct trace *trace = NULL;
	uint32_t a, b;

	(void)state;
	trace_builder_tag(builder, TAG, "");
	a = trace_builder_alloc(builder, 0, POOL_PAGED, 1000, 0, 0);
	trace_builder_phase(builder, TRACE_BODY);
	trace_builder_irql(builder, 1, TRACE_RAISE, DISPATCH_LEVEL);
	b = trace_builder_alloc(builder, 1, POOL_NONPAGED, 24, 8, 0);
	trace_builder_irql(builder, 1, TRACE_LOWER, PASSIVE_LEVEL);
	trace_builder_mark(builder, 1, "half");
	trace_builder_free(builder, 0, b);
	trace_builder_phase(builder, TRACE_EPILOGUE);
	trace_builder_free(builder, 0, a);
	assert_int_equal(trace_builder_finish(builder, "two", 7, &trace, NULL, 0), 0);
	trace_summarise(trace, &summary);
	assert_int_equal(summary.events, 7);
	assert_int_equal(summary.allocs, 2);
	assert_int_equal(summary.frees, 2);
	assert_int_equal(summary.remote_frees, 1);
	assert_int_equal(summary.raises, 1);
	assert_int_equal(summary.allocs_at_dispatch, 1);
	assert_int_equal(summary.bytes_allocated, 1024);
	assert_int_equal(summary.live_bytes_peak, 1024);
	assert_int_equal(summary.live_blocks_peak, 2);
	assert_int_equal(summary.live_bytes_body, 1000);
	assert_int_equal(summary.bytes_max, 1000);
	assert_int_equal(summary.allocs_of_type[POOL_PAGED], 1);
	assert_string_equal(trace->origin, "two");
	assert_string_equal(trace->mark_names[0], "half");
	/* Content alone makes the checksum: a constant, so that a change of it is noticed. */
	assert_true(trace->checksum == 0xC4B23B79771827E9u);
	trace_destroy(trace);
	trace_builder_destroy(builder);
}

static void expect_misuse(struct trace_builder *builder, const char *expect)
{
	struct trace *trace = NULL;
	char why[200] = "";

	assert_int_equal(trace_builder_finish(builder, "", 0, &trace, why, sizeof(why)), -EINVAL);
	if (!strstr(why, expect))
		fail_msg("'%s' lacks '%s'", why, expect);
	assert_null(trace);
	trace_builder_destroy(builder);
}

static struct trace_builder *one_object(uint32_t *handle)
{
	struct trace_builder *builder = trace_builder_create(1);

	trace_builder_tag(builder, TAG, "");
	*handle = trace_builder_alloc(builder, 0, POOL_PAGED, 1, 1, 0);
	return builder;
}

static void misuse_is_told(void **state)
{
	struct trace_builder *builder;
	uint32_t handle;

	(void)state;
	builder = one_object(&handle);
	trace_builder_free(builder, 0, handle);
	trace_builder_free(builder, 0, handle);
	expect_misuse(builder, "not live");
	builder = one_object(&handle);
	trace_builder_alloc(builder, 0, POOL_PAGED, 0, 0, 0);
	expect_misuse(builder, "0 bytes");
	builder = one_object(&handle);
	trace_builder_alloc(builder, 0, POOL_PAGED, 4, 5, 0);
	expect_misuse(builder, "5 touched");
	builder = one_object(&handle);
	trace_builder_alloc(builder, 1, POOL_PAGED, 4, 4, 0);
	expect_misuse(builder, "processor 1 of 1");
	builder = one_object(&handle);
	trace_builder_alloc(builder, 0, POOL_PAGED, 4, 4, 1);
	expect_misuse(builder, "tag index 1 of 1");
	builder = one_object(&handle);
	trace_builder_irql(builder, 0, TRACE_RAISE, DISPATCH_LEVEL);
	trace_builder_free(builder, 0, handle);
	expect_misuse(builder, "paged free at DISPATCH_LEVEL");
	builder = one_object(&handle);
	trace_builder_irql(builder, 0, TRACE_LOWER, PASSIVE_LEVEL);
	expect_misuse(builder, "IRQL");
	builder = one_object(&handle);
	trace_builder_irql(builder, 0, TRACE_RAISE, APC_LEVEL);
	expect_misuse(builder, "IRQL 1");
	builder = one_object(&handle);
	trace_builder_phase(builder, TRACE_BODY);
	trace_builder_phase(builder, TRACE_PROLOGUE);
	expect_misuse(builder, "phase 0 after phase 1");
	assert_null(trace_builder_create(0));
	assert_null(trace_builder_create(TRACE_MAX_PROCESSORS + 1));
	trace_builder_destroy(NULL);
	trace_destroy(NULL);
}

/* Each kind of damage to a good trace must be found: a checker that passes all would pass the tests above. */
static void damage_is_found(void **state)
{
	unsigned found = 0, tried = 0;
	struct random random;

	(void)state;
	random_seed(&random, 5);
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct trace *trace = random_trace(2, 10, 200, 2 + seed % 3);
		struct trace_stream *stream = &trace->streams[random_below(&random, 2)];
		struct trace_event *event;

		do
			event = &stream->events[random_below(&random, (uint32_t)stream->total)];
		while (event->kind > TRACE_FREE);
		tried++;
		switch (seed % 6) {
		case 0:
			event->slot = (event->slot + 1) % trace->slots;
			break;
		case 1:
			event->bytes++;
			break;
		case 2:
			event->flags ^= event->kind == TRACE_FREE ? TRACE_REMOTE : 1u << 3;
			break;
		case 3:
			event->kind = event->kind == TRACE_FREE ? TRACE_ALLOC : TRACE_FREE;
			break;
		case 4:
			event->tag = (uint16_t)((event->tag + 1) % trace->tags);
			break;
		default:
			event->touch = event->bytes + 1;
			break;
		}
		found += trace_validate(trace, NULL, 0) == -EINVAL;
		trace_destroy(trace);
	}
	assert_int_equal(found, tried);
}

static void same_seed_same_trace(void **state)
{
	struct trace *a = random_trace(3, 20, 1000, 11), *b = random_trace(3, 20, 1000, 11);
	struct trace *c = random_trace(3, 20, 1000, 12);

	(void)state;
	assert_true(a->checksum == b->checksum);
	assert_true(a->checksum != c->checksum);
	trace_destroy(a);
	trace_destroy(b);
	trace_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_repeat_in_any_order),
		cmocka_unit_test(folded_traces_repeat_too),
		cmocka_unit_test(fillers_do_not_share_slots),
		cmocka_unit_test(overlapping_replacement_is_settled),
		cmocka_unit_test(bodies_that_drift_are_refused),
		cmocka_unit_test(small_drift_is_settled),
		cmocka_unit_test(summaries_count),
		cmocka_unit_test(misuse_is_told),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(same_seed_same_trace),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
