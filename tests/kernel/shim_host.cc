#include "tests/kernel/shim_host.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <thread>
#include <utility>

#include "runtime/base/file.h"
#include "tests/kernel/shim_mounts.h"

namespace warren::test {

using base::UniqueFd;
using shim::v1::MountOp;

namespace {

// Of the process: made once, given back when it ends.
struct Host {
  Host() : launcher(UniqueFd()) {
    Must(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare");
    Must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
         "make private");
    char path[] = "/tmp/warren-shim-XXXXXX";
    Must(mkdtemp(path) != nullptr, "mkdtemp");
    directory = path;
    Must(mount("tmpfs", path, "tmpfs", 0, "mode=0755") == 0, "tmpfs");
    const std::string scratch = directory + "/scratch";
    Must(mkdir(scratch.c_str(), 0755) == 0, "mkdir");
    template_ns = MakeTemplate(scratch, &null);
    pin_ns = MakePinNamespace(scratch, &pin_root);
    auto opened = runtime::ShimLauncher::Open(WARREN_SHIM_PATH);
    Must(opened.ok(), "shim program");
    launcher = *std::move(opened);
  }
  ~Host() {
    umount2(directory.c_str(), MNT_DETACH);
    rmdir(directory.c_str());
  }

  std::string directory;
  UniqueFd template_ns;
  UniqueFd null;
  UniqueFd pin_ns;
  UniqueFd pin_root;
  runtime::ShimLauncher launcher;
};

Host& TheHost() {
  static Host host;
  return host;
}

UniqueFd Open(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  Must(fd.valid(), path.c_str());
  return fd;
}

void NewFs(ContainerLaunch* launch, const char* type, const char* target,
           std::vector<std::string> options, uint64_t attributes) {
  MountOp* op = launch->container()->add_mounts();
  op->set_kind(MountOp::NEW_FS);
  op->set_fs_type(type);
  op->set_target(target);
  for (std::string& o : options) op->add_fs_options(std::move(o));
  op->set_attributes(attributes);
}

void AddDevice(ContainerLaunch* launch, const std::string& name, uint32_t minor,
               bool user) {
  MountOp* op = launch->container()->add_mounts();
  op->set_kind(MountOp::DEVICE);
  op->set_target("/dev/" + name);
  if (user) {
    op->set_fd(launch->fds.Add(
        UniqueFd(open_tree(AT_FDCWD, ("/dev/" + name).c_str(),
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
    return;
  }
  op->set_mode(S_IFCHR | 0666);
  op->set_device_major(1);
  op->set_device_minor(minor);
}

void AddBaseMounts(ContainerLaunch* launch, const Pod* pod) {
  const bool user = pod != nullptr && pod->user;
  constexpr uint64_t kSafe =
      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  NewFs(launch, "proc", "/proc", {}, kSafe);
  if (pod != nullptr && pod->OpenPin("pid").valid()) {
    const auto last = launch->container()->mounts_size() - 1;
    launch->container()->mutable_mounts(last)->set_fd(launch->fds.Add(
        CloneMount(TheHost().pin_ns.get(), pod->dir.get(), "proc")));
  }
  NewFs(launch, "tmpfs", "/dev", {"mode=0755", "size=65536k"},
        MOUNT_ATTR_NOSUID);
  NewFs(launch, "devpts", "/dev/pts",
        {"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  AddDevice(launch, "null", 3, user);
  AddDevice(launch, "zero", 5, user);
  MountOp* link = launch->container()->add_mounts();
  link->set_kind(MountOp::SYMLINK);
  link->set_target("/dev/fd");
  link->set_source("/proc/self/fd");
  link = launch->container()->add_mounts();
  link->set_kind(MountOp::SYMLINK);
  link->set_target("/dev/ptmx");
  link->set_source("pts/ptmx");
}

void AddMappings(
    google::protobuf::RepeatedPtrField<shim::v1::IdMapping>* mappings) {
  shim::v1::IdMapping* m = mappings->Add();
  m->set_host_id(kHostIds);
  m->set_length(kIdCount);
}

}  // namespace

uint32_t FdList::Add(UniqueFd fd) {
  Must(fd.valid(), "descriptor");
  fds_.push_back(std::move(fd));
  return static_cast<uint32_t>(fds_.size());
}

uint32_t FdList::AddCopy(int fd) {
  return Add(UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)));
}

std::vector<int> FdList::Numbers() const {
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds_) numbers.push_back(fd.get());
  return numbers;
}

UniqueFd Pod::OpenPin(const std::string& name) const {
  return UniqueFd(openat(dir.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
}

void ShimTest::SetUpTestSuite() {
  if (geteuid() == 0) TheHost();
}

void ShimTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  static int number = 0;
  directory_ = TheHost().directory + "/t" + std::to_string(number++);
  Must(mkdir(directory_.c_str(), 0755) == 0, "mkdir");
}

void ShimTest::TearDown() {
  for (const int fd : running_)
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0);
}

const runtime::ShimLauncher& ShimTest::launcher() const {
  return TheHost().launcher;
}

shim::v1::LaunchRequest ShimTest::SandboxRequest(uint64_t flags, FdList* fds,
                                                 UniqueFd* pin_dir) {
  static int number = 0;
  const std::string name = "pod" + std::to_string(number++);
  // One tmpfs per pod in the pins' namespace, as the agent makes it.
  InMountNamespace(TheHost().pin_ns.get(), [&] {
    Must(mkdir(name.c_str(), 0755) == 0, "mkdir pins");
    Must(mount("tmpfs", name.c_str(), "tmpfs", 0, "mode=0755") == 0, "tmpfs");
    pin_dir->reset(open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  });
  shim::v1::LaunchRequest request;
  request.set_id(name);
  shim::v1::SandboxLaunch* sandbox = request.mutable_sandbox();
  sandbox->set_clone_flags(flags);
  if ((flags & CLONE_NEWUSER) != 0) {
    AddMappings(sandbox->mutable_uid_mappings());
    AddMappings(sandbox->mutable_gid_mappings());
  }
  sandbox->set_pod_init((flags & CLONE_NEWPID) != 0);
  if (sandbox->pod_init()) {
    sandbox->set_template_mnt_ns_fd(fds->AddCopy(TheHost().template_ns.get()));
  }
  sandbox->set_pin_mnt_ns_fd(fds->AddCopy(TheHost().pin_ns.get()));
  sandbox->set_pin_dir_fd(fds->AddCopy(pin_dir->get()));
  return request;
}

Pod ShimTest::MakePod(uint64_t flags) {
  FdList fds;
  Pod pod;
  pod.user = (flags & CLONE_NEWUSER) != 0;
  pod.request = SandboxRequest(flags, &fds, &pod.dir);
  auto launched = launcher().LaunchSandbox(pod.request, fds.Numbers());
  EXPECT_TRUE(launched.ok()) << launched.status();
  if (launched.ok()) pod.launched = *std::move(launched);
  if (pod.launched.process.pid != 0) {
    auto pidfd = base::OpenPidfd(pod.launched.process.pid);
    EXPECT_TRUE(pidfd.ok());
    running_.push_back(pidfd->get());
    kept_.push_back(*std::move(pidfd));
  }
  return pod;
}

void ShimTest::DropPod(Pod* pod) {
  if (pod->launched.process.pid != 0) {
    auto pidfd = base::OpenProcess(pod->launched.process);
    ASSERT_TRUE(pidfd.ok());
    ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGKILL).ok());
    ASSERT_TRUE(*base::WaitExit(pidfd->get(), Patience(absl::Seconds(10))));
  }
  pod->dir.reset();
  const std::string name = pod->request.id();
  InMountNamespace(TheHost().pin_ns.get(), [&] {
    Must(umount2(name.c_str(), MNT_DETACH) == 0, "umount pins");
    Must(rmdir(name.c_str()) == 0, "rmdir pins");
  });
}

ContainerLaunch ShimTest::Container(const std::string& script, const Pod* pod) {
  const bool user = pod != nullptr && pod->user;
  const std::string base = directory_ + "/c" + std::to_string(serial_++);
  Must(mkdir(base.c_str(), 0755) == 0, "mkdir");
  Must(mkdir((base + "/run").c_str(), 0700) == 0, "mkdir");
  Must(mkdir((base + "/log").c_str(), 0755) == 0, "mkdir");
  ContainerLaunch launch;
  launch.run_dir = Open(base + "/run", O_RDONLY | O_DIRECTORY);
  launch.log_dir = Open(base + "/log", O_RDONLY | O_DIRECTORY);
  launch.rootfs = MakeRootfs(user ? kHostIds : 0);
  launch.request.set_id("test");
  shim::v1::ContainerLaunch* c = launch.container();
  shim::v1::Process* process = c->mutable_process();
  for (const char* arg : {"sh", "-c", script.c_str()}) process->add_args(arg);
  process->add_env("PATH=/usr/bin:/bin");
  process->set_cap_bounding(~uint64_t{0});
  process->set_cap_effective(~uint64_t{0});
  c->set_clone_flags(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP);
  if (pod != nullptr) {
    for (const auto& [name, flag] :
         {std::pair<const char*, uint64_t>{"user", CLONE_NEWUSER},
          {"pid", CLONE_NEWPID},
          {"net", CLONE_NEWNET},
          {"ipc", CLONE_NEWIPC},
          {"uts", CLONE_NEWUTS},
          {"time", 0x80}}) {
      UniqueFd pin = pod->OpenPin(name);
      if (!pin.valid()) continue;
      shim::v1::JoinNamespace* join = c->add_join();
      join->set_flag(flag);
      join->set_fd(launch.fds.Add(std::move(pin)));
      if (flag == CLONE_NEWPID) {
        c->set_clone_flags(CLONE_NEWNS | CLONE_NEWCGROUP);
      }
    }
  }
  c->set_template_mnt_ns_fd(launch.fds.AddCopy(TheHost().template_ns.get()));
  c->set_rootfs_fd(launch.fds.AddCopy(launch.rootfs.get()));
  c->set_rootfs_propagation(MS_PRIVATE);
  AddBaseMounts(&launch, pod);
  c->set_null_fd(launch.fds.AddCopy(TheHost().null.get()));
  c->set_run_dir_fd(launch.fds.AddCopy(launch.run_dir.get()));
  c->set_log_dir_fd(launch.fds.AddCopy(launch.log_dir.get()));
  c->set_log_name("0.log");
  return launch;
}

runtime::Launched ShimTest::Start(ContainerLaunch* launch) {
  auto launched =
      launcher().LaunchContainer(launch->request, launch->fds.Numbers());
  EXPECT_TRUE(launched.ok()) << launched.status();
  if (!launched.ok()) return {};
  auto pidfd = base::OpenPidfd(launched->process.pid);
  if (pidfd.ok()) {
    running_.push_back(pidfd->get());
    kept_.push_back(*std::move(pidfd));
  }
  return *std::move(launched);
}

void ShimTest::AwaitEnd(const runtime::Launched& launched) {
  const auto gone =
      base::WaitExit(launched.shim.pidfd.get(), Patience(absl::Seconds(20)));
  ASSERT_TRUE(gone.ok() && *gone) << "the shim is still there";
  EXPECT_TRUE(base::Reap(launched.shim.pidfd.get()).ok());
}

void ShimTest::KillAndAwait(const runtime::Launched& launched) {
  auto pidfd = base::OpenProcess(launched.process);
  ASSERT_TRUE(pidfd.ok());
  ASSERT_TRUE(base::SendSignal(pidfd->get(), SIGKILL).ok());
  AwaitEnd(launched);
}

ContainerEnd ShimTest::Run(ContainerLaunch launch) {
  ContainerEnd end;
  auto launched =
      launcher().LaunchContainer(launch.request, launch.fds.Numbers());
  end.status = launched.status();
  if (!launched.ok()) return end;
  AwaitEnd(*launched);
  const auto exited = runtime::ReadExitFile(launch.run_dir.get());
  EXPECT_TRUE(exited.ok() && exited->has_value());
  if (exited.ok() && exited->has_value()) end.exited = **exited;
  end.log = Slurp(launch.log_dir.get(), "0.log");
  end.output = LogText(end.log);
  return end;
}

shim::v1::LaunchRequest ShimTest::ExecRequest(const runtime::Launched& target,
                                              std::vector<std::string> args,
                                              bool user, FdList* fds,
                                              ExecPipes* pipes) {
  shim::v1::LaunchRequest request;
  request.set_id("exec");
  shim::v1::ExecLaunch* exec = request.mutable_exec();
  shim::v1::Process* process = exec->mutable_process();
  for (std::string& arg : args) process->add_args(std::move(arg));
  process->add_env("PATH=/bin");
  process->set_cap_bounding(~uint64_t{0});
  process->set_cap_effective(~uint64_t{0});
  auto pidfd = base::OpenProcess(target.process);
  Must(pidfd.ok(), "pidfd of the container");
  exec->set_target_pidfd(fds->Add(*std::move(pidfd)));
  exec->set_null_fd(fds->AddCopy(TheHost().null.get()));
  uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                   CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (user) flags |= CLONE_NEWUSER;
  exec->set_setns_flags(flags);
  auto out = base::MakePipe();
  auto err = base::MakePipe();
  Must(out.ok() && err.ok(), "pipe");
  exec->set_stdout_fd(fds->Add(std::move(out->write)));
  exec->set_stderr_fd(fds->Add(std::move(err->write)));
  pipes->out = std::move(out->read);
  pipes->err = std::move(err->read);
  return request;
}

std::string Slurp(int dirfd, const std::string& name) {
  return base::ReadFileAt(dirfd, name, 256 << 20).value_or("");
}

std::string Drain(int fd) { return base::ReadFd(fd, 256 << 20).value_or(""); }

std::string LogText(const std::string& log) {
  std::string text;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    // 2026-01-02T03:04:05.678901234Z stdout F text
    const bool well_formed =
        line.size() >= 40 && line[29] == 'Z' && line[30] == ' ' &&
        (line.compare(31, 7, "stdout ") == 0 ||
         line.compare(31, 7, "stderr ") == 0) &&
        (line[38] == 'F' || line[38] == 'P') && line[39] == ' ';
    EXPECT_TRUE(well_formed) << "bad entry: " << line.substr(0, 80);
    if (!well_formed) continue;
    text += line.substr(40);
    if (line[38] == 'F') text += '\n';
  }
  return text;
}

std::string StatusField(pid_t pid, const std::string& key) {
  std::istringstream status(
      Slurp(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, key.size() + 2, key + ":\t") == 0) {
      return line.substr(key.size() + 2);
    }
  }
  return "";
}

uint64_t Inode(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

uint64_t NamespaceInode(pid_t pid, const std::string& name) {
  const UniqueFd fd(
      open(("/proc/" + std::to_string(pid) + "/ns/" + name).c_str(),
           O_RDONLY | O_CLOEXEC));
  return Inode(fd.get());
}

}  // namespace warren::test
