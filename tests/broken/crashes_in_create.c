/* Trusts an option that nobody gave. */
#include "broken.h"

static int trusting(const struct pool_config *config, struct pool **out)
{
	return config->options[0] ? broken_create(config, out) : -EINVAL;
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "crashes-in-create",
	.summary = "deliberately broken",
	.create = trusting,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
