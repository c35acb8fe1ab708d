/* Pictures of the heap: which checkpoints, the canvas and its symbols, the mappings of a process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "bench/heap_canvas.h"
#include "bench/heap_map.h"
#include "bench/mappings.h"

#define PAGE 4096u

/* ---- which checkpoints ---- */

static void a_number_is_spread_evenly(void **state)
{
	struct heap_map_plan plan;
	char why[256];

	(void)state;
	assert_int_equal(heap_map_plan_parse("4", 200, &plan, why, sizeof(why)), 0);
	assert_int_equal(plan.count, 4);
	assert_int_equal(plan.at[0], 25);
	assert_int_equal(plan.at[3], 175);
	assert_int_equal(heap_map_plan_parse("at:1,7,200", 200, &plan, why, sizeof(why)), 0);
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.at[0], 0);
	assert_int_equal(plan.at[2], 199);
	assert_int_equal(heap_map_plan_parse("off", 200, &plan, why, sizeof(why)), 0);
	assert_int_equal(plan.count, 0);
	assert_int_equal(heap_map_plan_parse("0", 200, &plan, why, sizeof(why)), 0);
	assert_int_equal(plan.count, 0);
}

static void bad_plans_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "all", "wants off" },    { "-1", "wants off" },     { "65", "up to 64" },
		{ "at:", "no number" },    { "at:0", "1 to 200" },    { "at:201", "1 to 200" },
		{ "at:5,5", "ascending" }, { "at:9,3", "ascending" }, { "at:3,x", "no number" },
		{ "at:3,", "no number" },  { "8 ", "wants off" },
	};
	const struct heap_map_plan untouched = { .count = 77 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct heap_map_plan plan = untouched;
		char why[256] = "";

		assert_int_equal(heap_map_plan_parse(cases[i].text, 200, &plan, why, sizeof(why)),
				 -EINVAL);
		assert_int_equal(plan.count, 77);
		if (!strstr(why, cases[i].says))
			fail_msg("'%s': '%s' lacks '%s'", cases[i].text, why, cases[i].says);
	}
}

/* ---- the canvas ---- */

static void a_cell_is_a_page_or_finer(void **state)
{
	(void)state;
	assert_int_equal(heap_cell_bytes(0, PAGE), 64);
	assert_int_equal(heap_cell_bytes((size_t)8192 * 512, PAGE), 512);
	assert_int_equal(heap_cell_bytes((size_t)1 << 30, PAGE), PAGE);
	assert_int_equal(heap_cell_bytes((size_t)1 << 30, (size_t)2 << 20), PAGE);
}

/* The symbols of one stretch of `cells` cells of 64 bytes, at an address that is only a number. */
static char *paint(void (*strokes)(struct heap_canvas *canvas, char *base), char pool, size_t cells)
{
	char *base = (char *)0x700000000000;
	const struct mapping stretch = { (uintptr_t)base, (uintptr_t)base + 64 * cells };
	struct heap_canvas canvas;
	char *text;

	assert_int_equal(heap_canvas_create(&stretch, &pool, 1, 64, &canvas), 0);
	strokes(&canvas, base);
	text = malloc(heap_canvas_text(&canvas, &canvas.stretch[0], NULL));
	heap_canvas_text(&canvas, &canvas.stretch[0], text);
	heap_canvas_destroy(&canvas);
	return text;
}

static void native_strokes(struct heap_canvas *canvas, char *base)
{
	heap_canvas_paint(canvas, base, 64 * 2, FILL_METADATA);
	/* a block of the second tag over two cells and a half: the third is pinned by its last bytes */
	heap_canvas_paint(canvas, base + 128, 64 * 2 + 16, FILL_USED);
	heap_canvas_paint(canvas, base + 132, 64 * 2, (enum heap_fill)(FILL_GROUP + 1));
	heap_canvas_paint(canvas, base + 128 + 144, 48, FILL_FREE);
	heap_canvas_paint(canvas, base + 320, 64 * 600, FILL_FREE_PAGES);
	heap_canvas_paint(canvas, base + 320 + 64 * 600, 64, FILL_CACHED);
	/* header and rounding alone: of a tag without a letter */
	heap_canvas_paint(canvas, base + 64 * 700, 64, FILL_USED);
	/* outside of the stretch: nothing happens */
	heap_canvas_paint(canvas, base - 64, 32, FILL_USED);
	heap_canvas_paint(canvas, base + 64 * 1000, 64 * 50, FILL_USED);
}

static void library_strokes(struct heap_canvas *canvas, char *base)
{
	heap_canvas_paint(canvas, base, 64 * 4, FILL_RESIDENT);
	heap_canvas_paint(canvas, base, 40, FILL_USED);
	heap_canvas_paint(canvas, base, 40, FILL_GROUP);
	heap_canvas_paint(canvas, base + 64, 10, FILL_USED);
	heap_canvas_paint(canvas, base + 64, 10, (enum heap_fill)(FILL_GROUP + 2));
	/* live, and never touched: not resident */
	heap_canvas_paint(canvas, base + 64 * 6, 64, FILL_USED);
}

static void cells_say_what_fills_them(void **state)
{
	char *text = paint(native_strokes, 'N', 1000);

	(void)state;
	assert_string_equal(text, "#2B2b=600~.94H.299");
	free(text);
	text = paint(library_strokes, 'M', 8);
	assert_string_equal(text, "Ac+2.4");
	free(text);
}

/* ---- mappings ---- */

static size_t resident_pages;

static void count_page(void *arg, uintptr_t page)
{
	(void)arg;
	(void)page;
	resident_pages++;
}

static void new_mappings_are_told_from_old_ones(void **state)
{
	static struct mappings before, after;
	const size_t bytes = 64 * PAGE;
	char *pages;
	size_t found = 0;

	(void)state;
	assert_int_equal(mappings_read(&before, false), 0);
	assert_true(before.count > 0);
	pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(pages != MAP_FAILED);
	for (size_t i = 0; i < 16; i++)
		pages[2 * i * PAGE] = 1;
	assert_int_equal(mappings_read(&after, false), 0);
	mappings_subtract(&after, &before);
	for (size_t i = 0; i < after.count; i++) {
		if ((uintptr_t)pages < after.at[i].start || (uintptr_t)pages >= after.at[i].end)
			continue;
		found++;
		resident_pages = 0;
		assert_int_equal(mapping_resident(&(struct mapping){ (uintptr_t)pages,
								     (uintptr_t)pages + bytes },
						  count_page, NULL),
				 0);
		assert_int_equal(resident_pages, 16);
	}
	assert_int_equal(found, 1);
	mappings_drop(&after, pages + PAGE);
	for (size_t i = 0; i < after.count; i++)
		assert_true((uintptr_t)pages < after.at[i].start ||
			    (uintptr_t)pages >= after.at[i].end);
	munmap(pages, bytes);
}

static void stretches_are_cut_and_joined(void **state)
{
	static struct mappings all, without;

	(void)state;
	all.count = without.count = 0;
	mappings_add(&all, (void *)0x10000, 0x10000);
	mappings_add(&all, (void *)0x40000, 0x1000);
	mappings_add(&without, (void *)0x14000, 0x1000);
	mappings_add(&without, (void *)0x3f000, 0x3000);
	mappings_subtract(&all, &without);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.at[0].end, 0x14000);
	assert_int_equal(all.at[1].start, 0x15000);
	assert_int_equal(all.at[1].end, 0x20000);
	mappings_join(&all, 0xfff);
	assert_int_equal(all.count, 2);
	mappings_join(&all, 0x1000);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.at[0].start, 0x10000);
	assert_int_equal(all.at[0].end, 0x20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_spread_evenly),
		cmocka_unit_test(bad_plans_are_refused),
		cmocka_unit_test(a_cell_is_a_page_or_finer),
		cmocka_unit_test(cells_say_what_fills_them),
		cmocka_unit_test(new_mappings_are_told_from_old_ones),
		cmocka_unit_test(stretches_are_cut_and_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
