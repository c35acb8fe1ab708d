/*
 * section-mapping: files and images mapped into processes, and the file cache behind ordinary reads.
 *
 * The first section of a file makes its control area (nonpaged, first subsection in it), its segment and its
 * prototype PTEs (paged, 8 bytes for each page of the file: bytes to megabytes). They stay after the last
 * user is gone, on the list of unused segments, until that is trimmed. Each opening makes a section
 * object; each view a virtual address descriptor. Files that are read make cache maps instead of views.
 * Sections backed by the paging file die with their last handle.
 *
 * A file's traits (pages, image or data, extended or not) follow from its number and the seed, so that it is
 * the same file each time it comes back.
 *
 * docs/section-mapping.md says where the numbers come from.
 */
#include "activity.h"
#include "retention.h"

#include <errno.h>
#include <stdlib.h>

#define VIEWS             32u /* views a processor's programs hold at a time */
#define TRIM_PARTS        8u /* the unused list is trimmed by one part in so many */
#define IMAGE_SECTIONS    9u /* an image has 2 to 9 subsections */
#define EXTENDED_PPM      20000u /* data files that were extended while mapped: MmSt : MmCa = 1.02 */
#define EXTENSION_PAGES   64u
#define PRIVATE_PAGES_MAX 256u
#define NO_SLOT           UINT32_MAX

struct section_mapping_options {
	unsigned files, cached;
	size_t largest;
	double images, reads, private;
	int version;
};

/* clang-format off */
static const struct option_def section_mapping_table[] = {
	OPTION_UINT(struct section_mapping_options, files, "16384", 16, 1 << 20, "files", "files and images there are"),
	OPTION_UINT(struct section_mapping_options, cached, "8192", 8, 1 << 20, "files",
		    "unused control areas kept before the oldest eighth is trimmed"),
	OPTION_SIZE(struct section_mapping_options, largest, "64M", 4096, (size_t)1 << 31,
		    "largest file; its prototype PTEs take a 512th of it"),
	OPTION_REAL(struct section_mapping_options, images, "0.25", 0, 1, "1", "share of files that are images"),
	OPTION_REAL(struct section_mapping_options, reads, "0.3", 0, 1, "1",
		    "share of openings that read through the cache rather than map"),
	OPTION_REAL(struct section_mapping_options, private, "0.2", 0, 1, "1",
		    "share of mappings that are backed by the paging file"),
	OPTION_ENUM(struct section_mapping_options, version, "22631", windows_version_names, "Windows version of the sizes"),
	OPTION_END
};
/* clang-format on */

/* What a file has while its control area is resident. */
struct file {
	uint32_t control_area, segment, ptes;
	uint32_t subsection, more_ptes; /* of an extended data file */
};

/* A mapping that a program holds. */
struct view {
	uint32_t file; /* RETENTION_NONE: backed by the paging file */
	uint32_t section, vad;
	uint32_t control_area, segment, ptes; /* of the paging file's */
};

/* One processor's programs. */
struct desk {
	struct share reads;
	struct view views[VIEWS];
	unsigned head, count;
};

struct mapper {
	struct stage *stage;
	const struct section_mapping_options *options;
	enum windows_version version;
	struct random random;
	uint64_t traits;
	uint32_t image_ppm;
	struct share private;
	struct retention areas; /* control areas by file */
	struct file *files;
	struct desk *desks; /* [processors] */
};

static uint32_t object_alloc(struct mapper *mapper, unsigned processor, enum kernel_object object)
{
	const uint32_t bytes = kernel_object_bytes(object, mapper->version);

	return stage_alloc(mapper->stage, processor, object, bytes, bytes);
}

/* Prototype PTEs: the memory manager writes all of them when it makes the section. */
static uint32_t ptes_alloc(struct mapper *mapper, unsigned processor, uint32_t pages)
{
	return stage_alloc(mapper->stage, processor, OBJECT_PROTOTYPE_PTES, pages * PTE_BYTES,
			   pages * PTE_BYTES);
}

static bool file_is_image(const struct mapper *mapper, uint32_t file)
{
	return trait_of(mapper->traits, file) % MILLION < mapper->image_ppm;
}

static bool file_is_extended(const struct mapper *mapper, uint32_t file)
{
	return trait_of(mapper->traits + 1, file) % MILLION < EXTENDED_PPM;
}

/*
 * Pages of a file: of the files that reach an octave, 65.3 % go on to the next. Up to 64 MiB that makes a
 * mean of 111 pages, 890 bytes of prototype PTEs (published: 897).
 */
static uint32_t file_pages(const struct mapper *mapper, uint32_t file)
{
	const uint64_t trait = trait_of(mapper->traits + 2, file);
	const uint32_t largest = (uint32_t)(mapper->options->largest / POOL_OS_PAGE);
	const uint64_t stop = (1ull << 32) * 347 / 1000;
	uint64_t draw = trait & UINT32_MAX;
	uint32_t low = 1;
	uint32_t pages;

	/* A draw above `stop` is stretched to the whole range again, for the next octave. */
	while (2 * low <= largest && draw >= stop) {
		draw = (draw - stop) * 1000 / 653;
		low *= 2;
	}
	pages = low + (uint32_t)(trait >> 32) % low;
	return pages < largest ? pages : largest;
}

static uint32_t image_subsections(const struct mapper *mapper, uint32_t file)
{
	return 2 + (uint32_t)(trait_of(mapper->traits + 3, file) % (IMAGE_SECTIONS - 1));
}

/* An image's control area and subsections are one block, in the order of the image's sections. */
static void image_make(struct mapper *mapper, unsigned processor, uint32_t number)
{
	struct file *file = &mapper->files[number];
	const uint32_t bytes = kernel_control_area_bytes(
		OBJECT_SUBSECTION, image_subsections(mapper, number), mapper->version);

	file->control_area = stage_alloc(mapper->stage, processor, OBJECT_IMAGE_CONTROL_AREA, bytes,
					 bytes);
	file->segment = object_alloc(mapper, processor, OBJECT_SEGMENT);
	file->ptes = ptes_alloc(mapper, processor, file_pages(mapper, number));
}

static void data_make(struct mapper *mapper, unsigned processor, uint32_t number)
{
	struct file *file = &mapper->files[number];
	const uint32_t bytes = kernel_control_area_bytes(OBJECT_FILE_SUBSECTION, 1,
							 mapper->version);

	file->control_area = stage_alloc(mapper->stage, processor, OBJECT_CONTROL_AREA, bytes,
					 bytes);
	file->segment = object_alloc(mapper, processor, OBJECT_FILE_SEGMENT);
	file->ptes = ptes_alloc(mapper, processor, file_pages(mapper, number));
	file->subsection = NO_SLOT;
	if (file_is_extended(mapper, number)) {
		file->subsection = object_alloc(mapper, processor, OBJECT_FILE_SUBSECTION);
		file->more_ptes = ptes_alloc(mapper, processor, EXTENSION_PAGES);
	}
}

static void area_make(struct mapper *mapper, unsigned processor, uint32_t number)
{
	if (file_is_image(mapper, number))
		image_make(mapper, processor, number);
	else
		data_make(mapper, processor, number);
	retention_insert(&mapper->areas, number);
}

static void area_destroy(struct mapper *mapper, unsigned processor, uint32_t number)
{
	const struct file *file = &mapper->files[number];

	retention_remove(&mapper->areas, number);
	stage_free(mapper->stage, processor, file->ptes);
	if (!file_is_image(mapper, number) && file->subsection != NO_SLOT) {
		stage_free(mapper->stage, processor, file->more_ptes);
		stage_free(mapper->stage, processor, file->subsection);
	}
	stage_free(mapper->stage, processor, file->segment);
	stage_free(mapper->stage, processor, file->control_area);
}

static void area_use(struct mapper *mapper, unsigned processor, uint32_t number)
{
	if (!retention_resident(&mapper->areas, number))
		area_make(mapper, processor, number);
	retention_reference(&mapper->areas, number);
}

/* The segment dereference thread: takes the oldest unused ones. */
static void areas_trim(struct mapper *mapper, unsigned processor)
{
	const uint32_t limit = mapper->options->cached;

	if (mapper->areas.listed <= limit)
		return;
	while (mapper->areas.listed > limit - limit / TRIM_PARTS)
		area_destroy(mapper, processor, mapper->areas.oldest);
}

static uint32_t pick_file(struct mapper *mapper)
{
	return random_skewed(&mapper->random, mapper->options->files);
}

static struct view view_of_file(struct mapper *mapper, unsigned processor)
{
	struct view view = { .file = pick_file(mapper) };

	area_use(mapper, processor, view.file);
	view.section = object_alloc(mapper, processor, OBJECT_SECTION);
	view.vad = object_alloc(mapper, processor, OBJECT_VAD);
	return view;
}

/* Shared memory between programs: all of it is new, and goes when it is unmapped. */
static struct view view_of_memory(struct mapper *mapper, unsigned processor)
{
	struct view view = { .file = RETENTION_NONE };
	const uint32_t bytes = kernel_control_area_bytes(OBJECT_SUBSECTION, 1, mapper->version);

	view.control_area = stage_alloc(mapper->stage, processor, OBJECT_CONTROL_AREA, bytes,
					bytes);
	view.segment = object_alloc(mapper, processor, OBJECT_SEGMENT);
	view.ptes = ptes_alloc(mapper, processor,
			       random_octaves(&mapper->random, 1, PRIVATE_PAGES_MAX));
	view.section = object_alloc(mapper, processor, OBJECT_SECTION);
	view.vad = object_alloc(mapper, processor, OBJECT_SHORT_VAD);
	return view;
}

static void view_close(struct mapper *mapper, unsigned processor)
{
	struct desk *desk = &mapper->desks[processor];
	const struct view view = desk->views[desk->head];

	desk->head = (desk->head + 1) % VIEWS;
	desk->count--;
	stage_free(mapper->stage, processor, view.vad);
	stage_free(mapper->stage, processor, view.section);
	if (view.file != RETENTION_NONE) {
		retention_release(&mapper->areas, view.file);
		return;
	}
	stage_free(mapper->stage, processor, view.ptes);
	stage_free(mapper->stage, processor, view.segment);
	stage_free(mapper->stage, processor, view.control_area);
}

/* A program maps some sections at once, as a loader does; who holds too many lets the oldest go. */
static void burst_map(struct mapper *mapper, unsigned processor)
{
	struct desk *desk = &mapper->desks[processor];
	const uint32_t count = random_between(&mapper->random, 1, 6);

	for (uint32_t i = 0; i < count; i++) {
		struct view *view;

		if (desk->count == VIEWS)
			view_close(mapper, processor);
		view = &desk->views[(desk->head + desk->count) % VIEWS];
		*view = share_next(&mapper->private, &mapper->random)
				? view_of_memory(mapper, processor)
				: view_of_file(mapper, processor);
		desk->count++;
	}
	/* Programs end too: at times all views of one go together. */
	if (random_below(&mapper->random, 8) == 0)
		while (desk->count > VIEWS / 2)
			view_close(mapper, processor);
}

/* A file is opened, read through the cache, and closed; its control area stays. */
static void burst_read(struct mapper *mapper, unsigned processor)
{
	const uint32_t file = pick_file(mapper);
	uint32_t file_object, shared, private;

	file_object = object_alloc(mapper, processor, OBJECT_FILE);
	shared = object_alloc(mapper, processor, OBJECT_SHARED_CACHE_MAP);
	area_use(mapper, processor, file);
	private = object_alloc(mapper, processor, OBJECT_PRIVATE_CACHE_MAP);
	stage_free(mapper->stage, processor, private);
	stage_free(mapper->stage, processor, shared);
	retention_release(&mapper->areas, file);
	stage_free(mapper->stage, processor, file_object);
}

static void mapper_step(void *state, unsigned processor)
{
	struct mapper *mapper = state;

	if (share_next(&mapper->desks[processor].reads, &mapper->random))
		burst_read(mapper, processor);
	else
		burst_map(mapper, processor);
	areas_trim(mapper, processor);
}

static void close_all(struct mapper *mapper)
{
	for (unsigned p = 0; p < mapper->stage->processors; p++)
		while (mapper->desks[p].count > 0)
			view_close(mapper, p);
}

/* The cache warms up by use, until the list stands half way between trimmed and full. */
static void mapper_populate(void *state)
{
	struct mapper *mapper = state;
	const unsigned processors = mapper->stage->processors;
	const uint32_t limit = mapper->options->cached;
	uint64_t steps = 0;

	while (mapper->areas.listed < limit - limit / TRIM_PARTS / 2 &&
	       steps < 4ull * mapper->options->files)
		mapper_step(mapper, (unsigned)(steps++ % processors));
	close_all(mapper);
	areas_trim(mapper, 0);
	retention_remember(&mapper->areas);
}

/* A control area is three blocks, an open view two, or five where the paging file is behind it. */
static uint64_t mapper_debt(const void *state)
{
	const struct mapper *mapper = state;
	uint64_t debt = 3ull * mapper->areas.changed;

	for (unsigned p = 0; p < mapper->stage->processors; p++)
		debt += 3ull * mapper->desks[p].count;
	return debt;
}

static void mapper_settle(void *state)
{
	struct mapper *mapper = state;
	const unsigned processors = mapper->stage->processors;

	close_all(mapper);
	for (uint32_t i = 0; i < mapper->options->files; i++) {
		const struct retained *area = &mapper->areas.objects[i];

		if (area->resident && !area->was_resident)
			area_destroy(mapper, i % processors, i);
	}
	for (uint32_t i = 0; i < mapper->options->files; i++) {
		const struct retained *area = &mapper->areas.objects[i];

		if (!area->resident && area->was_resident)
			area_make(mapper, i % processors, i);
	}
}

static void mapper_destroy(void *state)
{
	struct mapper *mapper = state;

	if (!mapper)
		return;
	retention_fini(&mapper->areas);
	free(mapper->files);
	free(mapper->desks);
	free(mapper);
}

static int mapper_create(struct stage *stage, const void *values, uint64_t seed, void **state)
{
	struct mapper *mapper = calloc(1, sizeof(*mapper));
	int rc;

	if (!mapper)
		return -ENOMEM;
	mapper->stage = stage;
	mapper->options = values;
	mapper->version = (enum windows_version)mapper->options->version;
	mapper->traits = trait_of(seed, 1);
	mapper->image_ppm = parts_per_million(mapper->options->images);
	random_seed(&mapper->random, seed);
	share_init(&mapper->private, parts_per_million(mapper->options->private));
	rc = retention_init(&mapper->areas, mapper->options->files);
	mapper->files = calloc(mapper->options->files, sizeof(*mapper->files));
	mapper->desks = calloc(stage->processors, sizeof(*mapper->desks));
	if (rc || !mapper->files || !mapper->desks) {
		mapper_destroy(mapper);
		return -ENOMEM;
	}
	for (unsigned p = 0; p < stage->processors; p++)
		share_init(&mapper->desks[p].reads, parts_per_million(mapper->options->reads));
	*state = mapper;
	return 0;
}

const struct activity_kind section_mapping_activity = {
	.create = mapper_create,
	.destroy = mapper_destroy,
	.populate = mapper_populate,
	.step = mapper_step,
	.debt = mapper_debt,
	.settle = mapper_settle,
};

static int section_mapping_generate(const struct workload_config *config,
				    struct trace_builder *builder)
{
	return activity_generate(config, builder, &section_mapping_activity);
}

const struct workload section_mapping = {
	.name = "section-mapping",
	.summary = "files mapped and cached: control areas, segments, prototype PTEs from bytes to "
		   "megabytes",
	.options = section_mapping_table,
	.options_bytes = sizeof(struct section_mapping_options),
	.generate = section_mapping_generate,
};
