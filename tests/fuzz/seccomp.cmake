# The libFuzzer target of seccomp profiles; see image.cmake.
if(NOT WARREN_FUZZ)
  return()
endif()
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
set(seccomp ${PROJECT_SOURCE_DIR}/runtime/seccomp)
add_executable(fuzz_seccomp_profile fuzz/seccomp_profile_fuzz.cc
  ${seccomp}/compiler.cc ${seccomp}/names.cc ${seccomp}/profile.cc
  ${seccomp}/profile_json.cc ${seccomp}/prologue.cc)
target_link_libraries(fuzz_seccomp_profile PRIVATE warren_image_fuzzed
  PkgConfig::SECCOMP)
target_link_options(fuzz_seccomp_profile PRIVATE
  -fsanitize=address,undefined,fuzzer)
