# Fakes of the three seams (Runtime, PodNetwork, ImageStore) and the clock,
# with failures to order, and the agent's core on top of them.
if(NOT TARGET agent_core)
  return()
endif()
set(FAKES ${CMAKE_CURRENT_LIST_DIR})
add_library(warren_fakes STATIC ${FAKES}/core_node.cc
  ${FAKES}/fake_image_store.cc ${FAKES}/fake_pod_network.cc
  ${FAKES}/fake_runtime.cc ${FAKES}/fake_runtime_controls.cc
  ${FAKES}/faults.cc)
target_link_libraries(warren_fakes PUBLIC agent_core warren_build
  Threads::Threads)

set(CORE_TESTS ${PROJECT_SOURCE_DIR}/agent)
warren_test(NAME agent_convert_test LABEL unit LIBS agent_core SOURCES
  ${CORE_TESTS}/cri/capability_names_test.cc
  ${CORE_TESTS}/cdi/registry_test.cc ${CORE_TESTS}/cdi/spec_test.cc
  ${CORE_TESTS}/convert/container_test.cc
  ${CORE_TESTS}/convert/mounts_test.cc
  ${CORE_TESTS}/convert/devices_test.cc
  ${CORE_TESTS}/convert/process_test.cc
  ${CORE_TESTS}/convert/seccomp_test.cc
  ${CORE_TESTS}/convert/sandbox_test.cc
  ${CORE_TESTS}/convert/security_test.cc
  ${CORE_TESTS}/convert/strings_test.cc
  ${CORE_TESTS}/host/security_modules_test.cc
  ${CORE_TESTS}/cri/signal_names_test.cc ${CORE_TESTS}/pods/userns_pool_test.cc
  ${CORE_TESTS}/cri/validate_test.cc)
warren_test(NAME agent_record_test LABEL unit LIBS agent_core SOURCES
  ${CORE_TESTS}/store/lifecycle_test.cc ${CORE_TESTS}/pods/reconcile_plan_test.cc
  ${CORE_TESTS}/store/record_convert_test.cc ${CORE_TESTS}/store/record_file_test.cc)
warren_test(NAME agent_managers_test LABEL unit LIBS warren_fakes SOURCES
  ${CORE_TESTS}/pods/container_manager_test.cc
  ${CORE_TESTS}/pods/container_update_test.cc
  ${CORE_TESTS}/pods/container_stop_test.cc ${CORE_TESTS}/pods/image_manager_test.cc
  ${CORE_TESTS}/pods/inspection_test.cc
  ${CORE_TESTS}/pods/pod_sandbox_manager_test.cc ${CORE_TESTS}/store/store_test.cc)
warren_test(NAME agent_recovery_test LABEL unit LIBS warren_fakes TIMEOUT 300
  SOURCES ${CORE_TESTS}/pods/crash_test.cc ${CORE_TESTS}/pods/granted_ids_test.cc
  ${CORE_TESTS}/pods/reconciler_test.cc)
warren_test(NAME agent_concurrency_test LABEL unit LIBS warren_fakes
  TIMEOUT 300 SOURCES ${CORE_TESTS}/pods/concurrency_test.cc)
