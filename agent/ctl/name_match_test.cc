#include "agent/ctl/name_match.h"

#include <gtest/gtest.h>

namespace warren::agent::ctl {
namespace {

void Add(cri::ListPodSandboxResponse* pods, const char* id, const char* name,
         cri::PodSandboxState state) {
  cri::PodSandbox* pod = pods->add_items();
  pod->set_id(id);
  pod->mutable_metadata()->set_name(name);
  pod->mutable_metadata()->set_namespace_("ns");
  pod->set_state(state);
}

cri::ListPodSandboxResponse Pods() {
  cri::ListPodSandboxResponse pods;
  Add(&pods, "aa11", "web", cri::SANDBOX_NOTREADY);
  Add(&pods, "aa22", "web", cri::SANDBOX_READY);
  Add(&pods, "bb33", "db", cri::SANDBOX_READY);
  Add(&pods, "cc44", "old", cri::SANDBOX_NOTREADY);
  Add(&pods, "cc55", "old", cri::SANDBOX_NOTREADY);
  return pods;
}

TEST(NameMatch, ReadyPodWinsItsName) {
  EXPECT_EQ(MatchPod(Pods(), "web")->id(), "aa22");
  EXPECT_EQ(MatchPod(Pods(), "ns/web")->id(), "aa22");
}

TEST(NameMatch, IdAndUniquePrefix) {
  EXPECT_EQ(MatchPod(Pods(), "aa11")->id(), "aa11");
  EXPECT_EQ(MatchPod(Pods(), "b")->id(), "bb33");
}

TEST(NameMatch, AmbiguousIsAnError) {
  EXPECT_TRUE(absl::IsInvalidArgument(MatchPod(Pods(), "aa").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(MatchPod(Pods(), "old").status()));
}

TEST(NameMatch, NothingFits) {
  EXPECT_TRUE(absl::IsNotFound(MatchPod(Pods(), "zz").status()));
  EXPECT_TRUE(absl::IsNotFound(MatchPod(Pods(), "").status()));
}

}  // namespace
}  // namespace warren::agent::ctl
