/* What the files that implement trace.h share. Nobody else includes this. */
#ifndef POOLBENCH_TRACE_INTERNAL_H
#define POOLBENCH_TRACE_INTERNAL_H

#include <stdarg.h>

#include "trace.h"

/*
 * A sink of events in real order that makes a trace: counts first, then fills. Used by finish, fold and the
 * reader of files, so that runs are cut in one place and the same way.
 */
struct trace_sink {
	struct trace *trace;
	uint64_t *capacity; /* [processors], of each stream */
	uint64_t runs_capacity;
	enum trace_phase phase;
	bool cut; /* the next event begins a run */
};

/* A trace with `processors` empty streams and no tables. NULL: out of memory. */
struct trace *trace_create(unsigned processors);

int trace_sink_init(struct trace_sink *sink, struct trace *trace);
void trace_sink_phase(struct trace_sink *sink, enum trace_phase phase);
int trace_sink_put(struct trace_sink *sink, unsigned processor, const struct trace_event *event);
/* Where each stream's phases start, for a trace that is used while the sink stays open. */
void trace_sink_seal(struct trace_sink *sink);
/* Empties the trace's streams and keeps their memory. */
void trace_sink_reset(struct trace_sink *sink);
/* Gives back spare memory and the sink's own. Sets the checksum. Call it once, after errors too. */
void trace_sink_close(struct trace_sink *sink);

/*
 * The checksum, in steps: tables first (all fields of `trace` but streams and order), then every event in
 * real order. FNV-1a's xor and multiply, applied to 64-bit words instead of bytes (16 bytes an event are 3
 * words with its place), and a shift that brings the high bits down, which the multiplication cannot.
 */
uint64_t trace_checksum_tables(const struct trace *trace);

static inline uint64_t trace_checksum_word(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x100000001B3u;
	return sum ^ (sum >> 32);
}

static inline uint64_t trace_checksum_event(uint64_t sum, enum trace_phase phase,
					    unsigned processor, const struct trace_event *event)
{
	sum = trace_checksum_word(sum, (uint64_t)phase << 32 | processor);
	sum = trace_checksum_word(sum, (uint64_t)event->slot << 32 | event->bytes);
	return trace_checksum_word(sum, (uint64_t)event->touch << 32 | (uint64_t)event->tag << 16 |
						(uint64_t)event->kind << 8 | event->flags);
}

/*
 * The rules of trace_validate one event at a time, for readers that see a trace only in parts. Memory grows
 * with the slots that events name, not with what a header claims.
 */
struct trace_checker {
	const struct trace
		*tables; /* processors, slots, tags, marks: what events are held against */
	struct slot_state *slots;
	uint32_t slots_known;
	uint8_t *irql; /* [processors] */
	uint64_t live, changed; /* changed: slots that differ from the body's start */
	uint64_t allocs, events;
	enum trace_phase phase;
	char *why;
	size_t why_bytes;
};

int trace_checker_init(struct trace_checker *checker, const struct trace *tables, char *why,
		       size_t why_bytes);
int trace_checker_event(struct trace_checker *checker, enum trace_phase phase, unsigned processor,
			const struct trace_event *event);
int trace_checker_end(struct trace_checker *checker);
void trace_checker_destroy(struct trace_checker *checker);

/* snprintf into `why`, if there is one; returns `error`. */
int trace_fail(int error, char *why, size_t why_bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Makes room for `count` + 1 elements of `size` bytes at *array, which has room for *capacity. Doubles.
 * 0 or -ENOMEM, and then nothing has changed.
 */
int trace_reserve(void **array, uint64_t *capacity, uint64_t count, size_t size);

/* ---- the builder, which trace_builder.c fills and trace_finish.c makes a trace of ---- */

#define OBJECT_NONE UINT32_MAX

struct built_object {
	uint32_t bytes, touch;
	uint32_t partner; /* newcomer: the departed whose slot it takes; and the other way round */
	uint32_t slot;
	uint16_t tag, born_on, freed_on;
	uint8_t type, born_in, freed_in; /* phases; freed_in is TRACE_PHASES while live */
};

struct built_event {
	uint32_t value; /* ALLOC, FREE: the object; RAISE, LOWER: the level; MARK: the mark */
	uint16_t processor;
	uint8_t kind; /* enum trace_kind; TRACE_KINDS for one that was dropped */
};

struct trace_builder {
	unsigned processors;
	enum trace_phase phase;
	struct built_event *events;
	uint64_t count, events_capacity;
	uint64_t begin[TRACE_PHASES]; /* index of the first event of each phase that has begun */
	struct built_object *objects;
	uint64_t object_count, objects_capacity;
	struct trace_tag *tags;
	uint64_t tag_count, tags_capacity;
	uint32_t *tag_hash; /* tag index + 1, open addressing; tag_hash_size is a power of two */
	uint32_t tag_hash_size;
	char **marks;
	uint64_t mark_count, marks_capacity;
	uint8_t *irql; /* [processors] */
	uint64_t live_blocks, live_bytes;
	struct trace_losses losses;
	bool recorded;
	int error;
	char why[160];
};

/* Keeps the first error. */
void trace_builder_fail(struct trace_builder *builder, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Appends; unchecked but for memory. trace_builder_object returns OBJECT_NONE when it fails. */
void trace_builder_event(struct trace_builder *builder, unsigned processor, enum trace_kind kind,
			 uint32_t value);
uint32_t trace_builder_object(struct trace_builder *builder, const struct built_object *object);

/* Pairs departed and newcomers, adds settling events and the drain: all that trace_finish.c needs done. */
int trace_builder_settle(struct trace_builder *builder);

#endif
