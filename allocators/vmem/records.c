/* Records of one size in pages of their own. See records.h. */
#include "records.h"

#include <assert.h>

#define HEADER_BYTES 64u

struct records_page {
	struct records_page *next, *previous; /* in the list of partial pages */
	struct records_page *all_next, *all_previous;
	void *free; /* linked through the first word of the records */
	unsigned used, fresh; /* records in use; records that were ever cut off the front */
};
_Static_assert(sizeof(struct records_page) <= HEADER_BYTES, "a records page's header");

void records_init(struct records *records, struct page_source *source, size_t bytes)
{
	bytes = (bytes + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1);
	assert(bytes <= source->page_size / 2);
	*records = (struct records){
		.source = source,
		.bytes = bytes,
		.per_page = (unsigned)((source->page_size - HEADER_BYTES) / bytes),
	};
}

static void partial_insert(struct records *records, struct records_page *page)
{
	page->previous = NULL;
	page->next = records->partial;
	if (page->next)
		page->next->previous = page;
	records->partial = page;
}

static void partial_remove(struct records *records, struct records_page *page)
{
	if (page->next)
		page->next->previous = page->previous;
	if (page->previous)
		page->previous->next = page->next;
	else
		records->partial = page->next;
}

static void page_add(struct records *records, struct records_page *page)
{
	*page = (struct records_page){ .all_next = records->all };
	if (page->all_next)
		page->all_next->all_previous = page;
	records->all = page;
	records->pages++;
	records->empty_pages++;
	partial_insert(records, page);
}

static void page_remove(struct records *records, struct records_page *page)
{
	partial_remove(records, page);
	if (page->all_next)
		page->all_next->all_previous = page->all_previous;
	if (page->all_previous)
		page->all_previous->all_next = page->all_next;
	else
		records->all = page->all_next;
	records->pages--;
	records->empty_pages--;
}

static void *page_cut(struct records *records, struct records_page *page)
{
	void *record = page->free;

	if (record)
		page->free = *(void **)record;
	else
		record = (char *)page + HEADER_BYTES + page->fresh++ * records->bytes;
	if (page->used++ == 0)
		records->empty_pages--;
	if (page->used == records->per_page)
		partial_remove(records, page);
	records->in_use++;
	return record;
}

void *records_alloc(struct records *records)
{
	struct records_page *page;
	void *record;

	spinlock_acquire(&records->lock);
	if (!records->partial) {
		spinlock_release(&records->lock);
		page = page_source_take(records->source, records->source->page_size, 0);
		spinlock_acquire(&records->lock);
		if (page)
			page_add(records, page);
	}
	/* Whoever came meanwhile may have brought a page, or taken ours. */
	record = records->partial ? page_cut(records, records->partial) : NULL;
	spinlock_release(&records->lock);
	return record;
}

void records_free(struct records *records, void *record)
{
	struct records_page *page;

	page = (struct records_page *)((uintptr_t)record & ~(records->source->page_size - 1));
	spinlock_acquire(&records->lock);
	*(void **)record = page->free;
	page->free = record;
	if (page->used == records->per_page)
		partial_insert(records, page);
	if (--page->used == 0)
		records->empty_pages++;
	records->in_use--;
	spinlock_release(&records->lock);
}

static void pages_give(struct records *records, bool live)
{
	struct records_page *page, *next;

	for (page = records->all; page; page = next) {
		next = page->all_next;
		if (page->used && !live)
			continue;
		if (page->used == records->per_page)
			partial_insert(records, page);
		if (page->used)
			records->empty_pages++;
		page_remove(records, page);
		page_source_give(records->source, page, records->source->page_size);
	}
}

void records_trim(struct records *records)
{
	pages_give(records, false);
}

void records_fini(struct records *records)
{
	pages_give(records, true);
}

int records_walk(const struct records *records, pool_visit visit, void *arg)
{
	for (const struct records_page *page = records->all; page; page = page->all_next) {
		const struct pool_range range = {
			.start = page,
			.bytes = records->source->page_size,
			.kind = POOL_RANGE_METADATA,
			.type = records->source->type,
		};
		int stopped = visit(arg, &range);

		if (stopped)
			return stopped;
	}
	return 0;
}
