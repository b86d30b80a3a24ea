// A container that tries every known way out (tests/support/escape): each is
// refused, and nothing of the node has changed afterwards.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/capability.h"
#include "runtime/base/process.h"
#include "tests/e2e/security/escape_table.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kStart = 7 * 65536;
constexpr key_t kShmKey = 0x77617272;
constexpr char kAbstract[] = "warren-canary";

// What a kubelet sends unless a pod asks for procMount: Unmasked.
constexpr const char* kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadonly[] = {"/proc/bus", "/proc/fs", "/proc/irq",
                                     "/proc/sys", "/proc/sysrq-trigger"};

// Things of the node that a container must not reach.
class EscapeTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    secret_ = daemon().directory() + "/secret";
    ASSERT_TRUE(WriteHostFile(secret_, "of the node", 0600));
    // A number that no process of a container has.
    ASSERT_TRUE(WriteHostFile("/proc/sys/kernel/ns_last_pid", "25000"));
    base::SpawnOptions options;
    options.path = "/bin/sleep";
    options.args = {"sleep", "1000"};
    auto child = base::Spawn(options);
    ASSERT_TRUE(child.ok()) << child.status();
    victim_ = *std::move(child);
    shm_ = shmget(kShmKey, 4096, IPC_CREAT | 0666);
    ASSERT_GE(shm_, 0);
    Listen();
    key_ = syscall(SYS_add_key, "user", "warren-canary", "x", 1,
                   KEY_SPEC_USER_KEYRING);
    before_ = Canaries();
  }

  void TearDown() override {
    EXPECT_EQ(Canaries(), before_);
    EXPECT_TRUE(base::SendSignal(victim_.pidfd.get(), 0).ok()) << "alive";
    base::SendSignal(victim_.pidfd.get(), SIGKILL).IgnoreError();
    base::WaitExit(victim_.pidfd.get(), absl::Seconds(5)).IgnoreError();
    base::Reap(victim_.pidfd.get()).IgnoreError();
    shmctl(shm_, IPC_RMID, nullptr);
    if (key_ > 0) syscall(SYS_keyctl, KEYCTL_REVOKE, key_);
    socket_.reset();
    CriTest::TearDown();
  }

  void Listen() {
    socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, kAbstract, sizeof(kAbstract) - 1);
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address),
                   offsetof(sockaddr_un, sun_path) + sizeof(kAbstract)),
              0);
    ASSERT_EQ(listen(socket_.get(), 5), 0);
  }

  std::map<std::string, std::string> Canaries() const {
    std::map<std::string, std::string> all;
    for (const std::string name : {"core_pattern", "hostname", "domainname",
                                   "panic", "printk", "sysrq"}) {
      all[name] = ReadHostFile("/proc/sys/kernel/" + name);
    }
    all["secret"] = ReadHostFile(secret_);
    all["mounts"] = RunCommand({"cat", "/proc/self/mountinfo"}).out;
    all["probe"] = RunCommand({"sha256sum", EscapeProbePath()}).out;
    all["roots"] = RunCommand({"ls", "/", "/dev", "/etc"}).out;
    return all;
  }

  // The whole command of a container's probe.
  std::vector<std::string> Command() const {
    struct stat st;
    EXPECT_EQ(stat("/", &st), 0);
    return {"/escape",
            absl::StrCat("pid=", victim_.id.pid),
            absl::StrCat("disk=", major(st.st_dev), ":", minor(st.st_dev)),
            "secret=" + secret_,
            absl::StrCat("shm=", kShmKey),
            absl::StrCat("abstract=", kAbstract)};
  }

  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }

  // A pod and a container of one mode; the container.
  std::string RunMode(const EscapeMode& mode) {
    cri::PodSandboxConfig pod = Pod("pod-" + mode.Name());
    cri::ContainerConfig config = IdleConfig("main");
    Configure(mode, &pod, &config);
    const std::string pod_id = RunPod(pod);
    if (mode.pid == 't') {
      cri::ContainerConfig target = IdleConfig("target");
      *NamespaceOptions(&target) = *NamespaceOptions(&config);
      NamespaceOptions(&target)->set_pid(cri::CONTAINER);
      NamespaceOptions(&config)->set_pid(cri::TARGET);
      NamespaceOptions(&config)->set_target_id(Run(pod_id, pod, target));
    }
    return Run(pod_id, pod, config);
  }

  // The probe, the paths that a kubelet covers, and whether there is a filter.
  static void AddProbe(bool filter, cri::ContainerConfig* config) {
    cri::LinuxContainerSecurityContext* security = Security(config);
    for (const char* path : kMasked) security->add_masked_paths(path);
    for (const char* path : kReadonly) security->add_readonly_paths(path);
    security->mutable_seccomp()->set_profile_type(
        filter ? cri::SecurityProfile::RuntimeDefault
               : cri::SecurityProfile::Unconfined);
    AddMount(config, EscapeProbePath(), "/escape", true);
  }

  static void Configure(const EscapeMode& mode, cri::PodSandboxConfig* pod,
                        cri::ContainerConfig* config) {
    AddProbe(mode.filter, config);
    if (mode.pid == 's' || mode.pid == 'p') {
      const auto pid = mode.pid == 's' ? cri::POD : cri::NODE;
      NamespaceOptions(pod)->set_pid(pid);
      NamespaceOptions(config)->set_pid(pid);
    }
    auto* capabilities = Security(config)->mutable_capabilities();
    if (mode.rights == 'x') {
      capabilities->add_drop_capabilities("ALL");
    } else if (mode.rights == 'c') {
      for (const char* name :
           {"NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_CHROOT"}) {
        capabilities->add_add_capabilities(name);
      }
    } else if (mode.rights == 'u' || mode.rights == 'r') {
      UseUserNamespace(NamespaceOptions(pod), kStart);
      UseUserNamespace(NamespaceOptions(config), kStart);
      capabilities->add_add_capabilities("ALL");
      if (mode.rights == 'u') return;
      pod->mutable_linux()->mutable_security_context()->set_privileged(true);
      Security(config)->set_privileged(true);
    } else if (mode.rights == 'n') {
      pod->clear_hostname();
      NamespaceOptions(pod)->set_network(cri::NODE);
      NamespaceOptions(config)->set_network(cri::NODE);
    }
  }

  // What the probe said, compared with the rows whose refusal does (not) need
  // the filter. Prints the line of the table of who may do what.
  static void Compare(const std::string& who,
                      const std::set<std::string>& granted,
                      const std::string& output, bool filter) {
    std::map<std::string, std::string> said;
    for (const auto& line :
         absl::StrSplit(output, '\n', absl::SkipWhitespace())) {
      const std::pair<std::string, std::string> words =
          absl::StrSplit(line, ' ');
      said.insert(words);
    }
    std::string may;
    for (const EscapeRow& row : EscapeTable()) {
      const std::string answer = said[row.attempt];
      said.erase(row.attempt);
      if (row.filter != filter) continue;
      const bool refused = row.IsRefusal(answer);
      if (!refused) absl::StrAppend(&may, " ", row.attempt, "=", answer);
      if (granted.count(row.attempt) != 0) continue;
      EXPECT_TRUE(refused) << row.attempt << " in a container of mode " << who
                           << ": \"" << answer << '"';
    }
    std::cout << who << (filter ? ", of what the filter refuses:" : ":")
              << (may.empty() ? " nothing" : may) << std::endl;
    for (const auto& [attempt, answer] : said) {
      ADD_FAILURE() << attempt << " is in no row of the table";
    }
  }

  std::string secret_;
  base::Child victim_;
  base::UniqueFd socket_;
  int shm_ = -1;
  long key_ = -1;
  std::map<std::string, std::string> before_;
};

TEST_F(EscapeTest, EveryKnownWayOutIsClosed) {
  for (const EscapeMode& mode : EscapeModes()) {
    Compare(mode.Name(), GrantedTo(mode), Output(RunMode(mode), Command()),
            false);
    RemoveAllPods();
  }
}

// A filter is the same in every pid namespace.
TEST_F(EscapeTest, EXE_7_TheFilterClosesTheRest) {
  for (const EscapeMode& mode : EscapeModes()) {
    if (!mode.filter || mode.pid == 't' || mode.pid == 's') continue;
    Compare(mode.Name(), GrantedTo(mode), Output(RunMode(mode), Command()),
            true);
    RemoveAllPods();
  }
}

TEST_F(EscapeTest, EXE_6_EachCapabilityAloneBringsItsOwnOnly) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const std::string name : base::kCapabilityNames) {
    if (name == "SYS_ADMIN") continue;
    cri::ContainerConfig config = IdleConfig(absl::AsciiStrToLower(name));
    AddProbe(/*filter=*/true, &config);
    auto* capabilities = Security(&config)->mutable_capabilities();
    capabilities->add_drop_capabilities("ALL");
    capabilities->add_add_capabilities(name);
    const std::string id = Run(pod_id, pod, config);
    const std::string output = Output(id, Command());
    for (const bool filter : {false, true}) {
      Compare(name, GrantedBy(name), output, filter);
    }
    EXPECT_TRUE(client().RemoveContainer(id).ok());
  }
}

TEST_F(EscapeTest, AContainersOwnProgramIsNoStrongerThanAnExecSession) {
  cri::PodSandboxConfig pod = Pod("pod");
  cri::ContainerConfig config = ContainerConfig("main", Command());
  AddProbe(/*filter=*/true, &config);
  const std::string id = Run(RunPod(pod), pod, config);
  EXPECT_EQ(WaitExited(id).exit_code(), 0);
  std::string output;
  for (const auto& line : absl::StrSplit(ReadHostFile(StatusOf(id).log_path()),
                                         '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    ASSERT_EQ(words.size(), 4u);
    absl::StrAppend(&output, words[3], "\n");
  }
  Compare("own program", {}, output, false);
}

}  // namespace
}  // namespace warren::test
