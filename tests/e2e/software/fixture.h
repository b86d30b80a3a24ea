#ifndef WARREN_TESTS_E2E_SOFTWARE_FIXTURE_H_
#define WARREN_TESTS_E2E_SOFTWARE_FIXTURE_H_

#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/require.h"
#include "tests/support/software_images.h"

namespace warren::test {

// Ordinary software from Debian packages as most pods run it: the seccomp
// profile RuntimeDefault, the default capabilities, no other setting. Each
// test runs twice: with the node's users, and in a user namespace.
class SoftwareTest : public CriTest, public testing::WithParamInterface<bool> {
 protected:
  // Imports what the test runs; skips where the images are not to be had.
  // Call it through WARREN_SOFTWARE.
  std::string Missing(const std::vector<std::string>& images);

  // A pod under RuntimeDefault, with a user namespace if the test has one.
  cri::PodSandboxConfig SoftwarePod(const std::string& name);
  // A container in it that runs what the image says, or `command`.
  cri::ContainerConfig Software(const std::string& image,
                                const std::vector<std::string>& command = {});
  // A directory on the node as a kubelet makes it for an emptyDir: root's, and
  // for everybody to write. In a user namespace its owner is nobody inside.
  std::string EmptyDir(const std::string& name);

  // stdout of a bash script that must succeed.
  std::string Bash(const std::string& container, const std::string& script);
  // Repeats a bash script until it succeeds.
  void WaitFor(const std::string& container, const std::string& script);
  std::string PodIp(const std::string& pod);
  std::string LogOf(const std::string& container);
  void WaitForLog(const std::string& container, const std::string& text);

  // Its stop signal ends it well within its grace, with that exit code.
  void StopsCleanly(const std::string& container, int exit_code = 0);
};

}  // namespace warren::test

// WARREN_SOFTWARE("redis", "shell"); at the start of a test.
#define WARREN_SOFTWARE(...) WARREN_REQUIRE(Missing({__VA_ARGS__}))

#endif  // WARREN_TESTS_E2E_SOFTWARE_FIXTURE_H_
