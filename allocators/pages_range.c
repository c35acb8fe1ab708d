/*
 * Address-run manager: first fit by address in logarithmic time.
 *
 * A bitmap holds a bit a page. Above it stands a radix tree of fan-out 8 whose lowest nodes stand
 * for 512 pages (8 words of the bitmap). Each node keeps three lengths of free runs within it:
 *
 *	        |......####...####.##..........|        . free   # taken
 *	head = 6 ^    longest = 10   ^ tail = 10
 *
 * The head, longest run and tail of a node follow from those of its children, so that a change of a
 * run of n pages touches n/64 words and n/512 + 8 nodes a level. The search goes left to right and
 * carries the length of the free run that ends where it stands (tail of what was passed): it
 * descends only into a node whose own longest run fits, and at most one node a level otherwise, the
 * one that holds the starting point. That is at most 2 * 8 nodes a level, 7 levels for 64 GiB of 4
 * KiB pages.
 *
 * Alignment: the search enumerates free runs of sufficient length and takes the first that holds an
 * aligned one. So k runs that are long enough but badly placed cost k searches; a run of count +
 * alignment - 1 pages always fits, which bounds k by the number of free runs of a length in
 * between.
 *
 * The same idea, with other shapes, is in the Go runtime's page allocator (Knyszek and Clements,
 * 2019).
 */
#include "pages_range.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WORD_PAGES 64u
#define FAN_OUT    8u
#define FAN_SHIFT  3u
#define LEAF_SHIFT 9u /* a node of level 0 stands for 2^9 pages */
#define MOST_PAGES ((size_t)1 << 30)

struct page_summary {
	uint32_t head, longest, tail;
};

/* The free run that ends where a search stands, and what it looks for. */
struct search {
	size_t from; /* pages below are ignored */
	size_t count;
	size_t run_start; /* of the free run that ends at `run_end` */
	size_t run_end;
};

static size_t node_pages(unsigned level)
{
	return (size_t)1 << (LEAF_SHIFT + FAN_SHIFT * level);
}

static unsigned long long low_bits(size_t count)
{
	return count >= WORD_PAGES ? ~0ull : (1ull << count) - 1;
}

/* Appends `part`, of `part_pages`, to the right of `whole`, of `whole_pages`. */
static void summary_append(struct page_summary *whole, size_t whole_pages,
			   const struct page_summary *part, size_t part_pages)
{
	const uint32_t joined = whole->tail + part->head;

	if (whole->head == whole_pages)
		whole->head += part->head;
	if (part->longest > whole->longest)
		whole->longest = part->longest;
	if (joined > whole->longest)
		whole->longest = joined;
	whole->tail = part->tail == part_pages ? whole->tail + part->tail : part->tail;
}

/*
 * The longest run of ones, by doubling: `runs[k]` marks where runs of at least 2^k start. The
 * longest power of two that is there is then lengthened by the smaller ones, at most six steps each
 * way.
 */
static uint32_t longest_run(uint64_t ones)
{
	uint64_t runs[7] = { ones };
	uint32_t length, power = 0;
	uint64_t starts;

	if (ones == 0)
		return 0;
	while (power < 6 && (runs[power + 1] = runs[power] & (runs[power] >> (1u << power))) != 0)
		power++;
	starts = runs[power];
	length = 1u << power;
	while (power-- > 0) {
		const uint64_t longer = length < WORD_PAGES ? starts & (runs[power] >> length) : 0;

		if (longer) {
			starts = longer;
			length += 1u << power;
		}
	}
	return length;
}

static struct page_summary word_summary(uint64_t used)
{
	if (used == 0)
		return (struct page_summary){ WORD_PAGES, WORD_PAGES, WORD_PAGES };
	return (struct page_summary){
		.head = (uint32_t)__builtin_ctzll(used),
		.longest = longest_run(~used),
		.tail = (uint32_t)__builtin_clzll(used),
	};
}

/* Derives a node from its children. True if that changed it. */
static bool node_refresh(struct page_range *range, unsigned level, size_t node)
{
	struct page_summary *stored = &range->level[level][node], summary = { 0, 0, 0 };
	size_t passed = 0;
	bool changed;

	for (size_t child = node * FAN_OUT; child < (node + 1) * FAN_OUT; child++) {
		size_t pages;

		if (level == 0) {
			const struct page_summary word = word_summary(range->used[child]);

			pages = WORD_PAGES;
			summary_append(&summary, passed, &word, pages);
		} else {
			pages = node_pages(level - 1);
			summary_append(&summary, passed, &range->level[level - 1][child], pages);
		}
		passed += pages;
	}
	changed = summary.head != stored->head || summary.longest != stored->longest ||
		  summary.tail != stored->tail;
	*stored = summary;
	return changed;
}

/* Brings the summaries of a run up to date: upwards until nothing changes any more. */
static void refresh(struct page_range *range, size_t index, size_t count)
{
	bool changed = true;

	for (unsigned level = 0; changed && level < range->levels; level++) {
		const unsigned shift = LEAF_SHIFT + FAN_SHIFT * level;

		changed = false;
		for (size_t node = index >> shift; node <= (index + count - 1) >> shift; node++)
			changed |= node_refresh(range, level, node);
	}
}

/* Sets or clears the bits of a run. */
static void bits_change(struct page_range *range, size_t index, size_t count, bool take)
{
	while (count > 0) {
		const size_t bit = index % WORD_PAGES;
		const size_t here = count < WORD_PAGES - bit ? count : WORD_PAGES - bit;
		const uint64_t mask = low_bits(here) << bit;

		if (take)
			range->used[index / WORD_PAGES] |= mask;
		else
			range->used[index / WORD_PAGES] &= ~mask;
		index += here;
		count -= here;
	}
}

bool page_range_is_taken(const struct page_range *range, size_t index, size_t count)
{
	if (index >= range->pages || count > range->pages - index)
		return false;
	while (count > 0) {
		const size_t bit = index % WORD_PAGES;
		const size_t here = count < WORD_PAGES - bit ? count : WORD_PAGES - bit;
		const uint64_t mask = low_bits(here) << bit;

		if ((range->used[index / WORD_PAGES] & mask) != mask)
			return false;
		index += here;
		count -= here;
	}
	return true;
}

/*
 * Extends the run that the search carries by free pages [start, end). True when it is long enough.
 */
static bool search_extend(struct search *search, size_t start, size_t end)
{
	if (search->run_end != start)
		search->run_start = start;
	search->run_end = end;
	return search->run_end - search->run_start >= search->count;
}

/* Passes one word of the bitmap. */
static bool search_word(const struct page_range *range, struct search *search, size_t word)
{
	const size_t first = word * WORD_PAGES;
	uint64_t available = ~range->used[word];

	if (search->from > first)
		available &= ~low_bits(search->from - first);
	while (available) {
		const size_t start = (size_t)__builtin_ctzll(available);
		const uint64_t after = ~(available >> start);
		const size_t length = after ? (size_t)__builtin_ctzll(after) : WORD_PAGES - start;

		if (search_extend(search, first + start, first + start + length))
			return true;
		available &= ~(low_bits(length) << start);
	}
	return false;
}

/* Passes one node; true when the run that the search carries is long enough. */
static bool search_node(const struct page_range *range, struct search *search, unsigned level,
			size_t node)
{
	const struct page_summary *summary = &range->level[level][node];
	const size_t pages = node_pages(level), start = node * pages;

	if (search->from >= start + pages)
		return false;
	if (search->from <= start) {
		const size_t carried = search->run_end == start
					       ? search->run_end - search->run_start
					       : 0;

		if (carried + summary->head >= search->count)
			return search_extend(search, start, start + summary->head);
		if (summary->longest < search->count) {
			if (summary->tail > 0)
				search_extend(search, start + pages - summary->tail, start + pages);
			return false;
		}
	}
	for (size_t child = node * FAN_OUT; child < (node + 1) * FAN_OUT; child++) {
		if (level == 0 ? search_word(range, search, child)
			       : search_node(range, search, level - 1, child))
			return true;
	}
	return false;
}

/* The lowest free run of `count` pages at or above `from`, aligned or not. */
static size_t find_run(const struct page_range *range, size_t from, size_t count)
{
	struct search search = { .from = from, .count = count };

	return search_node(range, &search, range->levels - 1, 0) ? search.run_start
								 : PAGE_RANGE_NONE;
}

size_t page_range_take(struct page_range *range, size_t count, size_t alignment)
{
	size_t from = 0;

	if (count == 0 || count > range->free_pages)
		return PAGE_RANGE_NONE;
	for (;;) {
		const size_t found = find_run(range, from, count);
		size_t number;

		if (found == PAGE_RANGE_NONE)
			return PAGE_RANGE_NONE;
		number = range->first_page + found;
		from = ((number + alignment - 1) & ~(alignment - 1)) - range->first_page;
		/*
		 * Found again at once if the rest of this run is long enough, else a later run is.
		 */
		if (from == found)
			break;
		if (from >= range->pages)
			return PAGE_RANGE_NONE;
	}
	bits_change(range, from, count, true);
	refresh(range, from, count);
	range->free_pages -= count;
	return from;
}

void page_range_give(struct page_range *range, size_t index, size_t count)
{
	bits_change(range, index, count, false);
	refresh(range, index, count);
	range->free_pages += count;
}

/*
 * How many nodes each level has, and bytes of all of it. Sizes are whole families, so that no child
 * is missing.
 */
static size_t layout(struct page_range *range, size_t *words)
{
	size_t nodes = (range->pages + node_pages(0) - 1) / node_pages(0);
	size_t bytes;

	*words = nodes * FAN_OUT;
	bytes = *words * sizeof(*range->used);
	for (range->levels = 0;; range->levels++) {
		range->level_nodes[range->levels] = nodes;
		if (nodes == 1)
			break;
		nodes = (nodes + FAN_OUT - 1) / FAN_OUT;
		range->level_nodes[range->levels] = nodes * FAN_OUT;
	}
	range->levels++;
	for (unsigned level = 0; level < range->levels; level++)
		bytes += range->level_nodes[level] * sizeof(struct page_summary);
	return bytes;
}

int page_range_init(struct page_range *range, size_t first_page, size_t pages)
{
	size_t words;
	char *at;

	if (pages == 0 || pages > MOST_PAGES)
		return -EINVAL;
	memset(range, 0, sizeof(*range));
	range->pages = pages;
	range->first_page = first_page;
	range->free_pages = pages;
	range->memory_bytes = layout(range, &words);
	range->memory = mmap(NULL, range->memory_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (range->memory == MAP_FAILED) {
		range->memory = NULL;
		return -ENOMEM;
	}
	range->used = range->memory;
	at = (char *)(range->used + words);
	for (unsigned level = 0; level < range->levels; level++) {
		range->level[level] = (struct page_summary *)(void *)at;
		at += range->level_nodes[level] * sizeof(struct page_summary);
	}
	/*
	 * What lies past the end is taken, and so are, being zero, the nodes that only fill up a
	 * family.
	 */
	if (pages < words * WORD_PAGES)
		bits_change(range, pages, words * WORD_PAGES - pages, true);
	for (unsigned level = 0; level < range->levels; level++) {
		const size_t each = node_pages(level), full = pages / each;

		for (size_t node = 0; node < full; node++)
			range->level[level][node] = (struct page_summary){ (uint32_t)each,
									   (uint32_t)each,
									   (uint32_t)each };
		if (full * each < pages)
			node_refresh(range, level, full);
	}
	return 0;
}

void page_range_fini(struct page_range *range)
{
	if (range->memory)
		munmap(range->memory, range->memory_bytes);
	range->memory = NULL;
}
