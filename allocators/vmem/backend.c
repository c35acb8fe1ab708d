/*
 * vmem as a pool by itself: an arena a pool type with a small quantum, which serves every size, and quantum
 * caches in front of it.
 *
 * 1. Source: as in vmem.c; quantum caches are section 4.4.4 of the paper.
 *
 * 2. Layout. A block is a segment: the request rounded up to the quantum, no header. Its tag, in the nonpaged
 *    source, takes 56 bytes more; small blocks would pay more for tags than for themselves, which is what
 *    quantum caches are for: an object cache (allocators/magazine) for each multiple of the quantum up to
 *    `cached`, whose slabs are page-aligned segments of the same arena. cached=0 leaves them out.
 *
 * 3. Page rules by the arena's own means: a request of 4096 bytes and more is aligned to the page, a smaller
 *    one must not cross it (the paper's vmem_xalloc has alignment and nocross for devices' sake).
 *
 * 4. Concurrency. Quantum caches have magazines a processor. Every other request takes the arena's lock, one a
 *    pool type: POOL_CAP_GLOBAL_LOCK says so.
 *
 * 5. Bounds: those of vmem.c, and of the caches. A tag's page stays until trim.
 *
 * 6. Capabilities: all but tags. A free of an address that no segment starts at is found by the hash and
 *    stopped as 0xC2, be it a second free or a wild one.
 */
#include "vmem.h"

#include "allocators/backends.h"
#include "allocators/magazine/magazine.h"
#include "allocators/options.h"

struct vmem_options {
	int fit;
	size_t quantum, cached, import, retain;
};

static const struct option_def vmem_option_table[] = {
	OPTION_ENUM(struct vmem_options, fit, "instant", vmem_fit_names,
		    "which free segment is taken: constant time, the smallest, the next"),
	OPTION_SIZE(struct vmem_options, quantum, "16", 16, POOL_OS_PAGE,
		    "every size is rounded up to it; a power of two"),
	OPTION_SIZE(struct vmem_options, cached, "512", 0, 1u << 16,
		    "quantum caches up to this size, 63 at most; 0: none"),
	OPTION_SIZE(struct vmem_options, import, "64K", POOL_OS_PAGE, 1u << 30,
		    "asked of the page source at a time, at least"),
	OPTION_SIZE(struct vmem_options, retain, "1M", 0, 1ull << 40,
		    "spans that are free as a whole are kept a pool type up to this"),
	OPTION_END,
};

static int arena_create(const struct pool_config *config, struct pool **out)
{
	const struct vmem_options *options = config->values;
	const struct magazine_setup setup = {
		.quantum = options->quantum,
		.fit = (enum vmem_fit)options->fit,
		.import_bytes = options->import,
		.retain_bytes = options->retain,
		.cached_max = options->cached,
		.multiples = true,
		.colour = true,
		.slab_objects = 4,
		.rounds_min = 2,
		.rounds_max = 250,
		.rounds_bytes = 32 << 10,
		.depot_bytes = 256 << 10,
		.interval = 256,
		.contention = 3,
	};

	return magazine_pool_create(config, &setup, out);
}

const struct pool_backend vmem_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_GLOBAL_LOCK |
		POOL_CAP_TRIM | POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "vmem",
	.summary =
		"Bonwick and Adams's vmem: boundary tags out of line, instant fit, quantum caches",
	.options = vmem_option_table,
	.options_bytes = sizeof(struct vmem_options),
	.create = arena_create,
	.destroy = magazine_pool_destroy,
	.alloc = magazine_pool_alloc,
	.free = magazine_pool_free,
	.block_bytes = magazine_pool_block_bytes,
	.thread_enter = magazine_pool_thread_enter,
	.thread_exit = magazine_pool_thread_exit,
	.trim = magazine_pool_trim,
	.walk = magazine_pool_walk,
	.check = magazine_pool_check,
	.counters = magazine_pool_counters,
};
