// IMG-3: layers that want everything, and compressed streams that lie.

#include <absl/strings/str_cat.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <string>
#include <vector>

#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::Member;
using testing::PaxRecord;
using testing::TarBuilder;

constexpr auto kBad = absl::StatusCode::kInvalidArgument;
constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;

class ImageBombs : public HostileLayerTest {};

Member Plain(const std::string& name) {
  Member member;
  member.name = name;
  return member;
}

TEST_F(ImageBombs, IMG_3_Bombs) {
  TarBuilder many;
  for (int i = 0; i < 2500; ++i) many.File(absl::StrCat("f", i));
  TarBuilder directories;
  for (int i = 0; i < 20; ++i) {
    std::string path = absl::StrCat("r", i);
    for (int d = 0; d < 150; ++d) path += "/d";
    directories.GnuLong('L', path + "/f").Add(Plain("x"));
  }
  TarBuilder repeats;
  for (int i = 0; i < 2500; ++i) repeats.File("same");
  TarBuilder global;
  for (int i = 0; i < 2500; ++i) {
    global.PaxHeader('g', PaxRecord("comment", "x"));
  }
  const std::vector<Hostile> corpus = {
      {"too many files", many.Build(), kTooMuch},
      {"too many unlisted directories", directories.Build(), kTooMuch},
      {"one file many times", repeats.Build(), kTooMuch},
      {"headers without end", global.Build(), kTooMuch},
      {"file over the budget",
       TarBuilder().File("zeros", std::string(65 << 20, '\0')).Build(),
       kTooMuch},
      {"ratio", TarBuilder().File("zeros", std::string(40 << 20, '\0')).Build(),
       kTooMuch},
  };
  // gzip cannot exceed 1032:1 and stays just below at this size.
  ExpectRefused({corpus.begin(), corpus.end() - 1}, Compression::kGzip);
  ExpectRefused(corpus, Compression::kZstd);
}

// Each layer is within its own bound.
TEST_F(ImageBombs, IMG_3_EntriesOfAllLayersTogether) {
  limits().image_entries = 2500;
  Reopen();
  const auto before = Ledger();
  const auto image_of = [](int layers, int files) {
    testing::LayoutSource source;
    for (int layer = 0; layer < layers; ++layer) {
      TarBuilder tar;
      for (int i = 0; i < files; ++i) tar.File(absl::StrCat(layer, "-", i));
      source.layers.push_back({tar.Build(), Compression::kGzip});
    }
    return source;
  };
  const auto image = Import(image_of(3, 1000));
  EXPECT_EQ(image.status().code(), kTooMuch) << image.status();
  EXPECT_EQ(Ledger(), before);
  // Layers that are there already count as well.
  ASSERT_TRUE(Import(image_of(2, 1000)).ok());
  EXPECT_EQ(Import(image_of(3, 1000), "test/image:2").status().code(),
            kTooMuch);
  EXPECT_TRUE(Import(image_of(3, 700), "test/image:3").ok());
}

// A disk whose inodes one image could take.
TEST_F(ImageBombs, IMG_3_InodesOfTheDiskAreLookedAt) {
  const std::string disk = root() + "-disk";
  ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
  ASSERT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", 0, "nr_inodes=600"), 0);
  {
    auto store = LocalImageStore::Open({disk, WARREN_UNPACK_PROGRAM, limits()});
    ASSERT_TRUE(store.ok()) << store.status();
    const auto import = [&](int files) {
      TarBuilder tar;
      for (int i = 0; i < files; ++i) tar.File(absl::StrCat("f", i));
      testing::LayoutSource source;
      source.layers = {{tar.Build(), Compression::kGzip}};
      auto session = (*store)->BeginImport("test/image:1", /*pinned=*/false);
      EXPECT_TRUE(session.ok()) << session.status();
      absl::Status status = (*session)->Write(testing::BuildLayout(source));
      return status.ok() ? (*session)->Commit().status() : status;
    };
    // They would fit, and leave nothing to anybody.
    const absl::Status greedy = import(560);
    EXPECT_EQ(greedy.code(), kTooMuch) << greedy;
    struct statvfs fs;
    ASSERT_EQ(statvfs(disk.c_str(), &fs), 0);
    EXPECT_GT(fs.f_favail, 560u) << "nothing stays";
    EXPECT_TRUE(import(300).ok());
  }
  EXPECT_EQ(umount2(disk.c_str(), 0), 0);
}

TEST_F(ImageBombs, IMG_3_ZstdWindow) {
  const auto before = Ledger();
  testing::LayoutSource source = SmallImage("x", Compression::kZstd);
  const std::string tar = source.layers[0].tar;
  for (const int window_log : {26, 27, 30}) {
    source.manifest = nullptr;
    source.files = nullptr;
    const std::string blob = testing::CompressZstd(tar, window_log);
    source.manifest = [&](testing::Json* manifest) {
      (*manifest)["layers"][0] = testing::MakeDescriptor(
          "application/vnd.oci.image.layer.v1.tar+zstd", blob);
    };
    source.files = [&](std::map<std::string, std::string>* files) {
      (*files)[testing::BlobPath(blob)] = blob;
    };
    const auto image = Import(source);
    EXPECT_EQ(image.status().code(), kTooMuch)
        << window_log << " " << image.status();
    EXPECT_EQ(Ledger(), before);
  }
}

TEST_F(ImageBombs, IMG_4_CompressedStreamsThatLie) {
  const std::string tar = TarBuilder().File("f", "x").Build();
  const auto before = Ledger();
  for (const Compression compression :
       {Compression::kGzip, Compression::kZstd}) {
    const std::string good = testing::Compress(tar, compression);
    std::string flipped = good;
    flipped[flipped.size() / 2] ^= 0x10;
    for (const std::string& blob :
         {good.substr(0, good.size() - 1), good + "x", good + good, flipped,
          std::string(), std::string(100, 'x'), std::string(1000, 'x')}) {
      testing::LayoutSource source;
      source.layers = {{tar, compression}};
      source.manifest = [&](testing::Json* manifest) {
        auto& layer = (*manifest)["layers"][0];
        const std::string type = layer["mediaType"];
        layer = testing::MakeDescriptor(type, blob);
      };
      source.files = [&](std::map<std::string, std::string>* files) {
        (*files)[testing::BlobPath(blob)] = blob;
      };
      const auto image = Import(source);
      EXPECT_EQ(image.status().code(), kBad)
          << blob.size() << " " << image.status();
      EXPECT_EQ(Ledger(), before);
    }
  }
}

TEST_F(ImageBombs, IMG_3_ArchiveOverTheLimit) {
  limits().archive_bytes = 4096;
  Reopen();
  const auto before = Ledger();
  const auto image =
      Import(SmallImage(std::string(8192, 'x'), Compression::kNone));
  EXPECT_EQ(image.status().code(), kTooMuch) << image.status();
  EXPECT_EQ(Ledger(), before);
}

}  // namespace
}  // namespace warren::image
