#include "waste.h"

#include <math.h>

struct waste_sums {
	double bytes[POOL_RANGE_KINDS];
	double header_bytes;
	double largest_free, free_small;
};

static int add_range(void *arg, const struct pool_range *range)
{
	struct waste_sums *sums = arg;

	sums->bytes[range->kind] += (double)range->bytes;
	if (range->kind == POOL_RANGE_USED)
		sums->header_bytes += range->header_bytes;
	if (range->kind == POOL_RANGE_FREE || range->kind == POOL_RANGE_FREE_PAGES) {
		sums->largest_free = fmax(sums->largest_free, (double)range->bytes);
		if (range->bytes < POOL_OS_PAGE)
			sums->free_small += (double)range->bytes;
	}
	return 0;
}

void waste_measure(const struct pool_backend *ops, struct pool *pool, struct memory_point *point)
{
	struct waste_sums sums = { 0 };
	double all_free;

	point->header_bytes = point->rounding_bytes = point->cached_bytes = NAN;
	point->free_bytes = point->free_page_bytes = point->metadata_bytes = NAN;
	point->largest_free_bytes = point->unusable_free_index = NAN;
	if (!ops->walk || ops->walk(pool, add_range, &sums) != 0)
		return;
	point->header_bytes = sums.header_bytes;
	point->rounding_bytes = sums.bytes[POOL_RANGE_USED] - sums.header_bytes -
				(double)point->live_bytes;
	point->cached_bytes = sums.bytes[POOL_RANGE_CACHED];
	point->free_bytes = sums.bytes[POOL_RANGE_FREE];
	point->free_page_bytes = sums.bytes[POOL_RANGE_FREE_PAGES];
	point->metadata_bytes = sums.bytes[POOL_RANGE_METADATA];
	point->largest_free_bytes = sums.largest_free;
	all_free = point->free_bytes + point->free_page_bytes;
	point->unusable_free_index = all_free > 0 ? sums.free_small / all_free : 0;
}
