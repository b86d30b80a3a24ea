#include "netplugin/nft/rules.h"

#include <netinet/in.h>
// After netinet/in.h, whose types the next one redefines otherwise.
#include <linux/netfilter.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "netplugin/nft/batch.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// Keeps a transaction far below the socket's send buffer.
constexpr size_t kKeysPerTransaction = 100;

// A pod's elements of the bridge's table, then of the inet one.
void AddElementsOf(NftBatch& batch, const PodPort& port) {
  batch.SetFamily(NFPROTO_BRIDGE);
  for (const IpAddress& address : port.addresses) {
    batch.AddElements(PortSet(address), {{PortKey(port, address)}});
    batch.AddElements(MacMap(address),
                      {{AddressKey(address), false, MacValue(port.mac)}});
  }
  batch.SetFamily(NFPROTO_INET);
  for (const IpAddress& address : port.addresses) {
    batch.AddElements(PodSet(address), {{AddressKey(address)}});
  }
}

bool IsMissing(const absl::Status& status) {
  return base::GetErrno(status) == ENOENT;
}

}  // namespace

absl::Status PodRules::Open() {
  if (socket_) return absl::OkStatus();
  ASSIGN_OR_RETURN(NetlinkSocket opened,
                   NetlinkSocket::Open(NETLINK_NETFILTER));
  socket_.emplace(std::move(opened));
  return absl::OkStatus();
}

absl::Status PodRules::Ensure(const SharedRules& shared) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch bridge(NFPROTO_BRIDGE, table_);
  FillBridgeTable(bridge, shared);
  RETURN_IF_ERROR(bridge.Commit(*socket_));
  NftBatch inet(NFPROTO_INET, table_);
  FillInetTable(inet, shared);
  RETURN_IF_ERROR(inet.Commit(*socket_));
  // An older agent had no more than the ports of its pods.
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, PortsLocked());
  for (size_t i = 0; i < ports.size(); i += kKeysPerTransaction) {
    NftBatch batch(NFPROTO_BRIDGE, table_);
    for (size_t j = i; j < std::min(ports.size(), i + kKeysPerTransaction);
         ++j) {
      AddElementsOf(batch, ports[j]);
    }
    RETURN_IF_ERROR(batch.Commit(*socket_));
  }
  RETURN_IF_ERROR(DropStrangers(shared.own));
  return EnsureFilter(shared);
}

absl::Status PodRules::EnsureFilter(const SharedRules& shared) {
  NftBatch filter(NFPROTO_INET, table_);
  FillInetFilter(filter, shared, /*reject=*/true);
  const absl::Status status = filter.Commit(*socket_);
  if (!IsMissing(status) && base::GetErrno(status) != EOPNOTSUPP) return status;
  // A kernel without nft_reject, or that cannot use it there.
  NftBatch silent(NFPROTO_INET, table_);
  FillInetFilter(silent, shared, /*reject=*/false);
  return silent.Commit(*socket_);
}

absl::Status PodRules::SetRanges(const std::vector<IpPrefix>& ranges,
                                 const std::vector<IpAddress>& own) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch nat(NFPROTO_INET, table_);
  FillRanges(nat, ranges, own);
  const absl::Status status = nat.Commit(*socket_);
  if (IsMissing(status)) return absl::OkStatus();
  RETURN_IF_ERROR(status);
  return DropStrangers(own);
}

absl::Status PodRules::DropStrangers(const std::vector<IpAddress>& own) {
  absl::flat_hash_set<std::string> known;
  for (const IpAddress& address : own) known.insert(AddressKey(address));
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, PortsLocked());
  for (const PodPort& port : ports) {
    for (const IpAddress& address : port.addresses) {
      known.insert(AddressKey(address));
    }
  }
  for (const char* set : kPodSets) {
    std::vector<std::string> keys;
    const absl::Status status =
        ListElements(*socket_, NFPROTO_INET, table_, set, &keys);
    if (IsMissing(status)) continue;
    RETURN_IF_ERROR(status);
    std::erase_if(keys,
                  [&](const std::string& key) { return known.contains(key); });
    RETURN_IF_ERROR(DeleteKeys(NFPROTO_INET, set, keys));
  }
  return absl::OkStatus();
}

absl::Status PodRules::AddPod(const PodPort& port) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch batch(NFPROTO_BRIDGE, table_);
  AddElementsOf(batch, port);
  const absl::Status status = batch.Commit(*socket_);
  if (base::GetErrno(status) != EBUSY && base::GetErrno(status) != EEXIST) {
    return status;
  }
  // The address had another MAC, in what a crash left.
  for (const IpAddress& address : port.addresses) {
    RETURN_IF_ERROR(
        DeleteKeys(NFPROTO_BRIDGE, MacMap(address), {AddressKey(address)}));
  }
  NftBatch again(NFPROTO_BRIDGE, table_);
  AddElementsOf(again, port);
  return again.Commit(*socket_);
}

absl::Status PodRules::RemovePod(const PodPort& port) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch all(NFPROTO_BRIDGE, table_);
  for (const IpAddress& address : port.addresses) {
    all.DeleteElements(PortSet(address), {{PortKey(port, address)}});
    all.DeleteElements(MacMap(address), {{AddressKey(address)}});
  }
  all.SetFamily(NFPROTO_INET);
  for (const IpAddress& address : port.addresses) {
    all.DeleteElements(PodSet(address), {{AddressKey(address)}});
  }
  absl::Status status = all.Commit(*socket_);
  if (!IsMissing(status)) return status;
  // One that is not there fails the whole transaction; the others may be.
  status = absl::OkStatus();
  for (const IpAddress& address : port.addresses) {
    base::Update(&status, DeleteKeys(NFPROTO_BRIDGE, PortSet(address),
                                     {PortKey(port, address)}));
    base::Update(&status, DeleteAddress(address));
  }
  return status;
}

absl::Status PodRules::DeleteAddress(const IpAddress& address) {
  const std::string key = AddressKey(address);
  absl::Status status = DeleteKeys(NFPROTO_BRIDGE, MacMap(address), {key});
  base::Update(&status, DeleteKeys(NFPROTO_INET, PodSet(address), {key}));
  return status;
}

absl::Status PodRules::DeleteKeys(uint16_t family, const char* set,
                                  const std::vector<std::string>& keys) {
  for (size_t i = 0; i < keys.size(); i += kKeysPerTransaction) {
    std::vector<NftElement> elements;
    for (size_t j = i; j < std::min(keys.size(), i + kKeysPerTransaction);
         ++j) {
      elements.push_back({keys[j]});
    }
    NftBatch batch(family, table_);
    batch.DeleteElements(set, elements);
    const absl::Status status = batch.Commit(*socket_);
    if (!IsMissing(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status PodRules::DropPods(
    const absl::flat_hash_set<std::string>& ifnames) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, PortsLocked());
  absl::flat_hash_set<std::string> in_use;
  for (const PodPort& port : ports) {
    if (!ifnames.contains(port.host_ifname)) {
      in_use.insert(AddressKey(port.addresses[0]));
    }
  }
  for (const PodPort& port : ports) {
    if (!ifnames.contains(port.host_ifname)) continue;
    const IpAddress& address = port.addresses[0];
    RETURN_IF_ERROR(
        DeleteKeys(NFPROTO_BRIDGE, PortSet(address), {PortKey(port, address)}));
    if (in_use.contains(AddressKey(address))) continue;
    RETURN_IF_ERROR(DeleteAddress(address));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PodPort>> PodRules::Ports() {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  return PortsLocked();
}

absl::StatusOr<std::vector<PodPort>> PodRules::PortsLocked() {
  std::vector<PodPort> ports;
  for (const char* set : kPortSets) {
    std::vector<std::string> keys;
    const absl::Status status =
        ListElements(*socket_, NFPROTO_BRIDGE, table_, set, &keys);
    if (IsMissing(status)) continue;
    RETURN_IF_ERROR(status);
    for (const std::string& key : keys) {
      PodPort port;
      if (ParsePortKey(set, key, &port)) ports.push_back(std::move(port));
    }
  }
  return ports;
}

absl::StatusOr<std::vector<std::string>> PodRules::Pods() {
  ASSIGN_OR_RETURN(const std::vector<PodPort> ports, Ports());
  absl::flat_hash_set<std::string> names;
  for (const PodPort& port : ports) names.insert(port.host_ifname);
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<bool> PodRules::Present() const {
  ASSIGN_OR_RETURN(NetlinkSocket socket,
                   NetlinkSocket::Open(NETLINK_NETFILTER));
  for (const uint16_t family : {NFPROTO_INET, NFPROTO_BRIDGE}) {
    const absl::Status status = FindTable(socket, family, table_);
    if (IsMissing(status)) return false;
    RETURN_IF_ERROR(status);
  }
  return true;
}

absl::StatusOr<uint64_t> PodRules::DroppedOthers() const {
  ASSIGN_OR_RETURN(NetlinkSocket socket,
                   NetlinkSocket::Open(NETLINK_NETFILTER));
  const auto packets =
      CountedPackets(socket, NFPROTO_INET, table_, kOthersChain);
  if (IsMissing(packets.status())) return 0;
  return packets;
}

absl::Status PodRules::Remove() {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  absl::Status result;
  for (const uint16_t family : {NFPROTO_INET, NFPROTO_BRIDGE}) {
    NftBatch batch(family, table_);
    batch.DeleteTable();
    const absl::Status status = batch.Commit(*socket_);
    if (!IsMissing(status)) base::Update(&result, status);
  }
  return result;
}

}  // namespace warren::netplugin
