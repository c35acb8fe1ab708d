#include "bytes.h"

#include <stdlib.h>
#include <string.h>

void buffer_put(struct byte_buffer *buffer, const void *data, size_t bytes)
{
	if (buffer->failed || !bytes)
		return;
	if (bytes > buffer->capacity - buffer->bytes) {
		const size_t wanted = (buffer->bytes + bytes) * 2 + 64;
		uint8_t *grown = realloc(buffer->data, wanted);

		if (!grown) {
			buffer->failed = true;
			return;
		}
		buffer->data = grown;
		buffer->capacity = wanted;
	}
	memcpy(buffer->data + buffer->bytes, data, bytes);
	buffer->bytes += bytes;
}

void buffer_put_u32(struct byte_buffer *buffer, uint32_t value)
{
	uint8_t bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	buffer_put(buffer, bytes, sizeof(bytes));
}

void buffer_put_u64(struct byte_buffer *buffer, uint64_t value)
{
	buffer_put_u32(buffer, (uint32_t)value);
	buffer_put_u32(buffer, (uint32_t)(value >> 32));
}

void buffer_put_number(struct byte_buffer *buffer, uint64_t value)
{
	uint8_t bytes[10];
	size_t count = 0;

	while (value >= 0x80) {
		bytes[count++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[count++] = (uint8_t)value;
	buffer_put(buffer, bytes, count);
}

void buffer_release(struct byte_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct byte_buffer){ 0 };
}

const uint8_t *cursor_take(struct byte_cursor *cursor, uint64_t bytes)
{
	const uint8_t *taken = cursor->at;

	if (cursor->bad || bytes > (uint64_t)(cursor->end - cursor->at)) {
		cursor->bad = true;
		return NULL;
	}
	cursor->at += bytes;
	return taken;
}

uint32_t cursor_u32(struct byte_cursor *cursor)
{
	const uint8_t *b = cursor_take(cursor, 4);

	return b ? (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
			       (uint32_t)b[3] << 24
		 : 0;
}

uint64_t cursor_u64(struct byte_cursor *cursor)
{
	const uint64_t low = cursor_u32(cursor);

	return low | (uint64_t)cursor_u32(cursor) << 32;
}

uint64_t cursor_number(struct byte_cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *byte = cursor_take(cursor, 1);

		if (!byte)
			return 0;
		if (shift == 63 && *byte > 1) /* more than 64 bits */
			break;
		value |= (uint64_t)(*byte & 0x7f) << shift;
		if (*byte & 0x80)
			continue;
		if (!*byte && shift) /* a leading zero */
			break;
		return value;
	}
	cursor->bad = true;
	return 0;
}

uint64_t cursor_number_max(struct byte_cursor *cursor, uint64_t max)
{
	const uint64_t value = cursor_number(cursor);

	if (value <= max)
		return value;
	cursor->bad = true;
	return 0;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
		0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
		0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
	};
	const uint8_t *at = data;

	crc = ~crc;
	while (bytes--) {
		crc ^= *at++;
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}
