#include "runtime/shim/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "runtime/init/init.h"
#include "runtime/init/report.h"
#include "runtime/init/sandbox_maker.h"
#include "runtime/shim/pins.h"
#include "runtime/shim/shift_owners.h"
#include "runtime/shim/spawn.h"
#include "runtime/shim/sysctl.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace warren::shim {
namespace {

// One row per kind a pod can own: what procfs calls it for the process that
// made it, and its pin.
struct Kind {
  uint64_t flag;
  const char* proc_name;
  const char* pin_name;
  bool enter;  // the shim goes in to set it up
};
constexpr Kind kKinds[] = {
    {CLONE_NEWUSER, "user", "user", false},
    {CLONE_NEWPID, "pid", "pid", false},  // of the pod init
    {CLONE_NEWNET, "net", "net", true},
    {CLONE_NEWIPC, "ipc", "ipc", true},
    {CLONE_NEWUTS, "uts", "uts", true},
    // The maker stays outside; only its children will be in it.
    {CLONE_NEWTIME, "time_for_children", "time", false},
};
constexpr uint64_t kAllKinds = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                               CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME;

constexpr int64_t kSecond = 1'000'000'000;

// One line for timens_offsets: whole seconds round down, the rest is >= 0.
std::string OffsetLine(const char* clock, int64_t ns) {
  int64_t seconds = ns / kSecond;
  int64_t rest = ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  char line[64];
  snprintf(line, sizeof(line), "%s %lld %lld\n", clock,
           static_cast<long long>(seconds), static_cast<long long>(rest));
  return line;
}

std::string MapText(const IdMappings& mappings) {
  std::string text;
  for (const v1::IdMapping& m : mappings) {
    char line[64];
    snprintf(line, sizeof(line), "%u %u %u\n", m.container_id(), m.host_id(),
             m.length());
    text += line;
  }
  return text;
}

class Sandbox {
 public:
  Sandbox(const LaunchInput& input, int launch_socket)
      : request_(input.request.sandbox()),
        input_(input),
        launch_socket_(launch_socket),
        pins_(input.Fd(request_.pin_dir_fd())) {}

  Failure Make() {
    Failure failure = Check();
    if (!failure.failed()) failure = MakeNamespaces();
    if (!failure.failed()) failure = SetUp();
    if (!failure.failed()) failure = StartPodInit();
    if (!failure.failed()) failure = PinAll();
    return failure;
  }

  // Tells the agent; false when it has gone, which means that nobody will
  // ever know of this sandbox.
  bool Report() {
    v1::Event event;
    v1::Started* started = event.mutable_started();
    started->set_pid(holder_);
    started->set_started_at_ns(RealNow());
    if (holder_ != 0) {
      started->set_start_time(holder_start_);
      const char go = 'g';
      if (send(socket_.get(), &go, 1, MSG_NOSIGNAL) != 1) return false;
    }
    return SendPacket(launch_socket_, event) == 0;
  }

  // The maker has nothing left to do. Whoever inherits our children (the
  // agent, if it is a subreaper) must not find a zombie it never heard of.
  void ReapMaker() {
    while (maker_ > 0 && waitpid(maker_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  void Undo() {
    pins_.Undo();
    socket_.reset();
    for (const pid_t pid : {maker_, holder_}) {
      if (pid > 0) kill(pid, SIGKILL);
    }
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
  }

 private:
  bool Has(uint64_t flag) const { return (request_.clone_flags() & flag) != 0; }

  Failure Check() {
    const uint64_t flags = request_.clone_flags();
    if ((flags & ~kAllKinds) != 0 || Has(CLONE_NEWPID) != request_.pod_init() ||
        Has(CLONE_NEWUSER) == (request_.uid_mappings().empty() ||
                               request_.gid_mappings().empty())) {
      return Fail("plan", EINVAL, "clone_flags");
    }
    if (input_.Fd(request_.pin_mnt_ns_fd()) < 0 ||
        input_.Fd(request_.pin_dir_fd()) < 0) {
      return Fail("plan", EBADF, "pin directory");
    }
    for (const uint32_t i : request_.pod_init_cgroup().v1_procs_fds()) {
      cgroup_procs_.push_back(input_.Fd(i));
      if (cgroup_procs_.back() < 0) return Fail("plan", EBADF, "cgroup");
    }
    proc_ = PrivateProcfs();
    return proc_.valid() ? Failure{} : Fail("procfs", errno);
  }

  // Without a user namespace and a pod init the shim can do it alone.
  Failure MakeNamespaces() {
    if (!Has(CLONE_NEWUSER) && !request_.pod_init()) {
      return unshare(static_cast<int>(request_.clone_flags())) == 0
                 ? Failure{}
                 : Fail("namespaces", errno);
    }
    Failure failure = StartMaker();
    if (!failure.failed() && Has(CLONE_NEWUSER)) {
      failure = Expect("user");
      if (!failure.failed()) failure = WriteMaps();
      if (!failure.failed()) failure = Go();
    }
    return failure.failed() ? failure : Expect("namespaces");
  }

  Failure StartMaker() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return Fail("clone", errno);
    }
    socket_.reset(ends[0]);
    const base::UniqueFd theirs(ends[1]);
    const init::MakerPlan plan = {
        .socket = theirs.get(),
        .cgroup_procs_fds = cgroup_procs_.data(),
        .cgroup_procs_count = cgroup_procs_.size(),
        .flags = request_.clone_flags(),
        .pod_init = request_.pod_init(),
        .template_mnt_fd = input_.Fd(request_.template_mnt_ns_fd())};
    const pid_t pid = init::CloneProcess(
        0, input_.Fd(request_.pod_init_cgroup().v2_dir_fd()));
    if (pid == 0) {
      // Our end, or the maker would not see that we are gone.
      close(socket_.get());
      init::RunSandboxMaker(plan);
    }
    if (pid < 0) return Fail("clone", errno);
    maker_ = pid;
    return {};
  }

  // The next report of the maker or pod init. Until the pod init is ready it is
  // alone in its pid namespace.
  Failure Next(init::Report* report) {
    for (;;) {
      pollfd p[2] = {{socket_.get(), POLLIN, 0},
                     {launch_socket_, POLLRDHUP, 0}};
      if (poll(p, 2, -1) < 0 && errno != EINTR) return Fail("clone", errno);
      if (p[1].revents != 0) return Fail("launch", ECANCELED);
      if (p[0].revents != 0) break;
    }
    int fds[init::kStdioFdsMax];
    const int got = init::ReceiveReport(socket_.get(), report, fds);
    base::UniqueFd given[init::kStdioFdsMax];
    for (size_t i = 0; i < init::kStdioFdsMax; ++i) given[i].reset(fds[i]);
    if (got > 0 && report->kind == init::ReportKind::kProcfs) {
      procfs_ = std::move(given[0]);
    }
    if (got < 0) return Fail("clone", errno);
    if (got == 0) return Fail("clone", ECHILD);
    if (report->kind == init::ReportKind::kFailed) {
      return Fail("namespaces", report->error, report->step);
    }
    return {};
  }

  Failure Expect(const char* step) {
    init::Report report;
    const Failure failure = Next(&report);
    if (failure.failed()) return failure;
    if (report.kind == init::ReportKind::kReady &&
        strcmp(report.step, step) == 0) {
      return {};
    }
    return Fail("clone", EBADMSG, step);
  }

  Failure Go() {
    const char go = 'g';
    return send(socket_.get(), &go, 1, MSG_NOSIGNAL) == 1
               ? Failure{}
               : Fail("clone", errno);
  }

  // "self/…", or the same of the maker.
  base::UniqueFd OpenProc(pid_t pid, const std::string& name, int flags) {
    char path[64];
    if (pid == 0) {
      snprintf(path, sizeof(path), "self/%s", name.c_str());
    } else {
      snprintf(path, sizeof(path), "%d/%s", pid, name.c_str());
    }
    return base::UniqueFd(openat(proc_.get(), path, flags | O_CLOEXEC));
  }

  Failure WriteProc(const char* name, const std::string& text) {
    const base::UniqueFd fd = OpenProc(maker_, name, O_WRONLY);
    if (fd.valid() && write(fd.get(), text.data(), text.size()) ==
                          static_cast<ssize_t>(text.size())) {
      return {};
    }
    return Fail(name, errno, text.substr(0, text.find_last_not_of('\n') + 1));
  }

  Failure WriteMaps() {
    const Failure failure =
        WriteProc("uid_map", MapText(request_.uid_mappings()));
    if (failure.failed()) return failure;
    return WriteProc("gid_map", MapText(request_.gid_mappings()));
  }

  // Opens the namespaces, goes into those that are to be set up, and sets
  // them up: with the host's rights, so that it works on every kernel, from
  // inside, since that is where procfs shows their values.
  Failure SetUp() {
    for (const Kind& kind : kKinds) {
      if (!Has(kind.flag) || kind.flag == CLONE_NEWPID) continue;
      base::UniqueFd fd =
          OpenProc(maker_, std::string("ns/") + kind.proc_name, O_RDONLY);
      if (!fd.valid()) return Fail("namespaces", errno, kind.pin_name);
      if (maker_ != 0 && kind.enter &&
          setns(fd.get(), static_cast<int>(kind.flag)) != 0) {
        return Fail("namespaces", errno, kind.pin_name);
      }
      namespaces_.push_back({kind.pin_name, std::move(fd)});
    }
    Failure failure = SetTimeOffsets();
    if (failure.failed()) return failure;
    const std::string& hostname = request_.hostname();
    if (Has(CLONE_NEWUTS) && !hostname.empty() &&
        sethostname(hostname.data(), hostname.size()) != 0) {
      return Fail("hostname", errno, hostname);
    }
    for (const v1::Sysctl& sysctl : request_.sysctls()) {
      failure = WriteSysctl(proc_.get(), sysctl.name(), sysctl.value(),
                            ShiftId(request_.uid_mappings(), 0));
      if (failure.failed()) return failure;
    }
    return {};
  }

  Failure SetTimeOffsets() {
    const int64_t boottime = request_.boottime_offset_ns();
    const int64_t monotonic = request_.monotonic_offset_ns();
    if (!Has(CLONE_NEWTIME) || (boottime == 0 && monotonic == 0)) return {};
    return WriteProc("timens_offsets", OffsetLine("monotonic", monotonic) +
                                           OffsetLine("boottime", boottime));
  }

  // The maker goes on to clone the pod init, or just leaves.
  Failure StartPodInit() {
    if (maker_ == 0) return {};
    Failure failure = Go();
    if (failure.failed() || !request_.pod_init()) return failure;
    // The maker says who the pod init is, the pod init that it is ready: two
    // processes, so in either order.
    bool ready = false;
    while (holder_ == 0 || !ready) {
      init::Report report;
      failure = Next(&report);
      if (failure.failed()) return failure;
      if (report.kind == init::ReportKind::kProcfs && procfs_.valid()) {
        continue;
      }
      if (report.kind == init::ReportKind::kForked && holder_ == 0) {
        holder_ = report.pid;
      } else if (report.kind == init::ReportKind::kReady && !ready &&
                 strcmp(report.step, "pod init") == 0) {
        ready = true;
      } else {
        return Fail("clone", EBADMSG, "pod init");
      }
    }
    // Without it the agent could not tell it from a later one of its number.
    failure = ReadStartTime(proc_.get(), holder_, &holder_start_);
    if (failure.failed()) return failure;
    base::UniqueFd fd = OpenProc(holder_, "ns/pid", O_RDONLY);
    if (!fd.valid()) return Fail("namespaces", errno, "pid");
    namespaces_.push_back({"pid", std::move(fd)});
    return {};
  }

  Failure PinAll() {
    base::UniqueFd shm;
    if (request_.shm_size_bytes() != 0) {
      shm = MakeShm(request_.shm_size_bytes(),
                    ShiftId(request_.uid_mappings(), 0),
                    ShiftId(request_.gid_mappings(), 0));
      if (!shm.valid()) return Fail("shm", errno);
    }
    Failure failure = pins_.Enter(input_.Fd(request_.pin_mnt_ns_fd()));
    for (const Opened& ns : namespaces_) {
      if (failure.failed()) return failure;
      failure = pins_.Pin(ns.fd.get(), ns.name);
    }
    if (!failure.failed() && shm.valid()) {
      failure = pins_.Attach(shm.get(), "shm");
    }
    if (!failure.failed() && procfs_.valid()) {
      failure = pins_.Attach(procfs_.get(), "proc");
    }
    return failure;
  }

  struct Opened {
    const char* name;
    base::UniqueFd fd;
  };

  const v1::SandboxLaunch& request_;
  const LaunchInput& input_;
  int launch_socket_;
  Pins pins_;
  base::UniqueFd proc_;
  base::UniqueFd socket_;
  std::vector<int> cgroup_procs_;
  std::vector<Opened> namespaces_;
  base::UniqueFd procfs_;  // of the pod init's pid namespace
  pid_t maker_ = 0;
  pid_t holder_ = 0;
  uint64_t holder_start_ = 0;
};

}  // namespace

int RunSandbox(std::unique_ptr<LaunchInput> input, base::UniqueFd launch_socket,
               char* argv0) {
  // What the pod init, a copy of this process, will be called in ps(1): the
  // kernel shows the memory that argv pointed to.
  if (input->request.sandbox().pod_init()) {
    memset(argv0, ' ', strlen(argv0));
    init::CopyText(argv0, strlen(argv0) + 1, "pod-init");
  }
  Sandbox sandbox(*input, launch_socket.get());
  const Failure failure = sandbox.Make();
  if (!failure.failed() && sandbox.Report()) {
    sandbox.ReapMaker();
    return 0;
  }
  sandbox.Undo();
  SendFailure(launch_socket.get(), failure);
  return 1;
}

}  // namespace warren::shim
