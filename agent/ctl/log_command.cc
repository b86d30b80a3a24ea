// logs
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "agent/ctl/archive.h"
#include "agent/ctl/log_file.h"
#include "agent/ctl/name_match.h"
#include "agent/ctl/session.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

struct LogOptions {
  std::string container;
  bool follow = false;
  bool timestamps = false;
};

// How long an idle log is left alone before the container's state is asked
// for again; new lines are shown at once.
constexpr int kIdleMilliseconds = 1000;

void Show(Session& session, const LogPiece& piece) {
  const bool is_stdout = piece.stream == LogStream::kStdout;
  if (session.json) {
    const nlohmann::ordered_json line = {
        {"stream", is_stdout ? "stdout" : "stderr"}, {"text", piece.text}};
    // Output of programs need not be UTF-8.
    session.out() << line.dump(-1, ' ', false,
                               nlohmann::json::error_handler_t::replace)
                  << "\n";
  } else {
    (is_stdout ? session.out() : session.err()) << piece.text;
  }
}

absl::Status Copy(int fd, LogReader* reader, Session& session) {
  return CopyFd(fd, [&](absl::string_view data) {
    for (const LogPiece& piece : reader->Feed(data)) Show(session, piece);
    session.out().flush();
    return absl::OkStatus();
  });
}

absl::StatusOr<base::UniqueFd> OpenLog(const std::string& path) {
  ASSIGN_OR_RETURN_IN(base::UniqueFd fd, base::OpenAt(AT_FDCWD, path, O_RDONLY),
                      "open log");
  return fd;
}

// Another file has taken the path: the log was rotated.
bool Rotated(int fd, const std::string& path) {
  struct stat open_file = {};
  struct stat named_file = {};
  return ::fstat(fd, &open_file) == 0 &&
         ::stat(path.c_str(), &named_file) == 0 &&
         (open_file.st_ino != named_file.st_ino ||
          open_file.st_dev != named_file.st_dev);
}

absl::StatusOr<bool> IsRunning(Session& session, const std::string& id) {
  const auto status = session.client.ContainerStatus(id);
  if (absl::IsNotFound(status.status())) return false;
  RETURN_IF_ERROR(status.status());
  return status->status().state() == cri::CONTAINER_RUNNING;
}

// Shows what is added to the log until the container has ended. The state is
// asked before the last read, so that nothing is missed.
absl::Status Follow(Session& session, const std::string& id,
                    const std::string& path, base::UniqueFd fd,
                    LogReader* reader) {
  const base::UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch.valid()) return base::ErrnoError(errno, "inotify_init1");
  const std::string directory = path.substr(0, path.rfind('/'));
  if (::inotify_add_watch(watch.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
    return base::ErrnoError(errno, absl::StrCat("watch ", directory));
  }
  for (;;) {
    ASSIGN_OR_RETURN(const bool running, IsRunning(session, id));
    RETURN_IF_ERROR(Copy(fd.get(), reader, session));
    if (Rotated(fd.get(), path)) {
      RETURN_IF_ERROR(Copy(fd.get(), reader, session));
      ASSIGN_OR_RETURN(fd, OpenLog(path));
      continue;
    }
    if (!running) return absl::OkStatus();
    pollfd waiting = {watch.get(), POLLIN, 0};
    while (::poll(&waiting, 1, kIdleMilliseconds) > 0) {
      char events[4096];
      while (::read(watch.get(), events, sizeof(events)) > 0) {
      }
      RETURN_IF_ERROR(Copy(fd.get(), reader, session));
      if (Rotated(fd.get(), path)) break;
    }
  }
}

absl::StatusOr<int> ShowLog(Session& session, const LogOptions& options) {
  ASSIGN_OR_RETURN(const cri::Container container,
                   FindContainer(session.client, options.container));
  ASSIGN_OR_RETURN(const cri::ContainerStatusResponse status,
                   session.client.ContainerStatus(container.id()));
  const std::string& path = status.status().log_path();
  if (path.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", options.container, " keeps no log"));
  }
  LogReader reader(options.timestamps);
  ASSIGN_OR_RETURN(base::UniqueFd fd, OpenLog(path));
  if (options.follow) {
    RETURN_IF_ERROR(
        Follow(session, container.id(), path, std::move(fd), &reader));
  } else {
    RETURN_IF_ERROR(Copy(fd.get(), &reader, session));
  }
  return kExitOk;
}

}  // namespace

void AddLogCommand(CLI::App& app, Action* action) {
  CLI::App* logs = app.add_subcommand(
      "logs", "what a container has written, from the log file on this node");
  auto options = std::make_shared<LogOptions>();
  logs->add_option("CONTAINER", options->container, "POD/CONTAINER, name or id")
      ->required();
  logs->add_flag("-f,--follow", options->follow,
                 "go on until the container ends");
  logs->add_flag("-t,--timestamps", options->timestamps,
                 "the time of each line in front");
  logs->callback([action, options] {
    *action = [options](Session& session) {
      return ShowLog(session, *options);
    };
  });
}

}  // namespace warren::agent::ctl
