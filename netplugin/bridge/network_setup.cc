// BridgeNetwork: what all pods share, made, changed and taken back.

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "netplugin/bridge/device.h"
#include "netplugin/bridge/forwarding.h"
#include "netplugin/bridge/instance.h"
#include "netplugin/bridge/network.h"
#include "netplugin/bridge/plan.h"
#include "netplugin/bridge/ranges.h"
#include "netplugin/bridge/wiring.h"
#include "netplugin/ipam/address_pool.h"
#include "netplugin/ipam/pod_ranges.h"
#include "netplugin/netlink/link.h"
#include "netplugin/netlink/netlink.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

std::vector<IpAddress> OwnAddresses(const std::vector<IpPrefix>& ranges) {
  std::vector<IpAddress> own;
  for (const IpPrefix& range : ranges) {
    for (const IpAddress& address : ReservedOf(range)) own.push_back(address);
  }
  return own;
}

}  // namespace

absl::Status BridgeNetwork::Init() {
  absl::MutexLock setup(&setup_mutex_);
  return base::Annotate(InitLocked(), "setting up the pod network");
}

absl::Status BridgeNetwork::InitLocked() {
  std::vector<IpPrefix> configured;
  {
    absl::MutexLock lock(&mutex_);
    configured = ipam_.ranges();
  }
  RETURN_IF_ERROR(CheckRangesAgainstHostRoutes(configured, options_.bridge));
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, rules_.Ports());
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  RETURN_IF_ERROR(
      CheckNoPodIsInTheWay(socket, options_.bridge, configured, ports));
  RETURN_IF_ERROR(CheckOthers(links, options_.bridge, options_.table));
  RETURN_IF_ERROR(LookBackLocked(links));
  ASSIGN_OR_RETURN(const std::vector<IpPrefix> inherited,
                   RangesOfBridge(socket, options_.bridge));
  int mtu = options_.mtu;
  if (mtu == 0) {
    ASSIGN_OR_RETURN(mtu, UplinkMtu(socket));
    mtu = std::clamp(mtu, kMinMtu, kMaxMtu);
  }
  std::vector<IpPrefix> ranges;
  std::vector<Lease> leases;
  {
    absl::MutexLock lock(&mutex_);
    if (base_.bridge == 0) {
      for (const IpPrefix& range : inherited) ipam_.Expect(range);
    }
    ranges = ipam_.RangesInForce();
    leases = ipam_.Leases();
  }
  // The port filter first: no pod is ever reachable without it.
  RETURN_IF_ERROR(EnsureRulesLocked(socket, ports, ranges));
  for (const Lease& lease : leases) {
    if (reaper_.IsParked(lease.sandbox_id)) continue;
    RETURN_IF_ERROR(rules_.AddPod(PortOf(lease)));
  }
  return ApplyLocked(socket, mtu, ranges);
}

absl::Status BridgeNetwork::LookBackLocked(const std::vector<Link>& links) {
  if (!before_.empty()) return absl::OkStatus();
  std::vector<Sysctl> known = saved_;
  for (const Sysctl& old : Remembered(links)) RememberOnce(old, &known);
  ASSIGN_OR_RETURN(before_, ForwardingBefore(options_.run_dir, known));
  return absl::OkStatus();
}

absl::Status BridgeNetwork::EnsureRulesLocked(
    NetlinkSocket& socket, const std::vector<PodPort>& ports,
    const std::vector<IpPrefix>& ranges) {
  SharedRules shared{options_.bridge, LinkGroupOf(options_.bridge), ranges,
                     OwnAddresses(ranges)};
  shared.drop_others4 =
      !options_.forward_others && WasOff(before_, kForwarding4);
  shared.drop_others6 =
      !options_.forward_others && WasOff(before_, kForwarding6);
  ASSIGN_OR_RETURN(const std::vector<Link> links, ListLinks(socket));
  const std::vector<Link> old = LinksToMove(links, options_.bridge, ports);
  for (const Link& link : old) shared.moving.push_back(link.name);
  RETURN_IF_ERROR(rules_.Ensure(shared));
  if (old.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(MoveLinks(socket, old, options_.bridge));
  shared.moving.clear();
  return rules_.Ensure(shared);
}

absl::Status BridgeNetwork::ApplyLocked(NetlinkSocket& socket, int mtu,
                                        const std::vector<IpPrefix>& ranges) {
  {
    absl::MutexLock lock(&mutex_);
    applied_.clear();
  }
  ASSIGN_OR_RETURN(
      const Link bridge,
      EnsureBridge(socket, {options_.bridge, options_.table, mtu, ranges}));
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, rules_.Ports());
  RETURN_IF_ERROR(GuardPorts(socket, bridge.index, ports));
  // The bridge may have forgotten; the record has not.
  for (const Sysctl& old : before_) {
    const int family = old.path == kForwarding4 ? AF_INET : AF_INET6;
    if (old.value != "1" && HasFamily(ranges, family)) {
      RememberOnce(old, &saved_);
    }
  }
  ASSIGN_OR_RETURN(saved_, EnsureForwarding(socket, bridge, ranges, saved_));
  absl::MutexLock lock(&mutex_);
  base_ = {bridge.index, mtu};
  applied_ = ranges;
  return absl::OkStatus();
}

bool BridgeNetwork::InStep() {
  absl::MutexLock lock(&mutex_);
  return base_.bridge == 0 || applied_ == ipam_.RangesInForce();
}

absl::Status BridgeNetwork::SyncRanges() {
  if (InStep()) return absl::OkStatus();
  absl::MutexLock setup(&setup_mutex_);
  if (InStep()) return absl::OkStatus();
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  std::vector<IpPrefix> ranges;
  int mtu = 0;
  {
    absl::MutexLock lock(&mutex_);
    ranges = ipam_.RangesInForce();
    mtu = base_.mtu;
  }
  RETURN_IF_ERROR(rules_.SetRanges(ranges, OwnAddresses(ranges)));
  return ApplyLocked(socket, mtu, ranges);
}

absl::Status BridgeNetwork::SetPodRanges(const std::vector<IpPrefix>& ranges,
                                         const base::Deadline& deadline) {
  RETURN_IF_ERROR(ValidateRanges(ranges));
  // So that leases on their way out do not keep a range.
  RETURN_IF_ERROR(reaper_.Drain(deadline));
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
  {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(ipam_.SetRanges(ranges));
  }
  if (!made) return absl::OkStatus();
  const absl::Status status = InitLocked();
  if (status.ok()) return status;
  {
    absl::MutexLock lock(&mutex_);
    // Cannot fail: nobody was given an address that these need.
    ipam_.SetRanges(before).IgnoreError();
  }
  // If that fails, too, CheckHealth() tells and SyncRanges() tries again.
  InitLocked().IgnoreError();
  return base::Annotate(status, "changing the pod ranges");
}

absl::Status BridgeNetwork::Clean() {
  absl::Status result = reaper_.Drain(base::Deadline::Never());
  absl::MutexLock setup(&setup_mutex_);
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
  // Another instance may need them; the last one puts them back.
  const auto needed = HandOver(socket, options_.bridge, restore);
  base::Update(&result, needed.status());
  if (needed.ok() && !*needed) {
    std::reverse(restore.begin(), restore.end());
    base::Update(&result, WriteSysctls(restore));
  }
  base::Update(&result, rules_.Remove());
  // While a setting is not what it was, the record says what it was.
  if (result.ok()) {
    base::Update(&result, ForgetForwarding(options_.run_dir));
  }
  if (result.ok()) {
    saved_.clear();
    before_.clear();
  }
  absl::MutexLock lock(&mutex_);
  base_ = {};
  return base::Annotate(result, "removing the pod network");
}

}  // namespace warren::netplugin
