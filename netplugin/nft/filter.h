#ifndef WARREN_NETPLUGIN_NFT_FILTER_H_
#define WARREN_NETPLUGIN_NFT_FILTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "netplugin/ip.h"
#include "netplugin/nft/batch.h"
#include "netplugin/nft/pod_port.h"

// What the two tables of rules.h say: their sets, chains and rules, and the
// keys of their elements, which a new version must make as an old one did.
// Pure but for the batch that is filled. Thread-compatible as the batch.
namespace warren::netplugin {

// What the tables hold beside pods. A value.
struct SharedRules {
  std::string bridge;            // link name
  uint32_t group = 0;            // of the links whose packets are filtered
  std::vector<IpPrefix> ranges;  // of pods; may overlap
  // Addresses in the ranges that no pod has and that are in use all the same:
  // gateways, networks, broadcasts.
  std::vector<IpAddress> own = {};
  // Links that are filtered as well while they are not in the group yet.
  std::vector<std::string> moving = {};
  // Whether packets that neither come from nor go to a link of Warren's, of
  // whichever instance, are dropped and counted.
  bool drop_others4 = false;
  bool drop_others6 = false;
};

// The chain with these drops, empty when there are none.
inline constexpr char kOthersChain[] = "others";

// The sets, by address family.
const char* PortSet(const IpAddress& address);  // bridge: link . MAC . address
const char* MacMap(const IpAddress& address);   // bridge: address -> MAC
const char* PodSet(const IpAddress& address);   // inet: address
inline constexpr const char* kPortSets[] = {"ports4", "ports6"};
inline constexpr const char* kPodSets[] = {"pods4", "pods6"};

std::string AddressKey(const IpAddress& address);
std::string MacValue(const MacAddress& mac);
std::string PortKey(const PodPort& port, const IpAddress& address);
// The inverse, of a key of `set`: one address. False for what is no such key.
bool ParsePortKey(const std::string& set, const std::string& key,
                  PodPort* port);

// The bridge's table: sets and rules.
void FillBridgeTable(NftBatch& batch, const SharedRules& shared);
// The inet table's sets and masquerading, then the rules that count on the
// set of pods being full. With `reject` the sender is told: by a chain of its
// own before routing, as the router would send a redirect first (Linux 5.9).
void FillInetTable(NftBatch& batch, const SharedRules& shared);
void FillInetFilter(NftBatch& batch, const SharedRules& shared, bool reject);
// Other ranges.
void FillRanges(NftBatch& batch, const std::vector<IpPrefix>& ranges,
                const std::vector<IpAddress>& own);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_FILTER_H_
