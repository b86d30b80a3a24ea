#include "netplugin/bridge/network.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "netplugin/bridge/health.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/bridge/pod_check.h"
#include "netplugin/bridge/ranges.h"
#include "netplugin/bridge/state.h"
#include "netplugin/bridge/wiring.h"
#include "netplugin/netlink/inspect.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

std::string Where(const char* what, const std::string& sandbox_id) {
  return absl::StrCat(what, " the network of sandbox \"", sandbox_id, "\"");
}

// Never ignored: a pod that counts on it would run without.
absl::Status RefuseWhatIsNotBuilt(const PodRequest& request) {
  const auto refuse = [](absl::string_view field) {
    return absl::UnimplementedError(
        absl::StrCat(field, ": the bridge network does not do that yet"));
  };
  for (size_t i = 0; i < request.ports.size(); ++i) {
    if (request.ports[i].host_port != 0) {
      return refuse(absl::StrCat("ports[", i, "].host_port"));
    }
  }
  if (request.bandwidth.ingress) return refuse("bandwidth.ingress");
  if (request.bandwidth.egress) return refuse("bandwidth.egress");
  return absl::OkStatus();
}

// The lease behind a state, damaged or of a newer version included: the id and
// the addresses beside the opaque bytes say enough to hold or free it.
Lease LeaseOf(const NetworkState& state,
              const absl::StatusOr<BridgeState>& own) {
  return own.ok() ? own->lease : Lease{state.sandbox_id, state.addresses};
}

}  // namespace

absl::StatusOr<std::unique_ptr<BridgeNetwork>> BridgeNetwork::Create(
    BridgeNetworkOptions options) {
  RETURN_IF_ERROR_IN(CheckOptions(options), "pod network");
  return std::unique_ptr<BridgeNetwork>(new BridgeNetwork(std::move(options)));
}

BridgeNetwork::BridgeNetwork(BridgeNetworkOptions options)
    : options_(std::move(options)),
      rules_(options_.table),
      ipam_(options_.clock, options_.cool_down),
      reaper_(options_.link_grace, [this](const Lease& lease) {
        {
          absl::MutexLock lock(&mutex_);
          ipam_.Release(lease);
        }
        return SyncRanges();
      }) {
  absl::MutexLock lock(&mutex_);
  ipam_.SetRanges(options_.ranges).IgnoreError();  // no lease yet: cannot fail
}

Health BridgeNetwork::CheckHealth() {
  std::vector<IpPrefix> ranges;
  {
    absl::MutexLock lock(&mutex_);
    if (base_.bridge == 0) {
      return {false, "NetworkNotInitialized", "the pod network is not set up"};
    }
    ranges = ipam_.RangesInForce();
  }
  return LookAtNode(options_.bridge, ranges, rules_);
}

absl::StatusOr<Lease> BridgeNetwork::Reserve(const PodRequest& request,
                                             const base::Deadline& deadline) {
  // A lease on its way out must not become the new one.
  if (reaper_.IsParked(request.sandbox_id)) {
    RETURN_IF_ERROR(reaper_.Drain(deadline));
  }
  absl::StatusOr<Lease> lease;
  {
    absl::MutexLock lock(&mutex_);
    lease = ipam_.Allocate(request.sandbox_id, request.addresses);
  }
  if (!absl::IsResourceExhausted(lease.status())) return lease;
  // Addresses of links about to be deleted may be all that is missing.
  RETURN_IF_ERROR(reaper_.Drain(deadline));
  absl::MutexLock lock(&mutex_);
  return ipam_.Allocate(request.sandbox_id, request.addresses);
}

absl::StatusOr<NetworkState> BridgeNetwork::Prepare(
    const PodRequest& request, const base::Deadline& deadline) {
  const std::string where = Where("preparing", request.sandbox_id);
  RETURN_IF_ERROR_IN(deadline.Check(), where);
  RETURN_IF_ERROR_IN(RefuseWhatIsNotBuilt(request), where);
  ASSIGN_OR_RETURN_IN(const Lease lease, Reserve(request, deadline), where);
  absl::StatusOr<NetworkState> state = EncodeState({lease, ""});
  if (!state.ok()) Release(lease);
  return state;
}

void BridgeNetwork::Release(const Lease& lease) {
  if (reaper_.IsParked(lease.sandbox_id)) return;  // released by the reaper
  absl::MutexLock lock(&mutex_);
  ipam_.Release(lease);
}

absl::StatusOr<PodCheck> BridgeNetwork::Check(const NetworkState& state,
                                              int netns_fd,
                                              const base::Deadline& deadline) {
  const std::string where = Where("checking", state.sandbox_id);
  const absl::StatusOr<BridgeState> own = DecodeState(state);
  const Lease lease = LeaseOf(state, own);
  RETURN_IF_ERROR_IN(CheckLease(lease), where);
  Base base;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Status held = ipam_.Adopt(lease);
    if (absl::IsAlreadyExists(held)) {
      return PodCheck{PodCheck::Verdict::kLost, std::string(held.message()),
                      state};
    }
    RETURN_IF_ERROR_IN(held, where);
    base = base_;
  }
  // From here on the address is safe, whatever cannot be found out.
  RETURN_IF_ERROR_IN(SyncRanges(), where);
  RETURN_IF_ERROR_IN(own.status(), where);
  RETURN_IF_ERROR_IN(deadline.Check(), where);
  if (base.bridge == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, ": the pod network is not set up"));
  }
  PodCheck check;
  if (!own->host_ifname.empty()) {
    RETURN_IF_ERROR_IN(rules_.AddPod(PortOf(lease)), where);
    ASSIGN_OR_RETURN_IN(const WiringPlan plan, MakeWiringPlan(lease, base.mtu),
                        where);
    ASSIGN_OR_RETURN_IN(check, ComparePod(plan, base.bridge, netns_fd), where);
    RETURN_IF_ERROR_IN(GuardAgain(plan, base.bridge), where);
  }
  ASSIGN_OR_RETURN_IN(check.state, EncodeState(*own), where);
  return check;
}

absl::Status BridgeNetwork::GuardAgain(const WiringPlan& plan, int bridge) {
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  ASSIGN_OR_RETURN(const std::optional<Link> link,
                   FindLink(socket, plan.port.host_ifname));
  if (!link || link->master != bridge || !IsVethOf(*link, plan.alias)) {
    return absl::OkStatus();
  }
  return socket.Execute(GuardPort(bridge, link->index, plan.port));
}

absl::StatusOr<BridgeNetwork::Base> BridgeNetwork::BaseFor(const Lease& lease) {
  absl::MutexLock lock(&mutex_);
  if (base_.bridge == 0) {
    return absl::FailedPreconditionError("the pod network is not set up");
  }
  const std::optional<Lease> held = ipam_.Find(lease.sandbox_id);
  if (!held || held->addresses != lease.addresses ||
      reaper_.IsParked(lease.sandbox_id)) {
    return absl::FailedPreconditionError("the lease is not held");
  }
  return base_;
}

absl::StatusOr<Attachment> BridgeNetwork::Attach(
    const NetworkState& state, int netns_fd, const base::Deadline& deadline) {
  const std::string where = Where("attaching", state.sandbox_id);
  RETURN_IF_ERROR_IN(deadline.Check(), where);
  ASSIGN_OR_RETURN_IN(BridgeState own, DecodeState(state), where);
  ASSIGN_OR_RETURN_IN(const Base base, BaseFor(own.lease), where);
  ASSIGN_OR_RETURN_IN(const WiringPlan plan,
                      MakeWiringPlan(own.lease, base.mtu), where);
  own.host_ifname = plan.port.host_ifname;
  Attachment attachment;
  ASSIGN_OR_RETURN_IN(attachment.state, EncodeState(own), where);
  const PodBridge bridge{base.bridge, LinkGroupOf(options_.bridge),
                         BridgeMac(options_.bridge)};
  RETURN_IF_ERROR_IN(WirePod(plan, bridge, netns_fd, rules_), where);
  attachment.host_ifname = plan.port.host_ifname;
  attachment.pod_ifname = kPodIfname;
  attachment.mac = FormatMac(plan.port.mac);
  attachment.gateways = plan.gateways;
  attachment.mtu = plan.mtu;
  return attachment;
}

absl::Status BridgeNetwork::Detach(const NetworkState& state,
                                   const base::Deadline&) {
  const std::string where = Where("detaching", state.sandbox_id);
  const absl::StatusOr<BridgeState> own = DecodeState(state);
  // The state of another network: that one has to take the pod down.
  if (absl::IsInvalidArgument(own.status()) && !state.opaque.empty()) {
    return base::Annotate(own.status(), where);
  }
  const Lease lease = LeaseOf(state, own);
  {
    absl::ReaderMutexLock setup(&setup_mutex_);
    ASSIGN_OR_RETURN_IN(const bool gone, CutOff(lease), where);
    if (gone) Release(lease);
  }
  return base::Annotate(SyncRanges(), where);
}

absl::StatusOr<bool> BridgeNetwork::CutOff(const Lease& lease) {
  const PodPort port = PortOf(lease);
  RETURN_IF_ERROR(rules_.RemovePod(port));
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  int bridge = 0;
  {
    absl::MutexLock lock(&mutex_);
    bridge = base_.bridge;
  }
  if (bridge != 0) ForgetNeighbours(socket, bridge, port.addresses);
  ASSIGN_OR_RETURN(const std::optional<Link> link,
                   FindLink(socket, port.host_ifname));
  if (!link || !IsVethOf(*link, LinkAlias(lease.sandbox_id))) return true;
  // Fails only when the bridge or the link went away meanwhile, which cuts the
  // pod off as well.
  socket.Execute(DisableBridgePort(link->index)).IgnoreError();
  reaper_.Park(link->index, link->name, lease);
  return false;
}

absl::StatusOr<int> BridgeNetwork::RemoveOrphans(
    const std::vector<std::string>& live_ids, const base::Deadline& deadline) {
  constexpr char kWhere[] = "removing orphaned links";
  ASSIGN_OR_RETURN_IN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE),
                      kWhere);
  ASSIGN_OR_RETURN_IN(const auto veths, ListVeths(socket, options_.bridge),
                      kWhere);
  // Pods are connected meanwhile, and each has its lease first: so what is
  // there is listed before the leases are.
  ASSIGN_OR_RETURN_IN(const auto ports, rules_.Ports(), kWhere);
  // By name, which follows from the ID: a link without alias is known too.
  absl::flat_hash_set<std::string> live;
  for (const std::string& id : live_ids) live.insert(HostIfname(id));
  {
    absl::MutexLock lock(&mutex_);
    for (const Lease& lease : ipam_.Leases()) {
      live.insert(HostIfname(lease.sandbox_id));
    }
  }
  std::vector<int> orphans;
  for (const Link& link : veths) {
    if (!live.contains(link.name)) orphans.push_back(link.index);
  }
  RETURN_IF_ERROR_IN(DeleteLinks(socket, orphans, deadline), kWhere);
  absl::flat_hash_set<std::string> stale;
  ASSIGN_OR_RETURN_IN(const auto bridge, FindLink(socket, options_.bridge),
                      kWhere);
  for (const PodPort& port : ports) {
    if (live.contains(port.host_ifname)) continue;
    stale.insert(port.host_ifname);
    if (bridge) ForgetNeighbours(socket, bridge->index, port.addresses);
  }
  RETURN_IF_ERROR_IN(rules_.DropPods(stale), kWhere);
  ASSIGN_OR_RETURN_IN(const bool all_held, HoldUnknown(live_ids, veths),
                      kWhere);
  if (all_held) {
    absl::MutexLock lock(&mutex_);
    ipam_.ExpectNoMore();
  }
  RETURN_IF_ERROR_IN(SyncRanges(), kWhere);
  return static_cast<int>(orphans.size());
}

absl::StatusOr<bool> BridgeNetwork::HoldUnknown(
    const std::vector<std::string>& live_ids, const std::vector<Link>& veths) {
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, rules_.Ports());
  const auto addresses = AddressesByLink(ports);
  bool all_held = true;
  absl::MutexLock lock(&mutex_);
  for (const std::string& id : live_ids) {
    if (ipam_.Find(id)) continue;
    const std::string name = HostIfname(id);
    if (const auto port = addresses.find(name); port != addresses.end()) {
      ipam_.Guard(id, port->second);
    } else if (std::any_of(veths.begin(), veths.end(), [&](const Link& link) {
                 return link.name == name;
               })) {
      all_held = false;
    }
  }
  return all_held;
}

std::string BridgeNetwork::Refused() {
  const absl::StatusOr<uint64_t> dropped = rules_.DroppedOthers();
  if (!dropped.ok() || *dropped == 0) return "";
  return absl::StrCat(
      *dropped,
      " packets between others than pods were dropped, as this node "
      "did not forward before the agent; a router or another container engine "
      "on it needs network.forward_others = true");
}

absl::StatusOr<NetnsView> BridgeNetwork::Inspect(int netns_fd) {
  return InspectNetns(netns_fd);
}

absl::StatusOr<absl::Duration> BridgeNetwork::Tend(
    const base::Deadline& deadline) {
  return reaper_.Tend(deadline);
}

absl::Status BridgeNetwork::Drain(const base::Deadline& deadline) {
  return reaper_.Drain(deadline);
}

}  // namespace warren::netplugin
