/* Takes large requests straight from the kernel, past the page sources that it was given. */
#include "broken.h"

#include <sys/mman.h>

#define LARGE ((size_t)32 << 10)
#define OWN   0xFFu /* the class of such a block */

static size_t own_bytes(size_t bytes)
{
	return (bytes + 2 * POOL_OS_PAGE - 1) & ~(size_t)(POOL_OS_PAGE - 1);
}

static void *straight(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	char *run;

	if (bytes < LARGE || bytes > BROKEN_REGION / 2)
		return broken_take(pool, type, bytes, tag);
	run = mmap(NULL, own_bytes(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	return run == MAP_FAILED ? NULL : broken_label(run + POOL_OS_PAGE, type, OWN, bytes, tag);
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);

	if (header->class == OWN)
		munmap((char *)block - POOL_OS_PAGE, own_bytes(header->bytes - BROKEN_HEADER));
	else
		broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("own-memory", POOL_CAP_NATIVE, straight,
							  put) };
