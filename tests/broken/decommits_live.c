/* Gives the pages of a freed block of pages back, rounded outwards: its neighbours' ends go with them. */
#include "broken.h"

#include <sys/mman.h>

static void giving(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);
	const size_t bytes = header->bytes - BROKEN_HEADER;
	const uintptr_t first = (uintptr_t)block & ~(uintptr_t)(POOL_OS_PAGE - 1);

	if (bytes >= POOL_OS_PAGE && header->type == POOL_PAGED) {
		const struct broken_header kept = *header;

		madvise((void *)first, bytes, MADV_DONTNEED);
		*broken_header_of(block) = kept;
	}
	broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("decommits-live", POOL_CAP_NATIVE,
							  broken_take, giving) };
