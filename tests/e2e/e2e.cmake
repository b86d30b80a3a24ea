# tests/e2e: the real daemon through a real gRPC client, in a throwaway node.
# One program per topic; each starts one daemon that its tests share. TIMEOUT is
# for what hangs: many times what a program takes on two idle processors.
set(E ${CMAKE_CURRENT_SOURCE_DIR}/e2e)

# warren_e2e_test(name SOURCES…)
function(warren_e2e_test name)
  warren_test(NAME e2e_${name}_test SOURCES ${ARGN}
    LIBS warren_e2e_support warren_root_test_main LABEL e2e TIMEOUT 1200)
  # Matchers are costly to optimise and gain nothing from it.
  # The programs under test, where they exist in this build tree.
  foreach(program warrend warrenctl warren-shim warren-unpack
      warren_default_image warren_test_probe warren_escape_probe)
    if(TARGET ${program})
      add_dependencies(e2e_${name}_test ${program})
    endif()
  endforeach()
endfunction()

warren_e2e_test(node ${E}/api/node_test.cc ${E}/api/unimplemented_test.cc
  ${E}/api/wire_test.cc ${E}/api/answers_test.cc ${E}/api/memory_test.cc)
warren_e2e_test(images ${E}/images/images_test.cc ${E}/images/image_import_test.cc
  ${E}/images/pull_test.cc)
target_link_libraries(e2e_images_test PRIVATE warren_registry_testing
  warren_image_testing)
warren_e2e_test(pods ${E}/pods/pod_lifecycle_test.cc ${E}/pods/pod_requests_test.cc
  ${E}/pods/pod_list_test.cc)
warren_e2e_test(containers ${E}/containers/container_lifecycle_test.cc
  ${E}/containers/container_requests_test.cc ${E}/containers/container_list_test.cc
  ${E}/containers/container_process_test.cc ${E}/containers/giant_tree_test.cc
  ${E}/containers/stop_test.cc)
warren_e2e_test(mounts ${E}/mounts/mount_propagation_test.cc
  ${E}/mounts/mount_attributes_test.cc ${E}/mounts/mount_targets_test.cc
  ${E}/mounts/image_volume_test.cc ${E}/mounts/field_mounts_test.cc)
warren_e2e_test(process ${E}/security/apparmor_test.cc ${E}/security/identity_test.cc
  ${E}/containers/program_test.cc ${E}/security/granted_ids_test.cc ${E}/containers/process_restart_test.cc
  ${E}/security/selinux_test.cc ${E}/containers/field_containers_test.cc)
warren_e2e_test(resources ${E}/containers/kill_test.cc ${E}/resources/resources_test.cc ${E}/resources/resources_fixture.cc
  ${E}/resources/oom_test.cc ${E}/resources/pod_cgroup_test.cc ${E}/resources/cgroup_v2_test.cc
  ${E}/resources/cgroup_namespace_test.cc)
warren_e2e_test(exec ${E}/containers/exec_sync_test.cc ${E}/containers/log_test.cc
  ${E}/security/seccomp_test.cc)
warren_e2e_test(namespaces ${E}/namespaces/pid_namespace_test.cc
  ${E}/namespaces/namespaces_test.cc ${E}/namespaces/user_namespace_test.cc
  ${E}/namespaces/namespace_grid_test.cc ${E}/namespaces/sysctl_test.cc
  ${E}/namespaces/network_test.cc ${E}/namespaces/inspect_test.cc
  ${E}/namespaces/locked_mounts_test.cc)
warren_e2e_test(capabilities ${E}/security/capabilities_test.cc)
warren_e2e_test(escape ${E}/security/escape_test.cc ${E}/security/escape_table.cc)
warren_e2e_test(devices ${E}/devices/devices_test.cc ${E}/devices/cdi_test.cc)
warren_e2e_test(security ${E}/security/entering_test.cc ${E}/security/exec_bounds_test.cc
  ${E}/security/host_view_test.cc ${E}/security/inert_keys_test.cc
  ${E}/security/own_inodes_test.cc
  ${E}/api/odd_requests_test.cc ${E}/security/other_user_test.cc)
# EXE-1, EXE-2: exec sessions that are hunted in each; a sanitized daemon takes
# several times as long for one.
if(WARREN_SANITIZE)
  set(HUNTED_EXECS 500)
else()
  set(HUNTED_EXECS 10000)
endif()
target_compile_definitions(e2e_security_test PRIVATE
  WARREN_HUNTED_EXECS=${HUNTED_EXECS})
set_tests_properties(e2e_security_test PROPERTIES TIMEOUT 3600)
warren_e2e_test(restart ${E}/pods/restart_test.cc ${E}/pods/reconcile_test.cc
  ${E}/containers/first_process_test.cc
  ${E}/pods/changed_node_test.cc ${E}/pods/pod_ranges_test.cc
  ${E}/api/damaged_files_test.cc ${E}/api/daemon_test.cc)

# Debian's programs in images that the fixture makes (../support/images).
warren_e2e_test(software ${E}/software/fixture.cc
  ${E}/software/languages_test.cc ${E}/software/postgres_test.cc
  ${E}/software/servers_test.cc)
set_tests_properties(e2e_software_test PROPERTIES TIMEOUT 2400
  FIXTURES_REQUIRED software_images)

# A stock kubelet's requests (kubelet/), sent in its order.
warren_e2e_test(kubelet ${E}/kubelet/cgroup.cc ${E}/kubelet/fixture.cc
  ${E}/kubelet/lifecycle_test.cc ${E}/kubelet/pod.cc
  ${E}/kubelet/security_test.cc ${E}/kubelet/volumes.cc
  ${E}/kubelet/volumes_test.cc)
target_compile_definitions(e2e_kubelet_test PRIVATE
  WARREN_KUBELET_FIXTURES="${E}/kubelet/requests")

# A client in another language that has nothing of ours but the socket.
warren_e2e_test(third_party ${E}/api/third_party_test.cc)
target_compile_definitions(e2e_third_party_test PRIVATE
  WARREN_THIRD_PARTY_CLIENT="${E}/api/third_party_client.py")
# The quickstart as a user runs it, in namespaces of its own; what its --clean
# leaves alone.
add_test(NAME e2e_quickstart COMMAND
  ${CMAKE_CURRENT_SOURCE_DIR}/e2e/quickstart/quickstart_test.sh ${CMAKE_BINARY_DIR})
add_test(NAME e2e_quickstart_clean COMMAND
  ${CMAKE_CURRENT_SOURCE_DIR}/e2e/quickstart/clean_test.sh ${CMAKE_BINARY_DIR})
set_tests_properties(e2e_quickstart e2e_quickstart_clean PROPERTIES
  LABELS e2e TIMEOUT 900
  SKIP_RETURN_CODE 77 RUN_SERIAL TRUE)
