#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/launch/shim_client.h"

namespace warren::runtime {
namespace {

class ReadExitFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "exit-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    path_ = path;
    auto dir = base::OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(dir.ok()) << dir.status();
    dir_ = *std::move(dir);
  }
  void TearDown() override { base::RemoveTree(AT_FDCWD, path_).IgnoreError(); }
  void Put(const char* name, const std::string& data) {
    const absl::Status status =
        base::WriteFileAtomic(dir_.get(), name, data, 0600, false);
    ASSERT_TRUE(status.ok()) << status;
  }
  static std::string Record(int code) {
    shim::v1::ExitFile file;
    file.set_version(1);
    file.mutable_exit()->set_exit_code(code);
    return file.SerializeAsString();
  }
  std::string path_;
  base::UniqueFd dir_;
};

TEST_F(ReadExitFileTest, NothingAndAnUnfilledFileAreNoExit) {
  ASSERT_TRUE(ReadExitFile(dir_.get()).ok());
  EXPECT_FALSE(ReadExitFile(dir_.get())->has_value());
  Put(".exit.pb.new", std::string(4096, '\0'));
  const auto exited = ReadExitFile(dir_.get());
  ASSERT_TRUE(exited.ok()) << exited.status();
  EXPECT_FALSE(exited->has_value());
  // A shim that was killed between its write and its truncation.
  Put(".exit.pb.new", Record(3) + std::string(4000, '\0'));
  EXPECT_FALSE(ReadExitFile(dir_.get())->has_value());
}

TEST_F(ReadExitFileTest, REL_15_ARecordThatWasNotRenamedIsFound) {
  Put(".exit.pb.new", Record(42));
  auto exited = ReadExitFile(dir_.get());
  ASSERT_TRUE(exited.ok()) << exited.status();
  ASSERT_TRUE(exited->has_value());
  EXPECT_EQ((*exited)->exit_code(), 42);
  Put("exit.pb", Record(7));
  EXPECT_EQ((*ReadExitFile(dir_.get()))->exit_code(), 7);
  Put("exit.pb", "garbage");
  EXPECT_EQ(base::GetErrno(ReadExitFile(dir_.get()).status()), EBADMSG);
}

}  // namespace
}  // namespace warren::runtime
