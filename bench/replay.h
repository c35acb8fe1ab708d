/*
 * Replay: driving a pool with a trace. The three passes share its tables and differ in the loop:
 *
 *     replay_events           nothing but the calls: the throughput pass
 *     replay_events_timed     a time stamp before and after each call: the latency pass
 *     replay_events_counted   adds up bytes and checks every block: the memory pass
 *
 * Slots. slots[i] is NULL (empty), REPLAY_FAILED (the allocation returned NULL; its free is skipped) or the
 * block. An allocation waits for its slot to be empty, a free for it to be filled: acquire and release on
 * the slot are all the synchronisation there is between processors.
 *
 * Cuts. A phase is divided only along consistent cuts, i.e. prefixes of the trace's real order: at a
 * barrier between two parts no thread then waits for an event behind another thread's barrier.
 */
#ifndef POOLBENCH_REPLAY_H
#define POOLBENCH_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pool.h"
#include "bench/histogram.h"
#include "workloads/trace.h"

#define REPLAY_FAILED ((void *)1)

enum touch_mode {
	TOUCH_TRACE, /* what the trace says: what the modelled owner writes at birth */
	TOUCH_NONE,
	TOUCH_LINE,  /* the first 64 bytes */
	TOUCH_ALL,
	TOUCH_MODES
};
extern const char *const touch_mode_names[TOUCH_MODES + 1];

/* What all threads of a replay share. Filled by replay_create, read-only but for the slots. */
struct replay {
	const struct trace *trace;
	const struct pool_backend *ops;
	struct pool *pool;
	_Atomic(void *) *slots;
	uint32_t *tags; /* tag index -> tag */
	const struct trace_event **filled; /* [slots] the event that filled it last; NULL: not kept. Counted replay only */
	size_t slots_bytes, tags_bytes;
};

/* One thread's sums in the memory pass; a signed net may go below zero where others free its blocks. */
struct replay_tag_sums {
	uint64_t allocs, frees, bytes_allocated;
	int64_t live_bytes;
};

struct replay_sums {
	int64_t live_bytes, live_blocks, block_bytes;
	uint64_t operations;
	struct replay_tag_sums *tags; /* [trace->tags] */
	const char *broken;           /* the first promise that a block broke, or NULL */
	const void *broken_block;
	uint32_t broken_bytes;
};

/*
 * Maps, faults in and locks the tables, and rewrites the trace's `touch` as the mode says. The trace
 * and the pool stay the caller's. 0 or -ENOMEM.
 */
int replay_create(struct trace *trace, const struct pool_backend *ops, struct pool *pool,
		  enum touch_mode touch, struct replay *out);
void replay_destroy(struct replay *replay);

/*
 * Events first .. first+count-1 of a processor's stream. Return the allocations that failed. The caller
 * has entered the pool as `processor`.
 */
uint64_t replay_events(const struct replay *replay, unsigned processor, uint64_t first,
		       uint64_t count);
uint64_t replay_events_timed(const struct replay *replay, unsigned processor, uint64_t first,
			     uint64_t count, struct histogram *alloc_times,
			     struct histogram *free_times);
uint64_t replay_events_counted(const struct replay *replay, unsigned processor, uint64_t first,
			       uint64_t count, struct replay_sums *sums);

/*
 * A phase in `parts` parts along consistent cuts: cut[part * processors + p] is the first event of processor
 * p in that part, for part 0 .. parts (the last is the end). The caller frees it. NULL: out of memory.
 */
uint64_t *replay_cuts(const struct trace *trace, enum trace_phase phase, unsigned parts);
/* The same with parts of given lengths: ends[part] events of the phase, all processors, are done when it ends. */
uint64_t *replay_cuts_at(const struct trace *trace, enum trace_phase phase, const uint64_t *ends,
			 unsigned parts);

/* Whether every block that is live now lies in a page source of `pages`: NULL or the first that does not. */
const void *replay_foreign_block(const struct replay *replay,
				 struct page_source *const pages[POOL_TYPES]);

/* Allocations and frees among the events of a phase, all processors. */
uint64_t replay_operations(const struct trace *trace, enum trace_phase phase);

/* A table of the harness: mapped apart from every heap, faulted in, locked where allowed. NULL on failure. */
void *table_map(size_t bytes);
void table_unmap(void *table, size_t bytes);

#endif
