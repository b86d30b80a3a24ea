#include <csignal>

#include "tests/fakes/fake_runtime.h"

// What tests do with the fake runtime.
namespace warren::test {

FakeKernel FakeRuntime::kernel() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return kernel_;
}

void FakeRuntime::Exit(const std::string& id, runtime::ExitRecord exit) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (EndLocked(id, exit)) exits_.emplace_back(id, exit);
  }
  changed_.notify_all();
}

void FakeRuntime::ExitUnseen(const std::string& id, runtime::ExitRecord exit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EndLocked(id, exit);
}

void FakeRuntime::DropPins(const std::string& sandbox_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kernel_.sandboxes.at(sandbox_id).pinned = false;
}

void FakeRuntime::Lose(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kernel_.containers[id].process = FakeKernel::Process::kGone;
  kernel_.containers[id].exit_recorded = false;
}

void FakeRuntime::SetManners(Manners manners) {
  const std::lock_guard<std::mutex> lock(mutex_);
  manners_ = manners;
}

void FakeRuntime::SetCgroupParent(std::string parent) {
  const std::lock_guard<std::mutex> lock(mutex_);
  cgroup_parent_ = std::move(parent);
}

absl::Status FakeRuntime::ResolveSandbox(runtime::SandboxSpec* spec,
                                         const base::ProcessId&) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (spec->cgroup.path.empty()) {
    spec->cgroup = {cgroup_parent_ + "/" + spec->id, cgroup_parent_};
  }
  return absl::OkStatus();
}

absl::Status FakeRuntime::ResolveContainer(runtime::ContainerSpec* spec,
                                           const base::ProcessId&) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (spec->cgroup.path.empty()) {
    const std::string& parent = spec->sandbox.cgroup.own_parent;
    spec->cgroup = {parent + "/" + spec->id, parent};
  }
  return absl::OkStatus();
}

// What has no record has no leaf in its spec either.
absl::Status FakeRuntime::CheckLeaf(const runtime::ContainerSpec& spec) const {
  const auto found = kernel_.containers.find(spec.id);
  if (found == kernel_.containers.end() || spec.cgroup.path.empty() ||
      found->second.cgroup == spec.cgroup) {
    return absl::OkStatus();
  }
  return absl::InternalError(spec.cgroup.path + " is not the container's");
}

void FakeRuntime::Release(const std::string& id) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    manners_of_[id].unkillable = false;
  }
  Exit(id, {128 + SIGKILL, SIGKILL, false, 0});
}

void FakeRuntime::HoldRemoval(const std::string& id,
                              absl::Notification* until) {
  const std::lock_guard<std::mutex> lock(mutex_);
  held_removals_[id] = until;
}

int FakeRuntime::overlaps() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return overlaps_;
}

std::vector<std::pair<std::string, int>> FakeRuntime::signals() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return signals_;
}

void FakeRuntime::WaitForExec(int sessions) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return exec_sessions_ >= sessions; });
}

void FakeRuntime::CloseGate() {
  const std::lock_guard<std::mutex> lock(mutex_);
  gate_closed_ = true;
}

void FakeRuntime::OpenGate() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    gate_closed_ = false;
  }
  changed_.notify_all();
}

void FakeRuntime::WaitAtGate(int waiting) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return at_gate_ >= waiting; });
}

}  // namespace warren::test
