#ifndef WARREN_TESTS_KERNEL_NETPLUGIN_NODE_H_
#define WARREN_TESTS_KERNEL_NETPLUGIN_NODE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "netplugin/bridge/network.h"
#include "netplugin/ip.h"
#include "netplugin/ipam/lease.h"
#include "netplugin/netlink/link.h"
#include "netplugin/pod_network.h"
#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace warren::netplugin {

inline IpPrefix Prefix(const char* text) { return *IpPrefix::Parse(text); }
inline IpAddress Address(const char* text) { return *IpAddress::Parse(text); }

// A network namespace that lives as long as the descriptor, with lo up.
base::UniqueFd NewNetns();

// The tests wait as long as it takes.
inline const base::Deadline kForever = base::Deadline::Never();

inline PodRequest RequestFor(const std::string& id) {
  PodRequest request;
  request.sandbox_id = id;
  return request;
}

// The state of a pod that an agent older than the seam has recorded: a way to
// name a lease that Prepare would not give out.
inline NetworkState Recorded(const Lease& lease) {
  return {lease.sandbox_id, "", lease.addresses};
}

// A pod as the network sees it.
struct Pod {
  NetworkState state;
  Lease lease;  // the same, as the rules and plans of the bridge want it
  base::UniqueFd netns;
  Attachment attachment;
};

// Each test is a node: the test's thread gets a fresh network namespace with
// an uplink "up0" (192.0.2.1/24, 2001:db8::1/64, MTU 1400, default routes) to
// a namespace `outside_` (192.0.2.2, 2001:db8::2) that has no route back to
// pods. Skips without CAP_SYS_ADMIN.
class NodeTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A network over these ranges, Init() done.
  std::unique_ptr<BridgeNetwork> MakeNetwork(
      const std::vector<const char*>& ranges = {"10.88.0.0/16"});
  // Prepares, makes a namespace, attaches.
  static Pod StartPod(BridgeNetwork& network, const std::string& id);

  // What the node holds now, one line each: links but their indexes,
  // addresses, routes, packet rule ports and ranges. Equal before and after =
  // no leak.
  static std::vector<std::string> NodeState();
  // Links of the node that belong to sandboxes.
  static int CountPodLinks();

  base::UniqueFd outside_;
  base::UniqueFd node_;

 private:
  base::UniqueFd home_;
};

}  // namespace warren::netplugin

#endif  // WARREN_TESTS_KERNEL_NETPLUGIN_NODE_H_
