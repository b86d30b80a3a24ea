#include "agent/transport/unix_listener.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using base::ErrnoError;
using base::UniqueFd;

constexpr int kBacklog = 1024;
// How long to leave the queue alone when not even the spare descriptor helps.
constexpr int kPauseMs = 100;

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path too long: ", path));
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

absl::StatusOr<UniqueFd> UnixSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError(errno, "socket");
  return fd;
}

// Only we may be able to change what is in the directory: who can replace the
// socket can play the daemon.
absl::Status PrepareDirectory(const std::string& directory,
                              std::optional<gid_t> group) {
  ASSIGN_OR_RETURN_IN(const UniqueFd made,
                      base::MakeDirs(AT_FDCWD, directory, 0700), directory);
  ASSIGN_OR_RETURN_IN(const UniqueFd dir,
                      base::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY),
                      directory);
  struct stat facts;
  if (fstat(dir.get(), &facts) != 0) return ErrnoError(errno, directory);
  if (facts.st_uid != geteuid() || (facts.st_mode & 0022) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory,
        ": must belong to the daemon's user and be writable by nobody "
        "else"));
  }
  if (group.has_value() && fchown(dir.get(), -1, *group) != 0) {
    return ErrnoError(errno, absl::StrCat("chown ", directory));
  }
  if (fchmod(dir.get(), group.has_value() ? 0750 : 0700) != 0) {
    return ErrnoError(errno, absl::StrCat("chmod ", directory));
  }
  return absl::OkStatus();
}

// Removes a socket that nobody listens on any more.
absl::Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat facts;
  if (lstat(path.c_str(), &facts) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoError(errno, path);
  }
  if (!S_ISSOCK(facts.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": exists and is not a socket"));
  }
  ASSIGN_OR_RETURN(const UniqueFd probe, UnixSocket());
  const int connected =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address));
  // EAGAIN: a listener with a full queue.
  if (connected == 0 || errno == EAGAIN) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": another program listens there"));
  }
  if (!base::ProvesAbsence(errno)) {
    return ErrnoError(errno, absl::StrCat("look who listens at ", path));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError(errno, absl::StrCat("unlink ", path));
  }
  return absl::OkStatus();
}

// Was the process that called connect(2) a member of the group then, as its
// primary group or as a supplementary one?
bool InGroup(int connection, const ucred& process, gid_t group) {
  if (process.gid == group) return true;
  std::vector<gid_t> groups(64);
  socklen_t size = groups.size() * sizeof(gid_t);
  int got =
      getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  if (got != 0 && errno == ERANGE) {  // `size` is how much there is
    groups.resize(size / sizeof(gid_t));
    got =
        getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  }
  if (got != 0) return false;
  groups.resize(size / sizeof(gid_t));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

// Who called connect(2).
std::optional<ucred> OtherEnd(int connection) {
  ucred process = {};
  socklen_t size = sizeof(process);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &process, &size) != 0) {
    return std::nullopt;
  }
  return process;
}

UniqueFd OpenSpare() {
  return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool OutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

UnixListener::UnixListener(const UnixEndpoint& endpoint, Sink sink)
    : endpoint_(endpoint), sink_(std::move(sink)) {}

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Start(
    const UnixEndpoint& endpoint, Sink sink) {
  std::unique_ptr<UnixListener> listener(
      new UnixListener(endpoint, std::move(sink)));
  RETURN_IF_ERROR_IN(listener->Open(), "open the API socket");
  listener->thread_ = std::thread([raw = listener.get()] { raw->Loop(); });
  return listener;
}

UnixListener::~UnixListener() { Stop(); }

absl::Status UnixListener::Open() {
  const std::string directory =
      endpoint_.socket.substr(0, endpoint_.socket.rfind('/'));
  RETURN_IF_ERROR(PrepareDirectory(directory, endpoint_.group));
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(endpoint_.socket));
  RETURN_IF_ERROR(RemoveStale(endpoint_.socket, address));
  ASSIGN_OR_RETURN(UniqueFd socket, UnixSocket());
  // The directory keeps everybody out until the mode is right.
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return ErrnoError(errno, absl::StrCat("bind ", endpoint_.socket));
  }
  if (endpoint_.group.has_value() &&
      chown(endpoint_.socket.c_str(), -1, *endpoint_.group) != 0) {
    return ErrnoError(errno, absl::StrCat("chown ", endpoint_.socket));
  }
  if (chmod(endpoint_.socket.c_str(), endpoint_.group ? 0660 : 0600) != 0) {
    return ErrnoError(errno, absl::StrCat("chmod ", endpoint_.socket));
  }
  spare_ = OpenSpare();
  stop_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!spare_.valid() || !stop_event_.valid() || !epoll_.valid()) {
    return ErrnoError(errno, "descriptors of the accept loop");
  }
  for (const int fd : {socket.get(), stop_event_.get()}) {
    epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return ErrnoError(errno, "epoll_ctl");
    }
  }
  if (listen(socket.get(), kBacklog) != 0) return ErrnoError(errno, "listen");
  socket_ = std::move(socket);
  return absl::OkStatus();
}

void UnixListener::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  if (write(stop_event_.get(), &one, sizeof(one)) < 0) abort();
  thread_.join();
  // The name goes first: who still finds it gets an answer.
  unlink(endpoint_.socket.c_str());
  socket_.reset();
}

void UnixListener::HangUp() {
  for (const auto& [number, connection] : open_) shutdown(number, SHUT_RD);
}

UnixListener::Counters UnixListener::counters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

void UnixListener::Loop() {
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(),
                                 paused_ ? kPauseMs : -1);
    if (paused_) Pause(false);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == stop_event_.get()) return;
      if (fd == socket_.get()) {
        Accept();
      } else {
        Forget(fd);
      }
    }
  }
}

// A connection was shut down. It leaves the set by hand: closing our duplicate
// does not do it while the other one is still open.
void UnixListener::Forget(int duplicate) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  if (open_.erase(duplicate) == 0) return;
  absl::MutexLock lock(&mutex_);
  --counters_.open;
}

// Takes the listening socket out of the set or puts it back.
void UnixListener::Pause(bool pause) {
  epoll_event event = {.events = pause ? 0u : EPOLLIN,
                       .data = {.fd = socket_.get()}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket_.get(), &event);
  paused_ = pause;
}

void UnixListener::Accept() {
  while (!paused_) {
    UniqueFd connection(
        accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.valid()) {
      Admit(std::move(connection));
    } else if (OutOfDescriptors(errno)) {
      if (!AcceptWithSpare()) Pause(true);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;  // EAGAIN: the queue is empty
    }
  }
}

// Takes one connection off the queue with the descriptor kept for this and
// closes it, so that its client learns. False when not even that worked.
bool UnixListener::AcceptWithSpare() {
  spare_.reset();
  UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const bool taken = connection.valid();
  connection.reset();
  spare_ = OpenSpare();
  if (taken) {
    absl::MutexLock lock(&mutex_);
    ++counters_.refused_fds;
  }
  return taken && spare_.valid();
}

// The caller at the other end of a connection; nullopt: it may not connect.
std::optional<Caller> UnixListener::Identify(int connection,
                                             const ucred& process) const {
  if (process.uid == 0 || process.uid == geteuid()) {
    return Caller::UnixUser(process.uid);
  }
  if (!endpoint_.group.has_value() ||
      !InGroup(connection, process, *endpoint_.group)) {
    return std::nullopt;
  }
  return Caller::UnixUser(process.uid, /*in_group=*/true);
}

void UnixListener::Admit(UniqueFd connection) {
  const std::optional<ucred> process = OtherEnd(connection.get());
  const std::optional<Caller> caller =
      process.has_value() ? Identify(connection.get(), *process) : std::nullopt;
  if (!caller.has_value()) {
    absl::MutexLock lock(&mutex_);
    ++counters_.refused_caller;
    return;
  }
  if (open_.size() >= static_cast<size_t>(endpoint_.max_connections)) {
    absl::MutexLock lock(&mutex_);
    ++counters_.refused_limit;
    return;
  }
  const bool tracked = Track(connection.get());
  {
    absl::MutexLock lock(&mutex_);
    if (!tracked) {
      ++counters_.refused_fds;
      return;
    }
    ++counters_.accepted;
    ++counters_.open;
  }
  sink_(std::move(connection), *caller, *process);
}

// Watches a duplicate: the original is closed by somebody else, and a closed
// descriptor leaves an epoll set without an event.
bool UnixListener::Track(int connection) {
  absl::StatusOr<UniqueFd> copy = base::DupFd(connection);
  // lint: allow absence: the connection is refused, and counted
  if (!copy.ok()) return false;
  // EPOLLHUP is always reported: both directions are shut down.
  epoll_event event = {.events = 0, .data = {.fd = copy->get()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, copy->get(), &event) != 0) {
    return false;
  }
  const int number = copy->get();
  open_.emplace(number, *std::move(copy));
  return true;
}

}  // namespace warren::agent
