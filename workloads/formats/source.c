#include "source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "workloads/trace_internal.h"

#define LINE_MAX_BYTES 65536u
#define TEXT_BYTES     (4 * LINE_MAX_BYTES)

struct line_source {
	FILE *file;
	ZSTD_DStream *zstd; /* NULL: plain */
	bool frame_is_open; /* the compressed data end inside a frame so far */
	char *packed; /* [ZSTD_DStreamInSize()] */
	ZSTD_inBuffer input;
	char *text; /* [TEXT_BYTES + 1] */
	size_t begin, end; /* of what is unread in text */
	bool at_end;
	int error;
};

static int read_error(FILE *file)
{
	return ferror(file) ? -(errno ? errno : EIO) : 0;
}

/* Adds decompressed bytes to the text. False at the end or on an error. */
static bool fill_unpacked(struct line_source *source)
{
	ZSTD_outBuffer output = { .dst = source->text, .size = TEXT_BYTES, .pos = source->end };
	const size_t before = output.pos;

	while (output.pos == before) {
		size_t left;

		if (source->input.pos == source->input.size) {
			source->input.size = fread(source->packed, 1, ZSTD_DStreamInSize(),
						   source->file);
			source->input.pos = 0;
			if (!source->input.size) {
				source->error = read_error(source->file);
				if (!source->error && source->frame_is_open)
					source->error = -EILSEQ;
				return false;
			}
		}
		left = ZSTD_decompressStream(source->zstd, &output, &source->input);
		if (ZSTD_isError(left)) {
			source->error = -EILSEQ;
			return false;
		}
		source->frame_is_open = left != 0;
	}
	source->end = output.pos;
	return true;
}

static bool fill(struct line_source *source)
{
	size_t bytes;

	if (source->at_end || source->error)
		return false;
	if (source->begin) {
		memmove(source->text, source->text + source->begin, source->end - source->begin);
		source->end -= source->begin;
		source->begin = 0;
	}
	if (source->zstd) {
		source->at_end = !fill_unpacked(source);
		return !source->at_end;
	}
	bytes = fread(source->text + source->end, 1, TEXT_BYTES - source->end, source->file);
	source->end += bytes;
	if (!bytes) {
		source->at_end = true;
		source->error = read_error(source->file);
	}
	return bytes != 0;
}

/* Plain until the first bytes turn out to be zstd's magic number: then they are its first input. */
static int detect(struct line_source *source)
{
	static const unsigned char magic[] = { 0x28, 0xB5, 0x2F, 0xFD };

	source->packed = malloc(ZSTD_DStreamInSize());
	if (!source->packed)
		return -ENOMEM;
	source->input.src = source->packed;
	source->input.size = fread(source->packed, 1, sizeof(magic), source->file);
	if (source->input.size < sizeof(magic) || memcmp(source->packed, magic, sizeof(magic))) {
		memcpy(source->text, source->packed, source->input.size);
		source->end = source->input.size;
		return read_error(source->file);
	}
	source->zstd = ZSTD_createDStream();
	return source->zstd ? 0 : -ENOMEM;
}

int line_source_open(const char *path, struct line_source **out, char *why, size_t why_bytes)
{
	struct line_source *source = calloc(1, sizeof(*source));
	int ret = -ENOMEM;

	if (!source)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory");
	source->text = malloc(TEXT_BYTES + 1);
	if (!source->text)
		goto fail;
	source->file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	ret = source->file ? detect(source) : -errno;
	if (ret)
		goto fail;
	*out = source;
	return 0;
fail:
	line_source_close(source);
	return trace_fail(ret, why, why_bytes, "cannot read %s: %s", path, strerror(-ret));
}

void line_source_close(struct line_source *source)
{
	if (!source)
		return;
	if (source->file && source->file != stdin)
		fclose(source->file);
	ZSTD_freeDStream(source->zstd);
	free(source->packed);
	free(source->text);
	free(source);
}

const char *line_source_head(struct line_source *source)
{
	while (source->end - source->begin < LINE_MAX_BYTES && fill(source))
		;
	source->text[source->end] = '\0';
	return source->text + source->begin;
}

char *line_source_next(struct line_source *source)
{
	bool skipping = false;

	for (;;) {
		char *line = source->text + source->begin;
		const size_t bytes = source->end - source->begin;
		char *newline = memchr(line, '\n', bytes);

		if (newline && !skipping) {
			source->begin += (size_t)(newline - line) + 1;
			*newline = '\0';
			return line;
		}
		if (newline) { /* the rest of a line that was skipped */
			source->begin += (size_t)(newline - line) + 1;
			skipping = false;
			continue;
		}
		if (bytes >= LINE_MAX_BYTES) {
			source->begin = source->end;
			skipping = true;
			continue;
		}
		if (fill(source))
			continue;
		if (source->error || source->begin == source->end || skipping)
			return NULL;
		source->text[source->end] = '\0';
		line = source->text + source->begin;
		source->begin = source->end;
		return line;
	}
}

size_t line_source_bytes(struct line_source *source, void *buffer, size_t bytes)
{
	size_t ready;

	if (source->begin == source->end && !fill(source))
		return 0;
	ready = source->end - source->begin;
	if (ready > bytes)
		ready = bytes;
	memcpy(buffer, source->text + source->begin, ready);
	source->begin += ready;
	return ready;
}

int line_source_error(const struct line_source *source)
{
	return source->error;
}
