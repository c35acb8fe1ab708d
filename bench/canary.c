/* Fixed work to tell a disturbed machine by; canary.h says what shows what. */
#include "canary.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "clock.h"
#include "workloads/random.h"

#define ARITHMETIC_STEPS 200000u
#define WALK_LINES       65536u
#define WALK_LAPS        16u /* runs that make one turn of the cycle */
#define WALK_STEPS       (WALK_LINES / WALK_LAPS)
#define WALK_SEED        0x63616e617279ull

/* MMIX's linear congruential generator (Knuth, TAOCP 2, 3.3.4): each step needs the one before. */
#define LCG_MULTIPLIER 6364136223846793005ull
#define LCG_INCREMENT  1442695040888963407ull

/* A cache line; the index of the next one to visit. */
struct line {
	_Alignas(64) uint32_t next;
};

struct canary {
	struct line lines[WALK_LINES];
	uint32_t stations[WALK_LAPS]; /* where each run of a turn starts */
	unsigned lap;
	uint64_t arithmetic_end; /* what the chain ends with */
};

size_t canary_bytes(void)
{
	return sizeof(struct canary);
}

/*
 * One cycle through all lines: Sattolo's variant of the shuffle (Sattolo 1986), so no walk is
 * shorter.
 */
static void lay_cycle(struct line *lines)
{
	struct random random;

	random_seed(&random, WALK_SEED);
	for (uint32_t i = 0; i < WALK_LINES; i++)
		lines[i].next = i;
	for (uint32_t i = WALK_LINES - 1; i > 0; i--) {
		uint32_t j = random_below(&random, i), next = lines[i].next;

		lines[i].next = lines[j].next;
		lines[j].next = next;
	}
}

/*
 * The chain's end without walking it: n steps of x -> a x + c are one step with other a and c, and
 * those of 2n steps follow from those of n.
 */
static uint64_t arithmetic_ahead(uint64_t x, uint64_t steps)
{
	uint64_t a = LCG_MULTIPLIER, c = LCG_INCREMENT;

	for (; steps; steps >>= 1) {
		if (steps & 1)
			x = a * x + c;
		c += a * c;
		a *= a;
	}
	return x;
}

static uint64_t do_arithmetic(uint64_t x)
{
	for (uint32_t i = 0; i < ARITHMETIC_STEPS; i++) {
		x = LCG_MULTIPLIER * x + LCG_INCREMENT;
		/* Keeps the compiler from unrolling the recurrence into fewer multiplications. */
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

static uint32_t do_walk(const struct line *lines, uint32_t at)
{
	for (uint32_t i = 0; i < WALK_STEPS; i++) {
		at = lines[at].next;
		__asm__ volatile("" : "+r"(at));
	}
	return at;
}

int canary_create(struct canary **out)
{
	struct canary *canary = mmap(NULL, sizeof(*canary), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (canary == MAP_FAILED)
		return -ENOMEM;
	/* The size of the pages underneath would change the walk: keep them small everywhere. */
	madvise(canary, sizeof(*canary), MADV_NOHUGEPAGE);
	lay_cycle(canary->lines);
	for (unsigned lap = 0; lap + 1 < WALK_LAPS; lap++)
		canary->stations[lap + 1] = do_walk(canary->lines, canary->stations[lap]);
	canary->arithmetic_end = arithmetic_ahead(WALK_SEED, ARITHMETIC_STEPS);
	*out = canary;
	return 0;
}

void canary_destroy(struct canary *canary)
{
	if (canary)
		munmap(canary, sizeof(*canary));
}

int canary_run(struct canary *canary, struct canary_times *times)
{
	uint64_t start = monotonic_ns(), middle, end, product;
	uint32_t at;

	product = do_arithmetic(WALK_SEED);
	middle = monotonic_ns();
	at = do_walk(canary->lines, canary->stations[canary->lap]);
	end = monotonic_ns();
	times->arithmetic_ns = (double)(middle - start);
	times->memory_ns = (double)(end - middle);
	canary->lap = (canary->lap + 1) % WALK_LAPS;
	return product == canary->arithmetic_end && at == canary->stations[canary->lap] ? 0
											: -EILSEQ;
}
