/* Pictures of the heap, as heap_map.csv has them: a list a contender, and a layout that all of its pictures share. */
#ifndef POOLBENCH_PLOTS_HEAP_SERIES_H
#define POOLBENCH_PLOTS_HEAP_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"

/* A stretch of memory at one checkpoint. */
struct heap_row {
	unsigned snapshot;
	double event, lap;
	char pool;
	uint64_t offset, cell_bytes;
	char *cells;
};

/*
 * All pictures of one series in one panel. Memory is laid out by blocks of block_bytes: those in which any picture has
 * anything, in order of pool and address, without gaps. So an address is in the same place in all of them.
 */
struct heap_series {
	struct heap_row *rows;
	size_t count, room;
	unsigned snapshots;
	char tags[64]; /* four characters each, of the letters A .. */
	uint64_t *blocks; /* ascending keys */
	size_t block_count, block_room;
	uint64_t block_bytes, cell_bytes; /* the finest cell */
};

/* Reads a panel's pictures; for heap_series_free. A run without the file has none. 0 or -errno. */
int heap_series_read(const struct model *model, size_t panel, struct heap_series **out);
void heap_series_free(const struct model *model, struct heap_series *all);

/* Bytes of the layout. */
uint64_t heap_series_bytes(const struct heap_series *series);

/* One symbol's stretch in the layout, cut at blocks. */
typedef void (*heap_run_visit)(void *arg, uint64_t at, uint64_t bytes, char symbol);
void heap_series_visit(const struct heap_series *series, unsigned snapshot, heap_run_visit visit,
		       void *arg);

#endif
