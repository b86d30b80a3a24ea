#include "netplugin/nft/batch.h"

#include <absl/strings/str_cat.h>
#include <netinet/in.h>
// After netinet/in.h, whose types the next ones redefine otherwise.
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include <cerrno>
#include <utility>

#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// libnftnl writes without looking at the end of its buffer. The longest
// message of ours is a rule or a hundred elements, a few KiB.
constexpr size_t kScratchBytes = 64 * 1024;

using SetPtr = std::unique_ptr<nftnl_set, void (*)(const nftnl_set*)>;

SetPtr MakeSet(uint16_t family, const std::string& table,
               const std::string& name) {
  SetPtr set(nftnl_set_alloc(), nftnl_set_free);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FAMILY, family);
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, name.c_str());
  return set;
}

}  // namespace

NftRule::NftRule() : rule_(nftnl_rule_alloc()) {}
NftRule::~NftRule() = default;
NftRule::NftRule(NftRule&&) noexcept = default;

void NftRule::Deleter::operator()(nftnl_rule* rule) const {
  nftnl_rule_free(rule);
}

NftRule& NftRule::Meta(uint32_t key, uint32_t into) {
  nftnl_expr* expr = nftnl_expr_alloc("meta");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, into);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Payload(uint32_t header, uint32_t offset, uint32_t size,
                          uint32_t into) {
  nftnl_expr* expr = nftnl_expr_alloc("payload");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, header);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, into);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::And(uint32_t reg, absl::string_view mask) {
  const std::string zeros(mask.size(), '\0');
  nftnl_expr* expr = nftnl_expr_alloc("bitwise");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, reg);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, reg);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, mask.size());
  nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, mask.data(), mask.size());
  nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, zeros.data(), zeros.size());
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Compare(uint32_t reg, uint32_t op, absl::string_view value) {
  nftnl_expr* expr = nftnl_expr_alloc("cmp");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, reg);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, op);
  nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, value.data(), value.size());
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Equal(uint32_t reg, absl::string_view value) {
  return Compare(reg, NFT_CMP_EQ, value);
}

NftRule& NftRule::NotEqual(uint32_t reg, absl::string_view value) {
  return Compare(reg, NFT_CMP_NEQ, value);
}

NftRule& NftRule::Lookup(uint32_t reg, const std::string& set, uint32_t flags) {
  nftnl_expr* expr = nftnl_expr_alloc("lookup");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, reg);
  nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, set.c_str());
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, flags);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::In(uint32_t reg, const std::string& set) {
  return Lookup(reg, set, 0);
}

NftRule& NftRule::NotIn(uint32_t reg, const std::string& set) {
  return Lookup(reg, set, NFT_LOOKUP_F_INV);
}

NftRule& NftRule::Map(uint32_t reg, const std::string& map, uint32_t into) {
  nftnl_expr* expr = nftnl_expr_alloc("lookup");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_SREG, reg);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_LOOKUP_DREG, into);
  nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, map.c_str());
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::SetPayload(uint32_t header, uint32_t offset, uint32_t size,
                             uint32_t from) {
  nftnl_expr* expr = nftnl_expr_alloc("payload");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_SREG, from);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, header);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, size);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Reject() {
  nftnl_expr* expr = nftnl_expr_alloc("reject");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
  nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE,
                    NFT_REJECT_ICMPX_HOST_UNREACH);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Verdict(uint32_t code, const char* chain) {
  nftnl_expr* expr = nftnl_expr_alloc("immediate");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, code);
  if (chain != nullptr) nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, chain);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftRule& NftRule::Count() {
  nftnl_rule_add_expr(rule_.get(), nftnl_expr_alloc("counter"));
  return *this;
}

NftRule& NftRule::Accept() { return Verdict(NF_ACCEPT, nullptr); }
NftRule& NftRule::Drop() { return Verdict(NF_DROP, nullptr); }

NftRule& NftRule::Goto(const std::string& chain) {
  return Verdict(static_cast<uint32_t>(NFT_GOTO), chain.c_str());
}

NftRule& NftRule::Masquerade() {
  nftnl_expr* expr = nftnl_expr_alloc("masq");
  nftnl_expr_set_u32(expr, NFTNL_EXPR_MASQ_FLAGS,
                     NF_NAT_RANGE_PROTO_RANDOM_FULLY);
  nftnl_rule_add_expr(rule_.get(), expr);
  return *this;
}

NftBatch::NftBatch(uint16_t family, std::string table)
    : family_(family), table_(std::move(table)), scratch_(kScratchBytes) {
  what_.push_back("starting an nftables transaction");
  nftnl_batch_begin(scratch_.data(), 0);
  Finish(reinterpret_cast<nlmsghdr*>(scratch_.data()));
}

nlmsghdr* NftBatch::Start(absl::string_view what, uint16_t type,
                          uint16_t flags) {
  const uint32_t sequence = what_.size();
  what_.push_back(absl::StrCat(what, " in nftables table ", table_));
  return nftnl_nlmsg_build_hdr(scratch_.data(), type, family_, flags, sequence);
}

void NftBatch::Finish(const nlmsghdr* message) {
  messages_.append(reinterpret_cast<const char*>(message),
                   MNL_ALIGN(message->nlmsg_len));
}

void NftBatch::AddTable() {
  nlmsghdr* message = Start("adding the table", NFT_MSG_NEWTABLE, NLM_F_CREATE);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table_.c_str());
  Finish(message);
}

void NftBatch::DeleteTable() {
  nlmsghdr* message = Start("deleting the table", NFT_MSG_DELTABLE, 0);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table_.c_str());
  Finish(message);
}

void NftBatch::AddSet(const NftSet& set) {
  const SetPtr nft = MakeSet(family_, table_, set.name);
  nftnl_set_set_u32(nft.get(), NFTNL_SET_KEY_TYPE, set.key_type);
  nftnl_set_set_u32(nft.get(), NFTNL_SET_KEY_LEN, set.key_size);
  nftnl_set_set_u32(nft.get(), NFTNL_SET_FLAGS, set.flags);
  if (set.data_size != 0) {
    nftnl_set_set_u32(nft.get(), NFTNL_SET_DATA_TYPE, set.data_type);
    nftnl_set_set_u32(nft.get(), NFTNL_SET_DATA_LEN, set.data_size);
  }
  nftnl_set_set_u32(nft.get(), NFTNL_SET_ID, what_.size());
  nlmsghdr* message = Start(absl::StrCat("adding set ", set.name),
                            NFT_MSG_NEWSET, NLM_F_CREATE);
  nftnl_set_nlmsg_build_payload(message, nft.get());
  Finish(message);
}

void NftBatch::FlushSet(const std::string& set) {
  ElementMessage(NFT_MSG_DELSETELEM, 0, set, {});
}

void NftBatch::AddElements(const std::string& set,
                           const std::vector<NftElement>& elements) {
  ElementMessage(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
}

void NftBatch::DeleteElements(const std::string& set,
                              const std::vector<NftElement>& elements) {
  // A message without elements would empty the set.
  if (elements.empty()) return;
  ElementMessage(NFT_MSG_DELSETELEM, 0, set, elements);
}

void NftBatch::ElementMessage(uint16_t type, uint16_t flags,
                              const std::string& set,
                              const std::vector<NftElement>& elements) {
  const SetPtr nft = MakeSet(family_, table_, set);
  for (const NftElement& element : elements) {
    nftnl_set_elem* entry = nftnl_set_elem_alloc();
    nftnl_set_elem_set(entry, NFTNL_SET_ELEM_KEY, element.key.data(),
                       element.key.size());
    if (!element.data.empty()) {
      nftnl_set_elem_set(entry, NFTNL_SET_ELEM_DATA, element.data.data(),
                         element.data.size());
    }
    if (element.interval_end) {
      nftnl_set_elem_set_u32(entry, NFTNL_SET_ELEM_FLAGS,
                             NFT_SET_ELEM_INTERVAL_END);
    }
    nftnl_set_elem_add(nft.get(), entry);
  }
  nlmsghdr* message = Start(absl::StrCat("changing set ", set), type, flags);
  nftnl_set_elems_nlmsg_build_payload(message, nft.get());
  Finish(message);
}

void NftBatch::ChainMessage(const std::string& name, const NftHook* hook) {
  const std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(
      nftnl_chain_alloc(), nftnl_chain_free);
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_.c_str());
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, name.c_str());
  if (hook != nullptr) {
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, hook->type);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, hook->hook);
    nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, hook->priority);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  }
  nlmsghdr* message = Start(absl::StrCat("adding chain ", name),
                            NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  nftnl_chain_nlmsg_build_payload(message, chain.get());
  Finish(message);
}

void NftBatch::AddChain(const std::string& chain) {
  ChainMessage(chain, nullptr);
}

void NftBatch::AddBaseChain(const std::string& chain, const NftHook& hook) {
  ChainMessage(chain, &hook);
}

void NftBatch::FlushChain(const std::string& chain) {
  nlmsghdr* message =
      Start(absl::StrCat("emptying chain ", chain), NFT_MSG_DELRULE, 0);
  mnl_attr_put_strz(message, NFTA_RULE_TABLE, table_.c_str());
  mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain.c_str());
  Finish(message);
}

void NftBatch::AddRule(const std::string& chain, const NftRule& rule) {
  nftnl_rule_set_u32(rule.get(), NFTNL_RULE_FAMILY, family_);
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, table_.c_str());
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_CHAIN, chain.c_str());
  nlmsghdr* message = Start(absl::StrCat("adding a rule to chain ", chain),
                            NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  nftnl_rule_nlmsg_build_payload(message, rule.get());
  Finish(message);
}

absl::Status NftBatch::Commit(NetlinkSocket& socket) {
  const uint32_t sequence = what_.size();
  what_.push_back("committing an nftables transaction");
  nftnl_batch_end(scratch_.data(), sequence);
  Finish(reinterpret_cast<nlmsghdr*>(scratch_.data()));
  return socket.SendRaw(messages_, what_, [](const nlmsghdr*) {});
}

absl::Status ListElements(NetlinkSocket& socket, uint16_t family,
                          const std::string& table, const std::string& set,
                          std::vector<std::string>* keys) {
  std::vector<char> buffer(kScratchBytes);
  nlmsghdr* message = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETSETELEM,
                                            family, NLM_F_DUMP, 0);
  const SetPtr wanted = MakeSet(family, table, set);
  nftnl_set_elems_nlmsg_build_payload(message, wanted.get());
  const auto take = [&](const nlmsghdr* answer) {
    const SetPtr part(nftnl_set_alloc(), nftnl_set_free);
    if (nftnl_set_elems_nlmsg_parse(answer, part.get()) < 0) return;
    const std::unique_ptr<nftnl_set_elems_iter, void (*)(nftnl_set_elems_iter*)>
        iterator(nftnl_set_elems_iter_create(part.get()),
                 nftnl_set_elems_iter_destroy);
    while (nftnl_set_elem* element =
               nftnl_set_elems_iter_next(iterator.get())) {
      uint32_t size = 0;
      const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size);
      if (key != nullptr) {
        keys->emplace_back(static_cast<const char*>(key), size);
      }
    }
  };
  return socket.SendRaw({buffer.data(), message->nlmsg_len},
                        {absl::StrCat("listing set ", set)}, take);
}

absl::StatusOr<uint64_t> CountedPackets(NetlinkSocket& socket, uint16_t family,
                                        const std::string& table,
                                        const std::string& chain) {
  std::vector<char> buffer(kScratchBytes);
  nlmsghdr* message = nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETRULE,
                                            family, NLM_F_DUMP, 0);
  mnl_attr_put_strz(message, NFTA_RULE_TABLE, table.c_str());
  mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain.c_str());
  uint64_t packets = 0;
  const auto add = [&](const nlmsghdr* answer) {
    const std::unique_ptr<nftnl_rule, void (*)(const nftnl_rule*)> rule(
        nftnl_rule_alloc(), nftnl_rule_free);
    if (nftnl_rule_nlmsg_parse(answer, rule.get()) < 0) return;
    const std::unique_ptr<nftnl_expr_iter, void (*)(nftnl_expr_iter*)> iterator(
        nftnl_expr_iter_create(rule.get()), nftnl_expr_iter_destroy);
    while (nftnl_expr* expr = nftnl_expr_iter_next(iterator.get())) {
      if (nftnl_expr_is_set(expr, NFTNL_EXPR_NAME) &&
          absl::string_view(nftnl_expr_get_str(expr, NFTNL_EXPR_NAME)) ==
              "counter") {
        packets += nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS);
      }
    }
  };
  RETURN_IF_ERROR(
      socket.SendRaw({buffer.data(), message->nlmsg_len},
                     {absl::StrCat("reading the counters of ", chain)}, add));
  return packets;
}

absl::Status FindTable(NetlinkSocket& socket, uint16_t family,
                       const std::string& table) {
  std::vector<char> buffer(kScratchBytes);
  nlmsghdr* message =
      nftnl_nlmsg_build_hdr(buffer.data(), NFT_MSG_GETTABLE, family, 0, 0);
  mnl_attr_put_strz(message, NFTA_TABLE_NAME, table.c_str());
  return socket.SendRaw({buffer.data(), message->nlmsg_len},
                        {absl::StrCat("looking for nftables table ", table)},
                        [](const nlmsghdr*) {});
}

}  // namespace warren::netplugin
