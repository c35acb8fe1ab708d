/*
 * Where every committed byte went: the split of a pool's committed memory by cause, from the backend's walk.
 *     committed = live + header + rounding + cached + free + free pages + metadata
 *
 * Rounding is what remains of the used ranges beyond headers and requests, so that the sum by itself would prove
 * little. waste_measure therefore holds the walk to three accounts that are kept elsewhere: the page sources'
 * committed bytes (each for itself), the sum of block_bytes of all live blocks, and how many of them there are.
 */
#ifndef POOLBENCH_WASTE_H
#define POOLBENCH_WASTE_H

#include "allocators/pool.h"
#include "results/record.h"

/* What is looked at, and what the walk is held to. */
struct waste_subject {
	const struct pool_backend *ops;
	struct pool *pool;
	uint64_t committed_bytes[POOL_TYPES]; /* by the page sources */
	uint32_t largest_request; /* of the trace */
};

/*
 * Fills the parts of `point` (its live_bytes, live_blocks and block_bytes are read), and `free`. Where the
 * backend has no walk, parts are NaN, and `free` is empty: then only rounding is known, and only if the backend
 * tells block_bytes. The pool must be quiescent. 0, or -EUCLEAN with a sentence in `why`: the parts do not add up.
 */
int waste_measure(const struct waste_subject *subject, struct memory_point *point,
		  struct free_ranges *free, char *why, size_t why_bytes);

#endif
