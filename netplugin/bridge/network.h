#ifndef WARREN_NETPLUGIN_BRIDGE_NETWORK_H_
#define WARREN_NETPLUGIN_BRIDGE_NETWORK_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <memory>
#include <string>
#include <vector>

#include "netplugin/bridge/link_reaper.h"
#include "netplugin/bridge/options.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/ip.h"
#include "netplugin/ipam/ipam.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "netplugin/netlink/sysctl.h"
#include "netplugin/nft/rules.h"
#include "netplugin/pod_network.h"
#include "runtime/base/deadline.h"

namespace warren::netplugin {

// Pods on a bridge of the node: the PodNetwork made of a veth per pod, host
// addresses of the pod ranges, default routes to the bridge and masquerading.
// Its NetworkState is that of bridge/state.h. Host ports and bandwidth are
// refused.
//
// Detach cuts the pod off at once (no packet passes its port any more) and
// leaves the deletion of the link, 20-36 ms of waiting inside the kernel, to
// the LinkReaper, which works when Tend() or Drain() is called; the lease is
// taken until the link is gone. Drain() waits.
//
// Attach, Check and Inspect enter the pod's namespace on the calling thread, to
// open a netlink socket and to write settings. Four calls wait for the
// LinkReaper: Tend, Drain, SetPodRanges, and Prepare when a range is full or
// the same sandbox was detached just before. All others wait for the kernel and
// for each other's short sections only. Thread-safe as PodNetwork says.
//
// Pods of ranges that are not configured any more go on: the bridge keeps the
// gateway, the rules the masquerading of such a range, until its last lease is
// released. At the start it is the bridge and the port rules that tell which
// ranges and addresses there are, until RemoveOrphans; Init fails with
// kFailedPrecondition, before anything is changed, when a configured range
// needs the address of a running pod for itself.
class BridgeNetwork : public PodNetwork {
 public:
  // Touches nothing yet. kInvalidArgument for bad options.
  static absl::StatusOr<std::unique_ptr<BridgeNetwork>> Create(
      BridgeNetworkOptions options);

  absl::Status Init() override;
  absl::Status SetPodRanges(const std::vector<IpPrefix>& ranges,
                            const base::Deadline& deadline) override;
  Health CheckHealth() override;
  absl::StatusOr<NetworkState> Prepare(const PodRequest& request,
                                       const base::Deadline& deadline) override;
  absl::StatusOr<Attachment> Attach(const NetworkState& state, int netns_fd,
                                    const base::Deadline& deadline) override;
  absl::Status Detach(const NetworkState& state,
                      const base::Deadline& deadline) override;
  absl::StatusOr<PodCheck> Check(const NetworkState& state, int netns_fd,
                                 const base::Deadline& deadline) override;
  absl::StatusOr<absl::Duration> Tend(const base::Deadline& deadline) override;
  absl::Status Drain(const base::Deadline& deadline) override;
  absl::StatusOr<int> RemoveOrphans(const std::vector<std::string>& live_ids,
                                    const base::Deadline& deadline) override;
  std::string Refused() override;
  absl::StatusOr<NetnsView> Inspect(int netns_fd) override;
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
  // Fills before_, once, from the record or what bridges remember.
  absl::Status LookBackLocked(const std::vector<Link>& links)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(setup_mutex_);
  // The port filter, in a way that no port is without it while links of an
  // older agent get the group of this instance.
  absl::Status EnsureRulesLocked(NetlinkSocket& socket,
                                 const std::vector<PodPort>& ports,
                                 const std::vector<IpPrefix>& ranges)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(setup_mutex_);
  // The bridge, its addresses and forwarding, for the ranges in force.
  absl::Status ApplyLocked(NetlinkSocket& socket, int mtu,
                           const std::vector<IpPrefix>& ranges)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(setup_mutex_);
  // Brings the kernel in step with the ranges in force; most of the time there
  // is nothing to do. After an error the next caller tries again.
  absl::Status SyncRanges() ABSL_LOCKS_EXCLUDED(setup_mutex_);
  bool InStep() ABSL_LOCKS_EXCLUDED(mutex_);
  // Holds what pods of `live_ids` send from whose leases are not known. False
  // when there is a link (of `veths`) nothing is known of.
  absl::StatusOr<bool> HoldUnknown(const std::vector<std::string>& live_ids,
                                   const std::vector<Link>& veths);
  // What the bridge must know of a pod's port, if that is there.
  static absl::Status GuardAgain(const WiringPlan& plan, int bridge);
  absl::StatusOr<Lease> Reserve(const PodRequest& request,
                                const base::Deadline& deadline);
  // Lets nothing more pass; true when there is no link to wait for, else the
  // reaper has it.
  absl::StatusOr<bool> CutOff(const Lease& lease)
      ABSL_SHARED_LOCKS_REQUIRED(setup_mutex_);
  // Gives a lease back, unless its link is still to go.
  void Release(const Lease& lease);

  const BridgeNetworkOptions options_;
  PodRules rules_;

  // Held over all that changes what pods share; before mutex_, and never while
  // waiting for the reaper, which takes it. Shared by Detach, so that
  // Init puts no port rule back.
  absl::Mutex setup_mutex_;
  std::vector<Sysctl> saved_ ABSL_GUARDED_BY(setup_mutex_);
  // What the node forwarded before us; empty = Init has not looked.
  std::vector<Sysctl> before_ ABSL_GUARDED_BY(setup_mutex_);

  absl::Mutex mutex_;
  Ipam ipam_ ABSL_GUARDED_BY(mutex_);
  Base base_ ABSL_GUARDED_BY(mutex_);  // bridge 0 = Init has not been
  // Ranges that the kernel has; empty = not known.
  std::vector<IpPrefix> applied_ ABSL_GUARDED_BY(mutex_);

  // Last: what it calls uses the rest.
  LinkReaper reaper_;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_NETWORK_H_
