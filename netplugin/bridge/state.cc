#include "netplugin/bridge/state.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <utility>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

constexpr char kMagic[] = "warren-bridge ";
constexpr int kStateVersion = 1;
constexpr char kSandboxKey[] = "sandbox ";
constexpr char kAddressKey[] = "address ";
constexpr char kLinkKey[] = "link ";

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the state of a pod on the bridge is damaged: ", what));
}

// Past the first line; the whole text ends with a newline.
absl::StatusOr<BridgeState> DecodeLines(absl::string_view text) {
  BridgeState state;
  absl::string_view rest = text;
  while (!rest.empty()) {
    absl::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (!state.host_ifname.empty()) return Damaged("lines behind the link");
    if (absl::ConsumePrefix(&line, kSandboxKey)) {
      if (!state.lease.sandbox_id.empty()) return Damaged("two sandboxes");
      state.lease.sandbox_id = std::string(line);
    } else if (absl::ConsumePrefix(&line, kAddressKey)) {
      auto address = IpPrefix::Parse(line);
      if (!address.ok()) return Damaged(address.status().message());
      state.lease.addresses.push_back(*std::move(address));
    } else if (absl::ConsumePrefix(&line, kLinkKey)) {
      state.host_ifname = std::string(line);
      if (!IsValidIfname(state.host_ifname)) return Damaged("a bad link name");
    } else {
      return Damaged("an unknown line");
    }
  }
  if (!CheckLease(state.lease).ok()) return Damaged("no id or no address");
  return state;
}

}  // namespace

absl::StatusOr<NetworkState> EncodeState(const BridgeState& state) {
  RETURN_IF_ERROR(CheckLease(state.lease));
  NetworkState out;
  out.sandbox_id = state.lease.sandbox_id;
  out.addresses = state.lease.addresses;
  out.opaque = absl::StrCat(kMagic, kStateVersion, "\n", kSandboxKey,
                            state.lease.sandbox_id, "\n");
  for (const IpPrefix& address : state.lease.addresses) {
    absl::StrAppend(&out.opaque, kAddressKey, address.ToString(), "\n");
  }
  if (!state.host_ifname.empty()) {
    absl::StrAppend(&out.opaque, kLinkKey, state.host_ifname, "\n");
  }
  return out;
}

absl::StatusOr<BridgeState> DecodeState(const NetworkState& state) {
  if (state.opaque.empty()) {
    const Lease lease{state.sandbox_id, state.addresses};
    RETURN_IF_ERROR(CheckLease(lease));
    return BridgeState{lease, HostIfname(lease.sandbox_id)};
  }
  absl::string_view text = state.opaque;
  if (!absl::ConsumePrefix(&text, kMagic)) {
    return absl::InvalidArgumentError(
        "the state is not one of a pod on the bridge");
  }
  if (text.empty() || text.back() != '\n') return Damaged("it is cut short");
  const absl::string_view version = text.substr(0, text.find('\n'));
  int number = 0;
  if (!absl::SimpleAtoi(version, &number) || number < 1) {
    return Damaged("it has no version");
  }
  if (number != kStateVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state of a pod on the bridge has version ", number,
                     ", this build reads version ", kStateVersion));
  }
  ASSIGN_OR_RETURN(BridgeState out,
                   DecodeLines(text.substr(version.size() + 1)));
  if (out.lease != Lease{state.sandbox_id, state.addresses}) {
    return Damaged("it is that of another pod");
  }
  return out;
}

}  // namespace warren::netplugin
