#include "tests/kernel/runtime_host.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/machine/linux_runtime.h"

namespace warren::runtime {
namespace {

constexpr char kBusybox[] = "/bin/busybox";
constexpr uint64_t kDefaultCapabilities = 0xa80425fb;
constexpr char kCgroupRoot[] = "/sys/fs/cgroup";  // of all hierarchies

absl::Duration Patience() { return test::Patience(absl::Seconds(30)); }

class Namespaces : public ::testing::Environment {
 public:
  void SetUp() override {
    if (geteuid() != 0) return;
    ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
const auto* const kNamespaces =
    ::testing::AddGlobalTestEnvironment(new Namespaces);

void Write(const std::string& path, const std::string& text) {
  auto fd = base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ASSERT_TRUE(fd.ok()) << fd.status();
  ASSERT_TRUE(base::WriteFd(fd->get(), text).ok());
}

// A layer with busybox and a small passwd.
void MakeLayer(const std::string& layer) {
  for (const char* sub : {"", "/bin", "/etc", "/tmp", "/root"}) {
    ASSERT_EQ(mkdir((layer + sub).c_str(), 0755), 0);
  }
  ASSERT_EQ(chmod((layer + "/tmp").c_str(), 01777), 0);
  std::filesystem::copy_file(kBusybox, layer + "/bin/busybox");
  for (const char* applet :
       {"sh",     "cat",  "echo",  "sleep", "id",    "ls",       "mount",
        "touch",  "true", "false", "mknod", "stat",  "readlink", "hostname",
        "ps",     "kill", "head",  "yes",   "dd",    "chown",    "grep",
        "setsid", "test", "wc",    "env",   "mkdir", "umount",   "ln"}) {
    ASSERT_EQ(symlink("busybox", (layer + "/bin/" + applet).c_str()), 0);
  }
  Write(layer + "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n"
        "app:x:1000:1001:app:/tmp:/bin/sh\n");
  Write(layer + "/etc/group", "root:x:0:\nwheel:x:10:app\n");
}

int CountEntries(const char* path) {
  DIR* dir = opendir(path);
  if (dir == nullptr) return -1;
  int count = 0;
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// Every directory that may be the root of a hierarchy: of the unified tree, or
// of a controller's.
std::vector<std::string> CgroupRoots() {
  std::vector<std::string> roots = {kCgroupRoot};
  for (const auto& entry : std::filesystem::directory_iterator(kCgroupRoot)) {
    if (entry.is_directory()) roots.push_back(entry.path());
  }
  return roots;
}

void ListTree(const std::string& root, std::vector<std::string>* out) {
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(root, error);
       !error && it != std::filesystem::recursive_directory_iterator();
       it.increment(error)) {
    out->push_back(it->path());
  }
}

}  // namespace

std::string CgroupParent() {
  return absl::StrCat("/warren-test-runtime-", getpid());
}

void RuntimeTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: makes namespaces, cgroups";
  if (access(kBusybox, X_OK) != 0) GTEST_SKIP() << "needs " << kBusybox;
  char directory[] = "/tmp/warren-runtime-test.XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  dir_ = directory;
  ASSERT_EQ(chmod(directory, 0755), 0);
  ASSERT_NO_FATAL_FAILURE(MakeLayer(layer()));
  Restart();
}

void RuntimeTest::Restart() {
  runtime_.reset();
  LinuxRuntimeOptions options;
  options.run_dir = dir_ + "/run";
  options.state_dir = dir_ + "/state";
  options.shim_path = WARREN_SHIM_PATH;
  options.default_cgroup_parent = default_cgroup_parent_;
  options.default_pids_limit = default_pids_limit_;
  auto made = MakeLinuxRuntime(options);
  ASSERT_TRUE(made.ok()) << made.status();
  runtime_ = *std::move(made);
  runtime_->SetExitCallback([this](const std::string& id, const ExitRecord& e) {
    absl::MutexLock lock(&mutex_);
    exits_[id] = e;
    ++exit_count_;
  });
  runtime_->SetPodInitCallback([this](const std::string& id) {
    absl::MutexLock lock(&mutex_);
    pod_init_ends_.push_back(id);
  });
}

void RuntimeTest::TearDown() {
  if (runtime_ != nullptr) {
    while (!containers_.empty()) Remove(ContainerSpec(containers_.back()));
    while (!pods_.empty()) Remove(SandboxSpec(pods_.back()));
    EXPECT_TRUE(runtime_->ListSandboxIds().empty());
    EXPECT_TRUE(runtime_->ListContainerIds().empty());
  }
  runtime_.reset();
  if (!dir_.empty()) {
    EXPECT_EQ(access((dir_ + "/run/pins.mnt").c_str(), F_OK), -1);
    const absl::Status removed = base::RemoveTree(AT_FDCWD, dir_);
    EXPECT_TRUE(removed.ok()) << removed;
  }
}

std::string RuntimeTest::NewId(char kind) {
  char id[65];
  snprintf(id, sizeof(id), "%c%07x%056x", kind, getpid() & 0xfffffff,
           ++serial_);
  return id;
}

SandboxSpec RuntimeTest::Pod() {
  SandboxSpec spec;
  spec.id = NewId('a');
  spec.hostname = "pod-" + std::to_string(serial_);
  spec.resolv_conf = "nameserver 192.0.2.1\n";
  spec.hosts = "127.0.0.1 localhost\n";
  return spec;
}

SandboxSpec RuntimeTest::UserNamespacePod() {
  SandboxSpec spec = Pod();
  spec.uid_mappings = {{0, 1 << 20, 65536}};
  spec.gid_mappings = {{0, 1 << 20, 65536}};
  return spec;
}

ContainerSpec RuntimeTest::Shell(const SandboxSpec& pod,
                                 const std::string& script) {
  ContainerSpec spec;
  spec.id = NewId('c');
  spec.sandbox = pod;
  spec.layer_dirs = {layer()};
  spec.args = {"sh", "-c", script};
  spec.env = {"PATH=/bin"};
  spec.pid = pod.pid;
  spec.capabilities = kDefaultCapabilities;
  spec.log_directory = dir_ + "/logs/" + pod.id;
  spec.log_path = spec.id.substr(58) + "/0.log";
  return spec;
}

SandboxSpec RuntimeTest::Resolved(SandboxSpec pod) {
  EXPECT_EQ(runtime_->ResolveSandbox(&pod, {}), absl::OkStatus());
  return pod;
}

absl::StatusOr<SandboxFacts> RuntimeTest::TryCreate(SandboxSpec pod) {
  RETURN_IF_ERROR(runtime_->ResolveSandbox(&pod, {}));
  return runtime_->CreateSandbox(pod);
}

absl::StatusOr<ContainerFacts> RuntimeTest::TryCreate(ContainerSpec spec) {
  RETURN_IF_ERROR(runtime_->ResolveContainer(&spec, {}));
  return runtime_->CreateContainer(spec);
}

SandboxFacts RuntimeTest::Create(const SandboxSpec& pod) {
  auto facts = TryCreate(pod);
  EXPECT_TRUE(facts.ok()) << facts.status();
  if (!facts.ok()) return {};
  pods_.push_back(pod);
  return *facts;
}

ContainerFacts RuntimeTest::Create(const ContainerSpec& spec) {
  auto facts = TryCreate(spec);
  EXPECT_TRUE(facts.ok()) << facts.status();
  if (!facts.ok()) return {};
  containers_.push_back(spec);
  return *facts;
}

StartFacts RuntimeTest::Start(const ContainerSpec& spec) {
  auto facts = runtime_->StartContainer(spec.id, base::Deadline::Never());
  EXPECT_TRUE(facts.ok()) << facts.status();
  return facts.ok() ? *facts : StartFacts();
}

ExitRecord RuntimeTest::WaitExit(const ContainerSpec& spec) {
  absl::MutexLock lock(&mutex_);
  const auto ended = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return exits_.count(spec.id) != 0;
  };
  EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&ended), Patience()))
      << "the container does not end";
  return exits_[spec.id];
}

std::string RuntimeTest::Control(const ContainerSpec& spec,
                                 const std::string& v1_file,
                                 const std::string& v2_file) {
  const bool v2 = runtime().GetFeatures().cgroup_v2;
  const std::string& file = v2 ? v2_file : v1_file;
  const std::string hierarchy =
      v2 ? "" : absl::StrCat("/", file.substr(0, file.find('.')));
  auto text = base::ReadFileAt(
      AT_FDCWD, absl::StrCat(kCgroupRoot, hierarchy, CgroupParent(), "/",
                             spec.id, "/", file));
  if (!text.ok()) return "missing";
  return text->substr(0, text->find('\n'));
}

std::string RuntimeTest::log_text(const ContainerSpec& spec) const {
  auto text = base::ReadFileAt(
      AT_FDCWD, spec.log_directory + "/" + spec.log_path, 64 << 20);
  return text.ok() ? *text : "";
}

std::string RuntimeTest::Run(const ContainerSpec& spec, int expected) {
  Create(spec);
  if (::testing::Test::HasFailure()) return "";
  if (Start(spec).shim.pid == 0) return "";
  const ExitRecord exit = WaitExit(spec);
  const std::string log = log_text(spec);
  EXPECT_EQ(exit.exit_code, expected) << log;
  return LogPayload(log, "stdout");
}

absl::StatusOr<agent::ExecSyncResult> RuntimeTest::ExecSync(
    const ContainerSpec& spec, const agent::ExecSyncCommand& command,
    const base::Deadline& caller) {
  return agent::RunExecSync(runtime_.get(), spec.id, command, &output_budget_,
                            caller);
}

std::string RuntimeTest::Exec(const ContainerSpec& spec,
                              const std::string& script) {
  agent::ExecSyncCommand command;
  command.args = {"sh", "-c", script};
  command.timeout = Patience();
  command.output_limit_bytes = 1 << 20;
  auto result = ExecSync(spec, command);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return "";
  EXPECT_EQ(result->exit_code, 0) << result->stderr_data;
  return result->stdout_data;
}

void RuntimeTest::WaitLog(const ContainerSpec& spec, const std::string& text) {
  const absl::Time deadline = absl::Now() + Patience();
  while (log_text(spec).find(text) == std::string::npos) {
    ASSERT_LT(absl::Now(), deadline) << "log: " << log_text(spec);
    ASSERT_FALSE(HasExited(spec.id)) << "log: " << log_text(spec);
    absl::SleepFor(absl::Milliseconds(2));
  }
}

void RuntimeTest::Remove(const ContainerSpec& spec) {
  const absl::Status removed =
      runtime_->RemoveContainer(spec, base::Deadline::Never());
  EXPECT_TRUE(removed.ok()) << removed;
  std::erase_if(containers_, [&](const auto& c) { return c.id == spec.id; });
}

void RuntimeTest::Remove(const SandboxSpec& pod) {
  const absl::Status removed =
      runtime_->RemoveSandbox(pod, base::Deadline::Never());
  EXPECT_TRUE(removed.ok()) << removed;
  std::erase_if(pods_, [&](const auto& p) { return p.id == pod.id; });
}

Ledger Ledger::Read(const std::string& dir) {
  Ledger ledger;
  auto mounts = base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo", 16 << 20);
  if (mounts.ok()) {
    ledger.mounts = absl::StrSplit(*mounts, '\n', absl::SkipEmpty());
  }
  for (const std::string& root : CgroupRoots()) {
    const std::string own = root + CgroupParent();
    if (access(own.c_str(), F_OK) == 0) {
      ledger.cgroups.push_back(own);
      std::error_code error;
      for (const auto& sub : std::filesystem::directory_iterator(own, error)) {
        if (sub.is_directory()) ledger.cgroups.push_back(sub.path());
      }
    }
  }
  ListTree(dir + "/run", &ledger.files);
  ListTree(dir + "/state", &ledger.files);
  std::sort(ledger.files.begin(), ledger.files.end());
  ledger.fds = CountEntries("/proc/self/fd");
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    auto text = base::ReadFileAt(AT_FDCWD, entry.path().string() + "/children");
    if (!text.ok()) continue;
    ledger.children +=
        static_cast<int>(std::count(text->begin(), text->end(), ' '));
  }
  return ledger;
}

void ExpectEqual(const Ledger& before, const Ledger& after) {
  // Whoever removes a directory of the machine takes the mounts on it out of
  // every mount namespace.
  std::vector<std::string> mounts = before.mounts;
  std::erase_if(mounts, [&](const std::string& line) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    const bool stays = std::find(after.mounts.begin(), after.mounts.end(),
                                 line) != after.mounts.end();
    return !stays && words.size() > 4 && access(words[4].c_str(), F_OK) != 0;
  });
  EXPECT_EQ(mounts, after.mounts);
  EXPECT_EQ(before.cgroups, after.cgroups);
  EXPECT_EQ(before.files, after.files);
  EXPECT_EQ(before.fds, after.fds);
  EXPECT_EQ(before.children, after.children);
}

std::string LogPayload(const std::string& log, const std::string& stream) {
  std::string payload;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> f =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (f.size() < 4 || f[1] != stream) continue;
    absl::StrAppend(&payload, f[3], f[2] == "F" ? "\n" : "");
  }
  return payload;
}

uint64_t NamespaceInode(pid_t pid, const char* name) {
  struct stat st;
  const std::string path = absl::StrCat("/proc/", pid, "/ns/", name);
  return stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

}  // namespace warren::runtime
