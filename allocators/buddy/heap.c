/*
 * The algorithm of the binary buddy system: lists by order, splitting, merging. Whether the pages of a free
 * block are committed only decides which list it is in: memory that is there is used first.
 */
#include "buddy.h"

void buddy_heap_init(struct buddy_heap *heap)
{
	for (unsigned class = 0; class < BUDDY_CLASSES; class ++)
		for (unsigned order = 0; order < BUDDY_ORDERS; order++) {
			struct buddy_links *list = &heap->lists[class][order];

			list->next = list->previous = list;
		}
}

/* ---- lists ---- */

static struct buddy_links *links_of(const struct buddy_heap *heap, void *block, unsigned order)
{
	if (order < heap->page_order)
		return block;
	return (struct buddy_links *)(uintptr_t)(buddy_mark_of(heap, block) + BUDDY_LINKS_AT);
}

static void *block_of(const struct buddy_heap *heap, struct buddy_links *links, unsigned order)
{
	uintptr_t unit;

	if (order < heap->page_order)
		return links;
	unit = (uintptr_t)links - BUDDY_LINKS_AT - (uintptr_t)heap->map;
	return (void *)(heap->origin + (unit << heap->unit_shift));
}

size_t buddy_backed_pages(const struct buddy_heap *heap, const void *block, unsigned order)
{
	return bitmap_count(buddy_span_of(heap, block)->backed, buddy_page_in_span(heap, block),
			    (size_t)1 << (order - heap->page_order));
}

static void block_link(struct buddy_heap *heap, void *block, unsigned order)
{
	struct buddy_links *links = links_of(heap, block, order), *list;
	enum buddy_class class = BUDDY_BACKED;

	if (order >= heap->page_order) {
		const size_t backed = buddy_backed_pages(heap, block, order);

		heap->free_backed += backed;
		class = backed ? BUDDY_BACKED : BUDDY_UNBACKED;
	}
	list = &heap->lists[class][order];
	links->next = list->next;
	links->previous = list;
	list->next->previous = links;
	list->next = links;
	heap->occupied[class] |= 1u << order;
	buddy_mark_set(buddy_mark_of(heap, block), BUDDY_FREE | order);
}

static void block_unlink(struct buddy_heap *heap, void *block, unsigned order)
{
	struct buddy_links *links = links_of(heap, block, order);
	enum buddy_class class = BUDDY_BACKED;

	if (order >= heap->page_order) {
		const size_t backed = buddy_backed_pages(heap, block, order);

		heap->free_backed -= backed;
		class = backed ? BUDDY_BACKED : BUDDY_UNBACKED;
	}
	links->next->previous = links->previous;
	links->previous->next = links->next;
	if (links->next == links->previous && links->next == &heap->lists[class][order])
		heap->occupied[class] &= ~(1u << order);
	/* In the map the links lie over marks, which would look like those of blocks. */
	if (order >= heap->page_order)
		links->next = links->previous = NULL;
}

/* ---- splitting and merging ---- */

/* Of the halves of a block the one to go on with: the lower, unless only the upper has memory. */
static void *half_choose(const struct buddy_heap *heap, void *block, unsigned order)
{
	void *upper = buddy_other(heap, block, order);

	if (order < heap->page_order || buddy_backed_pages(heap, block, order) ||
	    !buddy_backed_pages(heap, upper, order))
		return block;
	return upper;
}

void *buddy_take_whole(struct buddy_heap *heap, unsigned order, enum buddy_class class)
{
	struct buddy_links *list = &heap->lists[class][order];
	void *block;

	if (list->next == list)
		return NULL;
	block = block_of(heap, list->next, order);
	block_unlink(heap, block, order);
	buddy_mark_set(buddy_mark_of(heap, block), BUDDY_USED | order);
	return block;
}

void *buddy_take(struct buddy_heap *heap, unsigned order, enum buddy_class class)
{
	const uint32_t orders = heap->occupied[class] & (~0u << order);
	unsigned from;
	void *block;

	if (!orders)
		return NULL;
	from = (unsigned)__builtin_ctz(orders);
	block = buddy_take_whole(heap, from, class);
	while (from > order) {
		void *half = half_choose(heap, block, --from);

		block_link(heap, buddy_other(heap, half, from), from);
		block = half;
		heap->counts.splits++;
	}
	buddy_mark_set(buddy_mark_of(heap, block), BUDDY_USED | order);
	return block;
}

static bool is_backed(const struct buddy_heap *heap, const void *block, unsigned order)
{
	return order < heap->page_order ||
	       buddy_backed_pages(heap, block, order) == (size_t)1 << (order - heap->page_order);
}

/*
 * A block with memory that is cut into no more than `want` of the order, all of which are wanted; the order it has.
 * What it is cut from becomes free. NULL: none is free that has all its memory.
 */
static void *run_take(struct buddy_heap *heap, unsigned order, unsigned want, unsigned *from)
{
	const uint32_t orders = heap->occupied[BUDDY_BACKED] & (~0u << order);
	void *block;

	if (!orders)
		return NULL;
	*from = (unsigned)__builtin_ctz(orders);
	block = buddy_take_whole(heap, *from, BUDDY_BACKED);
	while (*from > order && (1u << (*from - order) > want || !is_backed(heap, block, *from))) {
		void *half = half_choose(heap, block, --*from);

		block_link(heap, buddy_other(heap, half, *from), *from);
		block = half;
		heap->counts.splits++;
	}
	if (is_backed(heap, block, *from))
		return block;
	buddy_put(heap, block, *from);
	return NULL;
}

unsigned buddy_take_many(struct buddy_heap *heap, unsigned order, void **blocks, unsigned want)
{
	unsigned count = 0, from;

	while (count < want) {
		char *run = run_take(heap, order, want - count, &from);
		const unsigned pieces = run ? 1u << (from - order) : 0;

		if (!run)
			break;
		for (unsigned i = 0; i < pieces; i++, run += buddy_bytes(heap, order)) {
			buddy_mark_set(buddy_mark_of(heap, run), BUDDY_USED | order);
			blocks[count++] = run;
		}
		heap->counts.splits += pieces - 1;
	}
	return count;
}

void buddy_cut(struct buddy_heap *heap, void *block, unsigned from, unsigned order)
{
	while (from > order) {
		from--;
		block_link(heap, buddy_other(heap, block, from), from);
		heap->counts.splits++;
	}
	buddy_mark_set(buddy_mark_of(heap, block), BUDDY_USED | order);
}

unsigned buddy_put(struct buddy_heap *heap, void *block, unsigned order)
{
	for (; order < heap->max_order; order++) {
		void *other = buddy_other(heap, block, order);
		buddy_mark *mark = buddy_mark_of(heap, other);

		if (buddy_mark_get(mark) != (BUDDY_FREE | order))
			break;
		block_unlink(heap, other, order);
		/* The upper half begins no block any more: a free of it is noticed. */
		buddy_mark_set(mark, 0);
		buddy_mark_set(buddy_mark_of(heap, block), 0);
		if ((uintptr_t)other < (uintptr_t)block)
			block = other;
		heap->counts.merges++;
	}
	block_link(heap, block, order);
	return order;
}
