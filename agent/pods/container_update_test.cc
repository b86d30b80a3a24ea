// UpdateContainerResources on fakes: what is merged, what is refused, what a
// failure or a crash leaves.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "agent/pods/container_manager.h"
#include "tests/fakes/remains.h"

namespace warren::agent {
namespace {

using test::StateDirectory;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

cri::UpdateContainerResourcesRequest Request(const std::string& id,
                                             const std::string& resources) {
  cri::UpdateContainerResourcesRequest request;
  request.set_container_id(id);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      resources, request.mutable_linux()));
  return request;
}

class ContainerUpdateTest : public testing::Test {
 protected:
  ContainerUpdateTest() { pod_ = node_->MustRunPod("web"); }

  std::string Create(const std::string& resources) {
    auto request =
        test::ContainerRequest(pod_, test::PodRequest("web").config(), "app");
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        resources,
        request.mutable_config()->mutable_linux()->mutable_resources()));
    auto id = node_->containers->Create(request, {});
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or("");
  }
  absl::Status Update(const std::string& id, const std::string& resources) {
    return node_->containers->UpdateResources(Request(id, resources), {});
  }
  std::string Shown(const std::string& id) {
    return node_->ContainerStatus(id).resources().linux().ShortDebugString();
  }
  runtime::Resources InKernel(const std::string& id) {
    return node_->kernel().containers.at(id).resources;
  }
  Remains Die() { return Bury(std::move(node_), state_.path()); }

  StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
  std::string pod_;
};

TEST_F(ContainerUpdateTest, GivenFieldsChangeAndTheRestStays) {
  const char* first =
      "cpu_period: 100000 cpu_quota: 5000 cpu_shares: 10 "
      "memory_limit_in_bytes: 1000000 oom_score_adj: 5 cpuset_cpus: '0' "
      "hugepage_limits { page_size: '2MB' limit: 1 } "
      "unified { key: 'memory.high' value: '7' } "
      "memory_swap_limit_in_bytes: 2000000";
  struct Case {
    const char* update;
    const char* result;
  };
  const std::vector<Case> cases = {
      {"", first},
      {"cpu_shares: 20 cpuset_mems: '0' oom_score_adj: 900",
       "cpu_period: 100000 cpu_quota: 5000 cpu_shares: 20 "
       "memory_limit_in_bytes: 1000000 oom_score_adj: 5 cpuset_cpus: '0' "
       "cpuset_mems: '0' hugepage_limits { page_size: '2MB' limit: 1 } "
       "unified { key: 'memory.high' value: '7' } "
       "memory_swap_limit_in_bytes: 2000000"},
      // Swap follows memory.
      {"memory_limit_in_bytes: 3000000 cpu_quota: -1 cpu_period: 50000",
       "cpu_period: 50000 cpu_quota: -1 cpu_shares: 10 "
       "memory_limit_in_bytes: 3000000 oom_score_adj: 5 cpuset_cpus: '0' "
       "hugepage_limits { page_size: '2MB' limit: 1 } "
       "unified { key: 'memory.high' value: '7' }"},
      {"memory_swap_limit_in_bytes: 1500000 cpuset_cpus: '1-2' "
       "hugepage_limits { page_size: '2MB' } "
       "hugepage_limits { page_size: '1GB' limit: 4 } "
       "unified { key: 'memory.high' value: '8' }",
       "cpu_period: 100000 cpu_quota: 5000 cpu_shares: 10 "
       "memory_limit_in_bytes: 1000000 oom_score_adj: 5 cpuset_cpus: '1-2' "
       "hugepage_limits { page_size: '2MB' } "
       "hugepage_limits { page_size: '1GB' limit: 4 } "
       "unified { key: 'memory.high' value: '8' } "
       "memory_swap_limit_in_bytes: 1500000"},
  };
  for (const Case& c : cases) {
    const std::string id = Create(first);
    const absl::Status updated = Update(id, c.update);
    ASSERT_TRUE(updated.ok()) << updated;
    EXPECT_EQ(Shown(id), Request("", c.result).linux().ShortDebugString())
        << c.update;
    EXPECT_EQ(InKernel(id).cpu_shares,
              node_->ContainerStatus(id).resources().linux().cpu_shares());
    EXPECT_EQ(InKernel(id).oom_score_adj, 5);
    ASSERT_TRUE(node_->containers->Remove(id, {}).ok());
  }
}

TEST_F(ContainerUpdateTest, CreatedAndRunningOnly) {
  const std::string id = Create("");
  EXPECT_TRUE(Update(id, "cpu_shares: 3").ok());
  ASSERT_TRUE(node_->containers->Start(id, {}).ok());
  EXPECT_TRUE(Update(id, "cpu_shares: 4").ok());
  EXPECT_EQ(InKernel(id).cpu_shares, 4);
  node_->runtime.Exit(id, {0, 0, false, 1});
  node_->AwaitExit(id);
  EXPECT_TRUE(absl::IsFailedPrecondition(Update(id, "cpu_shares: 5")));
  EXPECT_EQ(Shown(id), "cpu_shares: 4");
  EXPECT_TRUE(absl::IsNotFound(Update(std::string(64, 'f'), "")));
  EXPECT_TRUE(absl::IsInvalidArgument(Update("", "")));
}

TEST_F(ContainerUpdateTest, BadValuesNameTheFieldAndChangeNothing) {
  const std::string id = Create("memory_limit_in_bytes: 1000000");
  node_->faults.ClearCalls();
  for (const char* bad :
       {"cpu_shares: -1", "cpu_quota: 500", "cpu_period: 10",
        "memory_limit_in_bytes: -2", "memory_swap_limit_in_bytes: 500",
        "memory_limit_in_bytes: 524287",
        "memory_limit_in_bytes: 9 memory_swap_limit_in_bytes: 5",
        "memory_limit_in_bytes: -1 memory_swap_limit_in_bytes: 5",
        "cpuset_cpus: 'a'", "cpuset_mems: '0;1'",
        "hugepage_limits { page_size: '../2MB' }",
        "unified { key: '../memory.max' value: '1' }"}) {
    const absl::Status status = Update(id, bad);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), StartsWith("linux.")) << bad;
  }
  auto request = Request(id, "cpu_shares: 9");
  (*request.mutable_annotations())["fast"] = "please";
  const absl::Status annotated =
      node_->containers->UpdateResources(request, {});
  EXPECT_TRUE(absl::IsInvalidArgument(annotated));
  EXPECT_THAT(std::string(annotated.message()), StartsWith("annotations: "));
  EXPECT_EQ(node_->faults.Count("Runtime.UpdateResources"), 0);
  EXPECT_EQ(Shown(id), "memory_limit_in_bytes: 1000000");
}

TEST_F(ContainerUpdateTest, AFailureOfTheKernelChangesNothing) {
  const std::string id = Create("cpu_shares: 10");
  node_->faults.Fail("Runtime.UpdateResources");
  EXPECT_THAT(std::string(Update(id, "cpu_shares: 20").message()),
              HasSubstr("ordered failure"));
  EXPECT_EQ(Shown(id), "cpu_shares: 10");
  const Remains remains = Die();
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(next->ContainerStatus(id).resources().linux().cpu_shares(), 10);
  EXPECT_EQ(next->faults.Count("Runtime.UpdateResources"), 0)
      << "no intent was left";
}

// The agent dies right behind the kernel's change: nobody was told that it
// worked, and afterwards it has not.
TEST_F(ContainerUpdateTest, REL_3_AnUpdateCutShortIsTakenBack) {
  const std::string id = Create("cpu_shares: 10");
  ASSERT_TRUE(node_->containers->Start(id, {}).ok());
  std::vector<Remains> crashes;
  node_->faults.Observe([&](const std::string& step) {
    if (step != "Runtime.UpdateResources") return;
    for (int copy = 0; copy < 2; ++copy) {
      crashes.push_back(
          {StateDirectory::CopyOf(state_.path()), node_->kernel()});
    }
  });
  EXPECT_TRUE(Update(id, "cpu_shares: 20 memory_limit_in_bytes: 7000000").ok());
  node_->faults.Observe(nullptr);
  ASSERT_EQ(crashes.size(), 2u);
  EXPECT_EQ(crashes[0].kernel.containers.at(id).resources.cpu_shares, 20);
  {
    const auto next = Revive(crashes[0]);
    EXPECT_THAT(next->Reconcile()->problems, IsEmpty());
    const runtime::Resources after = next->kernel().containers.at(id).resources;
    EXPECT_EQ(after.cpu_shares, 10);
    EXPECT_EQ(after.memory_limit_bytes, 0);
    EXPECT_EQ(next->ContainerStatus(id).resources().linux().cpu_shares(), 10);
    EXPECT_TRUE(
        next->containers->UpdateResources(Request(id, "cpu_shares: 30"), {})
            .ok());
  }
  // Where the old limits are refused by now, the new ones are kept.
  const auto next = Revive(crashes[1]);
  next->faults.Fail("Runtime.UpdateResources", 1);
  EXPECT_THAT(next->Reconcile()->problems, IsEmpty());
  EXPECT_EQ(next->kernel().containers.at(id).resources.cpu_shares, 20);
  EXPECT_EQ(next->ContainerStatus(id).resources().linux().cpu_shares(), 20);
}

TEST_F(ContainerUpdateTest, REL_15_ADiskThatFailsChangesNothing) {
  const std::string id = Create("cpu_shares: 10");
  const std::string directory = state_.path() + "/containers/" + id;
  bool spoilt = false;
  // Behind the kernel's change: it is taken back.
  node_->faults.Observe([&](const std::string& step) {
    if (step != "Runtime.UpdateResources" || spoilt) return;
    spoilt = true;
    EXPECT_EQ(InKernel(id).cpu_shares, 20);
    std::filesystem::remove_all(directory);
    std::ofstream(directory) << "in the way";
  });
  EXPECT_FALSE(Update(id, "cpu_shares: 20").ok());
  EXPECT_EQ(InKernel(id).cpu_shares, 10);
  EXPECT_EQ(Shown(id), "cpu_shares: 10");
  // Before it: it is not tried.
  node_->faults.ClearCalls();
  EXPECT_FALSE(Update(id, "cpu_shares: 20").ok());
  EXPECT_EQ(node_->faults.Count("Runtime.UpdateResources"), 0);
  EXPECT_EQ(Shown(id), "cpu_shares: 10");
}

TEST_F(ContainerUpdateTest, REL_1_UpdatedLimitsAreThoseOfTheNextAgent) {
  const std::string id = Create("cpu_shares: 10");
  EXPECT_TRUE(Update(id, "cpu_shares: 20").ok());
  const Remains remains = Die();
  const auto next = Revive(remains);
  EXPECT_THAT(next->Reconcile()->problems, IsEmpty());
  // Adopted before its start: the cgroup is made anew with what was updated.
  EXPECT_EQ(next->kernel().containers.at(id).resources.cpu_shares, 20);
  EXPECT_TRUE(next->containers->Start(id, {}).ok());
  EXPECT_EQ(next->ContainerStatus(id).resources().linux().cpu_shares(), 20);
}

TEST_F(ContainerUpdateTest, UpdatesOfOneContainerComeOneAfterTheOther) {
  const std::string id = Create("");
  ASSERT_TRUE(node_->containers->Start(id, {}).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 20; ++n) {
        EXPECT_TRUE(Update(id, "cpu_shares: " + std::to_string(10 + i)).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(node_->runtime.overlaps(), 0);
  EXPECT_EQ(InKernel(id).cpu_shares,
            node_->ContainerStatus(id).resources().linux().cpu_shares());
}

}  // namespace
}  // namespace warren::agent
