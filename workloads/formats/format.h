/*
 * Importers: recordings of real systems as traces. One file and one line in format.c adds a format.
 *
 * An importer reads lines and tells a recording what was allocated and freed where; the recording knows
 * addresses, counts what a trace cannot hold, and builds.
 */
#ifndef POOLBENCH_FORMAT_H
#define POOLBENCH_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "workloads/trace.h"

struct line_source;
struct recording;

struct trace_format {
	const char *name, *summary;
	/* Whether `head`, the first lines of a file (NUL-terminated, the last may be cut), looks like it. */
	bool (*sniff)(const char *head);
	/*
	 * Reads all of it. Of what a recorder prints while others do, damaged lines are counted (recording_malformed)
	 * and left out; an error is only what makes the rest useless. Of a file that a tool has made, every damage is. 0, or -errno with a sentence in `why`.
	 */
	int (*import)(struct line_source *source, struct recording *recording, char *why,
		      size_t why_bytes);
};

extern const struct trace_format linux_kmem_format, csapp_format, glibc_wl_format;

extern const struct trace_format *const trace_formats[]; /* NULL-terminated */

/*
 * The trace of a recording: an empty prologue, a body that is the recording, a mark "recording ends", and
 * the drain of what was still live then, so that laps start alike.
 * `path`: a file, plain or compressed by zstd (told by its first bytes), "-" for standard input. `format`: a
 * name, or NULL to find out. `origin`: what is recorded, or NULL for a line made of format and file name.
 * 0 and *out; with a sentence in `why`: -EINVAL (unknown format; no events), -EILSEQ (the file is damaged), -errno of
 * the file, and as trace_builder_finish.
 */
int trace_import(const char *path, const char *format, const char *origin, struct trace **out,
		 char *why, size_t why_bytes);

#define RECORDING_END_MARK "recording ends"

#endif
