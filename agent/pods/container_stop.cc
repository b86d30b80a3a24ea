#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "agent/pods/container_manager.h"
#include "agent/store/lifecycle.h"
#include "runtime/base/status.h"

// The way down of a container: stop, kill, remove.
namespace warren::agent {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// How often a wait looks whether the caller still waits.
constexpr std::chrono::milliseconds kPoll(25);
// SIGKILL is repeated: a process may be forking just then, or be frozen.
constexpr int64_t kKillAgain = kSecond;
// How long one call tries to kill: a process in uninterruptible sleep dies
// when its device answers, and the caller tries again (REL-11).
constexpr int64_t kKillPatience = 60 * kSecond;
// A grace beyond this is no grace but a mistake; keeps sums in range.
constexpr int64_t kMaxGraceSeconds = 365 * 24 * 3600;

bool IsRunning(const Container& container) {
  return container.Get()->record.phase() == record::RUNNING;
}

}  // namespace

absl::Status ContainerManager::Stop(const std::string& id,
                                    int64_t timeout_seconds,
                                    const CallContext& call) {
  auto found = store_->FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  RETURN_IF_ERROR(found.status());
  const ContainerPtr& container = *found;
  ASSIGN_OR_RETURN(OperationLock::Guard guard, container->Lock(call));
  if (container->gone() || !IsRunning(*container)) return absl::OkStatus();
  if (timeout_seconds > 0) {
    const int64_t grace = std::min(timeout_seconds, kMaxGraceSeconds) * kSecond;
    const int64_t now = clock_->MonotonicNow();
    if (container->JoinStop(now + grace)) {
      const absl::Status sent = runtime_->SignalContainer(
          container->id(), container->Get()->record.stop_signal());
      store_->Problem(absl::StrCat("stop signal to container ", id), sent);
      // A process that got no signal need not be waited for.
      if (!sent.ok()) container->HastenStop(now);
    }
    guard.Reset();  // others may work on it while it ends
    const absl::Status waited = WaitForGrace(*container, call);
    container->LeaveStop();
    RETURN_IF_ERROR(waited);
    ASSIGN_OR_RETURN(guard, container->Lock(call));
    if (container->gone()) return absl::OkStatus();
  }
  return KillAndWait(container, call);
}

absl::Status ContainerManager::WaitForGrace(const Container& container,
                                            const CallContext& call) {
  for (;;) {
    const uint64_t seen = container.version();
    if (!IsRunning(container) ||
        clock_->MonotonicNow() >= container.kill_at()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(call.deadline.Check());
    container.WaitForChange(seen, kPoll);
  }
}

absl::Status ContainerManager::KillAndWait(const ContainerPtr& container,
                                           const CallContext& call) {
  const int64_t give_up = clock_->MonotonicNow() + kKillPatience;
  int64_t next_shot = clock_->MonotonicNow();
  for (;;) {
    const uint64_t seen = container->version();
    if (!IsRunning(*container)) break;
    const int64_t now = clock_->MonotonicNow();
    if (now >= give_up) {
      return absl::DeadlineExceededError(
          "a process of the container does not die; try again");
    }
    if (now >= next_shot) {
      RETURN_IF_ERROR_IN(
          runtime_->KillContainer(container->id(), call.deadline),
          "kill the container");
      next_shot = now + kKillAgain;
    }
    RETURN_IF_ERROR(call.deadline.Check());
    container->WaitForChange(seen, kPoll);
  }
  // Its first process may have ended by itself and left others behind.
  if (container->Get()->spec->pid == runtime::NamespaceMode::kContainer) {
    return absl::OkStatus();
  }
  return base::Annotate(runtime_->KillContainer(container->id(), call.deadline),
                        "kill what the container left");
}

absl::Status ContainerManager::Remove(const std::string& id,
                                      const CallContext& call) {
  auto found = store_->FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  RETURN_IF_ERROR(found.status());
  ASSIGN_OR_RETURN(const OperationLock::Guard guard, (*found)->Lock(call));
  if ((*found)->gone()) return absl::OkStatus();
  return RemoveLocked(*found, call);
}

absl::Status ContainerManager::RemoveLocked(const ContainerPtr& container,
                                            const CallContext& call) {
  if (IsRunning(*container)) RETURN_IF_ERROR(KillAndWait(container, call));
  // Sessions inside die with the container; they are in its cgroup.
  for (;;) {
    const uint64_t seen = container->version();
    if (container->exec_sessions.load() == 0) break;
    RETURN_IF_ERROR(call.deadline.Check());
    container->WaitForChange(seen, kPoll);
  }
  // As with a sandbox, a full disk must not keep it from going (REL-15).
  store_->Problem(absl::StrCat("record of container ", container->id()),
                  container->Update(Container::Write::kFactEvenUnrecorded,
                                    [](ContainerState* state) {
                                      return Advance(&state->record,
                                                     record::REMOVING);
                                    }));
  RETURN_IF_ERROR_IN(
      runtime_->RemoveContainer(*container->Get()->spec, call.deadline),
      "remove the container");
  RETURN_IF_ERROR(store_->Erase(container));
  // Somebody may still look at the object; the layers are free already.
  container->HoldImages({});
  return absl::OkStatus();
}

absl::Status ContainerManager::KillAll(const std::string& sandbox_id,
                                       const CallContext& call) {
  absl::Status result;
  // All turns are taken in the order of names, then kept: the first shots go
  // out before the first wait, so that the containers die side by side.
  std::vector<std::pair<ContainerPtr, OperationLock::Guard>> held;
  for (ContainerPtr& container : store_->ContainersOf(sandbox_id)) {
    auto guard = container->Lock(call);
    base::Update(&result, guard.status());
    if (!guard.ok() || container->gone()) continue;
    // The end of the others was seen, and what they left was killed then.
    if (!IsRunning(*container)) continue;
    base::Update(&result,
                 runtime_->KillContainer(container->id(), call.deadline));
    held.emplace_back(std::move(container), *std::move(guard));
  }
  for (auto& [container, guard] : held) {
    base::Update(&result, KillAndWait(container, call));
  }
  return result;
}

absl::Status ContainerManager::RemoveAll(const std::string& sandbox_id,
                                         const CallContext& call) {
  absl::Status result;
  for (const ContainerPtr& container : store_->ContainersOf(sandbox_id)) {
    auto guard = container->Lock(call);
    base::Update(&result, guard.status());
    if (!guard.ok() || container->gone()) continue;
    base::Update(&result, RemoveLocked(container, call));
  }
  return result;
}

}  // namespace warren::agent
