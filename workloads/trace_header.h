/* Numbers of the .pbt format, version 1 (docs/trace-format.md), and its header. */
#ifndef POOLBENCH_TRACE_HEADER_H
#define POOLBENCH_TRACE_HEADER_H

#include <stdint.h>

#include "bytes.h"
#include "trace.h"

/* A byte above 127, both line ends and a DOS end-of-file: transfers as text damage it visibly. */
#define PBT_MAGIC        "\x8ePBT\r\n\x1a\n"
#define PBT_MAGIC_BYTES  8u
#define PBT_VERSION      1u
#define PBT_PREAMBLE     20u /* magic, version, header's bytes, header's CRC */
#define PBT_HEADER_MAX   (64u << 20)
#define PBT_BLOCK_HEADER 20u /* stored bytes, plain bytes, events, phase, CRC */
#define PBT_PHASE_END    3u /* the phase of the block that ends a file */

/* Fields of the header, in this order, each once. */
enum pbt_field {
	PBT_PROCESSORS = 1,
	PBT_SLOTS,
	PBT_ORIGIN,
	PBT_SEED,
	PBT_RECORDED,
	PBT_LOSSES,
	PBT_EVENTS,
	PBT_TAGS,
	PBT_MARKS,
	PBT_CHECKSUM,
	PBT_FIELDS
};

/* Appends the header of `trace`, without the preamble. */
void trace_header_put(const struct trace *trace, struct byte_buffer *out);

/*
 * Makes a trace without events, and how many events of each phase to expect. 0; -EILSEQ and *what, a
 * sentence; -ENOMEM.
 */
int trace_header_parse(struct byte_cursor header, struct trace **out,
		       uint64_t expected[TRACE_PHASES], const char **what);

#endif
