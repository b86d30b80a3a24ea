#include "runtime/shim/plan_builder.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/shim/terminal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace warren::shim {
namespace {

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// See ContainerLaunch::template_mnt_ns_fd.
constexpr char kNullPath[] = "/null/dev/null";
constexpr uint64_t kNewOfContainer =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP;

// A procfs of another pid namespace (Linux 6.17), detached. Invalid with errno.
base::UniqueFd ProcfsOf(int pid_fd, unsigned attributes) {
  const base::UniqueFd fs(fsopen("proc", FSOPEN_CLOEXEC));
  if (!fs.valid() ||
      fsconfig(fs.get(), FSCONFIG_SET_FD, "pidns", nullptr, pid_fd) != 0 ||
      fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return {};
  }
  return base::UniqueFd(fsmount(fs.get(), FSMOUNT_CLOEXEC, attributes));
}

}  // namespace

void PlanBuilder::Refuse(const char* what, int error) {
  if (!failure_.failed()) failure_ = Fail("plan", error, what);
}

const char* PlanBuilder::Text(const std::string& text, const char* what) {
  if (text.find('\0') != std::string::npos) Refuse(what, EINVAL);
  return text.c_str();
}

int PlanBuilder::RequiredFd(uint32_t index, const char* what) {
  const int fd = input_.Fd(index);
  if (fd < 0) Refuse(what, EBADF);
  return fd;
}

int PlanBuilder::OptionalFd(uint32_t index, const char* what) {
  return index == 0 ? -1 : RequiredFd(index, what);
}

void PlanBuilder::AddStrings(
    const google::protobuf::RepeatedPtrField<std::string>& strings,
    const char* what, std::vector<const char*>* out) {
  out->reserve(static_cast<size_t>(strings.size()) + 1);
  for (const std::string& s : strings) out->push_back(Text(s, what));
  out->push_back(nullptr);
}

void PlanBuilder::AddProcess(const v1::Process& process) {
  init::ProgramPlan& program = plan_.program;
  AddStrings(process.args(), "args", &args_);
  AddStrings(process.env(), "env", &env_);
  if (process.args_size() == 0 || process.args(0).empty()) {
    Refuse("args", EINVAL);
  }
  program.args = args_.data();
  program.env = env_.data();
  program.search_path = kDefaultPath;
  for (const std::string& s : process.env()) {
    if (s.compare(0, 5, "PATH=") == 0) program.search_path = s.c_str() + 5;
  }
  program.cwd = process.cwd().empty() ? "/" : Text(process.cwd(), "cwd");
  if (program.cwd[0] != '/') Refuse("cwd", EINVAL);
  program.uid = process.uid();
  program.gid = process.gid();
  groups_.assign(process.groups().begin(), process.groups().end());
  program.groups = groups_.data();
  program.group_count = groups_.size();
  program.cap_bounding = process.cap_bounding();
  program.cap_effective = process.cap_effective();
  program.cap_ambient = process.cap_ambient();
  program.no_new_privs = process.no_new_privs();
  AddLabels(process);
  const std::string& filter = process.seccomp_program();
  if (filter.size() % sizeof(sock_filter) != 0 ||
      filter.size() / sizeof(sock_filter) > BPF_MAXINSNS) {
    Refuse("seccomp", EINVAL);
  }
  constexpr uint32_t kFlags =
      SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  if ((process.seccomp_flags() & ~kFlags) != 0) Refuse("seccomp", EINVAL);
  program.seccomp_flags = process.seccomp_flags();
  program.seccomp.len =
      static_cast<unsigned short>(filter.size() / sizeof(sock_filter));
  program.seccomp.filter =
      reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()));
  for (const v1::Rlimit& limit : process.rlimits()) {
    limits_.push_back({limit.resource(), limit.soft(), limit.hard()});
  }
  program.limits = limits_.data();
  program.limit_count = limits_.size();
  program.set_oom_score_adj = process.has_oom_score_adj();
  program.oom_score_adj = process.oom_score_adj();
}

void PlanBuilder::AddLabels(const v1::Process& process) {
  if (!process.apparmor_profile().empty()) {
    apparmor_exec_ = "exec " + process.apparmor_profile();
    plan_.program.apparmor_exec = Text(apparmor_exec_, "apparmor_profile");
  }
  if (!process.selinux_label().empty()) {
    plan_.program.selinux_exec = Text(process.selinux_label(), "selinux_label");
  }
}

void PlanBuilder::AddCgroup(const v1::CgroupPlacement& placement) {
  cgroup_fd_ = OptionalFd(placement.v2_dir_fd(), "cgroup v2 directory");
  for (const uint32_t index : placement.v1_procs_fds()) {
    cgroup_procs_.push_back(RequiredFd(index, "cgroup.procs"));
  }
  plan_.cgroup_procs_fds = cgroup_procs_.data();
  plan_.cgroup_procs_count = cgroup_procs_.size();
}

// A user namespace must be entered by a child of the shim, for good; its root
// then makes the pid namespace, so that it owns it. Without one the shim
// clones the first process itself into a new pid namespace. Into one that is
// there the program is forked when all else is done.
void PlanBuilder::AddJoins(const v1::ContainerLaunch& container) {
  plan_.user_fd = -1;
  plan_.pid_fd = -1;
  for (const v1::JoinNamespace& join : container.join()) {
    const int fd = RequiredFd(join.fd(), "namespace");
    switch (join.flag()) {
      case CLONE_NEWUSER:
        plan_.user_fd = fd;
        break;
      case CLONE_NEWPID:
        plan_.pid_fd = fd;
        break;
      case CLONE_NEWNET:
      case CLONE_NEWIPC:
      case CLONE_NEWUTS:
      case CLONE_NEWTIME:
      case CLONE_NEWCGROUP:
        joins_.push_back({join.flag(), fd});
        break;
      default:
        Refuse("namespace kind", EINVAL);
    }
  }
  plan_.joins = joins_.data();
  plan_.join_count = joins_.size();

  const uint64_t flags = container.clone_flags();
  if ((flags & ~kNewOfContainer) != 0 || (flags & CLONE_NEWNS) == 0 ||
      ((flags & CLONE_NEWPID) != 0 && plan_.pid_fd >= 0)) {
    Refuse("clone_flags", EINVAL);
  }
  plan_.unshare_flags = flags & ~static_cast<uint64_t>(CLONE_NEWPID);
  plan_.fork_last = plan_.pid_fd >= 0;
  if (plan_.user_fd < 0) {
    clone_flags_ = flags & CLONE_NEWPID;
  } else {
    plan_.fork_flags = flags & CLONE_NEWPID;
    plan_.fork_first = plan_.fork_flags != 0;
  }
}

void PlanBuilder::AddMountOptions(const v1::MountOp& op,
                                  init::MountStep* step) {
  std::vector<init::FsOption>& options = options_.emplace_back();
  for (const std::string& option : op.fs_options()) {
    const char* text = Text(option, "mount option");
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      options.push_back({text, nullptr});
    } else {
      keys_.push_back(option.substr(0, equals));
      options.push_back({keys_.back().c_str(), text + equals + 1});
    }
  }
  step->options = options.data();
  step->option_count = options.size();
}

void PlanBuilder::AddMount(const v1::MountOp& op) {
  init::MountStep step = {};
  step.target = Text(op.target(), "mount target");
  if (step.target[0] != '/') Refuse("mount target", EINVAL);
  step.what = op.what().empty() ? step.target : Text(op.what(), "mount");
  step.target_is_file = op.target_is_file();
  step.attributes = op.attributes();
  step.propagation = op.propagation();
  step.may_cover_proc = op.may_cover_proc();
  step.fd = OptionalFd(op.fd(), "mount");
  step.peer_fd = OptionalFd(op.peer_fd(), "mount");
  switch (op.kind()) {
    case v1::MountOp::ATTACH:
      step.kind = init::MountStep::kAttach;
      if (step.fd < 0) Refuse("mount", EBADF);
      break;
    case v1::MountOp::NEW_FS:
      step.kind = init::MountStep::kNewFs;
      step.fs_type = Text(op.fs_type(), "fs_type");
      AddMountOptions(op, &step);
      if (!op.root_label().empty()) {
        step.root_label = Text(op.root_label(), "root_label");
      }
      break;
    case v1::MountOp::DEVICE:
      step.kind = init::MountStep::kDevice;
      step.target_is_file = true;
      step.mode = op.mode();
      step.device = makedev(op.device_major(), op.device_minor());
      break;
    case v1::MountOp::SYMLINK:
      step.kind = init::MountStep::kSymlink;
      step.source = Text(op.source(), "symlink");
      break;
    case v1::MountOp::MASK:
      step.kind = init::MountStep::kMask;
      if (op.fs_options_size() > 1) Refuse("mount option", EINVAL);
      AddMountOptions(op, &step);
      break;
    case v1::MountOp::READONLY:
      step.kind = init::MountStep::kReadonly;
      break;
    default:
      Refuse("mount kind", EINVAL);
  }
  mounts_.push_back(step);
}

Failure PlanBuilder::BuildContainer() {
  const v1::ContainerLaunch& container = input_.request.container();
  plan_.container = true;
  plan_.proc_fd = plan_.mount_lock_fd = -1;
  plan_.target_pidfd = -1;
  AddProcess(container.process());
  AddCgroup(container.cgroup());
  AddJoins(container);
  plan_.template_mnt_fd =
      RequiredFd(container.template_mnt_ns_fd(), "template");
  plan_.rootfs_fd = RequiredFd(container.rootfs_fd(), "rootfs");
  plan_.readonly_rootfs = container.readonly_rootfs();
  plan_.rootfs_propagation = container.rootfs_propagation();
  mounts_.reserve(static_cast<size_t>(container.mounts_size()));
  for (const v1::MountOp& op : container.mounts()) AddMount(op);
  plan_.mounts = mounts_.data();
  plan_.mount_count = mounts_.size();
  null_fd_ = RequiredFd(container.null_fd(), "null");
  plan_.null_path = kNullPath;
  plan_.tty = container.tty();
  plan_.stdin_open = container.stdin_open();
  for (int& fd : plan_.stdio_fds) fd = -1;
  return failure_;
}

Failure PlanBuilder::BuildExec() {
  const v1::ExecLaunch& exec = input_.request.exec();
  plan_.container = false;
  plan_.proc_fd = plan_.mount_lock_fd = -1;
  plan_.template_mnt_fd = plan_.user_fd = plan_.pid_fd = plan_.rootfs_fd = -1;
  null_fd_ = RequiredFd(exec.null_fd(), "null");
  AddProcess(exec.process());
  AddCgroup(exec.cgroup());
  plan_.target_pidfd = RequiredFd(exec.target_pidfd(), "target");
  plan_.target_flags = exec.setns_flags();
  plan_.fork_last = (plan_.target_flags & CLONE_NEWPID) != 0;
  plan_.stdio_fds[0] = OptionalFd(exec.stdin_fd(), "stdin");
  plan_.stdio_fds[1] = OptionalFd(exec.stdout_fd(), "stdout");
  plan_.stdio_fds[2] = OptionalFd(exec.stderr_fd(), "stderr");
  plan_.tty = exec.tty();
  plan_.terminal_rows = TerminalLength(exec.rows());
  plan_.terminal_columns = TerminalLength(exec.columns());
  return failure_;
}

Failure PlanBuilder::OpenNull(base::UniqueFd* null) const {
  struct stat st;
  struct statvfs fs;
  if (fstat(null_fd_, &st) != 0 || fstatvfs(null_fd_, &fs) != 0) {
    return Fail("null", errno);
  }
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
    return Fail("null", EINVAL);
  }
  if ((fs.f_flag & ST_RDONLY) == 0) return Fail("null", EROFS, "is writable");
  // The link keeps the mount, and so what it forbids, whose root this may be.
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", null_fd_);
  null->reset(open(path, O_RDWR | O_CLOEXEC));
  return null->valid() ? Failure{} : Fail("null", errno);
}

Failure PlanBuilder::MountProcfs() {
  if (plan_.pid_fd < 0) return {};
  for (init::MountStep& step : mounts_) {
    if (step.kind != init::MountStep::kNewFs || step.fd >= 0 ||
        strcmp(step.fs_type, "proc") != 0) {
      continue;
    }
    base::UniqueFd& made = made_.emplace_back(
        ProcfsOf(plan_.pid_fd, static_cast<unsigned>(step.attributes)));
    if (made.valid()) {
      step.fd = made.get();
    } else {
      plan_.fork_last = false;
      plan_.fork_first = true;
    }
  }
  return {};
}

}  // namespace warren::shim
