#include "runtime/shim/exec_session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "runtime/shim/monitor.h"
#include "runtime/shim/plan_builder.h"
#include "runtime/shim/signals.h"
#include "runtime/shim/spawn.h"
#include "runtime/shim/terminal.h"

namespace warren::shim {
namespace {

// Between two looks at who is left, after a kill; and when to give up on
// processes that the kernel cannot end (state D).
constexpr int kKillPollMs = 2;
constexpr int kStopRounds = 16;
constexpr int kKillRounds = 5000;

// Before the next try of what can only fail for want of memory.
constexpr unsigned kExecErrorPauseUs = 100'000;

class ExecSession {
 public:
  ExecSession(Program program, base::UniqueFd socket, base::UniqueFd signals,
              base::UniqueFd cgroup_procs)
      : program_(std::move(program)),
        socket_(std::move(socket)),
        signals_(std::move(signals)),
        cgroup_procs_(std::move(cgroup_procs)) {}

  void Run() {
    while (!ended_ && !killing_) Turn();
    if (killing_) KillAll();
    v1::Event event;
    v1::Exited* exited = event.mutable_exited();
    DescribeExit(wait_status_, exited);
    exited->set_finished_at_ns(finished_at_ns_);
    SendPacket(socket_.get(), event);
  }

 private:
  void Turn() {
    pollfd p[2] = {{signals_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    if (poll(p, 2, -1) < 0) {
      if (errno != EINTR) usleep(kExecErrorPauseUs);
      return;
    }
    if (p[0].revents != 0) Reap();
    if (p[1].revents != 0) Serve();
  }

  void Reap() {
    char ignored[1024];
    while (read(signals_.get(), ignored, sizeof(ignored)) > 0) {
    }
    for (;;) {
      int status;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid <= 0) return;
      if (pid != program_.pid) continue;
      ended_ = true;
      wait_status_ = status;
      finished_at_ns_ = RealNow();
    }
  }

  void Serve() {
    char buffer[256];
    std::vector<base::UniqueFd> fds;
    const long n = ReceivePacket(socket_.get(), buffer, sizeof(buffer), &fds);
    v1::Command command;
    if (n <= 0 || !command.ParseFromArray(buffer, static_cast<int>(n)) ||
        command.has_kill()) {
      killing_ = true;
    } else if (command.has_signal()) {
      syscall(SYS_pidfd_send_signal, program_.pidfd.get(),
              command.signal().signal(), nullptr, 0);
    } else if (command.has_resize()) {
      Complain("resize", ResizeTerminal(program_.stdio[init::kTtyMaster].get(),
                                        command.resize()));
    } else {
      Complain("command", EOPNOTSUPP);
    }
  }

  // What went well needs no answer.
  void Complain(const char* what, int error) {
    if (error == 0) return;
    v1::Event event;
    event.mutable_reply()->set_error(error);
    event.mutable_reply()->set_detail(what);
    SendPacket(socket_.get(), event);
  }

  // Opens `proc` when that did not work before; without it, somebody may live.
  int SignalAll(base::UniqueFd* proc, int signal) {
    if (!cgroup_procs_.valid()) return 0;
    if (!proc->valid()) *proc = PrivateProcfs();
    if (!proc->valid()) return 1;
    return SignalSession(proc->get(), cgroup_procs_.get(), program_.pid,
                         signal);
  }

  // Until nothing is left of it. First all are stopped, until a look finds no
  // more of them: a stopped parent neither forks nor dies, so that who
  // descends from whom can be told when they are killed. The number of an
  // unreaped child is its own, so it may be used as a process group.
  void KillAll() {
    base::UniqueFd proc;
    for (int round = 0, last = -1; round < kStopRounds; ++round) {
      const int found = SignalAll(&proc, SIGSTOP);
      if (found == std::exchange(last, found)) break;
    }
    for (int round = 0; round < kKillRounds; ++round) {
      const int alive = SignalAll(&proc, SIGKILL);
      if (!ended_) {
        kill(-program_.pid, SIGKILL);
        syscall(SYS_pidfd_send_signal, program_.pidfd.get(), SIGKILL, nullptr,
                0);
      }
      Reap();
      if (ended_ && alive == 0) return;
      pollfd p = {signals_.get(), POLLIN, 0};
      poll(&p, 1, kKillPollMs);
    }
  }

  Program program_;
  base::UniqueFd socket_;
  base::UniqueFd signals_;
  base::UniqueFd cgroup_procs_;
  bool ended_ = false;
  bool killing_ = false;
  int wait_status_ = 0;
  int64_t finished_at_ns_ = 0;
};

Failure Launch(const LaunchInput& input, int launch_socket, Program* program) {
  PlanBuilder builder(input);
  Failure failure = builder.BuildExec();
  base::UniqueFd null;
  if (!failure.failed()) failure = builder.OpenNull(&null);
  if (failure.failed()) return failure;
  for (int& fd : builder.plan().stdio_fds) {
    if (fd < 0) fd = null.get();
  }
  return StartProgram(&builder, launch_socket, program);
}

}  // namespace

int RunExec(std::unique_ptr<LaunchInput> input, base::UniqueFd launch_socket) {
  base::UniqueFd signals;
  Failure failure = WatchChildren(&signals);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  Program program;
  // Without it, what the program leaves behind could not be ended.
  const int procs = input->Fd(input->request.exec().cgroup_procs_fd());
  base::UniqueFd cgroup_procs(procs < 0 ? -1
                                        : fcntl(procs, F_DUPFD_CLOEXEC, 3));
  if (!failure.failed() && procs >= 0 && !cgroup_procs.valid()) {
    failure = Fail("cgroup", errno);
  }
  if (!failure.failed()) {
    failure = Launch(*input, launch_socket.get(), &program);
  }
  if (failure.failed()) {
    SendFailure(launch_socket.get(), failure);
    return 1;
  }
  v1::Event event;
  Describe(program, event.mutable_started());
  SendPacket(launch_socket.get(), event, program.stdio[init::kTtyMaster].get());
  // The agent sees end-of-file on its pipes only when our copies are closed.
  input.reset();
  ExecSession(std::move(program), std::move(launch_socket), std::move(signals),
              std::move(cgroup_procs))
      .Run();
  return 0;
}

}  // namespace warren::shim
