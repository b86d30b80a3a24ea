# The shim against the real kernel: each program in mount and network
# namespaces of its own, containers of busybox.
set(SHIM_DIR ${CMAKE_CURRENT_LIST_DIR})
add_library(shim_host STATIC EXCLUDE_FROM_ALL ${SHIM_DIR}/shim_cgroup.cc
  ${SHIM_DIR}/shim_host.cc ${SHIM_DIR}/shim_mounts.cc)
target_link_libraries(shim_host PUBLIC warren_shim_client warren_build
  warren_test_patience
  GTest::gtest)
target_compile_definitions(shim_host PUBLIC
  WARREN_SHIM_PATH="$<TARGET_FILE:warren-shim>")
add_dependencies(shim_host warren-shim)

foreach(part sandbox container log exec stream security paths
    resources)
  warren_test(NAME shim_${part}_kernel_test LABEL kernel LIBS shim_host
    SOURCES ${SHIM_DIR}/shim_${part}_kernel_test.cc)
endforeach()
target_sources(shim_security_kernel_test PRIVATE
  ${SHIM_DIR}/shim_lock_kernel_test.cc ${SHIM_DIR}/shim_seccomp_kernel_test.cc)
