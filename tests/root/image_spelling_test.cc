// One layer, spelled in the ways that people's tools spell it.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using ::testing::HasSubstr;
using testing::LayoutSource;
using testing::Member;
using testing::TarBuilder;

class ImageSpelling : public UnpackedLayerTest {};

// Field case C1: kaniko, nix, distroless.
TEST_F(ImageSpelling, AbsoluteNames) {
  for (const char* spelling : {"/", "./", "//", "/./", "."}) {
    Member top;
    top.name = spelling;
    top.type = '5';
    top.mode = 0711;
    top.uid = 9;
    Unpack(TarBuilder()
               .Add(top)
               .File("/usr/bin/x", spelling)
               .File("./var/z")
               .HardLink("h", "/usr/bin/x")
               .HardLink("//h2", "./usr//bin/x")
               .File("/etc/.wh.y")
               .Build());
    EXPECT_EQ(Stat("").st_mode, S_IFDIR | 0711u) << spelling;
    EXPECT_EQ(Stat("").st_uid, 9u);
    EXPECT_EQ(Read("usr/bin/x"), spelling);
    EXPECT_EQ(Stat("h").st_ino, Stat("usr/bin/x").st_ino);
    EXPECT_EQ(Stat("h2").st_ino, Stat("usr/bin/x").st_ino);
    EXPECT_TRUE(IsWhiteout("etc/y"));
  }
}

// Field case C3 a: pnpm, ko on wolfi, merged /usr.
TEST_F(ImageSpelling, LinksOfTheLayerAreFollowedInside) {
  Unpack(TarBuilder()
             .Directory("usr/lib")
             .Symlink("lib", "usr/lib")
             .File("lib/x", "1")
             .Directory("run")
             .Directory("var")
             .Symlink("var/run", "../run")
             .File("var/run/ko", "2")
             .Symlink("abs", "/usr")
             .File("abs/lib/y", "3")
             .Symlink("var/deep", "/run")
             .File("var/deep/q", "6")
             .Symlink("up", "../../../run")
             .File("up/z", "4")
             .Symlink("not", "made/yet")
             .File("not/w", "5")
             .Symlink("chain", "var/run")
             .HardLink("chain/hard", "lib/x")
             .HardLink("outside", "chain/ko")
             .File("lib/.wh.gone")
             .File("var/run/.wh..wh..opq")
             .Build());
  EXPECT_EQ(Read("usr/lib/x"), "1");
  EXPECT_EQ(Read("run/ko"), "2");
  EXPECT_EQ(Read("usr/lib/y"), "3");
  EXPECT_EQ(Read("run/q"), "6");
  EXPECT_EQ(Read("run/z"), "4");
  EXPECT_EQ(Read("made/yet/w"), "5");
  EXPECT_EQ(Stat("run/hard").st_ino, Stat("usr/lib/x").st_ino);
  EXPECT_EQ(Stat("outside").st_ino, Stat("run/ko").st_ino);
  EXPECT_TRUE(IsWhiteout("usr/lib/gone"));
  EXPECT_EQ(Xattr("run", "user.overlay.opaque"), "y");
  EXPECT_TRUE(S_ISLNK(Stat("lib").st_mode));
  EXPECT_TRUE(S_ISLNK(Stat("var/run").st_mode));
}

TEST_F(ImageSpelling, TheLastPartIsReplacedNotFollowed) {
  Unpack(TarBuilder()
             .File("target", "kept")
             .Symlink("l", "target")
             .File("l", "own")
             .Directory("b")
             .Symlink("a", "b")
             .Directory("a", 0711)
             .File("a/f", "6")
             .Symlink("c", "b")
             .HardLink("c", "target")
             .Symlink("d", "b")
             .Symlink("d", "a")
             .Build());
  EXPECT_EQ(Read("target"), "kept");
  EXPECT_EQ(Read("l"), "own");
  // Field case C3 e: a directory replaces the link.
  EXPECT_EQ(Stat("a").st_mode, S_IFDIR | 0711u);
  EXPECT_EQ(Read("a/f"), "6");
  EXPECT_TRUE(base::ListDir(AT_FDCWD, layer() + "/b")->empty());
  EXPECT_EQ(Stat("c").st_ino, Stat("target").st_ino);
}

TEST_F(ImageSpelling, AFileReplacesAFullDirectory) {
  std::string deep = "d";
  for (int i = 0; i < 200; ++i) deep += "/d";
  TarBuilder tar;
  tar.File("keep/x", "kept").Symlink("d/out", "../keep");
  for (int i = 0; i < 2000; ++i) tar.File(absl::StrCat("d/many/", i));
  tar.Raw(TarBuilder().GnuLong('L', deep + "/f").bytes());
  Unpack(tar.File("short", "x")
             .File("d/.wh.gone")
             .File("d", "file")
             .File("e/x")
             .Symlink("e", "d")
             .File("f/g/x")
             .HardLink("f", "keep/x")
             .Build());
  EXPECT_EQ(Read("d"), "file");
  EXPECT_EQ(Read("keep/x"), "kept");
  EXPECT_TRUE(S_ISLNK(Stat("e").st_mode));
  EXPECT_EQ(Stat("f").st_ino, Stat("keep/x").st_ino);
  // What was replaced hides what is below, also under a directory that comes
  // later.
  Unpack(TarBuilder().File("d", "file").Directory("d").Build());
  EXPECT_EQ(Xattr("d", "user.overlay.opaque"), "y");
}

// Field case C2.
TEST_F(ImageSpelling, HardLinksAsPeopleMakeThem) {
  Unpack(TarBuilder()
             .Symlink("s", "/exists/nowhere")
             .HardLink("deep/in/it", "s")
             .File("bin/p", "new")
             .HardLink("bin/q", "bin/p")
             .Build());
  EXPECT_TRUE(S_ISLNK(Stat("deep/in/it").st_mode));
  EXPECT_EQ(Stat("deep/in").st_mode, S_IFDIR | 0755u);
  EXPECT_EQ(Read("bin/q"), "new");
}

// Field case C4. Labels that lie, and streams of many parts.
std::string Skippable(const std::string& content) {
  std::string frame("\x53\x2a\x4d\x18", 4);
  frame += static_cast<char>(content.size());
  return frame + std::string(3, '\0') + content;
}

TEST_F(ImageSpelling, TheBytesDecideTheCompression) {
  const std::string tar = TarBuilder().File("f", "x").Build();
  const std::string half = tar.substr(0, 700);
  const std::string rest = tar.substr(700);
  const auto gzip = [](const std::string& text) {
    return testing::Compress(text, Compression::kGzip);
  };
  const auto zstd = [](const std::string& text) {
    return testing::Compress(text, Compression::kZstd);
  };
  // The name of the first member looks like a magic number.
  const std::string odd = TarBuilder().File("\x1f\x8b\x08", "x").Build();
  const std::vector<std::pair<std::string, std::string>> blobs = {
      {tar, tar},
      {gzip(tar), tar},
      {zstd(tar), tar},
      {gzip(half) + gzip(rest), tar},
      {Skippable("abc") + zstd(half) + Skippable("") + zstd(rest) +
           Skippable("end"),
       tar},
      {odd, odd},
  };
  int serial = 0;
  for (const char* label :
       {"application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd"}) {
    for (const auto& [blob, text] : blobs) {
      LayoutSource source;
      source.layers = {{text, Compression::kNone}};
      source.manifest = [&, &data = blob](testing::Json* manifest) {
        (*manifest)["layers"][0] = testing::MakeDescriptor(label, data);
      };
      source.files = [&data = blob](std::map<std::string, std::string>* files) {
        (*files)[testing::BlobPath(data)] = data;
      };
      const auto image = Import(source, absl::StrCat("test/image:", ++serial));
      EXPECT_TRUE(image.ok()) << label << " " << image.status();
    }
  }
  LayoutSource xz;
  xz.layers = {{tar, Compression::kGzip}};
  const std::string other = std::string(
                                "\xfd"
                                "7zXZ\0",
                                6) +
                            tar;
  xz.manifest = [&](testing::Json* manifest) {
    const std::string type = (*manifest)["layers"][0]["mediaType"];
    (*manifest)["layers"][0] = testing::MakeDescriptor(type, other);
  };
  xz.files = [&](std::map<std::string, std::string>* files) {
    (*files)[testing::BlobPath(other)] = other;
  };
  const absl::Status refused = Import(xz).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("xz"));
}

}  // namespace
}  // namespace warren::image
