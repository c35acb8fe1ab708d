/* Fixed work to tell a disturbed machine by; canary.h says what shows what. */
#include "canary.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "clock.h"
#include "results/statistics.h"
#include "workloads/random.h"

#define ARITHMETIC_STEPS 200000u
#define WALK_LINES       65536u
#define WALK_LAPS        16u /* runs that make one turn of the cycle */
#define WALK_STEPS       (WALK_LINES / WALK_LAPS)
#define WALK_SEED        0x63616e617279ull
#define SHARING_CHAINS   6 /* the fastest counts */
#define SHARING_STEPS    5000u /* some 7 us */
#define SHARING_RUNS     300 /* the mean counts, */
#define SHARING_COUNTED  270 /* of the fastest nine tenths */
#define SHARING_ROUNDS   4000u /* of 12 additions, some 4 us */

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
 * One cycle through all lines, by a random order of visits (Fisher and Yates' shuffle, as in Knuth, TAOCP 2, 3.4.2), so
 * that no walk is shorter; and where each run of a turn starts, without walking there.
 */
static void lay_cycle(struct canary *canary, uint32_t *visits)
{
	struct random random;

	random_seed(&random, WALK_SEED);
	for (uint32_t i = 0; i < WALK_LINES; i++) {
		const uint32_t j = random_below(&random, i + 1);

		visits[i] = visits[j];
		visits[j] = i;
	}
	for (uint32_t i = 0; i < WALK_LINES; i++)
		canary->lines[visits[i]].next = visits[(i + 1) % WALK_LINES];
	for (unsigned lap = 0; lap < WALK_LAPS; lap++)
		canary->stations[lap] = visits[lap * WALK_STEPS];
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

static uint64_t do_arithmetic(uint64_t x, uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
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

/* Keeps what the compiler knows about six numbers from becoming one. */
#define KEEP_SIX(a, b, c, d, e, f) \
	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f))

/* Six chains that know nothing of each other; each addition could start in its own cycle's place. */
static uint64_t do_additions(void)
{
	uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;

	for (uint64_t i = 0; i < SHARING_ROUNDS; i++) {
		a += i, b ^= i, c += i, d ^= i, e += i, f ^= i;
		KEEP_SIX(a, b, c, d, e, f);
		a ^= i, b += i, c ^= i, d += i, e ^= i, f += i;
		KEEP_SIX(a, b, c, d, e, f);
	}
	return a ^ b ^ c ^ d ^ e ^ f;
}

double canary_sharing(void)
{
	double runs[SHARING_RUNS], chain = INFINITY, additions = 0;
	uint64_t start, sum;

	for (int run = 0; run < SHARING_CHAINS; run++) {
		start = monotonic_ns();
		sum = do_arithmetic(start, SHARING_STEPS);
		__asm__ volatile("" : "+r"(sum));
		chain = fmin(chain, (double)(monotonic_ns() - start));
	}
	for (int run = 0; run < SHARING_RUNS; run++) {
		start = monotonic_ns();
		sum = do_additions();
		__asm__ volatile("" : "+r"(sum));
		runs[run] = (double)(monotonic_ns() - start);
	}
	sort_finite(runs, SHARING_RUNS);
	for (int run = 0; run < SHARING_COUNTED; run++)
		additions += runs[run] / SHARING_COUNTED;
	return additions / chain;
}

int canary_create(struct canary **out)
{
	const size_t visits_bytes = WALK_LINES * sizeof(uint32_t);
	struct canary *canary = mmap(NULL, sizeof(*canary), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *visits; /* mapped, not allocated: the heap is under test */

	if (canary == MAP_FAILED)
		return -ENOMEM;
	visits = mmap(NULL, visits_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (visits == MAP_FAILED) {
		munmap(canary, sizeof(*canary));
		return -ENOMEM;
	}
	/* The size of the pages underneath would change the walk: keep them small everywhere. */
	madvise(canary, sizeof(*canary), MADV_NOHUGEPAGE);
	lay_cycle(canary, visits);
	munmap(visits, visits_bytes);
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

	product = do_arithmetic(WALK_SEED, ARITHMETIC_STEPS);
	middle = monotonic_ns();
	at = do_walk(canary->lines, canary->stations[canary->lap]);
	end = monotonic_ns();
	times->arithmetic_ns = (double)(middle - start);
	times->memory_ns = (double)(end - middle);
	canary->lap = (canary->lap + 1) % WALK_LAPS;
	return product == canary->arithmetic_end && at == canary->stations[canary->lap] ? 0
											: -EILSEQ;
}
