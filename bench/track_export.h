/* `poolbench track export`: a run in the format of another program. */
#ifndef POOLBENCH_TRACK_EXPORT_H
#define POOLBENCH_TRACK_EXPORT_H

/* argv[0] is the subcommand's name. An exit code of bench/cmd.h. */
int track_export(int argc, char **argv);

/* argp's help filter of whoever exports a run: the formats' table before the documentation's end. */
char *track_export_help(int key, const char *text, void *input);

#endif
