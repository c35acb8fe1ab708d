#include "palette.h"

#include <stddef.h>
#include <string.h>

/*
 * gnuplot's cairo and svg point types: 5 square, 7 disc, 9 triangle, 11 inverted triangle, 13 diamond,
 * 15 pentagon filled; one less is the same shape, open; 1 plus, 2 cross, 3 star.
 */
static const struct {
	const char *name;
	struct style style;
} known_styles[] = {
	{ "null", { 0x8c8c8c, 1, 4 } },         { "nt-pool", { 0x0072b2, 7, 0 } },
	{ "segment-heap", { 0xd55e00, 5, 0 } }, { "slub", { 0x009e73, 9, 0 } },
	{ "magazine", { 0xcc79a7, 13, 0 } },    { "vmem", { 0x882255, 11, 0 } },
	{ "tlsf", { 0xe69f00, 15, 0 } },        { "buddy", { 0x56b4e9, 5, 0 } },
	{ "glibc", { 0x8a5a2b, 6, 1 } },        { "mimalloc", { 0xaa3377, 4, 2 } },
	{ "jemalloc", { 0x117733, 8, 1 } },     { "tcmalloc", { 0x332288, 12, 3 } },
	{ "tbbmalloc", { 0x999933, 10, 2 } },
};

static const struct style stranger_styles[] = {
	{ 0x66ccee, 9, 2 },  { 0xee6677, 13, 1 }, { 0x44aa99, 11, 3 }, { 0xddaa33, 7, 1 },
	{ 0x4477aa, 15, 2 }, { 0xcc6677, 5, 3 },  { 0x228833, 10, 0 }, { 0xbbaa00, 12, 1 },
	{ 0x661100, 8, 2 },  { 0x6699cc, 6, 3 },  { 0xaa4499, 14, 0 }, { 0x000000, 2, 1 },
};

const struct style *style_of_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known_styles) / sizeof(known_styles[0]); i++) {
		if (strcmp(known_styles[i].name, name) == 0)
			return &known_styles[i].style;
	}
	return NULL;
}

const struct style *style_of_stranger(unsigned n)
{
	return &stranger_styles[n % (sizeof(stranger_styles) / sizeof(stranger_styles[0]))];
}
