/* Tells the kernel that the pages of free blocks are not needed, nonpaged ones too: the next owner faults. */
#include "broken.h"

#include <sys/mman.h>

static void *dropping(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	char *block = broken_take(pool, type, bytes, tag);
	const uintptr_t first = ((uintptr_t)block + POOL_OS_PAGE - 1) &
				~(uintptr_t)(POOL_OS_PAGE - 1);
	const uintptr_t end = ((uintptr_t)block + bytes) & ~(uintptr_t)(POOL_OS_PAGE - 1);

	if (block && end > first) {
		munlock((void *)first, end - first);
		madvise((void *)first, end - first, MADV_DONTNEED);
	}
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING(
	"drops-pages", POOL_CAP_NATIVE | POOL_CAP_RESIDENT, dropping, broken_put) };
