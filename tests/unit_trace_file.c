/* Trace files: round trips, windows, damage of every kind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "random_trace.h"
#include "workloads/bytes.h"
#include "workloads/random.h"

static char directory[] = "/tmp/unit_trace_file.XXXXXX";
static char path_a[64], path_b[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path_a, sizeof(path_a), "%s/a.pbt", directory);
	snprintf(path_b, sizeof(path_b), "%s/b.pbt", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path_a);
	unlink(path_b);
	return rmdir(directory);
}

static uint8_t *load(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*bytes = (size_t)ftell(file);
	rewind(file);
	data = malloc(*bytes + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *bytes, file), *bytes);
	fclose(file);
	return data;
}

static void store(const char *path, const uint8_t *data, size_t bytes)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	fclose(file);
}

static void write_good(const struct trace *trace, const char *path)
{
	char why[300] = "";

	if (trace_write(trace, path, why, sizeof(why)))
		fail_msg("%s", why);
}

static struct trace *read_good(const char *path)
{
	struct trace *trace = NULL;
	char why[300] = "";

	if (trace_read(path, &trace, why, sizeof(why)))
		fail_msg("%s", why);
	return trace;
}

/* The damaged file must be refused with a sentence, or mean the very same thing. */
static int read_damaged(const uint8_t *data, size_t bytes, uint64_t checksum)
{
	struct trace *trace = NULL;
	char why[300] = "";
	int ret;

	store(path_b, data, bytes);
	ret = trace_read(path_b, &trace, why, sizeof(why));
	if (ret) {
		assert_null(trace);
		assert_true(ret == -EILSEQ || ret == -ENOTSUP);
		assert_true(strlen(why) > 10);
	} else {
		assert_true(trace->checksum == checksum);
		trace_destroy(trace);
	}
	return ret;
}

static void round_trips_are_exact(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		const unsigned events = seed == 12 ? 200000 : 3000;
		struct trace *trace = random_trace(1 + seed % 4, 50, events, seed), *again;
		uint8_t *a, *b;
		size_t a_bytes, b_bytes;

		write_good(trace, path_a);
		again = read_good(path_a);
		assert_true(again->checksum == trace->checksum);
		assert_int_equal(again->runs, trace->runs);
		assert_int_equal(again->slots, trace->slots);
		assert_string_equal(again->origin, trace->origin);
		for (unsigned p = 0; p < trace->processors; p++)
			assert_memory_equal(again->streams[p].events, trace->streams[p].events,
					    trace->streams[p].total * sizeof(struct trace_event));
		write_good(again, path_b);
		a = load(path_a, &a_bytes);
		b = load(path_b, &b_bytes);
		assert_int_equal(a_bytes, b_bytes);
		assert_memory_equal(a, b, a_bytes);
		free(a);
		free(b);
		trace_destroy(trace);
		trace_destroy(again);
	}
}

static void losses_and_names_survive(void **state)
{
	const struct trace_losses losses = { 1, 2, 3, 4, 5 };
	struct trace_builder *builder = trace_builder_create(3);
	struct trace *trace = NULL, *again;

	(void)state;
	trace_builder_tag(builder, 0xFFFFFFFF, "a long name, with commas \xc3\xa4nd \"quotes\"\n");
	trace_builder_tag(builder, 0, NULL);
	trace_builder_mark(builder, 2, "mark");
	trace_builder_recorded(builder, &losses);
	assert_int_equal(trace_builder_finish(builder, "somewhere", ~0ull, &trace, NULL, 0), 0);
	trace_builder_destroy(builder);
	write_good(trace, path_a);
	again = read_good(path_a);
	assert_true(again->recorded);
	assert_true(again->seed == ~0ull);
	assert_int_equal(again->losses.null_frees, 1);
	assert_int_equal(again->losses.unknown_frees, 2);
	assert_int_equal(again->losses.implied_frees, 3);
	assert_int_equal(again->losses.lost_events, 4);
	assert_int_equal(again->losses.malformed_lines, 5);
	assert_int_equal(again->tags, 2);
	assert_string_equal(again->tag_table[0].name, trace->tag_table[0].name);
	assert_string_equal(again->tag_table[1].name, "");
	assert_string_equal(again->mark_names[0], "mark");
	trace_destroy(trace);
	trace_destroy(again);
}

/* Windows of any size give each processor the same events as the whole, lap after lap. */
static void windows_add_up(void **state)
{
	struct trace *trace = random_trace(3, 100, 300000, 4);
	static const uint64_t sizes[] = { 1, 100000, 1000000 };

	(void)state;
	write_good(trace, path_a);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		uint64_t at[3] = { 0 };
		struct trace_reader *reader = NULL;
		const struct trace *window;
		enum trace_phase phase;
		unsigned laps = 1, windows = 0;
		int ret;

		assert_int_equal(trace_reader_open(path_a, &reader, NULL, 0), 0);
		assert_int_equal(trace_reader_rewind(reader), -EBUSY);
		assert_int_equal(trace_reader_events(reader, TRACE_BODY),
				 trace_phase_events(trace, TRACE_BODY));
		while ((ret = trace_reader_next(reader, sizes[s], &phase, &window, NULL, 0)) == 1) {
			windows++;
			for (unsigned p = 0; p < 3; p++) {
				const struct trace_stream *stream = &window->streams[p];

				assert_int_equal(stream->total, stream->count[phase]);
				assert_memory_equal(stream->events,
						    trace->streams[p].events + at[p],
						    stream->total * sizeof(struct trace_event));
				at[p] += stream->total;
			}
			if (phase != TRACE_BODY || !trace_reader_phase_ended(reader) || laps == 3)
				continue;
			laps++;
			assert_int_equal(trace_reader_rewind(reader), 0);
			for (unsigned p = 0; p < 3; p++)
				at[p] = trace->streams[p].start[TRACE_BODY];
		}
		assert_int_equal(ret, 0);
		for (unsigned p = 0; p < 3; p++)
			assert_int_equal(at[p], trace->streams[p].total);
		assert_int_equal(laps, 3);
		if (s == 0)
			assert_true(windows > 15);
		trace_reader_close(reader);
	}
	trace_destroy(trace);
}

static void every_truncation_is_told(void **state)
{
	struct trace *trace = random_trace(2, 10, 200, 3);
	size_t bytes;
	uint8_t *data;

	(void)state;
	write_good(trace, path_a);
	data = load(path_a, &bytes);
	for (size_t cut = 0; cut < bytes; cut++)
		assert_int_equal(read_damaged(data, cut, trace->checksum), -EILSEQ);
	/* and what is too long */
	data[bytes] = 0;
	assert_int_equal(read_damaged(data, bytes + 1, trace->checksum), -EILSEQ);
	free(data);
	trace_destroy(trace);
}

static void every_flipped_bit_is_told(void **state)
{
	struct trace *trace = random_trace(2, 10, 100, 3);
	size_t bytes;
	uint8_t *data;

	(void)state;
	write_good(trace, path_a);
	data = load(path_a, &bytes);
	for (size_t bit = 0; bit < bytes * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(read_damaged(data, bytes, trace->checksum), 0);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(data);
	trace_destroy(trace);
}

/* ---- hostile files: their CRCs are right ---- */

#define PREAMBLE     20u
#define BLOCK_HEADER 20u

static void put_u32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

/* Makes every CRC right again, as far as the blocks' sizes allow. */
static void forge(uint8_t *data, size_t bytes)
{
	size_t at = PREAMBLE + get_u32(data + 12);

	if (at > bytes)
		return;
	put_u32(data + 16, crc32c(crc32c(0, data, 16), data + PREAMBLE, at - PREAMBLE));
	while (bytes - at >= BLOCK_HEADER) {
		const uint32_t stored = get_u32(data + at);

		if (stored > bytes - at - BLOCK_HEADER)
			return;
		put_u32(data + at + 16,
			crc32c(crc32c(0, data + at, 16), data + at + BLOCK_HEADER, stored));
		at += BLOCK_HEADER + stored;
	}
}

static void forged_flips_never_crash(void **state)
{
	struct random random;
	unsigned refused = 0;

	(void)state;
	random_seed(&random, 1);
	for (unsigned round = 0; round < 3000; round++) {
		static struct trace *trace;
		static uint8_t *data, *copy;
		static size_t bytes;
		struct trace *read = NULL;
		unsigned flips = 1 + random_below(&random, 3);

		if (round % 500 == 0) {
			trace = random_trace(1 + round / 500, 10, 150, round);
			write_good(trace, path_a);
			data = load(path_a, &bytes);
			copy = malloc(bytes);
			trace_destroy(trace);
		}
		memcpy(copy, data, bytes);
		while (flips--)
			copy[random_below(&random, (uint32_t)bytes)] = (uint8_t)random_next(
				&random);
		forge(copy, bytes);
		store(path_b, copy, bytes);
		if (trace_read(path_b, &read, NULL, 0))
			refused++;
		else
			assert_int_equal(trace_validate(read, NULL, 0), 0);
		trace_destroy(read);
		if (round % 500 == 499) {
			free(data);
			free(copy);
		}
	}
	assert_true(refused > 2500);
}

static void huge_claims_take_no_memory(void **state)
{
	/* Each claims the most that its field can say; header and block have good CRCs. */
	static const uint8_t
		claims
			[] = {
				1,    2,    0x80, 8, /* 1024 processors */
				2,    5,    0xff, 0xff, 0xff, 0xff, 0xf, /* 2^32 - 1 slots */
				3,    0,    4,    8,    0,    0,    0,    0,
				0,    0,    0,    0,    5,    1,    1, /* origin, seed, recorded */
				6,    5,    0,    0,    0,    0,    0, /* losses */
				7,    27,   0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				0xff, 0xff, 0x7f, /* events */
				0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				0xff, 0x7f, 8,    3,    0xff, 0xff, 3, /* 65535 tags in no bytes */
				9,    1,    0,    10,   8,    0,    0,    0,
				0,    0,    0,    0,    0, /* marks, checksum */
			};
	uint8_t data[PREAMBLE + sizeof(claims) + BLOCK_HEADER] = "\x8ePBT\r\n\x1a\n\1";
	struct rusage before, after;
	struct trace *trace = NULL;
	char why[300] = "";

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	put_u32(data + 12, sizeof(claims));
	memcpy(data + PREAMBLE, claims, sizeof(claims));
	put_u32(data + PREAMBLE + sizeof(claims), 0); /* a block of nothing */
	forge(data, sizeof(data));
	store(path_b, data, sizeof(data));
	assert_int_equal(trace_read(path_b, &trace, why, sizeof(why)), -EILSEQ);
	assert_non_null(strstr(why, "fields"));

	data[PREAMBLE + sizeof(claims) - 16] = 1; /* tags: 0 of them, spelt wrong */
	for (unsigned field = 0; field < 3; field++) {
		data[PREAMBLE + sizeof(claims) - 16 + field] = (uint8_t[]){ 0x80, 0x80, 0 }[field];
	}
	forge(data, sizeof(data));
	store(path_b, data, sizeof(data));
	assert_int_equal(trace_read(path_b, &trace, NULL, 0), -EILSEQ);

	/* blocks that claim a lot */
	for (unsigned field = 0; field < 4; field++) {
		struct trace *small = random_trace(1, 1, 10, 2);
		size_t bytes;
		uint8_t *file;

		write_good(small, path_a);
		file = load(path_a, &bytes);
		put_u32(file + PREAMBLE + get_u32(file + 12) + 4 * field, 0xFFFFFFFF);
		forge(file, bytes);
		assert_int_equal(read_damaged(file, bytes, 0), -EILSEQ);
		free(file);
		trace_destroy(small);
	}
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024); /* KiB */
}

static void newer_versions_and_other_files_are_named(void **state)
{
	struct trace *trace = random_trace(1, 1, 10, 2), *read = NULL;
	char why[300] = "";
	size_t bytes;
	uint8_t *data;

	(void)state;
	write_good(trace, path_a);
	data = load(path_a, &bytes);
	data[8] = 2;
	assert_int_equal(read_damaged(data, bytes, 0), -ENOTSUP);
	data[8] = 1;
	data[5] = ' '; /* what a text-mode transfer would do */
	assert_int_equal(read_damaged(data, bytes, 0), -EILSEQ);
	assert_int_equal(trace_read("/nowhere/at/all.pbt", &read, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/at/all.pbt"));
	assert_int_equal(trace_read(directory, &read, why, sizeof(why)), -EINVAL);
	assert_int_equal(trace_write(trace, "/nowhere/at/all.pbt", why, sizeof(why)), -ENOENT);
	free(data);
	trace_destroy(trace);
}

static void recordings_are_found_by_stem(void **state)
{
	struct trace *trace = random_trace(1, 1, 10, 2);
	char path[128], why[300] = "";

	(void)state;
	write_good(trace, path_a);
	trace_destroy(trace);
	assert_int_equal(setenv("POOLBENCH_RECORDINGS", directory, 1), 0);
	assert_int_equal(trace_locate("a", path, sizeof(path), why, sizeof(why)), 0);
	assert_string_equal(path, path_a);
	assert_int_equal(trace_locate(path_a, path, sizeof(path), why, sizeof(why)), 0);
	assert_string_equal(path, path_a);
	assert_int_equal(trace_locate("zzz", path, sizeof(path), why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, directory));
	assert_int_equal(trace_locate("a", path, 1, why, sizeof(why)), -ENAMETOOLONG);
	unsetenv("POOLBENCH_RECORDINGS");
}

/* The recording in the repository means what its README says, on every machine. */
static void shipped_recording_is_sound(void **state)
{
	struct trace_summary summary;
	struct trace *trace, *folded = NULL;
	char path[4096], why[300] = "";

	(void)state;
	if (trace_locate("disk-io", path, sizeof(path), why, sizeof(why)))
		fail_msg("%s", why);
	trace = read_good(path);
	trace_summarise(trace, &summary);
	assert_true(trace->checksum == 0x3FE7E72A1C06A16Du);
	assert_true(trace->recorded);
	assert_int_equal(trace->processors, 2);
	assert_int_equal(summary.allocs, 290615);
	assert_int_equal(summary.remote_frees, 63388);
	assert_int_equal(summary.allocs_at_dispatch, 84667);
	assert_int_equal(trace->losses.implied_frees, 86761);
	assert_int_equal(trace_fold(trace, 1, &folded), 0);
	assert_int_equal(trace_validate(folded, why, sizeof(why)), 0);
	trace_destroy(trace);
	trace_destroy(folded);
}

static void crc_is_castagnolis(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283u);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_castagnolis),
		cmocka_unit_test(round_trips_are_exact),
		cmocka_unit_test(losses_and_names_survive),
		cmocka_unit_test(windows_add_up),
		cmocka_unit_test(every_truncation_is_told),
		cmocka_unit_test(every_flipped_bit_is_told),
		cmocka_unit_test(forged_flips_never_crash),
		cmocka_unit_test(huge_claims_take_no_memory),
		cmocka_unit_test(newer_versions_and_other_files_are_named),
		cmocka_unit_test(recordings_are_found_by_stem),
		cmocka_unit_test(shipped_recording_is_sound),
	};

	return cmocka_run_group_tests_name("trace_file", tests, make_directory, remove_directory);
}
