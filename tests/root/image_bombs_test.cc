// IMG-3: layers that want everything, and compressed streams that lie.

#include <absl/strings/str_cat.h>

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
          std::string(), tar, std::string(100, 'x')}) {
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
