#include "runtime/launch/shim_client.h"

#include <absl/strings/cord.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/message_socket.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/launch/late_reaper.h"

namespace warren::runtime {
namespace {

using base::Annotate;
using base::ErrnoError;
using base::GetErrno;
using base::UniqueFd;

constexpr char kStepPayload[] = "warren/step";
constexpr size_t kMaxProgramBytes = 64 << 20;
// How long a shim may take to undo its work when told to.
constexpr absl::Duration kUndoTime = absl::Seconds(10);
// How long the death of a shim that was sent SIGKILL is waited for.
constexpr absl::Duration kDeathTime = absl::Seconds(1);

std::string Serialize(const google::protobuf::MessageLite& message) {
  std::string data;
  message.SerializeToString(&data);
  return data;
}

// One message; kDeadlineExceeded or kCancelled.
absl::StatusOr<base::Message> ReceiveBefore(int socket,
                                            const base::Deadline& deadline) {
  RETURN_IF_ERROR(base::AwaitFd(socket, POLLIN, deadline));
  return base::ReceiveMessage(socket);
}

// An error that means: the process at the other end has gone.
absl::Status Gone(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": the shim has left"));
}

// The request in a sealed memfd, then all descriptors, 253 at a time.
absl::Status SendLaunch(int socket, const shim::v1::LaunchRequest& request,
                        const std::vector<int>& fds) {
  ASSIGN_OR_RETURN(const UniqueFd memfd,
                   base::SealedMemfd("launch", Serialize(request), false));
  shim::v1::Launch launch;
  launch.set_fd_count(static_cast<uint32_t>(fds.size()));
  std::string data = Serialize(launch);
  // An empty message would look like end-of-file.
  if (data.empty()) data.assign("\x08\x00", 2);  // fd_count = 0, spelled out
  RETURN_IF_ERROR(base::SendMessage(socket, data, {memfd.get()}));
  for (size_t at = 0; at < fds.size();) {
    const size_t count =
        std::min<size_t>(fds.size() - at, base::kMaxFdsPerMessage);
    shim::v1::Fds part;
    part.set_count(static_cast<uint32_t>(count));
    const auto first = fds.begin() + static_cast<ptrdiff_t>(at);
    RETURN_IF_ERROR(base::SendMessage(
        socket, Serialize(part),
        std::vector<int>(first, first + static_cast<ptrdiff_t>(count))));
    at += count;
  }
  return absl::OkStatus();
}

absl::Status LaunchError(const shim::v1::Failed& failed) {
  const int err = failed.error() == 0 ? EIO : failed.error();
  std::string where = failed.step();
  if (failed.step() == "execve") {
    where = absl::StrCat("exec \"", failed.detail(), "\"");
  } else if (!failed.detail().empty()) {
    absl::StrAppend(&where, " ", failed.detail());
  }
  absl::Status status = ErrnoError(err, where);
  status.SetPayload(kStepPayload, absl::Cord(failed.step()));
  return status;
}

// The next message, and the descriptors that come with it, if asked for.
absl::StatusOr<shim::v1::Event> ReceiveEvent(
    int socket, const base::Deadline& deadline,
    std::vector<UniqueFd>* fds = nullptr) {
  ASSIGN_OR_RETURN(base::Message message, ReceiveBefore(socket, deadline));
  if (message.data.empty()) return Gone("launch");
  shim::v1::Event event;
  if (!event.ParseFromString(message.data)) {
    return ErrnoError(EBADMSG, "message of the shim");
  }
  if (event.has_failed()) return LaunchError(event.failed());
  if (fds != nullptr) *fds = std::move(message.fds);
  return event;
}

// Waits until `deadline` for a shim to end and reaps it, or has it reaped
// whenever it ends.
void ReapBefore(base::Child* shim, const base::Deadline& deadline) {
  if (base::AwaitFd(shim->pidfd.get(), POLLIN, deadline).ok()) {
    base::Reap(shim->pidfd.get()).IgnoreError();
    shim->pidfd.reset();
  } else {
    ReapLate(std::move(shim->pidfd));
  }
}

// Waits for a shim that has been told to leave; kills it when it does not.
void Leave(base::Child* shim) {
  if (!shim->pidfd.valid()) return;
  if (!base::AwaitFd(shim->pidfd.get(), POLLIN,
                     base::Deadline::After(kUndoTime))
           .ok()) {
    base::SendSignal(shim->pidfd.get(), SIGKILL).IgnoreError();
  }
  ReapBefore(shim, base::Deadline::After(kDeathTime));
}

struct Answer {
  Launched launched;
  UniqueFd socket;
  UniqueFd terminal;
};

// Spawns a shim and gives it the launch; on any error the shim is gone.
absl::StatusOr<Answer> Launch(int program,
                              const ShimLauncher::SpawnFunction& spawn,
                              const shim::v1::LaunchRequest& request,
                              const std::vector<int>& fds,
                              const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(auto ends, base::SocketPair());
  base::SpawnOptions options;
  options.path = absl::StrCat("/proc/self/fd/", program);
  options.args = {"warren-shim", request.id()};
  options.fds = {-1, -1, -1, ends.second.get()};
  ASSIGN_OR_RETURN(base::Child shim, spawn(options));
  ends.second.reset();
  const absl::Status sent = SendLaunch(ends.first.get(), request, fds);
  // A shim that gave up early has said why before it closed the socket.
  std::vector<UniqueFd> given;
  absl::StatusOr<shim::v1::Event> event =
      sent.ok() || GetErrno(sent) == EPIPE
          ? ReceiveEvent(ends.first.get(),
                         deadline.Within(ShimLauncher::kLaunchTimeout), &given)
          : sent;
  if (event.ok() && !event->has_started()) {
    event = ErrnoError(EBADMSG, "message of the shim");
  }
  if (!event.ok()) {
    ends.first.reset();  // the shim undoes what it did
    if (request.has_exec()) {
      // It ends once the program has; killed, it would end nothing any more.
      ReapBefore(&shim, base::Deadline::After(ExecSession::kEndPatience));
    } else {
      Leave(&shim);
    }
    return event.status();
  }
  Answer answer;
  const shim::v1::Started& started = event->started();
  answer.launched.process = {started.pid(), started.start_time()};
  answer.launched.started_at_ns = started.started_at_ns();
  answer.launched.shim = std::move(shim);
  answer.socket = std::move(ends.first);
  if (!given.empty()) answer.terminal = std::move(given[0]);
  return answer;
}

// Names of runtime/shim/exit_file.cc.
constexpr char kExitFile[] = "exit.pb";
constexpr char kReservedExitFile[] = ".exit.pb.new";

absl::StatusOr<std::optional<shim::v1::Exited>> ReadExitFileAt(
    int run_dir_fd, const char* name) {
  const auto data = base::ReadRegularFileAt(run_dir_fd, name, 64 * 1024);
  if (!data.ok()) {
    if (GetErrno(data.status()) == ENOENT) return std::nullopt;
    return data.status();
  }
  shim::v1::ExitFile file;
  if (!file.ParseFromString(*data) || file.version() != 1 || !file.has_exit()) {
    return ErrnoError(EBADMSG, name);
  }
  return std::make_optional(file.exit());
}

}  // namespace

std::string FailedStep(const absl::Status& status) {
  const auto payload = status.GetPayload(kStepPayload);
  return payload ? std::string(*payload) : "";
}

absl::StatusOr<ShimLauncher> ShimLauncher::Open(const std::string& path) {
  ASSIGN_OR_RETURN_IN(const std::string program,
                      base::ReadRegularFileAt(AT_FDCWD, path, kMaxProgramBytes),
                      "shim program");
  ASSIGN_OR_RETURN(UniqueFd sealed,
                   base::SealedMemfd("warren-shim", program, true));
  // Out of the way of the numbers that a shim's own descriptors get: the
  // program is opened by number after those were put in place.
  UniqueFd high(fcntl(sealed.get(), F_DUPFD_CLOEXEC, 64));
  if (!high.valid()) return ErrnoError(errno, "dup shim program");
  return ShimLauncher(std::move(high));
}

absl::StatusOr<Launched> ShimLauncher::LaunchSandbox(
    const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
    const base::Deadline& deadline) const {
  auto answer = Launch(program_.get(), spawn_, request, fds, deadline);
  if (!answer.ok()) return Annotate(answer.status(), "make namespaces");
  Leave(&answer->launched.shim);
  return std::move(answer->launched);
}

absl::StatusOr<Launched> ShimLauncher::LaunchContainer(
    const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
    const base::Deadline& deadline) const {
  auto answer = Launch(program_.get(), spawn_, request, fds, deadline);
  if (!answer.ok()) return Annotate(answer.status(), "start container");
  return std::move(answer->launched);
}

absl::StatusOr<ExecSession> ShimLauncher::LaunchExec(
    const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
    const base::Deadline& deadline) const {
  auto answer = Launch(program_.get(), spawn_, request, fds, deadline);
  if (!answer.ok()) return Annotate(answer.status(), "exec in container");
  return ExecSession(std::move(answer->launched), std::move(answer->socket),
                     std::move(answer->terminal));
}

ExecSession::ExecSession(Launched launched, UniqueFd socket, UniqueFd terminal)
    : launched_(std::move(launched)),
      socket_(std::move(socket)),
      terminal_(std::move(terminal)) {}

ExecSession::~ExecSession() {
  if (!launched_.shim.pidfd.valid()) return;  // moved from
  socket_.reset();
  ReapBefore(&launched_.shim, EndDeadline());
}

base::Deadline ExecSession::EndDeadline() {
  int64_t none = 0;
  const base::Deadline from_now = base::Deadline::After(kEndPatience);
  end_before_->compare_exchange_strong(none, from_now.monotonic_ns());
  return base::Deadline::At(end_before_->load());
}

absl::StatusOr<shim::v1::Exited> ExecSession::Wait(
    const base::Deadline& deadline) {
  while (!exited_) {
    ASSIGN_OR_RETURN(const shim::v1::Event event,
                     ReceiveEvent(socket_.get(), deadline));
    if (event.has_exited()) exited_ = event.exited();
  }
  return *exited_;
}

absl::Status ExecSession::Send(const shim::v1::Command& command) {
  const absl::Status sent =
      base::SendMessage(socket_.get(), Serialize(command));
  const int error = GetErrno(sent);
  return error == EPIPE || error == ECONNRESET ? absl::OkStatus() : sent;
}

absl::Status ExecSession::Kill() {
  shim::v1::Command command;
  command.mutable_kill();
  EndDeadline();
  return Send(command);
}

absl::Status ExecSession::Signal(int signal) {
  shim::v1::Command command;
  command.mutable_signal()->set_signal(signal);
  return Send(command);
}

absl::Status ExecSession::Resize(uint32_t rows, uint32_t columns) {
  shim::v1::Command command;
  command.mutable_resize()->set_rows(rows);
  command.mutable_resize()->set_columns(columns);
  return Send(command);
}

absl::StatusOr<ShimConnection> ShimConnection::Connect(
    int run_dir_fd, const base::Deadline& deadline) {
  auto socket =
      base::ConnectAt(run_dir_fd, "shim.sock",
                      deadline.Within(base::kConnectTimeout).Remaining());
  if (!socket.ok()) {
    const int err = GetErrno(socket.status());
    if (base::ProvesAbsence(err)) return Gone("connect");
    return socket.status();
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoError(errno, "process behind shim.sock");
  }
  auto start = base::StartTime(peer.pid);
  if (base::ProvesAbsence(start.status())) return Gone("connect");
  RETURN_IF_ERROR(start.status());
  return ShimConnection(*std::move(socket), {peer.pid, *start});
}

absl::StatusOr<shim::v1::Reply> ShimConnection::Call(
    const shim::v1::Command& command, const std::vector<int>& fds,
    const base::Deadline& deadline) {
  const absl::Status sent =
      base::SendMessage(socket_.get(), Serialize(command), fds);
  if (GetErrno(sent) == EPIPE || GetErrno(sent) == ECONNRESET) {
    return Gone("shim command");
  }
  RETURN_IF_ERROR(sent);
  ASSIGN_OR_RETURN(
      const base::Message message,
      ReceiveBefore(socket_.get(), deadline.Within(kCommandTimeout)));
  if (message.data.empty()) return Gone("shim command");
  shim::v1::Reply reply;
  if (!reply.ParseFromString(message.data)) {
    return ErrnoError(EBADMSG, "message of the shim");
  }
  return reply;
}

absl::StatusOr<shim::v1::Started> ShimConnection::Query(
    const base::Deadline& deadline) {
  shim::v1::Command command;
  command.mutable_query();
  ASSIGN_OR_RETURN(const shim::v1::Reply reply, Call(command, {}, deadline));
  if (reply.error() != 0) return ErrnoError(reply.error(), "query shim");
  return reply.process();
}

absl::Status ShimConnection::Signal(int signal,
                                    const base::Deadline& deadline) {
  shim::v1::Command command;
  command.mutable_signal()->set_signal(signal);
  ASSIGN_OR_RETURN(const shim::v1::Reply reply, Call(command, {}, deadline));
  if (reply.error() == 0) return absl::OkStatus();
  if (reply.error() == ESRCH) {
    return absl::UnavailableError("signal: the process has ended");
  }
  return ErrnoError(reply.error(), absl::StrCat("send signal ", signal));
}

absl::Status ShimConnection::ReopenLog(int log_dir_fd,
                                       const base::Deadline& deadline) {
  shim::v1::Command command;
  command.mutable_reopen_log();
  std::vector<int> fds;
  if (log_dir_fd >= 0) fds.push_back(log_dir_fd);
  ASSIGN_OR_RETURN(const shim::v1::Reply reply, Call(command, fds, deadline));
  if (reply.error() == 0) return absl::OkStatus();
  return ErrnoError(reply.error(), "reopen log");
}

absl::StatusOr<std::optional<shim::v1::Exited>> ReadExitFile(int run_dir_fd) {
  auto exited = ReadExitFileAt(run_dir_fd, kExitFile);
  if (!exited.ok() || exited->has_value()) return exited;
  // An empty one is all zeros, which is no message.
  exited = ReadExitFileAt(run_dir_fd, kReservedExitFile);
  if (GetErrno(exited.status()) == EBADMSG || base::IsDamage(exited.status())) {
    return std::nullopt;
  }
  if (!exited.ok() || exited->has_value()) return exited;
  // It got its name between the two looks.
  return ReadExitFileAt(run_dir_fd, kExitFile);
}

}  // namespace warren::runtime
