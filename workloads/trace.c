/* A finished trace: its life, its checksum, walks over it. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

int trace_fail(int error, char *why, size_t why_bytes, const char *format, ...)
{
	va_list args;

	if (!why || !why_bytes)
		return error;
	va_start(args, format);
	vsnprintf(why, why_bytes, format, args);
	va_end(args);
	return error;
}

int trace_reserve(void **array, uint64_t *capacity, uint64_t count, size_t size)
{
	uint64_t wanted;
	void *grown;

	if (count < *capacity)
		return 0;
	wanted = count < 16 ? 16 : count * 2;
	if (wanted > SIZE_MAX / size)
		return -ENOMEM;
	grown = realloc(*array, (size_t)wanted * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

struct trace *trace_create(unsigned processors)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->streams = calloc(processors, sizeof(*trace->streams));
	if (!trace->streams) {
		free(trace);
		return NULL;
	}
	trace->processors = processors;
	return trace;
}

void trace_destroy(struct trace *trace)
{
	if (!trace)
		return;
	for (unsigned p = 0; p < trace->processors; p++)
		free(trace->streams[p].events);
	free(trace->streams);
	for (unsigned i = 0; trace->tag_table && i < trace->tags; i++)
		free(trace->tag_table[i].name);
	free(trace->tag_table);
	for (unsigned i = 0; trace->mark_names && i < trace->marks; i++)
		free(trace->mark_names[i]);
	free(trace->mark_names);
	free(trace->order);
	free(trace->origin);
	free(trace);
}

uint64_t trace_phase_events(const struct trace *trace, enum trace_phase phase)
{
	uint64_t events = 0;

	for (unsigned p = 0; p < trace->processors; p++)
		events += trace->streams[p].count[phase];
	return events;
}

int trace_walk(const struct trace *trace, trace_visit visit, void *arg)
{
	uint64_t next[TRACE_MAX_PROCESSORS] = { 0 };
	enum trace_phase phase = TRACE_PROLOGUE;
	uint64_t left = trace_phase_events(trace, phase);

	for (uint64_t r = 0; r < trace->runs; r++) {
		const struct trace_run *run = &trace->order[r];
		const struct trace_event *events = trace->streams[run->processor].events;

		while (!left)
			left = trace_phase_events(trace, ++phase);
		for (uint32_t i = 0; i < run->count; i++) {
			int ret = visit(arg, phase, run->processor,
					&events[next[run->processor]++]);

			if (ret)
				return ret;
		}
		left -= run->count;
	}
	return 0;
}

/* ---- the sink ---- */

int trace_sink_init(struct trace_sink *sink, struct trace *trace)
{
	*sink = (struct trace_sink){ .trace = trace, .cut = true };
	sink->capacity = calloc(trace->processors, sizeof(*sink->capacity));
	return sink->capacity ? 0 : -ENOMEM;
}

void trace_sink_phase(struct trace_sink *sink, enum trace_phase phase)
{
	if (phase != sink->phase)
		sink->cut = true;
	sink->phase = phase;
}

int trace_sink_put(struct trace_sink *sink, unsigned processor, const struct trace_event *event)
{
	struct trace *trace = sink->trace;
	struct trace_stream *stream = &trace->streams[processor];
	struct trace_run *run = trace->runs ? &trace->order[trace->runs - 1] : NULL;

	if (trace_reserve((void **)&stream->events, &sink->capacity[processor], stream->total,
			  sizeof(*stream->events)))
		return -ENOMEM;
	if (sink->cut || !run || run->processor != processor || run->count == UINT32_MAX) {
		if (trace_reserve((void **)&trace->order, &sink->runs_capacity, trace->runs,
				  sizeof(*trace->order)))
			return -ENOMEM;
		run = &trace->order[trace->runs++];
		*run = (struct trace_run){ .processor = processor };
		sink->cut = false;
	}
	run->count++;
	stream->events[stream->total++] = *event;
	stream->count[sink->phase]++;
	return 0;
}

static void *shrink(void *array, uint64_t count, size_t size)
{
	void *exact = count ? realloc(array, (size_t)count * size) : NULL;

	return exact ? exact : array;
}

struct checksum {
	uint64_t sum;
};

static int checksum_visit(void *arg, enum trace_phase phase, unsigned processor,
			  const struct trace_event *event)
{
	struct checksum *checksum = arg;

	checksum->sum = trace_checksum_event(checksum->sum, phase, processor, event);
	return 0;
}

void trace_sink_seal(struct trace_sink *sink)
{
	for (unsigned p = 0; p < sink->trace->processors; p++) {
		struct trace_stream *stream = &sink->trace->streams[p];

		stream->start[TRACE_BODY] = stream->count[TRACE_PROLOGUE];
		stream->start[TRACE_EPILOGUE] = stream->start[TRACE_BODY] +
						stream->count[TRACE_BODY];
	}
}

void trace_sink_reset(struct trace_sink *sink)
{
	for (unsigned p = 0; p < sink->trace->processors; p++)
		sink->trace->streams[p] =
			(struct trace_stream){ .events = sink->trace->streams[p].events };
	sink->trace->runs = 0;
	sink->cut = true;
}

void trace_sink_close(struct trace_sink *sink)
{
	struct trace *trace = sink->trace;
	struct checksum checksum;

	for (unsigned p = 0; p < trace->processors; p++) {
		struct trace_stream *stream = &trace->streams[p];

		stream->events = shrink(stream->events, stream->total, sizeof(*stream->events));
	}
	trace_sink_seal(sink);
	trace->order = shrink(trace->order, trace->runs, sizeof(*trace->order));
	checksum.sum = trace_checksum_tables(trace);
	trace_walk(trace, checksum_visit, &checksum);
	trace->checksum = checksum.sum;
	free(sink->capacity);
	sink->capacity = NULL;
}

/* ---- the checksum ---- */

static uint64_t checksum_text(uint64_t sum, const char *text)
{
	const size_t bytes = text ? strlen(text) : 0;

	sum = trace_checksum_word(sum, bytes);
	for (size_t i = 0; i < bytes; i++)
		sum = trace_checksum_word(sum, (unsigned char)text[i]);
	return sum;
}

uint64_t trace_checksum_tables(const struct trace *trace)
{
	const struct trace_losses *losses = &trace->losses;
	uint64_t sum = 0xCBF29CE484222325u;

	sum = trace_checksum_word(sum, trace->processors);
	sum = trace_checksum_word(sum, trace->slots);
	sum = trace_checksum_word(sum, trace->recorded);
	sum = trace_checksum_word(sum, trace->seed);
	sum = checksum_text(sum, trace->origin);
	sum = trace_checksum_word(sum, trace->tags);
	for (unsigned i = 0; i < trace->tags; i++) {
		sum = trace_checksum_word(sum, trace->tag_table[i].tag);
		sum = checksum_text(sum, trace->tag_table[i].name);
	}
	sum = trace_checksum_word(sum, trace->marks);
	for (unsigned i = 0; i < trace->marks; i++)
		sum = checksum_text(sum, trace->mark_names[i]);
	sum = trace_checksum_word(sum, losses->null_frees);
	sum = trace_checksum_word(sum, losses->unknown_frees);
	sum = trace_checksum_word(sum, losses->implied_frees);
	sum = trace_checksum_word(sum, losses->lost_events);
	return trace_checksum_word(sum, losses->malformed_lines);
}

/* ---- the summary ---- */

struct summary_walk {
	struct trace_summary *summary;
	uint64_t live_bytes, live_blocks;
	uint8_t irql[TRACE_MAX_PROCESSORS];
};

static void summary_alloc(struct summary_walk *walk, unsigned processor,
			  const struct trace_event *event)
{
	struct trace_summary *summary = walk->summary;

	summary->allocs++;
	summary->allocs_at_dispatch += walk->irql[processor] >= DISPATCH_LEVEL;
	summary->allocs_of_type[event->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED]++;
	summary->bytes_allocated += event->bytes;
	if (summary->bytes_max < event->bytes)
		summary->bytes_max = event->bytes;
	walk->live_bytes += event->bytes;
	walk->live_blocks++;
	if (summary->live_bytes_peak < walk->live_bytes)
		summary->live_bytes_peak = walk->live_bytes;
	if (summary->live_blocks_peak < walk->live_blocks)
		summary->live_blocks_peak = walk->live_blocks;
}

static int summary_visit(void *arg, enum trace_phase phase, unsigned processor,
			 const struct trace_event *event)
{
	struct summary_walk *walk = arg;
	struct trace_summary *summary = walk->summary;

	summary->events++;
	switch (event->kind) {
	case TRACE_ALLOC:
		summary_alloc(walk, processor, event);
		break;
	case TRACE_FREE:
		summary->frees++;
		summary->remote_frees += (event->flags & TRACE_REMOTE) != 0;
		walk->live_bytes -= event->bytes;
		walk->live_blocks--;
		break;
	case TRACE_RAISE:
		summary->raises++;
		walk->irql[processor] = (uint8_t)event->bytes;
		break;
	case TRACE_LOWER:
		walk->irql[processor] = (uint8_t)event->bytes;
		break;
	default:
		break;
	}
	if (phase <= TRACE_BODY)
		summary->live_bytes_body = walk->live_bytes;
	return 0;
}

void trace_summarise(const struct trace *trace, struct trace_summary *summary)
{
	struct summary_walk walk = { .summary = summary };

	*summary = (struct trace_summary){ 0 };
	trace_walk(trace, summary_visit, &walk);
}
