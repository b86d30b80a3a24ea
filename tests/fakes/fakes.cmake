# Fakes of the three seams (Runtime, PodNetwork, ImageStore) and the clock,
# with failures to order, and the agent's core on top of them.
set(FAKES ${CMAKE_CURRENT_LIST_DIR})
add_library(warren_fakes STATIC EXCLUDE_FROM_ALL ${FAKES}/core_node.cc
  ${FAKES}/fake_image_store.cc ${FAKES}/fake_pod_network.cc
  ${FAKES}/fake_runtime.cc ${FAKES}/fake_runtime_controls.cc
  ${FAKES}/fake_runtime_exec.cc ${FAKES}/faults.cc
  ${FAKES}/late_address_network.cc)
target_link_libraries(warren_fakes PUBLIC agent_pods warren_build
  Threads::Threads)
