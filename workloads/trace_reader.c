/*
 * Reading trace files, whole or in windows.
 *
 * Nothing of a file is believed before it is checked: the header and each block by their CRC, sizes against
 * the format's limits and what is left of the file, events by the codec (indices, slots) and then by the
 * checker (the rules of trace_validate), the whole by the counts and the checksum in the header. A CRC is no
 * protection against malice, so the later checks do not rely on the earlier ones.
 */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "trace_codec.h"
#include "trace_header.h"
#include "trace_internal.h"

struct block {
	uint32_t stored_bytes, plain_bytes, events, phase, crc;
	uint32_t header_crc; /* of the header itself: what `crc` begins with */
};

struct trace_reader {
	char *path;
	FILE *file;
	uint64_t file_bytes, at; /* `at`: where the next byte is read */
	struct trace *tables;
	uint64_t expected[TRACE_PHASES]; /* by the header */
	uint64_t seen[TRACE_PHASES]; /* in this lap */
	uint64_t body_at; /* where the body's first block is; 0: not known yet */
	bool checking; /* the first time through */
	bool ended;
	enum trace_phase phase; /* of the last window */
	struct block next; /* its header has been read; its content follows */
	bool have_next;
	struct trace_codec *codec;
	struct trace_checker checker;
	uint64_t checksum;
	char checker_why[160];
	struct trace *window;
	struct trace_sink sink;
	struct trace_event *events;
	uint16_t *processors;
	uint8_t *stored, *plain; /* of the largest block so far */
	size_t stored_capacity, plain_capacity;
};

static int damaged(const struct trace_reader *reader, char *why, size_t why_bytes, const char *what)
{
	return trace_fail(-EILSEQ, why, why_bytes, "%s: byte %llu: %s", reader->path,
			  (unsigned long long)reader->at, what);
}

static int no_memory(char *why, size_t why_bytes)
{
	return trace_fail(-ENOMEM, why, why_bytes, "out of memory for reading a trace");
}

static int read_bytes(struct trace_reader *reader, void *data, size_t bytes, char *why,
		      size_t why_bytes)
{
	if (bytes > reader->file_bytes - reader->at)
		return damaged(reader, why, why_bytes, "the file ends too early");
	if (fread(data, 1, bytes, reader->file) != bytes) {
		const int error = ferror(reader->file) && errno ? errno : EIO;

		return trace_fail(-error, why, why_bytes, "cannot read %s: %s", reader->path,
				  strerror(error));
	}
	reader->at += bytes;
	return 0;
}

static int read_header(struct trace_reader *reader, char *why, size_t why_bytes)
{
	uint8_t preamble[PBT_PREAMBLE], *header;
	struct byte_cursor cursor = { .at = preamble + PBT_MAGIC_BYTES,
				      .end = preamble + PBT_PREAMBLE };
	const char *what = "the header is damaged (CRC)";
	uint32_t version, bytes, crc;
	int ret;

	if (reader->file_bytes < PBT_PREAMBLE)
		return damaged(reader, why, why_bytes, "too short for a trace file");
	ret = read_bytes(reader, preamble, sizeof(preamble), why, why_bytes);
	if (ret)
		return ret;
	version = cursor_u32(&cursor);
	bytes = cursor_u32(&cursor);
	crc = cursor_u32(&cursor);
	if (memcmp(preamble, PBT_MAGIC, PBT_MAGIC_BYTES)) {
		reader->at = 0;
		return damaged(reader, why, why_bytes, "not a trace file (.pbt)");
	}
	if (version > PBT_VERSION)
		return trace_fail(-ENOTSUP, why, why_bytes,
				  "%s: version %u of the format; this poolbench knows %u",
				  reader->path, version, PBT_VERSION);
	if (!version || bytes > PBT_HEADER_MAX || bytes > reader->file_bytes - reader->at)
		return damaged(reader, why, why_bytes, "the header does not fit the file");
	header = malloc(bytes + 1u);
	if (!header)
		return no_memory(why, why_bytes);
	ret = read_bytes(reader, header, bytes, why, why_bytes);
	if (!ret && crc32c(crc32c(0, preamble, PBT_PREAMBLE - 4), header, bytes) != crc)
		ret = damaged(reader, why, why_bytes, what);
	else if (!ret)
		ret = trace_header_parse(
			(struct byte_cursor){ .at = header, .end = header + bytes },
			&reader->tables, reader->expected, &what);
	free(header);
	if (ret == -EILSEQ)
		return damaged(reader, why, why_bytes, what);
	return ret == -ENOMEM ? no_memory(why, why_bytes) : ret;
}

/* ---- blocks ---- */

/* Whether the header of the next block can be believed as far as memory and order go. */
static bool block_is_sane(const struct trace_reader *reader, const struct block *block)
{
	if (block->phase >= PBT_PHASE_END || block->phase < (uint32_t)reader->phase)
		return false;
	if (!block->events || block->events > TRACE_BLOCK_EVENTS ||
	    block->events > reader->expected[block->phase] - reader->seen[block->phase])
		return false;
	return block->plain_bytes <= TRACE_BLOCK_BYTES &&
	       block->stored_bytes <= ZSTD_compressBound(TRACE_BLOCK_BYTES) &&
	       block->stored_bytes <= reader->file_bytes - reader->at;
}

/* Reads the header of the next block into reader->next. */
static int peek_block(struct trace_reader *reader, char *why, size_t why_bytes)
{
	uint8_t header[PBT_BLOCK_HEADER];
	struct byte_cursor cursor = { .at = header, .end = header + sizeof(header) };
	struct block *block = &reader->next;
	int ret;

	if (reader->have_next)
		return 0;
	ret = read_bytes(reader, header, sizeof(header), why, why_bytes);
	if (ret)
		return ret;
	block->stored_bytes = cursor_u32(&cursor);
	block->plain_bytes = cursor_u32(&cursor);
	block->events = cursor_u32(&cursor);
	block->phase = cursor_u32(&cursor);
	block->crc = cursor_u32(&cursor);
	block->header_crc = crc32c(0, header, PBT_BLOCK_HEADER - 4);
	if (block->phase == PBT_PHASE_END) {
		if (block->stored_bytes || block->plain_bytes || block->events ||
		    block->crc != block->header_crc || reader->at != reader->file_bytes)
			return damaged(reader, why, why_bytes, "the end is damaged");
	} else if (!block_is_sane(reader, block)) {
		return damaged(reader, why, why_bytes, "the header of a block is damaged");
	}
	for (uint32_t phase = 0; phase < block->phase; phase++)
		if (reader->seen[phase] != reader->expected[phase])
			return damaged(reader, why, why_bytes, "a phase ends too early");
	if (block->phase == TRACE_BODY && !reader->body_at)
		reader->body_at = reader->at - PBT_BLOCK_HEADER;
	reader->have_next = true;
	return 0;
}

static int check_events(struct trace_reader *reader, enum trace_phase phase, uint32_t count,
			char *why, size_t why_bytes)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct trace_event *event = &reader->events[i];
		const int ret = trace_checker_event(&reader->checker, phase, reader->processors[i],
						    event);

		if (ret == -ENOMEM)
			return no_memory(why, why_bytes);
		if (ret)
			return damaged(reader, why, why_bytes, reader->checker_why);
		reader->checksum = trace_checksum_event(reader->checksum, phase,
							reader->processors[i], event);
	}
	return 0;
}

static int make_room(uint8_t **data, size_t *capacity, size_t bytes)
{
	uint8_t *grown;

	if (bytes <= *capacity)
		return 0;
	grown = realloc(*data, bytes);
	if (!grown)
		return -ENOMEM;
	*data = grown;
	*capacity = bytes;
	return 0;
}

/* Reads the content of the block that was peeked: reader->events and processors. */
static int take_block(struct trace_reader *reader, char *why, size_t why_bytes)
{
	const struct block *block = &reader->next;
	struct byte_cursor content;
	int ret;

	if (make_room(&reader->stored, &reader->stored_capacity, block->stored_bytes + 1u) ||
	    make_room(&reader->plain, &reader->plain_capacity, block->plain_bytes + 1u))
		return no_memory(why, why_bytes);
	ret = read_bytes(reader, reader->stored, block->stored_bytes, why, why_bytes);
	if (ret)
		return ret;
	content = (struct byte_cursor){ .at = reader->plain,
					.end = reader->plain + block->plain_bytes };
	if (crc32c(block->header_crc, reader->stored, block->stored_bytes) != block->crc)
		return damaged(reader, why, why_bytes, "a block is damaged (CRC)");
	if (ZSTD_decompress(reader->plain, block->plain_bytes, reader->stored,
			    block->stored_bytes) != block->plain_bytes)
		return damaged(reader, why, why_bytes, "a block does not decompress");
	if ((enum trace_phase)block->phase != reader->phase)
		trace_codec_new_phase(reader->codec);
	reader->phase = (enum trace_phase)block->phase;
	ret = trace_codec_decode(reader->codec, content, block->events, reader->events,
				 reader->processors);
	if (ret == -ENOMEM)
		return no_memory(why, why_bytes);
	if (ret)
		return damaged(reader, why, why_bytes, "a block's content makes no sense");
	reader->seen[block->phase] += block->events;
	reader->have_next = false;
	return reader->checking ? check_events(reader, reader->phase, block->events, why, why_bytes)
				: 0;
}

/* The end of the file: everything that can only be told now. */
static int finish(struct trace_reader *reader, char *why, size_t why_bytes)
{
	if (!reader->checking)
		return 0;
	if (trace_checker_end(&reader->checker))
		return damaged(reader, why, why_bytes, reader->checker_why);
	if (reader->checksum != reader->tables->checksum)
		return damaged(reader, why, why_bytes, "the checksum of the content is wrong");
	return 0;
}

/* Hands on the events of the block that was taken. */
static int put_events(const struct trace_reader *reader, uint32_t count, struct trace_sink *sink)
{
	trace_sink_phase(sink, reader->phase);
	for (uint32_t i = 0; i < count; i++)
		if (trace_sink_put(sink, reader->processors[i], &reader->events[i]))
			return -ENOMEM;
	return 0;
}

int trace_reader_next(struct trace_reader *reader, uint64_t events, enum trace_phase *phase,
		      const struct trace **window, char *why, size_t why_bytes)
{
	uint64_t taken = 0;
	int ret;

	trace_sink_reset(&reader->sink);
	for (;;) {
		const struct block *block = &reader->next;
		uint32_t count;

		ret = peek_block(reader, why, why_bytes);
		if (ret)
			return ret;
		if (taken &&
		    (block->phase != (uint32_t)reader->phase || taken + block->events > events))
			break;
		if (block->phase == PBT_PHASE_END)
			return finish(reader, why, why_bytes);
		count = block->events;
		ret = take_block(reader, why, why_bytes);
		if (ret)
			return ret;
		if (put_events(reader, count, &reader->sink))
			return no_memory(why, why_bytes);
		taken += count;
	}
	trace_sink_seal(&reader->sink);
	*phase = reader->phase;
	*window = reader->window;
	return 1;
}

bool trace_reader_phase_ended(const struct trace_reader *reader)
{
	return reader->seen[reader->phase] == reader->expected[reader->phase];
}

int trace_reader_rewind(struct trace_reader *reader)
{
	if (reader->phase != TRACE_BODY || !trace_reader_phase_ended(reader) || !reader->body_at)
		return -EBUSY;
	if (fseeko(reader->file, (off_t)reader->body_at, SEEK_SET))
		return -errno;
	reader->at = reader->body_at;
	reader->seen[TRACE_BODY] = 0;
	reader->have_next = false;
	/*
	 * The body ends as it began, so what the codec knows of the slots is right for its start too. The
	 * first lap has checked the body; the checker would have to see the epilogue next, and cannot.
	 */
	reader->checking = false;
	trace_codec_new_phase(reader->codec);
	return 0;
}

/* ---- opening ---- */

static int reader_allocate(struct trace_reader *reader)
{
	reader->codec = malloc(sizeof(*reader->codec));
	if (!reader->codec || trace_codec_init(reader->codec, reader->tables)) {
		free(reader->codec);
		reader->codec = NULL;
		return -ENOMEM;
	}
	reader->events = malloc(TRACE_BLOCK_EVENTS * sizeof(*reader->events));
	reader->processors = malloc(TRACE_BLOCK_EVENTS * sizeof(*reader->processors));
	reader->window = trace_create(reader->tables->processors);
	if (!reader->events || !reader->processors || !reader->window)
		return -ENOMEM;
	reader->window->slots = reader->tables->slots;
	return trace_sink_init(&reader->sink, reader->window);
}

static int open_file(struct trace_reader *reader, char *why, size_t why_bytes)
{
	struct stat status;

	reader->file = fopen(reader->path, "rb");
	if (!reader->file || fstat(fileno(reader->file), &status))
		return trace_fail(-errno, why, why_bytes, "cannot open %s: %s", reader->path,
				  strerror(errno));
	if (!S_ISREG(status.st_mode))
		return trace_fail(-EINVAL, why, why_bytes, "%s is not a regular file",
				  reader->path);
	reader->file_bytes = (uint64_t)status.st_size;
	return 0;
}

int trace_reader_open(const char *path, struct trace_reader **out, char *why, size_t why_bytes)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	int ret;

	if (!reader)
		return no_memory(why, why_bytes);
	reader->checking = true;
	reader->path = strdup(path);
	if (!reader->path) {
		ret = no_memory(why, why_bytes);
		goto fail;
	}
	ret = open_file(reader, why, why_bytes);
	if (!ret)
		ret = read_header(reader, why, why_bytes);
	if (ret)
		goto fail;
	if (reader_allocate(reader) ||
	    trace_checker_init(&reader->checker, reader->tables, reader->checker_why,
			       sizeof(reader->checker_why))) {
		ret = no_memory(why, why_bytes);
		goto fail;
	}
	reader->checksum = trace_checksum_tables(reader->tables);
	*out = reader;
	return 0;
fail:
	trace_reader_close(reader);
	return ret;
}

void trace_reader_close(struct trace_reader *reader)
{
	if (!reader)
		return;
	if (reader->file)
		fclose(reader->file);
	if (reader->codec)
		trace_codec_destroy(reader->codec);
	if (reader->tables)
		trace_checker_destroy(&reader->checker);
	free(reader->sink.capacity);
	trace_destroy(reader->window);
	trace_destroy(reader->tables);
	free(reader->codec);
	free(reader->events);
	free(reader->processors);
	free(reader->stored);
	free(reader->plain);
	free(reader->path);
	free(reader);
}

const struct trace *trace_reader_tables(const struct trace_reader *reader)
{
	return reader->tables;
}

uint64_t trace_reader_events(const struct trace_reader *reader, enum trace_phase phase)
{
	return reader->expected[phase];
}

/* ---- whole ---- */

static int read_events(struct trace_reader *reader, struct trace_sink *sink, char *why,
		       size_t why_bytes)
{
	uint64_t total = 0;
	int ret;

	for (;;) {
		uint32_t count;

		ret = peek_block(reader, why, why_bytes);
		if (ret)
			return ret;
		if (reader->next.phase == PBT_PHASE_END)
			return finish(reader, why, why_bytes);
		count = reader->next.events;
		total += count;
		if (total > TRACE_READ_MAX_EVENTS)
			return trace_fail(-E2BIG, why, why_bytes,
					  "%s: more than 2^28 events: read it in windows",
					  reader->path);
		ret = take_block(reader, why, why_bytes);
		if (ret)
			return ret;
		if (put_events(reader, count, sink))
			return no_memory(why, why_bytes);
	}
}

int trace_read(const char *path, struct trace **out, char *why, size_t why_bytes)
{
	struct trace_reader *reader;
	struct trace_sink sink = { 0 };
	struct trace *trace;
	int ret = trace_reader_open(path, &reader, why, why_bytes);

	if (ret)
		return ret;
	/* What the reader holds as tables becomes the trace. */
	trace = reader->tables;
	ret = trace_sink_init(&sink, trace) ? no_memory(why, why_bytes)
					    : read_events(reader, &sink, why, why_bytes);
	trace_sink_close(&sink);
	if (!ret) {
		*out = trace;
		reader->tables = NULL;
		trace_checker_destroy(&reader->checker);
	}
	trace_reader_close(reader);
	return ret;
}
