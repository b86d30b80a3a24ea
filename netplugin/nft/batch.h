#ifndef WARREN_NETPLUGIN_NFT_BATCH_H_
#define WARREN_NETPLUGIN_NFT_BATCH_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "netplugin/netlink/netlink.h"

struct nftnl_rule;
struct nlmsghdr;

// Messages for nf_tables (linux/netfilter/nf_tables.h), built with libnftnl. No
// text is parsed and nothing is exec'd: adding one element takes microseconds.
namespace warren::netplugin {

// One rule, expression by expression. Registers are the kernel's: 1 to 4 hold
// 16 bytes each, 8 to 23 the same space in pieces of 4 bytes. Values are in
// network order, or in host order for what the kernel keeps so (meta).
// Thread-compatible.
class NftRule {
 public:
  NftRule();
  ~NftRule();
  NftRule(NftRule&&) noexcept;

  NftRule& Meta(uint32_t key, uint32_t into);  // NFT_META_*
  // NFT_PAYLOAD_LL_HEADER, _NETWORK_HEADER or _TRANSPORT_HEADER.
  NftRule& Payload(uint32_t header, uint32_t offset, uint32_t size,
                   uint32_t into);
  NftRule& And(uint32_t reg, absl::string_view mask);
  NftRule& Equal(uint32_t reg, absl::string_view value);
  NftRule& NotEqual(uint32_t reg, absl::string_view value);
  NftRule& In(uint32_t reg, const std::string& set);
  NftRule& NotIn(uint32_t reg, const std::string& set);
  // What the map has for a register; the rule ends where it has nothing.
  NftRule& Map(uint32_t reg, const std::string& map, uint32_t into);
  // Writes a register into the packet; no checksum is mended.
  NftRule& SetPayload(uint32_t header, uint32_t offset, uint32_t size,
                      uint32_t from);
  NftRule& Count();  // packets and bytes that come so far
  NftRule& Accept();
  NftRule& Drop();
  NftRule& Reject();  // "host unreachable", in the inet family
  NftRule& Goto(const std::string& chain);
  NftRule& Masquerade();  // with a random source port

  nftnl_rule* get() const { return rule_.get(); }

 private:
  struct Deleter {
    void operator()(nftnl_rule* rule) const;
  };
  NftRule& Compare(uint32_t reg, uint32_t op, absl::string_view value);
  NftRule& Lookup(uint32_t reg, const std::string& set, uint32_t flags);
  NftRule& Verdict(uint32_t code, const char* chain);

  std::unique_ptr<nftnl_rule, Deleter> rule_;
};

struct NftSet {
  std::string name;
  uint32_t key_type;  // nft's data type number, for its listing
  uint32_t key_size;
  uint32_t flags;  // NFT_SET_*
  // Of a map: what its elements lead to.
  uint32_t data_type = 0;
  uint32_t data_size = 0;
};

struct NftElement {
  std::string key;
  bool interval_end = false;
  std::string data = {};  // of a map's element
};

struct NftHook {
  const char* type;  // "nat", "filter"
  uint32_t hook;     // NF_*
  int32_t priority;
};

// One transaction on the tables of one name: all of it happens or nothing. What
// exists is kept by the Add functions. Names fit nf_tables (checked by who
// makes them). Thread-compatible.
class NftBatch {
 public:
  // `family`: NFPROTO_INET, NFPROTO_BRIDGE.
  NftBatch(uint16_t family, std::string table);

  // What follows is for the table of this family.
  void SetFamily(uint16_t family) { family_ = family; }
  void AddTable();
  void DeleteTable();
  void AddSet(const NftSet& set);
  void FlushSet(const std::string& set);
  void AddElements(const std::string& set,
                   const std::vector<NftElement>& elements);
  void DeleteElements(const std::string& set,
                      const std::vector<NftElement>& elements);
  void AddChain(const std::string& chain);
  void AddBaseChain(const std::string& chain, const NftHook& hook);
  void FlushChain(const std::string& chain);
  void AddRule(const std::string& chain, const NftRule& rule);

  // Sends all of it through `socket`, a NETLINK_NETFILTER one, whose namespace
  // it changes. Blocks for the kernel only. Errors carry errno: ENOENT when a
  // table, set or element is not there. Once only.
  absl::Status Commit(NetlinkSocket& socket);

 private:
  void ChainMessage(const std::string& chain, const NftHook* hook);
  void ElementMessage(uint16_t type, uint16_t flags, const std::string& set,
                      const std::vector<NftElement>& elements);
  nlmsghdr* Start(absl::string_view what, uint16_t type, uint16_t flags);
  void Finish(const nlmsghdr* message);

  uint16_t family_;
  const std::string table_;
  std::string messages_;
  std::vector<std::string> what_;  // by sequence number
  std::vector<char> scratch_;
};

// Keys of all elements of a set, appended. ENOENT when it does not exist.
absl::Status ListElements(NetlinkSocket& socket, uint16_t family,
                          const std::string& table, const std::string& set,
                          std::vector<std::string>* keys);
// Packets that the rules of a chain have counted, all together. ENOENT when it
// does not exist.
absl::StatusOr<uint64_t> CountedPackets(NetlinkSocket& socket, uint16_t family,
                                        const std::string& table,
                                        const std::string& chain);
// OK when the table exists, ENOENT when it does not.
absl::Status FindTable(NetlinkSocket& socket, uint16_t family,
                       const std::string& table);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_NFT_BATCH_H_
