#include "netplugin/bridge/network.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "netplugin/bridge/device.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/bridge/pod_check.h"
#include "netplugin/bridge/state.h"
#include "netplugin/bridge/wiring.h"
#include "netplugin/ipam/pod_ranges.h"
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
        absl::MutexLock lock(&mutex_);
        ipam_.Release(lease);
      }) {
  absl::MutexLock lock(&mutex_);
  ipam_.SetRanges(options_.ranges).IgnoreError();  // no lease yet: cannot fail
}

absl::Status BridgeNetwork::Init() {
  absl::MutexLock setup(&setup_mutex_);
  return base::Annotate(InitLocked(), "setting up the pod network");
}

absl::Status BridgeNetwork::InitLocked() {
  std::vector<IpPrefix> ranges;
  std::vector<Lease> leases;
  {
    absl::MutexLock lock(&mutex_);
    ranges = ipam_.ranges();
    leases = ipam_.Leases();
  }
  RETURN_IF_ERROR(CheckRangesAgainstHostRoutes(ranges, options_.bridge));
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  int mtu = options_.mtu;
  if (mtu == 0) {
    ASSIGN_OR_RETURN(mtu, UplinkMtu(socket));
    mtu = std::clamp(mtu, kMinMtu, kMaxMtu);
  }
  // The port filter first: no pod is ever reachable without it.
  RETURN_IF_ERROR(rules_.Ensure(ranges));
  for (const Lease& lease : leases) {
    if (reaper_.IsParked(lease.sandbox_id)) continue;
    RETURN_IF_ERROR(rules_.AddPod(PortOf(lease)));
  }
  ASSIGN_OR_RETURN(const Link bridge,
                   EnsureBridge(socket, options_.bridge, mtu, ranges));
  ASSIGN_OR_RETURN(saved_, EnsureForwarding(socket, bridge, ranges, saved_));
  absl::MutexLock lock(&mutex_);
  base_ = {bridge.index, mtu};
  return absl::OkStatus();
}

absl::Status BridgeNetwork::SetPodRanges(const std::vector<IpPrefix>& ranges,
                                         const base::Deadline& deadline) {
  RETURN_IF_ERROR(ValidateRanges(ranges));
  absl::MutexLock setup(&setup_mutex_);
  std::vector<IpPrefix> before;
  bool made = false;
  {
    absl::MutexLock lock(&mutex_);
    before = ipam_.ranges();
    made = base_.bridge != 0;
  }
  if (before == ranges) return absl::OkStatus();
  RETURN_IF_ERROR(CheckRangesAgainstHostRoutes(ranges, options_.bridge));
  RETURN_IF_ERROR(reaper_.Drain(deadline));
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(ipam_.SetRanges(ranges));
  }
  if (!made) return absl::OkStatus();
  const absl::Status status = InitLocked();
  if (status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  // Fails only if a pod started in between; CheckHealth() then tells.
  ipam_.SetRanges(before).IgnoreError();
  return base::Annotate(status, "changing the pod ranges");
}

Health BridgeNetwork::CheckHealth() {
  const auto sick = [](const char* reason, absl::string_view message) {
    return Health{false, reason, std::string(message)};
  };
  std::vector<IpPrefix> ranges;
  {
    absl::MutexLock lock(&mutex_);
    if (base_.bridge == 0) {
      return sick("NetworkNotInitialized", "the pod network is not set up");
    }
    ranges = ipam_.ranges();
  }
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE);
  if (!socket.ok()) return sick("NetlinkFailed", socket.status().message());
  const auto bridge = FindLink(*socket, options_.bridge);
  if (!bridge.ok()) return sick("NetlinkFailed", bridge.status().message());
  if (!bridge->has_value() || !(*bridge)->up) {
    return sick("BridgeMissing",
                absl::StrCat("bridge ", options_.bridge, " is ",
                             bridge->has_value() ? "down" : "missing"));
  }
  const auto present = rules_.Present();
  if (!present.ok()) return sick("RulesFailed", present.status().message());
  if (!*present) return sick("RulesMissing", "nftables tables are missing");
  for (const IpPrefix& range : ranges) {
    const std::string path = range.address.family() == AF_INET
                                 ? "net/ipv4/ip_forward"
                                 : "net/ipv6/conf/all/forwarding";
    const auto value = ReadSysctl(path);
    if (!value.ok() || *value != "1") {
      return sick("ForwardingOff", absl::StrCat("sysctl ", path, " is not 1"));
    }
  }
  return {true, "NetworkReady", ""};
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
    if (!held.ok()) {
      return PodCheck{PodCheck::Verdict::kLost, std::string(held.message()),
                      state};
    }
    base = base_;
  }
  // From here on the address is safe, whatever cannot be found out.
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
  }
  ASSIGN_OR_RETURN_IN(check.state, EncodeState(*own), where);
  return check;
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
  RETURN_IF_ERROR_IN(WirePod(plan, base.bridge, netns_fd, rules_), where);
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
  const PodPort port = PortOf(lease);
  RETURN_IF_ERROR_IN(rules_.RemovePod(port), where);
  ASSIGN_OR_RETURN_IN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE),
                      where);
  ASSIGN_OR_RETURN_IN(const std::optional<Link> link,
                      FindLink(socket, port.host_ifname), where);
  if (!link || !IsVethOf(*link, LinkAlias(lease.sandbox_id))) {
    Release(lease);
    return absl::OkStatus();
  }
  // Fails only when the bridge or the link went away meanwhile, which cuts the
  // pod off as well.
  socket.Execute(DisableBridgePort(link->index)).IgnoreError();
  reaper_.Park(link->index, link->name, lease);
  return absl::OkStatus();
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
  ASSIGN_OR_RETURN_IN(const auto ports, rules_.Pods(), kWhere);
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
  for (const std::string& port : ports) {
    if (!live.contains(port)) stale.insert(port);
  }
  RETURN_IF_ERROR_IN(rules_.DropPods(stale), kWhere);
  return static_cast<int>(orphans.size());
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

absl::Status BridgeNetwork::Clean() {
  absl::MutexLock setup(&setup_mutex_);
  absl::Status result = reaper_.Drain(base::Deadline::Never());
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  std::vector<int> links;
  const auto veths = ListVeths(socket, options_.bridge);
  base::Update(&result, veths.status());
  if (veths.ok()) {
    for (const Link& link : *veths) links.push_back(link.index);
  }
  base::Update(&result, DeleteLinks(socket, links));
  const auto removed = RemoveBridge(socket, options_.bridge);
  base::Update(&result, removed.status());
  std::vector<Sysctl> restore = saved_;
  if (removed.ok() && !removed->empty()) restore = *removed;
  std::reverse(restore.begin(), restore.end());
  base::Update(&result, WriteSysctls(restore));
  base::Update(&result, rules_.Remove());
  if (result.ok()) saved_.clear();
  absl::MutexLock lock(&mutex_);
  base_ = {};
  return base::Annotate(result, "removing the pod network");
}

}  // namespace warren::netplugin
