#include <absl/strings/str_cat.h>
#include <absl/time/time.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/caller/steps.h"
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

// StopContainer: the signal, the grace, the kill.
class StopSteps final : public Steps {
 public:
  StopSteps(ContainerManager* manager, std::string id, int64_t timeout_seconds,
            const CallContext& call)
      : manager_(*manager),
        id_(std::move(id)),
        timeout_seconds_(timeout_seconds),
        call_(call) {}
  ~StopSteps() override { Leave(); }

  absl::StatusOr<std::optional<Pause>> Next() override {
    if (container_ == nullptr) {
      ASSIGN_OR_RETURN(const bool stops, Begin());
      if (!stops) return std::nullopt;
    }
    if (in_grace_) {
      ASSIGN_OR_RETURN(std::optional<Pause> grace, Grace());
      if (grace.has_value()) return grace;
      Leave();
    }
    return Kill();
  }

 private:
  // False when there is nothing to stop.
  absl::StatusOr<bool> Begin() {
    auto found = manager_.store_->FindContainer(id_);
    if (absl::IsNotFound(found.status())) return false;
    RETURN_IF_ERROR(found.status());
    auto visit = (*found)->Visit();
    // Others may work on it while it ends: the turn is for the signal alone.
    ASSIGN_OR_RETURN(const OperationLock::Guard guard, (*found)->Lock(call_));
    if ((*found)->gone() || !IsRunning(**found)) return false;
    container_ = *std::move(found);
    victim_ = {container_, /*ran=*/true};
    visit_.emplace(std::move(visit));
    if (timeout_seconds_ <= 0) return true;
    const int64_t grace =
        std::min(timeout_seconds_, kMaxGraceSeconds) * kSecond;
    const int64_t now = manager_.clock_->MonotonicNow();
    in_grace_ = true;
    if (!container_->JoinStop(now + grace)) return true;
    const absl::Status sent = manager_.runtime_->SignalContainer(
        container_->id(), container_->Get()->record.stop_signal());
    manager_.store_->Problem(absl::StrCat("stop signal to container ", id_),
                             sent);
    // A process that got no signal need not be waited for.
    if (!sent.ok()) container_->HastenStop(now);
    return true;
  }

  // None when the container has ended or its grace is over.
  absl::StatusOr<std::optional<Pause>> Grace() {
    const uint64_t seen = container_->version();
    const int64_t kill_at = container_->kill_at();
    const int64_t left = kill_at - manager_.clock_->MonotonicNow();
    if (!IsRunning(*container_) || left <= 0) return std::nullopt;
    RETURN_IF_ERROR(call_.deadline.Check());
    return PauseFor(left, seen);
  }

  // SIGKILL, once a second, until it has ended. As KillAndWait, but the wait is
  // a pause.
  absl::StatusOr<std::optional<Pause>> Kill() {
    const auto now = [this] { return manager_.clock_->MonotonicNow(); };
    if (give_up_ == 0) give_up_ = now() + kKillPatience;
    for (;;) {
      const uint64_t seen = container_->version();
      const int64_t left = std::min(next_shot_, give_up_) - now();
      if (left > 0 && IsRunning(*container_) && call_.deadline.Check().ok()) {
        return PauseFor(left, seen);
      }
      next_shot_ = now() + kKillAgain;
      ASSIGN_OR_RETURN(const ContainerManager::Shot shot,
                       manager_.Shoot(&victim_, call_));
      if (shot == ContainerManager::Shot::kEnded) return std::nullopt;
      if (shot == ContainerManager::Shot::kLeftovers) {
        RETURN_IF_ERROR(manager_.AwaitLeftovers(*container_, give_up_, call_));
        return std::nullopt;
      }
      RETURN_IF_ERROR(call_.deadline.Check());
      if (now() >= give_up_) return DoesNotDie();
    }
  }

  // Or until the container is not as it was seen.
  Pause PauseFor(int64_t left_ns, uint64_t seen) const {
    // Of the clock of the system, which the manager's need not be.
    const base::Deadline over =
        call_.deadline.Within(absl::Nanoseconds(left_ns));
    Pause pause;
    pause.until_ns = over.monotonic_ns();
    pause.watch = ChangesOf(*container_, seen);
    return pause;
  }

  void Leave() {
    if (std::exchange(in_grace_, false)) container_->LeaveStop();
  }

  ContainerManager& manager_;
  const std::string id_;
  const int64_t timeout_seconds_;
  const CallContext call_;
  ContainerPtr container_;
  // The reconcile loop keeps off; goes before the container.
  std::optional<OperationLock::Visit> visit_;
  bool in_grace_ = false;  // it has joined those who wait
  ContainerManager::Victim victim_;
  // Of the manager's clock; 0: not yet.
  int64_t give_up_ = 0;
  int64_t next_shot_ = 0;
};

std::unique_ptr<Steps> ContainerManager::BeginStop(std::string id,
                                                   int64_t timeout_seconds,
                                                   const CallContext& call) {
  return std::make_unique<StopSteps>(this, std::move(id), timeout_seconds,
                                     call);
}

absl::Status ContainerManager::Stop(const std::string& id,
                                    int64_t timeout_seconds,
                                    const CallContext& call) {
  StopSteps steps(this, id, timeout_seconds, call);
  return RunSteps(&steps, call.deadline);
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
    base::Update(&result, AwaitLeftovers(*container, give_up, call));
  }
  return result;
}

absl::Status ContainerManager::AwaitLeftovers(const Container& container,
                                              int64_t give_up,
                                              const CallContext& call) {
  const int64_t left = give_up - clock_->MonotonicNow();
  const absl::Status dead = runtime_->AwaitContainerDeath(
      container.id(), call.deadline.Within(absl::Nanoseconds(left)));
  return absl::IsDeadlineExceeded(dead) ? DoesNotDie() : dead;
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
  // Kept until the visits are over.
  const std::vector<ContainerPtr> containers = store_->ContainersOf(sandbox_id);
  std::vector<OperationLock::Visit> visits;
  std::vector<Victim> victims;
  for (const ContainerPtr& container : containers) {
    visits.push_back(container->Visit());
    victims.push_back({container});
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
