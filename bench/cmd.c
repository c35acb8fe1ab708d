#include "bench/cmd.h"

#include <errno.h>

int exit_code_of(int error)
{
	switch (error) {
	case 0:
		return EXIT_GOOD;
	case -EINVAL:
		return EXIT_USAGE;
	case -ENOENT:
	case -ENOEXEC:
	case -ENODEV:
		return EXIT_MISSING;
	default:
		return EXIT_FAILED;
	}
}
