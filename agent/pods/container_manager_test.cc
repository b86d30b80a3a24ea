#include "agent/pods/container_manager.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "agent/cri/ids.h"
#include "runtime/base/file.h"
#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using test::ContainerRequest;
using test::CoreNode;
using test::PodRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ContainerManagerTest : public testing::Test {
 protected:
  ContainerManagerTest() { pod_ = node_.MustRunPod("web"); }

  cri::CreateContainerRequest Request(const std::string& name) {
    return ContainerRequest(pod_, PodRequest("web").config(), name);
  }
  std::vector<std::string> List(const cri::ContainerFilter& filter = {}) {
    std::vector<std::string> ids;
    for (const auto& item : node_.containers->List(filter)) {
      ids.push_back(item.id());
    }
    return ids;
  }
  void ExpectNoContainerLeft() {
    EXPECT_THAT(node_.kernel().containers, IsEmpty());
    EXPECT_THAT(List(), IsEmpty());
    EXPECT_EQ(node_.images.holds(), 0);
    EXPECT_THAT(*base::ListDir(AT_FDCWD, state_.path() + "/containers"),
                IsEmpty());
  }

  test::StateDirectory state_;
  CoreNode node_{state_.path()};
  std::string pod_;
};

TEST_F(ContainerManagerTest, MandatoryStatusFields) {
  const auto id = node_.Create(pod_, "app");
  ASSERT_TRUE(id.ok()) << id.status();
  const cri::ContainerStatus status = node_.ContainerStatus(*id);
  EXPECT_EQ(status.id(), *id);
  EXPECT_EQ(status.metadata().name(), "app");
  EXPECT_EQ(status.state(), cri::CONTAINER_CREATED);
  EXPECT_GT(status.created_at(), 0);
  EXPECT_EQ(status.started_at(), 0);
  EXPECT_EQ(status.finished_at(), 0);
  EXPECT_EQ(status.image().image(), "docker.io/library/app:1");
  EXPECT_EQ(status.image_ref(), test::TestImage().repo_digests[0]);
  EXPECT_EQ(status.image_id(), test::TestImage().id);
  EXPECT_EQ(status.log_path(), "/var/log/pods/web/app/0.log");
  EXPECT_EQ(status.labels().at("tier"), "app");
  EXPECT_EQ(status.stop_signal(), cri::SIGNAL_SIGTERM);
  EXPECT_TRUE(status.user().has_linux());
}

TEST_F(ContainerManagerTest, LifeOfAContainer) {
  const std::string id = node_.MustCreate(pod_, "app");
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  cri::ContainerStatus status = node_.ContainerStatus(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_RUNNING);
  EXPECT_GT(status.started_at(), 0);
  EXPECT_EQ(status.finished_at(), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.containers->Start(id, {})));
  node_.runtime.Exit(id, {3, 0, false, 1'700'000'000'000'000'007});
  status = node_.AwaitExit(id);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.reason(), "Error");
  EXPECT_GE(status.finished_at(), status.started_at());
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.containers->Start(id, {})));
  ASSERT_TRUE(node_.containers->Remove(id, {}).ok());
  EXPECT_TRUE(absl::IsNotFound(node_.containers->Status(id, false).status()));
  ExpectNoContainerLeft();
  EXPECT_EQ(node_.runtime.overlaps(), 0);
}

TEST_F(ContainerManagerTest, AnExitBeforeStartReturnsIsNotLost) {
  node_.runtime.SetManners({.exit_at_once = true});
  const std::string id = node_.MustStart(pod_, "app");
  const cri::ContainerStatus status = node_.ContainerStatus(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_GT(status.started_at(), 0);
  EXPECT_GE(status.finished_at(), status.started_at());
}

TEST_F(ContainerManagerTest, FailedStartIsAnExitWithStartError) {
  const std::string id = node_.MustCreate(pod_, "app");
  node_.faults.Fail("Runtime.StartContainer");
  const absl::Status failed = node_.containers->Start(id, {});
  EXPECT_THAT(std::string(failed.message()),
              HasSubstr("ordered failure of Runtime.StartContainer"));
  const cri::ContainerStatus status = node_.ContainerStatus(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 128);
  EXPECT_EQ(status.reason(), "StartError");
  EXPECT_THAT(status.message(), HasSubstr("ordered failure"));
  EXPECT_EQ(status.started_at(), 0);
  EXPECT_GT(status.finished_at(), 0);
  EXPECT_TRUE(node_.containers->Remove(id, {}).ok());
  ExpectNoContainerLeft();
}

TEST_F(ContainerManagerTest, REL_7_EveryFailingStepOfCreateLeavesNothing) {
  for (const char* step : {"Images.Hold", "Runtime.CreateContainer"}) {
    node_.faults.Fail(step);
    EXPECT_FALSE(node_.Create(pod_, "app").ok()) << step;
    ExpectNoContainerLeft();
  }
  EXPECT_TRUE(node_.Create(pod_, "app").ok());
}

TEST_F(ContainerManagerTest, BadRequests) {
  cri::CreateContainerRequest request = Request("app");
  request.set_pod_sandbox_id(std::string(64, '0'));
  EXPECT_TRUE(absl::IsNotFound(node_.containers->Create(request, {}).status()));
  request = Request("");
  EXPECT_THAT(
      std::string(node_.containers->Create(request, {}).status().message()),
      HasSubstr("config.metadata.name"));
  request = Request("app");
  request.clear_sandbox_config();
  EXPECT_THAT(
      std::string(node_.containers->Create(request, {}).status().message()),
      HasSubstr("sandbox_config.metadata"));
  request = Request("app");
  request.mutable_sandbox_config()->mutable_metadata()->set_uid("other");
  EXPECT_TRUE(
      absl::IsInvalidArgument(node_.containers->Create(request, {}).status()));
  request = Request("app");
  request.mutable_config()->clear_image();
  EXPECT_THAT(
      std::string(node_.containers->Create(request, {}).status().message()),
      HasSubstr("config.image.image"));
  request = Request("app");
  request.mutable_config()->mutable_image()->set_image("absent:1");
  const auto absent = node_.containers->Create(request, {});
  EXPECT_TRUE(absl::IsNotFound(absent.status()));
  EXPECT_THAT(std::string(absent.status().message()),
              HasSubstr("image \"absent:1\" is not present"));
  ExpectNoContainerLeft();
}

TEST_F(ContainerManagerTest, NeedsAReadyPod) {
  const std::string id = node_.MustCreate(pod_, "app");
  ASSERT_TRUE(node_.sandboxes->Stop(pod_, {}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.Create(pod_, "late").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.containers->Start(id, {})));
}

TEST_F(ContainerManagerTest, REL_6_TheSameNameAgainIsTheSameContainer) {
  const std::string id = node_.MustCreate(pod_, "app");
  EXPECT_EQ(*node_.Create(pod_, "app"), id);
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  EXPECT_EQ(*node_.Create(pod_, "app"), id);
  ASSERT_TRUE(node_.containers->Stop(id, 0, {}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(node_.Create(pod_, "app").status()));
  cri::CreateContainerRequest next = Request("app");
  next.mutable_config()->mutable_metadata()->set_attempt(1);
  EXPECT_NE(*node_.containers->Create(next, {}), id);
}

TEST_F(ContainerManagerTest, REL_6_ATakenNameIsNoPassForABadRequest) {
  const std::string id = node_.MustCreate(pod_, "app");
  cri::CreateContainerRequest bad = Request("app");
  bad.mutable_config()->set_log_path("../elsewhere.log");
  EXPECT_TRUE(
      absl::IsInvalidArgument(node_.containers->Create(bad, {}).status()));
  EXPECT_EQ(node_.images.holds(), 1);
  // The image may lose its name; the container holds its content.
  cri::CreateContainerRequest other = Request("app");
  other.mutable_config()->mutable_image()->set_image("no.such/image:1");
  EXPECT_TRUE(absl::IsNotFound(node_.containers->Create(other, {}).status()));
  node_.faults.ClearCalls();
  EXPECT_EQ(*node_.Create(pod_, "app"), id);
  EXPECT_EQ(node_.faults.Count("Runtime.CreateContainer"), 0);
}

TEST_F(ContainerManagerTest, REL_6_AnotherRequestUnderATakenNameIsRefused) {
  cri::CreateContainerRequest request = Request("app");
  request.mutable_config()->add_args("serve");
  const std::string id = *node_.containers->Create(request, {});
  EXPECT_EQ(*node_.containers->Create(request, {}), id);
  request.mutable_config()->set_args(0, "secret");
  const absl::Status other = node_.containers->Create(request, {}).status();
  EXPECT_TRUE(absl::IsAlreadyExists(other)) << other;
  EXPECT_THAT(std::string(other.message()), HasSubstr("config.args"));
  EXPECT_THAT(std::string(other.message()), Not(HasSubstr("secret")));
}

TEST_F(ContainerManagerTest, PidTargetMustRunInTheSamePod) {
  const std::string other_pod = node_.MustRunPod("other");
  const std::string stranger = node_.MustStart(other_pod, "x");
  const std::string created = node_.MustCreate(pod_, "created");
  const std::string running = node_.MustStart(pod_, "running");
  const auto with = [&](const std::string& target) {
    cri::CreateContainerRequest request = Request("debug");
    auto* options = request.mutable_config()
                        ->mutable_linux()
                        ->mutable_security_context()
                        ->mutable_namespace_options();
    options->set_pid(cri::TARGET);
    options->set_target_id(target);
    return node_.containers->Create(request, {});
  };
  EXPECT_TRUE(absl::IsInvalidArgument(with(stranger).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(with(created).status()));
  const auto debug = with(running.substr(0, 16));
  ASSERT_TRUE(debug.ok()) << debug.status();
  // And again at start.
  ASSERT_TRUE(node_.containers->Stop(running, 0, {}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.containers->Start(*debug, {})));
}

TEST_F(ContainerManagerTest, Filters) {
  const std::string a = node_.MustStart(pod_, "a");
  node_.clock.Advance(1);
  const std::string b = node_.MustCreate(pod_, "b");
  const std::string other_pod = node_.MustRunPod("other");
  node_.clock.Advance(1);
  const std::string c = node_.MustCreate(other_pod, "a");
  EXPECT_THAT(List(), ElementsAre(c, b, a));
  cri::ContainerFilter filter;
  filter.set_pod_sandbox_id(pod_.substr(0, 15));
  EXPECT_THAT(List(filter), ElementsAre(b, a));
  filter.mutable_state()->set_state(cri::CONTAINER_RUNNING);
  EXPECT_THAT(List(filter), ElementsAre(a));
  filter.Clear();
  (*filter.mutable_label_selector())["tier"] = "a";
  EXPECT_THAT(List(filter), ElementsAre(c, a));
  filter.set_id(a);
  EXPECT_THAT(List(filter), ElementsAre(a));
  filter.set_pod_sandbox_id(other_pod);
  EXPECT_THAT(List(filter), IsEmpty());
  filter.Clear();
  filter.set_pod_sandbox_id(std::string(64, '0'));
  EXPECT_THAT(List(filter), IsEmpty());
  const auto items = node_.containers->List({});
  EXPECT_EQ(items[0].image_ref(), test::TestImage().id);
  EXPECT_EQ(items[0].image_id(), test::TestImage().id);
  EXPECT_TRUE(items[0].has_image());
}

TEST_F(ContainerManagerTest, VerboseInfo) {
  const std::string id = node_.MustStart(pod_, "app");
  const auto response = node_.containers->Status(id, true);
  const auto info =
      nlohmann::json::parse(response->info().at("info"), nullptr, false);
  ASSERT_FALSE(info.is_discarded());
  EXPECT_GE(info["pid"], 1000);
  EXPECT_EQ(info["sandboxID"], pod_);
  EXPECT_EQ(info["runtimeSpec"]["process"]["args"][0], "/bin/app");
  EXPECT_EQ(info["runtimeSpec"]["linux"]["namespaces"]["pid"], "container");
}

TEST_F(ContainerManagerTest, ExecSync) {
  const std::string id = node_.MustStart(pod_, "app");
  cri::ExecSyncRequest request;
  request.set_container_id(id);
  EXPECT_TRUE(absl::IsInvalidArgument(
      node_.containers->ExecSync(request, {}).status()));
  request.add_cmd("echo");
  request.add_cmd("hi");
  EXPECT_EQ(node_.containers->ExecSync(request, {})->stdout(), "hi\n");
  request.set_cmd(0, "false");
  EXPECT_EQ(node_.containers->ExecSync(request, {})->exit_code(), 1);
  request.set_timeout(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(
      node_.containers->ExecSync(request, {}).status()));
  request.set_timeout(0);
  request.set_container_id(std::string(64, '0'));
  EXPECT_TRUE(
      absl::IsNotFound(node_.containers->ExecSync(request, {}).status()));
  request.set_container_id(node_.MustCreate(pod_, "created"));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      node_.containers->ExecSync(request, {}).status()));
}

TEST_F(ContainerManagerTest, ReopenLog) {
  const std::string id = node_.MustCreate(pod_, "app");
  EXPECT_TRUE(absl::IsFailedPrecondition(node_.containers->ReopenLog(id, {})));
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  EXPECT_TRUE(node_.containers->ReopenLog(id, {}).ok());
  EXPECT_EQ(node_.faults.Count("Runtime.ReopenLog"), 1);
  EXPECT_TRUE(
      absl::IsNotFound(node_.containers->ReopenLog(std::string(64, '0'), {})));
}

TEST_F(ContainerManagerTest, IMG_LayersAreHeldUntilRemoval) {
  const std::string id = node_.MustCreate(pod_, "app");
  EXPECT_EQ(node_.images.holds(), 1);
  ASSERT_TRUE(node_.images.Remove(test::TestImage().id).ok());
  ASSERT_TRUE(node_.images.CollectGarbage().ok());
  EXPECT_THAT(node_.images.collected(), IsEmpty());
  EXPECT_EQ(node_.ContainerStatus(id).image_id(), test::TestImage().id);
  ASSERT_TRUE(node_.containers->Remove(id, {}).ok());
  ASSERT_TRUE(node_.images.CollectGarbage().ok());
  EXPECT_THAT(node_.images.collected(), SizeIs(1));
}

}  // namespace
}  // namespace warren::agent
