/* The built-in backends, for the registry alone: everyone else asks the registry. */
#ifndef POOLBENCH_BACKENDS_H
#define POOLBENCH_BACKENDS_H

#include "pool.h"

extern const struct pool_backend nt_pool_backend;
extern const struct pool_backend null_backend;
extern const struct pool_backend magazine_backend;
extern const struct pool_backend buddy_backend;
extern const struct pool_backend vmem_backend;
extern const struct pool_backend tlsf_backend;
extern const struct pool_backend segment_heap_backend;
extern const struct pool_backend slub_backend;

#endif
