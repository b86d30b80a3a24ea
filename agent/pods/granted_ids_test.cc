// User namespaces for everybody: what pods get that ask for none, also after
// a crash at any moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "agent/pods/reconciler.h"
#include "tests/fakes/remains.h"

namespace warren::agent {
namespace {

using test::StateDirectory;

constexpr uint32_t kStart = 1 << 24;
constexpr IdSpan kPool = {kStart, 3 * kIdsOfAPod};

std::unique_ptr<CoreNode> Node(const std::string& state, FakeKernel kernel = {},
                               bool grant = true) {
  return std::make_unique<CoreNode>(state, std::move(kernel), "boot-1",
                                    NodePolicy{.grant_ids = grant}, kPool);
}

// Host id of root in the pod; 0 = it is the node's root.
uint32_t RootOf(const CoreNode& node, const std::string& pod) {
  const auto spec = (*node.store->FindSandbox(pod))->Get()->spec;
  return spec->uid_mappings.empty() ? 0 : spec->uid_mappings[0].host_id;
}

cri::RunPodSandboxRequest Chosen(const std::string& name, uint32_t start) {
  cri::RunPodSandboxRequest request = test::PodRequest(name);
  cri::UserNamespace* users = request.mutable_config()
                                  ->mutable_linux()
                                  ->mutable_security_context()
                                  ->mutable_namespace_options()
                                  ->mutable_userns_options();
  for (cri::IDMapping* mapping : {users->add_uids(), users->add_gids()}) {
    mapping->set_host_id(start);
    mapping->set_length(kIdsOfAPod);
  }
  return request;
}

TEST(GrantedIds, EachPodHasItsOwnUntilThereAreNone) {
  StateDirectory state;
  const auto node = Node(state.path());
  std::map<uint32_t, std::string> owners;
  for (const char* name : {"a", "b", "c"}) {
    const std::string pod = node->MustRunPod(name);
    EXPECT_TRUE(owners.emplace(RootOf(*node, pod), pod).second);
  }
  EXPECT_EQ(owners.count(0), 0u);
  const auto refused = node->RunPod("d");
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_EQ(node->sandboxes->List({}).size(), 3u) << "nothing stays of it";
  // The name of one that has a range is no new pod.
  EXPECT_TRUE(node->RunPod("a").ok());
  // Stopping is enough to give it back.
  const auto& [range, owner] = *owners.begin();
  EXPECT_TRUE(node->sandboxes->Stop(owner, {}).ok());
  const std::string d = node->MustRunPod("d");
  EXPECT_EQ(RootOf(*node, d), range);
  // The stopped one gives back nothing that is no more its own.
  EXPECT_TRUE(node->sandboxes->Remove(owner, {}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(node->RunPod("e").status()));
  test::RemoveAll(node.get());
  ExpectClean(node.get(), state.path());
}

TEST(GrantedIds, ContainersLiveInThem) {
  StateDirectory state;
  const auto node = Node(state.path());
  const std::string pod = node->MustRunPod("a");
  const std::string id = node->MustStart(pod, "app");
  const auto container = *node->store->FindContainer(id);
  EXPECT_EQ(container->Get()->spec->sandbox.uid_mappings[0].host_id,
            RootOf(*node, pod));
  // The status says what was asked for.
  const auto status = node->sandboxes->Status(pod, false);
  EXPECT_FALSE(
      status->status().linux().namespaces().options().has_userns_options());
}

TEST(GrantedIds, NobodyIsGrantedAnythingUnlessConfigured) {
  StateDirectory state;
  const auto node = Node(state.path(), {}, false);
  EXPECT_EQ(RootOf(*node, node->MustRunPod("a")), 0u);
}

TEST(GrantedIds, RangesThatAKubeletChoseAreLeftAlone) {
  StateDirectory state;
  const auto node = Node(state.path());
  ASSERT_TRUE(node->sandboxes->Run(Chosen("k", kStart + kIdsOfAPod), {}).ok());
  const std::string a = node->MustRunPod("a");
  const std::string b = node->MustRunPod("b");
  EXPECT_NE(RootOf(*node, a), kStart + kIdsOfAPod);
  EXPECT_NE(RootOf(*node, b), kStart + kIdsOfAPod);
  EXPECT_TRUE(absl::IsResourceExhausted(node->RunPod("c").status()));
  // And it cannot choose what somebody was granted.
  const auto taken =
      node->sandboxes->Run(Chosen("l", RootOf(*node, a)), {}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(taken)) << taken;
  EXPECT_THAT(std::string(taken.message()),
              testing::HasSubstr("userns_options"));
}

TEST(GrantedIds, AFailedPodGivesThemBackAndAHalfUndoneOneKeepsThem) {
  StateDirectory state;
  const auto node = Node(state.path());
  for (int i = 0; i < 5; ++i) {
    node->faults.Fail("Runtime.CreateSandbox");
    EXPECT_FALSE(node->RunPod("a").ok());
  }
  node->faults.Fail("Network.Attach");
  node->faults.Fail("Runtime.RemoveSandbox");
  EXPECT_FALSE(node->RunPod("half").ok());
  node->MustRunPod("a");
  node->MustRunPod("b");
  EXPECT_TRUE(absl::IsResourceExhausted(node->RunPod("c").status()));
  for (const auto& pod : node->sandboxes->List({})) {
    if (pod.state() == cri::SANDBOX_NOTREADY) {
      EXPECT_TRUE(node->sandboxes->Remove(pod.id(), {}).ok());
    }
  }
  node->MustRunPod("c");
}

TEST(GrantedIds, REL_3_NoneIsLostOrDoubledByACrash) {
  StateDirectory state;
  const auto node = Node(state.path());
  node->MustRunPod("stays");
  std::vector<std::pair<std::string, Remains>> crashes;
  const auto observe = [&](const std::string& point) {
    crashes.emplace_back(
        point, Remains{StateDirectory::CopyOf(state.path()), node->kernel()});
  };
  node->faults.Observe(observe);
  const std::string pod = node->MustRunPod("web");
  observe("ran");
  EXPECT_TRUE(node->sandboxes->Stop(pod, {}).ok());
  observe("stopped");
  const std::string next_pod = node->MustRunPod("next");
  EXPECT_TRUE(node->sandboxes->Remove(pod, {}).ok());
  EXPECT_TRUE(node->sandboxes->Remove(next_pod, {}).ok());
  node->faults.Observe(nullptr);
  EXPECT_GE(crashes.size(), 12u);
  for (const auto& [point, remains] : crashes) {
    SCOPED_TRACE(point);
    // The switch is off at the restart: those that have ids keep them.
    const auto next = Node(remains.state->path(), remains.kernel,
                           point == "ran" ? false : true);
    const auto report = next->Reconcile();
    ASSERT_TRUE(report.ok()) << report.status();
    std::map<uint32_t, std::string> owners;
    size_t ready = 0;
    for (const auto& listed : next->sandboxes->List({})) {
      if (listed.state() != cri::SANDBOX_READY) continue;
      ++ready;
      const uint32_t root = RootOf(*next, listed.id());
      EXPECT_NE(root, 0u);
      EXPECT_TRUE(owners.emplace(root, listed.id()).second);
    }
    if (point == "ran") {
      EXPECT_EQ(ready, 2u);
      continue;
    }
    // What is left can be granted, to the last range.
    for (; ready < 3; ++ready) {
      const auto more = next->RunPod("more" + std::to_string(ready));
      ASSERT_TRUE(more.ok()) << more.status();
      EXPECT_TRUE(owners.emplace(RootOf(*next, *more), *more).second);
    }
    EXPECT_TRUE(absl::IsResourceExhausted(next->RunPod("one more").status()));
    test::RemoveAll(next.get());
    ExpectClean(next.get(), remains.state->path());
  }
}

}  // namespace
}  // namespace warren::agent
