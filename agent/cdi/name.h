#ifndef WARREN_AGENT_CDI_NAME_H_
#define WARREN_AGENT_CDI_NAME_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "agent/cri/cri.h"

// Names of the Container Device Interface (CDI, its SPEC.md, "Kind" and
// "CDI Devices"): vendor/class=device. Pure.
namespace warren::agent {

// What a request calls a device.
struct CdiName {
  std::string field;   // of the request, for messages
  std::string kind;    // "vendor/class"
  std::string device;  // "gpu0"
  std::string text() const { return kind + "=" + device; }
};

// A vendor or class: letters, digits, "_", "-", ".", a letter first, a letter
// or digit last; a vendor has at most 253 bytes, a class 63.
bool IsCdiKind(absl::string_view kind);
// The same with ":" as well, and a digit may be first; at most 253 bytes.
bool IsCdiDevice(absl::string_view device);

// All devices that a container asks for, each once, in order of appearance:
// CDI_devices, then the annotations cdi.k8s.io/<anything>, whose value is a
// list of names with commas between (sorted by key). kInvalidArgument names
// the field whose name does not fit the grammar.
absl::StatusOr<std::vector<CdiName>> CdiNames(
    const cri::ContainerConfig& config);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CDI_NAME_H_
