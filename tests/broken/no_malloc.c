/* A library without a malloc of its own: looking the name up in it finds the C library's. */
#include <stdlib.h>

void *allocate_something(void);

void *allocate_something(void)
{
	return malloc(1);
}
