#include "agent/host/facts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "runtime/base/file.h"

namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kLocalhost[] = "127.0.0.1 localhost\n::1 localhost\n";

class HostFilesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(etc_), nullptr); }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, etc_).ok());
  }
  HostFacts Read() const {
    HostFacts facts;
    ReadHostFiles(etc_, &facts);
    return facts;
  }
  void Write(const std::string& name, const std::string& text) const {
    const auto file = base::OpenAt(AT_FDCWD, std::string(etc_) + "/" + name,
                                   O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(base::WriteFd(file->get(), text).ok());
  }

  char etc_[64] = "/tmp/host_files_test.XXXXXX";
};

TEST_F(HostFilesTest, WhatIsNotThereIsNothingOutOfOrder) {
  const HostFacts facts = Read();
  EXPECT_EQ(facts.resolv_conf, "");
  EXPECT_EQ(facts.hosts, kLocalhost);
  EXPECT_THAT(facts.unreadable, IsEmpty());
}

TEST_F(HostFilesTest, WhatIsThereIsTakenOver) {
  Write("resolv.conf", "nameserver 192.0.2.1\n");
  Write("hosts", "192.0.2.2 node\n");
  const HostFacts facts = Read();
  EXPECT_EQ(facts.resolv_conf, "nameserver 192.0.2.1\n");
  EXPECT_EQ(facts.hosts, "192.0.2.2 node\n");
  EXPECT_THAT(facts.unreadable, IsEmpty());
}

TEST_F(HostFilesTest, REL_16_WhatCannotBeReadIsNamedWithWhatIsLost) {
  ASSERT_EQ(mkfifo((std::string(etc_) + "/resolv.conf").c_str(), 0600), 0);
  ASSERT_EQ(mkdir((std::string(etc_) + "/hosts").c_str(), 0700), 0);
  const HostFacts facts = Read();
  EXPECT_EQ(facts.resolv_conf, "");
  EXPECT_EQ(facts.hosts, kLocalhost);
  EXPECT_THAT(
      facts.unreadable,
      ElementsAre(AllOf(StartsWith(std::string(etc_) + "/resolv.conf: "),
                        HasSubstr("FIFO"), HasSubstr("DNS")),
                  AllOf(StartsWith(std::string(etc_) + "/hosts: "),
                        HasSubstr("directory"), HasSubstr("localhost"))));
}

TEST_F(HostFilesTest, REL_16_ALinkThatLeadsNowhereIsAnAbsence) {
  ASSERT_EQ(
      symlink("/nowhere/at/all", (std::string(etc_) + "/resolv.conf").c_str()),
      0);
  EXPECT_THAT(Read().unreadable, IsEmpty());
}

}  // namespace
}  // namespace warren::agent
