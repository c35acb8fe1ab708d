# The history: change points on simulated histories, verdicts, the store and its files, the command from outside.
poolbench_test(unit_change_points LIBS poolbench_results LABELS track TIMEOUT 300)

# Runs of a history, made up.
add_executable(track_sample track_sample.c)
target_compile_definitions(track_sample PRIVATE TRACK_SAMPLE_PROGRAM)
target_link_libraries(track_sample PRIVATE poolbench_results)
poolbench_test(unit_track SOURCES unit_track.c track_sample.c plots_sample.c LIBS poolbench_results LABELS track
	TIMEOUT 120)
poolbench_test(unit_store SOURCES unit_store.c track_sample.c plots_sample.c
	LIBS poolbench_results PkgConfig::SQLITE LABELS fast track TIMEOUT 300)
target_compile_definitions(unit_store PRIVATE HISTORY_V1="${CMAKE_CURRENT_SOURCE_DIR}/history_v1.sql")
# What is said where libpq was not there at build time.
poolbench_test(unit_store_missing SOURCES unit_store_missing.c ../results/store_postgres_missing.c
	LABELS fast track)

# The command from outside, on made-up runs.
add_test(NAME track COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/track.sh $<TARGET_FILE:poolbench> $<TARGET_FILE:track_sample>)
set_tests_properties(track PROPERTIES LABELS "cli;track" TIMEOUT 300)
add_test(NAME track_postgres COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/track_postgres.sh $<TARGET_FILE:poolbench>
	$<TARGET_FILE:track_sample> ${CMAKE_CURRENT_SOURCE_DIR}/history_v1.sql)
set_tests_properties(track_postgres PROPERTIES LABELS track TIMEOUT 300 SKIP_RETURN_CODE 77)
