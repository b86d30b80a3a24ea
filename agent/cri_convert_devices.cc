#include "agent/cri_convert_parts.h"
#include "agent/validate.h"
#include "runtime/base/status.h"

// What a container may use of the node's devices.
namespace warren::agent {

absl::Status ConvertDevices(const cri::ContainerConfig& config,
                            runtime::ContainerSpec* /*spec*/) {
  if (config.devices_size() > 0) {
    return NotBuilt("config.devices", "devices of the node");
  }
  if (config.cdi_devices_size() > 0) {
    return NotBuilt("config.CDI_devices", "CDI devices");
  }
  return absl::OkStatus();
}

}  // namespace warren::agent
