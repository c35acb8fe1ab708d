#include "waste.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define FIRST_BIN_LOG2 4 /* of record.h's bins */

struct waste_sums {
	uint64_t bytes[POOL_RANGE_KINDS], type_bytes[POOL_TYPES];
	uint64_t header_bytes, used_blocks;
	uint64_t largest_free, free_below_page, free_below_request;
	uint32_t largest_request;
	struct free_ranges *free;
};

static void add_free(struct waste_sums *sums, uint64_t bytes)
{
	const int log2 = 63 - __builtin_clzll(bytes | 1);
	const int bin = log2 < FIRST_BIN_LOG2               ? 0
			: log2 - FIRST_BIN_LOG2 < FREE_BINS ? log2 - FIRST_BIN_LOG2
							    : FREE_BINS - 1;

	sums->free->count[bin]++;
	sums->free->bytes[bin] += bytes;
	if (bytes > sums->largest_free)
		sums->largest_free = bytes;
	if (bytes < POOL_OS_PAGE)
		sums->free_below_page += bytes;
	if (bytes < sums->largest_request)
		sums->free_below_request += bytes;
}

static int add_range(void *arg, const struct pool_range *range)
{
	struct waste_sums *sums = arg;

	sums->bytes[range->kind] += range->bytes;
	sums->type_bytes[range->type] += range->bytes;
	if (range->kind == POOL_RANGE_USED) {
		sums->header_bytes += range->header_bytes;
		sums->used_blocks++;
	} else if (range->kind == POOL_RANGE_FREE || range->kind == POOL_RANGE_FREE_PAGES) {
		add_free(sums, range->bytes);
	}
	return 0;
}

static int hold_to_accounts(const struct waste_subject *subject, const struct waste_sums *sums,
			    const struct memory_point *point, char *why, size_t why_bytes)
{
	static const char *const names[POOL_TYPES] = { "nonpaged", "paged" };

	for (int type = 0; type < POOL_TYPES; type++) {
		if (sums->type_bytes[type] == subject->committed_bytes[type])
			continue;
		snprintf(why, why_bytes,
			 "walk tells of %" PRIu64 " bytes in the %s pool, of which %" PRIu64
			 " are committed",
			 sums->type_bytes[type], names[type], subject->committed_bytes[type]);
		return -EUCLEAN;
	}
	if (sums->used_blocks != point->live_blocks) {
		snprintf(why, why_bytes,
			 "walk tells of %" PRIu64 " used blocks, %" PRIu64 " are live",
			 sums->used_blocks, point->live_blocks);
		return -EUCLEAN;
	}
	if (sums->bytes[POOL_RANGE_USED] != point->block_bytes ||
	    sums->bytes[POOL_RANGE_USED] < sums->header_bytes + point->live_bytes) {
		snprintf(why, why_bytes,
			 "walk tells of %" PRIu64 " used bytes, %" PRIu64
			 " of them headers; block_bytes of all live blocks is %" PRIu64
			 ", their requests %" PRIu64,
			 sums->bytes[POOL_RANGE_USED], sums->header_bytes, point->block_bytes,
			 point->live_bytes);
		return -EUCLEAN;
	}
	return 0;
}

static void keep_parts(const struct waste_sums *sums, struct memory_point *point)
{
	const uint64_t all_free = sums->bytes[POOL_RANGE_FREE] + sums->bytes[POOL_RANGE_FREE_PAGES];

	point->header_bytes = (double)sums->header_bytes;
	point->rounding_bytes = (double)(sums->bytes[POOL_RANGE_USED] - sums->header_bytes -
					 point->live_bytes);
	point->cached_bytes = (double)sums->bytes[POOL_RANGE_CACHED];
	point->free_bytes = (double)sums->bytes[POOL_RANGE_FREE];
	point->free_page_bytes = (double)sums->bytes[POOL_RANGE_FREE_PAGES];
	point->metadata_bytes = (double)sums->bytes[POOL_RANGE_METADATA];
	point->largest_free_bytes = (double)sums->largest_free;
	point->unusable_free_index = all_free ? (double)sums->free_below_page / (double)all_free
					      : 0;
	point->unusable_free_index_largest =
		all_free ? (double)sums->free_below_request / (double)all_free : 0;
}

int waste_measure(const struct waste_subject *subject, struct memory_point *point,
		  struct free_ranges *free, char *why, size_t why_bytes)
{
	struct waste_sums sums = { .largest_request = subject->largest_request, .free = free };
	int error;

	*free = (struct free_ranges){ .event = point->event, .lap = point->lap };
	point->header_bytes = point->cached_bytes = NAN;
	point->free_bytes = point->free_page_bytes = point->metadata_bytes = NAN;
	point->largest_free_bytes = NAN;
	point->unusable_free_index = point->unusable_free_index_largest = NAN;
	point->rounding_bytes = point->block_bytes >= point->live_bytes
					? (double)(point->block_bytes - point->live_bytes)
					: NAN;
	if (!subject->ops->walk)
		return 0;
	point->rounding_bytes = NAN;
	error = subject->ops->walk(subject->pool, add_range, &sums);
	if (error) {
		snprintf(why, why_bytes, "walk ended with %d", error);
		return -EUCLEAN;
	}
	error = hold_to_accounts(subject, &sums, point, why, why_bytes);
	if (!error)
		keep_parts(&sums, point);
	return error;
}
