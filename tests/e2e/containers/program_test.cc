// How a container's program is called and ended, what limits it has, and what
// of a request is kept as a fact: stop signals, rlimits, oom_score_adj,
// terminal and input, the pod's files, privileged.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr char kProgramImage[] = "example.test/signals:1";

class ProgramTest : public CriTest {
 protected:
  bool Import(const std::string& config_json,
              const std::vector<TarMember>& files = {}) {
    OciImage image;
    image.config_json = config_json;
    image.layers = {BusyboxLayer({"sh", "sleep", "cat", "ls", "pwd"}, files)};
    return client().ImportImage(kProgramImage, OciArchive(image)).ok();
  }
  // Lines of /proc/<pid>/limits that the test looks at.
  static std::string Limits(pid_t pid, const std::string& name) {
    for (absl::string_view line : absl::StrSplit(
             ReadHostFile(absl::StrCat("/proc/", pid, "/limits")), '\n')) {
      if (absl::StartsWith(line, name)) return std::string(line);
    }
    return "";
  }
};

// Ends with 100 + the number of the signal that it gets.
constexpr char kTeller[] =
    "for s in 1 2 3 10 12 15 28 34 37 49 50 63 64; do "
    "trap \"exit $((100 + s))\" $s; done; "
    "echo up; while :; do sleep 1000 & wait; done";

TEST_F(ProgramTest, StopSignalsOfImageAndRequest) {
  const struct {
    const char* image;
    cri::Signal request;
    int number;
  } cases[] = {
      {"", cri::SIGNAL_RUNTIME_DEFAULT, 15},
      {"SIGTERM", cri::SIGNAL_RUNTIME_DEFAULT, 15},
      {"INT", cri::SIGNAL_RUNTIME_DEFAULT, 2},
      {"sigquit", cri::SIGNAL_RUNTIME_DEFAULT, 3},
      {"12", cri::SIGNAL_RUNTIME_DEFAULT, 12},
      {"RTMIN+3", cri::SIGNAL_RUNTIME_DEFAULT, 37},
      {"SIGRTMIN", cri::SIGNAL_RUNTIME_DEFAULT, 34},
      {"SIGRTMAX-1", cri::SIGNAL_RUNTIME_DEFAULT, 63},
      {"SIGINT", cri::SIGNAL_SIGHUP, 1},
      {"", cri::SIGNAL_SIGWINCH, 28},
      {"", cri::SIGNAL_SIGRTMINPLUS15, 49},
      {"", cri::SIGNAL_SIGRTMAXMINUS14, 50},
      {"", cri::SIGNAL_SIGRTMAX, 64},
  };
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const auto& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.image, "/", cri::Signal_Name(c.request)));
    ASSERT_TRUE(Import(absl::StrCat("{\"StopSignal\":\"", c.image, "\"}")));
    cri::ContainerConfig config =
        ShellConfig(absl::StrCat("s", c.number, c.image, c.request), kTeller);
    config.set_log_path("log." + std::to_string(&c - cases));
    config.mutable_image()->set_image(kProgramImage);
    config.set_stop_signal(c.request);
    const std::string id = Run(pod_id, pod, config);
    if (c.request != cri::SIGNAL_RUNTIME_DEFAULT) {
      EXPECT_EQ(StatusOf(id).stop_signal(), c.request);
    }
    EXPECT_TRUE(Eventually([&] {
      return ReadHostFile(StatusOf(id).log_path()).find("up") !=
             std::string::npos;
    }));
    EXPECT_TRUE(client().StopContainer(id, 20).ok());
    EXPECT_EQ(StatusOf(id).exit_code(), 100 + c.number);
    EXPECT_TRUE(client().RemoveContainer(id).ok());
  }
}

TEST_F(ProgramTest, EveryStopSignalOfCriIsTaken) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (int i = 1; i <= cri::Signal_MAX; ++i) {
    if (!cri::Signal_IsValid(i)) continue;
    cri::ContainerConfig config = IdleConfig("s" + std::to_string(i));
    config.set_stop_signal(static_cast<cri::Signal>(i));
    const auto id = client().CreateContainer(pod_id, config, pod);
    ASSERT_TRUE(id.ok()) << cri::Signal_Name(static_cast<cri::Signal>(i));
    EXPECT_NE(StatusOf(*id).stop_signal(), cri::SIGNAL_RUNTIME_DEFAULT);
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
}

TEST_F(ProgramTest, ABadStopSignalOfTheImageIsAnError) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const char* bad : {"SIGNONSENSE", "0", "65", "-1", "15 ", "RTMIN+31"}) {
    ASSERT_TRUE(Import(absl::StrCat("{\"StopSignal\":\"", bad, "\"}")));
    cri::ContainerConfig config = IdleConfig("main");
    config.mutable_image()->set_image(kProgramImage);
    EXPECT_CODE(client().CreateContainer(pod_id, config, pod).status(),
                kFailedPrecondition)
        << bad;
    config.set_stop_signal(cri::SIGNAL_SIGTERM);
    const auto id = client().CreateContainer(pod_id, config, pod);
    EXPECT_TRUE(id.ok()) << bad << " does not matter";
    if (id.ok()) {
      EXPECT_TRUE(client().RemoveContainer(*id).ok());
    }
  }
}

// CRI has none: the daemon's are inherited, and those are sane.
TEST_F(ProgramTest, ResourceLimitsAreTheDaemons) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  for (const char* name :
       {"Max open files", "Max core file size", "Max locked memory",
        "Max stack size", "Max cpu time", "Max file size",
        "Max address space"}) {
    EXPECT_EQ(Limits(pid, name), Limits(daemon().pid(), name));
  }
  rlimit own = {};
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, nullptr, &own), 0);
  EXPECT_EQ(own.rlim_cur, own.rlim_max) << "all that the node gives";
  EXPECT_GE(own.rlim_cur, 1024u);
  ASSERT_EQ(prlimit(pid, RLIMIT_CORE, nullptr, &own), 0);
  EXPECT_EQ(own.rlim_cur, 0u) << "no core dumps unless raised";
  ASSERT_EQ(prlimit(pid, RLIMIT_MEMLOCK, nullptr, &own), 0);
  EXPECT_GE(own.rlim_cur, 64u << 10);
  EXPECT_EQ(ShellOutput(id, "grep 'open files' /proc/1/limits"),
            ShellOutput(id, "grep 'open files' /proc/self/limits"))
      << "exec sessions too";
}

TEST_F(ProgramTest, OomScoreIsSetOrClampedToWhatTheDaemonMay) {
  const std::string own =
      ReadHostFile(absl::StrCat("/proc/", daemon().pid(), "/oom_score_adj"));
  uint64_t effective = 0;
  ASSERT_TRUE(
      absl::SimpleHexAtoi(ProcessStatus(daemon().pid(), "CapEff"), &effective));
  const bool may_lower = (effective >> 24 & 1) != 0;  // CAP_SYS_RESOURCE
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const int64_t asked : {-998, 0, 500, 1000}) {
    cri::ContainerConfig config = IdleConfig("c" + std::to_string(asked));
    config.mutable_linux()->mutable_resources()->set_oom_score_adj(asked);
    const std::string id = Run(pod_id, pod, config);
    const int64_t expected =
        may_lower ? asked : std::max<int64_t>(asked, std::stoi(own));
    EXPECT_EQ(ShellOutput(id, "cat /proc/1/oom_score_adj"),
              absl::StrCat(expected, "\n"));
    EXPECT_EQ(ShellOutput(id, "cat /proc/self/oom_score_adj"),
              absl::StrCat(expected, "\n"))
        << "exec sessions too";
  }
}

TEST_F(ProgramTest, TerminalAndInputAreKeptAsFacts) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  config.set_tty(true);
  config.set_stdin(true);
  config.set_stdin_once(true);
  const std::string terminal = Run(pod_id, pod, config);
  const std::string plain = Run(pod_id, pod, IdleConfig("plain"));
  for (const bool restarted : {false, true}) {
    if (restarted) {
      KillDaemon();
      StartDaemon();
    }
    cri::ContainerStatusRequest request;
    request.set_container_id(terminal);
    request.set_verbose(true);
    const auto status = client().Call<cri::ContainerStatusResponse>(request);
    ASSERT_TRUE(status.ok()) << status.status();
    const std::string& info = status->info().at("info");
    for (const char* fact :
         {"\"tty\":true", "\"stdin\":true", "\"stdin_once\":true"}) {
      EXPECT_THAT(info, testing::HasSubstr(fact));
    }
  }
  EXPECT_EQ(
      ShellOutput(terminal, "readlink /proc/1/fd/0; readlink /proc/1/fd/1"),
      "/dev/pts/0\n/dev/pts/0\n");
  EXPECT_THAT(ShellOutput(terminal, "tr '\\0' '\\n' </proc/1/environ"),
              testing::HasSubstr("TERM=xterm\n"));
  EXPECT_EQ(ShellOutput(plain, "readlink /proc/1/fd/0"), "/dev/null\n");
  EXPECT_THAT(ShellOutput(plain, "tr '\\0' '\\n' </proc/1/environ"),
              testing::Not(testing::HasSubstr("TERM=")));
  // Input that is asked for stays open: a reader waits.
  cri::ContainerConfig reader = ShellConfig("reader", "cat; echo ended");
  reader.set_stdin(true);
  const std::string waits = Run(pod_id, pod, reader);
  EXPECT_EQ(StatusOf(waits).state(), cri::CONTAINER_RUNNING);
  EXPECT_THAT(ShellOutput(waits, "readlink /proc/1/fd/0"),
              testing::StartsWith("pipe:["));
}

TEST_F(ProgramTest, EXE_4_AWorkingFolderThroughADescriptorFailsTheStart) {
  ASSERT_TRUE(
      Import("{}", {{.name = "up", .type = '2', .link = "/proc/self/fd/3"}}));
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const std::string directory :
       {"/proc/self/fd/3", "/proc/self/fd/8", "/proc/1/root", "/proc/self/cwd",
        "/up"}) {
    cri::ContainerConfig config = ShellConfig("main", "ls; pwd");
    config.mutable_image()->set_image(kProgramImage);
    config.set_working_dir(directory);
    const auto id = client().CreateContainer(pod_id, config, pod);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_FALSE(client().StartContainer(*id).ok()) << directory;
    EXPECT_EQ(ReadHostFile(StatusOf(*id).log_path()), "") << directory;
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
}

// ---- The pod's files ----

TEST_F(ProgramTest, ThePodsFilesAreAsSpecified) {
  // Without dns_config: those of the node.
  cri::PodSandboxConfig absent = Pod("absent");
  const std::string pod_a = RunPod(absent);
  const std::string ip =
      client().PodSandboxStatus(pod_a)->status().network().ip();
  const std::string a = Run(pod_a, absent, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(a, "cat /etc/resolv.conf"),
            ReadHostFile("/etc/resolv.conf"));
  // Its own name last.
  EXPECT_EQ(ShellOutput(a, "cat /etc/hosts"),
            absl::StrCat(ReadHostFile("/etc/hosts"), ip, "\t",
                         absent.hostname(), "\n"));
  EXPECT_EQ(ShellOutput(a, "hostname -i"), absl::StrCat(ip, "\n"));
  EXPECT_EQ(ShellOutput(a,
                        "stat -c '%a %u:%g %F' /etc/resolv.conf /etc/hosts "
                        "/etc/hostname"),
            "644 0:0 regular file\n644 0:0 regular file\n"
            "644 0:0 regular file\n");
  // With an empty one: an empty file.
  cri::PodSandboxConfig empty = Pod("empty");
  empty.mutable_dns_config();
  const std::string pod_id = RunPod(empty);
  const std::string b = Run(pod_id, empty, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(b, "cat /etc/resolv.conf; stat -c %s /etc/resolv.conf"),
            "0\n");
  // A mount of the request takes their place.
  const std::string file = daemon().directory() + "/resolv.conf";
  ASSERT_TRUE(WriteHostFile(file, "nameserver 192.0.2.9\n"));
  cri::ContainerConfig config = IdleConfig("own");
  AddMount(&config, file, "/etc/resolv.conf", true);
  const std::string c = Run(pod_id, empty, config);
  EXPECT_EQ(ShellOutput(c, "cat /etc/resolv.conf"), "nameserver 192.0.2.9\n");
  EXPECT_EQ(ShellOutput(b, "cat /etc/resolv.conf"), "");
}

// ---- Privileged: exactly its list ----

TEST_F(ProgramTest, PrivilegedIsExactlyItsList) {
  cri::PodSandboxConfig pod = Pod("pod");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  auto* security = config.mutable_linux()->mutable_security_context();
  security->set_privileged(true);
  security->mutable_run_as_user()->set_value(0);
  security->add_masked_paths("/proc/version");
  security->add_readonly_paths("/proc/sys");
  security->mutable_capabilities()->add_drop_capabilities("ALL");
  const std::string id = Run(pod_id, pod, config);
  const pid_t pid = HostPid(pod_id, id);
  // All that the daemon has, whatever was to be dropped.
  EXPECT_EQ(ProcessStatus(pid, "CapEff"),
            ProcessStatus(daemon().pid(), "CapEff"));
  EXPECT_EQ(ProcessStatus(pid, "CapBnd"), ProcessStatus(pid, "CapEff"));
  EXPECT_EQ(ProcessStatus(pid, "Seccomp"), "0");
  EXPECT_NE(ShellOutput(id, "cat /proc/version"), "") << "nothing is masked";
  // On v1 /sys/fs/cgroup itself is only the directory of the hierarchies.
  EXPECT_EQ(ShellOutput(id,
                        "grep -E '^(proc|sysfs|cgroup2?) /(proc|sys)' "
                        "/proc/mounts | grep ' ro,' || echo none"),
            "none\n");
  EXPECT_EQ(ShellOutput(id,
                        "echo 2 >/proc/sys/net/ipv4/ip_default_ttl; "
                        "cat /proc/sys/net/ipv4/ip_default_ttl"),
            "2\n");
  // Not the node's namespaces.
  for (const char* kind : {"net", "ipc", "uts", "pid", "mnt"}) {
    EXPECT_NE(NamespaceInode(pid, kind), NamespaceInode(getpid(), kind))
        << kind;
  }
  // Nor user 0.
  cri::ContainerConfig user = IdleConfig("user");
  user.mutable_linux()->mutable_security_context()->set_privileged(true);
  user.mutable_linux()
      ->mutable_security_context()
      ->mutable_run_as_user()
      ->set_value(1000);
  EXPECT_EQ(ShellOutput(Run(pod_id, pod, user), "id -u"), "1000\n");
}

TEST_F(ProgramTest, PrivilegedNeedsAPrivilegedPod) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_linux()->mutable_security_context()->set_privileged(true);
  const absl::Status status =
      client().CreateContainer(pod_id, config, pod).status();
  EXPECT_CODE(status, kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("privileged"));
  // What the caller says of the pod now does not count.
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  EXPECT_CODE(client().CreateContainer(pod_id, config, pod).status(),
              kInvalidArgument);
}

}  // namespace
}  // namespace warren::test
