/* A segment heap over sources of its own: see the header. */
#include "segment_heap_rig.h"

#include "allocators/backends.h"
#include "allocators/options.h"

#define RANGE ((size_t)1 << 30)

const struct pool_backend *const ops = &segment_heap_backend;

static void rig_stop(void *arg, const struct pool_stop *stop)
{
	struct rig *rig = arg;

	rig->stop = *stop;
	if (!rig->expects_stop)
		fail_msg("stop %#x/%#llx: %s", stop->code, (unsigned long long)stop->arguments[0],
			 stop->text);
	longjmp(rig->stopped, 1);
}

void rig_up_seeded(struct rig *rig, const char *options, uint64_t seed)
{
	struct pool_config config = {
		.page_size = 4096, .processors = 3, .seed = seed, .stop = rig_stop, .stop_arg = rig
	};
	char error[256];

	memset(rig, 0, sizeof(*rig));
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_config source = {
			.type = type, .page_size = 4096, .range_bytes = RANGE, .node = -1
		};

		if (page_source_create(&source, &rig->pages[type], error, sizeof(error)) != 0)
			fail_msg("%s", error);
		config.pages[type] = rig->pages[type];
	}
	if (options_parse(ops->options, &rig->options, options, error, sizeof(error)))
		fail_msg("%s", error);
	config.values = &rig->options;
	assert_int_equal(ops->create(&config, &rig->pool), 0);
	assert_int_equal(ops->thread_enter(rig->pool, 0), 0);
}

void rig_up(struct rig *rig, const char *options)
{
	rig_up_seeded(rig, options, 1);
}

/* A pool that was found corrupt is destroyed without asking whether it is sound. */
void rig_drop(struct rig *rig)
{
	ops->thread_exit(rig->pool);
	ops->destroy(rig->pool);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(rig->pages[type], &stats);
		assert_int_equal(stats.committed_bytes, 0);
		assert_int_equal(stats.reserved_bytes, 0);
		page_source_destroy(rig->pages[type]);
	}
}

void rig_down(struct rig *rig)
{
	char why[256] = "";

	if (ops->check(rig->pool, why, sizeof(why)) != 0)
		fail_msg("check: %s", why);
	rig_drop(rig);
}

void rig_become(struct rig *rig, unsigned processor)
{
	ops->thread_exit(rig->pool);
	assert_int_equal(ops->thread_enter(rig->pool, processor), 0);
}

size_t rig_committed(const struct rig *rig)
{
	struct page_source_stats stats;

	page_source_stats(rig->pages[POOL_NONPAGED], &stats);
	return stats.committed_bytes;
}

void *take(struct rig *rig, size_t bytes)
{
	void *block = ops->alloc(rig->pool, POOL_NONPAGED, bytes, TAG);

	assert_non_null(block);
	memset(block, 0x5A, bytes);
	return block;
}

void give(struct rig *rig, void *block)
{
	ops->free(rig->pool, block, TAG);
}

void take_many(struct rig *rig, void **blocks, size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++)
		blocks[i] = take(rig, bytes);
}

void give_many(struct rig *rig, void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		give(rig, blocks[i]);
}

size_t bytes_of(struct rig *rig, const void *block)
{
	return ops->block_bytes(rig->pool, block);
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

	ops->counters(rig->pool, counter_visit, &query);
	if (!query.found)
		fail_msg("no counter %s", name);
	return query.value;
}

/* Frees what should not be freed: the stop's code and first argument. */
void expect_stop(struct rig *rig, void *block, uint32_t tag, uint32_t code, uint64_t reason)
{
	rig->expects_stop = true;
	if (setjmp(rig->stopped) == 0) {
		ops->free(rig->pool, block, tag);
		fail_msg("no stop %#x/%#llx", code, (unsigned long long)reason);
	}
	rig->expects_stop = false;
	assert_int_equal(rig->stop.code, code);
	assert_int_equal(rig->stop.arguments[0], reason);
	assert_true(strlen(rig->stop.text) > 0);
}
