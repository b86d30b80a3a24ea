#include <absl/strings/str_cat.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "agent/convert/parts.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

// What a container may use of the node's devices.
namespace warren::agent {
namespace {

absl::StatusOr<runtime::DeviceRequest> ConvertDevice(const std::string& field,
                                                     const cri::Device& in) {
  runtime::DeviceRequest out;
  out.field = field;
  ASSIGN_OR_RETURN(
      out.host_path,
      CheckAbsolutePath(absl::StrCat(field, ".host_path"), in.host_path()));
  ASSIGN_OR_RETURN(out.container_path,
                   CheckAbsolutePath(absl::StrCat(field, ".container_path"),
                                     in.container_path()));
  ASSIGN_OR_RETURN(
      out.access,
      ParseDeviceAccess(absl::StrCat(field, ".permissions"), in.permissions()));
  return out;
}

}  // namespace

absl::Status ConvertDevices(const ContainerInputs& inputs,
                            runtime::ContainerSpec* spec) {
  const cri::ContainerConfig& config = inputs.config;
  const cri::LinuxContainerSecurityContext& security =
      config.linux().security_context();
  for (int i = 0; i < config.devices_size(); ++i) {
    ASSIGN_OR_RETURN(runtime::DeviceRequest device,
                     ConvertDevice(absl::StrCat("config.devices[", i, "]"),
                                   config.devices(i)));
    // Their range was checked with the security context.
    if (inputs.devices_belong_to_user && security.has_run_as_user()) {
      device.uid = static_cast<uint32_t>(security.run_as_user().value());
    }
    if (inputs.devices_belong_to_user && security.has_run_as_group()) {
      device.gid = static_cast<uint32_t>(security.run_as_group().value());
    }
    spec->devices.push_back(std::move(device));
  }
  if (inputs.cdi == nullptr) return absl::OkStatus();
  const CdiEdits& cdi = *inputs.cdi;
  spec->devices.insert(spec->devices.end(), cdi.devices.begin(),
                       cdi.devices.end());
  spec->mounts.insert(spec->mounts.end(), cdi.mounts.begin(), cdi.mounts.end());
  std::vector<int64_t>& groups = spec->user.supplemental_groups;
  for (const int64_t group : cdi.groups) {
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) {
      groups.push_back(group);
    }
  }
  return absl::OkStatus();
}

void ApplyCdiEnv(const ContainerInputs& inputs, std::vector<std::string>* env) {
  if (inputs.cdi == nullptr) return;
  for (const std::string& entry : inputs.cdi->env) {
    const std::string key = entry.substr(0, entry.find('=') + 1);
    const auto same = std::find_if(
        env->begin(), env->end(),
        [&](const auto& e) { return e.compare(0, key.size(), key) == 0; });
    if (same == env->end()) {
      env->push_back(entry);
    } else {
      *same = entry;
    }
  }
}

}  // namespace warren::agent
