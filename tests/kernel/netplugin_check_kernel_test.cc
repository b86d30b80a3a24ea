// What Check says of pods that are as they were, that differ, that are gone,
// and of those nothing can be said of; and what Prepare and Detach do around
// it.

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/netlink/address.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/netns.h"
#include "netplugin/nft/rules.h"
#include "runtime/base/file.h"
#include "tests/kernel/netplugin_node.h"
#include "tests/kernel/netplugin_traffic.h"

namespace warren::netplugin {
namespace {

using testing::HasSubstr;
using Verdict = PodCheck::Verdict;

class PodCheckTest : public NodeTest {
 protected:
  // Runs requests inside the pod, as a container with CAP_NET_ADMIN could.
  static void Inside(const Pod& pod, Request (*make)(int eth0)) {
    absl::StatusOr<NetlinkSocket> socket = absl::InternalError("");
    ASSERT_TRUE(InNetns(pod.netns.get(), [&] {
                  socket = NetlinkSocket::Open(NETLINK_ROUTE);
                  return socket.status();
                }).ok());
    const int eth0 = FindLink(*socket, "eth0").value()->index;
    ASSERT_TRUE(socket->Execute(make(eth0)).ok());
  }

  PodCheck Check(BridgeNetwork& network, const NetworkState& state,
                 int netns = -1) {
    const auto check = network.Check(state, netns, kForever);
    EXPECT_TRUE(check.ok()) << check.status();
    return check.value_or(PodCheck());
  }
};

TEST_F(PodCheckTest, ARecordOlderThanTheSeamIsBroughtUpToDate) {
  Pod pod;
  {
    auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
    pod = StartPod(*network, "sandbox-1");
  }
  auto network = MakeNetwork({"10.88.0.0/16", "fd88::/64"});
  const PodCheck check = Check(*network, Recorded(pod.lease), pod.netns.get());
  EXPECT_EQ(check.verdict, Verdict::kIntact) << check.problem;
  EXPECT_EQ(check.state, pod.state);
  EXPECT_TRUE(
      TalkTcp(node_.get(), pod.netns.get(), pod.lease.addresses[0].address)
          .ok());
  EXPECT_TRUE(network->Detach(Recorded(pod.lease), kForever).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(CountPodLinks(), 0);
}

TEST_F(PodCheckTest, APreparedPodHasNoLinkYet) {
  NetworkState prepared;
  {
    auto network = MakeNetwork();
    const auto before = NodeState();
    prepared = network->Prepare(RequestFor("sandbox-1"), kForever).value();
    EXPECT_EQ(NodeState(), before);  // a reservation, nothing else
  }
  auto network = MakeNetwork();
  const PodCheck check = Check(*network, prepared);
  EXPECT_EQ(check.verdict, Verdict::kIntact) << check.problem;
  EXPECT_EQ(check.state, prepared);
  EXPECT_NE(network->Prepare(RequestFor("sandbox-2"), kForever)->addresses,
            prepared.addresses);
  // An agent that died between Attach and its record has only this state.
  const base::UniqueFd netns = NewNetns();
  ASSERT_TRUE(network->Attach(prepared, netns.get(), kForever).ok());
  EXPECT_TRUE(network->Detach(prepared, kForever).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(CountPodLinks(), 0);
}

TEST_F(PodCheckTest, AnAlteredPodIsNotLost) {
  auto network = MakeNetwork();
  const Pod pod = StartPod(*network, "sandbox-1");
  const int fd = pod.netns.get();
  EXPECT_EQ(Check(*network, pod.state, fd).verdict, Verdict::kIntact);
  Inside(pod,
         [](int eth0) { return DeleteAddress(eth0, Prefix("10.88.0.2/16")); });
  PodCheck check = Check(*network, pod.state, fd);
  EXPECT_EQ(check.verdict, Verdict::kAltered);
  EXPECT_THAT(check.problem, HasSubstr("lacks the address 10.88.0.2/16"));
  // Without the namespace only the node's side is looked at.
  EXPECT_EQ(Check(*network, pod.state).verdict, Verdict::kIntact);
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int link = FindLink(node, pod.attachment.host_ifname).value()->index;
  ASSERT_TRUE(node.Execute(SetMaster(link, 0)).ok());
  check = Check(*network, pod.state);
  EXPECT_EQ(check.verdict, Verdict::kAltered);
  EXPECT_THAT(check.problem, HasSubstr("not on the bridge"));
}

TEST_F(PodCheckTest, APodWithoutItsLinkIsLost) {
  auto network = MakeNetwork();
  const Pod pod = StartPod(*network, "sandbox-1");
  NetlinkSocket node = NetlinkSocket::Open(NETLINK_ROUTE).value();
  const int link = FindLink(node, pod.attachment.host_ifname).value()->index;
  ASSERT_TRUE(node.Execute(DeleteLink(link)).ok());
  const PodCheck check = Check(*network, pod.state, pod.netns.get());
  EXPECT_EQ(check.verdict, Verdict::kLost);
  EXPECT_THAT(check.problem, HasSubstr("is gone"));
  EXPECT_TRUE(network->Detach(pod.state, kForever).ok());
}

TEST_F(PodCheckTest, TheNodesSideIsRepaired) {
  auto network = MakeNetwork();
  const Pod pod = StartPod(*network, "sandbox-1");
  ASSERT_TRUE(PodRules("warren").RemovePod(PortOf(pod.lease)).ok());
  EXPECT_EQ(Check(*network, pod.state, pod.netns.get()).verdict,
            Verdict::kIntact);
  EXPECT_THAT(PodRules("warren").Pods().value(),
              testing::ElementsAre(pod.attachment.host_ifname));
}

TEST_F(PodCheckTest, NET_4_WhatIsNotKnownKeepsItsAddress) {
  Pod pod;
  {
    auto network = MakeNetwork();
    pod = StartPod(*network, "sandbox-1");
  }
  NetworkState damaged = pod.state;
  damaged.opaque.resize(damaged.opaque.size() / 2);
  NetworkState newer = pod.state;
  newer.opaque.replace(newer.opaque.find(" 1\n"), 3, " 2\n");
  NetworkState foreign = pod.state;
  foreign.opaque = "another network's";
  const auto pipe = base::MakePipe().value();
  const auto over = base::Deadline::After(absl::ZeroDuration());
  const std::vector<
      std::pair<absl::StatusCode, std::function<absl::Status(BridgeNetwork&)>>>
      unknown = {
          {absl::StatusCode::kDataLoss,
           [&](BridgeNetwork& n) {
             return n.Check(damaged, -1, kForever).status();
           }},
          {absl::StatusCode::kFailedPrecondition,
           [&](BridgeNetwork& n) {
             return n.Check(newer, -1, kForever).status();
           }},
          {absl::StatusCode::kInvalidArgument,
           [&](BridgeNetwork& n) {
             return n.Check(foreign, -1, kForever).status();
           }},
          {absl::StatusCode::kInvalidArgument,
           [&](BridgeNetwork& n) {
             return n.Check(pod.state, pipe.read.get(), kForever).status();
           }},
          {absl::StatusCode::kDeadlineExceeded,
           [&](BridgeNetwork& n) {
             return n.Check(pod.state, -1, over).status();
           }},
      };
  for (const auto& [code, check] : unknown) {
    auto network = MakeNetwork();
    const absl::Status status = check(*network);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(network->Prepare(RequestFor("sandbox-2"), kForever)->addresses,
              pod.lease.addresses);
  }
  auto network = MakeNetwork();
  EXPECT_EQ(CountPodLinks(), 1);
  EXPECT_TRUE(absl::IsInvalidArgument(network->Detach(foreign, kForever)));
  EXPECT_EQ(CountPodLinks(), 1);
  // A damaged state must not keep a pod from going, nor must time.
  EXPECT_TRUE(network->Detach(damaged, over).ok());
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(CountPodLinks(), 0);
}

TEST_F(PodCheckTest, WhatTheBridgeCannotGiveIsRefused) {
  auto network = MakeNetwork();
  PodRequest request = RequestFor("sandbox-1");
  request.ports = {{Protocol::kTcp, 80, 0, {}}};
  EXPECT_TRUE(network->Prepare(request, kForever).ok());
  request.sandbox_id = "sandbox-2";
  request.ports.push_back({Protocol::kUdp, 53, 53, {}});
  const absl::Status port = network->Prepare(request, kForever).status();
  EXPECT_TRUE(absl::IsUnimplemented(port)) << port;
  EXPECT_THAT(std::string(port.message()), HasSubstr("ports[1].host_port"));
  for (const bool ingress : {false, true}) {
    request = RequestFor("sandbox-2");
    (ingress ? request.bandwidth.ingress : request.bandwidth.egress) = 1000;
    const absl::Status limit = network->Prepare(request, kForever).status();
    EXPECT_TRUE(absl::IsUnimplemented(limit)) << limit;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      network->Prepare(RequestFor("a\nb"), kForever).status()));
  request = RequestFor("sandbox-2");
  request.addresses = {Address("10.88.7.7")};
  EXPECT_EQ(network->Prepare(request, kForever)->addresses[0].ToString(),
            "10.88.7.7/16");
}

TEST_F(PodCheckTest, NoCallWaitsLongerThanItsDeadline) {
  auto network = MakeNetwork();
  const auto over = base::Deadline::After(absl::ZeroDuration());
  const auto gone = kForever.CancelledBy([] { return true; });
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      network->Prepare(RequestFor("sandbox-1"), over).status()));
  EXPECT_TRUE(absl::IsCancelled(
      network->Prepare(RequestFor("sandbox-1"), gone).status()));
  const NetworkState state =
      network->Prepare(RequestFor("sandbox-1"), kForever).value();
  const base::UniqueFd netns = NewNetns();
  const auto before = NodeState();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      network->Attach(state, netns.get(), over).status()));
  EXPECT_TRUE(
      absl::IsCancelled(network->Attach(state, netns.get(), gone).status()));
  EXPECT_EQ(NodeState(), before);
}

TEST_F(PodCheckTest, NET_4_ADrainOutOfTimeLosesNothing) {
  BridgeNetworkOptions options;
  options.ranges = {Prefix("10.88.0.0/30")};  // one pod
  options.link_grace = absl::Hours(1);
  auto network = BridgeNetwork::Create(options).value();
  ASSERT_TRUE(network->Init().ok());
  const Pod pod = StartPod(*network, "sandbox-1");
  ASSERT_TRUE(network->Detach(pod.state, kForever).ok());
  const auto gone = kForever.CancelledBy([] { return true; });
  EXPECT_TRUE(absl::IsCancelled(network->Drain(gone)));
  EXPECT_TRUE(
      absl::IsCancelled(network->SetPodRanges({Prefix("10.89.0.0/16")}, gone)));
  EXPECT_EQ(CountPodLinks(), 1);
  EXPECT_TRUE(network->Drain(kForever).ok());
  EXPECT_EQ(CountPodLinks(), 0);
  EXPECT_EQ(network->Prepare(RequestFor("sandbox-2"), kForever)->addresses,
            pod.state.addresses);
}

}  // namespace
}  // namespace warren::netplugin
