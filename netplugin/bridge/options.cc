#include "netplugin/bridge/options.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "netplugin/ipam/pod_ranges.h"
#include "netplugin/netlink/link.h"
#include "runtime/base/status.h"

namespace warren::netplugin {

absl::Status CheckOptions(const BridgeNetworkOptions& options) {
  RETURN_IF_ERROR(ValidateRanges(options.ranges));
  if (!IsValidIfname(options.bridge)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.bridge, "\" is no name for a bridge"));
  }
  const std::string& table = options.table;
  const bool good_table =
      !table.empty() && table.size() <= 31 &&
      std::all_of(table.begin(), table.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '-';
      });
  if (!good_table) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", table, "\" is no name for an nftables table"));
  }
  if (options.mtu != 0 && (options.mtu < kMinMtu || options.mtu > kMaxMtu)) {
    return absl::InvalidArgumentError(absl::StrCat("an MTU of ", options.mtu,
                                                   " is not within ", kMinMtu,
                                                   " and ", kMaxMtu));
  }
  return absl::OkStatus();
}

}  // namespace warren::netplugin
