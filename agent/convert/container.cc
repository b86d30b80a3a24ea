#include <absl/strings/str_cat.h>

#include <string>
#include <vector>

#include "agent/convert/parts.h"
#include "agent/cri/signal_names.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

absl::Status ConvertWorkingDir(const cri::ContainerConfig& config,
                               const image::Image& image,
                               runtime::ContainerSpec* spec) {
  if (!config.working_dir().empty()) {
    ASSIGN_OR_RETURN(spec->cwd, CheckAbsolutePath("config.working_dir",
                                                  config.working_dir()));
  } else if (!image.config.working_dir.empty()) {
    // Images may leave out the first slash.
    ASSIGN_OR_RETURN(spec->cwd,
                     CheckAbsolutePath("working directory of the image",
                                       "/" + image.config.working_dir));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> StopSignal(const cri::ContainerConfig& config,
                               const image::Image& image) {
  if (config.stop_signal() != cri::SIGNAL_RUNTIME_DEFAULT) {
    const int number = SignalFromCri(config.stop_signal());
    if (number != 0) return number;
    return Invalid(
        "config.stop_signal",
        absl::StrCat("is unknown: ", static_cast<int>(config.stop_signal())));
  }
  if (image.config.stop_signal.empty()) return SignalByName("TERM");
  const int number = SignalByName(image.config.stop_signal);
  if (number != 0) return number;
  return absl::FailedPreconditionError(
      absl::StrCat("the image's stop signal ", Shown(image.config.stop_signal),
                   " is unknown"));
}

absl::Status ConvertLog(const ContainerInputs& inputs,
                        runtime::ContainerSpec* spec) {
  const std::string& path = inputs.config.log_path();
  const std::string& directory = inputs.sandbox_config.log_directory();
  if (!path.empty()) {
    ASSIGN_OR_RETURN(spec->log_path,
                     CheckRelativePath("config.log_path", path));
  }
  if (path.empty() || directory.empty()) {
    spec->log_path.clear();  // output is dropped
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      spec->log_directory,
      CheckAbsolutePath("sandbox_config.log_directory", directory));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConvertedContainer> ConvertContainer(
    const ContainerInputs& inputs) {
  const cri::ContainerConfig& config = inputs.config;
  RETURN_IF_ERROR(CheckName("config.metadata.name", config.metadata().name()));
  RETURN_IF_ERROR(CheckRuntimeHandler("config.image.runtime_handler",
                                      config.image().runtime_handler()));
  ConvertedContainer out;
  runtime::ContainerSpec& spec = out.spec;
  spec.id = inputs.id;
  spec.sandbox = inputs.sandbox;
  spec.layer_dirs = inputs.image.layer_dirs;
  spec.tty = config.tty();
  spec.stdin_open = config.stdin();
  RETURN_IF_ERROR(ConvertSecurity(inputs, &spec));
  if (config.linux().has_resources()) {
    if (!inputs.modules.decided_before) {
      RETURN_IF_ERROR(CheckMemoryFloor("config.linux.resources",
                                       config.linux().resources()));
    }
    ASSIGN_OR_RETURN(
        spec.resources,
        ConvertResources("config.linux.resources", config.linux().resources()));
    spec.oom_score_adj = *spec.resources.oom_score_adj;
  }
  RETURN_IF_ERROR(ConvertMounts(inputs, &spec));
  RETURN_IF_ERROR(ConvertDevices(inputs, &spec));
  ASSIGN_OR_RETURN(spec.args, ProcessArgs(config, inputs.image.config));
  ASSIGN_OR_RETURN(spec.env, ProcessEnv(config, inputs.image.config,
                                        inputs.sandbox.hostname));
  ApplyCdiEnv(inputs, &spec.env);
  RETURN_IF_ERROR(ConvertWorkingDir(config, inputs.image, &spec));
  RETURN_IF_ERROR(ConvertLog(inputs, &spec));
  ASSIGN_OR_RETURN(out.stop_signal, StopSignal(config, inputs.image));
  return out;
}

}  // namespace warren::agent
