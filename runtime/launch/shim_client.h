#ifndef WARREN_RUNTIME_LAUNCH_SHIM_CLIENT_H_
#define WARREN_RUNTIME_LAUNCH_SHIM_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "warren/shim/v1/shim.pb.h"

// The agent's side of warren/shim/v1/shim.proto: start a shim with a launch
// request and descriptors, talk to one that runs, read what one left.
//
// Errors of a launch read "<what>: <step> <detail>: <errno text>", for example
// "start container: pivot_root: Invalid argument" or, when the program itself
// cannot be run, `start container: exec "/bin/nope": No such file or
// directory`. They carry errno (base::GetErrno) and the step (FailedStep).
// After a failed launch nothing of it is left: no process, no pin, no socket.
namespace warren::runtime {

// The step of the shim or init that failed, "" when `status` is OK or did not
// come from there. "execve" = the program could not be run (ENOENT: there is
// no such file in the container, EACCES: it is not executable).
std::string FailedStep(const absl::Status& status);

// What a launch started. `process` is the first process of the container or
// exec session, or the pod init of a pod (pid 0 when none was asked for); host
// numbers.
struct Launched {
  base::ProcessId process;
  int64_t started_at_ns = 0;  // CLOCK_REALTIME
  // The shim itself, a child of the caller who must base::Reap() it once its
  // pidfd is readable. Invalid for sandboxes (that shim has left and is
  // reaped).
  base::Child shim;
};

// An exec session. Closing (destroying) it before the end kills the program
// and all it forked. One thread at a time waits; Kill, Signal and Resize may
// come from any thread, also while one waits.
class ExecSession {
 public:
  // `terminal`: the master of its terminal, if it has one.
  ExecSession(Launched launched, base::UniqueFd socket,
              base::UniqueFd terminal);
  ExecSession(ExecSession&&) = default;
  ExecSession& operator=(ExecSession&& other) noexcept {
    std::swap(launched_, other.launched_);
    std::swap(socket_, other.socket_);
    std::swap(terminal_, other.terminal_);
    std::swap(exited_, other.exited_);
    std::swap(end_before_, other.end_before_);
    return *this;
  }
  // Closes the socket, which makes the shim kill what is left, and reaps the
  // shim. Waits for it until kEndPatience after the first Kill(), or from now
  // on; one that takes longer is reaped later (late_reaper.h).
  ~ExecSession();

  static constexpr absl::Duration kEndPatience = absl::Seconds(1);

  const Launched& launched() const { return launched_; }

  // Readable when Wait() will not block; for poll(2).
  int event_fd() const { return socket_.get(); }

  // The master of its terminal, once; invalid without one.
  base::UniqueFd TakeTerminal() { return std::move(terminal_); }

  // How the program ended. kDeadlineExceeded or kCancelled: still running. Once
  // it has ended, the same answer again and again.
  absl::StatusOr<shim::v1::Exited> Wait(const base::Deadline& deadline);

  // SIGKILL to the program and all it forked; Wait() then returns after the
  // last of them is gone.
  absl::Status Kill();
  // A signal to the program only; OK when it has ended.
  absl::Status Signal(int signal);
  // Of its terminal; the shim ignores it where there is none.
  absl::Status Resize(uint32_t rows, uint32_t columns);

 private:
  // Set by the first call, kEndPatience from then on.
  base::Deadline EndDeadline();
  // OK when the shim has left: the program has ended by itself.
  absl::Status Send(const shim::v1::Command& command);

  Launched launched_;
  base::UniqueFd socket_;
  base::UniqueFd terminal_;
  std::optional<shim::v1::Exited> exited_;
  // CLOCK_MONOTONIC, 0 = not asked to end yet. On the heap: an ExecSession
  // moves, and Kill() comes from any thread.
  std::unique_ptr<std::atomic<int64_t>> end_before_ =
      std::make_unique<std::atomic<int64_t>>(0);
};

// Starts shims from one sealed copy of the program (EXE-1). Thread-safe once
// it is set up.
class ShimLauncher {
 public:
  // How a program is started: base::Spawn(), or one that knows a place for it.
  using SpawnFunction =
      std::function<absl::StatusOr<base::Child>(const base::SpawnOptions&)>;

  // Reads the program at `path` into a sealed memfd, so that an upgrade on
  // disk cannot mix versions and a container cannot overwrite it.
  static absl::StatusOr<ShimLauncher> Open(const std::string& path);
  // `sealed_program`: what base::SealedMemfd(…, executable) made.
  explicit ShimLauncher(base::UniqueFd sealed_program)
      : program_(std::move(sealed_program)) {}
  // Of all launches from now on (ShimPlace). Not while one is at work.
  void SetSpawn(SpawnFunction spawn) { spawn_ = std::move(spawn); }

  // Each sends `request` and the borrowed `fds` (request fields name them by
  // place, counted from 1) and waits for the answer, until `deadline` and at
  // most kLaunchTimeout: then kDeadlineExceeded or kCancelled, and the shim has
  // been made to undo what it did (ten seconds more at most; an exec session's,
  // which may be frozen with its container, ExecSession::kEndPatience).
  //
  // Returns when the namespaces are made and pinned and the shim has left.
  absl::StatusOr<Launched> LaunchSandbox(
      const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
      const base::Deadline& deadline = base::Deadline::Never()) const;
  // Returns after execve of the program; the shim stays.
  absl::StatusOr<Launched> LaunchContainer(
      const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
      const base::Deadline& deadline = base::Deadline::Never()) const;
  // Returns after execve; the program runs until it ends or the session is
  // destroyed.
  absl::StatusOr<ExecSession> LaunchExec(
      const shim::v1::LaunchRequest& request, const std::vector<int>& fds,
      const base::Deadline& deadline = base::Deadline::Never()) const;

  static constexpr absl::Duration kLaunchTimeout = absl::Seconds(60);

 private:
  base::UniqueFd program_;
  SpawnFunction spawn_ = base::Spawn;
};

// A connection to the shim of a running container. Thread-compatible; any
// number of connections may exist, but a shim keeps eight (shim.proto). Every
// call is a round trip until `deadline`, at most `kCommandTimeout`
// (kDeadlineExceeded); kUnavailable when the shim has left meanwhile: then its
// exit file tells how the container ended.
class ShimConnection {
 public:
  // Connects to shim.sock in the container's run directory. kUnavailable when
  // nobody listens there. Waits for a shim that accepts nothing until
  // `deadline`, at most base::kConnectTimeout (kDeadlineExceeded).
  static absl::StatusOr<ShimConnection> Connect(
      int run_dir_fd, const base::Deadline& deadline = base::Deadline::Never());

  // The shim, by SO_PEERCRED of this very connection; its start time is read
  // while the connection proves that it lives.
  const base::ProcessId& shim() const { return shim_; }

  // The container's first process and when it started.
  absl::StatusOr<shim::v1::Started> Query(
      const base::Deadline& deadline = base::Deadline::Never());
  // To the first process only. kUnavailable when it has ended.
  absl::Status Signal(int signal,
                      const base::Deadline& deadline = base::Deadline::Never());
  // Opens the log again: at the same directory descriptor, or at the new
  // `log_dir_fd` (borrowed, -1 = the same) when the directory was made anew.
  absl::Status ReopenLog(int log_dir_fd = -1, const base::Deadline& deadline =
                                                  base::Deadline::Never());

  static constexpr absl::Duration kCommandTimeout = absl::Seconds(10);

 private:
  ShimConnection(base::UniqueFd socket, base::ProcessId shim)
      : socket_(std::move(socket)), shim_(shim) {}
  absl::StatusOr<shim::v1::Reply> Call(const shim::v1::Command& command,
                                       const std::vector<int>& fds,
                                       const base::Deadline& deadline);

  base::UniqueFd socket_;
  base::ProcessId shim_;
};

// What the shim of an ended container left in its run directory: exit.pb, or
// the file that the shim could not give that name to. nullopt when there is
// neither, or the latter was not filled. An exit.pb that cannot be parsed is an
// error.
absl::StatusOr<std::optional<shim::v1::Exited>> ReadExitFile(int run_dir_fd);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_LAUNCH_SHIM_CLIENT_H_
