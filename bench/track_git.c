/* What git says of the directory in which this runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/track.h"

/* The first line that a git command prints; false where there is no git, no checkout or no answer. */
static bool git_line(const char *const *arguments, char *line, size_t bytes)
{
	int pipes[2], status;
	FILE *stream;
	pid_t pid;

	line[0] = '\0';
	if (pipe2(pipes, O_CLOEXEC))
		return false;
	pid = fork();
	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(pipes[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp("git", (char *const *)arguments);
		_exit(127);
	}
	close(pipes[1]);
	stream = pid > 0 ? fdopen(pipes[0], "r") : NULL;
	if (!stream) {
		close(pipes[0]);
	} else {
		if (!fgets(line, (int)bytes, stream))
			line[0] = '\0';
		fclose(stream);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	line[strcspn(line, "\n")] = '\0';
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && line[0];
}

void track_git(char *commit, size_t commit_bytes, char *branch, size_t branch_bytes, bool *detached)
{
	static const char *const describe[] = { "git",         "describe",    "--always", "--dirty",
						"--abbrev=40", "--exclude=*", NULL };
	static const char *const symbolic[] = { "git",     "symbolic-ref", "--quiet",
						"--short", "HEAD",         NULL };
	const bool checkout = git_line(describe, commit, commit_bytes);

	if (!checkout)
		commit[0] = '\0';
	if (!git_line(symbolic, branch, branch_bytes))
		branch[0] = '\0';
	*detached = checkout && !*branch;
}
