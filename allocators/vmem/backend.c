/*
 * vmem as a pool by itself: an arena a pool type with a small quantum, which serves every size.
 *
 * 1. Source: as in vmem.c; the paper's section 4.4 compares such arenas with other general allocators.
 *
 * 2. Layout. A block is a segment: the request rounded up to the quantum, no header. Its tag, in the nonpaged
 *    source, takes 56 bytes more; small blocks pay more for tags than for themselves, which is why the original
 *    puts caches on top (and `magazine` does here).
 *
 * 3. Page rules by the arena's own means: a request of 4096 bytes and more is aligned to the page, a smaller
 *    one must not cross it (the paper's vmem_xalloc has alignment and nocross for devices' sake).
 *
 * 4. Concurrency: an arena's lock a pool type, in every call. POOL_CAP_GLOBAL_LOCK says so.
 *
 * 5. Bounds: those of vmem.c. A tag's page stays until trim.
 *
 * 6. Capabilities: all but tags. A free of an address that no segment starts at is found by the hash and
 *    stopped as 0xC2, be it a second free or a wild one.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "vmem.h"

struct vmem_options {
	int fit;
	size_t quantum, import, retain;
};

static const struct option_def vmem_option_table[] = {
	OPTION_ENUM(struct vmem_options, fit, "instant", vmem_fit_names,
		    "which free segment is taken: constant time, the smallest, the next"),
	OPTION_SIZE(struct vmem_options, quantum, "16", 16, POOL_OS_PAGE,
		    "every size is rounded up to it; a power of two"),
	OPTION_SIZE(struct vmem_options, import, "64K", POOL_OS_PAGE, 1u << 30,
		    "asked of the page source at a time, at least"),
	OPTION_SIZE(struct vmem_options, retain, "1M", 0, 1ull << 40,
		    "spans that are free as a whole are kept a pool type up to this"),
	OPTION_END,
};

struct pool {
	struct page_source *source; /* of this structure */
	size_t own_bytes;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	size_t quantum;
	struct records tags;
	struct vmem arenas[POOL_TYPES];
};

static struct vmem *arena_of(struct pool *pool, const void *block)
{
	const struct page_source *nonpaged = pool->arenas[POOL_NONPAGED].config.source;

	return &pool->arenas[page_source_contains(nonpaged, block) ? POOL_NONPAGED : POOL_PAGED];
}

static void *arena_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const size_t rounded = (bytes + pool->quantum - 1) & ~(pool->quantum - 1);
	const bool small = bytes < POOL_OS_PAGE;
	const struct vmem_request request = {
		.bytes = rounded,
		.alignment = small ? pool->quantum : POOL_OS_PAGE,
		.nocross = small ? POOL_OS_PAGE : 0,
	};

	(void)tag;
	return rounded < bytes ? NULL : (void *)vmem_alloc(&pool->arenas[type], &request);
}

static void arena_free(struct pool *pool, void *block, uint32_t tag)
{
	(void)tag;
	if (__builtin_expect(!vmem_free(arena_of(pool, block), (uintptr_t)block), 0)) {
		const struct pool_stop stop = {
			.code = 0xC2,
			.arguments = { 7, (uintptr_t)block },
			.text = "freed an address at which no block starts: freed already, or wild",
		};

		pool->stop(pool->stop_arg, &stop);
	}
}

static size_t arena_block_bytes(struct pool *pool, const void *block)
{
	return vmem_segment_bytes(arena_of(pool, block), (uintptr_t)block);
}

static int arenas_init(struct pool *pool, const struct pool_config *config)
{
	const struct vmem_options *options = config->values;
	struct vmem_config arena = {
		.metadata = pool->source,
		.tags = &pool->tags,
		.quantum = options->quantum,
		.fit = (enum vmem_fit)options->fit,
		.import_bytes = options->import,
		.retain_bytes = options->retain,
	};

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		arena.source = config->pages[type];
		if (vmem_init(&pool->arenas[type], &arena) != 0) {
			while (type-- > 0)
				vmem_fini(&pool->arenas[type]);
			return -ENOMEM;
		}
	}
	return 0;
}

static int arena_create(const struct pool_config *config, struct pool **out)
{
	const struct vmem_options *options = config->values;
	struct page_source *source = config->pages[POOL_NONPAGED];
	const size_t own_bytes = page_source_round_up(source, sizeof(struct pool));
	struct pool *pool;

	if (options->quantum & (options->quantum - 1))
		return -EINVAL;
	pool = page_source_take(source, own_bytes, 0);
	if (!pool)
		return -ENOMEM;
	pool->source = source;
	pool->own_bytes = own_bytes;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->quantum = options->quantum;
	records_init(&pool->tags, source, sizeof(struct vmem_segment));
	if (arenas_init(pool, config) != 0) {
		page_source_give(source, pool, own_bytes);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

static void arena_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		vmem_fini(&pool->arenas[type]);
	records_fini(&pool->tags);
	page_source_give(pool->source, pool, pool->own_bytes);
}

static size_t arena_committed(const struct pool *pool)
{
	return records_committed(&pool->tags) + vmem_committed(&pool->arenas[POOL_NONPAGED]) +
	       vmem_committed(&pool->arenas[POOL_PAGED]);
}

static size_t arena_trim(struct pool *pool)
{
	const size_t before = arena_committed(pool);

	for (unsigned type = 0; type < POOL_TYPES; type++)
		vmem_trim(&pool->arenas[type]);
	records_trim(&pool->tags);
	return before - arena_committed(pool);
}

/* ---- walk, check, counters ---- */

struct walk {
	const struct vmem *arena;
	pool_visit visit;
	void *arg;
};

static int segment_visit(void *arg, const struct vmem_segment *segment)
{
	const struct walk *walk = arg;
	const struct pool_range range = {
		.start = (const void *)segment->start,
		.bytes = segment->bytes,
		.kind = POOL_RANGE_USED,
		.type = walk->arena->config.source->type,
		.block = (const void *)segment->start,
	};

	if (segment->kind == VMEM_FREE)
		return vmem_walk_free(walk->arena, segment, walk->visit, walk->arg);
	return walk->visit(walk->arg, &range);
}

static int arena_walk(struct pool *pool, pool_visit visit, void *arg)
{
	const struct pool_range own = {
		.start = pool,
		.bytes = pool->own_bytes,
		.kind = POOL_RANGE_METADATA,
		.type = pool->source->type,
	};
	int stopped = visit(arg, &own);

	if (!stopped)
		stopped = records_walk(&pool->tags, visit, arg);
	for (unsigned type = 0; type < POOL_TYPES && !stopped; type++) {
		struct walk walk = { &pool->arenas[type], visit, arg };

		stopped = vmem_walk_table(walk.arena, visit, arg);
		if (!stopped)
			stopped = vmem_walk(walk.arena, segment_visit, &walk);
	}
	return stopped;
}

static int arena_check(struct pool *pool, char *why, size_t why_bytes)
{
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES && !error; type++)
		error = vmem_check(&pool->arenas[type], why, why_bytes);
	return error;
}

static void arena_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	const struct vmem *a = &pool->arenas[POOL_NONPAGED], *b = &pool->arenas[POOL_PAGED];

	visit(arg, "segment_allocs", "segments allocated", a->allocations + b->allocations);
	visit(arg, "segment_frees", "segments freed", a->frees + b->frees);
	visit(arg, "steps", "free segments looked at", a->steps + b->steps);
	visit(arg, "searches", "allocations that walked a list", a->searches + b->searches);
	visit(arg, "splits", "segments cut in two", a->splits + b->splits);
	visit(arg, "merges", "neighbours merged", a->merges + b->merges);
	visit(arg, "spans_imported", "spans taken from the page source", a->imports + b->imports);
	visit(arg, "spans_returned", "spans given back to the page source",
	      a->returns + b->returns);
	visit(arg, "rehashes", "times a hash table changed its size", a->rehashes + b->rehashes);
	visit(arg, "lock_acquisitions", "acquisitions of an arena's lock",
	      a->lock.acquisitions + b->lock.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait",
	      a->lock.contentions + b->lock.contentions);
}

const struct pool_backend vmem_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_GLOBAL_LOCK |
		POOL_CAP_TRIM | POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "vmem",
	.summary = "Bonwick and Adams's vmem: boundary tags out of line, instant fit, spans",
	.options = vmem_option_table,
	.options_bytes = sizeof(struct vmem_options),
	.create = arena_create,
	.destroy = arena_destroy,
	.alloc = arena_alloc,
	.free = arena_free,
	.block_bytes = arena_block_bytes,
	.trim = arena_trim,
	.walk = arena_walk,
	.check = arena_check,
	.counters = arena_counters,
};
