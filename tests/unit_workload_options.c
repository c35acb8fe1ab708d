/* Every option of every workload changes what it says it changes; bad specs are refused in words. */
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

#include "workload_census.h"
#include "workloads/workload.h"

#define EVENTS 100000u

/* `part` of `whole`, in thousandths. */
static uint64_t permille(uint64_t part, uint64_t whole)
{
	assert_true(whole > 0);
	return (1000 * part + whole / 2) / whole;
}

/* ---- each option does something ---- */

/* Another value than the default, in range. */
static void other_value(const struct option_def *option, char *text, size_t text_bytes)
{
	double value = strtod(option->default_text, NULL);
	size_t size;

	switch (option->type) {
	case OPTION_TYPE_BOOL:
		snprintf(text, text_bytes, "%s",
			 strcmp(option->default_text, "on") == 0 ? "off" : "on");
		return;
	case OPTION_TYPE_ENUM:
		snprintf(text, text_bytes, "%s",
			 option->names[strcmp(option->names[0], option->default_text) == 0]);
		return;
	case OPTION_TYPE_SIZE:
		assert_int_equal(size_parse(option->default_text, &size), 0);
		snprintf(text, text_bytes, "%zu", size / 4);
		return;
	case OPTION_TYPE_UINT:
		snprintf(text, text_bytes, "%.0f",
			 2 * value <= option->max ? 2 * value : value / 2);
		return;
	default:
		snprintf(text, text_bytes, "%.3f", value / 2);
		return;
	}
}

static void every_option_changes_the_work(void **state)
{
	(void)state;
	for (const struct workload *const *w = workloads; *w; w++) {
		const struct census base = census_of((*w)->name, 2, EVENTS / 3);

		for (const struct option_def *option = (*w)->options; option->name; option++) {
			char spec[128], value[64];

			other_value(option, value, sizeof(value));
			snprintf(spec, sizeof(spec), "%s:%s=%s", (*w)->name, option->name, value);
			if (census_of(spec, 2, EVENTS / 3).work == base.work)
				fail_msg("%s: the same work as with %s", spec,
					 option->default_text);
			assert_non_null(option->help);
			assert_true(strlen(option->help) > 10);
		}
	}
}

/* ---- irp-storm ---- */

/* Frees of IRPs by another processor: the packets and work items go home and do not count. */
static uint64_t remote_permille(const char *spec, unsigned processors)
{
	const struct tag_census irps = tag_census_of(spec, "Irp ", processors, EVENTS);

	return permille(irps.remote_frees, irps.frees);
}

static void storm_remote(void **state)
{
	(void)state;
	assert_true(census_of("irp-storm:remote=0", 2, EVENTS).remote_frees == 0);
	assert_true(census_of("irp-storm:remote=0.4", 1, EVENTS).remote_frees == 0);
	assert_in_range(remote_permille("irp-storm:remote=0.4", 2), 370, 430);
	assert_in_range(remote_permille("irp-storm:remote=0.4", 4), 370, 430);
	assert_true(remote_permille("irp-storm:remote=1", 2) == 1000);
}

/* At the height of a storm a processor holds its depth in requests, each an IRP. */
static void storm_depth(void **state)
{
	static const unsigned depths[] = { 16, 128, 1024 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char spec[64];
		struct census census;

		snprintf(spec, sizeof(spec), "irp-storm:depth=%u,buffered=0,direct=0,files=64",
			 depths[i]);
		census = census_of(spec, 1, EVENTS);
		/* Besides: 64 files, a burst under way, extensions, what is posted. */
		assert_in_range(census.live_blocks_peak, depths[i] + 64,
				depths[i] * 12 / 10 + 64 + 40);
	}
}

static void storm_files(void **state)
{
	(void)state;
	assert_true(tag_census_of("irp-storm:files=100", "File", 2, EVENTS).live_start == 200);
	assert_true(tag_census_of("irp-storm:files=0", "File", 2, EVENTS).allocs == 0);
}

static void storm_dispatch(void **state)
{
	struct census census = census_of("irp-storm", 2, EVENTS);

	(void)state;
	/* All requests complete in DPCs; what is freed at PASSIVE_LEVEL are packets, work items, files. */
	assert_true(census.frees_at_dispatch * 10 > census.frees * 8);
	assert_true(census.allocs_at_dispatch > 0);
	/* Eight requests a DPC, of about 2.9 events each, and 0.6 of what they post. */
	assert_in_range(census.frees_at_dispatch / census.raises, 12, 20);
	census = census_of("irp-storm:dispatch=0", 2, EVENTS);
	assert_true(census.raises == 0);
	assert_true(census.frees_at_dispatch == 0);
	assert_true(census_of("irp-storm:dpc=1", 2, EVENTS).raises >
		    4 * census_of("irp-storm", 2, EVENTS).raises);
}

static uint64_t storm_share(const char *options, const char *tag)
{
	char spec[128];

	snprintf(spec, sizeof(spec), "irp-storm:%s", options);
	return permille(tag_census_of(spec, tag, 2, EVENTS).allocs,
			tag_census_of(spec, "Irp ", 2, EVENTS).allocs);
}

static void storm_shares(void **state)
{
	(void)state;
	assert_in_range(storm_share("buffered=0.3", "Io  "), 297, 303);
	assert_in_range(storm_share("buffered=0.3,direct=0.6", "Mdl "), 597, 603);
	assert_true(storm_share("buffered=1,direct=1", "Mdl ") == 0);
	assert_true(storm_share("buffered=0,direct=1", "Mdl ") == 1000);
	assert_in_range(storm_share("packets=0.5", "Icp "), 490, 510);
	assert_in_range(storm_share("workers=0.2", "IoWI"), 195, 205);
	assert_true(storm_share("workers=0", "IoWI") == 0);
	assert_in_range(storm_share("version=22631", "IrpX"), 80, 120);
	assert_true(storm_share("version=7sp1", "IrpX") == 0);
}

static void storm_sizes(void **state)
{
	(void)state;
	assert_int_equal(tag_census_of("irp-storm:stack=short", "Irp ", 1, EVENTS).bytes_max,
			 0xD0 + 4 * 0x48);
	assert_int_equal(tag_census_of("irp-storm:stack=deep", "Irp ", 1, EVENTS).bytes_max,
			 0xD0 + 20 * 0x48);
	assert_int_equal(
		tag_census_of("irp-storm:stack=deep,version=7sp1", "Irp ", 1, EVENTS).bytes_min,
		0xD0 + 10 * 0x48);
	/* 1 MiB that begins inside a page is 257 pages. */
	assert_int_equal(tag_census_of("irp-storm", "Mdl ", 1, EVENTS).bytes_max, 0x30 + 257 * 8);
	assert_int_equal(tag_census_of("irp-storm:transfer=4K", "Mdl ", 1, EVENTS).bytes_max,
			 0x30 + 23 * 8);
	assert_in_range(tag_census_of("irp-storm:buffer=64K", "Io  ", 1, EVENTS).bytes_max, 60000,
			65536);
}

/* ---- registry-churn ---- */

static void registry_populations(void **state)
{
	struct tag_census census = tag_census_of("registry-churn", "Key ", 2, EVENTS);

	(void)state;
	assert_true(census.live_start == 842);
	assert_true(census.allocs > 10000);
	assert_true(tag_census_of("registry-churn:handles=10", "Key ", 2, EVENTS).live_start == 10);
	assert_true(tag_census_of("registry-churn:notify=77", "CMnb", 2, EVENTS).live_start == 77);
	assert_true(tag_census_of("registry-churn:bins=100", "CM25", 2, EVENTS).live_start == 100);
	/* The cache lies between trimmed and full; what is open or has open children comes on top. */
	census = tag_census_of("registry-churn:handles=0", "CMkb", 2, EVENTS);
	assert_in_range(census.live_start, 1536, 2048 + 1024);
	census = tag_census_of("registry-churn:handles=0,cached=256", "CMkb", 2, EVENTS);
	assert_in_range(census.live_start, 192, 256 + 256);
}

/* Control blocks made for each thousand keys opened; without the batches, which retain none. */
static uint64_t blocks_made(const char *cached)
{
	char spec[64];

	snprintf(spec, sizeof(spec), "registry-churn:create=0,cached=%s", cached);
	return permille(tag_census_of(spec, "CMkb", 2, EVENTS).allocs,
			tag_census_of(spec, "Key ", 2, EVENTS).allocs);
}

/* Key bodies come and go while their control blocks stay. */
static void registry_retention(void **state)
{
	(void)state;
	assert_in_range(blocks_made("2048"), 50, 200);
	assert_true(blocks_made("64") > 2 * blocks_made("2048"));
	/* Where all keys fit, only those are made that no one had opened before. */
	assert_true(3 * blocks_made("65536") < blocks_made("2048"));
}

static void registry_shares(void **state)
{
	(void)state;
	assert_true(tag_census_of("registry-churn:create=0", "CM25", 2, EVENTS).allocs == 0);
	assert_true(tag_census_of("registry-churn:create=0.1", "CM25", 2, EVENTS).allocs > 100);
	assert_true(tag_census_of("registry-churn:transactions=0", "CMTr", 2, EVENTS).allocs == 0);
	assert_in_range(
		permille(
			tag_census_of("registry-churn:transactions=0.5", "CMTr", 2, EVENTS).allocs,
			tag_census_of("registry-churn:transactions=0.5", "CM25", 2, EVENTS).allocs),
		470, 530);
	assert_true(tag_census_of("registry-churn:set=0", "CMnb", 2, EVENTS).allocs == 0);
	assert_true(tag_census_of("registry-churn:set=0.5", "CMVa", 2, EVENTS).allocs >
		    tag_census_of("registry-churn:set=0", "CMVa", 2, EVENTS).allocs);
}

/* ---- section-mapping ---- */

static void section_populations(void **state)
{
	const struct tag_census areas = tag_census_of("section-mapping:images=0", "MmCa", 2,
						      EVENTS);
	const struct tag_census ptes = tag_census_of("section-mapping:images=0", "MmSt", 2, EVENTS);

	(void)state;
	/* Published: 1.02 live MmSt a live MmCa, 897 bytes each. */
	assert_in_range(permille(ptes.live_start, areas.live_start), 1015, 1025);
	assert_in_range(ptes.live_bytes_start / ptes.live_start, 600, 1200);
	assert_in_range(areas.live_start, 8192 * 7 / 8, 8192);
	assert_in_range(
		tag_census_of("section-mapping:images=0,cached=1000", "MmCa", 2, EVENTS).live_start,
		875, 1000);
	assert_true(tag_census_of("section-mapping", "Sect", 2, EVENTS).live_start == 0);
}

static void section_shares(void **state)
{
	struct tag_census census;

	(void)state;
	census = tag_census_of("section-mapping:images=1,private=0", "MmCa", 2, EVENTS);
	assert_true(census.allocs + census.live_start == 0);
	census = tag_census_of("section-mapping:images=0", "MmCi", 2, EVENTS);
	assert_true(census.allocs + census.live_start == 0);
	assert_true(tag_census_of("section-mapping:reads=0", "CcSc", 2, EVENTS).allocs == 0);
	assert_true(tag_census_of("section-mapping:reads=1", "Sect", 2, EVENTS).allocs == 0);
	assert_true(tag_census_of("section-mapping:private=0", "VadS", 2, EVENTS).allocs == 0);
	assert_in_range(
		permille(tag_census_of("section-mapping:private=0.3", "VadS", 2, EVENTS).allocs,
			 tag_census_of("section-mapping:private=0.3", "Sect", 2, EVENTS).allocs),
		290, 310);
}

static void section_largest(void **state)
{
	struct trace_summary summary;
	struct trace *trace;

	(void)state;
	trace = trace_of("section-mapping:largest=1M", 1, EVENTS, 1);
	trace_summarise(trace, &summary);
	assert_int_equal(summary.bytes_max, 2048);
	trace_destroy(trace);
	/* 2 GiB: 4 MiB of prototype PTEs, the largest block there is. */
	trace = trace_of("section-mapping:largest=2G,files=65536,cached=32768", 1, 4 * EVENTS, 1);
	trace_summarise(trace, &summary);
	assert_in_range(summary.bytes_max, 256 << 10, 4 << 20);
	trace_destroy(trace);
}

/* ---- object-churn ---- */

static uint64_t live_objects(const char *spec, const char *tag)
{
	return tag_census_of(spec, tag, 2, EVENTS).live_start;
}

static void object_populations(void **state)
{
	static const char spec[] = "object-churn:population=10000,processes=50,threads=5";

	(void)state;
	assert_true(live_objects(spec, "Proc") == 50);
	assert_true(live_objects(spec, "Toke") == 50);
	assert_in_range(live_objects(spec, "Thre"), 150, 350);
	assert_in_range(live_objects(spec, "Even") + live_objects(spec, "Sema") +
				live_objects(spec, "Muta") + live_objects(spec, "File"),
			9950, 10000);
	assert_true(live_objects(spec, "File") == live_objects(spec, "IoNm"));
}

static void object_shares(void **state)
{
	struct tag_census census;

	(void)state;
	assert_true(tag_census_of("object-churn:restart=0", "Proc", 2, EVENTS).allocs == 0);
	assert_true(tag_census_of("object-churn:restart=0.05", "Proc", 2, EVENTS).allocs > 10);
	assert_true(tag_census_of("object-churn:restart=0,replace=0", "Thre", 2, EVENTS).allocs ==
		    0);
	assert_true(census_of("object-churn:remote=0", 2, EVENTS).remote_frees == 0);
	assert_true(census_of("object-churn:remote=1", 2, EVENTS).remote_frees > 1000);
	/* Files come and go; what a lap allocates is never there when it ends. */
	census = tag_census_of("object-churn:files=1,events=0,replace=0,restart=0", "File", 2,
			       EVENTS);
	assert_true(census.allocs == census.frees);
	assert_in_range(census.allocs, EVENTS / 4 - 100, EVENTS / 4 + 100);
	census = tag_census_of("object-churn:files=0,events=1,replace=0,restart=0", "Even", 2,
			       EVENTS);
	assert_in_range(census.allocs, EVENTS / 2 - 100, EVENTS / 2 + 100);
}

/* ---- mixed ---- */

/* Events of the tags that only one part has tell which parts are there. */
static void mixed_parts(void **state)
{
	static const struct {
		const char *part, *tag;
	} parts[] = { { "irp", "Irp " },
		      { "registry", "CMkb" },
		      { "section", "MmSt" },
		      { "object", "Thre" } };

	(void)state;
	for (size_t without = 0; without < 4; without++) {
		char spec[64];

		snprintf(spec, sizeof(spec), "mixed:%s=0", parts[without].part);
		for (size_t i = 0; i < 4; i++) {
			const struct tag_census census = tag_census_of(spec, parts[i].tag, 2,
								       EVENTS);

			assert_int_equal(census.allocs > 0, i != without);
		}
	}
}

static void mixed_weights(void **state)
{
	const uint64_t alone = census_of("irp-storm", 2, EVENTS).raises;
	const uint64_t half =
		census_of("mixed:irp=50,registry=50,section=0,object=0", 2, 2 * EVENTS).raises;

	(void)state;
	assert_in_range(permille(half, alone), 930, 1070);
}

/* ---- specs ---- */

static void assert_refused(const char *spec, int error, const char *word)
{
	struct trace *trace = NULL;
	char why[512] = "";

	assert_int_equal(workload_trace(spec, 1, 1000, 1, &trace, why, sizeof(why)), error);
	if (!strstr(why, word))
		fail_msg("%s: '%s' does not say '%s'", spec, why, word);
	assert_null(trace);
	memset(why, 0, sizeof(why));
	assert_int_equal(workload_check(spec, why, sizeof(why)), error);
	assert_non_null(strstr(why, word));
}

static void bad_specs_are_refused_in_words(void **state)
{
	(void)state;
	assert_refused("irp-strom", -EINVAL, "irp-storm");
	assert_refused("registrychurn:keys=5", -EINVAL, "registry-churn");
	assert_refused("zzzzzzzzzz", -EINVAL, "section-mapping");
	assert_refused("", -EINVAL, "name");
	assert_refused(":depth=5", -EINVAL, "name");
	assert_refused("irp-storm:dept=5", -EINVAL, "depth");
	assert_refused("irp-storm:depth=0", -EINVAL, "depth");
	assert_refused("irp-storm:depth=many", -EINVAL, "depth");
	assert_refused("irp-storm:remote=1.5", -EINVAL, "remote");
	assert_refused("irp-storm:version=vista", -EINVAL, "version");
	assert_refused("mixed:irp=101", -EINVAL, "irp");
	assert_refused("trace:", -EINVAL, "trace:FILE");
	assert_refused("trace:/no/such/file", -ENOENT, "/no/such/file");
}

static void good_specs_pass_the_check(void **state)
{
	char why[256];

	(void)state;
	for (const struct workload *const *w = workloads; *w; w++) {
		assert_int_equal(workload_check((*w)->name, why, sizeof(why)), 0);
		assert_true(strlen((*w)->summary) > 20);
	}
	assert_int_equal(workload_check("irp-storm:depth=5,remote=0.5", why, sizeof(why)), 0);
	assert_int_equal(workload_check("irp-storm:", why, sizeof(why)), 0);
}

/* A recording is replayed on as many processors as it has, or folded onto fewer. */
static void recordings_are_loaded(void **state)
{
	char path[] = "/tmp/unit-workload-XXXXXX", spec[64], why[256] = "";
	struct trace *made = trace_of("irp-storm", 2, 5000, 1), *read = NULL;
	const int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(trace_write(made, path, why, sizeof(why)), 0);
	snprintf(spec, sizeof(spec), "trace:%s", path);
	assert_int_equal(workload_check(spec, why, sizeof(why)), 0);
	assert_int_equal(workload_trace(spec, 2, 1, 1, &read, why, sizeof(why)), 0);
	assert_true(read->checksum == made->checksum);
	trace_destroy(read);
	assert_int_equal(workload_trace(spec, 1, 1, 1, &read, why, sizeof(why)), 0);
	assert_int_equal(read->processors, 1);
	trace_destroy(read);
	assert_int_equal(workload_trace(spec, 4, 1, 1, &read, why, sizeof(why)), -ERANGE);
	assert_non_null(strstr(why, "2 processors"));
	trace_destroy(made);
	unlink(path);
}

static void impossible_requests_are_refused(void **state)
{
	struct trace *trace = NULL;
	char why[256] = "";

	(void)state;
	assert_int_equal(workload_trace("irp-storm", 0, 1000, 1, &trace, why, sizeof(why)),
			 -EINVAL);
	assert_int_equal(workload_trace("irp-storm", 1, 0, 1, &trace, why, sizeof(why)), -EINVAL);
	assert_int_equal(workload_trace("irp-storm", TRACE_MAX_PROCESSORS + 1, 1000, 1, &trace, why,
					sizeof(why)),
			 -EINVAL);
	assert_int_equal(workload_trace("mixed:irp=0,registry=0,section=0,object=0", 1, 1000, 1,
					&trace, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "nothing to do"));
	/* Processes without a handle have none to reopen. */
	assert_int_equal(
		workload_trace("object-churn:processes=1000,population=64,files=0,events=0,"
			       "replace=0,restart=0",
			       1, 1000, 1, &trace, why, sizeof(why)),
		-EINVAL);
	assert_non_null(strstr(why, "nothing to do"));
	assert_null(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_changes_the_work),
		cmocka_unit_test(storm_remote),
		cmocka_unit_test(storm_depth),
		cmocka_unit_test(storm_files),
		cmocka_unit_test(storm_dispatch),
		cmocka_unit_test(storm_shares),
		cmocka_unit_test(storm_sizes),
		cmocka_unit_test(registry_populations),
		cmocka_unit_test(registry_retention),
		cmocka_unit_test(registry_shares),
		cmocka_unit_test(section_populations),
		cmocka_unit_test(section_shares),
		cmocka_unit_test(section_largest),
		cmocka_unit_test(object_populations),
		cmocka_unit_test(object_shares),
		cmocka_unit_test(mixed_parts),
		cmocka_unit_test(mixed_weights),
		cmocka_unit_test(bad_specs_are_refused_in_words),
		cmocka_unit_test(good_specs_pass_the_check),
		cmocka_unit_test(recordings_are_loaded),
		cmocka_unit_test(impossible_requests_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
