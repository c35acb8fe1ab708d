#include "bench/cmd.h"

#include <errno.h>

int exit_code_of(int error)
{
	switch (error) {
	case 0:
		return EXIT_GOOD;
	case -EINVAL:
	case -EISDIR:
		return EXIT_USAGE;
	case -ENOENT:
	case -ENOEXEC:
	case -ENODEV:
	case -ENOTCONN: /* a server */
	case -EPROTONOSUPPORT: /* a newer poolbench */
		return EXIT_MISSING;
	default:
		return EXIT_FAILED;
	}
}
