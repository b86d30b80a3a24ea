// ListContainers and StreamContainers: filters and prefixes.
#include <set>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

using Ids = std::set<std::string>;

class ContainerListTest : public CriTest {
 protected:
  // Two pods; in the first a created, a running and an exited container, in
  // the second a running one.
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    const cri::PodSandboxConfig first = Pod("first");
    const cri::PodSandboxConfig second = Pod("second");
    pods_ = {RunPod(first), RunPod(second)};
    auto created = client().CreateContainer(pods_[0], Labelled("a"), first);
    ASSERT_TRUE(created.ok()) << created.status();
    created_ = *created;
    running_ = Run(pods_[0], first, Labelled("b"));
    exited_ = Run(pods_[0], first, Labelled("c"));
    EXPECT_TRUE(client().StopContainer(exited_, 0).ok());
    other_ = Run(pods_[1], second, Labelled("b"));
  }
  static cri::ContainerConfig Labelled(const std::string& name) {
    cri::ContainerConfig config = IdleConfig(name);
    (*config.mutable_labels())["name"] = name;
    (*config.mutable_labels())["all"] = "yes";
    return config;
  }
  // What list and stream agree on.
  Ids Find(const cri::ContainerFilter& filter) {
    Ids listed;
    const auto containers = client().ListContainers(filter);
    EXPECT_TRUE(containers.ok()) << containers.status();
    for (const auto& container : *containers) listed.insert(container.id());
    cri::StreamContainersRequest request;
    *request.mutable_filter() = filter;
    const auto messages =
        client().Stream<cri::StreamContainersResponse>(request);
    EXPECT_TRUE(messages.ok()) << messages.status();
    Ids streamed;
    for (const auto& message : *messages) {
      EXPECT_GE(message.containers_size(), 1);
      for (const auto& container : message.containers()) {
        EXPECT_TRUE(streamed.insert(container.id()).second);
      }
    }
    EXPECT_EQ(listed, streamed);
    return listed;
  }
  static cri::ContainerFilter InState(cri::ContainerState state) {
    cri::ContainerFilter filter;
    filter.mutable_state()->set_state(state);
    return filter;
  }

  std::vector<std::string> pods_;
  std::string created_, running_, exited_, other_;
};

TEST_F(ContainerListTest, AllStatesAreListedWithWhatAKubeletNeeds) {
  EXPECT_EQ(Find({}), Ids({created_, running_, exited_, other_}));
  const auto containers = client().ListContainers();
  ASSERT_TRUE(containers.ok()) << containers.status();
  for (const auto& container : *containers) {
    EXPECT_TRUE(container.has_metadata());
    EXPECT_TRUE(container.has_image());
    EXPECT_FALSE(container.image_ref().empty());
    EXPECT_FALSE(container.image_id().empty());
    EXPECT_GT(container.created_at(), 0);
    EXPECT_EQ(container.labels().at("name"), container.metadata().name());
    EXPECT_EQ(container.pod_sandbox_id(),
              container.id() == other_ ? pods_[1] : pods_[0]);
  }
}

TEST_F(ContainerListTest, ByState) {
  EXPECT_EQ(Find(InState(cri::CONTAINER_CREATED)), Ids({created_}));
  EXPECT_EQ(Find(InState(cri::CONTAINER_RUNNING)), Ids({running_, other_}));
  EXPECT_EQ(Find(InState(cri::CONTAINER_EXITED)), Ids({exited_}));
  EXPECT_EQ(Find(InState(cri::CONTAINER_UNKNOWN)), Ids());
}

TEST_F(ContainerListTest, ByPodLabelAndIdTogether) {
  cri::ContainerFilter filter;
  filter.set_pod_sandbox_id(pods_[0].substr(0, 12));
  EXPECT_EQ(Find(filter), Ids({created_, running_, exited_}));
  (*filter.mutable_label_selector())["name"] = "b";
  EXPECT_EQ(Find(filter), Ids({running_}));
  (*filter.mutable_label_selector())["all"] = "no";
  EXPECT_EQ(Find(filter), Ids());
  cri::ContainerFilter by_id;
  by_id.set_id(other_.substr(0, 13));
  EXPECT_EQ(Find(by_id), Ids({other_}));
  by_id.set_pod_sandbox_id(pods_[0]);
  EXPECT_EQ(Find(by_id), Ids());
  cri::ContainerFilter unknown;
  unknown.set_pod_sandbox_id(std::string(64, 'f'));
  EXPECT_EQ(Find(unknown), Ids());
}

TEST_F(ContainerListTest, CallsTakeUniquePrefixes) {
  const std::string prefix = running_.substr(0, 13);
  EXPECT_EQ(StatusOf(prefix).id(), running_);
  EXPECT_EQ(ShellOutput(prefix, "echo hi"), "hi\n");
  EXPECT_TRUE(client().StopContainer(prefix, 0).ok());
  EXPECT_EQ(StatusOf(running_).state(), cri::CONTAINER_EXITED);
  EXPECT_TRUE(client().RemoveContainer(prefix).ok());
  EXPECT_CODE(client().ContainerStatus(running_).status(), kNotFound);
}

TEST_F(ContainerListTest, AmbiguousPrefixesAreErrors) {
  const cri::PodSandboxConfig pod = Pod("first");
  std::set<char> seen;
  std::string prefix;
  for (int i = 0; prefix.empty(); ++i) {
    const auto id = client().CreateContainer(
        pods_[0], Labelled("x" + std::to_string(i)), pod);
    ASSERT_TRUE(id.ok()) << id.status();
    if (!seen.insert((*id)[0]).second) prefix = id->substr(0, 1);
  }
  for (const absl::Status& status :
       {client().ContainerStatus(prefix).status(),
        client().StartContainer(prefix), client().StopContainer(prefix, 0),
        client().RemoveContainer(prefix),
        client().ExecSync(prefix, {"true"}).status()}) {
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.code(), absl::StatusCode::kNotFound) << status;
  }
}

}  // namespace
}  // namespace warren::test
