/*
 * What a backend's name on the command line becomes: a built-in, a malloc library or a plugin, checked and
 * with its options parsed.
 */
#include "registry.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"
#include "malloc_library.h"
#include "object.h"
#include "options.h"
#include "pages.h"
#include "plugin.h"

/* One line a backend. */
const struct pool_backend *const builtin_backends[] = {
	&null_backend,         &slub_backend,  &nt_pool_backend,
	&magazine_backend,     &vmem_backend,  &tlsf_backend,
	&segment_heap_backend, &buddy_backend, NULL,
};

#define LIBRARY_PREFIX "malloc:"

/* ------------------------------------------------------------------------------------------------
 * Validation.
 */

static bool name_is_valid(const char *name)
{
	size_t length = 0;

	for (; name[length]; length++)
		if (!islower((unsigned char)name[length]) &&
		    !isdigit((unsigned char)name[length]) && !strchr("-_.+", name[length]))
			return false;
	return length > 0 && length < sizeof(((struct backend *)NULL)->name);
}

static const char *missing_member(const struct pool_backend *ops)
{
	const struct {
		bool present;
		const char *name;
	} members[] = {
		{ ops->summary, "summary" }, { ops->create, "create" },
		{ ops->destroy, "destroy" }, { ops->alloc, "alloc" },
		{ ops->free, "free" },       { ops->block_bytes, "block_bytes" },
	};

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		if (!members[i].present)
			return members[i].name;
	return NULL;
}

static int check_caps(const struct pool_backend *ops, char *why, size_t why_bytes)
{
	const struct {
		uint32_t cap;
		bool present;
		const char *cap_name, *hook_name;
	} pairs[] = {
		{ POOL_CAP_TAGS, ops->tag_of, "POOL_CAP_TAGS", "tag_of" },
		{ POOL_CAP_TRIM, ops->trim, "POOL_CAP_TRIM", "trim" },
		{ POOL_CAP_WALK, ops->walk, "POOL_CAP_WALK", "walk" },
		{ POOL_CAP_CHECK, ops->check, "POOL_CAP_CHECK", "check" },
		{ POOL_CAP_COUNTERS, ops->counters, "POOL_CAP_COUNTERS", "counters" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		bool promised = ops->caps & pairs[i].cap;

		if (promised == pairs[i].present)
			continue;
		snprintf(why, why_bytes,
			 promised ? "caps has %s but there is no hook %s: %s"
				  : "caps lacks %s but there is a hook %s: %s",
			 pairs[i].cap_name, pairs[i].hook_name, "make them agree");
		return -ENOEXEC;
	}
	return 0;
}

int backend_validate(const struct pool_backend *ops, char *why, size_t why_bytes)
{
	const uint32_t known_caps = (POOL_CAP_FLOOR << 1) - 1;
	const char *missing;

	if (ops->abi != POOL_ABI) {
		snprintf(why, why_bytes, "abi is %u, this poolbench has %u", ops->abi, POOL_ABI);
		return -ENOEXEC;
	}
	if (!ops->name || !name_is_valid(ops->name)) {
		snprintf(why, why_bytes,
			 "name must be 1 to 63 of a-z, 0-9 and -_.+ (it becomes part of file "
			 "names)");
		return -ENOEXEC;
	}
	missing = missing_member(ops);
	if (missing) {
		snprintf(why, why_bytes, "%s is NULL: every backend must have it", missing);
		return -ENOEXEC;
	}
	if (ops->caps & ~known_caps) {
		snprintf(why, why_bytes, "caps has unknown bits 0x%x", ops->caps & ~known_caps);
		return -ENOEXEC;
	}
	if (!ops->options != !ops->options_bytes) {
		snprintf(why, why_bytes,
			 "options and options_bytes must be both given or both absent");
		return -ENOEXEC;
	}
	return check_caps(ops, why, why_bytes);
}

/* ------------------------------------------------------------------------------------------------
 * Parsing a specification.
 */

/*
 * Splits "PATH[:options]" in place; returns the options, or NULL. A path may itself have colons, and so may an
 * option's value: the longest prefix that is a file is the path. Of what is no file (a soname that the
 * loader will find, or a mistake) the path ends at the first colon.
 */
static char *split_path(char *text)
{
	char *colon;

	if (access(text, F_OK) == 0)
		return NULL;
	for (colon = strrchr(text, ':'); colon;
	     colon = memrchr(text, ':', (size_t)(colon - text))) {
		bool is_file;

		*colon = '\0';
		is_file = access(text, F_OK) == 0;
		*colon = ':';
		if (is_file)
			break;
	}
	if (!colon)
		colon = strchr(text, ':');
	if (!colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static char *split_name(char *text)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

/* A path has a slash in front of any options, or ends in .so. */
static bool is_path(const char *spec)
{
	size_t length = strcspn(spec, ":");

	return memchr(spec, '/', length) ||
	       (length > 3 && memcmp(spec + length - 3, ".so", 3) == 0);
}

static const struct pool_backend *find_builtin(const char *name)
{
	for (int i = 0; builtin_backends[i]; i++)
		if (strcmp(builtin_backends[i]->name, name) == 0)
			return builtin_backends[i];
	return NULL;
}

static const struct known_library *find_library(const char *name)
{
	for (const struct known_library *known = known_libraries; known->name; known++)
		if (strcmp(known->name, name) == 0)
			return known;
	return NULL;
}

static int unknown_name(const char *name, char *why, size_t why_bytes)
{
	const char *candidates[64];
	size_t count = 0;
	const char *near;

	for (int i = 0; builtin_backends[i] && count < 64; i++)
		candidates[count++] = builtin_backends[i]->name;
	for (int i = 0; known_libraries[i].name && count < 64; i++)
		candidates[count++] = known_libraries[i].name;
	near = name_suggest(name, candidates, count);
	if (near)
		snprintf(why, why_bytes, "no backend '%s': did you mean '%s'?", name, near);
	else
		snprintf(why, why_bytes,
			 "no backend '%s': `poolbench list backends` shows them; a plugin is given "
			 "by its "
			 "path (./%s.so), a malloc library as malloc:PATH",
			 name, name);
	return -EINVAL;
}

/* ------------------------------------------------------------------------------------------------
 * Opening.
 */

/*
 * The options that differ from their defaults, in the table's order: two spellings of one configuration are
 * then the same in records, and a figure's legend says what is special and nothing else.
 */
static int write_canonical(struct backend *backend, const struct option_def *table, size_t bytes)
{
	void *defaults = bytes ? calloc(1, bytes) : NULL;
	char usual[sizeof(backend->options)], detail[64];
	size_t used = 0;

	if (!defaults)
		return bytes ? -ENOMEM : 0;
	options_parse(table, defaults, NULL, detail, sizeof(detail));
	for (const struct option_def *option = table; option->name; option++) {
		const struct option_def one[] = { *option, OPTION_END };
		char given[sizeof(backend->options)];

		options_format(one, defaults, usual, sizeof(usual));
		options_format(one, backend->values, given, sizeof(given));
		if (strcmp(given, usual) != 0 && used < sizeof(backend->options))
			used += (size_t)snprintf(backend->options + used,
						 sizeof(backend->options) - used, "%s%s",
						 used ? "," : "", given);
	}
	free(defaults);
	return used < sizeof(backend->options) ? 0 : -EINVAL;
}

static int parse_options(struct backend *backend, const struct option_def *table, size_t bytes,
			 const char *options, char *why, size_t why_bytes)
{
	char detail[384];
	int error;

	if (bytes) {
		backend->values = calloc(1, bytes);
		if (!backend->values) {
			snprintf(why, why_bytes, "out of memory");
			return -ENOMEM;
		}
	}
	error = options_parse(table, backend->values, options, detail, sizeof(detail));
	if (error) {
		snprintf(why, why_bytes, "%s: %s", backend->name, detail);
		return error;
	}
	if (write_canonical(backend, table, bytes) != 0) {
		snprintf(why, why_bytes, "%s: the options are too long", backend->name);
		return -EINVAL;
	}
	return 0;
}

static void write_proof(struct backend *backend, const struct object_identity *identity)
{
	if (identity->build_id[0])
		snprintf(backend->proof, sizeof(backend->proof), "%s build-id %s", identity->path,
			 identity->build_id);
	else
		snprintf(backend->proof, sizeof(backend->proof), "%s no build-id", identity->path);
}

static int open_builtin(struct backend *backend, const char *options, char *why, size_t why_bytes)
{
	backend->kind = BACKEND_BUILTIN;
	snprintf(backend->name, sizeof(backend->name), "%s", backend->ops->name);
	snprintf(backend->proof, sizeof(backend->proof), "built-in");
	return parse_options(backend, backend->ops->options, backend->ops->options_bytes, options,
			     why, why_bytes);
}

static int open_plugin(struct backend *backend, char *text, char *why, size_t why_bytes)
{
	const char *options = split_path(text);
	struct object_identity identity;
	int error;

	backend->kind = BACKEND_PLUGIN;
	error = plugin_load(text, &backend->ops, &backend->handle, why, why_bytes);
	if (error)
		return error;
	snprintf(backend->name, sizeof(backend->name), "%s", backend->ops->name);
	if (object_identify(backend->ops, &identity) == 0)
		write_proof(backend, &identity);
	return parse_options(backend, backend->ops->options, backend->ops->options_bytes, options,
			     why, why_bytes);
}

/* "/usr/lib/libfoo.so.2" -> "foo". */
static void name_library(struct backend *backend, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	const char *end;

	if (strncmp(base, "lib", 3) == 0)
		base += 3;
	end = strstr(base, ".so");
	if (!end || end == base)
		end = base + strlen(base);
	snprintf(backend->name, sizeof(backend->name), "%.*s", (int)(end - base), base);
}

/* `known` is NULL for one given by its file. */
static int open_library(struct backend *backend, const struct known_library *known,
			const char *file, const char *options, char *why, size_t why_bytes)
{
	struct malloc_library_values *values;
	struct malloc_library *library;
	struct object_identity identity = { .path = "", .build_id = "" };
	int error;

	backend->kind = BACKEND_LIBRARY;
	if (known)
		snprintf(backend->name, sizeof(backend->name), "%s", known->name);
	else
		name_library(backend, file);
	error = parse_options(backend, malloc_library_options, sizeof(*values), options, why,
			      why_bytes);
	if (error)
		return error;
	values = backend->values;
	if (!values->alloc[0] != !values->free[0] || !values->alloc[0] != !values->usable[0]) {
		snprintf(why, why_bytes,
			 "%s: alloc, free and usable are given together or not at all",
			 backend->name);
		return -EINVAL;
	}
	error = malloc_library_open(backend->name, known ? known->summary : "a malloc library",
				    file, values, &library, why, why_bytes);
	if (error == -ENOENT && known)
		snprintf(why, why_bytes, "%s: no library %s on this machine: apt-get install %s",
			 known->name, known->soname, known->package);
	if (error)
		return error;
	values->library = library;
	backend->library = library;
	backend->ops = malloc_library_backend(library);
	malloc_library_identify(library, &identity);
	write_proof(backend, &identity);
	return 0;
}

/* `text` is a copy of the specification that may be cut up. */
static int open_spec(struct backend *backend, char *text, char *why, size_t why_bytes)
{
	const struct known_library *known;
	char *options;

	if (strncmp(text, LIBRARY_PREFIX, strlen(LIBRARY_PREFIX)) == 0) {
		char *file = text + strlen(LIBRARY_PREFIX);

		options = split_path(file);
		if (*file)
			return open_library(backend, NULL, file, options, why, why_bytes);
		snprintf(why, why_bytes, "malloc: needs a library: malloc:PATH or malloc:SONAME");
		return -EINVAL;
	}
	if (is_path(text))
		return open_plugin(backend, text, why, why_bytes);
	options = split_name(text);
	backend->ops = find_builtin(text);
	if (backend->ops)
		return open_builtin(backend, options, why, why_bytes);
	known = find_library(text);
	if (known)
		return open_library(backend, known, known->soname, options, why, why_bytes);
	return unknown_name(text, why, why_bytes);
}

int backend_open(const char *spec, struct backend **out, char *why, size_t why_bytes)
{
	struct backend *backend;
	char *text;
	int error = -ENOMEM;

	if (strlen(spec) >= sizeof(backend->spec)) {
		snprintf(why, why_bytes, "backend '%.32s...': longer than %zu characters", spec,
			 sizeof(backend->spec) - 1);
		return -EINVAL;
	}
	backend = calloc(1, sizeof(*backend));
	text = strdup(spec);
	if (!backend || !text)
		snprintf(why, why_bytes, "out of memory");
	else
		error = open_spec(backend, text, why, why_bytes);
	free(text);
	if (error) {
		backend_close(backend);
		return error;
	}
	memcpy(backend->spec, spec, strlen(spec) + 1);
	*out = backend;
	return 0;
}

void backend_close(struct backend *backend)
{
	if (!backend)
		return;
	malloc_library_close(backend->library);
	plugin_unload(backend->handle);
	free(backend->values);
	free(backend);
}

int backend_create_pool(const struct backend *backend, const struct pool_config *config,
			struct pool **out, char *why, size_t why_bytes)
{
	struct pool_config filled = *config;
	int error;

	filled.options = backend->options[0] ? backend->options : NULL;
	filled.values = backend->values;
	error = backend->ops->create(&filled, out);
	if (error)
		snprintf(why, why_bytes, "%s: no pool: %s", backend->name,
			 error == -ENOMEM ? "the page sources refused it memory: raise the limit"
					  : strerror(-error));
	return error;
}

/* ------------------------------------------------------------------------------------------------
 * Counters.
 */

void backend_counters(const struct pool_backend *ops, struct pool *pool,
		      struct page_source *const pages[POOL_TYPES], pool_counter_visit visit,
		      void *arg)
{
	uint64_t taken = 0, returned = 0;

	if (!ops->counters)
		return;
	ops->counters(pool, visit, arg);
	if (!(ops->caps & POOL_CAP_NATIVE))
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(pages[type], &stats);
		taken += stats.committed_total_bytes / pages[type]->page_size;
		returned += (stats.committed_total_bytes - stats.committed_bytes) /
			    pages[type]->page_size;
	}
	visit(arg, "pages_taken", "pool pages committed by the page sources", taken);
	visit(arg, "pages_returned", "pool pages given back to them", returned);
}
