#include "runtime/machine/find_shim.h"

#include <absl/time/time.h>
#include <fcntl.h>

#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/launch/shim_client.h"

namespace warren::runtime {
namespace {

// A shim that has ended proves that; one that only hung up while it was asked
// is asked again by the caller's next try.
base::Look<LiveShim> AskShim(int run_dir_fd, const base::Deadline& deadline) {
  auto connection = ShimConnection::Connect(run_dir_fd, deadline);
  // Nobody listens: kUnavailable (ShimConnection).
  if (absl::IsUnavailable(connection.status())) return std::nullopt;
  RETURN_IF_ERROR(connection.status());
  ASSIGN_OR_RETURN(std::optional<base::UniqueFd> pidfd,
                   base::ToLook(base::OpenProcess(connection->shim())));
  if (!pidfd.has_value()) return std::nullopt;
  const auto process = connection->Query(deadline);
  if (!process.ok()) {
    ASSIGN_OR_RETURN(const bool ended,
                     base::WaitExit(pidfd->get(), absl::ZeroDuration()));
    if (ended) return std::nullopt;
    return base::Annotate(process.status(), "ask the container's shim");
  }
  LiveShim shim;
  shim.start.process = {process->pid(), process->start_time()};
  shim.start.shim = connection->shim();
  shim.start.started_at_ns = process->started_at_ns();
  shim.pidfd = *std::move(pidfd);
  return shim;
}

}  // namespace

base::Look<LiveShim> FindShim(int run_dir_fd, const StartFacts& start,
                              const base::Deadline& deadline) {
  if (start.shim.pid == 0) return AskShim(run_dir_fd, deadline);
  ASSIGN_OR_RETURN(std::optional<base::UniqueFd> pidfd,
                   base::ToLook(base::OpenProcess(start.shim)));
  if (!pidfd.has_value()) return std::nullopt;
  // A zombie has a number, too.
  ASSIGN_OR_RETURN(const bool ended,
                   base::WaitExit(pidfd->get(), absl::ZeroDuration()));
  if (ended) return std::nullopt;
  return LiveShim{start, *std::move(pidfd)};
}

absl::StatusOr<base::ProcessId> ShimBehindSocket(
    const std::string& run_dir, const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(
      const std::optional<base::UniqueFd> dir,
      base::ToLook(base::OpenAt(AT_FDCWD, run_dir, O_RDONLY | O_DIRECTORY)));
  if (!dir.has_value()) return base::ProcessId();
  const auto connection = ShimConnection::Connect(dir->get(), deadline);
  if (absl::IsUnavailable(connection.status())) return base::ProcessId();
  RETURN_IF_ERROR(connection.status());
  return connection->shim();
}

}  // namespace warren::runtime
