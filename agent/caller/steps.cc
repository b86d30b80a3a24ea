#include "agent/caller/steps.h"

#include <absl/time/time.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <stop_token>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace warren::agent {
namespace {

absl::Status Wait(Pause pause, const base::Deadline& deadline) {
  const base::UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return base::ErrnoError(errno, "eventfd");
  const auto wake = [&event] { eventfd_write(event.get(), 1); };
  std::function<void()> unwatch;
  if (pause.watch) unwatch = pause.watch(wake);
  {
    const std::stop_callback stopped(deadline.stop(), wake);
    pause.fds.push_back({event.get(), POLLIN, 0});
    const base::Deadline until =
        base::Deadline::At(pause.until_ns).Within(deadline.Slice());
    poll(pause.fds.data(), pause.fds.size(), until.PollMilliseconds());
  }
  if (unwatch) unwatch();
  return absl::OkStatus();
}

}  // namespace

absl::Status RunSteps(Steps* steps, const base::Deadline& deadline) {
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<Pause> pause, steps->Next());
    if (!pause.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(Wait(*std::move(pause), deadline));
  }
}

}  // namespace warren::agent
