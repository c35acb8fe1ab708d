/* Insertion and removal of Cormen, Leiserson, Rivest and Stein, written once for both sides. */
#include "rb_tree.h"

#define RED ((uintptr_t)1)

static bool is_red(const struct rb_node *node)
{
	return node && (node->parent_colour & RED);
}

static void paint_black(struct rb_node *node)
{
	node->parent_colour &= ~RED;
}

static void paint_red(struct rb_node *node)
{
	node->parent_colour |= RED;
}

static void set_parent(struct rb_node *node, const struct rb_node *parent)
{
	node->parent_colour = (uintptr_t)parent | (node->parent_colour & RED);
}

/* Whoever points to `old` as its child points to `new` instead. */
static void replace_child(struct rb_tree *tree, struct rb_node *parent, const struct rb_node *old,
			  struct rb_node *new)
{
	if (!parent)
		tree->root = new;
	else
		parent->child[parent->child[1] == old] = new;
}

/* `node` goes down towards `side`; its child on the other side takes its place. */
static void rotate(struct rb_tree *tree, struct rb_node *node, int side)
{
	struct rb_node *up = node->child[!side], *parent = rb_parent(node);

	node->child[!side] = up->child[side];
	if (up->child[side])
		set_parent(up->child[side], node);
	up->child[side] = node;
	set_parent(up, parent);
	replace_child(tree, parent, node, up);
	set_parent(node, up);
}

void rb_insert(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent, int side)
{
	node->child[0] = node->child[1] = NULL;
	node->parent_colour = (uintptr_t)parent | RED;
	if (!parent)
		tree->root = node;
	else
		parent->child[side] = node;
	/*
	 * A red node under a red parent: recolour upwards while the uncle is red, else rotate,
	 * done.
	 */
	while (is_red(parent = rb_parent(node))) {
		struct rb_node *grandparent = rb_parent(parent), *uncle;

		side = grandparent->child[1] == parent;
		uncle = grandparent->child[!side];
		if (is_red(uncle)) {
			paint_black(parent);
			paint_black(uncle);
			paint_red(grandparent);
			node = grandparent;
			continue;
		}
		if (node == parent->child[!side]) {
			rotate(tree, parent, side);
			parent = node;
		}
		paint_black(parent);
		paint_red(grandparent);
		rotate(tree, grandparent, !side);
		break;
	}
	paint_black(tree->root);
}

/* The paths through `node` (NULL: a leaf below `parent`) lack one black node. */
static void remove_repair(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent)
{
	while (parent && !is_red(node)) {
		int side = parent->child[1] == node;
		struct rb_node *sibling = parent->child[!side];

		if (is_red(sibling)) {
			paint_black(sibling);
			paint_red(parent);
			rotate(tree, parent, side);
			sibling = parent->child[!side];
		}
		if (!is_red(sibling->child[0]) && !is_red(sibling->child[1])) {
			paint_red(sibling);
			node = parent;
			parent = rb_parent(node);
			continue;
		}
		if (!is_red(sibling->child[!side])) {
			paint_black(sibling->child[side]);
			paint_red(sibling);
			rotate(tree, sibling, !side);
			sibling = parent->child[!side];
		}
		sibling->parent_colour = (sibling->parent_colour & ~RED) |
					 (parent->parent_colour & RED);
		paint_black(parent);
		paint_black(sibling->child[!side]);
		rotate(tree, parent, side);
		return;
	}
	if (node)
		paint_black(node);
}

void rb_remove(struct rb_tree *tree, struct rb_node *node)
{
	struct rb_node *child, *parent, *heir;
	bool red;

	if (!node->child[0] || !node->child[1]) {
		child = node->child[node->child[0] == NULL];
		parent = rb_parent(node);
		red = is_red(node);
		if (child)
			set_parent(child, parent);
		replace_child(tree, parent, node, child);
	} else {
		/* The next node, which has no child before it, takes place and colour. */
		for (heir = node->child[1]; heir->child[0]; heir = heir->child[0])
			;
		child = heir->child[1];
		parent = rb_parent(heir);
		red = is_red(heir);
		if (parent == node) {
			parent = heir;
		} else {
			parent->child[0] = child;
			if (child)
				set_parent(child, parent);
			heir->child[1] = node->child[1];
			set_parent(heir->child[1], heir);
		}
		heir->child[0] = node->child[0];
		set_parent(heir->child[0], heir);
		heir->parent_colour = node->parent_colour;
		replace_child(tree, rb_parent(node), node, heir);
	}
	if (!red)
		remove_repair(tree, child, parent);
}

struct rb_node *rb_end(const struct rb_tree *tree, int side)
{
	struct rb_node *node = tree->root;

	while (node && node->child[side])
		node = node->child[side];
	return node;
}

struct rb_node *rb_step(const struct rb_node *node, int side)
{
	const struct rb_node *parent;

	if (node->child[side]) {
		struct rb_node *next = node->child[side];

		while (next->child[!side])
			next = next->child[!side];
		return next;
	}
	for (parent = rb_parent(node); parent && parent->child[side] == node;
	     parent = rb_parent(node))
		node = parent;
	return (struct rb_node *)(uintptr_t)parent;
}

/* Black nodes on each path below, or -1. The height is bounded, so recursion is too. */
static int black_height(const struct rb_node *node, const struct rb_node *parent, size_t *nodes)
{
	int before, after;

	if (!node)
		return 0;
	if (rb_parent(node) != parent || (is_red(node) && is_red(parent)))
		return -1;
	before = black_height(node->child[0], node, nodes);
	after = black_height(node->child[1], node, nodes);
	++*nodes;
	return before < 0 || before != after ? -1 : before + !is_red(node);
}

bool rb_is_valid(const struct rb_tree *tree, size_t *nodes)
{
	*nodes = 0;
	return !is_red(tree->root) && black_height(tree->root, NULL, nodes) >= 0;
}
