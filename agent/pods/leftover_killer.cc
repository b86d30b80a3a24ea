#include "agent/pods/leftover_killer.h"

#include <absl/time/time.h>

#include <utility>

#include "runtime/base/deadline.h"

namespace warren::agent {
namespace {

// Until the next try at a container whose turn did not come: a long operation
// on one must not hold up the others.
constexpr absl::Duration kRetry = absl::Milliseconds(10);

}  // namespace

LeftoverKiller::LeftoverKiller(runtime::Runtime* runtime, const Store* store)
    : runtime_(runtime), store_(store), thread_([this] { Work(); }) {}

LeftoverKiller::~LeftoverKiller() {
  {
    const base::MutexLock lock(&mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void LeftoverKiller::Add(ContainerPtr container) {
  {
    const base::MutexLock lock(&mutex_);
    queue_.push_back(std::move(container));
  }
  changed_.NotifyAll();
}

ContainerPtr LeftoverKiller::Next(size_t* passed_over) {
  const base::MutexLock lock(&mutex_);
  while (!stop_) {
    if (queue_.empty()) {
      *passed_over = 0;
      changed_.Wait(&mutex_, base::Deadline::Never());
    } else if (*passed_over >= queue_.size()) {
      *passed_over = 0;
      changed_.Wait(&mutex_, base::Deadline::After(kRetry));
    } else {
      ContainerPtr container = std::move(queue_.front());
      queue_.pop_front();
      return container;
    }
  }
  return nullptr;
}

void LeftoverKiller::Work() {
  size_t passed_over = 0;  // in a row
  while (ContainerPtr container = Next(&passed_over)) {
    OperationLock::Guard turn = container->TryLock();
    if (!turn.held()) {
      ++passed_over;
      const base::MutexLock lock(&mutex_);
      queue_.push_back(std::move(container));
      continue;
    }
    passed_over = 0;
    if (container->gone()) continue;
    store_->Problem("kill what container " + container->id() + " left",
                    runtime_->KillContainer(container->id()));
  }
}

}  // namespace warren::agent
