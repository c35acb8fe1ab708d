#include "series.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN(s, m, t) \
	{ \
#m, t, offsetof(s, m), sizeof(((s *)0)->m) \
	}

static const struct column memory_columns[] = {
	COLUMN(struct memory_point, event, COLUMN_U64),
	COLUMN(struct memory_point, lap, COLUMN_U32),
	COLUMN(struct memory_point, live_bytes, COLUMN_U64),
	COLUMN(struct memory_point, live_blocks, COLUMN_U64),
	COLUMN(struct memory_point, block_bytes, COLUMN_U64),
	COLUMN(struct memory_point, committed_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, resident_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, header_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, rounding_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, cached_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, free_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, free_page_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, metadata_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, largest_free_bytes, COLUMN_REAL),
	COLUMN(struct memory_point, unusable_free_index, COLUMN_REAL),
	COLUMN(struct memory_point, unusable_free_index_largest, COLUMN_REAL),
};

/* A bin's columns: the number is the size from which on a range is in it. */
#define BIN(i, from) \
	{ "ranges_" #from, COLUMN_U64, \
	  offsetof(struct free_ranges, count) + (i) * sizeof(uint64_t), sizeof(uint64_t) }, \
	{ \
		"bytes_" #from, COLUMN_U64, \
			offsetof(struct free_ranges, bytes) + (i) * sizeof(uint64_t), \
			sizeof(uint64_t) \
	}

static const struct column free_range_columns[] = {
	COLUMN(struct free_ranges, event, COLUMN_U64),
	COLUMN(struct free_ranges, lap, COLUMN_U32),
	BIN(0, 16),
	BIN(1, 32),
	BIN(2, 64),
	BIN(3, 128),
	BIN(4, 256),
	BIN(5, 512),
	BIN(6, 1024),
	BIN(7, 2048),
	BIN(8, 4096),
	BIN(9, 8192),
	BIN(10, 16384),
	BIN(11, 32768),
	BIN(12, 65536),
	BIN(13, 131072),
	BIN(14, 262144),
	BIN(15, 524288),
	BIN(16, 1048576),
	BIN(17, 2097152),
	BIN(18, 4194304),
	BIN(19, 8388608),
	BIN(20, 16777216),
	BIN(21, 33554432),
	BIN(22, 67108864),
	BIN(23, 134217728),
	BIN(24, 268435456),
	BIN(25, 536870912),
	BIN(26, 1073741824),
	BIN(27, 2147483648),
};

static const struct column tag_live_columns[] = {
	COLUMN(struct tag_live, event, COLUMN_U64),
	COLUMN(struct tag_live, lap, COLUMN_U32),
	COLUMN(struct tag_live, tag, COLUMN_TAG),
	COLUMN(struct tag_live, live_bytes, COLUMN_U64),
	COLUMN(struct tag_live, live_blocks, COLUMN_U64),
};

static const struct column heap_map_columns[] = {
	COLUMN(struct heap_map, event, COLUMN_U64),
	COLUMN(struct heap_map, lap, COLUMN_U32),
	COLUMN(struct heap_map, snapshot, COLUMN_U32),
	COLUMN(struct heap_map, pool, COLUMN_CHAR),
	COLUMN(struct heap_map, offset_bytes, COLUMN_U64),
	COLUMN(struct heap_map, cell_bytes, COLUMN_U64),
	COLUMN(struct heap_map, tags, COLUMN_STRING),
	COLUMN(struct heap_map, cells, COLUMN_STRING),
};

static const struct column latency_columns[] = {
	COLUMN(struct latency_bin, op, COLUMN_CHAR),
	COLUMN(struct latency_bin, low_ns, COLUMN_REAL),
	COLUMN(struct latency_bin, high_ns, COLUMN_REAL),
	COLUMN(struct latency_bin, count, COLUMN_U64),
};

static const struct column tag_columns[] = {
	COLUMN(struct tag_total, tag, COLUMN_TAG),
	COLUMN(struct tag_total, name, COLUMN_TEXT),
	COLUMN(struct tag_total, pool, COLUMN_CHAR),
	COLUMN(struct tag_total, allocs, COLUMN_U64),
	COLUMN(struct tag_total, frees, COLUMN_U64),
	COLUMN(struct tag_total, live_peak_blocks, COLUMN_U64),
	COLUMN(struct tag_total, live_peak_bytes, COLUMN_U64),
	COLUMN(struct tag_total, bytes_allocated, COLUMN_U64),
};

static const struct column lap_columns[] = {
	{ "lap", COLUMN_INDEX, 0, 0 },
	{ "ns_per_op", COLUMN_REAL, 0, sizeof(double) },
};

#define COUNT(a)             (sizeof(a) / sizeof(*(a)))
#define MEMBERS(data, count) offsetof(struct result, data), offsetof(struct result, count)

const struct series series_table[SERIES] = {
	[SERIES_MEMORY] = { "memory", "memory.csv", memory_columns, COUNT(memory_columns),
			    sizeof(struct memory_point), MEMBERS(memory, memory_points) },
	[SERIES_LATENCY] = { "latency", "latency.csv", latency_columns, COUNT(latency_columns),
			     sizeof(struct latency_bin), MEMBERS(latency, latency_bins) },
	[SERIES_TAGS] = { "tags", "tags.csv", tag_columns, COUNT(tag_columns),
			  sizeof(struct tag_total), MEMBERS(tags, tag_totals) },
	[SERIES_LAPS] = { "laps", "laps.csv", lap_columns, COUNT(lap_columns), sizeof(double),
			  MEMBERS(lap_ns_per_op, laps) },
	[SERIES_FREE_RANGES] = { "free_ranges", "free_ranges.csv", free_range_columns,
				 COUNT(free_range_columns), sizeof(struct free_ranges),
				 MEMBERS(free_ranges, free_range_points) },
	[SERIES_TAG_LIVE] = { "tag_live", "tag_live.csv", tag_live_columns, COUNT(tag_live_columns),
			      sizeof(struct tag_live), MEMBERS(tag_live, tag_live_rows) },
	[SERIES_HEAP_MAP] = { "heap_map", "heap_map.csv", heap_map_columns, COUNT(heap_map_columns),
			      sizeof(struct heap_map), MEMBERS(heap_map, heap_maps) },
	[SERIES_AGEING] = { "ageing", "ageing.csv", memory_columns, COUNT(memory_columns),
			    sizeof(struct memory_point), MEMBERS(ageing, ageing_points) },
};

const void *series_data(const struct series *series, const struct result *result, size_t *count)
{
	const void *data;

	memcpy(&data, (const char *)result + series->data_offset, sizeof(data));
	memcpy(count, (const char *)result + series->count_offset, sizeof(*count));
	return data;
}

void series_adopt(const struct series *series, struct result *result, void *data, size_t count)
{
	memcpy((char *)result + series->data_offset, &data, sizeof(data));
	memcpy((char *)result + series->count_offset, &count, sizeof(count));
}

void tag_printable(const char *tag, char *text)
{
	size_t i;

	for (i = 0; i < 4 && tag[i]; i++)
		text[i] = tag[i] >= ' ' && tag[i] <= '~' ? tag[i] : '.';
	text[i] = '\0';
}

void csv_text(const char *text, FILE *file)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, file);
		return;
	}
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', file);
		fputc(*text, file);
	}
	fputc('"', file);
}

void csv_real(double value, FILE *file)
{
	char text[40];

	if (!isfinite(value))
		return;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	fputs(text, file);
}

static void csv_member(const struct column *column, const char *element, size_t index, FILE *file)
{
	const char *member = element + column->offset;
	char text[5] = "";
	const char *string;
	uint32_t narrow;
	uint64_t wide;
	double real;

	switch (column->type) {
	case COLUMN_U32:
		memcpy(&narrow, member, sizeof(narrow));
		fprintf(file, "%" PRIu32, narrow);
		break;
	case COLUMN_U64:
		memcpy(&wide, member, sizeof(wide));
		fprintf(file, "%" PRIu64, wide);
		break;
	case COLUMN_REAL:
		memcpy(&real, member, sizeof(real));
		csv_real(real, file);
		break;
	case COLUMN_CHAR:
		text[0] = *member;
		csv_text(text, file);
		break;
	case COLUMN_TEXT:
		csv_text(member, file);
		break;
	case COLUMN_STRING:
		memcpy(&string, member, sizeof(string));
		csv_text(string ? string : "", file);
		break;
	case COLUMN_TAG:
		tag_printable(member, text);
		csv_text(text, file);
		break;
	case COLUMN_INDEX:
		fprintf(file, "%zu", index);
		break;
	}
}

void series_csv_header(const struct series *series, FILE *file)
{
	fputs("backend,workload,threads,page_size,backing,repetition", file);
	for (size_t i = 0; i < series->column_count; i++)
		fprintf(file, ",%s", series->columns[i].name);
	fputc('\n', file);
}

void series_csv_rows(const struct series *series, const struct result *result, FILE *file)
{
	const struct cell *cell = &result->record.cell;
	size_t count;
	const char *element = series_data(series, result, &count);

	for (size_t i = 0; i < count; i++, element += series->element_bytes) {
		csv_text(cell->backend, file);
		fputc(',', file);
		csv_text(cell->workload, file);
		fprintf(file, ",%u,%zu,", cell->threads, cell->page_size);
		csv_text(cell->backing, file);
		fprintf(file, ",%u", result->record.repetition);
		for (size_t c = 0; c < series->column_count; c++) {
			fputc(',', file);
			csv_member(&series->columns[c], element, i, file);
		}
		fputc('\n', file);
	}
}
