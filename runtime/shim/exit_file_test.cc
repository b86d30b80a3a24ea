#include "runtime/shim/exit_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"

namespace warren::shim {
namespace {

v1::Exited Code(int code) {
  v1::Exited exited;
  exited.set_exit_code(code);
  return exited;
}

int CodeIn(int dir, const char* name = "exit.pb") {
  const auto data = base::ReadFileAt(dir, name, 4096);
  v1::ExitFile file;
  if (!data.ok() || !file.ParseFromString(*data)) return -1;
  return file.exit().exit_code();
}

class ExitFileTest : public testing::Test {
 protected:
  // A tmpfs of 64 KiB that nobody else sees.
  void SetUp() override {
    auto made = base::NewFileSystem("tmpfs", {{"size", "64k"}}, 0);
    if (base::GetErrno(made.status()) == EPERM) {
      GTEST_SKIP() << "mounts need root";
    }
    ASSERT_TRUE(made.ok()) << made.status();
    dir_ = *std::move(made);
  }
  void Fill() {
    const base::UniqueFd fd(
        openat(dir_.get(), "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    while (write(fd.get(), page.data(), page.size()) > 0) {
    }
    ASSERT_EQ(errno, ENOSPC);
  }
  base::UniqueFd dir_;
};

TEST_F(ExitFileTest, REL_15_AFullRunDirectoryLosesNoExitCode) {
  ExitFile file;
  ASSERT_EQ(file.Reserve(dir_.get()).error, 0);
  Fill();
  EXPECT_EQ(file.Write(dir_.get(), Code(42)), 0);
  EXPECT_EQ(CodeIn(dir_.get()), 42);
  EXPECT_EQ(base::ListDir(dir_.get(), ".")->size(), 2u) << "and the filler";
}

TEST_F(ExitFileTest, REL_15_WhatCannotBeRenamedStaysWhole) {
  ExitFile file;
  ASSERT_EQ(file.Reserve(dir_.get()).error, 0);
  EXPECT_EQ(file.Write(/*run_dir=*/-1, Code(42)), 0) << "nothing is renamed";
  EXPECT_EQ(CodeIn(dir_.get(), ".exit.pb.new"), 42);
}

TEST_F(ExitFileTest, NoRoomIsAnErrorOfTheStart) {
  Fill();
  ExitFile file;
  EXPECT_EQ(file.Reserve(dir_.get()).error, ENOSPC);
  EXPECT_EQ(base::ListDir(dir_.get(), ".")->size(), 1u) << "the filler";
}

TEST_F(ExitFileTest, ALaunchThatFailsLeavesNothing) {
  ExitFile file;
  ASSERT_EQ(file.Reserve(dir_.get()).error, 0);
  file.Discard(dir_.get());
  EXPECT_TRUE(base::ListDir(dir_.get(), ".")->empty());
}

}  // namespace
}  // namespace warren::shim
