/* A plugin of a later contract: nothing after its first word may be read. */
#include <stdint.h>

const struct {
	uint32_t abi;
} pool_backend = { 1000 };
