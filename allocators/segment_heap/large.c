/*
 * Blocks beyond a segment's reach (about 8 MiB): whole pool pages straight from the page source.
 *
 * What Windows keeps in a heap's metadata and in the big-page table (address, size, tag) is one
 * node of a red-black tree by address. The nodes are chunks of the nonpaged heap, also for paged
 * blocks.
 *
 * Concurrency. One lock a heap, for the tree only; the page source is called without it.
 */
#include "segment_heap.h"

static struct large_block *large_of(struct rb_node *node)
{
	return SH_CONTAINER(node, struct large_block, node);
}

static struct large_block *find(const struct large_context *large, const char *start)
{
	struct rb_node *at = large->blocks.root;

	while (at && large_of(at)->start != start)
		at = at->child[start > large_of(at)->start];
	return at ? large_of(at) : NULL;
}

static void insert(struct large_context *large, struct large_block *block)
{
	struct rb_node *parent = NULL, *at = large->blocks.root;
	int side = 0;

	while (at) {
		parent = at;
		side = block->start > large_of(at)->start;
		at = at->child[side];
	}
	rb_insert(&large->blocks, &block->node, parent, side);
}

static void *pages_take(struct sh_heap *heap, size_t bytes)
{
	void *start = page_source_take(heap->source, bytes, 0);

	if (!start && seg_give_all(heap))
		start = page_source_take(heap->source, bytes, 0);
	return start;
}

void *large_alloc(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct sh_heap *nodes = &heap->pool->heaps[POOL_NONPAGED];
	struct large_context *large = &heap->large;
	size_t rounded = page_source_round_up(heap->source, bytes);
	struct large_block *block;

	if (rounded < bytes || rounded > heap->source->range_bytes)
		return NULL;
	block = vs_alloc_small(nodes, sizeof(*block), SH_INTERNAL, 0);
	if (!block)
		return NULL;
	block->start = pages_take(heap, rounded);
	if (!block->start) {
		vs_free_small(nodes, sh_header_of(block));
		return NULL;
	}
	block->bytes = rounded;
	block->tag = tag;
	spinlock_acquire(&large->lock);
	insert(large, block);
	large->count++;
	large->allocations++;
	spinlock_release(&large->lock);
	return block->start;
}

bool large_find(struct sh_heap *heap, const void *block, struct large_block *copy)
{
	struct large_block *found;

	spinlock_acquire(&heap->large.lock);
	found = find(&heap->large, block);
	if (found)
		*copy = *found;
	spinlock_release(&heap->large.lock);
	return found != NULL;
}

bool large_free(struct sh_heap *heap, void *start)
{
	struct large_context *large = &heap->large;
	struct large_block *block;

	spinlock_acquire(&large->lock);
	block = find(large, start);
	if (block) {
		rb_remove(&large->blocks, &block->node);
		large->count--;
	}
	spinlock_release(&large->lock);
	if (!block)
		return false;
	page_source_give(heap->source, start, block->bytes);
	vs_free_small(&heap->pool->heaps[POOL_NONPAGED], sh_header_of(block));
	return true;
}

/* The nodes go with the nonpaged heap. */
void large_destroy(struct large_context *large, struct page_source *source)
{
	for (struct rb_node *at = rb_end(&large->blocks, 0); at; at = rb_step(at, 1))
		page_source_give(source, large_of(at)->start, large_of(at)->bytes);
}
