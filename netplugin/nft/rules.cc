#include "netplugin/nft/rules.h"

#include <netinet/in.h>
// After netinet/in.h, whose types the next ones redefine otherwise.
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "netplugin/nft/batch.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr char kRanges4[] = "ranges4";
constexpr char kRanges6[] = "ranges6";
constexpr char kPorts4[] = "ports4";
constexpr char kPorts6[] = "ports6";

// Data types of nft(8); only its listing looks at them. A concatenation has
// six bits for each part.
constexpr uint32_t kTypeIpv4 = 7;
constexpr uint32_t kTypeIpv6 = 8;
constexpr uint32_t kTypeMac = 9;
constexpr uint32_t kTypeIfname = 41;
constexpr uint32_t PortType(uint32_t address_type) {
  return kTypeIfname << 12 | kTypeMac << 6 | address_type;
}

// A port key is link name (16) . MAC (6, padded to 8) . address, each part in
// whole registers of 4 bytes.
constexpr uint32_t kPaddedMac = 8;
constexpr uint32_t kPortHead = IFNAMSIZ + kPaddedMac;
constexpr uint32_t kNameReg = NFT_REG_1;
constexpr uint32_t kMacReg = NFT_REG_2;
constexpr uint32_t kAddressReg = NFT_REG32_06;

constexpr uint32_t kLink = NFT_PAYLOAD_LL_HEADER;
constexpr uint32_t kNetwork = NFT_PAYLOAD_NETWORK_HEADER;
constexpr uint32_t kTransport = NFT_PAYLOAD_TRANSPORT_HEADER;
constexpr uint32_t kSourceMac = 6;  // offset in an Ethernet header

// Keeps a transaction far below the socket's send buffer.
constexpr size_t kKeysPerTransaction = 100;

std::string U16(uint16_t value) {
  const uint16_t order = htons(value);
  return {reinterpret_cast<const char*>(&order), sizeof(order)};
}

std::string HostU32(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string Key(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.data()),
          static_cast<size_t>(address.size())};
}

std::string PortKey(const PodPort& port, const IpAddress& address) {
  std::string key = port.host_ifname;
  key.resize(IFNAMSIZ);
  key.append(reinterpret_cast<const char*>(port.mac.data()), port.mac.size());
  key.resize(kPortHead);
  return key + Key(address);
}

// The link of a port key, whose name is padded with NULs.
std::string LinkIn(const std::string& key) {
  return key.substr(0, std::min<size_t>(key.find('\0'), IFNAMSIZ));
}

const char* PortSet(const IpAddress& address) {
  return address.family() == AF_INET ? kPorts4 : kPorts6;
}

// [first address, first address behind) of a range.
std::vector<NftElement> Interval(const IpPrefix& range) {
  return {{Key(range.Masked().address)},
          {Key(range.End()), /*interval_end=*/true}};
}

// The kernel refuses intervals that overlap, so a range within another one is
// left out. Two of the same length are the same or far from each other.
void FillRanges(NftBatch& batch, const std::vector<IpPrefix>& ranges) {
  batch.FlushSet(kRanges4);
  batch.FlushSet(kRanges6);
  for (const IpPrefix& range : ranges) {
    const bool inner =
        std::any_of(ranges.begin(), ranges.end(), [&](const IpPrefix& other) {
          return other.length < range.length && other.Overlaps(range);
        });
    if (inner) continue;
    batch.AddElements(range.address.family() == AF_INET ? kRanges4 : kRanges6,
                      Interval(range));
  }
}

void AddMasquerade(NftBatch& batch) {
  NftRule v4;
  v4.Meta(NFT_META_NFPROTO, NFT_REG_1).Equal(NFT_REG_1, "\x02");
  v4.Payload(kNetwork, 12, 4, NFT_REG_1).In(NFT_REG_1, kRanges4);
  v4.Payload(kNetwork, 16, 4, NFT_REG_1).NotIn(NFT_REG_1, kRanges4);
  v4.Payload(kNetwork, 16, 1, NFT_REG_1)
      .And(NFT_REG_1, "\xf0")
      .NotEqual(NFT_REG_1, "\xe0");
  batch.AddRule("postrouting", v4.Masquerade());
  NftRule v6;
  v6.Meta(NFT_META_NFPROTO, NFT_REG_1).Equal(NFT_REG_1, "\x0a");
  v6.Payload(kNetwork, 8, 16, NFT_REG_1).In(NFT_REG_1, kRanges6);
  v6.Payload(kNetwork, 24, 16, NFT_REG_1).NotIn(NFT_REG_1, kRanges6);
  v6.Payload(kNetwork, 24, 1, NFT_REG_1).NotEqual(NFT_REG_1, "\xff");
  batch.AddRule("postrouting", v6.Masquerade());
}

NftRule OfProtocol(uint16_t ethertype) {
  NftRule rule;
  rule.Meta(NFT_META_PROTOCOL, NFT_REG_1).Equal(NFT_REG_1, U16(ethertype));
  return rule;
}

// Adds to `rule` that (link, MAC at mac_offset, address at address_offset) is
// in the set.
void FromPort(NftRule& rule, const char* set, uint32_t mac_header,
              uint32_t mac_offset, uint32_t address_header,
              uint32_t address_offset) {
  const uint32_t size = set == kPorts4 ? 4 : 16;
  rule.Meta(NFT_META_IIFNAME, kNameReg);
  rule.Payload(mac_header, mac_offset, ETH_ALEN, kMacReg);
  rule.Payload(address_header, address_offset, size, kAddressReg);
  rule.In(kNameReg, set);
}

NftRule OfIcmp6(char type) {
  NftRule rule = OfProtocol(ETH_P_IPV6);
  rule.Meta(NFT_META_L4PROTO, NFT_REG_1).Equal(NFT_REG_1, "\x3a");
  rule.Payload(kTransport, 0, 1, NFT_REG_1)
      .Equal(NFT_REG_1, absl::string_view(&type, 1));
  return rule;
}

// Sends what comes from the ports of pods to the chain "pod".
void AddPortMatch(NftBatch& batch, const SharedRules& shared) {
  NftRule ours;
  ours.Meta(NFT_META_IIFGROUP, NFT_REG_1)
      .Equal(NFT_REG_1, HostU32(shared.group))
      .Goto("pod");
  batch.AddRule("prerouting", ours);
  for (const std::string& link : shared.moving) {
    std::string name = link;
    name.resize(IFNAMSIZ);
    NftRule moving;
    moving.Meta(NFT_META_IIFNAME, kNameReg).Equal(kNameReg, name).Goto("pod");
    batch.AddRule("prerouting", moving);
  }
}

void AddPortFilter(NftBatch& batch) {
  NftRule ipv4 = OfProtocol(ETH_P_IP);
  FromPort(ipv4, kPorts4, kLink, kSourceMac, kNetwork, 12);
  batch.AddRule("pod", ipv4.Accept());

  // ARP over Ethernet for IPv4; sender addresses of the frame and of the
  // message must both be the pod's.
  NftRule arp = OfProtocol(ETH_P_ARP);
  arp.Payload(kNetwork, 0, 6, NFT_REG_1)
      .Equal(NFT_REG_1, absl::string_view("\x00\x01\x08\x00\x06\x04", 6));
  FromPort(arp, kPorts4, kLink, kSourceMac, kNetwork, 14);
  FromPort(arp, kPorts4, kNetwork, 8, kNetwork, 14);
  batch.AddRule("pod", arp.Accept());

  constexpr char kRouterAdvert = static_cast<char>(134);
  constexpr char kNeighbourAdvert = static_cast<char>(136);
  constexpr char kRedirect = static_cast<char>(137);
  batch.AddRule("pod", OfIcmp6(kRouterAdvert).Drop());
  batch.AddRule("pod", OfIcmp6(kRedirect).Drop());
  // A pod advertises its own address only (target at 8, RFC 4861 4.4).
  NftRule advert = OfIcmp6(kNeighbourAdvert);
  FromPort(advert, kPorts6, kLink, kSourceMac, kTransport, 8);
  FromPort(advert, kPorts6, kLink, kSourceMac, kNetwork, 8);
  batch.AddRule("pod", advert.Accept());
  batch.AddRule("pod", OfIcmp6(kNeighbourAdvert).Drop());
  NftRule ipv6 = OfProtocol(ETH_P_IPV6);
  FromPort(ipv6, kPorts6, kLink, kSourceMac, kNetwork, 8);
  batch.AddRule("pod", ipv6.Accept());

  NftRule rest;
  batch.AddRule("pod", rest.Drop());
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
  NftBatch filter(NFPROTO_BRIDGE, table_);
  filter.AddTable();
  filter.AddSet({kPorts4, PortType(kTypeIpv4), kPortHead + 4, 0});
  filter.AddSet({kPorts6, PortType(kTypeIpv6), kPortHead + 16, 0});
  filter.AddChain("pod");
  filter.AddBaseChain("prerouting",
                      {"filter", NF_BR_PRE_ROUTING, NF_BR_PRI_FILTER_BRIDGED});
  filter.FlushChain("prerouting");
  filter.FlushChain("pod");
  AddPortMatch(filter, shared);
  AddPortFilter(filter);
  RETURN_IF_ERROR(filter.Commit(*socket_));

  NftBatch nat(NFPROTO_INET, table_);
  nat.AddTable();
  nat.AddSet({kRanges4, kTypeIpv4, 4, NFT_SET_INTERVAL});
  nat.AddSet({kRanges6, kTypeIpv6, 16, NFT_SET_INTERVAL});
  nat.AddBaseChain("postrouting",
                   {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  nat.FlushChain("postrouting");
  FillRanges(nat, shared.ranges);
  AddMasquerade(nat);
  return nat.Commit(*socket_);
}

absl::Status PodRules::SetRanges(const std::vector<IpPrefix>& ranges) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch nat(NFPROTO_INET, table_);
  FillRanges(nat, ranges);
  const absl::Status status = nat.Commit(*socket_);
  return IsMissing(status) ? absl::OkStatus() : status;
}

absl::Status PodRules::AddPod(const PodPort& port) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch batch(NFPROTO_BRIDGE, table_);
  for (const IpAddress& address : port.addresses) {
    batch.AddElements(PortSet(address), {{PortKey(port, address)}});
  }
  return batch.Commit(*socket_);
}

absl::Status PodRules::RemovePod(const PodPort& port) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  NftBatch both(NFPROTO_BRIDGE, table_);
  for (const IpAddress& address : port.addresses) {
    both.DeleteElements(PortSet(address), {{PortKey(port, address)}});
  }
  absl::Status status = both.Commit(*socket_);
  if (!IsMissing(status)) return status;
  // One that is not there fails the whole transaction; the others may be.
  status = absl::OkStatus();
  for (const IpAddress& address : port.addresses) {
    base::Update(&status,
                 DeletePorts(PortSet(address), {PortKey(port, address)}));
  }
  return status;
}

absl::Status PodRules::DeletePorts(const char* set,
                                   const std::vector<std::string>& keys) {
  for (size_t i = 0; i < keys.size(); i += kKeysPerTransaction) {
    std::vector<NftElement> elements;
    for (size_t j = i; j < std::min(keys.size(), i + kKeysPerTransaction);
         ++j) {
      elements.push_back({keys[j]});
    }
    NftBatch batch(NFPROTO_BRIDGE, table_);
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
  for (const char* set : {kPorts4, kPorts6}) {
    std::vector<std::string> keys;
    const absl::Status status =
        ListElements(*socket_, NFPROTO_BRIDGE, table_, set, &keys);
    if (IsMissing(status)) continue;
    RETURN_IF_ERROR(status);
    std::vector<std::string> stale;
    for (const std::string& key : keys) {
      if (ifnames.contains(LinkIn(key))) stale.push_back(key);
    }
    if (!stale.empty()) RETURN_IF_ERROR(DeletePorts(set, stale));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PodPort>> PodRules::Ports() {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Open());
  std::vector<PodPort> ports;
  for (const char* set : {kPorts4, kPorts6}) {
    const int family = set == kPorts4 ? AF_INET : AF_INET6;
    const size_t size = family == AF_INET ? 4 : 16;
    std::vector<std::string> keys;
    const absl::Status status =
        ListElements(*socket_, NFPROTO_BRIDGE, table_, set, &keys);
    if (IsMissing(status)) continue;
    RETURN_IF_ERROR(status);
    for (const std::string& key : keys) {
      if (key.size() != kPortHead + size) continue;
      ports.push_back(
          {LinkIn(key), {}, {IpAddress::FromBytes(family, &key[kPortHead])}});
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
