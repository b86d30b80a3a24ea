// ListPodSandbox and StreamPodSandboxes: filters, prefixes, order of nothing.
#include <set>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class PodListTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    for (const char* name : {"one", "two", "three"}) {
      cri::PodSandboxConfig config = Pod(name);
      (*config.mutable_labels())["app"] = name;
      (*config.mutable_labels())["tier"] = "web";
      ids_.push_back(RunPod(config));
    }
    EXPECT_TRUE(client().StopPodSandbox(ids_[2]).ok());
  }
  std::set<std::string> Listed(const cri::PodSandboxFilter& filter) {
    std::set<std::string> ids;
    const auto pods = client().ListPodSandbox(filter);
    EXPECT_TRUE(pods.ok()) << pods.status();
    for (const auto& pod : *pods) ids.insert(pod.id());
    return ids;
  }
  std::set<std::string> Streamed(const cri::PodSandboxFilter& filter) {
    cri::StreamPodSandboxesRequest request;
    *request.mutable_filter() = filter;
    const auto messages =
        client().Stream<cri::StreamPodSandboxesResponse>(request);
    EXPECT_TRUE(messages.ok()) << messages.status();
    std::set<std::string> ids;
    for (const auto& message : *messages) {
      EXPECT_GE(message.pod_sandboxes_size(), 1);
      for (const auto& pod : message.pod_sandboxes()) {
        EXPECT_TRUE(ids.insert(pod.id()).second) << "each item once";
      }
    }
    return ids;
  }
  // What list and stream agree on.
  std::set<std::string> Find(const cri::PodSandboxFilter& filter) {
    const std::set<std::string> ids = Listed(filter);
    EXPECT_EQ(Streamed(filter), ids);
    return ids;
  }

  std::vector<std::string> ids_;
};

using Ids = std::set<std::string>;

TEST_F(PodListTest, NoFilterShowsAllWithTheirData) {
  EXPECT_EQ(Find({}), Ids(ids_.begin(), ids_.end()));
  const auto pods = client().ListPodSandbox();
  ASSERT_TRUE(pods.ok()) << pods.status();
  for (const auto& pod : *pods) {
    EXPECT_GT(pod.created_at(), 0);
    EXPECT_EQ(pod.metadata().name(), pod.labels().at("app"));
    EXPECT_EQ(pod.state(),
              pod.id() == ids_[2] ? cri::SANDBOX_NOTREADY : cri::SANDBOX_READY);
  }
}

TEST_F(PodListTest, StateFiltersOnlyWhenItIsPresent) {
  cri::PodSandboxFilter ready;
  ready.mutable_state()->set_state(cri::SANDBOX_READY);
  EXPECT_EQ(Find(ready), Ids({ids_[0], ids_[1]}));
  cri::PodSandboxFilter not_ready;
  not_ready.mutable_state()->set_state(cri::SANDBOX_NOTREADY);
  EXPECT_EQ(Find(not_ready), Ids({ids_[2]}));
}

TEST_F(PodListTest, LabelsMustAllMatch) {
  cri::PodSandboxFilter filter;
  (*filter.mutable_label_selector())["tier"] = "web";
  EXPECT_EQ(Find(filter).size(), 3u);
  (*filter.mutable_label_selector())["app"] = "two";
  EXPECT_EQ(Find(filter), Ids({ids_[1]}));
  (*filter.mutable_label_selector())["app"] = "tw";
  EXPECT_EQ(Find(filter), Ids());
  cri::PodSandboxFilter absent;
  (*absent.mutable_label_selector())["none"] = "";
  EXPECT_EQ(Find(absent), Ids());
}

TEST_F(PodListTest, GivenFieldsAreAnded) {
  cri::PodSandboxFilter filter;
  filter.set_id(ids_[0]);
  filter.mutable_state()->set_state(cri::SANDBOX_NOTREADY);
  EXPECT_EQ(Find(filter), Ids());
  filter.mutable_state()->set_state(cri::SANDBOX_READY);
  EXPECT_EQ(Find(filter), Ids({ids_[0]}));
}

TEST_F(PodListTest, IdsMayBeUniquePrefixes) {
  cri::PodSandboxFilter filter;
  filter.set_id(ids_[1].substr(0, 13));
  EXPECT_EQ(Find(filter), Ids({ids_[1]}));
  EXPECT_EQ(client().PodSandboxStatus(ids_[1].substr(0, 13))->status().id(),
            ids_[1]);
  EXPECT_EQ(client().InspectPodSandbox(ids_[1].substr(0, 13))->pod().id(),
            ids_[1]);
  filter.set_id("ffffffffffffffffffff");
  EXPECT_EQ(Find(filter), Ids());
}

TEST_F(PodListTest, AmbiguousPrefixesAreErrorsButNotNotFound) {
  // 17 pods: two of them share their first digit.
  while (ids_.size() < 17) {
    ids_.push_back(RunPod(Pod("more-" + std::to_string(ids_.size()))));
    ASSERT_FALSE(HasFailure());
  }
  std::set<char> seen;
  std::string prefix;
  for (const std::string& id : ids_) {
    if (!seen.insert(id[0]).second) prefix = id.substr(0, 1);
  }
  ASSERT_FALSE(prefix.empty());
  const absl::Status status = client().PodSandboxStatus(prefix).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_FALSE(client().StopPodSandbox(prefix).ok());
  EXPECT_FALSE(client().RemovePodSandbox(prefix).ok());
  cri::PodSandboxFilter filter;
  filter.set_id(prefix);
  EXPECT_EQ(Find(filter), Ids());
}

}  // namespace
}  // namespace warren::test
