#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Noreturn void fuzz_broken(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
	abort();
}

int fuzz_file(const uint8_t *data, size_t bytes, char path[FUZZ_PATH_BYTES])
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_MUST(fd >= 0);
	FUZZ_MUST(bytes == 0 || write(fd, data, bytes) == (ssize_t)bytes);
	snprintf(path, FUZZ_PATH_BYTES, "/proc/self/fd/%d", fd);
	return fd;
}

char *fuzz_text(const uint8_t *data, size_t bytes)
{
	char *text = malloc(bytes + 1);

	FUZZ_MUST(text);
	if (bytes)
		memcpy(text, data, bytes);
	text[bytes] = '\0';
	return text;
}
