# What a shim costs: memory of idle ones, time of a start. Prints; no gate.
add_executable(shim_bench ${CMAKE_CURRENT_LIST_DIR}/shim_bench_main.cc)
target_link_libraries(shim_bench PRIVATE shim_host GTest::gtest)
# What a line of a log costs a shim. Prints; no gate.
add_executable(log_bench ${CMAKE_CURRENT_LIST_DIR}/log_bench_main.cc)
target_link_libraries(log_bench PRIVATE shim_host GTest::gtest)
