// What comes must go: failures, teardown, restarts, orphans.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/nft/rules.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"
#include "tests/support/patience.h"

namespace warren::netplugin {
namespace {

using testing::HasSubstr;

class LifecycleTest : public NodeTest {
 protected:
  // A network whose torn-down links stay until somebody drains.
  static std::unique_ptr<BridgeNetwork> Lazy(const char* range) {
    BridgeNetworkOptions options;
    options.ranges = {Prefix(range)};
    options.link_grace = absl::Hours(1);
    auto network = BridgeNetwork::Create(options).value();
    const absl::Status status = network->Init();
    EXPECT_TRUE(status.ok()) << status;
    return network;
  }

  static NetlinkSocket OpenNode() {
    return NetlinkSocket::Open(NETLINK_ROUTE).value();
  }
  static NetlinkSocket OpenPod(int netns) {
    absl::StatusOr<NetlinkSocket> socket = absl::InternalError("");
    EXPECT_TRUE(InNetns(netns, [&] {
                  socket = NetlinkSocket::Open(NETLINK_ROUTE);
                  return socket.status();
                }).ok());
    return *std::move(socket);
  }
  static void AddBridge(NetlinkSocket& socket, const std::string& name,
                        uint32_t group, const std::string& alias) {
    ASSERT_TRUE(socket.Execute(CreateBridge({name, group, {0x0a, 9}})).ok());
    if (alias.empty()) return;
    const int index = FindLink(socket, name).value()->index;
    ASSERT_TRUE(socket.Execute(SetAlias(index, alias)).ok());
  }

  // A range that has a lease would stay.
  static void ExpectNoLease(BridgeNetwork& network) {
    ASSERT_TRUE(network.RemoveOrphans({}, kForever).ok());
    const absl::Status set =
        network.SetPodRanges({Prefix("10.89.0.0/16")}, kForever);
    EXPECT_TRUE(set.ok()) << set;
    for (const std::string& line : NodeState()) {
      EXPECT_THAT(line, testing::Not(HasSubstr("10.88.")));
    }
  }

  // Attach must fail and leave the node as it is, then work in a good netns.
  absl::Status FailSetup(BridgeNetwork& network, const NetworkState& state,
                         int netns) {
    const auto before = NodeState();
    const absl::Status status = network.Attach(state, netns, kForever).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(NodeState(), before) << status;
    return status;
  }
};

TEST_F(LifecycleTest, FailedSetupLeavesNothing) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const NetworkState lease =
      network->Prepare(RequestFor("sandbox-1"), kForever).value();
  EXPECT_FALSE(FailSetup(*network, lease, -1).ok());
  const auto pipe = base::MakePipe().value();
  EXPECT_TRUE(
      absl::IsInvalidArgument(FailSetup(*network, lease, pipe.read.get())));
  EXPECT_TRUE(absl::IsInvalidArgument(FailSetup(*network, lease, node_.get())));

  const base::UniqueFd taken = NewNetns();
  NetlinkSocket inside = OpenPod(taken.get());
  AddBridge(inside, "eth0", 0, "");
  const absl::Status eth0 = FailSetup(*network, lease, taken.get());
  EXPECT_EQ(base::GetErrno(eth0), EEXIST) << eth0;
  EXPECT_THAT(std::string(eth0.message()), HasSubstr("sandbox-1"));

  NetlinkSocket node = OpenNode();
  const std::string name = HostIfname("sandbox-1");
  AddBridge(node, name, 0, "");
  const base::UniqueFd good = NewNetns();
  const absl::Status host = FailSetup(*network, lease, good.get());
  EXPECT_EQ(base::GetErrno(host), EEXIST) << host;
  const int index = FindLink(node, name).value()->index;
  ASSERT_TRUE(node.Execute(DeleteLink(index)).ok());

  const auto done = network->Attach(lease, good.get(), kForever);
  EXPECT_TRUE(done.ok()) << done.status();
}

// The last step of all, inside the pod.
TEST_F(LifecycleTest, SetupThatFailsAtAnAddressLeavesNothing) {
  auto network = MakeNetwork();
  const Lease twice{"sandbox-1",
                    {Prefix("10.88.0.9/16"), Prefix("10.88.0.9/16")}};
  ASSERT_TRUE(network->Check(Recorded(twice), -1, kForever).ok());
  // Check takes it for a pod that is wired.
  ASSERT_TRUE(PodRules("warren").RemovePod(PortOf(twice)).ok());
  const base::UniqueFd netns = NewNetns();
  const absl::Status status = FailSetup(*network, Recorded(twice), netns.get());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("adding address 10.88.0.9/16"));
}

TEST_F(LifecycleTest, SetupNeedsInitAndAHeldLease) {
  auto network = MakeNetwork();
  const base::UniqueFd netns = NewNetns();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      FailSetup(*network, Recorded({"sandbox-1", {Prefix("10.88.0.9/16")}}),
                netns.get())));
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/16")};
  auto idle = BridgeNetwork::Create(options).value();
  const NetworkState lease =
      idle->Prepare(RequestFor("sandbox-1"), kForever).value();
  EXPECT_TRUE(absl::IsFailedPrecondition(FailSetup(*idle, lease, netns.get())));
  EXPECT_EQ(idle->CheckHealth().reason, "NetworkNotInitialized");
}

TEST_F(LifecycleTest, SetupOverALinkThatACrashLeft) {
  auto network = MakeNetwork();
  const Pod first = StartPod(*network, "sandbox-1");
  // The agent died before it recorded the result; the pod is made anew.
  const base::UniqueFd netns = NewNetns();
  const auto again = network->Attach(first.state, netns.get(), kForever);
  EXPECT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(CountPodLinks(), 1);
  EXPECT_TRUE(
      TalkTcp(node_.get(), netns.get(), first.lease.addresses[0].address).ok());
}

TEST_F(LifecycleTest, NET_4_TeardownWorksWithoutTheNamespace) {
  auto network = MakeNetwork();
  const auto before = NodeState();
  Pod pod = StartPod(*network, "sandbox-1");
  pod.netns.reset();  // the last reference
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_EQ(NodeState(), before);
  ExpectNoLease(*network);
}

TEST_F(LifecycleTest, TeardownWorksWhileTheNamespaceIsHeld) {
  auto network = MakeNetwork();
  const auto before = NodeState();
  const Pod pod = StartPod(*network, "sandbox-1");
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(NodeState(), before);
  const NetnsView view = network->Inspect(pod.netns.get()).value();
  ASSERT_EQ(view.links.size(), 1u);
  EXPECT_EQ(view.links[0].name, "lo");
}

TEST_F(LifecycleTest, TeardownOfWhatNeverWasIsOk) {
  auto network = MakeNetwork();
  const auto before = NodeState();
  const NetworkState lease =
      network->Prepare(RequestFor("sandbox-1"), kForever).value();
  EXPECT_TRUE(network->Detach(lease, kForever).ok());
  EXPECT_TRUE(network->Detach({"sandbox-2", "", {}}, kForever).ok());
  EXPECT_EQ(NodeState(), before);
  ExpectNoLease(*network);
}

TEST_F(LifecycleTest, NET_4_AddressIsFreeOnlyOnceTheLinkIsGone) {
  auto network = Lazy("10.88.0.0/29");  // five pods
  std::vector<Pod> pods;
  pods.reserve(5);
  for (int i = 0; i < 5; ++i) {
    pods.push_back(StartPod(*network, absl::StrCat("sandbox-", i)));
  }
  const Pod& last = pods.back();
  EXPECT_TRUE(network->Detach(last.state, kForever).ok());
  EXPECT_EQ(CountPodLinks(), 5);
  // Nobody may hand it back early.
  EXPECT_TRUE(network->Detach(last.state, kForever).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      network->Attach(last.state, last.netns.get(), kForever).status()));
  // Only this address is left: Allocate waits for the link to go.
  const auto reused = network->Prepare(RequestFor("sandbox-new"), kForever);
  ASSERT_TRUE(reused.ok()) << reused.status();
  EXPECT_EQ(reused->addresses, last.lease.addresses);
  EXPECT_EQ(CountPodLinks(), 4);
  EXPECT_TRUE(absl::IsResourceExhausted(
      network->Prepare(RequestFor("sandbox-too-many"), kForever).status()));
}

TEST_F(LifecycleTest, SameSandboxMayComeBackAtOnce) {
  auto network = Lazy("10.88.0.0/16");
  const Pod pod = StartPod(*network, "sandbox-1");
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  const Pod again = StartPod(*network, "sandbox-1");
  EXPECT_NE(again.lease.addresses, pod.lease.addresses);
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(CountPodLinks(), 1);
  EXPECT_TRUE(
      TalkTcp(node_.get(), again.netns.get(), again.lease.addresses[0].address)
          .ok());
}

TEST_F(LifecycleTest, RestartedNetworkTakesOverPodsAndDropsOrphans) {
  Pod kept;
  Pod orphan;
  {
    auto network = MakeNetwork();
    kept = StartPod(*network, "sandbox-1");
    orphan = StartPod(*network, "sandbox-2");
  }
  NetlinkSocket node = OpenNode();
  // Look-alikes: each lacks one mark of ours.
  AddBridge(node, "wr0123456789abc", LinkGroupOf("warren0"), "");
  AddBridge(node, "other0", 0, "warren:sandbox-9");
  const base::UniqueFd far = NewNetns();
  ASSERT_TRUE(
      node
          .Execute(CreateVeth(
              {"wrdeadbeef00000", 77, 0, 1500, "eth0", {0x0a, 1}, far.get()}))
          .ok());
  ASSERT_TRUE(node.Execute(CreateVeth({"elsewhere",
                                       LinkGroupOf("warren0"),
                                       0,
                                       1500,
                                       "eth1",
                                       {0x0a, 2},
                                       far.get()}))
                  .ok());
  // A veth of another Warren, on another bridge.
  const int other = FindLink(node, "other0").value()->index;
  ASSERT_TRUE(node.Execute(CreateVeth({"wrfedcba9876543",
                                       LinkGroupOf("warren0"),
                                       other,
                                       1500,
                                       "eth2",
                                       {0x0a, 3},
                                       far.get()}))
                  .ok());
  // Ours, but cut short before it got its alias.
  ASSERT_TRUE(node.Execute(CreateVeth({"wr00000000000ff",
                                       LinkGroupOf("warren0"),
                                       0,
                                       1500,
                                       "eth3",
                                       {0x0a, 4},
                                       far.get()}))
                  .ok());

  auto network = MakeNetwork();
  for (int i = 0; i < 2; ++i) {
    const auto check = network->Check(kept.state, kept.netns.get(), kForever);
    ASSERT_TRUE(check.ok()) << check.status();
    EXPECT_EQ(check->verdict, PodCheck::Verdict::kIntact) << check->problem;
    EXPECT_EQ(check->state, kept.state);
  }
  const auto removed = network->RemoveOrphans({"sandbox-1"}, kForever);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(*removed, 2);
  EXPECT_EQ(*network->RemoveOrphans({"sandbox-1"}, kForever), 0);
  for (const char* name : {"wr0123456789abc", "other0", "wrdeadbeef00000",
                           "elsewhere", "wrfedcba9876543"}) {
    EXPECT_TRUE(FindLink(node, name).value().has_value()) << name;
  }
  EXPECT_FALSE(FindLink(node, HostIfname("sandbox-2")).value().has_value());
  EXPECT_THAT(PodRules("warren").Pods().value(),
              testing::ElementsAre(HostIfname("sandbox-1")));
  EXPECT_TRUE(
      TalkTcp(node_.get(), kept.netns.get(), kept.lease.addresses[0].address)
          .ok());
  // The address of the living pod is not given out again.
  EXPECT_EQ(network->Prepare(RequestFor("sandbox-3"), kForever)
                ->addresses[0]
                .ToString(),
            "10.88.0.3/16");
}

TEST_F(LifecycleTest, SetupUnderWayIsNoOrphan) {
  auto network = MakeNetwork();
  const Pod pod = StartPod(*network, "sandbox-1");
  EXPECT_EQ(*network->RemoveOrphans({}, kForever), 0);
  EXPECT_EQ(CountPodLinks(), 1);
}

TEST_F(LifecycleTest, HundredPodsLeaveNothing) {
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const auto before = NodeState();
  for (int i = 0; i < 100; ++i) {
    Pod pod = StartPod(*network, absl::StrCat("sandbox-", i));
    if (i % 2 == 0) pod.netns.reset();
    EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  }
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(NodeState(), before);
  ExpectNoLease(*network);
}

TEST_F(LifecycleTest, ManyThreadsAtOnce) {
  auto network = MakeNetwork();
  const auto before = NodeState();
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const Pod pod = StartPod(*network, absl::StrCat(t, "-", i));
        EXPECT_TRUE(network->CheckHealth().ready);
        EXPECT_TRUE(network->Inspect(pod.netns.get()).ok());
        EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(NodeState(), before);
}

// What calls Tend as often as it says need not drain.
TEST_F(LifecycleTest, TornDownLinksGoByThemselves) {
  auto network = MakeNetwork();
  EXPECT_EQ(*network->Tend(kForever), absl::InfiniteDuration());
  const Pod pod = StartPod(*network, "sandbox-1");
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_LT(*network->Tend(kForever), absl::Seconds(1));
  EXPECT_TRUE(test::Eventually(
      [&] { return *network->Tend(kForever) == absl::InfiniteDuration(); }));
  EXPECT_EQ(CountPodLinks(), 0);
}

// See MakeVeth in netplugin/bridge/wiring.cc.
TEST_F(LifecycleTest, EndsOfAPairDifferInIndex) {
  auto network = MakeNetwork();
  NetlinkSocket node = OpenNode();
  const base::UniqueFd netns = NewNetns();
  NetlinkSocket inside = OpenPod(netns.get());
  const int last = FindLink(node, "warren0").value()->index;
  for (int i = 2; i <= last; ++i) {
    AddBridge(inside, absl::StrCat("filler", i), 0, "");
  }
  const NetworkState lease =
      network->Prepare(RequestFor("sandbox-1"), kForever).value();
  ASSERT_TRUE(network->Attach(lease, netns.get(), kForever).ok());
  EXPECT_NE(FindLink(node, HostIfname("sandbox-1")).value()->index,
            FindLink(inside, "eth0").value()->index);
  EXPECT_EQ(CountPodLinks(), 1);
}

TEST_F(LifecycleTest, AdoptRefusesWhatCannotBe) {
  auto network = MakeNetwork();
  const auto check = [&](const Lease& lease) {
    return network->Check(Recorded(lease), -1, kForever);
  };
  // Held, though its link is gone.
  EXPECT_EQ(check({"sandbox-1", {Prefix("10.88.0.5/16")}})->verdict,
            PodCheck::Verdict::kLost);
  const auto taken = check({"sandbox-2", {Prefix("10.88.0.5/16")}});
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->verdict, PodCheck::Verdict::kLost);
  EXPECT_THAT(taken->problem, HasSubstr("belongs to sandbox \"sandbox-1\""));
  const auto elsewhere = check({"sandbox-2", {Prefix("10.99.0.5/16")}});
  EXPECT_EQ(elsewhere->verdict, PodCheck::Verdict::kLost);
  EXPECT_THAT(elsewhere->problem, HasSubstr("is gone")) << "not the range";
  const NetworkState gateway =
      Recorded({"sandbox-3", {Prefix("10.88.0.1/16")}});
  EXPECT_TRUE(absl::IsFailedPrecondition(
      network->Check(gateway, -1, kForever).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(check({"sandbox-2", {}}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(check({"", {Prefix("10.88.0.6/16")}}).status()));
}

}  // namespace
}  // namespace warren::netplugin
