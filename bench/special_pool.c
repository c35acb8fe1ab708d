/* Blocks against guard pages; special_pool.h has the layout. */
#include "special_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/bugcheck.h"
#include "bench/fault.h"
#include "bench/finding.h"

#define PAGES      4096u /* each makes two mappings, of which the kernel grants some 65000 */
#define PAGE       ((size_t)POOL_OS_PAGE)
#define PITCH      (2 * PAGE)
#define QUARANTINE (PAGES / 2)

enum page_state { PAGE_UNUSED, PAGE_LIVE, PAGE_QUARANTINED };

struct special_page {
	char *block;
	size_t bytes;
	uint32_t tag;
	enum pool_type type;
	enum page_state state;
};

struct special_pool {
	pthread_mutex_t lock;
	char *base; /* of the first guard */
	bool guard_start;
	struct special_page pages[PAGES];
	unsigned fresh; /* pages fresh .. PAGES-1 were never used */
	unsigned queue[PAGES]; /* quarantined ones, a ring */
	unsigned first, quarantined;
};

static struct special_pool *watched;

static char *page_start(const struct special_pool *special, unsigned page)
{
	return special->base + PAGE + page * PITCH;
}

bool special_pool_contains(const struct special_pool *special, const void *address)
{
	return (size_t)((const char *)address - special->base) < PAGES * PITCH + PAGE;
}

/* The page whose block an address belongs to: its own, or the one that its guard page guards. */
static unsigned page_of(const struct special_pool *special, const void *address)
{
	const size_t offset = (size_t)((const char *)address - special->base);
	const size_t pair = offset / PITCH; /* guard `pair`, then page `pair` */

	if (offset % PITCH >= PAGE || special->guard_start)
		return (unsigned)(pair < PAGES ? pair : PAGES - 1);
	return (unsigned)(pair ? pair - 1 : 0);
}

/* ---- faults ---- */

/* A page fault's first argument is its address, as Windows has it; of the others it is what is wrong. */
static _Noreturn void report(const char *rule, const struct special_page *page, const void *address,
			     uint64_t third, uint64_t fourth, const char *text)
{
	const struct bugcheck_rule *entry = bugcheck_rule_find(rule);
	const struct finding_block what = {
		page->block, page->bytes, page->tag, page->type, NULL, 0
	};
	const uint64_t at = (uint64_t)(uintptr_t)address;
	const bool is_fault = entry->code == PAGE_FAULT_IN_FREED_SPECIAL_POOL ||
			      entry->code == PAGE_FAULT_BEYOND_END_OF_ALLOCATION;
	const struct pool_stop stop = {
		.code = entry->code,
		.arguments = { is_fault ? at : entry->first, is_fault ? third : at,
			       is_fault ? fourth : third, is_fault ? 0 : fourth },
		.text = text,
	};

	finding_stop_block(rule, &stop, &what);
}

static void explain_fault(const siginfo_t *info, const void *context)
{
	const bool write = fault_is_write(context);
	const uint64_t instruction = fault_instruction(context);
	const struct special_page *page;

	if (!watched || !special_pool_contains(watched, info->si_addr))
		return;
	page = &watched->pages[page_of(watched, info->si_addr)];
	if (page->state == PAGE_QUARANTINED)
		report("use-after-free", page, info->si_addr, write, instruction,
		       write ? "written after its free" : "read after its free");
	if (page->state == PAGE_LIVE && !watched->guard_start)
		report("overrun", page, info->si_addr, write, instruction,
		       write ? "written beyond its end" : "read beyond its end");
	if (page->state == PAGE_LIVE)
		report("underrun", page, info->si_addr, write, instruction,
		       write ? "written in front of it" : "read in front of it");
}

/* ---- life ---- */

int special_pool_create(bool guard_start, struct special_pool **out)
{
	struct special_pool *special;

	if (watched)
		return -EBUSY;
	special = calloc(1, sizeof(*special));
	if (!special)
		return -ENOMEM;
	special->base = mmap(NULL, PAGES * PITCH + PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (special->base == MAP_FAILED) {
		free(special);
		return -ENOMEM;
	}
	pthread_mutex_init(&special->lock, NULL);
	special->guard_start = guard_start;
	watched = special;
	finding_on_fault(explain_fault);
	*out = special;
	return 0;
}

void special_pool_destroy(struct special_pool *special)
{
	if (!special)
		return;
	watched = NULL;
	munmap(special->base, PAGES * PITCH + PAGE);
	pthread_mutex_destroy(&special->lock);
	free(special);
}

/* A page that no block is on, or PAGES. With the lock held. */
static unsigned take_page(struct special_pool *special)
{
	unsigned page;

	if (special->fresh < PAGES - QUARANTINE)
		return special->fresh++;
	if (special->quarantined < QUARANTINE)
		return special->fresh < PAGES ? special->fresh++ : PAGES;
	page = special->queue[special->first];
	special->first = (special->first + 1) % PAGES;
	special->quarantined--;
	return page;
}

/* With the lock held. */
static void quarantine(struct special_pool *special, unsigned page)
{
	special->pages[page].state = PAGE_QUARANTINED;
	special->queue[(special->first + special->quarantined++) % PAGES] = page;
}

void *special_pool_alloc(struct special_pool *special, enum pool_type type, size_t bytes,
			 uint32_t tag)
{
	const size_t room = (bytes + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1);
	struct special_page *page;
	unsigned number;
	char *start;

	if (bytes == 0 || bytes > PAGE)
		return NULL;
	pthread_mutex_lock(&special->lock);
	number = take_page(special);
	pthread_mutex_unlock(&special->lock);
	if (number == PAGES)
		return NULL;
	start = page_start(special, number);
	page = &special->pages[number];
	if (mprotect(start, PAGE, PROT_READ | PROT_WRITE) != 0) {
		pthread_mutex_lock(&special->lock);
		quarantine(special, number);
		pthread_mutex_unlock(&special->lock);
		return NULL;
	}
	memset(start, SPECIAL_PATTERN, PAGE);
	*page = (struct special_page){ .block = special->guard_start ? start : start + PAGE - room,
				       .bytes = bytes,
				       .tag = tag,
				       .type = type,
				       .state = PAGE_LIVE };
	return page->block;
}

/* The first byte in [from, to) that is not the pattern any more, or NULL. */
static const char *first_change(const char *from, const char *to)
{
	for (; from < to; from++)
		if ((unsigned char)*from != SPECIAL_PATTERN)
			return from;
	return NULL;
}

static void check_pattern(const struct special_page *page, const char *start)
{
	const char *end = page->block + page->bytes;
	const char *changed = first_change(end, start + PAGE);

	if (changed)
		report("past-end", page, changed, (unsigned char)*changed, SPECIAL_PATTERN,
		       "bytes past its end were written");
	changed = first_change(start, page->block);
	if (changed)
		report("near-block", page, changed, (unsigned char)*changed, SPECIAL_PATTERN,
		       "bytes in front of it were written");
}

void special_pool_free(struct special_pool *special, void *block, uint32_t tag)
{
	const unsigned number = page_of(special, block);
	struct special_page *page = &special->pages[number];
	char *start = page_start(special, number);

	if (page->state == PAGE_QUARANTINED && page->block == block)
		report("double-free", page, block, page->tag, tag, "freed before");
	if (page->state != PAGE_LIVE || page->block != block)
		report("foreign-free", page, block, page->tag, tag,
		       "not the start of a special-pool block");
	if (page->tag != tag)
		report("wrong-tag", page, block, page->tag, tag, "freed with another tag");
	check_pattern(page, start);
	mprotect(start, PAGE, PROT_NONE);
	madvise(start, PAGE, MADV_DONTNEED);
	pthread_mutex_lock(&special->lock);
	quarantine(special, number);
	pthread_mutex_unlock(&special->lock);
}

bool special_pool_look(const struct special_pool *special, const void *address,
		       struct special_block *out)
{
	const struct special_page *page = &special->pages[page_of(special, address)];

	if (page->state == PAGE_UNUSED)
		return false;
	*out = (struct special_block){ page->bytes, page->tag, page->type,
				       page->state == PAGE_LIVE };
	return true;
}
