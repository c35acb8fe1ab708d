/* What the checks share: sources and pools, and blocks held to every rule. */
#include "conformance.h"

#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif

#ifdef TSAN
/*
 * A malloc library is not instrumented: tsan does not see the lock or the atomic through which a block's
 * memory passed from the thread that freed it to the one that got it. This says that it did. Our own
 * backends are instrumented and get no such help.
 */
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char library_order;
#endif

static void order_after_alloc(const struct suite *suite)
{
#ifdef TSAN
	if (suite->backend->kind == BACKEND_LIBRARY)
		__tsan_acquire(&library_order);
#endif
	(void)suite;
}

static void order_before_free(const struct suite *suite)
{
#ifdef TSAN
	if (suite->backend->kind == BACKEND_LIBRARY)
		__tsan_release(&library_order);
#endif
	(void)suite;
}

size_t suite_scale(const struct suite *suite, size_t count)
{
	size_t divisor = (suite->full ? 1 : 4) * (SANITIZED ? 4 : 1);

	return count / divisor ? count / divisor : 1;
}

/* ------------------------------------------------------------------------------------------------
 * Pools.
 */

static _Noreturn void stop(void *arg, const struct pool_stop *detail)
{
	(void)arg;
	violated("stop", "the backend stopped: 0x%x (0x%llx, 0x%llx, 0x%llx, 0x%llx): %s",
		 detail->code, (unsigned long long)detail->arguments[0],
		 (unsigned long long)detail->arguments[1], (unsigned long long)detail->arguments[2],
		 (unsigned long long)detail->arguments[3], detail->text ? detail->text : "");
}

void suite_open_sources(struct suite *suite)
{
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_config config = {
			.type = (enum pool_type)type,
			.page_size = suite->page_size,
			.backing = PAGE_BACKING_BASE,
			.node = -1,
		};
		char why[512];

		if (page_source_create(&config, &suite->pages[type], why, sizeof(why)) != 0)
			violated("source", "no page source: %s", why);
	}
}

/* The configuration stays the suite's: the backend must copy what it keeps. */
static int create_pool(struct suite *suite, char *why, size_t why_bytes)
{
	struct pool_config config = {
		.page_size = suite->page_size,
		.processors = suite->processors,
		.pages = { suite->pages[POOL_NONPAGED], suite->pages[POOL_PAGED] },
		.seed = 42,
		.stop = stop,
	};
	int error = backend_create_pool(suite->backend, &config, &suite->pool, why, why_bytes);

	memset(&config, 0xA5, sizeof(config));
	__asm__ volatile("" : : "r"(&config) : "memory");
	return error;
}

void suite_open(struct suite *suite)
{
	char why[512] = "";

	suite_open_sources(suite);
	if (create_pool(suite, why, sizeof(why)) != 0)
		violated("create", "%s", why);
	for (int type = 0; type < POOL_TYPES; type++)
		suite->base_bytes[type] = suite_committed(suite, (enum pool_type)type);
	suite_enter(suite, 0);
}

int suite_create_pool(struct suite *suite)
{
	char why[512];
	struct pool *untouched = suite->pool;
	int error = create_pool(suite, why, sizeof(why));

	if (error && suite->pool != untouched)
		violated("create", "*out was written although create failed");
	return error;
}

void suite_enter(struct suite *suite, unsigned processor)
{
	int error = 0;

	if (suite->ops->thread_enter)
		error = suite->ops->thread_enter(suite->pool, processor);
	if (error)
		violated("enter", "thread_enter(%u): %s", processor, strerror(-error));
}

void suite_exit(struct suite *suite)
{
	if (suite->ops->thread_exit)
		suite->ops->thread_exit(suite->pool);
}

void suite_close_sources(struct suite *suite, const char *rule)
{
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(suite->pages[type], &stats);
		if (stats.committed_bytes || stats.reserved_bytes)
			violated(rule,
				 "%zu bytes committed and %zu reserved are left in the %s source",
				 stats.committed_bytes, stats.reserved_bytes,
				 type == POOL_PAGED ? "paged" : "nonpaged");
		page_source_destroy(suite->pages[type]);
		suite->pages[type] = NULL;
	}
}

void suite_close(struct suite *suite)
{
	suite_exit(suite);
	suite->ops->destroy(suite->pool);
	suite->pool = NULL;
	suite_close_sources(suite, "destroy");
}

size_t suite_committed(struct suite *suite, enum pool_type type)
{
	struct page_source_stats stats;

	page_source_stats(suite->pages[type], &stats);
	return stats.committed_bytes;
}

size_t suite_committed_total(struct suite *suite)
{
	return suite_committed(suite, POOL_NONPAGED) + suite_committed(suite, POOL_PAGED);
}

void suite_check(struct suite *suite, const char *when)
{
	char why[512] = "no reason given";

	if (suite->ops->check && suite->ops->check(suite->pool, why, sizeof(why)) != 0)
		violated("check", "%s: the backend's own check fails: %s", when, why);
}

/* ------------------------------------------------------------------------------------------------
 * Blocks.
 */

uint32_t tag_from(uint64_t seed)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
	uint64_t bits = random_splitmix(&seed);

	return POOL_TAG(letters[bits & 63], letters[bits >> 6 & 63], letters[bits >> 12 & 63],
			letters[bits >> 18 & 63]);
}

size_t random_bytes(struct random *random)
{
	uint32_t kind = random_below(random, 1000);

	if (kind < 800)
		return random_between(random, 1, 512);
	if (kind < 970)
		return random_between(random, 513, 4096);
	if (kind < 998)
		return random_between(random, 4097, 64 << 10);
	return random_between(random, 64 << 10, 600 << 10);
}

static uint64_t pattern_word(uint64_t seed, size_t index)
{
	return (seed + index) * 0x9E3779B97F4A7C15u;
}

static void fill(const struct block *block)
{
	size_t words = block->bytes / 8, tail = block->bytes % 8;
	uint64_t *at = (uint64_t *)(void *)block->at;
	uint64_t last;

	for (size_t i = 0; i < words; i++)
		at[i] = pattern_word(block->seed, i);
	last = pattern_word(block->seed, words);
	memcpy(at + words, &last, tail);
}

void block_verify(const struct suite *suite, const struct block *block)
{
	size_t words = block->bytes / 8, tail = block->bytes % 8;
	const uint64_t *at = (const uint64_t *)(const void *)block->at;
	uint64_t last;

	if (!block->at || suite_has(suite, POOL_CAP_FLOOR))
		return;
	for (size_t i = 0; i < words; i++)
		if (at[i] != pattern_word(block->seed, i))
			violated("contents", "byte %zu of a %zu byte block at %p was overwritten",
				 i * 8, block->bytes, (void *)block->at);
	last = pattern_word(block->seed, words);
	if (memcmp(at + words, &last, tail) != 0)
		violated("contents", "the last bytes of a %zu byte block at %p were overwritten",
			 block->bytes, (void *)block->at);
}

static void check_place(const struct suite *suite, const struct block *block)
{
	uintptr_t at = (uintptr_t)block->at;

	if (at % POOL_ALIGNMENT)
		violated("alignment", "a %zu byte block at %p is not aligned to %u", block->bytes,
			 (void *)block->at, POOL_ALIGNMENT);
	if (suite_has(suite, POOL_CAP_PAGE_RULES)) {
		if (block->bytes >= POOL_OS_PAGE && at % POOL_OS_PAGE)
			violated("page-rules", "a %zu byte block at %p is not page-aligned",
				 block->bytes, (void *)block->at);
		if (block->bytes < POOL_OS_PAGE &&
		    at / POOL_OS_PAGE != (at + block->bytes - 1) / POOL_OS_PAGE)
			violated("page-rules", "a %zu byte block at %p crosses a page",
				 block->bytes, (void *)block->at);
	}
	if (suite_has(suite, POOL_CAP_RESIDENT) && block->type == POOL_NONPAGED &&
	    !page_source_contains(suite->pages[POOL_NONPAGED], block->at))
		violated("source", "a nonpaged block at %p lies outside the nonpaged source",
			 (void *)block->at);
	if (suite_has(suite, POOL_CAP_NATIVE) &&
	    !page_source_contains(suite->pages[POOL_NONPAGED], block->at) &&
	    !page_source_contains(suite->pages[POOL_PAGED], block->at))
		violated("source", "a block at %p lies in no page source", (void *)block->at);
}

/* What the backend says of a live block. */
static void check_account(const struct suite *suite, const struct block *block)
{
	size_t bytes = suite->ops->block_bytes(suite->pool, block->at);
	uint32_t tag = 0;

	if (!suite_has(suite, POOL_CAP_FLOOR) && bytes < block->bytes)
		violated("block-bytes", "block_bytes says %zu for a request of %zu", bytes,
			 block->bytes);
	if (suite->ops->tag_of && suite->ops->tag_of(suite->pool, block->at, &tag) == 0 &&
	    tag != block->tag)
		violated("tag", "tag_of says 0x%08x for a %zu byte block of tag 0x%08x", tag,
			 block->bytes, block->tag);
}

bool block_try(struct suite *suite, struct block *block, enum pool_type type, size_t bytes,
	       uint64_t seed)
{
	uint32_t tag = tag_from(seed);

	*block = (struct block){ .bytes = bytes, .seed = seed, .tag = tag, .type = type };
	block->at = suite->ops->alloc(suite->pool, type, bytes, tag);
	if (!block->at)
		return false;
	order_after_alloc(suite);
	check_place(suite, block);
	check_account(suite, block);
	if (!suite_has(suite, POOL_CAP_FLOOR))
		fill(block);
	return true;
}

void block_take(struct suite *suite, struct block *block, enum pool_type type, size_t bytes,
		uint64_t seed)
{
	if (!block_try(suite, block, type, bytes, seed))
		violated("refused",
			 "a request of %zu bytes was refused though nothing limits memory", bytes);
}

void block_give(struct suite *suite, struct block *block)
{
	if (!block->at)
		return;
	block_verify(suite, block);
	check_account(suite, block);
	order_before_free(suite);
	suite->ops->free(suite->pool, block->at, block->tag);
	block->at = NULL;
}

static int compare_blocks(const void *a, const void *b)
{
	const struct block *left = a, *right = b;

	return (left->at > right->at) - (left->at < right->at);
}

void blocks_do_not_overlap(const struct suite *suite, const struct block *blocks, size_t count)
{
	struct block *sorted = malloc((count ? count : 1) * sizeof(*sorted));
	size_t live = 0;

	if (!sorted)
		violated("suite", "out of memory");
	for (size_t i = 0; i < count; i++)
		if (blocks[i].at)
			sorted[live++] = blocks[i];
	qsort(sorted, live, sizeof(*sorted), compare_blocks);
	for (size_t i = 1; i < live && !suite_has(suite, POOL_CAP_FLOOR); i++)
		if (sorted[i].at < sorted[i - 1].at + sorted[i - 1].bytes)
			violated("overlap",
				 "a block of %zu bytes at %p begins inside one of %zu at %p",
				 sorted[i].bytes, (void *)sorted[i].at, sorted[i - 1].bytes,
				 (void *)sorted[i - 1].at);
	free(sorted);
}
