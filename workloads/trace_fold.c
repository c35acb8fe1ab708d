/* Folding: the same allocations and frees on fewer processors. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

#define OWNER_NONE UINT16_MAX

struct fold {
	unsigned processors;
	struct trace_sink sink;
	uint16_t *owner; /* [slots]: who filled it last, by the folded number */
	uint16_t *body_owner; /* [slots]: who fills it in the body, or OWNER_NONE */
	uint8_t from_level[TRACE_MAX_PROCESSORS]; /* of the processors of the original */
	uint8_t level[TRACE_MAX_PROCESSORS]; /* of the folded ones, as emitted */
	enum trace_phase phase;
};

static int find_body_owner(void *arg, enum trace_phase phase, unsigned processor,
			   const struct trace_event *event)
{
	struct fold *fold = arg;

	if (phase == TRACE_BODY && event->kind == TRACE_ALLOC)
		fold->body_owner[event->slot] = (uint16_t)(processor % fold->processors);
	return 0;
}

static int set_level(struct fold *fold, unsigned to, uint8_t level)
{
	const struct trace_event event = { .bytes = level,
					   .kind = level > fold->level[to] ? TRACE_RAISE
									   : TRACE_LOWER };

	if (level == fold->level[to])
		return 0;
	fold->level[to] = level;
	return trace_sink_put(&fold->sink, to, &event);
}

static int end_phase(struct fold *fold)
{
	for (unsigned to = 0; to < fold->processors; to++) {
		int ret = set_level(fold, to, PASSIVE_LEVEL);

		if (ret)
			return ret;
	}
	return 0;
}

/* A free in the body is remote if the lap's own filler of the slot, which a lap later it frees, is another. */
static bool is_remote(const struct fold *fold, unsigned to, uint32_t slot)
{
	if (fold->phase == TRACE_BODY && fold->body_owner[slot] != OWNER_NONE)
		return fold->body_owner[slot] != to;
	return fold->owner[slot] != to;
}

static int fold_visit(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *original)
{
	struct fold *fold = arg;
	const unsigned to = processor % fold->processors;
	struct trace_event event = *original;
	int ret;

	if (phase != fold->phase) {
		ret = end_phase(fold);
		if (ret)
			return ret;
		fold->phase = phase;
		trace_sink_phase(&fold->sink, phase);
	}
	if (event.kind == TRACE_RAISE || event.kind == TRACE_LOWER) {
		fold->from_level[processor] = (uint8_t)event.bytes;
		return 0;
	}
	if (event.kind == TRACE_ALLOC) {
		fold->owner[event.slot] = (uint16_t)to;
	} else if (event.kind == TRACE_FREE) {
		event.flags &= (uint8_t)~TRACE_REMOTE;
		if (is_remote(fold, to, event.slot))
			event.flags |= TRACE_REMOTE;
	}
	if (event.kind != TRACE_MARK) {
		ret = set_level(fold, to, fold->from_level[processor]);
		if (ret)
			return ret;
	}
	return trace_sink_put(&fold->sink, to, &event);
}

static int copy_visit(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *event)
{
	struct fold *fold = arg;

	trace_sink_phase(&fold->sink, phase);
	return trace_sink_put(&fold->sink, processor, event);
}

static int copy_tables(const struct trace *from, struct trace *to)
{
	to->slots = from->slots;
	to->recorded = from->recorded;
	to->seed = from->seed;
	to->losses = from->losses;
	to->origin = strdup(from->origin);
	to->tag_table = calloc(from->tags + 1u, sizeof(*to->tag_table));
	to->mark_names = calloc(from->marks + 1u, sizeof(*to->mark_names));
	if (!to->origin || !to->tag_table || !to->mark_names)
		return -ENOMEM;
	for (; to->tags < from->tags; to->tags++) {
		to->tag_table[to->tags].tag = from->tag_table[to->tags].tag;
		to->tag_table[to->tags].name = strdup(from->tag_table[to->tags].name);
		if (!to->tag_table[to->tags].name)
			return -ENOMEM;
	}
	for (; to->marks < from->marks; to->marks++) {
		to->mark_names[to->marks] = strdup(from->mark_names[to->marks]);
		if (!to->mark_names[to->marks])
			return -ENOMEM;
	}
	return 0;
}

static int fold_events(struct fold *fold, const struct trace *trace)
{
	const size_t bytes = ((size_t)trace->slots + 1) * sizeof(*fold->owner);
	int ret;

	if (fold->processors == trace->processors)
		return trace_walk(trace, copy_visit, fold);
	fold->owner = malloc(bytes);
	fold->body_owner = malloc(bytes);
	if (!fold->owner || !fold->body_owner)
		return -ENOMEM;
	memset(fold->owner, 0xff, bytes);
	memset(fold->body_owner, 0xff, bytes);
	ret = trace_walk(trace, find_body_owner, fold);
	if (!ret)
		ret = trace_walk(trace, fold_visit, fold);
	return ret ? ret : end_phase(fold);
}

int trace_fold(const struct trace *trace, unsigned processors, struct trace **out)
{
	struct trace *folded;
	struct fold *fold;
	int ret;

	if (!processors || processors > trace->processors)
		return -ERANGE;
	fold = calloc(1, sizeof(*fold));
	folded = trace_create(processors);
	if (!fold || !folded) {
		free(fold);
		trace_destroy(folded);
		return -ENOMEM;
	}
	fold->processors = processors;
	ret = trace_sink_init(&fold->sink, folded);
	if (!ret)
		ret = copy_tables(trace, folded);
	if (!ret)
		ret = fold_events(fold, trace);
	trace_sink_close(&fold->sink);
	free(fold->owner);
	free(fold->body_owner);
	free(fold);
	if (ret)
		trace_destroy(folded);
	else
		*out = folded;
	return ret;
}
