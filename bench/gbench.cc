/*
 * The C bindings of Google Benchmark: the only C++ in the tree. See gbench.h.
 *
 * Layout of this file: what differs between library versions; families; states; reporters; running.
 */
#include "gbench.h"

#include <benchmark/benchmark.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

#ifndef POOLBENCH_BENCHMARK_VERSION
#define POOLBENCH_BENCHMARK_VERSION "unknown"
#endif

/* ---- what differs between library versions ---- */

/* internal::Benchmark until 1.9.4, Benchmark after. */
using native_family = std::remove_pointer_t<decltype(benchmark::RegisterBenchmark(
	"", static_cast<void (*)(benchmark::State &)>(nullptr)))>;
using native_run = benchmark::BenchmarkReporter::Run;

/*
 * GetBenchmarkVersion came in 1.8.4; where it is, a plain function is preferred to this template.
 */
namespace version_fallback
{
template <class = void> std::string GetBenchmarkVersion()
{
	return POOLBENCH_BENCHMARK_VERSION;
}
} // namespace version_fallback

static std::string library_version()
{
	using namespace benchmark;
	using namespace version_fallback;
	return GetBenchmarkVersion();
}

/*
 * Wall and manual time of a run with threads: the mean of the threads before 1.9.0, their sum
 * since. Which one is known by the version at run time, not by the headers: the library may be
 * newer than those.
 */
static bool sums_time_of_threads()
{
	unsigned major = 0, minor = 0;
	std::string version = library_version();

	sscanf(version.c_str(), version[0] == 'v' ? "v%u.%u" : "%u.%u", &major, &minor);
	return major > 1 || (major == 1 && minor >= 9);
}

/* A failed run: error_occurred and error_message in 1.7, skipped and skip_message after. */
template <class Run> static auto run_failed(const Run &run, int) -> decltype(run.error_occurred)
{
	return run.error_occurred;
}

template <class Run> static auto run_failed(const Run &run, long) -> decltype(run.skipped, bool())
{
	return static_cast<int>(run.skipped) != 0;
}

template <class Run>
static auto run_error(const Run &run, int) -> decltype(run.error_message.c_str())
{
	return run.error_message.c_str();
}

template <class Run>
static auto run_error(const Run &run, long) -> decltype(run.skip_message.c_str())
{
	return run.skip_message.c_str();
}

/*
 * True when Setup takes something with a state of its own (1.9.2 on), not just a function's
 * address.
 */
template <class Family, class = void> struct takes_closures : std::false_type {
};
template <class Family>
struct takes_closures<Family,
		      std::void_t<decltype(std::declval<Family &>().Setup(
			      std::declval<std::function<void(const benchmark::State &)>>()))>>
    : std::true_type {
};

/* ---- families ---- */

struct gbench {
	native_family *native = nullptr;
	gbench_function run = nullptr;
	void *arg = nullptr;
	gbench_fixture setup = nullptr, teardown = nullptr;
	bool has_fixture = false;
	ssize_t args = -1; /* -1: no set of arguments yet */
	bool has_time = false, has_iterations = false, has_clock = false;
	bool has_names = false;
};

struct gbench_state {
	enum { READY, RUNNING, PAUSED, DONE } phase;
	bool failed;
	const benchmark::State *shown; /* what may be asked */
	benchmark::State *run; /* NULL in set-up and tear-down */
	const struct gbench *family;
};

static std::vector<std::unique_ptr<gbench>> &families()
{
	static std::vector<std::unique_ptr<gbench>> all;
	return all;
}

/* Every entry that can allocate goes through here: no exception reaches C. */
template <class Body> static int guarded(Body body) noexcept
{
	try {
		return body();
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	} catch (...) {
		return -EIO;
	}
}

static void call_fixture(const gbench *family, gbench_fixture fixture,
			 const benchmark::State &native)
{
	struct gbench_state state = { gbench_state::READY, false, &native, nullptr, family };

	if (fixture)
		fixture(&state, family->arg);
}

/*
 * Before 1.9.2 set-up is a bare function that is told nothing of the family it is called for. So
 * there is a bank of functions, each of which knows its number, and a table from numbers to
 * families.
 */
static const gbench *fixture_owner[GBENCH_FIXTURES];
static size_t fixture_owners;

template <size_t N> static void setup_trampoline(const benchmark::State &native)
{
	call_fixture(fixture_owner[N], fixture_owner[N]->setup, native);
}

template <size_t N> static void teardown_trampoline(const benchmark::State &native)
{
	call_fixture(fixture_owner[N], fixture_owner[N]->teardown, native);
}

struct trampolines {
	void (*setup)(const benchmark::State &);
	void (*teardown)(const benchmark::State &);
};

template <size_t... N> static const trampolines *trampoline_bank(std::index_sequence<N...>)
{
	static const trampolines bank[] = { { setup_trampoline<N>, teardown_trampoline<N> }... };
	return bank;
}

template <class Family> static int attach_fixture(Family *native, const gbench *family)
{
	if constexpr (takes_closures<Family>::value) {
		native->Setup([family](const benchmark::State &state) {
			call_fixture(family, family->setup, state);
		});
		native->Teardown([family](const benchmark::State &state) {
			call_fixture(family, family->teardown, state);
		});
	} else {
		if (fixture_owners == GBENCH_FIXTURES)
			return -ENOSPC;
		size_t slot = fixture_owners++;
		const trampolines &pair = trampoline_bank(
			std::make_index_sequence<GBENCH_FIXTURES>())[slot];
		fixture_owner[slot] = family;
		native->Setup(pair.setup);
		native->Teardown(pair.teardown);
	}
	return 0;
}

/* One thread of one run. */
static void run_family(const gbench *family, benchmark::State &native)
{
	struct gbench_state state = { gbench_state::READY, false, &native, &native, family };

	family->run(&state, family->arg);
	if (state.phase != gbench_state::DONE && !state.failed)
		gbench_skip_with_error(
			&state, "the benchmark's function returned before its loop had ended");
}

struct gbench *gbench_register(const char *name, gbench_function run, void *arg)
{
	gbench *family = nullptr;

	if (!name || !*name || !run) {
		errno = EINVAL;
		return nullptr;
	}
	int error = guarded([&] {
		families().push_back(std::make_unique<gbench>());
		family = families().back().get();
		family->run = run;
		family->arg = arg;
		family->native = benchmark::RegisterBenchmark(
			name, [family](benchmark::State &state) { run_family(family, state); });
		return 0;
	});
	if (!error)
		return family;
	if (family)
		families().pop_back();
	errno = -error;
	return nullptr;
}

int gbench_args(struct gbench *family, const int64_t *values, size_t count)
{
	if (!values || !count || (family->args >= 0 && static_cast<size_t>(family->args) != count))
		return -EINVAL;
	return guarded([&] {
		family->native->Args(std::vector<int64_t>(values, values + count));
		family->args = static_cast<ssize_t>(count);
		return 0;
	});
}

static bool takes_one_argument(const struct gbench *family)
{
	return family->args == -1 || family->args == 1;
}

int gbench_range(struct gbench *family, int64_t low, int64_t high, int multiplier)
{
	if (!takes_one_argument(family) || low < 0 || low > high || multiplier < 2)
		return -EINVAL;
	return guarded([&] {
		family->native->RangeMultiplier(multiplier)->Range(low, high);
		family->args = 1;
		return 0;
	});
}

int gbench_dense_range(struct gbench *family, int64_t low, int64_t high, int step)
{
	if (!takes_one_argument(family) || low < 0 || low > high || step < 1)
		return -EINVAL;
	return guarded([&] {
		family->native->DenseRange(low, high, step);
		family->args = 1;
		return 0;
	});
}

int gbench_arg_names(struct gbench *family, const char *const *names, size_t count)
{
	if (!names || family->args < 0 || static_cast<size_t>(family->args) != count)
		return -EINVAL;
	return guarded([&] {
		family->native->ArgNames(std::vector<std::string>(names, names + count));
		return 0;
	});
}

int gbench_threads(struct gbench *family, int threads)
{
	if (threads < 1)
		return -EINVAL;
	return guarded([&] {
		family->native->Threads(threads);
		return 0;
	});
}

int gbench_iterations(struct gbench *family, int64_t iterations)
{
	if (iterations < 1)
		return -EINVAL;
	if (family->has_time)
		return -EBUSY;
	family->native->Iterations(iterations);
	family->has_iterations = true;
	return 0;
}

int gbench_min_time(struct gbench *family, double seconds)
{
	if (!(seconds > 0) || !std::isfinite(seconds))
		return -EINVAL;
	if (family->has_iterations)
		return -EBUSY;
	family->native->MinTime(seconds);
	family->has_time = true;
	return 0;
}

int gbench_min_warmup_time(struct gbench *family, double seconds)
{
	if (!(seconds >= 0) || !std::isfinite(seconds) || !family->has_time)
		return -EINVAL;
	family->native->MinWarmUpTime(seconds);
	return 0;
}

int gbench_repetitions(struct gbench *family, int repetitions)
{
	if (repetitions < 1)
		return -EINVAL;
	family->native->Repetitions(repetitions);
	return 0;
}

int gbench_report_aggregates_only(struct gbench *family, bool only)
{
	family->native->ReportAggregatesOnly(only);
	return 0;
}

int gbench_unit(struct gbench *family, enum gbench_unit unit)
{
	static const benchmark::TimeUnit units[] = { benchmark::kNanosecond,
						     benchmark::kMicrosecond,
						     benchmark::kMillisecond, benchmark::kSecond };

	if (static_cast<unsigned>(unit) > GBENCH_SECOND)
		return -EINVAL;
	family->native->Unit(units[unit]);
	return 0;
}

int gbench_clock(struct gbench *family, enum gbench_clock clock)
{
	if (family->has_clock)
		return -EBUSY;
	switch (clock) {
	case GBENCH_CPU_TIME:
		break;
	case GBENCH_REAL_TIME:
		family->native->UseRealTime();
		break;
	case GBENCH_MANUAL_TIME:
		family->native->UseManualTime();
		break;
	case GBENCH_PROCESS_CPU_TIME:
		family->native->MeasureProcessCPUTime();
		break;
	case GBENCH_PROCESS_CPU_AND_REAL_TIME:
		family->native->MeasureProcessCPUTime()->UseRealTime();
		break;
	default:
		return -EINVAL;
	}
	family->has_clock = true;
	return 0;
}

int gbench_setup_teardown(struct gbench *family, gbench_fixture setup, gbench_fixture teardown)
{
	if (family->has_fixture)
		return -EBUSY;
	return guarded([&] {
		int error = attach_fixture(family->native, family);

		if (error)
			return error;
		family->setup = setup;
		family->teardown = teardown;
		family->has_fixture = true;
		return 0;
	});
}

void gbench_clear(void)
{
	benchmark::ClearRegisteredBenchmarks();
	families().clear();
	fixture_owners = 0;
}

/* ---- in a running benchmark ---- */

bool gbench_keep_running_batch(struct gbench_state *state, int64_t iterations)
{
	if (!state->run || state->phase == gbench_state::DONE)
		return false;
	if (state->phase == gbench_state::PAUSED && !state->failed)
		gbench_resume_timing(state);
	if (state->run->KeepRunningBatch(iterations > 0 ? iterations : 1)) {
		state->phase = gbench_state::RUNNING;
		return true;
	}
	state->phase = gbench_state::DONE;
	return false;
}

bool gbench_keep_running(struct gbench_state *state)
{
	if (__builtin_expect(state->phase == gbench_state::RUNNING, 1)) {
		if (__builtin_expect(state->run->KeepRunning(), 1))
			return true;
		state->phase = gbench_state::DONE;
		return false;
	}
	return gbench_keep_running_batch(state, 1);
}

int gbench_pause_timing(struct gbench_state *state)
{
	if (state->phase != gbench_state::RUNNING || state->failed)
		return -EINVAL;
	state->run->PauseTiming();
	state->phase = gbench_state::PAUSED;
	return 0;
}

int gbench_resume_timing(struct gbench_state *state)
{
	if (state->phase != gbench_state::PAUSED || state->failed)
		return -EINVAL;
	state->run->ResumeTiming();
	state->phase = gbench_state::RUNNING;
	return 0;
}

int gbench_set_iteration_time(struct gbench_state *state, double seconds)
{
	if (!state->run || !(seconds >= 0))
		return -EINVAL;
	state->run->SetIterationTime(seconds);
	return 0;
}

void gbench_skip_with_error(struct gbench_state *state, const char *message)
{
	/*
	 * After the loop the timer has stopped and the barrier is passed: the library allows it all
	 * the same.
	 */
	if (!state->run)
		return;
	guarded([&] {
		state->run->SkipWithError(message ? message : "no reason given");
		return 0;
	});
	state->failed = true;
}

int gbench_set_bytes_processed(struct gbench_state *state, int64_t bytes)
{
	if (!state->run)
		return -EINVAL;
	return guarded([&] {
		state->run->SetBytesProcessed(bytes);
		return 0;
	});
}

int gbench_set_items_processed(struct gbench_state *state, int64_t items)
{
	if (!state->run)
		return -EINVAL;
	return guarded([&] {
		state->run->SetItemsProcessed(items);
		return 0;
	});
}

int gbench_set_label(struct gbench_state *state, const char *label)
{
	if (!state->run || !label)
		return -EINVAL;
	return guarded([&] {
		state->run->SetLabel(std::string(label));
		return 0;
	});
}

static const struct {
	unsigned ours;
	benchmark::Counter::Flags native;
} counter_flags[] = {
	{ GBENCH_COUNTER_RATE, benchmark::Counter::kIsRate },
	{ GBENCH_COUNTER_AVG_THREADS, benchmark::Counter::kAvgThreads },
	{ GBENCH_COUNTER_ITERATION_INVARIANT, benchmark::Counter::kIsIterationInvariant },
	{ GBENCH_COUNTER_AVG_ITERATIONS, benchmark::Counter::kAvgIterations },
	{ GBENCH_COUNTER_INVERT, benchmark::Counter::kInvert },
};

int gbench_set_counter(struct gbench_state *state, const char *name, double value, unsigned flags)
{
	benchmark::Counter::Flags native = benchmark::Counter::kDefaults;

	if (!state->run || !name || flags >= GBENCH_COUNTER_1024 * 2)
		return -EINVAL;
	for (const auto &flag : counter_flags)
		if (flags & flag.ours)
			native = native | flag.native;
	return guarded([&] {
		state->run->counters[name] = benchmark::Counter(
			value, native,
			flags & GBENCH_COUNTER_1024 ? benchmark::Counter::kIs1024
						    : benchmark::Counter::kIs1000);
		return 0;
	});
}

int64_t gbench_arg(const struct gbench_state *state, size_t index)
{
	return index < gbench_arg_count(state) ? state->shown->range(index) : 0;
}

size_t gbench_arg_count(const struct gbench_state *state)
{
	return state->family->args > 0 ? static_cast<size_t>(state->family->args) : 0;
}

int gbench_thread_index(const struct gbench_state *state)
{
	return state->shown->thread_index();
}

int gbench_thread_count(const struct gbench_state *state)
{
	return state->shown->threads();
}

int64_t gbench_max_iterations(const struct gbench_state *state)
{
	return state->shown->max_iterations;
}

int64_t gbench_iterations_done(const struct gbench_state *state)
{
	return state->shown->iterations();
}

bool gbench_failed(const struct gbench_state *state)
{
	return state->failed;
}

/* ---- reporters ---- */

static enum gbench_unit unit_of(benchmark::TimeUnit unit)
{
	switch (unit) {
	case benchmark::kMicrosecond:
		return GBENCH_MICROSECOND;
	case benchmark::kMillisecond:
		return GBENCH_MILLISECOND;
	case benchmark::kSecond:
		return GBENCH_SECOND;
	case benchmark::kNanosecond:
		break;
	}
	return GBENCH_NANOSECOND;
}

static unsigned flags_of(const benchmark::Counter &counter)
{
	unsigned flags = counter.oneK == benchmark::Counter::kIs1024 ? GBENCH_COUNTER_1024 : 0;

	for (const auto &flag : counter_flags)
		if (static_cast<int>(counter.flags) & static_cast<int>(flag.native))
			flags |= flag.ours;
	return flags;
}

/* Hands what the library reports to any number of its own reporters and to one in C. */
class fan_out : public benchmark::BenchmarkReporter
{
      public:
	explicit fan_out(const struct gbench_reporter *reporter) : c(reporter)
	{
	}

	void add(benchmark::BenchmarkReporter *reporter)
	{
		natives.push_back(reporter);
	}

	bool ReportContext(const Context &context) override
	{
		bool go = true;

		for (auto *native : natives)
			go = native->ReportContext(context) && go;
		if (c && c->context)
			go = report_context_to_c(context) && go;
		return go;
	}

	void ReportRuns(const std::vector<Run> &runs) override
	{
		for (auto *native : natives)
			native->ReportRuns(runs);
		if (c && c->result)
			for (const Run &run : runs)
				report_run_to_c(run);
	}

	void Finalize() override
	{
		for (auto *native : natives)
			native->Finalize();
		if (c && c->finish)
			c->finish(c->arg);
	}

      private:
	bool report_context_to_c(const Context &context)
	{
		struct gbench_context out = {};
		std::string version = library_version();

		out.executable = context.executable_name ? context.executable_name : "";
		out.host_name = context.sys_info.name.c_str();
		out.library_version = version.c_str();
		out.library_debug = library_is_debug(context);
		out.processors = context.cpu_info.num_cpus;
		out.cycles_per_second = context.cpu_info.cycles_per_second;
		out.scaling = context.cpu_info.scaling == benchmark::CPUInfo::ENABLED    ? 1
			      : context.cpu_info.scaling == benchmark::CPUInfo::DISABLED ? 0
											 : -1;
		out.name_width = context.name_field_width;
		return c->context(c->arg, &out) == 0;
	}

	/*
	 * Only the library's JSON tells how it was built: let it write its context, and read that.
	 */
	static bool library_is_debug(const Context &context)
	{
		std::ostringstream text;
		benchmark::JSONReporter json;

		json.SetOutputStream(&text);
		json.ReportContext(context);
		return text.str().find("\"library_build_type\": \"debug\"") != std::string::npos;
	}

	void report_run_to_c(const Run &run)
	{
		std::vector<struct gbench_counter> counters;
		std::string name = run.benchmark_name();
		struct gbench_result out = {};
		double scale = benchmark::GetTimeUnitMultiplier(run.time_unit);

		for (const auto &counter : run.counters)
			counters.push_back({ counter.first.c_str(), counter.second.value,
					     flags_of(counter.second) });
		out.name = name.c_str();
		out.family = run.run_name.function_name.c_str();
		out.aggregate = run.run_type == Run::RT_Aggregate;
		out.percentage = out.aggregate && run.aggregate_unit == benchmark::kPercentage;
		out.aggregate_name = run.aggregate_name.c_str();
		out.label = run.report_label.c_str();
		out.failed = run_failed(run, 0);
		out.error = run_error(run, 0);
		out.iterations = run.iterations;
		out.real_time = run.GetAdjustedRealTime();
		out.cpu_time = run.GetAdjustedCPUTime();
		if (out.percentage) {
			/* A ratio has no unit: undo the library's scaling to the time unit. */
			out.real_time /= scale;
			out.cpu_time /= scale;
		}
		out.real_seconds = run.real_accumulated_time;
		if (sums_time_of_threads() && run.threads > 1)
			out.real_seconds /= static_cast<double>(run.threads);
		out.cpu_seconds = run.cpu_accumulated_time;
		out.unit = unit_of(run.time_unit);
		out.threads = run.threads;
		out.repetition = out.aggregate ? -1 : run.repetition_index;
		out.repetitions = run.repetitions;
		out.counters = counters.data();
		out.counter_count = counters.size();
		c->result(c->arg, &out);
	}

	const struct gbench_reporter *c;
	std::vector<benchmark::BenchmarkReporter *> natives;
};

/* ---- running ---- */

static size_t run_matching(benchmark::BenchmarkReporter *reporter, const char *filter)
{
	return filter ? benchmark::RunSpecifiedBenchmarks(reporter, std::string(filter))
		      : benchmark::RunSpecifiedBenchmarks(reporter);
}

int gbench_run(const char *filter, const struct gbench_outputs *outputs, size_t *matched)
{
	return guarded([&] {
		size_t count = 0;

		if (!outputs) {
			/*
			 * Passed by hand because 1.7.1, given none, deletes the one it makes and
			 * uses it again at the next run.
			 */
			count = run_matching(benchmark::CreateDefaultDisplayReporter(), filter);
		} else {
			benchmark::ConsoleReporter console(
				isatty(STDOUT_FILENO) ? benchmark::ConsoleReporter::OO_Color
						      : benchmark::ConsoleReporter::OO_None);
			benchmark::JSONReporter json;
			std::ofstream file;
			fan_out all(outputs->reporter);

			if (outputs->console)
				all.add(&console);
			if (outputs->json_path) {
				errno = 0;
				file.open(outputs->json_path, std::ios::trunc);
				if (!file.is_open())
					return errno ? -errno : -EIO;
				json.SetOutputStream(&file);
				all.add(&json);
			}
			count = run_matching(&all, filter);
			if (outputs->json_path) {
				file.close();
				if (!file)
					return -EIO;
			}
		}
		if (matched)
			*matched = count;
		return 0;
	});
}

int gbench_initialise(int *argc, char **argv)
{
	return guarded([&] {
		benchmark::Initialize(argc, argv);
		return 0;
	});
}

bool gbench_report_unrecognised(int argc, char **argv)
{
	return benchmark::ReportUnrecognizedArguments(argc, argv);
}

int gbench_add_context(const char *key, const char *value)
{
	if (!key || !value)
		return -EINVAL;
	return guarded([&] {
		const auto *context = benchmark::internal::GetGlobalContext();

		if (context && context->count(key))
			return -EEXIST;
		benchmark::AddCustomContext(key, value);
		return 0;
	});
}

const char *gbench_version(void)
{
	static char text[64];

	if (!text[0])
		guarded([&] {
			snprintf(text, sizeof(text), "%s", library_version().c_str());
			return 0;
		});
	return text;
}

void gbench_shutdown(void)
{
	gbench_clear();
	benchmark::Shutdown();
	/* The library frees its context and goes on pointing to it. */
	benchmark::internal::GetGlobalContext() = nullptr;
}

int gbench_main(int argc, char **argv)
{
	int error = gbench_initialise(&argc, argv);

	if (!error && gbench_report_unrecognised(argc, argv))
		return 1;
	if (!error)
		error = gbench_run(nullptr, nullptr, nullptr);
	return error ? 1 : 0;
}
