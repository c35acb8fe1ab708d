# poolbench tune: its words and codes, and whether it finds what was planted.
add_library(planted_valley MODULE planted/valley.c)
target_link_libraries(planted_valley PRIVATE poolbench_build)
set_target_properties(planted_valley PROPERTIES PREFIX "" OUTPUT_NAME valley)

set(NOT_CAUGHT "ASAN_OPTIONS=handle_segv=0:handle_abort=0;TSAN_OPTIONS=handle_segv=0:handle_abort=0")
add_test(NAME tune COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tune.sh $<TARGET_FILE:poolbench>
	$<TARGET_FILE:planted_valley>)
set_tests_properties(tune PROPERTIES LABELS "cli;tune" TIMEOUT 600 RUN_SERIAL ON ENVIRONMENT "${NOT_CAUGHT}")

# Steep slopes and a wide threshold: what is right does not depend on how quiet the machine is.
add_test(NAME tune-planted COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/planted.sh $<TARGET_FILE:poolbench>
	$<TARGET_FILE:planted_valley>:base=150,slope=40 3 3 --backing base --threshold 15 --confirm-pairs 4)
set_tests_properties(tune-planted PROPERTIES LABELS "cli;tune" TIMEOUT 600 RUN_SERIAL ON)

# The figure to reach: slopes of 5 %, a threshold of 2 %, the whole grid of 20; 19 of 20 right in less than half.
add_test(NAME tune-planted-soak COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/planted.sh $<TARGET_FILE:poolbench>
	$<TARGET_FILE:planted_valley>:slope=5 20 19 --backing base,thp)
set_tests_properties(tune-planted-soak PROPERTIES LABELS "soak;tune" TIMEOUT 3600 RUN_SERIAL ON)
