#include "runtime/image/image_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace warren::image {
namespace {

using ::testing::ElementsAre;

ImageTable::Entry Entry(const std::string& what,
                        std::vector<std::string> tags) {
  const ImageRecord record{Digest::Of(what),
                           {Digest::Of("m" + what)},
                           std::move(tags),
                           {},
                           false,
                           {}};
  const Descriptor config{"", record.id, 6, std::nullopt, ""};
  const KnownManifest manifest{record.manifests[0], 10, {config, {}}};
  return std::make_shared<ImageEntry>(
      MakeEntry(record, {manifest}, ConfigDocument(), "config", {}, {}, "/l"));
}

TEST(ImageTable, TagsMove) {
  const std::string tag = "docker.io/library/a:1";
  const ImageTable one = ImageTable().With(Entry("1", {tag, "x.io/b:1"}));
  const ImageTable two = one.With(Entry("2", {tag}));
  EXPECT_EQ((*two.Find("a:1"))->record.id, Digest::Of("2"));
  EXPECT_EQ((*one.Find("a:1"))->record.id, Digest::Of("1"));
  const auto old = two.FindId(Digest::Of("1"));
  EXPECT_THAT(old->record.tags, ElementsAre("x.io/b:1"));
  EXPECT_THAT(old->image->repo_tags, ElementsAre("x.io/b:1"));
  EXPECT_EQ(two.Without(Digest::Of("2")).Find("a:1").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ImageTable, ANameGoesBeforeAPrefix) {
  const ImageTable plain = ImageTable().With(Entry("1", {}));
  const std::string prefix = Digest::Of("1").hex().substr(0, 4);
  EXPECT_TRUE(plain.Find(prefix).ok());
  EXPECT_TRUE(plain.Find("sha256:" + prefix).ok());
  const ImageTable named =
      plain.With(Entry("2", {"docker.io/library/" + prefix + ":latest"}));
  EXPECT_EQ((*named.Find(prefix))->record.id, Digest::Of("2"));
}

TEST(ImageTable, SizeAndBlobs) {
  const ImageTable table = ImageTable().With(Entry("1", {}));
  EXPECT_EQ(table.List()[0]->size_bytes, 16u);
  EXPECT_THAT(table.Blobs(), ::testing::UnorderedElementsAre(Digest::Of("1"),
                                                             Digest::Of("m1")));
}

TEST(LayerDirectories, OverlaysNeeds) {
  const Digest a = Digest::Of("a");
  const Digest b = Digest::Of("b");
  const std::string fa = "/l/" + a.hex();
  const std::string fb = "/l/" + b.hex();
  EXPECT_THAT(LayerDirectories({a, b}, {false, false}, "/l"),
              ElementsAre(fa, fb));
  EXPECT_THAT(LayerDirectories({a, b, a}, {false, false, false}, "/l"),
              ElementsAre(fb, fa));
  EXPECT_THAT(LayerDirectories({a, b}, {false, true}, "/l"), ElementsAre(fb));
  EXPECT_THAT(LayerDirectories({a, b}, {true, false}, "/l"),
              ElementsAre(fa, fb));
  EXPECT_THAT(LayerDirectories({}, {}, "/l"), ElementsAre());
}

}  // namespace
}  // namespace warren::image
