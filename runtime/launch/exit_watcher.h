#ifndef WARREN_RUNTIME_LAUNCH_EXIT_WATCHER_H_
#define WARREN_RUNTIME_LAUNCH_EXIT_WATCHER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// One thread that waits for any number of processes. Thread-safe.
class ExitWatcher {
 public:
  // Gets the pidfd back, in case the process is a child to be reaped.
  using Callback = std::function<void(base::UniqueFd pidfd)>;

  static absl::StatusOr<std::unique_ptr<ExitWatcher>> Start();
  // Forgets whatever has not ended yet; a callback that runs is waited for.
  ~ExitWatcher();
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  // Calls back once, on the watcher's thread, when the process behind `pidfd`
  // has terminated, also if it has already.
  absl::Status Watch(base::UniqueFd pidfd, Callback callback);

 private:
  struct Entry {
    base::UniqueFd pidfd;
    Callback callback;
  };
  ExitWatcher() = default;
  void Run();

  base::UniqueFd epoll_;
  base::UniqueFd stop_;  // eventfd
  absl::Mutex mutex_;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_key_ ABSL_GUARDED_BY(mutex_) = 1;
  std::thread thread_;
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_EXIT_WATCHER_H_
