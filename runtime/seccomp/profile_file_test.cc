#include "runtime/seccomp/profile_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "runtime/base/file.h"
#include "runtime/seccomp/profile_json.h"

namespace warren::seccomp {
namespace {

TEST(ReadProfileFile, RegularFilesOnly) {
  std::string dir = testing::TempDir() + "/seccompXXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  const auto directory = base::OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(directory.ok()) << directory.status();
  const auto write = [&](const char* name, size_t bytes) {
    EXPECT_TRUE(base::WriteFileAtomic(directory->get(), name,
                                      std::string(bytes, 'x'), 0600)
                    .ok());
  };
  write("good", 3);
  write("full", kMaxProfileBytes);
  write("large", kMaxProfileBytes + 1);
  ASSERT_EQ(symlink("good", (dir + "/link").c_str()), 0);
  ASSERT_EQ(symlink(dir.c_str(), (dir + "/directory").c_str()), 0);
  ASSERT_EQ(mkfifo((dir + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(*ReadProfileFile(dir + "/good"), "xxx");
  EXPECT_EQ(*ReadProfileFile(dir + "/directory/good"), "xxx");
  EXPECT_EQ(ReadProfileFile(dir + "/full")->size(), kMaxProfileBytes);
  const struct {
    std::string path;
    const char* complaint;
  } kTable[] = {{dir + "/large", "file is larger than 1048576 bytes"},
                {dir + "/link", "is a symbolic link"},
                {dir + "/fifo", "this is a FIFO, not a regular file"},
                {"/dev/zero", "this is a device, not a regular file"},
                {dir, "this is a directory, not a regular file"},
                {"", "is no absolute path"},
                {"good", "is no absolute path"}};
  for (const auto& [path, complaint] : kTable) {
    const auto text = ReadProfileFile(path);
    EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << text.status();
    EXPECT_EQ(text.status().message(), complaint) << path;
  }
  for (const char* name : {"/missing", "/good/below"}) {
    const auto missing = ReadProfileFile(dir + name);
    EXPECT_TRUE(absl::IsFailedPrecondition(missing.status()));
    EXPECT_EQ(missing.status().message(), "is not there");
  }
  EXPECT_TRUE(base::RemoveTree(AT_FDCWD, dir).ok());
}

}  // namespace
}  // namespace warren::seccomp
