/*
 * The page source: operations, account and life.
 *
 * A commit goes through three steps:
 *
 *	admit   under the account lock: fail by plan? fits the limit? then its bytes are pending
 *	grant   no lock: the medium asks the kernel
 *	settle  under the account lock: pending becomes committed, or is dropped
 *
 * so committed + pending never exceeds the limit, committed counts only what the kernel has
 * granted, and the system calls of several threads run in parallel. Decommit drops the memory first
 * and then the account, for the same reason.
 *
 * Nothing here changes the protection of a run: each change would split the kernel's mapping, and a
 * process may have 65,530 of them (vm.max_map_count).
 *
 * Misuse by an allocator (overlapping commits, releasing committed pages, a run that is not a
 * multiple of the page) is found by the two bitmaps and ends builds with assertions.
 */
#include "pages_internal.h"

#include "poison.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_RANGE_BYTES ((size_t)64 << 30)
#define LEAST_RANGE_BYTES   ((size_t)64 << 20) /* of a default range */
#define MOST_RANGE_BYTES    ((size_t)1 << 40)
/* Of a run that was only reserved: a map over a whole range is too long to be poisoned, and is never full. */
#define POISON_MOST_BYTES ((size_t)1 << 20)
#define LEAST_PAGE_BYTES  ((size_t)4 << 10)
#define MOST_PAGE_BYTES   GRANULE_BYTES
/*
 * A range starts at a multiple of these, so that runs of any alignment up to it can lie at its
 * start.
 */
#define LARGE_ALIGNMENT ((size_t)1 << 30) /* of a range that is at least as large */
#define SMALL_ALIGNMENT ((size_t)64 << 20)

const char *const page_backing_names[PAGE_BACKINGS + 1] = { "base", "thp", "hugetlb", NULL };

int page_why(int error, char *why, size_t why_bytes, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (why && why_bytes > 0)
		vsnprintf(why, why_bytes, format, arguments);
	va_end(arguments);
	return error;
}

static bool is_power_of_two(size_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static size_t offset_of(const struct source *source, const void *address)
{
	return (size_t)((const char *)address - source->head.base);
}

/* Whether a run is made of whole pages of the range. Assertions only. */
static bool __attribute__((unused))
is_run(const struct source *source, const void *run, size_t bytes)
{
	const size_t offset = offset_of(source, run);
	const size_t mask = source->head.page_size - 1;

	return bytes > 0 && (offset & mask) == 0 && (bytes & mask) == 0 &&
	       offset < source->head.range_bytes && bytes <= source->head.range_bytes - offset;
}

/* What the range's poison is to be undone of when the source goes is kept page by page. */
static void pages_close(struct source *source, size_t offset, size_t bytes)
{
	poison_close(source->head.base + offset, bytes);
	if (POISONING)
		(void)bitmap_flip(source->poisoned, offset >> source->page_shift,
				  bytes >> source->page_shift, true);
}

/* Addresses. */

static void *source_reserve(struct page_source *head, size_t bytes, size_t alignment)
{
	struct source *source = source_of(head);
	const size_t align = alignment > head->page_size ? alignment : head->page_size;
	const size_t pages = bytes >> source->page_shift;
	size_t index;

	assert(bytes > 0 && (bytes & (head->page_size - 1)) == 0);
	assert(is_power_of_two(align));
	pthread_mutex_lock(&source->range_lock);
	index = page_range_take(&source->range, pages, align >> source->page_shift);
	pthread_mutex_unlock(&source->range_lock);
	if (index == PAGE_RANGE_NONE)
		return NULL;
	pthread_mutex_lock(&source->account_lock);
	source->stats.reserved_bytes += bytes;
	pthread_mutex_unlock(&source->account_lock);
	pages_close(source, index << source->page_shift,
		    bytes < POISON_MOST_BYTES ? bytes : POISON_MOST_BYTES);
	return head->base + (index << source->page_shift);
}

static void source_release(struct page_source *head, void *run, size_t bytes)
{
	struct source *source = source_of(head);
	const size_t index = offset_of(source, run) >> source->page_shift;
	const size_t pages = bytes >> source->page_shift;

	assert(is_run(source, run, bytes));
	assert(!bitmap_any(source->committed, index, pages) && "release of committed pages");
	pthread_mutex_lock(&source->account_lock);
	source->stats.reserved_bytes -= bytes;
	pthread_mutex_unlock(&source->account_lock);
	pthread_mutex_lock(&source->range_lock);
	assert(page_range_is_taken(&source->range, index, pages) && "release of free pages");
	page_range_give(&source->range, index, pages);
	pthread_mutex_unlock(&source->range_lock);
}

/* Memory. */

/*
 * Whether the plan fails the commit of this number. Chance depends on the seed and the number
 * alone, so that the same calls fail however threads interleave.
 */
static bool is_injected(const struct page_faults *faults, uint64_t call)
{
	uint64_t z = faults->seed + call * 0x9E3779B97F4A7C15u;

	if (faults->fail_nth == call)
		return true;
	if (faults->fail_every > 0 && call % faults->fail_every == 0)
		return true;
	if (!(faults->fail_probability > 0))
		return false;
	/* The finaliser of splitmix64 (Steele, Lea and Flood, 2014). */
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	z ^= z >> 31;
	return (double)(z >> 11) * 0x1p-53 < faults->fail_probability;
}

static bool commit_admit(struct source *source, size_t bytes)
{
	bool admitted = false;

	pthread_mutex_lock(&source->account_lock);
	source->fault_calls++;
	if (is_injected(&source->faults, source->fault_calls)) {
		source->stats.injected_failures++;
	} else if (source->limit_bytes == 0 ||
		   (bytes <= source->limit_bytes &&
		    source->stats.committed_bytes + source->pending_bytes <=
			    source->limit_bytes - bytes)) {
		source->pending_bytes += bytes;
		admitted = true;
	}
	if (!admitted)
		source->stats.failed_commits++;
	pthread_mutex_unlock(&source->account_lock);
	return admitted;
}

static void commit_settle(struct source *source, size_t bytes, bool granted)
{
	struct page_source_stats *stats = &source->stats;

	pthread_mutex_lock(&source->account_lock);
	source->pending_bytes -= bytes;
	if (granted) {
		stats->commits++;
		stats->committed_bytes += bytes;
		stats->committed_total_bytes += bytes;
		if (stats->committed_bytes > stats->committed_peak_bytes)
			stats->committed_peak_bytes = stats->committed_bytes;
	} else {
		stats->failed_commits++;
	}
	pthread_mutex_unlock(&source->account_lock);
}

/*
 * Asks the kernel. Huge pages of hugetlbfs are set aside already, and paged memory is not faulted
 * in.
 */
static int commit_grant(struct source *source, size_t offset, size_t bytes)
{
	if (source->head.type == POOL_NONPAGED && source->backing != PAGE_BACKING_HUGETLB &&
	    !page_memory_allows(&source->memory, bytes))
		return -ENOMEM;
	return source->medium->commit(source, offset, bytes);
}

static int source_commit(struct page_source *head, void *run, size_t bytes)
{
	struct source *source = source_of(head);
	const size_t offset = offset_of(source, run);
	const size_t index = offset >> source->page_shift, pages = bytes >> source->page_shift;
	int error;

	assert(is_run(source, run, bytes));
	assert(!bitmap_any(source->committed, index, pages) && "commit of committed pages");
	if (!commit_admit(source, bytes))
		return -ENOMEM;
	poison_open(run, bytes); /* a medium may fault pages in by touching them */
	error = commit_grant(source, offset, bytes);
	if (error) {
		pages_close(source, offset, bytes);
	} else {
		const bool clean = bitmap_flip(source->committed, index, pages, true);

		assert(clean && "two commits of the same pages at once");
		(void)clean;
	}
	commit_settle(source, bytes, !error);
	return error;
}

static void source_decommit(struct page_source *head, void *run, size_t bytes)
{
	struct source *source = source_of(head);
	const size_t offset = offset_of(source, run);
	bool clean;

	assert(is_run(source, run, bytes));
	clean = bitmap_flip(source->committed, offset >> source->page_shift,
			    bytes >> source->page_shift, false);
	assert(clean && "decommit of pages that are not committed");
	(void)clean;
	source->medium->decommit(source, offset,
				 bytes); /* which may still write: part of a huge page */
	pages_close(source, offset, bytes);
	pthread_mutex_lock(&source->account_lock);
	source->stats.decommits++;
	source->stats.committed_bytes -= bytes;
	pthread_mutex_unlock(&source->account_lock);
}

static const struct page_source_ops source_ops = {
	.reserve = source_reserve,
	.release = source_release,
	.commit = source_commit,
	.decommit = source_decommit,
};

/* Life. */

static int config_check(const struct page_source_config *config, char *why, size_t why_bytes)
{
	if (!is_power_of_two(config->page_size) || config->page_size < LEAST_PAGE_BYTES ||
	    config->page_size > MOST_PAGE_BYTES)
		return page_why(-EINVAL, why, why_bytes,
				"page size %zu: must be a power of two from 4K to 2M",
				config->page_size);
	if ((unsigned)config->type >= POOL_TYPES || (unsigned)config->backing >= PAGE_BACKINGS)
		return page_why(-EINVAL, why, why_bytes, "no such pool type or backing");
	if (config->range_bytes > MOST_RANGE_BYTES)
		return page_why(-EINVAL, why, why_bytes, "range of %zu bytes: at most 1T",
				config->range_bytes);
	if (!(config->faults.fail_probability >= 0 && config->faults.fail_probability <= 1))
		return page_why(-EINVAL, why, why_bytes, "failure probability %g: must be 0 to 1",
				config->faults.fail_probability);
	if (!config->paging_file)
		return 0;
	if (config->type != POOL_PAGED)
		return page_why(-EINVAL, why, why_bytes,
				"only the paged pool can have a paging file");
	if (config->backing != PAGE_BACKING_BASE)
		return page_why(-EINVAL, why, why_bytes, "a paging file needs backing base, not %s",
				page_backing_names[config->backing]);
	return 0;
}

static const struct page_medium *medium_for(const struct page_source_config *config)
{
	if (config->paging_file)
		return &page_medium_paging;
	return config->backing == PAGE_BACKING_BASE ? &page_medium_base : &page_medium_huge;
}

/* Reserves addresses with no access, aligned; NULL if the kernel refuses. */
static char *range_map(size_t bytes)
{
	const size_t alignment = bytes >= LARGE_ALIGNMENT ? LARGE_ALIGNMENT : SMALL_ALIGNMENT;
	const size_t padded = bytes + alignment;
	char *raw = mmap(NULL, padded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0);
	size_t before, after;

	if (raw == MAP_FAILED)
		return NULL;
	before = (alignment - ((uintptr_t)raw & (alignment - 1))) & (alignment - 1);
	after = padded - before - bytes;
	if (before)
		munmap(raw, before);
	if (after)
		munmap(raw + before + bytes, after);
	return raw + before;
}

/* The range, its tables and its medium, of one size. 0 or -errno, and then nothing is left. */
static int range_create(struct source *source, const struct page_source_config *config,
			size_t bytes, char *why, size_t why_bytes)
{
	struct page_source *head = &source->head;
	int error;

	head->range_bytes = bytes;
	head->base = range_map(bytes);
	if (!head->base)
		return page_why(-ENOMEM, why, why_bytes,
				"cannot reserve %zu bytes of addresses: raise `ulimit -v`", bytes);
	source->committed_map_bytes = ((bytes >> source->page_shift) + BITMAP_WORD) / 8;
	source->committed = page_table_map(source->committed_map_bytes);
	error = page_range_init(&source->range, (uintptr_t)head->base >> source->page_shift,
				bytes >> source->page_shift);
	source->poisoned = POISONING ? page_table_map(source->committed_map_bytes) : NULL;
	if (!source->committed || (POISONING && !source->poisoned) || error) {
		error = page_why(-ENOMEM, why, why_bytes,
				 "no memory for the tables of a page source");
		goto out;
	}
	error = source->medium->attach(source, config, why, why_bytes);
	if (!error)
		return 0;
out:
	page_range_fini(&source->range);
	page_table_unmap(source->committed, source->committed_map_bytes);
	page_table_unmap(source->poisoned, source->committed_map_bytes);
	munmap(head->base, bytes);
	return error;
}

/* The addresses will be somebody else's, who may touch them. */
static void pages_open_all(struct source *source)
{
	const size_t pages = source->head.range_bytes >> source->page_shift;

	for (size_t page = 0;
	     POISONING && (page = bitmap_next(source->poisoned, page, pages)) < pages; page++)
		poison_open(source->head.base + (page << source->page_shift),
			    source->head.page_size);
}

static void range_destroy(struct source *source)
{
	pages_open_all(source);
	source->medium->detach(source);
	page_range_fini(&source->range);
	page_table_unmap(source->committed, source->committed_map_bytes);
	page_table_unmap(source->poisoned, source->committed_map_bytes);
	munmap(source->head.base, source->head.range_bytes);
}

/* The size that was asked for or, where none was, the largest the kernel grants. */
static int range_create_sized(struct source *source, const struct page_source_config *config,
			      char *why, size_t why_bytes)
{
	const size_t unit = config->backing == PAGE_BACKING_BASE ? config->page_size
								 : GRANULE_BYTES;
	size_t bytes = config->range_bytes ? config->range_bytes : DEFAULT_RANGE_BYTES;
	int error;

	for (;;) {
		error = range_create(source, config, (bytes + unit - 1) & ~(unit - 1), why,
				     why_bytes);
		if (error != -ENOMEM && error != -EFBIG)
			return error;
		if (config->range_bytes || bytes / 2 < LEAST_RANGE_BYTES)
			return error == -EFBIG ? -ENOSPC : error;
		bytes /= 2;
	}
}

static void source_free(struct source *source)
{
	if (source->pagemap_fd >= 0)
		close(source->pagemap_fd);
	pthread_mutex_destroy(&source->account_lock);
	pthread_mutex_destroy(&source->range_lock);
	free(source);
}

int page_source_create(const struct page_source_config *config, struct page_source **out, char *why,
		       size_t why_bytes)
{
	struct source *source;
	int error = config_check(config, why, why_bytes);

	if (error)
		return error;
	source = calloc(1, sizeof(*source));
	if (!source)
		return page_why(-ENOMEM, why, why_bytes, "no memory for a page source");
	source->head.ops = &source_ops;
	source->head.type = config->type;
	source->head.page_size = config->page_size;
	source->head.node = config->node >= 0 ? (unsigned)config->node : 0;
	source->medium = medium_for(config);
	source->backing = config->backing;
	source->page_shift = (unsigned)__builtin_ctzll(config->page_size);
	source->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	source->pagemap_owner = getpid();
	page_memory_init(&source->memory);
	source->limit_bytes = config->limit_bytes;
	source->faults = config->faults;
	pthread_mutex_init(&source->range_lock, NULL);
	pthread_mutex_init(&source->account_lock, NULL);
	error = range_create_sized(source, config, why, why_bytes);
	if (error)
		goto out;
	if (config->node >= 0) {
		error = page_bind_range(source->head.base, source->head.range_bytes,
					(unsigned)config->node, why, why_bytes);
		if (error)
			goto out_range;
	}
	if (config->type == POOL_NONPAGED) {
		/* Pages of hugetlbfs are never written out: the kernel has nothing to lock. */
		const bool pinned = config->backing == PAGE_BACKING_HUGETLB;

		source->locked = !pinned &&
				 page_lock_range(source->head.base, source->head.range_bytes);
		source->stats.locked = pinned || source->locked;
	}
	*out = &source->head;
	return 0;

out_range:
	range_destroy(source);
out:
	source_free(source);
	return error;
}

void page_source_destroy(struct page_source *head)
{
	struct source *source = source_of(head);

	if (!head)
		return;
	range_destroy(source);
	source_free(source);
}

/* Questions and settings. */

void page_source_stats(struct page_source *head, struct page_source_stats *stats)
{
	struct source *source = source_of(head);

	pthread_mutex_lock(&source->account_lock);
	*stats = source->stats;
	pthread_mutex_unlock(&source->account_lock);
}

void page_source_reset_peak(struct page_source *head)
{
	struct source *source = source_of(head);

	pthread_mutex_lock(&source->account_lock);
	source->stats.committed_peak_bytes = source->stats.committed_bytes;
	pthread_mutex_unlock(&source->account_lock);
}

void page_source_set_limit(struct page_source *head, size_t limit_bytes)
{
	struct source *source = source_of(head);

	pthread_mutex_lock(&source->account_lock);
	source->limit_bytes = limit_bytes;
	pthread_mutex_unlock(&source->account_lock);
}

void page_source_set_faults(struct page_source *head, const struct page_faults *faults)
{
	struct source *source = source_of(head);

	pthread_mutex_lock(&source->account_lock);
	source->faults = *faults;
	source->fault_calls = 0;
	pthread_mutex_unlock(&source->account_lock);
}

int page_source_resident(struct page_source *head, size_t *bytes)
{
	struct source *source = source_of(head);
	const size_t pages = head->range_bytes >> source->page_shift;
	const size_t granule = GRANULE_BYTES >> source->page_shift;
	size_t resident = 0, from = 0;

	/*
	 * Windows of whole granules that hold a committed page; neighbours are asked about
	 * together.
	 */
	while ((from = bitmap_next(source->committed, from, pages)) < pages) {
		size_t end, window;
		int error;

		from &= ~(granule - 1);
		for (end = from + granule; end < pages; end += granule) {
			const size_t left = pages - end;

			if (!bitmap_any(source->committed, end, left < granule ? left : granule))
				break;
		}
		if (end > pages)
			end = pages;
		error = source->medium->resident(source, from << source->page_shift,
						 (end - from) << source->page_shift, &window);
		if (error)
			return error;
		resident += window;
		from = end;
	}
	*bytes = resident;
	return 0;
}

bool page_source_is_committed(struct page_source *head, const void *address, size_t bytes)
{
	struct source *source = source_of(head);
	const size_t offset = offset_of(source, address);
	size_t first, last;

	if (offset >= head->range_bytes || bytes > head->range_bytes - offset)
		return false;
	if (bytes == 0)
		return true;
	first = offset >> source->page_shift;
	last = (offset + bytes - 1) >> source->page_shift;
	return bitmap_all(source->committed, first, last - first + 1);
}
