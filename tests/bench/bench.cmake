# tests/bench: built with everything else; ctest runs a smoke test only.
set(B ${CMAKE_CURRENT_SOURCE_DIR}/bench)
set(BENCH_BIN ${CMAKE_BINARY_DIR}/testbin)

add_library(warren_bench STATIC ${B}/samples.cc ${B}/server_cost.cc
  ${B}/workload.cc)
target_link_libraries(warren_bench PUBLIC warren_build warren_base
  warren_cri_client warren_test_support)

add_executable(cri_bench ${B}/cri_bench_main.cc)
target_link_libraries(cri_bench PRIVATE warren_bench)

add_executable(floor ${B}/floor_main.cc ${B}/floor_container.cc
  ${B}/floor_network.cc)
target_link_libraries(floor PRIVATE warren_build warren_base absl::time)

add_executable(bench_pause ${B}/pause.c)
target_compile_options(bench_pause PRIVATE -Os -Wall -Wextra -Werror)
target_link_options(bench_pause PRIVATE -static)

set_target_properties(cri_bench floor bench_pause PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${BENCH_BIN})

add_test(NAME bench_floor_smoke COMMAND floor 2)
set_tests_properties(bench_floor_smoke PROPERTIES LABELS root TIMEOUT 60
  RUN_SERIAL TRUE)
