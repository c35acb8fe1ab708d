/*
 * null: the floor. alloc hands out one scratch block and free does nothing, so that a trace replayed
 * through it costs what the harness itself costs: reading events, keeping slots, one indirect call each
 * way, and writing the bytes that the owner writes.
 *
 * Concurrency: each processor has a scratch block of its own, so that no cache line is shared.
 * Departure from the contract: blocks overlap and contents are not kept, which POOL_CAP_FLOOR says. A
 * request larger than the scratch block is refused, as by a pool that is exhausted.
 */
#include <errno.h>

#include "backends.h"
#include "options.h"
#include "pages.h"

struct null_options {
	size_t scratch;
};

static const struct option_def null_option_table[] = {
	OPTION_SIZE(struct null_options, scratch, "4M", 4096, 1u << 30,
		    "scratch block of a processor; a larger request is refused"),
	OPTION_END,
};

struct pool {
	struct page_source *pages;
	size_t own_bytes, run_bytes, scratch_bytes;
	char *scratch;
};

/* Where the calling thread's scratch block is; one pool a thread at a time, as the contract has it. */
static _Thread_local char *thread_scratch;

static int null_create(const struct pool_config *config, struct pool **out)
{
	const struct null_options *options = config->values;
	struct page_source *pages = config->pages[POOL_PAGED];
	size_t own_bytes = page_source_round_up(pages, sizeof(struct pool));
	struct pool *pool = page_source_take(pages, own_bytes, 0);

	if (!pool)
		return -ENOMEM;
	pool->pages = pages;
	pool->own_bytes = own_bytes;
	pool->scratch_bytes = page_source_round_up(pages, options->scratch);
	pool->run_bytes = pool->scratch_bytes * config->processors;
	pool->scratch = page_source_take(pages, pool->run_bytes, 0);
	if (!pool->scratch) {
		page_source_give(pages, pool, own_bytes);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

static void null_destroy(struct pool *pool)
{
	if (!pool)
		return;
	page_source_give(pool->pages, pool->scratch, pool->run_bytes);
	page_source_give(pool->pages, pool, pool->own_bytes);
}

static void *null_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)type;
	(void)tag;
	return bytes <= pool->scratch_bytes ? thread_scratch : NULL;
}

static void null_free(struct pool *pool, void *block, uint32_t tag)
{
	(void)pool;
	(void)block;
	(void)tag;
}

/* Unknowable: nothing is kept of a block. */
static size_t null_block_bytes(struct pool *pool, const void *block)
{
	(void)pool;
	(void)block;
	return 0;
}

static int null_thread_enter(struct pool *pool, unsigned processor)
{
	thread_scratch = pool->scratch + (size_t)processor * pool->scratch_bytes;
	return 0;
}

static void null_thread_exit(struct pool *pool)
{
	(void)pool;
	thread_scratch = NULL;
}

const struct pool_backend null_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_FLOOR,
	.name = "null",
	.summary = "the floor: hands out one scratch block; what the harness itself costs",
	.options = null_option_table,
	.options_bytes = sizeof(struct null_options),
	.create = null_create,
	.destroy = null_destroy,
	.alloc = null_alloc,
	.free = null_free,
	.block_bytes = null_block_bytes,
	.thread_enter = null_thread_enter,
	.thread_exit = null_thread_exit,
};
