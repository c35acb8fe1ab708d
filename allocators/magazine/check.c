/* Whether slabs, magazines and arenas agree about every object. */
#include "magazine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct audit {
	struct pool *pool;
	char *why;
	size_t why_bytes;
	struct {
		size_t slabs, empty, listed, out;
	} found[POOL_TYPES * MAGAZINE_CLASSES]; /* by id */
};

static int __attribute__((format(printf, 2, 3)))
audit_fail(const struct audit *audit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (audit->why)
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

static int object_wrong(void *arg, const void *object)
{
	return audit_fail(arg, "%p: in two magazines, or no object", object);
}

static int slab_check(struct audit *audit, const struct slab_cache *cache, const struct slab *slab,
		      const struct vmem_segment *segment)
{
	unsigned free = 0;

	if (slab->memory != (const char *)segment->start || slab->id != cache->id ||
	    segment->bytes != cache->slab_bytes)
		return audit_fail(audit, "slab %p: not that of segment %#zx", (const void *)slab,
				  (size_t)segment->start);
	for (unsigned i = 0; i < cache->objects; i++) {
		free += slab_bit(slab->bits, i);
		if (slab_bit(slab->bits, i) && slab_bit(slab->bits + cache->words, i))
			return audit_fail(audit, "%p: free in its slab and in a magazine",
					  (void *)slab_object(cache, slab, i));
	}
	if (free + slab->used != cache->objects)
		return audit_fail(audit, "slab %p: %u free and %u used of %u", (const void *)slab,
				  free, slab->used, cache->objects);
	if (slab->listed != (free > 0))
		return audit_fail(audit, "slab %p: %u free objects, %slisted", (const void *)slab,
				  free, slab->listed ? "" : "not ");
	audit->found[cache->id].slabs++;
	audit->found[cache->id].empty += slab->used == 0;
	audit->found[cache->id].listed += slab->listed;
	audit->found[cache->id].out += slab->used;
	return 0;
}

static int segment_check(void *arg, const struct vmem_segment *segment)
{
	struct audit *audit = arg;
	struct slab_cache *cache;
	struct slab *slab = segment_slab(audit->pool, segment, &cache);

	return slab ? slab_check(audit, cache, slab, segment) : 0;
}

static int shelf_check(struct audit *audit, const struct slab_cache *cache,
		       const struct magazine_shelf *shelf, size_t *full, size_t *empty)
{
	for (const struct magazine *at = shelf->full; at; at = at->next, ++*full)
		if (at->rounds != at->capacity)
			return audit_fail(audit,
					  "cache %u: a magazine of %u rounds among full "
					  "ones of %u",
					  cache->id, at->rounds, at->capacity);
	for (const struct magazine *at = shelf->empty; at; at = at->next, ++*empty)
		if (at->rounds)
			return audit_fail(audit,
					  "cache %u: a magazine of %u rounds among empty "
					  "ones",
					  cache->id, at->rounds);
	return 0;
}

static int depot_check(struct audit *audit, const struct slab_cache *cache)
{
	size_t full = 0, empty = 0;

	for (unsigned i = 0; i < audit->pool->processor_count; i++)
		if (shelf_check(audit, cache, &audit->pool->processors[i].shelves[cache->id], &full,
				&empty))
			return -EUCLEAN;
	if (full != cache->full_count || empty != cache->empty_count)
		return audit_fail(audit, "cache %u: %zu full and %zu empty, counted %zu and %zu",
				  cache->id, full, empty, cache->full_count, cache->empty_count);
	return 0;
}

static int slot_check(struct audit *audit, const struct magazine_slot *slot)
{
	const unsigned capacity = slot->loaded ? slot->loaded->capacity : 0;

	if (slot->bottom != (slot->loaded ? slot->loaded->round : NULL) ||
	    slot->limit - slot->bottom != capacity || slot_rounds(slot) > capacity)
		return audit_fail(audit, "a loaded magazine of %u has %u rounds of %zu", capacity,
				  slot_rounds(slot), (size_t)(slot->limit - slot->bottom));
	if (slot->previous_rounds &&
	    (!slot->previous || slot->previous_rounds != slot->previous->capacity))
		return audit_fail(audit, "a previous magazine is neither full nor empty");
	return 0;
}

static int cache_check(struct audit *audit, const struct slab_cache *cache)
{
	size_t listed = 0;

	for (const struct slab *slab = cache->partial; slab; slab = slab->next, listed++)
		if (!slab->listed || slab->used == cache->objects ||
		    (slab->next ? slab->next->previous : cache->partial_last) != slab)
			return audit_fail(audit, "slab %p: wrongly on the list of cache %u",
					  (const void *)slab, cache->id);
	if (listed != audit->found[cache->id].listed ||
	    cache->slabs != audit->found[cache->id].slabs ||
	    cache->empty_slabs != audit->found[cache->id].empty ||
	    cache->out != audit->found[cache->id].out)
		return audit_fail(audit,
				  "cache %u: %zu slabs, %zu empty, %zu objects out: not "
				  "what its slabs say",
				  cache->id, cache->slabs, cache->empty_slabs, cache->out);
	return depot_check(audit, cache);
}

int magazine_pool_check(struct pool *pool, char *why, size_t why_bytes)
{
	struct audit audit = { .pool = pool, .why = why, .why_bytes = why_bytes };
	int error = magazine_mark(pool, object_wrong, &audit);

	for (unsigned type = 0; type < POOL_TYPES && !error; type++) {
		error = vmem_check(&pool->arenas[type], why, why_bytes);
		if (!error)
			error = vmem_walk(&pool->arenas[type], segment_check, &audit);
	}
	for (unsigned i = 0; i < pool->processor_count && !error; i++)
		for (unsigned id = 0; id < POOL_TYPES * MAGAZINE_CLASSES && !error; id++)
			error = slot_check(&audit, &pool->processors[i].slots[id]);
	for (unsigned i = 0; i < POOL_TYPES * pool->class_count && !error; i++)
		error = cache_check(&audit, &pool->caches[i]);
	return error;
}
