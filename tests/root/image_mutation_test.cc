// Archives with random damage through the unpacker's code in this process, so
// that a build with sanitizers sees it work: no crash, no report, and nothing
// outside of the directory.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "runtime/base/file.h"
#include "runtime/image/unpack/unpack_layer.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::Member;
using testing::TarBuilder;

std::string Seed() {
  Member attributed;
  attributed.name = "attributed";
  attributed.data = "data";
  attributed.pax = {{"SCHILY.xattr.user.a", "b"},
                    {"path", "dir/attributed"},
                    {"mtime", "1.5"}};
  Member sparse;
  sparse.name = "sparse";
  sparse.data = testing::Padded("1\n512\n512\n") + std::string(512, 'x');
  sparse.pax = {{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "2048"}};
  return TarBuilder()
      .Directory("dir")
      .File("dir/file", std::string(700, 'x'))
      .Symlink("dir/link", "../dir")
      .HardLink("hard", "dir/file")
      .File("dir/.wh.gone")
      .File("opaque/.wh..wh..opq")
      .GnuLong('L', "dir/" + std::string(150, 'n'))
      .File("short", "x")
      .Add(attributed)
      .Add(sparse)
      .Build();
}

// Changes a byte or two and repairs the checksums, so that the damage is seen.
std::string Damage(std::string tar, std::mt19937* random) {
  for (int i = 0; i < 2; ++i) {
    const size_t at = (*random)() % tar.size();
    switch ((*random)() % 4) {
      case 0:
        tar[at] = static_cast<char>((*random)());
        break;
      case 1:
        tar[at] = "/.\0019"[(*random)() % 5];
        break;
      case 2:
        tar.erase(at, (*random)() % 600);
        break;
      default:
        tar.insert(at, tar.substr((*random)() % tar.size(), 512));
    }
  }
  for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
    std::string block = tar.substr(at, 512);
    if (block.compare(257, 5, "ustar") != 0) continue;
    testing::FixChecksum(&block);
    tar.replace(at, 512, block);
  }
  return tar;
}

TEST(UnpackMutations, IMG_2_DamagedArchivesDoNoHarm) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  char name[] = "/tmp/warren-mutate-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const mode_t old_umask = umask(0);
  const std::string seed = Seed();
  std::mt19937 random(42);
  int accepted = 0;
  for (int i = 0; i < 1500; ++i) {
    const auto compression = static_cast<Compression>(i % 3);
    std::string blob = testing::Compress(Damage(seed, &random), compression);
    if (i % 10 == 0) blob[random() % blob.size()] ^= 4;
    const auto input = base::SealedMemfd("layer", blob, false);
    ASSERT_TRUE(input.ok());
    const std::string target = absl::StrCat(name, "/layer");
    ASSERT_EQ(mkdir(target.c_str(), 0700), 0);
    const auto root = base::OpenAt(AT_FDCWD, target, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(root.ok());
    const auto layer =
        UnpackLayer(input->get(), compression, root->get(), {1 << 20, 1000});
    accepted += layer.ok() ? 1 : 0;
    EXPECT_NE(layer.status().code(), absl::StatusCode::kInternal)
        << i << " " << layer.status();
    const auto names = base::ListDir(AT_FDCWD, name);
    ASSERT_TRUE(names.ok());
    EXPECT_EQ(names->size(), 1u) << i;
    ASSERT_TRUE(base::RemoveTree(AT_FDCWD, target).ok());
  }
  EXPECT_GT(accepted, 0);
  umask(old_umask);
  EXPECT_TRUE(base::RemoveTree(AT_FDCWD, name).ok());
}

}  // namespace
}  // namespace warren::image
