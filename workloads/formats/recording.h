/*
 * A recording: allocations and frees by address, as they were seen, and the trace that they make.
 *
 * Rules, whatever the format.
 * - A free of NULL is dropped and counted; so is a free of an address that was not seen allocated (its
 *   object is older than the recording).
 * - An address that is allocated again without a free seen was freed unseen: an implied free at that instant,
 *   by the processor that had allocated it, so that no traffic between processors is made up. Counted.
 * - An allocation marked atomic is made at DISPATCH_LEVEL: a RAISE before, a LOWER behind.
 * - Processors that the recording names are numbered anew from 0, in their order.
 */
#ifndef POOLBENCH_RECORDING_H
#define POOLBENCH_RECORDING_H

#include "workloads/trace.h"

struct recording;

struct recording *recording_create(void); /* NULL: out of memory */
void recording_destroy(struct recording *recording);

/*
 * The index of the tag for a long name within a name space (a cache and a function of the same name are
 * two). The 4-byte tag is made of the name's first letters; the last ones are varied to keep tags distinct.
 */
unsigned recording_tag(struct recording *recording, char space, const char *name,
		       size_t name_bytes);

/* `address` != 0; 1 <= bytes; touch <= bytes. */
void recording_alloc(struct recording *recording, unsigned processor, uint64_t address,
		     enum pool_type type, uint32_t bytes, uint32_t touch, unsigned tag,
		     bool atomic);
/* 0 is NULL. */
void recording_free(struct recording *recording, unsigned processor, uint64_t address);
void recording_malformed(struct recording *recording);
void recording_lost(struct recording *recording, uint64_t events);

/* Events taken so far. */
uint64_t recording_events(const struct recording *recording);

/* 0 and *out, or as trace_builder_finish. -EINVAL for a recording without events. */
int recording_finish(struct recording *recording, const char *origin, struct trace **out, char *why,
		     size_t why_bytes);

#endif
