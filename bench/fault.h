/* What a fault's ucontext_t says of it, for the handlers of SIGSEGV and SIGBUS. */
#ifndef POOLBENCH_FAULT_H
#define POOLBENCH_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* Whether it was a write. x86-64 only: elsewhere false, and the instruction tells. */
static inline bool fault_is_write(const void *context)
{
#if defined(__x86_64__)
	return ((const ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2;
#else
	(void)context;
	return false;
#endif
}

/* The address of the instruction; 0 where it is not known how to tell. */
static inline uint64_t fault_instruction(const void *context)
{
#if defined(__x86_64__)
	return (uint64_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return ((const ucontext_t *)context)->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

#endif
