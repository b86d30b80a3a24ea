// EXE-8 on a host with AppArmor: what is asked for is what the kernel enforces
// in programs and in exec sessions, and what it cannot enforce is refused. The
// profiles are the test's own, compiled by apparmor_parser.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/require.h"
#include "tests/support/temp_directory.h"

namespace warren::test {
namespace {

using testing::HasSubstr;
using SecurityContext = cri::LinuxContainerSecurityContext;

constexpr char kStrict[] = "warren-test-strict";
constexpr char kDefault[] = "warren-test-default";
constexpr char kFleeting[] = "warren test fleeting";  // names may hold blanks
constexpr char kUnconfined[] = "unconfined\n";

std::string Enforced(const std::string& profile) {
  return profile + " (enforce)\n";
}

std::string MissingAppArmor() {
  const std::string enabled =
      ReadHostFile("/sys/module/apparmor/parameters/enabled");
  if (!absl::StartsWith(enabled, "Y")) return "the host has no AppArmor";
  if (!HostFileExists("/sys/kernel/security/apparmor/.replace")) {
    return "AppArmor's files (securityfs) are not mounted";
  }
  return MissingProgram("apparmor_parser");
}

// All but what a test looks for. No include: nothing of /etc/apparmor.d is
// needed. Descriptors from outside have no name inside.
std::string ProfileText(const std::string& name) {
  return absl::StrCat("profile \"", name,
                      "\" flags=(attach_disconnected,mediate_deleted) {\n"
                      "  file,\n  capability,\n  network,\n  signal,\n"
                      "  ptrace,\n  unix,\n"
                      "  deny /denied/** rwklx,\n"
                      "  deny capability sys_chroot,\n"
                      "}\n");
}

class AppArmorTest : public CriTest {
 protected:
  void SetUp() override {
    WARREN_REQUIRE(MissingAppArmor());
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    Load(kStrict);
    Load(kDefault);
  }
  void TearDown() override {
    if (IsSkipped()) return;
    RemoveAllPods();
    if (!daemon().extra_network.empty()) ConfigureDefault("");
    for (const char* name : {kStrict, kDefault, kFleeting}) Unload(name);
    CriTest::TearDown();
  }

  void Load(const std::string& name) { Parser("--replace", name); }
  void Unload(const std::string& name) {
    const std::string list =
        ReadHostFile("/sys/kernel/security/apparmor/profiles");
    if (absl::StrContains(list, name + " (")) Parser("--remove", name);
  }
  void ConfigureDefault(const std::string& profile) {
    ASSERT_TRUE(daemon().Terminate().ok());
    daemon().extra_network = profile.empty()
                                 ? ""
                                 : absl::StrCat(
                                       "[security]\napparmor_default_profile "
                                       "= \"",
                                       profile, "\"\n");
    StartDaemon();
  }

  static SecurityContext* Security(cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  static void UseProfile(cri::ContainerConfig* config,
                         const std::string& name) {
    auto* profile = Security(config)->mutable_apparmor();
    profile->set_profile_type(cri::SecurityProfile::Localhost);
    profile->set_localhost_ref(name);
  }
  // Of the container's program, then of an exec session.
  void ExpectConfined(const std::string& id, const std::string& expected) {
    EXPECT_EQ(ShellOutput(id, "cat /proc/1/attr/current"), expected);
    EXPECT_EQ(ShellOutput(id, "cat /proc/self/attr/current"), expected);
  }

 private:
  void Parser(const std::string& verb, const std::string& name) {
    const std::string file = directory_.path() + "/profile";
    ASSERT_TRUE(WriteHostFile(file, ProfileText(name)));
    const CommandResult result =
        RunCommand({"apparmor_parser", "--quiet", "--skip-cache", verb, file});
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  }

  TempDirectory directory_;
};

TEST_F(AppArmorTest, EXE_8_AProfileConfinesProgramsAndExecSessions) {
  struct Case {
    const char* name;
    bool no_new_privs, mapped;
    int64_t uid;
  };
  for (const Case& test : std::vector<Case>{{"plain", false, false, 0},
                                            {"nnp", true, false, 0},
                                            {"user", true, false, 1000},
                                            {"mapped", false, true, 0},
                                            {"mapped-nnp", true, true, 1000}}) {
    SCOPED_TRACE(test.name);
    cri::PodSandboxConfig pod = Pod(test.name);
    cri::ContainerConfig config = ShellConfig(
        "main", "cat /denied/file; echo $? >/result; exec sleep 1000");
    UseProfile(&config, kStrict);
    Security(&config)->set_no_new_privs(test.no_new_privs);
    Security(&config)->mutable_run_as_user()->set_value(test.uid);
    Security(&config)->mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::RuntimeDefault);
    if (test.mapped) {
      UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
      UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
    }
    const TempDirectory shared;
    ASSERT_EQ(chmod(shared.path().c_str(), 0777), 0);
    ASSERT_TRUE(WriteHostFile(shared.path() + "/file", "x", 0666));
    AddMount(&config, shared.path(), "/denied", false);
    AddMount(&config, shared.path(), "/allowed", false);
    const std::string id = Run(RunPod(pod), pod, config);
    ExpectConfined(id, Enforced(kStrict));
    EXPECT_EQ(ShellOutput(id, "cat /proc/self/attr/apparmor/current"),
              Enforced(kStrict));
    // The same file by another name.
    EXPECT_EQ(ShellOutput(id, "cat /allowed/file"), "x");
    EXPECT_EQ(ExitCodeOf(id, {"cat", "/denied/file"}), 1);
    EXPECT_EQ(ExitCodeOf(id, {"touch", "/denied/new"}), 1);
    if (test.uid != 0) continue;
    EXPECT_EQ(ShellOutput(id, "cat /result"), "1\n");
    // It has the capability; the profile keeps it from it.
    EXPECT_NE(ExitCodeOf(id, {"chroot", "/", "true"}), 0);
  }
}

TEST_F(AppArmorTest, EXE_8_ItHoldsForAnAgentThatWasKilled) {
  cri::ContainerConfig config = IdleConfig("main");
  UseProfile(&config, kStrict);
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, config);
  config.mutable_metadata()->set_name("later");
  const auto later = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(later.ok()) << later.status();
  KillDaemon();
  StartDaemon();
  ExpectConfined(id, Enforced(kStrict));
  ASSERT_TRUE(client().StartContainer(*later).ok());
  ExpectConfined(*later, Enforced(kStrict));
}

TEST_F(AppArmorTest, EXE_8_ProfilesThatAreNotLoadedAreRefused) {
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto refusal = [&](auto change) {
    cri::ContainerConfig config = IdleConfig("main");
    change(&config);
    return client().CreateContainer(pod_id, config, pod).status();
  };
  const absl::Status unknown =
      refusal([](auto* c) { UseProfile(c, "no-such"); });
  EXPECT_CODE(unknown, kFailedPrecondition);
  EXPECT_THAT(unknown.message(),
              HasSubstr("security_context.apparmor: the AppArmor profile "
                        "\"no-such\" is not loaded"));
  EXPECT_CODE(refusal([](auto* c) {
                Security(c)->set_apparmor_profile("localhost/no-such");
              }),
              kFailedPrecondition);
  // "unconfined" is no profile: who wants that says so by its type.
  EXPECT_CODE(refusal([](auto* c) { UseProfile(c, "unconfined"); }),
              kFailedPrecondition);
  // There is no default profile unless the operator names one.
  EXPECT_CODE(refusal([](auto* c) { Security(c)->mutable_apparmor(); }),
              kFailedPrecondition);
  // Nor is what is gone by the time of the start left out in silence.
  Load(kFleeting);
  cri::ContainerConfig config = IdleConfig("fleeting");
  UseProfile(&config, kFleeting);
  const std::string runs = Run(pod_id, pod, config);
  ExpectConfined(runs, Enforced(kFleeting));
  config.mutable_metadata()->set_name("late");
  const auto late = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(late.ok()) << late.status();
  Unload(kFleeting);
  const absl::Status start = client().StartContainer(*late);
  EXPECT_FALSE(start.ok());
  EXPECT_THAT(start.message(), HasSubstr(kFleeting));
  EXPECT_FALSE(client().ExecSync(runs, {"true"}).ok());
}

TEST_F(AppArmorTest, EXE_8_WhoGetsWhich) {
  ConfigureDefault(kDefault);
  using Type = cri::SecurityProfile;
  using Change = void (*)(SecurityContext*);
  struct Case {
    const char* name;
    bool privileged;
    std::string expected;
    Change change;
  };
  const std::vector<Case> cases = {
      {"nothing", false, Enforced(kDefault), [](SecurityContext*) {}},
      {"default", false, Enforced(kDefault),
       [](SecurityContext* s) { s->mutable_apparmor(); }},
      {"text", false, Enforced(kDefault),
       [](SecurityContext* s) { s->set_apparmor_profile("runtime/default"); }},
      {"local-text", false, Enforced(kStrict),
       [](SecurityContext* s) {
         s->set_apparmor_profile(absl::StrCat("localhost/", kStrict));
       }},
      {"unconfined", false, kUnconfined,
       [](SecurityContext* s) {
         s->mutable_apparmor()->set_profile_type(Type::Unconfined);
         s->set_apparmor_profile("runtime/default");
       }},
      {"privileged", true, kUnconfined, [](SecurityContext*) {}},
      {"privileged-default", true, kUnconfined,
       [](SecurityContext* s) { s->mutable_apparmor(); }},
      {"privileged-local", true, Enforced(kStrict), [](SecurityContext* s) {
         s->mutable_apparmor()->set_profile_type(Type::Localhost);
         s->mutable_apparmor()->set_localhost_ref(kStrict);
       }}};
  cri::PodSandboxConfig pod = Pod("pod");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const std::string pod_id = RunPod(pod);
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    cri::ContainerConfig config = IdleConfig(test.name);
    Security(&config)->set_privileged(test.privileged);
    test.change(Security(&config));
    ExpectConfined(Run(pod_id, pod, config), test.expected);
  }
}

TEST_F(AppArmorTest, WithoutADefaultNothingMeansNone) {
  ExpectConfined(RunAlone(IdleConfig("main")), kUnconfined);
}

}  // namespace
}  // namespace warren::test
