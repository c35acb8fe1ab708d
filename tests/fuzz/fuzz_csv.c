/* Any bytes as a series file. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "plots/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct csv_cell_columns columns;
	struct csv *csv = NULL;
	char path[FUZZ_PATH_BYTES];
	const int fd = fuzz_file(data, bytes, path);

	if (csv_open(path, &csv) == 0) {
		size_t length = 0;

		csv_cell_find(csv, &columns);
		while (csv_next(csv) == 1) {
			for (int column = -1; column < 12; column++) {
				length += strlen(csv_field(csv, column));
				(void)csv_number(csv, column);
			}
			(void)csv_cell_is(csv, &columns, "slub", "irp-storm", 1, 4096, "base");
		}
		FUZZ_MUST(length <= 12 * bytes);
		csv_close(csv);
	}
	close(fd);
	return 0;
}
