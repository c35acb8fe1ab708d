#include "replay.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/pages.h"
#include "bench/clock.h"
#include "bench/irql.h"

#define SPINS_BEFORE_YIELD 128
#define CACHE_LINE         64u

const char *const touch_mode_names[TOUCH_MODES + 1] = { "trace", "none", "line", "all", NULL };

void *table_map(size_t bytes)
{
	void *table = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	(void)mlock(table, bytes ? bytes : 1); /* a refusal is fine: it is faulted in already */
	return table;
}

void table_unmap(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes ? bytes : 1);
}

/*
 * In an event's flags, ours alone: the slot belongs to one processor in the whole trace. Its own order keeps such a
 * slot empty when it is filled, so that an allocation need not look. Most slots are of this kind.
 */
#define REPLAY_LOCAL 0x80u

#define OWNER_NONE   UINT16_MAX
#define OWNER_SHARED (UINT16_MAX - 1)

/* Marks the allocations into slots that one processor alone fills and empties. */
static int mark_local_slots(struct trace *trace)
{
	uint16_t *owner = malloc(sizeof(*owner) * ((size_t)trace->slots + 1));

	if (!owner)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < trace->slots; slot++)
		owner[slot] = OWNER_NONE;
	for (unsigned p = 0; p < trace->processors; p++) {
		const struct trace_stream *stream = &trace->streams[p];

		for (uint64_t i = 0; i < stream->total; i++) {
			uint16_t *of = &owner[stream->events[i].slot];

			if (stream->events[i].kind <= TRACE_FREE)
				*of = *of == OWNER_NONE || *of == p ? (uint16_t)p : OWNER_SHARED;
		}
	}
	for (unsigned p = 0; p < trace->processors; p++) {
		struct trace_stream *stream = &trace->streams[p];

		for (uint64_t i = 0; i < stream->total; i++)
			if (stream->events[i].kind == TRACE_ALLOC &&
			    owner[stream->events[i].slot] != OWNER_SHARED)
				stream->events[i].flags |= REPLAY_LOCAL;
	}
	free(owner);
	return 0;
}

static void apply_touch(struct trace *trace, enum touch_mode touch)
{
	for (unsigned p = 0; p < trace->processors; p++) {
		struct trace_stream *stream = &trace->streams[p];

		for (uint64_t i = 0; i < stream->total; i++) {
			struct trace_event *event = &stream->events[i];

			if (event->kind != TRACE_ALLOC)
				continue;
			if (touch == TOUCH_NONE)
				event->touch = 0;
			else if (touch == TOUCH_LINE)
				event->touch = event->bytes < 64 ? event->bytes : 64;
			else if (touch == TOUCH_ALL)
				event->touch = event->bytes;
		}
	}
}

int replay_create(struct trace *trace, const struct pool_backend *ops, struct pool *pool,
		  enum touch_mode touch, struct replay *out)
{
	struct replay replay = { .trace = trace, .ops = ops, .pool = pool };

	replay.slots_bytes = sizeof(*replay.slots) * ((size_t)trace->slots + 1);
	replay.tags_bytes = sizeof(*replay.tags) * ((size_t)trace->tags + 1);
	replay.slots = table_map(replay.slots_bytes);
	replay.tags = table_map(replay.tags_bytes);
	if (!replay.slots || !replay.tags || mark_local_slots(trace) != 0) {
		replay_destroy(&replay);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < trace->tags; i++)
		replay.tags[i] = trace->tag_table[i].tag;
	if (touch != TOUCH_TRACE)
		apply_touch(trace, touch);
	*out = replay;
	return 0;
}

void replay_destroy(struct replay *replay)
{
	table_unmap((void *)replay->slots, replay->slots_bytes);
	table_unmap(replay->tags, replay->tags_bytes);
	memset(replay, 0, sizeof(*replay));
}

static inline void pause_processor(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Out of line: the hot loop is laid out for the slot being ready. */
__attribute__((noinline, cold)) static void *wait_filled(_Atomic(void *) *slot)
{
	for (unsigned spins = 1;; spins++) {
		void *block = atomic_load_explicit(slot, memory_order_acquire);

		if (block)
			return block;
		if (spins % SPINS_BEFORE_YIELD)
			pause_processor();
		else
			sched_yield();
	}
}

__attribute__((noinline, cold)) static void wait_empty(_Atomic(void *) *slot)
{
	for (unsigned spins = 1; atomic_load_explicit(slot, memory_order_acquire); spins++) {
		if (spins % SPINS_BEFORE_YIELD)
			pause_processor();
		else
			sched_yield();
	}
}

/* The block, or NULL for an allocation that failed: one comparison for the slot that has to be waited for too. */
static inline void *slot_block(_Atomic(void *) *slot)
{
	void *block = atomic_load_explicit(slot, memory_order_acquire);

	if (__builtin_expect((uintptr_t)block <= (uintptr_t)REPLAY_FAILED, 0)) {
		block = wait_filled(slot);
		if (block == REPLAY_FAILED)
			return NULL;
	}
	return block;
}

static inline void slot_claim(const struct trace_event *event, _Atomic(void *) *slot)
{
	if (!(event->flags & REPLAY_LOCAL) &&
	    __builtin_expect(atomic_load_explicit(slot, memory_order_acquire) != NULL, 0))
		wait_empty(slot);
}

static inline enum pool_type event_type(const struct trace_event *event)
{
	return event->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED;
}

/*
 * The owner's first write: a word in each cache line of the first `touch` bytes. The line is what memory, caches
 * and page faults deal in; writing every byte of it would add our own cost and nothing of the pool's.
 */
static inline void touch_block(void *block, uint32_t touch)
{
	volatile uint64_t *line = block;

	for (uint32_t done = 0; done < touch;
	     done += CACHE_LINE, line += CACHE_LINE / sizeof(*line))
		*line = done;
}

static void change_irql(const struct trace_event *event)
{
	if (event->kind == TRACE_RAISE)
		irql_raise((enum irql)event->bytes);
	else if (event->kind == TRACE_LOWER)
		irql_lower((enum irql)event->bytes);
}

/* Out of line, and its count in memory, so that the loop keeps its registers for what happens always. */
__attribute__((noinline, cold)) static void *note_failure(uint64_t *failed)
{
	(*failed)++;
	return REPLAY_FAILED;
}

/* `alone`: one processor replays the trace, so that no slot is ever waited for. A constant where it is called. */
__attribute__((always_inline)) static inline uint64_t replay_loop(const struct replay *replay,
								  unsigned processor,
								  uint64_t first, uint64_t count,
								  bool alone)
{
	const struct trace_event *event = replay->trace->streams[processor].events + first;
	const struct trace_event *end = event + count;
	_Atomic(void *) *slots = replay->slots;
	const uint32_t *tags = replay->tags;
	struct pool *pool = replay->pool;
	void *(*const alloc)(struct pool *, enum pool_type, size_t, uint32_t) = replay->ops->alloc;
	void (*const release)(struct pool *, void *, uint32_t) = replay->ops->free;
	uint64_t failed = 0;

	for (; event < end; event++) {
		if (event->kind == TRACE_ALLOC) {
			void *block;

			if (!alone)
				slot_claim(event, &slots[event->slot]);
			block = alloc(pool, event_type(event), event->bytes, tags[event->tag]);
			if (__builtin_expect(block == NULL, 0))
				block = note_failure(&failed);
			else
				touch_block(block, event->touch);
			atomic_store_explicit(&slots[event->slot], block, memory_order_release);
		} else if (event->kind == TRACE_FREE) {
			void *block = slot_block(&slots[event->slot]);

			if (__builtin_expect(block != NULL, 1))
				release(pool, block, tags[event->tag]);
			atomic_store_explicit(&slots[event->slot], NULL, memory_order_release);
		} else {
			change_irql(event);
		}
	}
	return failed;
}

uint64_t replay_events(const struct replay *replay, unsigned processor, uint64_t first,
		       uint64_t count)
{
	return replay->trace->processors == 1 ? replay_loop(replay, processor, first, count, true)
					      : replay_loop(replay, processor, first, count, false);
}

uint64_t replay_events_timed(const struct replay *replay, unsigned processor, uint64_t first,
			     uint64_t count, struct histogram *alloc_times,
			     struct histogram *free_times)
{
	const struct trace_event *event = replay->trace->streams[processor].events + first;
	const struct trace_event *end = event + count;
	const struct pool_backend *ops = replay->ops;
	struct pool *pool = replay->pool;
	uint64_t failed = 0;

	for (; event < end; event++) {
		_Atomic(void *) *slot = &replay->slots[event->slot];
		uint64_t start;

		if (event->kind == TRACE_ALLOC) {
			void *block;

			slot_claim(event, slot);
			start = ticks_start();
			block = ops->alloc(pool, event_type(event), event->bytes,
					   replay->tags[event->tag]);
			histogram_record(alloc_times, ticks_net(start, ticks_stop()));
			if (block)
				touch_block(block, event->touch);
			else
				failed++;
			atomic_store_explicit(slot, block ? block : REPLAY_FAILED,
					      memory_order_release);
		} else if (event->kind == TRACE_FREE) {
			void *block = slot_block(slot);

			if (block) {
				start = ticks_start();
				ops->free(pool, block, replay->tags[event->tag]);
				histogram_record(free_times, ticks_net(start, ticks_stop()));
			}
			atomic_store_explicit(slot, NULL, memory_order_release);
		} else {
			change_irql(event);
		}
	}
	return failed;
}

/* The promises that can be checked on a block by itself; the rest is the conformance suite's. */
static void check_block(const struct replay *replay, const struct trace_event *event,
			const void *block, size_t block_bytes, struct replay_sums *sums)
{
	const uint32_t caps = replay->ops->caps;
	const uintptr_t address = (uintptr_t)block;
	const char *broken = NULL;

	if (sums->broken || (caps & POOL_CAP_FLOOR))
		return;
	if (address % POOL_ALIGNMENT)
		broken = "a block is not 16-byte aligned";
	else if (block_bytes < event->bytes)
		broken = "block_bytes is smaller than the request";
	else if ((caps & POOL_CAP_PAGE_RULES) && event->bytes >= POOL_OS_PAGE &&
		 address % POOL_OS_PAGE)
		broken = "a block of a page or more is not page-aligned";
	else if ((caps & POOL_CAP_PAGE_RULES) && event->bytes < POOL_OS_PAGE &&
		 address / POOL_OS_PAGE != (address + event->bytes - 1) / POOL_OS_PAGE)
		broken = "a block smaller than a page crosses a page";
	if (broken) {
		sums->broken = broken;
		sums->broken_block = block;
		sums->broken_bytes = event->bytes;
	}
}

uint64_t replay_events_counted(const struct replay *replay, unsigned processor, uint64_t first,
			       uint64_t count, struct replay_sums *sums)
{
	const struct trace_event *event = replay->trace->streams[processor].events + first;
	const struct trace_event *end = event + count;
	const struct pool_backend *ops = replay->ops;
	struct pool *pool = replay->pool;
	uint64_t failed = 0;

	for (; event < end; event++) {
		_Atomic(void *) *slot = &replay->slots[event->slot];
		struct replay_tag_sums *tag = &sums->tags[event->tag];

		if (event->kind == TRACE_ALLOC) {
			void *block;

			slot_claim(event, slot);
			block = ops->alloc(pool, event_type(event), event->bytes,
					   replay->tags[event->tag]);
			if (replay->filled)
				replay->filled[event->slot] = event;
			if (block) {
				size_t bytes = ops->block_bytes(pool, block);

				check_block(replay, event, block, bytes, sums);
				touch_block(block, event->touch);
				sums->live_bytes += event->bytes;
				sums->block_bytes += (int64_t)bytes;
				sums->live_blocks++;
				tag->allocs++;
				tag->bytes_allocated += event->bytes;
				tag->live_bytes += event->bytes;
			} else {
				failed++;
			}
			sums->operations++;
			atomic_store_explicit(slot, block ? block : REPLAY_FAILED,
					      memory_order_release);
		} else if (event->kind == TRACE_FREE) {
			void *block = slot_block(slot);

			if (block) {
				sums->block_bytes -= (int64_t)ops->block_bytes(pool, block);
				sums->live_bytes -= event->bytes;
				sums->live_blocks--;
				tag->frees++;
				tag->live_bytes -= event->bytes;
				ops->free(pool, block, replay->tags[event->tag]);
			}
			sums->operations++;
			atomic_store_explicit(slot, NULL, memory_order_release);
		} else {
			change_irql(event);
		}
	}
	return failed;
}

/* Walks the real order once; a cut is taken whenever the next part is complete. */
uint64_t *replay_cuts_at(const struct trace *trace, enum trace_phase phase, const uint64_t *ends,
			 unsigned parts)
{
	const unsigned n = trace->processors;
	uint64_t *cuts = calloc((size_t)(parts + 1) * n, sizeof(*cuts));
	uint64_t *at = calloc(n, sizeof(*at));
	uint64_t seen = 0;
	unsigned part = 1;

	if (!cuts || !at) {
		free(cuts);
		free(at);
		return NULL;
	}
	for (unsigned p = 0; p < n; p++)
		cuts[p] = trace->streams[p].start[phase];
	for (uint64_t r = 0; r < trace->runs && part < parts; r++) {
		const unsigned p = trace->order[r].processor;
		const struct trace_stream *stream = &trace->streams[p];

		for (uint32_t i = 0; i < trace->order[r].count; i++, at[p]++) {
			if (at[p] < stream->start[phase] ||
			    at[p] >= stream->start[phase] + stream->count[phase])
				continue;
			seen++;
			while (part < parts && seen >= ends[part - 1]) {
				for (unsigned q = 0; q < n; q++) {
					uint64_t next = at[q] + (q == p);
					const uint64_t start = trace->streams[q].start[phase];

					cuts[(size_t)part * n + q] = next < start ? start : next;
				}
				part++;
			}
		}
	}
	for (; part <= parts; part++)
		for (unsigned p = 0; p < n; p++)
			cuts[(size_t)part * n + p] = trace->streams[p].start[phase] +
						     trace->streams[p].count[phase];
	free(at);
	return cuts;
}

uint64_t *replay_cuts(const struct trace *trace, enum trace_phase phase, unsigned parts)
{
	const uint64_t in_phase = trace_phase_events(trace, phase);
	uint64_t *ends = malloc(sizeof(*ends) * (parts + 1u));
	uint64_t *cuts = NULL;

	for (unsigned part = 0; ends && part < parts; part++)
		ends[part] = in_phase * (part + 1) / parts;
	if (ends)
		cuts = replay_cuts_at(trace, phase, ends, parts);
	free(ends);
	return cuts;
}

const void *replay_foreign_block(const struct replay *replay,
				 struct page_source *const pages[POOL_TYPES])
{
	for (uint32_t i = 0; i < replay->trace->slots; i++) {
		const void *block = atomic_load_explicit(&replay->slots[i], memory_order_acquire);

		if (block && block != REPLAY_FAILED &&
		    !page_source_contains(pages[POOL_NONPAGED], block) &&
		    !page_source_contains(pages[POOL_PAGED], block))
			return block;
	}
	return NULL;
}

uint64_t replay_operations(const struct trace *trace, enum trace_phase phase)
{
	uint64_t operations = 0;

	for (unsigned p = 0; p < trace->processors; p++) {
		const struct trace_stream *stream = &trace->streams[p];
		const struct trace_event *events = stream->events + stream->start[phase];

		for (uint64_t i = 0; i < stream->count[phase]; i++)
			operations += events[i].kind <= TRACE_FREE;
	}
	return operations;
}
