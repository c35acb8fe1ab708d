#include "heap_canvas.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/pool.h"

#define CHUNK_CELLS    256u
#define CELL_BYTES_MIN 64u

struct heap_chunk {
	uint16_t bytes[CHUNK_CELLS][FILLS]; /* a cell is an OS page at most */
};

size_t heap_cell_bytes(size_t pool_bytes, size_t page_size)
{
	const size_t most = page_size && page_size < POOL_OS_PAGE ? page_size : POOL_OS_PAGE;
	size_t cell = CELL_BYTES_MIN;

	while (cell < most && pool_bytes / cell > HEAP_MAP_CELLS)
		cell *= 2;
	return cell;
}

static size_t chunks_of(size_t cells)
{
	return (cells + CHUNK_CELLS - 1) / CHUNK_CELLS;
}

/* A stretch that begins with a whole cell. */
static struct heap_stretch stretch_over(const struct mapping *mapping, char pool, size_t cell_bytes)
{
	const uintptr_t start = mapping->start & ~(uintptr_t)(cell_bytes - 1);

	return (struct heap_stretch){ .start = start,
				      .cells = (mapping->end - start + cell_bytes - 1) / cell_bytes,
				      .pool = pool };
}

int heap_canvas_create(const struct mapping *stretches, const char *pools, size_t count,
		       size_t cell_bytes, struct heap_canvas *out)
{
	struct heap_canvas canvas = { .cell_bytes = cell_bytes, .stretches = count };
	size_t head = sizeof(*canvas.stretch) * (count + 1);
	struct heap_chunk **chunks;

	for (size_t i = 0; i < count; i++)
		canvas.chunk_limit += chunks_of(stretch_over(&stretches[i], 0, cell_bytes).cells);
	head += sizeof(*chunks) * (canvas.chunk_limit + 1);
	head = (head + POOL_OS_PAGE - 1) & ~(size_t)(POOL_OS_PAGE - 1);
	canvas.bytes = head + sizeof(struct heap_chunk) * (canvas.chunk_limit + 1);
	canvas.block = mmap(NULL, canvas.bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (canvas.block == MAP_FAILED)
		return -ENOMEM;
	canvas.stretch = canvas.block;
	chunks = (struct heap_chunk **)(void *)(canvas.stretch + count + 1);
	canvas.chunk = (struct heap_chunk *)(void *)((char *)canvas.block + head);
	for (size_t i = 0; i < count; i++) {
		canvas.stretch[i] = stretch_over(&stretches[i], pools[i], cell_bytes);
		canvas.stretch[i].chunks = chunks;
		chunks += chunks_of(canvas.stretch[i].cells);
	}
	*out = canvas;
	return 0;
}

void heap_canvas_destroy(struct heap_canvas *canvas)
{
	if (canvas->block)
		munmap(canvas->block, canvas->bytes);
	canvas->block = NULL;
}

static struct heap_stretch *stretch_of(const struct heap_canvas *canvas, uintptr_t address)
{
	size_t low = 0, high = canvas->stretches;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (canvas->stretch[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &canvas->stretch[low - 1] : NULL;
}

static struct heap_chunk *chunk_at(struct heap_canvas *canvas, struct heap_stretch *stretch,
				   size_t cell)
{
	struct heap_chunk **chunk = &stretch->chunks[cell / CHUNK_CELLS];

	if (!*chunk)
		*chunk = &canvas->chunk[canvas->chunks_used++];
	return *chunk;
}

void heap_canvas_paint(struct heap_canvas *canvas, const void *start, size_t bytes,
		       enum heap_fill fill)
{
	uintptr_t at = (uintptr_t)start;
	const uintptr_t end = at + bytes;
	struct heap_stretch *stretch = stretch_of(canvas, at);

	while (stretch && at < end) {
		const size_t cell = (at - stretch->start) / canvas->cell_bytes;
		uintptr_t next = stretch->start + (cell + 1) * canvas->cell_bytes;

		if (cell >= stretch->cells)
			return;
		if (next > end)
			next = end;
		chunk_at(canvas, stretch, cell)->bytes[cell % CHUNK_CELLS][fill] +=
			(uint16_t)(next - at);
		at = next;
	}
}

/* The header of heap_map.h in one function. */
static char symbol_of(const uint16_t *bytes, size_t cell_bytes, bool library)
{
	static const char others[] = { '~', '-', '=', '#' }; /* from FILL_CACHED on */
	unsigned most = 0, group = HEAP_MAP_GROUPS;
	char symbol = '.';
	size_t told = bytes[FILL_USED];

	if (library && !bytes[FILL_RESIDENT])
		return '.';
	if (bytes[FILL_USED]) {
		for (unsigned g = 0; g <= HEAP_MAP_GROUPS; g++) {
			if (bytes[FILL_GROUP + g] > most) {
				most = bytes[FILL_GROUP + g];
				group = g;
			}
		}
		return (char)((2 * (size_t)bytes[FILL_USED] >= cell_bytes ? 'A' : 'a') + group);
	}
	if (library)
		return '+';
	for (unsigned i = 0; i < sizeof(others); i++) {
		told += bytes[FILL_CACHED + i];
		if (bytes[FILL_CACHED + i] > most) {
			most = bytes[FILL_CACHED + i];
			symbol = others[i];
		}
	}
	return most >= cell_bytes - told ? symbol : '.';
}

static char symbol_at(const struct heap_canvas *canvas, const struct heap_stretch *stretch,
		      size_t cell)
{
	const struct heap_chunk *chunk = stretch->chunks[cell / CHUNK_CELLS];

	return chunk ? symbol_of(chunk->bytes[cell % CHUNK_CELLS], canvas->cell_bytes,
				 stretch->pool == 'M')
		     : '.';
}

bool heap_stretch_is_bare(const struct heap_stretch *stretch)
{
	for (size_t i = 0; i < chunks_of(stretch->cells); i++)
		if (stretch->chunks[i])
			return false;
	return true;
}

size_t heap_canvas_text(const struct heap_canvas *canvas, const struct heap_stretch *stretch,
			char *text)
{
	size_t used = 0;

	for (size_t cell = 0; cell < stretch->cells;) {
		const char symbol = symbol_at(canvas, stretch, cell);
		size_t end = cell + 1;
		char run[24];
		int length;

		while (end < stretch->cells && symbol_at(canvas, stretch, end) == symbol)
			end++;
		length = end - cell > 1 ? snprintf(run, sizeof(run), "%c%zu", symbol, end - cell)
					: snprintf(run, sizeof(run), "%c", symbol);
		if (text)
			memcpy(text + used, run, (size_t)length);
		used += (size_t)length;
		cell = end;
	}
	if (text)
		text[used] = '\0';
	return used + 1;
}
