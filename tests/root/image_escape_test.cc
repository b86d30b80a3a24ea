// IMG-2: absolute names and links in the parents of a member. Each archive is
// taken, and outside of the layer nothing changes.

#include <absl/strings/str_cat.h>

#include <string>
#include <vector>

#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::TarBuilder;

// Absolute names are names in the layer.
TEST_F(ImageHostile, IMG_2_AbsoluteNamesStayInside) {
  const std::string file = canary() + "/file";
  ExpectConfined({
      {"file", TarBuilder().File(file, "evil").Build()},
      {"directory", TarBuilder().Directory(canary(), 0777).Build()},
      {"symlink", TarBuilder().Symlink(file, "/etc").Build()},
      {"whiteout", TarBuilder().File(canary() + "/.wh.file").Build()},
      {"opaque", TarBuilder().File(canary() + "/.wh..wh..opq").Build()},
      {"hard link from",
       TarBuilder().File("t", "evil").HardLink(file, "t").Build()},
      {"replaced", TarBuilder().File(file).File(canary(), "evil").Build()},
      {"root", TarBuilder().Directory("/", 0777).Build()},
  });
  // The file outside is not what a hard link finds.
  ExpectRefused({
      {"hard link to", TarBuilder().HardLink("l", file).Build()},
      {"root as a file", TarBuilder().File("/", "evil").Build()},
      {"root as a link", TarBuilder().Symlink("/", canary()).Build()},
      {"hard link to the root", TarBuilder().HardLink("l", "/").Build()},
  });
}

TEST_F(ImageHostile, IMG_2_ParentsThatAreLinks) {
  std::vector<Hostile> corpus;
  std::vector<Hostile> refused;
  for (const std::string& target :
       {canary(), std::string("/"), std::string("../../.."), std::string("."),
        std::string("/proc/self/root"), std::string("/proc/self/fd/0"),
        std::string("real"), "../../../../.." + canary()}) {
    TarBuilder base;
    base.Directory("real").Symlink("link", target);
    corpus.push_back({"file below " + target,
                      TarBuilder(base).File("link/file", "evil").Build()});
    corpus.push_back({"directory below " + target,
                      TarBuilder(base).Directory("link/directory").Build()});
    corpus.push_back({"whiteout below " + target,
                      TarBuilder(base).File("link/.wh.file").Build()});
    corpus.push_back({"opaque " + target,
                      TarBuilder(base).File("link/.wh..wh..opq").Build()});
    corpus.push_back(
        {"hard link below " + target,
         TarBuilder(base).File("t").HardLink("link/file", "t").Build()});
    corpus.push_back(
        {"file over a directory below " + target, TarBuilder(base)
                                                      .File("link/file/x")
                                                      .File("link/file", "evil")
                                                      .Build()});
    refused.push_back({"hard link through " + target,
                       TarBuilder(base).HardLink("h", "link/file").Build()});
  }
  // A chain: each link harmless by itself.
  corpus.push_back({"chain of links", TarBuilder()
                                          .Directory("a")
                                          .Symlink("a/up", "..")
                                          .Symlink("a/up2", "up/..")
                                          .File("a/up2/x", "evil")
                                          .Build()});
  corpus.push_back({"hard link to a link as parent", TarBuilder()
                                                         .Symlink("s", canary())
                                                         .HardLink("h", "s")
                                                         .File("h/file", "evil")
                                                         .Build()});
  corpus.push_back({"link in the place of a parent that was open",
                    TarBuilder()
                        .File("p/q/x")
                        .Symlink("p/q", canary())
                        .File("p/q/file", "evil")
                        .Build()});
  corpus.push_back(
      {"link to itself as a directory", TarBuilder()
                                            .Directory("d")
                                            .Symlink("d/l", ".")
                                            .Symlink("d/l/l", canary())
                                            .File("d/l/file", "evil")
                                            .Build()});
  ExpectConfined(corpus);
  refused.push_back(
      {"file as parent", TarBuilder().File("f").File("f/x", "evil").Build()});
  refused.push_back(
      {"file behind a link as parent",
       TarBuilder().File("f").Symlink("l", "f").File("l/x", "evil").Build()});
  refused.push_back(
      {"whiteout as a target",
       TarBuilder().Symlink("l", ".wh.x").File("l/x", "evil").Build()});
  ExpectRefused(refused);
}

TEST_F(ImageHostile, IMG_2_LinksWithoutEnd) {
  TarBuilder wide;
  // Each link doubles the way.
  for (int i = 0; i < 39; ++i) {
    wide.Symlink(absl::StrCat("l", i),
                 absl::StrCat("l", i + 1, "/../l", i + 1));
  }
  std::string deep = "d";
  for (int i = 0; i < 200; ++i) deep += "/d";
  ExpectRefused({
      {"itself", TarBuilder().Symlink("l", "l").File("l/x").Build()},
      {"itself below", TarBuilder().Symlink("l", "l/l").File("l/x").Build()},
      {"two",
       TarBuilder().Symlink("a", "b").Symlink("b", "/a").File("a/x").Build()},
      {"as a target",
       TarBuilder().Symlink("a", "a").HardLink("h", "a/x").Build()},
      {"doubling", wide.File("l0/x").Build()},
      {"too deep", TarBuilder()
                       .GnuLong('K', deep)
                       .Symlink("l", "x")
                       .GnuLong('L', "l/" + deep + "/f")
                       .File("x")
                       .Build()},
      {"too long a part", TarBuilder()
                              .Symlink("l", std::string(99, 'x'))
                              .GnuLong('K', std::string(300, 'n'))
                              .Symlink("m", "x")
                              .File("m/x")
                              .Build()},
  });
}

}  // namespace
}  // namespace warren::image
