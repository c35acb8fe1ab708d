/* Reading smaps_rollup and statm; resident.h says which for what. */
#include "resident.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Some 25 lines of at most 30 characters, behind one with a range of addresses. */
#define ROLLUP_BYTES 4096

/* The value of a line "Name:     123 kB", in bytes; false when there is no such line. */
static bool find_line(const char *text, const char *name, uint64_t *bytes)
{
	size_t length = strlen(name);

	*bytes = 0;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		char *end;

		line += *line == '\n';
		if (strncmp(line, name, length) || line[length] != ':')
			continue;
		*bytes = strtoull(line + length + 1, &end, 10) * 1024;
		return !strncmp(end, " kB", 3);
	}
	return false;
}

int resident_parse(const char *text, struct resident_sample *sample)
{
	uint64_t shared_hugetlb, private_hugetlb;

	*sample = (struct resident_sample){ 0 };
	if (!find_line(text, "Anonymous", &sample->anonymous_bytes) ||
	    !find_line(text, "Shared_Hugetlb", &shared_hugetlb) ||
	    !find_line(text, "Private_Hugetlb", &private_hugetlb) ||
	    !find_line(text, "LazyFree", &sample->lazy_free_bytes) ||
	    !find_line(text, "Swap", &sample->swap_bytes))
		return -EILSEQ;
	/* Not in every kernel. */
	find_line(text, "Pss_Shmem", &sample->shmem_bytes);
	find_line(text, "Pss_File", &sample->file_bytes);
	sample->hugetlb_bytes = shared_hugetlb + private_hugetlb;
	sample->resident_bytes = sample->anonymous_bytes + sample->hugetlb_bytes +
				 sample->shmem_bytes;
	return 0;
}

int resident_open(struct resident_reader *reader)
{
	reader->fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	return reader->fd < 0 ? -errno : 0;
}

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void resident_close(struct resident_reader *reader)
{
	close_once(&reader->fd);
}

/* Reading from the start makes the kernel write the file anew. */
static int read_all(int fd, char *text, size_t bytes)
{
	ssize_t got;

	do
		got = pread(fd, text, bytes - 1, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	text[got] = 0;
	return 0;
}

int resident_read(const struct resident_reader *reader, struct resident_sample *sample)
{
	char text[ROLLUP_BYTES];
	int error = read_all(reader->fd, text, sizeof(text));

	return error ? error : resident_parse(text, sample);
}

int resident_watch_open(struct resident_watch *watch, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
	watch->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	watch->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watch->fd >= 0)
		return 0;
	return errno == ENOENT ? -ESRCH : -errno;
}

void resident_watch_close(struct resident_watch *watch)
{
	close_once(&watch->fd);
}

int resident_watch_read(const struct resident_watch *watch, uint64_t *bytes)
{
	char text[256], *end;
	int error = read_all(watch->fd, text, sizeof(text));
	uint64_t size;

	if (error)
		return error;
	size = strtoull(text, &end, 10);
	if (*end != ' ')
		return -EILSEQ;
	/* A process that has ended and was not waited for has no address space. */
	if (!size)
		return -ESRCH;
	*bytes = strtoull(end, NULL, 10) * watch->page_bytes;
	return 0;
}
