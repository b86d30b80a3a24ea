// Other pod ranges while pods of the old ones run: after a restart with another
// configuration, and at run time.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/nft/rules.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"

namespace warren::netplugin {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Verdict = PodCheck::Verdict;
using Ranges = std::vector<const char*>;

class RangesTest : public NodeTest {
 protected:
  static std::vector<IpPrefix> Prefixes(const Ranges& ranges) {
    std::vector<IpPrefix> prefixes;
    for (const char* range : ranges) prefixes.push_back(Prefix(range));
    return prefixes;
  }
  // What the node holds of a network that never had other ranges.
  std::vector<std::string> StateOf(const Ranges& ranges) {
    auto network = MakeNetwork(ranges);
    std::vector<std::string> state = NodeState();
    EXPECT_TRUE(network->Clean().ok());
    return state;
  }
  std::string Talk(int client, int server, const IpAddress& to) {
    return TalkTcp(client, server, to).value_or("no answer");
  }
  // To the node, from the node, and beyond, where nobody knows pods.
  void ExpectConnected(const Pod& pod) {
    for (const IpPrefix& own : pod.lease.addresses) {
      const bool v4 = own.address.family() == AF_INET;
      const std::string from = own.address.ToString();
      EXPECT_EQ(Talk(pod.netns.get(), node_.get(), GatewayOf(own).address),
                from);
      EXPECT_NE(Talk(node_.get(), pod.netns.get(), own.address), "no answer")
          << from;
      EXPECT_EQ(Talk(pod.netns.get(), outside_.get(),
                     Address(v4 ? "192.0.2.2" : "2001:db8::2")),
                v4 ? "192.0.2.1" : "2001:db8::1")
          << from;
    }
  }
  // Both ways and under their own addresses, in the families that both have.
  void ExpectPeers(const Pod& a, const Pod& b) {
    for (const IpPrefix& one : a.lease.addresses) {
      for (const IpPrefix& other : b.lease.addresses) {
        if (one.address.family() != other.address.family()) continue;
        EXPECT_EQ(Talk(a.netns.get(), b.netns.get(), other.address),
                  one.address.ToString());
        EXPECT_EQ(Talk(b.netns.get(), a.netns.get(), one.address),
                  other.address.ToString());
      }
    }
  }
  void ExpectIntact(BridgeNetwork& network, const Pod& pod) {
    const auto check = network.Check(pod.state, pod.netns.get(), kForever);
    ASSERT_TRUE(check.ok()) << check.status();
    EXPECT_EQ(check->verdict, Verdict::kIntact) << check->problem;
    EXPECT_EQ(check->state, pod.state);
  }
  void Detach(BridgeNetwork& network, const Pod& pod) {
    EXPECT_TRUE(network.Detach(pod.state, kForever).ok());
    EXPECT_TRUE(network.Drain(kForever).ok());
  }
};

struct Change {
  const char* name;
  Ranges before;
  Ranges after;
};

class RangesChangeTest : public RangesTest,
                         public testing::WithParamInterface<Change> {};

TEST_P(RangesChangeTest, OldPodsGoOnAfterARestart) {
  const auto fresh = StateOf(GetParam().after);
  Pod old_pod;
  {
    auto network = MakeNetwork(GetParam().before);
    old_pod = StartPod(*network, "sandbox-1");
  }
  auto network = MakeNetwork(GetParam().after);
  ExpectConnected(old_pod);  // before anybody has looked at the record
  ExpectIntact(*network, old_pod);
  EXPECT_EQ(*network->RemoveOrphans({"sandbox-1"}, kForever), 0);
  const Pod new_pod = StartPod(*network, "sandbox-2");
  for (size_t i = 0; i < GetParam().after.size(); ++i) {
    EXPECT_EQ(new_pod.lease.addresses[i].Masked(), Prefix(GetParam().after[i]));
  }
  EXPECT_TRUE(network->CheckHealth().ready) << network->CheckHealth().message;
  EXPECT_TRUE(network->Init().ok());
  ExpectConnected(old_pod);
  ExpectConnected(new_pod);
  ExpectPeers(old_pod, new_pod);
  EXPECT_NE(PodMac(old_pod.lease), PodMac(new_pod.lease));
  Detach(*network, old_pod);
  ExpectConnected(new_pod);
  Detach(*network, new_pod);
  EXPECT_EQ(NodeState(), fresh);
}

TEST_P(RangesChangeTest, OldPodsGoOnAtRunTime) {
  auto network = MakeNetwork(GetParam().before);
  ASSERT_TRUE(network->RemoveOrphans({}, kForever).ok());
  const auto before = NodeState();
  const Pod old_pod = StartPod(*network, "sandbox-1");
  const absl::Status set =
      network->SetPodRanges(Prefixes(GetParam().after), kForever);
  ASSERT_TRUE(set.ok()) << set;
  const Pod new_pod = StartPod(*network, "sandbox-2");
  ExpectConnected(old_pod);
  ExpectConnected(new_pod);
  ExpectPeers(old_pod, new_pod);
  // And back: now the other one is the old one.
  ASSERT_TRUE(
      network->SetPodRanges(Prefixes(GetParam().before), kForever).ok());
  ExpectConnected(old_pod);
  ExpectConnected(new_pod);
  Detach(*network, new_pod);
  ExpectConnected(old_pod);
  Detach(*network, old_pod);
  EXPECT_EQ(NodeState(), before);
}

INSTANTIATE_TEST_SUITE_P(
    , RangesChangeTest,
    testing::Values(
        Change{"Elsewhere", {"10.88.0.0/16"}, {"172.20.0.0/16"}},
        Change{"NextToIt", {"10.88.0.0/16"}, {"10.89.0.0/16"}},
        Change{"InsideSameGateway", {"10.88.0.0/16"}, {"10.88.0.0/24"}},
        Change{"Inside", {"10.88.0.0/16"}, {"10.88.7.0/24"}},
        Change{"AroundSameGateway", {"10.88.0.0/24"}, {"10.88.0.0/16"}},
        Change{"Around", {"10.88.0.0/24"}, {"10.0.0.0/8"}},
        Change{"SingleToDual", {"10.88.0.0/16"}, {"10.88.0.0/16", "fd88::/64"}},
        Change{"DualToSingle", {"10.88.0.0/16", "fd88::/64"}, {"10.88.0.0/16"}},
        Change{"DualTurned",
               {"10.88.0.0/16", "fd88::/64"},
               {"fd88::/64", "10.88.0.0/16"}},
        Change{"OtherFamily", {"10.88.0.0/16"}, {"fd88::/64"}},
        Change{"Ipv6Elsewhere", {"fd88::/64"}, {"fd89::/64"}},
        Change{"Ipv6Around", {"fd88::/64"}, {"fd88::/48"}},
        Change{"Ipv6Inside", {"fd88::/48"}, {"fd88::/64"}}),
    [](const testing::TestParamInfo<Change>& change) {
      return change.param.name;
    });

TEST_F(RangesTest, ARangeThatNoPodLivesInGoesAtTheEndOfTheStart) {
  const auto fresh = StateOf({"10.89.0.0/16"});
  { auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"}); }
  auto network = MakeNetwork({"10.89.0.0/16"});
  EXPECT_THAT(NodeState(), Contains("address warren0 10.88.0.1/16"));
  EXPECT_TRUE(network->RemoveOrphans({}, kForever).ok());
  EXPECT_EQ(NodeState(), fresh);
}

// The record alone says which range it was.
TEST_F(RangesTest, ABridgeThatIsGoneComesBackWithTheOldGateway) {
  Pod pod;
  {
    auto network = MakeNetwork({"10.88.0.0/16"});
    pod = StartPod(*network, "sandbox-1");
  }
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int bridge = FindLink(node, "warren0").value()->index;
  ASSERT_TRUE(node.Execute(DeleteLink(bridge)).ok());
  auto network = MakeNetwork({"10.89.0.0/16"});
  ExpectIntact(*network, pod);
  ExpectConnected(pod);
  EXPECT_TRUE(network->RemoveOrphans({"sandbox-1"}, kForever).ok());
  ExpectConnected(pod);
}

TEST_F(RangesTest, ARangeThatNeedsTheAddressOfAPodIsRefused) {
  Pod pod;
  std::vector<std::string> before;
  {
    auto network = MakeNetwork({"10.88.0.0/16"});
    PodRequest request = RequestFor("sandbox-1");
    request.addresses = {Address("10.88.7.1")};
    pod.state = network->Prepare(request, kForever).value();
    pod.netns = NewNetns();
    pod.state = network->Attach(pod.state, pod.netns.get(), kForever)->state;
    pod.lease = {"sandbox-1", pod.state.addresses};
    before = NodeState();
    const absl::Status set =
        network->SetPodRanges({Prefix("10.88.7.0/24")}, kForever);
    EXPECT_TRUE(absl::IsFailedPrecondition(set)) << set;
    EXPECT_THAT(std::string(set.message()), HasSubstr("choose another range"));
    EXPECT_EQ(NodeState(), before);
  }
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.7.0/24")};
  auto refused = BridgeNetwork::Create(options).value();
  const absl::Status init = refused->Init();
  EXPECT_TRUE(absl::IsFailedPrecondition(init)) << init;
  EXPECT_THAT(std::string(init.message()),
              HasSubstr("needs 10.88.7.1 for itself, but a running pod has "
                        "that address (sandbox \"sandbox-1\""));
  EXPECT_THAT(std::string(init.message()),
              HasSubstr("put back the pod range of before"));
  EXPECT_EQ(NodeState(), before);
  ExpectConnected(pod);
  // A rule without a link is no pod.
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int link = FindLink(node, HostIfname("sandbox-1")).value()->index;
  ASSERT_TRUE(node.Execute(DeleteLink(link)).ok());
  EXPECT_TRUE(refused->Init().ok());
}

TEST_F(RangesTest, AnotherBridgeIsRefusedWhilePodsRun) {
  Pod pod;
  {
    auto network = MakeNetwork({"10.88.0.0/16"});
    pod = StartPod(*network, "sandbox-1");
  }
  const auto before = NodeState();
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.89.0.0/16")};
  options.bridge = "other0";
  auto refused = BridgeNetwork::Create(options).value();
  const absl::Status init = refused->Init();
  EXPECT_TRUE(absl::IsFailedPrecondition(init)) << init;
  EXPECT_THAT(std::string(init.message()),
              HasSubstr("on the bridge warren0, not on other0 (sandbox "
                        "\"sandbox-1\""));
  EXPECT_EQ(NodeState(), before);
  ExpectConnected(pod);
}

// Its record cannot be read, but its port rule can.
TEST_F(RangesTest, NET_4_APodThatNobodyKnowsKeepsItsAddressAndItsGateway) {
  const auto fresh = StateOf({"10.88.0.0/24"});
  Pod pod;
  {
    auto network = MakeNetwork({"10.88.0.0/16"});
    pod = StartPod(*network, "sandbox-1");
  }
  auto network = MakeNetwork({"10.88.0.0/24"});
  EXPECT_EQ(*network->RemoveOrphans({"sandbox-1"}, kForever), 0);
  EXPECT_THAT(NodeState(), Contains("address warren0 10.88.0.1/16"));
  ExpectConnected(pod);
  const auto other = network->Prepare(RequestFor("sandbox-2"), kForever);
  EXPECT_EQ(other->addresses[0].ToString(), "10.88.0.3/24");
  EXPECT_TRUE(network->Detach(*other, kForever).ok());
  ExpectIntact(*network, pod);
  Detach(*network, pod);
  EXPECT_EQ(NodeState(), fresh);
}

TEST_F(RangesTest, APodNothingIsKnownOfKeepsTheOldGateway) {
  Pod pod;
  {
    auto network = MakeNetwork({"10.88.0.0/16"});
    pod = StartPod(*network, "sandbox-1");
  }
  ASSERT_TRUE(PodRules("warren").Remove().ok());
  auto network = MakeNetwork({"10.89.0.0/16"});
  EXPECT_EQ(*network->RemoveOrphans({"sandbox-1"}, kForever), 0);
  EXPECT_THAT(NodeState(), Contains("address warren0 10.88.0.1/16"));
  ExpectIntact(*network, pod);
  EXPECT_EQ(*network->RemoveOrphans({"sandbox-1"}, kForever), 0);
  ExpectConnected(pod);
  Detach(*network, pod);
  EXPECT_THAT(NodeState(), Not(Contains("address warren0 10.88.0.1/16")));
}

TEST_F(RangesTest, WhatCouldNotBeTakenBackIsTakenBackByTheNextTry) {
  const auto fresh = StateOf({"10.89.0.0/16"});
  auto network = MakeNetwork({"10.88.0.0/16"});
  ASSERT_TRUE(network->RemoveOrphans({}, kForever).ok());
  const NetworkState state =
      network->Prepare(RequestFor("sandbox-1"), kForever).value();
  const Pod pod = StartPod(*network, "sandbox-2");
  ASSERT_TRUE(network->SetPodRanges({Prefix("10.89.0.0/16")}, kForever).ok());
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int bridge = FindLink(node, "warren0").value()->index;
  // Not ours as long as it is not in our group.
  ASSERT_TRUE(node.Execute(SetGroup(bridge, 0)).ok());
  EXPECT_TRUE(network->Detach(state, kForever).ok()) << "one lease is left";
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(network->Drain(kForever)));
  EXPECT_THAT(NodeState(), Contains("address warren0 10.88.0.1/16"));
  ASSERT_TRUE(node.Execute(SetGroup(bridge, LinkGroupOf("warren0"))).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(NodeState(), fresh);
}

// UpdateRuntimeConfig against pods that come and go.
TEST_F(RangesTest, RangesChangeWhilePodsComeAndGo) {
  auto network = MakeNetwork({"10.88.0.0/16"});
  ASSERT_TRUE(network->RemoveOrphans({}, kForever).ok());
  const auto before = NodeState();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const Pod pod = StartPod(*network, absl::StrCat(t, "-", i));
        EXPECT_EQ(
            Talk(node_.get(), pod.netns.get(), pod.lease.addresses[0].address),
            "10.88.0.1");
        EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const char* range = i % 2 == 0 ? "10.88.0.0/24" : "10.88.0.0/16";
    EXPECT_TRUE(network->SetPodRanges({Prefix(range)}, kForever).ok());
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(NodeState(), before);
}

}  // namespace
}  // namespace warren::netplugin
