/* Ends every block that fills its room with a word of its own, which is the next block's header. */
#include "broken.h"

static void *terminating(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	char *block = broken_take(pool, type, bytes, tag);
	uint64_t *end;

	if (block && bytes == (size_t)POOL_ALIGNMENT << broken_class(bytes) &&
	    type == POOL_NONPAGED) {
		end = (uint64_t *)(void *)(block + bytes);
		if ((char *)(end + 1) <= pool->regions[type].base + pool->regions[type].committed)
			*end = 0;
	}
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("tramples-headers", POOL_CAP_NATIVE,
							  terminating, broken_put) };
