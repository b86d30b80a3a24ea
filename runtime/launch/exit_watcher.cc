#include "runtime/launch/exit_watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr uint64_t kStopKey = 0;

absl::Status Add(int epoll, int fd, uint64_t key) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = key;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    return base::ErrnoError(errno, "watch a process");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExitWatcher>> ExitWatcher::Start() {
  std::unique_ptr<ExitWatcher> watcher(new ExitWatcher);
  watcher->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!watcher->epoll_.valid()) return base::ErrnoError(errno, "epoll");
  watcher->stop_.reset(eventfd(0, EFD_CLOEXEC));
  if (!watcher->stop_.valid()) return base::ErrnoError(errno, "eventfd");
  RETURN_IF_ERROR(Add(watcher->epoll_.get(), watcher->stop_.get(), kStopKey));
  watcher->thread_ = std::thread([w = watcher.get()] { w->Run(); });
  return watcher;
}

ExitWatcher::~ExitWatcher() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  // Cannot fail: the counter is far from its maximum.
  const ssize_t ignored = write(stop_.get(), &one, sizeof(one));
  static_cast<void>(ignored);
  thread_.join();
}

absl::Status ExitWatcher::Watch(base::UniqueFd pidfd, Callback callback) {
  absl::MutexLock lock(&mutex_);
  const uint64_t key = next_key_++;
  RETURN_IF_ERROR(Add(epoll_.get(), pidfd.get(), key));
  entries_.emplace(key, Entry{std::move(pidfd), std::move(callback)});
  return absl::OkStatus();
}

void ExitWatcher::Run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int n = epoll_wait(epoll_.get(), events.data(),
                             static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const uint64_t key = events[static_cast<size_t>(i)].data.u64;
      if (key == kStopKey) return;
      Entry entry;
      {
        absl::MutexLock lock(&mutex_);
        auto node = entries_.extract(key);
        if (node.empty()) continue;
        entry = std::move(node.mapped());
      }
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.pidfd.get(), nullptr);
      entry.callback(std::move(entry.pidfd));
    }
  }
}

}  // namespace warren::runtime
