/*
 * Small file helpers of the results module: every error comes with a sentence that says what was
 * being done and what would help. Thread-safe.
 */
#ifndef POOLBENCH_FILES_H
#define POOLBENCH_FILES_H

#include <stddef.h>
#include <stdio.h>

/* Writes "doing: strerror; advice" into `why` and returns -error; `error` is a positive errno. */
__attribute__((format(printf, 4, 5))) int file_explain(char *why, size_t why_bytes, int error,
						       const char *doing, ...);

/*
 * All of it with one write(2) as a rule, more after a signal. 0 or -errno; some may have been
 * written.
 */
int file_write_all(int fd, const void *data, size_t bytes);

/*
 * The whole file with a NUL after it, for free(). 0 or -errno with `why`. `name` is relative to the
 * directory `directory_fd`; `shown` stands before it in messages.
 */
int file_read_all(int directory_fd, const char *name, const char *shown, char **text, size_t *bytes,
		  char *why, size_t why_bytes);

/*
 * Puts a new file in place of `name` so that a reader, or a crash, sees the old one or the new one
 * and nothing between: temporary file, fdatasync, rename, fsync of the directory.
 */
int file_replace(int directory_fd, const char *name, const char *shown, const void *data,
		 size_t bytes, char *why, size_t why_bytes);

/* mkdir -p. 0 or -errno with `why`. */
int file_make_directories(const char *path, char *why, size_t why_bytes);

#endif
