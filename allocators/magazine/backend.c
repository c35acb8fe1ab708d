/*
 * magazine: slabs and magazines over vmem, the kernel memory allocator of Solaris.
 *
 * 1. Sources. Bonwick, "The Slab Allocator" (USENIX 1994): caches, slabs, colouring, return of whole slabs.
 *    Bonwick and Adams, "Magazines and Vmem" (USENIX 2001): magazines, depots, their growth by contention and
 *    their working set; arenas. FreeBSD's UMA: magazines ("buckets") start by the object's size and are
 *    filled from slabs in one go.
 *
 * 2. Layers.
 *
 *      request            class by a table of 16-byte steps up to a page, by pages above
 *         |
 *      slot, a processor  [loaded M..........][previous M......]   no lock, no atomic operation
 *         |  magazine
 *      depot, a cache     full: M M M   empty: M M                 depot_lock
 *         |  objects
 *      slabs, a cache     [ooo.oo..][o.......] -> partial list      slab_lock
 *         |  pages
 *      arena, a type      vmem with a quantum of a page            its lock
 *         |  spans
 *      page source
 *
 *    Requests above cached_max go to the arena, which is what kmem does above its caches. Caches of 2 pages
 *    and more are the arena's quantum caches.
 *
 * 3. Who is who on free. A byte a page says which cache it belongs to, 0 being the arena; the class is then
 *    known from one load, and neither slab nor object is touched.
 *
 * 4. Page rules. Objects below a page do not cross one, so that classes are the fractions of a page: 16 to 304 by
 *    16, then 336, 368, 400, 448, 512, 576, 672, 816, 1024, 1360, 2048, and 4096. More classes could not save
 *    a byte, since the number of objects a page holds would be the same.
 *
 * 5. Concurrency. A slot belongs to the thread that stands for its processor. Everything else is under one of
 *    the locks above, no two of which are held at once; the page map is written before objects are
 *    handed out and after the last came back. What is freed elsewhere goes into the freeing processor's
 *    magazine, and home only as part of a full one, through the depot.
 *
 * 6. Bounds. M allocations at least lie between two visits of a processor to a depot, M being the rounds of
 *    a magazine; an allocation and a free in turn visit none. A processor keeps 2M rounds a cache at
 *    most, a depot depot_bytes and what came within an interval. An empty slab is kept a cache.
 *
 * 7. Capabilities: all but tags, which kmem keeps only with its debugging on. A free of what is free is noticed
 *    when the object reaches its slab, not at once.
 *
 * 8. Departures. No constructors: the pool's interface has none. Time (15 seconds of contention and of working
 *    set) is counted in depot visits. Magazines change their size by replacement when they are empty, where
 *    kmem purges the cache. A bitmap instead of a linked list in the slab; a page map instead of a hash of
 *    buffers. Depots have a limit of bytes. When the source refuses, everything that can be reached is given
 *    back and the request is tried again, which stands for kmem's reaping callback.
 */
#include "magazine.h"

#include "allocators/backends.h"
#include "allocators/options.h"

struct magazine_options {
	bool magazines, colour;
	unsigned min, max, slab_objects, interval, contention;
	size_t bucket, depot, cached_max, import, retain;
	int fit;
};

static const struct option_def magazine_option_table[] = {
	OPTION_BOOL(struct magazine_options, magazines, "on", "off: every object comes from slabs"),
	OPTION_UINT(struct magazine_options, min, "2", 2, 250, "rounds",
		    "smallest magazine, however large the object"),
	OPTION_UINT(struct magazine_options, max, "250", 2, 250, "rounds",
		    "largest magazine, however small the object"),
	OPTION_SIZE(struct magazine_options, bucket, "32K", 16, 1u << 20,
		    "objects of a magazine to begin with; four times as much at most"),
	OPTION_SIZE(struct magazine_options, depot, "256K", 0, 1u << 30,
		    "full magazines that a cache's depot keeps; 0: no depot"),
	OPTION_UINT(struct magazine_options, interval, "256", 16, 1 << 20, "visits",
		    "depot visits between two looks at contention and working set"),
	OPTION_UINT(struct magazine_options, contention, "3", 0, 1 << 20, "visits",
		    "contended visits in an interval above which magazines grow"),
	OPTION_UINT(struct magazine_options, slab_objects, "8", 1, 32, "objects",
		    "a slab has pages for at least as many"),
	OPTION_BOOL(struct magazine_options, colour, "on",
		    "slabs start their objects at different cache lines"),
	OPTION_SIZE(struct magazine_options, cached_max, "32K", 16, 1u << 16,
		    "largest request that has a cache; larger ones go to the arena"),
	OPTION_SIZE(struct magazine_options, import, "64K", POOL_OS_PAGE, 1u << 30,
		    "asked of the page source at a time, at least"),
	OPTION_SIZE(struct magazine_options, retain, "1M", 0, 1ull << 40,
		    "spans that are free as a whole are kept a pool type up to this"),
	OPTION_ENUM(struct magazine_options, fit, "instant", vmem_fit_names,
		    "which free segment of the arena is taken"),
	OPTION_END,
};

static int magazine_create(const struct pool_config *config, struct pool **out)
{
	const struct magazine_options *options = config->values;
	const struct magazine_setup setup = {
		.quantum = POOL_OS_PAGE,
		.fit = (enum vmem_fit)options->fit,
		.import_bytes = options->import,
		.retain_bytes = options->retain,
		.cached_max = options->cached_max,
		.colour = options->colour,
		.slab_objects = options->slab_objects,
		.rounds_min = options->min,
		.rounds_max = options->magazines ? options->max : 0,
		.rounds_bytes = options->bucket,
		.depot_bytes = options->depot,
		.interval = options->interval,
		.contention = options->contention,
	};

	return magazine_pool_create(config, &setup, out);
}

const struct pool_backend magazine_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_TRIM |
		POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "magazine",
	.summary = "Solaris's kmem: slabs, per-processor magazines and depots over vmem arenas",
	.options = magazine_option_table,
	.options_bytes = sizeof(struct magazine_options),
	.create = magazine_create,
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
