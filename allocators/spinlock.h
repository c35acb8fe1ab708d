/*
 * A spinlock for short critical sections: test and test-and-set, which yields after a while, because threads
 * may outnumber cores and a holder that lost its core is not waited for at full speed.
 *
 * All zeroes is a lock that is free. The two counts are written under the lock and read when all is quiet.
 */
#ifndef POOLBENCH_SPINLOCK_H
#define POOLBENCH_SPINLOCK_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SPINLOCK_SPINS 200u /* looks at a held lock before the core is given up */

struct spinlock {
	_Atomic uint32_t held;
	uint64_t acquisitions, contentions; /* contentions: acquisitions that had to wait */
};

static inline void spinlock_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline void spinlock_wait(struct spinlock *lock)
{
	unsigned spins = 0;

	do {
		while (atomic_load_explicit(&lock->held, memory_order_relaxed)) {
			if (++spins % SPINLOCK_SPINS == 0)
				sched_yield();
			else
				spinlock_pause();
		}
	} while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire));
}

/* Whether the lock was held by someone else at first. */
static inline bool spinlock_acquire(struct spinlock *lock)
{
	bool contended = atomic_exchange_explicit(&lock->held, 1, memory_order_acquire);

	if (__builtin_expect(contended, 0)) {
		spinlock_wait(lock);
		lock->contentions++;
	}
	lock->acquisitions++;
	return contended;
}

/* Takes the lock if that needs no waiting. */
static inline bool spinlock_try(struct spinlock *lock)
{
	if (atomic_load_explicit(&lock->held, memory_order_relaxed) ||
	    atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
		return false;
	lock->acquisitions++;
	return true;
}

static inline void spinlock_release(struct spinlock *lock)
{
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
