/* Falls over on a request of a page. */
#include "broken.h"

#include <stdlib.h>

static void *crashing(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	if (bytes == POOL_OS_PAGE)
		abort();
	return broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("crashes", POOL_CAP_NATIVE, crashing,
							  broken_put) };
