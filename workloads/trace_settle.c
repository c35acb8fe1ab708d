/*
 * Makes a body end as it began (see trace_builder_finish in trace.h for the rules).
 *
 * 1. Departed and newcomers, in the order of their free or birth, are sorted by class. Within a class a
 *    newcomer takes the departed one that has waited longest; it can only be one that departed before. First
 *    classes are (type, bytes, tag, processor), then what is left is tried again without the processor.
 * 2. A newcomer without partner is freed at the end of the body; a departed one without partner is
 *    allocated anew there, by the processor that allocated it. Frees come first, so live bytes never peak here.
 * 3. An epilogue of the workload's own may free objects that step 2 has freed: such a free goes to an
 *    object of the same class that step 2 has allocated, or is dropped if there is none.
 * 4. What is still live is freed at the end of the epilogue.
 */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>

#include "trace_internal.h"

/* Settling events that are always granted, so that very short bodies work. */
#define SETTLE_GRANTED 16u

struct change {
	uint64_t class_low; /* bytes, tag */
	uint32_t class_high; /* type, processor */
	uint32_t object;
	uint64_t at; /* index of the event */
	bool newcomer;
};

static int change_compare(const void *left, const void *right)
{
	const struct change *a = left, *b = right;

	if (a->class_high != b->class_high)
		return a->class_high < b->class_high ? -1 : 1;
	if (a->class_low != b->class_low)
		return a->class_low < b->class_low ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static bool same_class(const struct change *a, const struct change *b)
{
	return a->class_high == b->class_high && a->class_low == b->class_low;
}

static struct change change_make(const struct trace_builder *builder, uint32_t handle, uint64_t at,
				 bool by_processor)
{
	const struct built_object *object = &builder->objects[handle];

	return (struct change){
		.class_low = (uint64_t)object->bytes << 16 | object->tag,
		.class_high = (uint32_t)object->type << 16 | (by_processor ? object->born_on : 0),
		.object = handle,
		.at = at,
	};
}

static bool is_departed(const struct built_object *object)
{
	return object->born_in == TRACE_PROLOGUE && object->freed_in == TRACE_BODY;
}

static bool is_newcomer(const struct built_object *object)
{
	return object->born_in == TRACE_BODY && object->freed_in > TRACE_BODY;
}

/* The departed and newcomers that have no partner yet, in a new array. */
static int collect(const struct trace_builder *builder, uint64_t begin, uint64_t end,
		   bool by_processor, struct change **out, uint64_t *count)
{
	struct change *changes = NULL;
	uint64_t capacity = 0;

	*count = 0;
	for (uint64_t i = begin; i < end; i++) {
		const struct built_event *event = &builder->events[i];
		const struct built_object *object;
		bool newcomer;

		if (event->kind != TRACE_ALLOC && event->kind != TRACE_FREE)
			continue;
		object = &builder->objects[event->value];
		newcomer = event->kind == TRACE_ALLOC && is_newcomer(object);
		if (object->partner != OBJECT_NONE ||
		    (!newcomer && (event->kind != TRACE_FREE || !is_departed(object))))
			continue;
		if (trace_reserve((void **)&changes, &capacity, *count, sizeof(*changes))) {
			free(changes);
			return -ENOMEM;
		}
		changes[*count] = change_make(builder, event->value, i, by_processor);
		changes[(*count)++].newcomer = newcomer;
	}
	*out = changes;
	return 0;
}

static void pair(struct trace_builder *builder, uint32_t departed, uint32_t newcomer)
{
	builder->objects[departed].partner = newcomer;
	builder->objects[newcomer].partner = departed;
}

static int match(struct trace_builder *builder, uint64_t begin, uint64_t end, bool by_processor)
{
	struct change *changes;
	uint64_t count, oldest = 0;
	int ret = collect(builder, begin, end, by_processor, &changes, &count);

	if (ret)
		return ret;
	if (count)
		qsort(changes, (size_t)count, sizeof(*changes), change_compare);
	for (uint64_t i = 0; i < count; i++) {
		if (!same_class(&changes[oldest], &changes[i]))
			oldest = i;
		if (!changes[i].newcomer)
			continue;
		while (oldest < i && changes[oldest].newcomer)
			oldest++;
		if (oldest < i) {
			pair(builder, changes[oldest].object, changes[i].object);
			oldest++;
		}
	}
	free(changes);
	return 0;
}

/* Adds an event for the next place, in the phase that is being made. */
static void settle_free(struct trace_builder *builder, uint32_t handle, enum trace_phase phase)
{
	struct built_object *object = &builder->objects[handle];

	object->freed_in = (uint8_t)phase;
	object->freed_on = object->born_on;
	trace_builder_event(builder, object->born_on, TRACE_FREE, handle);
}

static void settle_alloc(struct trace_builder *builder, uint32_t departed)
{
	struct built_object object = builder->objects[departed];
	uint32_t handle;

	object.born_in = TRACE_BODY;
	object.freed_in = TRACE_PHASES;
	object.partner = OBJECT_NONE;
	handle = trace_builder_object(builder, &object);
	if (handle == OBJECT_NONE)
		return;
	pair(builder, departed, handle);
	trace_builder_event(builder, object.born_on, TRACE_ALLOC, handle);
}

/*
 * Step 3. `freed` are newcomers that the settling freed and `made` the objects that it allocated, both
 * sorted by class. The partner of a freed one becomes the object that stands in for it in the epilogue.
 */
static void stand_in(struct trace_builder *builder, const struct change *freed,
		     uint64_t freed_count, const struct change *made, uint64_t made_count)
{
	uint64_t m = 0;

	for (uint64_t f = 0; f < freed_count; f++) {
		while (m < made_count && change_compare(&made[m], &freed[f]) < 0 &&
		       !same_class(&made[m], &freed[f]))
			m++;
		if (m < made_count && same_class(&made[m], &freed[f]))
			builder->objects[freed[f].object].partner = made[m++].object;
	}
}

static void epilogue_copy(struct trace_builder *builder, const struct built_event *events,
			  uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint32_t handle = events[i].value;

		if (events[i].kind == TRACE_FREE &&
		    builder->objects[handle].freed_in != TRACE_EPILOGUE) {
			handle = builder->objects[handle].partner;
			if (handle == OBJECT_NONE)
				continue;
			builder->objects[handle].freed_in = TRACE_EPILOGUE;
			builder->objects[handle].freed_on = events[i].processor;
		}
		trace_builder_event(builder, events[i].processor, events[i].kind, handle);
	}
}

/* Steps 2 and 3, given what has no partner. */
static void settle(struct trace_builder *builder, struct change *left, uint64_t count)
{
	const uint64_t objects = builder->object_count;
	struct change *freed = left, *made;
	uint64_t freed_count = 0, made_count = 0;

	for (uint64_t i = 0; i < count; i++)
		if (left[i].newcomer)
			settle_free(builder, left[i].object, TRACE_BODY);
	for (uint64_t i = 0; i < count; i++)
		if (!left[i].newcomer)
			settle_alloc(builder, left[i].object);
	made = calloc((size_t)(builder->object_count - objects) + 1, sizeof(*made));
	if (!made) {
		trace_builder_fail(builder, -ENOMEM, "out of memory for settling");
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		if (left[i].newcomer)
			freed[freed_count++] = left[i];
	for (uint64_t handle = objects; handle < builder->object_count; handle++)
		made[made_count++] = change_make(builder, (uint32_t)handle, handle, false);
	if (freed_count)
		qsort(freed, (size_t)freed_count, sizeof(*freed), change_compare);
	if (made_count)
		qsort(made, (size_t)made_count, sizeof(*made), change_compare);
	stand_in(builder, freed, freed_count, made, made_count);
	free(made);
}

static void check_share(struct trace_builder *builder, const struct change *left, uint64_t count,
			uint64_t body)
{
	uint64_t newcomers = 0;

	if (count <= SETTLE_GRANTED || count <= body / 20)
		return;
	for (uint64_t i = 0; i < count; i++)
		newcomers += left[i].newcomer;
	trace_builder_fail(builder, -EINVAL,
			   "the body does not end as it began: %llu objects too many and %llu too "
			   "few, more than 5 %% of its %llu events",
			   (unsigned long long)newcomers, (unsigned long long)(count - newcomers),
			   (unsigned long long)body);
}

int trace_builder_settle(struct trace_builder *builder)
{
	const uint64_t begin = builder->begin[TRACE_BODY], end = builder->begin[TRACE_EPILOGUE];
	const uint64_t epilogue_count = builder->count - end;
	struct built_event *epilogue = NULL;
	struct change *left = NULL;
	uint64_t count = 0;

	if (match(builder, begin, end, true) || match(builder, begin, end, false) ||
	    collect(builder, begin, end, false, &left, &count)) {
		trace_builder_fail(builder, -ENOMEM, "out of memory for settling");
		return builder->error;
	}
	check_share(builder, left, count, end - begin);
	if (!builder->error && epilogue_count) {
		epilogue = malloc((size_t)epilogue_count * sizeof(*epilogue));
		if (!epilogue)
			trace_builder_fail(builder, -ENOMEM, "out of memory for the epilogue");
	}
	if (!builder->error) {
		for (uint64_t i = 0; i < epilogue_count; i++)
			epilogue[i] = builder->events[end + i];
		builder->count = end;
		settle(builder, left, count);
		builder->begin[TRACE_EPILOGUE] = builder->count;
		if (!builder->error)
			epilogue_copy(builder, epilogue, epilogue_count);
		for (uint64_t h = 0; h < builder->object_count; h++)
			if (builder->objects[h].freed_in == TRACE_PHASES)
				settle_free(builder, (uint32_t)h, TRACE_EPILOGUE);
	}
	free(epilogue);
	free(left);
	return builder->error;
}
