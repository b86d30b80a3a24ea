#include "agent/pods/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

class InspectionTest : public testing::Test {
 protected:
  auto Inspect(const std::string& id) {
    return InspectPodSandbox(id, *node_.store, &node_.runtime, &node_.network);
  }

  test::StateDirectory state_;
  test::CoreNode node_{state_.path()};
};

TEST_F(InspectionTest, ReadyPodShowsKernelFacts) {
  const std::string pod = node_.MustRunPod("web");
  node_.MustStart(pod, "app");
  node_.MustCreate(pod, "later");
  const auto view = Inspect(pod.substr(0, 12));
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->pod().id(), pod);
  EXPECT_EQ(view->pod().name(), "web");
  EXPECT_EQ(view->pod().state(), "READY");
  EXPECT_EQ(view->pod().hostname(), "host-1");
  ASSERT_EQ(view->pod().namespaces_size(), 1);
  EXPECT_EQ(view->pod().namespaces(0).kind(), "net");
  EXPECT_EQ(view->pod().namespaces(0).mode(), "pod");
  EXPECT_EQ(view->pod().interfaces(0).addresses(0), "10.1.0.1/16");
  EXPECT_EQ(view->pod().routes(0).destination(), "default");
  EXPECT_THAT(view->pod().host_ifname(), Not(IsEmpty()));
  EXPECT_THAT(view->pod().timings(), Not(IsEmpty()));
  ASSERT_EQ(view->containers_size(), 2);
  EXPECT_EQ(view->containers(0).name(), "app");
  EXPECT_EQ(view->containers(0).state(), "CONTAINER_RUNNING");
  EXPECT_EQ(view->containers(0).processes(0).inner_pid(), 1);
  EXPECT_THAT(view->containers(0).timings(), Not(IsEmpty()));
  EXPECT_EQ(view->containers(1).state(), "CONTAINER_CREATED");
  EXPECT_EQ(view->containers(1).processes_size(), 0);
  EXPECT_EQ(view->host_namespaces_size(), 8);
  for (const auto& host : view->host_namespaces()) {
    EXPECT_GT(host.inode(), 0u) << host.kind();
  }
}

TEST_F(InspectionTest, StoppedPodShowsWhatIsOnRecord) {
  const std::string pod = node_.MustRunPod("web");
  ASSERT_TRUE(node_.sandboxes->Stop(pod, {}).ok());
  const auto view = Inspect(pod);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->pod().state(), "NOTREADY");
  EXPECT_EQ(view->pod().namespaces_size(), 0);
}

TEST_F(InspectionTest, Errors) {
  EXPECT_TRUE(absl::IsNotFound(Inspect(std::string(64, '0')).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Inspect("").status()));
  const std::string pod = node_.MustRunPod("web");
  node_.faults.Fail("Runtime.InspectSandbox");
  EXPECT_TRUE(absl::IsInternal(Inspect(pod).status()));
}

}  // namespace
}  // namespace warren::agent
