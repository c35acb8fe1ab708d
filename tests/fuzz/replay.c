/* Plays files, and the files of directories, through a fuzz target that has no fuzzer behind it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned played;

static int play_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat status;
	size_t bytes;

	if (!file || fstat(fileno(file), &status) != 0) {
		perror(path);
		return 1;
	}
	/* Exactly as many bytes as there are, so that a sanitizer sees a read behind them. */
	bytes = (size_t)status.st_size;
	data = malloc(bytes ? bytes : 1);
	if (!data || fread(data, 1, bytes, file) != bytes) {
		perror(path);
		return 1;
	}
	fclose(file);
	fprintf(stderr, "%s\n", path); /* the last line names what ended the process */
	LLVMFuzzerTestOneInput(data, bytes);
	free(data);
	played++;
	return 0;
}

static int play_directory(const char *path, DIR *directory)
{
	struct dirent *entry;
	int failed = 0;

	while ((entry = readdir(directory))) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		failed |= play_file(file);
	}
	closedir(directory);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *directory = opendir(argv[i]);

		failed |= directory ? play_directory(argv[i], directory) : play_file(argv[i]);
	}
	printf("%u inputs played\n", played);
	return failed || !played; /* an empty corpus tests nothing */
}
