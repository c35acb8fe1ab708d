/*
 * Pool descriptors: blocks of up to 255 units carved from pages.
 *
 * A page in use is a chain of blocks: each header has its own size and the size of the one before,
 * and the sizes add up to the page's end. Two free blocks are never neighbours. A free block of two
 * units or more is on the list of exactly its size; one of a single unit has no room for links and
 * waits for a neighbour.
 *
 * The lists are searched upwards from the request's own size. Windows looks at each list head in
 * turn; the bitmap of lists that are not empty finds the same one in at most four words.
 *
 * What lies between a block and the end of its page is never merged with another page, so a page
 * goes back to the page layer exactly when the last of its blocks is freed.
 */
#include "nt_pool.h"

void nt_descriptor_init(struct nt_descriptor *descriptor, unsigned index, enum pool_type type)
{
	descriptor->index = (uint8_t)index;
	descriptor->type = type;
	for (unsigned i = 0; i < NT_PAGE_UNITS; i++)
		nt_links_init(&descriptor->lists[i]);
}

static struct nt_header *links_header(struct nt_links *links)
{
	return nt_header_of(links);
}

static void list_mark(struct nt_descriptor *descriptor, unsigned units)
{
	descriptor->occupied[units / 64] |= 1ull << units % 64;
}

/* At the head: what was freed last is warm. At the tail: what a split left over is used last. */
static void list_insert(struct nt_descriptor *descriptor, struct nt_header *header, bool at_tail)
{
	struct nt_links *head = &descriptor->lists[header->block_size];

	nt_state_set(header, 0);
	if (header->block_size < 2)
		return;
	nt_links_insert_after(at_tail ? head->previous : head, nt_body_of(header));
	list_mark(descriptor, header->block_size);
}

static bool list_remove(struct nt_descriptor *descriptor, struct nt_header *header)
{
	struct nt_links *links = nt_body_of(header), *head;

	if (header->block_size < 2)
		return true;
	if (links->next->previous != links || links->previous->next != links)
		return false;
	nt_links_remove(links);
	head = &descriptor->lists[header->block_size];
	descriptor->occupied[header->block_size / 64] &= ~((uint64_t)(head->next == head)
							   << header->block_size % 64);
	return true;
}

/* The first non-empty list from `units` upwards, or NT_PAGE_UNITS. */
static unsigned list_find(const struct nt_descriptor *descriptor, unsigned units)
{
	unsigned word = units / 64;
	uint64_t bits = descriptor->occupied[word] & ~0ull << units % 64;

	while (!bits) {
		if (++word == NT_PAGE_UNITS / 64)
			return NT_PAGE_UNITS;
		bits = descriptor->occupied[word];
	}
	return word * 64 + (unsigned)__builtin_ctzll(bits);
}

/* Tells the block behind `header`, whose size is `units`, what is now in front of it. */
static void next_update(struct nt_header *header, unsigned units)
{
	*nt_size_witness(header, units) = (uint8_t)units;
}

static void header_init(struct nt_header *header, const struct nt_descriptor *descriptor,
			unsigned previous, unsigned units)
{
	header->previous_size = (uint8_t)previous;
	header->pool_index = descriptor->index;
	header->block_size = (uint8_t)units;
	nt_state_set(header, 0);
	header->tag = 0;
	header->process_billed = 0;
}

/*
 * Cuts `units` from a block of `size` that is on no list: at a page's start from its front, else
 * from its back. Blocks thus gather at both ends of a page and what is free stays together in its
 * middle. The rest is listed. Under the lock.
 */
static struct nt_header *block_split(struct nt_descriptor *descriptor, struct nt_header *header,
				     unsigned size, unsigned units)
{
	bool at_front = nt_page_aligned(header);
	size_t first = nt_chosen(at_front ? units : size - units), second = size - first;
	struct nt_header *behind = nt_header_after(header, (unsigned)first);

	if (size == units)
		return header;
	descriptor->splits++;
	header->block_size = (uint8_t)first;
	header_init(behind, descriptor, (unsigned)first, (unsigned)second);
	next_update(behind, (unsigned)second);
	/* Again an address: which of the two it is cannot be guessed. */
	first *= NT_UNIT_BYTES;
	list_insert(descriptor,
		    (struct nt_header *)((uintptr_t)header + nt_chosen(at_front ? first : 0)),
		    true);
	return (struct nt_header *)((uintptr_t)header + nt_chosen(at_front ? 0 : first));
}

static void *block_hand_out(struct nt_descriptor *descriptor, struct nt_header *header,
			    uint32_t tag)
{
	nt_state_set(header, nt_busy_state(descriptor->type));
	header->tag = tag;
	return nt_body_of(header);
}

static void *block_alloc_new_page(struct pool *pool, struct nt_descriptor *descriptor,
				  unsigned units, uint32_t tag)
{
	struct nt_header *header = nt_pages_alloc(pool, descriptor->type, 1);

	if (!header)
		return NULL;
	header_init(header, descriptor, 0, units);
	nt_state_set(header, nt_busy_state(descriptor->type));
	header->tag = tag;
	spinlock_acquire(&descriptor->lock);
	descriptor->allocations++;
	block_split(descriptor, header, NT_PAGE_UNITS, units);
	spinlock_release(&descriptor->lock);
	return nt_body_of(header);
}

void *nt_block_alloc(struct pool *pool, unsigned index, unsigned units, uint32_t tag)
{
	struct nt_descriptor *descriptor = &pool->descriptors[index];
	struct nt_header *header;
	unsigned size;
	void *block;

	do {
		spinlock_acquire(&descriptor->lock);
		size = list_find(descriptor, units);
		if (size < NT_PAGE_UNITS) {
			header = links_header(descriptor->lists[size].next);
			if (!list_remove(descriptor, header) || header->block_size != size) {
				spinlock_release(&descriptor->lock);
				nt_stop(pool, 0x19, 3, header, size, 0,
					"the free list is corrupt: something wrote to a freed "
					"block");
				return NULL;
			}
			descriptor->allocations++;
			header = block_split(descriptor, header, size, units);
			block = block_hand_out(descriptor, header, tag);
			spinlock_release(&descriptor->lock);
			return block;
		}
		spinlock_release(&descriptor->lock);
		/* What waits to be freed may do before a page is taken. */
	} while (nt_pending_flush(pool, descriptor));
	return block_alloc_new_page(pool, descriptor, units, tag);
}

/* What block_merge found; a page that came free whole is in *page. */
enum merge_result { MERGE_DONE, MERGE_NEIGHBOURS_DISAGREE, MERGE_LIST_CORRUPT };

/*
 * Merges a block with its free neighbours, the next and the previous one, and lists the result at
 * its head; or hands out its page if that is all of it. Under the lock.
 */
static enum merge_result block_merge(struct nt_descriptor *descriptor, struct nt_header *header,
				     struct nt_header **page)
{
	unsigned size = header->block_size, before = header->previous_size;
	struct nt_header *next = nt_header_after(header, size);

	*page = NULL;
	descriptor->frees++;
	/* Also where it vanishes into a larger block: freed again it must not pass for busy. */
	nt_state_set(header, 0);
	if (!nt_page_aligned(next)) {
		if (next->previous_size != size)
			return MERGE_NEIGHBOURS_DISAGREE;
		if (!nt_state(next)) {
			if (!list_remove(descriptor, next))
				return MERGE_LIST_CORRUPT;
			size += next->block_size;
			descriptor->merges++;
		}
	}
	if (before) {
		struct nt_header *previous = (struct nt_header *)((uintptr_t)header -
								  before * NT_UNIT_BYTES);

		if (previous->block_size != before)
			return MERGE_NEIGHBOURS_DISAGREE;
		if (!nt_state(previous)) {
			if (!list_remove(descriptor, previous))
				return MERGE_LIST_CORRUPT;
			size += before;
			descriptor->merges++;
			header = previous;
		}
	}
	if (size == NT_PAGE_UNITS) {
		*page = header;
		return MERGE_DONE;
	}
	header->block_size = (uint8_t)size;
	next_update(header, size);
	list_insert(descriptor, header, false);
	return MERGE_DONE;
}

static void merge_stop(struct pool *pool, enum merge_result result, const struct nt_header *header)
{
	if (result == MERGE_NEIGHBOURS_DISAGREE)
		nt_stop(pool, 0x19, 5, header, header->previous_size, header->block_size,
			"two neighbours disagree about a block's size: an overrun in front of one");
	else
		nt_stop(pool, 0x19, 3, header, header->block_size, 0,
			"the free list is corrupt: something wrote to a freed block");
}

/*
 * Merges everything that is pending in one hold of the lock. Whole pages are chained through their
 * first word and go to the page layer afterwards, which may enter the kernel.
 */
bool nt_pending_flush(struct pool *pool, struct nt_descriptor *descriptor)
{
	void *block, **pages = NULL;
	bool any;

	if (!nt_pending_count(descriptor))
		return false;
	spinlock_acquire(&descriptor->lock);
	block = nt_pending_block(
		atomic_exchange_explicit(&descriptor->pending, 0, memory_order_acquire));
	any = block != NULL;
	descriptor->flushes += any;
	while (block) {
		struct nt_header *header = nt_header_of(block), *page;
		void *next = *(void **)block;
		enum merge_result result = block_merge(descriptor, header, &page);

		if (result != MERGE_DONE) {
			spinlock_release(&descriptor->lock);
			merge_stop(pool, result, header);
			return false;
		}
		if (page) {
			*(void ***)page = pages;
			pages = (void **)page;
		}
		block = next;
	}
	spinlock_release(&descriptor->lock);
	while (pages) {
		void **next = *pages;

		nt_pages_free(pool, descriptor->type, pages);
		pages = next;
	}
	return any;
}

bool nt_pending_flush_type(struct pool *pool, enum pool_type type)
{
	bool any = false;

	for (unsigned i = 0; i < pool->descriptor_count; i++)
		if (pool->descriptors[i].type == type)
			any |= nt_pending_flush(pool, &pool->descriptors[i]);
	return any;
}

static void block_defer(struct pool *pool, struct nt_descriptor *descriptor,
			struct nt_header *header)
{
	void **block = nt_body_of(header);
	uint64_t old = atomic_load_explicit(&descriptor->pending, memory_order_relaxed), new;

	nt_state_set(header, NT_CACHED | ((unsigned)descriptor->type + 1));
	do {
		*block = nt_pending_block(old);
		new = (old & ~(NT_PENDING_ONE - 1)) + NT_PENDING_ONE + (uintptr_t)block;
	} while (!atomic_compare_exchange_weak_explicit(
		&descriptor->pending, &old, new, memory_order_release, memory_order_relaxed));
	if (new >> NT_PENDING_SHIFT >= NT_PENDING_MAX)
		nt_pending_flush(pool, descriptor);
}

void nt_block_free(struct pool *pool, struct nt_header *header)
{
	struct nt_descriptor *descriptor = &pool->descriptors[header->pool_index];
	struct nt_header *page;
	enum merge_result result;

	/* A unit that a big block had of its last page has no room for the link. */
	if (pool->options.deferred && header->block_size >= 2) {
		block_defer(pool, descriptor, header);
		return;
	}
	spinlock_acquire(&descriptor->lock);
	result = block_merge(descriptor, header, &page);
	spinlock_release(&descriptor->lock);
	if (result != MERGE_DONE)
		merge_stop(pool, result, header);
	else if (page)
		nt_pages_free(pool, descriptor->type, page);
}

void nt_fragment_insert(struct pool *pool, unsigned index, void *start, unsigned units)
{
	struct nt_descriptor *descriptor = &pool->descriptors[index];

	spinlock_acquire(&descriptor->lock);
	header_init(start, descriptor, 0, units);
	list_insert(descriptor, start, true);
	spinlock_release(&descriptor->lock);
}
