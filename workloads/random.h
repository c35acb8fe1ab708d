/*
 * The generators' source of chance: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. Integers
 * only, so that a seed means the same trace on every machine. Not thread-safe: one state a generator.
 */
#ifndef POOLBENCH_RANDOM_H
#define POOLBENCH_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state[4];
};

static inline uint64_t random_splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

static inline void random_seed(struct random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		random->state[i] = random_splitmix(&seed);
}

static inline uint64_t random_rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline uint64_t random_next(struct random *random)
{
	uint64_t *s = random->state;
	const uint64_t result = random_rotate(s[1] * 5, 7) * 9;
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = random_rotate(s[3], 45);
	return result;
}

/* Uniform in 0 .. bound-1; bound >= 1 (Lemire's multiply-shift; its bias is below 2^-32 for our bounds). */
static inline uint32_t random_below(struct random *random, uint32_t bound)
{
	return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}

/* Uniform in low .. high, both included. */
static inline uint32_t random_between(struct random *random, uint32_t low, uint32_t high)
{
	return low + random_below(random, high - low + 1);
}

/* True `parts` times in a million. */
static inline bool random_chance(struct random *random, uint32_t parts_per_million)
{
	return random_below(random, 1000000) < parts_per_million;
}

#endif
