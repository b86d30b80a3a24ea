#ifndef WARREN_NETPLUGIN_POD_NETWORK_H_
#define WARREN_NETPLUGIN_POD_NETWORK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "runtime/base/deadline.h"

// The seam between the agent and pod networking.
//
//   Prepare --> the agent records the intent --> the namespaces are made
//      --> Attach --> the agent records the result --> the pod is READY
//   restart: Init, then Check for each recorded pod, then RemoveOrphans
//   end: Detach, whatever there is of the pod
//
// A network keeps no database of its own. What it has to know later is in the
// NetworkState that it hands out and that the agent keeps in the pod's record.
namespace warren::netplugin {

// ---- What a pod asks for --------------------------------------------------

enum class Protocol { kTcp, kUdp, kSctp };

struct PortMapping {
  Protocol protocol = Protocol::kTcp;
  uint16_t container_port = 0;
  uint16_t host_port = 0;  // 0 = the pod asks for no port of the node
  IpAddress host_ip;       // family 0 = all addresses of the node
};

// Limits in bits per second, as the pod sees it: ingress is what it receives.
struct Bandwidth {
  std::optional<uint64_t> ingress;
  std::optional<uint64_t> egress;
};

// All that a network may want to know of a pod. An implementation refuses what
// it cannot give (kUnimplemented, naming the field); it ignores nothing but
// annotations that are not its own.
struct PodRequest {
  std::string sandbox_id;  // unique on the node, for ever
  std::string name, ns, uid;
  std::vector<PortMapping> ports;
  Bandwidth bandwidth;
  std::map<std::string, std::string> annotations;
  // Addresses that the pod wants, at most one of each pod range. Of the other
  // ranges it gets any address.
  std::vector<IpAddress> addresses;
};

// ---- What the agent keeps and shows ---------------------------------------

// What a network has to know to find, check and take back a pod's network. A
// value; the agent stores it with the pod and gives it back unchanged.
struct NetworkState {
  std::string sandbox_id;
  // Owned by the implementation, which names and versions its format in it.
  // Never empty, with one exception: records of agents older than this seam
  // have none. The network of that time, the bridge, takes such a state for a
  // lease of `addresses`.
  std::string opaque;
  // With the length of their range; the first is "the" pod address. Empty as
  // long as they are not known, which may be until Attach.
  std::vector<IpPrefix> addresses;

  bool operator==(const NetworkState&) const = default;
};

// Everything the agent shows of a connected pod.
struct Attachment {
  NetworkState state;               // replaces that of Prepare
  std::string host_ifname;          // the node's end; empty = there is none
  std::string pod_ifname;           // "eth0"
  std::string mac;                  // of the pod's end, "aa:bb:…"
  std::vector<IpAddress> gateways;  // default routes inside the pod
  int mtu = 0;                      // bytes
};

// What Check found. Only kLost says that something is gone, and it is said
// only of what was seen to be gone.
struct PodCheck {
  enum class Verdict {
    kIntact,
    // It is this pod's network, but not as Attach left it. The pod itself may
    // have done that (CAP_NET_ADMIN).
    kAltered,
    // It cannot be this pod's network any more: the link is gone, or an
    // address belongs to another pod. Detach it.
    kLost,
  };
  Verdict verdict = Verdict::kIntact;
  std::string problem;  // what was found; empty when intact
  // To be recorded from now on. Differs from the one that was checked when
  // that one has an older format.
  NetworkState state;
};

struct Health {
  bool ready = false;
  std::string reason;  // CamelCase, for the NetworkReady condition
  std::string message;
};

// ---- Network namespaces, for inspection -----------------------------------

// A link inside a network namespace, read at call time.
struct LinkView {
  std::string name;
  std::string mac;
  int mtu = 0;  // bytes
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

// ---- The network ----------------------------------------------------------

// Thread-safe; the caller serialises the calls for one sandbox.
//
// Namespaces: the "node" is the network namespace of the calling threads; all
// of them must be in the same one. Attach, Check and Inspect may enter the
// pod's namespace: on the calling thread, for a few system calls, and the
// thread is back before the call returns. Other threads are not concerned.
//
// Waiting: work inside the kernel cannot be cut short, and takes microseconds
// to tens of milliseconds. Where a call waits for anything else (another
// thread, another program, links that are to go) it takes a Deadline, ends
// with kDeadlineExceeded or kCancelled, and leaves nothing half-made behind.
// Calls without a Deadline wait for the kernel only.
//
// Errors: kInvalidArgument for a request or state that makes no sense,
// kUnimplemented for what this network cannot give, kFailedPrecondition before
// Init() and for the state of a newer version, kDataLoss for a damaged state,
// kInternal and kResourceExhausted for what the kernel refused.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // Makes what all pods share, or repairs it. Called at start and whenever the
  // ranges change; idempotent. Until RemoveOrphans nothing is taken away that
  // pods of the last agent may live on, other ranges included.
  // kFailedPrecondition, saying what to do and with nothing changed, when the
  // ranges need the address of a running pod.
  virtual absl::Status Init() = 0;

  // Where pods get their addresses from, e.g. of UpdateRuntimeConfig: the same
  // value again is OK, kInvalidArgument for an unusable range,
  // kFailedPrecondition when the host already routes it or it needs the address
  // of a pod for itself, e.g. as gateway. Pods of the old ranges keep what they
  // have until they are detached; what only they needed goes then. Waits for
  // links of detached pods to go.
  virtual absl::Status SetPodRanges(const std::vector<IpPrefix>& ranges,
                                    const base::Deadline& deadline) = 0;

  // Whether pods can be connected now; looks at the kernel.
  virtual Health CheckHealth() = 0;

  // Reserves what the pod will need, such as addresses, and makes nothing: no
  // kernel object, no file, no program is started. The caller records the
  // result before it goes on, so that a crash loses nothing. A network that
  // gets its addresses elsewhere returns none here. kResourceExhausted when a
  // range is full; may wait for addresses of detached pods.
  virtual absl::StatusOr<NetworkState> Prepare(
      const PodRequest& request, const base::Deadline& deadline) = 0;

  // Connects the namespace `netns_fd` (borrowed): lo up, an interface with the
  // pod's addresses, default routes. All or nothing. `state` is what Prepare
  // returned in this life of the agent.
  virtual absl::StatusOr<Attachment> Attach(const NetworkState& state,
                                            int netns_fd,
                                            const base::Deadline& deadline) = 0;

  // Cuts a sandbox off at once, removes its link and gives its reservation
  // back: that last, never while a link, route or rule mentions the address
  // (NET-4). Takes the state of Prepare as well as that of Attach, since an
  // agent that died in between has recorded only the former. Idempotent; works
  // before and after the namespace is dropped, with or without Check before.
  // The link may go, and the reservation with it, after the return; see Tend
  // and Drain. What needs no wait is done even if `deadline` is over.
  virtual absl::Status Detach(const NetworkState& state,
                              const base::Deadline& deadline) = 0;

  // After a restart: takes a recorded pod's reservation again, repairs what
  // the node's side lacks, and compares the pod with its state. `netns_fd`
  // (borrowed) may be -1: then only the node's side is looked at. Idempotent.
  // An error means that it is not known how the pod is: the reservation is
  // held as far as the state can be read, and nobody may conclude that the
  // network is gone.
  virtual absl::StatusOr<PodCheck> Check(const NetworkState& state,
                                         int netns_fd,
                                         const base::Deadline& deadline) = 0;

  // One step for what Detach left behind, for the agent's reconcile loop: hands
  // back what has gone by itself, deletes what had time enough to go. Waits for
  // no link to go by itself. Returns how soon to call it again, infinite when
  // nothing is left; an error leaves the rest for the next call.
  virtual absl::StatusOr<absl::Duration> Tend(const base::Deadline&) {
    return absl::InfiniteDuration();
  }

  // Returns once nothing of pods detached so far is left: links, reservations.
  // On an error the rest goes with Tend.
  virtual absl::Status Drain(const base::Deadline&) { return absl::OkStatus(); }

  // Links of ours in the node whose sandbox is not in `live_ids` and holds no
  // reservation (so that an Attach under way is safe) are removed. Returns how
  // many. Called after the Check of every recorded pod: ranges that no pod
  // lives in are taken away. What pods in `live_ids` have whose state could not
  // be checked is held for them.
  virtual absl::StatusOr<int> RemoveOrphans(
      const std::vector<std::string>& live_ids,
      const base::Deadline& deadline) = 0;

  // For an operator: what this network keeps from passing between others than
  // pods, and how to change that. Empty when nothing was kept so far. Looks at
  // the kernel.
  virtual std::string Refused() { return ""; }

  // Links, addresses and routes of any network namespace (borrowed), for
  // inspection.
  virtual absl::StatusOr<NetnsView> Inspect(int netns_fd) = 0;

  // Takes back everything Init() made, settings included; for `--clean` and
  // tests. Not called at a normal stop.
  virtual absl::Status Clean() = 0;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_POD_NETWORK_H_
