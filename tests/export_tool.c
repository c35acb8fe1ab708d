/*
 * For export.sh: `export_tool sample whole|hostile|failed` makes a run and prints its directory; everything else is the
 * command line of `track export`.
 */
#include <stdio.h>
#include <string.h>

#include "bench/track_export.h"
#include "plots_sample.h"

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "whole", "hostile", "failed" };
	char path[512];

	if (argc != 3 || strcmp(argv[1], "sample") != 0)
		return track_export(argc, argv);
	for (int i = 0; i < 3; i++)
		if (strcmp(argv[2], kinds[i]) == 0 &&
		    sample_run((enum sample)i, path, sizeof(path)) == 0)
			return puts(path) < 0;
	return 1;
}
