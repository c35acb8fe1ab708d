/*
 * The data of a tuning's figures, from its tune.json: heat maps of page size and backing, and speed against memory.
 *
 * A row of a map is a number of threads, a set of options and a backing; a column is a page size.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"

#define MIB       1048576.0
#define ROWS_MAX  64
#define PAGES_MAX 16

/* The largest over the smallest, from which on colours follow the logarithm. */
#define LOGARITHMIC 8
/* Of the largest: what differs by less is the same to anybody. */
#define SAME 0.005

/* What a map shows: a metric, or (NULL) the speed over the baseline. */
static const struct map {
	const char *name, *metric, *format;
	double scale;
	int more_is_better;
} maps[] = {
	{ "% faster than the baseline", NULL, "%+.1f", 1, 1 },
	{ "peak resident, MiB", "resident_bytes_peak", "%.2f", MIB, 0 },
	{ "p99 of an alloc, ns", "alloc_ns_p99", "%.0f", 1, 0 },
	{ "dTLB misses an operation", "dtlb_misses_per_op", "%.3f", 1, 0 },
	{ "page faults, timed region", "page_faults", "%.0f", 1, 0 },
	{ "major faults, timed region", "major_faults", "%.0f", 1, 0 },
	{ "commits, timed region", "commits", "%.0f", 1, 0 },
	{ "waste inside blocks, %", "internal_fragmentation", "%.1f", 0.01, 0 },
	{ "waste outside blocks, %", "external_fragmentation", "%.1f", 0.01, 0 },
};
#define MAPS (sizeof(maps) / sizeof(maps[0]))

struct row {
	size_t condition; /* index in tune.json */
	const char *backend, *backing;
};

struct grid {
	const json_t *tune;
	size_t page[PAGES_MAX];
	size_t pages;
	struct row row[ROWS_MAX];
	size_t rows;
	int specs_vary, threads_vary;
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

static const json_t *tune_of(const struct drawing *drawing)
{
	return model_tune(drawing->model);
}

/* ---- the grid ---- */

static void page_add(struct grid *grid, size_t page)
{
	size_t at = 0;

	while (at < grid->pages && grid->page[at] < page)
		at++;
	if ((at < grid->pages && grid->page[at] == page) || grid->pages == PAGES_MAX)
		return;
	memmove(&grid->page[at + 1], &grid->page[at], (grid->pages - at) * sizeof(grid->page[0]));
	grid->page[at] = page;
	grid->pages++;
}

static void row_add(struct grid *grid, size_t condition, const json_t *setting)
{
	const struct row row = { condition, text_of(setting, "backend"),
				 text_of(setting, "backing") };

	for (size_t i = 0; i < grid->rows; i++) {
		if (grid->row[i].condition == condition &&
		    strcmp(grid->row[i].backend, row.backend) == 0 &&
		    strcmp(grid->row[i].backing, row.backing) == 0)
			return;
	}
	if (grid->rows < ROWS_MAX)
		grid->row[grid->rows++] = row;
}

/* The conditions of this panel's workload, all their settings. */
static void grid_find(const struct drawing *drawing, struct grid *grid)
{
	const json_t *conditions, *settings, *condition, *setting;
	size_t c, s, found = 0;

	*grid = (struct grid){ .tune = tune_of(drawing) };
	conditions = json_object_get(grid->tune, "conditions");
	settings = json_object_get(grid->tune, "settings");
	for (c = 0; (condition = json_array_get(conditions, c)); c++) {
		if (strcmp(text_of(condition, "workload"),
			   drawing->model->panel[drawing->panel].workload) != 0)
			continue;
		grid->threads_vary |= found++ > 0;
		for (s = 0; (setting = json_array_get(settings, s)); s++) {
			page_add(grid, (size_t)number_of(setting, "page_size"));
			row_add(grid, c, setting);
			grid->specs_vary |= strcmp(text_of(setting, "backend"),
						   grid->row[0].backend) != 0;
		}
	}
}

static const json_t *grid_setting(const struct grid *grid, size_t row, size_t page, size_t *index)
{
	const json_t *settings = json_object_get(grid->tune, "settings"), *setting;

	for (size_t s = 0; (setting = json_array_get(settings, s)); s++) {
		*index = s;
		if ((size_t)number_of(setting, "page_size") == grid->page[page] &&
		    strcmp(text_of(setting, "backend"), grid->row[row].backend) == 0 &&
		    strcmp(text_of(setting, "backing"), grid->row[row].backing) == 0)
			return setting;
	}
	return NULL;
}

static double speed_percent(const json_t *ratio, const char *key)
{
	return 100 * (1 / number_of(ratio, key) - 1);
}

static const json_t *condition_of(const json_t *setting, size_t condition)
{
	return json_array_get(json_object_get(setting, "conditions"), condition);
}

static const json_t *speed_of(const json_t *setting, size_t condition)
{
	return json_object_get(json_object_get(condition_of(setting, condition), "over_baseline"),
			       "speed");
}

static double map_value(const struct map *map, const json_t *setting, size_t condition)
{
	if (!map->metric)
		return speed_percent(speed_of(setting, condition), "ratio");
	return number_of(json_object_get(condition_of(setting, condition), "metrics"),
			 map->metric) /
	       map->scale;
}

/* ---- heat maps ---- */

static int status_index(const json_t *setting)
{
	for (int i = 0; cell_status_names[i]; i++) {
		if (strcmp(text_of(setting, "status"), cell_status_names[i]) == 0)
			return i;
	}
	return CELL_OK;
}

/* 0 for the best of the map, 1 for the worst. */
static double shade_of(const struct map *map, double value, const double *range)
{
	double at;

	if (range[0] >= 0 && map->metric && range[1] > LOGARITHMIC * (range[0] + 1))
		at = log((value + 1) / (range[0] + 1)) / log((range[1] + 1) / (range[0] + 1));
	else
		at = (value - range[0]) / (range[1] - range[0]);
	return map->more_is_better ? 1 - at : at;
}

/* column, row, value (-1e9: none), shade, status, 1 answer or 2 baseline */
static void map_write(struct drawing *drawing, const struct grid *grid, const struct map *map,
		      const double *range)
{
	const json_t *answer = json_object_get(grid->tune, "answer");
	const double chosen = json_is_object(answer) ? number_of(answer, "setting") : -1;
	const double baseline = number_of(grid->tune, "baseline");

	for (size_t r = 0; r < grid->rows; r++) {
		for (size_t p = 0; p < grid->pages; p++) {
			size_t index;
			const json_t *setting = grid_setting(grid, r, p, &index);
			const double value =
				setting ? map_value(map, setting, grid->row[r].condition) : NAN;
			const int known = isfinite(value);

			fprintf(drawing->data, "%zu %zu %.9g %.4f %d %d\n", p + 1, r + 1,
				known ? value : -1e9, known ? shade_of(map, value, range) : -1.0,
				setting ? status_index(setting) : CELL_SKIPPED,
				(double)index == chosen     ? 1
				: (double)index == baseline ? 2
							    : 0);
		}
	}
	fputs("\n\n", drawing->data);
}

static int map_range(const struct grid *grid, const struct map *map, double *range)
{
	int known = 0;

	range[0] = INFINITY;
	range[1] = -INFINITY;
	for (size_t r = 0; r < grid->rows; r++) {
		for (size_t p = 0; p < grid->pages; p++) {
			size_t index;
			const json_t *setting = grid_setting(grid, r, p, &index);
			const double value =
				setting ? map_value(map, setting, grid->row[r].condition) : NAN;

			if (!isfinite(value))
				continue;
			known++;
			range[0] = fmin(range[0], value);
			range[1] = fmax(range[1], value);
		}
	}
	return known;
}

/* Differences of a few per cent must not take the whole scale of colours: noise would look like a landscape. */
static void widen(const struct map *map, double *range)
{
	const double least = map->metric ? 0.1 * fabs(range[1]) : 5;

	if (range[1] - range[0] >= least)
		return;
	if (map->more_is_better)
		range[0] = range[1] - least;
	else
		range[1] = range[0] + least;
}

static void page_text(size_t page, char *text, size_t bytes)
{
	if (page >= (size_t)1 << 20)
		snprintf(text, bytes, "%zuM", page >> 20);
	else
		snprintf(text, bytes, "%zuK", page >> 10);
}

static void write_grid(struct drawing *drawing, const struct grid *grid)
{
	const json_t *conditions = json_object_get(grid->tune, "conditions");
	char text[200];
	size_t longest = 8;

	fprintf(drawing->variables, "rows = %zu\npages = %zu\n", grid->rows, grid->pages);
	drawing_array_begin(drawing, "page_name", grid->pages);
	for (size_t p = 0; p < grid->pages; p++) {
		page_text(grid->page[p], text, sizeof(text));
		drawing_array_text(drawing, "page_name", p + 1, text);
	}
	drawing_array_begin(drawing, "row_name", grid->rows);
	for (size_t r = 0; r < grid->rows; r++) {
		const struct row *row = &grid->row[r];
		const char *options = strchr(row->backend, ':');
		const double threads = number_of(json_array_get(conditions, row->condition),
						 "threads");
		size_t used = (size_t)snprintf(text, sizeof(text), "%s", row->backing);

		if (grid->specs_vary && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, ", %.60s",
						 options ? options + 1 : "defaults");
		if (grid->threads_vary && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, ", %.0f thr.",
						 threads);
		longest = used > longest ? used : longest;
		drawing_array_text(drawing, "row_name", r + 1, text);
	}
	fprintf(drawing->variables, "name_width = %zu\n", 16 + longest * 7);
}

static void write_statuses(struct drawing *drawing)
{
	drawing_array_begin(drawing, "status_name", CELL_STATUSES);
	for (size_t i = 0; i < CELL_STATUSES; i++)
		drawing_array_text(drawing, "status_name", i + 1,
				   i == CELL_OK ? "–" : cell_status_names[i]);
}

/* What is the same for every setting is a sentence, not a map. */
static void note_constant(char *note, size_t bytes, const struct map *map, int known,
			  const double *range)
{
	const size_t used = strlen(note);
	char value[32];

	snprintf(value, sizeof(value), range[0] == floor(range[0]) ? "%.0f" : "%.2f", range[0]);
	snprintf(note + used, bytes - used, "%s%s: %s", used ? ";  " : "", map->name,
		 known ? value : "not counted on this machine");
}

int prepare_pages(struct drawing *drawing)
{
	struct grid grid;
	char note[400] = "";
	double range[2];
	size_t drawn = 0, columns;

	if (!tune_of(drawing))
		return 1;
	grid_find(drawing, &grid);
	if (!grid.rows)
		return 1;
	write_grid(drawing, &grid);
	write_statuses(drawing);
	drawing_array_begin(drawing, "map_name", MAPS);
	drawing_array_begin(drawing, "map_format", MAPS);
	for (size_t m = 0; m < MAPS; m++) {
		const int known = map_range(&grid, &maps[m], range);

		if (!known || !(range[1] - range[0] > SAME * fabs(range[1]))) {
			note_constant(note, sizeof(note), &maps[m], known, range);
			continue;
		}
		widen(&maps[m], range);
		map_write(drawing, &grid, &maps[m], range);
		drawing_array_text(drawing, "map_name", ++drawn, maps[m].name);
		drawing_array_text(drawing, "map_format", drawn, maps[m].format);
	}
	columns = grid.pages <= 6 && drawn > 1 ? 2 : 1;
	fprintf(drawing->variables, "maps = %zu\ncolumns = %zu\n", drawn, columns);
	drawing_text(drawing, "workload", drawing->model->panel[drawing->panel].name);
	drawing_text(drawing, "constant", note);
	drawing->height = (unsigned)(118 + (drawn + columns - 1) / columns * (74 + 30 * grid.rows));
	return drawn ? 0 : 1;
}

/* ---- speed against memory ---- */

struct front_point {
	double mib, speed, low, high;
	size_t backing, mark;
	char name[120];
	int front;
};

static size_t backing_index(const char *backing)
{
	return strcmp(backing, "base") == 0 ? 1 : strcmp(backing, "thp") == 0 ? 2 : 3;
}

/* Points of the first condition with the most rows' worth of numbers: the panel's most threads. */
static size_t front_points(const struct grid *grid, struct front_point *points)
{
	const double chosen = number_of(json_object_get(grid->tune, "answer"), "setting");
	const double baseline = number_of(grid->tune, "baseline");
	const size_t condition = grid->row[grid->rows - 1].condition;
	size_t count = 0;

	for (size_t r = 0; r < grid->rows; r++) {
		for (size_t p = 0; p < grid->pages; p++) {
			size_t index;
			const json_t *setting = grid_setting(grid, r, p, &index);
			const json_t *speed = setting ? speed_of(setting, condition) : NULL;
			struct front_point *point = &points[count];
			const char *options = strchr(grid->row[r].backend, ':');
			char page[16];

			if (!speed || grid->row[r].condition != condition)
				continue;
			page_text(grid->page[p], page, sizeof(page));
			point->mib = map_value(&maps[1], setting, condition);
			point->speed = speed_percent(speed, "ratio");
			point->low = speed_percent(speed, "high");
			point->high = speed_percent(speed, "low");
			point->backing = backing_index(grid->row[r].backing);
			point->mark = (double)index == chosen     ? 1
				      : (double)index == baseline ? 2
								  : 0;
			snprintf(point->name, sizeof(point->name), "%s%s%.60s", page,
				 grid->specs_vary ? " " : "",
				 grid->specs_vary && options ? options + 1 : "");
			count += isfinite(point->mib) && isfinite(point->speed);
		}
	}
	return count;
}

/* Nobody is both leaner and faster, or as good in one and better in the other. */
static void front_find(struct front_point *points, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		points[i].front = 1;
		for (size_t j = 0; j < count; j++) {
			if (points[j].mib <= points[i].mib && points[j].speed >= points[i].speed &&
			    (points[j].mib < points[i].mib || points[j].speed > points[i].speed))
				points[i].front = 0;
		}
	}
}

/* The axes show the front, the baseline and what is near; what is far behind is counted. Points are by memory. */
static void write_span(struct drawing *drawing, const struct front_point *points, size_t count)
{
	double low = 0, high = 0, most = 0, floor_at;
	size_t below = 0;

	for (size_t i = 0; i < count; i++) {
		low = points[i].front || points[i].mark ? fmin(low, points[i].speed) : low;
		high = fmax(high, points[i].speed);
	}
	floor_at = low - fmax(5, high - low);
	for (size_t i = 0; i < count; i++) {
		below += points[i].speed < floor_at;
		if (points[i].speed >= floor_at)
			most = fmax(most, points[i].mib);
	}
	fprintf(drawing->variables,
		"floor_at = %.9g\nceiling = %.9g\nbelow = %zu\nleast = %.9g\nmost = %.9g\n",
		floor_at, high + fmax(2, 0.3 * (high - low)), below, count ? points[0].mib : 0,
		most);
}

static int compare_points(const void *left, const void *right)
{
	const struct front_point *a = left, *b = right;

	return (a->mib > b->mib) - (a->mib < b->mib);
}

int prepare_front(struct drawing *drawing)
{
	struct grid grid;
	struct front_point *points;
	size_t count, fronts = 0;

	if (!tune_of(drawing))
		return 1;
	grid_find(drawing, &grid);
	points = calloc(ROWS_MAX * PAGES_MAX, sizeof(*points));
	if (!points)
		return -ENOMEM;
	count = grid.rows ? front_points(&grid, points) : 0;
	front_find(points, count);
	qsort(points, count, sizeof(*points), compare_points);
	/* MiB, % faster, low, high, backing, 1 answer or 2 baseline, 1 on the front */
	drawing_array_begin(drawing, "point_name", count);
	for (size_t i = 0; i < count; i++) {
		fprintf(drawing->data, "%.9g %.9g %.9g %.9g %zu %zu %d\n", points[i].mib,
			points[i].speed, points[i].low, points[i].high, points[i].backing,
			points[i].mark, points[i].front);
		drawing_array_text(drawing, "point_name", i + 1, points[i].name);
	}
	fputs("\n\n", drawing->data);
	for (size_t i = 0; i < count; i++) {
		fronts += points[i].front != 0;
		if (points[i].front)
			fprintf(drawing->data, "%.9g %.9g\n", points[i].mib, points[i].speed);
	}
	fprintf(drawing->variables, "array backing_shown[3]\n");
	for (size_t b = 1; b <= 3; b++) {
		size_t shown = 0;

		for (size_t i = 0; i < count; i++)
			shown += points[i].backing == b;
		fprintf(drawing->variables, "backing_shown[%zu] = %d\n", b, shown > 0);
	}
	fprintf(drawing->variables, "baseline_is_answer = %d\n",
		number_of(json_object_get(grid.tune, "answer"), "setting") ==
			number_of(grid.tune, "baseline"));
	write_span(drawing, points, count);
	fprintf(drawing->variables, "points = %zu\n", count);
	drawing_text(drawing, "workload", drawing->model->panel[drawing->panel].name);
	free(points);
	drawing->height = 560;
	return fronts ? 0 : 1;
}
