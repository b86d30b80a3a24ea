# What wiring a pod costs, without anything around it.
add_executable(net_setup_bench ${CMAKE_CURRENT_LIST_DIR}/net_setup_bench.cc)
target_link_libraries(net_setup_bench PRIVATE netplugin_bridge warren_build)
set_target_properties(net_setup_bench PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/testbin)

add_test(NAME net_setup_bench_smoke COMMAND net_setup_bench 3 0)
set_tests_properties(net_setup_bench_smoke PROPERTIES LABELS kernel TIMEOUT 60
  RUN_SERIAL TRUE SKIP_RETURN_CODE 77)
