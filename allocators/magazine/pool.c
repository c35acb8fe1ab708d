/* The pool behind `magazine` and `vmem`: create, alloc, free, trim. */
#include "magazine.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* What a thread that entered no pool stands for: every slot empty and without room. Never written. */
static struct magazine_processor outsider;
static _Thread_local struct magazine_processor *current = &outsider;

static struct magazine_processor *current_of(const struct pool *pool)
{
	return current->pool == pool ? current : NULL;
}

void magazine_pool_stop(struct pool *pool, uint64_t reason, const void *block, const char *text)
{
	const struct pool_stop stop = {
		.code = 0xC2, /* BAD_POOL_CALLER */
		.arguments = { reason, (uintptr_t)block },
		.text = text,
	};

	pool->stop(pool->stop_arg, &stop);
}

/* ---- alloc ---- */

static void *arena_alloc(struct pool *pool, enum pool_type type, size_t bytes)
{
	const size_t quantum = pool->setup.quantum;
	const size_t rounded = (bytes + quantum - 1) & ~(quantum - 1);
	const bool small = bytes < POOL_OS_PAGE;
	const struct vmem_request request = {
		.bytes = rounded,
		.alignment = small ? quantum : POOL_OS_PAGE,
		.nocross = small ? POOL_OS_PAGE : 0,
	};

	return rounded < bytes ? NULL : (void *)vmem_alloc(&pool->arenas[type], &request);
}

static void *cache_alloc(struct pool *pool, struct magazine_processor *processor, unsigned id)
{
	struct slab_cache *cache = cache_of(pool, id);
	struct magazine_slot *slot;
	void *object;

	if (!processor || !pool->setup.rounds_max)
		return slab_take(cache, &object, 1) ? object : NULL;
	slot = &processor->slots[id];
	if (slot->top != slot->bottom)
		return *--slot->top;
	return depot_alloc(cache, slot);
}

static unsigned class_of(const struct pool *pool, size_t bytes)
{
	if (bytes > pool->setup.cached_max)
		return 0;
	if (bytes <= POOL_OS_PAGE)
		return pool->class_of[(bytes + POOL_ALIGNMENT - 1) >> MAGAZINE_UNIT_SHIFT];
	return class_find(pool->class_bytes, pool->class_count, bytes);
}

/*
 * Before a request is refused: whatever this type's depots and this processor's magazines keep goes back to
 * the slabs, empty slabs to the arenas, idle spans to the source. Other processors' magazines cannot be
 * reached; they are a bounded number of rounds.
 */
static void pool_reclaim(struct pool *pool, struct magazine_processor *processor)
{
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		for (unsigned class = 1; class <= pool->class_count; class ++) {
			unsigned id = magazine_id(type, class);

			if (processor)
				slot_flush(cache_of(pool, id), &processor->slots[id]);
			depot_flush(cache_of(pool, id));
		}
		vmem_reap(&pool->arenas[type]);
	}
	atomic_fetch_add_explicit(&pool->reclaims, 1, memory_order_relaxed);
}

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  size_t bytes)
{
	struct magazine_processor *processor = current_of(pool);
	unsigned class = class_of(pool, bytes);

	if (bytes > pool->maps[type].source->range_bytes)
		return NULL;
	for (bool again = false;; again = true) {
		void *block = class ? cache_alloc(pool, processor, magazine_id(type, class))
				    : arena_alloc(pool, type, bytes);

		if (block || again)
			return block;
		pool_reclaim(pool, processor);
	}
}

void *magazine_pool_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct magazine_processor *processor = current;

	(void)tag;
	assert(processor == &outsider || processor->pool == pool);
	if (__builtin_expect(bytes <= POOL_OS_PAGE, 1)) {
		const unsigned class =
			processor->class_of[(bytes + POOL_ALIGNMENT - 1) >> MAGAZINE_UNIT_SHIFT];
		struct magazine_slot *slot = &processor->slots[magazine_id(type, class)];

		if (__builtin_expect(slot->top != slot->bottom, 1))
			return *--slot->top;
	}
	return alloc_slow(pool, type, bytes);
}

/* ---- free ---- */

static __attribute__((noinline)) void free_slow(struct pool *pool, void *block, enum pool_type type,
						unsigned id)
{
	struct magazine_processor *processor = current_of(pool);

	if (id == 0) {
		if (!vmem_free(&pool->arenas[type], (uintptr_t)block))
			magazine_pool_stop(pool, 7, block,
					   "freed an address at which no block starts: freed "
					   "already, or wild");
	} else if (!processor || !pool->setup.rounds_max) {
		slab_give(cache_of(pool, id), &block, 1);
	} else {
		depot_free(cache_of(pool, id), &processor->slots[id], block);
	}
}

static inline int page_id(const struct pool *pool, const void *block, enum pool_type *type)
{
	int id = page_map_id(&pool->maps[POOL_NONPAGED], block);

	*type = POOL_NONPAGED;
	if (id < 0) {
		*type = POOL_PAGED;
		id = page_map_id(&pool->maps[POOL_PAGED], block);
	}
	return id;
}

void magazine_pool_free(struct pool *pool, void *block, uint32_t tag)
{
	struct magazine_processor *processor = current;
	struct magazine_slot *slot;
	enum pool_type type;
	int id = page_id(pool, block, &type);

	(void)tag;
	assert(processor == &outsider || processor->pool == pool);
	if (__builtin_expect(id < 0, 0)) {
		magazine_pool_stop(pool, 0x99, block, "freed an address outside of both pools");
		return;
	}
	slot = &processor->slots[id];
	if (__builtin_expect(slot->top != slot->limit, 1)) {
		slot->frees++;
		*slot->top++ = block;
		return;
	}
	free_slow(pool, block, type, (unsigned)id);
}

size_t magazine_pool_block_bytes(struct pool *pool, const void *block)
{
	enum pool_type type;
	int id = page_id(pool, block, &type);

	if (id > 0)
		return cache_of(pool, (unsigned)id)->bytes;
	return id < 0 ? 0 : vmem_segment_bytes(&pool->arenas[type], (uintptr_t)block);
}

/* ---- threads ---- */

int magazine_pool_thread_enter(struct pool *pool, unsigned processor)
{
	if (processor >= pool->processor_count)
		return -EINVAL;
	current = &pool->processors[processor];
	return 0;
}

void magazine_pool_thread_exit(struct pool *pool)
{
	(void)pool;
	current = &outsider;
}

/* ---- trim ---- */

static size_t pool_committed(const struct pool *pool)
{
	size_t bytes = records_committed(&pool->tags) + records_committed(&pool->slabs);

	for (unsigned type = 0; type < POOL_TYPES; type++)
		bytes += vmem_committed(&pool->arenas[type]) +
			 page_map_committed(&pool->maps[type]);
	for (unsigned size = 0; size < MAGAZINE_SIZES; size++)
		bytes += records_committed(&pool->magazines[size]);
	return bytes;
}

size_t magazine_pool_trim(struct pool *pool)
{
	const size_t before = pool_committed(pool);

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		for (unsigned class = 1; class <= pool->class_count; class ++) {
			unsigned id = magazine_id(type, class);

			for (unsigned i = 0; i < pool->processor_count; i++)
				slot_flush(cache_of(pool, id), &pool->processors[i].slots[id]);
			depot_flush(cache_of(pool, id));
		}
		vmem_trim(&pool->arenas[type]);
	}
	records_trim(&pool->tags);
	records_trim(&pool->slabs);
	for (unsigned size = 0; size < MAGAZINE_SIZES; size++)
		records_trim(&pool->magazines[size]);
	return before - pool_committed(pool);
}

/* ---- life ---- */

static int span_imported(void *arg, const void *run, size_t bytes)
{
	return page_map_reach(arg, run, bytes);
}

static size_t align_line(size_t bytes)
{
	return (bytes + 2 * MAGAZINE_LINE - 1) & ~(size_t)(2 * MAGAZINE_LINE - 1);
}

/* Takes the pages of struct pool, the caches and the processors, and lays them out. */
static struct pool *pool_take(const struct pool_config *config, unsigned class_count)
{
	struct page_source *source = config->pages[POOL_NONPAGED];
	const size_t caches_at = align_line(sizeof(struct pool));
	const size_t processors_at = caches_at +
				     POOL_TYPES * class_count * sizeof(struct slab_cache);
	const size_t bytes = page_source_round_up(
		source, processors_at + config->processors * sizeof(struct magazine_processor));
	struct pool *pool = page_source_take(source, bytes, 0);

	if (!pool)
		return NULL;
	pool->source = source;
	pool->own_bytes = bytes;
	pool->caches = (struct slab_cache *)((char *)pool + caches_at);
	pool->processors = (struct magazine_processor *)((char *)pool + processors_at);
	return pool;
}

/* The arena of a type and the map of its pages. */
static int type_init(struct pool *pool, enum pool_type type, struct page_source *source)
{
	const struct vmem_config config = {
		.source = source,
		.metadata = pool->source,
		.tags = &pool->tags,
		.imported = span_imported,
		.imported_arg = &pool->maps[type],
		.quantum = pool->setup.quantum,
		.fit = pool->setup.fit,
		.import_bytes = pool->setup.import_bytes,
		.retain_bytes = pool->setup.retain_bytes,
	};
	int error = page_map_init(&pool->maps[type], source, pool->source);

	if (error)
		return error;
	error = vmem_init(&pool->arenas[type], &config);
	if (error)
		page_map_fini(&pool->maps[type]);
	return error;
}

static void type_fini(struct pool *pool, enum pool_type type)
{
	vmem_fini(&pool->arenas[type]);
	page_map_fini(&pool->maps[type]);
}

static void processors_init(struct pool *pool)
{
	for (unsigned i = 0; i < pool->processor_count; i++) {
		pool->processors[i].pool = pool;
		memcpy(pool->processors[i].class_of, pool->class_of, sizeof(pool->class_of));
	}
}

static void records_make(struct pool *pool)
{
	const size_t slab_bytes = sizeof(struct slab) + 2 * sizeof(uint64_t);

	records_init(&pool->tags, pool->source, sizeof(struct vmem_segment));
	records_init(&pool->slabs, pool->source, slab_bytes);
	for (unsigned size = 0; size < MAGAZINE_SIZES; size++)
		records_init(&pool->magazines[size], pool->source,
			     sizeof(struct magazine) + magazine_rounds[size] * sizeof(void *));
}

int magazine_pool_create(const struct pool_config *config, const struct magazine_setup *setup,
			 struct pool **out)
{
	uint32_t class_bytes[MAGAZINE_CLASSES];
	unsigned class_count = classes_make(setup, class_bytes);
	struct pool *pool;
	int error = 0;

	if (setup->quantum & (setup->quantum - 1))
		return -EINVAL;
	pool = pool_take(config, class_count);
	if (!pool)
		return -ENOMEM;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->setup = *setup;
	pool->processor_count = config->processors;
	pool->class_count = class_count;
	memcpy(pool->class_bytes, class_bytes, sizeof(class_bytes));
	for (unsigned unit = 0; unit <= MAGAZINE_UNITS; unit++)
		pool->class_of[unit] = (uint8_t)class_find(class_bytes, class_count,
							   unit << MAGAZINE_UNIT_SHIFT);
	records_make(pool);
	for (unsigned type = 0; type < POOL_TYPES && !error; type++) {
		error = type_init(pool, type, config->pages[type]);
		if (error && type > 0)
			type_fini(pool, type - 1);
		for (unsigned class = 1; class <= class_count && !error; class ++)
			cache_init(cache_of(pool, magazine_id(type, class)), pool, type, class,
				   class_bytes[class]);
	}
	if (error) {
		page_source_give(pool->source, pool, pool->own_bytes);
		return error;
	}
	processors_init(pool);
	*out = pool;
	return 0;
}

void magazine_pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		type_fini(pool, type);
	records_fini(&pool->tags);
	records_fini(&pool->slabs);
	for (unsigned size = 0; size < MAGAZINE_SIZES; size++)
		records_fini(&pool->magazines[size]);
	page_source_give(pool->source, pool, pool->own_bytes);
}
