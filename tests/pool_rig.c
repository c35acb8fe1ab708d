/* A pool over sources of its own: see the header. */
#include "pool_rig.h"

#include <stdlib.h>

#include "allocators/options.h"
#include "allocators/registry.h"

#define RANGE ((size_t)4 << 30)

static void rig_stop(void *arg, const struct pool_stop *stop)
{
	struct rig *rig = arg;

	rig->stop = *stop;
	if (!rig->expects_stop)
		fail_msg("stop %#x/%#llx: %s", stop->code, (unsigned long long)stop->arguments[0],
			 stop->text);
	longjmp(rig->stopped, 1);
}

void rig_sources(struct rig *rig, const struct pool_backend *ops, size_t page_size,
		 const char *options)
{
	char why[256];

	memset(rig, 0, sizeof(*rig));
	rig->ops = ops;
	assert_true(ops->options_bytes <= sizeof(rig->values));
	if (options_parse(ops->options, rig->values, options, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		const struct page_source_config config = {
			.type = type, .page_size = page_size, .range_bytes = RANGE, .node = -1
		};

		if (page_source_create(&config, &rig->pages[type], why, sizeof(why)) != 0)
			fail_msg("%s", why);
	}
}

int rig_pool(struct rig *rig, uint64_t seed)
{
	const struct pool_config config = {
		.page_size = rig->pages[0]->page_size,
		.processors = RIG_PROCESSORS,
		.pages = { rig->pages[0], rig->pages[1] },
		.values = rig->values,
		.seed = seed,
		.stop = rig_stop,
		.stop_arg = rig,
	};
	int error = rig->ops->create(&config, &rig->pool);

	return error ? error : rig->ops->thread_enter(rig->pool, 0);
}

void rig_up(struct rig *rig, const struct pool_backend *ops, const char *options)
{
	rig_up_seeded(rig, ops, options, 1);
}

void rig_up_sized(struct rig *rig, const struct pool_backend *ops, size_t page_size,
		  const char *options)
{
	rig_sources(rig, ops, page_size, options);
	assert_int_equal(rig_pool(rig, 1), 0);
}

void rig_up_seeded(struct rig *rig, const struct pool_backend *ops, const char *options,
		   uint64_t seed)
{
	rig_sources(rig, ops, POOL_OS_PAGE, options);
	assert_int_equal(rig_pool(rig, seed), 0);
}

void rig_check(struct rig *rig)
{
	char why[256] = "";

	if (rig->ops->check(rig->pool, why, sizeof(why)) != 0)
		fail_msg("check: %s", why);
}

void rig_sources_down(struct rig *rig)
{
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		const struct page_source_stats stats = rig_stats(rig, type);

		assert_int_equal(stats.committed_bytes, 0);
		assert_int_equal(stats.reserved_bytes, 0);
		page_source_destroy(rig->pages[type]);
	}
}

void rig_drop(struct rig *rig)
{
	rig->ops->thread_exit(rig->pool);
	rig->ops->destroy(rig->pool);
	rig_sources_down(rig);
}

void rig_down(struct rig *rig)
{
	rig_check(rig);
	rig_drop(rig);
}

void rig_become(struct rig *rig, unsigned processor)
{
	rig->ops->thread_exit(rig->pool);
	assert_int_equal(rig->ops->thread_enter(rig->pool, processor), 0);
}

struct page_source_stats rig_stats(const struct rig *rig, enum pool_type type)
{
	struct page_source_stats stats;

	page_source_stats(rig->pages[type], &stats);
	return stats;
}

size_t rig_committed(const struct rig *rig, enum pool_type type)
{
	return rig_stats(rig, type).committed_bytes;
}

struct counter_query {
	const char *name;
	uint64_t value;
	bool found;
};

static void counter_visit(void *arg, const char *name, const char *help, uint64_t value)
{
	struct counter_query *query = arg;

	assert_true(strlen(help) > 0);
	if (strcmp(name, query->name) == 0) {
		query->value = value;
		query->found = true;
	}
}

uint64_t counter(struct rig *rig, const char *name)
{
	struct counter_query query = { .name = name };

	backend_counters(rig->ops, rig->pool, rig->pages, counter_visit, &query);
	if (!query.found)
		fail_msg("no counter %s", name);
	return query.value;
}

void *take_of(struct rig *rig, enum pool_type type, size_t bytes)
{
	void *block = rig->ops->alloc(rig->pool, type, bytes, TAG);

	assert_non_null(block);
	memset(block, 0x5A, bytes);
	return block;
}

void *take(struct rig *rig, size_t bytes)
{
	return take_of(rig, POOL_NONPAGED, bytes);
}

void take_many(struct rig *rig, void **blocks, size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = take(rig, bytes);
}

void give(struct rig *rig, void *block)
{
	rig->ops->free(rig->pool, block, TAG);
}

void give_many(struct rig *rig, void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		give(rig, blocks[i]);
}

size_t bytes_of(struct rig *rig, const void *block)
{
	return rig->ops->block_bytes(rig->pool, block);
}

void expect_stop(struct rig *rig, void *block, uint32_t tag, uint32_t code, uint64_t reason)
{
	assert_stop(rig, code, reason, rig->ops->free(rig->pool, block, tag));
}

struct tally_walk {
	const struct rig *rig;
	struct tally tally;
};

static int tally_visit(void *arg, const struct pool_range *range)
{
	struct tally_walk *walk = arg;

	assert_true(range->bytes > 0);
	assert_true(page_source_is_committed(walk->rig->pages[range->type], range->start,
					     range->bytes));
	walk->tally.bytes[range->type][range->kind] += range->bytes;
	if (range->kind != POOL_RANGE_USED)
		return 0;
	walk->tally.used_blocks++;
	if (walk->rig->ops->caps & POOL_CAP_TAGS)
		assert_int_equal(range->tag, TAG);
	assert_ptr_equal(range->block, (const char *)range->start + range->header_bytes);
	return 0;
}

struct tally rig_walk(struct rig *rig)
{
	struct tally_walk walk = { .rig = rig };

	assert_int_equal(rig->ops->walk(rig->pool, tally_visit, &walk), 0);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		size_t sum = 0;

		for (unsigned kind = 0; kind < POOL_RANGE_KINDS; kind++)
			sum += walk.tally.bytes[type][kind];
		assert_int_equal(sum, rig_committed(rig, type));
	}
	return walk.tally;
}
