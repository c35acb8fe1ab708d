/*
 * What a malloc library says of itself: read-only, through the interface that it documents, found by name in the
 * library's own object. The memory pass records it beside what the kernel says.
 */
#ifndef POOLBENCH_MALLOC_STATISTICS_H
#define POOLBENCH_MALLOC_STATISTICS_H

#include <stdint.h>

#define MALLOC_CLAIM_UNKNOWN UINT64_MAX

/* Of the whole process; MALLOC_CLAIM_UNKNOWN for what a library does not tell. */
struct malloc_claim {
	uint64_t
		allocated_bytes; /* in blocks that callers hold, rounding in; caches by the library's own rule */
	uint64_t
		mapped_bytes; /* taken from the system and not given back, by the library's own account */
	uint64_t resident_bytes; /* what the library believes to be in memory, where it says so */
};

struct malloc_statistics {
	const char *symbol; /* the function that is asked */
	void (*read)(void *symbol, struct malloc_claim *claim);
};

extern const struct malloc_statistics
	malloc_statistics[]; /* ended by a NULL symbol; the first match counts */

#endif
