/* Reading the records of a run back: whole lines only. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "record_json.h"
#include "run_dir.h"

int records_parse(const char *text, size_t length, struct record **records, size_t *count,
		  size_t *used, char *why, size_t why_bytes)
{
	const char *next = text, *end;
	struct record *list = NULL;
	size_t n = 0, room = 0;
	char reason[256];
	int error = 0;

	while ((end = memchr(next, '\n', length - (size_t)(next - text)))) {
		if (n == room) {
			struct record *larger;

			room = room ? 2 * room : 64;
			larger = reallocarray(list, room, sizeof(*list));
			if (!larger) {
				snprintf(why, why_bytes, "no memory for %zu records", room);
				error = -ENOMEM;
				break;
			}
			list = larger;
		}
		error = record_from_json(next, (size_t)(end - next), &list[n], reason,
					 sizeof(reason));
		if (error) {
			snprintf(why, why_bytes, "line %zu: %s", n + 1, reason);
			if (error == -EINVAL)
				error = -EBADMSG;
			break;
		}
		n++;
		next = end + 1;
	}
	if (error) {
		free(list);
		return error;
	}
	*records = list;
	*count = n;
	if (used)
		*used = (size_t)(next - text);
	return 0;
}

int records_read(const char *directory, struct record **records, size_t *count, char *why,
		 size_t why_bytes)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	char *text, reason[512];
	size_t bytes;

	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open the run %s", directory);
	error = file_read_all(fd, RUN_DIR_RECORDS, directory, &text, &bytes, why, why_bytes);
	close(fd);
	if (error)
		return error;
	error = records_parse(text, bytes, records, count, NULL, reason, sizeof(reason));
	free(text);
	if (error)
		snprintf(why, why_bytes, "%s/" RUN_DIR_RECORDS ": %s", directory, reason);
	return error;
}
