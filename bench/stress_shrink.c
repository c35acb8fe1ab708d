/* Delta debugging of a round's trace; stress.h has the terms. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/stress.h"

#define ATTEMPTS_MANY_THREADS 3u

/* An object of the trace: what is left out or kept as one. */
struct shrink_event {
	uint32_t object; /* index; UINT32_MAX for a change of IRQL */
	struct trace_event event;
	uint16_t processor;
	uint8_t phase;
};

struct shrink {
	const struct stress_round *round;
	const char *rule;
	unsigned timeout_seconds;
	uint64_t end_ns;
	struct finding *finding; /* of the attempts */
	const struct trace *tables; /* whose tags the events' indices mean */
	struct shrink_event *events;
	uint64_t count;
	uint32_t *slot_object; /* which object is in a slot, while reading */
	uint32_t objects;
	unsigned char *kept, *trial; /* [objects] */
};

static int read_event(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *event)
{
	struct shrink *shrink = arg;
	struct shrink_event *place = &shrink->events[shrink->count];

	if (event->kind == TRACE_MARK)
		return 0;
	*place = (struct shrink_event){ UINT32_MAX, *event, (uint16_t)processor, (uint8_t)phase };
	if (event->kind == TRACE_ALLOC)
		shrink->slot_object[event->slot] = shrink->objects++;
	if (event->kind <= TRACE_FREE)
		place->object = shrink->slot_object[event->slot];
	shrink->count++;
	return 0;
}

/* ---- building what is left ---- */

/* A change of IRQL around nothing is left out: only those next to a kept object's event are wanted. */
static bool is_wanted(const struct shrink *shrink, uint64_t i, const unsigned char *kept)
{
	const struct shrink_event *event = &shrink->events[i];
	uint64_t j = i;

	if (event->object != UINT32_MAX)
		return kept[event->object];
	/* From a raise look forward to its first operation, from a lower back to its last. */
	for (;;) {
		if (event->event.kind == TRACE_RAISE ? ++j == shrink->count : j-- == 0)
			return false;
		if (shrink->events[j].processor != event->processor)
			continue;
		if (shrink->events[j].object == UINT32_MAX)
			return false;
		if (kept[shrink->events[j].object])
			return true;
	}
}

struct building {
	struct trace_builder *builder;
	uint32_t *handles;
	unsigned *tags;
	uint8_t *level; /* [processors] */
};

static void build_event(const struct shrink *shrink, struct building *b,
			const struct shrink_event *event)
{
	const struct trace_event *e = &event->event;
	const unsigned p = event->processor;

	trace_builder_phase(b->builder, (enum trace_phase)event->phase);
	switch (e->kind) {
	case TRACE_ALLOC:
		if (b->tags[e->tag] == UINT32_MAX)
			b->tags[e->tag] = trace_builder_tag(b->builder,
							    shrink->tables->tag_table[e->tag].tag,
							    shrink->tables->tag_table[e->tag].name);
		b->handles[event->object] = trace_builder_alloc(
			b->builder, p, e->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED,
			e->bytes, e->touch, b->tags[e->tag]);
		break;
	case TRACE_FREE:
		trace_builder_free(b->builder, p, b->handles[event->object]);
		break;
	default:
		/* Where the other half of a pair went, there is nothing to raise or to lower. */
		if (e->kind == TRACE_RAISE ? e->bytes <= b->level[p] : e->bytes >= b->level[p])
			break;
		b->level[p] = (uint8_t)e->bytes;
		trace_builder_irql(b->builder, p, (enum trace_kind)e->kind, (enum irql)e->bytes);
	}
}

/* NULL: out of memory, or not a sound trace without what was left out. */
static struct trace *build(const struct shrink *shrink, const unsigned char *kept,
			   const char *origin)
{
	const unsigned processors = shrink->tables->processors;
	struct building b = {
		.builder = trace_builder_create(processors),
		.handles = calloc((size_t)shrink->objects + 1, sizeof(*b.handles)),
		.tags = malloc(((size_t)shrink->tables->tags + 1) * sizeof(*b.tags)),
		.level = calloc(processors, 1),
	};
	struct trace *trace = NULL;
	char why[128];

	if (b.builder && b.handles && b.tags && b.level) {
		memset(b.tags, 0xFF, ((size_t)shrink->tables->tags + 1) * sizeof(*b.tags));
		for (uint64_t i = 0; i < shrink->count; i++)
			if (is_wanted(shrink, i, kept))
				build_event(shrink, &b, &shrink->events[i]);
		if (trace_builder_finish(b.builder, origin, shrink->round->seed, &trace, why,
					 sizeof(why)) != 0)
			trace = NULL;
	}
	trace_builder_destroy(b.builder);
	free(b.handles);
	free(b.tags);
	free(b.level);
	return trace;
}

/* ---- trying ---- */

static bool out_of_time(const struct shrink *shrink)
{
	return clock_read_ns(CLOCK_MONOTONIC) > shrink->end_ns;
}

static bool fails_the_same(const struct shrink *shrink, const struct stress_round *round,
			   const struct trace *trace)
{
	const unsigned attempts = trace->processors > 1 ? ATTEMPTS_MANY_THREADS : 1;

	for (unsigned i = 0; i < attempts; i++) {
		if (stress_child(stress_round_play, round, trace, shrink->timeout_seconds,
				 shrink->finding) != 0)
			return false;
		if (strcmp(shrink->finding->rule, shrink->rule) == 0)
			return true;
	}
	return false;
}

static bool still_fails(const struct shrink *shrink, const unsigned char *kept)
{
	struct trace *trace = build(shrink, kept, "attempt");
	const bool fails = trace && fails_the_same(shrink, shrink->round, trace);

	trace_destroy(trace);
	return fails;
}

static uint32_t count_kept(const struct shrink *shrink)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < shrink->objects; i++)
		count += shrink->kept[i];
	return count;
}

/* Leaves out the kept objects number first .. end-1; keeps them out if it still fails. */
static bool leave_out(struct shrink *shrink, uint32_t first, uint32_t end)
{
	uint32_t number = 0;

	memcpy(shrink->trial, shrink->kept, shrink->objects);
	for (uint32_t i = 0; i < shrink->objects; i++)
		if (shrink->kept[i]) {
			if (number >= first && number < end)
				shrink->trial[i] = 0;
			number++;
		}
	if (!still_fails(shrink, shrink->trial))
		return false;
	memcpy(shrink->kept, shrink->trial, shrink->objects);
	return true;
}

/* ddmin's complements: parts are left out, larger ones first, from the end, where what follows the fault lies. */
static void minimise(struct shrink *shrink)
{
	uint32_t left = count_kept(shrink);

	for (uint32_t part = (left + 1) / 2; part && left > 1;
	     part = part > 1 ? (part + 1) / 2 : 0) {
		for (uint32_t end = left; end > 0 && !out_of_time(shrink);) {
			const uint32_t first = end > part ? end - part : 0;

			if (leave_out(shrink, first, end))
				left -= end - first;
			end = first;
		}
		if (out_of_time(shrink))
			return;
	}
}

static int shrink_open(struct shrink *shrink, const struct trace *trace)
{
	uint64_t events = 0;

	for (int phase = 0; phase < TRACE_PHASES; phase++)
		events += trace_phase_events(trace, (enum trace_phase)phase);
	shrink->tables = trace;
	shrink->events = calloc(events + 1, sizeof(*shrink->events));
	shrink->slot_object = calloc((size_t)trace->slots + 1, sizeof(*shrink->slot_object));
	if (!shrink->events || !shrink->slot_object)
		return -ENOMEM;
	trace_walk(trace, read_event, shrink);
	shrink->kept = malloc((size_t)shrink->objects + 1);
	shrink->trial = malloc((size_t)shrink->objects + 1);
	if (!shrink->kept || !shrink->trial)
		return -ENOMEM;
	memset(shrink->kept, 1, shrink->objects);
	return 0;
}

static void shrink_close(struct shrink *shrink)
{
	free(shrink->events);
	free(shrink->slot_object);
	free(shrink->kept);
	free(shrink->trial);
}

/* The trace on one processor, if it fails there too; else NULL. */
static struct trace *fold_if_it_fails(const struct shrink *shrink, struct stress_round *round,
				      const struct trace *trace)
{
	struct trace *folded = NULL;
	struct stress_round single = *round;

	if (trace->processors == 1 || trace_fold(trace, 1, &folded) != 0)
		return NULL;
	single.processors = 1;
	if (fails_the_same(shrink, &single, folded)) {
		*round = single;
		return folded;
	}
	trace_destroy(folded);
	return NULL;
}

/* One lap, or as few as do. */
static void fewer_laps(const struct shrink *shrink, struct stress_round *round,
		       const struct trace *trace)
{
	for (unsigned laps = 1; laps < round->laps && !out_of_time(shrink); laps *= 2) {
		struct stress_round fewer = *round;

		fewer.laps = laps;
		if (fails_the_same(shrink, &fewer, trace)) {
			*round = fewer;
			return;
		}
	}
}

int stress_shrink(struct stress_round *round, const struct trace *trace, const char *rule,
		  unsigned timeout_seconds, double seconds, struct trace **out)
{
	struct shrink shrink = {
		.round = round,
		.rule = rule,
		.timeout_seconds = timeout_seconds,
		.end_ns = clock_read_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9),
		.finding = finding_create(),
	};
	struct trace *folded;
	char origin[2048];
	int error = -ENOMEM;

	if (!shrink.finding)
		return -ENOMEM;
	folded = fold_if_it_fails(&shrink, round, trace);
	if (folded)
		trace = folded;
	else if (!fails_the_same(&shrink, round, trace))
		error = -ENOENT;
	if (error != -ENOENT) {
		fewer_laps(&shrink, round, trace);
		error = shrink_open(&shrink, trace);
	}
	if (!error) {
		minimise(&shrink);
		stress_origin_format(round, rule, origin, sizeof(origin));
		*out = build(&shrink, shrink.kept, origin);
		error = *out ? 0 : -ENOMEM;
	}
	shrink_close(&shrink);
	trace_destroy(folded);
	finding_destroy(shrink.finding);
	return error;
}

/* ---- thinning ---- */

int stress_thin(const struct trace *trace, uint64_t events, struct trace **out)
{
	const struct stress_round round = { .seed = trace->seed };
	struct shrink shrink = { .round = &round };
	uint64_t every;
	int error = shrink_open(&shrink, trace);

	if (!error) {
		every = shrink.count / (events ? events : 1) + 1;
		for (uint64_t i = 0; i < shrink.count; i++)
			if (shrink.events[i].object != UINT32_MAX)
				shrink.kept[shrink.events[i].object] =
					shrink.events[i].event.slot % every == 0;
		*out = build(&shrink, shrink.kept, trace->origin);
		error = *out ? 0 : -EINVAL;
	}
	shrink_close(&shrink);
	return error;
}
