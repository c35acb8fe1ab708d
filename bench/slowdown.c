#include "slowdown.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/clock.h"

#define TIMINGS           50 /* of a chain, the fastest counts */
#define STEP_TIMING_STEPS 20000u

static inline void fence(void)
{
#if defined(__x86_64__)
	__builtin_ia32_lfence();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

__attribute__((noinline)) uint64_t slowdown_spin(uint32_t steps, uint64_t value)
{
	fence();
	do {
		value = value * 0xD1342543DE82EF95u + 0x2545F4914F6CDD1Du;
		__asm__ volatile("" : "+r"(value)); /* a chain: no unrolling into a closed form */
	} while (--steps);
	fence();
	return value;
}

uint64_t slowdown_replay(const struct replay *replay, unsigned processor, uint64_t first,
			 uint64_t count, uint32_t steps)
{
	uint64_t failed = 0, value = count;

	if (!steps)
		return replay_events(replay, processor, first, count);
	while (count) {
		const uint64_t chunk = count < SLOWDOWN_EVENTS ? count : SLOWDOWN_EVENTS;

		failed += replay_events(replay, processor, first, chunk);
		value = slowdown_spin(steps, value);
		first += chunk;
		count -= chunk;
	}
	return failed;
}

double slowdown_chunk_ns(uint32_t steps)
{
	/* Enough chains between two readings of the clock that its own cost does not count. */
	const unsigned chains = steps >= STEP_TIMING_STEPS ? 1 : STEP_TIMING_STEPS / steps;
	double fastest = INFINITY;
	uint64_t value = 1;

	for (int i = 0; i < TIMINGS; i++) {
		const uint64_t start = monotonic_ns();
		double ns;

		for (unsigned c = 0; c < chains; c++)
			value = slowdown_spin(steps, value);
		ns = (double)(monotonic_ns() - start) / chains;
		if (ns < fastest)
			fastest = ns;
	}
	return fastest;
}

uint64_t slowdown_chunks(const struct trace *trace, enum trace_phase phase)
{
	uint64_t chunks = 0;

	for (unsigned p = 0; p < trace->processors; p++)
		chunks += (trace->streams[p].count[phase] + SLOWDOWN_EVENTS - 1) / SLOWDOWN_EVENTS;
	return chunks;
}

static void leave(struct record *record, const char *name, double value)
{
	struct record_counter *counter = &record->counter[record->counters];

	if (record->counters == RECORD_COUNTERS || !(value >= 0))
		return;
	snprintf(counter->name, sizeof(counter->name), "%s", name);
	counter->value = (uint64_t)(value + 0.5);
	record->counters++;
}

void slowdown_report(uint32_t steps, uint64_t chunks, uint64_t operations, struct record *record)
{
	const double per_op = (double)chunks / (double)operations;
	const double step_ns = slowdown_chunk_ns(STEP_TIMING_STEPS) / STEP_TIMING_STEPS;

	leave(record, SLOWDOWN_COUNTER_STEPS, steps);
	leave(record, SLOWDOWN_COUNTER_SPIN, slowdown_chunk_ns(steps) * per_op * 1e3);
	leave(record, SLOWDOWN_COUNTER_STEP, step_ns * 1e3);
	leave(record, SLOWDOWN_COUNTER_CHUNK, 1 / per_op);
	leave(record, SLOWDOWN_COUNTER_INSTRUCTIONS,
	      (double)steps * SLOWDOWN_STEP_INSTRUCTIONS * per_op * 1e6);
}

static double find(const struct record *record, const char *name)
{
	for (unsigned i = 0; i < record->counters; i++)
		if (strcmp(record->counter[i].name, name) == 0)
			return (double)record->counter[i].value;
	return NAN;
}

double slowdown_calibrate(const struct record *pilot, double share)
{
	const double step_ns = find(pilot, SLOWDOWN_COUNTER_STEP) * 1e-3;
	const double wanted = share * pilot->metrics[METRIC_ns_per_op_min] *
			      find(pilot, SLOWDOWN_COUNTER_CHUNK) / step_ns;

	return wanted > 0 && isfinite(wanted) ? wanted : 0;
}

double slowdown_true_share(const struct record *slowed, double ns_per_op)
{
	return find(slowed, SLOWDOWN_COUNTER_SPIN) * 1e-3 / ns_per_op;
}
