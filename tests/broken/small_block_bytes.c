/* Says of a block what was asked for, less the header it forgot. */
#include "broken.h"

static void *shrunk(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct broken_header *block = broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);

	(void)tag;
	if (block)
		block[-1].bytes = bytes - 1;
	return block;
}

const struct pool_backend pool_backend = BROKEN_BACKEND("small-block-bytes", POOL_CAP_NATIVE,
							shrunk);
