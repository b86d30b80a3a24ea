#include <absl/strings/str_cat.h>
#include <absl/time/time.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/pods/container_manager.h"
#include "agent/store/lifecycle.h"
#include "runtime/base/status.h"

// The way down of a container: stop, kill, remove.
namespace warren::agent {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// SIGKILL is repeated: a process may be forking just then, or be frozen.
constexpr int64_t kKillAgain = kSecond;
// How long one call tries to kill: a process in uninterruptible sleep dies
// when its device answers, and the caller tries again (REL-11).
constexpr int64_t kKillPatience = 60 * kSecond;
// How long one round waits for the turn of a container that another call works
// on; the others of the pod must not wait for that.
constexpr absl::Duration kTurnPatience = absl::Seconds(1);
// A grace beyond this is no grace but a mistake; keeps sums in range.
constexpr int64_t kMaxGraceSeconds = 365 * 24 * 3600;

bool IsRunning(const Container& container) {
  return container.Get()->record.phase() == record::RUNNING;
}

// Its first process may end by itself and leave others behind.
bool MayLeaveOthers(const Container& container) {
  return container.Get()->spec->pid != runtime::NamespaceMode::kContainer;
}

absl::Status DoesNotDie() {
  return absl::DeadlineExceededError(
      "a process of the container does not die; try again");
}

}  // namespace

absl::Status ContainerManager::Stop(const std::string& id,
                                    int64_t timeout_seconds,
                                    const CallContext& call) {
  auto found = store_->FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  RETURN_IF_ERROR(found.status());
  const ContainerPtr& container = *found;
  const auto visit = container->Visit();
  ASSIGN_OR_RETURN(OperationLock::Guard guard, container->Lock(call));
  if (container->gone() || !IsRunning(*container)) return absl::OkStatus();
  const bool has_grace = timeout_seconds > 0;
  if (has_grace) {
    const int64_t grace = std::min(timeout_seconds, kMaxGraceSeconds) * kSecond;
    const int64_t now = clock_->MonotonicNow();
    if (container->JoinStop(now + grace)) {
      const absl::Status sent = runtime_->SignalContainer(
          container->id(), container->Get()->record.stop_signal());
      store_->Problem(absl::StrCat("stop signal to container ", id), sent);
      // A process that got no signal need not be waited for.
      if (!sent.ok()) container->HastenStop(now);
    }
  }
  guard.Reset();  // others may work on it while it ends
  if (has_grace) {
    const absl::Status waited = WaitForGrace(*container, call);
    container->LeaveStop();
    RETURN_IF_ERROR(waited);
  }
  return KillAndWait({{container, /*ran=*/true}}, call);
}

absl::Status ContainerManager::WaitForGrace(const Container& container,
                                            const CallContext& call) {
  for (;;) {
    const uint64_t seen = container.version();
    const int64_t left = container.kill_at() - clock_->MonotonicNow();
    if (!IsRunning(container) || left <= 0) return absl::OkStatus();
    RETURN_IF_ERROR(call.deadline.Check());
    container.WaitForChange(seen,
                            call.deadline.Within(absl::Nanoseconds(left)));
  }
}

// Sends SIGKILL, or finds that there is nothing to send it to.
absl::StatusOr<ContainerManager::Shot> ContainerManager::Shoot(
    Victim* victim, const CallContext& call) {
  Container& container = *victim->container;
  CallContext round = call;
  round.deadline = call.deadline.Within(kTurnPatience);
  const auto turn = container.Lock(round);
  if (!turn.ok()) {
    RETURN_IF_ERROR(call.deadline.Check());
    return Shot::kNotYet;
  }
  if (container.gone()) return Shot::kEnded;
  const bool runs = IsRunning(container);
  victim->ran |= runs;
  if (!runs && !(victim->ran && MayLeaveOthers(container))) {
    return Shot::kEnded;
  }
  RETURN_IF_ERROR_IN(runtime_->KillContainer(container.id()),
                     runs ? "kill the container" : "kill what it left");
  return runs ? Shot::kSent : Shot::kLeftovers;
}

void ContainerManager::AwaitExit(const Container& container, int64_t until,
                                 const CallContext& call) {
  for (;;) {
    const uint64_t seen = container.version();
    const int64_t left = until - clock_->MonotonicNow();
    if (!IsRunning(container) || left <= 0 || !call.deadline.Check().ok()) {
      return;
    }
    container.WaitForChange(seen,
                            call.deadline.Within(absl::Nanoseconds(left)));
  }
}

absl::Status ContainerManager::KillAndWait(std::vector<Victim> victims,
                                           const CallContext& call) {
  const int64_t give_up = clock_->MonotonicNow() + kKillPatience;
  absl::Status result;
  std::vector<ContainerPtr> ended;  // with others that their first left
  for (;;) {
    const int64_t next_round = clock_->MonotonicNow() + kKillAgain;
    std::vector<Victim> alive;
    for (Victim& victim : victims) {
      const auto shot = Shoot(&victim, call);
      base::Update(&result, shot.status());
      if (!shot.ok() || *shot == Shot::kEnded) continue;
      if (*shot == Shot::kLeftovers) {
        ended.push_back(victim.container);
      } else {
        alive.push_back(std::move(victim));
      }
    }
    victims = std::move(alive);
    if (victims.empty()) break;
    const absl::Status wanted = call.deadline.Check();
    if (!wanted.ok() || clock_->MonotonicNow() >= give_up) {
      base::Update(&result, wanted.ok() ? DoesNotDie() : wanted);
      return result;
    }
    // One after the other is as good as all at once: the wait is for the last.
    for (const Victim& victim : victims) {
      AwaitExit(*victim.container, std::min(next_round, give_up), call);
    }
  }
  for (const ContainerPtr& container : ended) {
    const int64_t left = give_up - clock_->MonotonicNow();
    absl::Status dead = runtime_->AwaitContainerDeath(
        container->id(), call.deadline.Within(absl::Nanoseconds(left)));
    if (absl::IsDeadlineExceeded(dead)) dead = DoesNotDie();
    base::Update(&result, dead);
  }
  return result;
}

absl::Status ContainerManager::Remove(const std::string& id,
                                      const CallContext& call) {
  auto found = store_->FindContainer(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();
  RETURN_IF_ERROR(found.status());
  return EndAndRemove(*found, call);
}

absl::Status ContainerManager::EndAndRemove(const ContainerPtr& container,
                                            const CallContext& call) {
  const auto visit = container->Visit();
  for (;;) {
    RETURN_IF_ERROR(KillAndWait({{container}}, call));
    RETURN_IF_ERROR(AwaitSessions(*container, call));
    ASSIGN_OR_RETURN(const OperationLock::Guard guard, container->Lock(call));
    if (container->gone()) return absl::OkStatus();
    // Both waits held no lock: it may have been started in between.
    if (IsRunning(*container)) continue;
    return RemoveLocked(container, call);
  }
}

// Sessions inside die with the container; they are in its cgroup.
absl::Status ContainerManager::AwaitSessions(const Container& container,
                                             const CallContext& call) {
  for (;;) {
    const uint64_t seen = container.version();
    if (container.exec_sessions.load() == 0) return absl::OkStatus();
    RETURN_IF_ERROR(call.deadline.Check());
    container.WaitForChange(seen, call.deadline);
  }
}

absl::Status ContainerManager::RemoveLocked(const ContainerPtr& container,
                                            const CallContext& call) {
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
  std::vector<Victim> victims;
  std::vector<OperationLock::Visit> visits;
  for (ContainerPtr& container : store_->ContainersOf(sandbox_id)) {
    visits.push_back(container->Visit());
    victims.push_back({std::move(container)});
  }
  return KillAndWait(std::move(victims), call);
}

absl::Status ContainerManager::RemoveAll(const std::string& sandbox_id,
                                         const CallContext& call) {
  absl::Status result;
  for (const ContainerPtr& container : store_->ContainersOf(sandbox_id)) {
    base::Update(&result, EndAndRemove(container, call));
  }
  return result;
}

}  // namespace warren::agent
