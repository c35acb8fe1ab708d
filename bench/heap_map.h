/*
 * Pictures of the heap: what fills each cell of the pool's memory at a checkpoint. A cell is a power of two of
 * bytes, at most an OS page or the pool page, and finer where the pool is small (about HEAP_MAP_CELLS cells).
 *
 * Where from. Native backends: the ranges of `walk`. Malloc libraries: resident pages (mincore) of the anonymous
 * mappings that came with them, and the process's heap. For both, which tag's blocks lie where comes from the
 * replay's own slots, so that a picture needs nothing of a backend but what the contract asks.
 *
 * Symbols, one a cell; a number behind one says how often it is repeated:
 *     A .. G   at least half of the cell is live blocks, most of them of the n-th of `tags`; H: of any other tag
 *     a .. h   less than half of it is, but some
 *     ~        mostly cached for reuse        -   free, between blocks        =   whole free pages
 *     #        the pool's tables              +   resident, no live block in it (malloc libraries: no more is told)
 *     .        not committed (malloc libraries: not resident)
 */
#ifndef POOLBENCH_HEAP_MAP_H
#define POOLBENCH_HEAP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "results/record.h"
#include "workloads/trace.h"

struct measurement;

#define HEAP_MAP_CELLS  8192u
#define HEAP_MAP_GROUPS 7u /* tags with a letter of their own; the others share one more */
#define HEAP_MAPS_MAX   64u /* pictures a process */

/* The tags of a trace by the most that they hold at a time, the greatest first. */
struct heap_tags {
	uint16_t *order; /* [count] indices into the trace's tag table */
	uint16_t *rank; /* [count] its inverse */
	unsigned count;
};

/* 0 or -ENOMEM. Tables are mapped, not allocated. */
int heap_tags_create(const struct trace *trace, struct heap_tags *tags);
void heap_tags_destroy(struct heap_tags *tags);

/*
 * Which checkpoints get a picture: "off" or "0", "8" (so many, spread evenly), or "at:10,50,200" (numbers from 1).
 * 0, or -EINVAL with a sentence. `checkpoints` is how many there will be.
 */
struct heap_map_plan {
	unsigned at[HEAP_MAPS_MAX]; /* ascending, from 0 */
	unsigned count;
};
int heap_map_plan_parse(const char *text, unsigned checkpoints, struct heap_map_plan *plan,
			char *why, size_t why_bytes);

/* The pictures of one process; zero but for the plan at first. */
struct heap_map_list {
	struct heap_map_plan plan;
	unsigned next; /* of plan.at */
	struct heap_map_row *first, *last;
	size_t rows;
	const void *stacks
		[TRACE_MAX_PROCESSORS]; /* an address in each thread's stack: not the backend's memory */
};

/* Whether checkpoint `index` gets one. */
bool heap_map_due(const struct heap_map_list *list, size_t index);

/*
 * Draws one. All threads stand still. What it maps and keeps is added to the measurement's list of the harness's own
 * mappings. 0 or -ENOMEM.
 */
int heap_map_draw(struct heap_map_list *list, struct measurement *m, const struct heap_tags *tags,
		  const struct memory_point *point);

/* Hands the pictures over. 0 or -ENOMEM. */
int heap_map_keep(const struct heap_map_list *list, struct result *result);
void heap_map_release(struct heap_map_list *list);

#endif
