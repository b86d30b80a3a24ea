#include "runtime/image/refs_file.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::image {
namespace {

std::vector<ImageRecord> Sample() {
  ImageRecord first{Digest::Of("a"),
                    {Digest::Of("m1"), Digest::Of("m2")},
                    {"docker.io/library/a:1", "docker.io/library/a:2"},
                    {"docker.io/library/a@" + Digest::Of("m1").ToString()},
                    true,
                    {{4096, 2}, {0, 0}}};
  ImageRecord second{Digest::Of("b"), {Digest::Of("m3")}, {}, {}, false, {}};
  return {first, second};
}

TEST(RefsFile, RoundTrip) {
  const auto records = DecodeRefs(EncodeRefs(Sample()));
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(EncodeRefs(*records), EncodeRefs(Sample()));
  EXPECT_EQ((*records)[0].tags, Sample()[0].tags);
  EXPECT_TRUE((*records)[0].pinned);
  EXPECT_EQ((*records)[0].layer_sizes[0].bytes, 4096u);
  EXPECT_TRUE(DecodeRefs(EncodeRefs({}))->empty());
}

TEST(RefsFile, REL_16_EveryTruncationAndFlipIsSeen) {
  const std::string text = EncodeRefs(Sample());
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(DecodeRefs(text.substr(0, size)).ok()) << size;
  }
  for (size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] ^= 1;
    EXPECT_FALSE(DecodeRefs(flipped).ok()) << at;
  }
  EXPECT_FALSE(DecodeRefs(text + " ").ok());
}

TEST(RefsFile, REL_26_NewerVersionIsNotDamage) {
  std::string text = EncodeRefs(Sample());
  text.replace(0, 16, "warren-images 3 ");
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeRefs(text).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeRefs("something else\n").status()));
}

}  // namespace
}  // namespace warren::image
