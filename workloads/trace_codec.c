#include "trace_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE 65536u

enum column { COLUMN_RUNS, COLUMN_OPS, COLUMN_ALLOCS, COLUMN_FREES, COLUMN_CLASSES, COLUMNS };

enum op { OP_FREE, OP_FREE_REMOTE, OP_RAISE, OP_LOWER, OP_MARK, OP_ALLOC /* + class */ };

struct codec_slot {
	uint64_t filled_at; /* phase_allocs at its allocation */
	uint32_t below; /* next in its owner's stack, + 1 */
	uint32_t bytes;
	uint32_t filled_in; /* sequence at its allocation */
	uint16_t tag, owner;
	uint8_t flags;
	bool full;
};

/* What an allocation asks for; the dictionary of a block has each once, in the order of first use. */
struct event_class {
	uint32_t bytes, touch;
	uint16_t tag;
	uint8_t flags;
};

struct class_table {
	struct event_class *classes;
	uint32_t count, *hash, hash_size;
};

int trace_codec_init(struct trace_codec *codec, const struct trace *tables)
{
	memset(codec, 0, sizeof(*codec));
	codec->processors = tables->processors;
	codec->tags = tables->tags;
	codec->marks = tables->marks;
	codec->slots = tables->slots;
	codec->sequence = 1;
	codec->last_slot = calloc(codec->processors, sizeof(*codec->last_slot));
	codec->stack = calloc(codec->processors, sizeof(*codec->stack));
	if (codec->last_slot && codec->stack)
		return 0;
	trace_codec_destroy(codec);
	return -ENOMEM;
}

void trace_codec_destroy(struct trace_codec *codec)
{
	free(codec->table);
	free(codec->last_slot);
	free(codec->stack);
	codec->table = NULL;
	codec->last_slot = codec->stack = NULL;
}

void trace_codec_new_phase(struct trace_codec *codec)
{
	memset(codec->last_slot, 0, codec->processors * sizeof(*codec->last_slot));
	memset(codec->stack, 0, codec->processors * sizeof(*codec->stack));
	codec->phase_allocs = 0;
	codec->sequence++;
}

/* ---- what both sides do alike with an event ---- */

static int know_slot(struct trace_codec *codec, uint32_t slot)
{
	uint32_t known = codec->known;
	struct codec_slot *grown;

	if (slot < known)
		return 0;
	known = slot < 32 ? 64 : slot > UINT32_MAX / 2 ? UINT32_MAX : slot * 2;
	grown = realloc(codec->table, (size_t)known * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + codec->known, 0, (size_t)(known - codec->known) * sizeof(*grown));
	codec->table = grown;
	codec->known = known;
	return 0;
}

static void note_alloc(struct trace_codec *codec, unsigned processor,
		       const struct trace_event *event)
{
	struct codec_slot *state = &codec->table[event->slot];

	if (codec->stack[processor] == event->slot + 1)
		codec->stack[processor] = state->below;
	else
		codec->last_slot[processor] = event->slot;
	*state = (struct codec_slot){ .filled_at = codec->phase_allocs,
				      .bytes = event->bytes,
				      .filled_in = codec->sequence,
				      .tag = event->tag,
				      .owner = (uint16_t)processor,
				      .flags = event->flags,
				      .full = true };
	codec->ring[codec->phase_allocs++ % RING_SIZE] = event->slot;
}

/* An older phase's owners do not count: a lap must find things as the first did. */
static void note_free(struct trace_codec *codec, unsigned processor, uint32_t slot)
{
	struct codec_slot *state = &codec->table[slot];

	state->full = false;
	if (state->owner != processor || state->filled_in != codec->sequence)
		return;
	state->below = codec->stack[processor];
	codec->stack[processor] = slot + 1;
}

/* Signed differences as unsigned numbers, small ones small. */
static uint64_t zigzag(uint32_t value, uint32_t base)
{
	return value >= base ? (uint64_t)(value - base) * 2 : (uint64_t)(base - value) * 2 - 1;
}

static uint64_t unzigzag(uint64_t code, uint32_t base)
{
	return code & 1 ? base - (code + 1) / 2 : base + code / 2;
}

/* ---- encoding ---- */

static uint32_t class_find(struct class_table *table, const struct trace_event *event)
{
	uint64_t key = (uint64_t)event->bytes << 32 | event->touch;
	uint32_t place;

	key = (key ^ ((uint64_t)event->tag << 8 | event->flags)) * 0x9E3779B97F4A7C15u;
	place = (uint32_t)(key >> 40) & (table->hash_size - 1);
	for (; table->hash[place]; place = (place + 1) & (table->hash_size - 1)) {
		const struct event_class *class = &table->classes[table->hash[place] - 1];

		if (class->bytes == event->bytes && class->touch == event->touch &&
		    class->tag == event->tag && class->flags == event->flags)
			return table->hash[place] - 1;
	}
	table->classes[table->count++] = (struct event_class){ .bytes = event->bytes,
							       .touch = event->touch,
							       .tag = event->tag,
							       .flags = event->flags };
	table->hash[place] = table->count;
	return table->count - 1;
}

static int encode_alloc(struct trace_codec *codec, struct class_table *classes, unsigned processor,
			const struct trace_event *event, struct byte_buffer *columns)
{
	const uint32_t class_count = classes->count;
	const uint32_t class = class_find(classes, event);
	struct byte_buffer *definitions = &columns[COLUMN_CLASSES];

	buffer_put_number(&columns[COLUMN_OPS], (uint64_t)OP_ALLOC + class);
	if (class == class_count) {
		buffer_put_number(definitions, event->flags);
		buffer_put_number(definitions, event->tag);
		buffer_put_number(definitions, event->bytes);
		buffer_put_number(definitions, event->touch);
	}
	if (codec->stack[processor] == event->slot + 1)
		buffer_put_number(&columns[COLUMN_ALLOCS], 0);
	else
		buffer_put_number(&columns[COLUMN_ALLOCS],
				  1 + zigzag(event->slot, codec->last_slot[processor]));
	if (know_slot(codec, event->slot))
		return -ENOMEM;
	note_alloc(codec, processor, event);
	return 0;
}

/* An object of this phase is named by its age in allocations, an older one by its slot. */
static void encode_free(struct trace_codec *codec, unsigned processor,
			const struct trace_event *event, struct byte_buffer *columns)
{
	const struct codec_slot *state = &codec->table[event->slot];
	const uint64_t age = codec->phase_allocs - state->filled_at;

	buffer_put_number(&columns[COLUMN_OPS],
			  event->flags & TRACE_REMOTE ? OP_FREE_REMOTE : OP_FREE);
	if (state->filled_in == codec->sequence && age <= RING_SIZE)
		buffer_put_number(&columns[COLUMN_FREES], age * 2);
	else
		buffer_put_number(&columns[COLUMN_FREES], (uint64_t)event->slot * 2 + 1);
	note_free(codec, processor, event->slot);
}

static int encode_event(struct trace_codec *codec, struct class_table *classes, unsigned processor,
			const struct trace_event *event, struct byte_buffer *columns)
{
	static const enum op plain[] = {
		[TRACE_RAISE] = OP_RAISE, [TRACE_LOWER] = OP_LOWER, [TRACE_MARK] = OP_MARK
	};

	if (event->kind == TRACE_ALLOC)
		return encode_alloc(codec, classes, processor, event, columns);
	if (event->kind == TRACE_FREE) {
		encode_free(codec, processor, event, columns);
		return 0;
	}
	buffer_put_number(&columns[COLUMN_OPS], plain[event->kind]);
	buffer_put_number(&columns[COLUMN_OPS],
			  event->kind == TRACE_MARK ? event->slot : event->bytes);
	return 0;
}

static void encode_runs(const uint16_t *processors, uint32_t count, struct byte_buffer *column)
{
	for (uint32_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && processors[next] == processors[i];)
			next++;
		buffer_put_number(column, processors[i]);
		buffer_put_number(column, next - i);
	}
}

static int class_table_init(struct class_table *table, uint32_t count)
{
	table->count = 0;
	for (table->hash_size = 64; table->hash_size < count * 2;)
		table->hash_size *= 2;
	table->classes = malloc((count + 1u) * sizeof(*table->classes));
	table->hash = calloc(table->hash_size, sizeof(*table->hash));
	return table->classes && table->hash ? 0 : -ENOMEM;
}

int trace_codec_encode(struct trace_codec *codec, const struct trace_event *events,
		       const uint16_t *processors, uint32_t count, struct byte_buffer *out)
{
	struct byte_buffer columns[COLUMNS] = { 0 };
	struct class_table classes;
	int ret = class_table_init(&classes, count);

	for (uint32_t i = 0; !ret && i < count; i++)
		ret = encode_event(codec, &classes, processors[i], &events[i], columns);
	encode_runs(processors, count, &columns[COLUMN_RUNS]);
	for (int c = 0; c < COLUMNS; c++) {
		buffer_put_number(out, columns[c].bytes);
		buffer_put(out, columns[c].data, columns[c].bytes);
		out->failed |= columns[c].failed;
		buffer_release(&columns[c]);
	}
	free(classes.classes);
	free(classes.hash);
	return ret ? ret : out->failed ? -ENOMEM : 0;
}

/* ---- decoding ---- */

static int decode_class(const struct trace_codec *codec, struct byte_cursor *column,
			struct event_class *class)
{
	class->flags = (uint8_t)cursor_number_max(column, TRACE_PAGED);
	class->tag = (uint16_t)cursor_number_max(column, codec->tags - 1u);
	class->bytes = (uint32_t)cursor_number_max(column, UINT32_MAX);
	class->touch = (uint32_t)cursor_number_max(column, class->bytes);
	return column->bad || !class->bytes || !codec->tags ? -EILSEQ : 0;
}

static int decode_alloc(struct trace_codec *codec, struct class_table *classes, uint64_t class,
			unsigned processor, struct byte_cursor *columns, struct trace_event *event)
{
	const uint64_t code = cursor_number(&columns[COLUMN_ALLOCS]);
	uint64_t slot;

	if (class > classes->count)
		return -EILSEQ;
	if (class == classes->count) {
		if (decode_class(codec, &columns[COLUMN_CLASSES], &classes->classes[class]))
			return -EILSEQ;
		classes->count++;
	}
	if (code)
		slot = unzigzag(code - 1, codec->last_slot[processor]);
	else
		slot = (uint64_t)codec->stack[processor] - 1;
	/* Dense numbering (trace_validate) keeps tables in proportion to the events that were read. */
	codec->allocs++;
	if (slot >= codec->slots || slot >= codec->allocs * 8 || columns[COLUMN_ALLOCS].bad)
		return -EILSEQ;
	*event = (struct trace_event){ .slot = (uint32_t)slot,
				       .bytes = classes->classes[class].bytes,
				       .touch = classes->classes[class].touch,
				       .tag = classes->classes[class].tag,
				       .kind = TRACE_ALLOC,
				       .flags = classes->classes[class].flags };
	if (know_slot(codec, event->slot))
		return -ENOMEM;
	if (codec->table[slot].full)
		return -EILSEQ;
	/* A slot that is on top of the stack has one name only. */
	if (code && codec->stack[processor] == slot + 1)
		return -EILSEQ;
	note_alloc(codec, processor, event);
	return 0;
}

static int decode_free(struct trace_codec *codec, bool remote, unsigned processor,
		       struct byte_cursor *columns, struct trace_event *event)
{
	const uint64_t code = cursor_number(&columns[COLUMN_FREES]);
	const uint64_t number = code / 2;
	const struct codec_slot *state;
	uint64_t slot = number;

	if (!(code & 1)) {
		if (!number || number > RING_SIZE || number > codec->phase_allocs)
			return -EILSEQ;
		slot = codec->ring[(codec->phase_allocs - number) % RING_SIZE];
	}
	if (columns[COLUMN_FREES].bad || slot >= codec->known || !codec->table[slot].full)
		return -EILSEQ;
	state = &codec->table[slot];
	*event = (struct trace_event){ .slot = (uint32_t)slot,
				       .bytes = state->bytes,
				       .tag = state->tag,
				       .kind = TRACE_FREE,
				       .flags = state->flags };
	if (remote)
		event->flags |= TRACE_REMOTE;
	note_free(codec, processor, (uint32_t)slot);
	return 0;
}

static int decode_event(struct trace_codec *codec, struct class_table *classes, unsigned processor,
			struct byte_cursor *columns, struct trace_event *event)
{
	struct byte_cursor *ops = &columns[COLUMN_OPS];
	const uint64_t op = cursor_number(ops);

	if (ops->bad)
		return -EILSEQ;
	if (op >= OP_ALLOC)
		return decode_alloc(codec, classes, op - OP_ALLOC, processor, columns, event);
	if (op <= OP_FREE_REMOTE)
		return decode_free(codec, op == OP_FREE_REMOTE, processor, columns, event);
	*event = (struct trace_event){ 0 };
	if (op == OP_MARK) {
		event->kind = TRACE_MARK;
		event->slot = (uint32_t)cursor_number_max(ops, codec->marks - 1u);
		return ops->bad || !codec->marks ? -EILSEQ : 0;
	}
	event->kind = op == OP_RAISE ? TRACE_RAISE : TRACE_LOWER;
	event->bytes = (uint32_t)cursor_number_max(ops, DISPATCH_LEVEL);
	return ops->bad ? -EILSEQ : 0;
}

static int decode_runs(const struct trace_codec *codec, struct byte_cursor *column, uint32_t count,
		       uint16_t *processors)
{
	uint32_t i = 0;

	while (i < count) {
		const uint64_t processor = cursor_number_max(column, codec->processors - 1u);
		uint64_t run = cursor_number_max(column, count - i);

		if (column->bad || !run || (i && processors[i - 1] == processor))
			return -EILSEQ;
		while (run--)
			processors[i++] = (uint16_t)processor;
	}
	return 0;
}

int trace_codec_decode(struct trace_codec *codec, struct byte_cursor in, uint32_t count,
		       struct trace_event *events, uint16_t *processors)
{
	struct byte_cursor columns[COLUMNS];
	struct class_table classes = { 0 };
	int ret;

	for (int c = 0; c < COLUMNS; c++) {
		const uint64_t bytes = cursor_number(&in);

		columns[c].at = cursor_take(&in, bytes);
		columns[c].end = columns[c].at ? columns[c].at + bytes : NULL;
		columns[c].bad = !columns[c].at;
	}
	if (in.bad || in.at != in.end)
		return -EILSEQ;
	ret = decode_runs(codec, &columns[COLUMN_RUNS], count, processors);
	if (ret)
		return ret;
	classes.classes = malloc((count + 1u) * sizeof(*classes.classes));
	if (!classes.classes)
		return -ENOMEM;
	for (uint32_t i = 0; !ret && i < count; i++)
		ret = decode_event(codec, &classes, processors[i], columns, &events[i]);
	free(classes.classes);
	for (int c = 0; !ret && c < COLUMNS; c++)
		if (columns[c].bad || columns[c].at != columns[c].end)
			ret = -EILSEQ;
	return ret;
}
