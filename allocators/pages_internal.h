/*
 * What the files of the page source share.
 *
 *	pages.c         the operations, the account, failure plans, life of a source
 *	pages_range.c   which addresses are handed out
 *	pages_base.c    medium: anonymous 4 KiB pages
 *	pages_huge.c    medium: 2 MiB pages, transparent or from hugetlbfs
 *	pages_paging.c  medium: the paging file, and the balance-set thread
 *	pages_memory.c  how much memory is left to be faulted in
 *	pages_kernel.c  the kernel's word: residency, locking, binding to a NUMA node
 *
 * A medium is what lies under the pages. It is asked with no lock held: runs of two threads never
 * overlap, so that their system calls run in parallel.
 *
 * Lock order: none is taken while another is held, except a granule's lock of pages_huge.c across
 * its system call.
 */
#ifndef POOLBENCH_PAGES_INTERNAL_H
#define POOLBENCH_PAGES_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "pages.h"
#include "pages_bitmap.h"
#include "pages_range.h"

#define GRANULE_BYTES    ((size_t)2 << 20)

#define PAGE_GROUP_BYTES 512

/* What is left of memory, and how much of it may be taken before the next look. */
struct page_memory {
	_Atomic int64_t budget;
	int group_version; /* index of the control group's version */
	char group[PAGE_GROUP_BYTES]; /* its directory; "": none */
};

struct source;

struct page_medium {
	/* Maps the range over the reserved addresses. 0 or -errno with `why`. */
	int (*attach)(struct source *source, const struct page_source_config *config, char *why,
		      size_t why_bytes);
	void (*detach)(struct source *source);
	/* Offsets are into the range. commit: 0, or -ENOMEM and nothing of the run has memory. */
	int (*commit)(struct source *source, size_t offset, size_t bytes);
	void (*decommit)(struct source *source, size_t offset, size_t bytes);
	/* Resident bytes of a window of whole granules (or up to the range's end). 0 or -errno. */
	int (*resident)(const struct source *source, size_t offset, size_t bytes, size_t *resident);
};

extern const struct page_medium page_medium_base;
extern const struct page_medium page_medium_huge;
extern const struct page_medium page_medium_paging;

struct source {
	struct page_source head; /* first: the public pointer points here */
	const struct page_medium *medium;
	void *medium_state;
	enum page_backing backing;
	unsigned page_shift;
	bool locked; /* the mapping is VM_LOCKED: pages are dropped by another advice */
	int pagemap_fd; /* /proc/self/pagemap, or -1 */
	pid_t pagemap_owner;

	struct page_memory memory; /* nonpaged only */

	pthread_mutex_t range_lock; /* range */
	struct page_range range;

	bitmap_word *committed; /* a bit a pool page; set while it has memory and is accounted */
	size_t committed_map_bytes;
	bitmap_word *
		poisoned; /* as committed: pages that were ever poisoned; NULL in other builds (poison.h) */

	pthread_mutex_t account_lock; /* from here on */
	struct page_source_stats stats;
	size_t pending_bytes; /* admitted under the limit, not yet granted by the kernel */
	size_t limit_bytes;
	struct page_faults faults;
	uint64_t fault_calls; /* commits since the plan was set */
};

static inline struct source *source_of(struct page_source *head)
{
	return (struct source *)(void *)head;
}

/* Sets `why` as printf does, and returns `error`. */
int page_why(int error, char *why, size_t why_bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* pages_memory.c; both are thread-safe. */

void page_memory_init(struct page_memory *memory);

/* Whether so many bytes can be faulted in without running into the out-of-memory killer. */
bool page_memory_allows(struct page_memory *memory, size_t bytes);

/* pages_kernel.c */

/*
 * Maps anonymous memory over the whole range; `flags` are added to mmap's. 0 or -ENOMEM with `why`.
 */
int page_map_anonymous(struct source *source, int flags, char *why, size_t why_bytes);

/* Memory for a source's own tables, zeroed, lazily touched; NULL on failure. */
void *page_table_map(size_t bytes);
void page_table_unmap(void *table, size_t bytes);

/* Faults the pages in, writable. 0 or -ENOMEM, and then some of them may be there. */
int page_populate(char *start, size_t bytes);

/* Drops the pages of an anonymous mapping, locked or not. */
void page_drop(const struct source *source, size_t offset, size_t bytes);

/* Locks what will be faulted into the range. True where the kernel allows it. */
bool page_lock_range(char *start, size_t bytes);

/* Bytes of the window that page tables map, the shared zero page left out. 0 or -errno. */
int page_mapped_bytes(const struct source *source, size_t offset, size_t bytes, size_t *mapped);

/*
 * Bytes of a window of anonymous memory that are resident, by the cheapest way that is exact. 0 or
 * -errno.
 */
int page_resident_bytes(const struct source *source, size_t offset, size_t bytes, size_t *resident);

/*
 * Bytes of the window that are in memory by mincore: for a file, those in the page cache. 0 or
 * -errno.
 */
int page_cached_bytes(const char *start, size_t bytes, size_t *cached);

/* Binds the range to the NUMA node of that hwloc index. 0 or -ENODEV with `why`. */
int page_bind_range(char *start, size_t bytes, unsigned node, char *why, size_t why_bytes);

/* pages_huge.c: whether this kind of huge pages can be had here. 0 or -ENODEV with `why`. */
int page_huge_available(enum page_backing backing, char *why, size_t why_bytes);

#endif
