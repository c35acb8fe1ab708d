/* Loses the guard of one block in five hundred, notices that at its free, and stops the machine itself. */
#include "broken.h"

#define GUARD 0xA5A5u

static void (*stop)(void *arg, const struct pool_stop *detail);
static void *stop_arg;

static int create(const struct pool_config *config, struct pool **out)
{
	stop = config->stop;
	stop_arg = config->stop_arg;
	return broken_create(config, out);
}

static void *take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Atomic unsigned calls;
	void *block = broken_take(pool, type, bytes, tag);

	if (block)
		broken_header_of(block)->processor = ++calls % 500 ? GUARD : 0;
	return block;
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);
	const struct pool_stop detail = {
		.code = 0x19, /* BAD_POOL_HEADER */
		.arguments = { 0x21, (uint64_t)(uintptr_t)block, header->bytes, header->processor },
		.text = "the guard in front of a block is gone",
	};

	if (header->processor != GUARD && stop)
		stop(stop_arg, &detail);
	broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "notices-itself",
	.summary = "deliberately broken",
	.create = create,
	.destroy = broken_destroy,
	.alloc = take,
	.free = put,
	.block_bytes = broken_block_bytes,
};
