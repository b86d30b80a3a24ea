#include "runtime/shim/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "runtime/init/init.h"
#include "runtime/init/mount_lock.h"

namespace warren::shim {
namespace {

// What is known so far.
struct Progress {
  pid_t first = 0;    // what the shim cloned
  pid_t program = 0;  // what will be the program: `first`, or its successor
  Failure failure;
  bool has_stdio = false;
  base::UniqueFd stdio[init::kStdioFdsMax];
};

// Names of steps come from the table, so that Failure::step stays static.
const char* StepName(const char* name) {
  size_t count;
  const init::Step* steps = init::Steps(&count);
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(steps[i].name, name) == 0) return steps[i].name;
  }
  return "init";
}

// Text for the agent, whoever wrote it: a program that is traced may have. As
// text of a protobuf message it has to be UTF-8.
std::string Printable(const char* text, size_t size) {
  std::string out(text, strnlen(text, size));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

Failure FailureOf(const init::Report& report) {
  const std::string step = Printable(report.step, sizeof(report.step));
  return Fail(StepName(step.c_str()), report.error > 0 ? report.error : EIO,
              Printable(report.detail, sizeof(report.detail)));
}

// One report from before the last fork: stdio, once, or what failed.
void TakeReport(const init::Report& report, int* fds, Progress* progress) {
  base::UniqueFd given[init::kStdioFdsMax];
  for (size_t i = 0; i < init::kStdioFdsMax; ++i) given[i].reset(fds[i]);
  if (report.kind == init::ReportKind::kFailed) {
    progress->failure = FailureOf(report);
  } else if (report.kind == init::ReportKind::kStdio && !progress->has_stdio) {
    progress->has_stdio = true;
    for (size_t i = 0; i < init::kStdioFdsMax; ++i) {
      progress->stdio[i] = std::move(given[i]);
    }
  } else {
    progress->failure = Fail("clone", EBADMSG);
  }
}

// Waits until one of the two can be read or is at its end (-1 = never). 0;
// ECANCELED when the agent hangs up; else errno.
int Await(int fd, int other_fd, int launch_socket) {
  for (;;) {
    pollfd p[3] = {
        {fd, POLLIN, 0}, {other_fd, POLLIN, 0}, {launch_socket, POLLRDHUP, 0}};
    if (poll(p, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    return p[0].revents != 0 || p[1].revents != 0 ? 0 : ECANCELED;
  }
}

Failure AwaitFailure(int error) {
  return Fail(error == ECANCELED ? "launch" : "clone", error);
}

// Reads reports until their socket is closed or a step fails.
void FollowReports(int socket, int launch_socket, Progress* progress) {
  while (!progress->failure.failed()) {
    const int error = Await(socket, -1, launch_socket);
    if (error != 0) {
      progress->failure = AwaitFailure(error);
      return;
    }
    init::Report report;
    int fds[init::kStdioFdsMax];
    const int got = init::ReceiveReport(socket, &report, fds);
    if (got < 0) progress->failure = Fail("clone", errno);
    if (got <= 0) return;
    TakeReport(report, fds, progress);
  }
}

// Two pages that the clones share with the shim: what a child can still say
// when a filter forbids it to send, and who was forked.
class SharedPages {
 public:
  SharedPages()
      : words_(Map(sizeof(init::Report))), forked_(Map(sizeof(pid_t))) {}
  ~SharedPages() {
    if (words_ != MAP_FAILED) munmap(words_, sizeof(init::Report));
    if (forked_ != MAP_FAILED) munmap(forked_, sizeof(pid_t));
  }
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  bool ok() const { return words_ != MAP_FAILED && forked_ != MAP_FAILED; }
  init::Report* last_words() const {
    return static_cast<init::Report*>(words_);
  }
  pid_t* forked() const { return static_cast<pid_t*>(forked_); }
  // What they are now; they may change while this copies them.
  [[gnu::noinline]] init::Report CopyWords() const {
    init::Report copy;
    memcpy(&copy, words_, sizeof(copy));
    __asm__ volatile("" ::: "memory");  // from here on only the copy is read
    return copy;
  }

 private:
  static void* Map(size_t size) {
    return mmap(nullptr, size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  }
  void* const words_;
  void* const forked_;
};

void Reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// The successor of `first`, once that has ended. Before it is known, `first`
// cannot be waited for: it dies with this process, and it forks at most once.
void AwaitFork(const SharedPages& pages, int launch_socket,
               Progress* progress) {
  const base::UniqueFd pidfd(
      static_cast<int>(syscall(SYS_pidfd_open, progress->first, 0)));
  const int error =
      pidfd.valid() ? Await(pidfd.get(), -1, launch_socket) : errno;
  if (error != 0) {
    progress->failure = AwaitFailure(error);
    return;
  }
  Reap(std::exchange(progress->first, 0));
  progress->program = *pages.forked();
}

// Until execve, or until it cannot come any more. The program's own end is
// looked at because others may hold the pipe: who traces it can take a copy.
void AwaitExecve(int alive, int launch_socket, Progress* progress) {
  const base::UniqueFd pidfd(
      progress->program > 0
          ? static_cast<int>(syscall(SYS_pidfd_open, progress->program, 0))
          : -1);
  const int error = Await(alive, pidfd.get(), launch_socket);
  if (error != 0) progress->failure = AwaitFailure(error);
}

// The process that locks the mounts of a container in a pod with a user
// namespace (init/mount_lock.h). It goes with this object, unless it has done
// its work: then it leaves by itself, and who reaps orphans finds it.
class MountLock {
 public:
  MountLock() = default;
  MountLock(const MountLock&) = delete;
  MountLock& operator=(const MountLock&) = delete;
  ~MountLock() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Reap(pid_);
  }

  // For a plan with a user namespace and a procfs. Before the descriptors are
  // made whose end others wait for: this process would keep them.
  Failure Start(init::Plan* plan) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return Fail("lock_mounts", errno);
    }
    socket_.reset(ends[0]);
    const base::UniqueFd theirs(ends[1]);
    pid_ = init::CloneProcess(0, -1);
    if (pid_ == 0) {
      close(socket_.get());
      init::RunMountLock({theirs.get(), plan->user_fd, plan->proc_fd});
    }
    if (pid_ < 0) return Fail("lock_mounts", errno);
    plan->mount_lock_fd = socket_.get();
    return {};
  }
  // Once the init has its copy of the socket: only then is its end the end.
  void CloseSocket() { socket_.reset(); }
  void LetGo() { pid_ = 0; }

 private:
  base::UniqueFd socket_;
  pid_t pid_ = 0;
};

// Ends whatever was cloned; all are children of ours.
void EndChildren(const SharedPages& pages, Progress* progress) {
  const auto end = [](pid_t pid) {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    Reap(pid);
  };
  if (progress->first != progress->program) end(progress->first);
  // The first one is gone: whom it forked is known now.
  end(progress->program != 0 ? progress->program : *pages.forked());
}

// A program that could be neither signalled nor told from a later one of its
// number is no start. `program->pid` is a child, unreaped.
Failure Identify(Program* program) {
  program->pidfd.reset(
      static_cast<int>(syscall(SYS_pidfd_open, program->pid, 0)));
  if (!program->pidfd.valid()) return Fail("pidfd", errno);
  const base::UniqueFd host_proc(
      open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!host_proc.valid()) return Fail("procfs", errno);
  return ReadStartTime(host_proc.get(), program->pid, &program->start_time);
}

}  // namespace

int64_t RealNow() {
  timespec ts = {};
  clock_gettime(CLOCK_REALTIME, &ts);
  return ts.tv_sec * int64_t{1'000'000'000} + ts.tv_nsec;
}

base::UniqueFd PrivateProcfs() {
  const base::UniqueFd fs(fsopen("proc", FSOPEN_CLOEXEC));
  if (!fs.valid() ||
      fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return {};
  }
  return base::UniqueFd(
      fsmount(fs.get(), FSMOUNT_CLOEXEC,
              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

uint64_t ReadStat(int proc_fd, pid_t pid, pid_t* session, pid_t* parent) {
  char path[32];
  snprintf(path, sizeof(path), "%d/stat", pid);
  const base::UniqueFd fd(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
  char text[1024];
  ssize_t n = -1;
  if (fd.valid()) {
    do {
      n = read(fd.get(), text, sizeof(text) - 1);
    } while (n < 0 && errno == EINTR);
  }
  if (n < 0) return 0;
  text[n] = '\0';
  errno = EBADMSG;  // unless it is as proc(5) says
  // Fields start after the last ')': the command name may hold anything.
  const char* at = strrchr(text, ')');
  if (at == nullptr) return 0;
  for (int field = 3; field <= 22; ++field) {
    at = strchr(at + 1, ' ');
    if (at == nullptr) return 0;
    if (field == 4 && parent != nullptr) *parent = atoi(at);
    if (field == 6 && session != nullptr) *session = atoi(at);
  }
  return strtoull(at + 1, nullptr, 10);
}

Failure ReadStartTime(int proc_fd, pid_t pid, uint64_t* start_time) {
  *start_time = ReadStat(proc_fd, pid);
  return *start_time != 0 ? Failure{} : Fail("procfs", errno);
}

namespace {

// What the plan needs beside the request.
Failure PrepareLaunch(init::Plan* plan, const SharedPages& pages,
                      base::UniqueFd* proc) {
  if (!pages.ok()) return Fail("clone", errno);
  plan->last_words = pages.last_words();
  plan->forked = pages.forked();
  if (plan->user_fd >= 0 || plan->program.set_oom_score_adj ||
      plan->program.apparmor_exec != nullptr ||
      plan->program.selinux_exec != nullptr) {
    *proc = PrivateProcfs();
    if (!proc->valid()) return Fail("procfs", errno);
    plan->proc_fd = proc->get();
  }
  return {};
}

// From the clone to execve.
void Follow(const init::Plan& plan, const SharedPages& pages, int reports,
            int alive, int launch_socket, Progress* progress) {
  const bool forks = plan.fork_first || plan.fork_last;
  if (!forks) progress->program = progress->first;
  FollowReports(reports, launch_socket, progress);
  if (!progress->failure.failed() && forks) {
    AwaitFork(pages, launch_socket, progress);
  }
  if (!progress->failure.failed()) {
    AwaitExecve(alive, launch_socket, progress);
  }
  if (progress->failure.failed()) return;
  const init::Report words = pages.CopyWords();
  if (words.kind == init::ReportKind::kFailed) {
    progress->failure = FailureOf(words);
  } else if (progress->program == 0) {
    progress->failure = Fail("clone", ECHILD);  // killed before it could fork
  }
}

}  // namespace

Failure StartProgram(PlanBuilder* builder, int launch_socket,
                     Program* program) {
  init::Plan& plan = builder->plan();
  const SharedPages pages;
  base::UniqueFd proc;
  MountLock lock;
  Failure failure = PrepareLaunch(&plan, pages, &proc);
  if (!failure.failed() && plan.user_fd >= 0) failure = lock.Start(&plan);
  if (failure.failed()) return failure;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Fail("clone", errno);
  }
  base::UniqueFd reports(ends[0]);
  base::UniqueFd their_reports(ends[1]);
  if (pipe2(ends, O_CLOEXEC) != 0) return Fail("clone", errno);
  base::UniqueFd alive(ends[0]);
  base::UniqueFd their_alive(ends[1]);
  plan.report_fd = their_reports.get();
  plan.alive_fd = their_alive.get();
  Progress progress;
  progress.first =
      init::CloneProcess(builder->clone_flags(), builder->cgroup_fd());
  if (progress.first == 0) init::RunInit(plan);
  if (progress.first < 0) return Fail("clone", errno);
  their_reports.reset();
  their_alive.reset();
  lock.CloseSocket();
  Follow(plan, pages, reports.get(), alive.get(), launch_socket, &progress);
  if (!progress.failure.failed()) {
    program->pid = progress.program;
    program->started_at_ns = RealNow();
    progress.failure = Identify(program);
  }
  if (progress.failure.failed()) {
    EndChildren(pages, &progress);
    return std::move(progress.failure);
  }
  lock.LetGo();
  for (size_t i = 0; i < init::kStdioFdsMax; ++i) {
    program->stdio[i] = std::move(progress.stdio[i]);
  }
  return {};
}

void Describe(const Program& program, v1::Started* started) {
  started->set_pid(program.pid);
  started->set_start_time(program.start_time);
  started->set_started_at_ns(program.started_at_ns);
}

}  // namespace warren::shim
