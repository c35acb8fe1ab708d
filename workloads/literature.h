/*
 * The literature's patterns: programs that were published because they show how much memory an allocator can be
 * made to waste, or how its threads get into each other's way. They are no drivers' work, so they stand in a table
 * of their own and run when they are named.
 *
 * Most of them build a state in the prologue and hold it in the body, so that every checkpoint of the body shows
 * the blow-up, and a lap costs what work in such a heap costs. docs/literature.md says where each comes from.
 */
#ifndef POOLBENCH_LITERATURE_H
#define POOLBENCH_LITERATURE_H

#include <stddef.h>
#include <stdint.h>

#include "trace.h"
#include "workload.h"

extern const struct workload robson, misfit, pinning, rounding, redis_deletion, redis_eviction,
	producer_consumer, threadtest, larson, xmalloc;

/* Blocks that are live and may be replaced in the body; the i-th belongs to processor i % processors. */
struct held {
	uint32_t *handles;
	uint32_t *bytes;
	uint64_t count, capacity;
};

/* 0 or -ENOMEM. */
int held_add(struct held *held, uint32_t handle, uint32_t bytes);
void held_release(struct held *held);
/* Takes the processors' blocks in turn, as many of each: `parts` are [processors]. 0 or -ENOMEM. */
int held_interleave(struct held *all, const struct held *parts, unsigned processors);

/*
 * The body of config->events: processors take turns, and each frees its next block and allocates the same again.
 * All blocks carry one tag.
 */
void held_body(const struct workload_config *config, struct trace_builder *builder, unsigned tag,
	       struct held *held);

/*
 * Blocks of a batch, `most` at most, so that whole batches of `events_a_block` events each make up the events asked
 * for within a few per cent. At least 1.
 */
uint64_t pattern_batch(uint64_t events, uint64_t events_a_block, uint64_t most);

/* Allocates a nonpaged block that its owner writes whole, as programs that fill what they ask for. */
uint32_t pattern_alloc(struct trace_builder *builder, unsigned processor, uint32_t bytes,
		       unsigned tag);

#endif
