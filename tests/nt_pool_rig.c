#include "nt_pool_rig.h"

#include <stdbool.h>
#include <string.h>

#define RANGE ((size_t)1 << 30)

static void rig_stop(void *arg, const struct pool_stop *stop)
{
	struct rig *rig = arg;

	rig->stop = *stop;
	if (!rig->expects_stop)
		fail_msg("stop %#x/%#llx: %s", stop->code, (unsigned long long)stop->arguments[0],
			 stop->text);
	longjmp(rig->stopped, 1);
}

int rig_pool(struct rig *rig)
{
	struct pool_config config = {
		.page_size = rig->pages[0]->page_size,
		.processors = 3,
		.pages = { rig->pages[0], rig->pages[1] },
		.values = &rig->options,
		.seed = 1,
		.stop = rig_stop,
		.stop_arg = rig,
	};
	int error = nt_pool_backend.create(&config, &rig->pool);

	return error ? error : nt_pool_backend.thread_enter(rig->pool, 0);
}

void rig_sources(struct rig *rig, size_t page_size)
{
	memset(rig, 0, sizeof(*rig));
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_config config = {
			.type = type,
			.page_size = page_size,
			.range_bytes = RANGE,
			.node = -1,
		};
		char why[256];

		if (page_source_create(&config, &rig->pages[type], why, sizeof(why)) != 0)
			fail_msg("%s", why);
	}
}

void rig_up(struct rig *rig, size_t page_size, const char *options)
{
	char error[256];

	rig_sources(rig, page_size);
	if (options_parse(nt_pool_backend.options, &rig->options, options, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(rig_pool(rig), 0);
}

size_t rig_committed(const struct rig *rig, enum pool_type type)
{
	struct page_source_stats stats;

	page_source_stats(rig->pages[type], &stats);
	return stats.committed_bytes;
}

void rig_check(struct rig *rig)
{
	char why[256] = "";

	if (nt_pool_backend.check(rig->pool, why, sizeof(why)) != 0)
		fail_msg("check: %s", why);
}

void rig_sources_down(struct rig *rig)
{
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
	rig_check(rig);
	nt_pool_backend.thread_exit(rig->pool);
	nt_pool_backend.destroy(rig->pool);
	rig_sources_down(rig);
}

void *take(struct rig *rig, enum pool_type type, size_t bytes)
{
	void *block = nt_pool_backend.alloc(rig->pool, type, bytes, TAG);

	assert_non_null(block);
	return block;
}

void give(struct rig *rig, void *block)
{
	nt_pool_backend.free(rig->pool, block, TAG);
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

	nt_pool_backend.counters(rig->pool, counter_visit, &query);
	assert_true(query.found);
	return query.value;
}

static int tally_visit(void *arg, const struct pool_range *range)
{
	struct tally *tally = arg;

	assert_true(range->bytes > 0);
	assert_true(page_source_is_committed(tally->rig->pages[range->type], range->start,
					     range->bytes));
	tally->bytes[range->type][range->kind] += range->bytes;
	if (range->kind == POOL_RANGE_USED) {
		tally->used_blocks++;
		assert_int_equal(range->tag, TAG);
		assert_ptr_equal(range->block, (const char *)range->start + range->header_bytes);
	}
	return 0;
}

struct tally rig_walk(struct rig *rig)
{
	struct tally tally = { .rig = rig };

	assert_int_equal(nt_pool_backend.walk(rig->pool, tally_visit, &tally), 0);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		size_t sum = 0;

		for (unsigned kind = 0; kind < POOL_RANGE_KINDS; kind++)
			sum += tally.bytes[type][kind];
		assert_int_equal(sum, rig_committed(rig, type));
	}
	return tally;
}

uintptr_t page_of(const void *block)
{
	return (uintptr_t)block & ~(uintptr_t)(POOL_OS_PAGE - 1);
}

size_t offset_of(const void *block)
{
	return (uintptr_t)block & (POOL_OS_PAGE - 1);
}
