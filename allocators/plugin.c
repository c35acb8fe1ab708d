/*
 * Loading a plugin. A plugin comes from a stranger who is writing it right now, so each way in which it can
 * be wrong has a sentence of its own that says what to do. RTLD_LOCAL keeps two plugins' symbols apart;
 * RTLD_NOW makes an unresolved one fail here and not in the middle of a measurement.
 */
#include "plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "object.h"
#include "registry.h"

/* Tells a file that is missing, unreadable or no ELF object before dlopen, whose words are the loader's. */
static int check_file(const char *path, char *why, size_t why_bytes)
{
	char magic[4];
	ssize_t count;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = errno;

	if (fd < 0) {
		snprintf(why, why_bytes, "plugin %s: %s: give the path of a shared object", path,
			 strerror(error));
		return -ENOENT;
	}
	count = read(fd, magic, sizeof(magic));
	close(fd);
	if (count != sizeof(magic) || memcmp(magic, "\177ELF", sizeof(magic)) != 0) {
		snprintf(why, why_bytes,
			 "plugin %s: not an ELF object: build it with cc -shared -fPIC", path);
		return -ENOEXEC;
	}
	return 0;
}

static int find_backend(const char *path, void *handle, const struct pool_backend **ops, char *why,
			size_t why_bytes)
{
	const uint32_t *abi = dlsym(handle, "pool_backend");
	char detail[256];

	if (!abi || !object_contains(handle, abi)) {
		snprintf(why, why_bytes,
			 "plugin %s: no symbol pool_backend: it must export 'const struct "
			 "pool_backend "
			 "pool_backend' (in C++ as extern \"C\"; with -fvisibility=hidden give it "
			 "default "
			 "visibility)",
			 path);
		return -ENOEXEC;
	}
	/* Nothing but this first word may be read until it is known to be ours. */
	if (*abi != POOL_ABI) {
		snprintf(why, why_bytes,
			 "plugin %s: built for contract version %u, this poolbench has %u: rebuild "
			 "it "
			 "against this version's poolbench/pool.h",
			 path, *abi, POOL_ABI);
		return -ENOEXEC;
	}
	if (backend_validate((const struct pool_backend *)(const void *)abi, detail,
			     sizeof(detail)) != 0) {
		snprintf(why, why_bytes, "plugin %s: %s", path, detail);
		return -ENOEXEC;
	}
	*ops = (const struct pool_backend *)(const void *)abi;
	return 0;
}

int plugin_load(const char *path, const struct pool_backend **ops, void **handle, char *why,
		size_t why_bytes)
{
	char local[512];
	void *object;
	int error = check_file(path, why, why_bytes);

	if (error)
		return error;
	/* Without a slash dlopen would search the system's directories instead. */
	snprintf(local, sizeof(local), "%s%s", strchr(path, '/') ? "" : "./", path);
	object = dlopen(local, RTLD_NOW | RTLD_LOCAL);
	if (!object) {
		snprintf(why, why_bytes, "plugin %s: cannot be loaded: %s", path, dlerror());
		return -ENOEXEC;
	}
	error = find_backend(path, object, ops, why, why_bytes);
	if (error) {
		dlclose(object);
		return error;
	}
	*handle = object;
	return 0;
}

void plugin_unload(void *handle)
{
	if (handle)
		dlclose(handle);
}
