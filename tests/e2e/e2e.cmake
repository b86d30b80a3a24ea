# tests/e2e: the real daemon through a real gRPC client, in a throwaway node.
# One program per topic; each starts one daemon that its tests share.
set(E ${CMAKE_CURRENT_SOURCE_DIR}/e2e)

# warren_e2e_test(name SOURCES…)
function(warren_e2e_test name)
  warren_test(NAME e2e_${name}_test SOURCES ${ARGN}
    LIBS warren_e2e_support warren_root_test_main LABEL e2e TIMEOUT 300)
  # Matchers are costly to optimise and gain nothing from it.
  # The programs under test, where they exist in this build tree.
  foreach(program warrend warrenctl warren-shim warren-unpack
      warren_default_image warren_test_probe warren_escape_probe)
    if(TARGET ${program})
      add_dependencies(e2e_${name}_test ${program})
    endif()
  endforeach()
endfunction()

warren_e2e_test(node ${E}/node_test.cc ${E}/unimplemented_test.cc
  ${E}/wire_test.cc)
warren_e2e_test(images ${E}/images_test.cc ${E}/image_import_test.cc)
warren_e2e_test(pods ${E}/pod_lifecycle_test.cc ${E}/pod_requests_test.cc
  ${E}/pod_list_test.cc)
warren_e2e_test(containers ${E}/container_lifecycle_test.cc
  ${E}/container_requests_test.cc ${E}/container_list_test.cc
  ${E}/container_process_test.cc ${E}/stop_test.cc)
warren_e2e_test(mounts ${E}/mount_propagation_test.cc
  ${E}/mount_attributes_test.cc ${E}/mount_targets_test.cc
  ${E}/image_volume_test.cc)
warren_e2e_test(process ${E}/apparmor_test.cc ${E}/identity_test.cc
  ${E}/program_test.cc ${E}/granted_ids_test.cc ${E}/process_restart_test.cc
  ${E}/selinux_test.cc)
warren_e2e_test(resources ${E}/resources_test.cc ${E}/resources_fixture.cc
  ${E}/oom_test.cc ${E}/pod_cgroup_test.cc ${E}/cgroup_v2_test.cc)
warren_e2e_test(exec ${E}/exec_sync_test.cc ${E}/log_test.cc
  ${E}/seccomp_test.cc)
warren_e2e_test(namespaces ${E}/pid_namespace_test.cc
  ${E}/namespaces_test.cc ${E}/user_namespace_test.cc
  ${E}/namespace_grid_test.cc ${E}/sysctl_test.cc
  ${E}/network_test.cc ${E}/inspect_test.cc)
warren_e2e_test(capabilities ${E}/capabilities_test.cc)
warren_e2e_test(escape ${E}/escape_test.cc ${E}/escape_table.cc)
warren_e2e_test(devices ${E}/devices_test.cc ${E}/cdi_test.cc)
warren_e2e_test(security ${E}/entering_test.cc ${E}/exec_bounds_test.cc
  ${E}/host_view_test.cc ${E}/inert_keys_test.cc
  ${E}/odd_requests_test.cc ${E}/other_user_test.cc)
# EXE-1, EXE-2: exec sessions that are hunted in each; a sanitized daemon takes
# several times as long for one.
if(WARREN_SANITIZE)
  set(HUNTED_EXECS 500)
else()
  set(HUNTED_EXECS 10000)
endif()
target_compile_definitions(e2e_security_test PRIVATE
  WARREN_HUNTED_EXECS=${HUNTED_EXECS})
set_tests_properties(e2e_security_test PROPERTIES TIMEOUT 600)
warren_e2e_test(restart ${E}/restart_test.cc ${E}/daemon_test.cc)

# Debian's programs in images that the fixture makes (../support/images).
warren_e2e_test(software ${E}/software_fixture.cc
  ${E}/software_languages_test.cc ${E}/software_postgres_test.cc
  ${E}/software_servers_test.cc)
set_tests_properties(e2e_software_test PROPERTIES TIMEOUT 600
  FIXTURES_REQUIRED software_images)

# A stock kubelet's requests (kubelet/), sent in its order.
warren_e2e_test(kubelet ${E}/kubelet_cgroup.cc ${E}/kubelet_fixture.cc
  ${E}/kubelet_lifecycle_test.cc ${E}/kubelet_pod.cc
  ${E}/kubelet_security_test.cc ${E}/kubelet_volumes.cc
  ${E}/kubelet_volumes_test.cc)
target_compile_definitions(e2e_kubelet_test PRIVATE
  WARREN_KUBELET_FIXTURES="${E}/kubelet")

# A client in another language that has nothing of ours but the socket.
warren_e2e_test(third_party ${E}/third_party_test.cc)
target_compile_definitions(e2e_third_party_test PRIVATE
  WARREN_THIRD_PARTY_CLIENT="${E}/third_party_client.py")
