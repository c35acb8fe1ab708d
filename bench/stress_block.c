/* A block from birth to death: every rule that can be asked of it alone. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/poison.h"
#include "bench/stress.h"
#include "workloads/random.h"

#define RESIDENT_PAGES_MOST 64u

/* Where a block was allocated, as a finding tells it. */
static struct finding_past birth_of(const struct stress_block *block, const char *what)
{
	struct finding_past past = { .stack.frames = 0 };

	snprintf(past.what, sizeof(past.what), "%s", what);
	snprintf(past.where, sizeof(past.where), "%s, event %u of stream %u, by processor %u",
		 block->stage ? block->stage : "?", block->event, block->stream, block->processor);
	return past;
}

/* Reports what a block broke, with where it was born; `other`, where there is one, is told of too. */
static _Noreturn __attribute__((format(printf, 4, 5))) void broke(const struct stress_block *block,
								  const struct stress_block *other,
								  const char *rule,
								  const char *format, ...)
{
	const struct finding_past past[] = { birth_of(block, "allocated"),
					     birth_of(other ? other : block, "the other") };
	const struct finding_block what = { block->at,   block->bytes, block->tag,
					    block->type, past,         other ? 2 : 1 };
	va_list arguments;

	va_start(arguments, format);
	finding_vreport(rule, &what, format, arguments);
}

static const char *type_name(enum pool_type type)
{
	return type == POOL_PAGED ? "paged" : "nonpaged";
}

/*
 * ---- contents: a function of address, size and serial number ----
 *
 * Word i of a block is seed + i * STEP. An addition a word, so that filling and comparing go by vectors at the speed
 * of memory: of all that is checked of a block this is the most.
 *
 * A block is open to its owner alone, in fill and verify: a backend that touches one that is held is stopped
 * there in an address sanitizer's build, whatever it writes or reads.
 */

#define STEP      UINT64_C(0x9E3779B97F4A7C15)
#define PER_CHUNK 8u /* words that are compared at once */

typedef uint64_t words2 __attribute__((vector_size(16), may_alias));

static uint64_t pattern_seed(const struct stress_block *block)
{
	uint64_t state = (uint64_t)(uintptr_t)block->at ^ (uint64_t)block->bytes << 44 ^
			 block->serial * STEP;

	return random_splitmix(&state);
}

static inline uint64_t pattern_word(uint64_t seed, size_t index)
{
	return seed + index * STEP;
}

static void fill(const struct stress_block *block)
{
	const uint64_t seed = pattern_seed(block);
	const size_t words = block->bytes / 8;
	uint64_t *at = (uint64_t *)(void *)block->at;
	const uint64_t last = pattern_word(seed, words);
	words2 pair = { seed, seed + STEP };
	size_t i = 0;

	poison_open(block->at, block->bytes);
	for (; i + PER_CHUNK <= words; i += PER_CHUNK) {
		words2 *chunk = (words2 *)(void *)(at + i);

		chunk[0] = pair;
		chunk[1] = pair + 2 * STEP;
		chunk[2] = pair + 4 * STEP;
		chunk[3] = pair + 6 * STEP;
		pair += 8 * STEP;
	}
	for (; i < words; i++)
		at[i] = pattern_word(seed, i);
	memcpy(at + words, &last, block->bytes % 8);
	poison_close(block->at, block->bytes);
}

static _Noreturn void contents_changed(const struct stress_block *block, size_t offset,
				       uint64_t expected, uint64_t seen)
{

	broke(block, NULL, block->bytes < POOL_OS_PAGE ? "contents" : "contents-of-pages",
	      "at offset %zu of %u: 0x%016llx where 0x%016llx was written", offset, block->bytes,
	      (unsigned long long)seen, (unsigned long long)expected);
}

/* How many of the leading words are as they were, counted in whole chunks. */
static size_t chunks_unchanged(const uint64_t *at, size_t words, uint64_t seed)
{
	words2 pair = { seed, seed + STEP };
	size_t i = 0;

	for (; i + PER_CHUNK <= words; i += PER_CHUNK) {
		const words2 *chunk = (const words2 *)(const void *)(at + i);
		const words2 changed = (chunk[0] ^ pair) | (chunk[1] ^ (pair + 2 * STEP)) |
				       (chunk[2] ^ (pair + 4 * STEP)) |
				       (chunk[3] ^ (pair + 6 * STEP));

		if (changed[0] | changed[1])
			break;
		pair += 8 * STEP;
	}
	return i;
}

static void verify(const struct stress_block *block)
{
	const uint64_t seed = pattern_seed(block);
	const size_t words = block->bytes / 8;
	const uint64_t *at = (const uint64_t *)(const void *)block->at;
	uint64_t last = pattern_word(seed, words), seen = last;

	poison_open(block->at, block->bytes);
	for (size_t i = chunks_unchanged(at, words, seed); i < words; i++)
		if (at[i] != pattern_word(seed, i))
			contents_changed(block, 8 * i, pattern_word(seed, i), at[i]);
	memcpy(&seen, at + words, block->bytes % 8);
	if (seen != last)
		contents_changed(block, 8 * words, last, seen);
	poison_close(block->at, block->bytes);
}

/* ---- where it lies ---- */

static void check_address(const struct stress_run *run, const struct stress_block *block)
{
	const uintptr_t at = (uintptr_t)block->at, last = at + block->bytes - 1;

	if (at % POOL_ALIGNMENT)
		broke(block, NULL, "alignment", "a request of %u bytes got %p", block->bytes,
		      (void *)block->at);
	if (!stress_has(run, POOL_CAP_PAGE_RULES))
		return;
	if (block->bytes >= POOL_OS_PAGE && at % POOL_OS_PAGE)
		broke(block, NULL, "page-rules", "a block of %u bytes at %p, off a page's start",
		      block->bytes, (void *)block->at);
	if (block->bytes < POOL_OS_PAGE && at / POOL_OS_PAGE != last / POOL_OS_PAGE)
		broke(block, NULL, "page-rules", "a block of %u bytes at %p crosses a page",
		      block->bytes, (void *)block->at);
}

static void check_source(const struct stress_run *run, const struct stress_block *block)
{
	struct page_source *own = run->pages[block->type];
	struct page_source *other = run->pages[!block->type];

	if (!stress_has(run, POOL_CAP_NATIVE) || stress_is_special(run, block->at))
		return;
	if (page_source_contains(other, block->at)) {
		if (block->type == POOL_NONPAGED && !stress_has(run, POOL_CAP_RESIDENT))
			return; /* it does not promise where its nonpaged blocks lie */
		broke(block, NULL, "pool-type", "a %s block at %p lies in the %s source",
		      type_name(block->type), (void *)block->at, type_name(!block->type));
	}
	if (!page_source_contains(own, block->at) ||
	    !page_source_contains(own, block->at + block->bytes - 1))
		broke(block, NULL, "source", "a %s block of %u bytes at %p", type_name(block->type),
		      block->bytes, (void *)block->at);
	if (!page_source_is_committed(own, block->at, block->bytes))
		broke(block, NULL, "committed",
		      "a block of %u bytes at %p lies in pages that are not committed",
		      block->bytes, (void *)block->at);
}

/* ---- what the backend says of it ---- */

static void check_words(const struct stress_run *run, const struct stress_block *block,
			size_t block_bytes)
{
	uint32_t tag;

	if (block_bytes < block->bytes && !stress_has(run, POOL_CAP_FLOOR))
		broke(block, NULL, "block-bytes", "a request of %u bytes takes %zu, it says",
		      block->bytes, block_bytes);
	if (block->block_bytes && block_bytes != block->block_bytes)
		broke(block, NULL, "block-bytes", "it was %zu at the allocation and is now %zu",
		      block->block_bytes, block_bytes);
	if (run->ops->tag_of && run->ops->tag_of(run->pool, block->at, &tag) == 0 &&
	    tag != block->tag)
		broke(block, NULL, "tag", "tag_of says 0x%08x, the caller said 0x%08x", tag,
		      block->tag);
}

void stress_block_resident(struct stress_run *run, const struct stress_block *block)
{
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
			broke(block, NULL, "resident",
			      "page %zu of a nonpaged block of %u bytes is not in memory", i,
			      block->bytes);
}

/* Its owner may be freeing it just now: what is told of it may be a moment old. */
static _Noreturn void overlapped(struct stress_run *run, const struct stress_block *block)
{
	const struct stress_block *other = stress_live_block(run, block->at, block->bytes, block);

	if (!other)
		broke(block, NULL, "overlap", "%u bytes at %p share bytes with a live block",
		      block->bytes, (void *)block->at);
	broke(block, other, "overlap", "%u bytes at %p share bytes with %u live bytes at %p",
	      block->bytes, (void *)block->at, other->bytes, (void *)other->at);
}

const struct stress_block *stress_live_block(const struct stress_run *run, const void *address,
					     size_t bytes, const struct stress_block *except)
{
	const char *from = address, *to = from + bytes;

	for (uint32_t i = 0; i < run->trace->slots; i++) {
		const struct stress_block *block = &run->slots[i].block;

		if (block != except && block->at && block->at < to &&
		    from < block->at + block->bytes)
			return block;
	}
	return NULL;
}

static void claim(struct stress_run *run, const struct stress_block *block)
{
	const int error = shadow_add(run->shadow, block->at, block->bytes);

	if (error == -EEXIST)
		overlapped(run, block);
	if (error)
		finding_report("harness", NULL, "no memory for the shadow");
}

void stress_block_born(struct stress_run *run, struct stress_block *block)
{
	size_t block_bytes;

	check_address(run, block);
	check_source(run, block);
	if (run->shadow)
		claim(run, block);
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
	poison_open(block->at, block->bytes);
}
