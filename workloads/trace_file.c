/* Writing trace files, and finding them. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "trace_codec.h"
#include "trace_header.h"
#include "trace_internal.h"

/* Of zstd. Traces are written once and read often; above this, time doubles for the last percent. */
#define COMPRESSION_LEVEL 15

struct writer {
	FILE *file;
	struct trace_codec *codec;
	struct trace_event *events;
	uint16_t *processors;
	uint32_t count;
	enum trace_phase phase;
	struct byte_buffer plain;
	void *stored;
	size_t stored_capacity;
};

static const char *over_limit(const struct trace *trace)
{
	if (strlen(trace->origin) > TRACE_MAX_ORIGIN_BYTES)
		return "the origin is longer than 65535 bytes";
	for (unsigned i = 0; i < trace->tags; i++)
		if (strlen(trace->tag_table[i].name) > TRACE_MAX_NAME_BYTES)
			return "a tag's name is longer than 4095 bytes";
	for (unsigned i = 0; i < trace->marks; i++)
		if (strlen(trace->mark_names[i]) > TRACE_MAX_NAME_BYTES)
			return "a mark's name is longer than 4095 bytes";
	return NULL;
}

static int write_bytes(struct writer *writer, const void *data, size_t bytes)
{
	return fwrite(data, 1, bytes, writer->file) == bytes ? 0 : -(errno ? errno : EIO);
}

static int write_header(struct writer *writer, const struct trace *trace)
{
	struct byte_buffer header = { 0 }, preamble = { 0 };
	int ret = -ENOMEM;

	trace_header_put(trace, &header);
	buffer_put(&preamble, PBT_MAGIC, PBT_MAGIC_BYTES);
	buffer_put_u32(&preamble, PBT_VERSION);
	buffer_put_u32(&preamble, (uint32_t)header.bytes);
	if (header.failed || preamble.failed)
		goto out;
	ret = -E2BIG;
	if (header.bytes > PBT_HEADER_MAX)
		goto out;
	buffer_put_u32(&preamble,
		       crc32c(crc32c(0, preamble.data, preamble.bytes), header.data, header.bytes));
	ret = preamble.failed ? -ENOMEM : write_bytes(writer, preamble.data, preamble.bytes);
	if (!ret)
		ret = write_bytes(writer, header.data, header.bytes);
out:
	buffer_release(&preamble);
	buffer_release(&header);
	return ret;
}

/* ---- blocks ---- */

static int write_block(struct writer *writer, const void *stored, size_t stored_bytes,
		       uint32_t phase)
{
	struct byte_buffer header = { 0 };
	int ret = -ENOMEM;

	buffer_put_u32(&header, (uint32_t)stored_bytes);
	buffer_put_u32(&header, (uint32_t)writer->plain.bytes);
	buffer_put_u32(&header, writer->count);
	buffer_put_u32(&header, phase);
	if (!header.failed)
		buffer_put_u32(&header,
			       crc32c(crc32c(0, header.data, header.bytes), stored, stored_bytes));
	if (!header.failed)
		ret = write_bytes(writer, header.data, header.bytes);
	buffer_release(&header);
	return ret ? ret : write_bytes(writer, stored, stored_bytes);
}

static int flush(struct writer *writer)
{
	size_t bound, stored;
	void *grown;
	int ret;

	if (!writer->count)
		return 0;
	writer->plain.bytes = 0;
	ret = trace_codec_encode(writer->codec, writer->events, writer->processors, writer->count,
				 &writer->plain);
	if (ret)
		return ret;
	if (writer->plain.bytes > TRACE_BLOCK_BYTES)
		return -E2BIG;
	bound = ZSTD_compressBound(writer->plain.bytes);
	if (bound > writer->stored_capacity) {
		grown = realloc(writer->stored, bound);
		if (!grown)
			return -ENOMEM;
		writer->stored = grown;
		writer->stored_capacity = bound;
	}
	stored = ZSTD_compress(writer->stored, bound, writer->plain.data, writer->plain.bytes,
			       COMPRESSION_LEVEL);
	if (ZSTD_isError(stored))
		return -ENOMEM;
	ret = write_block(writer, writer->stored, stored, writer->phase);
	writer->count = 0;
	return ret;
}

static int write_visit(void *arg, enum trace_phase phase, unsigned processor,
		       const struct trace_event *event)
{
	struct writer *writer = arg;
	int ret = 0;

	if (phase != writer->phase || writer->count == TRACE_BLOCK_EVENTS)
		ret = flush(writer);
	if (phase != writer->phase)
		trace_codec_new_phase(writer->codec);
	writer->phase = phase;
	writer->events[writer->count] = *event;
	writer->processors[writer->count++] = (uint16_t)processor;
	return ret;
}

static int write_all(struct writer *writer, const struct trace *trace)
{
	int ret = write_header(writer, trace);

	if (!ret)
		ret = trace_walk(trace, write_visit, writer);
	if (!ret)
		ret = flush(writer);
	writer->plain.bytes = 0;
	if (!ret)
		ret = write_block(writer, "", 0, PBT_PHASE_END);
	if (!ret && fflush(writer->file))
		ret = -errno;
	return ret;
}

static int write_file(FILE *file, const struct trace *trace)
{
	struct writer writer = { .file = file };
	int ret = -ENOMEM;

	writer.codec = malloc(sizeof(*writer.codec));
	writer.events = malloc(TRACE_BLOCK_EVENTS * sizeof(*writer.events));
	writer.processors = malloc(TRACE_BLOCK_EVENTS * sizeof(*writer.processors));
	if (writer.codec && writer.events && writer.processors &&
	    !trace_codec_init(writer.codec, trace)) {
		ret = write_all(&writer, trace);
		trace_codec_destroy(writer.codec);
	}
	free(writer.codec);
	free(writer.events);
	free(writer.processors);
	free(writer.stored);
	buffer_release(&writer.plain);
	return ret;
}

int trace_write(const struct trace *trace, const char *path, char *why, size_t why_bytes)
{
	const char *limit = over_limit(trace);
	struct stat status;
	char *part = NULL;
	FILE *file;
	int ret;

	if (limit)
		return trace_fail(-E2BIG, why, why_bytes, "%s: %s", path, limit);
	ret = trace_validate(trace, why, why_bytes);
	if (ret)
		return ret;
	/* A device or a pipe is written to as it is. */
	if ((stat(path, &status) || S_ISREG(status.st_mode)) &&
	    asprintf(&part, "%s.part", path) < 0)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory");
	file = fopen(part ? part : path, "wb");
	if (!file) {
		ret = -errno;
		goto out;
	}
	ret = write_file(file, trace);
	if (fclose(file) && !ret)
		ret = -errno;
	if (!ret && part && rename(part, path))
		ret = -errno;
	if (ret && part)
		unlink(part);
out:
	free(part);
	if (ret)
		trace_fail(ret, why, why_bytes, "cannot write %s: %s", path, strerror(-ret));
	return ret;
}

/* ---- where recordings are ---- */

static bool locate_in(const char *directory, const char *name, char *path, size_t path_bytes)
{
	const int bytes = snprintf(path, path_bytes, "%s/%s.pbt", directory, name);

	return bytes > 0 && (size_t)bytes < path_bytes && !access(path, R_OK);
}

int trace_locate(const char *name, char *path, size_t path_bytes, char *why, size_t why_bytes)
{
	static const char *const built_in[] = { POOLBENCH_RECORDINGS_INSTALLED,
						POOLBENCH_RECORDINGS_SOURCE };
	const char *directory = getenv("POOLBENCH_RECORDINGS");
	struct stat status;

	if (strlen(name) >= path_bytes)
		return trace_fail(-ENAMETOOLONG, why, why_bytes,
				  "the name of the trace is too long");
	if (!stat(name, &status) && !S_ISDIR(status.st_mode)) {
		strcpy(path, name);
		return 0;
	}
	if (strchr(name, '/'))
		return trace_fail(-ENOENT, why, why_bytes, "no trace file %s", name);
	if (directory)
		return locate_in(directory, name, path, path_bytes)
			       ? 0
			       : trace_fail(-ENOENT, why, why_bytes,
					    "no trace '%s': neither a file nor in %s "
					    "(POOLBENCH_RECORDINGS)",
					    name, directory);
	for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
		if (locate_in(built_in[i], name, path, path_bytes))
			return 0;
	return trace_fail(-ENOENT, why, why_bytes,
			  "no trace '%s': neither a file nor a recording in %s; set "
			  "POOLBENCH_RECORDINGS to their directory",
			  name, built_in[0]);
}
