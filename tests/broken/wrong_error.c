/* Says "bad argument" of a commit that was refused at create. */
#include "broken.h"

static int mistaken(const struct pool_config *config, struct pool **out)
{
	return broken_create(config, out) ? -EINVAL : 0;
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "wrong-error",
	.summary = "deliberately broken",
	.create = mistaken,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
