#include "runtime/launch/exit_watcher.h"

#include <absl/strings/str_cat.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr uint64_t kStopKey = 0;
constexpr int kErrorPauseMs = 100;

absl::Status Add(int epoll, int fd, uint64_t key, uint32_t events) {
  epoll_event event = {};
  event.events = events;
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
  // Stays readable, so that every thread sees it.
  RETURN_IF_ERROR(
      Add(watcher->epoll_.get(), watcher->stop_.get(), kStopKey, EPOLLIN));
  for (int i = 0; i < kThreads; ++i) {
    try {
      watcher->threads_.emplace_back([w = watcher.get()] { w->Run(); });
    } catch (const std::system_error& e) {
      return absl::ResourceExhaustedError(
          absl::StrCat("thread that watches processes: ", e.what()));
    }
  }
  return watcher;
}

ExitWatcher::~ExitWatcher() {
  const uint64_t one = 1;
  // Cannot fail: the counter is far from its maximum.
  const ssize_t ignored = write(stop_.get(), &one, sizeof(one));
  static_cast<void>(ignored);
  for (std::thread& thread : threads_) thread.join();
}

absl::Status ExitWatcher::Watch(base::UniqueFd pidfd, Callback callback) {
  absl::MutexLock lock(&mutex_);
  const uint64_t key = next_key_++;
  // One thread is told of an end, once.
  RETURN_IF_ERROR(Add(epoll_.get(), pidfd.get(), key, EPOLLIN | EPOLLONESHOT));
  entries_.emplace(key, Entry{std::move(pidfd), std::move(callback)});
  return absl::OkStatus();
}

void ExitWatcher::Run() {
  for (;;) {
    epoll_event event = {};
    const int n = epoll_wait(epoll_.get(), &event, 1, -1);
    if (n != 1) {
      // Nothing but EINTR can happen to descriptors of our own; whatever it
      // is, the ends of containers go on being watched, and no loop spins.
      if (n < 0 && errno != EINTR) poll(nullptr, 0, kErrorPauseMs);
      continue;
    }
    if (event.data.u64 == kStopKey) return;
    Entry entry;
    {
      absl::MutexLock lock(&mutex_);
      auto node = entries_.extract(event.data.u64);
      if (node.empty()) continue;
      entry = std::move(node.mapped());
    }
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.pidfd.get(), nullptr);
    entry.callback(std::move(entry.pidfd));
  }
}

}  // namespace warren::runtime
