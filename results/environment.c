#include "environment.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build_info.h"
#include "files.h"
#include "git_commit.h"
#include "hash.h"
#include "record_json.h"
#include "run_dir.h"
#include "system_text.h"

#define ENVIRONMENT_SCHEMA 1
#define CPUINFO_BYTES      (1 << 20)

/* ---- the machine ---- */

/* Distinct pairs of socket and core; 0 where cpuinfo does not name them, as on arm64. */
static json_int_t count_cores(const char *cpuinfo)
{
	enum { MOST = 4096 };
	unsigned long *seen = calloc(MOST, sizeof(*seen));
	const char *block = cpuinfo;
	json_int_t cores = 0;

	while (seen && block && *block) {
		const char *end = strstr(block, "\n\n");
		char *one = end ? strndup(block, (size_t)(end - block)) : strdup(block);
		char socket[32], core[32];

		if (one && system_field(one, "core id", core, sizeof(core)) &&
		    system_field(one, "physical id", socket, sizeof(socket))) {
			unsigned long id = strtoul(socket, NULL, 10) << 20 |
					   strtoul(core, NULL, 10);
			json_int_t i = 0;

			while (i < cores && seen[i] != id)
				i++;
			if (i == cores && cores < MOST)
				seen[cores++] = id;
		}
		free(one);
		block = end ? end + 2 : NULL;
	}
	free(seen);
	return cores;
}

static json_t *field_or_null(const char *text, const char *key)
{
	char value[256];

	return system_field(text, key, value, sizeof(value)) ? json_text(value) : json_null();
}

static void set_processor(json_t *machine, const char *root)
{
	char *cpuinfo = malloc(CPUINFO_BYTES), flags[8192];
	json_int_t cores = 0;

	if (cpuinfo && !system_text(root, "/proc/cpuinfo", cpuinfo, CPUINFO_BYTES))
		*cpuinfo = '\0';
	if (cpuinfo) {
		json_object_set_new(machine, "cpu_model", field_or_null(cpuinfo, "model name"));
		json_object_set_new(machine, "cpu_vendor", field_or_null(cpuinfo, "vendor_id"));
		json_object_set_new(machine, "cpu_microcode", field_or_null(cpuinfo, "microcode"));
		json_object_set_new(machine, "under_hypervisor",
				    system_field(cpuinfo, "flags", flags, sizeof(flags))
					    ? json_boolean(strstr(flags, " hypervisor"))
					    : json_null());
		cores = count_cores(cpuinfo);
	}
	json_object_set_new(machine, "cores", cores ? json_integer(cores) : json_null());
	json_object_set_new(machine, "processors_online",
			    json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(machine, "processors_configured",
			    json_integer(sysconf(_SC_NPROCESSORS_CONF)));
	json_object_set_new(machine, "processors_isolated",
			    system_string(root, "/sys/devices/system/cpu/isolated"));
	free(cpuinfo);
}

/* The 12 letters of CPUID leaf 0x40000000, where there is such a thing. */
static json_t *hypervisor_signature(const json_t *machine)
{
#if defined(__x86_64__) || defined(__i386__)
	unsigned eax = 0x40000000, ebx, ecx = 0, edx;
	char text[13] = "";

	if (!json_is_true(json_object_get(machine, "under_hypervisor")))
		return json_null();
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	memcpy(text, &ebx, 4);
	memcpy(text + 4, &ecx, 4);
	memcpy(text + 8, &edx, 4);
	return json_text(text);
#else
	(void)machine;
	return json_null();
#endif
}

/* "a=1 hostname=secret b" -> "a=1 hostname=... b" */
static json_t *kernel_command_line(const char *root)
{
	static const char *const private[] = { "hostname=", "systemd.hostname=", "ip=", "nfsroot=",
					       "nfsaddrs=" };
	char text[4096], clean[8192] = "", *rest = text, *word;
	size_t used = 0;

	if (!system_text(root, "/proc/cmdline", text, sizeof(text)))
		return json_null();
	while ((word = strsep(&rest, " "))) {
		const char *tail = "";
		int length = (int)strlen(word);

		for (size_t i = 0; i < sizeof(private) / sizeof(*private); i++) {
			if (!strncmp(word, private[i], strlen(private[i]))) {
				length = (int)strlen(private[i]);
				tail = "...";
			}
		}
		used += (size_t)snprintf(clean + used, sizeof(clean) - used, "%s%.*s%s",
					 used ? " " : "", length, word, tail);
		if (used >= sizeof(clean))
			break;
	}
	return json_text(clean);
}

static json_t *mitigations(const char *root)
{
	static const char directory[] = "/sys/devices/system/cpu/vulnerabilities";
	char path[PATH_MAX];
	struct dirent **names;
	json_t *object;
	int count;

	if ((size_t)snprintf(path, sizeof(path), "%s%s", root, directory) >= sizeof(path))
		return json_null();
	count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		return json_null();
	object = json_object();
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%.200s", directory, names[i]->d_name);
			json_object_set_new(object, names[i]->d_name, system_string(root, path));
		}
		free(names[i]);
	}
	free(names);
	return object;
}

static json_t *memory_bytes(const char *root, const char *key)
{
	char text[8192], value[64];

	if (!system_text(root, "/proc/meminfo", text, sizeof(text)) ||
	    !system_field(text, key, value, sizeof(value)))
		return json_null();
	return json_integer((json_int_t)strtoll(value, NULL, 10) * 1024);
}

json_t *environment_machine(const char *root)
{
	json_t *machine = json_object();
	struct utsname name;

	set_processor(machine, root);
	json_object_set_new(machine, "hypervisor", hypervisor_signature(machine));
	json_object_set_new(machine, "system_vendor",
			    system_string(root, "/sys/class/dmi/id/sys_vendor"));
	json_object_set_new(machine, "system_product",
			    system_string(root, "/sys/class/dmi/id/product_name"));
	json_object_set_new(machine, "memory_bytes", memory_bytes(root, "MemTotal"));
	json_object_set_new(machine, "numa_nodes",
			    system_string(root, "/sys/devices/system/node/online"));
	json_object_set_new(machine, "page_size_bytes", json_integer(sysconf(_SC_PAGESIZE)));
	json_object_set_new(
		machine, "huge_page_bytes",
		system_integer(root, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"));
	if (!uname(&name)) { /* not nodename */
		json_object_set_new(machine, "kernel_release", json_text(name.release));
		json_object_set_new(machine, "kernel_version", json_text(name.version));
		json_object_set_new(machine, "architecture", json_text(name.machine));
	}
	json_object_set_new(machine, "kernel_command_line", kernel_command_line(root));
	json_object_set_new(machine, "mitigations", mitigations(root));
	json_object_set_new(machine, "libc", json_text(gnu_get_libc_version()));
	return machine;
}

void environment_fingerprint(const json_t *machine, char *fingerprint)
{
	const char *model = json_string_value(json_object_get(machine, "cpu_model"));
	const char *microcode = json_string_value(json_object_get(machine, "cpu_microcode"));
	const char *kernel = json_string_value(json_object_get(machine, "kernel_release"));
	json_int_t memory = json_integer_value(json_object_get(machine, "memory_bytes"));
	char text[1024];

	snprintf(text, sizeof(text), "%s|%s|%lld|%lld|%lld|%ld", model ? model : "",
		 microcode ? microcode : "",
		 (long long)json_integer_value(json_object_get(machine, "processors_online")),
		 (long long)json_integer_value(json_object_get(machine, "cores")),
		 (long long)((memory + (1 << 29)) >> 30), kernel ? strtol(kernel, NULL, 10) : 0);
	snprintf(fingerprint, FINGERPRINT_BYTES, "%016" PRIx64,
		 hash_bytes(HASH_SEED, text, strlen(text)));
}

/* ---- the build ---- */

struct build_id_search {
	char *text;
	size_t bytes;
};

static void read_notes(const char *notes, size_t bytes, struct build_id_search *search)
{
	while (bytes >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		size_t name, size;

		memcpy(&note, notes, sizeof(note));
		name = (note.n_namesz + 3u) & ~3u;
		size = sizeof(note) + name + ((note.n_descsz + 3u) & ~3u);
		if (size > bytes)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    !memcmp(notes + sizeof(note), "GNU", 4)) {
			const unsigned char *id = (const void *)(notes + sizeof(note) + name);

			for (size_t i = 0; i < note.n_descsz && 2 * i + 3 <= search->bytes; i++)
				sprintf(search->text + 2 * i, "%02x", id[i]);
			return;
		}
		notes += size;
		bytes -= size;
	}
}

/* The first object that is visited is the program itself. */
static int visit_program(struct dl_phdr_info *info, size_t bytes, void *argument)
{
	(void)bytes;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type == PT_NOTE)
			read_notes((const char *)(info->dlpi_addr + header->p_vaddr),
				   header->p_memsz, argument);
	}
	return 1;
}

void build_id(char *text, size_t bytes)
{
	struct build_id_search search = { text, bytes };

	*text = '\0';
	dl_iterate_phdr(visit_program, &search);
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_text(text) : json_null();
}

json_t *environment_build(void)
{
	json_t *build = json_object();
	char id[129];

	build_id(id, sizeof(id));
	json_object_set_new(build, "version", json_text(BUILD_VERSION));
	json_object_set_new(build, "git_commit", json_text(BUILD_GIT_COMMIT));
	json_object_set_new(build, "build_id", text_or_null(id));
	json_object_set_new(build, "compiler", json_text(BUILD_COMPILER));
	json_object_set_new(build, "build_type", text_or_null(BUILD_TYPE));
	json_object_set_new(build, "flags", json_text(BUILD_FLAGS));
	json_object_set_new(build, "sanitizers", text_or_null(BUILD_SANITIZE));
	json_object_set_new(build, "benchmark_version", text_or_null(BUILD_BENCHMARK_VERSION));
	json_object_set_new(build, "hwloc_version", text_or_null(BUILD_HWLOC_VERSION));
	json_object_set_new(build, "jansson_version", json_text(jansson_version_str()));
	return build;
}

/* ---- the document ---- */

static json_t *options_json(const struct run_plan *plan)
{
	json_t *options = json_object();

	for (size_t i = 0; i < plan->option_count; i++)
		json_object_set_new(options, plan->options[i].name,
				    json_text(plan->options[i].value));
	return options;
}

static json_t *earlier_json(const json_t *previous)
{
	json_t *earlier = json_deep_copy(json_object_get(previous, "earlier"));
	json_t *before = json_object_get(previous, "before");

	if (!json_is_array(earlier)) {
		json_decref(earlier);
		earlier = json_array();
	}
	if (before)
		json_array_append_new(earlier, json_pack("{sO sO?}", "before", before, "after",
							 json_object_get(previous, "after")));
	return earlier;
}

json_t *environment_begin(const struct run_plan *plan, const json_t *previous)
{
	json_t *machine = environment_machine(""), *environment = json_object();
	char fingerprint[FINGERPRINT_BYTES], seed[24];
	int error = 0;

	environment_fingerprint(machine, fingerprint);
	snprintf(seed, sizeof(seed), "%" PRIu64, plan->seed);
	error |= json_object_set_new(environment, "schema", json_integer(ENVIRONMENT_SCHEMA));
	error |= json_object_set_new(environment, "machine_fingerprint", json_string(fingerprint));
	error |= json_object_set_new(environment, "machine", machine);
	error |= json_object_set_new(environment, "build", environment_build());
	error |= json_object_set_new(environment, "seed", json_string(seed));
	error |= json_object_set_new(environment, "options", options_json(plan));
	error |= json_object_set_new(environment, "before", environment_state(""));
	error |= json_object_set_new(environment, "after", json_null());
	error |= json_object_set_new(environment, "earlier", earlier_json(previous));
	if (!error)
		return environment;
	json_decref(environment);
	return NULL;
}

int environment_end(json_t *environment)
{
	return json_object_set_new(environment, "after", environment_state("")) ? -ENOMEM : 0;
}

int environment_write(struct run_dir *run, const json_t *environment, char *why, size_t why_bytes)
{
	char *text = json_dumps(environment, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	int error;

	if (!text)
		return file_explain(why, why_bytes, ENOMEM, "cannot write environment.json");
	error = run_dir_write(run, "environment.json", text, strlen(text), why, why_bytes);
	free(text);
	return error;
}

json_t *environment_read(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *environment = NULL;
	char *text, why[512];
	size_t bytes;

	if (fd < 0)
		return NULL;
	if (!file_read_all(fd, "environment.json", directory, &text, &bytes, why, sizeof(why))) {
		environment = json_loadb(text, bytes, 0, NULL);
		free(text);
	}
	close(fd);
	return environment;
}
