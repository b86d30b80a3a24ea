#include "runtime/image/tar_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/image/limits.h"
#include "runtime/image/testing/tar_builder.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;

TEST(TarNumber, Octal) {
  EXPECT_EQ(*DecodeTarNumber(""), 0);
  EXPECT_EQ(*DecodeTarNumber("0000644"), 0644);
  EXPECT_EQ(*DecodeTarNumber("   644 "), 0644);
  EXPECT_EQ(*DecodeTarNumber(absl::string_view("644\0junk", 8)), 0644);
  EXPECT_EQ(*DecodeTarNumber("777777777777"), 0777777777777);
  EXPECT_EQ(*DecodeTarNumber("       "), 0);
  for (const char* bad : {"8", "64x", "-1", "+1", "6 4", "0x1"}) {
    EXPECT_FALSE(DecodeTarNumber(bad).ok()) << bad;
  }
}

TEST(TarNumber, Base256) {
  const auto field = [](std::string bytes) { return bytes; };
  EXPECT_EQ(*DecodeTarNumber(field(std::string("\x80\0\0\0\0\0\x01\0", 8))),
            256);
  EXPECT_EQ(*DecodeTarNumber(std::string(12, '\xff')), -1);
  EXPECT_EQ(*DecodeTarNumber(std::string(11, '\xff') + '\xfe'), -2);
  EXPECT_EQ(*DecodeTarNumber(std::string("\x80\0\0\0\x7f", 5) +
                             std::string(7, '\xff')),
            INT64_MAX);
  EXPECT_FALSE(
      DecodeTarNumber(std::string("\x80\0\0\0\x80", 5) + std::string(7, '\0'))
          .ok());
  EXPECT_FALSE(DecodeTarNumber("\x80" + std::string(11, '\x7f')).ok());
  EXPECT_FALSE(
      DecodeTarNumber(std::string("\xff\0", 2) + std::string(10, '\0')).ok());
}

TEST(TarHeader, Fields) {
  testing::Member member;
  member.name = "dir/file";
  member.data = "hello";
  member.mode = 0104755;
  member.uid = 12;
  member.gid = 34;
  member.mtime = 56;
  const auto header = DecodeTarHeader(testing::TarHeaderBlock(member));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->name, "dir/file");
  EXPECT_EQ(header->mode, 04755u);
  EXPECT_EQ(header->uid, 12u);
  EXPECT_EQ(header->gid, 34u);
  EXPECT_EQ(header->size, 5u);
  EXPECT_EQ(header->mtime, 56);
}

TEST(TarHeader, PrefixOfUstarOnly) {
  testing::Member member;
  member.name = "name";
  std::string block = testing::TarHeaderBlock(member);
  block.replace(345, 6, "prefix");
  testing::FixChecksum(&block);
  EXPECT_EQ(DecodeTarHeader(block)->name, "prefix/name");
  block.replace(257, 8, std::string("ustar  \0", 8));
  testing::FixChecksum(&block);
  EXPECT_EQ(DecodeTarHeader(block)->name, "name");
}

TEST(TarHeader, EveryFlippedBitIsSeen) {
  testing::Member member;
  member.name = "file";
  const std::string good = testing::TarHeaderBlock(member);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] ^= 1;
    if (at >= 148 && at < 156) continue;  // the checksum's own field
    EXPECT_FALSE(DecodeTarHeader(bad).ok()) << at;
  }
}

TEST(CleanPath, Forms) {
  EXPECT_THAT(*CleanPath("a/b"), ElementsAre("a", "b"));
  EXPECT_THAT(*CleanPath("./a//b/./"), ElementsAre("a", "b"));
  EXPECT_THAT(*CleanPath("."), ElementsAre());
  EXPECT_THAT(*CleanPath("./"), ElementsAre());
  EXPECT_THAT(*CleanPath("..."), ElementsAre("..."));
  EXPECT_THAT(*CleanPath("/"), ElementsAre());
  EXPECT_THAT(*CleanPath("//a/./b"), ElementsAre("a", "b"));
  EXPECT_THAT(*CleanPath("a\\..\\b"), ElementsAre("a\\..\\b"));
  for (const std::string& bad :
       {std::string("/.."), std::string("/../a"), std::string(".."),
        std::string("a/.."), std::string("a/../b"), std::string("a\0b", 3),
        std::string(256, 'n'), std::string(5000, '/')}) {
    EXPECT_FALSE(CleanPath(bad).ok()) << bad.substr(0, 20);
  }
  std::string deep = "d";
  for (int i = 1; i < kMaxPathDepth; ++i) deep += "/d";
  EXPECT_TRUE(CleanPath(deep).ok());
  EXPECT_FALSE(CleanPath(deep + "/d").ok());
}

TEST(Printable, IsShortAndPlain) {
  EXPECT_EQ(Printable("a\n\xff"), "a\\n\\xff");
  EXPECT_LE(Printable(std::string(10000, '\x01')).size(), 100u);
}

}  // namespace
}  // namespace warren::image
