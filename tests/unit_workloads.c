/* What every workload promises: the same bytes on any machine, laps that repeat, the rules of the pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workload_census.h"
#include "workloads/workload.h"

#define EVENTS 20000u

/*
 * The work of seed 1 on two processors. These numbers hold on every machine: whoever changes them changes
 * what a seed means, and published results with it.
 */
static const struct {
	const char *spec;
	uint64_t work;
} golden[] = {
	{ "irp-storm", 0xE6D18CAA7E17A3D0 },
	{ "registry-churn", 0xD9CE35C826A9CAB2 },
	{ "section-mapping:files=4096,cached=1024", 0xE8306951EC8B9A71 },
	{ "object-churn:population=8192,processes=32", 0x4BF54B37FE0937C9 },
	{ "mixed", 0xCF43C0B2F5B48433 },
	{ "robson:live=1M", 0x879DB38A0C8BCA15 },
	{ "misfit:live=1M", 0x33ECD2AC791753D9 },
	{ "pinning:live=1M", 0x73232F6C2FFF52A5 },
	{ "rounding:live=1M,largest=2000", 0x7C429679D9331C40 },
	{ "redis-deletion:live=1M", 0x01445E9F2D5BBF45 },
	{ "redis-eviction:maxmemory=1M", 0xA56870D3834B439D },
	{ "producer-consumer:live=1M,pin=4096", 0xB77D575BDF583EE5 },
	{ "threadtest", 0x9BC9E63526C7F915 },
	{ "larson", 0xE98AA1682AF3FF96 },
	{ "xmalloc", 0xFD03236A96433CF9 },
};

#define GOLDEN (sizeof(golden) / sizeof(golden[0]))

/* Of both classes. */
static const struct workload *all_workloads[64];

static int collect_workloads(void **state)
{
	size_t count = 0;

	(void)state;
	for (const struct workload *const *w = workloads; *w; w++)
		all_workloads[count++] = *w;
	for (const struct workload *const *w = literature_workloads; *w; w++)
		all_workloads[count++] = *w;
	return 0;
}

static void same_work_on_any_machine(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOLDEN; i++) {
		const struct census census = census_of(golden[i].spec, 2, EVENTS);

		if (census.work != golden[i].work)
			fail_msg("%s: work 0x%016llx, golden 0x%016llx", golden[i].spec,
				 (unsigned long long)census.work,
				 (unsigned long long)golden[i].work);
	}
}

static void every_workload_has_a_golden_value(void **state)
{
	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++) {
		size_t found = 0;

		for (size_t i = 0; i < GOLDEN; i++) {
			const size_t bytes = strlen((*w)->name);

			found += strncmp(golden[i].spec, (*w)->name, bytes) == 0 &&
				 (golden[i].spec[bytes] == ':' || golden[i].spec[bytes] == '\0');
		}
		assert_int_equal(found, 1);
	}
}

static void seed_decides(void **state)
{
	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++) {
		struct trace *first = trace_of((*w)->name, 2, EVENTS, 7);
		struct trace *again = trace_of((*w)->name, 2, EVENTS, 7);
		struct trace *other = trace_of((*w)->name, 2, EVENTS, 8);

		assert_true(first->checksum == again->checksum);
		assert_true(first->checksum != other->checksum);
		assert_int_equal(first->seed, 7);
		assert_false(first->recorded);
		for (unsigned p = 0; p < 2; p++) {
			assert_true(first->streams[p].total == again->streams[p].total);
			assert_memory_equal(first->streams[p].events, again->streams[p].events,
					    first->streams[p].total * sizeof(struct trace_event));
		}
		trace_destroy(first);
		trace_destroy(again);
		trace_destroy(other);
	}
}

/* The origin names every option, and makes the same trace again. */
static void origin_is_a_spec(void **state)
{
	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++) {
		struct trace *first = trace_of((*w)->name, 2, EVENTS, 1);
		struct trace *again = trace_of(first->origin, 2, EVENTS, 1);

		for (const struct option_def *option = (*w)->options; option->name; option++)
			assert_non_null(strstr(first->origin, option->name));
		assert_string_equal(first->origin, again->origin);
		assert_true(first->checksum == again->checksum);
		trace_destroy(first);
		trace_destroy(again);
	}
}

static void assert_events(const char *spec, unsigned processors, uint64_t events)
{
	struct trace *trace = trace_of(spec, processors, events, 1);
	const uint64_t body = trace_phase_events(trace, TRACE_BODY);

	if (body < events * 92 / 100 || body > events * 108 / 100)
		fail_msg("%s: %llu events, %llu asked for", spec, (unsigned long long)body,
			 (unsigned long long)events);
	for (unsigned p = 0; p < processors; p++) {
		const uint64_t mine = trace->streams[p].count[TRACE_BODY] * processors;

		if (mine < body * 80 / 100 || mine > body * 120 / 100)
			fail_msg("%s: processor %u of %u has %llu of %llu events", spec, p,
				 processors, (unsigned long long)(mine / processors),
				 (unsigned long long)body);
	}
	assert_int_equal(trace->processors, processors);
	trace_destroy(trace);
}

static void as_many_events_as_asked_evenly_spread(void **state)
{
	static const unsigned processors[] = { 1, 2, 4, 7 };

	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++)
		for (size_t i = 0; i < sizeof(processors) / sizeof(processors[0]); i++)
			assert_events((*w)->name, processors[i], 65536ull * processors[i]);
}

/* Short bodies are for tests of what uses the trace: they must be valid, and not much longer than asked. */
static void short_bodies_work(void **state)
{
	static const uint64_t events[] = { 1, 10, 100, 1000, 5000 };

	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++) {
		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
			struct trace *trace = trace_of((*w)->name, 2, events[i], 3);

			assert_in_range(trace_phase_events(trace, TRACE_BODY), 1, events[i] + 4000);
			trace_destroy(trace);
		}
	}
}

/* ---- laps ---- */

struct player {
	const struct trace *trace;
	struct content {
		uint32_t bytes; /* 0: empty */
		uint16_t tag;
		uint8_t flags;
	} * slots, *start;
	enum trace_phase phase; /* the one to be played */
};

static int play(void *arg, enum trace_phase phase, unsigned processor,
		const struct trace_event *event)
{
	struct player *player = arg;
	struct content *content = &player->slots[event->slot];

	(void)processor;
	if (phase != player->phase || event->kind > TRACE_FREE)
		return 0;
	if (event->kind == TRACE_ALLOC) {
		assert_int_equal(content->bytes, 0);
		*content = (struct content){ event->bytes, event->tag, event->flags & TRACE_PAGED };
		return 0;
	}
	assert_int_equal(content->bytes, event->bytes);
	assert_int_equal(content->tag, event->tag);
	assert_int_equal(content->flags, event->flags & TRACE_PAGED);
	*content = (struct content){ 0 };
	return 0;
}

static void play_phase(struct player *player, enum trace_phase phase)
{
	player->phase = phase;
	trace_walk(player->trace, play, player);
}

static void laps_end_as_they_began(void **state)
{
	(void)state;
	for (const struct workload *const *w = all_workloads; *w; w++) {
		struct trace *trace = trace_of((*w)->name, 4, EVENTS, 5);
		const size_t bytes = trace->slots * sizeof(struct content);
		struct player player = { .trace = trace };

		player.slots = calloc(1, bytes);
		player.start = calloc(1, bytes);
		assert_non_null(player.slots);
		assert_non_null(player.start);
		play_phase(&player, TRACE_PROLOGUE);
		memcpy(player.start, player.slots, bytes);
		for (unsigned lap = 0; lap < 3; lap++) {
			play_phase(&player, TRACE_BODY);
			assert_memory_equal(player.start, player.slots, bytes);
		}
		play_phase(&player, TRACE_EPILOGUE);
		memset(player.start, 0, bytes);
		assert_memory_equal(player.start, player.slots, bytes);
		free(player.slots);
		free(player.start);
		trace_destroy(trace);
	}
}

/* ---- sizes, tags and pools, restated from the published tables rather than taken from the code ---- */

enum rule {
	EXACT, /* the structure alone */
	EXECUTIVE, /* an object header (0x30) and up to 0x30 of optional headers in front */
	AT_LEAST, /* the structure and a variable part in steps of `step` */
};

struct expected {
	const char *tag;
	enum pool_type pool;
	enum rule rule;
	uint32_t body_7sp1, body_22631, step;
};

static const struct expected expected[] = {
	{ "Irp ", POOL_NONPAGED, AT_LEAST, 0xD0 + 0x48, 0xD0 + 0x48, 0x48 },
	{ "IrpX", POOL_NONPAGED, EXACT, 0, 0x50, 0 },
	{ "Mdl ", POOL_NONPAGED, AT_LEAST, 0x30 + 8 * 23, 0x30 + 8 * 23, 8 },
	{ "Io  ", POOL_NONPAGED, AT_LEAST, 16, 16, 1 },
	{ "File", POOL_NONPAGED, EXECUTIVE, 0xD8, 0xD8, 0 },
	{ "IoNm", POOL_PAGED, AT_LEAST, 36, 36, 1 },
	{ "IoWI", POOL_NONPAGED, EXACT, 0x40, 0x58, 0 },
	{ "Icp ", POOL_NONPAGED, EXACT, 0x50, 0x50, 0 },
	{ "Even", POOL_NONPAGED, EXECUTIVE, 0x18, 0x18, 0 },
	{ "Sema", POOL_NONPAGED, EXECUTIVE, 0x20, 0x20, 0 },
	{ "Muta", POOL_NONPAGED, EXECUTIVE, 0x38, 0x38, 0 },
	{ "Proc", POOL_NONPAGED, EXECUTIVE, 0x4D0, 0xB80, 0 },
	{ "Thre", POOL_NONPAGED, EXECUTIVE, 0x498, 0x900, 0 },
	{ "Toke", POOL_PAGED, AT_LEAST, 0x310 + 0x30, 0x498 + 0x30, 8 },
	{ "Obtb", POOL_PAGED, AT_LEAST, 0x68, 0x80, 8 },
	{ "Key ", POOL_PAGED, EXECUTIVE, 0x58, 0x70, 0 },
	{ "CMkb", POOL_PAGED, EXACT, 0x128, 0x138, 0 },
	{ "CMNb", POOL_PAGED, AT_LEAST, 0x1A, 0x1A, 1 },
	{ "CMnb", POOL_PAGED, EXACT, 0x58, 0x58, 0 },
	{ "CMUw", POOL_PAGED, EXACT, 0x60, 0x78, 0 },
	{ "CMTr", POOL_PAGED, EXACT, 0xA8, 0xB8, 0 },
	{ "CMIn", POOL_PAGED, AT_LEAST, 8, 8, 8 },
	{ "CMVa", POOL_PAGED, AT_LEAST, 8, 8, 1 },
	{ "CM25", POOL_PAGED, AT_LEAST, 4096, 4096, 4096 },
	{ "Sect", POOL_PAGED, EXECUTIVE, 0x30, 0x40, 0 },
	{ "MmSg", POOL_PAGED, EXACT, 0x50, 0x48, 0 },
	{ "MmSm", POOL_PAGED, EXACT, 0x30, 0x30, 0 },
	{ "MmCa", POOL_NONPAGED, AT_LEAST, 0x80 + 0x38, 0x80 + 0x38, 0x30 },
	{ "MmCi", POOL_NONPAGED, AT_LEAST, 0x80 + 2 * 0x38, 0x80 + 2 * 0x38, 0x38 },
	{ "MmSd", POOL_NONPAGED, EXACT, 0x68, 0x98, 0 },
	{ "MmSt", POOL_PAGED, AT_LEAST, 8, 8, 8 },
	{ "Vad ", POOL_NONPAGED, EXACT, 0x78, 0x88, 0 },
	{ "VadS", POOL_NONPAGED, EXACT, 0x40, 0x40, 0 },
	{ "CcSc", POOL_NONPAGED, EXACT, 0x1F8, 0x260, 0 },
	{ "CcPc", POOL_NONPAGED, EXACT, 0x68, 0x78, 0 },
};

#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

struct inspection {
	const struct trace *trace;
	bool old; /* version 7sp1 */
	uint64_t seen[EXPECTED];
};

static bool size_fits(const struct expected *want, bool old, uint32_t bytes)
{
	const uint32_t body = old ? want->body_7sp1 : want->body_22631;

	switch (want->rule) {
	case EXACT:
		return bytes == body;
	case EXECUTIVE:
		return bytes >= body + 0x30 && bytes <= body + 0x60 && (bytes - body) % 0x10 == 0;
	case AT_LEAST:
		return bytes >= body && (bytes - body) % want->step == 0;
	}
	return false;
}

static int inspect(void *arg, enum trace_phase phase, unsigned processor,
		   const struct trace_event *event)
{
	struct inspection *inspection = arg;
	uint32_t tag;

	(void)phase;
	(void)processor;
	if (event->kind != TRACE_ALLOC)
		return 0;
	assert_in_range(event->bytes, 1, 4u << 20);
	assert_in_range(event->touch, 0, event->bytes);
	tag = inspection->trace->tag_table[event->tag].tag;
	for (size_t i = 0; i < EXPECTED; i++) {
		const char *name = expected[i].tag;

		if (tag != POOL_TAG(name[0], name[1], name[2], name[3]))
			continue;
		if (!size_fits(&expected[i], inspection->old, event->bytes))
			fail_msg("'%s' of %u bytes", name, event->bytes);
		assert_int_equal(event->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED,
				 expected[i].pool);
		inspection->seen[i]++;
		return 0;
	}
	fail_msg("tag %08x is not in the tables", tag);
	return 0;
}

static void sizes_tags_and_pools_are_the_published_ones(void **state)
{
	static const char *const versions[] = { "7sp1", "22631" };

	(void)state;
	for (size_t v = 0; v < 2; v++) {
		struct inspection inspection = { .old = v == 0 };
		char spec[64];

		snprintf(spec, sizeof(spec), "mixed:version=%s", versions[v]);
		inspection.trace = trace_of(spec, 2, 200000, 1);
		trace_walk(inspection.trace, inspect, &inspection);
		for (size_t i = 0; i < EXPECTED; i++)
			if (!inspection.seen[i] && !(v == 0 && expected[i].body_7sp1 == 0))
				fail_msg("%s: no '%s' in the mixture", spec, expected[i].tag);
		trace_destroy((struct trace *)inspection.trace);
	}
}

static void pools_are_those_of_the_workload(void **state)
{
	struct trace_summary summary;
	struct trace *trace;

	(void)state;
	trace = trace_of("irp-storm", 2, EVENTS, 1);
	trace_summarise(trace, &summary);
	assert_true(summary.allocs_of_type[POOL_PAGED] == 0);
	trace_destroy(trace);
	trace = trace_of("registry-churn", 2, EVENTS, 1);
	trace_summarise(trace, &summary);
	assert_true(summary.allocs_of_type[POOL_NONPAGED] == 0);
	trace_destroy(trace);
	for (size_t i = 0; i < 2; i++) {
		trace = trace_of(i ? "section-mapping" : "object-churn", 2, EVENTS, 1);
		trace_summarise(trace, &summary);
		assert_true(summary.allocs_of_type[POOL_NONPAGED] * 5 > summary.allocs);
		assert_true(summary.allocs_of_type[POOL_PAGED] * 5 > summary.allocs);
		trace_destroy(trace);
	}
}

/* Bounds that the default comparison relies on: ratios to what is live mean something, and small machines can run it. */
static void footprints_are_moderate(void **state)
{
	(void)state;
	for (const struct workload *const *w = workloads; *w; w++) {
		struct trace *trace = trace_of((*w)->name, 1, 131072, 1);
		struct trace_summary summary;

		trace_summarise(trace, &summary);
		assert_in_range(summary.live_bytes_peak, 1280 << 10, 128 << 20);
		assert_in_range(summary.bytes_max, 1, 4 << 20);
		trace_destroy(trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_work_on_any_machine),
		cmocka_unit_test(every_workload_has_a_golden_value),
		cmocka_unit_test(seed_decides),
		cmocka_unit_test(origin_is_a_spec),
		cmocka_unit_test(as_many_events_as_asked_evenly_spread),
		cmocka_unit_test(short_bodies_work),
		cmocka_unit_test(laps_end_as_they_began),
		cmocka_unit_test(sizes_tags_and_pools_are_the_published_ones),
		cmocka_unit_test(pools_are_those_of_the_workload),
		cmocka_unit_test(footprints_are_moderate),
	};

	return cmocka_run_group_tests(tests, collect_workloads, NULL);
}
