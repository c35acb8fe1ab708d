/* Paged pool out of reach at DISPATCH_LEVEL; irql_enforce.h says how. */
#include "bench/irql_enforce.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/bugcheck.h"
#include "bench/fault.h"

static struct {
	struct page_source *paged; /* NULL: off */
	enum irql_means means;
	int key;
	irql_find_block find;
	void *arg;
} enforced;

enum irql_means irql_enforce_means(void)
{
	const int key = pkey_alloc(0, 0);

	if (key < 0)
		return IRQL_BY_PROTECTION;
	pkey_free(key);
	return IRQL_BY_KEYS;
}

const char *irql_means_name(enum irql_means means)
{
	switch (means) {
	case IRQL_BY_KEYS:
		return "protection keys";
	case IRQL_BY_PROTECTION:
		return "page protection (no protection keys here: slower, one thread)";
	default:
		return "nothing";
	}
}

/* ---- the fault ---- */

/* A fault in the paged source by a thread at DISPATCH_LEVEL is ours; any other is a crash. */
static void explain_fault(const siginfo_t *info, const void *context)
{
	const bool write = fault_is_write(context);
	struct finding_block block;
	const struct pool_stop stop = {
		.code = IRQL_NOT_LESS_OR_EQUAL,
		.arguments = { (uint64_t)(uintptr_t)info->si_addr, irql_current(), write,
			       fault_instruction(context) },
		.text = write ? "paged pool was written at DISPATCH_LEVEL"
			      : "paged pool was read at DISPATCH_LEVEL",
	};

	if (!enforced.paged || irql_current() < DISPATCH_LEVEL ||
	    !page_source_contains(enforced.paged, info->si_addr))
		return;
	if (enforced.find && enforced.find(enforced.arg, info->si_addr, &block))
		finding_stop_block("irql-touch", &stop, &block);
	finding_stop_block("irql-touch", &stop, NULL);
}

/* ---- on and off ---- */

static int protect_all(int rights)
{
	return mprotect(enforced.paged->base, enforced.paged->range_bytes, rights) ? -errno : 0;
}

int irql_enforce_start(struct page_source *paged, enum irql_means means, irql_find_block find,
		       void *arg)
{
	int key = -1;

	if (enforced.paged)
		return -EBUSY;
	if (means == IRQL_BY_KEYS) {
		key = pkey_alloc(0, 0);
		if (key < 0)
			return -errno;
		if (pkey_mprotect(paged->base, paged->range_bytes, PROT_READ | PROT_WRITE, key)) {
			const int error = -errno;

			pkey_free(key);
			return error;
		}
	}
	enforced.key = key;
	enforced.means = means;
	enforced.find = find;
	enforced.arg = arg;
	enforced.paged = paged;
	finding_on_fault(explain_fault);
	return 0;
}

void irql_enforce_stop(void)
{
	if (!enforced.paged)
		return;
	if (enforced.means == IRQL_BY_KEYS) {
		pkey_mprotect(enforced.paged->base, enforced.paged->range_bytes,
			      PROT_READ | PROT_WRITE, 0);
		pkey_free(enforced.key);
	} else if (enforced.means == IRQL_BY_PROTECTION) {
		protect_all(PROT_READ | PROT_WRITE);
	}
	enforced.paged = NULL;
}

void irql_enforce_level(enum irql level)
{
	const bool away = level >= DISPATCH_LEVEL;

	if (!enforced.paged)
		return;
	if (enforced.means == IRQL_BY_KEYS)
		pkey_set(enforced.key, away ? PKEY_DISABLE_ACCESS : 0);
	else if (enforced.means == IRQL_BY_PROTECTION &&
		 protect_all(away ? PROT_NONE : PROT_READ | PROT_WRITE) != 0)
		abort(); /* the range is one mapping of ours: a refusal means that it is not any more */
}
