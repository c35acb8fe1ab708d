/* The importer of Linux kmem tracepoints: every shape of line, every rule about what was not seen. */
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
#include <zstd.h>

#include "scratch_file.h"
#include "workloads/formats/format.h"
#include "workloads/random.h"

static struct trace *import(const char *text)
{
	struct trace *trace = NULL;
	char why[300] = "";

	store(text, strlen(text));
	if (trace_import(path, NULL, "a test", &trace, why, sizeof(why)))
		fail_msg("%s", why);
	if (trace_validate(trace, why, sizeof(why)))
		fail_msg("%s", why);
	assert_true(trace->recorded);
	return trace;
}

static const struct trace_event *event_at(const struct trace *trace, unsigned processor,
					  uint64_t index)
{
	assert_true(index < trace->streams[processor].total);
	return &trace->streams[processor].events[index];
}

/* Made up for this test: two processors, a remote free, an atomic allocation, everything that is not seen. */
static const char perf_text[] =
	"[000]   100.000001:          kmem:kmalloc: call_site=open_door+0x1c "
	"ptr=0xffff888000001000 "
	"bytes_req=300 bytes_alloc=512 gfp_flags=GFP_KERNEL node=-1 accounted=false\n"
	"[001]   100.000002: kmem:kmem_cache_alloc: call_site=make_key+0x20 ptr=0xffff888000002000 "
	"name=door_key bytes_req=40 bytes_alloc=40 gfp_flags=GFP_ATOMIC|__GFP_ZERO node=-1 "
	"accounted=true\n"
	"[001]   100.000003:            kmem:kfree: call_site=shut_door+0x9 "
	"ptr=0xffff888000001000\n"
	"[001]   100.000004:            kmem:kfree: call_site=shut_door+0x9 ptr=(nil)\n"
	"[000]   100.000005:  kmem:kmem_cache_free: call_site=drop+0x9 ptr=0xffff888000009000 "
	"name=door_key\n"
	"[000]   100.000006: kmem:kmem_cache_alloc: call_site=make_key+0x20 ptr=0xffff888000002000 "
	"name=door_key bytes_req=40 bytes_alloc=40 gfp_flags=GFP_NOWAIT|__GFP_NORETRY node=-1 "
	"accounted=true\n"
	"[000]   100.000007: kmem:kmem_cache_alloc: call_site=x+0x2 ptr=0xffff888000003000 "
	"name=door_knob bytes_req=4096 bytes_alloc=4096 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 "
	"accounted=true\n"
	"[000]   100.000008:          kmem:kmalloc: call_site=door_key+0x1c ptr=0xffff888000004000 "
	"bytes_req=8 bytes_alloc=8 gfp_flags=GFP_KERNEL node=-1 accounted=false\n";

static void perf_script_is_read(void **state)
{
	struct trace *trace = import(perf_text);
	struct trace_summary summary;
	const struct trace_event *event;

	(void)state;
	trace_summarise(trace, &summary);
	assert_int_equal(trace->processors, 2);
	assert_int_equal(summary.allocs, 5);
	assert_int_equal(summary.frees, 5);
	assert_int_equal(summary.remote_frees, 1);
	assert_int_equal(summary.allocs_at_dispatch, 2);
	assert_int_equal(summary.bytes_allocated, 300 + 40 + 40 + 4096 + 8);
	assert_int_equal(summary.allocs_of_type[POOL_PAGED], 0);
	assert_int_equal(trace_phase_events(trace, TRACE_PROLOGUE), 0);
	assert_int_equal(trace_phase_events(trace, TRACE_EPILOGUE), 0);
	assert_int_equal(trace->losses.null_frees, 1);
	assert_int_equal(trace->losses.unknown_frees, 1);
	assert_int_equal(trace->losses.implied_frees, 1);
	assert_int_equal(trace->losses.lost_events, 0);
	assert_int_equal(trace->losses.malformed_lines, 0);
	assert_string_equal(trace->mark_names[0], RECORDING_END_MARK);

	event = event_at(trace, 0, 0);
	assert_int_equal(event->kind, TRACE_ALLOC);
	assert_int_equal(event->bytes, 300);
	assert_int_equal(event->touch, 128);
	assert_string_equal(trace->tag_table[event->tag].name, "open_door");
	assert_int_equal(trace->tag_table[event->tag].tag, POOL_TAG('o', 'p', 'e', 'n'));
	assert_int_equal(event_at(trace, 1, 0)->kind, TRACE_RAISE);
	assert_int_equal(event_at(trace, 1, 0)->bytes, DISPATCH_LEVEL);
	event = event_at(trace, 1, 1);
	assert_int_equal(event->kind, TRACE_ALLOC);
	assert_int_equal(event->touch, 40);
	assert_string_equal(trace->tag_table[event->tag].name, "door_key");
	assert_int_equal(event_at(trace, 1, 2)->kind, TRACE_LOWER);
	event = event_at(trace, 1, 3);
	assert_int_equal(event->kind, TRACE_FREE);
	assert_int_equal(event->bytes, 300);
	assert_true(event->flags & TRACE_REMOTE);
	/* The implied free is its owner's, processor 1's, and comes before the address is used again. */
	event = event_at(trace, 1, 4);
	assert_int_equal(event->kind, TRACE_FREE);
	assert_int_equal(event->bytes, 40);
	assert_false(event->flags & TRACE_REMOTE);
	trace_destroy(trace);
}

/* A cache and a call site of the same name, and names that begin alike, are tags of their own. */
static void tags_are_distinct_and_keep_their_names(void **state)
{
	struct trace *trace = import(perf_text);
	unsigned named_key = 0;

	(void)state;
	assert_int_equal(trace->tags, 4);
	for (unsigned i = 0; i < trace->tags; i++) {
		named_key += !strcmp(trace->tag_table[i].name, "door_key");
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(trace->tag_table[i].tag, trace->tag_table[j].tag);
	}
	assert_int_equal(named_key, 2);
	assert_int_equal(trace->tag_table[1].tag, POOL_TAG('d', 'o', 'o', 'r'));
	assert_int_equal(trace->tag_table[2].tag, POOL_TAG('d', 'o', 'o', '0'));
	trace_destroy(trace);
}

static void many_tags_stay_distinct(void **state)
{
	const unsigned count = 20000;
	char *text = malloc((size_t)count * 160), *at = text;
	struct trace *trace;
	uint8_t *seen = calloc(1, 1u << 29);

	(void)state;
	assert_non_null(text);
	assert_non_null(seen);
	for (unsigned i = 0; i < count; i++)
		at += sprintf(at,
			      "[000] 1.0: kmem:kmem_cache_alloc: call_site=f ptr=0x%x name=same%u "
			      "bytes_req=1 bytes_alloc=8 gfp_flags=GFP_KERNEL\n",
			      0x1000 + i * 8, i);
	trace = import(text);
	assert_int_equal(trace->tags, count);
	for (unsigned i = 0; i < trace->tags; i++) {
		const uint32_t tag = trace->tag_table[i].tag;

		assert_false(seen[tag / 8] & 1 << tag % 8);
		seen[tag / 8] |= (uint8_t)(1 << tag % 8);
	}
	trace_destroy(trace);
	free(seen);
	free(text);
}

/* The same three events as each tool and each kernel prints them. */
static void every_variant_is_read(void **state)
{
	static const char *const variants[] = {
		/* perf script with task and event's own columns */
		"fio  812 [003]  5.000001: kmem:kmalloc: call_site=f+0x1 ptr=0xffff880000001000 "
		"bytes_req=24 bytes_alloc=32 gfp_flags=GFP_KERNEL\n"
		"kworker/u8:1 [3] 9 [005]  5.000002: kmem:kmem_cache_alloc: call_site=g+0x1 "
		"ptr=0xffff880000002000 bytes_req=56 bytes_alloc=56 gfp_flags=GFP_ATOMIC\n"
		"fio  812 [003]  5.000003: kmem:kfree: call_site=f+0x1 ptr=0xffff880000002000\n",
		/* tracefs, with its comments and its flags */
		"# tracer: nop\n#\n#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
		"             fio-812     [003] .....     5.000001: kmalloc: call_site=f+0x1/0x20 "
		"ptr=00000000abcd1000 bytes_req=24 bytes_alloc=32 gfp_flags=GFP_KERNEL node=-1\n"
		"          <idle>-0       [005] d.s..     5.000002: kmem_cache_alloc: "
		"call_site=g+0x1/0x9"
		" ptr=00000000abcd2000 bytes_req=56 bytes_alloc=56 gfp_flags=GFP_ATOMIC node=-1\n"
		"             fio-812     [003] .....     5.000003: kfree: call_site=f+0x1/0x20 "
		"ptr=00000000abcd2000\n",
		/* trace-cmd report, older events */
		"cpus=8\n"
		"             fio-812   [003]     5.000001: kmalloc_node:         (f+0x1) "
		"call_site=f+0x1 ptr=0xffff880000001000 bytes_req=24 bytes_alloc=32 "
		"gfp_flags=GFP_KERNEL node=0\n"
		"          <idle>-0     [005]     5.000002: kmem_cache_alloc_node: (g+0x1) "
		"call_site=g+0x1 ptr=0xffff880000002000 bytes_req=56 bytes_alloc=56 "
		"gfp_flags=GFP_ATOMIC node=0\n"
		"             fio-812   [003]     5.000003: kmem_cache_free:      (f+0x1) "
		"call_site=f+0x1 ptr=0xffff880000002000\n",
	};
	uint64_t events = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		struct trace *trace = import(variants[i]);
		struct trace_summary summary;

		trace_summarise(trace, &summary);
		assert_int_equal(trace->processors, 2); /* 3 and 5, numbered anew */
		assert_int_equal(summary.allocs, 2);
		assert_int_equal(summary.remote_frees, 1);
		assert_int_equal(summary.allocs_at_dispatch, 1);
		assert_int_equal(summary.bytes_allocated, 80);
		assert_string_equal(trace->tag_table[0].name, "f");
		assert_string_equal(trace->tag_table[1].name, "g");
		assert_int_equal(trace->losses.malformed_lines, i == 2 ? 1 : 0); /* "cpus=8" */
		if (!i)
			events = trace->streams[0].total;
		assert_int_equal(trace->streams[0].total, events);
		trace_destroy(trace);
	}
}

#define GOOD_LINE \
	"[000] 1.0: kmem:kmalloc: call_site=f+0x1 ptr=0x10000 bytes_req=8 bytes_alloc=8 " \
	"gfp_flags=GFP_KERNEL\n"

static void odd_lines_are_counted_or_ignored(void **state)
{
	static const struct {
		const char *line;
		unsigned malformed, null_frees, lost, allocs;
	} cases[] = {
		{ "", 0, 0, 0, 0 },
		{ "\n   \n", 0, 0, 0, 0 },
		{ "# comment\n", 0, 0, 0, 0 },
		{ "garbage\n", 1, 0, 0, 0 },
		{ "[000] 2.0: sched:sched_switch: prev_comm=a ==> next_comm=b\n", 0, 0, 0, 0 },
		{ "CPU:1 [LOST 1234 EVENTS]\n", 0, 0, 1234, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f\n", 1, 0, 0, 0 },
		{ "2.0: kmem:kfree: call_site=f ptr=0x10000\n", 1, 0, 0, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f ptr=0x1zz\n", 1, 0, 0, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f ptr=\n", 1, 0, 0, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f ptr=0x0\n", 0, 1, 0, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f ptr=(null)\n", 0, 1, 0, 0 },
		{ "[000] 2.0: kmem:kfree: call_site=f ptr=0x10\n", 0, 1, 0, 0 },
		{ "[70000] 2.0: kmem:kfree: call_site=f ptr=0x10000\n", 1, 0, 0, 0 },
		{ "[000] 2.0: kmem:kmalloc: call_site=f ptr=0x10 bytes_req=0 "
		  "gfp_flags=GFP_KERNEL\n",
		  0, 0, 0, 0 },
		{ "[000] 2.0: kmem:kmalloc: call_site=f ptr=(nil) bytes_req=9 "
		  "gfp_flags=GFP_KERNEL\n",
		  0, 0, 0, 0 },
		{ "[000] 2.0: kmem:kmalloc: call_site=f ptr=0x20000 gfp_flags=GFP_KERNEL\n", 1, 0,
		  0, 0 },
		{ "[000] 2.0: kmem:kmalloc: call_site=f ptr=0x20000 bytes_req=4294967296 "
		  "gfp_flags=GFP_KERNEL\n",
		  1, 0, 0, 0 },
		{ "[000] 2.0: kmem:kmalloc: call_site=f ptr=0x20000 bytes_req=-1 gfp_flags=x\n", 1,
		  0, 0, 0 },
		{ "[000] 2.0: kmem:kmalloc: ptr=0x20000 bytes_req=7 gfp_flags=GFP_KERNEL", 0, 0, 0,
		  1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct trace_summary summary;
		struct trace *trace;
		char text[1000];

		snprintf(text, sizeof(text), "%s%s", GOOD_LINE, cases[i].line);
		trace = import(text);
		trace_summarise(trace, &summary);
		if (trace->losses.malformed_lines != cases[i].malformed ||
		    trace->losses.null_frees != cases[i].null_frees ||
		    trace->losses.lost_events != cases[i].lost ||
		    summary.allocs != 1 + cases[i].allocs)
			fail_msg("case %zu: %s", i, cases[i].line);
		trace_destroy(trace);
	}
}

static void compressed_text_is_read(void **state)
{
	const size_t bound = ZSTD_compressBound(sizeof(perf_text));
	struct trace *plain = import(perf_text), *packed = NULL;
	char *data = malloc(bound), why[300] = "";
	size_t bytes;

	(void)state;
	assert_non_null(data);
	bytes = ZSTD_compress(data, bound, perf_text, sizeof(perf_text) - 1, 3);
	store(data, bytes);
	assert_int_equal(trace_import(path, "linux-kmem", "a test", &packed, why, sizeof(why)), 0);
	assert_true(plain->checksum == packed->checksum);
	trace_destroy(packed);
	packed = NULL;
	/* cut, and damaged */
	store(data, bytes / 2);
	assert_int_equal(trace_import(path, "linux-kmem", NULL, &packed, why, sizeof(why)),
			 -EILSEQ);
	assert_null(packed);
	free(data);
	trace_destroy(plain);
}

static void errors_say_what_to_do(void **state)
{
	struct trace *trace = NULL;
	char why[300] = "";

	(void)state;
	store("hello\n", 6);
	assert_int_equal(trace_import(path, NULL, NULL, &trace, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "--format"));
	assert_int_equal(trace_import(path, "linux-kmen", NULL, &trace, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "did you mean 'linux-kmem'"));
	assert_int_equal(trace_import(path, "linux-kmem", NULL, &trace, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "no allocations"));
	assert_int_equal(trace_import("/nowhere/x", NULL, NULL, &trace, why, sizeof(why)), -ENOENT);
	assert_null(trace);
}

/* Whatever the bytes, an importer makes a sound trace or says why not. */
static void noise_never_crashes(void **state)
{
	struct random random;
	char text[sizeof(perf_text)];

	(void)state;
	random_seed(&random, 3);
	for (unsigned round = 0; round < 2000; round++) {
		struct trace *trace = NULL;
		unsigned flips = 1 + random_below(&random, 30);

		memcpy(text, perf_text, sizeof(text));
		while (flips--)
			text[random_below(&random, sizeof(text) - 1)] = (char)random_next(&random);
		store(text, sizeof(text) - 1);
		if (!trace_import(path, "linux-kmem", NULL, &trace, NULL, 0))
			assert_int_equal(trace_validate(trace, NULL, 0), 0);
		trace_destroy(trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perf_script_is_read),
		cmocka_unit_test(tags_are_distinct_and_keep_their_names),
		cmocka_unit_test(many_tags_stay_distinct),
		cmocka_unit_test(every_variant_is_read),
		cmocka_unit_test(odd_lines_are_counted_or_ignored),
		cmocka_unit_test(compressed_text_is_read),
		cmocka_unit_test(errors_say_what_to_do),
		cmocka_unit_test(noise_never_crashes),
	};

	return cmocka_run_group_tests_name("linux_kmem", tests, make_file, remove_file);
}
