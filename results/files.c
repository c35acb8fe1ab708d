#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *advice(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return "; make room on that file system or choose another with --out";
	case EFBIG:
		return "; the limit on file sizes was reached (ulimit -f)";
	case EACCES:
	case EPERM:
	case EROFS:
		return "; choose a directory that you may write to with --out";
	case EMFILE:
	case ENFILE:
		return "; the limit on open files was reached (ulimit -n)";
	default:
		return "";
	}
}

int file_explain(char *why, size_t why_bytes, int error, const char *doing, ...)
{
	char text[1024], reason[128];
	va_list arguments;

	va_start(arguments, doing);
	vsnprintf(text, sizeof(text), doing, arguments);
	va_end(arguments);
	snprintf(why, why_bytes, "%s: %s%s", text, strerror_r(error, reason, sizeof(reason)),
		 advice(error));
	return -error;
}

int file_write_all(int fd, const void *data, size_t bytes)
{
	const char *next = data;

	while (bytes) {
		ssize_t done = write(fd, next, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		next += done;
		bytes -= (size_t)done;
	}
	return 0;
}

static int read_descriptor(int fd, char **text, size_t *bytes)
{
	size_t used = 0, room = 1 << 16;
	char *buffer = malloc(room + 1);

	while (buffer) {
		ssize_t got = read(fd, buffer + used, room - used);
		char *larger;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int error = errno;

			free(buffer);
			return -error;
		}
		used += (size_t)got;
		if (!got) {
			buffer[used] = '\0';
			*text = buffer;
			*bytes = used;
			return 0;
		}
		if (used < room)
			continue;
		room *= 2;
		larger = realloc(buffer, room + 1);
		if (!larger)
			free(buffer);
		buffer = larger;
	}
	return -ENOMEM;
}

int file_read_all(int directory_fd, const char *name, const char *shown, char **text, size_t *bytes,
		  char *why, size_t why_bytes)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open %s/%s", shown, name);
	error = read_descriptor(fd, text, bytes);
	close(fd);
	if (error)
		file_explain(why, why_bytes, -error, "cannot read %s/%s", shown, name);
	return error;
}

int file_replace(int directory_fd, const char *name, const char *shown, const void *data,
		 size_t bytes, char *why, size_t why_bytes)
{
	char temporary[256];
	int fd, error;

	snprintf(temporary, sizeof(temporary), ".%.200s.%ld.tmp", name, (long)getpid());
	fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot create %s/%s", shown, name);
	error = file_write_all(fd, data, bytes);
	if (!error && fdatasync(fd) && errno != EINVAL)
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	if (!error && renameat(directory_fd, temporary, directory_fd, name))
		error = -errno;
	if (error) {
		unlinkat(directory_fd, temporary, 0);
		return file_explain(why, why_bytes, -error, "cannot write %s/%s", shown, name);
	}
	fsync(directory_fd); /* the name too, where the file system can */
	return 0;
}

int file_make_directories(const char *path, char *why, size_t why_bytes)
{
	char *copy = strdup(path);
	int error = copy ? 0 : ENOMEM;

	for (char *slash = copy; !error && slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (*copy && mkdir(copy, 0777) && errno != EEXIST)
			error = errno;
		if (slash)
			*slash = '/';
	}
	free(copy);
	if (error)
		return file_explain(why, why_bytes, error, "cannot create the directory %s", path);
	return 0;
}
