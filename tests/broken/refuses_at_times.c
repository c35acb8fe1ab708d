/* Says NULL to one request in five thousand, because a lock was busy. */
#include "broken.h"

static void *moody(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Atomic unsigned calls;

	return ++calls % 5000 == 0 ? NULL : broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("refuses-at-times", POOL_CAP_NATIVE,
							  moody, broken_put) };
