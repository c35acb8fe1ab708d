/*
 * An intrusive red-black tree (Guibas and Sedgewick 1978): the node lies in what it orders, so that
 * a free range can be its own tree node and no memory is needed to keep it.
 *
 * The caller descends by its own key and hands over the place that it found; the tree only
 * balances. Height at most 2 * log2(nodes + 1). Not thread-safe. All zeroes is an empty tree.
 */
#ifndef POOLBENCH_RB_TREE_H
#define POOLBENCH_RB_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rb_node {
	struct rb_node *child[2]; /* [0] before, [1] after */
	uintptr_t parent_colour;  /* lowest bit: red */
};

struct rb_tree {
	struct rb_node *root;
};

static inline struct rb_node *rb_parent(const struct rb_node *node)
{
	return (struct rb_node *)(node->parent_colour & ~(uintptr_t)1);
}

/*
 * Puts `node` under `parent` on `side`, where there was nothing; `parent` is NULL for an empty
 * tree.
 */
void rb_insert(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent, int side);

/* Takes `node`, which is in the tree, out. Its memory is the caller's again. */
void rb_remove(struct rb_tree *tree, struct rb_node *node);

/* The outermost node on `side`: [0] the first, [1] the last; NULL in an empty tree. */
struct rb_node *rb_end(const struct rb_tree *tree, int side);

/* The neighbour of `node` in order: side 1 the next, side 0 the previous; NULL at the end. */
struct rb_node *rb_step(const struct rb_node *node, int side);

/*
 * Whether colours, heights and parent links are right; the number of nodes in *nodes. The order is
 * the caller's to check with rb_step().
 */
bool rb_is_valid(const struct rb_tree *tree, size_t *nodes);

#endif
