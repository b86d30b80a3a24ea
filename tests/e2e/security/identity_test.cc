// Who a container's program is and what that may do, and that an exec session
// is the same: users and groups from request and image, capabilities.
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr char kIdentityImage[] = "example.test/users:1";
constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "www:x:33:34:www-data:/var/www:/bin/false\n"
    "1000:x:0:0:a number as a name:/root:/bin/sh\n"
    "app:x:1000:1001:App:/home/app:/bin/sh\n"
    "bad:x:notanumber:5:::\n"
    "neg:x:5:-1:::\n"
    "big:x:2147483647:2147483647::/big:\n"
    "huge:x:4294967296:0:::\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "wheel:x:10:app,root\n"
    "audio:x:29:www,app\n"
    "4000:x:0:app2\n"
    "toobig:x:4294967296:app\n"
    "prefix:x:77:ap,appx\n";

class IdentityTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    pod_ = Pod("pod");
    pod_id_ = RunPod(pod_);
  }
  // Busybox with these files and this USER, imported as kIdentityImage.
  bool Import(const std::string& user, const std::vector<TarMember>& files) {
    OciImage image;
    image.config_json = absl::StrCat("{\"User\":\"", user, "\"}");
    image.layers = {BusyboxLayer({"sh", "sleep", "grep", "id", "tr"}, files)};
    return client().ImportImage(kIdentityImage, OciArchive(image)).ok();
  }
  static std::vector<TarMember> Files(const std::string& passwd,
                                      const std::string& group) {
    return {{.name = "etc", .type = '5'},
            {.name = "etc/passwd", .content = passwd, .mode = 0644},
            {.name = "etc/group", .content = group, .mode = 0644}};
  }
  static cri::ContainerConfig OfImage(const std::string& name) {
    cri::ContainerConfig config = ContainerConfig(name, {"sleep", "1000"});
    config.mutable_image()->set_image(kIdentityImage);
    return config;
  }
  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  // "uid gid [groups]" of a running container: of its first process, which
  // must be that of exec sessions and, groups in any order, of the status.
  std::string IdentityOf(const std::string& id) {
    std::vector<std::string> seen;
    for (const char* process : {"1", "self"}) {
      const std::string text =
          ShellOutput(id, absl::StrCat("grep -E '^(Uid|Gid|Groups):' /proc/",
                                       process, "/status | tr -s '\\t ' '  '"));
      const std::vector<std::string> lines = absl::StrSplit(text, '\n');
      if (lines.size() < 3) return "no status: " + text;
      std::vector<std::string> words[3];
      for (int i = 0; i < 3; ++i) {
        words[i] = absl::StrSplit(lines[i], ' ', absl::SkipEmpty());
        words[i].erase(words[i].begin());
      }
      for (int i = 0; i < 2; ++i) {  // real, effective, saved, file system
        EXPECT_EQ(std::count(words[i].begin(), words[i].end(), words[i][0]), 4)
            << lines[i];
      }
      seen.push_back(absl::StrCat(words[0][0], " ", words[1][0], " [",
                                  absl::StrJoin(words[2], " "), "]"));
    }
    EXPECT_EQ(seen[0], seen[1]) << "first process and exec session";
    const cri::LinuxContainerUser user = StatusOf(id).user().linux();
    std::vector<int64_t> groups(user.supplemental_groups().begin(),
                                user.supplemental_groups().end());
    std::sort(groups.begin(), groups.end());  // as the kernel shows them
    EXPECT_EQ(seen[0], absl::StrCat(user.uid(), " ", user.gid(), " [",
                                    absl::StrJoin(groups, " "), "]"))
        << "status";
    return seen[0];
  }
  // The same for a container of this configuration; its error's code when it
  // is refused.
  std::string Identity(const cri::ContainerConfig& config) {
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    if (!id.ok()) return absl::StatusCodeToString(id.status().code());
    const absl::Status started = client().StartContainer(*id);
    const std::string identity =
        started.ok() ? IdentityOf(*id) : started.ToString();
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
    return identity;
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

TEST_F(IdentityTest, EXE_5_UserOfTheImageTable) {
  constexpr char kBad[] = "INVALID_ARGUMENT";
  const struct {
    const char* user;
    const char* expected;
  } cases[] = {
      {"", "0 0 [0 10]"},
      {"root", "0 0 [0 10]"},
      {"0", "0 0 [0 10]"},
      {"00", "0 0 [0 10]"},
      {":", "0 0 [0 10]"},
      {":34", "0 34 [10 34]"},
      {":wheel", "0 10 [10]"},
      {"root:", "0 0 [0 10]"},
      {"www", "33 34 [29 34]"},
      {"www:wheel", "33 10 [10 29]"},
      {"www:0", "33 0 [0 29]"},
      {"www:99", "33 99 [29 99]"},
      {"33", "33 34 [29 34]"},
      {"33:34", "33 34 [29 34]"},
      {"033", "33 34 [29 34]"},
      {"1000", "1000 1001 [10 29 1001]"},
      {"app", "1000 1001 [10 29 1001]"},
      {"app:4000", "1000 4000 [10 29 4000]"},
      {"12345", "12345 0 [0]"},
      {"12345:6", "12345 6 [6]"},
      {"12345:wheel", "12345 10 [10]"},
      {"5", "5 0 [0]"},
      {"2147483647", "2147483647 2147483647 [2147483647]"},
      {"2147483648", kBad},
      {"4294967295", kBad},
      {"4294967296", kBad},
      {"18446744073709551616", kBad},
      {"-1", kBad},
      {"+1", kBad},
      {"0x0", kBad},
      {" 0", kBad},
      {"0 ", kBad},
      {"1e3", kBad},
      {"nobody", kBad},
      {"bad", kBad},
      {"neg", kBad},
      {"huge", kBad},
      {"root:nosuch", kBad},
      {"root:2147483648", kBad},
      {"root:-1", kBad},
      {"root:toobig", kBad},
      {"a:b:c", kBad},
      {"::", kBad},
      {"root\\n", kBad},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(Import(c.user, Files(kPasswd, kGroup))) << c.user;
    EXPECT_EQ(Identity(OfImage("user")), c.expected)
        << "USER \"" << c.user << '"';
  }
}

TEST_F(IdentityTest, EXE_5_TheRequestWinsOverTheImage) {
  ASSERT_TRUE(Import("www:wheel", Files(kPasswd, kGroup)));
  const auto with = [&](auto change) {
    cri::ContainerConfig config = OfImage("user");
    change(Security(&config));
    return Identity(config);
  };
  EXPECT_EQ(with([](auto* s) { s->mutable_run_as_user()->set_value(1000); }),
            "1000 1001 [10 29 1001]");
  EXPECT_EQ(with([](auto* s) {
              s->mutable_run_as_user()->set_value(1000);
              s->mutable_run_as_group()->set_value(5);
            }),
            "1000 5 [5 10 29]");
  EXPECT_EQ(with([](auto* s) { s->mutable_run_as_user()->set_value(0); }),
            "0 0 [0 10]");
  EXPECT_EQ(with([](auto* s) { s->set_run_as_username("app"); }),
            "1000 1001 [10 29 1001]");
  EXPECT_EQ(with([](auto* s) {
              s->set_run_as_username("app");
              s->mutable_run_as_user()->set_value(0);
            }),
            "1000 1001 [10 29 1001]")
      << "the name wins";
  EXPECT_EQ(with([](auto* s) { s->set_run_as_username("nosuch"); }),
            "INVALID_ARGUMENT");
  EXPECT_EQ(with([](auto* s) { s->set_run_as_username("app:wheel"); }),
            "INVALID_ARGUMENT");
  EXPECT_EQ(with([](auto* s) { s->mutable_run_as_group()->set_value(5); }),
            "INVALID_ARGUMENT");
}

TEST_F(IdentityTest, EXE_5_SupplementalGroupsMergeAndStrict) {
  ASSERT_TRUE(Import("app", Files(kPasswd, kGroup)));
  cri::ContainerConfig config = OfImage("user");
  Security(&config)->add_supplemental_groups(1234);
  Security(&config)->add_supplemental_groups(29);
  EXPECT_EQ(Identity(config), "1000 1001 [10 29 1001 1234]");
  Security(&config)->set_supplemental_groups_policy(cri::Strict);
  EXPECT_EQ(Identity(config), "1000 1001 [29 1001 1234]");
  Security(&config)->clear_supplemental_groups();
  EXPECT_EQ(Identity(config), "1000 1001 [1001]");
}

// The image decides what it has instead of its files; the answer comes soon.
TEST_F(IdentityTest, FS_8_PasswdAndGroupThatAreNoFiles) {
  struct Odd {
    const char* what;
    TarMember member;
    bool refused = true;  // else as if it were not there
  };
  for (const char* name : {"etc/passwd", "etc/group"}) {
    const std::vector<Odd> odd = {
        {"directory", {.name = name, .type = '5'}},
        {"dangling link",
         {.name = name, .type = '2', .link = "nowhere"},
         false},
        {"link to the node",
         {.name = name, .type = '2', .link = "/usr/bin/env"},
         false},
        {"fifo", {.name = name, .type = '6'}},
        // The store drops device nodes.
        {"character device", {.name = name, .type = '3'}, false},
        {"block device", {.name = name, .type = '4'}, false},
        {"oversize",
         {.name = name, .content = std::string((1 << 20) + 1, '\n')}},
    };
    for (const Odd& o : odd) {
      std::vector<TarMember> files = {{.name = "etc", .type = '5'}, o.member};
      // The other one is a good one.
      const bool passwd = o.member.name == "etc/passwd";
      files.push_back({.name = passwd ? "etc/group" : "etc/passwd",
                       .content = passwd ? kGroup : kPasswd});
      if (!Import("", files)) continue;  // refused even earlier
      const absl::Time begin = absl::Now();
      const std::string identity = Identity(OfImage("odd"));
      EXPECT_LT(absl::Now() - begin, Patience(absl::Seconds(2)))
          << name << o.what;
      if (o.refused) {
        EXPECT_EQ(identity, "INVALID_ARGUMENT") << name << " is a " << o.what;
      } else {
        EXPECT_THAT(identity, testing::AnyOf("0 0 [0]", "0 0 [0 10]"))
            << name << " is a " << o.what;
      }
    }
  }
}

// ---- Capabilities ----

uint64_t Hex(const std::string& text) {
  uint64_t mask = 0;
  EXPECT_TRUE(absl::SimpleHexAtoi(text, &mask)) << text;
  return mask;
}

constexpr uint64_t kDefaults = 0xa80425fb;
constexpr uint64_t kNetBindService = 1 << 10;

struct Profile {
  const char* name;
  int64_t uid;
  std::vector<const char*> add;
  std::vector<const char*> drop;
  bool no_new_privs;
  uint64_t bounding;  // of what the node can give
};

const std::vector<Profile>& Profiles() {
  static const auto* profiles = new std::vector<Profile>{
      {"root", 0, {}, {}, false, kDefaults},
      {"none", 0, {}, {"ALL"}, true, 0},
      {"user", 1000, {}, {}, false, kDefaults},
      {"user-nnp", 1000, {"SYS_TIME"}, {}, true, kDefaults | 1 << 25},
      {"one", 0, {"cap_Net_Bind_service"}, {"all"}, false, kNetBindService},
      {"all-but", 0, {"ALL"}, {"CHOWN"}, false, ~uint64_t{1}},
  };
  return *profiles;
}

TEST_F(IdentityTest, EXE_6_CapabilitiesOfProgramAndExecSession) {
  for (const bool mapped : {false, true}) {
    cri::PodSandboxConfig pod = Pod(mapped ? "mapped" : "plain");
    if (mapped) UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
    const std::string pod_id = RunPod(pod);
    // In the node's user namespace nobody has more than the daemon.
    const uint64_t most =
        mapped ? (uint64_t{2}
                  << std::stoi(ReadHostFile("/proc/sys/kernel/cap_last_cap"))) -
                     1
               : Hex(ProcessStatus(daemon().pid(), "CapEff"));
    for (const Profile& p : Profiles()) {
      SCOPED_TRACE(absl::StrCat(p.name, mapped ? ", mapped" : ""));
      cri::ContainerConfig config = IdleConfig(p.name);
      if (mapped) UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
      auto* security = Security(&config);
      security->mutable_run_as_user()->set_value(p.uid);
      security->set_no_new_privs(p.no_new_privs);
      auto* capabilities = security->mutable_capabilities();
      for (const char* c : p.add) capabilities->add_add_capabilities(c);
      for (const char* c : p.drop) capabilities->add_drop_capabilities(c);
      const std::string id = Run(pod_id, pod, config);
      const uint64_t bounding = p.bounding & most;
      const uint64_t effective = p.uid == 0 ? bounding : 0;
      for (const char* process : {"1", "self"}) {
        const std::string status =
            ShellOutput(id, absl::StrCat("cat /proc/", process, "/status"));
        const auto line = [&](const std::string& key) {
          const size_t at = status.find("\n" + key + ":\t");
          if (at == std::string::npos) return std::string();
          const size_t from = at + key.size() + 3;
          return status.substr(from, status.find('\n', from) - from);
        };
        EXPECT_EQ(Hex(line("CapBnd")), bounding) << process;
        EXPECT_EQ(Hex(line("CapEff")), effective) << process;
        EXPECT_EQ(Hex(line("CapPrm")), effective) << process;
        EXPECT_EQ(Hex(line("CapInh")), 0u) << process;
        EXPECT_EQ(Hex(line("CapAmb")), 0u) << process;
        EXPECT_EQ(line("NoNewPrivs"), p.no_new_privs ? "1" : "0") << process;
      }
    }
  }
}

TEST_F(IdentityTest, EXE_8_LabelsThatTheNodeCannotApplyAreRefused) {
  if (HostFileExists("/sys/kernel/security/apparmor/profiles") ||
      HostFileExists("/sys/fs/selinux/enforce")) {
    GTEST_SKIP() << "the host has a security module";
  }
  const auto code = [&](auto change) {
    cri::ContainerConfig config = IdleConfig("label");
    change(Security(&config));
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    if (id.ok()) {
      EXPECT_TRUE(client().RemoveContainer(*id).ok());
    }
    return absl::StatusCodeToString(id.status().code());
  };
  using Security = cri::LinuxContainerSecurityContext;
  EXPECT_EQ(code([](Security* s) {
              s->mutable_apparmor()->set_profile_type(
                  cri::SecurityProfile::Unconfined);
              s->set_apparmor_profile("runtime/default");
            }),
            "OK")
      << "the message beats the string";
  EXPECT_EQ(code([](Security* s) { s->mutable_apparmor(); }),
            "FAILED_PRECONDITION");
  EXPECT_EQ(code([](Security* s) {
              s->mutable_apparmor()->set_profile_type(
                  cri::SecurityProfile::Localhost);
              s->mutable_apparmor()->set_localhost_ref("strict");
            }),
            "FAILED_PRECONDITION");
  EXPECT_EQ(code([](Security* s) { s->set_apparmor_profile("localhost/x"); }),
            "FAILED_PRECONDITION");
  EXPECT_EQ(code([](Security* s) { s->set_apparmor_profile("odd"); }),
            "INVALID_ARGUMENT");
  EXPECT_EQ(code([](Security* s) { s->mutable_selinux_options(); }), "OK");
  EXPECT_EQ(
      code([](Security* s) { s->mutable_selinux_options()->set_type("t"); }),
      "FAILED_PRECONDITION");
  EXPECT_EQ(code([](Security* s) {
              s->mutable_selinux_options()->set_level("s0:c1,c2");
            }),
            "FAILED_PRECONDITION");
  EXPECT_EQ(code([](Security* s) {
              s->mutable_selinux_options()->set_level("high");
            }),
            "INVALID_ARGUMENT");
  // A label of the pod is one of its containers.
  cri::PodSandboxConfig pod = Pod("labelled");
  pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_selinux_options()
      ->set_type("t");
  EXPECT_CODE(client().RunPodSandbox(pod).status(), kFailedPrecondition);
}

}  // namespace
}  // namespace warren::test
