#include "runtime/base/tree_cursor.h"

#include <absl/strings/str_cat.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/giant_tree_testing.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

class TreeCursorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::FastDirectory() + "/warren-cursor-test-XXXXXX";
    ASSERT_NE(mkdtemp(path_.data()), nullptr);
    top_ = Open(path_);
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(AT_FDCWD, path_).ok()); }
  static UniqueFd Open(const std::string& path) {
    return *OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  }
  UniqueFd OpenTop() const { return Open(path_); }
  void MakeDir(const std::string& path) const {
    ASSERT_TRUE(MakeDirs(top_.get(), path, 0755).ok()) << path;
  }

  std::string path_;
  UniqueFd top_;
};

TEST_F(TreeCursorTest, WalkSeesEachNameOnce) {
  std::map<std::string, int> expected;
  for (int i = 0; i < 120; ++i) {
    const std::string name = absl::StrCat("a-rather-long-name-number-", i);
    MakeDir(absl::StrCat(name, "/inner-", i, "/leaf-", i));
    expected[name] = 1;
    expected[absl::StrCat("inner-", i)] = 1;
    expected[absl::StrCat("leaf-", i)] = 1;
  }
  for (const auto place :
       {TreeCursor::Place::kFiles, TreeCursor::Place::kCgroups}) {
    std::map<std::string, int> seen;
    const absl::Status walked =
        WalkTree(OpenTop(), place, Deadline::Never(),
                 [&](const TreeCursor& cursor,
                     const TreeCursor::Entry& entry) -> absl::StatusOr<bool> {
                   const std::string name = entry.name;
                   ++seen[name];
                   EXPECT_EQ(cursor.depth(), name[0] == 'a'   ? 0u
                                             : name[0] == 'i' ? 1u
                                                              : 2u);
                   return entry.type == DT_DIR;
                 });
    EXPECT_TRUE(walked.ok()) << walked;
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(TreeCursorTest, REL_18_AnyDepthWithAHandfulOfDescriptors) {
  constexpr int kLevels = 6000;
  ASSERT_EQ(testing::MakeDeep(top_.get(), kLevels, "d"), 0);
  const testing::FewDescriptors few(4);
  int seen = 0;
  EXPECT_TRUE(testing::OnSmallStack([&] {
    const absl::Status walked =
        WalkTree(OpenTop(), TreeCursor::Place::kFiles, Deadline::Never(),
                 [&](const TreeCursor&, const TreeCursor::Entry&)
                     -> absl::StatusOr<bool> { return ++seen > 0; });
    EXPECT_TRUE(walked.ok()) << walked;
  }));
  EXPECT_EQ(seen, kLevels);
}

TEST_F(TreeCursorTest, REL_18_LevelsThatWereForgottenAreFoundAgain) {
  constexpr int kLevels = static_cast<int>(TreeCursor::kMaxLevels) + 50;
  ASSERT_EQ(testing::MakeDeep(top_.get(), kLevels, "d"), 0);
  // After the forgotten way down there is more to see.
  UniqueFd at = OpenTop();
  int expected = kLevels;
  for (int i = 0; i < 60; ++i) {
    for (const char* name : {"a", "z"}) {
      ASSERT_EQ(mkdirat(at.get(), name, 0755), 0);
      ++expected;
    }
    at = *OpenAt(at.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  int seen = 0;
  const auto visit = [&](const TreeCursor&,
                         const TreeCursor::Entry&) -> absl::StatusOr<bool> {
    return ++seen > 0;
  };
  const absl::Status walked = WalkTree(OpenTop(), TreeCursor::Place::kCgroups,
                                       Deadline::Never(), visit);
  EXPECT_TRUE(walked.ok()) << walked;
  EXPECT_EQ(seen, expected);
  // Files could be moved: there the way back is not taken on trust.
  const absl::Status refused =
      WalkTree(OpenTop(), TreeCursor::Place::kFiles, Deadline::Never(), visit);
  EXPECT_EQ(GetErrno(refused), ENAMETOOLONG) << refused;
}

TEST_F(TreeCursorTest, FS_1_ADirectoryThatIsMovedMeanwhileLeadsNowhere) {
  MakeDir("a/b/c");
  MakeDir("elsewhere");
  TreeCursor cursor = *TreeCursor::Make(OpenTop(), TreeCursor::Kind::kRemove);
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(cursor.Enter(name).ok());
  }
  ASSERT_TRUE(cursor.Leave().ok());
  ASSERT_EQ(renameat(top_.get(), "a/b", top_.get(), "elsewhere/b"), 0);
  EXPECT_TRUE(absl::IsAborted(cursor.Leave()));
}

TEST_F(TreeCursorTest, FS_1_EntersNoLinkAndNoFile) {
  MakeDir("a");
  ASSERT_EQ(symlinkat("a", top_.get(), "link"), 0);
  ASSERT_TRUE(OpenAt(top_.get(), "file", O_CREAT | O_WRONLY, 0600).ok());
  TreeCursor cursor = *TreeCursor::Make(OpenTop(), TreeCursor::Kind::kLook);
  for (const char* name : {"link", "file", "nothing"}) {
    EXPECT_FALSE(cursor.Enter(name).ok()) << name;
    EXPECT_EQ(cursor.depth(), 0u);
  }
  EXPECT_TRUE(cursor.Enter("a").ok());
  EXPECT_EQ(cursor.depth(), 1u);
}

TEST_F(TreeCursorTest, REL_12_AWalkHonoursItsDeadline) {
  ASSERT_EQ(testing::MakeNames(top_.get(), 1000, 10), 0);
  int seen = 0;
  const absl::Status late = WalkTree(
      OpenTop(), TreeCursor::Place::kFiles,
      Deadline::After(absl::ZeroDuration()),
      [&](const TreeCursor&, const TreeCursor::Entry&) -> absl::StatusOr<bool> {
        return ++seen < 0;
      });
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_LT(seen, 1000);
}

}  // namespace
}  // namespace warren::base
