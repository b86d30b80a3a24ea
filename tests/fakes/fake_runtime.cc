#include "tests/fakes/fake_runtime.h"

#include <fcntl.h>

#include <chrono>
#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::test {
namespace {

constexpr int64_t kNow = 1'700'000'000'000'000'000;

runtime::ExitRecord Killed(int signal) {
  return {128 + signal, signal, false, kNow};
}

}  // namespace

// Counts callers that do not keep to one call at a time on one object.
class FakeRuntime::Turn {
 public:
  Turn(FakeRuntime* runtime, const std::string& id)
      : runtime_(runtime), id_(id) {
    const std::lock_guard<std::mutex> lock(runtime_->mutex_);
    if (!runtime_->busy_.insert(id_).second) ++runtime_->overlaps_;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    const std::lock_guard<std::mutex> lock(runtime_->mutex_);
    runtime_->busy_.erase(id_);
  }

 private:
  FakeRuntime* const runtime_;
  const std::string id_;
};

FakeRuntime::FakeRuntime(Faults* faults, FakeKernel kernel)
    : faults_(faults),
      kernel_(std::move(kernel)),
      reporter_([this] { Report(); }) {}

FakeRuntime::~FakeRuntime() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reporter_.join();
}

void FakeRuntime::Report() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    if (exits_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto [id, exit] = exits_.front();
    exits_.pop_front();
    lock.unlock();
    {
      const std::lock_guard<std::mutex> calling(callback_mutex_);
      if (callback_) callback_(id, exit);
    }
    lock.lock();
  }
}

bool FakeRuntime::EndLocked(const std::string& id, runtime::ExitRecord exit) {
  const auto found = kernel_.containers.find(id);
  if (found == kernel_.containers.end() ||
      found->second.process != FakeKernel::Process::kRunning) {
    return false;
  }
  found->second.process = FakeKernel::Process::kGone;
  found->second.exit_recorded = true;
  found->second.exit = exit;
  return true;
}

absl::Status FakeRuntime::CheckKnown(const std::string& id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (known_.count(id) != 0) return absl::OkStatus();
  return absl::FailedPreconditionError("the container is not prepared");
}

runtime::Features FakeRuntime::GetFeatures() const { return {}; }

void FakeRuntime::SetExitCallback(ExitCallback callback) {
  const std::lock_guard<std::mutex> calling(callback_mutex_);
  callback_ = std::move(callback);
}

void FakeRuntime::SetPodInitCallback(PodInitCallback callback) {
  const std::lock_guard<std::mutex> calling(callback_mutex_);
  pod_init_callback_ = std::move(callback);
}

void FakeRuntime::EndPodInit(const std::string& sandbox_id) {
  const std::lock_guard<std::mutex> calling(callback_mutex_);
  if (pod_init_callback_) pod_init_callback_(sandbox_id);
}

absl::StatusOr<runtime::SandboxFacts> FakeRuntime::CreateSandbox(
    const runtime::SandboxSpec& spec) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.CreateSandbox"));
  if (spec.cgroup.path.empty()) return absl::InternalError("not resolved");
  runtime::SandboxFacts facts;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!kernel_.sandboxes.try_emplace(spec.id).second) {
      return absl::InternalError("sandbox exists");
    }
    facts.namespaces = {{runtime::NamespaceKind::kNet,
                         4026530000u + kernel_.sandboxes.size(), false}};
  }
  faults_->After("Runtime.CreateSandbox");
  return facts;
}

absl::Status FakeRuntime::AdoptSandbox(const runtime::SandboxSpec& spec,
                                       const runtime::SandboxFacts&) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.AdoptSandbox"));
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kernel_.sandboxes.find(spec.id);
  if (found == kernel_.sandboxes.end() || !found->second.pinned) {
    return absl::FailedPreconditionError("the pins are gone");
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> FakeRuntime::OpenSandboxNetns(
    const std::string& sandbox_id) {
  const Turn turn(this, sandbox_id);
  RETURN_IF_ERROR(faults_->Before("Runtime.OpenSandboxNetns"));
  return base::OpenAt(AT_FDCWD, "/dev/null", O_RDONLY);
}

absl::Status FakeRuntime::StopSandbox(const runtime::SandboxSpec& spec,
                                      const base::Deadline&) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.StopSandbox"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kernel_.sandboxes.find(spec.id);
    if (found != kernel_.sandboxes.end()) found->second.pinned = false;
  }
  faults_->After("Runtime.StopSandbox");
  return absl::OkStatus();
}

absl::Status FakeRuntime::RemoveSandbox(const runtime::SandboxSpec& spec,
                                        const base::Deadline&) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.RemoveSandbox"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    kernel_.sandboxes.erase(spec.id);
  }
  faults_->After("Runtime.RemoveSandbox");
  return absl::OkStatus();
}

absl::StatusOr<runtime::ContainerFacts> FakeRuntime::CreateContainer(
    const runtime::ContainerSpec& spec) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.CreateContainer"));
  if (spec.cgroup.path.empty()) return absl::InternalError("not resolved");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    FakeKernel::Container container;
    container.sandbox_id = spec.sandbox.id;
    container.pid = spec.pid;
    container.cgroup = spec.cgroup;
    container.resources = spec.resources;
    kernel_.containers[spec.id] = container;
    manners_of_[spec.id] = manners_;
    known_.insert(spec.id);
  }
  faults_->After("Runtime.CreateContainer");
  runtime::ContainerFacts facts;
  facts.user.uid = spec.user.uid.value_or(0);
  facts.user.gid = spec.user.gid.value_or(0);
  facts.user.groups = {facts.user.gid};
  facts.user.home = "/root";
  return facts;
}

absl::StatusOr<runtime::AdoptedContainer> FakeRuntime::AdoptContainer(
    const runtime::ContainerSpec& spec, const runtime::ContainerFacts&,
    const base::Deadline&) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.AdoptContainer"));
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(CheckLeaf(spec));
  runtime::AdoptedContainer adopted;
  known_.insert(spec.id);
  const auto found = kernel_.containers.find(spec.id);
  if (found == kernel_.containers.end()) return adopted;
  if (found->second.process == FakeKernel::Process::kNone) {
    found->second.resources = spec.resources;  // its cgroup is made anew
  }
  if (found->second.process == FakeKernel::Process::kRunning) {
    adopted.liveness = runtime::ContainerLiveness::kRunning;
    adopted.start.process = {1234, 1};
    adopted.start.started_at_ns = kNow;
  } else if (found->second.exit_recorded) {
    adopted.liveness = runtime::ContainerLiveness::kExited;
    adopted.exit = found->second.exit;
  }
  return adopted;
}

absl::StatusOr<runtime::StartFacts> FakeRuntime::StartContainer(
    const std::string& id, const base::Deadline&) {
  const Turn turn(this, id);
  RETURN_IF_ERROR(faults_->Before("Runtime.StartContainer"));
  Manners manners;
  runtime::StartFacts facts;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    ++at_gate_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !gate_closed_; });
    --at_gate_;
    const auto found = kernel_.containers.find(id);
    if (found == kernel_.containers.end() ||
        found->second.process != FakeKernel::Process::kNone) {
      return absl::InternalError("no created container");
    }
    manners = manners_of_[id];
    found->second.process = FakeKernel::Process::kRunning;
    found->second.leftovers =
        manners.leave_others ||
        found->second.pid != runtime::NamespaceMode::kContainer;
    facts.process = {next_pid_++, 7};
    facts.shim = {next_pid_++, 7};
    facts.started_at_ns = kNow;
    if (manners.exit_at_once) EndLocked(id, {3, 0, false, kNow + 1});
  }
  if (manners.exit_at_once) {
    const std::lock_guard<std::mutex> calling(callback_mutex_);
    if (callback_) callback_(id, {3, 0, false, kNow + 1});
  }
  faults_->After("Runtime.StartContainer");
  return facts;
}

absl::Status FakeRuntime::UpdateResources(const std::string& id,
                                          const runtime::Resources&,
                                          const runtime::Resources& to,
                                          const base::Deadline&) {
  const Turn turn(this, id);
  RETURN_IF_ERROR(faults_->Before("Runtime.UpdateResources"));
  RETURN_IF_ERROR(CheckKnown(id));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kernel_.containers.find(id);
    if (found == kernel_.containers.end()) {
      return absl::InternalError("no such cgroup");
    }
    found->second.resources = to;
  }
  faults_->After("Runtime.UpdateResources");
  return absl::OkStatus();
}

absl::Status FakeRuntime::SignalContainer(const std::string& id, int signal) {
  const Turn turn(this, id);
  RETURN_IF_ERROR(faults_->Before("Runtime.SignalContainer"));
  RETURN_IF_ERROR(CheckKnown(id));
  bool ends = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    signals_.emplace_back(id, signal);
    ends = !manners_of_[id].ignore_signals;
  }
  changed_.notify_all();
  if (ends) Exit(id, Killed(signal));
  return absl::OkStatus();
}

absl::Status FakeRuntime::KillContainer(const std::string& id) {
  const Turn turn(this, id);
  RETURN_IF_ERROR(faults_->Before("Runtime.KillContainer"));
  RETURN_IF_ERROR(CheckKnown(id));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kernel_.containers.find(id);
    if (found == kernel_.containers.end()) return absl::OkStatus();
    if (manners_of_[id].unkillable) return absl::OkStatus();
    found->second.leftovers = false;
    if (EndLocked(id, Killed(SIGKILL))) {
      exits_.emplace_back(id, Killed(SIGKILL));
    }
  }
  changed_.notify_all();
  faults_->After("Runtime.KillContainer");
  return absl::OkStatus();
}

absl::Status FakeRuntime::AwaitContainerDeath(const std::string& id,
                                              const base::Deadline& deadline) {
  RETURN_IF_ERROR(faults_->Before("Runtime.AwaitContainerDeath"));
  RETURN_IF_ERROR(CheckKnown(id));
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const auto found = kernel_.containers.find(id);
    if (found == kernel_.containers.end() ||
        (found->second.process != FakeKernel::Process::kRunning &&
         !found->second.leftovers)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(deadline.Check());
    changed_.wait_for(lock, std::chrono::milliseconds(1));
  }
}

absl::Status FakeRuntime::RemoveContainer(const runtime::ContainerSpec& spec,
                                          const base::Deadline&) {
  const Turn turn(this, spec.id);
  RETURN_IF_ERROR(faults_->Before("Runtime.RemoveContainer"));
  absl::Notification* until = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto held = held_removals_.find(spec.id);
    if (held != held_removals_.end()) until = held->second;
  }
  if (until != nullptr) until->WaitForNotification();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(CheckLeaf(spec));
    kernel_.containers.erase(spec.id);
    known_.erase(spec.id);
  }
  faults_->After("Runtime.RemoveContainer");
  return absl::OkStatus();
}

absl::Status FakeRuntime::ReopenLog(const std::string& id,
                                    const base::Deadline&) {
  RETURN_IF_ERROR(CheckKnown(id));
  return faults_->Before("Runtime.ReopenLog");
}

absl::StatusOr<runtime::SandboxView> FakeRuntime::InspectSandbox(
    const runtime::SandboxSpec& spec) {
  RETURN_IF_ERROR(faults_->Before("Runtime.InspectSandbox"));
  runtime::SandboxView view;
  view.hostname = spec.hostname;
  view.time_offsets = spec.time_offsets;
  view.namespaces = {{runtime::NamespaceKind::kNet, 4026530001u, 4026531837u,
                      runtime::NamespaceMode::kPod, false}};
  return view;
}

absl::StatusOr<runtime::ContainerView> FakeRuntime::InspectContainer(
    const std::string& id) {
  RETURN_IF_ERROR(faults_->Before("Runtime.InspectContainer"));
  runtime::ContainerView view;
  view.id = id;
  view.processes = {{1000, 1, 0, 0, "init"}};
  return view;
}

std::vector<std::string> FakeRuntime::ListSandboxIds() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, sandbox] : kernel_.sandboxes) ids.push_back(id);
  return ids;
}

std::vector<std::string> FakeRuntime::ListContainerIds() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, container] : kernel_.containers) ids.push_back(id);
  return ids;
}

}  // namespace warren::test
