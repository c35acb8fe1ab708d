/* A malloc library whose functions have names that nobody can guess; options name them. */
#include <malloc.h>
#include <stdlib.h>

void *grab(size_t bytes);
void drop(void *block);
size_t extent(void *block);

void *grab(size_t bytes)
{
	return malloc(bytes);
}

void drop(void *block)
{
	free(block);
}

size_t extent(void *block)
{
	return malloc_usable_size(block);
}
