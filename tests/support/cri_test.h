#ifndef WARREN_TESTS_SUPPORT_CRI_TEST_H_
#define WARREN_TESTS_SUPPORT_CRI_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/cri_client.h"
#include "tests/support/host_file.h"
#include "tests/support/ledger.h"
#include "tests/support/pod_configs.h"
#include "tests/support/warrend_process.h"

namespace warren::test {

// A test against a real daemon inside a throwaway node. The daemon is shared
// by all tests of a program; after each test every pod is stopped and removed
// and the ledger must equal the one before the test.
//
// The short verbs fail the test and return something empty on an error; use
// client() when the error is what you look at.
class CriTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  CriClient& client();
  WarrendProcess& daemon();

  // SIGKILL or SIGTERM, then a new daemon with the same directories and a new
  // connection.
  void KillDaemon();
  void StartDaemon();

  cri::PodSandboxConfig Pod(const std::string& name);
  std::string RunPod(const cri::PodSandboxConfig& config);
  // Create and start.
  std::string Run(const std::string& pod_id,
                  const cri::PodSandboxConfig& pod_config,
                  const cri::ContainerConfig& config);
  // Pod plus one container; returns the container.
  std::string RunAlone(const cri::ContainerConfig& config,
                       std::string* pod_id = nullptr);
  // stdout of a command in a container; its exit code must be 0.
  std::string Output(const std::string& container_id,
                     const std::vector<std::string>& command);
  std::string ShellOutput(const std::string& container_id,
                          const std::string& script);
  int ExitCodeOf(const std::string& container_id,
                 const std::vector<std::string>& command);
  cri::ContainerStatus StatusOf(const std::string& container_id);
  // Polls until the container is EXITED.
  cri::ContainerStatus WaitExited(const std::string& container_id,
                                  absl::Duration patience = absl::Seconds(20));
  // Removes every pod the daemon lists.
  void RemoveAllPods();
  // The kernel's first process of a container, in the node's pids.
  pid_t HostPid(const std::string& pod_id, const std::string& container_id);
};

}  // namespace warren::test

#define EXPECT_CODE(expression, expected)                  \
  EXPECT_EQ(absl::StatusCodeToString((expression).code()), \
            absl::StatusCodeToString(absl::StatusCode::expected))

#endif  // WARREN_TESTS_SUPPORT_CRI_TEST_H_
