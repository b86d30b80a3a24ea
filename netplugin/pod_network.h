#ifndef WARREN_NETPLUGIN_POD_NETWORK_H_
#define WARREN_NETPLUGIN_POD_NETWORK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "netplugin/ip.h"

// The seam between the agent and pod networking. The network keeps no
// database: leases live in the sandbox records and are re-taken by Adopt().
namespace warren::netplugin {

// The addresses of one pod, one for each address family of the pod ranges,
// in the order of the ranges: the first is "the" pod address.
struct Lease {
  std::string sandbox_id;
  std::vector<IpPrefix> addresses;  // host address with the range's length
};

// Everything the agent shows of a wired pod.
struct Attachment {
  std::string host_ifname;          // our end of the veth, in the node
  std::string pod_ifname;           // "eth0"
  std::string mac;                  // of the pod's end, "aa:bb:…"
  std::vector<IpAddress> gateways;  // default routes inside the pod
  int mtu = 0;
};

// A link inside a network namespace, read at call time.
struct LinkView {
  std::string name;
  std::string mac;
  int mtu = 0;
  bool up = false;
  std::vector<std::string> addresses;  // "10.1.2.3/24"
};
struct RouteView {
  std::string destination;  // "default" or a prefix
  std::string gateway;      // empty = on link
  std::string device;
};
struct NetnsView {
  std::vector<LinkView> links;
  std::vector<RouteView> routes;
};

struct Health {
  bool ready = false;
  std::string reason;  // CamelCase, for the NetworkReady condition
  std::string message;
};

// Thread-safe; calls for one sandbox are serialised by the caller.
// Setup is all or nothing. Teardown is idempotent, works without the network
// namespace, and gives the lease back last, never while a link, route or rule
// still mentions the address (NET-4).
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // Makes what all pods share (bridge, nft table, sysctls) or repairs it.
  // Called at start and whenever the ranges change; idempotent.
  virtual absl::Status Init() = 0;

  // Pod ranges, e.g. of UpdateRuntimeConfig: the same value again is OK,
  // kInvalidArgument for an unusable range, kFailedPrecondition while pods
  // hold addresses of the old ones or when the host already routes it.
  virtual absl::Status SetPodRanges(const std::vector<IpPrefix>& ranges) = 0;

  virtual Health Check() = 0;

  // Reserves addresses; kResourceExhausted when a range is full.
  virtual absl::StatusOr<Lease> Allocate(const std::string& sandbox_id) = 0;
  // Gives back a lease that was never wired, or after Teardown.
  virtual void Release(const Lease& lease) = 0;
  // Re-takes a recorded lease after a restart.
  virtual absl::Status Adopt(const Lease& lease) = 0;

  // Wires the namespace `netns_fd` (borrowed): lo up, eth0 with the leased
  // addresses, default routes.
  virtual absl::StatusOr<Attachment> Setup(const Lease& lease,
                                           int netns_fd) = 0;
  // Cuts a sandbox off at once, removes its link and releases its lease. Call
  // it before the namespace is dropped or after, both work. The link may go,
  // and the lease be released, shortly after the return; see Drain.
  virtual absl::Status Teardown(const Lease& lease) = 0;

  // Returns once nothing of pods torn down so far is left: links, leases.
  virtual absl::Status Drain() { return absl::OkStatus(); }

  // Links of ours in the node whose sandbox is not in `live_ids` and holds no
  // lease (so that a Setup under way is safe) are removed. Returns how many.
  virtual absl::StatusOr<int> RemoveOrphans(
      const std::vector<std::string>& live_ids) = 0;

  // Links, addresses and routes of any network namespace, for inspection.
  virtual absl::StatusOr<NetnsView> Inspect(int netns_fd) = 0;

  // Takes back everything Init() made, sysctls included; for `--clean` and
  // tests. Not called at a normal stop.
  virtual absl::Status Clean() = 0;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_POD_NETWORK_H_
