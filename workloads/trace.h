/*
 * Traces: what was allocated and freed, by which processor, in what order.
 *
 * Theory.
 *
 * 1. Events. One stream of fixed 16-byte events per processor, so that a replay reads memory forward and
 *    does nothing but call. Everything that varies (tag names, origin) lies in tables beside the streams.
 *
 * 2. Slots. An object is a slot. A slot is empty or holds a block; an allocation fills it, a free empties
 *    it. When replayed, a free into an empty slot waits for it to be filled, and an allocation into a full
 *    slot waits for it to be emptied. The order of the events of different processors is thus kept where it
 *    matters and left open where it does not. Because the builder accepts events in one real order, in
 *    which every wait is already satisfied, no replay can deadlock.
 *
 * 3. Phases. Prologue (to the steady state), body (ends in the state it began in: as many slots filled,
 *    the same ones with the same sizes, so that it can be repeated), epilogue (drains everything). A
 *    repetition of the body is a lap.
 *
 * 4. Order. The builder's real order is kept as runs (processor, count), so that a trace can be folded onto
 *    fewer processors, written, and read back to the same bytes.
 */
#ifndef POOLBENCH_TRACE_H
#define POOLBENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "allocators/pool.h"

enum trace_kind {
	TRACE_ALLOC, /* slot, bytes, touch, tag, pool type in flags */
	TRACE_FREE,  /* slot; bytes and tag repeat the allocation's */
	TRACE_RAISE, /* bytes: the IRQL raised to */
	TRACE_LOWER, /* bytes: the IRQL lowered to */
	TRACE_MARK,  /* slot: index into the trace's mark names; no effect */
	TRACE_KINDS
};

enum trace_flag {
	TRACE_PAGED = 1 << 0, /* the block's pool type is POOL_PAGED; else POOL_NONPAGED */
	TRACE_REMOTE = 1 << 1 /* FREE: the block was allocated by another processor */
};

enum irql { PASSIVE_LEVEL = 0, APC_LEVEL = 1, DISPATCH_LEVEL = 2 };

struct trace_event {
	uint32_t slot;
	uint32_t bytes; /* requested size, >= 1 */
	uint32_t touch; /* ALLOC: bytes the owner writes at birth, <= bytes */
	uint16_t tag;   /* index into the trace's tag table */
	uint8_t kind;   /* enum trace_kind */
	uint8_t flags;  /* enum trace_flag */
};

enum trace_phase { TRACE_PROLOGUE, TRACE_BODY, TRACE_EPILOGUE, TRACE_PHASES };

/* The events of one processor, the three phases one after the other. */
struct trace_stream {
	struct trace_event *events;
	uint64_t count[TRACE_PHASES];
	uint64_t start[TRACE_PHASES]; /* index of each phase's first event */
	uint64_t total;
};

struct trace_tag {
	uint32_t tag;   /* distinct within a trace */
	char *name;     /* long name: what it is, or the cache or call site of a recording; never NULL */
};

/* A run of events of one processor in the real order. */
struct trace_run {
	uint32_t processor;
	uint32_t count;
};

/* Events that a recording had and a trace cannot hold, by cause. Zero for generated ones. */
struct trace_losses {
	uint64_t null_frees;    /* free of NULL */
	uint64_t unknown_frees; /* free of something allocated before the recording began */
	uint64_t implied_frees; /* address handed out again: a free that was not seen */
	uint64_t lost_events;   /* the recorder's own count */
	uint64_t malformed_lines;
};

struct trace {
	unsigned processors;
	struct trace_stream *streams; /* [processors] */
	uint32_t slots;               /* slot numbers are 0 .. slots-1 */
	unsigned tags;
	struct trace_tag *tag_table;
	unsigned marks;
	char **mark_names;
	struct trace_run *order; /* covers all phases, in turn */
	uint64_t runs;
	bool recorded;           /* from a real system, not generated */
	uint64_t seed;
	char *origin;            /* "irp-storm:depth=256,..." or the recording's description; never NULL */
	struct trace_losses losses;
	uint64_t checksum;       /* of content, the same for the same events on any machine */
};

/* What a trace holds, by one pass over it in real order. Peaks are of the prologue and one lap. */
struct trace_summary {
	uint64_t events, allocs, frees, remote_frees, raises;
	uint64_t allocs_at_dispatch;      /* allocations at DISPATCH_LEVEL */
	uint64_t bytes_allocated;
	uint64_t live_bytes_peak, live_blocks_peak;
	uint64_t live_bytes_body;         /* at the body's start and end */
	uint32_t bytes_max;
	uint64_t allocs_of_type[POOL_TYPES];
};

void trace_summarise(const struct trace *trace, struct trace_summary *summary);

/*
 * Building: events in one real order. Errors are kept: after one, calls do nothing, and
 * trace_builder_finish returns it. Not thread-safe. Memory grows as needed.
 */
struct trace_builder;

struct trace_builder *trace_builder_create(unsigned processors); /* NULL: out of memory */
void trace_builder_destroy(struct trace_builder *builder);       /* NULL is fine */

/* Index of a tag, made at first use; `name` is copied. 65535 tags at most. */
unsigned trace_builder_tag(struct trace_builder *builder, uint32_t tag, const char *name);

/* From here on events belong to `phase`; phases come in order. Starts as TRACE_PROLOGUE. */
void trace_builder_phase(struct trace_builder *builder, enum trace_phase phase);

/* Allocates a slot, whose number it returns: the lowest that was free longest ago is reused. */
uint32_t trace_builder_alloc(struct trace_builder *builder, unsigned processor, enum pool_type type,
			     uint32_t bytes, uint32_t touch, unsigned tag_index);
/* Frees a live slot, on any processor: the builder knows its bytes, tag, type and whether it is remote. */
void trace_builder_free(struct trace_builder *builder, unsigned processor, uint32_t slot);
void trace_builder_irql(struct trace_builder *builder, unsigned processor, enum trace_kind kind,
			enum irql level);
void trace_builder_mark(struct trace_builder *builder, unsigned processor, const char *name);

/* Live objects now, and bytes they asked for. */
uint64_t trace_builder_live_blocks(const struct trace_builder *builder);
uint64_t trace_builder_live_bytes(const struct trace_builder *builder);
/* Events emitted so far in the current phase, all processors. */
uint64_t trace_builder_events(const struct trace_builder *builder);

/*
 * Makes the body repeatable: frees and re-allocates nothing by itself; it checks. The state at the end of
 * the body must match its beginning: the same number of live objects of each (type, bytes, tag), and the
 * slots are renamed so that the very same slot numbers are live with the same content. A workload brings the
 * multiset back by itself; a body that ends empty (and began empty) always does. Adds the epilogue that frees
 * what is still live, by the processor that allocated it, if the workload added none.
 *
 * 0 and *out (owned by the caller), or -EINVAL with a sentence in `why` (the body does not end as it
 * began; a slot misused), -ENOMEM, -EOVERFLOW. `origin` is copied.
 */
int trace_builder_finish(struct trace_builder *builder, const char *origin, uint64_t seed,
			 struct trace **out, char *why, size_t why_bytes);

void trace_destroy(struct trace *trace); /* NULL is fine */

/*
 * The same events on fewer processors: stream p goes to p % processors, in the real order. -ERANGE for
 * more processors than the trace has.
 */
int trace_fold(const struct trace *trace, unsigned processors, struct trace **out);

/*
 * Trace files (.pbt): see docs/trace-format.md. Reading is safe on hostile input: every number is checked
 * against the file's size and the limits in the format before it is used.
 * Errors: -errno of the file; -EILSEQ (not a trace file, damaged: says at which byte), -ENOTSUP (a newer
 * version), -E2BIG (over a limit), each with a sentence in `why`.
 */
int trace_write(const struct trace *trace, const char *path, char *why, size_t why_bytes);
int trace_read(const char *path, struct trace **out, char *why, size_t why_bytes);

#endif
