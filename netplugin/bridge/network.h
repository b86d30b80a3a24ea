#ifndef WARREN_NETPLUGIN_BRIDGE_NETWORK_H_
#define WARREN_NETPLUGIN_BRIDGE_NETWORK_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <memory>
#include <string>
#include <vector>

#include "netplugin/bridge/link_reaper.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/ip.h"
#include "netplugin/ipam/ipam.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/rules.h"
#include "netplugin/pod_network.h"
#include "runtime/base/clock.h"

namespace warren::netplugin {

struct BridgeNetworkOptions {
  std::vector<IpPrefix> ranges;    // ValidateRanges
  std::string bridge = "warren0";  // link name
  int mtu = 0;                     // 0 = that of the uplink
  std::string table = "warren";    // nftables table names
  const base::Clock* clock = &base::SystemClock();
  // A released address rests so long, unless its range is otherwise full.
  absl::Duration cool_down = absl::Seconds(30);
  // How long a torn-down link may go by itself (LinkReaper).
  absl::Duration link_grace = absl::Milliseconds(200);
};

// Pods on a bridge of the node: the PodNetwork made of a veth per pod, host
// addresses of the pod ranges, default routes to the bridge and masquerading.
// The "node" is the network namespace of the threads that call; all of them
// must be in the same one.
//
// Teardown cuts the pod off at once (no packet passes its port any more) and
// leaves the deletion of the link, 20-36 ms of waiting inside the kernel, to
// the LinkReaper; the lease is taken until the link is gone. Drain() waits.
//
// Thread-safe as PodNetwork says.
class BridgeNetwork : public PodNetwork {
 public:
  // Touches nothing yet. kInvalidArgument for bad options.
  static absl::StatusOr<std::unique_ptr<BridgeNetwork>> Create(
      BridgeNetworkOptions options);

  absl::Status Init() override;
  absl::Status SetPodRanges(const std::vector<IpPrefix>& ranges) override;
  Health Check() override;
  absl::StatusOr<Lease> Allocate(const std::string& sandbox_id) override;
  void Release(const Lease& lease) override;
  absl::Status Adopt(const Lease& lease) override;
  absl::StatusOr<Attachment> Setup(const Lease& lease, int netns_fd) override;
  absl::Status Teardown(const Lease& lease) override;
  absl::StatusOr<int> RemoveOrphans(
      const std::vector<std::string>& live_ids) override;
  absl::StatusOr<NetnsView> Inspect(int netns_fd) override;
  absl::Status Drain() override;
  absl::Status Clean() override;

 private:
  explicit BridgeNetwork(BridgeNetworkOptions options);

  absl::Status InitLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(setup_mutex_);
  // Bridge index and MTU for a pod with this lease.
  struct Base {
    int bridge = 0;
    int mtu = 0;
  };
  absl::StatusOr<Base> BaseFor(const Lease& lease);

  const BridgeNetworkOptions options_;
  PodRules rules_;

  // Held over Init, SetPodRanges and Clean; before mutex_.
  absl::Mutex setup_mutex_;
  std::vector<Sysctl> saved_ ABSL_GUARDED_BY(setup_mutex_);

  absl::Mutex mutex_;
  Ipam ipam_ ABSL_GUARDED_BY(mutex_);
  Base base_ ABSL_GUARDED_BY(mutex_);  // bridge 0 = Init has not been

  // Last: its thread uses the rest.
  LinkReaper reaper_;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_NETWORK_H_
