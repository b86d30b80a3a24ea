#include "netplugin/nft/filter.h"

#include <netinet/in.h>
// After netinet/in.h, whose types the next ones redefine otherwise.
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace warren::netplugin {
namespace {

constexpr char kRanges4[] = "ranges4";
constexpr char kRanges6[] = "ranges6";
constexpr char kPorts4[] = "ports4";
constexpr char kPorts6[] = "ports6";
constexpr char kMacs4[] = "macs4";
constexpr char kMacs6[] = "macs6";
constexpr char kPods4[] = "pods4";
constexpr char kPods6[] = "pods6";

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

std::string U16(uint16_t value) {
  const uint16_t order = htons(value);
  return {reinterpret_cast<const char*>(&order), sizeof(order)};
}

std::string HostU32(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// [first address, first address behind) of a range.
std::vector<NftElement> Interval(const IpPrefix& range) {
  return {{AddressKey(range.Masked().address)},
          {AddressKey(range.End()), /*interval_end=*/true}};
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
  batch.AddRule("pod", ipv4.Goto("to4"));

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
  batch.AddRule("pod", ipv6.Goto("to6"));

  NftRule rest;
  batch.AddRule("pod", rest.Drop());
}

// What a pod sends to another one by way of the gateway, as pods know no other
// neighbour, goes straight to that one's port.
void AddShortCuts(NftBatch& batch) {
  NftRule v4;
  v4.Payload(kNetwork, 16, 4, NFT_REG_1).Map(NFT_REG_1, kMacs4, NFT_REG_2);
  batch.AddRule("to4", v4.SetPayload(kLink, 0, ETH_ALEN, NFT_REG_2));
  NftRule v6;
  v6.Payload(kNetwork, 24, 16, NFT_REG_1).Map(NFT_REG_1, kMacs6, NFT_REG_2);
  batch.AddRule("to6", v6.SetPayload(kLink, 0, ETH_ALEN, NFT_REG_2));
}

// Some frames to 01:80:c2:00:00:00 to :0f do not pass prerouting: the bridge
// hands them to the node as they are, from whoever.
void AddLinkLocalFilter(NftBatch& batch, const SharedRules& shared) {
  NftRule rule;
  rule.Meta(NFT_META_IIFGROUP, NFT_REG_1)
      .Equal(NFT_REG_1, HostU32(shared.group));
  rule.Payload(kLink, 0, ETH_ALEN, NFT_REG_1)
      .And(NFT_REG_1, absl::string_view("\xff\xff\xff\xff\xff\xf0", 6))
      .Equal(NFT_REG_1, absl::string_view("\x01\x80\xc2\x00\x00\x00", 6));
  batch.AddRule("input", rule.Drop());
}

// Packets of a family that come in or go out by the bridge.
NftRule By(uint32_t key, const std::string& bridge, char protocol) {
  std::string name = bridge;
  name.resize(IFNAMSIZ);
  NftRule rule;
  rule.Meta(key, NFT_REG_1).Equal(NFT_REG_1, name);
  rule.Meta(NFT_META_NFPROTO, NFT_REG_1)
      .Equal(NFT_REG_1, absl::string_view(&protocol, 1));
  return rule;
}

// An address of a range that no pod has would be asked for, and each such
// question is an entry of the node's neighbour table.
void AddUnusedFilter(NftBatch& batch, const std::string& chain, uint32_t key,
                     const std::string& bridge, bool reject) {
  NftRule v4 = By(key, bridge, NFPROTO_IPV4);
  v4.Payload(kNetwork, 16, 4, NFT_REG_1).In(NFT_REG_1, kRanges4);
  v4.NotIn(NFT_REG_1, kPods4);
  batch.AddRule(chain, reject ? v4.Reject() : v4.Drop());
  NftRule v6 = By(key, bridge, NFPROTO_IPV6);
  v6.Payload(kNetwork, 24, 16, NFT_REG_1).In(NFT_REG_1, kRanges6);
  v6.NotIn(NFT_REG_1, kPods6);
  batch.AddRule(chain, reject ? v6.Reject() : v6.Drop());
}

// A redirect would make a neighbour of whatever it names.
void AddRedirectFilter(NftBatch& batch, const std::string& bridge) {
  for (const auto& [family, protocol, type] :
       {std::tuple<char, char, char>(NFPROTO_IPV4, IPPROTO_ICMP, 5),
        {NFPROTO_IPV6, IPPROTO_ICMPV6, static_cast<char>(137)}}) {
    NftRule rule = By(NFT_META_OIFNAME, bridge, family);
    rule.Meta(NFT_META_L4PROTO, NFT_REG_1)
        .Equal(NFT_REG_1, absl::string_view(&protocol, 1));
    rule.Payload(kTransport, 0, 1, NFT_REG_1)
        .Equal(NFT_REG_1, absl::string_view(&type, 1));
    batch.AddRule("output", rule.Drop());
  }
}

// Packets between strangers (NET-8).
void AddOthersFilter(NftBatch& batch, const SharedRules& shared) {
  if (!shared.drop_others4 && !shared.drop_others6) return;
  for (const uint32_t key : {NFT_META_IIFGROUP, NFT_META_OIFGROUP}) {
    NftRule ours;
    ours.Meta(key, NFT_REG_1)
        .And(NFT_REG_1, HostU32(kGroupsMask))
        .Equal(NFT_REG_1, HostU32(kGroups));
    batch.AddRule(kOthersChain, ours.Accept());
    NftRule old;
    old.Meta(key, NFT_REG_1).Equal(NFT_REG_1, HostU32(kOldLinkGroup));
    batch.AddRule(kOthersChain, old.Accept());
  }
  for (const auto& [family, drop] :
       {std::pair<char, bool>(NFPROTO_IPV4, shared.drop_others4),
        {NFPROTO_IPV6, shared.drop_others6}}) {
    if (!drop) continue;
    NftRule rule;
    rule.Meta(NFT_META_NFPROTO, NFT_REG_1)
        .Equal(NFT_REG_1, absl::string_view(&family, 1));
    batch.AddRule(kOthersChain, rule.Count().Drop());
  }
}

}  // namespace

const char* PortSet(const IpAddress& address) {
  return address.family() == AF_INET ? kPorts4 : kPorts6;
}
const char* MacMap(const IpAddress& address) {
  return address.family() == AF_INET ? kMacs4 : kMacs6;
}
const char* PodSet(const IpAddress& address) {
  return address.family() == AF_INET ? kPods4 : kPods6;
}

std::string AddressKey(const IpAddress& address) {
  return {reinterpret_cast<const char*>(address.data()),
          static_cast<size_t>(address.size())};
}

std::string MacValue(const MacAddress& mac) {
  return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

std::string PortKey(const PodPort& port, const IpAddress& address) {
  std::string key = port.host_ifname;
  key.resize(IFNAMSIZ);
  key += MacValue(port.mac);
  key.resize(kPortHead);
  return key + AddressKey(address);
}

bool ParsePortKey(const std::string& set, const std::string& key,
                  PodPort* port) {
  const int family = set == kPorts4 ? AF_INET : AF_INET6;
  if (key.size() != kPortHead + (family == AF_INET ? 4 : 16)) return false;
  // The name is padded with NULs.
  port->host_ifname = key.substr(0, std::min<size_t>(key.find('\0'), IFNAMSIZ));
  std::copy_n(key.begin() + IFNAMSIZ, port->mac.size(), port->mac.begin());
  port->addresses = {IpAddress::FromBytes(family, &key[kPortHead])};
  return true;
}

// The kernel refuses intervals that overlap, so a range within another one is
// left out. Two of the same length are the same or far from each other.
void FillRanges(NftBatch& batch, const std::vector<IpPrefix>& ranges,
                const std::vector<IpAddress>& own) {
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
  for (const IpAddress& address : own) {
    batch.AddElements(PodSet(address), {{AddressKey(address)}});
  }
}

void FillBridgeTable(NftBatch& batch, const SharedRules& shared) {
  batch.AddTable();
  batch.AddSet({kPorts4, PortType(kTypeIpv4), kPortHead + 4, 0});
  batch.AddSet({kPorts6, PortType(kTypeIpv6), kPortHead + 16, 0});
  batch.AddSet({kMacs4, kTypeIpv4, 4, NFT_SET_MAP, kTypeMac, ETH_ALEN});
  batch.AddSet({kMacs6, kTypeIpv6, 16, NFT_SET_MAP, kTypeMac, ETH_ALEN});
  for (const char* chain : {"to4", "to6", "pod"}) batch.AddChain(chain);
  batch.AddBaseChain("prerouting",
                     {"filter", NF_BR_PRE_ROUTING, NF_BR_PRI_FILTER_BRIDGED});
  batch.AddBaseChain("input",
                     {"filter", NF_BR_LOCAL_IN, NF_BR_PRI_FILTER_BRIDGED});
  for (const char* chain : {"prerouting", "input", "pod", "to4", "to6"}) {
    batch.FlushChain(chain);
  }
  AddPortMatch(batch, shared);
  AddPortFilter(batch);
  AddShortCuts(batch);
  AddLinkLocalFilter(batch, shared);
}

void FillInetTable(NftBatch& batch, const SharedRules& shared) {
  batch.AddTable();
  batch.AddSet({kRanges4, kTypeIpv4, 4, NFT_SET_INTERVAL});
  batch.AddSet({kRanges6, kTypeIpv6, 16, NFT_SET_INTERVAL});
  batch.AddSet({kPods4, kTypeIpv4, 4, 0});
  batch.AddSet({kPods6, kTypeIpv6, 16, 0});
  batch.AddBaseChain("postrouting",
                     {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  batch.FlushChain("postrouting");
  FillRanges(batch, shared.ranges, shared.own);
  AddMasquerade(batch);
}

void FillInetFilter(NftBatch& batch, const SharedRules& shared, bool reject) {
  batch.AddChain(kOthersChain);
  batch.FlushChain(kOthersChain);
  AddOthersFilter(batch, shared);
  const std::pair<const char*, NftHook> hooks[] = {
      {"prerouting", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_FILTER}},
      {"forward", {"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER}},
      {"output", {"filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER}}};
  for (const auto& [chain, hook] : hooks) {
    const bool in = hook.hook == NF_INET_PRE_ROUTING;
    batch.AddBaseChain(chain, hook);
    batch.FlushChain(chain);
    AddUnusedFilter(batch, chain, in ? NFT_META_IIFNAME : NFT_META_OIFNAME,
                    shared.bridge, reject);
  }
  AddRedirectFilter(batch, shared.bridge);
  NftRule others;
  batch.AddRule("forward", others.Goto(kOthersChain));
}

}  // namespace warren::netplugin
