/*
 * A barrier that spins, then yields: sense-reversing (Mellor-Crummey and Scott, 1991, section 3.1). Between
 * laps a sleeping barrier would cost a wake-up that the first thread does not pay.
 */
#ifndef POOLBENCH_BARRIER_H
#define POOLBENCH_BARRIER_H

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

struct barrier {
	_Alignas(64) atomic_uint waiting;
	_Alignas(64) atomic_uint sense;
	unsigned threads;
};

static inline void barrier_init(struct barrier *barrier, unsigned threads)
{
	atomic_init(&barrier->waiting, 0);
	atomic_init(&barrier->sense, 0);
	barrier->threads = threads;
}

/* Everything before it, in all threads, happens before everything after it. */
static inline void barrier_wait(struct barrier *barrier)
{
	const unsigned sense = atomic_load_explicit(&barrier->sense, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) + 1 ==
	    barrier->threads) {
		atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
		atomic_store_explicit(&barrier->sense, sense + 1, memory_order_release);
		return;
	}
	for (unsigned spins = 1;
	     atomic_load_explicit(&barrier->sense, memory_order_acquire) == sense; spins++) {
		if (spins % 256 == 0)
			sched_yield();
	}
}

/*
 * The same, asleep: for a wait that is long and outside of what is timed, such as for a checkpoint, while which a
 * processor that spins would be taken from whoever works. All threads of one wait use the same kind.
 */
static inline void barrier_wait_asleep(struct barrier *barrier)
{
	const unsigned sense = atomic_load_explicit(&barrier->sense, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) + 1 ==
	    barrier->threads) {
		atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
		atomic_store_explicit(&barrier->sense, sense + 1, memory_order_release);
		syscall(SYS_futex, &barrier->sense, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
		return;
	}
	while (atomic_load_explicit(&barrier->sense, memory_order_acquire) == sense)
		syscall(SYS_futex, &barrier->sense, FUTEX_WAIT_PRIVATE, sense, NULL, NULL, 0);
}

#endif
