/*
 * The content of a block of a trace file: events in the real order, as columns of numbers that are small and
 * repeat, which is what a compressor wants. docs/trace-format.md defines them.
 */
#ifndef POOLBENCH_TRACE_CODEC_H
#define POOLBENCH_TRACE_CODEC_H

#include "bytes.h"
#include "trace.h"

#define TRACE_BLOCK_EVENTS 65536u
#define TRACE_BLOCK_BYTES  (4u << 20) /* of columns, before compression */

/* What both sides know of the events so far. Memory grows with the slots that were named. */
struct trace_codec {
	unsigned processors, tags, marks;
	uint32_t slots;
	struct codec_slot *table; /* [known] */
	uint32_t known;
	uint32_t *last_slot; /* [processors]: of the last allocation that was not predicted */
	uint32_t *
		stack; /* [processors]: the slot that its owner emptied last, + 1; the rest is in table */
	uint32_t ring[1 << 16]; /* slots of the last allocations, by number */
	uint64_t allocs; /* in all */
	uint64_t phase_allocs; /* in this phase */
	uint32_t sequence; /* counts phases begun: tells stale stack links and ages */
};

int trace_codec_init(struct trace_codec *codec, const struct trace *tables);
void trace_codec_destroy(struct trace_codec *codec);
/* Forgets predictions, as both sides do at the start of a phase and of a lap; what slots hold is kept. */
void trace_codec_new_phase(struct trace_codec *codec);

/* Appends the columns of `count` <= TRACE_BLOCK_EVENTS events. 0 or -ENOMEM. */
int trace_codec_encode(struct trace_codec *codec, const struct trace_event *events,
		       const uint16_t *processors, uint32_t count, struct byte_buffer *out);
/* 0; -EILSEQ: not what encode makes; -ENOMEM. */
int trace_codec_decode(struct trace_codec *codec, struct byte_cursor in, uint32_t count,
		       struct trace_event *events, uint16_t *processors);

#endif
