/*
 * Stress: any backend, held to every promise of the contract.
 *
 * A round is a trace (random by seed, a workload's, or a file) replayed on a fresh pool over fresh page
 * sources, in a process of its own. It goes by stages: the prologue, laps of the body, the epilogue. Each stage
 * has new threads, and stands them for other processors than the stage before: threads come and go, and
 * blocks are freed where they were not allocated even where the trace does not say so. Between stages all is
 * quiet, and what can only be asked then is asked: check, walk, growth.
 *
 * Everything about a round follows from its seed and scenario, so that one number repeats it.
 *
 * Every block is followed from alloc to free: where it lies, what it says of itself, that nothing live shares a
 * byte with it (stress_shadow.h), and every byte of its contents, which are a function of its address, size and
 * serial number.
 */
#ifndef POOLBENCH_STRESS_H
#define POOLBENCH_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/registry.h"
#include "bench/finding.h"
#include "bench/stress_shadow.h"
#include "bench/verifier.h"
#include "workloads/trace.h"

enum stress_scenario {
	STRESS_MIX, /* random operations of one thread: what it finds repeats exactly */
	STRESS_THREADS, /* random operations of many threads, blocks freed anywhere */
	STRESS_WORKLOADS, /* a workload at small scale, many threads */
	STRESS_SHORTAGE, /* more is wanted than the limit allows, again and again */
	STRESS_FAILURES, /* commits fail at random */
	STRESS_IRQL, /* paged pool taken away at DISPATCH_LEVEL */
	STRESS_SCENARIOS
};
extern const char
	*const stress_scenario_names[STRESS_SCENARIOS + 1]; /* "mix" ..., NULL-terminated */

/* What shapes a round. Words are borrowed. */
struct stress_round {
	const struct backend *backend;
	enum stress_scenario scenario;
	uint64_t seed;
	unsigned processors;
	size_t page_size;
	unsigned laps;
	size_t room_bytes; /* a source's limit over what create took; 0: none */
	struct page_faults faults;
	uint32_t fault_types; /* bit a pool type: whose commits fail */
	bool one_failure; /* as in systematic failure: one commit fails, those of create counted too */
	uint32_t verify; /* enum verifier_part */
	struct verifier_low low;
	const char *workload; /* a spec; NULL: random operations */
	uint64_t events; /* of a body; 0: some thousands */
	bool events_small; /* a body just long enough to pass every kind of event: systematic failure */
};

/* One block as its slot knows it. Written by who fills the slot, read by who empties it. */
struct stress_block {
	char *at; /* NULL: none */
	size_t block_bytes;
	uint32_t bytes, tag;
	uint64_t serial;
	enum pool_type type;
	/* Where it was born: the stage, the event of which stream, on which processor. */
	uint16_t stream, processor;
	uint32_t event;
	const char *stage;
};

enum { SLOT_EMPTY, SLOT_FULL, SLOT_REFUSED };

struct stress_slot {
	atomic_uint
		state; /* acquire and release on it are all the order there is between threads */
	struct stress_block block;
};

#define STRESS_LAP_NAME 12u
#define STRESS_SHARED   0xFFFFu /* in `owners`: filled by one processor and emptied by another */

/* A round under way, in its process. Counts are written by the threads. */
struct stress_run {
	const struct stress_round *round;
	const struct trace *trace;
	const struct pool_backend *ops;
	struct pool *pool;
	struct page_source *pages[POOL_TYPES];
	size_t base_bytes[POOL_TYPES]; /* committed right after create */
	struct stress_slot *slots;
	uint16_t *owners; /* [slots]: who alone fills and empties it, or STRESS_SHARED */
	struct shadow *shadow;
	struct finding *finding;
	uint64_t failed_before; /* refused commits of both sources before the stage */
	bool one_failure; /* systematic: what was refused once must be met when asked again */
	bool recovering; /* the shortage is over: NULL has no excuse */
	atomic_ullong met_bytes; /* that allocations asked for and got in this stage */
	struct verifier *verifier; /* NULL: ops and pool are the backend's */
	char (*lap_names)[STRESS_LAP_NAME]; /* [laps + 1]: blocks keep them */
};

/* ---- stress_block.c: one block's life ---- */

/* All rules that hold for a block that alloc returned; fills it. */
void stress_block_born(struct stress_run *run, struct stress_block *block);
/* Its contents, still there and its own; then other contents of a new serial number. */
void stress_block_touch(struct stress_run *run, struct stress_block *block, uint64_t serial);
/* What must still hold at its free; takes it out of the shadow. free is to be called next. */
void stress_block_dies(struct stress_run *run, const struct stress_block *block);
/* Asks the kernel whether a nonpaged block is in memory. Before its first touch. */
void stress_block_resident(struct stress_run *run, const struct stress_block *block);

/* A live block other than `except` with a byte in [address, address + bytes), or NULL. Looks through all slots. */
const struct stress_block *stress_live_block(const struct stress_run *run, const void *address,
					     size_t bytes, const struct stress_block *except);

/* Whether the verifier keeps the block itself: the backend knows nothing of it. */
static inline bool stress_is_special(const struct stress_run *run, const void *block)
{
	return run->verifier && verifier_is_special(run->verifier, block);
}

static inline bool stress_has(const struct stress_run *run, uint32_t caps)
{
	return (run->ops->caps & caps) == caps;
}

/* ---- stress_worker.c: the threads ---- */

/* One stage: a phase of the trace by a new thread a stream, each entered as (stream + turn) mod processors. */
void stress_stage(struct stress_run *run, enum trace_phase phase, unsigned turn, const char *name);

/* Commits refused so far by both sources. */
uint64_t stress_refused_commits(const struct stress_run *run);

/* ---- stress_quiet.c: between stages ---- */

void stress_check(struct stress_run *run);
/* That walk's ranges tile what is committed, and that the used ones are the live blocks. */
void stress_walk(struct stress_run *run);
size_t stress_committed(const struct stress_run *run);
/* After everything was freed: impossible requests, trim, residue. */
void stress_drained(struct stress_run *run);

/* ---- stress_run.c: what a round stands on ---- */

/* With slots, their owners and the shadow, without a pool yet. */
void stress_run_init(struct stress_run *run, const struct stress_round *round,
		     const struct trace *trace, struct finding *finding);
void stress_run_fini(struct stress_run *run);
void stress_open_sources(struct stress_run *run);
/* 0 or create's error and `why`. */
int stress_open_pool(struct stress_run *run, char *why, size_t why_bytes);
/* Nothing may be left of a pool that is gone, or that could not be made. */
void stress_close_sources(struct stress_run *run);

/* ---- stress_failures.c: commits that fail one by one ---- */

/* Create with its first commit refused, its second, ... until it has none left to refuse. */
void stress_probe_creates(struct stress_run *run);
/* A whole run in which commit `nth` of one source fails; false when there was none such. */
bool stress_play_failure(struct stress_run *run, enum pool_type type, uint64_t nth);

/*
 * Systematic failure: the trace once for every k, the k-th commit of one source failing, until a run had none
 * left to fail. In a process of its own.
 */
void stress_systematic_play(const struct stress_round *round, const struct trace *trace,
			    struct finding *finding);

/* ---- stress_round.c: the round ---- */

/* Plays a round to its end or a finding. In a process of its own. */
void stress_round_play(const struct stress_round *round, const struct trace *trace,
		       struct finding *finding);

/* ---- stress_child.c ---- */

typedef void stress_play(const struct stress_round *round, const struct trace *trace,
			 struct finding *finding);

/*
 * Plays a round in a child and waits for it. A child that makes no progress for `timeout_seconds` is asked where
 * it is, then killed: a finding, like its crash. 0, with `finding` empty where all was sound; -errno: no child.
 */
int stress_child(stress_play *play, const struct stress_round *round, const struct trace *trace,
		 unsigned timeout_seconds, struct finding *finding);

/* ---- stress_mix.c ---- */

/* The trace of a round of random operations, or of its workload. 0 and *out, or -errno and `why`. */
int stress_trace(const struct stress_round *round, struct trace **out, char *why, size_t why_bytes);

/* ---- stress_plan.c ---- */

/* What the command line fixes for every round; 0 and NULL leave it to the seed. */
struct stress_plan {
	unsigned threads;
	const char *workload;
	uint64_t events;
	uint32_t verify;
	struct page_faults faults;
	bool faults_given, systematic;
	struct verifier_low low;
	uint32_t scenarios; /* bit a scenario */
};

/* The scenarios of `plan` that this backend can be put through. */
uint32_t stress_scenarios(const struct stress_plan *plan, const struct backend *backend);

/* The round of this scenario and seed. Pure. */
void stress_round_of(const struct stress_plan *plan, const struct backend *backend,
		     enum stress_scenario scenario, uint64_t seed, struct stress_round *out);

/* The specification of workload number `index` of the registry at small scale; NULL behind the last. */
const char *stress_workload(unsigned index);

/*
 * stress_origin.c: a round as a trace's origin, and back. format: bytes needed without the NUL. parse: 0, -EINVAL, or
 * -ENOENT where stress did not write it, and `why`.
 */
size_t stress_origin_format(const struct stress_round *round, const char *rule, char *text,
			    size_t text_bytes);
/* `spec` receives the backend's specification, if there is one. */
int stress_origin_parse(const char *text, struct stress_round *round, char *rule, size_t rule_bytes,
			char *spec, size_t spec_bytes, char *why, size_t why_bytes);

/* "nth=3,probability=0.1,tag=Irp": 0 or -EINVAL and `why`. "systematic" as well. */
int stress_faults_parse(const char *text, struct stress_plan *plan, char *why, size_t why_bytes);

/* ---- stress_shrink.c ---- */

/*
 * The trace with fewer slots, about `events` events: whole slots are left out, evenly, so that a body that ends as
 * it began still does. 0 and *out, a trace of its own, or -errno.
 */
int stress_thin(const struct trace *trace, uint64_t events, struct trace **out);

/*
 * A shorter trace that breaks the same rule in the same round, by delta debugging over objects (Zeller and
 * Hildebrandt, 2002, ddmin): parts of the trace are left out while what is left still fails. Many-threaded
 * traces are first folded onto one processor; where that does not fail, they are kept as they are.
 * `round` is changed to what the new trace needs. 0 and *out, a trace of its own; -ENOENT: the finding did
 * not come again. Uses at most `seconds`.
 */
int stress_shrink(struct stress_round *round, const struct trace *trace, const char *rule,
		  unsigned timeout_seconds, double seconds, struct trace **out);

/* ---- stress_session.c ---- */

struct stress_session {
	struct stress_plan plan;
	const char *const *specs; /* backends, NULL-terminated */
	double seconds; /* a backend */
	uint64_t seed;
	unsigned rounds; /* a backend; 0: as many as the time allows */
	unsigned timeout_seconds; /* without progress */
	const char *out; /* directory of reproducing traces */
	bool shrink, json;
};

/* Runs it, prints to stdout (or one JSON document), talks on stderr. An exit code. */
int stress_session_run(const struct stress_session *session);

/* stress_replay.c: plays a saved trace; the first of `specs`, where there is one, instead of the backend that the file names. */
int stress_session_replay(const struct stress_session *session, const char *path);

#endif
