#ifndef WARREN_AGENT_CDI_SPEC_H_
#define WARREN_AGENT_CDI_SPEC_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/image/json.h"
#include "runtime/runtime.h"

// What a CDI specification file says, as values of the runtime (CDI's SPEC.md,
// "CDI JSON Specification"). Pure.
namespace warren::agent {

// containerEdits: what a device needs of the container.
struct CdiEdits {
  std::vector<std::string> env;  // "KEY=value", wins over the request's
  std::vector<runtime::DeviceRequest> devices;
  std::vector<runtime::MountSpec> mounts;
  std::vector<int64_t> groups;  // supplementary, as the container sees them
  // An edit that this runtime does not make, "" = none. A device that needs one
  // is refused as a whole.
  std::string unsupported;
};

struct CdiSpec {
  std::string kind;  // "vendor/class"
  CdiEdits edits;    // go with each device
  std::map<std::string, CdiEdits> devices;
};

// kInvalidArgument says where and what: an unknown cdiVersion (0.3.0 to 1.1.0
// are known), bad names, a device twice, wrong types, keys that no version
// has. Of containerEdits: hooks, intelRdt, netDevices, FIFOs, mounts that are
// no binds, mount options and edits never heard of are `unsupported`.
absl::StatusOr<CdiSpec> ParseCdiSpec(const image::Json& document);

// Adds `more` behind what is in `edits`. The first `unsupported` stays.
void Append(const CdiEdits& more, CdiEdits* edits);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CDI_SPEC_H_
