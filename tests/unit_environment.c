/* environment.json: of a machine made of files, of one that shows nothing, and of this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "results/environment.h"
#include "results/files.h"
#include "results/run_dir.h"
#include "results/system_text.h"

static char root[64];

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/poolbench-env-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void put(const char *path, const char *text)
{
	char full[512], why[256], *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	slash = strrchr(full, '/');
	*slash = '\0';
	assert_int_equal(file_make_directories(full, why, sizeof(why)), 0);
	*slash = '/';
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "(no string)";
}

#define CORE(n, socket, core) \
	"processor\t: " n "\nvendor_id\t: GenuineTest\nmodel name\t: Test CPU @ 3 GHz \n" \
	"physical id\t: " socket "\ncore id\t\t: " core "\nmicrocode\t: 0x2a\n" \
	"flags\t\t: fpu hypervisor sse\n\n"

static void a_machine_made_of_files(void **state)
{
	json_t *machine, *mitigations;

	(void)state;
	put("/proc/cpuinfo",
	    CORE("0", "0", "0") CORE("1", "0", "0") CORE("2", "0", "1") CORE("3", "1", "0"));
	put("/proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 5 kB\n");
	put("/proc/cmdline", "BOOT_IMAGE=/v ip=10.0.0.1 quiet hostname=secret last\n");
	put("/sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n");
	put("/sys/devices/system/cpu/vulnerabilities/retbleed", "Mitigation: IBRS\n");
	machine = environment_machine(root);
	assert_string_equal(text_of(machine, "cpu_model"), "Test CPU @ 3 GHz");
	assert_string_equal(text_of(machine, "cpu_microcode"), "0x2a");
	assert_true(json_is_true(json_object_get(machine, "under_hypervisor")));
	assert_int_equal(json_integer_value(json_object_get(machine, "cores")), 3);
	assert_int_equal(json_integer_value(json_object_get(machine, "memory_bytes")),
			 16384000LL * 1024);
	assert_string_equal(text_of(machine, "kernel_command_line"),
			    "BOOT_IMAGE=/v ip=... quiet hostname=... last");
	mitigations = json_object_get(machine, "mitigations");
	assert_int_equal(json_object_size(mitigations), 2);
	assert_string_equal(text_of(mitigations, "retbleed"), "Mitigation: IBRS");
	assert_true(json_is_null(json_object_get(machine, "system_vendor")));
	json_decref(machine);
}

static void a_state_made_of_files(void **state_)
{
	json_t *state, *part;

	(void)state_;
	put("/proc/loadavg", "0.50 1.25 2.00 1/100 4242\n");
	put("/proc/stat", "cpu  10 20 30 40 50 60 70 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n");
	put("/proc/pressure/cpu", "some avg10=1.50 avg60=2.00 avg300=0.25 total=1234\n"
				  "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
	put("/proc/self/cgroup", "4:memory:/a/b\n1:cpu:/\n0::/unified/here\n");
	put("/sys/fs/cgroup/unified/here/cpu.max", "200000 100000\n");
	put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1073741824\n");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	put("/sys/devices/system/cpu/smt/active", "garbage\n");
	state = environment_state(root);
	part = json_object_get(state, "load_average");
	assert_true(json_number_value(json_array_get(part, 1)) == 1.25);
	part = json_object_get(state, "processor_ticks");
	assert_int_equal(json_integer_value(json_object_get(part, "user")), 10);
	assert_int_equal(json_integer_value(json_object_get(part, "steal")), 80);
	part = json_object_get(json_object_get(state, "pressure_cpu"), "full");
	assert_int_equal(json_integer_value(json_object_get(part, "total_us")), 7);
	assert_true(json_is_null(json_object_get(state, "pressure_io")));
	part = json_object_get(json_object_get(state, "huge_pages"), "2048kB");
	assert_int_equal(json_integer_value(json_object_get(part, "free")), 3);
	part = json_object_get(state, "transparent_huge_pages");
	assert_string_equal(text_of(part, "enabled"), "always [madvise] never");
	part = json_object_get(state, "limits");
	assert_string_equal(text_of(part, "cgroup_cpu_max"), "200000 100000");
	assert_string_equal(text_of(part, "cgroup_memory_max"), "1073741824");
	assert_true(json_is_null(json_object_get(part, "cgroup_cpuset")));
	assert_true(json_is_null(json_object_get(state, "smt_active")));
	json_decref(state);
}

/* No /proc, no /sys: nulls, every key there, no crash. */
static void a_machine_that_shows_nothing(void **state)
{
	static const char *const unknown[] = { "cpu_model",    "cpu_microcode",
					       "cores",        "hypervisor",
					       "memory_bytes", "kernel_command_line",
					       "mitigations",  "system_product" };
	json_t *machine = environment_machine(root), *now = environment_state(root);
	char fingerprint[FINGERPRINT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		if (!json_is_null(json_object_get(machine, unknown[i])))
			fail_msg("%s is not null", unknown[i]);
	}
	assert_true(json_is_null(json_object_get(now, "load_average")));
	assert_true(json_is_null(json_object_get(now, "processor_ticks")));
	assert_true(json_is_null(json_object_get(now, "memory")));
	assert_true(json_is_string(json_object_get(now, "affinity")));
	environment_fingerprint(machine, fingerprint);
	assert_int_equal(strlen(fingerprint), 16);
	json_decref(machine);
	json_decref(now);
}

static void fingerprint_of(json_t *machine, const char *key, json_t *value, char *fingerprint)
{
	json_t *copy = json_deep_copy(machine);

	json_object_set_new(copy, key, value);
	environment_fingerprint(copy, fingerprint);
	json_decref(copy);
}

static void the_fingerprint_tells_machines_and_keeps_one(void **state)
{
	json_t *machine = json_pack("{ss ss si si sI ss}", "cpu_model", "A", "cpu_microcode", "0x1",
				    "processors_online", 8, "cores", 4, "memory_bytes",
				    (json_int_t)16000000000, "kernel_release", "6.1.0-13-amd64");
	char base[FINGERPRINT_BYTES], other[FINGERPRINT_BYTES];

	(void)state;
	environment_fingerprint(machine, base);
	fingerprint_of(machine, "kernel_release", json_string("6.12.1"), other);
	assert_string_equal(base, other);
	fingerprint_of(machine, "memory_bytes", json_integer(16000100000), other);
	assert_string_equal(base, other);
	fingerprint_of(machine, "kernel_release", json_string("7.0.1"), other);
	assert_string_not_equal(base, other);
	fingerprint_of(machine, "memory_bytes", json_integer(32000000000), other);
	assert_string_not_equal(base, other);
	fingerprint_of(machine, "cpu_microcode", json_string("0x2"), other);
	assert_string_not_equal(base, other);
	fingerprint_of(machine, "processors_online", json_integer(4), other);
	assert_string_not_equal(base, other);
	fingerprint_of(machine, "cores", json_integer(8), other);
	assert_string_not_equal(base, other);
	json_decref(machine);
}

/* As readelf and the loader see it. */
static void the_build_is_identified(void **state)
{
	char id[129], command[600], program[400], line[256], expect[160] = "";
	json_t *build = environment_build();
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	FILE *pipe;

	(void)state;
	assert_true(length > 0);
	program[length] = '\0';
	build_id(id, sizeof(id));
	snprintf(command, sizeof(command), "readelf -n '%s' 2>/dev/null", program);
	pipe = popen(command, "r");
	while (pipe && fgets(line, sizeof(line), pipe))
		sscanf(line, " Build ID: %150s", expect);
	if (pipe)
		pclose(pipe);
	if (*expect)
		assert_string_equal(id, expect);
	assert_non_null(strchr(text_of(build, "compiler"), ' '));
	assert_true(strlen(text_of(build, "git_commit")) >= 7);
	json_decref(build);
}

static void the_document_begins_ends_and_remembers(void **state)
{
	struct run_plan plan = { .seed = UINT64_MAX };
	struct run_dir *run;
	char out[128], why[256], host[256] = "", *text;
	json_t *first, *second, *read;

	(void)state;
	assert_int_equal(run_plan_add_option(&plan, "workload", "irp-storm"), 0);
	first = environment_begin(&plan, NULL);
	assert_true(json_is_null(json_object_get(first, "after")));
	assert_int_equal(environment_end(first), 0);
	assert_true(json_is_object(json_object_get(first, "after")));
	assert_string_equal(text_of(first, "seed"), "18446744073709551615");
	assert_string_equal(text_of(json_object_get(first, "options"), "workload"), "irp-storm");

	second = environment_begin(&plan, first);
	assert_int_equal(json_array_size(json_object_get(second, "earlier")), 1);
	assert_true(json_equal(
		json_object_get(json_array_get(json_object_get(second, "earlier"), 0), "after"),
		json_object_get(first, "after")));

	gethostname(host, sizeof(host) - 1);
	text = json_dumps(second, 0);
	if (strlen(host) > 3 && strcmp(host, "localhost"))
		assert_null(strstr(text, host));
	free(text);

	snprintf(out, sizeof(out), "%s/run", root);
	assert_int_equal(run_dir_create(NULL, out, &plan, &run, why, sizeof(why)), 0);
	assert_int_equal(environment_write(run, second, why, sizeof(why)), 0);
	read = environment_read(out);
	assert_string_equal(text_of(read, "machine_fingerprint"),
			    text_of(second, "machine_fingerprint"));
	run_dir_close(run);
	json_decref(read);
	json_decref(first);
	json_decref(second);
	run_plan_release(&plan);
}

static void fields_are_found_by_their_whole_name(void **state)
{
	char value[64] = "";

	(void)state;
	assert_true(system_field("MemFree: 1 kB\nMem: 2\n", "Mem", value, sizeof(value)));
	assert_string_equal(value, "2");
	assert_true(system_field("a : b c \n", "a", value, sizeof(value)));
	assert_string_equal(value, "b c");
	assert_true(system_field("some x=1\n", "some", value, sizeof(value)));
	assert_string_equal(value, "x=1");
	assert_false(system_field("cpus 1\n", "cpu", value, sizeof(value)));
	assert_false(system_field("", "cpu", value, sizeof(value)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_machine_made_of_files),
		TEST(a_state_made_of_files),
		TEST(a_machine_that_shows_nothing),
		TEST(the_document_begins_ends_and_remembers),
		cmocka_unit_test(the_fingerprint_tells_machines_and_keeps_one),
		cmocka_unit_test(the_build_is_identified),
		cmocka_unit_test(fields_are_found_by_their_whole_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
