/* What an arena holds, and whether its structures agree. */
#include "vmem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- walk ---- */

int vmem_walk(const struct vmem *arena, int (*visit)(void *arg, const struct vmem_segment *segment),
	      void *arg)
{
	const struct vmem_segment *segment;
	int stopped = 0;

	for (segment = arena->anchor.next; segment != &arena->anchor && !stopped;
	     segment = segment->next)
		if (segment->kind != VMEM_SPAN)
			stopped = visit(arg, segment);
	return stopped;
}

static int range_visit(const struct vmem *arena, uintptr_t start, size_t bytes,
		       enum pool_range_kind kind, pool_visit visit, void *arg)
{
	const struct pool_range range = {
		.start = (const void *)start,
		.bytes = bytes,
		.kind = kind,
		.type = arena->config.source->type,
	};

	return bytes ? visit(arg, &range) : 0;
}

int vmem_walk_free(const struct vmem *arena, const struct vmem_segment *segment, pool_visit visit,
		   void *arg)
{
	const size_t mask = arena->config.source->page_size - 1;
	const uintptr_t start = segment->start, end = start + segment->bytes;
	const uintptr_t low = (start + mask) & ~mask, high = end & ~mask;
	int stopped;

	if (low >= high)
		return range_visit(arena, start, end - start, POOL_RANGE_FREE, visit, arg);
	stopped = range_visit(arena, start, low - start, POOL_RANGE_FREE, visit, arg);
	if (!stopped)
		stopped = range_visit(arena, low, high - low, POOL_RANGE_FREE_PAGES, visit, arg);
	if (!stopped)
		stopped = range_visit(arena, high, end - high, POOL_RANGE_FREE, visit, arg);
	return stopped;
}

int vmem_walk_table(const struct vmem *arena, pool_visit visit, void *arg)
{
	const struct pool_range range = {
		.start = arena->buckets,
		.bytes = arena->bucket_bytes,
		.kind = POOL_RANGE_METADATA,
		.type = arena->config.metadata->type,
	};

	return visit(arg, &range);
}

/* ---- check ---- */

struct audit {
	const struct vmem *arena;
	char *why;
	size_t why_bytes;
	size_t owned_bytes, idle_bytes, used_segments, used_bytes, free_segments;
};

static int __attribute__((format(printf, 2, 3)))
audit_fail(const struct audit *audit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (audit->why)
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

/* One segment beside its neighbours; `span` is the one that it lies in. */
static int segment_check(struct audit *audit, const struct vmem_segment *segment,
			 const struct vmem_segment *span)
{
	const struct vmem_segment *previous = segment->previous;
	const bool first = previous->kind == VMEM_SPAN;
	const uintptr_t expected = first ? previous->start : previous->start + previous->bytes;
	const size_t quantum = audit->arena->config.quantum;

	if (!segment->bytes || ((segment->start | segment->bytes) & (quantum - 1)))
		return audit_fail(audit, "segment %#zx of %#zx bytes: no multiple of the quantum",
				  (size_t)segment->start, segment->bytes);
	if (segment->start != expected || segment->start - span->start >= span->bytes ||
	    segment->bytes > span->bytes - (segment->start - span->start))
		return audit_fail(audit, "segment %#zx of %#zx bytes does not follow %#zx",
				  (size_t)segment->start, segment->bytes, (size_t)expected);
	if (segment->next->kind == VMEM_SPAN &&
	    segment->start + segment->bytes != span->start + span->bytes)
		return audit_fail(audit, "span %#zx is not tiled to its end", (size_t)span->start);
	if (segment->kind == VMEM_FREE && previous->kind == VMEM_FREE)
		return audit_fail(audit, "segment %#zx: two free neighbours",
				  (size_t)segment->start);
	if (segment->kind == VMEM_USED && vmem_hash_find(audit->arena, segment->start) != segment)
		return audit_fail(audit, "segment %#zx: allocated, but not hashed",
				  (size_t)segment->start);
	return 0;
}

static int ring_check(struct audit *audit)
{
	const struct vmem *arena = audit->arena;
	const struct vmem_segment *span = &arena->anchor, *segment;
	int error = 0;

	for (segment = span->next; segment != &arena->anchor && !error; segment = segment->next) {
		if (segment->next->previous != segment)
			return audit_fail(audit, "segment %#zx: the ring's links are broken",
					  (size_t)segment->start);
		if (segment->kind == VMEM_SPAN) {
			span = segment;
			audit->owned_bytes += span->bytes;
			continue;
		}
		error = segment_check(audit, segment, span);
		if (segment->kind == VMEM_USED) {
			audit->used_segments++;
			audit->used_bytes += segment->bytes;
		} else {
			audit->free_segments++;
			audit->idle_bytes += vmem_is_idle(segment) ? segment->bytes : 0;
		}
	}
	return error;
}

static int lists_check(struct audit *audit)
{
	size_t listed = 0;

	for (unsigned list = 0; list < VMEM_LISTS; list++) {
		const struct vmem_segment *segment = audit->arena->lists[list];

		if ((segment != NULL) != (audit->arena->occupied >> list & 1))
			return audit_fail(audit, "list %u and its bit disagree", list);
		for (; segment; segment = segment->list_next, listed++)
			if (segment->kind != VMEM_FREE || vmem_list_of(segment->bytes) != list)
				return audit_fail(audit, "segment %#zx of %#zx bytes is on list %u",
						  (size_t)segment->start, segment->bytes, list);
	}
	if (listed != audit->free_segments)
		return audit_fail(audit, "%zu free segments, %zu on the lists",
				  audit->free_segments, listed);
	return 0;
}

int vmem_check(struct vmem *arena, char *why, size_t why_bytes)
{
	struct audit audit = { .arena = arena, .why = why, .why_bytes = why_bytes };
	int error = ring_check(&audit);

	if (!error)
		error = lists_check(&audit);
	if (error)
		return error;
	if (audit.owned_bytes != arena->owned_bytes || audit.idle_bytes != arena->idle_bytes)
		return audit_fail(&audit, "%zu bytes owned, %zu idle; counted %zu and %zu",
				  audit.owned_bytes, audit.idle_bytes, arena->owned_bytes,
				  arena->idle_bytes);
	if (audit.used_segments != arena->used_segments || audit.used_bytes != arena->used_bytes)
		return audit_fail(&audit, "%zu segments of %zu bytes in use; counted %zu and %zu",
				  audit.used_segments, audit.used_bytes, arena->used_segments,
				  arena->used_bytes);
	return 0;
}
