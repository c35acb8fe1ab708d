/* Looks into a page that it has just given back, as a list that was not unlinked would make it. */
#include "broken.h"

static size_t trimming(struct pool *pool)
{
	struct region *region = &pool->regions[POOL_PAGED];
	const size_t page = region->pages->page_size;
	volatile char *last = region->base + region->committed;

	if (region->base && region->committed + page <= BROKEN_REGION &&
	    page_source_commit(region->pages, (void *)last, page) == 0) {
		page_source_decommit(region->pages, (void *)last, page);
		(void)*last;
	}
	return 0;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("reads-decommitted",
							  POOL_CAP_NATIVE | POOL_CAP_TRIM,
							  broken_take, broken_put),
					   .trim = trimming };
