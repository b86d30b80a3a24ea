#include "runtime/shim/monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace warren::shim {
namespace {

constexpr char kExitName[] = "exit.pb";
constexpr char kExitTemporary[] = ".exit.pb.new";

int64_t MonotonicMs() {
  timespec ts = {};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * int64_t{1000} + ts.tv_nsec / 1'000'000;
}

// SIGKILL to every child of ours; unreaped, their numbers are theirs.
void KillChildren() {
  const base::UniqueFd fd(
      open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = fd.valid() ? read(fd.get(), text, sizeof(text) - 1) : -1;
  if (n <= 0) return;
  text[n] = '\0';
  // A list that was cut may end in half a number: only what a blank follows.
  for (char* at = text; char* blank = strchr(at, ' '); at = blank + 1) {
    *blank = '\0';
    const pid_t pid = static_cast<pid_t>(strtol(at, nullptr, 10));
    if (pid > 0) kill(pid, SIGKILL);
  }
}

}  // namespace

uint64_t ReadOomKills(int fd) {
  char text[1024];
  const ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
  if (n <= 0) return 0;
  text[n] = '\0';
  constexpr char kKey[] = "oom_kill ";
  const char* at = text;
  while (at != nullptr && strncmp(at, kKey, sizeof(kKey) - 1) != 0) {
    at = strchr(at, '\n');
    if (at != nullptr) ++at;
  }
  return at == nullptr ? 0 : strtoull(at + sizeof(kKey) - 1, nullptr, 10);
}

void DescribeExit(int wait_status, v1::Exited* exited) {
  if (WIFSIGNALED(wait_status)) {
    exited->set_signal(WTERMSIG(wait_status));
    exited->set_exit_code(128 + WTERMSIG(wait_status));
  } else {
    exited->set_exit_code(WEXITSTATUS(wait_status));
  }
}

Monitor::Monitor(Program program, LogFile* log,
                 FramerBuffer (&buffers)[kStreams], base::UniqueFd run_dir,
                 base::UniqueFd listener, base::UniqueFd signals,
                 base::UniqueFd oom, uint64_t oom_kills)
    : program_(std::move(program)),
      log_(log),
      run_dir_(std::move(run_dir)),
      listener_(std::move(listener)),
      signals_(std::move(signals)),
      oom_(std::move(oom)),
      oom_kills_before_(oom_kills),
      framers_{LogFramer(LogStream::kStdout, &buffers[0]),
               LogFramer(LogStream::kStderr, &buffers[1])} {
  for (int i = 0; i < kStreams; ++i) {
    const int fd = program_.stdio[i].get();
    if (fd >= 0) fcntl(fd, F_SETFL, O_NONBLOCK | fcntl(fd, F_GETFL));
  }
}

void Monitor::Run() {
  while (!ended_) Turn();
  EndOrphans();
  Drain();
  WriteExitFile();
  // Only now: whoever finds nobody listening finds the exit file instead.
  unlinkat(run_dir_.get(), kSocketName, 0);
}

void Monitor::Turn() {
  // signals, streams, listener, clients; a closed one is -1, which poll skips.
  pollfd p[2 + kStreams + kMaxClients];
  p[0] = {signals_.get(), POLLIN, 0};
  p[1] = {listener_.get(), POLLIN, 0};
  for (int i = 0; i < kStreams; ++i) {
    p[2 + i] = {program_.stdio[i].get(), POLLIN, 0};
  }
  for (int i = 0; i < kMaxClients; ++i) {
    p[2 + kStreams + i] = {clients_[i].get(), POLLIN, 0};
  }
  if (poll(p, 2 + kStreams + kMaxClients, -1) < 0) return;  // EINTR
  for (int i = 0; i < kStreams; ++i) {
    if (p[2 + i].revents != 0) ReadStream(i);
  }
  log_->Flush();
  for (int i = 0; i < kMaxClients; ++i) {
    if (p[2 + kStreams + i].revents != 0) ServeClient(i);
  }
  if (p[1].revents != 0) AcceptClient();
  if (p[0].revents != 0) Reap();
}

bool Monitor::ReadStream(int index) {
  base::UniqueFd& fd = program_.stdio[index];
  LogFramer& framer = framers_[index];
  if (!fd.valid()) return false;
  const ssize_t n = read(fd.get(), framer.space(), framer.space_size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  log_->SetTime(RealNow());
  if (n > 0) {
    framer.Consume(static_cast<size_t>(n), log_);
    return true;
  }
  // End of file, or of a terminal (EIO).
  framer.Finish(log_);
  fd.reset();
  return true;
}

void Monitor::Reap() {
  signalfd_siginfo ignored;
  while (read(signals_.get(), &ignored, sizeof(ignored)) > 0) {
  }
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid != program_.pid || ended_) continue;  // an adopted orphan
    ended_ = true;
    wait_status_ = status;
    finished_at_ns_ = RealNow();
  }
}

void Monitor::AcceptClient() {
  base::UniqueFd client(
      accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client.valid()) return;
  for (base::UniqueFd& slot : clients_) {
    if (slot.valid()) continue;
    slot = std::move(client);
    return;
  }
  // Full: the one that came first makes room.
  for (int i = 1; i < kMaxClients; ++i) {
    clients_[i - 1] = std::move(clients_[i]);
  }
  clients_[kMaxClients - 1] = std::move(client);
}

void Monitor::ServeClient(int index) {
  base::UniqueFd& client = clients_[index];
  char buffer[256];
  std::vector<base::UniqueFd> fds;
  const long n = ReceivePacket(client.get(), buffer, sizeof(buffer), &fds);
  if (n < 0 && errno == EAGAIN) return;
  v1::Command command;
  if (n <= 0 || !command.ParseFromArray(buffer, static_cast<int>(n))) {
    client.reset();
    return;
  }
  v1::Reply reply;
  Answer(command, fds.empty() ? base::UniqueFd() : std::move(fds[0]), &reply);
  if (SendPacket(client.get(), reply) != 0) client.reset();
}

void Monitor::Answer(const v1::Command& command, base::UniqueFd fd,
                     v1::Reply* reply) {
  switch (command.command_case()) {
    case v1::Command::kQuery:
      Describe(program_, reply->mutable_process());
      return;
    case v1::Command::kSignal:
      if (syscall(SYS_pidfd_send_signal, program_.pidfd.get(),
                  command.signal().signal(), nullptr, 0) != 0) {
        reply->set_error(errno);
        reply->set_detail("signal");
      }
      return;
    case v1::Command::kReopenLog: {
      const Failure failure = log_->Reopen(std::move(fd));
      reply->set_error(failure.error);
      if (failure.failed()) reply->set_detail("reopen log");
      return;
    }
    default:
      reply->set_error(EOPNOTSUPP);
  }
}

// Without a pid namespace of its own, what the program forked outlives it and
// is our child now (subreaper). It dies with the container, and here, so that
// nobody else inherits its zombies. What does not die in time (a process in
// the kernel) is left to the agent, which ends everything in the cgroup.
void Monitor::EndOrphans() {
  const int64_t deadline = MonotonicMs() + kOrphansMaxMs;
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG);
    if (pid > 0) continue;
    if (pid < 0 || MonotonicMs() >= deadline) return;  // ECHILD: none left
    KillChildren();
    pollfd p = {signals_.get(), POLLIN, 0};
    poll(&p, 1, kDrainIdleMs);
    signalfd_siginfo ignored;
    while (read(signals_.get(), &ignored, sizeof(ignored)) > 0) {
    }
  }
}

// What the container wrote before its end is in the pipes. Then a grandchild
// that holds them may say a little more, but must not keep us: killing what is
// left of the pod is the agent's job.
void Monitor::Drain() {
  const int64_t deadline = MonotonicMs() + kDrainMaxMs;
  for (;;) {
    bool more = true;
    while (more && MonotonicMs() < deadline) {
      more = false;
      for (int i = 0; i < kStreams; ++i) more |= ReadStream(i);
      log_->Flush();
    }
    pollfd p[kStreams];
    bool open = false;
    for (int i = 0; i < kStreams; ++i) {
      p[i] = {program_.stdio[i].get(), POLLIN, 0};
      open |= program_.stdio[i].valid();
    }
    if (!open || MonotonicMs() >= deadline ||
        poll(p, kStreams, kDrainIdleMs) <= 0) {
      break;
    }
  }
  for (LogFramer& framer : framers_) framer.Finish(log_);
  log_->Flush();
}

void Monitor::WriteExitFile() {
  v1::ExitFile file;
  file.set_version(1);
  v1::Exited* exited = file.mutable_exit();
  DescribeExit(wait_status_, exited);
  exited->set_oom_killed(ReadOomKills(oom_.get()) > oom_kills_before_);
  exited->set_finished_at_ns(finished_at_ns_);
  std::string data;
  file.SerializeToString(&data);
  unlinkat(run_dir_.get(), kExitTemporary, 0);
  const base::UniqueFd fd(
      openat(run_dir_.get(), kExitTemporary,
             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return;
  // A record cut short (disk full) must not be found: no record then, and the
  // agent reports the exit code as lost.
  if (write(fd.get(), data.data(), data.size()) !=
          static_cast<ssize_t>(data.size()) ||
      renameat(run_dir_.get(), kExitTemporary, run_dir_.get(), kExitName) !=
          0) {
    unlinkat(run_dir_.get(), kExitTemporary, 0);
  }
}

}  // namespace warren::shim
