# The runtime: everything between runtime.h and the kernel but the shim.
# Neither CRI messages nor gRPC link here.
# What the agent checks requests with, too.
add_library(warren_id_map STATIC identity/id_map.cc)
target_link_libraries(warren_id_map PUBLIC warren_base)

add_library(warren_runtime STATIC
  cgroup/driver.cc
  cgroup/tree.cc
  cgroup/update.cc
  cgroup/v1.cc
  cgroup/v2.cc
  cgroup/values.cc
  devices/filter.cc
  devices/folder.cc
  devices/program.cc
  devices/rules.cc
  devices/devices.cc
  launch/exit_watcher.cc
  mounts/label.cc
  mounts/host_path.cc
  mounts/image_volume.cc
  launch/request.cc
  machine/linux_runtime.cc
  machine/linux_runtime_container.cc
  machine/linux_runtime_exec.cc
  machine/linux_runtime_inspect.cc
  machine/linux_runtime_prepare.cc
  machine/linux_runtime_sandbox.cc
  machine/linux_runtime_start.cc
  launch/log_dir.cc
  base/mount_calls.cc
  namespaces/mount_namespaces.cc
  mounts/mount_points.cc
  mounts/sources.cc
  base/mountinfo.cc
  mounts/plan.cc
  namespaces/table.cc
  launch/output_collector.cc
  mounts/pod_files.cc
  identity/privileges.cc
  inspect/proc_reader.cc
  rootfs/overlay.cc
  mounts/requested.cc
  rootfs/rootfs.cc
  launch/seccomp_filter.cc
  rootfs/tree_copy.cc
  identity/user_lookup.cc)
target_link_libraries(warren_runtime PUBLIC warren_base warren_id_map
  warren_seccomp warren_shim_client warren_shim_proto absl::synchronization
  Threads::Threads)

warren_test(NAME runtime_test LABEL unit LIBS warren_runtime SOURCES
  cgroup/driver_test.cc
  cgroup/update_test.cc
  devices/rules_test.cc
  devices/devices_test.cc
  mounts/label_test.cc
  identity/id_map_test.cc
  base/mountinfo_test.cc
  mounts/plan_test.cc
  namespaces/table_test.cc
  launch/output_collector_test.cc
  inspect/proc_reader_test.cc
  launch/seccomp_filter_test.cc
  rootfs/tree_copy_test.cc
  identity/user_lookup_test.cc)
