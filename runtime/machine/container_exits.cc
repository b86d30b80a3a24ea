#include "runtime/machine/container_exits.h"

#include <absl/time/time.h>
#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "runtime/base/adopted.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/process.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

// Between two tries at an end that nobody can tell yet, and how many there are.
// Together they take a minute.
constexpr int kRetryPauseMs = 100;
constexpr int kRetries = 600;

// For the look at a container's cgroups, of which it may have made any number,
// while others' ends wait to be told.
constexpr absl::Duration kOomLook = absl::Seconds(1);

ExitRecord Lost() {
  ExitRecord record;
  record.finished_at_ns = base::SystemClock().RealNow();
  record.lost = true;
  return record;
}

// What the shim left in the run directory; nullopt when that is nothing, or
// something that nobody can understand.
base::Look<ExitRecord> ReadRecord(const Parts& parts,
                                  const ContainerSpec& spec) {
  ASSIGN_OR_RETURN(
      const std::optional<base::UniqueFd> dir,
      base::ToLook(base::OpenAt(AT_FDCWD, parts.ContainerDir(spec.id),
                                O_RDONLY | O_DIRECTORY)));
  if (!dir.has_value()) return std::nullopt;
  const auto exited = ReadExitFile(dir->get());
  if (base::IsDamage(exited.status()) ||
      base::GetErrno(exited.status()) == EBADMSG) {
    return std::nullopt;
  }
  RETURN_IF_ERROR(exited.status());
  if (!exited->has_value()) return std::nullopt;
  return ExitRecordOf(parts, spec, **exited);
}

}  // namespace

ExitRecord ExitRecordOf(const Parts& parts, const ContainerSpec& spec,
                        const shim::v1::Exited& exited) {
  ExitRecord record = {exited.exit_code(), exited.signal(), exited.oom_killed(),
                       exited.finished_at_ns()};
  if (record.oom_killed) return record;
  const auto killed =
      parts.cgroups->HadOomKill(spec.cgroup, base::Deadline::After(kOomLook));
  // lint: allow absence: only the reason would say more
  record.oom_killed = killed.ok() && *killed;
  return record;
}

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
  // Gone is an answer. One that cannot be opened runs, and could neither be
  // signalled nor waited for.
  if (!pidfd.ok() && !absl::IsNotFound(pidfd.status())) {
    return base::Annotate(pidfd.status(), "open the container's process");
  }
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
        OnShimExit(container, std::move(ended), kRetries);
      });
  // Nobody will tell of its end: a later removal must not wait for that.
  if (!watched.ok()) MarkEnded(*container);
  return watched;
}

void ContainerExits::MarkEnded(LiveContainer& container) {
  {
    const base::MutexLock lock(&container.mutex);
    container.running = false;
    container.pidfd.reset();
  }
  container.ended.NotifyAll();
}

void ContainerExits::OnShimExit(const LiveContainerPtr& container,
                                base::UniqueFd shim_pidfd, int retries) {
  // Not a child after a restart of the agent.
  base::Reap(shim_pidfd.get()).IgnoreError();
  if (Tell(container).ok()) return;
  if (retries > 0) {
    // The pidfd is readable for good: its turn comes again after all others'.
    poll(nullptr, 0, kRetryPauseMs);
    const absl::Status again =
        watcher_->Watch(std::move(shim_pidfd),
                        [this, container, retries](base::UniqueFd ended) {
                          OnShimExit(container, std::move(ended), retries - 1);
                        });
    if (again.ok()) return;
  }
  Report(container, Lost());
}

absl::Status ContainerExits::Tell(const LiveContainerPtr& container) {
  ASSIGN_OR_RETURN(const std::optional<ExitRecord> left,
                   ReadRecord(parts_, container->spec));
  const ExitRecord record = left.has_value() ? *left : Lost();
  // With a pid namespace of its own, everything ended with its first process.
  // Otherwise, and when the shim itself was killed, something may be left.
  if (record.lost || container->spec.pid != NamespaceMode::kContainer) {
    parts_.cgroups->KillAll(container->spec.cgroup, absl::ZeroDuration())
        .IgnoreError();
  }
  if (record.lost) {
    ASSIGN_OR_RETURN(const bool later, AwaitFirst(container, record));
    if (later) return absl::OkStatus();
  }
  Report(container, record);
  return absl::OkStatus();
}

// The first process of a container whose shim was killed is our child now. It
// may take its time to die, or for ever (state D, frozen): the container runs
// until then.
absl::StatusOr<bool> ContainerExits::AwaitFirst(
    const LiveContainerPtr& container, const ExitRecord& record) {
  base::UniqueFd first;
  {
    const base::MutexLock lock(&container->mutex);
    if (container->pidfd == nullptr) return false;
    first.reset(fcntl(container->pidfd->get(), F_DUPFD_CLOEXEC, 3));
    if (!first.valid()) return base::ErrnoError(errno, "watch a process");
  }
  RETURN_IF_ERROR(watcher_->Watch(
      std::move(first), [this, container, record](base::UniqueFd ended) {
        base::Reap(ended.get()).IgnoreError();
        Report(container, record);
      }));
  return true;
}

void ContainerExits::Report(const LiveContainerPtr& container,
                            const ExitRecord& record) {
  MarkEnded(*container);
  base::ReapAdopted();
  Runtime::ExitCallback callback;
  {
    const base::MutexLock lock(&mutex_);
    callback = callback_;
  }
  if (callback) callback(container->spec.id, record);
}

}  // namespace warren::runtime
