# warrend and warren-shim linked once more with the fault layer in front of
# their calls, in a tree of their own; and the walk through its points.
set(F ${CMAKE_CURRENT_SOURCE_DIR}/faults)
set(FAULTY ${CMAKE_BINARY_DIR}/faulty)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${F}/calls.txt)
file(STRINGS ${F}/calls.txt lines REGEX "^[^#]")
set(wraps)
set(text)
set(index 0)
foreach(line ${lines})
  string(REGEX MATCH "^[^ ]+" call "${line}")
  list(APPEND wraps LINKER:--wrap=${call})
  set(result -1)
  if(line MATCHES " =")
    set(result error)
  elseif(call STREQUAL "fdopendir")
    set(result 0)
  endif()
  string(APPEND text "WRAP(${index}, ${call}, ${result})\n")
  math(EXPR index "${index} + 1")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/faults/fault_calls.inc
  CONTENT "${text}")

# What the libraries of the agent link; known in their directories only.
foreach(package CLI11 spdlog ZLIB nlohmann_json yaml-cpp)
  find_package(${package} REQUIRED)
endforeach()
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(LIBARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(NL REQUIRED IMPORTED_TARGET libnl-3.0)
pkg_check_modules(NFTNL REQUIRED IMPORTED_TARGET libnftnl libmnl)

function(warren_faulty name shim)
  target_sources(${name} PRIVATE ${F}/fault_layer.cc)
  target_include_directories(${name} PRIVATE
    ${CMAKE_CURRENT_BINARY_DIR}/faults)
  target_compile_definitions(${name} PRIVATE WARREN_FAULTS_SHIM=${shim}
    WARREN_FAULTS_FILE="${FAULTY}/orders")
  target_link_options(${name} PRIVATE ${wraps})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF
    EXCLUDE_FROM_ALL ON)
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND ${F}/points.py $<TARGET_FILE:${name}> > ${FAULTY}/${name}.points)
endfunction()

add_executable(warrend_faults ${PROJECT_SOURCE_DIR}/agent/main.cc)
target_link_libraries(warrend_faults PRIVATE warren_build agent_api agent_parts
  spdlog::spdlog PkgConfig::SYSTEMD)
set_target_properties(warrend_faults PROPERTIES OUTPUT_NAME warrend
  RUNTIME_OUTPUT_DIRECTORY ${FAULTY}/bin)
warren_faulty(warrend_faults 0)

set(shim ${PROJECT_SOURCE_DIR}/runtime/shim)
add_executable(warren_shim_faults ${shim}/main.cc ${shim}/no_iostream.cc
  $<TARGET_OBJECTS:warren_shim_proto>)
target_compile_options(warren_shim_faults PRIVATE -fno-exceptions -fno-rtti)
find_library(WARREN_PROTOBUF_LITE_STATIC libprotobuf-lite.a REQUIRED)
target_link_libraries(warren_shim_faults PRIVATE warren_shim_parts
  ${WARREN_PROTOBUF_LITE_STATIC})
target_link_options(warren_shim_faults PRIVATE -static LINKER:--gc-sections)
set_target_properties(warren_shim_faults PROPERTIES OUTPUT_NAME warren-shim
  RUNTIME_OUTPUT_DIRECTORY ${FAULTY}/libexec/warren)
warren_faulty(warren_shim_faults 1)
add_custom_command(TARGET warren_shim_faults POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E create_symlink
    ${CMAKE_BINARY_DIR}/libexec/warren/warren-unpack
    ${FAULTY}/libexec/warren/warren-unpack
  COMMAND ${CMAKE_COMMAND} -E create_symlink ${CMAKE_BINARY_DIR}/share
    ${FAULTY}/share)

# A part of the walk runs with the other tests of what ships. The layer stands
# in front of calls that sanitizers stand in front of, too.
set(label root)
if(WARREN_SANITIZE)
  set(label faults)
endif()
warren_test(NAME fault_walk_test SOURCES ${F}/fault_walk_test.cc
  ${F}/fault_operations.cc ${F}/fault_points.cc
  LIBS warren_e2e_support warren_root_test_main LABEL ${label} TIMEOUT 14400)
target_compile_definitions(fault_walk_test PRIVATE
  WARREN_FAULTS_CALLS="${F}/calls.txt"
  WARREN_FAULTS_EXCEPTIONS="${F}/exceptions.txt" WARREN_FAULTY="${FAULTY}")
add_dependencies(fault_walk_test warrend_faults warren_shim_faults
  warren-unpack)
if(TARGET warren_default_image)
  add_dependencies(fault_walk_test warren_default_image)
endif()
