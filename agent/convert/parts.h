#ifndef WARREN_AGENT_CONVERT_PARTS_H_
#define WARREN_AGENT_CONVERT_PARTS_H_

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "agent/convert/convert.h"

// The parts of ConvertContainer, one file each; for it alone. Each checks its
// part of the request, naming the field at fault, and fills its part of
// `spec`. They run in this order; later ones read what earlier ones set.
namespace warren::agent {

// Who it runs as and what that may do: user, namespaces, capabilities,
// profiles, masked paths, `privileged`.
absl::Status ConvertSecurity(const ContainerInputs& inputs,
                             runtime::ContainerSpec* spec);

// Volumes: those of the request and those that the image declares. Every
// error about an image as a volume begins with "ImageVolumeMountFailed: ".
absl::Status ConvertMounts(const ContainerInputs& inputs,
                           runtime::ContainerSpec* spec);

// Devices of the node, by path or by CDI name; a CDI device may bring mounts
// and groups along.
absl::Status ConvertDevices(const ContainerInputs& inputs,
                            runtime::ContainerSpec* spec);
// The variables of CDI devices, which win over those of image and request.
void ApplyCdiEnv(const ContainerInputs& inputs, std::vector<std::string>* env);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_PARTS_H_
