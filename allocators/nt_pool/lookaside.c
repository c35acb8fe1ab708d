/*
 * Lookaside lists: per processor, one a unit and pool type up to lookaside_max (0x20 units in Windows),
 * and three for the I/O manager's larger IRPs.
 *
 * A list starts with depth 4 and never passes the maximum (256, or the option's). At intervals all
 * lists of a processor are tuned by what they missed since the last time:
 *
 *     hardly used (under 32 allocations)       depth falls by 8: what it would keep is of no use
 *     fewer than 1 miss in 256 allocations     depth falls by 1: feel for a smaller one that does
 *     else                                     depth rises by 4 and by its share of the room left,
 *                                              (maximum - depth) * misses / allocations / 2
 *
 * Windows does that once a second from the balance-set manager. Here the processor does it for
 * itself after every `interval` allocations (tuning=count, which repeats exactly from run to run)
 * or after a second of the coarse clock (tuning=clock). A depth that falls frees nothing: blocks
 * above it go as they are used.
 */
#include <time.h>

#include "nt_pool.h"

static uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Stack locations that the I/O manager's lists are for. IRPs of up to 4 fit the general lists. */
static const unsigned io_stack_locations[NT_IO_CLASSES] = { 10, 14, 20 };

static unsigned io_units(unsigned class_index)
{
	return nt_units(0xD0 + 0x48 * (size_t)io_stack_locations[class_index]);
}

static unsigned lists_units(const struct nt_options *options)
{
	return (unsigned)(options->lookaside_max / NT_UNIT_BYTES);
}

unsigned nt_list_count(const struct nt_options *options)
{
	return NT_GENERAL_LIST(lists_units(options), POOL_PAGED) + 1;
}

void nt_list_numbers_init(struct pool *pool)
{
	unsigned units = lists_units(&pool->options) + 1;

	if (!pool->options.lookaside)
		return;
	for (unsigned row = 0; row < 2 * POOL_TYPES; row++)
		for (unsigned n = 2; n < units; n++)
			pool->list_numbers[row][n] = (uint16_t)NT_GENERAL_LIST(n, row % POOL_TYPES);
	if (!pool->options.io)
		return;
	for (unsigned i = 0; i < NT_IO_CLASSES; i++)
		for (; units <= io_units(i); units++)
			pool->list_numbers[POOL_TYPES + POOL_NONPAGED][units] =
				(uint16_t)(NT_IO_LIST + i);
}

void nt_lookaside_init(struct pool *pool, struct nt_processor *processor)
{
	unsigned depth = pool->options.depth < NT_DEPTH_MIN ? pool->options.depth : NT_DEPTH_MIN;

	if (pool->options.tuning == NT_TUNING_CLOCK)
		processor->tuned_at_ns = clock_now_ns();
	for (unsigned n = NT_NO_LIST + 1; n < pool->list_count; n++) {
		struct nt_lookaside *list = &processor->lists[n];
		bool general = n >= NT_GENERAL_LIST(2, 0);

		list->depth = depth;
		list->units = (uint16_t)(general ? n / 2 : io_units(n - NT_IO_LIST));
		list->type = general ? n % 2 : POOL_NONPAGED;
	}
}

static void list_tune(struct nt_processor *processor, struct nt_lookaside *list)
{
	unsigned maximum = processor->pool->options.depth, depth = list->depth;
	unsigned minimum = maximum < NT_DEPTH_MIN ? maximum : NT_DEPTH_MIN;
	uint64_t allocates = list->allocates - list->seen_allocates;
	uint64_t misses = list->allocate_misses - list->seen_misses;

	if (allocates < 32)
		depth = depth > minimum + 8 ? depth - 8 : minimum;
	else if (misses * 256 < allocates)
		depth = depth > minimum ? depth - 1 : minimum;
	else
		depth += 4 + (unsigned)((maximum - depth) * misses / allocates / 2);
	if (depth > maximum)
		depth = maximum;
	if (depth != list->depth)
		processor->depth_changes++;
	list->depth = depth;
	list->seen_allocates = list->allocates;
	list->seen_misses = list->allocate_misses;
}

/* Out of line and seldom: one call in NT_TUNING_STEP allocations of a list. */
void nt_lookaside_step(struct nt_processor *processor)
{
	const struct nt_options *options = &processor->pool->options;

	processor->since_tuning += NT_TUNING_STEP;
	if (options->tuning == NT_TUNING_OFF)
		return;
	if (options->tuning == NT_TUNING_CLOCK) {
		uint64_t now = clock_now_ns();

		if (now - processor->tuned_at_ns < 1000000000u)
			return;
		processor->tuned_at_ns = now;
	} else if (processor->since_tuning < options->interval) {
		return;
	}
	processor->since_tuning = 0;
	processor->tunings++;
	for (unsigned n = NT_NO_LIST + 1; n < processor->pool->list_count; n++)
		list_tune(processor, &processor->lists[n]);
}

static void list_flush(struct nt_processor *processor, struct nt_lookaside *list)
{
	while (list->head) {
		struct nt_header *header = nt_header_of(list->head);

		list->head = *(void **)list->head;
		list->count--;
		nt_state_set(header, nt_busy_state(list->type));
		nt_block_free(processor->pool, header);
		processor->flushed++;
	}
}

void nt_lookaside_flush(struct pool *pool)
{
	for (unsigned i = 0; i < pool->processor_count; i++)
		for (unsigned n = 0; n < pool->list_count; n++)
			list_flush(nt_processor_of(pool, i), &nt_processor_of(pool, i)->lists[n]);
}
