/* The pool header in front of every block of less than a page. */
#ifndef POOLBENCH_SEGMENT_HEAP_HEADER_H
#define POOLBENCH_SEGMENT_HEAP_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "allocators/pool.h"

#define SH_LINE 64

/* States of a block; each plus its pool type (0 or 1). Zero, and anything else, is no block. */
enum sh_kind {
	SH_FREE = 0,
	SH_INTERNAL = 0x80, /* a chunk that the heap itself uses */
	SH_LFH = 0xA0, /* live, in a subsegment of the low-fragmentation heap */
	SH_VS = 0xB0, /* live, a chunk of the variable-size layer */
	SH_RETURNED = 0xC0, /* was SH_LFH */
	SH_CACHED = 0xD0, /* a chunk kept by a lookaside list */
	SH_DELAYED = 0xE0, /* a chunk in the list of delayed frees */
	SH_REMOTE = 0xF0 /* an LFH block on its way back to its slot */
};

/*
 * In front of every block of less than a page, in the same OS page; so no such block is
 * page-aligned, and the others are known by their alignment. It belongs to whoever holds the block.
 *
 *     word: tag 32 | kind + pool type 8 | owner 12 | index 12
 *     index: LFH: the block's; VS: the chunk's units
 *     owner: the processor whose slot or list the block is of; SH_NOBODY: a shared one's, or none's
 *
 * Where Windows encodes a quota's owner the target is encoded: the place where an owner's block goes when it is freed, a
 * subsegment or a list, xored with a secret and the header's own address, its upper bits, which are zero in an
 * address, with the index. So a wrong index or upper bit is noticed at once, and another wrong bit unless it leads to
 * another place: each knows its own address. Both stay as they are while a list keeps the block or a slot has claimed it.
 */
struct sh_header {
	uint64_t word;
	uint64_t target; /* if it has an owner, or is an LFH block */
};
#define SH_HEADER_BYTES 16u
#define SH_OWNER_SHIFT  12
#define SH_CHECK_SHIFT  52 /* of the index in the target */
#define SH_KIND_SHIFT   24
#define SH_TAG_SHIFT    32
#define SH_NOBODY       0xFFFu
#define SH_ADDRESS_BITS 48 /* of a place; the rest is zero */
/* In the kind of an LFH block that has room for the names of a batch of others. */
#define SH_ROOMY       2u
#define SH_ROOMY_BYTES 128u
#define SH_ROOMY_BIT   ((uint64_t)SH_ROOMY << SH_KIND_SHIFT)
/* What tells a chunk that a list may keep from an LFH block, both live. */
#define SH_VS_BIT ((uint64_t)(SH_LFH ^ SH_VS) << SH_KIND_SHIFT)
/* What the header of a live LFH block or chunk of a certain owner and tag has in common with all of these. */
#define SH_LIVE_MASK \
	(~SH_VS_BIT & ~SH_ROOMY_BIT & ~((uint64_t)1 << SH_KIND_SHIFT) & ~(uint64_t)0xFFF)
/* SH_LFH becomes SH_RETURNED, SH_VS SH_CACHED. */
#define SH_FREED_BITS ((uint64_t)(SH_LFH ^ SH_RETURNED) << SH_KIND_SHIFT)
_Static_assert((SH_LFH ^ SH_RETURNED) == (SH_VS ^ SH_CACHED), "the same bits");
_Static_assert(sizeof(struct sh_header) == SH_HEADER_BYTES, "one unit");

static inline struct sh_header *sh_header_of(const void *block)
{
	return (struct sh_header *)((uintptr_t)block - SH_HEADER_BYTES);
}

static inline bool sh_page_aligned(const void *address)
{
	return ((uintptr_t)address & (POOL_OS_PAGE - 1)) == 0;
}

static inline unsigned sh_index(const struct sh_header *header)
{
	return header->word & 0xFFF;
}

static inline unsigned sh_owner(const struct sh_header *header)
{
	return header->word >> SH_OWNER_SHIFT & 0xFFF;
}

/* Without the pool type and SH_ROOMY. */
static inline unsigned sh_kind(const struct sh_header *header)
{
	return header->word >> SH_KIND_SHIFT & 0xFC;
}

static inline unsigned sh_type(const struct sh_header *header)
{
	return header->word >> SH_KIND_SHIFT & 1;
}

static inline uint32_t sh_tag(const struct sh_header *header)
{
	return (uint32_t)(header->word >> SH_TAG_SHIFT);
}

static inline uint32_t sh_word(unsigned kind_and_type, unsigned owner, unsigned index)
{
	return (uint32_t)kind_and_type << SH_KIND_SHIFT | owner << SH_OWNER_SHIFT | index;
}

/* The rest stays. */
static inline void sh_set_kind(struct sh_header *header, enum sh_kind kind)
{
	header->word = (header->word & ~((uint64_t)0xFC << SH_KIND_SHIFT)) |
		       (uint64_t)kind << SH_KIND_SHIFT;
}

/* The key of the place that a live block goes to: with the cookie its address, and above 2^48 if the index is wrong. */
static inline uint64_t sh_place_key(const struct sh_header *header, uint64_t word)
{
	return header->target ^ (uintptr_t)header ^ word << SH_CHECK_SHIFT;
}

static inline uintptr_t sh_target(const struct sh_header *header, uint64_t cookie)
{
	return sh_place_key(header, header->word) ^ cookie;
}

/* All but the tag. `key` is the target's address, xored with the cookie. */
static inline void sh_header_write(struct sh_header *header, uint64_t key, uint32_t word)
{
	header->word = word;
	header->target = key ^ (uintptr_t)header ^ (uint64_t)word << SH_CHECK_SHIFT;
}

static inline void sh_set_tag(struct sh_header *header, uint32_t tag)
{
	header->word = (uint32_t)header->word | (uint64_t)tag << SH_TAG_SHIFT;
}

/* The next header of a list, in the block's first bytes. */
static inline struct sh_header **sh_link(struct sh_header *header)
{
	return (struct sh_header **)(void *)(header + 1);
}

#endif
