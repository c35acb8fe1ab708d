/* The shadow of live ranges; stress_shadow.h has the theory. */
#include "stress_shadow.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_SHIFT    12u
#define GRANULE_SHIFT 4u
#define PAGE_GRANULES (1u << (PAGE_SHIFT - GRANULE_SHIFT))
#define LEAF_SHIFT    30u /* addresses that one leaf covers: 1 GiB */
#define LEAF_PAGES    (1u << (LEAF_SHIFT - PAGE_SHIFT))
#define ADDRESS_BITS  48u
#define LEAVES        (1u << (ADDRESS_BITS - LEAF_SHIFT))

struct shadow_page {
	atomic_uint whole; /* owner of all of the page */
	atomic_uint count; /* granules that are claimed */
};

struct shadow_leaf {
	struct shadow_page pages[LEAF_PAGES];
	atomic_uint granules[LEAF_PAGES][PAGE_GRANULES];
};

struct shadow {
	_Atomic(struct shadow_leaf *) leaves[LEAVES];
};

static void *map_sparse(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

struct shadow *shadow_create(void)
{
	return map_sparse(sizeof(struct shadow));
}

void shadow_destroy(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (size_t i = 0; i < LEAVES; i++)
		if (shadow->leaves[i])
			munmap(shadow->leaves[i], sizeof(struct shadow_leaf));
	munmap(shadow, sizeof(*shadow));
}

static struct shadow_leaf *leaf_of(struct shadow *shadow, uintptr_t address)
{
	_Atomic(struct shadow_leaf *) *place =
		&shadow->leaves[address >> LEAF_SHIFT & (LEAVES - 1)];
	struct shadow_leaf *leaf = atomic_load_explicit(place, memory_order_acquire);
	struct shadow_leaf *fresh;

	if (leaf)
		return leaf;
	fresh = map_sparse(sizeof(*fresh));
	if (!fresh || atomic_compare_exchange_strong(place, &leaf, fresh))
		return fresh;
	munmap(fresh, sizeof(*fresh));
	return leaf;
}

static uint32_t claim_page(struct shadow_page *page, atomic_uint *granules, uint32_t owner)
{
	unsigned other = 0;

	if (!atomic_compare_exchange_strong(&page->whole, &other, owner))
		return other;
	if (atomic_load(&page->count) == 0)
		return 0;
	for (unsigned i = 0; i < PAGE_GRANULES; i++) {
		other = atomic_load(&granules[i]);
		if (other)
			return other;
	}
	return 0; /* they were being removed just now */
}

static uint32_t claim_granules(struct shadow_page *page, atomic_uint *granules, unsigned first,
			       unsigned end, uint32_t owner)
{
	for (unsigned i = first; i < end; i++) {
		unsigned other = 0;

		if (!atomic_compare_exchange_strong_explicit(&granules[i], &other, owner,
							     memory_order_acq_rel,
							     memory_order_relaxed))
			return other;
	}
	atomic_fetch_add(&page->count, end - first);
	return atomic_load(&page->whole);
}

/* The part of [at, end) in the page of `at`, as granules. */
static void page_part(uintptr_t at, uintptr_t end, unsigned *first, unsigned *last)
{
	const uintptr_t page = at >> PAGE_SHIFT << PAGE_SHIFT;
	const uintptr_t stop = end - page < 1u << PAGE_SHIFT ? end - page : 1u << PAGE_SHIFT;

	*first = (unsigned)((at - page) >> GRANULE_SHIFT);
	*last = (unsigned)((stop + (1u << GRANULE_SHIFT) - 1) >> GRANULE_SHIFT);
}

uint32_t shadow_add(struct shadow *shadow, const void *block, size_t bytes, uint32_t owner)
{
	const uintptr_t end = (uintptr_t)block + bytes;
	uint32_t other = 0;

	for (uintptr_t at = (uintptr_t)block; at < end && !other;
	     at = ((at >> PAGE_SHIFT) + 1) << PAGE_SHIFT) {
		struct shadow_leaf *leaf = leaf_of(shadow, at);
		const size_t number = at >> PAGE_SHIFT & (LEAF_PAGES - 1);
		unsigned first, last;

		if (!leaf)
			return UINT32_MAX;
		page_part(at, end, &first, &last);
		if (last - first == PAGE_GRANULES)
			other = claim_page(&leaf->pages[number], leaf->granules[number], owner);
		else
			other = claim_granules(&leaf->pages[number], leaf->granules[number], first,
					       last, owner);
	}
	return other;
}

void shadow_remove(struct shadow *shadow, const void *block, size_t bytes)
{
	const uintptr_t end = (uintptr_t)block + bytes;

	for (uintptr_t at = (uintptr_t)block; at < end;
	     at = ((at >> PAGE_SHIFT) + 1) << PAGE_SHIFT) {
		struct shadow_leaf *leaf = leaf_of(shadow, at);
		const size_t number = at >> PAGE_SHIFT & (LEAF_PAGES - 1);
		unsigned first, last;

		page_part(at, end, &first, &last);
		if (last - first == PAGE_GRANULES) {
			atomic_store(&leaf->pages[number].whole, 0);
			continue;
		}
		for (unsigned i = first; i < last; i++)
			atomic_store_explicit(&leaf->granules[number][i], 0, memory_order_release);
		atomic_fetch_sub(&leaf->pages[number].count, last - first);
	}
}

uint32_t shadow_owner(struct shadow *shadow, const void *address)
{
	const uintptr_t at = (uintptr_t)address;
	struct shadow_leaf *leaf = atomic_load_explicit(
		&shadow->leaves[at >> LEAF_SHIFT & (LEAVES - 1)], memory_order_acquire);
	const size_t number = at >> PAGE_SHIFT & (LEAF_PAGES - 1);
	uint32_t owner;

	if (!leaf)
		return 0;
	owner = atomic_load(&leaf->pages[number].whole);
	return owner ? owner
		     : atomic_load(
			       &leaf->granules[number][at >> GRANULE_SHIFT & (PAGE_GRANULES - 1)]);
}
