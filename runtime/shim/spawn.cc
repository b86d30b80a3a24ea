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

namespace warren::shim {
namespace {

// What the reports said so far.
struct Progress {
  pid_t first = 0;    // what the shim cloned
  pid_t program = 0;  // what will be the program: `first`, or its successor
  Failure failure;
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

void TakeReport(const init::Report& report, int* fds, Progress* progress) {
  for (size_t i = 0; i < init::kStdioFdsMax; ++i) {
    if (fds[i] >= 0) progress->stdio[i].reset(fds[i]);
  }
  if (report.kind == init::ReportKind::kForked) {
    progress->program = report.pid;
  } else if (report.kind == init::ReportKind::kFailed) {
    progress->failure =
        Fail(StepName(report.step), report.error, report.detail);
  }
}

// Reads reports until execve closes the socket, a step fails, or the agent
// hangs up.
void FollowReports(int socket, int launch_socket, Progress* progress) {
  for (;;) {
    pollfd p[2] = {{socket, POLLIN, 0}, {launch_socket, POLLRDHUP, 0}};
    if (poll(p, 2, -1) < 0) {
      if (errno == EINTR) continue;
      progress->failure = Fail("clone", errno);
      return;
    }
    if (p[0].revents == 0) {
      progress->failure = Fail("launch", ECANCELED);
      return;
    }
    init::Report report;
    int fds[init::kStdioFdsMax];
    const int got = init::ReceiveReport(socket, &report, fds);
    if (got < 0) progress->failure = Fail("clone", errno);
    if (got <= 0) return;
    TakeReport(report, fds, progress);
    if (progress->failure.failed()) return;
  }
}

// What a child can still say when a filter forbids it to send.
class LastWords {
 public:
  LastWords()
      : page_(mmap(nullptr, sizeof(init::Report), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  ~LastWords() {
    if (report() != nullptr) munmap(page_, sizeof(init::Report));
  }
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;

  init::Report* report() const {
    return page_ == MAP_FAILED ? nullptr : static_cast<init::Report*>(page_);
  }

 private:
  void* const page_;
};

pid_t CloneFirst(PlanBuilder* builder, int* error) {
  base::UniqueFd own_pid_ns;
  if (builder->shim_pid_fd() >= 0) {
    own_pid_ns.reset(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
    if (!own_pid_ns.valid() ||
        setns(builder->shim_pid_fd(), CLONE_NEWPID) != 0) {
      *error = errno;
      return -1;
    }
  }
  const pid_t pid =
      init::CloneProcess(builder->clone_flags(), builder->cgroup_fd());
  if (pid == 0) init::RunInit(builder->plan());
  *error = errno;
  if (own_pid_ns.valid() && setns(own_pid_ns.get(), CLONE_NEWPID) != 0) {
    abort();  // later children would end up in the pod
  }
  return pid;
}

// Ends whatever was cloned; all are children of ours.
void EndChildren(const Progress& progress) {
  for (const pid_t pid : {progress.first, progress.program}) {
    if (pid > 0) kill(pid, SIGKILL);
  }
  // A successor whose report was not read yet is found by waiting for all: it
  // dies with its report socket's peer, which the caller has closed.
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
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

Failure StartProgram(PlanBuilder* builder, int launch_socket,
                     Program* program) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Fail("clone", errno);
  }
  base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  base::UniqueFd proc;
  init::Plan& plan = builder->plan();
  plan.report_fd = theirs.get();
  if (plan.program.set_oom_score_adj || plan.program.apparmor_exec != nullptr ||
      plan.program.selinux_exec != nullptr) {
    proc = PrivateProcfs();
    if (!proc.valid()) return Fail("procfs", errno);
    plan.proc_fd = proc.get();
  }
  const LastWords last_words;
  if (last_words.report() == nullptr) return Fail("clone", errno);
  plan.last_words = last_words.report();
  Progress progress;
  int error = 0;
  progress.first = CloneFirst(builder, &error);
  if (progress.first < 0) return Fail("clone", error);
  theirs.reset();
  if (!plan.fork_again) progress.program = progress.first;
  FollowReports(ours.get(), launch_socket, &progress);
  if (!progress.failure.failed() &&
      last_words.report()->kind == init::ReportKind::kFailed) {
    int none[init::kStdioFdsMax] = {-1, -1, -1};
    TakeReport(*last_words.report(), none, &progress);
  }
  if (!progress.failure.failed() && progress.program == 0) {
    progress.failure = Fail("clone", ECHILD);  // killed before it could fork
  }
  if (plan.fork_again && progress.program != 0) {
    while (waitpid(progress.first, nullptr, 0) < 0 && errno == EINTR) {
    }
    progress.first = 0;
  }
  if (!progress.failure.failed()) {
    program->pid = progress.program;
    program->started_at_ns = RealNow();
    progress.failure = Identify(program);
  }
  if (progress.failure.failed()) {
    ours.reset();
    EndChildren(progress);
    return std::move(progress.failure);
  }
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
