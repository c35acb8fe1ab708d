/* Falls over on a request of a page. */
#include "broken.h"

#include <stdlib.h>

static void *crashing(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	if (bytes == POOL_OS_PAGE)
		abort();
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("crashes", POOL_CAP_NATIVE, crashing);
