/*
 * The libraries' own accounts.
 *
 * glibc, mallinfo2(3): uordblks is what blocks take, headers, thread caches and fast bins in; arena and hblkhd are
 * what lies in heaps and in mappings of single blocks.
 * jemalloc, mallctl(3): stats.allocated, stats.active (pages with live blocks), stats.resident (with caches and
 * metadata), as of the epoch that is advanced first.
 * tcmalloc (gperftools), malloc_extension_c.h: generic.current_allocated_bytes, which leaves out thread caches and is
 * a difference of counts that are not taken at one instant, so that it may fall below 0; generic.heap_size less what was
 * given back.
 * mimalloc, mi_process_info: the bytes that it has committed. It counts live blocks in debug builds alone.
 * tbbmalloc has no statistics.
 */
#include "malloc_statistics.h"

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>

static void glibc_read(void *symbol, struct malloc_claim *claim)
{
	const struct mallinfo2 info = ((struct mallinfo2(*)(void))symbol)();

	claim->allocated_bytes = info.uordblks + info.hblkhd;
	claim->mapped_bytes = info.arena + info.hblkhd;
}

typedef int control_function(const char *name, void *old, size_t *old_bytes, void *new,
			     size_t new_bytes);

static uint64_t jemalloc_value(control_function *control, const char *name)
{
	size_t value, bytes = sizeof(value);

	return control(name, &value, &bytes, NULL, 0) == 0 ? value : MALLOC_CLAIM_UNKNOWN;
}

static void jemalloc_read(void *symbol, struct malloc_claim *claim)
{
	control_function *control = (control_function *)symbol;
	uint64_t epoch = 1;

	control("epoch", NULL, NULL, &epoch, sizeof(epoch));
	claim->allocated_bytes = jemalloc_value(control, "stats.allocated");
	claim->mapped_bytes = jemalloc_value(control, "stats.active");
	claim->resident_bytes = jemalloc_value(control, "stats.resident");
}

static void tcmalloc_read(void *symbol, struct malloc_claim *claim)
{
	int (*property)(const char *, size_t *) = (int (*)(const char *, size_t *))symbol;
	size_t value, unmapped;

	if (property("generic.current_allocated_bytes", &value))
		claim->allocated_bytes = value > SIZE_MAX / 2 ? 0 : value;
	if (property("generic.heap_size", &value) &&
	    property("tcmalloc.pageheap_unmapped_bytes", &unmapped))
		claim->mapped_bytes = value - unmapped;
}

static void mimalloc_read(void *symbol, struct malloc_claim *claim)
{
	void (*info)(size_t *, size_t *, size_t *, size_t *, size_t *, size_t *, size_t *,
		     size_t *) = (void (*)(size_t *, size_t *, size_t *, size_t *, size_t *,
					   size_t *, size_t *, size_t *))symbol;
	size_t commit = 0;

	info(NULL, NULL, NULL, NULL, NULL, &commit, NULL, NULL);
	claim->mapped_bytes = commit;
}

const struct malloc_statistics malloc_statistics[] = {
	{ "mi_process_info", mimalloc_read },
	{ "mallctl", jemalloc_read },
	{ "je_mallctl", jemalloc_read },
	{ "MallocExtension_GetNumericProperty", tcmalloc_read },
	{ "mallinfo2", glibc_read },
	{ NULL, NULL },
};
