/* The course of a series: its points since the last accepted change, its levels, its baseline. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "history_check.h"

void course_release(struct course *course)
{
	free(course->points);
	free(course->logs);
	free(course->levels);
	*course = (struct course){ .pinned = SIZE_MAX, .accepted = SIZE_MAX };
}

static size_t run_index(const struct history *history, const char *id)
{
	for (size_t i = 0; i < history->run_count; i++)
		if (!strcmp(history->runs[i].id, id))
			return i;
	return SIZE_MAX;
}

static size_t point_of_run(const struct history *history, size_t series, size_t run)
{
	size_t count;
	const struct history_point *points = history_points(history, series, &count);

	for (size_t i = 0; i < count; i++)
		if (points[i].run == run && points[i].n)
			return (size_t)(points + i - history->points);
	return SIZE_MAX;
}

/*
 * The last decision on a series wins: an accept after a pin starts anew, a pin after an accept pins. `first` becomes the
 * first run of the course. An accepted run that is older than what was read cuts nothing off.
 */
static void apply_decisions(const struct history *history, size_t series, struct course *course,
			    size_t *first)
{
	for (size_t i = 0; i < history->decision_count; i++) {
		const struct history_decision *decision = &history->decisions[i];
		const size_t run = run_index(history, decision->run);

		if (!decision_holds(decision, &history->series[series]) || run == SIZE_MAX)
			continue;
		if (decision->kind == DECISION_ACCEPT) {
			course->accepted = i;
			course->pinned = SIZE_MAX;
			*first = run;
		} else if (decision->kind == DECISION_PIN) {
			const size_t point = point_of_run(history, series, run);

			if (point != SIZE_MAX)
				course->pinned = point;
		}
	}
}

static int compare_doubles(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static int median_of(const double *values, size_t count, double *median)
{
	double *sorted = malloc((count + 1) * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	*median = sorted_median(sorted, count);
	free(sorted);
	return 0;
}

static int find_levels(struct course *course, const struct check_rules *rules, double significance)
{
	const struct change_rules change_rules = { significance, CHANGE_LEAST, rules->seed };
	struct change *changes = NULL;
	size_t count = 0;
	int error = change_points(course->logs, course->count, &change_rules, &changes, &count);

	course->levels = error ? NULL : calloc(count + 1, sizeof(*course->levels));
	if (!error && !course->levels)
		error = -ENOMEM;
	for (size_t i = 0; i <= count && !error; i++) {
		struct level *level = &course->levels[i];
		const size_t end = i < count ? changes[i].at : course->count;

		level->first = i ? changes[i - 1].at : 0;
		level->count = end - level->first;
		level->p = i ? changes[i - 1].p : NAN;
		error = median_of(course->logs + level->first, level->count, &level->centre);
	}
	course->level_count = count + 1;
	free(changes);
	return error;
}

double course_ratio(const struct course *course, size_t level)
{
	return exp(course->levels[level].centre - course->levels[course->baseline].centre);
}

int course_make(const struct history *history, size_t series, double new_value,
		const struct check_rules *rules, double significance, struct course *course)
{
	struct course made = { .pinned = SIZE_MAX, .accepted = SIZE_MAX };
	size_t count, first = 0;
	const struct history_point *points = history_points(history, series, &count);
	int error;

	made.points = calloc(count + 1, sizeof(*made.points));
	made.logs = calloc(count + 1, sizeof(*made.logs));
	if (!made.points || !made.logs) {
		course_release(&made);
		return -ENOMEM;
	}
	apply_decisions(history, series, &made, &first);
	for (size_t i = 0; i < count; i++) {
		const struct history_run *run = &history->runs[points[i].run];

		if (!points[i].n || points[i].run < first || run->forgotten || run->outside)
			continue;
		made.points[made.count] = (size_t)(points + i - history->points);
		made.logs[made.count++] = log(points[i].value);
	}
	if (isfinite(new_value)) {
		made.points[made.count] = SIZE_MAX;
		made.logs[made.count++] = log(new_value);
	}
	error = find_levels(&made, rules, significance);
	if (error) {
		course_release(&made);
		return error;
	}
	/* gains become the baseline by themselves, losses do not */
	for (size_t i = 1; i < made.level_count; i++)
		if (course_ratio(&made, i) <= 1 / (1 + rules->change_threshold))
			made.baseline = i;
	*course = made;
	return 0;
}
