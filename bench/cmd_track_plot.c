#include "bench/cmd.h"
#include "bench/track.h"
int track_plot(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return EXIT_MISSING;
}
