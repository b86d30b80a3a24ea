#include "agent/api/parking.h"

#include <absl/time/time.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr uint64_t kEvent = 0;  // the number of nobody who waits
constexpr int kEventsAtOnce = 64;

int64_t MonotonicNow() { return base::SystemClock().MonotonicNow(); }

}  // namespace

struct Parking::Parked {
  using StopCallback = std::stop_callback<std::function<void()>>;

  uint64_t id = 0;
  int64_t until_ns = INT64_MAX;
  std::vector<pollfd> fds;  // watched by epoll
  std::function<void()> unwatch;
  std::optional<StopCallback> stopped;
  base::Workers* workers = nullptr;
  std::function<void()> resume;
  // Guarded by the mutex of the Parking. What is ready before all of the above
  // is there is resumed by Park.
  bool complete = false;
  bool ready = false;
};

absl::StatusOr<std::unique_ptr<Parking>> Parking::Start() {
  base::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return base::ErrnoError(errno, "epoll_create1");
  base::UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return base::ErrnoError(errno, "eventfd");
  epoll_event wanted = {};
  wanted.events = EPOLLIN;
  wanted.data.u64 = kEvent;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &wanted) != 0) {
    return base::ErrnoError(errno, "epoll_ctl");
  }
  std::unique_ptr<Parking> parking(
      new Parking(std::move(epoll), std::move(event)));
  const int error =
      pthread_create(&parking->thread_, nullptr, &Parking::Main, parking.get());
  if (error != 0) return base::ErrnoError(error, "start a thread for waits");
  parking->has_thread_ = true;
  return parking;
}

void* Parking::Main(void* parking) {
  static_cast<Parking*>(parking)->Sleep();
  return nullptr;
}

Parking::~Parking() {
  if (!has_thread_) return;
  {
    const base::MutexLock lock(&mutex_);
    ending_ = true;
  }
  Wake();
  pthread_join(thread_, nullptr);
}

void Parking::Park(Pause pause, std::stop_token stop, base::Workers* workers,
                   std::function<void()> resume) {
  const auto parked = std::make_shared<Parked>();
  parked->until_ns = pause.until_ns;
  parked->fds = std::move(pause.fds);
  parked->workers = workers;
  parked->resume = std::move(resume);
  {
    const base::MutexLock lock(&mutex_);
    parked->id = ++last_;
    parked_.emplace(parked->id, parked);
  }
  for (pollfd& fd : parked->fds) {
    epoll_event wanted = {};
    wanted.events = static_cast<uint32_t>(fd.events) | EPOLLONESHOT;
    wanted.data.u64 = parked->id;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.fd, &wanted) == 0) continue;
    fd.fd = -1;
    parked->until_ns = std::min(
        parked->until_ns, MonotonicNow() + absl::ToInt64Nanoseconds(kRetry));
  }
  const auto ready = [this, id = parked->id] { Ready(id); };
  if (pause.watch) parked->unwatch = pause.watch(ready);
  parked->stopped.emplace(std::move(stop), ready);
  Enter(parked);
}

void Parking::Enter(const ParkedPtr& parked) {
  bool first = false;
  {
    const base::MutexLock lock(&mutex_);
    parked->complete = true;
    if (parked->ready) {
      parked_.erase(parked->id);
    } else if (parked->until_ns != INT64_MAX) {
      times_.emplace(parked->until_ns, parked->id);
      first = times_.begin()->second == parked->id;
    }
  }
  if (parked->ready) {
    Resume(parked);
  } else if (first) {
    Wake();
  }
}

void Parking::Ready(uint64_t id) {
  ParkedPtr parked;
  {
    const base::MutexLock lock(&mutex_);
    const auto found = parked_.find(id);
    if (found == parked_.end()) return;
    if (!found->second->complete) {
      found->second->ready = true;
      return;
    }
    parked = std::move(found->second);
    parked_.erase(found);
    times_.erase({parked->until_ns, id});
  }
  Resume(parked);
}

// What may wait for a callback that runs is left to the worker.
void Parking::Resume(const ParkedPtr& parked) {
  parked->workers->Run([epoll = epoll_.get(), parked] {
    parked->stopped.reset();
    if (parked->unwatch) parked->unwatch();
    for (const pollfd& fd : parked->fds) {
      if (fd.fd >= 0) epoll_ctl(epoll, EPOLL_CTL_DEL, fd.fd, nullptr);
    }
    parked->resume();
  });
}

void Parking::Wake() { eventfd_write(event_.get(), 1); }

int Parking::parked() const {
  const base::MutexLock lock(&mutex_);
  return static_cast<int>(parked_.size());
}

int Parking::MillisecondsLeft() const {
  const base::MutexLock lock(&mutex_);
  if (times_.empty()) return -1;
  return base::Deadline::At(times_.begin()->first).PollMilliseconds();
}

void Parking::ReadyWhatIsDue() {
  std::vector<uint64_t> due;
  {
    const base::MutexLock lock(&mutex_);
    const int64_t now = MonotonicNow();
    for (const auto& [until_ns, id] : times_) {
      if (until_ns > now) break;
      due.push_back(id);
    }
  }
  for (const uint64_t id : due) Ready(id);
}

void Parking::Sleep() {
  for (;;) {
    epoll_event events[kEventsAtOnce];
    const int count =
        epoll_wait(epoll_.get(), events, kEventsAtOnce, MillisecondsLeft());
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 != kEvent) {
        Ready(events[i].data.u64);
        continue;
      }
      eventfd_t woken = 0;
      eventfd_read(event_.get(), &woken);
    }
    ReadyWhatIsDue();
    const base::MutexLock lock(&mutex_);
    if (ending_) return;
  }
}

}  // namespace warren::agent
