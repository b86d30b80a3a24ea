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
#include <vector>

#include "runtime/base/unique_fd.h"

namespace warren::runtime {

// Waits for any number of processes and calls back on kThreads threads: a
// callback that hangs, say in a write to a stalled disk, takes one of them and
// holds up no other process' end. Thread-safe.
class ExitWatcher {
 public:
  static constexpr int kThreads = 4;

  // Gets the pidfd back, in case the process is a child to be reaped. May call
  // Watch(). Waits for no process: that is what Watch() is for.
  using Callback = std::function<void(base::UniqueFd pidfd)>;

  // kResourceExhausted or kInternal with errno: without descriptors or threads
  // nothing would be watched.
  static absl::StatusOr<std::unique_ptr<ExitWatcher>> Start();
  // Forgets whatever has not ended yet; callbacks that run are waited for.
  ~ExitWatcher();
  ExitWatcher(const ExitWatcher&) = delete;
  ExitWatcher& operator=(const ExitWatcher&) = delete;

  // Calls back once, on one of the watcher's threads, when the process behind
  // `pidfd` has terminated, also if it has already. On an error nothing is
  // watched.
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
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_EXIT_WATCHER_H_
