#include "runtime/machine/container_exits.h"

#include <fcntl.h>
#include <poll.h>

#include <optional>
#include <utility>

#include "runtime/base/adopted.h"
#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

// What the shim left in the run directory; `lost` when that is nothing.
ExitRecord ReadRecord(const std::string& container_dir) {
  ExitRecord record;
  record.finished_at_ns = base::SystemClock().RealNow();
  record.lost = true;
  auto dir = base::OpenAt(AT_FDCWD, container_dir, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return record;
  const auto exited = ReadExitFile(dir->get());
  if (!exited.ok() || !exited->has_value()) return record;
  return {(*exited)->exit_code(), (*exited)->signal(), (*exited)->oom_killed(),
          (*exited)->finished_at_ns()};
}

// Of a container whose shim was killed: its first process is our child now.
void ReapFirst(const base::UniqueFd& pidfd) {
  if (base::AwaitFd(pidfd.get(), POLLIN,
                    base::Deadline::After(absl::Seconds(1)))
          .ok()) {
    base::Reap(pidfd.get()).IgnoreError();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ContainerExits>> ContainerExits::Start(
    Parts* parts) {
  std::unique_ptr<ContainerExits> exits(new ContainerExits(parts));
  ASSIGN_OR_RETURN(exits->watcher_, ExitWatcher::Start());
  return exits;
}

void ContainerExits::SetCallback(Runtime::ExitCallback callback) {
  const base::MutexLock lock(&mutex_);
  callback_ = std::move(callback);
}

absl::Status ContainerExits::Watch(const LiveContainerPtr& container,
                                   const StartFacts& start,
                                   base::UniqueFd shim_pidfd) {
  auto pidfd = base::OpenProcess(start.process);
  {
    const base::MutexLock lock(&container->mutex);
    container->running = true;
    container->process = start.process;
    container->shim = start.shim;
    if (pidfd.ok()) {
      container->pidfd = std::make_shared<base::UniqueFd>(*std::move(pidfd));
    }
  }
  absl::Status watched = watcher_->Watch(
      std::move(shim_pidfd), [this, container](base::UniqueFd ended) {
        OnShimExit(container, std::move(ended));
      });
  if (!watched.ok()) {
    // Nobody will tell of its end: a later removal must not wait for that.
    {
      const base::MutexLock lock(&container->mutex);
      container->running = false;
      container->pidfd.reset();
    }
    container->ended.NotifyAll();
  }
  return watched;
}

void ContainerExits::OnShimExit(const LiveContainerPtr& container,
                                base::UniqueFd shim_pidfd) {
  // Not a child after a restart of the agent.
  base::Reap(shim_pidfd.get()).IgnoreError();
  const ExitRecord record = ReadRecord(parts_.ContainerDir(container->spec.id));
  // With a pid namespace of its own, everything ended with its first process.
  // Otherwise, and when the shim itself was killed, something may be left.
  if (record.lost || container->spec.pid != NamespaceMode::kContainer) {
    parts_.cgroups->KillAll(container->cgroup, absl::ZeroDuration())
        .IgnoreError();
  }
  std::shared_ptr<base::UniqueFd> first;
  {
    const base::MutexLock lock(&container->mutex);
    first = std::move(container->pidfd);
    container->pidfd.reset();
  }
  if (record.lost && first != nullptr) ReapFirst(*first);
  {
    const base::MutexLock lock(&container->mutex);
    container->running = false;
  }
  container->ended.NotifyAll();
  base::ReapAdopted();
  Runtime::ExitCallback callback;
  {
    const base::MutexLock lock(&mutex_);
    callback = callback_;
  }
  if (callback) callback(container->spec.id, record);
}

}  // namespace warren::runtime
