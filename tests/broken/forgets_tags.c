/* Keeps three letters of a tag. */
#include "broken.h"

static int short_tag(struct pool *pool, const void *block, uint32_t *tag)
{
	(void)pool;
	*tag = broken_header_of(block)->tag & 0xFFFFFF;
	return 0;
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("forgets-tags", POOL_CAP_NATIVE | POOL_CAP_TAGS, broken_take, broken_put),
	.tag_of = short_tag
};
