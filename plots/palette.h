/*
 * What a backend looks like: the same colour, mark and dash in every figure of every run.
 *
 * Colours are from Okabe and Ito's set and Paul Tol's "muted" and "bright" sets, chosen to stay apart under
 * deuteranopia and protanopia; since no dozen colours do so fully, shape and dash tell apart as well.
 * Native designs have filled marks and solid lines, malloc libraries open marks and dashed lines.
 */
#ifndef POOLBENCH_PLOTS_PALETTE_H
#define POOLBENCH_PLOTS_PALETTE_H

struct style {
	unsigned rgb; /* 0xrrggbb */
	int point; /* gnuplot's point type: the same shape in all its terminals */
	int dash; /* 0 solid; 1.. an entry of common.gp's dash table */
};

/* The look of a built-in backend or a known library; NULL for any other name. */
const struct style *style_of_known(const char *name);

/* The n-th look for names that have none of their own; never one of a known name's. */
const struct style *style_of_stranger(unsigned n);

#endif
