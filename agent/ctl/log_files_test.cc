#include "agent/ctl/log_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "runtime/base/file.h"

namespace warren::agent::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LogFiles, EmptyFoldersGoOthersStay) {
  std::string root = "/tmp/log_files_test.XXXXXX";
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  for (const char* name : {"one", "two"}) {
    const base::UniqueFd directory =
        base::MakeDirs(AT_FDCWD, root + "/pod/" + name, 0755).value();
    ASSERT_TRUE(
        base::WriteFileAtomic(directory.get(), "0.log", "x", 0644).ok());
  }
  RemoveLogFiles({root + "/pod/one/0.log", root + "/other/0.log", "", "x"});
  EXPECT_THAT(base::ListDir(AT_FDCWD, root + "/pod").value(),
              ElementsAre("two"));
  RemoveLogFiles({root + "/pod/two/0.log"});
  EXPECT_THAT(base::ListDir(AT_FDCWD, root).value(), IsEmpty());
  EXPECT_TRUE(base::RemoveTree(AT_FDCWD, root).ok());
}

}  // namespace
}  // namespace warren::agent::ctl
