#include "runtime/image/leanings.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/image/limits.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::string Text(const char* text, size_t size) {
  return std::string(text, size);
}

Leanings Some() {
  Leanings leanings;
  for (const char* path : {"", "tmp", "a", "a/b", "a-b", "a/b/c"}) {
    EXPECT_TRUE(leanings.AddDirectory(path).ok());
  }
  EXPECT_TRUE(leanings.AddLink("a/l", "bin/p").ok());
  EXPECT_TRUE(leanings.AddLink("l", "bin/q").ok());
  return leanings;
}

TEST(Leanings, RoundTrip) {
  const std::string text = Some().Encode();
  EXPECT_EQ(text.size(), Some().bytes());
  const auto read = Leanings::Decode(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->directories(),
              ElementsAre("", "a", "a-b", "a/b", "a/b/c", "tmp"));
  EXPECT_THAT(read->links(),
              ElementsAre(Pair("a/l", "bin/p"), Pair("l", "bin/q")));
  EXPECT_EQ(read->LinkTarget("l"), "bin/q");
  EXPECT_FALSE(read->LinkTarget("tmp").has_value());
  EXPECT_TRUE(Leanings::Decode("")->empty());
}

TEST(Leanings, WhatIsReplacedIsForgotten) {
  Leanings leanings = Some();
  leanings.RemoveDirectory("a/b");
  EXPECT_THAT(leanings.directories(),
              ElementsAre("", "a", "a-b", "a/b/c", "tmp"));
  leanings.RemoveTree("a");
  EXPECT_THAT(leanings.directories(), ElementsAre("", "a-b", "tmp"));
  EXPECT_THAT(leanings.links(), ElementsAre(Pair("l", "bin/q")));
  EXPECT_TRUE(leanings.AddLink("l", "other").ok());
  EXPECT_THAT(leanings.links(), ElementsAre(Pair("l", "other")));
  EXPECT_EQ(leanings.bytes(), leanings.Encode().size());
}

// The text comes from a process that a stranger may own.
TEST(Leanings, IMG_2_OnlyItsOwnTextIsRead) {
  for (const std::string& text : {Text("d", 1),
                                  Text("da", 2),
                                  Text("x\0", 2),
                                  Text("d/a\0", 4),
                                  Text("d../a\0", 6),
                                  Text("da/../b\0", 8),
                                  Text("da/\0", 4),
                                  Text("d./a\0", 5),
                                  Text("da//b\0", 6),
                                  Text("db\0da\0", 6),
                                  Text("da\0da\0", 6),
                                  Text("la\0", 3),
                                  Text("la\0b", 4),
                                  Text("l\0b\0", 4),
                                  Text("la\0\0", 4),
                                  Text("la\0../b\0", 8),
                                  Text("la\0/b\0", 6),
                                  Text("la\0b\0da\0", 8),
                                  Text("da/b\0la\0x\0", 10),
                                  Text("\0", 1)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Leanings::Decode(text).status()))
        << ::testing::PrintToString(text);
  }
}

TEST(Leanings, IMG_3_Bounds) {
  Leanings many;
  absl::Status status;
  for (size_t i = 0; i <= kMaxLeanings && status.ok(); ++i) {
    status = many.AddDirectory(absl::StrCat(i));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  Leanings long_names;
  status = absl::OkStatus();
  for (size_t i = 0; i * 1000 <= kMaxLeaningBytes && status.ok(); ++i) {
    status = long_names.AddLink(absl::StrCat(i), std::string(1000, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace warren::image
