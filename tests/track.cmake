# The history: change points on simulated histories, verdicts, the store and its files, the command from outside.
poolbench_test(unit_change_points LIBS poolbench_results LABELS track)
