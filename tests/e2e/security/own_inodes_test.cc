// What a container may do to modes, owners, times and attributes of what it can
// reach is done to its own: nothing of the node changes (FS-11).
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/host_file.h"

namespace warren::test {
namespace {

constexpr uint32_t kOwnInodesIds = 10 * 65536;
constexpr const char* kMasked[] = {"/proc/keys", "/proc/kcore",
                                   "/proc/timer_list", "/sys/firmware"};

struct Rights {
  const char* name;
  bool all_capabilities;  // else none at all
  bool users;             // a user namespace
  bool privileged;
};
constexpr Rights kRights[] = {{"none", false, false, false},
                              {"all", true, false, false},
                              {"users", true, true, false},
                              {"privileged", true, false, true},
                              {"users-privileged", true, true, true}};

class OwnInodesTest : public CriTest {
 protected:
  // All that somebody could have changed of the node's devices. ctime: a change
  // that was taken back is one, too.
  static std::string Devices() {
    return RunCommand({"find", "/dev", "-maxdepth", "1", "-type", "c", "-name",
                       "[nzfru]*", "-printf", "%p %m %U:%G %C@\n"})
        .out;
  }
  // Nothing is masked in a privileged container, and files of procfs and sysfs
  // are the kernel's: what is changed there is changed for the machine.
  static std::vector<std::string> Command(const Rights& rights) {
    std::vector<std::string> command = {"/escape", "metadata"};
    if (rights.privileged) return command;
    command.insert(command.end(), std::begin(kMasked), std::end(kMasked));
    return command;
  }
  cri::ContainerConfig Config(const Rights& rights, const std::string& name,
                              const std::vector<std::string>& command) {
    cri::ContainerConfig config = ContainerConfig(name, command);
    cri::LinuxContainerSecurityContext* context =
        config.mutable_linux()->mutable_security_context();
    (rights.all_capabilities
         ? context->mutable_capabilities()->mutable_add_capabilities()
         : context->mutable_capabilities()->mutable_drop_capabilities())
        ->Add("ALL");
    context->set_privileged(rights.privileged);
    context->mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::Unconfined);
    for (const char* path : kMasked) context->add_masked_paths(path);
    if (rights.users) {
      UseUserNamespace(NamespaceOptions(&config), kOwnInodesIds);
    }
    AddMount(&config, EscapeProbePath(), "/escape", true);
    return config;
  }
  // Every line about one of these: nothing worked.
  static void ExpectAllRefused(const std::string& out, const Rights& rights) {
    std::vector<std::string> paths;
    if (!rights.privileged) {
      paths.assign(std::begin(kMasked), std::end(kMasked));
    }
    paths.push_back("/proc/self/fd/0");
    paths.push_back("0");
    int found = 0;
    for (const absl::string_view line : absl::StrSplit(out, '\n')) {
      for (const std::string& path : paths) {
        if (!absl::StartsWith(line, path + " ")) continue;
        ++found;
        EXPECT_FALSE(absl::StrContains(line, "=OK"))
            << rights.name << ": " << line;
      }
    }
    EXPECT_EQ(found, static_cast<int>(paths.size())) << out;
  }
};

TEST_F(OwnInodesTest, FS_11_NothingOfTheNodeIsChangedFromInside) {
  const std::string before = Devices();
  ASSERT_TRUE(absl::StrContains(before, "/dev/null 666 0:0 ")) << before;
  for (const Rights& rights : kRights) {
    cri::PodSandboxConfig pod = Pod(absl::StrCat("pod-", rights.name));
    if (rights.users) {
      UseUserNamespace(NamespaceOptions(&pod), kOwnInodesIds);
    }
    pod.mutable_linux()->mutable_security_context()->set_privileged(
        rights.privileged);
    const std::string pod_id = RunPod(pod);
    // By the program of a container, whose stdin is none.
    const std::string program =
        Run(pod_id, pod, Config(rights, "program", Command(rights)));
    EXPECT_EQ(WaitExited(program).exit_code(), 0);
    std::string own;
    for (const absl::string_view line :
         absl::StrSplit(ReadHostFile(StatusOf(program).log_path()), '\n')) {
      // stamp, stream, tag, text
      const std::vector<std::string> parts =
          absl::StrSplit(line, absl::MaxSplits(' ', 3));
      if (parts.size() == 4) absl::StrAppend(&own, parts[3], "\n");
    }
    ExpectAllRefused(own, rights);
    EXPECT_EQ(Devices(), before) << rights.name;
    // And by that of an exec session.
    const std::string idle =
        Run(pod_id, pod, Config(rights, "idle", {"sleep", "1000"}));
    const std::string out = Output(idle, Command(rights));
    ExpectAllRefused(out, rights);
    EXPECT_EQ(Devices(), before) << rights.name;
    RemoveAllPods();
  }
}

// The program that the pod init is, is that of all shims: without a mode that
// lets it be executed nothing would start any more.
TEST_F(OwnInodesTest, FS_11_TheShimCannotBeMadeUnusableFromInside) {
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_pid(cri::POD);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = Config(kRights[1], "main", {"sleep", "1000"});
  NamespaceOptions(&config)->set_pid(cri::POD);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_NE(ExitCodeOf(id, {"chmod", "0", "/proc/1/exe"}), 0);
  EXPECT_EQ(ShellOutput(id, "stat -L -c %a /proc/1/exe"), "500\n")
      << "it was in reach";
}

}  // namespace
}  // namespace warren::test
