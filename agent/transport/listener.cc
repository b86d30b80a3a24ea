#include "agent/transport/listener.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
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
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoError(errno, absl::StrCat("unlink ", path));
  }
  return absl::OkStatus();
}

// Is `uid` a member of the group, as its primary one or by the group file?
bool InGroup(uid_t uid, gid_t group) {
  std::vector<char> buffer(64 * 1024);
  passwd entry = {};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return false;
  }
  std::array<gid_t, 1024> groups;
  int count = groups.size();
  if (getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count) < 0) {
    return false;
  }
  return std::find(groups.begin(), groups.begin() + count, group) !=
         groups.begin() + count;
}

// Who called connect(2).
std::optional<ucred> Peer(int connection) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return std::nullopt;
  }
  return peer;
}

UniqueFd OpenSpare() {
  return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool OutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

Listener::Listener(const ListenerOptions& options, Sink sink)
    : options_(options), sink_(std::move(sink)) {}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(
    const ListenerOptions& options, Sink sink) {
  std::unique_ptr<Listener> listener(new Listener(options, std::move(sink)));
  RETURN_IF_ERROR_IN(listener->Open(), "open the API socket");
  listener->thread_ = std::thread([raw = listener.get()] { raw->Loop(); });
  return listener;
}

Listener::~Listener() { Stop(); }

absl::Status Listener::Open() {
  const std::string directory =
      options_.socket.substr(0, options_.socket.rfind('/'));
  RETURN_IF_ERROR(PrepareDirectory(directory, options_.group));
  ASSIGN_OR_RETURN(const sockaddr_un address, Address(options_.socket));
  RETURN_IF_ERROR(RemoveStale(options_.socket, address));
  ASSIGN_OR_RETURN(UniqueFd socket, UnixSocket());
  // The directory keeps everybody out until the mode is right.
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return ErrnoError(errno, absl::StrCat("bind ", options_.socket));
  }
  if (options_.group.has_value() &&
      chown(options_.socket.c_str(), -1, *options_.group) != 0) {
    return ErrnoError(errno, absl::StrCat("chown ", options_.socket));
  }
  if (chmod(options_.socket.c_str(), options_.group ? 0660 : 0600) != 0) {
    return ErrnoError(errno, absl::StrCat("chmod ", options_.socket));
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

void Listener::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  if (write(stop_event_.get(), &one, sizeof(one)) < 0) abort();
  thread_.join();
  // The name goes first: who still finds it gets an answer.
  unlink(options_.socket.c_str());
  socket_.reset();
}

void Listener::HangUp() {
  for (const auto& [number, connection] : open_) shutdown(number, SHUT_RD);
}

Listener::Counters Listener::counters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

void Listener::Loop() {
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
void Listener::Forget(int duplicate) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  if (open_.erase(duplicate) == 0) return;
  absl::MutexLock lock(&mutex_);
  --counters_.open;
}

// Takes the listening socket out of the set or puts it back.
void Listener::Pause(bool pause) {
  epoll_event event = {.events = pause ? 0u : EPOLLIN,
                       .data = {.fd = socket_.get()}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket_.get(), &event);
  paused_ = pause;
}

void Listener::Accept() {
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
// closes it, so that its peer learns. False when not even that worked.
bool Listener::AcceptWithSpare() {
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

bool Listener::Allowed(const ucred& peer) const {
  if (peer.uid == 0 || peer.uid == geteuid()) return true;
  return options_.group.has_value() &&
         (peer.gid == *options_.group || InGroup(peer.uid, *options_.group));
}

void Listener::Admit(UniqueFd connection) {
  const std::optional<ucred> peer = Peer(connection.get());
  if (!peer.has_value() || !Allowed(*peer)) {
    absl::MutexLock lock(&mutex_);
    ++counters_.refused_peer;
    return;
  }
  if (open_.size() >= static_cast<size_t>(options_.max_connections)) {
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
  sink_(std::move(connection), *peer);
}

// Watches a duplicate: the original is closed by somebody else, and a closed
// descriptor leaves an epoll set without an event.
bool Listener::Track(int connection) {
  absl::StatusOr<UniqueFd> copy = base::DupFd(connection);
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
