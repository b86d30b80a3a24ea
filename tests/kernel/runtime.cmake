# The runtime through its seam against the real kernel: in mount and network
# namespaces of its own, containers of busybox.
set(RUNTIME_DIR ${CMAKE_CURRENT_LIST_DIR})
add_library(runtime_host STATIC EXCLUDE_FROM_ALL ${RUNTIME_DIR}/runtime_host.cc)
target_link_libraries(runtime_host PUBLIC runtime_machine agent_exec_sync
  warren_build
  warren_test_patience
  GTest::gtest)
target_compile_definitions(runtime_host PRIVATE
  WARREN_SHIM_PATH="$<TARGET_FILE:warren-shim>")
add_dependencies(runtime_host warren-shim)

foreach(part sandbox container process adopt exec device)
  warren_test(NAME runtime_${part}_kernel_test LABEL kernel LIBS runtime_host
    SOURCES ${RUNTIME_DIR}/runtime_${part}_kernel_test.cc)
endforeach()
set_tests_properties(runtime_exec_kernel_test PROPERTIES
  LABELS "kernel;threads")

# Mounts without a container: against an attacker who exchanges paths,
# overlays, labels of volumes.
warren_test(NAME mount_calls_kernel_test LABEL kernel
  LIBS runtime_machine warren_init
  SOURCES ${RUNTIME_DIR}/file_label_kernel_test.cc
  ${RUNTIME_DIR}/mount_race_kernel_test.cc
  ${RUNTIME_DIR}/overlay_kernel_test.cc)
target_sources(runtime_container_kernel_test PRIVATE
  ${RUNTIME_DIR}/leaf_sampler_kernel_test.cc
  ${RUNTIME_DIR}/runtime_resources_kernel_test.cc)
target_sources(runtime_exec_kernel_test PRIVATE
  ${RUNTIME_DIR}/cgroup_kill_kernel_test.cc
  ${RUNTIME_DIR}/giant_cgroup_kernel_test.cc
  ${RUNTIME_DIR}/runtime_deadline_kernel_test.cc
  ${RUNTIME_DIR}/runtime_kill_kernel_test.cc
  ${RUNTIME_DIR}/runtime_orphan_kernel_test.cc)
