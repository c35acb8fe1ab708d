/* Its own invariant, that no list is longer than the blocks there are, does not hold after many frees. */
#include "broken.h"

#include <stdio.h>

static _Atomic int balance;

static void *counting(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	balance += block != NULL;
	return block;
}

static void miscounting(struct pool *pool, void *block, uint32_t tag)
{
	balance -= broken_header_of(block)->bytes == 512 + BROKEN_HEADER ? 2 : 1;
	broken_put(pool, block, tag);
}

static int check(struct pool *pool, char *why, size_t why_bytes)
{
	(void)pool;
	if (balance >= 0)
		return 0;
	snprintf(why, why_bytes, "%d blocks are live", balance);
	return -EUCLEAN;
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("check-fails", POOL_CAP_NATIVE | POOL_CAP_CHECK, counting, miscounting),
	.check = check
};
