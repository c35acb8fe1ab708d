/* The header of trace files: both directions side by side. */
#include "trace_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

/* ---- writing ---- */

static void put_text(struct byte_buffer *out, const char *text)
{
	buffer_put_number(out, strlen(text));
	buffer_put(out, text, strlen(text));
}

static void put_field(struct byte_buffer *out, enum pbt_field field, struct byte_buffer *content)
{
	buffer_put_number(out, field);
	buffer_put_number(out, content->bytes);
	buffer_put(out, content->data, content->bytes);
	out->failed |= content->failed;
	content->bytes = 0;
}

static void put_tables(const struct trace *trace, struct byte_buffer *out,
		       struct byte_buffer *content)
{
	buffer_put_number(content, trace->tags);
	for (unsigned i = 0; i < trace->tags; i++) {
		buffer_put_u32(content, trace->tag_table[i].tag);
		put_text(content, trace->tag_table[i].name);
	}
	put_field(out, PBT_TAGS, content);
	buffer_put_number(content, trace->marks);
	for (unsigned i = 0; i < trace->marks; i++)
		put_text(content, trace->mark_names[i]);
	put_field(out, PBT_MARKS, content);
}

void trace_header_put(const struct trace *trace, struct byte_buffer *out)
{
	const struct trace_losses *losses = &trace->losses;
	struct byte_buffer content = { 0 };

	buffer_put_number(&content, trace->processors);
	put_field(out, PBT_PROCESSORS, &content);
	buffer_put_number(&content, trace->slots);
	put_field(out, PBT_SLOTS, &content);
	buffer_put(&content, trace->origin, strlen(trace->origin));
	put_field(out, PBT_ORIGIN, &content);
	buffer_put_u64(&content, trace->seed);
	put_field(out, PBT_SEED, &content);
	buffer_put_number(&content, trace->recorded);
	put_field(out, PBT_RECORDED, &content);
	buffer_put_number(&content, losses->null_frees);
	buffer_put_number(&content, losses->unknown_frees);
	buffer_put_number(&content, losses->implied_frees);
	buffer_put_number(&content, losses->lost_events);
	buffer_put_number(&content, losses->malformed_lines);
	put_field(out, PBT_LOSSES, &content);
	for (int phase = 0; phase < TRACE_PHASES; phase++)
		buffer_put_number(&content, trace_phase_events(trace, (enum trace_phase)phase));
	put_field(out, PBT_EVENTS, &content);
	put_tables(trace, out, &content);
	buffer_put_u64(&content, trace->checksum);
	put_field(out, PBT_CHECKSUM, &content);
	buffer_release(&content);
}

/* ---- reading ---- */

static struct byte_cursor take_field(struct byte_cursor *header, enum pbt_field field)
{
	struct byte_cursor content = { .bad = true };
	const uint64_t id = cursor_number(header), bytes = cursor_number(header);

	content.at = cursor_take(header, bytes);
	if (id != field || !content.at) {
		header->bad = true;
		return content;
	}
	content.end = content.at + bytes;
	content.bad = false;
	return content;
}

static bool field_is_spent(const struct byte_cursor *content)
{
	return !content->bad && content->at == content->end;
}

/* A string without zeros. NULL with cursor->bad, or without it: out of memory. */
static char *take_text(struct byte_cursor *cursor, uint64_t bytes)
{
	const uint8_t *text = cursor_take(cursor, bytes);

	if (text && memchr(text, 0, (size_t)bytes))
		cursor->bad = true;
	return text && !cursor->bad ? strndup((const char *)text, (size_t)bytes) : NULL;
}

static uint64_t take_single(struct byte_cursor *header, enum pbt_field field, uint64_t max)
{
	struct byte_cursor content = take_field(header, field);
	const uint64_t value = cursor_number_max(&content, max);

	header->bad |= !field_is_spent(&content);
	return value;
}

static uint64_t take_fixed(struct byte_cursor *header, enum pbt_field field)
{
	struct byte_cursor content = take_field(header, field);
	const uint64_t value = cursor_u64(&content);

	header->bad |= !field_is_spent(&content);
	return value;
}

/* Tags and marks. An entry takes a byte at least, so that a count is bounded by the field's bytes. */
static int take_names(struct byte_cursor *header, enum pbt_field field, uint64_t max,
		      struct trace *trace)
{
	struct byte_cursor content = take_field(header, field);
	uint64_t count = cursor_number_max(&content, max);

	if (content.bad || count > (uint64_t)(content.end - content.at)) {
		header->bad = true;
		return 0;
	}
	if (field == PBT_TAGS)
		trace->tag_table = calloc((size_t)count + 1, sizeof(*trace->tag_table));
	else
		trace->mark_names = calloc((size_t)count + 1, sizeof(*trace->mark_names));
	if (field == PBT_TAGS ? !trace->tag_table : !trace->mark_names)
		return -ENOMEM;
	while (count-- && !content.bad) {
		const uint32_t tag = field == PBT_TAGS ? cursor_u32(&content) : 0;
		const uint64_t bytes = cursor_number_max(&content, TRACE_MAX_NAME_BYTES);
		char *name = take_text(&content, bytes);

		if (!name && !content.bad)
			return -ENOMEM;
		if (!name)
			break;
		if (field == PBT_TAGS)
			trace->tag_table[trace->tags++] = (struct trace_tag){ .tag = tag,
									      .name = name };
		else
			trace->mark_names[trace->marks++] = name;
	}
	header->bad |= !field_is_spent(&content);
	return 0;
}

static int tag_compare(const void *left, const void *right)
{
	const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static int tags_are_distinct(const struct trace *trace, bool *distinct)
{
	uint32_t *tags = malloc((trace->tags + 1u) * sizeof(*tags));

	if (!tags)
		return -ENOMEM;
	*distinct = true;
	for (unsigned i = 0; i < trace->tags; i++)
		tags[i] = trace->tag_table[i].tag;
	qsort(tags, trace->tags, sizeof(*tags), tag_compare);
	for (unsigned i = 1; i < trace->tags; i++)
		*distinct &= tags[i] != tags[i - 1];
	free(tags);
	return 0;
}

static int take_origin(struct byte_cursor *header, struct trace *trace)
{
	struct byte_cursor content = take_field(header, PBT_ORIGIN);

	if (content.bad || content.end - content.at > TRACE_MAX_ORIGIN_BYTES) {
		header->bad = true;
		return 0;
	}
	trace->origin = take_text(&content, (uint64_t)(content.end - content.at));
	header->bad |= content.bad;
	return trace->origin || content.bad ? 0 : -ENOMEM;
}

static void take_counts(struct byte_cursor *header, enum pbt_field field, uint64_t *values,
			unsigned count)
{
	struct byte_cursor content = take_field(header, field);

	for (unsigned i = 0; i < count; i++)
		values[i] = cursor_number(&content);
	header->bad |= !field_is_spent(&content);
}

static int take_tables(struct byte_cursor *header, struct trace *trace)
{
	int ret = take_names(header, PBT_TAGS, TRACE_MAX_TAGS, trace);

	return ret ? ret : take_names(header, PBT_MARKS, TRACE_MAX_MARKS, trace);
}

static int parse(struct byte_cursor *header, struct trace *trace, uint64_t expected[TRACE_PHASES],
		 const char **what)
{
	bool distinct = true;
	uint64_t losses[5];
	int ret;

	trace->slots = (uint32_t)take_single(header, PBT_SLOTS, UINT32_MAX);
	ret = take_origin(header, trace);
	trace->seed = take_fixed(header, PBT_SEED);
	trace->recorded = take_single(header, PBT_RECORDED, 1);
	take_counts(header, PBT_LOSSES, losses, 5);
	trace->losses = (struct trace_losses){ .null_frees = losses[0],
					       .unknown_frees = losses[1],
					       .implied_frees = losses[2],
					       .lost_events = losses[3],
					       .malformed_lines = losses[4] };
	take_counts(header, PBT_EVENTS, expected, TRACE_PHASES);
	if (!ret)
		ret = take_tables(header, trace);
	trace->checksum = take_fixed(header, PBT_CHECKSUM);
	if (!ret && !header->bad)
		ret = tags_are_distinct(trace, &distinct);
	if (ret)
		return ret;
	*what = distinct ? "the header's fields are not as they should be"
			 : "the header names a tag twice";
	return header->bad || header->at != header->end || !distinct ? -EILSEQ : 0;
}

int trace_header_parse(struct byte_cursor header, struct trace **out,
		       uint64_t expected[TRACE_PHASES], const char **what)
{
	const uint64_t processors = take_single(&header, PBT_PROCESSORS, TRACE_MAX_PROCESSORS);
	struct trace *trace;
	int ret;

	*what = "the header gives no good number of processors";
	if (header.bad || !processors)
		return -EILSEQ;
	trace = trace_create((unsigned)processors);
	if (!trace)
		return -ENOMEM;
	ret = parse(&header, trace, expected, what);
	if (ret)
		trace_destroy(trace);
	else
		*out = trace;
	return ret;
}
