#ifndef WARREN_TESTS_SUPPORT_SOFTWARE_IMAGES_H_
#define WARREN_TESTS_SUPPORT_SOFTWARE_IMAGES_H_

#include <absl/status/status.h>

#include <string>

#include "tests/support/cri_client.h"
#include "tests/support/warrend_process.h"

// Images of ordinary software from Debian packages, as images/build_images.py
// made them before the test (a ctest fixture does so). Names: image_list.py.
namespace warren::test {

// "debian.test/nginx:1" for "nginx".
std::string SoftwareReference(const std::string& name);

// Why there is no archive of the image; empty when there is one. For
// WARREN_REQUIRE: a machine that reaches no package registry skips.
std::string MissingSoftware(const std::string& name);

// Imports the image unless the daemon has it.
absl::Status ImportSoftware(CriClient& client, const WarrendProcess& daemon,
                            const std::string& name);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_SOFTWARE_IMAGES_H_
