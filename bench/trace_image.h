/*
 * A trace laid out flat in an anonymous file, made once a run and mapped by every measuring process.
 *
 * Why: generating or decoding a trace inside the measuring process would leave its heap in a state of our
 * making (freed megabytes for the glibc backend to reuse, its dynamic mmap threshold raised), and would
 * take time in each of hundreds of processes. A mapped image leaves the heap under test untouched.
 */
#ifndef POOLBENCH_TRACE_IMAGE_H
#define POOLBENCH_TRACE_IMAGE_H

#include <stddef.h>

#include "workloads/trace.h"

/* A descriptor of a new image (close-on-exec set), or -errno. */
int trace_image_write(const struct trace *trace);

/*
 * Maps an image made by the same binary, private, so that events may be rewritten; faults it in. The trace
 * borrows from the mapping: only what trace_image_unmap frees. 0 or -errno; -EILSEQ: not an image.
 */
struct trace_image {
	struct trace trace;
	void *mapping;
	size_t mapping_bytes;
};
int trace_image_map(int fd, struct trace_image *out);
void trace_image_unmap(struct trace_image *image);

#endif
