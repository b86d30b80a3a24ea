#include "runtime/mounts/target_place.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "runtime/base/file.h"

namespace warren::runtime {
namespace {

class TargetPlaceTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/placeXXXXXX";
    ASSERT_NE(mkdtemp(path_.data()), nullptr);
    auto root = base::OpenAt(AT_FDCWD, path_, O_PATH | O_DIRECTORY);
    ASSERT_TRUE(root.ok()) << root.status();
    root_ = *std::move(root);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }
  void Directory(const char* name) {
    ASSERT_EQ(mkdirat(root_.get(), name, 0755), 0) << name;
  }
  void Link(const char* target, const char* name) {
    ASSERT_EQ(symlinkat(target, root_.get(), name), 0) << name;
  }
  std::string Place(const std::string& target) const {
    return PlaceInRoot(root_.get(), target);
  }

  std::string path_;
  base::UniqueFd root_;
};

TEST_F(TargetPlaceTest, C26_LinksOfTheImageAreFollowed) {
  for (const char* directory : {"var", "run", "run/lock", "data", "up"}) {
    Directory(directory);
  }
  Link("/run", "var/run");
  Link("../run/lock", "var/lock");
  Link("/gone/away", "var/tmp");
  Link("../../../../run", "up/root");
  Link("/var/run", "twice");
  Link("..", "data/parent");
  Link("missing/../run", "through");
  const std::map<std::string, std::string> kTable = {
      {"/", "/"},
      {"/run", "/run"},
      {"/var/run", "/run"},
      {"/var/run/secrets/x", "/run/secrets/x"},
      {"/var/lock/a", "/run/lock/a"},
      {"/var/tmp/a", "/gone/away/a"},
      {"/up/root/x", "/run/x"},
      {"/twice/x", "/run/x"},
      {"/data/parent/run/y", "/run/y"},
      {"/through/x", "/run/x"},
      {"/not/there", "/not/there"},
  };
  for (const auto& [target, place] : kTable) {
    EXPECT_EQ(Place(target), place) << target;
  }
}

TEST_F(TargetPlaceTest, LoopsAndFilesAreKept) {
  Link("b", "a");
  Link("a", "b");
  EXPECT_EQ(Place("/a/x"), "/a/x");
  ASSERT_TRUE(base::WriteFileAtomic(root_.get(), "file", "", 0600).ok());
  EXPECT_EQ(Place("/file/x"), "/file/x");
}

}  // namespace
}  // namespace warren::runtime
