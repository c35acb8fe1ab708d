/*
 * What the page source costs, beside the system calls it cannot do without. Prints a table; the
 * only failure is a source that cannot be made. Figures of a run are in docs/page-source.md.
 *
 * Each figure is the median of rounds; what is compared is measured in turn within each round, so
 * that a noisy neighbour hits both.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "allocators/pages.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define ROUNDS 21
#define MIB    ((size_t)1 << 20)
#define GIB    ((size_t)1 << 30)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

struct subject {
	struct page_source *source;
	char *run;
	size_t bytes, alignment;
};

static void source_pair(struct subject *subject)
{
	if (page_source_commit(subject->source, subject->run, subject->bytes) == 0)
		page_source_decommit(subject->source, subject->run, subject->bytes);
}

static void nonpaged_calls(struct subject *subject)
{
	madvise(subject->run, subject->bytes, MADV_POPULATE_WRITE);
	madvise(subject->run, subject->bytes, MADV_DONTNEED_LOCKED);
}

static void paged_calls(struct subject *subject)
{
	madvise(subject->run, subject->bytes, MADV_DONTNEED);
}

static void reserve_pair(struct subject *subject)
{
	void *run = page_source_reserve(subject->source, subject->bytes, subject->alignment);

	if (run)
		page_source_release(subject->source, run, subject->bytes);
}

static void ask_resident(struct subject *subject)
{
	size_t resident;

	page_source_resident(subject->source, &resident);
}

static void ask_mincore(struct subject *subject)
{
	static unsigned char present[GIB / 4096];

	mincore(subject->run, subject->bytes, present);
}

static double time_calls(void (*function)(struct subject *), struct subject *subject, int calls)
{
	const uint64_t start = now_ns();

	for (int i = 0; i < calls; i++)
		function(subject);
	return (double)(now_ns() - start) / calls;
}

/* A line of the table; `bare` may be NULL. */
static void report(const char *what, struct subject *subject, int calls,
		   void (*function)(struct subject *), void (*bare)(struct subject *))
{
	double ours[ROUNDS], theirs[ROUNDS], ratios[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		ours[round] = time_calls(function, subject, calls);
		theirs[round] = bare ? time_calls(bare, subject, calls) : 0;
		ratios[round] = bare ? ours[round] / theirs[round] : 0;
	}
	if (bare)
		printf("%-44s %12.0f ns  bare %12.0f ns  ratio %.2f\n", what, median(ours),
		       median(theirs), median(ratios));
	else
		printf("%-44s %12.0f ns\n", what, median(ours));
}

static struct subject open_subject(struct page_source_config config)
{
	struct subject subject = { .bytes = 4096 };
	char why[256];

	config.page_size = 4096;
	config.node = -1;
	if (page_source_create(&config, &subject.source, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	subject.run = page_source_reserve(subject.source, GIB, 0);
	return subject;
}

static void anonymous_costs(void)
{
	struct subject nonpaged = open_subject(
		(struct page_source_config){ .type = POOL_NONPAGED });
	struct subject paged = open_subject((struct page_source_config){ .type = POOL_PAGED });

	report("nonpaged, commit + decommit 4K", &nonpaged, 500, source_pair, nonpaged_calls);
	report("paged, commit + decommit 4K", &paged, 2000, source_pair, paged_calls);
	nonpaged.bytes = paged.bytes = MIB;
	report("nonpaged, commit + decommit 1M", &nonpaged, 5, source_pair, nonpaged_calls);
	page_source_destroy(nonpaged.source);
	paged.bytes = GIB;
	if (page_source_commit(paged.source, paged.run, GIB) == 0) {
		memset(paged.run, 1, GIB);
		report("paged, resident of 1G", &paged, 1, ask_resident, ask_mincore);
		page_source_decommit(paged.source, paged.run, GIB);
	}
	page_source_destroy(paged.source);
}

static void address_costs(void)
{
	struct subject subject = open_subject((struct page_source_config){ .type = POOL_PAGED });

	report("reserve + release, after one run of 1G", &subject, 5000, reserve_pair, NULL);
	/* Every other page of the gigabyte is free: 131,072 holes before the first run of two. */
	for (size_t at = 0; at < GIB; at += 8192)
		page_source_release(subject.source, subject.run + at, 4096);
	report("... 4K, into the first of 131,072 holes", &subject, 5000, reserve_pair, NULL);
	subject.bytes = 8192;
	report("... 8K, past all of them", &subject, 5000, reserve_pair, NULL);
	subject.bytes = subject.alignment = 65536;
	report("... 64K aligned, past all of them", &subject, 5000, reserve_pair, NULL);
	page_source_destroy(subject.source);
}

static void paging_costs(void)
{
	struct subject subject = open_subject((struct page_source_config){
		.type = POOL_PAGED, .paging_file = true, .paged_resident_bytes = 32 * MIB });
	const size_t bytes = 256 * MIB;
	struct page_source_stats stats;
	uint64_t start = now_ns();
	size_t resident;
	unsigned sum = 0;

	report("paging file, commit + decommit 4K", &subject, 50, source_pair, NULL);
	subject.bytes = MIB;
	report("paging file, commit + decommit 1M", &subject, 50, source_pair, NULL);
	if (page_source_commit(subject.source, subject.run, bytes) != 0)
		goto out;
	start = now_ns();
	memset(subject.run, 1, bytes);
	while (page_source_resident(subject.source, &resident) == 0 && resident > 32 * MIB)
		usleep(2000);
	page_source_stats(subject.source, &stats);
	printf("%-44s %12.0f MB/s\n", "balance set, writing out",
	       (double)stats.paged_out_bytes * 1e3 / (double)(now_ns() - start));
	start = now_ns();
	for (size_t at = 0; at < 128 * MIB; at += 4096)
		sum += (unsigned char)subject.run[at];
	printf("%-44s %12.0f ns  (sum %u)\n", "hard fault, in order",
	       (double)(now_ns() - start) / (128 * MIB / 4096), sum);
out:
	page_source_destroy(subject.source);
}

int main(void)
{
	anonymous_costs();
	address_costs();
	paging_costs();
	return 0;
}
