/*
 * Medium: anonymous 4 KiB pages.
 *
 * Nonpaged memory is faulted in by the commit, and stays because the range is locked (or, where
 * that is forbidden, because nothing presses). Paged memory costs no system call to commit: the
 * first touch brings a zero page. Both give pages back by dropping them, which also makes them zero
 * for the next owner.
 */
#include "pages_internal.h"

#include <errno.h>
#include <sys/mman.h>

static int base_attach(struct source *source, const struct page_source_config *config, char *why,
		       size_t why_bytes)
{
	const int error = page_map_anonymous(source, 0, why, why_bytes);

	(void)config;
	if (error)
		return error;
	/* Fails only where the kernel knows no huge pages, which is what is asked for. */
	madvise(source->head.base, source->head.range_bytes, MADV_NOHUGEPAGE);
	return 0;
}

static void base_detach(struct source *source)
{
	(void)source;
}

static int base_commit(struct source *source, size_t offset, size_t bytes)
{
	if (source->head.type == POOL_PAGED)
		return 0;
	if (page_populate(source->head.base + offset, bytes) != 0) {
		page_drop(source, offset, bytes);
		return -ENOMEM;
	}
	return 0;
}

static void base_decommit(struct source *source, size_t offset, size_t bytes)
{
	page_drop(source, offset, bytes);
}

const struct page_medium page_medium_base = {
	.attach = base_attach,
	.detach = base_detach,
	.commit = base_commit,
	.decommit = base_decommit,
	.resident = page_resident_bytes,
};
