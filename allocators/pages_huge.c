/*
 * Medium: 2 MiB pages, transparent (thp) or from hugetlbfs (hugetlb).
 *
 * The kernel deals in granules of 2 MiB, the pool in pages that may be smaller:
 *
 *	granule   |       0       |       1       |       2       |
 *	pool page | a | a |   | b | b | b | b | b | b |   |   |   |
 *	held          3               4               1
 *
 * held[g] counts the pool pages of a granule that are committed. hugetlb: the first of them brings
 * the granule, the last to go drops it; a page that goes earlier is cleared, so that it is zero
 * when it is committed again. thp: the kernel may back a touch of one page by a whole granule, so
 * that the last page to go drops all of it too; a page that goes earlier is dropped by itself,
 * which makes the kernel split the huge page. So resident bytes can exceed committed bytes when
 * pool pages are smaller than a granule: that is what such a pool really takes.
 *
 * Concurrency: two threads with runs in one granule would race between its count and its system
 * call (one drops what the other has just been given), so both happen under the granule's lock, one
 * of LOCKS. A granule that lies whole inside a run has one owner and takes no lock. Nothing takes
 * two of them.
 */
#include "pages_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#define MAP_HUGE_2M    (21 << MAP_HUGE_SHIFT)

#define LOCKS          64u

#define THP_ENABLED    "/sys/kernel/mm/transparent_hugepage/enabled"
#define THP_ENABLED_2M "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled"
#define HUGETLB_2M     "/sys/kernel/mm/hugepages/hugepages-2048kB/"

struct huge {
	pthread_mutex_t locks[LOCKS];
	uint32_t held_full; /* pool pages in a granule */
	size_t held_bytes;
	uint32_t *
		held; /* a granule's committed pool pages; under its lock unless one run covers it */
};

/* First line of a small file; false if it cannot be read. */
static bool read_line(const char *path, char *line, int bytes)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (!file)
		return false;
	ok = fgets(line, bytes, file) != NULL;
	fclose(file);
	return ok;
}

static long read_number(const char *path)
{
	char line[32];

	return read_line(path, line, sizeof(line)) ? strtol(line, NULL, 10) : 0;
}

static int thp_available(char *why, size_t why_bytes)
{
	char line[128];

	if (!read_line(THP_ENABLED, line, sizeof(line)))
		return page_why(-ENODEV, why, why_bytes,
				"backing thp: this kernel has no transparent huge pages");
	if (strstr(line, "[never]"))
		return page_why(-ENODEV, why, why_bytes,
				"backing thp: transparent huge pages are off; as root: "
				"echo madvise > " THP_ENABLED);
	if (read_line(THP_ENABLED_2M, line, sizeof(line)) && strstr(line, "[never]"))
		return page_why(-ENODEV, why, why_bytes,
				"backing thp: transparent huge pages of 2 MiB are off; as root: "
				"echo inherit > " THP_ENABLED_2M);
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
		return page_why(-ENODEV, why, why_bytes,
				"backing thp: switched off for this process by PR_SET_THP_DISABLE");
	return 0;
}

int page_huge_available(enum page_backing backing, char *why, size_t why_bytes)
{
	if (backing == PAGE_BACKING_THP)
		return thp_available(why, why_bytes);
	if (read_number(HUGETLB_2M "nr_hugepages") == 0 &&
	    read_number(HUGETLB_2M "nr_overcommit_hugepages") == 0)
		return page_why(-ENODEV, why, why_bytes,
				"backing hugetlb: no huge pages of 2 MiB are configured; as root: "
				"sysctl vm.nr_hugepages=512 (1 GiB)");
	return 0;
}

static int huge_map(struct source *source, char *why, size_t why_bytes)
{
	struct page_source *head = &source->head;
	int error;

	if (source->backing == PAGE_BACKING_HUGETLB)
		return page_map_anonymous(source, MAP_HUGETLB | MAP_HUGE_2M, why, why_bytes);
	error = page_map_anonymous(source, 0, why, why_bytes);
	if (!error && madvise(head->base, head->range_bytes, MADV_HUGEPAGE) != 0)
		return page_why(-ENODEV, why, why_bytes, "backing thp: madvise: %s",
				strerror(errno));
	return error;
}

static int huge_attach(struct source *source, const struct page_source_config *config, char *why,
		       size_t why_bytes)
{
	struct huge *huge;
	int error = page_huge_available(config->backing, why, why_bytes);

	if (error)
		return error;
	error = huge_map(source, why, why_bytes);
	if (error)
		return error;
	huge = calloc(1, sizeof(*huge));
	if (!huge)
		return page_why(-ENOMEM, why, why_bytes, "no memory for a page source");
	huge->held_full = (uint32_t)(GRANULE_BYTES >> source->page_shift);
	huge->held_bytes = source->head.range_bytes / GRANULE_BYTES * sizeof(*huge->held);
	huge->held = page_table_map(huge->held_bytes);
	if (!huge->held) {
		free(huge);
		return page_why(-ENOMEM, why, why_bytes,
				"no memory for the tables of a page source");
	}
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_init(&huge->locks[i], NULL);
	source->medium_state = huge;
	return 0;
}

static void huge_detach(struct source *source)
{
	struct huge *huge = source->medium_state;

	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&huge->locks[i]);
	page_table_unmap(huge->held, huge->held_bytes);
	free(huge);
}

/* Makes sure of memory under part of a granule, or under whole ones. */
static int huge_grant(struct source *source, size_t offset, size_t bytes, bool first)
{
	const size_t granule = offset & ~(GRANULE_BYTES - 1);
	const bool hugetlb = source->backing == PAGE_BACKING_HUGETLB;
	int error;

	if (!hugetlb) {
		/* thp: a touch of paged memory that finds no huge page gets a small one. */
		if (source->head.type == POOL_PAGED)
			return 0;
		error = page_populate(source->head.base + offset, bytes);
		if (error)
			page_drop(source, offset, bytes);
		return error;
	}
	if (!first)
		return 0;
	if (bytes < GRANULE_BYTES) {
		offset = granule;
		bytes = GRANULE_BYTES;
	}
	/* Paged memory too: a touch that finds the huge pages used up would be SIGBUS. */
	error = page_populate(source->head.base + offset, bytes);
	if (error)
		page_drop(source, offset, bytes);
	return error;
}

static int part_commit(struct source *source, size_t offset, size_t bytes)
{
	struct huge *huge = source->medium_state;
	const size_t granule = offset / GRANULE_BYTES;
	pthread_mutex_t *lock = &huge->locks[granule % LOCKS];
	int error;

	pthread_mutex_lock(lock);
	error = huge_grant(source, offset, bytes, huge->held[granule] == 0);
	if (!error)
		huge->held[granule] += (uint32_t)(bytes >> source->page_shift);
	pthread_mutex_unlock(lock);
	return error;
}

static void part_decommit(struct source *source, size_t offset, size_t bytes)
{
	struct huge *huge = source->medium_state;
	const size_t granule = offset / GRANULE_BYTES;
	pthread_mutex_t *lock = &huge->locks[granule % LOCKS];

	pthread_mutex_lock(lock);
	huge->held[granule] -= (uint32_t)(bytes >> source->page_shift);
	if (huge->held[granule] == 0)
		page_drop(source, granule * GRANULE_BYTES, GRANULE_BYTES);
	else if (source->backing == PAGE_BACKING_HUGETLB)
		memset(source->head.base + offset, 0, bytes);
	else
		page_drop(source, offset, bytes);
	pthread_mutex_unlock(lock);
}

/* Whole granules, none of which anyone else has pages in. */
static int whole_commit(struct source *source, size_t offset, size_t bytes)
{
	struct huge *huge = source->medium_state;
	const int error = huge_grant(source, offset, bytes, true);

	if (error)
		return error;
	for (size_t at = offset; at < offset + bytes; at += GRANULE_BYTES)
		huge->held[at / GRANULE_BYTES] = huge->held_full;
	return 0;
}

static void whole_decommit(struct source *source, size_t offset, size_t bytes)
{
	struct huge *huge = source->medium_state;

	for (size_t at = offset; at < offset + bytes; at += GRANULE_BYTES)
		huge->held[at / GRANULE_BYTES] = 0;
	page_drop(source, offset, bytes);
}

/* The next stretch of a run: the rest of a granule, or as many whole granules as follow. */
static size_t stretch_bytes(size_t offset, size_t end, bool *whole)
{
	const size_t to_granule = GRANULE_BYTES - (offset & (GRANULE_BYTES - 1));

	*whole = to_granule == GRANULE_BYTES && end - offset >= GRANULE_BYTES;
	if (*whole)
		return (end - offset) & ~(GRANULE_BYTES - 1);
	return end - offset < to_granule ? end - offset : to_granule;
}

static void huge_decommit(struct source *source, size_t offset, size_t bytes)
{
	const size_t end = offset + bytes;
	bool whole;

	for (size_t here; offset < end; offset += here) {
		here = stretch_bytes(offset, end, &whole);
		(whole ? whole_decommit : part_decommit)(source, offset, here);
	}
}

static int huge_commit(struct source *source, size_t offset, size_t bytes)
{
	const size_t start = offset, end = offset + bytes;
	bool whole;

	for (size_t here; offset < end; offset += here) {
		int error;

		here = stretch_bytes(offset, end, &whole);
		error = (whole ? whole_commit : part_commit)(source, offset, here);
		if (error) {
			huge_decommit(source, start, offset - start);
			return error;
		}
	}
	return 0;
}

const struct page_medium page_medium_huge = {
	.attach = huge_attach,
	.detach = huge_detach,
	.commit = huge_commit,
	.decommit = huge_decommit,
	.resident = page_resident_bytes,
};
