/* Promises to give memory back and gives none. */
#include "broken.h"

static size_t keep(struct pool *pool)
{
	(void)pool;
	return 0;
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("keeps-memory", POOL_CAP_NATIVE | POOL_CAP_TRIM, broken_take, broken_put),
	.trim = keep
};
