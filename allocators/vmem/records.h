/*
 * Records: metadata of one fixed size (boundary tags, slabs, magazines), in pages of a page source.
 *
 * A page starts with a header and holds as many records as fit; which page a record is in is told by its
 * address. A record that was never used costs no touch: a page is cut from the front as it is needed.
 */
#ifndef POOLBENCH_VMEM_RECORDS_H
#define POOLBENCH_VMEM_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/spinlock.h"

struct records_page;

struct records {
	struct spinlock lock;
	struct page_source *source;
	size_t bytes; /* of a record: a multiple of 16 */
	unsigned per_page;
	struct records_page *partial; /* pages that have a free record */
	struct records_page *all;
	size_t pages, empty_pages;
	size_t in_use;
};

/* `bytes` of a record, rounded up to 16; at most half of the source's page. Takes no memory. */
void records_init(struct records *records, struct page_source *source, size_t bytes);
/* Gives every page back. */
void records_fini(struct records *records);

/* Uninitialised, or NULL when the source refuses. Both thread-safe; the source is called without the lock. */
void *records_alloc(struct records *records);
/* Keeps the page, even an empty one: records_trim gives those back. */
void records_free(struct records *records, void *record);

/* Gives pages back that hold no record. Quiescent. */
void records_trim(struct records *records);

/* Visits every page as metadata; 0, or what `visit` returned. Quiescent. */
int records_walk(const struct records *records, pool_visit visit, void *arg);

static inline size_t records_committed(const struct records *records)
{
	return records->pages * records->source->page_size;
}

#endif
