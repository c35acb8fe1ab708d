/* The subcommands of poolbench: argv[0] is the subcommand's name. Each returns an exit code. */
#ifndef POOLBENCH_CMD_H
#define POOLBENCH_CMD_H

enum exit_code {
	EXIT_GOOD = 0,
	EXIT_FAILED = 1, /* a cell failed, a regression, a write that did not work */
	EXIT_USAGE = 2,
	EXIT_MISSING = 3, /* a library, a package or a file that is needed is not there */
	EXIT_INCONCLUSIVE = 4
};

int cmd_ab(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_gbench(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_stress(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_track(int argc, char **argv);

/* The exit code that an error of the libraries deserves: -EINVAL is 2, what is missing (-ENOENT, -ENOTCONN ...) 3, else 1. */
int exit_code_of(int error);

#endif
