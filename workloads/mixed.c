/*
 * mixed: a machine at work. The four workloads run at once, with their default options, on all processors;
 * each gets its part of the events. docs/mixed.md.
 */
#include "activity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTS 4u

struct mixed_options {
	unsigned irp, registry, section, object;
	int version;
};

/* clang-format off */
static const struct option_def mixed_table[] = {
	OPTION_UINT(struct mixed_options, irp, "40", 0, 100, "parts", "irp-storm's parts of the events"),
	OPTION_UINT(struct mixed_options, registry, "25", 0, 100, "parts", "registry-churn's parts of the events"),
	OPTION_UINT(struct mixed_options, section, "15", 0, 100, "parts", "section-mapping's parts of the events"),
	OPTION_UINT(struct mixed_options, object, "20", 0, 100, "parts", "object-churn's parts of the events"),
	OPTION_ENUM(struct mixed_options, version, "22631", windows_version_names, "Windows version of the sizes"),
	OPTION_END
};
/* clang-format on */

/* The workload's options: its defaults, for this version. NULL: out of memory. */
static void *default_options(const struct workload *workload, int version)
{
	void *values = calloc(1, workload->options_bytes);
	char text[64], error[128];

	snprintf(text, sizeof(text), "version=%s", windows_version_names[version]);
	if (values && options_parse(workload->options, values, text, error, sizeof(error)) != 0) {
		free(values);
		values = NULL;
	}
	return values;
}

static int mixed_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct mixed_options *options = config->options;
	const struct {
		const struct workload *workload;
		const struct activity_kind *kind;
		uint32_t weight;
	} all[PARTS] = {
		{ &irp_storm, &irp_storm_activity, options->irp },
		{ &registry_churn, &registry_churn_activity, options->registry },
		{ &section_mapping, &section_mapping_activity, options->section },
		{ &object_churn, &object_churn_activity, options->object },
	};
	struct activity_part parts[PARTS];
	void *values[PARTS] = { NULL };
	unsigned count = 0;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < PARTS; i++) {
		if (all[i].weight == 0)
			continue;
		values[i] = default_options(all[i].workload, options->version);
		if (!values[i])
			rc = -ENOMEM;
		parts[count++] = (struct activity_part){ .kind = all[i].kind,
							 .options = values[i],
							 .weight = all[i].weight,
							 .salt = i };
	}
	/* Without a part there is no body, which is refused where it is noticed for all workloads. */
	if (rc == 0 && count > 0)
		rc = activities_generate(config, builder, parts, count);
	for (unsigned i = 0; i < PARTS; i++)
		free(values[i]);
	return rc;
}

const struct workload mixed = {
	.name = "mixed",
	.summary = "a machine at work: irp-storm, registry-churn, section-mapping, object-churn at "
		   "once",
	.options = mixed_table,
	.options_bytes = sizeof(struct mixed_options),
	.generate = mixed_generate,
};
