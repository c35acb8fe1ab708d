/*
 * LFH blocks freed by another processor than their slot's.
 *
 *     processor that frees                               owner
 *     outbox, one an owner: a chain of carriers --CAS--> inbox -> names -> bits
 *     a carrier: |hdr|next, name, name, ... of up to 15 blocks|    at its next refill with nothing free
 *
 * A block's header says whose it is and where it goes, so the processor that frees it touches its header and nothing of
 * the owner's. It collects the names of an owner's blocks, subsegment and index, in the bytes of one of them, and hands
 * over SH_BATCH at a time: one compare-and-swap on a line that the owner does not touch otherwise. The owner sets
 * the bits from the names; the headers and the bytes of the blocks stay in the other processor's cache
 * until they are handed out again. Blocks too small for that carry themselves alone.
 *
 * An outbox that is not full is handed over when it is needed for another owner, when its processor finds no memory or
 * leaves, and by trim. Nothing that is touched can vanish: the processors live as long as the pool, and a
 * subsegment at least as long as a block of it that is not back.
 */
#include <string.h>

#include "segment_heap.h"

/* A block's name on its way: its subsegment, and its index in the upper 16 bits. */
#define NAME_INDEX_SHIFT 48
#define NAME_TARGET      (((uint64_t)1 << NAME_INDEX_SHIFT) - SH_LINE)

/*
 * In the place of a block's bytes: the names of a batch, its own the first, so that the owner sets their bits without
 * a look at the other blocks, which are in another processor's cache.
 */
struct lfh_carrier {
	struct lfh_carrier *next;
	uint64_t names[]; /* the first one's low bits: how many more */
};
#define CARRIER_MORE  (SH_LINE - 1)
#define CARRIER_NAMES ((SH_ROOMY_BYTES - sizeof(struct lfh_carrier)) / sizeof(uint64_t))

static void outbox_post(struct pool *pool, struct sh_outbox *outbox)
{
	struct lfh_carrier *_Atomic *inbox = &pool->processors[outbox->owner].inbox;
	struct lfh_carrier *head = atomic_load_explicit(inbox, memory_order_relaxed);

	do
		outbox->last->next = head;
	while (!atomic_compare_exchange_weak_explicit(inbox, &head, outbox->first,
						      memory_order_release, memory_order_relaxed));
	outbox->first = NULL;
	outbox->blocks = outbox->room = 0;
}

void lfh_post(struct sh_processor *processor)
{
	for (unsigned i = 0; i < SH_OUTBOXES; i++)
		if (processor->outboxes[i].first)
			outbox_post(processor->pool, &processor->outboxes[i]);
}

static void outbox_put(struct sh_outbox *outbox, struct sh_header *header, uint64_t name)
{
	struct lfh_carrier *carrier = outbox->first;

	if (outbox->room) {
		carrier->names[0]++;
		carrier->names[carrier->names[0] & CARRIER_MORE] = name;
		outbox->room--;
	} else {
		carrier = (struct lfh_carrier *)(header + 1);
		if (!outbox->first)
			outbox->last = carrier;
		carrier->next = outbox->first;
		carrier->names[0] = name;
		outbox->first = carrier;
		outbox->room = header->word & SH_ROOMY_BIT ? CARRIER_NAMES - 1 : 0;
	}
	outbox->blocks++;
}

void lfh_free_remote(struct pool *pool, struct sh_processor *processor, struct sh_header *header)
{
	uint64_t name = (uintptr_t)lfh_subsegment_of(header, pool->cookie) |
			(uint64_t)sh_index(header) << NAME_INDEX_SHIFT;
	unsigned owner = sh_owner(header);
	struct sh_outbox alone = { .owner = owner }, *outbox = &alone;

	if (processor) {
		processor->remote_frees++;
		outbox = &processor->outboxes[owner % SH_OUTBOXES];
		if (outbox->owner != owner && outbox->first)
			outbox_post(pool, outbox);
		outbox->owner = owner;
	}
	sh_set_kind(header, SH_REMOTE);
	outbox_put(outbox, header, name);
	if (!processor || outbox->blocks >= SH_BATCH)
		outbox_post(pool, outbox);
}

void lfh_collect(struct pool *pool, struct sh_processor *processor)
{
	struct lfh_carrier *carrier;

	if (!atomic_load_explicit(&processor->inbox, memory_order_relaxed))
		return;
	carrier = atomic_exchange_explicit(&processor->inbox, NULL, memory_order_acquire);
	while (carrier) {
		/* A subsegment that becomes empty may go, and the carrier with it. */
		struct lfh_carrier *next = carrier->next;
		uint64_t names[CARRIER_NAMES];
		unsigned more = carrier->names[0] & CARRIER_MORE;

		memcpy(names, carrier->names, (more + 1) * sizeof(*names));
		for (unsigned i = 0; i <= more; i++)
			lfh_return(pool, (struct lfh_subsegment *)(names[i] & NAME_TARGET),
				   (unsigned)(names[i] >> NAME_INDEX_SHIFT));
		carrier = next;
	}
}
