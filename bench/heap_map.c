#include "heap_map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/heap_canvas.h"
#include "bench/measure.h"
#include "results/series.h"

#define JOIN_BYTES (16u << 20) /* a library's mappings closer than this are one stretch */

/* A picture's stretch, in a mapping of its own until the end. */
struct heap_map_row {
	struct heap_map_row *next;
	size_t bytes;
	struct heap_map map;
	char tags[4 * HEAP_MAP_GROUPS + 1];
	char cells[];
};

/* ---- which checkpoints ---- */

static int plan_spread(unsigned count, unsigned checkpoints, struct heap_map_plan *plan)
{
	for (unsigned i = 0; i < count; i++)
		plan->at[plan->count++] = (unsigned)((2ull * i + 1) * checkpoints / (2ull * count));
	return 0;
}

static int plan_list(const char *text, unsigned checkpoints, struct heap_map_plan *plan, char *why,
		     size_t why_bytes)
{
	for (;;) {
		char *end;
		const unsigned long number = strtoul(text, &end, 10);

		if (end == text || (*end && *end != ',') || *text < '0' || *text > '9') {
			snprintf(why, why_bytes, "'%.40s' is no number of a checkpoint", text);
			return -EINVAL;
		}
		if (number < 1 || number > checkpoints) {
			snprintf(why, why_bytes,
				 "checkpoint %lu: there are 1 to %u (--checkpoints)", number,
				 checkpoints);
			return -EINVAL;
		}
		if (plan->count && number - 1 <= plan->at[plan->count - 1]) {
			snprintf(why, why_bytes, "checkpoint %lu: wants them ascending", number);
			return -EINVAL;
		}
		if (plan->count == HEAP_MAPS_MAX) {
			snprintf(why, why_bytes, "at most %u pictures", HEAP_MAPS_MAX);
			return -EINVAL;
		}
		plan->at[plan->count++] = (unsigned)(number - 1);
		if (!*end)
			return 0;
		text = end + 1;
	}
}

int heap_map_plan_parse(const char *text, unsigned checkpoints, struct heap_map_plan *out,
			char *why, size_t why_bytes)
{
	struct heap_map_plan plan = { .count = 0 };
	const unsigned most = checkpoints < HEAP_MAPS_MAX ? checkpoints : HEAP_MAPS_MAX;
	unsigned long count = 0;
	char *end;
	int error = 0;

	if (strncmp(text, "at:", 3) == 0) {
		error = plan_list(text + 3, checkpoints, &plan, why, why_bytes);
	} else if (strcmp(text, "off") != 0) {
		count = strtoul(text, &end, 10);
		if (end == text || *end || *text < '0' || *text > '9' || count > most) {
			snprintf(why, why_bytes,
				 "wants off, a number of pictures up to %u, or at:N,N,... "
				 "(checkpoints from 1)",
				 most);
			error = -EINVAL;
		} else {
			error = plan_spread((unsigned)count, checkpoints, &plan);
		}
	}
	if (!error)
		*out = plan;
	return error;
}

bool heap_map_due(const struct heap_map_list *list, size_t index)
{
	return list->next < list->plan.count && list->plan.at[list->next] == index;
}

/* ---- which tags ---- */

struct tag_peaks {
	uint64_t *live, *peak;
};

static int note_event(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *event)
{
	const struct tag_peaks *peaks = arg;
	uint64_t *live = &peaks->live[event->tag];

	(void)processor;
	if (phase == TRACE_EPILOGUE || event->kind > TRACE_FREE)
		return 0;
	if (event->kind == TRACE_FREE) {
		*live -= event->bytes;
		return 0;
	}
	*live += event->bytes;
	if (*live > peaks->peak[event->tag])
		peaks->peak[event->tag] = *live;
	return 0;
}

int heap_tags_create(const struct trace *trace, struct heap_tags *out)
{
	const size_t bytes = trace->tags * 2 * sizeof(uint64_t);
	struct heap_tags tags = { .count = trace->tags };
	struct tag_peaks peaks = { .live = table_map(bytes) };

	tags.order = table_map(trace->tags * 2 * sizeof(uint16_t));
	if (!tags.order || !peaks.live) {
		table_unmap(peaks.live, bytes);
		heap_tags_destroy(&tags);
		return -ENOMEM;
	}
	tags.rank = tags.order + trace->tags;
	peaks.peak = peaks.live + trace->tags;
	trace_walk(trace, note_event, &peaks);
	for (unsigned t = 0; t < tags.count; t++) {
		unsigned at = t;

		for (; at && peaks.peak[tags.order[at - 1]] < peaks.peak[t]; at--)
			tags.order[at] = tags.order[at - 1];
		tags.order[at] = (uint16_t)t;
	}
	for (unsigned i = 0; i < tags.count; i++)
		tags.rank[tags.order[i]] = (uint16_t)i;
	table_unmap(peaks.live, bytes);
	*out = tags;
	return 0;
}

void heap_tags_destroy(struct heap_tags *tags)
{
	table_unmap(tags->order, tags->count * 2 * sizeof(uint16_t));
	*tags = (struct heap_tags){ .order = NULL };
}

static void tag_letters(const struct trace *trace, const struct heap_tags *tags, char *text)
{
	const unsigned letters = tags->count < HEAP_MAP_GROUPS ? tags->count : HEAP_MAP_GROUPS;

	memset(text, ' ', 4 * (size_t)letters);
	for (unsigned i = 0; i < letters; i++) {
		const uint32_t tag = trace->tag_table[tags->order[i]].tag;
		char raw[5] = { 0 }, shown[5];

		for (int c = 0; c < 4; c++)
			raw[c] = (char)(tag >> (8 * c) & 0xFF);
		tag_printable(raw, shown);
		memcpy(text + 4 * (size_t)i, shown, strlen(shown));
	}
	text[4 * (size_t)letters] = '\0';
}

/* ---- drawing ---- */

struct bounds {
	struct mapping of[POOL_TYPES];
	size_t bytes;
};

static int note_bounds(void *arg, const struct pool_range *range)
{
	struct bounds *bounds = arg;
	struct mapping *of = &bounds->of[range->type];
	const uintptr_t start = (uintptr_t)range->start;

	if (!of->end || start < of->start)
		of->start = start;
	if (start + range->bytes > of->end)
		of->end = start + range->bytes;
	bounds->bytes += range->bytes;
	return 0;
}

static int paint_range(void *arg, const struct pool_range *range)
{
	static const enum heap_fill fills[POOL_RANGE_KINDS] = {
		[POOL_RANGE_USED] = FILL_USED,         [POOL_RANGE_CACHED] = FILL_CACHED,
		[POOL_RANGE_FREE] = FILL_FREE,         [POOL_RANGE_FREE_PAGES] = FILL_FREE_PAGES,
		[POOL_RANGE_METADATA] = FILL_METADATA,
	};

	heap_canvas_paint(arg, range->start, range->bytes, fills[range->kind]);
	return 0;
}

static int draw_walk(const struct measurement *m, struct heap_canvas *canvas)
{
	const struct pool_backend *ops = m->backend->ops;
	struct bounds bounds = { .bytes = 0 };
	struct mapping stretches[POOL_TYPES];
	char pools[POOL_TYPES];
	size_t count = 0;
	int error;

	ops->walk(m->pool, note_bounds, &bounds);
	for (int type = 0; type < POOL_TYPES; type++) {
		if (!bounds.of[type].end)
			continue;
		pools[count] = type == POOL_PAGED ? 'P' : 'N';
		stretches[count++] = (struct mapping){ (uintptr_t)m->pages[type]->base,
						       bounds.of[type].end };
	}
	if (count == 2 && stretches[1].start < stretches[0].start) {
		const struct mapping first = stretches[1];

		stretches[1] = stretches[0];
		stretches[0] = first;
		memcpy(pools, "PN", 2);
	}
	error = heap_canvas_create(stretches, pools, count,
				   heap_cell_bytes(bounds.bytes, m->pages[0]->page_size), canvas);
	if (!error)
		ops->walk(m->pool, paint_range, canvas);
	return error;
}

static void paint_resident(void *arg, uintptr_t page)
{
	heap_canvas_paint(arg, (const void *)page, POOL_OS_PAGE, FILL_RESIDENT);
}

static void count_resident(void *arg, uintptr_t page)
{
	size_t *bytes = arg;

	(void)page;
	*bytes += POOL_OS_PAGE;
}

static int draw_mappings(const struct heap_map_list *list, const struct measurement *m,
			 struct heap_canvas *canvas)
{
	static struct mappings own, joined; /* of one thread at a time, and not on its stack */
	char pools[MAPPINGS_MAX];
	size_t bytes = 0;
	int error = mappings_read(&own, true);

	if (error)
		return error;
	mappings_subtract(&own, &m->harness);
	for (unsigned p = 0; p < m->image.trace.processors; p++)
		mappings_drop(&own, list->stacks[p]);
	joined = own;
	mappings_join(&joined, JOIN_BYTES);
	memset(pools, 'M', sizeof(pools));
	for (size_t i = 0; i < own.count; i++)
		mapping_resident(&own.at[i], count_resident, &bytes);
	error = heap_canvas_create(joined.at, pools, joined.count, heap_cell_bytes(bytes, 0),
				   canvas);
	for (size_t i = 0; i < own.count && !error; i++)
		mapping_resident(&own.at[i], paint_resident, canvas);
	return error;
}

/* Which tag's blocks lie where; of a library's also how much is live at all. */
static void paint_blocks(const struct measurement *m, const struct heap_tags *tags,
			 struct heap_canvas *canvas)
{
	const struct replay *replay = &m->replay;
	const bool library = !replay->ops->walk;

	for (uint32_t slot = 0; slot < replay->trace->slots; slot++) {
		const void *block = atomic_load_explicit(&replay->slots[slot],
							 memory_order_acquire);
		const struct trace_event *event = replay->filled[slot];
		unsigned group;

		if (!block || block == REPLAY_FAILED || !event)
			continue;
		group = tags->rank[event->tag];
		if (group > HEAP_MAP_GROUPS)
			group = HEAP_MAP_GROUPS;
		heap_canvas_paint(canvas, block, event->bytes,
				  (enum heap_fill)(FILL_GROUP + group));
		if (library)
			heap_canvas_paint(canvas, block, event->bytes, FILL_USED);
	}
}

/* ---- keeping ---- */

static int keep_stretch(struct heap_map_list *list, struct measurement *m,
			const struct heap_tags *tags, const struct memory_point *point,
			const struct heap_canvas *canvas, const struct heap_stretch *stretch)
{
	const size_t text_bytes = heap_canvas_text(canvas, stretch, NULL);
	const size_t bytes = sizeof(struct heap_map_row) + text_bytes;
	struct heap_map_row *row = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (row == MAP_FAILED)
		return -ENOMEM;
	row->bytes = bytes;
	row->map = (struct heap_map){
		.event = point->event,
		.lap = point->lap,
		.snapshot = list->next,
		.pool = stretch->pool,
		.cell_bytes = canvas->cell_bytes,
	};
	row->map.offset_bytes =
		stretch->start -
		(stretch->pool == 'M'
			 ? 0
			 : (uintptr_t)m->pages[stretch->pool == 'P' ? POOL_PAGED : POOL_NONPAGED]
				   ->base);
	tag_letters(&m->image.trace, tags, row->tags);
	heap_canvas_text(canvas, stretch, row->cells);
	if (list->last)
		list->last->next = row;
	else
		list->first = row;
	list->last = row;
	list->rows++;
	mappings_add(&m->harness, row, (bytes + POOL_OS_PAGE - 1) & ~(size_t)(POOL_OS_PAGE - 1));
	return 0;
}

int heap_map_draw(struct heap_map_list *list, struct measurement *m, const struct heap_tags *tags,
		  const struct memory_point *point)
{
	const struct pool_backend *ops = m->backend->ops;
	struct heap_canvas canvas = { .block = NULL };
	int error = 0;

	if (ops->walk || !(ops->caps & POOL_CAP_NATIVE)) {
		error = ops->walk ? draw_walk(m, &canvas) : draw_mappings(list, m, &canvas);
		if (!error)
			paint_blocks(m, tags, &canvas);
		for (size_t i = 0; i < canvas.stretches && !error; i++)
			if (!heap_stretch_is_bare(&canvas.stretch[i]))
				error = keep_stretch(list, m, tags, point, &canvas,
						     &canvas.stretch[i]);
		heap_canvas_destroy(&canvas);
	}
	list->next++;
	return error;
}

int heap_map_keep(const struct heap_map_list *list, struct result *result)
{
	result->heap_map = calloc(list->rows + 1, sizeof(*result->heap_map));
	if (!result->heap_map)
		return -ENOMEM;
	for (const struct heap_map_row *row = list->first; row; row = row->next) {
		struct heap_map *map = &result->heap_map[result->heap_maps++];

		*map = row->map;
		map->tags = strdup(row->tags);
		map->cells = strdup(row->cells);
		if (!map->tags || !map->cells)
			return -ENOMEM;
	}
	return 0;
}

void heap_map_release(struct heap_map_list *list)
{
	while (list->first) {
		struct heap_map_row *row = list->first;

		list->first = row->next;
		munmap(row, row->bytes);
	}
	*list = (struct heap_map_list){ .rows = 0 };
}
