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

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "runtime/shim/terminal.h"

namespace warren::shim {
namespace {

// Before the next try of what can only fail for want of memory.
constexpr unsigned kErrorPauseUs = 100'000;

int64_t ClockNs(clockid_t clock) {
  timespec ts = {};
  clock_gettime(clock, &ts);
  return ts.tv_sec * int64_t{1'000'000'000} + ts.tv_nsec;
}

int64_t MonotonicMs() { return ClockNs(CLOCK_MONOTONIC) / 1'000'000; }

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

Monitor::Monitor(Kept kept, LogFile* log, Buffers* buffers)
    : kept_(std::move(kept)),
      log_(log),
      framers_{LogFramer(LogStream::kStdout, &buffers->streams[0]),
               LogFramer(LogStream::kStderr, &buffers->streams[1])},
      input_(&kept_.program
                  .stdio[kept_.tty ? init::kTtyMaster : init::kStdinWrite],
             kept_.tty, &buffers->input),
      streams_(&input_),
      share_(kept_.cpu_percent) {
  // All are ours alone: the program has the other ends.
  for (const base::UniqueFd& fd : kept_.program.stdio) {
    if (fd.valid()) {
      fcntl(fd.get(), F_SETFL, O_NONBLOCK | fcntl(fd.get(), F_GETFL));
    }
  }
}

void Monitor::Run() {
  while (!ended_) Turn();
  EndOrphans();
  Drain();
  WriteExitFile();
  // Only now: whoever finds nobody listening finds the exit file instead.
  unlinkat(kept_.run_dir.get(), kSocketName, 0);
  streams_.Finish();
}

void Monitor::Turn() {
  // A closed one is -1, which poll skips.
  enum : int {
    kSignals,
    kListener,
    kOutput,
    kCommands = kOutput + kStreams,
    kAttached = kCommands + kMaxCommandClients,
    kCount = kAttached + StreamClients::kPolled
  };
  pollfd p[kCount];
  p[kSignals] = {kept_.signals.get(), POLLIN, 0};
  p[kListener] = {kept_.listener.get(), POLLIN, 0};
  // Output waits in its pipe while the share is spent; the end of one, too.
  const bool wait = share_.spent();
  for (int i = 0; i < kStreams; ++i) {
    p[kOutput + i] = {wait ? -1 : kept_.program.stdio[i].get(), POLLIN, 0};
  }
  for (int i = 0; i < kMaxCommandClients; ++i) {
    p[kCommands + i] = {clients_[i].get(), POLLIN, 0};
  }
  streams_.AddTo(p + kAttached);
  if (poll(p, kCount, wait ? share_.WaitMs() : -1) < 0) {
    if (errno != EINTR) usleep(kErrorPauseUs);
    return;
  }
  bool output = wait;
  for (int i = 0; i < kStreams; ++i) {
    if (p[kOutput + i].revents != 0) output |= ReadStream(i);
  }
  log_->Flush();
  if (output) AccountForOutput(wait);
  streams_.Serve(p + kAttached);
  // From the last: one that is served moves to the end.
  for (int i = kMaxCommandClients - 1; i >= 0; --i) {
    if (p[kCommands + i].revents != 0) ServeClient(&clients_[i]);
  }
  if (p[kListener].revents != 0) AcceptClient();
  if (p[kSignals].revents != 0) Reap();
  const bool others =
      p[kListener].revents != 0 ||
      std::any_of(p + kCommands, p + kCount,
                  [](const pollfd& e) { return e.revents != 0; });
  if (others) ForgiveOthers();
}

void Monitor::AccountForOutput(bool waits) {
  if (!share_.limited()) return;
  const int64_t used = ClockNs(CLOCK_PROCESS_CPUTIME_ID);
  if (waits) share_.Forgive(used);
  share_.Account(ClockNs(CLOCK_MONOTONIC), used);
}

void Monitor::ForgiveOthers() {
  if (share_.limited()) share_.Forgive(ClockNs(CLOCK_PROCESS_CPUTIME_ID));
}

bool Monitor::ReadStream(int index) {
  base::UniqueFd& fd = kept_.program.stdio[index];
  LogFramer& framer = framers_[index];
  if (!fd.valid()) return false;
  const ssize_t n = read(fd.get(), framer.space(), framer.space_size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  log_->SetTime(RealNow());
  if (n > 0) {
    streams_.Write(index == init::kStderrRead ? v1::STDERR : v1::STDOUT,
                   framer.space(), static_cast<size_t>(n));
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
  while (read(kept_.signals.get(), &ignored, sizeof(ignored)) > 0) {
  }
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    if (pid != kept_.program.pid || ended_) continue;  // an adopted orphan
    ended_ = true;
    wait_status_ = status;
    finished_at_ns_ = RealNow();
  }
}

void Monitor::AcceptClient() {
  base::UniqueFd client(accept4(kept_.listener.get(), nullptr, nullptr,
                                SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (client.valid()) {
    *FreePlace() = std::move(client);
    return;
  }
  // One that cannot be taken for want of descriptors or memory stays in the
  // queue, and the listener readable.
  if (errno != EAGAIN && errno != EINTR) usleep(kErrorPauseUs);
}

base::UniqueFd* Monitor::FreePlace() {
  // What came while this turn was at work is answered before anyone goes.
  for (int i = kMaxCommandClients - 1; i >= 0; --i) {
    if (clients_[i].valid()) ServeClient(&clients_[i]);
  }
  base::UniqueFd* place = clients_;
  for (base::UniqueFd& client : clients_) {
    if (!client.valid()) place = &client;
  }
  place->reset();
  // The newest is the last.
  std::rotate(place, place + 1, clients_ + kMaxCommandClients);
  return &clients_[kMaxCommandClients - 1];
}

void Monitor::ServeClient(base::UniqueFd* client) {
  char buffer[256];
  std::vector<base::UniqueFd> fds;
  const int socket = client->get();
  const long n = ReceivePacket(socket, buffer, sizeof(buffer), &fds);
  if (n < 0 && errno == EAGAIN) return;
  v1::Command command;
  if (n <= 0 || !command.ParseFromArray(buffer, static_cast<int>(n))) {
    client->reset();
    return;
  }
  v1::Reply reply;
  Answer(command, fds.empty() ? base::UniqueFd() : std::move(fds[0]), client,
         &reply);
  const int error = SendPacket(socket, reply);
  // A stream sees for itself that nobody is there.
  if (!client->valid()) return;
  if (error != 0) client->reset();
  std::rotate(client, client + 1, clients_ + kMaxCommandClients);
}

void Monitor::Introduce(v1::Reply* reply) const {
  Describe(kept_.program, reply->mutable_process());
  v1::Protocol* protocol = reply->mutable_protocol();
  protocol->set_version(1);
  protocol->add_features(v1::FEATURE_ATTACH);
  protocol->add_features(v1::FEATURE_RESIZE);
}

void Monitor::Answer(const v1::Command& command, base::UniqueFd fd,
                     base::UniqueFd* client, v1::Reply* reply) {
  switch (command.command_case()) {
    case v1::Command::kQuery:
      Introduce(reply);
      return;
    case v1::Command::kSignal:
      if (syscall(SYS_pidfd_send_signal, kept_.program.pidfd.get(),
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
    case v1::Command::kAttach:
      reply->set_error(streams_.Add(command.attach(), client));
      if (reply->error() != 0) reply->set_detail("attach");
      return;
    case v1::Command::kResize: {
      const int terminal =
          kept_.tty ? kept_.program.stdio[init::kTtyMaster].get() : -1;
      reply->set_error(ResizeTerminal(terminal, command.resize()));
      if (reply->error() != 0) reply->set_detail("resize");
      return;
    }
    default:
      reply->set_error(EOPNOTSUPP);
      reply->set_detail("command");
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
    if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
    if (pid < 0 || MonotonicMs() >= deadline) return;  // ECHILD: none left
    KillChildren();
    pollfd p = {kept_.signals.get(), POLLIN, 0};
    poll(&p, 1, kDrainIdleMs);
    signalfd_siginfo ignored;
    while (read(kept_.signals.get(), &ignored, sizeof(ignored)) > 0) {
    }
  }
}

// What the container wrote before its end is in the pipes, and is read at once
// whatever the share: it is no more than they hold. Then a grandchild
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
      p[i] = {kept_.program.stdio[i].get(), POLLIN, 0};
      open |= kept_.program.stdio[i].valid();
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
  v1::Exited exited;
  DescribeExit(wait_status_, &exited);
  exited.set_oom_killed(ReadOomKills(kept_.oom.get()) > kept_.oom_kills);
  exited.set_finished_at_ns(finished_at_ns_);
  // There is nobody to tell of an error: no record means that it is lost.
  kept_.exit_file.Write(kept_.run_dir.get(), exited);
}

}  // namespace warren::shim
