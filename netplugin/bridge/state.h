#ifndef WARREN_NETPLUGIN_BRIDGE_STATE_H_
#define WARREN_NETPLUGIN_BRIDGE_STATE_H_

#include <absl/status/statusor.h>

#include <string>

#include "netplugin/ipam/lease.h"
#include "netplugin/pod_network.h"

// What the bridge keeps in a NetworkState. Pure.
//
// The opaque bytes are text: a line with name and version, then lines of a key,
// one space and a value, in this order. Every line ends with a newline.
//
//   warren-bridge 1
//   sandbox <sandbox id>
//   address 10.88.0.2/16      one for each pod range
//   link wr0123456789abc      once it was attached: the node's end
//
// A version that only adds keys behind these is not compatible: a reader
// refuses what it does not know, so that nothing that was decided gets lost.
namespace warren::netplugin {

struct BridgeState {
  Lease lease;
  std::string host_ifname;  // empty = Attach has not returned yet

  bool operator==(const BridgeState&) const = default;
};

// kInvalidArgument for an ID that is empty or does not fit a link's alias or a
// line, and for a lease without addresses.
absl::StatusOr<NetworkState> EncodeState(const BridgeState& state);

// The inverse. Without opaque bytes the addresses beside them are the lease of
// a connected pod (an agent older than the seam wrote the record).
// kInvalidArgument: not a state of the bridge. kFailedPrecondition: of a newer
// version. kDataLoss: damaged, or id and addresses beside the bytes are not
// those in them.
absl::StatusOr<BridgeState> DecodeState(const NetworkState& state);

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_STATE_H_
