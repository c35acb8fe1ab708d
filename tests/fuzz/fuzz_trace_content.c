/*
 * Any bytes as the content of a trace file whose checksums and compression are right, so that what lies behind them
 * is reached: the header's fields and the blocks' columns.
 *
 * Input: 2 bytes length of the header, header; then blocks: phase (1), events (2), length of columns (2), columns.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "fuzz.h"
#include "workloads/bytes.h"
#include "workloads/trace.h"
#include "workloads/trace_header.h"

static const uint8_t *take(struct byte_cursor *in, size_t wanted, size_t *got)
{
	const size_t left = (size_t)(in->end - in->at);

	*got = wanted < left ? wanted : left;
	return cursor_take(in, *got);
}

static uint32_t take_number(struct byte_cursor *in, size_t wanted)
{
	size_t got;
	const uint8_t *at = take(in, wanted, &got);
	uint32_t number = 0;

	while (got--)
		number = number << 8 | at[got];
	return number;
}

static void put_header(struct byte_buffer *file, struct byte_cursor *in)
{
	const size_t wanted = take_number(in, 2);
	size_t bytes;
	const uint8_t *header = take(in, wanted, &bytes);

	buffer_put(file, PBT_MAGIC, PBT_MAGIC_BYTES);
	buffer_put_u32(file, PBT_VERSION);
	buffer_put_u32(file, (uint32_t)bytes);
	buffer_put_u32(file, crc32c(crc32c(0, file->data, file->bytes), header, bytes));
	buffer_put(file, header, bytes);
}

static void put_block(struct byte_buffer *file, struct byte_cursor *in)
{
	static uint8_t stored[1 << 17];
	const uint32_t phase = take_number(in, 1), events = take_number(in, 2);
	const size_t wanted = take_number(in, 2), start = file->bytes;
	size_t bytes, stored_bytes = 0;
	const uint8_t *columns = take(in, wanted, &bytes);

	if (phase != PBT_PHASE_END)
		stored_bytes = ZSTD_compress(stored, sizeof(stored), columns, bytes, 1);
	FUZZ_MUST(!ZSTD_isError(stored_bytes));
	buffer_put_u32(file, (uint32_t)stored_bytes);
	buffer_put_u32(file, (uint32_t)(phase == PBT_PHASE_END ? 0 : bytes));
	buffer_put_u32(file, events);
	buffer_put_u32(file, phase);
	buffer_put_u32(file, crc32c(crc32c(0, file->data + start, PBT_BLOCK_HEADER - 4), stored,
				    stored_bytes));
	buffer_put(file, stored, stored_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct byte_cursor in = { .at = data, .end = data + bytes };
	struct byte_buffer file = { 0 };
	struct trace *trace = NULL;
	char path[FUZZ_PATH_BYTES], why[256] = "";
	int fd, error;

	put_header(&file, &in);
	while (in.at < in.end)
		put_block(&file, &in);
	FUZZ_MUST(!file.failed);
	fd = fuzz_file(file.data, file.bytes, path);
	error = trace_read(path, &trace, why, sizeof(why));
	FUZZ_MUST(error == 0 ? trace != NULL : !trace && why[0]);
	if (trace)
		FUZZ_MUST(trace_validate(trace, why, sizeof(why)) == 0);
	trace_destroy(trace);
	close(fd);
	buffer_release(&file);
	return 0;
}
