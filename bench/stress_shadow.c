/* The shadow of live ranges; stress_shadow.h has the theory. */
#include "stress_shadow.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#define GRANULE_SHIFT 4u
#define WORD_SHIFT    (GRANULE_SHIFT + 6u) /* addresses that one word covers: 1 KiB */
#define LEAF_SHIFT    30u /* and one leaf: 1 GiB */
#define LEAF_WORDS    (1u << (LEAF_SHIFT - WORD_SHIFT))
#define ADDRESS_BITS  48u
#define LEAVES        (1u << (ADDRESS_BITS - LEAF_SHIFT))

struct shadow_leaf {
	_Atomic uint64_t words[LEAF_WORDS];
};

struct shadow {
	_Atomic(struct shadow_leaf *) leaves[LEAVES];
};

static void *map_sparse(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

struct shadow *shadow_create(void)
{
	return map_sparse(sizeof(struct shadow));
}

void shadow_destroy(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (size_t i = 0; i < LEAVES; i++)
		if (shadow->leaves[i])
			munmap(shadow->leaves[i], sizeof(struct shadow_leaf));
	munmap(shadow, sizeof(*shadow));
}

static struct shadow_leaf *make_leaf(_Atomic(struct shadow_leaf *) *place)
{
	struct shadow_leaf *leaf = NULL, *fresh = map_sparse(sizeof(*fresh));

	if (!fresh || atomic_compare_exchange_strong(place, &leaf, fresh))
		return fresh;
	munmap(fresh, sizeof(*fresh));
	return leaf;
}

/* The word of an address; NULL: no memory. */
static inline _Atomic uint64_t *word_of(struct shadow *shadow, uintptr_t address)
{
	_Atomic(struct shadow_leaf *) *place =
		&shadow->leaves[address >> LEAF_SHIFT & (LEAVES - 1)];
	struct shadow_leaf *leaf = atomic_load_explicit(place, memory_order_acquire);

	if (__builtin_expect(!leaf, 0))
		leaf = make_leaf(place);
	return leaf ? &leaf->words[address >> WORD_SHIFT & (LEAF_WORDS - 1)] : NULL;
}

/* The bits of [at, end) in the word of `at`. */
static inline uint64_t bits_of(uintptr_t at, uintptr_t end)
{
	const uintptr_t word = at >> WORD_SHIFT << WORD_SHIFT;
	const uint64_t from = ~UINT64_C(0) << ((at - word) >> GRANULE_SHIFT);
	const uintptr_t granules = (end - word + (1u << GRANULE_SHIFT) - 1) >> GRANULE_SHIFT;

	return granules >= 64 ? from : from & ((UINT64_C(1) << granules) - 1);
}

static inline uintptr_t next_word(uintptr_t at)
{
	return ((at >> WORD_SHIFT) + 1) << WORD_SHIFT;
}

int shadow_add(struct shadow *shadow, const void *block, size_t bytes)
{
	const uintptr_t end = (uintptr_t)block + bytes;
	uint64_t met = 0;

	for (uintptr_t at = (uintptr_t)block; at < end; at = next_word(at)) {
		_Atomic uint64_t *word = word_of(shadow, at);
		const uint64_t bits = bits_of(at, end);

		if (!word)
			return -ENOMEM;
		met |= atomic_fetch_or_explicit(word, bits, memory_order_acq_rel) & bits;
	}
	return met ? -EEXIST : 0;
}

void shadow_remove(struct shadow *shadow, const void *block, size_t bytes)
{
	const uintptr_t end = (uintptr_t)block + bytes;

	for (uintptr_t at = (uintptr_t)block; at < end; at = next_word(at))
		atomic_fetch_and_explicit(word_of(shadow, at), ~bits_of(at, end),
					  memory_order_acq_rel);
}

bool shadow_has(struct shadow *shadow, const void *address)
{
	const uintptr_t at = (uintptr_t)address;
	const struct shadow_leaf *leaf = atomic_load_explicit(
		&shadow->leaves[at >> LEAF_SHIFT & (LEAVES - 1)], memory_order_acquire);

	return leaf && (atomic_load(&leaf->words[at >> WORD_SHIFT & (LEAF_WORDS - 1)]) &
			bits_of(at, at + 1));
}
