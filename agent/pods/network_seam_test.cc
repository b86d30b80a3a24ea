// What the agent makes of a pod's network: records of before the seam, a
// network that is unknown or lost after a restart, and one whose addresses come
// only from Attach (the shape of CNI).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "agent/pods/reconciler.h"
#include "agent/store/record_file.h"
#include "runtime/base/file.h"
#include "tests/fakes/late_address_network.h"
#include "tests/fakes/remains.h"

namespace warren::agent {
namespace {

using test::LateAddressNetwork;
using test::StateDirectory;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

record::PodSandboxRecord ReadRecord(const std::string& state_dir,
                                    const std::string& id) {
  auto directory =
      RecordDirectory::Open(state_dir + "/sandboxes", state_dir + "/q");
  record::PodSandboxRecord record;
  EXPECT_TRUE(record.ParseFromString(*directory->Read(id)));
  return record;
}

void WriteRecord(const std::string& state_dir,
                 const record::PodSandboxRecord& record) {
  auto directory =
      RecordDirectory::Open(state_dir + "/sandboxes", state_dir + "/q");
  EXPECT_TRUE(directory->Write(record.id(), record.SerializeAsString()).ok());
}

// ---- The pods of an agent that dies ---------------------------------------

class NetworkSeamTest : public testing::Test {
 protected:
  StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
};

TEST_F(NetworkSeamTest, IntentAndResultAreOnRecord) {
  std::string at_attach;
  node_->faults.Observe([&](const std::string& step) {
    if (step != "Network.Attach") return;
    const auto ids = base::ListDir(AT_FDCWD, state_.path() + "/sandboxes");
    at_attach = ReadRecord(state_.path(), (*ids)[0]).network().state();
  });
  const std::string pod = node_->MustRunPod("web");
  EXPECT_EQ(at_attach, "prepared " + pod);
  const auto record = ReadRecord(state_.path(), pod);
  EXPECT_EQ(record.network().state(), "attached " + pod);
  EXPECT_THAT(record.network().addresses(),
              ElementsAre("10.1.0.1/16", "fd00:1::1/64"));
  EXPECT_THAT(record.lease_addresses(), IsEmpty());
  ASSERT_TRUE(node_->sandboxes->Stop(pod, {}).ok());
  EXPECT_FALSE(ReadRecord(state_.path(), pod).has_network());
}

TEST_F(NetworkSeamTest, APodOfABuildBeforeTheSeamIsAdopted) {
  const std::string pod = node_->MustRunPod("web");
  const std::string ended = node_->MustRunPod("ended");
  const Remains remains = Bury(std::move(node_), state_.path());
  for (const std::string& id : {pod, ended}) {
    auto record = ReadRecord(remains.state->path(), id);
    *record.mutable_lease_addresses() = record.network().addresses();
    record.clear_network();
    if (id == ended) record.set_phase(record::EXITED);
    WriteRecord(remains.state->path(), record);
  }
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(next->sandboxes->Status(pod, false)->status().network().ip(),
            "10.1.0.1");
  EXPECT_THAT(next->network.leases(), ElementsAre(pod));
  EXPECT_THAT(next->network.links(), ElementsAre(pod));
  // Only the new form is written.
  const auto record = ReadRecord(remains.state->path(), pod);
  EXPECT_EQ(record.network().state(), "attached " + pod);
  EXPECT_THAT(record.lease_addresses(), IsEmpty());
  EXPECT_THAT(ReadRecord(remains.state->path(), ended).lease_addresses(),
              IsEmpty());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(NetworkSeamTest, UnknownIsNotGone) {
  const std::string pod = node_->MustRunPod("web");
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  next->faults.Fail("Network.Check");
  const auto report = next->Reconcile();
  ASSERT_THAT(report->problems, SizeIs(1));
  EXPECT_THAT(report->problems[0], HasSubstr("check the network of"));
  EXPECT_EQ(report->sandboxes_adopted, 1);
  EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
            cri::SANDBOX_READY);
  EXPECT_THAT(next->network.leases(), ElementsAre(pod));
  EXPECT_THAT(next->network.links(), ElementsAre(pod));
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(NetworkSeamTest, APodThatLostItsNetworkIsStopped) {
  const std::string pod = node_->MustRunPod("web");
  Remains remains = Bury(std::move(node_), state_.path());
  remains.kernel.links.clear();
  const auto next = Revive(remains);
  const auto report = next->Reconcile();
  ASSERT_THAT(report->problems, SizeIs(1));
  EXPECT_THAT(report->problems[0], HasSubstr("its link is gone"));
  EXPECT_EQ(next->sandboxes->Status(pod, false)->status().state(),
            cri::SANDBOX_NOTREADY);
  EXPECT_THAT(next->network.leases(), IsEmpty());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

TEST_F(NetworkSeamTest, ARecordThatCannotBeReadKeepsItsLink) {
  const std::string pod = node_->MustRunPod("web");
  const Remains remains = Bury(std::move(node_), state_.path());
  auto record = ReadRecord(remains.state->path(), pod);
  record.mutable_network()->set_addresses(0, "nonsense");
  WriteRecord(remains.state->path(), record);
  const auto next = Revive(remains);
  EXPECT_THAT(next->Reconcile()->problems, SizeIs(1));
  EXPECT_THAT(next->network.links(), ElementsAre(pod));
}

TEST_F(NetworkSeamTest, BandwidthIsRefusedBeforeAnythingIsMade) {
  cri::RunPodSandboxRequest request = test::PodRequest("web");
  (*request.mutable_config()
        ->mutable_annotations())["kubernetes.io/egress-bandwidth"] = "10M";
  const auto refused = node_->sandboxes->Run(request, {});
  EXPECT_TRUE(absl::IsUnimplemented(refused.status())) << refused.status();
  EXPECT_THAT(node_->faults.calls(), IsEmpty());
  // On the node's network there is nothing to limit, as with host ports.
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_network(cri::NODE);
  EXPECT_TRUE(node_->sandboxes->Run(request, {}).ok());
}

// ---- A network whose addresses come late ----------------------------------

// The agent's core on that network; destroying it is the agent's death.
struct LateNode {
  LateNode(const std::string& state_dir, test::PluginDatabase* plugins,
           test::FakeKernel kernel = {})
      : network(plugins),
        runtime(&faults, std::move(kernel)),
        images(&faults),
        store(*Store::Open(state_dir, "boot-1")),
        containers(&runtime, &images, store.get(), &clock),
        sandboxes(&runtime, &network, store.get(), &containers, &clock) {}

  ReconcileReport Reconcile() {
    Reconciler reconciler(&runtime, &network, &images, store.get(), &sandboxes,
                          &containers, &clock);
    return *test::AdoptAndSettleOnce(&reconciler);
  }
  cri::PodSandboxStatus Status(const std::string& id) {
    return sandboxes.Status(id, false)->status();
  }

  LateAddressNetwork network;
  test::Faults faults;
  test::FakeClock clock;
  test::FakeRuntime runtime;
  test::FakeImageStore images;
  std::unique_ptr<Store> store;
  ContainerManager containers;
  PodSandboxManager sandboxes;
};

class LateAddressTest : public testing::Test {
 protected:
  // The agent dies and another one starts.
  std::unique_ptr<LateNode> Restart(std::unique_ptr<LateNode> node) {
    test::FakeKernel kernel = node->runtime.kernel();
    node.reset();
    return std::make_unique<LateNode>(state_.path(), &plugins_,
                                      std::move(kernel));
  }
  std::unique_ptr<LateNode> Start() {
    return std::make_unique<LateNode>(state_.path(), &plugins_);
  }

  StateDirectory state_;
  test::PluginDatabase plugins_;
};

TEST_F(LateAddressTest, APodFromItsStartOverARestartToItsEnd) {
  auto node = Start();
  const auto id = node->sandboxes.Run(test::PodRequest("web"), {});
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(node->Status(*id).network().ip(), "10.7.0.2");
  EXPECT_THAT(ReadRecord(state_.path(), *id).network().addresses(),
              ElementsAre("10.7.0.2/24"));
  node = Restart(std::move(node));
  const ReconcileReport report = node->Reconcile();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.sandboxes_adopted, 1);
  EXPECT_EQ(node->Status(*id).state(), cri::SANDBOX_READY);
  EXPECT_EQ(node->Status(*id).network().ip(), "10.7.0.2");
  ASSERT_TRUE(node->sandboxes.Stop(*id, {}).ok());
  EXPECT_EQ(node->Status(*id).network().ip(), "");
  EXPECT_THAT(plugins_, IsEmpty());
  EXPECT_THAT(node->network.detached(), ElementsAre("web/default"));
  // Once is enough.
  ASSERT_TRUE(node->sandboxes.Remove(*id, {}).ok());
  EXPECT_THAT(node->network.detached(), SizeIs(1));
  EXPECT_TRUE(node->runtime.kernel().Empty());
}

TEST_F(LateAddressTest, APodThatWasPreparedOnlyIsTakenBack) {
  auto node = Start();
  // The agent dies when the namespaces are made: the intent has no address.
  std::unique_ptr<StateDirectory> then;
  test::FakeKernel kernel;
  node->faults.Observe([&](const std::string& step) {
    if (step != "Runtime.CreateSandbox") return;
    then = StateDirectory::CopyOf(state_.path());
    kernel = node->runtime.kernel();
  });
  ASSERT_TRUE(node->sandboxes.Run(test::PodRequest("web"), {}).ok());
  test::PluginDatabase plugins;
  LateNode next(then->path(), &plugins, kernel);
  EXPECT_THAT(next.Reconcile().problems, IsEmpty());
  EXPECT_THAT(next.sandboxes.List({}), IsEmpty());
  EXPECT_THAT(next.network.detached(), ElementsAre("web/default"));
  EXPECT_TRUE(next.runtime.kernel().Empty());
}

TEST_F(LateAddressTest, SilentPluginsCostNoRunningPod) {
  auto node = Start();
  const std::string id = *node->sandboxes.Run(test::PodRequest("web"), {});
  node = Restart(std::move(node));
  node->network.Silence();
  // At its adoption, and at the look at a ready pod.
  const std::vector<std::string> problems = node->Reconcile().problems;
  EXPECT_THAT(problems, Not(IsEmpty()));
  EXPECT_THAT(problems, Each(HasSubstr("no plugin answers")));
  EXPECT_EQ(node->Status(id).state(), cri::SANDBOX_READY);
  EXPECT_EQ(node->Status(id).network().ip(), "10.7.0.2");
  // Nor can one be made, or given back, without them.
  EXPECT_FALSE(node->sandboxes.Run(test::PodRequest("two"), {}).ok());
  EXPECT_FALSE(node->sandboxes.Stop(id, {}).ok());
  EXPECT_THAT(plugins_, SizeIs(1));
}

TEST_F(LateAddressTest, APodThatThePluginsForgotIsStopped) {
  auto node = Start();
  const std::string id = *node->sandboxes.Run(test::PodRequest("web"), {});
  plugins_.clear();
  node = Restart(std::move(node));
  EXPECT_THAT(node->Reconcile().problems, SizeIs(1));
  EXPECT_EQ(node->Status(id).state(), cri::SANDBOX_NOTREADY);
  EXPECT_TRUE(node->sandboxes.Remove(id, {}).ok());
}

}  // namespace
}  // namespace warren::agent
