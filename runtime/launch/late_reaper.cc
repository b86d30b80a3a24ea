#include "runtime/launch/late_reaper.h"

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/process.h"

namespace warren::runtime {
namespace {

// Never destroyed: its thread may outlive main().
class LateReaper {
 public:
  void Add(base::UniqueFd pidfd) {
    absl::MutexLock lock(&mutex_);
    children_.push_back(std::move(pidfd));
    if (running_) {
      const uint64_t one = 1;
      const ssize_t ignored = write(more_.get(), &one, sizeof(one));
      static_cast<void>(ignored);
      return;
    }
    more_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    try {
      std::thread([this] { Run(); }).detach();
      running_ = true;
    } catch (const std::system_error&) {
      // The next one tries again, for this one too.
    }
  }

 private:
  void Run() {
    for (;;) {
      std::vector<pollfd> polled;
      {
        absl::MutexLock lock(&mutex_);
        polled.push_back({more_.get(), POLLIN, 0});
        if (children_.empty()) {
          more_.reset();
          running_ = false;
          return;
        }
        for (const base::UniqueFd& child : children_) {
          polled.push_back({child.get(), POLLIN, 0});
        }
      }
      poll(polled.data(), polled.size(), -1);
      uint64_t ignored = 0;
      if (polled[0].revents != 0 &&
          read(polled[0].fd, &ignored, sizeof(ignored)) < 0) {
        polled[0].revents = 0;
      }
      absl::MutexLock lock(&mutex_);
      // Those that were polled are the first; from the back, as it takes out.
      for (size_t i = polled.size() - 1; i > 0; --i) {
        if (polled[i].revents == 0) continue;
        base::Reap(polled[i].fd).IgnoreError();
        children_.erase(children_.begin() + static_cast<ptrdiff_t>(i - 1));
      }
    }
  }

  absl::Mutex mutex_;
  // Tells the thread of another child; there while it runs.
  base::UniqueFd more_ ABSL_GUARDED_BY(mutex_);
  std::vector<base::UniqueFd> children_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

void ReapLate(base::UniqueFd pidfd) {
  static LateReaper* const reaper = new LateReaper;
  reaper->Add(std::move(pidfd));
}

}  // namespace warren::runtime
