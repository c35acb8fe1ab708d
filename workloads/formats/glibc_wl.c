/*
 * Workload files (*.wl) of glibc's malloc trace utilities (branch dj/malloc: trace2wl writes them, trace_run plays
 * them). Binary: one byte says what, numbers follow.
 *
 *     number   seven bits a byte, the high ones first, the top bit set on all but the last
 *     main     ALLOC_PTRS n, ALLOC_SYNCS n, NTHREADS n, n times START_THREAD offset, DONE
 *     thread   at its offset: operations, DONE; one thread behind the other
 *
 * A block is known by the number of a pointer, 0 is NULL. Threads are ordered by what they share: SYNC_W s of one
 * lets SYNC_R s of another go on. The trace's real order is one that keeps that: the threads take turns, a
 * stretch of operations each.
 *
 * - A thread is a processor. Its memory is paged, and touched at birth as a whole, as trace_run does.
 * - A realloc is an allocation and then a free of the old block, as in csapp.c.
 * - memalign, valloc and their like are allocations; a pool aligns by its own rules.
 * - An allocation that failed, pointer 0, is none. What is allocated over a live block was freed unseen.
 *
 * Safe on hostile files: everything is held against the file's size, threads may not overlap, so that
 * events are fewer than bytes, and a knot of threads that wait for each other is found and refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "recording.h"
#include "source.h"
#include "workloads/trace_internal.h"

#define MAX_BYTES (1ull << 30)
#define STRETCH   64 /* operations of a thread in its turn */

enum wl_code {
	WL_NOP,
	WL_DONE,
	WL_MALLOC,
	WL_CALLOC,
	WL_REALLOC,
	WL_FREE,
	WL_SYNC_W,
	WL_SYNC_R,
	WL_ALLOC_PTRS,
	WL_ALLOC_SYNCS,
	WL_NTHREADS,
	WL_START_THREAD,
	WL_MEMALIGN,
	WL_VALLOC,
	WL_PVALLOC,
	WL_POSIX_MEMALIGN
};

struct wl_thread {
	uint64_t at, end; /* bytes of the file */
	bool done;
};

struct wl {
	struct recording *recording;
	uint8_t *bytes;
	uint64_t count, capacity;
	uint8_t *pointers; /* which of a pointer's two addresses holds its block */
	uint8_t *syncs; /* written */
	uint64_t pointer_count, sync_count;
	struct wl_thread *threads;
	unsigned thread_count, tag;
	char *why;
	size_t why_bytes;
};

static int refuse(const struct wl *wl, uint64_t at, const char *what)
{
	return trace_fail(-EILSEQ, wl->why, wl->why_bytes, "byte %llu: %s", (unsigned long long)at,
			  what);
}

static int read_all(struct wl *wl, struct line_source *source)
{
	uint8_t part[16384];
	size_t got;

	while ((got = line_source_bytes(source, part, sizeof(part)))) {
		if (wl->count + got > MAX_BYTES)
			return trace_fail(-E2BIG, wl->why, wl->why_bytes,
					  "a workload file of more than 1 GiB");
		while (wl->capacity < wl->count + got)
			if (trace_reserve((void **)&wl->bytes, &wl->capacity, wl->capacity, 1))
				return trace_fail(-ENOMEM, wl->why, wl->why_bytes, "out of memory");
		memcpy(wl->bytes + wl->count, part, got);
		wl->count += got;
	}
	return 0;
}

/* A number before `end`; false if there is none or it needs more than 63 bits. */
static bool take_number(const struct wl *wl, uint64_t *at, uint64_t end, uint64_t *value)
{
	*value = 0;
	while (*at < end && !(*value >> 56)) {
		const uint8_t byte = wl->bytes[(*at)++];

		*value = *value << 7 | (byte & 0x7F);
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* ---- the main part ---- */

static int take_threads(struct wl *wl, uint64_t *at, uint64_t count)
{
	if (wl->threads || !count || count > TRACE_MAX_PROCESSORS)
		return refuse(wl, *at, "needs 1 to 1024 threads, said once");
	wl->threads = calloc((size_t)count, sizeof(*wl->threads));
	if (!wl->threads)
		return trace_fail(-ENOMEM, wl->why, wl->why_bytes, "out of memory");
	wl->thread_count = (unsigned)count;
	return 0;
}

static int take_start(struct wl *wl, uint64_t at, uint64_t offset, unsigned *started)
{
	if (*started == wl->thread_count)
		return refuse(wl, at, "starts more threads than it says");
	if (offset < at || offset >= wl->count)
		return refuse(wl, at, "a thread's offset lies outside of the file");
	if (*started && offset <= wl->threads[*started - 1].at)
		return refuse(wl, at, "a thread does not lie behind the one before");
	if (*started)
		wl->threads[*started - 1].end = offset;
	wl->threads[(*started)++] = (struct wl_thread){ .at = offset, .end = wl->count };
	return 0;
}

static int take_main(struct wl *wl)
{
	uint64_t at = 0, value;
	unsigned started = 0;
	int ret = 0;

	while (at < wl->count && wl->bytes[at] != WL_DONE) {
		const uint64_t begin = at;
		const uint8_t code = wl->bytes[at++];

		if (code == WL_NOP)
			continue;
		if (!take_number(wl, &at, wl->count, &value))
			return refuse(wl, begin, "a number is cut or too large");
		if (code == WL_ALLOC_PTRS && value <= wl->count)
			wl->pointer_count = value;
		else if (code == WL_ALLOC_SYNCS && value <= wl->count)
			wl->sync_count = value;
		else if (code == WL_NTHREADS)
			ret = take_threads(wl, &at, value);
		else if (code == WL_START_THREAD)
			ret = take_start(wl, at, value, &started);
		else
			ret = refuse(wl, begin,
				     code == WL_ALLOC_PTRS || code == WL_ALLOC_SYNCS
					     ? "more pointers or syncs than the file has bytes"
					     : "nothing that the main part of a workload has");
		if (ret)
			return ret;
	}
	if (at == wl->count || !started || started != wl->thread_count)
		return refuse(wl, at, "the main part starts fewer threads than it says");
	if (wl->threads[0].at <= at)
		return refuse(wl, at, "a thread begins inside of the main part");
	wl->pointers = calloc((size_t)wl->pointer_count + 1, 1);
	wl->syncs = calloc((size_t)wl->sync_count + 1, 1);
	if (!wl->pointers || !wl->syncs)
		return trace_fail(-ENOMEM, wl->why, wl->why_bytes, "out of memory");
	return 0;
}

/* ---- the threads ---- */

static uint64_t address_of(const struct wl *wl, uint64_t pointer)
{
	return pointer ? 16 + 2 * pointer + wl->pointers[pointer] : 0;
}

static void allocate(struct wl *wl, unsigned thread, uint64_t pointer, uint64_t bytes)
{
	const uint32_t size = bytes ? (uint32_t)bytes : 1;

	if (pointer)
		recording_alloc(wl->recording, thread, address_of(wl, pointer), POOL_PAGED, size,
				size, wl->tag, false);
}

static void reallocate(struct wl *wl, unsigned thread, uint64_t pointer, uint64_t old,
		       uint64_t bytes)
{
	const uint64_t old_address = address_of(wl, old);

	if (!pointer && bytes)
		return; /* failed: the old block stays */
	if (bytes) {
		wl->pointers[pointer] ^= pointer == old;
		allocate(wl, thread, pointer, bytes);
	}
	if (old)
		recording_free(wl->recording, thread, old_address);
}

/* Numbers that follow a code; 0 for what no thread may have. */
static unsigned numbers_of(uint8_t code)
{
	static const uint8_t numbers[] = {
		[WL_MALLOC] = 2,   [WL_CALLOC] = 2,         [WL_VALLOC] = 2, [WL_PVALLOC] = 2,
		[WL_FREE] = 1,     [WL_SYNC_W] = 1,         [WL_SYNC_R] = 1, [WL_REALLOC] = 3,
		[WL_MEMALIGN] = 3, [WL_POSIX_MEMALIGN] = 3,
	};

	return code < sizeof(numbers) ? numbers[code] : 0;
}

/* One operation. 1: done; 0: it has to wait; or -errno. */
static int take_operation(struct wl *wl, unsigned index)
{
	struct wl_thread *thread = &wl->threads[index];
	const uint64_t begin = thread->at;
	const uint8_t code = wl->bytes[thread->at++];
	const unsigned numbers = numbers_of(code);
	const bool syncs = code == WL_SYNC_W || code == WL_SYNC_R;
	uint64_t value[3] = { 0 };

	if (code == WL_NOP)
		return 1;
	if (code == WL_DONE) {
		thread->done = true;
		return 1;
	}
	if (!numbers)
		return refuse(wl, begin, "nothing that a thread does");
	for (unsigned i = 0; i < numbers; i++)
		if (!take_number(wl, &thread->at, thread->end, &value[i]))
			return refuse(wl, begin, "a number is cut or too large");
	if (value[0] > (syncs ? wl->sync_count : wl->pointer_count) ||
	    (code == WL_REALLOC && value[1] > wl->pointer_count))
		return refuse(wl, begin, "a pointer or sync beyond what the file says");
	if (numbers > 1 && value[numbers - 1] > UINT32_MAX)
		return refuse(wl, begin, "more than 4 GiB in one block");
	if (code == WL_SYNC_R && !wl->syncs[value[0]]) {
		thread->at = begin;
		return 0;
	}
	if (code == WL_SYNC_W)
		wl->syncs[value[0]] = 1;
	else if (code == WL_FREE)
		recording_free(wl->recording, index, address_of(wl, value[0]));
	else if (code == WL_REALLOC)
		reallocate(wl, index, value[0], value[1], value[2]);
	else if (!syncs)
		allocate(wl, index, value[0], value[numbers - 1]);
	return 1;
}

/* A thread's turn: whether it got anywhere, or -errno. */
static int take_turn(struct wl *wl, unsigned index)
{
	struct wl_thread *thread = &wl->threads[index];
	int went = 0;

	for (int i = 0; i < STRETCH && !thread->done; i++) {
		int ret;

		if (thread->at >= thread->end)
			return refuse(wl, thread->at, "a thread ends without saying so");
		ret = take_operation(wl, index);
		if (ret < 0)
			return ret;
		if (!ret)
			break;
		went = 1;
	}
	return went;
}

static int play(struct wl *wl)
{
	bool went = true;

	while (went) {
		went = false;
		for (unsigned i = 0; i < wl->thread_count; i++) {
			const int ret = take_turn(wl, i);

			if (ret < 0)
				return ret;
			went |= ret;
		}
	}
	for (unsigned i = 0; i < wl->thread_count; i++)
		if (!wl->threads[i].done)
			return refuse(wl, wl->threads[i].at,
				      "threads wait for each other, or for what never comes");
	return 0;
}

static int glibc_wl_import(struct line_source *source, struct recording *recording, char *why,
			   size_t why_bytes)
{
	struct wl wl = { .recording = recording, .why = why, .why_bytes = why_bytes };
	int ret;

	wl.tag = recording_tag(recording, 'p', "program", 7);
	ret = read_all(&wl, source);
	if (!ret && !line_source_error(source))
		ret = take_main(&wl);
	if (!ret && wl.threads)
		ret = play(&wl);
	free(wl.bytes);
	free(wl.pointers);
	free(wl.syncs);
	free(wl.threads);
	return ret;
}

/* No text begins with a backspace. */
static bool glibc_wl_sniff(const char *head)
{
	return *head == WL_ALLOC_PTRS;
}

const struct trace_format glibc_wl_format = {
	.name = "glibc-wl",
	.summary = "workloads of glibc's malloc trace utilities (*.wl)",
	.sniff = glibc_wl_sniff,
	.import = glibc_wl_import,
};
