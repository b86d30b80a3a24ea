#include "agent/pods/reconcile_loop.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "runtime/base/clock.h"

namespace warren::agent {
namespace {

// `first`, doubled with every try up to `longest`.
absl::Duration PauseAfter(int tries, absl::Duration first,
                          absl::Duration longest) {
  constexpr int kEnough = 20;  // doublings; keeps the product in range
  return std::min(first * (1 << std::min(tries - 1, kEnough)), longest);
}

}  // namespace

ReconcileLoop::ReconcileLoop(Reconciler* reconciler, const Store* store,
                             ReconcileTrigger* trigger, NoteSink notes)
    : reconciler_(reconciler),
      store_(store),
      trigger_(trigger),
      notes_(std::move(notes)) {
  queue_.Add({ReconcileKey::Kind::kScan});
  trigger_->Set([this](const ReconcileKey& key) { queue_.Add(key); });
  for (int i = 0; i < kWorkers; ++i) threads_.emplace_back([this] { Work(); });
}

ReconcileLoop::~ReconcileLoop() {
  trigger_->Set({});
  queue_.Close();
  reconciler_->Cancel();
  for (std::thread& thread : threads_) thread.join();
}

void ReconcileLoop::Now() {
  queue_.AddAll();
  queue_.Add({ReconcileKey::Kind::kScan});
}

std::vector<std::string> ReconcileLoop::unknown() const {
  return reconciler_->Unknown();
}

std::vector<std::string> ReconcileLoop::problems() const {
  const base::MutexLock lock(&mutex_);
  std::vector<std::string> sentences;
  for (const auto& entry : open_) {
    if (entry.second.kind == ReconcileOutcome::Kind::kFailed) {
      sentences.push_back(entry.second.why);
    }
  }
  return sentences;
}

void ReconcileLoop::Work() {
  while (const std::optional<ReconcileKey> key = queue_.Next()) {
    const int64_t begin = base::SystemClock().MonotonicNow();
    ReconcileReport report;
    const ReconcileOutcome outcome = reconciler_->Settle(*key, &report);
    const std::optional<absl::Duration> again = Book(*key, outcome);
    Note(report);
    for (const ReconcileKey& next : outcome.next) queue_.Add(next);
    queue_.Done(*key, again,
                absl::Nanoseconds(base::SystemClock().MonotonicNow() - begin));
  }
}

std::optional<absl::Duration> ReconcileLoop::Book(
    const ReconcileKey& key, const ReconcileOutcome& outcome) {
  Open before;
  int tries = 1;
  {
    const base::MutexLock lock(&mutex_);
    if (const auto at = open_.find(key); at != open_.end()) before = at->second;
    if (before.kind == outcome.kind) tries = before.tries + 1;
    if (outcome.kind == ReconcileOutcome::Kind::kDone) {
      open_.erase(key);
    } else if (outcome.kind == ReconcileOutcome::Kind::kBusy &&
               before.kind == ReconcileOutcome::Kind::kFailed) {
      // The call that works on it may mend it; until then it is as it was.
      tries = before.tries;
    } else {
      open_[key] = {outcome.kind, outcome.why, tries};
    }
  }
  // Told once for each change.
  if (outcome.kind == ReconcileOutcome::Kind::kFailed &&
      outcome.why != before.why) {
    store_->Problem("reconcile", absl::UnknownError(outcome.why));
  }
  if (outcome.kind == ReconcileOutcome::Kind::kDone &&
      before.kind == ReconcileOutcome::Kind::kFailed && notes_) {
    notes_(absl::StrCat("reconcile: no longer: ", before.why));
  }
  switch (outcome.kind) {
    case ReconcileOutcome::Kind::kDone:
      if (key.kind == ReconcileKey::Kind::kScan) return kPeriod;
      return outcome.again;
    case ReconcileOutcome::Kind::kBusy:
      return PauseAfter(tries, kFirstTurn, kLongestTurn);
    default:
      return PauseAfter(tries, kFirstPause, kLongestPause);
  }
}

void ReconcileLoop::Note(const ReconcileReport& report) const {
  if (!notes_) return;
  if (report.orphans_removed > 0) {
    notes_(absl::StrCat("reconcile: ", report.orphans_removed,
                        " orphans removed"));
  }
  if (report.undone > 0) {
    notes_(absl::StrCat("reconcile: ", report.undone,
                        " half-made, half-stopped or half-removed objects "
                        "undone"));
  }
  if (report.sandboxes_adopted + report.containers_adopted > 0) {
    notes_(absl::StrCat("reconcile: ", report.sandboxes_adopted, " pods and ",
                        report.containers_adopted,
                        " containers seen that were unknown"));
  }
  for (const std::string& record : report.quarantined) {
    notes_(absl::StrCat("put aside as unreadable: ", record));
  }
}

}  // namespace warren::agent
