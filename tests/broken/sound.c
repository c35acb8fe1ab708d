/* No bug at all: what the others are made from keeps every promise, so that what is found is what was planted. */
#include "broken.h"

const struct pool_backend pool_backend = { BROKEN_REUSING(
	"sound", POOL_CAP_NATIVE | POOL_CAP_RESIDENT, broken_take, broken_put) };
