/* Bytes of trace files: growing buffers, bounded cursors, LEB128 numbers, CRC-32C. */
#ifndef POOLBENCH_BYTES_H
#define POOLBENCH_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Errors are kept in `failed`, so that a caller may put many things and look once. */
struct byte_buffer {
	uint8_t *data;
	size_t bytes, capacity;
	bool failed; /* out of memory */
};

void buffer_put(struct byte_buffer *buffer, const void *data, size_t bytes);
void buffer_put_u32(struct byte_buffer *buffer, uint32_t value); /* little-endian, as all here */
void buffer_put_u64(struct byte_buffer *buffer, uint64_t value);
void buffer_put_number(struct byte_buffer *buffer, uint64_t value);
void buffer_release(struct byte_buffer *buffer);

/* Reads stay inside; past the end they give 0 and set `bad`, for good. */
struct byte_cursor {
	const uint8_t *at, *end;
	bool bad;
};

const uint8_t *cursor_take(struct byte_cursor *cursor,
			   uint64_t bytes); /* NULL: not that many left */
uint32_t cursor_u32(struct byte_cursor *cursor);
uint64_t cursor_u64(struct byte_cursor *cursor);
/* Refuses numbers written longer than need be, so that content has one form only. */
uint64_t cursor_number(struct byte_cursor *cursor);
/* A number not above `max`. */
uint64_t cursor_number_max(struct byte_cursor *cursor, uint64_t max);

/* Castagnoli's polynomial, reflected; `crc` is 0 to begin with and the last result to go on. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
