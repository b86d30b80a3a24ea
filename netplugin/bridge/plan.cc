#include "netplugin/bridge/plan.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr char kIfnamePrefix[] = "wr";
constexpr size_t kIdCharacters = 13;  // IFNAMSIZ - 1 - strlen(kIfnamePrefix)
constexpr size_t kIdSize = 64;        // of the agent's sandbox IDs
constexpr char kAliasPrefix[] = "warren:";
constexpr char kBridgeAlias[] = "warren:bridge";
constexpr char kTableKey[] = "table";
constexpr size_t kMaxAlias = 255;  // IFALIASZ - 1 of linux/if.h

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// FNV-1a, 64 bits: stable over versions, which a std::hash is not.
uint64_t Hash(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  }
  return hash;
}

bool HasIpv6(const std::vector<IpPrefix>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [](const IpPrefix& p) {
    return p.address.family() == AF_INET6;
  });
}

// IPv6 inside the pod: off as a whole when the pod has no IPv6 address, else
// no address or route but ours and no wait for duplicate detection. Written to
// "default" before eth0 is born, which copies it.
std::vector<Sysctl> PodSysctls(bool ipv6) {
  if (!ipv6) {
    return {{"net/ipv6/conf/all/disable_ipv6", "1"},
            {"net/ipv6/conf/default/disable_ipv6", "1"}};
  }
  return {{"net/ipv6/conf/all/disable_ipv6", "0"},
          {"net/ipv6/conf/default/disable_ipv6", "0"},
          {"net/ipv6/conf/default/accept_ra", "0"},
          {"net/ipv6/conf/default/autoconf", "0"},
          {"net/ipv6/conf/default/accept_dad", "0"},
          // IN6_ADDR_GEN_MODE_NONE: no link-local address either.
          {"net/ipv6/conf/default/addr_gen_mode", "1"}};
}

}  // namespace

uint32_t LinkGroupOf(const std::string& bridge) {
  return kGroups | (Hash(bridge) & ~kGroupsMask);
}

std::string HostIfname(const std::string& sandbox_id) {
  if (sandbox_id.size() == kIdSize &&
      std::all_of(sandbox_id.begin(), sandbox_id.end(), IsHexDigit)) {
    return absl::StrCat(kIfnamePrefix, sandbox_id.substr(0, kIdCharacters));
  }
  const uint64_t hash = Hash(sandbox_id) >> (64 - 4 * kIdCharacters);
  return absl::StrFormat("%s%013x", kIfnamePrefix, hash);
}

std::string LinkAlias(const std::string& sandbox_id) {
  return absl::StrCat(kAliasPrefix, sandbox_id);
}

std::optional<std::string> SandboxOfAlias(const std::string& alias) {
  absl::string_view id = alias;
  if (!absl::ConsumePrefix(&id, kAliasPrefix) || id.empty()) {
    return std::nullopt;
  }
  return std::string(id);
}

std::optional<std::string> SandboxOfLink(const Link& link) {
  const bool ours =
      link.group == kOldLinkGroup || (link.group & kGroupsMask) == kGroups;
  if (!ours || link.kind != "veth") return std::nullopt;
  if (!link.alias.empty()) {
    std::optional<std::string> id = SandboxOfAlias(link.alias);
    if (id && HostIfname(*id) != link.name) return std::nullopt;
    return id;
  }
  const bool named =
      link.name.size() == sizeof(kIfnamePrefix) - 1 + kIdCharacters &&
      absl::StartsWith(link.name, kIfnamePrefix) &&
      std::all_of(link.name.begin() + sizeof(kIfnamePrefix) - 1,
                  link.name.end(), IsHexDigit);
  if (!named) return std::nullopt;
  return "";
}

MacAddress BridgeMac(const std::string& bridge) {
  MacAddress mac = {0x0a, 0x58};  // local, unicast, and none of PodMac
  const uint64_t hash = Hash(bridge);
  for (size_t i = 2; i < mac.size(); ++i) mac[i] = (hash >> (8 * i)) & 0xff;
  return mac;
}

IpPrefix GatewayOf(const IpPrefix& range) {
  return {range.Masked().address.Plus(1), range.length};
}

MacAddress PodMac(const Lease& lease) {
  MacAddress mac = {0x0a, 0x57};  // locally administered, unicast
  if (lease.addresses.empty()) return mac;
  const IpAddress& address = lease.addresses[0].address;
  std::memcpy(mac.data() + 2, address.data() + address.size() - 4, 4);
  return mac;
}

PodPort PortOf(const Lease& lease) {
  PodPort port{HostIfname(lease.sandbox_id), PodMac(lease), {}};
  for (const IpPrefix& prefix : lease.addresses) {
    port.addresses.push_back(prefix.address);
  }
  return port;
}

absl::Status CheckLease(const Lease& lease) {
  const std::string& id = lease.sandbox_id;
  if (id.empty() || LinkAlias(id).size() > kMaxAlias ||
      std::any_of(id.begin(), id.end(),
                  [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(id), "\" is no sandbox ID"));
  }
  if (lease.addresses.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the lease of sandbox \"", lease.sandbox_id, "\" has no address"));
  }
  return absl::OkStatus();
}

absl::StatusOr<WiringPlan> MakeWiringPlan(const Lease& lease, int mtu) {
  RETURN_IF_ERROR(CheckLease(lease));
  WiringPlan plan;
  plan.alias = LinkAlias(lease.sandbox_id);
  plan.port = PortOf(lease);
  plan.mtu = mtu;
  plan.addresses = lease.addresses;
  for (const IpPrefix& prefix : lease.addresses) {
    plan.gateways.push_back(GatewayOf(prefix).address);
  }
  plan.pod_sysctls = PodSysctls(HasIpv6(lease.addresses));
  const std::string conf =
      absl::StrCat("net/ipv6/conf/", plan.port.host_ifname, "/");
  plan.host_sysctls = {{conf + "disable_ipv6", "1"},
                       {conf + "accept_ra", "0"},
                       {conf + "accept_redirects", "0"}};
  return plan;
}

std::vector<Sysctl> BridgeSysctls(const std::string& bridge, bool ipv6) {
  const std::string v4 = absl::StrCat("net/ipv4/conf/", bridge, "/");
  const std::string v6 = absl::StrCat("net/ipv6/conf/", bridge, "/");
  return {{v4 + "accept_redirects", "0"},
          {v4 + "send_redirects", "0"},
          {v4 + "rp_filter", "1"},
          {v4 + "proxy_arp", "0"},
          {v4 + "route_localnet", "0"},
          // Pods learn of another MAC address at once.
          {v4 + "arp_notify", "1"},
          {v6 + "ndisc_notify", "1"},
          {v6 + "accept_ra", "0"},
          {v6 + "autoconf", "0"},
          {v6 + "accept_redirects", "0"},
          {v6 + "accept_dad", "0"},
          {v6 + "proxy_ndp", "0"},
          {v6 + "addr_gen_mode", "1"},
          {v6 + "disable_ipv6", ipv6 ? "0" : "1"}};
}

std::string EncodeBridgeAlias(const BridgeAlias& alias) {
  std::string text = kBridgeAlias;
  if (!alias.table.empty()) {
    absl::StrAppend(&text, " ", kTableKey, "=", alias.table);
  }
  for (const Sysctl& setting : alias.saved) {
    const std::string part =
        absl::StrCat(" ", setting.path, "=", setting.value);
    if (text.size() + part.size() <= kMaxAlias) text += part;
  }
  return text;
}

std::optional<BridgeAlias> DecodeBridgeAlias(const std::string& alias) {
  const std::vector<std::string> parts = absl::StrSplit(alias, ' ');
  if (parts[0] != kBridgeAlias) return std::nullopt;
  BridgeAlias out;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<std::string, std::string> setting =
        absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    if (setting.first == kTableKey) out.table = setting.second;
    // Only what EnsureForwarding changes is ever put back.
    if (!absl::StartsWith(setting.first, "net/ipv") ||
        absl::StrContains(setting.first, "..")) {
      continue;
    }
    out.saved.push_back({setting.first, setting.second});
  }
  return out;
}

}  // namespace warren::netplugin
