/* Writes to an address that nobody has at the five-hundredth allocation, having said something on stderr. */
#include "broken.h"

#include <stdatomic.h>
#include <stdio.h>

static void *faulting(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static atomic_uint calls;
	static volatile int *volatile nowhere = (volatile int *)(uintptr_t)8;

	(void)tag;
	if (atomic_fetch_add(&calls, 1) == 500) {
		fprintf(stderr, "my free list looks odd\n");
		*nowhere = 1;
	}
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("segfaults", POOL_CAP_NATIVE, faulting);
