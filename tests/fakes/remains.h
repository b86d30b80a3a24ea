#ifndef WARREN_TESTS_FAKES_REMAINS_H_
#define WARREN_TESTS_FAKES_REMAINS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "tests/fakes/core_node.h"

// Deaths and lives of agents, for tests of recovery.
namespace warren::test {

// An agent that died: what it left on disk and in the kernel.
struct Remains {
  std::unique_ptr<StateDirectory> state;
  FakeKernel kernel;
};
inline Remains Bury(std::unique_ptr<CoreNode> node, const std::string& state) {
  Remains remains;
  remains.kernel = node->kernel();
  node.reset();
  remains.state = StateDirectory::CopyOf(state);
  return remains;
}
inline std::unique_ptr<CoreNode> Revive(const Remains& remains,
                                        const std::string& boot = "boot-1") {
  return std::make_unique<CoreNode>(remains.state->path(), remains.kernel,
                                    boot);
}

// Nothing of any pod is left: kernel, leases, records, holds.
inline void ExpectClean(CoreNode* node, const std::string& state) {
  EXPECT_TRUE(node->kernel().Empty());
  EXPECT_THAT(node->network.leases(), testing::IsEmpty());
  EXPECT_EQ(node->network.misuses(), 0);
  EXPECT_EQ(node->images.holds(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(state + "/sandboxes"));
  EXPECT_TRUE(std::filesystem::is_empty(state + "/containers"));
}

inline void RemoveAll(CoreNode* node) {
  for (const auto& pod : node->sandboxes->List({})) {
    const absl::Status removed = node->sandboxes->Remove(pod.id(), {});
    EXPECT_TRUE(removed.ok()) << removed;
  }
}

}  // namespace warren::test

// The tests of recovery are the agent's.
namespace warren::agent {
using test::Bury;
using test::CoreNode;
using test::ExpectClean;
using test::FakeKernel;
using test::Remains;
using test::RemoveAll;
using test::Revive;
}  // namespace warren::agent

#endif  // WARREN_TESTS_FAKES_REMAINS_H_
