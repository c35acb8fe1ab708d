/* Counts in each block when its successor was freed, by which time the block may be someone else's. */
#include "broken.h"

static void counting(struct pool *pool, void *block, uint32_t tag)
{
	static _Atomic(uint64_t *) last;
	uint64_t *earlier = last;

	if (earlier)
		earlier[1] = broken_header_of(block)->bytes;
	last = broken_header_of(block)->type == POOL_NONPAGED ? block : NULL;
	broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("writes-freed", POOL_CAP_NATIVE,
							  broken_take, counting) };
