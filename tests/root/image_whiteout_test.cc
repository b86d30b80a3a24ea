// Whiteouts: in a layer's directory, and as overlayfs sees them.

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/file.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using testing::LayoutSource;
using testing::TarBuilder;

class ImageWhiteout : public UnpackedLayerTest {};

TEST_F(ImageWhiteout, WhiteoutsInTheFolder) {
  Unpack(TarBuilder()
             .File(".wh.gone")
             .File("d/.wh..wh..opq")
             .File("d/new", "x")
             // The layer's own things are not hidden by its own whiteouts,
             // whichever comes first.
             .File("own", "x")
             .File(".wh.own")
             .File(".wh.later")
             .File("later", "y")
             .Directory("directory")
             .File("directory/x")
             .File(".wh.directory")
             .File(".wh.newdirectory")
             .Directory("newdirectory")
             .File(".wh.parent")
             .File("parent/x", "z")
             .Build());
  EXPECT_TRUE(IsWhiteout("gone"));
  EXPECT_EQ(Xattr("d", "user.overlay.opaque"), "y");
  EXPECT_EQ(Read("own"), "x");
  EXPECT_EQ(Read("later"), "y");
  EXPECT_EQ(Xattr("directory", "user.overlay.opaque"), "y");
  EXPECT_EQ(Xattr("newdirectory", "user.overlay.opaque"), "y");
  EXPECT_EQ(Xattr("parent", "user.overlay.opaque"), "y");
  EXPECT_EQ(Read("parent/x"), "z");
}

std::vector<std::string> Sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

TEST_F(ImageWhiteout, IMG_2_WhiteoutsThroughOverlayfs) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  Reopen();  // its descriptors belong to the mount namespace of their birth
  LayoutSource source;
  source.layers = {{TarBuilder()
                        .File("gone", "1")
                        .File("kept", "1")
                        .File("d/old", "1")
                        .File("w/old", "1")
                        .Build()},
                   {TarBuilder()
                        .File(".wh.gone")
                        .File("d/.wh..wh..opq")
                        .File("d/new", "2")
                        .File(".wh.w")
                        .File("w/new", "2")
                        .Build()}};
  const auto image = Import(source);
  ASSERT_TRUE(image.ok()) << image.status();
  std::vector<std::string> lower = (*image)->layer_dirs;
  std::reverse(lower.begin(), lower.end());
  const std::string merged = root() + "-merged";
  ASSERT_EQ(mkdir(merged.c_str(), 0755), 0);
  const std::string options =
      absl::StrCat("userxattr,lowerdir=", absl::StrJoin(lower, ":"));
  ASSERT_EQ(
      mount("overlay", merged.c_str(), "overlay", MS_RDONLY, options.c_str()),
      0)
      << strerror(errno);
  EXPECT_THAT(Sorted(*base::ListDir(AT_FDCWD, merged)),
              ElementsAre("d", "kept", "w"));
  EXPECT_THAT(*base::ListDir(AT_FDCWD, merged + "/d"), ElementsAre("new"));
  EXPECT_THAT(*base::ListDir(AT_FDCWD, merged + "/w"), ElementsAre("new"));
  EXPECT_EQ(umount2(merged.c_str(), 0), 0);
}

TEST_F(ImageWhiteout, OpaqueRootAndRepeatedLayers) {
  const std::string a = TarBuilder().File("a").Build();
  const std::string b = TarBuilder().File("b").Build();
  const std::string opaque = TarBuilder().File(".wh..wh..opq").Build();
  LayoutSource source;
  source.layers = {{a}, {b}, {a}};
  auto image = Import(source, "repeat:1");
  ASSERT_TRUE(image.ok()) << image.status();
  const std::string layers = root() + "/layers/";
  EXPECT_THAT((*image)->layer_dirs, ElementsAre(layers + Digest::Of(b).hex(),
                                                layers + Digest::Of(a).hex()));
  source.layers = {{a}, {opaque}, {b}};
  image = Import(source, "opaque:1");
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT((*image)->layer_dirs,
              ElementsAre(layers + Digest::Of(opaque).hex(),
                          layers + Digest::Of(b).hex()));
  Reopen();
  EXPECT_EQ((*store().Find("opaque:1"))->layer_dirs.size(), 2u);
}

}  // namespace
}  // namespace warren::image
