#ifndef WARREN_RUNTIME_BASE_WORKERS_H_
#define WARREN_RUNTIME_BASE_WORKERS_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <pthread.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/base/mutex.h"

namespace warren::base {

// Threads for tasks that wait in a queue: one is always there, others come with
// the tasks and go after kIdle. Tasks begin in the order in which they came.
// Thread-safe.
class Workers {
 public:
  // How long a thread waits for another task.
  static constexpr absl::Duration kIdle = absl::Seconds(5);

  // At most `most` threads, 1 or more. An error when there is no thread to be
  // had.
  static absl::StatusOr<std::unique_ptr<Workers>> Start(int most);
  // Runs what is queued, and waits for it. Nobody calls Run any more, but tasks
  // themselves.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Queues the task; never waits for one. Without another thread (EAGAIN), the
  // threads that are there run it later.
  void Run(std::function<void()> task);

  int threads() const;

 private:
  explicit Workers(int most) : most_(most) {}
  static void* Main(void* workers);
  void Work();
  // The next task. False when the thread has to leave, and to join `before`.
  bool Take(std::function<void()>* task, std::optional<pthread_t>* before)
      ABSL_LOCKS_EXCLUDED(mutex_);
  int AddThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int most_;
  mutable Mutex mutex_;
  Condition changed_;  // the queue, or ending_
  Condition gone_;     // a thread
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  int threads_ ABSL_GUARDED_BY(mutex_) = 0;
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  // The thread that left last; each joins the one before it.
  std::optional<pthread_t> left_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_WORKERS_H_
