/* When the first commit of create fails, the addresses that were reserved for it stay reserved. */
#include "broken.h"

static int leaking_create(const struct pool_config *config, struct pool **out)
{
	struct page_source *pages = config->pages[POOL_PAGED];
	void *probe = page_source_reserve(pages, pages->page_size, 0);

	if (!probe || page_source_commit(pages, probe, pages->page_size) != 0)
		return -ENOMEM;
	page_source_give(pages, probe, pages->page_size);
	return broken_create(config, out);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "leaks-on-failed-commit",
	.summary = "deliberately broken",
	.create = leaking_create,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
