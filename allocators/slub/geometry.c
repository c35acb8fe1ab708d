/*
 * Geometry: size classes, how many pool pages a slab has, where objects lie in it.
 *
 * Classes. Linux's kmalloc classes from 16 bytes on (its kmalloc-8 would break the alignment to 16). Those of 96
 * and 192 bytes are the only ones that do not divide a page; they are laid out page by page, 42 and 21 objects,
 * and leave the last 64 bytes of each OS page unused. So none crosses a page, and those of 4096 bytes and more
 * begin with one.
 *
 * Fitted classes (an option) stand for what Linux does where kmalloc's steps cost too much: kmem_cache_create()
 * for a size of its own. They are the largest multiples of 16 of which 3, 4, 5, ... fit into a page.
 *
 *     class 96:  | 0 | 1 | ... | 41 |::| 42 | 43 | ... | 83 |::|      :: 64 bytes, 1.6 %
 *                ^ OS page             ^ OS page
 *
 * Order. As calculate_order() does it: the fewest pages that hold min_objects and waste no more than 1/16 of
 * the slab; if there is no such order, 1/8, then 1/4, 1/2; at last the least order that holds one object.
 */
#include "slub.h"

static const uint16_t kmalloc_bytes[] = {
	16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192,
};

static const uint16_t fitted_bytes[SLUB_CLASSES] = {
	16,  32,  48,  64,  80,  96,  112, 128, 144,  160,  192,  224,  256,
	288, 336, 400, 448, 512, 576, 672, 816, 1024, 1360, 2048, 4096, 8192,
};

void slub_classes_init(struct pool *pool)
{
	unsigned class_index = 0;

	pool->class_bytes = pool->options.classes == SLUB_FITTED ? fitted_bytes : kmalloc_bytes;
	pool->class_count = pool->options.classes == SLUB_FITTED
				    ? SLUB_CLASSES
				    : sizeof(kmalloc_bytes) / sizeof(*kmalloc_bytes);
	for (unsigned unit = 0; unit < SLUB_UNITS; unit++) {
		if ((unit + 1) * SLUB_UNIT_BYTES > pool->class_bytes[class_index])
			class_index++;
		pool->class_of[unit] = (uint8_t)class_index;
	}
}

uint32_t slub_objects_in(size_t slab_bytes, uint32_t bytes)
{
	if (bytes >= POOL_OS_PAGE)
		return (uint32_t)(slab_bytes / bytes);
	return (uint32_t)(slab_bytes / POOL_OS_PAGE) * (POOL_OS_PAGE / bytes);
}

char *slub_object_at(const struct slab *slab, uint32_t index)
{
	size_t bytes = slab->bytes;
	size_t per_page = POOL_OS_PAGE / bytes;

	if (bytes >= POOL_OS_PAGE)
		return slab->base + index * bytes;
	return slab->base + index / per_page * POOL_OS_PAGE + index % per_page * bytes;
}

uint32_t slub_object_index(const struct slab *slab, const void *address)
{
	size_t offset = (size_t)((const char *)address - slab->base);
	size_t bytes = slab->bytes;

	if (bytes >= POOL_OS_PAGE)
		return (uint32_t)(offset / bytes);
	return (uint32_t)(offset / POOL_OS_PAGE * (POOL_OS_PAGE / bytes) +
			  offset % POOL_OS_PAGE / bytes);
}

/* The least order whose slabs hold `bytes`. */
static unsigned order_for(size_t page_size, size_t bytes)
{
	unsigned order = 0;

	while (page_size << order < bytes)
		order++;
	return order;
}

static unsigned order_calculate(size_t page_size, uint32_t bytes, size_t min_objects,
				unsigned max_order)
{
	size_t room;

	while (max_order > 0 && page_size << max_order > SLUB_SLAB_BYTES)
		max_order--;
	room = slub_objects_in(page_size << max_order, bytes);
	if (min_objects > room)
		min_objects = room;
	for (size_t fraction = 16; fraction > 1; fraction /= 2)
		for (unsigned order = order_for(page_size, min_objects * bytes); order <= max_order;
		     order++) {
			size_t slab_bytes = page_size << order;
			size_t waste = slab_bytes - slub_objects_in(slab_bytes, bytes) * bytes;

			if (slub_objects_in(slab_bytes, bytes) > 0 &&
			    waste <= slab_bytes / fraction)
				return order;
		}
	return order_for(page_size, bytes);
}

uint32_t slub_scale(uint32_t bytes, uint32_t whole)
{
	if (bytes >= POOL_OS_PAGE)
		return (whole * 6 + 119) / 120;
	if (bytes >= 1024)
		return (whole * 24 + 119) / 120;
	if (bytes >= 256)
		return (whole * 52 + 119) / 120;
	return whole;
}

void slub_cache_geometry(const struct pool *pool, struct slub_cache *cache, uint32_t bytes)
{
	size_t page_size = pool->control_source->page_size;
	size_t min_objects = pool->options.min_objects;
	uint32_t objects;

	/* 4 * (fls(processors) + 1) */
	if (min_objects == 0)
		min_objects = 4 * (33 - (size_t)__builtin_clz(pool->processors));
	cache->bytes = bytes;
	cache->pages = 1u << order_calculate(page_size, bytes, min_objects, pool->options.order);
	cache->least_pages = 1u << order_for(page_size, bytes);
	objects = slub_objects_in(cache->pages * page_size, bytes);
	cache->min_partial = pool->options.min_partial;
	/* Slabs are counted, as if each were half full. */
	cache->cpu_partial_slabs =
		(2 * slub_scale(bytes, pool->options.cpu_partial) + objects - 1) / objects;
}

/* The finaliser of splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

/* While the objects are still empty, the second word of each holds an index. */
static uint64_t *index_word(const struct slab *slab, uint32_t index)
{
	return (uint64_t *)(void *)slub_object_at(slab, index) + 1;
}

/* A shuffle of the indices (Durstenfeld's) inside the objects, then the list along it. */
static void *link_shuffled(struct pool *pool, struct slub_cpu *cpu, struct slab *slab)
{
	void *head = NULL;

	for (uint32_t i = 0; i < slab->objects; i++)
		*index_word(slab, i) = i;
	for (uint32_t i = slab->objects - 1; i > 0; i--) {
		uint64_t *other = index_word(slab, (uint32_t)(random_next(&cpu->random) % (i + 1)));
		uint64_t *word = index_word(slab, i), swap = *word;

		*word = *other;
		*other = swap;
	}
	for (uint32_t i = 0; i < slab->objects; i++) {
		void *object = slub_object_at(slab, (uint32_t)*index_word(slab, i));

		slub_link_set(pool, object, head);
		head = object;
	}
	return head;
}

void *slub_slab_link(struct pool *pool, struct slub_cpu *cpu, struct slab *slab)
{
	void *next = NULL;

	if (pool->options.random)
		return link_shuffled(pool, cpu, slab);
	for (uint32_t i = slab->objects; i-- > 0;) {
		void *object = slub_object_at(slab, i);

		slub_link_set(pool, object, next);
		next = object;
	}
	return next;
}
