/*
 * Where every committed byte went: the split of a pool's committed memory by cause, from the backend's walk.
 *     committed = live + header + rounding + cached + free + free pages + metadata
 */
#ifndef POOLBENCH_WASTE_H
#define POOLBENCH_WASTE_H

#include "allocators/pool.h"
#include "results/record.h"

/*
 * Fills the parts of `point` (live_bytes is read from it); all NaN where the backend has no walk. The pool
 * must be quiescent.
 */
void waste_measure(const struct pool_backend *ops, struct pool *pool, struct memory_point *point);

#endif
