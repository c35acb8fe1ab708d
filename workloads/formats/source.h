/* Lines of a file: plain or compressed by zstd, which is told by its magic number; "-" is standard input. */
#ifndef POOLBENCH_SOURCE_H
#define POOLBENCH_SOURCE_H

#include <stddef.h>

struct line_source;

/* 0, or -errno with a sentence. */
int line_source_open(const char *path, struct line_source **out, char *why, size_t why_bytes);
void line_source_close(struct line_source *source); /* NULL is fine */

/* The file's beginning, at most 64 KiB, NUL-terminated; consumes nothing. Zeros in it are as ends. */
const char *line_source_head(struct line_source *source);

/*
 * The next line without its end, NUL-terminated; the caller may write into it until the next call. NULL at the
 * end or on an error. Lines over 64 KiB are no lines of any format: they are skipped.
 */
char *line_source_next(struct line_source *source);

/*
 * The next bytes of a file that has no lines: as many as there are, `bytes` at most, 0 at the end or on an
 * error. Not mixed with line_source_next.
 */
size_t line_source_bytes(struct line_source *source, void *buffer, size_t bytes);

/* 0, or why line_source_next gave NULL before the end: -EILSEQ (damaged compression) or -errno. */
int line_source_error(const struct line_source *source);

#endif
