#include "agent/pods/leftover_killer.h"

#include <chrono>
#include <utility>

namespace warren::agent {
namespace {

// Until the next try at a container whose turn did not come: a long operation
// on one must not hold up the others.
constexpr std::chrono::milliseconds kRetry(10);

}  // namespace

LeftoverKiller::LeftoverKiller(runtime::Runtime* runtime, const Store* store)
    : runtime_(runtime), store_(store), thread_([this] { Work(); }) {}

LeftoverKiller::~LeftoverKiller() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LeftoverKiller::Add(ContainerPtr container) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(container));
  }
  changed_.notify_all();
}

void LeftoverKiller::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  size_t passed_over = 0;  // in a row
  while (!stop_) {
    if (queue_.empty()) {
      changed_.wait(lock);
      continue;
    }
    if (passed_over >= queue_.size()) {
      changed_.wait_for(lock, kRetry);
      passed_over = 0;
      continue;
    }
    ContainerPtr container = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    OperationLock::Guard turn = container->TryLock();
    if (turn.held() && !container->gone()) {
      store_->Problem(
          "kill what container " + container->id() + " left",
          runtime_->KillContainer(container->id(), base::Deadline::Never()));
    }
    const bool done = turn.held();
    turn.Reset();
    lock.lock();
    if (done) {
      passed_over = 0;
    } else {
      ++passed_over;
      queue_.push_back(std::move(container));
    }
  }
}

}  // namespace warren::agent
