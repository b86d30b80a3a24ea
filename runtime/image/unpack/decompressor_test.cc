#include "runtime/image/unpack/decompressor.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/testing/tar_builder.h"

namespace warren::image {
namespace {

absl::StatusOr<std::string> Expand(const std::string& data,
                                   Compression compression, size_t chunk) {
  const auto decompressor = Decompressor::Create(compression);
  std::string out;
  const auto take = [&out](absl::string_view bytes) {
    out.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  };
  for (size_t at = 0; at < data.size(); at += chunk) {
    RETURN_IF_ERROR(
        decompressor->Feed(absl::string_view(data).substr(at, chunk), take));
  }
  RETURN_IF_ERROR(decompressor->Finish());
  return out;
}

std::string Text() {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919);
  return text;
}

TEST(Decompressor, RoundTripInAnyChunkSize) {
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const std::string packed = testing::Compress(Text(), compression);
    for (const size_t chunk : {size_t{1000}, size_t{4096}, packed.size()}) {
      const auto text = Expand(packed, compression, chunk);
      ASSERT_TRUE(text.ok()) << text.status();
      EXPECT_EQ(*text, Text());
    }
  }
}

TEST(Decompressor, SeveralMembersMakeOneStream) {
  for (const Compression compression :
       {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = testing::Compress("one ", compression) +
                               testing::Compress("", compression) +
                               testing::Compress("two", compression);
    for (const size_t chunk : {size_t{1}, packed.size()}) {
      const auto text = Expand(packed, compression, chunk);
      ASSERT_TRUE(text.ok()) << text.status();
      EXPECT_EQ(*text, "one two");
    }
  }
}

TEST(Decompressor, IMG_4_CutMixedUpOrFollowedByMore) {
  for (const Compression compression :
       {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = testing::Compress("some text", compression);
    for (size_t size = 0; size < packed.size(); ++size) {
      EXPECT_FALSE(Expand(packed.substr(0, size), compression, 64).ok())
          << size;
    }
    EXPECT_FALSE(Expand(packed + "x", compression, 64).ok());
    EXPECT_FALSE(Expand(packed + std::string(512, '\0'), compression, 64).ok());
    const Compression other = compression == Compression::kGzip
                                  ? Compression::kZstd
                                  : Compression::kGzip;
    EXPECT_FALSE(Expand(packed, other, 64).ok());
    EXPECT_FALSE(Expand("plain", compression, 64).ok());
  }
}

TEST(Decompressor, IMG_3_WindowAndRatio) {
  const std::string zeros(64 << 20, '\0');
  EXPECT_TRUE(absl::IsResourceExhausted(
      Expand(testing::Compress(zeros, Compression::kZstd), Compression::kZstd,
             4096)
          .status()));
  EXPECT_TRUE(Expand(testing::CompressZstd(Text(), kMaxZstdWindowLog),
                     Compression::kZstd, 4096)
                  .ok());
  EXPECT_TRUE(absl::IsResourceExhausted(
      Expand(testing::CompressZstd(Text(), kMaxZstdWindowLog + 1),
             Compression::kZstd, 4096)
          .status()));
}

}  // namespace
}  // namespace warren::image
