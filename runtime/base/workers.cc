#include "runtime/base/workers.h"

#include <utility>

#include "runtime/base/status.h"

namespace warren::base {

absl::StatusOr<std::unique_ptr<Workers>> Workers::Start(int most) {
  std::unique_ptr<Workers> workers(new Workers(most));
  int error = 0;
  {
    const MutexLock lock(&workers->mutex_);
    error = workers->AddThread();
  }
  if (error != 0) return ErrnoError(error, "start a thread for calls");
  return workers;
}

Workers::~Workers() {
  std::optional<pthread_t> last;
  {
    const MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
    while (threads_ > 0) gone_.Wait(&mutex_, Deadline::Never());
    last = std::exchange(left_, std::nullopt);
  }
  if (last.has_value()) pthread_join(*last, nullptr);
}

void Workers::Run(std::function<void()> task) {
  const MutexLock lock(&mutex_);
  queue_.push_back(std::move(task));
  // A thread that was woken for an earlier task counts as idle until it runs.
  if (static_cast<int>(queue_.size()) > idle_ && threads_ < most_ &&
      AddThread() == 0) {
    return;
  }
  changed_.NotifyOne();
}

int Workers::AddThread() {
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, &Workers::Main, this);
  if (error == 0) ++threads_;
  return error;
}

int Workers::threads() const {
  const MutexLock lock(&mutex_);
  return threads_;
}

void* Workers::Main(void* workers) {
  static_cast<Workers*>(workers)->Work();
  return nullptr;
}

void Workers::Work() {
  std::function<void()> task;
  std::optional<pthread_t> before;
  while (Take(&task, &before)) {
    task();
    task = nullptr;
  }
  if (before.has_value()) pthread_join(*before, nullptr);
}

bool Workers::Take(std::function<void()>* task,
                   std::optional<pthread_t>* before) {
  const Deadline idle = Deadline::After(kIdle);
  const MutexLock lock(&mutex_);
  ++idle_;
  while (queue_.empty() && !ending_ && (threads_ == 1 || idle.Check().ok())) {
    changed_.Wait(&mutex_, threads_ == 1 ? Deadline::Never() : idle);
  }
  --idle_;
  if (queue_.empty()) {
    *before = std::exchange(left_, pthread_self());
    --threads_;
    gone_.NotifyAll();
    return false;
  }
  *task = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

}  // namespace warren::base
