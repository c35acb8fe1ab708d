/* The builder: takes events in one real order and keeps them with the life of every object. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

struct trace_builder *trace_builder_create(unsigned processors)
{
	struct trace_builder *builder;

	if (!processors || processors > TRACE_MAX_PROCESSORS)
		return NULL;
	builder = calloc(1, sizeof(*builder));
	if (!builder)
		return NULL;
	builder->processors = processors;
	builder->irql = calloc(processors, sizeof(*builder->irql));
	if (!builder->irql) {
		free(builder);
		return NULL;
	}
	return builder;
}

void trace_builder_destroy(struct trace_builder *builder)
{
	if (!builder)
		return;
	for (uint64_t i = 0; i < builder->tag_count; i++)
		free(builder->tags[i].name);
	for (uint64_t i = 0; i < builder->mark_count; i++)
		free(builder->marks[i]);
	free(builder->tags);
	free(builder->tag_hash);
	free(builder->marks);
	free(builder->irql);
	free(builder->objects);
	free(builder->events);
	free(builder);
}

void trace_builder_fail(struct trace_builder *builder, int error, const char *format, ...)
{
	va_list args;

	if (builder->error)
		return;
	builder->error = error;
	va_start(args, format);
	vsnprintf(builder->why, sizeof(builder->why), format, args);
	va_end(args);
}

static bool processor_is_good(struct trace_builder *builder, unsigned processor)
{
	if (builder->error)
		return false;
	if (processor < builder->processors)
		return true;
	trace_builder_fail(builder, -EINVAL, "processor %u of %u", processor, builder->processors);
	return false;
}

void trace_builder_event(struct trace_builder *builder, unsigned processor, enum trace_kind kind,
			 uint32_t value)
{
	if (trace_reserve((void **)&builder->events, &builder->events_capacity, builder->count,
			  sizeof(*builder->events))) {
		trace_builder_fail(builder, -ENOMEM, "out of memory at event %llu",
				   (unsigned long long)builder->count);
		return;
	}
	builder->events[builder->count++] = (struct built_event){ .value = value,
								  .processor = (uint16_t)processor,
								  .kind = (uint8_t)kind };
}

uint32_t trace_builder_object(struct trace_builder *builder, const struct built_object *object)
{
	if (builder->object_count >= OBJECT_NONE) {
		trace_builder_fail(builder, -EOVERFLOW, "more than 2^32 - 1 objects");
		return OBJECT_NONE;
	}
	if (trace_reserve((void **)&builder->objects, &builder->objects_capacity,
			  builder->object_count, sizeof(*builder->objects))) {
		trace_builder_fail(builder, -ENOMEM, "out of memory at object %llu",
				   (unsigned long long)builder->object_count);
		return OBJECT_NONE;
	}
	builder->objects[builder->object_count] = *object;
	return (uint32_t)builder->object_count++;
}

/* ---- tags ---- */

static uint32_t tag_home(const struct trace_builder *builder, uint32_t tag)
{
	return (tag * 0x9E3779B1u) >> 7 & (builder->tag_hash_size - 1);
}

/* The place of a tag in the hash, or the free place where it belongs. */
static uint32_t tag_place(const struct trace_builder *builder, uint32_t tag)
{
	uint32_t place = tag_home(builder, tag);

	while (builder->tag_hash[place] && builder->tags[builder->tag_hash[place] - 1].tag != tag)
		place = (place + 1) & (builder->tag_hash_size - 1);
	return place;
}

/* Keeps the hash at most half full. */
static int tag_hash_grow(struct trace_builder *builder)
{
	const uint32_t size = builder->tag_hash_size ? builder->tag_hash_size * 2 : 256;
	uint32_t *hash;

	if (builder->tag_count * 2 < builder->tag_hash_size)
		return 0;
	hash = calloc(size, sizeof(*hash));
	if (!hash)
		return -ENOMEM;
	free(builder->tag_hash);
	builder->tag_hash = hash;
	builder->tag_hash_size = size;
	for (uint32_t i = 0; i < builder->tag_count; i++)
		hash[tag_place(builder, builder->tags[i].tag)] = i + 1;
	return 0;
}

unsigned trace_builder_tag(struct trace_builder *builder, uint32_t tag, const char *name)
{
	uint32_t place;
	char *copy;

	if (builder->error)
		return 0;
	if (tag_hash_grow(builder))
		goto no_memory;
	place = tag_place(builder, tag);
	if (builder->tag_hash[place])
		return builder->tag_hash[place] - 1;
	if (builder->tag_count == TRACE_MAX_TAGS) {
		trace_builder_fail(builder, -EOVERFLOW, "more than %u tags", TRACE_MAX_TAGS);
		return 0;
	}
	copy = strdup(name ? name : "");
	if (!copy || trace_reserve((void **)&builder->tags, &builder->tags_capacity,
				   builder->tag_count, sizeof(*builder->tags))) {
		free(copy);
		goto no_memory;
	}
	builder->tags[builder->tag_count++] = (struct trace_tag){ .tag = tag, .name = copy };
	builder->tag_hash[place] = (uint32_t)builder->tag_count;
	return (unsigned)builder->tag_count - 1;

no_memory:
	trace_builder_fail(builder, -ENOMEM, "out of memory for tags");
	return 0;
}

/* ---- events ---- */

void trace_builder_phase(struct trace_builder *builder, enum trace_phase phase)
{
	if (builder->error || phase == builder->phase)
		return;
	if (phase < builder->phase || phase >= TRACE_PHASES) {
		trace_builder_fail(builder, -EINVAL, "phase %d after phase %d", (int)phase,
				   (int)builder->phase);
		return;
	}
	for (unsigned p = 0; p < builder->processors; p++)
		if (builder->irql[p] != PASSIVE_LEVEL)
			trace_builder_fail(builder, -EINVAL,
					   "processor %u is at IRQL %u at the end of a phase", p,
					   builder->irql[p]);
	while (builder->phase < phase)
		builder->begin[++builder->phase] = builder->count;
}

uint32_t trace_builder_alloc(struct trace_builder *builder, unsigned processor, enum pool_type type,
			     uint32_t bytes, uint32_t touch, unsigned tag_index)
{
	uint32_t handle;

	if (!processor_is_good(builder, processor))
		return OBJECT_NONE;
	if (!bytes || touch > bytes)
		trace_builder_fail(builder, -EINVAL, "an allocation of %u bytes, %u touched", bytes,
				   touch);
	else if (tag_index >= builder->tag_count)
		trace_builder_fail(builder, -EINVAL, "tag index %u of %llu", tag_index,
				   (unsigned long long)builder->tag_count);
	else if (type != POOL_NONPAGED && type != POOL_PAGED)
		trace_builder_fail(builder, -EINVAL, "pool type %d", (int)type);
	else if (type == POOL_PAGED && builder->irql[processor] >= DISPATCH_LEVEL)
		trace_builder_fail(builder, -EINVAL, "paged allocation at DISPATCH_LEVEL");
	if (builder->error)
		return OBJECT_NONE;
	handle = trace_builder_object(builder, &(struct built_object){
						       .bytes = bytes,
						       .touch = touch,
						       .partner = OBJECT_NONE,
						       .tag = (uint16_t)tag_index,
						       .type = (uint8_t)type,
						       .born_on = (uint16_t)processor,
						       .born_in = (uint8_t)builder->phase,
						       .freed_in = TRACE_PHASES,
					       });
	if (handle == OBJECT_NONE)
		return handle;
	trace_builder_event(builder, processor, TRACE_ALLOC, handle);
	builder->live_blocks++;
	builder->live_bytes += bytes;
	return handle;
}

void trace_builder_free(struct trace_builder *builder, unsigned processor, uint32_t handle)
{
	struct built_object *object;

	if (!processor_is_good(builder, processor))
		return;
	if (handle >= builder->object_count || builder->objects[handle].freed_in != TRACE_PHASES) {
		trace_builder_fail(builder, -EINVAL, "free of object %u, which is not live",
				   handle);
		return;
	}
	object = &builder->objects[handle];
	if (object->type == POOL_PAGED && builder->irql[processor] >= DISPATCH_LEVEL) {
		trace_builder_fail(builder, -EINVAL, "paged free at DISPATCH_LEVEL");
		return;
	}
	object->freed_on = (uint16_t)processor;
	object->freed_in = (uint8_t)builder->phase;
	trace_builder_event(builder, processor, TRACE_FREE, handle);
	builder->live_blocks--;
	builder->live_bytes -= object->bytes;
}

void trace_builder_irql(struct trace_builder *builder, unsigned processor, enum trace_kind kind,
			enum irql level)
{
	uint8_t *irql;

	if (!processor_is_good(builder, processor))
		return;
	irql = &builder->irql[processor];
	if (level > DISPATCH_LEVEL || (kind != TRACE_RAISE && kind != TRACE_LOWER) ||
	    (kind == TRACE_RAISE ? level <= *irql : level >= *irql)) {
		trace_builder_fail(builder, -EINVAL, "processor %u goes from IRQL %u %s to %d",
				   processor, *irql, kind == TRACE_RAISE ? "up" : "down",
				   (int)level);
		return;
	}
	*irql = (uint8_t)level;
	trace_builder_event(builder, processor, kind, level);
}

void trace_builder_mark(struct trace_builder *builder, unsigned processor, const char *name)
{
	uint32_t mark = 0;
	char *copy;

	if (!processor_is_good(builder, processor))
		return;
	while (mark < builder->mark_count && strcmp(builder->marks[mark], name))
		mark++;
	if (mark == builder->mark_count) {
		if (mark == TRACE_MAX_MARKS) {
			trace_builder_fail(builder, -EOVERFLOW, "more than %u mark names",
					   TRACE_MAX_MARKS);
			return;
		}
		copy = strdup(name);
		if (!copy || trace_reserve((void **)&builder->marks, &builder->marks_capacity,
					   builder->mark_count, sizeof(*builder->marks))) {
			free(copy);
			trace_builder_fail(builder, -ENOMEM, "out of memory for marks");
			return;
		}
		builder->marks[builder->mark_count++] = copy;
	}
	trace_builder_event(builder, processor, TRACE_MARK, mark);
}

void trace_builder_recorded(struct trace_builder *builder, const struct trace_losses *losses)
{
	builder->recorded = true;
	builder->losses = *losses;
}

uint64_t trace_builder_live_blocks(const struct trace_builder *builder)
{
	return builder->live_blocks;
}

uint64_t trace_builder_live_bytes(const struct trace_builder *builder)
{
	return builder->live_bytes;
}

uint64_t trace_builder_events(const struct trace_builder *builder)
{
	return builder->count - builder->begin[builder->phase];
}
