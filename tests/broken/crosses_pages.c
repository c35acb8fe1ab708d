/* Promises the page rules and keeps the half of them that is about whole pages. */
#include "broken.h"

static void *crossing(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	return broken_bump(pool, type, bytes, bytes >= POOL_OS_PAGE ? POOL_OS_PAGE : POOL_ALIGNMENT,
			   0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND(
	"crosses-pages", POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES, crossing);
