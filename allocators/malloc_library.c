/*
 * Malloc libraries behind the pool contract: peers, not equals.
 *
 *     alloc ──▶ struct pool { malloc, free, usable } ──▶ one indirect tail call into the library
 *
 * What runs is proved, never assumed. A library is loaded by path or soname, each function is looked up in
 * that object, and the address found must lie in that very object: a `malloc` that resolves to the C
 * library's, because the named object only depends on it, is refused. The same holds for "glibc": the
 * functions come from libc.so.6 itself, even where something has been preloaded over it.
 *
 * Alignment: glibc aligns every block to 16. The others align a request below 16 bytes to 8 only. That is
 * probed at load, and such a library's requests are raised to 16 bytes. One that fails above is refused.
 *
 * Cost: a load of a function pointer and a tail call; a compare and a conditional move where small
 * requests are raised. Nothing is added to a block.
 *
 * block_bytes is the library's usable size plus the header it is known to keep in front of each block:
 * 8 bytes for glibc (the size word; the previous block's tail lends it the rest), none for mimalloc,
 * jemalloc, tcmalloc and tbbmalloc's slabs, whose bookkeeping is out of band. For a library that is not known the
 * header is taken as 0, so its figure is a lower bound.
 *
 * Concurrency: the libraries' own. They flush a thread's cache when the thread ends, so there is no
 * thread_exit. trim also flushes the calling thread's cache where a function for that exists.
 *
 * Capabilities: TRIM where the library can give memory back, COUNTERS where it keeps an account (what that says, less
 * what it said when the pool was created). Not NATIVE: memory comes from where the library
 * takes it, both pool types share one heap, the page sources stay untouched (so page size, backing, limit
 * and injected failures mean nothing to it; transparent huge pages come from the process's prctl and the
 * system's setting). Not RESIDENT, not PAGE_RULES, no TAGS.
 *
 * Departures: destroy gives nothing back. A library's heap belongs to the process; blocks that are live
 * when their pool is destroyed are leaked. Keeping a list of them would put poolbench's cost into
 * every call. Two pools of one library share its heap.
 */
#include "malloc_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "malloc_statistics.h"
#include "registry.h"

const struct known_library known_libraries[] = {
	{ "glibc", NULL, "libc6", "glibc's malloc (ptmalloc2): arenas, bins, thread caches" },
	{ "mimalloc", "libmimalloc.so.2", "libmimalloc2.0",
	  "mimalloc: sharded free lists in pages" },
	{ "jemalloc", "libjemalloc.so.2", "libjemalloc2",
	  "jemalloc: arenas, slabs, thread caches" },
	{ "tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4",
	  "gperftools' tcmalloc: thread caches over central lists" },
	{ "tbbmalloc", "libtbbmalloc.so.2", "libtbbmalloc2",
	  "oneTBB's scalable allocator: per-thread bins, public free lists" },
	{ NULL, NULL, NULL, NULL },
};

const struct option_def malloc_library_options[] = {
	OPTION_TEXT(struct malloc_library_values, alloc, "", "allocation function, void *(size_t)"),
	OPTION_TEXT(struct malloc_library_values, free, "", "its inverse, void (void *)"),
	OPTION_TEXT(struct malloc_library_values, usable, "", "usable size, size_t (void *)"),
	OPTION_END,
};

/* Families of names, most telling first: a library that has mi_malloc also exports malloc. */
static const struct family {
	const char *alloc, *free, *usable;
} families[] = {
	{ "mi_malloc", "mi_free", "mi_usable_size" },
	{ "je_malloc", "je_free", "je_malloc_usable_size" },
	{ "tc_malloc", "tc_free", "tc_malloc_size" },
	{ "scalable_malloc", "scalable_free", "scalable_msize" },
	{ "malloc", "free", "malloc_usable_size" },
};

struct pool {
	void *(*alloc)(size_t bytes);
	void (*free)(void *block);
	size_t (*usable)(void *block);
	size_t header_bytes;
	const struct malloc_library *library;
	struct malloc_claim before; /* what others hold in the library's heap */
};

struct malloc_library {
	void *handle;
	struct pool functions; /* what every pool of this library starts as a copy of */
	struct pool_backend backend;
	void (*give_back)(const struct malloc_library *library);
	void *give_back_symbol;
	const struct malloc_statistics *statistics;
	void *statistics_symbol;
	char name[64], summary[128];
};

/* ISO C has no conversion from object to function pointers; POSIX, which gives us dlsym, requires it. */
typedef void *alloc_function(size_t bytes);
typedef void free_function(void *block);
typedef size_t usable_function(void *block);

/* ------------------------------------------------------------------------------------------------
 * Giving memory back: each library has its own way.
 */

static void glibc_give_back(const struct malloc_library *library)
{
	int (*trim)(size_t) = (int (*)(size_t))library->give_back_symbol;

	trim(0);
}

static void mimalloc_give_back(const struct malloc_library *library)
{
	void (*collect)(bool) = (void (*)(bool))library->give_back_symbol;

	collect(true);
}

/* "arena.4096" is every arena (MALLCTL_ARENAS_ALL of jemalloc's manual). */
static void jemalloc_give_back(const struct malloc_library *library)
{
	typedef int control_function(const char *, void *, size_t *, void *, size_t);
	control_function *control = (control_function *)library->give_back_symbol;

	control("thread.tcache.flush", NULL, NULL, NULL, 0);
	control("arena.4096.purge", NULL, NULL, NULL, 0);
}

static void tcmalloc_give_back(const struct malloc_library *library)
{
	void (*release)(void) = (void (*)(void))library->give_back_symbol;
	void (*mark_idle)(void) = (void (*)(void))dlsym(library->handle,
							"MallocExtension_MarkThreadIdle");

	/* Empties the calling thread's cache; the others' went when they ended. */
	if (mark_idle)
		mark_idle();
	release();
}

/* Command 0 is TBBMALLOC_CLEAN_ALL_BUFFERS (oneTBB's specification, scalable_allocation_command). */
static void tbbmalloc_give_back(const struct malloc_library *library)
{
	int (*command)(int, void *) = (int (*)(int, void *))library->give_back_symbol;

	command(0, NULL);
}

static const struct give_back {
	const char *symbol;
	void (*call)(const struct malloc_library *library);
} give_backs[] = {
	{ "mi_collect", mimalloc_give_back },
	{ "mallctl", jemalloc_give_back },
	{ "je_mallctl", jemalloc_give_back },
	{ "MallocExtension_ReleaseFreeMemory", tcmalloc_give_back },
	{ "scalable_allocation_command", tbbmalloc_give_back },
	{ "malloc_trim", glibc_give_back },
};

/* ------------------------------------------------------------------------------------------------
 * The backend's hooks.
 */

static void read_claim(const struct malloc_library *library, struct malloc_claim *claim)
{
	*claim = (struct malloc_claim){ MALLOC_CLAIM_UNKNOWN, MALLOC_CLAIM_UNKNOWN,
					MALLOC_CLAIM_UNKNOWN };
	if (library->statistics)
		library->statistics->read(library->statistics_symbol, claim);
}

static int library_create(const struct pool_config *config, struct pool **out)
{
	const struct malloc_library_values *values = config->values;
	struct pool *pool = malloc(sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	*pool = values->library->functions;
	read_claim(pool->library, &pool->before);
	*out = pool;
	return 0;
}

static void library_destroy(struct pool *pool)
{
	free(pool);
}

static void *library_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)type;
	(void)tag;
	return pool->alloc(bytes);
}

static void *library_alloc_raised(struct pool *pool, enum pool_type type, size_t bytes,
				  uint32_t tag)
{
	(void)type;
	(void)tag;
	return pool->alloc(bytes < POOL_ALIGNMENT ? POOL_ALIGNMENT : bytes);
}

static void library_free(struct pool *pool, void *block, uint32_t tag)
{
	(void)tag;
	pool->free(block);
}

static size_t library_block_bytes(struct pool *pool, const void *block)
{
	return pool->usable((void *)(uintptr_t)block) + pool->header_bytes;
}

static size_t process_resident_bytes(void)
{
	unsigned long total, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* No library says how much it gave back: the kernel's view of the process is the nearest to it. */
static size_t library_trim(struct pool *pool)
{
	size_t before = process_resident_bytes(), after;

	pool->library->give_back(pool->library);
	after = process_resident_bytes();
	return before > after ? before - after : 0;
}

static void count_claim(pool_counter_visit visit, void *arg, const char *name, const char *help,
			uint64_t now, uint64_t before)
{
	if (now != MALLOC_CLAIM_UNKNOWN)
		visit(arg, name, help, now > before ? now - before : 0);
}

static void library_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct malloc_claim claim;

	read_claim(pool->library, &claim);
	count_claim(visit, arg, "stats_allocated_bytes", "live blocks, by the library's word",
		    claim.allocated_bytes, pool->before.allocated_bytes);
	count_claim(visit, arg, "stats_mapped_bytes",
		    "taken and not given back, by the library's word", claim.mapped_bytes,
		    pool->before.mapped_bytes);
	count_claim(visit, arg, "stats_resident_bytes", "in memory, by the library's word",
		    claim.resident_bytes, pool->before.resident_bytes);
}

/* ------------------------------------------------------------------------------------------------
 * Loading.
 */

/* A function of the very object that `library` stands for, else NULL. */
static void *own_symbol(const struct malloc_library *library, const char *name)
{
	void *symbol = dlsym(library->handle, name);

	return symbol && object_contains(library->handle, symbol) ? symbol : NULL;
}

static int missing_symbol(const struct malloc_library *library, const char *name, char *why,
			  size_t why_bytes)
{
	void *symbol = dlsym(library->handle, name);
	struct object_identity identity;

	if (symbol && object_identify(symbol, &identity) == 0)
		snprintf(why, why_bytes,
			 "%s: has no %s of its own (it resolves to %s): name its functions with "
			 "alloc=SYMBOL,free=SYMBOL,usable=SYMBOL",
			 library->name, name, identity.path);
	else
		snprintf(why, why_bytes,
			 "%s: has no function %s: name its functions with "
			 "alloc=SYMBOL,free=SYMBOL,usable=SYMBOL",
			 library->name, name);
	return -ENOEXEC;
}

static const struct family *find_family(const struct malloc_library *library)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (own_symbol(library, families[i].alloc))
			return &families[i];
	return &families[sizeof(families) / sizeof(*families) - 1];
}

static int resolve_functions(struct malloc_library *library,
			     const struct malloc_library_values *values, char *why,
			     size_t why_bytes)
{
	struct family family = *find_family(library);
	const char *names[3];
	void *symbols[3];

	if (values->alloc[0])
		family = (struct family){ values->alloc, values->free, values->usable };
	names[0] = family.alloc;
	names[1] = family.free;
	names[2] = family.usable;
	for (int i = 0; i < 3; i++) {
		symbols[i] = own_symbol(library, names[i]);
		if (!symbols[i])
			return missing_symbol(library, names[i], why, why_bytes);
	}
	library->functions.alloc = (alloc_function *)symbols[0];
	library->functions.free = (free_function *)symbols[1];
	library->functions.usable = (usable_function *)symbols[2];
	return 0;
}

static void resolve_give_back(struct malloc_library *library)
{
	for (size_t i = 0; i < sizeof(give_backs) / sizeof(*give_backs); i++) {
		library->give_back_symbol = own_symbol(library, give_backs[i].symbol);
		if (library->give_back_symbol) {
			library->give_back = give_backs[i].call;
			return;
		}
	}
}

static void resolve_statistics(struct malloc_library *library)
{
	for (const struct malloc_statistics *s = malloc_statistics; s->symbol; s++) {
		library->statistics_symbol = own_symbol(library, s->symbol);
		if (library->statistics_symbol) {
			library->statistics = s;
			return;
		}
	}
}

/* The first request from `low` to `high` that got a block not aligned to POOL_ALIGNMENT; 0 if none did. */
static size_t misaligned_request(const struct pool *functions, size_t low, size_t high)
{
	void *blocks[8];
	size_t found = 0;

	/* Several of a size: every other 8-byte block is aligned to 16 by luck. */
	for (size_t bytes = low; bytes <= high && !found; bytes++) {
		for (int i = 0; i < 8; i++) {
			blocks[i] = functions->alloc(bytes);
			if ((uintptr_t)blocks[i] % POOL_ALIGNMENT)
				found = bytes;
		}
		for (int i = 0; i < 8; i++)
			functions->free(blocks[i]);
	}
	return found;
}

static int make_backend(struct malloc_library *library, char *why, size_t why_bytes)
{
	size_t misaligned = misaligned_request(&library->functions, POOL_ALIGNMENT, 4096);
	bool raise = misaligned_request(&library->functions, 1, POOL_ALIGNMENT - 1) != 0;

	if (misaligned) {
		snprintf(why, why_bytes,
			 "%s: aligns a request of %zu bytes to less than %u: it cannot serve as a "
			 "pool",
			 library->name, misaligned, POOL_ALIGNMENT);
		return -ENOEXEC;
	}
	library->functions.library = library;
	library->backend = (struct pool_backend){
		.abi = POOL_ABI,
		.caps = (library->give_back ? POOL_CAP_TRIM : 0u) |
			(library->statistics ? POOL_CAP_COUNTERS : 0u),
		.name = library->name,
		.summary = library->summary,
		.options = malloc_library_options,
		.options_bytes = sizeof(struct malloc_library_values),
		.create = library_create,
		.destroy = library_destroy,
		.alloc = raise ? library_alloc_raised : library_alloc,
		.free = library_free,
		.block_bytes = library_block_bytes,
		.trim = library->give_back ? library_trim : NULL,
		.counters = library->statistics ? library_counters : NULL,
	};
	return 0;
}

/*
 * The library is never unloaded: threads hold caches in it and destructors for them. RTLD_NODELETE says so
 * even when another part of the process closes it.
 */
static int load(const char *name, const char *file, void **handle, char *why, size_t why_bytes)
{
	const char *reason;

	*handle = dlopen(file ? file : LIBC_SO, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (*handle)
		return 0;
	reason = dlerror();
	if (strstr(reason, "static TLS")) {
		snprintf(why, why_bytes,
			 "%s: the loader has too little static TLS left for it: start the process "
			 "with "
			 "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384",
			 name);
		return -ENOEXEC;
	}
	if (strstr(reason, "No such file")) {
		snprintf(why, why_bytes, "%s: no library %s on this machine", name, file);
		return -ENOENT;
	}
	snprintf(why, why_bytes, "%s: cannot be loaded: %s", name, reason);
	return -ENOEXEC;
}

int malloc_library_open(const char *name, const char *summary, const char *file,
			const struct malloc_library_values *values, struct malloc_library **out,
			char *why, size_t why_bytes)
{
	struct malloc_library *library = calloc(1, sizeof(*library));
	int error;

	if (!library) {
		snprintf(why, why_bytes, "%s: out of memory", name);
		return -ENOMEM;
	}
	snprintf(library->name, sizeof(library->name), "%s", name);
	snprintf(library->summary, sizeof(library->summary), "%s", summary);
	error = load(name, file, &library->handle, why, why_bytes);
	if (!error)
		error = resolve_functions(library, values, why, why_bytes);
	if (!error) {
		resolve_give_back(library);
		resolve_statistics(library);
		library->functions.header_bytes = file ? 0 : sizeof(size_t);
		error = make_backend(library, why, why_bytes);
	}
	if (error)
		malloc_library_close(library);
	else
		*out = library;
	return error;
}

void malloc_library_close(struct malloc_library *library)
{
	if (library && library->handle)
		dlclose(library->handle);
	free(library);
}

const struct pool_backend *malloc_library_backend(const struct malloc_library *library)
{
	return &library->backend;
}

void malloc_library_identify(const struct malloc_library *library, struct object_identity *identity)
{
	object_identify((void *)library->functions.alloc, identity);
}

/* ------------------------------------------------------------------------------------------------
 * What the libraries do inside that a sanitizer misreads; it asks the program by these names.
 */

/* Registers an object once, for the life of the process, and hides the pointer to it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libtcmalloc";
}

/* Tries a lock that it holds itself, of a mutex kind that tsan does not know. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "mutex:libjemalloc";
}
