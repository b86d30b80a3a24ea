#include "agent/pods/reconcile_loop.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "runtime/base/deadline.h"

namespace warren::agent {

ReconcileLoop::ReconcileLoop(Reconciler* reconciler, const Store* store,
                             std::vector<std::string> unknown)
    : reconciler_(reconciler), store_(store), unknown_(std::move(unknown)) {
  // Most starts leave nothing open.
  if (reconciler_->AnyUnknown()) thread_ = std::thread([this] { Work(); });
}

ReconcileLoop::~ReconcileLoop() {
  {
    const base::MutexLock lock(&mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void ReconcileLoop::Hurry() {
  {
    const base::MutexLock lock(&mutex_);
    hurry_ = true;
  }
  changed_.NotifyAll();
}

std::vector<std::string> ReconcileLoop::unknown() const {
  const base::MutexLock lock(&mutex_);
  return unknown_;
}

bool ReconcileLoop::Pause(absl::Duration pause) {
  const base::Deadline due = base::Deadline::After(pause);
  const base::MutexLock lock(&mutex_);
  while (!stop_ && !hurry_ && due.Remaining() > absl::ZeroDuration()) {
    changed_.Wait(&mutex_, due);
  }
  hurry_ = false;
  return !stop_;
}

void ReconcileLoop::Work() {
  absl::Duration pause = kFirstPause;
  while (reconciler_->AnyUnknown() && Pause(pause)) {
    ReconcileReport report = reconciler_->Retry();
    for (const std::string& problem : report.problems) {
      store_->Problem("reconcile", absl::UnknownError(problem));
    }
    const base::MutexLock lock(&mutex_);
    unknown_ = std::move(report.unknown);
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace warren::agent
