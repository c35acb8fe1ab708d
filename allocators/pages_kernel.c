/*
 * What the page source asks of the kernel, and what the kernel says about its pages.
 *
 * Residency comes from mincore where a commit has faulted the pages in. Of anonymous paged memory
 * it comes from PAGEMAP_SCAN where the kernel has it (6.7), which tells the shared zero page, no
 * memory of ours, from pages; older kernels are asked by mincore, which counts a page that was read
 * but never written as resident.
 */
#include "pages_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define OS_PAGE       ((size_t)POOL_OS_PAGE)
#define MINCORE_PAGES 16384 /* asked about at once: 64 MiB */
#define SCAN_REGIONS  512

void *page_table_map(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

void page_table_unmap(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes);
}

/* For kernels before 5.14. Fresh pages are zero, and stay so. */
static void touch_pages(char *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += OS_PAGE)
		*(volatile char *)(start + at) = 0;
}

int page_map_anonymous(struct source *source, int flags, char *why, size_t why_bytes)
{
	struct page_source *head = &source->head;

	if (mmap(head->base, head->range_bytes, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1,
		 0) == MAP_FAILED)
		return page_why(-ENOMEM, why, why_bytes,
				"cannot map %zu bytes (%s): ask for a smaller range, or set "
				"vm.overcommit_memory to 0 or 1",
				head->range_bytes, strerror(errno));
	/* Gigabytes of pool would only swamp a core dump. Advice: a refusal changes nothing. */
	madvise(head->base, head->range_bytes, MADV_DONTDUMP);
	return 0;
}

int page_populate(char *start, size_t bytes)
{
	for (;;) {
		if (madvise(start, bytes, MADV_POPULATE_WRITE) == 0)
			return 0;
		if (errno == EINVAL) {
			touch_pages(start, bytes);
			return 0;
		}
		/* EFAULT: a touch would have raised SIGBUS, as where huge pages have run out. */
		if (errno != EAGAIN && errno != EINTR)
			return -ENOMEM;
	}
}

void page_drop(const struct source *source, size_t offset, size_t bytes)
{
	madvise(source->head.base + offset, bytes,
		source->locked ? MADV_DONTNEED_LOCKED : MADV_DONTNEED);
}

bool page_lock_range(char *start, size_t bytes)
{
	if (mlock2(start, bytes, MLOCK_ONFAULT) != 0)
		return false;
	/*
	 * Before 5.18 locked pages could be dropped only by unlocking them, which splits the
	 * mapping.
	 */
	if (madvise(start, OS_PAGE, MADV_DONTNEED_LOCKED) != 0 && errno == EINVAL) {
		munlock(start, bytes);
		return false;
	}
	return true;
}

/*
 * The arguments of the ioctl, as the kernel's documentation lays them out
 * (Documentation/admin-guide/mm/pagemap).
 */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_request {
	uint64_t size, flags, start, end, walk_end, regions, region_count, most_pages;
	uint64_t inverted, all_of, any_of, returned;
};

#define SCAN_IOCTL     _IOWR('f', 16, struct scan_request)
#define SCAN_PRESENT   (1u << 3)
#define SCAN_ZERO_PAGE (1u << 5)

static int scan_mapped(int fd, const char *start, size_t bytes, size_t *mapped)
{
	struct scan_region regions[SCAN_REGIONS];
	struct scan_request request = {
		.size = sizeof(request),
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + bytes,
		.regions = (uintptr_t)regions,
		.region_count = SCAN_REGIONS,
		.inverted = SCAN_ZERO_PAGE,
		.all_of = SCAN_PRESENT | SCAN_ZERO_PAGE,
		.returned = SCAN_PRESENT,
	};

	*mapped = 0;
	while (request.start < request.end) {
		const int found = ioctl(fd, SCAN_IOCTL, &request);

		if (found < 0)
			return -errno;
		for (int i = 0; i < found; i++)
			*mapped += (size_t)(regions[i].end - regions[i].start);
		request.start = request.walk_end;
	}
	return 0;
}

int page_mapped_bytes(const struct source *source, size_t offset, size_t bytes, size_t *mapped)
{
	const char *start = source->head.base + offset;

	/* A child of fork would read its parent's page map. */
	if (source->pagemap_fd >= 0 && source->pagemap_owner == getpid() &&
	    scan_mapped(source->pagemap_fd, start, bytes, mapped) == 0)
		return 0;
	return page_cached_bytes(start, bytes, mapped);
}

int page_resident_bytes(const struct source *source, size_t offset, size_t bytes, size_t *resident)
{
	/*
	 * Faulted in for writing, so that no page of it can be the zero page, and mincore is ten
	 * times as fast.
	 */
	if (source->head.type == POOL_NONPAGED || source->backing == PAGE_BACKING_HUGETLB)
		return page_cached_bytes(source->head.base + offset, bytes, resident);
	return page_mapped_bytes(source, offset, bytes, resident);
}

int page_cached_bytes(const char *start, size_t bytes, size_t *cached)
{
	unsigned char present[MINCORE_PAGES];

	*cached = 0;
	while (bytes > 0) {
		const size_t here = bytes < MINCORE_PAGES * OS_PAGE ? bytes
								    : MINCORE_PAGES * OS_PAGE;

		if (mincore((void *)(uintptr_t)start, here, present) != 0)
			return -errno;
		for (size_t i = 0; i < here / OS_PAGE; i++)
			*cached += (present[i] & 1) * OS_PAGE;
		start += here;
		bytes -= here;
	}
	return 0;
}

/*
 * The machine's topology, loaded once (some ten milliseconds) and kept for the life of the process.
 * Only NUMA nodes are wanted, which hwloc always keeps.
 */
static hwloc_topology_t topology;

static void topology_load(void)
{
	if (hwloc_topology_init(&topology) != 0) {
		topology = NULL;
		return;
	}
	hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
	if (hwloc_topology_load(topology) != 0) {
		hwloc_topology_destroy(topology);
		topology = NULL;
	}
}

int page_bind_range(char *start, size_t bytes, unsigned node, char *why, size_t why_bytes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	hwloc_obj_t object;

	pthread_once(&once, topology_load);
	if (!topology)
		return page_why(-ENODEV, why, why_bytes,
				"hwloc cannot read this machine's topology");
	object = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node);
	if (!object)
		return page_why(-ENODEV, why, why_bytes,
				"no NUMA node %u: this machine has %d (see lstopo)", node,
				hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE));
	if (hwloc_set_area_membind(topology, start, bytes, object->nodeset, HWLOC_MEMBIND_BIND,
				   HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_STRICT) != 0)
		return page_why(-ENODEV, why, why_bytes, "cannot bind memory to NUMA node %u: %s",
				node, strerror(errno));
	return 0;
}
