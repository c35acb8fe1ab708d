/*
 * redis-deletion and redis-eviction: two published ways to fragment the heap of a key-value store.
 *
 * Deletion: Redis's manual, "Memory optimization": fill with 5 GB, delete 2 GB, and the resident set stays near 5.
 * Blocks of one size; a share of them, at random, is deleted.
 *
 * Eviction: Redis's test "Active defrag main dictionary" (tests/unit/memefficiency.tcl): at a limit of 100 MB,
 * evicting by approximate age, 700,000 keys with values of 150 bytes are set and then 170,000 with 300 bytes. A
 * key is four blocks: its name, its value, the value's head and the dictionary's entry.
 */
#include <errno.h>
#include <stdlib.h>

#include "activity.h"
#include "literature.h"
#include "random.h"

/* ---- deletion ---- */

struct deletion_options {
	size_t live, size;
	double share;
};

static const struct option_def deletion_table[] = {
	OPTION_SIZE(struct deletion_options, live, "20M", 1 << 16, 1 << 30,
		    "filled with blocks, all processors together"),
	OPTION_SIZE(struct deletion_options, size, "128", 16, 4096, "of a block"),
	OPTION_REAL(struct deletion_options, share, "0.4", 0, 0.95, "1",
		    "of the blocks that is deleted, at random"),
	OPTION_END
};

/* Deletes a share of each processor's blocks: held's i-th is processor i % processors', before and after. */
static void delete_share(const struct workload_config *config, struct trace_builder *builder,
			 struct random *random, struct held *held)
{
	const struct deletion_options *options = config->options;
	const unsigned n = config->processors;
	uint64_t rows = held->count / n;
	const uint64_t left = rows - rows * parts_per_million(options->share) / MILLION;

	while (rows > left && rows > 1) {
		rows--;
		for (unsigned p = 0; p < n; p++) {
			const uint64_t at = (uint64_t)random_below(random, (uint32_t)rows + 1) * n +
					    p;

			trace_builder_free(builder, p, held->handles[at]);
			held->handles[at] = held->handles[rows * n + p];
		}
	}
	held->count = rows * n;
}

static int deletion_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct deletion_options *options = config->options;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('K', 'e', 'y', 's'), "a key");
	const uint64_t rows = options->live / options->size / config->processors + 1;
	const uint32_t bytes = (uint32_t)options->size;
	struct held held = { 0 };
	struct random random;
	int rc = 0;

	random_seed(&random, config->seed);
	for (uint64_t i = 0; rc == 0 && i < rows; i++)
		for (unsigned p = 0; rc == 0 && p < config->processors; p++)
			rc = held_add(&held, pattern_alloc(builder, p, bytes, tag), bytes);
	if (rc == 0) {
		delete_share(config, builder, &random, &held);
		held_body(config, builder, tag, &held);
	}
	held_release(&held);
	return rc;
}

const struct workload redis_deletion = {
	.name = "redis-deletion",
	.summary = "two fifths of the blocks deleted at random: resident memory stays (Redis's "
		   "manual)",
	.options = deletion_table,
	.options_bytes = sizeof(struct deletion_options),
	.generate = deletion_generate,
};

/* ---- eviction ---- */

#define KEYS_A_100MB  700000u /* the test's first wave */
#define KEYS_A_100MB2 170000u /* its second */
#define NAME_BYTES    14u /* "asdf1:123456", a head and an end of a byte each */
#define HEAD_BYTES    16u
#define ENTRY_BYTES   24u

struct eviction_options {
	size_t maxmemory, first, second;
	unsigned samples;
};

static const struct option_def eviction_table[] = {
	OPTION_SIZE(struct eviction_options, maxmemory, "10M", 1 << 20, 1 << 30,
		    "limit of what keys take, class sizes of jemalloc; keys in proportion"),
	OPTION_SIZE(struct eviction_options, first, "154", 16, 4096,
		    "value of the first wave: 150 bytes, a head of 3 and an end"),
	OPTION_SIZE(struct eviction_options, second, "306", 16, 4096,
		    "value of the second wave: 300 bytes, a head of 5 and an end"),
	OPTION_UINT(struct eviction_options, samples, "5", 1, 64, "keys",
		    "looked at for each eviction; the oldest of them goes"),
	OPTION_END
};

struct key {
	uint32_t name, value, head, entry; /* handles */
	uint32_t value_bytes, born;
};

struct store {
	const struct eviction_options *options;
	struct trace_builder *builder;
	unsigned processor, name_tag, value_tag, head_tag, entry_tag;
	struct key *keys;
	uint32_t count, capacity, clock;
	size_t used, limit;
	struct random random;
};

/* jemalloc's class: multiples of 16 up to 128, then four a doubling. Redis counts what it was given. */
static uint32_t class_bytes(uint32_t bytes)
{
	uint32_t step = 16;

	while (bytes > step * 8)
		step *= 2;
	return (bytes + step - 1) / step * step;
}

static size_t key_bytes(uint32_t value_bytes)
{
	return class_bytes(NAME_BYTES) + class_bytes(value_bytes) + class_bytes(HEAD_BYTES) +
	       class_bytes(ENTRY_BYTES);
}

static void evict(struct store *store)
{
	uint32_t oldest = random_below(&store->random, store->count);
	struct key *key;

	for (unsigned i = 1; i < store->options->samples; i++) {
		const uint32_t other = random_below(&store->random, store->count);

		if (store->keys[other].born < store->keys[oldest].born)
			oldest = other;
	}
	key = &store->keys[oldest];
	trace_builder_free(store->builder, store->processor, key->entry);
	trace_builder_free(store->builder, store->processor, key->name);
	trace_builder_free(store->builder, store->processor, key->value);
	trace_builder_free(store->builder, store->processor, key->head);
	store->used -= key_bytes(key->value_bytes);
	*key = store->keys[--store->count];
}

static void set_key(struct store *store, uint32_t value_bytes)
{
	struct trace_builder *builder = store->builder;
	const unsigned p = store->processor;
	struct key *key;

	while (store->count && (store->used + key_bytes(value_bytes) > store->limit ||
				store->count == store->capacity))
		evict(store);
	key = &store->keys[store->count++];
	*key = (struct key){
		.value_bytes = value_bytes,
		.born = store->clock++,
		.value = pattern_alloc(builder, p, value_bytes, store->value_tag),
		.head = pattern_alloc(builder, p, HEAD_BYTES, store->head_tag),
		.name = pattern_alloc(builder, p, NAME_BYTES, store->name_tag),
		.entry = pattern_alloc(builder, p, ENTRY_BYTES, store->entry_tag),
	};
	store->used += key_bytes(value_bytes);
}

static int store_fill(struct store *store, const struct workload_config *config, unsigned processor)
{
	const struct eviction_options *options = config->options;
	const uint64_t part = options->maxmemory / config->processors;

	store->options = options;
	store->processor = processor;
	store->limit = (size_t)part;
	store->capacity = (uint32_t)(part / key_bytes(16)) + 2;
	store->keys = calloc(store->capacity, sizeof(*store->keys));
	if (!store->keys)
		return -ENOMEM;
	random_seed(&store->random, trait_of(config->seed, processor));
	for (uint64_t i = part * KEYS_A_100MB / (100u << 20) + 1; i > 0; i--)
		set_key(store, (uint32_t)options->first);
	for (uint64_t i = part * KEYS_A_100MB2 / (100u << 20) + 1; i > 0; i--)
		set_key(store, (uint32_t)options->second);
	return 0;
}

/* A key is set anew to a value as long as the old: its value and head are replaced. */
static void overwrite(struct store *store)
{
	struct key *key = &store->keys[random_below(&store->random, store->count)];

	trace_builder_free(store->builder, store->processor, key->value);
	trace_builder_free(store->builder, store->processor, key->head);
	key->value = pattern_alloc(store->builder, store->processor, key->value_bytes,
				   store->value_tag);
	key->head = pattern_alloc(store->builder, store->processor, HEAD_BYTES, store->head_tag);
}

static int eviction_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct store common = {
		.builder = builder,
		.name_tag = trace_builder_tag(builder, POOL_TAG('N', 'a', 'm', 'e'),
					      "a key's name"),
		.value_tag = trace_builder_tag(builder, POOL_TAG('V', 'a', 'l', 'u'), "a value"),
		.head_tag = trace_builder_tag(builder, POOL_TAG('H', 'e', 'a', 'd'),
					      "a value's head"),
		.entry_tag = trace_builder_tag(builder, POOL_TAG('E', 'n', 't', 'r'),
					       "an entry of the dictionary"),
	};
	struct store *stores = calloc(config->processors, sizeof(*stores));
	int rc = stores ? 0 : -ENOMEM;

	for (unsigned p = 0; rc == 0 && p < config->processors; p++) {
		stores[p] = common;
		rc = store_fill(&stores[p], config, p);
	}
	trace_builder_phase(builder, TRACE_BODY);
	for (uint64_t done = 0; rc == 0 && done < config->events; done += 4)
		overwrite(&stores[done / 4 % config->processors]);
	for (unsigned p = 0; stores && p < config->processors; p++)
		free(stores[p].keys);
	free(stores);
	return rc;
}

const struct workload redis_eviction = {
	.name = "redis-eviction",
	.summary = "a store at its limit whose values grow: Redis's test of its defragmenter",
	.options = eviction_table,
	.options_bytes = sizeof(struct eviction_options),
	.generate = eviction_generate,
};
