/* The importers of files that tools made (csapp, glibc-wl): what they read, what they refuse, hostile bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch_file.h"
#include "workloads/formats/format.h"
#include "workloads/random.h"

static size_t load(const char *name, uint8_t *data, size_t bytes)
{
	char sample[512];
	FILE *file;
	size_t got;

	snprintf(sample, sizeof(sample), "%s/%s", SAMPLES_DIRECTORY, name);
	file = fopen(sample, "rb");
	assert_non_null(file);
	got = fread(data, 1, bytes, file);
	assert_in_range(got, 1, bytes - 1);
	fclose(file);
	return got;
}

static struct trace *import(const char *format)
{
	struct trace *trace = NULL;
	char why[300] = "";

	if (trace_import(path, format, "a test", &trace, why, sizeof(why)) ||
	    trace_validate(trace, why, sizeof(why)))
		fail_msg("%s", why);
	assert_true(trace->recorded);
	return trace;
}

static struct trace *import_sample(const char *name)
{
	uint8_t data[4096];

	store(data, load(name, data, sizeof(data)));
	return import(NULL);
}

static const struct trace_event *event_at(const struct trace *trace, unsigned processor,
					  uint64_t index)
{
	assert_true(index < trace->streams[processor].total);
	return &trace->streams[processor].events[index];
}

static void assert_event(const struct trace *trace, unsigned processor, uint64_t index,
			 enum trace_kind kind, uint32_t bytes, unsigned flags)
{
	const struct trace_event *event = event_at(trace, processor, index);

	assert_int_equal(event->kind, kind);
	assert_int_equal(event->bytes, bytes);
	assert_int_equal(event->flags, flags);
	if (kind == TRACE_ALLOC)
		assert_int_equal(event->touch, bytes);
}

/* A realloc that moves, malloc(0), free(NULL), a realloc to nothing, and two blocks that nobody frees. */
static void csapp_is_read(void **state)
{
	struct trace *trace = import_sample("csapp.rep");

	(void)state;
	assert_int_equal(trace->processors, 1);
	assert_event(trace, 0, 0, TRACE_ALLOC, 512, TRACE_PAGED);
	assert_event(trace, 0, 1, TRACE_ALLOC, 128, TRACE_PAGED);
	assert_event(trace, 0, 2, TRACE_ALLOC, 640, TRACE_PAGED);
	assert_event(trace, 0, 3, TRACE_FREE, 512, TRACE_PAGED);
	assert_event(trace, 0, 4, TRACE_ALLOC, 1, TRACE_PAGED);
	assert_event(trace, 0, 5, TRACE_FREE, 128, TRACE_PAGED);
	assert_event(trace, 0, 6, TRACE_ALLOC, 4096, TRACE_PAGED);
	assert_event(trace, 0, 7, TRACE_FREE, 4096, TRACE_PAGED);
	assert_event(trace, 0, 8, TRACE_ALLOC, 64, TRACE_PAGED);
	assert_event(trace, 0, 9, TRACE_FREE, 640, TRACE_PAGED);
	assert_int_equal(event_at(trace, 0, 10)->kind, TRACE_MARK);
	assert_event(trace, 0, 11, TRACE_FREE, 1, TRACE_PAGED);
	assert_event(trace, 0, 12, TRACE_FREE, 64, TRACE_PAGED);
	assert_int_equal(trace->streams[0].total, 13);
	assert_int_equal(trace->losses.null_frees, 1);
	assert_int_equal(trace->losses.implied_frees + trace->losses.unknown_frees, 0);
	trace_destroy(trace);
}

static void assert_refused(const char *format, const char *words)
{
	struct trace *trace = NULL;
	char why[300] = "";
	const int ret = trace_import(path, format, "a test", &trace, why, sizeof(why));

	assert_int_equal(ret, -EILSEQ);
	assert_null(trace);
	if (!strstr(why, words))
		fail_msg("'%s' instead of '%s'", why, words);
}

static void csapp_refuses_by_line(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "ends at line 0" },
		{ "1\n2\n", "ends at line 2" },
		{ "1\n2 3\n4\n1\n", "line 2: the first four" },
		{ "1\n-2\n4\n1\n", "line 2: the first four" },
		{ "1\n1\n1\n1\na 1 8\n", "line 5: an identifier beyond" },
		{ "1\n1\n1\n1\nf 1\n", "line 5: an identifier beyond" },
		{ "1\n1\n1\n1\nf 0\n", "line 5: frees what" },
		{ "1\n1\n1\n1\na 0\n", "line 5: an allocation is" },
		{ "1\n1\n1\n1\na 0 -4\n", "line 5: an allocation is" },
		{ "1\n1\n1\n1\na 0 4 4\n", "line 5: an allocation is" },
		{ "1\n1\n1\n1\n\nf 0 1\n", "line 6: a free is" },
		{ "1\n1\n1\n1\nm 0 4\n", "line 5: an operation is" },
		{ "1\n1\n1\n1\na 0 4294967296\n", "line 5: more than 4 GiB" },
		{ "1\n1\n1\n1\na 0 99999999999999999999\n", "line 5: an allocation is" },
		{ "1\n1\n2\n1\na 0 4\na 0 4\n", "line 6: allocates what" },
		{ "1\n1\n1\n1\na 0 4\nf 0\n", "line 6: more operations" },
		{ "1\n1\n3\n1\na 0 4\nf 0\n", "after 2 of 3 operations" },
		{ "1\n16777217\n1\n1\na 0 4\n", "more than 16777216" },
		{ "1\n18446744073709551615\n1\n1\na 0 4\n", "more than 16777216" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		store(bad[i].text, strlen(bad[i].text));
		assert_refused("csapp", bad[i].words);
	}
}

/* Two threads that hand blocks to each other both ways, a realloc in place and one that moves. */
static void glibc_wl_is_read(void **state)
{
	struct trace *trace = import_sample("glibc.wl");
	const unsigned remote = TRACE_PAGED | TRACE_REMOTE;

	(void)state;
	assert_int_equal(trace->processors, 2);
	assert_event(trace, 0, 0, TRACE_ALLOC, 300, TRACE_PAGED);
	assert_event(trace, 0, 1, TRACE_ALLOC, 40, TRACE_PAGED);
	assert_event(trace, 0, 2, TRACE_ALLOC, 5000, TRACE_PAGED);
	assert_event(trace, 0, 3, TRACE_FREE, 40, TRACE_PAGED);
	assert_event(trace, 0, 4, TRACE_ALLOC, 256, TRACE_PAGED);
	assert_event(trace, 0, 5, TRACE_FREE, 4096, remote);
	assert_event(trace, 1, 0, TRACE_FREE, 300, remote);
	assert_event(trace, 1, 1, TRACE_ALLOC, 4096, TRACE_PAGED);
	assert_event(trace, 1, 2, TRACE_ALLOC, 200, TRACE_PAGED);
	assert_event(trace, 1, 3, TRACE_FREE, 256, remote);
	assert_event(trace, 1, 4, TRACE_FREE, 200, TRACE_PAGED);
	assert_int_equal(trace->losses.null_frees, 1);
	trace_destroy(trace);
}

static void glibc_wl_refuses_by_byte(void **state)
{
#define BYTES(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
	static const struct {
		uint8_t data[24];
		size_t bytes;
		const char *words;
	} bad[] = {
		{ BYTES(8, 1, 9, 0, 10, 1, 1), "byte 6: the main part starts fewer" },
		{ BYTES(8, 0x81), "byte 0: a number is cut" },
		{ BYTES(8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F),
		  "byte 0: a number is cut or too large" },
		{ BYTES(8, 100), "more pointers or syncs" },
		{ BYTES(8, 1, 10, 0), "needs 1 to 1024" },
		{ BYTES(8, 1, 10, 0xFF, 0x7F), "needs 1 to 1024" },
		{ BYTES(8, 1, 10, 1, 11, 99, 1), "outside of the file" },
		{ BYTES(8, 1, 10, 1, 11, 2, 1), "outside of the file" },
		{ BYTES(8, 1, 10, 2, 11, 9, 11, 9, 1, 1), "not lie behind" },
		{ BYTES(8, 1, 10, 1, 11, 9, 11, 9, 1, 1), "more threads than" },
		{ BYTES(8, 1, 10, 1, 2, 1, 1), "nothing that the main part" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 2, 1), "byte 7: a number is cut" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 2, 2, 9, 1), "a pointer or sync beyond" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 4, 1, 2, 9, 1), "a pointer or sync beyond" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 2, 1, 0x90, 0x80, 0x80, 0x80, 0, 1), "4 GiB" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 2, 1, 9), "ends without saying so" },
		{ BYTES(8, 1, 10, 1, 11, 7, 1, 16, 1), "nothing that a thread does" },
		{ BYTES(8, 1, 9, 1, 10, 1, 11, 9, 1, 7, 1, 1), "byte 9: threads wait" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		store(bad[i].data, bad[i].bytes);
		assert_refused("glibc-wl", bad[i].words);
	}
}

/* Whatever the bytes are: a trace that keeps the rules, or a sentence. */
static void mutate(const char *name, const char *format, unsigned rounds)
{
	uint8_t good[4096], bad[4096];
	const size_t bytes = load(name, good, sizeof(good));
	unsigned taken = 0;
	struct random random;

	random_seed(&random, bytes);
	for (unsigned i = 0; i < rounds; i++) {
		const uint32_t cut = i % 4 ? (uint32_t)bytes
					   : random_below(&random, (uint32_t)bytes + 1);
		struct trace *trace = NULL;
		char why[300] = "";
		int ret;

		memcpy(bad, good, bytes);
		for (uint32_t n = random_between(&random, 0, 3); n > 0; n--)
			bad[random_below(&random, (uint32_t)bytes)] = (uint8_t)random_next(&random);
		store(bad, cut);
		ret = trace_import(path, format, NULL, &trace, why, sizeof(why));
		if (ret) {
			assert_null(trace);
			assert_int_not_equal(why[0], '\0');
			continue;
		}
		taken++;
		if (trace_validate(trace, why, sizeof(why)))
			fail_msg("round %u: %s", i, why);
		trace_destroy(trace);
	}
	assert_in_range(taken, rounds / 50, rounds - rounds / 50);
}

static void hostile_bytes(void **state)
{
	(void)state;
	mutate("csapp.rep", "csapp", 1500);
	mutate("glibc.wl", "glibc-wl", 1500);
}

/* A file of one format is not taken for another. */
static void formats_know_their_own(void **state)
{
	static const char *const samples[] = { "csapp.rep", "glibc.wl" };
	uint8_t head[4097] = { 0 };

	(void)state;
	for (size_t s = 0; s < 2; s++) {
		memset(head, 0, sizeof(head));
		load(samples[s], head, sizeof(head));
		for (size_t f = 0; trace_formats[f]; f++)
			assert_int_equal(trace_formats[f]->sniff((char *)head),
					 trace_formats[f] ==
						 (s ? &glibc_wl_format : &csapp_format));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csapp_is_read),    cmocka_unit_test(csapp_refuses_by_line),
		cmocka_unit_test(glibc_wl_is_read), cmocka_unit_test(glibc_wl_refuses_by_byte),
		cmocka_unit_test(hostile_bytes),    cmocka_unit_test(formats_know_their_own),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
