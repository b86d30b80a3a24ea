// seccomp: what a container and its exec sessions may call.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

using Profile = cri::SecurityProfile;

cri::LinuxContainerSecurityContext* Security(cri::ContainerConfig* config) {
  return config->mutable_linux()->mutable_security_context();
}

// mkdir gives EXDEV, or EBUSY if its mode is 0; sync EROFS, and with
// CAP_SYS_TIME nothing; umask depends on nothing and ends the process.
constexpr char kProfile[] = R"({
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18,
     "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_NE"}]},
    {"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO",
     "errno": "EBUSY",
     "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]},
    {"name": "sync", "action": "SCMP_ACT_ERRNO", "errnoRet": 30,
     "excludes": {"caps": ["CAP_SYS_TIME"]}},
    {"names": ["mseal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
    {"names": ["acct"], "action": "SCMP_ACT_KILL_PROCESS"}]})";
constexpr int kMseal = 462;

class SeccompTest : public CriTest {
 protected:
  // An idle container with the probe at /probe.
  static cri::ContainerConfig WithProbe(const std::string& name = "main") {
    cri::ContainerConfig config = IdleConfig(name);
    AddMount(&config, ProbePath(), "/probe", true);
    return config;
  }
  static cri::ContainerConfig WithProfile(Profile::ProfileType type,
                                          const std::string& ref = "") {
    cri::ContainerConfig config = WithProbe();
    Profile* profile = Security(&config)->mutable_seccomp();
    profile->set_profile_type(type);
    profile->set_localhost_ref(ref);
    return config;
  }
  std::string WriteProfile(const std::string& text) {
    const std::string path = daemon().directory() + "/profile.json";
    EXPECT_TRUE(WriteHostFile(path, text));
    return path;
  }
  void TearDown() override {
    unlink((daemon().directory() + "/profile.json").c_str());
    CriTest::TearDown();
  }

  // Modes of the filter of the first process and of an exec session.
  std::string Modes(const std::string& id) {
    std::string modes;
    for (const char* process : {"1", "self"}) {
      const std::vector<std::string> words = absl::StrSplit(
          ShellOutput(id,
                      absl::StrCat("grep Seccomp: /proc/", process, "/status")),
          absl::ByAnyChar("\t\n"));
      absl::StrAppend(&modes, words.size() > 1 ? words[1] : "?");
    }
    return modes;
  }
  // errno of calls that the probe makes in an exec session.
  std::map<std::string, int> Blocked(const std::string& id) {
    std::map<std::string, int> all;
    for (const absl::string_view line : absl::StrSplit(
             Output(id, {"/probe", "blocked"}), '\n', absl::SkipEmpty())) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      all[words[0]] = std::stoi(words[1]);
    }
    EXPECT_GT(all.size(), 50u);
    return all;
  }
  int Call(const std::string& id, int number,
           const std::vector<uint64_t>& arguments = {}) {
    std::vector<std::string> command = {"/probe", "call",
                                        std::to_string(number)};
    for (const uint64_t a : arguments) command.push_back(std::to_string(a));
    const std::string output = Output(id, command);
    return output.empty() ? -1 : std::stoi(output);
  }
};

TEST_F(SeccompTest, EXE_7_TheDefaultProfileBlocksTheDangerousCalls) {
  const std::string id = RunAlone(WithProfile(Profile::RuntimeDefault));
  EXPECT_EQ(Modes(id), "22");
  for (const auto& [name, error] : Blocked(id)) {
    EXPECT_TRUE(error == EPERM || error == ENOSYS) << name << " " << error;
  }
  EXPECT_EQ(Call(id, SYS_clone3), ENOSYS);
  EXPECT_EQ(Call(id, 2000), ENOSYS) << "newer than Warren";
  // It was not the kernel itself that refused them.
  cri::ContainerConfig free = WithProfile(Profile::Unconfined);
  free.mutable_metadata()->set_name("free");
  Security(&free)->mutable_capabilities()->add_add_capabilities("ALL");
  const std::string other = RunAlone(free);
  EXPECT_EQ(Modes(other), "00");
  int refused = 0;
  for (const auto& [name, error] : Blocked(other)) {
    EXPECT_NE(error, EPERM) << name;
    refused += error == ENOSYS;  // not in this kernel
  }
  EXPECT_LT(refused, 15);
}

TEST_F(SeccompTest, EXE_7_ACapabilityLiftsItsCallsOnly) {
  cri::ContainerConfig config = WithProfile(Profile::RuntimeDefault);
  auto* capabilities = Security(&config)->mutable_capabilities();
  for (const char* name : {"SYS_ADMIN", "SYS_PTRACE"}) {
    capabilities->add_add_capabilities(name);
  }
  const std::string id = RunAlone(config);
  EXPECT_EQ(Modes(id), "22");
  const std::map<std::string, int> calls = Blocked(id);
  for (const char* name :
       {"mount", "umount2", "fsopen", "setns", "clone_user", "unshare_net",
        "clone3", "process_vm_readv", "kcmp", "bpf", "perf_event_open"}) {
    EXPECT_NE(calls.at(name), EPERM) << name;
  }
  for (const char* name :
       {"keyctl", "add_key", "io_uring_setup", "userfaultfd", "kexec_load",
        "finit_module", "reboot", "clock_settime", "socket_alg", "socket_vsock",
        "open_by_handle_at", "mbind"}) {
    EXPECT_EQ(calls.at(name), EPERM) << name;
  }
}

TEST_F(SeccompTest, EXE_7_TheFilterHoldsForEveryIdentity) {
  for (const bool no_new_privs : {false, true}) {
    for (const int64_t uid : {0, 1000}) {
      cri::ContainerConfig config = WithProfile(Profile::RuntimeDefault);
      Security(&config)->mutable_run_as_user()->set_value(uid);
      Security(&config)->set_no_new_privs(no_new_privs);
      cri::PodSandboxConfig pod = Pod(absl::StrCat("p", uid, no_new_privs));
      if (uid != 0) {
        UseUserNamespace(NamespaceOptions(&pod), 1u << 20);
        UseUserNamespace(NamespaceOptions(&config), 1u << 20);
      }
      const std::string id = Run(RunPod(pod), pod, config);
      EXPECT_EQ(Modes(id), "22") << uid << no_new_privs;
      EXPECT_EQ(Call(id, SYS_keyctl, {99}), EPERM);
      const std::string caps =
          ShellOutput(id, "grep -E '^Cap(Prm|Eff|Inh)' /proc/1/status");
      EXPECT_FALSE(absl::StrContains(caps, "a82425fb")) << caps;
      EXPECT_EQ(absl::StrContains(caps, "00000000a80425fb"), uid == 0) << caps;
    }
  }
}

TEST_F(SeccompTest, EXE_7_AProfileOfTheNode) {
  const std::string path = WriteProfile(kProfile);
  const std::string id = RunAlone(WithProfile(Profile::Localhost, path));
  EXPECT_EQ(Modes(id), "22");
  EXPECT_EQ(Call(id, SYS_mkdir, {1, 0755}), EXDEV);
  EXPECT_EQ(Call(id, SYS_mkdir, {1, 0}), EBUSY);
  EXPECT_EQ(Call(id, SYS_rmdir, {1}), EFAULT);
  EXPECT_EQ(Call(id, SYS_sync), EROFS);
  EXPECT_EQ(Call(id, kMseal, {0, 0, 1}), EBADF);
  EXPECT_EQ(ExitCodeOf(id, {"/probe", "call", std::to_string(SYS_acct)}),
            128 + 31)
      << "SIGSYS";
  cri::ContainerConfig timed = WithProfile(Profile::Localhost, path);
  timed.mutable_metadata()->set_name("timed");
  Security(&timed)->mutable_capabilities()->add_add_capabilities("SYS_TIME");
  EXPECT_EQ(Call(RunAlone(timed), SYS_sync), 0);
}

TEST_F(SeccompTest, EXE_7_ItOutlivesTheAgentAndTheProfile) {
  const std::string path = WriteProfile(kProfile);
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string id =
      Run(pod_id, pod, WithProfile(Profile::Localhost, path));
  cri::ContainerConfig later = WithProfile(Profile::Localhost, path);
  later.mutable_metadata()->set_name("later");
  const auto created = client().CreateContainer(pod_id, later, pod);
  ASSERT_TRUE(created.ok()) << created.status();
  cri::ContainerConfig standard = WithProfile(Profile::RuntimeDefault);
  standard.mutable_metadata()->set_name("standard");
  const std::string other = Run(pod_id, pod, standard);
  WriteProfile(R"({"defaultAction": "SCMP_ACT_ALLOW"})");
  EXPECT_EQ(Call(id, SYS_mkdir, {1, 0755}), EXDEV) << "as it was";
  KillDaemon();
  ASSERT_EQ(unlink(path.c_str()), 0);
  StartDaemon();
  EXPECT_EQ(Call(id, SYS_mkdir, {1, 0755}), EXDEV);
  EXPECT_EQ(Modes(id), "22");
  ASSERT_TRUE(client().StartContainer(*created).ok());
  EXPECT_EQ(Modes(*created), "22");
  EXPECT_EQ(Call(*created, SYS_mkdir, {1, 0}), EBUSY);
  EXPECT_EQ(Modes(other), "22");
  EXPECT_EQ(Call(other, SYS_keyctl, {99}), EPERM);
}

TEST_F(SeccompTest, EXE_7_WhoGetsWhich) {
  const std::string path = WriteProfile(kProfile);
  const struct {
    std::function<void(cri::LinuxContainerSecurityContext*)> edit;
    const char* modes;
  } cases[] = {
      {[](auto*) {}, "00"},
      {[](auto* s) { s->mutable_seccomp(); }, "22"},
      {[](auto* s) { s->set_seccomp_profile_path("unconfined"); }, "00"},
      {[](auto* s) { s->set_seccomp_profile_path("runtime/default"); }, "22"},
      {[](auto* s) { s->set_seccomp_profile_path("docker/default"); }, "22"},
      {[&](auto* s) { s->set_seccomp_profile_path("localhost/" + path); },
       "22"},
      // The message counts.
      {[](auto* s) {
         s->mutable_seccomp()->set_profile_type(Profile::Unconfined);
         s->set_seccomp_profile_path("runtime/default");
       },
       "00"}};
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  int number = 0;
  for (const auto& c : cases) {
    cri::ContainerConfig config = IdleConfig(absl::StrCat("c", number));
    c.edit(Security(&config));
    EXPECT_EQ(Modes(Run(pod_id, pod, config)), c.modes) << number;
    ++number;
  }
}

TEST_F(SeccompTest, EXE_7_PrivilegedIsUnconfined) {
  cri::PodSandboxConfig pod = Pod("pod");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config =
      WithProfile(Profile::Localhost, "/no/such/profile.json");
  Security(&config)->set_privileged(true);
  EXPECT_EQ(Modes(Run(pod_id, pod, config)), "00");
}

// What must not end as "unconfined": of a container and of a pod sandbox.
struct Refusal {
  Profile::ProfileType type;
  std::string ref;
  std::string text;  // of the profile at `ref`
  absl::StatusCode code;
  std::string complaint;
};

std::vector<Refusal> Refusals(const std::string& path) {
  using enum absl::StatusCode;
  const std::string file = "seccomp: profile \"" + path + "\"";
  return {
      {Profile::Localhost, "", "", kInvalidArgument, "seccomp.localhost_ref"},
      {Profile::Localhost, "p.json", "", kInvalidArgument,
       "seccomp.localhost_ref"},
      {Profile::RuntimeDefault, path, "{}", kInvalidArgument,
       "seccomp.localhost_ref"},
      {Profile::Unconfined, path, "{}", kInvalidArgument,
       "seccomp.localhost_ref"},
      {static_cast<Profile::ProfileType>(9), "", "", kInvalidArgument,
       "seccomp.profile_type"},
      {Profile::Localhost, path + ".none", "", kFailedPrecondition,
       "is not there"},
      {Profile::Localhost, "/dev/zero", "", kInvalidArgument,
       "not a regular file"},
      {Profile::Localhost, "/proc/self/exe", "", kInvalidArgument,
       "is a symbolic link"},
      {Profile::Localhost, "/etc", "", kInvalidArgument, "not a regular file"},
      {Profile::Localhost, path, "", kInvalidArgument, file},
      {Profile::Localhost, path, "{}", kInvalidArgument,
       file + ": defaultAction: is missing"},
      {Profile::Localhost, path, std::string(2 << 20, ' '), kInvalidArgument,
       file + ": file is larger than"},
      {Profile::Localhost, path, R"({"defaultAction":"SCMP_ACT_NOTIFY"})",
       kInvalidArgument, "SCMP_ACT_NOTIFY is not supported"},
      {Profile::Localhost, path,
       R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
           "action":"SCMP_ACT_DENY"}]})",
       kInvalidArgument,
       file + ": syscalls[0].action: \"SCMP_ACT_DENY\" is unknown"}};
}

TEST_F(SeccompTest, EXE_7_BadProfilesAreRefusedNeverUnconfined) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string path = daemon().directory() + "/profile.json";
  for (const Refusal& c : Refusals(path)) {
    WriteProfile(c.text);
    const auto created =
        client().CreateContainer(pod_id, WithProfile(c.type, c.ref), pod);
    EXPECT_EQ(created.status().code(), c.code) << created.status();
    EXPECT_THAT(std::string(created.status().message()),
                testing::HasSubstr(c.complaint));
  }
  for (const char* old :
       {"odd", "localhost/", "localhost/p.json", "localhost//none"}) {
    cri::ContainerConfig config = IdleConfig("old");
    Security(&config)->set_seccomp_profile_path(old);
    EXPECT_FALSE(client().CreateContainer(pod_id, config, pod).ok()) << old;
  }
  EXPECT_TRUE(client().ListContainers({})->empty());
}

TEST_F(SeccompTest, EXE_7_TheSandboxesProfileIsCheckedToo) {
  const std::string path = daemon().directory() + "/profile.json";
  const auto pod_with = [&](Profile::ProfileType type, const std::string& ref) {
    cri::PodSandboxConfig pod = Pod("pod");
    Profile* profile =
        pod.mutable_linux()->mutable_security_context()->mutable_seccomp();
    profile->set_profile_type(type);
    profile->set_localhost_ref(ref);
    NamespaceOptions(&pod)->set_pid(cri::POD);
    return pod;
  };
  for (const Refusal& c : Refusals(path)) {
    WriteProfile(c.text);
    const auto made = client().RunPodSandbox(pod_with(c.type, c.ref));
    EXPECT_EQ(made.status().code(), c.code) << made.status();
    EXPECT_THAT(std::string(made.status().message()),
                testing::HasSubstr(c.complaint));
  }
  WriteProfile(kProfile);
  const cri::PodSandboxConfig pod = pod_with(Profile::Localhost, path);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  NamespaceOptions(&config)->set_pid(cri::POD);
  EXPECT_EQ(
      ShellOutput(Run(pod_id, pod, config), "grep Seccomp: /proc/self/status"),
      "Seccomp:\t0\n")
      << "it does not concern containers";
}

}  // namespace
}  // namespace warren::test
