/* Never returns from the allocation that follows the thousandth. */
#include "broken.h"

#include <stdatomic.h>
#include <unistd.h>

static void *hanging(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static atomic_uint calls;

	(void)tag;
	while (atomic_fetch_add(&calls, 1) >= 1000)
		pause();
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("hangs", POOL_CAP_NATIVE, hanging);
