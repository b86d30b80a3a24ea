// What one layer leans on in another: parents that it does not list, hard links
// to files that it lacks.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayoutSource;
using testing::Member;
using testing::TarBuilder;

class ImageCompose : public ImageStoreTest {
 protected:
  absl::StatusOr<std::shared_ptr<const Image>> ImportTars(
      const std::vector<std::string>& tars,
      const std::string& reference = "test/image:1") {
    LayoutSource source;
    for (const std::string& tar : tars) source.layers.push_back({tar});
    return Import(source, reference);
  }
};

Member DirectoryMember(const std::string& name, uint32_t mode,
                       uint64_t uid = 0) {
  Member member;
  member.name = name;
  member.type = '5';
  member.mode = mode;
  member.uid = uid;
  member.mtime = 1000;
  return member;
}

std::string Base() {
  Member srv = DirectoryMember("srv", 0755, 33);
  srv.pax = {{"SCHILY.xattr.user.kept", "yes"}};
  return TarBuilder()
      .Add(DirectoryMember("./", 0751, 7))
      .Add(DirectoryMember("tmp", 01777))
      .Add(DirectoryMember("root", 0700))
      .Add(srv)
      .Directory("usr")
      .File("bin/p", "program")
      .Symlink("lib", "usr/lib")
      .File("usr/lib/loader", "loader")
      .Build();
}

struct stat StatOf(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
  return st;
}

TEST_F(ImageCompose, UnlistedParentsAreLikeThoseBelow) {
  const auto image = ImportTars({Base(), TarBuilder()
                                             .File("tmp/x")
                                             .File("root/.profile")
                                             .File("srv/site/index")
                                             .File("usr/bin/y")
                                             .File("new/z")
                                             .Build()});
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ((*image)->layer_dirs.size(), 3u);
  const std::string top = (*image)->layer_dirs.back();
  EXPECT_EQ(StatOf(top).st_mode, S_IFDIR | 0751u);
  EXPECT_EQ(StatOf(top).st_uid, 7u);
  EXPECT_EQ(StatOf(top + "/tmp").st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(StatOf(top + "/tmp").st_mtim.tv_sec, 1000);
  EXPECT_EQ(StatOf(top + "/root").st_mode, S_IFDIR | 0700u);
  EXPECT_EQ(StatOf(top + "/srv").st_uid, 33u);
  char value[8] = {};
  EXPECT_EQ(getxattr((top + "/srv").c_str(), "user.kept", value, 8), 3);
  // What is 0755 of root anyway needs nothing.
  EXPECT_EQ(base::ListDir(AT_FDCWD, top)->size(), 3u);
  EXPECT_THAT((*image)->remarks, IsEmpty());
}

// Layers that list what they need, as docker and buildkit write them.
TEST_F(ImageCompose, WhatLeansOnNothingCostsNothing) {
  const auto image =
      ImportTars({TarBuilder().Directory("tmp", 01777).File("tmp/a").Build(),
                  TarBuilder().Directory("tmp", 0700).File("tmp/x").Build(),
                  TarBuilder().File("usr/lib/x").Build(),
                  TarBuilder().File("usr/lib/y").Build()});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->layer_dirs.size(), 4u);
}

TEST_F(ImageCompose, OnlyWhatIsSeenInTheEndCounts) {
  const std::string leans = TarBuilder().File("tmp/x").Build();
  // Listed above; removed above; hidden by an opaque directory.
  for (const std::string& above :
       {TarBuilder().Add(DirectoryMember("tmp", 01777)).Build(),
        TarBuilder().File(".wh.tmp").Build(),
        TarBuilder().File(".wh..wh..opq").Build()}) {
    const auto image = ImportTars(
        {TarBuilder().Directory("tmp", 01777).Build(), leans, above});
    ASSERT_TRUE(image.ok()) << image.status();
    const std::string top = (*image)->layer_dirs.back();
    EXPECT_NE(access((top + "/x").c_str(), F_OK), 0);
    EXPECT_LE((*image)->layer_dirs.size(), 3u);
  }
  // A whiteout of its own: there is nothing below any more.
  const auto fresh =
      ImportTars({TarBuilder().Directory("tmp", 01777).Build(),
                  TarBuilder().File(".wh.tmp").File("tmp/x").Build()});
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ((*fresh)->layer_dirs.size(), 2u);
  // What an opaque directory hides is handed on to nobody below it.
  const auto hidden =
      ImportTars({TarBuilder().Directory("d").Directory("d/c", 0700).Build(),
                  TarBuilder().File("d/.wh..wh..opq").File("d/c/x").Build()});
  ASSERT_TRUE(hidden.ok()) << hidden.status();
  EXPECT_EQ((*hidden)->layer_dirs.size(), 2u);
  // An opaque directory keeps its own metadata.
  const auto opaque =
      ImportTars({TarBuilder().Directory("tmp", 01777).Build(),
                  TarBuilder().File("tmp/.wh..wh..opq").File("tmp/x").Build()});
  ASSERT_TRUE(opaque.ok()) << opaque.status();
  EXPECT_EQ(StatOf((*opaque)->layer_dirs.back() + "/tmp").st_mode,
            S_IFDIR | 01777u);
}

// The rest is shared: one layer of two images leans on different things.
TEST_F(ImageCompose, OneLayerInTwoStacks) {
  const std::string leans = TarBuilder().File("d/x").Build();
  const auto one =
      ImportTars({TarBuilder().Directory("d", 0711).Build(), leans}, "a:1");
  const auto two =
      ImportTars({TarBuilder().Directory("d", 0700).Build(), leans}, "b:1");
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ((*one)->layer_dirs[1], (*two)->layer_dirs[1]);
  EXPECT_EQ(StatOf((*one)->layer_dirs[2] + "/d").st_mode, S_IFDIR | 0711u);
  EXPECT_EQ(StatOf((*two)->layer_dirs[2] + "/d").st_mode, S_IFDIR | 0700u);
  EXPECT_EQ(base::ListDir(AT_FDCWD, root() + "/layers")->size(), 5u);
  ASSERT_TRUE(store().Remove("a:1").ok());
  EXPECT_EQ(base::ListDir(AT_FDCWD, root() + "/layers")->size(), 3u);
  EXPECT_EQ(base::ListDir(AT_FDCWD, root() + "/leanings")->size(), 2u);
}

TEST_F(ImageCompose, SurvivesARestartAndGarbageCollection) {
  const std::vector<std::string> tars = {
      Base(), TarBuilder().File("tmp/x").HardLink("bin/q", "bin/p").Build()};
  auto image = ImportTars(tars);
  ASSERT_TRUE(image.ok()) << image.status();
  const std::vector<std::string> directories = (*image)->layer_dirs;
  ASSERT_EQ(directories.size(), 3u);
  auto hold = store().Hold("test/image:1");
  ASSERT_TRUE(hold.ok());
  const std::string id = (*image)->id;
  hold->reset();
  Reopen();
  ASSERT_TRUE(store().CollectGarbage().ok());
  ASSERT_TRUE(store().Find("test/image:1").ok());
  EXPECT_EQ((*store().Find("test/image:1"))->layer_dirs, directories);
  EXPECT_EQ(StatOf(directories[2] + "/bin/q").st_size, 7);
  // A container's record, after the image is gone.
  auto again = store().Rehold(id, directories);
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_TRUE(store().Remove("test/image:1").ok());
  EXPECT_EQ(StatOf(directories[2] + "/tmp").st_mode, S_IFDIR | 01777u);
  again->reset();
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_TRUE(base::ListDir(AT_FDCWD, root() + "/layers")->empty());
  EXPECT_TRUE(base::ListDir(AT_FDCWD, root() + "/leanings")->empty());
}

// What a crash may leave: a layer and its completion that no list names, half
// of each; and a layer of a version that did not write down what it leans on.
TEST_F(ImageCompose, WhatACrashLeavesIsMadeAgain) {
  const std::vector<std::string> tars = {Base(),
                                         TarBuilder().File("tmp/x").Build()};
  auto image = ImportTars(tars);
  ASSERT_TRUE(image.ok());
  const std::string top = (*image)->layer_dirs.back();
  ASSERT_EQ(unlink((root() + "/refs.json").c_str()), 0);
  ASSERT_EQ(rmdir((top + "/tmp").c_str()), 0);
  Reopen();
  image = ImportTars(tars);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->layer_dirs.back(), top);
  EXPECT_EQ(StatOf(top + "/tmp").st_mode, S_IFDIR | 01777u);
  const std::string notes = root() + "/leanings";
  const auto names = base::ListDir(AT_FDCWD, notes);
  ASSERT_TRUE(names.ok()) << names.status();
  ASSERT_EQ(names->size(), 2u);
  for (const std::string& name : *names) {
    ASSERT_EQ(unlink((notes + "/" + name).c_str()), 0);
  }
  Reopen();
  image = ImportTars(tars);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->layer_dirs.back(), top);
  // Damage is said, and mended by the next import.
  for (const std::string& name : *names) {
    const auto file =
        base::OpenAt(AT_FDCWD, notes + "/" + name, O_WRONLY | O_TRUNC);
    ASSERT_TRUE(base::WriteFd(file->get(), "damage").ok());
  }
  Reopen();
  int imports = 1;
  while (!(image = ImportTars(tars)).ok() && imports < 4) {
    EXPECT_TRUE(absl::IsUnavailable(image.status())) << image.status();
    ++imports;
  }
  EXPECT_TRUE(image.ok()) << image.status();
  EXPECT_GT(imports, 1);
}

// Field case C3 b: containerd lets a directory hide the link, too.
TEST_F(ImageCompose, AHiddenLinkIsSaid) {
  const auto image = ImportTars({Base(), TarBuilder().File("lib/x").Build()});
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_THAT((*image)->remarks, ElementsAre(HasSubstr("\"lib\"")));
  EXPECT_THAT((*image)->remarks[0], HasSubstr("\"usr/lib\""));
  EXPECT_THAT((*image)->remarks[0], HasSubstr("layer 2"));
  EXPECT_TRUE(S_ISDIR(StatOf((*image)->layer_dirs[1] + "/lib").st_mode));
  // Not of an image that is looked up.
  EXPECT_THAT((*store().Find("test/image:1"))->remarks, IsEmpty());
  // A directory that is listed replaces the link as it was asked to.
  const auto listed =
      ImportTars({Base(), TarBuilder().Directory("lib").File("lib/x").Build()});
  ASSERT_TRUE(listed.ok());
  EXPECT_THAT((*listed)->remarks, IsEmpty());
  TarBuilder links;
  TarBuilder below;
  for (int i = 0; i < 40; ++i) {
    links.Symlink(absl::StrCat("l", i), "x");
    below.File(absl::StrCat("l", i, "/f"));
  }
  const auto bounded = ImportTars({links.Build(), below.Build()});
  ASSERT_TRUE(bounded.ok());
  EXPECT_EQ((*bounded)->remarks.size(), 16u);
  EXPECT_THAT((*bounded)->remarks.back(), HasSubstr("25 further"));
}

// Field case C2 b, as the official mariadb image has it.
TEST_F(ImageCompose, HardLinksToFilesBelow) {
  const auto image = ImportTars(
      {Base(), TarBuilder().File("other").Build(),
       TarBuilder()
           .HardLink("bin/q", "/bin/p")
           .HardLink("deep/r", "bin/q")
           .Build(),
       TarBuilder().HardLink("s", "deep/r").File("bin/p", "new").Build()});
  ASSERT_TRUE(image.ok()) << image.status();
  const std::string top = (*image)->layer_dirs.back();
  const std::string program = (*image)->layer_dirs[0] + "/bin/p";
  for (const char* name : {"/bin/q", "/deep/r", "/s"}) {
    EXPECT_EQ(StatOf(top + name).st_ino, StatOf(program).st_ino) << name;
  }
  EXPECT_NE(access((top + "/bin/p").c_str(), F_OK), 0);
}

TEST_F(ImageCompose, HardLinksToNothingAreRefusedByName) {
  const auto before = Ledger();
  const std::vector<std::vector<std::string>> bad = {
      {TarBuilder().HardLink("q", "bin/p").Build()},
      {Base(), TarBuilder().HardLink("q", "bin/none").Build()},
      {Base(), TarBuilder().HardLink("q", "bin").Build()},
      {Base(), TarBuilder().HardLink("q", "usr").Build()},
      // A link of a lower layer is not followed.
      {Base(), TarBuilder().HardLink("q", "lib/loader").Build()},
      {Base(), TarBuilder().File(".wh.bin").Build(),
       TarBuilder().HardLink("q", "bin/p").Build()},
      {Base(), TarBuilder().File("bin/.wh.p").HardLink("q", "bin/p").Build()},
      {Base(),
       TarBuilder().File("bin/.wh..wh..opq").HardLink("q", "bin/p").Build()},
      {Base(), TarBuilder().HardLink("bin", "bin/p").Build()},
  };
  for (const auto& tars : bad) {
    const auto image = ImportTars(tars);
    EXPECT_TRUE(absl::IsInvalidArgument(image.status())) << image.status();
    EXPECT_EQ(Ledger(), before);
  }
  const auto named = ImportTars(bad[1]);
  EXPECT_THAT(std::string(named.status().message()), HasSubstr("\"q\""));
  EXPECT_THAT(std::string(named.status().message()), HasSubstr("\"bin/none\""));
  EXPECT_THAT(std::string(named.status().message()), HasSubstr("layer 2"));
}

}  // namespace
}  // namespace warren::image
