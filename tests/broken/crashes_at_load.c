/* Falls over before anyone has called it: a constructor of the shared object. */
#include "broken.h"

static __attribute__((constructor)) void initialise(void)
{
	static volatile int *volatile nowhere = (volatile int *)(uintptr_t)8;

	*nowhere = 1;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("crashes-at-load", POOL_CAP_NATIVE,
							  broken_take, broken_put) };
