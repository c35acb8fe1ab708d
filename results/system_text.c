#include "system_text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record_json.h"

bool system_text(const char *root, const char *path, char *text, size_t bytes)
{
	char full[PATH_MAX];
	size_t used = 0;
	ssize_t got;
	int fd;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", root, path) >= sizeof(full))
		return false;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((got = read(fd, text + used, bytes - 1 - used)) > 0)
		used += (size_t)got;
	close(fd);
	if (got < 0)
		return false;
	while (used && isspace((unsigned char)text[used - 1]))
		used--;
	text[used] = '\0';
	return true;
}

json_t *system_string(const char *root, const char *path)
{
	char text[4096];

	return system_text(root, path, text, sizeof(text)) ? json_text(text) : json_null();
}

json_t *system_integer(const char *root, const char *path)
{
	char text[64], *end;
	long long value;

	if (!system_text(root, path, text, sizeof(text)))
		return json_null();
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno || end == text || *end ? json_null() : json_integer(value);
}

bool system_field(const char *text, const char *key, char *value, size_t bytes)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		size_t used;

		line += *line == '\n';
		if (strncmp(line, key, length))
			continue;
		used = length + strspn(line + length, " \t");
		if (line[used] != ':' && used == length)
			continue; /* a longer key */
		line += used + (line[used] == ':');
		line += strspn(line, " \t");
		used = strcspn(line, "\n");
		while (used && isspace((unsigned char)line[used - 1]))
			used--;
		snprintf(value, bytes, "%.*s", (int)used, line);
		return true;
	}
	return false;
}
