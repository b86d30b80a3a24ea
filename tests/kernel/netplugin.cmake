# netplugin against the real kernel, in network namespaces of its own.
set(here ${CMAKE_CURRENT_LIST_DIR})
add_library(netplugin_node STATIC EXCLUDE_FROM_ALL ${here}/netplugin_node.cc
  ${here}/netplugin_traffic.cc)
target_link_libraries(netplugin_node PUBLIC netplugin_bridge warren_build
  warren_test_patience warren_test_support
  GTest::gtest)

warren_test(NAME netplugin_kernel_test LABEL kernel LIBS netplugin_node
  SOURCES ${here}/netplugin_forwarding_kernel_test.cc
    ${here}/netplugin_kernel_test.cc)
warren_test(NAME netplugin_security_kernel_test LABEL kernel
  LIBS netplugin_node
  SOURCES ${here}/netplugin_instances_kernel_test.cc
    ${here}/netplugin_security_kernel_test.cc
    ${here}/netplugin_tables_kernel_test.cc)
warren_test(NAME netplugin_lifecycle_kernel_test LABEL kernel THREADS
  LIBS netplugin_node
  SOURCES ${here}/netplugin_check_kernel_test.cc
    ${here}/netplugin_lifecycle_kernel_test.cc
    ${here}/netplugin_ranges_kernel_test.cc)
