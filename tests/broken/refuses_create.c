/* Cannot be made with large pool pages, and does not say so by its capabilities. */
#include "broken.h"

static int choosy(const struct pool_config *config, struct pool **out)
{
	return config->page_size > 16384 ? -EOVERFLOW : broken_create(config, out);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "refuses-create",
	.summary = "deliberately broken",
	.create = choosy,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
