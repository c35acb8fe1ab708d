/*
 * The canvas under a picture of the heap: how many bytes of each cell are what. Cells that nothing is painted in
 * cost nothing, however far apart the painted ones lie. Its memory is mapped apart from every heap.
 */
#ifndef POOLBENCH_HEAP_CANVAS_H
#define POOLBENCH_HEAP_CANVAS_H

#include <stddef.h>
#include <stdint.h>

#include "bench/heap_map.h"
#include "bench/mappings.h"

enum heap_fill {
	FILL_GROUP, /* live blocks of a tag group: this and the next HEAP_MAP_GROUPS */
	FILL_USED = FILL_GROUP + HEAP_MAP_GROUPS +
		    1, /* live blocks with their headers and rounding */
	FILL_CACHED,
	FILL_FREE,
	FILL_FREE_PAGES,
	FILL_METADATA,
	FILL_RESIDENT, /* of a malloc library */
	FILLS
};

struct heap_stretch {
	uintptr_t start;
	size_t cells;
	char pool; /* as in struct heap_map */
	struct heap_chunk **chunks; /* NULL where nothing was painted */
};

struct heap_canvas {
	size_t cell_bytes;
	struct heap_stretch *stretch; /* ascending */
	size_t stretches, chunk_limit, chunks_used;
	struct heap_chunk *chunk;
	void *block;
	size_t bytes;
};

/* The cell for a pool of so many bytes: a power of two from 64 to `page_size`, at most an OS page. */
size_t heap_cell_bytes(size_t pool_bytes, size_t page_size);

/* Stretches in ascending order, each with its pool's letter. 0 or -ENOMEM. */
int heap_canvas_create(const struct mapping *stretches, const char *pools, size_t count,
		       size_t cell_bytes, struct heap_canvas *canvas);
void heap_canvas_destroy(struct heap_canvas *canvas);

/* What lies outside every stretch is left out. */
void heap_canvas_paint(struct heap_canvas *canvas, const void *start, size_t bytes,
		       enum heap_fill fill);

/* Whether nothing was painted in it. */
bool heap_stretch_is_bare(const struct heap_stretch *stretch);

/* The symbols of a stretch into `text` (NULL: only counts); bytes needed, the NUL included. */
size_t heap_canvas_text(const struct heap_canvas *canvas, const struct heap_stretch *stretch,
			char *text);

#endif
