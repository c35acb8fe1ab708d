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
 *    matters and left open where it does not.
 *
 * 3. Phases. Prologue (to the steady state), body (ends in the state it began in: the same slots filled
 *    with the same sizes and tags, so that it can be repeated), epilogue (drains everything). A repetition
 *    of the body is a lap. All processors finish a phase before any begins the next (a barrier); between
 *    laps no barrier is needed.
 *
 * 4. No deadlock. Full and empty do not tell whose block is in a slot: were a slot filled or emptied by
 *    several processors, one could take the turn of another, free a block of another size, or wait for
 *    ever. Therefore, within a phase, a slot is filled by one processor only and emptied by one only. Then
 *    the n-th free of a slot always meets its n-th allocation; no event that could happen is ever disabled
 *    by another (a marked graph: Commoner et al. 1971); and because the events were built in one real
 *    order, in which every wait is already satisfied, every other order that processors take ends too.
 *
 * 5. Order. The builder's real order is kept as runs (processor, count), so that a trace can be folded onto
 *    fewer processors, written, and read back to the same bytes. No run crosses from a phase to the next.
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
	TRACE_FREE, /* slot; bytes and tag repeat the allocation's */
	TRACE_RAISE, /* bytes: the IRQL raised to */
	TRACE_LOWER, /* bytes: the IRQL lowered to */
	TRACE_MARK, /* slot: index into the trace's mark names; no effect */
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
	uint16_t tag; /* index into the trace's tag table */
	uint8_t kind; /* enum trace_kind */
	uint8_t flags; /* enum trace_flag */
};

enum trace_phase { TRACE_PROLOGUE, TRACE_BODY, TRACE_EPILOGUE, TRACE_PHASES };

#define TRACE_MAX_PROCESSORS 1024u
#define TRACE_MAX_TAGS       65535u
#define TRACE_MAX_MARKS      4096u

/* The events of one processor, the three phases one after the other. */
struct trace_stream {
	struct trace_event *events;
	uint64_t count[TRACE_PHASES];
	uint64_t start[TRACE_PHASES]; /* index of each phase's first event */
	uint64_t total;
};

struct trace_tag {
	uint32_t tag; /* distinct within a trace */
	char *name; /* long name: what it is, or the cache or call site of a recording; never NULL */
};

/* A run of events of one processor in the real order. */
struct trace_run {
	uint32_t processor;
	uint32_t count;
};

/* Events that a recording had and a trace cannot hold, by cause. Zero for generated ones. */
struct trace_losses {
	uint64_t null_frees; /* free of NULL */
	uint64_t unknown_frees; /* free of something allocated before the recording began */
	uint64_t implied_frees; /* address handed out again: a free that was not seen */
	uint64_t lost_events; /* the recorder's own count */
	uint64_t malformed_lines;
};

struct trace {
	unsigned processors;
	struct trace_stream *streams; /* [processors] */
	uint32_t slots; /* slot numbers are 0 .. slots-1 */
	unsigned tags;
	struct trace_tag *tag_table;
	unsigned marks;
	char **mark_names;
	struct trace_run *order; /* covers all phases, in turn; no run crosses a phase's end */
	uint64_t runs;
	bool recorded; /* from a real system, not generated */
	uint64_t seed;
	char *origin; /* "irp-storm:depth=256,..." or the recording's description; never NULL */
	struct trace_losses losses;
	uint64_t checksum; /* of content, the same for the same events on any machine */
};

/* What a trace holds, by one pass over it in real order. Peaks are of the prologue and one lap. */
struct trace_summary {
	uint64_t events, allocs, frees, remote_frees, raises;
	uint64_t allocs_at_dispatch; /* allocations at DISPATCH_LEVEL */
	uint64_t bytes_allocated;
	uint64_t live_bytes_peak, live_blocks_peak;
	uint64_t live_bytes_body; /* at the body's start and end */
	uint32_t bytes_max;
	uint64_t allocs_of_type[POOL_TYPES];
};

/* Thread-safe on a trace that nobody changes, like everything below that takes it const. */
void trace_summarise(const struct trace *trace, struct trace_summary *summary);

/* Events of one phase, all processors together. */
uint64_t trace_phase_events(const struct trace *trace, enum trace_phase phase);

/* Returns 0 to go on; anything else ends the walk, which returns it. */
typedef int (*trace_visit)(void *arg, enum trace_phase phase, unsigned processor,
			   const struct trace_event *event);

/* Visits every event in the real order. 0, or what visit returned. */
int trace_walk(const struct trace *trace, trace_visit visit, void *arg);

/*
 * Whether a trace keeps every promise of the theory above: numbers in range, a slot filled when empty and
 * emptied when full with what it was filled with, one filler and one emptier a phase, a body that ends as it
 * began, processors at PASSIVE_LEVEL at the end of a phase, no paged pool at DISPATCH_LEVEL, nothing live at
 * the end. Slots are numbered densely: the n-th allocation's is below 8 n. 0; -EINVAL with a sentence in `why`; -ENOMEM.
 */
int trace_validate(const struct trace *trace, char *why, size_t why_bytes);

/*
 * Building: events in one real order. Errors are kept: after one, calls do nothing, and
 * trace_builder_finish returns it. Not thread-safe. Memory grows as needed.
 */
struct trace_builder;

/* 1 .. TRACE_MAX_PROCESSORS processors. NULL: out of memory, or too many processors. */
struct trace_builder *trace_builder_create(unsigned processors);
void trace_builder_destroy(struct trace_builder *builder); /* NULL is fine */

/* Index of a tag, made at first use (when `name` is copied; NULL is ""). TRACE_MAX_TAGS at most. */
unsigned trace_builder_tag(struct trace_builder *builder, uint32_t tag, const char *name);

/* From here on events belong to `phase`; phases come in order. Starts as TRACE_PROLOGUE. */
void trace_builder_phase(struct trace_builder *builder, enum trace_phase phase);

/*
 * Allocates an object, and returns its handle, with which it is freed. Handles count up from 0 and are not
 * used again. The slots, by which the finished trace knows its objects, are chosen by trace_builder_finish,
 * which knows who frees what. Paged pool only below DISPATCH_LEVEL, as in Windows.
 */
uint32_t trace_builder_alloc(struct trace_builder *builder, unsigned processor, enum pool_type type,
			     uint32_t bytes, uint32_t touch, unsigned tag_index);
/* Frees a live object, on any processor: the builder knows its bytes, tag, type and whether it is remote. */
void trace_builder_free(struct trace_builder *builder, unsigned processor, uint32_t handle);
/* TRACE_RAISE to a higher level or TRACE_LOWER to a lower one. Processors start at PASSIVE_LEVEL. */
void trace_builder_irql(struct trace_builder *builder, unsigned processor, enum trace_kind kind,
			enum irql level);
void trace_builder_mark(struct trace_builder *builder, unsigned processor, const char *name);

/* Says that the trace is a recording, and what it could not hold. */
void trace_builder_recorded(struct trace_builder *builder, const struct trace_losses *losses);

/* Live objects now, and bytes they asked for. */
uint64_t trace_builder_live_blocks(const struct trace_builder *builder);
uint64_t trace_builder_live_bytes(const struct trace_builder *builder);
/* Events emitted so far in the current phase, all processors. */
uint64_t trace_builder_events(const struct trace_builder *builder);

/*
 * Makes the trace: chooses the slots, makes the body repeatable, and adds the epilogue.
 *
 * The body must end in the state it began in. Objects that were live at its start and freed in it (the
 * departed) are paired with objects born in it and live at its end (the newcomers) of the same (type, bytes,
 * tag), the same allocating processor preferred: a newcomer gets the slot of a departed one, so that the next
 * lap frees it in its stead. It can only be one that departed before it was born, or a lap would wait for
 * itself. What finds no partner is settled by events at the end of the body: a free of the newcomer, an
 * allocation in the stead of the departed. A workload that comes back to its state by itself needs few of
 * them, a body that begins and ends empty none; more than 5 % of the body's events (16 are always granted)
 * are refused: such a body does not end as it began.
 *
 * TRACE_REMOTE is told for the steady state, in which a departed object was allocated by its newcomer's
 * processor in the lap before. The epilogue frees, by the processor that allocated it, whatever the workload
 * left.
 *
 * Slots: within a phase each pair (allocating, freeing processor) has slots of its own, in groups of 8 that fill
 * a cache line of an 8-byte slot table, so that no line is shared by processors that do not share blocks.
 * Where both are the same processor the slot that was emptied last is filled next (its line is still near);
 * between two processors it is the one that was emptied first and only when 1024 others are empty, so that
 * the reuse of a slot, which is an artefact of the trace, makes no processor wait for another.
 *
 * 0 and *out (owned by the caller), or with a sentence in `why`: -EINVAL (the first misuse of the builder, or
 * a body that does not end as it began), -ENOMEM, -EOVERFLOW (too many tags, marks, objects). `origin` is
 * copied. The builder can then only be destroyed.
 */
int trace_builder_finish(struct trace_builder *builder, const char *origin, uint64_t seed,
			 struct trace **out, char *why, size_t why_bytes);

void trace_destroy(struct trace *trace); /* NULL is fine */

/*
 * The same allocations and frees on fewer processors: stream p goes to p % processors, in the real order.
 * A processor that raised its IRQL keeps it for its own events alone: RAISE and LOWER are emitted anew,
 * where the next allocation or free needs another level. -ERANGE for more processors than the trace has, or
 * none; -ENOMEM.
 */
int trace_fold(const struct trace *trace, unsigned processors, struct trace **out);

/*
 * Trace files (.pbt): see docs/trace-format.md. Reading is safe on hostile input: every number is checked
 * against the file's size and the limits of the format before it is used, memory grows with what has been read,
 * and what is read keeps the rules of trace_validate.
 * Errors: -errno of the file; -EILSEQ (not a trace file, or damaged: says at which byte), -ENOTSUP (a newer
 * version), -E2BIG (over a limit), -EINVAL (writing what cannot be a trace), each with a sentence in `why`.
 */
#define TRACE_MAX_NAME_BYTES   4095u /* of a tag or a mark */
#define TRACE_MAX_ORIGIN_BYTES 65535u
#define TRACE_READ_MAX_EVENTS  (1ull << 28) /* in memory at once (4 GiB); longer ones are streamed */

/* Writes beside `path` and renames, so that a file is whole or not there. */
int trace_write(const struct trace *trace, const char *path, char *why, size_t why_bytes);
int trace_read(const char *path, struct trace **out, char *why, size_t why_bytes);

/*
 * Reading in windows, for recordings larger than memory. Not thread-safe; the windows of one reader may be
 * replayed by others while it is not called.
 */
struct trace_reader;

int trace_reader_open(const char *path, struct trace_reader **out, char *why, size_t why_bytes);
void trace_reader_close(struct trace_reader *reader); /* NULL is fine */

/* Everything but events: processors, slots, tables, origin, losses, checksum. Streams are empty. */
const struct trace *trace_reader_tables(const struct trace_reader *reader);
/* Events of a phase, as the file's header says; the reader holds the file to it. */
uint64_t trace_reader_events(const struct trace_reader *reader, enum trace_phase phase);

/*
 * The next window: whole blocks (up to 65536 events each) of one phase, at least one, more while they stay
 * within `events`. 1 and *window, which is the reader's and valid until its next call: a trace with events in
 * *phase only and without tables (indices are those of trace_reader_tables). 0 at the end, when the whole file
 * has proved sound. Or as trace_read.
 */
int trace_reader_next(struct trace_reader *reader, uint64_t events, enum trace_phase *phase,
		      const struct trace **window, char *why, size_t why_bytes);

/*
 * Goes back to the body's first block, for one more lap. Only when the last window ended the body:
 * else -EBUSY. 0 or -errno.
 */
int trace_reader_rewind(struct trace_reader *reader);
/* Whether the last window ended its phase. */
bool trace_reader_phase_ended(const struct trace_reader *reader);

/*
 * The file that `name` means: a path, or the stem of a recording that is installed ("disk-io"). Looked for as
 * it stands, then in $POOLBENCH_RECORDINGS if that is set, else where poolbench was installed or built from. 0
 * and the path; -ENOENT with a sentence that says where it was looked for; -ENAMETOOLONG.
 */
int trace_locate(const char *name, char *path, size_t path_bytes, char *why, size_t why_bytes);

#endif
