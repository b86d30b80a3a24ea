# agent_core: the agent without gRPC and without kernel headers.  Linking it
# must never need grpc++: that is how a leak between the layers shows.
find_package(ZLIB REQUIRED)
set(CORE ${CMAKE_CURRENT_LIST_DIR})

# What vendors' files say about devices; with parsers of two formats.
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
add_library(agent_cdi STATIC
  ${CORE}/cdi/document.cc
  ${CORE}/cdi/name.cc
  ${CORE}/cdi/registry.cc
  ${CORE}/cdi/spec.cc
  ${CORE}/cri/validate.cc)
target_link_libraries(agent_cdi PUBLIC warren_build warren_base warren_proto
  warren_image absl::status absl::statusor absl::strings absl::synchronization
  nlohmann_json::nlohmann_json PRIVATE yaml-cpp)

add_library(agent_core STATIC
  ${CORE}/cri/capability_names.cc
  ${CORE}/pods/container_exec.cc
  ${CORE}/pods/container_exit.cc
  ${CORE}/pods/container_manager.cc
  ${CORE}/pods/container_status.cc
  ${CORE}/pods/container_stop.cc
  ${CORE}/pods/container_update.cc
  ${CORE}/convert/convert.cc
  ${CORE}/convert/container.cc
  ${CORE}/convert/devices.cc
  ${CORE}/convert/mounts.cc
  ${CORE}/convert/process.cc
  ${CORE}/convert/sandbox.cc
  ${CORE}/convert/security.cc
  ${CORE}/host/facts.cc
  ${CORE}/cri/ids.cc
  ${CORE}/pods/image_manager.cc
  ${CORE}/pods/info_json.cc
  ${CORE}/pods/inspection.cc
  ${CORE}/pods/leftover_killer.cc
  ${CORE}/store/lifecycle.cc
  ${CORE}/pods/object_filter.cc
  ${CORE}/store/operation_lock.cc
  ${CORE}/pods/pod_sandbox_ids.cc
  ${CORE}/pods/pod_sandbox_manager.cc
  ${CORE}/pods/pod_sandbox_status.cc
  ${CORE}/pods/pod_sandbox_stop.cc
  ${CORE}/pods/reconcile_plan.cc
  ${CORE}/pods/reconciler.cc
  ${CORE}/store/record_convert.cc
  ${CORE}/store/record_file.cc
  ${CORE}/host/security_modules.cc
  ${CORE}/cri/signal_names.cc
  ${CORE}/store/store.cc
  ${CORE}/cri/sysctl_policy.cc
  ${CORE}/cri/time_offset.cc
  ${CORE}/pods/userns_pool.cc
  ${CORE}/convert/volume_images.cc)
target_link_libraries(agent_core PUBLIC agent_cdi warren_build warren_base
  warren_id_map warren_proto warren_netplugin absl::status absl::statusor
  absl::strings
  absl::synchronization absl::time PRIVATE ZLIB::ZLIB Threads::Threads)
