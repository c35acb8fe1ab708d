/*
 * The address-run manager under a page source: which pages of the range are handed out.
 *
 * Address-ordered first fit over a bitmap with a radix tree of summaries above it. Not thread-safe:
 * the page source calls it with its range lock held.
 */
#ifndef POOLBENCH_PAGES_RANGE_H
#define POOLBENCH_PAGES_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_RANGE_LEVELS 8
#define PAGE_RANGE_NONE   SIZE_MAX

struct page_summary;

struct page_range {
	size_t pages; /* in the range, 1 .. 2^30 */
	size_t first_page; /* number of the range's first page, so that alignment means addresses */
	size_t free_pages;
	unsigned levels; /* of summaries; level 0 is the lowest */
	uint64_t *used; /* a bit a page; bits past the end are set */
	struct page_summary *level[PAGE_RANGE_LEVELS];
	size_t level_nodes[PAGE_RANGE_LEVELS];
	void *memory; /* one mapping holds all of it */
	size_t memory_bytes;
};

/* 0 or -errno. */
int page_range_init(struct page_range *range, size_t first_page, size_t pages);
void page_range_fini(struct page_range *range);

/*
 * Index of the lowest free run of `count` pages whose first page number is a multiple of
 * `alignment` (pages, a power of two), now taken; PAGE_RANGE_NONE when there is none.
 */
size_t page_range_take(struct page_range *range, size_t count, size_t alignment);

/* Gives pages back. They must be taken. */
void page_range_give(struct page_range *range, size_t index, size_t count);

/* Whether every page of the run is taken. */
bool page_range_is_taken(const struct page_range *range, size_t index, size_t count);

#endif
