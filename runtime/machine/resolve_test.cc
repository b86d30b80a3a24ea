#include "runtime/machine/resolve.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

const char kId[] = "c0ffee";

TEST(LeafInProcText, OfEachHierarchy) {
  EXPECT_EQ(LeafInProcText("0::/kubepods/pod7/c0ffee\n", kId, true),
            CgroupLeaf("/kubepods/pod7/c0ffee"));
  // In a cgroup of its own below the leaf.
  EXPECT_EQ(LeafInProcText("0::/a/c0ffee/in/c0ffee\n", kId, true),
            CgroupLeaf("/a/c0ffee"));
  EXPECT_EQ(LeafInProcText("0::/a.slice/warren-c0ffee.scope\n", kId, true),
            CgroupLeaf("/a.slice/warren-c0ffee.scope"));
  EXPECT_EQ(LeafInProcText("5:pids:/kube/c0ffee\n"
                           "4:cpu,cpuacct:/kube/c0ffee\n"
                           "1:name=systemd:/own/c0ffee\n"
                           "0::/own/c0ffee\n",
                           kId, false),
            CgroupLeaf("/kube/c0ffee", "/own"));
}

TEST(LeafInProcText, WhatIsNotBelowALeaf) {
  for (const char* text :
       {"", "0::/\n", "0::/system.slice/xc0ffee\n", "nonsense\n", "1:2\n",
        "1:name=systemd:/own/c0ffee\n"}) {
    EXPECT_EQ(LeafInProcText(text, kId, true), std::nullopt) << text;
    EXPECT_EQ(LeafInProcText(text, kId, false), std::nullopt) << text;
  }
}

class IdentityFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/warren-identity-test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    dir_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(IdentityFileTest, IsReadBack) {
  EXPECT_EQ(*LoadIdentity(dir_), std::nullopt);
  EXPECT_EQ(*LoadIdentity(dir_ + "/missing"), std::nullopt);
  Identity identity = {{"/a/b", "/own"}, true};
  identity.cgroup.inner = "within";
  ASSERT_TRUE(SaveIdentity(dir_, identity).ok());
  EXPECT_EQ(*LoadIdentity(dir_), identity);
}

// Nobody knows what it said, so it must not read as absent.
TEST_F(IdentityFileTest, REL_16_DamageIsNotAbsence) {
  const std::string file = dir_ + "/identity.pb";
  std::ofstream(file) << "\xff\xff";
  EXPECT_TRUE(absl::IsDataLoss(LoadIdentity(dir_).status()));
  std::ofstream(file, std::ios::trunc) << "";
  EXPECT_TRUE(absl::IsDataLoss(LoadIdentity(dir_).status()));
  std::filesystem::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_FALSE(LoadIdentity(dir_).ok());
}

}  // namespace
}  // namespace warren::runtime
