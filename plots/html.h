/* Writing HTML: every text that comes from a run is escaped. */
#ifndef POOLBENCH_PLOTS_HTML_H
#define POOLBENCH_PLOTS_HTML_H

#include <stdio.h>

/*
 * The format is markup and is written as it is, what %s inserts is escaped. Knows %s, %u, %zu, %% and
 * %f, %e, %g with flags, width and precision.
 */
__attribute__((format(printf, 2, 3))) void html(FILE *out, const char *format, ...);

/* The file as a data: URI, for a quoted attribute. 0 or -errno. */
int html_data_uri(FILE *out, const char *path, const char *mime_type);

/* The file as it is: a style sheet of our own. 0 or -errno. */
int html_file(FILE *out, const char *path);

#endif
