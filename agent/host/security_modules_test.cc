#include "agent/host/security_modules.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "runtime/base/file.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

SecurityModules AppArmorHost() {
  SecurityModules modules;
  modules.apparmor = true;
  modules.apparmor_profiles = {"strict", "the default", "a b"};
  return modules;
}

// The profile, or the error's code and field.
std::string Profile(const SecurityModules& modules,
                    const std::string& default_profile, const char* message,
                    const char* deprecated = "", bool privileged = false) {
  cri::SecurityProfile profile;
  if (message != nullptr &&
      !google::protobuf::TextFormat::ParseFromString(message, &profile)) {
    ADD_FAILURE() << "bad test text: " << message;
  }
  const auto chosen = AppArmorProfile(
      "f", {message != nullptr, profile, deprecated, privileged}, modules,
      default_profile);
  if (chosen.ok()) return chosen->empty() ? "none" : *chosen;
  const std::string text(chosen.status().message());
  return absl::StatusCodeToString(chosen.status().code()) + " " +
         text.substr(0, text.find(':'));
}

constexpr char kRefused[] = "FAILED_PRECONDITION f";
constexpr char kLocal[] = "profile_type: Localhost localhost_ref: 'strict'";
constexpr char kDefault[] = "profile_type: RuntimeDefault";
constexpr char kNone[] = "profile_type: Unconfined";

TEST(AppArmorProfile, EXE_8_WithoutAppArmorOnlyNothingIsAccepted) {
  const SecurityModules none;
  EXPECT_EQ(Profile(none, "", nullptr), "none");
  EXPECT_EQ(Profile(none, "", kNone), "none");
  EXPECT_EQ(Profile(none, "", kDefault), kRefused);
  EXPECT_EQ(Profile(none, "", kLocal), kRefused);
  EXPECT_EQ(Profile(none, "the default", nullptr), "none");
  EXPECT_EQ(Profile(none, "the default", kDefault), kRefused);
  EXPECT_EQ(Profile(none, "", nullptr, "unconfined"), "none");
  EXPECT_EQ(Profile(none, "", nullptr, "runtime/default"),
            "FAILED_PRECONDITION f_profile");
  EXPECT_EQ(Profile(none, "", nullptr, "localhost/strict"),
            "FAILED_PRECONDITION f_profile");
}

TEST(AppArmorProfile, EXE_8_WithAppArmorWhatIsLoadedIsEntered) {
  const SecurityModules host = AppArmorHost();
  EXPECT_EQ(Profile(host, "the default", kLocal), "strict");
  EXPECT_EQ(Profile(host, "the default", kDefault), "the default");
  EXPECT_EQ(Profile(host, "the default", kNone), "none");
  EXPECT_EQ(Profile(host, "the default", nullptr), "the default");
  EXPECT_EQ(Profile(host, "the default", nullptr, "runtime/default"),
            "the default");
  EXPECT_EQ(Profile(host, "", nullptr, "localhost/a b"), "a b");
  EXPECT_EQ(Profile(host, "", nullptr), "none");
  EXPECT_EQ(Profile(host, "", kDefault), kRefused) << "there is no default";
  EXPECT_EQ(Profile(host, "gone", kDefault), kRefused) << "not loaded";
  EXPECT_EQ(Profile(host, "gone", nullptr), "FAILED_PRECONDITION f_profile")
      << "never unconfined instead";
  EXPECT_EQ(Profile(host, "", "profile_type: Localhost localhost_ref: 'stric'"),
            kRefused);
}

TEST(AppArmorProfile, TheMessageBeatsTheString) {
  const SecurityModules host = AppArmorHost();
  EXPECT_EQ(Profile(host, "the default", kNone, "localhost/strict"), "none");
  EXPECT_EQ(Profile(host, "the default", kLocal, "unconfined"), "strict");
}

TEST(AppArmorProfile, PrivilegedMeansNoneButForLocalhost) {
  const SecurityModules host = AppArmorHost();
  EXPECT_EQ(Profile(host, "the default", nullptr, "", true), "none");
  EXPECT_EQ(Profile(host, "the default", kDefault, "", true), "none");
  EXPECT_EQ(Profile(host, "the default", kLocal, "", true), "strict");
  EXPECT_EQ(Profile({}, "", kDefault, "", true), "none");
  EXPECT_EQ(Profile({}, "", kLocal, "", true), kRefused);
}

TEST(AppArmorProfile, STR_1_MalformedOnes) {
  const SecurityModules host = AppArmorHost();
  EXPECT_EQ(Profile(host, "", "profile_type: Localhost"),
            "INVALID_ARGUMENT f.localhost_ref");
  EXPECT_EQ(Profile(host, "", "localhost_ref: 'strict'"),
            "INVALID_ARGUMENT f.localhost_ref");
  EXPECT_EQ(Profile(host, "", "profile_type: Localhost localhost_ref: 'a\\n'"),
            "INVALID_ARGUMENT f.localhost_ref");
  EXPECT_EQ(Profile(host, "", nullptr, "localhost/"),
            "INVALID_ARGUMENT f_profile");
  EXPECT_EQ(Profile(host, "", nullptr, "odd"), "INVALID_ARGUMENT f_profile");
}

TEST(AppArmorProfile, WhatWasDecidedBeforeIsNotLookedUp) {
  SecurityModules before;
  before.decided_before = true;
  EXPECT_EQ(Profile(before, "", kLocal), "none");
  EXPECT_EQ(Profile(before, "", kDefault), "none");
}

std::string Label(const SecurityModules& modules, const char* text) {
  cri::SELinuxOption options;
  if (!google::protobuf::TextFormat::ParseFromString(text, &options)) {
    ADD_FAILURE() << "bad test text: " << text;
  }
  const auto label = SelinuxLabel("f", options, modules);
  return label.ok() ? *label : label.status().ToString();
}

TEST(SelinuxLabel, EXE_8_AssembledOrRefused) {
  SecurityModules on;
  on.selinux = true;
  EXPECT_EQ(Label(on, ""), "");
  EXPECT_EQ(Label({}, ""), "");
  EXPECT_EQ(Label(on, "level: 's0:c1,c2'"),
            "system_u:system_r:container_t:s0:c1,c2");
  EXPECT_EQ(Label(on, "type: 'spc_t'"), "system_u:system_r:spc_t:s0");
  EXPECT_EQ(Label(on, "user: 'u' role: 'r' type: 't' level: 's1-s2:c0.c1023'"),
            "u:r:t:s1-s2:c0.c1023");
  for (const char* text :
       {"user: 'u'", "role: 'r'", "type: 't'", "level: 's0'"}) {
    EXPECT_THAT(Label({}, text), StartsWith("FAILED_PRECONDITION: f: "))
        << text;
  }
  SecurityModules before;
  before.decided_before = true;
  EXPECT_EQ(Label(before, "type: 't'"), "");
}

TEST(SelinuxLabel, LevelsAndPartsAreChecked) {
  SecurityModules on;
  on.selinux = true;
  for (const char* level : {"s0", "s15", "s0-s15", "s0:c0", "s0:c0,c1",
                            "s0:c0.c5,c9", "s0-s1:c1"}) {
    EXPECT_EQ(Label(on, (std::string("level: '") + level + "'").c_str()),
              std::string("system_u:system_r:container_t:") + level);
  }
  for (const char* level :
       {"x", "s", "S0", "s0:", "s0:x", "s0:c", "s0:c1,", "s0-s1-s2", "s0:c1:c2",
        "s0:c1.c2.c3", "s0 ", " s0", "s-1", "s+1", "s0:c1000000", "s0\\n"}) {
    EXPECT_THAT(Label(on, (std::string("level: '") + level + "'").c_str()),
                StartsWith("INVALID_ARGUMENT: f.level: "))
        << level;
  }
  for (const char* part : {"user", "role", "type"}) {
    EXPECT_THAT(Label(on, (std::string(part) + ": 'a:b'").c_str()),
                StartsWith(std::string("INVALID_ARGUMENT: f.") + part));
  }
}

class ModuleFiles : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_), nullptr); }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  void Write(const std::string& directory, const std::string& name,
             const std::string& text) {
    const std::string path = std::string(directory_) + "/" + directory;
    ASSERT_TRUE(base::MakeDirs(AT_FDCWD, path, 0700).ok());
    auto file =
        base::OpenAt(AT_FDCWD, path + "/" + name, O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(base::WriteFd(file->get(), text).ok());
  }
  char directory_[64] = "/tmp/security_modules_test.XXXXXX";
};

TEST_F(ModuleFiles, AreWhatTheKernelShows) {
  SecurityModules none = ReadSecurityModules(directory_);
  EXPECT_FALSE(none.apparmor);
  EXPECT_FALSE(none.selinux);
  Write("kernel/security/apparmor", "profiles",
        "docker-default (enforce)\na (b) (complain)\nunloaded\n\n");
  EXPECT_TRUE(ReadSecurityModules(directory_).apparmor_profiles.empty())
      << "the module is not on";
  Write("module/apparmor/parameters", "enabled", "Y\n");
  Write("fs/selinux", "enforce", "0");
  const SecurityModules both = ReadSecurityModules(directory_);
  EXPECT_TRUE(both.apparmor);
  EXPECT_TRUE(both.selinux);
  EXPECT_THAT(both.apparmor_profiles, ElementsAre("a (b)", "docker-default"));
}

}  // namespace
}  // namespace warren::agent
