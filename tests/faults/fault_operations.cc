#include "tests/faults/fault_operations.h"

#include <absl/strings/str_cat.h>

namespace warren::test {
namespace {

using faults::Operation;
using enum faults::Operation;

constexpr char kFaultImage[] = "warren.test/fault:1";
constexpr char kVolumeImage[] = "warren.test/fault-volume:1";
constexpr uint32_t kWalkIds = 5 * 65536;

}  // namespace

void FaultOperations::SetUp() {
  daemon().wrapper = {"/bin/sh", "-c",
                      "exec " WARREN_FAULTY "/bin/warrend \"$@\""};
  CriTest::SetUp();
  const auto reply = client().ImportImage(
      kVolumeImage,
      OciArchive({.config_json = R"({"Volumes":{"/data":{}}})",
                  .layers = {BusyboxLayer(
                      {"sh", "cat", "sleep", "echo"},
                      {{.name = "data", .type = '5'},
                       {.name = "data/file", .content = "x", .uid = 7},
                       {.name = "data/below", .type = '5'},
                       {.name = "data/link", .type = '2', .link = "file"}})}}));
  ASSERT_TRUE(reply.ok()) << reply.status();
}

void FaultOperations::Prepare(Operation operation) {
  pod_ = Pod(absl::StrCat("walk-", ++pods_));
  // As much as one pod can use of what the product does.
  NamespaceOptions(&pod_)->set_pid(cri::POD);
  (*pod_.mutable_linux()->mutable_sysctls())["net.ipv4.ip_default_ttl"] = "65";
  pod_id_.clear();
  id_.clear();
  if (operation == kImport) return;
  if (operation == kAgentStart) return KillDaemon();
  if (operation == kRemoveImage) {
    const auto reply = client().ImportImage(kFaultImage, archive_);
    ASSERT_TRUE(reply.ok()) << reply.status();
    return;
  }
  if (operation == kMapped) {
    UseUserNamespace(NamespaceOptions(&pod_), kWalkIds);
    return;
  }
  if (operation == kHostPids) {
    NamespaceOptions(&pod_)->set_pid(cri::NODE);
    pod_.mutable_linux()->mutable_security_context()->set_privileged(true);
    return;
  }
  if (operation > kRunPod) pod_id_ = RunPod(pod_);
  if (operation > kCreate) {
    const absl::Status created = Create(Main());
    ASSERT_TRUE(created.ok()) << created;
  }
  if (operation > kStart) {
    const absl::Status started = client().StartContainer(id_);
    ASSERT_TRUE(started.ok()) << started;
  }
}

cri::ContainerConfig FaultOperations::Main() {
  cri::ContainerConfig config = IdleConfig("main");
  NamespaceOptions(&config)->set_pid(cri::POD);
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  cri::Device* device = config.add_devices();
  device->set_host_path("/dev/zero");
  device->set_container_path("/dev/nothing");
  device->set_permissions("r");
  AddMount(&config, daemon().log_dir(), "/logs", /*readonly=*/true);
  return config;
}

cri::ContainerConfig FaultOperations::Mapped() {
  cri::ContainerConfig config = IdleConfig("mapped");
  UseUserNamespace(NamespaceOptions(&config), kWalkIds);
  NamespaceOptions(&config)->set_pid(cri::POD);
  config.set_tty(true);
  config.mutable_image()->set_image(kVolumeImage);
  config.set_working_dir("/made/for/it");
  auto* security = config.mutable_linux()->mutable_security_context();
  security->set_readonly_rootfs(true);
  security->add_masked_paths("/proc/keys");
  security->add_masked_paths("/proc/interrupts");
  security->add_masked_paths("/sys/firmware");
  security->add_readonly_paths("/proc/sys");
  cri::Mount* mount = config.add_mounts();
  mount->set_container_path("/volume");
  mount->mutable_image()->set_image(kVolumeImage);
  mount->set_image_sub_path("data/file");
  AddMount(&config, daemon().log_dir(), "/logs", /*readonly=*/false);
  return config;
}

cri::ContainerConfig FaultOperations::Leaving() {
  cri::ContainerConfig config =
      ShellConfig("leaving", "sleep 1000 & echo out; echo err >&2");
  NamespaceOptions(&config)->set_pid(cri::NODE);
  auto* security = config.mutable_linux()->mutable_security_context();
  security->set_privileged(true);
  config.set_log_path("deep/leaving.log");
  return config;
}

absl::Status FaultOperations::Create(const cri::ContainerConfig& config) {
  const auto id = client().CreateContainer(pod_id_, config, pod_);
  if (id.ok()) id_ = *id;
  return id.status();
}

absl::Status FaultOperations::Exec() {
  const auto reply = client().ExecSync(id_, {"echo", "hello"});
  if (!reply.ok() || reply->stdout() == "hello\n") return reply.status();
  return absl::DataLossError(absl::StrCat("exit ", reply->exit_code(),
                                          ", output \"", reply->stdout(),
                                          "\", ", reply->stderr()));
}

absl::Status FaultOperations::ExecUntilTimeout() {
  const auto reply =
      client().ExecSync(id_, {"sh", "-c", "setsid sleep 1000 & sleep 1000"}, 1);
  if (absl::IsDeadlineExceeded(reply.status())) return absl::OkStatus();
  return reply.ok() ? absl::InternalError("no time-out") : reply.status();
}

absl::Status FaultOperations::RunMapped() {
  const auto pod_id = client().RunPodSandbox(pod_);
  if (!pod_id.ok()) return pod_id.status();
  pod_id_ = *pod_id;
  absl::Status status = Create(Mapped());
  if (status.ok()) status = client().StartContainer(id_);
  if (!status.ok()) return status;
  const auto reply = client().ExecSync(id_, {"cat", "/volume"});
  return reply.status();
}

absl::Status FaultOperations::RunHostPids() {
  const auto pod_id = client().RunPodSandbox(pod_);
  if (!pod_id.ok()) return pod_id.status();
  pod_id_ = *pod_id;
  absl::Status status = Create(Leaving());
  if (status.ok()) status = client().StartContainer(id_);
  if (!status.ok()) return status;
  const bool exited = Eventually([&] {
    const auto now = client().ContainerStatus(id_);
    return now.ok() && now->state() == cri::CONTAINER_EXITED;
  });
  return exited ? absl::OkStatus() : absl::InternalError("it does not exit");
}

absl::Status FaultOperations::LookAndChange() {
  absl::Status status =
      client()
          .Call<cri::ImageFsInfoResponse>(cri::ImageFsInfoRequest())
          .status();
  if (status.ok()) status = client().InspectPodSandbox(pod_id_).status();
  if (status.ok()) status = client().PodSandboxStatus(pod_id_, true).status();
  cri::ReopenContainerLogRequest reopen;
  reopen.set_container_id(id_);
  if (status.ok()) {
    status = client().Call<cri::ReopenContainerLogResponse>(reopen).status();
  }
  cri::UpdateContainerResourcesRequest update;
  update.set_container_id(id_);
  update.mutable_linux()->set_memory_limit_in_bytes(64 << 20);
  if (status.ok()) {
    status =
        client().Call<cri::UpdateContainerResourcesResponse>(update).status();
  }
  return status;
}

absl::Status FaultOperations::RemoveImage() {
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(kFaultImage);
  return client().Call<cri::RemoveImageResponse>(request).status();
}

absl::Status FaultOperations::Do(Operation operation) {
  switch (operation) {
    case kRunPod:
      return client().RunPodSandbox(pod_).status();
    case kCreate:
      return Create(Main());
    case kStart:
      return client().StartContainer(id_);
    case kExec:
      return Exec();
    case kStop:
      return client().StopContainer(id_, 1);
    case kRemove:
      return client().RemovePodSandbox(pod_id_);
    case kImport:
      return client().ImportImage(kFaultImage, archive_).status();
    case kMapped:
      return RunMapped();
    case kHostPids:
      return RunHostPids();
    case kExecTimeout:
      return ExecUntilTimeout();
    case kLook:
      return LookAndChange();
    case kRemoveImage:
      return RemoveImage();
    default:
      return daemon().Start();
  }
}

int FaultOperations::ExitCode() {
  constexpr int kLost = 255;
  int code = -1;
  Eventually([&] {
    const auto status = client().ContainerStatus(id_);
    if (!status.ok() || status->state() != cri::CONTAINER_EXITED) return false;
    if (status->exit_code() != kLost) code = status->exit_code();
    return true;
  });
  return code;
}

absl::Status FaultOperations::Again(Operation operation) {
  if ((operation == kMapped || operation == kHostPids) && !pod_id_.empty()) {
    const absl::Status gone = client().RemovePodSandbox(pod_id_);
    if (!gone.ok()) return gone;
  }
  if (operation == kStart) {
    client().RemoveContainer(id_).IgnoreError();
    const absl::Status created = Create(Main());
    if (!created.ok()) return created;
  }
  return Do(operation);
}

}  // namespace warren::test
