/*
 * The traces of the malloc laboratory of "Computer Systems: A Programmer's Perspective" (Bryant and O'Hallaron),
 * files *.rep, as its driver mdriver.c reads them: four lines of one number each, then one operation a line.
 *
 *     20000        suggested heap size; in later editions the weight. Not used
 *     5            identifiers
 *     8            operations
 *     1            weight, or a heap size. Not used
 *     a 0 512      identifier 0 = malloc(512)
 *     r 0 640      identifier 0 = realloc(identifier 0, 640)
 *     f 0          free(identifier 0); -1 is NULL
 *
 * These files are made by tools, so that a line that is wrong means a file that is not what it seems: unlike a
 * recorder's output it is refused, with the number of the line.
 *
 * - A realloc is an allocation of the new size and a free of the old block behind it, which is what it costs when
 *   the block cannot grow where it is: pools have no realloc. A size of 0 makes it a free.
 * - malloc(0) gives a block that may be freed: an allocation of one byte.
 * - The memory of a program: paged. Touched at birth: all, as the driver writes it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "recording.h"
#include "source.h"
#include "workloads/trace_internal.h"

#define HEADER_LINES 4
#define MAX_IDS      (1u << 24)

enum id_state { ID_EMPTY, ID_FIRST, ID_SECOND }; /* which of its two addresses holds its block */

struct csapp {
	struct recording *recording;
	uint8_t *ids; /* enum id_state */
	uint64_t header[HEADER_LINES];
	uint64_t line, operations;
	unsigned header_lines; /* read so far */
	unsigned tag;
	char *why;
	size_t why_bytes;
};

/* A number behind blanks; *text goes behind it. */
static bool take_number(const char **text, uint64_t *value)
{
	char *end;

	*text += strspn(*text, " \t");
	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*value = strtoull(*text, &end, 10);
	*text = end;
	return !errno;
}

static bool at_end(const char *text)
{
	return text[strspn(text, " \t\r")] == '\0';
}

static uint64_t address_of(uint64_t id, enum id_state state)
{
	return 16 + 2 * id + (state == ID_SECOND);
}

static int refuse(const struct csapp *file, const char *what, const char *line)
{
	return trace_fail(-EILSEQ, file->why, file->why_bytes, "line %llu: %s: '%.40s'",
			  (unsigned long long)file->line, what, line);
}

static void allocate(struct csapp *file, uint64_t id, enum id_state state, uint64_t bytes)
{
	const uint32_t size = bytes ? (uint32_t)bytes : 1;

	file->ids[id] = (uint8_t)state;
	recording_alloc(file->recording, 0, address_of(id, state), POOL_PAGED, size, size,
			file->tag, false);
}

static int take_free(struct csapp *file, const char *line)
{
	const char *text = line + 1;
	uint64_t id;

	text += strspn(text, " \t");
	if (!strncmp(text, "-1", 2) && at_end(text + 2)) {
		recording_free(file->recording, 0, 0);
		return 0;
	}
	if (!take_number(&text, &id) || !at_end(text))
		return refuse(file, "a free is 'f IDENTIFIER'", line);
	if (id >= file->header[1])
		return refuse(file, "an identifier beyond what the header says", line);
	if (file->ids[id] == ID_EMPTY)
		return refuse(file, "frees what is not allocated", line);
	recording_free(file->recording, 0, address_of(id, file->ids[id]));
	file->ids[id] = ID_EMPTY;
	return 0;
}

static int take_alloc(struct csapp *file, const char *line)
{
	const char *text = line + 1;
	uint64_t id, bytes;
	enum id_state old;

	if (!take_number(&text, &id) || !take_number(&text, &bytes) || !at_end(text))
		return refuse(file, "an allocation is 'a IDENTIFIER BYTES' or 'r IDENTIFIER BYTES'",
			      line);
	if (id >= file->header[1])
		return refuse(file, "an identifier beyond what the header says", line);
	if (bytes > UINT32_MAX)
		return refuse(file, "more than 4 GiB in one block", line);
	old = (enum id_state)file->ids[id];
	if (*line == 'a' && old != ID_EMPTY)
		return refuse(file, "allocates what is still allocated", line);
	if (bytes || *line == 'a')
		allocate(file, id, old == ID_FIRST ? ID_SECOND : ID_FIRST, bytes);
	else
		file->ids[id] = ID_EMPTY;
	if (old != ID_EMPTY)
		recording_free(file->recording, 0, address_of(id, old));
	return 0;
}

static int take_line(struct csapp *file, const char *line)
{
	const char *text = line;

	if (at_end(line))
		return 0;
	if (file->header_lines < HEADER_LINES) {
		if (!take_number(&text, &file->header[file->header_lines++]) || !at_end(text))
			return refuse(file, "the first four lines are a number each", line);
		if (file->header_lines < HEADER_LINES)
			return 0;
		if (file->header[1] > MAX_IDS)
			return refuse(file, "the header says more than 16777216 identifiers", line);
		file->ids = calloc((size_t)file->header[1] + 1, sizeof(*file->ids));
		return file->ids ? 0
				 : trace_fail(-ENOMEM, file->why, file->why_bytes, "out of memory");
	}
	if (file->operations++ == file->header[2])
		return refuse(file, "more operations than the header says", line);
	if (*line == 'f')
		return take_free(file, line);
	if (*line == 'a' || *line == 'r')
		return take_alloc(file, line);
	return refuse(file, "an operation is a, r or f", line);
}

static int csapp_import(struct line_source *source, struct recording *recording, char *why,
			size_t why_bytes)
{
	struct csapp file = { .recording = recording, .why = why, .why_bytes = why_bytes };
	char *line;
	int ret = 0;

	file.tag = recording_tag(recording, 'p', "program", 7);
	while (!ret && (line = line_source_next(source))) {
		file.line++;
		ret = take_line(&file, line);
	}
	if (!ret && !line_source_error(source) &&
	    (file.header_lines < HEADER_LINES || file.operations < file.header[2]))
		ret = trace_fail(-EILSEQ, why, why_bytes,
				 "the file ends at line %llu, after %llu of %llu operations",
				 (unsigned long long)file.line, (unsigned long long)file.operations,
				 (unsigned long long)file.header[2]);
	free(file.ids);
	return ret;
}

/* Four lines that are a number each, then an operation. */
static bool csapp_sniff(const char *head)
{
	uint64_t number;

	for (int i = 0; i < HEADER_LINES; i++) {
		if (!take_number(&head, &number))
			return false;
		head += strspn(head, " \t\r");
		if (*head++ != '\n')
			return false;
	}
	return (*head == 'a' || *head == 'r') && head[1] == ' ' && isdigit((unsigned char)head[2]);
}

const struct trace_format csapp_format = {
	.name = "csapp",
	.summary = "traces of the CS:APP malloc laboratory (*.rep)",
	.sniff = csapp_sniff,
	.import = csapp_import,
};
