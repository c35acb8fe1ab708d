/* The spinlock that the designs share. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "allocators/spinlock.h"

#define THREADS 4
#define ROUNDS  20000

struct holder {
	struct spinlock *lock;
	uint64_t *value;
	_Atomic unsigned *started;
};

static void *holder_run(void *arg)
{
	struct holder *holder = arg;

	atomic_fetch_add(holder->started, 1);
	for (int i = 0; i < ROUNDS; i++) {
		spinlock_acquire(holder->lock);
		++*holder->value;
		spinlock_release(holder->lock);
	}
	return NULL;
}

static void locks_exclude_and_count(void **state)
{
	struct spinlock lock = { 0 };
	uint64_t value = 0;
	_Atomic unsigned started = 0;
	struct holder holder = { &lock, &value, &started };
	pthread_t threads[THREADS];

	(void)state;
	/* Held until the others are about to acquire it, and long enough for one to wait. */
	spinlock_acquire(&lock);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, holder_run, &holder), 0);
	while (atomic_load(&started) < THREADS)
		sched_yield();
	usleep(100000);
	assert_int_equal(value, 0);
	spinlock_release(&lock);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(value, THREADS * ROUNDS);
	assert_int_equal(lock.acquisitions, THREADS * ROUNDS + 1);
	assert_true(lock.contentions > 0 && lock.contentions < lock.acquisitions);
}

static void trying_never_waits(void **state)
{
	struct spinlock lock = { 0 };

	(void)state;
	assert_true(spinlock_try(&lock));
	assert_false(spinlock_try(&lock));
	spinlock_release(&lock);
	assert_true(spinlock_try(&lock));
	assert_int_equal(lock.acquisitions, 2);
	assert_int_equal(lock.contentions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks_exclude_and_count),
		cmocka_unit_test(trying_never_waits),
	};

	return cmocka_run_group_tests_name("spinlock", tests, NULL, NULL);
}
