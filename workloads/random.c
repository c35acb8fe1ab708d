#include "random.h"

/* The seeding rule is part of the trace format's promise: the same seed, the same trace. */
_Static_assert(sizeof(struct random) == 32, "xoshiro256** has 256 bits of state");
