/* Boundary tags, the power-of-two free lists, and the hash of allocated segments. */
#include "vmem.h"

#include <string.h>

#define GOLDEN 0x9E3779B97F4A7C15ull /* Fibonacci hashing: Knuth, volume 3, section 6.4 */

void vmem_list_insert(struct vmem *arena, struct vmem_segment *segment)
{
	unsigned list = vmem_list_of(segment->bytes);

	segment->kind = VMEM_FREE;
	segment->list_previous = NULL;
	segment->list_next = arena->lists[list];
	if (segment->list_next)
		segment->list_next->list_previous = segment;
	arena->lists[list] = segment;
	arena->occupied |= 1ull << list;
	if (vmem_is_idle(segment))
		arena->idle_bytes += segment->bytes;
}

void vmem_list_remove(struct vmem *arena, struct vmem_segment *segment)
{
	unsigned list = vmem_list_of(segment->bytes);

	if (segment->list_next)
		segment->list_next->list_previous = segment->list_previous;
	if (segment->list_previous)
		segment->list_previous->list_next = segment->list_next;
	else
		arena->lists[list] = segment->list_next;
	if (!arena->lists[list])
		arena->occupied &= ~(1ull << list);
	if (vmem_is_idle(segment))
		arena->idle_bytes -= segment->bytes;
}

void vmem_ring_insert_after(struct vmem_segment *at, struct vmem_segment *segment)
{
	segment->previous = at;
	segment->next = at->next;
	at->next->previous = segment;
	at->next = segment;
}

void vmem_ring_retire(struct vmem *arena, struct vmem_segment *segment)
{
	if (arena->rotor == segment)
		arena->rotor = segment->previous;
	segment->previous->next = segment->next;
	segment->next->previous = segment->previous;
	segment->list_next = arena->spare;
	arena->spare = segment;
	arena->spares++;
}

struct vmem_segment *vmem_spare_take(struct vmem *arena)
{
	struct vmem_segment *segment = arena->spare;

	arena->spare = segment->list_next;
	arena->spares--;
	return segment;
}

static struct vmem_segment **bucket_of(struct vmem_segment **buckets, unsigned shift,
				       uintptr_t start)
{
	return &buckets[(start >> 4) * GOLDEN >> shift];
}

void vmem_hash_insert(struct vmem *arena, struct vmem_segment *segment)
{
	struct vmem_segment **bucket = bucket_of(arena->buckets, arena->bucket_shift,
						 segment->start);

	segment->list_next = *bucket;
	*bucket = segment;
	arena->used_segments++;
	arena->used_bytes += segment->bytes;
}

struct vmem_segment *vmem_hash_find(const struct vmem *arena, uintptr_t start)
{
	struct vmem_segment *segment = *bucket_of(arena->buckets, arena->bucket_shift, start);

	while (segment && segment->start != start)
		segment = segment->list_next;
	return segment;
}

struct vmem_segment *vmem_hash_remove(struct vmem *arena, uintptr_t start)
{
	struct vmem_segment **at = bucket_of(arena->buckets, arena->bucket_shift, start);
	struct vmem_segment *segment;

	while (*at && (*at)->start != start)
		at = &(*at)->list_next;
	segment = *at;
	if (segment) {
		*at = segment->list_next;
		arena->used_segments--;
		arena->used_bytes -= segment->bytes;
	}
	return segment;
}

static unsigned table_shift(size_t bytes)
{
	return 64u - vmem_list_of(bytes / sizeof(struct vmem_segment *));
}

/* Puts all segments into `buckets` (of zeroes) and hands out the table that was there. */
static struct vmem_segment **table_replace(struct vmem *arena, struct vmem_segment **buckets,
					   size_t bytes)
{
	struct vmem_segment **old = arena->buckets;
	const size_t count = arena->bucket_bytes / sizeof(*old);
	const unsigned shift = table_shift(bytes);

	for (size_t i = 0; i < count; i++) {
		struct vmem_segment *segment = old[i], *next;

		for (; segment; segment = next) {
			struct vmem_segment **bucket = bucket_of(buckets, shift, segment->start);

			next = segment->list_next;
			segment->list_next = *bucket;
			*bucket = segment;
		}
	}
	arena->buckets = buckets;
	arena->bucket_shift = shift;
	arena->bucket_bytes = bytes;
	arena->rehashes++;
	return old;
}

/* A table that cannot grow only gets slower: the refusal is no error. */
void vmem_hash_grow(struct vmem *arena)
{
	struct page_source *source = arena->config.metadata;
	struct vmem_segment **buckets;
	size_t bytes, spent;

	spinlock_acquire(&arena->lock);
	bytes = arena->bucket_bytes * 2;
	spinlock_release(&arena->lock);
	buckets = page_source_take(source, bytes, 0);
	if (!buckets)
		return;
	spent = bytes;
	spinlock_acquire(&arena->lock);
	if (arena->bucket_bytes * 2 == bytes) {
		spent = arena->bucket_bytes;
		buckets = table_replace(arena, buckets, bytes);
	}
	spinlock_release(&arena->lock);
	page_source_give(source, buckets, spent);
}

void vmem_hash_shrink(struct vmem *arena)
{
	struct page_source *source = arena->config.metadata;
	size_t bytes = source->page_size, spent = arena->bucket_bytes;
	struct vmem_segment **buckets;

	while (bytes / sizeof(*buckets) < arena->used_segments)
		bytes *= 2;
	if (bytes >= spent)
		return;
	buckets = page_source_take(source, bytes, 0);
	if (buckets)
		page_source_give(source, table_replace(arena, buckets, bytes), spent);
}
