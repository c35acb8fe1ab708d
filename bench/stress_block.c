/* A block from birth to death: every rule that can be asked of it alone. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/stress.h"
#include "workloads/random.h"

#define RESIDENT_PAGES_MOST 64u

static struct finding_block about(const struct stress_block *block)
{
	return (struct finding_block){ block->at, block->bytes, block->tag, block->type };
}

static const char *type_name(enum pool_type type)
{
	return type == POOL_PAGED ? "paged" : "nonpaged";
}

/* ---- contents: a function of address, size and serial number ---- */

static uint64_t pattern_seed(const struct stress_block *block)
{
	uint64_t state = (uint64_t)(uintptr_t)block->at ^ (uint64_t)block->bytes << 44 ^
			 block->serial * 0x9E3779B97F4A7C15u;

	return random_splitmix(&state);
}

static inline uint64_t pattern_word(uint64_t seed, size_t index)
{
	return (seed + index) * 0x9E3779B97F4A7C15u;
}

static void fill(const struct stress_block *block)
{
	const uint64_t seed = pattern_seed(block);
	const size_t words = block->bytes / 8;
	uint64_t *at = (uint64_t *)(void *)block->at;
	const uint64_t last = pattern_word(seed, words);

	for (size_t i = 0; i < words; i++)
		at[i] = pattern_word(seed, i);
	memcpy(at + words, &last, block->bytes % 8);
}

static _Noreturn void contents_changed(const struct stress_block *block, size_t offset,
				       uint64_t expected, uint64_t seen)
{
	const struct finding_block what = about(block);

	finding_report(block->bytes < POOL_OS_PAGE ? "contents" : "contents-of-pages", &what,
		       "at offset %zu of %u: 0x%016llx where 0x%016llx was written", offset,
		       block->bytes, (unsigned long long)seen, (unsigned long long)expected);
}

static void verify(const struct stress_block *block)
{
	const uint64_t seed = pattern_seed(block);
	const size_t words = block->bytes / 8;
	const uint64_t *at = (const uint64_t *)(const void *)block->at;
	uint64_t last = pattern_word(seed, words), seen = last;

	for (size_t i = 0; i < words; i++)
		if (at[i] != pattern_word(seed, i))
			contents_changed(block, 8 * i, pattern_word(seed, i), at[i]);
	memcpy(&seen, at + words, block->bytes % 8);
	if (seen != last)
		contents_changed(block, 8 * words, last, seen);
}

/* ---- where it lies ---- */

static void check_address(const struct stress_run *run, const struct stress_block *block)
{
	const struct finding_block what = about(block);
	const uintptr_t at = (uintptr_t)block->at, last = at + block->bytes - 1;

	if (at % POOL_ALIGNMENT)
		finding_report("alignment", &what, "a request of %u bytes got %p", block->bytes,
			       (void *)block->at);
	if (!stress_has(run, POOL_CAP_PAGE_RULES))
		return;
	if (block->bytes >= POOL_OS_PAGE && at % POOL_OS_PAGE)
		finding_report("page-rules", &what, "a block of %u bytes at %p, off a page's start",
			       block->bytes, (void *)block->at);
	if (block->bytes < POOL_OS_PAGE && at / POOL_OS_PAGE != last / POOL_OS_PAGE)
		finding_report("page-rules", &what, "a block of %u bytes at %p crosses a page",
			       block->bytes, (void *)block->at);
}

static void check_source(const struct stress_run *run, const struct stress_block *block)
{
	const struct finding_block what = about(block);
	struct page_source *own = run->pages[block->type];
	struct page_source *other = run->pages[!block->type];

	if (!stress_has(run, POOL_CAP_NATIVE) || stress_is_special(run, block->at))
		return;
	if (page_source_contains(other, block->at)) {
		if (block->type == POOL_NONPAGED && !stress_has(run, POOL_CAP_RESIDENT))
			return; /* it does not promise where its nonpaged blocks lie */
		finding_report("pool-type", &what, "a %s block at %p lies in the %s source",
			       type_name(block->type), (void *)block->at, type_name(!block->type));
	}
	if (!page_source_contains(own, block->at) ||
	    !page_source_contains(own, block->at + block->bytes - 1))
		finding_report("source", &what, "a %s block of %u bytes at %p",
			       type_name(block->type), block->bytes, (void *)block->at);
	if (!page_source_is_committed(own, block->at, block->bytes))
		finding_report("committed", &what,
			       "a block of %u bytes at %p lies in pages that are not committed",
			       block->bytes, (void *)block->at);
}

/* ---- what the backend says of it ---- */

static void check_words(const struct stress_run *run, const struct stress_block *block,
			size_t block_bytes)
{
	const struct finding_block what = about(block);
	uint32_t tag;

	if (block_bytes < block->bytes && !stress_has(run, POOL_CAP_FLOOR))
		finding_report("block-bytes", &what, "a request of %u bytes takes %zu, it says",
			       block->bytes, block_bytes);
	if (block->block_bytes && block_bytes != block->block_bytes)
		finding_report("block-bytes", &what, "it was %zu at the allocation and is now %zu",
			       block->block_bytes, block_bytes);
	if (run->ops->tag_of && run->ops->tag_of(run->pool, block->at, &tag) == 0 &&
	    tag != block->tag)
		finding_report("tag", &what, "tag_of says 0x%08x, the caller said 0x%08x", tag,
			       block->tag);
}

void stress_block_resident(struct stress_run *run, const struct stress_block *block)
{
	const struct finding_block what = about(block);
	const uintptr_t first = (uintptr_t)block->at / POOL_OS_PAGE * POOL_OS_PAGE;
	const size_t whole = ((uintptr_t)block->at + block->bytes - first + POOL_OS_PAGE - 1) /
			     POOL_OS_PAGE;
	const size_t pages = whole < RESIDENT_PAGES_MOST ? whole : RESIDENT_PAGES_MOST;
	unsigned char present[RESIDENT_PAGES_MOST];

	if (block->type != POOL_NONPAGED || !stress_has(run, POOL_CAP_RESIDENT) ||
	    mincore((void *)first, pages * POOL_OS_PAGE, present) != 0)
		return;
	for (size_t i = 0; i < pages; i++)
		if (!(present[i] & 1))
			finding_report("resident", &what,
				       "page %zu of a nonpaged block of %u bytes is not in memory",
				       i, block->bytes);
}

static _Noreturn void overlapped(struct stress_run *run, const struct stress_block *block,
				 uint32_t owner)
{
	const struct finding_block what = about(block);
	const struct stress_block *other;

	if (owner == UINT32_MAX)
		finding_report("harness", &what, "no memory for the shadow");
	/* Its owner may be freeing it just now: what is told of it may be a moment old. */
	other = &run->slots[owner - 1].block;
	finding_report("overlap", &what, "%u bytes at %p share bytes with %u live bytes at %p",
		       block->bytes, (void *)block->at, other->bytes, (void *)other->at);
}

void stress_block_born(struct stress_run *run, struct stress_block *block, uint32_t slot)
{
	size_t block_bytes;
	uint32_t owner;

	check_address(run, block);
	check_source(run, block);
	if (run->shadow) {
		owner = shadow_add(run->shadow, block->at, block->bytes, slot + 1);
		if (owner)
			overlapped(run, block, owner);
	}
	block->block_bytes = 0;
	block_bytes = run->ops->block_bytes(run->pool, block->at);
	check_words(run, block, block_bytes);
	block->block_bytes = block_bytes;
	if (run->shadow)
		fill(block);
}

void stress_block_touch(struct stress_run *run, struct stress_block *block, uint64_t serial)
{
	if (!run->shadow)
		return;
	verify(block);
	block->serial = serial;
	fill(block);
}

void stress_block_dies(struct stress_run *run, const struct stress_block *block)
{
	if (run->shadow)
		verify(block);
	check_words(run, block, run->ops->block_bytes(run->pool, block->at));
	if (run->shadow)
		shadow_remove(run->shadow, block->at, block->bytes);
}
