/*
 * Medium: a paging file, and the balance-set thread that writes pages to it.
 *
 * The range is a shared mapping of a sparse, unlinked file. A commit allocates blocks of the file,
 * so that a full disk refuses the commit instead of killing the thread that touches the page; a
 * decommit punches a hole, which takes blocks, cached pages and mapping away at once and reads as
 * zero from then on.
 *
 * A page of a Windows paged pool moves from the working set to the standby or modified list, where
 * a touch brings it back cheaply (a soft fault), and from there to the paging file, where a touch
 * must read it back (a hard fault). Here, in the same order:
 *
 *	mapped            unmapped, in the page cache         on disk only
 *	(working set)  -> (standby or modified)         ->    (paged out)
 *	         madvise(DONTNEED)         sync_file_range, fadvise(DONTNEED)
 *	       <- minor fault            <-------- major fault
 *
 * The balance-set thread sweeps the committed chunks like the hand of a clock (Corbato, 1968): what
 * it finds mapped it unmaps, which stands for clearing a reference bit; what is still unmapped when
 * the hand comes round again was not touched for a whole turn, and is written out and dropped. When
 * two turns bring too little, because all of it is in use, it takes what it finds.
 *
 * Concurrency: every step is safe whatever other threads do with the pages, because each keeps the
 * contents: a shared page that is unmapped stays in the cache, and only clean, unmapped pages are
 * dropped. So the thread takes no lock that allocators take, and a hole punched meanwhile does no
 * harm. Nobody is made to wait: threads that dirty pages faster than the disk takes them push
 * residency over the target until the kernel's own limit of dirty pages (vm.dirty_ratio) holds them
 * up.
 */
#include "pages_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define OS_PAGE ((size_t)POOL_OS_PAGE)
#define CHUNK_BYTES \
	((size_t)64 << 10) /* what the hand looks at: as much as one fault may map around it */
#define BATCH_CHUNKS      64u /* written out together, then waited for */
#define TURNS_GENTLE      2u
#define TURNS_MOST        3u
#define SHORTEST_SLEEP_NS 2000000l
#define LONGEST_SLEEP_NS  16000000l
#define SCAN_SHARE        8l /* sleeps at least so many times as long as a look takes */

struct paging {
	struct source *source;
	int fd;
	pid_t owner; /* a child of fork has the mapping but not the thread */
	size_t target_bytes;
	size_t hand; /* offset; the thread's own */
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t lock; /* stop */
	pthread_cond_t wake;
	bool stop;
};

/* The file. */

static const char *paging_directory(const struct page_source_config *config)
{
	const char *directory = config->paging_directory;

	if (!directory || !*directory)
		directory = getenv("TMPDIR");
	return directory && *directory ? directory : "/var/tmp";
}

static int file_open(const char *directory)
{
	char path[PATH_MAX];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	if (snprintf(path, sizeof(path), "%s/poolbench-paging-XXXXXX", directory) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* fallocate that is not put off by signals. 0 or -errno. */
static int file_allocate(int fd, int mode, size_t offset, size_t bytes)
{
	while (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) != 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int file_size(int fd, size_t bytes)
{
	struct rlimit limit;

	/* Beyond it ftruncate would not fail but raise SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
		return -EFBIG;
	return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

static void write_start(const struct paging *paging, size_t offset, size_t bytes)
{
	sync_file_range(paging->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

/* Waits for what was started and drops what is clean and unmapped by then. */
static void write_finish(const struct paging *paging, size_t offset, size_t bytes)
{
	sync_file_range(paging->fd, (off_t)offset, (off_t)bytes,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(paging->fd, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
}

/* Whether a page written to this file really leaves memory: on tmpfs, say, it does not. */
static int file_probe(const struct paging *paging, const char *directory, char *why,
		      size_t why_bytes)
{
	char *page = paging->source->head.base;
	size_t cached;
	int error = file_allocate(paging->fd, 0, 0, OS_PAGE);

	if (error == -EOPNOTSUPP)
		return page_why(-ENODEV, why, why_bytes,
				"paging file: the file system of %s cannot allocate blocks ahead; "
				"name a directory on ext4, xfs or btrfs",
				directory);
	if (error)
		return page_why(-ENOSPC, why, why_bytes, "paging file in %s: %s", directory,
				strerror(-error));
	*(volatile char *)page = 1;
	madvise(page, OS_PAGE, MADV_DONTNEED);
	write_finish(paging, 0, OS_PAGE);
	error = page_cached_bytes(page, OS_PAGE, &cached);
	if (error || cached)
		return page_why(
			-ENODEV, why, why_bytes,
			"paging file: %s keeps its files in memory (tmpfs?); name a directory "
			"on a disk",
			directory);
	if (file_allocate(paging->fd, FALLOC_FL_PUNCH_HOLE, 0, OS_PAGE) != 0)
		return page_why(-ENODEV, why, why_bytes,
				"paging file: the file system of %s cannot punch holes; name a "
				"directory on ext4, xfs or btrfs",
				directory);
	return 0;
}

static int file_attach(struct paging *paging, const char *directory, char *why, size_t why_bytes)
{
	struct page_source *head = &paging->source->head;
	int error;

	paging->fd = file_open(directory);
	if (paging->fd < 0) {
		error = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EACCES;
		return page_why(error, why, why_bytes,
				"cannot make a paging file in %s: %s; name another directory",
				directory, strerror(errno));
	}
	error = file_size(paging->fd, head->range_bytes);
	if (error)
		return page_why(error == -EFBIG ? error : -ENOSPC, why, why_bytes,
				"a paging file of %zu bytes in %s: %s (sparse; see `ulimit -f`)",
				head->range_bytes, directory, strerror(-error));
	if (mmap(head->base, head->range_bytes, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_SHARED | MAP_NORESERVE, paging->fd, 0) == MAP_FAILED)
		return page_why(-ENOMEM, why, why_bytes,
				"cannot map a paging file of %zu bytes: %s", head->range_bytes,
				strerror(errno));
	/*
	 * A hard fault brings one page: read-ahead would make others resident that nobody touched.
	 */
	madvise(head->base, head->range_bytes, MADV_RANDOM);
	madvise(head->base, head->range_bytes, MADV_DONTDUMP);
	return file_probe(paging, directory, why, why_bytes);
}

/* The balance-set thread. */

struct victim {
	size_t offset, bytes, cached;
};

/*
 * Moves the hand to the next chunk that holds committed pages, its offset returned. True if it came
 * round.
 */
static bool hand_seek(struct paging *paging, size_t *offset)
{
	struct source *source = paging->source;
	const size_t pages = source->head.range_bytes >> source->page_shift;
	const size_t from = paging->hand >> source->page_shift;
	const size_t next = bitmap_next(source->committed, from, pages) << source->page_shift;

	if (next >= source->head.range_bytes) {
		paging->hand = 0;
		return true;
	}
	*offset = paging->hand > next ? paging->hand : next & ~(CHUNK_BYTES - 1);
	paging->hand = *offset + CHUNK_BYTES;
	return false;
}

/* Looks at a chunk. True if it is a victim: out of use, or to be taken by force. */
static bool chunk_choose(struct paging *paging, size_t offset, bool force, struct victim *victim)
{
	struct source *source = paging->source;
	char *start = source->head.base + offset;
	const size_t left = source->head.range_bytes - offset;
	size_t mapped;

	victim->offset = offset;
	victim->bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
	if (page_mapped_bytes(source, offset, victim->bytes, &mapped) != 0)
		return false;
	if (mapped > 0) {
		madvise(start, victim->bytes, MADV_DONTNEED);
		if (!force)
			return false;
	}
	return page_cached_bytes(start, victim->bytes, &victim->cached) == 0 && victim->cached > 0;
}

/* Writes a batch out, all at once; the bytes that left memory. */
static size_t batch_page_out(struct paging *paging, const struct victim *victims, size_t count)
{
	struct source *source = paging->source;
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		write_start(paging, victims[i].offset, victims[i].bytes);
	for (size_t i = 0; i < count; i++) {
		size_t left;

		write_finish(paging, victims[i].offset, victims[i].bytes);
		if (page_cached_bytes(source->head.base + victims[i].offset, victims[i].bytes,
				      &left) == 0 &&
		    left < victims[i].cached)
			total += victims[i].cached - left;
	}
	pthread_mutex_lock(&source->account_lock);
	source->stats.paged_out_bytes += total;
	pthread_mutex_unlock(&source->account_lock);
	return total;
}

static bool is_stopping(struct paging *paging)
{
	bool stop;

	pthread_mutex_lock(&paging->lock);
	stop = paging->stop;
	pthread_mutex_unlock(&paging->lock);
	return stop;
}

/* Pages out until `excess` bytes are gone, or the hand has come round often enough. */
static void balance(struct paging *paging, size_t excess)
{
	struct victim victims[BATCH_CHUNKS];
	unsigned turns = 0;

	while (excess > 0 && turns < TURNS_MOST && !is_stopping(paging)) {
		size_t count = 0, chosen = 0, gone;

		while (count < BATCH_CHUNKS && chosen < excess && turns < TURNS_MOST) {
			size_t offset;

			if (hand_seek(paging, &offset))
				turns++;
			else if (chunk_choose(paging, offset, turns >= TURNS_GENTLE,
					      &victims[count]))
				chosen += victims[count++].cached;
		}
		gone = batch_page_out(paging, victims, count);
		excess = gone < excess ? excess - gone : 0;
	}
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* False when it is time to stop. */
static bool sleep_ns(struct paging *paging, int64_t nanoseconds)
{
	const int64_t until = now_ns() + nanoseconds;
	const struct timespec deadline = { .tv_sec = until / 1000000000,
					   .tv_nsec = until % 1000000000 };
	bool stop;

	pthread_mutex_lock(&paging->lock);
	while (!paging->stop &&
	       pthread_cond_timedwait(&paging->wake, &paging->lock, &deadline) != ETIMEDOUT)
		;
	stop = paging->stop;
	pthread_mutex_unlock(&paging->lock);
	return !stop;
}

/*
 * Sleeps longer the further residency is from the target, and never so short that looking at it
 * would take a notable share of a processor.
 */
static void *balance_set(void *argument)
{
	struct paging *paging = argument;
	int64_t sleep = SHORTEST_SLEEP_NS;

	do {
		const int64_t start = now_ns();
		size_t resident, target = paging->target_bytes;

		if (page_source_resident(&paging->source->head, &resident) != 0)
			resident = 0;
		sleep = resident < target - target / 4 ? sleep * 2 : SHORTEST_SLEEP_NS;
		if (sleep > LONGEST_SLEEP_NS)
			sleep = LONGEST_SLEEP_NS;
		if (sleep < SCAN_SHARE * (now_ns() - start))
			sleep = SCAN_SHARE * (now_ns() - start);
		/*
		 * A little below the target, so that the next touch does not wake it for one page.
		 */
		if (resident > target)
			balance(paging, resident - target + target / 32);
	} while (sleep_ns(paging, sleep));
	return NULL;
}

static int thread_start(struct paging *paging)
{
	pthread_condattr_t attributes;
	sigset_t all, before;
	int error;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&paging->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&paging->lock, NULL);
	/* The harness's signals are for its own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&paging->thread, NULL, balance_set, paging);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	paging->has_thread = error == 0;
	return -error;
}

static void thread_stop(struct paging *paging)
{
	if (!paging->has_thread || paging->owner != getpid())
		return;
	pthread_mutex_lock(&paging->lock);
	paging->stop = true;
	pthread_cond_signal(&paging->wake);
	pthread_mutex_unlock(&paging->lock);
	pthread_join(paging->thread, NULL);
	pthread_cond_destroy(&paging->wake);
	pthread_mutex_destroy(&paging->lock);
}

/* The medium. */

static void paging_detach(struct source *source)
{
	struct paging *paging = source->medium_state;

	thread_stop(paging);
	if (paging->fd >= 0)
		close(paging->fd);
	free(paging);
}

static int paging_attach(struct source *source, const struct page_source_config *config, char *why,
			 size_t why_bytes)
{
	struct paging *paging;
	int error;

	if (config->node >= 0)
		return page_why(-ENODEV, why, why_bytes,
				"a paging file cannot be bound to a NUMA node: its pages are the "
				"page cache's; leave out one of the two");
	paging = calloc(1, sizeof(*paging));
	if (!paging)
		return page_why(-ENOMEM, why, why_bytes, "no memory for a page source");
	paging->source = source;
	paging->owner = getpid();
	paging->target_bytes = config->paged_resident_bytes;
	source->medium_state = paging;
	error = file_attach(paging, paging_directory(config), why, why_bytes);
	if (!error && paging->target_bytes > 0 && thread_start(paging) != 0)
		error = page_why(-ENOMEM, why, why_bytes, "cannot start the balance-set thread");
	if (error)
		paging_detach(source);
	return error;
}

static int paging_commit(struct source *source, size_t offset, size_t bytes)
{
	const struct paging *paging = source->medium_state;

	if (file_allocate(paging->fd, 0, offset, bytes) == 0)
		return 0;
	/* Some blocks may have been had before the disk was full. */
	file_allocate(paging->fd, FALLOC_FL_PUNCH_HOLE, offset, bytes);
	return -ENOMEM;
}

static void paging_decommit(struct source *source, size_t offset, size_t bytes)
{
	const struct paging *paging = source->medium_state;

	/* Keeps the promise of zero pages even where the disk has failed. */
	if (file_allocate(paging->fd, FALLOC_FL_PUNCH_HOLE, offset, bytes) != 0)
		memset(source->head.base + offset, 0, bytes);
}

static int paging_resident(const struct source *source, size_t offset, size_t bytes,
			   size_t *resident)
{
	return page_cached_bytes(source->head.base + offset, bytes, resident);
}

const struct page_medium page_medium_paging = {
	.attach = paging_attach,
	.detach = paging_detach,
	.commit = paging_commit,
	.decommit = paging_decommit,
	.resident = paging_resident,
};
