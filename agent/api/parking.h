#ifndef WARREN_AGENT_API_PARKING_H_
#define WARREN_AGENT_API_PARKING_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <pthread.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <utility>

#include "agent/caller/steps.h"
#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/base/workers.h"

namespace warren::agent {

// Where calls wait that have no thread: one thread for all of them sleeps until
// a descriptor is ready or a time has come; changes and cancellations come from
// those who make them. Nothing is polled. A call that waits costs about 1 KiB.
//
// Thread-safe; Park never waits.
class Parking {
 public:
  static absl::StatusOr<std::unique_ptr<Parking>> Start();
  // Nothing waits any more.
  ~Parking();
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;

  // Runs `resume` on a thread of `workers` once `pause` is over or `stop` is
  // requested; exactly once, maybe before Park has returned. `workers` outlives
  // that. Where the kernel refuses to watch a descriptor, the pause is over
  // after kRetry.
  void Park(Pause pause, std::stop_token stop, base::Workers* workers,
            std::function<void()> resume);
  static constexpr absl::Duration kRetry = absl::Milliseconds(25);

  // Calls that wait.
  int parked() const;

 private:
  struct Parked;
  using ParkedPtr = std::shared_ptr<Parked>;

  Parking(base::UniqueFd epoll, base::UniqueFd event)
      : epoll_(std::move(epoll)), event_(std::move(event)) {}
  static void* Main(void* parking);
  void Enter(const ParkedPtr& parked) ABSL_LOCKS_EXCLUDED(mutex_);
  // Its pause is over: from any thread, maybe with locks held that `unwatch`
  // takes.
  void Ready(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_);
  void Resume(const ParkedPtr& parked);
  void Wake();
  // The thread, and its parts.
  void Sleep();
  int MillisecondsLeft() const ABSL_LOCKS_EXCLUDED(mutex_);
  void ReadyWhatIsDue() ABSL_LOCKS_EXCLUDED(mutex_);

  const base::UniqueFd epoll_;
  const base::UniqueFd event_;  // wakes the thread
  mutable base::Mutex mutex_;
  std::map<uint64_t, ParkedPtr> parked_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<int64_t, uint64_t>> times_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  pthread_t thread_ = {};  // joined by the destructor
  bool has_thread_ = false;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_PARKING_H_
