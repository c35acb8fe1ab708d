/*
 * A bitmap that threads change at once, each the bits of pages that it owns: words are shared, bits
 * are not. All counts and indices are in bits.
 */
#ifndef POOLBENCH_PAGES_BITMAP_H
#define POOLBENCH_PAGES_BITMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORD 64u

typedef _Atomic uint64_t bitmap_word;

/* Bits [bit, bit + count) of a word; count >= 1, all within the word. */
static inline uint64_t bitmap_mask(size_t bit, size_t count)
{
	return (count >= BITMAP_WORD ? ~0ull : (1ull << count) - 1) << bit;
}

/* How many of `count` bits from `index` on lie in the first word. */
static inline size_t bitmap_in_word(size_t index, size_t count)
{
	const size_t left = BITMAP_WORD - index % BITMAP_WORD;

	return count < left ? count : left;
}

/* Sets or clears; true if every bit of the run had the other value before. */
static inline bool bitmap_flip(bitmap_word *words, size_t index, size_t count, bool set)
{
	bool clean = true;

	while (count > 0) {
		const size_t here = bitmap_in_word(index, count);
		const uint64_t mask = bitmap_mask(index % BITMAP_WORD, here);
		bitmap_word *word = &words[index / BITMAP_WORD];

		if (set)
			clean &= (atomic_fetch_or_explicit(word, mask, memory_order_acq_rel) &
				  mask) == 0;
		else
			clean &= (atomic_fetch_and_explicit(word, ~mask, memory_order_acq_rel) &
				  mask) == mask;
		index += here;
		count -= here;
	}
	return clean;
}

/* How many bits of the run are set. */
static inline size_t bitmap_count(bitmap_word *words, size_t index, size_t count)
{
	size_t set = 0;

	while (count > 0) {
		const size_t here = bitmap_in_word(index, count);
		const uint64_t mask = bitmap_mask(index % BITMAP_WORD, here);

		set += (size_t)__builtin_popcountll(
			atomic_load_explicit(&words[index / BITMAP_WORD], memory_order_acquire) &
			mask);
		index += here;
		count -= here;
	}
	return set;
}

/* The first bit that is set in [from, limit); `limit` if there is none. */
static inline size_t bitmap_next(bitmap_word *words, size_t from, size_t limit)
{
	while (from < limit) {
		const uint64_t rest = atomic_load_explicit(&words[from / BITMAP_WORD],
							   memory_order_acquire) >>
				      (from % BITMAP_WORD);

		if (rest) {
			from += (size_t)__builtin_ctzll(rest);
			return from < limit ? from : limit;
		}
		from = (from / BITMAP_WORD + 1) * BITMAP_WORD;
	}
	return limit;
}

static inline bool bitmap_all(bitmap_word *words, size_t index, size_t count)
{
	return bitmap_count(words, index, count) == count;
}

static inline bool bitmap_any(bitmap_word *words, size_t index, size_t count)
{
	return bitmap_count(words, index, count) > 0;
}

#endif
