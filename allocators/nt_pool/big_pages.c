/*
 * Big blocks: whole pages without a header, found again through the big-page table.
 *
 * The table is keyed by address: open addressing with linear probing from a multiplicative hash. It
 * is at most three quarters full, so that a probe sequence is short (an expected 2.5 looks for a
 * hit, 8.5 for a miss, by Knuth's analysis of linear probing), and doubles beyond. Deletion moves
 * later entries back instead of leaving tombstones, so that churn does not lengthen the probes.
 *
 * As from Windows 7 on, what the last page has left over is no waste: behind the block's rounded
 * end it becomes a free block of the page's descriptor.
 *
 *     big block of 0x1A08 bytes                slack, carved like any page from here on
 *     |------------- page ---------|----- page -----. . . . . . . . . . .|
 *     ^ address in the table                   0xA10 ^ header, PreviousSize 0
 *
 * When the big block is freed its part of the last page becomes a small block at that page's start,
 * which is freed like any other and merges with what is free behind it.
 */
#include <errno.h>
#include <stdint.h>

#include "nt_pool.h"

/* Less has no room for a header and links. */
#define SLACK_UNITS_MIN 2u

static size_t entry_home(size_t capacity, uintptr_t address)
{
	uint64_t hash = (uint64_t)(address >> NT_PAGE_SHIFT) * 0x9E3779B97F4A7C15u;

	return (size_t)(hash >> 32) & (capacity - 1);
}

static size_t entry_find(const struct nt_big_table *table, uintptr_t address)
{
	size_t at = entry_home(table->capacity, address);

	while (table->entries[at].address && table->entries[at].address != address)
		at = (at + 1) & (table->capacity - 1);
	return at;
}

static void entry_insert(struct nt_big_table *table, const struct nt_big_entry *entry)
{
	table->entries[entry_find(table, entry->address)] = *entry;
	table->count++;
}

/* Fills the gap with the next entry that may move there, and so on to the end of the cluster. */
static void entry_delete(struct nt_big_table *table, size_t gap)
{
	size_t mask = table->capacity - 1, at = gap;

	for (;;) {
		size_t home;

		at = (at + 1) & mask;
		if (!table->entries[at].address)
			break;
		home = entry_home(table->capacity, table->entries[at].address);
		if (((at - home) & mask) >= ((at - gap) & mask)) {
			table->entries[gap] = table->entries[at];
			gap = at;
		}
	}
	table->entries[gap].address = 0;
	table->count--;
}

static size_t table_bytes(const struct pool *pool, size_t capacity)
{
	return page_source_round_up(pool->control_source, capacity * sizeof(struct nt_big_entry));
}

int nt_big_init(struct pool *pool)
{
	struct nt_big_table *table = &pool->big;

	table->capacity = 128;
	table->bytes = table_bytes(pool, table->capacity);
	table->entries = page_source_take(pool->control_source, table->bytes, 0);
	return table->entries ? 0 : -ENOMEM;
}

/* To another capacity, unless someone else has changed it meanwhile. 0 or -ENOMEM. */
static int table_resize(struct pool *pool, size_t from, size_t to)
{
	struct nt_big_table *table = &pool->big;
	size_t give_bytes = table_bytes(pool, to);
	struct nt_big_entry *entries = page_source_take(pool->control_source, give_bytes, 0);
	void *give = entries;

	if (!entries)
		return -ENOMEM;
	spinlock_acquire(&table->lock);
	if (table->capacity == from) {
		struct nt_big_table old = { .entries = table->entries, .bytes = table->bytes };

		table->entries = entries;
		table->bytes = give_bytes;
		table->capacity = to;
		table->count = 0;
		table->grows += to > from;
		for (size_t i = 0; i < from; i++)
			if (old.entries[i].address)
				entry_insert(table, &old.entries[i]);
		give = old.entries;
		give_bytes = old.bytes;
	}
	spinlock_release(&table->lock);
	page_source_give(pool->control_source, give, give_bytes);
	return 0;
}

static int table_insert(struct pool *pool, const struct nt_big_entry *entry)
{
	struct nt_big_table *table = &pool->big;

	for (;;) {
		size_t capacity;

		spinlock_acquire(&table->lock);
		capacity = table->capacity;
		if (table->count < capacity / 4 * 3) {
			entry_insert(table, entry);
			table->allocations++;
			spinlock_release(&table->lock);
			return 0;
		}
		spinlock_release(&table->lock);
		if (table_resize(pool, capacity, capacity * 2) != 0)
			return -ENOMEM;
	}
}

size_t nt_big_shrink(struct pool *pool)
{
	struct nt_big_table *table = &pool->big;
	size_t capacity = table->capacity, before = table->bytes;

	while (capacity > 128 && table->count < capacity / 8)
		capacity /= 2;
	if (table_bytes(pool, capacity) < before)
		table_resize(pool, table->capacity, capacity);
	return before - table->bytes;
}

bool nt_big_find(struct pool *pool, const void *block, struct nt_big_entry *entry)
{
	struct nt_big_table *table = &pool->big;

	spinlock_acquire(&table->lock);
	*entry = table->entries[entry_find(table, (uintptr_t)block)];
	spinlock_release(&table->lock);
	return entry->address != 0;
}

static size_t big_pages(size_t bytes)
{
	return (bytes + POOL_OS_PAGE - 1) >> NT_PAGE_SHIFT;
}

size_t nt_big_block_bytes(const struct nt_big_entry *entry)
{
	return (big_pages(entry->bytes) << NT_PAGE_SHIFT) - entry->slack_units * NT_UNIT_BYTES;
}

void *nt_big_alloc(struct pool *pool, unsigned index, size_t bytes, uint32_t tag)
{
	enum pool_type type = pool->descriptors[index].type;
	struct nt_big_entry entry = { .bytes = bytes, .tag = tag, .pool_index = (uint8_t)index };
	size_t pages = big_pages(bytes), slack;
	char *block;

	if (bytes > pool->pages[type].source->range_bytes)
		return NULL;
	block = nt_pages_alloc(pool, type, pages);
	if (!block)
		return NULL;
	slack = ((pages << NT_PAGE_SHIFT) - bytes) / NT_UNIT_BYTES;
	if (pool->options.slack && slack >= SLACK_UNITS_MIN)
		entry.slack_units = (uint8_t)slack;
	entry.address = (uintptr_t)block;
	if (table_insert(pool, &entry) != 0) {
		nt_pages_free(pool, type, block);
		return NULL;
	}
	if (entry.slack_units)
		nt_fragment_insert(pool, index, block + nt_big_block_bytes(&entry),
				   entry.slack_units);
	return block;
}

/* The block's part of its last page goes the way of a small block that begins that page. */
static void slack_rejoin(struct pool *pool, enum pool_type type, const struct nt_big_entry *entry)
{
	struct nt_descriptor *descriptor = &pool->descriptors[entry->pool_index];
	unsigned units = NT_PAGE_UNITS - entry->slack_units;
	size_t pages = big_pages(entry->bytes);
	char *block = (char *)entry->address;
	struct nt_header *front = (struct nt_header *)(block + ((pages - 1) << NT_PAGE_SHIFT));

	if (pages > 1) {
		nt_pages_cut(pool, type, block, pages - 1);
		nt_pages_free(pool, type, block);
	}
	front->previous_size = 0;
	front->pool_index = entry->pool_index;
	front->block_size = (uint8_t)units;
	front->tag = entry->tag;
	front->process_billed = 0;
	spinlock_acquire(&descriptor->lock);
	nt_state_set(front, nt_busy_state(type));
	nt_header_after(front, units)->previous_size = (uint8_t)units;
	spinlock_release(&descriptor->lock);
	nt_block_free(pool, front);
}

void nt_big_free(struct pool *pool, void *block, uint32_t tag)
{
	struct nt_big_table *table = &pool->big;
	struct nt_big_entry entry;
	enum pool_type type;
	size_t at;

	spinlock_acquire(&table->lock);
	at = entry_find(table, (uintptr_t)block);
	entry = table->entries[at];
	if (entry.address && entry.tag == tag)
		entry_delete(table, at);
	spinlock_release(&table->lock);
	if (!entry.address) {
		nt_stop(pool, 0xC2, 0x46, block, 0, 0,
			"freed an address that is no live pool block (freed twice?)");
		return;
	}
	if (entry.tag != tag) {
		nt_stop(pool, 0xC2, 0xA, block, entry.tag, tag,
			"freed a block with another tag than it was allocated with");
		return;
	}
	type = pool->descriptors[entry.pool_index].type;
	if (entry.slack_units)
		slack_rejoin(pool, type, &entry);
	else
		nt_pages_free(pool, type, block);
}
