/*
 * What a raise to DISPATCH_LEVEL and a lower cost when paged pool is taken away in between: with protection keys,
 * where the machine has them (at most 50 ns a pair, or what the first argument says), and by page protection.
 * Ends with 77 where there are no keys, for then there is no figure to judge.
 */
#include <stdio.h>
#include <stdlib.h>

#include "allocators/pages.h"
#include "bench/clock.h"
#include "bench/irql.h"
#include "bench/irql_enforce.h"
#include "results/statistics.h"

#define ROUNDS   21
#define RESIDENT ((size_t)1 << 20)

static struct page_source *open_source(void)
{
	const struct page_source_config config = { .type = POOL_PAGED,
						   .page_size = 4096,
						   .node = -1 };
	struct page_source *paged;
	char why[256];

	if (page_source_create(&config, &paged, why, sizeof(why)) != 0 ||
	    !page_source_take(paged, RESIDENT, 0)) {
		fprintf(stderr, "perf_irql: no page source\n");
		exit(1);
	}
	return paged;
}

static void play_pairs(unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++) {
		irql_raise(DISPATCH_LEVEL);
		irql_enforce_level(DISPATCH_LEVEL);
		irql_enforce_level(PASSIVE_LEVEL);
		irql_lower(PASSIVE_LEVEL);
	}
}

/* Median nanoseconds a pair. */
static double measure(struct page_source *paged, enum irql_means means, unsigned pairs)
{
	double ns[ROUNDS];

	if (irql_enforce_start(paged, means, NULL, NULL) != 0) {
		fprintf(stderr, "perf_irql: the kernel refuses %s\n", irql_means_name(means));
		exit(1);
	}
	play_pairs(pairs);
	for (int round = 0; round < ROUNDS; round++) {
		const uint64_t start = monotonic_ns();

		play_pairs(pairs);
		ns[round] = (double)(monotonic_ns() - start) / pairs;
	}
	irql_enforce_stop();
	sort_finite(ns, ROUNDS);
	printf("%-60s %10.1f ns a pair\n", irql_means_name(means), sorted_median(ns, ROUNDS));
	return sorted_median(ns, ROUNDS);
}

int main(int argc, char **argv)
{
	const double bound = argc > 1 ? atof(argv[1]) : 50.0;
	struct page_source *paged = open_source();

	measure(paged, IRQL_BY_PROTECTION, 200);
	if (irql_enforce_means() != IRQL_BY_KEYS) {
		printf("no protection keys here: nothing to judge\n");
		return 77;
	}
	return measure(paged, IRQL_BY_KEYS, 100000) > bound;
}
