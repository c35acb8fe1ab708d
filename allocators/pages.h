/*
 * The page source: physical memory, virtual memory and the paging file under the pools.
 *
 * Each pool type has one: a reserved range of addresses in which page runs are reserved, committed,
 * decommitted and released. All native backends take memory only here, so that commit, limit, residency,
 * page size, NUMA node and injected failures mean the same for every one of them and are counted once.
 *
 * Committed nonpaged memory is faulted in, and locked where the lock limit allows. Committed paged memory
 * becomes resident when touched. Fresh pages read as zero.
 *
 * The first part is for allocators and plugins: it goes through a table, so that a plugin links with
 * nothing. The second part is for whoever owns the sources (the harness, the tests).
 */
#ifndef POOLBENCH_PAGES_H
#define POOLBENCH_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

struct page_source_ops {
	void *(*reserve)(struct page_source *source, size_t bytes, size_t alignment);
	void (*release)(struct page_source *source, void *run, size_t bytes);
	int (*commit)(struct page_source *source, void *run, size_t bytes);
	void (*decommit)(struct page_source *source, void *run, size_t bytes);
};

/* The public head of every page source; the rest is the implementation's. */
struct page_source {
	const struct page_source_ops *ops;
	enum pool_type type;
	size_t page_size;  /* pool page: every run is a multiple of it and aligned to it */
	char *base;        /* the reserved range: base .. base + range_bytes */
	size_t range_bytes;
	unsigned node;     /* NUMA node that the memory is bound to; 0 where there is one */
};

/*
 * All four are thread-safe and callable at any IRQL. `bytes` is a multiple of page_size.
 *
 * page_source_reserve: an address range, no memory. `alignment` is a power of two; 0 means page_size.
 * The lowest run that fits (address-ordered first fit). NULL when the range is used up.
 */
static inline void *page_source_reserve(struct page_source *source, size_t bytes, size_t alignment)
{
	return source->ops->reserve(source, bytes, alignment);
}

/* Gives a reserved run, or a page-aligned part of one, back. It must be decommitted. */
static inline void page_source_release(struct page_source *source, void *run, size_t bytes)
{
	source->ops->release(source, run, bytes);
}

/*
 * Backs reserved pages with memory. 0 or -ENOMEM (limit, injected failure, or the kernel's refusal), and
 * then nothing of the run is committed. Must not overlap committed pages.
 */
static inline int page_source_commit(struct page_source *source, void *run, size_t bytes)
{
	return source->ops->commit(source, run, bytes);
}

/* Drops the memory of committed pages; the addresses stay reserved. */
static inline void page_source_decommit(struct page_source *source, void *run, size_t bytes)
{
	source->ops->decommit(source, run, bytes);
}

/* reserve and commit in one; NULL on either's failure. */
static inline void *page_source_take(struct page_source *source, size_t bytes, size_t alignment)
{
	void *run = page_source_reserve(source, bytes, alignment);

	if (run && page_source_commit(source, run, bytes) != 0) {
		page_source_release(source, run, bytes);
		return NULL;
	}
	return run;
}

/* decommit and release in one. */
static inline void page_source_give(struct page_source *source, void *run, size_t bytes)
{
	page_source_decommit(source, run, bytes);
	page_source_release(source, run, bytes);
}

static inline bool page_source_contains(const struct page_source *source, const void *address)
{
	return (size_t)((const char *)address - source->base) < source->range_bytes;
}

static inline size_t page_source_round_up(const struct page_source *source, size_t bytes)
{
	return (bytes + source->page_size - 1) & ~(source->page_size - 1);
}

/* ------------------------------------------------------------------------------------------------
 * For the owner of the sources.
 */

enum page_backing { PAGE_BACKING_BASE, PAGE_BACKING_THP, PAGE_BACKING_HUGETLB, PAGE_BACKINGS };
extern const char *const page_backing_names[PAGE_BACKINGS + 1]; /* "base" ..., NULL-terminated */

/* Which commits fail (0: none). Counted from 1 over the life of the source; all three may be combined. */
struct page_faults {
	uint64_t fail_nth;       /* only the k-th commit */
	uint64_t fail_every;     /* every k-th commit */
	double fail_probability; /* each commit, 0 .. 1, drawn from `seed` */
	uint64_t seed;
};

struct page_source_config {
	enum pool_type type;
	size_t page_size;     /* power of two, 4 KiB .. 2 MiB */
	enum page_backing backing;
	size_t range_bytes;   /* addresses to reserve; 0: a default that suits the machine */
	size_t limit_bytes;   /* most that may be committed; 0: no limit */
	int node;             /* hwloc logical index of the NUMA node to bind to; -1: no binding */
	bool paging_file;     /* paged only: a shared mapping of an unlinked file, see below */
	const char *paging_directory; /* where the paging file is made; NULL: TMPDIR or /var/tmp */
	size_t paged_resident_bytes;  /* paging_file only: what the balance-set thread keeps resident; 0: no trim */
	struct page_faults faults;
};

/*
 * With paging_file, a balance-set thread writes out and drops pages whenever more than
 * paged_resident_bytes are resident, so that touching one again is a major fault.
 *
 * 0; -EINVAL (a size that is no power of two, out of range); -ENODEV (the backing cannot be had);
 * -ENOSPC/-EACCES (the paging file); -ENOMEM. On failure `why` has a sentence with the remedy.
 */
int page_source_create(const struct page_source_config *config, struct page_source **out, char *why,
		       size_t why_bytes);

/* Unmaps everything. NULL is fine. */
void page_source_destroy(struct page_source *source);

struct page_source_stats {
	size_t reserved_bytes;        /* handed out by reserve and not released */
	size_t committed_bytes;       /* exact at any instant */
	size_t committed_peak_bytes;
	uint64_t committed_total_bytes; /* of all commits so far */
	uint64_t commits, decommits;  /* calls that succeeded */
	uint64_t failed_commits;      /* calls refused: limit, injection or kernel */
	uint64_t injected_failures;   /* those of them that were injected */
	bool locked;                  /* nonpaged: locked by mlock; false: only faulted in */
	uint64_t paged_out_bytes;     /* written out and dropped by the balance-set thread, in total */
};

/* Thread-safe; a consistent snapshot. */
void page_source_stats(struct page_source *source, struct page_source_stats *stats);

/* Restarts committed_peak_bytes from what is committed now. */
void page_source_reset_peak(struct page_source *source);

/* Changes the limit or the failure plan of a live source; counting of commits restarts at 1 with a plan. */
void page_source_set_limit(struct page_source *source, size_t limit_bytes);
void page_source_set_faults(struct page_source *source, const struct page_faults *faults);

/* Bytes of the committed range that are resident by the kernel's word. 0 and *bytes, or -errno. */
int page_source_resident(struct page_source *source, size_t *bytes);

/* Whether every page of [address, address+bytes) is committed. For tests and the verifier. */
bool page_source_is_committed(struct page_source *source, const void *address, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
