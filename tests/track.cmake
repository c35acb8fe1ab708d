# The history: change points on simulated histories, verdicts, the store and its files, the command from outside.
poolbench_test(unit_change_points LIBS poolbench_results LABELS track)

# Runs of a history, made up.
add_executable(track_sample track_sample.c)
target_compile_definitions(track_sample PRIVATE TRACK_SAMPLE_PROGRAM)
target_link_libraries(track_sample PRIVATE poolbench_results)
poolbench_test(unit_track SOURCES unit_track.c track_sample.c plots_sample.c LIBS poolbench_results LABELS track
	TIMEOUT 120)
