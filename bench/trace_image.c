#include "trace_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_MAGIC     0x474D49454341u /* "ACEIMG" */
#define IMAGE_ALIGNMENT 64u

/* Offsets are from the image's start; the struct itself is at offset 0. */
struct image_head {
	uint64_t magic, bytes;
	struct trace trace; /* its pointers are meaningless */
	uint64_t streams_at, tags_at, order_at, origin_at, marks_at;
};

struct image_writer {
	int fd;
	uint64_t at;
	int error;
};

static uint64_t image_append(struct image_writer *writer, const void *data, size_t bytes)
{
	const uint64_t at = (writer->at + IMAGE_ALIGNMENT - 1) & ~(uint64_t)(IMAGE_ALIGNMENT - 1);
	const char *from = data;
	size_t done = 0;

	while (done < bytes && writer->error == 0) {
		ssize_t n = pwrite(writer->fd, from + done, bytes - done, (off_t)(at + done));

		if (n < 0 && errno != EINTR)
			writer->error = -errno;
		else if (n > 0)
			done += (size_t)n;
	}
	writer->at = at + bytes;
	return at;
}

/* An array of strings becomes an array of offsets. */
static uint64_t image_append_names(struct image_writer *writer, char *const *names, unsigned count)
{
	uint64_t *at = calloc(count + 1u, sizeof(*at));
	uint64_t result = 0;

	if (!at) {
		writer->error = -ENOMEM;
		return 0;
	}
	for (unsigned i = 0; i < count; i++)
		at[i] = image_append(writer, names[i], strlen(names[i]) + 1);
	result = image_append(writer, at, sizeof(*at) * count);
	free(at);
	return result;
}

static uint64_t image_append_streams(struct image_writer *writer, const struct trace *trace)
{
	struct trace_stream *streams = calloc(trace->processors, sizeof(*streams));
	uint64_t result;

	if (!streams) {
		writer->error = -ENOMEM;
		return 0;
	}
	for (unsigned p = 0; p < trace->processors; p++) {
		streams[p] = trace->streams[p];
		streams[p].events = (struct trace_event *)(uintptr_t)image_append(
			writer, trace->streams[p].events,
			sizeof(struct trace_event) * trace->streams[p].total);
	}
	result = image_append(writer, streams, sizeof(*streams) * trace->processors);
	free(streams);
	return result;
}

static uint64_t image_append_tags(struct image_writer *writer, const struct trace *trace)
{
	struct trace_tag *tags = calloc(trace->tags + 1u, sizeof(*tags));
	uint64_t result;

	if (!tags) {
		writer->error = -ENOMEM;
		return 0;
	}
	for (unsigned i = 0; i < trace->tags; i++) {
		const char *name = trace->tag_table[i].name;

		tags[i].tag = trace->tag_table[i].tag;
		tags[i].name = (char *)(uintptr_t)image_append(writer, name, strlen(name) + 1);
	}
	result = image_append(writer, tags, sizeof(*tags) * trace->tags);
	free(tags);
	return result;
}

int trace_image_write(const struct trace *trace)
{
	struct image_head head = { .magic = IMAGE_MAGIC, .trace = *trace };
	struct image_writer writer = { .fd = memfd_create("trace", MFD_CLOEXEC),
				       .at = sizeof(head) };

	if (writer.fd < 0)
		return -errno;
	head.streams_at = image_append_streams(&writer, trace);
	head.tags_at = image_append_tags(&writer, trace);
	head.order_at = image_append(&writer, trace->order, sizeof(*trace->order) * trace->runs);
	head.origin_at = image_append(&writer, trace->origin, strlen(trace->origin) + 1);
	head.marks_at = image_append_names(&writer, trace->mark_names, trace->marks);
	head.bytes = writer.at;
	writer.at = 0;
	image_append(&writer, &head, sizeof(head));
	/* An empty table at the end has an offset and no bytes: the file still reaches it. */
	if (!writer.error && ftruncate(writer.fd, (off_t)head.bytes) != 0)
		writer.error = -errno;
	if (writer.error) {
		close(writer.fd);
		return writer.error;
	}
	return writer.fd;
}

/* Turns the offsets of a fresh private mapping into pointers. */
static void image_relocate(char *base, const struct image_head *head, struct trace *trace)
{
	uint64_t *marks = (uint64_t *)(void *)(base + head->marks_at);

	*trace = head->trace;
	trace->streams = (struct trace_stream *)(void *)(base + head->streams_at);
	for (unsigned p = 0; p < trace->processors; p++)
		trace->streams[p].events =
			(struct trace_event *)(void *)(base + (uintptr_t)trace->streams[p].events);
	trace->tag_table = (struct trace_tag *)(void *)(base + head->tags_at);
	for (unsigned i = 0; i < trace->tags; i++)
		trace->tag_table[i].name = base + (uintptr_t)trace->tag_table[i].name;
	trace->order = (struct trace_run *)(void *)(base + head->order_at);
	trace->origin = base + head->origin_at;
	for (unsigned i = 0; i < trace->marks; i++)
		marks[i] += (uintptr_t)base;
	trace->mark_names = (char **)(void *)marks;
}

int trace_image_map(int fd, struct trace_image *out)
{
	const struct image_head *head;
	struct stat status;
	char *base;

	if (fstat(fd, &status) != 0)
		return -errno;
	if ((size_t)status.st_size < sizeof(*head))
		return -EILSEQ;
	base = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	head = (const struct image_head *)(const void *)base;
	if (head->magic != IMAGE_MAGIC || head->bytes > (uint64_t)status.st_size) {
		munmap(base, (size_t)status.st_size);
		return -EILSEQ;
	}
	(void)mlock(base, (size_t)status.st_size); /* populated already: a refusal is fine */
	image_relocate(base, head, &out->trace);
	out->mapping = base;
	out->mapping_bytes = (size_t)status.st_size;
	return 0;
}

void trace_image_unmap(struct trace_image *image)
{
	if (image->mapping)
		munmap(image->mapping, image->mapping_bytes);
	memset(image, 0, sizeof(*image));
}
