#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/pool.h"

#define LINE_BYTES    512
#define MINCORE_PAGES 4096u

void mappings_add(struct mappings *mappings, const void *start, size_t bytes)
{
	if (mappings->count < MAPPINGS_MAX)
		mappings->at[mappings->count++] = (struct mapping){ (uintptr_t)start,
								    (uintptr_t)start + bytes };
}

/* "7f00-7f10 rw-p 00000000 00:00 0   [name]" */
static void add_line(struct mappings *mappings, const char *line, bool heap)
{
	uintptr_t start, end;
	unsigned long inode;
	char access[8], name[64] = "";

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %lu %63s", &start, &end, access,
		   &inode, name) < 4)
		return;
	if (strcmp(access, "rw-p") != 0 || inode != 0)
		return;
	if (name[0] && strncmp(name, "[anon", 5) != 0 && !(heap && strcmp(name, "[heap]") == 0))
		return;
	mappings_add(mappings, (const void *)start, end - start);
}

/* By hand and line by line: stdio would allocate from the heap that is looked at. */
int mappings_read(struct mappings *mappings, bool heap)
{
	char text[8192];
	size_t held = 0;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	mappings->count = 0;
	if (fd < 0)
		return -errno;
	while ((got = read(fd, text + held, sizeof(text) - 1 - held)) > 0) {
		char *line = text, *end;

		held += (size_t)got;
		text[held] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			add_line(mappings, line, heap);
			line = end + 1;
		}
		held -= (size_t)(line - text);
		memmove(text, line, held);
		if (held > sizeof(text) - LINE_BYTES) /* a name longer than any of ours */
			held = 0;
	}
	close(fd);
	return got < 0 ? -EIO : 0;
}

static void subtract_one(struct mappings *mappings, size_t i, const struct mapping *hole)
{
	struct mapping *mapping = &mappings->at[i];
	const struct mapping rest = { hole->end, mapping->end };

	if (hole->end <= mapping->start || hole->start >= mapping->end)
		return;
	mapping->end = hole->start > mapping->start ? hole->start : mapping->start;
	if (rest.start < rest.end)
		mappings_add(mappings, (const void *)rest.start, rest.end - rest.start);
}

static void sort(struct mappings *mappings)
{
	size_t kept = 0;

	for (size_t i = 0; i < mappings->count; i++) {
		const struct mapping mapping = mappings->at[i];
		size_t at = kept;

		if (mapping.start >= mapping.end)
			continue;
		for (; at && mappings->at[at - 1].start > mapping.start; at--)
			mappings->at[at] = mappings->at[at - 1];
		mappings->at[at] = mapping;
		kept++;
	}
	mappings->count = kept;
}

void mappings_subtract(struct mappings *mappings, const struct mappings *without)
{
	for (size_t h = 0; h < without->count; h++)
		for (size_t i = 0; i < mappings->count; i++)
			subtract_one(mappings, i, &without->at[h]);
	sort(mappings);
}

void mappings_drop(struct mappings *mappings, const void *address)
{
	const uintptr_t at = (uintptr_t)address;

	for (size_t i = 0; i < mappings->count; i++)
		if (at >= mappings->at[i].start && at < mappings->at[i].end)
			mappings->at[i].end = mappings->at[i].start;
	sort(mappings);
}

void mappings_join(struct mappings *mappings, size_t gap)
{
	size_t kept = 0;

	for (size_t i = 0; i < mappings->count; i++) {
		if (kept && mappings->at[i].start - mappings->at[kept - 1].end <= gap)
			mappings->at[kept - 1].end = mappings->at[i].end;
		else
			mappings->at[kept++] = mappings->at[i];
	}
	mappings->count = kept;
}

int mapping_resident(const struct mapping *mapping, void (*visit)(void *arg, uintptr_t page),
		     void *arg)
{
	unsigned char resident[MINCORE_PAGES];

	for (uintptr_t at = mapping->start; mapping->end - at >= POOL_OS_PAGE;) {
		size_t pages = (mapping->end - at) / POOL_OS_PAGE;

		if (pages > MINCORE_PAGES)
			pages = MINCORE_PAGES;
		if (mincore((void *)at, pages * POOL_OS_PAGE, resident) != 0)
			return -errno;
		for (size_t i = 0; i < pages; i++)
			if (resident[i] & 1)
				visit(arg, at + i * POOL_OS_PAGE);
		at += pages * POOL_OS_PAGE;
	}
	return 0;
}
