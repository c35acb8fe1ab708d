/* FNV-1a, 64 bits: for names that must not collide by accident. */
#ifndef POOLBENCH_HASH_H
#define POOLBENCH_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SEED 0xcbf29ce484222325u

/* Goes on from `hash`, HASH_SEED at first. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
	const unsigned char *byte = data;

	while (bytes--)
		hash = (hash ^ *byte++) * 0x100000001b3u;
	return hash;
}

#endif
