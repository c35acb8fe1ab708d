#include "workload_census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "workloads/workload.h"

struct trace *trace_of(const char *spec, unsigned processors, uint64_t events, uint64_t seed)
{
	struct trace *trace = NULL;
	char why[512] = "";

	if (workload_trace(spec, processors, events, seed, &trace, why, sizeof(why)) != 0)
		fail_msg("%s: %s", spec, why);
	if (trace_validate(trace, why, sizeof(why)) != 0)
		fail_msg("%s: %s", spec, why);
	return trace;
}

struct walk {
	const struct trace *trace;
	struct census *census;
	uint32_t irql[TRACE_MAX_PROCESSORS];
	uint64_t live_blocks, live_bytes;
	enum trace_phase phase;
};

/* FNV-1a, 64 bits at a time. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001B3u;
}

static void count_live(struct walk *walk, enum trace_phase phase, const struct trace_event *event)
{
	struct census *census = walk->census;

	if (walk->phase == TRACE_PROLOGUE && phase == TRACE_BODY) {
		census->live_blocks_start = walk->live_blocks;
		census->live_bytes_start = walk->live_bytes;
	}
	walk->phase = phase;
	if (event->kind == TRACE_ALLOC) {
		walk->live_blocks++;
		walk->live_bytes += event->bytes;
	} else if (event->kind == TRACE_FREE) {
		walk->live_blocks--;
		walk->live_bytes -= event->bytes;
	}
	if (walk->live_blocks > census->live_blocks_peak)
		census->live_blocks_peak = walk->live_blocks;
}

static void count_body(struct walk *walk, unsigned processor, const struct trace_event *event)
{
	struct census *census = walk->census;
	const bool dispatch = walk->irql[processor] == DISPATCH_LEVEL;

	switch (event->kind) {
	case TRACE_ALLOC:
		census->allocs++;
		census->allocs_at_dispatch += dispatch;
		census->bytes += event->bytes;
		census->touched += event->touch;
		if (event->bytes > census->bytes_max)
			census->bytes_max = event->bytes;
		break;
	case TRACE_FREE:
		census->frees++;
		census->frees_at_dispatch += dispatch;
		census->remote_frees += event->flags & TRACE_REMOTE ? 1 : 0;
		break;
	case TRACE_RAISE:
		census->raises++;
		break;
	default:
		break;
	}
}

static int visit(void *arg, enum trace_phase phase, unsigned processor,
		 const struct trace_event *event)
{
	struct walk *walk = arg;
	uint64_t hash = walk->census->work;

	hash = mix(hash, (uint64_t)phase << 32 | processor);
	hash = mix(hash, (uint64_t)event->bytes << 32 | event->touch);
	hash = mix(hash, (uint64_t)event->kind << 8 | event->flags);
	if (event->kind <= TRACE_FREE)
		hash = mix(hash, walk->trace->tag_table[event->tag].tag);
	walk->census->work = hash;
	if (event->kind == TRACE_RAISE || event->kind == TRACE_LOWER)
		walk->irql[processor] = event->bytes;
	count_live(walk, phase, event);
	if (phase == TRACE_BODY)
		count_body(walk, processor, event);
	return 0;
}

void census_take(const struct trace *trace, struct census *census)
{
	struct walk walk = { .trace = trace, .census = census };

	*census = (struct census){ .work = 0xCBF29CE484222325u };
	assert_int_equal(trace_walk(trace, visit, &walk), 0);
	assert_true(walk.live_blocks == 0);
}

struct tag_walk {
	struct tag_census *census;
	uint16_t tag;
};

static int visit_tag(void *arg, enum trace_phase phase, unsigned processor,
		     const struct trace_event *event)
{
	const struct tag_walk *walk = arg;
	struct tag_census *census = walk->census;
	const bool alloc = event->kind == TRACE_ALLOC;

	(void)processor;
	if (event->kind > TRACE_FREE || event->tag != walk->tag || phase == TRACE_EPILOGUE)
		return 0;
	if (phase == TRACE_PROLOGUE) {
		census->live_start += alloc ? 1 : UINT64_MAX;
		census->live_bytes_start += alloc ? event->bytes : 0 - (uint64_t)event->bytes;
		return 0;
	}
	if (!alloc) {
		census->frees++;
		census->remote_frees += event->flags & TRACE_REMOTE ? 1 : 0;
		return 0;
	}
	census->allocs++;
	census->bytes += event->bytes;
	if (event->bytes < census->bytes_min)
		census->bytes_min = event->bytes;
	if (event->bytes > census->bytes_max)
		census->bytes_max = event->bytes;
	return 0;
}

void census_take_tag(const struct trace *trace, const char *tag, struct tag_census *census)
{
	const uint32_t wanted = POOL_TAG(tag[0], tag[1], tag[2], tag[3]);
	struct tag_walk walk = { .census = census };

	*census = (struct tag_census){ .bytes_min = UINT32_MAX };
	for (unsigned i = 0; i < trace->tags; i++) {
		if (trace->tag_table[i].tag != wanted)
			continue;
		walk.tag = (uint16_t)i;
		trace_walk(trace, visit_tag, &walk);
		return;
	}
}

struct census census_of(const char *spec, unsigned processors, uint64_t events)
{
	struct trace *trace = trace_of(spec, processors, events, 1);
	struct census census;

	census_take(trace, &census);
	trace_destroy(trace);
	return census;
}

struct tag_census tag_census_of(const char *spec, const char *tag, unsigned processors,
				uint64_t events)
{
	struct trace *trace = trace_of(spec, processors, events, 1);
	struct tag_census census;

	census_take_tag(trace, tag, &census);
	trace_destroy(trace);
	return census;
}
