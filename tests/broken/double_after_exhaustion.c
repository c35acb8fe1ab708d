/* When commit is refused it falls back on the last block that was freed, without asking whether it is still free. */
#include "broken.h"

static struct {
	void *block;
	size_t bytes;
} last[POOL_TYPES];

static void *desperate(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	if (!block && bytes < BROKEN_REGION && last[type].bytes >= bytes)
		block = last[type].block;
	return block;
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);

	last[header->type].block = block;
	last[header->type].bytes = header->bytes - BROKEN_HEADER;
	broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("double-after-exhaustion",
							  POOL_CAP_NATIVE, desperate, put) };
