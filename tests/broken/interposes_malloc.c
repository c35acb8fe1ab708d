/* Preloaded, it stands in front of the C library's malloc, as a malloc library does that someone left in LD_PRELOAD. */
#include <dlfcn.h>
#include <stddef.h>

void *malloc(size_t bytes);

void *malloc(size_t bytes)
{
	static void *(*next)(size_t);

	if (!next)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	return next(bytes);
}
