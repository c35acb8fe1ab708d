#include "quiet.h"

#include <math.h>
#include <string.h>

#include "results/statistics.h"

double quiet_limit(const struct quiet *quiet)
{
	const size_t count = quiet->readings < QUIET_SEEN ? quiet->readings : QUIET_SEEN;
	double sorted[QUIET_SEEN];

	if (count < QUIET_LEAST)
		return 0;
	memcpy(sorted, quiet->seen, count * sizeof(*sorted));
	sort_finite(sorted, count);
	return QUIET_TOLERANCE * sorted[count / 10];
}

/* What may still be waited. */
static double seconds_left(const struct quiet *quiet, double share)
{
	return share > 0 ? fmax(0, QUIET_START + share * quiet->measured_seconds -
					   quiet->waited_seconds)
			 : 0;
}

void quiet_ask(const struct quiet *quiet, double share, unsigned timeout_seconds,
	       struct measure_spec *spec)
{
	spec->quiet_sharing = quiet_limit(quiet);
	spec->quiet_wait_seconds = fmin(seconds_left(quiet, share), timeout_seconds / 2.0);
}

bool quiet_keep(struct quiet *quiet, double share, const struct record *record)
{
	const double before = record->metrics[METRIC_canary_sharing];
	const double after = record->metrics[METRIC_canary_sharing_after];
	const double waited_seconds = 1e-9 * record->metrics[METRIC_quiet_wait_ns];
	const double limit = quiet_limit(quiet);

	if (!(before > 0) || !isfinite(before) || !(waited_seconds >= 0))
		return true;
	quiet->seen[quiet->readings++ % QUIET_SEEN] = before;
	quiet->waited_seconds += waited_seconds;
	if (limit > 0 && after > limit && seconds_left(quiet, share) > 0) {
		quiet->waited_seconds += fmax(0, record->wall_seconds - waited_seconds);
		quiet->again++;
		return false;
	}
	quiet->measured_seconds += fmax(0, record->wall_seconds - waited_seconds);
	quiet->disturbed += limit > 0 && (before > limit || after > limit);
	return true;
}
