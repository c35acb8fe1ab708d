/* trace_builder_finish: chooses the slots, cuts the streams (trace.h, theory 4 and the rules of finish). */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

#define SLOT_NONE  UINT32_MAX
#define SLOT_GROUP 8u /* 8-byte slots in a cache line of 64 bytes */
#define SLOT_SLACK 1024u /* empty slots that a pool between two processors keeps before it reuses one */

/* The slots of one pair of processors in one phase: a queue of empty ones, and what is left of a group. */
struct slot_pool {
	uint32_t first, last, count;
	uint32_t group_next, group_left;
};

struct slot_chooser {
	unsigned processors;
	struct slot_pool
		*pools; /* [processors][processors + 1]; the last column: not freed in the phase */
	uint32_t *next; /* [slots]: queues of pools, and the list of free groups */
	uint64_t next_capacity;
	uint32_t slots;
	uint32_t free_groups; /* first slot of each, linked by `next` */
};

static int chooser_init(struct slot_chooser *chooser, unsigned processors)
{
	*chooser = (struct slot_chooser){ .processors = processors, .free_groups = SLOT_NONE };
	chooser->pools = calloc((size_t)processors * (processors + 1), sizeof(*chooser->pools));
	return chooser->pools ? 0 : -ENOMEM;
}

static void chooser_destroy(struct slot_chooser *chooser)
{
	free(chooser->pools);
	free(chooser->next);
}

static struct slot_pool *pool_of(struct slot_chooser *chooser, unsigned from, unsigned to)
{
	return &chooser->pools[(size_t)from * (chooser->processors + 1) + to];
}

static int group_take(struct slot_chooser *chooser, struct slot_pool *pool)
{
	if (chooser->free_groups != SLOT_NONE) {
		pool->group_next = chooser->free_groups;
		chooser->free_groups = chooser->next[chooser->free_groups];
	} else {
		if (chooser->slots > UINT32_MAX - 2 * SLOT_GROUP)
			return -EOVERFLOW;
		if (trace_reserve((void **)&chooser->next, &chooser->next_capacity,
				  chooser->slots + SLOT_GROUP, sizeof(*chooser->next)))
			return -ENOMEM;
		pool->group_next = chooser->slots;
		chooser->slots += SLOT_GROUP;
	}
	pool->group_left = SLOT_GROUP;
	return 0;
}

static int slot_take(struct slot_chooser *chooser, unsigned from, unsigned to, uint32_t *slot)
{
	struct slot_pool *pool = pool_of(chooser, from, to);
	int ret;

	if (pool->count > (from == to ? 0 : SLOT_SLACK)) {
		*slot = pool->first;
		pool->first = chooser->next[*slot];
		pool->count--;
		return 0;
	}
	if (!pool->group_left) {
		ret = group_take(chooser, pool);
		if (ret)
			return ret;
	}
	*slot = pool->group_next++;
	pool->group_left--;
	return 0;
}

static void slot_give(struct slot_chooser *chooser, unsigned from, unsigned to, uint32_t slot)
{
	struct slot_pool *pool = pool_of(chooser, from, to);

	if (!pool->count) {
		pool->first = pool->last = slot;
	} else if (from == to) {
		chooser->next[slot] = pool->first;
		pool->first = slot;
	} else {
		chooser->next[pool->last] = slot;
		pool->last = slot;
	}
	pool->count++;
}

/* At the end of a phase what was freed in it is empty: its groups may go to other processors. */
static void chooser_new_phase(struct slot_chooser *chooser)
{
	for (unsigned from = 0; from < chooser->processors; from++) {
		for (unsigned to = 0; to < chooser->processors; to++) {
			struct slot_pool *pool = pool_of(chooser, from, to);
			uint32_t slot = pool->first;
			uint32_t count = pool->count;

			while (count--) {
				const uint32_t next = chooser->next[slot];

				/* A group's first slot stands for it: all its slots are empty or unused. */
				if (slot % SLOT_GROUP == 0) {
					chooser->next[slot] = chooser->free_groups;
					chooser->free_groups = slot;
				}
				slot = next;
			}
			*pool = (struct slot_pool){ 0 };
		}
	}
}

/* The column of an object's pool: who frees it, or that it outlives the phase. */
static unsigned fate(const struct trace_builder *builder, const struct built_object *object)
{
	return object->freed_in == object->born_in ? object->freed_on : builder->processors;
}

static int slot_alloc(struct slot_chooser *chooser, struct trace_builder *builder,
		      struct built_object *object)
{
	if (object->born_in == TRACE_BODY && object->partner != OBJECT_NONE &&
	    object->freed_in != TRACE_BODY) {
		object->slot = builder->objects[object->partner].slot;
		return 0;
	}
	return slot_take(chooser, object->born_on, fate(builder, object), &object->slot);
}

/* Whether what is freed here was allocated by another processor: of laps, by the lap before. */
static bool is_remote(const struct trace_builder *builder, const struct built_object *object)
{
	const bool departed = object->born_in == TRACE_PROLOGUE && object->freed_in == TRACE_BODY;
	const struct built_object *born = departed ? &builder->objects[object->partner] : object;

	return born->born_on != object->freed_on;
}

static struct trace_event event_make(const struct trace_builder *builder,
				     const struct built_event *built)
{
	struct trace_event event = { .kind = built->kind };
	const struct built_object *object;

	switch (built->kind) {
	case TRACE_ALLOC:
	case TRACE_FREE:
		object = &builder->objects[built->value];
		event.slot = object->slot;
		event.bytes = object->bytes;
		event.tag = object->tag;
		if (object->type == POOL_PAGED)
			event.flags = TRACE_PAGED;
		if (built->kind == TRACE_ALLOC)
			event.touch = object->touch;
		else if (is_remote(builder, object))
			event.flags |= TRACE_REMOTE;
		break;
	case TRACE_MARK:
		event.slot = built->value;
		break;
	default:
		event.bytes = built->value;
		break;
	}
	return event;
}

static int emit(struct trace_builder *builder, struct slot_chooser *chooser,
		struct trace_sink *sink)
{
	enum trace_phase phase = TRACE_PROLOGUE;
	int ret;

	for (uint64_t i = 0; i < builder->count; i++) {
		const struct built_event *built = &builder->events[i];
		struct built_object *object = NULL;
		struct trace_event event;

		while (phase < TRACE_EPILOGUE && i >= builder->begin[phase + 1]) {
			chooser_new_phase(chooser);
			trace_sink_phase(sink, ++phase);
		}
		if (built->kind <= TRACE_FREE)
			object = &builder->objects[built->value];
		if (built->kind == TRACE_ALLOC) {
			ret = slot_alloc(chooser, builder, object);
			if (ret)
				return ret;
		}
		event = event_make(builder, built);
		ret = trace_sink_put(sink, built->processor, &event);
		if (ret)
			return ret;
		if (built->kind == TRACE_FREE && object->born_in == phase)
			slot_give(chooser, object->born_on, object->freed_on, object->slot);
	}
	return 0;
}

/* Tags, marks and origin go from the builder to the trace. */
static int give_tables(struct trace_builder *builder, const char *origin, uint64_t seed,
		       struct trace *trace)
{
	trace->origin = strdup(origin ? origin : "");
	if (!trace->origin)
		return -ENOMEM;
	trace->seed = seed;
	trace->recorded = builder->recorded;
	trace->losses = builder->losses;
	trace->tags = (unsigned)builder->tag_count;
	trace->tag_table = builder->tags;
	trace->marks = (unsigned)builder->mark_count;
	trace->mark_names = builder->marks;
	builder->tags = NULL;
	builder->tag_count = builder->tags_capacity = 0;
	builder->marks = NULL;
	builder->mark_count = builder->marks_capacity = 0;
	return 0;
}

int trace_builder_finish(struct trace_builder *builder, const char *origin, uint64_t seed,
			 struct trace **out, char *why, size_t why_bytes)
{
	struct slot_chooser chooser = { 0 };
	struct trace_sink sink = { 0 };
	struct trace *trace;
	int ret;

	trace_builder_phase(builder, TRACE_EPILOGUE);
	for (unsigned p = 0; !builder->error && p < builder->processors; p++)
		if (builder->irql[p] != PASSIVE_LEVEL)
			trace_builder_fail(builder, -EINVAL,
					   "processor %u ends at IRQL %u, not at PASSIVE_LEVEL", p,
					   builder->irql[p]);
	if (builder->error || trace_builder_settle(builder))
		return trace_fail(builder->error, why, why_bytes, "%s", builder->why);

	trace = trace_create(builder->processors);
	if (!trace)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory for a trace");
	ret = trace_sink_init(&sink, trace);
	if (!ret)
		ret = chooser_init(&chooser, builder->processors);
	if (!ret)
		ret = emit(builder, &chooser, &sink);
	trace->slots = chooser.slots;
	if (!ret)
		ret = give_tables(builder, origin, seed, trace);
	chooser_destroy(&chooser);
	trace_sink_close(&sink);
	/* Whatever happened, this builder is spent: its events have been rearranged. */
	trace_builder_fail(builder, -EINVAL, "the builder has been finished already");
	if (ret) {
		trace_destroy(trace);
		return trace_fail(ret, why, why_bytes,
				  ret == -EOVERFLOW ? "more than 2^32 slots"
						    : "out of memory for a trace");
	}
	*out = trace;
	return 0;
}
