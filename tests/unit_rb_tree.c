/* The red-black tree against a sorted array: order, colours and heights after every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "allocators/rb_tree.h"
#include "workloads/random.h"

#define ITEMS 700

struct item {
	struct rb_node node;
	uint64_t key;
	bool is_in;
};

static struct item *item_of(struct rb_node *node)
{
	return (struct item *)(void *)((char *)node - offsetof(struct item, node));
}

static void insert(struct rb_tree *tree, struct item *item)
{
	struct rb_node *parent = NULL, *at = tree->root;
	int side = 0;

	while (at) {
		parent = at;
		side = item->key > item_of(at)->key;
		at = at->child[side];
	}
	rb_insert(tree, &item->node, parent, side);
	item->is_in = true;
}

static unsigned height(const struct rb_node *node)
{
	unsigned before, after;

	if (!node)
		return 0;
	before = height(node->child[0]);
	after = height(node->child[1]);
	return 1 + (before > after ? before : after);
}

static void check(const struct rb_tree *tree, const struct item *items, size_t expected)
{
	size_t count, found = 0;
	uint64_t previous = 0;
	unsigned bound = 0;

	assert_true(rb_is_valid(tree, &count));
	assert_int_equal(count, expected);
	while (((size_t)1 << bound) < expected + 1)
		bound++;
	assert_true(height(tree->root) <= 2 * bound);
	for (struct rb_node *at = rb_end(tree, 0); at; at = rb_step(at, 1), found++) {
		assert_true(item_of(at)->is_in);
		assert_true(item_of(at) >= items && item_of(at) < items + ITEMS);
		assert_true(!found || item_of(at)->key > previous);
		previous = item_of(at)->key;
	}
	assert_int_equal(found, expected);
	for (struct rb_node *at = rb_end(tree, 1); at; at = rb_step(at, 0))
		found--;
	assert_int_equal(found, 0);
}

static void holds_through_random_insertions_and_removals(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct item *items = calloc(ITEMS, sizeof(*items));
		struct rb_tree tree = { NULL };
		struct random random;
		size_t count = 0;

		assert_non_null(items);
		random_seed(&random, seed);
		for (size_t i = 0; i < ITEMS; i++)
			items[i].key = (uint64_t)i * 7919 % ITEMS * 2 + 1;
		for (unsigned step = 0; step < 4 * ITEMS; step++) {
			struct item *item = &items[random_next(&random) % ITEMS];

			if (item->is_in) {
				rb_remove(&tree, &item->node);
				item->is_in = false;
				count--;
			} else {
				insert(&tree, item);
				count++;
			}
			if (step % 16 == 0 || count < 20)
				check(&tree, items, count);
		}
		for (size_t i = 0; i < ITEMS; i++)
			if (items[i].is_in) {
				rb_remove(&tree, &items[i].node);
				items[i].is_in = false;
				check(&tree, items, --count);
			}
		assert_null(tree.root);
		free(items);
	}
}

static void stays_low_when_keys_come_in_order(void **state)
{
	struct item *items = calloc(ITEMS, sizeof(*items));
	struct rb_tree tree = { NULL };

	(void)state;
	assert_non_null(items);
	for (size_t i = 0; i < ITEMS; i++) {
		items[i].key = i + 1;
		insert(&tree, &items[i]);
		check(&tree, items, i + 1);
	}
	/* From the front, as a drain does. */
	for (size_t i = 0; i < ITEMS; i++) {
		assert_ptr_equal(item_of(rb_end(&tree, 0)), &items[i]);
		rb_remove(&tree, &items[i].node);
		items[i].is_in = false;
		check(&tree, items, ITEMS - i - 1);
	}
	free(items);
}

/* A check that cannot fail checks nothing. */
static void validity_notices_a_broken_tree(void **state)
{
	struct item items[3] = { { .key = 1 }, { .key = 2 }, { .key = 3 } };
	struct rb_tree tree = { NULL };
	size_t count;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		insert(&tree, &items[i]);
	assert_true(rb_is_valid(&tree, &count));
	tree.root->parent_colour |= 1;
	assert_false(rb_is_valid(&tree, &count));
	tree.root->parent_colour &= ~(uintptr_t)1;
	tree.root->child[0]->parent_colour ^= 1;
	assert_false(rb_is_valid(&tree, &count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_through_random_insertions_and_removals),
		cmocka_unit_test(stays_low_when_keys_come_in_order),
		cmocka_unit_test(validity_notices_a_broken_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
