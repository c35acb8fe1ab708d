/* The table of all metrics as Markdown, from the X-macro: the one in docs/metrics.md. */
#ifndef POOLBENCH_METRICS_MARKDOWN_H
#define POOLBENCH_METRICS_MARKDOWN_H

#include <stdio.h>

/* One row a metric, in the order of the X-macro, grouped by pass only as that is. */
void metrics_markdown(FILE *file);

#endif
