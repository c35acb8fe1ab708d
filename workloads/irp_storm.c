/*
 * irp-storm: I/O requests against a device that answers fast. Each processor keeps a queue of outstanding
 * requests that is ramped up to its depth, held there while requests complete and new ones are sent, and
 * drained; then the next storm begins.
 *
 * A request is an IRP, with what its transfer needs: a system buffer (buffered I/O), a memory descriptor
 * list (direct I/O), or nothing. Requests complete in DPCs: batches at DISPATCH_LEVEL, some of them on a
 * processor that did not send the requests. A DPC queues a completion packet for some of its requests and a
 * work item for a few; the sending processor frees these later at PASSIVE_LEVEL.
 *
 * docs/irp-storm.md says where the numbers come from.
 */
#include "activity.h"

#include <errno.h>
#include <stdlib.h>

#define REORDER          32u /* a device completes one of its oldest so many requests */
#define REOPEN_STEPS     16u /* a file is closed and another opened once in so many steps */
#define EXTENSION_ONE_IN 10u /* requests that carry an IRP extension */
#define BUFFER_LOW       16u /* system buffers: each octave from here to the largest is as frequent */

struct irp_storm_options {
	unsigned depth, burst, dpc, hold, files;
	int stack;
	size_t transfer, buffer;
	double buffered, direct, remote, dispatch, packets, workers;
	int version;
};

enum stack_mix { STACK_SHORT, STACK_MIXED, STACK_DEEP };

static const char *const stack_names[] = { "short", "mixed", "deep", NULL };

/* clang-format off */
static const struct option_def irp_storm_table[] = {
	OPTION_UINT(struct irp_storm_options, depth, "256", 1, 65536, "requests",
		    "outstanding requests a processor holds at the height of a storm"),
	OPTION_UINT(struct irp_storm_options, burst, "16", 1, 1024, "requests", "requests sent in a row"),
	OPTION_UINT(struct irp_storm_options, dpc, "8", 1, 1024, "requests", "requests one DPC completes"),
	OPTION_UINT(struct irp_storm_options, hold, "4", 0, 1000, "1",
		    "requests completed at full depth before the drain, in depths"),
	OPTION_UINT(struct irp_storm_options, files, "4096", 0, 1 << 20, "files",
		    "file objects that stay open, a processor"),
	OPTION_ENUM(struct irp_storm_options, stack, "mixed", stack_names,
		    "stack locations: short (1 to 4), mixed, deep (5 to 20)"),
	OPTION_SIZE(struct irp_storm_options, transfer, "1M", 512, 64 << 20, "largest direct transfer"),
	OPTION_SIZE(struct irp_storm_options, buffer, "4K", 32, 1 << 20, "largest system buffer"),
	OPTION_REAL(struct irp_storm_options, buffered, "0.4", 0, 1, "1", "share of requests with a system buffer"),
	OPTION_REAL(struct irp_storm_options, direct, "0.5", 0, 1, "1",
		    "share with an MDL; with buffered at most 1, the rest has neither"),
	OPTION_REAL(struct irp_storm_options, remote, "0.25", 0, 1, "1",
		    "share of requests completed by another processor than sent them"),
	OPTION_REAL(struct irp_storm_options, dispatch, "1", 0, 1, "1",
		    "share of completions in a DPC at DISPATCH_LEVEL, the rest at PASSIVE_LEVEL"),
	OPTION_REAL(struct irp_storm_options, packets, "0.25", 0, 1, "1",
		    "share of requests that end with a completion packet"),
	OPTION_REAL(struct irp_storm_options, workers, "0.05", 0, 1, "1",
		    "share of requests that queue a work item on completion"),
	OPTION_ENUM(struct irp_storm_options, version, "22631", windows_version_names, "Windows version of the sizes"),
	OPTION_END
};
/* clang-format on */

#define NO_SLOT UINT32_MAX

struct request {
	uint32_t irp, extension, transfer; /* slots; NO_SLOT where there is none */
};

enum storm_stage { STORM_RAMP, STORM_HOLD, STORM_DRAIN };

/* One processor's queue to the device. */
struct queue {
	struct share remote; /* by queue, so that processors interrupt each other equally often */
	struct request *requests; /* ring of depth + burst */
	unsigned head, count;
	enum storm_stage stage;
	uint64_t left; /* STORM_HOLD: completions before the drain */
	uint32_t *files;
	unsigned next_file, steps;
	uint32_t *posted; /* packets and work items that wait for PASSIVE_LEVEL; 2 a completion */
	unsigned posted_count;
};

struct storm {
	struct stage *stage;
	const struct irp_storm_options *options;
	enum windows_version version;
	struct random random;
	struct share buffered, direct, dispatch, packets, workers;
	unsigned ring, posted_max;
	struct queue *queues; /* [processors] */
};

static unsigned stack_locations(struct storm *storm)
{
	/* Cumulative percentages of 1, 2..4, 5..10, 11..20 locations. */
	static const uint8_t mixes[][4] = {
		[STACK_SHORT] = { 40, 100, 100, 100 },
		[STACK_MIXED] = { 20, 65, 95, 100 },
		[STACK_DEEP] = { 0, 0, 50, 100 },
	};
	const uint8_t *mix = mixes[storm->options->stack];
	const uint32_t draw = random_below(&storm->random, 100);

	if (draw < mix[0])
		return 1;
	if (draw < mix[1])
		return random_between(&storm->random, 2, 4);
	if (draw < mix[2])
		return random_between(&storm->random, 5, 10);
	return random_between(&storm->random, 11, 20);
}

/* Bytes of a direct transfer: mostly a page or a cluster, at times the large requests of a copy. */
static uint32_t transfer_bytes(struct storm *storm)
{
	static const struct {
		uint8_t percent; /* cumulative */
		uint32_t bytes;
	} sizes[] = { { 5, 512 },        { 55, 4096 },       { 65, 8192 },        { 75, 16384 },
		      { 95, 64 * 1024 }, { 98, 256 * 1024 }, { 100, 1024 * 1024 } };
	const uint32_t draw = random_below(&storm->random, 100);
	const uint32_t limit = (uint32_t)storm->options->transfer;
	unsigned i = 0;

	while (draw >= sizes[i].percent)
		i++;
	/* The largest class stands for whatever the device takes at once. */
	if (sizes[i].percent == 100 || sizes[i].bytes > limit)
		return limit;
	return sizes[i].bytes;
}

static uint32_t send_mdl(struct storm *storm, unsigned processor)
{
	const uint32_t bytes = transfer_bytes(storm);
	/* Half of the callers' buffers begin somewhere inside a page: one page more. */
	const uint32_t offset = random_below(&storm->random, 2) ? 16 : 0;
	const uint32_t pages = (offset + bytes + POOL_OS_PAGE - 1) / POOL_OS_PAGE;
	const uint32_t head = kernel_object_bytes(OBJECT_MDL, storm->version);

	return stage_alloc(storm->stage, processor, OBJECT_MDL, kernel_mdl_bytes(pages),
			   head + pages * PFN_BYTES);
}

static uint32_t send_buffer(struct storm *storm, unsigned processor)
{
	const uint32_t bytes = random_octaves(&storm->random, BUFFER_LOW,
					      (uint32_t)storm->options->buffer);
	/* A write brings its data along; a read's buffer is filled by the device, later and by DMA. */
	const uint32_t touch = random_below(&storm->random, 2) ? bytes : 0;

	return stage_alloc(storm->stage, processor, OBJECT_SYSTEM_BUFFER, bytes, touch);
}

static void send_request(struct storm *storm, unsigned processor)
{
	struct queue *queue = &storm->queues[processor];
	struct request *request = &queue->requests[(queue->head + queue->count) % storm->ring];
	const uint32_t bytes = kernel_irp_bytes(stack_locations(storm), storm->version);
	const uint32_t extension = kernel_object_bytes(OBJECT_IRP_EXTENSION, storm->version);

	/* The I/O manager zeroes the whole packet. */
	request->irp = stage_alloc(storm->stage, processor, OBJECT_IRP, bytes, bytes);
	request->extension = NO_SLOT;
	request->transfer = NO_SLOT;
	/* Only requests that somebody traces or prioritises get an extension. */
	if (extension && random_below(&storm->random, EXTENSION_ONE_IN) == 0)
		request->extension = stage_alloc(storm->stage, processor, OBJECT_IRP_EXTENSION,
						 extension, extension);
	if (share_next(&storm->buffered, &storm->random))
		request->transfer = send_buffer(storm, processor);
	else if (share_next(&storm->direct, &storm->random))
		request->transfer = send_mdl(storm, processor);
	queue->count++;
}

/* The device is done with one of the oldest requests: it is moved to the head and taken off. */
static struct request take_request(struct storm *storm, struct queue *queue)
{
	const unsigned window = queue->count < REORDER ? queue->count : REORDER;
	const unsigned other = (queue->head + random_below(&storm->random, window)) % storm->ring;
	const struct request done = queue->requests[other];

	queue->requests[other] = queue->requests[queue->head];
	queue->head = (queue->head + 1) % storm->ring;
	queue->count--;
	return done;
}

static void complete_request(struct storm *storm, struct queue *queue, unsigned processor)
{
	const struct request request = take_request(storm, queue);
	struct stage *stage = storm->stage;

	if (share_next(&storm->packets, &storm->random)) {
		const uint32_t bytes = kernel_object_bytes(OBJECT_COMPLETION_PACKET,
							   storm->version);

		queue->posted[queue->posted_count++] = stage_alloc(
			stage, processor, OBJECT_COMPLETION_PACKET, bytes, bytes);
	}
	if (share_next(&storm->workers, &storm->random)) {
		const uint32_t bytes = kernel_object_bytes(OBJECT_WORK_ITEM, storm->version);

		queue->posted[queue->posted_count++] = stage_alloc(stage, processor,
								   OBJECT_WORK_ITEM, bytes, bytes);
	}
	if (request.transfer != NO_SLOT)
		stage_free(stage, processor, request.transfer);
	if (request.extension != NO_SLOT)
		stage_free(stage, processor, request.extension);
	stage_free(stage, processor, request.irp);
}

/* Completes up to `count` of a queue's requests in DPCs, each on the sender's processor or on another. */
static void complete_requests(struct storm *storm, unsigned sender, unsigned count)
{
	struct queue *queue = &storm->queues[sender];
	const unsigned processors = storm->stage->processors;

	if (count > queue->count)
		count = queue->count;
	while (count > 0) {
		const unsigned batch = count < storm->options->dpc ? count : storm->options->dpc;
		const bool dispatch = share_next(&storm->dispatch, &storm->random);
		unsigned processor = sender;

		if (share_next(&queue->remote, &storm->random) && processors > 1)
			processor = (sender + 1 + random_below(&storm->random, processors - 1)) %
				    processors;
		if (dispatch)
			stage_raise(storm->stage, processor, DISPATCH_LEVEL);
		for (unsigned i = 0; i < batch; i++)
			complete_request(storm, queue, processor);
		if (dispatch)
			stage_lower(storm->stage, processor, PASSIVE_LEVEL);
		count -= batch;
	}
}

/* Threads take the packets off the completion port, workers run: at PASSIVE_LEVEL, where the requests began. */
static void take_posted(struct storm *storm, unsigned processor)
{
	struct queue *queue = &storm->queues[processor];

	for (unsigned i = 0; i < queue->posted_count; i++)
		stage_free(storm->stage, processor, queue->posted[i]);
	queue->posted_count = 0;
}

static uint32_t open_file(struct storm *storm, unsigned processor)
{
	const uint32_t bytes = kernel_object_bytes(OBJECT_FILE, storm->version);

	return stage_alloc(storm->stage, processor, OBJECT_FILE, bytes, bytes);
}

static void reopen_file(struct storm *storm, unsigned processor)
{
	struct queue *queue = &storm->queues[processor];
	uint32_t *file;

	if (storm->options->files == 0)
		return;
	file = &queue->files[queue->next_file];
	stage_free(storm->stage, processor, *file);
	*file = open_file(storm, processor);
	queue->next_file = (queue->next_file + 1) % storm->options->files;
}

static void send_requests(struct storm *storm, unsigned processor)
{
	for (unsigned i = 0; i < storm->options->burst; i++)
		send_request(storm, processor);
}

static void storm_step(void *state, unsigned processor)
{
	struct storm *storm = state;
	const struct irp_storm_options *options = storm->options;
	struct queue *queue = &storm->queues[processor];

	take_posted(storm, processor);
	if (++queue->steps % REOPEN_STEPS == 0)
		reopen_file(storm, processor);
	switch (queue->stage) {
	case STORM_RAMP:
		send_requests(storm, processor);
		if (queue->count >= options->depth) {
			complete_requests(storm, processor, queue->count - options->depth);
			queue->left = (uint64_t)options->hold * options->depth;
			queue->stage = queue->left ? STORM_HOLD : STORM_DRAIN;
		}
		break;
	case STORM_HOLD:
		complete_requests(storm, processor, options->burst);
		send_requests(storm, processor);
		complete_requests(storm, processor,
				  queue->count > options->depth ? queue->count - options->depth
								: 0);
		queue->left -= queue->left < options->burst ? queue->left : options->burst;
		if (queue->left == 0)
			queue->stage = STORM_DRAIN;
		break;
	case STORM_DRAIN:
		complete_requests(storm, processor, options->burst);
		if (queue->count == 0)
			queue->stage = STORM_RAMP;
		break;
	}
}

/* A request's frees, what it posts and that is freed again, and its part of the IRQL changes. */
static uint64_t storm_debt(const void *state)
{
	const struct storm *storm = state;
	const uint32_t buffered = (uint32_t)storm->buffered.ppm,
		       direct = (uint32_t)storm->direct.ppm;
	const uint64_t neither = (uint64_t)(MILLION - buffered) * (MILLION - direct) / MILLION;
	const uint64_t per_request = 2ull * MILLION - neither + MILLION / EXTENSION_ONE_IN +
				     2ull * (uint32_t)(storm->packets.ppm + storm->workers.ppm);
	uint64_t debt = 0;

	for (unsigned p = 0; p < storm->stage->processors; p++) {
		const struct queue *queue = &storm->queues[p];

		debt += queue->posted_count + queue->count * per_request / MILLION +
			2ull * (queue->count / storm->options->dpc + 1);
	}
	return debt;
}

/* A turn for each processor, over and over, so that the last storms drain side by side. */
static void storm_settle(void *state)
{
	struct storm *storm = state;
	bool busy;

	do {
		busy = false;
		for (unsigned p = 0; p < storm->stage->processors; p++) {
			take_posted(storm, p);
			complete_requests(storm, p, storm->options->burst);
			busy |= storm->queues[p].count > 0 || storm->queues[p].posted_count > 0;
		}
	} while (busy);
}

static void storm_populate(void *state)
{
	struct storm *storm = state;

	for (unsigned i = 0; i < storm->options->files; i++)
		for (unsigned p = 0; p < storm->stage->processors; p++)
			storm->queues[p].files[i] = open_file(storm, p);
}

static void storm_destroy(void *state)
{
	struct storm *storm = state;

	if (!storm)
		return;
	for (unsigned p = 0; storm->queues && p < storm->stage->processors; p++) {
		free(storm->queues[p].files);
		free(storm->queues[p].requests);
		free(storm->queues[p].posted);
	}
	free(storm->queues);
	free(storm);
}

static int storm_create_queues(struct storm *storm)
{
	storm->queues = calloc(storm->stage->processors, sizeof(*storm->queues));
	if (!storm->queues)
		return -ENOMEM;
	for (unsigned p = 0; p < storm->stage->processors; p++) {
		struct queue *queue = &storm->queues[p];

		share_init(&queue->remote, parts_per_million(storm->options->remote));
		queue->files = calloc(storm->options->files + 1ull, sizeof(*queue->files));
		queue->requests = calloc(storm->ring, sizeof(*queue->requests));
		queue->posted = calloc(storm->posted_max, sizeof(*queue->posted));
		if (!queue->files || !queue->requests || !queue->posted)
			return -ENOMEM;
	}
	return 0;
}

static int storm_create(struct stage *stage, const void *values, uint64_t seed, void **state)
{
	const struct irp_storm_options *options = values;
	struct storm *storm = calloc(1, sizeof(*storm));
	const uint32_t direct = parts_per_million(options->direct);
	const uint32_t rest = MILLION - parts_per_million(options->buffered);
	int rc;

	if (!storm)
		return -ENOMEM;
	storm->stage = stage;
	storm->options = options;
	storm->version = (enum windows_version)options->version;
	random_seed(&storm->random, seed);
	share_init(&storm->buffered, parts_per_million(options->buffered));
	/* Of those that are not buffered. */
	share_init(&storm->direct,
		   direct < rest ? (uint32_t)((uint64_t)direct * MILLION / rest) : MILLION);
	share_init(&storm->dispatch, parts_per_million(options->dispatch));
	share_init(&storm->packets, parts_per_million(options->packets));
	share_init(&storm->workers, parts_per_million(options->workers));
	storm->ring = options->depth + options->burst;
	/* A step completes at most two bursts and posts at most twice for each. */
	storm->posted_max = 4 * options->burst;
	rc = storm_create_queues(storm);
	if (rc) {
		storm_destroy(storm);
		return rc;
	}
	*state = storm;
	return 0;
}

const struct activity_kind irp_storm_activity = {
	.create = storm_create,
	.destroy = storm_destroy,
	.populate = storm_populate,
	.step = storm_step,
	.debt = storm_debt,
	.settle = storm_settle,
};

static int irp_storm_generate(const struct workload_config *config, struct trace_builder *builder)
{
	return activity_generate(config, builder, &irp_storm_activity);
}

const struct workload irp_storm = {
	.name = "irp-storm",
	.summary = "I/O requests in storms: ramp, hold at queue depth, drain; completed at "
		   "DISPATCH_LEVEL",
	.options = irp_storm_table,
	.options_bytes = sizeof(struct irp_storm_options),
	.generate = irp_storm_generate,
};
